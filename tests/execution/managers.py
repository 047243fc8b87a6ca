"""A busy `manage` for tests: break-even, partial close, time exit and cancellation, each switched by a parameter."""

from __future__ import annotations

from typing import Any

import numpy as np

from components.fx import Action
from components.fx import book as b
from components.strategy import ask, compiled_manage

OPEN, CLOSE, MODIFY, CANCEL = int(Action.OPEN), int(Action.CLOSE), int(Action.MODIFY), int(Action.CANCEL)


@compiled_manage
def busy(account: Any, positions: Any, n_positions: Any, orders: Any, n_orders: Any, marks: Any, bar: Any, params: Any, requests: Any, n: Any) -> Any:
    """params: 0 gain (in initial risk) at which the stop goes to the entry; 1 and 2 age in bars at which 0.02 lots, and all, are closed; 3 age of an
    order at which it is cancelled; each off at 0."""
    for k in range(n_positions):
        p = positions[k]
        side = p[b.P_SIDE]
        price = marks[0] if side > 0 else marks[1]
        age = bar - p[b.P_OPEN_ROW]
        risk = (p[b.P_ENTRY] - p[b.P_STOP]) * side
        # Room for the noise of the differences: the naive account counts in whole points.
        if params[0] > 0 and risk > 0 and (price - p[b.P_ENTRY]) * side >= params[0] * risk - 1e-9:
            r = ask(requests, n, MODIFY, p[b.P_TICKET], side)
            r[b.R_STOP] = p[b.P_ENTRY]
            r[b.R_TARGET] = p[b.P_TARGET]
            n += 1
        if params[1] > 0 and age == params[1] and p[b.P_LOTS] > 0.035:
            r = ask(requests, n, CLOSE, p[b.P_TICKET], side)
            r[b.R_LOTS] = 0.02
            n += 1
        if params[2] > 0 and age >= params[2]:
            r = ask(requests, n, CLOSE, p[b.P_TICKET], side)
            r[b.R_LOTS] = np.nan
            n += 1
    for k in range(n_orders):
        if params[3] > 0 and bar - orders[k, b.O_BORN_BAR] >= params[3]:
            ask(requests, n, CANCEL, orders[k, b.O_TICKET], orders[k, b.O_SIDE])
            n += 1
    return n


@compiled_manage
def eager(
    account: Any, positions: Any, n_positions: Any, orders: Any, n_orders: Any, marks: Any, bar: Any, params: Any, requests: Any, n: Any
) -> Any:
    """Asks at every close to buy params[0] lots with a stop 51 pips below the ask."""
    r = ask(requests, n, OPEN, np.nan, 1.0)
    r[b.R_LOTS] = params[0]
    r[b.R_STOP] = marks[1] - 0.0051
    return n + 1
