"""Folds and measures, with values that were worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.fx import BadInput
from components.pipeline import Dataset, load_dataset
from components.training import accuracy, direction_accuracy, last_known_label, log_loss, naive_measures, purged_folds


def test_folds_of_the_sample_never_train_on_a_label_that_reaches_their_validation(built_home: Path, dataset: Dataset) -> None:
    rows = load_dataset(built_home, dataset.id).train
    row, end = rows["row"].to_numpy(), rows["label_end_row"].to_numpy()
    folds = purged_folds(row, 5, 12, 12)
    assert len(folds) == 5
    for fold in folds:
        assert end[fold.train].max() + 12 < row[fold.validation[0]]
        assert row[fold.train].max() < row[fold.validation].min()
    validated = np.concatenate([fold.validation for fold in folds])
    assert (np.diff(validated) == 1).all()
    assert validated[-1] == len(rows) - 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=300, max_size=900), st.integers(2, 6), st.integers(1, 10), st.integers(0, 10))
def test_folds_are_purged_by_bars_where_rows_have_holes(steps: list[int], count: int, horizon: int, embargo: int) -> None:
    row = np.cumsum(np.array(steps, dtype=np.int64))
    try:
        folds = purged_folds(row, count, horizon, embargo)
    except BadInput:
        return
    for fold in folds:
        assert row[fold.train].max() + horizon + embargo < row[fold.validation[0]]
        left_out = row[: fold.validation[0]][len(fold.train) :]
        assert (left_out + horizon + embargo >= row[fold.validation[0]]).all()


def test_too_many_folds_for_the_rows_are_refused() -> None:
    with pytest.raises(BadInput, match="too few for 10 folds"):
        purged_folds(np.arange(200), 10, 12, 12)
    with pytest.raises(BadInput, match="folds"):
        purged_folds(np.arange(200), 0, 12, 12)
    with pytest.raises(BadInput, match="folds"):
        purged_folds(np.arange(0), 2, 12, 12)


def test_log_loss_accuracy_and_direction_worked_out_by_hand() -> None:
    probability = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.25, 0.5, 0.25], [0.0, 0.0, 1.0]])
    label = np.array([-1, 0, 1, -1])
    # −ln of 0.5, 0.8, 0.25 and, for the impossible, 1e-15
    assert log_loss(probability, label) == pytest.approx(-(math.log(0.5) + math.log(0.8) + math.log(0.25) + math.log(1e-15)) / 4)
    assert accuracy(probability, label) == 0.5
    assert direction_accuracy(probability, label) == pytest.approx(1 / 3)
    assert direction_accuracy(probability, np.zeros(4, dtype=int)) == 0.5


def test_the_last_known_label_is_the_newest_whose_end_has_passed() -> None:
    row, label, end = np.array([0, 1, 2, 3]), np.array([1, -1, 0, 1]), np.array([5, 3, 4, 8])
    asked = np.array([2, 3, 4, 5, 7, 8, 100])
    # at 3 the label of row 1 is known, at 4 that of row 2, at 5 that of row 0 too (older), at 8 that of row 3
    assert last_known_label(row, label, end, asked, -1).tolist() == [-1, -1, 0, 0, 0, 1, 1]
    assert last_known_label(row, label, end, np.array([0, 1]), 1).tolist() == [1, 1]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(-1, 1), st.integers(1, 9)), min_size=1, max_size=40), st.integers(-1, 1))
def test_the_last_known_label_equals_a_plain_search(rows: list[tuple[int, int, int]], first: int) -> None:
    row = np.cumsum([step for step, _, _ in rows])
    label, end = np.array([label for _, label, _ in rows]), row + np.array([lasts for _, _, lasts in rows])
    asked = np.arange(row[-1] + 12)
    plain = []
    for at in asked:
        known = [k for k in range(len(rows)) if end[k] <= at]
        plain.append(label[max(known)] if known else first)
    assert last_known_label(row, label, end, asked, first).tolist() == plain


def test_naive_measures_worked_out_by_hand() -> None:
    def rows(start: int, labels: list[int]) -> pd.DataFrame:
        index = pd.date_range("2024-01-01", periods=24, freq="h", tz="UTC")[start : start + len(labels)]
        row = np.arange(start, start + len(labels))
        return pd.DataFrame({"label": labels, "row": row, "label_end_row": row + 1}, index=index)

    got = naive_measures(rows(0, [1, 1, 0, 1]), rows(4, [1, -1]))
    # training frequencies: −1 never, 0 a quarter, +1 three quarters
    assert got["prior_log_loss"] == pytest.approx(-(math.log(0.75) + math.log(1e-15)) / 2)
    assert got["majority_accuracy"] == 0.5
    # known before each training row: +1 (the majority), +1, +1, 0; followed by +1, +1, 0, +1; known before the test rows: +1 and +1
    assert got["last_label_accuracy"] == 0.5
    assert got["last_label_log_loss"] == pytest.approx(-(math.log(3 / 6) + math.log(1 / 6)) / 2)
    # hours 4 and 5 were never seen in training: a third each
    assert got["hour_log_loss"] == pytest.approx(math.log(3))
    assert got["naive_log_loss"] == min(got["prior_log_loss"], got["last_label_log_loss"], got["hour_log_loss"])
