"""What a session does and refuses, on real stores, without processes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.base import Settings
from components.bridge import BarStore, Mailbox, StoredSignal, SymbolFacts, TerminalFacts, TickStore
from components.desk import Deployment, DeploymentSpec, DeskStore, Session, TradingState, compare_seen, run_desk, seen_bars
from components.fx import AccountSnapshot, BadInput, NotFound, Refused, Report, SignalState, Tick, Timeframe, instrument, to_ms
from components.pipeline import PipelineStore, bars_from_ticks, collect
from components.terminal import TickPath, ticks_of_bars

ACCOUNT = "sim-1"
DENSE = {"fast": 2, "slow": 3, "stop_atr": 2.0, "target_atr": 2.0}


class Room:
    """The desk's stores with a terminal that has said hello, and recorded ticks to feed."""

    def __init__(self, home: Path, *, is_demo: bool = True, margin_mode: str = "hedging") -> None:
        self.home = home
        self.bar_set = collect(home, "sample", "EURUSD", "H1")
        pipeline = PipelineStore.open(home)
        self.bars = pipeline.load_bars(self.bar_set.id).iloc[-60:]
        pipeline.close()
        self.desk, self.mailbox, self.ticks = DeskStore.open(home), Mailbox.open(home), TickStore.open(home)
        eurusd = SymbolFacts("EURUSD", "EURUSD.raw", 5, 100_000.0, 0.01, 0.01, 100.0)
        self.mailbox.hello(TerminalFacts(ACCOUNT, "USD", 30.0, margin_mode, is_demo, "replay", symbols=(eurusd,)))
        self.mailbox.record_positions(AccountSnapshot(ACCOUNT, 1, "USD", 10_000.0, 10_000.0, 0.0, 30.0, margin_mode), [], [], {})
        self.path: TickPath = ticks_of_bars(self.bars, instrument("EURUSD"), Timeframe.H1, spread_points=10.0, step_points=50.0)
        self.fed = 0

    def deploy(self, **changes: Any) -> Deployment:
        values = {"account_id": ACCOUNT, "symbol": "EURUSD", "strategy": "sma_cross", "params": DENSE, "bar_set_id": self.bar_set.id}
        values |= {"history_until_ms": to_ms(self.bars.index[0])} | changes
        return self.desk.arm(self.desk.create(DeploymentSpec(**values)).id)

    def session(self, deployment: Deployment) -> Session:
        return Session(self.home, deployment, self.desk, self.mailbox, self.ticks)

    def feed(self, bars: int, *sessions: Session) -> None:
        """Bring the ticks of the next bars one bar at a time, as a live market does."""
        for k in range(self.fed, self.fed + bars):
            # Up to the first tick of the next bar, which closes this one.
            self.feed_ticks(int(self.path.starts[k]) + (1 if k else 0), int(self.path.starts[k + 1]) + 1, *sessions)
        self.fed += bars

    def feed_ticks(self, first: int, last: int, *sessions: Session) -> None:
        """Bring ticks by their index in the path."""
        path = self.path
        self.ticks.append(ACCOUNT, [Tick("EURUSD", int(path.time_ms[i]), float(path.bid[i]), float(path.ask[i]), i + 1) for i in range(first, last)])
        for session in sessions:
            session.catch_up()

    def open_first(self, session: Session) -> StoredSignal:
        """Let the first entry be filled, as a terminal reports it."""
        while not (pending := self.mailbox.signals(limit=1)):
            self.feed(1, session)
        signal = pending[0].signal
        self.mailbox.lease_pending(ACCOUNT, "first")
        self.mailbox.acknowledge(signal.id, ACCOUNT)
        filled = {"side": signal.side, "lots": signal.lots, "price": 1.23, "position_ticket": 1}
        self.mailbox.record_reports([Report("filled-1", ACCOUNT, "filled", 1, "EURUSD", signal.id, 1, **filled)])
        return pending[0]

    def states(self) -> set[SignalState]:
        return {stored.state for stored in self.mailbox.signals(limit=1000)}

    def close(self) -> None:
        for store in (self.ticks, self.mailbox, self.desk):
            store.close()


@pytest.fixture
def room(home: Path) -> Iterator[Room]:
    made = Room(home)
    try:
        yield made
    finally:
        made.close()


