"""A Strategy Tester report as values and tables, whatever kind of file it was in."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from components.backtest.reports.names import NAMES
from components.fx import BadInput, to_ms

Cell = str | float | int | None
MAX_DEALS = 500_000
MAX_CELL = 10_000
_BLANKS = dict.fromkeys(map(ord, " \t\xa0\u2007\u2009\u202f"))
_TIME = re.compile(r"(\d{4})\.(\d{1,2})\.(\d{1,2}) (\d{1,2}):(\d{2})(?::(\d{2}))?(?:\.\d+)?\Z")
_PERIOD = re.compile(r"\s*(.*?)\s*\(\s*(\d{4}\.\d{2}\.\d{2})\s*-\s*(\d{4}\.\d{2}\.\d{2})\s*\)\s*\Z", re.DOTALL)
_SERVER = re.compile(r"(.*?)\s*\(\s*\D*(\d+)\s*\)\s*\Z", re.DOTALL)
_FRAMES = {"DAILY": "D1", "WEEKLY": "W1", "MONTHLY": "MN1"}
DEAL_TYPES = {"buy": 1, "sell": -1}


@dataclass(frozen=True)
class TesterReport:
    """What a report says.

    Parameters
    ----------
    values : dict
        The 54 values under our names; combined ones such as ``"661.03 (20.91%)"`` as ``{"money": 661.03, "percent": 20.91}``; None where blank.
    inputs : dict
        The expert's inputs: name to text.
    server, build : str, int or None
        Of the terminal.
    timeframe : str
        MetaTrader's name, such as ``H1``; empty where it is not one.
    from_day, to_day : str
        The dates of the test, ISO, by the broker's clock; empty where it has none.
    deals : DataFrame
        ``row time_raw_ms deal symbol type direction volume price order commission swap profit balance comment position_id stop target``; raw
        times are the broker's wall clock read as if it were UTC; `row` counts the rows of the deals table from 1; `position_id` is −1 where
        the file has none; stop and target are those of the deal's order, NaN for none.
    orders : int
        Rows of the table of orders.
    """

    values: dict[str, Any]
    inputs: dict[str, str]
    server: str
    build: int | None
    timeframe: str
    from_day: str
    to_day: str
    deals: pd.DataFrame
    orders: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    def number(self, name: str, part: str = "") -> float | None:
        """A value of the report as a number; `part` names the half of a combined one."""
        value = self.values.get(name)
        value = value.get(part) if isinstance(value, dict) else value
        return float(value) if isinstance(value, int | float) else None


def number_of(cell: Cell, where: str) -> float | None:
    """The number in a cell, None where it is blank; thousands are spaced and the decimal sign is a dot.

    Raises
    ------
    BadInput
        Naming `where`, with the text that is no number.
    """
    if cell is None:
        return None
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        value = float(cell)
    else:
        text = str(cell).translate(_BLANKS)
        if not text:
            return None
        try:
            value = float(text) if len(text) < 40 and "_" not in text else math.nan
        except ValueError:
            value = math.nan
    if not math.isfinite(value):
        raise BadInput(where, f"{str(cell)[:60]!r} is not a number")
    return value


def value_of(cell: Cell, form: str, where: str) -> Any:
    """One of the 54 values by its form, as `names.NAMES` names it."""
    if form == "text":
        return "" if cell is None else _text(cell)
    text = "" if cell is None else str(cell).strip()
    if not text:
        return None
    if form in ("number", "percent"):
        return number_of(text.removesuffix("%") if isinstance(cell, str) else cell, where)
    first, _, second = text.partition("(")
    names = form.split()
    parts = (first.strip().removesuffix("%"), second.strip().removesuffix(")").strip().removesuffix("%"))
    return dict(zip(names, (number_of(part, where) for part in parts), strict=True))


def raw_ms_of(cell: Any, where: str) -> int:
    """Epoch milliseconds of the broker's wall clock, read as if it were UTC.

    Raises
    ------
    BadInput
        If the cell holds no time such as ``2025.01.02 11:30:00``.
    """
    if isinstance(cell, datetime):
        return to_ms(cell.replace(tzinfo=UTC))
    found = _TIME.match(str(cell).strip()) if cell is not None else None
    if found is not None:
        year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
        with suppress(ValueError):
            if 1970 <= year < 2100:
                return to_ms(datetime(year, month, day, hour, minute, second, tzinfo=UTC))
    raise BadInput(where, f"{str(cell)[:60]!r} is not a time such as 2025.01.02 11:30:00")


def build_report(
    title: Sequence[str], pairs: Sequence[Cell], inputs: Sequence[str], orders: Sequence[Sequence[Cell]], deals: Sequence[Sequence[Cell]]
) -> TesterReport:
    """A report from what was read: lines over the settings, the 54 values in order, lines of inputs, rows of 11 and of 13 cells.

    Raises
    ------
    BadInput
        Naming the value or the row that cannot be read.
    """
    if len(pairs) != len(NAMES):
        raise BadInput(
            "report", f"it has {len(pairs)} labelled values where a Strategy Tester report has {len(NAMES)}; save the report of a single test again"
        )
    values = {name: value_of(cell, form, name) for (name, form), cell in zip(NAMES, pairs, strict=True)}
    period = _PERIOD.match(values["period"])
    name = period.group(1).upper() if period else values["period"].upper()
    values["inputs"] = len(inputs)
    server, build = "", None
    for line in title:
        found = _SERVER.match(line)
        if found is not None:
            server, build = found.group(1), int(found.group(2)[:9])
    return TesterReport(
        values=values,
        inputs=inputs_of(inputs),
        server=server,
        build=build,
        timeframe=_FRAMES.get(name, name if re.fullmatch(r"(M|H)\d{1,2}|D1|W1|MN1?", name) else ""),
        from_day=period.group(2).replace(".", "-") if period else "",
        to_day=period.group(3).replace(".", "-") if period else "",
        deals=_with_orders(deal_rows(deals), orders),
        orders=len(orders),
    )


def inputs_of(lines: Sequence[str]) -> dict[str, str]:
    """The expert's inputs; lines such as ``=== Risk ===`` are headings and say nothing."""
    named = (line.partition("=") for line in lines)
    return {name.strip()[:200]: text.strip()[:1000] for name, equals, text in named if equals and name.strip()}


