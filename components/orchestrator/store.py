"""platform.db: the state of every process, what happened to them, and the steps of the first data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from components.base import Database, create_all, now_ms
from components.fx import NotFound

LIVE_MS = 6_000
EVENTS_KEPT = 5_000

_metadata = sa.MetaData()
_processes = sa.Table(
    "processes",
    _metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("healthy", sa.Boolean, nullable=False),
    sa.Column("pid", sa.Integer),
    sa.Column("started_ms", sa.Integer),
    sa.Column("restarts", sa.Integer, nullable=False),
    sa.Column("last_exit", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("log_path", sa.Text, nullable=False),
    sa.Column("updated_ms", sa.Integer, nullable=False),
)
_events = sa.Table(
    "process_events",
    _metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at_ms", sa.Integer, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
)
_steps = sa.Table(
    "first_data_steps",
    _metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("job_id", sa.Text),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.Column("started_ms", sa.Integer),
    sa.Column("finished_ms", sa.Integer),
)


@dataclass(frozen=True)
class ProcessState:
    """One supervised process as the supervisor last saw it.

    `state` is ``starting``, ``running``, ``waiting`` (for its next start), ``finished`` (ended as it should), ``failed`` or ``stopped``.
    `last_exit` says in words how it ended the last time, empty where it never did. `updated_ms` is when the supervisor wrote this.
    """

    name: str
    state: str
    healthy: bool
    pid: int | None
    started_ms: int | None
    restarts: int
    last_exit: str
    address: str
    log_path: str
    updated_ms: int = 0

    def is_live(self, at_ms: int) -> bool:
        """Whether a supervisor still writes this state: one that was written longer than 6 s before `at_ms` tells of the past."""
        return self.state != "stopped" and at_ms - self.updated_ms <= LIVE_MS


@dataclass(frozen=True)
class ProcessEvent:
    """What happened to a process, in words; `at_ms` in epoch milliseconds UTC."""

    at_ms: int
    name: str
    what: str


@dataclass(frozen=True)
class Step:
    """One step of the first data; `state` is ``running``, ``done`` or ``failed``, `result` is what later steps need of it."""

    name: str
    state: str
    job_id: str | None
    message: str
    result: dict[str, Any] = field(default_factory=dict)
    started_ms: int | None = None
    finished_ms: int | None = None


class PlatformStore:
    """The orchestrator's store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, home: Path) -> PlatformStore:
        """The store in `home`; made if it is missing."""
        return cls(Database(home / "platform.db", [create_all(_metadata)]))

    def replace_processes(self, states: Sequence[ProcessState]) -> None:
        """Make `states`, in this order, all that is known of processes; stamped with now."""
        stamp = now_ms()
        with self._database.write() as connection:
            connection.execute(_processes.delete())
            for position, state in enumerate(states):
                connection.execute(_processes.insert().values({**asdict(state), "position": position, "updated_ms": stamp}))

    def processes(self) -> list[ProcessState]:
        """Every process of the platform as last written, in the order of their start."""
        with self._database.read() as connection:
            rows = connection.execute(_processes.select().order_by(_processes.c.position)).mappings().all()
        return [ProcessState(**{key: value for key, value in row.items() if key != "position"}) for row in rows]

    def add_event(self, name: str, what: str) -> None:
        """Note what happened to a process; the newest 5,000 events are kept."""
        with self._database.write() as connection:
            number = connection.execute(_events.insert().values(at_ms=now_ms(), name=name, what=what)).inserted_primary_key
            if number is not None:
                connection.execute(_events.delete().where(_events.c.number <= int(number[0]) - EVENTS_KEPT))

    def events(self, limit: int = 100) -> list[ProcessEvent]:
        """The newest events, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(_events.c.at_ms, _events.c.name, _events.c.what).order_by(_events.c.number.desc()).limit(limit)).all()
        return [ProcessEvent(*row) for row in rows]

    def begin_step(self, name: str, message: str, job_id: str | None = None) -> None:
        """Note that a step of the first data runs, `job_id` being the job that does it."""
        values = {"state": "running", "message": message, "job_id": job_id, "result": "{}", "started_ms": now_ms(), "finished_ms": None}
        with self._database.write() as connection:
            if connection.execute(_steps.update().where(_steps.c.name == name).values(**values)).rowcount == 0:
                position = connection.execute(sa.select(sa.func.count()).select_from(_steps)).scalar_one()
                connection.execute(_steps.insert().values(name=name, position=position, **values))

    def end_step(self, name: str, state: str, message: str, result: dict[str, Any] | None = None) -> None:
        """Note how a step ended: `state` is ``done`` or ``failed``.

        Raises
        ------
        NotFound
            If the step never began.
        """
        values = {"state": state, "message": message, "result": orjson.dumps(result or {}).decode(), "finished_ms": now_ms()}
        with self._database.write() as connection:
            if connection.execute(_steps.update().where(_steps.c.name == name).values(**values)).rowcount == 0:
                raise NotFound(f"no step of the first data is called {name!r}")

    def steps(self) -> list[Step]:
        """Every step of the first data that has begun, in order."""
        with self._database.read() as connection:
            rows = connection.execute(_steps.select().order_by(_steps.c.position)).mappings().all()
        return [Step(**{**{k: v for k, v in row.items() if k != "position"}, "result": orjson.loads(row["result"])}) for row in rows]

    def step(self, name: str) -> Step | None:
        """One step of the first data; None where it has not begun."""
        return next((step for step in self.steps() if step.name == name), None)

    def close(self) -> None:
        """Close the store's connections."""
        self._database.close()
