"""Text tables of prices to arrays: compiled parsing of what is right, and the line, column and value of what is not.

The whole text goes through Arrow's CSV reader, with times as text in fixed columns that numpy turns into milliseconds. Only where that
refuses something is the text read again line by line, to say in words what is wrong, or to leave those rows out where that was asked for.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from components.fx import BadInput

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Texts = Mapping[str, pa.ChunkedArray]
# From the text columns of a table to times in milliseconds since 1970 as the file's own clock shows them, and which could not be read.
TimesOf = Callable[[Texts], tuple[Ints, Flags]]

EXAMPLES_KEPT = 5
SHOWN_CHARACTERS = 80
_ROWS_AT_ONCE = 50_000
_BLOCK_BYTES = 1 << 20
_MS = {"h": 3_600_000, "m": 60_000, "s": 1_000}
_LEAST_MOST = {"M": (1, 12), "D": (1, 31), "h": (0, 23), "m": (0, 59), "s": (0, 59)}


@dataclass(frozen=True)
class Layout:
    """How a text table is laid out.

    Parameters
    ----------
    delimiter : str
        One character.
    columns : tuple of str
        Names by position; an empty name is a column that is not needed.
    times : tuple of str
        Columns that together are the time; kept as text.
    blank : frozenset of str
        Columns of numbers in which a cell may be empty, which reads as NaN.
    labels : frozenset of str
        Further columns of text.
    skip : int
        Lines before the first row.
    decimal : str
        Decimal mark.
    """

    delimiter: str
    columns: tuple[str, ...]
    times: tuple[str, ...]
    blank: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    skip: int = 0
    decimal: str = "."

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns of numbers."""
        return tuple(name for name in self.columns if name and name not in self.times and name not in self.labels)


@dataclass(frozen=True)
class Table:
    """What was read: times of the file's own clock in milliseconds since 1970, columns of numbers and of text, rows left out and why.

    ``time_ms`` int64 (n,); ``numbers`` float64 (n,) by name; ``labels`` str (n,) by name; ``rejected`` counts the rows left out and
    ``examples`` has the first of them in words.
    """

    time_ms: Ints
    numbers: dict[str, Floats] = field(repr=False)
    labels: dict[str, NDArray[np.object_]] = field(default_factory=dict, repr=False)
    rejected: int = 0
    examples: tuple[str, ...] = ()


def read_table(text: bytes, layout: Layout, times_of: TimesOf, name: str, *, is_strict: bool = True) -> Table:
    """Parse a text table.

    Parameters
    ----------
    text : bytes
        UTF-8.
    layout : Layout
    times_of : callable
        From the text columns of `layout.times` to milliseconds and a flag for each row that is no time.
    name : str
        Of the file, for messages.
    is_strict : bool
        Whether a row that cannot be read refuses the file; otherwise such rows are left out and counted.

    Raises
    ------
    BadInput
        Naming the file, the line and the value of the first row that cannot be read, or a file without rows.
    """
    try:
        table = _parsed(text, layout)
    except pa.ArrowInvalid:
        return _line_by_line(text, layout, times_of, name, is_strict)
    time_ms, is_bad = times_of({column: table[column] for column in layout.times})
    numbers = {column: _floats(table[column]) for column in layout.numbers}
    for column, values in numbers.items():
        allowed = np.isnan(values) if column in layout.blank else np.zeros(1, dtype=np.bool_)
        is_bad = is_bad | ~(np.isfinite(values) | allowed)
    if is_bad.any():
        return _line_by_line(text, layout, times_of, name, is_strict)
    labels = {column: table[column].to_numpy() for column in layout.labels}
    return Table(time_ms, numbers, labels)


