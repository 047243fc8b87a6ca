"""Sessions and the calendar: where in the day, the week, the month and the year a bar opens, on the clocks of Tokyo, London and New York.

Everything is known from the bar's open time alone. Daylight saving comes from a table of switch instants, made once from the law's rules
(1990 to 2100; winter time before) and read by the compiled loops; a test holds it against the zone database.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import numpy as np

from components.features.compiled import compiled
from components.features.formula import Floats, Formula, Ints, Kernel

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS
FIRST_YEAR, LAST_YEAR = 1990, 2100


def _sunday(year: int, month: int, from_day: int) -> date:
    """The first Sunday of a month on or after a day."""
    day = date(year, month, from_day)
    return day + timedelta(days=6 - day.weekday())


def _instant_ms(day: date, hour: int) -> int:
    return int(datetime(day.year, day.month, day.day, hour, tzinfo=UTC).timestamp()) * 1000


def _london_switches() -> Ints:
    """Start and end of British summer time in every year, both at 01:00 UTC; the end is the European Union's since 1996."""
    years = range(FIRST_YEAR, LAST_YEAR + 1)
    springs = [_instant_ms(_sunday(year, 3, 25), 1) for year in years]
    autumns = [_instant_ms(_sunday(year, 10, 25 if year >= 1996 else 22), 1) for year in years]
    return np.array([springs, autumns], dtype=np.int64).T.reshape(-1)


def _new_york_switches() -> Ints:
    """Start and end of daylight saving in New York in every year, at 02:00 local time; the rule is that of 2005's act since 2007."""
    years = range(FIRST_YEAR, LAST_YEAR + 1)
    springs = [_instant_ms(_sunday(year, 3, 8) if year >= 2007 else _sunday(year, 4, 1), 7) for year in years]
    autumns = [_instant_ms(_sunday(year, 11, 1) if year >= 2007 else _sunday(year, 10, 25), 6) for year in years]
    return np.array([springs, autumns], dtype=np.int64).T.reshape(-1)


_LONDON = _london_switches()
_NEW_YORK = _new_york_switches()


@compiled
def _is_summer(switches: Ints, at_ms: int) -> bool:
    """Whether an odd number of switches lie at or before the instant: summer begins at the even places."""
    low, high = 0, len(switches)
    while low < high:
        middle = (low + high) // 2
        if switches[middle] <= at_ms:
            low = middle + 1
        else:
            high = middle
    return low % 2 == 1


@compiled
def tokyo_ms(at_ms: int) -> int:
    """An instant in epoch milliseconds UTC, on Tokyo's clock (UTC+9 all year)."""
    return at_ms + 9 * HOUR_MS


@compiled
def london_ms(at_ms: int) -> int:
    """An instant in epoch milliseconds UTC, on London's clock."""
    return at_ms + HOUR_MS if _is_summer(_LONDON, at_ms) else at_ms


@compiled
def new_york_ms(at_ms: int) -> int:
    """An instant in epoch milliseconds UTC, on New York's clock."""
    return at_ms - 4 * HOUR_MS if _is_summer(_NEW_YORK, at_ms) else at_ms - 5 * HOUR_MS


@compiled
def fx_day(at_ms: int) -> int:
    """Trading day of an instant, as days since 1970-01-01 of its name: it turns at 17:00 New York and is named after the next date."""
    return (new_york_ms(at_ms) + 7 * HOUR_MS) // DAY_MS


@compiled
def _weekday(day: int) -> int:
    """0 for Monday to 6 for Sunday; 1970-01-01 was a Thursday."""
    return (day + 3) % 7


@compiled
def _minutes_since(local_ms: int, hour: int) -> float:
    """Minutes on that clock since it last showed the hour, 0 to below 1,440."""
    return ((local_ms - hour * HOUR_MS) % DAY_MS) / MINUTE_MS


