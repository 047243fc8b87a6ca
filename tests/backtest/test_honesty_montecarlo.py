"""Trades and bars that are drawn anew: what must stay stays, and the probabilities are those that can be worked out by hand."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from components.backtest.honesty import costlier_profits, entry_significance, resample_bars, trade_paths, trade_returns
from components.fx import FX_DAY, BadInput, max_drawdown, returns_of, validate_bars

NETS = np.array([120.0, -80.0, 40.0, -10.0, 200.0, -150.0, 60.0])


def test_a_trades_return_is_on_the_balance_before_it() -> None:
    returns = trade_returns(NETS, 1_000.0)
    curve = np.concatenate(([1_000.0], 1_000.0 + np.cumsum(NETS)))
    np.testing.assert_allclose(returns, returns_of(curve))
    assert trade_returns(np.array([-1_500.0, 300.0]), 1_000.0).tolist() == [-1.0, 0.0]


def test_another_order_keeps_the_return_and_moves_the_drawdown() -> None:
    paths = trade_paths(trade_returns(NETS, 1_000.0), "reshuffle", draws=400)
    np.testing.assert_allclose(paths.final, NETS.sum() / 1_000.0)
    assert paths.drawdown.std() > 0
    assert paths.fan["p50"].iloc[-1] == pytest.approx(1 + NETS.sum() / 1_000.0)


def test_drawdowns_of_all_orders_are_those_of_every_permutation() -> None:
    returns = trade_returns(NETS[:5], 1_000.0)
    falls = [max_drawdown(np.concatenate(([1.0], np.cumprod(1 + np.array(order))))) for order in permutations(returns)]
    drawn = trade_paths(returns, "reshuffle", draws=20_000).drawdown
    assert drawn.mean() == pytest.approx(np.mean(falls), rel=0.02)
    assert (drawn.min(), drawn.max()) == (pytest.approx(min(falls)), pytest.approx(max(falls)))


def test_drawing_with_replacement_has_the_chance_of_a_coin() -> None:
    """Two trades of ±10 %: of two draws a quarter win twice and a quarter lose twice."""
    paths = trade_paths(np.array([0.1, -0.1]), "resample", draws=40_000)
    values, counts = np.unique(np.round(paths.final, 9), return_counts=True)
    np.testing.assert_allclose(values, [-0.19, -0.01, 0.21])
    np.testing.assert_allclose(counts / 40_000, [0.25, 0.5, 0.25], atol=0.01)
    facts = paths.facts(ruin=0.15, drawdown=0.05)
    assert facts["loss_probability"] == pytest.approx(0.75, abs=0.01)
    assert facts["ruin_probability"] == pytest.approx(0.25, abs=0.01)
    assert facts["deep_probability"] == pytest.approx(0.75, abs=0.01)


def test_skipped_trades_are_left_out_with_their_chance() -> None:
    paths = trade_paths(np.full(200, 0.01), "skip", draws=2_000, skip=0.25)
    taken = np.log(1 + paths.final) / np.log(1.01)
    assert taken.mean() == pytest.approx(150, rel=0.01)
    assert taken.std() == pytest.approx(np.sqrt(200 * 0.25 * 0.75), rel=0.1)
    assert (trade_paths(np.array([0.1, -0.1]), "skip", draws=10, skip=0.0).final == pytest.approx(-0.01)) is True


def test_many_draws_in_pieces_are_as_many_as_asked_for_and_repeat_with_their_seed() -> None:
    returns = np.random.default_rng(0).normal(0, 0.001, 30_000)
    told: list[float] = []
    one = trade_paths(returns, "resample", draws=150, seed=5, report=told.append)
    assert len(one.final) == 150
    assert len(told) > 1
    assert np.array_equal(one.final, trade_paths(returns, "resample", draws=150, seed=5).final)
    assert not np.array_equal(one.final, trade_paths(returns, "resample", draws=150, seed=6).final)
    assert len(one.fan) == 100


def _trades() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "side": [1, -1, 1],
            "lots": [1.0, 2.0, 1.0],
            "cost": [7.0, 14.0, 20.0],
            "gross_profit": [100.0, -50.0, 0.0],
            "net_profit": [93.0, -64.0, -20.0],
            "entry_price": [1.1000, 1.1000, 1.2000],
            "exit_price": [1.1010, 1.10025, 1.2000],
            "entry_bar": [0, 1, 2],
            "exit_bar": [1, 2, 3],
        }
    )


def test_dearer_costs_are_paid_per_lot_and_never_below_what_was_paid() -> None:
    nets = costlier_profits(_trades(), 100.0)
    np.testing.assert_allclose(nets, [93.0 - 13.0, -64.0 - 26.0, -20.0])


def test_a_wider_spread_is_paid_by_longs_at_entry_and_by_shorts_at_exit() -> None:
    spread, point = np.array([10.0, 50.0, 20.0, 30.0]), 0.01 / 1_000
    nets = costlier_profits(_trades(), 100.0, spread, point)
    # A point is worth 1 a lot here: 100,000 units; the flat trade takes the others' worth.
    np.testing.assert_allclose(nets, [80.0 - 40.0, -90.0 - 2 * 30.0, -20.0 - 30.0])


@pytest.mark.parametrize(
    ("changes", "says"), [({"method": "guess"}, "guess"), ({"draws": 0}, "below 1"), ({"skip": 1.0}, "skip"), ({"returns": np.empty(0)}, "no trade")]
)
def test_what_cannot_be_drawn_is_refused(changes: dict[str, object], says: str) -> None:
    asked = {"returns": np.array([0.1]), "method": "resample", "draws": 10, "skip": 0.1, **changes}
    with pytest.raises(BadInput, match=says):
        trade_paths(asked.pop("returns"), asked.pop("method"), **asked)  # type: ignore[arg-type]


def test_resampled_bars_are_bars_and_each_moves_as_one_of_the_old_ones_did(real_bars: pd.DataFrame) -> None:
    made = resample_bars(real_bars, np.random.default_rng(1), digits=5)
    validate_bars(made)
    assert list(made.columns) == list(real_bars.columns)
    assert abs(len(made) - len(real_bars)) < 0.02 * len(real_bars)
    days = np.unique(FX_DAY.day_ids(pd.DatetimeIndex(made.index)))
    assert np.array_equal(days, np.unique(FX_DAY.day_ids(pd.DatetimeIndex(real_bars.index))))
    exact = resample_bars(real_bars, np.random.default_rng(1))

    def moves(bars: pd.DataFrame) -> np.ndarray:
        return np.log(bars["high"] / bars["low"]).to_numpy()

    old = np.sort(moves(real_bars))
    nearest = np.clip(np.searchsorted(old, moves(exact)), 1, len(old) - 1)
    off = np.minimum(np.abs(old[nearest] - moves(exact)), np.abs(old[nearest - 1] - moves(exact)))
    assert off.max() < 1e-12


def test_resampled_days_keep_their_times_of_day_and_the_weekend_across_a_clock_change(real_bars: pd.DataFrame) -> None:
    made = resample_bars(real_bars, np.random.default_rng(2))

    def hours_of_week(bars: pd.DataFrame) -> set[int]:
        return set((pd.DatetimeIndex(bars.index).as_unit("ms").asi8 // 3_600_000 % 168).tolist())

    assert hours_of_week(made) <= hours_of_week(real_bars)
    old, new = (pd.Series(pd.DatetimeIndex(bars.index).tz_convert("America/New_York").hour).value_counts() for bars in (real_bars, made))
    assert (abs(new - old) < 0.05 * old.max()).all()


def test_a_block_as_long_as_all_days_rotates_them() -> None:
    index = pd.date_range("2024-01-02", periods=40, freq="D", tz="UTC", name="open_time").as_unit("ms")
    close = 1.1 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.01, 40)))
    bars = pd.DataFrame({"open": close, "high": close, "low": close, "close": close, "volume": np.arange(40.0)}, index=index)
    made = resample_bars(bars, np.random.default_rng(0), block_days=1e12)
    first = int(made["volume"].iloc[0])
    assert made["volume"].tolist() == [float((first + k) % 40) for k in range(40)]


def test_every_bar_keeps_its_gap_from_the_bar_before_it() -> None:
    index = pd.date_range("2024-01-02", periods=30, freq="D", tz="UTC", name="open_time").as_unit("ms")
    rng = np.random.default_rng(4)
    close = 1.1 * np.exp(np.cumsum(rng.normal(0, 0.01, 30)))
    gap = rng.normal(0, 0.004, 30)
    opens = np.concatenate(([1.1], close[:-1])) * np.exp(gap)
    bars = pd.DataFrame(
        {"open": opens, "high": np.maximum(opens, close), "low": np.minimum(opens, close), "close": close, "volume": np.arange(30.0)}, index
    )
    made = resample_bars(bars, np.random.default_rng(5), block_days=2.0)
    drawn = made["volume"].to_numpy(dtype=int)
    assert len(np.unique(drawn)) < 30
    gaps = np.log(made["open"].to_numpy()[1:] / made["close"].to_numpy()[:-1])
    old = np.concatenate(([0.0], gap[1:]))  # the first bar has nothing before it
    np.testing.assert_allclose(gaps, old[drawn[1:]], atol=1e-12)
    np.testing.assert_allclose(np.log(made["close"] / made["open"]), np.log(bars["close"] / bars["open"]).to_numpy()[drawn], atol=1e-12)


def test_too_few_days_to_draw_from_are_refused(real_bars: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="trading days are too few"):
        resample_bars(real_bars.iloc[:200], np.random.default_rng(0))


def _picked(bars: pd.DataFrame, rows: np.ndarray, side: np.ndarray, held: int) -> pd.DataFrame:
    return pd.DataFrame({"side": side, "entry_bar": rows, "exit_bar": rows + held})


def test_random_entries_are_no_better_than_random_ones(real_bars: pd.DataFrame) -> None:
    rng = np.random.default_rng(4)
    found = []
    for seed in range(120):
        trades = _picked(real_bars, rng.integers(0, 4_900, 60), rng.choice([-1, 1], 60), 12)
        found.append(entry_significance(real_bars, trades, draws=99, seed=seed).p_value)
    assert np.mean(np.array(found) <= 0.1) == pytest.approx(0.1, abs=0.08)
    assert np.mean(found) == pytest.approx(0.5, abs=0.1)


def test_entries_that_know_the_future_are_better_than_random_ones(real_bars: pd.DataFrame) -> None:
    rng = np.random.default_rng(5)
    rows = rng.integers(0, 4_900, 250)
    move = real_bars["close"].to_numpy()[rows + 12] - real_bars["open"].to_numpy()[rows]
    right = np.where(rng.random(250) < 0.7, 1, -1)
    found = entry_significance(real_bars, _picked(real_bars, rows, (right * np.sign(move)).astype(int), 12), draws=499)
    assert found.p_value < 0.01
    assert found.mean > found.random_mean


def test_being_long_in_a_rising_market_is_no_skill(real_bars: pd.DataFrame) -> None:
    rising = real_bars.copy()
    factor = np.exp(np.arange(len(rising)) * 0.001)
    for name in ("open", "high", "low", "close"):
        rising[name] = real_bars[name] * factor
    trades = _picked(rising, np.random.default_rng(6).integers(0, 4_900, 100), np.ones(100, dtype=int), 10)
    found = entry_significance(rising, trades, draws=199)
    assert found.mean > 0.005
    assert found.p_value > 0.05


def test_random_entries_keep_the_hour_of_day(real_bars: pd.DataFrame) -> None:
    """Bars of one hour rise, all others fall: entries of that hour are compared with bars of that hour, so that they are nothing special."""
    bars = real_bars.copy()
    hour = pd.DatetimeIndex(bars.index).hour
    bars["open"], bars["close"] = 1.0, np.where(hour == 9, 1.01, 0.99)
    rows = np.flatnonzero(hour == 9)[::5]
    found = entry_significance(bars, _picked(bars, rows, np.ones(len(rows), dtype=int), 0), draws=99)
    assert found.mean == pytest.approx(found.random_mean)
    assert found.p_value == 1.0


def test_a_trade_is_only_put_where_it_fits(real_bars: pd.DataFrame) -> None:
    rows = np.arange(10)
    found = entry_significance(real_bars, _picked(real_bars, rows, np.ones(10, dtype=int), len(real_bars) - 10), draws=99)
    assert np.isfinite(found.means).all()


def test_entries_that_cannot_be_judged_are_refused(real_bars: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="too few"):
        entry_significance(real_bars, _picked(real_bars, np.arange(3), np.ones(3), 1))
    with pytest.raises(BadInput, match="unknown"):
        entry_significance(real_bars, _picked(real_bars, np.full(9, -1), np.ones(9), 0))
