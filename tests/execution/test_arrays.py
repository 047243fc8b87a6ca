"""Columns as the step reads them: without a copy where that is safe, and never written to."""

from __future__ import annotations

import numpy as np
import pytest
from small import FLAT, bars_at, hours, run

from components.execution import Costs, market_of_bars
from components.fx import instrument

ROWS = [FLAT, FLAT, (1.1, 1.1051, 1.1, 1.1), FLAT, FLAT]


def test_the_prices_of_a_frame_are_read_where_they_are() -> None:
    bars = bars_at(hours(5), ROWS)
    market = market_of_bars(bars, instrument("EURUSD"), Costs())
    for name in ("open", "high", "low", "close"):
        assert np.shares_memory(getattr(market, name), bars[name].to_numpy())


@pytest.mark.parametrize("policy", ["mt5", "reference"])
def test_a_run_leaves_the_bars_as_they_were(policy: str) -> None:
    bars = bars_at(hours(5), ROWS)
    before = bars.copy(deep=True)
    assert len(run(bars, policy=policy, side={0: 1}, stop={0: 1.09}, target={0: 1.105}).events) > 2
    assert bars.equals(before)


def test_memory_that_nobody_may_write_to_is_copied() -> None:
    from components.execution.arrays import column

    fixed = np.frombuffer(np.arange(4.0).tobytes())
    taken = column(fixed, np.float64, 4, 1, "open")
    assert taken.flags.writeable
    assert not np.shares_memory(taken, fixed)
    assert taken[:, 0].tolist() == fixed.tolist()
