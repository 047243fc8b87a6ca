"""Several strategies and symbols on one account."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.backtest.portfolio import PORTFOLIO_TRADE_COLUMNS, Leg, run_portfolio
from components.backtest.run import run_backtest
from components.execution import Costs
from components.fx import AccountSpec, BadInput, instrument, validate_bars
from components.risk import Limits, Sizing
from components.strategy import Context, Decisions, Params, Strategy

FREE = Costs(spread_points=0)
EURUSD, GBPUSD, USDJPY = (instrument(name) for name in ("EURUSD", "GBPUSD", "USDJPY"))


def bars_of(close: Any, start: str = "2024-03-04", missing: tuple[int, ...] = ()) -> pd.DataFrame:
    """Hourly bars that open at the close before."""
    close = np.asarray(close, dtype=float)
    opens = np.concatenate((close[:1], close[:-1]))
    index = pd.date_range(start, periods=len(close), freq="h", tz="UTC")
    frame = pd.DataFrame({"open": opens, "high": np.maximum(opens, close), "low": np.minimum(opens, close), "close": close}, index=index)
    return validate_bars(frame.drop(index=index[list(missing)]))


def scripted(name: str, **columns: dict[int, Any]) -> Strategy:
    """A strategy that wishes what is named, by the row of its own bars."""

    def decide(bars: pd.DataFrame, _: Context, __: Params) -> Decisions:
        empty: dict[str, Any] = {"side": 0, "exit": 0, "entry": 0, "expiry_bars": 0}
        arrays = {}
        for column, values in {"side": {}, **columns}.items():
            array = np.full(len(bars), empty.get(column, np.nan))
            for row, value in values.items():
                array[row] = value
            arrays[column] = array
        return Decisions(**arrays)

    return Strategy(name, name, name, Params, decide, lambda _: 0, reasons={0: f"because {name}"})


OPTIONS: dict[str, Any] = {
    "account": AccountSpec(),
    "costs": FREE,
    "sizing": Sizing(mode="fixed", fixed_lots=0.1),
    "limits": Limits(max_risk_fraction=1.0),
}


def portfolio(*legs: Leg, **changes: Any) -> Any:
    return run_portfolio(legs, **OPTIONS | changes)


UP, DOWN = scripted("buyer", side={0: 1}, exit={4: 1}), scripted("seller", side={1: -1}, exit={4: -1})


def test_one_leg_is_what_the_single_backtest_is() -> None:
    rng = np.random.default_rng(5)
    bars = bars_of(np.round(1.1 + np.cumsum(rng.normal(0, 5e-4, 400)), 5))
    strategy = scripted("many", side=dict.fromkeys(range(0, 390, 7), 1), stop_distance=dict.fromkeys(range(0, 390, 7), 0.002), exit=dict.fromkeys(range(5, 390, 14), 1))  # fmt: skip
    options = OPTIONS | {"costs": Costs(commission_per_lot=3.5, slippage_points=2, swap_long=-6.0), "sizing": Sizing(risk_fraction=0.01)}
    one, whole = run_backtest(strategy, None, bars, instrument=EURUSD, **options), run_portfolio([Leg(strategy, bars, EURUSD)], **options)
    assert len(one.trades) > 20
    pd.testing.assert_frame_equal(whole.trades[list(one.trades.columns)], one.trades, check_dtype=False)
    np.testing.assert_array_equal(whole.equity.to_numpy(), one.equity.to_numpy())
    for name in ("net_profit", "sharpe", "max_drawdown", "trades", "swap", "costs", "profit_favour", "returns_digest"):
        assert whole.stats[name] == one.stats[name], name


def test_legs_share_equity_and_their_profits_add_up() -> None:
    first = Leg(UP, bars_of([1.1, 1.1, 1.11, 1.11, 1.12, 1.12, 1.12]), EURUSD)
    second = Leg(DOWN, bars_of([1.25, 1.25, 1.25, 1.24, 1.24, 1.24, 1.24]), GBPUSD)
    result = portfolio(first, second)
    assert tuple(result.trades.columns) == PORTFOLIO_TRADE_COLUMNS
    assert result.trades[["symbol", "strategy"]].to_numpy().tolist() == [["EURUSD", "buyer"], ["GBPUSD", "seller"]]
    assert result.trades["net_profit"].tolist() == pytest.approx([200.0, 100.0])
    assert result.equity.tolist() == pytest.approx([10_000, 10_000, 10_100, 10_200, 10_300, 10_300, 10_300])
    assert [leg["net_profit"] for leg in result.stats["legs"]] == pytest.approx([200.0, 100.0])
    assert result.trades["reason_text"].tolist() == ["because buyer", "because seller"]
    assert result.stats["net_profit"] == pytest.approx(300.0)


def test_a_symbol_without_a_bar_keeps_its_prices_and_its_orders_age_by_its_own_bars() -> None:
    # Its third and fourth hour are missing: an order that lives three of its own bars is there when the price comes in hour six.
    close = [1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.13, 1.13]
    waiting = scripted("waiting", side={1: 1}, entry={1: 1}, entry_price={1: 1.12}, expiry_bars={1: 3})
    gappy = Leg(waiting, bars_of(close, missing=(2, 3)), EURUSD)
    full = Leg(UP, bars_of([1.25] * 8), GBPUSD)
    trades = portfolio(gappy, full).trades
    assert trades.loc[trades["symbol"] == "EURUSD", "entry_bar"].tolist() == [6]
    assert trades.loc[trades["symbol"] == "EURUSD", "entry_time"].iloc[0] == pd.Timestamp("2024-03-04T06:00Z")
    without_gap = portfolio(Leg(waiting, bars_of(close), EURUSD), full).trades
    assert "EURUSD" not in set(without_gap["symbol"]), "with all its bars the order is four bars old by then"


def test_a_leg_that_begins_later_is_asked_by_its_own_rows() -> None:
    late = Leg(UP, bars_of([1.25, 1.25, 1.26, 1.27, 1.28, 1.28], start="2024-03-04T05:00"), GBPUSD)
    result = portfolio(Leg(scripted("idle"), bars_of([1.1] * 6), EURUSD), late)
    assert len(result.equity) == 11
    assert result.trades["entry_time"].tolist() == [pd.Timestamp("2024-03-04T06:00Z")]
    assert result.trades["net_profit"].tolist() == pytest.approx([300.0])


def test_a_margin_call_takes_the_largest_loser_of_the_whole_account() -> None:
    falling = Leg(scripted("falling", side={0: 1}), bars_of([1.25, 1.25, 1.22, 1.22, 1.22]), GBPUSD)
    steady = Leg(scripted("steady", side={0: 1}), bars_of([1.1, 1.1, 1.099, 1.099, 1.099]), EURUSD)
    account = AccountSpec(balance=500.0, leverage=100.0, stop_out_level=0.95)
    # 190 USD are left against 231.9 of margin: a level of 82 %; without GBPUSD it is 190 / 109.9.
    result = portfolio(steady, falling, account=account)
    assert result.trades[["symbol", "exit"]].to_numpy().tolist() == [["GBPUSD", "stop_out"], ["EURUSD", "end_of_data"]]
    assert result.stats["exits"]["stop_out"] == 1


def test_a_limit_over_all_symbols_names_the_leg_that_met_it() -> None:
    result = portfolio(
        Leg(UP, bars_of([1.1] * 6), EURUSD), Leg(UP, bars_of([1.25] * 6), GBPUSD), limits=Limits(max_risk_fraction=1, max_total_positions=1)
    )
    assert [leg["refused"] for leg in result.stats["legs"]] == [{}, {"total_positions": 1}]
    assert result.stats["refused"] == {"total_positions": 1}


def test_profit_in_a_third_currency_is_converted_with_the_bars_of_another_leg() -> None:
    eurgbp = Leg(scripted("third", side={0: 1}), bars_of([0.88, 0.88, 0.89, 0.89]), instrument("EURGBP"))
    other = Leg(scripted("idle"), bars_of([1.25] * 4), GBPUSD)
    assert portfolio(eurgbp, other).trades["net_profit"].tolist() == pytest.approx([0.1 * 100_000 * 0.01 * 1.25])
    with pytest.raises(BadInput, match="conversion"):
        portfolio(eurgbp)


def test_what_cannot_share_rows_is_refused() -> None:
    hourly = Leg(UP, bars_of([1.1] * 6), EURUSD)
    half = bars_of([1.25] * 6).copy()
    half.index = pd.date_range("2024-03-04", periods=6, freq="30min", tz="UTC", name="open_time").as_unit("ms")
    with pytest.raises(BadInput, match="same timeframe"):
        portfolio(hourly, Leg(UP, half, GBPUSD))
    with pytest.raises(BadInput, match="legs"):
        portfolio()


def test_legs_with_different_managers_are_each_looked_after_by_their_own() -> None:
    from components.strategy import time_exit

    def managed(name: str, bars: float) -> Strategy:
        return replace(scripted(name, side={0: 1}), manage=time_exit, manage_params=lambda _: np.array([bars]))

    result = portfolio(
        Leg(managed("two bars", 2), bars_of([1.1] * 9), EURUSD), Leg(managed("five bars", 5), bars_of([1.25] * 9), GBPUSD), Leg(scripted("none", side={0: 1}), bars_of([150.0] * 9), USDJPY)
    )  # fmt: skip
    by = result.trades.set_index("symbol")["exit_bar"]
    assert by.to_dict() == {"EURUSD": 3, "GBPUSD": 6, "USDJPY": 8}
