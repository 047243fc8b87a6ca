"""Faults that only the neighbours show: spikes, frozen runs, odd spreads, jumps over holes. Judged window by window, each by the hours of the week.

What is normal differs by the hour: a move that is nothing at the London open is a misprint at night. So every bar is measured against the same
hour of the week in the weeks up to its own (8 weeks; a year or more where bars are long), and in minutes against its own hour too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from components.fx import Timeframe
from components.pipeline.hour_grid import HOUR_MS, HOURS_OF_WEEK, HourGrid, median, median_of_windows, unit_numbers, weeks_of, window_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

# A close this many typical moves away, that the next bar takes back by more than half; a wick this many beyond open and close.
SPIKE_SCALE, WICK_SCALE = 12.0, 20.0
# ... while the bars around move less than a half (a third) of it: after news they move too.
SPIKE_QUIET, WICK_QUIET = 2.0, 3.0
JUMP_SCALE, JUMP_LONGEST_MS = 8.0, 5 * 24 * HOUR_MS
# A run is frozen when an hour that is flat as often as this one usually is would show it once in a million times; never below 3 bars.
STALE_RUN, STALE_CHANCE, FLATTEST = 3, 1e-6, 0.85
SPREAD_SCALE = 10.0
FLOOR = 0.5
# Rows before and after that a judgement looks at.
BEFORE, AFTER = 2, 3
MOST_DECIMALS = 6
DECIMALS_SHARE, DECIMALS_ROWS = 0.95, 8


@dataclass
class Rows:
    """Usable bars in order of time, as arrays of shape (n,); `spread` is None where no spread is known."""

    open_ms: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    spread: Floats | None = None

    def copied(self, start: int) -> Rows:
        """The rows from `start` on, without holding the others in memory."""
        return Rows(*(None if column is None else column[start:].copy() for column in self._columns()))  # type: ignore[arg-type]

    @classmethod
    def joined(cls, parts: list[Rows]) -> Rows:
        """The rows of several parts, one after the other. A spread counts as known only if all parts have it."""
        if len(parts) == 1:
            return parts[0]
        columns = zip(*(part._columns() for part in parts), strict=True)
        return cls(*(None if any(one is None for one in column) else np.concatenate(column) for column in columns))  # type: ignore[arg-type]

    def _columns(self) -> tuple[NDArray[np.generic] | None, ...]:
        return (self.open_ms, self.open, self.high, self.low, self.close, self.volume, self.spread)

    def __len__(self) -> int:
        return len(self.open_ms)


@dataclass
class WindowFaults:
    """What one batch of windows showed: for each part the open times and values of its bars, bars and flat bars by hour of the week (for
    `flat_by_hour`), and the number of decimals of each unit with its rows and first bar."""

    found: dict[str, tuple[Ints, Floats]] = field(default_factory=dict)
    rows_by_hour: Ints = field(default_factory=lambda: np.zeros(HOURS_OF_WEEK, dtype=np.int64))
    flat_by_hour: Ints = field(default_factory=lambda: np.zeros(HOURS_OF_WEEK, dtype=np.int64))
    decimals: list[tuple[int, int, int]] = field(default_factory=list)


class WindowJudge:
    """Judges bars as they come; keeps no more than the rows of the unit that is not over, and medians of the units before.

    The answer does not depend on how the bars are cut into blocks: a unit is judged when a later one has begun.
    """

    def __init__(self, timeframe: Timeframe) -> None:
        self.timeframe = timeframe
        self.window = window_of(timeframe)
        self._held: list[Rows] = []
        self._context = 0
        self._first_week: int | None = None
        self._newest = -1
        self._past: dict[str, Floats] = {}

    def add(self, rows: Rows) -> Iterator[WindowFaults]:
        """Take in bars that come after all before; gives what the units show that are over."""
        if len(rows):
            self._held.append(rows)
            yield from self._advance(False)

    def finish(self) -> Iterator[WindowFaults]:
        """What the last units show."""
        if self._held:
            yield from self._advance(True)

    def _advance(self, is_last: bool) -> Iterator[WindowFaults]:
        if self._first_week is None:
            first_ms = int(self._held[0].open_ms[0])
            self._first_week = int(weeks_of(first_ms, first_ms)[0])
        newest = int(unit_numbers(self._held[-1].open_ms[-1:], self._first_week, self.window)[0])
        if not is_last and newest == self._newest:
            return
        rows = Rows.joined(self._held)
        unit = unit_numbers(rows.open_ms, self._first_week, self.window)
        end = len(rows) if is_last else int(np.searchsorted(unit, newest))
        if len(rows) - end >= AFTER:
            self._newest = newest
        over = 1 + int((np.diff(unit[self._context : end]) > 0).sum()) if end > self._context else 0
        # The first windows need as many units as a window has; afterwards one is enough.
        is_enough = over >= (1 if self._past else self.window.units) and len(rows) - end >= AFTER
        self._held = [rows]
        if over and (is_last or is_enough):
            yield self._judge(rows, _numbered(unit), self._context, end)
            keep = max(0, end - BEFORE)
            self._held, self._context = [rows.copied(keep)], end - keep

    def _judge(self, rows: Rows, unit: Ints, first: int, end: int) -> WindowFaults:
        here = slice(first, end)
        number = unit[here] - int(unit[first])
        grid = HourGrid.of(rows.open_ms[here], number, self.timeframe)
        faults = WindowFaults()
        move, scale = self._moves(rows, first, end, grid)
        marks = {
            "spikes": _is_spike(rows, first, end, move, scale),
            "jumps": _is_jump(rows, first, end, scale, self.timeframe.ms),
            "stale": self._is_stale(rows, number, first, end, grid, faults),
            "zero_volume": _is_empty(rows.volume[here], number, grid.count),
        }
        if rows.spread is not None:
            marks["spreads"] = self._is_odd_spread(rows.spread[here], grid)
        values = {"zero_volume": rows.volume, "spreads": rows.spread}
        for name, mark in marks.items():
            at = np.flatnonzero(mark) + first
            column = values.get(name)
            faults.found[name] = (rows.open_ms[at], (rows.close if column is None else column)[at])
        faults.decimals = _decimals(rows.close[here], rows.open_ms[here], number, grid.count)
        return faults

    def _moves(self, rows: Rows, first: int, end: int, grid: HourGrid) -> tuple[Floats, Floats]:
        """Relative move of each close from the one before (rows first to end, and `AFTER` more), and the typical one of its hour."""
        stop = min(len(rows), end + AFTER)
        move = np.full(stop - first, np.nan)
        begin = max(first, 1)
        move[begin - first :] = rows.close[begin:stop] / rows.close[begin - 1 : stop - 1] - 1.0
        own = grid.medians(np.abs(move[: end - first]))
        table = np.fmax(self._windowed("move", own), FLOOR * self._windowed("pool", median(own)[:, None]))
        if grid.slots >= 12 or self.window.weeks > 1:
            table = np.fmax(table, own)
        return move, np.nan_to_num(grid.spread_out(table))

    def _windowed(self, name: str, own: Floats) -> Floats:
        """Median over the units of each window, (units, groups) to (units, groups): the units up to each, at the start the first ones."""
        units = self.window.units
        past = self._past.get(name)
        known = own if past is None else np.concatenate((past, own))
        before = len(known) - len(own)
        starts = np.maximum(np.arange(before, len(known)) - units + 1, 0)
        self._past[name] = known[-(units - 1) :] if units > 1 else known[:0]
        return median_of_windows(known, starts, units)

    def _is_stale(self, rows: Rows, number: Ints, first: int, end: int, grid: HourGrid, faults: WindowFaults) -> Flags:
        """Bars in runs of which nobody saw the like: all four prices equal the close before, for longer than the hour's flat bars explain."""
        flat = np.zeros(end - first, dtype=bool)
        begin = max(first, 1)
        close = rows.close[begin - 1 : end - 1]
        at = begin - first
        flat[at:] = (rows.high[begin:end] == close) & (rows.low[begin:end] == close)
        total = grid.counts()
        if self.timeframe.ms <= HOUR_MS:
            faults.rows_by_hour += total.sum(axis=0)
            faults.flat_by_hour += grid.counts(rows.high[first:end] == rows.low[first:end]).sum(axis=0)
        with np.errstate(invalid="ignore"):
            usual = self._windowed("flat", grid.counts(flat) / total)
        stale = np.zeros(end - first, dtype=bool)
        where = np.flatnonzero(flat)
        if not len(where):
            return stale
        breaks = np.flatnonzero((np.diff(where) > 1) | (np.diff(number[where]) > 0)) + 1
        starts, stops = where[np.concatenate(([0], breaks))], where[np.concatenate((breaks - 1, [-1]))] + 1
        chance = np.clip(np.nan_to_num(usual.ravel()[grid.cell[starts]]), STALE_CHANCE, FLATTEST)
        longest = np.maximum(STALE_RUN, np.ceil(np.log(STALE_CHANCE) / np.log(chance)))
        lengths = stops - starts
        for run in np.flatnonzero(lengths >= longest):
            a, b = int(starts[run]), int(stops[run])
            ticks = rows.volume[first + a : first + b]
            # Ticks that keep coming in changing numbers speak for a market that is quiet, against a feed that is dead.
            is_alive = ticks.any() and (ticks != ticks[0]).any()
            stale[a:b] = b - a >= (2.0 if is_alive else 1.0) * longest[run]
        return stale

    def _is_odd_spread(self, spread: Floats, grid: HourGrid) -> Flags:
        own = grid.medians(spread)
        usual = self._windowed("spread", own)
        pooled = self._windowed("spread_pool", median(own)[:, None])
        table = np.where(usual > 0, usual, pooled)
        typical = np.nan_to_num(grid.spread_out(table))
        return np.asarray((typical > 0) & ((spread > SPREAD_SCALE * typical) | (spread == 0)), dtype=bool)


