"""Indicators that many runs over the same bars share: a sweep computes each average once, not once for every point."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

USUAL_BYTES = 256 * 2**20


class Memo:
    """What functions of one frame's columns gave, up to a size.

    An argument is known by its place in memory, which is safe only for arrays that stay where they are: the frame's own columns, and what this memo
    gave out itself. A call with any other array, or with one that could be written to, is simply made. Once full it keeps what it has and
    computes the rest each time, so that a sweep over more lengths than fit still finds some of them.

    Parameters
    ----------
    bars : DataFrame
        Kept, so that its memory is not given to others.
    most_bytes : int
        Size of the arrays that are kept, in bytes.

    Notes
    -----
    Any number of threads may ask at once; two that ask for the same thing at the same moment both compute it and get the same array afterwards.
    """

    def __init__(self, bars: pd.DataFrame, most_bytes: int = USUAL_BYTES) -> None:
        self.bars = bars
        self.room = most_bytes
        self.hits = 0
        self._kept: dict[Any, np.ndarray[Any, Any]] = {}
        self._places = {_place(array) for name in bars.columns if not (array := bars[name].to_numpy()).flags.writeable and _is_numbers(array)}
        self._lock = threading.Lock()

    def result(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """``function(*arguments)``, or what it gave for them before. Arrays are read-only."""
        key = self._key(function, arguments)
        found = None if key is None else self._kept.get(key)
        if found is not None:
            self.hits += 1
            return found
        made = read_only(function(*arguments))
        if key is None or not isinstance(made, np.ndarray):
            return made
        with self._lock:
            if key not in self._kept:
                if made.nbytes > self.room:
                    return made
                self.room -= made.nbytes
                self._kept[key] = made
                self._places.add(_place(made))
            return self._kept[key]

    def _key(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        parts: list[Any] = [function]
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                place = _place(argument)
                if argument.flags.writeable or place not in self._places:
                    return None
                parts.append(place)
            elif isinstance(argument, int | float | str | np.generic):
                parts.append((type(argument), argument))
            else:
                return None
        return tuple(parts)


def read_only(made: Any) -> Any:
    """The same array, not to be written to: others may be given it as well."""
    if isinstance(made, np.ndarray):
        made.setflags(write=False)
    return made


def _place(array: np.ndarray[Any, Any]) -> tuple[Any, ...]:
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str


def _is_numbers(array: np.ndarray[Any, Any]) -> bool:
    return array.dtype.kind in "fiub" and len(array) > 0
