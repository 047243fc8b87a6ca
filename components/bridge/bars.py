"""Bars that terminals post, in ``ticks.db``: kept as they first came, every later version beside them; and what terminals are asked for.

What was answered is on disk. A bar is known by account, symbol, timeframe and open time; the same bar again is a duplicate, the same with
other numbers a revision. Nothing here decides which version is right: readers get the latest and can see all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from components.base import Database, now_ms
from components.bridge.feeds import count_feeds, feed_id_of, silences
from components.bridge.schema import TICK_MIGRATIONS
from components.bridge.wanted import Stretch, Stretches, in_posts, less, missing_stretches, silence_of, united
from components.fx import Timeframe, bar_close_ms

# open_ms, open, high, low, close, volume, spread_points
BarRow = tuple[int, float, float, float, float, float, float]
_LAST_MS = 2**62
_ONLY_HOLES = _LAST_MS
_MS_PER_DAY = 86_400_000
_CONTENT = "open, high, low, close, volume, spread_points"


class BarArrays(NamedTuple):
    """Posted bars in order of time, each in its latest version, shape (n,): int64 `open_ms` (epoch milliseconds UTC), float64 bid prices,
    tick volume and spread in points; int64 `revision` (0: as it first came) and `clock_version` of the offset by which its time was told."""

    open_ms: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    spread_points: NDArray[np.float64]
    revision: NDArray[np.int64]
    clock_version: NDArray[np.int64]


@dataclass(frozen=True)
class BarsPosted:
    """What became of posted bars: new ones, ones that were there, and ones that were there with other numbers and are kept as revisions."""

    stored: int
    duplicates: int
    revised: int


@dataclass(frozen=True)
class BarCounts:
    """What was posted of one symbol and timeframe since the beginning."""

    account_id: str
    symbol: str
    timeframe: str
    stored: int
    duplicates: int
    revised: int


@dataclass(frozen=True)
class BarVersion:
    """One version of a posted bar, `revision` 0 as it first came; prices are bid, `received_ms` our time."""

    open_ms: int
    revision: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    spread_points: float
    clock_version: int
    received_ms: int


@dataclass(frozen=True)
class BrokerOffset:
    """One version of an account's offset: its broker's clock less UTC. A raw time is the UTC time plus the offset of its version.

    `from_ms` is the market's time (UTC) at which it was first told, `told_with` ``"ticks"`` for the clock as it went, or ``"bars"`` where a
    terminal told history of another season.
    """

    version: int
    offset_ms: int
    from_ms: int
    told_with: str


class BarStore:
    """Posted bars, wishes for bars and broker clocks. `database` may be shared with a `TickStore`, whose file it is."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @classmethod
    def open(cls, home: Path) -> BarStore:
        """The store in the folder `home`."""
        return cls(Database(home / "ticks.db", TICK_MIGRATIONS))

    def close(self) -> None:
        """Close every connection of this process."""
        self.database.close()

    def post(
        self,
        account_id: str,
        symbol: str,
        timeframe: Timeframe,
        rows: Sequence[BarRow],
        offset_ms: int,
        told: tuple[int, int] | None = None,
    ) -> BarsPosted:
        """Store closed bars durably: when this returns, all of them are on disk.

        Parameters
        ----------
        account_id, symbol : str
        timeframe : Timeframe
        rows : sequence of (open_ms, open, high, low, close, volume, spread_points)
            Checked bars, each open time once; epoch milliseconds UTC, bid prices, tick volume.
        offset_ms : int
            The broker's clock less UTC, by which their times were told.
        told : (from_ms, to_ms), optional
            The terminal has no other bars than these that open in this stretch: it is not asked for it again.
        """
        feed_id, minutes, at_ms = feed_id_of(self.database, account_id, symbol), timeframe.value, now_ms()
        with self.database.write() as connection:
            before = _latest(connection, feed_id, minutes, min(row[0] for row in rows), max(row[0] for row in rows) + 1) if rows else {}
            version = _bars_clock(connection, account_id, offset_ms, rows[0][0], at_ms) if rows else 0
            new, duplicates, revised = [], 0, 0
            for row in rows:
                latest = before.get(row[0])
                if latest is not None and tuple(latest[1:7]) == tuple(row[1:]):
                    duplicates += 1
                    continue
                revision = 0 if latest is None else latest[7] + 1
                revised += latest is not None
                new.append((feed_id, minutes, row[0], revision, *row[1:], version, at_ms))
            if new:
                places = ", ".join("?" * 12)
                columns = f"feed_id, minutes, open_ms, revision, {_CONTENT}, clock_version, received_ms"
                connection.exec_driver_sql(f"INSERT INTO bars ({columns}) VALUES ({places})", new)
            posted = BarsPosted(len(new) - revised, duplicates, revised)
            if rows:
                _count(connection, feed_id, minutes, posted)
            if told is not None:
                _tell(connection, feed_id, minutes, told)
        return posted

    def bars(self, account_id: str, symbol: str, timeframe: Timeframe, from_ms: int = 0, to_ms: int = _LAST_MS) -> BarArrays:
        """Bars that open in [`from_ms`, `to_ms`), each in its latest version."""
        with self.database.read() as connection:
            rows = list(_latest(connection, _feed(connection, account_id, symbol), timeframe.value, from_ms, to_ms).values())
        columns: list[Any] = list(zip(*rows, strict=True)) if rows else [()] * 9
        types: list[Any] = [np.int64, *[np.float64] * 6, np.int64, np.int64]
        arrays: list[Any] = [np.array(column, dtype=kind) for column, kind in zip(columns, types, strict=True)]
        return BarArrays(*arrays)

    def versions(self, account_id: str, symbol: str, timeframe: Timeframe, *, only_revised: bool = True, limit: int = 1_000) -> list[BarVersion]:
        """Every version of the bars that were revised, or of all, by time and revision."""
        revised = " AND open_ms IN (SELECT open_ms FROM bars WHERE feed_id = :feed AND minutes = :minutes AND revision > 0)" if only_revised else ""
        query = f"SELECT open_ms, revision, {_CONTENT}, clock_version, received_ms FROM bars WHERE feed_id = :feed AND minutes = :minutes{revised}"
        with self.database.read() as connection:
            values = {"feed": _feed(connection, account_id, symbol), "minutes": timeframe.value, "limit": limit}
            found = connection.execute(sa.text(query + " ORDER BY open_ms, revision LIMIT :limit"), values)
            return [BarVersion(*row) for row in found]

    def days(self, account_id: str, symbol: str, timeframe: Timeframe) -> dict[int, int]:
        """Number of versions that are stored by day, whole UTC days since 1970: it grows whenever anything of a day changes."""
        query = "SELECT open_ms / ? AS day, count(*) FROM bars WHERE feed_id = ? AND minutes = ? GROUP BY day ORDER BY day"
        with self.database.read() as connection:
            feed_id = _feed(connection, account_id, symbol)
            return {int(day): int(number) for day, number in connection.exec_driver_sql(query, (_MS_PER_DAY, feed_id, timeframe.value))}

    def counts(self, account_id: str | None = None, symbol: str | None = None) -> list[BarCounts]:
        """What was posted, by account, symbol and timeframe."""
        query = (
            "SELECT account_id, symbol, minutes, stored, duplicates, revised FROM bar_counts JOIN feeds ON feeds.id = feed_id"
            " WHERE account_id = coalesce(?, account_id) AND symbol = coalesce(?, symbol) ORDER BY account_id, symbol, minutes"
        )
        with self.database.read() as connection:
            rows = connection.exec_driver_sql(query, (account_id, symbol)).fetchall()
        return [BarCounts(account, symbol, Timeframe(minutes).name, *numbers) for account, symbol, minutes, *numbers in rows]

    def accounts(self, symbol: str) -> list[str]:
        """Accounts that have sent ticks or bars of a symbol."""
        query = (
            "SELECT account_id FROM feeds WHERE symbol = ? AND (EXISTS (SELECT 1 FROM ticks WHERE feed_id = feeds.id)"
            " OR EXISTS (SELECT 1 FROM bars WHERE feed_id = feeds.id)) ORDER BY account_id"
        )
        with self.database.read() as connection:
            return list(connection.exec_driver_sql(query, (symbol,)).scalars())

    # what terminals are asked for

    def want(self, account_id: str, symbol: str, timeframe: Timeframe, from_ms: int | None = None) -> None:
        """Wish for bars of a symbol: those in which ticks may be missing, and with `from_ms` those from there to the first tick.

        The earliest wish counts. A terminal that asks what is wanted gets it told; nothing is written where nothing changes.
        """
        feed_id, wished = feed_id_of(self.database, account_id, symbol), _ONLY_HOLES if from_ms is None else from_ms
        with self.database.read() as connection:
            before = _wishes(connection, feed_id).get(timeframe.value)
        if before is not None and before <= wished:
            return
        with self.database.write() as connection:
            connection.exec_driver_sql(
                "INSERT INTO wishes (feed_id, minutes, from_ms) VALUES (?, ?, ?)"
                " ON CONFLICT (feed_id, minutes) DO UPDATE SET from_ms = min(from_ms, excluded.from_ms)",
                (feed_id, timeframe.value, wished),
            )

    def wanted(self, account_id: str, symbol: str, timeframe: Timeframe | None, until_ms: int) -> list[Stretch]:
        """Which bars the terminal is asked for: of one timeframe, or of all that somebody wished for. Not those that are there, nor
        what the terminal has told completely; see `missing_stretches`.

        `until_ms` is where its market stands, epoch milliseconds UTC.
        """
        counted = count_feeds(self.database, account_id, symbol)
        first_ms = counted[0].first_ms if counted and counted[0].ticks else None
        found: list[Stretch] = []
        with self.database.read() as connection:
            feed_id = _feed(connection, account_id, symbol)
            wishes = _wishes(connection, feed_id)
            for minutes in sorted(wishes) if timeframe is None else [timeframe.value]:
                one, wished = Timeframe(minutes), wishes.get(minutes, _ONLY_HOLES)
                quiet = silences(connection, feed_id, silence_of(one))
                stretches = missing_stretches(one, quiet, first_ms, until_ms, None if wished == _ONLY_HOLES else wished)
                stretches = less(stretches, _told(connection, feed_id, minutes))
                if len(stretches):
                    stretches = less(stretches, _posted(connection, feed_id, one, *stretches[[0, -1], [0, 1]].tolist()))
                found += in_posts(one, stretches)
        return found

    # the broker's clock

    def tell_clock(self, account_id: str, symbol: str, offset_ms: int, from_seq: int, from_ms: int) -> int:
        """The broker's clock is `offset_ms` ahead of UTC from tick `from_seq` on; the version of that offset. Writes only what is new."""
        feed_id = feed_id_of(self.database, account_id, symbol)
        with self.database.write() as connection:
            version = _tick_clock(connection, account_id, offset_ms, from_ms)
            before = connection.exec_driver_sql(
                "SELECT version FROM tick_clocks WHERE feed_id = ? AND from_seq <= ? ORDER BY from_seq DESC LIMIT 1", (feed_id, from_seq)
            ).scalar_one_or_none()
            if before != version:
                connection.exec_driver_sql(
                    "INSERT OR REPLACE INTO tick_clocks (feed_id, from_seq, version) VALUES (?, ?, ?)", (feed_id, from_seq, version)
                )
        return version

    def clocks(self, account_id: str) -> list[BrokerOffset]:
        """Every version of the account's offset, oldest first."""
        query = "SELECT version, offset_ms, from_ms, told_with FROM clocks WHERE account_id = ? ORDER BY version"
        with self.database.read() as connection:
            return [BrokerOffset(*row) for row in connection.exec_driver_sql(query, (account_id,))]

    def tick_clocks(self, account_id: str, symbol: str) -> list[tuple[int, int]]:
        """From which tick number on a feed's ticks follow which version of the offset; nothing where none was told."""
        with self.database.read() as connection:
            query = "SELECT from_seq, version FROM tick_clocks WHERE feed_id = ? ORDER BY from_seq"
            return [(int(seq), int(version)) for seq, version in connection.exec_driver_sql(query, (_feed(connection, account_id, symbol),))]


