"""Labels that are computed in stretches are those of the whole history."""

from __future__ import annotations

import numpy as np
import pytest

from components.fx import validate_bars
from components.pipeline import DatasetRecipe, dataset_rows
from components.pipeline.sources.sample import sample_bars

TARGETS = [
    {"kind": "triple_barrier", "horizon_bars": 24},
    {"kind": "forward_return", "horizon_bars": 12},
    {"kind": "meta_label", "horizon_bars": 24},
    {"kind": "trend_scan", "min_bars": 5, "max_bars": 30},
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: str(target["kind"]))
def test_stretches_give_the_labels_of_the_whole(target: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    bars = validate_bars(sample_bars())
    recipe = DatasetRecipe.model_validate({"target": target, "features": ["return_1", "rsi_14"]})
    whole = recipe.target.compute(bars, None)
    monkeypatch.setattr(dataset_rows, "LABEL_BLOCK", 700)
    monkeypatch.setattr(dataset_rows, "LABEL_HISTORY", 1_500)
    parts = dataset_rows._labels(bars, recipe, None, None)
    assert np.array_equal(parts["label"], whole["label"].to_numpy(), equal_nan=True)
    assert np.array_equal(parts["end_row"], whole["end_row"].to_numpy())
    assert np.allclose(parts["value"], whole["value"].to_numpy(), rtol=0, atol=1e-9, equal_nan=True)
    assert np.isfinite(parts["label"]).sum() > 2_000


def test_a_stretch_that_forgot_its_history_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    bars = validate_bars(sample_bars())
    recipe = DatasetRecipe.model_validate({"target": TARGETS[0], "features": ["return_1"]})
    monkeypatch.setattr(dataset_rows, "LABEL_BLOCK", 700)
    monkeypatch.setattr(dataset_rows, "LABEL_HISTORY", 0)
    parts = dataset_rows._labels(bars, recipe, None, None)
    assert not np.array_equal(parts["label"], recipe.target.compute(bars, None)["label"].to_numpy(), equal_nan=True)
