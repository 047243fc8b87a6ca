"""A CSV or Parquet file read by a mapping: which of its columns is what, how its times are written and in which zone."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.fx import BadInput
from components.pipeline.sources.text_file import LARGEST_BYTES, TextFile
from components.pipeline.sources.text_table import Flags, Floats, Ints, Layout, Table, Texts, first_lines, read_table, sniffed_delimiter

NUMBERS = ("open", "high", "low", "close", "volume", "spread_points", "spread_price", "bid", "ask")
TIME_NAMES = ("time", "timestamp", "datetime", "date", "open_time")
PARQUET_SUFFIXES = (".parquet", ".pq")
_PER_MS = {"s": 1_000.0, "ms": 1.0, "us": 1.0 / 1_000, "ns": 1.0 / 1_000_000}
EXAMPLES_KEPT = 5


@dataclass(frozen=True)
class ColumnMap:
    """What the columns of a file are.

    Parameters
    ----------
    time : tuple of str
        Columns that together are the time; empty for the first one with a usual name.
    time_format : str
        ``"iso"``, an epoch unit (``"s" "ms" "us" "ns"``), or a pattern of strftime.
    columns : mapping of str to str
        The platform's names to the file's; what is not mapped is found under its own name.
    symbol_column : str
        A column that names the symbol of each row; empty where there is none.
    has_header : bool
        Whether the first line names the columns; otherwise they are called ``"1"``, ``"2"`` and so on.
    delimiter, decimal : str
        Of a text; an empty delimiter is found by itself.
    """

    time: tuple[str, ...] = ()
    time_format: str = "iso"
    columns: Mapping[str, str] = field(default_factory=dict)
    symbol_column: str = ""
    has_header: bool = True
    delimiter: str = ""
    decimal: str = "."


@dataclass(frozen=True)
class MappedTable:
    """A table in the platform's names; `is_utc` where its times say their own offset, `kind` for people."""

    table: Table
    is_utc: bool
    kind: str
    used: dict[str, str]


def read_mapped(file: TextFile, columns: ColumnMap, *, is_strict: bool) -> MappedTable:
    """Read a file by its mapping.

    Raises
    ------
    BadInput
        If a mapped column is missing, or naming the first row that cannot be read.
    """
    if file.path.suffix.lower() in PARQUET_SUFFIXES:
        return _read_parquet(file, columns, is_strict)
    members = file.members()
    if len(members) > 1:
        raise BadInput("path", f"{file.key} holds {len(members)} files, {members[0]} and others; unpack it and give the folder")
    text = file.text(members[0])
    lines = first_lines(text, 2)
    if len(lines) < 1 + columns.has_header:
        raise BadInput("path", f"{file.key} has no rows")
    delimiter = columns.delimiter or sniffed_delimiter(lines[0])
    cells = [cell.strip() for cell in next(csv.reader([lines[0]], delimiter=delimiter))]
    header = cells if columns.has_header else [str(place + 1) for place in range(len(cells))]
    used = _used(header, columns, file.key)
    times = tuple(name for name in used if name.startswith("time"))
    by_theirs: dict[str, str] = {}
    for ours, theirs in used.items():
        if theirs in by_theirs:
            raise BadInput("columns", f"column {theirs!r} of {file.key} is mapped to {by_theirs[theirs]} and to {ours}")
        by_theirs[theirs] = ours
    names = tuple(by_theirs.get(name, "") for name in header)
    blank = frozenset({"bid", "ask"} if "open" not in used else ())
    labels = frozenset({"symbol"} & set(used))
    layout = Layout(delimiter, names, times, blank, labels, int(columns.has_header), columns.decimal)
    first = next(csv.reader([lines[columns.has_header]], delimiter=delimiter))
    is_utc = columns.time_format == "iso" and _has_offset(" ".join(first[names.index(name)] for name in times if names.index(name) < len(first)))

    def times_of(texts: Texts) -> tuple[Ints, Flags]:
        joined = texts[times[0]] if len(times) == 1 else pc.binary_join_element_wise(*(texts[name] for name in times), " ")
        return text_times_ms(joined, columns.time_format)

    return MappedTable(read_table(text, layout, times_of, file.key, is_strict=is_strict), is_utc, f"CSV {delimiter!r}", used)


