"""Sweeps that are kept: each point once on disk and once in the ledger, cancelled, killed and resumed without losing or doubling one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import components.strategy
from components.backtest import BacktestStore, StudyStore, run_backtest
from components.backtest.studies import Study
from components.backtest.sweep import execute_sweep
from components.backtest.sweep_surface import best_points
from components.base import ROOT
from components.fx import BadInput, NotFound, instrument
from components.jobs import JobCancelled, JobStore, Progress
from components.ledger import TrialLedger
from components.orchestrator import job_functions
from components.pipeline import PipelineStore, collect
from components.strategy import Context, Decisions, strategy
from components.strategy.library import LIBRARY
from tests.orchestrator.command import Command

RANGES: dict[str, Any] = {"fast": {"low": 5, "high": 45, "step": 10}, "slow": [20, 40, 60, 80]}
PAIRS = [(fast, slow) for fast in (5, 15, 25, 35, 45) for slow in (20, 40, 60, 80) if fast < slow]

CHILD = """
import json, sys
from pathlib import Path
from components.backtest import sweep_keep
from components.backtest.sweep import execute_sweep
from components.jobs import Progress

sweep_keep.KEEP_AT_MOST = 7
execute_sweep(Path(sys.argv[1]), json.loads(sys.argv[2]), Progress(resumed_from={"study_id": "s1"}))
"""


DIES = """
import os, signal, sys
from components.backtest.studies import StudyStore
from components.ledger import TrialLedger

kind = {"add_points": StudyStore, "append_many": TrialLedger}[sys.argv[3]]
write, calls = getattr(kind, sys.argv[3]), []

def dies_at_the_second_call(self, *arguments):
    calls.append(1)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return write(self, *arguments)

setattr(kind, sys.argv[3], dies_at_the_second_call)
"""


@pytest.fixture
def bar_set_id(home: Path) -> str:
    return collect(home, "sample", "EURUSD", "H1").id


def spec_of(bar_set_id: str, **changes: Any) -> dict[str, Any]:
    return {"strategy": "sma_cross", "bar_set_id": bar_set_id, "ranges": RANGES, **changes}


def studies(home: Path) -> StudyStore:
    return BacktestStore.open(home).studies


def contents(home: Path, study_id: str) -> list[tuple[Any, ...]]:
    """All that is kept of a study's points."""
    return [(point.number, point.params, point.state, point.metrics, point.returns) for point in studies(home).points(study_id, with_returns=True)]


def test_a_sweep_is_kept_with_its_points_returns_and_trials(home: Path, bar_set_id: str) -> None:
    told: list[tuple[float, str, dict[str, Any]]] = []
    study = execute_sweep(home, spec_of(bar_set_id), lambda fraction, words="", **more: told.append((fraction, words, more)))
    result = study.result
    assert (study.state, study.kind, study.strategy, study.bar_set_id) == ("done", "sweep", "sma_cross", bar_set_id)
    assert (result["planned"], result["points"], result["done"], result["failed"]) == (len(PAIRS),) * 3 + (0,)
    assert result["impossible"] == 20 - len(PAIRS)
    assert result["ranges"] == {"fast": {"values": [5, 15, 25, 35, 45]}, "slow": {"values": [20, 40, 60, 80]}}
    json.dumps(result, allow_nan=False)

    table = studies(home).frame(study.id, "points")
    assert list(zip(table["param.fast"], table["param.slow"], strict=True)) == PAIRS
    assert result["best"]["metrics"]["sharpe"] == table["sharpe"].max()
    assert result["best"]["number"] == table["sharpe"].idxmax()
    assert result["neighbourhood"]["value"] == table["sharpe"].max()

    returns = studies(home).frame(study.id, "returns")
    assert list(returns.columns) == ["day", *(str(number) for number in range(len(PAIRS)))]
    assert returns.dtypes.iloc[1:].eq(np.float64).all()
    bars = PipelineStore.open(home).load_bars(bar_set_id)
    alone = run_backtest(strategy("sma_cross"), result["best"]["params"], bars, instrument=instrument("EURUSD"))
    grown = np.prod(1.0 + returns[str(result["best"]["number"])]) - 1.0
    assert grown == pytest.approx(alone.stats["total_return"])
    assert result["best"]["metrics"]["returns_digest"] == alone.stats["returns_digest"]

    trials = TrialLedger.open(home).list("sma_cross", limit=100)
    assert {(trial.kind, trial.state, trial.dataset_id, trial.strategy) for trial in trials} == {("sweep_point", "done", bar_set_id, "sma_cross")}
    assert sorted(trial.id for trial in trials) == sorted(f"{study.id}-{number}" for number in range(len(PAIRS)))
    assert {"sharpe", "days", "trades", "total_return", "max_drawdown"} <= set(trials[0].metrics)
    assert {trial.returns_digest for trial in trials} == set(table["returns_digest"])
    assert (told[0][0], told[-1][0]) == (0.0, 1.0)
    assert told[-1][2] == {"done": len(PAIRS), "best": table["sharpe"].max()}
    assert [row["number"] for row in best_points(studies(home), study, 3)] == list(table.sort_values("sharpe", ascending=False)["number"][:3])


