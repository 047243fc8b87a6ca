"""The life of a signal, as one table.

created → pending → leased → acknowledged → placed → partially_filled → filled | rejected | expired | cancelled

A signal whose lease ran out, or whose report is overdue, is `unknown`: it may or may not have been executed. Nothing leads from there back
to `pending`; only the terminal's own word, a report or its list of known signals, leads out.
"""

from __future__ import annotations

from components.fx import Refused, SignalAction, SignalState

PENDING, LEASED, ACKNOWLEDGED, PLACED = SignalState.PENDING, SignalState.LEASED, SignalState.ACKNOWLEDGED, SignalState.PLACED
PARTIALLY_FILLED, FILLED, REJECTED = SignalState.PARTIALLY_FILLED, SignalState.FILLED, SignalState.REJECTED
EXPIRED, CANCELLED, UNKNOWN = SignalState.EXPIRED, SignalState.CANCELLED, SignalState.UNKNOWN

_REPORTED = {PLACED, PARTIALLY_FILLED, FILLED, REJECTED, EXPIRED, CANCELLED}
LEGAL: dict[SignalState, frozenset[SignalState]] = {
    PENDING: frozenset({LEASED, EXPIRED, CANCELLED}),
    LEASED: frozenset({ACKNOWLEDGED, UNKNOWN} | _REPORTED),
    ACKNOWLEDGED: frozenset({UNKNOWN} | _REPORTED),
    PLACED: frozenset({PARTIALLY_FILLED, FILLED, REJECTED, EXPIRED, CANCELLED}),
    PARTIALLY_FILLED: frozenset({FILLED, EXPIRED, CANCELLED}),
    FILLED: frozenset(),
    REJECTED: frozenset(),
    EXPIRED: frozenset(),
    CANCELLED: frozenset(),
    UNKNOWN: frozenset({ACKNOWLEDGED} | _REPORTED),
}

# Reports may overtake each other on their way: these pairs (state, report that comes after it) tell nothing new.
_OVERTAKEN = {
    (PARTIALLY_FILLED, PLACED),
    (FILLED, PLACED),
    (FILLED, PARTIALLY_FILLED),
    (CANCELLED, PLACED),
    (CANCELLED, PARTIALLY_FILLED),
    (EXPIRED, PLACED),
    (EXPIRED, PARTIALLY_FILLED),
    (REJECTED, PLACED),
}
DELIVERED = (LEASED, ACKNOWLEDGED, PLACED, PARTIALLY_FILLED, UNKNOWN)


def is_move(signal_id: str, current: SignalState, asked: SignalState) -> bool:
    """Whether going from `current` to `asked` changes anything; a repeated or overtaken transition does not.

    Raises
    ------
    Refused
        If the transition is not in the table.
    """
    if asked is current or (current, asked) in _OVERTAKEN:
        return False
    if asked not in LEGAL[current]:
        raise Refused("illegal_transition", f"signal {signal_id} is {current.value} and cannot become {asked.value}")
    return True


def state_after(kind: str, action: SignalAction) -> SignalState | None:
    """State of a signal after its terminal reported `kind` for it; None where the report says nothing about the signal itself.

    A modify or cancel signal that was carried out is `filled`: the instruction is done. A position that ended on its stop names the signal
    that opened it, whose state stays.
    """
    if kind in ("placed", "partially_filled", "filled", "rejected", "expired"):
        return SignalState(kind)
    if kind == "cancelled":
        return FILLED if action == "cancel" else CANCELLED
    if kind == "modified":
        return FILLED if action == "modify" else None
    return FILLED if action == "close" else None
