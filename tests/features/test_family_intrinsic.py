"""Intrinsic time: the compiled machine against runs found in another way, and what holds for every kernel."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from kernel_runs import check_formula, made, whole

from components.features.family_intrinsic import FORMULAS
from components.features.formula import Formula

BY_NAME = {formula.name: formula for formula in FORMULAS}


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: formula.name)
def test_a_formula_of_intrinsic_time_is_the_same_in_one_go_in_blocks_and_bar_by_bar(formula: Formula, bars: pd.DataFrame) -> None:
    check_formula(formula, bars)


@pytest.mark.parametrize("periods", [(1, 5), (2, 24), (5, 100)])
@pytest.mark.parametrize("name", ["dc_side", "dc_age", "dc_move"])
def test_two_starts_agree_after_the_warm_up_for_other_thresholds_too(name: str, periods: tuple[int, int], bars: pd.DataFrame) -> None:
    formula = BY_NAME[name]
    values, warmup = whole(formula, bars, periods), formula.warmup(*periods)
    for start in range(50, 3000, 173):
        np.testing.assert_allclose(whole(formula, bars.iloc[start:], periods)[warmup:], values[start + warmup :], rtol=1e-9)


def runs(closes: np.ndarray, thresholds: np.ndarray, first: int) -> list[tuple[int, int]]:
    """Confirmations as (row, side), from the definition: the first row at which the move back from the extreme of the run reaches the threshold."""
    found: list[tuple[int, int]] = []
    begin, side = first, 0
    while True:
        window = closes[begin:]
        falls, rises = np.maximum.accumulate(window) - window, window - np.minimum.accumulate(window)
        limit = thresholds[begin:]
        hits = {-1: np.flatnonzero((falls >= limit) & (falls > 0)), 1: np.flatnonzero((rises >= limit) & (rises > 0))}
        wanted = [(int(rows[0]), to) for to, rows in hits.items() if len(rows) and to != side]
        if not wanted:
            return found
        row, side = min(wanted)
        begin += row
        found.append((begin, side))


def test_the_machine_finds_the_turns_of_the_definition(bars: pd.DataFrame) -> None:
    closes, before = bars.close.to_numpy(), bars.close.shift(1)
    reach = pd.concat([bars.high, before], axis=1).max(axis=1) - pd.concat([bars.low, before], axis=1).min(axis=1)
    reach.iloc[0] = np.nan
    thresholds = 3 * reach.rolling(24).mean().to_numpy()
    turns = runs(closes, thresholds, 24)
    assert len(turns) > 100
    values = {name: whole(formula, bars) for name, formula in BY_NAME.items()}
    begun = closes[24 : turns[0][0] + 1].min() if turns[0][1] == 1 else closes[24 : turns[0][0] + 1].max()
    for (row, side), (following, _) in pairwise(turns):
        rows = np.arange(row, following)
        extreme = np.maximum.accumulate(side * closes[row:following]) * side
        assert (values["dc_side"][rows] == side).all()
        np.testing.assert_array_equal(values["dc_age"][rows], rows - row)
        np.testing.assert_allclose(values["dc_overshoot"][rows], side * (extreme - closes[row]) / thresholds[rows], rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(values["dc_retracement"][rows], side * (extreme - closes[rows]) / thresholds[rows], rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(values["dc_move"][rows], (extreme - begun) / thresholds[rows], rtol=1e-7, atol=1e-9)
        begun = extreme[-1]
    confirmed = np.zeros(len(bars))
    confirmed[[row for row, _ in turns]] = 1
    counted = pd.Series(confirmed).rolling(120).sum().to_numpy()
    np.testing.assert_array_equal(values["dc_events"][200:], counted[200:])


def test_a_turn_is_known_at_the_close_that_reaches_the_threshold_and_not_before() -> None:
    # Steps of 1 make a mean true range of 1; the threshold is 3, so the turn from 110 is confirmed at 107.
    closes = [100.0 + k for k in range(11)] + [109.0, 108.0, 107.0, 106.0]
    side = whole(BY_NAME["dc_side"], made(closes), (3, 1))
    assert side[10:].tolist() == [1.0, 1.0, 1.0, -1.0, -1.0]
    assert whole(BY_NAME["dc_retracement"], made(closes), (3, 1))[11:13] == pytest.approx([1 / 3, 2 / 3])
    assert whole(BY_NAME["dc_overshoot"], made(closes), (3, 1))[10] == pytest.approx(2.0), "confirmed at 104, now at 110"
    assert whole(BY_NAME["dc_move"], made(closes), (3, 1))[10] == pytest.approx(3.0), "from 101, the first close with a threshold"