def _feed(connection: sa.Connection, account_id: str, symbol: str) -> int:
    found = connection.exec_driver_sql("SELECT id FROM feeds WHERE account_id = ? AND symbol = ?", (account_id, symbol)).scalar_one_or_none()
    return 0 if found is None else int(found)


def _latest(connection: sa.Connection, feed_id: int, minutes: int, from_ms: int, to_ms: int) -> dict[int, tuple[Any, ...]]:
    """Bars by open time in their latest version: open time, content, revision, clock version."""
    query = (
        f"SELECT open_ms, {_CONTENT}, revision, clock_version FROM bars WHERE feed_id = ? AND minutes = ? AND open_ms >= ? AND open_ms < ?"
        " ORDER BY open_ms, revision"
    )
    return {row[0]: tuple(row) for row in connection.exec_driver_sql(query, (feed_id, minutes, from_ms, to_ms))}


def _count(connection: sa.Connection, feed_id: int, minutes: int, posted: BarsPosted) -> None:
    connection.exec_driver_sql(
        "INSERT INTO bar_counts (feed_id, minutes, stored, duplicates, revised) VALUES (?, ?, ?, ?, ?) ON CONFLICT (feed_id, minutes) DO UPDATE"
        " SET stored = stored + excluded.stored, duplicates = duplicates + excluded.duplicates, revised = revised + excluded.revised",
        (feed_id, minutes, posted.stored, posted.duplicates, posted.revised),
    )


