"""The catalogue of bar sets and datasets: all SQL of this room. The bulk lies in files beside it."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd
import sqlalchemy as sa

from components.base import Database, insert_or_ignore, now_ms
from components.fx import BadInput, Corrupt, NotFound, Refused
from components.pipeline.dataset_store import DatasetCatalogue, datasets_built_on
from components.pipeline.frames import read_frame, write_frame
from components.pipeline.recipe import BarSet, BarSetState
from components.pipeline.schema import BAR_SET_STATES, BAR_SETS, MIGRATIONS, PIECES
from components.pipeline.sources.source import KnownPiece, Piece

PLATFORM: Final = "the platform"
"""Who changes a state where no person does."""


@dataclass(frozen=True)
class StoredPiece:
    """A kept piece of a series: where it came from and the file that holds its frame."""

    source: str
    symbol: str
    timeframe: str
    known: KnownPiece
    origin: str
    path: Path
    sha256: str


@dataclass(frozen=True)
class Series:
    """What is kept of one series: number of pieces and rows, first and last time and last fetch in epoch milliseconds UTC."""

    source: str
    symbol: str
    timeframe: str
    pieces: int
    rows: int
    start_ms: int
    end_ms: int
    fetched_ms: int


@dataclass(frozen=True)
class StateChange:
    """Who quarantined or released a bar set, when and why."""

    bar_set_id: str
    state: str
    by: str
    reason: str
    at_ms: int


class PipelineStore(DatasetCatalogue):
    """Bar sets and datasets of one platform, in ``data_pipeline.db`` with their files beside it."""

    def __init__(self, home: Path, database: Database) -> None:
        self.home = home
        self.database = database

    @classmethod
    def open(cls, home: Path) -> PipelineStore:
        """The store in the folder `home`, made if it is missing."""
        return cls(Path(home), Database(Path(home) / "data_pipeline.db", MIGRATIONS))

    def close(self) -> None:
        """Close the connections of this process."""
        self.database.close()

    def bar_sets(self) -> list[BarSet]:
        """Every bar set, newest first."""
        with self.database.read() as connection:
            rows = connection.execute(sa.select(BAR_SETS).order_by(BAR_SETS.c.created_ms.desc(), BAR_SETS.c.id)).all()
        return [self._bar_set(row) for row in rows]

    def bar_set(self, bar_set_id: str) -> BarSet:
        """The bar set of that id.

        Raises
        ------
        NotFound
            If there is none.
        """
        with self.database.read() as connection:
            row = connection.execute(sa.select(BAR_SETS).where(BAR_SETS.c.id == str(bar_set_id))).one_or_none()
        if row is None:
            raise NotFound(f"there is no bar set {bar_set_id!r}")
        return self._bar_set(row)

    def add_bar_set(self, bar_set: BarSet) -> BarSet:
        """Enter a bar set whose file is written; where its id is known already, that one with the new file's digest.

        One that a person quarantined and that was deleted since comes back quarantined.
        """
        values = {**vars(bar_set), "path": _relative(bar_set.path, self.home)}
        values |= {name: json.dumps(getattr(bar_set, name), sort_keys=True) for name in ("quality", "parents", "made_by")}
        with self.database.write() as connection:
            if not insert_or_ignore(connection, BAR_SETS, [values]):
                connection.execute(BAR_SETS.update().where(BAR_SETS.c.id == bar_set.id).values(sha256=bar_set.sha256))
            elif bar_set.state != "trusted":
                connection.execute(BAR_SET_STATES.insert().values(_change(bar_set.id, bar_set.state, PLATFORM, "its quality")))
            else:
                decided = sa.select(*BAR_SET_STATES.c).where(BAR_SET_STATES.c.bar_set_id == bar_set.id, BAR_SET_STATES.c.by != PLATFORM)
                last = connection.execute(decided.order_by(BAR_SET_STATES.c.number.desc()).limit(1)).first()
                if last is not None and last.state == "quarantined":
                    connection.execute(BAR_SETS.update().where(BAR_SETS.c.id == bar_set.id).values(state="quarantined"))
                    reason = f"{last.reason} (it was deleted and made again since)"
                    connection.execute(BAR_SET_STATES.insert().values(_change(bar_set.id, "quarantined", last.by, reason)))
        return self.bar_set(bar_set.id)

    def set_state(self, bar_set_id: str, state: BarSetState, by: str, reason: str) -> BarSet:
        """Quarantine a bar set, or release it; who did it and why is kept for good.

        Raises
        ------
        NotFound
            If there is no such bar set.
        BadInput
            If the state is unknown, or no name or reason is given.
        """
        if state not in ("trusted", "quarantined", "released"):
            raise BadInput("state", f"{state!r} is unknown; use trusted, quarantined or released")
        for field, value in (("by", by), ("reason", reason)):
            if not value.strip():
                raise BadInput(field, "is missing; a change of state says who made it and why")
        known = self.bar_set(bar_set_id)
        with self.database.write() as connection:
            connection.execute(BAR_SETS.update().where(BAR_SETS.c.id == known.id).values(state=state))
            connection.execute(BAR_SET_STATES.insert().values(_change(known.id, state, by, reason)))
        return self.bar_set(bar_set_id)

    def set_quality(self, bar_set_id: str, score: float, quality: dict[str, Any]) -> None:
        """Keep what was found out about a bar set since it was made, such as a comparison with another source.

        Raises
        ------
        NotFound
            If there is no such bar set.
        """
        known = self.bar_set(bar_set_id)
        with self.database.write() as connection:
            values = {"quality_score": score, "quality": json.dumps(quality, sort_keys=True)}
            connection.execute(BAR_SETS.update().where(BAR_SETS.c.id == known.id).values(values))

    def set_made_by(self, bar_set_id: str, made_by: dict[str, Any]) -> BarSet:
        """Keep of which pieces a bar set is made by now, where other ones hold the same bars."""
        with self.database.write() as connection:
            connection.execute(BAR_SETS.update().where(BAR_SETS.c.id == bar_set_id).values(made_by=json.dumps(made_by, sort_keys=True)))
        return self.bar_set(bar_set_id)

    def states(self, bar_set_id: str) -> list[StateChange]:
        """Every change of state of a bar set, oldest first."""
        query = sa.select(*BAR_SET_STATES.c).where(BAR_SET_STATES.c.bar_set_id == bar_set_id).order_by(BAR_SET_STATES.c.number)
        with self.database.read() as connection:
            return [StateChange(row.bar_set_id, row.state, row.by, row.reason, row.at_ms) for row in connection.execute(query)]

    def is_decided(self, bar_set: BarSet) -> bool:
        """Whether a person said what the state of a bar set is, or of what it was made of: no examination takes that back."""
        changes = self.states(bar_set.id)
        return bar_set.state == "released" or bool(changes and changes[-1].by != PLATFORM)

    def pieces(self, source: str, symbol: str, timeframe: str) -> list[StoredPiece]:
        """The pieces of a series in order of time."""
        query = sa.select(*PIECES.c).where(PIECES.c.source == source, PIECES.c.symbol == symbol, PIECES.c.timeframe == timeframe)
        with self.database.read() as connection:
            rows = connection.execute(query.order_by(PIECES.c.start_ms, PIECES.c.key)).all()
        return [self._piece(row) for row in rows]

    def series(self) -> list[Series]:
        """Every series of which a piece is kept."""
        columns = (PIECES.c.source, PIECES.c.symbol, PIECES.c.timeframe)
        sums = (
            sa.func.count(),
            sa.func.sum(PIECES.c.rows),
            # A piece without rows has no time.
            sa.func.coalesce(sa.func.min(PIECES.c.start_ms).filter(PIECES.c.rows > 0), 0),
            sa.func.coalesce(sa.func.max(PIECES.c.end_ms).filter(PIECES.c.rows > 0), 0),
            sa.func.max(PIECES.c.fetched_ms),
        )
        with self.database.read() as connection:
            return [Series(*row) for row in connection.execute(sa.select(*columns, *sums).group_by(*columns).order_by(*columns))]

    def keep_piece(self, source: str, symbol: str, timeframe: str, piece: Piece) -> StoredPiece:
        """Write a piece and enter it, on disk when this returns; one of the same key takes the place of the one before."""
        open_ms = pd.DatetimeIndex(piece.frame.index).as_unit("ms").asi8
        name = hashlib.sha256(f"{source}\0{symbol}\0{timeframe}\0{piece.key}\0{piece.raw_sha256}".encode()).hexdigest()[:20]
        path = self.home / "pieces" / source / f"{symbol}-{timeframe}-{name}.arrow".replace("/", "_")
        values = {
            "source": source,
            "symbol": symbol,
            "timeframe": timeframe,
            "key": piece.key,
            "origin": piece.origin,
            "path": _relative(path, self.home),
            "sha256": write_frame(path, piece.frame),
            "raw_sha256": piece.raw_sha256,
            "raw_bytes": piece.raw_bytes,
            "rows": len(piece.frame),
            "start_ms": int(open_ms.min()) if len(open_ms) else 0,
            "end_ms": int(open_ms.max()) if len(open_ms) else 0,
            "fetched_ms": piece.fetched_ms,
            "is_final": piece.is_final,
            "facts": json.dumps(piece.facts, sort_keys=True),
        }
        keys = [PIECES.c[name] == values[name] for name in ("source", "symbol", "timeframe", "key")]
        with self.database.write() as connection:
            before = connection.execute(sa.select(PIECES.c.path).where(*keys)).scalar_one_or_none()
            connection.execute(PIECES.delete().where(*keys))
            connection.execute(PIECES.insert().values(values))
            row = connection.execute(sa.select(*PIECES.c).where(*keys)).one()
        if before is not None and before != values["path"]:
            with suppress(PermissionError):  # Windows keeps what another process has mapped; the catalogue no longer names it
                (self.home / before).unlink(missing_ok=True)
        return self._piece(row)

    def load_piece(self, piece: StoredPiece) -> pd.DataFrame:
        """The frame of a piece, mapped into memory; `NotFound` or `Corrupt` as `load_bars`."""
        return read_frame(piece.path, piece.sha256)

    def is_readable(self, piece: StoredPiece) -> bool:
        """Whether the file of a piece is there and is what was written."""
        try:
            self.load_piece(piece)
        except (NotFound, Corrupt):
            return False
        return True

    def load_bars(self, bar_set_id: str) -> pd.DataFrame:
        """The bars frame of a bar set, validated when it was collected, mapped into memory.

        Raises
        ------
        NotFound
            If the bar set or its file is gone.
        Corrupt
            If the file is not what was written.
        """
        bar_set = self.bar_set(bar_set_id)
        return read_frame(bar_set.path, bar_set.sha256)

    def delete_bar_set(self, bar_set_id: str) -> None:
        """Forget a bar set and remove its file.

        Raises
        ------
        NotFound
            If there is none of that id.
        Refused
            If a dataset was built from it.
        """
        bar_set = self.bar_set(bar_set_id)
        with self.database.write() as connection:
            users = datasets_built_on(connection, bar_set.id)
            if users:
                raise Refused("in_use", f"bar set {bar_set.id} is used by dataset {', '.join(users)}; delete what uses it first")
            connection.execute(BAR_SETS.delete().where(BAR_SETS.c.id == bar_set.id))
        bar_set.path.unlink(missing_ok=True)

    def _bar_set(self, row: sa.Row[Any]) -> BarSet:
        values = dict(row._mapping)
        documents = {name: json.loads(values[name]) for name in ("quality", "parents", "made_by")}
        return BarSet(**{**values, **documents, "parents": tuple(documents["parents"]), "path": self.home / values["path"]})

    def _piece(self, row: sa.Row[Any]) -> StoredPiece:
        known = KnownPiece(
            row.key, row.raw_sha256, row.raw_bytes, row.rows, row.start_ms, row.end_ms, row.fetched_ms, bool(row.is_final), json.loads(row.facts)
        )
        return StoredPiece(row.source, row.symbol, row.timeframe, known, row.origin, self.home / row.path, row.sha256)


def _change(bar_set_id: str, state: str, by: str, reason: str) -> dict[str, Any]:
    return {"bar_set_id": bar_set_id, "state": state, "by": by, "reason": reason, "at_ms": now_ms()}


def _relative(path: Path, home: Path) -> str:
    return path.relative_to(home).as_posix() if path.is_absolute() else path.as_posix()
