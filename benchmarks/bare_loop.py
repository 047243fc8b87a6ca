"""What a backtest costs at the least: one compiled loop over flat arrays, one position, fixed size, every trade and the equity of every bar kept.

It knows nothing but backtesting.py's rules for market entries with a stop and a target: no orders, no margin, no costs, no limits. The step's
own time is held against it, and its trades are the step's, one by one.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

STOP, TARGET, REVERSAL, END = 1, 2, 3, 4


class Records(NamedTuple):
    """Bars, prices, side, profit, stop, target and kind of exit of each trade, and the equity of every bar."""

    entry_bar: NDArray[np.int32]
    exit_bar: NDArray[np.int32]
    entry_price: NDArray[np.float64]
    exit_price: NDArray[np.float64]
    side: NDArray[np.int8]
    profit: NDArray[np.float64]
    stop: NDArray[np.float64]
    target: NDArray[np.float64]
    exit: NDArray[np.int8]
    equity: NDArray[np.float64]


@njit(cache=True, nogil=True)
def bare_loop(opened, high, low, close, sides, stops, targets, units, balance):
    """Run the wishes `sides` (row t at the close of bar t; the opposite side is left) with their stop and target prices. Returns `Records`."""
    rows = len(close)
    room = 0
    for t in range(rows):
        room += sides[t] != 0
    entry_bar, exit_bar = np.empty(room, np.int32), np.empty(room, np.int32)
    entry_price, exit_price, profit = np.empty(room), np.empty(room), np.empty(room)
    stop_of, target_of = np.empty(room), np.empty(room)
    side_of, kind_of = np.empty(room, np.int8), np.empty(room, np.int8)
    equity = np.empty(rows)
    n, held, is_leaving, wished = 0, 0, False, 0
    entry, stop, target, wished_stop, wished_target = 0.0, 0.0, 0.0, 0.0, 0.0
    cash = balance
    for t in range(rows):
        o, h, lo, c = opened[t], high[t], low[t], close[t]
        for attempt in range(2):
            if held != 0:
                kind, price = 0, o
                if is_leaving:
                    kind = REVERSAL
                elif (lo <= stop) if held > 0 else (h >= stop):
                    kind, price = STOP, min(o, stop) if held > 0 else max(o, stop)
                elif (h >= target) if held > 0 else (lo <= target):
                    kind, price = TARGET, max(o, target) if held > 0 else min(o, target)
                if kind != 0:
                    gain = held * units * (price - entry)
                    cash += gain
                    exit_bar[n - 1], exit_price[n - 1], profit[n - 1], kind_of[n - 1] = t, price, gain, kind
                    held, is_leaving = 0, False
            if attempt == 1 or wished == 0:
                break
            held, entry, stop, target = wished, o, wished_stop, wished_target
            entry_bar[n], entry_price[n], side_of[n], stop_of[n], target_of[n] = t, o, held, stop, target
            n += 1
            wished = 0
        equity[t] = cash + held * units * (c - entry)
        side = sides[t]
        if side != 0 and t > 0 and side != held:
            is_leaving = held != 0
            if (stops[t] < c < targets[t]) if side > 0 else (targets[t] < c < stops[t]):
                wished, wished_stop, wished_target = side, stops[t], targets[t]
    if held != 0:
        exit_bar[n - 1], exit_price[n - 1], profit[n - 1], kind_of[n - 1] = rows - 1, close[-1], held * units * (close[-1] - entry), END
    return Records(
        entry_bar[:n], exit_bar[:n], entry_price[:n], exit_price[:n], side_of[:n], profit[:n], stop_of[:n], target_of[:n], kind_of[:n], equity
    )


@njit(cache=True)
def crossings(fast, slow, reach, close, stop_ranges, target_ranges):
    """Wishes, stops and targets of the crossing of two averages: row t from rows ≤ t. A range of 0 makes no wish."""
    rows = len(close)
    sides, stops, targets = np.zeros(rows, np.int8), np.empty(rows), np.empty(rows)
    for t in range(1, rows):
        now, before = fast[t] - slow[t], fast[t - 1] - slow[t - 1]
        side = 1 if now > 0 >= before else (-1 if now < 0 <= before else 0)
        if side != 0 and reach[t] > 0:
            sides[t] = side
            stops[t], targets[t] = close[t] - side * stop_ranges * reach[t], close[t] + side * target_ranges * reach[t]
    return sides, stops, targets


@njit(cache=True)
def daily_sharpe(equity, day, balance):
    """Sharpe ratio of daily returns, annualised with √252, and the largest drawdown: the least statistics that a sweep is ranked by."""
    count, total, squares = 0, 0.0, 0.0
    before, peak, fall = balance, balance, 0.0
    for t in range(len(equity)):
        peak = max(peak, equity[t])
        fall = max(fall, 1.0 - equity[t] / peak)
        if t + 1 == len(equity) or day[t + 1] != day[t]:
            gain = equity[t] / before - 1.0
            before = equity[t]
            count, total, squares = count + 1, total + gain, squares + gain * gain
    mean = total / count
    spread = np.sqrt((squares - count * mean * mean) / (count - 1))
    return mean / spread * np.sqrt(252.0), fall


@njit(cache=True, parallel=True)
def bare_pairs(opened, high, low, close, averages, fast, slow, reach, day, stop_ranges, target_ranges, units, balance):
    """`bare_loop` for many pairs of rows of `averages`, over all cores; Sharpe, drawdown, profit and trades of each, shape (pairs, 4)."""
    out = np.empty((len(fast), 4))
    for i in prange(len(fast)):
        sides, stops, targets = crossings(averages[fast[i]], averages[slow[i]], reach, close, stop_ranges, target_ranges)
        found = bare_loop(opened, high, low, close, sides, stops, targets, units, balance)
        sharpe, fall = daily_sharpe(found.equity, day, balance)
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = sharpe, fall, found.equity[-1] - balance, len(found.profit)
    return out
