"""The platform's HTTP API as a terminal sees it: signed requests over one kept connection, repeated with the same ids until answered."""

from __future__ import annotations

import http.client
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import orjson

from components.base import now_ms
from components.bridge.bars import BarRow, BarsPosted
from components.bridge.records import TerminalFacts, WorkingOrder
from components.bridge.signing import NONCE_HEADER, SERVER_TIME_HEADER, SIGNATURE_HEADER, TIME_HEADER, Unsigned, sign_request
from components.bridge.wanted import Stretch
from components.bridge.wire import bars_to_wire, order_to_wire, position_to_wire, report_to_wire, signal_from_wire, tick_to_wire
from components.fx import (
    AccountSnapshot,
    BadInput,
    NotFound,
    PlatformError,
    Position,
    Refused,
    Report,
    Signal,
    SignalState,
    Tick,
    Timeframe,
    Unavailable,
)

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


class Pending(NamedTuple):
    """Signals that were leased, and whether the platform wants a reconciliation because signals of the account are `unknown`."""

    signals: list[Signal]
    must_reconcile: bool


class ApiClient:
    """A signed client. One per thread: it holds one connection.

    Every call is safe to repeat, because ids are the caller's and the platform ignores what it has already. So a call whose connection
    broke, that was answered 503, or that the server's clock refused, is sent again until `retry_for_s` seconds have passed.

    Parameters
    ----------
    base_url : str
        For example ``"http://127.0.0.1:5000"``.
    key : bytes
        The shared key, see `load_or_make_key`.
    retry_for_s : float
        How long to go on trying.
    timeout_s : float
        How long to wait for one answer; longer than the longest wait that is asked for.
    """

    def __init__(self, base_url: str, key: bytes, retry_for_s: float = 30.0, timeout_s: float = 20.0) -> None:
        address = urlsplit(base_url)
        if address.scheme != "http" or not address.hostname:
            raise BadInput("base_url", f"{base_url!r} is not an address such as http://127.0.0.1:5000")
        self._connection = http.client.HTTPConnection(address.hostname, address.port or 80, timeout=timeout_s)
        self._key = key
        self._retry_for_s = retry_for_s
        self.clock_offset_ms = 0
        """Added to our clock to get the server's; set when the server refuses our time."""

    def hello(self, facts: TerminalFacts) -> dict[str, Any]:
        """Say who we are. The answer holds ``reconcile`` (bool) and ``watermarks`` (the last stored tick number by symbol)."""
        return self.call("POST", "/api/v1/hello", asdict(facts))

    def post_ticks(self, account_id: str, ticks: Iterable[Tick], sync: bool = False, offset_ms: int | None = None) -> int | None:
        """Post up to 5,000 ticks; they are on the platform's disk when this returns. With `sync` the last tick's number once the desk has
        processed it, None if it did not within 10 s. `offset_ms` is the broker's clock less UTC."""
        body = {"account_id": account_id, "ticks": [tick_to_wire(tick) for tick in ticks], "sync": sync}
        if offset_ms is not None:
            body["offset_ms"] = offset_ms
        watermark: int | None = self.call("POST", "/api/v1/ticks", body)["watermark"]
        return watermark

    def post_bars(
        self, account_id: str, symbol: str, timeframe: Timeframe, bars: Sequence[BarRow], offset_ms: int, told: Stretch | None = None
    ) -> BarsPosted:
        """Post up to 5,000 closed bars; they are on the platform's disk when this returns. `told` is the wanted stretch of which these are all."""
        body = {
            "account_id": account_id,
            "symbol": symbol,
            "timeframe": timeframe.name,
            "offset_ms": offset_ms,
            "bars": bars_to_wire(bars, offset_ms),
        }
        stretch = {} if told is None else {"from_ms": told.from_ms, "to_ms": told.to_ms}
        return BarsPosted(**self.call("POST", "/api/v1/bars", body | stretch))

    def wanted_bars(self, account_id: str, symbol: str) -> list[Stretch]:
        """Stretches of bars that the platform would like to have, newest first."""
        query = urlencode({"account_id": account_id, "symbol": symbol})
        return [Stretch(**value) for value in self.call("GET", f"/api/v1/bars/wanted?{query}")["stretches"]]

    def watermark(self, account_id: str, symbol: str, after_seq: int = 0, wait_ms: int = 0) -> int | None:
        """How far the desk has processed the symbol's ticks, after waiting up to `wait_ms` for `after_seq`; None before its first word."""
        query = urlencode({"account_id": account_id, "symbol": symbol, "after_seq": after_seq, "wait_ms": wait_ms})
        watermark: int | None = self.call("GET", f"/api/v1/watermark?{query}")["watermark"]
        return watermark

    def pending(self, account_id: str, lease_id: str, limit: int = 20) -> Pending:
        """Fetch signals under a lease; the same `lease_id` gives the same signals again."""
        query = urlencode({"account_id": account_id, "lease_id": lease_id, "limit": limit})
        answer = self.call("GET", f"/api/v1/signals/pending?{query}")
        return Pending([signal_from_wire(value) for value in answer["signals"]], bool(answer["reconcile"]))

    def acknowledge(self, account_id: str, signal_id: str) -> SignalState:
        """Tell that the signal is written down here and will be executed; on Refused it must not be."""
        answer = self.call("POST", f"/api/v1/signals/{quote(signal_id, safe=':')}/acknowledge", {"account_id": account_id})
        return SignalState(answer["state"])

    def report(self, account_id: str, reports: Sequence[Report]) -> int:
        """Tell what was done, up to 100 reports; the number that the platform had not seen."""
        body = {"account_id": account_id, "reports": [report_to_wire(report) for report in reports]}
        return int(self.call("POST", "/api/v1/reports", body)["recorded"])

    def positions(
        self,
        snapshot: AccountSnapshot,
        positions: Sequence[Position] = (),
        orders: Sequence[WorkingOrder] = (),
        known_signals: Mapping[str, SignalState] | None = None,
        reconcile: bool = False,
    ) -> dict[str, Any]:
        """Tell the whole book. The answer of a reconciliation holds ``resolved`` (state by signal id) and ``differences`` (sentences)."""
        known = [{"signal_id": signal_id, "state": state.value} for signal_id, state in (known_signals or {}).items()]
        book = {"positions": [position_to_wire(p) for p in positions], "orders": [order_to_wire(o) for o in orders], "known_signals": known}
        return self.call("POST", "/api/v1/positions", asdict(snapshot) | book | {"reconcile": reconcile})

    def call(self, method: str, path_with_query: str, body: Any = None) -> dict[str, Any]:
        """Send a signed request, repeat it while that may help, and give back the JSON answer.

        Raises
        ------
        BadInput, NotFound, Refused, Unsigned
            As the platform answered.
        Unavailable
            If it could not be reached, or not accepted, within `retry_for_s`.
        """
        content = b"" if body is None else orjson.dumps(body)
        give_up, pause_s = time.monotonic() + self._retry_for_s, 0.0
        while True:
            try:
                status, headers, answer = self._exchange(method, path_with_query, content)
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                failure: PlatformError = Unavailable(f"the platform does not answer: {error or type(error).__name__}")
            else:
                if status < 300:
                    value: dict[str, Any] = orjson.loads(answer)
                    return value
                failure = _failure(status, answer)
                if isinstance(failure, Unsigned) and failure.code == "clock_drift" and SERVER_TIME_HEADER in headers:
                    self.clock_offset_ms = int(headers[SERVER_TIME_HEADER]) - now_ms()
                elif not isinstance(failure, Unavailable):
                    raise failure
            if time.monotonic() + pause_s > give_up:
                raise failure
            time.sleep(pause_s)
            # The first repetition comes at once: a kept connection that the server closed is the usual reason.
            pause_s = min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, pause_s * 2))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _exchange(self, method: str, path_with_query: str, content: bytes) -> tuple[int, http.client.HTTPMessage, bytes]:
        time_ms, nonce = now_ms() + self.clock_offset_ms, secrets.token_hex(16)
        signature = sign_request(self._key, method, path_with_query, time_ms, nonce, content)
        headers = {TIME_HEADER: str(time_ms), NONCE_HEADER: nonce, SIGNATURE_HEADER: signature, "Content-Type": "application/json"}
        self._connection.request(method, path_with_query, content or None, headers)
        response = self._connection.getresponse()
        return response.status, response.headers, response.read()


def _failure(status: int, answer: bytes) -> PlatformError:
    try:
        error = orjson.loads(answer)["error"]
        code, message, field = str(error["code"]), str(error["message"]), error.get("field")
    except (ValueError, KeyError, TypeError):
        code, message, field = "error", f"status {status}: {answer[:200].decode('utf-8', 'replace')}", None
    if status == 401:
        return Unsigned(code, message)
    if status == 404:
        return NotFound(message)
    if status == 409:
        return Refused(code, message)
    if status >= 502:
        return Unavailable(message)
    if status >= 500:
        return PlatformError(message)
    return BadInput(str(field or "request"), message.removeprefix(f"{field}: "))
