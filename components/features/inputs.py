"""What features may need besides the bars themselves: whose bars they are, other symbols' bars, news."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from components.features.formula import Ints
from components.fx import BadInput, Timeframe, instrument, known_symbols

NEWS_COLUMNS = ("bucket_ms", "tone", "volume")


@dataclass(frozen=True)
class FeatureInputs:
    """What compute_features may use besides the bars.

    Parameters
    ----------
    symbol : str
        Whose bars they are; features of a basket, of a triangle and of news need to know.
    others : mapping of str to DataFrame
        Bars frames of other symbols, of the same timeframe as the bars; validated ones. Their bars are used from their close on, and never
        earlier, whatever else the frames hold.
    news : mapping of str to DataFrame
        Per currency, a frame indexed by the instant at which each value was **first seen** (aware, in order), with ``bucket_ms`` (start of the
        span of time that the value speaks of, epoch milliseconds UTC), ``tone`` and ``volume`` (NaN where a source does not say). A bucket
        that was revised has several rows; each one counts from its own first sight on.
    timeframe : Timeframe, optional
        Length of the bars; else it is read off their times, which needs a few of them.
    stale_bars : int
        Bars without news of another symbol after which its last value counts as unknown (NaN).
    stale_hours : float
        The same for a currency's news, in hours since something was last seen.
    """

    symbol: str | None = None
    others: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    news: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    timeframe: Timeframe | None = None
    stale_bars: int = 12
    stale_hours: float = 24.0

    def __post_init__(self) -> None:
        if self.stale_bars < 0:
            raise BadInput("stale_bars", f"{self.stale_bars} is negative; give the bars for which another symbol's last value stands")
        if not self.stale_hours > 0:
            raise BadInput("stale_hours", f"{self.stale_hours} is not positive; give the hours for which the last news stands")

    def other(self, symbol: str, asked_by: str) -> pd.DataFrame:
        """Bars of another symbol.

        Raises
        ------
        BadInput
            If there are none.
        """
        if symbol not in self.others:
            known = ", ".join(sorted(self.others)) or "none"
            raise BadInput("features", f"{asked_by!r} needs the bars of {symbol}; given are those of {known}")
        return self.others[symbol]


def timeframe_of(open_ms: Ints) -> Timeframe:
    """Length of bars from their open times: the longest one that fits into the shortest step and opens where they do; M1 for one bar alone.

    Parameters
    ----------
    open_ms : int64, shape (n,)
        Epoch milliseconds UTC, increasing.
    """
    if len(open_ms) < 2:
        return Timeframe.M1
    step = int(np.diff(open_ms).min())
    hour = Timeframe.H1.ms
    for timeframe in reversed(Timeframe):
        # A day or week in which the clocks go forward is an hour shorter.
        shortest = timeframe.ms - hour if timeframe.ms > Timeframe.H4.ms else timeframe.ms
        if shortest <= step and timeframe.is_aligned(open_ms).all():
            return timeframe
    return Timeframe.M1


def currencies_of(symbol: str | None, asked_by: str) -> tuple[str, str]:
    """Base and quote currency of a pair.

    Raises
    ------
    BadInput
        If no symbol is given, or it is no pair.
    """
    if symbol is None:
        raise BadInput("features", f"{asked_by!r} needs to know whose bars these are; give the symbol with the inputs")
    if symbol in known_symbols():
        pair = instrument(symbol)
        return pair.base_currency, pair.profit_currency
    if len(symbol) == 6 and symbol.isalpha() and symbol.isupper():
        return symbol[:3], symbol[3:]
    raise BadInput("features", f"{asked_by!r} needs a pair of currencies, and {symbol!r} is none")


def news_arrays(news: pd.DataFrame, currency: str) -> tuple[Ints, Ints, dict[str, np.ndarray]]:
    """First-seen times, buckets (epoch milliseconds UTC) and values of a currency's news, each of shape (n,).

    Raises
    ------
    BadInput
        If a column is missing, the index is not of aware times in order, or something was seen before its bucket began.
    """
    place = f"news.{currency}"
    missing = [name for name in NEWS_COLUMNS if name not in news.columns]
    if missing:
        raise BadInput(place, f"column {missing[0]!r} is missing; needed are {', '.join(NEWS_COLUMNS)}")
    index = news.index
    if not isinstance(index, pd.DatetimeIndex) or index.tz is None or index.hasnans:
        raise BadInput(place, "the index is not one of aware instants of first sight")
    seen = np.array(index.as_unit("ms").asi8, dtype=np.int64)
    back = np.flatnonzero(np.diff(seen) < 0)
    if len(back):
        raise BadInput(place, f"row {int(back[0]) + 1} was first seen before the row above it; sort by first sight")
    buckets = np.array(news["bucket_ms"], dtype=np.int64)
    early = np.flatnonzero(seen < buckets)
    if len(early):
        raise BadInput(place, f"row {int(early[0])} was first seen at {index[early[0]].isoformat()}, before its bucket began; are the times UTC?")
    return seen, buckets, {name: np.array(news[name], dtype=np.float64) for name in ("tone", "volume")}
