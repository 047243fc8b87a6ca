"""Scaling and selection: fitted on training rows only, and the same for every later row."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_selection import mutual_info_classif
from sklearn.preprocessing import RobustScaler, StandardScaler

from components.features import compute_features
from components.fx import BadInput, Corrupt, validate_bars
from components.pipeline import BarSet, DatasetRecipe, FittedTransform, PipelineStore, build_dataset, load_dataset, load_transform, split_rows
from components.pipeline.transform import METHODS, correlation, fit_transform, information, rank_of, select_features

SCALED = pytest.mark.parametrize("method", METHODS[1:])


def bars_of(home: Path, bar_set: BarSet) -> pd.DataFrame:
    return PipelineStore.open(home).load_bars(bar_set.id)


def with_another_end(bars: pd.DataFrame, start: int) -> pd.DataFrame:
    """The same bars with wilder prices from row `start` on."""
    other = bars.copy()
    later = np.exp(np.cumsum(np.random.default_rng(3).normal(0.0, 0.01, len(bars) - start)))
    other.iloc[start:, :4] = other.iloc[start:, :4].to_numpy() * later[:, None]
    other.iloc[start:, 4] = other.iloc[start:, 4] * 7.0
    return validate_bars(other)


@SCALED
def test_what_happens_in_the_test_part_does_not_reach_the_transform(method: str, home: Path, bar_set: BarSet) -> None:
    bars = bars_of(home, bar_set)
    recipe = DatasetRecipe.model_validate({"normalise": method, "select": {"most_features": 12, "most_correlation": 0.8}})
    before = split_rows(bars, recipe)
    after = split_rows(with_another_end(bars, int(before.test["row"].iloc[0])), recipe)
    assert after.transform == before.transform
    pd.testing.assert_frame_equal(after.train, before.train)
    assert not np.allclose(after.test[list(before.feature_names)].iloc[-100:], before.test[list(before.feature_names)].iloc[-100:])


@SCALED
def test_nor_does_what_the_embargo_keeps_out_of_the_training_part(method: str, home: Path, bar_set: BarSet) -> None:
    bars = bars_of(home, bar_set)
    recipe = DatasetRecipe.model_validate({"normalise": method, "embargo_bars": 200})
    before = split_rows(bars, recipe)
    last = int(before.train["row"].iloc[-1])
    assert split_rows(with_another_end(bars, last + 13), recipe).transform == before.transform


@SCALED
def test_the_training_rows_alone_give_the_transform(method: str, home: Path, bar_set: BarSet) -> None:
    frames = split_rows(bars_of(home, bar_set), DatasetRecipe.model_validate({"normalise": method}))
    raw = compute_features(bars_of(home, bar_set))
    training = raw.iloc[frames.train["row"].to_numpy()]
    assert fit_transform(method, training, raw.columns) == frames.transform  # type: ignore[arg-type]
    everything = raw.iloc[np.concatenate((frames.train["row"], frames.test["row"]))]
    assert fit_transform(method, everything, raw.columns) != frames.transform  # type: ignore[arg-type]
    np.testing.assert_array_equal(frames.transform.apply(training), frames.train[list(frames.feature_names)])


def test_standard_and_robust_scales_are_those_of_scikit_learn() -> None:
    values = np.random.default_rng(1).lognormal(size=(500, 3))
    frame = pd.DataFrame(values, columns=list("abc"))
    for method, peer in (("standard", StandardScaler()), ("robust", RobustScaler())):
        ours = fit_transform(method, frame, list("abc")).apply(frame)  # type: ignore[arg-type]
        np.testing.assert_allclose(ours, peer.fit_transform(values), rtol=1e-10, atol=1e-12)


def test_quantiles_are_the_share_of_training_rows_below() -> None:
    frame = pd.DataFrame({"a": np.arange(1001.0), "tied": np.repeat([0.0, 0.0, 0.0, 5.0], 251)[:1001], "still": 3.0})
    transform = fit_transform("quantile", frame, list(frame.columns))
    asked = pd.DataFrame({"a": [-5.0, 0.0, 250.0, 333.3, 1000.0, 1e9, np.nan], "tied": [-1.0, 0.0, 0.0, 5.0, 5.0, 6.0, 2.5], "still": 3.0})
    got = transform.apply(asked)
    assert got["a"].to_numpy()[:6] == pytest.approx([0, 0, 0.25, 0.3333, 1, 1])
    assert np.isnan(got["a"].iloc[6])
    assert got["tied"].iloc[[0, 5]].tolist() == [0, 1]
    assert got["tied"].iloc[1] == got["tied"].iloc[2] == pytest.approx(0.375, abs=0.01)  # the middle of the ranks that share the value
    assert (got["still"] == 0.5).all()


def test_a_feature_that_never_moves_becomes_zero_and_no_infinity() -> None:
    frame = pd.DataFrame({"a": np.full(100, 1.1), "b": np.full(100, 0.0)})
    for method in ("standard", "robust"):
        transform = fit_transform(method, frame, ["a", "b"])  # type: ignore[arg-type]
        assert np.abs(transform.apply(frame)).to_numpy().max() < 1e-12
        assert transform.scale == (1.0, 1.0)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(METHODS[1:]), st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=60))
def test_a_row_alone_is_scaled_as_it_is_among_others(method: str, values: list[float]) -> None:
    frame = pd.DataFrame({"a": values, "b": values[::-1]})
    transform = fit_transform(method, frame.iloc[: len(values) // 2 + 1], ["b", "a"])  # type: ignore[arg-type]
    whole = transform.apply(frame)
    assert list(whole.columns) == ["b", "a"]
    for row in range(len(values)):
        np.testing.assert_array_equal(transform.apply(frame.iloc[[row]]).to_numpy()[0], whole.to_numpy()[row])
    back = FittedTransform.from_json(transform.to_json())
    assert back == transform
    assert back.sha256 == transform.sha256


def test_selection_keeps_what_tells_about_the_label_and_leaves_out_copies() -> None:
    rng = np.random.default_rng(5)
    label = rng.integers(-1, 2, 3000)
    frame = pd.DataFrame({"noise": rng.normal(size=3000), "clue": label + rng.normal(0, 0.8, 3000), "hidden": label**2 + rng.normal(0, 0.3, 3000)})
    frame["copy"] = np.exp(frame["clue"])  # the same order, so the same ranks
    names = list(frame.columns)
    assert select_features(frame, label, names, "correlation", 1, 1.0) == ("clue",)
    assert select_features(frame, label, names, "mutual_information", 2, 0.9) == ("clue", "hidden")
    assert select_features(frame, label, names, "none", 2, 0.9) == ("noise", "clue")
    assert select_features(frame, label, names, "none", None, 0.9) == ("noise", "clue", "hidden")
    assert select_features(frame, label, names, "mutual_information", None, 1.0) == tuple(names)
    assert abs(correlation(rank_of(frame["clue"].to_numpy()), label.astype(float))) > 0.5


def test_information_is_that_of_scikit_learn_over_tenths() -> None:
    rng = np.random.default_rng(2)
    label = rng.integers(0, 2, 4000)
    values = label * 1.5 + rng.normal(size=4000)
    tenths = pd.qcut(values, 10, labels=False)
    expected = mutual_info_classif(tenths[:, None], label, discrete_features=True)[0]
    assert information(rank_of(values), label) == pytest.approx(expected, abs=1e-12)
    assert rank_of(np.array([5.0, 1.0, 5.0])).tolist() == [1.5, 0.0, 1.5]


def test_the_transform_travels_with_the_dataset_as_a_file(home: Path, bar_set: BarSet) -> None:
    recipe = {"normalise": "robust", "select": {"method": "correlation", "most_features": 7}}
    dataset = build_dataset(home, bar_set.id, recipe)
    frames = load_dataset(home, dataset.id)
    assert set(dataset.sha256) == {"train.arrow", "test.arrow", "transform.json"}
    assert frames.transform == load_transform(dataset)
    assert frames.feature_names == dataset.feature_names == frames.transform.features
    assert list(frames.train.columns) == [*frames.feature_names, "label", "row", "label_end_row", "label_value"]
    assert len(frames.feature_names) == 7
    assert dataset.transform == {"normalise": "robust", "features": list(frames.feature_names), "sha256": frames.transform.sha256}
    assert abs(np.median(frames.train[frames.feature_names[0]])) < 1e-12
    path = dataset.path / "transform.json"
    changed = json.loads(path.read_text())
    changed["scale"][0] *= 2
    path.write_text(json.dumps(changed, sort_keys=True))
    with pytest.raises(Corrupt, match="not what was written"):
        load_dataset(home, dataset.id)
    assert build_dataset(home, bar_set.id, recipe).id == dataset.id  # building it again heals it
    assert load_dataset(home, dataset.id).transform == frames.transform


def test_a_transform_that_is_none_is_refused() -> None:
    with pytest.raises(Corrupt, match="cannot be read"):
        FittedTransform.from_json('{"method": "standard"}')
    with pytest.raises(Corrupt, match="does not fit"):
        FittedTransform.from_json('{"method": "standard", "features": ["a"], "centre": [], "scale": [1.0], "knots": []}')
    with pytest.raises(Corrupt, match="not JSON"):
        FittedTransform.from_json("{")
    with pytest.raises(BadInput, match="'b' is missing"):
        fit_transform("standard", pd.DataFrame({"b": [1.0, 2.0]}), ["b"]).apply(pd.DataFrame({"a": [1.0]}))
