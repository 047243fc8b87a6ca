"""Where a dataset comes from: bar sets, what those were made from, the pieces and files, and the version of the formulas."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

import components.features
from components.fx import NotFound
from components.pipeline.frames import content_hash
from components.pipeline.quarantine import refuse_quarantined
from components.pipeline.recipe import BarSet
from components.pipeline.store import PLATFORM, PipelineStore


def lineage_of(store: PipelineStore, bar_sets: Iterable[BarSet], news: Mapping[str, pd.DataFrame] | None = None) -> dict[str, Any]:
    """Everything that a dataset of these bar sets, and of this news by currency, rests on, as plain values.

    Returns
    -------
    dict
        ``bar_sets``: each with id, symbol, timeframe, source, sha256, state, how it was made and its parents; those given first, then what
        they were made from. ``pieces``: source, key, origin, and the SHA-256 of the raw file or answer. ``sources``: their names.
        ``news``, where there is any: by currency the number of values, the last instant at which one was first seen, and their hash.
        ``formulas``: hash of the code that computes features and targets.
    """
    waiting, seen = list(bar_sets), {}
    pieces: dict[tuple[str, str, str], dict[str, Any]] = {}
    while waiting:
        one = waiting.pop(0)
        if one.id in seen:
            continue
        facts = {name: getattr(one, name) for name in ("id", "symbol", "timeframe", "source", "sha256", "state")}
        seen[one.id] = {**facts, "kind": one.made_by.get("kind", "collected"), "parents": list(one.parents)}
        for piece in one.made_by.get("pieces", ()):
            known = {name: piece.get(name, "") for name in ("key", "origin", "raw_sha256")}
            pieces[(one.source, known["key"], known["raw_sha256"])] = {"source": one.source, **known}
        for parent in one.parents:
            try:
                waiting.append(store.bar_set(parent))
            except NotFound:
                seen.setdefault(parent, {"id": parent, "kind": "deleted", "parents": []})
    sources = sorted({str(one["source"]) for one in seen.values() if "source" in one})
    found: dict[str, Any] = {"bar_sets": list(seen.values()), "pieces": list(pieces.values()), "sources": sources, "formulas": formulas_version()}
    if news:
        found["news"] = {currency: _news(frame) for currency, frame in sorted(news.items())}
    return found


def _news(frame: pd.DataFrame) -> dict[str, Any]:
    seen_ms = pd.DatetimeIndex(frame.index).as_unit("ms").asi8
    return {"rows": len(frame), "last_seen_ms": int(seen_ms[-1]) if len(frame) else None, "sha256": content_hash(frame)}


def refuse_quarantined_origins(store: PipelineStore, bar_sets: Iterable[BarSet]) -> None:
    """Let bar sets pass that are not quarantined, and were not made longer bars of one that is by now.

    A repaired copy stands for itself: it was examined after what was wrong was taken away. So does a set that a person released.

    Raises
    ------
    Refused
        With the code ``quarantined``, naming the set that is; see `refuse_quarantined`.
    """
    for bar_set in bar_sets:
        refuse_quarantined(bar_set)
        changes = store.states(bar_set.id)
        is_released = bar_set.state == "released" and bool(changes) and changes[-1].by != PLATFORM
        if bar_set.made_by.get("kind") != "resampled" or is_released:
            continue
        for parent in bar_set.parents:
            try:
                refuse_quarantined_origins(store, [store.bar_set(parent)])
            except NotFound:
                continue  # deleted; what is known of it stands in the states of its child


@lru_cache(maxsize=1)
def formulas_version() -> str:
    """Hash, 12 characters, of the Python files that compute features and targets; read once per process."""
    folder = Path(str(components.features.__file__)).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]
