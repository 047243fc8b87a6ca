"""Making two books equal: ours and the terminal's, which is the truth. Runs inside the caller's transaction.

The terminal sends its outstanding reports first, then its whole book: account, open positions, working orders, and the signals that it knows
with where each stands. Whatever differs is written to the journals, with `reconcile` as its author or note.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from components.bridge.life import ACKNOWLEDGED, CANCELLED, DELIVERED, EXPIRED, FILLED, PARTIALLY_FILLED, PENDING, PLACED, UNKNOWN, is_move
from components.bridge.records import PositionChange, Reconciliation, WorkingOrder
from components.bridge.reports import move_signal, write_change
from components.bridge.schema import account_snapshots, open_lots, orders, positions, signals
from components.fx import AccountSnapshot, Position, Refused, SignalState

NOT_KNOWN = "the terminal does not know it: it was never executed"
_NOTE = "found by reconciliation"
_IDS_PER_QUERY = 500


def store_snapshot(connection: sa.Connection, snapshot: AccountSnapshot, at_ms: int) -> None:
    """Append the account as the terminal saw it."""
    connection.execute(account_snapshots.insert().values(recorded_ms=at_ms, **snapshot.__dict__))


def refresh_profits(connection: sa.Connection, account_id: str, listed: Sequence[Position]) -> None:
    """Take over the floating profit of positions that both books hold."""
    if listed:
        key = (positions.c.account_id == account_id) & (positions.c.ticket == sa.bindparam("of_ticket")) & (positions.c.is_open == 1)
        values = [{"of_ticket": position.ticket, "now": position.profit} for position in listed]
        connection.execute(positions.update().where(key).values(profit=sa.bindparam("now")), values)


def make_books_equal(
    connection: sa.Connection,
    snapshot: AccountSnapshot,
    listed: Sequence[Position],
    working: Sequence[WorkingOrder],
    known: Mapping[str, SignalState],
    at_ms: int,
) -> Reconciliation:
    """Make our book equal to the terminal's, and resolve its signals."""
    account_id = snapshot.account_id
    differences = _positions(connection, account_id, {p.ticket: p for p in listed}, snapshot.time_ms, at_ms)
    differences += _orders(connection, account_id, {o.ticket: o for o in working})
    evidence = dict(known)
    for order in working:
        if order.signal_id is not None:
            evidence.setdefault(order.signal_id, PLACED)
    for position in listed:
        if position.signal_id is not None:
            evidence.setdefault(position.signal_id, FILLED)
    resolved, contradictions = _signals(connection, account_id, evidence, at_ms)
    return Reconciliation(resolved, tuple(differences + contradictions))


def _positions(connection: sa.Connection, account_id: str, listed: Mapping[int, Position], time_ms: int, at_ms: int) -> list[str]:
    ours = {row.ticket: row for row in connection.execute(positions.select().filter_by(account_id=account_id, is_open=1))}
    differences: list[str] = []
    for ticket in ours.keys() - listed.keys():
        row, lots = ours[ticket], open_lots(ours[ticket].opened_lots, ours[ticket].closed_lots)
        if row.changed_ms > time_ms:
            continue
        _set(connection, account_id, ticket, {"closed_lots": row.opened_lots, "is_open": 0, "changed_ms": time_ms})
        _journal(connection, account_id, ticket, "closed", time_ms, at_ms, row.symbol, row.side, lots)
        differences.append(f"position {ticket} ({row.symbol}, {lots} lots) is no longer at the broker")
    for ticket, position in listed.items():
        held = ours.get(ticket)
        if held is None or _book(position) != _book_of(held):
            differences += _adopt(connection, position, held, time_ms, at_ms)
    return differences


def _book(position: Position) -> tuple[Any, ...]:
    return (position.symbol, position.side, round(position.lots, 8), position.entry, position.stop, position.target)


def _book_of(row: sa.Row[Any]) -> tuple[Any, ...]:
    return (row.symbol, row.side, open_lots(row.opened_lots, row.closed_lots), row.entry, row.stop, row.target)


def _adopt(connection: sa.Connection, position: Position, held: sa.Row[Any] | None, time_ms: int, at_ms: int) -> list[str]:
    key = {"account_id": position.account_id, "ticket": position.ticket}
    marker = held if held is not None else connection.execute(positions.select().filter_by(**key)).one_or_none()
    if marker is not None and marker.changed_ms > time_ms:
        return []
    values = {"symbol": position.symbol, "side": position.side, "entry": position.entry, "stop": position.stop, "target": position.target}
    values |= {"opened_lots": position.lots, "closed_lots": 0.0, "is_open": 1, "profit": position.profit, "changed_ms": time_ms}
    signal_id = position.signal_id or (marker.signal_id if marker is not None else None)
    if marker is None:
        connection.execute(positions.insert().values(opened_ms=position.opened_ms, signal_id=signal_id, **key, **values))
    else:
        _set(connection, position.account_id, position.ticket, values | {"opened_ms": position.opened_ms, "signal_id": signal_id})
    before = open_lots(held.opened_lots, held.closed_lots) if held is not None else 0.0
    change = "opened" if position.lots > before else "closed" if position.lots < before else "modified"
    by = (position.signal_id or "person") if held is None else "terminal"
    _journal(
        connection, position.account_id, position.ticket, change, time_ms, at_ms, position.symbol, position.side,
        round(abs(position.lots - before), 8), by, position.entry if held is None else None, position.stop, position.target,
    )  # fmt: skip
    if held is None:
        return [f"position {position.ticket} ({position.symbol}, {position.lots} lots) is at the broker and was not in the journal"]
    return [f"position {position.ticket} ({position.symbol}) stands differently at the broker: {_book(position)[2:]} instead of {_book_of(held)[2:]}"]


