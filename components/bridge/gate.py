"""Who may issue, as one row per subject beside the signals, so that one transaction both asks and inserts.

The platform is ACTIVE (anything), REDUCING (close, modify, cancel) or HALTED (cancel only). A deployment is ARMED, or DISARMED (cancel only).
No row means ACTIVE, and for a deployment ARMED. Everything here runs inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from components.bridge.life import CANCELLED, PENDING
from components.bridge.reports import move_signal
from components.bridge.schema import gates, signal_of, signals
from components.fx import BadInput, Signal

PLATFORM = "platform"
STATES = {True: ("ACTIVE", "REDUCING", "HALTED"), False: ("ARMED", "DISARMED")}
"""Words of a gate, by whether its subject is the platform."""

_ANY = frozenset({"open", "close", "modify", "cancel"})
_ALLOWED = {
    "ACTIVE": _ANY,
    "REDUCING": frozenset({"close", "modify", "cancel"}),
    "HALTED": frozenset({"cancel"}),
    "ARMED": _ANY,
    "DISARMED": frozenset({"cancel"}),
}
# What nobody has fetched yet and is withdrawn. A disarmed deployment's closes stay: they only make its positions smaller.
_WITHDRAWN = {
    "ACTIVE": frozenset[str](),
    "REDUCING": frozenset({"open"}),
    "HALTED": frozenset({"open", "close", "modify"}),
    "ARMED": frozenset[str](),
    "DISARMED": frozenset({"open"}),
}


def gate_of(connection: sa.Connection, subject: str) -> str | None:
    """State of a gate, None where it was never set."""
    return connection.execute(sa.select(gates.c.state).where(gates.c.subject == subject)).scalar_one_or_none()


def write_gate(connection: sa.Connection, subject: str, state: str, reason: str, at_ms: int) -> int:
    """Set a gate and withdraw what it no longer lets through; the number of signals that were withdrawn.

    Raises
    ------
    BadInput
        If the subject cannot be in that state.
    """
    known = STATES[subject == PLATFORM]
    if not subject:
        raise BadInput("subject", f"is empty; it is {PLATFORM!r} or a deployment's id")
    if state not in known:
        raise BadInput("state", f"{state!r} is no state of {subject}; it is one of {', '.join(known)}")
    values = {"state": state, "reason": reason, "changed_ms": at_ms}
    if connection.execute(gates.update().where(gates.c.subject == subject).values(**values)).rowcount == 0:
        connection.execute(gates.insert().values(subject=subject, **values))
    if not _WITHDRAWN[state]:
        return 0
    waiting = signals.select().filter_by(state=PENDING.value).order_by(signals.c.number)
    if subject != PLATFORM:
        waiting = waiting.where(signals.c.deployment_id == subject)
    withdrawn = [row for row in connection.execute(waiting).all() if signal_of(row).action in _WITHDRAWN[state]]
    return sum(move_signal(connection, row, CANCELLED, "desk", at_ms, reason) for row in withdrawn)


def let_through(connection: sa.Connection, new_signals: Iterable[Signal]) -> list[Signal]:
    """Those of the signals that the platform's gate and their deployment's let through, in their order."""
    wanted = list(new_signals)
    subjects = {PLATFORM, *(signal.deployment_id for signal in wanted)}
    rows = connection.execute(sa.select(gates.c.subject, gates.c.state).where(gates.c.subject.in_(subjects)))
    allowed = {subject: _ALLOWED[state] for subject, state in rows}
    of_platform = allowed.pop(PLATFORM, _ANY)
    return [signal for signal in wanted if signal.action in of_platform & allowed.get(signal.deployment_id, _ANY)]
