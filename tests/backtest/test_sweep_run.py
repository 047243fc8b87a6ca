"""Points beside each other: the numbers of one run at a time, bit for bit, wherever they are done."""

from __future__ import annotations

import gc
import threading
import tracemalloc
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import Field

from components.backtest import Runner, run_backtest
from components.backtest.sweep_points import PlannedPoint
from components.backtest.sweep_run import SweepCrew, SweptPoint, calmar, measure_point, run_sweep, sharing
from components.execution import Costs
from components.fx import BadInput, instrument
from components.strategy import Params, Strategy, Wish, plain_strategy, strategy

EURUSD = instrument("EURUSD")
COSTS = Costs(spread_points=8, commission_per_lot=3.5)
POINTS = {
    "sma_cross": [{"fast": fast, "slow": slow} for fast in (5, 10, 20) for slow in (30, 60, 90)],
    "atr_breakout": [{"channel": channel, "break_even_at": gain} for channel in (10, 24, 55) for gain in (0.0, 1.0)],
    "pullback": [{"trend": trend, "rsi_low": low} for trend in (50, 100) for low in (25, 35)],
}


def runner_of(item: Strategy, bars: pd.DataFrame) -> Runner:
    return Runner(item, bars, instrument=EURUSD, costs=COSTS)


def same(one: SweptPoint, other: SweptPoint) -> bool:
    """Whether two points are the same to the last bit."""
    assert one.daily is not None
    assert other.daily is not None
    return (one.number, one.params, one.state, one.metrics, one.daily.tobytes()) == (
        other.number,
        other.params,
        other.state,
        other.metrics,
        other.daily.tobytes(),
    )


@pytest.mark.parametrize("name", POINTS)
def test_threads_give_the_numbers_of_one_backtest_at_a_time(name: str, real_bars: pd.DataFrame) -> None:
    item = strategy(name)
    told: list[int] = []
    swept = run_sweep(runner_of(item, real_bars), POINTS[name], workers=2, on_point=lambda point: told.append(point.number))
    assert sorted(told) == [point.number for point in swept] == list(range(len(POINTS[name])))
    for point in swept:
        alone = run_backtest(item, point.params, real_bars, instrument=EURUSD, costs=COSTS)
        assert point.metrics["trades"] > 0
        assert {figure: alone.stats[figure] for figure in point.metrics if figure != "calmar"} == {
            figure: value for figure, value in point.metrics.items() if figure != "calmar"
        }
        assert point.metrics["returns_digest"] == alone.stats["returns_digest"]
    assert len({point.metrics["returns_digest"] for point in swept}) == len(swept), "different parameters give different returns"
    assert all(map(same, swept, run_sweep(runner_of(item, real_bars), POINTS[name], workers=1)))


@pytest.mark.slow
def test_processes_give_the_numbers_of_threads(real_bars: pd.DataFrame) -> None:
    as_plain = replace(strategy("sma_cross"), is_plain=True)
    with SweepCrew(runner_of(as_plain, real_bars), 2) as crew:
        assert crew.place == "processes"
        points = [PlannedPoint(number, params) for number, params in enumerate(POINTS["sma_cross"])]
        there = sorted(crew.measured(points), key=lambda point: point.number)
    here = run_sweep(runner_of(strategy("sma_cross"), real_bars), POINTS["sma_cross"], workers=2)
    assert all(map(same, there, here))


class StreakParams(Params):
    """How many bars in a row must rise."""

    streak: int = Field(3, ge=1, le=10)


def streak_of(item_name: str = "streak") -> Strategy:
    """Buys after some rising bars, in plain Python; falls over where it is asked for seven."""

    def on_bar(t: int, columns: Any, params: StreakParams, state: dict[str, Any]) -> Wish | None:
        if params.streak == 7:
            raise RuntimeError(f"no streak of {params.streak}")
        state["up"] = state.get("up", 0) + 1 if columns.close[-1] > columns.open[-1] else 0
        close = columns.close[-1]
        return Wish(side=1, stop=close - 0.0020, target=close + 0.0030, reason=1) if state["up"] == params.streak else None

    return plain_strategy(item_name, "Streak", "", StreakParams, on_bar, lambda params: params.streak)


