"""The HTTP API: Flask on granian, one process. A route parses, calls one component, and answers."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import orjson
from flask import Flask, Response, request
from flask_cors import CORS
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server as Granian
from pydantic import BaseModel
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from components.base import VERSION, Settings, configure_log, get_log, load_settings, now_ms
from components.bridge import (
    ERROR_HEADER,
    NONCE_HEADER,
    PROTOCOL,
    SERVER_TIME_HEADER,
    SIGNATURE_HEADER,
    TIME_HEADER,
    Bridge,
    Mailbox,
    StoredSignal,
    TickStore,
    Unsigned,
    Verifier,
    answers,
    load_or_make_key,
    openapi,
    shapes,
    wire,
)
from components.fx import BadInput, NotFound, PlatformError, SignalState, Unavailable
from components.orchestrator import api_backtest

# A book of 5,000 positions and as many orders, and 100,000 known signals.
LARGEST_BOOK_BYTES = 12 * 1024 * 1024
# Of a body that nobody asked for.
DRAINED_BYTES = 64 * 1024
BLOCKING_THREADS = 24
STOP_WITHIN_S = 3
ROUTES: list[openapi.Route] = []
_LOG = get_log("api")


def route(method: str, path: str, summary: str, **shapes: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put a function into the table of routes."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        ROUTES.append(openapi.Route(method, path, summary, function, **shapes))
        return function

    return add


@route("GET", "/api/v1/health", "Whether the API is up and its stores answer", answer=answers.HealthAnswer, is_signed=False)
def health(bridge: Bridge, _sent: None) -> dict[str, Any]:
    bridge.mailbox.must_reconcile("")
    bridge.ticks.watermarks("")
    times = {"server_time_ms": now_ms(), "started_ms": bridge.started_ms}
    return {"status": "ok", **times, "is_desk_connected": bridge.wake.is_connected}


@route("GET", "/api/v1/openapi.json", "This API for programs, as OpenAPI", is_signed=False)
def openapi_json(_bridge: Bridge, _sent: None) -> dict[str, Any]:
    return _document()


@route("GET", "/api/v1/docs", "This API for people", is_signed=False, media_type="text/html")
def docs(_bridge: Bridge, _sent: None) -> str:
    return openapi.docs_page(_document())


@route("GET", "/metrics", "Figures for Prometheus", is_signed=False, media_type="text/plain")
def metrics(bridge: Bridge, _sent: None) -> str:
    return bridge.figures()


@route("POST", "/api/v1/hello", "A terminal says who it is", body=shapes.HelloPost, answer=answers.HelloAnswer)
def hello(bridge: Bridge, sent: shapes.HelloPost) -> dict[str, Any]:
    must_reconcile = bridge.hello(wire.facts_of(sent))
    watermarks = bridge.ticks.watermarks(sent.account_id)
    return {"protocol": PROTOCOL, "server_time_ms": now_ms(), "reconcile": must_reconcile, "watermarks": watermarks}


@route("POST", "/api/v1/tick", "Store one tick", body=shapes.TickPost, answer=answers.TicksAnswer)
def post_tick(bridge: Bridge, sent: shapes.TickPost) -> dict[str, Any]:
    return _stored_ticks(bridge.store_ticks(sent.account_id, [wire.tick_row(sent)], sent.sync, "", sent.offset_ms))


@route("POST", "/api/v1/ticks", "Store up to 5,000 ticks", body=shapes.TicksPost, answer=answers.TicksAnswer)
def post_ticks(bridge: Bridge, sent: shapes.TicksPost) -> dict[str, Any]:
    return _stored_ticks(bridge.store_ticks(sent.account_id, wire.tick_rows(sent.ticks), sent.sync, offset_ms=sent.offset_ms))


def _stored_ticks(stored: tuple[int, int | None]) -> dict[str, Any]:
    return {"accepted": stored[0], "watermark": stored[1]}


@route("GET", "/api/v1/ticks/latest", "The newest tick of a symbol", query=shapes.FeedQuery, answer=answers.TickAnswer)
def latest_tick(bridge: Bridge, sent: shapes.FeedQuery) -> dict[str, Any]:
    bridge.require_account(sent.account_id)
    tick = bridge.ticks.latest(sent.account_id, sent.symbol)
    if tick is None:
        raise NotFound(f"symbol: account {sent.account_id} has no ticks of {sent.symbol}")
    return wire.tick_to_wire(tick)


@route("POST", "/api/v1/bars", "Store up to 5,000 closed bars", body=shapes.BarsPost, answer=answers.BarsAnswer)
def post_bars(bridge: Bridge, sent: shapes.BarsPost) -> dict[str, Any]:
    return asdict(bridge.store_bars(sent))


@route("GET", "/api/v1/bars/wanted", "Which bars the terminal is asked to post", query=shapes.WantedQuery, answer=answers.WantedAnswer)
def wanted_bars(bridge: Bridge, sent: shapes.WantedQuery) -> dict[str, Any]:
    stretches = bridge.wanted_bars(sent.account_id, sent.symbol, sent.timeframe)
    return {"stretches": [asdict(one) for one in stretches], "clocks": [asdict(one) for one in bridge.bars.clocks(sent.account_id)]}


@route("GET", "/api/v1/feeds", "What came in of an account's symbols, counted", query=shapes.FeedsQuery, answer=answers.FeedsAnswer)
def list_feeds(bridge: Bridge, sent: shapes.FeedsQuery) -> dict[str, Any]:
    return {"feeds": bridge.feeds(sent.account_id, sent.symbol)}


@route("GET", "/api/v1/watermark", "How far the desk has processed a symbol's ticks", query=shapes.WatermarkQuery, answer=answers.WatermarkAnswer)
def watermark(bridge: Bridge, sent: shapes.WatermarkQuery) -> dict[str, Any]:
    return {"watermark": bridge.watermark(sent.account_id, sent.symbol, sent.after_seq, sent.wait_ms)}


@route("GET", "/api/v1/signals/pending", "Lease the signals that wait for a terminal", query=shapes.PendingQuery, answer=answers.PendingAnswer)
def pending_signals(bridge: Bridge, sent: shapes.PendingQuery) -> dict[str, Any]:
    bridge.require_account(sent.account_id)
    leased = bridge.mailbox.lease_pending(sent.account_id, sent.lease_id, sent.limit)
    return {"signals": [wire.signal_to_wire(signal) for signal in leased], "reconcile": bridge.mailbox.must_reconcile(sent.account_id)}


@route(
    "POST",
    "/api/v1/signals/<signal_id>/acknowledge",
    "The terminal has written the signal down and will execute it",
    body=shapes.AcknowledgePost,
    answer=answers.StateAnswer,
)
def acknowledge_signal(bridge: Bridge, sent: shapes.AcknowledgePost, signal_id: str) -> dict[str, Any]:
    return {"id": signal_id, "state": bridge.mailbox.acknowledge(signal_id, sent.account_id).state}


@route("POST", "/api/v1/reports", "What the terminal did", body=shapes.ReportsPost, answer=answers.ReportsAnswer)
def post_reports(bridge: Bridge, sent: shapes.ReportsPost) -> dict[str, Any]:
    return {"recorded": bridge.mailbox.record_reports(wire.reports_of(sent))}


@route(
    "POST",
    "/api/v1/positions",
    "The terminal's account and whole book",
    body=shapes.PositionsPost,
    answer=answers.PositionsAnswer,
    largest_body_bytes=LARGEST_BOOK_BYTES,
)
def post_positions(bridge: Bridge, sent: shapes.PositionsPost) -> dict[str, Any]:
    return asdict(bridge.mailbox.record_positions(*wire.book_of(sent), reconcile=sent.reconcile))


@route("GET", "/api/v1/signals", "Signals, newest first", query=shapes.SignalsQuery, answer=answers.SignalsAnswer)
def list_signals(bridge: Bridge, sent: shapes.SignalsQuery) -> dict[str, Any]:
    state = SignalState(sent.state) if sent.state else None
    return {"signals": [_stored(stored) for stored in bridge.mailbox.signals(sent.account_id, state, sent.limit)]}


@route("GET", "/api/v1/signals/<signal_id>", "One signal with its journal", answer=answers.SignalWithJournalAnswer)
def get_signal(bridge: Bridge, _sent: None, signal_id: str) -> dict[str, Any]:
    return _stored(bridge.mailbox.signal(signal_id)) | {"journal": bridge.mailbox.journal(signal_id)}


def _stored(stored: StoredSignal) -> dict[str, Any]:
    return asdict(stored) | {"signal": wire.signal_to_wire(stored.signal)}


# The room of backtests brings numba and pyarrow: a second that a restarted API does not spend before it takes ticks again.
@route("POST", "/api/v1/backtests/import", "Keep a backtest that was run elsewhere", body=BaseModel, answer=answers.RunAnswer)
def import_run(bridge: Bridge, sent: dict[str, Any]) -> Any:
    from components.backtest import import_backtest

    return import_backtest(bridge.home, sent)


@route("GET", "/api/v1/backtests", "Stored backtests, newest first", query=shapes.RunsQuery, answer=answers.RunsAnswer)
def list_runs(bridge: Bridge, sent: shapes.RunsQuery) -> dict[str, Any]:
    from components.backtest import BacktestStore

    with contextlib.closing(BacktestStore.open(bridge.home)) as store:
        return {"runs": store.runs(sent.limit)}


@route("POST", "/api/v1/backtests/compare", "Compare stored backtests", body=shapes.ComparePost, answer=answers.ComparisonAnswer)
def compare_runs(bridge: Bridge, sent: shapes.ComparePost) -> Any:
    from components.backtest import compare

    return compare(bridge.home, sent.ids, sent.criterion)


ROUTES.extend(api_backtest.routes())


def _document() -> dict[str, Any]:
    from components.backtest import ImportedBacktest

    rows = [replace(row, body=ImportedBacktest) if row.function is import_run else row for row in ROUTES]
    return openapi.openapi_document(rows, VERSION)


def create_app(settings: Settings) -> Flask:
    """The API over the stores in `settings.home`. `app.extensions["bridge"].close()` ends its threads.

    Raises
    ------
    Unavailable, Corrupt
        If a store or the key cannot be opened.
    """
    bridge = Bridge(settings)
    app = Flask("api_server", static_folder=None)
    app.extensions["bridge"] = bridge
    for row in ROUTES:
        app.add_url_rule(row.path, row.function.__name__, _view(bridge, row), methods=[row.method])
    app.register_error_handler(PlatformError, lambda error: _refusal(error, error.http_status, error.code, error.message))
    app.register_error_handler(HTTPException, _http_refusal)
    app.register_error_handler(Exception, _crash)
    host = "localhost" if settings.host == "127.0.0.1" else settings.host
    dashboard = [f"http://{name}:{settings.dashboard_port}" for name in {settings.host, host}]
    CORS(app, resources=r"/api/v1/(health|openapi\.json|signals|backtests?).*", origins=dashboard, expose_headers=[ERROR_HEADER])
    app.after_request(lambda response: _counted(bridge, response))
    return app


def _view(bridge: Bridge, row: openapi.Route) -> Callable[..., Response]:
    def view(**path_arguments: str) -> Response:
        sent: Any = None
        if row.is_signed:
            # One more than allowed: werkzeug cuts a body of unknown length at its limit without a word.
            request.max_content_length = row.largest_body_bytes + 1
            body = request.get_data(cache=False)
            if len(body) > row.largest_body_bytes:
                raise RequestEntityTooLarge
            _verify(bridge.verifier, body)
        if row.body is not None:
            sent = wire.read_object(body) if row.body is BaseModel else wire.read_body(row.body, body)
        elif row.query is not None:
            sent = wire.read_query(row.query, request.args)
        answer = row.function(bridge, sent, *path_arguments.values())
        content = answer if isinstance(answer, str) else orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(content, 200, mimetype=row.media_type)

    return view


def _verify(verifier: Verifier, body: bytes) -> None:
    query = request.environ.get("QUERY_STRING", "")
    path = request.environ["PATH_INFO"] + ("?" + query if query else "")
    headers = request.headers
    verifier.check(request.method, path, headers.get(TIME_HEADER), headers.get(NONCE_HEADER), headers.get(SIGNATURE_HEADER), body)


def _refusal(error: Exception, status: int, code: str, message: str) -> Response:
    text: dict[str, str] = {"code": code, "message": message}
    if isinstance(error, BadInput):
        text["field"] = error.field
    if status >= 500:
        _LOG.error("request_failed", path=request.path, status=status, code=code, message=message)
    response = Response(orjson.dumps({"error": text}), status, mimetype="application/json")
    response.headers[ERROR_HEADER] = code
    if isinstance(error, Unsigned):
        response.headers[SERVER_TIME_HEADER] = str(now_ms())
    return response


def _http_refusal(error: HTTPException) -> Response:
    status = error.code or 500
    most = (request.max_content_length or 1) - 1
    # A kept connection is lost where the answer comes before the end of the body; what is small enough is read first.
    request.max_content_length = request.max_content_length or DRAINED_BYTES
    with contextlib.suppress(HTTPException):
        request.get_data(cache=False)
    allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
    messages: Mapping[int, str] = {
        404: f"path: there is no {request.path}; see /api/v1/docs",
        405: f"method: {request.method} is not possible on {request.path}; use {allowed}",
        413: f"body: is larger than {most} bytes",
    }
    code = (error.name or "error").lower().replace(" ", "_")
    response = _refusal(error, status, code, messages.get(status, f"request: {error.description}"))
    if allowed:
        response.headers["Allow"] = allowed
    return response


def _crash(error: Exception) -> Response:
    _LOG.exception("request_crashed", path=request.path, error=str(error))
    return _refusal(error, 500, "error", "the platform failed in a way that it did not foresee; its log has the details")


def _counted(bridge: Bridge, response: Response) -> Response:
    bridge.metrics.requests.labels(request.endpoint or "none", str(response.status_code)).inc()
    return response


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises
    ------
    Unavailable, Corrupt
        If the port is in use, or a store or the key cannot be opened.
    """
    _require_port(settings.host, settings.api_port)
    load_or_make_key(settings.home)
    for store in (Mailbox, TickStore):
        store.open(settings.home).close()
    server = Granian(
        "api_server",
        address=settings.host,
        port=settings.api_port,
        interface=Interfaces.WSGI,
        blocking_threads=BLOCKING_THREADS,
        blocking_threads_idle_timeout=600,
        workers_kill_timeout=STOP_WITHIN_S,
        websockets=False,
        log_level=LogLevels.error,
    )
    _LOG.info("api_serves", url=settings.api_url, home=str(settings.home))
    server.serve(target_loader=partial(_app_of_worker, settings), wrap_loader=False)


def _app_of_worker(settings: Settings) -> Flask:
    configure_log(settings.log_level)
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()
    app = create_app(settings)
    # A batch of ticks makes thousands of short-lived containers, none of them in a cycle: looking for cycles less often saves a tenth.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    return app


def _end_with_parent() -> None:
    # Granian's worker is a process of its own. After kill -9 of its parent it would live on and hold the port.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _require_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Unavailable(f"cannot listen on {host}:{port}: {error.strerror}; choose another port with SEQUENCE_API_PORT") from error


if __name__ == "__main__":
    try:
        configure_log(load_settings().log_level)
        serve(load_settings())
    except PlatformError as problem:
        print(f"api_server: {problem.message}", file=sys.stderr)
        sys.exit(problem.exit_code)
