"""Durable ticks per second over HTTP: single posts and batches of 1,000, answered only after the commit that holds them.

One JSON line per figure. `is_correct` compares the rows in the store afterwards with the ticks that were acknowledged. The peer ``bare`` is a
granian application that reads the body and answers 200: the ceiling of this server on this machine.

    python benchmarks/ticks_http.py [--seconds 5] [--connections 32]
"""

from __future__ import annotations

import argparse
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from components.base import now_ms  # noqa: E402
from components.bridge import (  # noqa: E402
    NONCE_HEADER,
    SIGNATURE_HEADER,
    TIME_HEADER,
    ApiClient,
    TerminalFacts,
    TickStore,
    load_or_make_key,
    sign_request,
)

ACCOUNT = "bench-1"
FIRST_MS = 1_700_000_000_000
BARE = """
import sys
from granian import Granian
from granian.constants import Interfaces
def app(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b"{}"]
Granian("bare", port=int(sys.argv[1]), interface=Interfaces.WSGI, blocking_threads=16, websockets=False, log_enabled=False).serve(
    target_loader=lambda: app, wrap_loader=False)
"""


@dataclass
class Feed:
    """One connection that posts its own ticks, numbered from its own start, one request at a time."""

    number: int
    batch: int
    key: bytes
    posted: int = 0
    acknowledged: int = 0
    ready: list[bytes] = field(default_factory=list)
    answer: bytes = b""

    def prepare(self, requests: int) -> None:
        """Build and sign requests beforehand, so that the figure is the server's."""
        for _ in range(requests):
            first = self.number * 10_000_000 + self.posted * self.batch + 1
            ticks = [
                {"symbol": "EURUSD", "time_ms": FIRST_MS + seq, "bid": 1.1 + seq % 997 * 1e-5, "ask": 1.1001 + seq % 997 * 1e-5, "seq": seq}
                for seq in range(first, first + self.batch)
            ]
            path = "/api/v1/tick" if self.batch == 1 else "/api/v1/ticks"
            body = orjson.dumps({"account_id": ACCOUNT, **ticks[0]} if self.batch == 1 else {"account_id": ACCOUNT, "ticks": ticks})
            time_ms, nonce = now_ms(), f"{self.batch}-{self.number}-{self.posted:010d}"
            signature = sign_request(self.key, "POST", path, time_ms, nonce, body)
            head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n{TIME_HEADER}: {time_ms}\r\n"
            self.ready.append(f"{head}{NONCE_HEADER}: {nonce}\r\n{SIGNATURE_HEADER}: {signature}\r\n\r\n".encode() + body)
            self.posted += 1
        self.ready.reverse()


@contextmanager
def running(command: Sequence[str], url: str, environment: dict[str, str], cwd: Path) -> Iterator[psutil.Process]:
    """A server process, from its first answer until the block ends."""
    process = subprocess.Popen(command, cwd=cwd, env={**os.environ, **environment}, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                with urllib.request.urlopen(url, timeout=1):
                    break
            except OSError:
                time.sleep(0.05)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


def is_whole(answer: bytes) -> bool:
    """Whether head and body have arrived; the server may send them apart."""
    head, gap, body = answer.partition(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    return bool(gap) and len(body) >= int(length or 0)


def post_all(port: int, feeds: Sequence[Feed], seconds: float) -> tuple[int, float, list[float]]:
    """Post over every feed's connection until time is up or nothing is left: answered requests, seconds, latencies in seconds."""
    selector = selectors.DefaultSelector()
    started_at: dict[int, float] = {}
    latencies: list[float] = []
    started = time.perf_counter()
    for feed in feeds:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ, feed)
        started_at[connection.fileno()] = time.perf_counter()
        connection.sendall(feed.ready.pop())
    answered, working = 0, len(feeds)
    while working:
        for event, _ in selector.select():
            connection, feed = event.fileobj, event.data
            assert isinstance(connection, socket.socket)
            feed.answer += connection.recv(65_536)
            if not is_whole(feed.answer):
                continue
            at, answer, feed.answer = time.perf_counter(), feed.answer, b""
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"not accepted: {answer[:600]!r}")
            feed.acknowledged += feed.batch
            answered += 1
            latencies.append(at - started_at[connection.fileno()])
            if feed.ready and at - started < seconds:
                started_at[connection.fileno()] = time.perf_counter()
                connection.sendall(feed.ready.pop())
            else:
                selector.unregister(connection)
                connection.close()
                working -= 1
    return answered, time.perf_counter() - started, latencies


def cpu_seconds(server: psutil.Process) -> float:
    """Processor time of a server and its workers; unlike time on the clock it says the same on a busy machine."""
    times = [process.cpu_times() for process in (server, *server.children(recursive=True))]
    return float(sum(time.user + time.system for time in times))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure(
    server: psutil.Process, name: str, batch: int, port: int, key: bytes, connections: int, seconds: float, stored: Callable[[], int] | None
) -> None:
    """One figure, printed as a JSON line."""
    feeds = [Feed(number + (1_000 if batch > 1 else 0), batch, key) for number in range(connections)]
    budget = int(seconds * (9_000 if batch == 1 else 900)) // connections + 1
    for feed in feeds:
        feed.prepare(budget)
    before = stored() if stored else 0
    cpu_before = cpu_seconds(server)
    answered, took, latencies = post_all(port, feeds, seconds)
    cpu_us = (cpu_seconds(server) - cpu_before) / answered * 1e6
    acknowledged = sum(feed.acknowledged for feed in feeds)
    in_store = stored() - before if stored else None
    latencies.sort()
    line = {
        "benchmark": "ticks_http", "peer": name, "ticks_per_post": batch, "connections": connections, "posts_per_s": round(answered / took),
        "ticks_per_s": round(acknowledged / took), "latency_ms_median": round(latencies[len(latencies) // 2] * 1e3, 2),
        "latency_ms_p99": round(latencies[int(len(latencies) * 0.99)] * 1e3, 2), "server_cpu_us_per_post": round(cpu_us), "acknowledged": acknowledged, "in_store": in_store,
        "is_correct": in_store == acknowledged if stored else None,
    }  # fmt: skip
    print(orjson.dumps(line).decode(), flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=5.0)
    arguments.add_argument("--connections", type=int, default=32)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=ROOT / "output_central" if (ROOT / "output_central").exists() else None) as folder:
        home, port = Path(folder), free_port()
        environment = {"SEQUENCE_HOME": folder, "SEQUENCE_API_PORT": str(port), "SEQUENCE_DESK_PORT": str(free_port())}
        with running([sys.executable, "-m", "api_server"], f"http://127.0.0.1:{port}/api/v1/health", environment, ROOT) as server:
            key = load_or_make_key(home)
            ApiClient(f"http://127.0.0.1:{port}", key).hello(TerminalFacts(ACCOUNT, "USD", 30.0, "hedging", True))
            ticks = TickStore.open(home)
            for batch in (1, 1_000):
                measure(server, "api", batch, port, key, given.connections, given.seconds, lambda: ticks.count(ACCOUNT))
            ticks.close()
        (home / "bare.py").write_text(BARE)
        port = free_port()
        with running([sys.executable, "bare.py", str(port)], f"http://127.0.0.1:{port}/", {}, home) as server:
            for batch in (1, 1_000):
                measure(server, "bare", batch, port, key, given.connections, given.seconds, None)


if __name__ == "__main__":
    main()
