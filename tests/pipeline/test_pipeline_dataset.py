"""Datasets: frozen by content, split in time, purged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.features import compute_features, triple_barrier
from components.fx import BadInput, Corrupt, NotFound, Timeframe, validate_bars
from components.pipeline import BarSet, DatasetRecipe, PipelineStore, build_dataset, load_dataset, split_rows
from components.pipeline.collect import keep_bars


def test_the_same_bars_and_recipe_give_the_same_dataset_in_another_home_too(home: Path, bar_set: BarSet, tmp_path: Path) -> None:
    from components.pipeline import collect

    first = build_dataset(home, bar_set.id)
    assert build_dataset(home, bar_set.id, DatasetRecipe()) == first
    assert build_dataset(home, bar_set.id, {"train_fraction": 0.7}) == first
    assert PipelineStore.open(home).datasets() == [first]
    elsewhere = tmp_path / "elsewhere"
    assert build_dataset(elsewhere, collect(elsewhere, "sample", "EURUSD", "H1").id).id == first.id


@pytest.mark.parametrize(
    "change",
    [{"train_fraction": 0.6}, {"embargo_bars": 0}, {"features": ("rsi_14", "gap")}, {"target": {"horizon_bars": 6}}, {"target": {"up_atr": 1.0}}],
)
def test_another_recipe_gives_another_dataset(change: dict[str, object], home: Path, bar_set: BarSet) -> None:
    assert build_dataset(home, bar_set.id, change).id != build_dataset(home, bar_set.id).id


def test_rows_are_the_features_and_labels_of_their_bars(home: Path, bar_set: BarSet) -> None:
    dataset = build_dataset(home, bar_set.id)
    frames = load_dataset(home, dataset.id)
    bars = PipelineStore.open(home).load_bars(bar_set.id)
    features, labels = compute_features(bars), triple_barrier(bars, 12, 2.0, 2.0, 14)
    rows = pd.concat([frames.train, frames.test])
    assert (len(frames.train), len(frames.test), len(rows)) == (dataset.train_rows, dataset.test_rows, dataset.rows)
    place = rows["row"].to_numpy()
    assert rows.index.equals(bars.index[place])
    np.testing.assert_array_equal(rows[list(frames.feature_names)], features.iloc[place])
    np.testing.assert_array_equal(rows["label"], labels["label"].iloc[place])
    np.testing.assert_array_equal(rows["label_end_row"], labels["end_row"].iloc[place])
    assert np.isfinite(rows.to_numpy(dtype=float)).all()


@pytest.mark.parametrize("embargo", [0, 12, 100])
@pytest.mark.parametrize("horizon", [1, 12, 48])
def test_no_training_label_reaches_the_test_part(horizon: int, embargo: int, home: Path, bar_set: BarSet) -> None:
    dataset = build_dataset(home, bar_set.id, {"embargo_bars": embargo, "target": {"horizon_bars": horizon}})
    frames = load_dataset(home, dataset.id)
    first_test = int(frames.test["row"].iloc[0])
    assert frames.train["label_end_row"].max() + embargo < first_test
    assert dataset.train_end_ms + embargo * 3_600_000 <= dataset.test_start_ms
    # nothing more than needed is given away: the next row's horizon would reach the embargo
    assert frames.train["row"].max() + 1 + horizon + embargo == first_test
    bars = PipelineStore.open(home).load_bars(bar_set.id)
    assert bars.index[first_test] == pd.Timestamp(dataset.test_start_ms, unit="ms", tz="UTC")
    assert bars.index[frames.train["label_end_row"].max()] + pd.Timedelta(hours=1) == pd.Timestamp(dataset.train_end_ms, unit="ms", tz="UTC")
    assert frames.train["row"].is_monotonic_increasing
    assert frames.train.index[-1] < frames.test.index[0]


def test_training_rows_do_not_change_when_the_test_part_does(home: Path, bar_set: BarSet) -> None:
    recipe = DatasetRecipe()
    bars = PipelineStore.open(home).load_bars(bar_set.id)
    before = split_rows(bars, recipe)
    other = bars.copy()
    start = int(before.test["row"].iloc[0])
    other.iloc[start:, :4] = other.iloc[start:, :4].to_numpy() * 1.1
    pd.testing.assert_frame_equal(split_rows(validate_bars(other), recipe).train, before.train)


def test_a_dataset_whose_file_was_changed_is_corrupt_and_building_it_again_heals_it(home: Path, bar_set: BarSet) -> None:
    dataset = build_dataset(home, bar_set.id)
    path = dataset.path / "train.arrow"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(Corrupt):
        load_dataset(home, dataset.id)
    assert build_dataset(home, bar_set.id).id == dataset.id
    assert len(load_dataset(home, dataset.id).train) == dataset.train_rows


@pytest.mark.parametrize(
    ("recipe", "field"),
    [
        ({"features": ["rsi"]}, "features"),
        ({"features": []}, "features"),
        ({"train_fraction": 1.0}, "train_fraction"),
        ({"train_fraction": float("nan")}, "train_fraction"),
        ({"embargo_bars": -1}, "embargo_bars"),
        ({"target": {"horizon_bars": 0}}, "target.horizon_bars"),
        ({"target": {"up_atr": float("inf")}}, "target.up_atr"),
        ({"colour": "green"}, "colour"),
    ],
)
def test_a_wrong_recipe_is_refused_by_field(recipe: dict[str, object], field: str, home: Path, bar_set: BarSet) -> None:
    with pytest.raises(BadInput) as error:
        build_dataset(home, bar_set.id, recipe)
    assert error.value.field == field


def test_too_few_bars_are_refused_with_the_numbers(home: Path, raw: pd.DataFrame) -> None:
    few = keep_bars(home, "sample", "EURUSD", Timeframe.H1, validate_bars(raw.iloc[:400]), 100.0, {})
    with pytest.raises(BadInput, match="400 bars leave 38 usable rows"):
        build_dataset(home, few.id)


def test_a_dataset_of_unknown_bars_is_not_found(home: Path) -> None:
    with pytest.raises(NotFound):
        build_dataset(home, "nothing")
    with pytest.raises(NotFound):
        load_dataset(home, "nothing")
