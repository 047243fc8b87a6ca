"""What the quality score is made of: the table of weights, and the values that it is told in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

EXAMPLES_KEPT = 10
GAPS_KEPT = 100
STRETCHES_KEPT = 200
THRESHOLD = 80.0


@dataclass(frozen=True)
class PartRule:
    """One line of the table.

    ``weight``: points lost when every bar has the fault. ``most``: share of bars above which a history is quarantined whatever its score.
    ``reason``: what the part counts, and why it weighs what it does.
    """

    weight: float
    most: float
    reason: str


# A wrong price does more harm than a hole, a hole more than a bar that nobody asked for. A share of a fault costs weight x share.
PARTS: dict[str, PartRule] = {
    "missing": PartRule(100.0, 0.2, "expected bars that are not there; half a history is half its worth"),
    "quiet": PartRule(20.0, 1.0, "minutes without a bar where the bars around hardly move: there was no tick, so next to nothing is lost"),
    "repeats": PartRule(100.0, 0.1, "the same open time again with the same prices; harmless once dropped, but a sign of careless joining"),
    "conflicts": PartRule(300.0, 0.01, "the same open time again with other prices: one of the two is wrong and nobody knows which"),
    "disorder": PartRule(300.0, 0.01, "bars that come after a later one: the time is not what the file says"),
    "bad_time": PartRule(1000.0, 0.01, "rows without a time, or of the future; they cannot be placed"),
    "off_grid": PartRule(100.0, 0.01, "open times at which no bar of the timeframe opens: another timeframe, or a clock that is off by minutes"),
    "bad_ohlc": PartRule(1000.0, 0.01, "a price that is not positive, or outside low and high, or a negative volume: the row is no bar"),
    "spikes": PartRule(
        300.0, 0.005, "a price far off that the next bar takes back, with quiet bars around: a misprint that stops and targets would trade on"
    ),
    "jumps": PartRule(100.0, 0.005, "a price on the other side of a hole that is too far off to have walked there: two sources were joined"),
    "stale": PartRule(100.0, 0.05, "runs in which nothing moves for longer than the hour ever does: the feed was frozen, so the bars say nothing"),
    "spreads": PartRule(
        50.0, 0.1, "spreads negative, unknown, zero, or above 10 times the median of their hour of the week: the cost of trading is wrong"
    ),
    "zero_volume": PartRule(20.0, 0.25, "bars without a tick in a history that counts ticks: filled in by someone"),
    "outside": PartRule(10.0, 0.02, "bars while the market was closed; they are rarely traded on"),
    "digits": PartRule(5.0, 1.0, "bars with another number of decimals than most: older and coarser quotes, or computed ones"),
    "repaired": PartRule(50.0, 0.2, "bars that a repair changed or made; better than what was there, but no observation"),
}
# What comparisons with other bars cost, see `with_cross_checks`; not among the parts of a history that was never compared.
CROSS_PARTS: dict[str, PartRule] = {
    "cross": PartRule(
        50.0, 0.2, "bars that differ from another source, or from the pairs that make the cross, beyond tolerance; the worst comparison"
    ),
    "shift": PartRule(50.0, 0.0, "comparisons that fit better when one side is moved in time: a clock is wrong, or a part of it"),
}


@dataclass(frozen=True)
class Example:
    """Where a fault is: open time in epoch milliseconds UTC (None: it has none) and the value that is wrong."""

    at_ms: int | None
    value: float | None

    def __str__(self) -> str:
        when = "no time" if self.at_ms is None else f"{datetime.fromtimestamp(self.at_ms / 1000, UTC):%Y-%m-%d %H:%M}"
        return when if self.value is None else f"{when}: {self.value:.10g}"


@dataclass(frozen=True)
class Part:
    """One fault of a history: how many bars have it, their share, the points of 100 that it costs, what it is, and the first ones.

    ``examples`` are `Example` in words, as they are shown; ``at_ms`` the open times of the same, epoch milliseconds UTC.
    """

    name: str
    count: int
    share: float
    points: float
    reason: str
    examples: tuple[str, ...] = ()
    at_ms: tuple[int | None, ...] = ()


@dataclass(frozen=True)
class Gap:
    """Expected bars that are missing in a row: open times of the first and last one in epoch milliseconds UTC, and their number."""

    first_ms: int
    last_ms: int
    bars: int


@dataclass(frozen=True)
class Stretch:
    """Trading days in a row of which each by itself scores below the threshold: open times of the first and last bar with a fault, in epoch
    milliseconds UTC, the worst day's score, and why."""

    first_ms: int
    last_ms: int
    score: float
    reason: str


