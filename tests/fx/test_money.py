"""Money words: every expected value is computed by hand from contract size, price difference and rate. EURUSD on a USD account alone would
hide each conversion mistake, so a yen pair and a cross go through the same tests, on accounts in two currencies."""

from __future__ import annotations

import math

import pytest

from components.fx import AccountSpec, BadInput, Instrument, conversion_rate, instrument, known_symbols, margin_required, profit_rate

QUOTES = {"EURUSD": 1.085, "USDJPY": 149.25, "EURGBP": 0.8525, "GBPUSD": 1.27}

# symbol, account, side, lots, entry, exit, profit: lots × 100,000 × difference in the quote currency, then converted
ROUND_TRIPS = [
    ("EURUSD", "USD", +1, 0.5, 1.08000, 1.08500, 250.0),  # 0.5 × 100,000 × 0.005 = 250 USD
    ("EURUSD", "EUR", +1, 0.5, 1.08000, 1.08500, 230.414747),  # 250 USD / 1.085
    ("EURUSD", "USD", -1, 0.5, 1.08000, 1.08500, -250.0),
    ("USDJPY", "USD", -1, 2.0, 150.00, 149.25, 1_005.025126),  # 2 × 100,000 × 0.75 = 150,000 JPY / 149.25
    ("USDJPY", "EUR", -1, 2.0, 150.00, 149.25, 926.290438),  # 1,005.025126 USD / 1.085
    ("USDJPY", "USD", +1, 2.0, 150.00, 149.25, -1_005.025126),
    ("EURGBP", "USD", +1, 1.0, 0.85000, 0.85250, 317.5),  # 250 GBP × 1.27
    ("EURGBP", "EUR", +1, 1.0, 0.85000, 0.85250, 293.255132),  # 250 GBP / 0.8525
    ("EURGBP", "USD", -1, 1.0, 0.85000, 0.85250, -317.5),
]


@pytest.mark.parametrize(("symbol", "currency", "side", "lots", "entry", "exit_price", "expected"), ROUND_TRIPS)
def test_profit_of_a_round_trip_in_account_currency(
    symbol: str, currency: str, side: int, lots: float, entry: float, exit_price: float, expected: float
) -> None:
    pair = instrument(symbol)
    rate = profit_rate(AccountSpec(currency), pair, QUOTES)
    assert pair.profit(side, lots, entry, exit_price, rate) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("symbol", "currency", "pip_value", "tick_value"),
    [
        ("EURUSD", "USD", 10.0, 1.0),  # 100,000 × 0.0001
        ("EURUSD", "EUR", 9.216590, 0.921659),  # 10 / 1.085
        ("USDJPY", "USD", 6.700168, 0.670017),  # 100,000 × 0.01 = 1,000 JPY / 149.25
        ("USDJPY", "EUR", 6.175270, 0.617527),  # 6.700168 / 1.085
        ("EURGBP", "USD", 12.7, 1.27),  # 10 GBP × 1.27
        ("EURGBP", "EUR", 11.730205, 1.173021),  # 10 GBP / 0.8525
    ],
)
def test_a_pip_and_a_tick_of_one_lot_in_account_currency(symbol: str, currency: str, pip_value: float, tick_value: float) -> None:
    pair = instrument(symbol)
    rate = profit_rate(AccountSpec(currency), pair, QUOTES)
    assert pair.pip_value(rate) == pytest.approx(pip_value, abs=1e-6)
    assert pair.tick_value(rate) == pytest.approx(tick_value, abs=1e-6)
    assert pair.points_per_pip == 10


@pytest.mark.parametrize(
    ("symbol", "currency", "lots", "expected"),
    [
        ("EURUSD", "USD", 1.0, 3_616.666667),  # 100,000 EUR × 1.085 / 30
        ("EURUSD", "EUR", 0.3, 1_000.0),  # 30,000 EUR / 30
        ("USDJPY", "USD", 1.5, 5_000.0),  # 150,000 USD / 30
        ("USDJPY", "EUR", 1.0, 3_072.196621),  # 100,000 USD / 1.085 / 30
        ("EURGBP", "USD", 1.0, 3_616.666667),  # 100,000 EUR × 1.085 / 30
    ],
)
def test_margin_follows_the_base_currency_and_not_the_profit_currency(symbol: str, currency: str, lots: float, expected: float) -> None:
    pair = instrument(symbol)
    base_rate = conversion_rate(pair.base_currency, currency, QUOTES)
    assert margin_required(pair, lots, base_rate, 30.0) == pytest.approx(expected, abs=1e-6)


def test_a_margin_rate_of_the_broker_multiplies_the_margin() -> None:
    doubled = Instrument("EURUSD", "EURUSD", "EUR", "USD", 5, 0.0001, margin_rate=2.0)
    assert margin_required(doubled, 1.0, 1.0, 100.0) == pytest.approx(2_000.0)  # 100,000 × 2 / 100


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("USD", "USD", 1.0),
        ("EUR", "USD", 1.085),
        ("USD", "EUR", 0.921659),  # 1 / 1.085
        ("JPY", "USD", 0.006700168),  # 1 / 149.25
        ("JPY", "EUR", 0.006175270),  # over USD: 1 / 149.25 / 1.085
        ("EUR", "JPY", 161.93625),  # over USD: 1.085 × 149.25
        ("GBP", "JPY", 189.5475),  # over USD: 1.27 × 149.25
    ],
)
def test_a_conversion_goes_directly_inverted_or_over_one_currency(source: str, target: str, expected: float) -> None:
    assert conversion_rate(source, target, QUOTES) == pytest.approx(expected, rel=1e-6)


