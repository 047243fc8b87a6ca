"""Strategies written as plain Python functions, for tests; the first two say bar by bar what two of the library say in columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.backtest import plain_columns as cross_columns
from benchmarks.backtest import plain_on_bar as cross_on_bar
from components.features import atr, rsi, sma
from components.strategy import Params, Wish, plain_strategy
from components.strategy.library import PullbackParams, SmaCrossParams


def pullback_columns(bars: pd.DataFrame, params: PullbackParams) -> dict[str, Any]:
    """What `pullback` looks at."""
    high, low, close = (bars[name].to_numpy() for name in ("high", "low", "close"))
    return {
        "high": high, "low": low, "close": close, "mean": sma(close, params.trend), "strength": rsi(close, params.rsi_period),
        "range": atr(high, low, close, params.atr_period),
    }  # fmt: skip


def pullback_on_bar(t: int, columns: Any, params: Any, state: dict[str, Any]) -> tuple[Any, ...] | Wish | None:
    """After a dip against the trend, wait with a stop entry beyond the dip's bar; leave when the trend turns."""
    close, mean, strength, reach = columns.close[-1], columns.mean[-1], columns.strength[-1], columns.range[-1]
    trend = (close > mean) - (close < mean)
    if trend > 0 and strength < params.rsi_low:
        side = 1
    elif trend < 0 and strength > 100 - params.rsi_low:
        side = -1
    else:
        return Wish(exit=-trend) if params.leave_on_turn and trend else None
    if not reach > 0:
        return Wish(exit=-side)
    entry = columns.high[-1] + params.entry_atr * reach if side > 0 else columns.low[-1] - params.entry_atr * reach
    stop, target = entry - side * params.stop_atr * reach, entry + side * params.target_atr * reach
    return (side, stop, target, -side, 1, entry, params.expiry_bars, np.nan, np.nan, np.nan, 1.0, 1.0, 1 if side > 0 else 2)


class StreakParams(Params):
    """How many closes in one direction make a streak."""

    length: int = 4


def streak_on_bar(t: int, columns: Any, params: Any, state: dict[str, Any]) -> Wish | None:
    """Against a streak of rising or falling closes, by a memory of its own."""
    if t == 0:
        return None
    step = columns.close[-1] - columns.close[-2]
    streak = state.get("streak", 0)
    streak = max(streak, 0) + 1 if step > 0 else min(streak, 0) - 1 if step < 0 else 0
    state["streak"] = streak
    if abs(streak) < params.length:
        return None
    side = -1 if streak > 0 else 1
    return Wish(side, stop_distance=0.002, target_distance=0.002, exit=-side)


PLAIN_CROSS = plain_strategy(
    "plain_cross", "Plain cross", "The crossing of two averages, bar by bar.", SmaCrossParams, cross_on_bar, lambda p: 700, init=cross_columns,
    reasons={1: "up", 2: "down"},
)  # fmt: skip
PLAIN_PULLBACK = plain_strategy(
    "plain_pullback", "Plain pullback", "The pullback, bar by bar.", PullbackParams, pullback_on_bar, lambda p: 700, init=pullback_columns
)
PLAIN_STREAK = plain_strategy("plain_streak", "Plain streak", "Against a streak of closes.", StreakParams, streak_on_bar, lambda p: 200)
