"""A platform folder with the sample collected, a dataset built and a model trained, made once; tests that change it take a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from components.models import Model, ModelStore
from components.pipeline import PipelineStore, build_dataset, collect
from components.training import train


@pytest.fixture(scope="session")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one trained model; not to be changed."""
    home = tmp_path_factory.mktemp("trained") / "output_central"
    dataset = build_dataset(home, collect(home, "sample", "EURUSD", "H1").id)
    train(home, {"dataset_id": dataset.id, "folds": 2})
    return home


@pytest.fixture
def own_home(trained_home: Path, tmp_path: Path) -> Path:
    """This test's own copy of it."""
    return Path(shutil.copytree(trained_home, tmp_path / "copy"))


@pytest.fixture(scope="session")
def model(trained_home: Path) -> Model:
    """The trained model's entry."""
    (model,) = ModelStore.open(trained_home).list()
    return model


@pytest.fixture(scope="session")
def bars(trained_home: Path) -> pd.DataFrame:
    """The sample bars."""
    store = PipelineStore.open(trained_home)
    return store.load_bars(store.bar_sets()[0].id)
