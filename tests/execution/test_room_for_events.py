"""More events than there was room for at the start: the step makes room and goes on where it stopped."""

from __future__ import annotations

import numpy as np
import pytest
from small import bars_at, closed, hours, run

from components.fx import EventKind
from components.fx import book as b

ROWS = 6_000


@pytest.mark.parametrize("policy", ["mt5", "reference"])
def test_a_run_that_outgrows_its_room_loses_no_event(policy: str) -> None:
    # Each bar asks for a long, opens the one asked for before and takes it out at its stop: three events of one wish, and room for two.
    bars = bars_at(hours(ROWS), [(1.1, 1.1, 1.0999, 1.1)] * ROWS)
    step = run(bars, policy=policy, side=dict.fromkeys(range(ROWS), 1), stop=dict.fromkeys(range(ROWS), 1.0999))
    kinds = step.events[:, b.E_KIND].astype(int)
    assert np.bincount(kinds).tolist() == np.bincount([EventKind.PLACED] * ROWS + [EventKind.OPENED, EventKind.CLOSED] * (ROWS - 1)).tolist()
    assert len(kinds) > 2 * ROWS
    assert (np.diff(step.events[:, b.E_ROW]) >= 0).all()
    np.testing.assert_allclose(step.equity[-1], 10_000 + closed(step)[:, b.E_PROFIT].sum())
    assert step.equity[-1] == pytest.approx(10_000 - (ROWS - 1))
