"""The rows of a series from its pieces: in order of time, the later read one where two overlap, ticks made into bars."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from components.fx import PRICE_COLUMNS, instrument
from components.pipeline.sources.source import Request
from components.pipeline.store import PipelineStore, StoredPiece
from components.pipeline.ticks import BarBuilder, frame_of_bars

ORIGIN_COLUMNS = ("raw_ms", "made_of")
NOT_KNOWN = -1


def raw_blocks(store: PipelineStore, kept: list[StoredPiece], request: Request) -> Iterator[pd.DataFrame]:
    """What the pieces hold between the bounds, as blocks of raw bars in order of time.

    Where pieces overlap, the one that was read last has the say, bar by bar. Ticks are made into bars first: those of pieces that overlap are
    put in order of time, each tick once. At most the pieces that overlap are in memory at once.
    """
    extra = _extra_columns(store, kept)
    builder = BarBuilder(request.bars_of, instrument(request.symbol).point)
    held = _Held()
    for frame, start_ms, fetched_ms in _parts(store, kept):
        # No part begins before this one; a bar that ticks are still forming opened before it.
        first_ms = request.bars_of.open_ms(start_ms)
        ready = held.pop(first_ms if builder.forming is None else min(first_ms, builder.forming.open_ms))
        if ready is not None:
            yield ready
        if {"bid", "ask"} <= set(frame.columns):
            times = pd.DatetimeIndex(frame.index).as_unit("ms").asi8
            frame = frame_of_bars(builder.add(times, frame["bid"].to_numpy(), frame["ask"].to_numpy()))
        # Bars, not ticks, are held against the bounds: a bar of which the bounds cut some ticks off would be another one.
        frame = _between(frame, request.start_ms, request.end_ms)
        if len(frame):
            held.add(frame.assign(**{name: missing for name, missing in extra.items() if name not in frame.columns}), fetched_ms)
    ready = held.pop(None)
    if ready is not None:
        yield ready


def _parts(store: PipelineStore, kept: list[StoredPiece]) -> Iterator[tuple[pd.DataFrame, int, int]]:
    """Frames in order of their beginning, with that and when they were read; pieces of ticks that overlap are one part."""
    group: list[tuple[pd.DataFrame, StoredPiece]] = []
    for piece in sorted(kept, key=lambda one: (one.known.start_ms, one.known.fetched_ms)):
        if not piece.known.rows:
            continue
        frame = store.load_piece(piece)
        is_ticks = {"bid", "ask"} <= set(frame.columns)
        if group and not (is_ticks and piece.known.start_ms <= max(one.known.end_ms for _, one in group)):
            yield _merged_ticks(group)
            group = []
        if is_ticks:
            group.append((frame, piece))
        else:
            yield frame, piece.known.start_ms, piece.known.fetched_ms
    if group:
        yield _merged_ticks(group)


def _merged_ticks(group: list[tuple[pd.DataFrame, StoredPiece]]) -> tuple[pd.DataFrame, int, int]:
    """The ticks of overlapping pieces in order of time; a tick that two pieces have is one tick, what one piece repeats stays."""
    start_ms, fetched_ms = group[0][1].known.start_ms, max(piece.known.fetched_ms for _, piece in group)
    if len(group) == 1:
        return group[0][0], start_ms, fetched_ms
    merged = group[0][0][["bid", "ask"]]
    for frame, _ in group[1:]:
        both = pd.MultiIndex.from_arrays([frame.index, frame["bid"], frame["ask"]])
        known = pd.MultiIndex.from_arrays([merged.index, merged["bid"], merged["ask"]])
        merged = pd.concat([merged, frame.loc[~both.isin(known), ["bid", "ask"]]]).sort_index(kind="stable")
    return merged, start_ms, fetched_ms


def with_origin(bars: pd.DataFrame, raw: pd.DataFrame) -> pd.DataFrame:
    """The usable rows with what their source says about each: the broker's own time, what it was made of."""
    names = [name for name in ORIGIN_COLUMNS if name in raw.columns]
    if not names:
        return bars
    if len(bars) != len(raw):
        raw = _rows_of(bars, raw)
    return bars.assign(**{name: raw[name].to_numpy(dtype=np.int64) for name in names})


