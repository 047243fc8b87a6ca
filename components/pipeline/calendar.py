"""Which bars are to be expected: the hours in which the market is open, with what a symbol's own history says about its pauses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.fx import FX_DAY, BadInput, BrokerDay, Timeframe, bar_open_ms

CLOSED, OPEN, OPTIONAL = 0, 1, 2
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# Trading hours on 24 and 31 December that every market keeps: up to 13:00 in New York. Later bars may be there or not.
EARLY_CLOSE_MINUTE = 20 * 60
NOON_MINUTE = 19 * 60
# What a pause is read from: slots of the day that (nearly) no day has, while most days have their neighbours.
LEAST_DAYS, LEAST_WEEKS = 8, 6
BREAK_SHARE, NORMAL_SHARE = 0.05, 0.5
# A currency pair trades around the clock: what it lacks at other times than around the turn of the day is a hole, not a pause.
TURN_MINUTES = 65
CURRENCIES = frozenset(
    [
        "AUD",
        "CAD",
        "CHF",
        "CNH",
        "CZK",
        "DKK",
        "EUR",
        "GBP",
        "HKD",
        "HUF",
        "ILS",
        "JPY",
        "MXN",
        "NOK",
        "NZD",
        "PLN",
        "RON",
        "RUB",
        "SEK",
        "SGD",
        "THB",
        "TRY",
        "USD",
        "ZAR",
    ]
)


@dataclass(frozen=True)
class Break:
    """A pause that comes back: minutes since the trading day turned, `first` included, `end` not; on every day, or on one (0 is Monday)."""

    first: int
    end: int
    weekday: int | None = None

    def words(self, day: BrokerDay = FX_DAY) -> str:
        """The pause in the clock of the trading day's zone, for example ``17:00–18:00 America/New_York, every day``."""
        start, end = (f"{(day.turn_hour + minute // 60) % 24:02d}:{minute % 60:02d}" for minute in (self.first, self.end))
        days = "every day" if self.weekday is None else "trading day " + ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][self.weekday]
        return f"{start}–{end} {day.zone}, {days}"


@dataclass(frozen=True)
class Grid:
    """The slots of bars between two times: when each opens and closes on the clock, and whether a bar is expected there.

    ``open_ms`` int64 (n,), epoch milliseconds UTC, increasing; ``state`` int8 (n,): `CLOSED`, `OPEN` (expected) or `OPTIONAL` (neither
    missing nor outside: pauses, early closes); ``day_ms`` int64 (n,): when the trading day of each began.
    """

    open_ms: NDArray[np.int64]
    state: NDArray[np.int8]
    day_ms: NDArray[np.int64]


