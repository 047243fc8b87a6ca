"""The whole platform from a clean clone, as its first user meets it: one command, then Ctrl-C, then the command again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.base import ROOT
from components.orchestrator.leftovers import end_marked, marked_processes

INSTALL_S = 600.0
BACK_S = 5.0
STOP_S = 10.0
SECOND_START_S = 20.0


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def clone_to(folder: Path) -> None:
    """What a clone of this working tree, committed, would hold."""
    listed = subprocess.run(("git", "ls-files", "-co", "--exclude-standard", "-z"), cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert listed, "the test needs a git checkout"
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


class Platform:
    """A clone with ports of its own, started and stopped as a person does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "output_central"
        self.api, self.dashboard, desk = free_ports(3)
        ports = {"SEQUENCE_API_PORT": self.api, "SEQUENCE_DASHBOARD_PORT": self.dashboard, "SEQUENCE_DESK_PORT": desk}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SEQUENCE_") and name != "PYTHONPATH"}
        self.environment = {**kept, **{name: str(port) for name, port in ports.items()}}
        self.process: subprocess.Popen[bytes] | None = None
        self.said = folder.with_suffix(".said")

    def start(self, *arguments: str) -> None:
        with self.said.open("wb") as said:
            command = ("./start_platform.sh", *arguments)
            self.process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=said, stderr=said, start_new_session=True)

    def wait_for(self, condition: Callable[[], Any], timeout_s: float, what: str) -> float:
        """Seconds until `condition` held."""
        began = time.monotonic()
        while not condition():
            took = time.monotonic() - began
            assert self.process is None or self.process.poll() is None, f"ended while waiting for {what}:\n{self.said.read_text()}"
            assert took < timeout_s, f"no {what} after {took:.1f} s:\n{self.said.read_text()}\n{self.logs()}"
            time.sleep(0.05)
        return time.monotonic() - began

    def logs(self) -> str:
        return "\n".join(f"== {path.name}\n{path.read_text()[-2000:]}" for path in sorted((self.home / "logs").glob("*.log")))

    def interrupt(self) -> float:
        """Ctrl-C; seconds until the command ended."""
        assert self.process is not None
        began = time.monotonic()
        os.killpg(self.process.pid, signal.SIGINT)
        assert self.process.wait(timeout=30) == 0
        return time.monotonic() - began

    def sequence(self, *arguments: str) -> Any:
        command = (str(self.folder / ".venv/bin/sequence"), *arguments, "--json")
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def has_equal_twin(self, deployment_id: str) -> bool:
        """Whether the step over the stored ticks gives every signal and fill of the journals, one to one; a bar in work counts as no."""
        command = (str(self.folder / ".venv/bin/sequence"), "twin", deployment_id)
        return subprocess.run(command, env=self.environment, capture_output=True, timeout=60, check=False).returncode == 0

    def is_served(self) -> bool:
        return all(is_ok(url) for url in (f"http://127.0.0.1:{self.api}/api/v1/health", f"http://127.0.0.1:{self.dashboard}/_stcore/health"))

    def processes(self) -> dict[str, tuple[int | None, bool]]:
        """Process id and health of every process, as the dashboard reads them."""
        with sqlite3.connect(self.home / "platform.db", timeout=10) as connection:
            return {name: (pid, bool(healthy)) for name, pid, healthy in connection.execute("SELECT name, pid, healthy FROM processes")}

    def is_back(self, name: str, before: int | None) -> bool:
        pid, healthy = self.processes().get(name, (None, False))
        return healthy and pid not in (None, before)


def is_ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return int(answer.status) == 200
    except (OSError, urllib.error.URLError):
        return False


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    folder = tmp_path / "clone"
    folder.mkdir()
    clone_to(folder)
    platform = Platform(folder)
    yield platform
    if platform.process is not None and platform.process.poll() is None:
        platform.process.kill()
        platform.process.wait()
    end_marked(platform.home, grace_s=1.0)
    shutil.rmtree(folder / ".venv", ignore_errors=True)


@pytest.mark.slow
def test_from_a_clean_clone_to_a_live_loop_that_survives_kills_stops_and_starts_again(platform: Platform) -> None:
    platform.start()
    platform.wait_for(lambda: "Next: open the dashboard" in platform.said.read_text(), INSTALL_S, "running platform")
    said = platform.said.read_text()
    assert f"http://127.0.0.1:{platform.dashboard}" in said
    assert f"http://127.0.0.1:{platform.api}" in said
    assert "Traceback" not in said
    assert platform.is_served()

    status = platform.sequence("status")
    assert {process["name"] for process in status["processes"] if process["live"] and process["healthy"]} >= {"api", "worker", "desk", "dashboard"}
    assert len(status["first_data"]) == 13
    assert {step["state"] for step in status["first_data"]} == {"done"}
    assert len(platform.sequence("deploy", "list")) == 4
    assert len(platform.sequence("backtest", "list")) == 4

    platform.wait_for(lambda: platform.sequence("signals", "--state", "filled"), 120.0, "filled signal of the demo")

    for name in ("api", "worker", "desk", "dashboard"):
        before = platform.processes()[name][0]
        os.kill(before or 0, signal.SIGKILL)
        took = platform.wait_for(lambda name=name, before=before: platform.is_back(name, before), 30.0, f"{name} again")  # type: ignore[misc]
        assert took < BACK_S, f"{name} came back after {took:.1f} s"
    filled = len(platform.sequence("signals", "--state", "filled", "--limit", "100000"))
    platform.wait_for(lambda: len(platform.sequence("signals", "--state", "filled", "--limit", "100000")) > filled, 120.0, "trading after the kills")

    for deployment in platform.sequence("deploy", "list"):
        platform.wait_for(lambda id=deployment["id"]: platform.has_equal_twin(id), 60.0, f"equal twin of {deployment['strategy']}")  # type: ignore[misc]

    assert platform.interrupt() < STOP_S
    assert marked_processes(platform.home) == []
    assert not platform.is_served()
    first = {step["name"]: step["finished_ms"] for step in status["first_data"]}
    jobs = len(platform.sequence("jobs", "list"))

    platform.start()
    took = platform.wait_for(lambda: "Next: open the dashboard" in platform.said.read_text() and platform.is_served(), 60.0, "second start")
    assert took < SECOND_START_S
    assert "Installing" not in platform.said.read_text()
    assert "First run" not in platform.said.read_text()
    assert {step["name"]: step["finished_ms"] for step in platform.sequence("status")["first_data"]} == first
    assert len(platform.sequence("jobs", "list")) == jobs
    assert platform.interrupt() < STOP_S
    assert marked_processes(platform.home) == []
