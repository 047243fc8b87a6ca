"""What the compiled step reads: market and decisions as tuples of arrays, costs and state."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.execution.costs import Costs
from components.fx import SWAP_TRIPLE_DAYS, AccountSpec, BadInput, BrokerDay, Instrument, Refused
from components.fx import book as b
from components.strategy import Decisions

Floats = NDArray[np.float64]
POLICIES = {"mt5": 0, "reference": 1}
# Different `manage` functions that the symbols of one account can have: the compiled loop holds them in a tuple of this length.
MANAGERS = 4
NO_SLIP = np.empty((0, 0))


class MarketArrays(NamedTuple):
    """The market over n rows and s symbols. A tick is a row with open = high = low = close.

    open, high, low, close : float64, shape (n, s)
        Bid prices; NaN in `open` where the symbol has no row.
    spread : float64, shape (n, s) or (1, s)
        Ask less bid, in price units.
    rate : float64, shape (n, s) or (1, s)
        Account units per unit of the symbol's profit currency, known at that row.
    day_id : int64, shape (n,) or (1,)
        Trading day of each row, as `BrokerDay.day_ids` counts.
    decision_row : int64, shape (n, s), (n,) for all symbols, or (0, 1)
        Row of each symbol's decisions that become known at the end of this row, −1 for none; empty means "row for row".
    slip : float64, shape (n, s) or (1, s)
        Slippage of market and stop fills in each row, in price units, known when the row opens; empty where it is the costs' fixed one.
    """

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    spread: Floats
    rate: Floats
    day_id: NDArray[np.int64]
    decision_row: NDArray[np.int64]
    slip: Floats = NO_SLIP


class FinerRows(NamedTuple):
    """Rows of a shorter timeframe below those of a market, which decide its ambiguous rows.

    first : int64, shape (n + 1,) or (0,)
        The finer rows of row t are `first[t]` to `first[t + 1]` (excluded); none where both are equal. Empty: there are no finer rows at all.
    market : MarketArrays
        The finer rows of all rows, one after another; `slip` and `rate` are those of the row they belong to.
    """

    first: NDArray[np.int64]
    market: MarketArrays

    def part(self, first: int, end: int) -> FinerRows:
        """The finer rows of rows `first` to `end` (excluded) of the run."""
        return FinerRows(self.first[first : end + 1], self.market)


class DecisionArrays(NamedTuple):
    """Entry and exit wishes over m bars and s symbols; a column of shape (1, s) is a constant.

    side, exit : int8 — +1, −1, 0 for none; `exit` names the side to close
    entry : int8 — `OrderKind`
    price, stop, target, stop_distance, target_distance, trail : float64 — NaN for none
    size_fraction, confidence : float64 — 0 to 1
    expiry : int32 — bars that a working order lives, 0 for no end
    reason : int16
    """

    side: NDArray[np.int8]
    exit: NDArray[np.int8]
    entry: NDArray[np.int8]
    price: Floats
    stop: Floats
    target: Floats
    stop_distance: Floats
    target_distance: Floats
    trail: Floats
    size_fraction: Floats
    confidence: Floats
    expiry: NDArray[np.int32]
    reason: NDArray[np.int16]


class Book(NamedTuple):
    """The whole state of one account; the arrays are those of `components.fx.book`.

    counts : int64, shape (s, 2)
        Open positions and working orders of each symbol.
    marks : float64, shape (s, 3)
        Last bid, ask and conversion rate of each symbol.
    """

    account: Floats
    positions: Floats
    orders: Floats
    counts: NDArray[np.int64]
    marks: Floats


def new_book(spec: AccountSpec, symbols: int, *, capacity: int = 8, first_ticket: int = 1) -> Book:
    """An empty book: `symbols` symbols with room for `capacity` positions and `capacity` orders each."""
    if symbols < 1 or capacity < 1:
        raise BadInput("symbols", f"{symbols} symbols with {capacity} places; both must be at least 1")
    account = np.zeros(b.ACCOUNT_FIELDS)
    account[b.A_BALANCE] = account[b.A_EQUITY] = account[b.A_DAY_START_EQUITY] = spec.balance
    account[b.A_LEVERAGE] = spec.leverage
    account[b.A_NEXT_TICKET] = first_ticket
    account[b.A_DAY_ID] = -1.0
    account[b.A_STOP_OUT_LEVEL] = spec.stop_out_level
    account[b.A_CURRENCY] = b.currency_number(spec.currency)
    return Book(
        account,
        np.full((symbols, capacity, b.POSITION_FIELDS), np.nan),
        np.full((symbols, capacity, b.ORDER_FIELDS), np.nan),
        np.zeros((symbols, 2), dtype=np.int64),
        np.full((symbols, 3), np.nan),
    )


def no_book() -> Book:
    """A book without room, where a copy is asked for and not needed."""
    return Book(
        np.empty(0), np.empty((0, 0, b.POSITION_FIELDS)), np.empty((0, 0, b.ORDER_FIELDS)), np.empty((0, 2), dtype=np.int64), np.empty((0, 3))
    )  # fmt: skip


def spec_rows(instruments: list[Instrument], costs: Costs | None = None) -> Floats:
    """Instruments as compiled code needs them, shape (s, SPEC_FIELDS); `Refused` where one cannot be traded here.

    The swap table is each instrument's own, or what `costs` put in its place.
    """
    for item in instruments:
        if item.calculation_mode != "forex":
            raise Refused(
                "not_tradable", f"{item.symbol} is a {item.calculation_mode}: its prices can be studied, but the step trades only forex and metals"
            )
    rows = np.zeros((len(instruments), b.SPEC_FIELDS))
    for row, item in zip(rows, instruments, strict=True):
        row[b.S_CONTRACT_SIZE] = item.contract_size
        row[b.S_POINT] = item.point
        row[b.S_LOT_STEP] = item.lot_step
        row[b.S_LOT_MIN] = item.lot_min
        row[b.S_LOT_MAX] = item.lot_max
        row[b.S_MARGIN_RATE] = item.margin_rate
        row[b.S_DIGITS] = item.digits
        mode, row[b.S_SWAP_LONG], row[b.S_SWAP_SHORT], triple = (costs or Costs()).swap_of(item)
        row[b.S_SWAP_MODE] = b.SwapMode[mode.upper()]
        row[b.S_SWAP_TRIPLE] = -1.0 if triple == "none" else SWAP_TRIPLE_DAYS.index(triple)
        row[b.S_BASE], row[b.S_PROFIT] = b.currency_number(item.base_currency), b.currency_number(item.profit_currency)
    return rows


def no_requests(capacity: int) -> Floats:
    """An empty request array, shape (capacity, REQUEST_FIELDS)."""
    return np.full((capacity, b.REQUEST_FIELDS), np.nan)


def no_events(capacity: int) -> Floats:
    """An empty event array, shape (capacity, EVENT_FIELDS)."""
    return np.full((capacity, b.EVENT_FIELDS), np.nan)


def column(values: Any, dtype: Any, rows: int, symbols: int, name: str) -> NDArray[Any]:
    """A decision or market column in the shape that the step reads: (rows, symbols), or (1, symbols) for a constant.

    Raises
    ------
    BadInput
        If the values have another length.
    """
    array = np.asarray(values, dtype=dtype)
    if array.ndim == 0:
        return np.full((1, symbols), array, dtype=dtype)
    if array.ndim == 1:
        array = array.reshape(-1, 1)
    if array.shape not in ((rows, symbols), (1, symbols)):
        raise BadInput(name, f"shape {array.shape} is neither ({rows}, {symbols}) nor a constant")
    return writable(array)


def writable(array: NDArray[Any]) -> NDArray[Any]:
    """The array, contiguous and writable: compiled code would be compiled once more for every mixture of read-only ones.

    What a frame hands out is read-only, over memory that is not. The step reads its columns and writes to none, so that such memory is taken
    as it is; a copy is made of any other.
    """
    if array.flags.c_contiguous and not array.flags.writeable:
        with suppress(ValueError):
            array = array.view()
            array.flags.writeable = True
    return np.require(array, requirements=("C", "W"))


def decision_arrays(decisions: Decisions, rows: int) -> DecisionArrays:
    """Checked decisions of one symbol, as the step reads them.

    Raises
    ------
    BadInput
        Naming the column and row that is wrong.
    """
    d = decisions.checked(rows)

    def of(name: str, dtype: Any) -> NDArray[Any]:
        return column(getattr(d, name), dtype, rows, 1, f"decisions.{name}")

    return DecisionArrays(
        of("side", np.int8),
        of("exit", np.int8),
        of("entry", np.int8),
        of("entry_price", np.float64),
        of("stop", np.float64),
        of("target", np.float64),
        of("stop_distance", np.float64),
        of("target_distance", np.float64),
        of("trail_distance", np.float64),
        of("size_fraction", np.float64),
        of("confidence", np.float64),
        of("expiry_bars", np.int32),
        of("reason", np.int16),
    )


def market_of_bars(bars: pd.DataFrame, instrument: Instrument, costs: Costs, rate: Any = 1.0, day: BrokerDay | None = None) -> MarketArrays:
    """The market of one symbol's bars, with the slippage that `costs` make of them.

    Parameters
    ----------
    bars : DataFrame, shape (n, ≥ 4)
        A bars frame; its `spread_points` are used where it has them, else `costs.spread_points`.
    instrument : Instrument
    costs : Costs
    rate : float or array, shape (n,)
        Account units per unit of profit currency, known at each row.
    day : BrokerDay, optional
        Which day a row belongs to; the FX day by default.
    """
    rows = len(bars)
    points = bars["spread_points"].to_numpy() if "spread_points" in bars.columns else costs.spread_points
    prices = [column(bars[name].to_numpy(), np.float64, rows, 1, name) for name in ("open", "high", "low", "close")]
    return MarketArrays(
        prices[0],
        prices[1],
        prices[2],
        prices[3],
        column(np.asarray(points, dtype=np.float64) * instrument.point, np.float64, rows, 1, "spread"),
        column(rate, np.float64, rows, 1, "rate"),
        np.require((day or BrokerDay()).day_ids(pd.DatetimeIndex(bars.index)), np.int64, ("C", "W")),
        np.empty((0, 1), dtype=np.int64),
        costs.slip_of_bars(prices[1][:, 0], prices[2][:, 0], prices[3][:, 0], instrument),
    )


def market_of_ticks(time_ms: NDArray[np.int64], bid: Floats, ask: Floats, decision_row: NDArray[np.int64], rate: Any = 1.0) -> MarketArrays:
    """The market of one symbol's ticks: each is a row with open = high = low = close.

    Parameters
    ----------
    time_ms : int64, shape (n,)
        Epoch milliseconds UTC.
    bid, ask : float64, shape (n,)
    decision_row : int64, shape (n,)
        Row of the decisions that become known after each tick, −1 for none.
    rate : float or array, shape (n,)
        Account units per unit of profit currency, known at each tick.
    """
    rows = len(bid)
    price = column(bid, np.float64, rows, 1, "bid")
    days = BrokerDay().day_ids(pd.DatetimeIndex(pd.to_datetime(time_ms, unit="ms", utc=True)))
    return MarketArrays(
        price,
        price,
        price,
        price,
        column(ask, np.float64, rows, 1, "ask") - price,
        column(rate, np.float64, rows, 1, "rate"),
        np.require(days, np.int64, ("C", "W")),
        np.require(np.asarray(decision_row).reshape(-1, 1), np.int64, ("C", "W")),
    )


_NOTHING = np.empty((0, 1))
NO_FINER = FinerRows(
    np.empty(0, dtype=np.int64),
    MarketArrays(_NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING, np.empty(0, dtype=np.int64), np.empty((0, 1), dtype=np.int64), _NOTHING),
)
