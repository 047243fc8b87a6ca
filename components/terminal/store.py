"""The simulated terminal's own memory, one small database per account: the broker's book, the signals it knows, reports not yet accepted."""

from __future__ import annotations

import fcntl
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import orjson
import sqlalchemy as sa

from components.base import Database, create_all
from components.fx import Refused, Report, Signal, SignalState

_tables = sa.MetaData()
_state = sa.Table(
    "state",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("broker", sa.LargeBinary, nullable=False),
    sa.Column("next_tick", sa.Integer, nullable=False),
    sa.Column("leases", sa.Integer, nullable=False),
)
_signals = sa.Table(
    "signals",
    _tables,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("ticket", sa.Integer),
    sa.Column("content", sa.LargeBinary, nullable=False),
)
_outbox = sa.Table(
    "outbox",
    _tables,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("sent", sa.Integer, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
)


@dataclass
class KnownSignal:
    """A signal that this terminal has executed, or is about to: its order's ticket, and what became of it."""

    signal: Signal
    state: SignalState
    ticket: int | None = None


class TerminalStore:
    """What a terminal must still know after a crash. One transaction holds the book, the signals and the reports of one moment."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._lock: TextIO | None = None

    @classmethod
    def open(cls, home: Path, account_id: str) -> TerminalStore:
        """The memory of one account's terminal, under ``terminals/`` in the folder `home`."""
        return cls(Database(home / "terminals" / f"{account_id}.db", (create_all(_tables),)))

    def claim(self) -> None:
        """Be the only process that plays this account, until this process ends.

        Raises
        ------
        Refused
            ``terminal_running`` if another process plays it.
        """
        if self._lock is None:
            self._lock = self.database.path.with_suffix(".lock").open("a")
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self._lock.close()
                self._lock = None
                raise Refused("terminal_running", f"another terminal plays account {self.database.path.stem}; stop it first") from None

    def close(self) -> None:
        """Close every connection of this process and give the account free."""
        self.database.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def load(self) -> tuple[bytes | None, int, int]:
        """The broker's book (None before the first save), the next tick's index, and the number of leases used."""
        with self.database.read() as connection:
            row = connection.execute(_state.select()).one_or_none()
        return (None, 0, 0) if row is None else (row.broker, row.next_tick, row.leases)

    def signals(self) -> dict[str, KnownSignal]:
        """Every signal that was ever taken, by id."""
        with self.database.read() as connection:
            rows = connection.execute(_signals.select()).all()
        return {row.id: KnownSignal(Signal(**orjson.loads(row.content)), SignalState(row.state), row.ticket) for row in rows}

    def save(self, broker: bytes, next_tick: int, leases: int, changed: Sequence[KnownSignal], reports: Sequence[Report]) -> None:
        """Write one moment: the book, the signals that changed and the reports to send."""
        with self.database.write() as connection:
            connection.execute(_state.delete())
            connection.execute(_state.insert().values(id=1, broker=broker, next_tick=next_tick, leases=leases))
            for known in changed:
                connection.execute(_signals.delete().filter_by(id=known.signal.id))
                content = orjson.dumps(asdict(known.signal))
                connection.execute(_signals.insert().values(id=known.signal.id, state=known.state.value, ticket=known.ticket, content=content))
            if reports:
                rows: list[dict[str, Any]] = [
                    {"number": int(report.id.rpartition("-")[2]), "sent": 0, "content": orjson.dumps(asdict(report))} for report in reports
                ]
                connection.execute(_outbox.insert(), rows)

    def unsent(self, limit: int = 100) -> list[Report]:
        """Reports that the platform has not accepted yet, oldest first."""
        with self.database.read() as connection:
            rows = connection.execute(_outbox.select().filter_by(sent=0).order_by(_outbox.c.number).limit(limit)).all()
        return [Report(**orjson.loads(row.content)) for row in rows]

    def mark_sent(self, reports: Sequence[Report]) -> None:
        """The platform has these on its disk."""
        numbers = [int(report.id.rpartition("-")[2]) for report in reports]
        with self.database.write() as connection:
            connection.execute(_outbox.update().where(_outbox.c.number.in_(numbers)).values(sent=1))

    def last_report(self) -> int:
        """Number of the last report, 0 before the first."""
        with self.database.read() as connection:
            return int(connection.execute(sa.select(sa.func.coalesce(sa.func.max(_outbox.c.number), 0))).scalar_one())
