"""Microstructure, as far as bars show it: the cost of trading, the impact of volume and which side was the busier one.

Spread estimators are in logarithms, so they are shares of the price. Volume is the tick count, which stands for traded volume up to a factor
that no broker tells; every formula is free of that factor.
"""

from __future__ import annotations

import math

import numpy as np

from components.features.compiled import compiled
from components.features.formula import CLOSE, HIGH, LOW, SPREAD, VOLUME, Floats, Formula, Ints
from components.features.recursive import log_steps, true_range
from components.features.windows import window_deviation, window_mean

_SPREAD = frozenset({"spread"})
_VOLUME = frozenset({"volume"})


@compiled
def _spread_ratio(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    begin = max(start - int(params[0]) + 1, 0)
    window_mean(data[SPREAD, begin:stop], start - begin, int(params[0]), out[start:stop])
    for t in range(start, stop):
        out[t] = min(data[SPREAD, t] / out[t], params[0]) if out[t] != 0 else 1.0


@compiled
def _spread_cost(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    short, long = int(params[0]), int(params[1])
    begin = max(start - max(short, long) + 1, 0)
    reach, now, usual = np.empty(stop - begin), np.empty(stop - start), np.empty(stop - start)
    true_range(data, begin, stop, reach)
    window_mean(reach, start - begin, short, now)
    window_mean(reach, start - begin, long, usual)
    window_mean(data[SPREAD, begin:stop], start - begin, long, out[start:stop])
    for t in range(start, stop):
        dear, cheap = data[SPREAD, t] * usual[t - start], out[t] * now[t - start]
        out[t] = dear / (dear + cheap) if dear + cheap != 0 else 0.5


@compiled
def _roll_spread(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    bars = int(params[0])
    begin = max(start - bars, 0)
    steps = np.empty(stop - begin)
    log_steps(data, begin, stop, 1, steps)
    for t in range(start, stop):
        if origin + t < bars + 1:
            out[t] = np.nan
            continue
        new, old, product = 0.0, 0.0, 0.0
        for k in range(t - bars + 1 - begin, t + 1 - begin):
            new += steps[k]
            old += steps[k - 1]
        new, old = new / bars, old / bars
        for k in range(t - bars + 1 - begin, t + 1 - begin):
            product += (steps[k] - new) * (steps[k - 1] - old)
        out[t] = 2 * math.sqrt(max(-product / (bars - 1), 0.0))


@compiled
def _pair_spread(data: Floats, t: int) -> float:
    """Corwin and Schultz's estimate from bars t − 1 and t; bar t is moved onto the close before where it opened beyond it; never negative."""
    before = data[CLOSE, t - 1]
    moved = min(before - data[LOW, t], 0.0) + max(before - data[HIGH, t], 0.0)
    high, low = data[HIGH, t] + moved, data[LOW, t] + moved
    one, two = math.log(high / low), math.log(data[HIGH, t - 1] / data[LOW, t - 1])
    both = math.log(max(high, data[HIGH, t - 1]) / min(low, data[LOW, t - 1]))
    beta, root = one * one + two * two, 3 - 2 * math.sqrt(2.0)
    alpha = (math.sqrt(2 * beta) - math.sqrt(beta)) / root - math.sqrt(both * both / root)
    return max(2 * (math.exp(alpha) - 1) / (1 + math.exp(alpha)), 0.0)


@compiled
def _corwin_schultz(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    bars = int(params[0])
    begin = max(start - bars + 1, 0)
    pairs = np.empty(stop - begin)
    for t in range(begin, stop):
        pairs[t - begin] = _pair_spread(data, t) if t else np.nan
    window_mean(pairs, start - begin, bars, out[start:stop])


@compiled
def _abdi_ranaldo(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    bars = int(params[0])
    begin = max(start - bars + 1, 0)
    products = np.empty(stop - begin)
    for t in range(begin, stop):
        if t == 0:
            products[0] = np.nan
            continue
        before = math.log(data[CLOSE, t - 1])
        middle = (math.log(data[HIGH, t - 1]) + math.log(data[LOW, t - 1])) / 2
        products[t - begin] = (before - middle) * (before - (math.log(data[HIGH, t]) + math.log(data[LOW, t])) / 2)
    window_mean(products, start - begin, bars, out[start:stop])
    for t in range(start, stop):
        if not np.isnan(out[t]):
            out[t] = 2 * math.sqrt(max(out[t], 0.0))


@compiled
def _amihud(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    bars = int(params[0])
    begin = max(start - bars + 1, 0)
    steps = np.empty(stop - begin)
    log_steps(data, begin, stop, 1, steps)
    for t in range(start, stop):
        if origin + t < bars:
            out[t] = np.nan
            continue
        impact, volume, traded = 0.0, 0.0, 0
        for k in range(t - bars + 1, t + 1):
            if data[VOLUME, k] > 0:
                impact += abs(steps[k - begin]) / data[VOLUME, k]
                volume += data[VOLUME, k]
                traded += 1
        out[t] = impact / traded * (volume / traded) if traded else 0.0


@compiled
def _bulk(data: Floats, origin: int, start: int, stop: int, bars: int, is_signed: bool, out: Floats) -> None:
    """Bulk classification: a bar's volume is bought by the normal probability of its return, in deviations of the window."""
    begin = max(start - bars + 1, 0)
    steps, mean = np.empty(stop - begin), np.empty(stop - start)
    log_steps(data, begin, stop, 1, steps)
    window_deviation(steps, start - begin, bars, 1, mean, out[start:stop])
    for t in range(start, stop):
        if origin + t < bars:
            out[t] = np.nan
            continue
        scale, imbalance, volume = out[t] * math.sqrt(2.0), 0.0, 0.0
        for k in range(t - bars + 1, t + 1):
            side = math.erf(steps[k - begin] / scale) if scale > 0 else 0.0
            imbalance += (side if is_signed else abs(side)) * data[VOLUME, k]
            volume += data[VOLUME, k]
        out[t] = min(max(imbalance / volume, -1.0), 1.0) if volume > 0 else 0.0


@compiled
def _bulk_imbalance(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    _bulk(data, origin, start, stop, int(params[0]), True, out)


@compiled
def _vpin(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    _bulk(data, origin, start, stop, int(params[0]), False, out)


@compiled
def _tick_imbalance(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    bars = int(params[0])
    for t in range(start, stop):
        if origin + t < bars:
            out[t] = np.nan
            continue
        imbalance, volume = 0.0, 0.0
        for k in range(t - bars + 1, t + 1):
            imbalance += np.sign(data[CLOSE, k] - data[CLOSE, k - 1]) * data[VOLUME, k]
            volume += data[VOLUME, k]
        out[t] = min(max(imbalance / volume, -1.0), 1.0) if volume > 0 else 0.0


@compiled
def _kyle_lambda(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    bars = int(params[0])
    begin = max(start - bars + 1, 0)
    steps = np.empty(stop - begin)
    log_steps(data, begin, stop, 1, steps)
    for t in range(start, stop):
        if origin + t < bars:
            out[t] = np.nan
            continue
        price, signed, volume = 0.0, 0.0, 0.0
        for k in range(t - bars + 1, t + 1):
            price += steps[k - begin]
            signed += np.sign(steps[k - begin]) * data[VOLUME, k]
            volume += data[VOLUME, k]
        price, signed, volume = price / bars, signed / bars, volume / bars
        both, square = 0.0, 0.0
        for k in range(t - bars + 1, t + 1):
            flow = np.sign(steps[k - begin]) * data[VOLUME, k] - signed
            both += (steps[k - begin] - price) * flow
            square += flow * flow
        # A flow that is the same in every bar leaves but rounding of its square, and says nothing about impact.
        out[t] = both / square * volume if square > 1e-12 * bars * volume * volume else 0.0


@compiled
def _zero_return_share(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    bars = int(params[0])
    for t in range(start, stop):
        if origin + t < bars:
            out[t] = np.nan
            continue
        still = 0
        for k in range(t - bars + 1, t + 1):
            if data[CLOSE, k] == data[CLOSE, k - 1]:
                still += 1
        out[t] = still / bars


FORMULAS: tuple[Formula, ...] = (
    Formula(
        "spread_ratio", "microstructure", "relative spread", "spread / mean(spread, {0}); 1 where the mean is 0",
        _spread_ratio, (24,), least=(1,), warmup=lambda n: n - 1, lookback=lambda n: n - 1, low=0.0, high=float, needs=_SPREAD,
    ),
    Formula(
        "spread_cost", "microstructure", "relative spread and true range, Wilder 1978",
        "x / (1 + x), x = spread / mean(spread, {1}) · mean(true range, {1}) / mean(true range, {0}): dear above ½; ½ where there is neither",
        _spread_cost, (14, 120), least=(1, 1), warmup=lambda n, m: max(n, m), lookback=lambda n, m: max(n, m), low=0.0, high=1.0, needs=_SPREAD,
    ),
    Formula(
        "roll_spread", "microstructure", "Roll 1984", "2 sqrt(max(−cov(r, r[-1]), 0)) over {0} pairs of log returns",
        _roll_spread, (48,), warmup=lambda n: n + 1, lookback=lambda n: n + 1, low=0.0,
    ),
    Formula(
        "corwin_schultz", "microstructure", "Corwin and Schultz 2012",
        "mean over {0} pairs of bars of 2 (e^α − 1) / (1 + e^α), α from the highs and lows of each and of both; negative ones count as 0",
        _corwin_schultz, (24,), least=(1,), warmup=lambda n: n, lookback=lambda n: n, low=0.0, high=2.0,
    ),
    Formula(
        "abdi_ranaldo", "microstructure", "Abdi and Ranaldo 2017",
        "2 sqrt(max(mean((c[-1] − m[-1]) (c[-1] − m), {0}), 0)), c = ln C, m the middle of ln H and ln L",
        _abdi_ranaldo, (24,), least=(1,), warmup=lambda n: n, lookback=lambda n: n, low=0.0,
    ),
    Formula(
        "amihud", "microstructure", "Amihud 2002, with tick volume", "mean(|r| / V, {0}) · mean(V, {0}) over bars with volume; 0 where none has",
        _amihud, (24,), least=(1,), warmup=lambda n: n, lookback=lambda n: n, low=0.0, needs=_VOLUME,
    ),
    Formula(
        "bulk_imbalance", "microstructure", "bulk volume classification, Easley, López de Prado and O'Hara 2012",
        "sum(V (2 Φ(r / std(r, {0})) − 1), {0}) / sum(V, {0}); 0 where nothing traded or moved",
        _bulk_imbalance, (50,), warmup=lambda n: n, lookback=lambda n: n, low=-1.0, high=1.0, needs=_VOLUME,
    ),
    Formula(
        "vpin", "microstructure", "Easley, López de Prado and O'Hara 2012, over bars instead of volume buckets",
        "sum(V |2 Φ(r / std(r, {0})) − 1|, {0}) / sum(V, {0}); 0 where nothing traded or moved",
        _vpin, (50,), warmup=lambda n: n, lookback=lambda n: n, low=0.0, high=1.0, needs=_VOLUME,
    ),
    Formula(
        "tick_imbalance", "microstructure", "tick rule, Lee and Ready 1991", "sum(V sign(C − C[-1]), {0}) / sum(V, {0}); 0 where nothing traded",
        _tick_imbalance, (24,), least=(1,), warmup=lambda n: n, lookback=lambda n: n, low=-1.0, high=1.0, needs=_VOLUME,
    ),
    Formula(
        "kyle_lambda", "microstructure", "Kyle 1985, by regression on signed tick volume",
        "cov(r, q) / var(q) · mean(V), q = V sign(r), over {0} bars; 0 where q does not vary",
        _kyle_lambda, (48,), warmup=lambda n: n, lookback=lambda n: n, needs=_VOLUME,
    ),
    Formula(
        "zero_return_share", "microstructure", "Lesmond, Ogden and Trzcinka 1999", "share of {0} bars that closed where the one before did",
        _zero_return_share, (48,), least=(1,), warmup=lambda n: n, lookback=lambda n: n, low=0.0, high=1.0,
    ),
)  # fmt: skip
