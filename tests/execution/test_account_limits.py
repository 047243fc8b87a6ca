"""Limits on the whole account, checked where every order is born: open risk, positions over all symbols, exposure by currency."""

from __future__ import annotations

from typing import Any

import pytest
from small import EURUSD, FLAT, FREE, bars_at, closed, hours, refused, run, side_by_side, wishes

from components.execution import Costs, StepResult, run_step
from components.fx import AccountSpec, EventKind, Refusal, instrument
from components.fx import book as b
from components.risk import Limits, Sizing

GBPUSD, USDJPY, EURGBP = instrument("GBPUSD"), instrument("USDJPY"), instrument("EURGBP")
PRICES = {"EURUSD": (1.1, 1.0), "GBPUSD": (1.25, 1.0), "USDJPY": (150.0, 1 / 150), "EURGBP": (0.88, 1.25)}


def together(limits: Limits, *legs: tuple[Any, dict[str, Any]], rows: int = 4, lots: float = 0.1) -> StepResult:
    """Flat markets side by side on 10,000 USD."""
    parts = []
    for item, columns in legs:
        price, rate = PRICES[item.symbol]
        parts.append((bars_at(hours(rows), [(price,) * 4] * rows), item, rate, wishes(rows, **columns)))
    market, decisions, items = side_by_side(parts)
    sizing = Sizing(mode="fixed", fixed_lots=lots, max_positions=4)
    return run_step(market, decisions, items, AccountSpec(), costs=Costs(spread_points=0), sizing=sizing, limits=limits)


def opened(step: StepResult) -> list[int]:
    return step.events[step.events[:, b.E_KIND] == EventKind.OPENED][:, b.E_SYMBOL].astype(int).tolist()


def test_without_limits_nothing_is_stopped() -> None:
    step = together(Limits(max_risk_fraction=1), (EURUSD, {"side": {0: 1}}), (GBPUSD, {"side": {0: 1}}), (USDJPY, {"side": {0: -1}}))
    assert (opened(step), refused(step)) == ([0, 1, 2], [])


def test_positions_and_orders_are_counted_over_all_symbols() -> None:
    limits = Limits(max_risk_fraction=1, max_total_positions=2)
    step = together(
        limits, (EURUSD, {"side": {0: 1}}), (GBPUSD, {"side": {0: 1}, "entry": {0: 2}, "entry_price": {0: 1.2}}), (USDJPY, {"side": {0: 1}})
    )
    assert refused(step) == [Refusal.TOTAL_POSITIONS], "an order that only waits holds a place"
    step = together(limits, (EURUSD, {"side": {0: 1}}), (GBPUSD, {"side": {0: 1}, "exit": {2: 1}}), (USDJPY, {"side": {2: 1}}))
    assert (opened(step), refused(step)) == ([0, 1, 2], []), "a position that is being closed holds none"


def test_the_risk_of_all_positions_together_is_limited_at_their_stops() -> None:
    # 0.1 lots of EURUSD with 50 pips to the stop risk 50 USD; of USDJPY with 1.2 yen 80 USD: 130 of 10,000.
    legs = (EURUSD, {"side": {0: 1}, "stop": {0: 1.095}}), (USDJPY, {"side": {1: -1}, "stop": {1: 151.2}})
    assert opened(together(Limits(max_open_risk=0.0130), *legs)) == [0, 1]
    step = together(Limits(max_open_risk=0.0129), *legs)
    assert (opened(step), refused(step)) == ([0], [Refusal.OPEN_RISK])


def test_the_risk_of_every_position_counts_and_not_only_of_the_last() -> None:
    legs = [(item, {"side": {row: 1}, "stop": {row: stop}}) for row, (item, stop) in enumerate(((EURUSD, 1.095), (GBPUSD, 1.245), (EURGBP, 0.876)))]
    # 50 USD each: 0.1 lots lose 50 pips of the dollar, or 40 of sterling at 1.25.
    assert opened(together(Limits(max_open_risk=0.0150), *legs, rows=5)) == [0, 1, 2]
    step = together(Limits(max_open_risk=0.0149), *legs, rows=5)
    assert (opened(step), refused(step)) == ([0, 1], [Refusal.OPEN_RISK])


