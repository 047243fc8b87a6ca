"""The broker's margin call: below the stop-out level the largest loser goes first."""

from __future__ import annotations

import numpy as np
import pytest
from small import EURUSD, FLAT, bars_at, closed, hours, run, side_by_side, wishes

from components.execution import Costs, run_step
from components.fx import AccountSpec, BadInput, ExitKind, instrument
from components.fx import book as b
from components.risk import Limits, Sizing

# 0.1 lots at 1.1 need 11,000 / 100 = 110 USD of margin; at 50 % the level is 55 USD of equity, which 145 USD lose to: 145 pips.
SMALL = AccountSpec(balance=200.0, leverage=100.0)


def falling_to(low: float, close: float) -> list[tuple[float, float, float, float]]:
    return [FLAT, FLAT, (1.1, 1.1, low, close), (close,) * 4]


def test_a_position_goes_when_equity_falls_below_half_of_its_margin() -> None:
    step = run(bars_at(hours(4), falling_to(1.0855, 1.0855)), account=SMALL, side={0: 1})
    assert len(closed(step)) == 0, "55 USD of equity against 108.55 of margin at the new price: the level holds by a hair"
    step = run(bars_at(hours(4), falling_to(1.0853, 1.0853)), account=SMALL, side={0: 1})
    (row,) = closed(step)
    assert (row[b.E_EXIT], row[b.E_PRICE], row[b.E_ROW]) == (ExitKind.STOP_OUT, 1.0853, 2)
    assert step.equity[-1] == pytest.approx(53.0)


def test_the_low_of_a_bar_calls_the_margin_and_the_trader_gets_that_low() -> None:
    bars = bars_at(hours(4), falling_to(1.0840, 1.1000))
    step = run(bars, account=SMALL, side={0: 1})
    (row,) = closed(step)
    assert (row[b.E_PRICE], row[b.E_AMBIGUOUS], step.ambiguous_rows) == (1.0840, 1.0, 1)
    better = run(bars, account=SMALL, side={0: 1}, resolution="favour")
    assert (len(closed(better)), better.ambiguous_rows) == (0, 1), "where in the bar the level was crossed is not known: the row is unclear"


def test_a_bar_whose_last_price_is_its_worst_leaves_nothing_open() -> None:
    # Two positions: equity at the low and at the close are the same sum, taken in another order, and differ by its rounding.
    for points in range(109_300, 109_440):
        price = points / 100_000
        step = run(
            bars_at(hours(5), [FLAT, FLAT, FLAT, (1.1, 1.1, price, price), (price,) * 4]), account=AccountSpec(balance=305.0, leverage=100.0, stop_out_level=0.9),
            side={0: 1, 1: 1}, costs=Costs(spread_points=0, slippage_points=2), sizing=Sizing(mode="fixed", fixed_lots=0.1, max_positions=2),
        )  # fmt: skip
        assert len(closed(step)) > 0
        assert step.ambiguous_rows == 0, f"at {price} the row was called unclear"


def test_a_short_is_called_by_the_ask_of_the_high() -> None:
    costs = Costs(spread_points=20)
    rows = [FLAT, FLAT, (1.1, 1.1144, 1.1, 1.1), FLAT]
    assert len(closed(run(bars_at(hours(4), rows), account=SMALL, side={0: -1}))) == 0
    (row,) = closed(run(bars_at(hours(4), rows), account=SMALL, side={0: -1}, costs=costs))
    assert row[b.E_PRICE] == 1.1146


def test_the_stop_out_pays_slippage_and_commission_like_any_market_order() -> None:
    costs = Costs(spread_points=0, slippage_points=5, commission_per_lot=10)
    (row,) = closed(run(bars_at(hours(4), falling_to(1.08, 1.08)), account=SMALL, side={0: 1}, costs=costs))
    assert (row[b.E_PRICE], row[b.E_COST]) == (1.07995, pytest.approx(2.0))


