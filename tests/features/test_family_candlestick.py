"""Candlestick patterns against TA-Lib's, and what holds for every kernel."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import talib
from kernel_runs import check_formula, made, whole

from components.features.family_candlestick import FORMULAS
from components.features.formula import Formula
from components.fx import validate_bars

EACH = pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: formula.name)
BY_NAME = {formula.name: formula for formula in FORMULAS}


def of_talib(formula: Formula, bars: pd.DataFrame) -> np.ndarray:
    """What TA-Lib says: the sign of its ±100 and ±80."""
    o, h, low, c = (bars[name].to_numpy(copy=True) for name in ("open", "high", "low", "close"))
    return np.sign(getattr(talib, formula.source.split()[-1])(o, h, low, c)).astype(float)


def staggering(rows: int) -> pd.DataFrame:
    """Bars with gaps between them and no two numbers alike, so that every pattern occurs and no comparison is a tie."""
    random = np.random.default_rng(11)
    # Stretches of rises and of falls: soldiers and crows march in them.
    march = np.repeat(random.choice([-1.0, 0.0, 1.0], rows // 6), 6)
    middle = 1_000 + np.cumsum(0.5 * march + random.normal(0, 0.5, rows))
    body = random.choice([0.02, 0.3, 1.0, 2.0], rows) * (random.normal(0, 1, rows) + march)
    upper, lower = (random.choice([0.005, 0.2, 1.0], rows) * random.random(rows) for _ in range(2))
    opens, closes = middle - body / 2, middle + body / 2
    frame = pd.DataFrame({"open": opens, "high": np.maximum(opens, closes) + upper, "low": np.minimum(opens, closes) - lower, "close": closes})
    return validate_bars(frame.set_index(pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC")))


@EACH
def test_a_pattern_is_the_same_in_one_go_in_blocks_and_bar_by_bar(formula: Formula, bars: pd.DataFrame) -> None:
    check_formula(formula, bars)


@EACH
def test_a_pattern_is_ta_libs_where_nothing_is_a_tie(formula: Formula) -> None:
    bars = staggering(30_000)
    expected = of_talib(formula, bars)
    assert np.count_nonzero(expected) >= 10
    np.testing.assert_array_equal(whole(formula, bars)[20:], expected[20:])


@EACH
def test_a_pattern_is_ta_libs_on_real_bars(formula: Formula, bars: pd.DataFrame) -> None:
    np.testing.assert_array_equal(whole(formula, bars)[20:], of_talib(formula, bars)[20:])


def test_a_tie_falls_the_same_way_wherever_the_history_begins(bars: pd.DataFrame) -> None:
    doji = BY_NAME["doji"]
    np.testing.assert_array_equal(whole(doji, bars.iloc[1_234:])[10:], whole(doji, bars)[1_244:])


def test_three_black_crows_and_an_engulfing_bar_look_as_in_the_book() -> None:
    frame = made([10.0] * 16, reach=0.1)
    frame.iloc[:12, :4] = [10.0, 10.3, 9.7, 10.1]
    crows = [[10.0, 10.6, 9.9, 10.5], [10.4, 10.45, 9.69, 9.7], [9.9, 9.95, 9.19, 9.2], [9.5, 9.55, 8.69, 8.7]]
    frame.iloc[12:, :4] = crows
    assert whole(BY_NAME["three_black_crows"], frame)[12:].tolist() == [0.0, 0.0, 0.0, -1.0]
    frame.iloc[14:, :4] = [[10.0, 10.1, 9.9, 9.95], [9.9, 10.3, 9.8, 10.2]]
    assert whole(BY_NAME["engulfing"], frame)[15] == 1.0
