"""Which clock a broker's bars were stamped with, from the bars alone: the market's week opens and closes at five in New York."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from components.fx import BadInput
from components.pipeline.clock_check import ClockCheck, SeasonCheck, confirm_clock, detect_day
from components.pipeline.clock_offsets import (
    CLOCK_VERSION,
    HOUR_MS,
    MINUTE_MS,
    RULES,
    Alternative,
    BrokerClock,
    ClockComparison,
    Era,
    Ints,
    Rule,
    compare_clocks,
    is_summer,
    segments_of,
)

__all__ = [
    "CLOCK_VERSION",
    "Alternative",
    "BrokerClock",
    "ClockCheck",
    "ClockComparison",
    "Era",
    "Rule",
    "SeasonCheck",
    "compare_clocks",
    "confirm_clock",
    "detect_day",
    "infer_clock",
]

Floats = NDArray[np.float64]
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS
# 1970-01-01 was a Thursday: places in the week, counted from it.
FRIDAY_FIVE, SATURDAY_NOON, SUNDAY_FIVE = DAY_MS + 17 * HOUR_MS, 2 * DAY_MS + 12 * HOUR_MS, 3 * DAY_MS + 17 * HOUR_MS
# The first bar of a week may come late and the last one early; hardly a quote falls outside the hours.
SLACK_MS, STRAY_MS = 20 * MINUTE_MS, 5 * MINUTE_MS
CLIP_MS = 3 * HOUR_MS
EXACT, CONTAINED, CLIPPED, SHORT = 1.0, 0.8, 0.75, 0.25
# Another era must explain this many weekends more than going on with the one before.
CHANGE_COST = 2.5
BREAK_SHARE = 0.8
LISTED = 12


@dataclass(frozen=True)
class _Weekends:
    """When each week closed and the next one opened, in raw time, and the length of the bars."""

    close: Ints
    open: Ints
    length: int


def infer_clock(raw_open_ms: ArrayLike, timeframe_ms: int) -> BrokerClock:
    """The broker's clock from the open times of its bars.

    Parameters
    ----------
    raw_open_ms : array of int, shape (n,)
        Open times as the broker's wall clock showed them, as epoch milliseconds as if that were UTC; in file order.
    timeframe_ms : int
        Length of the bars in milliseconds; 0 for ticks.

    Returns
    -------
    BrokerClock
        The one that explains the most weekends, with its confidence and the clocks that explain as many. Bars without a weekend give
        confidence 0 (UTC is assumed), and so do daily bars, which tell whole days only. H4 bars tell the offset to a few hours.

    Raises
    ------
    BadInput
        If the times are not whole milliseconds, or there are none.

    Notes
    -----
    The FX week opens on Sunday and closes on Friday at 17:00 New York; metals and many indices open an hour later and rest for that hour
    every day. Tried are the offsets from UTC-12 to UTC+14 in half hours (whole ones for bars of an hour and more), each with American dates of summer time, European dates and none.
    American and European dates differ by two or three weeks in March and one in autumn: those weekends decide between them. A clock explains
    a weekend if the close comes at five or at most 20 minutes before it, and the opening at most 20 minutes after. A server that hides Sunday
    opens at its own midnight: that opening is explained if the market's lies less than three hours before it, and likewise a close at
    midnight. Bars in hours in which the market is closed are never explained. A change of the clock's own rule is found where at least three
    weekends speak for it.
    """
    raw = np.atleast_1d(np.asarray(raw_open_ms))
    if not len(raw) or raw.dtype.kind not in "iu":
        raise BadInput("raw_open_ms", "there are no times" if not len(raw) else f"times are {raw.dtype}, not whole milliseconds")
    raw = raw.astype(np.int64, copy=False)
    ordered = raw if (raw[1:] >= raw[:-1]).all() else np.sort(raw)
    weekends = _weekends(ordered, int(timeframe_ms))
    if not len(weekends.close):
        return BrokerClock((Era(int(ordered[0]), "none", 0),), ((int(ordered[0]), 0),), confidence=0.0)
    rules, minutes = _candidates(timeframe_ms >= HOUR_MS)
    closes, opens, late_opens = _edge_scores(weekends, rules, minutes)
    late = 60 if _opens_late(ordered, weekends, closes, opens, late_opens, rules, minutes) else 0
    edges = np.stack((closes, late_opens if late else opens))
    path = _best_path(edges.mean(axis=0), rules, minutes)
    return _judged(ordered, weekends, edges, path, late, rules, minutes)


def _judged(ordered: Ints, weekends: _Weekends, edges: Floats, path: Ints, late: int, rules: tuple[Rule, ...], minutes: Ints) -> BrokerClock:
    explained = np.asarray((edges >= CLIPPED).all(axis=0))
    changes = np.concatenate(([0], np.flatnonzero(np.diff(path)) + 1, [len(path)]))
    begins = {0: int(ordered[0]), len(path): int(ordered[-1]) + 1}
    for change in changes[1:-1].tolist():
        # The clock changed on the first weekend that shows it, if that still closed by the old one, and else in the week before it.
        closed = edges[0][[path[change - 1], path[change]], change] >= CLIPPED
        begins[change] = int(weekends.open[change if closed[0] and not closed[1] else change - 1])
    days = ordered[np.concatenate(([True], np.diff(ordered // DAY_MS) > 0))]
    eras: list[Era] = []
    separating, alternatives = len(path), list[Alternative]()
    for start, stop in zip(changes[:-1].tolist(), changes[1:].tolist(), strict=True):
        chosen = int(path[start])
        begin, end = begins[start], begins[stop]
        eras.append(Era(begin, rules[chosen], int(minutes[chosen])))
        own = explained[chosen, start:stop]
        margins = (own & ~explained[:, start:stop]).sum(axis=1) - (explained[:, start:stop] & ~own).sum(axis=1)
        here = days[(days >= begin) & (days < end)]
        times = BrokerClock((eras[-1],)).to_utc(here)
        alternatives = []
        for other in np.argsort(margins, kind="stable").tolist():
            if other == chosen or (margins[other] > 0 and margins[other] >= separating):
                continue
            is_same = bool((BrokerClock((Era(0, rules[other], int(minutes[other])),)).to_utc(here) == times).all())
            if margins[other] <= 0:
                alternatives.append(Alternative(rules[other], int(minutes[other]), int(explained[other, start:stop].sum()), is_same))
            if not is_same:
                separating = min(separating, max(0, int(margins[other])))
    along = (path, np.arange(len(path)))
    count = int(explained[along].sum())
    seen = (edges[:, *along] != CLIPPED)[:, explained[along]].mean() if count else 0.0
    confidence = float(count / len(path) * seen * (1.0 - 2.0 ** -min(separating, count)))
    alternatives.sort(key=lambda other: (-other.explained_weeks, other.is_same_here, abs(other.winter_minutes - eras[-1].winter_minutes)))
    return BrokerClock(
        tuple(eras), segments_of(tuple(eras), int(ordered[0]), int(ordered[-1])), round(confidence, 4), len(path), count, min(separating, count), late,
        tuple(alternatives[:LISTED]),
    )  # fmt: skip


def _weekends(ordered: Ints, length: int) -> _Weekends:
    steps = np.diff(ordered)
    at = np.flatnonzero((steps > 36 * HOUR_MS) & (steps < 5 * DAY_MS))
    close, open_ = ordered[at] + length, ordered[at + 1]
    noon = SATURDAY_NOON + -((SATURDAY_NOON - close) // WEEK_MS) * WEEK_MS
    holds = noon < open_
    return _Weekends(close[holds], open_[holds], length)


@lru_cache(maxsize=2)
def _candidates(whole_hours: bool) -> tuple[tuple[Rule, ...], Ints]:
    minutes = np.arange(-12 * 60, 14 * 60 + 1, 60 if whole_hours else 30, dtype=np.int64)
    return tuple(rule for rule in RULES for _ in minutes), np.tile(minutes, len(RULES))


def _edge_scores(weekends: _Weekends, rules: tuple[Rule, ...], minutes: Ints) -> tuple[Floats, Floats, Floats]:
    """How well every candidate explains each close, each opening, and each opening of a market that opens an hour late; (candidates, weeks)."""
    scores = [np.empty((len(rules), len(weekends.close))) for _ in range(3)]
    for k, (rule, offset) in enumerate(zip(rules, minutes.tolist(), strict=True)):
        clock = BrokerClock((Era(0, rule, offset),))
        early = _from(-_in_new_york(clock.to_utc(weekends.close)), -FRIDAY_FIVE)
        scores[0][k] = _score(early, -weekends.close % DAY_MS, weekends.length)
        late = _from(_in_new_york(clock.to_utc(weekends.open)), SUNDAY_FIVE)
        for number, delay in ((1, 0), (2, HOUR_MS)):
            scores[number][k] = _score(late - delay, weekends.open % DAY_MS, weekends.length)
    return scores[0], scores[1], scores[2]


def _score(short: Ints, past_midnight: Ints, length: int) -> Floats:
    """Of one edge of every week, which stops short of the market's own edge by so much; negative where a bar reaches over it."""
    score = np.where(short > 0, SHORT, 0.0)
    score[(past_midnight <= SLACK_MS) & (short > 0) & (short <= CLIP_MS)] = CLIPPED
    score[(short < 0) & (short > -length)] = CONTAINED
    score[(short >= -STRAY_MS) & (short <= SLACK_MS)] = EXACT
    return score


