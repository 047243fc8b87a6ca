"""Rows in which nothing can happen, passed over in one go, compiled.

Most rows of a backtest meet a book that does not care: it is flat, or its one position keeps its stop and target, and the strategy wishes
nothing. `glide` does for such rows what `advance` would do, with the same operations in the same order, and stops before the first row that
needs the step. Where it cannot be sure it leaves the row to the step.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np

from components.execution.memory import will_read
from components.execution.moves import ask_of, mark, units_of
from components.fx import book as b
from components.strategy import lean, lean_inline

REFERENCE = 1
# A price or an amount this near to a level, relative to it, is left to the step, which rounds as the market does.
NEAR = 1e-7


@lean_inline
def can_glide(counts, positions, manage_of, market):
    """Whether the rows ahead may be quiet: one symbol, no manage, no order, at most one position, which does not trail; decisions row for row."""
    if counts.shape[0] != 1 or manage_of[0] >= 0 or market.decision_row.shape[0] > 0 or counts[0, 1] > 0 or counts[0, 0] > 1:
        return False
    return counts[0, 0] == 0 or not positions[0, 0, b.P_TRAIL] > 0


@lean_inline
def any_of_8(column, t):
    """Whether any of the eight elements from row `t` on is not 0."""
    row = np.uint64(t)
    one = np.uint64(1)
    found = column[row, 0]
    for _ in range(7):
        row += one
        found |= column[row, 0]
    return found != 0


@lean_inline
def next_wish(t, last, decisions):
    """The first row from `t` on whose decisions wish anything, or `last`; the step's memory is told that its decisions will be wanted."""
    side, out = decisions.side, decisions.exit
    has_sides, has_outs = side.shape[0] > 1, out.shape[0] > 1
    if (not has_sides and side[0, 0] != 0) or (not has_outs and out[0, 0] != 0):
        return t
    while t + 8 <= last and not ((has_sides and any_of_8(side, t)) or (has_outs and any_of_8(out, t))):
        t += 8
    while t < last:
        row = np.uint64(t)
        if (has_sides and side[row, 0] != 0) or (has_outs and out[row, 0] != 0):
            will_read(decisions.stop, t)
            will_read(decisions.target, t)
            will_read(decisions.reason, t)
            break
        t += 1
    return t


@lean_inline
def glide(t, last, market, account, positions, counts, marks, specs, policy, equity):
    """The first row from `t` on that needs the step; everything is as the step would have left it after the rows before.

    Parameters
    ----------
    t, last : int
        First row, and the first one (or the end of the run) that may not be passed over, because it has wishes. Only where `can_glide`.
    market, account, positions, counts, marks, specs, policy
        As for `advance`.
    equity : float64, shape (n,)
        Filled for the quiet rows.
    """
    first = t
    opens, days = market.open, market.day_id
    has_days = days.shape[0] > 1
    if counts[0, 0] == 0:
        worth = account[b.A_EQUITY]
        while t < last:
            row = np.uint64(t)
            if np.isnan(opens[row, 0]):
                break
            equity[row] = worth
            t += 1
        if t > first:
            account[b.A_DAY_START_EQUITY] = worth if days[t - 1 if has_days else 0] != account[b.A_DAY_ID] else account[b.A_DAY_START_EQUITY]
            account[b.A_DAY_ID] = days[t - 1 if has_days else 0]
            _leave(t - 1, market, marks, policy)
        return t
    spreads, rates, highs, lows, closes = market.spread, market.rate, market.high, market.low, market.close
    has_spreads, has_rates = spreads.shape[0] > 1, rates.shape[0] > 1
    fixed_spread, fixed_rate = spreads[0, 0], rates[0, 0]
    if not has_days and days[0] != account[b.A_DAY_ID]:
        return t
    p = positions[0, 0]
    sign, entry, swap, today, balance = p[b.P_SIDE], p[b.P_ENTRY], p[b.P_SWAP], account[b.A_DAY_ID], account[b.A_BALANCE]
    is_long = sign > 0
    lots = units_of(p[b.P_LOTS], specs[0, b.S_CONTRACT_SIZE])
    units = sign * lots
    on_ask = not is_long and policy != REFERENCE
    # A missing stop or target is NaN, which no comparison meets.
    below = (p[b.P_STOP] if is_long else p[b.P_TARGET]) * (1.0 + NEAR)
    above = (p[b.P_TARGET] if is_long else p[b.P_STOP]) * (1.0 - NEAR)
    margin = 0.0
    if policy != REFERENCE and account[b.A_STOP_OUT_LEVEL] > 0.0:
        margin = account[b.A_STOP_OUT_LEVEL] * lots * specs[0, b.S_MARGIN_RATE] / account[b.A_LEVERAGE] * (1.0 + NEAR)
    # Between its stop and its target a position is worth no less than at the stop: where that is enough, rows need not be asked one by one.
    least = balance + (units * ((below if is_long else above) - entry) * fixed_rate + swap)
    is_safe = not has_rates and least * (1.0 - NEAR) > margin * above * fixed_rate and least > 0.0
    while t < last:
        # A row is never negative; told so, numba leaves out what a negative index would need.
        row = np.uint64(t)
        if (has_days and days[row] != today) or np.isnan(opens[row, 0]):
            break
        spread = (spreads[row, 0] if has_spreads else fixed_spread) if on_ask else 0.0
        high, low = highs[row, 0] + spread, lows[row, 0] + spread
        if low <= below or high >= above:
            break
        close, rate = closes[row, 0], (rates[row, 0] if has_rates else fixed_rate)
        price = ask_of(close, spread) if on_ask else close
        if not is_safe:
            worst = balance + (units * ((low if is_long else high) - entry) * rate + swap)
            if not worst * (1.0 - NEAR) > margin * close * rate or not worst > 0.0:
                break
        equity[row] = balance + (units * (price - entry) * rate + swap)
        t += 1
    if t > first:
        _leave(t - 1, market, marks, policy)
        mark(account, positions, counts, marks, specs, policy == REFERENCE)
    return t


@lean
def _leave(row, market, marks, policy):
    """The marks as they stand after a row."""
    close = market.close[row, 0]
    marks[0, 0] = close
    marks[0, 1] = close if policy == REFERENCE else ask_of(close, market.spread[row if market.spread.shape[0] > 1 else 0, 0])
    marks[0, 2] = market.rate[row if market.rate.shape[0] > 1 else 0, 0]
