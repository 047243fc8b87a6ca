"""Bars as they were seen when they were decided on, held against what the same bars are now."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from components.bridge import BarArrays, BarStore, TickStore
from components.desk.records import Deployment
from components.desk.store import DeskStore
from components.fx import PRICE_COLUMNS, instrument
from components.pipeline import Bar, BarBuilder

Against = Literal["ticks", "terminal"]
_FIELDS = (*PRICE_COLUMNS, "volume", "spread_points")
_PORTION = 200_000
_MANY = 1_000_000


@dataclass(frozen=True)
class ChangedBar:
    """A bar that is not what was decided on: values in the order of `fields`, `now` None where there is no such bar any more.

    `against` says what it is held against: the bar of all ``"ticks"`` that are stored by now, or the latest bar of the ``"terminal"``.
    """

    open_ms: int
    against: Against
    seen: tuple[float, ...]
    now: tuple[float, ...] | None
    fields: tuple[str, ...] = _FIELDS


@dataclass(frozen=True)
class SeenReport:
    """How the decided bars of a deployment compare with what is known now.

    `changed` and `gone` count bars that the stored ticks make otherwise now, or not at all (a tick came in under an older number);
    `compared` those that the terminal posted too, `differing` those of them with a price more than half a point away, `volume_differing` those
    with another number of ticks, `revised` those that the terminal posted anew after the decision. `late` and `duplicates` are ticks of the
    feed that no bar took, and that repeated the one before. `changes` are the first hundred.
    """

    deployment_id: str
    bars: int
    outcomes: dict[str, int]
    changed: int
    gone: int
    compared: int
    differing: int
    volume_differing: int
    revised: int
    late: int
    duplicates: int
    changes: tuple[ChangedBar, ...]

    @property
    def is_equal(self) -> bool:
        """Whether every decided bar is still what was seen, as far as the ticks go."""
        return self.changed == self.gone == 0


def seen_bars(home: Path, deployment_id: str) -> pd.DataFrame:
    """The bars that a deployment dealt with, as it saw them.

    Returns
    -------
    DataFrame, shape (n, 9)
        A bars frame with `spread_points`, `last_seq` (int64, number of its last tick), `decided_ms` (int64, when it was dealt with, epoch
        milliseconds UTC) and `outcome` (str).

    Raises
    ------
    NotFound
        If there is no such deployment.
    """
    desk = DeskStore.open(home)
    try:
        desk.deployment(deployment_id)
        decided = desk.bars(deployment_id)
    finally:
        desk.close()
    index = pd.DatetimeIndex(pd.to_datetime([bar.open_ms for bar in decided], unit="ms", utc=True)).as_unit("ms").rename("open_time")
    columns = {name: np.array([getattr(bar, name) for bar in decided], dtype=np.float64) for name in _FIELDS}
    whole = {name: np.array([getattr(bar, name) for bar in decided], dtype=np.int64) for name in ("last_seq", "decided_ms")}
    return pd.DataFrame({**columns, **whole, "outcome": [bar.outcome for bar in decided]}, index=index)


def compare_seen(home: Path, deployment_id: str, limit: int = 100) -> SeenReport:
    """Hold the bars that a deployment decided on against the stored ticks and the terminal's bars of now.

    Raises
    ------
    NotFound
        If there is no such deployment.
    """
    desk, ticks = DeskStore.open(home), TickStore.open(home)
    try:
        deployment = desk.deployment(deployment_id)
        decided = desk.bars(deployment_id)
        where = (deployment.account_id, deployment.symbol)
        feed = next(iter(ticks.intake(*where, is_checked=True)), None)
        made = _bars_of_ticks(ticks, deployment)
        posted = BarStore(ticks.database)
        theirs = _bars_of_terminal(posted.bars(*where, deployment.timeframe))
        versions = posted.versions(*where, deployment.timeframe, limit=_MANY)
    finally:
        ticks.close()
        desk.close()
    revised_ms = {version.open_ms: version.received_ms for version in versions}
    half_point = 0.5 * instrument(deployment.symbol).point
    changes: list[ChangedBar] = []
    compared = volume_differing = 0
    for bar in decided:
        seen, now, posted_now = tuple(getattr(bar, name) for name in _FIELDS), made.get(bar.open_ms), theirs.get(bar.open_ms)
        if now != seen:
            changes.append(ChangedBar(bar.open_ms, "ticks", seen, now))
        if posted_now is not None:
            compared += 1
            volume_differing += posted_now[4] != seen[4]
            if max(abs(a - b) for a, b in zip(seen[:4], posted_now[:4], strict=True)) > half_point:
                changes.append(ChangedBar(bar.open_ms, "terminal", seen, posted_now))
    return SeenReport(
        deployment_id=deployment_id,
        bars=len(decided),
        outcomes=dict(Counter(bar.outcome for bar in decided)),
        changed=sum(change.against == "ticks" and change.now is not None for change in changes),
        gone=sum(change.now is None for change in changes),
        compared=compared,
        differing=sum(change.against == "terminal" for change in changes),
        volume_differing=volume_differing,
        revised=sum(revised_ms.get(bar.open_ms, 0) > bar.decided_ms for bar in decided),
        late=feed.late if feed is not None else 0,
        duplicates=feed.duplicates if feed is not None else 0,
        changes=tuple(changes[:limit]),
    )


def _bars_of_ticks(ticks: TickStore, deployment: Deployment) -> dict[int, tuple[float, ...]]:
    """Every bar that all stored ticks make, by open time, the forming one too; read in portions."""
    builder = BarBuilder(deployment.timeframe, instrument(deployment.symbol).point)
    bars: list[Bar] = []
    seq = 0
    while len((part := ticks.since(deployment.account_id, deployment.symbol, seq, _PORTION)).seq):
        bars += builder.add(part.time_ms, part.bid, part.ask)
        seq = int(part.seq[-1])
    if builder.forming is not None:
        bars.append(builder.forming)
    return {bar.open_ms: tuple(getattr(bar, name) for name in _FIELDS) for bar in bars}


def _bars_of_terminal(posted: BarArrays) -> dict[int, tuple[float, ...]]:
    columns = (getattr(posted, name).tolist() for name in _FIELDS)
    return dict(zip(posted.open_ms.tolist(), zip(*columns, strict=True), strict=True))
