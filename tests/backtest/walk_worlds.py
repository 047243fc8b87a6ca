"""Bars with and without an edge, kept as bar sets, for the tests of walk-forwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.backtest.store import BacktestStore
from components.fx import Timeframe, validate_bars
from components.pipeline import keep_bars

FAST_TO_WARM = {"atr_period": 5}
"""Parameters with which `sma_cross` needs a hundred bars of history, not three hundred."""


def walk_bars(rows: int, seed: int, drift: float = 0.0) -> pd.DataFrame:
    """Hourly bars of a random walk; with `drift` (in standard deviations per bar) it has trends of 60 bars on average."""
    draw = np.random.default_rng(seed)
    size = 0.0012
    side = np.where(np.cumsum(draw.random(rows) < 1 / 60) % 2 == 0, 1, -1)
    close = 1.2 * np.exp(np.cumsum(size * (draw.standard_normal(rows) + drift * side)))
    opened = np.concatenate(([1.2], close[:-1]))
    wick = np.abs(draw.standard_normal((2, rows))) * size / 2
    index = pd.date_range("2020-01-06", periods=rows, freq="h", tz="UTC", name="open_time").as_unit("ms")
    high, low = np.maximum(opened, close) * (1 + wick[0]), np.minimum(opened, close) * (1 - wick[1])
    return validate_bars(pd.DataFrame({"open": opened, "high": high, "low": low, "close": close, "volume": np.full(rows, 100.0)}, index=index))


def scrambled_from(bars: pd.DataFrame, row: int) -> pd.DataFrame:
    """The same bars up to a row, another history from it on."""
    other = walk_bars(len(bars), 99_991).iloc[row:]
    scale = float(bars["close"].iloc[row - 1]) / float(other["open"].iloc[0])
    changed = bars.copy()
    for name in ("open", "high", "low", "close"):
        changed.loc[changed.index[row:], name] = other[name].to_numpy() * scale
    return validate_bars(changed)


def kept(home: Path, bars: pd.DataFrame, timeframe: Timeframe = Timeframe.H1) -> str:
    """Id of the bar set that holds these bars."""
    return keep_bars(home, "made", "EURUSD", timeframe, bars, 100.0, {}).id


def tables(home: Path, study_id: str) -> dict[str, pd.DataFrame]:
    """The tables of a study by name."""
    studies = BacktestStore.open(home).studies
    return {name: studies.frame(study_id, name) for name in studies.frames(study_id)}


def without_clock(result: dict[str, Any]) -> dict[str, Any]:
    """A result without what a second run cannot repeat."""
    return {name: value for name, value in result.items() if name not in ("seconds", "code_versions")}
