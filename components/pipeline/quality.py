"""A first quality score: how much of what a source delivered can be believed, with the parts that make it up."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.fx import PRICE_COLUMNS, BadInput, Timeframe
from components.pipeline.calendar import Calendar

# Points lost when every bar has the fault: a wrong price does more harm than a hole, a bar outside the session hardly any.
WEIGHTS = {"missing": 100.0, "duplicates": 300.0, "disorder": 300.0, "bad_ohlc": 1000.0, "spikes": 300.0, "stale": 100.0, "outside": 10.0}
SPIKE_SCALE = 12.0
STALE_RUN = 3
GAPS_KEPT = 100


@dataclass(frozen=True)
class Gap:
    """Expected bars that are missing in a row: open times of the first and last one in epoch milliseconds UTC, and their number."""

    first_ms: int
    last_ms: int
    bars: int


@dataclass(frozen=True)
class Quality:
    """The score of a history and its parts.

    ``score`` is 100 less, for each fault, its weight times the share of bars that have it; never below 0. ``completeness`` is the share
    of expected bars that are there; ``gaps`` the longest holes (at most 100, in order of time), ``gap_count`` all of them. The other
    parts count bars: ``duplicates`` (an open time that was there already), ``disorder`` (earlier than the bar before), ``bad_ohlc``
    (a price that is not positive, or outside low and high), ``spikes`` (a move of 12 typical ones that the next bar takes back by more
    than half), ``stale`` (in runs of 3 or more bars in which nothing moved), ``outside`` (while the market was closed).
    """

    score: float
    rows: int
    expected: int
    completeness: float
    gap_count: int
    gaps: tuple[Gap, ...]
    duplicates: int
    disorder: int
    bad_ohlc: int
    spikes: int
    stale: int
    outside: int

    def as_dict(self) -> dict[str, Any]:
        """The parts as plain values."""
        return asdict(self)


def score_quality(bars: pd.DataFrame, timeframe: Timeframe, calendar: Calendar | None = None) -> Quality:
    """Score a history as a source delivered it, before it is validated.

    Parameters
    ----------
    bars : DataFrame, shape (n, ≥ 4)
        Aware open times, ``open high low close``; times may repeat or run backwards, prices may be wrong.
    timeframe : Timeframe
        Length of the bars.
    calendar : Calendar, optional
        When bars are expected; the FX week by default.

    Returns
    -------
    Quality
        0 to 100; 0 for an empty frame.

    Raises
    ------
    BadInput
        If there is no aware time index or a price column is missing.
    """
    if not isinstance(bars.index, pd.DatetimeIndex) or bars.index.tz is None:
        raise BadInput("bars.open_time", "the index is not a DatetimeIndex with a time zone")
    absent = [name for name in PRICE_COLUMNS if name not in bars.columns]
    if absent:
        raise BadInput("bars", f"column {absent[0]!r} is missing")
    rows = len(bars)
    if rows == 0:
        return Quality(0.0, 0, 0, 0.0, 0, (), 0, 0, 0, 0, 0, 0)
    calendar = calendar or Calendar()
    open_ms = bars.index.tz_convert("UTC").as_unit("ms").asi8
    prices = bars[list(PRICE_COLUMNS)].to_numpy(dtype=np.float64)
    present = np.unique(open_ms)
    expected = calendar.expected_open_ms(int(present[0]), int(present[-1]), timeframe)
    missing = ~np.isin(expected, present)
    gaps = _gaps(expected, missing)
    longest = sorted(sorted(gaps, key=lambda gap: -gap.bars)[:GAPS_KEPT], key=lambda gap: gap.first_ms)
    counts = {
        "duplicates": rows - len(present),
        "disorder": int((np.diff(open_ms) < 0).sum()),
        "bad_ohlc": int(_is_bad(prices).sum()),
        "spikes": int(_is_spike(prices[:, 3]).sum()),
        "stale": int(_is_stale(prices).sum()),
        "outside": int((~np.isin(present, expected)).sum()),
    }
    missing_share = float(missing.mean()) if len(expected) else 0.0
    lost = WEIGHTS["missing"] * missing_share + sum(WEIGHTS[name] * count / rows for name, count in counts.items())
    return Quality(
        score=round(max(0.0, 100.0 - lost), 2),
        rows=rows,
        expected=len(expected),
        completeness=1.0 - missing_share,
        gap_count=len(gaps),
        gaps=tuple(longest),
        **counts,
    )


def _gaps(expected: NDArray[np.int64], missing: NDArray[np.bool_]) -> list[Gap]:
    edges = np.diff(np.concatenate(([0], missing.astype(np.int8), [0])))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return [Gap(int(expected[a]), int(expected[b]), int(b - a + 1)) for a, b in zip(starts, ends, strict=True)]


def _is_bad(prices: NDArray[np.float64]) -> NDArray[np.bool_]:
    opens, highs, lows, closes = prices.T
    outside = (highs < np.maximum(opens, closes)) | (lows > np.minimum(opens, closes)) | (lows > highs)
    return np.asarray(outside | ~(np.isfinite(prices) & (prices > 0)).all(axis=1), dtype=bool)


def _is_spike(close: NDArray[np.float64]) -> NDArray[np.bool_]:
    """A move far beyond the typical one that the next bar takes back by more than half: a misprint, not news."""
    spike = np.zeros(len(close), dtype=bool)
    if len(close) < 3:
        return spike
    with np.errstate(invalid="ignore", divide="ignore"):
        move = np.diff(np.log(close))
    typical = np.nanmedian(np.abs(move)) if np.isfinite(move).any() else 0.0
    there, back = move[:-1], move[1:]
    spike[1:-1] = (np.abs(there) > SPIKE_SCALE * typical) & (there * back < 0) & (np.abs(back) > np.abs(there) / 2) & (typical > 0)
    return spike


def _is_stale(prices: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Bars in runs of at least 3 whose four prices all equal the close before."""
    stale = np.zeros(len(prices), dtype=bool)
    same = np.zeros(len(prices), dtype=np.int8)
    same[1:] = (prices[1:] == prices[:-1, 3:4]).all(axis=1)
    edges = np.diff(np.concatenate(([0], same, [0])))
    for start, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        stale[start:end] = end - start >= STALE_RUN
    return stale
