"""The Strategy Tester's HTML report, read by position: its labels are in any language, their order is not."""

from __future__ import annotations

import codecs
from html.parser import HTMLParser
from typing import Final

from components.backtest.reports.document import MAX_CELL, TesterReport, build_report
from components.backtest.reports.names import DEAL_CELLS, INPUTS, ORDER_CELLS
from components.fx import BadInput

MAX_BYTES: Final = 256 << 20
# A report has one comment and one doctype; a parser can be kept busy for hours with thousands of unclosed ones.
MAX_DECLARATIONS: Final = 200
Row = list[str]


def text_of(content: bytes) -> str:
    """The text of a file by its byte order mark; UTF-8 without one, UTF-16 where every other byte is zero.

    Raises
    ------
    BadInput
        If it is neither.
    """
    marks = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
    encoding = next((name for mark, name in marks if content.startswith(mark)), None)
    if encoding is None:
        head = content[:400]
        pairs = {"utf-16-le": head[1::2].count(0), "utf-16-be": head[0::2].count(0)}
        likely = max(pairs, key=lambda name: pairs[name])
        encoding = likely if pairs[likely] > len(head) // 4 else "utf-8"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadInput("file", f"it is not text in {encoding}: byte {error.start:,} of {len(content):,}") from None


def read_html(content: bytes) -> TesterReport:
    """A report from the bytes of its HTML file.

    Parameters
    ----------
    content : bytes
        As the terminal wrote it (UTF-16 with a byte order mark), or saved again as UTF-8.

    Raises
    ------
    BadInput
        If it is no Strategy Tester report, or a row cannot be read.
    """
    if len(content) > MAX_BYTES:
        raise BadInput("file", f"{len(content):,} bytes; at most {MAX_BYTES:,} are read")
    text = text_of(content)
    if text.count("<!") > MAX_DECLARATIONS:
        raise BadInput("file", f"{text.count('<!'):,} comments or declarations; a Strategy Tester report has two")
    rows = _rows(text)
    at_deals = next((n for n, row in enumerate(rows) if len(row) == DEAL_CELLS and all(row[:4])), None)
    if at_deals is None:
        raise BadInput("file", "it has no table of deals with 13 columns; it is not a Strategy Tester report, or it is cut off")
    at_orders = next((n for n, row in enumerate(rows[:at_deals]) if len(row) == ORDER_CELLS and all(row[:4])), at_deals)
    title: list[str] = []
    pairs: list[str] = []
    inputs: list[str] = []
    for row in rows[:at_orders]:
        if len(row) == 1:
            if not pairs and row[0]:
                title.append(row[0])
            continue
        cells = row[len(row) % 2 :]
        for label, value in zip(cells[::2], cells[1::2], strict=True):
            if label:
                pairs.append(value)
            if len(pairs) == INPUTS + 1 and value:
                inputs.append(value)
    orders = [row for row in rows[at_orders + 1 : at_deals] if len(row) == ORDER_CELLS]
    deals: list[Row] = []
    for row in rows[at_deals + 1 :]:
        if len(row) != DEAL_CELLS:
            break
        if any(row):
            deals.append(row)
    return build_report(title, pairs, inputs, orders, deals)


def _rows(text: str) -> list[Row]:
    parser = _Table()
    try:
        # Without close(): what a cut-off file leaves unfinished is left unread, and is not tried again character by character.
        parser.feed(text)
    except (AssertionError, ValueError, RecursionError) as error:
        raise BadInput("file", f"it is not HTML: {error}") from None
    return parser.rows


class _Table(HTMLParser):
    """Rows of cells' texts. Cells and rows may be left open, as HTML allows."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[Row] = []
        self._cell: list[str] | None = None

    def updatepos(self, i: int, j: int) -> int:
        """Line numbers are not kept: nobody asks for them, and counting them takes a tenth of the time."""
        return j

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A row or a cell begins."""
        if tag == "tr":
            self._end_cell()
            self.rows.append([])
        elif tag in ("td", "th"):
            self._end_cell()
            if self.rows:
                self._cell = []

    def handle_endtag(self, tag: str) -> None:
        """A cell, a row or the table ends."""
        if tag in ("td", "th", "tr", "table"):
            self._end_cell()

    def handle_data(self, data: str) -> None:
        """Text of a cell."""
        if self._cell is not None:
            self._cell.append(data)

    def _end_cell(self) -> None:
        if self._cell is not None:
            text = "".join(self._cell).strip()
            if len(text) > MAX_CELL:
                raise BadInput("file", f"a cell holds {len(text):,} characters; a report's hold less than {MAX_CELL:,}")
            self.rows[-1].append(text)
            self._cell = None
