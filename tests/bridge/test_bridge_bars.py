"""Posted bars, what terminals are asked for, the broker's clock, and the counts of what came in."""

from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.base import ROOT
from components.bridge import BarRow, BarsPosted, BarStore, BarVersion, Stretch, TickStore, shapes, wire
from components.bridge.wanted import BARS_AT_ONCE, STRETCHES_AT_ONCE, less, united
from components.fx import BadInput, Refused, Tick, Timeframe, bar_close_ms, bar_open_ms

HOUR = 3_600_000
T0 = 1_700_006_400_000  # Wednesday 2023-11-15, 00:00 UTC
H1, D1 = Timeframe.H1, Timeframe.D1


def row(open_ms: int, close: float = 1.15, volume: float = 10.0) -> BarRow:
    return (open_ms, 1.1, 1.2, 1.0, close, volume, 7.0)


def tick(seq: int, time_ms: int, bid: float = 1.1) -> Tick:
    return Tick("EURUSD", time_ms, bid, bid + 0.0001, seq)


@pytest.fixture
def bars(ticks: TickStore) -> BarStore:
    return BarStore(ticks.database)


# bars


def test_posted_bars_come_back_in_order_with_every_bit(bars: BarStore) -> None:
    exact = (T0, 1.1000000000000003, 1.2, 1.0, 1.1, 12.0, 3.0)
    assert bars.post("a", "EURUSD", H1, [row(T0 - HOUR), exact], 2 * HOUR) == BarsPosted(2, 0, 0)
    found = bars.bars("a", "EURUSD", H1)
    assert found.open_ms.tolist() == [T0 - HOUR, T0]
    assert [column[1] for column in found[:7]] == list(exact)
    assert found.revision.tolist() == [0, 0]
    assert bars.bars("a", "EURUSD", H1, T0, T0 + 1).open_ms.tolist() == [T0]
    assert all(
        len(bars.bars(account, symbol, frame).open_ms) == 0
        for account, symbol, frame in (("b", "EURUSD", H1), ("a", "USDJPY", H1), ("a", "EURUSD", D1))
    )


def test_the_same_bars_again_change_nothing_and_are_counted(bars: BarStore) -> None:
    rows = [row(T0 + k * HOUR) for k in range(5)]
    bars.post("a", "EURUSD", H1, rows, 0)
    assert bars.post("a", "EURUSD", H1, [*rows, row(T0 + 5 * HOUR)], 0) == BarsPosted(1, 5, 0)
    (counts,) = bars.counts("a")
    assert (counts.timeframe, counts.stored, counts.duplicates, counts.revised) == ("H1", 6, 5, 0)


