"""The repair of a kept bar set, as a step of the platform: a child bar set that names its parent; the parent stays."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.base import get_log
from components.fx import BadInput, NotFound, Timeframe
from components.pipeline.assemble import raw_blocks
from components.pipeline.collect import keep_bars
from components.pipeline.cross_step import cross_check_bar_set
from components.pipeline.quality import Examiner, score_quality
from components.pipeline.quarantine import verdict
from components.pipeline.recipe import BarSet
from components.pipeline.repair import LEFT_OUT, REPAIRS, repair_bars, repair_rows, shifts_of
from components.pipeline.sources.source import Request
from components.pipeline.store import PipelineStore


def repair_bar_set(home: Path, bar_set_id: str, kinds: Iterable[str], by: str) -> BarSet:
    """Make a repaired copy of a bar set.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    bar_set_id : str
        Any kept bar set, also a quarantined one.
    kinds : iterable of str
        Repairs of `REPAIRS`. ``sort``, ``drop_duplicates`` and ``clip_ohlc`` go back to the rows that were collected, since a bar set holds
        none that need them; ``shift_clock`` moves what the bar set's cross-checks found shifted.
    by : str
        Who wants it; kept with the copy.

    Returns
    -------
    BarSet
        With the column ``repair``, its parent, what was done in `made_by`, and a score and state of its own.

    Raises
    ------
    NotFound
        If there is no such bar set, or the collected rows that a repair needs are gone.
    BadInput
        If a kind is unknown, no name is given, or nothing would be changed.
    Corrupt
        If a file is not what was written.
    """
    wanted = tuple(dict.fromkeys(kinds))
    unknown = [kind for kind in wanted if kind not in REPAIRS]
    if unknown or not wanted:
        raise BadInput("kinds", f"{unknown[0]!r} is no repair; known are {', '.join(REPAIRS)}" if unknown else f"name one of {', '.join(REPAIRS)}")
    if not by.strip():
        raise BadInput("by", "is missing; a repair says who made it")
    store = PipelineStore.open(home)
    try:
        parent = store.bar_set(bar_set_id)
        timeframe = Timeframe.named(parent.timeframe)
        report: dict[str, Any] = {}
        if set(wanted) & {"drop_duplicates", *LEFT_OUT.values()}:
            bars, report = _from_pieces(store, parent, timeframe, set(wanted))
        else:
            bars = store.load_bars(parent.id)
    finally:
        store.close()
    bars, more = repair_bars(bars, [kind for kind in wanted if kind not in report], timeframe=timeframe, shifts=shifts_of(parent))
    report |= more
    if not any(done["rows"] for done in report.values()):
        raise BadInput("kinds", f"{', '.join(wanted)} would change nothing in {parent.id}")
    quality = score_quality(bars, timeframe, symbol=parent.symbol)
    made_by = {
        "kind": "repaired",
        "from": parent.id,
        "kinds": list(wanted),
        "by": by,
        "report": report,
        "repaired_rows": int((bars["repair"].to_numpy() != 0).sum()),
    }
    # A repair of prices says nothing about the clock of the files: what spoke against that still does, unless the clock is what was moved.
    judged = verdict(quality, None if "shift_clock" in wanted else _collected(home, parent).made_by)
    parts = {**quality.as_dict(), "verdict": {"state": judged.state, "reasons": list(judged.reasons)}}
    made = keep_bars(
        home, parent.source, parent.symbol, timeframe, bars, quality.score, parts, parents=(parent.id,), made_by=made_by, state=judged.state
    )
    made = cross_check_bar_set(home, made.id)
    get_log("pipeline").info("bars repaired", bar_set=made.id, parent=parent.id, rows=made_by["repaired_rows"], quality=made.quality_score, by=by)
    return made


def _collected(home: Path, bar_set: BarSet) -> BarSet:
    """The bar set that was collected from a source, from which this one was made; itself where that is gone."""
    store = PipelineStore.open(home)
    try:
        while bar_set.parents:
            try:
                bar_set = store.bar_set(bar_set.parents[0])
            except NotFound:
                break
        return bar_set
    finally:
        store.close()


def _from_pieces(store: PipelineStore, parent: BarSet, timeframe: Timeframe, wanted: set[str]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The bars of a collection, made anew from its rows with the repairs that rows need; rows that are still none are left out again."""
    pieces = {(piece.known.key, piece.known.raw_sha256): piece for piece in store.pieces(parent.source, parent.symbol, parent.timeframe)}
    keys = [(str(piece["key"]), str(piece["raw_sha256"])) for piece in parent.made_by.get("pieces", ())]
    missing = [key for key, digest in keys if (key, digest) not in pieces]
    if not keys or missing:
        words = f"the piece {missing[0]!r} is gone or newer" if missing else f"it was {parent.made_by.get('kind', 'made elsewhere')}, not collected"
        raise NotFound(f"the rows from which {parent.id} was made are not kept: {words}; collect again and repair that")
    request = Request(parent.symbol, parent.timeframe, parent.made_by.get("start_ms"), parent.made_by.get("end_ms"))
    raw = pd.concat(list(raw_blocks(store, [pieces[key] for key in keys], request)))
    rows, report = repair_rows(raw, wanted & {"sort", "drop_duplicates", "clip_ohlc"})
    bars, _ = Examiner(timeframe, symbol=parent.symbol).add(rows)
    others = rows[~rows.index.duplicated()].reindex(bars.index)
    for name in rows.columns:
        if name not in bars.columns:
            bars[name] = others[name].to_numpy(dtype=np.int64 if rows[name].dtype.kind in "iu" else np.float64)
    return bars, report
