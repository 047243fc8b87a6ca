"""Candlestick patterns: −1, 0 or +1 per bar, by the definitions and settings of TA-Lib (after Nison 1991).

TA-Lib keeps running sums of bodies and ranges, whose rounding depends on where the history began; here each window is summed anew, from its
oldest bar on, so that a comparison that is exactly equal falls the same way in a long history, in a block and on the next bar.
"""

from __future__ import annotations

import numpy as np

from components.features.compiled import compiled
from components.features.formula import CLOSE, HIGH, LOW, OPEN, Floats, Formula, Ints, Kernel


@compiled
def _body(data: Floats, t: int) -> float:
    return float(abs(data[CLOSE, t] - data[OPEN, t]))


@compiled
def _side(data: Floats, t: int) -> int:
    return 1 if data[CLOSE, t] >= data[OPEN, t] else -1


@compiled
def _top(data: Floats, t: int) -> float:
    return float(max(data[OPEN, t], data[CLOSE, t]))


@compiled
def _bottom(data: Floats, t: int) -> float:
    return float(min(data[OPEN, t], data[CLOSE, t]))


@compiled
def _upper(data: Floats, t: int) -> float:
    return float(data[HIGH, t] - max(data[OPEN, t], data[CLOSE, t]))


@compiled
def _lower(data: Floats, t: int) -> float:
    return float(min(data[OPEN, t], data[CLOSE, t]) - data[LOW, t])


@compiled
def _usual_body(data: Floats, t: int) -> float:
    """Mean body of the ten bars before t: TA-Lib's long and short body."""
    total = 0.0
    for k in range(t - 10, t):
        total += abs(data[CLOSE, k] - data[OPEN, k])
    return total / 10


@compiled
def _share_of_range(data: Floats, t: int, factor: float, bars: int) -> float:
    """A share of the mean range of the bars before t: TA-Lib's doji and very short wick (0.1, 10), near (0.2, 5) and far (0.6, 5)."""
    total = 0.0
    for k in range(t - bars, t):
        total += data[HIGH, k] - data[LOW, k]
    return factor * (total / bars)


