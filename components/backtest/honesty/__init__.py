# ruff: noqa: F401
"""Is it real? Statistics on whether a backtest is luck: deflated Sharpe ratio, overfitting, bootstrap, Monte Carlo, entries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components import lazy_front

if TYPE_CHECKING:
    from components.backtest.honesty.bootstrap import (
        Difference,
        SuperiorAbility,
        block_length,
        sharpe_difference,
        stationary_indices,
        superior_ability,
    )
    from components.backtest.honesty.daily import DailyReturns, daily_of, daily_returns, day_ids
    from components.backtest.honesty.entries import EntryTest, entry_significance
    from components.backtest.honesty.examination import HonestySpec, examine, parse_honesty
    from components.backtest.honesty.luck import luck_of
    from components.backtest.honesty.montecarlo import TradePaths, costlier_profits, trade_paths, trade_returns
    from components.backtest.honesty.overfitting import Overfitting, backtest_overfitting
    from components.backtest.honesty.resampling import BarPaths, bar_paths, resample_bars
    from components.backtest.honesty.sharpe import (
        SharpeFacts,
        annualised,
        deflated_sharpe,
        expected_max_sharpe,
        min_track_record,
        probabilistic_sharpe,
        sharpe_error,
        sharpe_facts,
    )
    from components.backtest.honesty.trials import TrialCount, clusters, count_trials

# Imported when first asked for: a page that wants a Sharpe ratio need not load what reruns strategies.
__getattr__, __all__ = lazy_front(__name__, __file__)
