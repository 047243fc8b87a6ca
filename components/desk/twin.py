"""The twin: the step, run over the very ticks that a live session saw, held against what the journals say happened."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from components.bridge import Mailbox, TickStore
from components.desk.records import DecidedBar, Deployment
from components.desk.session import broker_instrument, history_of
from components.desk.store import DeskStore
from components.execution import StepResult, decision_arrays, market_of_ticks, run_step
from components.fx import BAR_COLUMNS, AccountSpec, EventKind, ExitKind, NotFound, Refusal, bar_open_ms, rates_of_own_price
from components.fx import book as b
from components.models import probabilities
from components.pipeline import bars_from_ticks
from components.strategy import Context, strategy

Row = tuple[Any, ...]
SIGNAL_FIELDS = ("bar_ms", "action", "side", "lots", "entry_price", "stop", "target")
FILL_FIELDS = ("time_ms", "change", "ticket", "side", "lots", "price", "exit_kind", "profit", "cost")
BAR_FIELDS = ("open_ms", "open", "high", "low", "close", "volume")
_MANY = 1_000_000
_PORTION = 200_000


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
    by kind, `gaps` those stops and targets that filled beyond their level. `not_decided` counts bars on which the desk did not decide, by
    what it noted (stale, reduced, halted, idle, partial, missing); the twin asks for nothing on those. Money is in account currency, costs taken off.
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
    not_decided: dict[str, int]
    differences: tuple[Difference, ...]

    @property
    def is_comparable(self) -> bool:
        """Whether there is anything to compare: at least one decided bar and one fill on either side."""
        return self.bars > sum(self.not_decided.values()) and self.fills_twin + self.fills_live > 0

    @property
    def is_equal(self) -> bool:
        """Whether there was something to compare, and every bar, signal and fill agrees, one to one."""
        return self.is_comparable and not self.differences


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
        run = _run_twin(home, deployment, desk.bars(deployment_id), mailbox, store)
        twin_signals, twin_fills = _twin_rows(run)
        live_signals, live_fills = _live_signals(mailbox, deployment), _live_fills(mailbox, deployment)
    finally:
        for opened in (store, mailbox, desk):
            opened.close()
    _, bar_differences = _compare("bar", run.bars_twin, run.bars_live)
    signals_equal, signal_differences = _compare("signal", twin_signals, live_signals)
    fills_equal, fill_differences = _compare("fill", twin_fills, live_fills)
    closed = run.result.events[run.result.events[:, b.E_KIND] == EventKind.CLOSED]
    gaps = int((~np.isnan(closed[:, b.E_LEVEL]) & (closed[:, b.E_PRICE] != closed[:, b.E_LEVEL])).sum())
    return TwinReport(
        deployment_id, len(run.time_ms), run.live_bars, len(twin_signals), len(live_signals), signals_equal, len(twin_fills), len(live_fills), fills_equal,
        len(closed), dict(Counter(_exit_name(code) for code in closed[:, b.E_EXIT])), gaps, _net(twin_fills), _net(live_fills), run.not_decided,
        (*bar_differences, *signal_differences, *fill_differences),
    )  # fmt: skip


class _Run(NamedTuple):
    """The twin's run: what the step did, when, and the bars as both saw them."""

    result: StepResult
    time_ms: Any
    bar_ms: Any
    live_bars: int
    not_decided: dict[str, int]
    bars_twin: list[Row]
    bars_live: list[Row]


def _ticks_of(store: TickStore, deployment: Deployment) -> tuple[Any, Any, Any]:
    """Every tick of the feed that was in order, read in portions."""
    parts, seq = [], 0
    while len((part := store.since(deployment.account_id, deployment.symbol, seq, _PORTION)).seq):
        parts.append(part)
        seq = int(part.seq[-1])
    if not parts:
        raise NotFound(f"account {deployment.account_id} has no ticks of {deployment.symbol} yet; start its terminal first")
    time_ms, bid, ask = (np.concatenate([getattr(part, name) for part in parts]) for name in ("time_ms", "bid", "ask"))
    in_order = time_ms >= np.maximum.accumulate(time_ms)
    return time_ms[in_order], bid[in_order], ask[in_order]


