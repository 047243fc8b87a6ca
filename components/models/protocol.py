"""What every model is to the rest of the platform: features in, three probabilities out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CLASSES = (-1, 0, 1)
PROBABILITY_COLUMNS = ("p_down", "p_flat", "p_up")
Stage = Literal["candidate", "live", "retired"]
STAGES: tuple[Stage, ...] = ("candidate", "live", "retired")


@dataclass(frozen=True)
class Model:
    """A registered model. Nothing but its stage ever changes.

    Parameters
    ----------
    id : str
        Hash of what it was made from and of its content.
    name, version
        The name that a person gave, and its number under that name, from 1.
    family : str
        Kind of model; only ``"lightgbm"`` is known.
    dataset_id, symbol, timeframe : str
        What it was trained on.
    feature_names : tuple of str
        Columns that it reads, in this order.
    trained_until_ms : int
        Close, in epoch milliseconds UTC, of the last bar that any training label saw. What it says about bars that close later is out of
        sample.
    metrics : dict
        As measured when it was trained.
    path, sha256
        Its file and that file's digest.
    created_ms : int
        Epoch milliseconds UTC.
    stage : {'candidate', 'live', 'retired'}
        What a person decided about it.
    """

    id: str
    name: str
    version: int
    family: str
    dataset_id: str
    symbol: str
    timeframe: str
    feature_names: tuple[str, ...]
    trained_until_ms: int
    metrics: dict[str, Any]
    path: Path
    sha256: str
    created_ms: int
    stage: Stage


class ProbabilityModel(Protocol):
    """A loaded model."""

    @property
    def model(self) -> Model:
        """Its entry in the registry."""
        ...

    def predict(self, features: pd.DataFrame) -> Floats:
        """Probabilities of the label.

        Parameters
        ----------
        features : DataFrame, shape (n, ≥ m)
            The model's features by name; further columns are ignored.

        Returns
        -------
        ndarray of float64, shape (n, 3)
            Columns for the labels −1, 0, +1, adding to 1; NaN in a row in which a feature is NaN. Row by row: a row's answer does not
            depend on the rows around it.

        Raises
        ------
        BadInput
            If a feature is missing.
        """
        ...