def test_a_later_version_of_a_bar_is_kept_beside_the_first_and_readers_get_the_latest(bars: BarStore) -> None:
    bars.post("a", "EURUSD", H1, [row(T0), row(T0 + HOUR)], 0)
    assert bars.post("a", "EURUSD", H1, [row(T0, 1.16), row(T0 + HOUR)], 0) == BarsPosted(0, 1, 1)
    assert bars.post("a", "EURUSD", H1, [row(T0)], 0) == BarsPosted(0, 0, 1), "back to the first is the latest word too"
    versions = bars.versions("a", "EURUSD", H1)
    assert [(one.open_ms, one.revision, one.close) for one in versions] == [(T0, 0, 1.15), (T0, 1, 1.16), (T0, 2, 1.15)]
    assert isinstance(versions[0], BarVersion)
    assert bars.bars("a", "EURUSD", H1).revision.tolist() == [2, 0]
    assert bars.days("a", "EURUSD", H1) == {T0 // 86_400_000: 4}
    assert bars.counts()[0].revised == 2


def test_another_process_sees_a_bar_as_soon_as_it_was_answered(home: Path, bars: BarStore) -> None:
    bars.post("a", "EURUSD", H1, [row(T0)], 0)
    code = (
        "from pathlib import Path; from components.bridge import BarStore; from components.fx import Timeframe;"
        f" print(BarStore.open(Path({str(home)!r})).bars('a', 'EURUSD', Timeframe.H1).close[0])"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "1.15"


# the wire


def post(*bars: dict[str, object], timeframe: str = "H1", offset_ms: int = 2 * HOUR, **more: object) -> shapes.BarsPost:
    return shapes.BarsPost.model_validate(
        {"account_id": "a", "symbol": "EURUSD", "timeframe": timeframe, "offset_ms": offset_ms, "bars": list(bars), **more}
    )


def item(broker_ms: int, **changes: object) -> dict[str, object]:
    return {"broker_ms": broker_ms, "open": 1.1, "high": 1.2, "low": 1.0, "close": 1.15, "volume": 10, "spread_points": 7} | changes


def test_times_of_the_brokers_clock_become_utc() -> None:
    assert wire.bar_rows(post(item(T0 + 2 * HOUR), item(T0 + 3 * HOUR)), T0 + 5 * HOUR) == [row(T0), row(T0 + HOUR)]
    sent = wire.bars_to_wire([row(T0)], 3 * HOUR)
    assert wire.bar_rows(post(*sent, offset_ms=3 * HOUR), T0 + HOUR) == [row(T0)]


@pytest.mark.parametrize(
    ("bad", "field", "words"),
    [
        ([item(T0 + 1)], "bars.0.broker_ms", "no time at which H1 bars open"),
        ([item(T0), item(T0)], "bars.1.broker_ms", "does not come after"),
        ([item(T0 + HOUR), item(T0)], "bars.1.broker_ms", "does not come after"),
        ([item(T0), item(T0 + HOUR, low=1.3)], "bars.1.low", "above the high"),
        ([item(T0, open=1.21)], "bars.0.open", "outside low and high"),
        ([item(T0, close=0.99)], "bars.0.close", "outside low and high"),
        ([item(T0 + 6 * HOUR)], "bars.0.broker_ms", "has not closed"),
        ([item(T0 + 7 * HOUR)], "bars.0.broker_ms", "has not closed"),
    ],
)
def test_a_bar_that_cannot_be_is_refused_by_its_place(bad: list[dict[str, object]], field: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as error:
        wire.bar_rows(post(*bad), T0 + 5 * HOUR - 1)
    assert error.value.field == field


def test_a_bar_counts_as_closed_from_the_instant_of_its_close() -> None:
    assert wire.bar_rows(post(item(T0)), T0 - HOUR) == [row(T0 - 2 * HOUR)]


def test_a_day_of_another_brokers_midnight_is_refused_with_the_way_out() -> None:
    winter_turn = 22 * HOUR  # 17:00 New York
    midnight = T0 - 24 * HOUR
    assert (
        wire.bar_rows(post(item(midnight, volume=3), timeframe="D1", offset_ms=24 * HOUR - winter_turn), T0 + 24 * HOUR)[0][0] == midnight - 2 * HOUR
    )
    with pytest.raises(BadInput, match="17:00 New York; where the broker's day begins elsewhere, send H1 or shorter"):
        wire.bar_rows(post(item(midnight), timeframe="D1", offset_ms=HOUR), T0 + 24 * HOUR)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"from_ms": T0}, "to_ms"),
        ({"to_ms": T0}, "from_ms"),
        ({"from_ms": T0, "to_ms": T0}, "to_ms"),
        ({"from_ms": T0, "to_ms": T0 + 9 * HOUR}, "to_ms"),
    ],
)
def test_a_told_stretch_has_both_ends_and_has_closed(more: dict[str, int], field: str) -> None:
    with pytest.raises(BadInput) as error:
        wire.told_stretch(post(**more), T0 + 5 * HOUR)
    assert error.value.field == field
    assert wire.told_stretch(post(), T0) is None
    assert wire.told_stretch(post(from_ms=T0, to_ms=T0 + HOUR), T0 + HOUR) == (T0, T0 + HOUR)


# what terminals are asked for