def test_a_session_issues_pending_signals_that_name_their_strategy_and_reason(room: Room) -> None:
    deployment = room.deploy()
    room.feed(12, room.session(deployment))
    signals = room.mailbox.signals(limit=100)
    assert signals
    assert room.states() == {SignalState.PENDING}
    signal = signals[-1].signal
    assert signal.strategy == "sma_cross"
    assert "crossed" in signal.reason_text
    assert signal.deployment_id == deployment.id
    assert len(signal.id) <= 26
    assert signal.stop is not None
    assert signal.lots > 0


def test_an_entry_that_is_still_on_its_way_takes_the_place_of_a_position(room: Room) -> None:
    room.feed(30, room.session(room.deploy()))
    actions = [stored.signal.action for stored in room.mailbox.signals(limit=100)]
    assert actions == ["open"], "nobody fetched the first signal, so there is nothing to close and no room for another"


def test_halt_takes_back_what_nobody_has_fetched_and_issues_nothing_more(room: Room) -> None:
    deployment = room.deploy()
    session = room.session(deployment)
    room.feed(12, session)
    room.desk.halt("a person pulled the switch")
    assert room.states() == {SignalState.CANCELLED}
    before = len(room.mailbox.signals(limit=1000))
    room.feed(12, session)
    assert len(room.mailbox.signals(limit=1000)) == before
    assert {bar.outcome for bar in room.desk.bars(deployment.id)[-12:]} == {"halted"}
    assert room.desk.trading_state() == TradingState.HALTED.value
    room.desk.resume("looked at it")
    room.feed(12, session)
    assert len(room.mailbox.signals(limit=1000)) > before


def test_reducing_takes_back_an_unfetched_entry_and_issues_no_new_one(room: Room) -> None:
    session = room.session(room.deploy())
    room.feed(12, session)
    assert room.states() == {SignalState.PENDING}
    room.desk.reduce("news ahead")
    assert room.states() == {SignalState.CANCELLED}
    before = len(room.mailbox.signals(limit=1000))
    room.feed(25, session)
    assert len(room.mailbox.signals(limit=1000)) == before


def test_reducing_still_closes_an_open_position(room: Room) -> None:
    session = room.session(room.deploy())
    opener = room.open_first(session)
    room.desk.reduce("news ahead")
    room.feed(25, session)
    actions = [stored.signal.action for stored in room.mailbox.signals(limit=1000)]
    assert actions == ["close", "open"]
    assert room.mailbox.signals(limit=1)[0].signal.ticket == 1
    assert opener.signal.action == "open"


@pytest.mark.parametrize("switch", ["halt", "reduce", "disarm"])
def test_every_switch_cancels_working_entries(room: Room, switch: str) -> None:
    deployment = room.deploy(strategy="pullback", params={"trend": 12, "rsi_period": 2, "rsi_low": 49.0, "leave_on_turn": False})
    session = room.session(deployment)
    while not (pending := room.mailbox.signals(limit=1)):
        room.feed(1, session)
    signal = pending[0].signal
    room.mailbox.lease_pending(ACCOUNT, "lease")
    room.mailbox.acknowledge(signal.id, ACCOUNT)
    room.mailbox.record_reports(
        [Report("r1", ACCOUNT, "placed", 1, "EURUSD", signal.id, 1, side=signal.side, lots=signal.lots, price=signal.entry_price)]
    )
    if switch == "disarm":
        room.desk.disarm(deployment.id, "enough")
    else:
        getattr(room.desk, switch)("enough")
    cancel = room.mailbox.signals(limit=1)[0]
    assert (cancel.signal.action, cancel.signal.ticket, cancel.state) == ("cancel", 1, SignalState.PENDING)
    assert len(cancel.signal.id) <= 26
    assert [s.id for s in room.mailbox.lease_pending(ACCOUNT, "another")] == [cancel.signal.id]


def test_a_halt_between_decision_and_issue_lets_nothing_out(room: Room) -> None:
    session = room.session(room.deploy())
    decide = session.strategy.decide

    def halt_meanwhile(*args: Any) -> Any:
        room.desk.halt("in the middle of a decision")
        return decide(*args)

    session.strategy = replace(session.strategy, decide=halt_meanwhile)
    room.feed(1, session)
    while room.desk.bars(session.deployment.id)[-1].outcome == "decided" and room.fed < 20:
        room.desk.resume()
        room.feed(1, session)
    assert SignalState.PENDING not in room.states()


def test_a_signal_that_nobody_can_account_for_is_named_while_it_blocks(room: Room) -> None:
    deployment = room.deploy()
    session = room.session(deployment)
    while not (pending := room.mailbox.signals(limit=1)):
        room.feed(1, session)
    room.mailbox.lease_pending(ACCOUNT, "lost", lease_ms=0)
    room.mailbox.sweep(pending[0].issued_ms + 10**6)
    assert room.states() == {SignalState.UNKNOWN}
    room.feed(2, session)
    assert "unknown until the terminal reconciles" in room.desk.bars(deployment.id)[-1].note


