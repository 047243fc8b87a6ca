"""The room as the API runs it: both stores, the line to the desk, who may speak, a sweep every second, and figures for Prometheus."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from operator import itemgetter
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from components.base import Settings, get_log, now_ms
from components.bridge.bars import BarsPosted, BarStore
from components.bridge.feeds import Intake
from components.bridge.records import MarketClock, TerminalFacts
from components.bridge.shapes import BarsPost
from components.bridge.signing import Verifier, load_or_make_key
from components.bridge.store import Mailbox
from components.bridge.ticks import TickRow, TickStore
from components.bridge.wake import WakeSender
from components.bridge.wanted import Stretch
from components.bridge.wire import bar_rows, told_stretch
from components.fx import BadInput, Refused, Timeframe

SYNC_WAIT_S = 10.0
SWEEP_EVERY_S = 1.0
TICK_AHEAD_MS = 60_000
_COMMIT_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0)
_LOG = get_log("bridge")
_symbol_of, _seq_of, _time_of = itemgetter(0), itemgetter(1), itemgetter(2)


class Metrics:
    """What Prometheus may ask."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("sequence_http_requests", "Requests by route and status", ["route", "status"], registry=self.registry)
        self.ticks = Counter("sequence_ticks_accepted", "Ticks that were answered as stored", registry=self.registry)
        self.signals = Gauge("sequence_signals", "Signals by state", ["state"], registry=self.registry)
        self.bars = Counter("sequence_bars_posted", "Posted bars that were answered, by what became of them", ["became"], registry=self.registry)
        self.feeds = Gauge("sequence_feed_ticks", "Ticks of a feed by what they were", ["account", "symbol", "was"], registry=self.registry)
        self.commits = Histogram("sequence_tick_commit_seconds", "Commits of ticks", buckets=_COMMIT_BUCKETS_S, registry=self.registry)


