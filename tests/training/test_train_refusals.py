"""What training refuses to build on."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.fx import Refused
from components.models import ModelStore
from components.pipeline import Dataset, PipelineStore
from components.training import train


def test_nothing_is_trained_on_a_dataset_whose_bars_were_quarantined_since(own_home: Path, dataset: Dataset) -> None:
    store = PipelineStore.open(own_home)
    store.set_state(dataset.bar_set_id, "quarantined", "Ann", "the broker's clock was wrong")
    with pytest.raises(Refused, match="is quarantined"):
        train(own_home, {"dataset_id": dataset.id})
    assert ModelStore.open(own_home).list() == ()
    store.set_state(dataset.bar_set_id, "released", "Ann", "it was right after all")
    assert train(own_home, {"dataset_id": dataset.id, "rounds": 3, "folds": 2})["version"] == 1
