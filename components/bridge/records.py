"""What the mailbox remembers beside the words of `fx`, as frozen values. Times are epoch milliseconds UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from components.fx import AccountSnapshot, EntryKind, Position, Signal, SignalState

PROTOCOL = 1
MarketClock = Literal["wall", "replay"]
OrderState = Literal["placed", "partially_filled", "filled", "cancelled", "expired", "rejected"]
PositionChangeKind = Literal["opened", "modified", "closed"]


@dataclass(frozen=True)
class SymbolFacts:
    """One instrument as the broker specifies it; sizes in lots, levels in points, `filling_flags` as in SYMBOL_FILLING_MODE."""

    symbol: str
    broker_symbol: str
    digits: int
    contract_size: float
    lot_step: float
    lot_min: float
    lot_max: float
    stops_level_points: int = 0
    freeze_level_points: int = 0
    filling_flags: int = 0


@dataclass(frozen=True)
class TerminalFacts:
    """What a terminal says about itself and its account when it connects.

    `market_clock` is ``"wall"`` where ticks arrive as they happen and ``"replay"`` where recorded ticks are replayed, so that the times of
    its market say nothing about now. `leverage` 30.0 means that 30 of position value needs 1 of margin.
    """

    account_id: str
    currency: str
    leverage: float
    margin_mode: str
    is_demo: bool
    market_clock: MarketClock = "wall"
    protocol: int = PROTOCOL
    name: str = ""
    version: str = ""
    symbols: tuple[SymbolFacts, ...] = ()


@dataclass(frozen=True)
class Terminal:
    """A terminal that has said hello: its latest facts, and when it was first and last heard of (not counting ticks and polls)."""

    account_id: str
    facts: TerminalFacts
    first_seen_ms: int
    last_seen_ms: int


@dataclass(frozen=True)
class StoredSignal:
    """A signal and where it stands. `message` is the reason of the last transition, where one was given."""

    signal: Signal
    state: SignalState
    issued_ms: int
    changed_ms: int
    lease_id: str | None = None
    lease_until_ms: int | None = None
    acknowledged_ms: int | None = None
    message: str = ""


@dataclass(frozen=True)
class JournalEntry:
    """One line of a signal's journal. `by` is ``"desk"``, ``"terminal"``, ``"sweep"`` or ``"reconcile"``; equal states mark a remark."""

    number: int
    signal_id: str
    at_ms: int
    from_state: SignalState | None
    to_state: SignalState
    by: str
    note: str = ""
    report_id: str | None = None


@dataclass(frozen=True)
class PositionChange:
    """One line of the positions journal.

    `by` is the id of the signal that caused it, else ``"terminal"`` (a stop, a target, a stop-out, a reconciliation) or ``"person"``.
    `lots` is the size that was opened or closed, `time_ms` the market's time, `recorded_ms` ours; money in account currency.
    """

    number: int
    account_id: str
    ticket: int
    change: PositionChangeKind
    by: str
    time_ms: int
    recorded_ms: int
    symbol: str
    side: int
    lots: float
    price: float | None = None
    stop: float | None = None
    target: float | None = None
    profit: float = 0.0
    cost: float = 0.0
    exit_kind: int = 0
    level: float | None = None
    report_id: str | None = None
    note: str = ""


@dataclass(frozen=True)
class WorkingOrder:
    """An order at the broker: `price` is its trigger or limit price, None for a market order that waits; `placed_ms` in market time."""

    account_id: str
    ticket: int
    symbol: str
    side: int
    entry: EntryKind
    lots: float
    price: float | None
    stop: float | None
    target: float | None
    placed_ms: int
    state: OrderState = "placed"
    signal_id: str | None = None


@dataclass(frozen=True)
class DeploymentBook:
    """What belongs to one deployment at one moment; `snapshot` is the whole account's, None before the terminal has told it.

    `positions` are open and `orders` working, oldest first, each with the signal that it came from. `in_flight` are the signals of which the
    terminal may or may not have done something (pending, leased, acknowledged, unknown), in the order of their issue.
    """

    snapshot: AccountSnapshot | None
    positions: tuple[tuple[Position, Signal], ...]
    orders: tuple[tuple[WorkingOrder, Signal], ...]
    in_flight: tuple[StoredSignal, ...]


@dataclass(frozen=True)
class Reconciliation:
    """What a reconciliation changed: new states by signal id, and a sentence for every difference between the two books."""

    resolved: dict[str, SignalState]
    differences: tuple[str, ...] = ()
