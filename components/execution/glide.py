"""Rows in which nothing can happen, passed over in one go, compiled.

Most rows of a backtest meet a book that does not care: it is flat, or its one position keeps its stop and target, and the strategy wishes
nothing. `glide` does for such rows what `advance` would do, with the same operations in the same order, and stops before the first row that
needs the step. Where it cannot be sure it leaves the row to the step.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np

from components.execution.memory import eight_at, will_read
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
def next_wish(t, last, decisions, market):
    """The first row from `t` on whose decisions wish anything, or `last`; the memory is told that its decisions and prices will be wanted."""
    side, out = decisions.side, decisions.exit
    has_sides, has_outs = side.shape[0] > 1, out.shape[0] > 1
    if (not has_sides and side[0, 0] != 0) or (not has_outs and out[0, 0] != 0):
        return t
    while t + 8 <= last and (not has_sides or eight_at(side, t) == 0) and (not has_outs or eight_at(out, t) == 0):
        t += 8
    while t < last:
        row = np.uint64(t)
        if (has_sides and side[row, 0] != 0) or (has_outs and out[row, 0] != 0):
            will_read(decisions.stop, t)
            will_read(decisions.target, t)
            will_read(decisions.reason, t)
            will_read(market.high, t)
            will_read(market.low, t)
            will_read(market.close, t)
            break
        t += 1
    return t


@lean_inline
def pass_flat(t, last, market, worth, equity):
    """The first row from `t` on that has no bar, or `last`: rows of an account that holds nothing and is worth `worth`."""
    opens = market.open
    while t < last:
        # A row is never negative; told so, numba leaves out what a negative index would need.
        row = np.uint64(t)
        if np.isnan(opens[row, 0]):
            break
        equity[row] = worth
        t += 1
    return t


@lean_inline
def day_after(t, market, worth, today, day_start):
    """Day, and equity at its start, once rows up to `t` (excluded) are passed by an account that holds nothing. Days do not come again."""
    day = market.day_id[t - 1 if market.day_id.shape[0] > 1 else 0]
    return day, worth if day != today else day_start


@lean_inline
def pass_held(t, last, market, side, lots, entry, stop, target, swap, balance, today, stop_out_level, leverage, specs, policy, equity):
    """The first row from `t` on that one position, which does not trail, may need the step for, or `last`; `equity` is filled before it."""
    opens, days = market.open, market.day_id
    has_days = days.shape[0] > 1
    spreads, rates, highs, lows, closes = market.spread, market.rate, market.high, market.low, market.close
    has_spreads, has_rates = spreads.shape[0] > 1, rates.shape[0] > 1
    fixed_spread, fixed_rate = spreads[0, 0], rates[0, 0]
    if not has_days and days[0] != today:
        return t
    is_long = side > 0
    size = units_of(lots, specs[0, b.S_CONTRACT_SIZE])
    units = side * size
    on_ask = not is_long and policy != REFERENCE
    # A missing stop or target is NaN, which no comparison meets.
    below = (stop if is_long else target) * (1.0 + NEAR)
    above = (target if is_long else stop) * (1.0 - NEAR)
    margin = 0.0
    if policy != REFERENCE and stop_out_level > 0.0:
        margin = stop_out_level * size * specs[0, b.S_MARGIN_RATE] / leverage * (1.0 + NEAR)
    # Between its stop and its target a position is worth no less than at the stop: where that is enough, rows need not be asked one by one.
    least = balance + (units * ((below if is_long else above) - entry) * fixed_rate + swap)
    is_safe = not has_rates and least * (1.0 - NEAR) > margin * above * fixed_rate and least > 0.0
    while t < last:
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
    if counts[0, 0] == 0:
        worth = account[b.A_EQUITY]
        t = pass_flat(t, last, market, worth, equity)
        if t > first:
            account[b.A_DAY_ID], account[b.A_DAY_START_EQUITY] = day_after(t, market, worth, account[b.A_DAY_ID], account[b.A_DAY_START_EQUITY])
            leave(t - 1, market, marks, policy)
        return t
    p = positions[0, 0]
    t = pass_held(
        t, last, market, p[b.P_SIDE], p[b.P_LOTS], p[b.P_ENTRY], p[b.P_STOP], p[b.P_TARGET], p[b.P_SWAP], account[b.A_BALANCE],
        account[b.A_DAY_ID], account[b.A_STOP_OUT_LEVEL], account[b.A_LEVERAGE], specs, policy, equity,
    )  # fmt: skip
    if t > first:
        leave(t - 1, market, marks, policy)
        mark(account, positions, counts, marks, specs, policy == REFERENCE)
    return t


@lean
def leave(row, market, marks, policy):
    """The marks as they stand after a row."""
    close = market.close[row, 0]
    marks[0, 0] = close
    marks[0, 1] = close if policy == REFERENCE else ask_of(close, market.spread[row if market.spread.shape[0] > 1 else 0, 0])
    marks[0, 2] = market.rate[row if market.rate.shape[0] > 1 else 0, 0]
