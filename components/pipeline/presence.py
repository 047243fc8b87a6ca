"""Which bars are there, against the calendar: what is missing, what lies outside the session, which pauses the symbol keeps.

Kept is one bit for each minute (or longer bar) of the weeks that were seen, so that ten years of minutes take well under a megabyte.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from components.fx import FX_DAY, BadInput, BrokerDay, Timeframe, bar_open_ms
from components.pipeline.broker_clock import detect_day
from components.pipeline.calendar import CLOSED, DAY_MS, HOUR_MS, OPEN, Break, Calendar, breaks_of
from components.pipeline.hour_grid import HOURS_OF_WEEK, WEEK_MS, weeks_of
from components.pipeline.quality_parts import EXAMPLES_KEPT, GAPS_KEPT, Gap

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

CHUNK_WEEKS = 64
# Where nine of ten long bars open with the calendar's day, no other day is looked for.
ALIGNED_SHARE = 0.99
# A hole is a quiet stretch while ticks come so rarely that it would be seen once in a thousand times, judged by the bars of one price.
QUIET_CHANCE = 1e-3
EDGE_MS, EDGE_LEAST_MS, EDGE_SHARE, EDGE_WEEKS = 12 * HOUR_MS, HOUR_MS // 2, 0.25, 3


@dataclass
class PresenceReport:
    """What the calendar says of the bars that are there. Counts are of bars; days are named by when they began, epoch milliseconds UTC."""

    expected: int = 0
    present: int = 0
    unexpected: int = 0
    missing: int = 0
    quiet: int = 0
    outside: int = 0
    gap_count: int = 0
    gaps: list[Gap] = field(default_factory=list)
    outside_ms: list[int] = field(default_factory=list)
    missing_ms: list[int] = field(default_factory=list)
    quiet_ms: list[int] = field(default_factory=list)
    breaks: list[Break] = field(default_factory=list)
    edge_weeks: tuple[int, int] = (0, 0)
    weeks: int = 0
    expected_of_day: Counter[int] = field(default_factory=Counter)
    missing_of_day: Counter[int] = field(default_factory=Counter)
    quiet_of_day: Counter[int] = field(default_factory=Counter)
    outside_of_day: Counter[int] = field(default_factory=Counter)

    @property
    def clock_words(self) -> str:
        """What the edges of the weeks say against the clock; empty where they agree with it."""
        early, late = self.edge_weeks
        told = []
        for count, words in ((early, "begin before the market opens"), (late, "go on after it closes")):
            if count >= EDGE_WEEKS and count >= EDGE_SHARE * self.weeks:
                told.append(f"{count} of {self.weeks} weeks {words}")
        return " and ".join(told) + ": the clock of these bars is off" if told else ""


class Presence:
    """Remembers which bars were delivered, and compares them with the calendar at the end."""

    def __init__(self, timeframe: Timeframe, symbol: str, calendar: Calendar | None, day: BrokerDay | None) -> None:
        self.timeframe = timeframe
        self.symbol = symbol
        self.calendar = calendar or Calendar()
        self.day = day
        self.is_inferring = calendar is None or not calendar.breaks
        self.first_ms, self.last_ms = 2**62, -(2**62)
        self._weeks: dict[int, bytes] = {}
        self._long: list[Ints] = []
        self._slots = HOURS_OF_WEEK * HOUR_MS // timeframe.ms

    def add(self, open_ms: Ints) -> Flags | None:
        """Take in times in any order; which of them open no bar of the timeframe, shape (n,), None where all do."""
        if not len(open_ms):
            return None
        if self.timeframe.ms > HOUR_MS:
            return self._add_long(open_ms)
        slot = open_ms // self.timeframe.ms
        opens = slot * self.timeframe.ms
        is_off = None if bool((opens == open_ms).all()) else np.asarray(opens != open_ms)
        is_ordered = bool((opens[1:] >= opens[:-1]).all())
        ordered = opens if is_ordered else np.sort(opens)
        self._span(ordered)
        weeks = weeks_of(int(ordered[0]), int(ordered[-1]))
        edges = np.append(np.searchsorted(ordered, weeks), len(ordered))
        for week, start, stop in zip(weeks.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            if stop > start:
                here = self._of_week(week)
                here[(ordered[start:stop] - week) // self.timeframe.ms] = True
                self._weeks[week] = np.packbits(here).tobytes()
        return is_off

    def _add_long(self, open_ms: Ints) -> Flags | None:
        aligned_to = Timeframe.D1 if self.timeframe is Timeframe.W1 else self.timeframe
        if self.day is None:
            self.day = self.calendar.day
            fitting = aligned_to.is_aligned(open_ms, self.day).mean()
            if fitting < ALIGNED_SHARE:
                with suppress(BadInput):
                    other = detect_day(open_ms, self.timeframe)
                    # A broker that changes its clock on the European dates fits New York for all but four weeks of the year.
                    if aligned_to.is_aligned(open_ms, other).mean() > fitting:
                        self.day = other
        is_off = ~aligned_to.is_aligned(open_ms, self.day)
        # MetaTrader names a week by Sunday's midnight, which lies before its open.
        late = HOUR_MS * 36 if self.timeframe is Timeframe.W1 else 0
        opens = np.unique(bar_open_ms(open_ms + late, self.timeframe, self.day))
        self._span(opens)
        self._long.append(opens)
        return is_off if is_off.any() else None

    def _span(self, ordered: Ints) -> None:
        self.first_ms, self.last_ms = min(self.first_ms, int(ordered[0])), max(self.last_ms, int(ordered[-1]))

    def _of_week(self, week: int) -> Flags:
        bits = self._weeks.get(week)
        if bits is None:
            return np.zeros(self._slots, dtype=bool)
        return np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=self._slots).astype(bool)

    def report(self, rows_by_hour: Ints, flat_by_hour: Ints) -> PresenceReport:
        """Compare with the calendar.

        Parameters
        ----------
        rows_by_hour, flat_by_hour : int64, shape (169,)
            Bars by hour of the week, and those of a single price.
        """
        report = PresenceReport()
        if self.last_ms < self.first_ms:
            return report
        runs = _Runs(report, self._quiet_lengths(rows_by_hour, flat_by_hour))
        calendar = self.calendar
        breaks: tuple[Break, ...] = ()
        for first, last in self._chunks():
            grid = calendar.grid(first, last, self.timeframe, self.day)
            here = self._present(grid.open_ms)
            if self.is_inferring and self.timeframe.ms <= HOUR_MS:
                found = breaks_of(here, grid, self.timeframe, calendar, self.symbol)
                # A stretch too short to judge by keeps the pauses of the one before.
                breaks = found or (breaks if last - first < CHUNK_WEEKS * WEEK_MS // 2 else ())
                report.breaks += [one for one in breaks if one not in report.breaks]
                if breaks:
                    grid = calendar.with_breaks(breaks).grid(first, last, self.timeframe, self.day)
            is_expected = grid.state == OPEN
            is_outside = here & (grid.state == CLOSED)
            report.expected += int(is_expected.sum())
            report.present += int((here & is_expected).sum())
            report.unexpected += int((here & ~is_expected & ~is_outside).sum())
            report.outside += int(is_outside.sum())
            report.outside_ms += grid.open_ms[is_outside][: EXAMPLES_KEPT - len(report.outside_ms)].tolist()
            _count(report.expected_of_day, grid.day_ms[is_expected])
            _count(report.outside_of_day, grid.day_ms[is_outside])
            runs.add(grid.open_ms[is_expected], ~here[is_expected], grid.day_ms[is_expected])
        runs.finish()
        self._edges(report)
        return report

    def _chunks(self) -> Iterator[tuple[int, int]]:
        """First and last slot of each stretch of 64 weeks."""
        start = self.first_ms
        while start <= self.last_ms:
            following = int(weeks_of(start, start + CHUNK_WEEKS * WEEK_MS)[-1])
            yield start, min(self.last_ms, following - 1)
            start = following

    def _present(self, open_ms: Ints) -> Flags:
        if self.timeframe.ms > HOUR_MS:
            if len(self._long) > 1:
                self._long = [np.unique(np.concatenate(self._long))]
            known = self._long[0]
            return np.asarray(known[np.minimum(np.searchsorted(known, open_ms), len(known) - 1)] == open_ms)
        here = np.zeros(len(open_ms), dtype=bool)
        if not len(open_ms):
            return here
        weeks = weeks_of(int(open_ms[0]), int(open_ms[-1]))
        for week, following in zip(weeks.tolist(), [*weeks[1:].tolist(), int(open_ms[-1]) + self.timeframe.ms], strict=True):
            if week in self._weeks:
                a, b = np.searchsorted(open_ms, (week, following))
                skipped = (int(open_ms[a]) - week) // self.timeframe.ms
                here[a:b] = self._of_week(week)[skipped : skipped + b - a]
        return here

    def _quiet_lengths(self, rows_by_hour: Ints, flat_by_hour: Ints) -> Ints | None:
        """Longest run of absent bars that is explained by the hour being quiet, by hour of the week; None for bars of an hour or more."""
        if self.timeframe.ms >= HOUR_MS:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.clip(np.nan_to_num(flat_by_hour / rows_by_hour), 0.0, 0.9)
            return np.where(share > 0, np.log(QUIET_CHANCE) / np.log(share), 0.0).astype(np.int64)

    def _edges(self, report: PresenceReport) -> None:
        """Weeks with bars shortly before they open and shortly after they close."""
        if self.timeframe.ms > HOUR_MS:
            return
        least = max(1, EDGE_LEAST_MS // self.timeframe.ms)
        near = EDGE_MS // self.timeframe.ms
        early = late = 0
        for week in sorted(self._weeks):
            here = self._of_week(week)
            days = FX_DAY.start_ms(np.array([week + 5 * DAY_MS + HOUR_MS, week + 7 * DAY_MS + 2 * HOUR_MS]))
            close, following = ((days - week) // self.timeframe.ms).tolist()
            late += int(here[close : close + near].sum() >= least)
            early += int(here[following - near : following].sum() >= least)
        report.edge_weeks, report.weeks = (early, late), len(self._weeks)


class _Runs:
    """Absent bars in a row, also across the borders of chunks: long ones are gaps, short ones in quiet hours are no loss to speak of."""

    def __init__(self, report: PresenceReport, quiet: Ints | None) -> None:
        self.report = report
        self.quiet = quiet
        self._open: tuple[list[Ints], list[Ints]] = ([], [])

    def add(self, open_ms: Ints, absent: Flags, day_ms: Ints) -> None:
        """Expected bars of a chunk and which of them are absent, with their days."""
        if not len(open_ms):
            return
        held = int(sum(len(part) for part in self._open[0]))
        times = np.concatenate((*self._open[0], open_ms))
        days = np.concatenate((*self._open[1], day_ms))
        gone = np.concatenate((np.ones(held, dtype=bool), absent))
        # A run that reaches the end of the chunk waits for what comes.
        present = np.flatnonzero(~gone)
        end = int(present[-1]) + 1 if len(present) else 0
        self._open = ([times[end:]], [days[end:]])
        self._close(times[:end], gone[:end], days[:end])

    def finish(self) -> None:
        """Close the run that is still open, and keep the longest gaps only."""
        times, days = (np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64) for parts in self._open)
        self._close(times, np.ones(len(times), dtype=bool), days)
        longest = sorted(self.report.gaps, key=lambda gap: (-gap.bars, gap.first_ms))[:GAPS_KEPT]
        self.report.gaps = sorted(longest, key=lambda gap: gap.first_ms)

    def _close(self, times: Ints, gone: Flags, days: Ints) -> None:
        edges = np.diff(np.concatenate(([0], gone.astype(np.int8), [0])))
        starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        if not len(starts):
            return
        report, lengths = self.report, stops - starts
        is_quiet = np.zeros(len(starts), dtype=bool)
        if self.quiet is not None:
            first = times[starts]
            is_quiet = lengths <= self.quiet[(first - bar_open_ms(first, Timeframe.W1, FX_DAY)) // HOUR_MS]
        report.gap_count += len(starts)
        for mark, name, of_day, examples in (
            (is_quiet, "quiet", report.quiet_of_day, report.quiet_ms),
            (~is_quiet, "missing", report.missing_of_day, report.missing_ms),
        ):
            rows = np.repeat(mark, lengths)
            setattr(report, name, getattr(report, name) + int(rows.sum()))
            _count(of_day, days[gone][rows])
            examples += times[starts[mark]][: EXAMPLES_KEPT - len(examples)].tolist()
        order = np.argsort(-lengths, kind="stable")[:GAPS_KEPT]
        report.gaps += [Gap(int(times[starts[k]]), int(times[stops[k] - 1]), int(lengths[k])) for k in order.tolist()]


def _count(counter: Counter[int], days: Ints) -> None:
    if not len(days):
        return
    # In order of time already: only the borders are looked for.
    starts = np.concatenate(([0], np.flatnonzero(np.diff(days)) + 1))
    for day, count in zip(days[starts].tolist(), np.diff(np.append(starts, len(days))).tolist(), strict=True):
        counter[day] += count
