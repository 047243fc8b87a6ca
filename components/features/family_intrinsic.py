"""Intrinsic time: the market's own clock, which ticks at turns of a given size instead of at minutes.

A directional change is confirmed when the close has come back from the extreme of the current run by a threshold, here a multiple of the
mean true range, so that it means the same on every timeframe and at every price. What follows until the next one is the overshoot. Sources:
Guillaume and others, From the bird's eye to the microscope (1997); Glattfelder, Dupuis and Olsen, Patterns in high-frequency FX data (2011).

The machine remembers its run. Two that began at different bars agree for ever from the first turn that both confirm at the same bar; the
warm-up is long enough for several turns. Before its first turn the side is 0.
"""

from __future__ import annotations

import numpy as np

from components.features.compiled import compiled
from components.features.formula import CLOSE, Floats, Formula, Ints
from components.features.recursive import true_range
from components.features.windows import window_mean

_SIDE, _EXTREME, _BEGUN_AT, _CONFIRMED_AT, _AGE, _HIGHEST, _LOWEST, _STARTED = range(8)
_SIZE = 8


@compiled
def _confirm(state: Floats, side: float, close: float, begun_at: float) -> None:
    state[_SIDE], state[_EXTREME], state[_BEGUN_AT], state[_CONFIRMED_AT], state[_AGE] = side, close, begun_at, close, 0.0


@compiled
def _advance(state: Floats, close: float, threshold: float) -> bool:
    """Show the machine the next close; whether a turn was confirmed at it."""
    if state[_STARTED] == 0:
        state[_STARTED] = 1.0
        state[_EXTREME] = state[_BEGUN_AT] = state[_CONFIRMED_AT] = state[_HIGHEST] = state[_LOWEST] = close
        return False
    state[_AGE] += 1
    side = state[_SIDE]
    if side == 0:
        state[_HIGHEST], state[_LOWEST] = max(state[_HIGHEST], close), min(state[_LOWEST], close)
        rise, fall = close - state[_LOWEST], state[_HIGHEST] - close
        if rise > 0 and rise >= threshold:
            _confirm(state, 1.0, close, state[_LOWEST])
            return True
        if fall > 0 and fall >= threshold:
            _confirm(state, -1.0, close, state[_HIGHEST])
            return True
        return False
    back = (state[_EXTREME] - close) * side
    if back <= 0:
        state[_EXTREME] = close
    elif back >= threshold:
        _confirm(state, -side, close, state[_EXTREME])
        return True
    return False


@compiled
def _thresholds(data: Floats, start: int, stop: int, params: Floats, out: Floats) -> None:
    """The multiple of the mean true range of every row, in price units; NaN where the window is not whole."""
    begin = max(start - int(params[1]) + 1, 0)
    reach = np.empty(stop - begin)
    true_range(data, begin, stop, reach)
    window_mean(reach, start - begin, int(params[1]), out[start:stop])
    for t in range(start, stop):
        out[t] *= params[0]


