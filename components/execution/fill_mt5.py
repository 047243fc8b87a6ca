"""The fill policy `mt5`, compiled: bid and ask, gaps at the open, and ambiguity inside a bar against the trader.

Within a row: positions whose stop or target lies beyond the open are closed there; market orders fill at the open; then stops, targets
and working orders inside the bar. Buys, buy stops and exits of shorts trigger and fill on ask, everything else on bid.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np

from components.execution.moves import (
    ask_of,
    close_part,
    find_ticket,
    is_none,
    margin_used,
    note,
    open_position,
    remove_row,
    round_to,
    units_of,
    unrealised,
)
from components.fx import EventKind, ExitKind, OrderKind, Refusal
from components.fx import book as b
from components.strategy import lean, lean_inline

MARKET, STOP = int(OrderKind.MARKET), int(OrderKind.STOP)
EXIT_STOP, EXIT_TARGET = int(ExitKind.STOP), int(ExitKind.TARGET)
REFUSED = int(EventKind.REFUSED)
NO_MARGIN, BOOK_FULL, UNKNOWN_TICKET = int(Refusal.NO_MARGIN), int(Refusal.BOOK_FULL), int(Refusal.UNKNOWN_TICKET)
AGAINST = 0


@lean
def choose_exit(can_stop, sure_stop, can_target, sure_target, resolution):
    """Which exit happens inside a bar, and whether the bar leaves room for another answer.

    Parameters
    ----------
    can_stop, sure_stop : bool
        Whether the bar's prices allow the stop to be hit while the position was open, and whether they prove it.
    can_target, sure_target : bool
        The same for the target.
    resolution : int
        0 decides against the trader, 1 for the trader.

    Returns
    -------
    tuple of (int, bool)
        0, `ExitKind.STOP` or `ExitKind.TARGET`; and whether the bar is ambiguous.
    """
    ambiguous = (can_stop and (can_target or not sure_stop)) or (can_target and not sure_target)
    if resolution == AGAINST:
        # Ambiguity goes against the trader: a possible stop counts, a target only where it is proven.
        if can_stop:
            return EXIT_STOP, ambiguous
        return (EXIT_TARGET if sure_target else 0), ambiguous
    if can_target:
        return EXIT_TARGET, ambiguous
    return (EXIT_STOP if sure_stop else 0), ambiguous


@lean_inline
def exit_of(side, stop, target, can_stop, sure_stop, can_target, sure_target, at_open, o, slip, digits, resolution):
    """What the row does with a position's stop and target, of which `hits` says what its prices allow; `o` is the open on its exit side.

    Returns
    -------
    tuple of (int, float, float, bool)
        0, `ExitKind.STOP` or `ExitKind.TARGET`; its fill price and its level, which mean nothing where it is 0; whether the row is ambiguous.
    """
    kind, ambiguous = choose_exit(can_stop, sure_stop, can_target, sure_target, resolution)
    if kind == EXIT_STOP:
        price = o if at_open and (o - stop) * side < 0 else stop
        return kind, round_to(price - side * slip, digits), stop, ambiguous
    price = o if at_open and (o - target) * side > 0 else target
    return kind, price, target, ambiguous


@lean_inline
def exit_inside(
    t, s, k, can_stop, sure_stop, can_target, sure_target, at_open, o, account, positions, counts, specs, costs, slip, rate, resolution, events, n
):
    """Close position k where `exit_of` says so."""
    p = positions[s, k]
    kind, price, level, ambiguous = exit_of(
        p[b.P_SIDE], p[b.P_STOP], p[b.P_TARGET], can_stop, sure_stop, can_target, sure_target, at_open, o, slip, specs[s, b.S_DIGITS], resolution
    )
    if kind == 0:
        return n, ambiguous
    cost = costs[0] * p[b.P_LOTS]
    flag = 1.0 if ambiguous else 0.0
    n = close_part(t, s, k, price, p[b.P_LOTS], rate, kind, level, 0.0, cost, account, positions, counts, specs, flag, events, n)
    return n, ambiguous


@lean_inline
def hits(side, stop, target, o, h, low):
    """Whether the prices of a row (those of the position's exit side) reach its stop and its target, and whether the open does."""
    if side > 0:
        hit_stop, hit_target, open_stop, open_target = low <= stop, h >= target, o <= stop, o >= target
    else:
        hit_stop, hit_target, open_stop, open_target = h >= stop, low <= target, o >= stop, o <= target
    if open_stop or open_target:
        # The open comes before everything else in the bar, so nothing is ambiguous.
        return open_stop, open_target, True
    return hit_stop, hit_target, False


@lean_inline
def check_position(t, s, k, bid_o, bid_h, bid_l, spread, account, positions, counts, specs, costs, slip, rate, resolution, events, n):
    """Stop and target of a position that was open during the whole row."""
    p = positions[s, k]
    o, h, low = bid_o, bid_h, bid_l
    if p[b.P_SIDE] < 0:
        o, h, low = ask_of(bid_o, spread), ask_of(bid_h, spread), ask_of(bid_l, spread)
    hit_stop, hit_target, at_open = hits(p[b.P_SIDE], p[b.P_STOP], p[b.P_TARGET], o, h, low)
    return exit_inside(
        t, s, k, hit_stop, hit_stop, hit_target, hit_target, at_open, o, account, positions, counts, specs, costs, slip, rate, resolution, events, n
    )


@lean_inline
def covers(free, units, price, rate, margin_rate, leverage):
    """Whether free margin covers a new position."""
    return units * price * rate * margin_rate / leverage <= free


@lean
def has_margin(lots, price, s, account, positions, counts, marks, specs):
    """`covers` with the free margin of the account."""
    leverage = account[b.A_LEVERAGE]
    equity = account[b.A_BALANCE] + unrealised(positions, counts, marks, specs, False)
    free = equity - margin_used(positions, counts, marks, specs, leverage)
    return covers(free, units_of(lots, specs[s, b.S_CONTRACT_SIZE]), price, marks[s, 2], specs[s, b.S_MARGIN_RATE], leverage)


@lean_inline
def bracket_of(side, price, stop, target, stop_distance, target_distance, digits):
    """Stop and target of a position opened at `price`: those of its order, or their distances from the fill."""
    if is_none(stop) and not is_none(stop_distance):
        stop = round_to(price - side * stop_distance, digits)
    if is_none(target) and not is_none(target_distance):
        target = round_to(price + side * target_distance, digits)
    return stop, target


@lean_inline
def at_market(side, bid, ask, slip, digits):
    """Fill price of a market order of `side`."""
    return round_to((ask if side > 0 else bid) + side * slip, digits)


@lean_inline
def enter(t, s, j, price, ambiguous, account, positions, orders, counts, marks, specs, costs, events, n):
    """Fill entry order j at `price`; it leaves the book, opened or refused. Returns the new number of events and whether it opened."""
    o = orders[s, j]
    side = o[b.O_SIDE]
    stop, target = bracket_of(side, price, o[b.O_STOP], o[b.O_TARGET], o[b.O_STOP_DISTANCE], o[b.O_TARGET_DISTANCE], specs[s, b.S_DIGITS])
    refusal = 0
    if not has_margin(o[b.O_LOTS], price, s, account, positions, counts, marks, specs):
        refusal = NO_MARGIN
    elif counts[s, 0] >= positions.shape[1]:
        refusal = BOOK_FULL
    if refusal != 0:
        n = note(t, REFUSED, s, o[b.O_TICKET], side, o[b.O_LOTS], price, refusal, o[b.O_REASON], stop, target, events, n)
        remove_row(orders, counts, s, 1, j)
        return n, False
    cost = costs[0] * o[b.O_LOTS]
    n = open_position(t, s, o, price, o[b.O_LOTS], stop, target, account, positions, counts, cost, ambiguous, events, n)
    remove_row(orders, counts, s, 1, j)
    return n, True


@lean_inline
def match_mt5(t, s, bid_o, bid_h, bid_l, bid_c, spread, slip, rate, account, positions, orders, counts, marks, specs, costs, resolution, events, n):
    """Let one row of one symbol meet the book.

    Parameters
    ----------
    t, s : int
        Row and symbol.
    bid_o, bid_h, bid_l, bid_c : float
        Bid prices of the row.
    spread : float
        Ask less bid, in price units.
    slip : float
        Taken against the trader on market and stop fills, in price units.
    rate : float
        Account units per unit of profit currency.
    account, positions, orders, counts, marks, specs, costs : ndarray
        The book, the instruments and `Costs.as_row()`.
    resolution : int
        0 resolves ambiguity against the trader, 1 for the trader.
    events : ndarray, shape (capacity, EVENT_FIELDS)
    n : int
        Events so far.

    Returns
    -------
    tuple of (int, bool)
        The new number of events, and whether anything in this row was ambiguous.
    """
    any_ambiguous = False
    if counts[s, 0] == 0 and counts[s, 1] == 0:
        return n, False
    digits = specs[s, b.S_DIGITS]
    ask_o, ask_h, ask_l, ask_c = (
        ask_of(bid_o, spread),
        ask_of(bid_h, spread),
        ask_of(bid_l, spread),
        ask_of(bid_c, spread),
    )
    # 1. Positions whose stop or target the open already passed; closes of positions and market entries fill at the open.
    k = 0
    while k < counts[s, 0]:
        p = positions[s, k]
        o = bid_o if p[b.P_SIDE] > 0 else ask_o
        _, _, beyond = hits(p[b.P_SIDE], p[b.P_STOP], p[b.P_TARGET], o, o, o)
        before = counts[s, 0]
        if beyond:
            n, ambiguous = check_position(
                t, s, k, bid_o, bid_h, bid_l, spread, account, positions, counts, specs, costs, slip, rate, resolution, events, n
            )
            any_ambiguous = any_ambiguous or ambiguous
        if counts[s, 0] == before:
            k += 1
    j = 0
    while j < counts[s, 1]:
        o = orders[s, j]
        if o[b.O_KIND] != MARKET:
            j += 1
            continue
        side = o[b.O_SIDE]
        price = at_market(side, bid_o, ask_o, slip, digits)
        if is_none(o[b.O_POSITION]):
            n, _ = enter(t, s, j, price, 0.0, account, positions, orders, counts, marks, specs, costs, events, n)
            continue
        k = find_ticket(positions, counts, s, 0, o[b.O_POSITION])
        if k >= 0:
            lots = positions[s, k, b.P_LOTS] if is_none(o[b.O_LOTS]) else min(o[b.O_LOTS], positions[s, k, b.P_LOTS])
            cost = costs[0] * lots
            n = close_part(t, s, k, price, lots, rate, o[b.O_EXIT], np.nan, o[b.O_TICKET], cost, account, positions, counts, specs, 0.0, events, n)
        else:
            # Its stop or target took the position at this very open: the close is answered, or whoever asked would wait for ever.
            n = note(t, REFUSED, s, o[b.O_TICKET], side, 0.0, price, UNKNOWN_TICKET, o[b.O_REASON], np.nan, np.nan, events, n)
        remove_row(orders, counts, s, 1, j)
    # 2. Stops and targets inside the bar, of everything that was open from the bar's first price on.
    k = 0
    while k < counts[s, 0]:
        before = counts[s, 0]
        n, ambiguous = check_position(
            t, s, k, bid_o, bid_h, bid_l, spread, account, positions, counts, specs, costs, slip, rate, resolution, events, n
        )
        any_ambiguous = any_ambiguous or ambiguous
        if counts[s, 0] == before:
            k += 1
    # 3. Stop and limit entries, with their own stop and target in the rest of the bar.
    j = 0
    while j < counts[s, 1]:
        o = orders[s, j]
        side, level = o[b.O_SIDE], o[b.O_PRICE]
        eo, eh, el = (ask_o, ask_h, ask_l) if side > 0 else (bid_o, bid_h, bid_l)
        is_stop_entry = o[b.O_KIND] == STOP
        upward = (side > 0) == is_stop_entry
        touched = eh >= level if upward else el <= level
        if not touched:
            j += 1
            continue
        at_open = eo >= level if upward else eo <= level
        price = eo if at_open else level
        if is_stop_entry:
            price = round_to(price + side * slip, digits)
        n, opened = enter(t, s, j, price, 0.0, account, positions, orders, counts, marks, specs, costs, events, n)
        if not opened:
            continue
        k = counts[s, 0] - 1
        p = positions[s, k]
        xh, xl, xc = (bid_h, bid_l, bid_c) if side > 0 else (ask_h, ask_l, ask_c)
        if at_open:
            n, ambiguous = check_position(
                t, s, k, bid_o, bid_h, bid_l, spread, account, positions, counts, specs, costs, slip, rate, resolution, events, n
            )
        else:
            if side > 0:
                can_stop, can_target, end_stop, end_target = xl <= p[b.P_STOP], xh >= p[b.P_TARGET], xc <= p[b.P_STOP], xc >= p[b.P_TARGET]
            else:
                can_stop, can_target, end_stop, end_target = xh >= p[b.P_STOP], xl <= p[b.P_TARGET], xc >= p[b.P_STOP], xc <= p[b.P_TARGET]
            # A stop entry is reached moving towards its target: touching the target afterwards is proven, touching the stop is proven
            # only by the close. A limit entry is reached moving towards its stop, so there it is the other way round.
            sure_stop = can_stop if not is_stop_entry else end_stop
            sure_target = can_target if is_stop_entry else end_target
            # Price of the exit side at the moment of the fill; a stop nearer than the spread is passed by it already.
            at_fill = ask_of(level, -side * spread)
            is_passed = (at_fill - p[b.P_STOP]) * side <= 0
            if is_passed:
                can_stop, sure_stop, can_target, sure_target = True, True, False, False
            n, ambiguous = exit_inside(
                t,
                s,
                k,
                can_stop,
                sure_stop,
                can_target,
                sure_target,
                is_passed,
                at_fill,
                account,
                positions,
                counts,
                specs,
                costs,
                slip,
                rate,
                resolution,
                events,
                n,
            )
        any_ambiguous = any_ambiguous or ambiguous
    return n, any_ambiguous
