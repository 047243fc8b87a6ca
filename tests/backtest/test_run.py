"""A backtest as its caller sees it: trades, equity and measures that add up."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.backtest import TRADE_COLUMNS, run_backtest
from components.execution import Costs
from components.fx import BadInput, BrokerDay, daily_equity, instrument, max_drawdown, profit_factor, returns_of, sharpe_ratio
from components.risk import Sizing
from components.strategy import catalogue, strategy

EURUSD = instrument("EURUSD")
NAMES = [item.name for item in catalogue()]


def run(name: str, bars: pd.DataFrame, probabilities: pd.DataFrame, **options: Any) -> Any:
    return run_backtest(strategy(name), None, bars, instrument=EURUSD, probabilities=probabilities, **options)


@pytest.mark.parametrize("policy", ["mt5", "reference"])
@pytest.mark.parametrize("name", NAMES)
def test_balance_and_net_profits_add_up_to_the_last_equity(name: str, policy: str, real_bars: pd.DataFrame, rule_probabilities: pd.DataFrame) -> None:
    costs = Costs(spread_points=8, slippage_points=2, commission_per_lot=3.5)
    result = run(name, real_bars, rule_probabilities, costs=costs, policy=policy, sizing=Sizing(max_positions=3))
    trades, stats = result.trades, result.stats
    assert tuple(trades.columns) == TRADE_COLUMNS
    assert len(trades) == stats["trades"] >= 50
    assert result.equity.iloc[-1] == pytest.approx(10_000 + trades["net_profit"].sum(), abs=1e-6)
    assert stats["net_profit"] == pytest.approx(trades["net_profit"].sum(), abs=1e-6)
    is_left_open = (trades["exit"] == "end_of_data") & (policy == "reference")
    expected_cost = (np.where(is_left_open, 3.5, 7.0) * trades["lots"]).sum()
    assert stats["costs"] == pytest.approx(expected_cost)
    assert len(result.equity) == len(real_bars)
    assert sum(stats["exits"].values()) == len(trades)
    json.dumps(stats, allow_nan=False)


def test_the_measures_are_the_ones_of_fx(real_bars: pd.DataFrame, rule_probabilities: pd.DataFrame) -> None:
    result = run("atr_breakout", real_bars, rule_probabilities)
    equity, profits = result.equity.to_numpy(), result.trades["net_profit"].to_numpy()
    days = BrokerDay().day_ids(pd.DatetimeIndex(real_bars.index)).to_numpy()
    assert result.stats["total_return"] == pytest.approx(equity[-1] / 10_000 - 1)
    assert result.stats["max_drawdown"] == pytest.approx(max_drawdown(equity))
    assert result.stats["sharpe"] == pytest.approx(sharpe_ratio(returns_of(daily_equity(equity, days))))
    assert result.stats["profit_factor"] == pytest.approx(profit_factor(profits))
    assert result.stats["win_rate"] == pytest.approx((profits > 0).mean())


def test_a_result_with_ambiguous_bars_gives_its_profit_under_both_resolutions(real_bars: pd.DataFrame, rule_probabilities: pd.DataFrame) -> None:
    result = run("pullback", real_bars, rule_probabilities)
    assert result.stats["ambiguous_bars"] > 0
    assert result.stats["profit_favour"] > result.stats["profit_against"] == pytest.approx(result.stats["net_profit"])
    assert result.trades["ambiguous"].sum() > 0


def test_a_result_without_ambiguous_bars_has_one_profit(real_bars: pd.DataFrame, rule_probabilities: pd.DataFrame) -> None:
    result = run("sma_cross", real_bars, rule_probabilities)
    assert result.stats["ambiguous_bars"] == 0
    assert result.stats["profit_favour"] == result.stats["profit_against"]


def test_times_are_utc_and_entries_come_after_the_bar_that_decided_them(real_bars: pd.DataFrame, rule_probabilities: pd.DataFrame) -> None:
    trades = run("model_edge", real_bars, rule_probabilities).trades
    assert str(trades["entry_time"].dt.tz) == "UTC"
    assert (trades["exit_time"] >= trades["entry_time"]).all()
    assert (real_bars.index[trades["entry_bar"]] == pd.DatetimeIndex(trades["entry_time"])).all()
    assert (trades["entry_bar"] >= 1).all()


def test_every_trade_says_why_it_was_entered(real_bars: pd.DataFrame, rule_probabilities: pd.DataFrame) -> None:
    trades = run("atr_breakout", real_bars, rule_probabilities).trades
    sentences = strategy("atr_breakout").reasons
    assert set(trades["reason_text"]) == {sentences[1], sentences[2]}
    assert (trades.loc[trades["side"] > 0, "reason_text"] == sentences[1]).all()


def test_a_wider_spread_never_helps(real_bars: pd.DataFrame, rule_probabilities: pd.DataFrame) -> None:
    sizing = Sizing(mode="fixed", fixed_lots=0.01)
    profits = [
        run("sma_cross", real_bars, rule_probabilities, costs=Costs(spread_points=points), sizing=sizing).stats["net_profit"]
        for points in (0, 10, 30)
    ]
    assert profits[0] > profits[1] > profits[2]


def test_the_datas_own_spread_is_used_where_there_is_one(real_bars: pd.DataFrame, rule_probabilities: pd.DataFrame) -> None:
    constant = run("sma_cross", real_bars, rule_probabilities, costs=Costs(spread_points=17))
    recorded = run("sma_cross", real_bars.assign(spread_points=17.0), rule_probabilities, costs=Costs(spread_points=3))
    pd.testing.assert_frame_equal(constant.trades, recorded.trades)


def test_a_run_is_the_same_every_time(real_bars: pd.DataFrame, rule_probabilities: pd.DataFrame) -> None:
    first, second = (run("pullback", real_bars, rule_probabilities) for _ in range(2))
    pd.testing.assert_frame_equal(first.trades, second.trades)
    assert np.array_equal(first.equity, second.equity)
    assert first.stats == second.stats


def test_a_run_without_a_trade_is_a_result(real_bars: pd.DataFrame) -> None:
    flat = pd.DataFrame({"p_down": 0.3, "p_flat": 0.4, "p_up": 0.3}, index=real_bars.index)
    result = run("model_edge", real_bars, flat)
    assert result.stats["trades"] == 0
    assert (result.stats["total_return"], result.stats["sharpe"], result.stats["max_drawdown"], result.stats["profit_factor"]) == (0.0, 0.0, 0.0, 0.0)
    assert tuple(result.trades.columns) == TRADE_COLUMNS


def test_a_model_strategy_without_a_model_is_refused_in_a_sentence(real_bars: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="name a model"):
        run_backtest(strategy("model_edge"), None, real_bars, instrument=EURUSD)


def test_one_bar_is_too_few(real_bars: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="at least 2"):
        run_backtest(strategy("sma_cross"), None, real_bars.iloc[:1], instrument=EURUSD)
