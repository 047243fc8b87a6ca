"""What a run of the step came to: its trades, its equity and its measures."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.execution import Costs, StepResult
from components.fx import EventKind, ExitKind, Instrument, Refusal, max_drawdown, profit_factor, returns_of, sharpe_ratio, win_rate
from components.fx import book as b

Floats = NDArray[np.float64]
Stats = dict[str, Any]

TRADE_COLUMNS = (
    "ticket",
    "side",
    "lots",
    "entry_time",
    "exit_time",
    "entry_price",
    "exit_price",
    "stop",
    "target",
    "gross_profit",
    "cost",
    "swap",
    "net_profit",
    "exit",
    "level",
    "ambiguous",
    "reason",
    "reason_text",
    "entry_bar",
    "exit_bar",
)


def close_of_run(
    step: StepResult, bars: pd.DataFrame, instrument: Instrument, costs: Costs, policy: str, reasons: Mapping[int, str]
) -> tuple[pd.DataFrame, Floats]:
    """The trades of a run of one symbol and its equity, shape (n,), with what was open at the end valued as if closed at the last prices."""
    closed, left = _closed(step.events), _left_open(step, len(bars) - 1, instrument, costs, policy)
    columns = {name: np.concatenate((closed[name], left[name])) for name in closed} if len(left["ticket"]) else closed
    times = pd.DatetimeIndex(bars.index)
    columns |= {
        "net_profit": columns["gross_profit"] - columns["cost"] + columns["swap"],
        "exit": _named(columns["exit"], {int(kind): kind.name.lower() for kind in ExitKind}),
        "reason_text": _named(columns["reason"], reasons),
        "entry_time": times[columns["entry_bar"]],
        "exit_time": times[columns["exit_bar"]],
    }
    return pd.DataFrame({name: columns[name] for name in TRADE_COLUMNS}), _closing_equity(step, left)


def profits_of_run(step: StepResult, instrument: Instrument, costs: Costs, policy: str) -> tuple[Floats, Floats]:
    """Net profit of each trade, shape (m,), and equity, shape (n,), as `close_of_run` gives them."""
    left = _left_open(step, 0, instrument, costs, policy)
    closed = np.flatnonzero(step.events[:, b.E_KIND] == EventKind.CLOSED)
    gross, cost, swap = (step.events[closed, field] for field in (b.E_PROFIT, b.E_COST, b.E_SWAP))
    return np.concatenate((gross - cost + swap, left["gross_profit"] - left["cost"] + left["swap"])), _closing_equity(step, left)


def closed_trades(events: Floats) -> pd.DataFrame:
    """The closed trades among the events of a step, one row each, in the order of their exits."""
    columns = _closed(events)
    columns["exit"] = _named(columns["exit"], {int(kind): kind.name.lower() for kind in ExitKind})
    return pd.DataFrame(columns)


def _closed(events: Floats) -> dict[str, Any]:
    closed = np.take(events, np.flatnonzero(events[:, b.E_KIND] == EventKind.CLOSED), axis=0).T.copy()
    return {
        "ticket": closed[b.E_TICKET].astype(np.int64),
        "side": closed[b.E_SIDE].astype(np.int64),
        "lots": closed[b.E_LOTS],
        "entry_price": closed[b.E_ENTRY_PRICE],
        "exit_price": closed[b.E_PRICE],
        "stop": closed[b.E_STOP],
        "target": closed[b.E_TARGET],
        "gross_profit": closed[b.E_PROFIT],
        "cost": closed[b.E_COST],
        "swap": closed[b.E_SWAP],
        "exit": closed[b.E_EXIT].astype(np.int64),
        "level": closed[b.E_LEVEL],
        "ambiguous": closed[b.E_AMBIGUOUS] > 0,
        "reason": closed[b.E_REASON].astype(np.int64),
        "entry_bar": closed[b.E_ENTRY_ROW].astype(np.int64),
        "exit_bar": closed[b.E_ROW].astype(np.int64),
    }


def _left_open(step: StepResult, last_bar: int, instrument: Instrument, costs: Costs, policy: str) -> dict[str, Any]:
    """Positions of the first symbol that are open at the end, as trades that end at the last prices; and the cost of ending them."""
    rows = step.book.positions[0, : step.book.counts[0, 0]]
    bid, ask, rate = step.book.marks[0]
    side, lots = rows[:, b.P_SIDE], rows[:, b.P_LOTS]
    price = np.where((side > 0) | (policy == "reference"), bid, ask)
    # backtesting.py ends nothing by itself, so that the last equity knows no exit commission; see decision 012.
    exit_cost = lots * (0.0 if policy == "reference" else costs.commission_per_lot)
    return {
        "ticket": rows[:, b.P_TICKET].astype(np.int64),
        "side": side.astype(np.int64),
        "lots": lots,
        "entry_price": rows[:, b.P_ENTRY],
        "exit_price": price,
        "stop": rows[:, b.P_STOP],
        "target": rows[:, b.P_TARGET],
        "gross_profit": side * np.round(lots * instrument.contract_size, 6) * (price - rows[:, b.P_ENTRY]) * rate,
        "cost": rows[:, b.P_ENTRY_COST] + exit_cost,
        "swap": rows[:, b.P_SWAP],
        "exit": np.full(len(rows), int(ExitKind.END_OF_DATA)),
        "level": np.full(len(rows), np.nan),
        "ambiguous": np.zeros(len(rows), dtype=bool),
        "reason": rows[:, b.P_REASON].astype(np.int64),
        "entry_bar": rows[:, b.P_OPEN_ROW].astype(np.int64),
        "exit_bar": np.full(len(rows), last_bar),
        "exit_cost": exit_cost,
    }


def _closing_equity(step: StepResult, left: Mapping[str, Any]) -> Floats:
    """The equity of a run, with the cost of ending what was left open taken from its last row."""
    if not len(left["exit_cost"]):
        return step.equity
    equity = step.equity.copy()
    equity[-1] -= float(left["exit_cost"].sum())
    return equity


def _named(codes: NDArray[np.int64], names: Mapping[int, str]) -> Any:
    """Codes, shape (m,), as the words for them; a code without one is empty."""
    known = np.flatnonzero(np.bincount(codes)) if len(codes) and codes.min() >= 0 else np.unique(codes)
    words = pd.array([names.get(int(code), "") for code in known], dtype="str")
    return words.take(np.searchsorted(known, codes)) if len(known) else words


def measures(net_profits: Floats, equity: Floats, day_id: NDArray[np.int64], balance: float, day_ends: NDArray[np.intp] | None = None) -> Stats:
    """The measures that every run has, ours or imported; plain JSON values.

    Parameters
    ----------
    net_profits : float64, shape (m,)
        Profit of each trade after costs, in account currency.
    equity, day_id : ndarray, shape (n,)
        Equity and trading day, row by row.
    balance : float
        The starting balance.
    day_ends : ndarray, shape (d,), optional
        What `last_of_day` says of `day_id`, where it is known.
    """
    daily = daily_returns(equity, last_of_day(day_id) if day_ends is None else day_ends, balance)
    factor = profit_factor(net_profits)
    final = float(equity[-1]) if len(equity) else balance
    return {
        "total_return": final / balance - 1.0,
        "net_profit": final - balance,
        "final_equity": final,
        "sharpe": sharpe_ratio(daily),
        "max_drawdown": max_drawdown(equity, balance),
        "win_rate": win_rate(net_profits),
        "profit_factor": factor if math.isfinite(factor) else None,
        "trades": len(net_profits),
        "average_profit": float(net_profits.mean()) if len(net_profits) else 0.0,
        "best_trade": float(net_profits.max()) if len(net_profits) else 0.0,
        "worst_trade": float(net_profits.min()) if len(net_profits) else 0.0,
        "days": len(daily),
        "returns_digest": hashlib.sha256(np.ascontiguousarray(daily).tobytes()).hexdigest(),
    }


def last_of_day(day_id: NDArray[np.int64]) -> NDArray[np.intp]:
    """Rows at which a trading day ends, shape (d,)."""
    return np.flatnonzero(np.append(np.diff(day_id) != 0, True)) if len(day_id) else np.empty(0, dtype=np.intp)


def daily_returns(equity: Floats, day_ends: NDArray[np.intp], balance: float) -> Floats:
    """Return of each trading day, shape (d,), whose last rows are `day_ends`; the first one from the starting balance."""
    return returns_of(np.concatenate(([balance], equity[day_ends])))


def refusals(events: Floats) -> dict[str, int]:
    """How many requests were refused, by reason."""
    codes = events[np.flatnonzero(events[:, b.E_KIND] == EventKind.REFUSED), b.E_LEVEL]
    return {Refusal(int(code)).name.lower(): int(count) for code, count in zip(*np.unique(codes, return_counts=True), strict=True)}
