"""Bars of a live feed, day by day: from its ticks, with the bars that its terminal posted where ticks may be missing.

A day is the UTC day in which its bars open. It ends where the first tick in order of a later day's bar comes, so between two days no bar is
forming: the number of the last tick and the newest time are all that the next day has to know.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.bridge import BarArrays, BarStore, TickArrays, TickStore, silence_of
from components.fx import PRICE_COLUMNS, Timeframe, bar_open_ms
from components.pipeline.ticks import BarBuilder, frame_of_bars

Mode = Literal["repaired", "ticks", "terminal"]
FROM_TICKS, FROM_TERMINAL = 0, 1
MS_PER_DAY = 86_400_000
PORTION = 100_000
_COLUMNS = (*PRICE_COLUMNS, "volume", "spread_points")


@dataclass(frozen=True)
class Place:
    """A place between two days: number of the last tick before it, and the newest time until then (None before the first tick)."""

    seq: int = 0
    newest_ms: int | None = None


@dataclass(frozen=True)
class TickDay:
    """What the ticks of one day give.

    `bars` is a bars frame of what has closed; `doubtful` are open times of bars that touch a silence, or whose beginning was not seen: ticks
    may be missing in them. `is_closed` says that a tick of a later day has come.
    """

    day: int
    after: Place
    through: Place
    bars: pd.DataFrame = field(repr=False)
    doubtful: frozenset[int]
    ticks: int
    late: int
    duplicates: int
    is_closed: bool
    digest: str


@dataclass(frozen=True)
class Feed:
    """One account's symbol in one timeframe; `point` is the smallest price difference at its broker."""

    ticks: TickStore
    posted: BarStore
    account_id: str
    symbol: str
    timeframe: Timeframe
    point: float

    def days(self, after: Place, until_seq: int | None = None) -> Iterator[TickDay]:
        """Days of the ticks that follow a place, oldest first, up to the end of a day that is known, or to the newest tick.

        Notes
        -----
        Reads the ticks in portions and holds those of one day.
        """
        held: list[TickArrays] = []
        day, seq, newest_ms = 0, after.seq, after.newest_ms
        while True:
            part = self.ticks.since(self.account_id, self.symbol, seq, PORTION)
            if until_seq is not None:
                part = _slice(part, 0, int(np.searchsorted(part.seq, until_seq, side="right")))
            if not len(part.seq):
                break
            newest = _newest(part.time_ms, newest_ms)
            in_order = part.time_ms >= newest
            # A late tick belongs to the day in which it comes, whatever its time says.
            days = np.maximum.accumulate(np.where(in_order, bar_open_ms(part.time_ms, self.timeframe) // MS_PER_DAY, day))
            cuts = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]
            for start, end in pairwise(cuts):
                if held and days[start] != day:
                    yield (closed := self._day(day, after, held, int(part.seq[start]) - 1))
                    after, held = closed.through, []
                day = int(days[start])
                held.append(_slice(part, start, end))
            seq, newest_ms = int(part.seq[-1]), int(newest[-1])
        if held:
            yield self._day(day, after, held, until_seq)

    def _day(self, day: int, after: Place, parts: list[TickArrays], through_seq: int | None) -> TickDay:
        """A day of its ticks. A closed one reaches up to the number before the next day's first, so that one that is filled in is missed."""
        is_closed = through_seq is not None
        seq, time_ms, bid, ask = (np.concatenate([part[place] for part in parts]) for place in range(4))
        in_order = time_ms >= _newest(time_ms, after.newest_ms)
        times, bids, asks = time_ms[in_order], bid[in_order], ask[in_order]
        builder = BarBuilder(self.timeframe, self.point)
        bars = builder.add(times, bids, asks)
        if is_closed and builder.forming is not None:
            bars.append(builder.forming)
        through = Place(int(seq[-1]) if through_seq is None else through_seq, int(times[-1]) if len(times) else after.newest_ms)
        digest = hashlib.sha256(f"{is_closed} {self.point} {after}".encode())
        for column in (seq, time_ms, bid, ask):
            digest.update(column.tobytes())
        return TickDay(
            day, after, through, frame_of_bars(bars), self._doubtful(times, after, through if is_closed else None), len(seq),
            int((~in_order).sum()), builder.duplicates, is_closed, digest.hexdigest(),
        )  # fmt: skip

    def _doubtful(self, times: NDArray[np.int64], after: Place, through: Place | None) -> frozenset[int]:
        following = self.ticks.since(self.account_id, self.symbol, through.seq, 1).time_ms if through is not None else times[:0]
        first = times[:0] if after.newest_ms is None else np.array([after.newest_ms], dtype=np.int64)
        around = np.concatenate((first, times, following))
        quiet = np.flatnonzero(np.diff(around) > silence_of(self.timeframe))
        touched = bar_open_ms(np.concatenate((around[quiet], around[quiet + 1])), self.timeframe).tolist()
        if after.newest_ms is None and len(times):
            begun = int(bar_open_ms(times[:1], self.timeframe)[0])
            touched += [begun] if begun < times[0] else []
        return frozenset(touched)


def merged_day(found: TickDay | None, posted: BarArrays, mode: Mode, point: float) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The bars of a day, and what there is to say of them.

    Parameters
    ----------
    found : TickDay or None
        None where the day has no ticks.
    posted : BarArrays
        What the terminal posted of that day.
    mode : {"repaired", "ticks", "terminal"}
        ``"repaired"`` takes the bars made of ticks, and the terminal's where there is none, or where ticks may be missing in it and the terminal
        counted more of them.
    point : float

    Returns
    -------
    bars : DataFrame
        A bars frame with ``made_of`` (int64): 0 ticks, 1 the terminal's bar.
    facts : dict
        How many came from where, and how those that both have differ: `differing` in a price by more than half a point, `volume_differing`
        in the number of ticks.
    """
    own = found.bars if found is not None and mode != "terminal" else frame_of_bars([])
    theirs = _frame(posted) if mode != "ticks" else _frame(posted).iloc[:0]
    both = pd.DatetimeIndex(own.index.intersection(theirs.index)).as_unit("ms")
    a, b = own.loc[both], theirs.loc[both]
    apart = (a[list(PRICE_COLUMNS)] - b[list(PRICE_COLUMNS)]).abs().to_numpy().max(axis=1, initial=0.0)
    fuller = (b["volume"] > a["volume"]).to_numpy()
    doubtful = np.isin(both.asi8, sorted(found.doubtful) if found is not None else [])
    taken = both[fuller & doubtful]
    repaired = theirs.loc[~theirs.index.isin(own.index) | theirs.index.isin(taken)]
    kept = own.loc[~own.index.isin(taken)]
    frame = pd.concat((kept.assign(made_of=np.int64(FROM_TICKS)), repaired.assign(made_of=np.int64(FROM_TERMINAL)))).sort_index()
    facts = {
        "from_ticks": len(kept),
        "from_terminal": len(repaired),
        "compared": len(both),
        "differing": int((apart > 0.5 * point).sum()),
        "volume_differing": int((a["volume"] != b["volume"]).sum()),
        "largest_difference_points": round(float(apart.max(initial=0.0)) / point, 3),
        "revised": int((posted.revision > 0).sum()),
    }
    return frame, facts


def digest_of(found: TickDay | None, posted: BarArrays, mode: Mode) -> tuple[str, int]:
    """SHA-256 and number of bytes of what a day is made of: its ticks and posted bars as they are stored."""
    digest = hashlib.sha256(f"{mode} {found.digest if found is not None else ''}".encode())
    for column in posted:
        digest.update(column.tobytes())
    ticks = 0 if found is None else found.ticks
    return digest.hexdigest(), 32 * ticks + sum(column.nbytes for column in posted)


def _frame(posted: BarArrays) -> pd.DataFrame:
    index = pd.DatetimeIndex(pd.to_datetime(posted.open_ms, unit="ms", utc=True)).as_unit("ms").rename("open_time")
    return pd.DataFrame({name: getattr(posted, name) for name in _COLUMNS}, index=index)


def _newest(time_ms: NDArray[np.int64], before_ms: int | None) -> NDArray[np.int64]:
    """The newest time up to each tick."""
    newest = np.maximum.accumulate(time_ms)
    return newest if before_ms is None else np.maximum(newest, before_ms)


def _slice(part: TickArrays, start: int, end: int) -> TickArrays:
    return TickArrays(part.seq[start:end], part.time_ms[start:end], part.bid[start:end], part.ask[start:end])
