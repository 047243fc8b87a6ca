"""The training job: cross-validate on the training part, fit on all of it, measure once on the test part, register."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.base import get_log, now_ms
from components.fx import parse_payload
from components.ledger import TrialLedger, TrialState, code_version
from components.models import ModelStore, load_model
from components.pipeline import Dataset, DatasetFrames, PipelineStore, load_dataset, refuse_quarantined_origins
from components.training.boosting import TrainSpec, fit, importance, predict
from components.training.folds import Fold, purged_folds
from components.training.measures import Floats, accuracy, direction_accuracy, log_loss, naive_measures

FAMILY = "lightgbm"
Metrics = dict[str, float]


def train(home: Path, payload: TrainSpec | Mapping[str, Any], progress: Callable[..., None] | None = None) -> dict[str, Any]:
    """Train a classifier on a dataset and register it.

    The test part is looked at once, after the final fit. Every fold and the final measurement are entered in the trial ledger, failed
    ones too.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    payload : TrainSpec or mapping
        What to train; only ``dataset_id`` must be given.
    progress : callable, optional
        Called as ``progress(fraction, message, **metrics)`` after every fold; a `components.jobs.Progress` also keeps a checkpoint, so
        that a job that is run again does not repeat finished folds.

    Returns
    -------
    dict
        ``model_id``, ``name``, ``version``, ``dataset_id`` and ``metrics``: ``test``, ``cv`` (mean over folds) and ``folds``, each with
        ``log_loss``, ``accuracy``, ``direction_accuracy``, the naive ones of `naive_measures` and ``rows``; ``importance``; ``target``; and
        ``beats_baseline``: whether the log loss is below the best naive one both in cross-validation and on the test part.

    Raises
    ------
    BadInput
        Naming the field of the payload that is wrong, or if the dataset is too small for the folds.
    NotFound, Corrupt
        If the dataset is gone or is not what was written.
    Refused
        If bars that the dataset was built on have been quarantined since.
    """
    report = progress or (lambda fraction, message, **metrics: None)
    spec = parse_payload(TrainSpec, payload)
    dataset, frames = _load(home, spec.dataset_id)
    splits = purged_folds(
        frames.train["row"].to_numpy(), spec.folds, dataset.recipe.target.horizon_bars, dataset.recipe.embargo_bars
    )  # before anything is written down: a spec that cannot be tried is no trial
    done = dict(getattr(progress, "resumed_from", None) or {})
    run: str = done.get("run") or secrets.token_hex(6)
    measured: list[Metrics] = list(done.get("folds", []))
    _checkpoint(progress, {"run": run, "folds": measured})
    diary = _Diary(home, spec, run)
    try:
        for number, split in enumerate(splits[len(measured) :], start=len(measured)):
            report(0.05 + 0.75 * number / len(splits), f"fold {number + 1} of {len(splits)}")
            metrics = diary.keep("cv_fold", number, lambda split=split: _measure_fold(spec, frames, split, dataset.recipe.target.classes))  # type: ignore[misc]
            measured.append(metrics)
            _checkpoint(progress, {"run": run, "folds": measured})
            seen = {name: metrics[name] for name in ("log_loss", "naive_log_loss", "accuracy")}
            message = f"fold {number + 1} of {len(splits)}: log loss {seen['log_loss']:.4f}, best naive {seen['naive_log_loss']:.4f}"
            report(0.05 + 0.75 * (number + 1) / len(splits), message, fold=number + 1, **seen)
        report(0.8, f"fitting on all {dataset.train_rows:,} training rows")
        result, is_known = _finish(home, spec, dataset, frames, measured, diary)
    finally:
        diary.close()
    get_log("training").info("model trained", model=result["model_id"], version=result["version"], beats_baseline=result["beats_baseline"])
    verdict = "better than" if result["beats_baseline"] else "no better than"
    became = "already known" if is_known else "registered"
    report(1.0, f"{spec.name}:{result['version']} {became}, {verdict} the naive baselines", **result["metrics"]["test"])
    return result


def _load(home: Path, dataset_id: str) -> tuple[Dataset, DatasetFrames]:
    store = PipelineStore.open(home)
    try:
        dataset = store.dataset(dataset_id)
        refuse_quarantined_origins(store, [store.bar_set(one) for one in (dataset.bar_set_id, *dataset.recipe.others)])
        return dataset, load_dataset(home, dataset_id)
    finally:
        store.close()


def _measure_fold(spec: TrainSpec, frames: DatasetFrames, split: Fold, classes: tuple[int, ...]) -> Metrics:
    train, validation = frames.train.iloc[split.train], frames.train.iloc[split.validation]
    names = list(frames.feature_names)
    booster = fit(spec, train[names], train["label"].to_numpy())
    return _measures(predict(booster, validation[names]), train, validation, classes)


def _finish(
    home: Path, spec: TrainSpec, dataset: Dataset, frames: DatasetFrames, measured: list[Metrics], diary: _Diary
) -> tuple[dict[str, Any], bool]:
    """The training's result, and whether the registry had this very model before."""
    names = list(frames.feature_names)
    booster = fit(spec, frames.train[names], frames.train["label"].to_numpy())
    classes = dataset.recipe.target.classes
    test = diary.keep("holdout", 0, lambda: _measures(predict(booster, frames.test[names]), frames.train, frames.test, classes))
    cv = {name: float(np.mean([fold[name] for fold in measured])) for name in measured[0]}
    # Selection chose the features on all training rows, those of every fold among them: such a cross-validation proves nothing.
    saw_selection = dataset.recipe.select is not None
    beats = all(part["log_loss"] < part["naive_log_loss"] for part in ((test,) if saw_selection else (cv, test)))
    metrics = {
        "beats_baseline": beats,
        "cv_saw_selection": saw_selection,
        "test": test,
        "cv": cv,
        "folds": measured,
        "importance": importance(booster, frames.feature_names),
        "target": dataset.recipe.target.model_dump(),
        "spec": spec.model_dump(),
        "code_version": code_version(),
    }
    began_ms = now_ms()
    store = ModelStore.open(home)
    try:
        model = store.register(
            name=spec.name,
            family=FAMILY,
            dataset_id=dataset.id,
            symbol=dataset.symbol,
            timeframe=dataset.timeframe,
            feature_names=frames.feature_names,
            trained_until_ms=dataset.train_end_ms,
            metrics=metrics,
            content=booster.model_to_string().encode(),
            transform=frames.transform,
        )
    finally:
        store.close()
    load_model(home, model.id)  # what was registered can be read back
    result = {
        "model_id": model.id,
        "name": model.name,
        "version": model.version,
        "dataset_id": dataset.id,
        "beats_baseline": beats,
        "metrics": metrics,
    }
    return result, model.created_ms < began_ms


