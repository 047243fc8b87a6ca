"""Four strategies. They show the contract at work; none of them is claimed to make money."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from components.features import atr, highest, lowest, rsi, sma
from components.fx import Action, BadInput, OrderKind
from components.fx import book as b
from components.strategy.contract import Context, Decisions, Params, Strategy, ask, compiled_manage

Floats = NDArray[np.float64]
MODIFY = int(Action.MODIFY)


class Brackets(Params):
    """Stop and target in multiples of the average true range; 0 leaves one out."""

    atr_period: int = Field(14, ge=2, le=200, description="bars of the average true range")
    stop_atr: float = Field(2.0, ge=0, le=20, description="distance of the stop (multiples of the average true range; 0 for none)")
    target_atr: float = Field(3.0, ge=0, le=40, description="distance of the target (multiples of the average true range; 0 for none)")


def _columns(bars: pd.DataFrame) -> tuple[Floats, Floats, Floats]:
    return bars["high"].to_numpy(), bars["low"].to_numpy(), bars["close"].to_numpy()


def _brackets(price: Floats, side: NDArray[np.int8], true_range: Floats, params: Brackets) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Stop and target prices beside `price` where there is a side, and where they can be set: flat hours (true range 0) allow no bracket."""
    stop, target = np.full(len(price), np.nan), np.full(len(price), np.nan)
    rows = np.flatnonzero(side != 0)
    if params.stop_atr > 0:
        stop[rows] = price[rows] - side[rows] * params.stop_atr * true_range[rows]
    if params.target_atr > 0:
        target[rows] = price[rows] + side[rows] * params.target_atr * true_range[rows]
    return stop, target, true_range > 0


def _reasons(side: NDArray[np.int8]) -> NDArray[np.int16]:
    """1 with a long side, else 2."""
    return np.where(side > 0, np.int16(1), np.int16(2))


class SmaCrossParams(Brackets):
    """Lengths of the two moving averages, in bars."""

    fast: int = Field(10, ge=2, le=500, description="length of the fast average (bars)")
    slow: int = Field(30, ge=3, le=1000, description="length of the slow average (bars)")
    stop_atr: float = Field(3.0, ge=0, le=20, description="distance of the stop (multiples of the average true range; 0 for none)")
    target_atr: float = Field(6.0, ge=0, le=40, description="distance of the target (multiples of the average true range; 0 for none)")

    @model_validator(mode="after")
    def _ordered(self) -> SmaCrossParams:
        if self.fast >= self.slow:
            raise ValueError(f"fast ({self.fast}) must be below slow ({self.slow})")
        return self


def sma_cross(bars: pd.DataFrame, context: Context, params: SmaCrossParams) -> Decisions:
    """Enter with the crossing of two moving averages, leave the other side."""
    high, low, close = _columns(bars)
    difference = context.shared(sma, close, params.fast) - context.shared(sma, close, params.slow)
    side = np.zeros(len(difference), dtype=np.int8)
    side[1:] += (difference[1:] > 0) & (difference[:-1] <= 0)
    side[1:] -= ((difference[1:] < 0) & (difference[:-1] >= 0)).view(np.int8)
    stop, target, usable = _brackets(close, side, context.shared(atr, high, low, close, params.atr_period), params)
    wish = side * usable
    return Decisions(side=wish, exit=-side, stop=stop, target=target, reason=_reasons(side))


class AtrBreakoutParams(Brackets):
    """Channel length in bars, and the move, in multiples of the initial risk, at which the stop goes to the entry price."""

    channel: int = Field(24, ge=2, le=500, description="length of the channel (bars)")
    break_even_at: float = Field(
        1.0, ge=0, le=20, description="gain at which the stop goes to the entry price (multiples of the initial risk; 0 for never)"
    )


def atr_breakout(bars: pd.DataFrame, context: Context, params: AtrBreakoutParams) -> Decisions:
    """Enter where the close leaves the channel of the bars before it; stop and target by the average true range."""
    high, low, close = _columns(bars)
    top = np.concatenate(([np.nan], context.shared(highest, high, params.channel)[:-1]))
    bottom = np.concatenate(([np.nan], context.shared(lowest, low, params.channel)[:-1]))
    side = np.where(close > top, 1, np.where(close < bottom, -1, 0)).astype(np.int8)
    stop, target, usable = _brackets(close, side, context.shared(atr, high, low, close, params.atr_period), params)
    wish = side * usable
    return Decisions(side=wish, exit=-side, stop=stop, target=target, reason=_reasons(side))


@compiled_manage
def break_even(account, positions, n_positions, orders, n_orders, marks, bar, params, requests, n):
    """Move the stop to the entry price once a position has gained `params[0]` times its initial risk at the close of a bar."""
    for k in range(n_positions):
        p = positions[k]
        side, entry, stop = p[b.P_SIDE], p[b.P_ENTRY], p[b.P_STOP]
        price = marks[0] if side > 0 else marks[1]
        risk = (entry - stop) * side
        if risk > 0 and (price - entry) * side >= params[0] * risk:
            r = ask(requests, n, MODIFY, p[b.P_TICKET], side)
            r[b.R_STOP] = entry
            r[b.R_TARGET] = p[b.P_TARGET]
            r[b.R_REASON] = 3
            n += 1
    return n


