"""The forward return: where the price stands after a fixed number of bars."""

from __future__ import annotations

import numpy as np
import pandas as pd

from components.features import indicators
from components.features.indicators import checked_period
from components.features.target import checked_bars, closing_return, price_arrays, target_frame
from components.fx import BadInput


def forward_return(bars: pd.DataFrame, horizon_bars: int, threshold_atr: float = 0.5, atr_period: int = 14) -> pd.DataFrame:
    """Whether the price has moved far after a fixed number of bars, and how far.

    Parameters
    ----------
    bars : DataFrame, shape (n, ≥ 4)
        A bars frame.
    horizon_bars : int
        Bars from the close of bar t to the close that is looked at.
    threshold_atr : float
        Average true ranges (ATR of bar t) that the price must have moved by more than; 0 asks for the sign alone.
    atr_period : int
        Wilder's period.

    Returns
    -------
    DataFrame, shape (n, 3)
        ``label``: +1 where the close of bar t + `horizon_bars` lies more than the threshold above the close of bar t, −1 where it lies more
        than that below, else 0. ``value``: the log return between the two closes. ``end_row``: int64, t + `horizon_bars`. NaN, NaN and −1
        while the ATR warms up (the first `atr_period` rows) and in the last `horizon_bars` rows.

    Raises
    ------
    BadInput
        If the threshold is negative or not finite, or a number of bars is not a whole number of at least 1.
    """
    if not (np.isfinite(threshold_atr) and threshold_atr >= 0):
        raise BadInput("threshold_atr", f"{threshold_atr!r} is not zero or a positive number")
    checked_bars("horizon_bars", horizon_bars)
    checked_period(atr_period)
    _, highs, lows, closes = price_arrays(bars)
    width = indicators.atr(highs, lows, closes, atr_period)
    rows = np.arange(len(closes), dtype=np.int64)
    end_row = np.where(np.isfinite(width) & (rows + horizon_bars < len(closes)), rows + horizon_bars, -1)
    known = end_row >= 0
    label = np.full(len(closes), np.nan)
    move = closes[end_row[known]] - closes[known]
    label[known] = np.where(np.abs(move) > threshold_atr * width[known], np.sign(move), 0.0)
    return target_frame(bars, label, closing_return(closes, end_row), end_row)
