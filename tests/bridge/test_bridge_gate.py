"""Who may issue: nothing that was decided before a gate closed is pending afterwards."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from mailbox_parts import ACCOUNT, WALL, issue, signal, state

from components.base import Database
from components.bridge import Mailbox
from components.bridge.schema import MAILBOX_MIGRATIONS
from components.fx import BadInput, Signal, SignalState

S = SignalState
ACTIONS = ("open", "close", "modify", "cancel")
GATES = [
    ("platform", "HALTED", {"cancel"}, {"open", "close", "modify"}),
    ("platform", "REDUCING", {"close", "modify", "cancel"}, {"open"}),
    ("platform", "ACTIVE", set(ACTIONS), set()),
    ("deployment-1", "DISARMED", {"cancel"}, {"open"}),
    ("deployment-1", "ARMED", set(ACTIONS), set()),
]


def one_of_each(prefix: str, **changes: str) -> list[Signal]:
    return [replace(signal(f"{prefix}-{action}", action, ticket=None if action == "open" else 7), **changes) for action in ACTIONS]


def pending(mailbox: Mailbox) -> set[str]:
    return {stored.signal.id for stored in mailbox.signals(state=S.PENDING)}


@pytest.mark.parametrize(("subject", "gate", "allowed", "withdrawn"), GATES)
def test_a_gate_that_is_set_between_decision_and_issue_lets_through_what_it_says(
    mailbox: Mailbox, subject: str, gate: str, allowed: set[str], withdrawn: set[str]
) -> None:
    decided = one_of_each("d")
    assert mailbox.set_gate(subject, gate, "a person said so") == 0
    assert mailbox.gate(subject) == gate
    assert issue(mailbox, *decided) == len(allowed)
    assert pending(mailbox) == {f"d-{action}" for action in allowed}


@pytest.mark.parametrize(("subject", "gate", "allowed", "withdrawn"), GATES)
def test_a_gate_withdraws_what_nobody_has_fetched_and_says_why(
    mailbox: Mailbox, subject: str, gate: str, allowed: set[str], withdrawn: set[str]
) -> None:
    issue(mailbox, *one_of_each("early"))
    mailbox.lease_pending(ACCOUNT, "lease-1")
    issue(mailbox, *one_of_each("d"))
    assert mailbox.set_gate(subject, gate, "the drawdown limit") == len(withdrawn)
    assert pending(mailbox) == {f"d-{action}" for action in ACTIONS} - {f"d-{action}" for action in withdrawn}
    assert {state(mailbox, f"early-{action}") for action in ACTIONS} == {S.LEASED}
    for action in withdrawn:
        line = mailbox.journal(f"d-{action}")[-1]
        assert (line.to_state, line.by, line.note) == (S.CANCELLED, "desk", "the drawdown limit")
        assert mailbox.signal(f"d-{action}").message == "the drawdown limit"


def test_a_disarmed_deployment_stops_no_other(mailbox: Mailbox) -> None:
    issue(mailbox, *one_of_each("a"), *one_of_each("b", deployment_id="deployment-2"))
    assert mailbox.set_gate("deployment-1", "DISARMED", "") == 1
    assert issue(mailbox, *one_of_each("c", deployment_id="deployment-2"), *one_of_each("d")) == 5
    assert {"b-open", "c-open", "d-cancel"} <= pending(mailbox)
    assert {"a-open", "d-open", "d-close"} & pending(mailbox) == set()


def test_both_gates_must_let_a_signal_through(mailbox: Mailbox) -> None:
    mailbox.set_gate("platform", "REDUCING", "")
    mailbox.set_gate("deployment-1", "DISARMED", "")
    assert issue(mailbox, *one_of_each("a")) == 1
    mailbox.set_gate("deployment-1", "ARMED", "")
    assert issue(mailbox, *one_of_each("b")) == 3


def test_what_a_gate_left_out_can_be_issued_once_it_is_open_again(mailbox: Mailbox, home: Path) -> None:
    mailbox.set_gate("platform", "HALTED", "halted")
    assert issue(Mailbox.open(home), signal("s1")) == 0
    assert mailbox.counts()[S.PENDING] == 0
    mailbox.set_gate("platform", "ACTIVE", "resumed")
    assert issue(mailbox, signal("s1")) == 1


def test_a_gate_that_was_never_set_lets_everything_through(mailbox: Mailbox) -> None:
    assert (mailbox.gate("platform"), mailbox.gate("deployment-1")) == (None, None)
    assert issue(mailbox, *one_of_each("a")) == 4


@pytest.mark.parametrize(("subject", "gate"), [("platform", "ARMED"), ("platform", "halted"), ("deployment-1", "HALTED"), ("", "ARMED")])
def test_a_word_that_the_subject_does_not_have_is_refused_and_nothing_is_written(mailbox: Mailbox, subject: str, gate: str) -> None:
    with pytest.raises(BadInput):
        mailbox.set_gate(subject, gate, "")
    assert mailbox.gate(subject) is None


def test_nothing_slips_through_while_another_process_issues(mailbox: Mailbox, home: Path) -> None:
    started, other = threading.Event(), Mailbox.open(home)

    def decide() -> None:
        for number in range(150):
            issue(other, signal(f"s{number}"))
            if number == 30:
                started.set()

    deciding = threading.Thread(target=decide)
    deciding.start()
    started.wait(20)
    mailbox.set_gate("platform", "HALTED", "halted")
    assert pending(mailbox) == set()
    deciding.join(60)
    assert pending(mailbox) == set()
    assert mailbox.counts()[S.CANCELLED] > 30


def test_a_mailbox_from_before_the_gates_gets_them_and_keeps_its_signals(home: Path) -> None:
    old = Database(home / "mql5_data.db", MAILBOX_MIGRATIONS[:1])
    with old.read() as connection:
        assert not sa.inspect(connection).has_table("gates")
    before = Mailbox(old)
    before.hello(WALL)
    old.close()
    mailbox = Mailbox.open(home)
    assert mailbox.terminal(ACCOUNT).facts == WALL
    assert mailbox.gate("platform") is None
    mailbox.set_gate("platform", "HALTED", "")
    mailbox.close()
    again = Mailbox.open(home)
    assert again.gate("platform") == "HALTED"
    again.close()
