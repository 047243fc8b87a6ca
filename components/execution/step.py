"""The step: (book, market, decisions, costs) → events, compiled, for backtest, twin replay and paper alike."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numba.core.errors import NumbaExperimentalFeatureWarning
from numpy.typing import NDArray

from components.execution.advance import advance_row, settle
from components.execution.arrays import (
    MANAGERS,
    NO_FINER,
    POLICIES,
    Book,
    DecisionArrays,
    FinerRows,
    Floats,
    MarketArrays,
    new_book,
    no_book,
    no_requests,
    spec_rows,
)
from components.execution.birth import apply_request, at, close_bar
from components.execution.costs import Costs
from components.execution.glide import can_glide, glide, next_wish
from components.execution.plain_trades import MATCHED_UNSURE, UNTOUCHED, are_plain, trade_plainly
from components.fx import AccountSpec, BadInput, Instrument
from components.fx import book as b
from components.risk import Limits, Sizing
from components.strategy import compiled_manage, lean, lean_inline

# Events that are given room at the start, 150 MB; more of them find more.
MOST_ROOM = 1_000_000
# The tuple of `manage` functions that one account can have is what numba calls an experiment; it is held by tests here.
warnings.filterwarnings("ignore", message="First-class function type", category=NumbaExperimentalFeatureWarning)


@compiled_manage
def no_manage(account, positions, n_positions, orders, n_orders, marks, bar, params, requests, n):
    """The `manage` of a strategy that has none."""
    return n


@lean_inline
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


@lean_inline
def rows_by_rules(
    first, last, market, finer, kept, decisions, account, positions, orders, counts, marks, specs, costs, sizing, limits, policy, netting, resolution,
    first_bar, manage_of, manage, params, requests, events, n, equity, tally, can_be_plain,
):  # fmt: skip
    """Rows `first` to `last` (excluded); stops early where the event array could overflow. Returns the next row and the number of events.

    manage_of : int64, shape (s,)
        Which of the functions in `manage` looks after each symbol, −1 for none.
    manage : tuple of MANAGERS compiled functions
    params : float64, shape (s, p)
        Their parameters, symbol by symbol.
    tally : int64, shape (3,)
        Ambiguous rows, those that stay so, and those without finer rows; added to.
    can_be_plain : bool
        Known when compiled: whether to look for plain trades. Only where `is_plain`.
    """
    per_row = counts.shape[0] * (4 * positions.shape[1] + requests.shape[0])
    t, wished = first, first - 1
    plain = can_be_plain and are_plain(decisions, sizing, limits, orders)
    while t < last:
        became = UNTOUCHED
        if t >= first_bar and can_glide(counts, positions, manage_of, market):
            if plain:
                t, wished, n, became = trade_plainly(
                    t, wished, last, market, decisions, account, positions, counts, marks, specs, costs, sizing, limits, policy, resolution, events,
                    n, per_row, equity, tally,
                )  # fmt: skip
            else:
                if wished < t:
                    wished = next_wish(t, last, decisions, market)
                t = glide(t, wished, market, account, positions, counts, marks, specs, policy, equity)
            if t == last:
                return t, n
        if became != UNTOUCHED:
            # Its events have room: `trade_plainly` left as much as one row can need.
            n, unsure = settle(t, t, market, account, positions, orders, counts, marks, specs, costs, policy, resolution, events, n)
            if unsure or became == MATCHED_UNSURE:
                for i in range(3):
                    tally[i] += 1
        elif n + per_row > events.shape[0]:
            return t, n
        else:
            n = advance_row(
                t, market, finer, kept, account, positions, orders, counts, marks, specs, costs, policy, netting, resolution, events, n, tally
            )  # fmt: skip
        equity[t] = account[b.A_EQUITY]
        if account[b.A_EQUITY] <= 0.0:
            for rest in range(t, last):
                equity[rest] = 0.0
            return last, n
        for s in range(counts.shape[0]):
            bar = t
            if market.decision_row.shape[0] > 0:
                bar = market.decision_row[t, s]
            has_manage = manage_of[s] >= 0
            if bar < first_bar or np.isnan(market.open[t, s]) or is_quiet(bar, s, decisions.side, decisions.exit, positions, counts, has_manage):
                continue
            asked = close_bar(
                bar, s, decisions, account, positions, orders, counts, marks, specs, sizing, limits, policy, has_manage, manage[max(manage_of[s], 0)],
                params[s], requests,
            )  # fmt: skip
            for i in range(asked):
                n = apply_request(t, requests[i], account, positions, orders, counts, marks, policy, events, n)
        t += 1
    return t, n


def is_plain(market: MarketArrays, finer: FinerRows, counts: Any, manage_of: Any) -> bool:
    """Whether these are bars of one symbol without finer rows and without `manage`."""
    return bool(counts.shape[0] == 1 and manage_of[0] < 0 and finer.first.shape[0] == 0 and market.decision_row.shape[0] == 0)


_is_plain = lean_inline(is_plain)


@lean
def run_rows(
    first, last, market, finer, kept, decisions, account, positions, orders, counts, marks, specs, costs, sizing, limits, policy, netting, resolution,
    first_bar, manage_of, manage, params, requests, events, n, equity, tally,
):  # fmt: skip
    """`rows_by_rules` for everything that may come."""
    return rows_by_rules(
        first, last, market, finer, kept, decisions, account, positions, orders, counts, marks, specs, costs, sizing, limits, policy, netting,
        resolution, first_bar, manage_of, manage, params, requests, events, n, equity, tally, False,
    )  # fmt: skip


def _plain_rows(known_policy: int) -> Any:
    """`rows_by_rules` where `is_plain`, under one fill policy: told both, the compiler leaves out the rest, a fifth of the time."""

    @lean
    def run_plain(
        first, last, market, finer, kept, decisions, account, positions, orders, counts, marks, specs, costs, sizing, limits, policy, netting,
        resolution, first_bar, manage_of, manage, params, requests, events, n, equity, tally,
    ):  # fmt: skip
        if not _is_plain(market, finer, counts, manage_of):
            return first, n
        return rows_by_rules(
            first, last, market, finer, kept, decisions, account, positions, orders, counts, marks, specs, costs, sizing, limits, known_policy,
            netting, resolution, first_bar, manage_of, manage, params, requests, events, n, equity, tally, True,
        )  # fmt: skip

    return run_plain


RUN_PLAIN = {name: _plain_rows(policy) for name, policy in POLICIES.items()}


class StepResult(NamedTuple):
    """What a run of the step left behind.

    events : float64, shape (m, EVENT_FIELDS)
    equity : float64, shape (n,)
        Account equity at the end of each row, in account currency.
    ambiguous_rows : int
        Rows in which the order of stop and target could not be told from the row's own prices.
    ambiguous_left : int
        Those that stayed so: their finer rows were ambiguous too, or there were none. Equal to `ambiguous_rows` without finer rows.
    unresolved_rows : int
        Ambiguous rows for which there were no finer rows.
    book : Book
        The state after the last row.
    """

    events: Floats
    equity: Floats
    ambiguous_rows: int
    ambiguous_left: int
    unresolved_rows: int
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
    params: Any = None,
    first_bar: int = 0,
    capacity: int = 8,
    finer: FinerRows | None = None,
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
    manage : compiled function or sequence of them, optional
        Made with `compiled_manage`; called at every bar close. A sequence has one for each symbol, None where there is none.
    params : float64, shape (p,), or sequence of such, optional
        Parameters of `manage`, in a sequence where that is one.
    first_bar : int
        Decisions before this bar are left out.
    capacity : int
        Positions and orders that one symbol can hold.
    finer : FinerRows, optional
        Rows of a shorter timeframe, as `finer_rows` prepares them, by which ambiguous rows are decided; only `mt5` has those.

    Returns
    -------
    StepResult

    Raises
    ------
    BadInput
        If the policy, the resolution or a shape is wrong, an `mt5` account nets (that is not simulated yet), or the symbols are looked after by
        more than MANAGERS different functions.
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
    if market.decision_row.ndim == 1:
        market = market._replace(decision_row=np.ascontiguousarray(np.repeat(market.decision_row.reshape(-1, 1), symbols, axis=1)))
    if len(market.decision_row) and market.decision_row.shape != (rows, symbols):
        raise BadInput("market.decision_row", f"shape {market.decision_row.shape} is not ({rows}, {symbols})")
    bars = rows if len(market.decision_row) == 0 else int(market.decision_row.max(initial=-1)) + 1
    for name in decisions._fields:
        values = getattr(decisions, name)
        if values.shape != (1, symbols) and (values.shape[1] != symbols or values.shape[0] < bars):
            raise BadInput(f"decisions.{name}", f"shape {values.shape} does not cover {bars} bars of {symbols} symbols")
    if finer is not None and len(finer.first) != rows + 1:
        raise BadInput("finer", f"made for {len(finer.first) - 1} rows, the market has {rows}")
    costs, sizing, limits = costs or Costs(), sizing or Sizing(), limits or Limits()
    market, finer = _with_slip(market, costs, instruments), NO_FINER if finer is None or policy == "reference" else finer
    manage_of, managers, values = _managers(manage, params, symbols)
    state = new_book(account, symbols, capacity=capacity)
    specs = spec_rows(instruments, costs)
    if policy == "reference":
        distances = (decisions.stop_distance, decisions.target_distance)
        if not all(np.isnan(column).all() for column in distances):
            raise BadInput("stop_distance", "backtesting.py knows no distance from the fill; give prices in `stop` and `target`")
    requests = no_requests(4 * capacity + 8)
    # Every event is written whole, so that its room need not be filled first; pages that no event reaches are never touched. An entry that is
    # asked for, placed, filled and left are three or four events of two wishes; `manage` and waiting orders can make more.
    asked = sum(int(np.count_nonzero(column)) * (1 if len(column) > 1 else rows) for column in (decisions.side, decisions.exit))
    room = min(max(4096, 2 * asked), MOST_ROOM) + symbols * (4 * capacity + len(requests))
    events = np.empty((room, b.EVENT_FIELDS))
    equity = np.empty(rows)
    tally = np.zeros(3, dtype=np.int64)
    kept = new_book(account, symbols, capacity=capacity) if len(finer.first) else no_book()
    first, count = 0, 0
    run = RUN_PLAIN[policy] if is_plain(market, finer, state.counts, manage_of) else run_rows
    while first < rows:
        first, count = run(
            first, rows, market, finer, kept, decisions, *state, specs, costs.as_row(), sizing.as_row(), limits.as_row(), POLICIES[policy],
            account.margin_mode == "netting", 0 if resolution == "against" else 1, first_bar, manage_of, managers, values, requests, events, count,
            equity, tally,
        )  # fmt: skip
        if first < rows:
            events = np.concatenate((events, np.empty_like(events)))
    return StepResult(events[:count], equity, int(tally[0]), int(tally[1]), int(tally[2]), state)


def _with_slip(market: MarketArrays, costs: Costs, instruments: list[Instrument]) -> MarketArrays:
    """The market with its slippage; where it brings none, the fixed one of the costs."""
    if market.slip.size == 0:
        return market._replace(slip=costs.fixed_slip(instruments))
    if market.slip.shape[1] != len(instruments) or market.slip.shape[0] not in (1, len(market.open)):
        raise BadInput("market.slip", f"shape {market.slip.shape} is neither {market.open.shape} nor (1, {len(instruments)})")
    return market


def _managers(manage: Any, params: Any, symbols: int) -> tuple[NDArray[np.int64], tuple[Any, ...], Floats]:
    """Which function looks after each symbol, the functions, and their parameters, shape (symbols, p)."""
    wanted = list(manage) if isinstance(manage, list | tuple) else [manage] * symbols
    given = list(params) if isinstance(manage, list | tuple) else [params] * symbols
    if len(wanted) != symbols or len(given) != symbols:
        raise BadInput("manage", f"{len(wanted)} functions and {len(given)} parameters for {symbols} symbols")
    known: list[Any] = []
    for one in wanted:
        if one is not None and all(one is not other for other in known):
            known.append(one)
    if len(known) > MANAGERS:
        raise BadInput("manage", f"{len(known)} different functions manage the symbols of one account; {MANAGERS} are possible")
    of = [-1 if one is None else next(i for i, other in enumerate(known) if other is one) for one in wanted]
    rows = [np.zeros(1) if values is None else np.asarray(values, dtype=np.float64) for values in given]
    values = np.zeros((symbols, max(len(row) for row in rows)))
    for s, row in enumerate(rows):
        values[s, : len(row)] = row
    return np.array(of, dtype=np.int64), (*known, *[no_manage] * (MANAGERS - len(known))), values
