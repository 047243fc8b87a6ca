"""From ticks to bars: the same bars, whether the ticks come all at once or one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from components.fx import BadInput, Timeframe, bar_open_ms

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bar:
    """One bar: `open_ms` in epoch milliseconds UTC, bid prices, `volume` in ticks, `spread_points` of its first tick."""

    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    spread_points: float


class BarBuilder:
    """Turns ticks into bars of one symbol as they arrive.

    A bar closes when the first tick of a later bar arrives; bars without ticks do not exist. A tick that is older than the newest one
    seen is left out and counted in `late`, so that a closed bar never changes. A tick with the time, bid and ask of the one taken before it
    is the same tick delivered twice: it says nothing new, is left out of the volume and counted in `duplicates`.

    Parameters
    ----------
    timeframe : Timeframe
        Length of the bars; H4, D1 and W1 open with the FX day.
    point : float
        Smallest price difference of the symbol, in which the spread is counted.
    """

    def __init__(self, timeframe: Timeframe, point: float) -> None:
        if not (np.isfinite(point) and point > 0):
            raise BadInput("point", f"{point!r} is not a positive number")
        self.timeframe = timeframe
        self.point = point
        self.forming: Bar | None = None
        self.newest_ms: int | None = None
        self.late = 0
        self.duplicates = 0
        self._newest: tuple[float, float] | None = None

    def add(self, times_ms: ArrayLike, bid: ArrayLike, ask: ArrayLike) -> list[Bar]:
        """Take in ticks and give the bars that they closed, oldest first.

        Parameters
        ----------
        times_ms : array of int, shape (n,), or one int
            Epoch milliseconds UTC.
        bid, ask : array, shape (n,), or one number
            Prices in profit currency.

        Raises
        ------
        BadInput
            Naming the first tick that is wrong, before any of them is taken in.
        """
        times, bids, asks = checked_ticks(times_ms, bid, ask)
        if not len(times):
            return []
        before = np.maximum.accumulate(times) if self.newest_ms is None else np.maximum(np.maximum.accumulate(times), self.newest_ms)
        in_order = times >= before
        self.late += int((~in_order).sum())
        times, bids, asks = times[in_order], bids[in_order], asks[in_order]
        if not len(times):
            return []
        is_new = np.concatenate(([True], (times[1:] != times[:-1]) | (bids[1:] != bids[:-1]) | (asks[1:] != asks[:-1])))
        is_new[0] = times[0] != self.newest_ms or (bids[0], asks[0]) != self._newest
        self.duplicates += int((~is_new).sum())
        self.newest_ms, self._newest = int(before[-1]), (float(bids[-1]), float(asks[-1]))
        bars = _group(times[is_new], bids[is_new], asks[is_new], self.timeframe, self.point)
        if not bars:
            return []
        if self.forming is not None:
            bars = [_joined(self.forming, bars[0]), *bars[1:]] if bars[0].open_ms == self.forming.open_ms else [self.forming, *bars]
        self.forming = bars[-1]
        return bars[:-1]


def bars_from_ticks(
    times_ms: ArrayLike, bid: ArrayLike, ask: ArrayLike, timeframe: Timeframe, point: float, *, include_forming: bool = False
) -> pd.DataFrame:
    """Bars of a whole array of ticks, equal to what a `BarBuilder` gives for the same ticks in any portions.

    Parameters
    ----------
    times_ms, bid, ask : array, shape (n,)
        Ticks: epoch milliseconds UTC, prices in profit currency. A tick that is older than one before it is left out, and so is one that
        repeats the one before it.
    timeframe : Timeframe
        Length of the bars.
    point : float
        Smallest price difference of the symbol.
    include_forming : bool
        Whether the last bar, which no later tick has closed, is given too.

    Returns
    -------
    DataFrame
        A bars frame: bid prices, ``volume`` in ticks, ``spread_points`` of each bar's first tick.

    Raises
    ------
    BadInput
        Naming the first tick that is wrong.
    """
    builder = BarBuilder(timeframe, point)
    bars = builder.add(times_ms, bid, ask)
    if include_forming and builder.forming is not None:
        bars.append(builder.forming)
    return frame_of_bars(bars)


def frame_of_bars(bars: Sequence[Bar]) -> pd.DataFrame:
    """A bars frame of built bars, in their order."""
    index = pd.DatetimeIndex(pd.to_datetime([bar.open_ms for bar in bars], unit="ms", utc=True)).as_unit("ms").rename("open_time")
    names = ("open", "high", "low", "close", "volume", "spread_points")
    return pd.DataFrame({name: np.array([getattr(bar, name) for bar in bars], dtype=np.float64) for name in names}, index=index)


def checked_ticks(times_ms: ArrayLike, bid: ArrayLike, ask: ArrayLike) -> tuple[Ints, Floats, Floats]:
    """Ticks as arrays: epoch milliseconds UTC, bid and ask, shape (n,) each, n = 1 for single numbers; `BadInput` names the first wrong one."""
    times = np.atleast_1d(np.asarray(times_ms))
    if len(times) and times.dtype.kind not in "iu":
        raise BadInput("ticks.time_ms", f"times are {times.dtype}, not whole epoch milliseconds")
    bids, asks = (np.atleast_1d(np.asarray(values, dtype=np.float64)) for values in (bid, ask))
    if not len(times) == len(bids) == len(asks):
        raise BadInput("ticks", f"{len(times)} times, {len(bids)} bids and {len(asks)} asks differ in number")
    for name, bad in (("bid", ~(np.isfinite(bids) & (bids > 0))), ("ask", ~(np.isfinite(asks) & (asks >= bids)))):
        if bad.any():
            at = int(np.argmax(bad))
            problem = "is not a positive price" if name == "bid" else f"is not a price of at least the bid {bids[at]}"
            raise BadInput(f"ticks.{at}.{name}", f"{(bids if name == 'bid' else asks)[at]} {problem}")
    return times.astype(np.int64), bids, asks


def _group(times: Ints, bids: Floats, asks: Floats, timeframe: Timeframe, point: float) -> list[Bar]:
    if not len(times):
        return []
    opens = bar_open_ms(times, timeframe)
    starts = np.concatenate(([0], np.flatnonzero(np.diff(opens)) + 1))
    counts = np.diff(np.concatenate((starts, [len(times)])))
    highs, lows = np.maximum.reduceat(bids, starts), np.minimum.reduceat(bids, starts)
    # Prices are decimals in binary floats: six decimals of a point hide their rounding and nothing else.
    spreads = np.round((asks[starts] - bids[starts]) / point, 6)
    columns = (opens[starts], bids[starts], highs, lows, bids[starts + counts - 1], counts.astype(np.float64), spreads)
    return [Bar(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]


def _joined(first: Bar, more: Bar) -> Bar:
    return Bar(
        first.open_ms, first.open, max(first.high, more.high), min(first.low, more.low), more.close, first.volume + more.volume, first.spread_points
    )