def _told(connection: sa.Connection, feed_id: int, minutes: int) -> Stretches:
    rows = connection.exec_driver_sql("SELECT from_ms, to_ms FROM told WHERE feed_id = ? AND minutes = ? ORDER BY from_ms", (feed_id, minutes))
    return np.array(rows.fetchall(), dtype=np.int64).reshape(-1, 2)


def _tell(connection: sa.Connection, feed_id: int, minutes: int, told: tuple[int, int]) -> None:
    """Remember a stretch as told; those that touch become one, so that there are never many."""
    merged = united(np.concatenate((_told(connection, feed_id, minutes), np.array([told], dtype=np.int64))))
    connection.exec_driver_sql("DELETE FROM told WHERE feed_id = ? AND minutes = ?", (feed_id, minutes))
    rows = [(feed_id, minutes, start, end) for start, end in merged.tolist()]
    connection.exec_driver_sql("INSERT INTO told (feed_id, minutes, from_ms, to_ms) VALUES (?, ?, ?, ?)", rows)


def _posted(connection: sa.Connection, feed_id: int, timeframe: Timeframe, from_ms: int, to_ms: int) -> Stretches:
    """Bars that are there, each as a stretch."""
    query = "SELECT open_ms FROM bars WHERE feed_id = ? AND minutes = ? AND open_ms >= ? AND open_ms < ? AND revision = 0"
    open_ms = np.array(connection.exec_driver_sql(query, (feed_id, timeframe.value, from_ms, to_ms)).scalars().all(), dtype=np.int64)
    return np.column_stack((open_ms, bar_close_ms(open_ms, timeframe)))


