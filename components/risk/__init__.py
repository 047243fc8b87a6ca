"""Sizing and limits, compiled: the same functions when an order is born in a backtest, on paper and live."""

from components.risk.exposure import check_account, has_account_limits
from components.risk.sizing import Z_MAX_POSITIONS, Z_UNSTOPPED_MOVE, Limits, Sizing, accepted_lots, check_birth, lots_for, stop_distance_of

__all__ = [
    "Z_MAX_POSITIONS",
    "Z_UNSTOPPED_MOVE",
    "Limits",
    "Sizing",
    "accepted_lots",
    "check_account",
    "check_birth",
    "has_account_limits",
    "lots_for",
    "stop_distance_of",
]
