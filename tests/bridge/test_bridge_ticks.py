"""The tick store: nothing answered is lost, nothing stored changes, every bit of a price is kept."""

from __future__ import annotations

import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.base import ROOT
from components.bridge import TickStore
from components.fx import Refused, Tick, Unavailable

T0 = 1_700_000_000_000


def tick(seq: int, bid: float = 1.1, symbol: str = "EURUSD", time_ms: int | None = None) -> Tick:
    return Tick(symbol, T0 + seq if time_ms is None else time_ms, bid, bid + 0.0001, seq)


def test_ticks_come_back_by_number_with_their_times_and_prices(ticks: TickStore) -> None:
    assert ticks.append("a", [tick(2), tick(1), tick(3, 1.2)]) == 3
    seq, time_ms, bid, ask = ticks.since("a", "EURUSD", 0)
    assert seq.tolist() == [1, 2, 3]
    assert time_ms.tolist() == [T0 + 1, T0 + 2, T0 + 3]
    assert bid.tolist() == [1.1, 1.1, 1.2]
    assert ask.tolist() == [1.1001, 1.1001, 1.2 + 0.0001]
    assert (seq.dtype, bid.dtype) == (np.int64, np.float64)
    assert ticks.latest("a", "EURUSD") == tick(3, 1.2)


def test_reading_goes_on_after_a_number_and_stops_at_a_limit(ticks: TickStore) -> None:
    ticks.append("a", [tick(n) for n in range(1, 2_501)])
    assert ticks.since("a", "EURUSD", 1_000, 10).seq.tolist() == list(range(1_001, 1_011))
    assert len(ticks.since("a", "EURUSD", 2_500).seq) == 0


def test_accounts_and_symbols_are_kept_apart(ticks: TickStore) -> None:
    ticks.append("a", [tick(1), tick(1, 150.0, "USDJPY")])
    ticks.append("b", [tick(5)])
    assert ticks.watermarks("a") == {"EURUSD": 1, "USDJPY": 1}
    assert (ticks.count(), ticks.count("a"), ticks.count("a", "USDJPY"), ticks.count(symbol="EURUSD")) == (3, 2, 1, 2)
    assert ticks.latest("b", "USDJPY") is None
    assert len(ticks.since("nobody", "EURUSD").seq) == 0
    assert ticks.watermarks("nobody") == {}


def test_the_same_ticks_again_are_accepted_and_change_nothing(ticks: TickStore) -> None:
    ticks.append("a", [tick(n) for n in range(1, 11)])
    assert ticks.append("a", [tick(n) for n in range(5, 16)]) == 11
    assert ticks.count() == 15


def test_a_number_that_another_tick_has_is_refused_and_the_answer_says_where_to_go_on(ticks: TickStore) -> None:
    ticks.append("a", [tick(n) for n in range(1, 11)])
    with pytest.raises(
        Refused, match=r"ticks.1.seq: EURUSD tick 10 is stored already with another time or price; number new ticks from 12"
    ) as refusal:
        ticks.append("a", [tick(11), tick(10, 9.9)])
    assert refusal.value.code == "tick_conflict"
    assert ticks.since("a", "EURUSD", 9).bid.tolist() == [1.1, 1.1]


def test_a_conflict_of_one_request_does_not_fail_the_others_in_its_commit(ticks: TickStore) -> None:
    ticks.append("a", [tick(1)])
    outcomes: list[object] = []

    def post(rows: list[Tick]) -> None:
        try:
            outcomes.append(ticks.append("a", rows))
        except Refused as refusal:
            outcomes.append(refusal.code)

    threads = [threading.Thread(target=post, args=([tick(n), tick(1, 9.0)] if n % 5 == 0 else [tick(n)],)) for n in range(2, 42)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("tick_conflict") == 8
    assert outcomes.count(1) == 32
    assert ticks.count() == 41


def test_a_tick_that_is_older_than_the_newest_before_it_is_kept_and_told(ticks: TickStore) -> None:
    ticks.append("a", [tick(1), tick(2, time_ms=T0 + 50), tick(3, time_ms=T0 + 20), tick(4, time_ms=T0 + 30), tick(5, time_ms=T0 + 50)])
    assert ticks.late("a", "EURUSD").tolist() == [3, 4]
    assert ticks.count() == 5
    assert (ticks.newest_ms("a", "EURUSD"), ticks.newest_ms("a", "USDJPY")) == (T0 + 50, None)


def test_many_threads_share_commits_and_every_tick_is_there(home: Path) -> None:
    commits: list[int] = []
    ticks = TickStore.open(home, lambda rows, _seconds: commits.append(rows))

    def post(number: int) -> None:
        for n in range(50):
            ticks.append(f"account-{number}", [tick(n + 1)])

    threads = [threading.Thread(target=post, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ticks.count() == sum(commits) == 800
    assert len(commits) < 500, "the requests did not share commits"
    ticks.close()


def test_batches_of_any_size_are_whole(ticks: TickStore) -> None:
    first = 1
    for size in (1, 2, 999, 1_000, 1_001, 2_000, 5_000):
        ticks.append("a", [tick(n) for n in range(first, first + size)])
        first += size
        assert ticks.count() == first - 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prices=st.lists(st.floats(min_value=1e-5, max_value=1e6), min_size=1, max_size=20), account=st.integers(0, 10**9))
def test_every_bit_of_a_price_is_kept(ticks: TickStore, prices: list[float], account: int) -> None:
    ticks.append(f"{account}-{len(prices)}-{hash(tuple(prices))}", [Tick("EURUSD", T0, bid, bid * 1.0001, n) for n, bid in enumerate(prices, 1)])
    _, _, bid, _ = ticks.since(f"{account}-{len(prices)}-{hash(tuple(prices))}", "EURUSD")
    assert [struct.pack("d", b) for b in bid] == [struct.pack("d", b) for b in prices]


def test_a_closed_store_has_written_what_it_took_and_takes_nothing_more(home: Path) -> None:
    ticks = TickStore.open(home)
    ticks.append("a", [tick(1)])
    ticks.close()
    with pytest.raises(Unavailable, match="closed"):
        ticks.append("a", [tick(2)])
    assert TickStore.open(home).count() == 1


def test_another_process_sees_a_tick_as_soon_as_it_was_answered(home: Path, ticks: TickStore) -> None:
    ticks.append("a", [tick(1, 1.23456)])
    code = f"from pathlib import Path; from components.bridge import TickStore; print(TickStore.open(Path({str(home)!r})).latest('a', 'EURUSD').bid)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "1.23456"


def test_a_store_that_cannot_be_written_says_so_and_goes_on_when_it_can(home: Path, ticks: TickStore) -> None:
    ticks.append("a", [tick(1)])
    with ticks.database.engine.connect() as blocker:
        blocker.exec_driver_sql("ALTER TABLE ticks RENAME TO hidden")
        with pytest.raises(Unavailable, match="send the same ticks again"):
            ticks.append("a", [tick(2)])
        blocker.exec_driver_sql("ALTER TABLE hidden RENAME TO ticks")
    assert ticks.append("a", [tick(2)]) == 1
    assert ticks.count() == 2
