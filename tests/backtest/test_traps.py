"""Traps in which other engines were seen to fall on real bars: each is a rule that is checked here bar by bar, by plain arithmetic of its own.

Every rule is checked on the 5,000 real hours that are always there, and on a whole year of real minutes where its file is at hand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.backtest import Result, run_backtest
from components.execution import Costs, market_of_bars
from components.features import compute_features, compute_indicators, rolling_std, sma
from components.fx import AccountSpec, BrokerDay, instrument, validate_bars
from components.pipeline import Request, SourceContext, source_named
from components.risk import Limits, Sizing
from components.strategy import Context, Decisions, Params, Strategy, strategy

EURUSD = instrument("EURUSD")
ACCOUNT = AccountSpec("USD", 1_000_000.0, 500.0)
RULES: dict[str, Any] = {"sizing": Sizing(mode="fixed", fixed_lots=0.1), "limits": Limits(max_risk_fraction=1.0), "account": ACCOUNT}
SPREAD_POINTS = 6.0
FILE = "HISTDATA_COM_ASCII_EURUSD_M12019.zip"


@dataclass(frozen=True)
class Market:
    """Bars, and the least number of cases of each trap that they must hold for a test on them to mean anything."""

    bars: pd.DataFrame
    params: dict[str, Any]
    on_stop_bar: int
    gapped: int
    own_bar: int
    ambiguous: int


@pytest.fixture(scope="module", params=["hours", "minutes"])
def market(request: pytest.FixtureRequest) -> Market:
    """The real hours, and the real minutes of 2019."""
    if request.param == "hours":
        return Market(request.getfixturevalue("real_bars"), {"fast": 3, "slow": 8, "stop_atr": 0.8, "target_atr": 1.0}, 10, 3, 20, 5)
    path = Path(request.getfixturevalue("realdata")) / "histdata" / FILE
    if not path.exists():
        pytest.skip(f"the real minutes of 2019 are not here: {path} does not exist")
    (piece,) = source_named("histdata").pieces(Request("EURUSD", "M1", options={"path": str(path)}), {}, SourceContext(path.parent))
    return Market(validate_bars(piece.frame), {"fast": 10, "slow": 30, "stop_atr": 2.0, "target_atr": 3.0}, 300, 150, 300, 10)


class NoParams(Params):
    """None."""


def fixed(decisions: Decisions) -> Strategy:
    """A strategy that gives these decisions whatever it is asked."""
    return Strategy("fixed", "Fixed", "Given decisions.", NoParams, lambda bars, context, params: decisions, lambda p: 0)


def crossing(market: Market, policy: str) -> Result:
    """The crossing of two averages with a bracket by true range."""
    costs = Costs(spread_points=SPREAD_POINTS)
    return run_backtest(strategy("sma_cross"), market.params, market.bars, instrument=EURUSD, costs=costs, policy=policy, **RULES)


def exit_prices(bars: pd.DataFrame, policy: str, side: int) -> dict[str, np.ndarray]:
    """The bars as the exit of a position of this side meets them: bid, or under `mt5` the ask for a short one."""
    spread = SPREAD_POINTS * EURUSD.point if policy == "mt5" and side < 0 else 0.0
    return {name: np.round(bars[name].to_numpy() + spread, 8) for name in ("open", "high", "low", "close")}


@pytest.mark.parametrize("policy", ["mt5", "reference"])
def test_a_wish_on_the_bar_whose_stop_was_hit_is_not_dropped(market: Market, policy: str) -> None:
    # vectorbt answers one order per bar and drops the entry where an exit came first: 594 of 14,827 on these minutes (its issue 530).
    result = crossing(market, policy)
    trades = result.trades
    decisions = strategy("sma_cross").decide(market.bars, Context(EURUSD), strategy("sma_cross").parse(market.params))
    side = np.asarray(decisions.side)
    entered, left = trades["entry_bar"].to_numpy(), trades["exit_bar"].to_numpy()
    held = np.zeros(len(side) + 1)
    closed_later = left > entered
    np.add.at(held, entered[closed_later], trades["side"].to_numpy()[closed_later])
    # What was open to the end was not left on the last bar.
    np.add.at(held, (left + (trades["exit"] == "end_of_data"))[closed_later], -trades["side"].to_numpy()[closed_later])
    held = np.cumsum(held)[:-1]
    # `held` is the side that is open at each close. A wish is free to enter where nothing is open, or the other side, which it asks to leave.
    first = 1 if policy == "reference" else 0
    free = np.flatnonzero((side != 0) & (held != side))
    free = free[(free >= first) & (free < len(side) - 1)]
    if policy == "mt5":
        # A bracket that the spread has used up already is refused when the order is born.
        stop, target = (np.round(np.asarray(getattr(decisions, name))[free], 5) for name in ("stop", "target"))
        seen = np.round(market.bars["close"].to_numpy()[free] + (side[free] > 0) * SPREAD_POINTS * EURUSD.point, 8)
        fits = (stop < seen) & (seen < target) | (target < seen) & (seen < stop)
        assert result.stats["refused"].get("invalid_stops", 0) == (~fits).sum()
        free = free[fits]
    np.testing.assert_array_equal(np.sort(entered), free + 1)
    on_stop_bar = np.isin(free, left[(trades["exit"] == "stop").to_numpy()])
    assert on_stop_bar.sum() >= market.on_stop_bar


@pytest.mark.parametrize("policy", ["mt5", "reference"])
def test_a_stop_that_an_open_gapped_past_fills_at_the_open_and_every_other_at_its_level(market: Market, policy: str) -> None:
    trades = crossing(market, policy).trades
    gapped = 0
    for side in (1, -1):
        seen = exit_prices(market.bars, policy, side)
        for kind, worse in (("stop", True), ("target", False)):
            some = trades[(trades["side"] == side) & (trades["exit"] == kind)]
            level, opened = some[kind].to_numpy(), seen["open"][some["exit_bar"]]
            beyond = (opened - level) * side < 0 if worse else (opened - level) * side > 0
            np.testing.assert_allclose(some["exit_price"], np.where(beyond, opened, level), rtol=0, atol=1e-9)
            assert (seen["low"][some["exit_bar"]] <= some["exit_price"] + 1e-9).all(), "no bar fills below its low"
            assert (seen["high"][some["exit_bar"]] >= some["exit_price"] - 1e-9).all(), "no bar fills above its high"
            gapped += int(beyond.sum())
    assert gapped >= market.gapped


@pytest.mark.parametrize("policy", ["mt5", "reference"])
def test_no_position_outlives_a_bar_that_touched_its_stop_or_target_its_own_entry_bar_included(market: Market, policy: str) -> None:
    trades = crossing(market, policy).trades
    own_bar = 0
    for side in (1, -1):
        seen = exit_prices(market.bars, policy, side)
        worst, best = (seen["low"], seen["high"]) if side > 0 else (-seen["high"], -seen["low"])
        some = trades[trades["side"] == side]
        for entered, left, kind, stop, target in some[["entry_bar", "exit_bar", "exit", "stop", "target"]].itertuples(index=False):
            until = left + (kind == "end_of_data")
            assert not (worst[entered:until] <= side * stop).any(), f"the long or short of bar {entered} outlived its stop"
            assert not (best[entered:until] >= side * target).any(), f"the long or short of bar {entered} outlived its target"
            if kind == "target":
                is_first = seen["open"][left] * side >= side * target
                assert is_first or worst[left] > side * stop, f"at bar {left} the stop could have come first"
            own_bar += kind == "stop" and entered == left
    assert own_bar >= market.own_bar


def test_the_ambiguous_bars_are_those_that_reach_stop_and_target_after_an_open_between_them(market: Market) -> None:
    result = crossing(market, "mt5")
    for side in (1, -1):
        seen = exit_prices(market.bars, "mt5", side)
        some = result.trades[result.trades["side"] == side]
        o, h, low = (seen[name][some["exit_bar"]] for name in ("open", "high", "low"))
        stop, target = (some[name].to_numpy() * side for name in ("stop", "target"))
        worst, best = (low, h) if side > 0 else (-h, -low)
        both = (worst <= stop) & (best >= target) & (o * side > stop) & (o * side < target)
        np.testing.assert_array_equal(some["ambiguous"], both & (some["exit"] == "stop"))
        assert not (both & (some["exit"] == "target")).any(), "against the trader a stop comes before a target"
    assert result.stats["ambiguous_bars"] == result.trades["ambiguous"].sum() >= market.ambiguous
    assert result.stats["profit_favour"] > result.stats["profit_against"]


@pytest.mark.parametrize("policy", ["mt5", "reference"])
def test_an_entry_whose_stop_the_next_open_has_passed_is_entered_and_left_at_that_open(market: Market, policy: str) -> None:
    bars = market.bars
    close, opened = bars["close"].to_numpy(), bars["open"].to_numpy()
    gap = np.append(opened[1:] - close[:-1], 0.0)
    rows = [int(t) for t in np.argsort(-np.abs(gap), kind="stable")[:40] if t > 0]
    side = np.zeros(len(bars), dtype=np.int8)
    # Against the gap, with a stop in the middle of it.
    side[rows] = -np.sign(gap[rows])
    stop = np.round(close + gap / 2, 5)
    decisions = Decisions(side=side, stop=np.where(side != 0, stop, np.nan), target=np.where(side != 0, close + side * 0.5, np.nan))
    result = run_backtest(fixed(decisions), None, bars, instrument=EURUSD, costs=Costs(spread_points=SPREAD_POINTS), policy=policy, **RULES)
    assert len(result.trades) == len(rows)
    spread = SPREAD_POINTS * EURUSD.point if policy == "mt5" else 0.0
    for trade in result.trades.itertuples():
        assert trade.exit == "stop"
        assert trade.entry_bar == trade.exit_bar
        first = opened[trade.entry_bar]
        assert trade.entry_price == pytest.approx(first + (spread if trade.side > 0 else 0.0), abs=1e-9)
        assert trade.exit_price == pytest.approx(first + (spread if trade.side < 0 else 0.0), abs=1e-9)
        assert trade.gross_profit == pytest.approx(-spread * 10_000, abs=1e-6)
        assert not trade.ambiguous


def flattened(bars: pd.DataFrame) -> pd.DataFrame:
    """The bars with every eleventh stretch of 20 standing still at the close before it, as thin hours and holidays do."""
    changed = bars[["open", "high", "low", "close", "volume"]].copy()
    block = np.arange(len(bars)) // 20
    still = (block % 11 == 5) & (np.arange(len(bars)) > 0)
    last = changed["close"].where(~still).ffill()
    for name in ("open", "high", "low", "close"):
        changed[name] = changed[name].where(~still, last)
    return validate_bars(changed)


@pytest.mark.parametrize(("by", "policy"), [("price", "mt5"), ("price", "reference"), ("distance", "mt5")])
def test_a_flat_hour_gives_a_bracket_of_no_width_which_is_refused_and_nothing_is_raised(market: Market, by: str, policy: str) -> None:
    # backtesting.py raises at the order and vectorbt at the whole run where the true range of a flat hour is 0.
    bars = flattened(market.bars)
    high, low, close = (bars[name].to_numpy() for name in ("high", "low", "close"))
    before = np.concatenate((close[:1], close[:-1]))
    # The mean is within rounding of 0 in a flat hour; as a broker does, a bracket is given in whole points.
    reach = np.round(sma(np.maximum(high, before) - np.minimum(low, before), 5) * 2, EURUSD.digits)
    wished = np.arange(len(bars)) % 9 == 8
    side = np.where(wished, np.where(np.arange(len(bars)) % 2, 1, -1), 0).astype(np.int8)
    flat = wished & (reach == 0.0)
    assert flat.sum() > 10
    brackets: dict[str, Any] = (
        {"stop": np.where(wished, close - side * reach, np.nan), "target": np.where(wished, close + side * reach, np.nan)}
        if by == "price"
        else {"stop_distance": reach, "target_distance": reach}
    )
    decisions = Decisions(side=side, exit=np.where(wished, -side, 0).astype(np.int8), **brackets)
    result = run_backtest(fixed(decisions), None, bars, instrument=EURUSD, costs=Costs(spread_points=0), policy=policy, **RULES)
    assert len(result.trades) > 50
    assert not (result.trades["stop"] == result.trades["target"]).any()
    assert (result.trades["target"] - result.trades["stop"]).abs().min() >= EURUSD.point * 1.5
    assert set(result.trades["entry_bar"]).isdisjoint(np.flatnonzero(flat) + 1)
    assert result.stats["refused"].get("invalid_stops", 0) > 10


@pytest.mark.parametrize("name", ["sma_cross", "atr_breakout", "pullback"])
def test_no_strategy_of_the_library_trips_over_flat_hours(name: str, real_bars: pd.DataFrame) -> None:
    bars = real_bars[["open", "high", "low", "close", "volume"]].copy()
    # From the first bar on, so that even a range that remembers has nothing to remember.
    first = float(bars["open"].iloc[0])
    bars.iloc[:300, :4] = first
    bars = validate_bars(flattened(bars))
    result = run_backtest(strategy(name), {"atr_period": 3}, bars, instrument=EURUSD, **RULES)
    assert (result.trades["entry_bar"] > 300).all()
    assert ((result.trades["target"] - result.trades["stop"]).abs() > 0).all()
    assert np.isfinite(result.equity).all()


@pytest.mark.parametrize("policy", ["mt5", "reference"])
def test_what_comes_after_a_bar_changes_nothing_before_it(market: Market, policy: str) -> None:
    whole = crossing(market, policy)
    cut = len(market.bars) * 2 // 3
    part = crossing(replace(market, bars=market.bars.iloc[:cut]), policy)
    np.testing.assert_array_equal(part.equity.to_numpy()[:-1], whole.equity.to_numpy()[: cut - 1])
    ended = whole.trades[whole.trades["exit_bar"] < cut]
    pd.testing.assert_frame_equal(part.trades[part.trades["exit"] != "end_of_data"].reset_index(drop=True), ended.reset_index(drop=True))


@pytest.mark.parametrize("policy", ["mt5", "reference"])
def test_the_equity_at_the_end_is_the_balance_and_the_profit_of_every_trade(market: Market, policy: str) -> None:
    result = crossing(market, policy)
    assert result.equity.iloc[-1] - ACCOUNT.balance == pytest.approx(result.trades["net_profit"].sum(), abs=1e-6)
    assert (result.trades["exit"] == "end_of_data").sum() <= 1
    assert result.trades["exit_bar"].is_monotonic_increasing


def test_rows_of_a_day_are_counted_by_the_clock_of_new_york_through_both_changes_of_the_year(market: Market) -> None:
    days = market_of_bars(market.bars, EURUSD, Costs()).day_id
    clock = pd.DatetimeIndex(market.bars.index).tz_convert("America/New_York") + pd.Timedelta(hours=7)
    assert (np.diff(days) >= 0).all()
    np.testing.assert_array_equal(np.diff(days) != 0, np.diff(clock.tz_localize(None).normalize().asi8) != 0)
    np.testing.assert_array_equal(days, BrokerDay().day_ids(pd.DatetimeIndex(market.bars.index)))


def two_passes(values: np.ndarray, period: int, ddof: int) -> np.ndarray:
    """Standard deviation of the last 500 windows, each summed from its own mean in long double."""
    windows = np.lib.stride_tricks.sliding_window_view(values, period)[-500:].astype(np.longdouble)
    mean = windows.mean(axis=1, keepdims=True)
    return np.sqrt(((windows - mean) ** 2).sum(axis=1) / (period - ddof)).astype(np.float64)


@pytest.mark.parametrize("period", [5, 20, 240])
def test_a_rolling_deviation_has_not_drifted_after_a_whole_history(market: Market, period: int) -> None:
    close = market.bars["close"].to_numpy()
    # A spike far above everything: sums that are updated bar by bar never forget it.
    spiked = close.copy()
    spiked[1000] *= 1e6
    for values in (close, spiked):
        for ddof in (0, 1):
            np.testing.assert_allclose(rolling_std(values, period, ddof)[-500:], two_passes(values, period, ddof), rtol=1e-9, atol=1e-15)
        mean = np.lib.stride_tricks.sliding_window_view(values, period)[-500:].mean(axis=1)
        np.testing.assert_allclose(sma(values, period)[-500:], mean, rtol=1e-12)


DEVIATIONS = ("volatility_24", "z_score_48", "bollinger_width_20", "bollinger_position_20", "skew_48", "kurtosis_48", "downside_deviation_24", "ulcer_index_14",
    "connors_rsi_3_2_100", "regression_distance_20", "r_squared_20", "volatility_of_volatility_24_48", "autocorrelation_48", "dickey_fuller_96")  # fmt: skip
INDICATORS = ("deviation_20", "z_score_20", "bollinger_upper_20_2", "bollinger_lower_20_2", "return_deviation_20", "skew_20", "sma_20", "atr_14")


@pytest.mark.parametrize("columns", ["features", "indicators"])
def test_a_windowed_column_at_the_end_of_a_history_is_what_its_last_bars_alone_give(market: Market, columns: str) -> None:
    compute = (lambda bars: compute_features(bars, DEVIATIONS)) if columns == "features" else (lambda bars: compute_indicators(bars, INDICATORS))
    whole, late = compute(market.bars).iloc[-300:], compute(market.bars.iloc[-3000:]).iloc[-300:]
    assert not late.isna().all().any()
    for name in whole.columns:
        np.testing.assert_allclose(whole[name], late[name], rtol=1e-9, atol=1e-12, err_msg=name)
