"""A whole examination of a real run: all parts, kept as a study; cancelled, gone on with; on the command line and as a job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from honest_runs import earning, keep_run, keep_sweep
from typer.testing import CliRunner

from components.backtest import BacktestStore, StoredRun, examine, execute_backtest, import_backtest, load_inputs, runner_for, verdict
from components.backtest.honesty import bar_paths, parse_honesty
from components.base import load_settings
from components.fx import BadInput, NotFound
from components.jobs import JobCancelled, Progress
from components.orchestrator.cli import app
from components.orchestrator.kinds import KINDS, job_functions, parsed
from components.pipeline import collect

PARTS = {"sharpe", "trials", "dsr", "montecarlo", "entries", "spa", "pbo", "bars", "skipped"}


@pytest.fixture
def run(home: Path) -> StoredRun:
    """The cross of averages over the sample's bars, and a sweep about it."""
    bar_set_id = collect(home, "sample", "EURUSD", "H1").id
    made = execute_backtest(home, {"strategy": "sma_cross", "bar_set_id": bar_set_id})
    keep_sweep(home, "s1", np.random.default_rng(0).normal(0, 0.003, (made.stats["days"], 12)), bar_set_id=bar_set_id)
    return made


def test_an_examination_has_all_parts_that_apply_and_the_verdict_reads_them(home: Path, run: StoredRun) -> None:
    told: list[float] = []
    study = examine(home, {"run_id": run.id, "draws": 200, "bar_draws": 3}, lambda share, message="", **_: told.append(share))
    assert (study.kind, study.run_id, study.state) == ("honesty", run.id, "done")
    assert set(study.result) == PARTS
    assert study.result["skipped"] == {}
    json.dumps(study.result, allow_nan=False)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert (study.result["trials"]["raw"], study.result["pbo"]["splits"], study.result["spa"]["strategies"]) == (13, 12_870, 12)
    assert study.result["montecarlo"]["reshuffle"]["return"]["p50"] == pytest.approx(run.total_return)
    # The assumed spread half as wide again costs every trade something.
    assert study.result["montecarlo"]["costs"]["net_profit"] < run.stats["net_profit"]
    store = BacktestStore.open(home)
    assert store.studies.frames(study.id) == ("bars", "entries", "montecarlo", "montecarlo_draws", "pbo")
    assert set(store.studies.frame(study.id, "montecarlo")["method"]) == {"reshuffle", "resample", "skip", "costs"}
    assert len(store.studies.frame(study.id, "bars")) == 3
    store.close()
    facts = verdict(home, run.id, findings=()).facts
    assert facts["honesty_id"] == study.id
    assert facts["entries"] == study.result["entries"]["p_value"]
    assert facts["pbo"] == study.result["pbo"]["probability"]
    assert facts["dsr"] == pytest.approx(study.result["dsr"]["effective"])


def test_a_cancelled_examination_goes_on_after_its_last_part(home: Path, run: StoredRun) -> None:
    kept: dict[str, Any] = {}
    words: list[str] = []

    def report(share: float, message: str, metrics: dict[str, Any], checkpoint: dict[str, Any] | None) -> None:
        kept.update(checkpoint or {})
        words.append(message)
        if message == "splitting the sweep":
            raise JobCancelled

    spec = {"run_id": run.id, "draws": 200, "bar_draws": 0}
    with pytest.raises(JobCancelled):
        examine(home, spec, Progress(report))
    store = BacktestStore.open(home)
    (study,) = store.studies.studies("honesty")
    assert study.state == "cancelled"
    assert "entries" in study.result
    store.studies.finish(study.id, "cancelled", {**study.result, "entries": {"p_value": 0.123}})
    again = examine(home, spec, Progress(lambda *_: None, resumed_from=kept))
    assert (again.id, again.state) == (study.id, "done")
    assert again.result["entries"] == {"p_value": 0.123}  # what was done is not done again
    assert "pbo" in again.result
    assert "error" not in again.result
    assert again.result["skipped"] == {"bars": "no resampled bars were asked for: bar_draws is 0"}
    assert len(store.studies.studies("honesty")) == 1
    store.close()


