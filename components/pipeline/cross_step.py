"""A kept bar set against everything else that is kept: other sources of its symbol, and the pairs that make a cross with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from components.base import get_log
from components.fx import BadInput, Timeframe
from components.pipeline.cross_check import CrossCheck, cross_check
from components.pipeline.quality_parts import Quality
from components.pipeline.quarantine import verdict
from components.pipeline.recipe import BarSet
from components.pipeline.sources.source import Progress
from components.pipeline.store import PLATFORM, PipelineStore
from components.pipeline.triangles import triangles_among, triangular_check, with_cross_checks

MOST_TRIANGLES = 6


def cross_check_bar_set(home: Path, bar_set_id: str, progress: Progress | None = None) -> BarSet:
    """Compare a bar set with the others and keep what that says in its quality.

    Compared are the newest set of each other source of the same symbol, in the same timeframe where there is one, and every triangle of
    three symbols that is closed in its timeframe. What was made from this set, or what it was made from, is no second opinion.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    bar_set_id : str
        A kept bar set.
    progress : callable, optional
        Called as ``progress(fraction, message, **metrics)``.

    Returns
    -------
    BarSet
        With the comparisons among its parts and the score that they leave; quarantined where they speak against it, unless a person has
        decided what its state is.

    Raises
    ------
    NotFound, Corrupt
        If there is no such bar set, or a file is not what was written.
    """
    store = PipelineStore.open(home)
    try:
        mine = store.bar_set(bar_set_id)
        others = [one for one in store.bar_sets() if _is_second_opinion(mine, one)]
        checks = []
        for number, check in enumerate(_checks(store, mine, others)):
            checks.append(check)
            if progress is not None:
                progress(min(0.9, 0.1 * number), f"{check.first} against {check.second}: {check.words}")
        return record_checks(store, mine, checks)
    finally:
        store.close()


def record_checks(store: PipelineStore, bar_set: BarSet, checks: Iterable[CrossCheck]) -> BarSet:
    """Keep comparisons in a bar set's quality; its score and state follow."""
    found = list(checks)
    if not found:
        return bar_set
    quality = with_cross_checks(Quality.from_dict(bar_set.quality), found)
    judged = verdict(quality, bar_set.made_by)
    parts = {**quality.as_dict(), "verdict": {"state": judged.state, "reasons": list(judged.reasons)}}
    store.set_quality(bar_set.id, quality.score, parts)
    if judged.state != bar_set.state and not store.is_decided(bar_set):
        reason = "; ".join(judged.reasons) or "the comparisons found nothing against it"
        store.set_state(bar_set.id, judged.state, PLATFORM, reason)
    get_log("pipeline").info("bars compared", bar_set=bar_set.id, checks=len(found), quality=quality.score, state=judged.state)
    return store.bar_set(bar_set.id)


def _is_second_opinion(mine: BarSet, other: BarSet) -> bool:
    """Whether a bar set lies in the same time and has nothing to do with mine."""
    related = mine.id in (other.id, *other.parents) or other.id in mine.parents
    overlaps = other.start_ms < mine.end_ms and mine.start_ms < other.end_ms
    return overlaps and not related and other.state != "quarantined" and bool(other.quality.get("parts"))


def _checks(store: PipelineStore, mine: BarSet, others: list[BarSet]) -> Iterator[CrossCheck]:
    if not others:
        return
    bars = store.load_bars(mine.id)
    for other in _one_of_each_source(mine, others):
        try:
            yield cross_check(bars, store.load_bars(other.id), mine.symbol, first_name=f"{mine.source} {mine.timeframe}", second_name=_title(other))
        except BadInput:
            continue  # too few bars in common to say anything
    legs = {mine.symbol: mine}
    for other in others:
        is_new = other.symbol not in legs
        is_nearer = other.symbol != mine.symbol and other.source == mine.source
        if other.timeframe == mine.timeframe and (is_new or (is_nearer and legs[other.symbol].source != mine.source)):
            legs[other.symbol] = other
    triangles = [three for three in triangles_among(legs) if mine.symbol in three]
    for three in triangles[:MOST_TRIANGLES]:
        try:
            yield triangular_check({symbol: bars if symbol == mine.symbol else store.load_bars(legs[symbol].id) for symbol in three})
        except BadInput:
            continue


def _one_of_each_source(mine: BarSet, others: list[BarSet]) -> list[BarSet]:
    """The set of each other source of the same symbol whose timeframe is nearest, the newest of those."""
    best: dict[str, BarSet] = {}
    for other in others:
        if other.symbol != mine.symbol or other.source == mine.source or other.made_by.get("kind", "collected") != "collected":
            continue
        known = best.get(other.source)
        if known is None or _distance(mine, other) < _distance(mine, known):
            best[other.source] = other
    return list(best.values())


def _distance(mine: BarSet, other: BarSet) -> float:
    lengths = (Timeframe.named(mine.timeframe).ms, Timeframe.named(other.timeframe).ms)
    return max(lengths) / min(lengths)


def _title(other: BarSet) -> str:
    return f"{other.source} {other.timeframe}"
