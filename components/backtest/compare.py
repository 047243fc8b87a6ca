"""Comparison of backtests: the winner by a chosen criterion, and what separates the others from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, cast

from components.backtest.execute import new_run_id
from components.backtest.store import BacktestStore, Comparison, StoredRun
from components.base import now_ms
from components.fx import BadInput

Criterion = Literal["sharpe", "return", "drawdown"]

_MERIT: dict[str, Callable[[StoredRun], float]] = {
    "sharpe": lambda run: run.sharpe,
    "return": lambda run: run.total_return,
    "drawdown": lambda run: -run.max_drawdown,
}


def compare(home: Path, ids: Sequence[str], criterion: Criterion | str = "sharpe") -> Comparison:
    """Compare stored backtests and keep the comparison.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    ids : sequence of str
        At least two different runs.
    criterion : {'sharpe', 'return', 'drawdown'}
        Highest Sharpe ratio, highest return or smallest drawdown wins; equal runs keep the order in which they were named.

    Returns
    -------
    Comparison

    Raises
    ------
    BadInput
        If there are fewer than two runs, one is named twice, or the criterion is unknown.
    NotFound
        If a run does not exist.
    """
    if criterion not in _MERIT:
        raise BadInput("criterion", f"{criterion!r} is unknown; use sharpe, return or drawdown")
    if isinstance(ids, str) or len(ids) < 2:
        raise BadInput("ids", "a comparison needs at least two runs")
    for place, run_id in enumerate(ids):
        if run_id in ids[:place]:
            raise BadInput(f"ids.{place}", f"run {run_id!r} is named twice")
    store = BacktestStore.open(home)
    try:
        runs = sorted((store.run(run_id) for run_id in ids), key=_MERIT[criterion], reverse=True)
        best = runs[0]
        rows = tuple(
            {
                "run_id": run.id,
                "name": run.name,
                "strategy": run.strategy,
                "source": run.source,
                "symbol": run.symbol,
                "trades": run.trades,
                "total_return": run.total_return,
                "sharpe": run.sharpe,
                "max_drawdown": run.max_drawdown,
                "delta_return": run.total_return - best.total_return,
                "delta_sharpe": run.sharpe - best.sharpe,
                "delta_drawdown": run.max_drawdown - best.max_drawdown,
            }
            for run in runs
        )
        return store.add_comparison(Comparison(new_run_id(), cast(Criterion, criterion), best.id, rows, now_ms()))
    finally:
        store.close()