@dataclass(frozen=True)
class Calendar:
    """The week of spot FX: open from the turn of the day that begins Monday to the one that ends Friday, less the holidays.

    Parameters
    ----------
    day : BrokerDay
        Where the trading day turns; 17:00 New York, so the week opens at 21:00 UTC in American summer and 22:00 in winter.
    holidays : tuple of (month, day)
        Trading days without trading, by the name of the day; Christmas and New Year.
    early_closes : tuple of (month, day)
        Trading days that may end at 13:00 New York.
    breaks : tuple of Break
        Pauses of the symbol, as `infer_breaks` reads them from its own bars.
    closures : tuple of (first_ms, end_ms)
        Other times without trading, epoch milliseconds UTC, the end not included; see `holidays_seen`.
    """

    day: BrokerDay = field(default_factory=BrokerDay)
    holidays: tuple[tuple[int, int], ...] = ((1, 1), (12, 25))
    early_closes: tuple[tuple[int, int], ...] = ((12, 24), (12, 31))
    breaks: tuple[Break, ...] = ()
    closures: tuple[tuple[int, int], ...] = ()

    def with_breaks(self, breaks: tuple[Break, ...]) -> Calendar:
        """The same calendar with these pauses."""
        return replace(self, breaks=breaks)

    def states(self, at_ms: NDArray[np.int64]) -> NDArray[np.int8]:
        """`CLOSED`, `OPEN` or `OPTIONAL` at each instant, epoch milliseconds UTC in any order, shape (n,) to (n,)."""
        at_ms = np.asarray(at_ms, dtype=np.int64)
        if not len(at_ms):
            return np.zeros(0, dtype=np.int8)
        starts = self.day.start_ms(at_ms)
        days, place = np.unique(starts, return_inverse=True)
        kinds, weekdays = self.kinds_of_days(days)
        minute = (at_ms - starts) // MINUTE_MS
        state = np.where(kinds == CLOSED, CLOSED, OPEN).astype(np.int8)[place]
        state[(kinds == OPTIONAL)[place] & (minute >= EARLY_CLOSE_MINUTE)] = OPTIONAL
        for one in self.breaks:
            inside = (minute >= one.first) & (minute < one.end) & (state == OPEN)
            state[inside & (True if one.weekday is None else weekdays[place] == one.weekday)] = OPTIONAL
        for first, end in self.closures:
            state[(at_ms >= first) & (at_ms < end)] = CLOSED
        return state

    def is_open(self, open_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the market may be open at each instant (pauses and early closes included), epoch milliseconds UTC, shape (n,) to (n,)."""
        return np.asarray(self.states(open_ms) != CLOSED, dtype=bool)

    def expected_open_ms(self, first_ms: int, last_ms: int, timeframe: Timeframe) -> NDArray[np.int64]:
        """Open times of the bars that a full history has between two open times, both included.

        A bar longer than an hour is expected where the market is open at any hour in it.
        """
        grid = self.grid(first_ms, last_ms, timeframe)
        return np.asarray(grid.open_ms[grid.state == OPEN])

    def grid(self, first_ms: int, last_ms: int, timeframe: Timeframe, day: BrokerDay | None = None) -> Grid:
        """Every slot of a bar between two open times, both included.

        Parameters
        ----------
        first_ms, last_ms : int
            Epoch milliseconds UTC.
        timeframe : Timeframe
        day : BrokerDay, optional
            Where H4, D1 and W1 bars open, if that is not where the market's day turns (a Yahoo day opens at 00:00 London).
        """
        if timeframe.ms <= HOUR_MS:
            return self._fine_grid(first_ms, last_ms, timeframe)
        bars_of = day or self.day
        hours = np.arange(timeframe.open_ms(first_ms, bars_of), last_ms + timeframe.ms, HOUR_MS, dtype=np.int64)
        opens, starts = np.unique(bar_open_ms(hours, timeframe, bars_of), return_index=True)
        state = self.states(hours)
        is_open = np.maximum.reduceat(state == OPEN, starts) if len(starts) else np.zeros(0, dtype=bool)
        may_open = np.maximum.reduceat(state != CLOSED, starts) if len(starts) else np.zeros(0, dtype=bool)
        kept = opens <= last_ms
        opens = opens[kept]
        answer = np.where(is_open, OPEN, np.where(may_open, OPTIONAL, CLOSED)).astype(np.int8)[kept]
        return Grid(opens, answer, self.day.start_ms(opens))

    def _fine_grid(self, first_ms: int, last_ms: int, timeframe: Timeframe) -> Grid:
        """Bars of an hour or less: the state changes at few places, so it is painted stretch by stretch instead of asked slot by slot."""
        first = timeframe.open_ms(first_ms)
        opens = np.arange(first, last_ms + 1, timeframe.ms, dtype=np.int64)
        if not len(opens):
            return Grid(opens, np.zeros(0, dtype=np.int8), opens)
        days = np.unique(self.day.start_ms(np.append(np.arange(first, last_ms + 1, DAY_MS // 2, dtype=np.int64), last_ms)))
        ends = np.append(days[1:], last_ms + 1)
        kinds, weekdays = self.kinds_of_days(days)
        # Slot of each day's first bar: bars that open at or after the turn.
        places = np.clip(-(-(np.append(days, last_ms + 1) - first) // timeframe.ms), 0, len(opens))
        counts = np.diff(places)
        state = np.repeat(np.where(kinds == CLOSED, CLOSED, OPEN).astype(np.int8), counts)

        def paint(start_ms: int, end_ms: int, value: int, only: int | None = None) -> None:
            a, b = (min(max(-(-(edge - first) // timeframe.ms), 0), len(opens)) for edge in (start_ms, end_ms))
            part = state[a:b]
            part[part == only if only is not None else slice(None)] = value

        for number in np.flatnonzero(kinds == OPTIONAL):
            paint(int(days[number]) + EARLY_CLOSE_MINUTE * MINUTE_MS, int(ends[number]), OPTIONAL)
        for one in self.breaks:
            for number in np.flatnonzero((kinds != CLOSED) & (True if one.weekday is None else weekdays == one.weekday)):
                paint(int(days[number]) + one.first * MINUTE_MS, int(days[number]) + one.end * MINUTE_MS, OPTIONAL, OPEN)
        for start, end in self.closures:
            paint(start, end, CLOSED)
        return Grid(opens, state, np.repeat(days, counts))

    def kinds_of_days(self, day_ms: NDArray[np.int64]) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Whether each trading day is `CLOSED`, `OPEN` or ends early (`OPTIONAL`), and its weekday (0 is Monday), by its first instant."""
        index = pd.DatetimeIndex(pd.to_datetime(day_ms, unit="ms", utc=True))
        names = pd.DatetimeIndex(pd.to_datetime(self.day.day_ids(index).to_numpy(), unit="D"))
        weekdays = names.weekday.to_numpy().astype(np.int64)
        name = names.month.to_numpy() * 100 + names.day.to_numpy()
        kinds = np.full(len(day_ms), OPEN, dtype=np.int8)
        kinds[np.isin(name, [month * 100 + day for month, day in self.early_closes])] = OPTIONAL
        kinds[np.isin(name, [month * 100 + day for month, day in self.holidays]) | (weekdays >= 5)] = CLOSED
        return kinds, weekdays


def infer_breaks(open_ms: NDArray[np.int64], timeframe: Timeframe, *, symbol: str = "", calendar: Calendar | None = None) -> tuple[Break, ...]:
    """The pauses that a symbol's own bars show: slots of the trading day, or of the week, in which (almost) no day has a bar.

    Parameters
    ----------
    open_ms : int64, shape (n,)
        Open times, epoch milliseconds UTC, increasing.
    timeframe : Timeframe
        Of an hour or less; longer bars show no pauses.
    symbol : str
        A pair of currencies is believed to pause only around the turn of the day (its rollover); other symbols at any time.
    calendar : Calendar, optional
        Says which days are trading days; its own pauses are left aside.

    Returns
    -------
    tuple of Break
        In order of time; none where there are fewer than 8 days (6 weeks for a pause of one weekday) to judge by.

    Notes
    -----
    This looks at the whole history, later bars included: it judges data that is there, and must not decide what a strategy may see.
    """
    if timeframe.ms > HOUR_MS or len(open_ms) < 2:
        return ()
    calendar = (calendar or Calendar()).with_breaks(())
    open_ms = np.asarray(open_ms, dtype=np.int64)
    grid = calendar.grid(int(open_ms[0]), int(open_ms[-1]), timeframe)
    here = np.zeros(len(grid.open_ms), dtype=bool)
    here[(open_ms - grid.open_ms[0]) // timeframe.ms] = True
    return breaks_of(here, grid, timeframe, calendar, symbol)


def is_pair(symbol: str) -> bool:
    """Whether a symbol is a pair of currencies (also where no symbol is given: the calendar is that of FX)."""
    return not symbol or (symbol[:3].upper() in CURRENCIES and symbol[3:6].upper() in CURRENCIES)


def breaks_of(here: NDArray[np.bool_], grid: Grid, timeframe: Timeframe, calendar: Calendar, symbol: str) -> tuple[Break, ...]:
    """The pauses shown by a grid of `calendar` (without pauses) and which of its slots have a bar, shape (n,); see `infer_breaks`."""
    starts = np.flatnonzero(np.diff(grid.day_ms, prepend=-1))
    days, ends = grid.day_ms[starts], np.append(starts[1:], len(here))
    slots = DAY_MS // timeframe.ms
    kinds, weekdays = calendar.kinds_of_days(days)
    there = np.add.reduceat(here, starts, dtype=np.int64) if len(starts) else starts
    # Days of another length than 24 hours (the first and the last may be cut), holidays, early closes and days without any bar say nothing.
    usable = np.flatnonzero((ends - starts == slots) & (kinds == OPEN) & (there > 0))
    if len(usable) < LEAST_DAYS:
        return ()
    rows = here[starts[usable][:, None] + np.arange(slots)]
    only_at_turn = is_pair(symbol)
    found = _pauses(rows, None, timeframe, only_at_turn)
    daily = np.zeros(slots, dtype=bool)
    for one in found:
        daily[one.first * MINUTE_MS // timeframe.ms : one.end * MINUTE_MS // timeframe.ms] = True
    for weekday in range(5):
        of_day = rows[weekdays[usable] == weekday]
        if len(of_day) >= LEAST_WEEKS:
            found += _pauses(of_day | daily, weekday, timeframe, only_at_turn)
    return tuple(sorted(found, key=lambda one: (one.weekday is not None, one.weekday or 0, one.first)))


def _pauses(rows: NDArray[np.bool_], weekday: int | None, timeframe: Timeframe, only_at_turn: bool) -> list[Break]:
    share = rows.mean(axis=0)
    if np.median(share) < NORMAL_SHARE:
        return []
    minutes = timeframe.ms // MINUTE_MS
    absent = share <= BREAK_SHARE
    if only_at_turn:
        minute = np.arange(len(share)) * minutes
        absent &= (minute < TURN_MINUTES) | (minute >= 24 * 60 - TURN_MINUTES)
    edges = np.diff(np.concatenate(([0], absent.astype(np.int8), [0])))
    pairs = zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True)
    return [Break(a * minutes, b * minutes, weekday) for a, b in pairs]


def holidays_seen(
    frames: Mapping[str, pd.DataFrame | NDArray[np.int64]], *, calendar: Calendar | None = None, share: float = 0.8, least_hours: int = 2
) -> tuple[tuple[int, int], ...]:
    """Hours in which the market should be open and most symbols have no bar at all: holidays and early closes.

    A closure counts if it takes whole trading days, begins at noon New York or later and lasts to the turn of the day (an early close), or
    begins with the day after a holiday (a late open). Other hours that all symbols lack are holes of their source.

    Parameters
    ----------
    frames : mapping of symbol to DataFrame or int64 array
        Bars with UTC open times (or the open times, epoch milliseconds) of an hour or less; at least 3 symbols, best from more than one
        source: an hour that one source lost for all of its symbols looks like a holiday.
    calendar : Calendar, optional
        The week as it is known.
    share : float
        Of the symbols whose history covers the hour, how many must be without a bar.
    least_hours : int
        Shorter closures are pauses or holes.

    Returns
    -------
    tuple of (first_ms, end_ms)
        Epoch milliseconds UTC, the end not included: what `Calendar.closures` takes.

    Raises
    ------
    BadInput
        If there are fewer than 3 symbols.

    Notes
    -----
    This looks at the whole history, later bars included, as `infer_breaks` does.
    """
    if len(frames) < 3:
        raise BadInput("frames", f"{len(frames)} symbols are too few to see a holiday; give at least 3")
    calendar = calendar or Calendar()
    hours_of = [np.unique(_times(one) // HOUR_MS) for one in frames.values() if len(one)]
    if not hours_of:
        return ()
    first, last = min(int(hours[0]) for hours in hours_of), max(int(hours[-1]) for hours in hours_of)
    covering, absent = np.zeros(last - first + 1, dtype=np.int64), np.zeros(last - first + 1, dtype=np.int64)
    for hours in hours_of:
        a, b = int(hours[0]) - first, int(hours[-1]) - first + 1
        covering[a:b] += 1
        absent[a:b] += 1
        absent[hours - first] -= 1
    open_ms = (np.arange(first, last + 1, dtype=np.int64)) * HOUR_MS
    closed = (covering >= 3) & (absent >= share * np.maximum(covering, 1)) & (calendar.states(open_ms) == OPEN)
    edges = np.diff(np.concatenate(([0], closed.astype(np.int8), [0])))
    pairs = zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True)
    spans = [(int(open_ms[a]), int(open_ms[b - 1]) + HOUR_MS) for a, b in pairs if b - a >= least_hours]
    return tuple(span for span in spans if _is_holiday(*span, calendar))


def _is_holiday(first_ms: int, end_ms: int, calendar: Calendar) -> bool:
    """Whether a closure has the shape of a holiday, an early close or a late open."""
    starts = calendar.day.start_ms(np.array([first_ms, first_ms - 1, end_ms, end_ms - 1]))
    day_ms, before_ms, next_ms, last_ms = starts.tolist()
    from_turn = first_ms == day_ms
    to_turn = end_ms == next_ms or (calendar.states(np.array([end_ms])) == CLOSED).all()
    if from_turn:
        name = calendar.day.day_of(before_ms)
        return to_turn or (name.month, name.day) in calendar.holidays or last_ms > day_ms
    return bool(to_turn and first_ms - day_ms >= NOON_MINUTE * MINUTE_MS)


def _times(bars: pd.DataFrame | NDArray[np.int64]) -> NDArray[np.int64]:
    if isinstance(bars, pd.DataFrame):
        return np.asarray(pd.DatetimeIndex(bars.index).tz_convert("UTC").as_unit("ms").asi8, dtype=np.int64)
    return np.asarray(bars, dtype=np.int64)
