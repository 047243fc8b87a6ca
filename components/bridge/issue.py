"""Putting signals into the mailbox. Only the desk, which approves them, imports this."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from components.base import insert_or_ignore, now_ms
from components.bridge.gate import let_through
from components.bridge.reports import write_journal
from components.bridge.schema import approvals, content_of, signals, terminals
from components.bridge.store import Mailbox
from components.fx import BadInput, NotFound, Refused, Signal, SignalState, instrument


def issue_signals(mailbox: Mailbox, new_signals: Sequence[Signal], approval: dict[str, Any]) -> int:
    """Approve signals and make them pending, in one transaction.

    Parameters
    ----------
    mailbox : Mailbox
    new_signals : sequence of Signal
        In the order in which the terminal shall execute them. Ids are the sender's; one that is there already is left as it is. What the gates
        of the platform and of its deployment do not let through at this moment is left out.
    approval : dict
        Who approved them and why, as JSON. Its ``"id"``, if there is one, names it; else the signals' ids do.

    Returns
    -------
    int
        Number of signals that went in: let through, and not there before.

    Raises
    ------
    NotFound
        If a signal's account has never said hello.
    BadInput
        If a symbol is unknown.
    Refused
        ``id_reused`` if an id is taken by another signal; nothing is stored then.
    """
    if not new_signals:
        return 0
    at_ms, issued = now_ms(), 0
    approval_id = str(approval.get("id") or hashlib.sha256("\n".join(signal.id for signal in new_signals).encode()).hexdigest())
    try:
        row = {"id": approval_id, "content": orjson.dumps(approval, option=orjson.OPT_SORT_KEYS), "at_ms": at_ms}
    except TypeError as error:
        raise BadInput("approval", f"cannot be written as JSON: {error}") from error
    for symbol in {signal.symbol for signal in new_signals}:
        instrument(symbol)
    with mailbox.database.write() as connection:
        for account_id in {signal.account_id for signal in new_signals}:
            if connection.execute(sa.select(terminals.c.account_id).filter_by(account_id=account_id)).first() is None:
                raise NotFound(f"account_id: no terminal of account {account_id!r} has said hello")
        allowed = let_through(connection, new_signals)
        if allowed:
            insert_or_ignore(connection, approvals, [row])
        for signal in allowed:
            issued += _insert(connection, signal, approval_id, at_ms)
    return issued


def _insert(connection: sa.Connection, signal: Signal, approval_id: str, at_ms: int) -> bool:
    content = content_of(signal)
    key = {"id": signal.id, "account_id": signal.account_id, "deployment_id": signal.deployment_id, "approval_id": approval_id}
    state = {"state": SignalState.PENDING.value, "deliver_by_ms": signal.deliver_by_ms, "issued_ms": at_ms, "changed_ms": at_ms, "message": ""}
    if insert_or_ignore(connection, signals, [{**key, **state, "content": content}]):
        write_journal(connection, signal.id, None, SignalState.PENDING, "desk", at_ms, signal.reason_text)
        return True
    if connection.execute(sa.select(signals.c.content).where(signals.c.id == signal.id)).scalar_one() != content:
        raise Refused("id_reused", f"signal id {signal.id!r} is taken by another signal")
    return False
