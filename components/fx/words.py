"""The words along the way from a price to an outcome, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from components.fx.errors import BadInput

SIGNAL_ID_LENGTH = 26
SignalAction = Literal["open", "close", "modify", "cancel"]
EntryKind = Literal["market", "stop", "limit"]


@dataclass(frozen=True)
class Tick:
    """One price change: `time_ms` in epoch milliseconds UTC, bid and ask in profit currency; `seq` numbers the sender's ticks of a symbol."""

    symbol: str
    time_ms: int
    bid: float
    ask: float
    seq: int = 0


class SignalState(Enum):
    """The life of a signal. `unknown` is never pending again until that account's terminal has reconciled."""

    PENDING = "pending"
    LEASED = "leased"
    ACKNOWLEDGED = "acknowledged"
    PLACED = "placed"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @property
    def is_final(self) -> bool:
        """Whether nothing more can happen to the signal."""
        return self in (SignalState.FILLED, SignalState.REJECTED, SignalState.EXPIRED, SignalState.CANCELLED)


@dataclass(frozen=True)
class Signal:
    """An approved instruction to a terminal.

    Prices are in profit currency and carry the symbol's digits, `lots` in lots, times in epoch milliseconds UTC of the account's market
    clock. `ticket` is the position (close, modify) or the working order (cancel) that the signal speaks about. `stop_distance` and
    `target_distance` are measured from the fill and apply where `stop` and `target` are None.
    """

    id: str
    account_id: str
    deployment_id: str
    action: SignalAction
    symbol: str
    side: int = 0
    entry: EntryKind = "market"
    entry_price: float | None = None
    stop: float | None = None
    target: float | None = None
    stop_distance: float | None = None
    target_distance: float | None = None
    trail_distance: float | None = None
    lots: float = 0.0
    ticket: int | None = None
    exit_kind: int = 0
    deliver_by_ms: int = 0
    order_expires_at_ms: int | None = None
    max_drift_points: float | None = None
    strategy: str = ""
    params: str = "{}"
    model_id: str | None = None
    dataset_id: str | None = None
    bar_ms: int = 0
    reason: int = 0
    reason_text: str = ""
    created_ms: int = 0

    def __post_init__(self) -> None:
        if not 0 < len(self.id) <= SIGNAL_ID_LENGTH:
            raise BadInput("id", f"{self.id!r} has {len(self.id)} characters; 1 to {SIGNAL_ID_LENGTH} fit an MT5 comment")


ReportKind = Literal["placed", "partially_filled", "filled", "modified", "cancelled", "rejected", "expired", "closed"]


@dataclass(frozen=True)
class Report:
    """What the terminal says it did.

    `kind` ``closed`` reports a position that ended without a signal of ours at that moment (its stop, its target, a stop-out or a person).
    `ticket` is the order's ticket, `position_ticket` the position's; `price` the fill price; `profit` and `cost` in account currency;
    `level` the stop or target price that was hit.
    """

    id: str
    account_id: str
    kind: ReportKind
    time_ms: int
    symbol: str
    signal_id: str | None = None
    ticket: int | None = None
    position_ticket: int | None = None
    side: int = 0
    lots: float = 0.0
    price: float | None = None
    stop: float | None = None
    target: float | None = None
    profit: float = 0.0
    cost: float = 0.0
    exit_kind: int = 0
    level: float | None = None
    retcode: int = 0
    message: str = ""


@dataclass(frozen=True)
class Position:
    """An open position: `ticket` of the order that opened it, side +1 or −1, prices, size in lots, profit in account currency."""

    ticket: int
    account_id: str
    symbol: str
    side: int
    lots: float
    entry: float
    stop: float | None
    target: float | None
    opened_ms: int
    signal_id: str | None = None
    profit: float = 0.0


@dataclass(frozen=True)
class AccountSnapshot:
    """The account as the terminal saw it at `time_ms`; money in account currency."""

    account_id: str
    time_ms: int
    currency: str
    balance: float
    equity: float
    margin: float
    leverage: float
    margin_mode: str
