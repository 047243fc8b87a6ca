"""One process that is kept running: start, health, end, and the wait before its next start."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from components.base import ROOT, now_ms
from components.orchestrator.store import ProcessState

RESTART_AFTER_S = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
STEADY_S = 15.0
OVERDUE_S = 3.0
LOG_BYTES = 20_000_000
FINAL_CODES = (2, 3, 4)  # wrong input, not found, refused: the same start would end the same way
Health = Callable[[], bool]


@dataclass(frozen=True)
class ProcessSpec:
    """What to run and when to run it again.

    `is_healthy` asks the process itself and may take a second; without it, a process that runs is healthy. One that runs without having
    been healthy for `patience_s` is ended and started again. `restart` is ``always``, ``until_done`` (exit code 0 is its end) or
    ``if_killed`` (only when a signal ended it); whatever it is, a process that ends with one of `FINAL_CODES` has failed and stays so.
    With `on_console` the process writes where the supervisor writes instead of into its log.
    """

    name: str
    command: tuple[str, ...]
    is_healthy: Health | None = None
    address: str = ""
    restart: Literal["always", "until_done", "if_killed"] = "always"
    patience_s: float = 45.0
    on_console: bool = False


class KeptProcess:
    """A process in a group of its own, followed from one start to the next.

    Parameters
    ----------
    spec : ProcessSpec
        What to run.
    environment : mapping
        The whole environment of the process.
    log_folder : Path
        Where ``<name>.log`` lies.
    on_group : callable
        Told ``"+"`` or ``"-"`` and the process group when a group begins or is gone.
    """

    def __init__(self, spec: ProcessSpec, environment: Mapping[str, str], log_folder: Path, on_group: Callable[[str, int], None]) -> None:
        self.spec = spec
        self.log_path = log_folder / f"{spec.name}.log"
        self.restarts = 0
        self.last_exit = ""
        self.state = "waiting"
        self.started_ms: int | None = None
        self._environment = dict(environment)
        self._on_group = on_group
        self._process: subprocess.Popen[bytes] | None = None
        self._failures = 0
        self._next_start = 0.0
        self._healthy_since: float | None = None
        self._seen_healthy = 0.0
        self._asked = threading.Event()
        self._log_began = 0

    @property
    def pid(self) -> int | None:
        """The process id, which is its group's as well; None while it does not run."""
        return None if self._process is None else self._process.pid

    @property
    def is_healthy(self) -> bool:
        """Whether the process runs and has answered well, the last time at most some three seconds ago."""
        return self._process is not None and self._healthy_since is not None

    def follow(self, now: float) -> str | None:
        """Do what is due at the monotonic time `now`, in seconds; in words what happened, None where nothing did."""
        if self._process is None:
            return self._start(now) if self.state == "waiting" and now >= self._next_start else None
        code = self._process.poll()
        if code is not None:
            return self._note_end(code, now)
        if self.spec.is_healthy is not None and now - self._seen_healthy > self.spec.patience_s:
            self._kill_group()
            self._process.wait()
            return self._note_end(-signal.SIGKILL, now, f"was not healthy for {self.spec.patience_s:.0f} s and was ended")
        was = self.state
        self.state = "running" if self.is_healthy else "starting"
        if self._healthy_since is not None and now - self._healthy_since > STEADY_S:
            self._failures = 0
        if self.state == "running" and was == "starting":
            return "is healthy again" if self.restarts else "is healthy"
        return None

    def ask_to_end(self) -> None:
        """Send SIGTERM to the whole group."""
        self.state = "stopped"
        self._signal_group(signal.SIGTERM)

    def end_now(self) -> None:
        """Kill the whole group and wait for the process."""
        self.state = "stopped"
        self._kill_group()
        if self._process is not None:
            self._process.wait()
            self._on_group("-", self._process.pid)
            self._process = None

    def has_ended(self) -> bool:
        """Whether the process itself has ended; what it started may still run."""
        return self._process is None or self._process.poll() is not None

    def as_state(self) -> ProcessState:
        """What the dashboard is told."""
        return ProcessState(
            name=self.spec.name,
            state=self.state,
            healthy=self.is_healthy and self.state == "running",
            pid=self.pid,
            started_ms=self.started_ms,
            restarts=self.restarts,
            last_exit=self.last_exit,
            address=self.spec.address,
            log_path=str(self.log_path),
        )

    def _start(self, now: float) -> str:
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        self._log_began = self.log_path.stat().st_size if self.log_path.exists() else 0
        with self.log_path.open("ab") as log:
            output = None if self.spec.on_console else log
            try:
                self._process = subprocess.Popen(
                    self.spec.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self._environment, cwd=ROOT, start_new_session=True
                )
            except OSError as error:
                return self._wait_after(f"cannot be started: {error}", now)
        self._on_group("+", self._process.pid)
        self.restarts += self.started_ms is not None
        self.started_ms = now_ms()
        self._seen_healthy = now
        self.state = "running" if self.spec.is_healthy is None else "starting"
        self._healthy_since = now if self.spec.is_healthy is None else None
        if self.spec.is_healthy is not None:
            self._asked = threading.Event()
            threading.Thread(target=self._ask, args=(self._process, self.spec.is_healthy, self._asked), daemon=True).start()
        return f"started as process {self._process.pid}"

    def _note_end(self, code: int, now: float, words: str = "") -> str:
        assert self._process is not None
        self._asked.set()
        self._kill_group()  # what the process had started must not hold its port or its work
        self._on_group("-", self._process.pid)
        self._process = None
        self._healthy_since = None
        self.last_exit = words or (
            f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}{self._last_words(code)}"
        )
        if self.spec.restart != "always" and code == 0:
            self.state = "finished"
        elif code in FINAL_CODES or (self.spec.restart == "if_killed" and code > 0):
            self.state = "failed"
            return f"{self.last_exit}; it is not started again"
        else:
            return self._wait_after(self.last_exit, now)
        return self.last_exit

    def _last_words(self, code: int) -> str:
        """The last line that a failed process wrote into its log, which as a rule says why."""
        if code == 0 or self.spec.on_console:
            return ""
        with self.log_path.open("rb") as log:
            log.seek(max(self._log_began, self.log_path.stat().st_size - 4000))
            lines = log.read().decode(errors="replace").strip().splitlines()
        return f" ({lines[-1].strip()[:300]})" if lines else ""

    def _wait_after(self, words: str, now: float) -> str:
        wait_s = RESTART_AFTER_S[min(self._failures, len(RESTART_AFTER_S) - 1)]
        self._failures += 1
        self._next_start = now + wait_s
        self.last_exit = words
        self.state = "waiting"
        return f"{words}; starts again in {wait_s:g} s"

    def _ask(self, process: subprocess.Popen[bytes], is_healthy: Health, ended: threading.Event) -> None:
        while not ended.is_set() and self._process is process:
            answer = is_healthy()
            if ended.is_set() or self._process is not process:
                return
            if answer:
                self._seen_healthy = time.monotonic()
                self._healthy_since = self._healthy_since or self._seen_healthy
            elif time.monotonic() - self._seen_healthy > OVERDUE_S:
                self._healthy_since = None
            ended.wait(1.0 if answer else 0.2)

    def _signal_group(self, number: int) -> None:
        if self._process is not None:
            try:
                os.killpg(self._process.pid, number)
            except (ProcessLookupError, PermissionError):
                return

    def _kill_group(self) -> None:
        self._signal_group(signal.SIGKILL)