def test_a_part_of_the_bars_leaves_the_rest_out_of_sample(home: Path, bar_set_id: str) -> None:
    study = execute_sweep(home, spec_of(bar_set_id, part=0.6, keep_best=True, criterion="max_drawdown", ranges={"fast": [10, 20]}))
    bars = PipelineStore.open(home).load_bars(bar_set_id)
    used = study.result["bars"]
    assert (used["used"], used["all"]) == (3_000, 5_000)
    assert pd.Timestamp(used["out_of_sample_ms"], unit="ms", tz="UTC") == bars.index[3_000]
    alone = run_backtest(strategy("sma_cross"), study.result["best"]["params"], bars.iloc[:3_000], instrument=instrument("EURUSD"))
    assert study.result["best"]["metrics"]["sharpe"] == alone.stats["sharpe"]
    table = studies(home).frame(study.id, "points")
    assert study.result["best"]["metrics"]["max_drawdown"] == table["max_drawdown"].min(), "the smallest drawdown is the best"
    kept = BacktestStore.open(home).run(study.result["best"]["run_id"])
    assert kept.params == study.result["best"]["params"]
    assert (kept.end_ms - kept.start_ms) > used["last_ms"] - used["first_ms"], "the run that is kept goes over all bars"
    assert TrialLedger.open(home).list("sma_cross")[-1].metrics["part"] == 0.6


def test_fixed_parameters_need_only_go_with_those_of_the_points(home: Path, bar_set_id: str) -> None:
    study = execute_sweep(home, spec_of(bar_set_id, params={"fast": 100}, ranges={"slow": [120, 150]}))
    assert [point.params["slow"] for point in studies(home).points(study.id)] == [120, 150], "100 is above the default of slow, 30"


def test_points_with_too_few_trades_are_kept_but_not_ranked(home: Path, bar_set_id: str) -> None:
    every = execute_sweep(home, spec_of(bar_set_id))
    trades = studies(home).frame(every.id, "points")["trades"]
    bound = int(trades.median())
    some = execute_sweep(home, spec_of(bar_set_id, min_trades=bound))
    assert some.result["done"] == len(PAIRS)
    assert some.result["ranked"] == (trades >= bound).sum() < len(PAIRS)
    assert some.result["best"]["metrics"]["trades"] >= bound
    none = execute_sweep(home, spec_of(bar_set_id, min_trades=100_000))
    assert (none.state, none.result["best"], none.result["ranked"]) == ("done", None, 0)


def test_a_cancelled_sweep_keeps_what_it_has_and_a_later_attempt_goes_on(home: Path, bar_set_id: str) -> None:
    def cancel(fraction: float, words: str, metrics: dict[str, Any], checkpoint: dict[str, Any] | None) -> None:
        if metrics.get("done", 0) >= 3:
            raise JobCancelled

    spec = spec_of(bar_set_id, ranges={"fast": {"low": 5, "high": 45, "step": 1}, "slow": [50, 60, 70, 80, 90]}, workers=1)
    with pytest.raises(JobCancelled):
        execute_sweep(home, spec, Progress(cancel, resumed_from={"study_id": "s1"}))
    study = studies(home).study("s1")
    kept = studies(home).points("s1")
    assert study.state == "cancelled"
    assert 3 <= len(kept) < 205
    assert study.result["points"] == len(kept) == TrialLedger.open(home).count("sma_cross") == len(studies(home).frame("s1", "points"))
    whole = execute_sweep(home, spec, Progress(resumed_from={"study_id": "s1"}))
    assert (whole.id, whole.state, whole.result["points"]) == ("s1", "done", 205)
    assert TrialLedger.open(home).count("sma_cross") == 205
    assert execute_sweep(home, spec, Progress(resumed_from={"study_id": "s1"})) == whole, "a job that is retried after its end does nothing"


