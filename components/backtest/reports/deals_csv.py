"""Deals as the Expert Advisor writes them itself, with the position that each belongs to; and the recognition of such a file."""

from __future__ import annotations

import csv
from typing import Final

from components.backtest.reports.document import MAX_CELL, MAX_DEALS, TesterReport, deal_rows
from components.backtest.reports.html import text_of
from components.backtest.reports.names import NAMES
from components.fx import BadInput

DEALS_HEADER: Final = (
    "time", "deal", "position_id", "order", "symbol", "type", "direction", "volume", "price", "commission", "swap", "profit", "balance", "comment",
)  # fmt: skip
# Where the columns of the file stand in a row as `deal_rows` reads it.
_PLACES: Final = (
    "time",
    "deal",
    "symbol",
    "type",
    "direction",
    "volume",
    "price",
    "order",
    "commission",
    "swap",
    "profit",
    "balance",
    "comment",
    "position_id",
)


def is_deals_csv(text: str) -> bool:
    """Whether a text begins with the header of a deals file."""
    first = text.lstrip("\ufeff").split("\n", 1)[0].strip().lower()
    names = {name.strip().strip('"') for name in first.split(",")}
    return {"deal", "direction", "volume", "balance"} <= names


def read_deals_csv(content: bytes) -> TesterReport:
    """A report from the bytes of a deals file.

    The header is ``time,deal,position_id,order,symbol,type,direction,volume,price,commission,swap,profit,balance,comment``, in any order; times are
    the broker's (``2025.01.02 11:30:00``); the first row is the balance with the deposit, as in the terminal's history.

    Raises
    ------
    BadInput
        Naming the missing column, or the row and column that is wrong.
    """
    csv.field_size_limit(MAX_CELL * 10)
    text = text_of(content)
    if "\0" in text:
        raise BadInput("file", "it has zero bytes in it; it is no CSV file")
    try:
        lines = csv.reader(text.lstrip("\ufeff").splitlines())
        header = [name.strip().lower() for name in next(lines, [])]
        missing = [name for name in DEALS_HEADER if name not in header]
        if missing:
            raise BadInput(missing[0], f"the file has no such column; its header is {','.join(DEALS_HEADER)}")
        places = [header.index(name) for name in _PLACES]
        rows: list[list[str]] = []
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            if len(line) != len(header):
                raise BadInput(f"deals.{number}", f"{len(line)} cells under {len(header)} headings; the file may be cut off")
            if len(rows) >= MAX_DEALS:
                raise BadInput("deals", f"more than {MAX_DEALS:,} rows")
            rows.append([line[place] for place in places])
    except csv.Error as error:
        raise BadInput("file", f"it is not CSV: {error}") from None
    deals = deal_rows(rows)
    symbols = [name for name in deals["symbol"].unique() if name]
    values: dict[str, object] = dict.fromkeys((name for name, _ in NAMES), None)
    values |= {
        "expert": "",
        "symbol": symbols[0] if symbols else "",
        "inputs": 0,
        "initial_deposit": float(deals["balance"].iloc[0]) if len(deals) else None,
    }
    return TesterReport(values=values, inputs={}, server="", build=None, timeframe="", from_day="", to_day="", deals=deals)
