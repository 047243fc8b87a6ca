"""When the market is open: the week of New York, holidays, early closes, pauses read from the bars themselves, holidays seen across pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.fx import BadInput, BrokerDay, Timeframe
from components.pipeline import Break, Calendar, holidays_seen, infer_breaks, score_quality
from components.pipeline.calendar import CLOSED, OPEN, OPTIONAL

H1, M1 = Timeframe.H1, Timeframe.M1


def at(text: str) -> int:
    return int(pd.Timestamp(text, tz="UTC").timestamp() * 1000)


def states(calendar: Calendar, *times: str) -> list[int]:
    return calendar.states(np.array([at(text) for text in times])).tolist()


def days_and_hours(open_ms: np.ndarray) -> list[str]:
    return [pd.Timestamp(ms, unit="ms").strftime("%d %H") for ms in open_ms]


def test_the_market_week_follows_new_york_through_the_change_of_clocks() -> None:
    times = [
        "2017-10-29 20:00",
        "2017-10-29 21:00",
        "2017-11-05 21:00",
        "2017-11-05 22:00",
        "2017-11-03 20:00",
        "2017-11-03 21:00",
        "2017-11-10 21:00",
    ]
    assert Calendar().is_open(np.array([at(text) for text in times])).tolist() == [False, True, False, True, True, False, True]


def test_christmas_is_closed_from_five_in_new_york_the_evening_before() -> None:
    opens = Calendar().expected_open_ms(at("2018-12-24 17:00"), at("2018-12-25 23:00"), H1)
    # From 13:00 New York on Christmas Eve bars may be there or not.
    assert days_and_hours(opens) == ["24 17", "25 22", "25 23"]
    assert states(Calendar(), "2018-12-24 17:59", "2018-12-24 18:00", "2018-12-24 22:00", "2018-12-31 20:00") == [OPEN, OPTIONAL, CLOSED, OPTIONAL]


def test_bars_after_an_early_close_are_neither_missing_nor_outside() -> None:
    opens = Calendar().expected_open_ms(at("2018-12-03 00:00"), at("2018-12-28 20:00"), H1)
    late = np.array([at("2018-12-24 18:00"), at("2018-12-24 19:00")])
    for times in (opens, np.union1d(opens, late)):
        bars = flat_bars(times)
        quality = score_quality(bars, H1)
        assert (quality.completeness, quality.outside, quality.gap_count) == (1.0, 0, 0)


def flat_bars(open_ms: np.ndarray) -> pd.DataFrame:
    close = 1.1 + 0.001 * np.sin(np.arange(len(open_ms)))
    index = pd.DatetimeIndex(pd.to_datetime(open_ms, unit="ms", utc=True)).as_unit("ms").rename("open_time")
    return pd.DataFrame({"open": close, "high": close + 0.0003, "low": close - 0.0003, "close": close, "volume": 7.0}, index=index)


def test_a_long_bar_is_expected_where_any_of_its_hours_is_open() -> None:
    # 2017-06-11 was a Sunday; the market opened at 21:00 UTC, and so did the first bars of the week
    assert days_and_hours(Calendar().expected_open_ms(at("2017-06-11 00:00"), at("2017-06-12 02:00"), Timeframe.H4)) == ["11 21", "12 01"]
    days = Calendar().expected_open_ms(at("2017-06-11 00:00"), at("2017-06-18 22:00"), Timeframe.D1)
    assert days_and_hours(days) == ["11 21", "12 21", "13 21", "14 21", "15 21", "18 21"]
    assert days_and_hours(Calendar().expected_open_ms(at("2017-06-12 00:00"), at("2017-06-25 22:00"), Timeframe.W1)) == ["11 21", "18 21", "25 21"]


def test_days_that_open_elsewhere_have_a_grid_of_their_own() -> None:
    grid = Calendar().grid(at("2017-06-08 23:00"), at("2017-06-13 00:00"), Timeframe.D1, BrokerDay("Europe/London", 0))
    named = dict(zip(days_and_hours(grid.open_ms), grid.state.tolist(), strict=True))
    # Friday is open until 21:00, Saturday closed; Sunday's day holds two open hours.
    assert named == {"08 23": OPEN, "09 23": CLOSED, "10 23": OPEN, "11 23": OPEN, "12 23": OPEN}


@settings(max_examples=60, deadline=None)
@given(
    start=st.integers(at("1999-01-01"), at("2030-01-01")),
    hours=st.integers(0, 24 * 40),
    timeframe=st.sampled_from([M1, Timeframe.M15, H1]),
    breaks=st.lists(st.tuples(st.integers(0, 1379), st.integers(1, 60), st.sampled_from([None, 0, 4])), max_size=3),
)
def test_the_painted_grid_says_what_each_instant_says(
    start: int, hours: int, timeframe: Timeframe, breaks: list[tuple[int, int, int | None]]
) -> None:
    grain = timeframe.value
    pauses = tuple(Break(first // grain * grain, first // grain * grain + -(-length // grain) * grain, weekday) for first, length, weekday in breaks)
    closure = timeframe.open_ms(start + 30 * 3_600_000)
    calendar = Calendar(breaks=pauses, closures=((closure, closure + 5 * 3_600_000),))
    grid = calendar.grid(start, start + hours * 3_600_000, timeframe)
    assert (grid.state == calendar.states(grid.open_ms)).all()
    assert (grid.day_ms == calendar.day.start_ms(grid.open_ms)).all()


def minutes_without(weeks: int, hours: tuple[tuple[int, int], ...], symbol_day: BrokerDay | None = None) -> np.ndarray:
    """Minutes of the FX week less pauses, given as first and end minute of the trading day."""
    open_ms = Calendar().expected_open_ms(at("2022-01-09 22:00"), at("2022-01-09 22:00") + weeks * 7 * 86_400_000, M1)
    minute = (open_ms - Calendar().day.start_ms(open_ms)) // 60_000
    keep = np.ones(len(open_ms), dtype=bool)
    for first, end in hours:
        keep &= ~((minute >= first) & (minute < end))
    return open_ms[keep]


def test_the_daily_hour_of_metals_is_read_from_their_bars_through_the_change_of_clocks() -> None:
    times = minutes_without(14, ((0, 60),))
    (found,) = infer_breaks(times, M1, symbol="XAUUSD")
    assert found == Break(0, 60)
    assert found.words() == "17:00–18:00 America/New_York, every day"


def test_the_minute_in_which_a_pair_rests_at_the_turn_of_the_day_is_read_from_its_bars() -> None:
    assert infer_breaks(minutes_without(4, ((0, 1),)), M1, symbol="EURUSD") == (Break(0, 1),)


def test_a_pair_has_no_pause_at_noon_what_is_missing_there_is_missing() -> None:
    times = minutes_without(4, ((12 * 60, 13 * 60),))
    assert infer_breaks(times, M1, symbol="EURUSD") == ()
    assert infer_breaks(times, M1, symbol="US30") == (Break(720, 780),)
    assert score_quality(flat_bars(times), M1, symbol="EURUSD").completeness == pytest.approx(23 / 24, abs=0.001)
    assert score_quality(flat_bars(times), M1, symbol="US30").completeness == 1.0


def test_a_pause_of_one_weekday_needs_weeks_and_a_few_bars_in_a_pause_do_not_hide_it() -> None:
    times = minutes_without(10, ((0, 60),))
    day = Calendar().day.start_ms(times)
    friday = ((day // 86_400_000 + 4) % 7 == 4) & ((times - day) // 60_000 >= 23 * 60 + 30)
    # Thursday's turn begins Friday, so its day starts on a Thursday in UTC.
    shortened = times[~friday]
    stray = times[::1440][3:5] - (times[::1440][3:5] - Calendar().day.start_ms(times[::1440][3:5])) + 5 * 60_000
    found = infer_breaks(np.union1d(shortened, stray), M1, symbol="XAUUSD")
    assert found == (Break(0, 60), Break(23 * 60 + 30, 24 * 60, 4))
    assert len(infer_breaks(shortened[: len(shortened) // 3], M1, symbol="XAUUSD")) == 1


def test_too_few_days_show_no_pauses() -> None:
    assert infer_breaks(minutes_without(1, ((0, 60),)), M1, symbol="XAUUSD") == ()
    assert infer_breaks(np.array([], dtype=np.int64), M1) == ()
    assert infer_breaks(Calendar().expected_open_ms(at("2022-01-01"), at("2023-01-01"), Timeframe.D1), Timeframe.D1) == ()


def test_inferred_pauses_are_stated_with_the_quality() -> None:
    quality = score_quality(flat_bars(minutes_without(4, ((0, 60),))), M1, symbol="XAUUSD")
    assert quality.breaks == ("17:00–18:00 America/New_York, every day",)
    assert (quality.completeness, quality.gap_count) == (1.0, 0)


def hours_of(first: str, last: str, *without: tuple[str, str]) -> np.ndarray:
    opens = Calendar().expected_open_ms(at(first), at(last), H1)
    for start, end in without:
        opens = opens[(opens < at(start)) | (opens >= at(end))]
    return opens


def test_a_day_that_most_pairs_lack_is_a_holiday_and_a_day_that_one_lacks_is_not() -> None:
    boxing = ("2023-12-25 22:00", "2023-12-26 22:00")
    frames = {symbol: hours_of("2023-12-01", "2024-01-20", boxing) for symbol in ("EURUSD", "GBPUSD", "USDJPY", "EURJPY")}
    frames["AUDUSD"] = hours_of("2023-12-01", "2024-01-20", ("2023-12-12 22:00", "2023-12-13 22:00"))
    assert holidays_seen(frames) == ((at(boxing[0]), at(boxing[1])),)
    calendar = Calendar(closures=holidays_seen(frames))
    assert score_quality(flat_bars(frames["EURUSD"]), H1, calendar).gap_count == 0
    assert score_quality(flat_bars(frames["AUDUSD"]), H1, calendar).gap_count == 1


def test_an_early_close_and_a_late_open_are_seen_and_an_outage_at_noon_is_not() -> None:
    early = ("2023-11-24 18:00", "2023-11-24 22:00")
    late = ("2024-01-01 22:00", "2024-01-02 05:00")
    outage = ("2023-12-06 10:00", "2023-12-06 16:00")
    frames = {symbol: flat_bars(hours_of("2023-11-01", "2024-01-20", early, late, outage)) for symbol in ("EURUSD", "GBPUSD", "USDJPY")}
    assert holidays_seen(frames) == tuple((at(first), at(end)) for first, end in (early, late))


def test_two_pairs_are_too_few_to_see_a_holiday() -> None:
    with pytest.raises(BadInput, match="at least 3"):
        holidays_seen({"EURUSD": np.array([0]), "GBPUSD": np.array([0])})


def test_ten_real_pairs_of_one_broker_keep_the_26th_of_december(realdata: Path) -> None:
    from components.pipeline.broker_clock import infer_clock

    frames = {}
    for path in sorted((realdata / "broker_bars").glob("*_h1.csv.gz")):
        raw = pd.DatetimeIndex(pd.to_datetime(pd.read_csv(path, usecols=["Date"])["Date"])).as_unit("ms").asi8
        frames[path.name[:6].upper()] = infer_clock(raw, H1.ms).to_utc(raw)
    assert len(frames) == 10
    found = [pd.Timestamp(first, unit="ms").strftime("%Y-%m-%d %H") for first, _ in holidays_seen(frames)]
    assert [day for day in found if "-12-25 22" in day] == ["2022-12-25 22", "2023-12-25 22", "2024-12-25 22", "2025-12-25 22"]
    # What one source lost in the middle of 2024-07-02 and 2025-01-07 is a hole, not a holiday.
    assert not [day for day in found if day.startswith(("2024-07", "2025-01-07"))]


@pytest.mark.slow
def test_real_gold_rests_an_hour_a_day(realdata: Path) -> None:
    frame = pd.read_csv(realdata / "histdata" / "HISTDATA_COM_ASCII_XAUUSD_M12018.zip", sep=";", header=None, usecols=[0], dtype=str)
    times = pd.to_datetime(frame[0], format="%Y%m%d %H%M%S")
    open_ms = pd.DatetimeIndex(times).tz_localize("America/New_York").tz_convert("UTC").as_unit("ms").asi8
    # HistData has a last bar at 17:00 (the tick that ends the day) and none at 18:00.
    assert [found.words() for found in infer_breaks(open_ms, M1, symbol="XAUUSD")] == [
        "17:01–18:01 America/New_York, every day",
        "17:00–17:01 America/New_York, trading day Mon",
    ]
