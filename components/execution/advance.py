"""One row of the market meets the account, compiled: the day's turn with its swap, the fills, the margin level.

`advance_row` is what a backtest calls; with finer rows it decides an ambiguous row by matching those one after another. `advance` is one row
as it is, which the paper broker calls tick by tick.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np

from components.execution.arrays import Book
from components.execution.fill_mt5 import match_mt5
from components.execution.fill_reference import match_reference
from components.execution.moves import ask_of, close_part, gain_of, margin_used, mark, round_to, stop_out, units_of, unrealised
from components.fx import ExitKind
from components.fx import book as b
from components.strategy import lean, lean_inline

REFERENCE = 1
AGAINST = 0
STOP_OUT = int(ExitKind.STOP_OUT)
SATURDAY = 5
# Day 0 of `day_id`, 1970-01-01, was a Thursday.
WEEKDAY_OF_DAY_ZERO = 3
BANK_YEAR = 360.0
ACCOUNT, PROFIT, BASE, PERCENT, PERCENT_OPEN = (
    int(b.SwapMode.ACCOUNT),
    int(b.SwapMode.PROFIT),
    int(b.SwapMode.BASE),
    int(b.SwapMode.PERCENT),
    int(b.SwapMode.PERCENT_OPEN),
)


@lean
def nights_charged(from_day, to_day, triple):
    """Nights of interest between two trading days: one for each Monday to Friday that ended, three for weekday `triple` (0 Monday, −1 none).

    From Friday to Monday it is Friday's one night: the weekend is what the triple night pays for. A holiday on a weekday is a night.
    """
    nights = 0
    for day in range(from_day, to_day):
        weekday = (day + WEEKDAY_OF_DAY_ZERO) % 7
        if weekday < SATURDAY:
            nights += 3 if weekday == triple else 1
    return nights


@lean
def swap_of_night(p, s, price, rate, specs):
    """Interest of one position for one night, in account currency; negative where the trader pays.

    Parameters
    ----------
    p : float64, shape (POSITION_FIELDS,)
    s : int
        Symbol.
    price : float
        Last bid before the broker's midnight.
    rate : float
        Account units per unit of profit currency.
    specs : float64, shape (symbols, SPEC_FIELDS)
    """
    swap = specs[s, b.S_SWAP_LONG] if p[b.P_SIDE] > 0 else specs[s, b.S_SWAP_SHORT]
    mode = int(specs[s, b.S_SWAP_MODE])
    units = units_of(p[b.P_LOTS], specs[s, b.S_CONTRACT_SIZE])
    if mode == ACCOUNT:
        return p[b.P_LOTS] * swap
    if mode == PROFIT:
        return p[b.P_LOTS] * swap * rate
    if mode == BASE:
        return p[b.P_LOTS] * swap * price * rate
    if mode == PERCENT:
        return units * price * rate * swap / 100.0 / BANK_YEAR
    if mode == PERCENT_OPEN:
        return units * p[b.P_ENTRY] * rate * swap / 100.0 / BANK_YEAR
    return units * specs[s, b.S_POINT] * swap * rate


@lean
def charge_swap(t, from_day, to_day, market, positions, counts, marks, specs):
    """Add to every open position the interest of the nights that ended. Returns whether there was any.

    The price is the last one before midnight, the rate that of the new day's first row: both are known when the row opens.
    """
    any_charged = False
    for s in range(counts.shape[0]):
        if counts[s, 0] == 0 or (specs[s, b.S_SWAP_LONG] == 0.0 and specs[s, b.S_SWAP_SHORT] == 0.0):
            continue
        nights = nights_charged(from_day, to_day, int(specs[s, b.S_SWAP_TRIPLE]))
        rate = marks[s, 2]
        if not np.isnan(market.open[t, s]):
            rate = market.rate[t if market.rate.shape[0] > 1 else 0, s]
        for k in range(counts[s, 0]):
            p = positions[s, k]
            p[b.P_SWAP] += nights * swap_of_night(p, s, marks[s, 0], rate, specs)
        any_charged = True
    return any_charged


@lean
def exit_price(t, s, side, at_worst, market, marks):
    """Price at which a position of `side` could be closed in this row: at the row's worst for it, or at the marks."""
    if at_worst and not np.isnan(market.open[t, s]):
        if side > 0:
            return market.low[t, s]
        return ask_of(market.high[t, s], market.spread[t if market.spread.shape[0] > 1 else 0, s])
    return marks[s, 0] if side > 0 else marks[s, 1]


