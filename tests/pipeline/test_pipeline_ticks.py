"""Ticks to bars: worked out by hand, from real bars, and the same in any portions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.fx import BadInput, Timeframe, resample_bars, validate_bars
from components.pipeline import Bar, BarBuilder, bars_from_ticks, frame_of_bars

MINUTE = 60_000
POINT = 0.00001


def test_bars_worked_out_by_hand_are_met() -> None:
    times = [MINUTE, MINUTE + 10, 2 * MINUTE - 1, 2 * MINUTE, 5 * MINUTE]
    bid, ask = [1.1, 1.3, 1.2, 1.4, 1.5], [1.1001, 1.3002, 1.2, 1.40003, 1.5]
    bars = bars_from_ticks(times, bid, ask, Timeframe.M1, POINT)
    assert bars.index.as_unit("ms").asi8.tolist() == [MINUTE, 2 * MINUTE]  # the third minute had no tick, the fifth has not closed
    assert bars.to_numpy().tolist() == [[1.1, 1.3, 1.1, 1.2, 3.0, 10.0], [1.4, 1.4, 1.4, 1.4, 1.0, 3.0]]
    assert len(bars_from_ticks(times, bid, ask, Timeframe.M1, POINT, include_forming=True)) == 3


def test_a_bar_closes_with_the_first_tick_of_a_later_bar_and_not_before() -> None:
    builder = BarBuilder(Timeframe.H1, POINT)
    hour = Timeframe.H1.ms
    assert builder.add(hour, 1.1, 1.1001) == []
    assert builder.add(2 * hour - 1, 1.2, 1.2001) == []
    assert builder.forming == Bar(hour, 1.1, 1.2, 1.1, 1.2, 2.0, 10.0)
    assert builder.add(2 * hour, 1.3, 1.3001) == [Bar(hour, 1.1, 1.2, 1.1, 1.2, 2.0, 10.0)]
    assert builder.add([], [], []) == []


def test_real_bars_taken_apart_into_ticks_come_back_as_they_were(raw: pd.DataFrame) -> None:
    bars = validate_bars(raw)
    open_ms = bars.index.as_unit("ms").asi8
    times = (open_ms[:, None] + np.array([0, 900_000, 1_800_000, 3_599_999])).ravel()
    bid = bars[["open", "low", "high", "close"]].to_numpy().ravel()
    again = bars_from_ticks(times, bid, bid + 7 * POINT, Timeframe.H1, POINT, include_forming=True)
    pd.testing.assert_frame_equal(again[["open", "high", "low", "close"]], bars[["open", "high", "low", "close"]], check_freq=False)
    assert (again["volume"] == 4).all()
    assert (again["spread_points"] == 7).all()
    pd.testing.assert_frame_equal(validate_bars(again), again, check_freq=False)


TICK = st.tuples(st.integers(-200_000, 400_000), st.floats(0.5, 2.0), st.floats(0.0, 0.01))


@settings(max_examples=150, deadline=None)
@given(st.lists(TICK, max_size=60), st.data())
def test_ticks_give_the_same_bars_in_any_portions_even_where_some_come_late(ticks: list[tuple[int, float, float]], data: st.DataObject) -> None:
    # time runs forward in the main, with steps back among them
    times = np.cumsum([step if step >= 0 else step // 10 for step, _, _ in ticks]).astype(np.int64) + 10**12
    bid = np.array([price for _, price, _ in ticks])
    ask = bid + np.array([spread for _, _, spread in ticks])
    copies = np.array([data.draw(st.integers(1, 2)) for _ in ticks], dtype=np.int64)
    times, bid, ask = (np.repeat(column, copies) for column in (times, bid, ask))
    count = len(times)
    whole = BarBuilder(Timeframe.M5, POINT)
    bars = whole.add(times, bid, ask)
    cuts = sorted(data.draw(st.lists(st.integers(0, count), max_size=8)))
    portions = BarBuilder(Timeframe.M5, POINT)
    joined: list[Bar] = []
    for start, end in zip([0, *cuts], [*cuts, count], strict=True):
        joined += portions.add(times[start:end], bid[start:end], ask[start:end])
    assert joined == bars
    assert (portions.forming, portions.late, portions.duplicates) == (whole.forming, whole.late, whole.duplicates)
    assert portions.newest_ms == whole.newest_ms
    one_by_one = BarBuilder(Timeframe.M5, POINT)
    assert [bar for k in range(count) for bar in one_by_one.add(int(times[k]), float(bid[k]), float(ask[k]))] == bars
    pd.testing.assert_frame_equal(bars_from_ticks(times, bid, ask, Timeframe.M5, POINT), frame_of_bars(bars))
    counted = sum(bar.volume for bar in bars) + (whole.forming.volume if whole.forming else 0) + whole.late + whole.duplicates
    assert counted == count
    validate_bars(frame_of_bars(bars))


def test_a_tick_older_than_the_newest_is_left_out_and_counted() -> None:
    builder = BarBuilder(Timeframe.M1, POINT)
    builder.add([3 * MINUTE, 3 * MINUTE + 5], [1.2, 1.3], [1.2, 1.3])
    assert builder.add([3 * MINUTE + 4, 2 * MINUTE], [9.0, 9.0], [9.0, 9.0]) == []
    assert builder.late == 2
    assert builder.forming == Bar(3 * MINUTE, 1.2, 1.3, 1.2, 1.3, 2.0, 0.0)


def test_a_tick_delivered_twice_counts_once() -> None:
    builder = BarBuilder(Timeframe.M1, POINT)
    builder.add([3 * MINUTE, 3 * MINUTE, 3 * MINUTE], [1.2, 1.2, 1.3], [1.2, 1.2, 1.3])
    assert (builder.duplicates, builder.forming) == (1, Bar(3 * MINUTE, 1.2, 1.3, 1.2, 1.3, 2.0, 0.0))
    builder.add(3 * MINUTE, 1.3, 1.3)  # the same again, in the next portion
    assert (builder.duplicates, builder.forming) == (2, Bar(3 * MINUTE, 1.2, 1.3, 1.2, 1.3, 2.0, 0.0))
    builder.add([3 * MINUTE, 3 * MINUTE, 3 * MINUTE + 1], [1.3, 1.3, 1.3], [1.4, 1.5, 1.5])  # another ask, another time: ticks of their own
    assert (builder.duplicates, builder.late) == (2, 0)
    assert builder.forming == Bar(3 * MINUTE, 1.2, 1.3, 1.2, 1.3, 5.0, 0.0)


@pytest.mark.parametrize("timeframe", [Timeframe.H4, Timeframe.D1, Timeframe.W1])
def test_long_bars_of_ticks_open_with_the_fx_day_like_resampled_ones(raw: pd.DataFrame, timeframe: Timeframe) -> None:
    bars = validate_bars(raw)
    times = (bars.index.as_unit("ms").asi8[:, None] + np.array([0, 900_000, 1_800_000, 3_599_999])).ravel()
    bid = bars[["open", "low", "high", "close"]].to_numpy().ravel()
    built = bars_from_ticks(times, bid, bid, timeframe, POINT, include_forming=True)
    resampled = resample_bars(bars, timeframe, include_forming=True)
    prices = ["open", "high", "low", "close"]
    pd.testing.assert_frame_equal(built[prices], resampled[prices], check_freq=False)
    assert timeframe.is_aligned(built.index.asi8).all()


@pytest.mark.parametrize(
    ("times", "bid", "ask", "field"),
    [
        ([1, 2], [1.0, np.nan], [1.0, 1.0], "ticks.1.bid"),
        ([1, 2], [1.0, -1.0], [1.0, 1.0], "ticks.1.bid"),
        ([1, 2], [1.0, 1.0], [1.0, 0.9], "ticks.1.ask"),
        ([1, 2], [1.0, 1.0], [np.inf, 1.0], "ticks.0.ask"),
        ([1.5, 2], [1.0, 1.0], [1.0, 1.0], "ticks.time_ms"),
        ([1, 2], [1.0], [1.0, 1.0], "ticks"),
    ],
)
def test_a_wrong_tick_is_refused_by_place_and_none_is_taken_in(times: list[float], bid: list[float], ask: list[float], field: str) -> None:
    builder = BarBuilder(Timeframe.M1, POINT)
    with pytest.raises(BadInput) as error:
        builder.add(times, bid, ask)
    assert error.value.field == field
    assert builder.forming is None


@pytest.mark.parametrize("point", [0.0, -1.0, float("nan")])
def test_a_point_that_is_not_positive_is_refused(point: float) -> None:
    with pytest.raises(BadInput, match="point"):
        BarBuilder(Timeframe.M1, point)


def test_no_ticks_make_an_empty_bars_frame() -> None:
    empty = bars_from_ticks([], [], [], Timeframe.H1, POINT)
    assert list(empty.columns) == ["open", "high", "low", "close", "volume", "spread_points"]
    assert len(empty) == 0
    assert str(empty.index.tz) == "UTC"
