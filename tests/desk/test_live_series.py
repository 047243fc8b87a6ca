"""The live series end to end, in real processes: a terminal that loses ticks posts its bars when it is asked, and what was decided on stays seen."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.bridge import ApiClient, BarStore, TickStore, load_or_make_key
from components.desk import DeskStore, compare_seen, seen_bars, twin_replay
from components.fx import AccountSpec, Tick, Timeframe, instrument, to_ms
from components.pipeline import PipelineStore, collect
from components.terminal import SimulatedTerminal, TickPath, ticks_of_bars
from tests.desk.live import Live, bars_of, deploy

pytestmark = pytest.mark.slow
ACCOUNT, NAME, HOUR = "sim-sma_cross", "sma_cross", 3_600_000
H1 = Timeframe.H1
BARS, WARM_UP = 70, 40


@pytest.fixture
def live(home: Path) -> Iterator[Live]:
    platform = Live(home)
    try:
        yield platform
    finally:
        platform.stop()


def without(path: TickPath, first: int, last: int) -> TickPath:
    """The path less ticks `first` to `last` (excluded), as a terminal that was stopped for a while does not see them."""
    keep = np.ones(len(path.bid), dtype=bool)
    keep[first:last] = False
    counts = np.add.reduceat(keep.astype(np.int64), path.starts[:-1])
    starts = np.concatenate(([0], np.cumsum(counts[counts > 0])))
    return TickPath(path.time_ms[keep], path.bid[keep], path.ask[keep], starts)


def terminal(live: Live, bars: pd.DataFrame) -> SimulatedTerminal:
    client = ApiClient(live.url, load_or_make_key(live.home), 60.0)
    return SimulatedTerminal(live.home, client, ACCOUNT, AccountSpec(), instrument("EURUSD"), live.costs, history={H1: bars}, offset_ms=2 * HOUR)


def collected(live: Live) -> tuple[pd.DataFrame, float]:
    """The live series with `made_of`, and its quality."""
    bar_set = collect(live.home, "live", "EURUSD", "H1")
    store = PipelineStore.open(live.home)
    frame = store.load_bars(bar_set.id)
    store.close()
    return frame, bar_set.quality_score


def hole_of(path: TickPath) -> tuple[int, int]:
    """Ticks from the middle of bar 20 to the middle of bar 25."""
    middle = [(int(path.starts[k]) + int(path.starts[k + 1])) // 2 for k in (20, 25)]
    return middle[0], middle[1]


def test_a_hole_in_the_ticks_is_repaired_by_the_terminals_bars_while_the_api_is_killed_again_and_again(live: Live) -> None:
    ids, _ = deploy(live, [NAME], BARS)
    _, bars = bars_of(live, "EURUSD")
    # Dense enough that only the hole is a silence.
    whole = ticks_of_bars(bars.iloc[-BARS:], instrument("EURUSD"), H1, spread_points=10.0, step_points=1.0)
    path = without(whole, *hole_of(whole))
    first_ms = int(path.time_ms[0])
    wishes = BarStore.open(live.home)
    wishes.want(ACCOUNT, "EURUSD", H1, to_ms(bars.index[-BARS - WARM_UP]))
    live.start("api")
    live.start("desk")
    live.wait_ready()
    over, dice, kills = threading.Event(), random.Random(3), []

    def crash() -> None:
        while not over.wait(dice.uniform(0.3, 0.9)) and len(kills) < 4:
            live.kill("api")
            kills.append(time.monotonic())
            live.start("api")
            live.wait_ready()

    crasher = threading.Thread(target=crash)
    crasher.start()
    playing = terminal(live, bars)
    playing.connect(path)
    assert playing.replay(path, threading.Event())
    over.set()
    crasher.join()
    assert len(kills) >= 2, "too few kills fell into the replay"
    playing.tell_bars()
    assert wishes.wanted(ACCOUNT, "EURUSD", None, int(path.time_ms[-1])) == []

    frame, quality = collected(live)
    assert quality > 95
    expected = bars.iloc[-BARS - WARM_UP : -1]
    pd.testing.assert_frame_equal(frame[["open", "high", "low", "close"]], expected[["open", "high", "low", "close"]], check_freq=False)
    flags = frame["made_of"].tolist()
    away = np.flatnonzero(np.diff(pd.DatetimeIndex(expected.index).asi8) > HOUR)
    weekend = {int(k) for k in (*away, *(away + 1))}
    # A weekend is a silence too: the bars on its edges are the terminal's, which counted more ticks than the path has.
    assert flags == [int(k < WARM_UP or WARM_UP + 20 <= k <= WARM_UP + 25 or k in weekend) for k in range(len(expected))]
    assert wishes.bars(ACCOUNT, "EURUSD", H1).open_ms[0] == first_ms - (first_ms - to_ms(expected.index[0]))
    assert [(one.offset_ms, one.told_with) for one in wishes.clocks(ACCOUNT)] == [(2 * HOUR, "ticks")]
    wishes.close()

    report = twin_replay(live.home, ids[NAME])
    assert report.differences == ()
    assert report.fills_equal >= 2
    seen = compare_seen(live.home, ids[NAME])
    assert (seen.changed, seen.gone, seen.late) == (0, 0, 0)
    assert seen.bars == BARS - 1 - 4
    compared = 2 + sum(k >= WARM_UP for k in weekend)
    assert (seen.compared, seen.volume_differing) == (compared, compared), "asked for were the two that the hole cuts and those at a weekend"
    assert 1 <= seen.differing <= 2
    assert {one.against for one in seen.changes} == {"terminal"}
    assert seen.is_equal
    kept = seen_bars(live.home, ids[NAME])
    assert len(kept) == seen.bars
    changed = pd.to_datetime(seen.changes[0].open_ms, unit="ms", utc=True)
    assert tuple(kept.loc[changed, list(seen.changes[0].fields)]) == seen.changes[0].seen, "it stays as it was seen"
    assert not np.allclose(
        frame.loc[changed, ["high", "low"]].to_numpy(dtype=float), kept.loc[changed, ["high", "low"]].to_numpy(dtype=float), atol=1e-9
    )


def test_a_live_series_is_history_enough_for_a_deployment_and_the_twin_agrees(live: Live) -> None:
    """Bars that the terminal posts from before its first tick, collected and so frozen, are the warm-up of a session."""
    ids, path = deploy(live, [NAME], 40)
    _, bars = bars_of(live, "EURUSD")
    live.start("api")
    give_up = time.monotonic() + 60
    while "api_serves" not in live.log("api") and time.monotonic() < give_up:
        time.sleep(0.1)
    playing = terminal(live, bars)
    playing.connect(path)
    playing.client.post_ticks(ACCOUNT, [Tick("EURUSD", int(path.time_ms[0]), float(path.bid[0]), float(path.ask[0]), 1)])
    BarStore.open(live.home).want(ACCOUNT, "EURUSD", H1, to_ms(bars.index[-640]))
    assert playing.tell_bars() == 600
    history = collect(live.home, "live", "EURUSD", "H1")
    assert (history.rows, history.end_ms) == (600, int(path.time_ms[0]))
    desk = DeskStore.open(live.home)
    desk.disarm(ids[NAME], "another history")
    deployment = desk.arm(desk.create(desk.deployment(ids[NAME]).spec.model_copy(update={"bar_set_id": history.id})).id)
    live.start("desk")
    live.wait_ready()
    assert playing.replay(path, threading.Event())
    report = twin_replay(live.home, deployment.id)
    assert report.differences == ()
    assert report.not_decided == {}
    assert report.fills_equal >= 2
    assert len(desk.bars(deployment.id)) == 39
    (feed,) = TickStore.open(live.home).intake(ACCOUNT)
    assert asdict(feed)["resent"] == 1, "the first tick came twice"
    desk.close()
