"""Cross-validation in time: train on the past, validate on what follows, with nothing of the one in the other."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from components.fx import BadInput

LEAST_ROWS = 30


@dataclass(frozen=True)
class Fold:
    """One split: places of its training and its validation rows, each of shape (k,), increasing."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]


def purged_folds(row: NDArray[np.int64], folds: int, horizon_bars: int, embargo_bars: int) -> list[Fold]:
    """Expanding splits of rows that are in order of time.

    The rows are cut into ``folds + 1`` blocks of equal length; fold k validates on block k + 1 and trains on the blocks before it, less
    the rows whose label's horizon, with `embargo_bars` added, reaches the first validation row.

    Parameters
    ----------
    row : ndarray of int64, shape (n,)
        Place of each row's bar in its history, increasing.
    folds : int
        Number of splits.
    horizon_bars, embargo_bars : int
        Bars that a label looks at, and bars kept free after them.

    Raises
    ------
    BadInput
        If a fold would have fewer than 30 rows on either side.
    """
    if folds < 1:
        raise BadInput("folds", f"{folds} is not at least 1")
    edges = np.linspace(0, len(row), folds + 2).astype(int)
    made = []
    for first, last in pairwise(edges[1:].tolist()):
        before = np.arange(first)
        train = before[row[:first] + horizon_bars + embargo_bars < row[first]] if last > first else before[:0]
        if min(len(train), last - first) < LEAST_ROWS:
            raise BadInput("folds", f"{len(row):,} training rows are too few for {folds} folds; each side of a fold needs {LEAST_ROWS}")
        made.append(Fold(train, np.arange(first, last)))
    return made
