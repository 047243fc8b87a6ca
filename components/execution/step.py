"""The step: (book, market, decisions, costs) → events, compiled, for backtest, twin replay and paper alike."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from components.execution.arrays import POLICIES, Book, Costs, DecisionArrays, Floats, MarketArrays, new_book, no_events, no_requests, spec_rows
from components.execution.birth import apply_request, at, close_bar
from components.execution.fill_mt5 import match_mt5
from components.execution.fill_reference import match_reference
from components.execution.moves import ask_of, mark, stop_out
from components.fx import AccountSpec, BadInput, Instrument
from components.fx import book as b
from components.risk import Limits, Sizing
from components.strategy import compiled_manage

REFERENCE = 1


@compiled_manage
def no_manage(account, positions, n_positions, orders, n_orders, marks, bar, params, requests, n):
    """The `manage` of a strategy that has none."""
    return n


@njit(cache=True, forceinline=True)
def advance(t, market, account, positions, orders, counts, marks, specs, costs, policy, netting, resolution, events, n):
    """Match one row of every symbol and mark the account. Returns the new number of events and whether the row was ambiguous."""
    ambiguous = False
    day = market.day_id[t if market.day_id.shape[0] > 1 else 0]
    if day != account[b.A_DAY_ID]:
        account[b.A_DAY_ID] = day
        account[b.A_DAY_START_EQUITY] = account[b.A_EQUITY]
    changed = False
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
                n = match_reference(t, s, o, h, low, c, rate, netting, account, positions, orders, counts, specs, events, n)
            else:
                if np.isnan(marks[s, 0]):
                    marks[s, 0], marks[s, 1] = o, ask_of(o, spread)
                n, unsure = match_mt5(
                    t, s, o, h, low, c, spread, rate, account, positions, orders, counts, marks, specs, costs, resolution, events, n
                )
                ambiguous = ambiguous or unsure
        marks[s, 0] = c
        marks[s, 1] = c if policy == REFERENCE else ask_of(c, spread)
    if changed:
        mark(account, positions, counts, marks, specs, policy == REFERENCE)
        if account[b.A_EQUITY] <= 0.0:
            n = stop_out(t, account, positions, orders, counts, marks, specs, costs, policy == REFERENCE, events, n)
            account[b.A_BALANCE] = 0.0
            account[b.A_EQUITY] = 0.0
            account[b.A_MARGIN] = 0.0
    return n, ambiguous


@njit(cache=True)
def is_quiet(bar, s, side, out, positions, counts, has_manage):
    """Whether nothing can be asked for at this close: no wish, no order, and no position that trails or is managed."""
    if at(side, bar, s) != 0 or at(out, bar, s) != 0 or counts[s, 1] > 0:
        return False
    if has_manage:
        return False
    for k in range(counts[s, 0]):
        if positions[s, k, b.P_TRAIL] > 0:
            return False
    return True


@njit(cache=True)
def run_rows(
    first, last, market, decisions, account, positions, orders, counts, marks, specs, costs, sizing, limits, policy, netting, resolution, first_bar,
    has_manage, manage, params, requests, events, n, equity, tally,
):  # fmt: skip
    """Rows `first` to `last` (excluded); stops early where the event array could overflow. Returns the next row and the number of events.

    tally : int64, shape (1,)
        Count of ambiguous rows, added to.
    """
    per_row = counts.shape[0] * (4 * positions.shape[1] + requests.shape[0])
    t = first
    while t < last:
        if n + per_row > events.shape[0]:
            return t, n
        n, ambiguous = advance(t, market, account, positions, orders, counts, marks, specs, costs, policy, netting, resolution, events, n)
        if ambiguous:
            tally[0] += 1
        equity[t] = account[b.A_EQUITY]
        if account[b.A_EQUITY] <= 0.0:
            for rest in range(t, last):
                equity[rest] = 0.0
            return last, n
        bar = t
        if market.decision_row.shape[0] > 0:
            bar = market.decision_row[t]
        if bar >= first_bar:
            for s in range(counts.shape[0]):
                if np.isnan(market.open[t, s]) or is_quiet(bar, s, decisions.side, decisions.exit, positions, counts, has_manage):
                    continue
                asked = close_bar(
                    bar, s, decisions, account, positions, orders, counts, marks, specs, sizing, limits, policy, has_manage, manage, params, requests
                )
                for i in range(asked):
                    n = apply_request(t, requests[i], account, positions, orders, counts, marks, policy, events, n)
        t += 1
    return t, n


class StepResult(NamedTuple):
    """What a run of the step left behind.

    events : float64, shape (m, EVENT_FIELDS)
    equity : float64, shape (n,)
        Account equity at the end of each row, in account currency.
    ambiguous_rows : int
        Rows in which the order of stop and target could not be told.
    book : Book
        The state after the last row.
    """

    events: Floats
    equity: Floats
    ambiguous_rows: int
    book: Book


def run_step(
    market: MarketArrays,
    decisions: DecisionArrays,
    instruments: list[Instrument],
    account: AccountSpec,
    *,
    costs: Costs | None = None,
    sizing: Sizing | None = None,
    limits: Limits | None = None,
    policy: str = "mt5",
    resolution: str = "against",
    manage: Any = None,
    params: NDArray[np.float64] | None = None,
    first_bar: int = 0,
    capacity: int = 8,
) -> StepResult:
    """Run one account over all rows of a market.

    Parameters
    ----------
    market : MarketArrays
        n rows of s symbols.
    decisions : DecisionArrays
        What the strategy wishes, bar by bar.
    instruments : list of Instrument
        One for each symbol.
    account : AccountSpec
    costs, sizing, limits : optional
        Defaults are those of their classes.
    policy : {'mt5', 'reference'}
    resolution : {'against', 'favour'}
        How ambiguity inside a bar is decided; only `mt5` knows it.
    manage : compiled function, optional
        Made with `compiled_manage`; called at every bar close.
    params : float64, shape (p,), optional
        Parameters of `manage`.
    first_bar : int
        Decisions before this bar are left out.
    capacity : int
        Positions and orders that one symbol can hold.

    Returns
    -------
    StepResult

    Raises
    ------
    BadInput
        If the policy, the resolution or a shape is wrong, or an `mt5` account nets (that is not simulated yet).
    """
    if policy not in POLICIES:
        raise BadInput("policy", f"{policy!r} is unknown; use 'mt5' or 'reference'")
    if resolution not in ("against", "favour"):
        raise BadInput("resolution", f"{resolution!r} is unknown; use 'against' or 'favour'")
    if policy == "mt5" and account.margin_mode == "netting":
        raise BadInput("account.margin_mode", "netting accounts are not simulated under the mt5 policy yet; use 'hedging'")
    rows, symbols = market.open.shape
    if symbols != len(instruments):
        raise BadInput("instruments", f"{len(instruments)} instruments for {symbols} symbols")
    bars = rows if len(market.decision_row) == 0 else int(market.decision_row.max(initial=-1)) + 1
    for name in decisions._fields:
        values = getattr(decisions, name)
        if values.shape != (1, symbols) and (values.shape[1] != symbols or values.shape[0] < bars):
            raise BadInput(f"decisions.{name}", f"shape {values.shape} does not cover {bars} bars of {symbols} symbols")
    costs, sizing, limits = costs or Costs(), sizing or Sizing(), limits or Limits()
    state = new_book(account, symbols, capacity=capacity)
    specs = spec_rows(instruments)
    if policy == "reference":
        distances = (decisions.stop_distance, decisions.target_distance)
        if not all(np.isnan(column).all() for column in distances):
            raise BadInput("stop_distance", "backtesting.py knows no distance from the fill; give prices in `stop` and `target`")
    requests = no_requests(4 * capacity + 8)
    events = no_events(max(4096, rows // 8) + symbols * (4 * capacity + len(requests)))
    equity = np.empty(rows)
    tally = np.zeros(1, dtype=np.int64)
    first, count = 0, 0
    while first < rows:
        first, count = run_rows(
            first, rows, market, decisions, *state, specs, costs.as_row(), sizing.as_row(), limits.as_row(), POLICIES[policy],
            account.margin_mode == "netting", 0 if resolution == "against" else 1, first_bar, manage is not None, manage or no_manage,
            np.zeros(1) if params is None else np.ascontiguousarray(params, dtype=np.float64), requests, events, count, equity, tally,
        )  # fmt: skip
        if first < rows:
            events = np.concatenate((events, no_events(len(events))))
    return StepResult(events[:count].copy(), equity, int(tally[0]), state)
