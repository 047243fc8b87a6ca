"""The fill policy `reference`, compiled: the rules of backtesting.py 0.6.6, so that its trades can be reproduced one for one.

There is one price per bar (no bid and ask), one queue in which closes and stops stand in front, targets and entries behind, stops fill
before targets, and a position opened inside a bar by a stop or limit order meets its own stop and target only in the cases that
backtesting.py's issue 119 names. The state of that queue is kept in the KEY fields of the book.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np

from components.execution.moves import close_part, find_ticket, gain_of, is_none, note, open_position, remove_row, units_of
from components.fx import EventKind, ExitKind, OrderKind, Refusal
from components.fx import book as b
from components.strategy import lean, lean_inline

MARKET, STOP, LIMIT = int(OrderKind.MARKET), int(OrderKind.STOP), int(OrderKind.LIMIT)
EXIT_STOP, EXIT_TARGET = int(ExitKind.STOP), int(ExitKind.TARGET)
REVERSAL = int(ExitKind.REVERSAL)
REFUSED = int(EventKind.REFUSED)
NO_MARGIN, BOOK_FULL = int(Refusal.NO_MARGIN), int(Refusal.BOOK_FULL)
ORDER, STOP_OF, TARGET_OF = 0, 1, 2


@lean
def next_in_queue(after, newest, s, positions, orders, counts):
    """The first item of the queue behind key `after` that was born no later than the pass began.

    Returns
    -------
    tuple of (float, int, int)
        Key (NaN at the end of the queue), what it is (order, stop, target), and its row.
    """
    best, what, row = np.inf, -1, -1
    for k in range(counts[s, 1]):
        key = orders[s, k, b.O_KEY]
        if after < key < best and key <= newest[1] and key >= newest[0]:
            best, what, row = key, ORDER, k
    for k in range(counts[s, 0]):
        key = positions[s, k, b.P_STOP_KEY]
        if not is_none(positions[s, k, b.P_STOP]) and after < key < best and key <= newest[1] and key >= newest[0]:
            best, what, row = key, STOP_OF, k
        key = positions[s, k, b.P_TARGET_KEY]
        if not is_none(positions[s, k, b.P_TARGET]) and after < key < best and key <= newest[1] and key >= newest[0]:
            best, what, row = key, TARGET_OF, k
    return best, what, row


@lean_inline
def level_met(o, h, low, level, is_below):
    """Whether a bar reaches a stop or target below (or above) the market, and its fill: what the open has passed already fills at the open."""
    if is_below:
        return low <= level, min(o, level)
    return h >= level, max(o, level)


@lean_inline
def is_too_dear(units, price, rate, cost, free, leverage):
    """Whether a new position and its commission ask for more than leverage makes of the free margin."""
    return units * price * rate + cost > free * leverage


@lean_inline
def free_of(balance, profit, value, leverage):
    """Free margin of an account whose positions have made `profit` and are worth `value`."""
    return max(0.0, balance + profit - value / leverage)


@lean
def free_margin(s, close, rate, account, positions, counts, specs):
    """Margin available as backtesting.py sees it: valued at the current bar's close."""
    value, profit = 0.0, 0.0
    for k in range(counts[s, 0]):
        p = positions[s, k]
        units = units_of(p[b.P_LOTS], specs[s, b.S_CONTRACT_SIZE])
        value += units * close * rate
        profit += gain_of(p[b.P_SIDE], units, p[b.P_ENTRY], close, rate)
    return free_of(account[b.A_BALANCE], profit, value, account[b.A_LEVERAGE])


@lean
def match_reference(t, s, o, h, low, c, rate, netting, account, positions, orders, counts, specs, costs, events, n):
    """Let one bar meet the book under backtesting.py's rules; parameters as in `match_mt5`, prices without a spread.

    `netting` is backtesting.py's ``hedging=False``: an entry first closes opposite positions, the oldest first. Of the costs it knows the
    commission per lot, which it takes from cash at the fill and asks of the margin together with the price.

    Returns
    -------
    int
        The new number of events.
    """
    again = True
    while again:
        again = False
        newest = (account[b.A_FRONT_KEY], account[b.A_BACK_KEY])
        after = -np.inf
        while True:
            key, what, row = next_in_queue(after, newest, s, positions, orders, counts)
            if what < 0:
                break
            after = key
            if what != ORDER:
                p = positions[s, row]
                is_stop = what == STOP_OF
                level = p[b.P_STOP] if is_stop else p[b.P_TARGET]
                # The stop of a long and the target of a short lie below.
                is_met, price = level_met(o, h, low, level, is_stop == (p[b.P_SIDE] > 0))
                if is_met:
                    kind, cost = EXIT_STOP if is_stop else EXIT_TARGET, costs[0] * p[b.P_LOTS]
                    n = close_part(
                        t, s, row, price, p[b.P_LOTS], rate, kind, level, 0.0, cost, account, positions, counts, specs, 0.0, events, n
                    )  # fmt: skip
                continue
            n, reprocess = _order(t, s, row, o, h, low, c, rate, netting, account, positions, orders, counts, specs, costs, events, n)
            again = again or reprocess
    return n


