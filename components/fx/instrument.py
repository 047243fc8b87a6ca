"""Instruments. This is the only place where a pip has a value."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from components.fx.book import SwapMode
from components.fx.errors import BadInput

SWAP_MODES = tuple(mode.name.lower() for mode in SwapMode)
SWAP_TRIPLE_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "none")


@dataclass(frozen=True)
class Instrument:
    """What is traded, with the numbers that turn price differences into money.

    Parameters
    ----------
    symbol : str
        The platform's name, for example ``"EURUSD"``.
    broker_symbol : str
        The broker's own name for it, for example ``"EURUSD.raw"``.
    base_currency, profit_currency : str
        ISO codes: one lot is `contract_size` units of the base currency; profit arises in the profit (quote) currency.
    digits : int
        Decimals of a price.
    pip_size : float
        Price difference of one pip: 0.0001 for EURUSD, 0.01 for USDJPY.
    contract_size : float
        Units of base currency in one lot.
    lot_step, lot_min, lot_max : float
        Sizes that the broker accepts, in lots.
    stops_level_points, freeze_level_points : int
        Smallest distance of a stop from the price, and the band in which orders cannot be changed, in points.
    swap_long, swap_short : float
        Interest of one lot and night, positive where the trader is paid, in the unit of `swap_mode`. 0.0, as known instruments have it, charges
        none: a swap table belongs to a broker and a date, so it must be given.
    swap_mode : str
        MetaTrader's SYMBOL_SWAP_MODE: ``"points"``; ``"account"``, ``"profit"`` or ``"base"``, money per lot in that currency; ``"percent"`` of the
        current or ``"percent_open"`` of the opening price, a year of 360 days.
    swap_triple_day : str
        Weekday whose night counts three times (SYMBOL_SWAP_ROLLOVER3DAYS): ``"wednesday"`` at most brokers, ``"friday"`` at some; ``"none"``.
    margin_rate : float
        Share of the position's value that is held as margin at leverage 1.
    calculation_mode : str
        MetaTrader's way to compute profit: ``"forex"``, also for metals with leverage; a ``"cfd"`` is known by its prices only and is not
        traded.
    """

    symbol: str
    broker_symbol: str
    base_currency: str
    profit_currency: str
    digits: int
    pip_size: float
    contract_size: float = 100_000.0
    lot_step: float = 0.01
    lot_min: float = 0.01
    lot_max: float = 100.0
    stops_level_points: int = 0
    freeze_level_points: int = 0
    swap_long: float = 0.0
    swap_short: float = 0.0
    swap_mode: str = "points"
    swap_triple_day: str = "wednesday"
    margin_rate: float = 1.0
    calculation_mode: str = "forex"

    def __post_init__(self) -> None:
        if not 0 <= self.digits <= 8:
            raise BadInput("digits", f"{self.digits} is not between 0 and 8")
        for name in ("pip_size", "contract_size", "lot_step", "lot_min", "lot_max", "margin_rate"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
                raise BadInput(name, f"{value!r} is not a positive number")
        for name in ("swap_long", "swap_short"):
            if not math.isfinite(getattr(self, name)):
                raise BadInput(name, f"{getattr(self, name)!r} is not a number")
        for name, known in (("swap_mode", SWAP_MODES), ("swap_triple_day", SWAP_TRIPLE_DAYS)):
            if getattr(self, name) not in known:
                raise BadInput(name, f"{getattr(self, name)!r} is unknown; use one of {', '.join(known)}")
        if self.lot_max < self.lot_min:
            raise BadInput("lot_max", f"{self.lot_max} is below lot_min {self.lot_min}")
        if self.calculation_mode not in ("forex", "cfd"):
            raise BadInput("calculation_mode", f"{self.calculation_mode!r} is not known; use 'forex' or 'cfd'")

    @property
    def point(self) -> float:
        """Smallest price difference."""
        return float(10.0**-self.digits)

    @property
    def points_per_pip(self) -> float:
        """Points in one pip: 10 where the broker quotes a fractional pip."""
        return round(self.pip_size / self.point, 6)

    @property
    def tick_size(self) -> float:
        """Smallest price change; equal to the point for currency pairs."""
        return self.point

    def tick_value(self, rate: float) -> float:
        """Value of one tick of one lot, in account currency, at `rate` account units per unit of profit currency."""
        return self.tick_size * self.contract_size * rate

    def pip_value(self, rate: float) -> float:
        """Value of one pip of one lot, in account currency, at `rate` account units per unit of profit currency."""
        return self.pip_size * self.contract_size * rate

    def pips(self, price_difference: float) -> float:
        """A price difference, in pips."""
        return price_difference / self.pip_size

    def profit(self, side: int, lots: float, entry: float, exit_price: float, rate: float) -> float:
        """Profit of a round trip before costs, in account currency.

        Parameters
        ----------
        side : int
            +1 long, −1 short.
        lots : float
            Size, in lots.
        entry, exit_price : float
            Prices in profit currency per unit of base currency.
        rate : float
            Account units per unit of profit currency, at the exit.
        """
        return side * lots * self.contract_size * (exit_price - entry) * rate

    def round_price(self, price: float) -> float:
        """The price, rounded to the instrument's digits."""
        return round(price, self.digits)

    def price_text(self, price: float) -> str:
        """The price with exactly the instrument's digits, as MetaTrader prints it."""
        return f"{price:.{self.digits}f}"

    def round_prices(self, prices: NDArray[np.float64]) -> NDArray[np.float64]:
        """Prices, shape (n,), rounded to the instrument's digits; NaN stays NaN."""
        return np.round(prices, self.digits)

    def lots_down(self, lots: float) -> float:
        """The largest accepted size that does not exceed `lots`; 0.0 below the smallest one."""
        steps = math.floor(min(lots, self.lot_max) / self.lot_step * (1.0 + 1e-9))
        accepted = round(steps * self.lot_step, 8)
        return accepted if accepted >= self.lot_min - 1e-12 else 0.0

    def at_broker(self, broker_symbol: str) -> Instrument:
        """The same instrument under the broker's own name."""
        return replace(self, broker_symbol=broker_symbol)