@compiled
def _dc_side(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    _thresholds(data, start, stop, params, out)
    for t in range(start, stop):
        if not np.isnan(out[t]):
            _advance(state, data[CLOSE, t], out[t])
            out[t] = state[_SIDE]


@compiled
def _dc_age(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    _thresholds(data, start, stop, params, out)
    for t in range(start, stop):
        if not np.isnan(out[t]):
            _advance(state, data[CLOSE, t], out[t])
            out[t] = state[_AGE]


@compiled
def _dc_overshoot(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    _thresholds(data, start, stop, params, out)
    for t in range(start, stop):
        if not np.isnan(out[t]):
            _advance(state, data[CLOSE, t], out[t])
            out[t] = (state[_EXTREME] - state[_CONFIRMED_AT]) * state[_SIDE] / out[t] if out[t] > 0 else 0.0


@compiled
def _dc_move(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    _thresholds(data, start, stop, params, out)
    for t in range(start, stop):
        if not np.isnan(out[t]):
            _advance(state, data[CLOSE, t], out[t])
            out[t] = (state[_EXTREME] - state[_BEGUN_AT]) / out[t] if out[t] > 0 else 0.0


@compiled
def _dc_retracement(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    _thresholds(data, start, stop, params, out)
    for t in range(start, stop):
        if not np.isnan(out[t]):
            _advance(state, data[CLOSE, t], out[t])
            out[t] = (state[_EXTREME] - data[CLOSE, t]) * state[_SIDE] / out[t] if out[t] > 0 else 0.0


@compiled
def _dc_events(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    # Behind the machine the state holds the count, and a ring of flags whose places are the rows modulo the window.
    bars = int(params[2])
    _thresholds(data, start, stop, params, out)
    for t in range(start, stop):
        place = _SIZE + 1 + (origin + t) % bars
        state[_SIZE] -= state[place]
        state[place] = 0.0
        if not np.isnan(out[t]):
            if _advance(state, data[CLOSE, t], out[t]):
                state[place] = 1.0
                state[_SIZE] += 1
            out[t] = state[_SIZE]


def _settled(multiple: int, bars: int) -> int:
    """Rows until two starts agree: a turn takes about as many bars as the square of its size in ranges."""
    return bars + 60 * multiple * multiple


def _settled_count(multiple: int, bars: int, window: int) -> int:
    return _settled(multiple, bars) + window


_SOURCE = "directional change, Guillaume and others 1997"
_THRESHOLD = "with a threshold of {0} mean true ranges of {1} bars"
FORMULAS: tuple[Formula, ...] = (
    Formula(
        "dc_side", "intrinsic", _SOURCE, f"1 in a rising run, −1 in a falling one, from the turn's confirmation on, {_THRESHOLD}",
        _dc_side, (3, 24), least=(1, 1), warmup=_settled, lookback=lambda k, n: n, state_size=lambda k, n: _SIZE,
        low=-1.0, high=1.0, is_recursive=True,
    ),
    Formula(
        "dc_age", "intrinsic", _SOURCE, f"bars since the last turn was confirmed, {_THRESHOLD}",
        _dc_age, (3, 24), least=(1, 1), warmup=_settled, lookback=lambda k, n: n, state_size=lambda k, n: _SIZE, low=0.0, is_recursive=True,
    ),
    Formula(
        "dc_overshoot", "intrinsic", "Glattfelder, Dupuis and Olsen 2011",
        f"how far the run's extreme lies beyond the close that confirmed it, in thresholds, {_THRESHOLD}; 0 where nothing moves",
        _dc_overshoot, (3, 24), least=(1, 1), warmup=_settled, lookback=lambda k, n: n, state_size=lambda k, n: _SIZE,
        low=0.0, is_recursive=True,
    ),
    Formula(
        "dc_move", "intrinsic", "total move, Tsang and others 2017",
        f"from the extreme of the run before to this run's, in thresholds, {_THRESHOLD}; below 0 in a falling one, 0 where nothing moves",
        _dc_move, (3, 24), least=(1, 1), warmup=_settled, lookback=lambda k, n: n, state_size=lambda k, n: _SIZE, is_recursive=True,
    ),
    Formula(
        "dc_retracement", "intrinsic", _SOURCE, f"part of the way from the run's extreme to the next turn, {_THRESHOLD}; 0 where nothing moves",
        _dc_retracement, (3, 24), least=(1, 1), warmup=_settled, lookback=lambda k, n: n, state_size=lambda k, n: _SIZE,
        low=0.0, high=1.0, is_recursive=True,
    ),
    Formula(
        "dc_events", "intrinsic", "Glattfelder, Dupuis and Olsen 2011", f"turns confirmed in the last {{2}} bars, {_THRESHOLD}",
        _dc_events, (3, 24, 120), least=(1, 1, 1), warmup=_settled_count, lookback=lambda k, n, m: n, state_size=lambda k, n, m: _SIZE + 1 + m,
        low=0.0, high=lambda k, n, m: float(m), is_recursive=True,
    ),
)  # fmt: skip
