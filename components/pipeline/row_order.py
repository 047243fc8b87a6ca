"""Which rows of a delivery are taken and which are not: order, repeats, impossible values. Decided row by row, the first that came wins."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

REMEMBERED = 20_000
TAKEN, BAD_TIME, BAD_OHLC, REPEATED, CONFLICTING, LATE = range(6)
REASONS = ("", "no believable time", "impossible price or volume", "repeats a bar", "contradicts a bar of the same time", "comes after a later bar")


@dataclass
class RowOrder:
    """Takes rows that come after all that were taken before, and says why it leaves the others.

    Remembered are the last time and the last 20,000 rows, to tell a repeated bar from a late one.
    """

    last_ms: int | None = None
    _times: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    _prices: Floats = field(default_factory=lambda: np.zeros((0, 4)))

    def judge(self, open_ms: Ints, prices: tuple[Floats, Floats, Floats, Floats], has_time: Flags, is_possible: Flags) -> NDArray[np.int8] | None:
        """One of the codes above for each row, shape (n,); None where every row is taken (the usual case).

        Rows that step back are judged so that the fewest are left out: one row that is dated ahead does not cost all that follow it in the
        same block. A row dated ahead that ends a block is believed.
        """
        if not len(open_ms):
            return None
        is_later = self.last_ms is None or int(open_ms[0]) > self.last_ms
        if is_later and has_time.all() and is_possible.all() and bool((open_ms[1:] > open_ms[:-1]).all()):
            self._append(open_ms[-REMEMBERED:], tuple(column[-REMEMBERED:] for column in prices))
            self._trim()
            return None
        codes = np.full(len(open_ms), TAKEN, dtype=np.int8)
        codes[~is_possible] = BAD_OHLC
        codes[~has_time] = BAD_TIME
        candidates = np.flatnonzero(codes == TAKEN)
        times = open_ms[candidates]
        kept = np.zeros(len(times), dtype=bool)
        fresh = np.flatnonzero(times > self.last_ms) if self.last_ms is not None else np.arange(len(times))
        kept[fresh[_in_order(times[fresh])]] = True
        taken = candidates[kept]
        left = candidates[~kept]
        # Trimmed only afterwards, so that a repeat inside a long block is seen as one.
        self._append(open_ms[taken], tuple(column[taken] for column in prices))
        codes[left] = self._why(open_ms[left], np.column_stack([column[left] for column in prices]))
        self._trim()
        return codes

    def _why(self, times: Ints, prices: Floats) -> NDArray[np.int8]:
        place = np.minimum(np.searchsorted(self._times, times), max(len(self._times) - 1, 0))
        if not len(self._times):
            return np.full(len(times), LATE, dtype=np.int8)
        is_known = self._times[place] == times
        is_same = (self._prices[place] == prices).all(axis=1)
        return np.where(is_known, np.where(is_same, REPEATED, CONFLICTING), LATE).astype(np.int8)

    def _append(self, times: Ints, prices: tuple[Floats, ...]) -> None:
        if len(times):
            self.last_ms = int(times[-1])
            self._times = np.concatenate((self._times, times))
            self._prices = np.concatenate((self._prices, np.column_stack(prices)))

    def _trim(self) -> None:
        if len(self._times) > REMEMBERED:
            # Copied, so that the rows before are let go.
            self._times, self._prices = self._times[-REMEMBERED:].copy(), self._prices[-REMEMBERED:].copy()


def _in_order(times: Ints) -> Ints:
    """Places of a longest strictly increasing part of the times, shape (n,) to (m,); of several the one whose rows came first.

    Rows that no other row disputes are in every such part; only the rest is searched (patience sorting).
    """
    if not len(times):
        return np.zeros(0, dtype=np.int64)
    highest = np.maximum.accumulate(times)
    lowest = np.minimum.accumulate(times[::-1])[::-1]
    clear = np.ones(len(times), dtype=bool)
    clear[1:] &= times[1:] > highest[:-1]
    clear[:-1] &= times[:-1] < lowest[1:]
    disputed = np.flatnonzero(~clear)
    if not len(disputed):
        return np.arange(len(times))
    kept = clear.copy()
    kept[disputed[_longest_increasing(times[disputed].tolist())]] = True
    return np.flatnonzero(kept)


def _longest_increasing(values: list[int]) -> list[int]:
    """Places of a longest strictly increasing part. Read backwards with signs turned, ties fall to the rows that came first."""
    turned = [-value for value in reversed(values)]
    tails: list[int] = []
    tail_places: list[int] = []
    before: list[int] = []
    for place, value in enumerate(turned):
        pile = bisect_left(tails, value)
        before.append(tail_places[pile - 1] if pile else -1)
        if pile == len(tails):
            tails.append(value)
            tail_places.append(place)
        else:
            tails[pile], tail_places[pile] = value, place
    places: list[int] = []
    place = tail_places[-1] if tail_places else -1
    while place >= 0:
        places.append(len(values) - 1 - place)
        place = before[place]
    return places
