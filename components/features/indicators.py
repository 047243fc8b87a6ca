"""Indicators as array functions: float64 in, float64 of the same length out, NaN in the warm-up, the value at t from bars ≤ t.

Windowed ones (`sma`, `rolling_std`, `highest`, `lowest`) sum each window anew: no drift, and bit for bit the same whatever came before the
window. Recursive ones (`ema`, `rsi`, `atr`; TA-Lib) remember their first bars: the start's weight shrinks by a constant factor per bar, see
`settle_bars`. Two computations agree exactly only when they begin at the same bar.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import talib
from numpy.typing import ArrayLike, NDArray

from components.features.compiled import compiled
from components.fx import BadInput

Floats = NDArray[np.float64]
BLOCK = 1024


def as_floats(values: ArrayLike) -> Floats:
    """A fresh, writable, contiguous float64 copy (pandas hands out read-only views, TA-Lib wants contiguous memory)."""
    return np.array(values, dtype=np.float64)


def sma(values: ArrayLike, period: int) -> Floats:
    """Simple moving average.

    Parameters
    ----------
    values : array, shape (n,)
        Any unit.
    period : int
        Bars in the window, the current one included.

    Returns
    -------
    ndarray of float64, shape (n,)
        Mean of ``values[t - period + 1 : t + 1]``; NaN in the first ``period - 1`` rows and wherever the window holds a NaN.

    Raises
    ------
    BadInput
        If `period` is not a whole number of at least 1.
    """
    return rolling_mean(as_floats(values), checked_period(period))


def rolling_std(values: ArrayLike, period: int, ddof: int = 0) -> Floats:
    """Standard deviation of each window of `period` values, in two passes (exact where the squares would cancel).

    Shape (n,) to (n,); NaN in the first ``period - 1`` rows and wherever the window holds a NaN; the value at t uses rows ≤ t.
    """
    return rolling_deviation(as_floats(values), checked_period(period), ddof)


def ema(values: ArrayLike, period: int) -> Floats:
    """Exponential moving average (TA-Lib), factor ``2 / (period + 1)``, seeded with the mean of the first `period` values.

    Shape (n,) to (n,); NaN in the first ``period - 1`` rows; leading NaNs are skipped. Recursive: the weight of the start shrinks by
    ``1 - 2 / (period + 1)`` per bar.

    Raises
    ------
    BadInput
        If `period` is not a whole number of at least 1.
    """
    data = as_floats(values)
    if checked_period(period) == 1:
        return data
    return _talib_rows(len(data), lambda: talib.EMA(data, timeperiod=period))


def rsi(close: ArrayLike, period: int = 14) -> Floats:
    """Relative strength index (Wilder 1978; TA-Lib), 0 to 100.

    Shape (n,) to (n,); NaN in the first `period` rows; the value at t uses bars ≤ t. A series that has never moved gives 0. Recursive: the
    weight of the start shrinks by ``1 - 1 / period`` per bar.

    Raises
    ------
    BadInput
        If `period` is not a whole number of at least 2.
    """
    data = as_floats(close)
    checked_period(period, least=2)
    return _talib_rows(len(data), lambda: talib.RSI(data, timeperiod=period))


def atr(high: ArrayLike, low: ArrayLike, close: ArrayLike, period: int = 14) -> Floats:
    """Average true range (Wilder 1978; TA-Lib), in price units.

    Parameters
    ----------
    high, low, close : array, shape (n,)
        Prices of the bars.
    period : int
        Wilder's period.

    Returns
    -------
    ndarray of float64, shape (n,)
        NaN in the first `period` rows, then the mean of the first `period` true ranges, then Wilder's smoothing; the value at t uses
        bars ≤ t. The true range takes in the gap from the close before, so the first bar has none.

    Raises
    ------
    BadInput
        If `period` is not a whole number of at least 1, or the arrays differ in length.

    Notes
    -----
    Recursive: the weight of the start shrinks by ``1 - 1 / period`` per bar, so two starts agree to 1e-6 after 14 periods and to 1e-9
    after 21 (`settle_bars`). Live and backtest must therefore begin at the same bar to see the same numbers.
    """
    highs, lows, closes = as_floats(high), as_floats(low), as_floats(close)
    if not len(highs) == len(lows) == len(closes):
        raise BadInput("high, low, close", f"lengths {len(highs)}, {len(lows)} and {len(closes)} differ")
    checked_period(period)
    return _talib_rows(len(closes), lambda: talib.ATR(highs, lows, closes, timeperiod=period))


def highest(values: ArrayLike, period: int) -> Floats:
    """Largest of the last `period` values, the current one included; shape (n,) to (n,), NaN in the first ``period - 1`` rows.

    Raises
    ------
    BadInput
        If `period` is not a whole number of at least 1.
    """
    data = as_floats(values)
    if checked_period(period) == 1:
        return data
    return _talib_rows(len(data), lambda: talib.MAX(data, timeperiod=period))


def lowest(values: ArrayLike, period: int) -> Floats:
    """Smallest of the last `period` values, the current one included; shape (n,) to (n,), NaN in the first ``period - 1`` rows.

    Raises
    ------
    BadInput
        If `period` is not a whole number of at least 1.
    """
    data = as_floats(values)
    if checked_period(period) == 1:
        return data
    return _talib_rows(len(data), lambda: talib.MIN(data, timeperiod=period))


def settle_bars(decay: float, tolerance: float = 1e-9) -> int:
    """Bars until the start of a recursive indicator weighs less than `tolerance`.

    `decay` is the factor by which old values shrink per bar: ``1 - 1 / period`` for Wilder's smoothing (`atr`, `rsi`),
    ``1 - 2 / (period + 1)`` for `ema`.
    """
    if not 0 < decay < 1:
        raise BadInput("decay", f"{decay} is not between 0 and 1")
    return math.ceil(math.log(tolerance) / math.log(decay))


def checked_period(period: int, least: int = 1) -> int:
    """The period, or BadInput where it is not a whole number of at least `least`."""
    if isinstance(period, bool) or not isinstance(period, int | np.integer) or period < least:
        raise BadInput("period", f"{period!r} is not a whole number of at least {least}")
    return int(period)


def _talib_rows(rows: int, call: Callable[[], Floats]) -> Floats:
    return call() if rows else np.empty(0)


@compiled
def _sums_of_block(values: Floats, first: int, period: int, sums: Floats, part: Floats, twice: Floats) -> None:
    # Sums of 1, 2, 4, 8 … values that begin at each place; a window is put together from those that its length is made of. What is added to
    # what depends on the length alone, so that a window has the same sum wherever it stands, and its rounding grows with the logarithm.
    length = len(sums) + period - 1
    begin = 0
    if period & 1:
        for t in range(len(sums)):
            sums[t] = values[first + t]
        begin = 1
    if period == 1:
        return
    length -= 1
    for t in range(length):
        part[t] = values[first + t] + values[first + t + 1]
    size = 2
    while True:
        if period & size:
            if begin == 0:
                for t in range(len(sums)):
                    sums[t] = part[t]
            else:
                for t in range(len(sums)):
                    sums[t] += part[begin + t]
            begin += size
        if 2 * size > period:
            return
        length -= size
        for t in range(length):
            twice[t] = part[t] + part[t + size]
        part, twice = twice, part
        size *= 2


@compiled
def rolling_mean(values: Floats, period: int) -> Floats:
    """Mean of each window, summed anew; NaN before the first whole one."""
    out = np.empty(len(values))
    out[: period - 1] = np.nan
    part, twice = np.empty(BLOCK + period), np.empty(BLOCK + period)
    # In blocks that stay in the processor's nearest cache.
    for first in range(0, len(values) - period + 1, BLOCK):
        means = out[first + period - 1 : first + period - 1 + BLOCK]
        _sums_of_block(values, first, period, means, part, twice)
        for t in range(len(means)):
            means[t] /= period
    return out


@compiled
def rolling_deviation(values: Floats, period: int, ddof: int) -> Floats:
    """Standard deviation of each window, in two passes; NaN before the first whole one."""
    out = np.empty(len(values))
    out[: period - 1] = np.nan
    part, twice, means = np.empty(BLOCK + period), np.empty(BLOCK + period), np.empty(BLOCK)
    for first in range(0, len(values) - period + 1, BLOCK):
        squares = out[first + period - 1 : first + period - 1 + BLOCK]
        mean = means[: len(squares)]
        _sums_of_block(values, first, period, mean, part, twice)
        for t in range(len(squares)):
            mean[t] /= period
            squares[t] = 0.0
        for k in range(period):
            for t in range(len(squares)):
                squares[t] += (values[first + t + k] - mean[t]) * (values[first + t + k] - mean[t])
        for t in range(len(squares)):
            squares[t] = np.sqrt(squares[t] / (period - ddof))
    return out
