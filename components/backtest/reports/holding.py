"""How long positions were held, as the Strategy Tester counts it: without the 48 hours of each weekend. A check on which deal closed which."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from components.backtest.reports.document import TesterReport

DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
# 1970-01-03 was a Saturday.
FIRST_SATURDAY_MS = 2 * DAY_MS


def held_ms(entry_raw_ms: np.ndarray, exit_raw_ms: np.ndarray) -> np.ndarray:
    """Time between two instants of the broker's clock less its Saturdays and Sundays, milliseconds, shape (n,) to (n,)."""
    return np.asarray(_trading_ms(exit_raw_ms) - _trading_ms(entry_raw_ms))


def _trading_ms(at: np.ndarray) -> np.ndarray:
    weeks, into = np.divmod(np.asarray(at, dtype=np.int64) - FIRST_SATURDAY_MS, WEEK_MS)
    return np.asarray(weeks * (WEEK_MS - 2 * DAY_MS) + np.maximum(into - 2 * DAY_MS, 0))


def holding_times(report: TesterReport, trades: pd.DataFrame) -> dict[str, Any]:
    """Whether the shortest and the longest holding time of the report are those of the trades; None where it says none or no trade was made.

    Found on six real reports, builds 3092 to 6104: the mean follows from the sums of the deals alone, but the extremes only from right pairs.
    """
    said = [_seconds(report.values.get(name)) for name in ("minimal_holding_time", "maximal_holding_time")]
    if trades.empty or None in said:
        return {"holding_times_agree": None}
    held = held_ms(trades["entry_raw_ms"].to_numpy(), trades["exit_raw_ms"].to_numpy()) // 1000
    return {"holding_times_agree": bool([int(held.min()), int(held.max())] == said)}


def _seconds(text: Any) -> int | None:
    parts = str(text or "").split(":")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 8 for part in parts):
        return None
    hours, minutes, seconds = (int(part) for part in parts)
    return hours * 3600 + minutes * 60 + seconds
