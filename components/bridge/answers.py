"""What the API answers, as models: the document is made from them, and a test holds the answers to them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

from components.bridge.records import JournalEntry
from components.fx import Signal


class Answer(BaseModel):
    """No field but these."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ErrorText(Answer):
    """`code` for programs, `message` for people; `field` where one part of the request is wrong."""

    code: str
    message: str
    field: str | None = None


class ErrorAnswer(Answer):
    """Every answer from 400 upwards. The code is in the header X-Sequence-Error too, because MQL5 may not see the body."""

    error: ErrorText


class HealthAnswer(Answer):
    """The API is up and its stores answer."""

    status: Literal["ok"]
    server_time_ms: int
    started_ms: int
    is_desk_connected: bool


class HelloAnswer(Answer):
    """`watermarks`: number of the last stored tick by symbol; `reconcile`: whether signals are unknown."""

    protocol: int
    server_time_ms: int
    reconcile: bool
    watermarks: dict[str, int]


class TicksAnswer(Answer):
    """`accepted` ticks are on disk. `watermark`: with sync, the last tick's number once the desk has processed it, else null."""

    accepted: int
    watermark: int | None


class TickAnswer(Answer):
    """The tick with the highest number."""

    symbol: str
    time_ms: int
    bid: float
    ask: float
    seq: int


class BarsAnswer(Answer):
    """All of the bars are on disk: new ones, ones that were there, and ones that were there with other numbers, kept as revisions."""

    stored: int
    duplicates: int
    revised: int


class StretchAnswer(Answer):
    """Bars that open in [`from_ms`, `to_ms`), epoch milliseconds UTC."""

    timeframe: str
    from_ms: int
    to_ms: int


class ClockAnswer(Answer):
    """One version of the broker's clock less UTC, and the market's time (UTC) from which on it was told, with ticks or with bars."""

    version: int
    offset_ms: int
    from_ms: int
    told_with: Literal["ticks", "bars"]


class WantedAnswer(Answer):
    """Stretches of closed bars that the platform would like to have, newest first; ask again when these are posted."""

    stretches: list[StretchAnswer]
    clocks: list[ClockAnswer]


class BarCountsAnswer(Answer):
    """Posted bars of one timeframe."""

    timeframe: str
    stored: int
    duplicates: int
    revised: int


class FeedAnswer(Answer):
    """What came in of one symbol; `late`, `duplicates` and the silences are counted up to tick `newest_seq`."""

    symbol: str
    ticks: int
    newest_seq: int
    first_ms: int
    newest_ms: int
    late: int
    duplicates: int
    resent: int
    filled_in: int
    bars: list[BarCountsAnswer]


class FeedsAnswer(Answer):
    """What came in of every symbol of an account."""

    feeds: list[FeedAnswer]


class WatermarkAnswer(Answer):
    """How far the desk has processed the symbol's ticks; null before its first word."""

    watermark: int | None


_signal_fields: dict[str, Any] = {
    name: (hint if name != "ticket" else str | None, ...) for name, hint in get_type_hints(Signal).items() if name in {f.name for f in fields(Signal)}
}
SignalAnswer = create_model("SignalAnswer", __base__=Answer, __doc__="An instruction to the terminal.", **_signal_fields)
_journal_fields: dict[str, Any] = {
    "number": (int, ...), "signal_id": (str, ...), "at_ms": (int, ...), "from_state": (str | None, ...), "to_state": (str, ...),
    "by": (str, ...), "note": (str, ...), "report_id": (str | None, ...),
}  # fmt: skip
assert set(_journal_fields) == {f.name for f in fields(JournalEntry)}
JournalAnswer = create_model("JournalAnswer", __base__=Answer, __doc__="One thing that happened to a signal.", **_journal_fields)


class PendingAnswer(Answer):
    """Leased signals, in the order in which to execute them; `reconcile`: whether signals are unknown."""

    signals: list[SignalAnswer]
    reconcile: bool


class StateAnswer(Answer):
    """Where a signal stands."""

    id: str
    state: str


class ReportsAnswer(Answer):
    """`recorded` of the reports had not been seen before."""

    recorded: int


class PositionsAnswer(Answer):
    """What a reconciliation changed: states by signal id, and a sentence per difference."""

    resolved: dict[str, str]
    differences: list[str]


class StoredSignalAnswer(Answer):
    """A signal and where it stands."""

    signal: SignalAnswer
    state: str
    issued_ms: int
    changed_ms: int
    lease_id: str | None
    lease_until_ms: int | None
    acknowledged_ms: int | None
    message: str


class SignalsAnswer(Answer):
    """Signals, newest first."""

    signals: list[StoredSignalAnswer]


class SignalWithJournalAnswer(StoredSignalAnswer):
    """A signal, where it stands, and everything that happened to it, oldest first."""

    journal: list[JournalAnswer]


class RunAnswer(BaseModel):
    """A stored backtest."""

    model_config = ConfigDict(extra="allow")

    id: str


class RunsAnswer(Answer):
    """Stored backtests, newest first."""

    runs: list[RunAnswer]


class ComparisonAnswer(BaseModel):
    """The winner, and every run's difference to it."""

    model_config = ConfigDict(extra="allow")

    id: str
    criterion: str
    winner_id: str
    rows: list[dict[str, Any]]
