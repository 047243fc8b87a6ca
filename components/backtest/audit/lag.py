"""What a strategy earns when its decisions come late: a result that is gone one bar later lives on the bar that nobody could have traded."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from components.backtest.audit.report import LagRow
from components.backtest.findings import Finding
from components.backtest.run import Runner
from components.execution import DecisionArrays
from components.strategy import Params

LAGS = (-1, 0, 1, 2, 3)
SHARPE_WORTH = 1.0
"""Annualised Sharpe ratio from which a result is worth explaining."""
ERRORS_WORTH = 2.0
"""And how many of its standard errors it must lie above zero: Sharpe × √years."""
SHARE_KEPT = 0.25
"""Share of the Sharpe ratio that must be left when every decision is one bar late."""
DAYS_PER_YEAR = 252.0


def delayed(decisions: DecisionArrays, lag: int) -> DecisionArrays:
    """The same decisions `lag` bars later (earlier where negative); rows without one wish for nothing. Constants stay."""
    if lag == 0:
        return decisions
    moved = {}
    for name, column in decisions._asdict().items():
        if len(column) == 1:
            moved[name] = column
            continue
        shifted = np.roll(column, lag, axis=0)
        if name in ("side", "exit"):
            shifted[slice(0, lag) if lag > 0 else slice(lag, None)] = 0
        moved[name] = shifted
    return DecisionArrays(**moved)


def lag_table(runner: Runner, params: Params, decisions: DecisionArrays) -> tuple[LagRow, ...]:
    """One backtest for each of `LAGS`."""
    rows = []
    for lag in LAGS:
        stats = runner.run(params, decisions=delayed(decisions, lag)).stats
        rows.append(LagRow(lag, stats["sharpe"], stats["total_return"], stats["trades"], int(sum(stats["refused"].values()))))
    return tuple(rows)


def judge_lags(lags: tuple[LagRow, ...], days: int) -> Finding | None:
    """A doubt where a Sharpe ratio that is worth explaining loses three quarters or more in one bar.

    Fast rules fade honestly too, so this is a doubt and no proof; ``early`` says what one bar of foresight would have been worth.
    """
    table = {row.lag: row for row in lags}
    on_time, late = table[0].sharpe, table[1].sharpe
    years = days / DAYS_PER_YEAR
    if on_time < SHARPE_WORTH or on_time * math.sqrt(years) < ERRORS_WORTH or late >= SHARE_KEPT * on_time:
        return None
    return Finding(
        "lag_decay",
        "Gone one bar later",
        "doubt",
        f"The Sharpe ratio falls from {on_time:.2f} to {late:.2f} when every decision comes one bar late; at least {SHARE_KEPT:.0%} should be left.",
        {"sharpe_by_lag": {str(row.lag): row.sharpe for row in lags}, "share_kept": late / on_time, "threshold": SHARE_KEPT},
        "Look for a value that is not known at the bar's close. If there is none, the edge lies in the first bar after the signal: test it on a "
        "finer timeframe with slippage.",
    )


def as_rows(column: NDArray[np.generic], rows: int) -> NDArray[np.generic]:
    """A column of decisions of one symbol, shape (rows,)."""
    return np.broadcast_to(column[:, 0], rows) if len(column) == 1 else column[:, 0]