def _measures(probability: Floats, train: pd.DataFrame, test: pd.DataFrame, classes: tuple[int, ...]) -> Metrics:
    label = test["label"].to_numpy()
    return {
        "log_loss": log_loss(probability, label),
        "accuracy": accuracy(probability, label),
        "direction_accuracy": direction_accuracy(probability, label, classes),
        **naive_measures(train, test, classes),
        "train_rows": float(len(train)),
        "rows": float(len(test)),
    }


def _checkpoint(progress: Callable[..., None] | None, state: dict[str, Any]) -> None:
    keep = getattr(progress, "checkpoint", None)
    if keep is not None:
        keep(state)


class _Diary:
    """Enters each try of one training in the ledger; a fold that a retried job repeats is entered once."""

    def __init__(self, home: Path, spec: TrainSpec, run: str) -> None:
        self._ledger = TrialLedger.open(home)
        self._spec = spec
        self._run = run

    def keep(self, kind: str, number: int, attempt: Callable[[], Metrics]) -> Metrics:
        """Do one try and write down what came of it, also when it fails."""
        try:
            metrics = attempt()
        except Exception as error:
            self._append(kind, number, "failed", {"error": f"{type(error).__name__}: {error}"})
            raise
        self._append(kind, number, "done", metrics)
        return metrics

    def close(self) -> None:
        self._ledger.close()

    def _append(self, kind: str, number: int, state: TrialState, metrics: Mapping[str, Any]) -> None:
        self._ledger.append(
            family=f"model:{self._spec.name}",
            strategy=FAMILY,
            params={**self._spec.model_dump(exclude={"dataset_id", "cores"}), "number": number},
            dataset_id=self._spec.dataset_id,
            code_version=code_version(),
            kind=kind,
            state=state,
            metrics=metrics,
            trial_id=f"train-{self._run}-{kind}-{number}-{state}",
        )