class _Held:
    """Rows that a later piece may still replace, each with the time at which it was read."""

    def __init__(self) -> None:
        self.frame: pd.DataFrame | None = None
        self.fetched_ms = np.zeros(0, dtype=np.int64)

    def add(self, frame: pd.DataFrame, fetched_ms: int) -> None:
        """Take in a piece: of rows of the same time those stay that were read last, or came last where they were read at once."""
        fetched = np.full(len(frame), fetched_ms, dtype=np.int64)
        if self.frame is None:
            self.frame, self.fetched_ms = frame, fetched
            return
        mine, theirs = (pd.DatetimeIndex(one.index).as_unit("ms").asi8 for one in (self.frame, frame))
        stays = ~(np.isin(mine, theirs) & (self.fetched_ms <= fetched_ms))
        comes = ~np.isin(theirs, mine[stays])
        # In order of time where the two lie among each other; as they came where they do not, so that disorder in a file is seen.
        times = np.concatenate((mine[stays], theirs[comes]))
        order = np.argsort(times, kind="stable") if len(mine) and len(theirs) and theirs.min() <= mine.max() else np.arange(len(times))
        self.frame = pd.concat([self.frame[stays], frame[comes]]).iloc[order]
        self.fetched_ms = np.concatenate((self.fetched_ms[stays], fetched[comes]))[order]

    def pop(self, until_ms: int | None) -> pd.DataFrame | None:
        """The rows before an instant (all where it is None), no longer held; None where there are none."""
        frame = self.frame
        if frame is None:
            return None
        before = np.ones(len(frame), dtype=bool)
        if until_ms is not None:
            before = pd.DatetimeIndex(frame.index).as_unit("ms").asi8 < until_ms
        if not before.any():
            return None
        self.frame = None if before.all() else frame[~before]
        self.fetched_ms = self.fetched_ms[~before]
        return frame if before.all() else frame[before]


def _between(frame: pd.DataFrame, start_ms: int | None, end_ms: int | None) -> pd.DataFrame:
    """The rows from `start_ms` up to, not including, `end_ms`."""
    if start_ms is None and end_ms is None:
        return frame
    times = pd.DatetimeIndex(frame.index).as_unit("ms").asi8
    inside = np.ones(len(times), dtype=bool)
    if start_ms is not None:
        inside &= times >= start_ms
    if end_ms is not None:
        inside &= times < end_ms
    return frame if inside.all() else frame.iloc[np.flatnonzero(inside)]


def _extra_columns(store: PipelineStore, kept: list[StoredPiece]) -> dict[str, float | int]:
    """Columns beyond prices and volume that any piece of bars has, with what stands for "not known": all blocks must have the same."""
    found: dict[str, float | int] = {}
    for piece in kept:
        names = set(store.load_piece(piece).columns) if piece.known.rows else set()
        if names & {"spread_points", "ask"}:  # bars that are made of ticks know their spread
            found["spread_points"] = np.nan
        found |= {name: NOT_KNOWN for name in ORIGIN_COLUMNS if name in names and "bid" not in names}
    return found


def _rows_of(bars: pd.DataFrame, raw: pd.DataFrame) -> pd.DataFrame:
    """The raw row of each bar: the first of its time that has its prices."""
    at = bars.index.get_indexer(raw.index)
    is_same = at >= 0
    for name in PRICE_COLUMNS:
        is_same &= raw[name].to_numpy(dtype=np.float64, na_value=np.nan) == bars[name].to_numpy()[at]
    same = np.flatnonzero(is_same)
    _, first = np.unique(at[same], return_index=True)
    return raw.iloc[same[first]]
