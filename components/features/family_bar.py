"""Bar geometry: what one bar looks like beside its own range and beside the bars before it. Shares and counts, free of the price level."""

from __future__ import annotations

import math

import numpy as np

from components.features.compiled import compiled
from components.features.formula import CLOSE, HIGH, LOW, OPEN, Floats, Formula, Ints
from components.features.recursive import true_range
from components.features.windows import window_mean


@compiled
def _usual_range(data: Floats, start: int, stop: int, bars: int, out: Floats) -> None:
    """Mean true range of the window, in price units."""
    begin = max(start - bars + 1, 0)
    reach = np.empty(stop - begin)
    true_range(data, begin, stop, reach)
    window_mean(reach, start - begin, bars, out[start:stop])


@compiled
def _body_share(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        reach = data[HIGH, t] - data[LOW, t]
        out[t] = (data[CLOSE, t] - data[OPEN, t]) / reach if reach != 0 else 0.0


@compiled
def _upper_wick_share(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        reach = data[HIGH, t] - data[LOW, t]
        out[t] = (data[HIGH, t] - max(data[OPEN, t], data[CLOSE, t])) / reach if reach != 0 else 0.0


@compiled
def _lower_wick_share(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        reach = data[HIGH, t] - data[LOW, t]
        out[t] = (min(data[OPEN, t], data[CLOSE, t]) - data[LOW, t]) / reach if reach != 0 else 0.0


@compiled
def _close_location(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        reach = data[HIGH, t] - data[LOW, t]
        out[t] = ((data[CLOSE, t] - data[LOW, t]) - (data[HIGH, t] - data[CLOSE, t])) / reach if reach != 0 else 0.0


@compiled
def _wick_balance(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    bars = int(params[0])
    for t in range(start, stop):
        if origin + t < bars - 1:
            out[t] = np.nan
            continue
        lower, upper, reach = 0.0, 0.0, 0.0
        for k in range(t - bars + 1, t + 1):
            lower += min(data[OPEN, k], data[CLOSE, k]) - data[LOW, k]
            upper += data[HIGH, k] - max(data[OPEN, k], data[CLOSE, k])
            reach += data[HIGH, k] - data[LOW, k]
        out[t] = min(max((lower - upper) / reach, -1.0), 1.0) if reach != 0 else 0.0


@compiled
def _true_body_share(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        if origin + t < 1:
            out[t] = np.nan
            continue
        before = data[CLOSE, t - 1]
        reach = max(data[HIGH, t], before) - min(data[LOW, t], before)
        out[t] = (data[CLOSE, t] - before) / reach if reach != 0 else 0.0


@compiled
def _range_ratio(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    _usual_range(data, start, stop, int(params[0]), out)
    for t in range(start, stop):
        if out[t] == 0:
            out[t] = 1.0
        elif not np.isnan(out[t]):
            out[t] = min((data[HIGH, t] - data[LOW, t]) / out[t], params[0])


@compiled
def _gap_share(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    _usual_range(data, start, stop, int(params[0]), out)
    for t in range(start, stop):
        if out[t] > 0:
            out[t] = min(max((data[OPEN, t] - data[CLOSE, t - 1]) / out[t], -params[0]), params[0])


@compiled
def _range_rank(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    bars = int(params[0])
    for t in range(start, stop):
        if origin + t < bars - 1:
            out[t] = np.nan
            continue
        reach, below = data[HIGH, t] - data[LOW, t], 0.0
        for k in range(t - bars + 1, t):
            other = data[HIGH, k] - data[LOW, k]
            below += 1.0 if other < reach else 0.5 if other == reach else 0.0
        out[t] = below / (bars - 1)


@compiled
def _inside_bar(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        if origin + t < 1:
            out[t] = np.nan
        else:
            out[t] = 1.0 if data[HIGH, t] <= data[HIGH, t - 1] and data[LOW, t] >= data[LOW, t - 1] else 0.0


@compiled
def _outside_bar(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        if origin + t < 1:
            out[t] = np.nan
        elif data[HIGH, t] > data[HIGH, t - 1] and data[LOW, t] < data[LOW, t - 1]:
            out[t] = 1.0 if data[CLOSE, t] > data[OPEN, t] else -1.0 if data[CLOSE, t] < data[OPEN, t] else 0.0
        else:
            out[t] = 0.0


@compiled
def _overlap_share(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        if origin + t < 1:
            out[t] = np.nan
            continue
        union = max(data[HIGH, t], data[HIGH, t - 1]) - min(data[LOW, t], data[LOW, t - 1])
        common = min(data[HIGH, t], data[HIGH, t - 1]) - max(data[LOW, t], data[LOW, t - 1])
        out[t] = max(common, 0.0) / union if union != 0 else 1.0


@compiled
def _close_run(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    bars = int(params[0])
    for t in range(start, stop):
        if origin + t < bars:
            out[t] = np.nan
            continue
        side = np.sign(data[CLOSE, t] - data[CLOSE, t - 1])
        length = 0
        while side != 0 and length < bars and np.sign(data[CLOSE, t - length] - data[CLOSE, t - length - 1]) == side:
            length += 1
        out[t] = side * length


@compiled
def _round_distance(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        close = data[CLOSE, t]
        figure = 10.0 ** (math.floor(math.log10(close) + 0.5) - 2) / params[0]
        place = close / figure
        out[t] = min(max(place - math.floor(place + 0.5), -0.5), 0.5)


FORMULAS: tuple[Formula, ...] = (
    Formula("body_share", "bar", "bar geometry", "(C − O) / (H − L); 0 where H = L", _body_share, low=-1.0, high=1.0),
    Formula("upper_wick_share", "bar", "bar geometry", "(H − max(O, C)) / (H − L); 0 where H = L", _upper_wick_share, low=0.0, high=1.0),
    Formula("lower_wick_share", "bar", "bar geometry", "(min(O, C) − L) / (H − L); 0 where H = L", _lower_wick_share, low=0.0, high=1.0),
    Formula(
        "close_location", "bar", "close location value, Chaikin 1982", "((C − L) − (H − C)) / (H − L); 0 where H = L",
        _close_location, low=-1.0, high=1.0,
    ),
    Formula(
        "wick_balance", "bar", "bar geometry", "(sum of lower wicks − sum of upper wicks) / sum(H − L) over {0} bars; 0 where no bar has a range",
        _wick_balance, (24,), least=(1,), warmup=lambda n: n - 1, lookback=lambda n: n - 1, low=-1.0, high=1.0,
    ),
    Formula(
        "true_body_share", "bar", "true range, Wilder 1978", "(C − C[-1]) / true range; 0 where nothing moved",
        _true_body_share, warmup=lambda: 1, lookback=lambda: 1, low=-1.0, high=1.0,
    ),
    Formula(
        "range_ratio", "bar", "true range, Wilder 1978", "(H − L) / mean(true range, {0}); 1 where nothing moved",
        _range_ratio, (14,), least=(1,), warmup=lambda n: n, lookback=lambda n: n, low=0.0, high=float,
    ),
    Formula(
        "gap_share", "bar", "true range, Wilder 1978", "(O − C[-1]) / mean(true range, {0}); 0 where nothing moved",
        _gap_share, (14,), least=(1,), warmup=lambda n: n, lookback=lambda n: n, low=lambda n: -float(n), high=float,
    ),
    Formula(
        "range_rank", "bar", "narrow range bars, Crabel 1990", "share of the {0} − 1 bars before whose H − L is smaller, equal ones by half",
        _range_rank, (20,), warmup=lambda n: n - 1, lookback=lambda n: n - 1, low=0.0, high=1.0,
    ),
    Formula(
        "inside_bar", "bar", "inside bar, Crabel 1990", "1 where H ≤ H[-1] and L ≥ L[-1], else 0",
        _inside_bar, warmup=lambda: 1, lookback=lambda: 1, low=0.0, high=1.0,
    ),
    Formula(
        "outside_bar", "bar", "outside bar, Crabel 1990", "sign(C − O) where H > H[-1] and L < L[-1], else 0",
        _outside_bar, warmup=lambda: 1, lookback=lambda: 1, low=-1.0, high=1.0,
    ),
    Formula(
        "overlap_share", "bar", "bar geometry", "common part of the ranges of this bar and the one before / their union; 1 where the union has no range",
        _overlap_share, warmup=lambda: 1, lookback=lambda: 1, low=0.0, high=1.0,
    ),
    Formula(
        "close_run", "bar", "runs test, Wald and Wolfowitz 1940", "bars in a row, at most {0}, whose close moved the same way; below 0 for falls",
        _close_run, (20,), least=(1,), warmup=lambda n: n, lookback=lambda n: n, low=lambda n: -float(n), high=float,
    ),
    Formula(
        "round_distance", "bar", "round numbers, Osler 2003",
        "distance of C from the nearest {0}th part of a figure, in such parts, above it positive; a figure is 10^(round(log10 C) − 2)",
        _round_distance, (1,), least=(1,), low=-0.5, high=0.5,
    ),
)  # fmt: skip
