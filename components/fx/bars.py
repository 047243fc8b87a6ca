"""The bars frame: validated once at the door, trusted inside."""

from __future__ import annotations

import numpy as np
import pandas as pd

from components.fx.errors import BadInput

PRICE_COLUMNS = ("open", "high", "low", "close")
BAR_COLUMNS = (*PRICE_COLUMNS, "volume")


def validate_bars(bars: pd.DataFrame) -> pd.DataFrame:
    """Check that a frame is a bars frame, and give it back in canonical form.

    Parameters
    ----------
    bars : DataFrame, shape (n, ≥ 4)
        Aware DatetimeIndex of open times; columns ``open high low close`` (bid) and, where known, ``volume`` (tick count) and
        ``spread_points``.

    Returns
    -------
    DataFrame
        UTC index named ``open_time`` in milliseconds, float64 columns, ``volume`` filled with 0 where absent.

    Raises
    ------
    BadInput
        Naming the first thing that is wrong and where: a missing column, a naive, missing or repeated time, something that is not a
        number, a price that is not positive and finite, a high below the open, close or low, a volume or spread below zero.
    """
    missing = [name for name in PRICE_COLUMNS if name not in bars.columns]
    if missing:
        raise BadInput("bars", f"column {missing[0]!r} is missing; needed are open, high, low, close")
    index = bars.index
    if not isinstance(index, pd.DatetimeIndex):
        raise BadInput("bars.open_time", f"the index is {type(index).__name__}, not a DatetimeIndex of open times")
    if index.tz is None:
        raise BadInput("bars.open_time", "the times have no zone; localise them to UTC first")
    index = index.tz_convert("UTC").as_unit("ms").rename("open_time")
    if index.hasnans:
        raise BadInput("bars.open_time", f"row {int(np.argmax(index.isna()))} has no time")
    steps = np.diff(index.asi8)
    if (steps <= 0).any():
        at = int(np.argmax(steps <= 0)) + 1
        raise BadInput("bars.open_time", f"row {at} ({index[at].isoformat()}) does not come after the row before it")
    columns = [name for name in (*BAR_COLUMNS, "spread_points") if name in bars.columns]
    frame = pd.DataFrame({name: _numbers(bars, name) for name in columns}, index=index)
    if "volume" not in frame.columns:
        frame["volume"] = 0.0
    for name in PRICE_COLUMNS:
        bad = ~(np.isfinite(frame[name].to_numpy()) & (frame[name].to_numpy() > 0))
        _refuse_first(bad, frame, name, "is not a positive price")
    low, high = frame["low"].to_numpy(), frame["high"].to_numpy()
    _refuse_first(low > high, frame, "low", "is above the bar's high")
    for name in ("open", "close"):
        _refuse_first((frame[name].to_numpy() > high) | (frame[name].to_numpy() < low), frame, name, "lies outside the bar's low and high")
    for name in ("volume", "spread_points"):
        if name in frame.columns:
            values = frame[name].to_numpy()
            _refuse_first(~(np.isfinite(values) & (values >= 0)), frame, name, "is not zero or more")
    return frame


def _numbers(bars: pd.DataFrame, column: str) -> np.ndarray:
    if list(bars.columns).count(column) > 1:
        raise BadInput(f"bars.{column}", "the column is there twice")
    try:
        return bars[column].to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    except (TypeError, ValueError) as error:
        raise BadInput(f"bars.{column}", f"holds something that is not a number: {error}") from None


def _refuse_first(bad: np.ndarray, frame: pd.DataFrame, column: str, problem: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        value = frame[column].to_numpy()[row]
        raise BadInput(f"bars.{column}", f"{value} at row {row} ({frame.index[row].isoformat()}) {problem}")
