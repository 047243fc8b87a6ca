"""What a sweep is asked for: a backtest, the parameters that vary, and how the points are chosen and ranked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, get_args, get_origin

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from components.backtest.execute import BacktestSpec
from components.fx import BadInput, bad_input_of, parse_payload
from components.strategy import Strategy

Method = Literal["grid", "random", "optuna"]
Criterion = Literal["sharpe", "total_return", "net_profit", "profit_factor", "win_rate", "average_profit", "calmar", "max_drawdown"]
MOST_POINTS = 20_000
USUAL_POINTS = 100
USUAL_COUNT = 10
"""Values of a grid along a range that names neither a step nor a count."""
EDGE = 0.05
"""Share of a parameter's range by which a default range keeps away from a bound that is not allowed itself."""


class Span(BaseModel):
    """A range of a parameter, both ends included.

    With neither `step` nor `count` a grid takes 10 values, random and Optuna draw from the whole span. `log` spaces evenly in the logarithm.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    low: float
    high: float
    step: float | None = Field(None, gt=0, description="distance of two values")
    count: int | None = Field(None, ge=1, le=MOST_POINTS, description="number of values")
    log: bool = Field(False, description="evenly spaced in the logarithm")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low ({self.low:g}) is above high ({self.high:g})")
        if self.step is not None and self.count is not None:
            raise ValueError("give a step or a count, not both")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("a logarithmic range begins above 0 and has a count, not a step")
        if self.step is not None and (self.high - self.low) / self.step >= MOST_POINTS:
            raise ValueError(f"a step of {self.step:g} makes more than {MOST_POINTS:,} values")
        return self


class SweepSpec(BacktestSpec):
    """A sweep: one backtest, run once for every point. `params` holds what stays fixed."""

    method: Method = Field("grid", description="grid: every combination; random: drawn evenly; optuna: drawn where it was good before")
    ranges: dict[str, list[Any] | Span | None] = Field(
        min_length=1, max_length=20, description="by parameter: its values, or {low, high, step or count, log}, or null for its whole bounds"
    )
    points: int | None = Field(
        None, ge=1, le=MOST_POINTS, description="points of random and optuna (100 where left out); the most that a grid may have (20,000)"
    )
    seed: int = Field(0, ge=0, le=2**32 - 1, description="of random and optuna: the same seed gives the same points")
    criterion: Criterion = Field("sharpe", description="what the best point is best by")
    min_trades: int = Field(30, ge=0, le=1_000_000, description="points with fewer trades are kept but not ranked")
    workers: int = Field(0, ge=0, le=256, description="points that run at once; 0 for one on each core")
    part: float = Field(1.0, gt=0, le=1, description="share of the bars that is used, from the first on; what is left stays out of sample")
    keep_best: bool = Field(False, description="run the best point over all bars and keep it as a backtest of its own")

    @field_validator("ranges", mode="before")
    @classmethod
    def _ranges_by_name(cls, ranges: Any) -> Any:
        """Each range by itself, so that what is wrong with one is said of its parameter."""
        if not isinstance(ranges, Mapping):
            return ranges
        if not ranges:
            raise BadInput("ranges", "names no parameter; name at least one that varies")
        return {name: _range(f"ranges.{name}", given) for name, given in ranges.items()}

    @property
    def most_points(self) -> int:
        """How many points the sweep may have."""
        return self.points or (MOST_POINTS if self.method == "grid" else USUAL_POINTS)


def _range(field: str, given: Any) -> Any:
    if given is None or isinstance(given, list | Span):
        return given
    if isinstance(given, tuple):
        return list(given)
    if not isinstance(given, Mapping):
        raise BadInput(field, f"{given!r:.60} is no range; give a list of values, an object with low and high, or null for the whole bounds")
    try:
        return Span.model_validate(dict(given))
    except ValidationError as error:
        raise bad_input_of(error, f"{field}.", Span) from None


def parse_sweep_spec(document: Mapping[str, Any]) -> SweepSpec:
    """A spec from a mapping.

    Raises
    ------
    BadInput
        Naming the first field that is wrong.
    """
    return parse_payload(SweepSpec, document, whole="sweep")


@dataclass(frozen=True)
class Axis:
    """One parameter that varies.

    Parameters
    ----------
    name : str
    values : tuple
        Plain JSON values, in their order; empty for a span that is drawn from as a whole.
    low, high : float
        Ends of such a span.
    log : bool
    is_whole : bool
        Whether only whole numbers are drawn.
    """

    name: str
    values: tuple[Any, ...] = ()
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    is_whole: bool = False

    @property
    def is_ordered(self) -> bool:
        """Whether it has a direction: numbers have, words and yes or no have not."""
        return not self.values or all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)

    def document(self) -> dict[str, Any]:
        """The axis as plain JSON, for a page."""
        return {"values": list(self.values)} if self.values else {"low": self.low, "high": self.high, "log": self.log}


def axes_of(strategy: Strategy, spec: SweepSpec) -> tuple[Axis, ...]:
    """The parameters that vary, in the order in which they were named, every value checked against the strategy's bounds.

    Raises
    ------
    BadInput
        Naming the parameter, and the value that is outside its bounds, of the wrong kind, or fixed as well.
    """
    for name, value in spec.params.items():
        if name in spec.ranges:
            raise BadInput(f"params.{name}", "is fixed and varies as well; name it once")
        checked_value(strategy, f"params.{name}", name, value)
    return tuple(_axis(strategy, name, given, spec.method) for name, given in spec.ranges.items())


def checked_value(strategy: Strategy, field: str, name: str, value: Any) -> Any:
    """A value of one parameter as plain JSON, once it is seen that it is within its bounds; `BadInput` naming `field` where it is not."""
    known = strategy.params.model_fields
    if name not in known:
        raise BadInput(field, f"is unknown; {strategy.name} has {', '.join(known)}")
    info = known[name]
    bounded: Any = Annotated[info.annotation, info]
    adapter: TypeAdapter[Any] = TypeAdapter(bounded)
    try:
        return adapter.dump_python(adapter.validate_python(value), mode="json")
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"]
        raise BadInput(field, f"{value!r:.60}: {message[:1].lower()}{message[1:]}") from None


def _axis(strategy: Strategy, name: str, given: list[Any] | Span | None, method: Method) -> Axis:
    field = f"ranges.{name}"
    if isinstance(given, list):
        if not given:
            raise BadInput(field, "has no values")
        values = tuple(dict.fromkeys(checked_value(strategy, field, name, value) for value in given))
        return Axis(name, tuple(sorted(values)) if Axis(name, values).is_ordered else values)
    if name not in strategy.params.model_fields:
        checked_value(strategy, field, name, None)
    kind = strategy.params.model_fields[name].annotation
    if given is None:
        if kind is bool:
            return Axis(name, (False, True))
        if get_origin(kind) is Literal:
            return Axis(name, get_args(kind))
    if kind is not int and kind is not float:
        raise BadInput(field, "is not a number; give a list of values")
    span = given or _bounds(strategy, name, whole=kind is int)
    if method != "grid" and span.step is None and span.count is None:
        ends = (math.ceil(span.low), math.floor(span.high)) if kind is int else (span.low, span.high)
        if ends[0] > ends[1]:
            raise BadInput(field, f"there is no whole number from {span.low:g} to {span.high:g}")
        low, high = (checked_value(strategy, field, name, end) for end in ends)
        return Axis(name, low=low, high=high, log=span.log, is_whole=kind is int)
    spaced = _spaced(span, whole=kind is int)
    if kind is int and span.step is not None and (span.step != int(span.step) or span.low != int(span.low)):
        raise BadInput(field, f"{span.low:g} in steps of {span.step:g}: {name} takes whole numbers only")
    return Axis(name, tuple(dict.fromkeys(checked_value(strategy, field, name, value) for value in spaced)))


def _bounds(strategy: Strategy, name: str, whole: bool) -> Span:
    """The whole range that a parameter's bounds allow; where a bound itself is not allowed, a little inside it."""
    ends: dict[str, float] = {}
    open_ends = set()
    for bound in strategy.params.model_fields[name].metadata:
        for side, closed, opened in (("low", "ge", "gt"), ("high", "le", "lt")):
            for attribute in (closed, opened):
                if (value := getattr(bound, attribute, None)) is not None:
                    ends[side] = float(value)
                    open_ends |= {side} if attribute == opened else set()
    if len(ends) < 2:
        raise BadInput(f"ranges.{name}", "has no bounds on both sides; give a range")
    margin = 1.0 if whole else EDGE * (ends["high"] - ends["low"])
    return Span(low=ends["low"] + margin * ("low" in open_ends), high=ends["high"] - margin * ("high" in open_ends))


def _spaced(span: Span, whole: bool) -> list[float]:
    """The values of a span; decimal steps stay decimal (0.3, not 0.30000000000000004)."""
    if span.step is not None:
        count = math.floor((span.high - span.low) / span.step + 1e-9) + 1
        values = span.low + span.step * np.arange(count)
    else:
        count = span.count or USUAL_COUNT
        values = np.geomspace(span.low, span.high, count) if span.log else np.linspace(span.low, span.high, count)
    return [round(value) if whole else float(f"{value:.12g}") for value in values.tolist()]


SIGNS: dict[str, int] = {name: -1 if name == "max_drawdown" else 1 for name in get_args(Criterion)}
"""+1 where more of a criterion is better, −1 where less is."""


def merit(metrics: Mapping[str, Any], criterion: str, min_trades: int = 0) -> float | None:
    """How good a point is by a criterion, more being better; None where it is not ranked.

    Not ranked is a point with fewer trades than `min_trades`, and one without the figure: a profit factor without a loss, or a Calmar ratio
    without a drawdown, says that there was too little to see.
    """
    value = metrics.get(criterion)
    if value is None or not math.isfinite(value) or int(metrics.get("trades", 0)) < min_trades:
        return None
    return SIGNS[criterion] * float(value)
