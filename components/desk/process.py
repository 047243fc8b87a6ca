"""The desk's process: woken by the API, it runs the sessions of all armed deployments and keeps the mailbox swept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from components.base import Settings, get_log
from components.bridge import BarStore, Mailbox, TickStore, WakeListener
from components.desk.records import Deployment
from components.desk.session import Session
from components.desk.store import DeskStore
from components.fx import Corrupt, PlatformError, Unavailable

_LOG = get_log("desk")
POLL_S = 1.0
Result = TypeVar("Result")


class _Desk:
    def __init__(self, settings: Settings) -> None:
        self.home = settings.home
        self.store = DeskStore.open(self.home)
        self.mailbox = Mailbox.open(self.home)
        self.ticks = TickStore.open(self.home)
        self.bars = BarStore(self.ticks.database)
        self.sessions: dict[str, Session] = {}
        self.armed: dict[str, Deployment] = {}
        self.armed_ids: set[str] = set()
        self.waiting: dict[tuple[str, str], int] = {}

    def serve(self, account_id: str, symbol: str, seq: int) -> None:
        """Bring every session of one account and symbol up to the ticks that are stored."""
        self.waiting[(account_id, symbol)] = max(seq, self.waiting.get((account_id, symbol), 0))
        if self.store.armed_ids() != self.armed_ids:
            # A deployment that was armed a moment ago must not miss the tick that it was armed for.
            self.refresh()
        for session in list(self.sessions.values()):
            if (session.deployment.account_id, session.deployment.symbol) == (account_id, symbol):
                self._run(session)

    def refresh(self) -> None:
        """Open sessions of deployments that were armed, close those of the disarmed, and look for ticks that nobody told of."""
        self.armed_ids = self.store.armed_ids()
        armed = self.armed = {item.id: item for item in self.store.deployments() if item.state == "armed"}
        for gone in self.sessions.keys() - armed.keys():
            del self.sessions[gone]
        for item in armed.values():
            if item.id not in self.sessions and not self._open(item):
                continue
            self._run(self.sessions[item.id])

    def answers(self) -> Iterator[tuple[str, str, int]]:
        """Feeds that every session has dealt with, with the tick number that the API waits for; each is given once."""
        for (account_id, symbol), seq in list(self.waiting.items()):
            mine = [self.sessions.get(item.id) for item in self.armed.values() if (item.account_id, item.symbol) == (account_id, symbol)]
            if all(session is not None and session.last_seq >= seq for session in mine):
                del self.waiting[(account_id, symbol)]
                yield account_id, symbol, seq

    def _open(self, item: Deployment) -> bool:
        try:
            self.sessions[item.id] = Session(self.home, item, self.store, self.mailbox, self.ticks)
            # What the session decides on stays as it was seen; whoever collects the series later has the holes filled.
            self.bars.want(item.account_id, item.symbol, item.timeframe)
        except Unavailable as error:
            _LOG.warning("session_waits", deployment=item.id, error=error.message)
            return False
        except Exception as error:  # the process edge, as in _run
            self._give_up(item.id, error)
            return False
        return True

    def _run(self, session: Session) -> None:
        deployment_id = session.deployment.id
        try:
            session.catch_up()
        except Unavailable as error:
            # A session that was interrupted starts again from what is stored.
            _LOG.warning("session_restarts", deployment=deployment_id, error=error.message)
            self.sessions.pop(deployment_id, None)
        except Exception as error:  # the process edge: one broken strategy must not take the others with it
            self._give_up(deployment_id, error)

    def _give_up(self, deployment_id: str, error: Exception) -> None:
        reason = error.message if isinstance(error, PlatformError) else f"{type(error).__name__}: {error}"
        _LOG.error("deployment_disarmed", deployment=deployment_id, reason=reason, exc_info=error)
        self.sessions.pop(deployment_id, None)
        self.armed.pop(deployment_id, None)
        if isinstance(error, Corrupt):
            self.store.halt(f"deployment {deployment_id}: {reason}")
        self.store.disarm(deployment_id, reason)

    def close(self) -> None:
        for store in (self.ticks, self.mailbox, self.store):
            store.close()


def run_desk(settings: Settings, stop: threading.Event) -> None:
    """Run the desk until `stop` is set.

    The API wakes it through the loopback port ``settings.desk_port``; each answer says up to which tick every session of that account and
    symbol has decided. Once a second it looks for what it was not told of.
    """
    desk = _Desk(settings)
    wakes: SimpleQueue[tuple[str, str, int]] = SimpleQueue()
    try:
        with WakeListener(settings.desk_port, lambda account_id, symbol, seq: wakes.put((account_id, symbol, seq))) as listener:
            _guarded(desk.refresh)
            _LOG.info("desk_ready", port=settings.desk_port, sessions=len(desk.sessions))
            refreshed = time.monotonic()
            while not stop.is_set():
                with suppress(Empty):
                    account_id, symbol, seq = wakes.get(timeout=0.2)
                    _guarded(desk.serve, account_id, symbol, seq)
                if time.monotonic() - refreshed >= POLL_S:
                    _guarded(desk.refresh)
                    _guarded(desk.mailbox.sweep)
                    refreshed = time.monotonic()
                for account_id, symbol, seq in _guarded(lambda: list(desk.answers())) or ():
                    listener.processed(account_id, symbol, seq)
    finally:
        desk.close()


def _guarded(work: Callable[..., Result], *args: Any) -> Result | None:
    """The process edge: a busy store is tried again in a moment; a corrupt one halts trading; nothing ends the desk."""
    try:
        return work(*args)
    except Unavailable as error:
        _LOG.warning("store_busy", error=error.message)
    except Corrupt as error:
        # Nothing can be promised any more, also not that a halt can be written; the supervisor's restart finds the same and says so.
        _LOG.error("store_corrupt", error=error.message)
        raise
    return None
