"""Strategies written in backtesting.py's own manner come to the trades and the equity that their columns come to in the step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from natives import UNITS, Breakout, Cross, Turning, breakout_columns, cross_columns, run_native, turning_columns
from rules import Walk

from components.backtest import run_backtest, run_reference
from components.execution import Costs
from components.fx import AccountSpec, instrument, validate_bars
from components.pipeline import Request, SourceContext, source_named
from components.risk import Limits, Sizing
from components.strategy import Decisions, Params, Strategy

EURUSD = instrument("EURUSD")
RULES: dict[str, Any] = {
    "instrument": EURUSD, "sizing": Sizing(mode="fixed", fixed_lots=UNITS / EURUSD.contract_size), "limits": Limits(max_risk_fraction=1.0), "policy": "reference",
}  # fmt: skip
WALKS = st.builds(
    Walk,
    seed=st.integers(0, 10_000),
    rows=st.integers(60, 300),
    step=st.sampled_from((10, 40, 150)),
    gaps=st.sampled_from((0.0, 0.05)),
    still=st.sampled_from((0.0, 0.02)),
    spikes=st.sampled_from((0.0, 0.02)),
)


class NoParams(Params):
    """None."""


def fixed(decisions: Decisions) -> Strategy:
    """A strategy that gives these decisions."""
    return Strategy("fixed", "Fixed", "Given decisions.", NoParams, lambda bars, context, params: decisions, lambda p: 0)


def assert_equal(bars: pd.DataFrame, columns: Decisions, theirs: Any, account: AccountSpec) -> int:
    """The closed trades are the same in bars, prices, size and profit, and so is the equity of every bar. Returns how many there are."""
    ours = run_backtest(fixed(columns), None, bars, account=account, **RULES)
    closed = ours.trades[ours.trades["exit"] != "end_of_data"]
    # Those of one bar are listed in the order of their own queue, by ours and theirs alike.
    their = theirs["_trades"].set_index(["ExitBar", "EntryBar"]).sort_index(kind="stable")
    closed = closed.set_index(["exit_bar", "entry_bar"]).sort_index(kind="stable")
    assert closed.index.tolist() == their.index.tolist()
    for mine, name in (("entry_price", "EntryPrice"), ("exit_price", "ExitPrice"), ("gross_profit", "PnL")):
        np.testing.assert_allclose(closed[mine], their[name], rtol=1e-9, atol=1e-9, err_msg=name)
    np.testing.assert_array_equal(closed["side"] * np.round(closed["lots"] * EURUSD.contract_size), their["Size"])
    np.testing.assert_allclose(ours.equity.to_numpy()[1:], theirs["_equity_curve"]["Equity"].to_numpy()[1:], rtol=1e-9, atol=1e-6)
    return len(closed)


@pytest.mark.parametrize(
    ("native", "columns", "options"),
    [(Cross, cross_columns, {}), (Turning, turning_columns, {"exclusive_orders": True}), (Breakout, breakout_columns, {})],
    ids=["crossing with brackets", "always in the market, exclusive orders", "stop entries that expire, trailed"],
)
@pytest.mark.parametrize("margin_mode", ["hedging", "netting"])
def test_a_strategy_of_a_user_of_backtesting_py_makes_the_same_trades(native: Any, columns: Any, options: dict[str, Any], margin_mode: Any) -> None:
    account, trades = AccountSpec("USD", 10_000.0, 30.0, margin_mode), 0

    @settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(WALKS)
    def compare(walk: Walk) -> None:
        nonlocal trades
        bars = walk.bars()
        trades += assert_equal(bars, columns(bars), run_native(native, bars, account, **options), account)

    compare()
    assert trades > 60, trades


@pytest.mark.slow
@pytest.mark.parametrize(("native", "columns"), [(Cross, cross_columns), (Breakout, breakout_columns)], ids=["crossing", "stop entries, trailed"])
def test_a_year_of_real_minutes_gives_the_same_trades_one_by_one(native: Any, columns: Any, realdata: Path) -> None:
    path = realdata / "histdata" / "HISTDATA_COM_ASCII_EURUSD_M12019.zip"
    (piece,) = source_named("histdata").pieces(Request("EURUSD", "M1", options={"path": str(path)}), {}, SourceContext(realdata))
    bars, account = validate_bars(piece.frame), AccountSpec("USD", 100_000.0, 30.0)
    assert assert_equal(bars, columns(bars), run_native(native, bars, account), account) > 8_000


@pytest.mark.parametrize(("lots", "commission", "is_filled"), [(0.99, 0.0, True), (0.99, 100.0, True), (0.99, 120.0, False), (1.0, 0.0, False)])
def test_margin_is_asked_for_the_price_and_the_commission_together(lots: float, commission: float, is_filled: bool) -> None:
    index = pd.date_range("2024-03-04", periods=5, freq="h", tz="UTC", name="open_time")
    bars = pd.DataFrame({name: np.full(5, 1.11) for name in ("open", "high", "low", "close", "volume")}, index=index)
    account, sizing = AccountSpec("USD", 1_000.0, 110.0), Sizing(mode="fixed", fixed_lots=lots, unstopped_move=0.001)
    wish = Decisions(side=np.array([0, 1, 0, 0, 0]))
    options = RULES | {"sizing": sizing, "costs": Costs(commission_per_lot=commission)}
    ours = run_backtest(fixed(wish), None, bars, account=account, **options)
    theirs = run_reference(
        bars, wish, instrument=EURUSD, account=account, sizing=sizing, limits=RULES["limits"], commission_per_lot=commission
    )  # fmt: skip
    assert len(ours.trades) == len(theirs.trades) == int(is_filled)
    np.testing.assert_allclose(ours.equity.to_numpy()[1:], theirs.equity[1:], rtol=1e-12)
