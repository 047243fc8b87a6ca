"""Where plain trades are handed to the step's general way, nothing is lost; and what is not plain keeps its rules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from both_ways import run_both_ways
from worlds import Bar, Wish, World

from components.execution import Costs
from components.fx import AccountSpec, EventKind, OrderKind, Refusal
from components.fx import book as b
from components.risk import Limits, Sizing

FIXED = Sizing(mode="fixed", fixed_lots=0.1)


def _world(bars: list[Bar], wishes: dict[int, Wish]) -> World:
    asked = tuple(wishes.get(t, Wish()) for t in range(len(bars)))
    return World(tuple(bars), asked, AccountSpec(), FIXED, Limits(max_risk_fraction=1.0), Costs(spread_points=0))


def _wave() -> World:
    """A wave of 200 bars with a wish at every seventh, to buy and to sell by turns."""
    bars = [Bar(body=round(8 * np.sin(t / 5)), up=3, down=3, spread=1) for t in range(200)]
    return _world(bars, {t: Wish(side=1 if t % 14 else -1, exit=-1 if t % 14 else 1, stop=30, target=25) for t in range(0, 200, 7)})


def test_a_row_that_is_handed_over_stays_ambiguous() -> None:
    # Both stop and target of the buy lie in the last row, which also wishes: it has no row after it, so the step must finish it.
    wide = Bar(up=20, down=20)
    step = run_both_ways(_world([Bar(), Bar(), wide], {1: Wish(side=1, stop=5, target=5), 2: Wish(side=-1)}), "mt5")
    assert (step.ambiguous_rows, step.ambiguous_left, step.unresolved_rows) == (1, 1, 1)


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("policy", ["mt5", "reference"])
def test_events_find_room_wherever_it_ends(policy: str, every: int) -> None:
    # Long and short by turns, left by the next wish or by a stop, so that rows make one to four events; then wishes that are refused, whose events
    # leave nothing in the book. With room for ever one event more.
    bars = [Bar(down=4 * (t % 5 == 0), up=4 * (t % 7 == 0)) for t in range(90)]
    turns = {t: Wish(side=1 if t // every % 2 else -1, exit=-1 if t // every % 2 else 1, stop=3 if t < 40 else -3) for t in range(3, 90, every)}
    whole = run_both_ways(_world(bars, turns), policy, is_one_day=True)
    for room in range(1, 40):
        step = run_both_ways(_world(bars, turns), policy, is_one_day=True, room=room, capacity=2)
        np.testing.assert_array_equal(step.events, whole.events)


@pytest.mark.parametrize("policy", ["mt5", "reference"])
def test_an_order_waits_over_a_hole_in_the_bars(policy: str) -> None:
    step = run_both_ways(_world([Bar()] * 6, {1: Wish(side=1, stop=5)}), policy, holes=[False, False, True, True, False, False])
    (opened,) = step.events[step.events[:, b.E_KIND] == EventKind.OPENED]
    assert opened[b.E_ROW] == 4


@pytest.mark.parametrize("policy", ["mt5", "reference"])
def test_what_is_not_plain_keeps_its_rules(policy: str) -> None:
    plain = run_both_ways(_wave(), policy)
    assert not (plain.events[:, b.E_KIND] == EventKind.MODIFIED).any()
    trailing = run_both_ways(_wave(), policy, trail_distance=0.0010)
    assert (trailing.events[:, b.E_KIND] == EventKind.MODIFIED).any()
    waiting = run_both_ways(_wave(), policy, entry=OrderKind.LIMIT, entry_price=_wave().frame()["close"].to_numpy() - 0.0005)
    levels = waiting.events[waiting.events[:, b.E_KIND] == EventKind.OPENED][:, b.E_LEVEL]
    assert len(levels) > 0
    assert not np.isnan(levels).any()
    several = run_both_ways(replace(_wave(), sizing=FIXED.model_copy(update={"max_positions": 3})), policy, exit=0)
    assert len(several.events) > len(run_both_ways(_wave(), policy, exit=0).events)
    limited = run_both_ways(replace(_wave(), limits=Limits(max_risk_fraction=1.0, max_currency_exposure=0.5)), policy)
    refused = limited.events[limited.events[:, b.E_KIND] == EventKind.REFUSED]
    assert len(refused) > 0
    assert (refused[:, b.E_LEVEL] == Refusal.CURRENCY_EXPOSURE).all()
