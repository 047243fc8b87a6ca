"""Comparison of backtests: the winner by a chosen criterion, what separates the others from it, and whether that is more than chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.backtest.store import BacktestStore, Comparison, StoredRun
from components.backtest.work import new_run_id
from components.base import now_ms
from components.fx import BadInput, NotFound, Timeframe

Criterion = Literal["sharpe", "return", "drawdown", "profit_factor", "calmar", "dsr"]
Row = dict[str, Any]
DRAWS = 1_000
FEWEST_COMMON_DAYS = 20

# More is better; what a run has not (a profit factor without trades) is worse than anything.
_MERIT: dict[str, Callable[[Row], float]] = {
    "sharpe": lambda row: row["sharpe"],
    "return": lambda row: row["total_return"],
    "drawdown": lambda row: -row["max_drawdown"],
    "profit_factor": lambda row: _or_worst(row["profit_factor"], math.inf if row["total_return"] > 0 else -math.inf),
    "calmar": lambda row: _or_worst(row["calmar"], math.inf if row["total_return"] > 0 else -math.inf),
    "dsr": lambda row: _or_worst(row["dsr"], -math.inf),
}
_DELTAS = {
    "delta_return": "total_return",
    "delta_sharpe": "sharpe",
    "delta_drawdown": "max_drawdown",
    "delta_profit_factor": "profit_factor",
    "delta_calmar": "calmar",
    "delta_dsr": "dsr",
}


def compare(home: Path, ids: Sequence[str], criterion: Criterion | str = "sharpe") -> Comparison:
    """Compare stored backtests and keep the comparison.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    ids : sequence of str
        At least two different runs.
    criterion : {'sharpe', 'return', 'drawdown', 'profit_factor', 'calmar', 'dsr'}
        Highest Sharpe ratio, return, profit factor, Calmar ratio or deflated Sharpe ratio, or smallest drawdown wins; equal runs keep the order
        in which they were named.

    Returns
    -------
    Comparison
        Its rows have, beside what `Comparison` says, ``profit_factor``, ``calmar`` (None without a drawdown), ``dsr`` (after the effective
        number of tries; None where the returns say nothing), their ``delta_…``, and ``against_winner``, see `against`; None in the winner's own
        row. Comparisons of earlier versions have none of these.

    Raises
    ------
    BadInput
        If there are fewer than two runs, one is named twice, or the criterion is unknown.
    NotFound
        If a run does not exist.
    """
    if criterion not in _MERIT:
        raise BadInput("criterion", f"{criterion!r} is unknown; use one of {', '.join(_MERIT)}")
    if isinstance(ids, str) or len(ids) < 2:
        raise BadInput("ids", "a comparison needs at least two runs")
    for place, run_id in enumerate(ids):
        if run_id in ids[:place]:
            raise BadInput(f"ids.{place}", f"run {run_id!r} is named twice")
    store = BacktestStore.open(home)
    try:
        runs = {run_id: store.run(run_id) for run_id in ids}
        rows = sorted((_row(store, run) for run in runs.values()), key=_MERIT[criterion], reverse=True)
        best = rows[0]
        for row in rows:
            row |= {name: _difference(row[field], best[field]) for name, field in _DELTAS.items()}
        for row in rows:
            row["against_winner"] = None if row is best else against(store, runs[row["run_id"]], runs[best["run_id"]])
        return store.add_comparison(Comparison(new_run_id(), cast(Any, criterion), best["run_id"], tuple(rows), now_ms()))
    finally:
        store.close()


def against(store: BacktestStore, run: StoredRun, winner: StoredRun) -> Row | None:
    """How a run differs from the winner, and how much of it is the same bet.

    Returns
    -------
    dict or None
        ``days`` (common), ``p_sharpe`` and ``p_mean`` (chance of such a difference of Sharpe ratios and of mean returns between two that are
        equally good, see `sharpe_difference`), ``correlation`` of daily returns, ``time_overlap`` and ``entry_overlap`` (see `overlap`; None
        on different symbols). Each is None where it cannot be said; None in place of all where the files of a run are gone.
    """
    from components.backtest.honesty.bootstrap import sharpe_difference
    from components.backtest.honesty.daily import daily_returns

    try:
        mine, theirs = daily_returns(store, run).common(daily_returns(store, winner))
        trades = store.trades(run.id), store.trades(winner.id)
    except NotFound:
        return None
    difference = sharpe_difference(mine, theirs, draws=DRAWS) if len(mine) >= FEWEST_COMMON_DAYS else None
    moves = len(mine) >= FEWEST_COMMON_DAYS and min(mine.std(), theirs.std()) > 1e-15
    # On another symbol the same side is another bet.
    time, entries = overlap(*trades, bar_ms=max(_bar_ms(run), _bar_ms(winner))) if run.symbol == winner.symbol else (None, None)
    return {
        "days": len(mine),
        "p_sharpe": None if difference is None else difference.p_sharpe,
        "p_mean": None if difference is None else difference.p_mean,
        "correlation": float(np.corrcoef(mine, theirs)[0, 1]) if moves else None,
        "time_overlap": time,
        "entry_overlap": entries,
    }


def overlap(trades: pd.DataFrame, others: pd.DataFrame, *, bar_ms: int) -> tuple[float | None, float | None]:
    """How far two runs hold the same trades.

    Parameters
    ----------
    trades, others : DataFrame
        Trades of both; times name bars by their open.
    bar_ms : int
        Length of the longer of their bars, in milliseconds; 0 where it is unknown.

    Returns
    -------
    tuple of (float or None, float or None)
        Of the time in which either is in the market, the share in which both are on the same side; and the share of `trades` that have an
        entry of `others` on the same side within one bar. None where there is no such time, or no trade.
    """
    times: list[NDArray[np.int64]] = []
    for frame in (trades, others):
        times += [_ms(frame["entry_time"]), _ms(frame["exit_time"]) + bar_ms]
    marks = np.unique(np.concatenate(times))
    lengths = np.diff(marks)
    inside = [
        [_covered(marks, enter[frame["side"] == side], leave[frame["side"] == side]) for side in (1, -1)]
        for frame, enter, leave in ((trades, times[0], times[1]), (others, times[2], times[3]))
    ]
    both = (inside[0][0] & inside[1][0]) | (inside[0][1] & inside[1][1])
    either = inside[0][0] | inside[0][1] | inside[1][0] | inside[1][1]
    in_market = float(lengths[either].sum())
    near = 0
    for side in (1, -1):
        mine = times[0][trades["side"] == side]
        theirs = np.sort(times[2][others["side"] == side])
        if len(theirs):
            near += int((np.searchsorted(theirs, mine - bar_ms, "left") < np.searchsorted(theirs, mine + bar_ms, "right")).sum())
    return float(lengths[both].sum()) / in_market if in_market else None, near / len(trades) if len(trades) else None


def _row(store: BacktestStore, run: StoredRun) -> Row:
    from components.backtest.honesty.luck import luck_of
    from components.backtest.sweep_run import calmar

    try:
        dsr = luck_of(store, run)["dsr"]
    except NotFound:
        dsr = None
    return {
        "run_id": run.id,
        "name": run.name,
        "strategy": run.strategy,
        "source": run.source,
        "symbol": run.symbol,
        "trades": run.trades,
        "total_return": run.total_return,
        "sharpe": run.sharpe,
        "max_drawdown": run.max_drawdown,
        "profit_factor": run.stats.get("profit_factor") if run.trades else None,
        "calmar": calmar({"total_return": run.total_return, "days": run.stats.get("days", 0), "max_drawdown": run.max_drawdown}),
        "dsr": None if dsr is None else dsr["effective"],
    }


def _or_worst(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _difference(value: float | None, best: float | None) -> float | None:
    return None if value is None or best is None else value - best


def _bar_ms(run: StoredRun) -> int:
    try:
        return Timeframe.named(run.timeframe).ms
    except BadInput:
        return 0


def _ms(times: pd.Series) -> NDArray[np.int64]:
    return pd.DatetimeIndex(times).as_unit("ms").asi8


def _covered(marks: NDArray[np.int64], enter: NDArray[np.int64], leave: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which spans between marks lie inside any of the intervals, shape (marks − 1,)."""
    steps = np.zeros(len(marks), dtype=np.int64)
    np.add.at(steps, np.searchsorted(marks, enter), 1)
    np.add.at(steps, np.searchsorted(marks, leave), -1)
    return np.asarray(np.cumsum(steps)[:-1] > 0, dtype=np.bool_)
