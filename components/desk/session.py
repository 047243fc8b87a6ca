"""A live session: one deployment, from ticks to signals.

At every bar close it runs what a backtest runs, `decide` over all bars from the anchor and then `close_bar` of the step, on the terminal's
book, and hands the requests to the mailbox. A bar is decided once: its signals carry ids made from the bar, and `decided_bars` remembers it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.base import get_log, now_ms
from components.bridge import Mailbox, TerminalFacts, TickStore
from components.bridge.issue import issue_signals
from components.desk.mirror import mirror_book, signals_of
from components.desk.records import DecidedBar, Deployment, TradingState
from components.desk.store import DeskStore
from components.execution import POLICIES, close_bar, decision_arrays, no_manage, no_requests, spec_rows
from components.fx import BAR_COLUMNS, BadInput, Instrument, Refusal, Refused, SignalState, bar_open_ms, instrument, rates_of_own_price, to_ms
from components.fx import book as b
from components.models import ModelStore, probabilities
from components.pipeline import Bar, BarBuilder, PipelineStore, frame_of_bars
from components.strategy import Context, strategy

_LOG = get_log("desk")
_PORTION = 50_000
LATE_SHARE = 0.05
"""Share of a bar after which, on a live market, its close is too old to enter on."""
PARTIAL_SHARE = 0.05
"""Share of the very first bar that may be missing before it counts as not seen."""
SNAPSHOT_MS = 5 * 60_000


def history_of(home: Path, deployment: Deployment) -> pd.DataFrame:
    """The bars that come before a deployment's live bars: its bar set from the anchor to `history_until_ms`."""
    store = PipelineStore.open(home)
    try:
        bars = store.load_bars(deployment.spec.bar_set_id)
    finally:
        store.close()
    open_ms = pd.DatetimeIndex(bars.index).as_unit("ms").asi8
    keep = open_ms >= deployment.spec.anchor_ms
    if deployment.spec.history_until_ms > 0:
        keep &= open_ms < deployment.spec.history_until_ms
    return bars.loc[keep, list(BAR_COLUMNS)]


def broker_instrument(facts: TerminalFacts, symbol: str) -> Instrument:
    """The instrument as the account's broker specifies it: sizes, digits and lot step are the broker's, never assumed.

    Raises
    ------
    Refused
        ``broker_facts`` if the terminal has not told them.
    """
    for told in facts.symbols:
        if told.symbol == symbol:
            return replace(
                instrument(symbol),
                broker_symbol=told.broker_symbol,
                digits=told.digits,
                contract_size=told.contract_size,
                lot_step=told.lot_step,
                lot_min=told.lot_min,
                lot_max=told.lot_max,
                stops_level_points=told.stops_level_points,
                freeze_level_points=told.freeze_level_points,
            )
    raise Refused("broker_facts", f"the terminal of account {facts.account_id} has not told what {symbol} is at its broker; it does so in its hello")


def _dataset_of(home: Path, model_id: str | None) -> str | None:
    """The dataset from which a model was trained, for the signals' record."""
    if model_id is None:
        return None
    store = ModelStore.open(home)
    try:
        return store.get(model_id).dataset_id
    finally:
        store.close()


