"""Other futures for the same past: bars and inputs with everything after a bar taken away, or changed beyond recognition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.features.inputs import FeatureInputs, timeframe_of
from components.fx import BadInput, Timeframe, bar_close_ms

Kind = Literal["truncation", "perturbation"]
KINDS: tuple[Kind, ...] = ("truncation", "perturbation")
HOUR_MS = 3_600_000
PRICES = ("open", "high", "low", "close")


def cut_rows(rows: int, cuts: int | Sequence[int], seed: int) -> list[int]:
    """Rows to cut after: those given; or that many drawn, with rows 0, 1, 2, 4, 8 … and the last two.

    Raises
    ------
    BadInput
        If there are fewer than 3 rows, or a cut is not one of them.
    """
    if rows < 3:
        raise BadInput("bars", f"{rows} rows are too few to cut; give at least 3")
    if isinstance(cuts, int):
        if cuts < 0:
            raise BadInput("cuts", f"{cuts} is negative")
        doubling = [0] + [2**power for power in range(rows.bit_length()) if 2**power < rows]
        drawn = np.random.default_rng(seed).integers(0, rows, cuts).tolist()
        return sorted({*doubling, *drawn, rows - 2, rows - 1})
    chosen = sorted({int(cut) for cut in cuts})
    if not chosen or chosen[0] < 0 or chosen[-1] >= rows:
        raise BadInput("cuts", f"{list(cuts)} are not rows between 0 and {rows - 1}")
    return chosen


def other_future(bars: pd.DataFrame, cut: int, kind: Kind, seed: int) -> pd.DataFrame:
    """The same bars up to row `cut`; after it none, or bars of another level, with other moves, volumes and spreads, after a longer pause."""
    if kind == "truncation":
        return bars.iloc[: cut + 1].copy()
    return changed_after(bars, cut + 1, pause_ms(bars), seed, cut)


def other_inputs(inputs: FeatureInputs, bars: pd.DataFrame, cut: int, kind: Kind, seed: int) -> FeatureInputs:
    """The same inputs as far as they were known at the close of row `cut` of `bars`.

    Known are the other symbols' bars up to the same open time, and the news first seen up to the close of that bar.
    """
    open_ms = pd.DatetimeIndex(bars.index[[cut]]).as_unit("ms").asi8
    opened, closed = (pd.to_datetime(int(at[0]), unit="ms", utc=True) for at in (open_ms, bar_close_ms(open_ms, inputs.timeframe or length_of(bars))))

    def changed(frame: pd.DataFrame, until: pd.Timestamp, number: int) -> pd.DataFrame:
        known = int(pd.DatetimeIndex(frame.index).searchsorted(until, side="right"))
        return frame.iloc[:known].copy() if kind == "truncation" else changed_after(frame, known, pause_ms(bars), seed, cut, number)

    others = {name: changed(frame, opened, number) for number, (name, frame) in enumerate(sorted(inputs.others.items()), start=1)}
    news = {name: changed(frame, closed, 1000 + number) for number, (name, frame) in enumerate(sorted(inputs.news.items()))}
    return replace(inputs, others=others, news=news)


def changed_after(frame: pd.DataFrame, known: int, later_ms: int, *seeds: int) -> pd.DataFrame:
    """The frame with the same first `known` rows and every later value another one, `later_ms` later."""
    changed = frame.copy()
    count = len(frame) - known
    if count == 0:
        return changed
    random = np.random.default_rng(seeds)
    factor = np.exp(0.05 * random.choice([-1.0, 1.0]) + np.cumsum(random.normal(0.0, 0.003, count)))
    for column in changed.columns:
        if str(column).endswith("_ms"):  # an instant, such as the bucket that news speaks of
            instants = changed[column].to_numpy(dtype=np.int64, copy=True)
            instants[known:] += later_ms
            changed[column] = instants
            continue
        values = changed[column].to_numpy(dtype=np.float64, copy=True)
        values[known:] *= factor if column in PRICES else random.uniform(0.2, 5.0, count)
        changed[column] = values
    times: NDArray[np.int64] = pd.DatetimeIndex(changed.index).as_unit("ms").asi8.copy()
    times[known:] += later_ms
    changed.index = pd.DatetimeIndex(pd.to_datetime(times, unit="ms", utc=True)).as_unit("ms").rename(frame.index.name)
    return changed


def length_of(bars: pd.DataFrame) -> Timeframe:
    """Length of the bars, read off their open times."""
    return timeframe_of(np.array(pd.DatetimeIndex(bars.index).as_unit("ms").asi8, dtype=np.int64))


def pause_ms(bars: pd.DataFrame) -> int:
    """A pause that keeps the bars on their grid: five hours, or a week where they are longer than an hour."""
    return 5 * HOUR_MS if length_of(bars).ms <= HOUR_MS else 7 * 24 * HOUR_MS


def moved(before: pd.DataFrame, after: pd.DataFrame, rows: NDArray[np.bool_] | None = None) -> list[tuple[str, int]]:
    """Columns whose values differ (NaN equals NaN), each with its first differing row.

    A column that came or went differs from row 0. With `rows`, a mask of shape (n,), only those rows are compared.
    """
    found = [(str(column), 0) for column in before.columns.symmetric_difference(after.columns)]
    for column in before.columns.intersection(after.columns):
        differs = _differs(before[column], after[column])
        if rows is not None:
            differs &= rows
        if differs.any():
            found.append((str(column), int(np.argmax(differs))))
    return found


def _differs(old: pd.Series, new: pd.Series) -> NDArray[np.bool_]:
    if old.dtype == np.float64 and new.dtype == np.float64:
        first, second = old.to_numpy(), new.to_numpy()
        return np.asarray(~((first == second) | (np.isnan(first) & np.isnan(second))), dtype=bool)
    old, new = old.reset_index(drop=True), new.reset_index(drop=True)
    return np.asarray(~((old == new) | (old.isna() & new.isna())).to_numpy(dtype=bool), dtype=bool)
