"""How good probabilities of a label are, and what one gets without a model."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
CLASS_COUNT = 3
EVERY_CLASS = (-1, 0, 1)
LEAST_PROBABILITY = 1e-15


def log_loss(probability: Floats, label: Ints) -> float:
    """Mean of −ln(probability given to what happened), in nats; probabilities of shape (n, 3), labels −1, 0, +1 of shape (n,).

    A probability of 0 for what happened counts as 1e-15.
    """
    return float(-np.log(np.maximum(probability[np.arange(len(label)), label + 1], LEAST_PROBABILITY)).mean())


def accuracy(probability: Floats, label: Ints) -> float:
    """Share of rows whose most probable class is what happened; the first of equals counts (−1 before 0 before +1)."""
    return float((probability.argmax(axis=1) - 1 == label).mean())


def last_known_label(row: Ints, label: Ints, end_row: Ints, at_row: Ints, first_label: int) -> Ints:
    """The newest label whose outcome is known at the close of each bar.

    Parameters
    ----------
    row, label, end_row : ndarray of int64, shape (n,)
        Rows in order of time: place of the bar, its label, place of the bar whose close ends the label.
    at_row : ndarray of int64, shape (m,)
        Places of the bars at which one asks.
    first_label : int
        Answer where no label is known yet.

    Returns
    -------
    ndarray of int64, shape (m,)
        Of the labels with ``end_row ≤ at_row``, the one that began last.
    """
    order = np.lexsort((row, end_row))
    began = np.maximum.accumulate(row[order])
    known = np.searchsorted(end_row[order], at_row, side="right") - 1
    place = np.searchsorted(row, began[np.maximum(known, 0)])
    return np.where(known >= 0, label[place], first_label)


def direction_accuracy(probability: Floats, label: Ints, classes: tuple[int, ...] = EVERY_CLASS) -> float:
    """Share of the rows with a label of −1 or +1 in which the more probable of the two happened; 0.5 where no row has one.

    About a half means that the model knows when prices move, not where to. Where the target has but one of the two among its `classes`, as
    a meta-label, there is no direction to be told, and the answer is 0.5.
    """
    if not {-1, 1} <= set(classes):
        return 0.5
    moved = label != 0
    said = np.where(probability[:, 2] > probability[:, 0], 1, -1)
    return float((said[moved] == label[moved]).mean()) if moved.any() else 0.5


def naive_measures(train: pd.DataFrame, test: pd.DataFrame, classes: tuple[int, ...] = EVERY_CLASS) -> dict[str, float]:
    """What rules without a model achieve on `test`, fitted on `train`; both hold rows of a dataset, in order of time.

    ``prior`` gives every row the training frequencies of the classes. ``majority`` names the most frequent class. ``last_label`` looks up
    the newest label whose outcome is known at that bar and gives the training frequencies of what followed it; its accuracy is that of
    naming the same label again. ``hour`` gives the training frequencies of the bar's UTC hour: prices move less at night, and knowing that
    is no skill. One is added to each count of the last two, for the `classes` that the target can have. ``naive_log_loss`` is the
    best of the three log losses.
    """
    label = test["label"].to_numpy()
    train_row, train_label, train_end = (train[name].to_numpy() for name in ("row", "label", "label_end_row"))
    row, every_label, end_row = (np.concatenate((train[name], test[name])) for name in ("row", "label", "label_end_row"))
    counts = np.bincount(train_label + 1, minlength=CLASS_COUNT).astype(np.float64)
    majority = int(counts.argmax()) - 1
    before_train = last_known_label(train_row, train_label, train_end, train_row, majority)
    before_test = last_known_label(row, every_label, end_row, test["row"].to_numpy(), majority)
    losses = {
        "prior_log_loss": log_loss(np.tile(counts / counts.sum(), (len(label), 1)), label),
        "last_label_log_loss": log_loss(_frequencies(before_train + 1, train_label, CLASS_COUNT, classes)[before_test + 1], label),
        "hour_log_loss": log_loss(_frequencies(_hour(train), train_label, 24, classes)[_hour(test)], label),
    }
    return {
        **losses,
        "naive_log_loss": min(losses.values()),
        "majority_accuracy": float((label == majority).mean()),
        "last_label_accuracy": float((label == before_test).mean()),
    }


def _frequencies(group: Ints, label: Ints, groups: int, classes: tuple[int, ...]) -> Floats:
    """Share of each class among the rows of each group, one added to each count of `classes`; shape (groups, 3)."""
    counts = np.zeros((groups, CLASS_COUNT))
    counts[:, np.array(classes) + 1] = 1.0
    np.add.at(counts, (group, label + 1), 1.0)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def _hour(frame: pd.DataFrame) -> Ints:
    return np.asarray(pd.DatetimeIndex(frame.index).hour, dtype=np.int64)
