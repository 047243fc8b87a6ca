"""Kernels run by hand: over a whole history at once, in blocks, and bar by bar from a buffer no longer than they ask for."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

from components.features.formula import Floats, Formula, Ints
from components.fx import validate_bars

COLUMNS = ("open", "high", "low", "close", "volume", "spread_points")


def matrix(bars: pd.DataFrame) -> tuple[Floats, Ints]:
    """The rows that kernels read, and the open times."""
    data = np.array([bars[name] if name in bars else np.full(len(bars), np.nan) for name in COLUMNS], dtype=np.float64)
    return np.ascontiguousarray(data), np.array(pd.DatetimeIndex(bars.index).as_unit("ms").asi8, dtype=np.int64)


def in_blocks(formula: Formula, bars: pd.DataFrame, stops: list[int], periods: tuple[int, ...] | None = None) -> Floats:
    """Values of every row, computed up to each stop in turn, each time from a buffer of `lookback` rows of history and the new ones."""
    chosen = formula.periods if periods is None else periods
    data, open_ms = matrix(bars)
    params, state = np.array(chosen, dtype=np.float64), np.zeros(formula.state_size(*chosen))
    values, done = np.full(len(bars), np.nan), 0
    for stop in stops:
        origin = max(done - formula.lookback(*chosen), 0)
        out = np.full(stop - origin, np.nan)
        part = np.ascontiguousarray(data[:, origin:stop])
        formula.kernel(part, open_ms[origin:stop].copy(), origin, done - origin, stop - origin, params, state, out)
        values[done:stop] = out[done - origin :]
        done = stop
    return values


def whole(formula: Formula, bars: pd.DataFrame, periods: tuple[int, ...] | None = None) -> Floats:
    """Values of every row in one call."""
    return in_blocks(formula, bars, [len(bars)], periods)


def bound(limit: object, periods: tuple[int, ...]) -> float:
    """A bound, as a number."""
    return float(limit(*periods)) if callable(limit) else float(limit)  # type: ignore[arg-type]


def check_formula(formula: Formula, bars: pd.DataFrame) -> None:
    """What holds for every formula: one bar at a time = blocks = whole, the warm-up is exact, values keep their bounds and forget the start."""
    values, warmup = whole(formula, bars), formula.warmup(*formula.periods)
    random = np.random.default_rng(7)
    cuts = sorted({*random.integers(1, len(bars), 30).tolist(), 1, 2, 3, len(bars)})
    np.testing.assert_array_equal(in_blocks(formula, bars, cuts), values, err_msg=f"{formula.name} in blocks")
    rows = min(len(bars), warmup + 600)
    np.testing.assert_array_equal(in_blocks(formula, bars.iloc[:rows], list(range(1, rows + 1))), values[:rows], err_msg=f"{formula.name} bar by bar")
    if not formula.is_recursive:
        assert np.isnan(values[:warmup]).all(), formula.name
    low, high = bound(formula.low, formula.periods), bound(formula.high, formula.periods)
    for frame in (bars, wild(), flat()):
        known = whole(formula, frame)[warmup:]
        assert np.isfinite(known).all(), formula.name
        assert low <= known.min() <= known.max() <= high, (formula.name, known.min(), known.max())
    for start in (37, 500, 1111, 3000):
        later, same = whole(formula, bars.iloc[start:])[warmup:], values[start + warmup :]
        if formula.is_recursive:
            assert np.abs(later - same).max() <= 1e-6 * np.nanstd(values), (formula.name, start)
        else:
            np.testing.assert_array_equal(later, same, err_msg=formula.name)


def made(close: list[float] | Floats, *, reach: float = 0.0, start: str = "2024-01-01", volume: object = 1.0, freq: str = "h") -> pd.DataFrame:
    """Bars that open where the one before closed, with `reach` beyond open and close."""
    closes = np.array(close, dtype=float)
    opens = np.concatenate((closes[:1], closes[:-1]))
    index = pd.date_range(start, periods=len(closes), freq=freq, tz="UTC")
    high, low = np.maximum(opens, closes) + reach, np.minimum(opens, closes) - reach
    frame = pd.DataFrame({"open": opens, "high": high, "low": low, "close": closes, "volume": volume, "spread_points": 3.0}, index=index)
    return validate_bars(frame)


@lru_cache(maxsize=1)
def wild() -> pd.DataFrame:
    """900 bars that jump, stand still and trade nothing."""
    random = np.random.default_rng(3)
    steps = random.choice([-0.2, -0.01, -0.0001, 0.0, 0.0, 0.0001, 0.01, 0.2], 900)
    steps[300:450] = 0.0
    volume = random.choice([0.0, 0.0, 1.0, 50.0], 900)
    return made(1.1 * np.exp(np.cumsum(steps - steps.mean())), reach=0.0, volume=volume)


@lru_cache(maxsize=1)
def flat() -> pd.DataFrame:
    """900 bars of one price and no volume."""
    return made([1.1] * 900, volume=0.0)
