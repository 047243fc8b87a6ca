"""Long work goes through the job queue: submit on a click, show how far it is while it runs."""

from __future__ import annotations

from typing import Any

import streamlit as st

from components.base import now_ms
from components.jobs import Job
from components.orchestrator import parsed
from pages._shared import stores
from pages._shared.parts import plain, told_errors
from pages._shared.text import span, utc

PATIENCE_MS = 5_000
POLL_S = 1.0
_WATCHED = "watched_jobs"
_SUBMITTED = "submitted_job"


def submit(kind: str, payload: dict[str, Any]) -> Job:
    """Put a job into the queue and watch it on the pages that show its kind."""
    job = stores.jobs().submit(kind, payload)
    st.session_state[_SUBMITTED] = (kind, job.id)
    st.session_state.setdefault(_WATCHED, []).append(job.id)
    return job


def send(kind: str, payload: dict[str, Any]) -> None:
    """On a click: submit what a job of this kind can begin with and draw the page again; what is wrong is told where the click was."""
    with told_errors():
        submit(kind, parsed(kind, payload))
        st.rerun()


def show_progress(*kinds: str, may_cancel: bool = False) -> None:
    """Waiting and running jobs of these kinds, live, with a button to cancel each where wanted; and how those of this visit ended.

    The container is there even where it is empty: what follows keeps its place, so that an open form stays open.
    """
    active, ended = _jobs_of(kinds)
    with st.container():
        if active:
            st.fragment(_draw_active, run_every=POLL_S)(kinds, may_cancel)
        for job in ended:
            _draw_ended(job)


def say_submitted(kind: str) -> None:
    """Say once, under its form, that a job of this kind went into the queue."""
    with st.container():
        if st.session_state.get(_SUBMITTED, ("", ""))[0] == kind:
            _, job_id = st.session_state.pop(_SUBMITTED)
            st.success(f"{kind} job {job_id} submitted.", icon=":material/check:")


def worker_note() -> str | None:
    """A sentence where no worker is seen, supervised or at work; None where one is."""
    now = now_ms()
    if any(now - (job.heartbeat_ms or 0) < PATIENCE_MS for job in stores.jobs().list("running")):
        return None
    workers = [process for process in stores.platform().processes() if process.name.startswith("worker")]
    if any(process.is_live(now) and process.pid for process in workers):
        return None
    return "No worker is running, so jobs wait: start the platform with ./start_platform.sh, or one worker with: sequence worker"


def _jobs_of(kinds: tuple[str, ...]) -> tuple[list[Job], list[Job]]:
    store = stores.jobs()
    active = [job for state in ("running", "queued") for job in store.list(state) if job.kind in kinds]
    watched = set(st.session_state.get(_WATCHED, []))
    ended = [job for job in store.list(limit=50) if job.id in watched and job.is_over and job.kind in kinds]
    return active, ended


def _draw_active(kinds: tuple[str, ...], may_cancel: bool) -> None:
    with told_errors():
        active, _ = _jobs_of(kinds)
        if not active:
            st.rerun()
        for job in active:
            if may_cancel:
                draw_cancellable(job)
            else:
                draw_job(job)


def draw_cancellable(job: Job) -> None:
    """A waiting or running job with a button that cancels it."""
    progress, press = st.columns([6, 1], vertical_alignment="center")
    with progress:
        draw_job(job)
    if press.button("Cancel", key=f"cancel.{job.id}", icon=":material/cancel:", width="stretch", disabled=job.cancel_requested):
        stores.jobs().cancel(job.id)
        st.rerun(scope="fragment")


def redraw_when_done(active: int) -> None:
    """Draw the whole page again when the last of the active jobs is over, so that what it made shows up."""
    before = st.session_state.get("jobs_active", 0)
    st.session_state["jobs_active"] = active
    if before and not active:
        st.rerun()


def draw_job(job: Job) -> None:
    """One waiting or running job: a bar, what it does, its newest numbers."""
    now = now_ms()
    if job.state == "queued":
        waited = now - job.submitted_ms
        note = worker_note() if waited > PATIENCE_MS else None
        st.progress(0.0, text=f"{job.kind} · waiting for {span(waited)}" + (f" · {note}" if note else ""))
        return
    numbers = " · ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {_counted(value)}" for name, value in job.metrics.items())
    since = span(now - (job.started_ms or now))
    stopping = " · stopping" if job.cancel_requested else ""
    words = f"{job.kind} · {job.progress:.0%} · {plain(job.message)} · running for {since}{stopping}"
    st.progress(min(max(job.progress, 0.0), 1.0), text=words)
    if numbers:
        st.caption(plain(numbers))


def _counted(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _draw_ended(job: Job) -> None:
    took = span((job.finished_ms or 0) - (job.started_ms or job.submitted_ms))
    if job.state == "done":
        said = plain(job.message)
        st.success(f"{job.kind} done in {took} at {utc(job.finished_ms)} · {said}", icon=":material/check:")
    elif job.state == "failed":
        st.error(f"**{job.kind} failed:** {plain((job.error or 'no reason is known').splitlines()[0])}", icon=":material/error:")
    else:
        st.warning(f"{job.kind} was cancelled at {utc(job.finished_ms)}.", icon=":material/cancel:")
