"""Regime inputs: every formula against its definition in plain numpy, processes whose answer is known, and what holds for every kernel."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from kernel_runs import check_formula, made, whole

from components.features.family_regime import FORMULAS
from components.features.formula import Formula

BY_NAME = {formula.name: formula for formula in FORMULAS}


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: formula.name)
def test_a_formula_of_the_regime_is_the_same_in_one_go_in_blocks_and_bar_by_bar(formula: Formula, bars: pd.DataFrame) -> None:
    check_formula(formula, bars)


def rescaled_range(r: np.ndarray) -> float:
    """R / S of one stretch of returns."""
    path = np.concatenate(([0.0], np.cumsum(r - r.mean())))
    return float((path.max() - path.min()) / r.std())


def plain(name: str, closes: np.ndarray, *n: int) -> float:
    """The value at the last close, by the definition."""
    logs = np.log(closes)
    r = np.diff(logs)
    if name == "volatility_rank":
        volatility = pd.Series(r).rolling(n[0]).std().to_numpy()[-n[1] :]
        return float(np.mean(volatility[:-1] < volatility[-1]))
    if name == "variance_ratio":
        q, bars = n
        r, mean = r[-bars:], (logs[-1] - logs[-1 - bars]) / bars
        many = logs[-1 - bars + q :] - logs[-1 - bars : len(logs) - q] - q * mean
        return float(np.sum(many**2) / (q * (bars - q + 1) * (1 - q / bars)) / r.var(ddof=1))
    if name == "permutation_entropy":
        orders = [tuple(np.argsort(closes[k : k + 3], kind="stable")) for k in range(len(closes) - n[0], len(closes) - 2)]
        shares = np.array([orders.count(order) for order in set(orders)]) / len(orders)
        return float(-np.sum(shares * np.log(shares)) / math.log(6))
    r = r[-n[0] :]
    if name == "hurst":
        sizes = [n[0] // 2**k for k in range(20) if n[0] // 2**k >= 8]
        ranges = [np.mean([rescaled_range(r[s : s + size]) for s in range(0, n[0] // size * size, size)]) for size in sizes]
        return float(np.clip(np.polyfit(np.log(sizes), np.log(ranges), 1)[0], 0, 1))
    if name == "cusum":
        path = np.cumsum(r - r.mean()) / (r.std() * math.sqrt(n[0]))
        return float(-path[np.argmax(np.abs(path))])
    if name == "variance_cusum":
        path = np.cumsum(r**2) / np.sum(r**2) - np.arange(1, n[0] + 1) / n[0]
        return float(-path[np.argmax(np.abs(path))] * math.sqrt(n[0] / 2))
    raise AssertionError(name)


@pytest.mark.parametrize("formula", [formula for formula in FORMULAS if not formula.is_recursive], ids=lambda formula: formula.name)
def test_a_formula_of_the_regime_is_its_definition(formula: Formula, bars: pd.DataFrame) -> None:
    values, closes = whole(formula, bars), bars.close.to_numpy()
    for row in (300, 777, 1500, 2999, 4999):
        assert values[row] == pytest.approx(plain(formula.name, closes[row - 299 : row + 1], *formula.periods), rel=1e-7)


def test_the_probability_of_excitement_is_bayes_step_by_step(bars: pd.DataFrame) -> None:
    formula = BY_NAME["high_volatility"]
    r = np.log(bars.close).diff()
    scores = (r / r.rolling(120).std()).to_numpy()
    chance, expected = np.array([0.5, 0.5]), []
    for score in scores[120:]:
        chance = np.array([[0.975, 0.025], [0.025, 0.975]]) @ chance
        chance *= [math.exp(-0.5 * (score / s) ** 2) / s for s in (0.75, 1.75)]
        chance /= chance.sum()
        expected.append(chance[1])
    np.testing.assert_allclose(whole(formula, bars)[120:], expected, rtol=1e-8)


def test_excitement_is_seen_and_forgotten() -> None:
    random = np.random.default_rng(2)
    scale = np.where((np.arange(900) > 600) & (np.arange(900) < 700), 3.0, 1.0)
    values = whole(BY_NAME["high_volatility"], made(1.1 * np.exp(np.cumsum(random.normal(0, 0.001, 900) * scale))))
    assert np.median(values[450:600]) < 0.2 < 0.8 < np.median(values[620:690])
    assert np.median(values[760:]) < 0.2


def noise(rows: int, seed: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.001, rows)


def test_a_persistent_market_has_a_higher_hurst_exponent_and_variance_ratio_than_noise_and_a_reverting_one_lower() -> None:
    r = noise(3_000)
    persistent, reverting = r.copy(), r.copy()
    for before, t in pairwise(range(3_000)):
        persistent[t] += 0.6 * persistent[before]
        reverting[t] -= 0.6 * reverting[before]
    for name, periods in (("hurst", (512,)), ("variance_ratio", (8, 512))):
        low, middle, high = (np.nanmean(whole(BY_NAME[name], made(1.1 * np.exp(np.cumsum(x))), periods)) for x in (reverting, r, persistent))
        assert low < middle < high, name
    assert np.nanmean(whole(BY_NAME["variance_ratio"], made(1.1 * np.exp(np.cumsum(r))), (4, 512))) == pytest.approx(1.0, abs=0.1)


def test_a_change_of_drift_and_one_of_variance_are_told_with_their_sign() -> None:
    r = noise(120)
    drift = made(1.1 * np.exp(np.cumsum(np.concatenate(([0.0], r[:60] - 0.001, r[60:] + 0.001)))))
    assert whole(BY_NAME["cusum"], drift)[-1] > 1.36, "the five percent point of the largest one"
    assert whole(BY_NAME["cusum"], made(drift.close.to_numpy()[::-1]))[-1] > 1.36, "backwards the returns are turned and in turned order"
    louder = made(1.1 * np.exp(np.cumsum(np.concatenate(([0.0], r[:60], 4 * r[60:])))))
    assert whole(BY_NAME["variance_cusum"], louder)[-1] > 1.36
    assert whole(BY_NAME["variance_cusum"], made(louder.close.to_numpy()[::-1]))[-1] < -1.36


def test_a_straight_rise_has_no_entropy() -> None:
    assert whole(BY_NAME["permutation_entropy"], made(1.1 + 0.001 * np.arange(60)))[-1] == 0.0
