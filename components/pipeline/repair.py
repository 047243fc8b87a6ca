"""Repairs: explicit, flagged row by row, made into a copy; what was collected stays as it is.

Every repair of a bar uses that bar and bars before it only, so that a repaired history can be traded on: which bar is changed, and to what, was
known when it closed. That is why a spike is not taken back by the bar after it, but cut to what the past makes likely, and believed at once
when the next bar confirms it. Two repairs correct the file rather than the bars, and know more: the order of rows, and the shift of a stretch
whose clock was found to be wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.fx import PRICE_COLUMNS, BadInput, Timeframe, validate_bars
from components.pipeline.assemble import NOT_KNOWN
from components.pipeline.calendar import CLOSED, MINUTE_MS, OPEN, Calendar
from components.pipeline.cross_check import ShiftedStretch, timeframe_of
from components.pipeline.hour_grid import HourGrid, median_of_windows, unit_numbers, weeks_of, window_of
from components.pipeline.quality_parts import EXAMPLES_KEPT, Example, Quality
from components.pipeline.recipe import BarSet
from components.pipeline.row_order import BAD_OHLC, LATE, REASONS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Bits of the column `repair`; 0 is a bar as it was delivered.
REPAIRS: Final[dict[str, tuple[int, str]]] = {
    "sort": (1, "rows that came after a later one are put in their place"),
    "drop_duplicates": (2, "of rows with the same open time the first stays; it is flagged"),
    "clip_ohlc": (4, "a high below, or a low above, open and close is moved to them; rows without four positive prices are left out"),
    "shift_clock": (8, "stretches whose clock a comparison with other bars found to be off are moved in time"),
    "drop_outside": (0, "bars while the market was closed are left out"),
    "cut_spikes": (16, "prices further than 20 typical moves from the last close are cut to 5 from it; a second such bar in a row is believed"),
    "fill_gaps": (32, "the first missing bars of a hole become flat bars at the last close, without volume"),
}
# A cut changes a real price where the market did jump, so it asks for more than the score does.
# Cut to less than that, so that the way back is no spike itself.
CUT_SCALE, CUT_TO = 20.0, 5.0
PAST_BARS, LEAST_PAST = 240, 60
MOST_FILLED = 5
LATER = ("drop_outside", "cut_spikes", "fill_gaps")
# What a collection left out, and the repair that takes it back.
LEFT_OUT = {REASONS[BAD_OHLC]: "clip_ohlc", REASONS[LATE]: "sort"}


@dataclass(frozen=True)
class Repair:
    """A repair that could be made: how many rows it would change (or leave out, or add), what it does, and the first of them."""

    kind: str
    rows: int
    what: str
    first: str


def propose_repairs(bars: pd.DataFrame, quality: Quality | BarSet | None = None, *, timeframe: Timeframe | None = None) -> list[Repair]:
    """The repairs that would change anything.

    Parameters
    ----------
    bars : DataFrame, shape (n, ≥ 4)
        Bars as delivered, or a bars frame.
    quality : Quality or BarSet, optional
        Tells what was left out when the bars were collected, and which stretches a cross-check found shifted.
    timeframe : Timeframe, optional
        Read off the bars by default.

    Returns
    -------
    list of Repair
        In the order in which they are made.
    """
    shifts, left_out = shifts_of(quality), _left_out(quality)
    found = []
    for kind, (_, what) in REPAIRS.items():
        if left_out.get(kind):
            found.append(Repair(kind, left_out[kind], what, "left out when it was collected; taken from the pieces"))
            continue
        frame, report = repair_rows(bars, {kind}, shifts)
        if kind in LATER:
            if not _is_valid(frame):
                continue
            frame, report = _bar_stage(_valid(frame), {kind}, timeframe, Calendar(), MOST_FILLED)
        if report[kind]["rows"]:
            found.append(Repair(kind, report[kind]["rows"], what, ", ".join(report[kind]["examples"][:3])))
    return found


def repair_bars(
    bars: pd.DataFrame,
    kinds: Iterable[str],
    *,
    timeframe: Timeframe | None = None,
    calendar: Calendar | None = None,
    most_filled: int = MOST_FILLED,
    shifts: Sequence[ShiftedStretch] = (),
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A repaired copy of bars.

    Parameters
    ----------
    bars : DataFrame, shape (n, ≥ 4)
        Bars as delivered, or a bars frame; it is not changed. Further columns of numbers are kept.
    kinds : iterable of str
        Which repairs to make, of `REPAIRS`; they are made in its order, whatever order they are named in.
    timeframe : Timeframe, optional
        Read off the bars by default (the commonest step).
    calendar : Calendar, optional
        When the market is open; the FX week by default. Pauses are not inferred here: that would look at the whole history.
    most_filled : int
        Flat bars at most at the beginning of each hole.
    shifts : sequence of ShiftedStretch
        For ``shift_clock``: which stretches move by how many minutes.

    Returns
    -------
    frame : DataFrame, shape (m, ≥ 6)
        A bars frame with the int64 column ``repair``: the bits of `REPAIRS`, 0 for a bar that was left alone.
    report : dict
        For each kind ``rows`` that were changed, left out or made, and the first ``examples``.

    Raises
    ------
    BadInput
        If a kind is unknown, or what is left is no bars frame because a repair that it needs was not asked for.

    Notes
    -----
    A row of the answer depends on rows up to its own only (``sort`` and ``shift_clock`` apart, which say what the times are): filled bars
    hold what was known when they would have closed, and a cut price what was known at its close. `check_causal` is run on it in the tests.
    """
    wanted = set(kinds)
    unknown = wanted - set(REPAIRS)
    if unknown:
        raise BadInput("kinds", f"{sorted(unknown)[0]!r} is no repair; known are {', '.join(REPAIRS)}")
    if most_filled < 0:
        raise BadInput("most_filled", f"{most_filled} is below 0")
    frame, report = repair_rows(bars, wanted, shifts)
    frame, more = _bar_stage(_valid(frame), wanted, timeframe, calendar or Calendar(), most_filled)
    return frame, report | more


