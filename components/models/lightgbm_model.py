"""LightGBM's inference, from its own text format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from components.fx import BadInput, Corrupt
from components.models.protocol import CLASSES, Floats, Model
from components.pipeline import FittedTransform

if TYPE_CHECKING:
    from lightgbm import Booster


class LightGbmModel:
    """A gradient-boosted classifier of three classes; satisfies `ProbabilityModel`."""

    def __init__(self, model: Model, booster: Booster, transform: FittedTransform | None = None) -> None:
        self._model = model
        self._booster = booster
        self._transform = transform

    @classmethod
    def from_text(cls, model: Model, text: str, transform: FittedTransform | None = None) -> LightGbmModel:
        """The model whose file holds `text`, and whose features go through `transform`.

        Raises
        ------
        Corrupt
            If the text is not a LightGBM model, or not one of the registered features and three classes.
        """
        import lightgbm  # takes a second to import: only where a model is loaded

        try:
            booster = lightgbm.Booster(model_str=text)
        except lightgbm.basic.LightGBMError as error:
            raise Corrupt(f"model {model.id} cannot be read: {error}") from error
        if tuple(booster.feature_name()) != model.feature_names or booster.num_model_per_iteration() != len(CLASSES):
            raise Corrupt(f"model {model.id} was registered with other features or classes than its file has")
        return cls(model, booster, transform)

    @property
    def model(self) -> Model:
        """Its entry in the registry."""
        return self._model

    @property
    def transform(self) -> FittedTransform | None:
        """How features become what `predict` takes."""
        return self._transform

    def predict(self, features: pd.DataFrame) -> Floats:
        """Probabilities of −1, 0, +1, shape (n, 3); see `ProbabilityModel.predict`."""
        missing = [name for name in self._model.feature_names if name not in features.columns]
        if missing:
            raise BadInput("features", f"{missing[0]!r} is missing; the model needs {', '.join(self._model.feature_names)}")
        values = features[list(self._model.feature_names)].to_numpy(dtype=np.float64)
        answer: Floats = np.full((len(values), len(CLASSES)), np.nan)
        known = ~np.isnan(values).any(axis=1)
        if known.any():
            answer[known] = self._booster.predict(np.ascontiguousarray(values[known]), num_threads=1)
        return answer
