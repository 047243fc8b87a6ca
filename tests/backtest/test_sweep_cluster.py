"""Sweeps on a Dask cluster of real processes, which are killed."""

from __future__ import annotations

import logging
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pandas as pd
import pytest

from components.backtest import BacktestStore, Runner, execute_sweep, sweep_run
from components.backtest.sweep_points import PlannedPoint
from components.backtest.sweep_run import SweepCrew, run_sweep
from components.base import ROOT, load_settings
from components.fx import Action, Unavailable, book
from components.jobs import Progress
from components.pipeline import collect
from components.strategy import ask, compiled_manage, strategy
from tests.backtest.test_sweep_run import POINTS, runner_of, same

MANY = [{"fast": fast, "slow": slow} for fast in range(5, 45) for slow in range(50, 70)]

EIGHT_THOUSAND = {"fast": {"low": 5, "high": 84, "step": 1}, "slow": {"low": 90, "high": 189, "step": 1}}
CLOSE = int(Action.CLOSE)
LOGGERS = ("distributed.client", "tornado.application")


class Cluster:
    """A scheduler and its workers, each a process of its own that is not started again when it ends."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.folder, self.address = folder, f"tcp://127.0.0.1:{port}"
        self.scheduler = self._start("dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard", told="Scheduler at")
        self.workers: list[subprocess.Popen[bytes]] = []

    def add_worker(self) -> None:
        more = ("--no-nanny", "--nthreads", "2", "--no-dashboard", "--local-directory", str(self.folder))
        self.workers.append(self._start("dask_worker", self.address, *more, told="Registered to"))

    def kill(self, *processes: subprocess.Popen[bytes]) -> None:
        """As the kernel does for want of memory."""
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait(10)

    def _start(self, module: str, *arguments: str, told: str) -> subprocess.Popen[bytes]:
        log = self.folder / f"{module}-{time.monotonic_ns()}.log"
        with log.open("wb") as out:
            process = subprocess.Popen([sys.executable, "-m", f"distributed.cli.{module}", *arguments], cwd=ROOT, stdout=out, stderr=out)
        until = time.monotonic() + 60
        while told not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        return process


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.kill(made.scheduler, *made.workers)


@pytest.fixture
def dask_is(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Configure a cluster, or none with ""; a process otherwise reads its settings once."""

    def configure(address: str) -> None:
        monkeypatch.setenv("SEQUENCE_DASK", address) if address else monkeypatch.delenv("SEQUENCE_DASK")
        load_settings.cache_clear()

    yield configure
    load_settings.cache_clear()


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What the cluster's client and its event loop log."""
    said: list[str] = []
    listening = logging.Handler(logging.WARNING)
    listening.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    for name in LOGGERS:
        logging.getLogger(name).addHandler(listening)
    yield said
    for name in LOGGERS:
        logging.getLogger(name).removeHandler(listening)


@pytest.fixture
def runner(real_bars: pd.DataFrame) -> Runner:
    return runner_of(strategy("sma_cross"), real_bars)


@pytest.mark.slow
@pytest.mark.parametrize("name", POINTS)
def test_a_cluster_gives_the_numbers_of_this_machine(cluster: Cluster, real_bars: pd.DataFrame, name: str) -> None:
    cluster.add_worker()
    item = runner_of(strategy(name), real_bars)
    there = run_sweep(item, POINTS[name], dask=cluster.address)
    assert [point.state for point in there] == ["done"] * len(POINTS[name])
    assert all(map(same, there, run_sweep(item, POINTS[name], workers=1)))
    less = runner_of(strategy(name), real_bars.iloc[:3_000])
    assert all(map(same, run_sweep(less, POINTS[name], dask=cluster.address), run_sweep(less, POINTS[name], workers=1))), (
        "the worker takes the new bars, not those that it has"
    )


@pytest.mark.slow
def test_a_strategy_whose_compiled_code_no_module_knows_goes_to_the_cluster_too(cluster: Cluster, real_bars: pd.DataFrame) -> None:
    """As one that was typed into a notebook."""

    @compiled_manage
    def leave_losers(account, positions, n_positions, orders, n_orders, marks, bar, params, requests, n):  # type: ignore[no-untyped-def]
        for k in range(n_positions):
            if (marks[0] - positions[k, book.P_ENTRY]) * positions[k, book.P_SIDE] < -params[0]:
                r = ask(requests, n, CLOSE, positions[k, book.P_TICKET], positions[k, book.P_SIDE])
                r[book.R_LOTS] = np.nan
                n += 1
        return n

    cluster.add_worker()
    item = replace(strategy("sma_cross"), manage=leave_losers, manage_params=lambda params: np.array([0.001]))
    there = run_sweep(runner_of(item, real_bars), POINTS["sma_cross"], dask=cluster.address)
    assert all(map(same, there, run_sweep(runner_of(item, real_bars), POINTS["sma_cross"], workers=1)))
    assert there[0].metrics != run_sweep(runner_of(strategy("sma_cross"), real_bars), POINTS["sma_cross"][:1], workers=1)[0].metrics