def repair_rows(bars: pd.DataFrame, wanted: set[str], shifts: Sequence[ShiftedStretch] = ()) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The repairs of rows that need not be bars yet: ``sort``, ``drop_duplicates``, ``clip_ohlc``, ``shift_clock``; see `repair_bars`."""
    if not isinstance(bars.index, pd.DatetimeIndex) or bars.index.tz is None:
        raise BadInput("bars.open_time", "the index is not a DatetimeIndex with a time zone")
    frame = bars.copy()
    frame.index = bars.index.tz_convert("UTC").as_unit("ms").rename("open_time")
    frame = frame[frame.index.notna()]
    frame["repair"] = frame["repair"].to_numpy(dtype=np.int64, copy=True) if "repair" in frame.columns else np.int64(0)
    report: dict[str, Any] = {}
    for kind, repair in (("sort", _sort), ("drop_duplicates", _drop_duplicates), ("clip_ohlc", _clip_ohlc)):
        if kind in wanted:
            frame = _noted(report, kind, *repair(frame))
    if "shift_clock" in wanted:
        frame = _noted(report, "shift_clock", *_shift(frame, shifts))
    return frame, report


def _bar_stage(
    frame: pd.DataFrame, wanted: set[str], timeframe: Timeframe | None, calendar: Calendar, most_filled: int
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Repairs of bars."""
    length = timeframe or timeframe_of(_times(frame))
    report: dict[str, Any] = {}
    if "drop_outside" in wanted:
        frame = _noted(report, "drop_outside", *_drop_outside(frame, calendar, length))
    if "cut_spikes" in wanted:
        frame = _noted(report, "cut_spikes", *_cut_spikes(frame, length))
    if "fill_gaps" in wanted:
        frame = _noted(report, "fill_gaps", *_fill_gaps(frame, calendar, length, most_filled))
    return frame, report


def _noted(report: dict[str, Any], kind: str, frame: pd.DataFrame, at: Ints, values: Floats | None) -> pd.DataFrame:
    shown = values[:EXAMPLES_KEPT].tolist() if values is not None else [None] * min(len(at), EXAMPLES_KEPT)
    examples = [str(Example(int(when), value)) for when, value in zip(at[:EXAMPLES_KEPT].tolist(), shown, strict=True)]
    report[kind] = {"rows": len(at), "what": REPAIRS[kind][1], "examples": examples}
    return frame


def _sort(frame: pd.DataFrame) -> tuple[pd.DataFrame, Ints, Floats | None]:
    times = _times(frame)
    late = np.zeros(len(times), dtype=bool)
    late[1:] = times[1:] < np.maximum.accumulate(times)[:-1]
    frame.loc[late, "repair"] |= REPAIRS["sort"][0]
    return frame.sort_index(kind="stable"), times[late], None


def _drop_duplicates(frame: pd.DataFrame) -> tuple[pd.DataFrame, Ints, Floats | None]:
    again = frame.index.duplicated(keep="first")
    if not again.any():
        return frame, np.zeros(0, dtype=np.int64), None
    repeated = _times(frame)[again]
    kept = frame[~again].copy()
    kept.loc[np.isin(_times(kept), repeated), "repair"] |= REPAIRS["drop_duplicates"][0]
    return kept, repeated, frame["close"].to_numpy(dtype=np.float64)[again]


