"""Statistics of moving windows, compiled: exact to the last bits or nearly so, and free of memory.

A window is put together from blocks of 1, 2, 4, 8 … values, each the union of two of half its size, as many as its length has binary digits.
So a value depends on the values of its own window and on nothing else, bit for bit, whatever came before and however many rows are asked
for at once; the cost per row grows with the logarithm of the period; rounding stays as small as in pairwise summation; and moments are
merged about the mean of each block, so that nothing cancels and a window of equal values has a deviation of exactly 0.
Source: Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample variances (1979); higher moments: Pébay,
Formulas for robust, one-pass parallel computation of covariances and arbitrary-order statistical moments (2008).

``x`` holds `before` values of history and then one for each row of ``out``: row i of ``out`` is about the window that ends with
``x[before + i]``. A window that is not whole gives NaN; a NaN reaches the windows that hold it and no others.
"""

from __future__ import annotations

import math

import numpy as np

from components.features.compiled import compiled
from components.features.formula import Floats


@compiled
def fill(out: Floats, value: float) -> None:
    """Set every element (a loop compiles much faster than a slice assignment)."""
    for i in range(len(out)):
        out[i] = value


@compiled
def clip(value: float, low: float, high: float) -> float:
    """The value, or the bound that it lies beyond; NaN stays NaN."""
    if value < low:
        return low
    if value > high:
        return high
    return value


@compiled
def unknown_first(before: int, period: int, out: Floats) -> int:
    """Rows whose window is not whole; they become NaN."""
    first = min(max(period - 1 - before, 0), len(out))
    fill(out[:first], np.nan)
    return first


@compiled
def window_mean(x: Floats, before: int, period: int, out: Floats) -> None:
    """Arithmetic mean of each window."""
    first = unknown_first(before, period, out)
    wanted = out[first:]
    rows = len(wanted)
    if rows == 0:
        return
    a = x[before + first - period + 1 :]
    b, c = np.empty(len(a)), np.empty(len(a))
    k, taken = 1, 0
    while True:
        if period & k:
            block = a[period - taken - k :]
            part = 1.0 / k
            if taken == 0:
                for i in range(rows):
                    wanted[i] = block[i] * part
            else:
                share = k / (taken + k)
                for i in range(rows):
                    wanted[i] += (block[i] * part - wanted[i]) * share
            taken += k
            if taken == period:
                return
        # Element j of a level is the block that begins with value j.
        later = a[k:]
        for j in range(len(later)):
            b[j] = a[j] + later[j]
        a, b, c = b[: len(later)], c, b
        k *= 2


@compiled
def window_moments(x: Floats, before: int, period: int, mean: Floats, squares: Floats) -> None:
    """Mean of each window, and the sum of squares about it.

    ``s[j]`` is the sum of a block's distances from its first value ``x[j]``, so it is as exact where the values lie close together far from
    0; ``q[j]`` the sum of squares about its mean.
    """
    unknown_first(before, period, mean)
    first = unknown_first(before, period, squares)
    means, sums = mean[first:], squares[first:]
    rows = len(means)
    if rows == 0:
        return
    x = x[before + first - period + 1 :]
    newest, size = x[period - 1 :], len(x)
    s, q = np.zeros(size), np.zeros(size)
    s_next, q_next = np.empty(size), np.empty(size)
    fill(means, 0.0)
    fill(sums, 0.0)
    k, taken = 1, 0
    while True:
        if period & k:
            at = period - taken - k
            x_old, s_old, q_old = x[at:], s[at:], q[at:]
            for i in range(rows):
                apart = x_old[i] - newest[i] + s_old[i] * (1.0 / k) - means[i]
                sums[i] += q_old[i] + apart * apart * (taken * k / (taken + k))
                means[i] += apart * (k / (taken + k))
            taken += k
            if taken == period:
                break
        x_new, s_new, q_new = x[k:], s[k:], q[k:]
        size -= k
        for j in range(size):
            step = k * (x_new[j] - x[j])
            apart = s_new[j] - s[j] + step
            s_next[j] = s[j] + s_new[j] + step
            q_next[j] = q[j] + q_new[j] + apart * apart * (0.5 / k)
        s, s_next, q, q_next = s_next[:size], s, q_next[:size], q
        k *= 2
    for i in range(rows):
        means[i] += newest[i]


@compiled
def window_deviation(x: Floats, before: int, period: int, ddof: int, mean: Floats, out: Floats) -> None:
    """Mean of each window, and its standard deviation with divisor ``period - ddof``; exactly 0 where all values are equal."""
    window_moments(x, before, period, mean, out)
    for i in range(len(out)):
        out[i] = math.sqrt(out[i] / (period - ddof))


@compiled
def window_max(x: Floats, before: int, period: int, out: Floats) -> None:
    """Largest value of each window."""
    first = unknown_first(before, period, out)
    wanted = out[first:]
    rows = len(wanted)
    if rows == 0:
        return
    a = x[before + first - period + 1 :]
    b, c = np.empty(len(a)), np.empty(len(a))
    k = 1
    while 2 * k <= period:
        later = a[k:]
        for j in range(len(later)):
            b[j] = max(a[j], later[j])
        a, b, c = b[: len(later)], c, b
        k *= 2
    later = a[period - k :]
    for i in range(rows):
        wanted[i] = max(a[i], later[i])


@compiled
def window_min(x: Floats, before: int, period: int, out: Floats) -> None:
    """Smallest value of each window."""
    first = unknown_first(before, period, out)
    wanted = out[first:]
    rows = len(wanted)
    if rows == 0:
        return
    a = x[before + first - period + 1 :]
    b, c = np.empty(len(a)), np.empty(len(a))
    k = 1
    while 2 * k <= period:
        later = a[k:]
        for j in range(len(later)):
            b[j] = min(a[j], later[j])
        a, b, c = b[: len(later)], c, b
        k *= 2
    later = a[period - k :]
    for i in range(rows):
        wanted[i] = min(a[i], later[i])
