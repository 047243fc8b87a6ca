"""Yahoo through the real package yfinance, against a server that answers as Yahoo does: cookie, crumb, charts, and every way to fail."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from components.base import now_ms
from components.fx import BadInput, NotFound, Timeframe, Unavailable, from_ms, to_ms, validate_bars
from components.jobs import JobCancelled
from components.pipeline import PipelineStore, Request, collect
from components.pipeline.sources.source import KnownPiece, Piece, SourceContext
from components.pipeline.sources.yahoo import REACH, Chunk, YahooOptions, Yfinance, _Yahoo, chunks_of, live_stamp, null_rows, ticker_of
from tests.pipeline.recorded_server import BROKEN, HTML, Asked, RecordedServer, Reply, Yahoo, as_json, is_open, yahoo_chart, yahoo_error

CHART = "/query2.finance.yahoo.com/v8/finance/chart/"
DAY_MS = 86_400_000
QUICK = {"seconds_between": 0.0, "tries": 3, "backoff_s": 0.02, "timeout_s": 1.0, "longest_s": 10.0}


@pytest.fixture
def server() -> Iterator[RecordedServer]:
    with RecordedServer() as running:
        Yahoo(running)
        yield running


def request(server: RecordedServer, timeframe: str = "H1", days: float | None = 20, symbol: str = "EURUSD", **options: Any) -> Request:
    start_ms = None if days is None else int(now_ms() - days * DAY_MS)
    return Request(symbol, timeframe, start_ms, None, {**QUICK, "base_url": server.url, **options})


def pieces(home: Path, wanted: Request, known: dict[str, KnownPiece] | None = None) -> list[Piece]:
    return list(Yfinance().pieces(wanted, known or {}, SourceContext(home)))


def charts(server: RecordedServer) -> list[Asked]:
    """The requests for bars, less those by which the package finds out a zone."""
    return [asked for asked in server.asked if asked.path.startswith(CHART) and "period1" in asked.query]


def test_hours_come_through_the_package_with_cookie_and_crumb(home: Path, server: RecordedServer) -> None:
    found = pieces(home, request(server))
    bars = pd.concat([piece.frame for piece in found])
    times = bars.index.as_unit("ms").asi8
    now = now_ms()
    expected = [ms for ms in range(-(-(now - 20 * DAY_MS) // 3_600_000) * 3_600_000, now - 3_600_000 + 1, 3_600_000) if is_open(ms // 1000)]
    assert set(expected) <= set(times.tolist())
    assert times.max() + 3_600_000 <= now, "the hour that is still forming is left out"
    assert list(bars.columns) == ["open", "high", "low", "close", "volume"]
    assert str(bars.index.tz) == "UTC"
    assert (bars["volume"] == 0).all()
    assert len(validate_bars(bars)) == len(bars)
    assert all(asked.query["crumb"] == "crumb/of.test" for asked in charts(server))
    assert any(asked.path == "/fc.yahoo.com" or asked.path.startswith("/fc.yahoo.com/") for asked in server.asked)
    facts = found[-1].facts
    assert (facts["ticker"], facts["interval"], facts["decimals"]) == ("EURUSD=X", "1h", 4)
    assert facts["forming"] >= int(is_open(now // 1000))
    assert "crumb=***" in found[-1].origin


@pytest.mark.parametrize("live", [False, True], ids=["on the grid", "with the live row"])
def test_the_bar_that_is_still_forming_is_left_out(home: Path, server: RecordedServer, live: bool) -> None:
    Yahoo(server, live=live, never_closes=True)
    (*_, piece) = pieces(home, request(server))
    forming_ms = piece.fetched_ms // 3_600_000 * 3_600_000
    assert piece.frame.index.as_unit("ms").asi8[-1] == forming_ms - 3_600_000
    assert piece.facts["forming"] == 1


def test_a_day_ends_at_the_next_midnight_of_its_exchange_and_a_week_after_seven(home: Path) -> None:
    def ends(timeframe: Timeframe, *opens: str) -> list[str]:
        yahoo = _Yahoo("EURUSD=X", timeframe, REACH[timeframe.name], YahooOptions(**QUICK), SourceContext(home))
        index = pd.DatetimeIndex(opens, tz="UTC")
        return [f"{from_ms(int(ms)):%m-%d %H:%M}" for ms in yahoo._ends(index, "Europe/London")]

    assert ends(Timeframe.D1, "2024-07-14 23:00", "2024-10-26 23:00", "2024-01-15 00:00") == ["07-15 23:00", "10-28 00:00", "01-16 00:00"]
    assert ends(Timeframe.W1, "2024-07-14 23:00", "2024-10-20 23:00") == ["07-21 23:00", "10-28 00:00"]
    assert ends(Timeframe.H1, "2024-07-14 23:00") == ["07-15 00:00"]


def test_noise_is_rounded_to_the_price_hint_and_says_by_how_much(home: Path, server: RecordedServer) -> None:
    (*_, piece) = pieces(home, request(server))
    assert np.array_equal(piece.frame["high"], piece.frame["high"].round(4))
    assert 2.0e-8 < piece.facts["largest_rounding"] < 1.0e-6
    (*_, finer) = pieces(home / "other", request(server, decimals=8))
    assert finer.frame["high"].iloc[0] != piece.frame["high"].iloc[0]


def test_rows_of_nulls_are_left_out_and_counted(home: Path, server: RecordedServer) -> None:
    Yahoo(server, nulls=(1, 2, 5))
    (*_, piece) = pieces(home, request(server, "D1", 400))
    Yahoo(server)
    (*_, whole) = pieces(home / "other", request(server, "D1", 400))
    assert piece.facts["nulls"] == 3
    assert whole.facts["nulls"] == 0
    assert len(whole.frame) - len(piece.frame) == 3
    assert piece.frame.notna().all(axis=None)


def test_days_are_london_days_as_delivered_and_the_facts_name_the_zone(home: Path, server: RecordedServer) -> None:
    found = pieces(home, request(server, "D1", 800))
    days = pd.concat([piece.frame for piece in found])
    local = days.index.tz_convert("Europe/London")
    assert (local.hour == 0).all()
    assert {0, 23} == set(days.index.hour), "midnight in London is 23:00 UTC in summer"
    assert found[-1].facts["day"] == {"zone": "Europe/London", "turn_hour": 0}
    today = datetime.now(ZoneInfo("Europe/London")).date()
    assert local[-1].date() < today, "today is not over"
    weeks = pd.concat([piece.frame for piece in pieces(home / "other", request(server, "W1", 800))])
    assert set(weeks.index.tz_convert("Europe/London").weekday) == {0}
    assert weeks.index[-1] + pd.Timedelta(days=7) <= pd.Timestamp.now("UTC")


def test_minutes_are_asked_for_in_weeks_and_half_hours_come_as_quarters(home: Path, server: RecordedServer) -> None:
    found = pieces(home, request(server, "M1", None))
    spans = [(int(asked.query["period1"]), int(asked.query["period2"])) for asked in charts(server)]
    assert len(spans) in (5, 6)
    assert all(0 < end - start <= 7 * 86_400 for start, end in spans)
    assert min(start for start, _ in spans) >= time.time() - 30 * 86_400
    assert len({piece.key for piece in found}) == len(found)
    bars = pd.concat([piece.frame for piece in found])
    assert bars.index.is_unique
    assert bars.index.is_monotonic_increasing
    half = pd.concat([piece.frame for piece in pieces(home / "other", request(server, "M30", None))])
    assert charts(server)[-1].query["interval"] == "15m"
    assert set(half.index.minute) == {0, 30}
    assert all(is_open(int(at.timestamp())) for at in half.index), "the empty half hours of a weekend are no bars"


def kept(home: Path, wanted: Request) -> dict[str, KnownPiece]:
    """Keep what a source gives, as the platform does; what is known afterwards."""
    store = PipelineStore.open(home)
    known = {piece.known.key: piece.known for piece in store.pieces("yfinance", wanted.symbol, wanted.timeframe)}
    for piece in Yfinance().pieces(wanted, known, SourceContext(home)):
        store.keep_piece("yfinance", wanted.symbol, wanted.timeframe, piece)
    found = {piece.known.key: piece.known for piece in store.pieces("yfinance", wanted.symbol, wanted.timeframe)}
    store.close()
    return found


def test_hours_become_a_trusted_bar_set_that_says_where_they_are_from(home: Path, server: RecordedServer) -> None:
    wanted = request(server, "H1", 60)
    found = collect(home, "yfinance", "EURUSD", "H1", start_ms=wanted.start_ms, options=wanted.options)
    assert (found.source, found.state) == ("yfinance", "trusted")
    assert found.quality_score > 99
    piece = found.made_by["pieces"][-1]
    assert piece["facts"]["ticker"] == "EURUSD=X"
    assert "secret" not in piece["origin"]
    assert (home / "raw" / "yfinance").is_dir()


def test_a_second_collection_asks_for_the_present_stretch_only_and_for_nothing_of_the_past(home: Path, server: RecordedServer) -> None:
    wanted = request(server, "M1", 28)
    first = kept(home, wanted)
    asked = len(charts(server))
    open_now = [piece for piece in first.values() if not piece.is_final]
    assert len(open_now) in (1, 2)
    second = kept(home, wanted)
    assert len(charts(server)) - asked == len(open_now)
    assert second.keys() == first.keys()
    past = Request("EURUSD", "M1", now_ms() - 27 * DAY_MS, now_ms() - 16 * DAY_MS, wanted.options)
    asked = len(server.asked)
    assert pieces(home, past, second) == []
    assert len(server.asked) == asked


def test_a_collection_that_ended_in_the_middle_goes_on_with_what_is_missing(home: Path, server: RecordedServer) -> None:
    wanted = request(server, "M1", 28)
    found = Yfinance().pieces(wanted, {}, SourceContext(home))
    store = PipelineStore.open(home)
    for _ in range(2):
        store.keep_piece("yfinance", "EURUSD", "M1", next(found))
    found.close()  # type: ignore[attr-defined]
    store.close()
    assert len(charts(server)) == 2
    final = kept(home, wanted)
    starts = [asked.query["period1"] for asked in charts(server)]
    assert len(starts) == len(set(starts)) == len(final)


@pytest.mark.parametrize("failure", [HTML, BROKEN, Reply(b'{"chart": {"result": [{"meta": {'), Reply(b"x" * 3000, cut=500), Reply(hang_s=20.0)],
                         ids=["page", "500", "JSON cut off", "body cut off", "hang"])  # fmt: skip
def test_a_failure_is_waited_out(home: Path, server: RecordedServer, failure: Reply) -> None:
    pieces(home / "first", request(server, "D1", 100))  # the zone is known to the package afterwards
    asked = len(charts(server))
    server.plan(CHART, failure, failure)  # it asks once more by itself after a status of 400 or above
    (piece,) = pieces(home, request(server, "D1", 100))
    assert len(piece.frame) > 60
    assert 2 <= len(charts(server)) - asked <= 4


def test_a_cookie_server_that_hangs_holds_up_nothing_for_long(home: Path, server: RecordedServer) -> None:
    server.plan("/fc.yahoo.com", Reply(hang_s=30.0))
    began = time.monotonic()
    (piece,) = pieces(home, request(server, "D1", 100, timeout_s=0.5))
    assert len(piece.frame) > 60
    assert time.monotonic() - began < 5


def test_too_many_requests_are_waited_for_and_then_said(home: Path, server: RecordedServer) -> None:
    pieces(home / "first", request(server, "D1", 100))
    busy = Reply(b"Edge: Too Many Requests", 429, "text/html", {"Retry-After": "1"})
    server.plan(CHART, busy, busy)
    began = time.monotonic()
    (piece,) = pieces(home, request(server, "D1", 100))
    assert len(piece.frame) > 60
    assert time.monotonic() - began > 0.9
    server.at(CHART, busy)
    with pytest.raises(Unavailable, match=r"Yahoo EURUSD=X D1 .*: Yahoo says that there are too many requests \(429\); gave up after 2 tries"):
        pieces(home / "other", request(server, "D1", 100, tries=2))


def test_a_ticker_that_does_not_exist_is_told_from_one_without_data(home: Path, server: RecordedServer) -> None:
    with pytest.raises(NotFound, match=r"Yahoo has no ticker 'NONEXX=X' .*; give Yahoo's own name in the option ticker"):
        pieces(home, request(server, "D1", 100, ticker="NONEXX=X"))
    server.at(CHART, lambda asked: as_json(yahoo_chart([])))
    with pytest.raises(Unavailable, match="Yahoo knows the ticker and has no bars in this time"):
        pieces(home, request(server, "D1", 100))
    server.at(
        CHART,
        yahoo_error("Unprocessable Entity", "15m data not available for startTime=1. The requested range must be within the last 60 days.", 422),
    )
    with pytest.raises(BadInput, match="start_ms: Yahoo refuses EURUSD=X M15: 15m data not available"):
        pieces(home, request(server, "M15", 10))


def test_an_empty_weekend_is_no_error_but_nothing_in_a_week_is(home: Path, server: RecordedServer) -> None:
    server.at(CHART, lambda asked: as_json(yahoo_chart([])))
    now = now_ms()
    yahoo = _Yahoo("EURUSD=X", Timeframe.M5, REACH["M5"], YahooOptions(**QUICK, base_url=server.url), SourceContext(home))
    assert yahoo.piece(Chunk(now - 2 * DAY_MS, now, now - 2 * DAY_MS), now, 0.0) is None
    with pytest.raises(Unavailable, match="Yahoo knows the ticker and has no bars in this time; try again later"):
        yahoo.piece(Chunk(now - 6 * DAY_MS, now, now - 6 * DAY_MS), now, 0.0)


def test_offline_is_said_as_such_and_never_as_an_empty_frame(home: Path) -> None:
    options = {**QUICK, "tries": 2, "base_url": "http://127.0.0.1:9"}
    with pytest.raises(Unavailable, match=r"Yahoo EURUSD=X D1 .*: 127.0.0.1:9 cannot be reached.*; gave up after 2 tries"):
        pieces(home, Request("EURUSD", "D1", now_ms() - 50 * DAY_MS, None, options))


def test_cancelling_ends_the_wait_for_an_answer(home: Path, server: RecordedServer) -> None:
    server.at(CHART, Reply(hang_s=30.0))
    began = time.monotonic()

    def progress(fraction: float, message: str, **_: object) -> None:
        if "waiting for" in message and time.monotonic() - began > 0.4:
            raise JobCancelled

    wanted = request(server, "D1", 50, timeout_s=3.0)
    with pytest.raises(JobCancelled):
        list(Yfinance().pieces(wanted, {}, SourceContext(home, progress)))
    assert time.monotonic() - began < 2


def test_the_recorded_answer_loses_its_live_row_and_the_bar_that_it_belongs_to(home: Path, server: RecordedServer, realdata: Path) -> None:
    recorded = json.loads((realdata / "yahoo_chart" / "eurusd_5m.json").read_text())
    stamps = recorded["chart"]["result"][0]["timestamp"]
    # Moved by whole weeks into the last days, since Yahoo has no minutes of long ago.
    shift = (int(time.time()) - stamps[0] - 10 * 86_400) // (7 * 86_400) * 7 * 86_400
    recorded["chart"]["result"][0]["timestamp"] = [stamp + shift for stamp in stamps]
    server.at(CHART, lambda asked: as_json(recorded))
    span = ((stamps[0] + shift) * 1000, (stamps[-1] + shift) * 1000)
    found = pieces(home, Request("EURUSD", "M5", *span, {**QUICK, "base_url": server.url}))
    bars = pd.concat([piece.frame for piece in found])
    assert len(bars) == 10, "twelve rows came: the live one, and the five minutes in which it lies, are not over"
    assert bars["open"].tolist()[:2] == [1.1593, 1.1593]
    assert bars["close"].iloc[0] == 1.1592
    assert [f"{at:%H:%M}" for at in bars.index] == [f"{from_ms((stamp + shift) * 1000):%H:%M}" for stamp in stamps[:10]]
    assert sum(piece.facts["forming"] for piece in found if len(piece.frame)) == 1


def test_the_recorded_days_of_a_share_come_without_the_live_one(home: Path, server: RecordedServer, realdata: Path) -> None:
    recorded = json.loads((realdata / "yahoo_chart" / "aapl_1d.json").read_text())
    server.at(CHART, lambda asked: as_json(recorded))
    start = to_ms(datetime(2025, 4, 1, tzinfo=UTC))
    (piece,) = pieces(home, Request("US500", "D1", start, start + 300 * DAY_MS, {**QUICK, "base_url": server.url, "ticker": "AAPL"}))
    assert len(piece.frame) == 126
    assert piece.facts["day"]["zone"] == "America/New_York"
    assert str(piece.frame.index[0]) == "2025-04-30 04:00:00+00:00"
    assert piece.frame["volume"].iloc[0] == 52_286_500
    assert piece.facts["decimals"] == 2


def test_rows_off_the_grid_are_seen_in_every_timeframe() -> None:
    assert live_stamp({"timestamp": [300, 600, 652]}, Timeframe.M5, "UTC") == 652_000
    assert live_stamp({"timestamp": [300, 600, 900]}, Timeframe.M5, "UTC") is None
    assert live_stamp({"timestamp": [1800, 5400]}, Timeframe.H1, "UTC") is None, "an index opens at half past"
    assert live_stamp({"timestamp": []}, Timeframe.H1, "UTC") is None
    assert live_stamp({"timestamp": [601]}, Timeframe.M5, "UTC") == 601_000
    summer, winter = datetime(2024, 10, 25, 23, tzinfo=UTC), datetime(2024, 10, 29, tzinfo=UTC)
    assert live_stamp({"timestamp": [int(summer.timestamp()), int(winter.timestamp())]}, Timeframe.D1, "Europe/London") is None
    assert null_rows({"indicators": {"quote": [{"open": [1, None], "high": [1, 1], "low": [1, 1], "close": [1, None]}]}}) == 1
    assert null_rows({}) == 0


def test_stretches_lie_on_a_fixed_grid_within_yahoos_reach() -> None:
    now = to_ms(datetime(2026, 5, 20, 12, tzinfo=UTC))
    for name, reach in REACH.items():
        wanted = Request("EURUSD", name, None, None)
        chunks = chunks_of(wanted, Timeframe.named(name), reach, now)
        assert chunks[-1].start_ms < now <= chunks[-1].end_ms
        assert reach.back_days is None or chunks[0].asked_ms >= now - reach.back_days * DAY_MS
        assert all(datetime.fromtimestamp(chunk.start_ms / 1000, UTC).weekday() == 0 or name in ("M5", "M15", "M30", "H1") for chunk in chunks)
        later = chunks_of(wanted, Timeframe.named(name), reach, now + DAY_MS // 2)
        assert {chunk.key for chunk in chunks[1:]} <= {chunk.key for chunk in later}
        whole = [(chunk.start_ms, chunk.end_ms) for chunk in chunks]
        assert all(end == start for (_, end), (start, _) in pairwise(whole))
    with pytest.raises(BadInput, match="Yahoo gives M1 of no further back than 2026-04-21; nothing of what was asked for lies there"):
        chunks_of(Request("EURUSD", "M1", 0, now - 40 * DAY_MS), Timeframe.M1, REACH["M1"], now)


def test_symbols_have_yahoos_names_and_h4_is_not_among_its_timeframes(home: Path) -> None:
    assert [ticker_of(symbol) for symbol in ("EURUSD", "USDJPY", "US500")] == ["EURUSD=X", "USDJPY=X", "^GSPC"]
    assert ticker_of("XAUUSD", "GC=F") == "GC=F"
    with pytest.raises(BadInput, match="Yahoo's name for 'XAUUSD' is not known"):
        ticker_of("XAUUSD")
    with pytest.raises(BadInput, match=r"Yahoo has no H4; .* collect H1 and resample it"):
        pieces(home, Request("EURUSD", "H4"))
    assert timedelta(days=REACH["M1"].chunk_days) <= timedelta(days=8)
