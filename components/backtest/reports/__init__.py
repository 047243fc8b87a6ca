"""What the Strategy Tester of MetaTrader 5 leaves, read and checked: reports, optimisations, tables of deals."""

from components.backtest.reports.clocks import clock_named
from components.backtest.reports.imported import import_report, platform_symbol, recognise

__all__ = ["clock_named", "import_report", "platform_symbol", "recognise"]