def test_bars_from_before_the_first_tick_are_wanted_once_somebody_wishes_for_them(ticks: TickStore, bars: BarStore) -> None:
    ticks.append("a", [tick(1, T0 + 5 * HOUR + 90_000), tick(2, T0 + 5 * HOUR + 91_000)])
    until_ms = T0 + 6 * HOUR + 1
    assert bars.wanted("a", "EURUSD", None, until_ms) == []
    bars.want("a", "EURUSD", H1)
    assert bars.wanted("a", "EURUSD", None, until_ms) == [Stretch("H1", T0 + 5 * HOUR, T0 + 6 * HOUR)], "the bar whose beginning was not seen"
    bars.want("a", "EURUSD", H1, T0 + 2 * HOUR)
    bars.want("a", "EURUSD", H1, T0 + 4 * HOUR)
    assert bars.wanted("a", "EURUSD", None, until_ms) == [Stretch("H1", T0 + 2 * HOUR, T0 + 6 * HOUR)], "the earliest wish counts"
    bars.post("a", "EURUSD", H1, [row(T0 + 3 * HOUR)], 0)
    expected = [Stretch("H1", T0 + 4 * HOUR, T0 + 6 * HOUR), Stretch("H1", T0 + 2 * HOUR, T0 + 3 * HOUR)]
    assert bars.wanted("a", "EURUSD", H1, until_ms) == expected, "newest first, less what is there"
    assert bars.wanted("a", "EURUSD", H1, T0 + 6 * HOUR - 1)[0] == Stretch("H1", T0 + 4 * HOUR, T0 + 5 * HOUR), "a forming bar is not wanted"


def test_a_first_tick_at_the_very_beginning_of_a_bar_leaves_nothing_to_ask_for(ticks: TickStore, bars: BarStore) -> None:
    ticks.append("a", [tick(1, T0), tick(2, T0 + HOUR)])
    assert bars.wanted("a", "EURUSD", Timeframe.M1, T0 + 60_000)[0].from_ms == T0, "the hour between the two is a silence"
    assert bars.wanted("b", "EURUSD", H1, T0 + 2 * HOUR) == []
    bars.want("c", "EURUSD", H1, T0)
    assert bars.wanted("c", "EURUSD", H1, T0 + 2 * HOUR + 5) == [Stretch("H1", T0, T0 + 2 * HOUR)], "before the first tick the market's clock counts"


def test_bars_that_touch_a_silence_are_wanted_until_they_are_told(ticks: TickStore, bars: BarStore) -> None:
    times = [T0 + k * 30_000 for k in range(120)] + [T0 + 5 * HOUR + 600_000 + k * 30_000 for k in range(240)]
    ticks.append("a", [tick(seq, time_ms) for seq, time_ms in enumerate(times, 1)])
    until_ms = times[-1]
    assert bars.wanted("a", "EURUSD", H1, until_ms) == [Stretch("H1", T0, T0 + 6 * HOUR)]
    assert bars.wanted("a", "EURUSD", Timeframe.M1, until_ms) == [Stretch("M1", T0 + HOUR - 60_000, T0 + 5 * HOUR + 660_000)]
    bars.post("a", "EURUSD", H1, [row(T0), row(T0 + HOUR)], 0, told=(T0, T0 + 6 * HOUR))
    assert bars.wanted("a", "EURUSD", H1, until_ms) == [], "the terminal has no more than these two"
    ticks.append("a", [tick(361, until_ms + 4 * HOUR)])
    later = bars.wanted("a", "EURUSD", H1, until_ms + 4 * HOUR)
    assert later == [Stretch("H1", T0 + 7 * HOUR, T0 + 11 * HOUR)], "a new silence is asked for, the old one not again"


def test_a_silence_below_the_threshold_is_none(ticks: TickStore, bars: BarStore) -> None:
    ticks.append("a", [tick(1, T0), tick(2, T0 + 300_000), tick(3, T0 + 600_001)])
    assert bars.wanted("a", "EURUSD", H1, T0 + HOUR) == [Stretch("H1", T0, T0 + HOUR)]
    ticks.append("b", [tick(1, T0), tick(2, T0 + 300_000), tick(3, T0 + 600_000)])
    assert bars.wanted("b", "EURUSD", H1, T0 + HOUR) == []


def test_an_answer_is_bounded_and_ends(ticks: TickStore, bars: BarStore) -> None:
    first_ms = T0 + (BARS_AT_ONCE * STRETCHES_AT_ONCE + 7) * 60_000
    ticks.append("a", [tick(1, first_ms)])
    bars.want("a", "EURUSD", Timeframe.M1, T0)
    asked = 0
    while stretches := bars.wanted("a", "EURUSD", None, first_ms):
        asked += 1
        assert len(stretches) <= STRETCHES_AT_ONCE
        for one in stretches:
            assert 0 < one.to_ms - one.from_ms <= BARS_AT_ONCE * 60_000
            bars.post("a", "EURUSD", Timeframe.M1, [], 0, told=(one.from_ms, one.to_ms))
    assert asked == 2


