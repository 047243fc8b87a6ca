"""The path of the price: lines through it, channels around it, and how straight it is."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from components.features.compiled import compiled
from components.features.family_return import itself, less_one
from components.features.formula import CLOSE, HIGH, LOW, OPEN, Floats, Formula, Ints
from components.features.recursive import FLAT, bar_range, mean_true_range, share_of, true_range
from components.features.windows import clip, fill, window_max, window_mean, window_min
from components.features.windows_joint import window_line

UP, DOWN, OSCILLATOR = range(3)
SLOPE, FIT, REST = range(3)


@compiled
def _line(kind: int, data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period, rows = int(params[0]), stop - start
    begin = max(start - period + 1, 0)
    mean, squares = np.empty(rows), np.empty(rows)
    window_line(data[CLOSE, begin:stop], start - begin, period, mean, squares, out[start:stop])
    spread = period * (params[0] * params[0] - 1) / 12
    limit = math.sqrt(params[0])
    for t in range(start, stop):
        slope, total = out[t] / spread, squares[t - start]
        if kind == SLOPE:
            out[t] = slope / data[CLOSE, t]
            continue
        least = FLAT * data[CLOSE, t]
        # Of a window whose deviation is rounding nothing is said.
        if total <= period * least * least:
            out[t] = 0.0
            continue
        explained = min(out[t] * slope / total, 1.0)
        if kind == FIT:
            out[t] = explained
        else:
            apart = data[CLOSE, t] - (mean[t - start] + 0.5 * (period - 1) * slope)
            out[t] = clip(apart / math.sqrt(total / period), -limit, limit)


@compiled
def _aroon(kind: int, data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    for t in range(start, stop):
        if t < period:
            out[t] = np.nan
            continue
        top, bottom = t, t
        for k in range(t - 1, t - period - 1, -1):
            if data[HIGH, k] > data[HIGH, top]:
                top = k
            if data[LOW, k] < data[LOW, bottom]:
                bottom = k
        up, down = 100.0 * (period - (t - top)) / period, 100.0 * (period - (t - bottom)) / period
        out[t] = up if kind == UP else down if kind == DOWN else up - down


@compiled
def middle(data: Floats, begin: int, first: int, stop: int, period: int) -> Floats:
    """Half-way between the highest high and the lowest low of the last `period` bars, rows `first` to `stop`; bars from `begin` are read."""
    top, bottom = np.empty(stop - first), np.empty(stop - first)
    window_max(data[HIGH, begin:stop], first - begin, period, top)
    window_min(data[LOW, begin:stop], first - begin, period, bottom)
    for i in range(stop - first):
        bottom[i] = 0.5 * (top[i] + bottom[i])
    return bottom


@compiled
def _midline_distance(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    centre = middle(data, max(start - period + 1, 0), start, stop, period)
    width = mean_true_range(data, start, stop, period)
    for t in range(start, stop):
        out[t] = share_of(data[CLOSE, t] - centre[t - start], width[t - start], data[CLOSE, t], 0.0)


@compiled
def _ichimoku_cross(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    short, long = int(params[0]), int(params[1])
    begin = max(start - max(short, long) + 1, 0)
    conversion, base = middle(data, begin, start, stop, short), middle(data, begin, start, stop, long)
    width = mean_true_range(data, start, stop, long)
    for i in range(stop - start):
        out[start + i] = share_of(conversion[i] - base[i], width[i], data[CLOSE, start + i], 0.0)


@compiled
def _ichimoku_cloud(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    short, base, long = int(params[0]), int(params[1]), int(params[2])
    # The cloud at bar t was drawn `base` bars before.
    first, last = max(start - base, 0), stop - base
    width = mean_true_range(data, start, stop, base)
    fill(out[start : max(min(base, stop), start)], np.nan)
    if last <= 0:
        return
    begin = max(first - max(short, base, long) + 1, 0)
    one, two, three = middle(data, begin, first, last, short), middle(data, begin, first, last, base), middle(data, begin, first, last, long)
    for t in range(max(start, base), stop):
        place = t - base - first
        lead, lag, price = 0.5 * (one[place] + two[place]), three[place], data[CLOSE, t]
        top, bottom = max(lead, lag), min(lead, lag)
        apart = price - top if price > top else price - bottom if price < bottom else 0.0
        out[t] = np.nan if np.isnan(lead + lag) else share_of(apart, width[t - start], price, 0.0)


@compiled
def _vortex(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    begin = max(start - period + 1, 0)
    moves = np.empty(stop - begin)
    for t in range(begin, stop):
        up, down = abs(data[HIGH, t] - data[LOW, t - 1]) if t else np.nan, abs(data[LOW, t] - data[HIGH, t - 1]) if t else np.nan
        moves[t - begin] = up - down
    window_mean(moves, start - begin, period, out[start:stop])
    width = mean_true_range(data, start, stop, period)
    for t in range(start, stop):
        out[t] = share_of(out[t], width[t - start], data[CLOSE, t], 0.0)


@compiled
def _efficiency_ratio(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    close, period = data[CLOSE], int(params[0])
    begin = max(start - period + 1, 0)
    steps = np.empty(stop - begin)
    for t in range(begin, stop):
        steps[t - begin] = abs(close[t] - close[t - 1]) if t else np.nan
    window_mean(steps, start - begin, period, out[start:stop])
    for t in range(start, stop):
        way = period * out[t]
        out[t] = 0.0 if way == 0 else min(abs(close[t] - close[t - period]) / way, 1.0) if t >= period else np.nan


@compiled
def _choppiness(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    begin = max(start - period + 1, 0)
    top, bottom = np.empty(stop - start), np.empty(stop - start)
    window_max(data[HIGH, begin:stop], start - begin, period, top)
    window_min(data[LOW, begin:stop], start - begin, period, bottom)
    width = mean_true_range(data, start, stop, period)
    for i in range(stop - start):
        reach = top[i] - bottom[i]
        share = 0.5 if reach == 0 else math.log(period * width[i] / reach) / math.log(params[0])
        out[start + i] = clip(100 * share, 0.0, 100.0)


@compiled
def _qstick(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    begin = max(start - period + 1, 0)
    body, reach = np.empty(stop - begin), np.empty(stop - start)
    for t in range(begin, stop):
        body[t - begin] = data[CLOSE, t] - data[OPEN, t]
    window_mean(body, start - begin, period, out[start:stop])
    window_mean(bar_range(data, begin, stop), start - begin, period, reach)
    for t in range(start, stop):
        out[t] = clip(share_of(out[t], reach[t - start], data[CLOSE, t], 0.0), -1.0, 1.0)


@compiled
def _random_walk_index(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    begin = max(start - period + 1, 0)
    ranges = np.empty(stop - begin)
    true_range(data, begin, stop, ranges)
    for t in range(start, stop):
        if t < period:
            out[t] = np.nan
            continue
        total, up, down = ranges[t - begin], 0.0, 0.0
        for k in range(2, period + 1):
            total += ranges[t - begin - k + 1]
            usual = total / k * math.sqrt(k)
            up = max(up, share_of(data[HIGH, t] - data[LOW, t - k], usual, data[CLOSE, t], 0.0))
            down = max(down, share_of(data[HIGH, t - k] - data[LOW, t], usual, data[CLOSE, t], 0.0))
        out[t] = up - down


@compiled
def _trend_intensity(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    half = period // 2
    first = max(start - half + 1, 0)
    begin = max(first - period + 1, 0)
    ups, downs = np.empty(stop - first), np.empty(stop - first)
    window_mean(data[CLOSE, begin:stop], first - begin, period, ups)
    for i in range(stop - first):
        apart = data[CLOSE, first + i] - ups[i]
        ups[i], downs[i] = (apart, 0.0) if apart > 0 else (0.0, -apart) if apart <= 0 else (np.nan, np.nan)
    below = np.empty(stop - start)
    window_mean(ups, start - first, half, out[start:stop])
    window_mean(downs, start - first, half, below)
    for t in range(start, stop):
        out[t] = 100 * share_of(out[t], out[t] + below[t - start], data[CLOSE, t], 0.5)


@compiled
def _channel_breakout(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    first = max(start - 1, 0)
    begin = max(first - period + 1, 0)
    top, bottom = np.empty(stop - first), np.empty(stop - first)
    window_max(data[HIGH, begin:stop], first - begin, period, top)
    window_min(data[LOW, begin:stop], first - begin, period, bottom)
    for t in range(start, stop):
        price = data[CLOSE, t]
        out[t] = np.nan if t < period else 1.0 if price > top[t - 1 - first] else -1.0 if price < bottom[t - 1 - first] else 0.0


def _of_half(period: int) -> int:
    return period + period // 2 - 2


FORMULAS: tuple[Formula, ...] = (
    Formula(
        "slope", "trend", "least squares", "slope of the line through C, {0}, per bar, / C",
        partial(_line, SLOPE), (20,), warmup=less_one, lookback=less_one,
    ),
    Formula(
        "r_squared", "trend", "least squares", "share of the variance of C, {0}, that its line explains; 0 in a flat window",
        partial(_line, FIT), (20,), least=(3,), warmup=less_one, lookback=less_one, low=0.0, high=1.0,
    ),
    Formula(
        "regression_distance", "trend", "least squares", "(C − end of the line through C, {0}) / std(C, {0}); 0 in a flat window",
        partial(_line, REST), (20,), least=(3,), warmup=less_one, lookback=less_one, low=lambda n: -math.sqrt(n), high=math.sqrt,
    ),
    Formula(
        "aroon_up", "trend", "Chande 1995", "100 ({0} − bars since the highest high of {0} + 1 bars) / {0}",
        partial(_aroon, UP), (25,), warmup=itself, lookback=itself, low=0.0, high=100.0,
    ),
    Formula(
        "aroon_down", "trend", "Chande 1995", "100 ({0} − bars since the lowest low of {0} + 1 bars) / {0}",
        partial(_aroon, DOWN), (25,), warmup=itself, lookback=itself, low=0.0, high=100.0,
    ),
    Formula(
        "aroon_oscillator", "trend", "Chande 1995", "Aroon up({0}) − Aroon down({0})",
        partial(_aroon, OSCILLATOR), (25,), warmup=itself, lookback=itself, low=-100.0, high=100.0,
    ),
    Formula(
        "midline_distance", "trend", "Ichimoku, Hosoda 1969", "(C − (highest(H, {0}) + lowest(L, {0})) / 2) / mean(TR, {0}); 0 where nothing moved",
        _midline_distance, (26,), warmup=itself, lookback=itself,
    ),
    Formula(
        "ichimoku_cross", "trend", "Ichimoku, Hosoda 1969", "(middle of {0} bars − middle of {1} bars) / mean(TR, {1}); 0 where nothing moved",
        _ichimoku_cross, (9, 26), warmup=lambda n, m: max(n - 1, m), lookback=lambda n, m: max(n - 1, m),
    ),
    Formula(
        "ichimoku_cloud", "trend", "Ichimoku, Hosoda 1969",
        "distance of C from the cloud drawn {1} bars ago (middles of {0}, {1} and {2} bars) / mean(TR, {1}); 0 inside",
        _ichimoku_cloud, (9, 26, 52), warmup=lambda n, m, k: m + max(n, m, k) - 1, lookback=lambda n, m, k: m + max(n, m, k) - 1,
    ),
    Formula(
        "vortex", "trend", "Botes and Siepman 2010", "(sum(|H − L[-1]|, {0}) − sum(|L − H[-1]|, {0})) / sum(TR, {0}); 0 where nothing moved",
        _vortex, (14,), warmup=itself, lookback=itself,
    ),
    Formula(
        "efficiency_ratio", "trend", "Kaufman 1995", "|C − C[-{0}]| / sum(|C − C[-1]|, {0}); 0 where nothing moved",
        _efficiency_ratio, (10,), warmup=itself, lookback=itself, low=0.0, high=1.0,
    ),
    Formula(
        "choppiness", "trend", "Dreiss 1993",
        "100 log(sum(TR, {0}) / (highest(H, {0}) − lowest(L, {0}))) / log({0}), 0 a straight line, 100 no progress; 50 where nothing moved",
        _choppiness, (14,), warmup=itself, lookback=itself, low=0.0, high=100.0,
    ),
    Formula(
        "qstick", "trend", "Chande and Kroll 1994", "mean(C − O, {0}) / mean(H − L, {0}); 0 where nothing moved",
        _qstick, (8,), least=(1,), warmup=less_one, lookback=less_one, low=-1.0, high=1.0,
    ),
    Formula(
        "random_walk_index", "trend", "Poulos 1991",
        "largest (H − L[-k]) / (mean(TR, k) √k) less largest (H[-k] − L) / (mean(TR, k) √k), k = 2 … {0}",
        _random_walk_index, (14,), warmup=itself, lookback=itself,
    ),
    Formula(
        "trend_intensity", "trend", "Pee 2002",
        "100 sum(max(d, 0), {0} / 2) / sum(|d|, {0} / 2), d = C − mean(C, {0}); 50 where nothing moved",
        _trend_intensity, (30,), warmup=_of_half, lookback=_of_half, low=0.0, high=100.0,
    ),
    Formula(
        "channel_breakout", "trend", "Donchian channel", "1 where C > highest(H, {0})[-1], −1 where C < lowest(L, {0})[-1], else 0",
        _channel_breakout, (20,), least=(1,), warmup=itself, lookback=itself, low=-1.0, high=1.0,
    ),
)  # fmt: skip
