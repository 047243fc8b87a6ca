"""Bars by the hour of the week: what is normal at the London open is not normal at night.

Time is cut into units (a week; a year or more where bars are long), and each unit into groups of hours that are kept apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.fx import FX_DAY, Timeframe, bar_open_ms

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HOUR_MS = 3_600_000
WEEK_MS = 7 * 24 * HOUR_MS
# A week in which clocks change has an hour more.
HOURS_OF_WEEK = 169


@dataclass(frozen=True)
class Window:
    """How bars of a timeframe are cut: weeks in a unit, units that are looked at together, and groups of hours in a unit."""

    weeks: int
    units: int
    groups: int


def window_of(timeframe: Timeframe) -> Window:
    """Bars of up to an hour: by the week, hour by hour. Longer ones: enough bars for a median; H4 by its place in the day."""
    if timeframe.ms <= HOUR_MS:
        return Window(1, 8, HOURS_OF_WEEK)
    return {Timeframe.H4: Window(13, 2, 7), Timeframe.D1: Window(52, 2, 1)}.get(timeframe, Window(260, 2, 1))


def weeks_of(first_ms: int, last_ms: int) -> Ints:
    """When each FX week opened, from the one that holds the first instant to the one that holds the last, epoch milliseconds UTC."""
    probes = np.append(np.arange(first_ms, last_ms, WEEK_MS // 2, dtype=np.int64), last_ms)
    opens = bar_open_ms(probes, Timeframe.W1, FX_DAY)
    return opens[np.flatnonzero(np.diff(opens, prepend=-1))]


def unit_numbers(open_ms: Ints, first_week_ms: int, window: Window) -> Ints:
    """Number of the unit of each bar, counted from the week that opened at `first_week_ms`; times increase, shape (n,) to (n,)."""
    weeks = weeks_of(int(open_ms[0]), int(open_ms[-1]))
    edges = np.concatenate(([0], np.searchsorted(open_ms, weeks[1:]), [len(open_ms)]))
    numbers = (weeks - first_week_ms + WEEK_MS // 2) // WEEK_MS // window.weeks
    return np.repeat(numbers, np.diff(edges))


@dataclass(frozen=True)
class HourGrid:
    """Where bars lie in a table of units and groups of hours.

    ``cell`` int64 (n,): place of each bar in the flattened table of `count` units by `groups`; ``slot`` int64 (n,): its place in the hour,
    of `slots` that an hour has (0: not kept, bars are longer).
    """

    count: int
    groups: int
    slots: int
    cell: Ints
    slot: Ints

    @classmethod
    def of(cls, open_ms: Ints, unit: Ints, timeframe: Timeframe) -> HourGrid:
        """The grid of bars in order of time; `unit` numbers each bar's unit from 0 without leaving one out."""
        groups = window_of(timeframe).groups
        count = int(unit[-1]) + 1
        none = np.zeros(0, dtype=np.int64)
        if timeframe.ms <= HOUR_MS:
            starts = np.flatnonzero(np.diff(unit, prepend=-1))
            weeks = bar_open_ms(open_ms[starts], Timeframe.W1, FX_DAY)
            slot = (open_ms - np.repeat(weeks, np.diff(np.append(starts, len(open_ms))))) // timeframe.ms
            slots = HOUR_MS // timeframe.ms
            hour = slot // slots
            return cls(count, groups, slots, unit * groups + hour, slot - hour * slots)
        if timeframe is Timeframe.H4:
            hours = np.minimum((open_ms - FX_DAY.start_ms(open_ms)) // timeframe.ms, groups - 1)
            return cls(count, groups, 0, unit * groups + hours, none)
        return cls(count, groups, 0, unit * groups, none)

    def medians(self, values: Floats) -> Floats:
        """Median of the values in each cell, shape (units, groups); NaN where there are none."""
        cells = self.count * self.groups
        if self.slots:
            table = np.full(cells * self.slots, np.nan)
            table[self.cell * self.slots + self.slot] = values
            return median(table.reshape(self.count, self.groups, self.slots))
        answer = np.full(cells, np.nan)
        grouped = pd.Series(values).groupby(self.cell).median()
        answer[grouped.index.to_numpy()] = grouped.to_numpy()
        return answer.reshape(self.count, self.groups)

    def counts(self, rows: NDArray[np.bool_] | None = None) -> Ints:
        """Bars in each cell (those of `rows` only), shape (units, groups)."""
        cell = self.cell if rows is None else self.cell[rows]
        return np.bincount(cell, minlength=self.count * self.groups).reshape(self.count, self.groups)

    def spread_out(self, table: Floats) -> Floats:
        """The value of each bar's cell in a table of shape (units, groups), shape (n,)."""
        return np.asarray(table.ravel()[self.cell])


def median(values: Floats) -> Floats:
    """Median along the last axis, NaN left aside (NaN where nothing is left); numpy's own nanmedian is a loop in Python."""
    width = values.shape[-1]
    if width == 1:
        return values[..., 0]
    ordered = np.sort(values, axis=-1)
    count = width - np.isnan(ordered).sum(axis=-1)
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, width - 1)
    pick = [np.take_along_axis(ordered, place[..., None], axis=-1)[..., 0] for place in (low, high)]
    return np.where(count > 0, (pick[0] + pick[1]) / 2, np.nan)


def median_of_windows(rows: Floats, starts: Ints, width: int) -> Floats:
    """Median over rows `start` to `start + width` of a table of shape (units, groups), for each start: shape (starts, groups)."""
    padded = np.concatenate((rows, np.full((width, rows.shape[1]), np.nan)))
    return median(np.lib.stride_tricks.sliding_window_view(padded, width, axis=0)[starts])
