"""What a panel stream is made of: bars that are being formed, features of one series of bars, of several, and other symbols that are waiting."""

from __future__ import annotations

import base64
import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from components.features.columns import ROWS, bar_matrix
from components.features.formula import CLOSE, Floats
from components.features.names import FeatureName
from components.features.panel import cross_columns, cross_symbols
from components.features.stream import FeatureStream
from components.fx import BadInput, Timeframe, bar_close_ms

Bar = tuple[float, float, float, float, float, float]
"""Open, high, low, close, volume, spread in points."""
Latest = tuple[int, float]
"""When another symbol's newest known bar closed, epoch milliseconds UTC, and its close."""
_SPARE_ROWS = 256


class Former:
    """Longer bars, formed from shorter ones as they come; a first one whose beginning was not seen is dropped."""

    def __init__(self, length: Timeframe) -> None:
        self.end_ms: int | None = None
        self._length = length
        self._open_ms = 0
        self._bar: Bar = (math.nan, math.nan, math.nan, math.nan, math.nan, math.nan)
        self._is_whole = False
        self._has_begun = False

    def add(self, open_ms: int, bar: Bar) -> None:
        """Take in the next shorter bar; a longer one that ended before it was finished already."""
        if self.end_ms is None:
            self._open_ms = self._length.open_ms(open_ms)
            self.end_ms = close_of(self._open_ms, self._length)
            self._is_whole = self._has_begun or self._open_ms == open_ms
            self._bar, self._has_begun = bar, True
        else:
            first, high, low, _, volume, spread = self._bar
            self._bar = (first, max(high, bar[1]), min(low, bar[2]), bar[3], volume + bar[4], spread)

    def finish(self, until_ms: int) -> tuple[int, Bar] | None:
        """The bar with its open time, if it ends by then; it is handed out once."""
        if self.end_ms is None or self.end_ms > until_ms:
            return None
        self.end_ms = None
        return (self._open_ms, self._bar) if self._is_whole else None

    def as_dict(self) -> list[Any]:
        """What it remembers, as plain values."""
        return [self.end_ms, self._open_ms, list(self._bar), self._is_whole, self._has_begun]

    def take(self, kept: list[Any]) -> None:
        """Go on from what `as_dict` gave."""
        self.end_ms, self._open_ms, bar, self._is_whole, self._has_begun = kept
        self._bar = (bar[0], bar[1], bar[2], bar[3], bar[4], bar[5])


class Lane:
    """Features of one series of bars, whatever symbol, timeframe and shift stand in their names; `values` are those of the last bar."""

    def __init__(self, names: Sequence[FeatureName]) -> None:
        stems = list(dict.fromkeys(name.stem for name in names))
        self.places = {name: stems.index(name.stem) for name in names}
        self.values: Floats = np.full(len(stems), np.nan)
        self._stream = FeatureStream(stems)

    def push(self, open_ms: int, bar: Bar) -> None:
        """The next bar."""
        self.values = self._stream.push(open_ms, *bar)

    def as_dict(self) -> list[Any]:
        """What it remembers, as plain values."""
        return [base64.b64encode(self._stream.state()).decode(), self.values.tolist()]

    def take(self, kept: list[Any]) -> None:
        """Go on from what `as_dict` gave."""
        self._stream, self.values = FeatureStream.restore(base64.b64decode(kept[0])), np.array(kept[1], dtype=np.float64)


class CrossLane:
    """Features of several symbols' bars of one length; `values` are those of the last bar."""

    def __init__(self, names: Sequence[FeatureName], symbol: str | None, given: Sequence[str], stale_bars: int) -> None:
        self._symbols = cross_symbols(names, symbol, given)
        self._columns = cross_columns(names, symbol, self._symbols)
        self.places = {name: place for place, name in enumerate(names)}
        self.values: Floats = np.full(len(names), np.nan)
        self._states = [np.zeros(column.state_size) for column in self._columns]
        self._kept = max(1, *(column.lookback for column in self._columns))
        capacity = 2 * self._kept + _SPARE_ROWS
        self._data = np.full((len(ROWS) + len(self._symbols), capacity), np.nan)
        self._open_ms, self._out = np.zeros(capacity, dtype=np.int64), np.full(capacity, np.nan)
        self._closes: deque[int] = deque(maxlen=stale_bars + 1)
        self._origin = self._at = 0

    def push(self, open_ms: int, close_ms: int, bar: Bar, latest: Mapping[str, Latest | None]) -> None:
        """The next bar, and what is known of the others at its close."""
        if self._at == len(self._open_ms):
            begin = self._at - self._kept
            self._data[:, : self._kept], self._open_ms[: self._kept] = self._data[:, begin:].copy(), self._open_ms[begin:].copy()
            self._origin, self._at = self._origin + begin, self._kept
        at = self._at
        self._closes.append(close_ms)
        self._data[: len(ROWS), at] = bar
        for row, symbol in enumerate(self._symbols):
            known = latest[symbol]
            self._data[len(ROWS) + row, at] = math.nan if known is None or is_old(known, self._closes) else known[1]
        self._open_ms[at] = open_ms
        self._at = at + 1
        for place, (column, state) in enumerate(zip(self._columns, self._states, strict=True)):
            column.fill(self._data, self._open_ms, self._origin, at, at + 1, state, self._out)
            self.values[place] = self._out[at]

    def as_dict(self) -> dict[str, Any]:
        """What it remembers, as plain values."""
        begin = max(self._at - self._kept, 0)
        return {
            "data": self._data[:, begin : self._at].tolist(),
            "open_ms": self._open_ms[begin : self._at].tolist(),
            "values": self.values.tolist(),
            "states": [state.tolist() for state in self._states],
            "closes": list(self._closes),
            "rows": self._origin + self._at,
        }

    def take(self, kept: Mapping[str, Any]) -> None:
        """Go on from what `as_dict` gave."""
        rows = len(kept["open_ms"])
        self._data[:, :rows], self._open_ms[:rows] = np.array(kept["data"], dtype=np.float64).reshape(len(self._data), rows), kept["open_ms"]
        self.values, self._closes = np.array(kept["values"], dtype=np.float64), deque(kept["closes"], self._closes.maxlen)
        for state, numbers in zip(self._states, kept["states"], strict=True):
            state[:] = numbers
        self._origin, self._at = kept["rows"] - rows, rows


