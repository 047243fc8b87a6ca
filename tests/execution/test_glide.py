"""Rows in which nothing is wished and nothing happens are passed over in one go; what happens after some of them is not missed."""

from __future__ import annotations

import numpy as np
import pytest
from small import FLAT, bars_at, closed, hours, run

from components.execution import Costs
from components.fx import ExitKind
from components.fx import book as b

QUIET = [FLAT] * 4
UP, DOWN = (1.1, 1.1051, 1.1, 1.1), (1.1, 1.1, 1.0949, 1.1)


@pytest.mark.parametrize("policy", ["mt5", "reference"])
@pytest.mark.parametrize(
    ("side", "row", "kind", "profit"),
    [
        (1, UP, ExitKind.TARGET, 50.0),
        (1, DOWN, ExitKind.STOP, -50.0),
        (-1, DOWN, ExitKind.TARGET, 50.0),
        (-1, UP, ExitKind.STOP, -50.0),
    ],
)
def test_a_stop_and_a_target_are_met_after_quiet_rows(
    policy: str, side: int, row: tuple[float, float, float, float], kind: ExitKind, profit: float
) -> None:
    step = run(
        bars_at(hours(8), [*QUIET, row, *QUIET[:3]]), policy=policy, side={0: side}, stop={0: 1.1 - side * 0.005}, target={0: 1.1 + side * 0.005}
    )  # fmt: skip
    (found,) = closed(step)
    assert (found[b.E_ROW], found[b.E_EXIT]) == (4, kind)
    assert found[b.E_PROFIT] == pytest.approx(profit)
    np.testing.assert_allclose(step.equity, [10_000.0] * 4 + [10_000.0 + profit] * 4)


@pytest.mark.parametrize(("row", "reached"), [((1.1, 1.1, 1.0947, 1.1), True), ((1.1, 1.1, 1.0949, 1.1), False)])
def test_the_target_of_a_short_is_met_by_the_ask(row: tuple[float, float, float, float], reached: bool) -> None:
    step = run(bars_at(hours(6), [*QUIET, row, FLAT]), costs=Costs(spread_points=20), side={0: -1}, target={0: 1.0950})
    assert len(closed(step)) == reached
