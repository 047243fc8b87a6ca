"""Every test gets its own folder for databases and artefacts; thread counts are set before numpy is imported."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

for name, value in {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}.items():
    os.environ[name] = value

from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty output_central of this test's own."""
    folder = tmp_path / "output_central"
    folder.mkdir()
    return folder


@pytest.fixture
def control_c() -> Iterator[None]:
    """Control-C works here and in processes that are started here, even where the tests themselves run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real files, which are other people's and not part of this repository; the test is skipped where it is missing."""
    folder = Path(os.environ.get("SEQUENCE_REALDATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"the real files are not here: {folder} does not exist; set SEQUENCE_REALDATA to their folder")
    return folder
