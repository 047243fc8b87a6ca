# ruff: noqa: F401
"""Backtests: run, keep, compare, import; and the reference run in backtesting.py. The store is ``backtest_results.db``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components import lazy_front

if TYPE_CHECKING:
    from components.backtest.audit import AuditLeak, AuditReport, AuditSpec, audit_strategy, execute_audit, parse_audit
    from components.backtest.compare import Criterion, compare
    from components.backtest.cpcv import CpcvSplit, cpcv_paths, cpcv_splits
    from components.backtest.diagnosis import Evidence, diagnose, evidence_of
    from components.backtest.execute import BacktestSpec, Inputs, execute_backtest, load_inputs, parse_spec, runner_for
    from components.backtest.exports import SignalFile, export_run, export_signals, html_report, read_signals
    from components.backtest.findings import Finding
    from components.backtest.honesty.bootstrap import Difference, SuperiorAbility, block_length, sharpe_difference, superior_ability
    from components.backtest.honesty.daily import DailyReturns, daily_returns
    from components.backtest.honesty.entries import EntryTest, entry_significance
    from components.backtest.honesty.examination import HonestySpec, examine, parse_honesty
    from components.backtest.honesty.luck import luck_of
    from components.backtest.honesty.montecarlo import TradePaths, trade_paths, trade_returns
    from components.backtest.honesty.overfitting import Overfitting, backtest_overfitting
    from components.backtest.honesty.sharpe import (
        SharpeFacts,
        deflated_sharpe,
        expected_max_sharpe,
        min_track_record,
        probabilistic_sharpe,
        sharpe_facts,
    )
    from components.backtest.honesty.sweeps import SweepReturns, sweep_returns
    from components.backtest.honesty.trials import TrialCount, count_trials
    from components.backtest.imports import ImportedBacktest, ImportedTrade, import_backtest
    from components.backtest.matching import ComparisonSpec, compare_trades, compare_with_report, parse_comparison
    from components.backtest.portfolio import Leg, PortfolioResult, run_portfolio
    from components.backtest.portfolio_run import LegSpec, PortfolioSpec, execute_portfolio, parse_portfolio
    from components.backtest.rates import Conversion, conversion_for, rates_for
    from components.backtest.reference import ReferenceRun, run_reference
    from components.backtest.reports import clock_named, import_report
    from components.backtest.run import FinerBars, Measured, Result, Runner, run_backtest
    from components.backtest.slices import CRISES, Slice, run_slices
    from components.backtest.slippage import FillSlippage, slippage_from_fills
    from components.backtest.store import BacktestStore, Comparison, StoredRun
    from components.backtest.studies import Point, Study, StudyStore
    from components.backtest.sweep import execute_sweep
    from components.backtest.sweep_points import Plan, PlannedPoint, plan_points
    from components.backtest.sweep_run import SweepCrew, SweptPoint, run_sweep
    from components.backtest.sweep_spec import Axis, Span, SweepSpec, axes_of, merit, parse_sweep_spec
    from components.backtest.sweep_surface import best_points, neighbourhood, points_frame, surface
    from components.backtest.trades import TRADE_COLUMNS, closed_trades, measures
    from components.backtest.verdict import THRESHOLDS, Verdict, leaderboard, verdict
    from components.backtest.walkforward import execute_walkforward
    from components.backtest.walkforward_findings import walkforward_findings
    from components.backtest.walkforward_spec import RefitSpec, WalkForwardSpec, parse_walkforward
    from components.backtest.walkforward_windows import Window, walk_windows

# Imported when first asked for: a fresh process must not pay for what it does not use.
__getattr__, __all__ = lazy_front(__name__, __file__)
