"""A model that is trained anew for every window sees that window's training part and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from walk_worlds import kept, scrambled_from, walk_bars

from components.backtest import walkforward_model
from components.backtest.walkforward import execute_walkforward
from components.backtest.walkforward_model import Refit, fit_window, refit_of, say_window
from components.backtest.walkforward_spec import RefitSpec
from components.fx import BadInput, Timeframe
from components.pipeline import DatasetRecipe, PipelineStore, build_dataset
from components.training import TrainSpec

RECIPE: dict[str, Any] = {
    "features": ["return_1", "return_6", "return_24", "rsi_14"], "target": {"kind": "forward_return", "horizon_bars": 6}, "normalise": "standard",
}  # fmt: skip
HYPER: dict[str, Any] = {"rounds": 15, "least_rows_in_leaf": 20}
BARS = walk_bars(1_600, 11, drift=0.4)
WALK: dict[str, Any] = {
    "strategy": "model_edge", "ranges": {"edge": [0.02, 0.1]}, "refit": {"recipe": RECIPE, "hyper": HYPER}, "train_bars": 900, "test_bars": 200,
    "windows": 2, "min_trades": 0, "costs": {"spread_points": 0},
}  # fmt: skip


def refit() -> Refit:
    return Refit(DatasetRecipe(**RECIPE), TrainSpec(dataset_id="none", **HYPER), 3, "EURUSD", Timeframe.H1)


def test_labels_end_inside_the_training_part_and_bars_behind_it_move_neither_model_nor_answers() -> None:
    spans = [(100, 900)]
    model = fit_window(refit(), BARS, spans)
    assert model.last_label_bar == 899
    other = scrambled_from(BARS, 900)
    again = fit_window(refit(), other, spans)
    assert (again.sha256, again.rows) == (model.sha256, model.rows)
    pd.testing.assert_frame_equal(again.judged, model.judged)
    first = say_window(refit(), model, BARS, (900, 1_000))
    assert first.notna().to_numpy().all()
    # Answers follow the bars that they are about, each row its own past only.
    pd.testing.assert_frame_equal(say_window(refit(), model, BARS, (900, 950)), first.iloc[:50])
    assert not say_window(refit(), model, other, (900, 1_000)).equals(first)


def test_a_model_that_is_told_its_future_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted leak: rows whose labels reach behind the training part."""

    def all_rows(refit: Refit, bars: pd.DataFrame, spans: Any) -> pd.DataFrame:
        longer = [(first, end + 60) for first, end in spans]
        return honest(refit, bars, longer)

    honest = walkforward_model._rows_of
    clean = fit_window(refit(), BARS, [(100, 900)])
    monkeypatch.setattr(walkforward_model, "_rows_of", all_rows)
    leaking = fit_window(refit(), BARS, [(100, 900)])
    assert leaking.last_label_bar >= 900 > clean.last_label_bar
    assert fit_window(refit(), scrambled_from(BARS, 900), [(100, 900)]).sha256 != leaking.sha256


def test_scaling_is_fitted_on_the_rows_of_the_part_alone() -> None:
    model = fit_window(refit(), BARS, [(400, 900)])
    from components.features import FeatureInputs, compute_features

    features = compute_features(BARS.iloc[:900], RECIPE["features"], FeatureInputs("EURUSD", timeframe=Timeframe.H1)).iloc[400:894]
    np.testing.assert_allclose(model.transform.centre, features.mean().to_numpy())
    assert model.rows == len(features)


def test_every_training_row_is_judged_by_a_model_that_did_not_see_it_or_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[set[int], set[int]]] = []
    apart = walkforward_model._apart_from

    def watched(row: Any, block: Any, horizon: int) -> Any:
        others = apart(row, block, horizon)
        seen.append((set(row[others].tolist()), set(row[block].tolist())))
        return others

    monkeypatch.setattr(walkforward_model, "_apart_from", watched)
    model = fit_window(refit(), BARS, [(100, 900)])
    assert len(seen) == 3
    for trained, judged in seen:
        assert min(abs(a - b) for a in trained for b in (min(judged), max(judged))) > 6
    assert len(set().union(*(judged for _, judged in seen))) == model.rows == len(model.judged)


def test_between_stretches_of_a_training_part_no_label_crosses_a_tested_bar() -> None:
    model = fit_window(refit(), BARS, [(0, 500), (800, 1_200)])
    rows = BARS.index.get_indexer(model.judged.index)
    assert not ((rows + 6 >= 500) & (rows < 800)).any()
    assert rows.max() + 6 < 1_200


def test_nothing_of_a_test_part_moves_what_its_window_chose_or_trained(home: Path) -> None:
    windows = execute_walkforward(home, {**WALK, "bar_set_id": kept(home, BARS)}).result["windows"]
    other = execute_walkforward(home, {**WALK, "bar_set_id": kept(home, scrambled_from(BARS, 1_194))}).result["windows"]
    for name in ("test", "params", "in_sample", "model"):
        assert windows[0][name] == other[0][name]
    assert windows[0]["model"]["last_label_bar"] < 1_194  # test parts begin at 1,200; the gap is the horizon
    assert windows[0]["model"]["sha256"] != windows[1]["model"]["sha256"]
    assert other[1]["model"]["sha256"] != windows[1]["model"]["sha256"]
    assert [window["in_sample"]["trades"] > 0 for window in windows] == [True, True]


def test_purge_is_the_horizon_and_less_is_refused(home: Path) -> None:
    bar_set_id = kept(home, BARS)
    assert execute_walkforward(home, {**WALK, "bar_set_id": bar_set_id, "windows": 1}).result["purge_bars"] == 6
    with pytest.raises(BadInput, match="horizon"):
        execute_walkforward(home, {**WALK, "bar_set_id": bar_set_id, "purge_bars": 5})


def test_a_dataset_gives_its_recipe(home: Path) -> None:
    bar_set_id = kept(home, BARS)
    dataset = build_dataset(home, bar_set_id, RECIPE)
    bar_set = PipelineStore.open(home).bar_set(bar_set_id)
    assert refit_of(home, RefitSpec(dataset_id=dataset.id), bar_set).recipe == DatasetRecipe(**RECIPE)
    with pytest.raises(BadInput, match="one of the two"):
        refit_of(home, RefitSpec(dataset_id=dataset.id, recipe=RECIPE), bar_set)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"recipe": {"target": {"kind": "meta_label"}}}, "refit.recipe.target"),
        ({"hyper": {"folds": 3}}, "refit.hyper.folds"),
        ({"hyper": {"rounds": 0}}, "rounds"),
        ({"recipe": {"speed": 1}}, "speed"),
    ],
)
def test_a_refit_that_cannot_trade_is_refused(home: Path, changes: dict[str, Any], field: str) -> None:
    bar_set = PipelineStore.open(home).bar_set(kept(home, BARS))
    with pytest.raises(BadInput) as error:
        refit_of(home, RefitSpec(**changes), bar_set)
    assert error.value.field == field


def test_a_part_that_is_too_short_for_a_model_says_so() -> None:
    with pytest.raises(BadInput, match="100"):
        fit_window(refit(), BARS, [(0, 120)])