def _wishes(connection: sa.Connection, feed_id: int) -> dict[int, int]:
    rows = connection.exec_driver_sql("SELECT minutes, from_ms FROM wishes WHERE feed_id = ?", (feed_id,))
    return {int(minutes): int(from_ms) for minutes, from_ms in rows}


def _tick_clock(connection: sa.Connection, account_id: str, offset_ms: int, from_ms: int) -> int:
    """The version that was in force at `from_ms`, or the one after it (symbols do not change over in the same tick), or else a new one."""
    query = (
        "SELECT version, offset_ms FROM clocks WHERE account_id = ? AND told_with = 'ticks' AND from_ms {} ? ORDER BY from_ms {}, version {} LIMIT 1"
    )
    for sign, direction in (("<=", "DESC"), (">", "ASC")):
        row = connection.exec_driver_sql(query.format(sign, direction, direction), (account_id, from_ms)).one_or_none()
        if row is not None and row[1] == offset_ms:
            return int(row[0])
    return _add_clock(connection, account_id, offset_ms, from_ms, "ticks", now_ms())


def _bars_clock(connection: sa.Connection, account_id: str, offset_ms: int, from_ms: int, at_ms: int) -> int:
    """The newest version of the account's clock with this offset."""
    query = "SELECT version FROM clocks WHERE account_id = ? AND offset_ms = ? ORDER BY version DESC LIMIT 1"
    found = connection.exec_driver_sql(query, (account_id, offset_ms)).scalar_one_or_none()
    return int(found) if found is not None else _add_clock(connection, account_id, offset_ms, from_ms, "bars", at_ms)


def _add_clock(connection: sa.Connection, account_id: str, offset_ms: int, from_ms: int, told_with: str, at_ms: int) -> int:
    last = connection.exec_driver_sql("SELECT max(version) FROM clocks WHERE account_id = ?", (account_id,)).scalar_one()
    version = int(last or 0) + 1
    connection.exec_driver_sql(
        "INSERT INTO clocks (account_id, version, offset_ms, from_ms, told_with, told_ms) VALUES (?, ?, ?, ?, ?, ?)",
        (account_id, version, offset_ms, from_ms, told_with, at_ms),
    )
    return version
