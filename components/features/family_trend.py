"""Trend: direction and strength, by Wilder's directional movement and against averages that follow the price."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from components.features.compiled import compiled
from components.features.family_return import itself
from components.features.formula import CLOSE, HIGH, LOW, Floats, Formula, Ints
from components.features.recursive import (
    FLAT,
    average_true_range,
    ema,
    mean_true_range,
    settled_ema,
    settled_wilder,
    share_of,
    smooth,
    true_range,
    with_history,
)
from components.features.windows import clip, window_mean
from components.features.windows_joint import window_weighted

PLUS, MINUS, DIFFERENCE, STRENGTH, RATING = range(5)


@compiled
def directional(data: Floats, origin: int, start: int, stop: int, period: int, state: Floats, plus: Floats, minus: Floats) -> None:
    """+DI and −DI of rows `start` to `stop`, in percent, shape (stop - start,) each; NaN in the first `period` rows of the history.

    As TA-Lib seeds them: sums of the first ``period - 1`` movements and ranges. State of three numbers; one row before `start`.
    """
    row, rows, first = origin + start, stop - start, max(start, 1)
    width = np.empty(rows)
    true_range(data, start, stop, width)
    if start == 0 and stop > 0:
        plus[0] = minus[0] = width[0] = 0.0
    old_high, new_high, old_low, new_low = data[HIGH, first - 1 : stop], data[HIGH, first:stop], data[LOW, first - 1 : stop], data[LOW, first:stop]
    rises, falls = plus[first - start :], minus[first - start :]
    for i in range(stop - first):
        up, down = max(new_high[i] - old_high[i], 0.0), max(old_low[i] - new_low[i], 0.0)
        rises[i] = up if up > down else 0.0
        falls[i] = down if down > up else 0.0
    # Steps without a test inside, and divisions apart from what each row hands to the next, so that they run side by side.
    keep, ups, downs, wide = 1.0 - 1.0 / period, state[0], state[1], state[2]
    known = min(max(period - row, 0), rows)
    for i in range(known):
        ups, downs, wide = ups + plus[i], downs + minus[i], wide + width[i]
        plus[i] = minus[i] = width[i] = np.nan
    for i in range(known, rows):
        ups, downs, wide = ups * keep + plus[i], downs * keep + minus[i], wide * keep + width[i]
        plus[i], minus[i], width[i] = ups, downs, wide
    state[0], state[1], state[2] = ups, downs, wide
    close = data[CLOSE, start:stop]
    for i in range(rows):
        share = 0.0 if width[i] <= FLAT * close[i] else 100 / width[i]
        plus[i] *= share
        minus[i] *= share


@compiled
def directional_movement(
    kind: int, data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats
) -> None:
    """The kernel of +DI, −DI, their difference, ADX and ADXR, by `kind`."""
    period, rows = int(params[0]), stop - start
    plus, minus = np.empty(rows), np.empty(rows)
    directional(data, origin, start, stop, period, state, plus, minus)
    if kind < STRENGTH:
        one, other = (minus, plus) if kind == MINUS else (plus, minus)
        share, values = 1.0 if kind == DIFFERENCE else 0.0, out[start:stop]
        for i in range(rows):
            values[i] = clip(one[i] - share * other[i], -100.0, 100.0)
        return
    for i in range(rows):
        both = plus[i] + minus[i]
        plus[i] = 0.0 if both == 0 else 100 * (abs(plus[i] - minus[i]) / both)
    smooth(plus, origin + start, period, period, 1.0 / period, state, 3, out[start:stop])
    if kind == RATING:
        known = with_history(out[start:stop], state, 4, period - 1)
        for i in range(rows):
            out[start + i] = 0.5 * (known[i] + known[i + period - 1])


@compiled
def _ema_distance(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    close, row = data[CLOSE, start:stop], origin + start
    quick, slow = np.empty(stop - start), np.empty(stop - start)
    ema(close, row, 0, int(params[0]), state, 0, quick)
    ema(close, row, 0, int(params[1]), state, 1, slow)
    width = average_true_range(data, origin, start, stop, int(params[2]), state, 2)
    for i in range(stop - start):
        out[start + i] = share_of(quick[i] - slow[i], width[i], close[i], 0.0)


@compiled
def _power(row: int, data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    usual = np.empty(stop - start)
    ema(data[CLOSE, start:stop], origin + start, 0, period, state, 0, usual)
    width = average_true_range(data, origin, start, stop, period, state, 1)
    for t in range(start, stop):
        out[t] = share_of(data[row, t] - usual[t - start], width[t - start], data[CLOSE, t], 0.0)


@compiled
def _sma_distance(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    begin = max(start - period + 1, 0)
    window_mean(data[CLOSE, begin:stop], start - begin, period, out[start:stop])
    width = mean_true_range(data, start, stop, period)
    for t in range(start, stop):
        out[t] = share_of(data[CLOSE, t] - out[t], width[t - start], data[CLOSE, t], 0.0)


@compiled
def _hull_distance(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    last = int(math.sqrt(params[0]))
    first = max(start - last + 1, 0)
    begin = max(first - period + 1, 0)
    slow, quick = np.empty(stop - first), np.empty(stop - first)
    window_weighted(data[CLOSE, begin:stop], first - begin, period, slow)
    window_weighted(data[CLOSE, begin:stop], first - begin, period // 2, quick)
    for i in range(stop - first):
        quick[i] = 2 * quick[i] - slow[i]
    window_weighted(quick, start - first, last, out[start:stop])
    width = mean_true_range(data, start, stop, period)
    for t in range(start, stop):
        out[t] = share_of(data[CLOSE, t] - out[t], width[t - start], data[CLOSE, t], 0.0)


@compiled
def _kama_distance(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    close, period, kept = data[CLOSE], int(params[0]), state[0]
    slowest, fastest = 2.0 / 31, 2.0 / 3
    width = average_true_range(data, origin, start, stop, period, state, 1)
    for t in range(start, stop):
        if origin + t < period:
            kept, out[t] = close[t], np.nan
            continue
        way = 0.0
        for k in range(t - period + 1, t + 1):
            way += abs(close[k] - close[k - 1])
        speed = slowest if way == 0 else min(abs(close[t] - close[t - period]) / way, 1.0) * (fastest - slowest) + slowest
        kept += speed * speed * (close[t] - kept)
        out[t] = share_of(close[t] - kept, width[t - start], close[t], 0.0)
    state[0] = kept


@compiled
def _supertrend(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    close, period = data[CLOSE], int(params[0])
    width = average_true_range(data, origin, start, stop, period, state, 0)
    upper, lower, side = state[1], state[2], state[3]
    for t in range(start, stop):
        if origin + t < period:
            out[t] = np.nan
            continue
        middle, reach = 0.5 * (data[HIGH, t] + data[LOW, t]), params[1] * width[t - start]
        above, below = middle + reach, middle - reach
        if side == 0:
            upper, lower, side = above, below, 1.0 if close[t] >= middle else -1.0
        else:
            upper = above if above < upper or close[t - 1] > upper else upper
            lower = below if below > lower or close[t - 1] < lower else lower
            side = 1.0 if close[t] > upper else -1.0 if close[t] < lower else side
        out[t] = share_of(close[t] - (lower if side > 0 else upper), width[t - start], close[t], 0.0)
    state[1], state[2], state[3] = upper, lower, side


@compiled
def _parabolic_distance(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    high, low, close = data[HIGH], data[LOW], data[CLOSE]
    width = average_true_range(data, origin, start, stop, int(params[0]), state, 0)
    side, stop_price, extreme, step = state[1], state[2], state[3], state[4]
    for t in range(start, stop):
        if t < 1:
            out[t] = np.nan
            continue
        if side == 0:
            # As TA-Lib begins: long, unless the second bar's downward movement is the larger one.
            up, down = high[t] - high[t - 1], low[t - 1] - low[t]
            side = -1.0 if down > 0 and down > up else 1.0
            extreme, stop_price, step = (high[t], low[t - 1], 0.02) if side > 0 else (low[t], high[t - 1], 0.02)
            before_high, before_low = high[t], low[t]
        else:
            before_high, before_low = high[t - 1], low[t - 1]
        if side > 0 and low[t] <= stop_price:
            side, here = -1.0, max(extreme, before_high, high[t])
            extreme, step = low[t], 0.02
            stop_price = max(here + step * (extreme - here), before_high, high[t])
        elif side < 0 and high[t] >= stop_price:
            side, here = 1.0, min(extreme, before_low, low[t])
            extreme, step = high[t], 0.02
            stop_price = min(here + step * (extreme - here), before_low, low[t])
        else:
            here = stop_price
            if side > 0:
                if high[t] > extreme:
                    extreme, step = high[t], min(step + 0.02, 0.2)
                stop_price = min(stop_price + step * (extreme - stop_price), before_low, low[t])
            else:
                if low[t] < extreme:
                    extreme, step = low[t], min(step + 0.02, 0.2)
                stop_price = max(stop_price + step * (extreme - stop_price), before_high, high[t])
        out[t] = share_of(close[t] - here, width[t - start], close[t], 0.0)
    state[1], state[2], state[3], state[4] = side, stop_price, extreme, step


def _from_bar_before(*_periods: int) -> int:
    return 1


FORMULAS: tuple[Formula, ...] = (
    Formula(
        "ema_distance", "trend", "moving average distance", "(EMA(C, {0}) − EMA(C, {1})) / ATR({2}); 0 where nothing moves",
        _ema_distance, (8, 24, 14), warmup=lambda fast, slow, width: max(settled_ema(fast), settled_ema(slow), settled_wilder(width)),
        lookback=_from_bar_before, state_size=lambda *n: 3, is_recursive=True, fixed_name="ema_distance",
    ),
    Formula(
        "adx", "trend", "Wilder 1978", "ADX({0})", partial(directional_movement, STRENGTH), (14,), warmup=lambda n: 25 * n,
        lookback=_from_bar_before, state_size=lambda n: 4, low=0.0, high=100.0, is_recursive=True,
    ),
    Formula(
        "adxr", "trend", "Wilder 1978", "(ADX({0}) + its value {0} − 1 bars ago) / 2",
        partial(directional_movement, RATING), (14,), warmup=lambda n: 26 * n,
        lookback=_from_bar_before, state_size=lambda n: 3 + n, low=0.0, high=100.0, is_recursive=True,
    ),
    Formula(
        "plus_di", "trend", "Wilder 1978", "+DI({0})", partial(directional_movement, PLUS), (14,), warmup=settled_wilder,
        lookback=_from_bar_before, state_size=lambda n: 3, low=0.0, high=100.0, is_recursive=True,
    ),
    Formula(
        "minus_di", "trend", "Wilder 1978", "−DI({0})", partial(directional_movement, MINUS), (14,), warmup=settled_wilder,
        lookback=_from_bar_before, state_size=lambda n: 3, low=0.0, high=100.0, is_recursive=True,
    ),
    Formula(
        "di_difference", "trend", "Wilder 1978", "+DI({0}) − −DI({0})", partial(directional_movement, DIFFERENCE), (14,), warmup=settled_wilder,
        lookback=_from_bar_before, state_size=lambda n: 3, low=-100.0, high=100.0, is_recursive=True,
    ),
    Formula(
        "bull_power", "trend", "Elder ray, Elder 1993", "(H − EMA(C, {0})) / ATR({0}); 0 where nothing moves",
        partial(_power, HIGH), (13,), warmup=settled_wilder, lookback=_from_bar_before, state_size=lambda n: 2, is_recursive=True,
    ),
    Formula(
        "bear_power", "trend", "Elder ray, Elder 1993", "(L − EMA(C, {0})) / ATR({0}); 0 where nothing moves",
        partial(_power, LOW), (13,), warmup=settled_wilder, lookback=_from_bar_before, state_size=lambda n: 2, is_recursive=True,
    ),
    Formula(
        "sma_distance", "trend", "moving average distance", "(C − mean(C, {0})) / mean(TR, {0}); 0 where nothing moved",
        _sma_distance, (50,), warmup=itself, lookback=itself,
    ),
    Formula(
        "hull_distance", "trend", "Hull 2005", "(C − HMA(C, {0})) / mean(TR, {0}), HMA = WMA(2 WMA({0} / 2) − WMA({0}), √{0}); 0 where nothing moved",
        _hull_distance, (16,), least=(4,), warmup=lambda n: n + math.isqrt(n) - 2, lookback=lambda n: n + math.isqrt(n) - 2,
    ),
    Formula(
        "kama_distance", "trend", "Kaufman 1995", "(C − KAMA(C, {0})) / ATR({0}), KAMA between 2 and 30 bars; 0 where nothing moves",
        _kama_distance, (10,), warmup=lambda n: 60 * n, lookback=itself, state_size=lambda n: 2, is_recursive=True,
    ),
    Formula(
        "supertrend", "trend", "Seban 2008", "(C − trailing band) / ATR({0}), band {1} ATR from the middle: above 0 in an upward trend",
        _supertrend, (10, 3), least=(2, 1), warmup=lambda n, m: 60 * n, lookback=_from_bar_before, state_size=lambda n, m: 4, is_recursive=True,
    ),
    Formula(
        "parabolic_distance", "trend", "parabolic SAR, Wilder 1978", "(C − SAR(0.02, 0.2)) / ATR({0}): above 0 in an upward trend",
        _parabolic_distance, (14,), warmup=lambda n: 30 * n, lookback=_from_bar_before, state_size=lambda n: 5, is_recursive=True,
    ),
)  # fmt: skip
