"""Moves of the book that every fill policy shares, compiled: open, close part, remove, value.

Rows of positions and orders stay in the order in which they were born; a removed row closes the gap. Profit is in account currency.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import math

import numpy as np

from components.fx import EventKind, ExitKind
from components.fx import book as b
from components.strategy import lean, lean_inline

OPENED = int(EventKind.OPENED)
CLOSED = int(EventKind.CLOSED)
STOP_OUT = int(ExitKind.STOP_OUT)


@lean_inline
def units_of(lots, contract_size):
    """Units of base currency in `lots`, free of the noise of the multiplication."""
    return np.rint(lots * contract_size * 1e6) / 1e6


@lean_inline
def gain_of(side, units, entry, price, rate):
    """What a position makes at a price, before costs and swap, in account currency."""
    return side * units * (price - entry) * rate


@lean
def round_to(price, digits):
    """A price rounded to `digits` decimals; NaN stays NaN."""
    return np.round(price, int(digits))


@lean
def ask_of(bid, spread):
    """The ask, free of the noise of the addition, so that a high that just reaches a level is seen to reach it."""
    return np.rint((bid + spread) * 1e8) / 1e8


@lean_inline
def unrealised(positions, counts, marks, specs, on_bid):
    """Profit and swap of all open positions at the marks, in account currency; longs at bid, shorts at ask, or all at bid where `on_bid`."""
    total = 0.0
    for s in range(counts.shape[0]):
        for k in range(counts[s, 0]):
            p = positions[s, k]
            price = marks[s, 0] if on_bid or p[b.P_SIDE] > 0 else marks[s, 1]
            total += gain_of(p[b.P_SIDE], units_of(p[b.P_LOTS], specs[s, b.S_CONTRACT_SIZE]), p[b.P_ENTRY], price, marks[s, 2]) + p[b.P_SWAP]
    return total


@lean_inline
def margin_used(positions, counts, marks, specs, leverage):
    """Margin of all open positions valued at the bid marks, in account currency."""
    total = 0.0
    for s in range(counts.shape[0]):
        for k in range(counts[s, 0]):
            units = units_of(positions[s, k, b.P_LOTS], specs[s, b.S_CONTRACT_SIZE])
            total += units * marks[s, 0] * marks[s, 2] * specs[s, b.S_MARGIN_RATE] / leverage
    return total


@lean_inline
def mark(account, positions, counts, marks, specs, on_bid):
    """Bring equity and margin of the account up to the marks."""
    account[b.A_EQUITY] = account[b.A_BALANCE] + unrealised(positions, counts, marks, specs, on_bid)
    account[b.A_MARGIN] = margin_used(positions, counts, marks, specs, account[b.A_LEVERAGE])


@lean_inline
def remove_row(rows, counts, s, which, k):
    """Take row k of symbol s out of positions (`which` 0) or orders (1); the later ones move up."""
    last = counts[s, which] - 1
    for i in range(k, last):
        for field in range(rows.shape[2]):
            rows[s, i, field] = rows[s, i + 1, field]
    for field in range(rows.shape[2]):
        rows[s, last, field] = np.nan
    counts[s, which] = last


@lean
def find_ticket(rows, counts, s, which, ticket):
    """Row of the position (`which` 0) or order (1) with this ticket, or −1."""
    for k in range(counts[s, which]):
        if rows[s, k, 0] == ticket:
            return k
    return -1


@lean_inline
def note_opened(t, s, ticket, side, lots, price, cost, reason, level, ambiguous, stop, target, events, n):
    """Record that an order opened a position; `level` is the order's own price. Returns the new number of events."""
    e = events[n]
    e[b.E_ROW] = t
    e[b.E_KIND] = OPENED
    e[b.E_SYMBOL] = s
    e[b.E_TICKET] = ticket
    e[b.E_ORDER_TICKET] = ticket
    e[b.E_SIDE] = side
    e[b.E_LOTS] = lots
    e[b.E_PRICE] = price
    e[b.E_PROFIT] = 0.0
    e[b.E_COST] = cost
    e[b.E_EXIT] = 0.0
    e[b.E_REASON] = reason
    e[b.E_LEVEL] = level
    e[b.E_AMBIGUOUS] = ambiguous
    e[b.E_STOP] = stop
    e[b.E_TARGET] = target
    e[b.E_SWAP] = 0.0
    e[b.E_ENTRY_ROW] = np.nan
    e[b.E_ENTRY_PRICE] = np.nan
    return n + 1


@lean_inline
def note_closed(
    t, s, ticket, order_ticket, side, lots, price, profit, cost, exit_kind, reason, level, ambiguous, entry_row, entry_price, stop, target, swap,
    events, n,
):  # fmt: skip
    """Record that a position, or a part of it, was closed; `cost` is both commissions. Returns the new number of events."""
    e = events[n]
    e[b.E_ROW] = t
    e[b.E_KIND] = CLOSED
    e[b.E_SYMBOL] = s
    e[b.E_TICKET] = ticket
    e[b.E_ORDER_TICKET] = order_ticket
    e[b.E_SIDE] = side
    e[b.E_LOTS] = lots
    e[b.E_PRICE] = price
    e[b.E_PROFIT] = profit
    e[b.E_COST] = cost
    e[b.E_EXIT] = exit_kind
    e[b.E_REASON] = reason
    e[b.E_LEVEL] = level
    e[b.E_AMBIGUOUS] = ambiguous
    e[b.E_ENTRY_ROW] = entry_row
    e[b.E_ENTRY_PRICE] = entry_price
    e[b.E_STOP] = stop
    e[b.E_TARGET] = target
    e[b.E_SWAP] = swap
    return n + 1