@pytest.mark.slow
def test_a_plain_python_strategy_is_swept_in_processes(real_bars: pd.DataFrame) -> None:
    runner = runner_of(streak_of(), real_bars.iloc[:800])
    points = [{"streak": streak} for streak in range(2, 9)]
    there = run_sweep(runner, points, workers=2)
    here = run_sweep(runner, points, workers=1)
    assert [point.state for point in there] == [point.state for point in here] == ["done"] * 5 + ["failed", "done"]
    assert there[5].metrics == here[5].metrics
    assert "no streak of 7" in there[5].metrics["error"]
    assert all(same(one, other) for one, other in zip(there, here, strict=True) if one.state == "done")


def test_a_point_that_cannot_be_run_fails_by_itself_and_says_why(real_bars: pd.DataFrame) -> None:
    swept = run_sweep(runner_of(strategy("sma_cross"), real_bars), [{"fast": 10}, {"fast": 40, "slow": 20}, {"fast": 12}, {"speed": 1}], workers=2)
    assert [point.state for point in swept] == ["done", "failed", "done", "failed"]
    assert "fast (40) must be below slow (20)" in swept[1].metrics["error"]
    assert "speed" in swept[3].metrics["error"]
    assert swept[1].daily is None


def test_what_is_raised_where_a_point_is_told_ends_the_sweep(real_bars: pd.DataFrame) -> None:
    told = []

    def stop(point: SweptPoint) -> None:
        told.append(point.number)
        if len(told) == 3:
            raise KeyboardInterrupt

    many = [{"fast": fast, "slow": slow} for fast in range(5, 25) for slow in range(30, 50)]
    runner = runner_of(strategy("sma_cross"), real_bars.iloc[:500])
    run_sweep(runner, many[:1])
    with warnings.catch_warnings(record=True) as warned, pytest.raises(KeyboardInterrupt):
        run_sweep(runner, many, workers=2, on_point=stop)
    assert len(told) == 3
    assert not [one for one in warned if "tasks" in str(one.message)], "that work was thrown away is what was wanted"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_points(real_bars: pd.DataFrame) -> None:
    bars = real_bars.iloc[:700]
    lengths = [(fast, slow) for fast in range(2, 22) for slow in range(25, 45)]

    def peak(count: int, workers: int) -> int:
        gc.collect()
        tracemalloc.start()
        with SweepCrew(runner_of(strategy("sma_cross"), bars), workers) as crew:
            points = (PlannedPoint(number, {"fast": fast, "slow": slow}) for number, (fast, slow) in enumerate(lengths[:count]))
            assert sum(point.state == "done" for point in crew.measured(points)) == count
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(20, 2)
    for workers in (1, 2):
        assert peak(400, workers) < peak(50, workers) + 300_000, "350 points more hold at least 600 kB"
    one = measure_point(sharing(runner_of(strategy("sma_cross"), bars)), PlannedPoint(0, {}))
    assert one.daily is not None
    assert one.daily.nbytes < 300, "of a point no more than its measures and its days is kept"


@pytest.mark.parametrize("workers", [-1, True, 1.5])
def test_a_number_of_workers_that_makes_no_sense_is_refused(workers: Any, real_bars: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="0 takes every core"):
        run_sweep(runner_of(strategy("sma_cross"), real_bars), [{}], workers=workers)


def test_a_strategy_that_cannot_be_sent_to_other_processes_is_refused_with_its_name(real_bars: pd.DataFrame) -> None:
    lock = threading.Lock()
    item = replace(strategy("sma_cross"), name="holds_a_lock", is_plain=True, warmup_bars=lambda params: int(lock.locked()))
    with pytest.raises(BadInput, match=r"holds_a_lock.*use 1 worker"):
        run_sweep(runner_of(item, real_bars), [{}], workers=2)


def test_the_calmar_ratio_is_the_yearly_return_over_the_drawdown() -> None:
    assert calmar({"total_return": 0.21, "days": 504, "max_drawdown": 0.05}) == pytest.approx(0.1 / 0.05)
    assert calmar({"total_return": 0.21, "days": 252, "max_drawdown": 0.0}) is None
    assert calmar({"total_return": -1.0, "days": 252, "max_drawdown": 1.0}) is None
    assert np.isfinite(calmar({"total_return": -0.5, "days": 252, "max_drawdown": 0.5}) or 0)
