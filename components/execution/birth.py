"""From wishes to requests to orders, compiled once for backtest, paper and live.

`close_bar` turns the decisions of one closed bar (and `manage`) into sized, limited requests; `apply_request` puts one request into the book.
In a backtest the requests are applied at once; live they travel as signals, and the terminal applies them.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import math

import numpy as np

from components.execution.moves import find_ticket, is_none, note, remove_row, round_to
from components.fx import Action, EventKind, ExitKind, OrderKind, Refusal
from components.fx import book as b
from components.risk import Z_MAX_POSITIONS, Z_UNSTOPPED_MOVE, accepted_lots, check_account, check_birth, lots_for, stop_distance_of
from components.strategy import begin_request, lean, lean_inline

OPEN, CLOSE, MODIFY, CANCEL = int(Action.OPEN), int(Action.CLOSE), int(Action.MODIFY), int(Action.CANCEL)
MARKET = int(OrderKind.MARKET)
STOP = int(OrderKind.STOP)
PLACED, MODIFIED, CANCELLED, REFUSED = int(EventKind.PLACED), int(EventKind.MODIFIED), int(EventKind.CANCELLED), int(EventKind.REFUSED)
SIGNAL, REVERSAL = int(ExitKind.SIGNAL), int(ExitKind.REVERSAL)
INVALID_STOPS, BOOK_FULL, UNKNOWN_TICKET = int(Refusal.INVALID_STOPS), int(Refusal.BOOK_FULL), int(Refusal.UNKNOWN_TICKET)
REFERENCE = 1


@lean_inline
def at(column, bar, s):
    """Value of a decision column at a bar; a column with one row is a constant."""
    return column[bar if column.shape[0] > 1 else 0, s]


@lean_inline
def put(requests, n, action, s, bar, ticket, side):
    """Start request n for a symbol and bar."""
    begin_request(requests, n, action, ticket, side)
    requests[n, b.R_SYMBOL] = s
    requests[n, b.R_BAR] = bar


@lean
def is_closing(ticket, s, orders, counts, requests, n):
    """Whether a close of this position already works or has just been asked for."""
    for k in range(counts[s, 1]):
        if orders[s, k, b.O_POSITION] == ticket:
            return True
    for i in range(n):
        if requests[i, b.R_ACTION] == CLOSE and requests[i, b.R_TICKET] == ticket and is_none(requests[i, b.R_LOTS]):
            return True
    return False


@lean
def is_cancelling(ticket, requests, n):
    """Whether a cancellation of this order has just been asked for."""
    for i in range(n):
        if requests[i, b.R_ACTION] == CANCEL and requests[i, b.R_TICKET] == ticket:
            return True
    return False


@lean
def sides_are_valid(side, reference_price, stop, target):
    """Whether stop and target lie on their own sides of the price."""
    if side > 0:
        return not (stop >= reference_price) and not (target <= reference_price)
    return not (stop <= reference_price) and not (target >= reference_price)


@lean
def has_width_at(distance, price, digits):
    """Whether a distance can be seen in the symbol's prices, or is not used: a true range of 0, as flat hours have it, makes no bracket."""
    return not is_none(price) or is_none(distance) or round_to(distance, digits) > 0