def _pair(symbol: str, digits: int = 5) -> Instrument:
    return Instrument(symbol, symbol, symbol[:3], symbol[3:], digits, 0.01 if symbol.endswith("JPY") else 0.0001)


def _index(symbol: str, currency: str) -> Instrument:
    return Instrument(symbol, symbol, symbol, currency, 2, 1.0, contract_size=1.0, calculation_mode="cfd")


# The majors and their crosses in the market's own order, then pairs with the dollar and the euro.
_MAJORS = ["EUR", "GBP", "AUD", "NZD", "USD", "CAD", "CHF", "JPY"]
_CROSSES = [base + quote for place, base in enumerate(_MAJORS) for quote in _MAJORS[place + 1 :]]
_OTHERS = "USDSEK USDNOK USDDKK USDPLN USDHUF USDCZK USDMXN USDZAR USDTRY USDSGD USDHKD USDCNH EURSEK EURNOK EURDKK EURPLN EURHUF EURCZK EURTRY"
_INDICES = {"US30": "USD", "US500": "USD", "USTEC": "USD", "DE40": "EUR", "UK100": "GBP", "JP225": "JPY"}
_KNOWN = {
    **{symbol: _pair(symbol, 3 if symbol.endswith("JPY") else 5) for symbol in (*_CROSSES, *_OTHERS.split())},
    "XAUUSD": Instrument("XAUUSD", "XAUUSD", "XAU", "USD", 2, 0.1, contract_size=100.0),
    "XAGUSD": Instrument("XAGUSD", "XAGUSD", "XAG", "USD", 3, 0.01, contract_size=5_000.0),
    **{symbol: _index(symbol, currency) for symbol, currency in _INDICES.items()},
}


def instrument(symbol: str) -> Instrument:
    """The instrument called `symbol`, with common retail defaults until a broker's own specification replaces them.

    Raises
    ------
    BadInput
        If the symbol is unknown.
    """
    try:
        return _KNOWN[symbol]
    except (KeyError, TypeError):
        raise BadInput("symbol", f"{symbol!r} is unknown; known are {', '.join(sorted(_KNOWN))}") from None


def known_symbols() -> tuple[str, ...]:
    """Symbols of every instrument that the platform knows by itself."""
    return tuple(sorted(_KNOWN))
