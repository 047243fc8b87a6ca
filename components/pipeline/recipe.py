"""What a dataset is made of, as a frozen recipe that checks itself, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, WrapValidator, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from components.features import (
    DEFAULT_FEATURES,
    FeatureInputs,
    compute_features,
    features_named,
    forward_return,
    meta_label,
    trend_scan,
    triple_barrier,
)
from components.fx import BadInput
from components.pipeline.transform import FittedTransform, Normalise


class TripleBarrierTarget(BaseModel):
    """Which barrier is reached first; distances in average true ranges of the bar at which the label begins."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: SkipJsonSchema[Literal["triple_barrier"]] = "triple_barrier"
    horizon_bars: int = Field(12, ge=1, le=500, description="bars that the label looks at")
    up_atr: float = Field(2.0, gt=0, le=50, allow_inf_nan=False, description="distance of the upper barrier, in average true ranges")
    down_atr: float = Field(2.0, gt=0, le=50, allow_inf_nan=False, description="distance of the lower barrier, in average true ranges")
    atr_period: int = Field(14, ge=1, le=500, description="Wilder's period of the average true range, in bars")

    @property
    def classes(self) -> tuple[int, ...]:
        """The labels that can occur."""
        return (-1, 0, 1)

    def compute(self, bars: pd.DataFrame, inputs: FeatureInputs | None = None) -> pd.DataFrame:
        """``label``, ``value`` and ``end_row`` of every bar; see `components.features.triple_barrier`."""
        return triple_barrier(bars, self.horizon_bars, self.up_atr, self.down_atr, self.atr_period)


class ForwardReturnTarget(BaseModel):
    """Whether the price moves far within a fixed number of bars; the threshold in average true ranges of the bar at which the label begins."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: SkipJsonSchema[Literal["forward_return"]] = "forward_return"
    horizon_bars: int = Field(12, ge=1, le=500, description="bars from the close at which the label begins to the one that is looked at")
    threshold_atr: float = Field(0.5, ge=0, le=50, allow_inf_nan=False, description="move that counts, in average true ranges; 0 asks for the sign")
    atr_period: int = Field(14, ge=1, le=500, description="Wilder's period of the average true range, in bars")

    @property
    def classes(self) -> tuple[int, ...]:
        """The labels that can occur."""
        return (-1, 0, 1)

    def compute(self, bars: pd.DataFrame, inputs: FeatureInputs | None = None) -> pd.DataFrame:
        """``label``, ``value`` and ``end_row`` of every bar; see `components.features.forward_return`."""
        return forward_return(bars, self.horizon_bars, self.threshold_atr, self.atr_period)


class MetaLabelTarget(BaseModel):
    """Whether a trade on the side that a feature names is won; rows without a side have no label."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: SkipJsonSchema[Literal["meta_label"]] = "meta_label"
    side: str = Field("return_24", description="feature whose value says the side: long above `around`, short below, no trade where it is equal")
    around: float = Field(0.0, allow_inf_nan=False, description="value of that feature at which there is no side")
    is_reversed: bool = Field(False, description="whether the side is the other one, as for a rule that bets on the way back")
    horizon_bars: int = Field(12, ge=1, le=500, description="bars that the label looks at")
    target_atr: float = Field(2.0, gt=0, le=50, allow_inf_nan=False, description="distance of the target, in average true ranges")
    stop_atr: float = Field(2.0, gt=0, le=50, allow_inf_nan=False, description="distance of the stop, in average true ranges")
    atr_period: int = Field(14, ge=1, le=500, description="Wilder's period of the average true range, in bars")

    @field_validator("side")
    @classmethod
    def _known(cls, name: str) -> str:
        return _known_features((name,))[0]

    @property
    def classes(self) -> tuple[int, ...]:
        """The labels that can occur: 1 for a trade that is won, else 0."""
        return (0, 1)

    def compute(self, bars: pd.DataFrame, inputs: FeatureInputs | None = None) -> pd.DataFrame:
        """``label``, ``value`` and ``end_row`` of every bar; see `components.features.meta_label`."""
        values = compute_features(bars, [self.side], inputs)[self.side].to_numpy()
        side = np.sign(values - self.around) * (-1.0 if self.is_reversed else 1.0)
        return meta_label(bars, side, self.horizon_bars, self.target_atr, self.stop_atr, self.atr_period)


