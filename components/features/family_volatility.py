"""Volatility: how much the price moves, per bar and relative to itself."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from components.features.compiled import compiled
from components.features.family_return import itself, less_one
from components.features.formula import CLOSE, HIGH, LOW, OPEN, Floats, Formula, Ints
from components.features.recursive import average_true_range, bar_range, ema, log_steps, settled_ema, settled_wilder, smooth, with_history
from components.features.windows import window_deviation, window_max, window_mean

LN2 = math.log(2)
PARKINSON, GARMAN_KLASS, ROGERS_SATCHELL, REALISED, DOWNSIDE, UPSIDE = range(6)


@compiled
def _volatility(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    begin = max(start - period + 1, 0)
    steps = np.empty(stop - begin)
    log_steps(data, begin, stop, 1, steps)
    window_deviation(steps, start - begin, period, 1, np.empty(stop - start), out[start:stop])


@compiled
def _volatility_ratio(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    short, long = int(params[0]), int(params[1])
    begin = max(start - max(short, long) + 1, 0)
    steps = np.empty(stop - begin)
    log_steps(data, begin, stop, 1, steps)
    mean, wide = np.empty(stop - start), np.empty(stop - start)
    window_deviation(steps, start - begin, short, 1, mean, out[start:stop])
    window_deviation(steps, start - begin, long, 1, mean, wide)
    for i in range(stop - start):
        out[start + i] = out[start + i] / wide[i] if wide[i] != 0 else 1.0


@compiled
def bar_variance(kind: int, data: Floats, t: int) -> float:
    """What one bar says about the variance of a step, by the estimator `kind`; those of closes need a bar before."""
    if kind == PARKINSON:
        reach = math.log(data[HIGH, t] / data[LOW, t])
        return reach * reach / (4 * LN2)
    if kind == GARMAN_KLASS:
        reach, body = math.log(data[HIGH, t] / data[LOW, t]), math.log(data[CLOSE, t] / data[OPEN, t])
        return 0.5 * reach * reach - (2 * LN2 - 1) * body * body
    if kind == ROGERS_SATCHELL:
        up, down, body = math.log(data[HIGH, t] / data[OPEN, t]), math.log(data[LOW, t] / data[OPEN, t]), math.log(data[CLOSE, t] / data[OPEN, t])
        return max(up * (up - body) + down * (down - body), 0.0)
    if t == 0:
        return np.nan
    step = math.log(data[CLOSE, t] / data[CLOSE, t - 1])
    if (kind == DOWNSIDE and step > 0) or (kind == UPSIDE and step < 0):
        return 0.0
    return step * step


@compiled
def _mean_variance(kind: int, data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    begin = max(start - int(params[0]) + 1, 0)
    variance = np.empty(stop - begin)
    for t in range(begin, stop):
        variance[t - begin] = bar_variance(kind, data, t)
    window_mean(variance, start - begin, int(params[0]), out[start:stop])
    for t in range(start, stop):
        out[t] = math.sqrt(out[t])


@compiled
def _yang_zhang(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    begin = max(start - period + 1, 0)
    rows, before = stop - begin, start - begin
    overnight, body, inside = np.empty(rows), np.empty(rows), np.empty(rows)
    for t in range(begin, stop):
        overnight[t - begin] = math.log(data[OPEN, t] / data[CLOSE, t - 1]) if t else np.nan
        body[t - begin] = math.log(data[CLOSE, t] / data[OPEN, t])
        inside[t - begin] = bar_variance(ROGERS_SATCHELL, data, t)
    mean, of_gaps, of_bodies = np.empty(stop - start), np.empty(stop - start), np.empty(stop - start)
    window_deviation(overnight, before, period, 1, mean, of_gaps)
    window_deviation(body, before, period, 1, mean, of_bodies)
    window_mean(inside, before, period, mean)
    share = 0.34 / (1.34 + (period + 1) / (period - 1))
    for i in range(stop - start):
        out[start + i] = math.sqrt(of_gaps[i] * of_gaps[i] + share * of_bodies[i] * of_bodies[i] + (1 - share) * mean[i])


@compiled
def _variance_balance(
    is_range: bool, data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats
) -> None:
    period = int(params[0])
    begin = max(start - period + 1, 0)
    one, other, mean = np.empty(stop - begin), np.empty(stop - begin), np.empty(stop - start)
    for t in range(begin, stop):
        one[t - begin] = bar_variance(PARKINSON if is_range else UPSIDE, data, t)
        other[t - begin] = bar_variance(REALISED if is_range else DOWNSIDE, data, t)
    window_mean(one, start - begin, period, out[start:stop])
    window_mean(other, start - begin, period, mean)
    for i in range(stop - start):
        first, both = out[start + i], out[start + i] + mean[i]
        if is_range:
            out[start + i] = 0.5 if both == 0 else first / both
        else:
            out[start + i] = 0.0 if both == 0 else (first - mean[i]) / both


@compiled
def _jump_share(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    begin = max(start - period + 1, 0)
    rows = stop - begin
    steps, products, mean = np.empty(rows), np.empty(rows), np.empty(stop - start)
    log_steps(data, begin, stop, 1, steps)
    products[0] = np.nan
    for i in range(1, rows):
        products[i] = abs(steps[i]) * abs(steps[i - 1])
    for i in range(rows):
        steps[i] *= steps[i]
    window_mean(products, start - begin, period - 1, mean)
    window_mean(steps, start - begin, period, out[start:stop])
    for i in range(stop - start):
        all_of_it = out[start + i]
        out[start + i] = 0.0 if all_of_it == 0 else max(1 - 0.5 * math.pi * mean[i] / all_of_it, 0.0)


@compiled
def _ewma_volatility(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    steps, period = np.empty(stop - start), int(params[0])
    log_steps(data, start, stop, 1, steps)
    for i in range(stop - start):
        steps[i] *= steps[i]
    smooth(steps, origin + start, 1, period, 2.0 / (period + 1), state, 0, steps)
    for i in range(stop - start):
        out[start + i] = math.sqrt(steps[i])


@compiled
def _volatility_of_volatility(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period, outer = int(params[0]), int(params[1])
    first = max(start - outer + 1, 0)
    begin = max(first - period + 1, 0)
    steps, inner, mean = np.empty(stop - begin), np.empty(stop - first), np.empty(stop - first)
    log_steps(data, begin, stop, 1, steps)
    window_deviation(steps, first - begin, period, 1, mean, inner)
    window_deviation(inner, start - first, outer, 1, mean[start - first :], out[start:stop])
    for t in range(start, stop):
        usual = mean[t - first]
        out[t] = 0.0 if usual == 0 else min(out[t] / usual, math.sqrt(outer))


@compiled
def _atr_ratio(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    width = average_true_range(data, origin, start, stop, int(params[0]), state, 0)
    for t in range(start, stop):
        out[t] = width[t - start] / data[CLOSE, t]


@compiled
def _chaikin_volatility(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    width = bar_range(data, start, stop)
    ema(width, origin + start, 0, period, state, 0, width)
    known = with_history(width, state, 1, period)
    for i in range(stop - start):
        out[start + i] = 0.0 if known[i] == 0 else width[i] / known[i] - 1


@compiled
def _mass_index(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period, bars, row = int(params[0]), int(params[1]), origin + start
    width = bar_range(data, start, stop)
    twice = np.empty(stop - start)
    ema(width, row, 0, period, state, 0, width)
    ema(width, row, period - 1, period, state, 1, twice)
    for i in range(stop - start):
        width[i] = 1.0 if twice[i] == 0 else width[i] / twice[i]
    known = with_history(width, state, 2, bars - 1)
    window_mean(known, bars - 1, bars, out[start:stop])
    for t in range(start, stop):
        out[t] *= bars


@compiled
def _ulcer_index(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    first = max(start - period + 1, 0)
    begin = max(first - period + 1, 0)
    depth = np.empty(stop - first)
    window_max(data[CLOSE, begin:stop], first - begin, period, depth)
    for t in range(first, stop):
        below = 100 * (data[CLOSE, t] / depth[t - first] - 1)
        depth[t - first] = below * below
    window_mean(depth, start - first, period, out[start:stop])
    for t in range(start, stop):
        out[t] = math.sqrt(out[t])


FORMULAS: tuple[Formula, ...] = (
    Formula(
        "volatility", "volatility", "sample deviation", "std(ln(C / C[-1]), {0})",
        _volatility, (24,), warmup=itself, lookback=itself, low=0.0,
    ),
    Formula(
        "volatility_ratio", "volatility", "sample deviation", "std(r, {0}) / std(r, {1}); 1 where nothing moved",
        _volatility_ratio, (24, 120), warmup=max, lookback=max, low=0.0, fixed_name="volatility_ratio",
    ),
    Formula(
        "parkinson", "volatility", "Parkinson 1980", "sqrt(mean(ln(H / L)², {0}) / (4 ln 2))",
        partial(_mean_variance, PARKINSON), (24,), least=(1,), warmup=less_one, lookback=less_one, low=0.0,
    ),
    Formula(
        "garman_klass", "volatility", "Garman and Klass 1980", "sqrt(mean(½ ln(H / L)² − (2 ln 2 − 1) ln(C / O)², {0}))",
        partial(_mean_variance, GARMAN_KLASS), (24,), least=(1,), warmup=less_one, lookback=less_one, low=0.0,
    ),
    Formula(
        "rogers_satchell", "volatility", "Rogers and Satchell 1991", "sqrt(mean(ln(H / O) ln(H / C) + ln(L / O) ln(L / C), {0}))",
        partial(_mean_variance, ROGERS_SATCHELL), (24,), least=(1,), warmup=less_one, lookback=less_one, low=0.0,
    ),
    Formula(
        "yang_zhang", "volatility", "Yang and Zhang 2000",
        "sqrt(var(ln(O / C[-1]), {0}) + k var(ln(C / O), {0}) + (1 − k) Rogers-Satchell²), k = 0.34 / (1.34 + ({0} + 1) / ({0} − 1))",
        _yang_zhang, (24,), warmup=itself, lookback=itself, low=0.0,
    ),
    Formula(
        "realised_volatility", "volatility", "Andersen and Bollerslev 1998", "sqrt(mean(r², {0})), r = ln(C / C[-1])",
        partial(_mean_variance, REALISED), (24,), least=(1,), warmup=itself, lookback=itself, low=0.0,
    ),
    Formula(
        "downside_deviation", "volatility", "Sortino and van der Meer 1991", "sqrt(mean(min(r, 0)², {0})), r = ln(C / C[-1])",
        partial(_mean_variance, DOWNSIDE), (24,), least=(1,), warmup=itself, lookback=itself, low=0.0,
    ),
    Formula(
        "upside_deviation", "volatility", "Sortino and van der Meer 1991", "sqrt(mean(max(r, 0)², {0})), r = ln(C / C[-1])",
        partial(_mean_variance, UPSIDE), (24,), least=(1,), warmup=itself, lookback=itself, low=0.0,
    ),
    Formula(
        "semivariance_balance", "volatility", "Barndorff-Nielsen, Kinnebrock and Shephard 2010",
        "(sum(max(r, 0)², {0}) − sum(min(r, 0)², {0})) / sum(r², {0}); 0 where nothing moved",
        partial(_variance_balance, False), (24,), warmup=itself, lookback=itself, low=-1.0, high=1.0,
    ),
    Formula(
        "range_variance_share", "volatility", "Parkinson 1980",
        "Parkinson variance / (Parkinson variance + mean(r², {0})): above ½ the bars swing more than their closes travel; ½ where nothing moved",
        partial(_variance_balance, True), (24,), warmup=itself, lookback=itself, low=0.0, high=1.0,
    ),
    Formula(
        "jump_share", "volatility", "bipower variation, Barndorff-Nielsen and Shephard 2004",
        "max(0, 1 − π/2 · mean(|r| |r[-1]|, {0} − 1) / mean(r², {0})); 0 where nothing moved",
        _jump_share, (48,), least=(3,), warmup=itself, lookback=itself, low=0.0, high=1.0,
    ),
    Formula(
        "ewma_volatility", "volatility", "RiskMetrics 1996", "sqrt(EMA(r², {0})), r = ln(C / C[-1]); 32 has nearly its decay of 0.94",
        _ewma_volatility, (32,), warmup=settled_ema, lookback=lambda n: 1, state_size=lambda n: 1, low=0.0, is_recursive=True,
    ),
    Formula(
        "volatility_of_volatility", "volatility", "coefficient of variation", "std(v, {1}) / mean(v, {1}), v = std(r, {0}); 0 where nothing moved",
        _volatility_of_volatility, (24, 48), warmup=lambda n, m: n + m - 1, lookback=lambda n, m: n + m - 1,
        low=0.0, high=lambda n, m: math.sqrt(m),
    ),
    Formula(
        "atr_ratio", "volatility", "Wilder 1978", "ATR({0}) / C",
        _atr_ratio, (14,), warmup=settled_wilder, lookback=lambda n: 1, state_size=lambda n: 1, low=0.0, is_recursive=True,
    ),
    Formula(
        "chaikin_volatility", "volatility", "Chaikin", "EMA(H − L, {0}) / its value {0} bars ago − 1; 0 where there was no range",
        _chaikin_volatility, (10,), warmup=settled_ema, state_size=lambda n: n + 1, low=-1.0, is_recursive=True,
    ),
    Formula(
        "mass_index", "volatility", "Dorsey 1992", "sum(EMA(H − L, {0}) / EMA(EMA(H − L, {0}), {0}), {1})",
        _mass_index, (9, 25), warmup=lambda n, m: settled_ema(2 * n) + m, state_size=lambda n, m: m + 1, low=0.0, is_recursive=True,
    ),
    Formula(
        "ulcer_index", "volatility", "Martin 1987", "sqrt(mean((100 C / highest(C, {0}) − 100)², {0}))",
        _ulcer_index, (14,), warmup=lambda n: 2 * n - 2, lookback=lambda n: 2 * n - 2, low=0.0, high=100.0,
    ),
)  # fmt: skip
