"""The first data with a real worker: every step once, whatever interrupts it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.backtest import BacktestStore
from components.base import Settings
from components.desk import DeskStore
from components.fx import NotFound, Refused, Unavailable, to_ms
from components.jobs import JobStore, run_worker
from components.ledger import TrialLedger
from components.models import ModelStore
from components.orchestrator import FIRST_DATA_STEPS, PlatformStore, has_first_data, job_functions, load_first_data, migrate_stores
from components.orchestrator import first_data as module
from components.orchestrator.demo import Pace, _deployment_of, _Replay, demo_accounts, run_terminals
from components.orchestrator.start import _Script
from components.pipeline import PipelineStore, collect


@pytest.fixture
def worker(home: Path) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(
        target=run_worker, args=(JobStore.open(home), job_functions(home)), kwargs={"name": "test", "stop": stop, "poll_s": 0.05}
    )
    thread.start()
    yield
    stop.set()
    thread.join()


def test_the_first_data_is_complete_and_loaded_once(home: Path, worker: None) -> None:
    settings = Settings(home=home)
    migrate_stores(home)
    assert not has_first_data(home)
    shown: list[tuple[str, float, str]] = []
    first = load_first_data(settings, lambda *told: shown.append(told))
    assert has_first_data(home)
    assert [step for step, fraction, _ in shown if fraction == 1.0] == list(FIRST_DATA_STEPS)
    assert [step.name for step in PlatformStore.open(home).steps()] == list(FIRST_DATA_STEPS)

    runs = {run.id: run for run in BacktestStore.open(home).runs(10)}
    assert set(runs) == set(first.run_ids)
    assert {run.strategy for run in runs.values()} == set(module.DEMO_STRATEGIES)
    assert all(run.trades > 0 for run in runs.values())
    assert len(BacktestStore.open(home).comparisons(10)) == 1
    model = ModelStore.open(home).get(first.model_id)
    bars = PipelineStore.open(home).load_bars(first.bar_set_id)
    deployments = DeskStore.open(home).deployments()
    assert [deployment.id for deployment in deployments] == list(first.deployment_ids)
    for deployment in deployments:
        assert deployment.state == "armed"
        assert deployment.spec.history_until_ms == to_ms(bars.index[-module.REPLAY_BARS])
        assert deployment.spec.history_until_ms > model.trained_until_ms, "what is replayed must be out of the model's sample"

    jobs, trials = len(JobStore.open(home).list()), TrialLedger.open(home).count()
    shown.clear()
    assert load_first_data(settings, lambda *told: shown.append(told)) == first
    assert shown == []
    assert (len(JobStore.open(home).list()), TrialLedger.open(home).count()) == (jobs, trials)

    assert demo_accounts(settings) == ["demo-1", "demo-2", "demo-3", "demo-4"]
    DeskStore.open(home).disarm(deployments[3].id)
    for deployment in deployments:
        replay = _Replay(settings, deployment, Pace(), threading.Event(), lambda *_: None)
        replay.terminal.store.save(replay.terminal.broker.dump(), replay.state().ticks_total, 0, [], [])
    again = ["demo-1-round-2", "demo-2-round-2", "demo-3-round-2", "demo-4-round-2"]
    assert demo_accounts(settings) == again
    assert demo_accounts(settings) == again

    # One more deployment on a demo account breaks nothing, and is carried into no round while it is not armed.
    first_armed = next(deployment for deployment in DeskStore.open(home).deployments() if deployment.account_id == again[0])
    other = DeskStore.open(home).create(first_armed.spec.model_copy(update={"history_until_ms": first_armed.spec.history_until_ms - 1}))
    assert demo_accounts(settings) == again
    assert _deployment_of(home, again[0]) == first_armed
    DeskStore.open(home).arm(other.id)
    with pytest.raises(Refused, match="differ in symbol or history"):
        demo_accounts(settings)
    DeskStore.open(home).disarm(other.id)
    DeskStore.open(home).archive(other.id)
    states = {deployment.account_id: deployment.state for deployment in DeskStore.open(home).deployments()}
    assert states == {**dict.fromkeys(("demo-1", "demo-2", "demo-3", "demo-4", again[3]), "disarmed"), **dict.fromkeys(again[:3], "armed")}


def test_an_interrupted_step_waits_for_its_own_job(home: Path) -> None:
    jobs = JobStore.open(home)
    job = jobs.submit("collect", {"source": "sample", "symbol": "EURUSD", "timeframe": "H1"})
    PlatformStore.open(home).begin_step("collect", "waiting for the worker", job.id)
    claimed = jobs.claim_job("worker", ["collect"])
    assert claimed is not None
    jobs.fail(claimed.id, "worker", "the disk is full\nTraceback …")
    with pytest.raises(Unavailable, match=r"the first data stopped at 'collect': the disk is full$"):
        load_first_data(Settings(home=home), lambda *_: None)
    step = PlatformStore.open(home).step("collect")
    assert step is not None
    assert (step.state, step.message) == ("failed", "the disk is full")
    assert len(jobs.list()) == 1


def test_the_end_of_the_replay_is_said_once(home: Path) -> None:
    class Supervised:
        state = "running"

        def all_healthy(self, *_names: str) -> bool:
            return True

        def add(self, _spec: object) -> None:
            return

        def state_of(self, _name: str) -> str:
            return self.state

    said: list[str] = []
    supervised = Supervised()
    script = _Script(supervised, Settings(home=home), False, True, said.append)  # type: ignore[arg-type]
    script._each_round()
    assert "The simulated terminal replays real prices and trades on the demo accounts." in said
    assert not any("The replay is over" in words for words in said)
    supervised.state = "finished"
    script._each_round()
    script._each_round()
    assert said.count("The replay is over; start with --demo for a new round.") == 1


def test_a_missing_worker_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WORKER_PATIENCE_S", 0.3)
    with pytest.raises(Unavailable, match="no worker takes the job of 'collect'; start one with: sequence worker"):
        load_first_data(Settings(home=home), lambda *_: None)


def test_a_terminal_without_a_deployment_is_refused(home: Path) -> None:
    settings = Settings(home=home)
    with pytest.raises(NotFound, match="there are no demo deployments"):
        demo_accounts(settings)
    with pytest.raises(NotFound, match="account 'x' has no deployment"):
        run_terminals(settings, ["x"], Pace(), threading.Event())


def test_deployments_with_different_replays_on_one_account_are_refused(home: Path) -> None:
    from components.desk import DeploymentSpec

    desk = DeskStore.open(home)
    bars = collect(home, "sample", "EURUSD", "H1").id
    made = [
        desk.create(DeploymentSpec(account_id="a", symbol="EURUSD", strategy="sma_cross", bar_set_id=bars, history_until_ms=until_ms))
        for until_ms in (1, 2)
    ]
    assert _deployment_of(home, "a") == made[0], "where none is armed, the account's first"
    assert _deployment_of(home, "a") != desk.arm(made[1].id) == _deployment_of(home, "a")
    desk.arm(made[0].id)
    with pytest.raises(Refused, match=r"differ in symbol or history .* disarm the others"):
        run_terminals(Settings(home=home), ["a"], Pace(), threading.Event())