def _clip_ohlc(frame: pd.DataFrame) -> tuple[pd.DataFrame, Ints, Floats | None]:
    opens, highs, lows, closes = (frame[name].to_numpy(dtype=np.float64) for name in PRICE_COLUMNS)
    usable = np.ones(len(frame), dtype=bool)
    for column in (opens, highs, lows, closes):
        usable &= np.isfinite(column) & (column > 0)
    high, low = np.fmax(highs, np.fmax(opens, closes)), np.fmin(lows, np.fmin(opens, closes))
    moved = usable & ((high != highs) | (low != lows))
    frame["high"], frame["low"] = np.where(moved, high, highs), np.where(moved, low, lows)
    frame.loc[moved, "repair"] |= REPAIRS["clip_ohlc"][0]
    return frame[usable].copy(), _times(frame)[moved | ~usable], closes[moved | ~usable]


def _shift(frame: pd.DataFrame, shifts: Sequence[ShiftedStretch]) -> tuple[pd.DataFrame, Ints, Floats | None]:
    times = _times(frame)
    moved = np.zeros(len(times), dtype=np.int64)
    for one in shifts:
        moved[(times >= one.first_ms) & (times <= one.last_ms)] = one.minutes * MINUTE_MS
    at = np.flatnonzero(moved)
    if not len(at):
        return frame, np.zeros(0, dtype=np.int64), None
    frame.loc[moved != 0, "repair"] |= REPAIRS["shift_clock"][0]
    frame.index = _index(times + moved)
    # Where a moved bar meets one that stayed, the one that stayed has the say: its clock was never in doubt.
    order = np.lexsort((moved != 0, times + moved))
    frame = frame.iloc[order]
    return frame[~frame.index.duplicated(keep="first")].copy(), times[at], (moved[at] / MINUTE_MS).astype(np.float64)


def _drop_outside(frame: pd.DataFrame, calendar: Calendar, timeframe: Timeframe) -> tuple[pd.DataFrame, Ints, Floats | None]:
    times = _times(frame)
    if not len(times):
        return frame, times, None
    if timeframe.value <= 60:
        outside = calendar.states(times) == CLOSED
    else:
        grid = calendar.grid(int(times[0]), int(times[-1]), timeframe)
        place = np.maximum(np.searchsorted(grid.open_ms, times, side="right") - 1, 0)
        outside = grid.state[place] == CLOSED
    return frame[~outside].copy(), times[outside], frame["close"].to_numpy()[outside]


def _cut_spikes(frame: pd.DataFrame, timeframe: Timeframe) -> tuple[pd.DataFrame, Ints, Floats | None]:
    """Cut what lies more than 20 typical moves of the past from the last close; a second bar in a row on the same side is believed."""
    opens, highs, lows, closes = (frame[name].to_numpy(dtype=np.float64, copy=True) for name in PRICE_COLUMNS)
    move = past_moves(_times(frame), closes, timeframe)
    before = np.concatenate((closes[:1], closes[:-1]))
    far = (highs > before * (1 + CUT_SCALE * move)) | (lows < before * (1 - CUT_SCALE * move))
    changed = np.zeros(len(closes), dtype=bool)
    delivered = closes.copy()
    # Looked at are bars that are far off, and the one after each cut bar, whose last close is another now.
    waiting = [row for row in np.flatnonzero(far).tolist() if row > 0]
    place, row, side = 0, waiting[0] if waiting else len(closes), 0
    while row < len(closes):
        last, usual = closes[row - 1], move[row]
        above, below = last * (1 + CUT_SCALE * usual), last * (1 - CUT_SCALE * usual)
        is_far = bool(highs[row] > above or lows[row] < below)
        beyond = int(closes[row] > above) - int(closes[row] < below)
        if is_far and not (side != 0 and beyond == side):
            for column in (opens, highs, lows, closes):
                column[row] = min(max(column[row], last * (1 - CUT_TO * usual)), last * (1 + CUT_TO * usual))
            changed[row], side = True, beyond
        else:
            side = 0
        while place < len(waiting) and waiting[place] <= row:
            place += 1
        following = waiting[place] if place < len(waiting) else len(closes)
        row = row + 1 if changed[row] else following
    for name, column in zip(PRICE_COLUMNS, (opens, highs, lows, closes), strict=True):
        frame[name] = column
    frame.loc[changed, "repair"] |= REPAIRS["cut_spikes"][0]
    return frame, _times(frame)[changed], delivered[changed]


