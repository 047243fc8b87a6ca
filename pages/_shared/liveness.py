"""Whether the desk keeps up with its ticks: the last bar that it dealt with beside the newest tick."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from components.base import now_ms
from components.desk import Deployment
from pages._shared import stores

GRACE_MS = 5_000


@dataclass(frozen=True)
class Liveness:
    """One deployment: `bar_ms` opens the last bar that was dealt with, `waiting_bar_ms` the first one that ticks have closed since.

    `word` is ``disarmed``, ``no ticks yet``, ``up to date`` or ``behind``.
    """

    word: str
    bar_ms: int | None
    decided_ms: int | None
    outcome: str
    waiting_bar_ms: int | None


def liveness_of(deployment: Deployment) -> Liveness:
    """How far the desk is with a deployment.

    A bar that ticks have closed and that has not been dealt with `GRACE_MS` later, by the wall clock, makes it ``behind``. Ticks are stored
    without the time of their arrival, so the grace begins when a page sees the bar wait for the first time.
    """
    tick = stores.ticks().latest(deployment.account_id, deployment.symbol)
    last = stores.desk().last_bar(deployment.id)
    waiting = None
    if tick is not None and deployment.state == "armed":
        after = stores.ticks().since(deployment.account_id, deployment.symbol, last.last_seq if last else 0, 1)
        if len(after.seq):
            first_bar = deployment.timeframe.open_ms(int(after.time_ms[0]))
            waiting = first_bar if first_bar < deployment.timeframe.open_ms(tick.time_ms) else None
    if deployment.state != "armed":
        word = "disarmed"
    elif tick is None:
        word = "no ticks yet"
    else:
        word = "behind" if _waits_long(deployment.id, waiting) else "up to date"
    return Liveness(word, last.open_ms if last else None, last.decided_ms if last else None, last.outcome if last else "–", waiting)


@st.cache_resource(show_spinner=False)
def _first_seen() -> dict[str, tuple[int, int]]:
    """By deployment: the bar that waits and when a page saw it first; one for all visits, so that a reload starts no new grace."""
    return {}


def _waits_long(deployment_id: str, waiting_bar_ms: int | None) -> bool:
    seen, now = _first_seen(), now_ms()
    if waiting_bar_ms is None:
        seen.pop(deployment_id, None)
        return False
    bar_ms, since_ms = seen.get(deployment_id, (waiting_bar_ms, now))
    if bar_ms != waiting_bar_ms:
        since_ms = now
    seen[deployment_id] = (waiting_bar_ms, since_ms)
    return now - since_ms >= GRACE_MS
