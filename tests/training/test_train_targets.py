"""Training on every kind of target, with measures that fit the labels that it can have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.models import ModelStore, load_model
from components.pipeline import TARGETS, Dataset, build_dataset, load_dataset
from components.training import direction_accuracy, naive_measures, purged_folds, train


@pytest.fixture
def trained(own_home: Path, dataset: Dataset, request: pytest.FixtureRequest) -> tuple[Path, Dataset, dict[str, Any]]:
    """A model of the kind that the test asks for, with its dataset."""
    made = build_dataset(own_home, dataset.bar_set_id, {"target": {"kind": request.param}})
    return own_home, made, train(own_home, {"dataset_id": made.id, "folds": 2, "rounds": 30})


@pytest.mark.parametrize("trained", TARGETS, indirect=True)
def test_a_model_of_every_kind_of_target_is_trained_and_read_back(trained: tuple[Path, Dataset, dict[str, Any]]) -> None:
    home, dataset, result = trained
    frames = load_dataset(home, dataset.id)
    labels = set(frames.train["label"])
    assert labels <= set(dataset.recipe.target.classes)
    model = ModelStore.open(home).get(result["model_id"])
    assert model.metrics["target"]["kind"] == dataset.recipe.target.kind
    answer = load_model(home, model.id).predict(frames.test)
    np.testing.assert_allclose(answer.sum(axis=1), 1.0, rtol=1e-9)
    never = [place for place, label in enumerate((-1, 0, 1)) if label not in labels]
    assert answer[:, never].max(initial=0.0) < 1e-6  # a label that never was is next to impossible
    assert 0 < result["metrics"]["test"]["log_loss"] < 1.3


@pytest.mark.parametrize("trained", ["meta_label"], indirect=True)
def test_a_meta_label_has_no_direction_and_its_baselines_know_two_classes(trained: tuple[Path, Dataset, dict[str, Any]]) -> None:
    home, dataset, result = trained
    test = result["metrics"]["test"]
    assert test["direction_accuracy"] == 0.5
    frames = load_dataset(home, dataset.id)
    three = naive_measures(frames.train, frames.test)
    assert test["hour_log_loss"] < three["hour_log_loss"]  # a third class that cannot happen would only make the baseline worse
    assert test["prior_log_loss"] == three["prior_log_loss"]


def test_folds_are_purged_by_the_horizon_that_the_target_states(own_home: Path, dataset: Dataset) -> None:
    made = build_dataset(own_home, dataset.bar_set_id, {"target": {"kind": "trend_scan", "min_bars": 5, "max_bars": 40}, "embargo_bars": 3})
    rows = load_dataset(own_home, made.id).train
    row, end = rows["row"].to_numpy(), rows["label_end_row"].to_numpy()
    assert (end - row == 40).all()
    for fold in purged_folds(row, 4, made.recipe.target.horizon_bars, made.recipe.embargo_bars):
        assert end[fold.train].max() + 3 < row[fold.validation[0]]


def test_baselines_of_two_classes_worked_out_by_hand() -> None:
    index = pd.date_range("2024-01-01", periods=6, freq="24h", tz="UTC")
    rows = pd.DataFrame({"label": [1, 0, 1, 1, 0, 1], "row": np.arange(6), "label_end_row": np.arange(6) + 1}, index=index)
    got = naive_measures(rows.iloc[:4], rows.iloc[4:], (0, 1))
    # hour 0 saw one 0 and three 1; one is added to each of the two
    assert got["hour_log_loss"] == pytest.approx(-(np.log(2 / 6) + np.log(4 / 6)) / 2)
    assert direction_accuracy(np.array([[0.0, 0.2, 0.8]]), np.array([1]), (0, 1)) == 0.5
