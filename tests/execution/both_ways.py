"""One world run twice: on the way that plain trades have through the step, and on the step's general way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from worlds import World

from components.execution import StepResult, decision_arrays, market_of_bars, run_step, step


def run_both_ways(
    world: World,
    policy: str,
    *,
    holes: list[bool] | None = None,
    is_one_day: bool = False,
    room: int = 4096,
    first_bar: int = 0,
    capacity: int = 8,
    **columns: Any,
) -> StepResult:
    """Assert that both ways leave the same events, equity, ambiguous rows and book, bit for bit.

    Parameters
    ----------
    world : World
    policy : {'mt5', 'reference'}
    holes : list of bool, optional
        Rows in which the symbol has no bar.
    is_one_day : bool
        Whether the market says one day for all its rows.
    room : int
        Events that are given room at the start.
    first_bar, capacity : int
        As for `run_step`.
    **columns
        Columns of the decisions that replace the world's.
    """
    frame = world.frame()
    market = market_of_bars(frame, world.instrument, world.costs, 1.0 if world.rates is None else np.array(world.rates))
    if holes is not None:
        market = market._replace(open=np.where(np.array(holes).reshape(-1, 1), np.nan, market.open))
    if world.slips is not None:
        market = market._replace(slip=np.array(world.slips, dtype=float).reshape(-1, 1) * world.instrument.point)
    if is_one_day:
        market = market._replace(day_id=market.day_id[:1].copy())
    decisions = replace(world.decisions(), **columns)
    if policy == "reference":
        decisions = replace(decisions, stop_distance=np.nan, target_distance=np.nan)
    found: list[StepResult] = []
    for runs in (step.RUN_PLAIN, dict.fromkeys(step.RUN_PLAIN, step.run_rows)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(step, "RUN_PLAIN", runs)
            patch.setattr(step, "MOST_ROOM", room)
            result = run_step(
                market, decision_arrays(decisions, len(frame)), [world.instrument], world.account, costs=world.costs, sizing=world.sizing,
                limits=world.limits, policy=policy, resolution=world.resolution, first_bar=first_bar, capacity=capacity,
            )  # fmt: skip
        found.append(result)
    plain, general = found
    np.testing.assert_array_equal(plain.events, general.events)
    np.testing.assert_array_equal(plain.equity, general.equity)
    assert plain[2:5] == general[2:5]
    for mine, other, name in zip(plain.book, general.book, plain.book._fields, strict=True):
        np.testing.assert_array_equal(mine, other, err_msg=name)
    return plain
