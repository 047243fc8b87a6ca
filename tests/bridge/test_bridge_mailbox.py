"""Signals out: leases, acknowledgements, what is overdue, and that quiet polling writes nothing."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from mailbox_parts import ACCOUNT, REPLAY, deliver, issue, signal, state

from components.base import now_ms
from components.bridge import REPORT_DUE_MS, Mailbox, SymbolFacts, TerminalFacts
from components.bridge.issue import issue_signals
from components.fx import BadInput, NotFound, Refused, SignalState


def test_signals_are_leased_in_the_order_of_their_issue_and_only_once(mailbox: Mailbox) -> None:
    issue(mailbox, *(signal(f"s{n}") for n in (3, 1, 2)))
    assert [s.id for s in mailbox.lease_pending(ACCOUNT, "lease-1", limit=2)] == ["s3", "s1"]
    assert [s.id for s in mailbox.lease_pending(ACCOUNT, "lease-2")] == ["s2"]
    assert mailbox.lease_pending(ACCOUNT, "lease-3") == []


def test_the_same_lease_gives_the_same_signals_again_also_to_another_process(mailbox: Mailbox, home: Path) -> None:
    issue(mailbox, signal("s1", stop=1.05, params='{"fast": 5}'), signal("s2"))
    first = mailbox.lease_pending(ACCOUNT, "lease-1", limit=1)
    assert mailbox.lease_pending(ACCOUNT, "lease-1", limit=9) == first
    assert Mailbox.open(home).lease_pending(ACCOUNT, "lease-1") == first
    mailbox.acknowledge("s1", ACCOUNT)
    assert mailbox.lease_pending(ACCOUNT, "lease-1") == first


def test_two_terminals_that_ask_at_once_never_get_the_same_signal(mailbox: Mailbox) -> None:
    issue(mailbox, *(signal(f"s{n:02d}") for n in range(40)))
    given: list[str] = []

    def fetch(number: int) -> None:
        for turn in range(10):
            given.extend(s.id for s in mailbox.lease_pending(ACCOUNT, f"lease-{number}-{turn}", limit=2))

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == [f"s{n:02d}" for n in range(40)]


def test_polling_while_nothing_is_pending_writes_nothing(mailbox: Mailbox, home: Path) -> None:
    deliver(mailbox, signal("s1"))
    log = home / "mql5_data.db-wal"
    before = (log.stat().st_size, log.stat().st_mtime_ns)
    for number in range(20):
        assert mailbox.lease_pending(ACCOUNT, f"poll-{number}") == []
        mailbox.sweep()
        mailbox.must_reconcile(ACCOUNT)
    assert (log.stat().st_size, log.stat().st_mtime_ns) == before


def test_a_lease_that_ran_out_makes_the_signal_unknown_and_gives_nothing_to_its_holder(mailbox: Mailbox) -> None:
    issue(mailbox, signal("s1"))
    assert len(mailbox.lease_pending(ACCOUNT, "lease-1", lease_ms=-1)) == 0
    assert mailbox.sweep().unknown == 1
    assert mailbox.lease_pending(ACCOUNT, "lease-1") == []
    assert mailbox.lease_pending(ACCOUNT, "lease-2") == []
    assert mailbox.must_reconcile(ACCOUNT)
    assert mailbox.journal("s1")[-1].note == "the lease ran out"


def test_acknowledging_after_the_lease_ran_out_is_refused_even_before_a_sweep_saw_it(mailbox: Mailbox) -> None:
    issue(mailbox, signal("s1"))
    mailbox.lease_pending(ACCOUNT, "lease-1", lease_ms=-1)
    with pytest.raises(Refused, match="ran out; do not execute it") as refusal:
        mailbox.acknowledge("s1", ACCOUNT)
    assert refusal.value.code == "lease_lost"
    assert state(mailbox) is SignalState.UNKNOWN


def test_a_report_that_does_not_come_makes_an_acknowledged_signal_unknown(mailbox: Mailbox) -> None:
    deliver(mailbox, signal("s1"))
    assert mailbox.sweep(now_ms() + REPORT_DUE_MS - 5_000).unknown == 0
    assert mailbox.sweep(now_ms() + REPORT_DUE_MS + 5_000).unknown == 1
    assert "no report" in mailbox.signal("s1").message


def test_a_signal_that_nobody_fetched_in_time_expires_on_a_wall_clock_account(mailbox: Mailbox) -> None:
    issue(mailbox, signal("s1", deliver_by_ms=now_ms() - 1), signal("s2", deliver_by_ms=now_ms() + 60_000), signal("s3"))
    assert [s.id for s in mailbox.lease_pending(ACCOUNT, "lease-1")] == ["s2", "s3"]
    assert mailbox.sweep().expired == 1
    assert state(mailbox, "s1") is SignalState.EXPIRED


def test_on_a_replayed_market_clock_the_terminal_judges_deliver_by_itself(mailbox: Mailbox) -> None:
    mailbox.hello(REPLAY)
    issue(mailbox, signal("s1", deliver_by_ms=1_000))
    assert mailbox.sweep().expired == 0
    assert [s.id for s in mailbox.lease_pending(ACCOUNT, "lease-1")] == ["s1"]


def test_a_signal_that_nobody_fetched_can_be_withdrawn_and_one_on_its_way_cannot(mailbox: Mailbox) -> None:
    issue(mailbox, signal("s1"), signal("s2"))
    assert mailbox.withdraw("s1", "halted")
    mailbox.lease_pending(ACCOUNT, "lease-1")
    assert not mailbox.withdraw("s2", "halted")
    assert (state(mailbox, "s1"), state(mailbox, "s2")) == (SignalState.CANCELLED, SignalState.LEASED)


def test_every_signal_begins_its_journal_with_its_approval(mailbox: Mailbox) -> None:
    assert issue(mailbox, signal("s1")) == 1
    line = mailbox.journal("s1")[0]
    assert (line.from_state, line.to_state, line.by, line.note) == (None, SignalState.PENDING, "desk", "a test")


def test_issuing_the_same_signals_again_changes_nothing(mailbox: Mailbox) -> None:
    deliver(mailbox, signal("s1"))
    assert issue(mailbox, signal("s1")) == 0
    assert state(mailbox) is SignalState.ACKNOWLEDGED
    assert len(mailbox.journal("s1")) == 3


def test_an_id_that_another_signal_has_is_refused_and_then_none_of_the_batch_is_issued(mailbox: Mailbox) -> None:
    issue(mailbox, signal("s1"))
    with pytest.raises(Refused, match="'s1' is taken"):
        issue(mailbox, signal("s0"), signal("s1", lots=0.2))
    with pytest.raises(NotFound):
        mailbox.signal("s0")


def test_signals_for_an_account_that_never_said_hello_or_an_unknown_symbol_are_refused(mailbox: Mailbox) -> None:
    stranger = signal("s1").__class__(**(signal("s1").__dict__ | {"account_id": "nobody"}))
    with pytest.raises(NotFound, match="'nobody' has said hello"):
        issue(mailbox, stranger)
    with pytest.raises(BadInput, match="'ABCDEF' is unknown"):
        issue(mailbox, signal("s1").__class__(**(signal("s1").__dict__ | {"symbol": "ABCDEF"})))
    with pytest.raises(BadInput, match="approval"):
        issue_signals(mailbox, [signal("s1")], {"by": object()})


def test_signals_can_be_listed_by_account_state_and_deployment_newest_first(mailbox: Mailbox) -> None:
    issue(mailbox, signal("s1"), signal("s2"), signal("s3"))
    mailbox.lease_pending(ACCOUNT, "lease-1", limit=1)
    assert [s.signal.id for s in mailbox.signals()] == ["s3", "s2", "s1"]
    assert [s.signal.id for s in mailbox.signals(ACCOUNT, SignalState.PENDING, 1)] == ["s3"]
    assert [s.signal.id for s in mailbox.signals(state=SignalState.LEASED, deployment_id="deployment-1")] == ["s1"]
    assert mailbox.signals("nobody") == mailbox.signals(deployment_id="other") == []
    assert mailbox.counts()[SignalState.PENDING] == 2


def test_a_terminal_is_remembered_with_what_it_said_last(mailbox: Mailbox) -> None:
    facts = TerminalFacts(
        ACCOUNT, "EUR", 100.0, "netting", False, name="Broker", symbols=(SymbolFacts("EURUSD", "EURUSD.raw", 5, 1e5, 0.01, 0.01, 50.0),)
    )
    first_seen_ms = mailbox.terminal(ACCOUNT).first_seen_ms
    assert mailbox.hello(facts) is False
    assert [t.facts for t in mailbox.terminals()] == [facts]
    assert mailbox.terminal(ACCOUNT).first_seen_ms == first_seen_ms


def test_a_terminal_that_speaks_another_protocol_is_refused_in_words(mailbox: Mailbox) -> None:
    with pytest.raises(BadInput, match="speaks protocol 1, the terminal 2; update the older"):
        mailbox.hello(TerminalFacts(ACCOUNT, "USD", 30.0, "hedging", True, protocol=2))


def test_what_does_not_exist_is_not_found(mailbox: Mailbox) -> None:
    for call in (
        lambda: mailbox.signal("x"),
        lambda: mailbox.terminal("x"),
        lambda: mailbox.acknowledge("x", ACCOUNT),
        lambda: mailbox.withdraw("x", ""),
    ):
        with pytest.raises(NotFound):
            call()
    assert mailbox.journal("x") == []
    assert mailbox.snapshot("x") is None
