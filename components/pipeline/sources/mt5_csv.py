"""Bars and ticks that MetaTrader 5 exported as text, in the time of the broker's server."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from components.fx import PRICE_COLUMNS, BadInput, NotFound, Timeframe
from components.pipeline.broker_clock import BrokerClock, infer_clock
from components.pipeline.sources.file_piece import (
    bars_frame,
    forward_filled,
    how_to_read,
    is_unchanged,
    piece_of,
    refuse_other_symbol,
    ticks_frame,
    timeframe_of,
    trading_open_ms,
    without_noise,
)
from components.pipeline.sources.source import Gives, KnownPiece, Piece, Request, SourceContext, parsed_options
from components.pipeline.sources.text_file import TextFile, listed_files, open_text
from components.pipeline.sources.text_table import (
    Flags,
    Ints,
    Layout,
    Table,
    Texts,
    first_lines,
    fixed_times_ms,
    read_table,
    sniffed_delimiter,
)

SUFFIXES = (".csv", ".csv.gz", ".txt", ".zip")
TICK = "tick"
# Two of three brokers keep New York's close as their midnight: two hours ahead of UTC, three in American summer.
USUAL_WINTER_MINUTES = 120
_LENGTHS = {"daily": "D1", "weekly": "W1"}
_NAME = re.compile(
    r"(?P<symbol>.+?)_(?:(?P<length>M\d+|H\d+|D1|W1|MN1|Daily|Weekly|Monthly)(?:_\d{8,12}_\d{8,12})?|(?P<ticks>\d{8,12}_\d{8,12}))", re.I
)
_COLUMNS = {
    "date": "date",
    "time": "time",
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "tickvol": "volume",
    "spread": "spread_points",
    "bid": "bid",
    "ask": "ask",
}
_TIME_CELLS = ("hh:mm", "hh:mm:ss", "hh:mm:ss.fff")


class Mt5CsvOptions(BaseModel):
    """Where the files are, and what is known of the broker's clock.

    ``clock`` is read from the weeks of the bars (``detect``), or named by its dates of summer time, with ``winter_minutes`` ahead of UTC in
    winter. ``clock_from`` names another export of the same broker, or a bar set made from one, whose clock is taken over.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    clock: Literal["detect", "us", "eu", "none"] = "detect"
    winter_minutes: int = Field(USUAL_WINTER_MINUTES, ge=-12 * 60, le=14 * 60)
    clock_from: str = ""
    broker_symbol: str = ""


@dataclass(frozen=True)
class _Found:
    """A file, with what its name says: the broker's symbol and the timeframe, ``tick``, or nothing."""

    path: Path
    symbol: str = ""
    length: str = ""


class Mt5Csv:
    """Reads exported files; every one is a piece, and one that has not changed is not read again."""

    name = "mt5_csv"
    gives: Gives = "bars"
    is_network = False
    note = (
        "Files that MetaTrader 5 exported: bars with spread (daily ones too) and ticks, separated by tabs, commas or semicolons. Bid prices, the broker's "
        "time: its offset from UTC is read from the weeks of the bars. The last bar may have been forming when it was exported. Option path: file or folder."
    )
    options: type[BaseModel] = Mt5CsvOptions

    def offers(self) -> tuple[tuple[str, str], ...]:
        """Anything that the user's files hold."""
        return ()

    def pieces(self, request: Request, known: Mapping[str, KnownPiece], context: SourceContext) -> Iterator[Piece]:
        """One piece a file, bars or ticks, with the broker's own time as ``raw_ms``; see `Source.pieces`.

        Raises
        ------
        BadInput
            If no file of the symbol is there, one is not of this layout (naming its line), or does not hold the timeframe asked for.
        NotFound
            If there is nothing at the path.
        """
        options = parsed_options(self, request.options)
        assert isinstance(options, Mt5CsvOptions)
        root = options.path.expanduser()
        every = _files_of(root, request, options)
        files = _chosen(every, request, root)
        asked = how_to_read(options)
        for number, found in enumerate(files):
            file = open_text(found.path, root)
            context.progress(number / len(files), f"reading {file.key}", file=number + 1, files=len(files))
            if is_unchanged(known, file.key, file.sha256, asked):
                continue
            table = read_export(file)
            yield _piece(file, table, request, _Clocks(every, options, root, context), asked)


