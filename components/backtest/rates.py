"""Conversion of profit into the account's currency, row by row, from prices that were known before the row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.fx import BadInput, Instrument, from_ms

if TYPE_CHECKING:
    from components.pipeline import ReferenceRates

Floats = NDArray[np.float64]
# Read only when no price leads to the account's currency: the rates are a file of their own.
Reference = Callable[[], "ReferenceRates"]
STALE_MS = 7 * 86_400_000
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Conversion:
    """How profit becomes account currency.

    Parameters
    ----------
    rate : float or float64 array, shape (n,)
        Account units for one unit of the profit currency, known at the open of each row.
    facts : dict
        Plain JSON for people: ``by`` (same currency, own price, bars, ECB reference rates), ``through`` (the symbols), and of reference
        rates the number of rows that they convert, the age of the oldest in hours, its day, and where the rates came from.
    """

    rate: Floats | float
    facts: dict[str, Any]


def rates_for(
    instrument: Instrument,
    currency: str,
    bars: pd.DataFrame,
    conversion: Mapping[str, pd.DataFrame] | None = None,
    reference: Reference | None = None,
) -> Floats | float:
    """Account units per unit of the instrument's profit currency, known at the open of each row; see `conversion_for`."""
    return conversion_for(instrument, currency, bars, conversion, reference).rate


def conversion_for(
    instrument: Instrument,
    currency: str,
    bars: pd.DataFrame,
    conversion: Mapping[str, pd.DataFrame] | None = None,
    reference: Reference | None = None,
) -> Conversion:
    """Account units per unit of the instrument's profit currency, and where they are from.

    Parameters
    ----------
    instrument : Instrument
    currency : str
        The account's currency.
    bars : DataFrame, shape (n, ≥ 4)
        The instrument's own bars; they convert where its base currency is the account's.
    conversion : mapping of str to DataFrame, optional
        Bars of other pairs by symbol.
    reference : callable, optional
        Gives the ECB's reference rates, which convert the rows for which no price was known.

    Returns
    -------
    Conversion
        1.0 where the currencies are equal; else, at row t, the last close that was known when row t opened (the pair's own open where
        nothing was known before), through the pair, its inverse, or one third currency, as `fx.conversion_rate` finds its path; and where
        there is no such price, the previous fix of the ECB.

    Raises
    ------
    BadInput
        If neither bars nor reference rates lead from one currency to the other, or both have a hole of more than seven days. A missing rate
        is never taken as 1.
    """
    source = instrument.profit_currency
    if source == currency:
        return Conversion(1.0, {"by": "same currency", "through": []})
    frames = {**(conversion or {}), instrument.symbol: bars}
    opens = pd.DatetimeIndex(bars.index)
    for path in _paths(source, currency, frames):
        rate = np.ones(len(bars))
        for symbol, invert in path:
            price = _known_before(symbol, frames[symbol], opens, is_strict=reference is None)
            rate = rate / price if invert else rate * price
        through = [symbol for symbol, _ in path]
        facts: dict[str, Any] = {"by": "own price" if through == [instrument.symbol] else "bars", "through": through}
        unknown = np.isnan(rate)
        if reference is not None and unknown.any():
            rate[unknown], more = _reference_rates(reference(), source, currency, opens[unknown])
            facts |= {"by": f"{facts['by']} and ECB reference rates", **more}
        return Conversion(rate, facts)
    if reference is not None:
        rate, more = _reference_rates(reference(), source, currency, opens)
        return Conversion(rate, {"by": "ECB reference rates", "through": [], **more})
    raise BadInput(
        "conversion",
        f"profit of {instrument.symbol} is in {source}, the account in {currency}; give bars of {source}{currency} or {currency}{source}",
    )


def _reference_rates(rates: ReferenceRates, source: str, currency: str, opens: pd.DatetimeIndex) -> tuple[Floats, dict[str, Any]]:
    """The previous fix before each instant, shape (n,), and how old the oldest was."""
    opens_ms = opens.as_unit("ms").asi8
    try:
        rate, fixed_ms = rates.rate(source, currency, opens_ms, stale_days=STALE_MS / 86_400_000)
    except BadInput as error:
        why = error.message.removeprefix(f"{error.field}: ")
        raise BadInput("conversion", f"{why}; give bars of {source}{currency} or {currency}{source} that cover the run") from None
    age_ms = opens_ms - fixed_ms
    oldest = int(np.argmax(age_ms))
    return rate, {
        "reference_rows": len(rate),
        "reference_oldest_hours": round(int(age_ms[oldest]) / HOUR_MS, 2),
        "reference_oldest_fix": f"{from_ms(int(fixed_ms[oldest])):%Y-%m-%d}",
        "reference_origin": rates.origin,
    }


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


def _known_before(symbol: str, frame: pd.DataFrame, opens: pd.DatetimeIndex, *, is_strict: bool) -> Floats:
    """The last price of `frame` that was known at each instant of `opens`, shape (n,); where none was, an error, or NaN if not `is_strict`."""
    times = pd.DatetimeIndex(frame.index).as_unit("ms").asi8
    if len(times) == 0:
        if not is_strict:
            return np.full(len(opens), np.nan)
        raise BadInput("conversion", f"the bars of {symbol} are empty")
    opens_ms = opens.as_unit("ms").asi8
    # One bar alone does not tell its length, so that its close is never taken for known.
    length = int(np.diff(times).min()) if len(times) > 1 else STALE_MS
    last = np.searchsorted(times + length, opens_ms, side="right") - 1
    is_known = last >= 0
    last = np.maximum(last, 0)
    # Before the first close, the first open is known from its own instant on.
    known = np.where(is_known, frame["close"].to_numpy(dtype=np.float64)[last], float(frame["open"].iloc[0]))
    age = opens_ms - times[last] - np.where(is_known, length, 0)
    missing = (age < 0) | (age > STALE_MS)
    if missing.any() and is_strict:
        row = int(np.argmax(missing))
        raise BadInput("conversion", f"no price of {symbol} was known at {opens[row].isoformat()} (row {row}); give bars of it that cover the run")
    return np.where(missing, np.nan, known)