def deal_rows(rows: Sequence[Sequence[Cell]]) -> pd.DataFrame:
    """The table of deals, checked cell by cell; see `TesterReport`.

    Raises
    ------
    BadInput
        Naming the row and the column.
    """
    if len(rows) > MAX_DEALS:
        raise BadInput("deals", f"{len(rows):,} rows; at most {MAX_DEALS:,} are read")
    out: dict[str, list[Any]] = {name: [] for name in _DEAL_COLUMNS}
    for place, row in enumerate(rows, 1):
        where = f"deals.{place}"
        out["row"].append(place)
        out["time_raw_ms"].append(raw_ms_of(row[0], f"{where}.time"))
        for name, cell in (("deal", row[1]), ("order", row[7])):
            whole = number_of(cell, f"{where}.{name}")
            out[name].append(-1 if whole is None else int(whole))
        for name, cell in (("symbol", row[2]), ("comment", row[12])):
            out[name].append("" if cell is None else _text(cell))
        kind, direction = _text(row[3]).lower(), _text(row[4]).lower()
        out["type"].append(kind)
        out["direction"].append(direction)
        is_trade = kind in DEAL_TYPES
        if not kind or (is_trade and direction not in ("in", "out", "in/out", "out by")):
            raise BadInput(f"{where}.{'direction' if kind else 'type'}", f"{direction or kind!r} is not known; use in, out, in/out or out by")
        for name, cell in (("volume", row[5]), ("price", row[6])):
            value = number_of(cell, f"{where}.{name}")
            if is_trade and (value is None or value <= 0):
                raise BadInput(f"{where}.{name}", f"{cell!r} is not a positive number")
            out[name].append(math.nan if value is None else value)
        for name, cell in (("commission", row[8]), ("swap", row[9]), ("profit", row[10])):
            out[name].append(number_of(cell, f"{where}.{name}") or 0.0)
        balance = number_of(row[11], f"{where}.balance")
        if balance is None:
            raise BadInput(f"{where}.balance", "is blank")
        out["balance"].append(balance)
        position = number_of(row[13], f"{where}.position_id") if len(row) > 13 else None
        out["position_id"].append(-1 if position is None else int(position))
        out["stop"].append(math.nan)
        out["target"].append(math.nan)
    return pd.DataFrame({name: pd.Series(values, dtype=_DEAL_COLUMNS[name]) for name, values in out.items()})


_DEAL_COLUMNS = {
    "row": "int64", "time_raw_ms": "int64", "deal": "int64", "symbol": "str", "type": "str", "direction": "str", "volume": "float64",
    "price": "float64", "order": "int64", "commission": "float64", "swap": "float64", "profit": "float64", "balance": "float64", "comment": "str",
    "position_id": "int64", "stop": "float64", "target": "float64",
}  # fmt: skip


def _with_orders(deals: pd.DataFrame, orders: Sequence[Sequence[Cell]]) -> pd.DataFrame:
    """The deals with stop and target of their orders; deal and order numbers differ, so they are joined by the order."""
    levels: dict[int, tuple[float, float]] = {}
    for place, row in enumerate(orders, 1):
        number = number_of(row[1], f"orders.{place}.order")
        stop, target = (number_of(row[k], f"orders.{place}.{name}") for k, name in ((6, "stop"), (7, "target")))
        if number is not None:
            levels[int(number)] = (stop or math.nan, target or math.nan)
    found = np.array([levels.get(number, (math.nan, math.nan)) for number in deals["order"].tolist()], dtype=np.float64).reshape(-1, 2)
    return deals.assign(stop=found[:, 0], target=found[:, 1])


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()[:MAX_CELL]
