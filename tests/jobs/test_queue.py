"""The queue: what each change of a job does to it, seen through the front."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.fx import BadInput, NotFound
from components.jobs import JobStore, read_hardware


@pytest.fixture
def store(home: Path) -> JobStore:
    return JobStore.open(home)


def test_a_submitted_job_waits_with_everything_it_was_given(store: JobStore) -> None:
    job = store.submit("train", {"rows": 5}, priority=3, max_attempts=2, resources={"cores": 2})
    assert store.get(job.id) == job
    assert (job.kind, job.payload, job.priority, job.max_attempts, job.resources) == ("train", {"rows": 5}, 3, 2, {"cores": 2})
    assert (job.state, job.attempts, job.progress, job.checkpoint, job.result, job.error, job.worker) == ("queued", 0, 0.0, None, None, None, None)
    assert not job.cancel_requested
    assert not job.is_over


def test_the_highest_priority_goes_first_and_equals_go_in_order(store: JobStore) -> None:
    first, second = store.submit("a", {}), store.submit("a", {})
    urgent = store.submit("a", {}, priority=1)
    claimed = [store.claim_job("w", ["a"]) for _ in range(4)]
    assert [job and job.id for job in claimed] == [urgent.id, first.id, second.id, None]


def test_many_jobs_of_one_millisecond_keep_their_order(store: JobStore) -> None:
    submitted = [store.submit("a", {}).id for _ in range(50)]
    assert sorted(submitted) == submitted
    assert [job.id for job in store.list()] == submitted[::-1]


def test_a_worker_takes_only_the_kinds_that_it_knows(store: JobStore) -> None:
    store.submit("train", {})
    assert store.claim_job("w", ["backtest"]) is None
    assert store.claim_job("w", []) is None
    claimed = store.claim_job("w", ["backtest", "train"])
    assert claimed is not None
    assert (claimed.state, claimed.worker, claimed.attempts) == ("running", "w", 1)


def test_a_heartbeat_stores_what_it_carries_and_leaves_the_rest(store: JobStore) -> None:
    store.submit("a", {})
    job = store.claim_job("w", ["a"])
    assert job is not None
    assert store.heartbeat(job.id, "w", 0.4, "fold 2", {"loss": 0.5}, {"fold": 2})
    assert store.heartbeat(job.id, "w")
    seen = store.get(job.id)
    assert (seen.progress, seen.message, seen.metrics, seen.checkpoint) == (0.4, "fold 2", {"loss": 0.5}, {"fold": 2})


def test_only_the_worker_that_holds_a_job_can_change_it(store: JobStore) -> None:
    store.submit("a", {})
    job = store.claim_job("w", ["a"])
    assert job is not None
    assert not store.heartbeat(job.id, "other")
    assert not store.finish(job.id, "other", {})
    assert not store.fail(job.id, "other", "no")
    assert not store.stop_job(job.id, "other")
    assert store.get(job.id).state == "running"
    assert store.finish(job.id, "w", {"auc": np.float64(0.5), "rows": np.int64(3)})
    assert store.get(job.id).result == {"auc": 0.5, "rows": 3}
    assert not store.finish(job.id, "w", {"again": 1}), "a job ends once"


def test_cancelling_a_waiting_job_ends_it_and_a_running_one_is_asked(store: JobStore) -> None:
    running, waiting = store.submit("a", {}), store.submit("a", {})
    store.claim_job("w", ["a"])
    assert store.cancel(waiting.id).state == "cancelled"
    asked = store.cancel(running.id)
    assert (asked.state, asked.cancel_requested) == ("running", True)
    assert not store.heartbeat(running.id, "w"), "the heartbeat's answer tells the worker to stop"
    assert store.stop_job(running.id, "w")
    assert (store.get(running.id).state, store.get(running.id).cancel_requested) == ("cancelled", False)
    assert store.cancel(running.id).state == "cancelled", "cancelling again changes nothing"


def test_a_silent_worker_loses_its_job_which_keeps_its_checkpoint(store: JobStore) -> None:
    store.submit("a", {})
    job = store.claim_job("dead", ["a"])
    assert job is not None
    store.heartbeat(job.id, "dead", 0.5, "half", None, {"done": 5})
    assert store.requeue_stale(60_000) == []
    (taken,) = store.requeue_stale(-1)
    assert (taken.state, taken.worker, taken.checkpoint, taken.attempts) == ("queued", None, {"done": 5}, 1)
    assert not store.heartbeat(job.id, "dead"), "the one that was silent learns that it lost the job"
    again = store.claim_job("living", ["a"])
    assert again is not None
    assert (again.id, again.attempts, again.checkpoint) == (job.id, 2, {"done": 5})


def test_a_job_whose_attempts_are_used_up_fails_with_a_sentence(store: JobStore) -> None:
    store.submit("a", {}, max_attempts=2)
    for _ in range(2):
        assert store.claim_job("dead", ["a"]) is not None
        (taken,) = store.requeue_stale(-1)
    assert taken.state == "failed"
    assert taken.error == "Its worker stopped answering at 0%, in attempt 2 of 2; it will not be tried again."
    assert store.claim_job("living", ["a"]) is None


def test_a_cancelled_job_of_a_dead_worker_is_not_tried_again(store: JobStore) -> None:
    job = store.submit("a", {})
    store.claim_job("dead", ["a"])
    store.cancel(job.id)
    (taken,) = store.requeue_stale(-1)
    assert taken.state == "cancelled"


def test_a_worker_that_is_seen_running_is_waited_for_twelve_times_as_long(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.submit("a", {})
    job = store.claim_job("busy", ["a"])
    assert job is not None
    assert job.heartbeat_ms is not None
    monkeypatch.setattr("components.jobs.store.now_ms", lambda: job.heartbeat_ms + 11_000)
    assert store.requeue_stale(1_000, lambda worker: worker == "busy") == []
    monkeypatch.setattr("components.jobs.store.now_ms", lambda: job.heartbeat_ms + 13_000)
    assert len(store.requeue_stale(1_000, lambda worker: worker == "busy")) == 1


def test_a_passing_error_is_tried_again_after_a_pause_and_a_bounded_number_of_times(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    job = store.submit("a", {}, max_attempts=2)
    store.claim_job("w", ["a"])
    assert store.fail(job.id, "w", "the broker does not answer", retry=True)
    assert (store.get(job.id).state, store.get(job.id).error) == ("queued", "the broker does not answer")
    assert store.claim_job("w", ["a"]) is None, "it pauses first"
    later = (store.get(job.id).submitted_ms or 0) + 60_000
    monkeypatch.setattr("components.jobs.store.now_ms", lambda: later)
    assert store.claim_job("w", ["a"]) is not None
    assert store.fail(job.id, "w", "still not", retry=True)
    assert (store.get(job.id).state, store.get(job.id).error) == ("failed", "still not")


def test_a_job_that_is_stopped_with_its_worker_does_not_lose_an_attempt(store: JobStore) -> None:
    job = store.submit("a", {}, max_attempts=1)
    store.claim_job("w", ["a"])
    assert store.stop_job(job.id, "w")
    waiting = store.get(job.id)
    assert (waiting.state, waiting.attempts, waiting.worker, waiting.finished_ms) == ("queued", 0, None, None)
    assert store.claim_job("w2", ["a"]) is not None


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"kind": "", "payload": {}}, "kind"),
        ({"kind": "a", "payload": [1]}, "payload"),
        ({"kind": "a", "payload": {"x": object()}}, "payload"),
        ({"kind": "a", "payload": {}, "resources": {"x": object()}}, "resources"),
        ({"kind": "a", "payload": {}, "max_attempts": 0}, "max_attempts"),
    ],
)
def test_a_job_that_cannot_be_stored_is_refused_by_field(store: JobStore, arguments: dict, field: str) -> None:
    with pytest.raises(BadInput) as refused:
        store.submit(**arguments)
    assert refused.value.field == field
    assert store.list() == []


def test_a_job_that_does_not_exist_is_not_found(store: JobStore) -> None:
    for call in (store.get, store.cancel):
        with pytest.raises(NotFound, match="no job 'x'"):
            call("x")


def test_jobs_are_listed_by_state(store: JobStore) -> None:
    store.submit("a", {})
    store.cancel(store.submit("a", {}).id)
    assert [len(store.list(state)) for state in ("queued", "cancelled", "done")] == [1, 1, 0]
    assert len(store.list(limit=1)) == 1
    with pytest.raises(BadInput, match="state"):
        store.list("lost")  # type: ignore[arg-type]


def test_hardware_readings_are_kept_in_order_and_bounded(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.jobs.store.HARDWARE_KEPT", 3)
    readings = [read_hardware(window_s=0.01) for _ in range(5)]
    for reading in readings:
        store.record_hardware(reading)
    assert store.hardware_history() == readings[2:]
    assert store.hardware_history(limit=1) == readings[-1:]
