"""The mailbox shared with the terminals: signals out; reports, positions and account snapshots in. It decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from components.base import Database, now_ms
from components.bridge.book import edge_snapshot, read_book
from components.bridge.gate import gate_of, write_gate
from components.bridge.life import ACKNOWLEDGED, CANCELLED, EXPIRED, LEASED, PARTIALLY_FILLED, PENDING, PLACED, UNKNOWN
from components.bridge.reconcile import make_books_equal, refresh_profits, store_snapshot
from components.bridge.records import (
    PROTOCOL,
    DeploymentBook,
    JournalEntry,
    PositionChange,
    Reconciliation,
    StoredSignal,
    Terminal,
    TerminalFacts,
    WorkingOrder,
)
from components.bridge.reports import apply_report, move_signal, signal_row
from components.bridge.schema import (
    MAILBOX_MIGRATIONS,
    account_snapshots,
    content_of,
    journal_entry_of,
    orders,
    position_change_of,
    position_of,
    positions,
    positions_journal,
    signal_journal,
    signal_of,
    signals,
    snapshot_of,
    stored_signal_of,
    terminal_of,
    terminals,
    working_order_of,
)
from components.fx import AccountSnapshot, BadInput, NotFound, Position, Refused, Report, Signal, SignalState

LEASE_MS = 15_000
REPORT_DUE_MS = 60_000


@dataclass(frozen=True)
class Swept:
    """Signals that a sweep moved."""

    unknown: int
    expired: int


class Mailbox:
    """The store ``mql5_data.db``. Signals are inserted by `components.bridge.issue` only."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @classmethod
    def open(cls, home: Path) -> Mailbox:
        """The mailbox in the folder `home`."""
        return cls(Database(home / "mql5_data.db", MAILBOX_MIGRATIONS))

    def close(self) -> None:
        """Close every connection of this process."""
        self.database.close()

    # terminals

    def hello(self, facts: TerminalFacts) -> bool:
        """A terminal says who it is; whether it must reconcile, because signals of its account are `unknown`.

        Raises
        ------
        BadInput
            If it speaks another protocol.
        """
        if facts.protocol != PROTOCOL:
            raise BadInput("protocol", f"this platform speaks protocol {PROTOCOL}, the terminal {facts.protocol}; update the older of the two")
        at_ms = now_ms()
        latest = {"facts": content_of(facts), "market_clock": facts.market_clock, "last_seen_ms": at_ms}
        with self.database.write() as connection:
            if connection.execute(terminals.update().filter_by(account_id=facts.account_id).values(**latest)).rowcount == 0:
                connection.execute(terminals.insert().values(account_id=facts.account_id, first_seen_ms=at_ms, **latest))
        return self.must_reconcile(facts.account_id)

    def terminals(self) -> list[Terminal]:
        """Every terminal that ever said hello, by account."""
        with self.database.read() as connection:
            return [terminal_of(row) for row in connection.execute(terminals.select().order_by(terminals.c.account_id))]

    def terminal(self, account_id: str) -> Terminal:
        """The terminal of an account.

        Raises
        ------
        NotFound
            If none has said hello.
        """
        with self.database.read() as connection:
            row = connection.execute(terminals.select().filter_by(account_id=account_id)).one_or_none()
        if row is None:
            raise NotFound(f"account_id: no terminal of account {account_id!r} has said hello; post /api/v1/hello first")
        return terminal_of(row)

    def must_reconcile(self, account_id: str) -> bool:
        """Whether signals of the account are `unknown`."""
        with self.database.read() as connection:
            return connection.execute(sa.select(signals.c.number).filter_by(account_id=account_id, state=UNKNOWN.value).limit(1)).first() is not None

    # signals out

    def lease_pending(self, account_id: str, lease_id: str, limit: int = 20, lease_ms: int = LEASE_MS) -> list[Signal]:
        """Hand pending signals to the account's terminal, in the order of their issue.

        The same `lease_id` gives the same signals again while the lease runs, also after a restart; each call for new signals brings a new
        one. Nothing is written when nothing is pending. A signal past its `deliver_by_ms` is not handed out (accounts on a replayed
        market clock judge that themselves). What is not acknowledged within `lease_ms` becomes `unknown`.
        """
        at_ms = now_ms()
        mine = signals.select().filter_by(account_id=account_id).order_by(signals.c.number)
        again = mine.where(signals.c.lease_id == lease_id)
        pending = mine.where(signals.c.state == PENDING.value).limit(limit)
        with self.database.read() as connection:
            leased = connection.execute(again).all()
            if not leased and connection.execute(pending).first() is None:
                return []
        if not leased:
            is_replay = self.terminal(account_id).facts.market_clock == "replay"
            in_time = sa.true() if is_replay else (signals.c.deliver_by_ms == 0) | (signals.c.deliver_by_ms >= at_ms)
            with self.database.write() as connection:
                leased = connection.execute(again).all()
                if not leased:
                    for row in connection.execute(pending.where(in_time)).all():
                        move_signal(connection, row, LEASED, "terminal", at_ms, f"lease {lease_id}")
                        lease = {"lease_id": lease_id, "lease_until_ms": at_ms + lease_ms}
                        connection.execute(signals.update().filter_by(number=row.number).values(**lease))
                    leased = connection.execute(again).all()
        held = (LEASED.value, ACKNOWLEDGED.value)
        return [signal_of(row) for row in leased if row.state in held and (row.state != LEASED.value or row.lease_until_ms >= at_ms)]

    def acknowledge(self, signal_id: str, account_id: str) -> StoredSignal:
        """The terminal has written the signal down and will execute it; only now may it do so. A repeated call changes nothing.

        Raises
        ------
        NotFound
            If the account has no such signal.
        Refused
            ``lease_lost`` if the lease ran out: the terminal must forget the signal; ``not_leased`` if it was never handed out;
            ``signal_ended`` if it ended before it was acknowledged.
        """
        at_ms, lost = now_ms(), False
        with self.database.write() as connection:
            row = signal_row(connection, signal_id)
            if row is None or row.account_id != account_id:
                raise NotFound(f"id: account {account_id!r} has no signal {signal_id!r}")
            state = SignalState(row.state)
            if state is PENDING:
                raise Refused("not_leased", f"signal {signal_id} was never handed out; fetch it under a lease first")
            if state in (EXPIRED, CANCELLED) and row.acknowledged_ms is None:
                raise Refused("signal_ended", f"signal {signal_id} is {state.value}: {row.message}; do not execute it")
            lost = state is UNKNOWN or (state is LEASED and row.lease_until_ms < at_ms)
            if state is LEASED:
                move_signal(
                    connection, row, UNKNOWN if lost else ACKNOWLEDGED, "sweep" if lost else "terminal", at_ms, "the lease ran out" if lost else ""
                )
        if lost:
            raise Refused("lease_lost", f"the lease of signal {signal_id} ran out; do not execute it, reconcile instead")
        return self.signal(signal_id)

    def withdraw(self, signal_id: str, reason: str) -> bool:
        """Cancel a signal that nobody has fetched yet; False where it is on its way already."""
        with self.database.write() as connection:
            row = signal_row(connection, signal_id)
            if row is None:
                raise NotFound(f"id: there is no signal {signal_id!r}")
            return row.state == PENDING.value and move_signal(connection, row, CANCELLED, "desk", now_ms(), reason)

    def set_gate(self, subject: str, state: str, reason: str) -> int:
        """Say who may issue, and withdraw what nobody has fetched: HALTED withdraws all but cancels, REDUCING and DISARMED withdraw opens.

        Parameters
        ----------
        subject : str
            ``"platform"`` (ACTIVE, REDUCING, HALTED) or a deployment's id (ARMED, DISARMED).
        state : str
        reason : str
            Becomes the message of every signal that is withdrawn.

        Returns
        -------
        int
            Number of signals that were withdrawn.

        Raises
        ------
        BadInput
            If the subject cannot be in that state.

        Notes
        -----
        `components.bridge.issue` asks the gates inside the transaction that inserts, so nothing decided before can come in afterwards.
        """
        with self.database.write() as connection:
            return write_gate(connection, subject, state, reason, now_ms())

    def gate(self, subject: str) -> str | None:
        """State of the platform's or a deployment's gate; None where it was never set, which lets everything through."""
        with self.database.read() as connection:
            return gate_of(connection, subject)

    def sweep(self, at_ms: int | None = None) -> Swept:
        """Find what is overdue: leases that ran out and reports that did not come make a signal `unknown`, pending signals past their
        `deliver_by_ms` expire (not on a replayed market clock). Writes only if there is something to write."""
        at_ms = now_ms() if at_ms is None else at_ms
        lost_lease = (signals.c.state == LEASED.value) & (signals.c.lease_until_ms < at_ms)
        silent = (signals.c.state == ACKNOWLEDGED.value) & (signals.c.acknowledged_ms < at_ms - REPORT_DUE_MS)
        on_wall = signals.c.account_id.in_(sa.select(terminals.c.account_id).where(terminals.c.market_clock == "wall"))
        late = (signals.c.state == PENDING.value) & (signals.c.deliver_by_ms > 0) & (signals.c.deliver_by_ms < at_ms) & on_wall
        states = signals.c.state.in_((LEASED.value, ACKNOWLEDGED.value, PENDING.value))
        overdue = signals.select().where(states & (lost_lease | silent | late)).order_by(signals.c.number)
        with self.database.read() as connection:
            if connection.execute(overdue.limit(1)).first() is None:
                return Swept(0, 0)
        unknown = expired = 0
        with self.database.write() as connection:
            for row in connection.execute(overdue).all():
                if row.state == PENDING.value:
                    expired += move_signal(connection, row, EXPIRED, "sweep", at_ms, "not fetched before deliver_by")
                else:
                    note = "the lease ran out" if row.state == LEASED.value else f"no report {REPORT_DUE_MS // 1000} s after it was acknowledged"
                    unknown += move_signal(connection, row, UNKNOWN, "sweep", at_ms, note)
        return Swept(unknown, expired)

    # what terminals tell

    def record_reports(self, reports: Sequence[Report]) -> int:
        """Record what terminals did, all or nothing, in one transaction; the number that was not recorded before.

        Raises
        ------
        NotFound, BadInput, Refused
            As `components.bridge.reports.apply_report`; the message begins with ``reports.<index>``.
        """
        at_ms = now_ms()
        for account_id in {report.account_id for report in reports}:
            self.terminal(account_id)
        with self.database.write() as connection:
            recorded = sum(apply_report(connection, report, f"reports.{index}", at_ms) for index, report in enumerate(reports))
            if recorded:
                seen = terminals.c.account_id.in_({report.account_id for report in reports})
                connection.execute(terminals.update().where(seen).values(last_seen_ms=at_ms))
        return recorded

    def record_positions(
        self,
        snapshot: AccountSnapshot,
        positions: Sequence[Position],
        orders: Sequence[WorkingOrder],
        known_signals: Mapping[str, SignalState],
        reconcile: bool = False,
    ) -> Reconciliation:
        """The terminal's whole book.

        A plain report refreshes the account and the floating profits. A reconciliation makes our book equal to it: positions and orders that
        differ are journalled, and every delivered signal gets the state that the terminal tells; `unknown` ones that it does not know are
        `expired`. The terminal sends its outstanding reports before it.
        """
        at_ms = now_ms()
        self.terminal(snapshot.account_id)
        with self.database.write() as connection:
            store_snapshot(connection, snapshot, at_ms)
            connection.execute(terminals.update().filter_by(account_id=snapshot.account_id).values(last_seen_ms=at_ms))
            refresh_profits(connection, snapshot.account_id, positions)
            if not reconcile:
                return Reconciliation({})
            return make_books_equal(connection, snapshot, positions, orders, known_signals, at_ms)

    # reading

    def signals(
        self, account_id: str | None = None, state: SignalState | None = None, limit: int = 100, deployment_id: str | None = None
    ) -> list[StoredSignal]:
        """The latest signals, newest first."""
        query = signals.select().order_by(signals.c.number.desc()).limit(limit)
        wanted = {"account_id": account_id, "state": state.value if state else None, "deployment_id": deployment_id}
        query = query.filter_by(**{name: value for name, value in wanted.items() if value is not None})
        with self.database.read() as connection:
            return [stored_signal_of(row) for row in connection.execute(query)]

    def signal(self, signal_id: str) -> StoredSignal:
        """One signal and where it stands.

        Raises
        ------
        NotFound
            If there is none with this id.
        """
        with self.database.read() as connection:
            row = signal_row(connection, signal_id)
        if row is None:
            raise NotFound(f"id: there is no signal {signal_id!r}")
        return stored_signal_of(row)

    def counts(self) -> dict[SignalState, int]:
        """Number of signals in every state."""
        with self.database.read() as connection:
            rows = connection.execute(sa.select(signals.c.state, sa.func.count()).group_by(signals.c.state)).all()
        found = {SignalState(state): int(number) for state, number in rows}
        return {state: found.get(state, 0) for state in SignalState}

    def journal(self, signal_id: str) -> list[JournalEntry]:
        """Everything that happened to a signal, oldest first."""
        query = signal_journal.select().where(signal_journal.c.signal_id == signal_id).order_by(signal_journal.c.number)
        with self.database.read() as connection:
            return [journal_entry_of(row) for row in connection.execute(query)]

    def book(self, account_id: str, symbol: str, deployment_id: str) -> DeploymentBook:
        """What belongs to a deployment at one moment: its positions, working orders and signals on their way, and the account."""
        with self.database.read() as connection:
            return read_book(connection, account_id, symbol, deployment_id)

    def latest_bar_ms(self, deployment_id: str) -> int | None:
        """The bar of the deployment's newest signal, None before its first."""
        newest = signals.select().filter_by(deployment_id=deployment_id).order_by(signals.c.number.desc()).limit(1)
        with self.database.read() as connection:
            row = connection.execute(newest).one_or_none()
        return None if row is None else signal_of(row).bar_ms

    def positions(self, account_id: str) -> list[Position]:
        """The open positions, oldest first."""
        query = positions.select().filter_by(account_id=account_id, is_open=1).order_by(positions.c.opened_ms, positions.c.ticket)
        with self.database.read() as connection:
            return [position_of(row) for row in connection.execute(query)]

    def positions_journal(self, account_id: str, after_number: int = 0, limit: int = 10_000) -> list[PositionChange]:
        """Openings, changes and closings of positions in the order in which they became known, from after line `after_number`."""
        lines = positions_journal.select().where((positions_journal.c.account_id == account_id) & (positions_journal.c.number > after_number))
        with self.database.read() as connection:
            return [position_change_of(row) for row in connection.execute(lines.order_by(positions_journal.c.number).limit(limit))]

    def working_orders(self, account_id: str) -> list[WorkingOrder]:
        """The orders that wait at the broker, oldest first."""
        query = orders.select().filter_by(account_id=account_id).where(orders.c.state.in_((PLACED.value, PARTIALLY_FILLED.value)))
        with self.database.read() as connection:
            return [working_order_of(row) for row in connection.execute(query.order_by(orders.c.placed_ms, orders.c.ticket))]

    def snapshot(self, account_id: str) -> AccountSnapshot | None:
        """The account as its terminal told last, None before the first positions report."""
        with self.database.read() as connection:
            return edge_snapshot(connection, account_id, account_snapshots.c.number.desc())

    def first_snapshot(self, account_id: str) -> AccountSnapshot | None:
        """The account as its terminal told first, None before that."""
        with self.database.read() as connection:
            return edge_snapshot(connection, account_id, account_snapshots.c.number.asc())

    def snapshots(self, account_id: str, limit: int = 1_000) -> list[AccountSnapshot]:
        """The last `limit` account snapshots, oldest first."""
        query = account_snapshots.select().filter_by(account_id=account_id).order_by(account_snapshots.c.number.desc()).limit(limit)
        with self.database.read() as connection:
            return [snapshot_of(row) for row in connection.execute(query)][::-1]
