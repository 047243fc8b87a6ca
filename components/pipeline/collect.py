"""From a source to a catalogued bar set: read what is new, put the pieces together, score, validate, write.

Every piece is on disk before the next one is asked for, so a collection that is killed goes on where it stopped. The pieces are the
originals; a bar set is made from all pieces of its series, and says which.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.base import get_log, now_ms
from components.fx import BadInput, NotFound, Timeframe, Unavailable, instrument
from components.pipeline.assemble import raw_blocks, with_origin
from components.pipeline.cross_step import cross_check_bar_set
from components.pipeline.frames import FrameWriter, is_intact
from components.pipeline.news_store import keep_news
from components.pipeline.quality import Examiner, Quality
from components.pipeline.quarantine import Verdict, verdict
from components.pipeline.recipe import BarSet, BarSetState
from components.pipeline.sources import source_named
from components.pipeline.sources.source import Progress, Request, SourceContext, parsed_options
from components.pipeline.store import PLATFORM, PipelineStore, StoredPiece

REJECTS_KEPT = 200
ELSEWHERE = " of "
_APART = re.compile(ELSEWHERE + "[0-9a-f]{8}$")  # a file's own name may hold " of "


@dataclass(frozen=True)
class Collected:
    """What a collection did: pieces that were read now and all that are kept, their rows, and the bar set made of them where they are bars."""

    source: str
    symbol: str
    timeframe: str
    new_pieces: int
    pieces: int
    rows: int
    bar_set: BarSet | None


def collect(
    home: Path,
    source: str,
    symbol: str,
    timeframe: Timeframe | str,
    progress: Progress | None = None,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> BarSet:
    """Collect bars and keep them.

    The same content gives the same bar set: collecting twice changes nothing.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    source, symbol : str
        A source of `sources()` and an instrument.
    timeframe : Timeframe or str
        Length of the bars, for example ``"H1"``.
    progress : callable, optional
        Called as ``progress(fraction, message, **metrics)``; raises to cancel.
    start_ms, end_ms : int, optional
        Bounds in epoch milliseconds UTC.
    options : mapping, optional
        What the source's own `options` model takes.

    Returns
    -------
    BarSet
        With its quality score; quarantined where that is too low.

    Raises
    ------
    BadInput
        If the source, symbol, timeframe or an option is wrong, or the source gives no bars.
    Unavailable
        If the source cannot be read, or gave no bars.
    """
    wanted = Request(symbol, Timeframe.named(timeframe).name if isinstance(timeframe, str) else timeframe.name, start_ms, end_ms, options or {})
    if source_named(source).gives not in ("bars", "ticks"):
        raise BadInput("source", f"{source!r} gives {source_named(source).gives}, not bars")
    found = collect_series(home, source, wanted, progress).bar_set
    assert found is not None
    return found


def collect_series(home: Path, source: str, request: Request, progress: Progress | None = None) -> Collected:
    """Collect whatever a source gives: bars, ticks (made into bars), rates or news; see `collect`."""
    report = progress or _silent
    found = source_named(source)
    parsed_options(found, request.options)
    if request.options.get("path"):
        # What is kept of files is told apart by where they are, wherever this process was started.
        request = replace(request, options={**request.options, "path": str(Path(str(request.options["path"])).expanduser().absolute())})
    if found.gives in ("bars", "ticks"):
        instrument(request.symbol)
        request.bars_of  # noqa: B018 - refuses an unknown one before anything is read
    store = PipelineStore.open(home)
    try:
        report(0.0, f"reading {request.symbol} {request.timeframe} from {source}".replace("  ", " "))
        new = _read(store, found.name, request, report)
        kept = list(_in_scope(store, source, request).values())
        if not any(piece.known.rows for piece in kept):
            raise Unavailable(f"source {source!r} gave no data for {request.symbol} {request.timeframe}; try again later".replace("  ", " "))
        bar_set = None
        if found.gives in ("bars", "ticks"):
            bar_set = cross_check_bar_set(home, _assemble(store, source, request, kept, report).id)
        rows = bar_set.rows if bar_set is not None else sum(piece.known.rows for piece in kept)
    finally:
        store.close()
    result = Collected(source, request.symbol, request.timeframe, new, len(kept), rows, bar_set)
    if bar_set is not None:
        get_log("pipeline").info("bars collected", bar_set=bar_set.id, rows=bar_set.rows, quality=bar_set.quality_score, state=bar_set.state)
        report(1.0, f"{bar_set.rows:,} bars kept as {bar_set.id}", rows=bar_set.rows, quality_score=bar_set.quality_score)
    else:
        report(1.0, f"{rows:,} rows of {request.symbol} kept in {len(kept)} pieces, {new} of them new", rows=rows)
    return result


def _read(store: PipelineStore, source: str, request: Request, report: Progress) -> int:
    """Keep every new piece as it comes; their number."""
    scope = _in_scope(store, source, request)
    # A piece whose file is gone or damaged is read again, final or not.
    known = {key: replace(piece.known, key=key) for key, piece in scope.items() if store.is_readable(piece)}
    taken = {piece.known.key for piece in store.pieces(source, request.symbol, request.timeframe)}
    found = source_named(source)
    new = 0
    for piece in found.pieces(request, known, SourceContext(store.home, lambda part, words, **more: report(0.8 * part, words, **more))):
        if found.gives == "news":
            # Before the piece: one that is known is not read again, and its points would be missing for good if the work ended in between.
            keep_news(store.database, source, request, piece)
        if piece.key in scope:
            piece = replace(piece, key=scope[piece.key].known.key)
        elif piece.key in taken:
            piece = replace(piece, key=f"{piece.key}{ELSEWHERE}{hashlib.sha256(piece.origin.encode()).hexdigest()[:8]}")
        store.keep_piece(source, request.symbol, request.timeframe, piece)
        new += 1
    return new


def _in_scope(store: PipelineStore, source: str, request: Request) -> dict[str, StoredPiece]:
    """The kept pieces that this request is about, by the key that the source knows them by.

    A source of files reads a path: files of another folder may be another broker's, so that they never end up in one bar set. Two files of
    one name in different folders are two pieces.
    """
    pieces = store.pieces(source, request.symbol, request.timeframe)
    path = request.options.get("path")
    if path:
        root = Path(str(path))
        pieces = [piece for piece in pieces if root in (Path(piece.origin), *Path(piece.origin).parents)]
    return {_APART.sub("", piece.known.key): piece for piece in pieces}


def _assemble(store: PipelineStore, source: str, request: Request, kept: list[StoredPiece], report: Progress) -> BarSet:
    """One bar set from the pieces of a series, block by block."""
    timeframe = request.bars_of
    examiner = Examiner(timeframe, symbol=request.symbol)
    writer = FrameWriter(store.home / "bars" / f"{request.symbol}-{timeframe.name}.arrow")
    rejected = _Rejected()
    try:
        for number, raw in enumerate(raw_blocks(store, kept, request)):
            report(0.8 + 0.15 * number / max(len(kept), 1), f"scoring {len(raw):,} bars", rows=writer.rows + len(raw))
            bars, rejects = examiner.add(raw)
            rejected.add(rejects)
            if len(bars):
                writer.append(with_origin(bars, raw))
        quality = examiner.finish()
        if not writer.rows:
            raise Unavailable(f"source {source!r} gave no usable bars for {request.symbol} {timeframe.name}; first: {rejected.words()}")
        report(0.96, f"writing {writer.rows:,} bars, quality {quality.score:.1f} of 100", rows=writer.rows, quality_score=quality.score)
        pieces = [_provenance(piece) for piece in kept if _has_rows(piece, request)]
        bounds = {name: value for name, value in (("start_ms", request.start_ms), ("end_ms", request.end_ms)) if value is not None}
        made_by = {"kind": "collected", **bounds, "pieces": pieces, "rejected": rejected.as_dict()}
        return _keep(store, source, request.symbol, timeframe, writer, quality, made_by)
    finally:
        writer.discard()


def _keep(
    store: PipelineStore, source: str, symbol: str, timeframe: Timeframe, writer: FrameWriter, quality: Quality, made_by: dict[str, Any]
) -> BarSet:
    bar_set_id = f"{symbol}-{timeframe.name}-{writer.content_hash(source, symbol, timeframe.name)[:12]}"
    judged = verdict(quality, made_by)
    with suppress(NotFound):
        known = store.bar_set(bar_set_id)
        if is_intact(known.path, known.sha256):
            if known.made_by.get("pieces") != made_by["pieces"]:
                # The same bars from other pieces: those it was made of before are replaced, and a repair goes back to what is there.
                known = store.set_made_by(known.id, made_by)
                if judged.state == "quarantined":
                    return _examined_anew(store, known, quality, judged)
            return known if known.quality.get("parts") else _examined_anew(store, known, quality, judged)
    first_ms, last_ms = writer.span_ms
    path = store.home / "bars" / f"{bar_set_id}.arrow"
    return store.add_bar_set(
        BarSet(
            id=bar_set_id,
            symbol=symbol,
            timeframe=timeframe.name,
            source=source,
            start_ms=first_ms,
            end_ms=last_ms + timeframe.ms,
            rows=writer.rows,
            sha256=writer.close(path),
            path=path,
            quality_score=quality.score,
            quality=_with_verdict(quality, judged),
            created_ms=now_ms(),
            made_by=made_by,
            state=judged.state,
        )
    )


def _examined_anew(store: PipelineStore, known: BarSet, quality: Quality, judged: Verdict) -> BarSet:
    """A set that was kept before quality had parts, or of other pieces, with what is known of it by now."""
    store.set_quality(known.id, quality.score, _with_verdict(quality, judged))
    if judged.state != known.state and not store.is_decided(known):
        store.set_state(known.id, judged.state, PLATFORM, "; ".join(judged.reasons) or "its examination found nothing against it")
    return store.bar_set(known.id)


def _with_verdict(quality: Quality, judged: Verdict) -> dict[str, Any]:
    return {**quality.as_dict(), "verdict": {"state": judged.state, "reasons": list(judged.reasons)}}


def keep_bars(
    home: Path,
    source: str,
    symbol: str,
    timeframe: Timeframe,
    bars: pd.DataFrame,
    score: float,
    parts: dict[str, Any],
    *,
    parents: tuple[str, ...] = (),
    made_by: dict[str, Any] | None = None,
    state: BarSetState = "trusted",
) -> BarSet:
    """Write a validated bars frame and enter it into the catalogue; the same content gives the same bar set."""
    store = PipelineStore.open(home)
    writer = FrameWriter(store.home / "bars" / f"{symbol}-{timeframe.name}.arrow")
    try:
        writer.append(bars)
        bar_set_id = f"{symbol}-{timeframe.name}-{writer.content_hash(source, symbol, timeframe.name)[:12]}"
        path = store.home / "bars" / f"{bar_set_id}.arrow"
        with suppress(NotFound):
            known = store.bar_set(bar_set_id)
            if is_intact(known.path, known.sha256):
                return known
        first_ms, last_ms = writer.span_ms
        return store.add_bar_set(
            BarSet(
                id=bar_set_id,
                symbol=symbol,
                timeframe=timeframe.name,
                source=source,
                start_ms=first_ms,
                end_ms=last_ms + timeframe.ms,
                rows=len(bars),
                sha256=writer.close(path),
                path=path,
                quality_score=score,
                quality=dict(parts),
                created_ms=now_ms(),
                parents=parents,
                made_by=made_by or {},
                state=state,
            )
        )
    finally:
        writer.discard()
        store.close()


def _has_rows(piece: StoredPiece, request: Request) -> bool:
    """Whether anything of a piece can lie between the bounds."""
    known = piece.known
    starts_after = request.end_ms is not None and known.start_ms >= request.end_ms
    ends_before = request.start_ms is not None and known.end_ms < request.start_ms
    return known.rows > 0 and not starts_after and not ends_before


def _provenance(piece: StoredPiece) -> dict[str, Any]:
    names = ("key", "raw_sha256", "raw_bytes", "rows", "start_ms", "end_ms", "fetched_ms", "is_final", "facts")
    return {"origin": piece.origin, **{name: getattr(piece.known, name) for name in names}}


class _Rejected:
    """Rows that are no bars: all counted by reason, the first ones kept as they came."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.examples: list[dict[str, Any]] = []

    def add(self, rejects: pd.DataFrame) -> None:
        """Take in the rejects of one block."""
        for reason, count in rejects["reason"].value_counts().items() if len(rejects) else ():
            self.counts[str(reason)] = self.counts.get(str(reason), 0) + int(count)
        shown = rejects.head(REJECTS_KEPT - len(self.examples))
        index = pd.DatetimeIndex(shown.index)
        times = index.as_unit("ms").asi8
        for at_ms, is_missing, row in zip(times.tolist(), index.isna(), shown.to_dict("records"), strict=True):
            values = {str(name): _plain(value) for name, value in row.items()}
            self.examples.append({"open_ms": None if is_missing else at_ms, **values})

    def as_dict(self) -> dict[str, Any]:
        """Counts by reason and examples as plain values."""
        return {"counts": self.counts, "examples": self.examples}

    def words(self) -> str:
        """The first rejected row in words."""
        return str(self.examples[0]) if self.examples else "nothing was rejected"


def _plain(value: object) -> object:
    number = value.item() if isinstance(value, np.generic) else value
    return str(number) if isinstance(number, float) and not np.isfinite(number) else number


def _silent(fraction: float, message: str, **metrics: object) -> None:
    """No one listens."""
