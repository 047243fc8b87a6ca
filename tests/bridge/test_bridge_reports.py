"""What terminals tell: reports in any order and more than once, positions and their journal, working orders."""

from __future__ import annotations

import time
from itertools import permutations

import pytest
from mailbox_parts import ACCOUNT, deliver, issue, order, position, reconcile, report, signal, snapshot, state

from components.base import now_ms
from components.bridge import REPORT_DUE_MS, Mailbox
from components.fx import BadInput, ExitKind, NotFound, Refused, SignalState

S = SignalState


def changes(mailbox: Mailbox) -> list[tuple[str, str, float]]:
    return [(line.change, line.by, line.lots) for line in mailbox.positions_journal(ACCOUNT)]


def test_a_fill_opens_a_position_and_says_which_signal_did_it(mailbox: Mailbox) -> None:
    deliver(mailbox, signal())
    assert mailbox.record_reports([report("r1", "filled", price=1.10123, stop=1.09, target=1.12, cost=-0.35)]) == 1
    (held,) = mailbox.positions(ACCOUNT)
    assert (held.ticket, held.lots, held.entry, held.stop, held.target, held.signal_id) == (7, 0.1, 1.10123, 1.09, 1.12, "s1")
    (line,) = mailbox.positions_journal(ACCOUNT)
    assert (line.change, line.by, line.cost, line.report_id) == ("opened", "s1", -0.35, "r1")


def test_the_same_report_again_changes_nothing_and_another_one_under_its_id_is_refused(mailbox: Mailbox) -> None:
    deliver(mailbox, signal())
    first = report("r1", "filled")
    assert mailbox.record_reports([first, first]) == 1
    lines = mailbox.journal("s1"), changes(mailbox)
    assert mailbox.record_reports([first]) == 0
    assert (mailbox.journal("s1"), changes(mailbox)) == lines
    with pytest.raises(Refused, match=r"reports.0.id: report 'r1' is recorded already"):
        mailbox.record_reports([report("r1", "filled", price=1.2)])


def test_reports_are_recorded_all_or_none(mailbox: Mailbox) -> None:
    deliver(mailbox, signal())
    with pytest.raises(NotFound, match=r"reports.1.signal_id: account demo-1 has no signal 'nothing'"):
        mailbox.record_reports([report("r1", "filled"), report("r2", "filled", "nothing")])
    assert state(mailbox) is S.ACKNOWLEDGED
    assert mailbox.positions(ACCOUNT) == []
    assert mailbox.record_reports([report("r1", "filled")]) == 1


PARTS = [
    report("r1", "placed", lots=0.3, time_ms=1),
    report("r2", "partially_filled", lots=0.1, price=1.10, time_ms=2),
    report("r3", "partially_filled", lots=0.1, price=1.11, time_ms=3),
    report("r4", "filled", lots=0.1, price=1.12, time_ms=4),
    report("r5", "closed", None, lots=0.2, price=1.13, exit_kind=int(ExitKind.MANUAL), position_ticket=7, ticket=9, time_ms=5),
]


@pytest.mark.parametrize("turns", list(permutations(range(5)))[::7], ids=lambda turns: "".join(map(str, turns)))
def test_reports_that_overtake_each_other_end_in_the_same_book(mailbox: Mailbox, turns: tuple[int, ...]) -> None:
    deliver(mailbox, signal(lots=0.3))
    for turn in turns:
        mailbox.record_reports([PARTS[turn]])
    (held,) = mailbox.positions(ACCOUNT)
    assert held.lots == pytest.approx(0.1)
    assert held.entry == pytest.approx(1.11)
    assert state(mailbox) is S.FILLED
    assert mailbox.working_orders(ACCOUNT) == []
    assert sorted(changes(mailbox)) == [("closed", "person", 0.2), ("opened", "s1", 0.1), ("opened", "s1", 0.1), ("opened", "s1", 0.1)]


def test_a_closing_that_arrives_before_its_opening_leaves_nothing_open(mailbox: Mailbox) -> None:
    deliver(mailbox, signal())
    mailbox.record_reports([report("r2", "closed", None, exit_kind=int(ExitKind.STOP), level=1.09, profit=-10.0)])
    mailbox.record_reports([report("r1", "filled")])
    assert mailbox.positions(ACCOUNT) == []
    assert changes(mailbox) == [("closed", "terminal", 0.1), ("opened", "s1", 0.1)]


