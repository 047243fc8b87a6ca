"""Our backtests beside the Strategy Tester's: which trade is which, and where the money differs."""

from components.backtest.matching.asked import ComparisonSpec, parse_comparison
from components.backtest.matching.report import compare_trades, compare_with_report

__all__ = ["ComparisonSpec", "compare_trades", "compare_with_report", "parse_comparison"]
