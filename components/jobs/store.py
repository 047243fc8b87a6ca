"""The queue's store, `training_jobs.db`: all of its SQL. Every change of a job is one short transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from components.base import Database, claim_one, create_all, now_ms
from components.fx import BadInput, NotFound
from components.jobs.hardware import HardwareReading
from components.jobs.job import JOB_STATES, Document, Job, JobState, new_job_id

HARDWARE_KEPT = 20_000
RETRY_AFTER_MS = 2_000
PATIENCE_WITH_LIVING = 12

_metadata = sa.MetaData()
_jobs = sa.Table(
    "jobs",
    _metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("resources", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("max_attempts", sa.Integer, nullable=False),
    sa.Column("progress", sa.Float, nullable=False, default=0.0),
    sa.Column("message", sa.Text, nullable=False, default=""),
    sa.Column("metrics", sa.Text, nullable=False, default="{}"),
    sa.Column("checkpoint", sa.Text),
    sa.Column("result", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("worker", sa.Text),
    sa.Column("heartbeat_ms", sa.Integer),
    sa.Column("submitted_ms", sa.Integer, nullable=False),
    sa.Column("started_ms", sa.Integer),
    sa.Column("finished_ms", sa.Integer),
    sa.Column("cancel_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("retry_at_ms", sa.Integer, nullable=False, default=0),
    sa.Index("jobs_by_state", "state", "priority", "submitted_ms"),
)
_hardware = sa.Table(
    "hardware",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("reading", sa.Text, nullable=False),
)
_DOCUMENTS = ("payload", "resources", "metrics", "checkpoint", "result")
Jobs = list[Job]
Readings = list[HardwareReading]


class JobStore:
    """The queue. Any number of processes may hold one of these on the same file."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @classmethod
    def open(cls, home: Path) -> JobStore:
        """The queue in the folder `home`, made if it is missing."""
        return cls(Database(Path(home) / "training_jobs.db", (create_all(_metadata),)))

    def submit(self, kind: str, payload: Document, *, priority: int = 0, max_attempts: int = 3, resources: Document | None = None) -> Job:
        """Put a job into the queue.

        Raises
        ------
        BadInput
            If `kind` is empty, `payload` or `resources` is not JSON, or `max_attempts` is below 1.
        """
        if not kind:
            raise BadInput("kind", "a job needs a kind")
        if max_attempts < 1:
            raise BadInput("max_attempts", f"{max_attempts} is below 1")
        row = {
            "id": new_job_id(),
            "kind": kind,
            "payload": document_text("payload", payload),
            "priority": priority,
            "resources": document_text("resources", resources or {}),
            "state": "queued",
            "max_attempts": max_attempts,
            "submitted_ms": now_ms(),
        }
        with self.database.write() as connection:
            return _job(connection.execute(sa.insert(_jobs).values(**row).returning(*_jobs.columns)).one())

    def get(self, id: str) -> Job:
        """The job called `id`; `NotFound` where there is none."""
        with self.database.read() as connection:
            return _job(_row(connection, id))

    def list(self, state: JobState | None = None, limit: int = 100) -> Jobs:
        """The newest jobs first, all of them or those in one state."""
        if state is not None and state not in JOB_STATES:
            raise BadInput("state", f"{state!r} is unknown; use one of {', '.join(JOB_STATES)}")
        query = sa.select(_jobs).order_by(_jobs.c.submitted_ms.desc(), _jobs.c.id.desc()).limit(limit)
        with self.database.read() as connection:
            return [_job(row) for row in connection.execute(query if state is None else query.where(_jobs.c.state == state))]

    def claim_job(self, worker: str, kinds: Collection[str]) -> Job | None:
        """Take the first waiting job of one of these kinds, in one transaction; None where nothing waits.

        An empty queue costs one read, no write.
        """
        now = now_ms()
        waits = sa.and_(_jobs.c.state == "queued", _jobs.c.kind.in_(kinds), _jobs.c.retry_at_ms <= now)
        with self.database.read() as connection:
            if connection.execute(sa.select(_jobs.c.id).where(waits).limit(1)).first() is None:
                return None
        begun = {"state": "running", "worker": worker, "heartbeat_ms": now, "started_ms": now, "attempts": _jobs.c.attempts + 1}
        order = (_jobs.c.priority.desc(), _jobs.c.submitted_ms, _jobs.c.id)
        with self.database.write() as connection:
            row = claim_one(connection, _jobs, waits, order, begun)
        return None if row is None else _job(row)

    def heartbeat(
        self,
        id: str,
        worker: str,
        progress: float | None = None,
        message: str | None = None,
        metrics: Document | None = None,
        checkpoint: Document | None = None,
    ) -> bool:
        """Show that `worker` lives and how far it is; what is None stays as it was.

        Returns
        -------
        bool
            False when the worker must stop: cancelling was requested, or the job was taken away.
        """
        values: dict[str, Any] = {"heartbeat_ms": now_ms(), "progress": progress, "message": message}
        values["metrics"] = None if metrics is None else document_text("metrics", metrics)
        values["checkpoint"] = None if checkpoint is None else document_text("checkpoint", checkpoint)
        given = {name: value for name, value in values.items() if value is not None}
        with self.database.write() as connection:
            update = sa.update(_jobs).where(_held(id, worker)).values(**given).returning(_jobs.c.cancel_requested)
            return connection.execute(update).scalar_one_or_none() is False

    def finish(self, id: str, worker: str, result: Document) -> bool:
        """Store the result; False where the job was no longer this worker's."""
        return self._end(id, worker, state="done", progress=1.0, result=document_text("result", result), error=None)

    def fail(self, id: str, worker: str, error: str, *, retry: bool = False) -> bool:
        """Store why the job failed.

        Parameters
        ----------
        id, worker : str
        error : str
            One sentence, then the traceback.
        retry : bool
            Queue it again, after a pause, while attempts are left; for errors that may pass by themselves.

        Returns
        -------
        bool
            False where the job was no longer this worker's.
        """
        if retry:
            with self.database.write() as connection:
                left = sa.and_(_held(id, worker), _jobs.c.attempts < _jobs.c.max_attempts, sa.not_(_jobs.c.cancel_requested))
                again = {"state": "queued", "worker": None, "error": error, "retry_at_ms": now_ms() + RETRY_AFTER_MS * _jobs.c.attempts}
                if connection.execute(sa.update(_jobs).where(left).values(**again)).rowcount:
                    return True
        return self._end(id, worker, state="failed", error=error)

    def stop_job(self, id: str, worker: str) -> bool:
        """End a job that its worker has stopped: cancelled if that was requested, else queued again without counting the attempt."""
        values = {
            "state": sa.case((_jobs.c.cancel_requested, "cancelled"), else_="queued"),
            "worker": sa.case((_jobs.c.cancel_requested, _jobs.c.worker), else_=None),
            "attempts": sa.case((_jobs.c.cancel_requested, _jobs.c.attempts), else_=_jobs.c.attempts - 1),
            "finished_ms": sa.case((_jobs.c.cancel_requested, now_ms()), else_=None),
            "cancel_requested": False,
        }
        with self.database.write() as connection:
            return connection.execute(sa.update(_jobs).where(_held(id, worker)).values(**values)).rowcount == 1

    def cancel(self, id: str) -> Job:
        """Cancel a waiting job at once, or ask the worker of a running one to stop; a job that is over stays as it is."""
        with self.database.write() as connection:
            _row(connection, id)
            waiting = sa.update(_jobs).where(_jobs.c.id == id, _jobs.c.state == "queued")
            connection.execute(waiting.values(state="cancelled", finished_ms=now_ms()))
            running = sa.update(_jobs).where(_jobs.c.id == id, _jobs.c.state == "running")
            connection.execute(running.values(cancel_requested=True))
            return _job(_row(connection, id))

    def requeue_stale(self, older_than_ms: int, is_living: Callable[[str], bool] | None = None) -> Jobs:
        """Take jobs away from workers that gave no sign of life.

        A job whose attempts are used up ends ``failed`` with a sentence, a cancelled one ``cancelled``; every other one is queued again
        with its checkpoint.

        Parameters
        ----------
        older_than_ms : int
            Age of the last heartbeat from which a worker counts as gone, in milliseconds.
        is_living : callable, optional
            Tells of a worker's name whether its process is seen running; then 12 times the age is allowed, because a long compiled call
            can hold up the heartbeat.

        Returns
        -------
        list of Job
            The jobs that were taken away, as they are now.
        """
        now = now_ms()
        silent = sa.select(_jobs).where(_jobs.c.state == "running", _jobs.c.heartbeat_ms < now - older_than_ms)
        with self.database.read() as connection:
            found = [_job(row) for row in connection.execute(silent)]
        gone = [job for job in found if _age_ms(job, now) > older_than_ms * PATIENCE_WITH_LIVING or not (is_living and is_living(job.worker or ""))]
        if not gone:
            return []
        taken: Jobs = []
        with self.database.write() as connection:
            for job in gone:
                # only if it still is as it was read: its worker may have moved in between
                same = sa.and_(_held(job.id, job.worker or ""), _jobs.c.heartbeat_ms == job.heartbeat_ms)
                update = sa.update(_jobs).where(same).values(**_after_loss(job, now)).returning(*_jobs.columns)
                taken += [_job(row) for row in connection.execute(update)]
        return taken

    def record_hardware(self, reading: HardwareReading) -> None:
        """Keep a reading of the machine; the last 20,000 are kept."""
        with self.database.write() as connection:
            insert = sa.insert(_hardware).values(reading=json.dumps(reading.as_document())).returning(_hardware.c.id)
            newest = connection.execute(insert).scalar_one()
            connection.execute(sa.delete(_hardware).where(_hardware.c.id <= newest - HARDWARE_KEPT))

    def hardware_history(self, limit: int = 500) -> Readings:
        """The last readings of the machine, oldest first."""
        query = sa.select(_hardware.c.reading).order_by(_hardware.c.id.desc()).limit(limit)
        with self.database.read() as connection:
            return [HardwareReading.from_document(json.loads(text)) for text in connection.execute(query).scalars()][::-1]

    def close(self) -> None:
        """Close this process's connections."""
        self.database.close()

    def _end(self, id: str, worker: str, **values: Any) -> bool:
        ended = {"finished_ms": now_ms(), "cancel_requested": False, **values}
        with self.database.write() as connection:
            return connection.execute(sa.update(_jobs).where(_held(id, worker)).values(**ended)).rowcount == 1


