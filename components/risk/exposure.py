"""Limits on the whole account, compiled: what all its positions and working entries come to when one more order is born."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import math

from components.fx import Action, Refusal
from components.fx import book as b
from components.risk.sizing import L_MAX_CURRENCY_EXPOSURE, L_MAX_OPEN_RISK, L_MAX_TOTAL_POSITIONS, stop_distance_of
from components.strategy import lean, lean_inline

CLOSE, CANCEL, OPEN = int(Action.CLOSE), int(Action.CANCEL), int(Action.OPEN)
OPEN_RISK, TOTAL_POSITIONS, CURRENCY_EXPOSURE = int(Refusal.OPEN_RISK), int(Refusal.TOTAL_POSITIONS), int(Refusal.CURRENCY_EXPOSURE)
# Room for the noise of sums, as in `check_birth`.
ROOM = 1.0 + 1e-9


@lean
def lots_after(ticket, lots, orders, n_orders, requests, n):
    """Lots of a position that are left once every close that works or was just asked for is done."""
    for j in range(n_orders):
        if orders[j, b.O_POSITION] == ticket:
            lots = 0.0 if math.isnan(orders[j, b.O_LOTS]) else lots - orders[j, b.O_LOTS]
    for i in range(n):
        if requests[i, b.R_ACTION] == CLOSE and requests[i, b.R_TICKET] == ticket:
            lots = 0.0 if math.isnan(requests[i, b.R_LOTS]) else lots - requests[i, b.R_LOTS]
    return max(lots, 0.0)


@lean
def is_cancelled(ticket, requests, n):
    """Whether the cancellation of an order has just been asked for."""
    for i in range(n):
        if requests[i, b.R_ACTION] == CANCEL and requests[i, b.R_TICKET] == ticket:
            return True
    return False


@lean_inline
def has_account_limits(limits):
    """Whether any limit is set that looks at the whole account."""
    return limits[L_MAX_OPEN_RISK] > 0.0 or limits[L_MAX_TOTAL_POSITIONS] > 0.0 or limits[L_MAX_CURRENCY_EXPOSURE] > 0.0


@lean
def check_account(limits, s, side, lots, price, distance, unstopped_move, account, positions, orders, counts, marks, specs, requests, n):
    """The limits of the whole account on an order of symbol s at its birth; 0 or the `Refusal` that stops it.

    What counts is the book as it will be once the requests so far are done: positions that are being closed are left out, working entries
    and entries just asked for are in.

    Parameters
    ----------
    limits : float64, shape (LIMIT_FIELDS,)
        `Limits.as_row()`; 0.0 is no limit.
    s, side, lots : int, float, float
        Symbol, +1 or −1, and size of the new order.
    price, distance : float
        Where the order would fill and how far its stop is, in price units.
    unstopped_move : float
        Price move, as a share of price, that stands for the stop of a position without one.
    account, positions, orders, counts, marks, specs : ndarray
        The book of all symbols.
    requests : float64, shape (capacity, REQUEST_FIELDS)
        Asked for at this bar's close for symbol s, n of them.

    Notes
    -----
    Risk of a position is what equity would lose if its stop were hit from the price of now, never below 0. The net exposure of a currency is
    the value bought of it less the value sold, over all pairs, in account currency; an order that brings it nearer to zero is never refused.
    """
    if not has_account_limits(limits):
        return 0
    base, profit = specs[s, b.S_BASE], specs[s, b.S_PROFIT]
    risk, held, net_base, net_profit = 0.0, 0, 0.0, 0.0
    for q in range(counts.shape[0]):
        unit = specs[q, b.S_CONTRACT_SIZE] * marks[q, 2]
        asked = n if q == s else 0
        for kind in range(3):
            count = counts[q, 0] if kind == 0 else (counts[q, 1] if kind == 1 else asked)
            for k in range(count):
                if kind == 0:
                    p = positions[q, k]
                    is_long, its_lots = p[b.P_SIDE] > 0, lots_after(p[b.P_TICKET], p[b.P_LOTS], orders[q], counts[q, 1], requests, asked)
                    at = marks[q, 0] if is_long else marks[q, 1]
                    away = at * unstopped_move if math.isnan(p[b.P_STOP]) else max(0.0, (at - p[b.P_STOP]) * p[b.P_SIDE])
                elif kind == 1:
                    o = orders[q, k]
                    if not math.isnan(o[b.O_POSITION]) or is_cancelled(o[b.O_TICKET], requests, asked):
                        continue
                    is_long, its_lots = o[b.O_SIDE] > 0, o[b.O_LOTS]
                    at = o[b.O_PRICE]
                    if math.isnan(at):
                        at = marks[q, 1] if is_long else marks[q, 0]
                    away = stop_distance_of(at, o[b.O_STOP], o[b.O_STOP_DISTANCE], unstopped_move)
                else:
                    r = requests[k]
                    if r[b.R_ACTION] != OPEN or r[b.R_REFUSED] != 0.0:
                        continue
                    is_long, its_lots = r[b.R_SIDE] > 0, r[b.R_LOTS]
                    at = r[b.R_PRICE]
                    if math.isnan(at):
                        at = marks[q, 1] if is_long else marks[q, 0]
                    away = stop_distance_of(at, r[b.R_STOP], r[b.R_STOP_DISTANCE], unstopped_move)
                if not its_lots > 0.0:
                    continue
                held += 1
                risk += its_lots * unit * away
                value = its_lots * unit * at * (1.0 if is_long else -1.0)
                if specs[q, b.S_BASE] == base:
                    net_base += value
                elif specs[q, b.S_PROFIT] == base:
                    net_base -= value
                if specs[q, b.S_PROFIT] == profit:
                    net_profit -= value
                elif specs[q, b.S_BASE] == profit:
                    net_profit += value
    equity = account[b.A_EQUITY]
    if limits[L_MAX_TOTAL_POSITIONS] > 0.0 and held + 1 > limits[L_MAX_TOTAL_POSITIONS]:
        return TOTAL_POSITIONS
    unit = specs[s, b.S_CONTRACT_SIZE] * marks[s, 2]
    if limits[L_MAX_OPEN_RISK] > 0.0 and not risk + lots * unit * distance <= equity * limits[L_MAX_OPEN_RISK] * ROOM:
        return OPEN_RISK
    if limits[L_MAX_CURRENCY_EXPOSURE] > 0.0:
        most = equity * limits[L_MAX_CURRENCY_EXPOSURE] * ROOM
        value = lots * unit * price * side
        if base != account[b.A_CURRENCY] and abs(net_base + value) > max(most, abs(net_base)):
            return CURRENCY_EXPOSURE
        if profit != account[b.A_CURRENCY] and abs(net_profit - value) > max(most, abs(net_profit)):
            return CURRENCY_EXPOSURE
    return 0
