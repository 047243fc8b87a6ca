"""Bad input at every route: 4xx with a sentence that names what is wrong, never a 500, and the API goes on."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import secrets
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from api_process import ACCOUNT, Api
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_server import ROUTES
from components.base import now_ms
from components.bridge import load_or_make_key, sign_request
from components.bridge.openapi import LARGEST_BODY_BYTES, Route

T0 = 1_700_000_000_000
TICK = {"symbol": "EURUSD", "time_ms": T0, "bid": 1.1, "ask": 1.1001, "seq": 1}
BAR_MS = T0 - T0 % 3_600_000 - 7_200_000
BAR = {"broker_ms": BAR_MS, "open": 1.1, "high": 1.2, "low": 1.0, "close": 1.1, "volume": 10, "spread_points": 7}
REPORT = {"id": "r1", "kind": "filled", "time_ms": T0, "symbol": "EURUSD", "ticket": "7", "side": 1, "lots": 0.1, "price": 1.1}
POSITION = {"ticket": "7", "symbol": "EURUSD", "side": 1, "lots": 0.1, "entry": 1.1, "opened_ms": T0}
ORDER = {"ticket": "8", "symbol": "EURUSD", "side": 1, "entry": "stop", "lots": 0.1, "price": 1.2, "placed_ms": T0}
MONEY = {"currency": "USD", "balance": 1e4, "equity": 1e4, "margin": 0.0, "leverage": 30.0, "margin_mode": "hedging"}
SYMBOL = {"symbol": "EURUSD", "broker_symbol": "EURUSD.raw", "digits": 5, "contract_size": 1e5, "lot_step": 0.01, "lot_min": 0.01, "lot_max": 50.0}
TRADE = {
    "entry_time": "2024-03-01T13:00:00Z", "exit_time": "2024-03-01T14:00:00Z", "side": 1, "lots": 0.1, "entry_price": 1.1,
    "exit_price": 1.11, "profit": 100.0,
}  # fmt: skip
GOOD: dict[str, tuple[str, Any]] = {
    "hello": ("/api/v1/hello", {
        "account_id": ACCOUNT, "protocol": 1, "currency": "USD", "leverage": 30.0, "margin_mode": "hedging", "is_demo": True,
        "market_clock": "replay", "symbols": [SYMBOL],
    }),
    "post_tick": ("/api/v1/tick", {"account_id": ACCOUNT, **TICK}),
    "post_ticks": ("/api/v1/ticks", {"account_id": ACCOUNT, "ticks": [TICK, {**TICK, "seq": 2}]}),
    "post_bars": ("/api/v1/bars", {
        "account_id": ACCOUNT, "symbol": "EURUSD", "timeframe": "H1", "offset_ms": 7_200_000, "bars": [BAR, {**BAR, "broker_ms": BAR_MS + 3_600_000}],
        "from_ms": BAR_MS - 7_200_000, "to_ms": BAR_MS,
    }),
    "wanted_bars": (f"/api/v1/bars/wanted?account_id={ACCOUNT}&symbol=EURUSD&timeframe=H1", None),
    "list_feeds": (f"/api/v1/feeds?account_id={ACCOUNT}&symbol=EURUSD", None),
    "latest_tick": (f"/api/v1/ticks/latest?account_id={ACCOUNT}&symbol=EURUSD", None),
    "watermark": (f"/api/v1/watermark?account_id={ACCOUNT}&symbol=EURUSD&after_seq=0&wait_ms=0", None),
    "pending_signals": (f"/api/v1/signals/pending?account_id={ACCOUNT}&lease_id=l1&limit=5", None),
    "acknowledge_signal": ("/api/v1/signals/s1/acknowledge", {"account_id": ACCOUNT}),
    "post_reports": ("/api/v1/reports", {"account_id": ACCOUNT, "reports": [REPORT]}),
    "post_positions": ("/api/v1/positions", {
        "account_id": ACCOUNT, "time_ms": T0, **MONEY, "positions": [POSITION], "orders": [ORDER],
        "known_signals": [{"signal_id": "s1", "state": "filled"}], "reconcile": True,
    }),
    "list_signals": (f"/api/v1/signals?account_id={ACCOUNT}&state=filled&limit=5", None),
    "get_signal": ("/api/v1/signals/s1", None),
    "import_run": ("/api/v1/backtests/import", {"name": "n", "strategy": "s", "symbol": "EURUSD", "balance": 1e4, "trades": [TRADE]}),
    "list_runs": ("/api/v1/backtests?limit=5", None),
    "compare_runs": ("/api/v1/backtests/compare", {"ids": ["a", "b"], "criterion": "sharpe"}),
    "queue_backtest_job": ("/api/v1/backtest/jobs", {"kind": "backtest", "payload": {"strategy": "sma_cross", "bar_set_id": "b"}}),
    "backtest_job": ("/api/v1/backtest/jobs/j1", None),
    "cancel_backtest_job": ("/api/v1/backtest/jobs/j1/cancel", {"by": "someone"}),
    "backtest_runs": ("/api/v1/backtest/runs?limit=5", None),
    "backtest_run": ("/api/v1/backtest/runs/r1", None),
    "backtest_trades": ("/api/v1/backtest/runs/r1/trades?first=0&limit=5", None),
    "backtest_equity": ("/api/v1/backtest/runs/r1/equity?first=0&limit=5", None),
    "backtest_verdict": ("/api/v1/backtest/runs/r1/verdict", None),
    "backtest_findings": ("/api/v1/backtest/runs/r1/findings", None),
    "backtest_slices": ("/api/v1/backtest/runs/r1/slices", None),
    "backtest_leaderboard": ("/api/v1/backtest/leaderboard?limit=5", None),
    "compare_backtests": ("/api/v1/backtest/compare", {"ids": ["a", "b"], "criterion": "calmar"}),
    "backtest_studies": ("/api/v1/backtest/studies?kind=sweep&run_id=r1&limit=5", None),
    "backtest_study": ("/api/v1/backtest/studies/s1", None),
    "backtest_study_table": ("/api/v1/backtest/studies/s1/points?first=0&limit=5", None),
}  # fmt: skip
GOOD["import_tester_report"] = (
    "/api/v1/backtest/reports", {"content": base64.b64encode(json.dumps(GOOD["import_run"][1]).encode()).decode(), "name": "n", "symbol": "EURUSD"},
)  # fmt: skip
SIGNED = [row for row in ROUTES if row.is_signed]
POSTED = [row for row in SIGNED if row.method == "POST"]
ASKED = [row for row in SIGNED if row.query is not None]


def named(row: Route) -> str:
    return row.function.__name__


class Caller:
    """One kept connection that signs whatever it is given."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.key = load_or_make_key(api.home)
        self.connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=20)

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, Any]]:
        time_ms, nonce = now_ms(), secrets.token_hex(8)
        signature = sign_request(self.key, method, path, time_ms, nonce, body or b"")
        signed = {"X-Sequence-Time": str(time_ms), "X-Sequence-Nonce": nonce, "X-Sequence-Signature": signature, **headers}
        try:
            self.connection.request(method, path, body, signed)
            response = self.connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            raise
        answer = json.loads(content)
        if response.status >= 400:
            assert response.status < 500, (method, path, (body or b"")[:300], content, self.api.log()[-3_000:])
            assert set(answer) == {"error"}, content
            assert answer["error"]["code"] == response.headers["X-Sequence-Error"]
            assert len(answer["error"]["message"]) > 10, content
        return response.status, answer


