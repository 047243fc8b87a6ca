"""Bars and ticks from a MetaTrader 5 terminal on the same Windows machine, through MetaQuotes' package MetaTrader5.

Written from the package's documentation and what users report of it, and tested against a stand-in for the package; nobody has tried it on
Windows yet. The terminal answers at once with the history that it has and loads the rest behind the caller's back, so every stretch is
asked for until two answers agree. Its times are the server's wall clock, which is read from the weeks of hourly bars.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from components.base import now_ms
from components.fx import BadInput, Timeframe, Unavailable, from_ms
from components.pipeline.broker_clock import BrokerClock, compare_clocks, infer_clock
from components.pipeline.sources.file_piece import bars_frame, ticks_frame, trading_open_ms, what_was_asked, within, without_noise
from components.pipeline.sources.source import Gives, KnownPiece, Piece, Request, SourceContext, parsed_options

TICK = "tick"
DAY_MS = 86_400_000
# A stretch holds at most some 45,000 bars, under the 100,000 that a terminal's default keeps in a chart, or a few million ticks.
CHUNK_DAYS = {"M1": 31, "M5": 92, "M15": 366, "M30": 366, "H1": 1_830, "H4": 3_660, "D1": 7_320, "W1": 14_640, TICK: 7}
YEARS_WITHOUT_START = 1
FRESH_MS = 120_000
MOST_SUGGESTED = 8
_ERRORS = {
    -1: "the terminal could not do it",
    -2: "an argument is wrong",
    -3: "the terminal ran out of memory",
    -4: "the terminal has no such history",
    -5: "the terminal is too old for the package; update it",
    -6: "the account is not authorised; log in to the terminal",
    -7: "the terminal does not support it",
    -8: "algorithmic trading is switched off in the terminal",
    -10000: "the connection to the terminal failed inside the package",
    -10001: "the terminal could not be written to; is it running?",
    -10002: "the terminal did not answer; is it running?",
    -10003: "the terminal could not be started; install MetaTrader 5, or name terminal_path",
    -10004: "there is no terminal to connect to; start MetaTrader 5",
    -10005: "the terminal took too long to answer",
}


class ModuleLike(Protocol):
    """The part of the package MetaTrader5 that is used; times go in as aware datetimes that show the server's clock as if it were UTC."""

    COPY_TICKS_INFO: int

    def initialize(self, *args: Any, **kwargs: Any) -> bool:
        """Connect to the terminal, starting it if need be."""
        ...

    def shutdown(self) -> None:
        """End the connection."""
        ...

    def last_error(self) -> tuple[int, str]:
        """Number and words of the last failure."""
        ...

    def symbol_info(self, symbol: str) -> Any:
        """What the broker says of a symbol; None where there is none."""
        ...

    def symbol_select(self, symbol: str, enable: bool) -> bool:
        """Put a symbol into the market watch, without which it has no history."""
        ...

    def symbols_get(self, group: str) -> Any:
        """Symbols whose names match a pattern such as ``*EURUSD*``."""
        ...

    def symbol_info_tick(self, symbol: str) -> Any:
        """The newest tick, with its ``time_msc`` of the server's clock."""
        ...

    def copy_rates_range(self, symbol: str, timeframe: int, date_from: datetime, date_to: datetime) -> Any:
        """Bars as a structured array, None on failure."""
        ...

    def copy_ticks_range(self, symbol: str, date_from: datetime, date_to: datetime, flags: int) -> Any:
        """Ticks as a structured array, None on failure."""
        ...