@lean_inline
def open_position(t, s, order, price, lots, stop, target, account, positions, counts, cost, ambiguous, events, n):
    """Open a position from an order row at `price`; stop and target are prices or NaN. Returns the new number of events, −1 if there is no room."""
    k = counts[s, 0]
    if k >= positions.shape[1]:
        return -1
    p = positions[s, k]
    p[b.P_TICKET] = order[b.O_TICKET]
    p[b.P_SIDE] = order[b.O_SIDE]
    p[b.P_LOTS] = lots
    p[b.P_ENTRY] = price
    p[b.P_STOP] = stop
    p[b.P_TARGET] = target
    p[b.P_TRAIL] = order[b.O_TRAIL]
    p[b.P_OPEN_ROW] = t
    p[b.P_REASON] = order[b.O_REASON]
    p[b.P_ENTRY_COST] = cost
    p[b.P_STOP_KEY] = np.nan
    p[b.P_TARGET_KEY] = np.nan
    p[b.P_BORN_BAR] = order[b.O_BORN_BAR]
    p[b.P_SWAP] = 0.0
    counts[s, 0] = k + 1
    account[b.A_BALANCE] -= cost
    ticket, reason = order[b.O_TICKET], order[b.O_REASON]
    return note_opened(t, s, ticket, order[b.O_SIDE], lots, price, cost, reason, order[b.O_PRICE], ambiguous, stop, target, events, n)


@lean_inline
def close_part(t, s, k, price, lots, rate, exit_kind, level, order_ticket, exit_cost, account, positions, counts, specs, ambiguous, events, n):
    """Close `lots` of position k at `price`; `exit_cost` is the commission of the exit, in account currency.

    The part's share of the swap so far goes into the balance with its profit. Returns the new number of events."""
    p = positions[s, k]
    whole = lots >= p[b.P_LOTS] - 1e-9
    closed = p[b.P_LOTS] if whole else lots
    share = closed / p[b.P_LOTS]
    profit = gain_of(p[b.P_SIDE], units_of(closed, specs[s, b.S_CONTRACT_SIZE]), p[b.P_ENTRY], price, rate)
    entry_cost = p[b.P_ENTRY_COST] * share
    swap = p[b.P_SWAP] * share
    account[b.A_BALANCE] += profit - exit_cost + swap
    n = note_closed(
        t, s, p[b.P_TICKET], order_ticket, p[b.P_SIDE], closed, price, profit, entry_cost + exit_cost, exit_kind, p[b.P_REASON], level, ambiguous,
        p[b.P_OPEN_ROW], p[b.P_ENTRY], p[b.P_STOP], p[b.P_TARGET], swap, events, n,
    )  # fmt: skip
    if whole:
        remove_row(positions, counts, s, 0, k)
    else:
        p[b.P_LOTS] = round(p[b.P_LOTS] - closed, 8)
        p[b.P_ENTRY_COST] -= entry_cost
        p[b.P_SWAP] -= swap
    return n


@lean_inline
def note(t, kind, s, ticket, side, lots, price, level, reason, stop, target, events, n):
    """Record an event that changed no position: placed, modified, cancelled or refused. Returns the new number of events."""
    e = events[n]
    e[b.E_ROW] = t
    e[b.E_KIND] = kind
    e[b.E_SYMBOL] = s
    e[b.E_TICKET] = ticket
    e[b.E_ORDER_TICKET] = ticket
    e[b.E_SIDE] = side
    e[b.E_LOTS] = lots
    e[b.E_PRICE] = price
    e[b.E_PROFIT] = 0.0
    e[b.E_COST] = 0.0
    e[b.E_EXIT] = 0.0
    e[b.E_REASON] = reason
    e[b.E_LEVEL] = level
    e[b.E_AMBIGUOUS] = 0.0
    e[b.E_STOP] = stop
    e[b.E_TARGET] = target
    e[b.E_ENTRY_ROW] = np.nan
    e[b.E_ENTRY_PRICE] = np.nan
    e[b.E_SWAP] = 0.0
    return n + 1


@lean
def stop_out(t, account, positions, orders, counts, marks, specs, costs, on_bid, events, n):
    """Close everything at the marks and cancel every order: equity is gone. Returns the new number of events."""
    for s in range(counts.shape[0]):
        while counts[s, 0] > 0:
            p = positions[s, 0]
            price = marks[s, 0] if on_bid or p[b.P_SIDE] > 0 else marks[s, 1]
            cost = costs[0] * p[b.P_LOTS]
            n = close_part(t, s, 0, price, p[b.P_LOTS], marks[s, 2], STOP_OUT, np.nan, 0.0, cost, account, positions, counts, specs, 0.0, events, n)
        while counts[s, 1] > 0:
            remove_row(orders, counts, s, 1, 0)
    return n


@lean
def is_none(price):
    """Whether a price field holds no price."""
    return math.isnan(price)