@lean
def profit_in_row(t, s, k, at_worst, market, positions, marks, specs):
    """Profit and swap of one position at `exit_price`, in account currency."""
    p = positions[s, k]
    price = exit_price(t, s, p[b.P_SIDE], at_worst, market, marks)
    return gain_of(p[b.P_SIDE], units_of(p[b.P_LOTS], specs[s, b.S_CONTRACT_SIZE]), p[b.P_ENTRY], price, marks[s, 2]) + p[b.P_SWAP]


@lean
def worst_equity(t, market, account, positions, counts, marks, specs):
    """Equity with every open position at the row's worst price for it, in account currency."""
    total = account[b.A_BALANCE]
    for s in range(counts.shape[0]):
        for k in range(counts[s, 0]):
            total += profit_in_row(t, s, k, True, market, positions, marks, specs)
    return total


@lean
def is_worst_elsewhere(t, market, positions, counts, marks):
    """Whether the row's worst price for any open position is another one than its last; of prices, for sums of money differ by their rounding."""
    for s in range(counts.shape[0]):
        for k in range(counts[s, 0]):
            side = positions[s, k, b.P_SIDE]
            if exit_price(t, s, side, True, market, marks) != exit_price(t, s, side, False, market, marks):
                return True
    return False


@lean
def hold_margin_level(t, row, market, account, positions, counts, marks, specs, costs, resolution, events, n):
    """Close positions until equity is at least `stop_out_level` of the margin in use, as a MetaTrader server does.

    The position with the largest loss (its swap counted) goes first, at the market less slippage, then the next one, until the level holds
    or nothing is open; working orders stay. Equity is taken at the row's worst prices, longs at the low and shorts at the ask of the high,
    and what is closed is closed there: inside a bar the level is crossed somewhere before, so the row counts as ambiguous and the trader
    gets the worst. Under `favour` only the close counts. A tick has one price, and finer rows come near to that. Margin is valued at the
    row's last bid. Positions that the row itself opened are valued like the others.

    Returns
    -------
    tuple of (int, bool)
        The new number of events, and whether the row's prices leave open if or where the level was crossed.
    """
    level = account[b.A_STOP_OUT_LEVEL]
    if not account[b.A_MARGIN] > 0.0 or level <= 0.0:
        return n, False
    worst = worst_equity(t, market, account, positions, counts, marks, specs)
    if worst >= level * account[b.A_MARGIN]:
        return n, False
    unsure = is_worst_elsewhere(t, market, positions, counts, marks)
    at_worst = resolution == AGAINST
    equity = worst if at_worst else account[b.A_EQUITY]
    margin = account[b.A_MARGIN]
    while margin > 0.0 and equity < level * margin:
        loser_s, loser_k, least = -1, -1, np.inf
        for s in range(counts.shape[0]):
            for k in range(counts[s, 0]):
                profit = profit_in_row(t, s, k, at_worst, market, positions, marks, specs)
                if profit < least:
                    loser_s, loser_k, least = s, k, profit
        if loser_s < 0:
            break
        p = positions[loser_s, loser_k]
        side, lots = p[b.P_SIDE], p[b.P_LOTS]
        slip = market.slip[t if market.slip.shape[0] > 1 else 0, loser_s]
        price = round_to(exit_price(t, loser_s, side, at_worst, market, marks) - side * slip, specs[loser_s, b.S_DIGITS])
        flag = 1.0 if unsure else 0.0
        n = close_part(
            row, loser_s, loser_k, price, lots, marks[loser_s, 2], STOP_OUT, np.nan, 0.0, costs[0] * lots, account, positions, counts, specs, flag, events, n
        )  # fmt: skip
        margin = margin_used(positions, counts, marks, specs, account[b.A_LEVERAGE])
        if at_worst:
            equity = worst_equity(t, market, account, positions, counts, marks, specs)
        else:
            equity = account[b.A_BALANCE] + unrealised(positions, counts, marks, specs, False)
    mark(account, positions, counts, marks, specs, False)
    return n, unsure


@lean_inline
def settle(t, row, market, account, positions, orders, counts, marks, specs, costs, policy, resolution, events, n):
    """Mark the account after row t's fills, hold its margin level, and end it where its equity is gone. Returns as `hold_margin_level` does."""
    unsure = False
    mark(account, positions, counts, marks, specs, policy == REFERENCE)
    if policy != REFERENCE:
        n, unsure = hold_margin_level(t, row, market, account, positions, counts, marks, specs, costs, resolution, events, n)
    if account[b.A_EQUITY] <= 0.0:
        n = stop_out(row, account, positions, orders, counts, marks, specs, costs, policy == REFERENCE, events, n)
        account[b.A_BALANCE] = 0.0
        account[b.A_EQUITY] = 0.0
        account[b.A_MARGIN] = 0.0
    return n, unsure