def _opens_late(
    ordered: Ints, weekends: _Weekends, closes: Floats, opens: Floats, late_opens: Floats, rules: tuple[Rule, ...], minutes: Ints
) -> bool:
    """Whether the market opens at six in New York and rests from five to six every day. Early closes alone would look the same."""
    if not 0 <= weekends.length <= HOUR_MS:
        return False
    at_five, at_six = (((closes + edges) * ((closes >= CLIPPED) & (edges >= CLIPPED))).sum(axis=1) for edges in (opens, late_opens))
    if at_six.max() <= at_five.max():
        return False
    best = int(np.argmax(at_six))
    local = _in_new_york(BrokerClock((Era(0, rules[best], int(minutes[best])),)).to_utc(ordered))
    weekday = ((local // DAY_MS) + 3) % 7
    # A quote on the stroke of five belongs to the close.
    past_five = local % DAY_MS - 17 * HOUR_MS
    resting = (weekday < 4) & (past_five >= (0 if weekends.length == HOUR_MS else STRAY_MS)) & (past_five < HOUR_MS - STRAY_MS)
    days, broken = (len(np.unique(local[mask] // DAY_MS)) for mask in (weekday < 4, resting))
    return broken < BREAK_SHARE * days


def _best_path(scores: Floats, rules: tuple[Rule, ...], minutes: Ints) -> Ints:
    """The candidate of every weekend: the best sum of scores less the cost of each change (Viterbi's algorithm)."""
    # Where scores tie: whole hours first, American dates (most servers keep New York's midnight), European ones, none.
    prior = np.array([0.03 - 0.01 * RULES.index(rule) for rule in rules]) - 0.01 * (minutes % 60 != 0)
    prior[[k for k, rule in enumerate(rules) if rule == "none" and minutes[k] == 0]] = 0.04
    total = scores[:, 0] + prior
    came_from = np.empty(scores.shape, dtype=np.int64)
    for week in range(1, scores.shape[1]):
        best = int(np.argmax(total + prior))
        changed = total[best] - CHANGE_COST + prior > total
        came_from[:, week] = np.where(changed, best, np.arange(len(rules)))
        total = np.where(changed, total[best] - CHANGE_COST + prior, total) + scores[:, week]
    path = np.empty(scores.shape[1], dtype=np.int64)
    path[-1] = int(np.argmax(total))
    for week in range(scores.shape[1] - 1, 0, -1):
        path[week - 1] = came_from[path[week], week]
    return path


def _in_new_york(utc: Ints) -> Ints:
    return utc + np.where(is_summer(utc, "us"), -4 * HOUR_MS, -5 * HOUR_MS)


def _from(at: Ints, place: int) -> Ints:
    """How far an instant lies past a place in the week: between minus and plus half a week."""
    return (at - place + WEEK_MS // 2) % WEEK_MS - WEEK_MS // 2
