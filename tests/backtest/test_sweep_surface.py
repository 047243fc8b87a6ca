"""Plateaus and spikes: what stands around the best point of a sweep."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.backtest.studies import Point
from components.backtest.sweep_surface import neighbourhood, points_frame, surface
from components.fx import BadInput, NotFound

FAST, SLOW = range(5, 55, 5), range(20, 220, 20)


def grid(worth: Callable[[int, int], float], trades: Callable[[int, int], int] = lambda fast, slow: 100) -> pd.DataFrame:
    """A sweep over two lengths with a planted figure, only where fast < slow."""
    pairs = [(fast, slow) for fast in FAST for slow in SLOW if fast < slow]
    points = [
        Point(n, {"fast": f, "slow": s, "other": 1}, "done", {"sharpe": worth(f, s), "max_drawdown": 0.5 - worth(f, s) / 10, "trades": trades(f, s)})
        for n, (f, s) in enumerate(pairs)
    ]
    return points_frame(points, ["fast", "slow"])


def best_of(points: pd.DataFrame) -> int:
    return int(points.loc[points["sharpe"].idxmax(), "number"])


def noise(fast: int, slow: int) -> float:
    """Something between 0 and 0.1 that looks like chance."""
    return (fast * 7919 + slow * 104_729) % 97 / 970


def test_a_wide_hill_is_a_plateau_and_a_lone_peak_a_spike() -> None:
    hill = grid(lambda f, s: 2.0 * math.exp(-(((f - 25) / 20) ** 2) - ((s - 120) / 80) ** 2) + noise(f, s))
    found = neighbourhood(hill, best_of(hill))
    assert (found["shape"], found["kind"], found["neighbours"]) == ("plateau", "grid", 8)
    assert found["ratio"] > 0.8

    spike = grid(lambda f, s: (3.0 if (f, s) == (25, 120) else 0.0) + noise(f, s))
    lone = neighbourhood(spike, best_of(spike))
    assert lone["shape"] == "spike"
    assert lone["ratio"] < 0.05
    assert (lone["value"], lone["neighbours"]) == (3.0 + noise(25, 120), 8)


def test_the_neighbours_are_the_points_one_step_away_and_the_figures_are_theirs() -> None:
    points = grid(lambda f, s: f / 10 + s / 1000)
    number = int(points.query("`param.fast` == 35 and `param.slow` == 60")["number"].iloc[0])
    beside = points.query("30 <= `param.fast` <= 40 and 40 <= `param.slow` <= 80")
    beside = beside[beside["number"] != number]
    found = neighbourhood(points, number)
    assert found["neighbours"] == len(beside) == 7, "one of the eight is not possible: fast is not below slow"
    assert found["mean"] == pytest.approx(beside["sharpe"].mean())
    assert (found["worst"], found["best"]) == (beside["sharpe"].min(), beside["sharpe"].max())
    assert found["middle"] == points["sharpe"].median()
    value = 3.5 + 0.06
    assert found["kept"] == pytest.approx((beside["sharpe"].mean() - points["sharpe"].median()) / (value - points["sharpe"].median()))


def test_a_point_that_does_not_count_is_no_neighbour_and_still_holds_its_place() -> None:
    points = grid(lambda f, s: -abs(f - 25) - abs(s - 120) / 20, trades=lambda f, s: 5 if f == 30 else 100)
    number = int(points.query("`param.fast` == 25 and `param.slow` == 120")["number"].iloc[0])
    assert neighbourhood(points, number, min_trades=0)["neighbours"] == 8
    assert neighbourhood(points, number, min_trades=30)["neighbours"] == 5, "35 is not one step away from 25"
    with pytest.raises(BadInput, match="fewer than 101"):
        neighbourhood(points, number, min_trades=101)


def test_a_best_point_at_the_end_of_a_range_is_told() -> None:
    points = grid(lambda f, s: s / 100 - abs(f - 25) / 100)
    assert neighbourhood(points, best_of(points))["edge"] == ["slow"]
    hill = grid(lambda f, s: 2.0 * math.exp(-(((f - 25) / 20) ** 2) - ((s - 120) / 80) ** 2))
    assert neighbourhood(hill, best_of(hill))["edge"] == []


def test_of_a_drawdown_less_is_better_for_the_neighbours_too() -> None:
    points = grid(lambda f, s: 2.0 * math.exp(-(((f - 25) / 20) ** 2) - ((s - 120) / 80) ** 2) + noise(f, s))
    found = neighbourhood(points, int(points.loc[points["max_drawdown"].idxmin(), "number"]), "max_drawdown")
    assert found["shape"] == "plateau"
    assert found["worst"] > found["best"] >= found["value"]
    assert found["kept"] < 1


def test_scattered_points_have_their_nearest_as_neighbours() -> None:
    generator = np.random.default_rng(2)
    where = generator.uniform(0, 1, (200, 2))

    def scattered(worth: Callable[[float, float], float]) -> pd.DataFrame:
        points = [Point(n, {"a": a, "b": b}, "done", {"sharpe": worth(a, b), "trades": 50}) for n, (a, b) in enumerate(where.tolist())]
        return points_frame(points, ["a", "b"])

    hill = scattered(lambda a, b: 2 * math.exp(-8 * (a - 0.5) ** 2 - 8 * (b - 0.5) ** 2))
    assert (neighbourhood(hill, best_of(hill))["shape"], neighbourhood(hill, best_of(hill))["kind"]) == ("plateau", "nearest")
    chance = scattered(lambda a, b: 0.0 if a * 1e6 % 1 < 0.98 else 2.0)
    assert neighbourhood(chance, best_of(chance))["shape"] == "spike"
    assert neighbourhood(chance, best_of(chance))["neighbours"] == 8


def test_what_cannot_be_told_is_unknown() -> None:
    alone = points_frame([Point(0, {"a": 1}, "done", {"sharpe": 1.0, "trades": 50})], ["a"])
    assert neighbourhood(alone, 0)["shape"] == "unknown"
    level = grid(lambda f, s: 1.0)
    assert neighbourhood(level, 3)["shape"] == "unknown", "no point is better than another"
    assert neighbourhood(grid(lambda f, s: noise(f, s) - 5), 0)["ratio"] is None
    with pytest.raises(NotFound, match="99"):
        neighbourhood(alone, 99)
    with pytest.raises(BadInput, match="luck"):
        neighbourhood(alone, 0, "luck")


def test_a_table_has_a_column_for_each_measure_and_the_reason_of_what_failed() -> None:
    points = [
        Point(0, {"a": 1, "b": 2}, "done", {"sharpe": 1.5, "trades": 7, "profit_factor": None, "returns_digest": "00"}),
        Point(1, {"a": 3, "b": 2}, "failed", {"error": "fell over"}),
    ]
    table = points_frame(points, ["a"])
    assert list(table.columns) == ["number", "state", "param.a", "sharpe", "trades", "profit_factor", "returns_digest", "error"]
    assert table["profit_factor"].isna().all()
    assert list(table["error"].fillna("")) == ["", "fell over"]
    assert points_frame([], ["a"]).empty


def test_a_surface_shows_the_best_or_the_mean_over_the_other_parameters() -> None:
    def point(number: int, a: int, b: int, c: int, sharpe: float | None, state: str = "done") -> Point:
        metrics: dict[str, Any] = {} if sharpe is None else {"sharpe": sharpe, "max_drawdown": 1 / (2 + sharpe), "trades": 9}
        return Point(number, {"a": a, "b": b, "c": c}, state, metrics)

    points = points_frame(
        [point(0, 1, 10, 0, 1.0), point(1, 1, 10, 5, 3.0), point(2, 2, 10, 0, 0.5), point(3, 2, 20, 0, -1.0), point(4, 1, 20, 0, None, "failed")],
        ["a", "b", "c"],
    )
    best = surface(points, "a", "b")
    assert (best.columns.name, best.index.name) == ("a", "b")
    assert (list(best.columns), list(best.index)) == ([1, 2], [10, 20])
    np.testing.assert_array_equal(best.to_numpy(), [[3.0, 0.5], [np.nan, -1.0]])
    assert surface(points, "a", "b", over="mean").loc[10, 1] == 2.0
    assert surface(points, "a", "b", "max_drawdown").loc[10, 1] == pytest.approx(0.2), "of a drawdown the smallest is the best"
    for wrong in (("a", "a"), ("a", "d"), ("a", "b", "luck")):
        with pytest.raises(BadInput):
            surface(points, *wrong)
