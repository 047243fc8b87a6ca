"""Several legs on one account, kept; and runs whose ambiguous bars are decided by finer ones, or whose slippage is measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.backtest import BacktestStore, execute_backtest, execute_portfolio
from components.fx import BadInput, NotFound, Refused, Timeframe, validate_bars
from components.ledger import TrialLedger
from components.pipeline import BarSet, keep_bars, resample_bar_set


def minutes(seed: int, start: float, weeks: int = 4) -> pd.DataFrame:
    """A random walk of the minutes in which the market is open, on the grid of points."""
    rows = weeks * 5 * 1440
    rng = np.random.default_rng(seed)
    close = np.round(start * np.exp(np.cumsum(rng.normal(0, 1.2e-4, rows))), 5)
    opens = np.concatenate((close[:1], close[:-1]))
    spread = rng.integers(0, 12, (2, rows)) / 10**5
    high, low = np.round(np.maximum(opens, close) + spread[0], 5), np.round(np.minimum(opens, close) - spread[1], 5)
    opened = [pd.Timestamp("2024-01-07 22:00", tz="UTC") + pd.Timedelta(weeks=week) for week in range(weeks)]
    index = pd.DatetimeIndex(
        np.concatenate([pd.date_range(at, periods=5 * 1440, freq="min").as_unit("ms").asi8 for at in opened]).view("M8[ms]")
    ).tz_localize("UTC")
    return validate_bars(pd.DataFrame({"open": opens, "high": high, "low": low, "close": close, "volume": 1.0}, index=index))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BarSet, BarSet, BarSet]:
    """Minutes of two pairs, and hours of the first."""
    home = tmp_path_factory.mktemp("portfolio")
    euro = keep_bars(home, "test", "EURUSD", Timeframe.M1, minutes(1, 1.1), 100.0, {})
    pound = keep_bars(home, "test", "GBPUSD", Timeframe.M1, minutes(2, 1.27), 100.0, {})
    return home, euro, pound, resample_bar_set(home, euro.id, "H1")


def test_two_legs_share_one_account_and_are_kept_and_counted(world: tuple[Path, BarSet, BarSet, BarSet]) -> None:
    home, euro, pound, _ = world
    legs = [{"strategy": "sma_cross", "bar_set_id": one.id, "params": {"fast": 30, "slow": 120}} for one in (euro, pound)]
    run = execute_portfolio(home, {"legs": legs, "sizing": {"risk_fraction": 0.002}})
    store = BacktestStore.open(home)
    trades, equity = store.trades(run.id), store.equity(run.id)
    assert set(trades["symbol"]) == {"EURUSD", "GBPUSD"}
    assert min(trades["symbol"].value_counts()) >= 50
    assert equity["equity"].iloc[-1] == pytest.approx(10_000 + trades["net_profit"].sum(), abs=0.01)
    assert run.symbol == "EURUSD+GBPUSD"
    assert sum(leg["trades"] for leg in run.stats["legs"]) == run.trades
    trial = TrialLedger.open(home).list("portfolio")[0]
    assert (trial.id, trial.state, trial.metrics["trades"]) == (run.id, "done", run.trades)


def test_a_leg_that_names_nothing_is_refused_before_it_is_a_trial(world: tuple[Path, BarSet, BarSet, BarSet]) -> None:
    home, euro, _, _ = world
    before = TrialLedger.open(home).count("portfolio")
    with pytest.raises(NotFound, match="nowhere"):
        execute_portfolio(home, {"legs": [{"strategy": "sma_cross", "bar_set_id": "nowhere"}]})
    with pytest.raises(BadInput, match="legs"):
        execute_portfolio(home, {"legs": []})
    with pytest.raises(BadInput, match="swift"):
        execute_portfolio(home, {"legs": [{"strategy": "sma_cross", "bar_set_id": euro.id, "params": {"swift": 1}}]})
    assert TrialLedger.open(home).count("portfolio") == before


def test_finer_bars_decide_what_hours_leave_open(world: tuple[Path, BarSet, BarSet, BarSet]) -> None:
    home, euro, _, hours = world
    spec = {"strategy": "atr_breakout", "bar_set_id": hours.id, "params": {"channel": 3, "stop_atr": 0.4, "target_atr": 0.4}}
    coarse = execute_backtest(home, spec)
    fine = execute_backtest(home, {**spec, "finer_bar_set_id": euro.id})
    assert coarse.stats["ambiguous_bars"] >= 10
    assert coarse.stats["ambiguous_left"] == coarse.stats["ambiguous_bars"]
    assert fine.stats["ambiguous_left"] < coarse.stats["ambiguous_left"] / 4
    assert coarse.stats["profit_against"] <= fine.stats["profit_against"] <= fine.stats["profit_favour"] <= coarse.stats["profit_favour"]
    assert fine.stats["finer"]["timeframe"] == "M1"
    assert fine.stats["finer"]["covered"] > 400


def test_finer_bars_of_another_symbol_or_a_longer_timeframe_are_refused(world: tuple[Path, BarSet, BarSet, BarSet]) -> None:
    home, euro, pound, hours = world
    with pytest.raises(BadInput, match="GBPUSD"):
        execute_backtest(home, {"strategy": "sma_cross", "bar_set_id": hours.id, "finer_bar_set_id": pound.id})
    with pytest.raises(BadInput, match="not shorter"):
        execute_backtest(home, {"strategy": "sma_cross", "bar_set_id": euro.id, "finer_bar_set_id": hours.id})


def test_slippage_of_own_fills_is_refused_where_nobody_measured_it(world: tuple[Path, BarSet, BarSet, BarSet]) -> None:
    home, _, _, hours = world
    before = TrialLedger.open(home).count()
    with pytest.raises(Refused, match="30"):
        execute_backtest(home, {"strategy": "sma_cross", "bar_set_id": hours.id, "slippage_from": "fills_p90"})
    assert TrialLedger.open(home).count() == before
