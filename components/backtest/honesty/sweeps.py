"""Daily returns of the points of kept sweeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.backtest.store import BacktestStore
from components.backtest.studies import Study
from components.fx import NotFound

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class SweepReturns:
    """What the points of a sweep came to, day by day.

    Parameters
    ----------
    study_id : str
    numbers : tuple of int
        Of the points that were done.
    days : int64, shape (t,)
        Trading days since 1970-01-01; 0, 1, 2, … where the sweep did not keep them.
    returns : float64, shape (t, n)
        One column for each of `numbers`.
    """

    study_id: str
    numbers: tuple[int, ...]
    days: Ints
    returns: Floats


def sweep_returns(store: BacktestStore, study: Study) -> SweepReturns | None:
    """Daily returns of a sweep's points; None where fewer than two were done or none kept its returns."""
    try:
        frame = store.studies.frame(study.id, "returns")
    except NotFound:
        return _from_points(store, study)
    names = [name for name in frame.columns if name != "day"]
    if len(names) < 2 or not len(frame):
        return None
    days = frame["day"].to_numpy(dtype=np.int64)
    return SweepReturns(study.id, tuple(int(name) for name in names), days, frame[names].to_numpy(dtype=np.float64))


def _from_points(store: BacktestStore, study: Study) -> SweepReturns | None:
    """From the points themselves: a sweep that has not ended has no table yet."""
    kept = [(one.number, np.frombuffer(one.returns, dtype="<f8")) for one in store.studies.points(study.id, with_returns=True) if one.returns]
    length = max((len(row) for _, row in kept), default=0)
    kept = [(number, row) for number, row in kept if len(row) == length]
    if len(kept) < 2 or not length:
        return None
    return SweepReturns(study.id, tuple(number for number, _ in kept), np.arange(length), np.stack([row for _, row in kept], axis=1))


def newest_sweep(store: BacktestStore, strategy: str, bar_set_id: str | None) -> SweepReturns | None:
    """The newest finished sweep of a strategy over the same bars whose returns were kept."""
    if bar_set_id is None:
        return None
    for study in store.studies.studies("sweep", limit=200):
        if study.strategy == strategy and study.bar_set_id == bar_set_id and study.state == "done":
            found = sweep_returns(store, study)
            if found is not None:
                return found
    return None
