"""Plain trades without a book, compiled: one symbol, one position at a time, market entries with stop and target.

What most backtests do needs no queue of orders and no rows of positions: `trade_plainly` holds its one position in registers and writes the book
when it hands over. Prices, sizes, limits, margin and events come from the functions that the step calls too; its own is the order in which they
are called. It must leave exactly the events, the equity and the book that the step would leave; tests hold it to that, bit for bit.

What it does not know it leaves to the step: a turn of the day with a position or a wish, a row without a bar, events without room. A row after
whose fills the margin level or the equity may end the account, or whose wishes would have to wait over such a border, it hands over half done.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import math

import numpy as np

from components.execution.birth import MARKET, PLACED, REFUSED, REVERSAL, SIGNAL, at, entry_of
from components.execution.fill_mt5 import NO_MARGIN, UNKNOWN_TICKET, at_market, bracket_of, covers, exit_of, hits
from components.execution.fill_reference import EXIT_STOP, EXIT_TARGET, free_of, is_too_dear, level_met
from components.execution.glide import REFERENCE, day_after, leave, next_wish, pass_flat, pass_held
from components.execution.moves import ask_of, gain_of, mark, note, note_closed, note_opened, units_of
from components.fx import book as b
from components.risk import Z_MAX_POSITIONS, has_account_limits
from components.strategy import lean_inline

# What became of the row at which `trade_plainly` stopped.
UNTOUCHED, MATCHED, MATCHED_UNSURE = 0, 1, 2
# More events than one row of plain trades can make.
MOST_EVENTS = 8


@lean_inline
def are_plain(decisions, sizing, limits, orders):
    """Whether decisions can only make plain trades: market entries that do not trail, one at a time, under no limit of the whole account."""
    if decisions.entry.shape[0] > 1 or decisions.entry[0, 0] != MARKET or decisions.trail.shape[0] > 1 or not math.isnan(decisions.trail[0, 0]):
        return False
    # A close and an entry wait side by side.
    return sizing[Z_MAX_POSITIONS] == 1.0 and orders.shape[1] >= 2 and not has_account_limits(limits)


@lean_inline
def is_of_day(t, last, today, market):
    """Whether row t is there, has a bar, and belongs to this day."""
    if t >= last or math.isnan(market.open[np.uint64(t), 0]):
        return False
    return market.day_id[t if market.day_id.shape[0] > 1 else 0] == today


@lean_inline
def exit_in_row(held, stop, target, leaving, o, h, low, spread, slip, digits, policy, resolution):
    """How a row ends the one position, whose closing was asked for where `leaving` is not 0.

    Returns
    -------
    tuple of (float, float, float, bool)
        0 or the `ExitKind`; fill price and the level that was hit, NaN for none, which mean nothing where it is 0; whether the row is ambiguous.
    """
    if policy == REFERENCE:
        if leaving != 0.0:
            return leaving, o, np.nan, False
        is_met, price = level_met(o, h, low, stop, held > 0)
        if is_met:
            return float(EXIT_STOP), price, stop, False
        is_met, price = level_met(o, h, low, target, held < 0)
        return (float(EXIT_TARGET) if is_met else 0.0), price, target, False
    bid = o
    if held < 0:
        o, h, low = ask_of(o, spread), ask_of(h, spread), ask_of(low, spread)
    hit_stop, hit_target, at_open = hits(held, stop, target, o, h, low)
    if leaving != 0.0 and not at_open:
        return leaving, at_market(-held, bid, o, slip, digits), np.nan, False
    kind, price, level, unsure = exit_of(held, stop, target, hit_stop, hit_stop, hit_target, hit_target, at_open, o, slip, digits, resolution)
    return float(kind), price, level, unsure


@lean_inline
def is_troubled(worth, held, units, entry, swap, balance, h, low, c, spread, rate, margin_rate, leverage, level_out, policy):
    """Whether an account that is worth `worth` after a row is stopped out in it, as `settle` would say."""
    if not worth > 0.0:
        return True
    if policy == REFERENCE or held == 0.0 or not level_out > 0.0:
        return False
    worst = balance + (gain_of(held, units, entry, low if held > 0 else ask_of(h, spread), rate) + swap)
    return not worst >= level_out * (units * c * rate * margin_rate / leverage)


@lean_inline
def trade_plainly(
    t, wished, last, market, decisions, account, positions, counts, marks, specs, costs, sizing, limits, policy, resolution, events, n, spare, equity,
    tally,
):  # fmt: skip
    """Run rows from `t` on as long as nothing but plain trades happens. Only where `are_plain`, `can_glide` and `t` may have wishes.

    Parameters
    ----------
    t, wished, last : int
        First row; the next row with wishes, as `next_wish` says, or any row before `t`; end of the rows.
    spare : int
        Room that must be left to the step, for the events of one row.
    market, decisions, account, positions, ...
        As for `rows_by_rules`.

    Returns
    -------
    tuple of (int, int, int, int)
        The first row that is not finished; `wished` for it; the number of events; and what became of that row: UNTOUCHED, or MATCHED
        (MATCHED_UNSURE where it was ambiguous): its fills are done, what comes after them is not.
    """
    contract, digits, margin_rate = specs[0, b.S_CONTRACT_SIZE], specs[0, b.S_DIGITS], specs[0, b.S_MARGIN_RATE]
    commission, leverage, level_out = costs[0], account[b.A_LEVERAGE], account[b.A_STOP_OUT_LEVEL]
    has_spreads, has_rates, has_slips = market.spread.shape[0] > 1, market.rate.shape[0] > 1, market.slip.shape[0] > 1
    balance, worth, today, day_start = account[b.A_BALANCE], account[b.A_EQUITY], account[b.A_DAY_ID], account[b.A_DAY_START_EQUITY]
    next_ticket, front, back = account[b.A_NEXT_TICKET], account[b.A_FRONT_KEY], account[b.A_BACK_KEY]
    first, became, was_held, is_new = t, UNTOUCHED, counts[0, 0] > 0, False
    p = positions[0, 0]
    held, ticket, lots, entry, stop, target, swap = 0.0, 0.0, 0.0, 0.0, np.nan, np.nan, 0.0
    reason, open_row, entry_cost, stop_key, target_key, born = 0.0, 0.0, 0.0, np.nan, np.nan, 0.0
    if was_held:
        held, ticket, lots, entry, stop, target, swap = (
            p[b.P_SIDE], p[b.P_TICKET], p[b.P_LOTS], p[b.P_ENTRY], p[b.P_STOP], p[b.P_TARGET], p[b.P_SWAP],
        )  # fmt: skip
        reason, open_row, entry_cost = p[b.P_REASON], p[b.P_OPEN_ROW], p[b.P_ENTRY_COST]
    most = events.shape[0] - spare - MOST_EVENTS
    while became == UNTOUCHED:
        if wished < t:
            wished = next_wish(t, last, decisions, market)
        if held == 0.0:
            before = t
            t = pass_flat(t, wished, market, worth, equity)
            if t > before:
                today, day_start = day_after(t, market, worth, today, day_start)
        else:
            t = pass_held(t, wished, market, held, lots, entry, stop, target, swap, balance, today, level_out, leverage, specs, policy, equity)
        if n > most or not is_of_day(t, last, today, market):
            break
        # Row by row, as long as a close (`leaving` is its `ExitKind`) or an entry (`entering` is its side) waits for the next open.
        leaving, leaving_ticket, entering, entering_ticket, new_lots, new_reason, new_born = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        new_stop, new_target, new_stop_distance, new_target_distance = np.nan, np.nan, np.nan, np.nan
        while True:
            row, zero = np.uint64(t), np.uint64(0)
            o, h, low, c = market.open[row, 0], market.high[row, 0], market.low[row, 0], market.close[row, 0]
            spread, rate = market.spread[row if has_spreads else zero, 0], market.rate[row if has_rates else zero, 0]
            slip = market.slip[row if has_slips else zero, 0]
            unsure = False
            # First what was held, then the entry; once more for the stop and target of what this row opened.
            for _ in range(2):
                if held != 0.0:
                    kind, price, level, is_unsure = exit_in_row(held, stop, target, leaving, o, h, low, spread, slip, digits, policy, resolution)
                    unsure = unsure or is_unsure
                    if kind != 0.0:
                        gain, cost = gain_of(held, units_of(lots, contract), entry, price, rate), commission * lots
                        balance += gain - cost + swap
                        is_asked = kind == leaving
                        n = note_closed(
                            t, 0, ticket, leaving_ticket if is_asked else 0.0, held, lots, price, gain, entry_cost + cost, kind, reason, level,
                            1.0 if is_unsure else 0.0, open_row, entry, stop, target, swap, events, n,
                        )  # fmt: skip
                        if leaving != 0.0 and not is_asked:
                            price = at_market(-held, o, ask_of(o, spread), slip, digits)
                            n = note(t, REFUSED, 0, leaving_ticket, -held, 0.0, price, UNKNOWN_TICKET, 0.0, np.nan, np.nan, events, n)
                        held, leaving = 0.0, 0.0
                if entering == 0.0:
                    break
                side, entering = entering, 0.0
                units, cost, price = units_of(new_lots, contract), commission * new_lots, o
                if policy == REFERENCE:
                    is_refused = is_too_dear(units, price, rate, cost, free_of(balance, 0.0, 0.0, leverage), leverage)
                else:
                    price = at_market(side, o, ask_of(o, spread), slip, digits)
                    new_stop, new_target = bracket_of(side, price, new_stop, new_target, new_stop_distance, new_target_distance, digits)
                    is_refused = not covers(balance, units, price, rate, margin_rate, leverage)
                if is_refused:
                    n = note(t, REFUSED, 0, entering_ticket, side, new_lots, price, NO_MARGIN, new_reason, new_stop, new_target, events, n)
                    break
                held, ticket, lots, entry, stop, target, swap = side, entering_ticket, new_lots, price, new_stop, new_target, 0.0
                reason, open_row, entry_cost, born, is_new = new_reason, float(t), cost, new_born, True
                stop_key, target_key = np.nan, np.nan
                balance -= cost
                n = note_opened(t, 0, ticket, held, lots, price, cost, reason, np.nan, 0.0, stop, target, events, n)
                if policy == REFERENCE:
                    if not math.isnan(target):
                        back += 1.0
                        target_key = back
                    if not math.isnan(stop):
                        front -= 1.0
                        stop_key = front
            ask = c if policy == REFERENCE else ask_of(c, spread)
            units, worth = units_of(lots, contract), balance
            if held != 0.0:
                worth = balance + (gain_of(held, units, entry, c if held > 0 else ask, rate) + swap)
            is_wished = t == wished
            if (
                is_troubled(worth, held, units, entry, swap, balance, h, low, c, spread, rate, margin_rate, leverage, level_out, policy)
                or n > most
                or (is_wished and not is_of_day(t + 1, last, today, market))
            ):
                became = MATCHED_UNSURE if unsure else MATCHED
                break
            equity[row] = worth
            if unsure:
                for i in range(3):
                    tally[i] += 1
            t += 1
            if not is_wished:
                break
            bar = t - 1
            wished = next_wish(t, last, decisions, market)
            side, out = at(decisions.side, bar, 0), at(decisions.exit, bar, 0)
            if out != 0 and held == out:
                leaving, leaving_ticket = float(REVERSAL if side == -out else SIGNAL), next_ticket
                front -= 1.0
                next_ticket += 1.0
                n = note(bar, PLACED, 0, leaving_ticket, -held, np.nan, np.nan, ticket, 0.0, np.nan, np.nan, events, n)
            if side != 0 and (held == 0.0 or leaving != 0.0):
                new_reason = float(at(decisions.reason, bar, 0))
                new_stop_distance, new_target_distance = at(decisions.stop_distance, bar, 0), at(decisions.target_distance, bar, 0)
                _, new_stop, new_target, _, _, new_lots, refused = entry_of(
                    side, MARKET, np.nan, at(decisions.stop, bar, 0), at(decisions.target, bar, 0), new_stop_distance, new_target_distance, np.nan,
                    at(decisions.size_fraction, bar, 0), c, ask, rate, worth, 0, specs, sizing, limits, policy,
                )  # fmt: skip
                if refused != 0:
                    n = note(bar, REFUSED, 0, np.nan, side, new_lots, np.nan, refused, new_reason, new_stop, new_target, events, n)
                else:
                    entering, entering_ticket, new_born = float(side), next_ticket, float(bar)
                    back += 1.0
                    next_ticket += 1.0
                    n = note(bar, PLACED, 0, entering_ticket, entering, new_lots, np.nan, np.nan, new_reason, new_stop, new_target, events, n)
            if leaving == 0.0 and entering == 0.0:
                break
    account[b.A_BALANCE], account[b.A_EQUITY], account[b.A_DAY_ID], account[b.A_DAY_START_EQUITY] = balance, worth, today, day_start
    account[b.A_NEXT_TICKET], account[b.A_FRONT_KEY], account[b.A_BACK_KEY] = next_ticket, front, back
    # A position that came in and is still there keeps its row.
    if is_new or held == 0.0:
        if was_held or is_new:
            p[:] = np.nan
        counts[0, 0] = 0
        if held != 0.0:
            p[b.P_SIDE], p[b.P_TICKET], p[b.P_LOTS], p[b.P_ENTRY], p[b.P_STOP], p[b.P_TARGET], p[b.P_SWAP] = (
                held, ticket, lots, entry, stop, target, swap,
            )  # fmt: skip
            p[b.P_REASON], p[b.P_OPEN_ROW], p[b.P_ENTRY_COST], p[b.P_BORN_BAR] = reason, open_row, entry_cost, born
            p[b.P_STOP_KEY], p[b.P_TARGET_KEY] = stop_key, target_key
            counts[0, 0] = 1
    if became != UNTOUCHED:
        leave(t, market, marks, policy)
    elif t > first:
        leave(t - 1, market, marks, policy)
        mark(account, positions, counts, marks, specs, policy == REFERENCE)
    return t, wished, n, became
