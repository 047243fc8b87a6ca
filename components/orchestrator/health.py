"""How each process is asked whether it is well. Every answer comes within about a second and nothing is raised."""

from __future__ import annotations

import http.client
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

ASK_S = 1.0
BEAT_S = 1.0
BEAT_OLD_S = 6.0


def answers_http(host: str, port: int, path: str) -> Callable[[], bool]:
    """A question that is answered by status 200 of ``http://host:port/path``."""

    def ask() -> bool:
        connection = http.client.HTTPConnection(host, port, timeout=ASK_S)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return ask


def listens(host: str, port: int) -> Callable[[], bool]:
    """A question that is answered by a connection to ``host:port``."""

    def ask() -> bool:
        try:
            with socket.create_connection((host, port), timeout=ASK_S):
                return True
        except OSError:
            return False

    return ask


def beats(home: Path, name: str) -> Callable[[], bool]:
    """A question that is answered by a beat that is at most 6 s old and of a process that lives."""
    path = _beat_path(home, name)

    def ask() -> bool:
        try:
            fresh = time.time() - path.stat().st_mtime <= BEAT_OLD_S
            return fresh and _lives(int(path.read_text()))
        except (OSError, ValueError):
            return False

    return ask


def start_beat(home: Path, name: str, stop: threading.Event) -> threading.Thread:
    """Beat once a second until `stop` is set; the supervisor asks for it with `beats`."""
    path = _beat_path(home, name)
    path.parent.mkdir(parents=True, exist_ok=True)

    def beat() -> None:
        while True:
            with suppress(OSError):  # a full disk shows as a missing beat
                temporary = path.with_suffix(".tmp")
                temporary.write_text(str(os.getpid()))
                temporary.replace(path)
            if stop.wait(BEAT_S):
                return

    thread = threading.Thread(target=beat, name="beat", daemon=True)
    thread.start()
    return thread


def _beat_path(home: Path, name: str) -> Path:
    return home / "run" / f"{name}.beat"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
