"""Keeps the platform's processes running, writes down how they are, and leaves nothing running when it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from sqlalchemy.exc import SQLAlchemyError

from components.base import get_log
from components.fx import PlatformError
from components.orchestrator.leftovers import MARK, end_marked, marked_processes
from components.orchestrator.process import KeptProcess, ProcessSpec
from components.orchestrator.store import PlatformStore

ROUND_S = 0.05
WRITE_S = 2.0
GRACE_S = 5.0

log = get_log("orchestrator")


def child_environment(home: Path, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of every process of the platform.

    One thread per numeric library, since busy-waiting OpenMP threads make small machines many times slower; byte code is kept, so that a
    restart does not compile everything again; and the mark by which a later supervisor finds what an earlier one left.
    """
    environment = dict(os.environ if base is None else base)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    for name, value in (("OMP_NUM_THREADS", "1"), ("OPENBLAS_NUM_THREADS", "1"), ("MKL_NUM_THREADS", "1"), ("OMP_WAIT_POLICY", "PASSIVE")):
        environment.setdefault(name, value)
    environment["PYTHONUNBUFFERED"] = "1"
    environment["SEQUENCE_HOME"] = str(home)
    environment[MARK] = str(home)
    return environment


class Supervisor:
    """Starts processes, starts them again when they end, and ends all of them.

    Use it as a context: leaving the block ends every process. Should this process be killed, a watcher ends them instead.

    Parameters
    ----------
    home : Path
        Folder of the platform's stores; logs go to ``logs`` in it.
    say : callable
        Told of everything that happens, in one sentence.
    """

    def __init__(self, home: Path, say: Callable[[str], None] = lambda _: None) -> None:
        self.home = home
        self._say = say
        self._store = PlatformStore.open(home)
        self._kept: dict[str, KeptProcess] = {}
        self._groups: set[int] = set()
        self._watcher: subprocess.Popen[bytes] | None = None
        self._written = 0.0

    def __enter__(self) -> Supervisor:
        self._start_watcher()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.end_all()

    def add(self, spec: ProcessSpec) -> None:
        """Run `spec` from the next round on."""
        self._kept[spec.name] = KeptProcess(spec, child_environment(self.home), self.home / "logs", self._note_group)

    def state_of(self, name: str) -> str:
        """State of a process, in the words of `ProcessState`."""
        return self._kept[name].state

    def all_healthy(self, *names: str) -> bool:
        """Whether each of the named processes runs and is healthy."""
        return all(self._kept[name].is_healthy for name in names)

    def run(self, stop: threading.Event, each_round: Callable[[], None] = lambda: None) -> None:
        """Follow every process until `stop` is set; `each_round` is called twenty times a second and may add processes."""
        while not stop.is_set():
            self.follow_all()
            each_round()
            stop.wait(ROUND_S)

    def follow_all(self) -> None:
        """One round: start, ask and end whatever is due, and write down what changed."""
        if self._watcher is not None and self._watcher.poll() is not None:
            self._start_watcher()
        now = time.monotonic()
        changed = False
        for kept in list(self._kept.values()):
            was = (kept.state, kept.is_healthy)
            what = kept.follow(now)
            changed = changed or what is not None or was != (kept.state, kept.is_healthy)
            if what is not None:
                self._note(kept.spec.name, what)
        if changed or now - self._written > WRITE_S:
            self._written = now
            self._write()

    def end_all(self) -> None:
        """End every process and what it started: first asking, after five seconds by force; then look for stragglers."""
        for kept in self._kept.values():
            kept.ask_to_end()
        deadline = time.monotonic() + GRACE_S
        while time.monotonic() < deadline:
            if all(kept.has_ended() for kept in self._kept.values()) and not marked_processes(self.home):
                break
            time.sleep(ROUND_S)
        for kept in self._kept.values():
            kept.end_now()
        for words in end_marked(self.home, grace_s=0.5):
            self._note("supervisor", f"ended a straggler: {words}")
        self._write()
        self._store.close()
        self._end_watcher()

    def _note(self, name: str, what: str) -> None:
        self._say(f"{name} {what}")
        try:
            self._store.add_event(name, what)
        except (PlatformError, SQLAlchemyError) as error:  # a full disk must not end what keeps everything else running
            log.error("event not written", error=str(error))

    def _write(self) -> None:
        try:
            self._store.replace_processes([kept.as_state() for kept in self._kept.values()])
        except (PlatformError, SQLAlchemyError) as error:
            log.error("states not written", error=str(error))

    def _note_group(self, sign: str, group: int) -> None:
        (self._groups.add if sign == "+" else self._groups.discard)(group)
        self._tell_watcher(sign, group)

    def _start_watcher(self) -> None:
        environment = {key: value for key, value in os.environ.items() if key != MARK}
        self._watcher = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("watcher.py")), *map(str, sorted(self._groups))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )

    def _tell_watcher(self, sign: str, group: int) -> None:
        if self._watcher is None or self._watcher.stdin is None:
            return
        try:
            self._watcher.stdin.write(f"{sign}{group}\n".encode())
            self._watcher.stdin.flush()
        except OSError:
            return  # the watcher has died; the next round starts another with every group

    def _end_watcher(self) -> None:
        if self._watcher is not None and self._watcher.stdin is not None:
            with suppress(OSError):
                self._watcher.stdin.close()
            try:
                self._watcher.wait(timeout=5.0)
            except subprocess.TimeoutExpired:
                self._watcher.kill()
                self._watcher.wait()
            self._watcher = None