class Session:
    """One armed deployment.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    deployment : Deployment
    desk, mailbox, ticks
        The stores that it reads and writes.
    """

    def __init__(self, home: Path, deployment: Deployment, desk: DeskStore, mailbox: Mailbox, ticks: TickStore) -> None:
        self.home = home
        self.deployment = deployment
        self.desk, self.mailbox, self.ticks = desk, mailbox, ticks
        self.strategy = strategy(deployment.strategy)
        self.params = self.strategy.parse(deployment.spec.params)
        self.instrument = instrument(deployment.symbol)
        self._requests = no_requests(64)
        self._dataset_id = _dataset_of(home, deployment.spec.model_id)
        self._frame = history_of(home, deployment)
        self._history = len(self._frame)
        self._probabilities: pd.DataFrame | None = None
        self._builder = BarBuilder(deployment.timeframe, self.instrument.point)
        self._before: tuple[float, float] | None = None
        self._newest_ms = 0
        self._first_ms: int | None = None
        self.late = 0
        self._start()

    @property
    def last_seq(self) -> int:
        """Sequence number of the last tick that was dealt with."""
        return self._last_seq

    def catch_up(self) -> int:
        """Deal with every tick that is stored by now; the last sequence number."""
        newest = self.ticks.latest(self.deployment.account_id, self.deployment.symbol)
        self._newest_ms = newest.time_ms if newest else 0
        while True:
            batch = self.ticks.since(self.deployment.account_id, self.deployment.symbol, self._last_seq, _PORTION)
            if len(batch.seq) == 0:
                return self._last_seq
            self._take(batch.seq, batch.time_ms, batch.bid, batch.ask)

    def _start(self) -> None:
        """Start and crash recovery are the same: bars that were decided come from the store, the rest from the ticks behind them."""
        done = self.desk.bars(self.deployment.id)
        self._last_seq = done[-1].last_seq if done else 0
        if done:
            self._first_ms = 0
            self._builder.newest_ms = self._newest_until(done[-2].last_seq if len(done) > 1 else 0)
            self._append([Bar(bar.open_ms, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.spread_points) for bar in done])

    def _newest_until(self, after_seq: int) -> int | None:
        """Time of the newest tick that was dealt with, looked for behind `after_seq`: a tick that comes late is late after a restart too."""
        newest_ms = None
        while after_seq < self._last_seq:
            batch = self.ticks.since(self.deployment.account_id, self.deployment.symbol, after_seq, min(_PORTION, self._last_seq - after_seq))
            times = batch.time_ms[batch.seq <= self._last_seq]
            if not len(times):
                break
            newest_ms = max(int(times.max()), newest_ms or 0)
            after_seq = int(batch.seq[-1])
        return newest_ms

    def _append(self, bars: list[Bar]) -> None:
        if len(self._frame) and bars[0].open_ms <= to_ms(self._frame.index[-1]):
            raise BadInput(
                "history_until_ms",
                f"the live bar {bars[0].open_ms} does not come after the history's last, {to_ms(self._frame.index[-1])}; end it earlier",
            )
        self._frame = pd.concat((self._frame, frame_of_bars(bars)[list(BAR_COLUMNS)]))

    def _take(self, seq: Any, time_ms: Any, bid: Any, ask: Any) -> None:
        """Ticks in order: each portion ends with the tick that closes a bar, so that the book is the one before that tick."""
        newest_before = self._builder.newest_ms if self._builder.newest_ms is not None else 0
        in_order = time_ms >= np.maximum(np.maximum.accumulate(time_ms), newest_before)
        last_seq = int(seq[-1])
        self.late += int((~in_order).sum())
        seq, time_ms, bid, ask = seq[in_order], time_ms[in_order], bid[in_order], ask[in_order]
        if len(seq):
            self._take_ordered(seq, time_ms, bid, ask)
        self._last_seq = last_seq

    def _take_ordered(self, seq: Any, time_ms: Any, bid: Any, ask: Any) -> None:
        open_ms = bar_open_ms(time_ms, self.deployment.timeframe)
        edges = (np.flatnonzero(np.diff(open_ms) > 0) + 1).tolist()
        if self._builder.forming is not None and open_ms[0] > self._builder.forming.open_ms:
            edges.insert(0, 0)
        if self._first_ms is None:
            self._first_ms = int(time_ms[0])
        first = 0
        for edge in edges:
            self._collect(time_ms[first:edge], bid[first:edge], ask[first:edge])
            for bar in self._builder.add(time_ms[edge], bid[edge], ask[edge]):
                self._close(bar, int(seq[edge - 1]) if edge > 0 else self._last_seq, int(time_ms[edge]))
            self._before = (float(bid[edge]), float(ask[edge]))
            first = edge + 1
        self._collect(time_ms[first:], bid[first:], ask[first:])

    def _collect(self, time_ms: Any, bid: Any, ask: Any) -> None:
        if len(time_ms):
            self._builder.add(time_ms, bid, ask)
            self._before = (float(bid[-1]), float(ask[-1]))

    def _close(self, bar: Bar, last_seq: int, market_ms: int) -> None:
        """Deal with a bar that has just closed; `market_ms` is the time of the tick that closed it."""
        self._append([bar])
        terminal = self.mailbox.terminal(self.deployment.account_id).facts
        outcome, note = self._standing(bar, market_ms, terminal)
        issued = refused = 0
        if outcome in ("decided", "stale", "reduced"):
            try:
                issued, refused, words = self._decide(bar.open_ms, market_ms, terminal, may_open=outcome == "decided")
                note = "; ".join(word for word in (note, words) if word)
            except Refused as refusal:
                refused, note = 1, refusal.message
        self.desk.add_bar(
            DecidedBar(
                self.deployment.id, bar.open_ms, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.spread_points, last_seq, outcome, issued, refused,
                note, now_ms(),
            )
        )  # fmt: skip
        if issued or refused:
            _LOG.info("bar_decided", deployment=self.deployment.id, bar_ms=bar.open_ms, issued=issued, refused=refused, note=note)

    def _standing(self, bar: Bar, market_ms: int, terminal: TerminalFacts) -> tuple[str, str]:
        """Whether this bar can be decided on, and if not, why."""
        length_ms = self.deployment.timeframe.ms
        if self.desk.trading_state() == TradingState.HALTED.value:
            return "halted", "trading is halted"
        if self.desk.deployment(self.deployment.id).state != "armed":
            return "idle", "the deployment is not armed"
        if self._first_ms is not None and bar.open_ms <= self._first_ms and self._first_ms - bar.open_ms > length_ms * PARTIAL_SHARE:
            return "partial", "its first ticks were not seen"
        if self.desk.trading_state() == TradingState.REDUCING.value:
            return "reduced", "only exits are issued"
        # A replayed market has no clock of its own: it is late only once it has gone on by a whole bar.
        allowed_ms = length_ms if terminal.market_clock == "replay" else int(length_ms * LATE_SHARE)
        if self._newest_ms - market_ms > allowed_ms:
            return "stale", "found late: no entry was issued, only exits"
        return "decided", ""

    def _decide(self, bar_ms: int, market_ms: int, terminal: TerminalFacts, *, may_open: bool) -> tuple[int, int, str]:
        if self._was_issued(bar_ms):
            return 0, 0, "its signals were issued before a restart"
        bars, spec = self._frame, self.deployment.spec
        needed = self.strategy.warmup_bars(self.params)
        if len(bars) < needed:
            raise Refused("warm_up", f"{len(bars)} bars are known and {self.strategy.name} needs {needed} before its decisions stop changing")
        if not terminal.is_demo and not spec.allow_real:
            raise Refused("real_money", f"account {terminal.account_id} trades real money and the deployment does not allow that")
        if terminal.margin_mode == "netting":
            self._refuse_company()
        item = broker_instrument(terminal, self.deployment.symbol)
        decisions = decision_arrays(self.strategy.decide(bars, Context(item, self._model_output(bars)), self.params), len(bars))
        assert self._before is not None
        bid, ask = self._before
        rate = float(rates_of_own_price(terminal.currency, item, np.array([bid]))[0])
        known = self.mailbox.book(self.deployment.account_id, self.deployment.symbol, self.deployment.id)
        if terminal.market_clock == "wall" and known.snapshot is not None and now_ms() - known.snapshot.time_ms > SNAPSHOT_MS:
            raise Refused(
                "stale_snapshot", f"the terminal told its balance {(now_ms() - known.snapshot.time_ms) // 1000} s ago; sizes would be wrong"
            )
        open_ms = pd.DatetimeIndex(bars.index).as_unit("ms").asi8
        book = mirror_book(known, self.deployment, np.array([bid, bid + (ask - bid), rate]), open_ms)
        manage, params = self.strategy.managing(self.params)
        count = close_bar(
            len(bars) - 1, 0, decisions, *book, spec_rows([item]), spec.sizing.as_row(), spec.limits.as_row(), POLICIES["mt5"], manage is not None,
            manage or no_manage, np.zeros(1) if params is None else params, self._requests,
        )  # fmt: skip
        requests = self._requests[:count]
        signals = signals_of(requests, self.deployment, item, self.strategy, bar_ms, market_ms, self._dataset_id)
        if not may_open:
            signals = [signal for signal in signals if signal.action != "open"]
        notes = [Refusal(int(code)).name.lower() for code in requests[:, b.R_REFUSED] if code != 0]
        refused = len(notes)
        unknown = sum(stored.state is SignalState.UNKNOWN for stored in known.in_flight)
        if unknown:
            notes.append(f"{unknown} signals are unknown until the terminal reconciles; each holds its place")
        approval = {"id": f"{self.deployment.id}-{bar_ms}", "by": "desk", "equity": float(book.account[b.A_EQUITY])}
        return issue_signals(self.mailbox, signals, approval), refused, ", ".join(notes)

    def _was_issued(self, bar_ms: int) -> bool:
        """Whether a process before this one issued this bar's signals and died before it could say so."""
        latest = self.mailbox.signals(deployment_id=self.deployment.id, limit=1)
        return bool(latest) and latest[0].signal.bar_ms >= bar_ms

    def _refuse_company(self) -> None:
        """On a netting account one deployment holds a symbol."""
        for other in self.desk.deployments():
            mine = (other.account_id, other.symbol) == (self.deployment.account_id, self.deployment.symbol)
            if mine and other.state == "armed" and other.created_ms < self.deployment.created_ms:
                raise Refused("symbol_taken", f"on this netting account deployment {other.id} holds {other.symbol}; disarm one of the two")

    def _model_output(self, bars: pd.DataFrame) -> pd.DataFrame | None:
        """Probabilities on the index of the bars; each live bar asks for its own row only."""
        model_id = self.deployment.spec.model_id
        if not self.strategy.needs_model or model_id is None:
            return None
        if self._probabilities is None or len(bars) - len(self._probabilities) > 3:
            self._probabilities = probabilities(self.home, model_id, bars)
        elif len(self._probabilities) < len(bars):
            rows = [self._probabilities]
            for end in range(len(self._probabilities) + 1, len(bars) + 1):
                rows.append(probabilities(self.home, model_id, bars.iloc[:end], last_only=True))
            self._probabilities = pd.concat(rows)
        return self._probabilities
