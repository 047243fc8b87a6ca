"""What terminals send, checked field by field, and its way to and from the words of `fx`.

An error names the field, for example ``ticks.3.bid``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from components.bridge.bars import BarRow
from components.bridge.records import SymbolFacts, TerminalFacts, WorkingOrder
from components.bridge.shapes import BarsPost, HelloPost, PositionsPost, ReportItem, ReportsPost, TickItem, TickPost
from components.bridge.ticks import TickRow
from components.fx import (
    AccountSnapshot,
    BadInput,
    Position,
    Report,
    Signal,
    SignalState,
    Tick,
    Timeframe,
    bar_close_ms,
    from_ms,
    instrument,
)

Model = TypeVar("Model", bound=BaseModel)


def read_body(model: type[Model], body: bytes) -> Model:
    """The body as a checked model.

    Raises
    ------
    BadInput
        Naming the first field that is wrong.
    """
    if not body:
        raise BadInput("body", "is empty; send a JSON object")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _bad_input(error, "body") from None


def read_query(model: type[Model], arguments: Mapping[str, str]) -> Model:
    """Arguments of the address as a checked model; raises as `read_body`."""
    try:
        return model.model_validate(dict(arguments))
    except ValidationError as error:
        raise _bad_input(error, "query") from None


def read_object(body: bytes) -> dict[str, Any]:
    """The body as any JSON object; raises as `read_body`."""
    if not body:
        raise BadInput("body", "is empty; send a JSON object")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadInput("body", f"is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadInput("body", "is not a JSON object")
    return value


def _bad_input(error: ValidationError, whole: str) -> BadInput:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = ".".join(str(part)[:64] for part in first["loc"]) or whole
    message = first["msg"]
    return BadInput(field, message[0].lower() + message[1:])


def tick_rows(posts: Sequence[TickItem], prefix: str = "ticks.{}.") -> list[TickRow]:
    """Checked ticks as rows of the tick store: symbols known, ask not below bid."""
    rows = [(post["symbol"], post["seq"], post["time_ms"], post["bid"], post["ask"]) for post in posts]
    for symbol in {row[0] for row in rows}:
        try:
            instrument(symbol)
        except BadInput as error:
            index = next(index for index, row in enumerate(rows) if row[0] == symbol)
            raise BadInput(prefix.format(index) + "symbol", error.message.removeprefix("symbol: ")) from None
    for index, (_, _, _, bid, ask) in enumerate(rows):
        if ask < bid:
            raise BadInput(prefix.format(index) + "ask", f"{ask} is below the bid {bid}")
    return rows


def tick_row(post: TickPost) -> TickRow:
    """A single checked tick as a row of the tick store."""
    item: TickItem = {"symbol": post.symbol, "time_ms": post.time_ms, "bid": post.bid, "ask": post.ask, "seq": post.seq}
    return tick_rows([item], "")[0]


def bar_rows(post: BarsPost, until_ms: int) -> list[BarRow]:
    """Checked bars as rows of the bar store, their times in UTC.

    Parameters
    ----------
    post : BarsPost
    until_ms : int
        Where the market stands, epoch milliseconds UTC: a bar that closes later is still forming.

    Raises
    ------
    BadInput
        Naming the first bar that does not open where such bars open, does not follow the one before it, has prices that cannot be, or is
        still forming.
    """
    timeframe = Timeframe[post.timeframe]
    opens = np.array([item["broker_ms"] for item in post.bars], dtype=np.int64) - post.offset_ms
    _refuse_bar(
        ~timeframe.is_aligned(opens), "broker_ms", post, f"is no time at which {post.timeframe} bars open{_ELSEWHERE.get(post.timeframe, '')}"
    )
    _refuse_bar(np.diff(opens, prepend=-(2**62)) <= 0, "broker_ms", post, "does not come after the bar before it")
    first, high, low, last = (np.array([item[name] for item in post.bars]) for name in ("open", "high", "low", "close"))
    _refuse_bar(low > high, "low", post, "is above the high")
    _refuse_bar((first > high) | (first < low), "open", post, "lies outside low and high")
    _refuse_bar((last > high) | (last < low), "close", post, "lies outside low and high")
    market = from_ms(until_ms).isoformat(timespec="seconds")
    _refuse_bar(bar_close_ms(opens, timeframe) > until_ms, "broker_ms", post, f"belongs to a bar that has not closed: the market stands at {market}")
    return [
        (open_ms, item["open"], item["high"], item["low"], item["close"], float(item["volume"]), float(item["spread_points"]))
        for open_ms, item in zip(opens.tolist(), post.bars, strict=True)
    ]


_ELSEWHERE = dict.fromkeys(("H4", "D1", "W1"), ", counted from 17:00 New York; where the broker's day begins elsewhere, send H1 or shorter")


def _refuse_bar(bad: NDArray[np.bool_], name: Literal["broker_ms", "open", "low", "close"], post: BarsPost, problem: str) -> None:
    if bad.any():
        index = int(np.argmax(bad))
        raise BadInput(f"bars.{index}.{name}", f"{post.bars[index][name]} {problem}")


def told_stretch(post: BarsPost, until_ms: int) -> tuple[int, int] | None:
    """The stretch of which the bars of a post are all; raises `BadInput` where it has no end, is empty, or reaches into what has not closed."""
    if post.from_ms is None and post.to_ms is None:
        return None
    if post.from_ms is None or post.to_ms is None:
        missing = "to_ms" if post.to_ms is None else "from_ms"
        raise BadInput(missing, "a stretch that was wanted has both a from_ms and a to_ms")
    if post.to_ms <= post.from_ms:
        raise BadInput("to_ms", f"{post.to_ms} does not come after from_ms, {post.from_ms}")
    if post.to_ms > until_ms:
        raise BadInput("to_ms", f"{post.to_ms} lies behind {until_ms}, where the market stands; tell only what has closed")
    return post.from_ms, post.to_ms


def facts_of(post: HelloPost) -> TerminalFacts:
    """The terminal's facts."""
    fields = post.model_dump(exclude={"symbols"})
    return TerminalFacts(**fields, symbols=tuple(SymbolFacts(**symbol.model_dump()) for symbol in post.symbols))


