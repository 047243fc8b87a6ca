"""The Strategy Tester's report as a workbook: labels in columns A, E and I with merged cells between, values in D, H and L."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from components.backtest.reports.document import Cell, TesterReport, build_report
from components.backtest.reports.names import DEAL_CELLS, INPUTS, NAMES, ORDER_CELLS, WORKBOOK_ORDER
from components.fx import BadInput

MAX_UNPACKED: Final = 512 << 20
MAX_ROWS: Final = 1_100_000
WIDTH: Final = 16
SETTINGS: Final = 8
_PAIRS: Final = ((0, 3), (4, 7), (8, 11))
Row = tuple[Any, ...]


def read_xlsx(content: bytes) -> TesterReport:
    """A report from the bytes of its XLSX file.

    Raises
    ------
    BadInput
        If it is no workbook, no Strategy Tester report, or a row cannot be read.
    """
    rows = _rows(content)
    at_deals = next((n for n, row in enumerate(rows) if _filled(row) == DEAL_CELLS and _is_heading(row)), None)
    if at_deals is None:
        raise BadInput("file", "it has no table of deals with 13 columns; it is not a Strategy Tester report, or it is cut off")
    at_orders = next((n for n, row in enumerate(rows[:at_deals]) if _filled(row) == ORDER_CELLS and _is_heading(row)), at_deals)
    title: list[str] = []
    pairs: list[Cell] = []
    inputs: list[str] = []
    for row in rows[:at_orders]:
        if _filled(row) == 1 and row[0] is not None and not pairs:
            title.append(str(row[0]))
        for label, value in ((row[a], row[b]) for a, b in _PAIRS):
            # A heading such as "Results" stands alone; so does the label of inputs where the expert has none.
            if label is not None and (value is not None or _filled(row) > 1 or 0 < len(pairs) < SETTINGS):
                pairs.append(value)
            if len(pairs) == INPUTS + 1 and value is not None:
                inputs.append(str(value))
    if len(pairs) == len(NAMES) and _is_duration(pairs[WORKBOOK_ORDER.index(51)]):
        pairs = [pairs[WORKBOOK_ORDER.index(place)] for place in range(len(NAMES))]
    orders = list(_table(rows[at_orders : at_deals if at_orders < at_deals else at_orders]))
    return build_report(title, pairs, inputs, orders, list(_table(rows[at_deals:])))


def _table(rows: list[Row]) -> Iterator[list[Cell]]:
    """The cells of a table under the places of its headings, down to the first row that does not begin with a time."""
    if not rows:
        return
    places = [place for place, cell in enumerate(rows[0]) if cell is not None]
    for row in rows[1:]:
        if row[0] is None or not (isinstance(row[0], datetime) or str(row[0])[:4].isdigit()):
            break
        yield [row[place] for place in places]


def _rows(content: bytes) -> list[Row]:
    import openpyxl

    _refuse_bombs(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
            rows: list[Row] = []
            for row in book.worksheets[0].iter_rows(values_only=True):
                if len(rows) >= MAX_ROWS:
                    raise BadInput("file", f"it has more than {MAX_ROWS:,} rows")
                cells = tuple(None if isinstance(cell, str) and not cell.strip() else cell for cell in row[:WIDTH])
                rows.append(cells + (None,) * (WIDTH - len(cells)))
            book.close()
    except BadInput:
        raise
    except Exception as error:  # openpyxl raises whatever its parts raise on a broken workbook
        raise BadInput("file", f"it is not a workbook that can be read: {type(error).__name__}: {str(error)[:120]}") from None
    return rows


def _refuse_bombs(content: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
            if unpacked > MAX_UNPACKED or len(archive.infolist()) > 1_000:
                raise BadInput(
                    "file", f"{unpacked:,} bytes in {len(archive.infolist()):,} parts when unpacked; a report has less than {MAX_UNPACKED:,}"
                )
            for part in archive.infolist():
                with archive.open(part) as file:
                    tail = b""
                    while chunk := file.read(1 << 20):
                        text = (tail + chunk).replace(b"\0", b"").upper()
                        if part.filename.lower().endswith((".xml", ".rels")) and (b"<!DOCTYPE" in text or b"<!ENTITY" in text):
                            raise BadInput("file", f"{part.filename[:60]} declares a document type or an entity; a report does not")
                        tail = chunk[-32:]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, ValueError, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
        raise BadInput("file", f"it is not a workbook: {error}") from None


def _filled(row: Row) -> int:
    return sum(cell is not None for cell in row)


def _is_heading(row: Row) -> bool:
    return row[0] is not None and not any(isinstance(cell, int | float | datetime) for cell in row) and not str(row[0])[:4].isdigit()


def _is_duration(cell: Any) -> bool:
    return str(cell).count(":") == 2
