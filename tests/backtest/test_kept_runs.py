"""Backtests that are kept: runs, the trial ledger, comparisons, imports."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.backtest import BacktestSpec, BacktestStore, compare, execute_backtest, import_backtest
from components.fx import BadInput, NotFound, PlatformError
from components.jobs import JobCancelled, Progress
from components.ledger import TrialLedger
from components.pipeline import collect


@pytest.fixture
def bar_set_id(home: Path) -> str:
    return collect(home, "sample", "EURUSD", "H1").id


def test_a_run_is_kept_with_its_trades_and_equity_and_noted_in_the_ledger(home: Path, bar_set_id: str) -> None:
    told: list[tuple[float, str]] = []
    run = execute_backtest(home, BacktestSpec(strategy="sma_cross", bar_set_id=bar_set_id), lambda f, m="", **_: told.append((f, m)))
    store = BacktestStore.open(home)
    assert store.runs() == [run] == [store.run(run.id)]
    trades, equity = store.trades(run.id), store.equity(run.id)
    assert (len(trades), len(equity)) == (run.trades, 5_000)
    assert equity["equity"].iloc[-1] == pytest.approx(10_000 + trades["net_profit"].sum())
    assert str(equity.index.tz) == str(trades["entry_time"].dt.tz) == "UTC"
    assert trades["entry_time"].iloc[0] == pd.Timestamp(equity.index[trades["entry_bar"].iloc[0]])
    (trial,) = TrialLedger.open(home).list()
    assert (trial.kind, trial.state, trial.dataset_id, trial.strategy) == ("backtest", "done", bar_set_id, "sma_cross")
    assert trial.params == run.params
    assert trial.metrics["sharpe"] == run.sharpe
    assert trial.returns_digest == run.stats["returns_digest"]
    assert told[0][0] == 0.0
    assert told[-1][0] == 1.0
    json.dumps(asdict(run), allow_nan=False)


def test_a_run_says_all_that_it_was_asked_for(home: Path, bar_set_id: str) -> None:
    document: dict[str, Any] = {
        "strategy": "pullback", "bar_set_id": bar_set_id, "params": {"trend": 50}, "account": {"currency": "EUR", "balance": 5_000.0},
        "costs": {"spread_points": 4}, "sizing": {"risk_fraction": 0.005}, "limits": {"max_risk_fraction": 0.01}, "name": "mine",
    }  # fmt: skip
    run = execute_backtest(home, document)
    assert (run.name, run.currency, run.params["trend"], run.spec["account"]["balance"]) == ("mine", "EUR", 50, 5_000.0)
    again = execute_backtest(home, run.spec)
    assert (again.stats, again.id == run.id) == (run.stats, False)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"strategy": "martingale"}, BadInput, "martingale"),
        ({"params": {"fast": 90}}, BadInput, "fast"),
        ({"bar_set_id": "nothing"}, NotFound, "nothing"),
        ({"strategy": "model_edge"}, BadInput, "model"),
        ({"model_id": "nobody"}, NotFound, "nobody"),
    ],
)
def test_what_cannot_be_tried_says_why_and_is_no_try(
    home: Path, bar_set_id: str, changes: dict[str, Any], error: type[PlatformError], says: str
) -> None:
    with pytest.raises(error, match=says):
        execute_backtest(home, {"strategy": "sma_cross", "bar_set_id": bar_set_id, **changes})
    assert TrialLedger.open(home).count() == 0
    assert BacktestStore.open(home).runs() == []


def test_a_run_that_fails_says_why_and_counts_as_a_try(home: Path, bar_set_id: str) -> None:
    with pytest.raises(BadInput, match="USDUAH"):  # a currency without bars here and without a rate of the ECB
        execute_backtest(home, {"strategy": "sma_cross", "bar_set_id": bar_set_id, "params": {"fast": 5}, "account": {"currency": "UAH"}})
    (trial,) = TrialLedger.open(home).list()
    assert (trial.state, trial.params["fast"], "slow" in trial.params) == ("failed", 5, True)
    assert "USDUAH" in trial.metrics["error"]
    assert BacktestStore.open(home).runs() == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"policy": "vectorbt"}, "policy"),
        ({"costs": {"spread_points": -1}}, "costs.spread_points"),
        ({"sizing": {"risk_fraction": float("nan")}}, "sizing.risk_fraction"),
        ({"account": {"balance": 0}}, "balance"),
        ({"speed": 3}, "speed"),
        ({"strategy": ""}, "strategy"),
        ({"account": {"currency": "EUR", "speed": 1}}, "account.speed"),
    ],
)
def test_a_wrong_field_is_named(home: Path, bar_set_id: str, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as error:
        execute_backtest(home, {"strategy": "sma_cross", "bar_set_id": bar_set_id, **changes})
    assert error.value.field == field


def test_a_cancelled_run_is_noted_as_discarded(home: Path, bar_set_id: str) -> None:
    def report(fraction: float, message: str, metrics: dict[str, Any], checkpoint: dict[str, Any] | None) -> None:
        if fraction >= 0.4:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        execute_backtest(home, {"strategy": "sma_cross", "bar_set_id": bar_set_id}, Progress(report))
    (trial,) = TrialLedger.open(home).list()
    assert trial.state == "discarded"
    assert BacktestStore.open(home).runs() == []


def test_a_job_that_is_run_again_is_one_run_and_one_trial(home: Path, bar_set_id: str) -> None:
    kept: dict[str, Any] = {}

    def report(fraction: float, message: str, metrics: dict[str, Any], checkpoint: dict[str, Any] | None) -> None:
        kept.update(checkpoint or {})

    spec = {"strategy": "sma_cross", "bar_set_id": bar_set_id}
    first = execute_backtest(home, spec, Progress(report))
    second = execute_backtest(home, spec, Progress(report, resumed_from=kept))
    assert first.id == second.id
    assert len(BacktestStore.open(home).runs()) == TrialLedger.open(home).count() == 1


@pytest.fixture
def three_runs(home: Path, bar_set_id: str) -> list[str]:
    return [execute_backtest(home, {"strategy": name, "bar_set_id": bar_set_id}).id for name in ("sma_cross", "atr_breakout", "pullback")]


@pytest.mark.parametrize(
    ("criterion", "field", "best"), [("sharpe", "sharpe", max), ("return", "total_return", max), ("drawdown", "max_drawdown", min)]
)
def test_the_winner_is_best_by_its_criterion_and_the_others_lack_the_difference(
    home: Path, three_runs: list[str], criterion: str, field: str, best: Any
) -> None:
    comparison = compare(home, three_runs, criterion)
    store = BacktestStore.open(home)
    runs = {run.id: run for run in store.runs()}
    assert comparison.winner_id == best(three_runs, key=lambda run_id: getattr(runs[run_id], field))
    winner = runs[comparison.winner_id]
    assert comparison.rows[0]["run_id"] == comparison.winner_id
    for row in comparison.rows:
        run = runs[row["run_id"]]
        assert row["delta_return"] == run.total_return - winner.total_return
        assert row["delta_sharpe"] == run.sharpe - winner.sharpe
        assert row["delta_drawdown"] == run.max_drawdown - winner.max_drawdown
    assert store.comparisons() == [comparison]


def test_a_comparison_that_means_nothing_is_refused(home: Path, three_runs: list[str]) -> None:
    for ids, criterion, field in ((three_runs[:1], "sharpe", "ids"), ([three_runs[0]] * 2, "sharpe", "ids.1"), (three_runs, "luck", "criterion")):
        with pytest.raises(BadInput) as error:
            compare(home, ids, criterion)
        assert error.value.field == field
    with pytest.raises(NotFound):
        compare(home, [three_runs[0], "nothing"], "sharpe")
    assert BacktestStore.open(home).comparisons() == []


FOREIGN: dict[str, Any] = {
    "name": "report 7",
    "strategy": "grid",
    "symbol": "EURUSD",
    "timeframe": "H1",
    "balance": 1_000.0,
    "params": {"step": 20},
    "trades": [
        {"entry_time": "2024-03-04T10:00:00Z", "exit_time": "2024-03-04T15:00:00Z", "side": 1, "lots": 0.1, "entry_price": 1.08, "exit_price": 1.085,
         "profit": 50.0, "commission": -0.7, "swap": 0.0, "exit": "target"},
        {"entry_time": "2024-03-05T10:00:00+02:00", "exit_time": "2024-03-07T15:00:00Z", "side": -1, "lots": 0.1, "entry_price": 1.08,
         "exit_price": 1.09, "profit": -100.0, "commission": -0.7, "swap": -1.3},
        {"entry_time": "2024-03-08T10:00:00Z", "exit_time": "2024-03-08T11:00:00Z", "side": 1, "lots": 0.1, "entry_price": 1.08, "exit_price": 1.083,
         "profit": 30.0},
    ],
}  # fmt: skip


def test_a_foreign_backtest_gets_our_measures(home: Path) -> None:
    run = import_backtest(home, FOREIGN)
    nets = np.array([49.3, -102.0, 30.0])
    assert (run.source, run.trades, run.policy, run.name) == ("imported", 3, "foreign", "report 7")
    assert run.total_return == pytest.approx(nets.sum() / 1_000)
    assert run.max_drawdown == pytest.approx(102.0 / 1_049.3)
    assert run.stats["win_rate"] == pytest.approx(2 / 3)
    assert run.stats["profit_factor"] == pytest.approx(79.3 / 102.0)
    # Monday +49.3, two days of nothing, Thursday −102, Friday +30.
    assert run.stats["days"] == 5
    daily = np.array([0.0493, 0.0, 0.0, -102 / 1_049.3, 30 / 947.3])
    assert run.sharpe == pytest.approx(daily.mean() / daily.std(ddof=1) * np.sqrt(252))
    store = BacktestStore.open(home)
    assert store.trades(run.id)["entry_time"].iloc[1] == pd.Timestamp("2024-03-05T08:00:00Z")
    assert store.equity(run.id)["equity"].iloc[-1] == pytest.approx(977.3)
    assert TrialLedger.open(home).list()[0].kind == "import"


def test_importing_twice_is_importing_once(home: Path) -> None:
    assert import_backtest(home, FOREIGN) == import_backtest(home, json.loads(json.dumps(FOREIGN)))
    assert len(BacktestStore.open(home).runs()) == TrialLedger.open(home).count() == 1


def test_a_foreign_backtest_without_trades_is_a_run(home: Path) -> None:
    run = import_backtest(home, {**FOREIGN, "trades": []})
    assert (run.trades, run.total_return, run.sharpe, run.max_drawdown) == (0, 0.0, 0.0, 0.0)
    assert BacktestStore.open(home).equity(run.id).empty


def test_a_foreign_run_can_be_compared_with_ours(home: Path, three_runs: list[str]) -> None:
    foreign = import_backtest(home, FOREIGN)
    assert {row["run_id"] for row in compare(home, [foreign.id, *three_runs], "return").rows} == {foreign.id, *three_runs}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", ""), ("name", 7), ("balance", 0), ("balance", float("nan")), ("balance", "1000"), ("balance", 1e300), ("trades", {}), ("trades", None),
        ("currency", "usd"), ("symbol", "X" * 500), ("extra", 1), ("params", {"a": [1]}), ("params", {"a": float("inf")}),
        ("trades.0.side", 0), ("trades.0.side", 2), ("trades.1.lots", -1), ("trades.1.lots", float("inf")), ("trades.2.profit", float("nan")),
        ("trades.2.profit", True), ("trades.0.entry_time", "2024-03-04T10:00:00"), ("trades.0.entry_time", 1709546400), ("trades.0.entry_time", "soon"),
        ("trades.0.exit_time", "2024-03-01T10:00:00Z"), ("trades.0.entry_price", 0), ("trades.0.speed", 1), ("trades.0.entry_time", "0001-01-01T00:00:00+14:00"),
    ],
)  # fmt: skip
def test_a_wrong_field_of_a_foreign_backtest_is_named(home: Path, path: str, value: Any) -> None:
    document = copy.deepcopy(FOREIGN)
    target: Any = document
    *way, last = path.split(".")
    for part in way:
        target = target[int(part)] if part.isdigit() else target[part]
    target[last] = value
    with pytest.raises(BadInput) as error:
        import_backtest(home, document)
    assert error.value.field.startswith(path)
    assert BacktestStore.open(home).runs() == []


@pytest.mark.parametrize("document", [[], None, "x", 3, {}])
def test_what_is_not_a_foreign_backtest_is_refused(home: Path, document: Any) -> None:
    with pytest.raises(BadInput):
        import_backtest(home, document)


def test_a_run_whose_file_is_gone_says_so(home: Path, bar_set_id: str) -> None:
    run = execute_backtest(home, {"strategy": "sma_cross", "bar_set_id": bar_set_id})
    (home / "backtests" / run.id / "trades.arrow").unlink()
    with pytest.raises(NotFound, match="run the backtest again"):
        BacktestStore.open(home).trades(run.id)
    with pytest.raises(NotFound, match="no backtest"):
        BacktestStore.open(home).equity("nothing")
