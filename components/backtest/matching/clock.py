"""The broker's clock, told from its trades: the one under which most of them stand beside ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from components.pipeline import BrokerClock

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MINUTES = tuple(range(-12 * 60, 14 * 60 + 1, 30))
# A market order fills in the first moments of its bar: within a twentieth of it, and within two minutes.
PROMPT, PROMPT_MS = 0.05, 120_000
EARLY_MS = 1_000
# Prices this many points apart are half as likely to be the same fill.
PRICE_POINTS = 20.0


@dataclass(frozen=True)
class FoundClock:
    """A clock, and how sure it is.

    Parameters
    ----------
    clock : BrokerClock
    confidence : float
        0 to 1: the share of trades that it explains, times ``1 - 2 ** -s`` where s is the number of trades by which it explains more than the
        next clock that would give these trades other times.
    explained : float
        Sum of the trades' agreement, at most the number of trades.
    others : tuple of str
        Clocks that give these trades the same times.
    """

    clock: BrokerClock
    confidence: float
    explained: float
    others: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {
            "clock": str(self.clock.eras[-1]),
            "rule": self.clock.rule,
            "winter_minutes": self.clock.offset_winter_minutes,
            "confidence": round(self.confidence, 4),
            "explained_trades": round(self.explained, 2),
            "same_here": list(self.others),
        }


def find_clock(ours: pd.DataFrame, theirs: pd.DataFrame, bar_ms: int, point: float) -> FoundClock:
    """The clock of a broker from its trades and ours.

    Parameters
    ----------
    ours, theirs : DataFrame
        Trades; `ours` with ``entry_time`` in UTC (the open of the bar of the fill), `theirs` with ``entry_raw_ms`` by the broker's clock.
    bar_ms : int
        Length of our bars, milliseconds.
    point : float
        Smallest price difference.

    Returns
    -------
    FoundClock
        Offsets from UTC−12 to UTC+14 in half hours are tried with American, European and no dates of summer time. A trade of theirs speaks for a
        clock if one of ours on the same side entered in that bar: fully in its first moments, half as much later in it, and less the further
        the prices are apart. Where clocks tie, UTC comes first, then whole hours, then American dates, European ones and none.
    """
    from components.pipeline import BrokerClock

    raw = theirs["entry_raw_ms"].to_numpy(dtype=np.int64)
    order = np.argsort(raw, kind="stable")
    raw, side, price = raw[order], theirs["side"].to_numpy()[order], theirs["entry_price"].to_numpy(dtype=np.float64)[order]
    own = {one: _sorted(ours[ours["side"] == one]) for one in (-1, 1)}
    tried: list[tuple[float, tuple[bool, bool, int, int], BrokerClock, Ints]] = []
    for minutes in MINUTES:
        for place, rule in enumerate(("us", "eu", "none")):
            clock = BrokerClock.named(rule, minutes)  # type: ignore[arg-type]
            utc = clock.to_utc(raw) if len(raw) else raw
            score = sum(_agreement(utc[side == one], price[side == one], *own[one], bar_ms, point) for one in (-1, 1))
            is_utc = minutes == 0 and rule == "none"
            tried.append((score, (not is_utc, minutes % 60 != 0, place, abs(minutes)), clock, utc))
    tried.sort(key=lambda one: (-round(one[0], 6), one[1]))
    best, _, clock, utc = tried[0]
    same = [one for one in tried[1:] if len(raw) and np.array_equal(one[3], utc)]
    second = next((one[0] for one in tried[1:] if not np.array_equal(one[3], utc)), 0.0)
    few = max(1, min(len(ours), len(theirs)))
    confidence = min(1.0, best / few) * (1.0 - 2.0 ** -(best - max(0.0, second)))
    return FoundClock(clock, float(confidence), float(best), tuple(str(one[2].eras[-1]) for one in same))


def _sorted(trades: pd.DataFrame) -> tuple[Ints, Floats]:
    at = pd.DatetimeIndex(trades["entry_time"]).as_unit("ms").asi8
    order = np.argsort(at, kind="stable")
    return at[order], trades["entry_price"].to_numpy(dtype=np.float64)[order]


def _agreement(utc: Ints, price: Floats, at: Ints, own_price: Floats, bar_ms: int, point: float) -> float:
    if not len(utc) or not len(at):
        return 0.0
    best = np.zeros(len(utc))
    place = np.searchsorted(at, utc + EARLY_MS, side="right") - 1
    # The last of ours that could be it, and the ones before it: several may have entered in the same bar.
    for back in range(3):
        k = place - back
        late = utc - at[np.maximum(k, 0)]
        prompt = late <= min(PROMPT_MS, PROMPT * bar_ms)
        time = np.where(prompt, 1.0, np.where(late < bar_ms, 0.5 * (1.0 - late / bar_ms), 0.0))
        near = 1.0 / (1.0 + (np.abs(price - own_price[np.maximum(k, 0)]) / (PRICE_POINTS * point)) ** 2)
        best = np.maximum(best, np.where(k >= 0, time * near, 0.0))
    return float(best.sum())
