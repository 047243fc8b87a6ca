"""The terminal source against a stand-in for MetaQuotes' package, which behaves as its documentation and its users say: history comes late."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from components.base import now_ms
from components.fx import BadInput, Unavailable, validate_bars
from components.pipeline import Piece, Request, SourceContext, source_named
from components.pipeline.sources import mt5_terminal
from components.pipeline.sources.mt5_terminal import Mt5Terminal
from tests.pipeline.lookalikes import DAY, HOUR, as_known, bars_at, is_trading, ms, trading_ms, utc_of, wall_clock

RATES = [
    ("time", "i8"),
    ("open", "f8"),
    ("high", "f8"),
    ("low", "f8"),
    ("close", "f8"),
    ("tick_volume", "u8"),
    ("spread", "i4"),
    ("real_volume", "u8"),
]
TICKS = [("time", "i8"), ("bid", "f8"), ("ask", "f8"), ("last", "f8"), ("volume", "u8"), ("time_msc", "i8"), ("flags", "u4"), ("volume_real", "f8")]


@dataclass
class Terminal:
    """A terminal that holds bars of one symbol by its server's clock, and has loaded ever more of them each time it is asked."""

    rates: dict[str, Any]
    ticks: Any = None
    share_loaded: tuple[float, ...] = (1.0,)
    is_running: bool = True
    error: tuple[int, str] = (1, "Success")
    names: tuple[str, ...] = ("EURUSD.raw", "EURUSD.pro", "GBPUSD.raw")
    newest_tick: Any = None
    asked: list[tuple[str, datetime, datetime]] = field(default_factory=list)
    selected: list[str] = field(default_factory=list)
    arguments: tuple[Any, ...] = ()
    is_connected: bool = False
    COPY_TICKS_INFO: int = 1
    TIMEFRAME_M15: int = 15
    TIMEFRAME_H1: int = 16385
    TIMEFRAME_D1: int = 16408

    def initialize(self, *args: Any, **kwargs: Any) -> bool:
        """Connect."""
        self.arguments, self.is_connected = args, self.is_running
        return self.is_running

    def shutdown(self) -> None:
        """Disconnect."""
        self.is_connected = False

    def last_error(self) -> tuple[int, str]:
        """What went wrong."""
        return self.error

    def symbol_info(self, symbol: str) -> Any:
        """A symbol, if there is one."""
        return SimpleNamespace(name=symbol) if symbol in self.names else None

    def symbol_select(self, symbol: str, enable: bool) -> bool:
        """Show it."""
        self.selected.append(symbol)
        return symbol in self.names

    def symbols_get(self, group: str) -> Any:
        """Names like that."""
        return tuple(SimpleNamespace(name=name) for name in self.names if group.strip("*") in name)

    def symbol_info_tick(self, symbol: str) -> Any:
        """The newest tick."""
        return self.newest_tick

    def copy_rates_range(self, symbol: str, timeframe: int, date_from: datetime, date_to: datetime) -> Any:
        """Bars that open within these server times."""
        length = {15: "M15", 16385: "H1", 16408: "D1"}[timeframe]
        return self._copy(length, self.rates.get(length), date_from, date_to)

    def copy_ticks_range(self, symbol: str, date_from: datetime, date_to: datetime, flags: int) -> Any:
        """Ticks within these server times."""
        return self._copy("tick", self.ticks, date_from, date_to)

    def _copy(self, length: str, rows: Any, date_from: datetime, date_to: datetime) -> Any:
        assert self.is_connected
        assert date_from.tzinfo is not None
        assert date_to.tzinfo is not None
        times = len([one for one in self.asked if one == (length, date_from, date_to)])
        self.asked.append((length, date_from, date_to))
        if rows is None:
            return None
        inside = rows[(rows["time"] >= date_from.timestamp()) & (rows["time"] <= date_to.timestamp())]
        share = self.share_loaded[min(times, len(self.share_loaded) - 1)]
        # What a terminal has of old history it has from its end on.
        return inside[len(inside) - int(len(inside) * share) :]


def rates_of(utc_ms: Any, winter: int = 120, rule: str = "eu") -> tuple[Any, Any]:
    """Bars as the package gives them, by a server's clock, and the bars as they were."""
    bars = bars_at(utc_ms)
    rows = np.zeros(len(utc_ms), dtype=RATES)
    rows["time"] = wall_clock(utc_ms, winter, rule) // 1000
    for name, values in bars.prices.items():
        rows[name] = values
    rows["tick_volume"], rows["spread"] = bars.volume, bars.spread
    return rows, bars


