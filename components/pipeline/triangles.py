"""A cross against the two pairs that make it, and what comparisons do to a quality."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd

from components.fx import BadInput
from components.pipeline.cross_check import BASIS_POINT, Closes, CrossCheck, closes_of, compare_closes, open_ms_of, timeframe_of, words_of
from components.pipeline.quality_parts import CROSS_PARTS, Quality, make_part, score_of


def triangular_check(frames: Mapping[str, pd.DataFrame], cross: str | None = None, *, tolerance: float | None = None) -> CrossCheck:
    """Compare a cross with the two pairs that make it: EURJPY against EURUSD × USDJPY.

    Parameters
    ----------
    frames : mapping of symbol to DataFrame
        Bars frames of one timeframe: the cross and its two legs.
    cross : str, optional
        Which of the three is the cross; by default the one without the dollar.
    tolerance : float, optional
        Basis points (hundredths of a percent) that a bar may be off, the median taken out; by default as in `cross_check`.

    Returns
    -------
    CrossCheck
        `shifted_series` is the one of the three that has to be moved in time for the triangle to close, if one has.

    Raises
    ------
    BadInput
        If the three do not make a triangle, or fewer than 30 bars are in all of them.
    """
    legs = _triangle(tuple(frames), cross)
    series = {symbol: _log_closes(frame) for symbol, frame in frames.items()}
    lengths = {one.length.name for one in series.values()}
    if len(lengths) > 1:
        raise BadInput("frames", f"bars of {', '.join(sorted(lengths))} are mixed; give three bar sets of one timeframe")
    checks = []
    # Each of the three in turn against the other two: only the one whose clock is off can be moved into place.
    for symbol in legs:
        others = [other for other in legs if other != symbol]
        made = _product(symbol, others, series)
        name = f"{others[0]} and {others[1]}"
        checks.append(compare_closes(series[symbol], made, "triangle", (symbol, name), "bp", tolerance, is_centred=True))
    told = checks[0]
    moved = [one for one in checks if one.is_shifted]
    if moved:
        # Two of the three moved at once look like the third moved the other way: the best fit has the say.
        best = min(moved, key=lambda one: (one.typical_shifted, one.first != told.first))
        told = replace(told, shift_minutes=best.shift_minutes, typical_shifted=best.typical_shifted, shifted=best.shifted, shifted_series=best.first)
        told = replace(told, words=words_of(told))
    return told


def triangles_among(symbols: Iterable[str]) -> list[tuple[str, str, str]]:
    """Every triangle that can be made of the symbols, the cross first: three pairs of three currencies, each currency in two of them."""
    found = []
    for three in combinations(sorted(symbols), 3):
        currencies = [part for symbol in three for part in (symbol[:3], symbol[3:6])]
        if all(len(symbol) == 6 for symbol in three) and len(set(currencies)) == 3 and all(currencies.count(one) == 2 for one in currencies):
            cross = next((symbol for symbol in three if "USD" not in symbol), three[0])
            found.append((cross, *(symbol for symbol in three if symbol != cross)))
    return [(three[0], three[1], three[2]) for three in found]


def with_cross_checks(quality: Quality, checks: Iterable[CrossCheck]) -> Quality:
    """A quality that knows what comparisons with other bars found; its score falls by the share of bars that differ, and by a shift.

    Parameters
    ----------
    quality : Quality
    checks : iterable of CrossCheck
        Replace those of the same kind and names that it had.

    Returns
    -------
    Quality
        With the parts ``cross`` (the comparison in which most bars differ) and ``shift``; `CROSS_PARTS` has their weights.
    """
    known = {(one["kind"], one["first"], one["second"]): one for one in quality.cross}
    known |= {(one.kind, one.first, one.second): one.as_dict() for one in checks}
    cross = tuple(known[key] for key in sorted(known))
    compared = replace(quality, cross=cross)
    own = [part for part in quality.parts if part.name not in CROSS_PARTS]
    added = []
    if compared.held_against:
        worst = max(compared.held_against, key=lambda one: one["beyond"])
        added.append(replace(make_part("cross", round(worst["beyond"] * worst["overlap"]), worst["overlap"]), examples=(worst["words"],)))
        added.append(make_part("shift", len(compared.shifts), min(len(compared.shifts), 1)))
    lost = sum(part.points for part in added)
    if not own:
        # A quality of before there were parts: only what is new can be taken off.
        before = sum(part.points for part in quality.parts)
        return replace(compared, score=score_of(100.0 - quality.score - before + lost), parts=tuple(added))
    score = score_of(lost + sum(part.points for part in own)) if quality.usable else 0.0
    return replace(compared, score=score, parts=(*own, *added))


def _triangle(symbols: tuple[str, ...], cross: str | None) -> tuple[str, str, str]:
    found = triangles_among(symbols) if len(symbols) == 3 else []
    if not found:
        raise BadInput("frames", f"{', '.join(symbols)} make no triangle: give a cross and the two pairs that make it, as EURJPY, EURUSD and USDJPY")
    if cross is None:
        return found[0]
    if cross not in symbols:
        raise BadInput("cross", f"{cross!r} is not among {', '.join(symbols)}")
    others = [symbol for symbol in sorted(symbols) if symbol != cross]
    return cross, others[0], others[1]


def _product(symbol: str, others: list[str], series: Mapping[str, Closes]) -> Closes:
    """The logarithm of a pair's price made from two others, at the times that both have."""
    base, quote = symbol[:3], symbol[3:6]
    a, b = (series[other] for other in others)
    common, at_a, at_b = np.intersect1d(a.open_ms, b.open_ms, assume_unique=True, return_indices=True)
    value = np.zeros(len(common))
    for other, column in zip(others, (a.value[at_a], b.value[at_b]), strict=True):
        value += column if other[:3] == base or other[3:6] == quote else -column
    return Closes(common, common, value, a.length)


def _log_closes(bars: pd.DataFrame) -> Closes:
    open_ms = open_ms_of(bars)
    return Closes(open_ms, open_ms, np.log(closes_of(bars)) / BASIS_POINT, timeframe_of(open_ms))
