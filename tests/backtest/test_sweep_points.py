"""Which points a sweep has: within the strategy's bounds, each combination once, the same for the same seed."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from pydantic import Field

from components.backtest.sweep_points import OptunaPoints, PlannedPoint, plan_points
from components.backtest.sweep_spec import SweepSpec, axes_of, merit, parse_sweep_spec
from components.fx import BadInput
from components.strategy import Decisions, Params, Strategy, strategy

CROSS = strategy("sma_cross")


class BumpParams(Params):
    """Two numbers and a switch, one bound of one number not allowed itself."""

    x: float = Field(0.0, ge=-10, le=10)
    y: float = Field(0.0, ge=-10, le=10)
    share: float = Field(0.5, gt=0, lt=1)
    loud: bool = False


BUMP = Strategy("bump", "Bump", "", BumpParams, lambda bars, context, params: Decisions(side=0), lambda params: 1)


def spec_of(ranges: dict[str, Any], **more: Any) -> SweepSpec:
    return parse_sweep_spec({"strategy": "sma_cross", "bar_set_id": "any", "ranges": ranges, **more})


def points_of(ranges: dict[str, Any], item: Strategy = CROSS, **more: Any) -> tuple[PlannedPoint, ...]:
    spec = spec_of(ranges, **more)
    return plan_points(item, spec, axes_of(item, spec)).points


def test_a_grid_is_exactly_the_product_of_its_ranges_and_leaves_out_what_the_strategy_does_not_allow() -> None:
    spec = spec_of({"fast": {"low": 5, "high": 50, "step": 5}, "slow": {"low": 20, "high": 200, "count": 10}}, params={"stop_atr": 1.5})
    plan = plan_points(CROSS, spec, axes_of(CROSS, spec))
    every = list(itertools.product(range(5, 51, 5), range(20, 201, 20)))
    allowed = [pair for pair in every if pair[0] < pair[1]]
    assert [(point.params["fast"], point.params["slow"]) for point in plan.points] == allowed
    assert [point.number for point in plan.points] == list(range(len(allowed)))
    assert plan.impossible == len(every) - len(allowed) == 10
    assert all(point.params == CROSS.parse(point.params).model_dump() for point in plan.points), "every point has all parameters"
    assert {point.params["stop_atr"] for point in plan.points} == {1.5}


def test_the_values_of_a_range_are_what_was_meant() -> None:
    def values(given: Any, name: str = "stop_atr", item: Strategy = CROSS) -> tuple[Any, ...]:
        return axes_of(item, spec_of({name: given}))[0].values

    assert values({"low": 1, "high": 2, "step": 0.1}) == (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0)
    assert values({"low": 0, "high": 2, "step": 0.75}) == (0.0, 0.75, 1.5)
    assert values({"low": 2, "high": 3, "count": 10}, "fast") == (2, 3)
    assert values({"low": 5, "high": 500, "count": 3, "log": True}, "fast") == (5, 50, 500)
    assert values([30, 10, 30, 20], "fast") == (10, 20, 30)
    assert len(values(None, "fast")) == 10
    assert (values(None, "fast")[0], values(None, "fast")[-1]) == (2, 500)
    assert values(None, "share", BUMP)[0] == pytest.approx(0.05), "a bound that is not allowed itself is kept away from"
    assert values(None, "loud", BUMP) == (False, True)


@pytest.mark.parametrize(
    ("ranges", "more", "field", "says"),
    [
        ({"fast": {"low": 5, "high": 600, "step": 5}}, {}, "ranges.fast", "505"),
        ({"fast": [10, 501]}, {}, "ranges.fast", "501"),
        ({"fast": [10.5]}, {}, "ranges.fast", "10.5"),
        ({"fast": {"low": 5, "high": 50, "step": 2.5}}, {}, "ranges.fast", "2.5"),
        ({"fast": {"low": 1, "high": 50}}, {"method": "random"}, "ranges.fast", "1"),
        ({"fast": {"low": 50, "high": 5}}, {}, "ranges.fast", "50"),
        ({"fast": {"low": 5, "high": 50, "step": 5, "count": 3}}, {}, "ranges.fast", "not both"),
        ({"fast": {"low": 0, "high": 50, "log": True}}, {}, "ranges.fast", "above 0"),
        ({"fast": {"low": 5, "hihg": 50}}, {}, "ranges.fast.high", "missing"),
        ({"fast": 5}, {}, "ranges.fast", "5"),
        ({"fast": []}, {}, "ranges.fast", "no values"),
        ({"quick": None}, {}, "ranges.quick", "fast, slow"),
        ({}, {}, "ranges", "at least one"),
        ({"fast": None}, {"params": {"fast": 20}}, "params.fast", "varies as well"),
        ({"fast": None}, {"params": {"slow": 2000}}, "params.slow", "2000"),
        ({"fast": None}, {"method": "best"}, "method", "best"),
        ({"fast": None}, {"points": 20_001}, "points", "20001"),
        ({"fast": None}, {"part": 0}, "part", "0"),
        ({"fast": None}, {"criterion": "luck"}, "criterion", "luck"),
        ({"fast": [50], "slow": [20, 30]}, {}, "ranges", "fast (50) must be below slow (20)"),
        ({"fast": None, "slow": None, "stop_atr": None}, {"points": 500}, "ranges", "more than 500"),
        ({name: {"low": 3, "high": 100, "count": 98} for name in ("fast", "slow", "atr_period")}, {}, "ranges", "941,192"),
    ],
)
def test_a_range_outside_the_bounds_is_refused_with_its_name_and_value(ranges: dict[str, Any], more: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        points_of(ranges, **more)
    assert refused.value.field == field
    assert says in refused.value.message


def test_random_points_are_different_within_their_ranges_and_the_same_for_the_same_seed() -> None:
    ranges: dict[str, Any] = {"fast": None, "slow": {"low": 20, "high": 400}, "stop_atr": {"low": 1, "high": 4, "log": True}, "target_atr": [3, 6]}
    first = points_of(ranges, method="random", points=300)
    assert first == points_of(ranges, method="random", points=300)
    assert first[:100] == points_of(ranges, method="random", points=100), "more points are the same ones and others"
    assert first != points_of(ranges, method="random", points=300, seed=1)
    assert len({tuple(point.params.values()) for point in first}) == len(first) == 300
    for point in first:
        assert 2 <= point.params["fast"] < point.params["slow"] <= 400
        assert 1 <= point.params["stop_atr"] <= 4
        assert point.params["target_atr"] in (3, 6)
    stops = np.array([point.params["stop_atr"] for point in first])
    assert (stops < 2).mean() == pytest.approx(0.5, abs=0.1), "half of a logarithmic range of 1 to 4 lies below 2"


def test_a_space_that_is_smaller_than_what_was_asked_for_is_run_whole() -> None:
    for method in ("random", "optuna"):
        spec = spec_of({"fast": [5, 10, 25], "slow": [20, 30]}, method=method, points=100)
        points = (
            plan_points(CROSS, spec, axes_of(CROSS, spec)).points
            if method == "random"
            else asked(OptunaPoints(CROSS, spec, axes_of(CROSS, spec)), peak)
        )
        assert sorted((point.params["fast"], point.params["slow"]) for point in points) == [(5, 20), (5, 30), (10, 20), (10, 30), (25, 30)]


def peak(params: dict[str, Any]) -> float:
    """Highest, 0, at x = 3 and y = −6."""
    return -((params.get("x", 0.0) - 3.0) ** 2) - (params.get("y", 0.0) + 6.0) ** 2


def asked(optuna: OptunaPoints, worth: Any) -> list[PlannedPoint]:
    """All that Optuna proposes, told what each is worth."""
    points: list[PlannedPoint] = []
    while batch := optuna.ask():
        points += batch
        optuna.tell([worth(point.params) for point in batch])
    return points


def test_optuna_goes_to_a_planted_peak_and_gives_the_same_points_for_the_same_seed() -> None:
    spec = spec_of({"x": None, "y": None}, method="optuna", points=120)
    found = asked(OptunaPoints(BUMP, spec, axes_of(BUMP, spec)), peak)
    assert [point.number for point in found] == list(range(120))
    assert found == asked(OptunaPoints(BUMP, spec, axes_of(BUMP, spec)), peak)
    worth = np.array([peak(point.params) for point in found])
    assert np.median(worth[-60:]) > 3 * np.median(worth[:10]), "the later points are much nearer to the peak than the first"
    evenly = [peak(point.params) for point in points_of({"x": None, "y": None}, BUMP, method="random", points=120)]
    assert worth.max() > max(evenly)
    assert worth.max() > -0.5
    blind = asked(OptunaPoints(BUMP, spec, axes_of(BUMP, spec)), lambda params: None)
    assert blind != found, "what it is told matters"


def test_a_point_with_too_few_trades_or_without_the_figure_is_not_ranked() -> None:
    metrics = {"sharpe": 1.5, "trades": 29, "profit_factor": None, "max_drawdown": 0.2}
    assert merit(metrics, "sharpe", 29) == 1.5
    assert merit(metrics, "sharpe", 30) is None
    assert merit(metrics, "profit_factor") is None
    assert merit(metrics, "calmar") is None
    assert merit(metrics, "max_drawdown") == -0.2, "a smaller drawdown is better"