def test_a_cluster_that_is_not_there_is_told_in_a_sentence(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_run, "DASK_WAIT_S", 1)
    with pytest.raises(Unavailable, match=r"the Dask scheduler tcp://127\.0\.0\.1:9 does not answer .*unset SEQUENCE_DASK"):
        run_sweep(runner, [{}], dask="tcp://127.0.0.1:9")


@pytest.mark.slow
def test_a_cluster_without_workers_is_told_in_a_sentence(cluster: Cluster, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_run, "DASK_WAIT_S", 1)
    with pytest.raises(Unavailable, match=r"no worker of the Dask cluster .* took the bars .*start workers, or unset SEQUENCE_DASK") as told:
        run_sweep(runner, [{}], dask=cluster.address)
    with distributed.Client(cluster.address, set_as_default=False) as asking:
        clients = asking.run_on_scheduler(lambda dask_scheduler: [name for name in dask_scheduler.clients if name.startswith("Client-")])
    assert len(clients) == 1, f"a worker process that goes on has left the cluster ({told.value.message})"


@pytest.mark.slow
def test_a_sweep_that_is_ended_after_its_cluster_is_lost_ends_quietly(
    cluster: Cluster, runner: Runner, monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    monkeypatch.setattr(sweep_run, "DASK_WAIT_S", 2)
    cluster.add_worker()
    with SweepCrew(runner, dask=cluster.address) as crew:
        points = crew.measured([PlannedPoint(number, params) for number, params in enumerate(MANY)])
        assert next(points).state == "done"
        cluster.kill(cluster.scheduler)
        until = time.monotonic() + 60
        while crew._client.status != "closed":
            assert time.monotonic() < until, crew._client.status
            time.sleep(0.05)
        points.close()
    assert logged == []
    for name in LOGGERS:
        logging.getLogger(name).error("of another matter")
    assert logged == ["of another matter"] * 2


@pytest.mark.slow
def test_where_one_of_two_workers_is_killed_the_other_does_all_the_points(cluster: Cluster, runner: Runner) -> None:
    cluster.add_worker()
    cluster.add_worker()
    told: list[int] = []

    def note(point: Any) -> None:
        told.append(point.number)
        if len(told) == 1:
            cluster.kill(cluster.workers[0])

    there = run_sweep(runner, MANY, dask=cluster.address, on_point=note)
    assert sorted(told) == list(range(len(MANY)))
    assert all(map(same, there, run_sweep(runner, MANY, workers=1)))


@pytest.mark.slow
@pytest.mark.parametrize("who", ["workers", "scheduler"])
def test_a_sweep_whose_cluster_is_lost_says_so_and_goes_on_elsewhere_where_it_stopped(
    cluster: Cluster, home: Path, who: str, dask_is: Callable[[str], None], logged: list[str]
) -> None:
    cluster.add_worker()
    bar_set = collect(home, "sample", "EURUSD", "H1")
    spec = {"strategy": "sma_cross", "bar_set_id": bar_set.id, "ranges": EIGHT_THOUSAND}
    told_of: list[int] = []

    def watch(fraction: float, words: str = "", **more: Any) -> None:
        if " of 8,000 points" in words and more["done"] > 100:
            told_of.append(more["done"])
            if len(told_of) == 1:
                cluster.kill(*(cluster.workers if who == "workers" else [cluster.scheduler]))

    dask_is(cluster.address)
    with pytest.raises(Unavailable) as told:
        execute_sweep(home, spec, watch)
    assert re.match(rf"the Dask cluster {re.escape(cluster.address)} was lost \([^()]+\); start the sweep again when it is back", told.value.message)
    assert logged == [], "one sentence tells of it, and no traceback"
    studies = BacktestStore.open(home).studies
    failed = studies.studies("sweep")[0]
    kept = studies.points(failed.id)
    assert (failed.state, "was lost" in failed.result["error"], 100 < len(kept) < 8_000) == ("failed", True, True)

    dask_is("")
    done = execute_sweep(home, spec, Progress(resumed_from={"study_id": failed.id}))
    assert (done.id, done.state, done.result["points"]) == (failed.id, "done", 8_000)
    assert sorted(point.number for point in studies.points(done.id)) == list(range(8_000))
    assert {point.number: point.metrics for point in kept}.items() <= {point.number: point.metrics for point in studies.points(done.id)}.items()
