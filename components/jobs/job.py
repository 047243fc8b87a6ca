"""A job, and the progress that a job function reports."""

from __future__ import annotations

import itertools
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from components.base import now_ms
from components.fx import BadInput

JobState = Literal["queued", "running", "done", "failed", "cancelled"]
JOB_STATES: tuple[JobState, ...] = ("queued", "running", "done", "failed", "cancelled")
Document = dict[str, Any]

_COUNTER = itertools.count()


@dataclass(frozen=True)
class Job:
    """One piece of work in the queue, as it was when it was read; times in epoch milliseconds UTC.

    Parameters
    ----------
    id : str
        Sorts by the time of submission.
    kind : str
        Chooses the function that does the work; the queue does not know what it means.
    payload : dict
        What the function is given, JSON.
    priority : int
        The highest goes first; equal ones in the order of submission.
    resources : dict
        What the job asks for (``gpu``, ``cores``, ``memory_bytes``); kept for people and schedulers, not enforced by the queue.
    state : {'queued', 'running', 'done', 'failed', 'cancelled'}
    attempts, max_attempts : int
        How often a worker has begun it, and how often one may.
    progress : float
        Share that is done, 0–1.
    message : str
        What it is doing, for people.
    metrics : dict
        The newest numbers that it reported.
    checkpoint : dict or None
        Where the next attempt resumes.
    result : dict or None
        What the function gave back.
    error : str or None
        Why the last attempt ended: one sentence, then the traceback where there is one.
    worker : str or None
        Who works on it or did last.
    heartbeat_ms, started_ms, finished_ms : int or None
        Last sign of life, begin of the last attempt, and end.
    submitted_ms : int
    cancel_requested : bool
        Somebody asked for it to stop and the worker has not yet done so.
    """

    id: str
    kind: str
    payload: Document
    priority: int
    resources: Document
    state: JobState
    attempts: int
    max_attempts: int
    progress: float
    message: str
    metrics: Document
    checkpoint: Document | None
    result: Document | None
    error: str | None
    worker: str | None
    heartbeat_ms: int | None
    submitted_ms: int
    started_ms: int | None
    finished_ms: int | None
    cancel_requested: bool

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to the job."""
        return self.state in ("done", "failed", "cancelled")


class JobCancelled(Exception):
    """Raised inside a job function by its `Progress`: stop now, clean up, let it pass."""


def new_job_id() -> str:
    """An id of 21 characters that sorts by time."""
    return f"{now_ms():012x}{next(_COUNTER) % 4096:03x}{secrets.token_hex(3)}"


Report = Callable[[float, str, Document, Document | None], None]


def _ignore(_fraction: float, _message: str, _metrics: Document, _checkpoint: Document | None) -> None:
    """Report to nobody."""


@dataclass
class Progress:
    """What a job function is handed: ``progress(0.4, "fold 2 of 5", log_loss=0.69)``.

    ``Progress()`` reports to nobody, for calls outside a worker.

    Parameters
    ----------
    report : callable
        Takes (fraction, message, metrics, new checkpoint or None); may raise `JobCancelled`.
    resumed_from : dict or None
        The checkpoint that an earlier attempt left; None at a first start.
    """

    report: Report = _ignore
    resumed_from: Document | None = None
    fraction: float = 0.0
    message: str = ""
    metrics: Document = field(default_factory=dict)

    def __call__(self, fraction: float, message: str = "", **metrics: Any) -> None:
        """Say how far the job is.

        Parameters
        ----------
        fraction : float
            Share that is done, 0–1; values outside are clamped.
        message : str
            What is being done, for people; empty leaves the last one.
        **metrics
            Numbers worth seeing; they are added to those reported before.

        Raises
        ------
        JobCancelled
            If the job must stop: it was cancelled, taken away, or its worker is stopping.
        BadInput
            If `fraction` is not a number.
        """
        if not math.isfinite(fraction):
            raise BadInput("fraction", f"{fraction!r} is not a share between 0 and 1")
        self.fraction = min(max(float(fraction), 0.0), 1.0)
        self.message = message or self.message
        self.metrics = {**self.metrics, **metrics}
        self.report(self.fraction, self.message, self.metrics, None)

    def checkpoint(self, state: Document) -> None:
        """Keep `state`, JSON, so that a later attempt finds it as `resumed_from`; raises `JobCancelled` as a call does."""
        self.report(self.fraction, self.message, self.metrics, dict(state))
