"""The supervisor with real processes: killed ones come back, and nothing outlives it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from components.base import ROOT
from components.orchestrator import PlatformStore, ProcessSpec, Supervisor
from components.orchestrator.leftovers import end_marked, marked_processes
from components.orchestrator.process import RESTART_AFTER_S, KeptProcess

SLEEPER = "import time; time.sleep(600)"
# Starts a process of its own in the same group, and neither of the two stops when asked.
STUBBORN = "import signal, subprocess, sys, time; signal.signal(15, signal.SIG_IGN); subprocess.Popen([sys.executable, '-c', 'import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)']); time.sleep(600)"
DRIVER = """
import signal, sys, threading
from pathlib import Path
from components.orchestrator import ProcessSpec, Supervisor
stop = threading.Event()
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: stop.set())
with Supervisor(Path(sys.argv[1])) as supervisor:
    for number, code in enumerate(sys.argv[2:]):
        supervisor.add(ProcessSpec(f"child{number}", (sys.executable, "-c", code)))
    supervisor.run(stop)
"""


def wait_until(condition: Callable[[], object], timeout_s: float = 10.0) -> float:
    """Seconds until `condition` held."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout_s, "waited in vain"
        time.sleep(0.02)
    return time.monotonic() - began


class Driven:
    """A supervisor in a process of its own."""

    def __init__(self, home: Path, *children: str) -> None:
        self.home = home
        self.process = subprocess.Popen([sys.executable, "-c", DRIVER, str(home), *children], cwd=ROOT, start_new_session=True)
        self.names = [f"child{number}" for number in range(len(children))]
        wait_until(lambda: len([pid for pid in self.pids().values() if pid]) == len(children))

    def pids(self) -> dict[str, int | None]:
        if not (self.home / "platform.db").exists():
            return {}
        store = PlatformStore.open(self.home)
        try:
            return {state.name: state.pid for state in store.processes()}
        finally:
            store.close()


@pytest.fixture
def driven(home: Path) -> Iterator[Callable[..., Driven]]:
    started: list[Driven] = []

    def start(*children: str) -> Driven:
        started.append(Driven(home, *children))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()
    end_marked(home, grace_s=0.1)


def test_a_killed_process_is_back_within_a_second_and_the_store_says_so(driven: Callable[..., Driven], home: Path) -> None:
    supervisor = driven(SLEEPER, SLEEPER)
    first = supervisor.pids()
    os.kill(first["child0"] or 0, signal.SIGKILL)
    wait_until(lambda: supervisor.pids()["child0"] not in (first["child0"], None), 1.0)
    after = supervisor.pids()
    assert after["child1"] == first["child1"]
    state = PlatformStore.open(home).processes()[0]
    assert (state.restarts, state.last_exit, state.state, state.healthy) == (1, "was killed by SIGKILL", "running", True)
    assert "was killed by SIGKILL; starts again in 0.1 s" in [event.what for event in PlatformStore.open(home).events()]


def test_what_a_killed_process_had_started_does_not_survive_it(driven: Callable[..., Driven], home: Path) -> None:
    supervisor = driven(STUBBORN)
    wait_until(lambda: len(marked_processes(home)) == 2)
    before = {process.pid for process in marked_processes(home)}
    os.kill(supervisor.pids()["child0"] or 0, signal.SIGKILL)
    wait_until(lambda: not before & {process.pid for process in marked_processes(home)})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_asked_supervisor_leaves_nothing_running_within_ten_seconds(driven: Callable[..., Driven], home: Path, number: signal.Signals) -> None:
    supervisor = driven(SLEEPER, STUBBORN)
    wait_until(lambda: len(marked_processes(home)) == 3)
    began = time.monotonic()
    supervisor.process.send_signal(number)
    assert supervisor.process.wait(timeout=10) == 0
    assert time.monotonic() - began < 10
    assert marked_processes(home) == []
    assert [state.state for state in PlatformStore.open(home).processes()] == ["stopped", "stopped"]


def test_processes_end_when_their_supervisor_is_killed(driven: Callable[..., Driven], home: Path) -> None:
    supervisor = driven(SLEEPER, STUBBORN)
    wait_until(lambda: len(marked_processes(home)) == 3)
    supervisor.process.kill()
    supervisor.process.wait()
    wait_until(lambda: marked_processes(home) == [], 6.0)


def test_a_killed_watcher_is_replaced_and_knows_every_process(driven: Callable[..., Driven], home: Path) -> None:
    supervisor = driven(SLEEPER)

    def watchers() -> list[psutil.Process]:
        found = []
        for child in psutil.Process(supervisor.process.pid).children():
            # A child that ends while it is looked at is none.
            with suppress(psutil.NoSuchProcess):
                if child.status() != psutil.STATUS_ZOMBIE and "watcher.py" in " ".join(child.cmdline()):
                    found.append(child)
        return found

    first = watchers()[0].pid
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: [child.pid for child in watchers() if child.pid != first])
    supervisor.process.kill()
    supervisor.process.wait()
    wait_until(lambda: marked_processes(home) == [], 6.0)


