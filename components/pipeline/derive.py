"""Bar sets made from other bar sets: a longer timeframe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from components.fx import BadInput, Timeframe, bar_open_ms, resample_bars
from components.pipeline.collect import keep_bars
from components.pipeline.lineage import refuse_quarantined_origins
from components.pipeline.quality import score_quality
from components.pipeline.quarantine import verdict
from components.pipeline.recipe import BarSet
from components.pipeline.sources.source import Progress
from components.pipeline.store import PLATFORM, PipelineStore

REPAIR = "repair"


def resample_bar_set(home: Path, bar_set_id: str, timeframe: Timeframe | str, progress: Progress | None = None) -> BarSet:
    """A bar set of a longer timeframe, made from a kept one; H4, D1 and W1 open at 17:00 New York.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    bar_set_id : str
        A kept bar set.
    timeframe : Timeframe or str
        Longer than that of the bar set.
    progress : callable, optional
        Called as ``progress(fraction, message, **metrics)``.

    Returns
    -------
    BarSet
        With the bar set it was made from as its parent, and a score and state of its own; released where it would be quarantined and a
        person has released its parent. The last bar is left out where it was still forming. A bar that a repaired one lies in is flagged
        as repaired.

    Raises
    ------
    NotFound, Corrupt
        If there is no such bar set, or its file is not what was written.
    BadInput
        If the timeframe is not longer.
    Refused
        If the bar set is quarantined.
    """
    wanted = Timeframe.named(timeframe) if isinstance(timeframe, str) else timeframe
    store = PipelineStore.open(home)
    try:
        parent = store.bar_set(bar_set_id)
        refuse_quarantined_origins(store, [parent])
        if wanted.ms <= Timeframe.named(parent.timeframe).ms:
            raise BadInput("timeframe", f"{wanted.name} is not longer than {parent.timeframe}, the timeframe of {parent.id}")
        if progress is not None:
            progress(0.1, f"making {wanted.name} bars of {parent.rows:,} {parent.timeframe} bars")
        given = store.load_bars(parent.id)
        bars = resample_bars(given, wanted, source=Timeframe.named(parent.timeframe))
        if REPAIR in given.columns:
            bars = bars.assign(**{REPAIR: _flags(given, wanted)[: len(bars)]})
        if not len(bars):
            raise BadInput("bar_set_id", f"{parent.id} is too short for one whole {wanted.name} bar")
        if progress is not None:
            progress(0.6, f"scoring {len(bars):,} {wanted.name} bars")
        quality = score_quality(bars, wanted, symbol=parent.symbol)
        judged = verdict(quality)
        parts = {**quality.as_dict(), "verdict": {"state": judged.state, "reasons": list(judged.reasons)}}
        made_by = {"kind": "resampled", "from": parent.id, "from_timeframe": parent.timeframe}
        names = (parent.source, parent.symbol)
        made = keep_bars(home, *names, wanted, bars, quality.score, parts, parents=(parent.id,), made_by=made_by, state=judged.state)
        if made.state == "quarantined" and parent.state == "released" and store.states(made.id)[-1].by == PLATFORM:
            made = store.set_state(made.id, "released", PLATFORM, f"{parent.id}, of which it was made, was released: {_why_released(store, parent)}")
    finally:
        store.close()
    if progress is not None:
        progress(1.0, f"{made.rows:,} {wanted.name} bars kept as {made.id}", rows=made.rows, quality_score=made.quality_score)
    return made


def _flags(bars: pd.DataFrame, timeframe: Timeframe) -> np.ndarray:
    """The repairs made in each longer bar, as bits, shape (m,)."""
    opens = bar_open_ms(pd.DatetimeIndex(bars.index).as_unit("ms").asi8, timeframe)
    starts = np.concatenate(([0], np.flatnonzero(np.diff(opens)) + 1))
    return np.asarray(np.bitwise_or.reduceat(bars[REPAIR].to_numpy(dtype=np.int64), starts))


def _why_released(store: PipelineStore, bar_set: BarSet) -> str:
    last = store.states(bar_set.id)[-1]
    return f"{last.reason} ({last.by})"
