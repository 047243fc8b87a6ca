# ruff: noqa: F401
"""Backtests: run, keep, compare, import; and the reference run in backtesting.py. The store is ``backtest_results.db``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components import lazy_front

if TYPE_CHECKING:
    from components.backtest.compare import Criterion, compare
    from components.backtest.execute import BacktestSpec, Inputs, execute_backtest, load_inputs, parse_spec, runner_for
    from components.backtest.findings import Finding
    from components.backtest.imports import ImportedBacktest, ImportedTrade, import_backtest
    from components.backtest.rates import Conversion, conversion_for, rates_for
    from components.backtest.reference import ReferenceRun, run_reference
    from components.backtest.run import Measured, Result, Runner, run_backtest
    from components.backtest.store import BacktestStore, Comparison, StoredRun
    from components.backtest.studies import Point, Study, StudyStore
    from components.backtest.trades import TRADE_COLUMNS, closed_trades, measures

# Imported when first asked for: a fresh process must not pay for what it does not use.
__getattr__, __all__ = lazy_front(__name__, __file__)
