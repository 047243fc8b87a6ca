"""News in buckets of time: windows to ask for, frames of points, and when a value counts as seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from components.fx import from_ms
from components.pipeline.news_store import BUCKET_S, FIRST_SEEN, IS_ASSUMED, times_of

Ints = NDArray[np.int64]
GRID_MS = 15 * 60_000
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Sight:
    """When values were first seen.

    Those whose bucket ended at most `live_ms` before they were fetched: when they were fetched. Older ones, fetched as history: `delay_ms` after
    their bucket's end, which is an assumption and marked as one.
    """

    fetched_ms: int
    live_ms: int
    delay_ms: int

    def first_seen(self, end_ms: Ints) -> tuple[Ints, NDArray[np.int8]]:
        """First sight of values whose buckets ended at `end_ms`, and 1 where it is assumed; epoch milliseconds UTC, shape (n,) to (n,)."""
        is_assumed = self.fetched_ms - end_ms > self.live_ms
        return np.where(is_assumed, end_ms + self.delay_ms, self.fetched_ms), is_assumed.astype(np.int8)


def windows(start_ms: int, end_ms: int, length_ms: int) -> Iterator[tuple[int, int]]:
    """Stretches of one length on a fixed grid from the epoch that cover the time from `start_ms` to before `end_ms`, oldest first."""
    first = start_ms - start_ms % length_ms
    for start in range(first, end_ms, length_ms):
        yield start, start + length_ms


def window_key(what: str, window: tuple[int, int]) -> str:
    """Name of the piece that holds a window."""
    start, end = (f"{from_ms(ms):%Y-%m-%dT%H:%M}" for ms in window)
    return f"{what} {start}..{end}"


def points_frame(bucket_ms: Ints, values: Mapping[str, ArrayLike], first_seen_ms: ArrayLike, is_assumed: ArrayLike, bucket_s: int) -> pd.DataFrame:
    """A frame of points as `NewsStore.keep_points` takes it: indexed by the begin of each bucket, a column for each metric, shape (n, m + 3)."""
    columns: dict[str, Any] = {name: np.asarray(column, dtype=np.float64) for name, column in values.items()}
    columns[FIRST_SEEN] = np.asarray(first_seen_ms, dtype=np.int64)
    columns[IS_ASSUMED] = np.asarray(is_assumed, dtype=np.int8)
    columns[BUCKET_S] = np.full(len(bucket_ms), bucket_s, dtype=np.int64)
    return pd.DataFrame(columns, index=times_of(np.asarray(bucket_ms, dtype=np.int64), "bucket"))
