"""Oscillators of whole bars: where closes and ranges lean, between bounds."""

from __future__ import annotations

import math

import numpy as np

from components.features.compiled import compiled
from components.features.family_return import itself, less_one
from components.features.formula import CLOSE, HIGH, LOW, OPEN, Floats, Formula, Ints
from components.features.recursive import mean_true_range, share_of
from components.features.windows import clip, fill, window_max, window_mean, window_min


@compiled
def _ultimate_oscillator(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    begin = max(start - int(max(params[0], params[1], params[2])) + 1, 0)
    rows = stop - start
    pressure, reach = np.empty(stop - begin), np.empty(stop - begin)
    for t in range(begin, stop):
        if t == 0:
            pressure[0] = reach[0] = np.nan
            continue
        low = min(data[LOW, t], data[CLOSE, t - 1])
        pressure[t - begin], reach[t - begin] = data[CLOSE, t] - low, max(data[HIGH, t], data[CLOSE, t - 1]) - low
    top, bottom = np.empty(rows), np.empty(rows)
    fill(out[start:stop], 0.0)
    for place in range(3):
        period = int(params[place])
        window_mean(pressure, start - begin, period, top)
        window_mean(reach, start - begin, period, bottom)
        for i in range(rows):
            out[start + i] += (4 >> place) * (0.5 if bottom[i] == 0 else top[i] / bottom[i])
    for t in range(start, stop):
        out[t] = clip(100 * out[t] / 7, 0.0, 100.0)


@compiled
def _awesome_oscillator(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    short, long = int(params[0]), int(params[1])
    begin = max(start - max(short, long) + 1, 0)
    middle, slow = np.empty(stop - begin), np.empty(stop - start)
    for t in range(begin, stop):
        middle[t - begin] = 0.5 * (data[HIGH, t] + data[LOW, t])
    window_mean(middle, start - begin, short, out[start:stop])
    window_mean(middle, start - begin, long, slow)
    width = mean_true_range(data, start, stop, long)
    for t in range(start, stop):
        out[t] = share_of(out[t] - slow[t - start], width[t - start], data[CLOSE, t], 0.0)


@compiled
def _fisher_transform(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period, rows = int(params[0]), stop - start
    begin = max(start - period + 1, 0)
    middle, top, bottom = np.empty(stop - begin), np.empty(rows), np.empty(rows)
    for t in range(begin, stop):
        middle[t - begin] = 0.5 * (data[HIGH, t] + data[LOW, t])
    window_max(middle, start - begin, period, top)
    window_min(middle, start - begin, period, bottom)
    place, answer = state[0], state[1]
    for i in range(rows):
        if origin + start + i < period - 1:
            out[start + i] = np.nan
            continue
        reach = top[i] - bottom[i]
        share = 0.5 if reach == 0 else (middle[start - begin + i] - bottom[i]) / reach
        place = clip(0.66 * (share - 0.5) + 0.67 * place, -0.999, 0.999)
        answer = 0.5 * math.log((1 + place) / (1 - place)) + 0.5 * answer
        out[start + i] = answer
    state[0], state[1] = place, answer


@compiled
def _vigor_index(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    begin = max(start - period + 1, 0)
    ways, reaches, reach = np.empty(stop - begin), np.empty(stop - begin), np.empty(stop - start)
    for t in range(begin, stop):
        way, wide = 0.0, 0.0
        for k in range(4):
            weight = 1.0 if k == 0 or k == 3 else 2.0
            if t >= 3:
                way += weight * (data[CLOSE, t - k] - data[OPEN, t - k])
                wide += weight * (data[HIGH, t - k] - data[LOW, t - k])
        ways[t - begin], reaches[t - begin] = (way, wide) if t >= 3 else (np.nan, np.nan)
    window_mean(ways, start - begin, period, out[start:stop])
    window_mean(reaches, start - begin, period, reach)
    for t in range(start, stop):
        out[t] = clip(share_of(out[t], reach[t - start], data[CLOSE, t], 0.0), -1.0, 1.0)


@compiled
def _demarker(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    begin = max(start - period + 1, 0)
    up, down, falls = np.empty(stop - begin), np.empty(stop - begin), np.empty(stop - start)
    for t in range(begin, stop):
        up[t - begin] = max(data[HIGH, t] - data[HIGH, t - 1], 0.0) if t else np.nan
        down[t - begin] = max(data[LOW, t - 1] - data[LOW, t], 0.0) if t else np.nan
    window_mean(up, start - begin, period, out[start:stop])
    window_mean(down, start - begin, period, falls)
    for t in range(start, stop):
        both = out[t] + falls[t - start]
        out[t] = 0.5 if both == 0 else out[t] / both


@compiled
def _intraday_momentum(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    begin = max(start - period + 1, 0)
    up, down, falls = np.empty(stop - begin), np.empty(stop - begin), np.empty(stop - start)
    for t in range(begin, stop):
        body = data[CLOSE, t] - data[OPEN, t]
        up[t - begin], down[t - begin] = max(body, 0.0), max(-body, 0.0)
    window_mean(up, start - begin, period, out[start:stop])
    window_mean(down, start - begin, period, falls)
    for t in range(start, stop):
        both = out[t] + falls[t - start]
        out[t] = 50.0 if both == 0 else 100 * (out[t] / both)


FORMULAS: tuple[Formula, ...] = (
    Formula(
        "ultimate_oscillator", "momentum", "Williams 1985",
        "100 (4 b({0}) + 2 b({1}) + b({2})) / 7, b(n) = sum(C − min(L, C[-1]), n) / sum(TR, n); ½ where nothing moved",
        _ultimate_oscillator, (7, 14, 28), warmup=max, lookback=max, low=0.0, high=100.0,
    ),
    Formula(
        "awesome_oscillator", "momentum", "Williams 1995", "(mean(M, {0}) − mean(M, {1})) / mean(TR, {1}), M = (H + L) / 2; 0 where nothing moved",
        _awesome_oscillator, (5, 34), warmup=lambda n, m: max(n - 1, m), lookback=lambda n, m: max(n - 1, m),
    ),
    Formula(
        "fisher_transform", "momentum", "Ehlers 2002",
        "y = ½ ln((1 + x) / (1 − x)) + ½ y[-1], x = 0.66 (place of (H + L) / 2 in its {0} bars − ½) + 0.67 x[-1], at most ±0.999",
        _fisher_transform, (10,), warmup=lambda n: n + 60, lookback=less_one, state_size=lambda n: 2, low=-7.601, high=7.601, is_recursive=True,
    ),
    Formula(
        "vigor_index", "momentum", "Ehlers 2002", "mean(swma(C − O), {0}) / mean(swma(H − L), {0}), weights 1 2 2 1; 0 where nothing moved",
        _vigor_index, (10,), least=(1,), warmup=lambda n: n + 2, lookback=lambda n: n + 2, low=-1.0, high=1.0,
    ),
    Formula(
        "demarker", "momentum", "DeMark 1994", "U / (U + D), means over {0} bars of max(H − H[-1], 0) and max(L[-1] − L, 0); ½ where both are 0",
        _demarker, (14,), least=(1,), warmup=itself, lookback=itself, low=0.0, high=1.0,
    ),
    Formula(
        "intraday_momentum", "momentum", "Chande 1994", "100 sum(max(C − O, 0), {0}) / sum(|C − O|, {0}); 50 where nothing moved",
        _intraday_momentum, (14,), warmup=less_one, lookback=less_one, low=0.0, high=100.0,
    ),
)  # fmt: skip
