"""What the sources that read files have in common: frames of bars and ticks in UTC, what was asked for, and which files need no reading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel

from components.base import now_ms
from components.fx import PRICE_COLUMNS, BadInput, Instrument, Timeframe, instrument
from components.pipeline.sources.source import KnownPiece, Piece, Request
from components.pipeline.sources.text_file import TextFile

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
RAW_TIME = "raw_ms"
DAY_MS = 86_400_000
# Binary noise of a decimal price, such as 1.1881599999999999, is far below this share of it; a finer price is far above.
NOISE = 1e-9
_MAJORS = frozenset(["USD", "EUR", "JPY", "GBP", "CHF", "CAD", "AUD", "NZD"])


def how_to_read(options: BaseModel) -> dict[str, Any]:
    """What besides the file decides the rows of its piece; a piece that was read otherwise is read again."""
    return {name: value for name, value in options.model_dump(mode="json").items() if name != "path"}


def what_was_asked(request: Request, options: BaseModel) -> dict[str, Any]:
    """`how_to_read` with the bounds of the request, for a source that reads no further than them."""
    return {**how_to_read(options), "start_ms": request.start_ms, "end_ms": request.end_ms}


def is_unchanged(known: Mapping[str, KnownPiece], key: str, sha256: str, asked: dict[str, Any]) -> bool:
    """Whether a piece is kept already, of the same bytes and for the same request."""
    held = known.get(key)
    return held is not None and held.is_final and held.raw_sha256 == sha256 and held.facts.get("asked") == asked


def piece_of(file: TextFile, key: str, frame: pd.DataFrame, facts: dict[str, Any]) -> Piece:
    """The piece of a file that has been read: all of its rows, whatever the bounds of the request, since one piece serves every request."""
    return Piece(key, str(file.path), frame, file.sha256, len(file.raw), now_ms(), facts=facts)


def bars_frame(open_ms: Ints, numbers: Mapping[str, Floats], raw_ms: Ints | None = None) -> pd.DataFrame:
    """Bars as delivered, not validated: UTC open times, the columns of a bars frame that are known, and the file's own time as ``raw_ms``.

    Parameters
    ----------
    open_ms : int64, shape (n,)
        Epoch milliseconds UTC.
    numbers : mapping of float64, shape (n,)
        ``open high low close`` and, where known, ``volume`` and ``spread_points``; others are left out.
    raw_ms : int64, shape (n,), optional
        Milliseconds since 1970 as the broker's clock showed them.
    """
    columns: dict[str, Any] = {name: numbers[name] for name in (*PRICE_COLUMNS, "volume", "spread_points") if name in numbers}
    if raw_ms is not None:
        columns[RAW_TIME] = raw_ms
    return pd.DataFrame(columns, index=_index(open_ms, "open_time"))


def ticks_frame(time_ms: Ints, bid: Floats, ask: Floats, raw_ms: Ints | None = None) -> tuple[pd.DataFrame, dict[str, int]]:
    """Ticks in UTC, and how many were left out: a side that is no price, or an ask below its bid, is no quote.

    Parameters
    ----------
    time_ms : int64, shape (n,)
        Epoch milliseconds UTC.
    bid, ask : float64, shape (n,)
    raw_ms : int64, shape (n,), optional
        Milliseconds since 1970 as the broker's clock showed them.
    """
    with np.errstate(invalid="ignore"):
        is_price = np.isfinite(bid) & np.isfinite(ask) & (bid > 0) & (ask > 0)
        is_crossed = is_price & (ask < bid)
    kept = is_price & ~is_crossed
    columns: dict[str, Any] = {"bid": bid[kept], "ask": ask[kept]}
    if raw_ms is not None:
        columns[RAW_TIME] = raw_ms[kept]
    counts = {"no_price": int((~is_price).sum()), "crossed": int(is_crossed.sum())}
    return pd.DataFrame(columns, index=_index(time_ms[kept], "time")), {name: count for name, count in counts.items() if count}


def within(frame: pd.DataFrame, request: Request) -> pd.DataFrame:
    """The rows from ``start_ms`` on and before ``end_ms``."""
    if request.start_ms is None and request.end_ms is None:
        return frame
    times = pd.DatetimeIndex(frame.index).as_unit("ms").asi8
    inside = np.ones(len(frame), dtype=np.bool_)
    if request.start_ms is not None:
        inside &= times >= request.start_ms
    if request.end_ms is not None:
        inside &= times < request.end_ms
    return frame.loc[inside]


def without_noise(numbers: Mapping[str, Floats], symbol: str) -> tuple[dict[str, Floats], int]:
    """Prices as the decimals that they were meant to be, and how many of them changed.

    1.1881599999999999 becomes 1.18816. A price that has more decimals than the symbol is left as it is.
    """
    digits = digits_of(numbers, symbol)
    rounded, changed = dict(numbers), 0
    for name in (*PRICE_COLUMNS, "bid", "ask"):
        if name not in numbers:
            continue
        values = numbers[name]
        near = np.round(values, digits)
        is_noise = (near != values) & (np.abs(near - values) <= NOISE * np.abs(values))
        changed += int(is_noise.sum())
        rounded[name] = np.where(is_noise, near, values) if is_noise.any() else values
    return rounded, changed


def forward_filled(values: Floats) -> Floats:
    """Each blank (NaN) with the last value before it, shape (n,) to (n,); blanks before the first value stay. Row t uses rows up to t."""
    last = np.where(np.isnan(values), 0, np.arange(len(values)))
    return values[np.maximum.accumulate(last)] if len(values) else values


def trading_open_ms(raw_ms: Ints, timeframe: Timeframe) -> Ints:
    """When bars of MetaTrader begin, by the broker's clock, shape (n,) to (n,): it names a week by its Sunday's midnight, and trading begins on Monday's."""
    if timeframe is not Timeframe.W1:
        return raw_ms
    # 1970-01-01 was a Thursday, so day 3 and every seventh after it is a Sunday.
    return np.where(raw_ms // DAY_MS % 7 == 3, raw_ms + DAY_MS, raw_ms)


def timeframe_of(raw_ms: Ints) -> Timeframe | None:
    """The timeframe whose length is the commonest step between bars; None where there is none, or fewer than two steps."""
    steps = np.diff(np.unique(raw_ms))
    if len(steps) < 2:
        return None
    lengths, counts = np.unique(steps, return_counts=True)
    commonest = int(lengths[np.argmax(counts)])
    return next((one for one in Timeframe if one.ms == commonest), None)


def refuse_other_symbol(prices: Floats, symbol: str, name: str) -> None:
    """`BadInput` where prices cannot be those of a pair of the eight great currencies: a yen pair read as another, or gold."""
    pair = known_instrument(symbol)
    if pair is None or not {pair.base_currency, pair.profit_currency} <= _MAJORS or not len(prices):
        return
    typical = float(np.median(prices))
    # Every pair of these currencies has cost between 3,000 and 35,000 of its pips since 1987; a yen pair taken for another is far outside.
    if not 2_000 <= pair.pips(typical) <= 50_000:
        raise BadInput("symbol", f"{name} has prices of about {typical:g}, which are not those of {symbol}; name the symbol that it holds")


def known_instrument(symbol: str) -> Instrument | None:
    """The instrument of that name, None where the platform does not know it."""
    try:
        return instrument(symbol)
    except BadInput:
        return None


def digits_of(numbers: Mapping[str, Floats], symbol: str) -> int:
    """The symbol's digits; of an unknown symbol the fewest with which nearly every price agrees."""
    pair = known_instrument(symbol)
    if pair is not None:
        return pair.digits
    prices = next((numbers[name] for name in ("close", "bid") if name in numbers), np.zeros(0))
    for digits in range(7):
        if not len(prices) or (np.abs(np.round(prices, digits) - prices) <= NOISE * np.abs(prices)).mean() > 0.99:
            return digits
    return 8


def _index(time_ms: Ints, name: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(np.ascontiguousarray(time_ms, dtype=np.int64).view("M8[ms]")).tz_localize("UTC").rename(name)
