"""Reversion: how far the price stands from where it usually is, in its own units."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from components.features.compiled import compiled
from components.features.family_return import itself, less_one, rank_of_newest
from components.features.formula import CLOSE, HIGH, LOW, Floats, Formula, Ints
from components.features.recursive import FLAT, average_true_range, ema, mean_true_range, settled_ema, settled_wilder, share_of
from components.features.windows import clip, window_deviation, window_max, window_mean, window_min
from components.features.windows_joint import window_joint

SCORE, BAND, WIDTH, SQUEEZE = range(4)


@compiled
def standard_score(x: Floats, before: int, period: int, out: Floats) -> None:
    """(x − mean) / deviation of each window; 0 in a flat one; never beyond ±sqrt(period − 1); layout as in `windows`."""
    mean = np.empty(len(out))
    window_deviation(x, before, period, 0, mean, out)
    limit = math.sqrt(period - 1)
    for i in range(len(out)):
        out[i] = clip(share_of(x[before + i] - mean[i], out[i], abs(mean[i]), 0.0), -limit, limit)


@compiled
def _bands(kind: int, data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    begin = max(start - period + 1, 0)
    if kind <= BAND:
        standard_score(data[CLOSE, begin:stop], start - begin, period, out[start:stop])
        if kind == BAND:
            for t in range(start, stop):
                out[t] = 0.5 + out[t] / 4
        return
    mean = np.empty(stop - start)
    window_deviation(data[CLOSE, begin:stop], start - begin, period, 0, mean, out[start:stop])
    if kind == WIDTH:
        for t in range(start, stop):
            out[t] = 4 * out[t] / mean[t - start]
        return
    width = mean_true_range(data, start, stop, period)
    for t in range(start, stop):
        out[t] = share_of(2 * out[t], 1.5 * width[t - start], data[CLOSE, t], 0.0)


@compiled
def _range(is_width: bool, data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    begin = max(start - int(params[0]) + 1, 0)
    top = np.empty(stop - start)
    window_max(data[HIGH, begin:stop], start - begin, int(params[0]), top)
    window_min(data[LOW, begin:stop], start - begin, int(params[0]), out[start:stop])
    for t in range(start, stop):
        reach = top[t - start] - out[t]
        out[t] = reach / data[CLOSE, t] if is_width else 0.5 if reach == 0 else (data[CLOSE, t] - out[t]) / reach


@compiled
def _keltner_position(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    usual = np.empty(stop - start)
    ema(data[CLOSE, start:stop], origin + start, 0, int(params[0]), state, 0, usual)
    width = average_true_range(data, origin, start, stop, int(params[1]), state, 1)
    for t in range(start, stop):
        out[t] = 0.5 + share_of(data[CLOSE, t] - usual[t - start], 4 * width[t - start], data[CLOSE, t], 0.0)


@compiled
def _detrended(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    begin, back = max(start - period + 1, 0), period // 2 + 1
    window_mean(data[CLOSE, begin:stop], start - begin, period, out[start:stop])
    width = mean_true_range(data, start, stop, period)
    for t in range(start, stop):
        out[t] = np.nan if t < period else share_of(data[CLOSE, t - back] - out[t], width[t - start], data[CLOSE, t], 0.0)


@compiled
def _percent_rank(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    begin = max(start - int(params[0]) + 1, 0)
    rank_of_newest(data[CLOSE, begin:stop], start - begin, int(params[0]), out[start:stop])


@compiled
def _mean_crossings(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    close, period = data[CLOSE], int(params[0])
    begin = max(start - period + 1, 0)
    window_mean(close[begin:stop], start - begin, period, out[start:stop])
    for t in range(start, stop):
        if t < period - 1:
            continue
        # A close at the mean is not above it, whichever way the mean was rounded.
        count, mean = 0, out[t] * (1 + FLAT)
        for k in range(t - period + 2, t + 1):
            count += (close[k] > mean) != (close[k - 1] > mean)
        out[t] = count / (period - 1)


@compiled
def _dickey_fuller(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    close, period = data[CLOSE], int(params[0])
    begin, rows = max(start - period + 1, 0), stop - start
    levels, steps = np.empty(stop - begin), np.empty(stop - begin)
    for t in range(begin, stop):
        levels[t - begin] = close[t - 1] if t else np.nan
        steps[t - begin] = close[t] - close[t - 1] if t else np.nan
    of_levels, of_steps = np.empty(rows), np.empty(rows)
    window_joint(levels, steps, start - begin, period, of_levels, of_steps, out[start:stop])
    for i in range(rows):
        least = FLAT * data[CLOSE, start + i]
        rest = of_steps[i] - (out[start + i] * out[start + i] / of_levels[i] if of_levels[i] > 0 else 0.0)
        # Of a line without any scatter the statistic would be rounding over rounding.
        if of_levels[i] <= period * least * least or rest <= 1e-12 * of_steps[i]:
            out[start + i] = 0.0
        else:
            slope = out[start + i] / of_levels[i]
            out[start + i] = clip(slope / math.sqrt(rest / (period - 2) / of_levels[i]), -100.0, 100.0)


FORMULAS: tuple[Formula, ...] = (
    Formula(
        "z_score", "reversion", "standard score", "(C − mean(C, {0})) / std(C, {0}); 0 in a flat window",
        partial(_bands, SCORE), (48,), warmup=less_one, lookback=less_one, low=lambda n: -math.sqrt(n - 1), high=lambda n: math.sqrt(n - 1),
    ),
    Formula(
        "bollinger_position", "reversion", "Bollinger 1983",
        "place of C between the bands at ±2 std(C, {0}), lower 0, upper 1; ½ in a flat window",
        partial(_bands, BAND), (20,), warmup=less_one, lookback=less_one,
        low=lambda n: 0.5 - math.sqrt(n - 1) / 4, high=lambda n: 0.5 + math.sqrt(n - 1) / 4,
    ),
    Formula(
        "bollinger_width", "reversion", "Bollinger 1983", "4 std(C, {0}) / mean(C, {0})",
        partial(_bands, WIDTH), (20,), warmup=less_one, lookback=less_one, low=0.0,
    ),
    Formula(
        "squeeze", "reversion", "Carter 2005", "2 std(C, {0}) / (1.5 mean(TR, {0})), below 1 a squeeze; 0 where nothing moved",
        partial(_bands, SQUEEZE), (20,), warmup=itself, lookback=itself, low=0.0,
    ),
    Formula(
        "range_position", "reversion", "Donchian channel", "(C − lowest(L, {0})) / (highest(H, {0}) − lowest(L, {0})); ½ in a flat window",
        partial(_range, False), (48,), least=(1,), warmup=less_one, lookback=less_one, low=0.0, high=1.0,
    ),
    Formula(
        "range_width", "reversion", "Donchian channel", "(highest(H, {0}) − lowest(L, {0})) / C",
        partial(_range, True), (48,), least=(1,), warmup=less_one, lookback=less_one, low=0.0,
    ),
    Formula(
        "keltner_position", "reversion", "Keltner 1960, Raschke", "½ + (C − EMA(C, {0})) / (4 ATR({1})): 0 and 1 at 2 ATR; ½ where nothing moves",
        _keltner_position, (20, 10), warmup=lambda n, m: max(settled_ema(n), settled_wilder(m)), lookback=lambda n, m: 1,
        state_size=lambda n, m: 2, is_recursive=True,
    ),
    Formula(
        "detrended", "reversion", "detrended price oscillator, without looking ahead",
        "(C[-({0} / 2 + 1)] − mean(C, {0})) / mean(TR, {0}); 0 where nothing moved",
        _detrended, (20,), warmup=itself, lookback=itself,
    ),
    Formula(
        "percent_rank", "reversion", "empirical distribution", "share of the {0} − 1 closes before that are lower than C, equal ones by half",
        _percent_rank, (100,), warmup=less_one, lookback=less_one, low=0.0, high=1.0,
    ),
    Formula(
        "mean_crossings", "reversion", "level crossings, Kac 1943", "share of the {0} − 1 steps that cross mean(C, {0})",
        _mean_crossings, (48,), warmup=less_one, lookback=less_one, low=0.0, high=1.0,
    ),
    Formula(
        "dickey_fuller", "reversion", "Dickey and Fuller 1979",
        "t statistic of b in C − C[-1] = a + b C[-1] over {0} bars, at most ±100: far below 0 where the price returns; 0 where nothing is left over",
        _dickey_fuller, (96,), least=(4,), warmup=itself, lookback=itself, low=-100.0, high=100.0,
    ),
)  # fmt: skip
