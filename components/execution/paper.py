"""The paper broker: an account that fills ticks with the step's own compiled rules.

It stands where the real broker stands in the simulated terminal. It takes signals, matches ticks, and says what happened.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from components.execution.advance import advance
from components.execution.arrays import Book, Floats, MarketArrays, new_book, no_events, spec_rows
from components.execution.birth import apply_request
from components.execution.costs import Costs
from components.fx import AccountSpec, Action, BadInput, BrokerDay, EventKind, ExitKind, Instrument, OrderKind, Signal
from components.fx import book as b

_ACTIONS = {"open": Action.OPEN, "close": Action.CLOSE, "modify": Action.MODIFY, "cancel": Action.CANCEL}
_KINDS = {"market": OrderKind.MARKET, "stop": OrderKind.STOP, "limit": OrderKind.LIMIT}
_MT5 = 0


@dataclass(frozen=True)
class BrokerEvent:
    """What the broker did. `tick` is the index in the batch that was matched, −1 when a request was taken; prices NaN where there is none.

    A closing's net is `profit` − `cost` + `swap`, in account currency.
    """

    kind: EventKind
    tick: int
    symbol: str
    ticket: int
    order_ticket: int
    side: int
    lots: float
    price: float
    profit: float
    cost: float
    swap: float
    exit_kind: ExitKind
    level: float
    stop: float
    target: float


def request_row(signal: Signal, symbol_index: int) -> Floats:
    """The request that a signal stands for, shape (REQUEST_FIELDS,)."""

    def number(value: float | None) -> float:
        return np.nan if value is None else float(value)

    row = np.full(b.REQUEST_FIELDS, np.nan)
    row[b.R_ACTION] = _ACTIONS[signal.action]
    row[b.R_SYMBOL] = symbol_index
    row[b.R_SIDE] = signal.side
    row[b.R_KIND] = _KINDS[signal.entry]
    row[b.R_LOTS] = signal.lots if signal.lots > 0 else np.nan
    row[b.R_PRICE] = number(signal.entry_price)
    row[b.R_STOP] = number(signal.stop)
    row[b.R_TARGET] = number(signal.target)
    row[b.R_STOP_DISTANCE] = number(signal.stop_distance)
    row[b.R_TARGET_DISTANCE] = number(signal.target_distance)
    row[b.R_TRAIL] = number(signal.trail_distance)
    row[b.R_TICKET] = number(signal.ticket)
    row[b.R_BAR] = 0.0
    row[b.R_EXPIRY_BARS] = 0.0
    row[b.R_REASON] = signal.reason
    row[b.R_REFUSED] = 0.0
    row[b.R_EXIT] = signal.exit_kind
    return row


class PaperBroker:
    """One simulated account.

    Parameters
    ----------
    spec : AccountSpec
        The account; hedging only.
    instruments : sequence of Instrument
        What can be traded on it.
    costs : Costs, optional
        Slippage in points, commission and swap; the spread comes with the ticks.
    capacity : int
        Positions and orders that one symbol can hold.
    """

    def __init__(self, spec: AccountSpec, instruments: Sequence[Instrument], costs: Costs | None = None, *, capacity: int = 8) -> None:
        if spec.margin_mode != "hedging":
            raise BadInput("margin_mode", "the paper broker simulates hedging accounts only")
        self.spec = spec
        self.instruments = tuple(instruments)
        self.costs = costs or Costs()
        self.book: Book = new_book(spec, len(self.instruments), capacity=capacity)
        self._index = {item.symbol: i for i, item in enumerate(self.instruments)}
        self._specs = spec_rows(list(self.instruments), self.costs)
        self._slip = self.costs.fixed_slip(list(self.instruments))
        self._events = no_events(4 * len(self.instruments) * capacity + 64)
        self._rows = 0

    def apply(self, signal: Signal) -> BrokerEvent:
        """Take one signal; the event says whether it was placed, done or refused.

        Raises
        ------
        BadInput
            If the account does not trade the symbol.
        """
        if signal.symbol not in self._index:
            raise BadInput("symbol", f"{signal.symbol!r} is not traded on this account; it trades {', '.join(self._index)}")
        row = request_row(signal, self._index[signal.symbol])
        count = apply_request(self._rows, row, *self.book, _MT5, self._events, 0)
        return self._event(self._events[count - 1], -1)

    def match(self, symbol: str, time_ms: NDArray[np.int64], bid: Floats, ask: Floats, rate: Floats | float = 1.0) -> list[BrokerEvent]:
        """Let ticks of one symbol meet the book, in order.

        Parameters
        ----------
        symbol : str
        time_ms : int64, shape (n,)
            Epoch milliseconds UTC.
        bid, ask : float64, shape (n,)
        rate : float or float64 array, shape (n,)
            Account units per unit of the symbol's profit currency, known at each tick.

        Returns
        -------
        list of BrokerEvent
            In the order in which they happened.
        """
        rows, symbols, s = len(bid), len(self.instruments), self._index[symbol]
        if rows == 0:
            return []
        price = np.full((rows, symbols), np.nan)
        price[:, s] = bid
        spread = np.zeros((rows, symbols))
        spread[:, s] = np.asarray(ask) - bid
        days = np.array([(BrokerDay().day_of(int(time)) - _DAY_ZERO).days for time in time_ms], dtype=np.int64)
        rates = np.ones((rows, symbols))
        rates[:, s] = rate
        market = MarketArrays(price, price, price, price, spread, rates, days, np.empty((0, 1), dtype=np.int64), self._slip)
        done: list[BrokerEvent] = []
        first = 0
        while first < rows:
            first, count = _match_rows(first, rows, self._rows, market, *self.book, self._specs, self.costs.as_row(), _MT5, False, 0, self._events)
            done.extend(self._event(row, int(row[b.E_ROW]) - self._rows) for row in self._events[:count])
        self._rows += rows
        return done

    def positions(self, symbol: str) -> Floats:
        """Open positions of a symbol, oldest first, shape (k, POSITION_FIELDS)."""
        s = self._index[symbol]
        return self.book.positions[s, : self.book.counts[s, 0]].copy()

    def orders(self, symbol: str) -> Floats:
        """Working orders of a symbol, oldest first, shape (k, ORDER_FIELDS)."""
        s = self._index[symbol]
        return self.book.orders[s, : self.book.counts[s, 1]].copy()

    @property
    def balance(self) -> float:
        """Balance, in account currency."""
        return float(self.book.account[b.A_BALANCE])

    @property
    def equity(self) -> float:
        """Equity at the last tick, in account currency."""
        return float(self.book.account[b.A_EQUITY])

    @property
    def margin(self) -> float:
        """Margin in use at the last tick, in account currency."""
        return float(self.book.account[b.A_MARGIN])

    def dump(self) -> bytes:
        """The whole state, for a file."""
        buffer = io.BytesIO()
        np.savez(buffer, *self.book, rows=np.array([self._rows]))
        return buffer.getvalue()

    def restore(self, state: bytes) -> None:
        """Take up a state that `dump` gave, also of a version whose book had fewer fields: what it did not know is as in a new book."""
        with np.load(io.BytesIO(state)) as arrays:
            kept = [arrays[f"arr_{i}"] for i in range(len(Book._fields))]
            book = new_book(self.spec, len(self.instruments), capacity=kept[1].shape[1])
            book.positions[:, :, b.P_SWAP] = np.where(np.isnan(kept[1][:, :, b.P_TICKET]), np.nan, 0.0)
            for ours, theirs in zip(book, kept, strict=True):
                ours[tuple(slice(0, length) for length in theirs.shape)] = theirs
            self.book = book
            self._rows = int(arrays["rows"][0])

    def _event(self, row: Floats, tick: int) -> BrokerEvent:
        def whole(field: int) -> int:
            return 0 if np.isnan(row[field]) else int(row[field])

        return BrokerEvent(
            EventKind(whole(b.E_KIND)), tick, self.instruments[whole(b.E_SYMBOL)].symbol, whole(b.E_TICKET), whole(b.E_ORDER_TICKET), whole(b.E_SIDE),
            float(row[b.E_LOTS]), float(row[b.E_PRICE]), float(row[b.E_PROFIT]), float(row[b.E_COST]), float(row[b.E_SWAP]),
            ExitKind(whole(b.E_EXIT)), float(row[b.E_LEVEL]), float(row[b.E_STOP]), float(row[b.E_TARGET]),
        )  # fmt: skip


_DAY_ZERO = BrokerDay(zone="UTC", turn_hour=0).day_of(0)


@njit(cache=True)
def _match_rows(first, rows, offset, market, account, positions, orders, counts, marks, specs, costs, policy, netting, resolution, events):  # type: ignore[no-untyped-def]
    """Rows from `first` on until the event array could overflow; event rows count from `offset`. Returns the next row and the number of events.

    What never changes here comes as arguments all the same: constants in compiled code would have all of `advance` compiled a second time.
    """
    per_row = 4 * counts.shape[0] * positions.shape[1]
    n = 0
    t = first
    while t < rows and n + per_row <= events.shape[0]:
        n, _ = advance(t, t + offset, market, account, positions, orders, counts, marks, specs, costs, policy, netting, resolution, events, n)
        t += 1
    return t, n
