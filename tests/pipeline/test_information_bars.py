"""Bars by ticks, volume and turns of the price: against plain loops, in any portions, and never ahead of their time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.fx import BadInput, Timeframe, validate_bars
from components.pipeline.information_bars import (
    InformationBars,
    directional_change_bars,
    directional_change_builder,
    tick_bar_builder,
    tick_bars,
    volume_bar_builder,
    volume_bars,
)

START = 1_700_000_000_000
Ticks = tuple[np.ndarray, np.ndarray, np.ndarray]


def some_ticks(count: int, seed: int = 1) -> Ticks:
    """Ticks on a random walk: some share their millisecond, none is late."""
    random = np.random.default_rng(seed)
    times = START + np.cumsum(random.integers(0, 400, count))
    bid = 1.1 * np.exp(np.cumsum(random.normal(0, 10, count)) / 100_000)
    return times, bid, bid + random.integers(0, 20, count) / 100_000


def utc(ms: int) -> pd.Timestamp:
    """The instant of epoch milliseconds."""
    return pd.Timestamp(ms, unit="ms", tz="UTC")


def turns_by_hand(times: np.ndarray, price: np.ndarray, threshold: float) -> list[tuple[int, int, float, float, float, float, int, int, int, float]]:
    """Directional changes from a plain loop: times, prices, ticks, direction, and the extreme before the turn."""
    found, first, mode = [], 0, 0
    high = low = 0  # rows of the extremes since the last turn
    for row in range(len(price)):
        high = row if price[row] > price[high] else high
        low = row if price[row] < price[low] else low
        down = mode >= 0 and price[row] <= price[high] * (1 - threshold)
        up = mode <= 0 and price[row] >= price[low] * (1 + threshold)
        if down or up:
            bar = price[first : row + 1]
            extreme = low if up else high
            mode = 1 if up else -1
            found.append(
                (
                    int(times[first]),
                    int(times[row]),
                    bar[0],
                    bar.max(),
                    bar.min(),
                    bar[-1],
                    len(bar),
                    mode,
                    int(times[extreme]),
                    float(price[extreme]),
                )
            )
            first, high, low = row + 1, row, row
    return found


def test_tick_bars_worked_out_by_hand_are_met() -> None:
    bars = tick_bars(np.array([1, 2, 2, 5, 9, 9, 12]) + START, [1.1, 1.3, 1.2, 1.4, 1.0, 1.2, 1.5], [1.2, 1.3, 1.2, 1.5, 1.0, 1.2, 1.5], 3)
    assert bars["open_time"].tolist() == [utc(START + 1), utc(START + 5)]
    assert bars["close_time"].tolist() == [utc(START + 2), utc(START + 9)]
    assert bars[["open", "high", "low", "close", "volume"]].to_numpy().tolist() == [[1.1, 1.3, 1.1, 1.2, 3.0], [1.4, 1.4, 1.0, 1.2, 3.0]]
    assert bars["spread"].round(6).tolist() == [0.1, 0.1]
    assert list(bars.columns) == ["open_time", "close_time", "open", "high", "low", "close", "volume", "spread"]


def test_a_turn_worked_out_by_hand_is_met() -> None:
    price = [1.00, 1.02, 1.10, 1.04, 0.99, 0.98, 0.90, 0.95, 0.995, 1.20]
    bars = directional_change_bars(START + np.arange(10), price, 0.1)
    # 1.10 is a tenth above 1.00; 0.99 a tenth below 1.10; 0.995 a tenth above 0.90; 1.20 has not turned
    assert bars["direction"].tolist() == [1, -1, 1]
    assert bars["close"].tolist() == [1.10, 0.99, 0.995]
    assert bars["extreme"].tolist() == [1.00, 1.10, 0.90]
    assert bars["extreme_time"].tolist() == [utc(START), utc(START + 2), utc(START + 6)]
    assert bars["volume"].tolist() == [3.0, 2.0, 4.0]
    assert np.isnan(bars["overshoot"].iloc[0])
    assert bars["overshoot"].iloc[1:].round(9).tolist() == [0.0, round(0.09 / 0.99, 9)]


@pytest.mark.parametrize("threshold", [0.0002, 0.001, 0.005])
def test_turns_equal_a_plain_loop(threshold: float) -> None:
    times, price, _ = some_ticks(20_000)
    bars = directional_change_bars(times, price, threshold)
    expected = turns_by_hand(times, price, threshold)
    assert len(bars) == len(expected) > 5
    for number, name in ((0, "open_time"), (1, "close_time"), (8, "extreme_time")):
        assert (pd.DatetimeIndex(bars[name]).asi8 == [row[number] for row in expected]).all()
    for number, name in ((2, "open"), (3, "high"), (4, "low"), (5, "close"), (6, "volume"), (7, "direction"), (9, "extreme")):
        assert (bars[name].to_numpy() == [row[number] for row in expected]).all()
    # a turn follows a turn the other way, and the extreme lies before its confirmation
    assert (bars["direction"].to_numpy()[1:] == -bars["direction"].to_numpy()[:-1]).all()
    assert (bars["extreme_time"] <= bars["close_time"]).all()
    assert (bars["overshoot"].iloc[1:] >= 0).all()
    moved = (bars["close"] / bars["extreme"] - 1) * bars["direction"]
    assert (moved.to_numpy() >= threshold * (1 - 1e-9)).all()


def builders() -> list[InformationBars]:
    """One of each kind, new."""
    return [tick_bar_builder(7), volume_bar_builder(4.0), directional_change_builder(0.002)]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(-900, 900), st.floats(0.99, 1.01)), max_size=80), st.data())
def test_any_portions_give_the_bars_of_everything_at_once(ticks: list[tuple[int, float]], data: st.DataObject) -> None:
    times = START + np.cumsum([step if step >= 0 else step // 10 for step, _ in ticks]).astype(np.int64)
    bid = np.array([price for _, price in ticks])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(ticks)), max_size=8)))
    for whole, portions, single in zip(builders(), builders(), builders(), strict=True):
        bars = whole.add(times, bid, bid)
        parts = [portions.add(times[a:b], bid[a:b], bid[a:b]) for a, b in zip([0, *cuts], [*cuts, len(ticks)], strict=True)]
        pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), bars)
        pd.testing.assert_frame_equal(portions.forming, whole.forming)
        assert (portions.late, portions.newest_ms) == (whole.late, whole.newest_ms)
        if ticks:
            ones = [single.add(int(times[k]), float(bid[k])) for k in range(len(ticks))]
            pd.testing.assert_frame_equal(pd.concat(ones, ignore_index=True)[list(bars.columns)], bars)
        counted = bars["volume"].sum() + whole.forming["volume"].sum() + whole.late
        assert counted == len(ticks)


def test_more_bars_than_one_portion_holds_are_all_given() -> None:
    times, bid, ask = some_ticks(30_000)
    assert len(tick_bars(times, bid, ask, 1)) == 30_000
    assert len(tick_bars(times, bid, ask, 3)) == 10_000
    assert (tick_bars(times, bid, ask, 1)["close"].to_numpy() == bid).all()


@pytest.mark.parametrize("kind", range(3))
def test_what_comes_later_changes_no_bar(kind: int) -> None:
    times, bid, ask = some_ticks(3_000, seed=4)
    whole = builders()[kind].add(times, bid, ask)
    assert len(whole) > 3
    for count in (1, 500, 1_234, 2_999):
        cut = builders()[kind].add(times[:count], bid[:count], ask[:count])
        pd.testing.assert_frame_equal(cut, whole.iloc[: len(cut)])
        otherwise = np.concatenate((bid[:count], bid[count:] * 1.7))
        changed = builders()[kind].add(times, otherwise, otherwise + 0.1)
        pd.testing.assert_frame_equal(changed.iloc[: len(cut)].drop(columns="spread", errors="ignore"), cut.drop(columns="spread", errors="ignore"))
        known = whole["close_time"] <= utc(int(times[count - 1]))
        assert len(cut) <= known.sum()


def test_volume_bars_of_bars_close_with_the_row_that_fills_them(raw: pd.DataFrame) -> None:
    bars = validate_bars(raw)
    limit = 20_000.0
    made = volume_bars(bars, limit, timeframe=Timeframe.H1)
    assert (made["volume"] >= limit).all()
    volume, rows, first = 0.0, [], 0
    for row, own in enumerate(bars["volume"].to_numpy()):
        volume += own
        if volume >= limit:
            part = bars.iloc[first : row + 1]
            rows.append([part["open"].iloc[0], part["high"].max(), part["low"].min(), part["close"].iloc[-1], volume])
            assert made["open_time"].iloc[len(rows) - 1] == part.index[0]
            assert made["close_time"].iloc[len(rows) - 1] == part.index[-1] + pd.Timedelta(hours=1)
            volume, first = 0.0, row + 1
    assert made[["open", "high", "low", "close", "volume"]].to_numpy().tolist() == rows
    assert made["spread"].isna().all()


def test_volume_bars_of_ticks_count_each_tick_or_its_own_volume() -> None:
    times, bid, ask = some_ticks(1_000)
    frame = pd.DataFrame({"bid": bid, "ask": ask}, index=pd.DatetimeIndex(pd.to_datetime(times, unit="ms", utc=True)))
    pd.testing.assert_frame_equal(volume_bars(frame, 25), tick_bars(times, bid, ask, 25))
    heavy = volume_bars(frame.assign(volume=10.0), 25)
    assert heavy["volume"].tolist() == [30.0] * 333


def test_late_ticks_are_left_out_and_counted() -> None:
    builder = tick_bar_builder(2)
    builder.add([START + 10, START + 5], [1.0, 9.0], [1.0, 9.0])
    assert builder.late == 1
    assert builder.add(START + 10, 1.1, 1.1)["high"].tolist() == [1.1]
    assert len(builder.forming) == 0
    builder.add(START + 11, 1.2, 1.3)
    assert builder.forming[["open", "spread"]].round(6).to_numpy().tolist() == [[1.2, 0.1]]


def test_no_ticks_make_no_bars() -> None:
    for builder in builders():
        empty = builder.add(np.empty(0, dtype=np.int64), [], [])
        assert len(empty) == 0
        assert str(empty["open_time"].dt.tz) == "UTC"
        assert len(builder.forming) == 0


def test_wrong_input_is_refused_by_name() -> None:
    times, bid, ask = some_ticks(10)
    for wrong in (0, -1, 2.5, True):
        with pytest.raises(BadInput, match="ticks"):
            tick_bars(times, bid, ask, wrong)  # type: ignore[arg-type]
    for threshold in (0.0, -0.1, 1.0, float("nan")):
        with pytest.raises(BadInput, match="threshold"):
            directional_change_bars(times, bid, threshold)
    with pytest.raises(BadInput, match=r"ticks\.3\.bid"):
        directional_change_bars(times, np.where(np.arange(10) == 3, np.nan, bid), 0.1)
    index = pd.DatetimeIndex(pd.to_datetime(times, unit="ms", utc=True))
    ticks = pd.DataFrame({"bid": bid, "ask": ask}, index=index)
    bars = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), bid) | {"volume": 1.0}, index=index)
    with pytest.raises(BadInput, match="volume"):
        volume_bars(ticks, 0.0)
    with pytest.raises(BadInput, match="timeframe"):
        volume_bars(bars, 5.0)
    with pytest.raises(BadInput, match=r"source\.volume"):
        volume_bars(ticks.assign(volume=-1.0), 5.0)
    with pytest.raises(BadInput, match="neither bid and ask"):
        volume_bars(bars.drop(columns="volume"), 5.0, timeframe=Timeframe.M1)
    with pytest.raises(BadInput, match="zone"):
        volume_bars(ticks.tz_localize(None), 5.0)
