"""What the long calls of this room share: whom they tell, and an id that survives a retry."""

from __future__ import annotations

import secrets
from typing import Any, Protocol

from components.base import now_ms


class Progress(Protocol):
    """What a long call tells: ``progress(fraction, message, **metrics)``, as `jobs.Progress`."""

    def __call__(self, fraction: float, message: str = "", **metrics: Any) -> None:
        """Say how far the work is."""


def silent(fraction: float, message: str = "", **metrics: Any) -> None:
    """The progress of a call that nobody listens to."""


def new_run_id() -> str:
    """An id of 17 characters that sorts by time."""
    return f"{now_ms():011x}{secrets.token_hex(3)}"


def kept_id(report: Progress, name: str = "study_id") -> str:
    """The id of what a call makes: that of an earlier attempt where a job was interrupted, else a new one, which a `jobs.Progress` remembers.

    Parameters
    ----------
    report : callable
        A job's progress, or any other.
    name : str
        What the id is called in the job's checkpoint.
    """
    earlier = getattr(report, "resumed_from", None) or {}
    made = str(earlier.get(name) or new_run_id())
    remember = getattr(report, "checkpoint", None)
    if remember is not None:
        remember({name: made})
    return made
