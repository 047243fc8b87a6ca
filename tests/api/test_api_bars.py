"""Bars over HTTP: posted, asked for, and there after a kill."""

from __future__ import annotations

import signal as signals
import threading
import time
import urllib.request
from dataclasses import replace

import pytest
from api_process import ACCOUNT, FACTS, Api

from components.base import now_ms
from components.bridge import ApiClient, BarRow, BarsPosted, BarStore, Stretch, answers
from components.fx import BadInput, NotFound, PlatformError, Refused, Tick, Timeframe

HOUR = 3_600_000
T0 = 1_700_006_400_000
H1 = Timeframe.H1


def row(open_ms: int, close: float = 1.15) -> BarRow:
    return (open_ms, 1.1, 1.2, 1.0, close, 10.0, 7.0)


def tick(seq: int, time_ms: int) -> Tick:
    return Tick("EURUSD", time_ms, 1.1, 1.1001, seq)


def test_a_hole_is_asked_for_and_filled(api: Api) -> None:
    client = api.client()
    client.hello(FACTS)
    with pytest.raises(Refused, match="no tick of EURUSD has told where it stands"):
        client.post_bars(ACCOUNT, "EURUSD", H1, [row(T0)], 0)
    assert client.wanted_bars(ACCOUNT, "EURUSD") == []
    store = BarStore.open(api.home)
    store.want(ACCOUNT, "EURUSD", H1, T0 - 3 * HOUR)
    client.post_ticks(ACCOUNT, [tick(1, T0 + 1), tick(2, T0 + 5 * HOUR)], offset_ms=2 * HOUR)
    assert client.wanted_bars(ACCOUNT, "EURUSD") == [Stretch("H1", T0 - 3 * HOUR, T0 + 5 * HOUR)]
    (stretch,) = client.wanted_bars(ACCOUNT, "EURUSD")
    assert client.post_bars(ACCOUNT, "EURUSD", H1, [row(T0 + k * HOUR) for k in range(-2, 5)], 2 * HOUR, told=stretch) == BarsPosted(7, 0, 0)
    assert client.wanted_bars(ACCOUNT, "EURUSD") == []
    with pytest.raises(BadInput, match="has not closed: the market stands at 2023-11-15T05:00:00") as error:
        client.post_bars(ACCOUNT, "EURUSD", H1, [row(T0 + 5 * HOUR)], 2 * HOUR)
    assert error.value.field == "bars.0.broker_ms"
    assert client.post_bars(ACCOUNT, "EURUSD", H1, [row(T0), row(T0 + HOUR, 1.16)], 2 * HOUR) == BarsPosted(0, 1, 1)
    wanted = client.call("GET", f"/api/v1/bars/wanted?account_id={ACCOUNT}&symbol=EURUSD&timeframe=M1")
    answers.WantedAnswer.model_validate(wanted)
    assert wanted["stretches"][0] == {"timeframe": "M1", "from_ms": T0, "to_ms": T0 + 5 * HOUR}
    assert wanted["clocks"] == [{"version": 1, "offset_ms": 2 * HOUR, "from_ms": T0 + 1, "told_with": "ticks"}]
    assert store.tick_clocks(ACCOUNT, "EURUSD") == [(1, 1)]
    assert store.bars(ACCOUNT, "EURUSD", H1).clock_version.tolist() == [1] * 7


