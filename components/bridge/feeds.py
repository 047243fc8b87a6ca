"""What came in of every feed, counted: a feed is one account's symbol.

Late and doubled ticks and silences are worked out from the stored ticks, in portions, each tick once; how far that is stands in the store. So
the way of a tick to the disk pays nothing for it, a restart loses nothing, and the counts can be thrown away and made again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from typing import NamedTuple

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from components.base import Database

SILENCE_MS = 60_000
"""Two ticks further apart than this have a silence between them, in which ticks may have been lost."""
_PORTION = 100_000
_MOST_PORTIONS = 2


class TickArrays(NamedTuple):
    """Ticks of one symbol in the order of their sequence numbers: int64 `seq` and `time_ms`, float64 `bid` and `ask`, each shape (n,)."""

    seq: NDArray[np.int64]
    time_ms: NDArray[np.int64]
    bid: NDArray[np.float64]
    ask: NDArray[np.float64]


@dataclass(frozen=True)
class Intake:
    """What came in of one feed, up to tick `newest_seq`. Times in epoch milliseconds UTC.

    `ticks` are stored. `late` ones are older than the newest before them in the order of their numbers, and no bar takes them; `duplicates`
    repeat the tick before them under a new number. `resent` counts ticks that came again under their own number and were not stored again;
    `filled_in` those that came in under a number below one that had been counted already. `resent` is exact where a commit held one feed.
    """

    account_id: str
    symbol: str
    ticks: int
    newest_seq: int
    first_ms: int
    newest_ms: int
    late: int
    duplicates: int
    resent: int
    filled_in: int


@dataclass(frozen=True)
class _Counted:
    """How far a feed is counted, and the last tick in order, by which the next is judged."""

    through_seq: int = 0
    ticks: int = 0
    late: int = 0
    duplicates: int = 0
    filled_in: int = 0
    first_ms: int = 0
    newest_ms: int = 0
    bid: float = 0.0
    ask: float = 0.0


_COLUMNS = tuple(_Counted.__dataclass_fields__)


def feed_id_of(database: Database, account_id: str, symbol: str) -> int:
    """The small number of a feed, given to it when it is first asked for."""
    with database.write() as connection:
        connection.exec_driver_sql("INSERT OR IGNORE INTO feeds (account_id, symbol) VALUES (?, ?)", (account_id, symbol))
        found = connection.exec_driver_sql("SELECT id FROM feeds WHERE account_id = ? AND symbol = ?", (account_id, symbol))
        return int(found.scalar_one())


def ticks_after(connection: sa.Connection, feed_id: int | None, after_seq: int, limit: int) -> TickArrays:
    """Up to `limit` ticks of a feed that follow a number, in order; none for None."""
    query = "SELECT seq, time_ms, bid, ask FROM ticks WHERE feed_id = ? AND seq > ? ORDER BY seq LIMIT ?"
    rows = connection.exec_driver_sql(query, (feed_id, after_seq, limit)).fetchall()
    seq, time_ms, bid, ask = zip(*rows, strict=True) if rows else ((), (), (), ())
    return TickArrays(
        np.array(seq, dtype=np.int64), np.array(time_ms, dtype=np.int64), np.array(bid, dtype=np.float64), np.array(ask, dtype=np.float64)
    )


def count_feeds(database: Database, account_id: str | None = None, symbol: str | None = None, *, is_checked: bool = False) -> list[Intake]:
    """Count what has come in since the last count, and say what there is; by account and symbol.

    Parameters
    ----------
    account_id, symbol : str, optional
        Only these.
    is_checked : bool
        Whether to look for ticks that came in under numbers that were passed already; where there are any, the feed is counted again. That
        reads a feed whose numbers have holes from its beginning, and counts to the end.

    Notes
    -----
    One call that is not checked counts at most 200,000 ticks of a feed; `newest_seq` says how far it came.
    """
    query = "SELECT id, account_id, symbol FROM feeds WHERE account_id = coalesce(?, account_id) AND symbol = coalesce(?, symbol)"
    with database.read() as connection:
        feeds = connection.exec_driver_sql(query + " ORDER BY account_id, symbol", (account_id, symbol)).fetchall()
    found = []
    for feed_id, account, name in feeds:
        counted = _count(database, feed_id, is_checked=is_checked)
        with database.read() as connection:
            resent = connection.exec_driver_sql("SELECT ticks FROM resent WHERE feed_id = ?", (feed_id,)).scalar() or 0
        if counted.ticks or resent:
            found.append(
                Intake(
                    account, name, counted.ticks, counted.through_seq, counted.first_ms, counted.newest_ms, counted.late, counted.duplicates,
                    int(resent), counted.filled_in,
                )
            )  # fmt: skip
    return found


def silences(connection: sa.Connection, feed_id: int, longer_than_ms: int) -> NDArray[np.int64]:
    """Silences of a feed as far as it is counted, oldest first, shape (n, 2): the times of the ticks before and after each."""
    query = "SELECT from_ms, to_ms FROM silences WHERE feed_id = ? AND to_ms - from_ms > ? ORDER BY from_ms"
    return np.array(connection.exec_driver_sql(query, (feed_id, longer_than_ms)).fetchall(), dtype=np.int64).reshape(-1, 2)


def _count(database: Database, feed_id: int, *, is_checked: bool) -> _Counted:
    with database.read() as connection:
        counted = _stored(connection, feed_id)
        filled_in = _filled_in(connection, feed_id, counted) if is_checked else 0
    if filled_in:
        again = _Counted(filled_in=counted.filled_in + filled_in)
        with database.write() as connection:
            if _stored(connection, feed_id) == counted:
                connection.exec_driver_sql("DELETE FROM silences WHERE feed_id = ?", (feed_id,))
                _store(connection, feed_id, again)
        counted = again
    for _ in count() if is_checked else range(_MOST_PORTIONS):
        with database.read() as connection:
            part = ticks_after(connection, feed_id, counted.through_seq, _PORTION)
        if not len(part.seq):
            break
        after, quiet = _taken(counted, part)
        with database.write() as connection:
            # Another process may have counted the same ticks meanwhile; the first to write has the say, the other goes on from there.
            if _stored(connection, feed_id) == counted:
                _store(connection, feed_id, after)
                if quiet:
                    connection.exec_driver_sql(
                        "INSERT OR REPLACE INTO silences (feed_id, from_ms, to_ms) VALUES (?, ?, ?)", [(feed_id, *pair) for pair in quiet]
                    )
            else:
                after = _stored(connection, feed_id)
        counted = after
    return counted


def _taken(counted: _Counted, part: TickArrays) -> tuple[_Counted, list[tuple[int, int]]]:
    """The counts after some more ticks, and the silences among those."""
    newest = np.maximum.accumulate(part.time_ms)
    if counted.ticks:
        newest = np.maximum(newest, counted.newest_ms)
    in_order = part.time_ms >= newest
    times, bid, ask = part.time_ms[in_order], part.bid[in_order], part.ask[in_order]
    if counted.ticks:
        times, bid, ask = (
            np.concatenate(([last], more)) for last, more in ((counted.newest_ms, times), (counted.bid, bid), (counted.ask, ask))
        )  # fmt: skip
    steps = np.diff(times)
    doubled = (steps == 0) & (np.diff(bid) == 0) & (np.diff(ask) == 0)
    after = replace(
        counted,
        through_seq=int(part.seq[-1]),
        ticks=counted.ticks + len(part.seq),
        late=counted.late + int((~in_order).sum()),
        duplicates=counted.duplicates + int(doubled.sum()),
        first_ms=counted.first_ms if counted.ticks else int(times[0]),
        newest_ms=int(times[-1]),
        bid=float(bid[-1]),
        ask=float(ask[-1]),
    )
    quiet = np.flatnonzero(steps > SILENCE_MS)
    return after, list(zip(times[quiet].tolist(), times[quiet + 1].tolist(), strict=True))


def _filled_in(connection: sa.Connection, feed_id: int, counted: _Counted) -> int:
    """Number of ticks that came in under numbers that had been passed."""
    if not counted.ticks:
        return 0
    first = connection.exec_driver_sql("SELECT min(seq) FROM ticks WHERE feed_id = ?", (feed_id,)).scalar_one()
    if counted.through_seq - first + 1 == counted.ticks:  # no number was left free
        return 0
    query = "SELECT count(*) FROM ticks WHERE feed_id = ? AND seq <= ?"
    return int(connection.exec_driver_sql(query, (feed_id, counted.through_seq)).scalar_one()) - counted.ticks


def _stored(connection: sa.Connection, feed_id: int) -> _Counted:
    row = connection.exec_driver_sql(f"SELECT {', '.join(_COLUMNS)} FROM counted WHERE feed_id = ?", (feed_id,)).one_or_none()
    return _Counted() if row is None else _Counted(*row)


def _store(connection: sa.Connection, feed_id: int, counted: _Counted) -> None:
    places = ", ".join("?" * (1 + len(_COLUMNS)))
    values = tuple(getattr(counted, name) for name in _COLUMNS)
    connection.exec_driver_sql(f"INSERT OR REPLACE INTO counted (feed_id, {', '.join(_COLUMNS)}) VALUES ({places})", (feed_id, *values))
