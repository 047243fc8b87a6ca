"""Whose turn it is to ask a server: the spacing of requests to one host, over all processes that share the platform's home."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from components.base import now_ms
from components.pipeline.sources.source import SourceContext

MOST_AHEAD_MS = 3_600_000  # a turn that is further away than this was written by a wrong clock


def wait_for_turn(context: SourceContext, host: str, seconds: float, *, what: str, fraction: float = 0.0) -> None:
    """Wait until this host may be asked again: turns are `seconds` apart, over every process that shares the platform's home."""
    if seconds <= 0:
        return
    path = _turn_path(context, host)
    while True:
        with _locked(path):
            now = now_ms()
            turn_ms = _next_turn(path, now)
            if turn_ms <= now:
                path.write_text(str(now + int(seconds * 1000)))
                return
        # Looked at again afterwards: another process may have been faster, or told to wait longer.
        context.sleep((turn_ms - now) / 1000, fraction, f"{what}: {host} takes one request every {seconds:g} s")


def hold_back(context: SourceContext, host: str, seconds: float) -> None:
    """Let no process ask this host for so long."""
    if seconds <= 0:
        return
    path = _turn_path(context, host)
    with _locked(path):
        now = now_ms()
        path.write_text(str(max(_next_turn(path, now), now + int(min(seconds * 1000, MOST_AHEAD_MS)))))


def safe_name(text: str) -> str:
    """The text as a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:120]


def _turn_path(context: SourceContext, host: str) -> Path:
    return context.raw("hosts") / f"{safe_name(host)}.turn"


def _next_turn(path: Path, now: int) -> int:
    try:
        written = int(path.read_text())
    except (OSError, ValueError):
        return now
    return max(now, written) if written <= now + MOST_AHEAD_MS else now


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Alone with the file among all processes of this machine."""
    with path.with_name(path.name + ".lock").open("a+b") as file:
        _lock(file)
        try:
            yield
        finally:
            _unlock(file)


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)

    def _unlock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX)

    def _unlock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
