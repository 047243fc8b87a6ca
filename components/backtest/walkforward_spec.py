"""What a walk-forward is asked for, and the parameter points that it tries."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from components.backtest.execute import BacktestSpec
from components.backtest.sweep_points import plan_points
from components.backtest.sweep_spec import Axis, Criterion, SweepSpec, axes_of
from components.backtest.walkforward_windows import Mode, Window, combinatorial_windows, walk_windows
from components.fx import BadInput, parse_payload
from components.strategy import Params, Strategy

EMBARGO_SHARE = 0.01


class RefitSpec(BaseModel):
    """The model that is trained anew for every window, on that window's training part alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: Literal["lightgbm"] = Field("lightgbm", description="kind of model")
    dataset_id: str | None = Field(None, max_length=200, description="dataset whose recipe is used: features, target, scaling and choice of features")
    recipe: dict[str, Any] = Field(
        default_factory=dict, description="the recipe itself, where no dataset is named; the default one where it is empty"
    )
    hyper: dict[str, Any] = Field(default_factory=dict, description="fields of the training, for example rounds or leaves")
    folds: int = Field(
        3,
        ge=2,
        le=20,
        description="blocks of the training part; each is judged by a model of the others, so that parameters are chosen out of sample",
    )


class WalkForwardSpec(BacktestSpec):
    """One walk-forward: a backtest's fields, the ranges that are searched, and the windows.

    A part of the history is used for choosing, the part behind it for trying the choice; then both move on. Between them `purge_bars` and
    `embargo_bars` are left out. Without a model nothing in a training part reaches beyond its end, since every position is closed there:
    what is left out is then 0 by default; the bars before a part are only the history of its indicators. Where a model is refitted, the default
    of `purge_bars` is the horizon of its labels. A model that is named instead answers only about bars behind its own training; windows before
    that have nothing to trade. In combinatorial mode training parts also follow tested ones, and `embargo_bars` is a
    hundredth of all bars by default.
    """

    ranges: dict[str, Any] = Field(
        default_factory=dict, max_length=20, description="by parameter: its values, or {low, high, step or count, log}, or null for its whole bounds"
    )
    mode: Mode = Field("rolling", description="rolling: training parts of one length; anchored: all from the first bar; combinatorial: purged CV")
    train_bars: int | None = Field(None, ge=2, description="length of a training part (bars); of the first one where anchored")
    test_bars: int | None = Field(None, ge=2, description="length of a test part (bars)")
    windows: int | None = Field(None, ge=1, le=1000, description="number of windows, of equal length")
    groups: int = Field(6, ge=2, le=50, description="stretches that combinatorial mode cuts the history into")
    test_groups: int = Field(2, ge=1, le=49, description="stretches that each split of combinatorial mode tests")
    purge_bars: int | None = Field(None, ge=0, le=100_000, description="bars left out between training and test because labels reach over them")
    embargo_bars: int | None = Field(None, ge=0, le=100_000, description="further bars left out between training and test")
    criterion: Criterion = Field("sharpe", description="what the chosen point is best by in its training part")
    min_trades: int = Field(10, ge=0, le=100_000, description="trades that a point must have made in the training part to be chosen")
    refit: RefitSpec | None = Field(None, description="for strategies that trade a model: train it anew for every window")
    cores: int | None = Field(None, ge=1, le=256, description="points measured at a time; as many as the machine has cores where it is left out")

    @model_validator(mode="after")
    def _fits(self) -> WalkForwardSpec:
        if self.mode == "combinatorial":
            if self.criterion == "profit_factor":
                raise ValueError("profit_factor cannot be put together from several training parts; choose another criterion")
            if self.windows or self.train_bars or self.test_bars:
                raise ValueError("combinatorial mode takes groups and test_groups, not train_bars, test_bars or windows")
            if self.test_groups >= self.groups:
                raise ValueError(f"test_groups ({self.test_groups}) must be below groups ({self.groups})")
        if self.refit is not None and self.model_id is not None:
            raise ValueError("name a model or let one be refitted, not both")
        self._grid()  # says what is wrong with a range
        return self

    def _grid(self) -> SweepSpec | None:
        """The ranges as a sweep over a grid has them; None where nothing varies."""
        if not self.ranges:
            return None
        return SweepSpec(strategy=self.strategy, bar_set_id=self.bar_set_id, params=self.params, method="grid", ranges=self.ranges)

    def axes(self, strategy: Strategy) -> tuple[Axis, ...]:
        """The parameters that vary, with their values."""
        grid = self._grid()
        return axes_of(strategy, grid) if grid is not None else ()

    def points(self, strategy: Strategy) -> tuple[Params, ...]:
        """Every combination of the ranges' values that the strategy allows, the last range varying fastest.

        Raises
        ------
        BadInput
            If a value is out of bounds, there are more than 20,000 combinations, or the strategy allows none of them.
        """
        grid = self._grid()
        if grid is None:
            return (strategy.parse(self.params),)
        return tuple(strategy.parse(point.params) for point in plan_points(strategy, grid, axes_of(strategy, grid)).points)

    def backtest(self) -> BacktestSpec:
        """The backtest that every part is."""
        return BacktestSpec(**{name: getattr(self, name) for name in BacktestSpec.model_fields})

    def gaps(self, bars: int, horizon_bars: int = 0) -> tuple[int, int]:
        """Purge and embargo in bars, defaults filled in."""
        purge = horizon_bars if self.purge_bars is None else self.purge_bars
        if purge < horizon_bars:
            raise BadInput("purge_bars", f"{purge} is below the horizon of the model's labels, {horizon_bars} bars; leave it out or raise it")
        spared = ceil(bars * EMBARGO_SHARE) if self.mode == "combinatorial" else 0
        return purge, spared if self.embargo_bars is None else self.embargo_bars

    def plan(self, bars: int, horizon_bars: int = 0) -> tuple[Window, ...]:
        """The windows over that many bars."""
        purge, embargo = self.gaps(bars, horizon_bars)
        if self.mode == "combinatorial":
            return combinatorial_windows(bars, self.groups, self.test_groups, purge, embargo)
        return walk_windows(bars, self.mode, train_bars=self.train_bars, test_bars=self.test_bars, windows=self.windows, purge=purge, embargo=embargo)


def parse_walkforward(document: Mapping[str, Any] | WalkForwardSpec) -> WalkForwardSpec:
    """A spec from a mapping.

    Raises
    ------
    BadInput
        Naming the first field that is wrong.
    """
    if isinstance(document, WalkForwardSpec):
        return document
    return parse_payload(WalkForwardSpec, document, whole="walkforward")
