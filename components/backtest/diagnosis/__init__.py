"""The diagnosis of a backtest: small checks, each with what it found, its numbers, and what to do."""

from components.backtest.diagnosis import checks_book, checks_cost, checks_data, checks_profit, checks_time  # noqa: F401 — they register themselves
from components.backtest.diagnosis.bounds import BOUNDS
from components.backtest.diagnosis.check import CHECKS, Check, diagnose
from components.backtest.diagnosis.evidence import Evidence, evidence_of

__all__ = ["BOUNDS", "CHECKS", "Check", "Evidence", "diagnose", "evidence_of"]
