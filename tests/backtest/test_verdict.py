"""The verdict: every bound works, nothing is believable without an audit, and a loss is said first."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from honest_runs import earning, keep_run, keep_study, keep_sweep

from components.backtest import Finding, Verdict, import_backtest, leaderboard, verdict
from components.backtest.verdict import THRESHOLDS
from components.fx import NotFound
from components.strategy import strategy

GOOD = earning(1, 500, 2.5)


def _audited(home: Path, name: str = "r1", passed: bool = True, **fields: Any) -> None:
    keep_study(home, f"audit-{name}", "audit", {"passed": passed}, **{"strategy": "sma_cross", "run_id": name, **fields})


def _asked(home: Path, run_id: str = "r1", findings: tuple[Finding, ...] = ()) -> Verdict:
    found = verdict(home, run_id, findings=findings)
    json.dumps(asdict(found), allow_nan=False)
    assert found.line.startswith(found.word)
    return found


def test_a_good_run_that_was_audited_is_believable_and_says_what_that_rests_on(home: Path) -> None:
    keep_run(home, "r1", GOOD)
    _audited(home)
    found = _asked(home)
    assert found.word == "believable"
    assert "passed the look-ahead audit" in found.line
    assert "300 trades over 500 days" in found.line
    assert found.facts["dsr"] > 0.99
    assert found.facts["tried"] == 1


def test_no_run_is_believable_without_an_audit_that_passed(home: Path) -> None:
    keep_run(home, "r1", GOOD)
    found = _asked(home)
    assert (found.word, found.facts["audit_passed"]) == ("doubtful", None)
    assert "not audited for look-ahead" in found.line
    _audited(home, passed=False)
    found = _asked(home)
    assert found.word == "not believable"
    assert "looks ahead" in found.line


def test_an_audit_of_another_run_counts_where_it_is_of_the_same_strategy_parameters_and_bars(home: Path) -> None:
    from components.strategy import strategy

    params = strategy("sma_cross").parse({}).model_dump(mode="json")
    keep_run(home, "r1", GOOD, params=params)
    same = {"run_id": None, "bar_set_id": "EURUSD-H1"}
    _audited(home, "other-bars", **{**same, "bar_set_id": "GBPUSD-H1"}, spec={"backtest": {"params": {}}})
    _audited(home, "other-params", **same, spec={"backtest": {"params": {"fast": 3}}})
    assert _asked(home).facts["audit_passed"] is None
    _audited(home, "same", **same, spec={"backtest": {"params": {}}})
    assert _asked(home).facts["audit_id"] == "audit-same"
    assert _asked(home).word == "believable"


def test_a_loss_is_said_before_everything_else(home: Path) -> None:
    keep_run(home, "r1", earning(2, 300, -1.0), trades=12, stats={"ruined": True})
    _audited(home, passed=False)
    found = _asked(home)
    assert found.word == "not believable"
    assert found.reasons[0].startswith("loses money: -")
    assert {"the account was ruined on the way", "only 12 trades"} <= set(found.reasons)


@pytest.mark.parametrize(
    ("run", "word", "says"),
    [
        ({"trades": 29}, "not believable", "only 29 trades"),
        ({"trades": 30}, "doubtful", "only 30 trades"),
        ({"trades": 99}, "doubtful", "only 99 trades"),
        ({"trades": 100}, "believable", "100 trades"),
        ({"trades": 0}, "not believable", "made no trade"),
        ({"stats": {"ruined": True}}, "not believable", "ruined"),
        ({"stats": {"ambiguous_bars": 15}}, "believable", ""),
        ({"stats": {"ambiguous_bars": 16}}, "doubtful", "ambiguous inside a bar"),
        ({"stats": {"ambiguous_bars": 90}}, "not believable", "ambiguous inside a bar"),
        ({"stats": {"profit_against": 100.0, "profit_favour": 201.0}}, "doubtful", "by how ambiguous bars are resolved"),
        ({"stats": {"profit_against": 100.0, "profit_favour": 199.0}}, "believable", ""),
        ({"policy": "reference"}, "doubtful", "reference policy"),
    ],
)
def test_each_bound_of_a_run_works(home: Path, run: dict[str, Any], word: str, says: str) -> None:
    keep_run(home, "r1", GOOD, **run)
    _audited(home)
    found = _asked(home)
    assert found.word == word, found.reasons
    assert says in found.line


@pytest.mark.parametrize(
    ("part", "word", "says"),
    [
        ({"pbo": {"probability": 0.2}}, "believable", "overfitting 20%"),
        ({"pbo": {"probability": 0.21}}, "doubtful", "21% chance that the choice of its parameters is overfitted"),
        ({"pbo": {"probability": 0.51}}, "not believable", "overfitted"),
        ({"spa": {"consistent": 0.3}}, "doubtful", "best of its sweep"),
        ({"entries": {"p_value": 0.4}}, "doubtful", "random entries"),
        ({"montecarlo": {"resample": {"loss_probability": 0.06, "ruin_probability": 0.0}}}, "doubtful", "redrawn trade histories lose"),
        ({"montecarlo": {"resample": {"loss_probability": 0.0, "ruin_probability": 0.2}}}, "not believable", "half of the account"),
        ({"montecarlo": {"costs": {"net_profit": -5.0}}}, "doubtful", "dearer costs take the profit"),
        ({"entries": {"p_value": 0.01}, "spa": {"consistent": 0.01}}, "believable", ""),
    ],
)
def test_each_bound_of_an_examination_works(home: Path, part: dict[str, Any], word: str, says: str) -> None:
    keep_run(home, "r1", GOOD)
    _audited(home)
    keep_study(home, "h1", "honesty", part, strategy="sma_cross", run_id="r1", bar_set_id="EURUSD-H1")
    found = _asked(home)
    assert found.word == word, found.reasons
    assert says in found.line
    assert found.facts["honesty_id"] == "h1"


@pytest.mark.parametrize(
    ("walked", "word", "says"),
    [
        ({"out_of_sample": {"total_return": 0.1}, "efficiency": 0.5}, "believable", ""),
        ({"out_of_sample": {"total_return": 0.1}, "efficiency": 0.49}, "doubtful", "earns 49% out of sample"),
        ({"out_of_sample": {"total_return": -0.02}, "efficiency": -0.3}, "doubtful", "walk-forward loses: -2.0%"),
        ({"out_of_sample": {"total_return": 0.1}, "efficiency": None}, "believable", ""),
    ],
)
def test_a_walk_forward_of_the_strategy_on_its_bars_counts(home: Path, walked: dict[str, Any], word: str, says: str) -> None:
    keep_run(home, "r1", GOOD)
    _audited(home)
    keep_study(home, "w1", "walkforward", walked, strategy="sma_cross", bar_set_id="EURUSD-H1")
    keep_study(home, "w2", "walkforward", {"out_of_sample": {"total_return": -1.0}}, strategy="sma_cross", bar_set_id="GBPUSD-H1")
    found = _asked(home)
    assert (found.word, found.facts["walk_id"]) == (word, "w1")
    assert says in found.line


def test_the_newest_examination_counts_and_one_that_failed_does_not(home: Path) -> None:
    keep_run(home, "r1", GOOD)
    _audited(home)
    about = {"strategy": "sma_cross", "run_id": "r1", "bar_set_id": "EURUSD-H1"}
    keep_study(home, "h1", "honesty", {"pbo": {"probability": 0.9}}, **about, created_ms=1)
    keep_study(home, "h2", "honesty", {"pbo": {"probability": 0.1}}, **about, created_ms=2)
    assert _asked(home).facts["pbo"] == 0.1


def test_overfitting_of_a_sweep_counts_for_every_run_of_its_strategy_on_its_bars(home: Path) -> None:
    keep_run(home, "r1", GOOD)
    keep_run(home, "r2", GOOD[::-1].copy())
    keep_run(home, "r3", GOOD + 1e-5, bar_set_id="GBPUSD-H1")
    keep_study(
        home, "h1", "honesty", {"pbo": {"probability": 0.7}, "entries": {"p_value": 0.9}}, strategy="sma_cross", run_id="r2", bar_set_id="EURUSD-H1"
    )
    assert _asked(home, "r1").facts["pbo"] == 0.7
    assert _asked(home, "r1").facts["entries"] is None  # that is of the other run alone
    assert _asked(home, "r3").facts["pbo"] is None


def test_many_tries_take_the_belief_from_the_same_run(home: Path) -> None:
    daily = earning(1, 500, 1.6)
    keep_run(home, "r1", daily)
    _audited(home)
    assert _asked(home).word == "believable"
    keep_sweep(home, "s1", np.random.default_rng(3).normal(0, 0.005, (500, 200)))
    found = _asked(home)
    assert (found.facts["tried"], found.word) == (201, "not believable")
    assert "after 201 tries" in found.line


def test_a_track_record_under_its_minimum_is_doubtful(home: Path) -> None:
    keep_run(home, "r1", earning(4, 200, 1.0))
    _audited(home)
    found = _asked(home)
    assert found.facts["track_reached"] is False
    assert any("days are fewer than the" in reason for reason in found.reasons)


def test_findings_of_the_diagnosis_weigh_by_their_severity(home: Path) -> None:
    keep_run(home, "r1", GOOD)
    _audited(home)

    def finding(severity: Any, code: str = "x") -> Finding:
        return Finding(code, "t", severity, f"a {severity} thing.", {}, "fix it")

    assert _asked(home, findings=(finding("note"),)).word == "believable"
    assert _asked(home, findings=(finding("doubt"),)).line == "doubtful: a doubt thing"
    found = _asked(home, findings=(finding("doubt"), finding("fatal"), finding("note")))
    assert found.line == "not believable: a fatal thing, and 1 more"
    assert found.facts["findings"] == {"fatal": 1, "doubt": 1, "note": 1}
    # What the verdict judges by its own bounds is not said twice.
    assert _asked(home, findings=(finding("fatal", "few_trades"),)).word == "believable"


def test_the_diagnosis_is_made_where_no_findings_are_given(home: Path) -> None:
    keep_run(home, "r1", GOOD)
    found = verdict(home, "r1")
    assert sum(found.facts["findings"].values()) > 0


def test_an_imported_run_gets_a_verdict_but_cannot_be_believed(home: Path) -> None:
    days = np.arange(200)
    profit = np.random.default_rng(5).normal(12, 20, 200)
    trades = [
        {"entry_time": f"{np.datetime64('2019-01-01') + day}T10:00:00Z", "exit_time": f"{np.datetime64('2019-01-01') + day}T15:00:00Z", "side": 1, "lots": 0.1,
         "entry_price": 1.1, "exit_price": 1.101, "profit": float(gain)}
        for day, gain in zip(days, profit, strict=True)
    ]  # fmt: skip
    run = import_backtest(home, {"name": "x", "strategy": "grid", "symbol": "EURUSD", "balance": 10_000.0, "trades": trades})
    found = _asked(home, run.id)
    assert found.word == "doubtful"
    assert any("made elsewhere" in reason for reason in found.reasons)
    empty = import_backtest(home, {"name": "y", "strategy": "grid", "symbol": "EURUSD", "balance": 10_000.0, "trades": []})
    assert _asked(home, empty.id).word == "not believable"
    assert verdict(home, empty.id).word == "not believable"


def test_a_run_whose_equity_is_gone_is_still_judged(home: Path) -> None:
    keep_run(home, "r1", GOOD)
    for path in (home / "backtests" / "r1").glob("*.arrow"):
        path.unlink()
    found = verdict(home, "r1")
    assert found.word == "not believable"
    assert "too few to say anything" in found.line
    with pytest.raises(NotFound, match="no backtest"):
        verdict(home, "nobody")


def test_the_table_of_bounds_says_why_and_is_harder_for_not_believable() -> None:
    for bound in THRESHOLDS.values():
        assert bound.why
        if bound.doubtful is not None and bound.not_believable is not None:
            assert (bound.not_believable > bound.doubtful) == bound.above


def test_the_leaderboard_shows_the_sharpe_ratio_beside_what_is_left_of_it(home: Path) -> None:
    # The highest Sharpe ratio is of few days and many tries; the one below it of many days and one try.
    keep_run(home, "lucky", earning(6, 120, 2.2))
    keep_sweep(home, "s1", np.random.default_rng(7).normal(0, 0.005, (120, 150)))
    keep_run(home, "steady", earning(8, 900, 1.5), strategy="pullback")
    keep_run(home, "poor", earning(9, 900, -0.5), strategy="pullback")
    keep_run(home, "flat", np.zeros(50), strategy="atr_breakout", trades=0)
    keep_study(home, "h1", "honesty", {"pbo": {"probability": 0.6}}, strategy="sma_cross", run_id="lucky", bar_set_id="EURUSD-H1")
    rows = leaderboard(home)
    json.dumps(rows, allow_nan=False)
    assert [row["run_id"] for row in rows] == ["steady", "lucky", "poor", "flat"]
    by_id = {row["run_id"]: row for row in rows}
    assert by_id["lucky"]["sharpe"] > by_id["steady"]["sharpe"]
    assert by_id["lucky"]["dsr"] < 0.5 < by_id["steady"]["dsr"]
    assert (by_id["lucky"]["tried"], by_id["lucky"]["pbo"]) == (151, 0.6)
    assert (by_id["steady"]["tried"], by_id["steady"]["pbo"]) == (2, None)
    assert by_id["flat"]["dsr"] is None
    assert by_id["lucky"]["dsr"] == pytest.approx(verdict(home, "lucky", findings=()).facts["dsr"])
    assert len(leaderboard(home, limit=2)) == 2


def test_several_legs_on_one_account_are_audited_when_each_of_them_is(home: Path) -> None:
    params = strategy("sma_cross").parse(None).model_dump(mode="json")
    legs = [{"strategy": "sma_cross", "bar_set_id": bars, "model_id": None, "params": params} for bars in ("EURUSD-H1", "GBPUSD-H1")]
    keep_run(home, "p1", GOOD, strategy="portfolio", bar_set_id=None, params={"legs": legs})
    _audited(home, "first", run_id=None, bar_set_id="EURUSD-H1", spec={"backtest": {"params": {}}})
    assert verdict(home, "p1", findings=()).facts["audit_passed"] is None, "one leg is not audited"
    _audited(home, "second", run_id=None, bar_set_id="GBPUSD-H1", spec={"backtest": {"params": {}}})
    assert verdict(home, "p1", findings=()).facts["audit_passed"] is True
    _audited(home, "third", passed=False, run_id=None, bar_set_id="GBPUSD-H1", spec={"backtest": {"params": {}}})
    assert verdict(home, "p1", findings=()).facts["audit_passed"] is False