class PullbackParams(Brackets):
    """Trend length, the pullback's RSI, and the life of the stop entry, in bars."""

    trend: int = Field(100, ge=5, le=1000, description="length of the trend average (bars)")
    rsi_period: int = Field(5, ge=2, le=100, description="length of the relative strength index (bars)")
    rsi_low: float = Field(35.0, gt=0, lt=50, description="relative strength index below which a dip counts (0 to 50)")
    entry_atr: float = Field(0.1, ge=0, le=5, description="distance of the entry beyond the bar (multiples of the average true range)")
    expiry_bars: int = Field(4, ge=1, le=100, description="life of the entry order (bars)")
    leave_on_turn: bool = Field(True, description="leave when the trend turns (yes or no)")


def pullback(bars: pd.DataFrame, context: Context, params: PullbackParams) -> Decisions:
    """After a dip against the trend, wait with a stop entry beyond the dip's bar; leave on the opposite set-up or when the trend turns."""
    high, low, close = _columns(bars)
    mean = context.shared(sma, close, params.trend)
    strength = context.shared(rsi, close, params.rsi_period)
    true_range = context.shared(atr, high, low, close, params.atr_period)
    trend = np.where(close > mean, 1, np.where(close < mean, -1, 0)).astype(np.int8)
    side = np.where((trend > 0) & (strength < params.rsi_low), 1, np.where((trend < 0) & (strength > 100 - params.rsi_low), -1, 0)).astype(np.int8)
    entry = np.where(side > 0, high + params.entry_atr * true_range, low - params.entry_atr * true_range)
    stop, target, usable = _brackets(entry, side, true_range, params)
    wish = side * usable
    return Decisions(
        side=wish,
        exit=np.where(side != 0, -side, -trend if params.leave_on_turn else 0).astype(np.int8),
        entry=int(OrderKind.STOP),
        entry_price=np.where(wish != 0, entry, np.nan),
        expiry_bars=params.expiry_bars,
        stop=stop,
        target=target,
        reason=_reasons(side),
    )


class ModelEdgeParams(Brackets):
    """How much likelier one direction must be than the other, and a model's probabilities to ask."""

    edge: float = Field(0.05, ge=0, lt=1, description="how much likelier one direction must be than the other (probability, 0 to 1)")


def model_edge(bars: pd.DataFrame, context: Context, params: ModelEdgeParams) -> Decisions:
    """Enter where the model gives one direction at least `edge` more than the other, out of sample only."""
    if context.probabilities is None:
        raise BadInput("model_id", "this strategy trades a model's probabilities; name a model")
    if not context.probabilities.index.equals(bars.index):
        raise BadInput("probabilities", "their times are not those of the bars")
    high, low, close = _columns(bars)
    up, down = context.probabilities["p_up"].to_numpy(), context.probabilities["p_down"].to_numpy()
    difference = up - down
    side = np.where(difference >= params.edge, 1, np.where(difference <= -params.edge, -1, 0)).astype(np.int8)
    stop, target, usable = _brackets(close, side, context.shared(atr, high, low, close, params.atr_period), params)
    wish = side * usable
    confidence = np.where(np.isnan(difference), 0.0, np.maximum(np.nan_to_num(up), np.nan_to_num(down)))
    return Decisions(side=wish, exit=-side, stop=stop, target=target, confidence=confidence, reason=_reasons(side))


def _break_even_params(params: AtrBreakoutParams) -> Floats | None:
    return np.array([params.break_even_at]) if params.break_even_at > 0 and params.stop_atr > 0 else None


def _atr_memory(period: int) -> int:
    """Bars after which Wilder's smoothing has forgotten its start to one part in 10^9."""
    return int(np.ceil(np.log(1e-9) / np.log(1.0 - 1.0 / period))) + period


LIBRARY = (
    Strategy(
        "sma_cross",
        "SMA cross",
        "Follows the crossing of a fast and a slow moving average.",
        SmaCrossParams,
        sma_cross,
        lambda p: max(p.slow + 1, _atr_memory(p.atr_period)),
        {1: "the fast average crossed above the slow one", 2: "the fast average crossed below the slow one"},
    ),
    Strategy(
        "atr_breakout",
        "ATR breakout",
        "Trades a close outside the recent channel, with stop and target by true range and a break-even move.",
        AtrBreakoutParams,
        atr_breakout,
        lambda p: max(p.channel + 1, _atr_memory(p.atr_period)),
        {1: "the close left the channel upwards", 2: "the close left the channel downwards", 3: "the position gained its risk: stop to entry"},
        manage=break_even,
        manage_params=_break_even_params,
    ),
    Strategy(
        "pullback",
        "Stop-entry pullback",
        "Waits beyond a dip against the trend with a stop entry that expires.",
        PullbackParams,
        pullback,
        lambda p: max(p.trend, _atr_memory(p.atr_period), _atr_memory(p.rsi_period)),
        {1: "a dip in an up-trend", 2: "a rise in a down-trend"},
    ),
    Strategy(
        "model_edge",
        "Model edge",
        "Trades a trained model's out-of-sample probabilities.",
        ModelEdgeParams,
        model_edge,
        lambda p: _atr_memory(p.atr_period),
        {1: "the model favours up", 2: "the model favours down"},
        needs_model=True,
    ),
)