def text_times_ms(texts: pa.ChunkedArray, time_format: str) -> tuple[Ints, Flags]:
    """Times written as text.

    Parameters
    ----------
    texts : ChunkedArray of string, shape (n,)
    time_format : str
        ``"iso"``, an epoch unit, or a pattern of strftime; what is finer than a millisecond is cut off.

    Returns
    -------
    int64, shape (n,)
        Milliseconds since 1970: of UTC where the text says its offset, else as the clock showed them.
    bool, shape (n,)
        Whether the text is no such time.
    """
    series = texts.to_pandas()
    if time_format in _PER_MS:
        return epoch_ms(pd.to_numeric(series, errors="coerce").to_numpy(), time_format)
    if time_format == "iso":
        stamps = pd.to_datetime(series, format="ISO8601", errors="coerce", utc=True)
    else:
        try:
            stamps = pd.to_datetime(series, format=time_format, errors="coerce", utc="%z" in time_format or "%Z" in time_format)
        except ValueError as error:
            raise BadInput("time_format", f"{time_format!r} is no pattern of strftime: {error}") from None
    return _stamps_ms(pd.DatetimeIndex(stamps))


def epoch_ms(values: NDArray[np.int64] | Floats, unit: str) -> tuple[Ints, Flags]:
    """Epoch numbers as milliseconds, and which of them are none. Whole numbers stay exact, parts of a millisecond are cut off."""
    if values.dtype.kind in "iu":
        whole = values.astype(np.int64)
        factor = _PER_MS[unit]
        return whole * int(factor) if factor >= 1 else whole // round(1 / factor), np.zeros(len(whole), dtype=np.bool_)
    is_bad = ~np.isfinite(values)
    # A second written with its milliseconds is a hair off in binary: 1577898000.065 must not become .064.
    scaled = np.where(is_bad, 0.0, values) * _PER_MS[unit]
    near = np.rint(scaled)
    return np.where(np.abs(scaled - near) < 1e-3, near, np.floor(scaled)).astype(np.int64), is_bad


def zone_to_utc(raw_ms: Ints, zone: str) -> tuple[Ints, Flags, int]:
    """Wall-clock times of an IANA zone to UTC.

    Parameters
    ----------
    raw_ms : int64, shape (n,)
        As the clock showed them, in file order.
    zone : str

    Returns
    -------
    int64, shape (n,)
        Epoch milliseconds UTC.
    bool, shape (n,)
        Times that the clock never showed, in the hour that spring leaves out.
    int
        Times that the clock showed twice. They are the first round up to the place where the file steps back, and the second after it; a
        file that shows them once gets the first.
    """
    local = pd.DatetimeIndex(raw_ms.view("M8[ms]"))
    first, second = (
        local.tz_localize(zone, ambiguous=np.full(len(local), is_summer), nonexistent="NaT").tz_convert("UTC").as_unit("ms")
        for is_summer in (True, False)
    )
    utc = first.asi8.copy()
    twice = np.flatnonzero(first.asi8 != second.asi8)
    if len(twice):
        for rows in np.split(twice, np.flatnonzero(np.abs(np.diff(raw_ms[twice])) > 86_400_000) + 1):
            back = np.flatnonzero(np.diff(raw_ms[rows]) < 0)
            if len(back):
                utc[rows[back[0] + 1 :]] = second.asi8[rows[back[0] + 1 :]]
    return utc, np.asarray(first.isna()), len(twice)