def test_the_direct_pair_wins_over_a_path() -> None:
    assert conversion_rate("EUR", "JPY", {**QUOTES, "EURJPY": 160.0}) == 160.0
    assert conversion_rate("JPY", "EUR", {**QUOTES, "EURJPY": 160.0}) == pytest.approx(1 / 160.0)


def test_a_missing_quote_is_refused_and_never_taken_as_one() -> None:
    with pytest.raises(BadInput, match="no quote converts CHF to USD; give CHFUSD or USDCHF") as refused:
        conversion_rate("CHF", "USD", QUOTES)
    assert refused.value.field == "quotes"
    with pytest.raises(BadInput, match="JPY to USD"):
        profit_rate(AccountSpec("USD"), instrument("USDJPY"), {})


@pytest.mark.parametrize("price", [0.0, -1.0, math.nan, math.inf])
def test_a_quote_that_is_no_price_is_refused_on_a_direct_way_and_on_a_path(price: float) -> None:
    for source in ("USD", "GBP"):
        with pytest.raises(BadInput, match="USDJPY"):
            conversion_rate(source, "JPY", {"USDJPY": price, "GBPUSD": 1.27})


@pytest.mark.parametrize(
    ("wanted", "accepted"),
    [
        (0.019, 0.01),
        (0.29, 0.29),  # 0.29 / 0.01 is 28.999… in binary; it must not become 0.28
        (0.57, 0.57),
        (1.005, 1.0),
        (0.0099, 0.0),
        (0.01, 0.01),
        (0.0, 0.0),
        (-1.0, 0.0),
        (1e9, 100.0),
        (100.004, 100.0),
    ],
)
def test_sizes_are_rounded_down_to_what_the_broker_accepts(wanted: float, accepted: float) -> None:
    assert instrument("EURUSD").lots_down(wanted) == accepted


def test_a_size_is_never_rounded_up_by_more_than_rounding_noise() -> None:
    pair = instrument("EURUSD")
    for hundredths in range(1, 10_001):
        assert pair.lots_down(hundredths / 100) == hundredths / 100
        assert pair.lots_down(hundredths / 100 - 1e-6) == round((hundredths - 1) / 100, 2)


def test_steps_and_smallest_sizes_of_a_broker_are_kept() -> None:
    pair = Instrument("EURUSD", "EURUSD", "EUR", "USD", 5, 0.0001, lot_step=0.1, lot_min=0.5, lot_max=3.0)
    assert [pair.lots_down(lots) for lots in (0.49, 0.5, 0.77, 2.99, 3.05)] == [0.0, 0.5, 0.7, 2.9, 3.0]


def test_the_pip_of_a_yen_pair_is_a_hundredth() -> None:
    assert instrument("USDJPY").pip_size == 0.01
    assert instrument("USDJPY").pips(0.75) == pytest.approx(75.0)
    assert instrument("EURGBP").pips(-0.0025) == pytest.approx(-25.0)
    assert (instrument("USDJPY").point, instrument("EURUSD").point) == (0.001, 0.00001)
    pairs = [instrument(symbol) for symbol in known_symbols() if len(symbol) == 6 and symbol[:3] not in ("XAU", "XAG")]
    assert len(pairs) > 40
    for pair in pairs:
        symbol = pair.symbol
        assert pair.pip_size == (0.01 if pair.profit_currency == "JPY" else 0.0001)
        assert (pair.base_currency, pair.profit_currency) == (symbol[:3], symbol[3:])


def test_prices_are_printed_and_rounded_with_the_digits_of_the_symbol() -> None:
    assert instrument("EURUSD").price_text(1.1) == "1.10000"
    assert instrument("USDJPY").price_text(149.2504) == "149.250"
    assert instrument("USDJPY").round_price(149.25049) == 149.25
    assert instrument("EURUSD").at_broker("EURUSD.raw").broker_symbol == "EURUSD.raw"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"currency": "usd"}, "currency"),
        ({"currency": "US"}, "currency"),
        ({"balance": 0.0}, "balance"),
        ({"balance": math.nan}, "balance"),
        ({"leverage": -1.0}, "leverage"),
        ({"leverage": math.inf}, "leverage"),
        ({"margin_mode": "both"}, "margin_mode"),
    ],
)
def test_an_account_that_makes_no_sense_is_refused_by_field(changes: dict, field: str) -> None:
    with pytest.raises(BadInput) as refused:
        AccountSpec(**changes)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"pip_size": 0.0}, "pip_size"),
        ({"lot_step": math.nan}, "lot_step"),
        ({"lot_max": 0.001}, "lot_max"),
        ({"digits": 9}, "digits"),
        ({"calculation_mode": "futures"}, "calculation_mode"),
    ],
)
def test_an_instrument_that_makes_no_sense_is_refused_by_field(changes: dict, field: str) -> None:
    words = {"symbol": "X", "broker_symbol": "X", "base_currency": "EUR", "profit_currency": "USD", "digits": 5, "pip_size": 0.0001}
    with pytest.raises(BadInput) as refused:
        Instrument(**{**words, **changes})
    assert refused.value.field == field


def test_an_unknown_symbol_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match=r"'EURUSD\.raw' is unknown; known are AUDCAD"):
        instrument("EURUSD.raw")
