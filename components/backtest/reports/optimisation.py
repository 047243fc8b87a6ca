"""Optimisation results: SpreadsheetML that the terminal writes, read as a stream, without documents types and entities."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from xml.parsers import expat

import pandas as pd

from components.fx import BadInput

MAX_BYTES: Final = 2 << 30
MAX_PASSES: Final = 2_000_000
MAX_COLUMNS: Final = 300
MAX_TEXT: Final = 10_000
CHUNK: Final = 1 << 20
# The ten columns that every result has, under our names; the inputs follow.
FIXED: Final = (
    "pass", "result", "profit", "expected_payoff", "profit_factor", "recovery_factor", "sharpe_ratio", "custom", "equity_drawdown_percent", "trades",
)  # fmt: skip
# A forward test has two results where others have one.
FORWARD: Final = ("forward_result", "back_result")
HALF_CENT: Final = 0.0051
_CREATED = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})T(\d{1,2}):(\d{1,2}):(\d{1,2})Z?\Z")
_TITLE = re.compile(r"(.*?)\s+(\S+?)\s*,\s*(\S+)\s+(\d{4}\.\d{2}\.\d{2})\s*-\s*(\d{4}\.\d{2}\.\d{2})\Z", re.DOTALL)


@dataclass(frozen=True)
class Optimisation:
    """The results of an optimisation.

    Parameters
    ----------
    passes : DataFrame, shape (n, 10 + inputs)
        ``pass result profit expected_payoff profit_factor recovery_factor sharpe_ratio custom equity_drawdown_percent trades``, then the inputs
        under their own names; numbers as float64, the terminal's true and false as such, other texts as they are.
    inputs : tuple of str
    facts : dict
        ``title expert symbol timeframe from_day to_day created server deposit currency leverage`` as far as the file tells them.
    """

    passes: pd.DataFrame
    inputs: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)


class _Reader:
    """Cells by expat's events; a row is converted as soon as it is whole."""

    def __init__(self) -> None:
        self.facts: dict[str, str] = {}
        self.header: list[str] = []
        self.columns: list[list[Any]] = []
        self._row: list[tuple[str, str]] | None = None
        self._text: list[str] = []
        self._length = 0
        self._kind = ""
        self._inside = ""
        self._path: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition("|")[2]
        self._path.append(local)
        if len(self._path) > 64:
            raise BadInput("file", "its elements are nested more than 64 deep")
        if local == "Row":
            self._row = []
        elif local == "Cell" and self._row is not None:
            index = next((value for key, value in attributes.items() if key.rpartition("|")[2] == "Index"), None)
            if index is not None:
                place = int(index) if index.isdigit() and len(index) < 5 else 0
                if not len(self._row) < place <= MAX_COLUMNS:
                    raise BadInput("file", f"a cell names column {index[:20]!r} in row {self._number()}")
                self._row += [("", "String")] * (place - 1 - len(self._row))
            self._row.append(("", "String"))
        elif local == "Data" or (len(self._path) > 1 and self._path[-2] == "DocumentProperties"):
            self._inside, self._text, self._length = local, [], 0
            self._kind = next((value for key, value in attributes.items() if key.rpartition("|")[2] == "Type"), "String")

    def data(self, text: str) -> None:
        if self._inside:
            self._length += len(text)
            if self._length > MAX_TEXT:
                raise BadInput("file", f"a cell of row {self._number()} holds more than {MAX_TEXT:,} characters")
            self._text.append(text)

    def end(self, name: str) -> None:
        local = self._path.pop()
        if local == self._inside:
            text = "".join(self._text).strip()
            if local != "Data":
                self.facts[local] = text
            elif self._row:
                self._row[-1] = (text, self._kind)
            self._inside = ""
        elif local == "Row" and self._row is not None:
            self._take(self._row)
            self._row = None

    def _take(self, row: Sequence[tuple[str, str]]) -> None:
        if not self.header:
            self.header = [text for text, _ in row]
            self.columns = [[] for _ in row]
            if len(row) < len(FIXED) or len(row) > MAX_COLUMNS:
                raise BadInput("file", f"its table has {len(row)} columns; an optimisation has {len(FIXED)} and its inputs")
            return
        if len(row) != len(self.header):
            raise BadInput(f"passes.{self._number()}", f"{len(row)} cells under {len(self.header)} headings")
        if len(self.columns[0]) >= MAX_PASSES:
            raise BadInput("passes", f"more than {MAX_PASSES:,}")
        for place, (column, (text, kind)) in enumerate(zip(self.columns, row, strict=True)):
            column.append(self._value(text, kind, place))

    def _value(self, text: str, kind: str, place: int) -> Any:
        if kind == "Number" or (place < len(FIXED) and text):
            try:
                number = float(text)
            except ValueError:
                number = math.nan
            if not math.isfinite(number) and not text.lower().lstrip("-").startswith("inf"):
                raise BadInput(f"passes.{self._number()}.{self.header[place][:40]}", f"{text[:60]!r} is not a number")
            return number
        return {"true": True, "false": False}.get(text, text)

    def _number(self) -> int:
        return len(self.columns[0]) + 1 if self.columns else 1


