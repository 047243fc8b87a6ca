"""Strategies as users of backtesting.py write them, and the same rules as columns for the step: nothing is shared but the indicators."""

# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,attr-defined,assignment"
from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy

from components.features import atr, highest, lowest, sma
from components.fx import AccountSpec, OrderKind
from components.strategy import Decisions

UNITS = 10_000.0
FAST, SLOW, RANGE, CHANNEL = 4, 11, 7, 9


class Cross(Strategy):
    """The crossing of two averages with stop and target by range; the position is turned."""

    def init(self):
        self.fast, self.slow = self.I(sma, self.data.Close, FAST), self.I(sma, self.data.Close, SLOW)
        self.reach = self.I(atr, self.data.High, self.data.Low, self.data.Close, RANGE)

    def next(self):
        now, before = self.fast[-1] - self.slow[-1], self.fast[-2] - self.slow[-2]
        price, reach = self.data.Close[-1], self.reach[-1]
        # An average that only touched the other one crosses it again from the same side: the position is kept.
        if now > 0 >= before and not self.position.is_long:
            self.position.close()
            self.buy(size=UNITS, sl=price - 2 * reach, tp=price + 3 * reach)
        elif now < 0 <= before and not self.position.is_short:
            self.position.close()
            self.sell(size=UNITS, sl=price + 2 * reach, tp=price - 3 * reach)


def cross_columns(bars: pd.DataFrame) -> Decisions:
    """`Cross` as columns."""
    high, low, close = (bars[name].to_numpy() for name in ("high", "low", "close"))
    apart, reach = sma(close, FAST) - sma(close, SLOW), atr(high, low, close, RANGE)
    before = np.append(np.nan, apart[:-1])
    side = np.where((apart > 0) & (before <= 0), 1, np.where((apart < 0) & (before >= 0), -1, 0)).astype(np.int8)
    wished = side != 0
    return Decisions(
        side=side,
        exit=(-side).astype(np.int8),
        stop=np.where(wished, close - side * (2 * reach), np.nan),
        target=np.where(wished, close + side * (3 * reach), np.nan),
    )


class Turning(Strategy):
    """The documentation's first example: always in the market, one order closing the other (``exclusive_orders``), no stop."""

    def init(self):
        self.fast, self.slow = self.I(sma, self.data.Close, FAST), self.I(sma, self.data.Close, SLOW)

    def next(self):
        now, before = self.fast[-1] - self.slow[-1], self.fast[-2] - self.slow[-2]
        if now > 0 >= before and not self.position.is_long:
            self.buy(size=UNITS)
        elif now < 0 <= before and not self.position.is_short:
            self.sell(size=UNITS)


def turning_columns(bars: pd.DataFrame) -> Decisions:
    """`Turning` as columns."""
    columns = cross_columns(bars)
    return Decisions(side=columns.side, exit=columns.exit)


class Breakout(Strategy):
    """A stop order beyond the channel for three bars, with a stop at its other end and a trailing stop from then on."""

    def init(self):
        self.top, self.bottom = self.I(highest, self.data.High, CHANNEL), self.I(lowest, self.data.Low, CHANNEL)

    def next(self):
        bar = len(self.data) - 1
        for order in list(self.orders):
            if not order.is_contingent and bar - order.tag >= 3:
                order.cancel()
        top, bottom, close = self.top[-1], self.bottom[-1], self.data.Close[-1]
        width = top - bottom
        for trade in self.trades:
            stop = (
                close - width_at_entry(trade.tag, self.top, self.bottom)
                if trade.is_long
                else close + width_at_entry(trade.tag, self.top, self.bottom)
            )
            if (stop > trade.sl) if trade.is_long else (stop < trade.sl):
                trade.sl = stop
        waiting = [order for order in self.orders if not order.is_contingent]
        if self.trades or waiting or not width > 0:
            return
        if close - bottom > 0.7 * width:
            self.buy(size=UNITS, stop=top, sl=bottom, tag=bar)
        elif top - close > 0.7 * width:
            self.sell(size=UNITS, stop=bottom, sl=top, tag=bar)


def width_at_entry(bar: int, top: Any, bottom: Any) -> float:
    """Width of the channel at the bar on which an order was placed."""
    return float(top[bar] - bottom[bar])


def breakout_columns(bars: pd.DataFrame) -> Decisions:
    """`Breakout` as columns; a position or an order that is there leaves no place."""
    high, low, close = (bars[name].to_numpy() for name in ("high", "low", "close"))
    top, bottom = highest(high, CHANNEL), lowest(low, CHANNEL)
    width = top - bottom
    side = np.where(close - bottom > 0.7 * width, 1, np.where(top - close > 0.7 * width, -1, 0)).astype(np.int8)
    side[~(width > 0)] = 0
    # backtesting.py first asks a strategy one bar after its indicators are whole.
    side[:CHANNEL] = 0
    wished = side != 0
    return Decisions(
        side=side,
        entry=int(OrderKind.STOP),
        entry_price=np.where(wished, np.where(side > 0, top, bottom), np.nan),
        stop=np.where(wished, np.where(side > 0, bottom, top), np.nan),
        trail_distance=np.where(wished, width, np.nan),
        expiry_bars=3,
    )


def run_native(strategy: Any, bars: pd.DataFrame, account: AccountSpec, **options: Any) -> Any:
    """Statistics of backtesting.py's own run."""
    frame = pd.DataFrame({name.capitalize(): bars[name].to_numpy() for name in ("open", "high", "low", "close")}, index=bars.index)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hedging = account.margin_mode == "hedging"
        return Backtest(frame, strategy, cash=account.balance, margin=1 / account.leverage, hedging=hedging, **options).run()
