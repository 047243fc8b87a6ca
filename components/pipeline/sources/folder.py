"""Any CSV or Parquet files of bars or ticks, with a mapping that says which column is what and in which zone their times are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from components.fx import PRICE_COLUMNS, BadInput
from components.pipeline.broker_clock import infer_clock
from components.pipeline.sources.file_piece import (
    bars_frame,
    digits_of,
    forward_filled,
    how_to_read,
    is_unchanged,
    piece_of,
    refuse_other_symbol,
    ticks_frame,
    timeframe_of,
    without_noise,
)
from components.pipeline.sources.mapped_table import PARQUET_SUFFIXES, ColumnMap, MappedTable, read_mapped, zone_to_utc
from components.pipeline.sources.source import Gives, KnownPiece, Piece, Request, SourceContext, parsed_options
from components.pipeline.sources.text_file import TextFile, listed_files, open_text
from components.pipeline.sources.text_table import Floats, Ints, Table

SUFFIXES = (".csv", ".csv.gz", ".txt", ".tsv", ".zip", *PARQUET_SUFFIXES)
TICK = "tick"


class FolderOptions(BaseModel):
    """Which files, and what their columns are.

    ``path`` is a file, or a folder of which the files are taken that match ``glob``. ``time``, ``time_format``, ``columns``,
    ``symbol_column``, ``has_header``, ``delimiter`` and ``decimal`` are those of `ColumnMap`. ``symbol_value`` is what the symbol column
    says for the symbol, where that is not its name. ``zone`` is ``"UTC"``, an IANA name, or ``"detect"`` for a broker's clock that is
    read from the weeks. ``stamp`` says whether a bar is named by its open or its close. ``ask_path`` is a second file of ask bars, or a
    folder of them, named as the bid files with ``ask`` for ``bid``; the spread is then that of the opens. ``on_bad_row`` says whether a row
    that cannot be read refuses its file, or is left out and counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    glob: str = "*"
    time: tuple[str, ...] = ()
    time_format: str = "iso"
    zone: str = "UTC"
    stamp: Literal["open", "close"] = "open"
    columns: dict[str, str] = Field(default_factory=dict)
    symbol_column: str = ""
    symbol_value: str = ""
    has_header: bool = True
    delimiter: str = Field("", max_length=1)
    decimal: Literal[".", ","] = "."
    ask_path: Path | None = None
    on_bad_row: Literal["refuse", "reject"] = "refuse"

    @field_validator("time", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("zone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        if value != "detect":
            try:
                ZoneInfo(value)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError("is neither UTC, an IANA zone such as Europe/Berlin, nor 'detect'") from None
        return value


class Folder:
    """Reads the user's own files; every one is a piece, and one that has not changed is not read again."""

    name = "folder"
    gives: Gives = "bars"
    is_network = False
    note = (
        "Any CSV (also gzip or zip) or Parquet files with bars (open, high, low, close) or ticks (bid, ask), by a mapping of their columns. Option path: "
        "the file or folder; see the other options for zone, time format, symbol column and a second file of ask prices."
    )
    options: type[BaseModel] = FolderOptions

    def offers(self) -> tuple[tuple[str, str], ...]:
        """Anything that the user's files hold."""
        return ()

    def pieces(self, request: Request, known: Mapping[str, KnownPiece], context: SourceContext) -> Iterator[Piece]:
        """One piece a file, bars or ticks; where the times are not UTC, their own are kept as ``raw_ms``. See `Source.pieces`.

        Raises
        ------
        BadInput
            If no file matches, a column is missing, a row cannot be read (naming it), or the bars are of another length than asked for.
        NotFound
            If there is nothing at the path.
        """
        options = parsed_options(self, request.options)
        assert isinstance(options, FolderOptions)
        root = options.path.expanduser()
        paths = [path for path in listed_files(root, SUFFIXES) if path == root or _matches(path, root, options.glob)]
        if not paths:
            raise BadInput("path", f"{root} has no file like {options.glob!r} that ends in {', '.join(SUFFIXES)}")
        if options.ask_path is not None and len(paths) > 1:
            paths = [path for path in paths if "bid" in path.name]
        asked = how_to_read(options)
        for number, path in enumerate(paths):
            file = open_text(path, root)
            ask = open_text(_ask_of(path, options.ask_path.expanduser())) if options.ask_path is not None else None
            context.progress(number / len(paths), f"reading {file.key}", file=number + 1, files=len(paths))
            if ask is not None:
                file = replace(file, sha256=hashlib.sha256(f"{file.sha256}{ask.sha256}".encode()).hexdigest())
            if not is_unchanged(known, file.key, file.sha256, asked):
                yield _piece(file, ask, options, request, asked)


def _piece(file: TextFile, ask: TextFile | None, options: FolderOptions, request: Request, asked: dict[str, Any]) -> Piece:
    found = _read(file, options, request)
    table, crossed = found.table, 0
    if ask is not None:
        table, crossed = _with_spread(table, _read(ask, options, request).table, options, request, ask.key)
    is_bars = set(PRICE_COLUMNS) <= set(table.numbers)
    if not is_bars and not {"bid", "ask"} <= set(table.numbers):
        raise BadInput("columns", f"{file.key} gives {', '.join(table.numbers) or 'no price'}; map open, high, low and close, or bid and ask")
    facts: dict[str, Any] = {"layout": found.kind, "columns": found.used, "rows_read": len(table.time_ms), "asked": asked}
    utc, kept, more = _in_utc(table, found.is_utc, is_bars, options, request, file.key)
    facts |= more
    if crossed:
        facts["spread_carried"] = crossed
    if table.rejected or not kept.all():
        facts["rejected"] = {"rows": table.rejected + int((~kept).sum()), "examples": list(table.examples)}
    numbers, rounded = without_noise({name: values[kept] for name, values in table.numbers.items()}, request.symbol)
    if rounded:
        facts["prices_rounded"] = rounded
    raw_ms = None if found.is_utc or options.zone == "UTC" else table.time_ms[kept]
    utc = utc[kept]
    refuse_other_symbol(numbers["close" if is_bars else "bid"], request.symbol, file.key)
    if not is_bars:
        frame, dropped = ticks_frame(utc, numbers["bid"], numbers["ask"], raw_ms)
        return piece_of(file, file.key, frame, {**facts, **dropped})
    if "spread_price" in numbers:
        numbers["spread_points"] = np.round(numbers["spread_price"] * 10.0 ** digits_of(numbers, request.symbol), 6)
    length = timeframe_of(utc)
    if request.timeframe == TICK or (length is not None and length is not request.bars_of):
        holds = f"{length.name} bars" if length is not None else "bars"
        raise BadInput("timeframe", f"{file.key} holds {holds}, not {'ticks' if request.timeframe == TICK else request.timeframe}")
    if options.stamp == "close":
        utc = utc - request.bars_of.ms
    piece = piece_of(file, file.key, bars_frame(utc, numbers, raw_ms), facts)
    return replace(piece, origin=f"{piece.origin} and {ask.path}") if ask is not None else piece


def _read(file: TextFile, options: FolderOptions, request: Request) -> MappedTable:
    """The rows of the symbol in one file."""
    mapping = ColumnMap(
        options.time, options.time_format, options.columns, options.symbol_column, options.has_header, options.delimiter, options.decimal
    )
    found = read_mapped(file, mapping, is_strict=options.on_bad_row == "refuse")
    if not options.symbol_column:
        return found
    wanted = options.symbol_value or request.symbol
    names = found.table.labels["symbol"]
    own = names == wanted
    if not own.any():
        held = sorted({str(name) for name in names})[:10]
        raise BadInput("symbol_column", f"no row of {file.key} is of {wanted!r}; there are {', '.join(held)}; see symbol_value")
    numbers = {name: values[own] for name, values in found.table.numbers.items()}
    return replace(found, table=replace(found.table, time_ms=found.table.time_ms[own], numbers=numbers, labels={}))


def _in_utc(
    table: Table, is_utc: bool, is_bars: bool, options: FolderOptions, request: Request, name: str
) -> tuple[Ints, np.ndarray[Any, np.dtype[np.bool_]], dict[str, Any]]:
    """Times in UTC, which of them exist, and what a person should know of their clock."""
    every = np.ones(len(table.time_ms), dtype=np.bool_)
    if is_utc:
        if options.zone != "UTC":
            raise BadInput("zone", f"the times of {name} say their own offset from UTC; leave zone away")
        return table.time_ms, every, {"zone": "as each time says"}
    if options.zone == "UTC":
        return table.time_ms, every, {"zone": "UTC, as the request says"}
    if options.zone == "detect":
        clock = infer_clock(table.time_ms, request.bars_of.ms if is_bars and request.timeframe != TICK else 0)
        return clock.to_utc(table.time_ms), every, {"clock": {**clock.as_dict(), "decided_by": "the weeks of this file"}}
    utc, is_missing, twice = zone_to_utc(table.time_ms, options.zone)
    if is_missing.any() and options.on_bad_row == "refuse":
        row = int(np.argmax(is_missing))
        at = np.datetime64(int(table.time_ms[row]), "ms")
        raise BadInput("path", f"{name} row {row + 1}: {at} never was in {options.zone}: its clock went forward there; is that the zone?")
    return utc, ~is_missing, {"zone": options.zone, **({"shown_twice": twice} if twice else {})}


def _with_spread(bid: Table, ask: Table, options: FolderOptions, request: Request, name: str) -> tuple[Table, int]:
    """Bid bars with the spread of their opens, and how many of these were crossed; a bid bar without its ask bar cannot be had."""
    if not set(PRICE_COLUMNS) <= set(ask.numbers) & set(bid.numbers):
        raise BadInput("ask_path", f"{name} and the bid file must both have open, high, low and close")
    order = np.argsort(ask.time_ms, kind="stable")
    times = ask.time_ms[order]
    place = np.minimum(np.searchsorted(times, bid.time_ms), max(len(times) - 1, 0))
    has_ask = times[place] == bid.time_ms
    if not has_ask.all() and options.on_bad_row == "refuse":
        first = np.datetime64(int(bid.time_ms[np.argmin(has_ask)]), "ms")
        raise BadInput(
            "ask_path", f"{name} has no bar for {int((~has_ask).sum())} bid bars, the first of {first}; on_bad_row 'reject' leaves those out"
        )
    asks: Floats = ask.numbers["open"][order][place]
    spread = np.round((asks - bid.numbers["open"]) * 10.0 ** digits_of(bid.numbers, request.symbol), 6)
    # Bid and ask bars are built apart, so an ask may open below the bid of another moment: no spread is below 0, the one before is taken.
    is_crossed = has_ask & (spread < 0)
    spread = np.nan_to_num(forward_filled(np.where(spread < 0, np.nan, spread)))
    numbers = {column: values[has_ask] for column, values in {**bid.numbers, "spread_points": spread}.items()}
    missing = int((~has_ask).sum())
    examples = (*bid.examples, f"{missing} bid bars without an ask bar") if missing else bid.examples
    whole = replace(bid, time_ms=bid.time_ms[has_ask], numbers=numbers, rejected=bid.rejected + missing, examples=examples)
    return whole, int(is_crossed.sum())


def _ask_of(path: Path, ask_path: Path) -> Path:
    if ask_path.is_dir():
        return ask_path / path.name.replace("bid", "ask")
    return ask_path


def _matches(path: Path, root: Path, glob: str) -> bool:
    return fnmatch(path.name, glob) or fnmatch(path.relative_to(root).as_posix(), glob)
