"""Training as a job: what it measures, writes down, repeats and refuses; and that it finds what is there and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.fx import BadInput, NotFound, Timeframe, validate_bars
from components.jobs import JobCancelled, Progress
from components.ledger import TrialLedger
from components.models import ModelStore, load_model
from components.pipeline import Dataset, PipelineStore, build_dataset, load_dataset
from components.pipeline.collect import keep_bars
from components.training import TrainSpec, log_loss, train
from components.training.train import _Diary

MEASURES = {
    "log_loss", "accuracy", "direction_accuracy", "prior_log_loss", "last_label_log_loss", "hour_log_loss", "naive_log_loss",
    "majority_accuracy", "last_label_accuracy", "train_rows", "rows",
}  # fmt: skip


def test_training_on_the_sample_registers_a_model_with_its_dataset_and_honest_metrics(own_home: Path, dataset: Dataset) -> None:
    result = train(own_home, {"dataset_id": dataset.id})
    model = ModelStore.open(own_home).get(result["model_id"])
    assert (model.name, model.version, model.dataset_id, model.symbol, model.timeframe) == ("direction", 1, dataset.id, "EURUSD", "H1")
    assert model.trained_until_ms == dataset.train_end_ms
    metrics = model.metrics
    assert metrics == result["metrics"]
    assert set(metrics["test"]) == set(metrics["cv"]) == MEASURES
    assert len(metrics["folds"]) == 5
    assert metrics["test"]["rows"] == dataset.test_rows
    assert metrics["test"]["train_rows"] == dataset.train_rows
    better = all(metrics[part]["log_loss"] < metrics[part]["naive_log_loss"] for part in ("cv", "test"))
    assert result["beats_baseline"] is metrics["beats_baseline"] is better
    assert sum(metrics["importance"].values()) == pytest.approx(1.0, abs=1e-4)
    json.dumps(result, allow_nan=False)


def test_the_registered_model_gives_the_test_log_loss_that_its_metrics_state(own_home: Path, dataset: Dataset) -> None:
    result = train(own_home, {"dataset_id": dataset.id, "folds": 2})
    test = load_dataset(own_home, dataset.id).test
    probability = load_model(own_home, result["model_id"]).predict(test)
    assert log_loss(probability, test["label"].to_numpy()) == result["metrics"]["test"]["log_loss"]


def test_the_same_training_gives_the_same_model_byte_for_byte(own_home: Path, dataset: Dataset, tmp_path: Path) -> None:
    other_home = shutil.copytree(own_home, tmp_path / "other")
    spec = TrainSpec(dataset_id=dataset.id, folds=3)
    first, again, other = (train(home, spec) for home in (own_home, own_home, other_home))
    assert first == again == other
    models = ModelStore.open(own_home).list()
    assert len(models) == 1
    assert models[0].sha256 == ModelStore.open(other_home).list()[0].sha256
    assert train(own_home, spec.model_copy(update={"seed": 8}))["version"] == 2


def test_progress_is_told_at_every_fold_with_its_log_loss_and_rises_to_one(own_home: Path, dataset: Dataset) -> None:
    told: list[tuple[float, str, dict[str, Any]]] = []
    train(own_home, {"dataset_id": dataset.id}, lambda fraction, message, **metrics: told.append((fraction, message, metrics)))
    fractions = [fraction for fraction, _, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    folds = [metrics for _, _, metrics in told if "fold" in metrics]
    assert [metrics["fold"] for metrics in folds] == [1, 2, 3, 4, 5]
    assert all(metrics["log_loss"] > 0 and metrics["naive_log_loss"] > 0 for metrics in folds)


def test_a_training_that_gives_the_same_model_says_that_it_is_known(own_home: Path, dataset: Dataset) -> None:
    told: list[str] = []
    for _ in range(2):
        train(own_home, {"dataset_id": dataset.id, "folds": 2, "rounds": 10}, lambda _fraction, message, **_metrics: told.append(message))
    said = [message for message in told if "naive baselines" in message]
    assert [" registered, " in said[0], " already known, " in said[1], len(said)] == [True, True, 2]


def test_every_fold_and_the_test_measurement_are_in_the_trial_ledger(own_home: Path, dataset: Dataset) -> None:
    train(own_home, {"dataset_id": dataset.id, "name": "night", "folds": 4})
    trials = TrialLedger.open(own_home).list(family="model:night")
    assert sorted(trial.kind for trial in trials) == ["cv_fold"] * 4 + ["holdout"]
    assert {trial.dataset_id for trial in trials} == {dataset.id}
    assert {trial.state for trial in trials} == {"done"}
    assert all(trial.metrics["log_loss"] > 0 and trial.params["rounds"] == 120 and trial.code_version for trial in trials)


def test_a_try_that_fails_is_written_down_too(own_home: Path, dataset: Dataset) -> None:
    diary = _Diary(own_home, TrainSpec(dataset_id=dataset.id), "run")

    def fails() -> dict[str, float]:
        raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"):
        diary.keep("cv_fold", 0, fails)
    (trial,) = TrialLedger.open(own_home).list()
    assert (trial.state, trial.metrics) == ("failed", {"error": "ValueError: no luck"})


def test_a_training_that_was_cut_off_goes_on_from_its_checkpoint_and_counts_each_fold_once(own_home: Path, dataset: Dataset, tmp_path: Path) -> None:
    uncut_home = shutil.copytree(own_home, tmp_path / "uncut")
    kept: list[dict[str, Any]] = []

    def cut_off(fraction: float, message: str, metrics: dict[str, Any], checkpoint: dict[str, Any] | None) -> None:
        if checkpoint is not None:
            kept.append(json.loads(json.dumps(checkpoint)))
        if message.startswith("fold 3 of 5:"):
            raise JobCancelled("the worker stops")

    with pytest.raises(JobCancelled):
        train(own_home, {"dataset_id": dataset.id}, Progress(cut_off))
    assert len(kept[-1]["folds"]) == 3
    told: list[str] = []
    resumed = Progress(lambda fraction, message, metrics, checkpoint: told.append(message), kept[-1])
    result = train(own_home, {"dataset_id": dataset.id}, resumed)
    assert "fold 4 of 5" in told
    assert not any(message.startswith(("fold 1", "fold 2", "fold 3")) for message in told)
    assert result == train(uncut_home, {"dataset_id": dataset.id})
    assert TrialLedger.open(own_home).count() == 6


def test_a_job_that_is_run_again_from_its_first_checkpoint_counts_its_folds_once(own_home: Path, dataset: Dataset) -> None:
    kept: list[dict[str, Any]] = []

    def listen(fraction: float, message: str, metrics: dict[str, Any], checkpoint: dict[str, Any] | None) -> None:
        if checkpoint is not None:
            kept.append(json.loads(json.dumps(checkpoint)))

    train(own_home, {"dataset_id": dataset.id}, Progress(listen))
    train(own_home, {"dataset_id": dataset.id}, Progress(resumed_from=kept[0]))
    assert TrialLedger.open(own_home).count() == 6
    assert len(ModelStore.open(own_home).list()) == 1


def test_nothing_of_the_test_part_reaches_the_model_or_its_cross_validation(own_home: Path, dataset: Dataset) -> None:
    store = PipelineStore.open(own_home)
    other = store.load_bars(dataset.bar_set_id).copy()
    later = other.index >= pd.Timestamp(dataset.test_start_ms, unit="ms", tz="UTC")
    other.loc[later, ["open", "high", "low", "close"]] = 2.0 - other.loc[later, ["open", "low", "high", "close"]].to_numpy()
    bar_set = keep_bars(own_home, "made", "EURUSD", Timeframe.H1, validate_bars(other), 100.0, {})
    turned = build_dataset(own_home, bar_set.id)
    assert (turned.train_rows, turned.train_end_ms) == (dataset.train_rows, dataset.train_end_ms)
    first, second = (train(own_home, {"dataset_id": one.id, "folds": 2}) for one in (dataset, turned))
    models = ModelStore.open(own_home)
    assert models.get(first["model_id"]).sha256 == models.get(second["model_id"]).sha256
    assert first["metrics"]["folds"] == second["metrics"]["folds"]
    assert first["metrics"]["test"]["log_loss"] != second["metrics"]["test"]["log_loss"]


def trained_on(home: Path, close: np.ndarray) -> dict[str, Any]:
    opens = np.concatenate((close[:1], close[:-1]))
    index = pd.date_range("2020-01-06", periods=len(close), freq="h", tz="UTC")
    high, low = np.maximum(opens, close) * 1.0002, np.minimum(opens, close) * 0.9998
    bars = validate_bars(pd.DataFrame({"open": opens, "high": high, "low": low, "close": close}, index=index))
    bar_set = keep_bars(home, "made", "EURUSD", Timeframe.H1, bars, 100.0, {})
    dataset = build_dataset(home, bar_set.id)
    return train(home, {"dataset_id": dataset.id, "folds": 3})


def test_a_planted_signal_is_found(home: Path) -> None:
    # a drift that lasts some forty bars: past moves tell the next ones
    random = np.random.default_rng(1)
    drift = np.repeat(random.choice([-1.0, 1.0], 125), 40) * 0.0008
    result = trained_on(home, np.exp(np.cumsum(drift + random.normal(0, 0.001, 5000))))
    assert result["beats_baseline"] is True
    assert result["metrics"]["test"]["direction_accuracy"] > 0.6


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_found_where_nothing_is(seed: int, home: Path) -> None:
    result = trained_on(home, np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.001, 5000))))
    assert result["beats_baseline"] is False


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"dataset_id": ""}, "dataset_id"),
        ({"folds": 1}, "folds"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"name": "../x"}, "name"),
        ({"rounds": "many"}, "rounds"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_wrong_spec_is_refused_by_field_and_is_no_trial(change: dict[str, Any], field: str, own_home: Path, dataset: Dataset) -> None:
    with pytest.raises(BadInput) as error:
        train(own_home, {"dataset_id": dataset.id, **change})
    assert error.value.field == field
    assert TrialLedger.open(own_home).count() == 0


def test_a_spec_without_dataset_or_of_an_unknown_one_is_refused(own_home: Path) -> None:
    with pytest.raises(BadInput, match="dataset_id"):
        train(own_home, {})
    with pytest.raises(NotFound):
        train(own_home, {"dataset_id": "nothing"})