@dataclass(frozen=True)
class Quality:
    """The score of a history and its parts.

    ``score`` is 100 less the points of every part, rounded down, never below 0; a part costs its weight times the share of bars that have
    it. ``rows`` were delivered, ``usable`` are bars; ``present`` of ``expected`` bars are there, ``completeness`` is that share. ``gaps``
    are the longest holes (at most 100, in order of time), ``gap_count`` all of them. The single counts (``duplicates`` to ``outside``) are
    those of the parts; ``duplicates`` are ``repeats`` and ``conflicts`` together. ``breaks`` says in words which daily pauses were inferred
    and are not expected, ``clock`` when weeks begin or end at the wrong hour. ``quarantined_stretches`` are the days that by themselves
    score below 80 (at most 200). ``cross`` holds what comparisons with other bars found, see `with_cross_checks`.
    """

    score: float
    rows: int
    expected: int
    completeness: float
    gap_count: int
    gaps: tuple[Gap, ...]
    duplicates: int
    disorder: int
    bad_ohlc: int
    spikes: int
    stale: int
    outside: int
    timeframe: str = ""
    symbol: str = ""
    usable: int = 0
    present: int = 0
    parts: tuple[Part, ...] = ()
    breaks: tuple[str, ...] = ()
    clock: str = ""
    digits: int | None = None
    quarantined_stretches: tuple[Stretch, ...] = ()
    cross: tuple[dict[str, Any], ...] = field(default=())

    def part(self, name: str) -> Part:
        """The part of that name; one of no bars where it is not listed."""
        return next((one for one in self.parts if one.name == name), Part(name, 0, 0.0, 0.0, ""))

    @property
    def held_against(self) -> tuple[dict[str, Any], ...]:
        """The comparisons that can speak against this history: not a triangle that another pair's clock keeps open. Which of two sources is
        wrong cannot be told, so a comparison of two is held against both."""
        return tuple(
            check for check in self.cross if not (_is_moved(check) and check["kind"] == "triangle" and check["shifted_series"] != self.symbol)
        )

    @property
    def shifts(self) -> tuple[dict[str, Any], ...]:
        """The comparisons that speak against this history's clock."""
        return tuple(check for check in self.held_against if _is_moved(check))

    def as_dict(self) -> dict[str, Any]:
        """The parts as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Quality:
        """What `as_dict` gave (a bar set keeps it); unknown keys are left aside."""
        known = {name: document[name] for name in cls.__dataclass_fields__ if name in document}
        known["gaps"] = tuple(Gap(**one) for one in known.get("gaps", ()))
        known["parts"] = tuple(
            Part(**{**one, "examples": tuple(one.get("examples", ())), "at_ms": tuple(one.get("at_ms", ()))}) for one in known.get("parts", ())
        )
        known["quarantined_stretches"] = tuple(Stretch(**one) for one in known.get("quarantined_stretches", ()))
        known["breaks"] = tuple(known.get("breaks", ()))
        known["cross"] = tuple(known.get("cross", ()))
        return cls(**known)


def _is_moved(check: Mapping[str, Any]) -> bool:
    return bool(check["shift_minutes"] or check["shifted"])


def make_part(name: str, count: int, base: int, examples: tuple[Example, ...] = ()) -> Part:
    """A part of the table for `count` of `base` bars."""
    rule = PARTS.get(name) or CROSS_PARTS[name]
    share = min(1.0, count / base) if base else float(count > 0)
    return Part(name, count, share, rule.weight * share, rule.reason, tuple(str(one) for one in examples), tuple(one.at_ms for one in examples))


def score_of(points: float) -> float:
    """100 less the points lost, with two decimals, rounded down: only a history without any fault scores 100."""
    return max(0.0, math.floor((100.0 - points) * 100 + 1e-6) / 100)
