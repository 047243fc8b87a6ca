"""What a session does and refuses, on real stores, without processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.bridge import Mailbox, TerminalFacts, TickStore
from components.desk import Deployment, DeploymentSpec, DeskStore, Session, TradingState
from components.fx import AccountSnapshot, BadInput, NotFound, SignalState, Tick, Timeframe, instrument, to_ms
from components.pipeline import PipelineStore, collect
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
        self.mailbox.hello(TerminalFacts(ACCOUNT, "USD", 30.0, margin_mode, is_demo, "replay"))
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
        start = self.fed
        for k in range(start, start + bars):
            # Up to the first tick of the next bar, which closes this one.
            first = int(self.path.starts[k]) + (1 if k else 0)
            last = int(self.path.starts[k + 1]) + 1
            self.ticks.append(
                ACCOUNT,
                [Tick("EURUSD", int(self.path.time_ms[i]), float(self.path.bid[i]), float(self.path.ask[i]), i + 1) for i in range(first, last)],
            )
            for session in sessions:
                session.catch_up()
        self.fed = start + bars

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


def test_reducing_issues_no_entry(room: Room) -> None:
    room.desk.reduce("news ahead")
    room.feed(25, room.session(room.deploy()))
    assert room.mailbox.signals(limit=100) == []


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


def test_a_restarted_session_sees_the_same_bars(room: Room) -> None:
    deployment = room.deploy()
    room.feed(15, room.session(deployment))
    room.feed(15, room.session(deployment))
    bars = room.desk.bars(deployment.id)
    expected = room.bars.iloc[:30]
    assert [bar.close for bar in bars] == pytest.approx(expected["close"].tolist(), abs=1e-9)
    assert [bar.high for bar in bars] == pytest.approx(expected["high"].tolist(), abs=1e-9)


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