@pytest.fixture(scope="module")
def caller(shared_api: Api) -> Iterator[Caller]:
    caller = Caller(shared_api)
    yield caller
    caller.connection.close()


def test_every_signed_route_has_a_good_example_here(caller: Caller) -> None:
    assert {named(row) for row in SIGNED} == set(GOOD)
    for row in SIGNED:
        path, body = GOOD[named(row)]
        status, answer = caller.call(row.method, path, None if body is None else json.dumps(body).encode())
        assert status in (200, 404), (named(row), answer)


@pytest.mark.parametrize("row", POSTED, ids=named)
@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"null", b"[]", b"0", b'"text"', b"{", b"}", b"{}{}", b"\xff\xfe\x00", b'{"account_id":"\xc3\x28"}', b"[" * 50_000,
        b'{"a":' * 50_000, b'{"account_id":"\\ud800"}', b'{"account_id":NaN}', b'{"account_id":Infinity}', b'{"account_id":' + b"9" * 10_000 + b"}",
        b'{"\\u0000":1}', b"\x00" * 100, b"{}",
    ],
    ids=lambda body: repr(body[:18]),
)  # fmt: skip
def test_a_body_that_is_no_good_object_is_refused(caller: Caller, row: Route, body: bytes) -> None:
    status, answer = caller.call("POST", GOOD[named(row)][0], body)
    assert status == 400, answer
    assert answer["error"]["field"]


