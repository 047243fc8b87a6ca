"""Our own downloads: a small HTTP client that waits its turn, tries again where that may help, and keeps what it was given.

Every wait, also that for an answer, tells the work's progress and ends when the work is cancelled.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import requests
from pydantic import BaseModel, ConfigDict, Field

from components.base import VERSION, now_ms, write_atomic
from components.fx import BadInput, Unavailable
from components.pipeline.sources.source import SourceContext
from components.pipeline.sources.turns import hold_back, safe_name, wait_for_turn

T = TypeVar("T")
SLICE_S = 0.1
BLOCK_BYTES = 1 << 16
_SECRET = re.compile(r"key|token|secret|password|signature|crumb|auth", re.IGNORECASE)


class WebOptions(BaseModel):
    """How patient a network source is; every one of them takes these."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    timeout_s: float = Field(30.0, gt=0, le=600, description="longest silence of a server, in seconds")
    longest_s: float = Field(300.0, gt=0, le=3600, description="longest time for one whole answer, in seconds")
    tries: int = Field(5, ge=1, le=20, description="how often one thing is asked for before giving up")
    backoff_s: float = Field(2.0, ge=0, le=600, description="first wait before another try, in seconds; it doubles each time")
    longest_wait_s: float = Field(300.0, ge=0, le=7200, description="longest wait before another try, in seconds")
    seconds_between: float = Field(1.0, ge=0, le=600, description="least time between two requests to one server, over all processes")
    most_megabytes: float = Field(256.0, gt=0, le=4096, description="largest answer that is taken")


class HttpRefused(Unavailable):
    """A server said no in a way that asking again does not change; `status` is its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Again(Exception):
    """This try failed in a way that another may not; `wait_s` is the least wait that was asked for, None where none was."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait_s = wait_s


@dataclass(frozen=True)
class Answer:
    """What a server answered: as it came, with its digest, when it was fetched (epoch milliseconds UTC), and whether it was read from disk."""

    url: str
    status: int
    content_type: str
    content: bytes
    sha256: str
    fetched_ms: int
    is_cached: bool = False

    @property
    def text(self) -> str:
        """The content as UTF-8, with a mark in place of bytes that are not."""
        return self.content.decode("utf-8", errors="replace")


class Web:
    """Downloads of one source.

    Parameters
    ----------
    context : SourceContext
        Whose cache folder is used and who is told of progress.
    source : str
        Names the folder under ``raw``.
    options : WebOptions
    """

    def __init__(self, context: SourceContext, source: str, options: WebOptions) -> None:
        self.context = context
        self.options = options
        self.folder = context.raw(source)
        self._session = requests.Session()

    def get(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        keep_as: str = "",
        most_age_s: float | None = None,
        check: Callable[[Answer], object] | None = None,
        what: str = "",
        fraction: float = 0.0,
    ) -> Answer:
        """The answer to a GET, from disk where it is kept and young enough.

        Parameters
        ----------
        url, params
            What to ask for; `params` are put into the URL.
        keep_as : str
            Name under which the answer is kept, as the answer to this URL; another one of that name takes its place. Not kept where empty.
        most_age_s : float, optional
            Age up to which a kept answer is as good as a new one; None for ever, 0 never.
        check : callable, optional
            Looks at the answer before it is kept; raises `Again` where it is broken, or any error of the platform.
        what, fraction
            For messages: what is asked for, and the share of the work that is done.

        Raises
        ------
        HttpRefused
            For a status of 400 to 499 other than 408 and 429, which are not tried again.
        Unavailable
            If nothing usable came after all tries; the message says what was wrong last.
        """
        full = requests.Request("GET", url, params=dict(params or {})).prepare().url or url
        what = what or shown_url(full)
        path = self.folder / safe_name(keep_as) if keep_as else None
        if path is not None:
            kept = read_kept(path)
            if kept is not None and kept.url == shown_url(full) and (most_age_s is None or now_ms() - kept.fetched_ms <= most_age_s * 1000):
                self.context.progress(fraction, f"{what}: kept on disk")
                return kept

        def attempt() -> Answer:
            answer = self._ask(full, what, fraction)
            if check is not None:
                check(answer)
            return answer

        answer = tried(attempt, context=self.context, options=self.options, what=what, fraction=fraction)
        if path is not None:
            keep(path, answer)
        return answer

    def _ask(self, url: str, what: str, fraction: float) -> Answer:
        host = urlsplit(url).netloc.rpartition("@")[2]
        wait_for_turn(self.context, host, self.options.seconds_between, what=what, fraction=fraction)
        try:
            status, headers, content = self._fetch(url, f"{what}: waiting for {host}", fraction)
        except TimeoutError:
            raise Again(f"{host} did not finish its answer within {self.options.longest_s:g} s") from None
        except requests.exceptions.SSLError as error:
            raise Unavailable(f"{what}: the certificate of {host} is not accepted ({error}); check this machine's clock and certificates") from error
        except requests.Timeout:
            raise Again(f"{host} was silent for {self.options.timeout_s:g} s") from None
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError):
            raise Again(f"the answer of {host} broke off") from None
        except requests.ConnectionError:
            raise Again(f"{host} cannot be reached; check the network connection") from None
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema) as error:
            raise BadInput("url", f"{shown_url(url)!r} is not a web address ({type(error).__name__})") from None
        if status == 429:
            wait_s = retry_after_s(headers.get("Retry-After"))
            hold_back(self.context, host, max(wait_s or 0.0, self.options.seconds_between))
            raise Again(f"{host} says that there are too many requests (429)", wait_s)
        if status >= 500 or status == 408:
            raise Again(f"{host} has an error of its own ({status})", retry_after_s(headers.get("Retry-After")))
        if status >= 300:
            raise HttpRefused(status, f"{what}: {host} refused {shown_url(url)} with status {status}{_words_of(content)}; check what was asked for")
        kind = headers.get("Content-Type", "")
        return Answer(shown_url(url), status, kind, content, sha256(content).hexdigest(), now_ms())

    def _fetch(self, url: str, message: str, fraction: float) -> tuple[int, Mapping[str, str], bytes]:
        stop, session = threading.Event(), self._session

        def read() -> tuple[int, Mapping[str, str], bytes]:
            return _read(session, url, self.options, stop)

        try:
            return in_background(read, context=self.context, longest_s=self.options.longest_s, message=message, fraction=fraction)
        except BaseException:
            # The thread may still be reading: it is told to end, and keeps its session.
            stop.set()
            self._session = requests.Session()
            raise