@pytest.mark.slow
@pytest.mark.parametrize("method", ["grid", "random", "optuna"])
def test_a_sweep_that_is_killed_and_run_again_has_exactly_the_points_of_one_that_was_not(
    method: str, home: Path, bar_set_id: str, tmp_path: Path
) -> None:
    ranges = {"fast": {"low": 5, "high": 60}, "slow": {"low": 10, "high": 200}}
    if method == "grid":
        ranges = {"fast": {"low": 5, "high": 60, "count": 24}, "slow": {"low": 10, "high": 200, "count": 24}}
    spec = spec_of(bar_set_id, ranges=ranges, method=method, seed=3, workers=2, **({} if method == "grid" else {"points": 400}))
    for _ in range(2):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(home), json.dumps(spec)], cwd=ROOT, stderr=subprocess.DEVNULL)
        kill_once_it_has_kept_more(child, home)
    before = len(studies(home).points("s1"))
    resumed = execute_sweep(home, spec, Progress(resumed_from={"study_id": "s1"}))
    other = tmp_path / "other"
    assert collect(other, "sample", "EURUSD", "H1").id == bar_set_id
    whole = execute_sweep(other, {**spec, "workers": 1}, Progress(resumed_from={"study_id": "s1"}))
    assert 0 < before < whole.result["points"], "the kills came in the middle"
    assert contents(home, "s1") == contents(other, "s1")
    drop = ("seconds", "place", "workers")
    assert {name: value for name, value in resumed.result.items() if name not in drop} == {
        name: value for name, value in whole.result.items() if name not in drop
    }
    for name in ("points", "returns"):
        pd.testing.assert_frame_equal(studies(home).frame("s1", name), studies(other).frame("s1", name))
    ledgers = [TrialLedger.open(folder) for folder in (home, other)]
    assert ledgers[0].count() == ledgers[1].count() == whole.result["points"]


@pytest.mark.slow
@pytest.mark.parametrize("write", ["add_points", "append_many"])
def test_a_crash_between_the_ledger_and_the_study_loses_and_doubles_no_trial(write: str, home: Path, bar_set_id: str) -> None:
    spec = spec_of(bar_set_id)
    child = subprocess.run([sys.executable, "-c", DIES + CHILD, str(home), json.dumps(spec), write], cwd=ROOT, stderr=subprocess.DEVNULL, check=False)
    assert child.returncode == -signal.SIGKILL
    assert len(studies(home).points("s1")) == 7
    assert TrialLedger.open(home).count() == (14 if write == "add_points" else 7)
    whole = execute_sweep(home, spec, Progress(resumed_from={"study_id": "s1"}))
    assert whole.result["points"] == len(PAIRS) == TrialLedger.open(home).count()
    assert {trial.id for trial in TrialLedger.open(home).list(limit=100)} == {f"s1-{number}" for number in range(len(PAIRS))}


def kill_once_it_has_kept_more(child: subprocess.Popen[bytes], home: Path) -> None:
    """SIGKILL once the child has put at least 30 more points on disk."""
    store = studies(home)
    begun, deadline = len(store.points("s1")), time.monotonic() + 300
    while len(store.points("s1")) < begun + 30:
        assert child.poll() is None, "the sweep was over before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL


