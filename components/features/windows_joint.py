"""Moving windows of higher moments, of weights and of two series together; built as in `windows`, with the same promises."""

from __future__ import annotations

import math

import numpy as np

from components.features.compiled import compiled
from components.features.formula import Floats
from components.features.windows import clip, fill, unknown_first


@compiled
def window_shape(x: Floats, before: int, period: int, second: Floats, third: Floats, fourth: Floats) -> None:
    """Sums of the second, third and fourth powers of the distances from each window's mean."""
    for out in (second, third, fourth):
        first = unknown_first(before, period, out)
    rows = len(second) - first
    if rows == 0:
        return
    x = x[before + first - period + 1 :]
    newest, size = x[period - 1 :], len(x)
    s, m2, m3, m4, mean = np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(rows)
    s_next, m2_next, m3_next, m4_next = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    out2, out3, out4 = second[first:], third[first:], fourth[first:]
    fill(out2, 0.0)
    fill(out3, 0.0)
    fill(out4, 0.0)
    k, taken = 1, 0
    while True:
        if period & k:
            at = period - taken - k
            x_old, s_old, b2, b3, b4 = x[at:], s[at:], m2[at:], m3[at:], m4[at:]
            # The newer part holds `taken` values, the older block k: their shares in the union.
            u, v, w = k / (taken + k), taken / (taken + k), taken * k / (taken + k)
            for i in range(rows):
                apart = x_old[i] - newest[i] + s_old[i] / k - mean[i]
                twice = apart * apart * w
                out4[i] = (
                    out4[i] + b4[i] + twice * apart * apart * (u * u - u * v + v * v)
                    + 6 * apart * apart * (v * v * b2[i] + u * u * out2[i]) + 4 * apart * (v * b3[i] - u * out3[i])
                )  # fmt: skip
                out3[i] = out3[i] + b3[i] + twice * apart * (v - u) + 3 * apart * (v * b2[i] - u * out2[i])
                out2[i] = out2[i] + b2[i] + twice
                mean[i] += apart * u
            taken += k
            if taken == period:
                return
        x_new, s_new, l2, l3, l4 = x[k:], s[k:], m2[k:], m3[k:], m4[k:]
        part, size = 1.0 / k, size - k
        for j in range(size):
            step = k * (x_new[j] - x[j])
            apart = (s_new[j] - s[j] + step) * part
            square = apart * apart
            s_next[j] = s[j] + s_new[j] + step
            m4_next[j] = m4[j] + l4[j] + square * square * (k * 0.125) + 1.5 * square * (m2[j] + l2[j]) + 2 * apart * (l3[j] - m3[j])
            m3_next[j] = m3[j] + l3[j] + 1.5 * apart * (l2[j] - m2[j])
            m2_next[j] = m2[j] + l2[j] + square * (0.5 * k)
        s, s_next, m2, m2_next = s_next[:size], s, m2_next[:size], m2
        m3, m3_next, m4, m4_next = m3_next[:size], m3, m4_next[:size], m4
        k *= 2


@compiled
def window_line(x: Floats, before: int, period: int, mean: Floats, squares: Floats, products: Floats) -> None:
    """Mean of each window, sum of squares about it, and sum of the products with the distances of the rows from the window's middle.

    The least-squares slope is ``products / (period (period² − 1) / 12)``.
    """
    for out in (mean, squares, products):
        first = unknown_first(before, period, out)
    rows = len(mean) - first
    if rows == 0:
        return
    x = x[before + first - period + 1 :]
    newest, size = x[period - 1 :], len(x)
    s, q, c = np.zeros(size), np.zeros(size), np.zeros(size)
    s_next, q_next, c_next = np.empty(size), np.empty(size), np.empty(size)
    means, sums, slopes = mean[first:], squares[first:], products[first:]
    fill(means, 0.0)
    fill(sums, 0.0)
    fill(slopes, 0.0)
    k, taken = 1, 0
    while True:
        if period & k:
            at = period - taken - k
            x_old, s_old, b2, b3 = x[at:], s[at:], q[at:], c[at:]
            part, share, weight = 1.0 / k, k / (taken + k), taken * k / (taken + k)
            for i in range(rows):
                apart = x_old[i] - newest[i] + s_old[i] * part - means[i]
                slopes[i] += b3[i] - apart * (0.5 * taken * k)
                sums[i] += b2[i] + apart * apart * weight
                means[i] += apart * share
            taken += k
            if taken == period:
                break
        x_new, s_new, l2, l3 = x[k:], s[k:], q[k:], c[k:]
        size -= k
        for j in range(size):
            step = k * (x_new[j] - x[j])
            apart = s_new[j] - s[j] + step
            s_next[j] = s[j] + s_new[j] + step
            q_next[j] = q[j] + l2[j] + apart * apart * (0.5 / k)
            c_next[j] = c[j] + l3[j] + apart * (0.5 * k)
        s, s_next, q, q_next, c, c_next = s_next[:size], s, q_next[:size], q, c_next[:size], c
        k *= 2
    for i in range(rows):
        means[i] += newest[i]