@lean
def _order(t, s, j, o, h, low, c, rate, netting, account, positions, orders, counts, specs, costs, events, n):
    order = orders[s, j]
    side, kind = order[b.O_SIDE], order[b.O_KIND]
    price = o
    if kind == STOP:
        if not (h >= order[b.O_PRICE] if side > 0 else low <= order[b.O_PRICE]):
            return n, False
        price = max(o, order[b.O_PRICE]) if side > 0 else min(o, order[b.O_PRICE])
    elif kind == LIMIT:
        if not (low <= order[b.O_PRICE] if side > 0 else h >= order[b.O_PRICE]):
            return n, False
        price = min(o, order[b.O_PRICE]) if side > 0 else max(o, order[b.O_PRICE])
    if not is_none(order[b.O_POSITION]):
        k = find_ticket(positions, counts, s, 0, order[b.O_POSITION])
        if k >= 0:
            lots = positions[s, k, b.P_LOTS] if is_none(order[b.O_LOTS]) else min(order[b.O_LOTS], positions[s, k, b.P_LOTS])
            n = close_part(
                t,
                s,
                k,
                price,
                lots,
                rate,
                order[b.O_EXIT],
                np.nan,
                order[b.O_TICKET],
                costs[0] * lots,
                account,
                positions,
                counts,
                specs,
                0.0,
                events,
                n,
            )
        remove_row(orders, counts, s, 1, j)
        return n, False
    lots = order[b.O_LOTS]
    if netting:
        k = 0
        while k < counts[s, 0] and lots > 1e-9:
            if positions[s, k, b.P_SIDE] == side:
                k += 1
                continue
            before = counts[s, 0]
            closed = min(lots, positions[s, k, b.P_LOTS])
            n = close_part(
                t,
                s,
                k,
                price,
                closed,
                rate,
                REVERSAL,
                np.nan,
                order[b.O_TICKET],
                costs[0] * closed,
                account,
                positions,
                counts,
                specs,
                0.0,
                events,
                n,
            )
            lots = round(lots - closed, 8)
            if counts[s, 0] == before:
                break
    units = units_of(lots, specs[s, b.S_CONTRACT_SIZE])
    free = free_margin(s, c, rate, account, positions, counts, specs)
    if is_too_dear(units, price, rate, costs[0] * lots, free, account[b.A_LEVERAGE]):
        n = note(t, REFUSED, s, order[b.O_TICKET], side, lots, price, NO_MARGIN, order[b.O_REASON], order[b.O_STOP], order[b.O_TARGET], events, n)
        remove_row(orders, counts, s, 1, j)
        return n, False
    reprocess = False
    if lots > 1e-9:
        stop, target = order[b.O_STOP], order[b.O_TARGET]
        opened = open_position(t, s, order, price, lots, stop, target, account, positions, counts, costs[0] * lots, 0.0, events, n)
        if opened < 0:
            n = note(t, REFUSED, s, order[b.O_TICKET], side, lots, price, BOOK_FULL, order[b.O_REASON], stop, target, events, n)
        else:
            n = opened
            p = positions[s, counts[s, 0] - 1]
            if not is_none(target):
                account[b.A_BACK_KEY] += 1.0
                p[b.P_TARGET_KEY] = account[b.A_BACK_KEY]
            if not is_none(stop):
                account[b.A_FRONT_KEY] -= 1.0
                p[b.P_STOP_KEY] = account[b.A_FRONT_KEY]
            if not (is_none(stop) and is_none(target)):
                if kind == MARKET:
                    reprocess = True
                elif kind == STOP and not is_none(target):
                    # backtesting.py's own comparison, kept as it is: the target was passed and the stop was not touched.
                    floor = -np.inf if is_none(stop) else stop
                    ceiling = np.inf if is_none(stop) else stop
                    reprocess = (target <= h and floor < low) if side > 0 else (target >= low and ceiling > h)
    remove_row(orders, counts, s, 1, j)
    return n, reprocess
