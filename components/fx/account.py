"""Accounts and the conversion of profit into the account's currency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.fx.errors import BadInput
from components.fx.instrument import Instrument

MarginMode = Literal["hedging", "netting"]


@dataclass(frozen=True)
class AccountSpec:
    """The account that a backtest or a deployment trades on.

    Parameters
    ----------
    currency : str
        ISO code of the account's currency.
    balance : float
        Starting balance, in account currency.
    leverage : float
        30.0 means that 30 of position value needs 1 of margin.
    margin_mode : {'hedging', 'netting'}
        Hedging holds several positions per symbol, netting one.
    stop_out_level : float
        Equity as a share of the margin in use, 0–1, below which the broker closes the position with the largest loss, again and again until the
        level holds; 0.0 never does. MetaTrader shows it in percent.
    """

    currency: str = "USD"
    balance: float = 10_000.0
    leverage: float = 30.0
    margin_mode: MarginMode = "hedging"
    stop_out_level: float = 0.5

    def __post_init__(self) -> None:
        if not (len(self.currency) == 3 and self.currency.isalpha() and self.currency.isupper()):
            raise BadInput("currency", f"{self.currency!r} is not an ISO code such as 'USD'")
        for name in ("balance", "leverage"):
            value = getattr(self, name)
            if not (isfinite(value) and value > 0):
                raise BadInput(name, f"{value!r} is not a positive number")
        if not (isfinite(self.stop_out_level) and 0 <= self.stop_out_level <= 1):
            raise BadInput("stop_out_level", f"{self.stop_out_level!r} is not between 0 and 1; 0.5 is a stop-out at 50 %")
        if self.margin_mode not in ("hedging", "netting"):
            raise BadInput("margin_mode", f"{self.margin_mode!r} is neither 'hedging' nor 'netting'")


def conversion_rate(source: str, target: str, quotes: Mapping[str, float]) -> float:
    """Units of `target` for one unit of `source`.

    Parameters
    ----------
    source, target : str
        ISO currency codes.
    quotes : mapping of str to float
        Prices by pair symbol, for example ``{"EURUSD": 1.08}``.

    Returns
    -------
    float
        1.0 for equal currencies; else the pair, its inverse, or a path over one third currency.

    Raises
    ------
    BadInput
        If no path exists or a quote on it is not a positive number. A missing rate is never taken as 1.
    """
    if source == target:
        return 1.0
    direct = _direct(source, target, quotes)
    if direct is not None:
        return direct
    for middle in sorted({code for symbol in quotes if len(symbol) == 6 for code in (symbol[:3], symbol[3:])}):
        first = _direct(source, middle, quotes) if middle not in (source, target) else None
        second = _direct(middle, target, quotes) if first is not None else None
        if first is not None and second is not None:
            return first * second
    raise BadInput("quotes", f"no quote converts {source} to {target}; give {source}{target} or {target}{source}")


def profit_rate(spec: AccountSpec, instrument: Instrument, quotes: Mapping[str, float]) -> float:
    """Account units for one unit of the instrument's profit currency, from `quotes` as in `conversion_rate`."""
    return conversion_rate(instrument.profit_currency, spec.currency, quotes)


def rates_of_own_price(spec_currency: str, instrument: Instrument, bid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Account units for one unit of the instrument's profit currency, from nothing but the instrument's own bid.

    Parameters
    ----------
    spec_currency : str
        The account's currency.
    instrument : Instrument
    bid : float64, shape (n,)

    Returns
    -------
    float64, shape (n,)
        Ones where profit arises in the account's currency, the inverse price where the account holds the base currency.

    Raises
    ------
    BadInput
        If a third pair would be needed.
    """
    if instrument.profit_currency == spec_currency:
        return np.ones(len(bid))
    if instrument.base_currency == spec_currency:
        return 1.0 / np.asarray(bid, dtype=np.float64)
    raise BadInput(
        "symbol", f"{instrument.symbol} on a {spec_currency} account needs the price of a third pair, which a live session does not use yet"
    )


def margin_required(instrument: Instrument, lots: float, base_rate: float, leverage: float) -> float:
    """Margin of a position, in account currency.

    Parameters
    ----------
    instrument : Instrument
    lots : float
        Size, in lots.
    base_rate : float
        Account units for one unit of the instrument's base currency.
    leverage : float
        The account's leverage.
    """
    return lots * instrument.contract_size * base_rate * instrument.margin_rate / leverage


def _direct(source: str, target: str, quotes: Mapping[str, float]) -> float | None:
    for symbol, invert in ((source + target, False), (target + source, True)):
        if symbol in quotes:
            price = float(quotes[symbol])
            if not (isfinite(price) and price > 0):
                raise BadInput("quotes", f"{symbol} is {price!r}, not a positive price")
            return 1.0 / price if invert else price
    return None
