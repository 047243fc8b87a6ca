"""Ready-made `manage` functions, for strategies that need no more than that."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np

from components.fx import Action
from components.fx import book as b
from components.strategy.contract import ask, compiled_manage

_CLOSE = int(Action.CLOSE)


@compiled_manage
def time_exit(account, positions, n_positions, orders, n_orders, marks, bar, params, requests, n):
    """Close every position whose age has reached ``params[0]`` bars; its age is counted from the bar that decided it.

    The order is given at that bar's close and fills at the next open, so a position lives ``params[0]`` bars from open to open.
    """
    for k in range(n_positions):
        if bar - positions[k, b.P_BORN_BAR] >= params[0]:
            r = ask(requests, n, _CLOSE, positions[k, b.P_TICKET], positions[k, b.P_SIDE])
            r[b.R_LOTS] = np.nan
            n += 1
    return n