def test_a_level_of_zero_never_calls_and_lost_equity_still_ends_the_run() -> None:
    account = AccountSpec(balance=200.0, leverage=100.0, stop_out_level=0.0)
    assert len(closed(run(bars_at(hours(4), falling_to(1.0810, 1.0810)), account=account, side={0: 1}))) == 0
    step = run(bars_at(hours(4), falling_to(1.07, 1.07)), account=account, side={0: 1})
    assert closed(step)[0, b.E_EXIT] == ExitKind.STOP_OUT
    assert step.equity[2:].tolist() == [0.0, 0.0]


def test_a_gap_below_everything_leaves_nothing_and_no_debt() -> None:
    step = run(bars_at(hours(4), [FLAT, FLAT, (1.0,) * 4, (1.0,) * 4]), account=SMALL, side={0: 1})
    assert step.equity[2:].tolist() == [0.0, 0.0]


def two_losers(level: float, balance: float = 1_000.0) -> tuple[np.ndarray, np.ndarray]:
    """EURUSD loses 100 USD and AUDUSD 300 of the balance; closings and equity."""
    falls = [FLAT, FLAT, (1.09,) * 4, (1.09,) * 4]
    others = [(0.7,) * 4, (0.7,) * 4, (0.67,) * 4, (0.67,) * 4]
    parts = [
        (bars_at(hours(4), falls), EURUSD, 1.0, wishes(4, side={0: 1})),
        (bars_at(hours(4), others), instrument("AUDUSD"), 1.0, wishes(4, side={0: 1})),
    ]
    market, decisions, items = side_by_side(parts)
    step = run_step(
        market, decisions, items, AccountSpec(balance=balance, leverage=20.0, stop_out_level=level), costs=Costs(spread_points=0),
        sizing=Sizing(mode="fixed", fixed_lots=0.1), limits=Limits(max_risk_fraction=1.0),
    )  # fmt: skip
    return closed(step), step.equity


def test_the_largest_loser_goes_first_and_the_others_stay_once_the_level_holds() -> None:
    # Equity 600; margin 10,900 / 20 + 6,700 / 20 = 545 + 335 = 880: a level of 68 %. Without AUDUSD it is 600 / 545.
    assert len(two_losers(0.6)[0]) == 0
    rows, equity = two_losers(0.7)
    assert rows[:, b.E_SYMBOL].tolist() == [1]
    assert equity[-1] == pytest.approx(600.0)


def test_one_after_the_other_goes_until_the_level_holds() -> None:
    # Equity 550 is 62 % of 880, and 101 % of the 545 that EURUSD needs alone.
    assert two_losers(0.9, 950.0)[0][:, b.E_SYMBOL].tolist() == [1]
    # Equity 530: 97 % without AUDUSD.
    rows, equity = two_losers(1.0, 930.0)
    assert rows[:, b.E_SYMBOL].tolist() == [1, 0]
    assert rows[:, b.E_ROW].tolist() == [2, 2], "the server does not wait for another price"
    assert equity[-1] == pytest.approx(530.0)


def test_an_order_that_waits_outlives_the_stop_out() -> None:
    step = run(bars_at(hours(4), falling_to(1.0853, 1.0853)), account=SMALL, side={0: 1, 1: 1}, entry={1: 2}, entry_price={1: 1.05},
               sizing=Sizing(mode="fixed", fixed_lots=0.1, max_positions=2))  # fmt: skip
    assert closed(step)[0, b.E_EXIT] == ExitKind.STOP_OUT
    assert step.book.counts[0].tolist() == [0, 1]


def test_backtesting_pys_rules_know_no_margin_call() -> None:
    step = run(bars_at(hours(4), falling_to(1.0820, 1.0820)), account=SMALL, side={0: 1}, policy="reference")
    assert len(closed(step)) == 0


@pytest.mark.parametrize("level", [-0.1, 1.5, float("nan")])
def test_a_level_that_no_broker_has_is_refused(level: float) -> None:
    with pytest.raises(BadInput, match="stop_out_level"):
        AccountSpec(stop_out_level=level)
