"""A real API: granian in a process of its own, on a free port, over SQLite files in this test's folder."""

from __future__ import annotations

import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from components.base import ROOT, Settings, now_ms
from components.bridge import ApiClient, Mailbox, TerminalFacts, TickStore, load_or_make_key, sign_request

ACCOUNT = "demo-1"
FACTS = TerminalFacts(ACCOUNT, "USD", 30.0, "hedging", True, "replay", name="test terminal")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Api:
    """The API process, and everything a test needs to talk to it and to look behind it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port, self.desk_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.clients: list[ApiClient] = []

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home, api_port=self.port, desk_port=self.desk_port, _env_file=None)

    def start(self) -> None:
        names = {"SEQUENCE_HOME": str(self.home), "SEQUENCE_API_PORT": str(self.port), "SEQUENCE_DESK_PORT": str(self.desk_port)}
        with (self.home / "api.log").open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "api_server"], cwd=ROOT, env={**os.environ, **names}, stderr=log)
        self.wait_healthy()

    def wait_healthy(self) -> None:
        assert self.process is not None
        for _ in range(600):
            assert self.process.poll() is None, self.log()
            try:
                with urllib.request.urlopen(self.url + "/api/v1/health", timeout=1) as answer:
                    assert answer.status == 200
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the API did not become healthy\n" + self.log())

    def log(self) -> str:
        return (self.home / "api.log").read_text()

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(15)

    def client(self, retry_for_s: float = 20.0) -> ApiClient:
        client = ApiClient(self.url, load_or_make_key(self.home), retry_for_s)
        self.clients.append(client)
        return client

    def mailbox(self) -> Mailbox:
        return Mailbox.open(self.home)

    def ticks(self) -> TickStore:
        return TickStore.open(self.home)


def raw(api: Api, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None, key: bytes | None = None) -> tuple[int, Any, Any]:
    """One request, signed unless `headers` are given: status, headers, body."""
    if headers is None:
        time_ms, nonce = now_ms(), secrets.token_hex(8)
        signature = sign_request(key or load_or_make_key(api.home), method, path, time_ms, nonce, body)
        headers = {"X-Sequence-Time": str(time_ms), "X-Sequence-Nonce": nonce, "X-Sequence-Signature": signature}
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=20)
    connection.request(method, path, body or None, headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, response.headers, content