pairs = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=12)


@given(pairs, pairs)
def test_stretches_are_sets_of_instants(wanted: list[tuple[int, int]], known: list[tuple[int, int]]) -> None:
    def instants(stretches: object) -> set[int]:
        return {instant for start, end in np.array(stretches, dtype=np.int64).reshape(-1, 2).tolist() for instant in range(start, end)}

    whole, taken = (np.array(side, dtype=np.int64).reshape(-1, 2) for side in (wanted, known))
    assert instants(united(whole)) == instants(wanted)
    assert (np.diff(united(whole).ravel()) > 0).all(), "in order, and none touches the next"
    assert instants(less(united(whole), taken)) == instants(wanted) - instants(known)


# the broker's clock


def test_an_offset_gets_a_version_when_it_changes_and_a_repeated_post_none(bars: BarStore) -> None:
    assert bars.tell_clock("a", "EURUSD", 2 * HOUR, 1, T0) == 1
    assert bars.tell_clock("a", "EURUSD", 2 * HOUR, 50, T0 + 50) == 1
    assert bars.tell_clock("a", "EURUSD", 3 * HOUR, 100, T0 + 100) == 2
    assert bars.tell_clock("a", "USDJPY", 3 * HOUR, 70, T0 + 99) == 2, "another symbol may change over a moment before"
    assert bars.tell_clock("a", "EURUSD", 2 * HOUR, 60, T0 + 60) == 1, "ticks that come again belong to the version of their time"
    assert bars.tell_clock("a", "EURUSD", 2 * HOUR, 200, T0 + 200) == 3
    assert bars.tick_clocks("a", "EURUSD") == [(1, 1), (100, 2), (200, 3)]
    assert [(one.offset_ms, one.from_ms, one.told_with) for one in bars.clocks("a")] == [
        (2 * HOUR, T0, "ticks"), (3 * HOUR, T0 + 100, "ticks"), (2 * HOUR, T0 + 200, "ticks"),
    ]  # fmt: skip


def test_bars_of_another_season_have_a_version_of_their_own_and_leave_the_clock_alone(bars: BarStore) -> None:
    bars.tell_clock("a", "EURUSD", 3 * HOUR, 1, T0)
    bars.post("a", "EURUSD", H1, [row(T0 - 4_000 * HOUR)], 2 * HOUR)
    bars.post("a", "EURUSD", H1, [row(T0 - HOUR)], 3 * HOUR)
    assert bars.bars("a", "EURUSD", H1).clock_version.tolist() == [2, 1]
    assert bars.clocks("a")[1].told_with == "bars"
    assert bars.tell_clock("a", "EURUSD", 3 * HOUR, 9, T0 + 9) == 1


# what came in


def test_late_doubled_and_resent_ticks_are_counted_and_a_restart_forgets_none(home: Path, ticks: TickStore) -> None:
    ticks.append("a", [tick(1, T0), tick(2, T0 + 50), tick(3, T0 + 20), tick(4, T0 + 50), tick(5, T0 + 50), tick(6, T0 + 50, 1.2)])
    ticks.append("a", [tick(5, T0 + 50), tick(6, T0 + 50, 1.2), tick(7, T0 + 49)])
    (feed,) = ticks.intake()
    assert (feed.ticks, feed.newest_seq, feed.first_ms, feed.newest_ms) == (7, 7, T0, T0 + 50)
    assert (feed.late, feed.duplicates, feed.resent, feed.filled_in) == (2, 2, 2, 0)
    again = TickStore.open(home)
    assert again.intake("a", "EURUSD") == [feed]
    again.append("a", [tick(8, T0 + 48), tick(7, T0 + 49)])
    (feed,) = again.intake("a")
    assert (feed.ticks, feed.late, feed.resent) == (8, 3, 3)
    assert again.intake("b") == []
    again.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), steps=st.lists(st.tuples(st.integers(-40_000, 90_000), st.sampled_from([1.1, 1.2])), min_size=1, max_size=40))
