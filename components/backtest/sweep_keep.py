"""The points of a sweep on their way to the disk: counted in the trial ledger first, then kept in the study."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.backtest.store import BacktestStore
from components.backtest.studies import Point, Study, StudyState
from components.backtest.sweep_run import SweptPoint
from components.backtest.sweep_spec import SweepSpec, merit
from components.backtest.sweep_surface import points_frame
from components.ledger import TrialLedger, code_version

Document = dict[str, Any]
KEEP_EVERY_S = 1.0
KEEP_AT_MOST = 256
"""Points that wait for the disk at most: what a crash costs is run again."""
LEDGER_METRICS = ("sharpe", "days", "trades", "total_return", "max_drawdown", "error")


class KeptPoints:
    """What is known of one sweep's points; close it after use.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    spec : SweepSpec

    Attributes
    ----------
    done, failed, ranked : int
    merits : dict of int to float or None
        By number of the point: how good it is, more being better; None where it failed or is not ranked.
    best : dict or None
        ``number``, ``params`` and ``metrics`` of the best point so far; of equal ones the one with the lower number.
    """

    def __init__(self, home: Path, spec: SweepSpec) -> None:
        self.spec = spec
        self.done = self.failed = self.ranked = 0
        self.merits: dict[int, float | None] = {}
        self.best: Document | None = None
        self.first_error = ""
        self._backtests = BacktestStore.open(home)
        self._studies = self._backtests.studies
        self._ledger = TrialLedger.open(home)
        self._waiting: list[SweptPoint] = []
        self._flushed = time.monotonic()
        self.study_id = ""

    def begin(self, study: Study) -> Study:
        """Write the study down, or find it where a job goes on; a study that had ended some other way than done runs again."""
        known = self._studies.start(study)
        self.study_id = known.id
        if known.state not in ("done", "running"):
            known = self._studies.finish(known.id, "running", known.result)
        for point in self._studies.points(known.id):
            self._count(point.number, point.params, point.state, point.metrics)
        return known

    def take(self, point: SweptPoint) -> bool:
        """Count a point; True where those that wait should be flushed now."""
        self._waiting.append(point)
        self._count(point.number, point.params, point.state, point.metrics)
        return len(self._waiting) >= KEEP_AT_MOST or time.monotonic() - self._flushed >= KEEP_EVERY_S

    def flush(self, result: Mapping[str, Any]) -> None:
        """Put the points that wait, and what the study came to so far, on disk."""
        waiting, self._waiting = self._waiting, []
        # The ledger first: a crash between the two runs these points again, and the ledger knows them by their ids.
        self._ledger.append_many(self._trial(point) for point in waiting)
        self._studies.add_points(self.study_id, [_point(point) for point in waiting])
        self._studies.finish(self.study_id, "running", result)
        self._flushed = time.monotonic()

    def table(self, names: Sequence[str]) -> pd.DataFrame:
        """The points that are on disk, as `points_frame` makes them."""
        return points_frame(self._studies.points(self.study_id), names)

    def conclude(self, state: StudyState, result: Mapping[str, Any], names: Sequence[str], days: NDArray[np.int64]) -> Study:
        """Keep the tables of the points that are on disk, and say how the study ended.

        Parameters
        ----------
        state, result
            As for `StudyStore.finish`.
        names : sequence of str
            The parameters that vary.
        days : int64, shape (d,)
            Trading days of the daily returns.
        """
        self._studies.keep_frame(self.study_id, "points", self.table(names))
        columns = {
            str(point.number): np.frombuffer(point.returns, dtype="<f8")
            for point in self._studies.points(self.study_id, with_returns=True)
            if point.returns is not None
        }
        self._studies.keep_frame(self.study_id, "returns", pd.DataFrame({"day": days, **columns}))
        return self._studies.finish(self.study_id, state, result)

    def close(self) -> None:
        """Close the stores."""
        self._ledger.close()
        self._backtests.close()

    def _count(self, number: int, params: Document, state: str, metrics: Document) -> None:
        self.done += state == "done"
        self.failed += state == "failed"
        value = merit(metrics, self.spec.criterion, self.spec.min_trades) if state == "done" else None
        self.merits[number] = value
        if state == "failed":
            self.first_error = self.first_error or str(metrics.get("error", ""))
        if value is None:
            return
        self.ranked += 1
        before = None if self.best is None else (self.merits[self.best["number"]], -self.best["number"])
        if before is None or (value, -number) > before:
            self.best = {"number": number, "params": params, "metrics": metrics}

    def _trial(self, point: SweptPoint) -> Document:
        metrics = {name: point.metrics[name] for name in LEDGER_METRICS if name in point.metrics}
        return {
            "family": self.spec.strategy,
            "strategy": self.spec.strategy,
            "params": point.params,
            "dataset_id": self.spec.bar_set_id,
            "code_version": code_version(),
            "kind": "sweep_point",
            "state": point.state,
            "metrics": metrics if self.spec.part == 1.0 else metrics | {"part": self.spec.part},
            "returns_digest": point.metrics.get("returns_digest"),
            "trial_id": f"{self.study_id}-{point.number}",
        }


def _point(point: SweptPoint) -> Point:
    returns = None if point.daily is None else np.ascontiguousarray(point.daily, dtype="<f8").tobytes()
    return Point(point.number, point.params, point.state, point.metrics, returns)
