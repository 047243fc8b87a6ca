"""Volume (ticks per bar): how busy the market is, and on which side. Where nothing traded each says so by a neutral value."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from components.features.compiled import compiled
from components.features.family_return import itself, less_one
from components.features.family_reversion import standard_score
from components.features.formula import CLOSE, HIGH, LOW, VOLUME, Floats, Formula, Ints
from components.features.recursive import FLAT, ema, log_steps, mean_true_range, settled_ema, share_of, smooth_two, true_range
from components.features.windows import clip, window_mean
from components.features.windows_joint import window_correlation, window_line

BALANCE, FLOW = range(2)
VOLUME_ONLY = frozenset({"volume"})


@compiled
def _volume_ratio(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    begin = max(start - int(params[0]) + 1, 0)
    window_mean(data[VOLUME, begin:stop], start - begin, int(params[0]), out[start:stop])
    for t in range(start, stop):
        out[t] = 1.0 if out[t] == 0 else min(data[VOLUME, t] / out[t], params[0])


@compiled
def _volume_z(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    begin = max(start - int(params[0]) + 1, 0)
    standard_score(data[VOLUME, begin:stop], start - begin, int(params[0]), out[start:stop])


@compiled
def _volume_slope(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    begin = max(start - period + 1, 0)
    mean, squares = np.empty(stop - start), np.empty(stop - start)
    window_line(data[VOLUME, begin:stop], start - begin, period, mean, squares, out[start:stop])
    for t in range(start, stop):
        usual = mean[t - start] * period * (params[0] * params[0] - 1) / 12
        out[t] = 0.0 if usual == 0 else out[t] / usual


@compiled
def close_place(data: Floats, t: int) -> float:
    """Where the close lies in its bar: −1 at the low, 1 at the high, 0 in a bar without range."""
    reach = data[HIGH, t] - data[LOW, t]
    return 0.0 if reach == 0 else ((data[CLOSE, t] - data[LOW, t]) - (data[HIGH, t] - data[CLOSE, t])) / reach


@compiled
def _flow(kind: int, data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    begin = max(start - period + 1, 0)
    signed, total = np.empty(stop - begin), np.empty(stop - start)
    for t in range(begin, stop):
        side = close_place(data, t) if kind == FLOW else np.sign(data[CLOSE, t] - data[CLOSE, t - 1]) if t else np.nan
        signed[t - begin] = side * data[VOLUME, t]
    window_mean(signed, start - begin, period, out[start:stop])
    window_mean(data[VOLUME, begin:stop], start - begin, period, total)
    for t in range(start, stop):
        out[t] = 0.0 if total[t - start] == 0 else clip(out[t] / total[t - start], -1.0, 1.0)


@compiled
def _money_flow_index(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    begin = max(start - period + 1, 0)
    up, down, falls = np.empty(stop - begin), np.empty(stop - begin), np.empty(stop - start)
    before = (data[HIGH, begin - 1] + data[LOW, begin - 1] + data[CLOSE, begin - 1]) / 3 if begin else np.nan
    for t in range(begin, stop):
        typical = (data[HIGH, t] + data[LOW, t] + data[CLOSE, t]) / 3
        flow = typical * data[VOLUME, t] if t else np.nan
        # The third of a sum is rounded: what differs by that alone has not moved.
        up[t - begin] = flow if t == 0 or typical - before > FLAT * typical else 0.0
        down[t - begin] = flow if t == 0 or before - typical > FLAT * typical else 0.0
        before = typical
    window_mean(up, start - begin, period, out[start:stop])
    window_mean(down, start - begin, period, falls)
    for t in range(start, stop):
        both = out[t] + falls[t - start]
        out[t] = 50.0 if both == 0 else 100 * (out[t] / both)


@compiled
def _vwap_distance(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    begin = max(start - period + 1, 0)
    weighted, total = np.empty(stop - begin), np.empty(stop - start)
    for t in range(begin, stop):
        weighted[t - begin] = data[VOLUME, t] * (data[HIGH, t] + data[LOW, t] + data[CLOSE, t]) / 3
    window_mean(weighted, start - begin, period, out[start:stop])
    window_mean(data[VOLUME, begin:stop], start - begin, period, total)
    width = mean_true_range(data, start, stop, period)
    for t in range(start, stop):
        i = t - start
        out[t] = 0.0 if total[i] == 0 else share_of(data[CLOSE, t] - out[t] / total[i], width[i], data[CLOSE, t], 0.0)


@compiled
def _chaikin_oscillator(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    # With A the sum of all flows so far, A − EMA(A) needs no A: it grows by each flow and shrinks by the average's factor.
    short, long = 1 - 2 / (params[0] + 1), 1 - 2 / (params[1] + 1)
    quick, slow = state[0], state[1]
    usual = np.empty(stop - start)
    ema(data[VOLUME, start:stop], origin + start, 0, int(params[1]), state, 2, usual)
    for t in range(start, stop):
        flow = close_place(data, t) * data[VOLUME, t]
        quick, slow = (quick + flow) * short, (slow + flow) * long
        out[t] = 0.0 if usual[t - start] == 0 else (slow - quick) / usual[t - start]
    state[0], state[1] = quick, slow


@compiled
def _force_index(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period, row = int(params[0]), origin + start
    force, most = np.empty(stop - start), np.empty(stop - start)
    true_range(data, start, stop, most)
    for t in range(start, stop):
        force[t - start] = (data[CLOSE, t] - data[CLOSE, t - 1]) * data[VOLUME, t] if t else 0.0
        most[t - start] *= data[VOLUME, t]
    smooth_two(force, most, row, 1, period, 2.0 / (period + 1), state, 0)
    for t in range(start, stop):
        out[t] = 0.0 if most[t - start] == 0 else clip(force[t - start] / most[t - start], -1.0, 1.0)


@compiled
def _ease_of_movement(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    begin = max(start - period + 1, 0)
    ease, total = np.empty(stop - begin), np.empty(stop - start)
    for t in range(begin, stop):
        if t == 0:
            ease[0] = np.nan
            continue
        step = 0.5 * (data[HIGH, t] + data[LOW, t]) - 0.5 * (data[HIGH, t - 1] + data[LOW, t - 1])
        ease[t - begin] = 0.0 if data[VOLUME, t] == 0 else step * (data[HIGH, t] - data[LOW, t]) / data[VOLUME, t]
    window_mean(ease, start - begin, period, out[start:stop])
    window_mean(data[VOLUME, begin:stop], start - begin, period, total)
    width = mean_true_range(data, start, stop, period)
    for t in range(start, stop):
        wide = width[t - start]
        out[t] = share_of(share_of(out[t] * total[t - start], wide, data[CLOSE, t], 0.0), wide, data[CLOSE, t], 0.0)


@compiled
def _volume_price_correlation(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    begin = max(start - int(params[0]) + 1, 0)
    steps = np.empty(stop - begin)
    log_steps(data, begin, stop, 1, steps)
    for i in range(stop - begin):
        steps[i] = abs(steps[i])
    window_correlation(steps, data[VOLUME, begin:stop], start - begin, int(params[0]), out[start:stop])


@compiled
def _price_volume_trend(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    begin = max(start - period + 1, 0)
    steps, weighted = np.empty(stop - begin), np.empty(stop - begin)
    log_steps(data, begin, stop, 1, steps)
    for i in range(stop - begin):
        weighted[i] = steps[i] * data[VOLUME, begin + i]
        steps[i] *= steps[i]
    squares, total = np.empty(stop - start), np.empty(stop - start)
    window_mean(weighted, start - begin, period, out[start:stop])
    window_mean(steps, start - begin, period, squares)
    window_mean(data[VOLUME, begin:stop], start - begin, period, total)
    limit = math.sqrt(params[0])
    for t in range(start, stop):
        usual = total[t - start] * math.sqrt(squares[t - start])
        out[t] = 0.0 if usual == 0 else clip(out[t] / usual, -limit, limit)


FORMULAS: tuple[Formula, ...] = (
    Formula(
        "volume_ratio", "volume", "relative volume", "V / mean(V, {0}); 1 where nothing traded",
        _volume_ratio, (24,), least=(1,), warmup=less_one, lookback=less_one, low=0.0, high=float, needs=VOLUME_ONLY,
    ),
    Formula(
        "volume_z", "volume", "standard score", "(V − mean(V, {0})) / std(V, {0}); 0 where it never changes",
        _volume_z, (48,), warmup=less_one, lookback=less_one,
        low=lambda n: -math.sqrt(n - 1), high=lambda n: math.sqrt(n - 1), needs=VOLUME_ONLY,
    ),
    Formula(
        "volume_slope", "volume", "least squares", "slope of the line through V, {0}, per bar, / mean(V, {0}); 0 where nothing traded",
        _volume_slope, (24,), warmup=less_one, lookback=less_one, needs=VOLUME_ONLY,
    ),
    Formula(
        "obv_change", "volume", "on-balance volume, Granville 1963", "sum(sign(C − C[-1]) V, {0}) / sum(V, {0}); 0 where nothing traded",
        partial(_flow, BALANCE), (24,), least=(1,), warmup=itself, lookback=itself, low=-1.0, high=1.0, needs=VOLUME_ONLY,
    ),
    Formula(
        "chaikin_money_flow", "volume", "Chaikin 1982",
        "sum(((C − L) − (H − C)) / (H − L) · V, {0}) / sum(V, {0}); 0 where nothing traded",
        partial(_flow, FLOW), (20,), least=(1,), warmup=less_one, lookback=less_one, low=-1.0, high=1.0, needs=VOLUME_ONLY,
    ),
    Formula(
        "money_flow_index", "volume", "Quong and Soudack 1989",
        "100 U / (U + D), sums over {0} bars of P V where P = (H + L + C) / 3 rose (U) and fell (D); 50 where neither",
        _money_flow_index, (14,), warmup=itself, lookback=itself, low=0.0, high=100.0, needs=VOLUME_ONLY,
    ),
    Formula(
        "vwap_distance", "volume", "volume-weighted average price", "(C − sum(P V, {0}) / sum(V, {0})) / mean(TR, {0}), P = (H + L + C) / 3; "
        "0 where nothing traded or moved",
        _vwap_distance, (24,), least=(1,), warmup=itself, lookback=itself, needs=VOLUME_ONLY,
    ),
    Formula(
        "chaikin_oscillator", "volume", "Chaikin 1982",
        "(EMA(A, {0}) − EMA(A, {1})) / EMA(V, {1}), A the sum of ((C − L) − (H − C)) / (H − L) · V; 0 where nothing traded",
        _chaikin_oscillator, (3, 10), warmup=lambda n, m: settled_ema(max(n, m)), state_size=lambda n, m: 3, needs=VOLUME_ONLY,
        is_recursive=True,
    ),
    Formula(
        "force_index", "volume", "Elder 1993", "EMA((C − C[-1]) V, {0}) / EMA(TR V, {0}); 0 where nothing traded or moved",
        _force_index, (13,), warmup=settled_ema, lookback=lambda n: 1, state_size=lambda n: 2, low=-1.0, high=1.0, needs=VOLUME_ONLY,
        is_recursive=True,
    ),
    Formula(
        "ease_of_movement", "volume", "Arms 1983",
        "mean((M − M[-1]) (H − L) / V, {0}) · mean(V, {0}) / mean(TR, {0})², M = (H + L) / 2; 0 where nothing traded or moved",
        _ease_of_movement, (14,), least=(1,), warmup=itself, lookback=itself, needs=VOLUME_ONLY,
    ),
    Formula(
        "volume_price_correlation", "volume", "Karpoff 1987", "correlation of |ln(C / C[-1])| and V over {0} bars; 0 where one stands still",
        _volume_price_correlation, (24,), warmup=itself, lookback=itself, low=-1.0, high=1.0, needs=VOLUME_ONLY,
    ),
    Formula(
        "price_volume_trend", "volume", "price volume trend", "sum(r V, {0}) / (sum(V, {0}) sqrt(mean(r², {0}))), r = ln(C / C[-1]); "
        "0 where nothing traded or moved",
        _price_volume_trend, (24,), warmup=itself, lookback=itself, low=lambda n: -math.sqrt(n), high=math.sqrt, needs=VOLUME_ONLY,
    ),
)  # fmt: skip
