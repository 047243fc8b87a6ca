"""Where prices come from. Each source gives bars as they were delivered, times converted to UTC, and says what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from components.fx import BadInput, Timeframe, Unavailable


@dataclass(frozen=True)
class Source:
    """A source of bars: what it holds, and what must be known about it."""

    name: str
    holds: tuple[tuple[str, str], ...]
    note: str
    fetch: Callable[[str, Timeframe], pd.DataFrame]


def _sample(symbol: str, timeframe: Timeframe) -> pd.DataFrame:
    # Read from the installed package at run time: it is AGPL, and no copy of it is kept in this repository. Its times carry no zone; they
    # are UTC, which the weekly opens show: 21:00 while New York has summer time, 22:00 from 2017-11-05 on (17:00 New York).
    try:
        from backtesting.test import EURUSD
    except ImportError as error:
        raise Unavailable(f"the sample bars need the package backtesting: {error}") from error
    bars: pd.DataFrame = EURUSD
    return bars.rename(columns=str.lower).tz_localize("UTC")


_SOURCES = {
    "sample": Source(
        "sample",
        (("EURUSD", "H1"),),
        "5,000 real hourly EURUSD bars, April 2017 to February 2018, of the package backtesting (AGPL); bid prices and tick volume, UTC. "
        "No spread is recorded in it: a spread used with it is an assumption about cost, not data.",
        _sample,
    ),
}


def sources() -> tuple[Source, ...]:
    """Every source that this installation can read."""
    return tuple(_SOURCES.values())


def fetch_bars(source: str, symbol: str, timeframe: Timeframe) -> pd.DataFrame:
    """Bars of a symbol as the source delivered them: aware UTC index, lower-case columns, not yet validated.

    Raises
    ------
    BadInput
        If there is no such source, or it does not hold that symbol and timeframe.
    Unavailable
        If the source cannot be read now.
    """
    if source not in _SOURCES:
        raise BadInput("source", f"{source!r} is unknown; known are {', '.join(_SOURCES)}")
    held = _SOURCES[source].holds
    if symbol not in {name for name, _ in held}:
        raise BadInput("symbol", f"source {source!r} has no {symbol!r}; it holds {', '.join(f'{s} {t}' for s, t in held)}")
    if (symbol, timeframe.name) not in held:
        raise BadInput("timeframe", f"source {source!r} has no {symbol} {timeframe.name}; it holds {', '.join(f'{s} {t}' for s, t in held)}")
    return _SOURCES[source].fetch(symbol, timeframe)
