"""Bars by activity from what is kept: of ticks where a bar set was made of ticks, else of its own bars."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from components.base import atomic_path
from components.fx import BadInput, Timeframe, bar_close_ms
from components.pipeline.information_bars import directional_change_bars, tick_bars, volume_bars
from components.pipeline.quarantine import refuse_quarantined
from components.pipeline.recipe import BarSet
from components.pipeline.store import PipelineStore

KINDS = ("tick", "volume", "directional_change")


def intrinsic_bars(home: Path, bar_set_id: str, kind: str, size: float) -> pd.DataFrame:
    """Bars of equally many ticks, of equal volume, or from turn to turn of the price.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    bar_set_id : str
        A kept bar set.
    kind : {'tick', 'volume', 'directional_change'}
    size : float
        Ticks in each bar, volume of each bar, or the turn as a fraction of the price.

    Returns
    -------
    DataFrame
        As `tick_bars`, `volume_bars` or `directional_change_bars` give it: ``open_time`` and ``close_time`` in UTC, as these bars have no
        length. Of bars, a turn is seen at a close only and dated by that close.

    Raises
    ------
    NotFound, Corrupt
        If there is no such bar set, or a file is gone or not what was written.
    BadInput
        If the kind is unknown, the size is not positive, or ticks are needed and there are none.
    Refused
        If the bar set is quarantined.
    """
    if kind not in KINDS:
        raise BadInput("kind", f"{kind!r} is unknown; use one of {', '.join(KINDS)}")
    store = PipelineStore.open(home)
    try:
        bar_set = store.bar_set(bar_set_id)
        refuse_quarantined(bar_set)
        ticks = _ticks(store, bar_set)
        bars = store.load_bars(bar_set_id)
    finally:
        store.close()
    if ticks is None:
        return _of_bars(bars, Timeframe.named(bar_set.timeframe), bar_set.id, kind, size)
    times = pd.DatetimeIndex(ticks.index).as_unit("ms").asi8
    if kind == "tick":
        return tick_bars(times, ticks["bid"].to_numpy(), ticks["ask"].to_numpy(), _whole(size))
    if kind == "volume":
        return volume_bars(ticks, size)
    return directional_change_bars(times, ticks["bid"].to_numpy(), size)


def _ticks(store: PipelineStore, bar_set: BarSet) -> pd.DataFrame | None:
    """The ticks of which a bar set was made, in order of time; None where it was made of bars.

    As in its bars: where pieces overlap those that came first stay, and a tick that repeats the one before it counts once.
    """
    keys = {(str(piece["key"]), str(piece["raw_sha256"])) for piece in bar_set.made_by.get("pieces", [])}
    kept = [one for one in store.pieces(bar_set.source, bar_set.symbol, bar_set.timeframe) if (one.known.key, one.known.raw_sha256) in keys]
    kept.sort(key=lambda one: (one.known.start_ms, one.known.fetched_ms))
    frames = [frame for frame in (store.load_piece(one) for one in kept if one.known.rows) if {"bid", "ask"} <= set(frame.columns)]
    if not frames:
        return None
    ticks = pd.concat(frames)
    times = pd.DatetimeIndex(ticks.index).as_unit("ms").asi8
    ticks = ticks[times >= np.maximum.accumulate(times)]
    values = np.vstack((pd.DatetimeIndex(ticks.index).as_unit("ms").asi8, ticks["bid"].to_numpy(), ticks["ask"].to_numpy()))
    return ticks[np.concatenate(([True], (values[:, 1:] != values[:, :-1]).any(axis=0)))]


def _of_bars(bars: pd.DataFrame, timeframe: Timeframe, name: str, kind: str, size: float) -> pd.DataFrame:
    if kind == "tick":
        raise BadInput("kind", f"{name} was made of bars; tick bars need ticks: import tick files, or use volume or directional_change")
    if kind == "volume":
        if not bars["volume"].to_numpy().any():
            raise BadInput("kind", f"{name} has no volume (HistData's M1 never has); use directional_change, or bars with volume")
        return volume_bars(bars, size, timeframe=timeframe)
    closes = bar_close_ms(pd.DatetimeIndex(bars.index).as_unit("ms").asi8, timeframe)
    return directional_change_bars(closes, bars["close"].to_numpy(dtype=np.float64), size)


def _whole(size: float) -> int:
    if not np.isfinite(size) or size != int(size):
        raise BadInput("size", f"{size:g} is not a whole number of ticks")
    return int(size)


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as Parquet or CSV, by the end of the name, whole or not at all.

    Raises
    ------
    BadInput
        If the name ends in neither.
    """
    if path.suffix not in (".parquet", ".csv"):
        raise BadInput("out", f"{path.name!r} ends in neither .parquet nor .csv")
    with atomic_path(path) as temporary:
        if path.suffix == ".parquet":
            frame.to_parquet(temporary)
        else:
            frame.to_csv(temporary)
