"""Who may speak: the key, and signatures over requests."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import threading
from collections import deque
from pathlib import Path

from components.base import now_ms
from components.fx import Corrupt, PlatformError, Unavailable

TIME_HEADER = "X-Sequence-Time"
NONCE_HEADER = "X-Sequence-Nonce"
SIGNATURE_HEADER = "X-Sequence-Signature"
ERROR_HEADER = "X-Sequence-Error"
SERVER_TIME_HEADER = "X-Sequence-Server-Time"

_NONCE = re.compile(r"[A-Za-z0-9_-]{8,64}")
_TIME = re.compile(r"[0-9]{1,15}")


class Unsigned(PlatformError):
    """The request is not proven to come from a holder of the key; `code` says why."""

    http_status = 401
    exit_code = 4

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def load_or_make_key(home: Path) -> bytes:
    """The key that terminals sign with: 32 bytes, kept as 64 hexadecimal digits in ``home/api_key``, readable by the owner only.

    Raises
    ------
    Unavailable
        If the file cannot be read or written.
    Corrupt
        If it does not hold a key.
    """
    path = home / "api_key"
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make_key(path)
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"cannot read the key {path}: {error}") from error
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise Corrupt(f"{path} does not hold 64 hexadecimal digits; delete it to make a new key, and give that to every terminal")
    return bytes.fromhex(text)


def _make_key(path: Path) -> None:
    # Linked into place, so that of two processes that start together one makes the key and both read it whole.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(file, "w") as stream:
            stream.write(secrets.token_hex(32) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        except OSError:
            if not path.exists():
                temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)


def sign_request(key: bytes, method: str, path_with_query: str, time_ms: int, nonce: str, body: bytes) -> str:
    """Signature of a request.

    Parameters
    ----------
    key : bytes
        The shared key.
    method : str
        ``"GET"`` or ``"POST"``.
    path_with_query : str
        As sent, for example ``"/api/v1/signals/pending?account_id=demo-1&lease_id=7"``.
    time_ms : int
        The sender's clock, epoch milliseconds UTC.
    nonce : str
        8 to 64 of ``A-Za-z0-9_-``, never used twice.
    body : bytes
        As sent; empty for GET.

    Returns
    -------
    str
        HMAC-SHA256 in hexadecimal over METHOD, path, time, nonce and the hexadecimal SHA-256 of the body, joined by newlines.
    """
    text = f"{method}\n{path_with_query}\n{time_ms}\n{nonce}\n{hashlib.sha256(body).hexdigest()}"
    return hmac.digest(key, text.encode("utf-8", "surrogateescape"), "sha256").hex()


class Verifier:
    """Checks signatures and refuses replays.

    Parameters
    ----------
    key : bytes
        The shared key.
    window_ms : int
        How old a request's time may be. Nonces are remembered for this long.
    ahead_ms : int
        How far a sender's clock may be ahead of ours.
    started_ms : int, optional
        Start of this process; requests stamped before it are refused, so that a replay is refused after a restart although nonces live in
        memory only. (A sender whose clock is ahead could be replayed for that long after a restart; every signed request is idempotent.)
    """

    def __init__(self, key: bytes, window_ms: int = 30_000, started_ms: int | None = None, ahead_ms: int = 5_000) -> None:
        self._key = key
        self._window_ms = window_ms
        self._ahead_ms = ahead_ms
        self._started_ms = now_ms() if started_ms is None else started_ms
        self._seen: set[str] = set()
        self._order: deque[tuple[int, str]] = deque()
        self._lock = threading.Lock()

    def check(
        self,
        method: str,
        path_with_query: str,
        time_text: str | None,
        nonce: str | None,
        signature: str | None,
        body: bytes,
        at_ms: int | None = None,
    ) -> None:
        """Accept the request, and remember its nonce.

        Raises
        ------
        Unsigned
            With code ``missing_header``, ``bad_header``, ``bad_signature``, ``clock_drift`` or ``replayed``.
        """
        for name, value in ((TIME_HEADER, time_text), (NONCE_HEADER, nonce), (SIGNATURE_HEADER, signature)):
            if not value:
                raise Unsigned("missing_header", f"{name}: the header is missing; every request but health and documents is signed")
        if not _TIME.fullmatch(time_text or ""):
            raise Unsigned("bad_header", f"{TIME_HEADER}: not a time in epoch milliseconds")
        if not _NONCE.fullmatch(nonce or ""):
            raise Unsigned("bad_header", f"{NONCE_HEADER}: give 8 to 64 letters, digits, '-' or '_'")
        time_ms = int(time_text or "")
        expected = sign_request(self._key, method, path_with_query, time_ms, nonce or "", body)
        if not hmac.compare_digest(expected.encode(), (signature or "").encode("utf-8", "replace")):
            raise Unsigned("bad_signature", f"{SIGNATURE_HEADER}: does not match the request; check the key and what is signed")
        now = now_ms() if at_ms is None else at_ms
        earliest, latest = max(now - self._window_ms, self._started_ms), now + self._ahead_ms
        if not earliest <= time_ms <= latest:
            raise Unsigned(
                "clock_drift", f"{TIME_HEADER}: {time_ms} is not between {earliest} and {latest}; set your clock by the server's time {now}"
            )
        self._remember(nonce or "", time_ms, now)

    def _remember(self, nonce: str, time_ms: int, now: int) -> None:
        with self._lock:
            while self._order and self._order[0][0] < now:
                self._seen.discard(self._order.popleft()[1])
            if nonce in self._seen:
                raise Unsigned("replayed", f"{NONCE_HEADER}: this nonce was used already; make a new one for every request")
            self._seen.add(nonce)
            # The latest time at which this request could still pass, not the order of arrival, decides when its nonce may be forgotten.
            self._order.append((now + self._ahead_ms + self._window_ms, nonce))