class TrendScanTarget(BaseModel):
    """The direction of the clearest straight line through the bars that follow."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: SkipJsonSchema[Literal["trend_scan"]] = "trend_scan"
    min_bars: int = Field(5, ge=2, le=500, description="bars of the shortest trend")
    max_bars: int = Field(24, ge=2, le=500, description="bars of the longest trend, which the label needs to be known")

    @model_validator(mode="after")
    def _in_order(self) -> TrendScanTarget:
        if self.max_bars < self.min_bars:
            raise ValueError(f"max_bars, {self.max_bars}, is less than min_bars, {self.min_bars}")
        return self

    @property
    def horizon_bars(self) -> int:
        """Bars that the label looks at."""
        return self.max_bars

    @property
    def classes(self) -> tuple[int, ...]:
        """The labels that can occur; 0 only where nothing moved."""
        return (-1, 0, 1)

    def compute(self, bars: pd.DataFrame, inputs: FeatureInputs | None = None) -> pd.DataFrame:
        """``label``, ``value`` and ``end_row`` of every bar; see `components.features.trend_scan`."""
        return trend_scan(bars, self.min_bars, self.max_bars)


Target = TripleBarrierTarget | ForwardReturnTarget | MetaLabelTarget | TrendScanTarget
TARGETS: Mapping[str, type[Target]] = {
    "triple_barrier": TripleBarrierTarget,
    "forward_return": ForwardReturnTarget,
    "meta_label": MetaLabelTarget,
    "trend_scan": TrendScanTarget,
}
"""The kinds of targets, as a recipe names them in ``target.kind``."""


class _Kind(BaseModel):
    kind: Literal["triple_barrier", "forward_return", "meta_label", "trend_scan"] = "triple_barrier"


def parse_target(value: Any) -> Target:
    """A target from plain values; ``kind`` says which, a triple barrier where it is left out.

    Raises
    ------
    ValidationError
        Naming the field that is wrong.
    """
    if isinstance(value, Mapping):
        return TARGETS[_Kind.model_validate({"kind": value.get("kind", "triple_barrier")}).kind].model_validate(value)
    if isinstance(value, TripleBarrierTarget | ForwardReturnTarget | MetaLabelTarget | TrendScanTarget):
        return value
    return TripleBarrierTarget.model_validate(value)


class Selection(BaseModel):
    """Which features a dataset keeps, judged on its training rows alone.

    Features are ranked by what they tell about the label; then, best first, one is left out where it is too similar to one that is kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["none", "mutual_information", "correlation"] = Field(
        "mutual_information", description="what ranks the features: information about the label, rank correlation with it, or their order"
    )
    most_features: int | None = Field(None, ge=1, le=5000, description="features that are kept at most")
    most_correlation: float = Field(1.0, gt=0, le=1, description="largest absolute rank correlation of two features that are kept; 1 keeps all")


class DatasetRecipe(BaseModel):
    """Features, target and split of a dataset, and how its features are scaled and chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: tuple[str, ...] = Field(DEFAULT_FEATURES, description="names of features, in order")
    target: Annotated[Target, WrapValidator(lambda value, _: parse_target(value))] = TripleBarrierTarget()
    train_fraction: float = Field(0.7, gt=0.05, lt=0.95, description="share of the usable rows that comes before the split")
    embargo_bars: int = Field(12, ge=0, le=1000, description="bars between the last bar that a training label saw and the first test row")
    normalise: Normalise = Field("none", description="how features are scaled, by what their training rows hold")
    select: Selection | None = Field(None, description="which features are kept; all where it is left out")
    others: tuple[str, ...] = Field((), description="bar sets of other symbols, of the same timeframe, that features with a symbol need")
    news: tuple[str, ...] = Field((), description="currencies whose news features need, as far as it is kept; each value from its first sight on")

    @field_validator("features")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return _known_features(names)

    @field_validator("others", "news")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("a name is given twice")
        return names


def _known_features(names: tuple[str, ...]) -> tuple[str, ...]:
    try:
        features_named(names)
    except BadInput as error:
        raise ValueError(error.message) from None
    return names


BarSetState = Literal["trusted", "quarantined", "released"]


@dataclass(frozen=True)
class BarSet:
    """A kept history; its id names its content.

    `start_ms` opens its first bar, `end_ms` closes its last, both epoch milliseconds UTC. `parents` are the bar sets that it was made from,
    `made_by` how: ``kind`` (collected, repaired, resampled) and what a person needs to follow it back to the files, among them the pieces.
    Nothing is built on a ``quarantined`` one; ``released`` says that a person decided otherwise.
    """

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
    parents: tuple[str, ...] = ()
    made_by: dict[str, Any] = field(default_factory=dict)
    state: BarSetState = "trusted"


@dataclass(frozen=True)
class Dataset:
    """A frozen dataset; its id is the hash of its content and recipe.

    Epoch milliseconds UTC: `start_ms` opens the first training row's bar, `train_end_ms` closes the last bar that any training label saw,
    `test_start_ms` opens the first test row's bar, `end_ms` closes the last bar that any test label saw. `lineage` says what it was made
    from: bar sets with their parents, pieces and files, and the version of the formulas. `transform` says in short how its features were
    scaled and which were kept; the whole of it is the file ``transform.json``.
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
    lineage: dict[str, Any] = field(default_factory=dict)
    transform: dict[str, Any] = field(default_factory=dict)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features that were kept, in order."""
        return tuple(self.transform.get("features", self.recipe.features))


@dataclass(frozen=True)
class DatasetFrames:
    """The rows of a dataset, indexed by open time.

    The features (float64, scaled by `transform`), ``label`` (int64: −1, 0, 1), ``row`` (place of the bar in its history), ``label_end_row``
    (place of the bar whose close ends the label) and, in datasets of now, ``label_value`` (float64, what the target calls its value).
    """

    train: pd.DataFrame
    test: pd.DataFrame
    feature_names: tuple[str, ...]
    transform: FittedTransform = field(default_factory=FittedTransform)