def test_a_person_who_closes_a_position_by_hand_is_a_normal_event(mailbox: Mailbox) -> None:
    deliver(mailbox, signal())
    mailbox.record_reports([report("r1", "filled"), report("r2", "closed", exit_kind=int(ExitKind.MANUAL), side=-1, profit=12.5)])
    assert mailbox.positions(ACCOUNT) == []
    assert state(mailbox) is S.FILLED
    line = mailbox.positions_journal(ACCOUNT)[-1]
    assert (line.change, line.by, line.side, line.profit, line.exit_kind) == ("closed", "person", 1, 12.5, int(ExitKind.MANUAL))


def test_a_person_may_open_a_position_of_their_own(mailbox: Mailbox) -> None:
    mailbox.record_reports([report("r1", "filled", None, side=-1, ticket=99)])
    (held,) = mailbox.positions(ACCOUNT)
    assert (held.ticket, held.side, held.signal_id) == (99, -1, None)
    assert changes(mailbox) == [("opened", "person", 0.1)]


@pytest.mark.parametrize("kind", ["filled", "closed"])
def test_a_close_signal_closes_its_position_in_parts_and_whole(mailbox: Mailbox, kind: str) -> None:
    deliver(mailbox, signal(lots=0.3))
    mailbox.record_reports([report("r1", "filled", lots=0.3)])
    deliver(mailbox, signal("s2", "close", ticket=7, lots=0.3))
    mailbox.record_reports([report("r2", "partially_filled", "s2", lots=0.1, ticket=20)])
    assert (mailbox.positions(ACCOUNT)[0].lots, state(mailbox, "s2")) == (pytest.approx(0.2), S.PARTIALLY_FILLED)
    mailbox.record_reports([report("r3", kind, "s2", lots=0.2, ticket=21)])
    assert mailbox.positions(ACCOUNT) == []
    assert state(mailbox, "s2") is S.FILLED
    assert [by for _, by, _ in changes(mailbox)] == ["s1", "s2", "s2"]


def test_a_modify_signal_moves_the_stop_and_the_target_of_a_position(mailbox: Mailbox) -> None:
    deliver(mailbox, signal())
    mailbox.record_reports([report("r1", "filled")])
    deliver(mailbox, signal("s2", "modify", ticket=7, stop=1.09, target=1.2))
    mailbox.record_reports([report("r2", "modified", "s2", stop=1.09, target=1.2, ticket=None, price=None)])
    (held,) = mailbox.positions(ACCOUNT)
    assert (held.stop, held.target, state(mailbox, "s2")) == (1.09, 1.2, S.FILLED)
    assert changes(mailbox)[-1][:2] == ("modified", "s2")


def test_a_trailing_stop_that_the_terminal_moves_is_journalled_as_its_own(mailbox: Mailbox) -> None:
    deliver(mailbox, signal())
    mailbox.record_reports([report("r1", "filled"), report("r2", "modified", None, stop=1.095, lots=0.0)])
    assert mailbox.positions(ACCOUNT)[0].stop == 1.095
    assert changes(mailbox)[-1][:2] == ("modified", "terminal")


def test_a_working_order_is_placed_modified_and_filled(mailbox: Mailbox) -> None:
    deliver(mailbox, signal(entry="stop", entry_price=1.2))
    mailbox.record_reports([report("r1", "placed", price=1.2)])
    (working,) = mailbox.working_orders(ACCOUNT)
    assert (working.ticket, working.entry, working.price, working.signal_id, state(mailbox)) == (7, "stop", 1.2, "s1", S.PLACED)
    deliver(mailbox, signal("s2", "modify", ticket=7, entry_price=1.21))
    mailbox.record_reports([report("r2", "modified", "s2", price=1.21, stop=1.19)])
    assert (mailbox.working_orders(ACCOUNT)[0].price, mailbox.working_orders(ACCOUNT)[0].stop) == (1.21, 1.19)
    mailbox.record_reports([report("r3", "filled", price=1.2101)])
    assert mailbox.working_orders(ACCOUNT) == []
    assert [held.ticket for held in mailbox.positions(ACCOUNT)] == [7]


@pytest.mark.parametrize("named", ["s2", "s1", None])
def test_a_cancel_signal_ends_the_working_order_and_the_signal_behind_it(mailbox: Mailbox, named: str | None) -> None:
    deliver(mailbox, signal(entry="limit", entry_price=1.0))
    mailbox.record_reports([report("r1", "placed", price=1.0)])
    deliver(mailbox, signal("s2", "cancel", ticket=7))
    mailbox.record_reports([report("r2", "cancelled", named)])
    assert mailbox.working_orders(ACCOUNT) == []
    assert state(mailbox, "s1") is S.CANCELLED
    assert state(mailbox, "s2") is (S.FILLED if named == "s2" else S.ACKNOWLEDGED)


