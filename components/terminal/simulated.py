"""A MetaTrader terminal without MetaTrader: it behaves over HTTP as the Expert Advisor will, on a paper broker and recorded prices.

In lockstep it waits, after the first tick of every bar, until the desk has decided, and executes what it fetched before the next tick
counts; so a replay is exact and can be held against the step. At a chosen speed it runs freely, and delays are what they are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from components.base import get_log
from components.bridge import ApiClient, BarRow, Stretch, SymbolFacts, TerminalFacts, WorkingOrder
from components.execution import BrokerEvent, Costs, PaperBroker
from components.fx import (
    AccountSnapshot,
    AccountSpec,
    EventKind,
    Instrument,
    OrderKind,
    Position,
    Refusal,
    Refused,
    Report,
    Signal,
    SignalState,
    Tick,
    Timeframe,
    rates_of_own_price,
)
from components.fx import book as b
from components.terminal.market import TickPath
from components.terminal.store import KnownSignal, TerminalStore

_LOG = get_log("terminal")
_RETCODES = {
    Refusal.INVALID_STOPS: (10016, "invalid stops"),
    Refusal.NO_MARGIN: (10019, "not enough money"),
    Refusal.BOOK_FULL: (10040, "too many positions or orders"),
    Refusal.UNKNOWN_TICKET: (10036, "the position or order does not exist"),
}
_TICKS_PER_POST = 1_000
_PAGE = 20
_ASK_EVERY_BARS = 20


class SimulatedTerminal:
    """One account on one symbol.

    Parameters
    ----------
    home : Path
        Folder in which the terminal keeps its memory.
    client : ApiClient
        Its connection to the platform.
    account_id : str
    spec : AccountSpec
        The account at its beginning.
    instrument : Instrument
    costs : Costs, optional
        Slippage and commission of the broker; the spread comes with the ticks.
    history : mapping of Timeframe to DataFrame, optional
        Bars frames that the broker has; those that the platform wants are posted. Without it the platform is not asked.
    offset_ms : int
        The broker's clock less UTC, in milliseconds.
    """

    def __init__(
        self,
        home: Path,
        client: ApiClient,
        account_id: str,
        spec: AccountSpec,
        instrument: Instrument,
        costs: Costs | None = None,
        *,
        history: Mapping[Timeframe, pd.DataFrame] | None = None,
        offset_ms: int = 0,
    ) -> None:
        self.client = client
        self.account_id = account_id
        self.spec = spec
        self.instrument = instrument
        self.history = history or {}
        self.offset_ms = offset_ms
        self._spread_points = (costs or Costs()).spread_points
        self.broker = PaperBroker(spec, [instrument], costs)
        self.store = TerminalStore.open(home, account_id)
        state, self.next_tick, self._leases = self.store.load()
        if state is not None:
            self.broker.restore(state)
        self._signals = self.store.signals()
        self._by_ticket = {known.ticket: known for known in self._signals.values() if known.ticket is not None}
        self._reports = self.store.last_report()
        self._now_ms = 0
        self._must_reconcile = False

    def connect(self, path: TickPath) -> None:
        """Say hello, send what was left unsent, and reconcile, as after every start; the market stands where `path` goes on.

        Raises
        ------
        Refused
            ``terminal_running`` if another process plays this account.
        """
        self.store.claim()
        self._now_ms = int(path.time_ms[min(self.next_tick, len(path.time_ms) - 1)])
        item = self.instrument
        symbol = SymbolFacts(item.symbol, item.broker_symbol, item.digits, item.contract_size, item.lot_step, item.lot_min, item.lot_max)
        facts = TerminalFacts(
            self.account_id,
            self.spec.currency,
            self.spec.leverage,
            self.spec.margin_mode,
            True,
            "replay",
            name="simulated terminal",
            symbols=(symbol,),
        )
        self.client.hello(facts)
        self._send_reports()
        self.tell_book(reconcile=True)

    def replay(
        self, path: TickPath, stop: threading.Event, *, bars_per_s: float | None = None, progress: Callable[[int, int], None] | None = None
    ) -> bool:
        """Play ticks to the platform from where this account stopped last; True when the end was reached.

        Parameters
        ----------
        path : TickPath
            The same ticks at every start of this account.
        stop : Event
            Ends the replay between two bars.
        bars_per_s : float, optional
            Speed of a free run; lockstep where it is left out.
        progress : callable, optional
            Told (bars done, bars in all).
        """
        bars = len(path.starts) - 1
        first = int(np.searchsorted(path.starts, self.next_tick, side="right")) - 1
        for k in range(first, bars):
            if stop.is_set():
                return False
            start, end = max(int(path.starts[k]), self.next_tick), int(path.starts[k + 1])
            if bars_per_s is None:
                self._lockstep(path, start, end, is_open=start == path.starts[k], stop=stop)
            else:
                self._free(path, start, end, 1.0 / bars_per_s, stop)
            if self.history and (k == first or k + 1 == bars or (k + 1) % _ASK_EVERY_BARS == 0):
                self.tell_bars()
            if progress is not None:
                progress(k + 1, bars)
        self.tell_book()
        return True

    def tell_bars(self) -> int:
        """Post what the platform wants of the history, stretch by stretch; the number of bars that were new to it."""
        stored = 0
        for stretch in self.client.wanted_bars(self.account_id, self.instrument.symbol):
            timeframe = Timeframe[stretch.timeframe]
            if timeframe in self.history:
                rows = _rows_of(self.history[timeframe], stretch, self._spread_points)
                stored += self.client.post_bars(self.account_id, self.instrument.symbol, timeframe, rows, self.offset_ms, told=stretch).stored
        return stored

    def tell_book(self, *, reconcile: bool = False) -> None:
        """Post the account and, in a reconciliation, everything that is open and every signal that is known here."""
        snapshot = AccountSnapshot(
            self.account_id, self._now_ms, self.spec.currency, self.broker.balance, self.broker.equity, self.broker.margin, self.spec.leverage,
            self.spec.margin_mode,
        )  # fmt: skip
        known = {signal_id: item.state for signal_id, item in self._signals.items()} if reconcile else {}
        self.client.positions(snapshot, self._positions(), self._orders(), known, reconcile)

    def _lockstep(self, path: TickPath, start: int, end: int, *, is_open: bool, stop: threading.Event) -> None:
        if is_open:
            self.tell_book()
            self._post(path, start, start + 1, sync=True)
            while self._watermark(start) < start + 1:
                if stop.is_set():
                    return
            self._execute(path, start, start + 1, self._fetch(int(path.time_ms[start])))
            start += 1
        if start < end:
            self._post(path, start, end)
            self._execute(path, start, end, [])
        self._clear_up()

    def _free(self, path: TickPath, start: int, end: int, duration_s: float, stop: threading.Event) -> None:
        portions = max(1, min(10, round(duration_s / 0.1), end - start))
        for portion in np.array_split(np.arange(start, end), portions):
            first, last = int(portion[0]), int(portion[-1]) + 1
            self._post(path, first, last)
            self._execute(path, first, last, [])
            taken = self._fetch(int(path.time_ms[last - 1]))
            if taken:
                self._execute(path, last, last, taken)
            stop.wait(duration_s / portions)
        self.tell_book()
        self._clear_up()

    def _watermark(self, start: int) -> int:
        return self.client.watermark(self.account_id, self.instrument.symbol, start + 1, 2_000) or 0

    def _post(self, path: TickPath, start: int, end: int, *, sync: bool = False) -> None:
        symbol = self.instrument.symbol
        for first in range(start, end, _TICKS_PER_POST):
            last = min(first + _TICKS_PER_POST, end)
            ticks = [Tick(symbol, int(path.time_ms[i]), float(path.bid[i]), float(path.ask[i]), i + 1) for i in range(first, last)]
            self.client.post_ticks(self.account_id, ticks, sync, self.offset_ms)

    def _fetch(self, market_ms: int) -> list[Signal]:
        """Lease, write down and acknowledge what is pending; only acknowledged signals are executed."""
        taken: list[Signal] = []
        while True:
            self._leases += 1
            page, must_reconcile = self.client.pending(self.account_id, f"{self.account_id}-{self._leases}", _PAGE)
            self._must_reconcile |= must_reconcile
            for signal in page:
                if signal.id in self._signals:
                    continue
                try:
                    self.client.acknowledge(self.account_id, signal.id)
                except Refused as refusal:
                    _LOG.warning("signal_not_executed", signal=signal.id, reason=refusal.message)
                    self._must_reconcile |= refusal.code == "lease_lost"
                    continue
                taken.append(signal)
            if len(page) < _PAGE:
                return taken

    def _clear_up(self) -> None:
        """Reconcile once the platform has lost track of a signal; until then it would hold its place and block the strategy."""
        if self._must_reconcile:
            self._send_reports()
            self.tell_book(reconcile=True)
            self._must_reconcile = False

    def _execute(self, path: TickPath, start: int, end: int, signals: list[Signal]) -> None:
        """Apply signals, match ticks, keep the moment on disk, then report it."""
        changed: dict[str, KnownSignal] = {}
        reports: list[Report] = []
        self._now_ms = int(path.time_ms[max(min(start, end - 1), 0)])
        for signal in signals:
            known = self._signals[signal.id] = changed[signal.id] = KnownSignal(signal, SignalState.ACKNOWLEDGED)
            if signal.deliver_by_ms and signal.deliver_by_ms < self._now_ms:
                known.state = SignalState.EXPIRED
                reports.append(self._report("expired", signal_id=signal.id, side=signal.side, lots=signal.lots, message="fetched after deliver_by"))
                continue
            self._applied(known, self.broker.apply(signal), changed, reports)
        if end > start:
            self._expire_orders(int(path.time_ms[end - 1]), changed, reports)
            bid = path.bid[start:end]
            rates = rates_of_own_price(self.spec.currency, self.instrument, bid)
            for event in self.broker.match(self.instrument.symbol, path.time_ms[start:end], bid, path.ask[start:end], rates):
                self._now_ms = int(path.time_ms[start + event.tick])
                self._matched(event, changed, reports)
            self._now_ms = int(path.time_ms[end - 1])
        self.next_tick = max(self.next_tick, end)
        if changed or reports or start == 0 or end - start > 1:
            self.store.save(self.broker.dump(), self.next_tick, self._leases, list(changed.values()), reports)
        if reports:
            self._send_reports()

    def _applied(self, known: KnownSignal, event: BrokerEvent, changed: dict[str, KnownSignal], reports: list[Report]) -> None:
        signal = known.signal
        words = {"signal_id": signal.id, "side": event.side}
        if event.kind is EventKind.REFUSED:
            known.state = SignalState.REJECTED
            reports.append(self._rejection(event, signal.id))
        elif event.kind is EventKind.MODIFIED:
            known.state = SignalState.FILLED
            reports.append(
                self._report("modified", position_ticket=event.ticket, lots=event.lots, stop=_none(event.stop), target=_none(event.target), **words)
            )
        elif event.kind is EventKind.CANCELLED:
            known.state = SignalState.FILLED
            origin = self._by_ticket.get(event.ticket)
            if origin is not None:
                origin.state = SignalState.CANCELLED
                changed[origin.signal.id] = origin
            reports.append(self._report("cancelled", ticket=event.ticket, lots=event.lots, **words))
        else:
            known.ticket = event.ticket
            self._by_ticket[event.ticket] = known
            if signal.action == "open" and signal.entry != "market":
                known.state = SignalState.PLACED
                levels = {"price": signal.entry_price, "stop": signal.stop, "target": signal.target}
                reports.append(self._report("placed", ticket=event.ticket, lots=event.lots, **levels, **words))

    def _matched(self, event: BrokerEvent, changed: dict[str, KnownSignal], reports: list[Report]) -> None:
        known = self._by_ticket.get(event.order_ticket)
        if known is not None:
            known.state = SignalState.REJECTED if event.kind is EventKind.REFUSED else SignalState.FILLED
            changed[known.signal.id] = known
        signal_id = known.signal.id if known is not None else None
        if event.kind is EventKind.REFUSED:
            reports.append(self._rejection(event, signal_id))
            return
        money = {
            "price": event.price,
            "lots": event.lots,
            "side": event.side,
            # Interest is part of what a position cost, so that profit less cost is its net.
            "cost": event.cost - event.swap,
            "stop": _none(event.stop),
            "target": _none(event.target),
        }
        if event.kind is EventKind.OPENED:
            reports.append(self._report("filled", signal_id=signal_id, ticket=event.ticket, position_ticket=event.ticket, **money))
        elif event.kind is EventKind.CLOSED:
            ended = {"profit": event.profit, "exit_kind": int(event.exit_kind), "level": _none(event.level), "position_ticket": event.ticket}
            reports.append(self._report("closed", signal_id=signal_id, ticket=event.order_ticket or None, **ended, **money))

    def _expire_orders(self, market_ms: int, changed: dict[str, KnownSignal], reports: list[Report]) -> None:
        for order in self.broker.orders(self.instrument.symbol):
            known = self._by_ticket.get(int(order[b.O_TICKET]))
            if known is None or known.signal.order_expires_at_ms is None or known.signal.order_expires_at_ms > market_ms:
                continue
            self.broker.apply(Signal("expiry", self.account_id, "", "cancel", self.instrument.symbol, known.signal.side, ticket=known.ticket))
            known.state = SignalState.EXPIRED
            changed[known.signal.id] = known
            reports.append(self._report("expired", signal_id=known.signal.id, ticket=known.ticket, side=known.signal.side, lots=known.signal.lots))

    def _rejection(self, event: BrokerEvent, signal_id: str | None) -> Report:
        retcode, words = _RETCODES.get(Refusal(int(event.level)), (10013, "invalid request"))
        return self._report("rejected", signal_id=signal_id, ticket=event.ticket or None, side=event.side, retcode=retcode, message=words)

    def _report(self, kind: str, **values: object) -> Report:
        self._reports += 1
        return Report(f"{self.account_id}-{self._reports}", self.account_id, kind, self._now_ms, self.instrument.symbol, **values)  # type: ignore[arg-type]

    def _send_reports(self) -> None:
        while reports := self.store.unsent():
            self.client.report(self.account_id, reports)
            self.store.mark_sent(reports)

    def _positions(self) -> list[Position]:
        found = []
        bid, ask, rate = self.broker.book.marks[0]
        for p in self.broker.positions(self.instrument.symbol):
            known = self._by_ticket.get(int(p[b.P_TICKET]))
            mark = bid if p[b.P_SIDE] > 0 else ask
            profit = self.instrument.profit(int(p[b.P_SIDE]), float(p[b.P_LOTS]), float(p[b.P_ENTRY]), float(mark), float(rate))
            found.append(
                Position(
                    int(p[b.P_TICKET]), self.account_id, self.instrument.symbol, int(p[b.P_SIDE]), float(p[b.P_LOTS]), float(p[b.P_ENTRY]),
                    _none(p[b.P_STOP]), _none(p[b.P_TARGET]), self._now_ms, known.signal.id if known else None, profit,
                )
            )  # fmt: skip
        return found

    def _orders(self) -> list[WorkingOrder]:
        found = []
        for o in self.broker.orders(self.instrument.symbol):
            if o[b.O_KIND] == OrderKind.MARKET:
                continue
            known = self._by_ticket.get(int(o[b.O_TICKET]))
            found.append(
                WorkingOrder(
                    self.account_id, int(o[b.O_TICKET]), self.instrument.symbol, int(o[b.O_SIDE]), "stop" if o[b.O_KIND] == OrderKind.STOP else "limit",
                    float(o[b.O_LOTS]), _none(o[b.O_PRICE]), _none(o[b.O_STOP]), _none(o[b.O_TARGET]), self._now_ms,
                    signal_id=known.signal.id if known else None,
                )
            )  # fmt: skip
        return found


def _rows_of(bars: pd.DataFrame, stretch: Stretch, spread_points: float) -> list[BarRow]:
    """The bars of a stretch, as they are posted; `spread_points` where they have none of their own."""
    chosen = bars.loc[pd.to_datetime(stretch.from_ms, unit="ms", utc=True) : pd.to_datetime(stretch.to_ms - 1, unit="ms", utc=True)]
    spread = chosen["spread_points"] if "spread_points" in chosen.columns else pd.Series(spread_points, index=chosen.index)
    columns = [chosen[name].tolist() for name in ("open", "high", "low", "close", "volume")]
    return list(zip(pd.DatetimeIndex(chosen.index).as_unit("ms").asi8.tolist(), *columns, spread.tolist(), strict=True))


def _none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
