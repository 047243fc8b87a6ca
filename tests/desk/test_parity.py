"""A lockstep replay through API, desk and terminal equals the step over the same ticks, one to one, for every strategy of the library."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.bridge import Mailbox
from components.desk import DeskStore, TwinReport, twin_replay
from components.execution import Costs
from components.fx import Tick
from components.pipeline import build_dataset, collect
from components.strategy import catalogue
from components.training import train
from tests.desk.live import Live, deploy, replay_all, terminal_of

pytestmark = pytest.mark.slow
NAMES = [item.name for item in catalogue()]
BARS = 900


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, dict[str, str]]]:
    home: Path = tmp_path_factory.mktemp("parity")
    live = Live(home)
    bar_set = collect(home, "sample", "EURUSD", "H1")
    dataset = build_dataset(home, bar_set.id)
    model_id = train(home, {"dataset_id": dataset.id})["model_id"]
    ids, path = deploy(live, NAMES, BARS, model_id)
    live.start("api")
    live.start("desk")
    try:
        live.wait_ready()
        replay_all(live, NAMES, path)
        yield live, ids
    finally:
        live.stop()


@pytest.fixture(scope="module")
def reports(replayed: tuple[Live, dict[str, str]]) -> dict[str, TwinReport]:
    live, ids = replayed
    return {name: twin_replay(live.home, ids[name]) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_every_signal_and_fill_of_the_journal_equals_the_steps(reports: dict[str, TwinReport], name: str) -> None:
    report = reports[name]
    assert report.differences == ()
    assert report.not_decided == {}
    assert report.is_equal
    assert report.signals_equal == report.signals_twin == report.signals_live > 0
    assert report.fills_equal == report.fills_twin == report.fills_live > 0
    assert report.profit_live == pytest.approx(report.profit_twin, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_comparison_is_one_that_could_fail(reports: dict[str, TwinReport], name: str) -> None:
    """Fewer than fifty trades, or no stop, target, gap or reversal among the exits, would prove nothing."""
    report = reports[name]
    assert report.trades >= 50
    assert {"STOP", "TARGET", "REVERSAL"} <= report.exits.keys()
    assert 0 < report.gaps < report.exits["STOP"] + report.exits["TARGET"], "both gapped and exact fills are needed"


def test_all_four_kinds_of_instruction_were_sent(replayed: tuple[Live, dict[str, str]]) -> None:
    live, ids = replayed
    mailbox = Mailbox.open(live.home)
    actions = {stored.signal.action for name in NAMES for stored in mailbox.signals(deployment_id=ids[name], limit=10_000)}
    mailbox.close()
    assert actions == {"open", "close", "modify", "cancel"}


def test_every_bar_was_decided_once_and_kept_as_it_was_seen(replayed: tuple[Live, dict[str, str]]) -> None:
    live, ids = replayed
    store = DeskStore.open(live.home)
    for name in NAMES:
        bars = store.bars(ids[name])
        assert len(bars) == BARS - 1, "the last bar is still forming"
        assert {bar.outcome for bar in bars} == {"decided"}
    store.close()


def test_both_books_agree_at_the_end(replayed: tuple[Live, dict[str, str]]) -> None:
    live, _ = replayed
    mailbox = Mailbox.open(live.home)
    for name in NAMES:
        terminal = terminal_of(live, name)
        ours = {(p.ticket, p.side, p.lots, p.entry) for p in mailbox.positions(f"sim-{name}")}
        theirs = {(int(p[0]), int(p[1]), float(p[2]), float(p[3])) for p in terminal.broker.positions("EURUSD")}
        assert ours == theirs
        snapshot = mailbox.snapshot(f"sim-{name}")
        assert snapshot is not None
        assert snapshot.balance == terminal.broker.balance
    mailbox.close()


def test_a_yen_pair_with_commission_and_slippage_agrees_too(home: Path) -> None:
    """EURUSD on a USD account hides every mistake of conversion; the prices are synthetic here."""
    live = Live(home)
    costs = Costs(slippage_points=1.0, commission_per_lot=3.5)
    ids, path = deploy(live, ["sma_cross", "atr_breakout"], 300, symbol="USDJPY", costs=costs, risk_fraction=0.02)
    live.start("api")
    live.start("desk")
    try:
        live.wait_ready()
        replay_all(live, ["sma_cross", "atr_breakout"], path)
        mailbox = Mailbox.open(home)
        for name, deployment_id in ids.items():
            report = twin_replay(home, deployment_id)
            assert report.differences == ()
            assert report.is_equal
            assert report.trades >= 15
            snapshot = mailbox.snapshot(f"sim-{name}")
            assert snapshot is not None
            opened = sum(p.lots for p in mailbox.positions(f"sim-{name}"))
            assert snapshot.balance == pytest.approx(10_000.0 + report.profit_live - 3.5 * opened, abs=1e-6)
        mailbox.close()
    finally:
        live.stop()


def test_a_session_that_has_done_nothing_is_not_called_equal(home: Path) -> None:
    live = Live(home)
    ids, path = deploy(live, ["sma_cross"], 3)
    live.start("api")
    try:
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up and "api_serves" not in live.log("api"):
            time.sleep(0.1)
        terminal = terminal_of(live, "sma_cross")
        terminal.connect(path)
        terminal.client.post_ticks("sim-sma_cross", [Tick("EURUSD", int(path.time_ms[0]), float(path.bid[0]), float(path.ask[0]), 1)])
        assert not twin_replay(home, ids["sma_cross"]).is_equal
    finally:
        live.stop()


def test_a_broker_that_charges_more_than_was_assumed_is_a_difference(home: Path) -> None:
    live = Live(home)
    ids, path = deploy(live, ["sma_cross"], 60)
    live.costs = Costs(commission_per_lot=5.0)
    live.start("api")
    live.start("desk")
    try:
        live.wait_ready()
        replay_all(live, ["sma_cross"], path)
        report = twin_replay(home, ids["sma_cross"])
        first = next(difference for difference in report.differences if difference.what == "fill")
        assert first.twin is not None
        assert first.live is not None
        assert first.twin[:-1] == first.live[:-1]
        assert first.twin[-1] == 0.0 < first.live[-1]
        assert not report.is_equal
    finally:
        live.stop()
