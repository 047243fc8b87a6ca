"""One backtest as a pure function: bars and a strategy in, trades, equity and measures out."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.backtest.rates import Reference, conversion_for
from components.execution import Costs, MarketArrays, StepResult, decision_arrays, market_of_bars, run_step
from components.fx import (
    AccountSpec,
    BadInput,
    BrokerDay,
    EventKind,
    ExitKind,
    Instrument,
    Refusal,
    daily_equity,
    max_drawdown,
    profit_factor,
    returns_of,
    sharpe_ratio,
    win_rate,
)
from components.fx import book as b
from components.risk import Limits, Sizing
from components.strategy import Context, Decisions, Params, Strategy

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
    "net_profit",
    "exit",
    "level",
    "ambiguous",
    "reason",
    "reason_text",
    "entry_bar",
    "exit_bar",
)


@dataclass(frozen=True)
class Result:
    """What a backtest found.

    Parameters
    ----------
    strategy : str
    params : dict
        All parameters, defaults filled in.
    trades : DataFrame, shape (m, 19)
        In the order of their exits. Times are UTC and name the bar in which the fill happened by its open; prices are those of the fills;
        `gross_profit`, `cost` (commission of entry and exit) and `net_profit` are in account currency; `exit` is an `ExitKind` in lower case.
        Positions that were open at the end are valued at the last prices and marked ``end_of_data``.
    equity : Series, shape (n,)
        Account equity at the close of each bar, in account currency; the index holds the bars' open times.
    stats : dict
        Measures, plain JSON values; see `run_backtest`.
    """

    strategy: str
    params: dict[str, Any]
    trades: pd.DataFrame
    equity: pd.Series
    stats: Stats


def run_backtest(
    strategy: Strategy,
    params: Mapping[str, Any] | Params | None,
    bars: pd.DataFrame,
    *,
    instrument: Instrument,
    account: AccountSpec | None = None,
    costs: Costs | None = None,
    sizing: Sizing | None = None,
    limits: Limits | None = None,
    policy: str = "mt5",
    probabilities: pd.DataFrame | None = None,
    conversion: Mapping[str, pd.DataFrame] | None = None,
    reference: Reference | None = None,
    day: BrokerDay | None = None,
) -> Result:
    """Run one strategy over one symbol's bars.

    Parameters
    ----------
    strategy : Strategy
    params : mapping or Params
        Parameters that differ from the strategy's defaults.
    bars : DataFrame, shape (n, ≥ 4)
        A validated bars frame.
    instrument : Instrument
    account, costs, sizing, limits : optional
        Defaults are those of their classes. Under ``reference`` there are no costs: backtesting.py's rules know one price.
    policy : {'mt5', 'reference'}
    probabilities : DataFrame, optional
        For strategies that trade a model: ``p_down p_flat p_up`` on the index of the bars.
    conversion : mapping of str to DataFrame, optional
        Bars of other pairs by symbol, where profit must be converted into the account's currency.
    reference : callable, optional
        Gives the ECB's reference rates, taken where no such bars lead to the account's currency.
    day : BrokerDay, optional
        The trading day by which daily returns are counted; the FX day by default.

    Returns
    -------
    Result
        With ``total_return``, ``net_profit``, ``sharpe`` (of daily returns, annualised), ``max_drawdown``, ``win_rate``,
        ``profit_factor`` (None without a loss), ``trades``, ``ambiguous_bars``, ``profit_against`` and ``profit_favour`` (net profit with
        ambiguity resolved against and for the trader), ``costs``, ``exits`` and ``refused`` (counts by kind), ``ruined`` (equity reached
        zero), ``conversion`` (where the rates into the account's currency are from, and how old reference rates were at most) and
        ``returns_digest``.

    Raises
    ------
    BadInput
        If a parameter, a decision or the account cannot be used, or neither bars nor reference rates convert its profit.
    """
    if len(bars) < 2:
        raise BadInput("bars", f"{len(bars)} bars; a backtest needs at least 2")
    spec = account or AccountSpec()
    chosen = strategy.parse(params)
    decisions = strategy.decide(bars, Context(instrument, probabilities), chosen)
    converted = conversion_for(instrument, spec.currency, bars, conversion, reference)
    market = market_of_bars(bars, instrument, costs or Costs(), converted.rate, day)
    steps = _both_resolutions(strategy, chosen, decisions, market, instrument, spec, costs or Costs(), sizing, limits, policy)
    curves = [close_of_run(step, bars, instrument, costs or Costs(), policy, strategy.reasons) for step in steps]
    trades, equity = curves[0]
    stats = measures(trades["net_profit"].to_numpy(), equity, market.day_id, spec.balance)
    stats |= {
        "ambiguous_bars": steps[0].ambiguous_rows,
        "profit_against": float(equity[-1] - spec.balance),
        "profit_favour": float(curves[-1][1][-1] - spec.balance),
        "costs": float(trades["cost"].sum()),
        "exits": {str(name): int(count) for name, count in trades["exit"].value_counts().items()},
        "refused": _refusals(steps[0].events),
        "ruined": bool(equity[-1] <= 0),
        "conversion": converted.facts,
    }
    return Result(strategy.name, chosen.model_dump(mode="json"), trades, pd.Series(equity, index=bars.index, name="equity"), stats)


def _both_resolutions(
    strategy: Strategy,
    params: Params,
    decisions: Decisions,
    market: MarketArrays,
    instrument: Instrument,
    account: AccountSpec,
    costs: Costs,
    sizing: Sizing | None,
    limits: Limits | None,
    policy: str,
) -> list[StepResult]:
    """The run with ambiguity against the trader, and a second one in his favour where there was any."""
    manage, manage_params = strategy.managing(params)
    arrays = decision_arrays(decisions, len(market.open))
    results: list[StepResult] = []
    for resolution in ("against", "favour"):
        if results and not results[0].ambiguous_rows:
            break
        results.append(
            run_step(
                market,
                arrays,
                [instrument],
                account,
                costs=costs,
                sizing=sizing,
                limits=limits,
                policy=policy,
                resolution=resolution,
                manage=manage,
                params=manage_params,
                # backtesting.py asks its strategies from the second bar on.
                first_bar=1 if policy == "reference" else 0,
            )
        )
    return results


def close_of_run(
    step: StepResult, bars: pd.DataFrame, instrument: Instrument, costs: Costs, policy: str, reasons: Mapping[int, str]
) -> tuple[pd.DataFrame, Floats]:
    """The trades of a run of one symbol and its equity, shape (n,), with what was open at the end valued as if closed at the last prices."""
    trades = closed_trades(step.events)
    left = _open_trades(step, len(bars) - 1, instrument, costs, policy)
    equity = step.equity.copy()
    if len(left):
        equity[-1] -= float((left["cost"] - left["entry_cost"]).sum())
        trades = pd.concat([trades, left.drop(columns="entry_cost")], ignore_index=True) if len(trades) else left.drop(columns="entry_cost")
    trades["net_profit"] = trades["gross_profit"] - trades["cost"]
    trades["reason_text"] = trades["reason"].map(lambda code: reasons.get(int(code), "")).astype(str)
    times = pd.DatetimeIndex(bars.index)
    trades["entry_time"] = times[trades["entry_bar"].to_numpy()]
    trades["exit_time"] = times[trades["exit_bar"].to_numpy()]
    return trades[list(TRADE_COLUMNS)], equity


def closed_trades(events: Floats) -> pd.DataFrame:
    """The closed trades among the events of a step, one row each, in the order of their exits."""
    closed = events[events[:, b.E_KIND] == EventKind.CLOSED]
    names = np.array([kind.name.lower() for kind in ExitKind])
    return pd.DataFrame(
        {
            "ticket": closed[:, b.E_TICKET].astype(np.int64),
            "side": closed[:, b.E_SIDE].astype(np.int64),
            "lots": closed[:, b.E_LOTS],
            "entry_price": closed[:, b.E_ENTRY_PRICE],
            "exit_price": closed[:, b.E_PRICE],
            "stop": closed[:, b.E_STOP],
            "target": closed[:, b.E_TARGET],
            "gross_profit": closed[:, b.E_PROFIT],
            "cost": closed[:, b.E_COST],
            "exit": names[closed[:, b.E_EXIT].astype(np.int64)],
            "level": closed[:, b.E_LEVEL],
            "ambiguous": closed[:, b.E_AMBIGUOUS] > 0,
            "reason": closed[:, b.E_REASON].astype(np.int64),
            "entry_bar": closed[:, b.E_ENTRY_ROW].astype(np.int64),
            "exit_bar": closed[:, b.E_ROW].astype(np.int64),
        }
    )


def _open_trades(step: StepResult, last_bar: int, instrument: Instrument, costs: Costs, policy: str) -> pd.DataFrame:
    """Positions of the first symbol that are open at the end, as trades that end at the last prices."""
    rows = step.book.positions[0, : step.book.counts[0, 0]]
    bid, ask, rate = step.book.marks[0]
    side, lots = rows[:, b.P_SIDE], rows[:, b.P_LOTS]
    price = np.where((side > 0) | (policy == "reference"), bid, ask)
    exit_cost = lots * (0.0 if policy == "reference" else costs.commission_per_lot)
    return pd.DataFrame(
        {
            "ticket": rows[:, b.P_TICKET].astype(np.int64),
            "side": side.astype(np.int64),
            "lots": lots,
            "entry_price": rows[:, b.P_ENTRY],
            "exit_price": price,
            "stop": rows[:, b.P_STOP],
            "target": rows[:, b.P_TARGET],
            "gross_profit": side * np.round(lots * instrument.contract_size, 6) * (price - rows[:, b.P_ENTRY]) * rate,
            "cost": rows[:, b.P_ENTRY_COST] + exit_cost,
            "entry_cost": rows[:, b.P_ENTRY_COST],
            "exit": np.full(len(rows), ExitKind.END_OF_DATA.name.lower()),
            "level": np.full(len(rows), np.nan),
            "ambiguous": np.zeros(len(rows), dtype=bool),
            "reason": rows[:, b.P_REASON].astype(np.int64),
            "entry_bar": rows[:, b.P_OPEN_ROW].astype(np.int64),
            "exit_bar": np.full(len(rows), last_bar),
        }
    )


def measures(net_profits: Floats, equity: Floats, day_id: NDArray[np.int64], balance: float) -> Stats:
    """The measures that every run has, ours or imported; plain JSON values.

    Parameters
    ----------
    net_profits : float64, shape (m,)
        Profit of each trade after costs, in account currency.
    equity, day_id : ndarray, shape (n,)
        Equity and trading day, row by row.
    balance : float
        The starting balance.
    """
    daily = returns_of(daily_equity(np.concatenate(([balance], equity)), np.concatenate((day_id[:1], day_id)))) if len(equity) else np.empty(0)
    factor = profit_factor(net_profits)
    final = float(equity[-1]) if len(equity) else balance
    return {
        "total_return": final / balance - 1.0,
        "net_profit": final - balance,
        "final_equity": final,
        "sharpe": sharpe_ratio(daily),
        "max_drawdown": max_drawdown(np.concatenate(([balance], equity))),
        "win_rate": win_rate(net_profits),
        "profit_factor": factor if math.isfinite(factor) else None,
        "trades": len(net_profits),
        "average_profit": float(net_profits.mean()) if len(net_profits) else 0.0,
        "best_trade": float(net_profits.max()) if len(net_profits) else 0.0,
        "worst_trade": float(net_profits.min()) if len(net_profits) else 0.0,
        "days": len(daily),
        "returns_digest": hashlib.sha256(np.ascontiguousarray(daily).tobytes()).hexdigest(),
    }


def _refusals(events: Floats) -> dict[str, int]:
    codes = events[events[:, b.E_KIND] == EventKind.REFUSED][:, b.E_LEVEL]
    return {Refusal(int(code)).name.lower(): int(count) for code, count in zip(*np.unique(codes, return_counts=True), strict=True)}
