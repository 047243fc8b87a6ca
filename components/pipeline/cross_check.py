"""Bars against other bars: two sources of one symbol, and a cross against the two pairs that make it.

Both comparisons come down to one: two series of closes that should agree, bar by bar. They are compared as they are, and moved against each
other in time, as a whole and week by week, because a wrong clock is the commonest fault of bars, and often wrong for a part of the year only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.fx import FX_DAY, BadInput, BrokerDay, Timeframe, bar_close_ms, instrument
from components.pipeline.calendar import DAY_MS, HOUR_MS, MINUTE_MS
from components.pipeline.hour_grid import WEEK_MS, weeks_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BASIS_POINT = 0.01 / 100
# A bar differs when it is off by more than 8 typical differences, but not for less than 3 pips (or basis points), and always for 20: feeds
# differ by a few tenths, and by pips at the turn of the day, at which daily bars close.
TOLERANCE_SCALE, LEAST_TOLERANCE, MOST_TOLERANCE = 8.0, 3.0, 20.0
# Moves that are tried: whole hours (a clock, a summer time) and single bars (an open time taken for a close time).
HOURS, BARS = 12, 3
# A shift is believed if the typical difference falls to less than half; of one week, to less than a third.
SHIFT_GAIN, WEEK_GAIN = 0.5, 1 / 3
LEAST_ROWS, LEAST_WEEK_ROWS, LEAST_SHARE = 30, 12, 0.5
MOST_PROBED = 60_000
# A shorter bar may end so many of its own lengths before the longer one whose close it is compared with: minutes without a tick.
SLACK_BARS = 5
STRETCHES_KEPT = 20
DAY_SHARE, DAY_ROWS = 0.5, 3


@dataclass(frozen=True)
class DifferingStretch:
    """Days in a row on which at least half of the common bars differ beyond tolerance: first and last of them (epoch milliseconds UTC, open
    times), how many bars, and the largest difference."""

    first_ms: int
    last_ms: int
    bars: int
    worst: float


@dataclass(frozen=True)
class ShiftedStretch:
    """Weeks in a row in which the first series fits better when moved by so many minutes; epoch milliseconds UTC, from the open of the first
    week to the end of the last."""

    first_ms: int
    last_ms: int
    minutes: int


@dataclass(frozen=True)
class CrossCheck:
    """How two series of closes differ.

    ``kind`` is ``sources`` or ``triangle``; ``unit`` of the differences, ``pips`` or ``bp`` (hundredths of a percent). ``overlap`` bars are
    in both; ``bias`` is the median of first less second; ``typical``, ``p95`` and ``worst`` are the median, the 95th percentile and the
    maximum of the absolute difference, the bias taken out in a triangle (bids alone do not close it exactly). ``beyond`` is the share of
    bars that differ by more than ``tolerance``. ``shift_minutes`` is how far the series named `shifted_series` has to be moved to fit best
    (0: it fits best as it is) and ``typical_shifted`` what the typical difference is then; ``shifted`` names the weeks in which that
    differs from the rest. ``stretches`` are the worst days.
    """

    kind: str
    first: str
    second: str
    unit: str
    overlap: int
    bias: float
    typical: float
    p95: float
    worst: float
    tolerance: float
    beyond: float
    shift_minutes: int
    typical_shifted: float
    shifted_series: str
    shifted: tuple[ShiftedStretch, ...]
    stretches: tuple[DifferingStretch, ...]
    words: str

    def as_dict(self) -> dict[str, Any]:
        """The figures as plain values."""
        return asdict(self)

    @property
    def is_shifted(self) -> bool:
        """Whether the comparison speaks against a clock, for all of the time or for a part of it."""
        return bool(self.shift_minutes or self.shifted)


def cross_check(
    first: pd.DataFrame,
    second: pd.DataFrame,
    symbol: str = "",
    *,
    first_name: str = "the first",
    second_name: str = "the second",
    tolerance: float | None = None,
    day: BrokerDay = FX_DAY,
) -> CrossCheck:
    """Compare two histories of one symbol where they overlap.

    Parameters
    ----------
    first, second : DataFrame, shape (n, ≥ 5)
        Bars frames. Where their timeframes differ, a longer bar's close is compared with that of the shorter bar that ends with it (or at most
        five bars before).
    symbol : str
        An instrument gives the differences in pips; without one, or for an unknown one, they are in basis points.
    first_name, second_name : str
        How the words call the two, for example by source.
    tolerance : float, optional
        In the unit of the differences; by default 8 typical differences, at least 3 and at most 20.
    day : BrokerDay, optional
        Where H4, D1 and W1 bars open.

    Returns
    -------
    CrossCheck

    Raises
    ------
    BadInput
        If fewer than 30 bars are in both, at any shift of at most 12 hours.
    """
    lengths = (timeframe_of(open_ms_of(first)), timeframe_of(open_ms_of(second)))
    try:
        unit, size = "pips", instrument(symbol).pip_size
    except BadInput:
        unit, size = "bp", float(np.median(closes_of(second))) * BASIS_POINT if len(second) else BASIS_POINT
    a, b = (
        Closes(open_ms_of(bars), bar_close_ms(open_ms_of(bars), length, day), closes_of(bars) / size, length)
        for bars, length in zip((first, second), lengths, strict=True)
    )
    return compare_closes(a, b, "sources", (first_name, second_name), unit, tolerance, is_centred=False)


@dataclass(frozen=True)
class Closes:
    """Closes (or logarithms of them), shape (n,), with the open times of their bars and the instants at which they hold, epoch milliseconds
    UTC, increasing, and the length of the bars."""

    open_ms: Ints
    at_ms: Ints
    value: Floats
    length: Timeframe

    def thinned(self, most: int) -> Closes:
        """About every n-th row, so that at most twice as many are left."""
        step = max(1, len(self.open_ms) // most)
        return replace(self, open_ms=self.open_ms[::step], at_ms=self.at_ms[::step], value=self.value[::step])


def compare_closes(a: Closes, b: Closes, kind: str, names: tuple[str, str], unit: str, tolerance: float | None, is_centred: bool) -> CrossCheck:
    """Compare two series of closes as they are and moved in time; see `cross_check`. `is_centred` takes the median difference out."""
    here, difference = _differences(a, b, 0)
    steps = {bars * min(a.length, b.length, key=lambda one: one.ms).value for bars in range(-BARS, BARS + 1)}
    shifts = sorted({hours * 60 for hours in range(-HOURS, HOURS + 1)} | steps)
    # The rows of the longer bars are the ones that are looked up; thinning the others would leave holes.
    is_first_longer = a.length.ms >= b.length.ms
    probes = (a.thinned(MOST_PROBED), b) if is_first_longer else (a, b.thinned(MOST_PROBED))
    weeks, shift, typical_shifted, shifted = _best_shifts(*probes, shifts)
    if len(here) < LEAST_ROWS and (shift == 0 or weeks == 0):
        raise BadInput("bars", f"{names[0]} and {names[1]} have {len(here)} bars in common; {LEAST_ROWS} are needed to compare them")
    bias = float(np.median(difference)) if len(here) else 0.0
    size = np.abs(difference - bias) if is_centred else np.abs(difference)
    typical, p95, worst = (float(value) for value in np.percentile(size, (50, 95, 100))) if len(here) else (0.0, 0.0, 0.0)
    # Measured at the best shift: a wrong clock must not widen what is let pass.
    usual = min(typical, typical_shifted) if weeks else typical
    limit = tolerance if tolerance is not None else min(max(TOLERANCE_SCALE * usual, LEAST_TOLERANCE), MOST_TOLERANCE)
    beyond = size > limit
    check = CrossCheck(
        kind=kind, first=names[0], second=names[1], unit=unit, overlap=len(here), bias=round(bias, 4), typical=round(typical, 4),
        p95=round(p95, 4), worst=round(worst, 4), tolerance=round(limit, 2), beyond=float(beyond.mean()) if len(here) else 1.0,
        shift_minutes=shift, typical_shifted=round(typical_shifted, 4), shifted_series=names[0], shifted=shifted,
        stretches=_stretches(here, size, beyond), words="",
    )  # fmt: skip
    return replace(check, words=words_of(check))


def _differences(a: Closes, b: Closes, shift_ms: int) -> tuple[Ints, Floats]:
    """First less second where the first, moved by so much, has a close that the second has too: open times of the longer bars, differences."""
    long, short, sign = (a, b, 1) if a.length.ms >= b.length.ms else (b, a, -1)
    if not len(long.at_ms) or not len(short.at_ms):
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    wanted = long.at_ms + sign * shift_ms
    place = np.searchsorted(short.at_ms, wanted, side="right") - 1
    slack = SLACK_BARS * short.length.ms if long.length is not short.length else 0
    common = (place >= 0) & (wanted - short.at_ms[place] <= slack)
    return long.open_ms[common], sign * (long.value[common] - short.value[place[common]])


def _best_shifts(a: Closes, b: Closes, shifts: list[int]) -> tuple[int, int, float, tuple[ShiftedStretch, ...]]:
    """Weeks that were judged, the shift in minutes that fits best over all, the typical difference then, and weeks that want another one."""
    found = [_differences(a, b, minutes * MINUTE_MS) for minutes in shifts]
    most = max(len(times) for times, _ in found)
    if not most:
        return 0, 0, 0.0, ()
    long = a if a.length.ms >= b.length.ms else b
    opens = weeks_of(int(long.open_ms[0]), int(long.open_ms[-1]))
    zero = shifts.index(0)
    overall = np.full(len(shifts), np.inf)
    by_week = np.full((len(shifts), len(opens)), np.inf)
    for number, (times, difference) in enumerate(found):
        if len(times) < max(LEAST_ROWS, LEAST_SHARE * most):
            continue
        size = np.abs(difference - np.median(difference))
        overall[number] = np.median(size)
        week = np.searchsorted(opens, times, side="right") - 1
        counts = np.bincount(week, minlength=len(opens))
        # Clipped, so that a few wild bars do not decide a week.
        sums = np.bincount(week, weights=np.minimum(size, 10 * overall[number] + 1e-9), minlength=len(opens))
        enough = counts >= LEAST_WEEK_ROWS
        by_week[number, enough] = sums[enough] / counts[enough]
    if not np.isfinite(overall).any():
        return 0, 0, 0.0, ()
    best = int(np.argmin(overall))
    if not overall[best] < SHIFT_GAIN * overall[zero]:
        best = zero
    judged = np.flatnonzero(np.isfinite(by_week).any(axis=0) & np.isfinite(by_week[best]))
    own = np.full(len(opens), best, dtype=np.int64)
    for place in judged.tolist():
        column = by_week[:, place]
        other = int(np.argmin(column))
        if column[other] < WEEK_GAIN * column[best]:
            own[place] = other
    return len(judged), shifts[best], float(overall[best]), _shifted_stretches(opens, own, best, shifts)


def _shifted_stretches(opens: Ints, own: Ints, usual: int, shifts: list[int]) -> tuple[ShiftedStretch, ...]:
    edges = np.concatenate(([0], np.flatnonzero(np.diff(own)) + 1, [len(own)]))
    stretches = [
        ShiftedStretch(int(opens[a]), int(opens[b - 1]) + WEEK_MS - 1, shifts[int(own[a])])
        for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        if own[a] != usual
    ]
    return tuple(sorted(sorted(stretches, key=lambda one: one.first_ms - one.last_ms)[:STRETCHES_KEPT], key=lambda one: one.first_ms))


def _stretches(open_ms: Ints, size: Floats, beyond: NDArray[np.bool_]) -> tuple[DifferingStretch, ...]:
    if not beyond.any():
        return ()
    place = np.unique(open_ms // DAY_MS, return_inverse=True)[1]
    rows, bad = np.bincount(place), np.bincount(place, weights=beyond)
    # A day of a few long bars is bad when half of them are.
    is_bad = (bad >= np.minimum(DAY_ROWS, rows)) & (bad >= DAY_SHARE * rows)
    numbers = np.flatnonzero(is_bad)
    if not len(numbers):
        return ()
    groups = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    found = []
    for group in groups:
        mine = (place >= group[0]) & (place <= group[-1]) & beyond
        found.append(DifferingStretch(int(open_ms[mine][0]), int(open_ms[mine][-1]), int(mine.sum()), round(float(size[mine].max()), 4)))
    longest = sorted(found, key=lambda one: (-one.bars, one.first_ms))[:STRETCHES_KEPT]
    return tuple(sorted(longest, key=lambda one: one.first_ms))


def words_of(check: CrossCheck) -> str:
    """A comparison in one sentence."""
    told = f"{check.first} against {check.second}: {check.overlap:,} common bars differ by {check.typical:.2f} {check.unit} typically"
    told += f", {check.beyond:.2%} by more than {check.tolerance:g}"
    if check.shift_minutes:
        told += f"; {check.shifted_series} fits best when moved by {_signed(check.shift_minutes)} ({check.typical_shifted:.2f} {check.unit} then)"
    if check.shifted:
        first, last = (pd.Timestamp(at, unit="ms").strftime("%Y-%m-%d") for at in (check.shifted[0].first_ms, check.shifted[-1].last_ms))
        moves = sorted({one.minutes for one in check.shifted})
        weeks = sum(round((one.last_ms - one.first_ms) / WEEK_MS) for one in check.shifted)
        told += f"; in {weeks} weeks between {first} and {last} {check.shifted_series} wants {' or '.join(map(_signed, moves))}"
    return told


def _signed(minutes: int) -> str:
    return f"{minutes // 60:+d} h" if minutes % 60 == 0 else f"{minutes:+d} min"


def open_ms_of(bars: pd.DataFrame) -> Ints:
    """Open times of a bars frame, epoch milliseconds UTC, shape (n,); `BadInput` where they have no zone or do not increase."""
    if not isinstance(bars.index, pd.DatetimeIndex) or bars.index.tz is None:
        raise BadInput("bars.open_time", "the index is not a DatetimeIndex with a time zone")
    times = np.asarray(bars.index.tz_convert("UTC").as_unit("ms").asi8, dtype=np.int64)
    if (np.diff(times) <= 0).any():
        raise BadInput("bars.open_time", "the times do not increase; compare bars that were collected (or validate them first)")
    return times


def closes_of(bars: pd.DataFrame) -> Floats:
    """Closes of a bars frame, shape (n,)."""
    if "close" not in bars.columns:
        raise BadInput("bars", "column 'close' is missing")
    return np.asarray(bars["close"].to_numpy(dtype=np.float64))


def timeframe_of(open_ms: Ints) -> Timeframe:
    """The timeframe of bars by the commonest step between their open times, shape (n,); M1 where there are fewer than two.

    Bars of five minutes with many missing are still bars of five minutes, as long as no other step is commoner.
    """
    if len(open_ms) < 2:
        return Timeframe.M1
    steps, counts = np.unique(np.diff(open_ms), return_counts=True)
    usual = int(steps[np.argmax(counts)])
    return min(Timeframe, key=lambda one: (abs(one.ms - usual), one.ms)) if usual >= HOUR_MS // 60 else Timeframe.M1
