"""SQLite behind SQLAlchemy Core: connections, short write transactions, numbered migrations, dialect helpers.

One `Database` per room and process. Reads see the last commit; writes run inside BEGIN IMMEDIATE, so that two writers wait for each other
instead of failing half-way. With `synchronous=FULL`, what a write block has left is on disk.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from components.base.clock import now_ms
from components.fx import Corrupt, Unavailable

Migration = Callable[[sa.Connection], None]
Row = Mapping[str, Any]

BUSY_TIMEOUT_MS = 10_000

# Primary result codes of SQLite (sqlite.org/rescode.html), by what the caller does next.
_BUSY = 5
_RETRY = {
    _BUSY: ("busy", "try again"),
    6: ("locked", "try again"),
    8: ("read-only", "check that its folder can be written"),
    10: ("not answering", "check the disk"),
    13: ("on a full disk", "free some space"),
    14: ("not to be opened", "check that its folder can be written"),
}
_STOP = {11: "damaged", 26: "not a database"}


class Database:
    """One room's store.

    Parameters
    ----------
    path : Path
        The SQLite file; its folder is made if it is missing.
    migrations : sequence of callables
        Numbered from 1 in this order, append-only. Each runs once, in one transaction with its record in ``schema_migrations``.

    Raises
    ------
    Unavailable
        If the file cannot be opened or written.
    Corrupt
        If the file was written by a newer version of the platform.
    """

    def __init__(self, path: Path, migrations: Sequence[Migration] = ()) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"cannot make the folder {self.path.parent}: {error.strerror}; choose another with SEQUENCE_HOME") from error
        self.engine = sa.create_engine(
            f"sqlite:///{self.path}",
            connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000, "isolation_level": None},
            pool_size=8,
            max_overflow=32,
        )
        sa.event.listen(self.engine, "connect", _prepare_connection)
        sa.event.listen(self.engine, "handle_error", _keep_interrupted)
        try:
            self._migrate(migrations)
        except Unavailable as error:
            raise Unavailable(f"cannot open {self.path}: {error.message}") from error

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection for reading; the statements of one block see one snapshot.

        Raises
        ------
        Unavailable
            If the file is busy or its disk does not answer.
        Corrupt
            If the file is damaged or not a database.
        """
        with self._explained(), self.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            try:
                yield connection
            finally:
                _roll_back(connection)

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A connection inside BEGIN IMMEDIATE; committed to disk when the block ends, rolled back when it raises.

        Raises
        ------
        Unavailable
            If another writer held the store for longer than the busy timeout, or the disk is full or read-only.
        Corrupt
            If the file is damaged or not a database.
        """
        with self._explained(), self.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.exec_driver_sql("COMMIT")
            except BaseException:
                _roll_back(connection)
                raise

    def close(self) -> None:
        """Close every connection of this process."""
        self.engine.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.DBAPIError as error:
            code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
            if code in _RETRY:
                problem, advice = _RETRY[code]
                raise Unavailable(f"{self.path.name} is {problem}: {error.orig}; {advice}") from error
            if code in _STOP:
                raise Corrupt(f"{self.path.name} is {_STOP[code]}: {error.orig}; restore it from a backup") from error
            raise

    def _migrate(self, migrations: Sequence[Migration]) -> None:
        with self.write() as connection:
            connection.exec_driver_sql(
                "CREATE TABLE IF NOT EXISTS schema_migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_ms INTEGER NOT NULL)"
            )
            done = connection.exec_driver_sql("SELECT coalesce(max(number), 0) FROM schema_migrations").scalar_one()
            if done > len(migrations):
                raise Corrupt(f"{self.path.name} has migration {done}, this version knows {len(migrations)}; run the newer version of the platform")
            for number, migration in enumerate(migrations[done:], start=done + 1):
                migration(connection)
                connection.exec_driver_sql("INSERT INTO schema_migrations VALUES (?, ?, ?)", (number, migration.__name__, now_ms()))


def insert_or_ignore(connection: sa.Connection, table: sa.Table, rows: Iterable[Row]) -> int:
    """Insert rows, leaving out those whose key is there already; the number that went in."""
    values = [dict(row) for row in rows]
    if not values:
        return 0
    return int(connection.execute(sqlite_insert(table).on_conflict_do_nothing(), values).rowcount)


def claim_one(connection: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool], order_by: Sequence[Any], values: Row) -> sa.Row[Any] | None:
    """Change the first row that matches and give it back as it is afterwards; None where nothing matches.

    Must run inside `Database.write`, whose transaction makes it exclusive. The table has one primary key column.
    """
    key = next(iter(table.primary_key.columns))
    first = sa.select(key).where(where).order_by(*order_by).limit(1).scalar_subquery()
    return connection.execute(table.update().where(key == first).values(**values).returning(*table.columns)).one_or_none()


def create_all(metadata: sa.MetaData) -> Migration:
    """A migration that makes every table of `metadata`; only ever the first one of a room, whose tables then stay as they are."""

    def create_tables(connection: sa.Connection) -> None:
        metadata.create_all(connection, checkfirst=True)

    return create_tables


def _roll_back(connection: sa.Connection) -> None:
    """End the transaction; SQLite may have ended it by itself after a full disk or an input/output error."""
    with suppress(sa.exc.OperationalError):
        connection.exec_driver_sql("ROLLBACK")


def _keep_interrupted(context: Any) -> None:
    """Let a connection be used on after Control-C in the middle of a statement, so that its transaction can be rolled back at once.

    SQLAlchemy drops it, as it must where half an answer may wait on a wire; SQLite's calls end before Python raises. Dropped, its cursor
    kept the lock for as long as the traceback lived.
    """
    if not isinstance(context.original_exception, sqlite3.Error):
        context.is_disconnect = False


def _prepare_connection(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    _enter_wal(cursor)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _enter_wal(cursor: Any) -> None:
    """Switch the file to WAL. SQLite does not wait for other first openers here, so we do."""
    give_up = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != _BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.005)
