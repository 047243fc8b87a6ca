"""A model that says whether a trade would be won does not say in which direction to trade."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.backtest import execute_backtest
from components.desk import DeploymentSpec, DeskStore
from components.fx import BadInput
from components.pipeline import build_dataset, collect
from components.training import train


def test_a_model_of_meta_labels_drives_no_direction_strategy(home: Path) -> None:
    bars = collect(home, "sample", "EURUSD", "H1")
    dataset = build_dataset(home, bars.id, {"target": {"kind": "meta_label"}})
    model = train(home, {"dataset_id": dataset.id, "folds": 2, "rounds": 10})
    deployment = DeploymentSpec(account_id="demo-1", symbol="EURUSD", strategy="model_edge", bar_set_id=bars.id, model_id=model["model_id"])
    for door in (
        lambda: execute_backtest(home, {"strategy": "model_edge", "bar_set_id": bars.id, "model_id": model["model_id"]}),
        lambda: DeskStore.open(home).create(deployment),
    ):
        with pytest.raises(BadInput, match="trained on meta-labels") as refused:
            door()
        assert refused.value.field == "model_id"


def test_a_model_of_other_bars_is_refused_by_name(home: Path) -> None:
    bars = collect(home, "sample", "EURUSD", "H1")
    model = train(home, {"dataset_id": build_dataset(home, bars.id).id, "folds": 2, "rounds": 10})
    from components.pipeline import resample_bar_set

    longer = resample_bar_set(home, bars.id, "H4")
    with pytest.raises(BadInput, match="was trained on EURUSD H1, wanted is EURUSD H4"):
        execute_backtest(home, {"strategy": "model_edge", "bar_set_id": longer.id, "model_id": model["model_id"]})
