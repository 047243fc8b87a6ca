"""The simulated terminal over real HTTP: what it does beyond the lockstep that the desk's tests show."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from components.bridge import Mailbox
from components.bridge.issue import issue_signals
from components.desk import twin_replay
from components.execution import PaperBroker, compile_all
from components.fx import AccountSpec, BadInput, Refused, Signal, SignalState, instrument
from tests.desk.live import Live, deploy, terminal_of

EURUSD = instrument("EURUSD")
ACCOUNT = "sim-sma_cross"


@pytest.fixture
def live(home: Path) -> Iterator[Live]:
    platform = Live(home)
    try:
        yield platform
    finally:
        platform.stop()


@pytest.mark.slow
def test_a_free_running_session_trades_and_both_books_agree(live: Live) -> None:
    compile_all()
    ids, path = deploy(live, ["sma_cross"], 50)
    live.start("api")
    live.start("desk")
    live.wait_ready()
    terminal = terminal_of(live, "sma_cross")
    terminal.connect(path)
    assert terminal.replay(path, threading.Event(), bars_per_s=2.5)
    report = twin_replay(live.home, ids["sma_cross"])
    assert report.fills_live >= 2
    mailbox = Mailbox.open(live.home)
    assert {p.ticket for p in mailbox.positions(ACCOUNT)} == {int(p[0]) for p in terminal.broker.positions("EURUSD")}
    assert not {s.state for s in mailbox.signals(limit=1000)} & {SignalState.UNKNOWN, SignalState.LEASED, SignalState.ACKNOWLEDGED}
    mailbox.close()


@pytest.mark.slow
def test_what_comes_too_late_or_cannot_be_done_is_reported_and_not_executed(live: Live) -> None:
    _, path = deploy(live, ["sma_cross"], 6)
    live.start("api")
    live.start("desk")
    live.wait_ready()
    terminal = terminal_of(live, "sma_cross")
    terminal.connect(path)
    mailbox = Mailbox.open(live.home)
    first = int(path.time_ms[0])
    late = Signal("late", ACCOUNT, "person", "open", "EURUSD", 1, lots=0.1, deliver_by_ms=first - 1)
    wrong = Signal("wrong", ACCOUNT, "person", "modify", "EURUSD", 1, ticket=77, stop=1.0, deliver_by_ms=first + 10**9)
    huge = Signal("huge", ACCOUNT, "person", "open", "EURUSD", 1, lots=90.0, deliver_by_ms=first + 10**9)
    brief = Signal(
        "brief",
        ACCOUNT,
        "person",
        "open",
        "EURUSD",
        1,
        entry="limit",
        entry_price=0.5,
        lots=0.1,
        deliver_by_ms=first + 10**9,
        order_expires_at_ms=first + 60_000,
    )
    issue_signals(mailbox, [late, wrong, huge, brief], {"by": "a test"})
    assert terminal.replay(path, threading.Event())
    ends = {name: mailbox.signal(name) for name in ("late", "wrong", "huge", "brief")}
    assert {name: stored.state for name, stored in ends.items()} == {
        "late": SignalState.EXPIRED,
        "wrong": SignalState.REJECTED,
        "huge": SignalState.REJECTED,
        "brief": SignalState.EXPIRED,
    }
    assert "deliver_by" in ends["late"].message
    assert "does not exist" in ends["wrong"].message
    assert "not enough money" in ends["huge"].message
    assert mailbox.positions(ACCOUNT) == []
    mailbox.close()


def test_the_paper_broker_takes_up_its_book_where_it_was() -> None:
    first, second = PaperBroker(AccountSpec(), [EURUSD]), PaperBroker(AccountSpec(), [EURUSD])
    first.apply(Signal("a", "x", "y", "open", "EURUSD", 1, lots=0.1, stop=1.09))
    ticks = np.array([1_000, 2_000]), np.array([1.1, 1.101]), np.array([1.1001, 1.1011])
    assert [event.kind.name for event in first.match("EURUSD", *ticks)] == ["OPENED"]
    second.restore(first.dump())
    assert second.equity == first.equity != 10_000.0
    down = np.array([3_000]), np.array([1.08]), np.array([1.0801])
    assert repr(second.match("EURUSD", *down)) == repr(first.match("EURUSD", *down))
    assert second.balance == first.balance < 10_000.0


def test_the_paper_broker_refuses_what_it_cannot_simulate() -> None:
    with pytest.raises(BadInput, match="hedging"):
        PaperBroker(AccountSpec(margin_mode="netting"), [EURUSD])
    with pytest.raises(BadInput, match="GBPUSD"):
        PaperBroker(AccountSpec(), [EURUSD]).apply(Signal("a", "x", "y", "open", "GBPUSD", 1, lots=0.1))


@pytest.mark.slow
def test_a_signal_that_was_lost_on_the_way_is_reconciled_while_the_terminal_runs(live: Live) -> None:
    _, path = deploy(live, ["sma_cross"], 40)
    live.start("api")
    live.start("desk")
    live.wait_ready()
    terminal = terminal_of(live, "sma_cross")
    terminal.connect(path)
    mailbox = Mailbox.open(live.home)
    lost = Signal("lost", ACCOUNT, "person", "open", "EURUSD", 1, lots=0.1)
    issue_signals(mailbox, [lost], {"by": "a test"})
    assert mailbox.lease_pending(ACCOUNT, "a lease of nobody", lease_ms=0)
    mailbox.sweep(lost.created_ms + 10**13)
    assert mailbox.signal("lost").state is SignalState.UNKNOWN
    assert terminal.replay(path, threading.Event())
    assert mailbox.signal("lost").state is SignalState.EXPIRED
    assert not mailbox.must_reconcile(ACCOUNT)
    mailbox.close()


@pytest.mark.slow
def test_a_stop_while_it_waits_for_the_desk_plays_nothing_of_the_undecided_bar(live: Live) -> None:
    _, path = deploy(live, ["sma_cross"], 5)
    live.start("api")
    live.start("desk")
    live.wait_ready()
    live.kill("desk")
    terminal = terminal_of(live, "sma_cross")
    terminal.connect(path)
    stop = threading.Event()
    threading.Timer(1.0, stop.set).start()
    assert not terminal.replay(path, stop)
    assert terminal.next_tick == 0


@pytest.mark.slow
def test_a_second_terminal_on_the_same_account_is_refused(live: Live) -> None:
    _, path = deploy(live, ["sma_cross"], 5)
    live.start("api")
    live.start("desk")
    live.wait_ready()
    first, second = terminal_of(live, "sma_cross"), terminal_of(live, "sma_cross")
    first.connect(path)
    with pytest.raises(Refused, match="another terminal plays account sim-sma_cross"):
        second.connect(path)


def test_a_close_whose_position_is_gapped_out_at_the_same_price_is_answered() -> None:
    """Otherwise nobody would ever report on the close, and its signal would stay unknown for ever."""
    broker = PaperBroker(AccountSpec(), [EURUSD])
    broker.apply(Signal("a", "x", "y", "open", "EURUSD", 1, lots=0.1, stop=1.09))
    broker.match("EURUSD", np.array([1_000]), np.array([1.1]), np.array([1.1001]))
    placed = broker.apply(Signal("b", "x", "y", "close", "EURUSD", 1, ticket=1))
    events = broker.match("EURUSD", np.array([2_000]), np.array([1.08]), np.array([1.0801]))
    assert [(event.kind.name, event.order_ticket) for event in events] == [("CLOSED", 0), ("REFUSED", placed.ticket)]
    assert len(broker.orders("EURUSD")) == 0