def read(terminal: Terminal, timeframe: str = "M15", known: dict[str, Any] | None = None, **more: Any) -> list[Piece]:
    """The pieces that the terminal gives."""
    bounds = {name: more.pop(name, default) for name, default in (("start_ms", ms("2023-02-10")), ("end_ms", ms("2023-04-20")))}
    context = SourceContext(Path("unused"), more.pop("progress", lambda fraction, message, **metrics: None))
    options = {"broker_symbol": "EURUSD.raw", "wait_s": 0.0, **more}
    return list(Mt5Terminal(terminal).pieces(Request("EURUSD", timeframe, **bounds, options=options), known or {}, context))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def held() -> dict[str, Any]:
    """What the server has: quarter hours and hours of a year."""
    quarters, hours = trading_ms("2022-03-01", "2023-06-01", 15), trading_ms("2022-03-01", "2023-06-01", 60)
    return {"M15": rates_of(quarters)[0], "H1": rates_of(hours)[0]}


@pytest.fixture(autouse=True)
def _short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A month, so that little data makes several pieces."""
    monkeypatch.setitem(mt5_terminal.CHUNK_DAYS, "M15", 31)


def whole(pieces: list[Piece], column: str = "raw_ms") -> Any:
    """A column of all pieces in order."""
    return np.concatenate([piece.frame[column].to_numpy() for piece in pieces])


def test_bars_come_in_stretches_of_server_time_and_get_their_true_time(held: dict[str, Any]) -> None:
    terminal = Terminal(held)
    pieces = read(terminal, "M15")
    truth = trading_ms("2023-02-10", "2023-04-20", 15)
    assert (np.concatenate([utc_of(piece.frame) for piece in pieces]) == truth).all()
    assert (whole(pieces) == wall_clock(truth, 120, "eu")).all()
    for piece in pieces:
        validate_bars(piece.frame)
        assert piece.is_final
        assert piece.facts["clock"]["rule"] == "eu"
    assert [piece.key for piece in pieces] == ["2023-01-18..2023-02-18", "2023-02-18..2023-03-21", "2023-03-21..2023-04-21"]
    assert not terminal.is_connected, "the connection is ended"


def test_history_that_arrives_late_is_asked_for_until_two_answers_agree(held: dict[str, Any]) -> None:
    told: list[str] = []
    terminal = Terminal(held, share_loaded=(0.0, 0.1, 0.6, 1.0))
    pieces = read(terminal, progress=lambda fraction, message, **metrics: told.append(message))
    assert (np.concatenate([utc_of(piece.frame) for piece in pieces]) == trading_ms("2023-02-10", "2023-04-20", 15)).all()
    assert {piece.facts["answers"] for piece in pieces} == {5}
    assert any("time 3" in message for message in told)


def test_history_that_never_settles_is_kept_as_it_is_and_asked_for_again(held: dict[str, Any]) -> None:
    terminal = Terminal(held, share_loaded=(0.5, 0.6, 0.7, 0.8, 0.9))
    pieces = read(terminal, attempts=4, clock="eu")
    assert pieces
    assert not any(piece.is_final for piece in pieces)
    assert "still changed after 4 answers" in pieces[0].facts["unsettled"]
    again = read(Terminal(held), known=as_known(pieces), clock="eu")
    assert [piece.key for piece in again] == [piece.key for piece in pieces]


def test_the_wait_between_answers_doubles_and_tells_of_itself(held: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(SourceContext, "sleep", lambda self, seconds, fraction, message: waits.append(seconds))
    with pytest.raises(Unavailable, match=r"gave no EURUSD\.raw M15 .* in 8 attempts: the terminal has no such history"):
        read(Terminal({"H1": held["H1"]}, error=(-4, "Terminal: Not found")), clock="eu", wait_s=1.0)
    assert waits == [1, 2, 4, 8, 16, 30, 30]


def test_a_stretch_that_is_kept_whole_is_not_asked_for_again_and_the_present_is(held: dict[str, Any]) -> None:
    pieces = read(Terminal(held))
    terminal = Terminal(held)
    assert read(terminal, known=as_known(pieces)) == []
    assert {length for length, _, _ in terminal.asked} == {"H1"}, "only the clock was read"
    (missing,) = read(Terminal(held), known=as_known(pieces[1:]))
    assert missing.key == pieces[0].key
    assert len(read(Terminal(held), known=as_known(pieces), clock="us")) == len(pieces), "another clock, other times"
    moved = {length: rates_of(trading_ms("2022-03-01", "2023-06-01", minutes), rule="us")[0] for length, minutes in (("M15", 15), ("H1", 60))}
    assert len(read(Terminal(moved), known=as_known(pieces))) == len(pieces), "the hourly bars now show another clock"


def test_the_bar_that_is_forming_is_left_out_and_its_stretch_is_not_final() -> None:
    now = now_ms()
    times = np.arange(now - now % HOUR - 40 * DAY, now, HOUR)
    rows, _ = rates_of(times, rule="none")
    pieces = read(Terminal({"H1": rows}), "H1", clock="none", start_ms=int(times[0]), end_ms=None)
    last = pieces[-1]
    assert not last.is_final
    assert last.facts["forming"] == 1
    assert utc_of(last.frame)[-1] == times[-2]


def test_the_clock_is_compared_with_that_of_the_terminal(held: dict[str, Any]) -> None:
    now = now_ms()
    shown = int(wall_clock(np.array([now]), 120, "eu")[0])
    agreeing = read(Terminal(held, newest_tick=SimpleNamespace(time_msc=shown)))[0].facts["clock"]["terminal"]
    assert "agree" in agreeing
    other = read(Terminal(held, newest_tick=SimpleNamespace(time_msc=shown + 5 * HOUR)))[0].facts["clock"]["terminal"]
    assert "300 minutes apart" in other
    stale = read(Terminal(held, newest_tick=SimpleNamespace(time_msc=shown - 2 * DAY)))[0].facts["clock"]["terminal"]
    assert "is old" in stale


def test_ticks_keep_their_milliseconds_and_crossed_quotes_are_counted(held: dict[str, Any]) -> None:
    times = trading_ms("2023-03-01", "2023-03-20", 5) + 123
    bid = bars_at(times).prices["close"]
    rows = np.zeros(len(times), dtype=TICKS)
    rows["time_msc"] = wall_clock(times, 120, "eu")
    rows["time"], rows["bid"], rows["ask"], rows["flags"] = rows["time_msc"] // 1000, bid, np.round(bid + 0.0001, 5), 6
    rows["ask"][9] = 1.0
    pieces = read(Terminal(held, ticks=rows), "tick", start_ms=ms("2023-03-01"), end_ms=ms("2023-03-20"))
    assert (np.concatenate([utc_of(piece.frame) for piece in pieces]) == np.delete(times, 9)).all()
    assert sum(piece.facts.get("crossed", 0) for piece in pieces) == 1
    assert is_trading(np.concatenate([utc_of(piece.frame) for piece in pieces])).all()


def test_a_symbol_that_the_broker_does_not_have_brings_the_names_that_it_has(held: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"has no 'EURUSD'; similar are EURUSD\.raw, EURUSD\.pro; give its name as broker_symbol"):
        read(Terminal(held), broker_symbol="")
    terminal = Terminal(held)
    read(terminal)
    assert terminal.selected == ["EURUSD.raw"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ((-6, "Authorization failed"), "log in to the terminal"),
        ((-10003, "IPC initialize failed"), "install MetaTrader 5"),
        ((-10005, "IPC timeout"), "took too long to answer (error -10005: IPC timeout)"),
        ((-77, "new"), "unknown failure (error -77: new)"),
    ],
)
def test_a_terminal_that_cannot_be_reached_is_said_in_words(error: tuple[int, str], said: str, held: dict[str, Any]) -> None:
    with pytest.raises(Unavailable) as raised:
        read(Terminal(held, is_running=False, error=error))
    assert said in str(raised.value)


def test_a_collection_that_is_cancelled_ends_the_connection(held: dict[str, Any]) -> None:
    terminal = Terminal(held)

    def cancel(fraction: float, message: str, **metrics: object) -> None:
        if "M15 2023-03" in message:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read(terminal, progress=cancel)
    assert not terminal.is_connected


def test_the_terminal_that_is_named_is_the_one_that_is_used(held: dict[str, Any]) -> None:
    terminal = Terminal(held)
    read(terminal, terminal_path=r"C:\MT5\terminal64.exe")
    assert terminal.arguments == (r"C:\MT5\terminal64.exe",)


def test_without_the_package_it_says_what_is_needed_and_that_nobody_has_tried_it(tmp_path: Path) -> None:
    source = source_named("mt5_terminal")
    assert "Not tried on Windows" in source.note
    with pytest.raises(Unavailable, match=r"exists for Windows only .* use source 'mt5_csv'"):
        list(source.pieces(Request("EURUSD", "H1"), {}, SourceContext(tmp_path)))


def test_the_stand_in_has_every_call_that_the_source_makes() -> None:
    calls: list[Callable[..., Any]] = [
        getattr(Terminal, name) for name in vars(mt5_terminal.ModuleLike) if not name.startswith("_") and name.islower()
    ]
    assert len(calls) == 9
