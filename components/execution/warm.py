"""Compile everything that trades, once per version of the source, so that no session pays for it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from components.execution.arrays import decision_arrays, market_of_bars, new_book, no_requests, spec_rows
from components.execution.birth import close_bar
from components.execution.costs import Costs
from components.execution.paper import PaperBroker
from components.execution.step import no_manage, run_step
from components.fx import AccountSpec, Signal, instrument, validate_bars
from components.risk import Limits, Sizing
from components.strategy import Decisions


def compile_all() -> None:
    """Call the step, the bar close and the paper broker on three made-up bars; what is compiled stays on disk.

    Takes a minute or two the first time and well under a second after that.
    """
    index = pd.date_range("2024-01-01", periods=3, freq="h", tz="UTC")
    bars = validate_bars(pd.DataFrame({"open": 1.1, "high": 1.2, "low": 1.0, "close": 1.1}, index=index))
    item, account = instrument("EURUSD"), AccountSpec()
    decisions = decision_arrays(Decisions(side=1, stop=1.05), len(bars))
    market = market_of_bars(bars, item, Costs())
    for policy in ("mt5", "reference"):
        run_step(market, decisions, [item], account, policy=policy)
    run_step(market, decisions, [item], account, manage=no_manage)
    close_bar(
        2,
        0,
        decisions,
        *new_book(account, 1),
        spec_rows([item]),
        Sizing().as_row(),
        Limits().as_row(),
        0,
        False,
        no_manage,
        np.zeros(1),
        no_requests(64),
    )
    broker = PaperBroker(account, [item])
    broker.apply(Signal("warm", "warm", "warm", "open", "EURUSD", 1, lots=0.01))
    broker.match("EURUSD", np.array([0]), np.array([1.1]), np.array([1.1001]))
