"""A model that was trained on scaled features scales what it is asked in the same way, and never without its own transform."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.base import Database
from components.features import check_causal
from components.fx import BadInput, Corrupt, NotFound
from components.models import Model, ModelStore, load_model, probabilities
from components.pipeline import FittedTransform, PipelineStore, build_dataset, load_dataset
from components.training import train

RECIPES = {
    "standard": {"normalise": "standard"},
    "robust": {"normalise": "robust", "select": {"method": "correlation", "most_features": 9}},
    "quantile": {"normalise": "quantile", "select": {"most_features": 12, "most_correlation": 0.8}, "target": {"kind": "forward_return"}},
    "none": {"select": {"most_features": 5}, "target": {"kind": "trend_scan", "max_bars": 12}},
}


@pytest.fixture(scope="session")
def scaled_home(trained_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one model per way of scaling; not to be changed."""
    home = Path(shutil.copytree(trained_home, tmp_path_factory.mktemp("scaled") / "output_central"))
    bar_set = PipelineStore.open(home).bar_sets()[0]
    for name, recipe in RECIPES.items():
        train(home, {"dataset_id": build_dataset(home, bar_set.id, recipe).id, "name": name, "folds": 2, "rounds": 20})
    return home


@pytest.mark.parametrize("name", RECIPES)
def test_live_probabilities_are_those_of_the_dataset_row_bit_for_bit(name: str, scaled_home: Path, bars: pd.DataFrame) -> None:
    model = ModelStore.open(scaled_home).get(f"{name}:1")
    frames = load_dataset(scaled_home, model.dataset_id)
    assert model.feature_names == frames.feature_names
    on_rows = load_model(scaled_home, model.id).predict(frames.test)
    row = frames.test["row"].to_numpy()
    live = probabilities(scaled_home, model.id, bars)
    np.testing.assert_array_equal(live.to_numpy()[row], on_rows)
    for place in range(0, len(row), 97):
        alone = probabilities(scaled_home, model.id, bars.iloc[: row[place] + 1], last_only=True)
        np.testing.assert_array_equal(alone.to_numpy()[0], on_rows[place])


def test_a_scaled_model_does_not_look_ahead(scaled_home: Path, bars: pd.DataFrame) -> None:
    assert check_causal(lambda b: probabilities(scaled_home, "quantile:1", b), bars, cuts=[3700, 4321, 4998, 4999]) == []


def test_a_model_keeps_its_own_transform_when_its_dataset_is_gone(scaled_home: Path, tmp_path: Path, bars: pd.DataFrame) -> None:
    home = Path(shutil.copytree(scaled_home, tmp_path / "copy"))
    before = probabilities(home, "robust:1", bars)
    PipelineStore.open(home).delete_dataset(ModelStore.open(home).get("robust:1").dataset_id)
    elsewhere = Path(shutil.move(home, tmp_path / "moved"))
    pd.testing.assert_frame_equal(probabilities(elsewhere, "robust:1", bars), before, check_exact=True)


def test_a_changed_or_missing_transform_is_not_used(scaled_home: Path, tmp_path: Path) -> None:
    home = Path(shutil.copytree(scaled_home, tmp_path / "copy"))
    model = load_model(home, "standard:1").model
    path = model.path.with_name("transform.json")
    text = path.read_text()
    path.write_text(text.replace('"method": "standard"', '"method": "robust"'))
    os.utime(path, ns=(0, 0))
    with pytest.raises(Corrupt, match=r"transform\.json .* do not trade it"):
        load_model(home, model.id)
    path.unlink()
    with pytest.raises(NotFound, match="transform"):
        load_model(home, model.id)
    path.write_text(text)
    assert load_model(home, model.id).transform is not None


def test_the_same_trees_with_another_transform_are_another_model(own_home: Path, model: Model) -> None:
    store = ModelStore.open(own_home)
    names = model.feature_names
    entry = {name: getattr(model, name) for name in ("family", "dataset_id", "symbol", "timeframe", "trained_until_ms", "metrics")}
    content = model.path.read_bytes()
    zeros, ones = (0.0,) * len(names), (1.0,) * len(names)
    made = [
        store.register(name="one", content=content, feature_names=names, transform=FittedTransform("standard", names, centre, ones), **entry)
        for centre in (zeros, ones)
    ]
    assert made[0].id != made[1].id
    plain = store.register(name=model.name, content=content, feature_names=names, transform=FittedTransform("none", names), **entry)
    assert plain.id == model.id  # values that stay as they are need no transform
    with pytest.raises(BadInput, match="other features"):
        store.register(name="one", content=content, feature_names=names, transform=FittedTransform("none", names[1:]), **entry)


def test_models_of_a_dataset_are_found_by_it(own_home: Path, model: Model) -> None:
    store = ModelStore.open(own_home)
    assert [one.id for one in store.of_dataset(model.dataset_id)] == [model.id]
    assert store.of_dataset("another") == ()


def test_a_registry_from_before_there_were_transforms_opens(home: Path) -> None:
    from components.base import create_all
    from components.models.store import _FIRST

    home.mkdir(exist_ok=True)
    old = Database(home / "models.db", [create_all(_FIRST)])
    with old.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO models VALUES ('a1', 'old', 1, 'lightgbm', 'd', 'EURUSD', 'H1', '[\"gap\"]', 5, '{}', 'ff', 6, 'live')"
        )
    old.close()
    (known,) = ModelStore.open(home).list()
    assert (known.name, known.transform_sha256, known.stage) == ("old", "", "live")
