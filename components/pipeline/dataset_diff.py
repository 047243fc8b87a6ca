"""What differs between two datasets: recipe, rows, values, scaling, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.pipeline.dataset import load_dataset
from components.pipeline.recipe import Dataset, DatasetFrames
from components.pipeline.store import PipelineStore
from components.pipeline.transform import FittedTransform

FIRST_TIMES = 5


@dataclass(frozen=True)
class RowsApart:
    """Rows that only one of two datasets has: their number, and the open times of the first ones, epoch milliseconds UTC."""

    count: int
    first_ms: tuple[int, ...]


@dataclass(frozen=True)
class ColumnChange:
    """A column whose values differ in rows that both datasets have.

    `first_ms` are the open times of the first such rows, epoch milliseconds UTC; `largest` is the largest absolute difference.
    """

    column: str
    count: int
    first_ms: tuple[int, ...]
    largest: float


@dataclass(frozen=True)
class DatasetDiff:
    """How dataset `b` differs from dataset `a`.

    `recipe` holds the fields that differ, nested ones by their path, each with both values; `bar_sets` the ids of both, where they differ.
    Rows are the same row where their bars opened at the same time: `only_a` and `only_b` are in one dataset alone, `moved` changed between
    training and test part. `columns_only_a` and `columns_only_b` are missing on the other side, `changed` differ in value. `transform` and
    `lineage` say in plain values what differs there: an entry is a pair of both sides.
    """

    a: str
    b: str
    recipe: dict[str, tuple[Any, Any]]
    bar_sets: tuple[str, str] | None
    rows: tuple[int, int]
    only_a: RowsApart
    only_b: RowsApart
    moved: RowsApart
    columns_only_a: tuple[str, ...]
    columns_only_b: tuple[str, ...]
    changed: tuple[ColumnChange, ...]
    transform: dict[str, Any]
    lineage: dict[str, Any]

    @property
    def is_same(self) -> bool:
        """Whether rows and values are the same, whatever the recipes say."""
        apart = self.only_a.count + self.only_b.count + self.moved.count
        return apart == 0 and not (self.columns_only_a or self.columns_only_b or self.changed)

    def as_dict(self) -> dict[str, Any]:
        """It as plain values."""
        return {**asdict(self), "is_same": self.is_same}


def diff_datasets(home: Path, a: str, b: str) -> DatasetDiff:
    """Compare two datasets row by row and column by column.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    a, b : str
        Ids of the datasets.

    Raises
    ------
    NotFound
        If a dataset or one of its files is gone.
    Corrupt
        If a file is not what was written.
    """
    store = PipelineStore.open(home)
    try:
        first, second = store.dataset(a), store.dataset(b)
    finally:
        store.close()
    left, right = _Side.of(load_dataset(home, a)), _Side.of(load_dataset(home, b))
    both, place_a, place_b = np.intersect1d(left.open_ms, right.open_ms, assume_unique=True, return_indices=True)
    common = [name for name in left.names if name in right.names]
    changes = (_change(name, both, left.column(name, place_a), right.column(name, place_b)) for name in common)
    return DatasetDiff(
        a=first.id,
        b=second.id,
        recipe=_apart(_flat(first.recipe.model_dump(mode="json")), _flat(second.recipe.model_dump(mode="json"))),
        bar_sets=None if first.bar_set_id == second.bar_set_id else (first.bar_set_id, second.bar_set_id),
        rows=(first.rows, second.rows),
        only_a=_rows(np.setdiff1d(left.open_ms, both, assume_unique=True)),
        only_b=_rows(np.setdiff1d(right.open_ms, both, assume_unique=True)),
        moved=_rows(both[left.is_test[place_a] != right.is_test[place_b]]),
        columns_only_a=tuple(name for name in left.names if name not in right.names),
        columns_only_b=tuple(name for name in right.names if name not in left.names),
        changed=tuple(change for change in changes if change is not None),
        transform=_transforms(left.frames.transform, right.frames.transform),
        lineage=_lineages(first, second),
    )


@dataclass(frozen=True)
class _Side:
    """The rows of one dataset, training and test part together."""

    frames: DatasetFrames
    open_ms: NDArray[np.int64]
    is_test: NDArray[np.bool_]

    @classmethod
    def of(cls, frames: DatasetFrames) -> _Side:
        parts = (frames.train, frames.test)
        open_ms = np.concatenate([pd.DatetimeIndex(part.index).as_unit("ms").asi8 for part in parts])
        return cls(frames, open_ms, np.arange(len(open_ms)) >= len(frames.train))

    @property
    def names(self) -> list[str]:
        return [str(name) for name in self.frames.train.columns]

    def column(self, name: str, places: NDArray[np.intp]) -> NDArray[Any]:
        """Values of a column at some rows; one column at a time, since the rest stays on disk."""
        values = np.concatenate([part[name].to_numpy() for part in (self.frames.train, self.frames.test)])
        return np.asarray(values[places])


def _change(name: str, open_ms: NDArray[np.int64], old: NDArray[Any], new: NDArray[Any]) -> ColumnChange | None:
    differs = (old != new) & ~((old != old) & (new != new))
    if not differs.any():
        return None
    gap = np.abs(old[differs].astype(np.float64) - new[differs].astype(np.float64))
    largest = float(gap.max()) if np.isfinite(gap).any() else float("inf")
    return ColumnChange(name, int(differs.sum()), tuple(open_ms[differs][:FIRST_TIMES].tolist()), largest)


def _rows(open_ms: NDArray[np.int64]) -> RowsApart:
    return RowsApart(len(open_ms), tuple(np.sort(open_ms)[:FIRST_TIMES].tolist()))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested fields by their path, ``target.horizon_bars``."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat


def _apart(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Entries that differ, each with both values; None where one side has none."""
    return {name: (a.get(name), b.get(name)) for name in dict.fromkeys((*a, *b)) if a.get(name) != b.get(name)}


def _transforms(a: FittedTransform, b: FittedTransform) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if a.method != b.method:
        found["method"] = (a.method, b.method)
    if a.features != b.features:
        kept = [tuple(name for name in one if name not in other) for one, other in ((a.features, b.features), (b.features, a.features))]
        found["features"] = (kept[0], kept[1])
    if a.method == b.method and a.method != "none":
        fitted = [dict(zip(one.features, zip(one.centre, one.scale, strict=True) if one.centre else one.knots, strict=True)) for one in (a, b)]
        differing = [name for name in a.features if name in fitted[1] and fitted[0][name] != fitted[1][name]]
        if differing:
            found["fitted"] = tuple(differing)
    return found


def _lineages(a: Dataset, b: Dataset) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part, keys in (("bar_sets", ("id",)), ("pieces", ("source", "key", "raw_sha256"))):
        sides = [{tuple(str(one.get(key, "")) for key in keys): one for one in side.lineage.get(part, ())} for side in (a, b)]
        only = [[side[key] for key in side if key not in other] for side, other in (sides, sides[::-1])]
        if any(only):
            found[part] = (only[0], only[1])
    for part in ("sources", "formulas"):
        if a.lineage.get(part) != b.lineage.get(part):
            found[part] = (a.lineage.get(part), b.lineage.get(part))
    return found