def tried(attempt: Callable[[], T], *, context: SourceContext, options: WebOptions, what: str, fraction: float = 0.0) -> T:
    """What `attempt` gives, called again after growing waits for as long as it raises `Again`.

    The wait doubles from ``options.backoff_s``, with jitter between half and the whole of it, and is never shorter than what the server
    asked for.

    Raises
    ------
    Unavailable
        If the last of ``options.tries`` fails too, or the server asks for a longer wait than ``options.longest_wait_s``.
    """
    for number in range(1, options.tries + 1):
        try:
            return attempt()
        except Again as trouble:
            asked_s = trouble.wait_s or 0.0
            if asked_s > options.longest_wait_s:
                raise Unavailable(f"{what}: {trouble.reason} and asks to wait {asked_s / 60:.0f} minutes; try again after that") from trouble
            if number == options.tries:
                raise Unavailable(f"{what}: {trouble.reason}; gave up after {number} tries, try again later") from trouble
            wait_s = min(options.backoff_s * 2.0 ** (number - 1), options.longest_wait_s) * random.uniform(0.5, 1.0)
            context.sleep(max(wait_s, asked_s), fraction, f"{what}: {trouble.reason}; try {number + 1} of {options.tries} follows")
    raise AssertionError("there is at least one try")


def in_background(call: Callable[[], T], *, context: SourceContext, longest_s: float, message: str, fraction: float = 0.0) -> T:
    """Run a call that blocks in a thread of its own, telling progress meanwhile.

    Raises
    ------
    TimeoutError
        If it takes longer than `longest_s`. The thread is left behind, as it is when the work is cancelled.
    """
    done = threading.Event()
    result: list[T] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            result.append(call())
        except BaseException as error:  # whatever it is, the caller gets it
            failure.append(error)
        finally:
            done.set()

    threading.Thread(target=work, daemon=True, name="download").start()
    give_up = time.monotonic() + longest_s
    while not done.wait(SLICE_S):
        context.progress(fraction, message)
        if time.monotonic() > give_up:
            raise TimeoutError(message)
    context.progress(fraction, message)
    if failure:
        raise failure[0]
    return result[0]


def retry_after_s(header: str | None) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or a date (RFC 9110, 10.2.3); None where it says nothing usable."""
    if not header:
        return None
    with suppress(ValueError):
        return max(0.0, float(header))
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    return None


def shown_url(url: str) -> str:
    """The URL as people may see it: without user, password, keys and tokens."""
    parts = urlsplit(url)
    query = urlencode(
        [(name, "***" if _SECRET.search(name) else value) for name, value in parse_qsl(parts.query, keep_blank_values=True)], safe="*:/="
    )
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


def keep(path: Path, answer: Answer) -> None:
    """Write an answer as it came, and beside it where it came from; the second file makes it valid."""
    facts = {name: value for name, value in vars(answer).items() if name not in ("content", "is_cached")}
    facts_path = path.with_name(path.name + ".json")
    facts_path.unlink(missing_ok=True)
    write_atomic(path, answer.content)
    write_atomic(facts_path, json.dumps(facts, sort_keys=True).encode())


def read_kept(path: Path) -> Answer | None:
    """An answer that `keep` wrote; None where there is none, or it is not what was written."""
    try:
        facts: dict[str, Any] = json.loads(path.with_name(path.name + ".json").read_bytes())
        content = path.read_bytes()
        answer = Answer(**facts, content=content, is_cached=True)
    except (OSError, ValueError, TypeError):
        return None
    return answer if sha256(content).hexdigest() == answer.sha256 else None


def _read(session: requests.Session, url: str, options: WebOptions, stop: threading.Event) -> tuple[int, Mapping[str, str], bytes]:
    headers = {"User-Agent": f"sequence-fx/{VERSION}"}
    most = int(options.most_megabytes * 1_000_000)
    with session.get(url, headers=headers, timeout=options.timeout_s, stream=True) as response:
        content = bytearray()
        declared = response.headers.get("Content-Length", "")
        is_too_large = declared.isdigit() and int(declared) > most
        for block in () if is_too_large else response.iter_content(BLOCK_BYTES):
            content += block
            is_too_large = len(content) > most
            if is_too_large or stop.is_set():
                break
        if is_too_large:
            raise Unavailable(f"the answer to {shown_url(url)} is larger than {options.most_megabytes:g} MB; ask for less or raise most_megabytes")
        return response.status_code, response.headers, bytes(content)


def _words_of(content: bytes) -> str:
    """The first words of a plain answer, for a message; nothing of a page made for browsers."""
    text = " ".join(content[:2000].decode("utf-8", errors="replace").split())
    return f" ({text[:160]!r})" if text and not text.startswith("<") else ""