@pytest.mark.parametrize("row", POSTED, ids=named)
def test_a_body_that_is_too_large_is_refused(shared_api: Api, row: Route) -> None:
    caller = Caller(shared_api)
    body = b'{"account_id":"' + b"x" * row.largest_body_bytes + b'"}'
    try:
        status, answer = caller.call("POST", GOOD[named(row)][0], body)
    except OSError:
        return  # The server may close before all was sent.
    assert (status, answer["error"]["message"]) == (413, f"body: is larger than {row.largest_body_bytes} bytes")


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        found += _places(inner, (*path, name))
    return found


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    copy = json.loads(json.dumps(value))
    inner = copy
    for name in path[:-1]:
        inner = inner[name]
    if new is Ellipsis:
        del inner[path[-1]]
    else:
        inner[path[-1]] = new
    return copy


WRONG = [
    None,
    "",
    "x",
    -1,
    0,
    1.5,
    2**63,
    10**400,
    1e308,
    True,
    [],
    {},
    [[]],
    {"a": 1},
    "x" * 5_000,
    float("nan"),
    float("inf"),
    -float("inf"),
    "\u0000",
    "é😀",
    "1e5",
    "7",
]
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["EURUSD", "filled", "7", ACCOUNT]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize("row", POSTED, ids=named)
def test_every_field_of_every_body_can_be_wrong_or_missing_without_a_crash(caller: Caller, row: Route) -> None:
    path, good = GOOD[named(row)]
    refused = 0
    for place in _places(good):
        for wrong in (*WRONG, Ellipsis):
            status, answer = caller.call("POST", path, json.dumps(_with(good, place, wrong)).encode())
            if status == 400:
                refused += 1
                field = answer["error"]["field"]
                assert str(place[0]) == field.split(".")[0] or field.split(".")[-1] in ("ticket", "side", "lots", "price", "ask", "seq", "body"), (
                    answer
                )
    assert refused > 5 * len(_places(good))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_changes_to_good_bodies_never_crash(caller: Caller, data: st.DataObject) -> None:
    row = data.draw(st.sampled_from(POSTED))
    path, body = GOOD[named(row)]
    for _ in range(data.draw(st.integers(1, 3))):
        places = _places(body)
        if places:
            body = _with(body, data.draw(st.sampled_from(places)), data.draw(junk))
    caller.call("POST", path, json.dumps(body).encode())


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=st.binary(max_size=300), number=st.integers(0, len(POSTED) - 1))
def test_random_bytes_are_refused(caller: Caller, body: bytes, number: int) -> None:
    assert caller.call("POST", GOOD[named(POSTED[number])][0], body)[0] == 400


@pytest.mark.parametrize("row", ASKED, ids=named)
def test_every_argument_of_every_address_can_be_wrong_or_missing_without_a_crash(caller: Caller, row: Route) -> None:
    path, _, query = GOOD[named(row)][0].partition("?")
    good = dict(pair.split("=") for pair in query.split("&"))
    for name in good:
        for wrong in ("", "x" * 900, "-1", "1e9", "NaN", "%00", "%ff%fe", "%F0%9F%98%80", "99999999999999999999999", "null", "a%20b", "%"):
            arguments = "&".join(f"{key}={wrong if key == name else value}" for key, value in good.items())
            status, answer = caller.call("GET", f"{path}?{arguments}")
            if status == 400:
                assert answer["error"]["field"] == name
        without = "&".join(f"{key}={value}" for key, value in good.items() if key != name)
        status, answer = caller.call("GET", f"{path}?{without}")
        is_required = row.query is not None and row.query.model_fields[name].is_required()
        assert (status == 400) is is_required
    status, answer = caller.call("GET", GOOD[named(row)][0] + "&surplus=1")
    assert (status, answer["error"]["field"]) == (400, "surplus")


