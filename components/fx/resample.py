"""Longer bars from shorter ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.fx.bars import PRICE_COLUMNS
from components.fx.errors import BadInput
from components.fx.time import FX_DAY, BrokerDay, Timeframe, bar_close_ms, bar_open_ms

FEW_BARS = 5


def resample_bars(
    bars: pd.DataFrame, timeframe: Timeframe, *, day: BrokerDay = FX_DAY, include_forming: bool = False, source: Timeframe | None = None
) -> pd.DataFrame:
    """Bars of a longer timeframe from bars of a shorter one.

    Parameters
    ----------
    bars : DataFrame, shape (n, ≥ 4)
        A bars frame. Its prices are trusted; its times are checked.
    timeframe : Timeframe
        Length of the bars wanted.
    day : BrokerDay
        Where H4, D1 and W1 bars open, those given and those wanted.
    include_forming : bool
        Whether a last bar that may still grow is given too.
    source : Timeframe, optional
        Length of the bars given; else it is read off their times (the shortest step), and one bar alone counts as an M1.

    Returns
    -------
    DataFrame, shape (m, ≥ 4)
        A bars frame: first open, highest high, lowest low, last close, volumes summed, and where known the ``spread_points`` of the first
        bar given. A bar exists where at least one bar given lies in it; the first may lack its beginning. The last one is left out unless
        a bar given closes at its end, so that no bar changes later. The bar at t uses bars given that open in [t, its close).

    Raises
    ------
    BadInput
        If the frame has no prices or no increasing UTC index, or if the bars given are longer than those wanted or open at other hours.
    """
    open_ms = _open_times(bars)
    if not len(open_ms):
        return bars.copy()
    given = source or _timeframe_of(open_ms, day)
    if given.value > timeframe.value:
        raise BadInput("timeframe", f"{timeframe.name} bars cannot be made of {given.name} bars, which are longer")
    opens = bar_open_ms(open_ms, timeframe, day)
    starts = np.concatenate(([0], np.flatnonzero(opens[1:] != opens[:-1]) + 1))
    lasts = np.concatenate((starts[1:], [len(opens)])) - 1
    columns = {
        "open": bars["open"].to_numpy()[starts],
        "high": np.maximum.reduceat(bars["high"].to_numpy(), starts),
        "low": np.minimum.reduceat(bars["low"].to_numpy(), starts),
        "close": bars["close"].to_numpy()[lasts],
    }
    if "volume" in bars.columns:
        columns["volume"] = np.add.reduceat(bars["volume"].to_numpy(), starts)
    if "spread_points" in bars.columns:
        columns["spread_points"] = bars["spread_points"].to_numpy()[starts]
    index = pd.DatetimeIndex(pd.to_datetime(opens[starts], unit="ms", utc=True)).as_unit("ms").rename("open_time")
    frame = pd.DataFrame(columns, index=index)
    known_until, end = (int(bar_close_ms(times[-1:], length, day)[0]) for times, length in ((open_ms, given), (opens, timeframe)))
    return frame if include_forming or known_until >= end else frame.iloc[:-1]


def _open_times(bars: pd.DataFrame) -> NDArray[np.int64]:
    missing = [name for name in PRICE_COLUMNS if name not in bars.columns]
    if missing:
        raise BadInput("bars", f"column {missing[0]!r} is missing; needed are open, high, low, close")
    index = bars.index
    if not isinstance(index, pd.DatetimeIndex) or index.tz is None:
        raise BadInput("bars.open_time", "the index is not one of open times with a zone; validate_bars makes it so")
    open_ms: NDArray[np.int64] = index.as_unit("ms").asi8
    back = np.flatnonzero(open_ms[1:] <= open_ms[:-1])
    if len(back):
        raise BadInput("bars.open_time", f"row {int(back[0]) + 1} ({index[back[0] + 1].isoformat()}) does not come after the row before it")
    return open_ms


def _timeframe_of(open_ms: NDArray[np.int64], day: BrokerDay) -> Timeframe:
    """The longest timeframe that fits into the shortest step and at which every bar opens.

    Too short an answer only leaves the last bar out until the next one; too long an answer is possible with a handful of bars alone.
    """
    if len(open_ms) < 2:
        return Timeframe.M1
    step = int((open_ms[1:] - open_ms[:-1]).min())
    hour = Timeframe.H1.ms
    # A day or week in which the clocks go forward is an hour shorter.
    fitting = [t for t in Timeframe if t.ms <= (step + hour if t.ms > hour and step > hour else step)] or [Timeframe.M1]
    for timeframe in reversed(fitting):
        if timeframe is Timeframe.M1 or timeframe.is_aligned(open_ms, day).all():
            if timeframe.ms <= hour < fitting[-1].ms and len(open_ms) >= FEW_BARS:
                raise BadInput(
                    "day", f"the bars are at least {step // hour} hours apart and do not open with the day that turns at {day.turn_hour}:00 {day.zone}; "
                    "name the day that they open with, or their own timeframe as source"
                )  # fmt: skip
            return timeframe
    return Timeframe.M1
