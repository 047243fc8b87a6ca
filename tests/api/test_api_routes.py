"""The API over HTTP, as a terminal uses it: every route, its answers held to their documents, errors in words."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from typing import Any

import orjson
import pytest
from api_process import ACCOUNT, FACTS, Api, raw

from api_server import ROUTES
from components.base import ROOT, now_ms
from components.bridge import ApiClient, Pending, Unsigned, WakeListener, answers, load_or_make_key, sign_request, wire
from components.bridge.issue import issue_signals
from components.fx import AccountSnapshot, BadInput, NotFound, Position, Refused, Report, Signal, SignalState, Tick, Unavailable

T0 = 1_700_000_000_000
SNAPSHOT = AccountSnapshot(ACCOUNT, T0, "USD", 10_000.0, 10_001.25, 36.67, 30.0, "hedging")


def tick(seq: int, bid: float = 1.1) -> Tick:
    return Tick("EURUSD", T0 + seq, bid, bid + 0.0001, seq)


def signal(id: str, **changes: Any) -> Signal:
    return replace(Signal(id, ACCOUNT, "d1", "open", "EURUSD", side=1, lots=0.1, stop=1.0912345678901234), **changes)


def issue(api: Api, *signals: Signal) -> None:
    mailbox = api.mailbox()
    issue_signals(mailbox, signals, {"by": "a test"})
    mailbox.close()


def test_health_metrics_and_documents_are_open(shared_api: Api) -> None:
    for path, media_type in (("/api/v1/health", "application/json"), ("/api/v1/docs", "text/html"), ("/metrics", "text/plain")):
        with urllib.request.urlopen(shared_api.url + path) as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"].startswith(media_type)
    health = orjson.loads(urllib.request.urlopen(shared_api.url + "/api/v1/health").read())
    answers.HealthAnswer.model_validate(health)


def test_the_document_names_every_route_and_the_page_shows_it_without_anything_from_elsewhere(shared_api: Api) -> None:
    document = orjson.loads(urllib.request.urlopen(shared_api.url + "/api/v1/openapi.json").read())
    assert document["openapi"] == "3.1.0"
    listed = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    assert listed == {(row.method, row.open_path) for row in ROUTES}
    page = urllib.request.urlopen(shared_api.url + "/api/v1/docs").read().decode()
    assert all(path in page for _, path in listed)
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    text = orjson.dumps(document).decode()
    for reference in set(text.split('"$ref":"#/components/schemas/')[1:]):
        assert reference.split('"')[0] in document["components"]["schemas"]


def test_hello_tells_where_to_go_on(api: Api) -> None:
    client = api.client()
    answer = client.hello(FACTS)
    answers.HelloAnswer.model_validate(answer)
    assert answer["watermarks"] == {}
    client.post_ticks(ACCOUNT, [tick(1), tick(2)])
    assert client.hello(FACTS)["watermarks"] == {"EURUSD": 2}


def test_ticks_are_stored_before_they_are_answered_and_keep_every_bit(shared_api: Api) -> None:
    client = shared_api.client()
    assert client.post_ticks(ACCOUNT, [tick(1), tick(2, 1.1000000000000003)]) is None
    assert client.call("POST", "/api/v1/tick", {"account_id": ACCOUNT, "symbol": "EURUSD", "time_ms": T0 + 3, "bid": 1.3, "ask": 1.4, "seq": 3}) == {
        "accepted": 1,
        "watermark": None,
    }
    latest = client.call("GET", f"/api/v1/ticks/latest?account_id={ACCOUNT}&symbol=EURUSD")
    answers.TickAnswer.model_validate(latest)
    assert latest == {"symbol": "EURUSD", "time_ms": T0 + 3, "bid": 1.3, "ask": 1.4, "seq": 3}
    assert shared_api.ticks().since(ACCOUNT, "EURUSD").bid.tolist() == [1.1, 1.1000000000000003, 1.3]
    with pytest.raises(Refused, match="is stored already"):
        client.post_ticks(ACCOUNT, [tick(3, 9.0)])
    with pytest.raises(NotFound, match="symbol: account demo-1 has no ticks of USDJPY"):
        client.call("GET", f"/api/v1/ticks/latest?account_id={ACCOUNT}&symbol=USDJPY")


def test_a_tick_that_is_ahead_of_the_platforms_clock_is_refused_unless_the_market_is_replayed(api: Api) -> None:
    client = api.client()
    client.hello(replace(FACTS, market_clock="wall"))
    ahead_ms = now_ms() + 3 * 3_600_000
    ticks = [tick(1), Tick("EURUSD", now_ms() + 30_000, 1.1, 1.1001, 2), Tick("EURUSD", ahead_ms, 1.1, 1.1001, 3)]
    with pytest.raises(BadInput, match=r"ticks\.2\.time_ms: .* s ahead of the platform's clock.*send times in UTC") as refusal:
        client.post_ticks(ACCOUNT, ticks)
    assert refusal.value.field == "ticks.2.time_ms"
    assert api.ticks().count(ACCOUNT) == 0
    with pytest.raises(BadInput) as refusal:
        client.call("POST", "/api/v1/tick", {"account_id": ACCOUNT, **wire.tick_to_wire(ticks[2])})
    assert refusal.value.field == "time_ms"
    client.post_ticks(ACCOUNT, ticks[:2])
    client.hello(FACTS)
    client.post_ticks(ACCOUNT, ticks[2:])
    client.hello(replace(FACTS, market_clock="wall"))
    with pytest.raises(BadInput):
        client.post_ticks(ACCOUNT, ticks[2:])
    api.kill()
    api.start()
    with pytest.raises(BadInput):
        client.post_ticks(ACCOUNT, ticks[2:])
    assert api.ticks().count(ACCOUNT) == 3


def test_a_terminal_that_knows_the_signals_of_years_can_reconcile(api: Api) -> None:
    client = api.client()
    client.hello(FACTS)
    issue(api, *(signal(f"year-{number}") for number in range(6_000)))
    mailbox = api.mailbox()
    mailbox.lease_pending(ACCOUNT, "all", 6_000, lease_ms=-1)
    mailbox.sweep()
    assert mailbox.counts()[SignalState.UNKNOWN] == 6_000
    known = {f"year-{number}": SignalState.FILLED for number in range(5_999)}
    told = client.positions(SNAPSHOT, known_signals=known, reconcile=True)
    assert told == {"resolved": dict.fromkeys(known, "filled") | {"year-5999": "expired"}, "differences": []}
    started = time.monotonic()
    old = known | {f"of-another-platform-{number:06d}": SignalState.PARTIALLY_FILLED for number in range(94_001)}
    assert len(client.positions(SNAPSHOT, known_signals=old, reconcile=True)["differences"]) == 94_001
    assert time.monotonic() - started < 15
    with pytest.raises(BadInput, match=r"known_signals: .*100000"):
        client.positions(SNAPSHOT, known_signals={**old, "one-more": SignalState.FILLED}, reconcile=True)


def test_a_synchronous_post_waits_until_the_desk_has_processed_the_ticks(api: Api) -> None:
    client = api.client()
    client.hello(FACTS)
    seen: list[int] = []

    def on_tick(account_id: str, symbol: str, seq: int) -> None:
        seen.append(seq)
        time.sleep(0.05)
        desk.processed(account_id, symbol, seq)

    with WakeListener(api.desk_port, on_tick) as desk:
        assert client.post_ticks(ACCOUNT, [tick(n) for n in range(1, 6)], sync=True) == 5
        assert client.watermark(ACCOUNT, "EURUSD") == 5
        client.post_ticks(ACCOUNT, [tick(6)])
        assert client.watermark(ACCOUNT, "EURUSD", 6, 5_000) == 6
        assert client.watermark(ACCOUNT, "USDJPY", 1, 10) is None
    assert seen[-1] == 6


def test_a_signal_goes_out_and_its_life_comes_back(shared_api: Api) -> None:
    client = shared_api.client()
    issue(shared_api, signal("life-1", ticket=2**62))
    (given,) = client.pending(ACCOUNT, "life-lease").signals
    assert given == signal("life-1", ticket=2**62)
    assert client.pending(ACCOUNT, "life-lease") == Pending([given], False)
    assert client.acknowledge(ACCOUNT, "life-1") is SignalState.ACKNOWLEDGED
    fill = Report("life-r1", ACCOUNT, "filled", T0, "EURUSD", "life-1", ticket=11, side=1, lots=0.1, price=1.1000000000000003)
    assert client.report(ACCOUNT, [fill]) == 1
    assert client.report(ACCOUNT, [fill]) == 0
    shown = client.call("GET", "/api/v1/signals/life-1")
    answers.SignalWithJournalAnswer.model_validate(shown)
    assert [line["to_state"] for line in shown["journal"]] == ["pending", "leased", "acknowledged", "filled"]
    listed = client.call("GET", f"/api/v1/signals?account_id={ACCOUNT}&state=filled&limit=1")
    answers.SignalsAnswer.model_validate(listed)
    assert [row["signal"]["id"] for row in listed["signals"]] == ["life-1"]
    held = Position(11, ACCOUNT, "EURUSD", 1, 0.1, 1.1000000000000003, None, None, T0, "life-1")
    told = client.positions(SNAPSHOT, [held], [], {"life-1": SignalState.FILLED}, reconcile=True)
    answers.PositionsAnswer.model_validate(told)
    assert told == {"resolved": {}, "differences": []}
    mailbox = shared_api.mailbox()
    assert mailbox.positions(ACCOUNT) == [held]
    assert mailbox.snapshot(ACCOUNT) == SNAPSHOT


def test_what_is_pending_says_whether_to_reconcile(shared_api: Api) -> None:
    client = shared_api.client()
    path = f"/api/v1/signals/pending?account_id={ACCOUNT}&lease_id=say-1"
    answers.PendingAnswer.model_validate(client.call("GET", path))
    assert client.call("GET", path)["reconcile"] is False


def test_a_lease_that_ran_out_is_found_by_the_api_itself(api: Api) -> None:
    client = api.client()
    client.hello(FACTS)
    issue(api, signal("lost-1"))
    mailbox = api.mailbox()
    mailbox.lease_pending(ACCOUNT, "lost", lease_ms=-1)
    for _ in range(100):
        if mailbox.signal("lost-1").state is SignalState.UNKNOWN:
            break
        time.sleep(0.1)
    assert client.pending(ACCOUNT, "x") == Pending([], must_reconcile=True)
    with pytest.raises(Refused, match="do not execute it") as refusal:
        client.acknowledge(ACCOUNT, "lost-1")
    assert refusal.value.code == "lease_lost"
    assert client.positions(SNAPSHOT, reconcile=True)["resolved"] == {"lost-1": "expired"}
    assert client.pending(ACCOUNT, "y").must_reconcile is False


def test_requests_are_signed_and_the_code_is_in_a_header_too(shared_api: Api) -> None:
    path = f"/api/v1/signals/pending?account_id={ACCOUNT}&lease_id=1"
    good = {"X-Sequence-Time": str(now_ms()), "X-Sequence-Nonce": "n" * 16, "X-Sequence-Signature": "0" * 64}
    for headers, code in (({}, "missing_header"), ({**good, "X-Sequence-Time": "x"}, "bad_header"), (good, "bad_signature")):
        status, answered, content = raw(shared_api, "GET", path, headers=headers)
        assert (status, answered["X-Sequence-Error"], orjson.loads(content)["error"]["code"]) == (401, code, code)
        assert abs(int(answered["X-Sequence-Server-Time"]) - now_ms()) < 5_000
    assert raw(shared_api, "GET", path, key=bytes(32))[0] == 401


def test_a_replayed_request_is_refused(shared_api: Api) -> None:
    path, time_ms = f"/api/v1/signals/pending?account_id={ACCOUNT}&lease_id=1", now_ms()
    signature = sign_request(load_or_make_key(shared_api.home), "GET", path, time_ms, "replay-0001", b"")
    headers = {"X-Sequence-Time": str(time_ms), "X-Sequence-Nonce": "replay-0001", "X-Sequence-Signature": signature}
    assert raw(shared_api, "GET", path, headers=headers)[0] == 200
    status, answered, _ = raw(shared_api, "GET", path, headers=headers)
    assert (status, answered["X-Sequence-Error"]) == (401, "replayed")


@pytest.mark.parametrize("drift_ms", [-3_600_000, 3_600_000])
def test_a_client_whose_clock_drifts_sets_it_by_the_servers(shared_api: Api, drift_ms: int) -> None:
    client = shared_api.client()
    client.clock_offset_ms = drift_ms
    assert client.pending(ACCOUNT, "drift").signals == []
    assert abs(client.clock_offset_ms) < 2_000


def test_a_client_with_another_key_is_told_so_at_once(shared_api: Api) -> None:
    started = time.monotonic()
    with pytest.raises(Unsigned, match="check the key") as error:
        ApiClient(shared_api.url, bytes(32)).pending(ACCOUNT, "x")
    assert error.value.code == "bad_signature"
    assert time.monotonic() - started < 5


def test_a_client_gives_up_on_a_platform_that_is_not_there() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        ApiClient("http://127.0.0.1:9", bytes(32), retry_for_s=0.3).pending(ACCOUNT, "x")
    with pytest.raises(BadInput, match="base_url"):
        ApiClient("ftp://x", bytes(32))


def test_a_wrong_path_or_method_is_answered_in_the_same_words(shared_api: Api) -> None:
    status, headers, content = raw(shared_api, "GET", "/api/v1/nothing")
    assert (status, headers["X-Sequence-Error"]) == (404, "not_found")
    assert orjson.loads(content)["error"]["message"] == "path: there is no /api/v1/nothing; see /api/v1/docs"
    for method, path in (("GET", "/api/v1/tick"), ("POST", "/api/v1/health"), ("DELETE", "/api/v1/signals"), ("PUT", "/api/v1/reports")):
        status, headers, content = raw(shared_api, method, path)
        assert (status, headers["X-Sequence-Error"]) == (405, "method_not_allowed")
        assert method in orjson.loads(content)["error"]["message"]
        assert headers["Allow"]


def test_only_the_dashboard_may_read_from_a_browser(shared_api: Api) -> None:
    for origin, allowed in (("http://127.0.0.1:8504", True), ("http://localhost:8504", True), ("http://evil.example", False)):
        _, headers, _ = raw(shared_api, "GET", "/api/v1/health", headers={"Origin": origin})
        assert (headers["Access-Control-Allow-Origin"] == origin) is allowed
    assert raw(shared_api, "GET", "/metrics", headers={"Origin": "http://127.0.0.1:8504"})[1]["Access-Control-Allow-Origin"] is None


def test_what_happens_is_counted(shared_api: Api) -> None:
    shared_api.client().post_ticks(ACCOUNT, [Tick("USDCHF", T0, 0.9, 0.9001, 1)])
    issue(shared_api, signal("counted-1"))
    text = urllib.request.urlopen(shared_api.url + "/metrics").read().decode()
    figures = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if not line.startswith("#")}
    assert figures["sequence_ticks_accepted_total"] >= 1
    assert figures['sequence_http_requests_total{route="post_ticks",status="200"}'] >= 1
    assert figures['sequence_signals{state="pending"}'] >= 1
    assert figures["sequence_tick_commit_seconds_count"] >= 1


def test_a_call_over_the_kept_connection_takes_a_few_milliseconds(shared_api: Api) -> None:
    client = shared_api.client()
    client.pending(ACCOUNT, "warm")
    took = []
    for number in range(200):
        started = time.perf_counter()
        client.pending(ACCOUNT, f"speed-{number}")
        took.append(time.perf_counter() - started)
    assert sorted(took)[100] < 0.02


def test_the_api_stops_within_seconds_also_while_someone_waits(api: Api) -> None:
    client = api.client()
    client.hello(FACTS)
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=20)
    path = f"/api/v1/watermark?account_id={ACCOUNT}&symbol=EURUSD&after_seq=1&wait_ms=10000"
    time_ms = now_ms()
    signature = sign_request(load_or_make_key(api.home), "GET", path, time_ms, "waiting-0001", b"")
    connection.request("GET", path, None, {"X-Sequence-Time": str(time_ms), "X-Sequence-Nonce": "waiting-0001", "X-Sequence-Signature": signature})
    time.sleep(0.3)
    started = time.monotonic()
    assert api.stop() == 0
    assert time.monotonic() - started < 8
    connection.close()


def test_a_port_in_use_is_said_in_a_sentence_and_ends_with_a_code(api: Api) -> None:
    environment = {**os.environ, "SEQUENCE_HOME": str(api.home), "SEQUENCE_API_PORT": str(api.port)}
    second = subprocess.run([sys.executable, "-m", "api_server"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert second.returncode == 5
    assert "choose another port with SEQUENCE_API_PORT" in second.stderr
    assert "Traceback" not in second.stderr
