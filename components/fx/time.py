"""Instants, timeframes and the broker's day. Everything is aware UTC; stores hold integer epoch milliseconds."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import Final, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from components.fx.errors import BadInput

Ints = NDArray[np.int64]
Whole = TypeVar("Whole", int, Ints)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS_PER_DAY = 86_400_000
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2200, 1, 1)


def to_ms(instant: datetime | pd.Timestamp) -> int:
    """Epoch milliseconds of an aware instant.

    Raises
    ------
    BadInput
        If `instant` carries no time zone.
    """
    if instant.tzinfo is None:
        raise BadInput("instant", f"{instant.isoformat()} has no time zone; give an aware UTC datetime")
    return int((instant - EPOCH) // timedelta(milliseconds=1))


def from_ms(ms: int) -> datetime:
    """The aware UTC datetime of epoch milliseconds."""
    return EPOCH + timedelta(milliseconds=int(ms))


@dataclass(frozen=True)
class BrokerDay:
    """Which trading day an instant belongs to.

    The FX day turns at 17:00 New York, which most brokers show as their midnight; a prop firm may name another zone and hour.

    Parameters
    ----------
    zone : str
        IANA name of the zone in which the day turns.
    turn_hour : int
        Local hour at which the next day begins; 0 turns at midnight, 17 at five in the afternoon.
    """

    zone: str = "America/New_York"
    turn_hour: int = 17

    def day_of(self, at_ms: int) -> date:
        """The trading day of an instant in epoch milliseconds; after an afternoon turn the day is named after the next date."""
        turns = _turns(self)
        return date(1970, 1, 1) + timedelta(days=turns.first_id + turns.place_of_one(at_ms))

    def day_ids(self, open_time: pd.DatetimeIndex) -> pd.Index:
        """Trading day number of every instant.

        Parameters
        ----------
        open_time : DatetimeIndex, shape (n,)
            Aware instants, in any zone.

        Returns
        -------
        Index of int64, shape (n,)
            Days since 1970-01-01 of the trading day's name, equal to `day_of` for each instant.

        Raises
        ------
        BadInput
            If the instants carry no time zone.
        """
        if open_time.tz is None:
            raise BadInput("open_time", "the times have no zone; localise them to UTC first")
        turns = _turns(self)
        return pd.Index(turns.place_of((open_time if open_time.unit == "ms" else open_time.as_unit("ms")).asi8, turns.first_id))

    def start_ms(self, at_ms: ArrayLike) -> Ints:
        """The instant at which each instant's trading day began, epoch milliseconds UTC, shape (n,) to (n,)."""
        turns = _turns(self)
        return turns.ms[turns.place_of(_instants(at_ms))]


FX_DAY: Final = BrokerDay()


class Timeframe(Enum):
    """Length of a bar, in minutes. The name is MetaTrader's.

    M1 to H1 open on the UTC grid. H4, D1 and W1 open with the trading day: by default at 17:00 New York, H4 every four hours from there and
    W1 on Sunday.
    """

    M1 = 1
    M5 = 5
    M15 = 15
    M30 = 30
    H1 = 60
    H4 = 240
    D1 = 1440
    W1 = 10080

    @property
    def ms(self) -> int:
        """Nominal length in milliseconds; `bar_close_ms` knows the days and weeks of a clock change, which are an hour shorter or longer."""
        return self.value * 60_000

    def open_ms(self, at_ms: int, day: BrokerDay = FX_DAY) -> int:
        """Open time of the bar that holds the instant `at_ms`, both in epoch milliseconds UTC.

        `day` says where H4, D1 and W1 bars open; shorter bars do not depend on it.
        """
        if self.value <= 60:
            return at_ms - at_ms % self.ms
        turns = _turns(day)
        place = turns.place_of_one(at_ms)
        if self is Timeframe.W1:
            return turns.listed[max(place - turns.days_into_week(place), 0)]
        start = turns.listed[place]
        return start + (at_ms - start) // self.ms * self.ms if self is Timeframe.H4 else start

    def is_aligned(self, open_ms: ArrayLike, day: BrokerDay = FX_DAY) -> NDArray[np.bool_]:
        """Whether each time, epoch milliseconds UTC, is one at which a bar of this timeframe opens, shape (n,) to (n,)."""
        times = _instants(open_ms)
        return np.asarray(bar_open_ms(times, self, day) == times, dtype=np.bool_)

    @classmethod
    def named(cls, name: str) -> Timeframe:
        """The timeframe called `name`, for example ``"H1"``.

        Raises
        ------
        BadInput
            If there is no such timeframe.
        """
        try:
            return cls[str(name).upper()]
        except KeyError:
            raise BadInput("timeframe", f"{name!r} is unknown; use one of {', '.join(t.name for t in cls)}") from None


