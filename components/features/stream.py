"""Features of the next bar, from what was kept of the bars before: the same kernels as for whole histories, so the same bits."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from components.features.catalogue import DEFAULT_FEATURES, distinct_names
from components.features.columns import ROWS, bar_matrix, plain_columns
from components.features.formula import Floats, Ints
from components.fx import BadInput, Corrupt

_MAGIC = b"sequence feature stream 1\n"
_SPARE_ROWS = 256


def check_bar(open_ms: int, open_: float, high: float, low: float, close: float) -> None:
    """`BadInput` where four prices are no bar's."""
    if not 0 < low <= open_ <= high < math.inf or not low <= close <= high:
        raise BadInput("bars", f"open {open_}, high {high}, low {low}, close {close} at {open_ms} is no bar")


class FeatureStream:
    """Plain features of one symbol and timeframe, bar by bar.

    ``push`` of every bar of a history in turn, from its first one, gives the rows of `compute_features` over that history bit for bit; so do
    ``warm`` with any first part of it and ``push`` of the rest, and ``restore`` of a ``state`` in between.

    Parameters
    ----------
    names : iterable of str, optional
        Which features, in which order; `DEFAULT_FEATURES` by default.

    Raises
    ------
    BadInput
        If a name is unknown, given twice, or speaks of another symbol or timeframe (each of those has a stream of its own).
    """

    def __init__(self, names: Iterable[str] | None = None) -> None:
        self._begin(distinct_names(DEFAULT_FEATURES if names is None else names), False)

    @classmethod
    def of_indicators(cls, names: Iterable[str]) -> FeatureStream:
        """A stream of indicators at the price level, equal to `compute_indicators` as the others are to `compute_features`."""
        stream = cls.__new__(cls)
        stream._begin(distinct_names(names), True)
        return stream

    def _begin(self, names: list[str], is_indicator: bool) -> None:
        self._is_indicator = is_indicator
        columns = plain_columns(names, is_indicator=is_indicator)
        self._columns = columns
        self._sources = list({column.key: column for column in reversed(columns)}.values())[::-1]
        place = {column.key: row for row, column in enumerate(self._sources)}
        self._place = np.array([place[column.key] for column in columns])
        self._shift = np.array([column.shift for column in columns])
        self._warmup = np.array([column.warmup + column.shift for column in columns])
        self._kept = max(1, int(self._shift.max()), *(column.lookback for column in columns))
        capacity = 2 * self._kept + _SPARE_ROWS
        self._data, self._open_ms = np.full((len(ROWS), capacity), np.nan), np.zeros(capacity, dtype=np.int64)
        self._values = np.full((len(self._sources), capacity), np.nan)
        self._states = [np.zeros(column.state_size) for column in self._sources]
        self._calls = [
            (column.formula.kernel, column.params, state, out) for column, state, out in zip(self._sources, self._states, self._values, strict=True)
        ]
        self._origin = self._at = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The features, in the order of the values that `push` gives."""
        return tuple(column.name for column in self._columns)

    @property
    def rows(self) -> int:
        """Bars seen so far."""
        return self._origin + self._at

    @property
    def last_open_ms(self) -> int | None:
        """Open time of the last bar seen, epoch milliseconds UTC; None before the first."""
        return int(self._open_ms[self._at - 1]) if self._at else None

    def push(self, open_ms: int, open_: float, high: float, low: float, close: float, volume: float = 0.0, spread_points: float = math.nan) -> Floats:
        """The features at the close of the next bar.

        Parameters
        ----------
        open_ms : int
            Its open time, epoch milliseconds UTC.
        open_, high, low, close : float
            Its bid prices.
        volume, spread_points : float
            Its tick count, and its spread in points where it is known.

        Returns
        -------
        float64, shape (len(names),)
            NaN while a feature warms up.

        Raises
        ------
        BadInput
            If the bar does not come after the last one, or its prices are no bar's.
        """
        at = self._at
        if at and open_ms <= self._open_ms[at - 1]:
            raise BadInput("bars.open_time", f"{open_ms} does not come after the last bar of this stream, {self.last_open_ms}")
        check_bar(open_ms, open_, high, low, close)
        if at == len(self._open_ms):
            at = self._make_room()
        self._data[:, at] = open_, high, low, close, volume, spread_points
        self._open_ms[at] = open_ms
        self._at = stop = at + 1
        data, times, origin = self._data, self._open_ms, self._origin
        for kernel, params, state, out in self._calls:
            kernel(data, times, origin, at, stop, params, state, out)
        values: Floats = self._values[self._place, np.maximum(at - self._shift, 0)]
        values[origin + at < self._warmup] = np.nan
        return values

    def warm(self, bars: pd.DataFrame) -> None:
        """Take in a stretch of history without giving values.

        Parameters
        ----------
        bars : DataFrame, shape (n, ≥ 5)
            A bars frame that comes after what the stream has seen.

        Raises
        ------
        BadInput
            If it does not, or a column is missing.
        """
        data, open_ms = bar_matrix(bars)
        if not len(open_ms):
            return
        if self._at and open_ms[0] <= self._open_ms[self._at - 1]:
            raise BadInput("bars.open_time", f"{open_ms[0]} does not come after the last bar of this stream, {self.last_open_ms}")
        begin = self._at - min(self._at, self._kept)
        history = self._at - begin
        data = np.ascontiguousarray(np.hstack((self._data[:, begin : self._at], data)))
        open_ms = np.concatenate((self._open_ms[begin : self._at], open_ms))
        stop, origin = len(open_ms), self._origin + begin
        kept = min(stop, self._kept)
        late = int(self._shift.max())
        for row, (column, state) in enumerate(zip(self._sources, self._states, strict=True)):
            out = np.full(stop, np.nan)
            out[:history] = self._values[row, begin : self._at]
            # A windowed formula remembers nothing: only the rows that a shift looks back at are computed.
            start = history if column.state_size else max(history, stop - late)
            column.fill(data, open_ms, origin, start, stop, state, out)
            self._values[row, :kept] = out[stop - kept :]
        self._data[:, :kept], self._open_ms[:kept] = data[:, stop - kept :], open_ms[stop - kept :]
        self._origin, self._at = origin + stop - kept, kept

    def state(self) -> bytes:
        """Everything that the stream remembers, as numbers with a check sum; `restore` goes on from there, in this process or another."""
        begin = self._at - min(self._at, self._kept)
        parts = (self._data[:, begin : self._at], self._open_ms[begin : self._at], self._values[:, begin : self._at], *self._states)
        head = {"names": self.names, "is_indicator": self._is_indicator, "layout": self._layout(), "rows": self.rows, "kept": self._at - begin}
        body = (
            json.dumps(head).encode() + b"\n" + b"".join(np.ascontiguousarray(part).astype(part.dtype.newbyteorder("<")).tobytes() for part in parts)
        )
        return _MAGIC + hashlib.sha256(body).digest() + body

    @classmethod
    def restore(cls, state: bytes) -> FeatureStream:
        """The stream that gave `state`.

        Raises
        ------
        Corrupt
            If the bytes are not what `state` gave.
        BadInput
            If they come from a version in which a formula kept other things; warm a new stream then.
        """
        check, body = state[len(_MAGIC) : len(_MAGIC) + 32], state[len(_MAGIC) + 32 :]
        if not state.startswith(_MAGIC) or hashlib.sha256(body).digest() != check:
            raise Corrupt("the state of a feature stream is damaged; warm a new stream on the history")
        line, numbers = body.split(b"\n", 1)
        head = json.loads(line)
        stream = cls.of_indicators(head["names"]) if head["is_indicator"] else cls(head["names"])
        if head["layout"] != stream._layout():
            raise BadInput("state", "it was made by a version whose formulas kept other things; warm a new stream on the history")
        stream._take(numbers, head["rows"], head["kept"])
        return stream

    def _take(self, numbers: bytes, rows: int, kept: int) -> None:
        targets: list[Floats | Ints] = [self._data[:, :kept], self._open_ms[:kept], self._values[:, :kept], *self._states]
        offset = 0
        for target in targets:
            target[...] = np.frombuffer(numbers, target.dtype.newbyteorder("<"), target.size, offset).reshape(target.shape)
            offset += target.nbytes
        self._origin, self._at = rows - kept, kept

    def _layout(self) -> list[list[object]]:
        """What decides which number of the state means what."""
        return [[column.formula.name, list(column.periods), column.lookback, column.state_size] for column in self._sources]

    def _make_room(self) -> int:
        begin, kept = self._at - self._kept, self._kept
        for buffer in (self._data, self._values):
            buffer[:, :kept] = buffer[:, begin : self._at]
        self._open_ms[:kept] = self._open_ms[begin : self._at]
        self._origin, self._at = self._origin + begin, kept
        return kept
