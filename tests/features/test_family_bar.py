"""Bar geometry: every formula against its definition in another shape, and what holds for every kernel."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from kernel_runs import check_formula, made, whole

from components.features.family_bar import FORMULAS
from components.features.formula import Formula

BY_NAME = {formula.name: formula for formula in FORMULAS}


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: formula.name)
def test_a_formula_of_the_bar_is_the_same_in_one_go_in_blocks_and_bar_by_bar(formula: Formula, bars: pd.DataFrame) -> None:
    check_formula(formula, bars)


def plain(name: str, b: pd.DataFrame, n: int) -> pd.Series:
    """The definition, by pandas."""
    o, h, low, c = (b[column] for column in ("open", "high", "low", "close"))
    before, reach = c.shift(1), h - low
    true_range = pd.concat([h, before], axis=1).max(axis=1, skipna=False) - pd.concat([low, before], axis=1).min(axis=1, skipna=False)
    top, bottom = np.maximum(o, c), np.minimum(o, c)
    runs = np.sign(c.diff()).to_numpy()
    return {
        "body_share": lambda: (c - o) / reach.where(reach > 0),
        "upper_wick_share": lambda: (h - top) / reach,
        "lower_wick_share": lambda: (bottom - low) / reach,
        "close_location": lambda: (2 * c - low - h) / reach,
        "wick_balance": lambda: (bottom - low - (h - top)).rolling(n).sum() / reach.rolling(n).sum(),
        "true_body_share": lambda: c.diff() / true_range,
        "range_ratio": lambda: reach / true_range.rolling(n).mean(),
        "gap_share": lambda: (o - before) / true_range.rolling(n).mean(),
        "range_rank": lambda: (reach.rolling(n).rank() - 1) / (n - 1),
        "inside_bar": lambda: ((h <= h.shift(1)) & (low >= low.shift(1))).astype(float),
        "outside_bar": lambda: np.sign(c - o) * ((h > h.shift(1)) & (low < low.shift(1))),
        "overlap_share": lambda: (
            (np.minimum(h, h.shift(1)) - np.maximum(low, low.shift(1))).clip(lower=0) / (np.maximum(h, h.shift(1)) - np.minimum(low, low.shift(1)))
        ),
        "close_run": lambda: pd.Series([run_length(runs[: t + 1], n) for t in range(len(b))], b.index),
        "round_distance": lambda: (c * 100 / n + 0.5) % 1 - 0.5,
    }[name]()


def run_length(signs: np.ndarray, most: int) -> float:
    """How often the last sign stands at the end, with it; 0 for a zero."""
    length = 0
    for sign in signs[::-1]:
        if sign != signs[-1] or length == most:
            break
        length += 1
    return length * signs[-1]


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: formula.name)
def test_a_formula_of_the_bar_is_its_definition(formula: Formula, bars: pd.DataFrame) -> None:
    values, warmup = whole(formula, bars), formula.warmup(*formula.periods)
    period = formula.periods[0] if formula.periods else 1
    expected = plain(formula.name, bars, period).fillna(0.0).to_numpy()
    np.testing.assert_allclose(values[warmup:], expected[warmup:], rtol=1e-6, atol=1e-9)


def test_a_round_figure_is_a_hundred_pips_for_a_euro_and_a_yen_pair_and_can_be_halved() -> None:
    rows = made([1.0843, 1.0912, 0.6571, 150.20, 1950.0])
    assert whole(BY_NAME["round_distance"], rows) == pytest.approx([0.43, 0.12, -0.29, 0.20, 0.0], abs=1e-9)
    assert whole(BY_NAME["round_distance"], rows, (2,))[:2] == pytest.approx([-0.14, 0.24], abs=1e-9)


def test_an_inside_bar_an_outside_bar_and_a_run_are_seen() -> None:
    bars = made([1.0] * 3)
    bars[["open", "high", "low", "close"]] = [[1.0, 1.2, 0.8, 1.1], [1.0, 1.1, 0.9, 0.95], [1.0, 1.3, 0.7, 0.8]]
    assert whole(BY_NAME["inside_bar"], bars)[1:].tolist() == [1.0, 0.0]
    assert whole(BY_NAME["outside_bar"], bars)[1:].tolist() == [0.0, -1.0]
    assert whole(BY_NAME["close_run"], bars, (2,)).tolist()[2] == -2.0
