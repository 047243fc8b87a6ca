"""The tick store: durable, in group commits, so that one disk flush answers many requests.

A request's ticks go to the one writer thread. While a commit is being flushed, other requests gather; the next commit takes all of them.
A caller is answered only after the commit that holds its ticks.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.base import Database
from components.bridge.schema import TICK_MIGRATIONS
from components.fx import Refused, Tick, Unavailable

# symbol, seq, time_ms, bid, ask
TickRow = tuple[str, int, int, float, float]

_ROWS_PER_COMMIT = 50_000
_ROWS_PER_STATEMENT = 1_000
_ANSWER_TIMEOUT_S = 30.0


class TickArrays(NamedTuple):
    """Ticks of one symbol in the order of their sequence numbers: int64 `seq` and `time_ms`, float64 `bid` and `ask`, each shape (n,)."""

    seq: NDArray[np.int64]
    time_ms: NDArray[np.int64]
    bid: NDArray[np.float64]
    ask: NDArray[np.float64]


class _Post:
    """Ticks of one request on their way to the disk."""

    __slots__ = ("account_id", "done", "error", "rows")

    def __init__(self, account_id: str, rows: Sequence[TickRow]) -> None:
        self.account_id = account_id
        self.rows = rows
        self.error: Exception | None = None
        self.done = threading.Lock()
        self.done.acquire()


class TickStore:
    """Ticks by account, symbol and sequence number. The sender numbers them; what is there already is left as it is."""

    def __init__(self, database: Database, on_commit: Callable[[int, float], None] | None = None) -> None:
        self.database = database
        self._on_commit = on_commit
        self._queue: SimpleQueue[_Post | None] = SimpleQueue()
        self._feeds: dict[tuple[str, str], int] = {}
        self._writer: threading.Thread | None = None
        self._starting = threading.Lock()
        self._closed = False

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
        post = _Post(account_id, rows)
        self._start_writer()
        self._queue.put(post)
        if not post.done.acquire(timeout=_ANSWER_TIMEOUT_S):
            raise Unavailable(f"the tick store did not answer within {_ANSWER_TIMEOUT_S:.0f} s; send the same ticks again")
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

    def since(self, account_id: str, symbol: str, after_seq: int = 0, limit: int = 100_000) -> TickArrays:
        """Up to `limit` ticks that follow sequence number `after_seq`, in order. A tick may be older than the one before it: see `late`."""
        with self.database.read() as connection:
            rows = connection.exec_driver_sql(
                "SELECT seq, time_ms, bid, ask FROM ticks WHERE feed_id = (SELECT id FROM feeds WHERE account_id = ? AND symbol = ?)"
                " AND seq > ? ORDER BY seq LIMIT ?",
                (account_id, symbol, after_seq, limit),
            ).fetchall()
        seq, time_ms, bid, ask = zip(*rows, strict=True) if rows else ((), (), (), ())
        return TickArrays(
            np.array(seq, dtype=np.int64), np.array(time_ms, dtype=np.int64), np.array(bid, dtype=np.float64), np.array(ask, dtype=np.float64)
        )

    def late(self, account_id: str, symbol: str, limit: int = 1_000) -> NDArray[np.int64]:
        """Sequence numbers of ticks that carry an older time than the tick before them; they are kept, but no bar may take them."""
        with self.database.read() as connection:
            rows = connection.exec_driver_sql(
                "SELECT seq FROM (SELECT seq, time_ms, lag(time_ms) OVER (ORDER BY seq) AS before_ms FROM ticks"
                " WHERE feed_id = (SELECT id FROM feeds WHERE account_id = ? AND symbol = ?)) WHERE time_ms < before_ms ORDER BY seq LIMIT ?",
                (account_id, symbol, limit),
            ).scalars()
            return np.array(list(rows), dtype=np.int64)

    def watermarks(self, account_id: str) -> dict[str, int]:
        """Highest sequence number by symbol: where the sender goes on."""
        with self.database.read() as connection:
            rows = connection.exec_driver_sql(
                "SELECT symbol, (SELECT max(seq) FROM ticks WHERE feed_id = feeds.id) FROM feeds WHERE account_id = ?", (account_id,)
            )
            return {symbol: seq for symbol, seq in rows if seq is not None}

    def count(self, account_id: str | None = None, symbol: str | None = None) -> int:
        """Number of stored ticks, of one account or symbol or of all."""
        with self.database.read() as connection:
            return int(
                connection.exec_driver_sql(
                    "SELECT count(*) FROM ticks WHERE feed_id IN (SELECT id FROM feeds WHERE account_id = coalesce(?, account_id)"
                    " AND symbol = coalesce(?, symbol))",
                    (account_id, symbol),
                ).scalar_one()
            )

    def close(self) -> None:
        """Let what waits be written, then close."""
        with self._starting:
            self._closed = True
            if self._writer is not None:
                self._queue.put(None)
                self._writer.join()
        self.database.close()

    def _start_writer(self) -> None:
        if self._writer is not None and not self._closed:
            return
        with self._starting:
            if self._closed:
                raise Unavailable("the tick store is closing; send the same ticks again")
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_posts, name="tick-writer", daemon=True)
                self._writer.start()

    def _write_posts(self) -> None:
        connection = self.database.engine.raw_connection()
        driver = connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        while (first := self._queue.get()) is not None:
            posts, rows, is_closing = [first], len(first.rows), False
            while rows < _ROWS_PER_COMMIT and not is_closing:
                try:
                    post = self._queue.get_nowait()
                except Empty:
                    break
                if post is None:
                    is_closing = True
                else:
                    posts.append(post)
                    rows += len(post.rows)
            self._commit(driver, posts, rows)
            if is_closing:
                break
        connection.close()

    def _commit(self, driver: sqlite3.Connection, posts: Sequence[_Post], rows: int) -> None:
        started = perf_counter()
        try:
            values = [value for post in posts for value in self._values(post)]
            if _insert(driver, values) < rows:
                for post in posts:
                    post.error = self._conflict(post)
        except Exception as error:  # the edge of this thread: every waiting request gets the answer
            self._feeds.clear()
            for post in posts:
                post.error = error if isinstance(error, Unavailable) else Unavailable(f"ticks.db: {error}; send the same ticks again")
        if self._on_commit is not None:
            self._on_commit(rows, perf_counter() - started)
        for post in posts:
            post.done.release()

    def _values(self, post: _Post) -> Iterator[int | float]:
        feed_of = {symbol: self._feed(post.account_id, symbol) for symbol in {row[0] for row in post.rows}}
        for symbol, seq, time_ms, bid, ask in post.rows:
            yield from (feed_of[symbol], seq, time_ms, bid, ask)

    def _conflict(self, post: _Post) -> Refused | None:
        with self.database.read() as connection:
            for index, (symbol, seq, *given) in enumerate(post.rows):
                feed_id = self._feed(post.account_id, symbol)
                stored = connection.exec_driver_sql("SELECT time_ms, bid, ask FROM ticks WHERE feed_id = ? AND seq = ?", (feed_id, seq)).one()
                if list(stored) != given:
                    highest = connection.exec_driver_sql("SELECT max(seq) FROM ticks WHERE feed_id = ?", (feed_id,)).scalar_one()
                    where = f"ticks.{index}.seq: {symbol} tick {seq}"
                    return Refused("tick_conflict", f"{where} is stored already with another time or price; number new ticks from {highest + 1}")
        return None

    def _feed(self, account_id: str, symbol: str) -> int:
        feed_id = self._feeds.get((account_id, symbol))
        if feed_id is None:
            with self.database.write() as connection:
                connection.exec_driver_sql("INSERT OR IGNORE INTO feeds (account_id, symbol) VALUES (?, ?)", (account_id, symbol))
                found = connection.exec_driver_sql("SELECT id FROM feeds WHERE account_id = ? AND symbol = ?", (account_id, symbol))
                feed_id = self._feeds[(account_id, symbol)] = int(found.scalar_one())
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
