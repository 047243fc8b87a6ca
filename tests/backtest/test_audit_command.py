"""Audit and diagnosis through the job queue and the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.backtest import BacktestStore, execute_audit, execute_backtest
from components.backtest.diagnosis import diagnose, evidence_of
from components.fx import BadInput, NotFound
from components.jobs import Progress
from components.orchestrator.kinds import job_functions, parsed
from components.pipeline import collect
from tests.orchestrator.command import Command


@pytest.fixture
def bar_set_id(home: Path) -> str:
    return collect(home, "sample", "EURUSD", "H1").id


def test_an_audit_is_a_job(home: Path, bar_set_id: str) -> None:
    payload = {"strategy": "pullback", "bar_set_id": bar_set_id, "rows": 800, "cuts": 2, "dense": 2}
    assert parsed("audit", payload) == payload
    answer = job_functions(home)["audit"](payload, Progress())
    study = BacktestStore.open(home).studies.study(answer["study_id"])
    assert (answer["passed"], answer["leaks"], answer["strategy"], study.kind) == (True, [], "pullback", "audit")


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"strategy": "sma_cross", "bar_set_id": "b", "params": {"fast": -1}}, "fast"),
        ({"strategy": "none", "bar_set_id": "b"}, "strategy"),
        ({"run_id": "a", "bar_set_id": "b"}, "strategy"),
    ],
)
def test_a_job_that_cannot_begin_is_refused_when_it_is_submitted(payload: dict[str, object], field: str) -> None:
    with pytest.raises(BadInput, match=field):
        parsed("audit", payload)


def test_the_evidence_of_a_stored_run_reads_its_bars_only_when_asked(home: Path, bar_set_id: str) -> None:
    run = execute_backtest(home, {"strategy": "sma_cross", "bar_set_id": bar_set_id})
    evidence = evidence_of(home, run.id)
    assert "bars" not in vars(evidence)
    assert (len(evidence.trades), len(evidence.curve), evidence.warmup_bars) == (run.trades, 5_000, 294)
    found = {finding.code for finding in diagnose(evidence)}
    assert "bars" in vars(evidence)
    assert {"one_spread", "no_commission", "short_history"} <= found
    assert evidence.daily.sum() == pytest.approx(run.total_return, abs=0.02)
    with pytest.raises(NotFound, match="no backtest 'nowhere'"):
        evidence_of(home, "nowhere")


@pytest.mark.parametrize("name", ["sma_cross", "atr_breakout", "pullback"])
def test_every_check_runs_on_stored_runs_of_both_policies(name: str, home: Path, bar_set_id: str) -> None:
    for spec in ({}, {"policy": "reference"}, {"account": {"currency": "EUR", "balance": 500.0}}):
        run = execute_backtest(home, {"strategy": name, "bar_set_id": bar_set_id, **spec})
        assert not any(finding.severity == "fatal" for finding in diagnose(evidence_of(home, run.id)))


def test_the_command_line_audits_and_diagnoses(home: Path, bar_set_id: str) -> None:
    sequence = Command(home)
    run = execute_backtest(home, {"strategy": "atr_breakout", "bar_set_id": bar_set_id})
    study = sequence.json("audit", "sma_cross", "-p", "fast=5", "--rows", "700", "--cuts", "2")
    assert (study["kind"], study["result"]["passed"], study["spec"]["backtest"]["params"]) == ("audit", True, {"fast": 5})
    said = sequence("audit", "--run", run.id, "--rows", "700", "--cuts", "1")
    assert said.returncode == 0
    assert "Nothing looks ahead." in said.stdout
    assert "bars stated" in said.stdout
    found = sequence.json("diagnose", run.id)
    assert {"one_spread", "no_commission"} <= {finding["code"] for finding in found}
    assert "note: No commission." in sequence("diagnose", run.id).stdout
    assert sequence("audit").returncode == 2
    assert sequence("audit", "sma_cross", "--run", run.id).returncode == 2
    assert sequence("diagnose", "nowhere").returncode == 3


@pytest.mark.slow
def test_a_month_of_real_minutes_is_audited_and_diagnosed(home: Path, realdata: Path) -> None:
    bars = collect(home, "histdata", "EURUSD", "M1", options={"path": str(realdata / "histdata" / "DAT_ASCII_EURUSD_M1_202103.csv")})
    for name in ("sma_cross", "atr_breakout", "pullback"):
        run = execute_backtest(home, {"strategy": name, "bar_set_id": bars.id, "costs": {"slippage_atr": 0.05, "swap_long": -5.0}})
        study = execute_audit(home, {"run_id": run.id, "cuts": 6, "dense": 20})
        assert study.result["passed"]
        assert study.result["leaks"] == []
        assert {"few_trades", "short_history", "one_spread"} & {finding.code for finding in diagnose(evidence_of(home, run.id))}


def test_the_points_of_the_newest_sweep_are_evidence(home: Path, bar_set_id: str) -> None:
    from components.backtest.sweep import execute_sweep

    execute_sweep(home, {"strategy": "sma_cross", "bar_set_id": bar_set_id, "ranges": {"fast": [8, 10, 12], "slow": [26, 30, 34]}})
    run = execute_backtest(home, {"strategy": "sma_cross", "bar_set_id": bar_set_id, "params": {"fast": 12, "slow": 30}})
    evidence = evidence_of(home, run.id)
    assert len(evidence.points) == 9
    own = next(point for point in evidence.points if (point.params["fast"], point.params["slow"]) == (12, 30))
    assert own.metrics["sharpe"] == pytest.approx(run.sharpe)
    elsewhere = execute_backtest(home, {"strategy": "pullback", "bar_set_id": bar_set_id})
    assert evidence_of(home, elsewhere.id).points == ()
