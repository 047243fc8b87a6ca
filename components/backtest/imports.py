"""Backtests of other programs: a JSON document in, a stored run with measures recomputed by us."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from components.backtest.store import BacktestStore, StoredRun
from components.backtest.trades import TRADE_COLUMNS, measures
from components.base import now_ms
from components.fx import BadInput, BrokerDay, bad_input_of, to_ms
from components.ledger import TrialLedger, code_version

MAX_TRADES = 100_000
MAX_MONEY = 1e12
EARLIEST, LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def _text_time(value: Any) -> Any:
    """Only ISO texts and datetimes: a bare number could be seconds or milliseconds."""
    if not isinstance(value, str | datetime):
        raise ValueError("give an ISO 8601 time with its zone, such as 2024-03-01T13:00:00Z")
    return value


def _in_range(value: datetime) -> datetime:
    if not EARLIEST <= value <= LATEST:
        raise ValueError(f"lies outside {EARLIEST.year} to {LATEST.year}")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_text_time), AfterValidator(_in_range)]
Money = Annotated[float, Field(ge=-MAX_MONEY, le=MAX_MONEY, allow_inf_nan=False, strict=True)]
Price = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False, strict=True)]


class ImportedTrade(BaseModel):
    """One trade of a foreign backtest; `profit` before `commission` and `swap` (negative where they cost), in account currency."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entry_time: Instant
    exit_time: Instant
    side: Annotated[int, Field(ge=-1, le=1, strict=True)]
    lots: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False, strict=True)]
    entry_price: Price
    exit_price: Price
    profit: Money
    commission: Money = 0.0
    swap: Money = 0.0
    stop: Price | None = None
    target: Price | None = None
    exit: str = Field("", max_length=40)
    reason: str = Field("", max_length=400)


