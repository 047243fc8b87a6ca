"""A real HTTP server on this machine that answers as the recorded services did, failures included, and remembers what it was asked.

The shapes are those of real answers (GDELT's DOC 2.0 and Events 2.0, Yahoo's chart v8, the ECB's zip); the numbers are made here.
"""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

QUARTER_MS = 15 * 60_000


@dataclass(frozen=True)
class Asked:
    """A request as it came; `at` is the server's monotonic clock in seconds."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    at: float


@dataclass(frozen=True)
class Reply:
    """What is sent back. `cut` sends that many bytes less than promised, `hang_s` is silence before, `drip_s` silence after each 100 bytes."""

    body: bytes = b"{}"
    status: int = 200
    kind: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    hang_s: float = 0.0
    drip_s: float = 0.0


Answerer = Callable[[Asked], Reply]


class RecordedServer:
    """Answers by the longest path that was set, after the failures that were planned for it; use it in a ``with``."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._answers: dict[str, Answerer] = {}
        self._planned: dict[str, list[Reply]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer._serve(self)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer._serve(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that was killed or gave up is what these tests are about."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> RecordedServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def at(self, path: str, answer: Reply | Answerer) -> None:
        """What to answer under a path."""
        self._answers[path] = answer if callable(answer) else lambda _asked: answer

    def plan(self, path: str, *replies: Reply) -> None:
        """Replies that are given first, one each."""
        self._planned.setdefault(path, []).extend(replies)

    def count(self, path: str = "/") -> int:
        """How often anything under a path was asked for."""
        return sum(asked.path.startswith(path) for asked in self.asked)

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        asked = Asked(parts.path, query, {name.lower(): value for name, value in handler.headers.items()}, time.monotonic())
        with self._lock:
            self.asked.append(asked)
            places = sorted((path for path in {*self._answers, *self._planned} if parts.path.startswith(path)), key=len, reverse=True)
            planned = next((self._planned[path] for path in places if self._planned.get(path)), None)
            reply = planned.pop(0) if planned else None
            answer = next((self._answers[path] for path in places if path in self._answers), None)
        reply = reply or (answer(asked) if answer else Reply(b"no such thing", 404, "text/plain"))
        try:
            self._send(handler, reply)
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True

    def _send(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        if reply.hang_s and self._closing.wait(reply.hang_s):
            handler.close_connection = True
            return
        handler.send_response(reply.status)
        handler.send_header("Content-Type", reply.kind)
        handler.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        body = reply.body[: len(reply.body) - reply.cut]
        if reply.drip_s:
            for start in range(0, len(body), 100):
                handler.wfile.write(body[start : start + 100])
                handler.wfile.flush()
                if self._closing.wait(reply.drip_s):
                    break
        else:
            handler.wfile.write(body)
        if reply.cut:
            handler.close_connection = True


def as_json(document: Any, **more: Any) -> Reply:
    """A JSON answer."""
    return Reply(json.dumps(document).encode(), **more)


HTML = Reply(b"<!DOCTYPE html><html><body>The server is busy</body></html>", 200, "text/html; charset=utf-8")
TOO_MANY = Reply(b"Please limit requests to one every 5 seconds or contact the operator.", 429, "text/plain; charset=utf-8")
BROKEN = Reply(b"Internal Server Error", 500, "text/plain")


# --- the European Central Bank


def ecb_zip(rates: dict[date, dict[str, float | None]]) -> bytes:
    """A file as eurofxref-hist.zip: newest day first, N/A where there is no rate, a comma at the end of each line."""
    codes = list(dict.fromkeys(code for day in rates.values() for code in day))
    lines = ["Date," + ",".join(codes) + ","]
    for day in sorted(rates, reverse=True):
        values = ["N/A" if (rate := rates[day].get(code)) is None else f"{rate:g}" for code in codes]
        lines.append(f"{day.isoformat()}," + ",".join(values) + ",")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("eurofxref-hist.csv", "\n".join(lines) + "\n")
    return packed.getvalue()


# --- GDELT DOC 2.0


def stamp_ms(text: str) -> int:
    """Epoch milliseconds of GDELT's 14 digits."""
    return int(datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp() * 1000)


def gdelt_stamp(ms: int) -> str:
    """GDELT's way to write an instant."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")


def value_at(bucket_ms: int, mode: str) -> float | None:
    """The made-up value of a bucket; None for one in seven, which GDELT leaves out."""
    number = bucket_ms // QUARTER_MS
    if number % 7 == 3:
        return None
    return round((number * 7919 % 1000) / 100 - (5 if mode == "timelinetone" else 0), 4)


def gdelt_doc(asked: Asked) -> Reply:
    """Timelines and article lists of any window; one article each two minutes, a list holds 250 at most."""
    mode = asked.query["mode"].lower()
    start, end = stamp_ms(asked.query["startdatetime"]), stamp_ms(asked.query["enddatetime"])
    if mode == "artlist":
        times = range(-(-start // 120_000) * 120_000, end + 1, 120_000)
        return as_json({"articles": [article(ms) for ms in times][: int(asked.query["maxrecords"])]})
    buckets = range(start - start % QUARTER_MS, end + 1, QUARTER_MS)
    data = [{"date": gdelt_stamp(ms), "value": value} for ms in buckets if (value := value_at(ms, mode)) is not None]
    name = {"timelinetone": "Average Tone", "timelinevol": "Volume Intensity", "timelinevolraw": "Article Count"}[mode]
    if mode == "timelinevolraw":
        data = [{**entry, "norm": 10_000} for entry in data]
    details = {"title": asked.query["query"], "date_resolution": "15m"}
    return as_json({"query_details": details, "timeline": [{"series": name, "data": data}]})


def article(ms: int) -> dict[str, str]:
    """An entry of an article list."""
    return {
        "url": f"https://www.example.org/{ms}",
        "url_mobile": "",
        "title": f"Central bank says something , number {ms // 120_000}",
        "seendate": gdelt_stamp(ms - ms % QUARTER_MS),
        "socialimage": "",
        "domain": "example.org",
        "language": "English",
        "sourcecountry": "Switzerland",
    }


# --- GDELT Events 2.0


def event_line(
    added: str, country: str = "US", code: str = "010", tone: str = "-2.5", goldstein: str = "1.9", sqldate: str = "20200101", root: str = "1"
) -> str:
    """One row of 61 columns."""
    row = [""] * 61
    row[0], row[1], row[25], row[26], row[27], row[28], row[30], row[34] = "1", sqldate, root, code, code[:3], code[:2], goldstein, tone
    row[53], row[59], row[60] = country, added, 'https://example.org/a"quote'
    return "\t".join(row)


def events_zip(lines: list[str], name: str = "20240102030000.export.CSV") -> bytes:
    """A 15-minute file as GDELT has it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, "\n".join(lines) + "\n")
    return packed.getvalue()


# --- Yahoo chart v8

STEPS_S = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "60m": 3600, "1d": 86_400, "1wk": 604_800}


def yahoo_meta(ticker: str, zone: str = "Europe/London", hint: int = 4) -> dict[str, Any]:
    """What Yahoo says of a ticker beside its prices."""
    period = {"timezone": "GMT", "start": 0, "end": 86_340, "gmtoffset": 0}
    return {
        "currency": "USD", "symbol": ticker, "exchangeName": "CCY", "instrumentType": "CURRENCY", "firstTradeDate": 1_070_236_800,
        "regularMarketTime": int(time.time()), "hasPrePostMarketData": False, "gmtoffset": 0, "timezone": "GMT", "exchangeTimezoneName": zone,
        "regularMarketPrice": 1.1592, "priceHint": hint, "dataGranularity": "5m", "range": "",
        "currentTradingPeriod": {name: dict(period) for name in ("pre", "regular", "post")},
        "validRanges": ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"],
    }  # fmt: skip


def yahoo_chart(
    stamps: list[int], ticker: str = "EURUSD=X", *, nulls: tuple[int, ...] = (), zone: str = "Europe/London", hint: int = 4
) -> dict[str, Any]:
    """An answer with float32 noise in its prices and nulls in the rows of these places."""
    quotes: dict[str, list[Any]] = {name: [] for name in ("open", "high", "low", "close", "volume")}
    for place, stamp in enumerate(stamps):
        base = 1.1 + (stamp // 60 * 7919 % 500) / 10_000
        for name, value in {"open": base, "high": base + 0.0010000254, "low": base - 0.0009999743, "close": base + 0.0003000118}.items():
            quotes[name].append(None if place in nulls else value)
        quotes["volume"].append(None if place in nulls else 0)
    result: dict[str, Any] = {"meta": yahoo_meta(ticker, zone, hint), "indicators": {"quote": [quotes if stamps else {}]}}
    if stamps:
        result["timestamp"] = stamps
    return {"chart": {"result": [result], "error": None}}


def yahoo_error(code: str, description: str, status: int) -> Reply:
    """How Yahoo refuses."""
    return as_json({"chart": {"result": None, "error": {"code": code, "description": description}}}, status=status)


class Yahoo:
    """Yahoo's servers under one address: cookie, crumb and charts of every ticker that is known; the last row may be the live price."""

    def __init__(self, server: RecordedServer, *, live: bool = True, nulls: tuple[int, ...] = (), never_closes: bool = False) -> None:
        self.live, self.nulls, self.never_closes = live, nulls, never_closes
        server.at("/fc.yahoo.com", Reply(b"", 404, "text/html", {"Set-Cookie": "A3=d=abc; Path=/; Max-Age=31536000"}))
        server.at("/query1.finance.yahoo.com/v1/test/getcrumb", Reply(b"crumb/of.test", kind="text/plain"))
        server.at("/query2.finance.yahoo.com/v1/test/getcrumb", Reply(b"crumb/of.test", kind="text/plain"))
        server.at("/query2.finance.yahoo.com/v8/finance/chart/", self.chart)

    def chart(self, asked: Asked) -> Reply:
        """The rows of a stretch of time, and of its end where that is now."""
        ticker = asked.path.rpartition("/")[2].replace("%3D", "=").replace("%5E", "^")
        if ticker.startswith("NONE"):
            return yahoo_error("Not Found", "No data found, symbol may be delisted", 404)
        now = int(time.time())
        start = int(asked.query.get("period1") or now - 86_400)
        end = int(asked.query.get("period2") or now)
        step = STEPS_S[asked.query["interval"]]
        if asked.query["interval"] in ("1d", "1wk"):
            stamps = [stamp for stamp in daily_stamps(start, end) if step == 86_400 or datetime.fromtimestamp(stamp + 7200, UTC).weekday() == 0]
        else:
            stamps = [stamp for stamp in range(-(-start // step) * step, end, step) if self.never_closes or is_open(stamp)]
        if self.live and stamps and now - end < 60 and now not in stamps and (self.never_closes or is_open(now)):
            stamps.append(now)
        return as_json(yahoo_chart(stamps, ticker, nulls=self.nulls))


NEW_YORK, LONDON = ZoneInfo("America/New_York"), ZoneInfo("Europe/London")


def is_open(stamp: int) -> bool:
    """Whether currencies trade: from Sunday to Friday 17:00 in New York."""
    return (datetime.fromtimestamp(stamp, NEW_YORK).replace(tzinfo=None) + timedelta(hours=7)).weekday() < 5


def daily_stamps(start: int, end: int) -> list[int]:
    """London midnights of working days."""
    day = datetime.fromtimestamp(start, LONDON).replace(hour=0, minute=0, second=0, microsecond=0)
    found = []
    while int(day.timestamp()) < end:
        if day.weekday() < 5 and int(day.timestamp()) >= start:
            found.append(int(day.timestamp()))
        day = (day + timedelta(days=1)).replace(hour=0)
    return found