def read_export(file: TextFile) -> Table:
    """The rows of an exported file in the broker's time: ``open high low close volume spread_points``, or ``bid ask`` with NaN for blank cells.

    Raises
    ------
    BadInput
        If it has not MetaTrader's header, or naming the first line that cannot be read.
    """
    members = file.members()
    if len(members) > 1:
        raise BadInput("path", f"{file.key} holds {len(members)} files, {members[0]} and others; unpack it and give the folder")
    text = file.text(members[0])
    lines = first_lines(text, 2)
    if len(lines) < 2:
        raise BadInput("path", f"{file.key} has no rows; export it again")
    delimiter = sniffed_delimiter(lines[0])
    header = [cell.strip().strip("<>").lower() for cell in lines[0].split(delimiter)]
    cells = lines[1].split(delimiter)
    is_ticks = {"bid", "ask"} <= set(header)
    if "date" not in header or not (is_ticks or set(PRICE_COLUMNS) <= set(header)) or len(cells) != len(header):
        wanted = "<DATE> <TIME> <OPEN> <HIGH> <LOW> <CLOSE> <TICKVOL> <VOL> <SPREAD>, or <DATE> <TIME> <BID> <ASK>"
        raise BadInput("path", f"{file.key} line 1: {lines[0][:80]!r} is no header of MetaTrader ({wanted}); use source 'folder' with a mapping")
    names = [_COLUMNS.get(name, "") for name in header]
    if not is_ticks and "volume" not in names and "volume" in header:
        # Bars that a script copied out of the terminal call the number of ticks Volume.
        names[header.index("volume")] = "volume"
    times = tuple(name for name in ("date", "time") if name in names)
    patterns = _date_patterns(cells[header.index("date")])

    def times_of(texts: Texts) -> tuple[Ints, Flags]:
        time_ms, is_bad = fixed_times_ms(texts["date"], patterns)
        if "time" in texts:
            of_day, is_wrong = fixed_times_ms(texts["time"], _TIME_CELLS)
            time_ms, is_bad = time_ms + of_day, is_bad | is_wrong
        return time_ms, is_bad

    layout = Layout(delimiter, tuple(names), times, blank=frozenset({"bid", "ask"} if is_ticks else ()), skip=1)
    return read_table(text, layout, times_of, file.key)


def _piece(file: TextFile, table: Table, request: Request, clocks: _Clocks, asked: dict[str, Any]) -> Piece:
    is_ticks = "bid" in table.numbers
    length = None if is_ticks else timeframe_of(table.time_ms)
    holds = TICK if is_ticks else length.name if length is not None else request.timeframe
    if holds not in (request.timeframe, TICK) or (request.timeframe == TICK and not is_ticks):
        raise BadInput("timeframe", f"{file.key} holds {holds} bars, not {'ticks' if request.timeframe == TICK else request.timeframe}")
    numbers, rounded = without_noise(table.numbers, request.symbol)
    facts: dict[str, Any] = {"layout": "MT5 ticks" if is_ticks else "MT5 bars", "holds": holds, "rows_read": len(table.time_ms), "asked": asked}
    if rounded:
        facts["prices_rounded"] = rounded
    clock, decided_by = clocks.of(file.path, table.time_ms, holds)
    facts["clock"] = {**clock.as_dict(), "decided_by": decided_by}
    utc = clock.to_utc(table.time_ms if is_ticks else trading_open_ms(table.time_ms, request.bars_of))
    if not is_ticks:
        refuse_other_symbol(numbers["close"], request.symbol, file.key)
        return piece_of(file, file.key, bars_frame(utc, numbers, table.time_ms), facts)
    has_news = ~(np.isnan(numbers["bid"]) & np.isnan(numbers["ask"]))
    if not has_news.all():
        facts["without_quote"] = int((~has_news).sum())
    bid, ask = forward_filled(numbers["bid"][has_news]), forward_filled(numbers["ask"][has_news])
    frame, dropped = ticks_frame(utc[has_news], bid, ask, table.time_ms[has_news])
    refuse_other_symbol(frame["bid"].to_numpy(), request.symbol, file.key)
    return piece_of(file, file.key, frame, {**facts, **dropped})


