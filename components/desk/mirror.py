"""The terminal's book as the desk knows it, in the arrays of the step; and requests of the step as signals."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from components.bridge import DeploymentBook
from components.desk.records import Deployment
from components.execution import Book, new_book
from components.fx import AccountSpec, Action, Instrument, OrderKind, Refused, Signal
from components.fx import book as b
from components.strategy import Strategy

BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
CAPACITY = 8
BROKER_GRACE_MS = 3 * 86_400_000
"""The desk cancels working orders by counting bars; the broker's own expiry, this much later, is for the case that the desk is gone."""
_ACTIONS = {Action.OPEN: "open", Action.CLOSE: "close", Action.MODIFY: "modify", Action.CANCEL: "cancel"}
_KINDS = {OrderKind.MARKET: "market", OrderKind.STOP: "stop", OrderKind.LIMIT: "limit"}


def mirror_book(known: DeploymentBook, deployment: Deployment, marks: NDArray[np.float64], bar_opens: NDArray[np.int64]) -> Book:
    """The book of one deployment at a bar's close.

    Parameters
    ----------
    known : DeploymentBook
        Positions, orders and signals on their way, as of one moment; equity is the whole account's.
    deployment : Deployment
    marks : float64, shape (3,)
        Last bid, ask and conversion rate.
    bar_opens : int64, shape (n,)
        Open times of all bars, epoch milliseconds UTC, to tell an order's age in bars.

    Returns
    -------
    Book
        Signals that are still on their way stand in it as orders with a negative ticket: they take a place and can be neither cancelled
        nor changed.

    Raises
    ------
    Refused
        ``no_snapshot`` before the terminal has told its balance; ``book_full`` if there are more positions or orders than places.
    """
    snapshot = known.snapshot
    if snapshot is None:
        raise Refused("no_snapshot", f"account {deployment.account_id} has not told its balance yet")
    spec = AccountSpec(snapshot.currency, max(snapshot.balance, 1e-9), snapshot.leverage)
    book = new_book(spec, 1, capacity=CAPACITY)
    book.account[b.A_BALANCE] = snapshot.balance
    book.account[b.A_EQUITY] = snapshot.equity
    book.account[b.A_MARGIN] = snapshot.margin
    book.marks[0] = marks
    length_ms = deployment.timeframe.ms
    for position, opener in known.positions:
        row = _next_row(book, 0)
        row[b.P_TICKET] = position.ticket
        row[b.P_SIDE] = position.side
        row[b.P_LOTS] = position.lots
        row[b.P_ENTRY] = position.entry
        row[b.P_STOP] = _price(position.stop)
        row[b.P_TARGET] = _price(position.target)
        row[b.P_TRAIL] = _price(opener.trail_distance)
        row[b.P_REASON] = opener.reason
        row[b.P_BORN_BAR] = float(np.searchsorted(bar_opens, opener.bar_ms))
    for order, origin in known.orders:
        _fill_order(_next_row(book, 1), order.ticket, origin, bar_opens, length_ms)
    for number, stored in enumerate(known.in_flight, start=1):
        if stored.signal.action in ("open", "close"):
            _fill_order(_next_row(book, 1), -number, stored.signal, bar_opens, length_ms)
    return book


def signal_id(deployment_id: str, bar_ms: int, number: int) -> str:
    """The id of a deployment's request at the close of a bar: at most 26 characters, the same each time it is asked for."""
    return f"{deployment_id}-{_base36(bar_ms // 60_000)}-{_base36(number)}"


