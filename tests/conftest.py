"""Every test gets its own folder for databases and artefacts; thread counts are set before numpy is imported."""

from __future__ import annotations

import os

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
