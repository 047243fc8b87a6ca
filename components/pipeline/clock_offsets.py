"""What a broker's wall clock showed, and which instant that was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, cast, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from components.fx import BadInput

Ints = NDArray[np.int64]
Rule = Literal["us", "eu", "none"]
RULES: Final[tuple[Rule, ...]] = get_args(Rule)
CLOCK_VERSION = 1
SETTLED = 0.5
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
# Where summer time is read off, and the minutes from UTC that mean winter there. London changes with the rest of Europe, at 01:00 UTC.
_ZONES: Final[Mapping[str, tuple[str, int]]] = {"us": ("America/New_York", -300), "eu": ("Europe/London", 0)}
_DATES: Final[Mapping[str, str]] = {"us": "American", "eu": "European"}


@dataclass(frozen=True)
class Era:
    """A time in which the clock followed one rule.

    `from_raw_ms` is the first time read with it, as the clock showed it; `winter_minutes` the clock's minutes ahead of UTC in winter. In
    summer, by the dates of the `rule`, it is an hour more; with ``"none"`` it is the same all year.
    """

    from_raw_ms: int
    rule: Rule
    winter_minutes: int

    @property
    def summer_minutes(self) -> int:
        """Minutes ahead of UTC in summer."""
        return self.winter_minutes + (0 if self.rule == "none" else 60)

    def __str__(self) -> str:
        if self.rule == "none":
            return f"{_utc(self.winter_minutes)} all year"
        return f"{_utc(self.winter_minutes)}, {_utc(self.summer_minutes)} in summer by the {_DATES[self.rule]} dates"


class Alternative(NamedTuple):
    """Another clock that explains the bars as well; `is_same_here` where it gives these bars the same UTC times."""

    rule: Rule
    winter_minutes: int
    explained_weeks: int
    is_same_here: bool


@dataclass(frozen=True)
class BrokerClock:
    """How a broker's wall clock becomes UTC, and how sure that is.

    Raw times are epoch milliseconds of the wall clock, read as if it were UTC.

    Parameters
    ----------
    eras : tuple of Era
        In order of time; the first one also reads what lies before it, the last one what comes after.
    segments : tuple of (raw_from_ms, offset_minutes)
        The offsets that the bars met, each from the first raw time read with it; a record for people.
    confidence : float
        0 to 1, that these bars get the right UTC: the share of their weekends that the clock explains, times the share of the closes and
        openings in them that are the market's and not hidden behind the server's midnight, times ``1 - 2 ** -s`` where s is the number of
        weekends that no other clock explains, among the clocks that would give these bars other times. A clock that somebody named has 1.
    weeks, explained_weeks, separating_weeks : int
        The weekends in the bars, those that the clock explains, and s.
    opens_late_minutes : int
        60 where the week opens an hour after the currencies (metals, many indices), else 0.
    alternatives : tuple of Alternative
        Other clocks that explain the bars as well.
    version : int
        Of the way it was found; times converted by another version may differ.
    """

    eras: tuple[Era, ...]
    segments: tuple[tuple[int, int], ...] = ()
    confidence: float = 1.0
    weeks: int = 0
    explained_weeks: int = 0
    separating_weeks: int = 0
    opens_late_minutes: int = 0
    alternatives: tuple[Alternative, ...] = ()
    version: int = CLOCK_VERSION

    def __post_init__(self) -> None:
        if not self.eras or any(era.rule not in RULES for era in self.eras):
            raise BadInput("clock", f"{self.eras!r} is no list of eras with a rule of {', '.join(RULES)}")
        if any(abs(era.winter_minutes) > 15 * 60 for era in self.eras):
            raise BadInput("clock", "no clock is more than 15 hours from UTC; give the offset in minutes")

    @classmethod
    def named(cls, rule: Rule, winter_minutes: int) -> BrokerClock:
        """The clock that somebody knows: ``named("us", 120)`` is UTC+2, and UTC+3 in American summer."""
        return cls((Era(0, rule, winter_minutes),))

    @property
    def rule(self) -> Rule:
        """The newest rule of summer time: ``"us"``, ``"eu"`` or ``"none"``."""
        return self.eras[-1].rule

    @property
    def offset_winter_minutes(self) -> int:
        """The newest minutes ahead of UTC in winter."""
        return self.eras[-1].winter_minutes

    @property
    def offset_summer_minutes(self) -> int:
        """The newest minutes ahead of UTC in summer."""
        return self.eras[-1].summer_minutes

    @property
    def is_ambiguous(self) -> bool:
        """Whether another rule explains the bars as well, so that this one may fail on later bars."""
        return bool(self.alternatives) or self.confidence == 0.0

    @property
    def is_settled(self) -> bool:
        """Whether the UTC times of these bars can be relied on (confidence of a half and more), whichever of the clocks that explain them it is."""
        return self.confidence >= SETTLED

    def __str__(self) -> str:
        clock = "; then ".join(str(era) for era in self.eras)
        if not self.weeks:
            return f"{clock} (as named)" if self.confidence == 1.0 else f"unknown: the bars hold no weekend; {clock} is only assumed"
        words = f"{clock} ({self.explained_weeks} of {self.weeks} weekends explained, {self.separating_weeks} of them by nothing else)"
        if not self.is_settled:
            return f"{words}; not certain: " + (
                f"{len(self.alternatives)} others explain them as well" if self.alternatives else "too few weekends show the market's own hours"
            )
        return f"{words}; {len(self.alternatives)} others give these bars the same times" if self.alternatives else words

    def to_utc(self, raw_ms: ArrayLike) -> Ints:
        """Epoch milliseconds UTC of raw times in file order, shape (n,) to (n,).

        Notes
        -----
        In autumn an hour is shown twice. Its rows are taken for the first time round up to the place where the file steps back, and for the
        second time after it; a file that shows the hour once gets the first. A raw time in the hour that spring leaves out is read as winter.
        """
        raw = np.atleast_1d(np.asarray(raw_ms))
        if len(raw) and raw.dtype.kind not in "iu":
            raise BadInput("raw_ms", f"times are {raw.dtype}, not whole milliseconds")
        raw = raw.astype(np.int64, copy=False)
        if len(self.eras) == 1:
            return _to_utc(raw, self.eras[0])
        utc = np.empty(len(raw), dtype=np.int64)
        place = np.maximum(np.searchsorted([era.from_raw_ms for era in self.eras], raw, side="right") - 1, 0)
        for number, era in enumerate(self.eras):
            utc[place == number] = _to_utc(raw[place == number], era)
        return utc

    def offset_minutes(self, raw_ms: ArrayLike) -> Ints:
        """Minutes ahead of UTC at each raw time in file order, shape (n,) to (n,)."""
        raw = np.atleast_1d(np.asarray(raw_ms)).astype(np.int64, copy=False)
        return (raw - self.to_utc(raw)) // MINUTE_MS

    def offset_minutes_at(self, utc_ms: int) -> int:
        """Minutes ahead of UTC at an instant, epoch milliseconds UTC."""
        met = [era for era in self.eras if utc_ms >= era.from_raw_ms - era.winter_minutes * MINUTE_MS] or [self.eras[0]]
        return met[-1].summer_minutes if is_summer(np.array([utc_ms]), met[-1].rule)[0] else met[-1].winter_minutes

    def as_dict(self) -> dict[str, Any]:
        """The clock as JSON can hold it, with the words for people under ``words``."""
        return {
            "version": self.version,
            "words": str(self),
            "rule": self.rule,
            "offset_winter_minutes": self.offset_winter_minutes,
            "offset_summer_minutes": self.offset_summer_minutes,
            "confidence": self.confidence,
            "is_ambiguous": self.is_ambiguous,
            "is_settled": self.is_settled,
            "weeks": self.weeks,
            "explained_weeks": self.explained_weeks,
            "separating_weeks": self.separating_weeks,
            "opens_late_minutes": self.opens_late_minutes,
            "eras": [[era.from_raw_ms, era.rule, era.winter_minutes] for era in self.eras],
            "segments": [list(segment) for segment in self.segments],
            "alternatives": [list(other) for other in self.alternatives],
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> BrokerClock:
        """The clock that `as_dict` wrote.

        Raises
        ------
        BadInput
            If something is missing in it or is not what it should be.
        """
        try:
            return cls(
                tuple(Era(int(at), cast(Rule, str(rule)), int(minutes)) for at, rule, minutes in stored["eras"]),
                tuple((int(at), int(minutes)) for at, minutes in stored["segments"]),
                float(stored["confidence"]),
                int(stored["weeks"]),
                int(stored["explained_weeks"]),
                int(stored["separating_weeks"]),
                int(stored["opens_late_minutes"]),
                tuple(Alternative(cast(Rule, str(rule)), int(a), int(b), bool(same)) for rule, a, b, same in stored["alternatives"]),
                int(stored["version"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput("clock", f"is not a stored broker clock: {error!r}") from None


@dataclass(frozen=True)
class ClockComparison:
    """A clock that was inferred beside the one that a terminal told: minutes ahead of UTC of both, and in words what that means."""

    agrees: bool
    inferred_minutes: int
    told_minutes: int
    words: str


def compare_clocks(clock: BrokerClock, told_offset_ms: int, at_ms: int) -> ClockComparison:
    """Whether a terminal's own clock is the one inferred from bars.

    Parameters
    ----------
    clock : BrokerClock
        From bars of the same broker.
    told_offset_ms : int
        The terminal's server time less UTC, in milliseconds, as it reported it; off by seconds where its computer's clock is.
    at_ms : int
        When it reported that, epoch milliseconds UTC.
    """
    inferred = clock.offset_minutes_at(at_ms)
    # Offsets are quarter hours; what is left is the error of the clocks.
    told = round(told_offset_ms / (15 * MINUTE_MS)) * 15
    at = pd.Timestamp(at_ms, unit="ms").isoformat(timespec="minutes")
    if told == inferred:
        sure = "" if clock.is_settled else ", though the bars alone left that open"
        return ClockComparison(True, inferred, told, f"the terminal's clock and the bars agree: {_utc(told)} on {at}{sure}")
    others = sorted(
        {f"{_utc(o.winter_minutes)} {o.rule}" for o in clock.alternatives if _minutes_at(Era(0, o.rule, o.winter_minutes), at_ms) == told}
    )
    way = f"; the bars would also allow {', '.join(others)}" if others else "; one of them is wrong, or the bars are another broker's"
    return ClockComparison(
        False,
        inferred,
        told,
        f"the terminal's clock is {_utc(told)} on {at}, the bars say {_utc(inferred)}, {abs(told - inferred)} minutes apart{way}",
    )


def is_summer(utc_ms: Ints, rule: Rule) -> NDArray[np.bool_]:
    """Whether the dates of a rule say summer at each instant, epoch milliseconds UTC, shape (n,) to (n,); never with ``"none"``."""
    if rule == "none":
        return np.zeros(len(utc_ms), dtype=np.bool_)
    times, summer = _switches(rule)
    found: NDArray[np.bool_] = summer[np.searchsorted(times, utc_ms, side="right")]
    return found


def segments_of(eras: tuple[Era, ...], first_raw_ms: int, last_raw_ms: int) -> tuple[tuple[int, int], ...]:
    """Every offset that a clock showed between two raw times, as (first raw time, minutes ahead of UTC)."""
    found: list[tuple[int, int]] = []
    for era, until in zip(eras, [*(era.from_raw_ms for era in eras[1:]), last_raw_ms + 1], strict=True):
        begin = max(era.from_raw_ms, first_raw_ms)
        utc = int(_to_utc(np.array([begin], dtype=np.int64), era)[0])
        found.append((begin, (begin - utc) // MINUTE_MS))
        times = _switches(era.rule)[0] if era.rule != "none" else np.empty(0, dtype=np.int64)
        for at in times[(times > utc) & (times < until + 15 * HOUR_MS)].tolist():
            minutes = _minutes_at(era, at)
            if at + minutes * MINUTE_MS < until:
                found.append((at + minutes * MINUTE_MS, minutes))
    return tuple(segment for k, segment in enumerate(found) if not k or segment[1] != found[k - 1][1])


def _to_utc(raw: Ints, era: Era) -> Ints:
    as_winter = raw - era.winter_minutes * MINUTE_MS
    if era.rule == "none":
        return as_winter
    as_summer = as_winter - HOUR_MS
    summer_before, summer_after = is_summer(as_summer, era.rule), is_summer(as_winter, era.rule)
    utc = np.where(summer_before & summer_after, as_summer, as_winter)
    twice = np.flatnonzero(summer_before & ~summer_after)
    if len(twice):
        # Each autumn by itself: its hour is shown twice within a few rows, the next autumn's comes a year later.
        autumns = np.split(twice, np.flatnonzero(abs(np.diff(raw[twice])) > 24 * HOUR_MS) + 1)
        for rows in autumns:
            back = np.flatnonzero(np.diff(raw[rows]) < 0)
            first_time = rows[: back[0] + 1] if len(back) else rows
            utc[first_time] = as_summer[first_time]
    return utc


def _minutes_at(era: Era, utc_ms: int) -> int:
    return era.summer_minutes if is_summer(np.array([utc_ms]), era.rule)[0] else era.winter_minutes


@lru_cache(maxsize=4)
def _switches(rule: str) -> tuple[Ints, NDArray[np.bool_]]:
    """The instants of a rule's clock changes from 1970 to 2100, and whether it is summer before, between and after them."""
    zone, winter = _ZONES[rule]
    hours = np.arange(0, int(pd.Timestamp("2100-01-01").timestamp()) * 1000, HOUR_MS, dtype=np.int64)
    local = pd.DatetimeIndex(pd.to_datetime(hours, unit="ms", utc=True)).tz_convert(zone).tz_localize(None).as_unit("ms").asi8
    summer = local - hours != winter * MINUTE_MS
    at = np.flatnonzero(summer[1:] != summer[:-1]) + 1
    return hours[at], np.concatenate((summer[:1], summer[at]))


def _utc(minutes: int) -> str:
    sign = "-" if minutes < 0 else "+"
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{sign}{hours}" + (f":{rest:02d}" if rest else "")
