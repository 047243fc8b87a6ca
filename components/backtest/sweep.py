"""Sweeps that are kept: every point in the study's store and in the trial ledger; cancelled, killed and resumed without losing or doubling one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from components.backtest.execute import BacktestSpec, Inputs, execute_backtest, load_inputs, runner_for
from components.backtest.studies import Study
from components.backtest.sweep_keep import KeptPoints
from components.backtest.sweep_points import OptunaPoints, PlannedPoint, plan_points
from components.backtest.sweep_run import SweepCrew
from components.backtest.sweep_spec import SweepSpec, axes_of, parse_sweep_spec
from components.backtest.sweep_surface import neighbourhood
from components.backtest.work import Progress, kept_id, silent
from components.base import get_log, load_settings
from components.fx import BadInput
from components.jobs import JobCancelled
from components.ledger import code_version
from components.strategy import strategy

Document = dict[str, Any]
TELL_EVERY_S = 0.1


def execute_sweep(home: Path, spec: SweepSpec | Mapping[str, Any], progress: Progress | None = None) -> Study:
    """Run a sweep and keep it as a study; each of its points is a trial in the ledger.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    spec : SweepSpec or mapping
        What names an unknown strategy, parameter or bar set, or a value outside its bounds, is refused before it is a study.
    progress : callable, optional
        Told how far the sweep is, with ``done`` and ``best``. A `jobs.Progress` also remembers the study, so that a job that is retried goes on:
        points that are kept are not run again, and the others are those of a sweep that was never interrupted.

    Returns
    -------
    Study
        Its `result` has ``planned``, ``points`` (that were run), ``done``, ``failed``, ``ranked``, ``impossible`` (combinations that the strategy does
        not allow), ``best`` (``number``, ``params``, ``metrics``, and ``run_id`` where it was kept; None where no point is ranked), ``criterion``,
        ``min_trades``, ``method``, ``ranges``, ``neighbourhood`` (see there), ``seconds``, ``place`` and ``workers``, and ``bars``: how many were
        ``used`` of ``all``, their ``first_ms`` and ``last_ms``, and ``out_of_sample_ms``, where those begin that were left out (open times in epoch
        milliseconds UTC). Its tables are ``points`` (see `points_frame`) and ``returns``: ``day``, as `BrokerDay.day_ids` counts, and for each point
        that was done a column of daily returns that is named by its number.

    Raises
    ------
    BadInput
        If anything asked for is wrong, or every point failed.
    NotFound
        If the bars or the model do not exist.
    Unavailable
        If a Dask cluster is configured and does not answer.
    """
    asked = spec if isinstance(spec, SweepSpec) else parse_sweep_spec(spec)
    sweep = _Sweep(Path(home), asked, progress or silent)
    try:
        return sweep.run()
    finally:
        sweep.kept.close()


class _Sweep:
    """One sweep while it runs."""

    def __init__(self, home: Path, spec: SweepSpec, report: Progress) -> None:
        self.home, self.spec, self.report = home, spec, report
        chosen = strategy(spec.strategy)
        self.axes = axes_of(chosen, spec)
        self.names = [axis.name for axis in self.axes]
        self.optuna = OptunaPoints(chosen, spec, self.axes) if spec.method == "optuna" else None
        plan = None if self.optuna is not None else plan_points(chosen, spec, self.axes)
        self.planned_impossible = 0 if plan is None else plan.impossible
        self.first_batch = list(plan.points) if plan is not None else self._asked()
        self.planned = spec.most_points if plan is None else len(plan.points)
        # The fixed parameters alone may not go together with the defaults of those that vary; those of a point do.
        whole = load_inputs(home, backtest_of(spec, self.first_batch[0].params), report)
        self.inputs = _first_part(whole, spec.part)
        self.bars = _bars_used(self.inputs.bars, whole.bars)
        self.runner = runner_for(home, self.inputs, report)
        self.crew = SweepCrew(self.runner, spec.workers, load_settings().dask)
        self.kept = KeptPoints(home, spec)
        self.began = self.told = time.monotonic()

    def run(self) -> Study:
        """Do every point that is not kept yet, and conclude."""
        study = self.kept.begin(self._study())
        if study.state == "done":
            return study
        known = frozenset(self.kept.merits)
        self.began -= float(study.result.get("seconds", 0.0))
        try:
            self._tell()
            with self.crew:
                for batch in self._batches():
                    self._do(batch, known)
            self.kept.flush(self._result())
            if not self.kept.done:
                raise BadInput("params", f"all {self.kept.failed:,} points failed, the first with: {self.kept.first_error}")
            result = self._result() | self._about_best(study.id)
        except (JobCancelled, KeyboardInterrupt):
            self.kept.flush(self._result())
            self._conclude("cancelled", self._result())
            raise
        except Exception as error:
            with suppress(Exception):  # what is told is why it failed, not that this could not be written down either
                self.kept.flush(self._result())
                self._conclude("failed", self._result() | {"error": str(error) or type(error).__name__})
            raise
        done = self._conclude("done", result)
        self.report(1.0, self._words(), done=self.kept.done, best=self._best_value())
        return done

    def _do(self, batch: list[PlannedPoint], known: frozenset[int]) -> None:
        with closing(self.crew.measured([planned for planned in batch if planned.number not in known])) as measured:
            for point in measured:
                if self.kept.take(point):
                    self.kept.flush(self._result())
                if time.monotonic() - self.told >= TELL_EVERY_S:
                    self._tell()
        if self.optuna is not None:
            self.optuna.tell([self.kept.merits[planned.number] for planned in batch])

    def _batches(self) -> Iterator[list[PlannedPoint]]:
        yield self.first_batch
        while self.optuna is not None and (batch := self._asked()):
            yield batch

    def _asked(self) -> list[PlannedPoint]:
        return [] if self.optuna is None else self.optuna.ask()

    def _about_best(self, study_id: str) -> Document:
        """Where the best point stands, and its run where one was asked for."""
        best = self.kept.best
        if best is None:
            return {}
        around = neighbourhood(self.kept.table(self.names), best["number"], self.spec.criterion, self.spec.min_trades)
        if self.spec.keep_best:
            self.report(0.99, "keeping the best point as a backtest")
            run = execute_backtest(self.home, backtest_of(self.spec, best["params"]), _OneRun(f"{study_id}-best"))
            best = best | {"run_id": run.id}
        return {"best": best, "neighbourhood": around}

    def _conclude(self, state: Any, result: Document) -> Study:
        study = self.kept.conclude(state, result, self.names, self.runner.days)
        get_log("backtest").info(f"sweep {state}", study=study.id, strategy=study.strategy, points=result["points"], failed=result["failed"])
        return study

    def _tell(self) -> None:
        self.told = time.monotonic()
        count = self.kept.done + self.kept.failed
        self.report(0.99 * count / max(self.planned, 1), self._words(), done=self.kept.done, failed=self.kept.failed, best=self._best_value())

    def _words(self) -> str:
        value = self._best_value()
        best = "" if value is None else f", best {self.spec.criterion} {value:.4g}"
        return f"{self.kept.done + self.kept.failed:,} of {self.planned:,} points{best}"

    def _best_value(self) -> float | None:
        return None if self.kept.best is None else float(self.kept.best["metrics"][self.spec.criterion])

    def _result(self) -> Document:
        return {
            "planned": self.planned,
            "points": self.kept.done + self.kept.failed,
            "done": self.kept.done,
            "failed": self.kept.failed,
            "ranked": self.kept.ranked,
            "impossible": self.planned_impossible if self.optuna is None else self.optuna.impossible,
            "best": self.kept.best,
            "criterion": self.spec.criterion,
            "min_trades": self.spec.min_trades,
            "method": self.spec.method,
            "ranges": {axis.name: axis.document() for axis in self.axes},
            "neighbourhood": None,
            "seconds": round(time.monotonic() - self.began, 3),
            "place": self.crew.place,
            "workers": self.crew.workers,
            "bars": self.bars,
        }

    def _study(self) -> Study:
        bar_set, chosen = self.inputs.bar_set, self.inputs.strategy
        title = self.spec.name or f"{chosen.title} on {bar_set.symbol} {bar_set.timeframe}: {', '.join(self.names)}"
        return Study(
            kept_id(self.report),
            "sweep",
            title,
            chosen.name,
            bar_set.id,
            spec=self.spec.model_dump(mode="json"),
            code_version=code_version(),
        )


def backtest_of(spec: SweepSpec, params: Mapping[str, Any]) -> BacktestSpec:
    """The backtest of one point of a sweep, over all bars."""
    shared = {name: getattr(spec, name) for name in BacktestSpec.model_fields}
    return BacktestSpec.model_construct(**{**shared, "params": dict(params)})


@dataclass(frozen=True)
class _OneRun:
    """Reports to nobody, and gives the run the same id however often the sweep is resumed."""

    run_id: str

    @property
    def resumed_from(self) -> Document:
        """As `jobs.Progress`."""
        return {"run_id": self.run_id}

    def __call__(self, fraction: float, message: str = "", **metrics: Any) -> None:
        """No one listens."""


def _first_part(inputs: Inputs, part: float) -> Inputs:
    rows = round(len(inputs.bars) * part)
    if rows < 2:
        raise BadInput("part", f"{part:g} of {len(inputs.bars):,} bars leaves {rows}; a backtest needs at least 2")
    return inputs if rows == len(inputs.bars) else replace(inputs, bars=inputs.bars.iloc[:rows])


def _bars_used(used: pd.DataFrame, every: pd.DataFrame) -> Document:
    times = pd.DatetimeIndex(every.index).as_unit("ms").asi8
    after = int(times[len(used)]) if len(used) < len(every) else None
    return {"used": len(used), "all": len(every), "first_ms": int(times[0]), "last_ms": int(times[len(used) - 1]), "out_of_sample_ms": after}