@lean_inline
def close_bar(bar, s, decisions, account, positions, orders, counts, marks, specs, sizing, limits, policy, has_manage, manage, params, requests):
    """Everything that a strategy asks for at the close of one bar.

    Parameters
    ----------
    bar : int
        Row of the decisions, which were made from what was known at its close.
    s : int
        Symbol.
    decisions : DecisionArrays
    account, positions, orders, counts, marks : ndarray
        The book as it stands at the close (see `Book`).
    specs, sizing, limits : ndarray
        Instruments, `Sizing.as_row()` and `Limits.as_row()`.
    policy : int
        0 `mt5`: prices are rounded to the symbol's digits; 1 `reference`: left as they are.
    has_manage : bool
    manage : compiled function
        ``manage(account, positions[s], counts[s, 0], orders[s], counts[s, 1], marks[s], bar, params, requests, n) -> n``
    params : float64, shape (p,)
        Parameters of `manage`.
    requests : ndarray, shape (capacity, REQUEST_FIELDS)
        Filled from row 0.

    Returns
    -------
    int
        Number of requests. One with `R_REFUSED` set was stopped by a limit and must not be applied.
    """
    n = 0
    for k in range(counts[s, 1]):
        o = orders[s, k]
        # A negative ticket is a live signal still on its way: it holds its place and cannot be cancelled.
        is_working = o[b.O_TICKET] > 0 and is_none(o[b.O_POSITION])
        if is_working and o[b.O_EXPIRY_BARS] > 0 and bar - o[b.O_BORN_BAR] >= o[b.O_EXPIRY_BARS]:
            put(requests, n, CANCEL, s, bar, o[b.O_TICKET], o[b.O_SIDE])
            n += 1
    for k in range(counts[s, 0]):
        p = positions[s, k]
        if not is_none(p[b.P_TRAIL]) and p[b.P_TRAIL] > 0:
            price = marks[s, 0] if p[b.P_SIDE] > 0 else marks[s, 1]
            stop = price - p[b.P_SIDE] * p[b.P_TRAIL]
            if policy != REFERENCE:
                stop = round_to(stop, specs[s, b.S_DIGITS])
            if is_none(p[b.P_STOP]) or (stop - p[b.P_STOP]) * p[b.P_SIDE] > 0:
                put(requests, n, MODIFY, s, bar, p[b.P_TICKET], p[b.P_SIDE])
                r = requests[n]
                r[b.R_STOP] = stop
                r[b.R_TARGET] = p[b.P_TARGET]
                n += 1
    if has_manage:
        before = n
        n = manage(account, positions[s], counts[s, 0], orders[s], counts[s, 1], marks[s], bar, params, requests, n)
        for i in range(before, n):
            _check_managed(i, bar, s, account, positions, orders, counts, marks, specs, sizing, limits, policy, requests)
    side = at(decisions.side, bar, s)
    out = at(decisions.exit, bar, s)
    if out != 0:
        for k in range(counts[s, 0]):
            p = positions[s, k]
            if p[b.P_SIDE] == out and not is_closing(p[b.P_TICKET], s, orders, counts, requests, n):
                put(requests, n, CLOSE, s, bar, p[b.P_TICKET], p[b.P_SIDE])
                r = requests[n]
                r[b.R_LOTS] = np.nan
                r[b.R_EXIT] = REVERSAL if side == -out else SIGNAL
                n += 1
        for k in range(counts[s, 1]):
            o = orders[s, k]
            if o[b.O_SIDE] == out and o[b.O_TICKET] > 0 and is_none(o[b.O_POSITION]) and not is_cancelling(o[b.O_TICKET], requests, n):
                put(requests, n, CANCEL, s, bar, o[b.O_TICKET], o[b.O_SIDE])
                n += 1
    if side != 0 and places_held(s, positions, orders, counts, requests, n) < sizing[Z_MAX_POSITIONS]:
        n = _enter(bar, s, side, decisions, account, positions, orders, counts, marks, specs, sizing, limits, policy, requests, n)
    return n


@lean
def places_held(s, positions, orders, counts, requests, n):
    """Positions and entries of a symbol that will be there once the requests so far are done."""
    held = 0
    for k in range(counts[s, 0]):
        if not is_closing(positions[s, k, b.P_TICKET], s, orders, counts, requests, n):
            held += 1
    for k in range(counts[s, 1]):
        if is_none(orders[s, k, b.O_POSITION]) and not is_cancelling(orders[s, k, b.O_TICKET], requests, n):
            held += 1
    for i in range(n):
        if requests[i, b.R_ACTION] == OPEN and requests[i, b.R_REFUSED] == 0:
            held += 1
    return held


@lean
def _check_managed(i, bar, s, account, positions, orders, counts, marks, specs, sizing, limits, policy, requests):
    """Bring a request of `manage` into form: prices to digits, lots to steps, and the limits that every order meets at birth."""
    r = requests[i]
    r[b.R_SYMBOL] = s
    r[b.R_BAR] = bar
    if policy != REFERENCE:
        for field in (b.R_PRICE, b.R_STOP, b.R_TARGET):
            r[field] = round_to(r[field], specs[s, b.S_DIGITS])
    if r[b.R_ACTION] == CLOSE:
        if not r[b.R_LOTS] > 0:
            r[b.R_LOTS] = np.nan
        if r[b.R_EXIT] == 0:
            r[b.R_EXIT] = SIGNAL
    if r[b.R_ACTION] != OPEN:
        return
    side, price = r[b.R_SIDE], r[b.R_PRICE]
    if r[b.R_KIND] == MARKET:
        price = marks[s, 1] if side > 0 and policy != REFERENCE else marks[s, 0]
    r[b.R_LOTS] = accepted_lots(r[b.R_LOTS], specs[s, b.S_LOT_STEP], specs[s, b.S_LOT_MIN], specs[s, b.S_LOT_MAX])
    if is_none(price) or not sides_are_valid(side, price, r[b.R_STOP], r[b.R_TARGET]):
        r[b.R_REFUSED] = INVALID_STOPS
    elif places_held(s, positions, orders, counts, requests, i) >= sizing[Z_MAX_POSITIONS]:
        r[b.R_REFUSED] = BOOK_FULL
    else:
        distance = stop_distance_of(price, r[b.R_STOP], r[b.R_STOP_DISTANCE], sizing[Z_UNSTOPPED_MOVE])
        r[b.R_REFUSED] = check_birth(limits, account[b.A_EQUITY], r[b.R_LOTS], distance, specs[s, b.S_CONTRACT_SIZE], marks[s, 2])
        if r[b.R_REFUSED] == 0:
            r[b.R_REFUSED] = check_account(
                limits, s, side, r[b.R_LOTS], price, distance, sizing[Z_UNSTOPPED_MOVE], account, positions, orders, counts, marks, specs, requests, i
            )  # fmt: skip


