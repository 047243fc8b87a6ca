"""Several strategies and symbols on one account: shared equity, shared margin, limits over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.backtest.rates import Reference, conversion_for
from components.backtest.trades import TRADE_COLUMNS, Stats, close_of_run, measures, refusals
from components.execution import Book, Costs, DecisionArrays, MarketArrays, StepResult, decision_arrays, market_of_bars, run_step
from components.fx import AccountSpec, BadInput, BrokerDay, Instrument
from components.fx import book as b
from components.risk import Limits, Sizing
from components.strategy import Context, Params, Strategy

Floats = NDArray[np.float64]
PORTFOLIO_TRADE_COLUMNS = ("leg", "symbol", "strategy", *TRADE_COLUMNS)


@dataclass(frozen=True)
class Leg:
    """One strategy on one symbol of the account.

    Parameters
    ----------
    strategy : Strategy
    bars : DataFrame, shape (n, ≥ 4)
        A validated bars frame; every leg has the same timeframe.
    instrument : Instrument
    params : mapping or Params, optional
        Parameters that differ from the strategy's defaults.
    probabilities : DataFrame, optional
        For strategies that trade a model.
    """

    strategy: Strategy
    bars: pd.DataFrame
    instrument: Instrument
    params: Mapping[str, Any] | Params | None = None
    probabilities: pd.DataFrame | None = None


@dataclass(frozen=True)
class PortfolioResult:
    """What a backtest of several legs found.

    Parameters
    ----------
    trades : DataFrame, shape (m, 23)
        As of one run, with ``leg`` (place of the leg), ``symbol`` and ``strategy`` in front, in the order of their exits. `entry_bar` and
        `exit_bar` count rows of `equity`.
    equity : Series, shape (n,)
        Equity of the account at the close of every bar of any leg; the index holds the open times.
    stats : dict
        Measures of the account as a backtest has them, and ``legs``: for each leg its symbol, strategy, parameters, trades, net profit, costs,
        swap, win rate, profit factor and refusals.
    """

    trades: pd.DataFrame
    equity: pd.Series
    stats: Stats


def run_portfolio(
    legs: Sequence[Leg],
    *,
    account: AccountSpec | None = None,
    costs: Costs | None = None,
    sizing: Sizing | None = None,
    limits: Limits | None = None,
    conversion: Mapping[str, pd.DataFrame] | None = None,
    reference: Reference | None = None,
    day: BrokerDay | None = None,
) -> PortfolioResult:
    """Run several legs on one account under the `mt5` policy.

    Rows are the union of all legs' bars; a symbol without a bar in a row keeps its last prices and is neither filled nor asked. Legs are
    asked in their order, each seeing what those before it did at the same close.

    Parameters
    ----------
    legs : sequence of Leg
        One or more; the same symbol may stand in several.
    account, costs, sizing, limits : optional
        Of the whole account; the defaults of their classes. Spread and slippage in points are each symbol's own points.
    conversion : mapping of str to DataFrame, optional
        Bars of other pairs by symbol; the legs' own bars are used as well.
    reference : callable, optional
        Gives the ECB's reference rates, where no bars lead to the account's currency.
    day : BrokerDay, optional
        The trading day; the FX day by default.

    Raises
    ------
    BadInput
        If there is no leg, the timeframes differ, a parameter or decision is wrong, profit cannot be converted, or more than four different
        `manage` functions are at work.
    """
    if not legs:
        raise BadInput("legs", "there is no leg; give at least one strategy with its bars")
    spec, costs = account or AccountSpec(), costs or Costs()
    _require_one_timeframe(legs)
    known = {**(conversion or {}), **{leg.instrument.symbol: leg.bars for leg in legs}}
    chosen = [leg.strategy.parse(leg.params) for leg in legs]
    markets, wishes = [], []
    for leg, params in zip(legs, chosen, strict=True):
        others = {symbol: frame for symbol, frame in known.items() if symbol != leg.instrument.symbol}
        rate = conversion_for(leg.instrument, spec.currency, leg.bars, others, reference).rate
        markets.append(market_of_bars(leg.bars, leg.instrument, costs, rate, day))
        decisions = leg.strategy.decide(leg.bars, Context(leg.instrument, leg.probabilities), params)
        wishes.append(decision_arrays(decisions, len(leg.bars)))
    index = _union([pd.DatetimeIndex(leg.bars.index) for leg in legs])
    places = [index.get_indexer(pd.DatetimeIndex(leg.bars.index)) for leg in legs]
    market = _join_markets(markets, places, len(index), np.require((day or BrokerDay()).day_ids(index), np.int64, ("C", "W")))
    managed = [leg.strategy.managing(params) for leg, params in zip(legs, chosen, strict=True)]
    wanted = _join_decisions(wishes, max(len(leg.bars) for leg in legs))
    steps: list[StepResult] = []
    for resolution in ("against", "favour"):
        if steps and not steps[0].ambiguous_rows:
            break
        steps.append(
            run_step(
                market,
                wanted,
                [leg.instrument for leg in legs],
                spec,
                costs=costs,
                sizing=sizing,
                limits=limits,
                resolution=resolution,
                manage=[manage for manage, _ in managed],
                params=[values for _, values in managed],
            )
        )
    closed = [_close(step, legs, index, costs) for step in steps]
    trades, equity, tables = closed[0]
    stats = measures(trades["net_profit"].to_numpy(), equity, market.day_id, spec.balance)
    stats |= {
        "ambiguous_bars": steps[0].ambiguous_rows,
        "profit_against": float(equity[-1] - spec.balance),
        "profit_favour": float(closed[-1][1][-1] - spec.balance),
        "costs": float(trades["cost"].sum()),
        "swap": float(trades["swap"].sum()),
        "exits": {str(name): int(count) for name, count in trades["exit"].value_counts().items()},
        "refused": refusals(steps[0].events),
        "ruined": bool(equity[-1] <= 0),
        "legs": [_leg_stats(leg, params, table, steps[0], s) for s, (leg, params, table) in enumerate(zip(legs, chosen, tables, strict=True))],
    }
    return PortfolioResult(trades, pd.Series(equity, index=index, name="equity"), stats)


def _require_one_timeframe(legs: Sequence[Leg]) -> None:
    """A longer bar's close is not known when a shorter one of the same open time ends, so that they cannot share rows."""
    lengths = []
    for i, leg in enumerate(legs):
        if len(leg.bars) < 2:
            raise BadInput(f"legs[{i}].bars", f"{len(leg.bars)} bars; a backtest needs at least 2")
        lengths.append(int(np.diff(pd.DatetimeIndex(leg.bars.index).as_unit("ms").asi8).min()))
    for i, length in enumerate(lengths):
        if length != lengths[0]:
            raise BadInput(
                f"legs[{i}].bars",
                f"bars of {length / 60_000:g} minutes beside bars of {lengths[0] / 60_000:g}; all legs of one account need the same timeframe",
            )


