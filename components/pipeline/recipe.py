"""What a dataset is made of, as a frozen recipe that checks itself, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from components.features import catalogue, features_named
from components.fx import BadInput, bad_input_of


class TripleBarrierTarget(BaseModel):
    """Which barrier is reached first; distances in average true ranges of the bar at which the label begins."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizon_bars: int = Field(12, ge=1, le=500, description="bars that the label looks at")
    up_atr: float = Field(2.0, gt=0, le=50, allow_inf_nan=False, description="distance of the upper barrier, in average true ranges")
    down_atr: float = Field(2.0, gt=0, le=50, allow_inf_nan=False, description="distance of the lower barrier, in average true ranges")
    atr_period: int = Field(14, ge=1, le=500, description="Wilder's period of the average true range, in bars")


class DatasetRecipe(BaseModel):
    """Features, target and split of a dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: tuple[str, ...] = Field(tuple(feature.name for feature in catalogue()), description="names from the catalogue, in order")
    target: TripleBarrierTarget = TripleBarrierTarget()
    train_fraction: float = Field(0.7, gt=0.05, lt=0.95, description="share of the usable rows that comes before the split")
    embargo_bars: int = Field(12, ge=0, le=1000, description="bars between the last bar that a training label saw and the first test row")

    @field_validator("features")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        try:
            features_named(names)
        except BadInput as error:
            raise ValueError(error.message) from None
        return names


@dataclass(frozen=True)
class BarSet:
    """A collected history: `start_ms` opens its first bar, `end_ms` closes its last, both epoch milliseconds UTC; its id names its content."""

    id: str
    symbol: str
    timeframe: str
    source: str
    start_ms: int
    end_ms: int
    rows: int
    sha256: str
    path: Path
    quality_score: float
    quality: dict[str, Any]
    created_ms: int


@dataclass(frozen=True)
class Dataset:
    """A frozen dataset; its id is the hash of its content and recipe.

    Epoch milliseconds UTC: `start_ms` opens the first training row's bar, `train_end_ms` closes the last bar that any training label saw,
    `test_start_ms` opens the first test row's bar, `end_ms` closes the last bar that any test label saw.
    """

    id: str
    bar_set_id: str
    symbol: str
    timeframe: str
    recipe: DatasetRecipe
    rows: int
    train_rows: int
    test_rows: int
    path: Path
    sha256: dict[str, str]
    start_ms: int
    train_end_ms: int
    test_start_ms: int
    end_ms: int
    created_ms: int


@dataclass(frozen=True)
class DatasetFrames:
    """The rows of a dataset, indexed by open time: the features (float64), ``label`` (int64: −1, 0, 1), ``row`` (place of the bar in its
    history) and ``label_end_row`` (place of the bar whose close ends the label)."""

    train: pd.DataFrame
    test: pd.DataFrame
    feature_names: tuple[str, ...]


Model = TypeVar("Model", bound=BaseModel)


def parse_payload(kind: type[Model], payload: Mapping[str, Any] | Model) -> Model:
    """A pydantic model from plain values.

    Raises
    ------
    BadInput
        Naming the first field that is wrong and what is wrong with it.
    """
    if isinstance(payload, kind):
        return payload
    try:
        return kind.model_validate(payload)
    except ValidationError as error:
        raise bad_input_of(error, kind=kind, whole=kind.__name__) from None
