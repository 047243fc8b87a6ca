"""Daily returns of kept runs, by FX day."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.backtest.frames import read_frame, write_frame
from components.backtest.store import BacktestStore, StoredRun
from components.backtest.trades import daily_returns as returns_by_day
from components.backtest.trades import last_of_day
from components.fx import FX_DAY, NotFound

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MS_PER_HOUR = 3_600_000
MOST_REMEMBERED = 1_000
_REMEMBERED: dict[tuple[str, int], DailyReturns] = {}


@dataclass(frozen=True)
class DailyReturns:
    """Returns by day.

    Parameters
    ----------
    days : int64, shape (n,)
        Trading days since 1970-01-01, increasing.
    returns : float64, shape (n,)
        Simple returns; read-only.
    """

    days: Ints
    returns: Floats

    def common(self, other: DailyReturns) -> tuple[Floats, Floats]:
        """The returns of both on the days that both have, shape (m,) each."""
        _, mine, theirs = np.intersect1d(self.days, other.days, assume_unique=True, return_indices=True)
        return self.returns[mine], other.returns[theirs]


def day_ids(times: pd.DatetimeIndex) -> Ints:
    """FX day of every instant, shape (n,); an FX day turns on the hour, so that each run of instants of one hour is asked about once."""
    hours = times.as_unit("ms").asi8 // MS_PER_HOUR
    if not len(hours):
        return np.empty(0, dtype=np.int64)
    first = np.flatnonzero(np.diff(hours, prepend=hours[0] - 1))
    ids = FX_DAY.day_ids(times[first]).to_numpy(dtype=np.int64)
    return np.repeat(ids, np.diff(first, append=len(hours)))


def daily_of(equity: pd.Series, balance: float) -> DailyReturns:
    """Daily returns of an equity curve with UTC index, shape (n,), that began at `balance`."""
    values = equity.to_numpy(dtype=np.float64)
    days = day_ids(pd.DatetimeIndex(equity.index))
    returns = returns_by_day(values, last_of_day(days), balance) if len(values) else values.copy()
    returns.flags.writeable = False
    return DailyReturns(days[last_of_day(days)], returns)


def balance_of(run: StoredRun) -> float:
    """The balance that a run began with, in account currency."""
    stats = run.stats
    if "final_equity" in stats and "net_profit" in stats:
        return float(stats["final_equity"]) - float(stats["net_profit"])
    account = run.spec.get("account") or {}
    return float(account.get("balance") or run.spec.get("balance") or 10_000.0)


def daily_returns(store: BacktestStore, run: StoredRun) -> DailyReturns:
    """Daily returns of a kept run.

    A run never changes: they are remembered, and kept beside its equity, which has a row for every bar and takes a hundred times as long to read.

    Raises
    ------
    NotFound
        If its equity is gone.
    """
    path = store.home.absolute() / "backtests" / run.id / "daily.arrow"
    known = (str(path), run.created_ms)
    if known not in _REMEMBERED:
        while len(_REMEMBERED) >= MOST_REMEMBERED:
            _REMEMBERED.pop(next(iter(_REMEMBERED)), None)
        _REMEMBERED[known] = _read(path) or _keep(path, daily_of(store.equity(run.id)["equity"], balance_of(run)))
    return _REMEMBERED[known]


def _read(path: Path) -> DailyReturns | None:
    try:
        frame = read_frame(path)
    except NotFound:
        return None
    return DailyReturns(frame["day"].to_numpy(dtype=np.int64), frame["return"].to_numpy(dtype=np.float64))


def _keep(path: Path, daily: DailyReturns) -> DailyReturns:
    with suppress(OSError):  # a disk that is full or read-only: they are computed again next time
        write_frame(path, pd.DataFrame({"day": daily.days, "return": daily.returns}))
    return daily