def test_sizes_follow_what_the_broker_says_a_lot_is(room: Room) -> None:
    facts = room.mailbox.terminal(ACCOUNT).facts
    room.mailbox.hello(replace(facts, symbols=(replace(facts.symbols[0], contract_size=1_000.0, lot_step=0.1, lot_min=0.1),)))
    session = room.session(room.deploy())
    while not (pending := room.mailbox.signals(limit=1)):
        room.feed(1, session)
    lots = pending[0].signal.lots
    assert lots > 5.0, "a lot of a thousand units needs a hundred times as many lots"
    assert lots * 10 == pytest.approx(round(lots * 10))


def test_without_the_brokers_facts_nothing_is_issued(room: Room) -> None:
    room.mailbox.hello(replace(room.mailbox.terminal(ACCOUNT).facts, symbols=()))
    deployment = room.deploy()
    room.feed(12, room.session(deployment))
    assert room.mailbox.signals(limit=10) == []
    assert "has not told what EURUSD is" in room.desk.bars(deployment.id)[-1].note


def test_history_of_another_symbol_or_timeframe_is_refused(room: Room) -> None:
    with pytest.raises(BadInput, match="holds EURUSD H1"):
        room.deploy(timeframe="M15")
    with pytest.raises(BadInput, match="holds EURUSD H1"):
        room.deploy(symbol="USDJPY")


def test_too_little_history_is_refused_bar_by_bar_with_the_number_that_is_needed(room: Room) -> None:
    deployment = room.deploy(anchor_ms=to_ms(room.bars.index[0]) - 10 * 3_600_000)
    room.feed(5, room.session(deployment))
    assert room.mailbox.signals(limit=10) == []
    assert "needs" in room.desk.bars(deployment.id)[-1].note


