"""The tick store: durable, in group commits, so that one disk flush answers many requests.

The first caller commits. While its commit is being flushed, other callers gather; one of them then commits for all that have gathered. A
caller is answered only after the commit that holds its ticks.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from time import perf_counter, sleep

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from components.base import Database
from components.bridge.feeds import Intake, TickArrays, count_feeds, feed_id_of, ticks_after
from components.bridge.schema import TICK_MIGRATIONS
from components.fx import Refused, Tick, Unavailable

# symbol, seq, time_ms, bid, ask
TickRow = tuple[str, int, int, float, float]

_ROWS_PER_STATEMENT = 1_000
_CLOSE_WITHIN_S = 10


class _Post:
    """Ticks of one call on their way to the disk; `values` are those of the rows, five each, `highest` their highest number by feed. `turn`
    opens when it is committed, or when its caller is to commit for all that have gathered."""

    __slots__ = ("account_id", "error", "highest", "is_committed", "rows", "turn", "values")

    def __init__(self, account_id: str, rows: Sequence[TickRow], values: list[int | float], highest: dict[int, int]) -> None:
        self.account_id = account_id
        self.rows = rows
        self.values = values
        self.highest = highest
        self.error: Exception | None = None
        self.is_committed = False
        self.turn = threading.Lock()
        self.turn.acquire()


class TickStore:
    """Ticks by account, symbol and sequence number. The sender numbers them; what is there already is left as it is."""

    def __init__(self, database: Database, on_commit: Callable[[int, float], None] | None = None) -> None:
        self.database = database
        self._on_commit = on_commit
        self._feeds: dict[tuple[str, str], int] = {}
        self._highest: dict[int, int] = {}
        self._gathering = threading.Lock()
        self._gathered: list[_Post] = []
        self._is_committing = False
        self._is_closed = False
        self._connection: sa.PoolProxiedConnection | None = None

    @classmethod
    def open(cls, home: Path, on_commit: Callable[[int, float], None] | None = None) -> TickStore:
        """The store in the folder `home`; `on_commit` is called with (ticks, seconds) after every commit."""
        return cls(Database(home / "ticks.db", TICK_MIGRATIONS), on_commit)

    def append(self, account_id: str, ticks: Iterable[Tick]) -> int:
        """Store ticks durably; see `append_rows`."""
        return self.append_rows(account_id, [(tick.symbol, tick.seq, tick.time_ms, tick.bid, tick.ask) for tick in ticks])

    def append_rows(self, account_id: str, rows: Sequence[TickRow]) -> int:
        """Store ticks durably: when this returns, all of them are on disk.

        Parameters
        ----------
        account_id : str
            The account whose terminal saw them.
        rows : sequence of (symbol, seq, time_ms, bid, ask)
            `seq` numbers the sender's ticks of a symbol from 1 and is never used for another tick. Time in epoch milliseconds UTC.

        Returns
        -------
        int
            Number of `rows`; those that were stored before count.

        Raises
        ------
        Refused
            ``tick_conflict``: a sequence number is stored with another time or price; the other rows of the call are stored.
        Unavailable
            If the disk does not take them; nothing may be assumed, the same call may be repeated.
        """
        if not rows:
            return 0
        try:
            post = _Post(account_id, rows, *self._values(account_id, rows))
        except sa.exc.SQLAlchemyError as error:
            raise Unavailable(f"ticks.db: {error}; send the same ticks again") from error
        with self._gathering:
            if self._is_closed:
                raise Unavailable("the tick store is closed; send the same ticks again")
            self._gathered.append(post)
            commits = not self._is_committing
            self._is_committing = True
        if not commits:
            post.turn.acquire()
        if not post.is_committed:
            self._commit_gathered()
        if post.error is not None:
            raise post.error
        return len(rows)

    def latest(self, account_id: str, symbol: str) -> Tick | None:
        """The tick with the highest sequence number."""
        with self.database.read() as connection:
            row = connection.exec_driver_sql(
                "SELECT seq, time_ms, bid, ask FROM ticks WHERE feed_id = (SELECT id FROM feeds WHERE account_id = ? AND symbol = ?)"
                " ORDER BY seq DESC LIMIT 1",
                (account_id, symbol),
            ).one_or_none()
        return None if row is None else Tick(symbol, row[1], row[2], row[3], row[0])

    def newest_ms(self, account_id: str, symbol: str) -> int | None:
        """The newest time among the last thousand ticks of a symbol, epoch milliseconds UTC; the very last may be late."""
        query = (
            "SELECT max(time_ms) FROM (SELECT time_ms FROM ticks WHERE feed_id = (SELECT id FROM feeds WHERE account_id = ? AND symbol = ?)"
            " ORDER BY seq DESC LIMIT 1000)"
        )
        with self.database.read() as connection:
            newest = connection.exec_driver_sql(query, (account_id, symbol)).scalar_one()
        return None if newest is None else int(newest)

    def since(self, account_id: str, symbol: str, after_seq: int = 0, limit: int = 100_000) -> TickArrays:
        """Up to `limit` ticks that follow sequence number `after_seq`, in order. A tick may be older than the one before it: see `late`."""
        with self.database.read() as connection:
            found = connection.exec_driver_sql("SELECT id FROM feeds WHERE account_id = ? AND symbol = ?", (account_id, symbol))
            return ticks_after(connection, found.scalar_one_or_none(), after_seq, limit)

    def late(self, account_id: str, symbol: str, limit: int = 1_000) -> NDArray[np.int64]:
        """Sequence numbers of ticks that are older than the newest before them; they are kept, but no bar may take them."""
        with self.database.read() as connection:
            rows = connection.exec_driver_sql(
                "SELECT seq FROM (SELECT seq, time_ms, max(time_ms) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) AS newest_ms FROM ticks"
                " WHERE feed_id = (SELECT id FROM feeds WHERE account_id = ? AND symbol = ?)) WHERE time_ms < newest_ms ORDER BY seq LIMIT ?",
                (account_id, symbol, limit),
            ).scalars()
            return np.array(list(rows), dtype=np.int64)

    def intake(self, account_id: str | None = None, symbol: str | None = None, *, is_checked: bool = False) -> list[Intake]:
        """What came in, by account and symbol, with late and doubled ticks counted; see `components.bridge.feeds.count_feeds`."""
        return count_feeds(self.database, account_id, symbol, is_checked=is_checked)

    def watermarks(self, account_id: str) -> dict[str, int]:
        """Highest sequence number by symbol: where the sender goes on."""
        with self.database.read() as connection:
            rows = connection.exec_driver_sql(
                "SELECT symbol, (SELECT max(seq) FROM ticks WHERE feed_id = feeds.id) FROM feeds WHERE account_id = ?", (account_id,)
            )
            return {symbol: seq for symbol, seq in rows if seq is not None}

    def count(self, account_id: str | None = None, symbol: str | None = None, after_seq: int = 0, through_seq: int = 2**63 - 1) -> int:
        """Number of stored ticks, of one account or symbol or of all; of those numbers only."""
        with self.database.read() as connection:
            return int(
                connection.exec_driver_sql(
                    "SELECT count(*) FROM ticks WHERE feed_id IN (SELECT id FROM feeds WHERE account_id = coalesce(?, account_id)"
                    " AND symbol = coalesce(?, symbol)) AND seq > ? AND seq <= ?",
                    (account_id, symbol, after_seq, through_seq),
                ).scalar_one()
            )

    def close(self) -> None:
        """Take nothing more, wait for the commit that runs, and close."""
        with self._gathering:
            self._is_closed = True
        for _ in range(_CLOSE_WITHIN_S * 100):
            with self._gathering:
                if not self._is_committing:
                    break
            sleep(0.01)
        if self._connection is not None:
            self._connection.close()
        self.database.close()

    def _commit_gathered(self) -> None:
        with self._gathering:
            posts, self._gathered = self._gathered, []
        started = perf_counter()
        try:
            self._commit(posts)
        except Exception as error:  # whatever it is, every caller of this commit gets it as its answer
            self._feeds.clear()
            if self._connection is not None:
                self._connection.invalidate()
                self._connection = None
            for post in posts:
                post.error = Unavailable(f"ticks.db: {error}; send the same ticks again")
        if self._on_commit is not None:
            self._on_commit(sum(len(post.rows) for post in posts), perf_counter() - started)
        with self._gathering:
            self._is_committing = bool(self._gathered)
            following = self._gathered[0] if self._gathered else None
        if following is not None:
            following.turn.release()
        for post in posts:
            post.is_committed = True
            post.turn.release()

    def _commit(self, posts: Sequence[_Post]) -> None:
        if self._connection is None:
            self._connection = self.database.engine.raw_connection()
        driver = self._connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        values = posts[0].values if len(posts) == 1 else [value for post in posts for value in post.values]
        missing = len(values) // 5 - _insert(driver, values)
        if missing:
            conflicts = [self._conflicts(post) for post in posts]
            for post, found in zip(posts, conflicts, strict=True):
                post.error = self._refusal(post, found)
            self._count_resent(driver, posts, missing, {row for found in conflicts for row in found.values()})
        for post in posts:
            for feed_id, seq in post.highest.items():
                if seq > self._highest.get(feed_id, 0):
                    self._highest[feed_id] = seq

    def _values(self, account_id: str, rows: Sequence[TickRow]) -> tuple[list[int | float], dict[int, int]]:
        symbols, *columns = zip(*rows, strict=True)
        feed_of = {symbol: self._feed(account_id, symbol) for symbol in set(symbols)}
        feeds = [feed_of[symbol] for symbol in symbols]
        values: list[int | float] = [0] * (5 * len(rows))
        values[0::5] = feeds
        for place, column in enumerate(columns, start=1):
            values[place::5] = column
        if len(feed_of) == 1:
            return values, {feeds[0]: max(columns[0])}
        highest: dict[int, int] = {}
        for feed_id, seq in zip(feeds, columns[0], strict=True):
            highest[feed_id] = max(seq, highest.get(feed_id, 0))
        return values, highest

    def _conflicts(self, post: _Post) -> dict[int, tuple[int, int]]:
        """Places of the rows whose number is stored with something else, each with its feed and number."""
        found = {}
        with self.database.read() as connection:
            for index, (symbol, seq, *given) in enumerate(post.rows):
                feed_id = self._feed(post.account_id, symbol)
                stored = connection.exec_driver_sql("SELECT time_ms, bid, ask FROM ticks WHERE feed_id = ? AND seq = ?", (feed_id, seq)).one()
                if list(stored) != given:
                    found[index] = (feed_id, seq)
        return found

    def _refusal(self, post: _Post, conflicts: dict[int, tuple[int, int]]) -> Refused | None:
        if not conflicts:
            return None
        index, (feed_id, seq) = next(iter(conflicts.items()))
        with self.database.read() as connection:
            highest = connection.exec_driver_sql("SELECT max(seq) FROM ticks WHERE feed_id = ?", (feed_id,)).scalar_one()
        where = f"ticks.{index}.seq: {post.rows[index][0]} tick {seq}"
        return Refused("tick_conflict", f"{where} is stored already with another time or price; number new ticks from {highest + 1}")

    def _count_resent(self, driver: sqlite3.Connection, posts: Sequence[_Post], missing: int, conflicts: set[tuple[int, int]]) -> None:
        """Note how many ticks of this commit were there before. Where it held several feeds, those under numbers that had been passed count."""
        left = missing - len(conflicts)
        feeds = sorted({feed_id for post in posts for feed_id in post.highest})
        for feed_id in feeds:
            old = left
            if len(feeds) > 1:
                passed = self._highest.get(feed_id, 2**63)
                own = ((feed, seq) for post in posts for feed, seq in zip(post.values[0::5], post.values[1::5], strict=True) if feed == feed_id)
                old = min(left, sum(seq <= passed and (feed, seq) not in conflicts for feed, seq in own))
            if old > 0:
                driver.execute(
                    "INSERT INTO resent (feed_id, ticks) VALUES (?, ?) ON CONFLICT (feed_id) DO UPDATE SET ticks = ticks + excluded.ticks",
                    (feed_id, old),
                )
                left -= old

    def _feed(self, account_id: str, symbol: str) -> int:
        feed_id = self._feeds.get((account_id, symbol))
        if feed_id is None:
            feed_id = self._feeds[(account_id, symbol)] = feed_id_of(self.database, account_id, symbol)
        return feed_id


def _insert(driver: sqlite3.Connection, values: Sequence[int | float]) -> int:
    """Insert rows of five values, durably; the number that was new.

    Every call into SQLite hands the interpreter to the threads of other requests and has to win it back, which costs more than the call. So
    a small group is one statement, which is a transaction by itself; a large one is few statements of many rows. SQLAlchemy would add a
    fifth of a millisecond per commit.
    """
    size = 5 * _ROWS_PER_STATEMENT
    if len(values) <= size:
        return driver.execute(_statement(len(values) // 5), values).rowcount
    driver.execute("BEGIN IMMEDIATE")
    try:
        inserted = sum(
            driver.execute(_statement(len(part) // 5), part).rowcount
            for part in (values[start : start + size] for start in range(0, len(values), size))
        )
    except BaseException:
        driver.execute("ROLLBACK")
        raise
    driver.execute("COMMIT")
    return inserted


@lru_cache(maxsize=_ROWS_PER_STATEMENT)
def _statement(rows: int) -> str:
    return "INSERT OR IGNORE INTO ticks (feed_id, seq, time_ms, bid, ask) VALUES " + ",".join(["(?,?,?,?,?)"] * rows)
