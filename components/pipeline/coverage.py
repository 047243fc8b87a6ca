"""Which months of which symbol are there, and how full they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.fx import Timeframe
from components.pipeline.calendar import Calendar, infer_breaks
from components.pipeline.recipe import BarSet
from components.pipeline.store import PipelineStore


@dataclass(frozen=True)
class Coverage:
    """One calendar month (UTC) of a bar set: `month_ms` is its first instant, `bars` how many there are, `expected` how many there should be.

    Expected bars are counted between the first and the last bar of the set only: a set that begins in mid-month is not missing its beginning.
    Pauses that the symbol's own bars show, as an index has them every night, are not expected.
    """

    bar_set_id: str
    source: str
    symbol: str
    timeframe: str
    month_ms: int
    bars: int
    expected: int

    @property
    def share(self) -> float:
        """Share of the expected bars that are there, 0 to 1."""
        return min(1.0, self.bars / self.expected) if self.expected else 0.0


def coverage(home: Path, bar_sets: list[BarSet] | None = None, calendar: Calendar | None = None) -> list[Coverage]:
    """Months of every bar set (or of those given), in order of symbol, timeframe and time.

    Raises
    ------
    NotFound, Corrupt
        If a file is gone or is not what was written.
    """
    store = PipelineStore.open(home)
    try:
        found = []
        for one in sorted(bar_sets if bar_sets is not None else store.bar_sets(), key=lambda kept: (kept.symbol, kept.timeframe, kept.source)):
            open_ms = pd.DatetimeIndex(store.load_bars(one.id).index).as_unit("ms").asi8
            timeframe = Timeframe.named(one.timeframe)
            known = calendar or Calendar().with_breaks(infer_breaks(open_ms, timeframe, symbol=one.symbol))
            for month_ms, bars, expected in monthly(open_ms, timeframe, known):
                found.append(Coverage(one.id, one.source, one.symbol, one.timeframe, month_ms, bars, expected))
        return found
    finally:
        store.close()


def monthly(open_ms: NDArray[np.int64], timeframe: Timeframe, calendar: Calendar) -> list[tuple[int, int, int]]:
    """Start of each month (epoch milliseconds UTC), bars in it, bars expected in it; open times of shape (n,), increasing."""
    if not len(open_ms):
        return []
    expected = calendar.expected_open_ms(int(open_ms[0]), int(open_ms[-1]), timeframe)
    # Months as whole numbers: no datetime per row.
    here, should = (times.view("M8[ms]").astype("M8[M]").astype(np.int64) for times in (np.ascontiguousarray(open_ms), expected))
    months = np.arange(here[0], here[-1] + 1)
    counts = [np.bincount(numbers - here[0], minlength=len(months))[: len(months)] for numbers in (here, should)]
    starts = months.astype("M8[M]").astype("M8[ms]").astype(np.int64)
    return [(int(start), int(bars), int(full)) for start, bars, full in zip(starts, *counts, strict=True)]
