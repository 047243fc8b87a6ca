"""Statistics of returns: the shape of their distribution and their memory."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from components.features.compiled import compiled
from components.features.family_return import itself
from components.features.formula import CLOSE, HIGH, LOW, Floats, Formula, Ints
from components.features.recursive import log_steps
from components.features.windows import clip, window_deviation, window_max, window_mean, window_min
from components.features.windows_joint import window_correlation, window_shape

BINS = 8


@compiled
def _shape(is_kurtosis: bool, data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period, rows = int(params[0]), stop - start
    begin = max(start - period + 1, 0)
    steps, two, three, four = np.empty(stop - begin), np.empty(rows), np.empty(rows), np.empty(rows)
    log_steps(data, begin, stop, 1, steps)
    window_shape(steps, start - begin, period, two, three, four)
    for i in range(rows):
        variance = two[i] / period
        if variance == 0:
            out[start + i] = 0.0
        elif is_kurtosis:
            out[start + i] = clip(four[i] / period / variance / variance - 3, -2.0, params[0] - 5 + 1 / (params[0] - 1))
        else:
            limit = (params[0] - 2) / math.sqrt(params[0] - 1)
            out[start + i] = clip(three[i] / period / (variance * math.sqrt(variance)), -limit, limit)


@compiled
def _autocorrelation(
    is_absolute: bool, data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats
) -> None:
    begin = max(start - int(params[0]) + 1, 0)
    # One step more than the rows have: element i is the step of row begin + i - 1.
    steps = np.empty(stop - begin + 1)
    steps[0] = math.log(data[CLOSE, begin - 1] / data[CLOSE, begin - 2]) if begin >= 2 else np.nan
    log_steps(data, begin, stop, 1, steps[1:])
    if is_absolute:
        for i in range(len(steps)):
            steps[i] = abs(steps[i])
    window_correlation(steps[1:], steps[: len(steps) - 1], start - begin, int(params[0]), out[start:stop])


@compiled
def _time_asymmetry(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    begin = max(start - period + 1, 0)
    rows = stop - begin
    steps, products, squares = np.empty(rows), np.empty(rows), np.empty(stop - start)
    log_steps(data, begin, stop, 1, steps)
    products[0] = np.nan
    for i in range(1, rows):
        products[i] = steps[i] * steps[i - 1] * (steps[i] - steps[i - 1])
    for i in range(rows):
        steps[i] *= steps[i]
    window_mean(products, start - begin, period - 1, out[start:stop])
    window_mean(steps, start - begin, period, squares)
    for t in range(start, stop):
        usual = squares[t - start]
        out[t] = 0.0 if usual == 0 else out[t] / (usual * math.sqrt(usual))


@compiled
def _return_entropy(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period, rows = int(params[0]), stop - start
    begin = max(start - period + 1, 0)
    steps, top, bottom = np.empty(stop - begin), np.empty(rows), np.empty(rows)
    log_steps(data, begin, stop, 1, steps)
    window_max(steps, start - begin, period, top)
    window_min(steps, start - begin, period, bottom)
    counts = np.empty(BINS, dtype=np.int64)
    for t in range(start, stop):
        if t < period:
            out[t] = np.nan
            continue
        low, reach = bottom[t - start], top[t - start] - bottom[t - start]
        if reach == 0:
            out[t] = 0.0
            continue
        for place in range(BINS):
            counts[place] = 0
        for k in range(t - begin - period + 1, t - begin + 1):
            counts[min(int(BINS * ((steps[k] - low) / reach)), BINS - 1)] += 1
        total = 0.0
        for count in counts:
            if count:
                total -= count / period * math.log(count / period)
        out[t] = clip(total / math.log(BINS), 0.0, 1.0)


@compiled
def _tail_share(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period, rows = int(params[0]), stop - start
    begin = max(start - period + 1, 0)
    steps, mean, spread = np.empty(stop - begin), np.empty(rows), np.empty(rows)
    log_steps(data, begin, stop, 1, steps)
    window_deviation(steps, start - begin, period, 0, mean, spread)
    for t in range(start, stop):
        if t < period:
            out[t] = np.nan
            continue
        count, usual, far = 0, mean[t - start], 2 * spread[t - start]
        for k in range(t - begin - period + 1, t - begin + 1):
            count += abs(steps[k] - usual) > far
        out[t] = 0.0 if far == 0 else count / period


@compiled
def _fractal_dimension(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    half = int(params[0]) // 2
    first = max(start - half, 0)
    begin = max(first - half + 1, 0)
    top, bottom = np.empty(stop - first), np.empty(stop - first)
    window_max(data[HIGH, begin:stop], first - begin, half, top)
    window_min(data[LOW, begin:stop], first - begin, half, bottom)
    for t in range(start, stop):
        if t < 2 * half - 1:
            out[t] = np.nan
            continue
        new, old = t - first, t - half - first
        parts = top[new] - bottom[new] + top[old] - bottom[old]
        whole = max(top[new], top[old]) - min(bottom[new], bottom[old])
        out[t] = 1.5 if whole == 0 else clip(1 + math.log(parts / whole) / math.log(2.0), 1.0, 2.0) if parts > 0 else 1.0


def _most_kurtosis(period: int) -> float:
    return period - 5 + 1 / (period - 1)


FORMULAS: tuple[Formula, ...] = (
    Formula(
        "skew", "statistics", "Fisher-Pearson", "mean((r − mean(r))³, {0}) / std(r, {0})³, r = ln(C / C[-1]); 0 where nothing moved",
        partial(_shape, False), (48,), least=(3,), warmup=itself, lookback=itself,
        low=lambda n: -(n - 2) / math.sqrt(n - 1), high=lambda n: (n - 2) / math.sqrt(n - 1),
    ),
    Formula(
        "kurtosis", "statistics", "Pearson 1905", "mean((r − mean(r))⁴, {0}) / std(r, {0})⁴ − 3, r = ln(C / C[-1]); 0 where nothing moved",
        partial(_shape, True), (48,), least=(3,), warmup=itself, lookback=itself, low=-2.0, high=_most_kurtosis,
    ),
    Formula(
        "autocorrelation", "statistics", "Box and Jenkins 1970", "correlation of r and r[-1] over {0} bars, r = ln(C / C[-1]); 0 where nothing moved",
        partial(_autocorrelation, False), (48,), warmup=lambda n: n + 1, lookback=lambda n: n + 1, low=-1.0, high=1.0,
    ),
    Formula(
        "absolute_autocorrelation", "statistics", "volatility clustering, Ding, Granger and Engle 1993",
        "correlation of |r| and |r[-1]| over {0} bars, r = ln(C / C[-1]); 0 where nothing moved",
        partial(_autocorrelation, True), (48,), warmup=lambda n: n + 1, lookback=lambda n: n + 1, low=-1.0, high=1.0,
    ),
    Formula(
        "time_asymmetry", "statistics", "Ramsey and Rothman 1996",
        "mean(r² r[-1] − r r[-1]², {0} − 1) / mean(r², {0})^1.5, r = ln(C / C[-1]); 0 where nothing moved",
        _time_asymmetry, (48,), least=(3,), warmup=itself, lookback=itself,
    ),
    Formula(
        "return_entropy", "statistics", "Shannon 1948", "entropy of r over {0} bars in 8 equal bins from its least to its largest, / ln 8; "
        "0 where nothing moved",
        _return_entropy, (96,), warmup=itself, lookback=itself, low=0.0, high=1.0,
    ),
    Formula(
        "tail_share", "statistics", "Chebyshev 1867", "share of the {0} returns that lie more than 2 std(r, {0}) from their mean",
        _tail_share, (96,), warmup=itself, lookback=itself, low=0.0, high=0.25,
    ),
    Formula(
        "fractal_dimension", "statistics", "Ehlers 2005",
        "1 + log2((range of one half of {0} bars + range of the other) / range of both), 1 a line, 2 a plane; 1½ where nothing moved",
        _fractal_dimension, (30,), least=(4,), warmup=lambda n: 2 * (n // 2) - 1, lookback=lambda n: 2 * (n // 2) - 1, low=1.0, high=2.0,
    ),
)  # fmt: skip
