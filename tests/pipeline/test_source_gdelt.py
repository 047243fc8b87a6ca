"""GDELT's DOC service, through gdeltdoc and our client, against a server that answers as the real one does, failures included."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from components.base import ROOT, now_ms
from components.fx import BadInput, Unavailable, from_ms, to_ms
from components.jobs import JobCancelled
from components.pipeline import PipelineStore, Request
from components.pipeline.collect import collect_series
from components.pipeline.news import news_frame
from components.pipeline.news_store import ArticlePiece, NewsStore
from components.pipeline.sources.gdelt import DEFAULT_QUERIES, MOST_ARTICLES, Gdelt, GdeltQuery, check_answer, parse_json
from components.pipeline.sources.source import KnownPiece, Piece, SourceContext
from components.pipeline.sources.web import Again, Answer
from tests.pipeline.recorded_server import (
    BROKEN,
    HTML,
    QUARTER_MS,
    TOO_MANY,
    Asked,
    RecordedServer,
    Reply,
    as_json,
    gdelt_doc,
    gdelt_stamp,
    stamp_ms,
    value_at,
)

PATH = "/api/v2/doc/doc"
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
START = stamp_ms("20240304000000") - stamp_ms("20240304000000") % (2 * DAY_MS)  # a grid of two days
QUICK = {"seconds_between": 0.0, "tries": 4, "backoff_s": 0.02, "timeout_s": 1.0, "longest_s": 5.0, "longest_wait_s": 3.0}


@pytest.fixture
def server() -> Iterator[RecordedServer]:
    with RecordedServer() as running:
        running.at(PATH, gdelt_doc)
        yield running


def request(server: RecordedServer, days: float = 4, start_ms: int | None = START, **options: Any) -> Request:
    end_ms = None if start_ms is None else start_ms + int(days * DAY_MS)
    return Request("USD", "", start_ms, end_ms, {**QUICK, "base_url": server.url + PATH, **options})


def known_of(home: Path) -> dict[str, KnownPiece]:
    store = PipelineStore.open(home)
    try:
        return {piece.known.key: piece.known for piece in store.pieces("gdelt", "USD", "")}
    finally:
        store.close()


def pieces(home: Path, wanted: Request, known: dict[str, KnownPiece] | None = None) -> list[Piece]:
    return list(Gdelt().pieces(wanted, known or {}, SourceContext(home)))


def one_window(server: RecordedServer, **options: Any) -> Request:
    return request(server, 2, metrics=["tone"], **options)


def test_a_timeline_becomes_points_and_an_absent_bucket_is_absent(home: Path, server: RecordedServer) -> None:
    (piece,) = pieces(home, one_window(server))
    truth = {ms: value for ms in range(START, START + 2 * DAY_MS, QUARTER_MS) if (value := value_at(ms, "timelinetone")) is not None}
    assert 100 < len(truth) < 192
    assert dict(zip(piece.frame.index.as_unit("ms").asi8.tolist(), piece.frame["tone"], strict=True)) == truth
    assert piece.key == f"tone {from_ms(START):%Y-%m-%dT%H:%M}..{from_ms(START + 2 * DAY_MS):%Y-%m-%dT%H:%M}"
    assert piece.is_final
    assert piece.facts["query"] == '("federal reserve" OR "us dollar" OR fomc) sourcelang:english'
    assert (piece.facts["bucket_s"], piece.facts["forming"], piece.facts["repaired_escapes"]) == (900, 0, 0)
    (asked,) = server.asked
    assert asked.query["query"] == piece.facts["query"]
    assert (asked.query["mode"], asked.query["format"], asked.query["startdatetime"]) == ("timelinetone", "json", f"{from_ms(START):%Y%m%d%H%M%S}")
    assert asked.query["enddatetime"] == f"{from_ms(START + 2 * DAY_MS - 1000):%Y%m%d%H%M%S}"


def test_history_is_dated_by_an_assumed_delay_and_the_last_minutes_by_when_they_came(home: Path, server: RecordedServer) -> None:
    (past,) = pieces(home, one_window(server, delay_minutes=20))
    ends = past.frame.index.as_unit("ms").asi8 + QUARTER_MS
    assert (past.frame["first_seen_ms"] == ends + 20 * 60_000).all()
    assert (past.frame["is_assumed"] == 1).all()

    before = now_ms()
    live = pieces(home, request(server, start_ms=None, metrics=["tone"], days=1))
    now = now_ms()
    frame, fetched_ms = live[-1].frame, live[-1].fetched_ms
    ends = frame.index.as_unit("ms").asi8 + QUARTER_MS
    assert before <= fetched_ms <= now
    assert (ends <= fetched_ms).all(), "a bucket that is not over is not a value yet"
    is_live = fetched_ms - ends <= HOUR_MS
    assert (frame["first_seen_ms"][is_live] == fetched_ms).all()
    assert (frame["is_assumed"] == (~is_live).astype(int)).all()
    assert (frame["first_seen_ms"] >= ends).all()
    assert not live[-1].is_final


def test_a_bucket_that_is_not_over_is_no_value_even_where_the_server_gives_one(home: Path, server: RecordedServer) -> None:
    forming_ms = now_ms() // QUARTER_MS * QUARTER_MS

    def eager(asked: Asked) -> Reply:
        document = json.loads(gdelt_doc(asked).body)
        document["timeline"][0]["data"].append({"date": gdelt_stamp(forming_ms), "value": 55.0})
        return as_json(document)

    server.at(PATH, eager)
    live = pieces(home, request(server, start_ms=None, metrics=["tone"], days=1))[-1]
    if now_ms() < forming_ms + QUARTER_MS:  # else the quarter of an hour ended under the test
        assert 55.0 not in live.frame["tone"].tolist()
        assert live.facts["forming"] == 1


def test_a_collection_keeps_points_for_features_and_the_second_one_asks_for_nothing(home: Path, server: RecordedServer) -> None:
    wanted = request(server, 4)
    done = collect_series(home, "gdelt", wanted)
    assert (done.new_pieces, done.pieces, server.count()) == (4, 4, 4)
    frame = news_frame(home, "USD")
    assert len(frame) > 300
    assert frame[["tone", "volume"]].notna().all(axis=None)
    assert (frame.index.as_unit("ms").asi8 == frame["bucket_ms"] + 2 * QUARTER_MS).all()
    again = collect_series(home, "gdelt", wanted)
    assert (again.new_pieces, again.pieces, server.count()) == (0, 4, 4)
    further = collect_series(home, "gdelt", request(server, 6))
    assert (further.new_pieces, server.count()) == (2, 6)


def test_a_window_counts_as_read_only_when_its_points_are_kept(home: Path, server: RecordedServer) -> None:
    store = PipelineStore.open(home)
    with store.database.write() as connection:
        connection.exec_driver_sql("CREATE TRIGGER full BEFORE INSERT ON news_points BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    with pytest.raises(Exception, match="disk full"):
        collect_series(home, "gdelt", one_window(server))
    assert known_of(home) == {}
    with store.database.write() as connection:
        connection.exec_driver_sql("DROP TRIGGER full")
    assert collect_series(home, "gdelt", one_window(server)).new_pieces == 1
    assert len(NewsStore.open(home).points("USD", "tone")) > 100
    assert server.count() == 1, "the answer was on disk"


def test_a_window_that_reaches_into_the_present_is_asked_for_again_and_a_changed_value_is_a_revision(home: Path, server: RecordedServer) -> None:
    wanted = request(server, start_ms=None, metrics=["tone"], days=1)
    collect_series(home, "gdelt", wanted)
    store = NewsStore.open(home)
    before = store.points("USD", "tone", with_revisions=True)
    changed_ms = int(before.index.as_unit("ms").asi8[-1])

    def revised(asked: Asked) -> Reply:
        document = json.loads(gdelt_doc(asked).body)
        for entry in document["timeline"][0]["data"]:
            entry["value"] = 77.0 if entry["date"] == gdelt_stamp(changed_ms) else entry["value"]
        return as_json(document)

    server.at(PATH, revised)
    for kept in (home / "raw" / "gdelt").iterdir():
        kept.unlink()  # as if the minute were over for which an answer of the present is good
    began = now_ms()
    done = collect_series(home, "gdelt", wanted)
    assert done.new_pieces >= 1
    rows = store.points("USD", "tone", with_revisions=True)
    of_bucket = rows[rows.index.as_unit("ms").asi8 == changed_ms]
    assert of_bucket["value"].iloc[-1] == 77.0
    assert of_bucket["first_seen_ms"].iloc[-1] >= began
    assert of_bucket["value"].iloc[0] == value_at(changed_ms, "timelinetone")
    assert store.points("USD", "tone", began - 1).index.equals(before.index)


@pytest.mark.parametrize(
    "failure",
    [
        TOO_MANY,
        Reply(TOO_MANY.body, 200, "text/html; charset=utf-8"),
        HTML,
        BROKEN,
        Reply(b"", 200, "application/json"),
        Reply(b'{"timeline": [{"series": "Average Tone", "data": [{"date": "20240304T000000Z", "val'),
        Reply(b'{"timeline": [{"series": "Average Tone", "data": [{"date": "20240304T0000", "value": 1}]}]}'),
        Reply(b'{"status": "busy"}'),
        Reply(b"x" * 5000, cut=100),
        Reply(hang_s=20.0),
    ],
    ids=["429", "429 as 200", "page", "500", "nothing", "JSON cut off", "no date", "another document", "body cut off", "hang"],
)
def test_a_failure_is_waited_out_and_leaves_no_trace_in_the_values(home: Path, server: RecordedServer, failure: Reply) -> None:
    server.plan(PATH, failure)
    (piece,) = pieces(home, one_window(server))
    assert server.count() == 2
    (clean,) = pieces(home / "other", one_window(server))
    assert piece.frame["tone"].equals(clean.frame["tone"])


def test_a_failure_that_stays_says_what_it_was(home: Path, server: RecordedServer) -> None:
    server.at(PATH, TOO_MANY)
    with pytest.raises(
        Unavailable, match=r"GDELT tone of USD, 2024-03-\d\d 00:00: .* too many requests \(429\); gave up after 4 tries, try again later"
    ):
        pieces(home, one_window(server))
    server.at(PATH, Reply(b"Your query was too short or too long.", 200, "text/html; charset=utf-8"))
    asked = server.count()
    with pytest.raises(BadInput, match="queries: GDELT refuses the query: Your query was too short or too long"):
        pieces(home, one_window(server))
    assert server.count() == asked + 1, "what GDELT calls wrong is not asked again"
    with pytest.raises(Unavailable, match="cannot be reached"):
        pieces(home, Request("USD", "", START, START + DAY_MS, {**QUICK, "tries": 2, "base_url": "http://127.0.0.1:9/doc"}))


def test_the_pause_that_is_asked_for_is_kept_and_cancelling_ends_it(home: Path, server: RecordedServer) -> None:
    server.plan(PATH, Reply(TOO_MANY.body, 429, "text/plain", {"Retry-After": "1"}))
    pieces(home, one_window(server))
    first, second = server.asked
    assert second.at - first.at > 0.9

    server.at(PATH, Reply(TOO_MANY.body, 429, "text/plain", {"Retry-After": "100"}))
    began = time.monotonic()

    def progress(fraction: float, message: str, **_: object) -> None:
        if "follows" in message:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        list(Gdelt().pieces(one_window(server, longest_wait_s=200), {}, SourceContext(home / "other", progress)))
    assert time.monotonic() - began < 3


def test_requests_keep_their_distance(home: Path, server: RecordedServer) -> None:
    pieces(home, request(server, 6, metrics=["tone"], seconds_between=0.5))
    assert len(server.asked) == 3
    assert min(later.at - earlier.at for earlier, later in pairwise(server.asked)) > 0.45


def test_an_empty_answer_is_believed_when_it_came_twice(home: Path, server: RecordedServer) -> None:
    server.plan(PATH, Reply(b"{}"), Reply(b"{}"))
    wanted = one_window(server)
    (first,) = pieces(home, wanted)
    assert (len(first.frame), first.is_final, first.facts["empty_answers"]) == (0, False, 1)
    store = PipelineStore.open(home)
    store.keep_piece("gdelt", "USD", "", first)
    (second,) = pieces(home, wanted, known_of(home))
    assert (len(second.frame), second.is_final, server.count()) == (0, True, 2)
    (filled,) = pieces(home, wanted, known_of(home))
    assert (len(filled.frame) > 100, filled.is_final, server.count()) == (True, True, 3)


def test_backslashes_that_are_no_escapes_are_mended_and_nothing_else(home: Path, server: RecordedServer) -> None:
    assert parse_json(r'{"title": "a \d b \\ c \" \u00e9 \u12"}') == ({"title": 'a \\d b \\ c " é \\u12'}, 2)
    assert parse_json('{"title": "line\nbreak"}') == ({"title": "line\nbreak"}, 0)
    for broken in ('{"value": 1.9.4}', '{"value": 1.9', "[1]", '{"a": "\\d}'):
        with pytest.raises(ValueError, match=r"."):
            parse_json(broken)

    def with_backslashes(asked: Asked) -> Reply:
        return Reply(gdelt_doc(asked).body.replace(b"bank says", rb"bank\'s C:\dollar"))

    server.at(PATH, with_backslashes)
    (piece,) = pieces(home, request(server, 1 / 12, metrics=["articles"], window_hours=2))
    assert isinstance(piece, ArticlePiece)
    assert piece.articles["title"].iloc[0].startswith(r"Central bank\'s C:\dollar something")
    assert piece.facts["repaired_escapes"] > 50


def test_a_full_list_of_articles_is_split_until_none_is_full(home: Path, server: RecordedServer) -> None:
    (piece,) = pieces(home, request(server, 1, metrics=["articles"], window_hours=24))
    assert isinstance(piece, ArticlePiece)
    assert len(piece.articles) == DAY_MS // 120_000
    assert piece.articles["url"].is_unique
    assert piece.facts["cut_windows"] == 0
    assert piece.facts["requests"] == server.count() == 7
    assert (piece.articles["first_seen_ms"] == piece.articles["seen_ms"] + 2 * QUARTER_MS).all()
    assert piece.frame["articles"].sum() == len(piece.articles)
    # Killed before the piece was kept: the parts are on disk.
    pieces(home, request(server, 1, metrics=["articles"], window_hours=24))
    assert server.count() == 7


def test_a_list_that_is_full_in_the_shortest_window_is_counted_as_cut(home: Path, server: RecordedServer) -> None:
    entry = {"title": "t", "domain": "d", "language": "English", "sourcecountry": "US", "socialimage": "", "url_mobile": ""}

    def crowded(asked: Asked) -> Reply:
        start = asked.query["startdatetime"]
        return as_json(
            {"articles": [{**entry, "url": f"https://{start}/{n}", "seendate": gdelt_stamp(stamp_ms(start))} for n in range(MOST_ARTICLES)]}
        )

    server.at(PATH, crowded)
    (piece,) = pieces(home, request(server, 1 / 6, metrics=["articles"], window_hours=4))
    assert piece.facts["cut_windows"] == 4
    assert isinstance(piece, ArticlePiece)
    assert len(piece.articles) == 4 * MOST_ARTICLES


def test_articles_are_kept_and_found_as_of_an_instant(home: Path, server: RecordedServer) -> None:
    collect_series(home, "gdelt", request(server, 1 / 12, metrics=["articles"], window_hours=2))
    store = NewsStore.open(home)
    everything = store.articles("USD")
    assert len(everything) == 60
    seen_ms = START + HOUR_MS
    assert (store.articles("USD", seen_ms)["first_seen_ms"] <= seen_ms).all()
    assert 0 < len(store.articles("USD", seen_ms)) < 60
    assert set(everything["country"]) == {"Switzerland"}


def test_a_query_of_ones_own_is_a_series_of_its_own(home: Path, server: RecordedServer) -> None:
    own = {"keywords": ["inflation"], "themes": ["ECON_INTEREST_RATES", "ECON_CENTRALBANK"], "country": "US", "language": ""}
    collect_series(home, "gdelt", one_window(server))
    with pytest.raises(BadInput, match=r"'USD' was collected with the query .* collect .* under another name, for example 'USD-2'"):
        collect_series(home, "gdelt", one_window(server, queries={"USD": own}))
    wanted = one_window(server, queries={"USD-2": own})
    collect_series(home, "gdelt", Request("USD-2", "", wanted.start_ms, wanted.end_ms, wanted.options))
    assert server.asked[-1].query["query"] == '"inflation" sourcecountry:US (theme:ECON_INTEREST_RATES OR theme:ECON_CENTRALBANK)'
    assert len(news_frame(home, "USD-2")) == len(news_frame(home, "USD"))
    with pytest.raises(BadInput, match=r"there is no query for 'ABC'; known are USD, EUR, .*; give one in the option queries"):
        pieces(home, Request("ABC", "", START, START + DAY_MS, wanted.options))
    for words in ({"keywords": ["a&b=c"]}, {"keywords": []}, {"keywords": ["x" * 81]}, {"subject": "money"}):
        with pytest.raises(BadInput, match=r"queries\.ABC"):
            pieces(home, one_window(server, queries={"ABC": words}))
    assert len(DEFAULT_QUERIES) >= 8
    assert all(isinstance(query, GdeltQuery) and query.text for query in DEFAULT_QUERIES.values())


def test_without_a_start_a_collection_goes_on_where_its_first_one_began(home: Path, server: RecordedServer) -> None:
    collect_series(home, "gdelt", request(server, 2, metrics=["tone"]))
    context = SourceContext(home)
    wanted = request(server, start_ms=None, metrics=["tone"])
    first = next(iter(Gdelt().pieces(wanted, known_of(home), context)))
    assert first.facts["start_ms"] == START + 2 * DAY_MS, "the window after the kept one, not a week ago"


def test_the_recorded_answers_are_read_as_they_are(home: Path, server: RecordedServer, realdata: Path) -> None:
    listed = (realdata / "gdelt" / "doc_artlist.json").read_bytes()
    server.at(PATH, Reply(listed))
    at = to_ms(from_ms(stamp_ms("20260828000000")))
    (piece,) = pieces(
        home, Request("USD", "", at, at + DAY_MS, {**QUICK, "base_url": server.url + PATH, "metrics": ["articles"], "window_hours": 24})
    )
    assert isinstance(piece, ArticlePiece)
    assert len(piece.articles) == 5
    assert piece.articles["url"].iloc[1].startswith("https://www.mondaq.com:443/")
    assert from_ms(int(piece.articles["seen_ms"].iloc[0])).isoformat() == "2026-08-28T12:15:00+00:00"

    shapes = json.loads((realdata / "gdelt" / "doc_timeline_shapes.json").read_text())
    server.at(PATH, as_json(shapes["timelinevol"]))
    at = to_ms(from_ms(stamp_ms("20260831000000")))
    (piece,) = pieces(home, Request("USD", "", at, at + DAY_MS, {**QUICK, "base_url": server.url + PATH, "metrics": ["volume"], "window_hours": 24}))
    assert piece.frame["volume"].tolist() == [1.9942, 1.2605, 2.761]
    assert [f"{stamp:%H:%M}" for stamp in piece.frame.index] == ["18:15", "18:30", "19:00"], "18:45 was left out and stays so"
    assert piece.facts["bucket_s"] == 900


def test_what_gdelt_says_is_told_apart() -> None:
    def verdict(body: bytes) -> str:
        try:
            check_answer(Answer("", 200, "", body, "", 0), "timelinetone", 5.0)
        except Again as trouble:
            return f"again: {trouble.wait_s}"
        except BadInput:
            return "wrong"
        return "good"

    assert verdict(b"{}") == "good"
    assert verdict(b'{"timeline": []}') == "good"
    assert verdict(b"Please limit requests to one every 5 seconds") == "again: 5.0"
    assert verdict(b"The specified phrase is too short.") == "wrong"
    assert verdict(b"<html>") == verdict(b"") == verdict(b"[1, 2]") == "again: None"


KILLED = """
import sys
from pathlib import Path
from components.pipeline import Request
from components.pipeline.collect import collect_series
import json
home, url, start, end = sys.argv[1:5]
options = {"seconds_between": 0.25, "tries": 3, "backoff_s": 0.1, "base_url": url, "metrics": ["tone", "volume"], "window_hours": 12}
done = collect_series(Path(home), "gdelt", Request("USD", "", int(start), int(end), options))
print(json.dumps({"new": done.new_pieces, "pieces": done.pieces}))
"""


@pytest.mark.slow
def test_a_collection_that_was_killed_goes_on_with_what_is_missing(home: Path, server: RecordedServer) -> None:
    arguments = [sys.executable, "-c", KILLED, str(home), server.url + PATH, str(START), str(START + 5 * DAY_MS)]
    killed = 0
    for wait_for in (3, 8, 13):
        process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL)
        give_up = time.monotonic() + 60
        while server.count() < wait_for and time.monotonic() < give_up:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        killed += process.wait(10) == -signal.SIGKILL
    assert killed == 3
    kept = known_of(home)
    assert 5 < len(kept) < 20
    done = json.loads(subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()[-1])
    assert done == {"new": 20 - len(kept), "pieces": 20}
    asked = Counter((one.query["mode"], one.query["startdatetime"]) for one in server.asked)
    assert len(asked) == 20
    assert max(asked.values()) <= 2
    assert len(server.asked) <= 20 + 3, "only the request that was under way when it was killed may be asked again"
    rows = NewsStore.open(home).points("USD", "tone", with_revisions=True)
    truth = [value for ms in range(START, START + 5 * DAY_MS, QUARTER_MS) if (value := value_at(ms, "timelinetone")) is not None]
    assert rows["value"].tolist() == truth, "once each"
