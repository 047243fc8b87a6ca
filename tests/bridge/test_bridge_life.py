"""The life of a signal: every pair of states, by the table and through the mailbox."""

from __future__ import annotations

from itertools import product

import pytest
from mailbox_parts import ACCOUNT, put_into, reconcile, report, state

from components.bridge import Mailbox
from components.fx import Refused, SignalState

S = SignalState
REPORTED = ("placed", "partially_filled", "filled", "rejected", "expired", "cancelled")

# What a report of that kind makes of an open signal in that state: the new state, the same state, or a refusal.
EXPECTED = {
    S.PENDING: dict.fromkeys(REPORTED, "refused") | {"expired": S.EXPIRED, "cancelled": S.CANCELLED},
    S.LEASED: {kind: S(kind) for kind in REPORTED},
    S.ACKNOWLEDGED: {kind: S(kind) for kind in REPORTED},
    S.UNKNOWN: {kind: S(kind) for kind in REPORTED},
    S.PLACED: {kind: S(kind) for kind in REPORTED},
    S.PARTIALLY_FILLED: {
        "placed": S.PARTIALLY_FILLED, "partially_filled": S.PARTIALLY_FILLED, "filled": S.FILLED,
        "rejected": "refused", "expired": S.EXPIRED, "cancelled": S.CANCELLED,
    },
    S.FILLED: {
        "placed": S.FILLED, "partially_filled": S.FILLED, "filled": S.FILLED,
        "rejected": "refused", "expired": "refused", "cancelled": "refused",
    },
    S.REJECTED: dict.fromkeys(REPORTED, "refused") | {"placed": S.REJECTED, "rejected": S.REJECTED},
    S.EXPIRED: {
        "placed": S.EXPIRED, "partially_filled": S.EXPIRED, "expired": S.EXPIRED,
        "filled": "refused", "rejected": "refused", "cancelled": "refused",
    },
    S.CANCELLED: {
        "placed": S.CANCELLED, "partially_filled": S.CANCELLED, "cancelled": S.CANCELLED,
        "filled": "refused", "rejected": "refused", "expired": "refused",
    },
}  # fmt: skip


@pytest.mark.parametrize(("before", "kind"), list(product(S, REPORTED)), ids=lambda value: getattr(value, "value", value))
def test_a_report_moves_a_signal_as_the_table_says_and_nothing_else(mailbox: Mailbox, before: SignalState, kind: str) -> None:
    put_into(mailbox, before)
    expected = EXPECTED[before][kind]
    lines = len(mailbox.journal("s1"))
    if expected == "refused":
        with pytest.raises(Refused, match=rf"reports.0.kind: .*{before.value} and cannot become {kind}"):
            mailbox.record_reports([report("r1", kind)])
        assert state(mailbox) is before
        assert len(mailbox.journal("s1")) == lines
    else:
        mailbox.record_reports([report("r1", kind)])
        assert state(mailbox) is expected
        assert mailbox.journal("s1")[-1].to_state is expected
        assert mailbox.journal("s1")[-1].report_id == "r1"


@pytest.mark.parametrize("before", list(S), ids=lambda value: value.value)
def test_only_a_leased_signal_can_be_acknowledged_and_a_repeated_acknowledgement_changes_nothing(mailbox: Mailbox, before: SignalState) -> None:
    put_into(mailbox, before)
    codes = {S.PENDING: "not_leased", S.UNKNOWN: "lease_lost", S.EXPIRED: "signal_ended"}
    if before in codes:
        with pytest.raises(Refused) as refusal:
            mailbox.acknowledge("s1", ACCOUNT)
        assert refusal.value.code == codes[before]
        assert state(mailbox) is before
    else:
        after = S.ACKNOWLEDGED if before is S.LEASED else before
        assert mailbox.acknowledge("s1", ACCOUNT).state is after
        lines = mailbox.journal("s1")
        assert mailbox.acknowledge("s1", ACCOUNT).state is after
        assert mailbox.journal("s1") == lines


@pytest.mark.parametrize("before", list(S), ids=lambda value: value.value)
def test_nothing_that_was_handed_out_once_becomes_pending_again(mailbox: Mailbox, before: SignalState) -> None:
    put_into(mailbox, before)
    mailbox.sweep(10**14)
    reconcile(mailbox)
    mailbox.sweep(10**14)
    handed_out = mailbox.lease_pending(ACCOUNT, "another-lease")
    assert handed_out == []
    assert before is S.PENDING or S.PENDING not in [line.to_state for line in mailbox.journal("s1")[1:]]


@pytest.mark.parametrize("before", [S.LEASED, S.ACKNOWLEDGED, S.PLACED, S.PARTIALLY_FILLED, S.UNKNOWN], ids=lambda value: value.value)
@pytest.mark.parametrize("told", ["acknowledged", *REPORTED])
def test_a_reconciliation_moves_a_signal_to_what_the_terminal_tells_or_says_that_it_contradicts(
    mailbox: Mailbox, before: SignalState, told: str
) -> None:
    put_into(mailbox, before)
    result = reconcile(mailbox, {"s1": S(told)})
    if before is S.PARTIALLY_FILLED and told == "rejected":
        assert any("partially_filled and cannot become rejected" in sentence for sentence in result.differences)
    elif state(mailbox) is before:
        assert told in (before.value, "acknowledged", "placed")
        assert result.resolved == {}
    else:
        assert result.resolved == {"s1": S(told)}
        assert state(mailbox) is S(told)
