"""Atomic files: whole or not at all, whatever happens in between."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.base import ROOT, atomic_path, sha256_of, write_atomic


def test_a_file_is_written_into_a_new_folder_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.bin"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["b.bin"]


def test_an_error_while_writing_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "b.bin"
    write_atomic(path, b"old")

    def write_half() -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"ne")
            assert path.read_bytes() == b"old"
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["b.bin"]


@pytest.mark.slow
def test_a_process_killed_while_it_writes_never_leaves_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "b.bin"
    script = (
        "import sys; from pathlib import Path; from components.base import write_atomic\n"
        "n = 0\n"
        "while True:\n"
        "    n += 1\n"
        "    write_atomic(Path(sys.argv[1]), bytes([n % 256]) * 3_000_000)"
    )
    for pause in (0.0, 0.003, 0.011, 0.017):
        path.unlink(missing_ok=True)
        writer = subprocess.Popen([sys.executable, "-c", script, str(path)], cwd=ROOT)
        end = time.monotonic() + 30
        while not path.exists():
            assert time.monotonic() < end
        for _ in range(20):
            content = path.read_bytes()
            assert len(content) == 3_000_000
            assert len(set(content)) == 1
        time.sleep(pause)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        content = path.read_bytes()
        assert len(content) == 3_000_000
        assert len(set(content)) == 1


def test_two_writers_at_once_do_not_share_a_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "b.bin"
    with atomic_path(path) as first, atomic_path(path) as second:
        assert first != second
        first.write_bytes(b"first")
        second.write_bytes(b"second")
    assert path.read_bytes() == b"first", "the one that ended last wins, whole"


def test_the_hash_is_the_content_s(tmp_path: Path) -> None:
    path = tmp_path / "b.bin"
    path.write_bytes(b"abc" * 1_000_000)
    assert sha256_of(path) == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
