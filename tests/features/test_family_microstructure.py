"""Microstructure: every formula against its definition in plain numpy, markets whose answer is known, and what holds for every kernel."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from kernel_runs import check_formula, made, whole
from scipy.stats import norm

from components.features.family_microstructure import FORMULAS
from components.features.formula import Formula
from components.fx import validate_bars

BY_NAME = {formula.name: formula for formula in FORMULAS}
EACH = pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: formula.name)


@EACH
def test_a_formula_of_the_microstructure_is_the_same_in_one_go_in_blocks_and_bar_by_bar(formula: Formula, bars: pd.DataFrame) -> None:
    check_formula(formula, bars)


def pair_estimate(one: pd.Series, two: pd.Series) -> float:
    """Corwin and Schultz 2012, equations 14 and 18, from two bars; the second moved onto the first one's close where it lies beyond it."""
    shift = max(one.close - two.high, 0) - max(two.low - one.close, 0)
    high, low = two.high + shift, two.low + shift
    beta = math.log(one.high / one.low) ** 2 + math.log(high / low) ** 2
    gamma = math.log(max(one.high, high) / min(one.low, low)) ** 2
    alpha = (math.sqrt(2 * beta) - math.sqrt(beta)) / (3 - 2 * math.sqrt(2)) - math.sqrt(gamma / (3 - 2 * math.sqrt(2)))
    return max(2 * (math.exp(alpha) - 1) / (1 + math.exp(alpha)), 0.0)


def plain(name: str, b: pd.DataFrame, *n: int) -> float:
    """The value at the last row of `b`, by the definition."""
    c, v, s = b.close.to_numpy(), b.volume.to_numpy(), b.spread_points.to_numpy()
    r = np.diff(np.log(c))
    before = b.close.shift(1)
    reach = (np.maximum(b.high, before) - np.minimum(b.low, before)).to_numpy()
    if name == "spread_ratio":
        return s[-1] / s[-n[0] :].mean()
    if name == "spread_cost":
        x = s[-1] / s[-n[1] :].mean() * reach[-n[1] :].mean() / reach[-n[0] :].mean()
        return x / (1 + x)
    if name == "roll_spread":
        return 2 * math.sqrt(max(-np.cov(r[-n[0] :], r[-n[0] - 1 : -1])[0, 1], 0))
    if name == "corwin_schultz":
        return float(np.mean([pair_estimate(b.iloc[t - 1], b.iloc[t]) for t in range(len(b) - n[0], len(b))]))
    if name == "abdi_ranaldo":
        close, middle = np.log(c), (np.log(b.high.to_numpy()) + np.log(b.low.to_numpy())) / 2
        return math.sqrt(max(4 * np.mean((close[:-1] - middle[:-1])[-n[0] :] * (close[:-1] - middle[1:])[-n[0] :]), 0))
    r, v = r[-n[0] :], v[-n[0] :]
    if name == "amihud":
        return np.mean(np.abs(r) / v) * v.mean()
    if name in ("bulk_imbalance", "vpin"):
        share = 2 * norm.cdf(r / r.std(ddof=1)) - 1
        return float(np.sum(v * (share if name == "bulk_imbalance" else np.abs(share))) / v.sum())
    if name == "tick_imbalance":
        return float(np.sum(v * np.sign(r)) / v.sum())
    if name == "kyle_lambda":
        return float(np.polyfit(v / v.mean() * np.sign(r), r, 1)[0])
    return float(np.mean(r == 0))


@EACH
def test_a_formula_of_the_microstructure_is_its_definition(formula: Formula, bars: pd.DataFrame) -> None:
    values = whole(formula, bars)
    for row in (200, 777, 1500, 2999, 4999):
        expected = plain(formula.name, bars.iloc[row - 199 : row + 1], *formula.periods)
        assert values[row] == pytest.approx(expected, rel=1e-8, abs=1e-12)


def bouncing(spread: float, deviation: float, rows: int = 4_000, steps: int = 60) -> pd.DataFrame:
    """Bars of a random walk that trades at bid or ask by chance, `steps` trades a bar: the case that the spread estimators were made for."""
    random = np.random.default_rng(5)
    middle = np.cumsum(random.normal(0, deviation / math.sqrt(steps), rows * steps))
    traded = np.exp(middle + spread / 2 * random.choice([-1.0, 1.0], rows * steps)).reshape(rows, steps)
    frame = pd.DataFrame({"open": traded[:, 0], "high": traded.max(axis=1), "low": traded.min(axis=1), "close": traded[:, -1], "volume": 60.0})
    return validate_bars(frame.set_index(pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC")))


@pytest.mark.parametrize("name", ["roll_spread", "corwin_schultz", "abdi_ranaldo"])
def test_a_spread_that_was_put_in_is_found_again(name: str) -> None:
    bars = bouncing(spread=0.01, deviation=0.004)
    assert np.nanmean(whole(BY_NAME[name], bars, (1_000,))) == pytest.approx(0.01, rel=0.2)


def test_a_market_that_only_rises_on_its_volume_is_all_bought_and_its_impact_is_the_slope() -> None:
    random = np.random.default_rng(1)
    side = random.choice([-1.0, 1.0], 300)
    volume = random.integers(1, 100, 300).astype(float)
    bars = made(1.2 * np.exp(np.cumsum(1e-6 * side * volume)), volume=volume)
    per_mean = 1e-6 * np.convolve(volume, np.ones(48), "valid") / 48
    np.testing.assert_allclose(whole(BY_NAME["kyle_lambda"], bars)[48:], per_mean[1:], rtol=1e-6)
    rising = made(1.2 * np.exp(np.arange(100) * 1e-3), volume=5.0)
    assert whole(BY_NAME["tick_imbalance"], rising)[-1] == 1.0


def test_a_dear_spread_in_a_quiet_market_costs_more_than_half_and_a_usual_one_half() -> None:
    bars = made(1.1 + 0.001 * np.sin(np.arange(200)), reach=0.001)
    assert whole(BY_NAME["spread_cost"], bars, (5, 100))[150] == pytest.approx(0.5, abs=0.05)
    bars.iloc[150, bars.columns.get_loc("spread_points")] = 12.0
    assert whole(BY_NAME["spread_cost"], bars, (5, 100))[150] == pytest.approx(0.8, abs=0.05)
    assert whole(BY_NAME["spread_ratio"], bars, (1,))[150] == 1.0


def test_volume_in_other_units_changes_nothing(bars: pd.DataFrame) -> None:
    tenfold = bars.assign(volume=bars.volume * 10)
    for formula in FORMULAS:
        np.testing.assert_allclose(whole(formula, tenfold), whole(formula, bars), rtol=1e-9, atol=1e-15)
