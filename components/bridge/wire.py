"""What terminals send, checked field by field, and its way to and from the words of `fx`.

Numbers are JSON numbers with every bit of the double; tickets are strings, because MQL5 reads large integers from JSON as doubles. Unknown
fields, text for numbers, NaN and infinity are refused; an error names the field, for example ``ticks.3.bid``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from components.bridge.records import PROTOCOL, MarketClock, SymbolFacts, TerminalFacts, WorkingOrder
from components.bridge.ticks import TickRow
from components.fx import AccountSnapshot, BadInput, EntryKind, Position, Report, ReportKind, Signal, SignalState, Tick, instrument

TICKS_AT_ONCE = 5_000
REPORTS_AT_ONCE = 100
ROWS_AT_ONCE = 5_000
LONGEST_WAIT_MS = 10_000
_YEAR_2100_MS = 4_102_444_800_000
_LARGEST_TICKET = 2**63 - 1

Model = TypeVar("Model", bound=BaseModel)


def _known_symbol(symbol: str) -> str:
    try:
        instrument(symbol)
    except BadInput as error:
        raise PydanticCustomError("unknown_symbol", "{reason}", {"reason": error.message.removeprefix("symbol: ")}) from None
    return symbol


def _is_ticket(text: str) -> str:
    if int(text) > _LARGEST_TICKET:
        raise PydanticCustomError("ticket", "is larger than a ticket can be")
    return text


AccountId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
SentId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
SignalId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,26}$")]
Symbol = Annotated[str, StringConstraints(min_length=1, max_length=32), AfterValidator(_known_symbol)]
Ticket = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,19}$"), AfterValidator(_is_ticket), Field(description="a ticket, as a string of digits")]
TimeMs = Annotated[int, Field(gt=0, lt=_YEAR_2100_MS, description="epoch milliseconds UTC")]
Price = Annotated[float, Field(gt=0, lt=1e7)]
Lots = Annotated[float, Field(ge=0, le=1e6)]
Money = Annotated[float, Field(gt=-1e15, lt=1e15)]
Side = Literal[-1, 0, 1]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Seq = Annotated[int, Field(ge=1, le=2**53)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
MarginMode = Literal["hedging", "netting"]
_KNOWN_STATES = ("acknowledged", "placed", "partially_filled", "filled", "rejected", "expired", "cancelled")


class Sent(BaseModel):
    """Strict: no field but these, no text for numbers, no NaN."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


class Query(BaseModel):
    """Arguments in the address."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SymbolPost(Sent):
    """One instrument as the broker specifies it."""

    symbol: Symbol
    broker_symbol: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    digits: Annotated[int, Field(ge=0, le=8)]
    contract_size: Annotated[float, Field(gt=0, le=1e9)]
    lot_step: Annotated[float, Field(gt=0, le=1e6)]
    lot_min: Annotated[float, Field(gt=0, le=1e6)]
    lot_max: Annotated[float, Field(gt=0, le=1e9)]
    stops_level_points: Count = 0
    freeze_level_points: Count = 0
    filling_flags: Count = 0


class HelloPost(Sent):
    """A terminal and its account."""

    account_id: AccountId
    protocol: Annotated[int, Field(ge=0, le=1_000_000, description=f"{PROTOCOL} in this version")]
    currency: Currency
    leverage: Annotated[float, Field(gt=0, le=100_000)]
    margin_mode: MarginMode
    is_demo: bool
    market_clock: MarketClock = "wall"
    name: Annotated[str, StringConstraints(max_length=128)] = ""
    version: Annotated[str, StringConstraints(max_length=64)] = ""
    symbols: Annotated[list[SymbolPost], Field(max_length=1_000)] = []


class TickItem(TypedDict):
    """One tick; `seq` numbers the sender's ticks of a symbol from 1."""

    symbol: Annotated[str, StringConstraints(min_length=1, max_length=32)]
    time_ms: TimeMs
    bid: Price
    ask: Price
    seq: Seq


# Assigned, not declared in the class, where it would count as a key.
TickItem.__pydantic_config__ = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)  # type: ignore[attr-defined]


class TickPost(Sent):
    """One tick of an account."""

    account_id: AccountId
    symbol: Annotated[str, StringConstraints(min_length=1, max_length=32)]
    time_ms: TimeMs
    bid: Price
    ask: Price
    seq: Seq
    sync: bool = False


