"""The quick statistics of one kept run: its Sharpe ratio with its error, how often it was tried, and what is left of it."""

from __future__ import annotations

import math
from typing import Any

from components.backtest.honesty.daily import daily_returns
from components.backtest.honesty.sharpe import (
    TRADING_DAYS,
    annualised,
    deflated_sharpe,
    expected_max_sharpe,
    min_track_record,
    probabilistic_sharpe,
    sharpe_facts,
)
from components.backtest.honesty.trials import TrialCount, count_trials
from components.backtest.store import BacktestStore, StoredRun

Document = dict[str, Any]


def luck_of(store: BacktestStore, run: StoredRun, trials: TrialCount | None = None) -> Document:
    """Quick statistics of a run, plain JSON.

    Parameters
    ----------
    store : BacktestStore
    run : StoredRun
    trials : TrialCount, optional
        Of the run's family, where it was counted already.

    Returns
    -------
    dict
        ``sharpe``: days, annual, error (annual), skew, kurtosis, psr (probability that it is above 0), min_track_days (None where no length is
        enough) and track_reached; None where the returns say nothing. ``trials``: family, raw, distinct, effective, kept, clusters, variance
        (of annual Sharpe ratios at the run's length, None without ``sharpe``), states, kinds, code_versions, datasets. ``dsr``: raw, distinct and effective, with
        mark_raw, mark_distinct and mark_effective (annual Sharpe ratio that the best of so many tries shows by luck); None without ``sharpe``.

    Raises
    ------
    NotFound
        If the run's equity is gone.
    """
    counted = trials or count_trials(store.home, run.strategy)
    facts = sharpe_facts(daily_returns(store, run).returns)
    tries: Document = {
        "family": counted.family,
        "raw": max(counted.raw, 1),
        "distinct": max(counted.distinct, 1),
        "effective": counted.effective,
        "kept": counted.kept,
        "clusters": counted.clusters,
        "variance": None if facts is None else counted.daily_variance(facts) * TRADING_DAYS,
        "states": counted.tally.states,
        "kinds": counted.tally.kinds,
        "code_versions": counted.tally.code_versions,
        "datasets": counted.tally.datasets,
    }
    if facts is None:
        return {"sharpe": None, "trials": tries, "dsr": None}
    needed = min_track_record(facts)
    sharpe = {
        "days": facts.days,
        "annual": annualised(facts.sharpe),
        "error": annualised(facts.error),
        "skew": facts.skew,
        "kurtosis": facts.kurtosis,
        "psr": probabilistic_sharpe(facts),
        "min_track_days": None if math.isinf(needed) else needed,
        "track_reached": facts.days >= needed,
    }
    dsr: Document = {}
    for name in ("raw", "distinct", "effective"):
        variance = counted.daily_variance(facts, independent=name == "effective")
        dsr[name] = deflated_sharpe(facts, tries[name], variance)
        dsr[f"mark_{name}"] = annualised(expected_max_sharpe(tries[name], variance))
    return {"sharpe": sharpe, "trials": tries, "dsr": dsr}