@compiled
def _engulfing(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        if origin + t < 1:
            out[t] = np.nan
            continue
        side = _side(data, t)
        covers = side != _side(data, t - 1) and _top(data, t) >= _top(data, t - 1) and _bottom(data, t) <= _bottom(data, t - 1)
        is_larger = _top(data, t) > _top(data, t - 1) or _bottom(data, t) < _bottom(data, t - 1)
        out[t] = side if covers and is_larger else 0.0


@compiled
def _doji(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        if origin + t < 10:
            out[t] = np.nan
        else:
            out[t] = 1.0 if _body(data, t) <= _share_of_range(data, t, 0.1, 10) else 0.0


@compiled
def _hammer(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        if origin + t < 10:
            out[t] = np.nan
            continue
        shape = _body(data, t) < _usual_body(data, t) and _lower(data, t) > _body(data, t)
        shape = shape and _upper(data, t) < _share_of_range(data, t, 0.1, 10)
        is_low = _bottom(data, t) <= data[LOW, t - 1] + _share_of_range(data, t - 1, 0.2, 5)
        out[t] = 1.0 if shape and is_low else 0.0


@compiled
def _shooting_star(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        if origin + t < 10:
            out[t] = np.nan
            continue
        shape = _body(data, t) < _usual_body(data, t) and _upper(data, t) > _body(data, t)
        shape = shape and _lower(data, t) < _share_of_range(data, t, 0.1, 10)
        out[t] = -1.0 if shape and _bottom(data, t) > _top(data, t - 1) else 0.0


@compiled
def _is_star(data: Floats, t: int) -> bool:
    """A long body at t − 2, a short one beyond it at t − 1, a body that is not short and turns back at t."""
    side = _side(data, t)
    sizes = _body(data, t - 2) > _usual_body(data, t - 2) and _body(data, t - 1) <= _usual_body(data, t - 1)
    sizes = sizes and _body(data, t) > _usual_body(data, t) and _side(data, t - 2) == -side
    if side == 1:
        return sizes and _top(data, t - 1) < _bottom(data, t - 2) and data[CLOSE, t] > data[CLOSE, t - 2] + _body(data, t - 2) * 0.3
    return sizes and _bottom(data, t - 1) > _top(data, t - 2) and data[CLOSE, t] < data[CLOSE, t - 2] - _body(data, t - 2) * 0.3


@compiled
def _morning_star(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        if origin + t < 12:
            out[t] = np.nan
        else:
            out[t] = 1.0 if _side(data, t) == 1 and _is_star(data, t) else 0.0


@compiled
def _evening_star(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        if origin + t < 12:
            out[t] = np.nan
        else:
            out[t] = -1.0 if _side(data, t) == -1 and _is_star(data, t) else 0.0


@compiled
def _harami(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        if origin + t < 11:
            out[t] = np.nan
            continue
        sizes = _body(data, t - 1) > _usual_body(data, t - 1) and _body(data, t) <= _usual_body(data, t)
        lies_inside = _top(data, t) <= _top(data, t - 1) and _bottom(data, t) >= _bottom(data, t - 1)
        out[t] = -_side(data, t - 1) if sizes and lies_inside else 0.0


@compiled
def _three_white_soldiers(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        if origin + t < 12:
            out[t] = np.nan
            continue
        marches = data[CLOSE, t] > data[CLOSE, t - 1] and data[CLOSE, t - 1] > data[CLOSE, t - 2]
        for k in range(t - 2, t + 1):
            marches = marches and _side(data, k) == 1 and _upper(data, k) < _share_of_range(data, k, 0.1, 10)
        for k in range(t - 1, t + 1):
            opens_inside = data[OPEN, k] > data[OPEN, k - 1] and data[OPEN, k] <= data[CLOSE, k - 1] + _share_of_range(data, k - 1, 0.2, 5)
            marches = marches and opens_inside and _body(data, k) > _body(data, k - 1) - _share_of_range(data, k - 1, 0.6, 5)
        out[t] = 1.0 if marches and _body(data, t) > _usual_body(data, t) else 0.0


@compiled
def _three_black_crows(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        if origin + t < 12:
            out[t] = np.nan
            continue
        falls = _side(data, t - 3) == 1 and data[HIGH, t - 3] > data[CLOSE, t - 2]
        falls = falls and data[CLOSE, t - 2] > data[CLOSE, t - 1] and data[CLOSE, t - 1] > data[CLOSE, t]
        for k in range(t - 2, t + 1):
            falls = falls and _side(data, k) == -1 and _lower(data, k) < _share_of_range(data, k, 0.1, 10)
        for k in range(t - 1, t + 1):
            falls = falls and data[OPEN, k] < data[OPEN, k - 1] and data[OPEN, k] > data[CLOSE, k - 1]
        out[t] = -1.0 if falls else 0.0


@compiled
def _marubozu(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        if origin + t < 10:
            out[t] = np.nan
            continue
        tiny = _share_of_range(data, t, 0.1, 10)
        out[t] = _side(data, t) if _body(data, t) > _usual_body(data, t) and _upper(data, t) < tiny and _lower(data, t) < tiny else 0.0


@compiled
def _spinning_top(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        if origin + t < 10:
            out[t] = np.nan
            continue
        body = _body(data, t)
        out[t] = _side(data, t) if body < _usual_body(data, t) and _upper(data, t) > body and _lower(data, t) > body else 0.0


@compiled
def _piercing(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        if origin + t < 11:
            out[t] = np.nan
            continue
        sizes = _body(data, t - 1) > _usual_body(data, t - 1) and _body(data, t) > _usual_body(data, t)
        sizes = sizes and _side(data, t - 1) == -1 and _side(data, t) == 1 and data[OPEN, t] < data[LOW, t - 1]
        middle = data[CLOSE, t - 1] + _body(data, t - 1) * 0.5
        out[t] = 1.0 if sizes and data[CLOSE, t] < data[OPEN, t - 1] and data[CLOSE, t] > middle else 0.0


@compiled
def _dark_cloud(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        if origin + t < 11:
            out[t] = np.nan
            continue
        sizes = _body(data, t - 1) > _usual_body(data, t - 1) and _side(data, t - 1) == 1 and _side(data, t) == -1
        middle = data[CLOSE, t - 1] - _body(data, t - 1) * 0.5
        opens_above = sizes and data[OPEN, t] > data[HIGH, t - 1]
        out[t] = -1.0 if opens_above and data[CLOSE, t] > data[OPEN, t - 1] and data[CLOSE, t] < middle else 0.0


@compiled
def _three_outside(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        if origin + t < 2:
            out[t] = np.nan
            continue
        side = _side(data, t - 1)
        engulfs = side != _side(data, t - 2) and _top(data, t - 1) > _top(data, t - 2) and _bottom(data, t - 1) < _bottom(data, t - 2)
        out[t] = side if engulfs and side * data[CLOSE, t] > side * data[CLOSE, t - 1] else 0.0


def _pattern(name: str, talib_name: str, text: str, kernel: Kernel, rows: int, low: float, high: float) -> Formula:
    return Formula(
        name, "candlestick", f"Nison 1991; TA-Lib {talib_name}", text, kernel, warmup=lambda: rows, lookback=lambda: rows, low=low, high=high
    )


FORMULAS: tuple[Formula, ...] = (
    _pattern("engulfing", "CDLENGULFING", "±1 where the body covers the one before, of the other side; the sign is this bar's", _engulfing, 1, -1, 1),
    _pattern("doji", "CDLDOJI", "1 where the body is at most a tenth of the mean range of the 10 bars before", _doji, 10, 0, 1),
    _pattern("hammer", "CDLHAMMER", "1 for a short body near the low before, a lower wick longer than it, hardly an upper one", _hammer, 10, 0, 1),
    _pattern(
        "shooting_star", "CDLSHOOTINGSTAR", "−1 for a short body above the one before, an upper wick longer than it, hardly a lower one",
        _shooting_star, 10, -1, 0,
    ),
    _pattern("morning_star", "CDLMORNINGSTAR", "1 for a long fall, a short body below it, a rise that takes back 0.3 of the fall", _morning_star, 12, 0, 1),
    _pattern("evening_star", "CDLEVENINGSTAR", "−1 for a long rise, a short body above it, a fall that takes back 0.3 of the rise", _evening_star, 12, -1, 0),
    _pattern("harami", "CDLHARAMI", "±1 where a short body lies within the long one before; the sign is against that one", _harami, 11, -1, 1),
    _pattern(
        "three_white_soldiers", "CDL3WHITESOLDIERS", "1 for three rises in a row, each opening within or near the body before and closing near its high",
        _three_white_soldiers, 12, 0, 1,
    ),
    _pattern(
        "three_black_crows", "CDL3BLACKCROWS", "−1 for three falls in a row after a rise, each opening within the body before and closing near its low",
        _three_black_crows, 12, -1, 0,
    ),
    _pattern("marubozu", "CDLMARUBOZU", "±1 for a long body with hardly a wick", _marubozu, 10, -1, 1),
    _pattern("spinning_top", "CDLSPINNINGTOP", "±1 for a short body with both wicks longer than it", _spinning_top, 10, -1, 1),
    _pattern("piercing", "CDLPIERCING", "1 for a long fall, then an open below its low and a close above the middle of its body", _piercing, 11, 0, 1),
    _pattern("dark_cloud", "CDLDARKCLOUDCOVER", "−1 for a long rise, then an open above its high and a close below the middle of its body", _dark_cloud, 11, -1, 0),
    _pattern("three_outside", "CDL3OUTSIDE", "±1 where an engulfing bar is followed by a close further its way", _three_outside, 2, -1, 1),
)  # fmt: skip
