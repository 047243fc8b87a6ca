"""Instants, timeframes and the broker's day. Everything is aware UTC; stores hold integer epoch milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

import pandas as pd

from components.fx.errors import BadInput

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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


class Timeframe(Enum):
    """Length of a bar, in minutes. The name is MetaTrader's."""

    M1 = 1
    M5 = 5
    M15 = 15
    M30 = 30
    H1 = 60
    H4 = 240
    D1 = 1440

    @property
    def ms(self) -> int:
        """Length in milliseconds."""
        return self.value * 60_000

    def open_ms(self, at_ms: int) -> int:
        """Open time of the bar that holds the instant `at_ms`, both in epoch milliseconds, bars aligned to the UTC day."""
        return at_ms - at_ms % self.ms

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
        local = from_ms(at_ms).astimezone(ZoneInfo(self.zone))
        shifted = local.replace(tzinfo=None) - timedelta(hours=self.turn_hour)
        return shifted.date() + timedelta(days=1 if self.turn_hour >= 12 else 0)

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
        local = open_time.tz_convert(self.zone).tz_localize(None) - pd.Timedelta(hours=self.turn_hour)
        days = (local.normalize() - pd.Timestamp("1970-01-01")) // pd.Timedelta(days=1)
        return pd.Index(days.astype("int64")) + (1 if self.turn_hour >= 12 else 0)