def fixed_times_ms(texts: pa.ChunkedArray, patterns: tuple[str, ...]) -> tuple[Ints, Flags]:
    """Times that are written in fixed columns.

    Parameters
    ----------
    texts : ChunkedArray of string, shape (n,)
    patterns : tuple of str
        One for each length that occurs, of the letters Y M D h m s f and what stands between them, such as ``"YYYY.MM.DD"`` or
        ``"hh:mm:ss.fff"``. Without Y the result counts from midnight. Digits of a second beyond the third are cut off.

    Returns
    -------
    int64, shape (n,)
        Milliseconds since 1970-01-01 00:00 of the clock that wrote them.
    bool, shape (n,)
        Whether the text is no such time; its milliseconds mean nothing.
    """
    by_width = {len(pattern): pattern for pattern in patterns}
    parts = [_chunk_times(chunk, by_width) for chunk in texts.chunks]
    if not parts:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.bool_)
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def first_lines(text: bytes, count: int) -> list[str]:
    """The first lines of a text that are not empty, without their ends."""
    head = text[: 1 << 16].decode("utf-8", "replace").splitlines()
    if len(text) > 1 << 16 and len(head) > 1:
        head.pop()
    return [line for line in head if line.strip()][:count]


def sniffed_delimiter(line: str, candidates: str = "\t;,|") -> str:
    """The character of the candidates that a line holds most of; `BadInput` where it holds none."""
    best = max(candidates, key=line.count)
    if not line.count(best):
        raise BadInput("path", f"the line {line[:SHOWN_CHARACTERS]!r} has no tab, semicolon, comma or bar between its cells")
    return best


def _parsed(text: bytes, layout: Layout) -> pa.Table:
    names = [name or f" {place}" for place, name in enumerate(layout.columns)]
    kept = [name for name in layout.columns if name]
    is_text = {*layout.times, *layout.labels}
    return pyarrow.csv.read_csv(
        pa.BufferReader(text),
        read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows=layout.skip, block_size=_BLOCK_BYTES),
        parse_options=pyarrow.csv.ParseOptions(delimiter=layout.delimiter),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={name: pa.string() if name in is_text else pa.float64() for name in kept},
            include_columns=kept,
            null_values=[""] if layout.blank else [],
            strings_can_be_null=False,
            decimal_point=layout.decimal,
        ),
    )


def _floats(column: pa.ChunkedArray) -> Floats:
    values: Floats = column.to_numpy()
    return values


def _chunk_times(chunk: pa.StringArray, by_width: Mapping[int, str]) -> tuple[Ints, Flags]:
    _, offsets_buffer, data_buffer = chunk.buffers()
    rows = len(chunk)
    offsets = np.frombuffer(offsets_buffer, dtype=np.int32)[chunk.offset : chunk.offset + rows + 1]
    data = np.frombuffer(data_buffer, dtype=np.uint8) if data_buffer is not None else np.zeros(0, dtype=np.uint8)
    widths = np.diff(offsets)
    time_ms, is_bad = np.zeros(rows, dtype=np.int64), np.ones(rows, dtype=np.bool_)
    for width in np.unique(widths):
        pattern = by_width.get(int(width))
        if pattern is None:
            continue
        if (widths == width).all():
            return _pattern_ms(data[offsets[0] : offsets[-1]].reshape(rows, width), pattern)
        places = np.flatnonzero(widths == width)
        time_ms[places], is_bad[places] = _pattern_ms(data[offsets[places][:, None] + np.arange(width)], pattern)
    return time_ms, is_bad


def _pattern_ms(letters: NDArray[np.uint8], pattern: str) -> tuple[Ints, Flags]:
    """Rows of equal length, one character a column, read by a pattern."""
    values: dict[str, NDArray[np.int32]] = {}
    is_bad = np.zeros(len(letters), dtype=np.bool_)
    for place, letter in enumerate(pattern):
        column = letters[:, place]
        if letter not in "YMDhmsf":
            is_bad |= column != ord(letter)
            continue
        digit = column - np.uint8(48)
        is_bad |= digit > 9
        values[letter] = values[letter] * np.int32(10) + digit if letter in values else digit.astype(np.int32)
    for letter, (least, most) in _LEAST_MOST.items():
        if letter in values:
            is_bad |= (values[letter] < least) | (values[letter] > most)
    time_ms = np.zeros(len(letters), dtype=np.int64)
    for letter, ms in _MS.items():
        if letter in values:
            time_ms += values[letter] * np.int64(ms)
    if "f" in values:
        time_ms += np.floor(values["f"] * 10.0 ** (3 - pattern.count("f"))).astype(np.int64)
    if "Y" in values:
        months = np.where(is_bad, 0, (values["Y"] - 1970) * 12 + values["M"] - 1)
        first, last = int(months.min(initial=0)), int(months.max(initial=0))
        starts = np.arange(first, last + 2).astype("M8[M]").astype("M8[D]").astype(np.int64)
        is_bad |= values["D"] > np.diff(starts)[months - first]
        time_ms += (starts[months - first] + values["D"] - 1) * 86_400_000
    return time_ms, is_bad