def test_a_stop_beyond_the_price_of_now_risks_nothing_more() -> None:
    rows = [FLAT, FLAT, (1.1, 1.12, 1.1, 1.12), (1.12,) * 4, (1.12,) * 4, (1.12,) * 4]
    limits = Limits(max_risk_fraction=1, max_open_risk=0.006)
    wish = {"side": {0: 1, 3: 1}, "stop": {0: 1.095, 3: 1.115}}
    sizing = Sizing(mode="fixed", fixed_lots=0.1, max_positions=2)
    # At 1.12 the first stop gives 250 USD back; trailed to 20 pips behind the price it gives back 20.
    assert refused(run(bars_at(hours(6), rows), limits=limits, sizing=sizing, **wish)) == [Refusal.OPEN_RISK]
    assert refused(run(bars_at(hours(6), rows), limits=limits, sizing=sizing, trail_distance={0: 0.0009}, **wish)) == []


def test_a_position_without_a_stop_risks_the_move_that_sizing_assumes() -> None:
    step = together(Limits(max_risk_fraction=1, max_open_risk=0.0109), (EURUSD, {"side": {0: 1}}))
    assert refused(step) == [Refusal.OPEN_RISK], "1 % of 11,000 USD is 110"
    assert refused(together(Limits(max_risk_fraction=1, max_open_risk=0.0111), (EURUSD, {"side": {0: 1}}))) == []


def test_the_net_exposure_of_a_currency_counts_every_pair_that_holds_it() -> None:
    # 11,000 USD of euro from EURUSD and again from EURGBP: 2.2 times the equity, and sterling owed for one of them.
    limits = Limits(max_risk_fraction=1, max_currency_exposure=2.0)
    step = together(limits, (EURUSD, {"side": {0: 1}}), (EURGBP, {"side": {1: 1}}))
    assert (opened(step), refused(step)) == ([0], [Refusal.CURRENCY_EXPOSURE])
    assert refused(together(limits, (EURUSD, {"side": {0: 1}}), (EURGBP, {"side": {1: -1}}))) == [], "a short EURGBP takes euro away again"


def test_a_currency_that_a_cross_was_sold_for_is_held_like_any_other() -> None:
    # Selling EURGBP buys 11,000 USD worth of sterling; GBPUSD would add 12,500.
    limits = Limits(max_risk_fraction=1, max_currency_exposure=2.0)
    step = together(limits, (EURGBP, {"side": {0: -1}}), (GBPUSD, {"side": {1: 1}}))
    assert (opened(step), refused(step)) == ([0], [Refusal.CURRENCY_EXPOSURE])
    assert opened(together(limits, (EURGBP, {"side": {0: 1}}), (GBPUSD, {"side": {1: 1}}))) == [0, 1]


def test_the_accounts_own_currency_is_no_exposure() -> None:
    limits = Limits(max_risk_fraction=1, max_currency_exposure=1.3)
    step = together(limits, (EURUSD, {"side": {0: 1}}), (GBPUSD, {"side": {0: 1}}))
    assert opened(step) == [0, 1], "11,000 of euro and 12,500 of sterling; 23,500 dollars are owed, which is what the account is in"


def test_an_order_that_brings_an_exposure_nearer_to_zero_is_taken() -> None:
    limits = Limits(max_risk_fraction=1, max_currency_exposure=1.2)
    step = together(limits, (EURUSD, {"side": {0: 1, 1: -1}}))
    assert (opened(step), refused(step)) == ([0, 0], [])
    assert refused(together(limits, (EURUSD, {"side": {0: 1, 1: 1}}))) == [Refusal.CURRENCY_EXPOSURE]


def test_a_reversal_is_measured_without_the_position_that_it_closes() -> None:
    limits = Limits(max_risk_fraction=1, max_total_positions=1, max_currency_exposure=1.2, max_open_risk=0.012)
    step = together(limits, (EURUSD, {"side": {0: 1, 1: -1}, "exit": {1: 1}}))
    assert (opened(step), len(closed(step)), refused(step)) == ([0, 0], 1, [])


def test_an_entry_that_manage_asks_for_meets_the_limits_of_the_account_too() -> None:
    import numpy as np
    from managers import eager

    step = run(
        bars_at(hours(4), [FLAT] * 4), costs=FREE, manage=eager, params=np.array([0.1]), limits=Limits(max_total_positions=1),
        sizing=Sizing(mode="fixed", fixed_lots=0.1, max_positions=3),
    )  # fmt: skip
    assert set(refused(step)) == {Refusal.TOTAL_POSITIONS}
    assert len(opened(step)) == 1


@pytest.mark.parametrize("name", ["max_open_risk", "max_total_positions", "max_currency_exposure"])
def test_zero_is_no_limit(name: str) -> None:
    assert getattr(Limits(), name) == 0
