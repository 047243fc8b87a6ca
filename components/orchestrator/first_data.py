"""The first data: from real prices to four armed demo deployments, each step once.

Every step is noted in platform.db with what the next steps need of it. A step that is done is not done again; one that was interrupted while
its job ran goes on waiting for that job instead of submitting another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from components.base import Settings
from components.fx import NotFound, Unavailable
from components.orchestrator.store import PlatformStore

Document = dict[str, Any]
Show = Callable[[str, float, str], None]

SOURCE, SYMBOL, TIMEFRAME = "sample", "EURUSD", "H1"
MODEL_STRATEGY = "model_edge"
DEMO_STRATEGIES = ("sma_cross", "atr_breakout", "pullback", MODEL_STRATEGY)
FIRST_DATA_STEPS = (
    "collect",
    "quality",
    "dataset",
    "train",
    *(f"backtest {name}" for name in DEMO_STRATEGIES),
    "compare",
    *(f"deploy {name}" for name in DEMO_STRATEGIES),
)
REPLAY_BARS = 1_000  # left for live trading; the model is trained on bars long before them
POLL_S = 0.2
WORKER_PATIENCE_S = 120.0


@dataclass(frozen=True)
class FirstData:
    """What the first data consists of, by the steps' results."""

    bar_set_id: str
    dataset_id: str
    model_id: str
    run_ids: tuple[str, ...]
    deployment_ids: tuple[str, ...]


def has_first_data(home: Path) -> bool:
    """Whether every step is done; answered from platform.db alone."""
    store = PlatformStore.open(home)
    try:
        done = {step.name for step in store.steps() if step.state == "done"}
    finally:
        store.close()
    return done.issuperset(FIRST_DATA_STEPS)


def load_first_data(settings: Settings, show: Show) -> FirstData:
    """Do every step that is not done yet.

    Parameters
    ----------
    settings : Settings
        Names the home.
    show : callable
        Told (step, fraction 0–1, message) as it goes on.

    Returns
    -------
    FirstData
        The ids of what there is now.

    Raises
    ------
    Unavailable
        If a job waits and no worker takes it within two minutes, or if a job fails.
    """
    loader = _Loader(settings.home, show)
    try:
        return loader.load()
    finally:
        loader.store.close()


class _Loader:
    def __init__(self, home: Path, show: Show) -> None:
        from components.jobs import JobStore

        self.home = home
        self.show = show
        self.store = PlatformStore.open(home)
        self.jobs = JobStore.open(home)

    def load(self) -> FirstData:
        bar_set_id = str(self._job("collect", "collect", {"source": SOURCE, "symbol": SYMBOL, "timeframe": TIMEFRAME})["bar_set_id"])
        self._once("quality", lambda: self._quality(bar_set_id))
        dataset_id = str(self._job("dataset", "dataset", {"bar_set_id": bar_set_id, "recipe": {}})["dataset_id"])
        model_id = str(self._job("train", "train", {"dataset_id": dataset_id})["model_id"])
        runs = []
        for name, spec in self._backtests(bar_set_id, model_id):
            runs.append(str(self._job(f"backtest {name}", "backtest", spec)["run_id"]))
        self._once("compare", lambda: self._compare(runs))
        deployments = []
        for number, name in enumerate(DEMO_STRATEGIES, start=1):
            deployed = self._once(f"deploy {name}", partial(self._deploy, name, f"demo-{number}", bar_set_id, model_id))
            deployments.append(str(deployed["deployment_id"]))
        return FirstData(bar_set_id, dataset_id, model_id, tuple(runs), tuple(deployments))

    def _backtests(self, bar_set_id: str, model_id: str) -> Iterator[tuple[str, Document]]:
        for name in DEMO_STRATEGIES:
            yield name, {"strategy": name, "bar_set_id": bar_set_id, "model_id": model_id if name == MODEL_STRATEGY else None}

    def _once(self, name: str, work: Callable[[], tuple[str, Document]]) -> Document:
        """The result of a step that needs no job."""
        step = self.store.step(name)
        if step is not None and step.state == "done":
            return step.result
        self.store.begin_step(name, "")
        message, result = work()
        self.store.end_step(name, "done", message, result)
        self.show(name, 1.0, message)
        return result

    def _job(self, name: str, kind: str, payload: Document) -> Document:
        """The result of a step that a worker does."""
        step = self.store.step(name)
        if step is not None and step.state == "done":
            return step.result
        job_id = step.job_id if step is not None and step.state == "running" else None
        if job_id is None or not self._has_job(job_id):
            job_id = self.jobs.submit(kind, payload, priority=10).id
            self.store.begin_step(name, "waiting for the worker", job_id)
        result = self._await_job(name, job_id)
        message = self.jobs.get(job_id).message
        self.store.end_step(name, "done", message, result)
        self.show(name, 1.0, message)
        return result

    def _has_job(self, job_id: str) -> bool:
        try:
            return self.jobs.get(job_id) is not None
        except NotFound:
            return False

    def _await_job(self, name: str, job_id: str) -> Document:
        waiting_since = time.monotonic()
        while True:
            job = self.jobs.get(job_id)
            if job.state == "done":
                return job.result or {}
            if job.is_over:
                reason = (job.error or "it was cancelled").splitlines()[0]
                self.store.end_step(name, "failed", reason)
                raise Unavailable(f"the first data stopped at {name!r}: {reason}")
            if job.state == "running":
                waiting_since = time.monotonic()
            elif time.monotonic() - waiting_since > WORKER_PATIENCE_S:
                raise Unavailable(f"no worker takes the job of {name!r}; start one with: sequence worker")
            self.show(name, job.progress, job.message)
            time.sleep(POLL_S)

    def _quality(self, bar_set_id: str) -> tuple[str, Document]:
        from components.pipeline import PipelineStore

        bars = PipelineStore.open(self.home).bar_set(bar_set_id)
        return f"{bars.symbol} {bars.timeframe}: {bars.rows} bars, quality {bars.quality_score:.2f} of 100", {"score": bars.quality_score}

    def _compare(self, run_ids: list[str]) -> tuple[str, Document]:
        from components.backtest import compare

        comparison = compare(self.home, run_ids, "sharpe")
        winner = next(row for row in comparison.rows if row["run_id"] == comparison.winner_id)
        return f"best by Sharpe ratio: {winner['strategy']}", {"comparison_id": comparison.id, "winner_id": comparison.winner_id}

    def _deploy(self, name: str, account_id: str, bar_set_id: str, model_id: str) -> tuple[str, Document]:
        from components.desk import DeploymentSpec, DeskStore
        from components.orchestrator.demo import history_until

        spec = DeploymentSpec(
            account_id=account_id,
            symbol=SYMBOL,
            timeframe=TIMEFRAME,
            strategy=name,
            bar_set_id=bar_set_id,
            history_until_ms=history_until(self.home, bar_set_id, REPLAY_BARS),
            model_id=model_id if name == MODEL_STRATEGY else None,
        )
        desk = DeskStore.open(self.home)
        there = next((d for d in desk.deployments() if d.account_id == spec.account_id and d.strategy == name), None)
        deployment = there or desk.create(spec)
        desk.arm(deployment.id)
        return f"{name} trades account {spec.account_id}", {"deployment_id": deployment.id}
