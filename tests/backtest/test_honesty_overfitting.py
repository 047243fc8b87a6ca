"""The probability of backtest overfitting is that of the definition, about a half on noise and none on a true edge."""

from __future__ import annotations

import time
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import linregress, rankdata

from components.backtest.honesty import Overfitting, backtest_overfitting
from components.fx import BadInput


def _by_definition(returns: np.ndarray, blocks: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Step by step as in the paper: rows joined, Sharpe ratios of both halves, rank of the best."""
    parts = np.split(returns, blocks)
    logits, inside, outside = [], [], []
    for members in combinations(range(blocks), blocks // 2):
        one = np.concatenate([parts[k] for k in members])
        other = np.concatenate([parts[k] for k in range(blocks) if k not in members])
        ratio_in, ratio_out = (half.mean(axis=0) / half.std(axis=0, ddof=1) for half in (one, other))
        best = int(np.argmax(ratio_in))
        share = rankdata(ratio_out)[best] / (returns.shape[1] + 1)
        logits.append(np.log(share / (1 - share)))
        inside.append(ratio_in[best])
        outside.append(ratio_out[best])
    return np.array(logits), np.array(inside), np.array(outside)


@pytest.mark.parametrize("blocks", [2, 4, 8])
def test_it_equals_the_definition_split_by_split(blocks: int) -> None:
    rng = np.random.default_rng(blocks)
    returns = rng.normal(0.0005, 0.01, (blocks * 30, 7)) * (1 + rng.random(7))
    found = backtest_overfitting(returns, blocks)
    logits, inside, outside = _by_definition(returns, blocks)
    np.testing.assert_allclose(found.logits, logits, rtol=1e-12)
    np.testing.assert_allclose(found.chosen_in, inside, rtol=1e-10)
    np.testing.assert_allclose(found.chosen_out, outside, rtol=1e-9, atol=1e-12)
    line = linregress(inside, outside)
    assert (found.slope, found.intercept) == (pytest.approx(line.slope), pytest.approx(line.intercept))
    assert found.probability == np.mean(logits <= 0)
    assert found.loss_probability == np.mean(outside < 0)


def _noise(seed: int, edge: float = 0.0) -> Overfitting:
    returns = np.random.default_rng(seed).normal(0.0, 0.01, (1_000, 40))
    returns[:, 11] += edge
    return backtest_overfitting(returns)


def test_there_are_12870_splits_of_16_blocks_and_each_has_its_mirror() -> None:
    found = _noise(0)
    assert (found.splits, len(found.logits)) == (12_870, 12_870)


def test_choosing_among_noise_is_overfitting_about_half_of_the_time() -> None:
    assert np.mean([_noise(seed).probability for seed in range(12)]) == pytest.approx(0.5, abs=0.12)


def test_choosing_a_true_edge_is_not_overfitting() -> None:
    found = _noise(1, edge=0.004)
    assert found.probability < 0.01
    assert found.loss_probability < 0.01


def test_blocks_may_differ_by_one_observation_and_none_is_dropped() -> None:
    returns = np.random.default_rng(5).normal(0, 0.01, (1_003, 3))
    found = backtest_overfitting(returns, 4)
    edges = np.linspace(0, 1_003, 5).round().astype(int)
    one = np.concatenate([returns[edges[0] : edges[1]], returns[edges[1] : edges[2]]])
    assert found.chosen_in[0] == pytest.approx((one.mean(axis=0) / one.std(axis=0, ddof=1)).max())


def test_returns_far_from_zero_lose_nothing_to_rounding() -> None:
    rng = np.random.default_rng(6)
    returns = 1.0 + rng.normal(0.0, 1e-7, (320, 4))
    _, inside, _ = _by_definition(returns, 4)
    np.testing.assert_allclose(backtest_overfitting(returns, 4).chosen_in, inside, rtol=1e-6)


@pytest.mark.slow
def test_200_strategies_over_370000_bars_are_split_in_seconds() -> None:
    # The same ten thousand bars again and again, each time a little louder: drawing all of them would take longer than splitting them.
    once = np.random.default_rng(10).normal(0.0, 1e-3, (10_000, 200))
    returns = np.concatenate([once * (1 + k / 37) for k in range(37)])
    begin = time.perf_counter()
    found = backtest_overfitting(returns, 16)
    assert time.perf_counter() - begin < 20.0
    half = returns[: 370_000 // 2]
    best = (half.mean(axis=0) / half.std(axis=0, ddof=1)).max()
    assert found.chosen_in[0] == pytest.approx(best, rel=1e-9)


def test_strategies_that_never_trade_have_a_ratio_of_zero() -> None:
    returns = np.zeros((64, 3))
    returns[:, 1] = -np.abs(np.random.default_rng(7).normal(0.01, 0.001, 64))
    found = backtest_overfitting(returns, 4)
    assert (found.chosen_in == 0).all()
    assert (found.chosen_out == 0).all()


def test_progress_is_told_and_may_end_the_work() -> None:
    told: list[float] = []
    backtest_overfitting(np.random.default_rng(8).normal(size=(64, 3)), 4, told.append)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("shape", "blocks", "says"), [((100, 1), 4, "at least 2"), ((100, 3), 5, "even"), ((100, 3), 22, "from 2 to 20"), ((20, 3), 16, "fewer than two")]
)
def test_what_cannot_be_split_is_refused(shape: tuple[int, int], blocks: int, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        backtest_overfitting(np.zeros(shape), blocks)


def test_a_return_that_is_not_finite_names_its_strategy() -> None:
    returns = np.random.default_rng(9).normal(size=(64, 3))
    returns[5, 2] = np.nan
    with pytest.raises(BadInput, match="strategy 2"):
        backtest_overfitting(returns, 4)
