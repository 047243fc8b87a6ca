"""What stops the platform from starting says so in a sentence, with the exit code of its kind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.base import ROOT, Settings
from components.fx import Refused, Unavailable
from components.orchestrator import supervisor_pid
from components.orchestrator.leftovers import check_home, check_ports, only_supervisor


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def environment(home: Path, **more: object) -> dict[str, str]:
    api, dashboard, desk = free_ports(3)
    ports = {"SEQUENCE_API_PORT": api, "SEQUENCE_DASHBOARD_PORT": dashboard, "SEQUENCE_DESK_PORT": desk}
    return {**os.environ, "SEQUENCE_HOME": str(home), **{name: str(value) for name, value in {**ports, **more}.items()}}


def up(home: Path, **more: object) -> subprocess.CompletedProcess[str]:
    """`sequence up` where it must fail."""
    command = (sys.executable, "-m", "components", "up")
    return subprocess.run(command, cwd=ROOT, env=environment(home, **more), capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield int(taken.getsockname()[1])


@pytest.mark.parametrize(
    ("name", "what"), [("SEQUENCE_API_PORT", "the API"), ("SEQUENCE_DASHBOARD_PORT", "the dashboard"), ("SEQUENCE_DESK_PORT", "the desk")]
)
def test_a_port_in_use_is_named_with_its_holder_and_the_setting_that_changes_it(home: Path, taken_port: int, name: str, what: str) -> None:
    done = up(home, **{name: taken_port})
    assert done.returncode == 5
    assert f"port {taken_port} of {what} on 127.0.0.1 is in use" in done.stderr
    assert f"process {os.getpid()}" in done.stderr
    assert f"{name}={taken_port + 10}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (home / "logs").exists()


def test_two_equal_ports_are_refused(home: Path) -> None:
    port = free_ports(1)[0]
    done = up(home, SEQUENCE_API_PORT=port, SEQUENCE_DESK_PORT=port)
    assert done.returncode == 5
    assert f"port {port} is set for the API and for the desk; choose another for one of them, as with SEQUENCE_DESK_PORT" in done.stderr


def test_a_port_that_was_just_closed_counts_as_free(home: Path) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as every server does
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = int(listener.getsockname()[1])
        with socket.create_connection(("127.0.0.1", port)), listener.accept()[0]:
            pass
    api, dashboard, desk = port, *free_ports(2)
    check_ports(Settings(home=home, api_port=api, dashboard_port=dashboard, desk_port=desk))


def test_a_home_that_cannot_be_written_is_named_with_the_setting_that_changes_it() -> None:
    home = Path("/proc/sequence")
    done = up(home)
    assert done.returncode == 5
    assert f"cannot write to {home}" in done.stderr
    assert "SEQUENCE_HOME" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(Unavailable, match="cannot write to"):
        check_home(file)


def test_a_wrong_setting_is_named(home: Path) -> None:
    done = up(home, SEQUENCE_API_PORT="many")
    assert done.returncode == 2
    assert "SEQUENCE_API_PORT" in done.stderr


def test_only_one_supervisor_runs_on_a_home(home: Path) -> None:
    assert supervisor_pid(home) is None
    with only_supervisor(home):
        assert supervisor_pid(home) == os.getpid()
        with pytest.raises(Refused, match=f"already runs on .* as process {os.getpid()}; stop it first"), only_supervisor(home):
            pass
        done = up(home)
        assert (done.returncode, "already runs" in done.stderr) == (4, True)
    assert supervisor_pid(home) is None
    with only_supervisor(home):
        pass


def start_script(tmp_path: Path, dotenv: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """`start_platform.sh` alone in a folder with that `.env`, with nothing but `variables` in the environment."""
    folder = tmp_path / "clone"
    folder.mkdir(exist_ok=True)
    (folder / ".env").write_text(dotenv)
    for name in ("start_platform.sh", "requirements.txt", "constraints.txt"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return subprocess.run(("/bin/bash", str(folder / "start_platform.sh")), env=variables, capture_output=True, text=True, timeout=60, check=False)


def test_a_missing_python_is_said_with_what_to_do(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("dirname", "cat", "mktemp", "rm", "mkdir"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    done = start_script(tmp_path, PATH=str(tools))
    assert done.returncode == 1
    assert "Python 3.11.5 or newer is needed and none was found" in done.stderr
    assert "SEQUENCE_PYTHON" in done.stderr


def test_a_python_that_is_too_old_is_named_with_its_version(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\necho 'is 3.9.2, too old'\n")
    old.chmod(0o755)
    done = start_script(tmp_path, PATH="/usr/bin:/bin", SEQUENCE_PYTHON=str(old))
    assert done.returncode == 1
    assert f"{old} is 3.9.2, too old" in done.stderr


@pytest.mark.parametrize(
    ("dotenv", "variables"),
    [
        ("", {"SEQUENCE_PYTHON": "/nope"}),
        ("SEQUENCE_API_PORT=1\nSEQUENCE_PYTHON=/nope # mine", {}),
        ("SEQUENCE_PYTHON=/other", {"SEQUENCE_PYTHON": "/nope"}),
    ],
)
def test_a_named_python_that_is_not_there_is_named(tmp_path: Path, dotenv: str, variables: dict[str, str]) -> None:
    done = start_script(tmp_path, dotenv, PATH="/usr/bin:/bin", **variables)
    assert done.returncode == 1
    assert "SEQUENCE_PYTHON names /nope, which is not there" in done.stderr


def test_a_home_that_cannot_be_made_is_said_before_anything_is_installed(tmp_path: Path) -> None:
    done = start_script(tmp_path, PATH="/usr/bin:/bin", SEQUENCE_HOME="/proc/sequence")
    assert done.returncode == 1
    assert "cannot make the folder /proc/sequence: choose another with SEQUENCE_HOME" in done.stderr
    assert not (tmp_path / "clone" / ".venv").exists()
