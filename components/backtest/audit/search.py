"""The search for look-ahead: the same past with other futures, far ones at some cuts and near ones at every row of a few windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from components.backtest.audit.asked import Asked, Columns, differing
from components.features import cut_rows, other_future

Kind = Literal["truncation", "perturbation"]
KINDS: tuple[Kind, ...] = ("truncation", "perturbation")
WINDOWS = 4
ROUNDING = 1e-12
"""Relative difference up to which a number was only rounded another way: a product of matrices adds up in an order that follows their size."""
HISTORY = 600
"""Bars before the dense rows of a window, at most: a near leak shows whatever the strategy's memory, so long ones are cut short."""

Tell = Callable[[float, str], None]


@dataclass(frozen=True)
class Move:
    """A column that moved: under which future of which bars (rows `first` to `end`, excluded), and the first row that did."""

    column: str
    kind: Kind
    cut: int
    row: int
    first: int
    end: int
    seed: int


@dataclass(frozen=True)
class Failure:
    """Bars over which the strategy could not decide: it raised `error`."""

    kind: Kind
    cut: int
    error: str


@dataclass
class Search:
    """What was found so far."""

    moves: dict[tuple[str, str], Move]
    failures: list[Failure]
    rounding: set[str] = field(default_factory=set)
    cuts: int = 0


def find_moves(asked: Asked, bars: pd.DataFrame, warmup: int, *, cuts: int, dense: int, seed: int, tell: Tell) -> Search:
    """Columns whose past moves when only the future is another.

    Parameters
    ----------
    asked : Asked
    bars : DataFrame, shape (n, ≥ 5)
    warmup : int
        History that the strategy says it needs, in bars.
    cuts : int
        Rows drawn at random, and as many drawn among those with a decision, after which the future of all bars is taken away and changed.
    dense : int
        Consecutive rows of each of four windows after which the same is done one by one: a leak that reaches one bar ahead, or shows in one
        row of many, is seen only from the row that has it.
    seed : int
    tell : callable
        Told the share that is done, 0–1, and what is being done.

    Returns
    -------
    Search
        At most one move per column and kind, of all bars where it shows there. Values must agree bit for bit; columns that differ in their last
        bits only are kept apart, in `rounding`.
    """
    found = Search({}, [])
    whole = asked.columns(bars)
    rows = _rows(whole, len(bars), cuts, seed)
    windows = list(_windows(len(bars), warmup, dense, seed))
    steps = len(rows) + sum(len(near) for _, _, near in windows)
    for number, cut in enumerate(rows):
        tell(number / steps, f"futures of all {len(bars):,} bars, cut {number + 1} of {len(rows)}, {len(found.moves)} moved")
        _try(asked, bars, whole, cut, 0, seed, warmup, found, last_only=False)
    done = len(rows)
    for first, end, near in windows:
        part = bars.iloc[first:end]
        known = asked.try_columns(part)
        if isinstance(known, str):
            found.failures.append(Failure("truncation", end - 1, known))
            continue
        for cut in near:
            if done % 50 == 0:
                tell(done / steps, f"futures bar by bar, {done - len(rows)} of {steps - len(rows)}, {len(found.moves)} moved")
            _try(asked, part, known, cut - first, first, seed, warmup, found, last_only=True)
            done += 1
    return found


def _try(asked: Asked, bars: pd.DataFrame, known: Columns, cut: int, first: int, seed: int, warmup: int, found: Search, *, last_only: bool) -> None:
    """One cut under both futures; `last_only` compares the row of the cut alone, for the earlier ones had their own turn."""
    since = cut if last_only else 0
    for kind in KINDS:
        number = seed + cut if last_only else seed
        after = asked.try_columns(other_future(bars, cut, kind, number))
        if isinstance(after, str):
            if cut >= warmup:  # a shorter history than it states to need is no fault
                found.failures.append(Failure(kind, first + cut, after))
            continue
        found.cuts += 1
        for column, before in known.items():
            if (column, kind) in found.moves:
                continue
            moved = differing(before, after[column], since, cut)
            if not moved.any():
                continue
            clear = differing(before, after[column], since, cut, ROUNDING)
            if not clear.any():
                found.rounding.add(column)
            else:
                row = since + int(np.argmax(clear))
                found.moves[column, kind] = Move(column, kind, first + cut, first + row, first, first + len(bars), number)


def _rows(whole: Columns, rows: int, cuts: int, seed: int) -> list[int]:
    """Rows to cut all bars after: drawn ones with the first and the last, and some with a wish or an exit, where a cheat pays."""
    side, out = (np.broadcast_to(whole[name], rows) for name in ("side", "exit"))
    wishes = np.flatnonzero((side != 0) | (out != 0))
    drawn = np.random.default_rng([seed, 1]).choice(wishes, min(cuts, len(wishes)), replace=False).tolist() if len(wishes) else []
    return sorted({*cut_rows(rows, cuts, seed), *drawn})


def _windows(rows: int, warmup: int, dense: int, seed: int) -> Iterator[tuple[int, int, range]]:
    """Windows of bars (first, end) and the rows of each to cut after; the last one ends with the last bar but one."""
    if dense < 1:
        return
    history = min(max(warmup, 50), HISTORY)
    length = min(history + dense, rows)
    ends = {rows, *np.random.default_rng([seed, 2]).integers(length, rows + 1, WINDOWS - 1).tolist()}
    for end in sorted(ends):
        yield end - length, end, range(max(end - dense, end - length), end - 1)