def test_what_came_in_is_shown_by_symbol_and_for_prometheus_and_survives_a_kill(api: Api) -> None:
    client = api.client()
    client.hello(FACTS)
    client.post_ticks(ACCOUNT, [tick(1, T0), tick(2, T0 - 5), tick(3, T0), tick(4, T0 + HOUR)])
    client.post_ticks(ACCOUNT, [tick(4, T0 + HOUR)])
    client.post_bars(ACCOUNT, "EURUSD", H1, [row(T0)], 0)
    client.post_bars(ACCOUNT, "EURUSD", H1, [row(T0)], 0)
    for _ in range(2):
        told = client.call("GET", f"/api/v1/feeds?account_id={ACCOUNT}")
        answers.FeedsAnswer.model_validate(told)
        assert told == {
            "feeds": [
                {
                    "symbol": "EURUSD", "ticks": 4, "newest_seq": 4, "first_ms": T0, "newest_ms": T0 + HOUR, "late": 1, "duplicates": 1, "resent": 1,
                    "filled_in": 0, "bars": [{"timeframe": "H1", "stored": 1, "duplicates": 1, "revised": 0}],
                }
            ]
        }  # fmt: skip
        text = urllib.request.urlopen(api.url + "/metrics").read().decode()
        for was, number in (("ticks", 4), ("late", 1), ("duplicates", 1), ("resent", 1), ("filled_in", 0)):
            assert f'sequence_feed_ticks{{account="{ACCOUNT}",symbol="EURUSD",was="{was}"}} {number}.0' in text
        api.kill()
        api.start()
    client.post_bars(ACCOUNT, "EURUSD", H1, [row(T0, 1.16)], 0)
    assert 'sequence_bars_posted_total{became="revised"} 1.0' in urllib.request.urlopen(api.url + "/metrics").read().decode()


def test_a_live_market_stands_at_our_clock_or_at_a_tick_ahead_of_it(api: Api) -> None:
    client = api.client()
    client.hello(replace(FACTS, market_clock="wall"))
    this_minute = now_ms() // 60_000 * 60_000
    client.post_bars(ACCOUNT, "EURUSD", Timeframe.M1, [row(this_minute - 60_000)], 0)
    with pytest.raises(BadInput, match="has not closed"):
        client.post_bars(ACCOUNT, "EURUSD", H1, [row(this_minute // HOUR * HOUR)], 0)
    ahead = now_ms() + 50_000
    client.post_ticks(ACCOUNT, [tick(1, ahead)])
    closed = ahead // 60_000 * 60_000 - 60_000
    assert client.post_bars(ACCOUNT, "EURUSD", Timeframe.M1, [row(closed)], 0).revised == 0
    with pytest.raises(NotFound, match="'stranger'"):
        client.wanted_bars("stranger", "EURUSD")


@pytest.mark.slow
def test_every_answered_bar_is_stored_when_the_api_is_killed_in_the_middle_of_many_posts(api: Api) -> None:
    client = api.client()
    client.hello(FACTS)
    client.post_ticks(ACCOUNT, [tick(1, T0 + 90_000 * 60_000)])
    answered: dict[int, list[int]] = {}
    stop = threading.Event()

    def post(number: int) -> None:
        mine = answered.setdefault(number, [])
        sender = ApiClient(api.url, client._key, retry_for_s=0.0)
        first = T0 + number * 10_000 * 60_000
        while not stop.is_set() and len(mine) < 9_900:
            rows = [row(first + (len(mine) + k) * 60_000, 1.0 + number / 100) for k in range(1 if number % 2 else 40)]
            try:
                assert sender.post_bars(ACCOUNT, "EURUSD", Timeframe.M1, rows, 0).stored == len(rows)
            except PlatformError:
                return
            mine.extend(one[0] for one in rows)

    threads = [threading.Thread(target=post, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    assert api.process is not None
    api.process.send_signal(signals.SIGKILL)
    stop.set()
    for thread in threads:
        thread.join(30)
    api.process.wait(10)
    sent = {open_ms: number for number, mine in answered.items() for open_ms in mine}
    assert len(sent) > 200
    api.start()
    stored = BarStore.open(api.home).bars(ACCOUNT, "EURUSD", Timeframe.M1)
    found = dict(zip(stored.open_ms.tolist(), stored.close.tolist(), strict=True))
    assert sent.keys() - found.keys() == set()
    assert all(found[open_ms] == 1.0 + number / 100 for open_ms, number in sent.items())
    again = [row(open_ms, 1.0) for open_ms in sorted(open_ms for open_ms, number in sent.items() if number == 0)][:5_000]
    assert client.post_bars(ACCOUNT, "EURUSD", Timeframe.M1, again, 0) == BarsPosted(0, len(again), 0)
