"""A backtest as files for others: signals for the Strategy Tester, tables, a page that stands alone."""

from components.backtest.exports.html import html_report
from components.backtest.exports.signals import SignalFile, export_signals, read_signals
from components.backtest.exports.tables import export_run

__all__ = ["SignalFile", "export_run", "export_signals", "html_report", "read_signals"]
