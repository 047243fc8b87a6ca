"""The quality score: how much of what a source delivered can be believed, with the parts that make it up.

Bars are examined in blocks as they come; the answer is the same for one block and for many, and what is kept between blocks does not grow
with the number of bars: a bit for each expected bar, the rows of the week that is not over, and counts.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.base import now_ms
from components.fx import BAR_COLUMNS, PRICE_COLUMNS, BadInput, BrokerDay, Timeframe
from components.pipeline.calendar import DAY_MS, Calendar
from components.pipeline.hour_grid import HOURS_OF_WEEK
from components.pipeline.presence import Presence, PresenceReport
from components.pipeline.quality_parts import (
    EXAMPLES_KEPT,
    PARTS,
    STRETCHES_KEPT,
    THRESHOLD,
    Example,
    Gap,
    Part,
    Quality,
    Stretch,
    make_part,
    score_of,
)
from components.pipeline.quality_windows import Rows, WindowFaults, WindowJudge
from components.pipeline.row_order import BAD_OHLC, BAD_TIME, CONFLICTING, LATE, REASONS, REPEATED, TAKEN, RowOrder

__all__ = ["PARTS", "Examiner", "Gap", "Part", "Quality", "Stretch", "score_quality"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
PART_OF_CODE = {BAD_TIME: "bad_time", BAD_OHLC: "bad_ohlc", REPEATED: "repeats", CONFLICTING: "conflicts", LATE: "disorder"}


def score_quality(
    bars: pd.DataFrame, timeframe: Timeframe, calendar: Calendar | None = None, *, symbol: str = "", day: BrokerDay | None = None
) -> Quality:
    """Score a history as a source delivered it, before it is validated.

    Parameters
    ----------
    bars : DataFrame, shape (n, ≥ 4)
        Aware open times, ``open high low close``, and where known ``volume``, ``spread_points``, and ``repair`` (not 0 where a repair
        changed or made the bar); times may repeat or run backwards, prices may be wrong.
    timeframe : Timeframe
        Length of the bars.
    calendar : Calendar, optional
        When bars are expected; the FX week by default, less the pauses that the bars themselves show.
    symbol : str
        A pair of currencies may pause around the turn of the day only, other symbols at any hour; none is taken as a pair.
    day : BrokerDay, optional
        Where H4, D1 and W1 bars open; read off the bars by default.

    Returns
    -------
    Quality
        0 to 100; 0 for an empty frame.

    Raises
    ------
    BadInput
        If there is no aware time index or a price column is missing.

    Notes
    -----
    The whole history is looked at, so a score says nothing about what could be known when a bar closed.
    """
    examiner = Examiner(timeframe, symbol=symbol, calendar=calendar, day=day)
    examiner.add(bars)
    return examiner.finish()


class Examiner:
    """Takes the bars of a source block by block, separates what is usable, and scores the whole.

    Parameters
    ----------
    timeframe, symbol, calendar, day
        As in `score_quality`.

    Notes
    -----
    Blocks come in order of time. A row that comes after a later one, or again, is rejected: the first that came stays.
    """

    def __init__(self, timeframe: Timeframe, *, symbol: str = "", calendar: Calendar | None = None, day: BrokerDay | None = None) -> None:
        self.timeframe = timeframe
        self.symbol = symbol
        self._order = RowOrder()
        self._presence = Presence(timeframe, symbol, calendar, day)
        self._judge = WindowJudge(timeframe)
        self._rows = self._usable = 0
        self._has_spread: bool | None = None
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[Example]] = {name: [] for name in PARTS}
        self._of_day: dict[str, Counter[int]] = {name: Counter() for name in PARTS}
        self._by_hour = np.zeros((2, HOURS_OF_WEEK), dtype=np.int64)
        self._decimals: list[tuple[int, int, int]] = []
        self._repaired = np.zeros(0, dtype=np.int64)

    def add(self, raw: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Examine the next rows.

        Parameters
        ----------
        raw : DataFrame, shape (n, ≥ 4)
            As a source delivered them; see `score_quality`.

        Returns
        -------
        bars : DataFrame
            The usable rows as a bars frame; times come after those of every block before. A volume that is missing becomes 0, and so does a
            spread that is missing in a column of spreads (counted in the part ``spreads``).
        rejects : DataFrame
            The other rows as they came, with a column ``reason``.

        Raises
        ------
        BadInput
            If there is no aware time index or a price column is missing.
        """
        index = _check(raw)
        open_ms = index.asi8
        self._rows += len(raw)
        columns = [_numbers(raw, name) for name in PRICE_COLUMNS]
        prices = (columns[0], columns[1], columns[2], columns[3])
        volume, spread, is_possible, odd = self._other_columns(raw, _is_possible(*prices))
        has_time = (open_ms >= 0) & (open_ms <= now_ms() + DAY_MS)
        codes = self._order.judge(open_ms, prices, has_time, is_possible)
        timed = open_ms if codes is None else open_ms[codes != BAD_TIME]
        off_grid = self._presence.add(timed)
        if off_grid is not None:
            self._note("off_grid", timed[off_grid], None)
        self._note("spreads", open_ms[odd], None if spread is None else _numbers(raw, "spread_points")[odd])
        if "repair" in raw.columns:
            touched = raw["repair"].to_numpy() != 0
            self._note("repaired", open_ms[touched], columns[3][touched])
            self._repaired = np.union1d(self._repaired, open_ms[touched])
        frame = {**dict(zip(PRICE_COLUMNS, prices, strict=True)), "volume": volume}
        if spread is not None:
            frame["spread_points"] = spread
        rejects = self._reject(raw, open_ms, prices, codes)
        bars = pd.DataFrame(frame, index=index, copy=codes is not None)
        if codes is not None:
            bars = bars.iloc[np.flatnonzero(codes == TAKEN)]
        self._usable += len(bars)
        times = pd.DatetimeIndex(bars.index).asi8
        held = [bars[name].to_numpy() for name in BAR_COLUMNS]
        if spread is not None and len(odd):
            # Counted already: unknown to the judge, so that it neither counts them again nor takes them for usual.
            spread = spread.copy()
            spread[odd] = np.nan
        known = spread if spread is None or codes is None else spread[codes == TAKEN]
        rows = Rows(times, held[0], held[1], held[2], held[3], held[4], known)
        for faults in self._judge.add(rows):
            self._take(faults)
        return bars, rejects

    def finish(self) -> Quality:
        """The score of everything that was added."""
        for faults in self._judge.finish():
            self._take(faults)
        if not self._rows:
            return Quality(0.0, 0, 0, 0.0, 0, (), 0, 0, 0, 0, 0, 0, timeframe=self.timeframe.name, symbol=self.symbol)
        report = self._presence.report(self._by_hour[0], self._by_hour[1])
        self._note_presence(report)
        digits = self._note_digits()
        there = max(1, report.present + report.unexpected)
        base = {"missing": max(1, report.expected), "quiet": max(1, report.expected)}
        parts = tuple(make_part(name, self._counts[name], base.get(name, there), tuple(self._examples[name])) for name in PARTS)
        points = sum(part.points for part in parts) if self._usable else 100.0
        return Quality(
            score=score_of(points),
            rows=self._rows,
            expected=report.expected,
            completeness=report.present / report.expected if report.expected else 1.0,
            gap_count=report.gap_count,
            gaps=tuple(report.gaps),
            duplicates=self._counts["repeats"] + self._counts["conflicts"],
            disorder=self._counts["disorder"],
            bad_ohlc=self._counts["bad_ohlc"],
            spikes=self._counts["spikes"],
            stale=self._counts["stale"],
            outside=report.outside,
            timeframe=self.timeframe.name,
            symbol=self.symbol,
            usable=self._usable,
            present=report.present,
            parts=parts,
            breaks=tuple(one.words(self._presence.calendar.day) for one in report.breaks),
            clock=report.clock_words,
            digits=digits,
            quarantined_stretches=self._stretches(report),
        )

    def _other_columns(self, raw: pd.DataFrame, is_possible: NDArray[np.bool_]) -> tuple[Floats, Floats | None, NDArray[np.bool_], Ints]:
        """Volume and spread as a bars frame holds them, which rows can be bars, and where the spread is not one."""
        volume = _numbers(raw, "volume") if "volume" in raw.columns else np.zeros(len(raw))
        if not bool((volume >= 0).all()) or not bool((volume < np.inf).all()):
            is_possible = is_possible & ~((volume < 0) | (volume == np.inf))
            volume = np.nan_to_num(volume)
        if self._has_spread is None:
            self._has_spread = "spread_points" in raw.columns
        if not self._has_spread:
            return volume, None, is_possible, np.zeros(0, dtype=np.int64)
        spread = _numbers(raw, "spread_points") if "spread_points" in raw.columns else np.full(len(raw), np.nan)
        odd = np.flatnonzero(~((spread >= 0) & (spread < np.inf)))
        if len(odd):
            spread = spread.copy()
            spread[odd] = 0.0
        return volume, spread, is_possible, odd

    def _reject(self, raw: pd.DataFrame, open_ms: Ints, prices: tuple[Floats, ...], codes: NDArray[np.int8] | None) -> pd.DataFrame:
        if codes is None:
            return raw.iloc[:0].assign(reason=pd.Series(dtype=object))
        left = np.flatnonzero(codes != TAKEN)
        for code, name in PART_OF_CODE.items():
            at = left[codes[left] == code]
            self._note(name, open_ms[at], prices[3][at], has_time=code != BAD_TIME)
        return raw.iloc[left].assign(reason=[REASONS[code] for code in codes[left]])

    def _note(self, name: str, times: Ints, values: Floats | None, has_time: bool = True) -> None:
        """Count bars that have a fault, with their days and the first examples."""
        if not len(times):
            return
        self._counts[name] += len(times)
        # The earliest ones are kept, whenever they were found: some faults show at once, others when their week is over.
        first = np.argsort(times, kind="stable")[:EXAMPLES_KEPT]
        shown = values[first].tolist() if values is not None else [None] * len(first)
        for at, value in zip(times[first].tolist(), shown, strict=True):
            number = value if value is not None and np.isfinite(value) else None
            self._examples[name].append(Example(at if has_time else None, number))
        self._examples[name] = sorted(self._examples[name], key=lambda one: one.at_ms or 0)[:EXAMPLES_KEPT]
        if has_time:
            days, counts = np.unique(self._presence.calendar.day.start_ms(times), return_counts=True)
            self._of_day[name].update(dict(zip(days.tolist(), counts.tolist(), strict=True)))

    def _take(self, faults: WindowFaults) -> None:
        for name, (times, values) in faults.found.items():
            if name in ("stale", "zero_volume") and len(self._repaired):
                # A bar that a repair filled in is flat and empty by intention, and costs its points as a repaired one.
                seen = ~np.isin(times, self._repaired)
                times, values = times[seen], values[seen]
            self._note(name, times, values)
        self._by_hour += np.stack((faults.rows_by_hour, faults.flat_by_hour))
        self._decimals += faults.decimals

    def _note_presence(self, report: PresenceReport) -> None:
        for name, count, examples, of_day in (
            ("missing", report.missing, report.missing_ms, report.missing_of_day),
            ("quiet", report.quiet, report.quiet_ms, report.quiet_of_day),
            ("outside", report.outside, report.outside_ms, report.outside_of_day),
        ):
            self._counts[name] = count
            self._examples[name] = [Example(at, None) for at in examples]
            self._of_day[name] = of_day

    def _note_digits(self) -> int | None:
        """Decimals that most bars have; bars of units with another number are counted."""
        if not self._decimals:
            return None
        rows: Counter[int] = Counter()
        for digits, count, _ in self._decimals:
            rows[digits] += count
        usual = max(rows, key=lambda digits: (rows[digits], digits))
        others = [(count, at, digits) for digits, count, at in self._decimals if digits != usual]
        self._counts["digits"] = sum(count for count, _, _ in others)
        self._examples["digits"] = [Example(at, float(digits)) for _, at, digits in others[:EXAMPLES_KEPT]]
        return usual

    def _stretches(self, report: PresenceReport) -> tuple[Stretch, ...]:
        """Days that by themselves score below the threshold, those that follow each other as one; the longest where they are many."""
        order = {day: place for place, day in enumerate(sorted(report.expected_of_day))}
        usual = max(1, DAY_MS // self.timeframe.ms)
        found: list[tuple[int, int, float, str]] = []
        for day in sorted({day for counts in self._of_day.values() for day in counts}):
            expected = report.expected_of_day[day] or usual
            lost = {name: PARTS[name].weight * min(1.0, counts[day] / expected) for name, counts in self._of_day.items() if counts[day]}
            score = score_of(sum(lost.values()))
            if score < THRESHOLD:
                found.append((day, order.get(day, -1), score, max(lost, key=lambda name: lost[name])))
        merged: list[list[tuple[int, int, float, str]]] = []
        for one in found:
            if merged and one[1] >= 0 and one[1] == merged[-1][-1][1] + 1:
                merged[-1].append(one)
            else:
                merged.append([one])
        stretches = [_stretch(days) for days in merged]
        longest = sorted(stretches, key=lambda one: one.first_ms - one.last_ms)[:STRETCHES_KEPT]
        return tuple(sorted(longest, key=lambda one: one.first_ms))


def _stretch(days: list[tuple[int, int, float, str]]) -> Stretch:
    reasons = Counter(reason for _, _, _, reason in days)
    worst = min(score for _, _, score, _ in days)
    words = ", ".join(name.replace("_", " ") for name, _ in reasons.most_common(3))
    return Stretch(days[0][0], days[-1][0] + DAY_MS - 1, worst, f"{words}; the worst of {len(days)} days scores {worst:.0f}")


def _check(raw: pd.DataFrame) -> pd.DatetimeIndex:
    if not isinstance(raw.index, pd.DatetimeIndex) or raw.index.tz is None:
        raise BadInput("bars.open_time", "the index is not a DatetimeIndex with a time zone")
    absent = [name for name in PRICE_COLUMNS if name not in raw.columns]
    if absent:
        raise BadInput("bars", f"column {absent[0]!r} is missing")
    return raw.index.tz_convert("UTC").as_unit("ms").rename("open_time")


def _numbers(raw: pd.DataFrame, name: str) -> Floats:
    try:
        return np.asarray(raw[name].to_numpy(dtype=np.float64, na_value=np.nan))
    except (TypeError, ValueError) as error:
        raise BadInput(f"bars.{name}", f"holds something that is not a number: {error}") from None


def _is_possible(opens: Floats, highs: Floats, lows: Floats, closes: Floats) -> NDArray[np.bool_]:
    """Prices that are positive and finite, with open and close between low and high; a NaN fails every comparison."""
    inside = (lows > 0) & (highs < np.inf) & (lows <= opens) & (lows <= closes) & (highs >= opens) & (highs >= closes)
    return np.asarray(inside, dtype=bool)
