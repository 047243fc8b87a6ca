"""Fitting the gradient-boosted classifier. Deterministic: the same rows and spec give the same text, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from components.training.measures import CLASS_COUNT, Floats

if TYPE_CHECKING:
    from lightgbm import Booster


class TrainSpec(BaseModel):
    """What to train, on what and how. The defaults are small and strongly regularised: hourly prices hold little to learn."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    dataset_id: str = Field(min_length=1, description="a dataset of the pipeline")
    name: str = Field("direction", pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$", description="name of the model; versions are counted under it")
    folds: int = Field(5, ge=2, le=20, description="splits of the cross-validation")
    rounds: int = Field(120, ge=1, le=5000, description="boosting rounds")
    learning_rate: float = Field(0.02, gt=0, le=1, allow_inf_nan=False, description="share of each tree that is added")
    leaves: int = Field(6, ge=2, le=256, description="leaves of a tree")
    least_rows_in_leaf: int = Field(80, ge=1, le=100_000, description="rows that a leaf must hold")
    feature_fraction: float = Field(0.6, gt=0, le=1, description="share of the features that each tree may use")
    l2: float = Field(10.0, ge=0, le=1e6, allow_inf_nan=False, description="penalty on leaf values")
    seed: int = Field(7, ge=0, le=2**31 - 1, description="seed of every random choice")
    cores: int = Field(1, ge=1, le=256, description="threads; results may differ in the last digit between numbers of threads")


def fit(spec: TrainSpec, features: pd.DataFrame, label: np.ndarray) -> Booster:
    """A fitted booster; features of shape (n, m), labels −1, 0, +1 of shape (n,)."""
    import lightgbm  # takes a second to import: only where something is trained

    rows = lightgbm.Dataset(
        np.ascontiguousarray(features.to_numpy(dtype=np.float64)), label=label + 1, feature_name=list(features.columns), params={"verbosity": -1}
    )
    params = {
        "objective": "multiclass",
        "num_class": CLASS_COUNT,
        "learning_rate": spec.learning_rate,
        "num_leaves": spec.leaves,
        "min_data_in_leaf": spec.least_rows_in_leaf,
        "feature_fraction": spec.feature_fraction,
        "lambda_l2": spec.l2,
        "seed": spec.seed,
        "num_threads": spec.cores,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    return lightgbm.train(params, rows, num_boost_round=spec.rounds)


def predict(booster: Booster, features: pd.DataFrame) -> Floats:
    """Probabilities of −1, 0, +1, shape (n, 3)."""
    answer: Floats = np.asarray(booster.predict(np.ascontiguousarray(features.to_numpy(dtype=np.float64)), num_threads=1))
    return answer


def importance(booster: Booster, names: tuple[str, ...]) -> dict[str, float]:
    """Each feature's share of the gain, largest first; all 0 where no split was made."""
    gain = booster.feature_importance("gain")
    total = float(gain.sum()) or 1.0
    return {names[i]: round(float(gain[i]) / total, 6) for i in np.argsort(-gain, kind="stable")}
