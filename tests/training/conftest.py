"""A platform folder with the sample collected and a dataset built, made once; every test trains in a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from components.pipeline import Dataset, PipelineStore, build_dataset, collect


@pytest.fixture(scope="session")
def built_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one dataset; not to be changed."""
    home = tmp_path_factory.mktemp("built") / "output_central"
    build_dataset(home, collect(home, "sample", "EURUSD", "H1").id)
    return home


@pytest.fixture
def own_home(built_home: Path, tmp_path: Path) -> Path:
    """This test's own copy of it."""
    return Path(shutil.copytree(built_home, tmp_path / "copy"))


@pytest.fixture(scope="session")
def dataset(built_home: Path) -> Dataset:
    """The dataset."""
    (dataset,) = PipelineStore.open(built_home).datasets()
    return dataset
