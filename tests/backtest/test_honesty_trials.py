"""How often a result was tried: raw, distinct and effective."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import pytest
from honest_runs import earning, keep_run, keep_sweep
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from components.backtest import BacktestStore
from components.backtest.honesty import SharpeFacts, clusters, count_trials, daily_returns, day_ids, luck_of
from components.backtest.honesty.trials import effective_number
from components.fx import FX_DAY, sharpe_ratio
from components.ledger import TrialLedger, tally


def _families(seed: int, families: int, members: int, days: int = 250, own: float = 0.3) -> np.ndarray:
    """Returns (days, families × members): members of a family share most of what they do."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, 0.005, (families, days))
    return np.concatenate([shared[k] + rng.normal(0, own * 0.005, (members, days)) for k in range(families)]).T


def _append(ledger: TrialLedger, params: dict[str, object], state: str = "done", sharpe: float | None = 1.0, **fields: object) -> None:
    metrics = {"error": "no"} if sharpe is None else {"sharpe": sharpe}
    row = {"family": "f", "strategy": "f", "params": params, "dataset_id": "b", "code_version": "c1", "kind": "backtest", "state": state}
    ledger.append_many([{**row, "metrics": metrics, **fields}])


def test_failed_and_discarded_tries_count_and_equal_ones_are_one(tmp_path: Path) -> None:
    ledger = TrialLedger.open(tmp_path)
    _append(ledger, {"a": 1}, sharpe=1.0, returns_digest="x")
    _append(ledger, {"a": 1}, sharpe=1.0, returns_digest="x", code_version="c2")
    _append(ledger, {"a": 2}, sharpe=3.0, returns_digest="y", dataset_id="b2")
    _append(ledger, {"a": 3}, "failed", None)
    _append(ledger, {"a": 3}, "failed", None)
    _append(ledger, {"a": 4}, "discarded", None)
    _append(ledger, {"a": 1}, family="other", strategy="other")
    counted = tally(ledger, "f")
    assert (counted.raw, counted.distinct) == (6, 4)
    assert counted.states == {"done": 3, "failed": 2, "discarded": 1}
    assert (counted.code_versions, counted.datasets, counted.kinds) == (2, 2, {"backtest": 6})
    assert (counted.sharpes, counted.sharpe_mean, counted.sharpe_variance) == (2, 2.0, 2.0)
    assert tally(ledger, "nobody").raw == 0
    trials = count_trials(tmp_path, "f")
    assert (trials.raw, trials.distinct, trials.effective, trials.sharpe_variance) == (6, 4, 4.0, 2.0)


def test_the_variance_of_the_tries_is_that_of_numpy_even_where_they_are_close(tmp_path: Path) -> None:
    ledger = TrialLedger.open(tmp_path)
    ratios = 1e6 + np.random.default_rng(0).normal(0, 1e-2, 50)
    for number, ratio in enumerate(ratios):
        _append(ledger, {"a": number}, sharpe=float(ratio), returns_digest=str(number))
    assert tally(ledger, "f").sharpe_variance == pytest.approx(float(np.var(ratios, ddof=1)), rel=1e-4)


def test_tries_of_any_length_scatter_on_one_scale(tmp_path: Path) -> None:
    """Windows of two months without any edge scatter widely; brought to the run's five years they scatter as five years do."""
    rng = np.random.default_rng(1)
    ledger = TrialLedger.open(tmp_path)
    for number in range(400):
        days = (40, 1_250)[number % 2]
        returns = rng.normal(0, 0.01, days)
        _append(ledger, {"a": number}, returns_digest=str(number), metrics={"sharpe": sharpe_ratio(returns), "days": days})
    _append(ledger, {"a": "short"}, returns_digest="short", metrics={"sharpe": 90.0, "days": 3})
    trials = count_trials(tmp_path, "f")
    facts = SharpeFacts(1_250, 0.05)
    assert trials.daily_variance(facts) == pytest.approx(1 / 1_250, rel=0.15)
    assert trials.sharpe_variance is not None
    assert trials.sharpe_variance / 252 > 5 / 1_250


def test_a_trial_whose_measures_are_no_json_is_counted_without_them(tmp_path: Path) -> None:
    ledger = TrialLedger.open(tmp_path)
    _append(ledger, {"a": 1}, sharpe=float("nan"))
    _append(ledger, {"a": 2}, sharpe=2.0)
    counted = tally(ledger, "f")
    assert (counted.raw, counted.sharpes, counted.sharpe_variance) == (2, 1, None)


@pytest.mark.parametrize("seed", range(4))
def test_groups_are_those_of_scipys_average_linkage(seed: int) -> None:
    returns = np.random.default_rng(seed).normal(size=(40, 6)) @ np.random.default_rng(seed + 9).normal(size=(6, 60))
    found = clusters(returns)
    distance = np.sqrt((1 - np.corrcoef(returns)) / 2)
    np.fill_diagonal(distance, 0.0)
    theirs = fcluster(linkage(squareform(distance, checks=False), "average"), math.sqrt(0.25), "distance")
    assert len(np.unique(found)) == len(np.unique(theirs)) > 3
    assert ((found[:, None] == found) == (theirs[:, None] == theirs)).all()


def test_families_are_found_and_neither_all_the_same_nor_all_different_deceive() -> None:
    assert len(np.unique(clusters(_families(0, 7, 12).T))) == 7
    assert len(np.unique(clusters(_families(1, 1, 30).T))) == 1
    assert len(np.unique(clusters(_families(2, 30, 1).T))) == 30
    still = np.zeros((3, 50))
    still[2] = np.random.default_rng(3).normal(size=50)
    assert clusters(still).tolist() == [0, 0, 1]
    assert len(clusters(np.empty((0, 5)))) == 0