def test_what_an_earlier_run_left_is_found_by_its_mark_and_ended(home: Path) -> None:
    with Supervisor(home) as supervisor:
        supervisor.add(ProcessSpec("left", (sys.executable, "-c", STUBBORN)))
        supervisor.follow_all()
        wait_until(lambda: len(marked_processes(home)) == 2)
        assert marked_processes(home.with_name("another")) == []
        assert len(end_marked(home, grace_s=0.2)) == 2
        assert marked_processes(home) == []


def kept(home: Path, spec: ProcessSpec) -> KeptProcess:
    return KeptProcess(spec, dict(os.environ), home / "logs", lambda _sign, _group: None)


def followed(process: KeptProcess, now: float) -> str:
    """The next thing that happens at the time `now`."""
    words: list[str] = []
    wait_until(lambda: words.append(process.follow(now) or "") or words[-1])
    return words[-1]


def test_the_wait_before_a_restart_grows_while_a_process_keeps_dying(home: Path) -> None:
    process = kept(home, ProcessSpec("dying", (sys.executable, "-S", "-c", "raise SystemExit(5)")))
    now = 0.0
    for wait_s in RESTART_AFTER_S[:4]:
        assert "started" in followed(process, now)
        assert followed(process, now) == f"ended with exit code 5; starts again in {wait_s:g} s"
        assert process.follow(now + wait_s * 0.9) is None
        now += wait_s
    assert process.as_state().last_exit == "ended with exit code 5"


def test_the_wait_is_short_again_after_a_steady_time(home: Path) -> None:
    process = kept(home, ProcessSpec("steady", (sys.executable, "-S", "-c", SLEEPER)))
    now = time.monotonic()
    for healthy_s, words in ((1.0, "starts again in 0.1 s"), (1.0, "starts again in 0.5 s"), (30.0, "starts again in 0.1 s")):
        assert "started" in followed(process, now)
        assert process.follow(now + healthy_s) is None
        os.kill(process.pid or 0, signal.SIGKILL)
        now += healthy_s
        assert words in followed(process, now)
        now += 1.0


def test_a_process_that_runs_but_never_answers_is_started_again(home: Path) -> None:
    process = kept(home, ProcessSpec("deaf", (sys.executable, "-S", "-c", SLEEPER), is_healthy=lambda: False, patience_s=5.0))
    now = time.monotonic()
    assert "started" in followed(process, now)
    assert process.follow(now + 4.9) is None
    assert not process.is_healthy
    assert "was not healthy for 5 s and was ended" in (process.follow(now + 5.1) or "")


def test_a_process_that_may_end_is_not_started_again(home: Path) -> None:
    for restart, code, state in (("until_done", 0, "finished"), ("if_killed", 1, "failed"), ("until_done", 1, "waiting"), ("always", 0, "waiting")):
        process = kept(home, ProcessSpec("once", (sys.executable, "-S", "-c", f"raise SystemExit({code})"), restart=restart))  # type: ignore[arg-type]
        followed(process, 0.0)
        followed(process, 0.0)
        assert process.state == state


@pytest.mark.parametrize("code", [2, 3, 4])
@pytest.mark.parametrize("restart", ["always", "until_done", "if_killed"])
def test_what_the_next_start_cannot_mend_is_not_started_again(home: Path, code: int, restart: Any) -> None:
    program = f"import sys; sys.stderr.write('sequence: account a has no deployment'); sys.exit({code})"
    process = kept(home, ProcessSpec("refused", (sys.executable, "-S", "-c", program), restart=restart))
    followed(process, 0.0)
    words = f"ended with exit code {code} (sequence: account a has no deployment)"
    assert followed(process, 0.0) == f"{words}; it is not started again"
    assert process.follow(1_000.0) is None
    assert (process.as_state().state, process.as_state().last_exit) == ("failed", words)


def test_a_command_that_does_not_exist_is_tried_again_later(home: Path) -> None:
    process = kept(home, ProcessSpec("missing", (str(home / "nothing"),)))
    assert "cannot be started" in (process.follow(0.0) or "")
    assert process.as_state().state == "waiting"


def test_each_process_writes_its_own_log(home: Path) -> None:
    process = kept(home, ProcessSpec("talking", (sys.executable, "-S", "-c", "print('a word')")))
    followed(process, 0.0)
    followed(process, 0.0)
    assert (home / "logs" / "talking.log").read_text() == "a word\n"
