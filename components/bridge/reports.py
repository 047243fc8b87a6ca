"""What a report changes: the signal's state, the working orders, the positions and both journals, inside the caller's transaction.

Reports may arrive in any order and more than once. Sizes therefore add up (opened lots, closed lots) instead of being replaced, and a row
that is finished stays as a marker that the late report of its beginning finds.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa

from components.base import insert_or_ignore
from components.bridge.life import CANCELLED, is_move, state_after
from components.bridge.records import OrderState, PositionChange, PositionChangeKind
from components.bridge.schema import content_of, open_lots, orders, positions, positions_journal, reports, signal_journal, signal_of, signals
from components.fx import BadInput, ExitKind, NotFound, Refused, Report, Signal, SignalState

_WORKING = ("placed", "partially_filled")


def move_signal(
    connection: sa.Connection, row: sa.Row[Any], to: SignalState, by: str, at_ms: int, note: str = "", report_id: str | None = None
) -> bool:
    """Move a signal and write the journal; False where it is there already.

    Raises
    ------
    Refused
        If the transition is illegal.
    """
    current = SignalState(row.state)
    moved = is_move(row.id, current, to)
    if moved:
        values: dict[str, Any] = {"state": to.value, "changed_ms": at_ms, "message": note}
        if to is SignalState.ACKNOWLEDGED:
            values["acknowledged_ms"] = at_ms
        connection.execute(signals.update().where(signals.c.number == row.number).values(**values))
    if moved or report_id is not None:
        write_journal(
            connection, row.id, current, to if moved else current, by, at_ms, note if moved else f"{to.value} reported again or late", report_id
        )
    return moved


def write_journal(
    connection: sa.Connection,
    signal_id: str,
    before: SignalState | None,
    after: SignalState,
    by: str,
    at_ms: int,
    note: str = "",
    report_id: str | None = None,
) -> None:
    """Append a line to the signal journal."""
    values = {"from_state": before.value if before else None, "to_state": after.value, "by": by, "note": note, "report_id": report_id}
    connection.execute(signal_journal.insert().values(signal_id=signal_id, at_ms=at_ms, **values))


def signal_row(connection: sa.Connection, signal_id: str) -> sa.Row[Any] | None:
    """The row of a signal."""
    return connection.execute(signals.select().where(signals.c.id == signal_id)).one_or_none()


def apply_report(connection: sa.Connection, report: Report, field: str, at_ms: int) -> bool:
    """Record one report and what follows from it; False where it is recorded already. `field` names it in errors.

    Raises
    ------
    NotFound
        If it names a signal that this account never had.
    BadInput
        If a fill names no ticket.
    Refused
        If its id was used for something else, or if it contradicts the signal's state.
    """
    content = content_of(report)
    key = {"account_id": report.account_id, "id": report.id}
    if not insert_or_ignore(connection, reports, [{**key, "signal_id": report.signal_id, "recorded_ms": at_ms, "content": content}]):
        stored = connection.execute(sa.select(reports.c.content).filter_by(**key)).scalar_one()
        if stored != content:
            raise Refused("id_reused", f"{field}.id: report {report.id!r} is recorded already with another content")
        return False
    row = signal = None
    if report.signal_id is not None:
        row = signal_row(connection, report.signal_id)
        if row is None or row.account_id != report.account_id:
            raise NotFound(f"{field}.signal_id: account {report.account_id} has no signal {report.signal_id!r}")
        signal = signal_of(row)
        state = state_after(report.kind, signal.action)
        if state is not None:
            try:
                move_signal(connection, row, state, "terminal", at_ms, report.message, report.id)
            except Refused as refusal:
                raise Refused(refusal.code, f"{field}.kind: {refusal.message}") from None
    _apply_to_book(connection, report, signal, field, at_ms)
    return True


def _apply_to_book(connection: sa.Connection, report: Report, signal: Signal | None, field: str, at_ms: int) -> None:
    action = signal.action if signal else None
    if report.kind == "placed":
        _note_order(connection, report, "placed")
    elif report.kind in ("partially_filled", "filled"):
        if action == "close":
            _reduce(connection, report, signal, field, at_ms)
        elif action in ("open", None):
            _increase(connection, report, field, at_ms)
    elif report.kind == "closed":
        _reduce(connection, report, signal, field, at_ms)
    elif report.kind == "modified":
        _modify(connection, report, signal, field, at_ms)
    elif action in ("open", None) or (action == "cancel" and report.kind == "cancelled"):
        _finish_order(connection, report, signal, at_ms)


def _order_row(connection: sa.Connection, account_id: str, ticket: int | None) -> sa.Row[Any] | None:
    return connection.execute(orders.select().filter_by(account_id=account_id, ticket=ticket)).one_or_none() if ticket is not None else None


def _note_order(connection: sa.Connection, report: Report, state: OrderState) -> None:
    if report.ticket is None:
        return
    entry = "market"
    row = _order_row(connection, report.account_id, report.ticket)
    if row is not None:
        if is_move(f"of order {report.ticket}", SignalState(row.state), SignalState(state)):
            connection.execute(orders.update().filter_by(account_id=report.account_id, ticket=report.ticket).values(state=state))
        return
    if report.signal_id is not None and (signal := signal_row(connection, report.signal_id)) is not None:
        entry = signal_of(signal).entry
    values = {"symbol": report.symbol, "side": report.side, "entry": entry, "lots": report.lots, "price": report.price, "stop": report.stop}
    values |= {"target": report.target, "placed_ms": report.time_ms, "state": state, "signal_id": report.signal_id}
    connection.execute(orders.insert().values(account_id=report.account_id, ticket=report.ticket, **values))


def _finish_order(connection: sa.Connection, report: Report, signal: Signal | None, at_ms: int) -> None:
    ticket = signal.ticket if signal is not None and signal.action == "cancel" else report.ticket
    row = _order_row(connection, report.account_id, ticket if ticket is not None else report.ticket)
    if row is None:
        _note_order(connection, report, SignalState(report.kind).value)  # type: ignore[arg-type]
        return
    if row.state not in _WORKING:
        return
    connection.execute(orders.update().filter_by(account_id=row.account_id, ticket=row.ticket).values(state=report.kind))
    origin = signal_row(connection, row.signal_id) if row.signal_id not in (None, report.signal_id) else None
    if origin is not None and not SignalState(origin.state).is_final:
        note = report.message or f"its order {row.ticket} was {report.kind} by {report.signal_id or 'the terminal'}"
        move_signal(connection, origin, CANCELLED if report.kind == "cancelled" else SignalState(report.kind), "terminal", at_ms, note, report.id)


def position_row(connection: sa.Connection, account_id: str, ticket: int | None) -> sa.Row[Any] | None:
    """The row of a position, open or finished."""
    return connection.execute(positions.select().filter_by(account_id=account_id, ticket=ticket)).one_or_none()


def write_change(connection: sa.Connection, change: PositionChange) -> None:
    """Append a line to the positions journal; its number is given here."""
    values = asdict(change)
    del values["number"]
    connection.execute(positions_journal.insert().values(**values))


def change_from(report: Report, ticket: int, change: PositionChangeKind, by: str, at_ms: int) -> PositionChange:
    """The line of the positions journal that a report causes."""
    return PositionChange(
        0, report.account_id, ticket, change, by, report.time_ms, at_ms, report.symbol, report.side, report.lots, report.price, report.stop,
        report.target, report.profit, report.cost, report.exit_kind, report.level, report.id, report.message,
    )  # fmt: skip


def _ticket_of(report: Report, field: str, fallback: int | None = None) -> int:
    ticket = next((t for t in (report.position_ticket, fallback, report.ticket) if t is not None), None)
    if ticket is None:
        raise BadInput(f"{field}.position_ticket", "a fill or a change names the position's ticket, or the order's")
    return ticket


def _increase(connection: sa.Connection, report: Report, field: str, at_ms: int) -> None:
    ticket = _ticket_of(report, field)
    row = position_row(connection, report.account_id, ticket)
    price = report.price if report.price is not None else 0.0
    by = report.signal_id or "person"
    if report.kind == "filled" or _order_row(connection, report.account_id, report.ticket) is not None:
        _note_order(connection, report, report.kind)  # type: ignore[arg-type]
    opening = {
        "symbol": report.symbol,
        "side": report.side,
        "entry": price,
        "stop": report.stop,
        "target": report.target,
        "signal_id": report.signal_id,
    }
    if row is None:
        times = {"opened_ms": report.time_ms, "changed_ms": report.time_ms}
        sizes = {"opened_lots": report.lots, "closed_lots": 0.0, "is_open": 1, "profit": 0.0}
        connection.execute(positions.insert().values(account_id=report.account_id, ticket=ticket, **opening, **times, **sizes))
    elif row.opened_lots > 0 and row.side == -report.side:
        _turn(connection, report, row, opening)
        write_change(connection, change_from(report, ticket, "closed", by, at_ms))
        return
    else:
        opened = round(row.opened_lots + report.lots, 8)
        values: dict[str, Any] = {"opened_lots": opened, "is_open": int(open_lots(opened, row.closed_lots) > 0)}
        if row.opened_lots > 0:
            values["entry"] = (row.entry * row.opened_lots + price * report.lots) / opened
        else:
            values |= opening | {"opened_ms": report.time_ms}
        values["changed_ms"] = max(row.changed_ms, report.time_ms)
        connection.execute(positions.update().filter_by(account_id=report.account_id, ticket=ticket).values(**values))
    write_change(connection, change_from(report, ticket, "opened", by, at_ms))


def _turn(connection: sa.Connection, report: Report, row: sa.Row[Any], opening: dict[str, Any]) -> None:
    """A netting account: an opposite fill closes first and opens what is left on the other side."""
    still_open = open_lots(row.opened_lots, row.closed_lots)
    rest = round(report.lots - still_open, 8)
    values: dict[str, Any] = {"closed_lots": round(row.closed_lots + report.lots, 8), "is_open": int(rest < 0)}
    if rest > 0:
        values = opening | {"opened_lots": rest, "closed_lots": 0.0, "is_open": 1, "opened_ms": report.time_ms}
    connection.execute(positions.update().filter_by(account_id=row.account_id, ticket=row.ticket).values(changed_ms=report.time_ms, **values))


def _reduce(connection: sa.Connection, report: Report, signal: Signal | None, field: str, at_ms: int) -> None:
    is_ours = signal is not None and signal.action == "close"
    ticket = _ticket_of(report, field, signal.ticket if signal is not None and is_ours else None)
    by = signal.id if signal is not None and is_ours else "person" if report.exit_kind == ExitKind.MANUAL else "terminal"
    row = position_row(connection, report.account_id, ticket)
    if row is None:
        # The report of its opening is still on its way; this row makes it find a position that is closed already.
        sizes = {"opened_lots": 0.0, "closed_lots": report.lots, "is_open": 0, "entry": 0.0, "profit": 0.0, "side": report.side}
        times = {"opened_ms": report.time_ms, "changed_ms": report.time_ms}
        connection.execute(positions.insert().values(account_id=report.account_id, ticket=ticket, symbol=report.symbol, **sizes, **times))
    else:
        closed = round(row.closed_lots + report.lots, 8)
        values = {"closed_lots": closed, "is_open": int(open_lots(row.opened_lots, closed) > 0), "changed_ms": max(row.changed_ms, report.time_ms)}
        connection.execute(positions.update().filter_by(account_id=report.account_id, ticket=ticket).values(**values))
    line = change_from(report, ticket, "closed", by, at_ms)
    write_change(connection, replace(line, side=row.side) if row is not None and row.opened_lots > 0 else line)


def _modify(connection: sa.Connection, report: Report, signal: Signal | None, field: str, at_ms: int) -> None:
    ticket = _ticket_of(report, field, signal.ticket if signal is not None and signal.action == "modify" else None)
    row = position_row(connection, report.account_id, ticket)
    levels = {"stop": report.stop, "target": report.target}
    key = {"account_id": report.account_id, "ticket": ticket}
    if row is None or not row.is_open:
        order = _order_row(connection, report.account_id, ticket)
        if order is not None and order.state in _WORKING:
            changed = levels if report.price is None else levels | {"price": report.price}
            connection.execute(orders.update().filter_by(**key).values(**changed))
            return
    elif report.time_ms >= row.changed_ms:
        connection.execute(positions.update().filter_by(**key).values(changed_ms=report.time_ms, **levels))
    by = signal.id if signal is not None and signal.action == "modify" else "person" if report.exit_kind == ExitKind.MANUAL else "terminal"
    write_change(connection, change_from(report, ticket, "modified", by, at_ms))
