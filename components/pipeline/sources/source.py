"""What every source is to the rest of the platform: a request in, pieces out, each with where it came from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import pandas as pd
from pydantic import BaseModel, ConfigDict

from components.fx import BadInput, Timeframe

Progress = Callable[..., None]
Gives = Literal["bars", "ticks", "rates", "news"]
SLEEP_SLICE_S = 0.25


class NoOptions(BaseModel):
    """A source without options of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Request:
    """What is wanted of a source.

    ``symbol`` is an instrument, or what else the source names its series by (a base currency, a theme); ``timeframe`` of the bars, also
    where the source gives ticks from which they are made, and empty for rates and news; ``start_ms`` and ``end_ms`` bound it, epoch
    milliseconds UTC, open where None; ``options`` as the source's own model checks them.
    """

    symbol: str
    timeframe: str = ""
    start_ms: int | None = None
    end_ms: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bars_of(self) -> Timeframe:
        """The timeframe as a value; `BadInput` where there is no such one."""
        return Timeframe.named(self.timeframe)


@dataclass(frozen=True)
class Piece:
    """One thing that was read: a file, a stretch of time, one answer.

    Parameters
    ----------
    key : str
        Its name inside the series; a piece of the same key takes the place of the one before.
    origin : str
        URL without secrets, or file path.
    frame : DataFrame
        UTC index. Bars as delivered (not validated), ticks (``bid ask``), rates (a column a currency) or news points.
    raw_sha256, raw_bytes
        Digest and size of what was read, as it came.
    fetched_ms : int
        Epoch milliseconds UTC.
    is_final : bool
        Whether it will not change any more; a piece that reaches into the present is fetched again next time.
    facts : dict
        What a person should know of it: layout, clock, rows left out and why.
    """

    key: str
    origin: str
    frame: pd.DataFrame = field(repr=False)
    raw_sha256: str
    raw_bytes: int
    fetched_ms: int
    is_final: bool = True
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class KnownPiece:
    """A piece that is kept already: enough to tell whether it must be read again. Times in epoch milliseconds UTC."""

    key: str
    raw_sha256: str
    raw_bytes: int
    rows: int
    start_ms: int
    end_ms: int
    fetched_ms: int
    is_final: bool
    facts: dict[str, Any]


@dataclass
class SourceContext:
    """What a source may use: the home of the platform, someone to report to, and a way to wait.

    ``progress(fraction, message, **metrics)`` raises when the work was cancelled: it is called at least once for each piece.
    """

    home: Path
    progress: Progress = lambda fraction, message, **metrics: None

    def raw(self, source: str) -> Path:
        """Folder in which that source keeps what it downloaded, as it came."""
        folder = self.home / "raw" / source
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def sleep(self, seconds: float, fraction: float, message: str) -> None:
        """Wait, telling so, and end at once when the work is cancelled."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.progress(fraction, f"{message}; {left:.0f} s left")
            time.sleep(min(left, SLEEP_SLICE_S))


class Source(Protocol):
    """A source: says what it is and gives pieces."""

    name: str
    gives: Gives
    is_network: bool
    note: str
    options: type[BaseModel]

    def offers(self) -> tuple[tuple[str, str], ...]:
        """Pairs of symbol and timeframe worth proposing; empty where anything may be asked for."""
        ...

    def pieces(self, request: Request, known: Mapping[str, KnownPiece], context: SourceContext) -> Iterator[Piece]:
        """Read what is new.

        A piece that is `known`, final and unchanged is left out, so that a collection that was interrupted goes on where it stopped.

        Raises
        ------
        BadInput
            If the request asks for what the source cannot give.
        Unavailable
            If the source does not answer, after retries; what was yielded before stays.
        """
        ...


def parsed_options(source: Source, options: Mapping[str, Any]) -> BaseModel:
    """The options of a request in the source's own model; `BadInput` naming the first that is wrong."""
    from pydantic import ValidationError

    from components.fx import bad_input_of

    try:
        return source.options.model_validate(dict(options))
    except ValidationError as error:
        raise bad_input_of(error, kind=source.options, whole="options") from None


def refuse_unless(held: tuple[tuple[str, str], ...], source: str, request: Request) -> None:
    """`BadInput` where a source that holds a fixed list is asked for something else."""
    words = ", ".join(f"{symbol} {timeframe}" for symbol, timeframe in held)
    if request.symbol not in {symbol for symbol, _ in held}:
        raise BadInput("symbol", f"source {source!r} has no {request.symbol!r}; it holds {words}")
    if (request.symbol, request.bars_of.name) not in held:
        raise BadInput("timeframe", f"source {source!r} has no {request.symbol} {request.timeframe}; it holds {words}")
