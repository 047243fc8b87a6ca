"""Does a function of bars look ahead? It is recomputed on truncated and on changed futures; what it said about the past must not move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.fx import BadInput, validate_bars


@dataclass(frozen=True)
class Leak:
    """One column of a function's answer that moved when only the future was changed.

    `row` is the first row that moved, `cut` the last bar that was left alone (row ≤ cut), `kind` what was done to the bars after it.
    """

    column: str
    function: str
    row: int
    kind: Literal["truncation", "perturbation"]
    cut: int


def check_causal(
    function: Callable[[pd.DataFrame], pd.DataFrame | pd.Series], bars: pd.DataFrame, *, cuts: int | Sequence[int] = 16, seed: int = 0
) -> list[Leak]:
    """Look for look-ahead in a function of bars.

    Parameters
    ----------
    function : callable
        Takes a bars frame of n rows, gives a frame or series of n rows. It gets a copy each time.
    bars : DataFrame, shape (n, ≥ 5)
        A bars frame of at least 3 rows.
    cuts : int or sequence of int
        Rows after which the future is taken away, and changed; or how many of them to draw at random. Rows 0, 1, 2, 4, 8 … (a fill from
        behind shows only where the warm-up is cut), and the last two rows are always among the drawn ones.
    seed : int
        Seed of the drawing and of the changes.

    Returns
    -------
    list of Leak
        At most one per column and kind, the one with the earliest cut; empty when nothing moved. Values must agree bit for bit (NaN
        equals NaN), in every row up to and including the cut.

    Raises
    ------
    BadInput
        If a cut is not a row of `bars`, or the function's answer has another number of rows than its bars.
    """
    frame = validate_bars(bars)
    rows = _cut_rows(len(frame), cuts, seed)
    whole = _answer(function, frame)
    name = getattr(function, "__name__", type(function).__name__)
    found: dict[tuple[str, str], Leak] = {}
    kind: Literal["truncation", "perturbation"]
    for cut in rows:
        past = whole.iloc[: cut + 1]
        for kind, changed in (("truncation", frame.iloc[: cut + 1]), ("perturbation", _other_future(frame, cut, seed))):
            again = _answer(function, changed).iloc[: cut + 1]
            for column, row in _moved(past, again):
                found.setdefault((column, kind), Leak(column, name, row, kind, cut))
    return list(found.values())


def _cut_rows(rows: int, cuts: int | Sequence[int], seed: int) -> list[int]:
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


def _answer(function: Callable[[pd.DataFrame], pd.DataFrame | pd.Series], bars: pd.DataFrame) -> pd.DataFrame:
    answer = function(bars.copy())
    frame = answer.to_frame() if isinstance(answer, pd.Series) else answer
    if len(frame) != len(bars):
        raise BadInput("function", f"gave {len(frame)} rows for {len(bars)} bars; a causal function answers once per bar")
    return frame


def _other_future(bars: pd.DataFrame, cut: int, seed: int) -> pd.DataFrame:
    """The same bars up to `cut`; after it another level, other moves, volumes and spreads, and a longer pause before the first bar."""
    changed = bars.copy()
    later = len(bars) - cut - 1
    if later == 0:
        return changed
    random = np.random.default_rng((seed, cut))
    factor = np.exp(0.05 * random.choice([-1.0, 1.0]) + np.cumsum(random.normal(0.0, 0.003, later)))
    for column in changed.columns:
        values = changed[column].to_numpy(copy=True)
        values[cut + 1 :] *= factor if column in ("open", "high", "low", "close") else random.uniform(0.2, 5.0, later)
        changed[column] = values
    open_ms: NDArray[np.int64] = pd.DatetimeIndex(changed.index).as_unit("ms").asi8.copy()
    open_ms[cut + 1 :] += 5 * 3_600_000
    changed.index = pd.DatetimeIndex(pd.to_datetime(open_ms, unit="ms", utc=True)).as_unit("ms").rename("open_time")
    return changed


def _moved(before: pd.DataFrame, after: pd.DataFrame) -> list[tuple[str, int]]:
    """Columns whose values differ, each with its first differing row; a column that came or went differs from row 0."""
    moved = [(str(column), 0) for column in before.columns.symmetric_difference(after.columns)]
    for column in before.columns.intersection(after.columns):
        old, new = before[column].reset_index(drop=True), after[column].reset_index(drop=True)
        differs = ~((old == new) | (old.isna() & new.isna())).to_numpy(dtype=bool)
        if differs.any():
            moved.append((str(column), int(np.argmax(differs))))
    return moved
