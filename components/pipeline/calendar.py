"""Which bars are to be expected: the hours in which the market is open."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.fx import BrokerDay, Timeframe


@dataclass(frozen=True)
class Calendar:
    """The week of spot FX: open from the turn of the day that begins Monday to the one that ends Friday, less the holidays.

    Parameters
    ----------
    day : BrokerDay
        Where the trading day turns; 17:00 New York, so the week opens at 21:00 UTC in American summer and 22:00 in winter.
    holidays : tuple of (month, day)
        Trading days without trading, by the name of the day; Christmas and New Year.
    """

    day: BrokerDay = field(default_factory=BrokerDay)
    holidays: tuple[tuple[int, int], ...] = ((1, 1), (12, 25))

    def is_open(self, open_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the market is open at each instant, epoch milliseconds UTC, shape (n,) to (n,)."""
        index = pd.DatetimeIndex(pd.to_datetime(open_ms, unit="ms", utc=True))
        day_id = self.day.day_ids(index).to_numpy()
        days, place = np.unique(day_id, return_inverse=True)
        names = pd.to_datetime(days, unit="D")
        closed = np.array([(name.weekday() >= 5) or ((name.month, name.day) in self.holidays) for name in names], dtype=bool)
        return np.asarray(~closed[place], dtype=bool) if len(days) else np.zeros(0, dtype=bool)

    def expected_open_ms(self, first_ms: int, last_ms: int, timeframe: Timeframe) -> NDArray[np.int64]:
        """Open times of the bars that a full history has between two open times, both included.

        A bar longer than an hour is expected where the market is open at any hour in it.
        """
        every = np.arange(timeframe.open_ms(first_ms), last_ms + 1, timeframe.ms, dtype=np.int64)
        hour = Timeframe.H1.ms
        if timeframe.ms <= hour:
            return every[self.is_open(every)]
        hours = every[:, None] + np.arange(0, timeframe.ms, hour)
        return every[self.is_open(hours.ravel()).reshape(hours.shape).any(axis=1)]
