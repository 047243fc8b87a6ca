"""The twin: the step, run over the very ticks that a live session saw, held against what the journals say happened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.bridge import Mailbox, TickStore
from components.desk.records import Deployment
from components.desk.session import history_of, live_rate
from components.desk.store import DeskStore
from components.execution import StepResult, decision_arrays, market_of_ticks, run_step
from components.fx import BAR_COLUMNS, AccountSpec, EventKind, ExitKind, NotFound, Refusal, instrument
from components.fx import book as b
from components.models import probabilities
from components.pipeline import bars_from_ticks
from components.strategy import Context, strategy

Row = tuple[Any, ...]
SIGNAL_FIELDS = ("bar_ms", "action", "side", "lots", "entry_price", "stop", "target")
FILL_FIELDS = ("time_ms", "change", "ticket", "side", "lots", "price", "exit_kind", "profit")
_MANY = 1_000_000


@dataclass(frozen=True)
class Difference:
    """One place where the two do not agree: `twin` is the step's row, `live` the journal's, None where there is none."""

    what: str
    twin: Row | None
    live: Row | None


@dataclass(frozen=True)
class TwinReport:
    """How a live session compares with the step over the same ticks.

    Counts are of signals and of fills (openings and closings of positions); `trades` are the twin's closed positions, `exits` counts them
    by kind, `gaps` those stops and targets that filled beyond their level.
    """

    deployment_id: str
    ticks: int
    bars: int
    signals_twin: int
    signals_live: int
    signals_equal: int
    fills_twin: int
    fills_live: int
    fills_equal: int
    trades: int
    exits: dict[str, int]
    gaps: int
    profit_twin: float
    profit_live: float
    differences: tuple[Difference, ...]

    @property
    def is_equal(self) -> bool:
        """Whether every signal and every fill agrees, one to one."""
        return not self.differences


def twin_replay(home: Path, deployment_id: str) -> TwinReport:
    """Run the step over the ticks of a deployment's account and compare it with the journals, one to one.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    deployment_id : str

    Returns
    -------
    TwinReport

    Raises
    ------
    NotFound
        If the deployment is unknown or its account has no ticks or snapshots yet.

    Notes
    -----
    Exact after a lockstep replay of an account that only this deployment trades. A free-running session differs by its delays.
    """
    desk, mailbox, store = DeskStore.open(home), Mailbox.open(home), TickStore.open(home)
    try:
        deployment = desk.deployment(deployment_id)
        result, times, bar_ms, rows = _run_twin(home, deployment, mailbox, store)
        twin_signals, twin_fills = _twin_rows(result, times, bar_ms)
        live_signals, live_fills = _live_signals(mailbox, deployment), _live_fills(mailbox, deployment)
    finally:
        for opened in (store, mailbox, desk):
            opened.close()
    signals_equal, signal_differences = _compare("signal", twin_signals, live_signals)
    fills_equal, fill_differences = _compare("fill", twin_fills, live_fills)
    closed = result.events[result.events[:, b.E_KIND] == EventKind.CLOSED]
    exits: dict[str, int] = {}
    for code in closed[:, b.E_EXIT]:
        name = _exit_name(code)
        exits[name] = exits.get(name, 0) + 1
    gaps = int((~np.isnan(closed[:, b.E_LEVEL]) & (closed[:, b.E_PRICE] != closed[:, b.E_LEVEL])).sum())
    return TwinReport(
        deployment_id, len(times), rows, len(twin_signals), len(live_signals), signals_equal, len(twin_fills), len(live_fills), fills_equal, len(closed),
        exits, gaps, float(closed[:, b.E_PROFIT].sum()), float(sum(row[-1] for row in live_fills)), (*signal_differences, *fill_differences),
    )  # fmt: skip


def _run_twin(home: Path, deployment: Deployment, mailbox: Mailbox, store: TickStore) -> tuple[StepResult, Any, Any, int]:
    ticks = store.since(deployment.account_id, deployment.symbol, 0, _MANY * 100)
    first = mailbox.snapshots(deployment.account_id, _MANY)[:1]
    if len(ticks.seq) == 0 or not first:
        raise NotFound(f"account {deployment.account_id} has no ticks or no snapshot of {deployment.symbol} yet; start its terminal first")
    item, chosen, spec = instrument(deployment.symbol), strategy(deployment.strategy), deployment.spec
    in_order = ticks.time_ms >= np.maximum.accumulate(ticks.time_ms)
    time_ms, bid, ask = ticks.time_ms[in_order], ticks.bid[in_order], ticks.ask[in_order]
    history = history_of(home, deployment)
    live = bars_from_ticks(time_ms, bid, ask, deployment.timeframe, item.point)
    bars = pd.concat((history, live[list(BAR_COLUMNS)]))
    context = Context(item, probabilities(home, spec.model_id, bars) if spec.model_id and chosen.needs_model else None)
    params = chosen.parse(spec.params)
    decisions = decision_arrays(chosen.decide(bars, context, params), len(bars))
    open_ms = time_ms - time_ms % deployment.timeframe.ms
    decision_row = np.full(len(time_ms), -1, dtype=np.int64)
    last_of_bar = np.flatnonzero(np.diff(open_ms) > 0)
    decision_row[last_of_bar] = len(history) + np.arange(len(last_of_bar))
    account = AccountSpec(first[0].currency, first[0].balance, first[0].leverage)
    rate = np.array([live_rate(deployment.symbol, account.currency, float(price)) for price in np.unique(bid)])
    manage, values = chosen.managing(params)
    result = run_step(
        market_of_ticks(time_ms, bid, ask, decision_row, rate[np.searchsorted(np.unique(bid), bid)]), decisions, [item], account,
        costs=spec.costs, sizing=spec.sizing, limits=spec.limits, manage=manage, params=values,
    )  # fmt: skip
    bar_ms = pd.DatetimeIndex(bars.index).as_unit("ms").asi8
    return result, time_ms, np.where(decision_row >= 0, bar_ms[decision_row], 0), len(live)


def _twin_rows(result: StepResult, time_ms: Any, bar_ms: Any) -> tuple[list[Row], list[Row]]:
    signals: list[Row] = []
    fills: list[Row] = []
    for e in result.events:
        kind, row = EventKind(int(e[b.E_KIND])), int(e[b.E_ROW])
        if kind is EventKind.PLACED:
            is_close = not np.isnan(e[b.E_LEVEL])
            side = -int(e[b.E_SIDE]) if is_close else int(e[b.E_SIDE])
            signals.append(_row(bar_ms[row], "close" if is_close else "open", side, e[b.E_LOTS], e[b.E_PRICE], e[b.E_STOP], e[b.E_TARGET]))
        elif kind is EventKind.MODIFIED or (kind is EventKind.REFUSED and not np.isnan(e[b.E_TICKET]) and e[b.E_LEVEL] == Refusal.INVALID_STOPS):
            signals.append(_row(bar_ms[row], "modify", int(e[b.E_SIDE]), np.nan, np.nan, e[b.E_STOP], e[b.E_TARGET]))
        elif kind is EventKind.CANCELLED:
            signals.append(_row(bar_ms[row], "cancel", int(e[b.E_SIDE]), np.nan, np.nan, np.nan, np.nan))
        elif kind is EventKind.OPENED:
            fills.append(_row(time_ms[row], "opened", int(e[b.E_TICKET]), int(e[b.E_SIDE]), e[b.E_LOTS], e[b.E_PRICE], "NONE", 0.0))
        elif kind is EventKind.CLOSED:
            fills.append(
                _row(time_ms[row], "closed", int(e[b.E_TICKET]), int(e[b.E_SIDE]), e[b.E_LOTS], e[b.E_PRICE], _exit_name(e[b.E_EXIT]), e[b.E_PROFIT])
            )
    return signals, fills


def _live_signals(mailbox: Mailbox, deployment: Deployment) -> list[Row]:
    stored = mailbox.signals(deployment_id=deployment.id, limit=_MANY)[::-1]
    rows = []
    for s in (item.signal for item in stored):
        is_cancel = s.action == "cancel"
        lots = np.nan if s.lots == 0 else s.lots
        rows.append(_row(s.bar_ms, s.action, s.side, lots, s.entry_price, None if is_cancel else s.stop, None if is_cancel else s.target))
    return rows


def _live_fills(mailbox: Mailbox, deployment: Deployment) -> list[Row]:
    rows = []
    for line in mailbox.positions_journal(deployment.account_id, limit=_MANY):
        if line.change in ("opened", "closed") and line.symbol == deployment.symbol:
            rows.append(_row(line.time_ms, line.change, line.ticket, line.side, line.lots, line.price, _exit_name(line.exit_kind), line.profit))
    return rows


def _compare(what: str, twin: list[Row], live: list[Row]) -> tuple[int, list[Difference]]:
    """Rows in order, one to one; profits may differ by the last bits of a sum."""
    pairs = list(zip(twin, live, strict=False))
    differences = [Difference(what, a, c) for a, c in pairs if a != c]
    differences += [Difference(what, row, None) for row in twin[len(pairs) :]]
    differences += [Difference(what, None, row) for row in live[len(pairs) :]]
    return sum(a == c for a, c in pairs), differences


def _row(*values: Any) -> Row:
    """A comparable row: numbers rounded to eight decimals, NaN as None."""
    cleaned = []
    for value in values:
        if isinstance(value, float | np.floating):
            cleaned.append(None if np.isnan(value) else round(float(value), 8))
        else:
            cleaned.append(int(value) if isinstance(value, np.integer) else value)
    return tuple(cleaned)


def _exit_name(code: float) -> str:
    return ExitKind(int(code)).name