class Bridge:
    """The bridge of one API process.

    Parameters
    ----------
    settings : Settings
        Home of the stores, and the port on which the desk is told of ticks.

    Raises
    ------
    Unavailable, Corrupt
        If a store or the key cannot be opened.
    """

    def __init__(self, settings: Settings) -> None:
        self.home = settings.home
        self.started_ms = now_ms()
        self.metrics = Metrics()
        self.mailbox = Mailbox.open(settings.home)
        self.ticks = TickStore.open(settings.home, lambda _ticks, seconds: self.metrics.commits.observe(seconds))
        self.bars = BarStore(self.ticks.database)
        self.verifier = Verifier(load_or_make_key(settings.home), started_ms=self.started_ms)
        self.wake = WakeSender("127.0.0.1", settings.desk_port)
        self._market_clocks: dict[str, MarketClock] = {}
        self._offsets: dict[tuple[str, str], int] = {}
        self._closing = threading.Event()
        threading.Thread(target=self._sweep, name="sweep", daemon=True).start()

    def require_account(self, account_id: str) -> None:
        """Raise NotFound unless the account's terminal has said hello; the database is asked once per account."""
        self._market_clock(account_id)

    def hello(self, facts: TerminalFacts) -> bool:
        """A terminal says who it is; whether it must reconcile. Raises as `Mailbox.hello`."""
        must_reconcile = self.mailbox.hello(facts)
        self._market_clocks[facts.account_id] = facts.market_clock
        return must_reconcile

    def store_ticks(
        self, account_id: str, rows: Sequence[TickRow], is_sync: bool, prefix: str = "ticks.{}.", offset_ms: int | None = None
    ) -> tuple[int, int | None]:
        """Store ticks durably and wake the desk.

        Parameters
        ----------
        account_id : str
        rows : sequence of (symbol, seq, time_ms, bid, ask)
        is_sync : bool
            Whether to wait for the desk.
        prefix : str
            Names a tick in errors, by its place.
        offset_ms : int, optional
            The broker's clock less UTC, as the terminal took it off; kept in versions.

        Returns
        -------
        accepted : int
            Number of ticks, all of them on disk.
        watermark : int or None
            With `is_sync`, the number of the last tick's symbol up to which the desk has processed, once it has processed all of them;
            None if it did not within 10 s, or if nobody asked.

        Raises
        ------
        NotFound
            If the account's terminal has not said hello.
        BadInput
            If a tick of an account on the wall's clock is more than a minute ahead of ours: bars would close before their time.
        Refused, Unavailable
            As `TickStore.append_rows`.
        """
        if self._market_clock(account_id) == "wall":
            _refuse_future(rows, prefix)
        accepted = self.ticks.append_rows(account_id, rows)
        self.metrics.ticks.inc(accepted)
        highest = _highest_seqs(rows)
        if offset_ms is not None:
            self._tell_clock(account_id, highest, rows, offset_ms)
        for symbol, seq in highest.items():
            self.wake.send(account_id, symbol, seq)
        if not is_sync:
            return accepted, None
        reached = {symbol: self.wake.wait_processed(account_id, symbol, seq, SYNC_WAIT_S) for symbol, seq in highest.items()}
        return accepted, None if None in reached.values() else reached[rows[-1][0]]

    def store_bars(self, sent: BarsPost) -> BarsPosted:
        """Store closed bars durably.

        Raises
        ------
        NotFound
            If the account's terminal has not said hello.
        BadInput
            As `wire.bar_rows` and `wire.told_stretch`.
        Refused
            ``no_ticks`` where the market is replayed and no tick has said where it stands.
        """
        until_ms = self._market_ms(sent.account_id, sent.symbol)
        if until_ms is None:
            raise Refused(
                "no_ticks", f"account {sent.account_id} replays a market and no tick of {sent.symbol} has told where it stands; post one first"
            )
        rows, told = bar_rows(sent, until_ms), told_stretch(sent, until_ms)
        posted = self.bars.post(sent.account_id, sent.symbol, Timeframe[sent.timeframe], rows, sent.offset_ms, told)
        for became in ("stored", "duplicates", "revised"):
            self.metrics.bars.labels(became).inc(getattr(posted, became))
        return posted

    def wanted_bars(self, account_id: str, symbol: str, timeframe: str | None) -> list[Stretch]:
        """Which bars the account's terminal is asked for; none while a replayed market has not begun. Raises NotFound as `store_bars`."""
        until_ms = self._market_ms(account_id, symbol)
        if until_ms is None:
            return []
        return self.bars.wanted(account_id, symbol, None if timeframe is None else Timeframe[timeframe], until_ms)

    def feeds(self, account_id: str, symbol: str | None = None) -> list[dict[str, Any]]:
        """What came in of every symbol of an account, or of one: ticks as in `Intake`, and posted bars by timeframe. Raises NotFound as `store_bars`."""
        self.require_account(account_id)
        bars: dict[str, list[dict[str, Any]]] = {}
        for counts in self.bars.counts(account_id, symbol):
            bars.setdefault(counts.symbol, []).append({name: value for name, value in asdict(counts).items() if name not in ("account_id", "symbol")})
        ticks = {feed.symbol: asdict(feed) for feed in self.ticks.intake(account_id, symbol)}
        nothing = asdict(Intake(account_id, "", 0, 0, 0, 0, 0, 0, 0, 0))
        found = [ticks.get(symbol, nothing) | {"symbol": symbol, "bars": bars.get(symbol, [])} for symbol in sorted(ticks.keys() | bars.keys())]
        return [{name: value for name, value in feed.items() if name != "account_id"} for feed in found]

    def watermark(self, account_id: str, symbol: str, after_seq: int, wait_ms: int) -> int | None:
        """How far the desk has processed, after waiting up to `wait_ms` for it to reach `after_seq`."""
        self.require_account(account_id)
        if wait_ms:
            self.wake.wait_processed(account_id, symbol, after_seq, wait_ms / 1000)
        return self.wake.processed(account_id, symbol)

    def figures(self) -> str:
        """Every figure in Prometheus' text form."""
        for state, number in self.mailbox.counts().items():
            self.metrics.signals.labels(state.value).set(number)
        for feed in self.ticks.intake():
            for was in ("ticks", "late", "duplicates", "resent", "filled_in"):
                self.metrics.feeds.labels(feed.account_id, feed.symbol, was).set(getattr(feed, was))
        return generate_latest(self.metrics.registry).decode()

    def close(self) -> None:
        """Answer who waits, write what waits, close the stores."""
        self._closing.set()
        self.wake.close()
        self.ticks.close()
        self.mailbox.close()

    def _market_ms(self, account_id: str, symbol: str) -> int | None:
        """Where an account's market stands: now, or where a tick is ahead of our clock, that; None for a replay before its first tick."""
        newest_ms = self.ticks.newest_ms(account_id, symbol)
        return max(now_ms(), newest_ms or 0) if self._market_clock(account_id) == "wall" else newest_ms

    def _tell_clock(self, account_id: str, symbols: Iterable[str], rows: Sequence[TickRow], offset_ms: int) -> None:
        """Write down an offset that changed; a terminal tells the same one with every post."""
        for symbol in symbols:
            if self._offsets.get((account_id, symbol)) != offset_ms:
                _, first_seq, first_ms, _, _ = min((row for row in rows if row[0] == symbol), key=_seq_of)
                self.bars.tell_clock(account_id, symbol, offset_ms, first_seq, first_ms)
                self._offsets[(account_id, symbol)] = offset_ms

    def _market_clock(self, account_id: str) -> MarketClock:
        clock = self._market_clocks.get(account_id)
        if clock is None:
            # A hello that came in between is newer than what was read.
            clock = self._market_clocks.setdefault(account_id, self.mailbox.terminal(account_id).facts.market_clock)
        return clock

    def _sweep(self) -> None:
        while not self._closing.wait(SWEEP_EVERY_S):
            try:
                swept = self.mailbox.sweep()
            except Exception as error:  # the edge of this thread: a busy store now is no reason to stop looking
                _LOG.exception("sweep_failed", error=str(error))
            else:
                if swept.unknown or swept.expired:
                    _LOG.warning("signals_overdue", unknown=swept.unknown, expired=swept.expired)


def _highest_seqs(rows: Sequence[TickRow]) -> dict[str, int]:
    """The highest number of each symbol; nearly always there is one symbol, and a loop in Python would cost a tenth of a millisecond."""
    if len(set(map(_symbol_of, rows))) == 1:
        return {rows[0][0]: max(map(_seq_of, rows))}
    highest: dict[str, int] = {}
    for row in rows:
        highest[row[0]] = max(row[1], highest.get(row[0], 0))
    return highest


def _refuse_future(rows: Sequence[TickRow], prefix: str) -> None:
    latest_ms = now_ms() + TICK_AHEAD_MS
    if max(map(_time_of, rows)) > latest_ms:
        index = next(index for index, row in enumerate(rows) if row[2] > latest_ms)
        ahead_s = (rows[index][2] - latest_ms + TICK_AHEAD_MS) // 1000
        raise BadInput(
            prefix.format(index) + "time_ms",
            f"{rows[index][2]} is {ahead_s} s ahead of the platform's clock, at most {TICK_AHEAD_MS // 1000} s are taken; send times in UTC, not in the"
            " broker's zone, and set the clocks",
        )
