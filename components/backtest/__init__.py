"""Backtests: run, keep, compare, import; and the reference run in backtesting.py. The store is ``backtest_results.db``."""

from components.backtest.compare import Criterion, compare
from components.backtest.execute import BacktestSpec, execute_backtest, parse_spec
from components.backtest.imports import ImportedBacktest, ImportedTrade, import_backtest
from components.backtest.rates import Conversion, conversion_for, rates_for
from components.backtest.reference import ReferenceRun, run_reference
from components.backtest.run import TRADE_COLUMNS, Result, closed_trades, run_backtest
from components.backtest.store import BacktestStore, Comparison, StoredRun
from components.backtest.studies import Point, Study, StudyStore

__all__ = [
    "TRADE_COLUMNS",
    "BacktestSpec",
    "BacktestStore",
    "Comparison",
    "Conversion",
    "Criterion",
    "ImportedBacktest",
    "ImportedTrade",
    "Point",
    "ReferenceRun",
    "Result",
    "StoredRun",
    "Study",
    "StudyStore",
    "closed_trades",
    "compare",
    "conversion_for",
    "execute_backtest",
    "import_backtest",
    "parse_spec",
    "rates_for",
    "run_backtest",
    "run_reference",
]
