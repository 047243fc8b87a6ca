"""The one adapter to backtesting.py: the same decisions, run by its own engine.

backtesting.py is AGPL-3; it is imported here, at run time, and nowhere else. It knows whole units, one price per bar and the account's
currency as the profit currency, so that is what the run is confined to.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc"
from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.execution import decision_arrays, no_requests, spec_rows
from components.fx import AccountSpec, Action, BadInput, Instrument, OrderKind
from components.fx import book as b
from components.risk import Limits, Sizing, check_birth, lots_for, stop_distance_of
from components.strategy import Decisions

PLACES = 8


@dataclass(frozen=True)
class ReferenceRun:
    """What backtesting.py made of the decisions.

    Parameters
    ----------
    trades : DataFrame
        ``entry_bar exit_bar entry_price exit_price units profit is_open``, the closed ones in the order of their exits, then the open ones
        (valued at the last close); units are signed, profit is in account currency.
    equity : float64, shape (n,)
    refused : int
        Orders that sizing, limits or backtesting.py's own check of stop and target refused.
    """

    trades: pd.DataFrame
    equity: NDArray[np.float64]
    refused: int


def run_reference(
    bars: pd.DataFrame,
    decisions: Decisions,
    *,
    instrument: Instrument,
    account: AccountSpec | None = None,
    sizing: Sizing | None = None,
    limits: Limits | None = None,
    manage: Any = None,
    params: NDArray[np.float64] | None = None,
    commission_per_lot: float = 0.0,
) -> ReferenceRun:
    """Run decisions through backtesting.py.

    Parameters
    ----------
    bars : DataFrame, shape (n, ≥ 4)
        A bars frame.
    decisions : Decisions
        As for the step under ``reference``: no distances from the fill.
    instrument : Instrument
        Its profit currency must be the account's, its lot step a whole number of units.
    account, sizing, limits : optional
        Defaults are those of their classes.
    manage : compiled function, optional
        Made with ``numba.cfunc(MANAGE_SIGNATURE)``.
    params : float64, shape (p,), optional
        Parameters of `manage`.
    commission_per_lot : float
        Charged at entry and again at exit, in account currency; a trade's profit is then after both, an open one's before them.

    Raises
    ------
    BadInput
        If backtesting.py cannot express the run.
    """
    from backtesting import Backtest

    spec = account or AccountSpec()
    if instrument.profit_currency != spec.currency:
        raise BadInput(
            "account.currency", f"backtesting.py converts no currency; the profit of {instrument.symbol} is in {instrument.profit_currency}"
        )
    d = decision_arrays(decisions, len(bars))
    if not (np.isnan(d.stop_distance).all() and np.isnan(d.target_distance).all()):
        raise BadInput("stop_distance", "backtesting.py knows no distance from the fill; give prices in `stop` and `target`")
    frame = pd.DataFrame({name.capitalize(): bars[name].to_numpy() for name in ("open", "high", "low", "close")}, index=bars.index)
    followed = _following(
        _Wishes(d, instrument, sizing or Sizing(), limits or Limits(), manage, np.zeros(1) if params is None else params, spec.leverage, len(bars))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = Backtest(
            frame,
            followed,
            cash=spec.balance,
            margin=1 / spec.leverage,
            hedging=spec.margin_mode == "hedging",
            commission=lambda size, price: abs(size) / instrument.contract_size * commission_per_lot,
            finalize_trades=False,
        )
        stats = run.run()
    broker, refused = stats["_strategy"]._broker, stats["_strategy"].refused
    rows = [(t.entry_bar, t.exit_bar, t.entry_price, t.exit_price, t.size, t.pl, False) for t in broker.closed_trades]
    # Where equity was lost, backtesting.py closes only every second trade; the others ended at the same price.
    last = int(np.argmax(broker._equity <= 0)) if (broker._equity <= 0).any() else len(bars) - 1
    close = frame["Close"].iloc[last]
    rows += [(t.entry_bar, last, t.entry_price, close, t.size, t.size * (close - t.entry_price), True) for t in broker.trades]
    columns = ["entry_bar", "exit_bar", "entry_price", "exit_price", "units", "profit", "is_open"]
    return ReferenceRun(pd.DataFrame(rows, columns=columns), stats["_equity_curve"]["Equity"].to_numpy(dtype=np.float64), refused)


@dataclass(frozen=True)
class _Wishes:
    """The decisions of a run and the rules that size them."""

    d: Any
    instrument: Instrument
    sizing: Sizing
    limits: Limits
    manage: Any
    params: NDArray[np.float64]
    leverage: float
    rows: int

    def at(self, name: str, bar: int) -> Any:
        """Value of a decision column at a bar."""
        values = getattr(self.d, name)
        return values[bar if len(values) > 1 else 0, 0]


def _following(wishes: _Wishes) -> type:
    """A backtesting.py strategy that asks, at the close of each bar, for what `execution.close_bar` asks for, in its order."""
    from backtesting import Strategy

    sides, outs = (np.broadcast_to(column[:, 0], wishes.rows).tolist() for column in (wishes.d.side, wishes.d.exit))
    is_managed = wishes.manage is not None or bool((wishes.d.trail > 0).any())
    sizing, limits, spec = wishes.sizing.as_row(), wishes.limits.as_row(), spec_rows([wishes.instrument])[0]

    class Following(Strategy):
        def init(self):
            self.refused = 0
            self.born: dict[int, tuple[int, int]] = {}
            self.trail: dict[int, float] = {}

        def next(self):
            bar = len(self.data) - 1
            side, out = sides[bar], outs[bar]
            entries = [order for order in self._broker.orders if order.parent_trade is None]
            if side == 0 and out == 0 and not entries and not is_managed:
                return
            trades = list(self.trades)
            cancelled = [order for order in entries if 0 < self.born[order.tag][1] <= bar - self.born[order.tag][0]]
            asked = [partial(order.cancel) for order in cancelled]
            asked += [partial(self._modify, *change) for change in self._trailed(trades)]
            leaving = set()
            for request in self._managed(bar, trades, entries):
                action, ticket = request[b.R_ACTION], request[b.R_TICKET]
                named = [item for item in trades + entries if item.tag == ticket]
                if action == Action.MODIFY:
                    asked += [partial(self._modify, trade, request[b.R_STOP], request[b.R_TARGET]) for trade in named]
                elif action == Action.CANCEL:
                    asked += [partial(order.cancel) for order in named if order not in cancelled]
                    cancelled += named
                elif action == Action.CLOSE:
                    lots = request[b.R_LOTS]
                    asked += [partial(self._close, trade, lots) for trade in named]
                    leaving |= set() if lots > 0 else set(named)
                else:
                    raise BadInput("manage", "orders that manage opens are not run in backtesting.py")
            if out != 0:
                closing = [trade for trade in trades if np.sign(trade.size) == out and trade not in leaving]
                asked += [partial(self._close, trade, np.nan) for trade in closing]
                leaving |= set(closing)
                opposite = [order for order in entries if np.sign(order.size) == out and order not in cancelled]
                asked += [partial(order.cancel) for order in opposite]
                cancelled += opposite
            for ask in asked:
                ask()
            held = len(trades) - len(leaving) + len(entries) - len(set(cancelled))
            if side != 0 and held < wishes.sizing.max_positions:
                self._enter(bar, int(side))

        def _close(self, trade, lots):
            units = abs(trade.size)
            trade.close(min(1.0, round(lots * spec[b.S_CONTRACT_SIZE]) / units) if lots > 0 else 1.0)

        def _enter(self, bar, side):
            kind, price = wishes.at("entry", bar), float(wishes.at("price", bar))
            stop, target = (_or_none(wishes.at(name, bar)) for name in ("stop", "target"))
            close = float(self.data.Close[-1])
            level = close if kind == OrderKind.MARKET else price
            distance = stop_distance_of(level, np.nan if stop is None else stop, np.nan, wishes.sizing.unstopped_move)
            share = wishes.at("size_fraction", bar)
            contract = spec[b.S_CONTRACT_SIZE]
            lots = lots_for(sizing, self.equity, share, distance, contract, 1.0, spec[b.S_LOT_STEP], spec[b.S_LOT_MIN], spec[b.S_LOT_MAX])
            if check_birth(limits, self.equity, lots, distance, contract, 1.0) != 0:
                self.refused += 1
                return
            place = self.buy if side > 0 else self.sell
            levels = {OrderKind.STOP: {"stop": price}, OrderKind.LIMIT: {"limit": price}}.get(OrderKind(int(kind)), {})
            tag = len(self.born) + 1
            try:
                place(size=float(round(lots * contract)), sl=stop, tp=target, tag=tag, **levels)
            except ValueError:
                self.refused += 1
                return
            self.born[tag] = (bar, int(wishes.at("expiry", bar)))
            self.trail[tag] = float(wishes.at("trail", bar))

        def _trailed(self, trades):
            close, changes = float(self.data.Close[-1]), []
            for trade in trades:
                distance, side = self.trail[trade.tag], np.sign(trade.size)
                if distance > 0:
                    stop = close - side * distance
                    if trade.sl is None or (stop - trade.sl) * side > 0:
                        changes.append((trade, stop, np.nan if trade.tp is None else trade.tp))
            return changes

        def _modify(self, trade, stop, target):
            for name, value in (("sl", _or_none(stop)), ("tp", _or_none(target))):
                if value != getattr(trade, name):
                    setattr(trade, name, value)

        def _managed(self, bar, trades, entries):
            """The requests of `manage`, which is given the broker's state in the layout of the book."""
            if wishes.manage is None:
                return []
            account = np.zeros(b.ACCOUNT_FIELDS)
            account[[b.A_BALANCE, b.A_EQUITY, b.A_LEVERAGE]] = self._broker._cash, self.equity, wishes.leverage
            positions, orders = np.full((PLACES, b.POSITION_FIELDS), np.nan), np.full((PLACES, b.ORDER_FIELDS), np.nan)
            for row, trade in zip(positions, trades, strict=False):
                row[[b.P_TICKET, b.P_SIDE, b.P_ENTRY, b.P_OPEN_ROW]] = trade.tag, np.sign(trade.size), trade.entry_price, trade.entry_bar
                row[b.P_LOTS] = abs(trade.size) / spec[b.S_CONTRACT_SIZE]
                row[[b.P_STOP, b.P_TARGET]] = [np.nan if level is None else level for level in (trade.sl, trade.tp)]
                row[b.P_TRAIL] = self.trail[trade.tag]
            for row, order in zip(orders, entries, strict=False):
                row[[b.O_TICKET, b.O_SIDE, b.O_BORN_BAR]] = order.tag, np.sign(order.size), self.born[order.tag][0]
                row[b.O_PRICE] = order.stop or order.limit or np.nan
                row[b.O_LOTS] = abs(order.size) / spec[b.S_CONTRACT_SIZE]
            requests, close = no_requests(64), float(self.data.Close[-1])
            marks = np.array([close, close, 1.0])
            count = wishes.manage(account, positions, len(trades), orders, len(entries), marks, bar, wishes.params, requests, 0)
            return list(requests[:count])

    return Following


def _or_none(price: float) -> float | None:
    """A price as backtesting.py wants it: None for none."""
    return None if np.isnan(price) else float(price)