def _read_parquet(file: TextFile, columns: ColumnMap, is_strict: bool) -> MappedTable:
    try:
        parquet = pq.ParquetFile(pa.BufferReader(file.raw))
        groups = [parquet.metadata.row_group(number) for number in range(parquet.metadata.num_row_groups)]
        size = sum(group.total_byte_size for group in groups)
        if size > LARGEST_BYTES:
            raise BadInput("path", f"{file.key} says that it unpacks to {size:,} bytes, more than {LARGEST_BYTES:,}; split it")
        used = _used(parquet.schema_arrow.names, columns, file.key)
        read = parquet.read(columns=list(used.values()))
    except (pa.ArrowException, OSError) as error:
        raise BadInput("path", f"{file.key} is no Parquet file that can be read: {error}") from None
    times = [name for name in used if name.startswith("time")]
    stamp = read[used[times[0]]]
    is_utc = False
    if len(times) > 1 or pa.types.is_string(stamp.type) or pa.types.is_large_string(stamp.type):
        texts = [read[used[name]].cast(pa.string()) for name in times]
        joined = texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, " ")
        is_utc = columns.time_format == "iso" and _has_offset(str(joined[0]) if len(joined) else "")
        time_ms, is_bad = text_times_ms(joined, columns.time_format)
    elif pa.types.is_timestamp(stamp.type) or pa.types.is_date(stamp.type):
        is_utc = getattr(stamp.type, "tz", None) is not None
        time_ms, is_bad = _stamps_ms(pd.DatetimeIndex(pd.to_datetime(stamp.to_pandas(), utc=True)))
    else:
        if columns.time_format not in _PER_MS:
            raise BadInput("time_format", f"column {used[times[0]]!r} of {file.key} holds numbers; say their unit: s, ms, us or ns")
        time_ms, is_bad = epoch_ms(stamp.to_numpy(), columns.time_format)
    numbers: dict[str, Floats] = {}
    faults = {int(row): f"no time: {stamp[int(row)]}" for row in np.flatnonzero(is_bad)[:EXAMPLES_KEPT]}
    for name in used:
        if name not in NUMBERS:
            continue
        try:
            values = read[used[name]].cast(pa.float64()).to_numpy()
        except pa.ArrowException as error:
            raise BadInput("columns", f"column {used[name]!r} of {file.key} is not numbers: {error}") from None
        allowed = np.isnan(values) if name in ("bid", "ask") and "open" not in used else np.zeros(len(values), dtype=np.bool_)
        is_wrong = ~(np.isfinite(values) | allowed)
        for row in np.flatnonzero(is_wrong)[:EXAMPLES_KEPT]:
            faults.setdefault(int(row), f"{name} {values[row]} is not a number")
        is_bad, numbers[name] = is_bad | is_wrong, values
    examples = tuple(f"row {row + 1}: {faults[row]}" for row in sorted(faults)[:EXAMPLES_KEPT])
    if examples and is_strict:
        raise BadInput("path", f"{file.key} {examples[0]}")
    kept = ~is_bad
    labels = {"symbol": np.asarray(read[used["symbol"]].to_pandas(), dtype=object)[kept]} if "symbol" in used else {}
    table = Table(time_ms[kept], {name: values[kept] for name, values in numbers.items()}, labels, int(is_bad.sum()), examples)
    return MappedTable(table, is_utc, "Parquet", used)


def _used(header: list[str], columns: ColumnMap, name: str) -> dict[str, str]:
    """The platform's name of every column that is used, with the file's name of it."""
    by_lower = {theirs.lower(): theirs for theirs in reversed(header)}
    unknown = [ours for ours in columns.columns if ours not in NUMBERS]
    if unknown:
        raise BadInput("columns", f"{unknown[0]!r} is not one of {', '.join(NUMBERS)}")
    times = columns.time or tuple(by_lower[usual] for usual in TIME_NAMES if usual in by_lower)[:1]
    if not times:
        raise BadInput("time", f"{name} has no column {', '.join(TIME_NAMES)}; it has {', '.join(header)[:200]}")
    used = {f"time{place}" if place else "time": theirs for place, theirs in enumerate(times)}
    used |= {ours: columns.columns.get(ours) or by_lower.get(ours, "") for ours in NUMBERS}
    if columns.symbol_column:
        used["symbol"] = columns.symbol_column
    used = {ours: theirs for ours, theirs in used.items() if theirs}
    for ours, theirs in used.items():
        if theirs not in header:
            raise BadInput("columns", f"{name} has no column {theirs!r} for {ours}; it has {', '.join(header)[:200]}")
    return used


def _has_offset(text: str) -> bool:
    """Whether a time says its own offset from UTC."""
    clock = text.strip()[10:]
    return clock.endswith(("Z", "z")) or "+" in clock or "-" in clock


def _stamps_ms(stamps: pd.DatetimeIndex) -> tuple[Ints, Flags]:
    is_bad = np.asarray(stamps.isna())
    return np.where(is_bad, 0, stamps.as_unit("ms").asi8), is_bad
