"""Targets: what a model is asked to foresee. The label at t looks at bars after t and is known only at its end row.

Every target gives ``label``, ``value`` and ``end_row``. ``end_row`` is the last row that the label depends on: whoever stands at its close
knows the label, nobody before. Rows whose whole horizon is not there yet have no label.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.features import indicators
from components.features.compiled import compiled
from components.features.indicators import Floats, as_floats, checked_period
from components.fx import BadInput

Rows = NDArray[np.int64]


def triple_barrier(bars: pd.DataFrame, horizon_bars: int, up_atr: float, down_atr: float, atr_period: int = 14) -> pd.DataFrame:
    """Which of two prices is reached first, within a horizon.

    From the close of bar t, the upper barrier lies `up_atr` and the lower one `down_atr` average true ranges away (ATR of bar t). Bars
    t+1 … t+`horizon_bars` are looked at in order.

    Parameters
    ----------
    bars : DataFrame, shape (n, ≥ 4)
        A bars frame.
    horizon_bars : int
        Bars after t that are looked at.
    up_atr, down_atr : float
        Distances of the barriers, in average true ranges.
    atr_period : int
        Wilder's period.

    Returns
    -------
    DataFrame, shape (n, 3)
        ``label``: +1 upper barrier first, −1 lower one first, 0 neither in time; float64, NaN while the ATR warms up (the first
        `atr_period` rows) and in the last `horizon_bars` rows, also where a barrier was reached already: keeping only those that end
        early would tell that they end early. ``value``: log return from the close of bar t to the close of the end row. ``end_row``: int64
        row whose close ends the label, −1 where there is none.

    Raises
    ------
    BadInput
        If a distance is not positive or a period is not a whole number of at least 1.

    Notes
    -----
    A barrier counts as reached where high ≥ upper or low ≤ lower, on bid. A bar that opens beyond a barrier reached that one. A bar that
    reaches both inside ends the label with 0: which came first is not in the bar, and neither direction may be claimed.
    Source: López de Prado, Advances in Financial Machine Learning (2018), chapter 3.
    """
    checked_distances(up_atr=up_atr, down_atr=down_atr)
    checked_bars("horizon_bars", horizon_bars)
    checked_period(atr_period)
    opens, highs, lows, closes = price_arrays(bars)
    width = indicators.atr(highs, lows, closes, atr_period)
    label, end_row = first_touch(opens, highs, lows, closes + up_atr * width, closes - down_atr * width, horizon_bars)
    return target_frame(bars, label, closing_return(closes, end_row), end_row)


def price_arrays(bars: pd.DataFrame) -> tuple[Floats, Floats, Floats, Floats]:
    """Open, high, low and close of a bars frame, each float64 of shape (n,)."""
    opens, highs, lows, closes = (as_floats(bars[name]) for name in ("open", "high", "low", "close"))
    return opens, highs, lows, closes


def target_frame(bars: pd.DataFrame, label: Floats, value: Floats, end_row: Rows) -> pd.DataFrame:
    """What every target gives: ``label`` and ``value`` (float64, NaN where unknown) and ``end_row`` (int64, −1 where unknown), shape (n, 3)."""
    return pd.DataFrame({"label": label, "value": value, "end_row": end_row}, index=bars.index)


def checked_distances(**distances: float) -> None:
    """BadInput, naming the first distance that is not a positive number."""
    for name, value in distances.items():
        if not (np.isfinite(value) and value > 0):
            raise BadInput(name, f"{value!r} is not a positive number")


def checked_bars(name: str, bars: int, least: int = 1) -> int:
    """A number of bars, or BadInput under that name where it is not a whole number of at least `least`."""
    if isinstance(bars, bool) or not isinstance(bars, int) or bars < least:
        raise BadInput(name, f"{bars!r} is not a whole number of at least {least}")
    return bars


@compiled
def closing_return(closes: Floats, end_row: Rows) -> Floats:
    """ln(C[end] / C[t]) of every bar, shape (n,); NaN where the end row is −1."""
    out = np.full(len(closes), np.nan)
    for t in range(len(closes)):
        if end_row[t] >= 0:
            out[t] = math.log(closes[end_row[t]] / closes[t])
    return out


@compiled
def first_touch(
    opens: Floats, highs: Floats, lows: Floats, upper: Floats, lower: Floats, horizon: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Label and end row of every bar, each of shape (n,), given its two barriers."""
    rows = len(opens)
    label = np.full(rows, np.nan)
    end_row = np.full(rows, -1, dtype=np.int64)
    for t in range(rows - horizon):
        if np.isnan(upper[t]) or np.isnan(lower[t]):
            continue
        label[t] = 0.0
        end_row[t] = t + horizon
        for later in range(t + 1, t + horizon + 1):
            up, down = highs[later] >= upper[t], lows[later] <= lower[t]
            if not (up or down):
                continue
            end_row[t] = later
            if opens[later] >= upper[t] or (up and not down):
                label[t] = 1.0
            elif opens[later] <= lower[t] or (down and not up):
                label[t] = -1.0
            # else both were reached inside the bar: which came first is unknown, the label stays 0
            break
    return label, end_row