def test_a_cancel_signal_that_was_rejected_leaves_the_order_working(mailbox: Mailbox) -> None:
    deliver(mailbox, signal(entry="limit", entry_price=1.0))
    mailbox.record_reports([report("r1", "placed", price=1.0)])
    deliver(mailbox, signal("s2", "cancel", ticket=7))
    mailbox.record_reports([report("r2", "rejected", "s2", retcode=10029, message="frozen")])
    assert len(mailbox.working_orders(ACCOUNT)) == 1
    assert (state(mailbox, "s1"), state(mailbox, "s2"), mailbox.signal("s2").message) == (S.PLACED, S.REJECTED, "frozen")


def test_an_order_that_expires_ends_its_signal(mailbox: Mailbox) -> None:
    deliver(mailbox, signal(entry="stop", entry_price=1.2))
    mailbox.record_reports([report("r1", "placed", price=1.2), report("r2", "expired")])
    assert (mailbox.working_orders(ACCOUNT), state(mailbox)) == ([], S.EXPIRED)


def test_on_a_netting_account_an_opposite_fill_closes_first_and_then_turns(mailbox: Mailbox) -> None:
    deliver(mailbox, signal(lots=0.3), signal("s2", side=-1, lots=0.1), signal("s3", side=-1, lots=0.5))
    mailbox.record_reports([report("r1", "filled", lots=0.3)])
    mailbox.record_reports([report("r2", "filled", "s2", lots=0.1, side=-1, position_ticket=7, ticket=8)])
    assert [(p.side, p.lots) for p in mailbox.positions(ACCOUNT)] == [(1, pytest.approx(0.2))]
    mailbox.record_reports([report("r3", "filled", "s3", lots=0.5, side=-1, position_ticket=7, ticket=9, price=1.3)])
    assert [(p.side, p.lots, p.entry) for p in mailbox.positions(ACCOUNT)] == [(-1, pytest.approx(0.3), 1.3)]


def test_a_fill_without_any_ticket_is_refused_by_name(mailbox: Mailbox) -> None:
    deliver(mailbox, signal())
    with pytest.raises(BadInput, match=r"reports.0.position_ticket"):
        mailbox.record_reports([report("r1", "filled", ticket=None)])


def test_reports_for_an_account_or_of_anothers_signal_are_not_found(mailbox: Mailbox) -> None:
    deliver(mailbox, signal())
    other = report("r1", "filled").__class__(**(report("r1", "filled").__dict__ | {"account_id": "demo-2"}))
    with pytest.raises(NotFound, match="'demo-2' has said hello"):
        mailbox.record_reports([other])


def test_a_late_report_finds_an_unknown_signal_and_tells_what_became_of_it(mailbox: Mailbox) -> None:
    deliver(mailbox, signal())
    mailbox.sweep(10**14)
    assert state(mailbox) is S.UNKNOWN
    mailbox.record_reports([report("r1", "filled")])
    assert (state(mailbox), mailbox.must_reconcile(ACCOUNT)) == (S.FILLED, False)


def test_a_plain_positions_report_refreshes_the_account_and_the_profits_only(mailbox: Mailbox) -> None:
    deliver(mailbox, signal())
    mailbox.record_reports([report("r1", "filled")])
    mailbox.record_positions(snapshot(equity=9_000.25), [position(profit=-3.5), position(8)], [], {})
    assert mailbox.snapshot(ACCOUNT) == snapshot(equity=9_000.25)
    assert [(p.ticket, p.profit) for p in mailbox.positions(ACCOUNT)] == [(7, -3.5)]
    assert len(mailbox.snapshots(ACCOUNT)) == 1


def test_a_reconciliation_takes_over_what_a_person_did_while_nobody_listened(mailbox: Mailbox) -> None:
    deliver(mailbox, signal(), signal("s2", entry="stop", entry_price=1.2))
    mailbox.record_reports([report("r1", "filled"), report("r2", "placed", "s2", ticket=8)])
    result = reconcile(mailbox, {"s1": S.FILLED}, [position(50, side=-1, lots=0.2)], [order(60)])
    assert [(p.ticket, p.side) for p in mailbox.positions(ACCOUNT)] == [(50, -1)]
    assert [o.ticket for o in mailbox.working_orders(ACCOUNT)] == [60]
    assert changes(mailbox)[1:] == [("closed", "terminal", 0.1), ("opened", "person", 0.2)]
    assert result.resolved == {"s2": S.CANCELLED}
    assert len(result.differences) == 4
    assert reconcile(mailbox, {"s1": S.FILLED}, [position(50, side=-1, lots=0.2)], [order(60)]).differences == ()