class Other:
    """Another symbol: its bars wait until the time that they close has come; then they are known, and so are the longer ones made of them."""

    def __init__(self, symbol: str, timeframe: Timeframe, lanes: dict[Timeframe | None, Lane], lengths: set[Timeframe]) -> None:
        self.lanes = lanes
        self.latest: dict[Timeframe | None, Latest] = {}
        self._symbol, self._timeframe = symbol, timeframe
        self._formers = {length: Former(length) for length in Timeframe if length in lanes or length in lengths}
        self._waiting: deque[tuple[int, int, Bar]] = deque()
        self._last_ms: int | None = None

    def wait(self, open_ms: int, bar: Bar) -> None:
        """Give it its next bar.

        Raises
        ------
        BadInput
            If the bar does not come after the last one.
        """
        if self._last_ms is not None and open_ms <= self._last_ms:
            raise BadInput("bars.open_time", f"{open_ms} does not come after the last bar of {self._symbol} in this stream, {self._last_ms}")
        self._last_ms = open_ms
        self._waiting.append((close_of(open_ms, self._timeframe), open_ms, bar))

    def advance(self, until_ms: int) -> None:
        """Learn what closed by an instant."""
        while self._waiting and self._waiting[0][0] <= until_ms:
            close_ms, open_ms, bar = self._waiting.popleft()
            self._finish(open_ms)
            self._know(None, open_ms, close_ms, bar)
            for former in self._formers.values():
                former.add(open_ms, bar)
        self._finish(until_ms)

    def as_dict(self) -> dict[str, Any]:
        """What it remembers, as plain values."""
        return {
            "lanes": {key_of(length): lane.as_dict() for length, lane in self.lanes.items()},
            "latest": {key_of(length): list(latest) for length, latest in self.latest.items()},
            "formers": {key_of(length): former.as_dict() for length, former in self._formers.items()},
            "waiting": [[close_ms, open_ms, list(bar)] for close_ms, open_ms, bar in self._waiting],
            "last_ms": self._last_ms,
        }

    def take(self, kept: Mapping[str, Any]) -> None:
        """Go on from what `as_dict` gave."""
        for length, lane in self.lanes.items():
            lane.take(kept["lanes"][key_of(length)])
        for made, former in self._formers.items():
            former.take(kept["formers"][key_of(made)])
        self.latest = {Timeframe[key] if key else None: (int(one[0]), float(one[1])) for key, one in kept["latest"].items()}
        self._waiting = deque((close_ms, open_ms, (b[0], b[1], b[2], b[3], b[4], b[5])) for close_ms, open_ms, b in kept["waiting"])
        self._last_ms = kept["last_ms"]

    def _finish(self, until_ms: int) -> None:
        for length, former in self._formers.items():
            end_ms, finished = former.end_ms, former.finish(until_ms)
            if finished is not None and end_ms is not None:
                self._know(length, finished[0], end_ms, finished[1])

    def _know(self, length: Timeframe | None, open_ms: int, close_ms: int, bar: Bar) -> None:
        self.latest[length] = (close_ms, bar[CLOSE])
        if length in self.lanes:
            self.lanes[length].push(open_ms, bar)


def is_old(latest: Latest | None, closes: deque[int]) -> bool:
    """Whether nothing is known, or every one of the last bars, as many as `closes` can hold, closed after what is."""
    if latest is None:
        return True
    return len(closes) == closes.maxlen and closes[0] > latest[0]


def close_of(open_ms: int, timeframe: Timeframe) -> int:
    """When a bar closes, epoch milliseconds UTC: `bar_close_ms` of one bar."""
    if timeframe.ms <= Timeframe.H1.ms:
        return open_ms + timeframe.ms
    return int(bar_close_ms(np.array([open_ms], dtype=np.int64), timeframe)[0])


def bar_rows(bars: pd.DataFrame) -> Iterator[tuple[int, Bar]]:
    """Open time and numbers of every bar."""
    data, open_ms = bar_matrix(bars)
    for at, row in zip(open_ms.tolist(), data.T.tolist(), strict=True):
        yield at, (row[0], row[1], row[2], row[3], row[4], row[5])


def key_of(length: Timeframe | None) -> str:
    """A length as a key of JSON; the bars' own is the empty one."""
    return length.name if length else ""