class Mt5TerminalOptions(BaseModel):
    """The broker's name of the symbol, the terminal to use, its clock where it is known, and how long to wait for history.

    ``attempts`` answers are compared at most, ``wait_s`` doubling between them, at most 30 s each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    broker_symbol: str = ""
    terminal_path: str = ""
    clock: Literal["detect", "us", "eu", "none"] = "detect"
    winter_minutes: int = Field(120, ge=-12 * 60, le=14 * 60)
    attempts: int = Field(8, ge=2, le=50)
    wait_s: float = Field(0.5, ge=0.0, le=30.0)


@dataclass(frozen=True)
class _Answer:
    """What the terminal gave for one stretch, and after how many questions."""

    rows: NDArray[Any]
    asked: int
    is_stable: bool


class Mt5Terminal:
    """Asks a running terminal, stretch by stretch; a stretch that was kept whole is not asked for again.

    Parameters
    ----------
    terminal : module, optional
        Stands for the package MetaTrader5; imported when it is first needed where left out.
    """

    name = "mt5_terminal"
    gives: Gives = "bars"
    is_network = True
    note = (
        "Bars with spread, and ticks, from a MetaTrader 5 terminal on this Windows machine through the package MetaTrader5. Not tried on Windows: written "
        "from its documentation and tested against a stand-in. The server's time is converted with a clock that is read from hourly bars. Without a start, one year."
    )
    options: type[BaseModel] = Mt5TerminalOptions

    def __init__(self, terminal: ModuleLike | None = None) -> None:
        self.terminal = terminal

    def offers(self) -> tuple[tuple[str, str], ...]:
        """Anything that the broker has."""
        return ()

    def pieces(self, request: Request, known: Mapping[str, KnownPiece], context: SourceContext) -> Iterator[Piece]:
        """One piece for each stretch of server time, newest last; see `Source.pieces`.

        Raises
        ------
        Unavailable
            Where the package or the terminal is missing, does not answer, or its history does not settle.
        BadInput
            If the broker has no such symbol (naming similar ones) or the timeframe is none of the terminal's.
        """
        options = parsed_options(self, request.options)
        assert isinstance(options, Mt5TerminalOptions)
        length = TICK if request.timeframe == TICK else request.bars_of.name
        terminal = self.terminal if self.terminal is not None else _package()
        arguments = (options.terminal_path,) if options.terminal_path else ()
        context.progress(0.0, "connecting to the terminal")
        if not terminal.initialize(*arguments):
            raise Unavailable(f"the MetaTrader terminal cannot be reached: {_failure(terminal)}")
        try:
            session = _Session(terminal, options, context, options.broker_symbol or request.symbol)
            session.select()
            yield from _stretches(session, request, length, known, what_was_asked(request, options))
        finally:
            terminal.shutdown()


class _Session:
    """One connection: a symbol, asked about until the answers agree."""

    def __init__(self, terminal: ModuleLike, options: Mt5TerminalOptions, context: SourceContext, symbol: str) -> None:
        self.terminal = terminal
        self.options = options
        self.context = context
        self.symbol = symbol

    def select(self) -> None:
        """Make sure that the terminal has the symbol and shows it."""
        if self.terminal.symbol_info(self.symbol) is None:
            similar = [str(found.name) for found in self.terminal.symbols_get(group=f"*{self.symbol[:6]}*") or ()]
            words = f"similar are {', '.join(similar[:MOST_SUGGESTED])}" if similar else "it has nothing like it"
            raise BadInput("symbol", f"the broker has no {self.symbol!r}; {words}; give its name as broker_symbol")
        if not self.terminal.symbol_select(self.symbol, True):
            raise Unavailable(f"{self.symbol} cannot be put into the market watch: {_failure(self.terminal)}")

    def ask(self, length: str, from_raw_ms: int, to_raw_ms: int, fraction: float) -> _Answer:
        """Everything from one server time up to another, asked for until two answers in a row have the same number of rows and the same ends.

        Raises
        ------
        Unavailable
            If the terminal fails every time. An answer that never settles is given as it last was, not stable.
        """
        span = f"{self.symbol} {length} {from_ms(from_raw_ms):%Y-%m-%d} to {from_ms(to_raw_ms):%Y-%m-%d}"
        wait, before = self.options.wait_s, None
        rows: NDArray[Any] | None = None
        for attempt in range(1, self.options.attempts + 1):
            self.context.progress(fraction, f"asking the terminal for {span}, time {attempt}", rows=0 if rows is None else len(rows))
            rows = self._copy(length, from_raw_ms, to_raw_ms)
            ends = None if rows is None else (len(rows), *((rows["time"][0], rows["time"][-1]) if len(rows) else ()))
            if ends is not None and ends == before:
                assert rows is not None
                return _Answer(rows, attempt, True)
            before = ends
            if attempt < self.options.attempts:
                self.context.sleep(min(wait, 30.0), fraction, f"the history of {span} is still arriving")
                wait *= 2
        if rows is None:
            raise Unavailable(
                f"the terminal gave no {span} in {self.options.attempts} attempts: {_failure(self.terminal)}; what was read before is kept"
            )
        return _Answer(rows, self.options.attempts, False)

    def clock(self, from_raw_ms: int, to_raw_ms: int) -> tuple[BrokerClock, dict[str, Any]]:
        """The server's clock from hourly bars of the whole time, and what there is to say of it."""
        if self.options.clock != "detect":
            clock = BrokerClock.named(self.options.clock, self.options.winter_minutes)
            return clock, {**clock.as_dict(), "decided_by": "the request"}
        # A year at least: the weeks in spring and autumn tell American from European dates.
        hourly = self.ask("H1", min(from_raw_ms, to_raw_ms - 366 * DAY_MS), to_raw_ms, 0.02)
        if not len(hourly.rows):
            raise Unavailable(f"the terminal has no hourly bars of {self.symbol}, from which its clock is read; name the option clock")
        clock = infer_clock(hourly.rows["time"].astype(np.int64) * 1000, Timeframe.H1.ms)
        facts = {**clock.as_dict(), "decided_by": f"the weeks of {len(hourly.rows):,} hourly bars of this terminal"}
        tick, now = self.terminal.symbol_info_tick(self.symbol), now_ms()
        told = int(getattr(tick, "time_msc", 0)) - now if tick is not None else None
        if told is not None:
            # Only a tick of this moment shows the clock: a quarter of an hour is the finest step of any offset.
            is_fresh = abs(told - round(told / 900_000) * 900_000) < FRESH_MS and abs(told) < 15 * 3_600_000
            facts["terminal"] = compare_clocks(clock, told, now).words if is_fresh else "the newest tick is old, so the terminal's clock is not known"
        return clock, facts

    def _copy(self, length: str, from_raw_ms: int, to_raw_ms: int) -> NDArray[Any] | None:
        begin, end = from_ms(from_raw_ms), from_ms(to_raw_ms - 1)
        if length == TICK:
            got = self.terminal.copy_ticks_range(self.symbol, begin, end, self.terminal.COPY_TICKS_INFO)
        else:
            got = self.terminal.copy_rates_range(self.symbol, int(getattr(self.terminal, f"TIMEFRAME_{length}")), begin, end)
        return None if got is None else np.asarray(got)


