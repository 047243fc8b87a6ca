"""The step under `reference` equals backtesting.py for random rules on random markets: trades one by one, and the equity of every bar."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from managers import busy
from parity import compare_with_backtesting
from rules import RuledWorld, ruled

from components.fx import EventKind, ExitKind, Refusal
from components.fx import book as b


def run_all(worlds: Any, examples: int) -> Counter[str]:
    """Compare `examples` random worlds; what was seen in them."""
    seen: Counter[str] = Counter()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(worlds)
    def compare(world: RuledWorld) -> None:
        bars = world.walk.bars()
        manage = None if world.manage is None else busy
        params = None if world.manage is None else np.array(world.manage)
        trades, step = compare_with_backtesting(
            bars,
            world.rule.decisions(bars, world.walk.seed),
            world.instrument,
            world.account,
            world.sizing,
            world.limits,
            manage,
            params,
            world.commission,
        )
        events = step.events
        closed = events[events[:, b.E_KIND] == EventKind.CLOSED]
        refused = events[events[:, b.E_KIND] == EventKind.REFUSED]
        seen.update(ExitKind(int(kind)).name.lower() for kind in closed[:, b.E_EXIT])
        seen.update(Refusal(int(code)).name.lower() for code in refused[:, b.E_LEVEL])
        seen.update({kind.name.lower(): int((events[:, b.E_KIND] == kind).sum()) for kind in (EventKind.CANCELLED, EventKind.MODIFIED)})
        open_at_fill = bars["open"].to_numpy()[closed[:, b.E_ROW].astype(int)]
        seen["gapped"] += int((np.isfinite(closed[:, b.E_LEVEL]) & (closed[:, b.E_PRICE] != closed[:, b.E_LEVEL])).sum())
        seen["at_open"] += int((closed[:, b.E_PRICE] == open_at_fill).sum())
        seen["own_bar"] += int((closed[:, b.E_ROW] == closed[:, b.E_ENTRY_ROW]).sum())
        seen["parts"] += len(closed) - len(np.unique(closed[:, b.E_TICKET]))
        seen["left_open"] += int(trades["is_open"].sum()) if "is_open" in trades else 0
        seen["commission"] += int(world.commission > 0 and len(trades) > 0)
        seen["ruined"] += int(step.equity[-1] <= 0)
        seen["trades"] += len(trades)
        seen["several"] += int(len(closed) > 1 and (closed[1:, b.E_ENTRY_ROW] < closed[:-1, b.E_ROW]).any())

    compare()
    return seen


WANTED = ("stop", "target", "signal", "reversal", "gapped", "own_bar", "parts", "left_open", "several", "cancelled", "modified")
REFUSED = ("no_margin", "size_too_small", "risk_per_trade", "invalid_stops")


def test_random_rules_on_short_markets_equal_backtesting_py() -> None:
    seen = run_all(ruled(2, 60), 80)
    assert seen["trades"] > 30, seen


def test_random_rules_on_markets_of_hundreds_of_bars_equal_backtesting_py() -> None:
    seen = run_all(ruled(100, 400), 60)
    assert seen["trades"] > 700, seen
    assert all(seen[name] > 0 for name in WANTED), {name: seen[name] for name in WANTED}


@pytest.mark.slow
def test_very_many_random_rules_equal_backtesting_py_and_meet_every_case() -> None:
    seen = run_all(ruled(2, 900), 700)
    for name in (*WANTED, *REFUSED, "commission"):
        assert seen[name] >= 50, f"{name} came up {seen[name]} times: {seen}"
    assert seen["ruined"] > 0, seen


@pytest.mark.slow
def test_random_rules_on_thousands_of_bars_equal_backtesting_py() -> None:
    assert run_all(ruled(3000, 6000), 15)["trades"] > 1500