@compiled
def window_joint(x: Floats, y: Floats, before: int, period: int, x_squares: Floats, y_squares: Floats, products: Floats) -> None:
    """Sums of squares of two series about each window's means, and of their products."""
    for out in (x_squares, y_squares, products):
        first = unknown_first(before, period, out)
    rows = len(products) - first
    if rows == 0:
        return
    x, y = x[before + first - period + 1 :], y[before + first - period + 1 :]
    x_newest, y_newest, size = x[period - 1 :], y[period - 1 :], len(x)
    a, b, p, q, r = np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size)
    a_next, b_next, p_next, q_next, r_next = np.empty(size), np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    x_apart, y_apart, x_mean, y_mean = np.empty(size), np.empty(size), np.zeros(rows), np.zeros(rows)
    xs, ys, xy = x_squares[first:], y_squares[first:], products[first:]
    fill(xs, 0.0)
    fill(ys, 0.0)
    fill(xy, 0.0)
    k, taken = 1, 0
    while True:
        if period & k:
            at = period - taken - k
            x_old, y_old, b1, b2, b3, b4, b5 = x[at:], y[at:], a[at:], b[at:], p[at:], q[at:], r[at:]
            for i in range(rows):
                dx = x_old[i] - x_newest[i] + b1[i] * (1.0 / k) - x_mean[i]
                dy = y_old[i] - y_newest[i] + b2[i] * (1.0 / k) - y_mean[i]
                xs[i] += b3[i] + dx * dx * (taken * k / (taken + k))
                ys[i] += b4[i] + dy * dy * (taken * k / (taken + k))
                xy[i] += b5[i] + dx * dy * (taken * k / (taken + k))
                x_mean[i] += dx * (k / (taken + k))
                y_mean[i] += dy * (k / (taken + k))
            taken += k
            if taken == period:
                return
        x_new, y_new, l1, l2, l3, l4, l5 = x[k:], y[k:], a[k:], b[k:], p[k:], q[k:], r[k:]
        size -= k
        # One series at a time: a loop over too many arrays is not vectorised.
        for j in range(size):
            step = k * (x_new[j] - x[j])
            x_apart[j] = l1[j] - a[j] + step
            a_next[j] = a[j] + l1[j] + step
            p_next[j] = p[j] + l3[j] + x_apart[j] * x_apart[j] * (0.5 / k)
        for j in range(size):
            step = k * (y_new[j] - y[j])
            y_apart[j] = l2[j] - b[j] + step
            b_next[j] = b[j] + l2[j] + step
            q_next[j] = q[j] + l4[j] + y_apart[j] * y_apart[j] * (0.5 / k)
        for j in range(size):
            r_next[j] = r[j] + l5[j] + x_apart[j] * y_apart[j] * (0.5 / k)
        a, a_next, b, b_next = a_next[:size], a, b_next[:size], b
        p, p_next, q, q_next, r, r_next = p_next[:size], p, q_next[:size], q, r_next[:size], r
        k *= 2


@compiled
def window_correlation(x: Floats, y: Floats, before: int, period: int, out: Floats) -> None:
    """Pearson's correlation of two series in each window, −1 to 1; 0 where one of them stands still."""
    xs, ys = np.empty(len(out)), np.empty(len(out))
    window_joint(x, y, before, period, xs, ys, out)
    for i in range(len(out)):
        both = math.sqrt(xs[i]) * math.sqrt(ys[i])
        out[i] = 0.0 if both == 0 else clip(out[i] / both, -1.0, 1.0)


@compiled
def window_weighted(x: Floats, before: int, period: int, out: Floats) -> None:
    """Linearly weighted mean of each window: weight `period` for the newest value, 1 for the oldest."""
    first = unknown_first(before, period, out)
    wanted = out[first:]
    rows = len(wanted)
    if rows == 0:
        return
    x = x[before + first - period + 1 :]
    size = len(x)
    a, w, a_next, w_next = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    for j in range(size):
        a[j] = w[j] = x[j]
    fill(wanted, 0.0)
    k, taken = 1, 0
    while True:
        if period & k:
            block, weighted = a[period - taken - k :], w[period - taken - k :]
            older = period - taken - k
            for i in range(rows):
                wanted[i] += weighted[i] + older * block[i]
            taken += k
            if taken == period:
                break
        later, heavier = a[k:], w[k:]
        for j in range(len(later)):
            a_next[j] = a[j] + later[j]
            w_next[j] = w[j] + heavier[j] + k * later[j]
        a, a_next, w, w_next = a_next[: len(later)], a, w_next[: len(later)], w
        k *= 2
    for i in range(rows):
        wanted[i] /= 0.5 * period * (period + 1)
