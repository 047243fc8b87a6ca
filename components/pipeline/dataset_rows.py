"""The rows of a dataset: features and labels of the usable bars, split in time, purged, scaled by what the training rows hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.features import FeatureInputs, feature_blocks
from components.fx import BadInput
from components.pipeline.dataset_files import release
from components.pipeline.recipe import DatasetFrames, DatasetRecipe
from components.pipeline.transform import FittedTransform, fit_transform, select_features

LEAST_ROWS = 50
LABEL_COLUMNS = ("label", "row", "label_end_row", "label_value")
CHUNK_ROWS = 262_144
LABEL_BLOCK = 524_288
LABEL_HISTORY = 8_192
LABEL_PLACE = 100_000
"""Names of the files in which labels grow begin here, after those of the columns."""


@dataclass(frozen=True)
class Rows:
    """The usable rows of a history before they are split: one array per column, in memory or mapped from files, and the open times."""

    columns: dict[str, NDArray[Any]]
    index: pd.DatetimeIndex


def split_rows(bars: pd.DataFrame, recipe: DatasetRecipe, inputs: FeatureInputs | None = None) -> DatasetFrames:
    """Features and labels of the usable rows, before and after the split.

    A row is usable where every feature and its label are known. Training rows come before the first test row, and so does the whole
    horizon of their labels, with `embargo_bars` between. The horizon counts, not the bar that ended the label: keeping those that ended
    early would favour labels that end early. What the recipe asks to be chosen or scaled is fitted on the training rows that are left.

    Raises
    ------
    BadInput
        If fewer than 50 rows are left on either side.
    """
    return split(usable_rows(bars, recipe, inputs), recipe, len(bars))


def usable_rows(
    bars: pd.DataFrame,
    recipe: DatasetRecipe,
    inputs: FeatureInputs | None = None,
    *,
    folder: Path | None = None,
    report: Callable[[float, str], None] = lambda fraction, message: None,
) -> Rows:
    """Features and labels of every bar of which all are known, computed block by block.

    Parameters
    ----------
    bars, recipe, inputs
        What they are made of.
    folder : Path, optional
        Where the columns grow as files and are mapped from; in memory where it is None.
    report : callable
        Called with a fraction and a message after each block; raises to cancel.
    """
    labels = _labels(bars, recipe, inputs, folder)
    known = ~np.isnan(labels["label"])
    types: dict[str, type] = {**dict.fromkeys(recipe.features, np.float64), "label": np.int64, "row": np.int64, "label_end_row": np.int64}
    types["label_value"] = np.float64
    columns = {name: _column(folder, place, int(known.sum()), kind) for place, (name, kind) in enumerate(types.items())}
    count = start = 0
    for block in feature_blocks(bars, recipe.features, inputs):
        stop = start + len(block)
        place = np.flatnonzero(known[start:stop] & block.notna().to_numpy().all(axis=1))
        for name in recipe.features:
            columns[name][count : count + len(place)] = block[name].to_numpy()[place]
            release(columns[name])
        columns["row"][count : count + len(place)] = place + start
        count, start = count + len(place), stop
        report(stop / max(len(bars), 1), f"{len(recipe.features)} features of {stop:,} of {len(bars):,} bars")
    columns = {name: values[:count] for name, values in columns.items()}
    row = columns["row"]
    columns["label"][:] = labels["label"][row]
    columns["label_end_row"][:] = labels["end_row"][row]
    columns["label_value"][:] = labels["value"][row]
    return Rows(columns, pd.DatetimeIndex(bars.index[row]))


def _labels(bars: pd.DataFrame, recipe: DatasetRecipe, inputs: FeatureInputs | None, folder: Path | None) -> dict[str, NDArray[Any]]:
    """Label, value and end row of every bar, computed in stretches so that a long history takes no more memory than a short one.

    A stretch begins long enough before its first row for what remembers its start (an average true range) to have forgotten it, and ends a
    horizon after its last one, so that every label is known there as it is in the whole.
    """
    kinds: dict[str, type] = {"label": np.float64, "value": np.float64, "end_row": np.int64}
    labels = {name: _column(folder, LABEL_PLACE + place, len(bars), kind) for place, (name, kind) in enumerate(kinds.items())}
    for first in range(0, len(bars), LABEL_BLOCK):
        stop = min(first + LABEL_BLOCK, len(bars))
        origin = max(0, first - LABEL_HISTORY)
        part = recipe.target.compute(bars.iloc[origin : min(stop + recipe.target.horizon_bars, len(bars))], inputs)
        for name, values in labels.items():
            found = part[name].to_numpy()[first - origin : stop - origin]
            values[first:stop] = np.where(found >= 0, found + origin, -1) if name == "end_row" else found
            release(values)
    return labels


def split(rows: Rows, recipe: DatasetRecipe, bars: int) -> DatasetFrames:
    """Training and test rows, the features chosen and scaled by the training rows alone; the columns of `rows` are overwritten.

    Raises
    ------
    BadInput
        If fewer than 50 rows are left on either side.
    """
    row = rows.columns["row"]
    first_test = round(len(row) * recipe.train_fraction)
    if min(first_test, len(row) - first_test) < LEAST_ROWS:
        raise BadInput("bar_set", f"{bars:,} bars leave {len(row):,} usable rows; each side of the split needs {LEAST_ROWS}")
    reach = recipe.target.horizon_bars + recipe.embargo_bars
    train_rows = int(np.searchsorted(row[:first_test], row[first_test] - reach, side="left"))
    if train_rows < LEAST_ROWS:
        raise BadInput("embargo_bars", f"{recipe.embargo_bars} leaves {train_rows} training rows; {LEAST_ROWS} are needed")
    transform = fit_on(recipe, _Training(rows.columns, train_rows))
    _scale(rows, transform)
    kept = {name: rows.columns[name] for name in (*transform.features, *LABEL_COLUMNS)}
    train, test = (_frame(kept, rows.index, part) for part in (slice(0, train_rows), slice(first_test, len(row))))
    return DatasetFrames(train, test, transform.features, transform)


def fit_on(recipe: DatasetRecipe, training: Mapping[str, NDArray[Any]]) -> FittedTransform:
    """Which features are kept and how they are scaled, from training rows: the features and ``label`` by name."""
    chosen = recipe.features
    if recipe.select is not None:
        select = recipe.select
        chosen = select_features(training, training["label"], chosen, select.method, select.most_features, select.most_correlation)
    return fit_transform(recipe.normalise, training, chosen)


class _Training(Mapping[str, NDArray[Any]]):
    """The training rows of each column and nothing else, copied when it is asked for."""

    def __init__(self, columns: Mapping[str, NDArray[Any]], rows: int) -> None:
        self._columns, self._rows = columns, rows

    def __getitem__(self, name: str) -> NDArray[Any]:
        values = np.array(self._columns[name][: self._rows])
        release(self._columns[name])
        return values

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


def working_folder(parent: Path, is_large: bool) -> Any:
    """A temporary folder for columns that are too large for memory, removed afterwards; None where they are not."""
    if not is_large:
        return nullcontext(None)
    parent.mkdir(parents=True, exist_ok=True)
    return TemporaryDirectory(prefix=".rows.", dir=parent, ignore_cleanup_errors=True)  # Windows keeps what is still mapped


def _column(folder: Path | str | None, place: int, rows: int, kind: type) -> NDArray[Any]:
    if folder is None or rows == 0:
        return np.empty(rows, dtype=kind)
    return np.memmap(Path(folder) / str(place), dtype=kind, mode="w+", shape=(rows,))


def _scale(rows: Rows, transform: FittedTransform) -> None:
    if transform.is_plain:
        return
    for place, name in enumerate(transform.features):
        values = rows.columns[name]
        for start in range(0, len(values), CHUNK_ROWS):
            values[start : start + CHUNK_ROWS] = transform.column(place, np.asarray(values[start : start + CHUNK_ROWS]))
        release(values)


def _frame(columns: dict[str, NDArray[Any]], index: pd.DatetimeIndex, part: slice) -> pd.DataFrame:
    return pd.DataFrame({name: np.asarray(values[part]) for name, values in columns.items()}, index=index[part], copy=False)
