"""Measures of an equity curve and of trades: the one drawdown, the one Sharpe ratio."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MS_PER_YEAR = 365.25 * 86_400_000.0
DAYS_PER_YEAR = 252.0
BLOCK = 4_096


def returns_of(equity: Floats) -> Floats:
    """Simple returns of an equity curve, shape (n,) to (n − 1,); 0 where equity was not positive before."""
    before = equity[:-1]
    return np.divide(np.diff(equity), before, out=np.zeros(max(len(equity) - 1, 0)), where=before > 0)


def max_drawdown(equity: Floats, start: float | None = None) -> float:
    """Largest fall from a running peak, as a positive fraction of that peak; 0.0 for fewer than two values. `start` is a value before the first."""
    if len(equity) + (start is not None) < 2:
        return 0.0
    highest = float(equity[0]) if start is None else max(start, float(equity[0]))
    if not highest > 0:
        peak = np.maximum.accumulate(equity) if start is None else np.maximum(np.maximum.accumulate(equity), start)
        return float(np.max(np.where(peak > 0, 1.0 - equity / np.where(peak > 0, peak, 1.0), 0.0)))
    # Every peak is positive, for the first one is. Only a block whose lowest value lies far enough below its highest is looked at row by row.
    least = 1.0
    for first in range(0, len(equity), BLOCK):
        some = equity[first : first + BLOCK]
        top = max(highest, float(some.max()))
        if float(some.min()) < least * top:
            peak = np.maximum(np.maximum.accumulate(some), highest)
            least = min(least, float((some / peak).min()))
        highest = top
    return 1.0 - least


def drawdown_curve(equity: Floats) -> Floats:
    """Fall from the running peak at every point, shape (n,), as a positive fraction."""
    peak = np.maximum.accumulate(equity)
    return np.where(peak > 0, 1.0 - equity / np.where(peak > 0, peak, 1.0), 0.0)


def total_return(equity: Floats) -> float:
    """Last equity over first, less one; 0.0 for fewer than two values."""
    return float(equity[-1] / equity[0] - 1.0) if len(equity) >= 2 else 0.0


def daily_equity(equity: Floats, day_id: NDArray[np.int64]) -> Floats:
    """Equity at the end of every trading day, the starting value first.

    Parameters
    ----------
    equity, day_id : ndarray, shape (n,)
        Equity after each bar, and the trading day that each bar belongs to (not decreasing).

    Returns
    -------
    ndarray, shape (days + 1,)
    """
    if len(equity) == 0:
        return equity
    last_of_day = np.flatnonzero(np.append(np.diff(day_id) != 0, True))
    return np.concatenate((equity[:1], equity[last_of_day]))


def sharpe_ratio(daily_returns: Floats) -> float:
    """Annualised Sharpe ratio of daily returns at a risk-free rate of zero.

    Parameters
    ----------
    daily_returns : ndarray, shape (n,)
        Simple returns per trading day.

    Returns
    -------
    float
        mean / standard deviation (n − 1) × √252; 0.0 for fewer than two days or where nothing moved.

    Notes
    -----
    Source: Sharpe (1994), The Sharpe Ratio, with 252 trading days a year.
    """
    if len(daily_returns) < 2:
        return 0.0
    deviation = float(np.std(daily_returns, ddof=1))
    if deviation < 1e-15:
        return 0.0
    return float(np.mean(daily_returns)) / deviation * math.sqrt(DAYS_PER_YEAR)


def profit_factor(profits: Floats) -> float:
    """Sum of winning profits over sum of losses; inf without a loss, 0.0 without a win."""
    gains, losses = float(profits[profits > 0].sum()), float(-profits[profits < 0].sum())
    if losses == 0.0:
        return math.inf if gains > 0 else 0.0
    return gains / losses


def win_rate(profits: Floats) -> float:
    """Share of trades with a profit above zero, 0–1; 0.0 without trades."""
    return float(np.mean(profits > 0)) if len(profits) else 0.0
