"""HistData.com: free M1 bars and ticks of many pairs, one file a month or a year, as they are downloaded.

Their pages say "EST without daylight saving". Every file that was measured follows a summer time, some the American dates and some the
European ones, so the rule is read from each file: from when its weeks open and close.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from components.fx import BadInput, Timeframe
from components.pipeline.broker_clock import BrokerClock, infer_clock
from components.pipeline.sources.file_piece import (
    bars_frame,
    how_to_read,
    is_unchanged,
    piece_of,
    refuse_other_symbol,
    ticks_frame,
)
from components.pipeline.sources.source import Gives, KnownPiece, Piece, Request, SourceContext, parsed_options
from components.pipeline.sources.text_file import TextFile, listed_files, open_text
from components.pipeline.sources.text_table import Flags, Ints, Layout, Table, Texts, first_lines, fixed_times_ms, read_table

SUFFIXES = (".zip", ".csv", ".csv.gz")
# HISTDATA_COM_ASCII_EURUSD_M12018.zip, DAT_ASCII_EURUSD_M1_201703.csv, DAT_MT_EURCHF_M1_202501.csv, DAT_ASCII_EURUSD_T_202001.csv
NAME = re.compile(r"(?:HISTDATA_COM|DAT)_(?P<kind>[A-Z]+)_(?P<symbol>[A-Z0-9]{6})_(?P<what>M1|T)_?(?P<year>\d{4})(?P<month>\d{2})?(?!\d)", re.I)
WINTER_MINUTES = -300
_PRICES = ("open", "high", "low", "close", "volume")
_SEEN_LINES = 5


class HistDataOptions(BaseModel):
    """Where the files are, and whether their clock is read from them or is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    clock: Literal["detect", "us", "eu", "none"] = "detect"


@dataclass(frozen=True)
class _Form:
    """One of the forms in which HistData writes its files."""

    name: str
    words: str
    line: re.Pattern[str]
    layout: Layout
    patterns: Mapping[str, str]
    is_ticks: bool = False

    def times(self, texts: Texts) -> tuple[Ints, Flags]:
        """Milliseconds as the file's clock shows them."""
        parts = [fixed_times_ms(texts[column], (pattern,)) for column, pattern in self.patterns.items()]
        return np.sum([part[0] for part in parts], axis=0), np.any([part[1] for part in parts], axis=0)


_NUMBER = r"\d+(?:\.\d+)?"
FORMS = (
    _Form(
        "ASCII M1",
        "YYYYMMDD HHMMSS;open;high;low;close;volume",
        re.compile(rf"\d{{8}} \d{{6}}(?:;{_NUMBER}){{5}}"),
        Layout(";", ("time", *_PRICES), ("time",)),
        {"time": "YYYYMMDD hhmmss"},
    ),
    _Form(
        "MT M1",
        "YYYY.MM.DD,HH:MM,open,high,low,close,volume",
        re.compile(rf"\d{{4}}\.\d\d\.\d\d,\d\d:\d\d(?:,{_NUMBER}){{5}}"),
        Layout(",", ("date", "time", *_PRICES), ("date", "time")),
        {"date": "YYYY.MM.DD", "time": "hh:mm"},
    ),
    _Form(
        "ASCII ticks",
        "YYYYMMDD HHMMSSmmm,bid,ask,volume",
        re.compile(rf"\d{{8}} \d{{9}}(?:,{_NUMBER}){{3}}"),
        Layout(",", ("time", "bid", "ask", ""), ("time",)),
        {"time": "YYYYMMDD hhmmssfff"},
        is_ticks=True,
    ),
)


@dataclass(frozen=True)
class _Found:
    """A file of the symbol, with what its name says; year 0 where it says nothing."""

    path: Path
    is_ticks: bool | None
    year: int = 0
    month: int = 0
    left_out: tuple[str, ...] = ()

    @property
    def order(self) -> tuple[int, int, str]:
        return self.year, self.month, self.path.name


class HistData:
    """Reads downloaded files; every one is a piece, and one that has not changed is not read again."""

    name = "histdata"
    gives: Gives = "bars"
    is_network = False
    note = (
        "Files of histdata.com (free, at one's own risk), as downloaded: M1, MT and tick files, zip or CSV, single or in folders. Bid prices; the "
        "volume of their M1 bars is always 0. Their clock is UTC-5 with a summer time that is found file by file. Option path: the file or folder."
    )
    options: type[BaseModel] = HistDataOptions

    def offers(self) -> tuple[tuple[str, str], ...]:
        """Anything that the user's files hold."""
        return ()

    def pieces(self, request: Request, known: Mapping[str, KnownPiece], context: SourceContext) -> Iterator[Piece]:
        """One piece a file: bars for M1 files, ticks for tick files, with the file's own time as ``raw_ms``; see `Source.pieces`.

        Raises
        ------
        BadInput
            If no file of the symbol is there, one is of another layout than HistData's (naming its line), or does not hold what its name says.
        NotFound
            If there is nothing at the path.
        """
        options = parsed_options(self, request.options)
        assert isinstance(options, HistDataOptions)
        root = options.path.expanduser()
        every = _files_of(root, request.symbol)
        files = _chosen(every, request)
        asked = how_to_read(options)
        clocks = _Clocks(every, options.clock)
        for number, found in enumerate(files):
            file = open_text(found.path, root)
            context.progress(number / len(files), f"reading {file.key}", file=number + 1, files=len(files))
            members = file.members()
            for member in members:
                key = file.key if len(members) == 1 else f"{file.key}/{member}"
                inside = found if len(members) == 1 else _named(Path(member), request.symbol)
                if inside is None or is_unchanged(known, key, file.sha256, asked):
                    continue
                form, table = _read(file.text(member), key)
                yield _piece(file, key, inside, form, table, request, clocks, asked)