def test_a_reconciliation_sees_a_stop_or_a_size_that_differs(mailbox: Mailbox) -> None:
    deliver(mailbox, signal(lots=0.3))
    mailbox.record_reports([report("r1", "filled", lots=0.3)])
    reconcile(mailbox, {"s1": S.FILLED}, [position(lots=0.1, stop=1.05, signal_id="s1")])
    (held,) = mailbox.positions(ACCOUNT)
    assert (held.lots, held.stop, held.signal_id) == (0.1, 1.05, "s1")
    assert changes(mailbox)[-1] == ("closed", "terminal", pytest.approx(0.2))


def test_unknown_signals_leave_by_the_terminals_list_and_those_it_does_not_know_expire(mailbox: Mailbox) -> None:
    deliver(mailbox, *(signal(f"s{n}") for n in range(1, 5)))
    mailbox.sweep(10**14)
    known = {"s1": S.FILLED, "s2": S.ACKNOWLEDGED}
    result = reconcile(mailbox, known, [position(7, signal_id="s1")], [order(8, signal_id="s3")])
    assert result.resolved == {"s1": S.FILLED, "s2": S.ACKNOWLEDGED, "s3": S.PLACED, "s4": S.EXPIRED}
    assert mailbox.signal("s4").message == "the terminal does not know it: it was never executed"
    assert mailbox.lease_pending(ACCOUNT, "new-lease") == []
    assert not mailbox.must_reconcile(ACCOUNT)


def test_a_signal_that_the_terminal_still_means_to_report_counts_as_overdue_from_its_latest_word(mailbox: Mailbox) -> None:
    deliver(mailbox, signal("s1"), signal("s2"))
    mailbox.sweep(10**14)
    for _ in range(2):
        before_ms = now_ms()
        time.sleep(0.01)
        reconcile(mailbox, {"s1": S.ACKNOWLEDGED, "s2": S.ACKNOWLEDGED})
        stored = mailbox.signal("s1")
        assert stored.state is S.ACKNOWLEDGED
        assert stored.acknowledged_ms is not None
        assert stored.acknowledged_ms > before_ms
        assert mailbox.sweep(before_ms + REPORT_DUE_MS).unknown == 0
    assert mailbox.sweep(now_ms() + REPORT_DUE_MS + 1_000).unknown == 2


@pytest.mark.parametrize("told", [S.REJECTED, S.EXPIRED, S.CANCELLED, S.FILLED], ids=lambda told: told.value)
@pytest.mark.parametrize("by", ["report", "reconciliation"])
@pytest.mark.parametrize("kept", [0, 1, 2], ids=["unknown", "acknowledged again", "unknown again"])
def test_an_overdue_signal_ends_with_the_terminals_word_however_often_it_was_kept(mailbox: Mailbox, told: SignalState, by: str, kept: int) -> None:
    deliver(mailbox, signal())
    mailbox.sweep(10**14)
    if kept:
        reconcile(mailbox, {"s1": S.ACKNOWLEDGED})
    if kept == 2:
        mailbox.sweep(10**14)
    assert state(mailbox) is (S.ACKNOWLEDGED if kept == 1 else S.UNKNOWN)
    if by == "report":
        mailbox.record_reports([report("r1", told.value)])
    else:
        assert reconcile(mailbox, {"s1": told}).resolved == {"s1": told}
    assert state(mailbox) is told
    assert not mailbox.must_reconcile(ACCOUNT)
    assert mailbox.sweep(10**14).unknown == 0
    reconcile(mailbox, {"s1": told})
    assert state(mailbox) is told


def test_a_position_of_a_signal_that_counted_as_never_executed_is_told_as_a_contradiction(mailbox: Mailbox) -> None:
    deliver(mailbox, signal())
    mailbox.sweep(10**14)
    reconcile(mailbox)
    result = reconcile(mailbox, {}, [position(7, signal_id="s1")])
    assert "signal s1 is expired and cannot become filled" in result.differences
    assert [p.ticket for p in mailbox.positions(ACCOUNT)] == [7]


def test_a_reconciliation_leaves_a_running_lease_and_strange_ids_alone(mailbox: Mailbox) -> None:
    deliver(mailbox, signal("s0"))
    mailbox.withdraw("s0", "")
    issue(mailbox, signal("s1"), signal("s2"))
    mailbox.lease_pending(ACCOUNT, "lease-1", limit=1)
    result = reconcile(mailbox, {"s2": S.FILLED, "never": S.FILLED})
    assert (state(mailbox, "s1"), state(mailbox, "s2")) == (S.LEASED, S.PENDING)
    assert len(result.differences) == 2
