"""Wake-ups between the API and the desk: JSON lines over a loopback socket.

The API says "there are ticks up to seq" and the desk answers "I have processed up to seq", the bar watermark that a lockstep replay waits
for. Both are hints: the tick store holds the ticks, and a desk that missed a line reads them there.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import orjson

from components.base import get_log
from components.fx import Unavailable

Feed = tuple[str, str]
_LOG = get_log("bridge")
_LONGEST_LINE = 4_096


class WakeSender:
    """The API's end: tells the desk of new ticks without ever holding up the caller, and knows how far the desk is.

    Parameters
    ----------
    host, port
        Where the desk listens. It need not be there: connecting is retried, after 0.1 s at first and 2 s at most.
    """

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._changed = threading.Condition()
        self._latest: dict[Feed, int] = {}
        self._unsent: set[Feed] = set()
        self._processed: dict[Feed, int] = {}
        self._closed = threading.Event()
        self._connection: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="wake-sender", daemon=True)
        self._thread.start()

    @property
    def is_connected(self) -> bool:
        """Whether a desk listens at this moment."""
        return self._connection is not None

    def send(self, account_id: str, symbol: str, seq: int) -> None:
        """There are ticks up to `seq`. Returns at once; of several calls for one symbol the desk may see the last only."""
        with self._changed:
            feed = (account_id, symbol)
            if seq > self._latest.get(feed, -1):
                self._latest[feed] = seq
                self._unsent.add(feed)
                self._changed.notify_all()

    def processed(self, account_id: str, symbol: str) -> int | None:
        """The last watermark that the desk told of, None before its first."""
        return self._processed.get((account_id, symbol))

    def wait_processed(self, account_id: str, symbol: str, seq: int, timeout_s: float) -> int | None:
        """Wait until the desk has processed `seq`; its watermark, or None if `timeout_s` seconds were not enough."""
        feed = (account_id, symbol)
        with self._changed:
            reached = self._changed.wait_for(lambda: self._closed.is_set() or self._processed.get(feed, -1) >= seq, timeout_s)
            watermark = self._processed.get(feed, -1)
        return watermark if reached and watermark >= seq else None

    def close(self) -> None:
        """Stop; whoever waits is answered None."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
        _shut(self._connection)
        self._thread.join(timeout=5)

    def _run(self) -> None:
        pause_s = 0.1
        while not self._closed.is_set():
            try:
                connection = socket.create_connection(self._address, timeout=2)
            except OSError:
                self._closed.wait(pause_s)
                pause_s = min(2.0, pause_s * 1.5)
                continue
            pause_s = 0.1
            self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._changed:
            self._unsent = set(self._latest)
            self._connection = connection
        lost = threading.Event()
        reader = threading.Thread(target=self._listen, args=(connection, lost), name="wake-answers", daemon=True)
        reader.start()
        try:
            while not self._closed.is_set() and not lost.is_set():
                with self._changed:
                    self._changed.wait_for(lambda: self._unsent or self._closed.is_set() or lost.is_set(), timeout=1.0)
                    lines = [_tick_line(feed, self._latest[feed]) for feed in self._unsent]
                    self._unsent = set()
                if lines:
                    connection.sendall(b"".join(lines))
        except OSError as error:
            _LOG.info("desk_lost", reason=str(error))
        finally:
            self._connection = None
            _shut(connection)
            reader.join(timeout=5)

    def _listen(self, connection: socket.socket, lost: threading.Event) -> None:
        for feed, seq in _lines(connection):
            with self._changed:
                self._processed[feed] = seq
                self._changed.notify_all()
        lost.set()
        with self._changed:
            self._changed.notify_all()


class WakeListener:
    """The desk's end.

    Parameters
    ----------
    port : int
        Loopback port to listen on; 0 takes a free one, see `port` afterwards.
    on_tick : callable
        Called with (account_id, symbol, seq) in the connection's own thread; it should only note the watermark and return.

    Raises
    ------
    Unavailable
        If the port is in use.
    """

    def __init__(self, port: int, on_tick: Callable[[str, str, int], None], host: str = "127.0.0.1") -> None:
        self._on_tick = on_tick
        self._lock = threading.Lock()
        self._watermarks: dict[Feed, int] = {}
        self._connections: set[socket.socket] = set()
        try:
            self._server = socket.create_server((host, port), backlog=8)
        except OSError as error:
            raise Unavailable(f"the desk's port {port} cannot be used: {error.strerror}; choose another with SEQUENCE_DESK_PORT") from error
        self.port: int = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name="wake-listener", daemon=True)
        self._thread.start()

    def processed(self, account_id: str, symbol: str, seq: int) -> None:
        """All ticks up to `seq` are processed and every signal that follows from them is in the mailbox; tell every connection."""
        line = _tick_line((account_id, symbol), seq)
        with self._lock:
            self._watermarks[(account_id, symbol)] = seq
            for connection in list(self._connections):
                self._send(connection, line)

    def close(self) -> None:
        """Stop listening and drop every connection."""
        _shut(self._server)
        with self._lock:
            for connection in self._connections:
                _shut(connection)
        self._thread.join(timeout=5)

    def __enter__(self) -> WakeListener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # A peer that does not read must not stop the desk.
            connection.settimeout(2.0)
            with self._lock:
                self._connections.add(connection)
                self._send(connection, b"".join(_tick_line(feed, seq) for feed, seq in self._watermarks.items()))
            threading.Thread(target=self._serve, args=(connection,), name="wake-connection", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        for (account_id, symbol), seq in _lines(connection):
            self._on_tick(account_id, symbol, seq)
        with self._lock:
            self._connections.discard(connection)
        _shut(connection)

    def _send(self, connection: socket.socket, line: bytes) -> None:
        try:
            connection.sendall(line)
        except OSError:
            self._connections.discard(connection)
            _shut(connection)


def _tick_line(feed: Feed, seq: int) -> bytes:
    return orjson.dumps({"account_id": feed[0], "symbol": feed[1], "seq": seq}, option=orjson.OPT_APPEND_NEWLINE)


def _lines(connection: socket.socket) -> Iterator[tuple[Feed, int]]:
    """Lines until the peer goes away or talks nonsense."""
    waiting = b""
    while True:
        try:
            chunk = connection.recv(65_536)
        except TimeoutError:
            continue
        except OSError:
            return
        if not chunk or len(waiting) > _LONGEST_LINE:
            return
        *lines, waiting = (waiting + chunk).split(b"\n")
        for line in lines:
            try:
                value = orjson.loads(line)
                yield (str(value["account_id"]), str(value["symbol"])), int(value["seq"])
            except (ValueError, TypeError, KeyError):
                _LOG.warning("wake_line_not_understood", line=line[:200].decode("utf-8", "replace"))
                return


def _shut(connection: socket.socket | None) -> None:
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            connection.close()
