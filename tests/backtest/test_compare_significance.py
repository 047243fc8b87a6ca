"""Comparison: every criterion, whether a difference is more than chance, and how far two runs are the same bet."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from honest_runs import earning, keep_run

from components.backtest import BacktestStore, Comparison, compare
from components.backtest.compare import overlap
from components.fx import BadInput

HOUR = 3_600_000


def _three(home: Path) -> None:
    keep_run(home, "a", earning(1, 400, 2.0), stats={"profit_factor": 1.2})
    keep_run(home, "b", earning(2, 400, 1.0, deviation=0.02), strategy="pullback", stats={"profit_factor": 1.9})
    keep_run(home, "c", earning(3, 60, 2.5, deviation=0.001), strategy="atr_breakout", stats={"profit_factor": None})


@pytest.mark.parametrize(("criterion", "winner"), [("sharpe", "c"), ("return", "b"), ("drawdown", "c"), ("profit_factor", "c"), ("dsr", "a")])
def test_each_criterion_has_its_winner(home: Path, criterion: str, winner: str) -> None:
    _three(home)
    assert compare(home, ["a", "b", "c"], criterion).winner_id == winner


def test_the_calmar_ratio_is_return_a_year_over_drawdown(home: Path) -> None:
    _three(home)
    found = compare(home, ["a", "b", "c"], "calmar")
    store = BacktestStore.open(home)
    for row in found.rows:
        run = store.run(row["run_id"])
        assert row["calmar"] == pytest.approx(((1 + run.total_return) ** (252 / run.stats["days"]) - 1) / run.max_drawdown)
    assert [row["calmar"] for row in found.rows] == sorted((row["calmar"] for row in found.rows), reverse=True)
    store.close()


def test_what_a_run_lacks_is_its_value_less_the_winners(home: Path) -> None:
    _three(home)
    best, *others = compare(home, ["a", "b", "c"], "dsr").rows
    assert best["against_winner"] is None
    for row in others:
        for name, field in (("delta_return", "total_return"), ("delta_calmar", "calmar"), ("delta_dsr", "dsr"), ("delta_drawdown", "max_drawdown")):
            assert row[name] == row[field] - best[field]
    by_id = {row["run_id"]: row for row in others}
    assert by_id["c"]["delta_profit_factor"] is None
    assert by_id["b"]["delta_profit_factor"] == pytest.approx(0.7)


def test_a_difference_that_is_chance_has_a_high_p_value_and_a_real_one_a_low_one(home: Path) -> None:
    shared = earning(4, 500, 1.0)
    keep_run(home, "good", shared + 0.001)
    keep_run(home, "same", shared + np.random.default_rng(5).normal(0, 0.0005, 500))
    keep_run(home, "bad", shared + np.random.default_rng(6).normal(-0.001, 0.0005, 500))
    rows = {row["run_id"]: row["against_winner"] for row in compare(home, ["good", "same", "bad"], "sharpe").rows}
    assert rows["bad"]["p_sharpe"] < 0.01
    keep_run(home, "twin", shared + 0.001 + np.random.default_rng(8).normal(0, 0.0005, 500))
    rows = {row["run_id"]: row["against_winner"] for row in compare(home, ["good", "twin"], "sharpe").rows}
    other = next(row for row in rows.values() if row is not None)
    assert other["p_sharpe"] > 0.05
    assert other["correlation"] > 0.95
    assert other["days"] == 500


def test_runs_that_share_no_days_are_compared_without_a_p_value(home: Path) -> None:
    keep_run(home, "a", earning(1, 300, 2.0))
    keep_run(home, "b", earning(2, 15, 1.0))
    row = compare(home, ["a", "b"], "return").rows[1]["against_winner"]
    assert (row["days"], row["p_sharpe"], row["correlation"]) == (15, None, None)


def test_the_same_side_of_another_symbol_is_no_overlap(home: Path) -> None:
    keep_run(home, "a", earning(1, 300, 2.0))
    keep_run(home, "b", earning(2, 300, 1.0))
    keep_run(home, "c", earning(3, 300, 0.5), symbol="USDJPY")
    rows = {row["run_id"]: row["against_winner"] for row in compare(home, ["a", "b", "c"]).rows}
    assert (rows["b"]["time_overlap"], rows["b"]["entry_overlap"]) == (1.0, 1.0)
    assert (rows["c"]["time_overlap"], rows["c"]["entry_overlap"]) == (None, None)
    assert rows["c"]["correlation"] is not None


def test_a_run_whose_files_are_gone_is_compared_by_what_is_left(home: Path) -> None:
    keep_run(home, "a", earning(1, 300, 2.0))
    keep_run(home, "b", earning(2, 300, 1.0))
    for path in (home / "backtests" / "b").glob("*.arrow"):
        path.unlink()
    rows = compare(home, ["a", "b"]).rows
    assert (rows[1]["against_winner"], rows[1]["dsr"]) == (None, None)


def _trades(*rows: tuple[int, int, int]) -> pd.DataFrame:
    """Trades by side, hour of entry and hour of exit."""
    start = pd.Timestamp("2024-01-01", tz="UTC")
    enter, leave = (pd.DatetimeIndex([start + pd.Timedelta(hours=row[k]) for row in rows], tz="UTC") for k in (1, 2))
    return pd.DataFrame({"side": [row[0] for row in rows], "entry_time": enter, "exit_time": leave})


def test_time_overlap_is_the_share_of_the_time_in_the_market_with_the_same_side() -> None:
    # First: long 0–4. Second: long 2–6, short 8–10. In the market 0–6 and 8–10, together 2–4: two of eight hours.
    assert overlap(_trades((1, 0, 4)), _trades((1, 2, 6), (-1, 8, 10)), bar_ms=0)[0] == pytest.approx(2 / 8)
    assert overlap(_trades((1, 0, 4)), _trades((-1, 0, 4)), bar_ms=0)[0] == 0.0
    assert overlap(_trades((1, 0, 4), (1, 1, 3)), _trades((1, 0, 4)), bar_ms=0)[0] == 1.0
    # A trade within one bar lasts for that bar.
    assert overlap(_trades((1, 0, 0)), _trades((1, 0, 1)), bar_ms=HOUR)[0] == pytest.approx(1 / 2)


def test_entry_overlap_is_the_share_of_entries_with_one_of_the_other_within_a_bar() -> None:
    mine = _trades((1, 0, 1), (1, 10, 11), (-1, 20, 21), (1, 30, 31))
    others = _trades((1, 1, 2), (-1, 10, 11), (-1, 20, 25), (1, 32, 33))
    assert overlap(mine, others, bar_ms=HOUR)[1] == pytest.approx(2 / 4)
    assert overlap(mine, mine, bar_ms=HOUR) == (1.0, 1.0)


def test_no_trades_overlap_nothing() -> None:
    none = _trades((1, 0, 1)).iloc[:0]
    assert overlap(none, none, bar_ms=HOUR) == (None, None)
    assert overlap(none, _trades((1, 0, 1)), bar_ms=HOUR) == (0.0, None)


def test_an_old_comparison_is_still_read(home: Path) -> None:
    _three(home)
    old = Comparison("old", "sharpe", "a", ({"run_id": "a", "sharpe": 1.0, "delta_sharpe": 0.0},), 5)
    store = BacktestStore.open(home)
    store.add_comparison(old)
    new = compare(home, ["a", "b"], "dsr")
    assert store.comparisons() == [new, old]
    json.dumps(new.rows, allow_nan=False)
    store.close()


def test_an_unknown_criterion_is_refused_by_name(home: Path) -> None:
    with pytest.raises(BadInput, match="profit_factor, calmar, dsr"):
        compare(home, ["a", "b"], "luck")
