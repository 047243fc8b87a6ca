"""What kind of files these are: found from their names and their first lines, so that nobody has to say it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.fx import BadInput, Timeframe, known_symbols
from components.pipeline.sources import histdata, mt5_csv
from components.pipeline.sources.file_piece import timeframe_of
from components.pipeline.sources.text_file import as_utf8, listed_files, open_text
from components.pipeline.sources.text_table import first_lines

SUFFIXES = (".zip", ".csv", ".csv.gz", ".txt")
READERS = ("histdata", "mt5_csv", "folder")
HEAD_BYTES = 1 << 16
FOLDER_HELP = (
    "for any other layout say what its columns are: --as folder --symbol … --timeframe … --set 'columns={\"open\": …}'; see: sequence sources folder"
)


@dataclass(frozen=True)
class Recognised:
    """How to collect files that were found: the source that reads them, and what to ask it for."""

    source: str
    symbol: str
    timeframe: str
    options: dict[str, Any] = field(default_factory=dict)


def recognise(path: Path, *, source: str | None = None, symbol: str | None = None, timeframe: str | None = None) -> Recognised:
    """Find out what a file or folder holds.

    Parameters
    ----------
    path : Path
        A file, or a folder with files of one kind.
    source, symbol, timeframe : str, optional
        What is known already; the rest is read off names and first lines.

    Raises
    ------
    NotFound
        If there is nothing at the path.
    BadInput
        If the layout is not known, or the files are of several kinds or hold several symbols and none is named.
    """
    if source not in (None, *READERS):
        raise BadInput("as", f"{source!r} reads no files that lie here; use {', '.join(READERS)}")
    wanted = Timeframe.named(timeframe).name if timeframe is not None else None
    if source == "folder":
        if symbol is None or wanted is None:
            raise BadInput("symbol" if symbol is None else "timeframe", f"must be named for files of any layout; {FOLDER_HELP}")
        return Recognised("folder", symbol.upper(), wanted, {"path": str(path)})
    files = listed_files(path, SUFFIXES)
    if not files:
        raise BadInput("path", f"{path} holds no file that ends in {', '.join(SUFFIXES)}")
    kinds, unread = _kinds_of(files, source)
    if not kinds:
        if unread is not None:
            raise unread
        raise BadInput("path", f"{files[0].name} begins like no layout that is known; {FOLDER_HELP}")
    found = sorted(set(kinds.values()))
    if len(found) > 1:
        counts = " and ".join(f"{list(kinds.values()).count(kind)} of {kind}" for kind in found)
        raise BadInput("path", f"{path} holds files of two kinds, {counts}; name one with --as, or move them apart")
    (chosen,) = found
    mine = list(kinds)
    found_symbol = symbol.upper() if symbol is not None else _one_symbol(mine, chosen)
    named = [one for one in mine if _symbol_of(one, chosen) in (found_symbol, "")] or mine
    return Recognised(chosen, found_symbol, wanted or _length_of(named[0], chosen), {"path": str(path)})


def _kinds_of(files: list[Path], source: str | None) -> tuple[dict[Path, str], BadInput | None]:
    """The files that a source reads, each with its name, and what is wrong with the first that cannot be looked into."""
    kinds, unread = dict[Path, str](), None
    for path in files:
        try:
            kind = source or _kind_of(path)
        except BadInput as error:
            unread = unread or error
            continue
        if kind:
            kinds[path] = kind
    return kinds, unread


def _kind_of(path: Path) -> str:
    """``histdata`` or ``mt5_csv``; empty where neither reads it."""
    if histdata.NAME.search(path.name):
        return "histdata"
    lines = _first_lines(path)
    if not lines:
        return ""
    if any(form.line.fullmatch(lines[0].strip()) for form in histdata.FORMS):
        return "histdata"
    head = lines[0].lower().replace("<", "").replace(">", "")
    has_times = "date" in head or head.startswith("time")
    return "mt5_csv" if has_times and ("open" in head or "bid" in head) else ""


def _first_lines(path: Path) -> list[str]:
    """The first lines of a file; of one that is not packed only its beginning is read."""
    if path.suffix.lower() in (".zip", ".gz"):
        file = open_text(path)
        return first_lines(file.text(file.members()[0]), 3)
    try:
        with path.open("rb") as stream:
            beginning = stream.read(HEAD_BYTES)
    except OSError as error:
        raise BadInput("path", f"{path} cannot be read: {error.strerror or error}") from None
    return first_lines(as_utf8(beginning, path.name), 3)


def _symbol_of(path: Path, kind: str) -> str:
    """The instrument that a file's name begins with, or that HistData's name says; empty where it says none."""
    found = histdata.NAME.search(path.name)
    if kind == "histdata" and found:
        return found["symbol"].upper()
    name = path.name.upper()
    return max((one for one in known_symbols() if name.startswith(one)), key=len, default="")


def _one_symbol(files: list[Path], kind: str) -> str:
    found = sorted({_symbol_of(one, kind) for one in files} - {""})
    if len(found) == 1:
        return found[0]
    if not found:
        raise BadInput("symbol", f"cannot be read off the name {files[0].name!r}; name it with --symbol")
    raise BadInput("symbol", f"the folder holds {', '.join(found)}; name one of them with --symbol")


def _length_of(path: Path, kind: str) -> str:
    """Timeframe of the bars in a file; M1 where it holds ticks."""
    if kind == "histdata":
        return Timeframe.M1.name
    file = open_text(path)
    table = mt5_csv.read_export(file)
    if "bid" in table.numbers:
        return Timeframe.M1.name
    found = timeframe_of(table.time_ms)
    if found is None:
        raise BadInput("timeframe", f"cannot be read off the times in {path.name}; name it with --timeframe")
    return found.name
