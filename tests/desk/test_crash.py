"""Processes are killed with SIGKILL while ticks flow. Nothing acknowledged is missing, nothing is executed twice, and the result is the same."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.bridge import Mailbox, TickStore
from components.desk import DeskStore, twin_replay
from components.fx import SignalState
from tests.desk.live import Live, deploy, replay_all, terminal_of

pytestmark = pytest.mark.slow
BARS = 250


@pytest.fixture
def live(home: Path) -> Iterator[Live]:
    platform = Live(home)
    try:
        yield platform
    finally:
        platform.stop()


def test_api_and_desk_killed_in_turn_while_ticks_flow_change_nothing(live: Live) -> None:
    names = ["sma_cross", "pullback"]
    ids, path = deploy(live, names, BARS)
    live.start("api")
    live.start("desk")
    live.wait_ready()
    dice, over, kills = random.Random(5), threading.Event(), []

    def crash() -> None:
        for victim in ("desk", "api", "desk", "api", "desk", "api"):
            if over.wait(dice.uniform(0.3, 1.5)):
                return
            live.kill(victim)
            kills.append(victim)
            live.start(victim)
            live.wait_ready()

    crasher = threading.Thread(target=crash)
    crasher.start()
    replay_all(live, names, path)
    over.set()
    crasher.join()
    assert len(kills) >= 4, f"only {kills} fell into the replay"
    ticks, desk = TickStore.open(live.home), DeskStore.open(live.home)
    for name in names:
        assert ticks.count(f"sim-{name}") == len(path.bid)
        assert len(desk.bars(ids[name])) == BARS - 1
        report = twin_replay(live.home, ids[name])
        assert report.differences == ()
        assert report.fills_equal > 10
    ticks.close()
    desk.close()


def test_a_killed_terminal_executes_nothing_twice_and_every_signal_is_accounted_for(live: Live) -> None:
    ids, _ = deploy(live, ["sma_cross"], BARS)
    live.start("api")
    live.start("desk")
    live.wait_ready()
    dice = random.Random(6)
    command = ("-m", "components", "terminal", "--account", "sim-sma_cross")
    for _ in range(3):
        live.start("terminal", *command)
        _wait_for_ticks(live, more=200)
        time.sleep(dice.uniform(0.0, 0.7))
        live.kill("terminal")
    live.start("terminal", *command)
    assert live.processes["terminal"].wait(240) == 0, live.log("terminal")
    mailbox = Mailbox.open(live.home)
    stored = mailbox.signals(deployment_id=ids["sma_cross"], limit=10_000)
    assert len(stored) > 10
    assert {item.state for item in stored} <= {SignalState.FILLED, SignalState.EXPIRED, SignalState.REJECTED, SignalState.CANCELLED}
    openings = Counter(line.by for line in mailbox.positions_journal("sim-sma_cross") if line.change == "opened")
    assert max(openings.values()) == 1, "a signal opened two positions"
    filled = {item.signal.id for item in stored if item.state is SignalState.FILLED and item.signal.action == "open"}
    assert filled == set(openings)
    terminal = terminal_of(live, "sma_cross")
    assert {p.ticket for p in mailbox.positions("sim-sma_cross")} == {int(p[0]) for p in terminal.broker.positions("EURUSD")}
    mailbox.close()


def _wait_for_ticks(live: Live, more: int) -> None:
    store = TickStore.open(live.home)
    wanted = store.count() + more
    give_up = time.monotonic() + 120
    while store.count() < wanted:
        assert time.monotonic() < give_up, live.log("terminal")
        assert live.processes["terminal"].poll() is None, live.log("terminal")
        time.sleep(0.02)
    store.close()