def _numbered(unit: Ints) -> Ints:
    """Numbers of the units one after the other, those without any bar left out."""
    return np.concatenate(([0], np.cumsum(np.diff(unit) > 0)))


def _is_spike(rows: Rows, first: int, end: int, move: Floats, scale: Floats) -> Flags:
    """Closes and wicks far off that nobody around confirms. Only candidates are looked at closely."""
    mark = np.zeros(end - first, dtype=bool)
    far = np.flatnonzero((np.abs(move[: end - first]) > SPIKE_SCALE * scale) & (scale > 0)) + first
    high, low, open_, close = rows.high[first:end], rows.low[first:end], rows.open[first:end], rows.close[first:end]
    wick = np.maximum(high - np.maximum(open_, close), np.minimum(open_, close) - low)
    long = np.flatnonzero((wick > WICK_SCALE * scale * close) & (scale > 0)) + first
    for at in far[(far > 0) & (far + 1 < len(rows))].tolist():
        mark[at - first] = _is_misprint(rows, at)
    for at in long.tolist():
        mark[at - first] |= bool(wick[at - first] > WICK_QUIET * _range_of(rows, (at - 1, at + 1)))
    return mark


def _is_misprint(rows: Rows, at: int) -> bool:
    """Whether the next bar takes the move back by more than half, and the market was quiet around it."""
    before, here, after, opened = (float(value) for value in (rows.close[at - 1], rows.close[at], rows.close[at + 1], rows.open[at + 1]))
    there, back = here - before, after - here
    if there * back >= 0 or abs(back) <= abs(there) / 2:
        return False
    if abs(opened - before) < abs(there) / 2:
        return abs(there) > SPIKE_QUIET * _range_of(rows, (at - 1, at + 1))
    # The next bar opens at the misprint, so its range holds the way back: the bars beyond it tell whether the market moved.
    return abs(there) > WICK_QUIET * _range_of(rows, (at - 2, at - 1, at + 2, at + 3))


