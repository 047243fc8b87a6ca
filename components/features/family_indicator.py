"""Indicators as charts and rules know them, at the price level: in price units, or as TA-Lib gives them, NaN only where no value is defined.

They are not features: a model that learns from them learns the price level. Recursive ones remember their first bar (`settle_bars`).
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from components.features.compiled import compiled
from components.features.family_momentum import commodity_channel, macd_lines, place_in_range, strength_of_steps
from components.features.family_return import itself, less_one
from components.features.family_reversion import standard_score
from components.features.family_trend import DIFFERENCE, MINUS, PLUS, STRENGTH, directional_movement
from components.features.formula import CLOSE, HIGH, LOW, Floats, Formula, Ints
from components.features.recursive import average_true_range, ema
from components.features.windows import clip, window_deviation, window_max, window_mean, window_min
from components.features.windows_joint import window_line, window_shape, window_weighted

MEAN, WEIGHTED, DEVIATION, UPPER, LOWER, SCORE, SLOPE, HIGHEST, LOWEST = range(9)
LINE, SIGNAL, HISTOGRAM = range(3)
RETURN, RATE, MOMENTUM, REACH = range(4)


@compiled
def _windowed(kind: int, data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period, rows = int(params[0]), stop - start
    begin = max(start - period + 1, 0)
    before, close, values = start - begin, data[CLOSE, begin:stop], out[start:stop]
    if kind == MEAN:
        window_mean(close, before, period, values)
    elif kind == WEIGHTED:
        window_weighted(close, before, period, values)
    elif kind == SCORE:
        standard_score(close, before, period, values)
    elif kind == HIGHEST:
        window_max(data[HIGH, begin:stop], before, period, values)
    elif kind == LOWEST:
        window_min(data[LOW, begin:stop], before, period, values)
    elif kind == SLOPE:
        spread = period * (params[0] * params[0] - 1) / 12
        window_line(close, before, period, np.empty(rows), np.empty(rows), values)
        for i in range(rows):
            values[i] /= spread
    else:
        mean = np.empty(rows)
        window_deviation(close, before, period, 0, mean, values)
        if kind != DEVIATION:
            away = params[1] if kind == UPPER else -params[1]
            for i in range(rows):
                values[i] = mean[i] + away * values[i]


@compiled
def _skew(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period, rows = int(params[0]), stop - start
    begin = max(start - period + 1, 0)
    two, three = np.empty(rows), np.empty(rows)
    window_shape(data[CLOSE, begin:stop], start - begin, period, two, three, out[start:stop])
    for i in range(rows):
        variance = two[i] / period
        out[start + i] = 0.0 if variance == 0 else three[i] / period / (variance * math.sqrt(variance))


@compiled
def _step(kind: int, data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    close = data[CLOSE]
    if kind == REACH:
        high, low, values = data[HIGH, start:stop], data[LOW, start:stop], out[start:stop]
        for i in range(stop - start):
            values[i] = high[i] - low[i]
        return
    bars = int(params[0])
    for t in range(start, min(bars, stop)):
        out[t] = np.nan
    first = max(start, bars)
    old, new, values = close[first - bars :], close[first:], out[first:]
    if kind == MOMENTUM:
        for i in range(stop - first):
            values[i] = new[i] - old[i]
    else:
        unit = 100.0 if kind == RATE else 1.0
        for i in range(stop - first):
            values[i] = (new[i] / old[i] - 1) * unit


@compiled
def _return_statistic(
    is_deviation: bool, data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats
) -> None:
    close, period = data[CLOSE], int(params[0])
    begin = max(start - period + 1, 0)
    steps = np.empty(stop - begin)
    if begin == 0:
        steps[0] = np.nan
    first = max(begin, 1)
    old, new, values = close[first - 1 :], close[first:], steps[first - begin :]
    for i in range(stop - first):
        values[i] = new[i] / old[i] - 1
    if is_deviation:
        window_deviation(steps, start - begin, period, 0, np.empty(stop - start), out[start:stop])
    else:
        window_mean(steps, start - begin, period, out[start:stop])


@compiled
def _ema(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    ema(data[CLOSE, start:stop], origin + start, 0, int(params[0]), state, 0, out[start:stop])


@compiled
def _rsi(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    strength_of_steps(data, origin, start, stop, int(params[0]), state, 0, out[start:stop])


@compiled
def _atr(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    width = average_true_range(data, origin, start, stop, int(params[0]), state, 0)
    for i in range(stop - start):
        out[start + i] = width[i]


@compiled
def _macd(kind: int, data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    line, signal = np.empty(stop - start), np.empty(stop - start)
    macd_lines(data, origin, start, stop, params, state, line, signal)
    for i in range(stop - start):
        out[start + i] = line[i] if kind == LINE else signal[i] if kind == SIGNAL else line[i] - signal[i]


@compiled
def _stochastic(kind: int, data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    # How often the place is averaged: not at all, once for k, twice for d.
    period, once, twice = int(params[0]), int(params[1]) if kind > 0 else 1, int(params[2]) if kind > 1 else 1
    second = max(start - twice + 1, 0)
    first = max(second - once + 1, 0)
    place, smoothed = np.empty(stop - first), np.empty(stop - second)
    place_in_range(data, first, stop, period, place)
    window_mean(place, second - first, once, smoothed)
    window_mean(smoothed, start - second, twice, out[start:stop])
    if kind == 0:
        for t in range(start, stop):
            out[t] = clip(out[t] - 100, -100.0, 0.0)


def _of_macd(fast: int, slow: int, signal: int) -> int:
    return max(fast, slow) + signal - 2


def _windowed_one(name: str, kind: int, text: str, period: int, source: str = "moving window") -> Formula:
    least = (1,) if kind in (MEAN, WEIGHTED, HIGHEST, LOWEST) else ()
    return Formula(name, "indicator", source, text, partial(_windowed, kind), (period,), least=least, warmup=less_one, lookback=less_one)


def _directional_one(name: str, kind: int, text: str) -> Formula:
    return Formula(
        name, "indicator", "Wilder 1978", text, partial(directional_movement, kind), (14,),
        warmup=(lambda n: 2 * n - 1) if kind == STRENGTH else itself, lookback=lambda n: 1, state_size=lambda n: 4,
        low=-100.0 if kind == DIFFERENCE else 0.0, high=100.0, is_recursive=True,
    )  # fmt: skip


def _macd_one(name: str, kind: int, text: str) -> Formula:
    return Formula(
        name, "indicator", "Appel 1979", text, partial(_macd, kind), (12, 26, 9), warmup=_of_macd, state_size=lambda *n: 3, is_recursive=True,
    )  # fmt: skip


def _band(name: str, kind: int, text: str) -> Formula:
    return Formula(
        name, "indicator", "Bollinger 1983", text, partial(_windowed, kind), (20, 2), least=(2, 1),
        warmup=lambda n, m: n - 1, lookback=lambda n, m: n - 1,
    )  # fmt: skip


def _stepped(name: str, kind: int, text: str, bars: int) -> Formula:
    return Formula(name, "indicator", "price change", text, partial(_step, kind), (bars,), least=(1,), warmup=itself, lookback=itself)


FORMULAS: tuple[Formula, ...] = (
    _windowed_one("sma", MEAN, "mean(C, {0})", 20),
    _windowed_one("wma", WEIGHTED, "mean(C, {0}), weights {0} … 1 from the newest on", 20),
    _windowed_one("deviation", DEVIATION, "std(C, {0}), divisor {0}", 20),
    _windowed_one("z_score", SCORE, "(C − mean(C, {0})) / std(C, {0}); 0 in a flat window", 20, "standard score"),
    _windowed_one("slope", SLOPE, "slope of the line through C, {0}, per bar", 14, "least squares"),
    _windowed_one("highest", HIGHEST, "highest(H, {0})", 20, "Donchian channel"),
    _windowed_one("lowest", LOWEST, "lowest(L, {0})", 20, "Donchian channel"),
    _band("bollinger_upper", UPPER, "mean(C, {0}) + {1} std(C, {0})"),
    _band("bollinger_lower", LOWER, "mean(C, {0}) − {1} std(C, {0})"),
    _windowed_one("bollinger_middle", MEAN, "mean(C, {0})", 20, "Bollinger 1983"),
    Formula(
        "skew", "indicator", "Fisher-Pearson", "mean((C − mean(C))³, {0}) / std(C, {0})³; 0 in a flat window", _skew, (20,), least=(3,),
        warmup=less_one, lookback=less_one,
    ),
    _stepped("return", RETURN, "C / C[-{0}] − 1", 1),
    _stepped("roc", RATE, "100 (C / C[-{0}] − 1)", 10),
    _stepped("momentum", MOMENTUM, "C − C[-{0}]", 10),
    Formula("range", "indicator", "bar geometry", "H − L", partial(_step, REACH), low=0.0),
    Formula(
        "return_mean", "indicator", "moving window", "mean(C / C[-1] − 1, {0})", partial(_return_statistic, False), (20,), least=(1,),
        warmup=itself, lookback=itself,
    ),
    Formula(
        "return_deviation", "indicator", "moving window", "std(C / C[-1] − 1, {0}), divisor {0}", partial(_return_statistic, True), (20,),
        warmup=itself, lookback=itself, low=0.0,
    ),
    Formula(
        "ema", "indicator", "exponential average", "EMA(C, {0}), factor 2 / ({0} + 1)", _ema, (20,), least=(1,),
        warmup=less_one, state_size=lambda n: 1, is_recursive=True,
    ),
    Formula(
        "rsi", "indicator", "Wilder 1978", "RSI(C, {0}); 50 where nothing ever moved", _rsi, (14,),
        warmup=itself, lookback=lambda n: 1, state_size=lambda n: 2, low=0.0, high=100.0, is_recursive=True,
    ),
    Formula(
        "atr", "indicator", "Wilder 1978", "ATR({0}), in price units", _atr, (14,), least=(1,),
        warmup=itself, lookback=lambda n: 1, state_size=lambda n: 1, low=0.0, is_recursive=True,
    ),
    _macd_one("macd", LINE, "EMA(C, {0}) − EMA(C, {1})"),
    _macd_one("macd_signal", SIGNAL, "EMA(MACD({0}, {1}), {2})"),
    _macd_one("macd_histogram", HISTOGRAM, "MACD({0}, {1}) − EMA(MACD, {2})"),
    _directional_one("adx", STRENGTH, "ADX({0})"),
    _directional_one("plus_di", PLUS, "+DI({0})"),
    _directional_one("minus_di", MINUS, "−DI({0})"),
    _directional_one("di_difference", DIFFERENCE, "+DI({0}) − −DI({0})"),
    Formula(
        "cci", "indicator", "Lambert 1980", "(P − mean(P, {0})) / (0.015 · mean distance from it), P = (H + L + C) / 3; 0 in a flat window",
        commodity_channel, (14,), warmup=less_one, lookback=less_one,
    ),
    Formula(
        "williams", "indicator", "Williams 1979", "100 (C − highest(H, {0})) / (highest(H, {0}) − lowest(L, {0})); −50 in a flat window",
        partial(_stochastic, 0), (14,), warmup=less_one, lookback=less_one, low=-100.0, high=0.0,
    ),
    Formula(
        "stochastic_k", "indicator", "Lane 1984", "place of C in the range of {0} bars, in percent, averaged over {1}; 50 in a flat window",
        partial(_stochastic, 1), (14, 3), least=(1, 1), warmup=lambda n, m: n + m - 2, lookback=lambda n, m: n + m - 2, low=0.0, high=100.0,
    ),
    Formula(
        "stochastic_d", "indicator", "Lane 1984", "stochastic_k({0}, {1}) averaged over {2}", partial(_stochastic, 2), (14, 3, 3), least=(1, 1, 1),
        warmup=lambda n, m, k: n + m + k - 3, lookback=lambda n, m, k: n + m + k - 3, low=0.0, high=100.0,
    ),
)  # fmt: skip
