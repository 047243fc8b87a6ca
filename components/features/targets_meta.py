"""The meta-label: given the side that a rule would take, would that trade have been won?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from components.features import indicators
from components.features.indicators import as_floats, checked_period
from components.features.target import checked_bars, checked_distances, closing_return, first_touch, price_arrays, target_frame
from components.fx import BadInput


def meta_label(bars: pd.DataFrame, side: ArrayLike, horizon_bars: int, target_atr: float, stop_atr: float, atr_period: int = 14) -> pd.DataFrame:
    """Whether a trade on a given side reaches its target before its stop, within a horizon.

    Parameters
    ----------
    bars : DataFrame, shape (n, ≥ 4)
        A bars frame.
    side : array, shape (n,)
        What a primary rule says at the close of bar t, from bars ≤ t: above 0 is long, below 0 is short; 0 and NaN are no trade.
    horizon_bars : int
        Bars after t that are looked at.
    target_atr, stop_atr : float
        Distances of target and stop from the close of bar t, in average true ranges (ATR of bar t).
    atr_period : int
        Wilder's period.

    Returns
    -------
    DataFrame, shape (n, 3)
        ``label``: 1 where the target was reached first, 0 where the stop was, or neither in time, or both inside one bar; float64, NaN where
        there is no side, while the ATR warms up, and in the last `horizon_bars` rows. ``value``: side times the log return from the close of
        bar t to the close of the end row. ``end_row``: int64 row whose close ends the label, −1 where there is none.

    Raises
    ------
    BadInput
        If there is not one side per bar, a distance is not positive, or a number of bars is not a whole number of at least 1.

    Notes
    -----
    The barriers are those of `triple_barrier`, turned upside down for a short trade. Source: López de Prado, Advances in Financial Machine
    Learning (2018), section 3.6.
    """
    checked_distances(target_atr=target_atr, stop_atr=stop_atr)
    checked_bars("horizon_bars", horizon_bars)
    checked_period(atr_period)
    sides = np.sign(as_floats(side))
    if sides.shape != (len(bars),):
        raise BadInput("side", f"has shape {sides.shape}, not one value for each of the {len(bars):,} bars")
    opens, highs, lows, closes = price_arrays(bars)
    width = np.where(np.abs(sides) > 0, indicators.atr(highs, lows, closes, atr_period), np.nan)  # no side, no barriers, no label
    up, down = np.where(sides > 0, target_atr, stop_atr), np.where(sides > 0, stop_atr, target_atr)
    touched, end_row = first_touch(opens, highs, lows, closes + up * width, closes - down * width, horizon_bars)
    label = np.where(np.isnan(touched), np.nan, (touched * sides > 0).astype(np.float64))
    return target_frame(bars, label, np.where(end_row >= 0, sides, np.nan) * closing_return(closes, end_row), end_row)