def signals_of(
    requests: NDArray[np.float64], deployment: Deployment, item: Instrument, chosen: Strategy, bar_ms: int, market_ms: int, dataset_id: str | None
) -> list[Signal]:
    """Requests of one bar, shape (n, REQUEST_FIELDS), as signals, in their order.

    `market_ms` is the time of the tick that closed the bar. Refused requests and changes of what is still on its way are left out.
    """
    length_ms = deployment.timeframe.ms
    signals = []
    for number, r in enumerate(requests):
        ticket = None if math.isnan(r[b.R_TICKET]) else int(r[b.R_TICKET])
        if r[b.R_REFUSED] != 0 or (ticket is not None and ticket < 0):
            continue
        action = Action(int(r[b.R_ACTION]))
        expiry = int(r[b.R_EXPIRY_BARS])
        reason = int(r[b.R_REASON])
        signals.append(
            Signal(
                id=signal_id(deployment.id, bar_ms, number),
                account_id=deployment.account_id,
                deployment_id=deployment.id,
                action=_ACTIONS[action],  # type: ignore[arg-type]
                symbol=item.symbol,
                side=int(r[b.R_SIDE]),
                entry=_KINDS[OrderKind(int(r[b.R_KIND]))],  # type: ignore[arg-type]
                entry_price=_none(r[b.R_PRICE]),
                stop=_none(r[b.R_STOP]),
                target=_none(r[b.R_TARGET]),
                stop_distance=_none(r[b.R_STOP_DISTANCE]),
                target_distance=_none(r[b.R_TARGET_DISTANCE]),
                trail_distance=_none(r[b.R_TRAIL]),
                lots=0.0 if math.isnan(r[b.R_LOTS]) else float(r[b.R_LOTS]),
                ticket=ticket,
                exit_kind=int(r[b.R_EXIT]),
                deliver_by_ms=market_ms + length_ms,
                order_expires_at_ms=market_ms + expiry * length_ms + BROKER_GRACE_MS if expiry > 0 else None,
                strategy=deployment.strategy,
                params=deployment.params_json,
                model_id=deployment.spec.model_id,
                dataset_id=dataset_id,
                bar_ms=bar_ms,
                reason=reason,
                reason_text=chosen.reasons.get(reason, _AUTOMATIC[action]),
                created_ms=market_ms,
            )
        )
    return signals


def cancellations_of(known: DeploymentBook, deployment: Deployment, at_ms: int, reason: str) -> list[Signal]:
    """Signals that cancel every working entry order of a deployment, so that nothing new can open after a halt, a reduction or a disarming."""
    return [
        Signal(
            id=f"{deployment.id}-x{_base36(at_ms)}-{_base36(number)}",
            account_id=deployment.account_id,
            deployment_id=deployment.id,
            action="cancel",
            symbol=order.symbol,
            side=order.side,
            ticket=order.ticket,
            strategy=deployment.strategy,
            reason_text=reason,
            created_ms=at_ms,
        )
        for number, (order, _) in enumerate(known.orders)
    ]


_AUTOMATIC = {
    Action.OPEN: "the strategy asked for it",
    Action.CLOSE: "the strategy left the position",
    Action.MODIFY: "the stop follows the price",
    Action.CANCEL: "the order expired or its set-up ended",
}


def _next_row(book: Book, which: int) -> NDArray[np.float64]:
    k = int(book.counts[0, which])
    if k >= CAPACITY:
        raise Refused("book_full", f"the deployment holds more than {CAPACITY} {'orders' if which else 'positions'}; it trades on when some are gone")
    book.counts[0, which] = k + 1
    row: NDArray[np.float64] = (book.orders if which else book.positions)[0, k]
    return row


def _fill_order(row: NDArray[np.float64], ticket: int, signal: Signal, bar_opens: NDArray[np.int64], length_ms: int) -> None:
    expiry_bars = 0
    if signal.order_expires_at_ms is not None:
        expiry_bars = (signal.order_expires_at_ms - BROKER_GRACE_MS - signal.created_ms) // length_ms
    row[b.O_TICKET] = ticket
    row[b.O_SIDE] = -signal.side if signal.action == "close" else signal.side
    row[b.O_KIND] = {text: kind for kind, text in _KINDS.items()}[signal.entry]
    row[b.O_LOTS] = signal.lots
    row[b.O_PRICE] = _price(signal.entry_price)
    row[b.O_STOP] = _price(signal.stop)
    row[b.O_TARGET] = _price(signal.target)
    row[b.O_BORN_BAR] = float(np.searchsorted(bar_opens, signal.bar_ms))
    row[b.O_POSITION] = float(signal.ticket) if signal.action == "close" and signal.ticket is not None else np.nan
    row[b.O_EXPIRY_BARS] = expiry_bars
    row[b.O_REASON] = signal.reason


def _price(value: float | None) -> float:
    return np.nan if value is None else value


def _none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _base36(number: int) -> str:
    digits = ""
    while True:
        number, rest = divmod(number, 36)
        digits = BASE36[rest] + digits
        if number == 0:
            return digits
