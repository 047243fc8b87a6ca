"""The live source: bars of ticks day by day, equal to those of all ticks at once, repaired by the terminal's bars where ticks may be missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.bridge import BarRow, BarStore, Mailbox, Stretch, SymbolFacts, TerminalFacts, TickStore
from components.fx import BadInput, Timeframe, Unavailable, validate_bars
from components.pipeline import KnownPiece, Piece, Request, SourceContext, bars_from_ticks, collect, source_named
from components.pipeline.sources import live_days

HOUR, DAY = 3_600_000, 86_400_000
T0 = 1_700_006_400_000  # Wednesday 2023-11-15, 00:00 UTC
H1 = Timeframe.H1
POINT = 0.00001


class Room:
    """Stores of a bridge, and what a collection keeps of each piece."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.ticks = TickStore.open(home)
        self.bars = BarStore(self.ticks.database)
        self.known: dict[str, KnownPiece] = {}
        self.frames: dict[str, pd.DataFrame] = {}

    def feed(self, times_ms: Any, bids: Any, first_seq: int = 1, account: str = "a") -> None:
        rows = [
            ("EURUSD", seq, int(at), float(bid), float(bid) + 7 * POINT) for seq, (at, bid) in enumerate(zip(times_ms, bids, strict=True), first_seq)
        ]
        for start in range(0, len(rows), 5_000):
            self.ticks.append_rows(account, rows[start : start + 5_000])

    def pieces(self, timeframe: str = "H1", limit: int | None = None, **wanted: Any) -> list[Piece]:
        """Collect, keeping each piece as it comes; `limit` ends the collection as a crash does."""
        found = []
        for piece in source_named("live").pieces(Request("EURUSD", timeframe, **wanted), self.known, SourceContext(self.home)):
            span = pd.DatetimeIndex(piece.frame.index).as_unit("ms").asi8
            ends = (int(span.min()), int(span.max())) if len(span) else (0, 0)
            self.known[piece.key] = KnownPiece(
                piece.key, piece.raw_sha256, piece.raw_bytes, len(span), *ends, piece.fetched_ms, piece.is_final, piece.facts
            )
            self.frames[piece.key] = piece.frame
            found.append(piece)
            if len(found) == limit:
                break
        return found

    def series(self) -> pd.DataFrame:
        """All pieces, one behind the other."""
        return validate_bars(pd.concat([self.frames[key] for key in sorted(self.frames)]).drop(columns="made_of"))

    def made_of(self) -> list[int]:
        return list(pd.concat([self.frames[key] for key in sorted(self.frames)])["made_of"])


@pytest.fixture
def room(home: Path) -> Iterator[Room]:
    made = Room(home)
    yield made
    made.ticks.close()


def walk(count: int, step_ms: int = 20_000, seed: int = 1) -> tuple[Any, Any]:
    """Times and bids of ticks from T0 on, every fiftieth of them late."""
    dice = np.random.default_rng(seed)
    times = T0 + np.cumsum(dice.integers(0, step_ms, count))
    times[49::50] -= 3 * step_ms
    return times, np.round(1.1 + np.cumsum(dice.normal(0, 2e-5, count)), 5)


def expected(times: Any, bids: Any, timeframe: str = "H1") -> pd.DataFrame:
    return bars_from_ticks(times, bids, bids + 7 * POINT, Timeframe.named(timeframe), POINT)