@pytest.fixture
def stumbler(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a catalogued strategy that falls over at odd lengths."""
    cross = strategy("sma_cross")

    def decide(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
        if params.fast % 2:
            raise ZeroDivisionError(f"no half of {params.fast}")
        return cross.decide(bars, context, params)

    monkeypatch.setattr(components.strategy, "LIBRARY", (*LIBRARY, replace(cross, name="stumbler", decide=decide)))
    return "stumbler"


def test_a_point_that_fails_is_recorded_with_its_reason_and_counts_as_a_try(home: Path, bar_set_id: str, stumbler: str) -> None:
    study = execute_sweep(home, spec_of(bar_set_id, strategy=stumbler, ranges={"fast": [10, 11, 12]}))
    assert (study.state, study.result["done"], study.result["failed"]) == ("done", 2, 1)
    points = studies(home).points(study.id)
    assert [(point.state, point.metrics.get("error")) for point in points] == [
        ("done", None), ("failed", "ZeroDivisionError: no half of 11"), ("done", None),
    ]  # fmt: skip
    assert list(studies(home).frame(study.id, "returns").columns) == ["day", "0", "2"]
    assert list(studies(home).frame(study.id, "points")["error"].isna()) == [True, False, True]
    trials = TrialLedger.open(home).list(stumbler)
    assert sorted((trial.params["fast"], trial.state) for trial in trials) == [(10, "done"), (11, "failed"), (12, "done")]


def test_a_sweep_whose_points_all_fail_says_why_and_its_tries_count(home: Path, bar_set_id: str, stumbler: str) -> None:
    with pytest.raises(BadInput, match=r"all 2 points failed, the first with: ZeroDivisionError: no half of 1"):
        execute_sweep(home, spec_of(bar_set_id, strategy=stumbler, ranges={"fast": [11, 13]}))
    (study,) = studies(home).studies("sweep")
    assert (study.state, study.result["failed"]) == ("failed", 2)
    assert "no half of" in study.result["error"]
    trials = TrialLedger.open(home).list(stumbler)
    assert [trial.state for trial in trials] == ["failed", "failed"]
    assert all("no half of" in trial.metrics["error"] for trial in trials)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"strategy": "astrology"}, BadInput, "astrology"),
        ({"bar_set_id": "EURUSD-none"}, NotFound, "EURUSD-none"),
        ({"ranges": {"fast": [600]}}, BadInput, "600"),
        ({"strategy": "model_edge", "ranges": {"edge": None}}, BadInput, "model"),
        ({"part": 0.0001}, BadInput, "leaves 0"),
    ],
)
def test_what_cannot_be_tried_is_refused_and_is_no_study_and_no_trial(
    changes: dict[str, Any], error: type[Exception], says: str, home: Path, bar_set_id: str
) -> None:
    with pytest.raises(error, match=says):
        execute_sweep(home, {**spec_of(bar_set_id), **changes})
    assert studies(home).studies() == []
    assert TrialLedger.open(home).count() == 0


def test_a_sweep_is_a_job_that_answers_in_short(home: Path, bar_set_id: str) -> None:
    remembered: list[Any] = []
    progress = Progress(lambda fraction, words, metrics, checkpoint: remembered.append(checkpoint))
    answer = job_functions(home)["sweep"](spec_of(bar_set_id, ranges={"fast": [10, 20]}), progress)
    assert {"study_id": answer["study_id"]} in remembered, "so that a later attempt goes on with it"
    study: Study = studies(home).study(answer["study_id"])
    assert answer["best"] == study.result["best"]
    assert (answer["state"], answer["done"], answer["failed"]) == ("done", 2, 0)
    json.dumps(answer, allow_nan=False)


@pytest.mark.slow
def test_the_command_line_runs_lists_and_shows_sweeps(home: Path, bar_set_id: str) -> None:
    sequence = Command(home)
    done = sequence.json(
        "sweep", "run", "sma_cross", "--range", "fast=5:45:10", "--range", "slow=20,40,60,80", "--by", "calmar", "--set", "min_trades=5"
    )
    assert (done["done"], done["criterion"]) == (len(PAIRS), "calmar")
    (listed,) = sequence.json("sweep", "list")
    assert listed["id"] == done["study_id"]
    shown = sequence.json("sweep", "show", done["study_id"], "--top", "3")
    assert len(shown["top"]) == 3
    assert shown["top"][0]["number"] == done["best"]["number"]
    assert [row["calmar"] for row in shown["top"]] == sorted((row["calmar"] for row in shown["top"]), reverse=True)
    for words in (sequence("sweep", "list").stdout, sequence("sweep", "show", done["study_id"]).stdout):
        assert "calmar" in words
    wrong = sequence("sweep", "run", "sma_cross", "--range", "fast=5:600:5")
    assert wrong.returncode == 2
    assert "ranges.fast: 505" in wrong.stderr
    many = sequence("sweep", "run", "sma_cross", "--range", "fast=5:104:1", "--range", "slow=105:400:1", "--queue")
    assert many.returncode == 2
    assert "more than 20,000 points" in many.stderr
    assert JobStore.open(home).list() == [], "what cannot run is refused before it waits"
    queued = sequence.json("sweep", "run", "sma_cross", "--range", "fast=10,20", "--queue")
    assert JobStore.open(home).get(queued["id"]).kind == "sweep"
    assert JobStore.open(home).get(queued["id"]).payload["ranges"] == {"fast": [10, 20]}