def bar_open_ms(at_ms: ArrayLike, timeframe: Timeframe, day: BrokerDay = FX_DAY) -> Ints:
    """Open time of the bar that holds each instant.

    Parameters
    ----------
    at_ms : array of int, shape (n,)
        Epoch milliseconds UTC, in any order.
    timeframe : Timeframe
    day : BrokerDay
        Where H4, D1 and W1 bars open. Bars from elsewhere may open at another hour: a Yahoo day begins at 00:00 in London.

    Returns
    -------
    int64, shape (n,)
        Equal to ``timeframe.open_ms`` of each instant. On the UTC grid for M1 to H1. A day of 25 hours (a clock change in a market that
        never closes) has a seventh H4 bar of one hour, one of 23 hours ends with an H4 bar of three, so no bar reaches into the next day.

    Raises
    ------
    BadInput
        If an instant of an H4, D1 or W1 bar lies outside the years 1900 to 2200.
    """
    times = _instants(at_ms)
    if timeframe.value <= 60:
        return times - times % timeframe.ms
    turns = _turns(day)
    places = turns.place_of(times)
    if timeframe is Timeframe.W1:
        return np.asarray(turns.ms[np.maximum(places - turns.days_into_week(places), 0)])
    starts = np.asarray(turns.ms[places])
    if timeframe is Timeframe.H4:
        starts += (times - starts) // timeframe.ms * timeframe.ms
    return starts


def bar_close_ms(open_ms: ArrayLike, timeframe: Timeframe, day: BrokerDay = FX_DAY) -> Ints:
    """The instant from which each bar is complete: nothing at or after it belongs to the bar.

    Parameters
    ----------
    open_ms : array of int, shape (n,)
        Open times, epoch milliseconds UTC.
    timeframe : Timeframe
    day : BrokerDay
        As in `bar_open_ms`.

    Returns
    -------
    int64, shape (n,)
        The nominal close ``open + timeframe.ms``, except around a clock change: D1 and W1 end where the next day or week begins, and an H4
        bar never reaches into the next day.
    """
    opens = _instants(open_ms)
    if timeframe.value <= 60:
        return opens + timeframe.ms
    turns = _turns(day)
    places = turns.place_of(opens)
    if timeframe is Timeframe.W1:
        return np.asarray(turns.ms[np.minimum(places - turns.days_into_week(places) + 7, len(turns.ms) - 1)])
    ends = np.asarray(turns.ms[places + 1])
    return np.minimum(opens + timeframe.ms, ends) if timeframe is Timeframe.H4 else ends


class _Turns:
    """Every turn of a trading day from 1900 to 2200: `ms` (also as a list, for one instant at a time) and the number of the first day."""

    def __init__(self, day: BrokerDay) -> None:
        local = pd.date_range(FIRST_DAY, LAST_DAY, freq="D") + pd.Timedelta(hours=day.turn_hour)
        try:
            turns = local.tz_localize(day.zone, ambiguous=np.ones(len(local), dtype=bool), nonexistent="shift_forward")
        except (KeyError, ValueError) as error:
            raise BadInput("day.zone", f"{day.zone!r} is not a time zone: {error}") from None
        self.ms: Ints = turns.as_unit("ms").asi8.copy()
        self.ms.flags.writeable = False
        self.listed: list[int] = self.ms.tolist()
        self.first_weekday = FIRST_DAY.weekday()
        self.first_id = (FIRST_DAY - date(1970, 1, 1)).days + (1 if day.turn_hour >= 12 else 0)

    def place_of(self, at_ms: Ints, first_number: int = 0) -> Ints:
        """Which turn each instant follows, counted from `first_number`. A day is 24 hours but for clock changes: a guess is at most a turn or two away."""
        if not len(at_ms):
            return np.zeros(0, dtype=np.int64)
        first, last = self.place_of_one(int(at_ms.min())), self.place_of_one(int(at_ms.max()))
        if at_ms.ndim == 1 and bool((at_ms[1:] >= at_ms[:-1]).all()):
            # In order, so that each turn is looked for among the instants and not each instant among the turns.
            begins = np.searchsorted(at_ms, self.ms[first + 1 : last + 1])
            return np.repeat(np.arange(first, last + 1) + first_number, np.diff(begins, prepend=0, append=len(at_ms)))
        places = (at_ms - self.listed[0]) // MS_PER_DAY
        places += at_ms >= self.ms[places + 1]
        places -= at_ms < self.ms[places]
        return places + first_number

    def place_of_one(self, at_ms: int) -> int:
        """Which turn one instant follows."""
        place = bisect_right(self.listed, at_ms) - 1
        if not 1 <= place < len(self.listed) - 2:
            raise BadInput("at_ms", f"{at_ms} lies outside the years {FIRST_DAY.year} to {LAST_DAY.year}; is it in milliseconds?")
        return place

    def days_into_week(self, place: Whole) -> Whole:
        """Whole days since the week opened; a week opens with the turn that falls on a Sunday."""
        return (place + (self.first_weekday + 1)) % 7


@lru_cache(maxsize=16)
def _turns(day: BrokerDay) -> _Turns:
    return _Turns(day)


def _instants(at_ms: ArrayLike) -> Ints:
    times = np.atleast_1d(np.asarray(at_ms))
    if len(times) and times.dtype.kind not in "iu":
        raise BadInput("at_ms", f"times are {times.dtype}, not whole epoch milliseconds")
    return times.astype(np.int64, copy=False)
