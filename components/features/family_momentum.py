"""Momentum: which way the price has been going, and how one-sidedly."""

from __future__ import annotations

from functools import partial

import numpy as np

from components.features.compiled import compiled
from components.features.family_return import itself, less_one, rank_of_newest
from components.features.formula import CLOSE, HIGH, LOW, Floats, Formula, Ints
from components.features.recursive import FLAT, ema, settled_ema, settled_wilder, smooth_two, with_history
from components.features.windows import clip, fill, unknown_first, window_deviation, window_max, window_mean, window_min
from components.features.windows_joint import window_weighted

LINE, HISTOGRAM = range(2)
WILLIAMS, SLOW, SIGNAL = range(3)


@compiled
def strength(up: Floats, down: Floats, row: int, first: int, period: int, state: Floats, at: int, out: Floats) -> None:
    """Wilder's strength of rises and falls, 0 to 100; 50 where nothing ever moved. Both are averaged in place; state of two numbers."""
    smooth_two(up, down, row, first, period, 1.0 / period, state, at)
    for i in range(len(out)):
        both = up[i] + down[i]
        out[i] = 50.0 if both == 0 else 100 * (up[i] / both)


@compiled
def strength_of_steps(data: Floats, origin: int, start: int, stop: int, period: int, state: Floats, at: int, out: Floats) -> None:
    """Wilder's relative strength index of rows `start` to `stop`, shape (stop - start,); needs one row before; state of two numbers."""
    up, down = np.empty(stop - start), np.empty(stop - start)
    first = max(start, 1)
    if start == 0 and stop > 0:
        up[0] = down[0] = 0.0
    old, new, rises, falls = data[CLOSE, first - 1 : stop], data[CLOSE, first:stop], up[first - start :], down[first - start :]
    for i in range(stop - first):
        step = new[i] - old[i]
        rises[i], falls[i] = max(step, 0.0), max(-step, 0.0)
    strength(up, down, origin + start, 1, period, state, at, out)


