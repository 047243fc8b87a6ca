"""Tables of the two stores, and the rows ↔ words of the mailbox."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson
import sqlalchemy as sa

from components.base import Migration, create_all
from components.bridge.records import JournalEntry, PositionChange, StoredSignal, SymbolFacts, Terminal, TerminalFacts, WorkingOrder
from components.fx import AccountSnapshot, Position, Signal, SignalState

mailbox_tables = sa.MetaData()


def _journal_key() -> sa.Column[int]:
    return sa.Column("number", sa.Integer, primary_key=True, autoincrement=True)


def _account(*, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column("account_id", sa.Text, sa.ForeignKey("terminals.account_id"), primary_key=primary_key, nullable=False)


terminals = sa.Table(
    "terminals",
    mailbox_tables,
    sa.Column("account_id", sa.Text, primary_key=True),
    sa.Column("facts", sa.LargeBinary, nullable=False),
    sa.Column("market_clock", sa.Text, nullable=False),
    sa.Column("first_seen_ms", sa.Integer, nullable=False),
    sa.Column("last_seen_ms", sa.Integer, nullable=False),
)
approvals = sa.Table(
    "approvals",
    mailbox_tables,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("at_ms", sa.Integer, nullable=False),
)
signals = sa.Table(
    "signals",
    mailbox_tables,
    _journal_key(),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    _account(),
    sa.Column("deployment_id", sa.Text, nullable=False),
    sa.Column("approval_id", sa.Text, sa.ForeignKey("approvals.id"), nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("deliver_by_ms", sa.Integer, nullable=False),
    sa.Column("lease_id", sa.Text),
    sa.Column("lease_until_ms", sa.Integer),
    sa.Column("acknowledged_ms", sa.Integer),
    sa.Column("issued_ms", sa.Integer, nullable=False),
    sa.Column("changed_ms", sa.Integer, nullable=False),
    sa.Column("message", sa.Text, nullable=False, default=""),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Index("signals_by_state", "account_id", "state", "number"),
    sa.Index("signals_of_all_by_state", "state", "number"),
    sa.Index("signals_by_lease", "account_id", "lease_id"),
    sa.Index("signals_by_deployment", "deployment_id", "state", "number"),
)
signal_journal = sa.Table(
    "signal_journal",
    mailbox_tables,
    _journal_key(),
    sa.Column("signal_id", sa.Text, sa.ForeignKey("signals.id"), nullable=False, index=True),
    sa.Column("at_ms", sa.Integer, nullable=False),
    sa.Column("from_state", sa.Text),
    sa.Column("to_state", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False, default=""),
    sa.Column("report_id", sa.Text),
)
reports = sa.Table(
    "reports",
    mailbox_tables,
    sa.Column("account_id", sa.Text, sa.ForeignKey("terminals.account_id"), primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("signal_id", sa.Text, index=True),
    sa.Column("recorded_ms", sa.Integer, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
)
orders = sa.Table(
    "orders",
    mailbox_tables,
    _account(primary_key=True),
    sa.Column("ticket", sa.Integer, primary_key=True),
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("side", sa.Integer, nullable=False),
    sa.Column("entry", sa.Text, nullable=False),
    sa.Column("lots", sa.Float, nullable=False),
    sa.Column("price", sa.Float),
    sa.Column("stop", sa.Float),
    sa.Column("target", sa.Float),
    sa.Column("placed_ms", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("signal_id", sa.Text),
    sa.Index("orders_by_state", "account_id", "state"),
)
positions = sa.Table(
    "positions",
    mailbox_tables,
    _account(primary_key=True),
    sa.Column("ticket", sa.Integer, primary_key=True),
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("side", sa.Integer, nullable=False),
    sa.Column("opened_lots", sa.Float, nullable=False),
    sa.Column("closed_lots", sa.Float, nullable=False),
    sa.Column("is_open", sa.Integer, nullable=False),
    sa.Column("entry", sa.Float, nullable=False),
    sa.Column("stop", sa.Float),
    sa.Column("target", sa.Float),
    sa.Column("opened_ms", sa.Integer, nullable=False),
    sa.Column("changed_ms", sa.Integer, nullable=False),
    sa.Column("profit", sa.Float, nullable=False),
    sa.Column("signal_id", sa.Text),
    sa.Index("positions_open", "account_id", "is_open"),
)
positions_journal = sa.Table(
    "positions_journal",
    mailbox_tables,
    _journal_key(),
    _account(),
    sa.Column("ticket", sa.Integer, nullable=False),
    sa.Column("change", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("time_ms", sa.Integer, nullable=False),
    sa.Column("recorded_ms", sa.Integer, nullable=False),
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("side", sa.Integer, nullable=False),
    sa.Column("lots", sa.Float, nullable=False),
    sa.Column("price", sa.Float),
    sa.Column("stop", sa.Float),
    sa.Column("target", sa.Float),
    sa.Column("profit", sa.Float, nullable=False),
    sa.Column("cost", sa.Float, nullable=False),
    sa.Column("exit_kind", sa.Integer, nullable=False),
    sa.Column("level", sa.Float),
    sa.Column("report_id", sa.Text),
    sa.Column("note", sa.Text, nullable=False, default=""),
    sa.Index("positions_journal_by_account", "account_id", "number"),
    sa.Index("positions_journal_by_ticket", "account_id", "ticket"),
)
account_snapshots = sa.Table(
    "account_snapshots",
    mailbox_tables,
    _journal_key(),
    _account(),
    sa.Column("time_ms", sa.Integer, nullable=False),
    sa.Column("recorded_ms", sa.Integer, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("balance", sa.Float, nullable=False),
    sa.Column("equity", sa.Float, nullable=False),
    sa.Column("margin", sa.Float, nullable=False),
    sa.Column("leverage", sa.Float, nullable=False),
    sa.Column("margin_mode", sa.Text, nullable=False),
    sa.Index("account_snapshots_latest", "account_id", "number"),
)

# Not in `mailbox_tables`: what the first migration makes stays as it was.
gates = sa.Table(
    "gates",
    sa.MetaData(),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("changed_ms", sa.Integer, nullable=False),
)


def create_gates(connection: sa.Connection) -> None:
    """Who may issue; and the way to a deployment's newest signal."""
    gates.create(connection)
    connection.exec_driver_sql("CREATE INDEX signals_of_deployment ON signals (deployment_id, number)")