def _piece(file: TextFile, key: str, found: _Found, form: _Form, table: Table, request: Request, clocks: _Clocks, asked: dict[str, Any]) -> Piece:
    _refuse_mismatch(key, found, form, table, request)
    refuse_other_symbol(table.numbers["bid" if form.is_ticks else "close"], request.symbol, key)
    facts: dict[str, Any] = {"layout": form.name, "rows_read": len(table.time_ms), "asked": asked}
    if found.left_out:
        facts["left_out_files"] = list(found.left_out)
    if not found.year:
        facts["symbol_by"] = "the request: the file's name does not say"
    if not form.is_ticks:
        table, repeated = without_repeats(table)
        if repeated:
            facts["repeated"] = repeated
    clock, decided_by = clocks.of(found, table.time_ms, form.is_ticks)
    facts["clock"] = {**clock.as_dict(), "decided_by": decided_by}
    utc = clock.to_utc(table.time_ms)
    if form.is_ticks:
        frame, dropped = ticks_frame(utc, table.numbers["bid"], table.numbers["ask"], table.time_ms)
        facts |= dropped
    else:
        frame = bars_frame(utc, table.numbers, table.time_ms)
    return piece_of(file, key, frame, facts)


def without_repeats(table: Table) -> tuple[Table, int]:
    """The table without rows that a backward step repeats, and their number.

    Where a file steps back in time (the European autumn of 2019 does), the rows after the step belong to the second time round, unless they
    are the very rows from before it, written twice: those are left out, the first ones stay. What the clock showed twice with other prices
    stays in file order, by which `BrokerClock.to_utc` tells the two hours apart.
    """
    times = table.time_ms
    if len(times) < 2 or not (times[1:] < times[:-1]).any():
        return table, 0
    newest_before = np.concatenate((times[:1] - 1, np.maximum.accumulate(times)[:-1]))
    is_behind = times <= newest_before
    # Stretches of rows that are not new, less those that do not begin with a step back: a row written twice in place is another fault.
    begins = is_behind & ~np.concatenate(([False], is_behind[:-1]))
    steps_back = begins & np.concatenate(([False], times[1:] < times[:-1]))
    stretch = np.cumsum(begins)
    is_second_round = is_behind & np.isin(stretch, stretch[steps_back])
    repeats = is_second_round & pd.DataFrame({"time": times, **table.numbers}).duplicated(keep="first").to_numpy()
    kept = ~repeats
    return replace(table, time_ms=times[kept], numbers={name: values[kept] for name, values in table.numbers.items()}), int(repeats.sum())


