"""Signals, reports and books for the tests of the mailbox."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from components.bridge import Mailbox, TerminalFacts, WorkingOrder
from components.bridge.issue import issue_signals
from components.fx import AccountSnapshot, Position, Report, Signal, SignalState

ACCOUNT = "demo-1"
REPLAY = TerminalFacts(ACCOUNT, "USD", 30.0, "hedging", True, "replay")
WALL = TerminalFacts(ACCOUNT, "USD", 30.0, "hedging", True, "wall")


def signal(id: str = "s1", action: str = "open", **changes: Any) -> Signal:
    defaults: dict[str, Any] = {"side": 1, "lots": 0.1, "reason_text": "a test"}
    return Signal(id, ACCOUNT, "deployment-1", action, "EURUSD", **(defaults | changes))  # type: ignore[arg-type]


def issue(mailbox: Mailbox, *signals: Signal) -> int:
    return issue_signals(mailbox, signals, {"by": "a test"})


def deliver(mailbox: Mailbox, *signals: Signal) -> None:
    """Issue, lease and acknowledge."""
    issue(mailbox, *signals)
    for given in mailbox.lease_pending(ACCOUNT, f"lease-{signals[0].id}", 100):
        mailbox.acknowledge(given.id, ACCOUNT)


def report(id: str, kind: str, signal_id: str | None = "s1", **changes: Any) -> Report:
    defaults: dict[str, Any] = {"time_ms": 1_700_000_000_000, "symbol": "EURUSD", "side": 1, "ticket": 7, "price": 1.1}
    if kind in ("filled", "partially_filled", "closed", "placed"):
        defaults["lots"] = 0.1
    return Report(id, ACCOUNT, kind, signal_id=signal_id, **(defaults | changes))  # type: ignore[arg-type]


def snapshot(time_ms: int = 1_800_000_000_000, **changes: Any) -> AccountSnapshot:
    values: dict[str, Any] = {"currency": "USD", "balance": 10_000.0, "equity": 10_010.5, "margin": 36.67, "leverage": 30.0, "margin_mode": "hedging"}
    return AccountSnapshot(ACCOUNT, time_ms, **(values | changes))


def position(ticket: int = 7, **changes: Any) -> Position:
    values: dict[str, Any] = {"symbol": "EURUSD", "side": 1, "lots": 0.1, "entry": 1.1, "stop": None, "target": None, "opened_ms": 1_700_000_000_000}
    return Position(ticket, ACCOUNT, **(values | changes))


def order(ticket: int = 7, **changes: Any) -> WorkingOrder:
    values: dict[str, Any] = {"symbol": "EURUSD", "side": 1, "entry": "stop", "lots": 0.1, "price": 1.1, "stop": None, "target": None}
    return WorkingOrder(ACCOUNT, ticket, placed_ms=1_700_000_000_000, **(values | changes))


def reconcile(
    mailbox: Mailbox, known: dict[str, SignalState] | None = None, positions: Sequence[Position] = (), orders: Sequence[WorkingOrder] = ()
) -> Any:
    return mailbox.record_positions(snapshot(), positions, orders, known or {}, reconcile=True)


def state(mailbox: Mailbox, id: str = "s1") -> SignalState:
    return mailbox.signal(id).state


def put_into(mailbox: Mailbox, wanted: SignalState, id: str = "s1") -> None:
    """Bring a new open signal into a state by legal ways only."""
    issue(mailbox, signal(id, deliver_by_ms=1))
    if wanted is SignalState.PENDING:
        return
    if wanted is SignalState.EXPIRED:
        assert mailbox.sweep().expired == 1
        return
    mailbox.hello(REPLAY)
    lease_ms = -1 if wanted is SignalState.UNKNOWN else 60_000
    mailbox.lease_pending(ACCOUNT, f"lease-{id}", lease_ms=lease_ms)
    if wanted is SignalState.UNKNOWN:
        assert mailbox.sweep().unknown == 1
    elif wanted is not SignalState.LEASED:
        mailbox.acknowledge(id, ACCOUNT)
    if wanted.value in ("placed", "partially_filled", "filled", "rejected", "cancelled"):
        mailbox.record_reports([report(f"{id}-{wanted.value}", wanted.value, id)])
    assert state(mailbox, id) is wanted
