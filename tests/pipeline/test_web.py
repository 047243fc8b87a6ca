"""The HTTP client waits its turn, tries again where that helps and nowhere else, keeps what it was given, and ends when it is told to."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from components.base import ROOT, now_ms
from components.fx import BadInput, Unavailable
from components.jobs import JobCancelled
from components.pipeline.sources.source import SourceContext
from components.pipeline.sources.turns import hold_back, wait_for_turn
from components.pipeline.sources.web import Again, Answer, HttpRefused, Web, WebOptions, in_background, retry_after_s, shown_url
from tests.pipeline.recorded_server import BROKEN, HTML, TOO_MANY, RecordedServer, Reply

QUICK = {"timeout_s": 0.6, "longest_s": 5.0, "tries": 4, "backoff_s": 0.02, "longest_wait_s": 3.0, "seconds_between": 0.0}


@pytest.fixture
def server() -> Iterator[RecordedServer]:
    with RecordedServer() as running:
        yield running


@pytest.fixture
def web(home: Path) -> Callable[..., Web]:
    def make(progress: Callable[..., None] | None = None, **options: Any) -> Web:
        context = SourceContext(home) if progress is None else SourceContext(home, progress)
        return Web(context, "test", WebOptions(**{**QUICK, **options}))

    return make


def test_an_answer_is_kept_as_it_came_and_asked_for_once(server: RecordedServer, web: Callable[..., Web], home: Path) -> None:
    server.at("/a", Reply(b'{"x": 1}'))
    answer = web().get(f"{server.url}/a", params={"q": "x y", "token": "hush"}, keep_as="a b.json")
    again = web().get(f"{server.url}/a", params={"q": "x y", "token": "hush"}, keep_as="a b.json")
    assert (answer.content, again.content, again.is_cached, server.count()) == (b'{"x": 1}', b'{"x": 1}', True, 1)
    assert server.asked[0].query == {"q": "x y", "token": "hush"}
    kept = home / "raw" / "test" / "a_b.json"
    facts = json.loads(kept.with_name("a_b.json.json").read_text())
    assert kept.read_bytes() == b'{"x": 1}'
    assert (facts["sha256"], facts["status"]) == (answer.sha256, 200)
    assert "hush" not in facts["url"]
    assert abs(facts["fetched_ms"] - now_ms()) < 60_000


def test_a_kept_answer_is_asked_for_again_when_old_changed_on_disk_or_of_another_question(
    server: RecordedServer, web: Callable[..., Web], home: Path
) -> None:
    server.at("/a", lambda asked: Reply(f"{server.count()} {asked.query}".encode()))
    for _ in range(2):
        web().get(f"{server.url}/a", keep_as="a", most_age_s=0.0)
    assert server.count() == 2
    (home / "raw" / "test" / "a").write_bytes(b"changed")
    assert web().get(f"{server.url}/a", keep_as="a").content == b"3 {}"
    assert web().get(f"{server.url}/a", params={"n": "2"}, keep_as="a").content == b"4 {'n': '2'}"
    (home / "raw" / "test" / "a.json").unlink()
    assert web().get(f"{server.url}/a", params={"n": "2"}, keep_as="a").is_cached is False


def test_trouble_of_the_server_is_waited_out(server: RecordedServer, web: Callable[..., Web]) -> None:
    server.at("/a", Reply(b"good"))
    server.plan("/a", BROKEN, Reply(b"half of it", cut=5), Reply(b"", 503, headers={"Retry-After": "0"}))
    assert web().get(f"{server.url}/a").content == b"good"
    assert server.count() == 4


def test_what_is_asked_for_wrongly_is_asked_once(server: RecordedServer, web: Callable[..., Web]) -> None:
    server.at("/a", Reply(b"no such series", 404, "text/plain"))
    with pytest.raises(HttpRefused, match=r"rates: 127.0.0.1:\d+ refused http.*/a\?key=.* with status 404 \('no such series'\)") as refused:
        web().get(f"{server.url}/a", params={"key": "secret-1"}, what="rates")
    assert refused.value.status == 404
    assert "secret-1" not in str(refused.value)
    assert server.count() == 1


def test_giving_up_says_what_was_wrong_last(server: RecordedServer, web: Callable[..., Web]) -> None:
    server.at("/a", BROKEN)
    with pytest.raises(Unavailable, match=r"rates: 127.* has an error of its own \(500\); gave up after 4 tries, try again later"):
        web().get(f"{server.url}/a", what="rates")
    assert server.count() == 4
    with pytest.raises(Unavailable, match="cannot be reached; check the network connection"):
        web(tries=2).get("http://127.0.0.1:9/a")
    with pytest.raises(BadInput, match="is not a web address"):
        web().get("ftp://127.0.0.1/a")


def test_retry_after_is_waited_for_as_seconds_and_as_a_date(server: RecordedServer, web: Callable[..., Web]) -> None:
    server.at("/a", Reply(b"good"))
    server.plan("/a", Reply(TOO_MANY.body, 429, "text/plain", {"Retry-After": "1"}))
    began = time.monotonic()
    assert web().get(f"{server.url}/a").content == b"good"
    assert time.monotonic() - began > 0.9
    in_a_minute = retry_after_s(format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True))
    assert in_a_minute is not None
    assert 55 < in_a_minute <= 60
    assert retry_after_s("soon") is None
    server.plan("/a", Reply(b"", 429, headers={"Retry-After": "600"}))
    with pytest.raises(Unavailable, match=r"too many requests \(429\) and asks to wait 10 minutes; try again after that"):
        web().get(f"{server.url}/a")


def test_a_wait_grows_and_is_jittered(server: RecordedServer, web: Callable[..., Web]) -> None:
    server.at("/a", BROKEN)
    with pytest.raises(Unavailable):
        web(tries=4, backoff_s=0.2).get(f"{server.url}/a")
    times = [asked.at for asked in server.asked]
    first, second, third = (later - earlier for earlier, later in pairwise(times))
    assert 0.1 <= first < 0.45
    assert 0.2 <= second < 0.65
    assert 0.4 <= third < 1.05


def test_silence_and_a_trickle_are_both_bounded(server: RecordedServer, web: Callable[..., Web]) -> None:
    server.at("/a", Reply(b"good"))
    server.plan("/a", Reply(hang_s=30.0))
    assert web().get(f"{server.url}/a").content == b"good"
    server.plan("/a", Reply(b"x" * 10_000, drip_s=0.2))
    began = time.monotonic()
    assert web(longest_s=1.0).get(f"{server.url}/a").content == b"good"
    assert time.monotonic() - began < 4
    server.at("/never", Reply(hang_s=30.0))
    with pytest.raises(Unavailable, match=r"was silent for 0.6 s; gave up after 2 tries"):
        web(tries=2).get(f"{server.url}/never")


def test_an_answer_that_is_no_data_is_not_kept_and_asked_for_again(server: RecordedServer, web: Callable[..., Web], home: Path) -> None:
    def refuse_pages(answer: Answer) -> None:
        if answer.content.startswith(b"<"):
            raise Again("a page instead of data")

    server.at("/a", Reply(b"good"))
    server.plan("/a", HTML)
    assert web().get(f"{server.url}/a", keep_as="a", check=refuse_pages).content == b"good"
    server.at("/b", HTML)
    with pytest.raises(Unavailable, match="a page instead of data; gave up"):
        web().get(f"{server.url}/b", keep_as="b", check=refuse_pages)
    assert sorted(path.name for path in (home / "raw" / "test").iterdir()) == ["a", "a.json"]


def test_an_answer_that_is_too_large_is_refused_whether_it_says_so_or_not(server: RecordedServer, web: Callable[..., Web]) -> None:
    server.at("/a", Reply(b"x" * 200_000))
    with pytest.raises(Unavailable, match=r"is larger than 0.1 MB; ask for less or raise most_megabytes"):
        web(most_megabytes=0.1).get(f"{server.url}/a")
    assert server.count() == 1


@pytest.mark.parametrize("reply", [Reply(hang_s=30.0), BROKEN], ids=["while waiting for the answer", "while waiting for another try"])
def test_cancelling_ends_every_wait_at_once(server: RecordedServer, web: Callable[..., Web], reply: Reply) -> None:
    server.at("/a", reply)
    began = time.monotonic()
    messages = []

    def progress(fraction: float, message: str, **_: object) -> None:
        messages.append(message)
        if time.monotonic() - began > 0.5:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        web(progress, timeout_s=20.0, longest_s=20.0, backoff_s=20.0, longest_wait_s=60.0).get(f"{server.url}/a", what="rates")
    assert time.monotonic() - began < 2.0
    assert any("rates: " in message and ("waiting for" in message or "try 2 of 4 follows" in message) for message in messages)


@pytest.mark.slow
def test_turns_are_kept_over_processes(server: RecordedServer, home: Path) -> None:
    server.at("/a", Reply(b"good"))
    script = (
        "import sys; from pathlib import Path\n"
        "from components.pipeline.sources.source import SourceContext\n"
        "from components.pipeline.sources.web import Web, WebOptions\n"
        "web = Web(SourceContext(Path(sys.argv[1])), 'test', WebOptions(seconds_between=0.5))\n"
        "for _ in range(3): web.get(sys.argv[2] + '/a')\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, str(home), server.url], cwd=ROOT) for _ in range(2)]
    assert [process.wait(60) for process in running] == [0, 0]
    times = sorted(asked.at for asked in server.asked)
    assert len(times) == 6
    assert min(later - earlier for earlier, later in pairwise(times)) > 0.4


def test_a_host_that_was_held_back_is_left_alone(home: Path) -> None:
    context = SourceContext(home)
    hold_back(context, "example.org", 0.8)
    began = time.monotonic()
    wait_for_turn(context, "example.org", 0.1, what="rates")
    assert time.monotonic() - began > 0.7


def test_a_turn_written_by_a_wrong_clock_or_half_written_is_nobodys(home: Path) -> None:
    context = SourceContext(home)
    for text in ("99999999999999", "", "soon"):
        (context.raw("hosts") / "example.org.turn").write_text(text)
        began = time.monotonic()
        wait_for_turn(context, "example.org", 0.1, what="rates")
        assert time.monotonic() - began < 0.5


def test_a_call_in_the_background_gives_its_result_its_error_or_runs_out_of_time(home: Path) -> None:
    told = []
    context = SourceContext(home, lambda fraction, message, **_: told.append((fraction, message)))
    assert in_background(lambda: threading.current_thread().name, context=context, longest_s=5, message="m", fraction=0.5) == "download"
    assert told[-1] == (0.5, "m")
    with pytest.raises(ZeroDivisionError):
        in_background(lambda: 1 // 0, context=context, longest_s=5, message="m")
    with pytest.raises(TimeoutError):
        in_background(lambda: time.sleep(1), context=context, longest_s=0.2, message="m")


def test_secrets_are_not_shown() -> None:
    shown = shown_url("https://user:pass@example.org/a?api_key=1&Token=2&crumb=3&q=fed%20rate")
    assert shown.startswith("https://example.org/a?")
    assert not any(word in shown for word in ("user", "pass@", "=1", "=2", "=3"))
    assert "q=fed+rate" in shown
