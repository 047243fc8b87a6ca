"""Wake-ups over a real socket: told of ticks, told how far the desk is, and neither end is needed for the other to run."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from components.bridge import WakeListener, WakeSender
from components.fx import Unavailable


class Desk:
    """Notes what it is told, and answers at once if it is to."""

    def __init__(self, port: int = 0, *, answers: bool = True) -> None:
        self.told: list[tuple[str, str, int]] = []
        self.answers = answers
        self.listener = WakeListener(port, self.on_tick)

    def on_tick(self, account_id: str, symbol: str, seq: int) -> None:
        self.told.append((account_id, symbol, seq))
        if self.answers:
            self.listener.processed(account_id, symbol, seq)


def until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.listener.close()


@pytest.fixture
def sender(desk: Desk) -> Iterator[WakeSender]:
    sender = WakeSender("127.0.0.1", desk.listener.port)
    yield sender
    sender.close()


def test_a_tick_wakes_the_desk_and_its_watermark_comes_back(desk: Desk, sender: WakeSender) -> None:
    sender.send("a", "EURUSD", 41)
    assert sender.wait_processed("a", "EURUSD", 41, 5.0) == 41
    assert desk.told[-1] == ("a", "EURUSD", 41)
    assert sender.processed("a", "EURUSD") == 41
    assert sender.processed("a", "USDJPY") is None


def test_lockstep_is_a_round_trip_of_a_few_milliseconds_at_most(desk: Desk, sender: WakeSender) -> None:
    assert until(lambda: sender.is_connected)
    started = time.perf_counter()
    for seq in range(1, 201):
        sender.send("a", "EURUSD", seq)
        assert sender.wait_processed("a", "EURUSD", seq, 5.0) == seq
    assert (time.perf_counter() - started) / 200 < 0.02


def test_waiting_ends_without_a_watermark_where_the_desk_does_not_get_there(desk: Desk, sender: WakeSender) -> None:
    desk.answers = False
    sender.send("a", "EURUSD", 1)
    started = time.monotonic()
    assert sender.wait_processed("a", "EURUSD", 1, 0.2) is None
    assert 0.15 < time.monotonic() - started < 2.0


def test_the_caller_is_never_held_up_by_a_missing_desk() -> None:
    sender = WakeSender("127.0.0.1", 9)
    started = time.perf_counter()
    for seq in range(20_000):
        sender.send("a", "EURUSD", seq)
    assert time.perf_counter() - started < 2.0
    assert not sender.is_connected
    sender.close()


def test_a_desk_that_comes_later_is_told_the_newest_tick_of_every_symbol() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    sender = WakeSender("127.0.0.1", port)
    for seq in range(1, 101):
        sender.send("a", "EURUSD", seq)
    sender.send("b", "USDJPY", 7)
    desk = Desk(port)
    assert sender.wait_processed("a", "EURUSD", 100, 10.0) == 100
    assert sender.wait_processed("b", "USDJPY", 7, 10.0) == 7
    sender.close()
    desk.listener.close()


def test_after_a_desk_was_restarted_both_ends_find_each_other_again(desk: Desk, sender: WakeSender) -> None:
    sender.send("a", "EURUSD", 1)
    assert sender.wait_processed("a", "EURUSD", 1, 5.0) == 1
    port = desk.listener.port
    desk.listener.close()
    assert until(lambda: not sender.is_connected)
    sender.send("a", "EURUSD", 2)
    again = Desk(port)
    assert sender.wait_processed("a", "EURUSD", 2, 10.0) == 2
    again.listener.close()


def test_a_new_connection_is_told_the_current_watermarks(desk: Desk) -> None:
    desk.listener.processed("a", "EURUSD", 33)
    sender = WakeSender("127.0.0.1", desk.listener.port)
    assert until(lambda: sender.processed("a", "EURUSD") == 33)
    sender.close()


def test_every_connection_is_told(desk: Desk, sender: WakeSender) -> None:
    second = WakeSender("127.0.0.1", desk.listener.port)
    assert until(lambda: sender.is_connected and second.is_connected)
    sender.send("a", "EURUSD", 5)
    assert second.wait_processed("a", "EURUSD", 5, 5.0) == 5
    second.close()


def test_closing_answers_whoever_waits(desk: Desk) -> None:
    sender = WakeSender("127.0.0.1", desk.listener.port)
    answers: list[int | None] = []
    waiting = threading.Thread(target=lambda: answers.append(sender.wait_processed("a", "EURUSD", 9, 30.0)))
    waiting.start()
    time.sleep(0.1)
    sender.close()
    waiting.join(5)
    assert answers == [None]


@pytest.mark.parametrize(
    "nonsense", [b"hello\n", b"{}\n", b"[1]\n", b'{"account_id":"a","symbol":"EURUSD","seq":"x"}\n', b"\xff\xfe\n", b"x" * 20_000]
)
def test_nonsense_on_the_socket_ends_that_connection_only(desk: Desk, sender: WakeSender, nonsense: bytes) -> None:
    with socket.create_connection(("127.0.0.1", desk.listener.port)) as stranger:
        stranger.sendall(nonsense)
        stranger.settimeout(5)
        stranger.shutdown(socket.SHUT_WR)
        while stranger.recv(1_000):
            pass
    sender.send("a", "EURUSD", 1)
    assert sender.wait_processed("a", "EURUSD", 1, 5.0) == 1


def test_a_port_in_use_is_said_in_a_sentence(desk: Desk) -> None:
    with pytest.raises(Unavailable, match="SEQUENCE_DESK_PORT"):
        WakeListener(desk.listener.port, lambda *_: None)
