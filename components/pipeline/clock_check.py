"""Whether two series that both claim to be UTC agree, and where the bars of a day open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from components.fx import BadInput, BrokerDay, Timeframe
from components.pipeline.clock_offsets import HOUR_MS, is_summer

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
SHIFTS = 12
LEAST_ROWS = 12
ALIGNED_SHARE = 0.9
_DAYS: Final = (
    BrokerDay(),
    BrokerDay("Europe/London", 0),
    BrokerDay("UTC", 0),
    BrokerDay("Europe/Helsinki", 0),
    BrokerDay("America/New_York", 0),
    BrokerDay("Europe/Berlin", 0),
    BrokerDay("Asia/Tokyo", 0),
    # Fixed offsets, the usual ones of brokers first: Etc/GMT-3 is UTC+3.
    *(BrokerDay(f"Etc/GMT{-hours:+d}", 0) for hours in (2, 3, 1, *range(4, 15), *range(-1, -13, -1))),
)


@dataclass(frozen=True)
class SeasonCheck:
    """Two series in one season.

    The whole hours by which the first must be moved for its closes to fit best, the mean absolute differences of the closes there and
    unmoved, in price units, and the `rows` compared unmoved. `season` is ``winter``, ``summer`` or ``between``: the weeks in which America
    has summer time and Europe has not. `tells_hours` is whether the first was also compared when moved by one hour.
    """

    season: str
    shift_hours_best: int
    mean_abs_diff_best: float
    mean_abs_diff_zero: float
    rows: int
    tells_hours: bool


@dataclass(frozen=True)
class ClockCheck:
    """Two series compared: the figures over everything as in `SeasonCheck`, and season by season."""

    shift_hours_best: int
    mean_abs_diff_best: float
    mean_abs_diff_zero: float
    rows: int
    seasons: tuple[SeasonCheck, ...]

    @property
    def is_confirmed(self) -> bool:
        """Whether no shift fits better than none, in every season that the two have in common, and an hour would have shown."""
        return bool(self.seasons) and all(season.shift_hours_best == 0 and season.tells_hours for season in self.seasons)

    def __str__(self) -> str:
        parts = []
        for s in self.seasons:
            unmoved = f"unmoved {s.mean_abs_diff_zero:.2e}"
            best = unmoved if s.shift_hours_best == 0 else f"{s.shift_hours_best:+d} h fits best with {s.mean_abs_diff_best:.2e}, {unmoved}"
            parts.append(f"{s.season} {best}{'' if s.tells_hours else ' (an hour would not show)'}")
        return f"{'confirmed' if self.is_confirmed else 'not confirmed'} over {self.rows} common closes: {'; '.join(parts)}"


def confirm_clock(bars_a: pd.DataFrame, bars_b: pd.DataFrame, *, most_hours: int = SHIFTS) -> ClockCheck:
    """Compare the closes of two series of one symbol at the same instants, the first one moved by −12 to +12 hours.

    Parameters
    ----------
    bars_a, bars_b : DataFrame
        Bars frames in what is believed to be UTC, of any timeframes; only ``close`` is used. A bar closes its shortest step after it opens.
        Give the shorter bars as `bars_b`: two series of H4 bars meet only every four hours and cannot tell an hour.
    most_hours : int
        The largest shift tried.

    Returns
    -------
    ClockCheck
        Zero is best where both clocks are right. Shifts with fewer common closes than half of the most are not compared.

    Raises
    ------
    BadInput
        If the two have hardly a close in common.

    Notes
    -----
    A wrong rule of summer time shows in one season only, so each season is compared by itself where it has twelve common closes or more.
    """
    (times_a, close_a), (times_b, close_b) = _closes(bars_a), _closes(bars_b)
    american, european = is_summer(times_b, "us"), is_summer(times_b, "eu")
    seasons = {"winter": ~american & ~european, "summer": american & european, "between": american != european}
    whole = _compared("all", times_a, close_a, times_b, close_b, most_hours)
    if whole is None:
        raise BadInput("bars", f"the two series have fewer than {LEAST_ROWS} closes at common instants; give the shorter bars second")
    checks = [_compared(name, times_a, close_a, times_b[rows], close_b[rows], most_hours) for name, rows in seasons.items()]
    return ClockCheck(
        whole.shift_hours_best, whole.mean_abs_diff_best, whole.mean_abs_diff_zero, whole.rows, tuple(check for check in checks if check is not None)
    )


def detect_day(open_ms: ArrayLike, timeframe: Timeframe) -> BrokerDay:
    """The trading day with which H4, D1 or W1 bars open.

    Parameters
    ----------
    open_ms : array of int, shape (n,)
        Open times, epoch milliseconds UTC.
    timeframe : Timeframe
        H4, D1 or W1; shorter bars do not open with a day.

    Returns
    -------
    BrokerDay
        The one that the most bars fit: 17:00 New York, midnight in London, UTC, Helsinki, New York, Berlin or Tokyo, or at a fixed offset;
        the first of these where bars of one season fit several. A weekly bar counts as open at any turn of the day, because MetaTrader
        labels it by Sunday's midnight.

    Raises
    ------
    BadInput
        If the bars are shorter than H4, if there are none, or if no day fits nine of ten of them.
    """
    if timeframe.value < Timeframe.H4.value:
        raise BadInput("timeframe", f"{timeframe.name} bars open on the UTC grid, whatever the day")
    times = np.atleast_1d(np.asarray(open_ms)).astype(np.int64)
    if not len(times):
        raise BadInput("open_ms", "there are no bars")
    unit = Timeframe.H4 if timeframe is Timeframe.H4 else Timeframe.D1
    shares = [float(unit.is_aligned(times, day).mean()) for day in _DAYS]
    best = int(np.argmax(shares))
    if shares[best] < ALIGNED_SHARE:
        raise BadInput("open_ms", f"no day fits: at most {shares[best]:.0%} of the {timeframe.name} bars open with one ({_DAYS[best]})")
    return _DAYS[best]


def _closes(bars: pd.DataFrame) -> tuple[Ints, Floats]:
    times = pd.DatetimeIndex(bars.index).as_unit("ms").asi8
    length = int(np.diff(times).min()) if len(times) > 1 else 0
    if length < 0 or (len(times) > 1 and length == 0):
        raise BadInput("bars", "the times of a series do not increase")
    return times + length, bars["close"].to_numpy(dtype=np.float64)


def _compared(season: str, times_a: Ints, close_a: Floats, times_b: Ints, close_b: Floats, most: int) -> SeasonCheck | None:
    found: dict[int, tuple[float, int]] = {}
    for shift in range(-most, most + 1):
        _, rows_a, rows_b = np.intersect1d(times_a + shift * HOUR_MS, times_b, return_indices=True, assume_unique=True)
        if len(rows_a) >= LEAST_ROWS:
            found[shift] = (float(np.mean(np.abs(close_a[rows_a] - close_b[rows_b]))), len(rows_a))
    if 0 not in found:
        return None
    most_rows = max(rows for _, rows in found.values())
    compared = [shift for shift in found if 2 * found[shift][1] >= most_rows or shift == 0]
    # Equal differences: the smaller shift.
    best = min(compared, key=lambda shift: (found[shift][0], abs(shift)))
    return SeasonCheck(season, best, found[best][0], found[0][0], found[0][1], {-1, 1} <= set(compared))
