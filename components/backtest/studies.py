"""Studies of strategies: sweeps, walk-forwards, audits, comparisons. One row each in ``backtest_results.db``, its tables in ``studies/<id>/``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd
import sqlalchemy as sa

from components.backtest.frames import read_frame, write_frame
from components.base import Database, insert_or_ignore, now_ms
from components.fx import BadInput, NotFound

StudyKind = Literal["sweep", "walkforward", "honesty", "audit", "comparison", "mt5_comparison", "optimisation"]
StudyState = Literal["running", "done", "failed", "cancelled"]
KINDS: tuple[str, ...] = get_args(StudyKind)
Document = dict[str, Any]

STUDY_TABLES = sa.MetaData()
STUDIES = sa.Table(
    "studies",
    STUDY_TABLES,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False, index=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("strategy", sa.Text, nullable=False),
    sa.Column("bar_set_id", sa.Text),
    sa.Column("run_id", sa.Text, index=True),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.Column("code_version", sa.Text, nullable=False),
    sa.Column("created_ms", sa.Integer, nullable=False, index=True),
    sa.Column("finished_ms", sa.Integer),
)
POINTS = sa.Table(
    "study_points",
    STUDY_TABLES,
    sa.Column("study_id", sa.Text, sa.ForeignKey("studies.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("params", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("metrics", sa.Text, nullable=False),
    sa.Column("returns", sa.LargeBinary),
)


def study_tables(connection: sa.Connection) -> None:
    """Migration 2 of ``backtest_results.db``."""
    STUDY_TABLES.create_all(connection, checkfirst=True)


@dataclass(frozen=True)
class Study:
    """One study.

    Parameters
    ----------
    id : str
        Sorts by time.
    kind : str
        One of `KINDS`.
    title : str
        Words for a list.
    strategy : str
        Empty where it is about several.
    bar_set_id, run_id : str or None
        The bars, and the backtest that it is about.
    spec : dict
        All that was asked for.
    state : {'running', 'done', 'failed', 'cancelled'}
    result : dict
        Plain JSON; what the kind found, so far while it runs; ``{"error": …}`` where it failed.
    code_version : str
    created_ms, finished_ms : int
        Epoch milliseconds UTC; `finished_ms` is None while it runs.
    """

    id: str
    kind: str
    title: str
    strategy: str = ""
    bar_set_id: str | None = None
    run_id: str | None = None
    spec: Document = None  # type: ignore[assignment]
    state: StudyState = "running"
    result: Document = None  # type: ignore[assignment]
    code_version: str = ""
    created_ms: int = 0
    finished_ms: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadInput("kind", f"{self.kind!r} is not a kind of study; use one of {', '.join(KINDS)}")
        object.__setattr__(self, "spec", dict(self.spec or {}))
        object.__setattr__(self, "result", dict(self.result or {}))


@dataclass(frozen=True)
class Point:
    """One point of a study: a parameter set, or a window, that was tried.

    Parameters
    ----------
    number : int
        Its place in the study; a point that is there already is not written again.
    params : dict
    state : {'done', 'failed', 'discarded'}
    metrics : dict
        Plain JSON values.
    returns : bytes or None
        Daily returns, float64 little-endian.
    """

    number: int
    params: Document
    state: str
    metrics: Document
    returns: bytes | None = None


class StudyStore:
    """The studies of one platform; `BacktestStore.studies` gives one."""

    def __init__(self, home: Path, database: Database) -> None:
        self.home = Path(home)
        self.database = database

    def start(self, study: Study) -> Study:
        """Write a study down before its work begins; one whose id is known stays as it is, so that a retried job goes on with it."""
        row = replace(study, created_ms=study.created_ms or now_ms())
        values = {**vars(row), "spec": _json(row.spec), "result": _json(row.result)}
        with self.database.write() as connection:
            insert_or_ignore(connection, STUDIES, [values])
        return self.study(study.id)

    def finish(self, study_id: str, state: StudyState, result: Mapping[str, Any]) -> Study:
        """Say how a study ended; its result replaces what it had so far.

        Raises
        ------
        NotFound
            If there is no such study.
        """
        change = {"state": state, "result": _json(result), "finished_ms": None if state == "running" else now_ms()}
        with self.database.write() as connection:
            connection.execute(sa.update(STUDIES).where(STUDIES.c.id == study_id).values(**change))
        return self.study(study_id)

    def study(self, study_id: str) -> Study:
        """The study of that id.

        Raises
        ------
        NotFound
            If there is none.
        """
        with self.database.read() as connection:
            row = connection.execute(sa.select(STUDIES).where(STUDIES.c.id == str(study_id))).one_or_none()
        if row is None:
            raise NotFound(f"there is no study {study_id!r}")
        return _study(row)

    def studies(self, kind: str | None = None, *, run_id: str | None = None, limit: int = 100) -> list[Study]:
        """The newest studies first, all or those of one kind or about one run."""
        query = sa.select(STUDIES).order_by(STUDIES.c.created_ms.desc(), STUDIES.c.id.desc()).limit(limit)
        if kind is not None:
            query = query.where(STUDIES.c.kind == kind)
        if run_id is not None:
            query = query.where(STUDIES.c.run_id == run_id)
        with self.database.read() as connection:
            return [_study(row) for row in connection.execute(query)]

    def add_points(self, study_id: str, points: Sequence[Point]) -> None:
        """Keep points; they are on disk when this returns."""
        rows = [{"study_id": study_id, **vars(one), "params": _json(one.params), "metrics": _json(one.metrics)} for one in points]
        with self.database.write() as connection:
            insert_or_ignore(connection, POINTS, rows)

    def points(self, study_id: str, *, with_returns: bool = False) -> list[Point]:
        """The points of a study by number; `returns` is read only where it is asked for."""
        columns = [POINTS.c.number, POINTS.c.params, POINTS.c.state, POINTS.c.metrics]
        query = sa.select(*columns, *([POINTS.c.returns] if with_returns else [])).where(POINTS.c.study_id == study_id).order_by(POINTS.c.number)
        with self.database.read() as connection:
            return [
                Point(row.number, json.loads(row.params), row.state, json.loads(row.metrics), row.returns if with_returns else None)
                for row in connection.execute(query)
            ]

    def keep_frame(self, study_id: str, name: str, frame: pd.DataFrame) -> None:
        """Keep a table of a study, whole or not at all; times in UTC milliseconds."""
        write_frame(self._path(study_id, name), frame)

    def frame(self, study_id: str, name: str) -> pd.DataFrame:
        """A table of a study.

        Raises
        ------
        NotFound
            If it has none of that name.
        """
        return read_frame(self._path(self.study(study_id).id, name))

    def frames(self, study_id: str) -> tuple[str, ...]:
        """Names of the tables that a study has."""
        return tuple(sorted(path.stem for path in (self.home / "studies" / study_id).glob("*.arrow")))

    def _path(self, study_id: str, name: str) -> Path:
        return self.home / "studies" / study_id / f"{name}.arrow"


def _study(row: sa.Row[Any]) -> Study:
    values = dict(row._mapping)
    return Study(**{**values, "spec": json.loads(values["spec"]), "result": json.loads(values["result"])})


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, allow_nan=False, sort_keys=True)
