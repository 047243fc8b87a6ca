"""Whether the desk keeps up with its ticks: the last bar that it dealt with beside the newest tick."""

from __future__ import annotations

from dataclasses import dataclass

from components.desk import Deployment
from pages._shared import stores


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
    """How far the desk is with a deployment; a bar that ticks have closed and that is not dealt with makes it ``behind``."""
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
        word = "up to date" if waiting is None else "behind"
    return Liveness(word, last.open_ms if last else None, last.decided_ms if last else None, last.outcome if last else "–", waiting)
