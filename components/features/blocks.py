"""Features of a long history, block by block: the rows of `compute_features` without holding them all in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from components.features.catalogue import DEFAULT_FEATURES, distinct_names
from components.features.columns import Column, bar_matrix, check_needs, needs_bars_only, plain_columns
from components.features.formula import Floats
from components.features.inputs import FeatureInputs
from components.features.names import FeatureName, parse_name
from components.features.panel import panel_columns

BLOCK_ROWS = 65_536


def feature_blocks(
    bars: pd.DataFrame, names: Iterable[str] | None = None, inputs: FeatureInputs | None = None, *, block_rows: int = BLOCK_ROWS
) -> Iterator[pd.DataFrame]:
    """Features of every bar, some bars at a time.

    Parameters
    ----------
    bars, names, inputs
        As in `compute_features`.
    block_rows : int
        Bars of a block; the last one may be shorter.

    Yields
    ------
    DataFrame of float64, shape (≤ block_rows, len(names))
        Put together they are `compute_features` of the whole, bit for bit: recursive formulas carry their state from block to block. Features
        of other symbols and timeframes are computed as a whole, so they take the memory of their columns.

    Raises
    ------
    BadInput
        As `compute_features`, before the first block.
    """
    wanted = [parse_name(name) for name in distinct_names(DEFAULT_FEATURES if names is None else names)]
    plain = plain_columns([name for name in wanted if needs_bars_only(name)])
    if plain:
        _check(plain, bars)
    others = [name for name in wanted if not needs_bars_only(name)]
    panel = panel_columns(bars, others, inputs) if others else {}
    carried = _Carried(plain)
    for start in range(0, max(len(bars), 1), block_rows):
        stop = min(start + block_rows, len(bars))
        rows = dict(zip((column.name for column in plain), carried.values(bars, start, stop), strict=True)) if plain else {}
        rows |= {name: values[start:stop] for name, values in panel.items()}
        yield _frame(rows, wanted, bars.index[start:stop])


class _Carried:
    """What plain columns remember from one block to the next."""

    def __init__(self, columns: list[Column]) -> None:
        self._columns = columns
        self._sources = list({column.key: column for column in reversed(columns)}.values())[::-1]
        self._states = {column.key: np.zeros(column.state_size) for column in self._sources}
        self._late = {key: max(column.shift for column in columns if column.key == key) for key in self._states}
        self._tails = {key: np.empty(0) for key in self._states}
        self._history = max((column.lookback for column in columns), default=0)

    def values(self, bars: pd.DataFrame, start: int, stop: int) -> list[Floats]:
        """Rows `start` to `stop` of every column; called for one block after the other, from row 0 on."""
        origin = max(0, start - self._history)
        data, open_ms = bar_matrix(bars.iloc[origin:stop])
        whole: dict[tuple[str, tuple[int, ...]], Floats] = {}
        for column in self._sources:
            out = np.full(stop - origin, np.nan)
            column.fill(data, open_ms, origin, start - origin, stop - origin, self._states[column.key], out)
            # What a shift looks back at stands before the block's own rows.
            known = np.concatenate((self._tails[column.key], out[start - origin :]))
            whole[column.key] = known
            self._tails[column.key] = known[len(known) - min(self._late[column.key], len(known)) :].copy()
        return [_shifted(whole[column.key], column.shift, stop - start) for column in self._columns]


def _shifted(values: Floats, shift: int, rows: int) -> Floats:
    """The last `rows` values, `shift` rows late; NaN where there was nothing yet."""
    first = len(values) - rows - shift
    taken = values[max(first, 0) : len(values) - shift] if shift < len(values) else values[:0]
    return np.concatenate((np.full(rows - len(taken), np.nan), taken))


def _check(columns: list[Column], bars: pd.DataFrame) -> None:
    """`check_needs` over the whole history, without a copy of it."""
    largest = {name: bars[name].max() for name in ("volume", "spread_points") if name in bars.columns}
    check_needs(columns, bar_matrix(bars.iloc[:1].assign(**largest))[0])


def _frame(rows: dict[str, Floats], wanted: list[FeatureName], index: pd.Index) -> pd.DataFrame:
    values = np.vstack([rows[str(name)] for name in wanted])
    return pd.DataFrame(values.T, index=index, columns=[str(name) for name in wanted], copy=False)
