"""Bars that close when enough has happened, not when a clock says so: by ticks, by volume, by a turn of the price.

Their close is not their open plus a length, so both times are columns. A bar is usable from its ``close_time``: whatever it says, the moment of
its turn included, was known with the tick that closed it and not before.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import ArrayLike, NDArray

from components.fx import PRICE_COLUMNS, BadInput, Timeframe, bar_close_ms
from components.pipeline.ticks import checked_ticks

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Kernel = Callable[[Floats, int, float, Floats, Floats], tuple[int, int]]

CHUNK: Final = 4096
# What a bar is, and the columns of an input row of the accumulating kernel.
OPEN_MS, CLOSE_MS, OPEN, HIGH, LOW, CLOSE, VOLUME, SPREAD = range(8)
BAR_NAMES: Final = ("open_time", "close_time", *PRICE_COLUMNS, "volume", "spread")
# A directional change adds: the sign of the turn, when the extreme before it was, its price, and how far beyond the last turn it had gone.
DIRECTION, EXTREME_MS, EXTREME, OVERSHOOT = range(8, 12)
CHANGE_NAMES: Final = (*BAR_NAMES[:7], "direction", "extreme_time", "extreme", "overshoot")
# State: the bar being built, and for turns also the direction of the market, its extremes and the price of the last turn.
IS_BUILDING = 8
MODE, HIGHEST, HIGHEST_MS, LOWEST, LOWEST_MS, TURN = range(9, 15)
STATE_SIZE = 15


class InformationBars:
    """Builds bars of one kind as rows arrive; use `tick_bar_builder`, `volume_bar_builder` or `directional_change_builder`.

    In any portions the bars are the ones of all rows at once. Rows older than the newest one seen are left out and counted in `late`.
    """

    def __init__(self, kernel: Kernel, limit: float, names: tuple[str, ...]) -> None:
        self.late = 0
        self.newest_ms: int | None = None
        self._kernel, self._limit, self._names = kernel, limit, names
        self._state = np.zeros(STATE_SIZE)
        self._none = _frame(np.empty((0, len(names))), names)

    def add(self, times_ms: ArrayLike, bid: ArrayLike, ask: ArrayLike | None = None) -> pd.DataFrame:
        """Take in ticks and give the bars that they closed, oldest first.

        Parameters
        ----------
        times_ms : array of int, shape (n,), or one int
            Epoch milliseconds UTC.
        bid, ask : array, shape (n,), or one number
            Prices; without `ask` the spread is 0. A directional change looks at `bid` alone, whatever price is given as such.

        Returns
        -------
        DataFrame, shape (bars, columns)
            ``open_time close_time open high low close volume`` (volume in ticks), and ``spread`` of the first tick in price units, or for a
            directional change its own columns.

        Raises
        ------
        BadInput
            Naming the first tick that is wrong, before any of them is taken in.
        """
        times, bids, asks = checked_ticks(times_ms, bid, bid if ask is None else ask)
        rows = np.empty((len(times), 8))
        rows[:, OPEN_MS] = rows[:, CLOSE_MS] = times
        rows[:, OPEN : CLOSE + 1] = bids[:, None]
        rows[:, VOLUME] = 1.0
        rows[:, SPREAD] = asks - bids
        return self.add_rows(rows)

    def add_rows(self, rows: Floats) -> pd.DataFrame:
        """Take in rows ``open_ms close_ms open high low close volume spread``, float64, shape (n, 8), and give the bars that they closed."""
        times = rows[:, OPEN_MS].astype(np.int64)
        if not len(times):
            return self._none.copy(deep=False)
        newest = np.maximum.accumulate(times)
        if self.newest_ms is not None:
            newest = np.maximum(newest, self.newest_ms)
        in_order = times >= newest
        self.late += int((~in_order).sum())
        self.newest_ms = int(newest[-1])
        taken = np.ascontiguousarray(rows[in_order], dtype=np.float64)
        found, row = [np.empty((0, 12))], 0
        while row < len(taken):
            out = np.empty((min(CHUNK, len(taken) - row), 12))
            row, count = self._kernel(taken, row, self._limit, self._state, out)
            found.append(out[:count])
        if sum(map(len, found)) == 0:
            return self._none.copy(deep=False)
        columns = [*range(7), *range(DIRECTION, 12)] if "direction" in self._names else list(range(8))
        return _frame(np.concatenate(found)[:, columns], self._names)

    @property
    def forming(self) -> pd.DataFrame:
        """The bar being built, as far as it goes, shape (1, 8), or an empty frame: nothing in it is final."""
        rows = self._state[None, :8] if self._state[IS_BUILDING] else np.empty((0, 8))
        return _frame(rows.copy(), BAR_NAMES)


def tick_bar_builder(ticks: int) -> InformationBars:
    """Builds bars of `ticks` ticks each."""
    if isinstance(ticks, bool) or not isinstance(ticks, int | np.integer) or ticks < 1:
        raise BadInput("ticks", f"{ticks!r} is not a whole number of 1 or more")
    return InformationBars(_accumulate, float(ticks), BAR_NAMES)


def volume_bar_builder(volume: float) -> InformationBars:
    """Builds bars that close with the row whose volume brings theirs to `volume`; the excess is not carried over."""
    return InformationBars(_accumulate, _positive("volume", volume), BAR_NAMES)


def directional_change_builder(threshold: float) -> InformationBars:
    """Builds the bars of `directional_change_bars`."""
    if not 0 < _positive("threshold", threshold) < 1:
        raise BadInput("threshold", f"{threshold!r} is not a fraction of the price, below 1")
    return InformationBars(_turn, float(threshold), CHANGE_NAMES)


def tick_bars(times_ms: ArrayLike, bid: ArrayLike, ask: ArrayLike, ticks: int) -> pd.DataFrame:
    """Bars of equally many ticks.

    Parameters
    ----------
    times_ms, bid, ask : array, shape (n,)
        Ticks: epoch milliseconds UTC, prices in profit currency. A tick that is older than one before it is left out.
    ticks : int
        Ticks in each bar.

    Returns
    -------
    DataFrame, shape (n // ticks, 8)
        ``open_time close_time`` (of the first and the last tick, UTC), ``open high low close`` (bid), ``volume`` (always `ticks`), ``spread`` of
        the first tick in price units. The rest of the ticks, which make no whole bar, is left out.

    Raises
    ------
    BadInput
        Naming the first tick that is wrong, or if `ticks` is not positive.
    """
    return tick_bar_builder(ticks).add(times_ms, bid, ask)


def volume_bars(source: pd.DataFrame, volume: float, *, timeframe: Timeframe | None = None) -> pd.DataFrame:
    """Bars of equal volume, of bars or of ticks.

    Parameters
    ----------
    source : DataFrame, shape (n, k)
        A bars frame with ``volume``, or ticks: UTC index, ``bid``, ``ask``, and where known ``volume`` (else each tick counts 1).
    volume : float
        A bar closes with the row of `source` that brings its volume to this. A row is never split and the excess not carried over, so a bar may
        hold more; the rest, which makes no whole bar, is left out.
    timeframe : Timeframe, optional
        Length of the bars in `source`, needed for their close; not for ticks.

    Returns
    -------
    DataFrame, shape (m, 8)
        As `tick_bars`. ``close_time`` is the close of the last source bar. ``spread`` is the first tick's in price units, of bars their
        ``spread_points`` as they stand, NaN where they have none.

    Raises
    ------
    BadInput
        If the frame is neither bars nor ticks, a volume is not zero or more, or the timeframe of bars is not given.
    """
    index = source.index
    if not isinstance(index, pd.DatetimeIndex) or index.tz is None:
        raise BadInput("source.index", "is not a DatetimeIndex with a zone")
    times = index.as_unit("ms").asi8
    is_ticks = {"bid", "ask"} <= set(source.columns)
    if not is_ticks and not {*PRICE_COLUMNS, "volume"} <= set(source.columns):
        raise BadInput("source", "has neither bid and ask nor open, high, low, close and volume")
    if not is_ticks and timeframe is None:
        raise BadInput("timeframe", "is needed to say when a bar of the source closes")
    volumes = source["volume"].to_numpy(dtype=np.float64) if "volume" in source.columns else np.ones(len(source))
    bad = ~(np.isfinite(volumes) & (volumes >= 0))
    if bad.any():
        raise BadInput("source.volume", f"{volumes[np.argmax(bad)]} at row {int(np.argmax(bad))} is not zero or more")
    rows = np.empty((len(source), 8))
    rows[:, OPEN_MS], rows[:, CLOSE_MS], rows[:, VOLUME] = times, times, volumes
    if is_ticks:
        _, bids, asks = checked_ticks(times, source["bid"].to_numpy(), source["ask"].to_numpy())
        rows[:, OPEN : CLOSE + 1] = bids[:, None]
        rows[:, SPREAD] = asks - bids
    elif timeframe is not None:
        rows[:, CLOSE_MS] = bar_close_ms(times, timeframe)
        rows[:, OPEN : CLOSE + 1] = source[list(PRICE_COLUMNS)].to_numpy(dtype=np.float64)
        rows[:, SPREAD] = source["spread_points"].to_numpy(dtype=np.float64) if "spread_points" in source.columns else np.nan
    return volume_bar_builder(volume).add_rows(rows)


def directional_change_bars(times_ms: ArrayLike, price: ArrayLike, threshold: float) -> pd.DataFrame:
    """Bars of intrinsic time: each ends where the price has turned by a fraction of itself.

    Parameters
    ----------
    times_ms, price : array, shape (n,)
        Ticks: epoch milliseconds UTC, one price each (the bid, or the mid). A tick that is older than one before it is left out.
    threshold : float
        Size of the turn as a fraction of the extreme before it; 0.001 is a tenth of a percent.

    Returns
    -------
    DataFrame, shape (m, 11)
        ``open_time close_time open high low close volume`` of the ticks after the last turn's confirmation up to this one's, ``direction`` of
        this turn (+1 up, −1 down), ``extreme_time`` and ``extreme`` of the price from which it turned, ``overshoot``: how far that extreme
        lies beyond the price that confirmed the turn before, as a fraction of it and never negative (NaN in the first bar).

    Raises
    ------
    BadInput
        Naming the first tick that is wrong, or if `threshold` is not between 0 and 1.

    Notes
    -----
    A turn down is confirmed by the first price at or below ``highest * (1 - threshold)`` since the last turn up, and a turn up by the first at or
    above ``lowest * (1 + threshold)``; before the first turn both are watched. The extreme lies in the past when the turn is confirmed: it is known
    from ``close_time``, not from ``extreme_time``. Source: Guillaume et al. (1997), From the bird's eye to the microscope; Glattfelder, Dupuis,
    Olsen (2011), Patterns in high-frequency FX data: discovery of 12 empirical scaling laws.
    """
    return directional_change_builder(threshold).add(times_ms, price)


def _positive(name: str, value: float) -> float:
    if not (np.isfinite(value) and value > 0):
        raise BadInput(name, f"{value!r} is not a positive number")
    return float(value)


def _frame(rows: Floats, names: tuple[str, ...]) -> pd.DataFrame:
    columns: dict[str, object] = {}
    for place, name in enumerate(names):
        values = rows[:, place]
        if name.endswith("_time"):
            columns[name] = pd.DatetimeIndex(pd.to_datetime(values.astype(np.int64), unit="ms", utc=True)).as_unit("ms")
        else:
            columns[name] = values.astype(np.int64) if name == "direction" else values.copy()
    return pd.DataFrame(columns)


@njit(cache=True, error_model="numpy")
def _include(row: Floats, state: Floats) -> None:
    if state[IS_BUILDING] == 0.0:
        state[:8] = row
        state[IS_BUILDING] = 1.0
        return
    state[CLOSE_MS] = row[CLOSE_MS]
    state[HIGH] = max(state[HIGH], row[HIGH])
    state[LOW] = min(state[LOW], row[LOW])
    state[CLOSE] = row[CLOSE]
    state[VOLUME] += row[VOLUME]


@njit(cache=True, error_model="numpy")
def _accumulate(rows: Floats, first: int, limit: float, state: Floats, out: Floats) -> tuple[int, int]:
    """Bars of a volume; gives the next row and the bars made, and stops where `out` is full."""
    count = 0
    for row in range(first, len(rows)):
        _include(rows[row], state)
        if state[VOLUME] >= limit:
            out[count, :8] = state[:8]
            state[IS_BUILDING] = 0.0
            count += 1
            if count == len(out):
                return row + 1, count
    return len(rows), count


@njit(cache=True, error_model="numpy")
def _turn(rows: Floats, first: int, limit: float, state: Floats, out: Floats) -> tuple[int, int]:
    """Bars between turns; gives the next row and the bars made, and stops where `out` is full."""
    count = 0
    for row in range(first, len(rows)):
        price = rows[row, CLOSE]
        if state[HIGHEST] == 0.0 or price > state[HIGHEST]:
            state[HIGHEST], state[HIGHEST_MS] = price, rows[row, OPEN_MS]
        if state[LOWEST] == 0.0 or price < state[LOWEST]:
            state[LOWEST], state[LOWEST_MS] = price, rows[row, OPEN_MS]
        _include(rows[row], state)
        is_down = state[MODE] >= 0.0 and price <= state[HIGHEST] * (1.0 - limit)
        is_up = state[MODE] <= 0.0 and price >= state[LOWEST] * (1.0 + limit)
        if not (is_down or is_up):
            continue
        out[count, :8] = state[:8]
        out[count, DIRECTION] = 1.0 if is_up else -1.0
        out[count, EXTREME_MS] = state[LOWEST_MS] if is_up else state[HIGHEST_MS]
        out[count, EXTREME] = state[LOWEST] if is_up else state[HIGHEST]
        beyond = state[TURN] - state[LOWEST] if is_up else state[HIGHEST] - state[TURN]
        out[count, OVERSHOOT] = beyond / state[TURN] if state[TURN] > 0.0 else np.nan
        state[MODE] = 1.0 if is_up else -1.0
        state[HIGHEST], state[HIGHEST_MS] = price, rows[row, OPEN_MS]
        state[LOWEST], state[LOWEST_MS] = price, rows[row, OPEN_MS]
        state[TURN] = price
        state[IS_BUILDING] = 0.0
        count += 1
        if count == len(out):
            return row + 1, count
    return len(rows), count
