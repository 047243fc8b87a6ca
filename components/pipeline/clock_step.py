"""What clock the files of a bar set carry, and whether a terminal of that broker agrees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.bridge import BarStore
from components.fx import NotFound
from components.pipeline.broker_clock import BrokerClock, compare_clocks
from components.pipeline.recipe import BarSet
from components.pipeline.store import PipelineStore


@dataclass(frozen=True)
class PieceClock:
    """The clock of one piece: rule of summer time, minutes ahead of UTC in winter and summer, how sure that is (0–1), and how it was found.

    ``terminal`` says in words whether the clock that a terminal reported agrees; empty where none is asked for.
    """

    key: str
    rule: str
    winter_minutes: int
    summer_minutes: int
    confidence: float
    is_ambiguous: bool
    decided_by: str
    terminal: str = ""


def bar_set_clocks(home: Path, bar_set_id: str, account_id: str | None = None) -> list[PieceClock]:
    """The clocks of a bar set's pieces, compared with a terminal's own where an account is named.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    bar_set_id : str
        A kept bar set.
    account_id : str, optional
        An account of the broker whose bars these are.

    Returns
    -------
    list of PieceClock
        In order of the pieces; empty where every one came in UTC. Those of a repaired or resampled set are those of what it was made from.

    Raises
    ------
    NotFound
        If there is no such bar set, or no terminal of the account ever told its clock.
    """
    store = PipelineStore.open(home)
    try:
        pieces = _pieces(store, store.bar_set(bar_set_id))
    finally:
        store.close()
    told = None
    if account_id is not None:
        bars = BarStore.open(home)
        try:
            offsets = bars.clocks(account_id)
        finally:
            bars.close()
        if not offsets:
            raise NotFound(f"no terminal of account {account_id!r} has told its clock yet; let one send ticks first")
        told = offsets[-1]
    found = []
    for piece in pieces:
        facts = piece.get("facts", {}).get("clock")
        if not facts:
            continue
        clock = BrokerClock.from_dict(facts)
        words = compare_clocks(clock, told.offset_ms, told.from_ms).words if told is not None else ""
        found.append(
            PieceClock(
                str(piece["key"]),
                str(clock.rule),
                clock.offset_winter_minutes,
                clock.offset_summer_minutes,
                clock.confidence,
                clock.is_ambiguous,
                str(facts.get("decided_by", "")),
                words,
            )
        )
    return found


def _pieces(store: PipelineStore, bar_set: BarSet) -> list[dict[str, Any]]:
    """What a bar set, or the first of its ancestors that was collected, was made from."""
    while not bar_set.made_by.get("pieces") and bar_set.parents:
        try:
            bar_set = store.bar_set(bar_set.parents[0])
        except NotFound:  # deleted meanwhile
            break
    return list(bar_set.made_by.get("pieces", ()))
