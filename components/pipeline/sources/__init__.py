"""Where prices, rates and news come from, one module a source. A module is imported when its source is first used."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from components.fx import BadInput, Timeframe, Unavailable
from components.pipeline.sources.source import Request, Source, SourceContext

# Name → module and class. Only what is asked for is imported: some sources need heavy packages.
_SOURCES = {
    "sample": ("sample", "Sample"),
    "histdata": ("histdata", "HistData"),
    "mt5_csv": ("mt5_csv", "Mt5Csv"),
    "mt5_terminal": ("mt5_terminal", "Mt5Terminal"),
    "folder": ("folder", "Folder"),
    "live": ("live", "Live"),
    "ecb": ("ecb", "Ecb"),
    "yfinance": ("yahoo", "Yfinance"),
    "gdelt": ("gdelt", "Gdelt"),
    "gdelt_events": ("gdelt_events", "GdeltEvents"),
}


def source_named(name: str) -> Source:
    """The source of that name; `BadInput` where there is none."""
    if name not in _SOURCES:
        raise BadInput("source", f"{name!r} is unknown; known are {', '.join(_SOURCES)}")
    module, kind = _SOURCES[name]
    source: Source = getattr(import_module(f"components.pipeline.sources.{module}"), kind)()
    return source


def source_names() -> tuple[str, ...]:
    """Names of every source that this installation knows, without importing them."""
    return tuple(_SOURCES)


def sources() -> tuple[Source, ...]:
    """Every source that this installation knows."""
    return tuple(source_named(name) for name in _SOURCES)


def fetch_bars(source: str, symbol: str, timeframe: Timeframe) -> pd.DataFrame:
    """Bars of a symbol straight from a source, kept nowhere: aware UTC index, lower-case columns, not yet validated.

    Raises
    ------
    BadInput
        If there is no such source, or it does not hold that symbol and timeframe.
    Unavailable
        If the source cannot be read now.
    """
    found = source_named(source)
    with TemporaryDirectory() as folder:
        pieces = found.pieces(Request(symbol, timeframe.name), {}, SourceContext(Path(folder)))
        frames = [piece.frame for piece in pieces]
    if not frames:
        raise Unavailable(f"source {source!r} gave nothing for {symbol} {timeframe.name}; try again later")
    return pd.concat(frames) if len(frames) > 1 else frames[0]