class _Clocks:
    """The clock of every file: its own, or that of the files of its year where its own weeks do not tell."""

    def __init__(self, files: Sequence[_Found], rule: Literal["detect", "us", "eu", "none"]) -> None:
        self.files = files
        self.rule = rule
        self._raw: dict[Path, Ints] = {}

    def of(self, found: _Found, raw_ms: Ints, is_ticks: bool) -> tuple[BrokerClock, str]:
        """A file's clock and by what it was decided."""
        if self.rule != "detect":
            return BrokerClock.named(self.rule, WINTER_MINUTES), "the request"
        own = infer_clock(raw_ms, 0 if is_ticks else Timeframe.M1.ms)
        if own.is_settled and _is_plausible(own):
            return own, "the weeks of this file"
        others = [other for other in self.files if other.year == found.year and other.path != found.path] if found.year else []
        if others:
            parts = [(found.order, raw_ms), *((other.order, self._raw_of(other)) for other in others)]
            ticks = is_ticks or any(other.is_ticks for other in others)
            together = infer_clock(np.concatenate([raw for _, raw in sorted(parts, key=lambda part: part[0])]), 0 if ticks else Timeframe.M1.ms)
            if together.is_settled and _is_plausible(together):
                return together, f"the files of {found.year} together: {', '.join(other.path.name for other in others)}"
        if _is_plausible(own):
            return own, "the weeks of this file, which fit other clocks as well"
        return _assumed(raw_ms), f"assumption: UTC{WINTER_MINUTES // 60} as HistData documents it, for the weeks of this file do not tell"

    def _raw_of(self, found: _Found) -> Ints:
        if found.path not in self._raw:
            file = open_text(found.path)
            tables = [_read(file.text(member), found.path.name)[1] for member in file.members()]
            # The weeks are all that is needed: one time a minute.
            times = np.concatenate([table.time_ms for table in tables])
            self._raw[found.path] = times[np.concatenate(([True], np.diff(times // 60_000) != 0))]
        return self._raw[found.path]


def _is_plausible(clock: BrokerClock) -> bool:
    """Whether what was found is HistData's clock at all: five hours behind in winter, and most weekends explained by it."""
    return clock.offset_winter_minutes == WINTER_MINUTES and 2 * clock.explained_weeks > clock.weeks > 0


def _assumed(raw_ms: Ints) -> BrokerClock:
    """UTC-5 with American dates, with confidence where every rule gives these rows the same time, without where they differ."""
    rules: tuple[Literal["us", "eu", "none"], ...] = ("us", "eu", "none")
    times = [BrokerClock.named(rule, WINTER_MINUTES).to_utc(raw_ms) for rule in rules]
    is_same = all((other == times[0]).all() for other in times[1:])
    return replace(BrokerClock.named("us", WINTER_MINUTES), confidence=0.5 if is_same else 0.0)


def _read(text: bytes, name: str) -> tuple[_Form, Table]:
    lines = first_lines(text, _SEEN_LINES)
    if not lines:
        raise BadInput("path", f"{name} is empty; download it again")
    for form in FORMS:
        if form.line.fullmatch(lines[0]):
            return form, read_table(text, form.layout, form.times, name)
    known = "; ".join(f"{form.name} {form.words!r}" for form in FORMS)
    raise BadInput("path", f"{name} line 1: {lines[0][:80]!r} is no layout of HistData that is known: {known}")


def _refuse_mismatch(key: str, found: _Found, form: _Form, table: Table, request: Request) -> None:
    """`BadInput` where the rows are not what the name says, or not what was asked for."""
    if found.is_ticks is not None and found.is_ticks != form.is_ticks:
        raise BadInput("path", f"{key} is named {'T (ticks)' if found.is_ticks else 'M1'} and holds {form.name}; name it as HistData does")
    if not form.is_ticks and request.timeframe != Timeframe.M1.name:
        raise BadInput("timeframe", f"{key} holds M1 bars, not {request.timeframe}; collect M1 and resample it")
    if not found.year:
        return
    first = np.datetime64(f"{found.year:04d}-{found.month or 1:02d}", "M")
    after = first + np.timedelta64(1 if found.month else 12, "M")
    times: NDArray[np.datetime64] = table.time_ms.view("M8[ms]")
    outside = (times < first - np.timedelta64(1, "D")) | (times >= after + np.timedelta64(1, "D"))
    if outside.any():
        row = int(np.argmax(outside))
        span = f"{found.year}" + (f"-{found.month:02d}" if found.month else "")
        raise BadInput("path", f"{key} is named for {span} and holds {times[row]} in row {row + 1}; name it as HistData does")


def _files_of(root: Path, symbol: str) -> list[_Found]:
    """The symbol's files, oldest first; of two for the same time the wider one, a zip before the CSV that came out of it."""
    found, others = list[_Found](), set[str]()
    for path in listed_files(root, SUFFIXES):
        one = _named(path, symbol)
        if one is not None:
            found.append(one)
        elif name := NAME.search(path.name):
            others.add(name["symbol"].upper())
        elif path == root:
            found.append(_Found(path, None))
    if not found:
        holds = f"it holds {', '.join(sorted(others))}" if others else "none of its names is one of HistData's (DAT_ASCII_EURUSD_M1_201703.csv)"
        raise BadInput("path", f"{root} has no HistData file of {symbol}; {holds}")
    return _without_covered(found)


def _named(path: Path, symbol: str) -> _Found | None:
    """What a name says, None where it is not one of HistData's for this symbol."""
    name = NAME.search(path.name)
    if name is None or name["symbol"].upper() != symbol.upper():
        return None
    return _Found(path, name["what"].upper() == "T", int(name["year"]), int(name["month"] or 0))


def _without_covered(found: list[_Found]) -> list[_Found]:
    kept: dict[tuple[bool | None, int, int], _Found] = {}
    for one in sorted(found, key=lambda file: (file.month, file.path.suffix.lower() != ".zip", file.path.name)):
        covering = next((key for key in ((one.is_ticks, one.year, 0), (one.is_ticks, one.year, one.month)) if key in kept), None)
        if covering is None or not one.year:
            kept[(one.is_ticks, one.year, one.month)] = one
        else:
            kept[covering] = replace(kept[covering], left_out=(*kept[covering].left_out, one.path.name))
    return sorted(kept.values(), key=lambda file: file.order)


def _chosen(files: list[_Found], request: Request) -> list[_Found]:
    """The files that give what is asked for: ticks become bars of any length, M1 files are M1."""
    if request.timeframe == "tick":
        chosen = [file for file in files if file.is_ticks is not False]
    elif request.bars_of is Timeframe.M1:
        chosen = [file for file in files if not file.is_ticks] or files
    else:
        chosen = [file for file in files if file.is_ticks is not False]
    if not chosen:
        wanted = "ticks" if request.timeframe == "tick" else f"{request.timeframe} bars"
        raise BadInput("timeframe", f"the files hold M1 bars, not {wanted}; collect M1 and resample it")
    return chosen