@lean_inline
def advance(t, row, market, account, positions, orders, counts, marks, specs, costs, policy, netting, resolution, events, n):
    """Match row t of every symbol and mark the account; events carry the number `row`. Returns the new number of events and whether the row was ambiguous."""
    ambiguous = False
    changed = False
    day = market.day_id[t if market.day_id.shape[0] > 1 else 0]
    if day != account[b.A_DAY_ID]:
        if account[b.A_DAY_ID] >= 0.0 and policy != REFERENCE:
            changed = charge_swap(t, int(account[b.A_DAY_ID]), day, market, positions, counts, marks, specs)
        account[b.A_DAY_ID] = day
        account[b.A_DAY_START_EQUITY] = account[b.A_EQUITY]
    for s in range(counts.shape[0]):
        o = market.open[t, s]
        if np.isnan(o):
            continue
        rate = market.rate[t if market.rate.shape[0] > 1 else 0, s]
        spread = market.spread[t if market.spread.shape[0] > 1 else 0, s]
        h, low, c = market.high[t, s], market.low[t, s], market.close[t, s]
        marks[s, 2] = rate
        if counts[s, 0] > 0 or counts[s, 1] > 0:
            changed = True
            if policy == REFERENCE:
                n = match_reference(row, s, o, h, low, c, rate, netting, account, positions, orders, counts, specs, costs, events, n)
            else:
                if np.isnan(marks[s, 0]):
                    marks[s, 0], marks[s, 1] = o, ask_of(o, spread)
                slip = market.slip[t if market.slip.shape[0] > 1 else 0, s]
                n, unsure = match_mt5(
                    row, s, o, h, low, c, spread, slip, rate, account, positions, orders, counts, marks, specs, costs, resolution, events, n
                )
                ambiguous = ambiguous or unsure
        marks[s, 0] = c
        marks[s, 1] = c if policy == REFERENCE else ask_of(c, spread)
    if changed:
        n, unsure = settle(t, row, market, account, positions, orders, counts, marks, specs, costs, policy, resolution, events, n)
        ambiguous = ambiguous or unsure
    return n, ambiguous


@lean
def copy_book(account, positions, orders, counts, marks, to):
    """Copy a book into another one of the same size, so that a row can be taken back."""
    for i in range(account.shape[0]):
        to.account[i] = account[i]
    for s in range(counts.shape[0]):
        for i in range(2):
            to.counts[s, i] = counts[s, i]
        for i in range(3):
            to.marks[s, i] = marks[s, i]
        for k in range(positions.shape[1]):
            for i in range(positions.shape[2]):
                to.positions[s, k, i] = positions[s, k, i]
        for k in range(orders.shape[1]):
            for i in range(orders.shape[2]):
                to.orders[s, k, i] = orders[s, k, i]


@lean
def is_held(counts):
    """Whether there is any position or order, so that a row can change more than prices."""
    for s in range(counts.shape[0]):
        if counts[s, 0] > 0 or counts[s, 1] > 0:
            return True
    return False


@lean_inline
def advance_row(
    t, market, finer, kept, account, positions, orders, counts, marks, specs, costs, policy, netting, resolution, events, n, tally
):  # fmt: skip
    """Match row t; where it is ambiguous and has finer rows, take it back and match those instead, one after another.

    Parameters
    ----------
    finer : FinerRows
        `first` has no element where there are none.
    kept : Book
        Room for a copy of the book; not touched without finer rows.
    tally : int64, shape (3,)
        Added to: ambiguous rows; those that stay ambiguous; those for which there were no finer rows.

    Returns
    -------
    int
        The new number of events.
    """
    can_redo = finer.first.shape[0] > 0 and is_held(counts)
    if can_redo:
        copy_book(account, positions, orders, counts, marks, kept)
    done, ambiguous = advance(t, t, market, account, positions, orders, counts, marks, specs, costs, policy, netting, resolution, events, n)
    if not ambiguous:
        return done
    tally[0] += 1
    if not can_redo or finer.first[t] == finer.first[t + 1]:
        tally[1] += 1
        tally[2] += 1
        return done
    copy_book(kept.account, kept.positions, kept.orders, kept.counts, kept.marks, Book(account, positions, orders, counts, marks))
    done = n
    still = False
    for f in range(finer.first[t], finer.first[t + 1]):
        done, unsure = advance(f, t, finer.market, account, positions, orders, counts, marks, specs, costs, policy, netting, resolution, events, done)
        still = still or unsure
        if account[b.A_EQUITY] <= 0.0:
            break
    if still:
        tally[1] += 1
    return done