def test_counts_are_the_same_in_whatever_portions_they_are_made(ticks: TickStore, data: st.DataObject, steps: list[tuple[int, float]]) -> None:
    account = secrets.token_hex(8)
    found = [
        tick(seq, time_ms, bid)
        for seq, (time_ms, bid) in enumerate(zip(np.cumsum([T0, *(s for s, _ in steps[1:])]).tolist(), [b for _, b in steps], strict=True), 1)
    ]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(found)), max_size=5)))
    for start, end in zip([0, *cuts], [*cuts, len(found)], strict=True):
        ticks.append(account, found[start:end])
        ticks.intake(account)
    ticks.append(f"{account}-whole", found)
    (whole,), (portions,) = ticks.intake(f"{account}-whole"), ticks.intake(account)
    assert portions.newest_ms == max(one.time_ms for one in found)
    ignored = {"account_id", "resent"}
    assert {k: v for k, v in vars(portions).items() if k not in ignored} == {k: v for k, v in vars(whole).items() if k not in ignored}
    newest, late = 0, 0
    for one in found:
        late += one.time_ms < newest
        newest = max(newest, one.time_ms)
    assert whole.late == late
    bars = BarStore(ticks.database)
    assert bars.wanted(account, "EURUSD", Timeframe.M1, newest) == bars.wanted(f"{account}-whole", "EURUSD", Timeframe.M1, newest)


def test_ticks_that_come_in_under_older_numbers_are_found_and_everything_is_counted_again(ticks: TickStore) -> None:
    ticks.append("a", [tick(seq, T0 + (seq - 1) * 1_000) for seq in (1, 2, 3, 103, 104)])
    bars = BarStore(ticks.database)
    assert bars.wanted("a", "EURUSD", Timeframe.M1, T0 + HOUR) != []
    ticks.append("a", [tick(seq, T0 + (seq - 1) * 1_000) for seq in range(4, 103)] + [tick(105, T0)])
    (feed,) = ticks.intake("a")
    assert (feed.ticks, feed.filled_in) == (6, 0), "a plain count does not look back"
    (feed,) = ticks.intake("a", is_checked=True)
    assert (feed.ticks, feed.filled_in, feed.late) == (105, 99, 1)
    assert bars.wanted("a", "EURUSD", Timeframe.M1, T0 + 60_000) == [], "the silence is none any more"
    assert ticks.intake("a", is_checked=True) == [feed]


def test_resent_ticks_are_told_apart_by_feed_when_a_commit_holds_several(ticks: TickStore) -> None:
    def yen(seq: int) -> Tick:
        return Tick("USDJPY", T0 + seq, 150.0, 150.01, seq)

    ticks.append("a", [tick(1, T0), tick(2, T0 + 1), yen(1)])
    ticks.append("a", [tick(2, T0 + 1), tick(3, T0 + 2), yen(1), yen(2)])
    assert {feed.symbol: feed.resent for feed in ticks.intake("a")} == {"EURUSD": 1, "USDJPY": 1}


def test_a_tick_whose_number_is_taken_by_another_is_refused_and_not_counted_as_resent(ticks: TickStore) -> None:
    ticks.append("a", [tick(1, T0), tick(2, T0 + 1)])
    with pytest.raises(Refused, match=r"ticks\.1\.seq"):
        ticks.append("a", [tick(1, T0), tick(2, T0 + 9)])
    assert ticks.intake("a")[0].resent == 1


def test_every_timeframe_is_asked_for_on_its_own_grid(ticks: TickStore, bars: BarStore) -> None:
    ticks.append("a", [tick(1, T0 + 10 * 24 * HOUR + 5)])
    for timeframe in Timeframe:
        bars.want("a", "EURUSD", timeframe, T0 + 3 * HOUR + 1)
    until_ms = T0 + 40 * 24 * HOUR
    found = bars.wanted("a", "EURUSD", None, until_ms)
    assert {one.timeframe for one in found} == {timeframe.name for timeframe in Timeframe}
    for one in found:
        timeframe = Timeframe[one.timeframe]
        assert timeframe.is_aligned([one.from_ms]).all()
        last = bar_open_ms([one.to_ms - 1], timeframe)
        assert bar_close_ms(last, timeframe)[0] == one.to_ms <= until_ms