def _run_twin(home: Path, deployment: Deployment, decided: list[DecidedBar], mailbox: Mailbox, store: TickStore) -> _Run:
    first = mailbox.first_snapshot(deployment.account_id)
    if first is None:
        raise NotFound(f"account {deployment.account_id} has not told its balance yet; start its terminal first")
    time_ms, bid, ask = _ticks_of(store, deployment)
    item = broker_instrument(mailbox.terminal(deployment.account_id).facts, deployment.symbol)
    chosen, spec = strategy(deployment.strategy), deployment.spec
    history = history_of(home, deployment)
    live = bars_from_ticks(time_ms, bid, ask, deployment.timeframe, item.point)
    bars = pd.concat((history, live[list(BAR_COLUMNS)]))
    context = Context(item, probabilities(home, spec.model_id, bars) if spec.model_id and chosen.needs_model else None)
    params = chosen.parse(spec.params)
    decisions = decision_arrays(chosen.decide(bars, context, params), len(bars))
    bar_ms = pd.DatetimeIndex(bars.index).as_unit("ms").asi8
    outcomes = {bar.open_ms: bar.outcome for bar in decided}
    standing = [outcomes.get(int(at), "missing") for at in bar_ms[len(history) :]]
    open_ms = bar_open_ms(time_ms, deployment.timeframe)
    last_of_bar = np.flatnonzero(np.diff(open_ms) > 0)
    decision_row = np.full(len(time_ms), -1, dtype=np.int64)
    # A bar that the desk is still working on, at the very end, is not a missing one.
    if standing and standing[-1] == "missing":
        standing.pop()
    for number, word in enumerate(standing):
        if word == "decided":
            decision_row[last_of_bar[number]] = len(history) + number
    account = AccountSpec(first.currency, first.balance, first.leverage)
    manage, values = chosen.managing(params)
    result = run_step(
        market_of_ticks(time_ms, bid, ask, decision_row, rates_of_own_price(account.currency, item, bid)), decisions, [item], account,
        costs=spec.costs, sizing=spec.sizing, limits=spec.limits, manage=manage, params=values,
    )  # fmt: skip
    not_decided = Counter(word for word in standing if word != "decided")
    seen = [_row(bar.open_ms, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in decided]
    built = [_row(int(at), *(float(v) for v in row)) for at, row in zip(bar_ms[len(history) :], live[list(BAR_COLUMNS)].to_numpy(), strict=True)]
    return _Run(result, time_ms, np.where(decision_row >= 0, bar_ms[decision_row], 0), len(standing), dict(not_decided), built[: len(standing)], seen)


def _net(fills: list[Row]) -> float:
    """Profit of closings less all costs; a closing's cost holds its share of the opening's."""
    return float(sum(row[7] - row[8] for row in fills if row[1] == "closed"))


def _twin_rows(run: _Run) -> tuple[list[Row], list[Row]]:
    result, time_ms, bar_ms = run.result, run.time_ms, run.bar_ms
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
            fills.append(_row(time_ms[row], "opened", int(e[b.E_TICKET]), int(e[b.E_SIDE]), e[b.E_LOTS], e[b.E_PRICE], "NONE", 0.0, e[b.E_COST]))
        elif kind is EventKind.CLOSED:
            fills.append(
                _row(
                    time_ms[row],
                    "closed",
                    int(e[b.E_TICKET]),
                    int(e[b.E_SIDE]),
                    e[b.E_LOTS],
                    e[b.E_PRICE],
                    _exit_name(e[b.E_EXIT]),
                    e[b.E_PROFIT],
                    e[b.E_COST] - e[b.E_SWAP],
                )
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
            rows.append(
                _row(line.time_ms, line.change, line.ticket, line.side, line.lots, line.price, _exit_name(line.exit_kind), line.profit, line.cost)
            )
    return rows


def _compare(what: str, twin: list[Row], live: list[Row]) -> tuple[int, list[Difference]]:
    """Rows in order, one to one; where one side lacks a row, the rows behind it are still held against their own counterparts."""
    if twin == live:
        return len(twin), []
    differences: list[Difference] = []
    equal = 0
    for tag, a, end, c, d in SequenceMatcher(None, twin, live, autojunk=False).get_opcodes():
        if tag == "equal":
            equal += end - a
            continue
        paired = min(end - a, d - c)
        differences += [Difference(what, twin[a + i], live[c + i]) for i in range(paired)]
        differences += [Difference(what, row, None) for row in twin[a + paired : end]]
        differences += [Difference(what, None, row) for row in live[c + paired : d]]
    return equal, differences


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
