"""What every model is to the rest of the platform: features in, three probabilities out.

The probabilities are those of the labels −1, 0 and +1 of the model's target. For a meta-label, which is 1 for a trade that is won and else 0,
``p_up`` is the probability of winning, ``p_flat`` that of not winning, and ``p_down`` next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.features import feature_of, parse_name
from components.fx import BadInput
from components.pipeline import FittedTransform

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
    transform_sha256 : str
        Digest of the transform that its features go through, the file ``transform.json`` beside its own; empty where they stay as they are.
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
    transform_sha256: str = ""

    def require_for(self, symbol: str, timeframe: str) -> None:
        """Let it pass where its probabilities are about the direction of this symbol's bars of this timeframe.

        Raises
        ------
        BadInput
            If it was trained on other bars, on meta-labels (those say whether another strategy's trade would have been won, so that a
            high `p_up` does not mean long), or on features of other symbols or news, which whoever asks it about these bars alone has not.
        """
        if (self.symbol, self.timeframe) != (symbol, timeframe):
            raise BadInput("model_id", f"model {self.id} was trained on {self.symbol} {self.timeframe}, wanted is {symbol} {timeframe}")
        if self.metrics.get("target", {}).get("kind") == "meta_label":
            raise BadInput("model_id", f"model {self.id} was trained on meta-labels: it says whether a trade would be won, not in which direction")
        for name in self.feature_names:
            parsed = parse_name(name)
            wanted = feature_of(replace(parsed, symbol=None) if parsed.symbol == symbol else parsed).needs & {"others", "news"}
            if wanted:
                missing = "news" if "news" in wanted else "bars of other symbols"
                raise BadInput("model_id", f"model {self.id} needs {missing} for {name}; it can be asked with bars of {symbol} alone only")


class ProbabilityModel(Protocol):
    """A loaded model."""

    @property
    def model(self) -> Model:
        """Its entry in the registry."""
        ...

    @property
    def transform(self) -> FittedTransform | None:
        """How features become what `predict` takes; None where they stay as they are."""
        ...

    def predict(self, features: pd.DataFrame) -> Floats:
        """Probabilities of the label.

        Parameters
        ----------
        features : DataFrame, shape (n, ≥ m)
            The model's features by name, as its dataset holds them: gone through `transform` where there is one; further columns are
            ignored.

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
