"""The shapes of what terminals send: the checks of the wire, and the document of the API, are made from these models.

Numbers are JSON numbers with every bit of the double; tickets are strings, because MQL5 reads large integers from JSON as doubles. Unknown
fields, text for numbers, NaN and infinity are refused.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from components.bridge.records import PROTOCOL, MarketClock
from components.bridge.wanted import BARS_AT_ONCE
from components.fx import BadInput, EntryKind, ReportKind, instrument

TICKS_AT_ONCE = 5_000
REPORTS_AT_ONCE = 100
ROWS_AT_ONCE = 5_000
KNOWN_AT_ONCE = 100_000
LONGEST_WAIT_MS = 10_000
_YEAR_2100_MS = 4_102_444_800_000
_LARGEST_TICKET = 2**63 - 1


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
OffsetMs = Annotated[int, Field(ge=-14 * 3_600_000, le=14 * 3_600_000, multiple_of=900_000, description="the broker's clock less UTC, milliseconds")]
TimeframeName = Literal["M1", "M5", "M15", "M30", "H1", "H4", "D1", "W1"]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
MarginMode = Literal["hedging", "netting"]


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
    offset_ms: OffsetMs | None = None


class TicksPost(Sent):
    """Ticks of an account; with `sync` the answer waits until the desk has processed them. `offset_ms` is what the terminal took off its
    broker's times, one for all ticks of a post; it is kept in versions."""

    account_id: AccountId
    ticks: Annotated[list[TickItem], Field(min_length=1, max_length=TICKS_AT_ONCE)]
    sync: bool = False
    offset_ms: OffsetMs | None = None


class BarItem(TypedDict):
    """One closed bar as the terminal has it: its open time by the broker's clock, bid prices, tick volume, spread in points."""

    broker_ms: Annotated[int, Field(gt=0, lt=_YEAR_2100_MS, description="open time by the broker's clock, as if it were UTC, epoch milliseconds")]
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Annotated[int, Field(ge=0, le=10**12)]
    spread_points: Count


BarItem.__pydantic_config__ = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)  # type: ignore[attr-defined]


class BarsPost(Sent):
    """Closed bars in order of time. One offset holds for all: bars from before a change of the broker's clock go into a post of their own.

    `from_ms` and `to_ms` (UTC) repeat a stretch that was wanted, once these are all bars that the terminal has of it; it is not asked for again.
    """

    account_id: AccountId
    symbol: Symbol
    timeframe: TimeframeName
    offset_ms: OffsetMs
    bars: Annotated[list[BarItem], Field(max_length=BARS_AT_ONCE)]
    from_ms: TimeMs | None = None
    to_ms: TimeMs | None = None


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
    known_signals: Annotated[list[KnownSignal], Field(max_length=KNOWN_AT_ONCE)] = []
    reconcile: bool = False


class ComparePost(Sent):
    """Which stored backtests to compare, and by what."""

    ids: Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=128)]], Field(min_length=2, max_length=50)]
    criterion: Literal["sharpe", "return", "drawdown", "profit_factor", "calmar", "dsr"] = "sharpe"


class FeedQuery(Query):
    """One symbol of an account."""

    account_id: AccountId
    symbol: Symbol


class WantedQuery(FeedQuery):
    """One symbol of an account; without a timeframe, every one that is wished for."""

    timeframe: TimeframeName | None = None


class FeedsQuery(Query):
    """One account; one symbol of it where one is named."""

    account_id: AccountId
    symbol: Symbol | None = None


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