def _union(indices: list[pd.DatetimeIndex]) -> pd.DatetimeIndex:
    whole = indices[0]
    for index in indices[1:]:
        whole = whole.union(index)
    return pd.DatetimeIndex(whole, name=indices[0].name)


def _join_markets(markets: list[MarketArrays], places: list[NDArray[np.intp]], rows: int, day_id: NDArray[np.int64]) -> MarketArrays:
    """The markets of single symbols side by side, NaN where a symbol has no row."""

    def join(name: str) -> Floats:
        joined = np.full((rows, len(markets)), np.nan)
        for s, (one, place) in enumerate(zip(markets, places, strict=True)):
            joined[place, s] = np.broadcast_to(getattr(one, name), (len(place), 1))[:, 0]
        return joined

    decision_row = np.full((rows, len(markets)), -1, dtype=np.int64)
    for s, place in enumerate(places):
        decision_row[place, s] = np.arange(len(place))
    # A stop-out also closes what has no row of its own at that moment, with the slippage that was known last.
    slip = np.ascontiguousarray(pd.DataFrame(join("slip")).ffill().fillna(0.0).to_numpy(copy=True))
    return MarketArrays(join("open"), join("high"), join("low"), join("close"), join("spread"), join("rate"), day_id, decision_row, slip)


def _join_decisions(wishes: list[DecisionArrays], longest: int) -> DecisionArrays:
    """The decisions of single symbols side by side, each counted by its own bars; what is behind its last bar, up to `longest`, is never read."""
    columns = []
    for name in DecisionArrays._fields:
        parts = [getattr(one, name) for one in wishes]
        joined = np.zeros((longest if any(len(part) > 1 for part in parts) else 1, len(parts)), dtype=parts[0].dtype)
        for s, part in enumerate(parts):
            joined[: len(part) if len(part) > 1 else len(joined), s] = part[:, 0]
        columns.append(joined)
    return DecisionArrays(*columns)


def _close(step: StepResult, legs: Sequence[Leg], index: pd.DatetimeIndex, costs: Costs) -> tuple[pd.DataFrame, Floats, list[pd.DataFrame]]:
    """All trades, the equity with what is open closed at the last prices, and the trades leg by leg."""
    tables, equity = [], step.equity.copy()
    rows = pd.DataFrame(index=index)
    for s, leg in enumerate(legs):
        book = Book(step.book.account, *(getattr(step.book, name)[s : s + 1] for name in ("positions", "orders", "counts", "marks")))
        own = step._replace(events=step.events[step.events[:, b.E_SYMBOL] == s], book=book)
        table, closed = close_of_run(own, rows, leg.instrument, costs, "mt5", leg.strategy.reasons)
        equity[-1] += closed[-1] - step.equity[-1]
        tables.append(table.assign(leg=s, symbol=leg.instrument.symbol, strategy=leg.strategy.name))
    whole = pd.concat(tables, ignore_index=True).sort_values("exit_bar", kind="stable", ignore_index=True)
    return whole[list(PORTFOLIO_TRADE_COLUMNS)], equity, tables


def _leg_stats(leg: Leg, params: Params, table: pd.DataFrame, step: StepResult, s: int) -> dict[str, Any]:
    nets = table["net_profit"].to_numpy()
    lost = -float(nets[nets < 0].sum())
    return {
        "symbol": leg.instrument.symbol,
        "strategy": leg.strategy.name,
        "params": params.model_dump(mode="json"),
        "trades": len(table),
        "net_profit": float(nets.sum()),
        "costs": float(table["cost"].sum()),
        "swap": float(table["swap"].sum()),
        "win_rate": float((nets > 0).mean()) if len(nets) else 0.0,
        "profit_factor": float(nets[nets > 0].sum()) / lost if lost > 0 else None,
        "refused": refusals(step.events[step.events[:, b.E_SYMBOL] == s]),
    }
