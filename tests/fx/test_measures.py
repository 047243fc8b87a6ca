"""Measures against values computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from components.fx import daily_equity, drawdown_curve, max_drawdown, profit_factor, returns_of, sharpe_ratio, total_return, win_rate

EQUITY = np.array([100.0, 110.0, 99.0, 120.0, 90.0, 95.0])


def test_returns_total_return_and_drawdown_of_a_small_curve() -> None:
    assert returns_of(EQUITY) == pytest.approx([0.1, -0.1, 21 / 99, -0.25, 5 / 90])
    assert total_return(EQUITY) == pytest.approx(-0.05)
    assert drawdown_curve(EQUITY) == pytest.approx([0.0, 0.0, 0.1, 0.0, 0.25, 25 / 120])
    assert max_drawdown(EQUITY) == pytest.approx(0.25)  # from 120 to 90, and not from 110 to 90


def test_the_drawdown_counts_from_the_peak_before_and_never_from_one_after() -> None:
    assert max_drawdown(np.array([50.0, 100.0, 200.0])) == 0.0
    assert max_drawdown(np.array([80.0, 60.0, 200.0, 190.0])) == pytest.approx(0.25)
    assert max_drawdown(np.array([100.0, -20.0])) == pytest.approx(1.2)
    assert max_drawdown(np.array([100.0, 60.0, 70.0])) == pytest.approx(max(drawdown_curve(np.array([100.0, 60.0, 70.0]))))


def test_the_sharpe_ratio_is_mean_over_sample_deviation_for_252_days() -> None:
    # mean 0.02/3; deviations 0.00333, −0.02667, 0.02333; variance 0.00126667/2; ratio 0.264906 × 15.874508
    assert sharpe_ratio(np.array([0.01, -0.02, 0.03])) == pytest.approx(4.205258, abs=1e-5)
    assert sharpe_ratio(np.array([-0.01, 0.02, -0.03])) == pytest.approx(-4.205258, abs=1e-5)


def test_measures_of_too_little_are_zero_and_not_an_error() -> None:
    nothing, one = np.array([]), np.array([100.0])
    for few in (nothing, one):
        assert (max_drawdown(few), total_return(few), sharpe_ratio(few)) == (0.0, 0.0, 0.0)
        assert len(returns_of(few)) == 0
        assert len(drawdown_curve(few)) == len(few)
    assert sharpe_ratio(np.full(10, 0.01)) == 0.0
    assert len(daily_equity(nothing, np.array([], dtype=np.int64))) == 0


def test_daily_equity_takes_the_last_value_of_every_day_after_the_starting_value() -> None:
    days = np.array([7, 7, 8, 8, 8, 11])
    assert list(daily_equity(EQUITY, days)) == [100.0, 110.0, 90.0, 95.0]
    assert list(daily_equity(EQUITY[:1], days[:1])) == [100.0, 100.0]


def test_returns_after_ruin_are_zero() -> None:
    assert list(returns_of(np.array([100.0, 0.0, 50.0, -5.0, 10.0]))) == [-1.0, 0.0, -1.1, 0.0]


def test_profit_factor_and_win_rate_of_a_few_trades() -> None:
    profits = np.array([30.0, -10.0, -5.0, 0.0])
    assert profit_factor(profits) == pytest.approx(2.0)
    assert win_rate(profits) == pytest.approx(0.25)
    assert profit_factor(np.array([5.0])) == math.inf
    assert profit_factor(np.array([-5.0])) == 0.0
    assert profit_factor(np.array([])) == 0.0
    assert win_rate(np.array([])) == 0.0