class TicksPost(Sent):
    """Ticks of an account; with `sync` the answer waits until the desk has processed them."""

    account_id: AccountId
    ticks: Annotated[list[TickItem], Field(min_length=1, max_length=TICKS_AT_ONCE)]
    sync: bool = False


class AcknowledgePost(Sent):
    """Which account's terminal acknowledges."""

    account_id: AccountId


class ReportItem(Sent):
    """What the terminal did. A fill or closing gives its own lots (they add up), its price, and the position's or order's ticket."""

    id: SentId
    kind: ReportKind
    time_ms: TimeMs
    symbol: Symbol
    signal_id: SignalId | None = None
    ticket: Ticket | None = None
    position_ticket: Ticket | None = None
    side: Side = 0
    lots: Lots = 0.0
    price: Price | None = None
    stop: Price | None = None
    target: Price | None = None
    profit: Money = 0.0
    cost: Money = 0.0
    exit_kind: Annotated[int, Field(ge=0, le=7)] = 0
    level: Price | None = None
    retcode: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    message: Annotated[str, StringConstraints(max_length=500)] = ""


class ReportsPost(Sent):
    """Reports of an account, in the order in which things happened; all are recorded or none."""

    account_id: AccountId
    reports: Annotated[list[ReportItem], Field(min_length=1, max_length=REPORTS_AT_ONCE)]


class PositionItem(Sent):
    """An open position."""

    ticket: Ticket
    symbol: Symbol
    side: Literal[-1, 1]
    lots: Annotated[float, Field(gt=0, le=1e6)]
    entry: Price
    stop: Price | None = None
    target: Price | None = None
    opened_ms: TimeMs
    signal_id: SignalId | None = None
    profit: Money = 0.0


class OrderItem(Sent):
    """A working order."""

    ticket: Ticket
    symbol: Symbol
    side: Literal[-1, 1]
    entry: EntryKind
    lots: Annotated[float, Field(gt=0, le=1e6)]
    price: Price | None = None
    stop: Price | None = None
    target: Price | None = None
    placed_ms: TimeMs
    state: Literal["placed", "partially_filled"] = "placed"
    signal_id: SignalId | None = None


class KnownSignal(Sent):
    """A signal that the terminal has written down, and where it stands there."""

    signal_id: SignalId
    state: Literal["acknowledged", "placed", "partially_filled", "filled", "rejected", "expired", "cancelled"]


class PositionsPost(Sent):
    """The account and its whole book. A reconciliation lists every signal that the terminal knows and that may not be finished."""

    account_id: AccountId
    time_ms: TimeMs
    currency: Currency
    balance: Money
    equity: Money
    margin: Annotated[float, Field(ge=0, lt=1e15)]
    leverage: Annotated[float, Field(gt=0, le=100_000)]
    margin_mode: MarginMode
    positions: Annotated[list[PositionItem], Field(max_length=ROWS_AT_ONCE)] = []
    orders: Annotated[list[OrderItem], Field(max_length=ROWS_AT_ONCE)] = []
    known_signals: Annotated[list[KnownSignal], Field(max_length=ROWS_AT_ONCE)] = []
    reconcile: bool = False


class ComparePost(Sent):
    """Which stored backtests to compare, and by what."""

    ids: Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=128)]], Field(min_length=2, max_length=50)]
    criterion: Literal["sharpe", "return", "drawdown"] = "sharpe"


class FeedQuery(Query):
    """One symbol of an account."""

    account_id: AccountId
    symbol: Symbol


class WatermarkQuery(FeedQuery):
    """How far the desk is, and how long to wait for it."""

    after_seq: Annotated[int, Field(ge=0, le=2**53)] = 0
    wait_ms: Annotated[int, Field(ge=0, le=LONGEST_WAIT_MS)] = 0


class PendingQuery(Query):
    """A lease: the same `lease_id` gives the same signals again."""

    account_id: AccountId
    lease_id: SentId
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class SignalsQuery(Query):
    """Which signals to list."""

    account_id: AccountId | None = None
    state: (
        Literal["pending", "leased", "unknown", "acknowledged", "placed", "partially_filled", "filled", "rejected", "expired", "cancelled"] | None
    ) = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100


class RunsQuery(Query):
    """How many stored backtests to list."""

    limit: Annotated[int, Field(ge=1, le=1_000)] = 100


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
