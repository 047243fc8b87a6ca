"""A real Streamlit process on a home of its own, and how a page of it is opened."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.jobs import Job, JobStore

ROOT = Path(__file__).resolve().parents[2]
START_S = 60.0
WAIT_MS = 60_000
TRIES = 5


@dataclass
class Dashboard:
    """A dashboard that runs on `home`."""

    home: Path
    url: str

    def open(self, page: Any, path: str) -> None:
        """Open a page and wait until its script has ended and nothing is left to draw."""
        page.goto(f"{self.url}/{path}")
        page.wait_for_selector("h1", timeout=WAIT_MS)
        settle(page)


def settle(page: Any) -> None:
    """Wait until the page's script has ended."""
    page.wait_for_timeout(300)
    page.wait_for_function(
        "document.querySelector('[data-testid=\"stApp\"]').getAttribute('data-test-script-state') === 'notRunning'", timeout=WAIT_MS
    )
    page.wait_for_timeout(300)


def choose(page: Any, key: str, words: str) -> None:
    """Choose the option of the select box `key` that fits `words` best; again where a late chart moved the page and closed the list."""
    box = page.locator(f".st-key-{key} input")
    for _ in range(TRIES):
        box.click()
        box.fill(words)
        page.wait_for_timeout(500)
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")  # what was typed and not chosen is taken back
        settle(page)
        if words in box.input_value():
            return
    raise AssertionError(f"{words!r} could not be chosen in {key}")


def nothing_failed(page: Any) -> None:
    """No traceback is shown."""
    assert page.locator('[data-testid="stException"]').all_inner_texts() == []


def sees(page: Any, words: str, **how: Any) -> Any:
    """The first visible text with these words; what a table's hidden cells hold does not count."""
    found = page.get_by_text(words, **how).filter(visible=True).first
    found.wait_for()
    return found


def in_table(page: Any, words: str) -> None:
    """Wait until a table that is in sight has a cell with these words; cells are drawn, and their text is there for screen readers only."""
    page.get_by_text(words).first.wait_for(state="attached")


def click(page: Any, name: str) -> None:
    """Press a button and wait until the page is drawn."""
    page.get_by_role("button", name=name, exact=True).first.click()
    settle(page)


def newest_job(home: Path) -> Job:
    """The job that was submitted last."""
    return JobStore.open(home).list(limit=1)[0]


def no_jobs(home: Path) -> None:
    """Cancel what waits or runs."""
    jobs = JobStore.open(home)
    for job in (*jobs.list("queued"), *jobs.list("running")):
        jobs.cancel(job.id)


def environment(home: Path) -> dict[str, str]:
    """The environment of a process of the platform."""
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEQUENCE_") and name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **threads, "SEQUENCE_HOME": str(home), "PYTHONPATH": str(ROOT)}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_dashboard(home: Path) -> Iterator[Dashboard]:
    """Start a dashboard on `home`, hand it over once it is healthy, end it."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port", str(port), "--server.address", "127.0.0.1"]
    with (home.parent / f"{home.name}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(home), stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_S
        while not _is_healthy(port):
            assert process.poll() is None, Path(log.name).read_text()
            assert time.monotonic() < deadline, "the dashboard did not come up"
            time.sleep(0.2)
        yield Dashboard(home, f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
