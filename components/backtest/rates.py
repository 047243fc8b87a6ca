"""Conversion of profit into the account's currency, row by row, from prices that were known before the row."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.fx import BadInput, Instrument

Floats = NDArray[np.float64]
STALE_MS = 7 * 86_400_000


def rates_for(instrument: Instrument, currency: str, bars: pd.DataFrame, conversion: Mapping[str, pd.DataFrame] | None = None) -> Floats | float:
    """Account units per unit of the instrument's profit currency, known at the open of each row.

    Parameters
    ----------
    instrument : Instrument
    currency : str
        The account's currency.
    bars : DataFrame, shape (n, ≥ 4)
        The instrument's own bars; they convert where its base currency is the account's.
    conversion : mapping of str to DataFrame, optional
        Bars of other pairs by symbol.

    Returns
    -------
    float or ndarray, shape (n,)
        1.0 where the currencies are equal; else, at row t, the last close that was known when row t opened (the pair's own open where
        nothing was known before), through the pair, its inverse, or one third currency, as `fx.conversion_rate` finds its path.

    Raises
    ------
    BadInput
        If no bars lead from one currency to the other, or they have a hole of more than seven days. A missing rate is never taken as 1.
    """
    source = instrument.profit_currency
    if source == currency:
        return 1.0
    frames = {**(conversion or {}), instrument.symbol: bars}
    for path in _paths(source, currency, frames):
        rate = np.ones(len(bars))
        for symbol, invert in path:
            price = _known_before(symbol, frames[symbol], pd.DatetimeIndex(bars.index))
            rate = rate / price if invert else rate * price
        return rate
    raise BadInput(
        "conversion",
        f"profit of {instrument.symbol} is in {source}, the account in {currency}; give bars of {source}{currency} or {currency}{source}",
    )


def _paths(source: str, target: str, symbols: Mapping[str, object]) -> list[list[tuple[str, bool]]]:
    direct = _direct(source, target, symbols)
    if direct:
        return [[direct]]
    found = []
    for middle in sorted({code for symbol in symbols for code in (symbol[:3], symbol[3:])}):
        first, second = _direct(source, middle, symbols), _direct(middle, target, symbols)
        if first and second:
            found.append([first, second])
    return found


def _direct(source: str, target: str, symbols: Mapping[str, object]) -> tuple[str, bool] | None:
    if source + target in symbols:
        return source + target, False
    return (target + source, True) if target + source in symbols else None


def _known_before(symbol: str, frame: pd.DataFrame, opens: pd.DatetimeIndex) -> Floats:
    """The last price of `frame` that was known at each instant of `opens`, shape (n,)."""
    times = pd.DatetimeIndex(frame.index).as_unit("ms").asi8
    if len(times) == 0:
        raise BadInput("conversion", f"the bars of {symbol} are empty")
    opens_ms = opens.as_unit("ms").asi8
    length = int(np.diff(times).min()) if len(times) > 1 else 0
    last = np.searchsorted(times + length, opens_ms, side="right") - 1
    is_known = last >= 0
    last = np.maximum(last, 0)
    # Before the first close, the first open is known from its own instant on.
    known = np.where(is_known, frame["close"].to_numpy(dtype=np.float64)[last], float(frame["open"].iloc[0]))
    age = opens_ms - times[last] - np.where(is_known, length, 0)
    missing = (age < 0) | (age > STALE_MS)
    if missing.any():
        row = int(np.argmax(missing))
        raise BadInput("conversion", f"no price of {symbol} was known at {opens[row].isoformat()} (row {row}); give bars of it that cover the run")
    return known