class ImportedBacktest(BaseModel):
    """A foreign backtest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    strategy: str = Field(min_length=1, max_length=100)
    symbol: str = Field(min_length=1, max_length=40)
    timeframe: str = Field("", max_length=10)
    currency: str = Field("USD", pattern="^[A-Z]{3}$")
    balance: Annotated[float, Field(gt=0, le=MAX_MONEY, allow_inf_nan=False, strict=True)]
    params: dict[str, bool | int | float | str | None] = Field(default_factory=dict, max_length=200)
    trades: tuple[ImportedTrade, ...] = Field(max_length=MAX_TRADES)


def import_backtest(home: Path, document: Mapping[str, Any]) -> StoredRun:
    """Keep the result of a backtest that was made elsewhere; its measures are computed here, from its trades.

    Importing the same document twice gives the same run.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    document : mapping
        As `ImportedBacktest`: name, strategy, symbol, balance (before the first trade), trades; optionally timeframe, currency, params.

    Returns
    -------
    StoredRun
        With `source` ``"imported"``. Its equity is the balance after each trade: what was open in between is not in the document, so its
        drawdown and Sharpe ratio are those of closed trades.

    Raises
    ------
    BadInput
        Naming the field that is wrong, for example ``trades.3.lots``.
    """
    asked = _parse(document)
    digest = hashlib.sha256(json.dumps(asked.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()
    trades = _frame(asked)
    equity, day_id = _balance_curve(asked, trades)
    stats = measures(trades["net_profit"].to_numpy(), equity.to_numpy(), day_id, asked.balance)
    stats |= {
        "costs": float(trades["cost"].sum()),
        "swap": float(trades["swap"].sum()),
        "exits": {str(name): int(count) for name, count in trades["exit"].value_counts().items()},
        "ruined": bool(len(equity) and equity.min() <= 0),
    }
    times = [to_ms(time) for trade in asked.trades for time in (trade.entry_time, trade.exit_time)]
    run = StoredRun(
        id=f"import-{digest[:12]}",
        name=asked.name,
        source="imported",
        strategy=asked.strategy,
        params=dict(asked.params),
        symbol=asked.symbol,
        timeframe=asked.timeframe,
        bar_set_id=None,
        dataset_id=None,
        model_id=None,
        policy="foreign",
        currency=asked.currency,
        spec=asked.model_dump(mode="json", exclude={"trades"}),
        stats=stats,
        total_return=stats["total_return"],
        sharpe=stats["sharpe"],
        max_drawdown=stats["max_drawdown"],
        trades=stats["trades"],
        start_ms=min(times, default=0),
        end_ms=max(times, default=0),
        code_version=code_version(),
        created_ms=now_ms(),
    )
    store = BacktestStore.open(home)
    ledger = TrialLedger.open(home)
    try:
        kept = store.add(run, trades, equity)
        metrics = {**stats, "source": "imported"}
        ledger.append(
            run.strategy, run.strategy, run.params, None, code_version(), "import", "done", metrics, stats["returns_digest"], trial_id=run.id
        )
        return kept
    finally:
        store.close()
        ledger.close()


def _parse(document: Mapping[str, Any]) -> ImportedBacktest:
    if not isinstance(document, Mapping):
        raise BadInput("backtest", f"{type(document).__name__} is not an object")
    try:
        asked = ImportedBacktest.model_validate(dict(document))
    except ValidationError as error:
        raise bad_input_of(error, kind=ImportedBacktest, whole="backtest") from None
    for number, trade in enumerate(asked.trades):
        if trade.side == 0:
            raise BadInput(f"trades.{number}.side", "0 is neither 1 (long) nor -1 (short)")
        if trade.exit_time < trade.entry_time:
            raise BadInput(f"trades.{number}.exit_time", "lies before entry_time")
    for name, value in asked.params.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise BadInput(f"params.{name}", f"{value} is not a finite number")
    return asked


def _frame(asked: ImportedBacktest) -> pd.DataFrame:
    """The trades in the columns of our own runs, in the order of their exits; bars are unknown (−1)."""
    trades = sorted(asked.trades, key=lambda trade: trade.exit_time)
    profit = np.array([trade.profit for trade in trades], dtype=np.float64)
    cost = -np.array([trade.commission for trade in trades], dtype=np.float64)
    swap = np.array([trade.swap for trade in trades], dtype=np.float64)
    unknown = np.full(len(trades), -1, dtype=np.int64)
    frame = pd.DataFrame(
        {
            "ticket": np.arange(1, len(trades) + 1, dtype=np.int64),
            "side": np.array([trade.side for trade in trades], dtype=np.int64),
            "lots": np.array([trade.lots for trade in trades], dtype=np.float64),
            "entry_time": _times([trade.entry_time for trade in trades]),
            "exit_time": _times([trade.exit_time for trade in trades]),
            "entry_price": np.array([trade.entry_price for trade in trades], dtype=np.float64),
            "exit_price": np.array([trade.exit_price for trade in trades], dtype=np.float64),
            "stop": np.array([np.nan if trade.stop is None else trade.stop for trade in trades], dtype=np.float64),
            "target": np.array([np.nan if trade.target is None else trade.target for trade in trades], dtype=np.float64),
            "gross_profit": profit,
            "cost": cost,
            "swap": swap,
            "net_profit": profit - cost + swap,
            "exit": pd.Series([trade.exit or "unknown" for trade in trades], dtype="str"),
            "level": np.full(len(trades), np.nan),
            "ambiguous": np.zeros(len(trades), dtype=bool),
            "reason": np.zeros(len(trades), dtype=np.int64),
            "reason_text": pd.Series([trade.reason for trade in trades], dtype="str"),
            "entry_bar": unknown,
            "exit_bar": unknown,
        }
    )
    return frame[list(TRADE_COLUMNS)]


def _times(instants: list[datetime]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(np.array([to_ms(instant) for instant in instants], dtype="M8[ms]")).tz_localize("UTC")


def _balance_curve(asked: ImportedBacktest, trades: pd.DataFrame) -> tuple[pd.Series, np.ndarray[Any, np.dtype[np.int64]]]:
    """Balance at the start, after each trade and at the end of every weekday between, with the trading day of each."""
    if trades.empty:
        return pd.Series(dtype=np.float64, index=_times([])), np.empty(0, dtype=np.int64)
    start = trades["entry_time"].min()
    balance = asked.balance + trades["net_profit"].cumsum().to_numpy()
    curve = pd.Series(np.append(asked.balance, balance), index=pd.DatetimeIndex([start]).append(pd.DatetimeIndex(trades["exit_time"])))
    curve = curve[~curve.index.duplicated(keep="last")]
    # 16:00 New York: an hour before the FX day turns, whatever the season.
    first, last = (time.tz_convert("America/New_York").tz_localize(None).normalize() for time in (start, curve.index[-1]))
    days = (pd.bdate_range(first, last) + pd.Timedelta(hours=16)).tz_localize("America/New_York").tz_convert("UTC").as_unit("ms")
    days = days[(days > start) & (days < curve.index[-1])]
    whole = curve.reindex(curve.index.union(days)).ffill()
    whole.index.name = "time"
    return whole, BrokerDay().day_ids(pd.DatetimeIndex(whole.index)).to_numpy(dtype=np.int64)
