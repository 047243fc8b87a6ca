"""From a column that moved to the function that moved it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from components.backtest.audit.asked import Asked, differing
from components.backtest.audit.blame import Blame, blame
from components.backtest.audit.marks import Past
from components.backtest.audit.report import AuditLeak
from components.backtest.audit.search import Move
from components.features import other_future

BEFORE, BEHIND = 600, 120
"""Bars around the cut over which a strategy is recorded, where the column moves there too: marks of few bars are made quickly."""


def leak_of(asked: Asked, bars: pd.DataFrame, move: Move) -> AuditLeak:
    """What moved, with the function that moved it."""
    try:
        found = blame_of(asked, bars, move)
    except Exception:  # whatever a strategy does under a trace: that it leaks is known, and must be said
        decide = asked.strategy.decide
        found = Blame(f"{getattr(decide, '__module__', '')}.{getattr(decide, '__qualname__', type(decide).__name__)}", "")
    return AuditLeak(move.column, found.function, found.place, found.expression, move.kind, move.row, move.cut)


def blame_of(asked: Asked, bars: pd.DataFrame, move: Move) -> Blame:
    """The function that moved a column, found by running the strategy twice, recorded line by line."""
    first, end = _fewest(asked, bars, move)
    part = bars.iloc[first:end]
    other = other_future(part, move.cut - first, move.kind, move.seed)
    cut = move.cut - first
    is_model = move.column.startswith("probabilities.")

    def run(chosen: pd.DataFrame) -> Callable[[], tuple[Callable[..., Any], tuple[Any, ...]]]:
        if is_model and callable(asked.probabilities):
            model = asked.probabilities
            return lambda: (model, (chosen.copy(),))
        return lambda: (asked.strategy.decide, (chosen.copy(), asked.context(chosen), asked.params))

    column = None if is_model else move.column
    return blame(run(part), run(other), Past(len(part), cut), Past(len(other), cut), column)


def _fewest(asked: Asked, bars: pd.DataFrame, move: Move) -> tuple[int, int]:
    """A stretch of bars in which the column moves: around the cut where that is enough, else the one in which it was seen."""
    first, end = max(move.first, move.row - BEFORE), min(move.end, move.cut + 1 + BEHIND)
    if move.cut - first < 4 * BEFORE and (first, end) != (move.first, move.end):
        part = bars.iloc[first:end]
        try:
            before = asked.columns(part)[move.column]
            after = asked.columns(other_future(part, move.cut - first, move.kind, move.seed))[move.column]
        except Exception:  # too short for this strategy, in whatever way it says so: the stretch in which it was seen is not
            return move.first, move.end
        if differing(before, after, 0, move.cut - first).any():
            return first, end
    return move.first, move.end