MAILBOX_MIGRATIONS: tuple[Migration, ...] = (create_all(mailbox_tables), create_gates)


def create_ticks(connection: sa.Connection) -> None:
    """Feeds give (account, symbol) a small number; a tick's key is its feed and its sequence number, and the table is that key's tree."""
    connection.exec_driver_sql(
        "CREATE TABLE feeds (id INTEGER PRIMARY KEY, account_id TEXT NOT NULL, symbol TEXT NOT NULL, UNIQUE (account_id, symbol))"
    )
    connection.exec_driver_sql(
        "CREATE TABLE ticks (feed_id INTEGER NOT NULL, seq INTEGER NOT NULL, time_ms INTEGER NOT NULL, bid REAL NOT NULL, ask REAL NOT NULL,"
        " PRIMARY KEY (feed_id, seq)) WITHOUT ROWID"
    )


def create_bars(connection: sa.Connection) -> None:
    """What is counted of ticks; the broker's clock; bars that terminals post, with every later version of a bar; what they are asked for.

    `resent` is written with the ticks. `counted` and `silences` are worked out from the ticks and may be thrown away. A clock is a version of
    an account's offset to UTC; `tick_clocks` says from which tick on a feed follows it.
    """
    for statement in (
        "CREATE TABLE resent (feed_id INTEGER PRIMARY KEY, ticks INTEGER NOT NULL)",
        "CREATE TABLE counted (feed_id INTEGER PRIMARY KEY, through_seq INTEGER NOT NULL, ticks INTEGER NOT NULL, late INTEGER NOT NULL,"
        " duplicates INTEGER NOT NULL, filled_in INTEGER NOT NULL, first_ms INTEGER NOT NULL, newest_ms INTEGER NOT NULL, bid REAL NOT NULL, ask REAL NOT NULL)",
        "CREATE TABLE silences (feed_id INTEGER NOT NULL, from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL, PRIMARY KEY (feed_id, from_ms)) WITHOUT ROWID",
        "CREATE TABLE clocks (account_id TEXT NOT NULL, version INTEGER NOT NULL, offset_ms INTEGER NOT NULL, from_ms INTEGER NOT NULL,"
        " told_with TEXT NOT NULL, told_ms INTEGER NOT NULL, PRIMARY KEY (account_id, version))",
        "CREATE TABLE tick_clocks (feed_id INTEGER NOT NULL, from_seq INTEGER NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (feed_id, from_seq)) WITHOUT ROWID",
        "CREATE TABLE bars (feed_id INTEGER NOT NULL, minutes INTEGER NOT NULL, open_ms INTEGER NOT NULL, revision INTEGER NOT NULL, open REAL NOT NULL,"
        " high REAL NOT NULL, low REAL NOT NULL, close REAL NOT NULL, volume REAL NOT NULL, spread_points REAL NOT NULL, clock_version INTEGER NOT NULL,"
        " received_ms INTEGER NOT NULL, PRIMARY KEY (feed_id, minutes, open_ms, revision)) WITHOUT ROWID",
        "CREATE TABLE bar_counts (feed_id INTEGER NOT NULL, minutes INTEGER NOT NULL, stored INTEGER NOT NULL, duplicates INTEGER NOT NULL,"
        " revised INTEGER NOT NULL, PRIMARY KEY (feed_id, minutes)) WITHOUT ROWID",
        "CREATE TABLE told (feed_id INTEGER NOT NULL, minutes INTEGER NOT NULL, from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL,"
        " PRIMARY KEY (feed_id, minutes, from_ms)) WITHOUT ROWID",
        "CREATE TABLE wishes (feed_id INTEGER NOT NULL, minutes INTEGER NOT NULL, from_ms INTEGER NOT NULL, PRIMARY KEY (feed_id, minutes)) WITHOUT ROWID",
    ):
        connection.exec_driver_sql(statement)