def test_a_first_bar_of_which_the_beginning_was_not_seen_is_not_decided(room: Room) -> None:
    deployment = room.deploy()
    session = room.session(deployment)
    room.feed_ticks(int(room.path.starts[1]) // 2, int(room.path.starts[1]) + 1, session)
    assert room.desk.bars(deployment.id)[0].outcome == "partial"


def test_an_unreadable_deployment_keeps_none_of_the_others_from_trading(room: Room) -> None:
    good, bad = room.deploy(), room.deploy()
    with room.desk.database.write() as connection:
        connection.exec_driver_sql('UPDATE deployments SET spec = \'{"of": "another version"}\' WHERE id = ?', (bad.id,))
    found = {item.id: item for item in room.desk.deployments()}
    assert found[good.id].state == "armed"
    assert found[bad.id].state == "disarmed"
    assert "cannot read it" in found[bad.id].note


def test_a_disarmed_deployment_only_watches(room: Room) -> None:
    deployment = room.deploy()
    session = room.session(deployment)
    room.desk.disarm(deployment.id)
    room.feed(20, session)
    assert room.mailbox.signals(limit=100) == []
    assert {bar.outcome for bar in room.desk.bars(deployment.id)} == {"idle"}


def test_real_money_is_refused_unless_the_deployment_allows_it(home: Path) -> None:
    room = Room(home, is_demo=False)
    try:
        careful = room.deploy()
        room.feed(20, room.session(careful))
        assert room.mailbox.signals(limit=100) == []
        assert "real money" in " ".join(bar.note for bar in room.desk.bars(careful.id))
        room.desk.disarm(careful.id)
        room.feed(20, room.session(room.deploy(allow_real=True)))
        assert room.mailbox.signals(limit=100)
    finally:
        room.close()


def test_on_a_netting_account_one_deployment_holds_a_symbol(home: Path) -> None:
    room = Room(home, margin_mode="netting")
    try:
        first, second = room.deploy(), room.deploy()
        room.feed(20, room.session(first), room.session(second))
        assert {stored.signal.deployment_id for stored in room.mailbox.signals(limit=100)} == {first.id}
        assert f"deployment {first.id} holds EURUSD" in room.desk.bars(second.id)[-1].note
    finally:
        room.close()


def test_a_desk_that_died_before_it_noted_its_signals_does_not_issue_them_again(room: Room) -> None:
    deployment = room.deploy()
    session = room.session(deployment)
    while not room.mailbox.signals(limit=1):
        room.feed(1, session)
    issued = room.mailbox.signals(limit=100)
    with room.desk.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM decided_bars WHERE open_ms = (SELECT max(open_ms) FROM decided_bars)")
    again = room.session(deployment)
    again.catch_up()
    assert [s.signal for s in room.mailbox.signals(limit=100)] == [s.signal for s in issued]
    assert room.desk.bars(deployment.id)[-1].note == "its signals were issued before a restart"


def test_bars_that_are_found_too_late_are_recorded_as_stale(room: Room) -> None:
    deployment = room.deploy()
    session = room.session(deployment)
    room.feed(20)
    session.catch_up()
    outcomes = [bar.outcome for bar in room.desk.bars(deployment.id)]
    assert outcomes[:-2] == ["stale"] * 18
    assert outcomes[-1] == "decided"


def test_a_session_that_restarts_inside_a_bar_sees_the_same_bars(room: Room) -> None:
    deployment = room.deploy()
    room.feed(15, room.session(deployment))
    start, end = int(room.path.starts[15]) + 1, int(room.path.starts[16]) + 1
    middle = (start + end) // 2
    room.feed_ticks(start, middle, room.session(deployment))
    room.feed_ticks(middle, end, room.session(deployment))
    room.fed = 16
    room.feed(10, room.session(deployment))
    seen = room.desk.bars(deployment.id)
    path, last = room.path, int(room.path.starts[26])
    built = bars_from_ticks(path.time_ms[:last], path.bid[:last], path.ask[:last], Timeframe.H1, 1e-5, include_forming=True)
    for name in ("open", "high", "low", "close", "volume", "spread_points"):
        assert [getattr(bar, name) for bar in seen] == pytest.approx(built[name].tolist(), abs=1e-9), name


def test_a_late_tick_is_late_after_a_restart_too(room: Room) -> None:
    """The newest time is not in the tick behind the last decided bar: without it a session that restarts there made a second bar of the late tick."""
    deployment = room.deploy()
    session = room.session(deployment)
    room.feed(3, session)
    seq, start = int(room.path.starts[3]) + 1, int(room.path.time_ms[int(room.path.starts[3])])
    hour = Timeframe.H1.ms
    times = [start + 1_000, start + hour - 500, start + 5_000, start + hour + 10, start + hour + 20]
    room.ticks.append(ACCOUNT, [Tick("EURUSD", at, 1.2, 1.2001, seq + number) for number, at in enumerate(times, 1)])
    session.catch_up()
    assert session.late == 1
    again = room.session(deployment)
    room.ticks.append(ACCOUNT, [Tick("EURUSD", start + 2 * hour, 1.2, 1.2001, seq + 6)])
    again.catch_up()
    assert [bar.open_ms for bar in room.desk.bars(deployment.id)][-2:] == [start, start + hour]
    assert again.late == 1
    assert compare_seen(room.home, deployment.id).is_equal


def test_a_decided_bar_that_ticks_made_otherwise_since_is_told_and_stays_as_it_was_seen(room: Room) -> None:
    deployment = room.deploy()
    first, last = int(room.path.starts[5]), int(room.path.starts[5]) + 3
    session = room.session(deployment)
    room.feed_ticks(0, first, session)
    room.feed_ticks(last, int(room.path.starts[8]) + 1, session)
    before = compare_seen(room.home, deployment.id)
    assert (before.bars, before.is_equal) == (8, True)
    room.feed_ticks(first, last, session)
    after = compare_seen(room.home, deployment.id)
    assert (after.changed, after.gone, after.compared) == (1, 0, 0)
    (change,) = after.changes
    assert change.now is not None
    assert change.now[4] - change.seen[4] == 3, "three ticks came in under older numbers"
    kept = seen_bars(room.home, deployment.id)
    assert tuple(kept.loc[pd.to_datetime(change.open_ms, unit="ms", utc=True), list(change.fields)]) == change.seen
    posted = BarStore(room.ticks.database)
    posted.post(ACCOUNT, "EURUSD", Timeframe.H1, [(change.open_ms, *change.now)], 0)
    assert (compare_seen(room.home, deployment.id).compared, compare_seen(room.home, deployment.id).revised) == (1, 0)
    posted.post(ACCOUNT, "EURUSD", Timeframe.H1, [(change.open_ms, *change.now[:5], 99.0)], 0)
    assert compare_seen(room.home, deployment.id).revised == 1
    with pytest.raises(NotFound):
        compare_seen(room.home, "nobody")


def test_the_desk_wishes_for_bars_of_what_it_trades(room: Room) -> None:
    deployment = room.deploy()
    room.feed(2)
    stop = threading.Event()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings = Settings(home=room.home, desk_port=probe.getsockname()[1], _env_file=None)
    desk = threading.Thread(target=run_desk, args=(settings, stop))
    desk.start()
    give_up = time.monotonic() + 60
    while len(room.desk.bars(deployment.id)) < 2 and desk.is_alive() and time.monotonic() < give_up:
        time.sleep(0.05)
    stop.set()
    desk.join(30)
    wanted = BarStore(room.ticks.database).wanted(ACCOUNT, "EURUSD", None, int(room.path.time_ms[-1]))
    assert {stretch.timeframe for stretch in wanted} == {"H1"}, "these few ticks an hour leave silences"
    assert min(stretch.from_ms for stretch in wanted) == int(room.path.time_ms[0]), "what comes before the first tick is not wished for"


def test_a_deployment_with_an_unknown_strategy_parameter_or_model_is_refused(room: Room) -> None:
    with pytest.raises(BadInput, match=r"params\.fast"):
        room.deploy(params={"fast": 1})
    with pytest.raises(BadInput, match="strategy"):
        room.deploy(strategy="martingale")
    with pytest.raises(BadInput, match="model_id"):
        room.deploy(strategy="model_edge", params={})
    with pytest.raises(NotFound, match="sequence deploy list"):
        room.desk.arm("d0000")


def test_history_that_overlaps_the_live_bars_is_refused(room: Room) -> None:
    session = room.session(room.deploy(history_until_ms=0))
    with pytest.raises(BadInput, match="history_until_ms"):
        room.feed(3, session)


def test_only_a_disarmed_deployment_can_be_archived_and_its_journals_stay(room: Room) -> None:
    deployment = room.deploy()
    room.feed(12, room.session(deployment))
    with pytest.raises(Refused, match="disarm it"):
        room.desk.archive(deployment.id)
    room.desk.disarm(deployment.id)
    room.desk.archive(deployment.id)
    assert room.desk.deployments() == []
    assert room.desk.bars(deployment.id)
    assert room.mailbox.signals(deployment_id=deployment.id)


def test_a_bar_found_late_on_a_live_market_is_no_reason_to_enter(home: Path) -> None:
    """A replayed market waits; a live one has moved on, here by ten minutes of an hour."""
    outcomes = {}
    for clock in ("replay", "wall"):
        room = Room(home / clock)
        room.mailbox.hello(replace(room.mailbox.terminal(ACCOUNT).facts, market_clock=clock))
        deployment = room.deploy()
        session = room.session(deployment)
        first_of_next = int(room.path.starts[1])
        late = int(np.searchsorted(room.path.time_ms, room.path.time_ms[first_of_next] + 10 * 60_000))
        room.feed_ticks(0, late + 1, session)
        outcomes[clock] = room.desk.bars(deployment.id)[0].outcome
        room.close()
    assert outcomes == {"replay": "decided", "wall": "stale"}


def test_a_live_account_that_has_stopped_telling_its_balance_gets_no_order(room: Room) -> None:
    room.mailbox.hello(replace(room.mailbox.terminal(ACCOUNT).facts, market_clock="wall"))
    deployment = room.deploy()
    room.feed(12, room.session(deployment))
    assert room.mailbox.signals(limit=10) == []
    assert "told its balance" in room.desk.bars(deployment.id)[-1].note


def test_bars_of_a_reduced_market_are_noted_as_such(room: Room) -> None:
    deployment = room.deploy()
    room.desk.reduce("news ahead")
    room.feed(3, room.session(deployment))
    assert {bar.outcome for bar in room.desk.bars(deployment.id)} == {"reduced"}


def test_the_desk_goes_on_with_the_others_when_one_deployment_cannot_be_read(room: Room) -> None:
    good, bad = room.deploy(), room.deploy()
    with room.desk.database.write() as connection:
        connection.exec_driver_sql("UPDATE deployments SET spec = '{}' WHERE id = ?", (bad.id,))
    room.feed(5)
    stop = threading.Event()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings = Settings(home=room.home, desk_port=probe.getsockname()[1], _env_file=None)
    desk = threading.Thread(target=run_desk, args=(settings, stop))
    desk.start()
    try:
        give_up = time.monotonic() + 60
        while len(room.desk.bars(good.id)) < 5 and desk.is_alive() and time.monotonic() < give_up:
            time.sleep(0.05)
        assert desk.is_alive(), "the desk ended"
        assert len(room.desk.bars(good.id)) == 5
    finally:
        stop.set()
        desk.join(30)
