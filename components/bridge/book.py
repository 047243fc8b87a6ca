"""The book of one deployment, read inside the caller's transaction, so that all of it is of one moment."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from components.bridge.life import ACKNOWLEDGED, LEASED, PARTIALLY_FILLED, PENDING, PLACED, UNKNOWN
from components.bridge.records import DeploymentBook
from components.bridge.schema import (
    account_snapshots,
    orders,
    position_of,
    positions,
    signal_of,
    signals,
    snapshot_of,
    stored_signal_of,
    working_order_of,
)
from components.fx import AccountSnapshot

_WORKING = (PLACED.value, PARTIALLY_FILLED.value)
_IN_FLIGHT = (PENDING.value, LEASED.value, ACKNOWLEDGED.value, UNKNOWN.value)


def read_book(connection: sa.Connection, account_id: str, symbol: str, deployment_id: str) -> DeploymentBook:
    """What belongs to a deployment, by the deployment that its signals were issued for."""
    held = _of_deployment(positions, account_id, symbol, deployment_id).where(positions.c.is_open == 1)
    working = _of_deployment(orders, account_id, symbol, deployment_id).where(orders.c.state.in_(_WORKING))
    # Sorted afterwards: to have the order for nothing, SQLite would walk through all signals that the deployment ever had.
    on_their_way = signals.select().where((signals.c.deployment_id == deployment_id) & signals.c.state.in_(_IN_FLIGHT))
    rows = sorted(connection.execute(on_their_way), key=lambda row: int(row.number))
    in_flight = [stored_signal_of(row) for row in rows]
    return DeploymentBook(
        snapshot=edge_snapshot(connection, account_id, account_snapshots.c.number.desc()),
        positions=tuple((position_of(row), signal_of(row)) for row in connection.execute(held.order_by(positions.c.opened_ms, positions.c.ticket))),
        orders=tuple((working_order_of(row), signal_of(row)) for row in connection.execute(working.order_by(orders.c.placed_ms, orders.c.ticket))),
        in_flight=tuple(stored for stored in in_flight if (stored.signal.account_id, stored.signal.symbol) == (account_id, symbol)),
    )


def edge_snapshot(connection: sa.Connection, account_id: str, order: sa.ColumnElement[Any]) -> AccountSnapshot | None:
    """The account's first snapshot in that order."""
    row = connection.execute(account_snapshots.select().filter_by(account_id=account_id).order_by(order).limit(1)).one_or_none()
    return None if row is None else snapshot_of(row)


def _of_deployment(table: sa.Table, account_id: str, symbol: str, deployment_id: str) -> sa.Select[Any]:
    """Rows of a table of the account's book with the content of the signal that each of them came from."""
    joined = sa.select(*table.c, signals.c.content).join(signals, signals.c.id == table.c.signal_id)
    # A position or an order names its signal in the terminal's words: one of another account does not count. The plus keeps SQLite from starting
    # at all signals that the deployment ever had, instead of at the few rows that are open (sqlite.org/optoverview.html, "Disqualifying terms").
    is_own = (sa.literal_column("+signals.deployment_id") == deployment_id) & (sa.literal_column("+signals.account_id") == account_id)
    return joined.where((table.c.account_id == account_id) & (table.c.symbol == symbol) & is_own)
