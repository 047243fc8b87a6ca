"""Marks of values that a running function holds: a digest of what each says about the bars up to the cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd

DEPTH = 3
PARTS = 24
"""Names of a mapping or fields of an object that are looked into, at most."""
LONGEST_LIST = 5_000
"""Numbers of a list that are compared, at most; turning one into an array takes time at every line."""


@dataclass(frozen=True)
class Past:
    """Which rows of a value count as past: `rows` bars were given, those up to `cut` are the same in both runs."""

    rows: int
    cut: int


Mark = tuple[str, int, int]
"""Kind (array, number, whole), rows that an array lacks against the bars, digest."""
Marks = dict[str, Mark]


def marks_of(name: str, value: Any, past: Past) -> Marks:
    """Marks of a value and of its parts, by path (``decisions.side``); nothing for what cannot be compared."""
    found: Marks = {}
    _mark(name, value, past, found, DEPTH)
    return found


def moved_paths(before: Marks, after: Marks) -> set[str]:
    """Paths of what both runs hold, and hold differently; arrays of another length tell nothing."""
    return {
        path
        for path, old in before.items()
        if path in after and after[path] != old and (old[0] != "array" or (after[path][0] == "array" and after[path][1] == old[1]))
    }


def _mark(path: str, value: Any, past: Past, found: Marks, depth: int) -> None:
    if isinstance(value, (bool, int, np.integer, np.bool_)):
        found[path] = ("whole", 0, hash(int(value)))
    elif isinstance(value, (float, np.floating)):
        number = float(value)
        found[path] = ("number", 0, 0 if number != number else hash(number) or 1)
    elif isinstance(value, np.ndarray):
        _mark_array(path, value, past, found)
    elif isinstance(value, pd.Series):
        _mark_array(path, value.to_numpy(), past, found)
    elif isinstance(value, pd.DataFrame):
        for column in list(value.columns)[:PARTS]:
            if isinstance(value[column], pd.Series):
                _mark_array(f"{path}.{column}", value[column].to_numpy(), past, found)
    elif depth > 0 and is_dataclass(value) and not isinstance(value, type):
        for item in fields(value)[:PARTS]:
            _mark(f"{path}.{item.name}", getattr(value, item.name, None), past, found, depth - 1)
    elif depth > 0 and isinstance(value, Mapping):
        for key in list(value)[:PARTS]:
            _mark(f"{path}.{key}", value[key], past, found, depth - 1)
    elif depth > 0 and isinstance(value, (tuple, list)) and len(value) <= PARTS:
        for number, item in enumerate(value):
            _mark(f"{path}.{number}", item, past, found, depth - 1)
    elif isinstance(value, list) and len(value) <= LONGEST_LIST and isinstance(value[0], (bool, int, float, np.generic)):
        _mark_array(path, np.array(value, dtype=object if any(one is None for one in value) else None), past, found)


def _mark_array(path: str, values: np.ndarray[Any, Any], past: Past, found: Marks) -> None:
    if values.ndim == 0:
        _mark(path, values.item(), past, found, 0)
        return
    lacks = past.rows - len(values)
    if not -1 <= lacks <= past.rows // 2:
        return  # of its own length: a resampled or a chosen part, whose rows are not those of the bars
    known = values[: max(past.cut + 1 - max(lacks, 0), 0)]
    if known.dtype.kind == "f":
        known = np.where(np.isnan(known), np.nan, known) + 0.0
    content = repr(known.tolist()).encode() if known.dtype.kind == "O" else np.ascontiguousarray(known).tobytes()
    found[path] = ("array", lacks, hash(content))
