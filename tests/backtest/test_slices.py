"""Slices of a run: they add up, regimes are known beforehand, and only what the run covers is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from honest_runs import keep_run

from components.backtest import CRISES, BacktestStore, Slice, run_slices
from components.backtest.honesty import day_ids
from components.backtest.slices import regimes_by_day, sessions
from components.fx import returns_of, sharpe_ratio, to_ms


def _hourly_run(home: Path, first: str, hours: int, seed: int = 0) -> tuple[pd.Series, pd.DataFrame]:
    """A kept run with hourly equity and a trade every seven hours."""
    times = pd.date_range(first, periods=hours, freq="h", tz="UTC").as_unit("ms")
    times = times[(times.day_of_week < 5) | (times.hour < 1)]
    rng = np.random.default_rng(seed)
    equity = pd.Series(10_000 * np.exp(np.cumsum(rng.normal(0, 0.001, len(times)))), index=times)
    run = keep_run(home, "template", np.array([0.1, 0.2, 0.1]), trades=3)
    store = BacktestStore.open(home)
    trades = pd.concat([store.trades("template").iloc[:1]] * (len(times) // 7), ignore_index=True)
    trades["entry_time"] = times[np.arange(len(trades)) * 7]
    profit = float(equity.iloc[-1] - 10_000)
    fields = {**vars(run), "id": "r1", "stats": {"net_profit": profit, "final_equity": 10_000 + profit}, "bar_set_id": None}
    store.add(type(run)(**fields), trades, equity)
    store.close()
    return equity, trades


def _by_group(found: list[Slice]) -> dict[str, list[Slice]]:
    groups: dict[str, list[Slice]] = {}
    for one in found:
        groups.setdefault(one.group, []).append(one)
    return groups


def test_the_slices_of_a_group_add_up_to_the_run(home: Path) -> None:
    equity, trades = _hourly_run(home, "2019-03-01", 2_000)
    groups = _by_group(run_slices(home, "r1"))
    assert set(groups) == {"session", "weekday", "hour", "month"}
    for group in groups.values():
        assert sum(one.net_profit for one in group) == pytest.approx(equity.iloc[-1] - 10_000)
        assert sum(one.trades for one in group) == len(trades)
    assert [one.code for one in groups["month"]] == ["march", "april", "may"]


def test_a_slices_sharpe_ratio_is_of_its_part_of_each_day(home: Path) -> None:
    equity, _ = _hourly_run(home, "2019-03-01", 2_000)
    nine = next(one for one in run_slices(home, "r1") if (one.group, one.code) == ("hour", "09"))
    returns = pd.Series(returns_of(np.concatenate(([10_000], equity.to_numpy()))), index=equity.index)
    at_nine = returns[returns.index.hour == 9].to_numpy()
    assert nine.days == len(at_nine)
    assert nine.sharpe == pytest.approx(sharpe_ratio(at_nine))


def test_a_run_is_cut_by_the_crises_that_it_covers_and_by_no_others(home: Path) -> None:
    equity, trades = _hourly_run(home, "2020-02-01", 24 * 120)
    found = [one for one in run_slices(home, "r1") if one.group == "crisis"]
    assert [one.code for one in found] == ["covid"]
    inside = (equity.index >= "2020-02-20") & (equity.index < "2020-05-01")
    profit = np.diff(np.concatenate(([10_000], equity.to_numpy())))
    assert found[0].net_profit == pytest.approx(profit[inside].sum())
    entries = pd.DatetimeIndex(trades["entry_time"])
    assert found[0].trades == int(((entries >= "2020-02-20") & (entries < "2020-05-01")).sum())
    assert found[0].start_ms == to_ms(pd.Timestamp("2020-02-20", tz="UTC"))


def test_the_table_of_crises_is_in_order_and_holds_the_known_ones() -> None:
    assert [begin for _, _, begin, _ in CRISES] == sorted(begin for _, _, begin, _ in CRISES)
    assert all(begin < end for _, _, begin, end in CRISES)
    spans = {code: (begin, end) for code, _, begin, end in CRISES}
    for code, moment in {"snb": "2015-01-15 09:30", "brexit": "2016-06-24 04:00", "covid": "2020-03-19", "mini_budget": "2022-09-26 01:00"}.items():
        begin, end = spans[code]
        assert begin <= pd.Timestamp(moment, tz="UTC") < end


def test_sessions_follow_the_clocks_of_london_and_new_york() -> None:
    winter = pd.DatetimeIndex([f"2024-01-10 {hour:02d}:30" for hour in (3, 7, 8, 12, 13, 21, 22)], tz="UTC")
    assert sessions(winter).tolist() == [0, 0, 1, 1, 2, 2, 0]
    summer = pd.DatetimeIndex([f"2024-07-10 {hour:02d}:30" for hour in (6, 7, 11, 12, 20, 21)], tz="UTC")
    assert sessions(summer).tolist() == [0, 1, 1, 2, 2, 0]
    # Between the clock changes of both, New York opens an hour earlier in London's time.
    assert sessions(pd.DatetimeIndex(["2024-03-20 12:30"], tz="UTC")).tolist() == [2]


def _bars(days: int, seed: int = 0) -> pd.DataFrame:
    index = pd.date_range("2023-01-02", periods=days * 24, freq="h", tz="UTC", name="open_time").as_unit("ms")
    rng = np.random.default_rng(seed)
    wild = 1 + 3 * (np.arange(days * 24) // (24 * 40) % 2)
    close = 1.1 * np.exp(np.cumsum(rng.normal(0, 0.0005, days * 24) * wild))
    return pd.DataFrame({"open": close, "high": close, "low": close, "close": close, "volume": 1.0}, index=index)


def test_a_days_regime_is_known_before_it_begins() -> None:
    bars = _bars(250)
    days, volatility, trend = regimes_by_day(bars)
    cut = 180
    changed = bars.copy()
    later = day_ids(pd.DatetimeIndex(bars.index)) >= days[cut]
    for name in ("open", "high", "low", "close"):
        changed.loc[later, name] = bars.loc[later, name].to_numpy() ** 3 + 1
    again = regimes_by_day(changed)
    assert np.array_equal(volatility[: cut + 1], again[1][: cut + 1])
    assert np.array_equal(trend[: cut + 1], again[2][: cut + 1])
    short = regimes_by_day(bars[~later])
    assert np.array_equal(volatility[:cut], short[1])


def test_wild_days_are_of_high_volatility_and_the_first_80_days_are_of_none() -> None:
    _, volatility, trend = regimes_by_day(_bars(400))
    assert (volatility[:80] == -1).all()
    assert (trend[:80] == -1).all()
    assert set(volatility[90:]) == {0, 1, 2}
    # The calm forty days that follow wild ones and the wild ones that follow calm ones, once the look-back of 20 is full.
    assert np.mean(volatility[142:158] == 2) > 0.9
    assert np.mean(volatility[182:198] == 0) > 0.5


def test_a_straight_market_trends_and_one_that_turns_each_day_does_not() -> None:
    bars = _bars(300)
    level = np.where(np.arange(300) < 200, np.arange(300) % 2 * 0.01, (np.arange(300) - 200) * 0.01)
    for name in ("open", "high", "low", "close"):
        bars[name] = 1.1 * np.exp(np.repeat(level, 24) + np.random.default_rng(1).normal(0, 1e-6, 300 * 24))
    _, _, trend = regimes_by_day(bars)
    assert (trend[225:298] == 1).all()


def test_a_run_without_equity_has_no_slices(home: Path) -> None:
    from components.backtest import import_backtest

    run = import_backtest(home, {"name": "y", "strategy": "grid", "symbol": "EURUSD", "balance": 10_000.0, "trades": []})
    assert run_slices(home, run.id) == []