def past_moves(open_ms: Ints, close: Floats, timeframe: Timeframe) -> Floats:
    """What a typical move was before each bar, as a share of the price: known when the bar opens.

    Parameters
    ----------
    open_ms, close : shape (n,)
        Open times in epoch milliseconds UTC, increasing, and closes.
    timeframe : Timeframe

    Returns
    -------
    float64, shape (n,)
        The larger of two medians of absolute moves: of the last 240 bars, and of the same hour of the week in the 8 weeks before (of the unit
        before where bars are long, see `window_of`). NaN while fewer than 60 moves are known, and for bars of an hour or less where no
        earlier week has that hour: a night says nothing about the morning after it. The value at t uses closes before t.
    """
    if not len(close):
        return np.zeros(0)
    move = np.abs(np.diff(close, prepend=np.nan) / np.concatenate(([np.nan], close[:-1])))
    recent = pd.Series(move).rolling(PAST_BARS, min_periods=LEAST_PAST).median().shift(1).to_numpy()
    window = window_of(timeframe)
    number = unit_numbers(open_ms, int(weeks_of(int(open_ms[0]), int(open_ms[0]))[0]), window)
    dense = np.concatenate(([0], np.cumsum(np.diff(number) > 0)))
    grid = HourGrid.of(open_ms, dense, timeframe)
    own = grid.medians(move)
    # The units before a bar's own only: its own is not over when the bar closes.
    earlier = np.concatenate((np.full((window.units, own.shape[1]), np.nan), own))
    usual = grid.spread_out(median_of_windows(earlier, np.arange(grid.count), window.units))
    is_known = ~np.isnan(recent) & (~np.isnan(usual) | (window.weeks > 1))
    return np.where(is_known, np.fmax(recent, usual), np.nan)


def _fill_gaps(frame: pd.DataFrame, calendar: Calendar, timeframe: Timeframe, most: int) -> tuple[pd.DataFrame, Ints, Floats | None]:
    times = _times(frame)
    none = np.zeros(0, dtype=np.int64)
    if len(times) < 2 or not most:
        return frame, none, None
    grid = calendar.grid(int(times[0]), int(times[-1]), timeframe)
    expected = grid.open_ms[grid.state == OPEN]
    place = np.searchsorted(times, expected)
    absent = times[np.minimum(place, len(times) - 1)] != expected
    # How many expected bars in a row are missing up to each: only the first ones are filled, whatever comes after.
    order = np.arange(len(expected))
    run = order - np.maximum.accumulate(np.where(absent, -1, order))
    new = absent & (run <= most)
    if not new.any():
        return frame, none, None
    sources = frame.iloc[place[new] - 1]
    made = sources.copy()
    made.index = _index(expected[new])
    for name in PRICE_COLUMNS:
        made[name] = sources["close"].to_numpy()
    made["volume"] = 0.0
    # Other columns of whole numbers tell where a bar came from: these came from nowhere.
    for name in made.columns:
        if name != "repair" and made[name].dtype.kind in "iu":
            made[name] = np.int64(NOT_KNOWN)
    made["repair"] = np.int64(REPAIRS["fill_gaps"][0])
    joined = pd.concat([frame, made]).sort_index(kind="stable")
    return joined, expected[new], made["close"].to_numpy()


def _valid(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as a bars frame with its further columns; says which repair is missing where it is none."""
    try:
        valid = validate_bars(frame)
    except BadInput as error:
        needed = "drop_duplicates or sort" if error.field == "bars.open_time" else "clip_ohlc"
        raise BadInput(error.field, f"{error.message.removeprefix(error.field + ': ')}; ask for {needed} too") from None
    for name in frame.columns:
        if name not in valid.columns:
            valid[name] = frame[name].to_numpy()
    return valid


def _is_valid(frame: pd.DataFrame) -> bool:
    try:
        validate_bars(frame)
    except BadInput:
        return False
    return True


def _times(frame: pd.DataFrame) -> Ints:
    return np.asarray(pd.DatetimeIndex(frame.index).as_unit("ms").asi8, dtype=np.int64)


def _index(open_ms: Ints) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.to_datetime(open_ms, unit="ms", utc=True)).as_unit("ms").rename("open_time")


def shifts_of(quality: Quality | BarSet | None) -> tuple[ShiftedStretch, ...]:
    """Which stretches a comparison with other bars found shifted, the whole history first; of the first comparison that found any."""
    if quality is None:
        return ()
    judged = replace(Quality.from_dict(quality.quality), symbol=quality.symbol) if isinstance(quality, BarSet) else quality
    for check in judged.shifts:
        whole = [ShiftedStretch(0, 2**62, check["shift_minutes"])] if check["shift_minutes"] else []
        parts = [ShiftedStretch(one["first_ms"], one["last_ms"], one["minutes"]) for one in check["shifted"]]
        if whole or parts:
            return (*whole, *parts)
    return ()


def _left_out(quality: Quality | BarSet | None) -> dict[str, int]:
    if not isinstance(quality, BarSet):
        return {}
    counts = (quality.made_by.get("rejected") or {}).get("counts") or {}
    return {kind: int(counts[reason]) for reason, kind in LEFT_OUT.items() if counts.get(reason)}
