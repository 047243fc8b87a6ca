"""The words of the platform: pure values and formulas, no input or output."""

from components.fx.account import AccountSpec, MarginMode, conversion_rate, margin_required, profit_rate, rates_of_own_price
from components.fx.bars import BAR_COLUMNS, PRICE_COLUMNS, validate_bars
from components.fx.book import Action, EventKind, ExitKind, OrderKind, Refusal
from components.fx.errors import BadInput, Corrupt, NotFound, PlatformError, Refused, Unavailable, bad_input_of
from components.fx.instrument import Instrument, instrument, known_symbols
from components.fx.measures import (
    daily_equity,
    drawdown_curve,
    max_drawdown,
    profit_factor,
    returns_of,
    sharpe_ratio,
    total_return,
    win_rate,
)
from components.fx.resample import resample_bars
from components.fx.time import FX_DAY, BrokerDay, Timeframe, bar_close_ms, bar_open_ms, from_ms, to_ms
from components.fx.words import (
    SIGNAL_ID_LENGTH,
    AccountSnapshot,
    EntryKind,
    Position,
    Report,
    ReportKind,
    Signal,
    SignalAction,
    SignalState,
    Tick,
)

__all__ = [
    "BAR_COLUMNS",
    "FX_DAY",
    "PRICE_COLUMNS",
    "SIGNAL_ID_LENGTH",
    "AccountSnapshot",
    "AccountSpec",
    "Action",
    "BadInput",
    "BrokerDay",
    "Corrupt",
    "EntryKind",
    "EventKind",
    "ExitKind",
    "Instrument",
    "MarginMode",
    "NotFound",
    "OrderKind",
    "PlatformError",
    "Position",
    "Refusal",
    "Refused",
    "Report",
    "ReportKind",
    "Signal",
    "SignalAction",
    "SignalState",
    "Tick",
    "Timeframe",
    "Unavailable",
    "bad_input_of",
    "bar_close_ms",
    "bar_open_ms",
    "conversion_rate",
    "daily_equity",
    "drawdown_curve",
    "from_ms",
    "instrument",
    "known_symbols",
    "margin_required",
    "max_drawdown",
    "profit_factor",
    "profit_rate",
    "rates_of_own_price",
    "resample_bars",
    "returns_of",
    "sharpe_ratio",
    "to_ms",
    "total_return",
    "validate_bars",
    "win_rate",
]
