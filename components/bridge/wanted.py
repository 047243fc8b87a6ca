"""Which bars a terminal is asked for: those of silences in its ticks, and those from before its first tick that somebody wished for.

Stretches of time are int64 arrays of shape (n, 2): from and to (excluded), epoch milliseconds UTC.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.fx import Timeframe, bar_close_ms, bar_open_ms

BARS_AT_ONCE = 5_000
STRETCHES_AT_ONCE = 20
LONG_SILENCE_MS = 5 * 60_000
Stretches = NDArray[np.int64]
NO_STRETCHES: Stretches = np.empty((0, 2), dtype=np.int64)


@dataclass(frozen=True)
class Stretch:
    """Bars that open in [`from_ms`, `to_ms`), epoch milliseconds UTC; `to_ms` is the open of the bar behind the last."""

    timeframe: str
    from_ms: int
    to_ms: int


def silence_of(timeframe: Timeframe) -> int:
    """The silence in milliseconds after which a bar that it touches may lack ticks: as long as the bar, and at most five minutes."""
    return min(timeframe.ms, LONG_SILENCE_MS)


def missing_stretches(timeframe: Timeframe, quiet: Stretches, first_ms: int | None, until_ms: int, wished_ms: int | None) -> Stretches:
    """Stretches of bars in which ticks may be missing, and of those wished for from before the first tick, united; what is known is in them too.

    Parameters
    ----------
    timeframe : Timeframe
    quiet : int64, shape (n, 2)
        Silences that are long enough: times of the ticks before and after each.
    first_ms : int or None
        Time of the feed's first tick; the bar that it falls into is asked for unless it is its very beginning. None before the first tick.
    until_ms : int
        Where the market stands: bars that close later are forming.
    wished_ms : int or None
        From when on bars are wished for that lie before the first tick.
    """
    wanted = [quiet]
    if first_ms is not None and bar_open_ms([first_ms], timeframe)[0] < first_ms:
        wanted.append(np.array([[first_ms, first_ms]], dtype=np.int64))
    before = until_ms if first_ms is None else first_ms
    if wished_ms is not None and wished_ms < before:
        # The bar that holds the instant itself is either seen from its beginning, or asked for above, or forming.
        wanted.append(np.array([[wished_ms, bar_open_ms([before], timeframe)[0] - 1]], dtype=np.int64))
    instants = np.concatenate(wanted)
    stretches = np.column_stack((bar_open_ms(instants[:, 0], timeframe), bar_close_ms(bar_open_ms(instants[:, 1], timeframe), timeframe)))
    return united(np.minimum(stretches, int(bar_open_ms([until_ms], timeframe)[0])))


def in_posts(timeframe: Timeframe, stretches: Stretches) -> list[Stretch]:
    """The newest of united stretches, newest first, in pieces of which each fits into one post."""
    found: list[Stretch] = []
    for start, end in stretches[::-1].tolist():
        while end > start and len(found) < STRETCHES_AT_ONCE:
            first = max(start, timeframe.open_ms(end - BARS_AT_ONCE * timeframe.ms))
            found.append(Stretch(timeframe.name, first, end))
            end = first
    return found


def united(stretches: Stretches) -> Stretches:
    """The same stretches in order, those that touch as one, without empty ones."""
    stretches = stretches[stretches[:, 1] > stretches[:, 0]]
    if not len(stretches):
        return NO_STRETCHES
    stretches = stretches[np.argsort(stretches[:, 0], kind="stable")]
    reached = np.maximum.accumulate(stretches[:, 1])
    begins = np.concatenate(([True], stretches[1:, 0] > reached[:-1]))
    ends = np.append(np.flatnonzero(begins)[1:] - 1, len(stretches) - 1)
    return np.column_stack((stretches[begins, 0], reached[ends]))


def less(stretches: Stretches, taken: Stretches) -> Stretches:
    """What is left of united stretches without others."""
    taken = united(taken)
    left = []
    for start, end in stretches.tolist():
        place = int(np.searchsorted(taken[:, 1], start, side="right"))
        while place < len(taken) and taken[place, 0] < end:
            left.append((start, int(taken[place, 0])))
            start = int(taken[place, 1])
            place += 1
        left.append((start, end))
    found = np.array(left, dtype=np.int64).reshape(-1, 2)
    return found[found[:, 1] > found[:, 0]]
