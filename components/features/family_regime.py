"""Regime inputs: which kind of market this is, trending or noisy, calm or excited, and whether that has just changed."""

from __future__ import annotations

import math

import numpy as np

from components.features.compiled import compiled
from components.features.formula import CLOSE, Floats, Formula, Ints
from components.features.recursive import log_steps
from components.features.windows import window_deviation

_FLAT = 1e-12
"""Below this share of the squares a sum of squared deviations is rounding."""
_CALM, _EXCITED, _STAY = 0.75, 1.75, 0.975


@compiled
def _volatility_rank(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    # The state is a ring of the last volatilities, whose places are the rows modulo the window.
    short, long = int(params[0]), int(params[1])
    begin = max(start - short + 1, 0)
    steps, mean = np.empty(stop - begin), np.empty(stop - start)
    log_steps(data, begin, stop, 1, steps)
    window_deviation(steps, start - begin, short, 1, mean, out[start:stop])
    for t in range(start, stop):
        now = out[t]
        state[(origin + t) % long] = now
        if origin + t < short + long - 1:
            out[t] = np.nan
            continue
        below = -0.5
        for k in range(long):
            below += 1.0 if state[k] < now else 0.5 if state[k] == now else 0.0
        out[t] = below / (long - 1)


@compiled
def _high_volatility(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    bars = int(params[0])
    begin = max(start - bars + 1, 0)
    steps, mean = np.empty(stop - begin), np.empty(stop - start)
    log_steps(data, begin, stop, 1, steps)
    window_deviation(steps, start - begin, bars, 1, mean, out[start:stop])
    # State: how far the probability lies from ½, so that it begins at ½.
    for t in range(start, stop):
        if origin + t < bars:
            out[t] = np.nan
            continue
        score = steps[t - begin] / out[t] if out[t] > 0 else 0.0
        excited = 0.5 + state[0] * (2 * _STAY - 1)
        odds = _CALM / _EXCITED * math.exp(0.5 * score * score * (1 / (_CALM * _CALM) - 1 / (_EXCITED * _EXCITED)))
        out[t] = excited / (excited + (1 - excited) / odds)
        state[0] = out[t] - 0.5


@compiled
def _rescaled_range(steps: Floats, first: int, size: int) -> float:
    """Range of the centred partial sums over the deviation (Hurst 1951); 0 where nothing varies."""
    mean, squares, plain = 0.0, 0.0, 0.0
    for k in range(first, first + size):
        mean += steps[k]
    mean /= size
    total, top, bottom = 0.0, 0.0, 0.0
    for k in range(first, first + size):
        total += steps[k] - mean
        squares += (steps[k] - mean) * (steps[k] - mean)
        plain += steps[k] * steps[k]
        top, bottom = max(top, total), min(bottom, total)
    return (top - bottom) / math.sqrt(squares / size) if squares > _FLAT * plain else 0.0


@compiled
def _hurst(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    bars = int(params[0])
    begin = max(start - bars + 1, 0)
    steps = np.empty(stop - begin)
    log_steps(data, begin, stop, 1, steps)
    for t in range(start, stop):
        if origin + t < bars:
            out[t] = np.nan
            continue
        first, size, points = t - bars + 1 - begin, bars, 0
        x, y, xx, xy = 0.0, 0.0, 0.0, 0.0
        while size >= 8:
            total, counted = 0.0, 0
            for part in range(bars // size):
                ratio = _rescaled_range(steps, first + part * size, size)
                if ratio > 0:
                    total += ratio
                    counted += 1
            if counted:
                length, reach = math.log(float(size)), math.log(total / counted)
                points += 1
                x, y, xx, xy = x + length, y + reach, xx + length * length, xy + length * reach
            size //= 2
        spread = points * xx - x * x
        out[t] = min(max((points * xy - x * y) / spread, 0.0), 1.0) if points > 1 else 0.5


@compiled
def _variance_ratio(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    span, bars = int(params[0]), int(params[1])
    begin = max(start - bars, 0)
    logs = np.empty(stop - begin)
    for t in range(begin, stop):
        logs[t - begin] = math.log(data[CLOSE, t])
    for t in range(start, stop):
        if origin + t < bars:
            out[t] = np.nan
            continue
        if span >= bars:
            out[t] = 1.0
            continue
        first, last = t - bars - begin, t - begin
        mean, one, many, plain = (logs[last] - logs[first]) / bars, 0.0, 0.0, 0.0
        for k in range(first + 1, last + 1):
            step = logs[k] - logs[k - 1]
            one += (step - mean) * (step - mean)
            plain += step * step
        for k in range(first + span, last + 1):
            step = logs[k] - logs[k - span] - span * mean
            many += step * step
        usual, wide = one / (bars - 1), many / (span * (bars - span + 1) * (1 - span / bars))
        out[t] = wide / usual if one > _FLAT * plain else 1.0


@compiled
def _cusum(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    bars = int(params[0])
    begin = max(start - bars + 1, 0)
    steps = np.empty(stop - begin)
    log_steps(data, begin, stop, 1, steps)
    for t in range(start, stop):
        if origin + t < bars:
            out[t] = np.nan
            continue
        first, last = t - bars + 1 - begin, t + 1 - begin
        mean, squares, plain, total, widest = 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(first, last):
            mean += steps[k]
        mean /= bars
        for k in range(first, last):
            total += steps[k] - mean
            squares += (steps[k] - mean) * (steps[k] - mean)
            plain += steps[k] * steps[k]
            if abs(total) > abs(widest):
                widest = total
        # A sum that dips below its end before a late rise is a change upwards: the sign is turned.
        limit = math.sqrt(float(bars)) / 2
        out[t] = min(max(-widest / math.sqrt(squares), -limit), limit) if squares > _FLAT * plain else 0.0


@compiled
def _variance_cusum(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    bars = int(params[0])
    begin = max(start - bars + 1, 0)
    steps = np.empty(stop - begin)
    log_steps(data, begin, stop, 1, steps)
    for t in range(start, stop):
        if origin + t < bars:
            out[t] = np.nan
            continue
        first, last = t - bars + 1 - begin, t + 1 - begin
        squares, total, widest = 0.0, 0.0, 0.0
        for k in range(first, last):
            squares += steps[k] * steps[k]
        if squares == 0:
            out[t] = 0.0
            continue
        for k in range(first, last):
            total += steps[k] * steps[k]
            apart = total / squares - (k - first + 1) / bars
            if abs(apart) > abs(widest):
                widest = apart
        out[t] = -widest * math.sqrt(bars / 2)


@compiled
def _permutation_entropy(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    bars = int(params[0])
    close = data[CLOSE]
    counts = np.empty(8)
    for t in range(start, stop):
        if origin + t < bars - 1:
            out[t] = np.nan
            continue
        counts[:] = 0.0
        for k in range(t - bars + 3, t + 1):
            # Three comparisons tell the six orders apart; equal closes count in the order of time.
            order = (close[k] < close[k - 1]) * 4 + (close[k] < close[k - 2]) * 2 + (close[k - 1] < close[k - 2])
            counts[order] += 1.0
        entropy = 0.0
        for count in counts:
            if count > 0:
                entropy -= count / (bars - 2) * math.log(count / (bars - 2))
        out[t] = min(max(entropy / math.log(6.0), 0.0), 1.0)


FORMULAS: tuple[Formula, ...] = (
    Formula(
        "volatility_rank", "regime", "percentile rank", "share of the {1} − 1 bars before whose std(r, {0}) is below this one's, equal ones by half",
        _volatility_rank, (24, 240), warmup=lambda n, m: n + m - 1, lookback=lambda n, m: n, state_size=lambda n, m: m, low=0.0, high=1.0,
    ),
    Formula(
        "high_volatility", "regime", "two-state filter, Hamilton 1989",
        "probability of the excited state given r ≤ t: deviations of 0.75 and 1.75 times std(r, {0}), staying with 0.975",
        _high_volatility, (120,), warmup=lambda n: n + 320, lookback=lambda n: n, state_size=lambda n: 1, low=0.0, high=1.0, is_recursive=True,
    ),
    Formula(
        "hurst", "regime", "rescaled range, Hurst 1951, Mandelbrot and Wallis 1969",
        "slope of ln(R / S) on ln(length), lengths {0}, half of it … down to 8 returns, within 0 and 1; ½ where nothing moved",
        _hurst, (128,), least=(16,), warmup=lambda n: n, lookback=lambda n: n, low=0.0, high=1.0,
    ),
    Formula(
        "variance_ratio", "regime", "Lo and MacKinlay 1988",
        "var of {0}-bar log returns / ({0} var of one-bar ones), overlapping and unbiased, over {1} bars; 1 where nothing varied",
        _variance_ratio, (4, 120), warmup=lambda q, n: n, lookback=lambda q, n: n, low=0.0,
    ),
    Formula(
        "cusum", "regime", "CUSUM, Brown, Durbin and Evans 1975",
        "largest centred partial sum of r over std(r, {0}) sqrt({0}); above 0 where the later returns are the higher ones; 0 where nothing varied",
        _cusum, (120,), warmup=lambda n: n, lookback=lambda n: n, low=lambda n: -math.sqrt(n) / 2, high=lambda n: math.sqrt(n) / 2,
    ),
    Formula(
        "variance_cusum", "regime", "Inclán and Tiao 1994",
        "largest distance of the partial sums of r² from an even rise, times sqrt({0} / 2); above 0 where the later variance is the higher one",
        _variance_cusum, (120,), warmup=lambda n: n, lookback=lambda n: n, low=lambda n: -math.sqrt(n / 2), high=lambda n: math.sqrt(n / 2),
    ),
    Formula(
        "permutation_entropy", "regime", "Bandt and Pompe 2002", "entropy of the orders of three closes in a row over {0} bars, 1 where all are as frequent",
        _permutation_entropy, (48,), least=(3,), warmup=lambda n: n - 1, lookback=lambda n: n - 1, low=0.0, high=1.0,
    ),
)  # fmt: skip
