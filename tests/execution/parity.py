"""The same decisions in the step and in backtesting.py, and whether they came to the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from components.backtest import closed_trades, run_reference
from components.execution import Costs, StepResult, decision_arrays, market_of_bars, run_step
from components.fx import AccountSpec, Instrument
from components.fx import book as b
from components.risk import Limits, Sizing
from components.strategy import Decisions

COLUMNS = ["entry_bar", "exit_bar", "entry_price", "exit_price", "units", "profit"]


def step_trades(step: StepResult, instrument: Instrument, last_bar: int) -> pd.DataFrame:
    """Closed trades, then the open positions at the last close, in the columns of `ReferenceRun.trades`."""
    closed = closed_trades(step.events)
    closed = closed.assign(
        units=closed["side"] * np.round(closed["lots"] * instrument.contract_size), profit=closed["gross_profit"] - closed["cost"]
    )[COLUMNS]
    rows = step.book.positions[0, : step.book.counts[0, 0]]
    bid, _, rate = step.book.marks[0]
    units = rows[:, b.P_SIDE] * np.round(rows[:, b.P_LOTS] * instrument.contract_size)
    left = pd.DataFrame(
        {
            "entry_bar": rows[:, b.P_OPEN_ROW],
            "exit_bar": last_bar,
            "entry_price": rows[:, b.P_ENTRY],
            "exit_price": bid,
            "units": units,
            "profit": units * (bid - rows[:, b.P_ENTRY]) * rate,
        }
    )
    return pd.concat([closed.assign(is_open=False), left.assign(is_open=True)], ignore_index=True).astype(dict.fromkeys(COLUMNS, float))


def compare_with_backtesting(
    bars: pd.DataFrame,
    decisions: Decisions,
    instrument: Instrument,
    account: AccountSpec,
    sizing: Sizing,
    limits: Limits,
    manage: Any = None,
    params: Any = None,
    commission_per_lot: float = 0.0,
) -> tuple[pd.DataFrame, StepResult]:
    """Assert trade-for-trade equality; the trades and the step's result."""
    costs = Costs(spread_points=0, commission_per_lot=commission_per_lot)
    step = run_step(
        market_of_bars(bars, instrument, costs),
        decision_arrays(decisions, len(bars)),
        [instrument],
        account,
        costs=costs,
        sizing=sizing,
        limits=limits,
        policy="reference",
        manage=manage,
        params=params,
        first_bar=1,
    )
    theirs = run_reference(
        bars,
        decisions,
        instrument=instrument,
        account=account,
        sizing=sizing,
        limits=limits,
        manage=manage,
        params=params,
        commission_per_lot=commission_per_lot,
    )
    ours = step_trades(step, instrument, len(bars) - 1)
    expected = theirs.trades.astype(dict.fromkeys(COLUMNS, float))
    if theirs.equity[-1] <= 0:
        # When equity is gone backtesting.py closes every second trade and leaves the others in its list; the prices are the same.
        ours, expected = (frame.sort_values(COLUMNS).reset_index(drop=True).drop(columns="is_open") for frame in (ours, expected))
    text = f"\nours:\n{ours.to_string()}\nbacktesting.py:\n{expected.to_string()}"
    assert len(ours) == len(expected), text
    for name in expected.columns:
        np.testing.assert_allclose(ours[name].astype(float), expected[name].astype(float), rtol=1e-9, atol=1e-9, err_msg=name + text)
    np.testing.assert_allclose(step.equity[1:], theirs.equity[1:], rtol=1e-9, atol=1e-6, err_msg="equity" + text)
    return expected, step
