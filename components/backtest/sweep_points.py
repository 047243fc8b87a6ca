"""The points of a sweep: every combination, drawn evenly, or asked from Optuna batch by batch."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.backtest.sweep_spec import MOST_POINTS, Axis, SweepSpec
from components.fx import BadInput
from components.strategy import Strategy

Document = dict[str, Any]
BATCH = 10
"""Points that Optuna is asked for at a time. Fixed, not the number of cores: the points must not depend on the machine."""
DRAWS_PER_POINT = 20
DRAWS_AT_LEAST = 1_000
ASKS_PER_POINT = 8
MOST_COMBINATIONS = 10 * MOST_POINTS


@dataclass(frozen=True)
class PlannedPoint:
    """One point to be run: its number in the sweep, and all parameters of the strategy, plain JSON."""

    number: int
    params: Document


@dataclass(frozen=True)
class Plan:
    """The points of a grid or a random sweep.

    Parameters
    ----------
    points : tuple of PlannedPoint
    impossible : int
        Combinations that the strategy itself does not allow (a fast average slower than the slow one); they are no trials.
    """

    points: tuple[PlannedPoint, ...]
    impossible: int


def plan_points(strategy: Strategy, spec: SweepSpec, axes: Sequence[Axis]) -> Plan:
    """All points of a grid or random sweep, the same for the same spec.

    A grid is numbered with its last parameter running fastest. A random sweep draws until it has as many different points as were asked for, or
    has drawn 20 times as many (at least 1,000 times): a small space may hold fewer.

    Raises
    ------
    BadInput
        If a grid has more points than it may, or no combination is possible.
    """
    space = _Space(strategy, spec.params, axes)
    most = spec.most_points
    draws = _combinations(axes) if spec.method == "grid" else _draws(axes, spec.seed, max(DRAWS_PER_POINT * most, DRAWS_AT_LEAST))
    points: list[PlannedPoint] = []
    for values in draws:
        if spec.method == "random" and len(points) == most:
            break
        params = space.new(values)
        if params is not None:
            points.append(PlannedPoint(len(points), params))
        if len(points) > most:
            raise BadInput("ranges", f"make more than {most:,} points; take larger steps, fewer parameters, or method random or optuna")
    if not points:
        raise space.empty()
    return Plan(tuple(points), space.impossible)


class _Space:
    """Which combinations are possible, and which were had before."""

    def __init__(self, strategy: Strategy, fixed: Mapping[str, Any], axes: Sequence[Axis]) -> None:
        self.strategy, self.fixed, self.axes = strategy, dict(fixed), tuple(axes)
        self.seen: set[tuple[Any, ...]] = set()
        self.impossible = 0
        self.reason = ""

    def new(self, values: tuple[Any, ...]) -> Document | None:
        """All parameters at these values of the axes; None where they were had before or the strategy does not allow them."""
        if values in self.seen:
            return None
        self.seen.add(values)
        named = dict(zip((axis.name for axis in self.axes), values, strict=True))
        try:
            parsed = self.strategy.parse({**self.fixed, **named})
        except BadInput as error:
            # Each value by itself is within its bounds: this is two of them that do not go together.
            self.impossible += 1
            self.reason = self.reason or error.message
            return None
        return dict(parsed.model_dump(mode="json"))

    def empty(self) -> BadInput:
        """What to say where nothing is possible."""
        return BadInput("ranges", f"hold no possible point: all {self.impossible:,} combinations tried are refused, the first with: {self.reason}")


def _combinations(axes: Sequence[Axis]) -> Iterator[tuple[Any, ...]]:
    count = math.prod(len(axis.values) for axis in axes)
    if count > MOST_COMBINATIONS:
        raise BadInput("ranges", f"make {count:,} combinations; take larger steps, fewer parameters, or method random or optuna")
    return itertools.product(*(axis.values for axis in axes))


def _draws(axes: Sequence[Axis], seed: int, count: int) -> Iterator[tuple[Any, ...]]:
    generator = np.random.default_rng(seed)
    for _ in range(count):
        yield tuple(_drawn(axis, generator) for axis in axes)


def _drawn(axis: Axis, generator: np.random.Generator) -> Any:
    if axis.values:
        return axis.values[int(generator.integers(len(axis.values)))]
    if axis.is_whole and not axis.log:
        return int(generator.integers(int(axis.low), int(axis.high), endpoint=True))
    if not axis.log:
        return float(generator.uniform(axis.low, axis.high))
    value = math.exp(generator.uniform(math.log(axis.low), math.log(axis.high)))
    return min(max(round(value) if axis.is_whole else value, axis.low), axis.high)


class OptunaPoints:
    """Points that Optuna proposes in batches: it learns from each whole batch, told in the order of the numbers.

    So the points depend on the spec alone, not on the order in which they were done: a sweep that goes on after a crash asks again from the start,
    is told what is known, and arrives at the points of a sweep that was never interrupted.

    Parameters
    ----------
    strategy, spec, axes
        As for `plan_points`.

    Notes
    -----
    Tree-structured Parzen estimator: Bergstra et al. (2011), Algorithms for Hyper-Parameter Optimization. Combinations that are not possible, or
    were had before, are asked for anew; where the estimator finds nothing new any more, points are drawn evenly.
    """

    def __init__(self, strategy: Strategy, spec: SweepSpec, axes: Sequence[Axis]) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.spec, self.axes = spec, tuple(axes)
        self._optuna = optuna
        self._space = _Space(strategy, spec.params, axes)
        self._generator = np.random.default_rng(spec.seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # constant_liar, which keeps a batch from being ten times the same, is marked experimental
            sampler = optuna.samplers.TPESampler(seed=spec.seed, constant_liar=True, n_startup_trials=BATCH)
        self._study = optuna.create_study(sampler=sampler, direction="maximize")
        self._distributions = {axis.name: self._distribution(axis) for axis in axes}
        self._waiting: list[Any] = []
        self._asked = 0

    @property
    def impossible(self) -> int:
        """Combinations so far that the strategy does not allow."""
        return self._space.impossible

    def ask(self) -> list[PlannedPoint]:
        """The next batch; empty where the sweep has all its points or the space holds no more.

        Raises
        ------
        BadInput
            If no combination at all is possible.
        """
        batch: list[PlannedPoint] = []
        for _ in range(min(BATCH, self.spec.most_points - self._asked)):
            params = self._next()
            if params is None:
                break
            batch.append(PlannedPoint(self._asked, params))
            self._asked += 1
        if not self._asked:
            raise self._space.empty()
        return batch

    def tell(self, merits: Sequence[float | None]) -> None:
        """How good the points of the last batch were, in its order, more being better; None for one that failed or is not ranked."""
        complete, pruned = self._optuna.trial.TrialState.COMPLETE, self._optuna.trial.TrialState.PRUNED
        for trial, value in zip(self._waiting, merits, strict=True):
            if value is None:
                self._study.tell(trial, state=pruned)
            else:
                self._study.tell(trial, value, state=complete)
        self._waiting = []

    def _next(self) -> Document | None:
        failed = self._optuna.trial.TrialState.FAIL
        for _ in range(ASKS_PER_POINT):
            trial = self._study.ask(self._distributions)
            params = self._space.new(tuple(self._value(axis, trial.params[axis.name]) for axis in self.axes))
            if params is not None:
                self._waiting.append(trial)
                return params
            self._study.tell(trial, state=failed)  # it learns nothing from these
        for _ in range(DRAWS_AT_LEAST):
            values = tuple(_drawn(axis, self._generator) for axis in self.axes)
            params = self._space.new(values)
            if params is not None:
                self._study.enqueue_trial({axis.name: self._place(axis, value) for axis, value in zip(self.axes, values, strict=True)})
                self._waiting.append(self._study.ask(self._distributions))
                return params
        return None

    def _distribution(self, axis: Axis) -> Any:
        kinds = self._optuna.distributions
        if axis.values:
            places = len(axis.values)
            return kinds.IntDistribution(0, places - 1) if axis.is_ordered else kinds.CategoricalDistribution(tuple(range(places)))
        if axis.is_whole:
            return kinds.IntDistribution(int(axis.low), int(axis.high), log=axis.log)
        return kinds.FloatDistribution(axis.low, axis.high, log=axis.log)

    @staticmethod
    def _value(axis: Axis, place: Any) -> Any:
        return axis.values[place] if axis.values else place

    @staticmethod
    def _place(axis: Axis, value: Any) -> Any:
        return axis.values.index(value) if axis.values else value
