"""Instants, timeframes and the broker's day, around both switches of daylight saving time in New York."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from components.fx import BadInput, BrokerDay, Timeframe, bar_close_ms, bar_open_ms, from_ms, to_ms


def ms(text: str) -> int:
    """Epoch milliseconds of an ISO instant in UTC."""
    return int(np.datetime64(text, "ms").astype(np.int64))


# 17:00 in New York is 22:00 UTC in winter and 21:00 UTC in summer; 2026: summer from Sunday 8 March to Sunday 1 November
TURNS = [
    ("2026-03-05T22:00", date(2026, 3, 6)),
    ("2026-03-06T22:00", date(2026, 3, 7)),
    ("2026-03-07T22:00", date(2026, 3, 8)),  # the last turn in winter time
    ("2026-03-08T21:00", date(2026, 3, 9)),  # the first one in summer time, on the day of the switch
    ("2026-03-09T21:00", date(2026, 3, 10)),
    ("2026-10-30T21:00", date(2026, 10, 31)),
    ("2026-10-31T21:00", date(2026, 11, 1)),  # the last turn in summer time
    ("2026-11-01T22:00", date(2026, 11, 2)),  # the first one in winter time
    ("2026-11-02T22:00", date(2026, 11, 3)),
    ("2026-12-31T22:00", date(2027, 1, 1)),
]


@pytest.mark.parametrize(("turn", "day"), TURNS)
def test_the_day_turns_at_exactly_five_in_new_york(turn: str, day: date) -> None:
    clock = BrokerDay()
    assert clock.day_of(ms(turn)) == day
    assert clock.day_of(ms(turn) - 1) == day - timedelta(days=1)


def test_all_instants_at_once_give_the_same_days_as_one_by_one() -> None:
    clock = BrokerDay()
    for start in ("2026-03-05", "2026-10-29"):
        times = pd.date_range(start, periods=6 * 48, freq="30min", tz="UTC").append(pd.DatetimeIndex([f"{start}T21:59:59.999Z"]))
        expected = [(clock.day_of(to_ms(time)) - date(1970, 1, 1)).days for time in times]
        assert list(clock.day_ids(times)) == expected
        assert list(clock.day_ids(times.tz_convert("Asia/Tokyo").as_unit("ns"))) == expected


def test_a_switch_makes_one_day_of_23_hours_and_one_of_25() -> None:
    hours = pd.date_range("2026-01-01", "2026-12-31 23:00", freq="h", tz="UTC")
    lengths = pd.Series(BrokerDay().day_ids(hours)).value_counts()
    odd = {date(1970, 1, 1) + timedelta(days=int(day)): int(length) for day, length in lengths.items() if length != 24}
    del odd[date(2026, 1, 1)], odd[date(2027, 1, 1)]  # cut off by the sample
    assert odd == {date(2026, 3, 8): 23, date(2026, 11, 1): 25}


def test_a_prop_firm_may_turn_at_another_hour_of_another_zone() -> None:
    prague = BrokerDay("Europe/Prague", 0)  # midnight there is 22:00 UTC in summer, 23:00 in winter
    assert prague.day_of(ms("2026-07-01T21:59:59.999")) == date(2026, 7, 1)
    assert prague.day_of(ms("2026-07-01T22:00")) == date(2026, 7, 2)
    assert prague.day_of(ms("2026-01-01T22:59")) == date(2026, 1, 1)
    assert prague.day_of(ms("2026-01-01T23:00")) == date(2026, 1, 2)


def test_times_without_a_zone_are_refused() -> None:
    with pytest.raises(BadInput, match="no time zone"):
        to_ms(datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(BadInput, match="no time zone"):
        to_ms(pd.Timestamp("2026-01-01"))
    with pytest.raises(BadInput, match="no zone"):
        BrokerDay().day_ids(pd.DatetimeIndex(["2026-01-01"]))


def test_milliseconds_and_instants_go_both_ways() -> None:
    assert to_ms(datetime(2026, 3, 8, 21, tzinfo=UTC)) == ms("2026-03-08T21:00") == 1_773_003_600_000
    assert to_ms(datetime(2026, 3, 8, 23, tzinfo=timezone(timedelta(hours=2)))) == 1_773_003_600_000
    assert to_ms(datetime(2026, 1, 1, microsecond=1_999, tzinfo=UTC)) == ms("2026-01-01") + 1
    assert from_ms(1_773_003_600_123).isoformat() == "2026-03-08T21:00:00.123000+00:00"
    assert to_ms(from_ms(-1)) == -1


def test_a_bar_is_named_by_its_open_time() -> None:
    noon = ms("2026-01-05T12:34:56.789")  # a Monday in winter: the FX day turned at 22:00 UTC the evening before
    opens = {timeframe.name: timeframe.open_ms(noon) for timeframe in Timeframe}
    assert opens["M1"] == ms("2026-01-05T12:34")
    assert opens["M5"] == ms("2026-01-05T12:30")
    assert opens["M15"] == ms("2026-01-05T12:30")
    assert opens["H1"] == ms("2026-01-05T12:00")
    assert opens["H4"] == ms("2026-01-05T10:00")
    assert opens["D1"] == opens["W1"] == ms("2026-01-04T22:00")
    assert Timeframe.H1.open_ms(ms("2026-01-05T12:00")) == ms("2026-01-05T12:00")
    assert (Timeframe.named("h4"), Timeframe.H4.ms) == (Timeframe.H4, 14_400_000)
    assert (Timeframe.named("w1"), Timeframe.W1.ms) == (Timeframe.W1, 7 * 86_400_000)
    for wrong in ("H2", "", "60"):
        with pytest.raises(BadInput, match="timeframe"):
            Timeframe.named(wrong)


@pytest.mark.parametrize(
    ("at", "h4", "d1", "w1"),
    [
        # summer time begins on Sunday 8 March 2026 and ends on Sunday 1 November 2026
        ("2026-03-06T21:59", "2026-03-06T18:00", "2026-03-05T22:00", "2026-03-01T22:00"),
        ("2026-03-08T20:59", "2026-03-08T18:00", "2026-03-07T22:00", "2026-03-01T22:00"),  # the last three hours of a day of 23
        ("2026-03-08T21:00", "2026-03-08T21:00", "2026-03-08T21:00", "2026-03-08T21:00"),
        ("2026-03-11T12:00", "2026-03-11T09:00", "2026-03-10T21:00", "2026-03-08T21:00"),
        ("2026-11-01T20:59", "2026-11-01T17:00", "2026-10-31T21:00", "2026-10-25T21:00"),
        ("2026-11-01T21:30", "2026-11-01T21:00", "2026-10-31T21:00", "2026-10-25T21:00"),  # the one hour more of a day of 25
        ("2026-11-01T22:00", "2026-11-01T22:00", "2026-11-01T22:00", "2026-11-01T22:00"),
    ],
)
def test_long_bars_open_with_the_fx_day_in_both_seasons(at: str, h4: str, d1: str, w1: str) -> None:
    for timeframe, expected in ((Timeframe.H4, h4), (Timeframe.D1, d1), (Timeframe.W1, w1)):
        assert timeframe.open_ms(ms(at)) == ms(expected)


@pytest.mark.parametrize("day", [BrokerDay(), BrokerDay("Europe/London", 0), BrokerDay("UTC", 0), BrokerDay("Europe/Helsinki", 0)])
@pytest.mark.parametrize("timeframe", list(Timeframe))
def test_all_open_times_at_once_are_the_same_as_one_by_one_and_hold_every_instant_once(timeframe: Timeframe, day: BrokerDay) -> None:
    for start in ("2026-03-01", "2026-10-18"):
        at_ms = ms(start) + np.arange(0, 22 * 86_400_000, 1_790_003)
        opens = bar_open_ms(at_ms, timeframe, day)
        assert opens.tolist() == [timeframe.open_ms(at, day) for at in at_ms.tolist()]
        closes = bar_close_ms(opens, timeframe, day)
        assert ((opens <= at_ms) & (at_ms < closes)).all()
        assert (bar_open_ms(closes, timeframe, day) == closes).all()  # where one bar ends the next one begins
        assert (bar_open_ms(closes - 1, timeframe, day) == opens).all()
        assert timeframe.is_aligned(opens, day).all()
        assert not timeframe.is_aligned(opens + 30_000, day).any()
        shuffled = np.random.default_rng(1).permutation(at_ms)
        assert sorted(bar_open_ms(shuffled, timeframe, day)) == sorted(opens)


def test_the_day_starts_are_the_turns() -> None:
    for turn, day in TURNS:
        assert BrokerDay().start_ms([ms(turn), ms(turn) + 3_600_000]).tolist() == [ms(turn), ms(turn)]
        assert bar_open_ms([ms(turn) - 1], Timeframe.D1)[0] < ms(turn)
        assert BrokerDay().day_of(ms(turn)) == day


def test_a_turn_follows_its_zone_in_every_year_that_a_history_may_hold() -> None:
    for zone, hour in (("America/New_York", 17), ("Europe/London", 0), ("Europe/Helsinki", 0), ("Asia/Tokyo", 6), ("America/Caracas", 0)):
        clock = BrokerDay(zone, hour)
        for year in (1971, 1999, 2007, 2012, 2019, 2038, 2077):
            for month in (1, 3, 4, 7, 10, 11):
                local = datetime(year, month, 28, hour, tzinfo=ZoneInfo(zone))
                before = to_ms(local - timedelta(days=1))
                assert clock.start_ms([to_ms(local) + 5, to_ms(local) - 5]).tolist() == [to_ms(local), before]


def test_ten_years_of_minutes_find_their_bars_well_under_a_second() -> None:
    at_ms = ms("2015-01-01") + np.arange(3_700_000, dtype=np.int64) * 60_000
    bar_open_ms(at_ms[:1], Timeframe.W1)
    for timeframe in (Timeframe.H4, Timeframe.D1, Timeframe.W1):
        begun = time.perf_counter()
        bar_open_ms(at_ms, timeframe)
        assert time.perf_counter() - begun < 0.9


def test_times_that_are_no_milliseconds_are_refused() -> None:
    with pytest.raises(BadInput, match="is it in milliseconds"):
        bar_open_ms([1_700_000_000_000_000_000], Timeframe.D1)
    with pytest.raises(BadInput, match="is it in milliseconds"):
        Timeframe.W1.open_ms(1_700_000_000_000_000_000)
    with pytest.raises(BadInput, match="not whole epoch milliseconds"):
        bar_open_ms([0.5], Timeframe.H1)
    with pytest.raises(BadInput, match="not a time zone"):
        BrokerDay("Europe/Atlantis").day_of(0)
    assert len(bar_open_ms(np.zeros(0, dtype=np.int64), Timeframe.D1)) == 0