@pytest.mark.parametrize("signal_id", ["nothing", "x" * 2_000, "%00", "%ff", "%F0%9F%98%80", "..", "a%2Fb", "' OR 1=1 --".replace(" ", "%20")])
def test_any_signal_id_in_an_address_is_not_found_or_refused(caller: Caller, signal_id: str) -> None:
    for method, path in (("GET", f"/api/v1/signals/{signal_id}"), ("POST", f"/api/v1/signals/{signal_id}/acknowledge")):
        body = json.dumps({"account_id": ACCOUNT}).encode() if method == "POST" else None
        # The decoded path is what is signed, so an encoded one is refused as wrongly signed.
        assert caller.call(method, path, body)[0] in (401, 404)


@pytest.mark.parametrize("row", SIGNED, ids=named)
def test_no_route_answers_without_a_signature(caller: Caller, row: Route) -> None:
    path, body = GOOD[named(row)]
    content = None if body is None else json.dumps(body).encode()
    for headers, code in (
        ({"X-Sequence-Signature": ""}, "missing_header"),
        ({"X-Sequence-Signature": "0" * 64}, "bad_signature"),
        ({"X-Sequence-Nonce": "other-nonce"}, "bad_signature"),
        ({"X-Sequence-Time": "1"}, "bad_signature"),
        ({"X-Sequence-Time": "now"}, "bad_header"),
    ):
        status, answer = caller.call(row.method, path, content, **headers)
        assert (status, answer["error"]["code"]) == (401, code)


@pytest.mark.parametrize("row", SIGNED, ids=named)
def test_an_unknown_account_is_named(caller: Caller, row: Route) -> None:
    path, body = GOOD[named(row)]
    if ACCOUNT not in json.dumps(body) + path or named(row) in ("hello", "list_signals"):
        return
    content = None if body is None else json.dumps(body).replace(ACCOUNT, "stranger").encode()
    status, answer = caller.call(row.method, path.replace(ACCOUNT, "stranger"), content)
    assert status == 404
    assert "'stranger'" in answer["error"]["message"]


@pytest.mark.parametrize(
    "request_text",
    [
        b"GARBAGE\r\n\r\n",
        b"POST /api/v1/tick HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/tick HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n",
        b"POST /api/v1/tick HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /api/v1/tick HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"GET /api/v1/health HTTP/1.1\r\n" + b"X: " + b"y" * 600_000 + b"\r\n\r\n",
        b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=lambda text: repr(text[:30]),
)
def test_what_is_no_http_does_not_stop_the_api(shared_api: Api, request_text: bytes) -> None:
    with socket.create_connection(("127.0.0.1", shared_api.port), timeout=5) as connection:
        try:
            connection.sendall(request_text)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65_536)
        except OSError:
            answer = b""
    assert b" 500 " not in answer.split(b"\r\n")[0]
    shared_api.wait_healthy()


def test_a_body_in_pieces_of_unknown_length_is_limited_too(shared_api: Api) -> None:
    with socket.create_connection(("127.0.0.1", shared_api.port), timeout=10) as connection:
        connection.sendall(b"POST /api/v1/tick HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        answer = b""
        try:
            for _ in range(LARGEST_BODY_BYTES // 65_536 + 8):
                connection.sendall(piece)
            connection.sendall(b"0\r\n\r\n")
            answer = connection.recv(65_536)
        except OSError:
            pass
    assert not answer or b" 413 " in answer.split(b"\r\n")[0], answer[:300]
    shared_api.wait_healthy()


@pytest.mark.parametrize(("address", "status"), [("nowhere", 404), ("health", 405)])
def test_a_body_that_nobody_wants_and_comes_late_does_not_cost_the_connection(shared_api: Api, address: str, status: int) -> None:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", shared_api.port, timeout=10)) as connection:
        connection.connect()
        first = connection.sock
        for _ in range(2):
            connection.putrequest("POST", f"/api/v1/{address}")
            connection.putheader("Content-Length", "4")
            connection.endheaders()
            time.sleep(0.3)
            connection.send(b"late")
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status
            assert connection.sock is first
        assert first is not None


def test_after_all_of_this_the_log_knows_no_crash(shared_api: Api) -> None:
    assert "request_crashed" not in shared_api.log()
    assert "Traceback" not in shared_api.log()