class _Clocks:
    """The clock of a file: as named, as another export of the broker shows it, or as its own weeks do."""

    def __init__(self, files: Sequence[_Found], options: Mt5CsvOptions, root: Path, context: SourceContext) -> None:
        self.files = files
        self.options = options
        self.root = root
        self.context = context

    def of(self, path: Path, raw_ms: Ints, holds: str) -> tuple[BrokerClock, str]:
        """A file's clock and by what it was decided."""
        if self.options.clock != "detect":
            return BrokerClock.named(self.options.clock, self.options.winter_minutes), "the request"
        if self.options.clock_from:
            return self._taken_over(), f"{self.options.clock_from}, as the request says"
        own = _inferred(raw_ms, holds)
        if own.is_settled and _tells_hours(holds):
            return own, "the weeks of this file"
        # Long bars first: they reach back furthest and are quickly read.
        for other in reversed(self.files):
            if other.path == path or not _tells_hours(other.length):
                continue
            raw = read_export(open_text(other.path)).time_ms
            clock = _inferred(raw, other.length)
            # Settled is not enough: a file of one winter says nothing about other summers.
            if not clock.is_ambiguous:
                begin, end = (np.datetime64(int(at), "ms").astype("M8[D]") for at in (raw.min(), raw.max()))
                return clock, f"the weeks of {other.path.name} beside it, {begin} to {end}; other times are read by the same rule"
        if own.weeks and _tells_hours(holds):
            return own, "the weeks of this file, which fit other clocks as well; name clock_from to be sure"
        if own.weeks:
            return (
                own,
                f"assumption: {holds} bars tell no hours, so the broker's midnight is taken for the turn of the FX day; name clock_from to be sure",
            )
        usual = replace(BrokerClock.named("us", USUAL_WINTER_MINUTES), confidence=0.0)
        return usual, "assumption: the file has no weekend, so the clock that most brokers keep is taken; name clock_from to be sure"

    def _taken_over(self) -> BrokerClock:
        name = self.options.clock_from
        folder = self.root if self.root.is_dir() else self.root.parent
        path = folder / Path(name).expanduser()
        if path.is_file():
            table = read_export(open_text(path))
            length = timeframe_of(table.time_ms)
            return _inferred(table.time_ms, TICK if "bid" in table.numbers or length is None else length.name)
        return clock_of_bar_set(self.context.home, name)


def clock_of_bar_set(home: Path, bar_set_id: str) -> BrokerClock:
    """The surest clock of the pieces that a bar set was made from.

    Raises
    ------
    BadInput
        If there is no such bar set, or it was not made from a broker's bars.
    """
    from components.pipeline.store import PipelineStore

    store = PipelineStore.open(home)
    try:
        pieces = store.bar_set(bar_set_id).made_by.get("pieces", [])
    except NotFound:
        raise BadInput("clock_from", f"{bar_set_id!r} is neither a file nor a bar set; name an export of the same broker") from None
    finally:
        store.close()
    stored = [piece["facts"]["clock"] for piece in pieces if "clock" in piece.get("facts", {})]
    if not stored:
        raise BadInput("clock_from", f"bar set {bar_set_id!r} was not made from bars in a broker's time; name one that was")
    return max((BrokerClock.from_dict(clock) for clock in stored), key=lambda clock: clock.confidence)


def _inferred(raw_ms: Ints, holds: str) -> BrokerClock:
    return infer_clock(raw_ms, 0 if holds == TICK else Timeframe.named(holds).ms)


def _tells_hours(holds: str) -> bool:
    """Whether rows of that kind show the hour of the week's opening."""
    return holds == TICK or (bool(holds) and Timeframe.named(holds).ms <= Timeframe.H1.ms)


def _date_patterns(cell: str) -> tuple[str, ...]:
    """Patterns for dates that are written as the first one, with or without a time behind them."""
    mark = cell.strip()[4:5]
    if mark not in (".", "-", "/"):
        raise BadInput("path", f"the date {cell[:40]!r} is not written as 2025.01.31, 2025-01-31 or 2025/01/31")
    date = f"YYYY{mark}MM{mark}DD"
    gap = "T" if "T" in cell else " "
    return (date, *(f"{date}{gap}{time}" for time in _TIME_CELLS))


def _files_of(root: Path, request: Request, options: Mt5CsvOptions) -> list[_Found]:
    """Every file of the symbol, those of the shortest bars first."""
    wanted = (options.broker_symbol or request.symbol).upper()
    found, others = list[_Found](), set[str]()
    for path in listed_files(root, SUFFIXES):
        name = _NAME.fullmatch(path.name.split(".csv")[0].split(".txt")[0].split(".zip")[0])
        if name is None:
            if path == root:
                found.append(_Found(path))
            continue
        if not name["symbol"].upper().startswith(wanted):
            others.add(name["symbol"])
            continue
        length = TICK if name["ticks"] else _LENGTHS.get(name["length"].lower(), name["length"].upper())
        try:
            _tells_hours(length)
        except BadInput:
            continue
        found.append(_Found(path, name["symbol"], length))
    if not found:
        holds = f"it holds {', '.join(sorted(others))}; give broker_symbol if one of them is meant" if others else "no name is like EURUSD_H1_….csv"
        raise BadInput("path", f"{root} has no MetaTrader export of {request.symbol}; {holds}")
    return sorted(found, key=lambda one: (Timeframe.named(one.length).ms if one.length not in ("", TICK) else 0, one.path.name))


def _chosen(files: list[_Found], request: Request, root: Path) -> list[_Found]:
    """The files that give what is asked for: bars of that length, or ticks to make them from."""
    if root.is_file():
        return files
    chosen = [one for one in files if one.length == request.timeframe] or [one for one in files if one.length == TICK]
    if not chosen:
        raise BadInput(
            "timeframe", f"{root} has no {request.symbol} {request.timeframe}; it has {', '.join(dict.fromkeys(one.length for one in files))}"
        )
    return chosen