def test_a_sweep_of_few_bets_counts_as_few(tmp_path: Path) -> None:
    keep_sweep(tmp_path, "s1", _families(4, 5, 20))
    trials = count_trials(tmp_path, "sma_cross")
    assert (trials.raw, trials.distinct, trials.kept, trials.clusters, trials.effective) == (100, 100, 100, 5, 5.0)


def test_tries_on_other_bars_are_other_bets_and_another_try_is_seen(tmp_path: Path) -> None:
    keep_sweep(tmp_path, "s1", _families(5, 3, 10))
    assert count_trials(tmp_path, "sma_cross").effective == 3.0
    keep_sweep(tmp_path, "s2", _families(5, 3, 10) * 1.01, bar_set_id="GBPUSD-H1")
    assert count_trials(tmp_path, "sma_cross").effective == 6.0


def test_a_shorter_sweep_over_the_same_bars_is_compared_on_the_days_that_both_have(tmp_path: Path) -> None:
    returns = _families(6, 3, 10)
    keep_sweep(tmp_path, "s1", returns)
    keep_sweep(tmp_path, "s2", returns[:150])
    trials = count_trials(tmp_path, "sma_cross")
    assert (trials.raw, trials.clusters) == (60, 3)


def test_kept_runs_are_grouped_with_the_sweep(tmp_path: Path) -> None:
    returns = _families(7, 3, 10)
    keep_sweep(tmp_path, "s1", returns)
    keep_run(tmp_path, "r1", returns[:, 0] + 1e-6)
    keep_run(tmp_path, "r2", np.random.default_rng(8).normal(0, 0.01, 250))
    trials = count_trials(tmp_path, "sma_cross")
    assert (trials.raw, trials.clusters) == (32, 4)


@pytest.mark.parametrize(
    ("sizes", "distinct", "expected"),
    [
        ([], 12, 12.0),  # nothing is known: each is its own
        ([10, 20], 30, 2.0),  # all were seen
        ([1, 1, 2], 40, 30.0),  # too few were seen: their share of groups is taken for all
        ([10, 10, 10], 500, 3.0),  # every group was met often: there are no others
        ([10, 10, 10, 1, 1, 1, 2], 500, 7 + 3 * 2 / (2 * 2)),  # Chao's estimate of what was not met
        ([1] * 40, 45, 45.0),  # never more than there are
    ],
)
def test_the_effective_number_of_tries_that_were_not_all_seen(sizes: list[int], distinct: int, expected: float) -> None:
    assert effective_number(sizes, distinct) == expected


def test_groups_that_a_sample_missed_are_estimated() -> None:
    """Of 5,000 tries in 60 groups 300 are looked at: the estimate lies near 60, and far from 5,000."""
    rng = np.random.default_rng(9)
    sample = np.bincount(rng.choice(60, 300, p=rng.dirichlet(np.ones(60))), minlength=60)
    estimate = effective_number([int(size) for size in sample if size], 5_000)
    assert (sample > 0).sum() < estimate < 75


def test_counting_5000_tries_takes_a_moment(tmp_path: Path) -> None:
    for number in range(5):
        keep_sweep(tmp_path, f"s{number}", _families(number, 8, 125))
    count_trials(tmp_path, "nobody")  # the database and its statements are warm
    begin = time.perf_counter()
    trials = count_trials(tmp_path, "sma_cross")
    took = time.perf_counter() - begin
    assert (trials.raw, trials.effective) == (5_000, pytest.approx(40, abs=3))
    assert took < 5.0  # 0.2 s on a machine of its own


def test_effective_tries_scatter_at_least_as_their_estimates_do(tmp_path: Path) -> None:
    """Fifty twins scatter little because they share their luck: one bet, but not one that is known better."""
    keep_sweep(tmp_path, "s1", _families(10, 1, 50, own=0.05))
    run = keep_run(tmp_path, "r1", earning(1, 250, 1.0))
    store = BacktestStore.open(tmp_path)
    luck = luck_of(store, run)
    assert luck["trials"]["variance"] < 252 / 249
    assert luck["trials"]["effective"] == 2.0  # the twins, and the run itself
    assert luck["dsr"]["mark_effective"] > 0.5
    assert luck["dsr"]["effective"] < luck["sharpe"]["psr"]
    store.close()


def test_daily_returns_are_those_by_the_fx_day_and_are_read_from_their_own_file_afterwards(tmp_path: Path) -> None:
    daily = earning(2, 120, 1.0)
    run = keep_run(tmp_path, "r1", daily)
    store = BacktestStore.open(tmp_path)
    found = daily_returns(store, run)
    np.testing.assert_allclose(found.returns, daily, rtol=1e-9)
    assert sharpe_ratio(found.returns) == pytest.approx(run.sharpe)
    from components.backtest.honesty import daily as module

    module._REMEMBERED.clear()
    (tmp_path / "backtests" / "r1" / "equity.arrow").unlink()
    again = daily_returns(store, run)
    assert np.array_equal(again.days, found.days)
    store.close()


def test_days_of_hours_are_days_of_instants() -> None:
    import pandas as pd

    times = pd.date_range("2024-03-08", "2024-03-13", freq="7min", tz="UTC")
    assert np.array_equal(day_ids(times), FX_DAY.day_ids(times).to_numpy())
    assert len(day_ids(times[:0])) == 0