def _after_loss(job: Job, now: int) -> dict[str, Any]:
    """What becomes of a job whose worker is gone."""
    if job.cancel_requested:
        return {"state": "cancelled", "finished_ms": now, "cancel_requested": False}
    lost = f"Its worker stopped answering at {job.progress:.0%}, in attempt {job.attempts} of {job.max_attempts}"
    if job.attempts >= job.max_attempts:
        return {"state": "failed", "finished_ms": now, "error": f"{lost}; it will not be tried again."}
    return {"state": "queued", "worker": None, "error": f"{lost}; it was queued again."}


def _age_ms(job: Job, now: int) -> int:
    return now - (job.heartbeat_ms or 0)


def _held(id: str, worker: str) -> sa.ColumnElement[bool]:
    return sa.and_(_jobs.c.id == id, _jobs.c.worker == worker, _jobs.c.state == "running")


def _row(connection: sa.Connection, id: str) -> sa.Row[Any]:
    row = connection.execute(sa.select(_jobs).where(_jobs.c.id == id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no job {id!r}")
    return row


def _job(row: sa.Row[Any]) -> Job:
    values = dict(row._mapping)
    del values["retry_at_ms"]
    for name in _DOCUMENTS:
        values[name] = None if values[name] is None else json.loads(values[name])
    return Job(**values)


def document_text(field: str, document: Document) -> str:
    """A document as JSON text, numpy numbers as plain ones; `BadInput` naming `field` where it cannot be written."""
    if not isinstance(document, dict):
        raise BadInput(field, f"{type(document).__name__} is not a dict")
    try:
        return json.dumps(document, default=_plain)
    except (TypeError, ValueError) as error:
        raise BadInput(field, f"cannot be written as JSON: {error}") from None


def _plain(value: Any) -> Any:
    """A numpy number as the plain one it is."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    raise TypeError(f"{type(value).__name__} is not JSON")
