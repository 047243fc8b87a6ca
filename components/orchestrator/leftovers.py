"""What must be true before the platform starts: one supervisor, nothing left of an earlier one, free ports, a folder that can be written."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from components.base import Settings
from components.fx import Refused, Unavailable

MARK = "SEQUENCE_SUPERVISED_HOME"
PORTS = (("api_port", "the API"), ("dashboard_port", "the dashboard"), ("desk_port", "the desk"))


@contextmanager
def only_supervisor(home: Path) -> Iterator[None]:
    """Hold the lock of `home`; the system lets go of it however this process ends.

    Raises
    ------
    Refused
        If another supervisor holds it; the sentence names its process.
    """
    path = home / "run" / "supervisor.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise Refused(
                "already_running", f"the platform already runs on {home} as process {lock.read().strip() or '?'}; stop it first: sequence down"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
        lock.truncate(0)


def supervisor_pid(home: Path) -> int | None:
    """Process id of the supervisor that runs on `home`; None where none does."""
    path = home / "run" / "supervisor.lock"
    if not path.exists():
        return None
    with path.open("r") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            text = lock.read().strip()
            return int(text) if text.isdigit() else None
    return None


def marked_processes(home: Path) -> list[psutil.Process]:
    """Every process of this user that a supervisor on `home` started, directly or not; found by a mark in its environment."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid not in own and process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == str(home):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def end_marked(home: Path, grace_s: float = 2.0) -> list[str]:
    """End what `marked_processes` finds, first asking, after `grace_s` by force; what was ended, in words."""
    left = marked_processes(home)
    words = []
    for process in left:
        try:
            words.append(f"{process.pid} ({' '.join(process.cmdline()[-2:])})")
            process.send_signal(signal.SIGTERM)
        except psutil.Error:
            continue
    for process in psutil.wait_procs(left, timeout=grace_s)[1]:
        try:
            process.kill()
        except psutil.Error:
            continue
    deadline = time.monotonic() + 2.0
    while marked_processes(home) and time.monotonic() < deadline:
        time.sleep(0.05)
    return words


def check_home(home: Path) -> None:
    """Make `home` and write a file into it.

    Raises
    ------
    Unavailable
        If that is not possible, naming the folder and the setting that chooses another.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        raise Unavailable(f"cannot write to {home}: {error.strerror}; make it writable or choose another folder with SEQUENCE_HOME") from error


def check_ports(settings: Settings) -> None:
    """See that every port of the platform is free, and that no two are the same.

    Raises
    ------
    Unavailable
        Naming the port, who holds it where that can be seen, and the setting that chooses another.
    """
    takers: dict[int, str] = {}
    for name, what in PORTS:
        port = int(getattr(settings, name))
        if port in takers:
            raise Unavailable(
                f"port {port} is set for {takers[port]} and for {what}; choose another for one of them, as with SEQUENCE_{name.upper()}"
            )
        takers[port] = what
    for name, what in PORTS:
        host = "127.0.0.1" if name == "desk_port" else settings.host
        port = int(getattr(settings, name))
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except PermissionError:
                raise Unavailable(
                    f"port {port} of {what} needs more rights than this user has; choose another with SEQUENCE_{name.upper()}"
                ) from None
            except OSError as error:
                raise Unavailable(
                    f"port {port} of {what} on {host} is in use{_holder(port)} ({error.strerror}); stop that program or choose another port with "
                    f"SEQUENCE_{name.upper()}={port + 10}"
                ) from None


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port and connection.pid:
                return f" by process {connection.pid} ({psutil.Process(connection.pid).name()})"
    except (psutil.Error, OSError):
        return ""
    return ""
