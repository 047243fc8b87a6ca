"""The desk's process: woken by the API, it runs the sessions of all armed deployments and keeps the mailbox swept."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue

from components.base import Settings, get_log
from components.bridge import Mailbox, TickStore, WakeListener
from components.desk.records import TradingState
from components.desk.session import Session
from components.desk.store import DeskStore
from components.fx import Corrupt, PlatformError, Unavailable

_LOG = get_log("desk")
POLL_S = 1.0


class _Desk:
    def __init__(self, settings: Settings) -> None:
        self.home = settings.home
        self.store = DeskStore.open(self.home)
        self.mailbox = Mailbox.open(self.home)
        self.ticks = TickStore.open(self.home)
        self.sessions: dict[str, Session] = {}

    def serve(self, account_id: str, symbol: str) -> None:
        """Bring every session of one account and symbol up to the ticks that are stored."""
        feed = (account_id, symbol)
        if not any((item.deployment.account_id, item.deployment.symbol) == feed for item in self.sessions.values()):
            # A deployment that was armed a moment ago must not miss the tick that it was armed for.
            self.refresh()
        for session in list(self.sessions.values()):
            if (session.deployment.account_id, session.deployment.symbol) == feed:
                self._run(session)

    def refresh(self) -> None:
        """Open sessions of deployments that were armed, close those of the disarmed, and look for ticks that nobody told of."""
        armed = {item.id: item for item in self.store.deployments() if item.state == "armed"}
        for gone in self.sessions.keys() - armed.keys():
            del self.sessions[gone]
        for item in armed.values():
            if item.id not in self.sessions:
                try:
                    self.sessions[item.id] = Session(self.home, item, self.store, self.mailbox, self.ticks)
                except Unavailable as error:
                    _LOG.warning("session_waits", deployment=item.id, error=error.message)
                    continue
                except PlatformError as error:
                    self._give_up(item.id, error.message)
                    continue
            self._run(self.sessions[item.id])

    def _run(self, session: Session) -> None:
        deployment_id = session.deployment.id
        try:
            session.catch_up()
        except Unavailable as error:
            # A session that was interrupted starts again from what is stored.
            _LOG.warning("session_restarts", deployment=deployment_id, error=error.message)
            self.sessions.pop(deployment_id, None)
        except Corrupt as error:
            self.store.halt(f"deployment {deployment_id}: {error.message}")
            self._give_up(deployment_id, error.message)
        except PlatformError as error:
            self._give_up(deployment_id, error.message)
        except Exception as error:  # the process edge: one broken strategy must not take the others with it
            _LOG.exception("session_failed", deployment=deployment_id)
            self._give_up(deployment_id, f"{type(error).__name__}: {error}")

    def _give_up(self, deployment_id: str, reason: str) -> None:
        _LOG.error("deployment_disarmed", deployment=deployment_id, reason=reason)
        self.sessions.pop(deployment_id, None)
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
    desk.refresh()
    try:
        with WakeListener(settings.desk_port, lambda account_id, symbol, seq: wakes.put((account_id, symbol, seq))) as listener:
            _LOG.info("desk_ready", port=settings.desk_port, sessions=len(desk.sessions))
            refreshed = time.monotonic()
            while not stop.is_set():
                try:
                    account_id, symbol, seq = wakes.get(timeout=0.2)
                except Empty:
                    pass
                else:
                    desk.serve(account_id, symbol)
                    listener.processed(account_id, symbol, seq)
                if time.monotonic() - refreshed >= POLL_S:
                    _housekeeping(desk)
                    refreshed = time.monotonic()
    finally:
        desk.close()


def _housekeeping(desk: _Desk) -> None:
    try:
        desk.refresh()
        desk.mailbox.sweep()
        if desk.store.trading_state() == TradingState.HALTED.value:
            desk.store.withdraw_pending("trading is halted")
    except Unavailable as error:
        _LOG.warning("store_busy", error=error.message)
