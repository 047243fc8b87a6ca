"""Returns: how far the price went, in logarithms and beside its own usual steps."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from components.features.compiled import compiled
from components.features.formula import CLOSE, OPEN, Floats, Formula, Ints
from components.features.recursive import log_steps
from components.features.windows import clip, window_max, window_mean, window_min


@compiled
def _return(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    close, bars = data[CLOSE], int(params[0])
    for t in range(start, stop):
        out[t] = math.log(close[t] / close[t - bars]) if t >= bars else np.nan


@compiled
def _gap(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        out[t] = math.log(data[OPEN, t] / data[CLOSE, t - 1]) if t >= 1 else np.nan


@compiled
def _bar_return(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        out[t] = math.log(data[CLOSE, t] / data[OPEN, t])


@compiled
def _scaled(is_change: bool, data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    close, bars = data[CLOSE], int(params[0])
    window = 2 * bars if is_change else bars
    begin = max(start - window + 1, 0)
    steps = np.empty(stop - begin)
    log_steps(data, begin, stop, 1, steps)
    for i in range(stop - begin):
        steps[i] *= steps[i]
    window_mean(steps, start - begin, window, out[start:stop])
    for t in range(start, stop):
        most = window * math.sqrt(out[t])
        if t < window or most == 0:
            out[t] = 0.0 if most == 0 else np.nan
        else:
            way = math.log(close[t] / close[t - bars])
            if is_change:
                way -= math.log(close[t - bars] / close[t - window])
            out[t] = clip(way / most, -1.0, 1.0)


@compiled
def _from_extreme(is_high: bool, data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    begin = max(start - int(params[0]) + 1, 0)
    closes = data[CLOSE, begin:stop]
    if is_high:
        window_max(closes, start - begin, int(params[0]), out[start:stop])
    else:
        window_min(closes, start - begin, int(params[0]), out[start:stop])
    for t in range(start, stop):
        out[t] = math.log(data[CLOSE, t] / out[t])


@compiled
def _positive_share(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    close, begin = data[CLOSE], max(start - int(params[0]) + 1, 0)
    rises = np.empty(stop - begin)
    for t in range(begin, stop):
        rises[t - begin] = 0.5 * (1 + np.sign(close[t] - close[t - 1])) if t else np.nan
    window_mean(rises, start - begin, int(params[0]), out[start:stop])


@compiled
def _largest_share(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    begin = max(start - period + 1, 0)
    steps, mean = np.empty(stop - begin), np.empty(stop - start)
    log_steps(data, begin, stop, 1, steps)
    for i in range(stop - begin):
        steps[i] = abs(steps[i])
    window_max(steps, start - begin, period, out[start:stop])
    window_mean(steps, start - begin, period, mean)
    for t in range(start, stop):
        total = period * mean[t - start]
        out[t] = 0.0 if total == 0 else min(out[t] / total, 1.0)


@compiled
def rank_of_newest(x: Floats, before: int, period: int, out: Floats) -> None:
    """Share of the ``period − 1`` values before the newest of each window that are smaller, equal ones by half; layout as in `windows`."""
    for i in range(len(out)):
        at = before + i
        if at < period - 1:
            out[i] = np.nan
            continue
        newest, smaller, equal, larger = x[at], 0, 0, 0
        for value in x[at - period + 1 : at]:
            smaller += value < newest
            equal += value == newest
            larger += value > newest
        # Where one of them is NaN the three do not make up the window.
        out[i] = (smaller + 0.5 * equal) / (period - 1) if smaller + equal + larger == period - 1 else np.nan


@compiled
def _return_rank(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    begin = max(start - int(params[0]) + 1, 0)
    steps = np.empty(stop - begin)
    log_steps(data, begin, stop, 1, steps)
    rank_of_newest(steps, start - begin, int(params[0]), out[start:stop])


def itself(*periods: int) -> int:
    """The first period, as warm-up or lookback."""
    return periods[0]


def less_one(*periods: int) -> int:
    """The first period less one."""
    return periods[0] - 1


FORMULAS: tuple[Formula, ...] = (
    Formula("return", "return", "log return", "ln(C / C[-{0}])", _return, (1,), least=(1,), warmup=itself, lookback=itself),
    Formula("gap", "return", "log return", "ln(O / C[-1])", _gap, warmup=lambda: 1, lookback=lambda: 1),
    Formula("bar_return", "return", "log return", "ln(C / O)", _bar_return),
    Formula(
        "scaled_return", "return", "time-series momentum, Moskowitz, Ooi and Pedersen 2012",
        "ln(C / C[-{0}]) as a share of the most that {0} steps of their mean square could give; 0 where nothing moved",
        partial(_scaled, False), (24,), warmup=itself, lookback=itself, low=-1.0, high=1.0,
    ),
    Formula(
        "return_acceleration", "return", "difference of log returns",
        "ln(C / C[-{0}]) − ln(C[-{0}] / C[-2·{0}]) as a share of the most that steps of their mean square could give; 0 where nothing moved",
        partial(_scaled, True), (12,), warmup=lambda n: 2 * n, lookback=lambda n: 2 * n, low=-1.0, high=1.0,
    ),
    Formula(
        "drawdown", "return", "drawdown", "ln(C / highest(C, {0}))",
        partial(_from_extreme, True), (96,), warmup=less_one, lookback=less_one, high=0.0,
    ),
    Formula(
        "recovery", "return", "drawdown", "ln(C / lowest(C, {0}))",
        partial(_from_extreme, False), (96,), warmup=less_one, lookback=less_one, low=0.0,
    ),
    Formula(
        "positive_share", "return", "psychological line", "share of the last {0} bars whose close rose, unchanged ones by half",
        _positive_share, (24,), warmup=itself, lookback=itself, low=0.0, high=1.0,
    ),
    Formula(
        "largest_share", "return", "share of extremes", "max(|r|, {0}) / sum(|r|, {0}), r = ln(C / C[-1]); 0 where nothing moved",
        _largest_share, (24,), warmup=itself, lookback=itself, low=0.0, high=1.0,
    ),
    Formula(
        "return_rank", "return", "empirical distribution", "share of the {0} − 1 returns before that are smaller than ln(C / C[-1]), equal ones by half",
        _return_rank, (96,), warmup=itself, lookback=itself, low=0.0, high=1.0,
    ),
)  # fmt: skip
