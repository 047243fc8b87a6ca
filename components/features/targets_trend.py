"""The trend scan: the clearest straight line through the bars that follow."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.features.compiled import compiled
from components.features.indicators import Floats
from components.features.target import checked_bars, price_arrays, target_frame
from components.fx import BadInput

CLOSEST_FIT = 1e-12
"""Least share of the variance that counts as unexplained: below it there is only rounding, and a t value would be noise without bound."""


def trend_scan(bars: pd.DataFrame, min_bars: int, max_bars: int) -> pd.DataFrame:
    """The direction of the most significant linear trend that begins at each bar.

    For every length L from `min_bars` to `max_bars` a straight line is fitted to the log closes of bars t … t + L (L + 1 points); the
    length whose slope has the largest absolute t value is taken, the shortest of equals.

    Parameters
    ----------
    bars : DataFrame, shape (n, ≥ 4)
        A bars frame.
    min_bars, max_bars : int
        Shortest and longest trend, in bars after t.

    Returns
    -------
    DataFrame, shape (n, 4)
        ``label``: sign of that slope (+1, −1; 0 where nothing moved), ``value``: its t value, bounded by 1e6 times the root of L − 1,
        ``end_row``: int64, t + `max_bars`: the label rests on all lengths, also where a shorter one was the clearest; ``trend_bars``: that
        length L, int64. In the last `max_bars` rows NaN, NaN, −1 and −1.

    Raises
    ------
    BadInput
        If `min_bars` is less than 2 or `max_bars` less than `min_bars`, or one is not a whole number.

    Notes
    -----
    Each longer line is had from the shorter one in constant time: means and co-moments are updated (Welford 1962), which does not cancel as
    running sums of squares would. Source: López de Prado, Machine Learning for Asset Managers (2020), section 5.4; there ``end_row`` is the
    end of the chosen trend, which nobody knows to be the clearest before the longest one has ended.
    """
    checked_bars("min_bars", min_bars, least=2)
    checked_bars("max_bars", max_bars)
    if max_bars < min_bars:
        raise BadInput("max_bars", f"{max_bars} is less than min_bars, {min_bars}")
    *_, closes = price_arrays(bars)
    value, length = clearest_trend(closes, min_bars, max_bars)
    rows = np.arange(len(closes), dtype=np.int64)
    frame = target_frame(bars, np.sign(value), value, np.where(length >= 0, rows + max_bars, -1))
    return frame.assign(trend_bars=length)


@compiled
def clearest_trend(closes: Floats, shortest: int, longest: int) -> tuple[Floats, NDArray[np.int64]]:
    """t value and length of the clearest trend from every bar, each of shape (n,); NaN and −1 in the last `longest` rows."""
    value = np.full(len(closes), np.nan)
    length = np.full(len(closes), -1, dtype=np.int64)
    for t in range(len(closes) - longest):
        best, best_length = 0.0, shortest
        mean, spread, covariance = 0.0, 0.0, 0.0  # of y = ln(C[t + x] / C[t]), and of x with y, over the points so far
        for x in range(1, longest + 1):
            y = math.log(closes[t + x] / closes[t])
            points = x + 1
            step = y - mean
            mean += step / points
            spread += step * (y - mean)
            covariance += (x - (x - 1) / 2) * (y - mean)
            if x < shortest or spread <= 0.0:
                continue
            explained = covariance * covariance / (points * (points * points - 1.0) / 12.0)
            rest = max(spread - explained, CLOSEST_FIT * spread)
            score = math.copysign(math.sqrt(explained * (points - 2) / rest), covariance)
            if abs(score) > abs(best):
                best, best_length = score, x
        value[t] = best
        length[t] = best_length
    return value, length