@lean_inline
def entry_of(
    side, kind, price, stop, target, stop_distance, target_distance, trail, size_fraction, bid, ask, rate, equity, s, specs, sizing, limits, policy
):
    """What becomes of a wish to enter: its prices as the market takes them, its size, and what its own risk says to it.

    Returns
    -------
    tuple of (float, float, float, float, float, float, int)
        Price, stop and target; the price that it is valued at and the distance of its stop; lots; 0 or the `Refusal` that stops it.
    """
    digits = specs[s, b.S_DIGITS]
    if policy != REFERENCE:
        price = round_to(price, digits)
        stop = round_to(stop, digits)
        target = round_to(target, digits)
    valued = price
    if kind == MARKET:
        valued = ask if side > 0 and policy != REFERENCE else bid
    has_width = policy == REFERENCE or (
        has_width_at(stop_distance, stop, digits) and has_width_at(target_distance, target, digits) and has_width_at(trail, np.nan, digits)
    )
    if is_none(valued) or not has_width or not sides_are_valid(side, valued, stop, target):
        return price, stop, target, valued, np.nan, 0.0, INVALID_STOPS
    distance = stop_distance_of(valued, stop, stop_distance, sizing[Z_UNSTOPPED_MOVE])
    contract, step, least, most = specs[s, b.S_CONTRACT_SIZE], specs[s, b.S_LOT_STEP], specs[s, b.S_LOT_MIN], specs[s, b.S_LOT_MAX]
    lots = lots_for(sizing, equity, size_fraction, distance, contract, rate, step, least, most)
    return price, stop, target, valued, distance, lots, check_birth(limits, equity, lots, distance, contract, rate)


@lean_inline
def _enter(bar, s, side, decisions, account, positions, orders, counts, marks, specs, sizing, limits, policy, requests, n):
    kind = at(decisions.entry, bar, s)
    stop_distance, target_distance, trail = at(decisions.stop_distance, bar, s), at(decisions.target_distance, bar, s), at(decisions.trail, bar, s)
    price, stop, target, valued, distance, lots, refused = entry_of(
        side, kind, at(decisions.price, bar, s) if kind != MARKET else np.nan, at(decisions.stop, bar, s), at(decisions.target, bar, s), stop_distance,
        target_distance, trail, at(decisions.size_fraction, bar, s), marks[s, 0], marks[s, 1], marks[s, 2], account[b.A_EQUITY], s, specs, sizing,
        limits, policy,
    )  # fmt: skip
    put(requests, n, OPEN, s, bar, np.nan, side)
    r = requests[n]
    r[b.R_KIND] = kind
    r[b.R_PRICE] = price
    r[b.R_STOP] = stop
    r[b.R_TARGET] = target
    r[b.R_STOP_DISTANCE] = stop_distance
    r[b.R_TARGET_DISTANCE] = target_distance
    r[b.R_TRAIL] = trail
    r[b.R_EXPIRY_BARS] = at(decisions.expiry, bar, s)
    r[b.R_REASON] = at(decisions.reason, bar, s)
    r[b.R_LOTS] = lots
    if refused == 0:
        refused = check_account(
            limits, s, side, lots, valued, distance, sizing[Z_UNSTOPPED_MOVE], account, positions, orders, counts, marks, specs, requests, n
        )  # fmt: skip
    r[b.R_REFUSED] = refused
    return n + 1