def _line_by_line(text: bytes, layout: Layout, times_of: TimesOf, name: str, is_strict: bool) -> Table:
    """The same table by the slow way, which knows the line of every row."""
    times: list[Ints] = []
    numbers: dict[str, list[Floats]] = {column: [] for column in layout.numbers}
    labels: dict[str, list[NDArray[np.object_]]] = {column: [] for column in layout.labels}
    rejected, examples = 0, list[str]()
    for lines, rows, wrong in _portions(text, layout):
        cells = {column: [row[place] for row in rows] for place, column in enumerate(layout.columns) if column}
        time_ms, is_bad = times_of({column: pa.chunked_array([pa.array(cells[column], pa.string())]) for column in layout.times})
        faults = dict(wrong)
        for row in np.flatnonzero(is_bad):
            written = " ".join(cells[column][row] for column in layout.times)
            faults.setdefault(lines[row], f"{' '.join(layout.times)} {written[:SHOWN_CHARACTERS]!r} is no time as the first row writes it")
        for column in layout.numbers:
            values, is_wrong = _numbers_of(cells[column], layout, column)
            numbers[column].append(values)
            is_bad = is_bad | is_wrong
            for row in np.flatnonzero(is_wrong):
                faults.setdefault(lines[row], f"{column} {cells[column][row][:SHOWN_CHARACTERS]!r} is not a number")
        if faults and is_strict:
            line = min(faults)
            raise BadInput("path", f"{name} line {line}: {faults[line]}")
        rejected += len(faults)
        examples += [f"line {line}: {faults[line]}" for line in sorted(faults)[: EXAMPLES_KEPT - len(examples)]]
        times.append(time_ms[~is_bad])
        for kept in numbers.values():
            kept[-1] = kept[-1][~is_bad]
        for column in layout.labels:
            labels[column].append(np.array(cells[column], dtype=object)[~is_bad])
    if not sum(len(part) for part in times):
        raise BadInput("path", f"{name} has no row that could be read" + (f"; {examples[0]}" if examples else ""))
    joined = {column: np.concatenate(parts) for column, parts in numbers.items()}
    return Table(np.concatenate(times), joined, {column: np.concatenate(parts) for column, parts in labels.items()}, rejected, tuple(examples))


def _portions(text: bytes, layout: Layout) -> Iterator[tuple[list[int], list[list[str]], dict[int, str]]]:
    """Line numbers and cells of rows with the right number of cells, and what is wrong with the others."""
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(text), "utf-8", errors="backslashreplace", newline=""), delimiter=layout.delimiter)
    width = len(layout.columns)
    numbered = ((reader.line_num, row) for row in reader)
    numbered = (one for one in numbered if one[0] > layout.skip and one[1])
    while portion := list(islice(numbered, _ROWS_AT_ONCE)):
        good = [one for one in portion if len(one[1]) == width]
        wrong = {
            line: f"{len(row)} cells instead of {width} in {layout.delimiter.join(row)[:SHOWN_CHARACTERS]!r}"
            for line, row in portion
            if len(row) != width
        }
        yield [line for line, _ in good], [row for _, row in good], wrong


def _numbers_of(cells: list[str], layout: Layout, column: str) -> tuple[Floats, Flags]:
    series = pd.Series(cells, dtype=object)
    if layout.decimal != ".":
        series = series.str.replace(layout.decimal, ".", regex=False)
    values = pd.to_numeric(series, errors="coerce").to_numpy(dtype=np.float64)
    is_wrong = ~np.isfinite(values)
    if column in layout.blank:
        is_wrong &= (series.str.strip() != "").to_numpy(dtype=np.bool_)
    return values, is_wrong
