"""From a source to a catalogued bar set: fetch, score, validate, write."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd

from components.base import get_log, now_ms
from components.fx import NotFound, Timeframe, Unavailable, instrument, validate_bars
from components.pipeline.frames import content_hash, is_intact, write_frame
from components.pipeline.quality import score_quality
from components.pipeline.recipe import BarSet
from components.pipeline.sources import fetch_bars
from components.pipeline.store import PipelineStore

Progress = Callable[..., None]


def collect(home: Path, source: str, symbol: str, timeframe: Timeframe | str, progress: Progress | None = None) -> BarSet:
    """Fetch bars from a source and keep them.

    The same content gives the same bar set: collecting twice changes nothing.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    source, symbol : str
        A source of `sources()` and a symbol that it holds.
    timeframe : Timeframe or str
        Length of the bars, for example ``"H1"``.
    progress : callable, optional
        Called as ``progress(fraction, message, **metrics)``.

    Returns
    -------
    BarSet
        With its quality score.

    Raises
    ------
    BadInput
        If the source, symbol or timeframe is unknown, or the bars are not valid (naming the first that is not).
    Unavailable
        If the source cannot be read, or gave no bars.
    """
    report = progress or _silent
    frame_of_time = timeframe if isinstance(timeframe, Timeframe) else Timeframe.named(timeframe)
    instrument(symbol)
    report(0.0, f"reading {symbol} {frame_of_time.name} from {source}")
    raw = fetch_bars(source, symbol, frame_of_time)
    if raw.empty:
        raise Unavailable(f"source {source!r} gave no bars for {symbol} {frame_of_time.name}; try again later")
    report(0.4, f"scoring {len(raw):,} bars", rows=len(raw))
    quality = score_quality(raw, frame_of_time)
    bars = validate_bars(raw)
    report(0.7, f"writing {len(bars):,} bars, quality {quality.score:.1f} of 100", rows=len(bars), quality_score=quality.score)
    bar_set = keep_bars(home, source, symbol, frame_of_time, bars, quality.score, quality.as_dict())
    get_log("pipeline").info("bars collected", bar_set=bar_set.id, rows=bar_set.rows, quality=bar_set.quality_score)
    report(1.0, f"{bar_set.rows:,} bars kept as {bar_set.id}", rows=bar_set.rows, quality_score=bar_set.quality_score)
    return bar_set


def keep_bars(home: Path, source: str, symbol: str, timeframe: Timeframe, bars: pd.DataFrame, score: float, parts: dict[str, object]) -> BarSet:
    """Write a validated bars frame and enter it into the catalogue; the same content gives the same bar set."""
    store = PipelineStore.open(home)
    try:
        digest = content_hash(source, symbol, timeframe.name, bars)
        bar_set_id = f"{symbol}-{timeframe.name}-{digest[:12]}"
        path = store.home / "bars" / f"{bar_set_id}.arrow"
        with suppress(NotFound):
            known = store.bar_set(bar_set_id)
            if is_intact(known.path, known.sha256):
                return known
        open_ms = pd.DatetimeIndex(bars.index).as_unit("ms").asi8
        return store.add_bar_set(
            BarSet(
                id=bar_set_id,
                symbol=symbol,
                timeframe=timeframe.name,
                source=source,
                start_ms=int(open_ms[0]),
                end_ms=int(open_ms[-1]) + timeframe.ms,
                rows=len(bars),
                sha256=write_frame(path, bars),
                path=path,
                quality_score=score,
                quality=dict(parts),
                created_ms=now_ms(),
            )
        )
    finally:
        store.close()


def _silent(fraction: float, message: str, **metrics: object) -> None:
    """No one listens."""