def _range_of(rows: Rows, places: tuple[int, ...]) -> float:
    return max((float(rows.high[at] - rows.low[at]) for at in places if 0 <= at < len(rows)), default=0.0)


def _is_jump(rows: Rows, first: int, end: int, scale: Floats, length_ms: int) -> Flags:
    """Opens after a hole that lie further from the last close than 8 typical moves would carry in that time, had they been random."""
    mark = np.zeros(end - first, dtype=bool)
    begin = max(first, 1)
    after = np.flatnonzero(np.diff(rows.open_ms[begin - 1 : end]) > length_ms) + begin
    jump = np.abs(rows.open[after] / rows.close[after - 1] - 1.0)
    steps = np.minimum(rows.open_ms[after] - rows.open_ms[after - 1], JUMP_LONGEST_MS) / length_ms
    limit = JUMP_SCALE * scale[after - first] * np.sqrt(np.maximum(steps, 1.0))
    mark[after[(jump > limit) & (limit > 0)] - first] = True
    return mark


def _is_empty(volume: Floats, unit: Ints, count: int) -> Flags:
    """Bars without a tick, in units in which ticks are counted."""
    empty: Flags = np.asarray(volume == 0, dtype=bool)
    if not empty.any():
        return empty
    counted = np.bincount(unit[~empty], minlength=count) > 0
    return np.asarray(empty & counted[unit], dtype=bool)


def _decimals(close: Floats, open_ms: Ints, unit: Ints, count: int) -> list[tuple[int, int, int]]:
    """Decimals of the closes of each unit, its rows and its first bar: the fewest with which 95 of 100 closes can be written; 7 where six are
    not enough. Units of fewer than 8 bars tell nothing."""
    total = np.bincount(unit, minlength=count)
    scaled = close * 10.0**MOST_DECIMALS
    whole = np.rint(scaled)
    kept = np.flatnonzero(np.abs(scaled - whole) < 0.02)
    number = whole[kept].astype(np.int64)
    digits = np.full(count, MOST_DECIMALS + 1, dtype=np.int64)
    for decimals in range(MOST_DECIMALS, -1, -1):
        enough = np.bincount(unit[kept], minlength=count) >= DECIMALS_SHARE * total
        if not enough.any():
            break
        digits[enough] = decimals
        tenth = number // 10
        even = tenth * 10 == number
        kept, number = kept[even], tenth[even]
    starts = np.searchsorted(unit, np.arange(count))
    return [(int(digits[u]), int(total[u]), int(open_ms[starts[u]])) for u in range(count) if total[u] >= DECIMALS_ROWS]
