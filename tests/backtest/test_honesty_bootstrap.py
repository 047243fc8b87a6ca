"""The bootstrap agrees with the package arch, and its tests reject as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from arch.bootstrap import SPA, StationaryBootstrap, optimal_block_length

from components.backtest.honesty import block_length, sharpe_difference, stationary_indices, superior_ability
from components.backtest.honesty.bootstrap import resampled_weights
from components.fx import BadInput


def _autoregressive(seed: int, n: int, share: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=n)
    for t in range(1, n):
        values[t] += share * values[t - 1]
    return values


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.95, -0.4])
@pytest.mark.parametrize("n", [60, 300, 2_000])
def test_the_block_length_is_that_of_arch(share: float, n: int) -> None:
    values = _autoregressive(n, n, share)
    theirs = float(optimal_block_length(values)["stationary"].iloc[0])
    assert block_length(values) == pytest.approx(max(theirs, 1.0), rel=1e-9)


def test_a_series_that_says_nothing_is_drawn_day_by_day() -> None:
    assert block_length(np.zeros(500)) == 1.0
    assert block_length(np.arange(10.0)) == 1.0


def test_blocks_have_the_mean_length_asked_for_and_wrap_at_the_end() -> None:
    rows = stationary_indices(200, 8.0, 2_000, np.random.default_rng(1))
    jumps = np.diff(rows, axis=1) % 200 != 1
    # A new block begins where the next row does not follow; one time in 200 it happens to.
    assert 1 / jumps.mean() == pytest.approx(8.0, rel=0.03)
    assert ((rows == 199)[:, :-1] & (rows == 0)[:, 1:]).any()
    counts = np.bincount(rows.ravel(), minlength=200)
    assert counts.min() > 0.9 * counts.mean()


def test_a_block_length_of_one_draws_independently() -> None:
    rows = stationary_indices(50, 1.0, 4_000, np.random.default_rng(2))
    assert np.mean(np.diff(rows, axis=1) % 50 == 1) == pytest.approx(1 / 50, abs=0.004)


@pytest.mark.parametrize("block", [1.0, 6.0, 25.0])
def test_the_scatter_of_a_bootstrapped_mean_is_that_of_arch(block: float) -> None:
    values = _autoregressive(11, 300, 0.6)
    theirs = StationaryBootstrap(block, values, seed=1).apply(lambda x: x.mean(), 4_000)[:, 0]
    ours = np.concatenate([weights @ values / 300 for weights in resampled_weights(300, block, 4_000, np.random.default_rng(2))])
    assert ours.std() == pytest.approx(float(theirs.std()), rel=0.06)
    assert ours.mean() == pytest.approx(float(theirs.mean()), abs=4 * float(theirs.std()) / np.sqrt(4_000))


def test_weights_count_rows() -> None:
    pieces = list(resampled_weights(1_500_000, 5.0, 4, np.random.default_rng(3)))
    assert [len(piece) for piece in pieces] == [2, 2]
    assert all((piece.sum(axis=1) == 1_500_000).all() for piece in pieces)


@pytest.mark.parametrize("edge", [0.0, 0.08, 0.2])
def test_the_unstudentised_p_values_are_those_of_arch(edge: float) -> None:
    """arch's SPA recentres as Hansen does but does not studentise its statistic: its upper p-value is White's."""
    rng = np.random.default_rng(4)
    returns = rng.normal(0, 1, (400, 12)) + np.linspace(-0.1, edge, 12)
    theirs = SPA(np.zeros(400), -returns, block_size=5, reps=4_000, seed=1)
    theirs.compute()
    ours = superior_ability(returns, draws=4_000, block=5.0, seed=2)
    assert ours.reality_check == pytest.approx(float(theirs.pvalues["upper"]), abs=0.03)
    # With one scale for all, studentising changes little.
    assert ours.consistent == pytest.approx(float(theirs.pvalues["consistent"]), abs=0.06)
    assert ours.lower <= ours.consistent <= ours.upper
    assert ours.best == int(np.argmax(returns.mean(axis=0)))


def test_the_long_run_variance_is_that_of_arch() -> None:
    from components.backtest.honesty.bootstrap import _long_run_variance

    returns = np.stack([_autoregressive(seed, 150, 0.4) for seed in range(3)], axis=1)
    theirs = SPA(np.zeros(150), -returns, block_size=7, reps=10, seed=1)
    theirs.compute()
    np.testing.assert_allclose(_long_run_variance(returns, 7.0), theirs._loss_diff_var, rtol=1e-10)


def test_studentising_stops_one_noisy_strategy_from_hiding_a_steady_one() -> None:
    rng = np.random.default_rng(5)
    returns = np.stack([rng.normal(0.2, 1.0, 500), rng.normal(0.0, 30.0, 500)], axis=1)
    found = superior_ability(returns, draws=1_000, block=1.0)
    assert found.consistent < 0.01
    assert found.reality_check > 0.2


def test_the_best_of_many_without_edge_is_rejected_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(6)
    found = [superior_ability(rng.normal(0, 1, (120, 15)), draws=199, block=1.0, seed=n) for n in range(150)]
    for name in ("reality_check", "upper"):
        assert np.mean([getattr(one, name) <= 0.1 for one in found]) == pytest.approx(0.1, abs=0.07)


def test_hopeless_strategies_weaken_white_but_not_hansen() -> None:
    rng = np.random.default_rng(7)
    good = rng.normal(0.13, 1, (400, 1))
    hopeless = rng.normal(-3.0, 1, (400, 60))
    with_them = superior_ability(np.hstack([good, hopeless]), draws=2_000, block=1.0)
    alone = superior_ability(good, draws=2_000, block=1.0)
    assert with_them.consistent == pytest.approx(alone.consistent, abs=0.02)
    assert with_them.upper > alone.upper + 0.02


def test_a_benchmark_is_what_must_be_beaten() -> None:
    rng = np.random.default_rng(8)
    market = rng.normal(0.2, 1.0, 500)
    same = market[:, None] + rng.normal(0, 0.1, (500, 3))
    assert superior_ability(same, draws=500).consistent < 0.05
    assert superior_ability(same, market, draws=500).consistent > 0.1


def _pair(seed: int, edge: float, n: int = 250) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, 1, n)
    return shared + rng.normal(edge, 0.5, n), shared + rng.normal(0.0, 0.5, n)


def test_the_difference_of_two_sharpe_ratios_is_rejected_about_as_often_as_it_says() -> None:
    found = [sharpe_difference(*_pair(seed, 0.0), draws=199, seed=seed) for seed in range(200)]
    assert np.mean([one is not None and one.p_sharpe <= 0.1 for one in found]) == pytest.approx(0.1, abs=0.06)


def test_a_real_difference_is_seen_because_what_both_share_cancels() -> None:
    found = sharpe_difference(*_pair(1, 0.2), draws=999)
    assert found is not None
    assert found.sharpe > 0
    assert found.p_sharpe < 0.01
    # Against an independent reference that shares nothing the same edge drowns.
    apart = sharpe_difference(_pair(1, 0.2)[0], _pair(2, 0.0)[1], draws=999)
    assert apart is not None
    assert apart.p_sharpe > found.p_sharpe


def test_the_same_series_twice_does_not_differ() -> None:
    one, _ = _pair(3, 0.1)
    found = sharpe_difference(one, one, draws=99)
    assert found is not None
    assert (found.sharpe, found.p_sharpe, found.p_mean) == (0.0, 1.0, 1.0)


def test_the_drawn_differences_are_those_of_rows_drawn_by_hand() -> None:
    """The same draws, taken as rows instead of weights."""
    one, other = _pair(4, 0.1, n=80)
    found = sharpe_difference(one, other, draws=300, block=4.0, seed=9)
    rows = stationary_indices(80, 4.0, 300, np.random.default_rng(9))

    def ratio(x: np.ndarray) -> np.ndarray:
        return x.mean(axis=-1) / x.std(axis=-1, ddof=1)

    seen = ratio(one) - ratio(other)
    drawn = ratio(one[rows]) - ratio(other[rows])
    assert found is not None
    assert found.p_sharpe == (1 + int((np.abs(drawn - seen) >= abs(seen)).sum())) / 301


def test_what_is_too_short_says_nothing_or_is_refused() -> None:
    assert sharpe_difference(np.arange(10.0), np.arange(10.0)) is None
    assert sharpe_difference(np.zeros(100), np.arange(100.0)) is None
    with pytest.raises(BadInput, match="same days"):
        sharpe_difference(np.zeros(100), np.zeros(99))
    with pytest.raises(BadInput, match="20 days"):
        superior_ability(np.zeros((10, 3)))
    with pytest.raises(BadInput, match="none of 3"):
        superior_ability(np.zeros((100, 3)))
    with pytest.raises(BadInput, match="below 1"):
        stationary_indices(10, 0.5, 1, np.random.default_rng(0))