def reports_of(post: ReportsPost) -> list[Report]:
    """The reports, as words of `fx`."""
    return [_report(post.account_id, item, f"reports.{index}") for index, item in enumerate(post.reports)]


def _report(account_id: str, item: ReportItem, field: str) -> Report:
    if item.kind in ("partially_filled", "filled", "closed"):
        if item.lots <= 0:
            raise BadInput(f"{field}.lots", f"a report of kind {item.kind} says how many lots; they are more than 0")
        if item.price is None:
            raise BadInput(f"{field}.price", f"a report of kind {item.kind} gives the fill price")
    if item.kind in ("placed", "partially_filled", "filled", "closed") and item.side == 0 and item.signal_id is None:
        raise BadInput(f"{field}.side", f"a report of kind {item.kind} without a signal gives the side, -1 or 1")
    if item.kind not in ("rejected", "expired") and item.ticket is None and item.position_ticket is None and item.signal_id is None:
        raise BadInput(f"{field}.ticket", f"a report of kind {item.kind} names a ticket or a signal")
    return Report(account_id=account_id, **_ints(item.model_dump(), "ticket", "position_ticket"))


def book_of(post: PositionsPost) -> tuple[AccountSnapshot, list[Position], list[WorkingOrder], dict[str, SignalState]]:
    """Account, positions, working orders and known signals, as words of `fx`."""
    _refuse_twice("positions", [item.ticket for item in post.positions])
    _refuse_twice("orders", [item.ticket for item in post.orders])
    snapshot = AccountSnapshot(post.account_id, post.time_ms, post.currency, post.balance, post.equity, post.margin, post.leverage, post.margin_mode)
    positions = [Position(account_id=post.account_id, **_ints(item.model_dump(), "ticket")) for item in post.positions]
    orders = [WorkingOrder(account_id=post.account_id, **_ints(item.model_dump(), "ticket")) for item in post.orders]
    return snapshot, positions, orders, {known.signal_id: SignalState(known.state) for known in post.known_signals}


def _refuse_twice(name: str, tickets: Sequence[str]) -> None:
    seen: set[int] = set()
    for index, ticket in enumerate(tickets):
        if int(ticket) in seen:
            raise BadInput(f"{name}.{index}.ticket", f"{ticket} is listed twice")
        seen.add(int(ticket))


def bars_to_wire(bars: Sequence[BarRow], offset_ms: int) -> list[dict[str, Any]]:
    """Bars as JSON, their times by the broker's clock; `bar_rows` reads them back."""
    names = ("open", "high", "low", "close")
    return [
        {"broker_ms": row[0] + offset_ms, **dict(zip(names, row[1:5], strict=True)), "volume": int(row[5]), "spread_points": round(row[6])}
        for row in bars
    ]


def signal_to_wire(signal: Signal) -> dict[str, Any]:
    """A signal as JSON, its ticket as a string."""
    return _texts(asdict(signal), "ticket")


def signal_from_wire(value: Mapping[str, Any]) -> Signal:
    """The signal of `signal_to_wire`."""
    return Signal(**_ints(dict(value), "ticket"))


def tick_to_wire(tick: Tick) -> dict[str, Any]:
    """A tick as JSON."""
    return {"symbol": tick.symbol, "time_ms": tick.time_ms, "bid": tick.bid, "ask": tick.ask, "seq": tick.seq}


def report_to_wire(report: Report) -> dict[str, Any]:
    """A report as JSON; the account is named once per post."""
    return _without_account(_texts(asdict(report), "ticket", "position_ticket"))


def position_to_wire(position: Position) -> dict[str, Any]:
    """A position as JSON."""
    return _without_account(_texts(asdict(position), "ticket"))


def order_to_wire(order: WorkingOrder) -> dict[str, Any]:
    """A working order as JSON."""
    return _without_account(_texts(asdict(order), "ticket"))


def _without_account(value: dict[str, Any]) -> dict[str, Any]:
    del value["account_id"]
    return value


def _ints(value: dict[str, Any], *names: str) -> dict[str, Any]:
    return value | {name: int(value[name]) for name in names if value[name] is not None}


def _texts(value: dict[str, Any], *names: str) -> dict[str, Any]:
    return value | {name: str(value[name]) for name in names if value[name] is not None}
