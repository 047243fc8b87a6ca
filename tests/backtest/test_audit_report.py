"""The audit as a whole: late decisions, warm-up, repeatability, fills, and audits that are kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.backtest.audit import AuditReport, audit_strategy, execute_audit, parse_audit
from components.backtest.audit.checks import check_fills, check_in_sample
from components.backtest.audit.lag import delayed, judge_lags
from components.backtest.audit.report import LagRow
from components.backtest.execute import execute_backtest
from components.backtest.run import Runner
from components.backtest.store import BacktestStore
from components.features import ema, rsi
from components.fx import BadInput, NotFound, Timeframe, instrument, validate_bars
from components.jobs import JobCancelled, Progress
from components.pipeline import collect, fetch_bars
from components.strategy import Context, Decisions, Strategy, strategy

EURUSD = instrument("EURUSD")
HONEST = strategy("sma_cross")


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return validate_bars(fetch_bars("sample", "EURUSD", Timeframe.H1)).iloc[:1500]


def audited(item: Strategy, bars: pd.DataFrame, **options: Any) -> AuditReport:
    return audit_strategy(item, None, bars, instrument=EURUSD, **{"cuts": 6, "dense": 4, **options})


def codes(report: AuditReport) -> dict[str, str]:
    return {finding.code: finding.severity for finding in report.findings}


def made(decide: Any, warmup: int = 40) -> Strategy:
    return replace(HONEST, name="made_up", decide=decide, warmup_bars=lambda params: warmup)


def test_a_strategy_of_the_library_passes_and_its_report_is_plain_json(bars: pd.DataFrame) -> None:
    told: list[float] = []
    report = audited(HONEST, bars, progress=lambda fraction, message="", **metrics: told.append(fraction))
    assert (report.passed, report.leaks, report.findings) == (True, (), ())
    assert [row.lag for row in report.lags] == [-1, 0, 1, 2, 3]
    assert 0 < report.warmup.needed <= report.warmup.stated == 294
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0.0, 1.0)
    document = json.loads(json.dumps(report.document(), allow_nan=False))
    assert (document["passed"], document["leaks"], len(document["lags"])) == (True, [], 5)


def test_the_row_without_delay_is_the_backtest_itself(bars: pd.DataFrame) -> None:
    result = Runner(HONEST, bars, instrument=EURUSD).run(None)
    row = next(row for row in audited(HONEST, bars, cuts=1, dense=0).lags if row.lag == 0)
    assert (row.sharpe, row.total_return, row.trades) == (result.stats["sharpe"], result.stats["total_return"], result.stats["trades"])


def test_a_strategy_that_knows_the_next_bar_fails_and_its_profit_is_gone_one_bar_later(bars: pd.DataFrame) -> None:
    def decide(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
        side = np.sign(bars["close"].shift(-1) - bars["close"]).fillna(0).to_numpy().astype(np.int8)
        return Decisions(side=side, exit=-side, stop_distance=0.01)

    report = audited(made(decide), bars)
    assert not report.passed
    assert {leak.column for leak in report.leaks} == {"side", "exit"}
    assert codes(report)["look_ahead"] == "fatal"
    assert codes(report)["lag_decay"] == "doubt"
    leak = next(finding for finding in report.findings if finding.code == "look_ahead")
    assert "bars['close'].shift(-1)" in leak.finding
    assert "decide" in leak.finding


def test_last_bits_that_follow_the_number_of_bars_are_a_note_and_no_leak(bars: pd.DataFrame) -> None:
    def decide(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
        last_bit = 1.0 + np.finfo(np.float64).eps * (len(bars) % 2)
        return Decisions(side=0, confidence=0.5 * last_bit, target_distance=np.full(len(bars), 0.01) * last_bit)

    report = audited(made(decide), bars, cuts=8)
    assert (report.passed, report.leaks, codes(report)) == (True, (), {"rounding": "note"})
    assert report.findings[0].evidence["columns"] == ["confidence", "target_distance"]


def test_late_decisions_are_the_same_ones_some_bars_later(bars: pd.DataFrame) -> None:
    decisions = Runner(HONEST, bars, instrument=EURUSD).decide(None)
    late, early = delayed(decisions, 2), delayed(decisions, -1)
    np.testing.assert_array_equal(late.side[2:], decisions.side[:-2])
    np.testing.assert_array_equal(late.stop[2:], decisions.stop[:-2])
    np.testing.assert_array_equal(early.side[:-1], decisions.side[1:])
    assert not late.side[:2].any()
    assert not early.side[-1:].any()
    assert delayed(decisions, 0) is decisions


@pytest.mark.parametrize(
    ("on_time", "late", "days", "is_suspicious"),
    [(3.0, 0.1, 500, True), (3.0, 1.0, 500, False), (0.8, -1.0, 500, False), (3.0, 0.1, 60, False), (-1.0, -3.0, 500, False)],
    ids=["collapses", "fades", "is not worth explaining", "is too short to tell", "loses anyway"],
)
def test_a_sharpe_ratio_is_suspicious_only_where_it(on_time: float, late: float, days: int, is_suspicious: bool) -> None:
    lags = tuple(LagRow(lag, sharpe, 0.0, 50, 0) for lag, sharpe in ((-1, 9.0), (0, on_time), (1, late)))
    assert (judge_lags(lags, days) is not None) == is_suspicious


def test_decisions_that_depend_on_where_history_begins_are_a_doubt(bars: pd.DataFrame) -> None:
    def decide(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
        total = np.cumsum(bars["close"].to_numpy() - bars["open"].to_numpy())
        return Decisions(side=np.sign(total).astype(np.int8))

    report = audited(made(decide), bars)
    assert report.passed
    assert codes(report)["warmup_too_short"] == "doubt"
    assert report.warmup.needed > 400
    assert report.warmup.column == "side"


@pytest.mark.parametrize(("warmup", "is_enough"), [(600, True), (60, False)])
def test_a_warm_up_must_outlast_what_a_smoothing_remembers(warmup: int, is_enough: bool, bars: pd.DataFrame) -> None:
    def decide(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
        close = bars["close"].to_numpy()
        return Decisions(side=0, target_distance=np.nan_to_num(ema(close, 50), nan=1.0))

    report = audited(made(decide, warmup), bars, cuts=1, dense=0)
    assert (report.warmup.row < 0) == is_enough
    assert 300 < report.warmup.needed < 600
    assert ("warmup_too_short" in codes(report)) == (not is_enough)


def test_a_strategy_that_keeps_state_between_calls_fails(bars: pd.DataFrame) -> None:
    calls: list[int] = []

    def decide(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
        calls.append(1)
        side = np.zeros(len(bars), dtype=np.int8)
        side[len(calls) % 7 :: 11] = 1
        return Decisions(side=side)

    report = audited(made(decide), bars)
    assert codes(report)["not_repeatable"] == "fatal"
    assert not report.passed
    assert report.leaks == (), "what moves by itself says nothing about the future"


def test_unseeded_random_numbers_fail(bars: pd.DataFrame) -> None:
    def decide(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
        return Decisions(side=np.random.default_rng().integers(-1, 2, len(bars)))

    assert codes(audited(made(decide), bars))["not_repeatable"] == "fatal"


def test_a_strategy_that_changes_its_bars_fails(bars: pd.DataFrame) -> None:
    def decide(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
        bars["close"] = bars["close"].rolling(3).mean().bfill()
        return Decisions(side=np.sign(bars["close"].diff().fillna(0)).to_numpy().astype(np.int8))

    before = bars.copy()
    assert codes(audited(made(decide), bars))["modifies_input"] == "fatal"
    pd.testing.assert_frame_equal(bars, before)


def test_a_strategy_that_raises_over_some_histories_is_a_doubt(bars: pd.DataFrame) -> None:
    def decide(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
        if len(bars) % 2:
            raise ValueError("an odd number of bars")
        return Decisions(side=np.zeros(len(bars), dtype=np.int8))

    report = audited(made(decide), bars.iloc[:1000], cuts=20, dense=0)
    assert codes(report) == {"fails_on_other_bars": "doubt"}


def test_a_fill_before_its_decision_or_outside_its_bar_is_found(bars: pd.DataFrame) -> None:
    runner = Runner(HONEST, bars, instrument=EURUSD)
    decisions = runner.decide(None)
    trades = runner.run(None, decisions=decisions).trades
    assert check_fills(runner, runner.strategy.parse(None), decisions, trades) == []
    early = trades.assign(entry_bar=trades["entry_bar"] - 1)
    assert "fill_before_decision" in {finding.code for finding in check_fills(runner, runner.strategy.parse(None), decisions, early)}
    better = trades.assign(entry_price=trades["entry_price"] - trades["side"] * 0.01)
    assert {finding.code for finding in check_fills(runner, runner.strategy.parse(None), decisions, better)} == {"fill_outside_bar"}


def test_a_fill_may_be_rounded_to_the_next_point_but_no_further(bars: pd.DataFrame) -> None:
    runner = Runner(HONEST, bars, instrument=EURUSD)
    decisions = runner.decide(None)
    trades = runner.run(None, decisions=decisions).trades
    longs = trades[trades["side"] > 0]
    highest = bars["high"].to_numpy()[longs["entry_bar"]] + 10 * EURUSD.point  # ask, at the spread that is assumed
    for points, is_found in ((0.5, False), (0.6, True)):
        moved = longs.assign(entry_price=highest + points * EURUSD.point)
        assert bool(check_fills(runner, runner.strategy.parse(None), decisions, moved)) == is_found


@pytest.mark.parametrize("name", ["atr_breakout", "pullback"])
def test_stop_entries_and_managed_positions_fill_inside_their_bars(name: str, bars: pd.DataFrame) -> None:
    runner = Runner(strategy(name), bars, instrument=EURUSD)
    decisions = runner.decide(None)
    trades = runner.run(None, decisions=decisions).trades
    assert len(trades) > 10
    assert check_fills(runner, runner.strategy.parse(None), decisions, trades) == []


def test_a_model_that_answers_about_its_own_training_is_a_leak(bars: pd.DataFrame) -> None:
    up = 1 - rsi(bars["close"].to_numpy(), 14) / 100
    answers = pd.DataFrame({"p_down": 1 - up, "p_flat": 0.0, "p_up": up}, index=bars.index)
    until_ms = int(bars.index[700].timestamp() * 1000)
    leak = check_in_sample(answers, Timeframe.H1, until_ms)
    assert leak is not None
    assert (leak.kind, leak.column, leak.row, leak.cut) == ("in_sample", "probabilities.p_up", 14, 699)
    honest = answers.copy()
    honest.iloc[:700] = np.nan
    assert check_in_sample(honest, Timeframe.H1, until_ms) is None
    report = audited(strategy("model_edge"), bars, probabilities=answers, timeframe=Timeframe.H1, trained_until_ms=until_ms)
    assert [one.kind for one in report.leaks] == ["in_sample"]
    assert not report.passed


def test_a_model_with_a_long_memory_is_no_fault_of_the_strategy_that_asks_it(bars: pd.DataFrame) -> None:
    def answers(chosen: pd.DataFrame) -> pd.DataFrame:
        up = 1 / (1 + np.exp(-500 * (chosen["close"] - np.nan_to_num(ema(chosen["close"].to_numpy(), 400), nan=1.1))))
        return pd.DataFrame({"p_down": 1 - up, "p_flat": 0.0, "p_up": up}, index=chosen.index)

    report = audited(strategy("model_edge"), bars, probabilities=answers, cuts=2, dense=2)
    assert (report.passed, report.findings) == (True, ())


def test_the_same_seed_finds_the_same(bars: pd.DataFrame) -> None:
    assert audited(HONEST, bars, seed=3) == audited(HONEST, bars, seed=3)


def test_too_few_bars_and_an_unknown_parameter_are_refused(bars: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="2 bars are too few"):
        audited(HONEST, bars.iloc[:2])
    with pytest.raises(BadInput, match="fastest"):
        audit_strategy(HONEST, {"fastest": 3}, bars, instrument=EURUSD)


@pytest.fixture
def bar_set_id(home: Path) -> str:
    return collect(home, "sample", "EURUSD", "H1").id


def asked(bar_set_id: str, **more: Any) -> dict[str, Any]:
    return {"strategy": "sma_cross", "params": {"fast": 5}, "bar_set_id": bar_set_id, "rows": 900, "cuts": 2, "dense": 2, **more}


def test_an_audit_is_kept_as_a_study(home: Path, bar_set_id: str) -> None:
    study = execute_audit(home, asked(bar_set_id))
    studies = BacktestStore.open(home).studies
    assert studies.study(study.id) == study
    assert (study.kind, study.state, study.strategy, study.bar_set_id, study.run_id) == ("audit", "done", "sma_cross", bar_set_id, None)
    assert (study.result["passed"], study.result["leaks"], study.result["bars"]) == (True, [], 900)
    assert study.spec["backtest"]["params"] == {"fast": 5}
    assert list(studies.frame(study.id, "lags")["lag"]) == [-1, 0, 1, 2, 3]


def test_the_audit_of_a_run_takes_what_the_run_was_asked_for(home: Path, bar_set_id: str) -> None:
    run = execute_backtest(home, {"strategy": "pullback", "bar_set_id": bar_set_id, "costs": {"spread_points": 3}})
    study = execute_audit(home, {"run_id": run.id, "cuts": 1, "dense": 0})
    assert (study.run_id, study.strategy, study.spec["backtest"]["costs"]["spread_points"]) == (run.id, "pullback", 3.0)
    on_time = next(row for row in study.result["lags"] if row["lag"] == 0)
    assert on_time["sharpe"] == pytest.approx(run.sharpe)


def test_a_cancelled_audit_says_so_and_a_retried_one_goes_on_as_the_same_study(home: Path, bar_set_id: str) -> None:
    kept: list[dict[str, Any]] = []

    def stop(fraction: float, message: str, metrics: dict[str, Any], checkpoint: dict[str, Any] | None) -> None:
        if checkpoint:
            kept.append(checkpoint)
        if fraction > 0.3:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        execute_audit(home, asked(bar_set_id), Progress(stop))
    studies = BacktestStore.open(home).studies
    (study,) = studies.studies("audit")
    assert (study.state, kept) == ("cancelled", [{"study_id": study.id}])
    again = execute_audit(home, asked(bar_set_id), Progress(resumed_from=kept[0]))
    assert (again.id, again.state) == (study.id, "done")


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ({}, "strategy"),
        ({"run_id": "a", "strategy": "sma_cross", "bar_set_id": "b"}, "run_id"),
        ({"run_id": "a", "cuts": 0}, "cuts"),
        ({"strategy": "sma_cross", "bar_set_id": "b", "colour": 1}, "colour"),
    ],
)
def test_a_document_that_cannot_be_audited_is_refused_by_its_field(document: dict[str, Any], names: str) -> None:
    with pytest.raises(BadInput, match=names):
        parse_audit(document)


def test_an_audit_of_a_run_that_is_not_there_is_refused(home: Path) -> None:
    with pytest.raises(NotFound, match="no backtest 'nowhere'"):
        execute_audit(home, {"run_id": "nowhere"})
