"""Columns of plain features: from bars to the matrix that kernels read, and from kernels to rows of values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from components.features.catalogue import resolve
from components.features.formula import SPREAD, Floats, Formula, Ints
from components.features.names import FeatureName, parse_name
from components.fx import BAR_COLUMNS, BadInput

ROWS = (*BAR_COLUMNS, "spread_points")
BLOCK_ROWS = 8192
"""Rows that a kernel is asked for at a time: what it works on stays in fast memory, and the answer does not depend on it."""


@dataclass(frozen=True)
class Column:
    """One formula with its periods and a shift, ready to be computed.

    `warmup` counts the first rows that are NaN, the shift left out; `lookback` the rows before a block that its kernel reads.
    """

    name: str
    formula: Formula
    periods: tuple[int, ...]
    shift: int = 0
    params: Floats = field(default_factory=lambda: np.empty(0), repr=False, compare=False)
    warmup: int = 0
    lookback: int = 0
    state_size: int = 0

    @classmethod
    def of(cls, name: str, formula: Formula, periods: tuple[int, ...], shift: int = 0) -> Column:
        """The column of a formula."""
        params = np.array(periods, dtype=np.float64)
        return cls(name, formula, periods, shift, params, formula.warmup(*periods), formula.lookback(*periods), formula.state_size(*periods))

    @property
    def key(self) -> tuple[str, tuple[int, ...]]:
        """What is computed, whatever its shift."""
        return self.formula.name, self.periods

    def fill(self, data: Floats, open_ms: Ints, origin: int, start: int, stop: int, state: Floats, out: Floats) -> None:
        """Unshifted values of rows `start` to `stop`, NaN while the formula warms up; see `Formula.kernel`."""
        block = max(BLOCK_ROWS, 4 * self.lookback)
        for first in range(start, stop, block):
            self.formula.kernel(data, open_ms, origin, first, min(first + block, stop), self.params, state, out)
        out[start : min(max(self.warmup - origin, start), stop)] = np.nan


def needs_bars_only(name: FeatureName) -> bool:
    """Whether a feature is computed from the bars at hand alone: no other symbol or timeframe, and no news.

    Raises
    ------
    BadInput
        As `resolve`.
    """
    return name.is_plain and not resolve(name)[0].needs & {"others", "news"}


def plain_columns(names: Iterable[str | FeatureName], *, is_indicator: bool = False) -> list[Column]:
    """The columns that plain names ask for, features or indicators.

    Raises
    ------
    BadInput
        As `resolve`; and for a name with a symbol or timeframe, or whose formula needs other symbols or news.
    """
    columns = []
    for name in names:
        parsed = parse_name(name) if isinstance(name, str) else name
        if not parsed.is_plain:
            raise BadInput("features", f"{str(parsed)!r} is of another symbol or timeframe")
        formula, periods = resolve(parsed, is_indicator=is_indicator)
        if formula.needs & {"others", "news"}:
            raise BadInput("features", f"{str(parsed)!r} is computed from more than the bars of one symbol; PanelStream takes it bar by bar")
        columns.append(Column.of(str(parsed), formula, periods, parsed.shift))
    return columns


def bar_matrix(bars: pd.DataFrame) -> tuple[Floats, Ints]:
    """The rows that kernels read, float64 (6, n), and open times, epoch milliseconds UTC, int64 (n,); spread NaN where it is not known.

    Raises
    ------
    BadInput
        If a column is missing, or the index is not of aware times.
    """
    missing = [column for column in BAR_COLUMNS if column not in bars.columns]
    if missing:
        raise BadInput("bars", f"column {missing[0]!r} is missing")
    if not isinstance(bars.index, pd.DatetimeIndex) or bars.index.tz is None:
        raise BadInput("bars.open_time", "the index is not a DatetimeIndex with a time zone")
    data = np.empty((len(ROWS), len(bars)))
    for row, name in enumerate(ROWS):
        data[row] = bars[name] if name in bars.columns else np.nan
    open_ms: Ints = np.array(bars.index.as_unit("ms").asi8, dtype=np.int64)
    return data, open_ms


def check_needs(columns: Sequence[Column], data: Floats) -> None:
    """Refuse what these bars cannot give; where nothing traded, features of the volume take their neutral value instead.

    Raises
    ------
    BadInput
        Naming the first column that needs a spread where no bar has one.
    """
    needing = [column for column in columns if "spread" in column.formula.needs]
    if needing and data.shape[1] and np.isnan(data[SPREAD]).all():
        raise BadInput("bars", f"{needing[0].name} needs the spread of each bar, and no bar has spread_points")


def compute_columns(data: Floats, open_ms: Ints, columns: Sequence[Column]) -> Floats:
    """Values of every column over a whole history, float64 (k, n); columns that differ by their shift alone are computed once."""
    rows = data.shape[1]
    values = np.empty((len(columns), rows))
    first: dict[tuple[str, tuple[int, ...]], int] = {}
    for place, column in enumerate(columns):
        if column.key not in first:
            first[column.key] = place
            column.fill(data, open_ms, 0, 0, rows, np.zeros(column.state_size), values[place])
    # Shifted copies first, and the computed row itself last: it is what the others are copied from.
    for is_source in (False, True):
        for place, column in enumerate(columns):
            if (first[column.key] == place) is is_source:
                kept = min(column.shift, rows)
                if kept or not is_source:
                    values[place, kept:] = values[first[column.key], : rows - kept].copy()
                    values[place, :kept] = np.nan
    return values