@lean_inline
def apply_request(t, r, account, positions, orders, counts, marks, policy, events, n):
    """Put one request into the book at row t. Returns the new number of events; the last one says what became of the request."""
    s = int(r[b.R_SYMBOL])
    action = r[b.R_ACTION]
    ticket = r[b.R_TICKET]
    if r[b.R_REFUSED] != 0:
        return note(
            t, REFUSED, s, np.nan, r[b.R_SIDE], r[b.R_LOTS], r[b.R_PRICE], r[b.R_REFUSED], r[b.R_REASON], r[b.R_STOP], r[b.R_TARGET], events, n
        )
    if action == OPEN or action == CLOSE:
        if action == CLOSE and find_ticket(positions, counts, s, 0, ticket) < 0:
            return note(t, REFUSED, s, ticket, r[b.R_SIDE], 0.0, np.nan, UNKNOWN_TICKET, r[b.R_REASON], np.nan, np.nan, events, n)
        k = counts[s, 1]
        if k >= orders.shape[1]:
            return note(t, REFUSED, s, np.nan, r[b.R_SIDE], r[b.R_LOTS], r[b.R_PRICE], BOOK_FULL, r[b.R_REASON], np.nan, np.nan, events, n)
        o = orders[s, k]
        o[:] = np.nan
        o[b.O_TICKET] = account[b.A_NEXT_TICKET]
        o[b.O_BORN_BAR] = r[b.R_BAR]
        o[b.O_REASON] = r[b.R_REASON]
        o[b.O_EXIT] = r[b.R_EXIT]
        o[b.O_LOTS] = r[b.R_LOTS]
        if action == CLOSE:
            o[b.O_SIDE] = -r[b.R_SIDE]
            o[b.O_KIND] = MARKET
            o[b.O_POSITION] = ticket
            o[b.O_EXPIRY_BARS] = 0.0
            account[b.A_FRONT_KEY] -= 1.0
            o[b.O_KEY] = account[b.A_FRONT_KEY]
        else:
            o[b.O_SIDE] = r[b.R_SIDE]
            o[b.O_KIND] = r[b.R_KIND]
            o[b.O_PRICE] = r[b.R_PRICE]
            o[b.O_STOP] = r[b.R_STOP]
            o[b.O_TARGET] = r[b.R_TARGET]
            o[b.O_STOP_DISTANCE] = r[b.R_STOP_DISTANCE]
            o[b.O_TARGET_DISTANCE] = r[b.R_TARGET_DISTANCE]
            o[b.O_TRAIL] = r[b.R_TRAIL]
            o[b.O_EXPIRY_BARS] = r[b.R_EXPIRY_BARS]
            account[b.A_BACK_KEY] += 1.0
            o[b.O_KEY] = account[b.A_BACK_KEY]
        account[b.A_NEXT_TICKET] += 1.0
        counts[s, 1] = k + 1
        return note(
            t, PLACED, s, o[b.O_TICKET], o[b.O_SIDE], o[b.O_LOTS], o[b.O_PRICE], o[b.O_POSITION], o[b.O_REASON], o[b.O_STOP], o[b.O_TARGET], events, n
        )
    if action == CANCEL:
        k = find_ticket(orders, counts, s, 1, ticket)
        if k < 0:
            return note(t, REFUSED, s, ticket, r[b.R_SIDE], 0.0, np.nan, UNKNOWN_TICKET, r[b.R_REASON], np.nan, np.nan, events, n)
        n = note(
            t,
            CANCELLED,
            s,
            ticket,
            orders[s, k, b.O_SIDE],
            orders[s, k, b.O_LOTS],
            orders[s, k, b.O_PRICE],
            np.nan,
            r[b.R_REASON],
            np.nan,
            np.nan,
            events,
            n,
        )
        remove_row(orders, counts, s, 1, k)
        return n
    k = find_ticket(positions, counts, s, 0, ticket)
    if k < 0:
        return note(t, REFUSED, s, ticket, r[b.R_SIDE], 0.0, np.nan, UNKNOWN_TICKET, r[b.R_REASON], r[b.R_STOP], r[b.R_TARGET], events, n)
    p = positions[s, k]
    if policy != REFERENCE:
        price = marks[s, 0] if p[b.P_SIDE] > 0 else marks[s, 1]
        if not sides_are_valid(p[b.P_SIDE], price, r[b.R_STOP], r[b.R_TARGET]):
            return note(t, REFUSED, s, ticket, p[b.P_SIDE], p[b.P_LOTS], price, INVALID_STOPS, r[b.R_REASON], r[b.R_STOP], r[b.R_TARGET], events, n)
    _change(p, b.P_STOP, b.P_STOP_KEY, r[b.R_STOP], account, b.A_FRONT_KEY, -1.0)
    _change(p, b.P_TARGET, b.P_TARGET_KEY, r[b.R_TARGET], account, b.A_BACK_KEY, 1.0)
    return note(t, MODIFIED, s, ticket, p[b.P_SIDE], p[b.P_LOTS], np.nan, np.nan, r[b.R_REASON], p[b.P_STOP], p[b.P_TARGET], events, n)


@lean
def _change(p, field, key_field, value, account, counter, direction):
    if value == p[field] or (math.isnan(value) and math.isnan(p[field])):
        return
    p[field] = value
    account[counter] += direction
    p[key_field] = account[counter]