@compiled
def _rsi(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    strength_of_steps(data, origin, start, stop, int(params[0]), state, 0, out[start:stop])


@compiled
def _stochastic_rsi(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period, window = int(params[0]), int(params[1])
    index, top = np.empty(stop - start), np.empty(stop - start)
    strength_of_steps(data, origin, start, stop, period, state, 0, index)
    known = with_history(index, state, 2, window - 1)
    window_max(known, window - 1, window, top)
    window_min(known, window - 1, window, out[start:stop])
    for i in range(stop - start):
        reach = top[i] - out[start + i]
        out[start + i] = 50.0 if reach == 0 else 100 * ((index[i] - out[start + i]) / reach)


@compiled
def _connors_rsi(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    close, rows, ranked = data[CLOSE], stop - start, int(params[2])
    begin = max(start - ranked + 1, 0)
    index, of_runs, rank = np.empty(rows), np.empty(rows), np.empty(rows)
    strength_of_steps(data, origin, start, stop, int(params[0]), state, 0, index)
    up, down, run = np.empty(rows), np.empty(rows), state[4]
    for t in range(start, stop):
        side = np.sign(close[t] - close[t - 1]) if t else 0.0
        longer = run + side if run * side > 0 else side
        up[t - start], down[t - start], run = max(longer - run, 0.0), max(run - longer, 0.0), longer
    state[4] = run
    strength(up, down, origin + start, 1, int(params[1]), state, 2, of_runs)
    steps = np.empty(stop - begin)
    for t in range(begin, stop):
        steps[t - begin] = close[t] / close[t - 1] if t else np.nan
    rank_of_newest(steps, start - begin, ranked, rank)
    for i in range(rows):
        out[start + i] = (index[i] + of_runs[i] + 100 * rank[i]) / 3


@compiled
def _relative_volatility(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    close, window, rows = data[CLOSE], int(params[0]), stop - start
    begin = max(start - window + 1, 0)
    up, down = np.empty(rows), np.empty(rows)
    window_deviation(close[begin:stop], start - begin, window, 0, down, up)
    for t in range(start, stop):
        step, spread = close[t] - close[t - 1] if t else 0.0, up[t - start]
        up[t - start], down[t - start] = spread if step > 0 else 0.0, spread if step < 0 else 0.0
    strength(up, down, origin + start, window - 1, int(params[1]), state, 0, out[start:stop])


@compiled
def macd_lines(data: Floats, origin: int, start: int, stop: int, params: Floats, state: Floats, line: Floats, signal: Floats) -> None:
    """MACD and its signal line in price units, rows `start` to `stop`, shape (stop - start,) each; seeds as in TA-Lib; state of three numbers."""
    fast, slow, smoothing = int(params[0]), int(params[1]), int(params[2])
    close, row, rows = data[CLOSE, start:stop], origin + start, stop - start
    # The three averages begin one after the other; from then on they go forward together.
    together = min(max(max(fast, slow) + smoothing - 1 - row, 0), rows)
    ema(close[:together], row, max(slow - fast, 0), fast, state, 0, line[:together])
    ema(close[:together], row, max(fast - slow, 0), slow, state, 1, signal[:together])
    for i in range(together):
        line[i] -= signal[i]
    ema(line[:together], row, max(fast, slow) - 1, smoothing, state, 2, signal[:together])
    one, two, three = 2.0 / (fast + 1), 2.0 / (slow + 1), 2.0 / (smoothing + 1)
    keep_one, keep_two, keep_three = 1.0 - one, 1.0 - two, 1.0 - three
    quick, steady, smoothed = state[0], state[1], state[2]
    for i in range(together, rows):
        quick, steady = quick * keep_one + close[i] * one, steady * keep_two + close[i] * two
        line[i] = quick - steady
        smoothed = smoothed * keep_three + line[i] * three
        signal[i] = smoothed
    state[0], state[1], state[2] = quick, steady, smoothed


@compiled
def _macd(kind: int, data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    line, signal = np.empty(stop - start), np.empty(stop - start)
    macd_lines(data, origin, start, stop, params, state, line, signal)
    for i in range(stop - start):
        out[start + i] = (line[i] if kind == LINE else line[i] - signal[i]) / data[CLOSE, start + i]


@compiled
def place_in_range(data: Floats, first: int, stop: int, period: int, out: Floats) -> None:
    """100 (C − lowest(L)) / (highest(H) − lowest(L)) of rows `first` to `stop`, shape (stop - first,); 50 in a flat window."""
    begin = max(first - period + 1, 0)
    top = np.empty(stop - first)
    window_max(data[HIGH, begin:stop], first - begin, period, top)
    window_min(data[LOW, begin:stop], first - begin, period, out)
    for i in range(stop - first):
        reach = top[i] - out[i]
        out[i] = 50.0 if reach == 0 else 100 * (data[CLOSE, first + i] - out[i]) / reach


@compiled
def _stochastic(kind: int, data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    first = max(start - 2 * kind, 0)
    place, second = np.empty(stop - first), max(start - 2, 0)
    place_in_range(data, first, stop, int(params[0]), place)
    if kind == SIGNAL:
        smoothed = np.empty(stop - second)
        window_mean(place, second - first, 3, smoothed)
        window_mean(smoothed, start - second, 3, out[start:stop])
    elif kind == SLOW:
        window_mean(place, start - first, 3, out[start:stop])
    bottom = -100.0 if kind == WILLIAMS else 0.0
    for t in range(start, stop):
        value = place[t - first] if kind == WILLIAMS else out[t]
        out[t] = clip(value + bottom, bottom, bottom + 100)


@compiled
def mean_distance(x: Floats, before: int, period: int, mean: Floats, out: Floats) -> None:
    """Mean of each window, and the mean distance from it; layout as in `windows`, time in proportion to the period."""
    window_mean(x, before, period, mean)
    first = unknown_first(before, period, out)
    wanted, means = out[first:], mean[first:]
    fill(wanted, 0.0)
    rows = len(wanted)
    # A stretch of rows that stays in the fastest memory while its windows are gone through.
    for begin in range(0, rows, 512):
        part, usual = wanted[begin : min(begin + 512, rows)], means[begin:]
        for k in range(period):
            shifted = x[before + first + begin - period + 1 + k :]
            for i in range(len(part)):
                part[i] += abs(shifted[i] - usual[i])
    for i in range(rows):
        wanted[i] /= period


@compiled
def commodity_channel(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    """The kernel of Lambert's commodity channel index; 0 in a flat window."""
    period, rows = int(params[0]), stop - start
    begin = max(start - period + 1, 0)
    typical = np.empty(stop - begin)
    for t in range(begin, stop):
        typical[t - begin] = (data[HIGH, t] + data[LOW, t] + data[CLOSE, t]) / 3
    mean, spread, limit = np.empty(rows), np.empty(rows), params[0] / 0.03
    mean_distance(typical, start - begin, period, mean, spread)
    for i in range(rows):
        apart = typical[start - begin + i] - mean[i]
        out[start + i] = 0.0 if spread[i] <= FLAT * mean[i] else clip(apart / (0.015 * spread[i]), -limit, limit)


@compiled
def _cmo(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    close, period = data[CLOSE], int(params[0])
    begin = max(start - period + 1, 0)
    steps, way = np.empty(stop - begin), np.empty(stop - start)
    for t in range(begin, stop):
        steps[t - begin] = abs(close[t] - close[t - 1]) if t else np.nan
    window_mean(steps, start - begin, period, way)
    for t in range(start, stop):
        total = period * way[t - start]
        out[t] = 0.0 if total == 0 else clip(100 * ((close[t] - close[t - period]) / total), -100.0, 100.0) if t >= period else np.nan


@compiled
def _coppock(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    close, one, two, last = data[CLOSE], int(params[0]), int(params[1]), int(params[2])
    begin = max(start - last + 1, 0)
    rates = np.empty(stop - begin)
    for t in range(begin, stop):
        rates[t - begin] = 100 * (close[t] / close[t - one] + close[t] / close[t - two] - 2) if t >= max(one, two) else np.nan
    window_weighted(rates, start - begin, last, out[start:stop])


@compiled
def _trix(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period, row = int(params[0]), origin + start
    smoothed = np.empty(stop - start)
    ema(data[CLOSE, start:stop], row, 0, period, state, 0, smoothed)
    for place in range(1, 3):
        ema(smoothed, row, place * (period - 1), period, state, place, smoothed)
    before = with_history(smoothed, state, 3, 1)
    for i in range(stop - start):
        out[start + i] = 100 * (smoothed[i] / before[i] - 1)


@compiled
def _tsi(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    close, slow, fast, row = data[CLOSE], int(params[0]), int(params[1]), origin + start
    steps, sizes = np.empty(stop - start), np.empty(stop - start)
    for t in range(start, stop):
        steps[t - start] = close[t] - close[t - 1] if t else 0.0
        sizes[t - start] = abs(steps[t - start])
    ema(steps, row, 1, slow, state, 0, steps)
    ema(steps, row, slow, fast, state, 1, steps)
    ema(sizes, row, 1, slow, state, 2, sizes)
    ema(sizes, row, slow, fast, state, 3, sizes)
    for i in range(stop - start):
        out[start + i] = 0.0 if sizes[i] == 0 else clip(100 * (steps[i] / sizes[i]), -100.0, 100.0)


def _of_connors(*periods: int) -> int:
    return max(settled_wilder(max(periods[:2])), periods[2])


FORMULAS: tuple[Formula, ...] = (
    Formula(
        "rsi", "momentum", "Wilder 1978", "RSI(C, {0}); 50 where nothing ever moved",
        _rsi, (14,), warmup=settled_wilder, lookback=lambda n: 1, state_size=lambda n: 2, low=0.0, high=100.0, is_recursive=True,
    ),
    Formula(
        "stochastic_rsi", "momentum", "Chande and Kroll 1994",
        "100 (R − lowest(R, {1})) / (highest(R, {1}) − lowest(R, {1})), R = RSI(C, {0}); 50 where it stands still",
        _stochastic_rsi, (14, 14), warmup=lambda n, m: settled_wilder(n) + m, lookback=lambda n, m: 1, state_size=lambda n, m: m + 1,
        low=0.0, high=100.0, is_recursive=True,
    ),
    Formula(
        "connors_rsi", "momentum", "Connors and Alvarez 2012",
        "(RSI(C, {0}) + RSI(length of the run of rises or falls, {1}) + 100 · rank of C / C[-1] among {2}) / 3",
        _connors_rsi, (3, 2, 100), warmup=_of_connors, lookback=lambda *n: n[2], state_size=lambda *n: 5, low=0.0, high=100.0, is_recursive=True,
    ),
    Formula(
        "relative_volatility", "momentum", "Dorsey 1993",
        "100 U / (U + D), Wilder's averages over {1} bars of std(C, {0}) where C rose (U) and fell (D); 50 where nothing moved",
        _relative_volatility, (10, 14), warmup=lambda n, m: settled_wilder(m) + n, lookback=itself, state_size=lambda n, m: 2,
        low=0.0, high=100.0, is_recursive=True,
    ),
    Formula(
        "macd_histogram", "momentum", "Appel 1979", "(MACD({0}, {1}) − EMA(MACD, {2})) / C",
        partial(_macd, HISTOGRAM), (12, 26, 9), warmup=lambda n, m, k: -(-max(300 * n * 9, 300 * m * 9, 300 * k * 26) // 234),
        state_size=lambda *n: 3, is_recursive=True, fixed_name="macd_histogram",
    ),
    Formula(
        "macd_line", "momentum", "Appel 1979", "(EMA(C, {0}) − EMA(C, {1})) / C",
        partial(_macd, LINE), (12, 26, 9), warmup=lambda n, m, k: settled_ema(max(n, m)), state_size=lambda *n: 3, is_recursive=True,
        fixed_name="macd_line",
    ),
    Formula(
        "stochastic", "momentum", "Lane 1984", "SMA(100 (C − lowest(L, {0})) / (highest(H, {0}) − lowest(L, {0})), 3); 50 in a flat window",
        partial(_stochastic, SLOW), (14,), warmup=lambda n: n + 1, lookback=lambda n: n + 1, low=0.0, high=100.0,
    ),
    Formula(
        "stochastic_signal", "momentum", "Lane 1984", "SMA(slow stochastic({0}), 3)",
        partial(_stochastic, SIGNAL), (14,), warmup=lambda n: n + 3, lookback=lambda n: n + 3, low=0.0, high=100.0,
    ),
    Formula(
        "williams", "momentum", "Williams 1979", "100 (C − highest(H, {0})) / (highest(H, {0}) − lowest(L, {0})); −50 in a flat window",
        partial(_stochastic, WILLIAMS), (14,), warmup=less_one, lookback=less_one, low=-100.0, high=0.0,
    ),
    Formula(
        "cci", "momentum", "Lambert 1980", "(P − mean(P, {0})) / (0.015 · mean distance from it), P = (H + L + C) / 3; 0 in a flat window",
        commodity_channel, (20,), warmup=less_one, lookback=less_one, low=lambda n: -n / 0.03, high=lambda n: n / 0.03,
    ),
    Formula(
        "cmo", "momentum", "Chande 1994", "100 (C − C[-{0}]) / sum(|C − C[-1]|, {0}), plain sums; 0 where nothing moved",
        _cmo, (14,), warmup=itself, lookback=itself, low=-100.0, high=100.0,
    ),
    Formula(
        "coppock", "momentum", "Coppock 1962", "WMA(100 (C / C[-{0}] + C / C[-{1}] − 2), {2})",
        _coppock, (11, 14, 10), least=(1, 1, 2), warmup=lambda n, m, k: max(n, m) + k - 1, lookback=lambda n, m, k: max(n, m) + k - 1,
    ),
    Formula(
        "trix", "momentum", "Hutson 1983", "change of EMA(EMA(EMA(C, {0}), {0}), {0}) over one bar, in percent",
        _trix, (15,), warmup=lambda n: 2 * settled_ema(n), state_size=lambda n: 4, is_recursive=True,
    ),
    Formula(
        "tsi", "momentum", "Blau 1991", "100 EMA(EMA(C − C[-1], {0}), {1}) / EMA(EMA(|C − C[-1]|, {0}), {1}); 0 where nothing ever moved",
        _tsi, (25, 13), warmup=lambda n, m: settled_ema(n) + settled_ema(m), lookback=lambda n, m: 1, state_size=lambda n, m: 4,
        low=-100.0, high=100.0, is_recursive=True,
    ),
)  # fmt: skip
