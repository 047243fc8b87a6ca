"""Sizes and the limit on risk, for a pair quoted in dollars, one in yen and a cross, on dollar and euro accounts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from components.fx import Refusal, instrument
from components.risk import Limits, Sizing, check_birth, lots_for, stop_distance_of

RISK_1_PERCENT = Sizing(risk_fraction=0.01)


def size(symbol: str, rate: float, distance: float, equity: float = 10_000.0, sizing: Sizing = RISK_1_PERCENT, fraction: float = 1.0) -> float:
    item = instrument(symbol)
    return float(lots_for(sizing.as_row(), equity, fraction, distance, item.contract_size, rate, item.lot_step, item.lot_min, item.lot_max))


@pytest.mark.parametrize(
    ("symbol", "rate", "pips", "lots"),
    [
        ("EURUSD", 1.0, 50, 0.20),  # 100 / (50 × 10 USD)
        ("EURUSD", 0.8, 50, 0.25),  # 100 / (50 × 8 EUR)
        ("USDJPY", 1 / 150, 50, 0.30),  # 100 / (50 × 6.6667 USD)
        ("USDJPY", 1 / 160, 50, 0.32),  # 100 / (50 × 6.25 EUR)
        ("EURGBP", 1.25, 50, 0.16),  # 100 / (50 × 12.50)
        ("EURGBP", 1.27, 37, 0.21),  # 100 / (37 × 12.70) = 0.2128
    ],
)
def test_a_stop_that_is_hit_costs_the_fraction_of_equity(symbol: str, rate: float, pips: int, lots: float) -> None:
    item = instrument(symbol)
    assert size(symbol, rate, pips * item.pip_size) == lots
    loss = lots * pips * item.pip_value(rate)
    assert loss <= 100.0 + 1e-6 < (lots + 0.01) * pips * item.pip_value(rate) + 1e-3


@given(
    st.floats(100, 1e6),
    st.floats(1e-5, 0.2),
    st.sampled_from([1.0, 0.0067, 1.27]),
    st.sampled_from([0.01, 0.1, 0.5]),
    st.sampled_from([1.0, 0.5, 0.0]),
)
@settings(max_examples=300, deadline=None)
def test_no_size_risks_more_than_its_fraction_and_one_more_step_would(
    equity: float, distance: float, rate: float, risk: float, fraction: float
) -> None:
    lots = size("EURUSD", rate, distance, equity, Sizing(risk_fraction=risk), fraction)
    allowed = equity * risk * fraction
    assert lots * 100_000 * distance * rate <= allowed * (1 + 1e-6) + 0.01 * 100_000 * distance * rate * 1e-8
    assert round(lots / 0.01, 6) == round(lots / 0.01)
    if 0 < lots < 100:
        assert (lots + 0.01) * 100_000 * distance * rate > allowed * (1 - 1e-9)


def test_a_whole_step_is_not_lost_to_the_rounding_of_two_prices() -> None:
    # 1,000 USD over 40 points of 100,000 units are 25 lots; the difference of the prices is 0.0004 and 2e-16.
    near = [
        size("EURUSD", 1.0, round(price + 0.0004, 5) - price, 10_000.0, Sizing(risk_fraction=0.1)) for price in (1.0007, 1.00071, 1.10003, 1.31415)
    ]
    assert near == [25.0] * 4
    assert size("EURUSD", 1.0, 0.0004 * (1 + 1e-7), 10_000.0, Sizing(risk_fraction=0.1)) == 24.99


@pytest.mark.parametrize(
    ("distance", "rate", "equity"), [(0.0, 1.0, 1e4), (math.nan, 1.0, 1e4), (0.01, math.nan, 1e4), (0.01, 1.0, 0.0), (0.01, 1.0, -5.0)]
)
def test_what_cannot_be_computed_is_no_size(distance: float, rate: float, equity: float) -> None:
    assert size("EURUSD", rate, distance, equity) == 0.0


def test_fixed_lots_are_cut_to_the_brokers_steps_and_limits() -> None:
    assert size("EURUSD", 1.0, 0.01, sizing=Sizing(mode="fixed", fixed_lots=0.137)) == 0.13
    assert size("EURUSD", 1.0, 0.01, sizing=Sizing(mode="fixed", fixed_lots=500.0)) == 100.0
    assert size("EURUSD", 1.0, 0.01, sizing=Sizing(mode="fixed", fixed_lots=0.3), fraction=0.1) == 0.03
    assert size("EURUSD", 1.0, 0.01, sizing=Sizing(mode="fixed", fixed_lots=0.02), fraction=0.1) == 0.0


def test_the_distance_is_that_of_the_price_then_of_the_distance_then_the_assumed_move() -> None:
    assert stop_distance_of(1.1, 1.09, 0.5, 0.01) == pytest.approx(0.01)
    assert stop_distance_of(1.1, math.nan, 0.02, 0.01) == 0.02
    assert stop_distance_of(1.1, math.nan, math.nan, 0.01) == pytest.approx(0.011)


def test_the_limit_stands_exactly_at_its_fraction() -> None:
    limits = Limits(max_risk_fraction=0.02).as_row()
    assert check_birth(limits, 10_000.0, 0.2, 0.01, 100_000.0, 1.0) == Refusal.NONE
    assert check_birth(limits, 10_000.0, 0.21, 0.01, 100_000.0, 1.0) == Refusal.RISK_PER_TRADE
    assert check_birth(limits, 10_000.0, 0.2, 0.01, 100_000.0, math.nan) == Refusal.RISK_PER_TRADE
    assert check_birth(limits, 10_000.0, 0.0, 0.01, 100_000.0, 1.0) == Refusal.SIZE_TOO_SMALL


@pytest.mark.parametrize(
    "values", [{"risk_fraction": 0}, {"risk_fraction": 0.6}, {"fixed_lots": -1}, {"max_positions": 0}, {"max_positions": 9}, {"mode": "kelly"}]
)
def test_sizing_out_of_bounds_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Sizing(**values)  # type: ignore[arg-type]
