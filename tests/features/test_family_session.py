"""Sessions and the calendar against the zone database and plain Python, over every switch of the clocks, and what holds for every kernel."""

from __future__ import annotations

import calendar
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from kernel_runs import check_formula, made, whole

from components.features.family_session import FORMULAS, fx_day, london_ms, new_york_ms, tokyo_ms
from components.features.formula import Formula
from components.fx import BrokerDay, from_ms

BY_NAME = {formula.name: formula for formula in FORMULAS}
TOKYO, LONDON, NEW_YORK = ZoneInfo("Asia/Tokyo"), ZoneInfo("Europe/London"), ZoneInfo("America/New_York")


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: formula.name)
def test_a_formula_of_the_clock_is_the_same_in_one_go_in_blocks_and_bar_by_bar(formula: Formula, bars: pd.DataFrame) -> None:
    check_formula(formula, bars)


@pytest.mark.parametrize(("clock", "zone"), [(tokyo_ms, TOKYO), (london_ms, LONDON), (new_york_ms, NEW_YORK)])
def test_the_clocks_are_those_of_the_zone_database_from_1990_to_2040(clock: Callable[[int], int], zone: ZoneInfo) -> None:
    start, hours = datetime(1990, 1, 1, tzinfo=UTC), 51 * 8766
    for hour in range(0, hours, 1 if zone is not TOKYO else 97):
        at = start + timedelta(hours=hour)
        if at.month in (3, 4, 10, 11) or hour % 24 == 0:
            ms = int(at.timestamp()) * 1000
            offset = at.astimezone(zone).utcoffset()
            assert offset is not None
            assert clock(ms) - ms == offset.total_seconds() * 1000, at
            if hour % 24 == 0:
                assert clock(ms - 1) - (ms - 1) == int((at - timedelta(milliseconds=1)).astimezone(zone).utcoffset().total_seconds()) * 1000  # type: ignore[union-attr]


def test_the_fx_day_is_that_of_the_platform() -> None:
    for hour in range(24 * 800):
        ms = 1_700_000_000_000 + hour * 3_600_000
        assert date(1970, 1, 1) + timedelta(days=int(fx_day(ms))) == BrokerDay().day_of(ms)


def weekdays(first: date, last: date) -> int:
    """Monday to Friday from `first` to `last`, both included."""
    return sum((first + timedelta(days=k)).weekday() < 5 for k in range((last - first).days + 1))


def minutes_since(local: datetime, hour: int) -> float:
    """Minutes on the wall clock since it showed the hour."""
    return ((local.hour - hour) * 60 + local.minute + local.second / 60) % 1440


def is_open(local: datetime, hour: int) -> bool:
    return local.weekday() < 5 and hour <= local.hour < hour + 9


def plain(name: str, at: datetime) -> float:
    """The definition, with the zone database."""
    tokyo, london, new_york = (at.astimezone(zone) for zone in (TOKYO, LONDON, NEW_YORK))
    day = BrokerDay().day_of(int(at.timestamp() * 1000))
    first, last = day.replace(day=1), day.replace(day=calendar.monthrange(day.year, day.month)[1])
    after = weekdays(day + timedelta(days=1), last) if day < last else 0
    sessions = [is_open(tokyo, 9), is_open(london, 8), is_open(new_york, 8)]
    wall = new_york.replace(tzinfo=None)
    friday = wall.replace(hour=17, minute=0) + timedelta(days=(4 - wall.weekday()) % 7)
    to_close = (friday - wall).total_seconds() / 3600
    hour, week = at.hour + at.minute / 60, at.weekday() * 24 + at.hour + at.minute / 60
    year = (at.timestamp() % 31_556_952) / 31_556_952
    fix = minutes_since(london, 16)
    return {
        "hour_sin": math.sin(2 * math.pi * hour / 24),
        "hour_cos": math.cos(2 * math.pi * hour / 24),
        "week_sin": math.sin(2 * math.pi * week / 168),
        "week_cos": math.cos(2 * math.pi * week / 168),
        "year_sin": math.sin(2 * math.pi * year),
        "year_cos": math.cos(2 * math.pi * year),
        "tokyo_minutes": minutes_since(tokyo, 9),
        "london_minutes": minutes_since(london, 8),
        "new_york_minutes": minutes_since(new_york, 8),
        "open_sessions": float(sum(sessions)),
        "london_new_york": float(sessions[1] and sessions[2]),
        "tokyo_london": float(sessions[0] and sessions[1]),
        "fix_minutes": fix if fix < 720 else fix - 1440,
        "fix_hour": float(london.weekday() < 5 and london.hour == 15),
        "tokyo_fix_hour": float(tokyo.weekday() < 5 and tokyo.hour == 9),
        "day_hours": minutes_since(new_york, 17) / 60,
        "weekly_close_hours": to_close if to_close >= 0 else to_close + 168,
        "month_position": (day.day - 1) / (last.day - 1),
        "month_end_days": float(after),
        "month_turn": float(weekdays(first, day) <= 3 or after == 0),
        "quarter_end": float(day.month % 3 == 0 and after < 5),
        "triple_swap": float(day.weekday() == 2),
        "dst_gap": float(london.utcoffset() - new_york.utcoffset() != timedelta(hours=5)),  # type: ignore[operator]
    }[name]


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: formula.name)
def test_a_formula_of_the_clock_is_its_definition_through_two_years_and_every_switch(formula: Formula) -> None:
    bars = made([1.1] * 2_600, start="2023-12-15", freq="415min")
    values = whole(formula, bars)
    expected = [plain(formula.name, at) for at in bars.index.to_pydatetime()]
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-12)


def test_london_opens_at_seven_utc_in_summer_and_eight_in_winter() -> None:
    bars = made([1.1] * 24, start="2024-07-01")
    assert np.flatnonzero(whole(BY_NAME["london_minutes"], bars) == 0).tolist() == [7]
    assert np.flatnonzero(whole(BY_NAME["london_minutes"], made([1.1] * 24, start="2024-01-08")) == 0).tolist() == [8]


def test_the_clocks_are_out_of_step_in_march_and_in_the_last_week_of_october() -> None:
    gap = BY_NAME["dst_gap"]
    days = {start: whole(gap, made([1.1], start=start))[0] for start in ("2024-03-08", "2024-03-12", "2024-04-02", "2024-10-29", "2024-11-05")}
    assert days == {"2024-03-08": 0.0, "2024-03-12": 1.0, "2024-04-02": 0.0, "2024-10-29": 1.0, "2024-11-05": 0.0}


def test_a_bar_after_five_in_new_york_belongs_to_the_next_day_and_may_turn_the_month() -> None:
    # Friday 2024-05-31 is the last weekday of its month; its trading day ends at 21:00 UTC.
    bars = made([1.1] * 2, start="2024-05-31 20:00")
    assert from_ms(int(bars.index.asi8[1])).hour == 21
    assert whole(BY_NAME["month_end_days"], bars).tolist() == [0.0, 20.0]
    assert whole(BY_NAME["weekly_close_hours"], bars).tolist() == [1.0, 0.0]
