"""Averages that remember their first value, compiled, and the ranges and steps that several formulas build on.

Rows are counted from the first bar of the history: element i of ``x`` and ``out`` is row ``row + i`` of it. ``state[at]`` carries the average
from call to call; it begins as 0. Source of the averages: Wilder, New Concepts in Technical Trading Systems (1978); seeds as in TA-Lib.
"""

from __future__ import annotations

import math

import numpy as np

from components.features.compiled import compiled
from components.features.formula import CLOSE, HIGH, LOW, Floats
from components.features.windows import window_mean

FLAT = 1e-12
"""Below this share of the price a range is rounding, not movement."""


@compiled
def smooth(x: Floats, row: int, first: int, period: int, factor: float, state: Floats, at: int, out: Floats) -> None:
    """Exponential average, its value before row ``first + period - 1`` unknown, there the mean of the first `period` values.

    ``x`` is known from row `first` on; each later value moves the average by `factor` of its distance. ``state`` of one number.
    """
    seeded = first + period - 1
    kept = state[at]
    rows = len(x)
    for i in range(min(max(seeded - row, 0), rows)):
        if row + i >= first:
            kept += x[i]
        out[i] = np.nan
    i = max(seeded - row, 0)
    if i < rows and row + i == seeded:
        kept = (kept + x[i]) / period
        out[i] = kept
        i += 1
    keep = 1.0 - factor
    while i < rows:
        kept = kept * keep + x[i] * factor
        out[i] = kept
        i += 1
    state[at] = kept


@compiled
def ema(x: Floats, row: int, first: int, period: int, state: Floats, at: int, out: Floats) -> None:
    """Exponential average with factor 2 / (period + 1)."""
    smooth(x, row, first, period, 2.0 / (period + 1), state, at, out)


@compiled
def wilder(x: Floats, row: int, first: int, period: int, state: Floats, at: int, out: Floats) -> None:
    """Wilder's average: factor 1 / period."""
    smooth(x, row, first, period, 1.0 / period, state, at, out)


@compiled
def smooth_two(x: Floats, y: Floats, row: int, first: int, period: int, factor: float, state: Floats, at: int) -> None:
    """`smooth` of two series at once and in place, which takes no longer than one; state of two numbers."""
    seeded, rows, keep = first + period - 1, len(x), 1.0 - factor
    one, two = state[at], state[at + 1]
    for i in range(min(max(seeded - row, 0), rows)):
        if row + i >= first:
            one, two = one + x[i], two + y[i]
        x[i] = y[i] = np.nan
    i = max(seeded - row, 0)
    if i < rows and row + i == seeded:
        one, two = (one + x[i]) / period, (two + y[i]) / period
        x[i], y[i] = one, two
        i += 1
    while i < rows:
        one, two = one * keep + x[i] * factor, two * keep + y[i] * factor
        x[i], y[i] = one, two
        i += 1
    state[at], state[at + 1] = one, two


@compiled
def with_history(x: Floats, state: Floats, at: int, count: int) -> Floats:
    """The last `count` values of the calls before and then ``x``, shape (count + len(x),); the state keeps the last `count` of them."""
    joined = np.empty(count + len(x))
    for i in range(count):
        joined[i] = state[at + i]
    for i in range(len(x)):
        joined[count + i] = x[i]
    for i in range(count):
        state[at + i] = joined[len(x) + i]
    return joined


@compiled
def true_range(data: Floats, start: int, stop: int, out: Floats) -> None:
    """Wilder's true range of rows `start` to `stop` into ``out[0:]``; NaN for a row that has none before it."""
    first = max(start, 1)
    if start == 0 and stop > 0:
        out[0] = np.nan
    high, low, before, wanted = data[HIGH, first:stop], data[LOW, first:stop], data[CLOSE, first - 1 : stop], out[first - start :]
    for i in range(stop - first):
        wanted[i] = max(high[i], before[i]) - min(low[i], before[i])


@compiled
def bar_range(data: Floats, start: int, stop: int) -> Floats:
    """H − L of rows `start` to `stop`, shape (stop - start,)."""
    high, low, out = data[HIGH, start:stop], data[LOW, start:stop], np.empty(stop - start)
    for i in range(stop - start):
        out[i] = high[i] - low[i]
    return out


@compiled
def average_true_range(data: Floats, origin: int, start: int, stop: int, period: int, state: Floats, at: int) -> Floats:
    """Wilder's average true range of rows `start` to `stop`, shape (stop - start,); NaN in the first `period` rows of the history.

    Needs one row before `start`, and one number of state.
    """
    out = np.empty(stop - start)
    true_range(data, start, stop, out)
    wilder(out, origin + start, 1, period, state, at, out)
    return out


@compiled
def mean_true_range(data: Floats, start: int, stop: int, period: int) -> Floats:
    """Mean of the last `period` true ranges of rows `start` to `stop`, shape (stop - start,); needs `period` rows before `start`."""
    begin = max(start - period + 1, 0)
    ranges, out = np.empty(stop - begin), np.empty(stop - start)
    true_range(data, begin, stop, ranges)
    window_mean(ranges, start - begin, period, out)
    return out


@compiled
def share_of(top: float, bottom: float, price: float, empty: float) -> float:
    """top / bottom, or `empty` where `bottom` is but rounding of `price`."""
    if bottom <= FLAT * price:
        return empty
    return top / bottom


@compiled
def log_steps(data: Floats, begin: int, stop: int, bars: int, out: Floats) -> None:
    """ln(C / C[-bars]) of rows `begin` to `stop` into ``out[0:]``; NaN for rows that have none so far back."""
    close = data[CLOSE]
    for t in range(begin, stop):
        out[t - begin] = math.log(close[t] / close[t - bars]) if t >= bars else np.nan


def settled_wilder(period: int) -> int:
    """Rows until Wilder's average of this period has forgotten its start: 250 for 14."""
    return -(-125 * period // 7)


def settled_ema(period: int) -> int:
    """Rows until an exponential average of this period has forgotten its start: 300 for 24."""
    return -(-25 * period // 2)