def same(a: pd.DataFrame, b: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(a, b, check_freq=False)


def row(open_ms: int, close: float, volume: float = 10_000.0) -> BarRow:
    return (open_ms, close, close + 0.001, close - 0.001, close, volume, 7.0)


# from ticks


@pytest.mark.parametrize("timeframe", ["M1", "H1", "H4", "D1", "W1"])
def test_days_put_together_are_the_bars_of_all_ticks(room: Room, monkeypatch: pytest.MonkeyPatch, timeframe: str) -> None:
    monkeypatch.setattr(live_days, "PORTION", 777)
    times, bids = walk(40_000, 40_000)
    room.feed(times, bids)
    room.pieces(timeframe)
    same(room.series(), expected(times, bids, timeframe))
    assert set(room.made_of()) == {0}
    facts = [piece.facts for piece in room.known.values()]
    assert sum(one["ticks"] for one in facts) <= len(times)
    (feed,) = room.ticks.intake()
    if timeframe == "M1":
        assert sum(one["late"] for one in facts) == feed.late > 500
        assert sum(one["duplicates"] for one in facts) == feed.duplicates
        assert [one.is_final for one in room.known.values()] == [True] * (len(room.known) - 1) + [False]


def test_a_collection_goes_on_where_the_last_one_ended(room: Room) -> None:
    times, bids = walk(20_000)
    read: list[int] = []
    for end in range(2_500, 20_001, 2_500):
        room.feed(times[end - 2_500 : end], bids[end - 2_500 : end], end - 2_499)
        pieces = room.pieces("M1")
        read.append(len(pieces))
        assert room.pieces("M1") == [], "nothing new, nothing read"
        same(room.series(), expected(times[:end], bids[:end], "M1"))
    assert max(read) <= 3, "closed days are not read again"


def test_a_collection_that_is_killed_goes_on_with_what_is_missing(room: Room) -> None:
    times, bids = walk(20_000)
    room.feed(times, bids)
    room.pieces(limit=1)
    assert [piece.key for piece in room.pieces()] == ["2023-11-16", "2023-11-17"]
    same(room.series(), expected(times, bids))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_bars_are_the_same_in_whatever_order_ticks_and_collections_come(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    room = Room(tmp_path_factory.mktemp("live"))
    steps = data.draw(st.lists(st.sampled_from([-HOUR, -1, 0, 1, 60_000, HOUR, 7 * HOUR, DAY]), min_size=1, max_size=40))
    times = T0 + np.cumsum(steps)
    bids = 1.1 + np.arange(len(steps)) % 7 * POINT
    order = data.draw(st.permutations(range(len(steps)))) if data.draw(st.booleans()) else list(range(len(steps)))
    bounds = data.draw(st.sampled_from([{}, {"start_ms": T0 + DAY}, {"end_ms": T0 + DAY}]))
    done = 0
    while done < len(order):
        count = data.draw(st.integers(1, len(order)))
        for index in order[done : done + count]:
            room.feed(times[index : index + 1], bids[index : index + 1], index + 1)
        done += count
        if data.draw(st.booleans()):
            room.pieces(**bounds)
    room.pieces()
    here = np.array(sorted(order[:done]))
    if room.frames:
        same(room.series(), validate_bars(expected(times[here], bids[here])))
    else:
        assert expected(times[here], bids[here]).empty
    room.ticks.close()


def test_ticks_that_came_in_under_older_numbers_change_their_day_and_no_other(room: Room) -> None:
    times, bids = walk(20_000)
    gone = slice(10_000, 10_200)
    room.feed(times[: gone.start], bids[: gone.start])
    room.feed(times[gone.stop :], bids[gone.stop :], gone.stop + 1)
    room.pieces()
    room.feed(times[gone], bids[gone], gone.start + 1)
    assert [piece.key for piece in room.pieces()] == ["2023-11-16"]
    same(room.series(), expected(times, bids))


def test_a_tick_that_is_filled_in_between_two_days_belongs_to_the_first(room: Room) -> None:
    for seq, at in ((1, T0), (2, T0 + 60_000), (4, T0 + 2 * DAY), (5, T0 + 3 * DAY)):
        room.feed([at], [1.1], seq)
    assert [piece.key for piece in room.pieces()] == ["2023-11-15", "2023-11-17"]
    room.feed([T0 + 120_000], [1.2], 3)
    assert [piece.key for piece in room.pieces()] == ["2023-11-15", "2023-11-17"], "what lies before a day is one of its facts"
    assert room.series()["volume"].tolist() == [3, 1]


def test_a_day_whose_ticks_an_older_number_made_late_is_emptied(room: Room) -> None:
    room.feed([T0, T0 + DAY, T0 + 2 * DAY], [1.1, 1.1, 1.1], 2)
    room.pieces()
    room.feed([T0 + 2 * DAY], [1.2], 1)
    room.pieces()
    assert room.series().empty
    assert [room.known[key].rows for key in sorted(room.known)] == [0, 0]


def test_bounds_leave_out_whole_days_and_a_wider_collection_brings_them(room: Room) -> None:
    times, bids = walk(40_000)
    room.feed(times, bids)
    assert [piece.key for piece in room.pieces(start_ms=T0 + DAY + 5, end_ms=T0 + 3 * DAY)] == ["2023-11-16", "2023-11-17"]
    assert [piece.key for piece in room.pieces()] == ["2023-11-15", "2023-11-18", "2023-11-19"]
    same(room.series(), expected(times, bids))


# with the terminal's bars


def hourly_ticks(hours: range, start_ms: int = T0) -> tuple[Any, Any]:
    """A tick every minute of each hour, prices by the hour."""
    times = np.concatenate([start_ms + hour * HOUR + np.arange(0, HOUR, 60_000) for hour in hours])
    return times, 1.1 + (times - start_ms) // HOUR * 0.001


def test_a_hole_is_filled_by_the_terminals_bars_and_each_row_says_what_it_is_made_of(room: Room) -> None:
    before, after = hourly_ticks(range(3)), hourly_ticks(range(6, 9))
    room.feed(*before)
    room.feed(*after, first_seq=181)
    room.pieces()
    assert room.made_of() == [0, 0, 0, 0, 0]
    assert room.bars.wanted("a", "EURUSD", None, int(after[0][-1])) == [Stretch("H1", T0 + 2 * HOUR, T0 + 7 * HOUR)]
    own = room.series()
    rows = [row(T0 + hour * HOUR, 1.2) for hour in (3, 4, 5)]
    exact = [(T0 + hour * HOUR, *own.loc[pd.to_datetime(T0 + hour * HOUR, unit="ms", utc=True)].tolist()) for hour in (2, 6)]
    room.bars.post("a", "EURUSD", H1, [exact[0], *rows, exact[1]], 0, told=(T0 + 2 * HOUR, T0 + 7 * HOUR))
    (piece,) = room.pieces()
    assert room.made_of() == [0, 0, 0, 1, 1, 1, 0, 0]
    assert room.series()["close"].tolist()[3:6] == [1.2] * 3
    facts = piece.facts
    assert (facts["from_ticks"], facts["from_terminal"], facts["compared"], facts["differing"], facts["volume_differing"]) == (5, 3, 2, 0, 0)
    assert room.frames[piece.key]["made_of"].dtype == np.int64
    assert room.pieces() == []


def test_a_bar_in_which_ticks_are_missing_gives_way_only_where_the_terminal_counted_more(room: Room) -> None:
    times, bids = hourly_ticks(range(6))
    cut = (times < T0 + 2 * HOUR + 600_000) | (times > T0 + 2 * HOUR + 1_800_000)
    room.feed(times[cut], bids[cut])
    volumes = {0: 60.0, 1: 99.0, 2: 60.0, 3: 60.0}
    room.bars.post("a", "EURUSD", H1, [row(T0 + hour * HOUR, 1.3, volume) for hour, volume in volumes.items()], 0)
    (piece,) = room.pieces()
    assert room.made_of() == [0, 0, 1, 0, 0], "hour 1 has no silence: what was seen stands, and the difference is counted"
    facts = piece.facts
    assert (facts["compared"], facts["differing"], facts["volume_differing"]) == (4, 4, 2)
    assert facts["largest_difference_points"] == pytest.approx(20_100, abs=200)


def test_a_bar_whose_beginning_was_not_seen_and_history_before_the_first_tick_are_the_terminals(room: Room) -> None:
    times, bids = hourly_ticks(range(3), T0 + 600_000)
    room.feed(times, bids)
    room.pieces(start_ms=T0 - 2 * DAY)
    assert room.bars.wanted("a", "EURUSD", None, int(times[-1])) == [Stretch("H1", T0 - 2 * DAY, T0 + HOUR)], "the request was a wish"
    room.bars.post("a", "EURUSD", H1, [row(T0 + hour * HOUR, 1.05) for hour in range(-30, 1)], 0)
    assert [piece.key for piece in room.pieces()] == ["2023-11-15", "2023-11-13", "2023-11-14"]
    assert room.made_of() == [1] * 31 + [0, 0]
    assert [room.known[key].is_final for key in sorted(room.known)] == [True, True, False]
    assert room.pieces() == []


def test_a_revised_bar_is_taken_up_and_counted_and_other_days_are_left(room: Room) -> None:
    room.feed(*hourly_ticks(range(4)))
    old = [row(T0 - DAY, 1.05), row(T0 - 2 * DAY, 1.05)]
    room.bars.post("a", "EURUSD", H1, old[::-1], 0)
    room.pieces()
    room.bars.post("a", "EURUSD", H1, [row(T0 - DAY, 1.06)], 0)
    (piece,) = room.pieces()
    assert (piece.key, piece.facts["revised"], piece.frame["close"].tolist()) == ("2023-11-14", 1, [1.06])


def test_a_late_bar_for_a_closed_day_changes_that_day_only(room: Room) -> None:
    times, bids = hourly_ticks(range(60))
    keep = (times < T0 + 30 * HOUR) | (times >= T0 + 33 * HOUR)
    room.feed(times[keep], bids[keep])
    assert len(room.pieces()) == 3
    room.bars.post("a", "EURUSD", H1, [row(T0 + hour * HOUR, 1.2) for hour in (30, 31, 32)], 0)
    assert [piece.key for piece in room.pieces()] == ["2023-11-16"]
    assert room.made_of() == [0] * 30 + [1] * 3 + [0] * 26
    only_ticks = room.series().drop(room.series().index[30:33])
    same(only_ticks, expected(times[keep], bids[keep]))


def test_a_mode_takes_one_kind_alone_and_changing_it_begins_the_series_anew(room: Room) -> None:
    room.feed(*hourly_ticks(range(5)))
    room.bars.post("a", "EURUSD", H1, [row(T0 + hour * HOUR, 1.2) for hour in (-30, 0, 1)], 0)
    room.pieces()
    assert room.made_of() == [1, 0, 0, 0, 0]
    room.pieces(options={"mode": "ticks"}, start_ms=T0 + DAY)
    assert room.made_of() == [0, 0, 0, 0], "also what lies out of bounds, and a day without ticks is emptied"
    assert room.pieces(options={"mode": "ticks"}) == []
    room.pieces(options={"mode": "terminal"})
    assert room.made_of() == [1, 1, 1]
    with pytest.raises(BadInput, match="mode"):
        room.pieces(options={"mode": "both"})


def test_the_account_is_named_where_several_sent_the_symbol_and_their_days_are_not_mixed(room: Room) -> None:
    room.feed(*hourly_ticks(range(30)))
    room.pieces()
    room.feed(*hourly_ticks(range(30, 34)), account="b")
    with pytest.raises(BadInput, match="accounts a, b have sent EURUSD; name one") as error:
        room.pieces()
    assert error.value.field == "account_id"
    with pytest.raises(BadInput, match="'c' has sent nothing of EURUSD; a, b has"):
        room.pieces(options={"account_id": "c"})
    room.pieces(options={"account_id": "b"})
    assert len(room.series()) == 3
    room.pieces(options={"account_id": "a"})
    same(room.series(), expected(*hourly_ticks(range(30))))


def test_nothing_sent_is_said(home: Path) -> None:
    with pytest.raises(Unavailable, match="no terminal has sent EURUSD"):
        list(source_named("live").pieces(Request("EURUSD", "H1"), {}, SourceContext(home)))


def test_the_brokers_digits_and_clock_are_part_of_a_days_facts(room: Room) -> None:
    mailbox = Mailbox.open(room.home)
    told = SymbolFacts("EURUSD", "EURUSD.4", 4, 100_000.0, 0.01, 0.01, 100.0)
    mailbox.hello(TerminalFacts("a", "USD", 30.0, "hedging", True, "replay", symbols=(told,)))
    mailbox.close()
    times, bids = hourly_ticks(range(27))
    room.feed(times, bids)
    room.bars.tell_clock("a", "EURUSD", 2 * HOUR, 1, int(times[0]))
    room.bars.tell_clock("a", "EURUSD", 3 * HOUR, 1_500, int(times[1_499]))
    room.pieces()
    facts = [piece.facts for piece in room.known.values()]
    assert facts[0]["point"] == pytest.approx(1e-4)
    assert room.series()["spread_points"].tolist() == pytest.approx([0.7] * 26)
    assert [one["clocks"] for one in facts] == [
        [{"version": 1, "offset_ms": 2 * HOUR}],
        [{"version": 1, "offset_ms": 2 * HOUR}, {"version": 2, "offset_ms": 3 * HOUR}],
    ]


def test_collecting_keeps_the_series_and_collecting_again_goes_on(room: Room) -> None:
    times, bids = hourly_ticks(range(60))
    room.feed(times[:2_000], bids[:2_000])
    first = collect(room.home, "live", "EURUSD", "H1")
    room.feed(times[2_000:], bids[2_000:], 2_001)
    second = collect(room.home, "live", "EURUSD", "H1")
    assert (first.rows, second.rows) == (33, 59)
    assert collect(room.home, "live", "EURUSD", "H1").id == second.id
    assert [piece["key"] for piece in second.made_by["pieces"]] == ["2023-11-15", "2023-11-16", "2023-11-17"]