@compiled
def _is_open(local_ms: int, hour: int) -> bool:
    """Whether that clock shows one of the nine hours from `hour` on, Monday to Friday."""
    return _weekday(local_ms // DAY_MS) < 5 and _minutes_since(local_ms, hour) < 540


@compiled
def _month_of(day: int) -> tuple[int, int, int]:
    """Place of a day in its month from 0 on, days of the month, and its number 0 to 11 (Hinnant, days to civil)."""
    shifted = day + 719_468
    of_era = shifted % 146_097
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    march_month = (5 * of_year + 2) // 153
    place = of_year - (153 * march_month + 2) // 5
    month = (march_month + 2) % 12
    length = 31
    if month == 3 or month == 5 or month == 8 or month == 10:
        length = 30
    elif month == 1:
        year = year_of_era + 1
        length = 29 if (year % 4 == 0 and year % 100 != 0) or year % 400 == 0 else 28
    return place, length, month


@compiled
def _weekdays(day: int, days: int) -> int:
    """How many of the `days` days from `day` on are Monday to Friday."""
    found = days // 7 * 5
    for k in range(days % 7):
        if _weekday(day + k) < 5:
            found += 1
    return found


@compiled
def _wave(at_ms: int, cycle_ms: int, offset_ms: int, is_sine: bool) -> float:
    angle = 2 * math.pi * ((at_ms + offset_ms) % cycle_ms) / cycle_ms
    return math.sin(angle) if is_sine else math.cos(angle)


@compiled
def _year_angle(at_ms: int) -> float:
    """2π times the part of a mean Gregorian year that has passed since it began; off by a day at most."""
    return 2 * math.pi * ((at_ms % 31_556_952_000) / 31_556_952_000)


@compiled
def _hour_sin(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        out[t] = _wave(open_ms[t], DAY_MS, 0, True)


@compiled
def _hour_cos(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        out[t] = _wave(open_ms[t], DAY_MS, 0, False)


@compiled
def _week_sin(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        out[t] = _wave(open_ms[t], WEEK_MS, 3 * DAY_MS, True)


@compiled
def _week_cos(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        out[t] = _wave(open_ms[t], WEEK_MS, 3 * DAY_MS, False)


@compiled
def _year_sin(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        out[t] = math.sin(_year_angle(open_ms[t]))


@compiled
def _year_cos(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        out[t] = math.cos(_year_angle(open_ms[t]))


@compiled
def _tokyo_minutes(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        out[t] = _minutes_since(tokyo_ms(open_ms[t]), 9)


@compiled
def _london_minutes(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        out[t] = _minutes_since(london_ms(open_ms[t]), 8)


@compiled
def _new_york_minutes(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        out[t] = _minutes_since(new_york_ms(open_ms[t]), 8)


@compiled
def _open_sessions(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        at = open_ms[t]
        out[t] = 0.0 + _is_open(tokyo_ms(at), 9) + _is_open(london_ms(at), 8) + _is_open(new_york_ms(at), 8)


@compiled
def _london_new_york(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        out[t] = 1.0 if _is_open(london_ms(open_ms[t]), 8) and _is_open(new_york_ms(open_ms[t]), 8) else 0.0


@compiled
def _tokyo_london(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        out[t] = 1.0 if _is_open(tokyo_ms(open_ms[t]), 9) and _is_open(london_ms(open_ms[t]), 8) else 0.0


@compiled
def _fix_minutes(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        out[t] = _minutes_since(london_ms(open_ms[t]) + 12 * HOUR_MS, 16) - 720


@compiled
def _fix_hour(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        local = london_ms(open_ms[t])
        out[t] = 1.0 if _weekday(local // DAY_MS) < 5 and _minutes_since(local, 15) < 60 else 0.0


@compiled
def _tokyo_fix_hour(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        local = tokyo_ms(open_ms[t])
        out[t] = 1.0 if _weekday(local // DAY_MS) < 5 and _minutes_since(local, 9) < 60 else 0.0


@compiled
def _day_hours(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        out[t] = _minutes_since(new_york_ms(open_ms[t]), 17) / 60


@compiled
def _weekly_close_hours(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        # 1970-01-02 was a Friday.
        out[t] = ((DAY_MS + 17 * HOUR_MS - new_york_ms(open_ms[t])) % WEEK_MS) / HOUR_MS


@compiled
def _month_position(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        place, length, _ = _month_of(fx_day(open_ms[t]))
        out[t] = place / (length - 1)


@compiled
def _month_end_days(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        day = fx_day(open_ms[t])
        place, length, _ = _month_of(day)
        out[t] = float(_weekdays(day + 1, length - place - 1))


@compiled
def _month_turn(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        day = fx_day(open_ms[t])
        place, length, _ = _month_of(day)
        out[t] = 1.0 if _weekdays(day - place, place + 1) <= 3 or _weekdays(day + 1, length - place - 1) == 0 else 0.0


@compiled
def _quarter_end(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        day = fx_day(open_ms[t])
        place, length, month = _month_of(day)
        out[t] = 1.0 if month % 3 == 2 and _weekdays(day + 1, length - place - 1) < 5 else 0.0


@compiled
def _triple_swap(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        out[t] = 1.0 if _weekday(fx_day(open_ms[t])) == 2 else 0.0


@compiled
def _dst_gap(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        out[t] = 1.0 if london_ms(open_ms[t]) - new_york_ms(open_ms[t]) != 5 * HOUR_MS else 0.0


def _formula(name: str, source: str, text: str, kernel: Kernel, low: float = 0.0, high: float = 1.0) -> Formula:
    return Formula(name, "session", source, text, kernel, low=low, high=high)


_DAY = 1440 - 1 / MINUTE_MS
_SEASONS = "intraday seasonality, Andersen and Bollerslev 1998"
_TURN = "turn of the month, Lakonishok and Smidt 1988"
FORMULAS: tuple[Formula, ...] = (
    _formula("hour_sin", "cyclic time", "sin(2π · UTC time of day of the open)", _hour_sin, -1.0),
    _formula("hour_cos", "cyclic time", "cos(2π · UTC time of day of the open)", _hour_cos, -1.0),
    _formula("week_sin", "cyclic time", "sin(2π · UTC time of week of the open)", _week_sin, -1.0),
    _formula("week_cos", "cyclic time", "cos(2π · UTC time of week of the open)", _week_cos, -1.0),
    _formula("year_sin", "cyclic time", "sin(2π · part of a mean Gregorian year since it began)", _year_sin, -1.0),
    _formula("year_cos", "cyclic time", "cos(2π · part of a mean Gregorian year since it began)", _year_cos, -1.0),
    _formula("tokyo_minutes", _SEASONS, "minutes since Tokyo's clock last showed 09:00, at the open", _tokyo_minutes, high=_DAY),
    _formula("london_minutes", _SEASONS, "minutes since London's clock last showed 08:00, at the open", _london_minutes, high=_DAY),
    _formula("new_york_minutes", _SEASONS, "minutes since New York's clock last showed 08:00, at the open", _new_york_minutes, high=_DAY),
    _formula(
        "open_sessions", "Ito and Hashimoto 2006", "how many are open, Monday to Friday: Tokyo 09–18, London 08–17, New York 08–17, each on its clock",
        _open_sessions, high=3.0,
    ),
    _formula("london_new_york", "Ito and Hashimoto 2006", "1 where the sessions of London and New York are both open", _london_new_york),
    _formula("tokyo_london", "Ito and Hashimoto 2006", "1 where the sessions of Tokyo and London are both open", _tokyo_london),
    _formula(
        "fix_minutes", "London fix, Melvin and Prins 2015", "minutes since the nearest 16:00 on London's clock; below 0 before it",
        _fix_minutes, -720.0, 720.0,
    ),
    _formula("fix_hour", "London fix, Melvin and Prins 2015", "1 where the open lies in the hour up to 16:00 London, Monday to Friday", _fix_hour),
    _formula("tokyo_fix_hour", "Tokyo fix, Ito and Yamada 2017", "1 where the open lies in 09:00 to 10:00 Tokyo (fix at 09:55), Monday to Friday", _tokyo_fix_hour),
    _formula("day_hours", "FX day", "hours since New York's clock last showed 17:00, where the FX day turns", _day_hours, high=_DAY / 60),
    _formula(
        "weekly_close_hours", "FX week", "hours on New York's clock until the next Friday 17:00, where the FX week ends",
        _weekly_close_hours, high=168 - 1 / HOUR_MS,
    ),
    _formula("month_position", "Ariel 1987", "place of the FX day in its month: 0 on the first, 1 on the last", _month_position),
    _formula("month_end_days", _TURN, "weekdays after the FX day in its month; holidays are counted", _month_end_days, high=22.0),
    _formula("month_turn", _TURN, "1 where the FX day is among the first three weekdays of its month, or its last", _month_turn),
    _formula("quarter_end", "Melvin and Prins 2015", "1 where the FX day is among the last five weekdays of a quarter", _quarter_end),
    _formula("triple_swap", "FX settlement", "1 where the FX day is a Wednesday, whose overnight interest is charged for three days", _triple_swap),
    _formula("dst_gap", "daylight saving", "1 where London and New York are not 5 hours apart", _dst_gap),
)  # fmt: skip
