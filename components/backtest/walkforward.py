"""Walk-forward studies that are kept: windows one after the other, each durable, all together told at the end."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from components.backtest.cpcv import Stretch
from components.backtest.execute import load_inputs
from components.backtest.store import BacktestStore
from components.backtest.studies import Point, Study, StudyStore
from components.backtest.walkforward_findings import walkforward_findings
from components.backtest.walkforward_parts import (
    Ground,
    PartMeasure,
    best_point,
    check_history,
    flat_part,
    history_of,
    measure_points,
    put_together,
    run_part,
)
from components.backtest.walkforward_report import SHOWN, of_windows, parameter_drift, paths_of, stitched, windows_table
from components.backtest.walkforward_spec import WalkForwardSpec, parse_walkforward
from components.backtest.walkforward_windows import Window
from components.backtest.work import Progress, kept_id, silent
from components.base import get_log
from components.fx import BadInput
from components.jobs import JobCancelled
from components.ledger import TrialLedger, code_version
from components.strategy import Params, strategy

if TYPE_CHECKING:
    from components.backtest.walkforward_model import Refit

Document = dict[str, Any]
TRAIN_KIND = "walkforward_train"
WINDOW_KIND = "walkforward_window"
NOTED_AT_ONCE = 200


def execute_walkforward(home: Path, spec: WalkForwardSpec | Mapping[str, Any], progress: Progress | None = None) -> Study:
    """Walk a strategy forward, keep every window as it is done, and note every try in the trial ledger.

    In each window all points are measured on the training part, the best by the criterion is chosen, and the choice is run on the test part:
    decisions use the history before the part, the first one is made at the close of its first bar, and what is open at the close of its last
    bar is closed there, at its last prices and with the commission of the exit (no slippage). Outside combinatorial mode a window begins with
    the balance that the one before ended with; in it, every tested group begins with the account's, and a path compounds the returns of its
    groups. Where no point made `min_trades` trades in the training part, the window is not traded. A refitted model is trained on the training
    part; there, points are judged by answers about rows that the answering model was not trained on.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    spec : WalkForwardSpec or mapping
    progress : callable, optional
        Told of every point that was measured; raises to cancel. A `jobs.Progress` also remembers the study's id: a job that is retried goes on
        with the windows that are missing, and comes to the same result.

    Returns
    -------
    Study
        Its result has ``efficiency``, ``out_of_sample`` (in combinatorial mode of the path with the median Sharpe ratio), ``in_sample``,
        ``drift``, ``windows``, ``profitable_windows``, ``concentration``, ``findings``, … and in combinatorial mode ``paths``; its tables are ``windows``, ``equity``, ``trades`` and, in combinatorial mode, ``paths``.

    Raises
    ------
    BadInput
        If anything asked for is wrong; nothing is then kept.
    NotFound
        If bars, model or dataset do not exist.
    """
    asked = parse_walkforward(spec)
    report = progress or silent
    walk = _prepare(Path(home), asked, report)  # before anything is noted: what cannot be tried is no trial
    store = BacktestStore.open(Path(home))
    try:
        return _keep(Path(home), store.studies, asked, walk, report)
    finally:
        store.close()


@dataclass(frozen=True)
class _Walk:
    """What a spec names, found, and its windows."""

    ground: Ground
    points: tuple[Params, ...]
    windows: tuple[Window, ...]
    gaps: tuple[int, int]
    refit: Refit | None
    probabilities: pd.DataFrame | None

    @property
    def bars(self) -> pd.DataFrame:
        return self.ground.bars


def _prepare(home: Path, spec: WalkForwardSpec, report: Progress) -> _Walk:
    chosen = strategy(spec.strategy)
    points = spec.points(chosen)
    refit = probabilities = None
    # The fixed parameters alone may be no point: a slow average of 8 goes with a fast one of the range only.
    backtest = spec.backtest().model_copy(update={"params": points[0].model_dump(mode="json")})
    if spec.refit is not None and not chosen.needs_model:
        raise BadInput("refit", f"strategy {chosen.name!r} trades no model; leave it out")
    inputs = load_inputs(home, backtest, report, model_comes_later=spec.refit is not None)
    if spec.refit is not None:
        from components.backtest.walkforward_model import refit_of

        refit = refit_of(home, spec.refit, inputs.bar_set)
    if spec.model_id is not None:
        from components.models import probabilities as ask_model

        report(0.0, f"asking model {spec.model_id} about {len(inputs.bars):,} bars")
        probabilities = ask_model(home, spec.model_id, inputs.bars)
    horizon = refit.horizon_bars if refit is not None else 0
    windows = spec.plan(len(inputs.bars), horizon)
    history = history_of(chosen, points)
    check_history(history, windows[0].train[-1][1])
    rates = cache(lambda: _reference_rates(home))  # read once, whatever the number of parts
    return _Walk(Ground(inputs, history, rates), points, windows, spec.gaps(len(inputs.bars), horizon), refit, probabilities)


def _reference_rates(home: Path) -> Any:
    from components.pipeline import load_reference_rates

    return load_reference_rates(home)


def _keep(home: Path, studies: StudyStore, spec: WalkForwardSpec, walk: _Walk, report: Progress) -> Study:
    study = studies.start(
        Study(
            kept_id(report),
            "walkforward",
            spec.name or f"{walk.ground.strategy.title} on {walk.ground.inputs.bar_set.symbol} {walk.ground.inputs.bar_set.timeframe}, {spec.mode}",
            strategy=walk.ground.strategy.name,
            bar_set_id=walk.ground.inputs.bar_set.id,
            spec=spec.model_dump(mode="json"),
            code_version=code_version(),
        )
    )
    if study.state == "done":
        return study
    studies.finish(study.id, "running", {})
    ledger = TrialLedger.open(home)
    try:
        metrics = _walk_on(studies, ledger, study, spec, walk, report)
        report(0.98, "putting the windows together")
        result = _finish(studies, study.id, spec, walk, metrics)
        finished = studies.finish(study.id, "done", result)
    except Exception as error:
        studies.finish(study.id, "cancelled" if isinstance(error, JobCancelled) else "failed", {"error": str(error) or type(error).__name__})
        raise
    finally:
        ledger.close()
    _remove_parts(studies, study.id)
    told = result["efficiency"]
    words = "nothing earned in sample" if told is None else f"efficiency {told:.2f}"
    get_log("backtest").info("walk-forward done", study=study.id, windows=len(metrics), efficiency=told)
    report(1.0, f"{len(metrics)} windows, {words}", windows=len(metrics), efficiency=told, sharpe=result["out_of_sample"]["sharpe"])
    return finished


def _walk_on(studies: StudyStore, ledger: TrialLedger, study: Study, spec: WalkForwardSpec, walk: _Walk, report: Progress) -> list[Document]:
    """The metrics of every window, in order, once those that are missing are done."""
    kept = {point.number: point.metrics for point in studies.points(study.id)}
    balance = spec.account.balance
    for window in walk.windows:
        if window.number not in kept:
            began = time.monotonic()
            point, parts = _window(ledger, study, spec, walk, window, balance, report)
            for place, (equity, trades) in enumerate(parts):
                studies.keep_frame(study.id, _part_name(window.number, place, "equity"), equity)
                studies.keep_frame(study.id, _part_name(window.number, place, "trades"), trades)
            point.metrics["seconds"] = round(time.monotonic() - began, 3)
            studies.add_points(study.id, [point])  # last: a window that has its point has all
            kept[window.number] = point.metrics
        if spec.mode != "combinatorial":
            balance = kept[window.number]["balance_end"]
    # As they are kept, so that a walk that was interrupted says the same, to the order of its columns.
    return [point.metrics for point in studies.points(study.id)]


def _window(
    ledger: TrialLedger, study: Study, spec: WalkForwardSpec, walk: _Walk, window: Window, balance: float, report: Progress
) -> tuple[Point, list[tuple[pd.DataFrame, pd.DataFrame]]]:
    """One window: the choice made on its training part, run on its test part. Its point, and equity and trades of each tested stretch."""
    model = None
    known = walk.probabilities
    title = f"window {window.number + 1} of {len(walk.windows)}"
    share = 0.97 / len(walk.windows)
    if walk.refit is not None:
        from components.backtest.walkforward_model import fit_window

        report(share * window.number, f"{title}: training its model")
        model = fit_window(walk.refit, walk.bars, window.train)
        known = model.judged
    measured = _measured(ledger, study, spec, walk, window, known, lambda part: report(share * (window.number + 0.9 * part), title))
    best = best_point(measured, spec.criterion, spec.min_trades)
    chosen = None if best is None else walk.points[best]
    parts: list[tuple[pd.DataFrame, pd.DataFrame]] = []
    tested: list[PartMeasure] = []
    for stretch in window.test:
        said = known
        if model is not None and walk.refit is not None:
            from components.backtest.walkforward_model import say_window

            said = say_window(walk.refit, model, walk.bars, stretch)
        if chosen is None or balance <= 0:
            equity, trades, one = flat_part(walk.ground, stretch, walk.points[0], balance)
        else:
            equity, trades, one = run_part(walk.ground, stretch, chosen, balance, said)
        parts.append((equity.assign(window=window.number), trades.assign(window=window.number)))
        tested.append(one)
    together = put_together(tested)
    inside = None if best is None else {name: measured[best].stats.get(name) for name in SHOWN}
    outside = {name: together.stats.get(name) for name in SHOWN}
    params = {} if chosen is None else chosen.model_dump(mode="json")
    metrics = {
        "window": window.number,
        "groups": list(window.groups),
        "train": [_times(walk.bars, stretch) for stretch in window.train],
        "test": [_times(walk.bars, stretch) for stretch in window.test],
        "train_bars": window.train_bars,
        "test_bars": window.test_bars,
        "tried": len(measured),
        "ranked": sum(best_point([one], spec.criterion, spec.min_trades) is not None for one in measured),
        "params": params or None,
        "in_sample": inside,
        "out_of_sample": outside,
        "balance_start": balance,
        "balance_end": float(parts[-1][0]["equity"].iloc[-1]),
        "model": None if model is None else {"sha256": model.sha256, "rows": model.rows, "last_label_bar": model.last_label_bar},
        "code_version": code_version(),
    }
    _note(ledger, study, WINDOW_KIND, [(f"w{window.number}", params, outside, together.stats.get("returns_digest"), "")], window.number)
    returns = np.ascontiguousarray(together.daily, dtype="<f8").tobytes()
    return Point(window.number, params, "done" if chosen is not None and balance > 0 else "discarded", metrics, returns), parts


def _measured(
    ledger: TrialLedger, study: Study, spec: WalkForwardSpec, walk: _Walk, window: Window, known: pd.DataFrame | None, told: Any
) -> list[PartMeasure]:
    """Every point on the training part of a window, each noted in the ledger, also where the walk is stopped among them."""
    measured: list[PartMeasure] = []
    noted = 0
    cores = min(spec.cores or os.cpu_count() or 1, len(walk.points))

    def note() -> None:
        rows = [
            (f"t{window.number}-{place}", walk.points[place].model_dump(mode="json"), one.stats, one.stats.get("returns_digest"), one.error)
            for place, one in enumerate(measured[noted:], noted)
        ]
        _note(ledger, study, TRAIN_KIND, rows, window.number)

    try:
        for one in measure_points(walk.ground, window.train, walk.points, known, cores):
            measured.append(one)
            told(len(measured) / len(walk.points))
            if len(measured) - noted == NOTED_AT_ONCE:
                note()
                noted = len(measured)
    finally:
        note()
    return measured


def _note(ledger: TrialLedger, study: Study, kind: str, tries: Sequence[tuple[str, Document, Document, str | None, str]], window: int) -> None:
    """Enter tries in the ledger; the ids follow from the study, so that a window that is done again counts once."""
    ledger.append_many(
        {
            "family": study.strategy,
            "strategy": study.strategy,
            "params": params,
            "dataset_id": study.bar_set_id,
            "code_version": code_version(),
            "kind": kind,
            "state": "failed" if error else "done",
            "metrics": {"study": study.id, "window": window, **({"error": error} if error else {name: stats.get(name) for name in SHOWN})},
            "returns_digest": digest,
            "trial_id": f"{study.id}-{name}",
        }
        for name, params, stats, digest, error in tries
    )


def _finish(studies: StudyStore, study_id: str, spec: WalkForwardSpec, walk: _Walk, metrics: list[Document]) -> Document:
    """The result, and the tables that go with it."""
    parts = {
        (window.number, group): (
            studies.frame(study_id, _part_name(window.number, place, "equity")),
            studies.frame(study_id, _part_name(window.number, place, "trades")),
        )
        for window in walk.windows
        for place, group in enumerate(window.groups or (0,))
    }
    trades = pd.concat([part[1] for part in parts.values()], ignore_index=True)
    told: Document = of_windows(metrics)
    if spec.mode == "combinatorial":
        paths, equity, told["paths"] = paths_of(spec.groups, spec.test_groups, parts, spec.account.balance)
        studies.keep_frame(study_id, "paths", paths)
        middle = paths.sort_values("sharpe", kind="stable").iloc[(len(paths) - 1) // 2]
        told["out_of_sample"] = {name: _plain(middle[name]) for name in SHOWN} | {"path": int(middle["path"])}
    else:
        equity = pd.concat([part[0] for part in parts.values()], ignore_index=True)
        told["out_of_sample"] = stitched(equity, trades, spec.account.balance)
    studies.keep_frame(study_id, "equity", equity)
    studies.keep_frame(study_id, "trades", trades)
    studies.keep_frame(study_id, "windows", windows_table(metrics))
    chosen = [one["params"] for one in metrics]
    told["drift"] = parameter_drift(spec.axes(walk.ground.strategy), chosen, spec.mode != "combinatorial")
    told["windows"] = [{name: one[name] for name in one if name not in ("seconds", "code_version")} for one in metrics]
    first = min(window.train[0][0] for window in walk.windows)
    told |= {
        "mode": spec.mode,
        "criterion": spec.criterion,
        "points": len(walk.points),
        "trials": sum(one["tried"] for one in metrics) + len(metrics),
        "purge_bars": walk.gaps[0],
        "embargo_bars": walk.gaps[1],
        "unused_bars": first,
        "code_versions": sorted({one["code_version"] for one in metrics}),
        "seconds": round(sum(one["seconds"] for one in metrics), 3),
    }
    return told | {"findings": [vars(one) for one in walkforward_findings(told)]}


def _times(bars: pd.DataFrame, stretch: Stretch) -> list[int]:
    """Open times of the first and the last bar of a stretch, epoch milliseconds UTC."""
    index = pd.DatetimeIndex(bars.index)
    return [int(index[place].value // 1_000_000) for place in (stretch[0], stretch[1] - 1)]


def _plain(value: Any) -> Any:
    """A number of a frame as a JSON value; None for NaN."""
    number = value.item() if hasattr(value, "item") else value
    return None if number != number else number


def _part_name(window: int, place: int, what: str) -> str:
    return f"part-{window:04d}-{place:02d}-{what}"


def _remove_parts(studies: StudyStore, study_id: str) -> None:
    """Remove the tables of single windows: the stitched ones hold them."""
    for path in (studies.home / "studies" / study_id).glob("part-*.arrow"):
        path.unlink(missing_ok=True)
