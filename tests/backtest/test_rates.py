"""Conversion into the account's currency uses only prices that were known, and refuses to guess."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from components.backtest import rates_for, run_backtest
from components.execution import Costs
from components.fx import AccountSpec, BadInput, conversion_rate, instrument, validate_bars
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