def test_the_strategy_that_is_run_on_resampled_bars_is_the_runs_own(home: Path, run: StoredRun) -> None:
    inputs = load_inputs(home, run.spec)
    one, two = (bar_paths(home, inputs, draws=2, block_days=1e9, seed=seed) for seed in (1, 1))
    assert np.array_equal(one.total_return, two.total_return)
    # With one endless block the days are only rotated: about as many trades as the run made.
    assert one.trades == pytest.approx(run.trades, rel=0.2)
    assert runner_for(home, inputs).measure(inputs.params).stats["total_return"] == pytest.approx(run.total_return)


def test_an_examination_is_a_job_and_a_command(home: Path, run: StoredRun, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.orchestrator.cli_output import settings

    monkeypatch.setenv("SEQUENCE_HOME", str(home))
    for cached in (settings, load_settings):
        cached.cache_clear()
    answer = job_functions(home)["honesty"]({"run_id": run.id, "draws": 100, "bar_draws": 0}, Progress(lambda *_: None))
    assert (answer["run_id"], answer["tried"]) == (run.id, 13)
    door = CliRunner()
    for command, says in (
        (["verdict", run.id], "not believable"),
        (["slices", run.id], "New York"),
        (["leaderboard"], "sma_cross"),
        (["honesty", run.id, "--draws", "100", "--bar-draws", "0"], "tried"),
    ):
        told = door.invoke(app, command)
        assert told.exit_code == 0, told.output
        assert says in told.output
    document = json.loads(door.invoke(app, ["verdict", run.id, "--json"]).stdout)
    assert document["word"] == "not believable"
    assert {row["group"] for row in json.loads(door.invoke(app, ["slices", run.id, "--json"]).stdout)} >= {"volatility", "trend", "session"}
    for cached in (settings, load_settings):
        cached.cache_clear()


def test_an_imported_run_is_examined_by_what_its_trades_tell(home: Path) -> None:
    trades = [
        {"entry_time": f"2024-01-{day:02d}T10:00:00Z", "exit_time": f"2024-01-{day:02d}T15:00:00Z", "side": 1, "lots": 0.1, "entry_price": 1.1,
         "exit_price": 1.1 + gain / 10_000, "profit": float(gain)}
        for day, gain in zip(range(2, 30), np.random.default_rng(1).integers(-50, 60, 28), strict=True)
    ]  # fmt: skip
    run = import_backtest(home, {"name": "x", "strategy": "grid", "symbol": "EURUSD", "balance": 1_000.0, "trades": trades})
    study = examine(home, {"run_id": run.id, "draws": 100})
    assert set(study.result["skipped"]) == {"entries", "spa", "pbo", "bars"}
    assert all("elsewhere" in words or "no sweep" in words for words in study.result["skipped"].values())
    assert study.result["montecarlo"]["costs"]["draws"] == 100


def test_a_run_without_trades_is_examined_and_says_what_does_not_apply(home: Path) -> None:
    keep_run(home, "r1", np.zeros(50), trades=0, bar_set_id=None)
    study = examine(home, {"run_id": "r1", "draws": 100})
    assert study.result["sharpe"] is None
    assert "no trade" in study.result["skipped"]["montecarlo"]


def test_an_examination_that_fails_is_kept_with_its_reason(home: Path) -> None:
    keep_run(home, "r1", earning(1, 60, 1.0), bar_set_id=None)

    def broken(share: float, message: str = "", **_: Any) -> None:
        if message == "drawing trades":
            raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError):
        examine(home, {"run_id": "r1"}, broken)
    store = BacktestStore.open(home)
    (study,) = store.studies.studies("honesty")
    assert (study.state, study.result["error"]) == ("failed", "the disk is gone")
    store.close()


@pytest.mark.parametrize(
    ("change", "field"),
    [({"draws": 5}, "draws"), ({"run_id": ""}, "run_id"), ({"skip": 1.0}, "skip"), ({"speed": 1}, "speed"), ({"ruin": "all"}, "ruin")],
)
def test_a_wrong_field_is_named_before_anything_begins(home: Path, change: dict[str, Any], field: str) -> None:
    for door in (parse_honesty, lambda document: parsed("honesty", document), lambda document: examine(home, document)):
        with pytest.raises(BadInput) as error:
            door({"run_id": "r1", **change})
        assert error.value.field == field
    assert "honesty" in KINDS
    with pytest.raises(NotFound, match="nobody"):
        examine(home, {"run_id": "nobody"})