def _set(connection: sa.Connection, account_id: str, ticket: int, values: dict[str, Any]) -> None:
    connection.execute(positions.update().filter_by(account_id=account_id, ticket=ticket).values(**values))


def _journal(
    connection: sa.Connection, account_id: str, ticket: int, change: Any, time_ms: int, at_ms: int, symbol: str, side: int, lots: float,
    by: str = "terminal", price: float | None = None, stop: float | None = None, target: float | None = None,
) -> None:  # fmt: skip
    line = PositionChange(0, account_id, ticket, change, by, time_ms, at_ms, symbol, side, lots, price, stop, target, note=_NOTE)
    write_change(connection, line)


def _orders(connection: sa.Connection, account_id: str, listed: Mapping[int, WorkingOrder]) -> list[str]:
    still = orders.c.state.in_(("placed", "partially_filled"))
    ours = {row.ticket: row for row in connection.execute(orders.select().filter_by(account_id=account_id).where(still))}
    differences = []
    for ticket in ours.keys() - listed.keys():
        connection.execute(orders.update().filter_by(account_id=account_id, ticket=ticket).values(state="cancelled"))
        differences.append(f"order {ticket} ({ours[ticket].symbol}) is no longer at the broker")
    for ticket, order in listed.items():
        values = {name: value for name, value in order.__dict__.items() if name not in ("account_id", "ticket", "signal_id")}
        if connection.execute(orders.update().filter_by(account_id=account_id, ticket=ticket).values(**values)).rowcount == 0:
            connection.execute(orders.insert().values(account_id=account_id, ticket=ticket, signal_id=order.signal_id, **values))
        if ticket not in ours:
            differences.append(f"order {ticket} ({order.symbol}) is at the broker and was not in the journal")
    return differences


def _signals(connection: sa.Connection, account_id: str, evidence: Mapping[str, SignalState], at_ms: int) -> tuple[dict[str, SignalState], list[str]]:
    resolved: dict[str, SignalState] = {}
    contradictions: list[str] = []
    was_delivered = signals.c.state.in_([state.value for state in DELIVERED])
    of_account = signals.select().filter_by(account_id=account_id).where(was_delivered).order_by(signals.c.number)
    delivered = {row.id: row for row in connection.execute(of_account)}
    for row in delivered.values():
        current, told = SignalState(row.state), evidence.get(row.id)
        if told is None:
            told = _told_by_silence(current)
            note = NOT_KNOWN if told is EXPIRED else "the terminal no longer lists it"
        else:
            note = "the terminal lists it"
        if current is told is ACKNOWLEDGED:
            # The terminal still means to report: what is overdue counts from now.
            connection.execute(signals.update().where(signals.c.number == row.number).values(acknowledged_ms=at_ms))
        elif told is not None and not _is_older(current, told):
            try:
                if move_signal(connection, row, told, "reconcile", at_ms, note):
                    resolved[row.id] = told
            except Refused as refusal:
                contradictions.append(refusal.message)
    others = [signal_id for signal_id in evidence if signal_id not in delivered]
    states = dict(_states(connection, account_id, others))
    for signal_id in others:
        state = states.get(signal_id)
        if state is None:
            contradictions.append(f"the terminal names signal {signal_id}, which was never issued to account {account_id}")
        elif state is PENDING:
            contradictions.append(f"the terminal names signal {signal_id}, which was never given to it")
        elif evidence[signal_id] is not ACKNOWLEDGED:
            try:
                is_move(signal_id, state, evidence[signal_id])
            except Refused as refusal:
                contradictions.append(refusal.message)
    return resolved, contradictions


def _states(connection: sa.Connection, account_id: str, signal_ids: Sequence[str]) -> Iterator[tuple[str, SignalState]]:
    """State by id, of those that the account has; many ids per query, because a terminal may list a hundred thousand."""
    query = sa.select(signals.c.id, signals.c.account_id, signals.c.state)
    for start in range(0, len(signal_ids), _IDS_PER_QUERY):
        for row in connection.execute(query.where(signals.c.id.in_(signal_ids[start : start + _IDS_PER_QUERY]))):
            if row.account_id == account_id:
                yield row.id, SignalState(row.state)


def _told_by_silence(current: SignalState) -> SignalState | None:
    """What it means that the terminal does not list a signal. A lease that still runs is left alone, its answer may be on its way."""
    if current is UNKNOWN:
        # Whether it never arrived or was forgotten: nothing may execute it any more, and the positions tell what it did.
        return EXPIRED
    return CANCELLED if current in (PLACED, PARTIALLY_FILLED) else None


def _is_older(current: SignalState, told: SignalState) -> bool:
    """Whether the terminal's list lags behind a report that was sent after the list was made; the report is the newer word."""
    return told is ACKNOWLEDGED and current in (PLACED, PARTIALLY_FILLED)