TICK_MIGRATIONS: tuple[Migration, ...] = (create_ticks, create_bars)


def signal_of(row: sa.Row[Any]) -> Signal:
    """The signal of a row of `signals`."""
    return Signal(**orjson.loads(row.content))


def stored_signal_of(row: sa.Row[Any]) -> StoredSignal:
    """The signal of a row of `signals`, with where it stands."""
    state = SignalState(row.state)
    return StoredSignal(signal_of(row), state, row.issued_ms, row.changed_ms, row.lease_id, row.lease_until_ms, row.acknowledged_ms, row.message)


def journal_entry_of(row: sa.Row[Any]) -> JournalEntry:
    """A line of the signal journal."""
    before = SignalState(row.from_state) if row.from_state else None
    return JournalEntry(row.number, row.signal_id, row.at_ms, before, SignalState(row.to_state), row.by, row.note, row.report_id)


def terminal_of(row: sa.Row[Any]) -> Terminal:
    """The terminal of a row of `terminals`."""
    facts = orjson.loads(row.facts)
    facts["symbols"] = tuple(SymbolFacts(**symbol) for symbol in facts["symbols"])
    return Terminal(row.account_id, TerminalFacts(**facts), row.first_seen_ms, row.last_seen_ms)


def position_of(row: sa.Row[Any]) -> Position:
    """The open position of a row of `positions`."""
    lots = open_lots(row.opened_lots, row.closed_lots)
    return Position(row.ticket, row.account_id, row.symbol, row.side, lots, row.entry, row.stop, row.target, row.opened_ms, row.signal_id, row.profit)


def position_change_of(row: sa.Row[Any]) -> PositionChange:
    """A line of the positions journal."""
    return PositionChange(**row._mapping)


def working_order_of(row: sa.Row[Any]) -> WorkingOrder:
    """The order of a row of `orders`, which may carry more columns."""
    return WorkingOrder(**{column.name: row._mapping[column.name] for column in orders.c})


def snapshot_of(row: sa.Row[Any]) -> AccountSnapshot:
    """The account of a row of `account_snapshots`."""
    return AccountSnapshot(row.account_id, row.time_ms, row.currency, row.balance, row.equity, row.margin, row.leverage, row.margin_mode)


def open_lots(opened: float, closed: float) -> float:
    """Lots that are still open, never below zero; sums of lot steps are rounded so that 0.3 − 0.1 − 0.2 is nothing."""
    return max(0.0, round(opened - closed, 8))


def content_of(value: Any) -> bytes:
    """A frozen value as JSON; floats keep every bit."""
    return orjson.dumps(asdict(value), option=orjson.OPT_SORT_KEYS)
