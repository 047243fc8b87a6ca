"""The worker's loop: claim, run, report, and find the jobs that another worker's death left behind.

A worker may be killed at any moment: everything that matters is in the store, and whoever looks next goes on from there.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial

import psutil

from components.base import get_log
from components.fx import PlatformError, Unavailable
from components.jobs.job import Document, Job, JobCancelled, Progress
from components.jobs.store import JobStore, document_text

JobFunction = Callable[[Document, Progress], Document]

_log = get_log("jobs")


def run_worker(
    store: JobStore,
    functions: Mapping[str, JobFunction],
    *,
    name: str,
    stop: threading.Event,
    poll_s: float = 0.5,
    stale_s: float = 5.0,
) -> None:
    """Do jobs, one after the other, until `stop` is set.

    Parameters
    ----------
    store : JobStore
    functions : mapping of str to callable
        Job kind → function of (payload, `Progress`) that gives back the result, a dict.
    name : str
        For people; the name that is stored also carries machine and process.
    stop : threading.Event
        Set it to end the loop. A running job is then stopped at its next report and queued again, with its checkpoint.
    poll_s : float
        Pause between two looks at an empty queue, in seconds.
    stale_s : float
        Age of a heartbeat from which its worker counts as gone, in seconds; the heartbeat comes five times as often.

    Notes
    -----
    The heartbeat comes from a thread. A compiled function that holds the interpreter's lock for longer than `stale_s` silences it; then
    other workers on the same machine look whether the process still runs, and wait up to 12 times as long.
    """
    worker = _worker_name(name)
    _log.info("worker started", worker=worker, kinds=sorted(functions))
    while not stop.is_set():
        job = None
        try:
            for taken in store.requeue_stale(int(stale_s * 1000), is_running):
                _log.warning("job taken from a worker that stopped answering", job=taken.id, state=taken.state, attempts=taken.attempts)
            job = store.claim_job(worker, tuple(functions))
        except Unavailable as error:
            _log.warning("the queue does not answer", worker=worker, error=error.message)
        if job is None:
            stop.wait(poll_s)
        else:
            _do_job(store, job, functions[job.kind], worker, stop, stale_s / 5, poll_s)
    _log.info("worker stopped", worker=worker)


def is_running(worker: str) -> bool:
    """Whether the process in a worker's stored name is seen running on this machine."""
    _, _, place = worker.rpartition("@")
    host, pid, started, *_ = [*place.split(":"), "", "", ""]
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        process = psutil.Process(int(pid))
        return f"{process.create_time():.2f}" == started and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _worker_name(name: str) -> str:
    """Different for every start, so that what an earlier one of this name still does cannot touch this one's jobs."""
    return f"{name}@{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.2f}:{secrets.token_hex(3)}"


class _Pulse(threading.Thread):
    """Shows that the worker lives, with the newest progress, and learns whether the job must stop."""

    def __init__(self, store: JobStore, job: Job, worker: str, stop: threading.Event, interval_s: float) -> None:
        super().__init__(name=f"pulse-{job.id}", daemon=True)
        self.store, self.job, self.worker, self.stop_worker, self.interval_s = store, job, worker, stop, interval_s
        self.over = threading.Event()
        self.must_stop = threading.Event()
        self.lock = threading.Lock()
        self.news: tuple[float | None, str | None, Document | None] = (None, None, None)
        self.checkpoint: Document | None = None

    def run(self) -> None:
        """Beat until the job is over; a busy store is tried again at the next beat."""
        while not self.over.wait(self.interval_s):
            self.beat()

    def beat(self) -> None:
        """Send, unless the store is busy: then the next beat does."""
        try:
            self.send()
        except Unavailable as error:
            _log.warning("heartbeat not stored", job=self.job.id, error=error.message)

    def send(self) -> None:
        """Write heartbeat, progress and a checkpoint that is not yet stored; raises `Unavailable` where the store is busy."""
        with self.lock:
            goes_on = self.store.heartbeat(self.job.id, self.worker, *self.news, self.checkpoint)
            self.checkpoint = None
            if not goes_on:
                self.must_stop.set()

    def report(self, fraction: float, message: str, metrics: Document, checkpoint: Document | None) -> None:
        """Take the job's news; a checkpoint is on disk when this returns, unless the store is busy: then with the next beat."""
        self.news = (fraction, message, _copy("metrics", metrics))
        if checkpoint is not None:
            kept = _copy("checkpoint", checkpoint)
            with self.lock:
                self.checkpoint = kept
            self.beat()
        if self.must_stop.is_set() or self.stop_worker.is_set():
            raise JobCancelled(f"job {self.job.id} must stop")


def _copy(field: str, document: Document) -> Document:
    """The document as the store will give it back; refused here, in the job's own thread, where it is not JSON."""
    copied: Document = json.loads(document_text(field, document))
    return copied


def _do_job(store: JobStore, job: Job, function: JobFunction, worker: str, stop: threading.Event, beat_s: float, pause_s: float) -> None:
    pulse = _Pulse(store, job, worker, stop, beat_s)
    pulse.start()
    _log.info("job started", job=job.id, kind=job.kind, attempt=job.attempts, worker=worker)
    progress = Progress(pulse.report, job.checkpoint, job.progress, job.message, dict(job.metrics))
    try:
        end = _run(store, job, function, worker, progress, pulse)
        _persist(end, pulse, stop, pause_s)
    finally:
        pulse.over.set()
        pulse.join()


def _run(store: JobStore, job: Job, function: JobFunction, worker: str, progress: Progress, pulse: _Pulse) -> Callable[[], bool]:
    """Call the job's function; gives back how the job is to be ended in the store."""
    try:
        result = _copy("result", function(job.payload, progress))
    except JobCancelled as error:
        if pulse.must_stop.is_set() or pulse.stop_worker.is_set():
            return partial(store.stop_job, job.id, worker)
        return partial(store.fail, job.id, worker, _account_of(error))
    except Exception as error:
        _log.warning("job raised", job=job.id, kind=job.kind, exc_info=error)
        return partial(store.fail, job.id, worker, _account_of(error), retry=isinstance(error, Unavailable))
    except BaseException:
        store.stop_job(job.id, worker)
        raise
    return partial(store.finish, job.id, worker, result)


def _account_of(error: BaseException) -> str:
    sentence = str(error) if isinstance(error, PlatformError) else f"{type(error).__name__}: {error}"
    return f"{sentence}\n\n{''.join(traceback.format_exception(error))}"


def _persist(end: Callable[[], bool], pulse: _Pulse, stop: threading.Event, pause_s: float) -> None:
    """Store the job's last news and its end; a busy store is asked again, at most three times once the worker is to stop."""
    tries_while_stopping = 0
    while tries_while_stopping < 3:
        try:
            pulse.send()
            if not end():
                _log.warning("the job had been taken away; its end is not stored", job=pulse.job.id)
            return
        except Unavailable as error:
            _log.warning("the job's end is not stored yet", job=pulse.job.id, error=error.message)
            tries_while_stopping += stop.is_set()
            time.sleep(pause_s)