def _stretches(session: _Session, request: Request, length: str, known: Mapping[str, KnownPiece], asked: dict[str, Any]) -> Iterator[Piece]:
    """The pieces, on a grid of server time that is the same whenever it is asked for."""
    now = now_ms()
    end_ms = min(request.end_ms if request.end_ms is not None else now, now)
    start_ms = request.start_ms if request.start_ms is not None else end_ms - YEARS_WITHOUT_START * 366 * DAY_MS
    # No clock is more than a day off, so a day more on both sides holds everything; what is outside is cut off after conversion.
    first, last = start_ms - DAY_MS, end_ms + DAY_MS
    clock, facts = session.clock(first, last)
    size = CHUNK_DAYS[length] * DAY_MS
    begins = range(first // size * size, last, size)
    for number, begin in enumerate(begins):
        end, fraction = begin + size, 0.05 + 0.95 * number / len(begins)
        key = f"{from_ms(begin):%Y-%m-%d}..{from_ms(end):%Y-%m-%d}"
        # Bounds belong to what was asked for only where they cut the stretch.
        bounds = {"start_ms": request.start_ms if start_ms > begin - DAY_MS else None, "end_ms": request.end_ms if end_ms < end + DAY_MS else None}
        held = known.get(key)
        is_same = held is not None and held.facts.get("asked") == {**asked, **bounds} and _is_same_clock(held.facts.get("clock"), facts)
        if held is not None and held.is_final and is_same:
            session.context.progress(fraction, f"{key} is kept already")
            continue
        answer = session.ask(length, begin, min(end, last), fraction)
        if len(answer.rows):
            about = {"layout": "MT5 ticks" if length == TICK else "MT5 bars", "asked": {**asked, **bounds}, "clock": facts, "answers": answer.asked}
            yield _piece(answer, key, clock, about, request, session.symbol, is_past=end + DAY_MS < now)


def _piece(answer: _Answer, key: str, clock: BrokerClock, facts: dict[str, Any], request: Request, symbol: str, *, is_past: bool) -> Piece:
    rows = answer.rows
    if not answer.is_stable:
        facts["unsettled"] = f"the history still changed after {answer.asked} answers; collect again later"
    if request.timeframe == TICK:
        raw_ms = rows["time_msc"].astype(np.int64)
        frame, dropped = ticks_frame(clock.to_utc(raw_ms), rows["bid"].astype(np.float64), rows["ask"].astype(np.float64), raw_ms)
        facts |= dropped
    else:
        raw_ms = rows["time"].astype(np.int64) * 1000
        utc = clock.to_utc(trading_open_ms(raw_ms, request.bars_of))
        columns = {"open": "open", "high": "high", "low": "low", "close": "close", "volume": "tick_volume", "spread_points": "spread"}
        numbers, rounded = without_noise({ours: rows[theirs].astype(np.float64) for ours, theirs in columns.items()}, request.symbol)
        facts |= {"prices_rounded": rounded} if rounded else {}
        frame = bars_frame(utc, numbers, raw_ms)
        # The newest bar is still forming until the clock has passed its end.
        is_closed = utc + request.bars_of.ms <= now_ms()
        if not is_closed.all():
            facts["forming"] = int((~is_closed).sum())
            frame = frame.loc[is_closed]
    content = np.ascontiguousarray(rows).tobytes()
    digest = hashlib.sha256(content).hexdigest()
    origin, is_final = f"MetaTrader 5 terminal: {symbol}", is_past and answer.is_stable
    return Piece(key, origin, within(frame, request), digest, len(content), now_ms(), is_final=is_final, facts=facts)


def _is_same_clock(held: Any, now: dict[str, Any]) -> bool:
    """Whether a stretch was converted by the clock that is found now; where the first era begins only says how far the hourly bars reach."""
    eras = [[era[1:] if not number else era for number, era in enumerate((clock or {}).get("eras", []))] for clock in (held, now)]
    return eras[0] == eras[1]


def _package() -> ModuleLike:
    try:
        return cast(ModuleLike, import_module("MetaTrader5"))
    except ImportError:
        raise Unavailable(
            "the package MetaTrader5 is not installed: it exists for Windows only and talks to a MetaTrader 5 terminal on the same machine (pip install "
            "MetaTrader5); elsewhere export bars from the terminal and use source 'mt5_csv', or let the EA send them"
        ) from None


def _failure(terminal: ModuleLike) -> str:
    number, words = terminal.last_error()
    return f"{_ERRORS.get(number, 'unknown failure')} (error {number}: {words})"
