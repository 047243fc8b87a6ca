"""Recorded bars as a stream of ticks. The path inside a bar is synthetic; its open, high, low and close are real."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.fx import BadInput, Instrument, Timeframe


class TickPath(NamedTuple):
    """Ticks of all bars in order, and where each bar begins.

    time_ms : int64, shape (n,) — epoch milliseconds UTC
    bid, ask : float64, shape (n,)
    starts : int64, shape (bars + 1,) — bar k holds ticks ``starts[k]`` to ``starts[k + 1]`` (excluded)
    """

    time_ms: NDArray[np.int64]
    bid: NDArray[np.float64]
    ask: NDArray[np.float64]
    starts: NDArray[np.int64]


def ticks_of_bars(bars: pd.DataFrame, instrument: Instrument, timeframe: Timeframe, *, spread_points: float, step_points: float) -> TickPath:
    """Walk through every bar: open, the nearer extreme first for its direction, the other extreme, close.

    Parameters
    ----------
    bars : DataFrame, shape (n, ≥ 4)
        A bars frame; its own `spread_points` are used where it has them.
    instrument : Instrument
    timeframe : Timeframe
        Length of the bars; ticks are spread evenly over it.
    spread_points : float
        Spread where the bars have none, in points.
    step_points : float
        Largest bid change from tick to tick inside a bar, in points; 0 gives the four corner prices only.

    Returns
    -------
    TickPath
        A rising bar goes low first, a falling bar high first. The first tick of a bar carries its open time.

    Raises
    ------
    BadInput
        If `step_points` is negative.
    """
    if step_points < 0:
        raise BadInput("step_points", f"{step_points} is negative")
    rows = bars[["open", "high", "low", "close"]].to_numpy(dtype=np.float64)
    spreads = bars["spread_points"].to_numpy(dtype=np.float64) if "spread_points" in bars.columns else np.full(len(bars), float(spread_points))
    open_ms = pd.DatetimeIndex(bars.index).as_unit("ms").asi8
    times, bids, asks, starts = [], [], [], [0]
    for (o, h, low, c), spread, start_ms in zip(rows, spreads, open_ms, strict=True):
        corners = [o, low, h, c] if c >= o else [o, h, low, c]
        path = np.round(np.array(_walk(corners, step_points * instrument.point)), instrument.digits)
        bids.append(path)
        asks.append(np.round(path + spread * instrument.point, instrument.digits))
        times.append(start_ms + np.arange(len(path), dtype=np.int64) * (timeframe.ms - 1) // len(path))
        starts.append(starts[-1] + len(path))
    if not times:
        empty = np.empty(0)
        return TickPath(np.empty(0, dtype=np.int64), empty, empty, np.array([0], dtype=np.int64))
    return TickPath(np.concatenate(times), np.concatenate(bids), np.concatenate(asks), np.array(starts, dtype=np.int64))


def _walk(corners: list[float], step: float) -> list[float]:
    path = [corners[0]]
    for target in corners[1:]:
        distance = target - path[-1]
        pieces = max(1, int(np.ceil(abs(distance) / step - 1e-9))) if step > 0 and distance else 1
        first = path[-1]
        path.extend(first + distance * i / pieces for i in range(1, pieces + 1))
    return path
