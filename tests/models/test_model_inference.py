"""What a loaded model says: exact row by row, out of sample only, and never from a file that was changed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.features import check_causal, compute_features
from components.fx import BadInput, Corrupt, NotFound
from components.models import Model, ModelStore, load_model, probabilities
from components.pipeline import PipelineStore


def test_probabilities_add_to_one_and_do_not_depend_on_the_rows_around(trained_home: Path, model: Model, bars: pd.DataFrame) -> None:
    loaded = load_model(trained_home, model.id)
    features = compute_features(bars).iloc[400:]
    together = loaded.predict(features)
    assert together.shape == (len(features), 3)
    np.testing.assert_allclose(together.sum(axis=1), 1.0, rtol=1e-12)
    for row in range(0, len(features), 53):
        np.testing.assert_array_equal(loaded.predict(features.iloc[[row]])[0], together[row])


def test_columns_are_taken_by_name_and_a_missing_one_is_named(trained_home: Path, model: Model, bars: pd.DataFrame) -> None:
    loaded = load_model(trained_home, model.id)
    features = compute_features(bars).iloc[-20:]
    np.testing.assert_array_equal(loaded.predict(features[features.columns[::-1]].assign(more=1.0)), loaded.predict(features))
    with pytest.raises(BadInput, match="'rsi_14' is missing"):
        loaded.predict(features.drop(columns="rsi_14"))


def test_a_row_with_an_unknown_feature_has_no_probabilities(trained_home: Path, model: Model, bars: pd.DataFrame) -> None:
    loaded = load_model(trained_home, model.id)
    features = compute_features(bars).iloc[-5:].copy()
    features.iloc[2, 7] = np.nan
    assert np.isnan(loaded.predict(features)).any(axis=1).tolist() == [False, False, True, False, False]
    assert loaded.predict(features.iloc[:0]).shape == (0, 3)


def test_nothing_is_said_about_bars_that_the_training_has_seen(trained_home: Path, model: Model, bars: pd.DataFrame) -> None:
    answer = probabilities(trained_home, model.id, bars)
    assert answer.index.equals(bars.index)
    assert list(answer.columns) == ["p_down", "p_flat", "p_up"]
    closes = bars.index + pd.Timedelta(hours=1)
    seen = closes <= pd.Timestamp(model.trained_until_ms, unit="ms", tz="UTC")
    assert 3000 < seen.sum() < 4000
    assert answer[seen].isna().all(axis=None)
    assert answer[~seen].notna().all(axis=None)


def test_the_model_ends_where_its_dataset_says(trained_home: Path, model: Model) -> None:
    dataset = PipelineStore.open(trained_home).dataset(model.dataset_id)
    assert model.trained_until_ms == dataset.train_end_ms < dataset.test_start_ms


def test_nothing_is_said_while_features_warm_up(trained_home: Path, model: Model, bars: pd.DataFrame) -> None:
    answer = probabilities(trained_home, model.id, bars.iloc[4000:])
    assert answer.iloc[:350].isna().all(axis=None)
    assert answer.iloc[350:].notna().all(axis=None)


def test_the_last_bar_alone_gives_exactly_the_last_row_at_every_length(trained_home: Path, model: Model, bars: pd.DataFrame) -> None:
    whole = probabilities(trained_home, model.id, bars)
    for rows in [0, 1, 2, 349, 350, 351, 3500, *range(3560, 3600, 3), *range(3600, 5001, 97), 5000]:
        last = probabilities(trained_home, model.id, bars.iloc[:rows], last_only=True)
        pd.testing.assert_frame_equal(last, whole.iloc[max(rows - 1, 0) : rows], check_exact=True, check_freq=False)


def test_probabilities_do_not_look_ahead(trained_home: Path, model: Model, bars: pd.DataFrame) -> None:
    assert check_causal(lambda b: probabilities(trained_home, model.id, b), bars, cuts=[3600, 4000, 4321, 4998, 4999]) == []


def test_bars_of_another_timeframe_are_refused(trained_home: Path, model: Model, bars: pd.DataFrame) -> None:
    quarters = bars.copy()
    quarters.index = pd.date_range("2024-01-01", periods=len(bars), freq="15min", tz="UTC")
    with pytest.raises(BadInput, match="not H1 bars"):
        probabilities(trained_home, model.id, quarters)


def test_a_model_is_loaded_by_name_and_version_too(trained_home: Path, model: Model) -> None:
    assert load_model(trained_home, f"{model.name}:{model.version}").model == model


def test_a_changed_file_is_corrupt_even_after_it_was_loaded_once(own_home: Path, model: Model) -> None:
    load_model(own_home, model.id)
    path = ModelStore.open(own_home).get(model.id).path
    path.write_bytes(path.read_bytes().replace(b"leaf_value=", b"leaf_value=1", 1))
    os.utime(path, ns=(0, 0))
    with pytest.raises(Corrupt, match="not the one that was registered"):
        load_model(own_home, model.id)
    with pytest.raises(Corrupt):
        load_model(own_home, f"{model.name}:{model.version}")


def test_a_file_that_is_no_model_is_corrupt_even_when_it_was_registered(own_home: Path, model: Model) -> None:
    store = ModelStore.open(own_home)
    entry = {name: getattr(model, name) for name in ("family", "dataset_id", "symbol", "timeframe", "feature_names", "trained_until_ms", "metrics")}
    with pytest.raises(Corrupt, match="cannot be read"):
        load_model(own_home, store.register(name="rubbish", content=b"not a model", **entry).id)
    fewer = {**entry, "feature_names": model.feature_names[:-1]}
    with pytest.raises(Corrupt, match="other features"):
        load_model(own_home, store.register(name="fewer", content=model.path.read_bytes(), **fewer).id)


def test_a_model_that_is_gone_is_not_found(own_home: Path, model: Model) -> None:
    with pytest.raises(NotFound):
        load_model(own_home, "nothing")
    with pytest.raises(NotFound):
        load_model(own_home, "../../etc/passwd")
    ModelStore.open(own_home).get(model.id).path.unlink()
    with pytest.raises(NotFound, match="is gone"):
        load_model(own_home, model.id)
