"""Longer bars from shorter ones: against a plain loop, along every path, and around the two clock changes."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from components.fx import BadInput, BrokerDay, Timeframe, bar_close_ms, from_ms, resample_bars, to_ms, validate_bars

LONGER = [timeframe for timeframe in Timeframe if timeframe is not Timeframe.M1]


def minutes(first: str, last: str, *, keep: float = 0.9, seed: int = 1) -> pd.DataFrame:
    """M1 bars of the FX week between two UTC times, with some minutes missing and the weekends closed."""
    index = pd.date_range(first, last, freq="min", tz="UTC", inclusive="left").as_unit("ms")
    local = index.tz_convert("America/New_York") + pd.Timedelta(hours=7)
    random = np.random.default_rng(seed)
    index = index[(local.dayofweek < 5) & (random.random(len(index)) < keep)]
    steps = random.normal(0.0, 2.0, (len(index), 4))
    close = 110_000 + np.cumsum(steps[:, 0]).round()
    open_ = close - steps[:, 0].round()
    high = np.maximum(open_, close) + abs(steps[:, 1]).round()
    low = np.minimum(open_, close) - abs(steps[:, 2]).round()
    columns = {"open": open_, "high": high, "low": low, "close": close}
    frame = pd.DataFrame({name: column / 100_000 for name, column in columns.items()}, index=index)
    frame["volume"] = random.integers(1, 90, len(index)).astype(float)
    frame["spread_points"] = random.integers(1, 20, len(index)).astype(float)
    return validate_bars(frame)


def by_hand(bars: pd.DataFrame, timeframe: Timeframe) -> pd.DataFrame:
    """The same bars from a plain loop, the last one included."""
    rows: dict[int, list[float]] = {}
    for at, (open_, high, low, close, volume, spread) in zip(bars.index, bars.to_numpy().tolist(), strict=True):
        opens = timeframe.open_ms(to_ms(at))
        if opens not in rows:
            rows[opens] = [open_, high, low, close, volume, spread]
        else:
            row = rows[opens]
            row[1:] = [max(row[1], high), min(row[2], low), close, row[4] + volume, row[5]]
    index = pd.DatetimeIndex([from_ms(at) for at in rows], name="open_time").as_unit("ms")
    return pd.DataFrame(list(rows.values()), columns=list(bars.columns), index=index)


# The clocks of New York go forward on 8 March 2026 and back on 1 November 2026.
SPANS = [("2026-03-03", "2026-03-17"), ("2026-10-26 10:07", "2026-11-10 03:11")]


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("timeframe", LONGER)
def test_every_timeframe_equals_a_plain_loop_over_the_weeks_of_a_clock_change(timeframe: Timeframe, span: tuple[str, str]) -> None:
    bars = minutes(*span)
    found = resample_bars(bars, timeframe, include_forming=True)
    pd.testing.assert_frame_equal(found, by_hand(bars, timeframe), check_freq=False)
    pd.testing.assert_frame_equal(found, validate_bars(found), check_freq=False)
    assert timeframe.is_aligned(found.index.asi8).all()


@pytest.mark.parametrize("include_forming", [False, True])
def test_a_chain_of_timeframes_gives_what_the_first_gives_directly(include_forming: bool) -> None:
    bars = minutes("2026-02-20", "2026-04-10")
    chained = bars
    for timeframe in LONGER:
        chained = resample_bars(chained, timeframe, include_forming=include_forming)
        direct = resample_bars(bars, timeframe, include_forming=include_forming)
        complete = slice(None) if include_forming else slice(0, len(chained))
        pd.testing.assert_frame_equal(chained, direct.iloc[complete], check_freq=False)
        assert len(direct) - len(chained) in (0, 1)  # the bar left out of one link is missing in the next


def test_the_day_opens_at_five_in_new_york_in_every_season() -> None:
    bars = minutes("2026-03-03", "2026-03-17", keep=1.0)
    days = resample_bars(bars, Timeframe.D1)
    assert [f"{at:%a %H:%M}" for at in days.index] == [
        "Mon 22:00", "Tue 22:00", "Wed 22:00", "Thu 22:00", "Sun 21:00", "Mon 21:00", "Tue 21:00", "Wed 21:00", "Thu 21:00", "Sun 21:00",
    ]  # fmt: skip
    assert [f"{at:%d %H:%M}" for at in resample_bars(bars, Timeframe.W1, include_forming=True).index] == ["01 22:00", "08 21:00", "15 21:00"]
    fours = resample_bars(bars, Timeframe.H4).loc["2026-03-08":"2026-03-09"]
    assert [f"{at:%d %H:%M}" for at in fours.index] == ["08 21:00", "09 01:00", "09 05:00", "09 09:00", "09 13:00", "09 17:00", "09 21:00"]


def test_a_bar_is_named_by_its_grid_even_where_its_first_minute_is_missing() -> None:
    bars = minutes("2026-06-02 09:00", "2026-06-02 12:00", keep=1.0).iloc[7:]
    hours = resample_bars(bars, Timeframe.H1)
    assert [f"{at:%H:%M}" for at in hours.index] == ["09:00", "10:00", "11:00"]
    assert hours["open"].iloc[0] == bars["open"].iloc[0]
    assert hours["volume"].iloc[0] == bars["volume"].iloc[:53].sum()


def test_a_bar_that_may_still_grow_is_left_out_unless_it_is_asked_for() -> None:
    bars = minutes("2026-06-02 09:00", "2026-06-02 11:00", keep=1.0)
    assert len(resample_bars(bars, Timeframe.H1)) == 2  # 10:59 closes at the end of the hour
    assert len(resample_bars(bars.iloc[:-1], Timeframe.H1)) == 1
    assert len(resample_bars(bars.iloc[:-1], Timeframe.H1, include_forming=True)) == 2
    later = pd.concat((bars.iloc[:-1], minutes("2026-06-02 11:30", "2026-06-02 11:31", keep=1.0)))
    assert len(resample_bars(later, Timeframe.H1)) == 2  # a later bar says that the hour is over


@pytest.mark.parametrize("timeframe", LONGER)
def test_a_longer_history_never_changes_a_bar_that_was_given(timeframe: Timeframe) -> None:
    bars = minutes("2026-10-19", "2026-11-10", keep=0.3)
    whole = resample_bars(bars, timeframe)
    for rows in (2, 61, 977, 5_000, len(bars) - 1):
        part = resample_bars(bars.iloc[:rows], timeframe)
        pd.testing.assert_frame_equal(part, whole.iloc[: len(part)], check_freq=False)
        known_until = to_ms(bars.index[rows - 1]) + Timeframe.M1.ms
        assert (bar_close_ms(part.index.asi8, timeframe) <= known_until).sum() >= len(part) - 1


def test_hours_become_days_of_another_zone_if_asked() -> None:
    hours = resample_bars(minutes("2026-06-01", "2026-06-13"), Timeframe.H1)
    london = resample_bars(hours, Timeframe.D1, day=BrokerDay("Europe/London", 0))
    assert {f"{at:%H:%M}" for at in london.index} == {"23:00"}
    assert resample_bars(hours, Timeframe.D1, day=BrokerDay("UTC", 0)).index[0] == pd.Timestamp("2026-06-01", tz="UTC")


def test_prices_alone_are_enough_and_a_single_bar_is_taken_for_a_minute() -> None:
    bars = minutes("2026-06-02", "2026-06-03")[["open", "high", "low", "close"]]
    assert list(resample_bars(bars, Timeframe.H1).columns) == ["open", "high", "low", "close"]
    assert len(resample_bars(bars.iloc[:0], Timeframe.H1)) == 0
    hour = resample_bars(minutes("2026-06-02 20:00", "2026-06-02 21:00", keep=1.0), Timeframe.H1)
    assert len(resample_bars(hour, Timeframe.D1)) == 0
    assert len(resample_bars(hour, Timeframe.D1, source=Timeframe.H1)) == 1


def test_bars_that_do_not_fit_are_refused() -> None:
    bars = minutes("2026-05-25", "2026-06-13")
    hours = resample_bars(bars, Timeframe.H1)
    with pytest.raises(BadInput, match="M5 bars cannot be made of H1 bars"):
        resample_bars(hours, Timeframe.M5)
    utc_fours = resample_bars(hours, Timeframe.H4, day=BrokerDay("UTC", 0))
    with pytest.raises(BadInput, match="4 hours apart and do not open with the day that turns at 17:00 America/New_York"):
        resample_bars(utc_fours, Timeframe.D1)
    assert len(resample_bars(utc_fours, Timeframe.D1, day=BrokerDay("UTC", 0)))
    broken: list[tuple[str, Callable[[pd.DataFrame], pd.DataFrame]]] = [
        ("'low' is missing", lambda frame: frame.drop(columns="low")),
        ("with a zone", lambda frame: frame.tz_localize(None)),
        ("with a zone", lambda frame: frame.reset_index()),
        ("row 1 ", lambda frame: frame.iloc[::-1]),
    ]
    for words, spoil in broken:
        with pytest.raises(BadInput, match=words):
            resample_bars(spoil(bars), Timeframe.H1)


def test_a_year_of_minutes_takes_milliseconds() -> None:
    bars = minutes("2025-01-01", "2026-01-01", keep=1.0)
    best = min(_seconds(lambda: resample_bars(bars, Timeframe.H1)) for _ in range(5))
    assert best < 0.1, f"{len(bars)} bars took {best:.3f} s"


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
