"""Whether anything may be built on a bar set: the rule, and the refusal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.fx import Refused
from components.pipeline.quality_parts import CROSS_PARTS, PARTS, THRESHOLD, Quality, Stretch
from components.pipeline.recipe import BarSet, BarSetState

LEAST_CONFIDENCE = 0.5


@dataclass(frozen=True)
class Verdict:
    """``trusted`` or ``quarantined``, why, and the days that are bad by themselves (also in a set that is trusted as a whole)."""

    state: BarSetState
    reasons: tuple[str, ...] = ()
    quarantined_stretches: tuple[Stretch, ...] = ()


def verdict(quality: Quality, made_by: Mapping[str, Any] | None = None) -> Verdict:
    """Judge a history by its quality and by where it comes from.

    Parameters
    ----------
    quality : Quality
        As examined, with cross-checks where there are some.
    made_by : mapping, optional
        A bar set's `made_by`: the clocks of its pieces, ``pieces[…]["facts"]["clock"]["confidence"]``, are looked at.

    Returns
    -------
    Verdict
        ``quarantined`` where the score is below 80, a part has a larger share than its own limit (`PARTS`), the weeks begin or end at the
        wrong hour, a comparison fits better when moved in time, or a clock was inferred with a confidence below 0.5. Daily and weekly bars
        tell nothing about the hour, so their clock is not held against them.
    """
    reasons = []
    if quality.score < THRESHOLD:
        worst = sorted((part for part in quality.parts if part.points >= 0.05), key=lambda part: -part.points)[:3]
        named = ", ".join(f"{part.name.replace('_', ' ')} −{part.points:.1f}" for part in worst)
        reasons.append(f"the score {quality.score:.2f} is below {THRESHOLD:g}" + (f" ({named})" if named else ""))
    for part in quality.parts:
        rule = PARTS.get(part.name) or CROSS_PARTS.get(part.name)
        # A shift is told in the words of its comparison, below.
        if rule is not None and part.name != "shift" and part.count and part.share > rule.most:
            words = f"{part.name.replace('_', ' ')}: {part.count:,} bars are {part.share:.2%}; at most {rule.most:.2%} are let pass"
            reasons.append(f"{words} ({rule.reason})")
    if quality.clock:
        reasons.append(quality.clock)
    reasons += [str(check["words"]) for check in quality.shifts]
    if quality.timeframe not in ("D1", "W1"):
        reasons += _unsure_clocks(made_by or {})
    return Verdict("quarantined" if reasons else "trusted", tuple(reasons), quality.quarantined_stretches)


def _unsure_clocks(made_by: Mapping[str, Any]) -> Iterator[str]:
    for piece in made_by.get("pieces", ()):
        clock = (piece.get("facts") or {}).get("clock")
        confidence = clock.get("confidence") if isinstance(clock, Mapping) else None
        if confidence is not None and confidence < LEAST_CONFIDENCE:
            words = f"the clock of {piece.get('key', 'a piece')} is known with a confidence of {confidence:.2f} only; {LEAST_CONFIDENCE} is needed"
            yield f"{words}. Compare it with a source whose clock is known, or give the clock by hand"
            return


def refuse_quarantined(bar_set: BarSet) -> None:
    """Let a bar set pass that is trusted, or that a person released.

    Raises
    ------
    Refused
        With the code ``quarantined``, if it is neither; the message says why and how to release it.
    """
    if bar_set.state != "quarantined":
        return
    judged = bar_set.quality.get("verdict") or {}
    reasons = list(judged.get("reasons", ())) or ["a person said so; see: sequence quality states " + bar_set.id]
    shown = "; ".join(str(one) for one in reasons[:3]) + (f"; and {len(reasons) - 3} more" if len(reasons) > 3 else "")
    raise Refused(
        "quarantined",
        f"bar set {bar_set.id} ({bar_set.symbol} {bar_set.timeframe} of {bar_set.source}) is quarantined and nothing is built on it: {shown}. "
        f'Repair it (sequence quality proposals {bar_set.id}), or release it: sequence quality release {bar_set.id} --reason "why it may be used"',
    )