def read_optimisation(content: bytes) -> Optimisation:
    """The results of an optimisation from the bytes of its XML file.

    Raises
    ------
    BadInput
        If it declares a document type or entities, is not whole, or is no optimisation; where a cell is wrong, naming row and column.
    """
    if len(content) > MAX_BYTES:
        raise BadInput("file", f"{len(content):,} bytes; at most {MAX_BYTES:,} are read")
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator="|")
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = reader.start, reader.end, reader.data
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = parser.UnparsedEntityDeclHandler = _refuse
    parser.buffer_text = True
    view = memoryview(content)
    try:
        for start in range(0, len(view), CHUNK):
            parser.Parse(bytes(view[start : start + CHUNK]), False)
        parser.Parse(b"", True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise BadInput("file", f"it is not whole XML: {error}") from None
    if not reader.header:
        raise BadInput("file", "it has no table of passes; it is no optimisation result")
    is_forward = [name.lower().replace(" ", "_") for name in reader.header[1:3]] == list(FORWARD)
    fixed = (FIXED[0], *FORWARD, *FIXED[2:]) if is_forward else FIXED
    names, inputs = list(fixed), []
    for name in reader.header[len(fixed) :]:
        clean = name[:200] or "input"
        while clean in names:
            clean += "_"
        names.append(clean)
        inputs.append(clean)
    columns = {name: _column(values) for name, values in zip(names, reader.columns, strict=True)}
    if not all(isinstance(value, float) and value == int(value) for name in ("pass", "trades") for value in columns[name]):
        raise BadInput("passes", "numbers of passes or trades are not whole; the columns are not where they belong")
    passes = pd.DataFrame(columns).astype({"pass": "int64", "trades": "int64"})
    if is_forward:
        passes.insert(1, "result", passes["forward_result"])
    _check_payoff(passes)
    if passes["pass"].duplicated().any():
        twice = int(passes["pass"][passes["pass"].duplicated()].iloc[0])
        raise BadInput("passes", f"pass {twice} is there twice")
    return Optimisation(passes, tuple(inputs), _facts(reader.facts))


def _check_payoff(passes: pd.DataFrame) -> None:
    """The expected payoff is the profit by trade, to the digits shown."""
    made = passes["expected_payoff"] * passes["trades"]
    wrong = passes[(made - passes["profit"]).abs() > HALF_CENT + passes["trades"] * 1e-6]
    if len(wrong):
        row = wrong.iloc[0]
        raise BadInput(
            "expected_payoff",
            f"pass {int(row['pass'])} says {row['expected_payoff']:.6f}, its profit of {row['profit']:.2f} by {int(row['trades'])} trades makes "
            f"{row['profit'] / row['trades'] if row['trades'] else 0.0:.6f}; the file was changed, or its columns are not where they belong",
        )


def _column(values: list[Any]) -> pd.Series:
    if all(isinstance(value, bool) for value in values):
        return pd.Series(values, dtype=bool)
    if all(isinstance(value, float) for value in values):
        return pd.Series(values, dtype="float64")
    return pd.Series([str(value) for value in values], dtype="str")


def _facts(found: dict[str, str]) -> dict[str, Any]:
    title = _TITLE.match(found.get("Title", ""))
    parts = [part.replace(".", "-") if n > 2 else part for n, part in enumerate(title.groups())] if title else [""] * 5
    facts: dict[str, Any] = {"title": found.get("Title", "")[:300]}
    facts |= dict(zip(("expert", "symbol", "timeframe", "from_day", "to_day"), parts, strict=True))
    created = _CREATED.match(found.get("Created", ""))
    if created is not None:  # the terminal does not write the hour with two digits
        year, month, day, hour, minute, second = (int(part) for part in created.groups())
        facts["created"] = f"{year}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}Z"
    deposit, _, currency = found.get("Deposit", "").partition(" ")
    for name, text in (("deposit", deposit), ("leverage", found.get("Leverage", "")), ("build", found.get("Build", ""))):
        if re.fullmatch(r"\d{1,15}(\.\d+)?", text):
            facts[name] = float(text)
    return facts | {"currency": currency[:3], "server": found.get("Server", "")[:200]}


def _refuse(*_: Any) -> None:
    raise BadInput("file", "it declares a document type or an entity; an optimisation result does not, and none is followed")
