"""The worker's loop with real processes that are killed, and with a store that is busy."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from components.base import ROOT, Database
from components.fx import Unavailable
from components.jobs import Job, JobCancelled, JobStore, Progress, run_worker

SCRIPT = Path(__file__).with_name("worker_process.py")
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def store(home: Path) -> JobStore:
    return JobStore.open(home)


@pytest.fixture
def start_worker(home: Path) -> Iterator[Start]:
    """Starts worker processes on this test's home; what is still alive at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str, stale_s: float = 1.0) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen([sys.executable, str(SCRIPT), str(home), name, str(stale_s)], env=environment, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def start_thread(store: JobStore) -> Iterator[Callable[..., threading.Event]]:
    """Runs a worker in a thread of the test, with the functions given; stopped at the end."""
    running: list[tuple[threading.Event, threading.Thread]] = []

    def start(name: str = "w", stale_s: float = 0.5, **functions: Callable[[dict, Progress], dict]) -> threading.Event:
        stop = threading.Event()
        options = {"name": name, "stop": stop, "poll_s": 0.02, "stale_s": stale_s}
        thread = threading.Thread(target=run_worker, args=(store, functions), kwargs=options)
        thread.start()
        running.append((stop, thread))
        return stop

    yield start
    for stop, thread in running:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def until(condition: Callable[[], object], within_s: float = 30.0) -> None:
    """Wait for `condition`, or fail."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def over(store: JobStore, job: Job) -> Job:
    """The job once it is over."""
    until(lambda: store.get(job.id).is_over)
    return store.get(job.id)


@pytest.mark.slow
def test_a_job_whose_worker_is_killed_is_resumed_from_its_checkpoint_by_another(store: JobStore, start_worker: Start, tmp_path: Path) -> None:
    steps = tmp_path / "steps"
    job = store.submit("count_up", {"steps": 30, "file": str(steps), "pause_s": 0.1})
    first = start_worker("first")
    until(lambda: store.get(job.id).checkpoint is not None and store.get(job.id).progress >= 0.1)
    first.send_signal(signal.SIGKILL)  # not waited for: a dead process that nobody has buried is dead too
    until(lambda: not psutil.Process(first.pid).is_running() or psutil.Process(first.pid).status() == psutil.STATUS_ZOMBIE)
    left = store.get(job.id)
    assert (left.state, left.attempts) == ("running", 1), "nobody has noticed yet"
    assert left.checkpoint is not None
    second = start_worker("second")
    until(lambda: store.get(job.id).attempts == 2, 8.0)
    done = over(store, job)
    assert (done.state, done.attempts, done.progress) == ("done", 2, 1.0)
    assert done.result == {"done": 30, "resumed_at": left.checkpoint["done"]}
    assert left.checkpoint["done"] > 0
    assert done.worker is not None
    assert done.worker.startswith("second@")
    written = [line.split() for line in steps.read_text().splitlines()]
    assert {int(step) for _, step in written} == set(range(30)), "no step is missing"
    assert min(int(step) for pid, step in written if int(pid) == second.pid) == left.checkpoint["done"]


@pytest.mark.slow
def test_a_job_that_kills_every_worker_fails_with_a_sentence_after_its_attempts(store: JobStore, start_worker: Start) -> None:
    job = store.submit("poison", {}, max_attempts=2)
    for attempt in range(2):
        worker = start_worker(f"victim-{attempt}")
        assert worker.wait(30) == -signal.SIGKILL
    start_worker("survivor")
    failed = over(store, job)
    assert (failed.state, failed.attempts) == ("failed", 2)
    assert failed.error == "Its worker stopped answering at 25%, in attempt 2 of 2; it will not be tried again."


@pytest.mark.slow
def test_several_processes_run_every_job_exactly_once(store: JobStore, start_worker: Start, tmp_path: Path) -> None:
    file = tmp_path / "runs"
    workers = [start_worker(f"w{number}", 30.0) for number in range(4)]
    jobs = [store.submit("note", {"file": str(file), "number": number}) for number in range(100)]
    until(lambda: len(store.list("done", limit=1000)) == len(jobs), 60)
    runs = [line.split() for line in file.read_text().splitlines()]
    assert sorted(int(number) for _, number in runs) == list(range(100))
    assert all(job.attempts == 1 for job in store.list(limit=1000))
    assert len({pid for pid, _ in runs}) > 1, "more than one of them took part"
    assert {int(pid) for pid, _ in runs} <= {worker.pid for worker in workers}


@pytest.mark.slow
def test_progress_is_seen_from_another_process_and_cancelling_stops_the_job(store: JobStore, start_worker: Start, tmp_path: Path) -> None:
    steps = tmp_path / "steps"
    job = store.submit("count_up", {"steps": 10_000, "file": str(steps), "pause_s": 0.05})
    worker = start_worker("w")
    until(lambda: store.get(job.id).progress > 0)
    seen = store.get(job.id)
    assert seen.state == "running"
    assert seen.message.startswith("step ")
    until(lambda: store.get(job.id).metrics.get("newest", 0) > seen.metrics["newest"])
    assert store.cancel(job.id).cancel_requested
    assert over(store, job).state == "cancelled"
    written = len(steps.read_text().splitlines())
    time.sleep(0.3)
    assert len(steps.read_text().splitlines()) == written, "it really stopped"
    next_job = store.submit("note", {"file": str(tmp_path / "next"), "number": 1})
    assert over(store, next_job).state == "done", "the worker goes on with the next job"
    assert worker.poll() is None


@pytest.mark.slow
def test_a_compiled_call_that_holds_the_interpreter_does_not_look_dead(store: JobStore, start_worker: Start, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    job = store.submit("hold_lock", {"seconds": 3.0, "file": str(runs)})
    start_worker("busy", 0.5)
    until(runs.exists)
    start_worker("idle", 0.5)
    done = over(store, job)
    assert (done.state, done.attempts) == ("done", 1)
    assert len(runs.read_text().splitlines()) == 1


def test_a_long_call_without_reports_keeps_its_heartbeat(store: JobStore, start_thread: Callable) -> None:
    begun = threading.Event()

    def sleep(payload: dict, progress: Progress) -> dict:
        begun.set()
        time.sleep(1.5)
        return {}

    job = store.submit("sleep", {})
    start_thread(sleep=sleep)
    assert begun.wait(10)
    first = store.get(job.id).heartbeat_ms or 0
    until(lambda: (store.get(job.id).heartbeat_ms or 0) > first, 1.0)
    assert store.requeue_stale(400) == []
    assert over(store, job).attempts == 1


def test_an_error_is_stored_with_its_sentence_first_and_its_traceback(store: JobStore, start_thread: Callable) -> None:
    def divide(payload: dict, progress: Progress) -> dict:
        return {"ratio": 1 / payload["by"]}

    job = store.submit("divide", {"by": 0})
    start_thread(divide=divide)
    failed = over(store, job)
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error.splitlines()[0] == "ZeroDivisionError: division by zero"
    assert "Traceback (most recent call last)" in failed.error
    assert 'return {"ratio": 1 / payload["by"]}' in failed.error
    assert failed.attempts == 1, "an error of the job itself is not tried again"


@pytest.mark.parametrize("result", [None, {"x": object()}], ids=["no dict", "no JSON"])
def test_a_result_that_cannot_be_stored_fails_the_job_and_not_the_worker(store: JobStore, start_thread: Callable, result: object) -> None:
    bad, good = store.submit("bad", {}), store.submit("good", {})
    start_thread(bad=lambda payload, progress: result, good=lambda payload, progress: {"ok": True})
    failed = over(store, bad)
    assert failed.state == "failed"
    assert (failed.error or "").startswith("result: ")
    assert over(store, good).result == {"ok": True}


def test_a_checkpoint_or_metric_that_is_not_json_fails_the_job_at_that_line(store: JobStore, start_thread: Callable) -> None:
    def bad_checkpoint(payload: dict, progress: Progress) -> dict:
        progress.checkpoint({"x": object()})
        return {}

    def bad_metric(payload: dict, progress: Progress) -> dict:
        progress(0.5, "half", x=object())
        return {}

    jobs = [store.submit("bad_checkpoint", {}), store.submit("bad_metric", {})]
    start_thread(bad_checkpoint=bad_checkpoint, bad_metric=bad_metric)
    errors = [over(store, job).error or "" for job in jobs]
    assert errors[0].startswith("checkpoint: cannot be written as JSON")
    assert "progress.checkpoint" in errors[0]
    assert errors[1].startswith("metrics: cannot be written as JSON")


def test_a_passing_error_inside_a_job_is_tried_again(store: JobStore, start_thread: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.jobs.store.RETRY_AFTER_MS", 10)
    calls = []

    def flaky(payload: dict, progress: Progress) -> dict:
        calls.append(1)
        if len(calls) < 3:
            raise Unavailable("the source does not answer")
        return {"calls": len(calls)}

    job = store.submit("flaky", {})
    start_thread(flaky=flaky)
    assert over(store, job).result == {"calls": 3}


def test_a_busy_store_neither_kills_the_worker_nor_loses_the_result(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.base.database.BUSY_TIMEOUT_MS", 50)
    store = JobStore.open(home)
    blocker = Database(home / "training_jobs.db", store_migrations(store))
    begun, go_on, stop = threading.Event(), threading.Event(), threading.Event()

    def work(payload: dict, progress: Progress) -> dict:
        begun.set()
        go_on.wait(10)
        progress(0.9, "nearly")
        progress.checkpoint({"at": 9})
        return {"ok": True}

    job = store.submit("work", {})
    options = {"name": "w", "stop": stop, "poll_s": 0.02, "stale_s": 0.5}
    thread = threading.Thread(target=run_worker, args=(store, {"work": work}), kwargs=options)
    with blocker.write():
        thread.start()
        time.sleep(0.4)
        assert not begun.is_set(), "the store is busy: nothing can be claimed"
    assert begun.wait(10)
    with blocker.write():
        go_on.set()
        time.sleep(1.0)
        assert thread.is_alive()
        assert store.get(job.id).state == "running"
    done = over(store, job)
    stop.set()
    thread.join(10)
    assert (done.state, done.result, done.checkpoint, done.attempts) == ("done", {"ok": True}, {"at": 9}, 1)


def store_migrations(store: JobStore) -> list:
    """As many empty migrations as the store has, for a second connection to the same file."""
    with store.database.read() as connection:
        return [lambda _: None] * connection.exec_driver_sql("SELECT count(*) FROM schema_migrations").scalar_one()


def test_stopping_the_worker_queues_its_job_again_with_the_checkpoint(store: JobStore, start_thread: Callable) -> None:
    begun = threading.Event()

    def endless(payload: dict, progress: Progress) -> dict:
        if progress.resumed_from:
            return {"resumed_from": progress.resumed_from}
        progress.checkpoint({"at": 7})
        begun.set()
        while True:
            time.sleep(0.01)
            progress(0.5, "on the way", loss=1.0)

    job = store.submit("endless", {}, max_attempts=1)
    stop = start_thread(endless=endless)
    assert begun.wait(10)
    stop.set()
    until(lambda: store.get(job.id).state == "queued")
    waiting = store.get(job.id)
    assert (waiting.attempts, waiting.checkpoint, waiting.metrics) == (0, {"at": 7}, {"loss": 1.0})
    start_thread(endless=endless)
    assert over(store, job).result == {"resumed_from": {"at": 7}}


def test_a_worker_that_lost_its_job_stops_it_and_writes_nothing(store: JobStore, start_thread: Callable) -> None:
    begun, stopped = threading.Event(), threading.Event()

    def endless(payload: dict, progress: Progress) -> dict:
        begun.set()
        try:
            while True:
                time.sleep(0.01)
                progress(0.5)
        except JobCancelled:
            stopped.set()
            raise

    job = store.submit("endless", {}, max_attempts=1)
    start_thread(endless=endless)
    assert begun.wait(10)
    (taken,) = store.requeue_stale(-60_000)
    assert taken.state == "failed"
    assert stopped.wait(10)
    time.sleep(0.1)
    assert store.get(job.id) == taken


def test_a_job_that_cancels_itself_fails_instead_of_running_for_ever(store: JobStore, start_thread: Callable) -> None:
    def quit_early(payload: dict, progress: Progress) -> dict:
        raise JobCancelled("just so")

    job = store.submit("quit_early", {})
    start_thread(quit_early=quit_early)
    assert over(store, job).state == "failed"


def test_progress_clamps_keeps_the_message_and_gathers_metrics() -> None:
    seen = []
    progress = Progress(lambda *news: seen.append(news))
    progress(-1.0, "begin", a=1)
    progress(2.0, b=2)
    progress.checkpoint({"at": 1})
    assert seen == [(0.0, "begin", {"a": 1}, None), (1.0, "begin", {"a": 1, "b": 2}, None), (1.0, "begin", {"a": 1, "b": 2}, {"at": 1})]
    Progress()(0.5, "reports to nobody")
    with pytest.raises(Exception, match="fraction"):
        progress(float("nan"))
