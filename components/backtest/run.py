"""One backtest as a pure function: bars and a strategy in, trades, equity and measures out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.backtest.rates import Reference, conversion_for
from components.backtest.trades import Stats, close_of_run, daily_returns, last_of_day, measures, profits_of_run, refusals
from components.execution import Costs, DecisionArrays, Finer, MarketArrays, StepResult, decision_arrays, finer_rows, market_of_bars, run_step
from components.fx import AccountSpec, BadInput, BrokerDay, Instrument, Timeframe
from components.risk import Limits, Sizing
from components.strategy import Context, Params, Strategy

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FinerBars:
    """Bars of a shorter timeframe that decide what a run's own bars leave open.

    Parameters
    ----------
    bars : DataFrame, shape (m, ≥ 4)
        Of the same symbol.
    timeframe, above : Timeframe
        Theirs, and that of the run's bars.
    """

    bars: pd.DataFrame
    timeframe: Timeframe
    above: Timeframe


@dataclass(frozen=True)
class Result:
    """What a backtest found.

    Parameters
    ----------
    strategy : str
    params : dict
        All parameters, defaults filled in.
    trades : DataFrame, shape (m, 20)
        In the order of their exits. Times are UTC and name the bar in which the fill happened by its open; prices are those of the fills;
        `gross_profit`, `cost` (commission of entry and exit), `swap` and `net_profit` (the sum of it) are in account currency; `exit` is an `ExitKind` in lower case.
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
    finer: FinerBars | None = None,
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
        Defaults are those of their classes. Under ``reference`` the commission per lot is the only cost: backtesting.py's rules know one price.
    policy : {'mt5', 'reference'}
    probabilities : DataFrame, optional
        For strategies that trade a model: ``p_down p_flat p_up`` on the index of the bars.
    conversion : mapping of str to DataFrame, optional
        Bars of other pairs by symbol, where profit must be converted into the account's currency.
    reference : callable, optional
        Gives the ECB's reference rates, taken where no such bars lead to the account's currency.
    day : BrokerDay, optional
        The trading day by which daily returns are counted and swap is charged; the FX day by default.
    finer : FinerBars, optional
        Bars of a shorter timeframe, by which bars are decided in which two outcomes are possible. Only `mt5` has such bars.

    Returns
    -------
    Result
        With ``total_return``, ``net_profit``, ``sharpe`` (of daily returns, annualised), ``max_drawdown``, ``win_rate``,
        ``profit_factor`` (None without a loss), ``trades``, ``ambiguous_bars``, ``ambiguous_left`` (those that finer bars did not decide), ``finer``, ``profit_against`` and ``profit_favour`` (net profit with
        ambiguity resolved against and for the trader), ``costs`` (commission) and ``swap`` (account currency), ``exits`` and ``refused`` (counts by kind), ``ruined`` (equity reached
        zero), ``conversion`` (where the rates into the account's currency are from, and how old reference rates were at most) and
        ``returns_digest``.

    Raises
    ------
    BadInput
        If a parameter, a decision or the account cannot be used, or neither bars nor reference rates convert its profit.
    """
    runner = Runner(
        strategy,
        bars,
        instrument=instrument,
        account=account,
        costs=costs,
        sizing=sizing,
        limits=limits,
        policy=policy,
        probabilities=probabilities,
        conversion=conversion,
        reference=reference,
        day=day,
        finer=finer,
    )
    return runner.run(params)


@dataclass(frozen=True)
class Measured:
    """What one run came to, without its trades.

    Parameters
    ----------
    stats : dict
        `measures` of the run and ``ambiguous_bars``; plain JSON values. Ambiguity is resolved against the trader.
    daily : float64, shape (d,)
        Return of each trading day; of the same days for every run over the same rows.
    days : int64, shape (d,)
        Those days, as `BrokerDay.day_ids` counts.
    """

    stats: Stats
    daily: Floats
    days: NDArray[np.int64]


class Runner:
    """One strategy's bars, market and rules, prepared once, so that many parameters can be run over them.

    Parameters are those of `run_backtest`. A runner may be used by several threads at once; the compiled parts run beside each other.

    Raises
    ------
    BadInput
        If there are fewer than two bars, or neither bars nor reference rates convert the profit.
    """

    def __init__(
        self,
        strategy: Strategy,
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
        finer: FinerBars | None = None,
    ) -> None:
        if len(bars) < 2:
            raise BadInput("bars", f"{len(bars)} bars; a backtest needs at least 2")
        self.strategy, self.bars, self.instrument, self.policy = strategy, bars, instrument, policy
        self.account, self.costs, self.sizing, self.limits = account or AccountSpec(), costs or Costs(), sizing, limits
        self.context = Context(instrument, probabilities)
        converted = conversion_for(instrument, self.account.currency, bars, conversion, reference)
        self.conversion = converted.facts
        self.market = market_of_bars(bars, instrument, self.costs, converted.rate, day)
        self.finer: Finer | None = None
        if finer is not None and policy == "mt5":
            self.finer = finer_rows(self.market, bars, finer.above, finer.bars, finer.timeframe, instrument, day)

    @property
    def days(self) -> NDArray[np.int64]:
        """The trading days of `Measured.daily` over all bars."""
        return self.market.day_id[self._day_ends]

    @cached_property
    def _day_ends(self) -> NDArray[np.intp]:
        return last_of_day(self.market.day_id)

    def decide(self, params: Mapping[str, Any] | Params | None) -> DecisionArrays:
        """The strategy's decisions over all bars, checked, as the step reads them."""
        chosen = self.strategy.parse(params)
        return decision_arrays(self.strategy.decide(self.bars, self.context, chosen), len(self.bars))

    def run(
        self,
        params: Mapping[str, Any] | Params | None = None,
        *,
        rows: tuple[int, int] | None = None,
        decisions: DecisionArrays | None = None,
        balance: float | None = None,
    ) -> Result:
        """One backtest in full.

        Parameters
        ----------
        params : mapping or Params, optional
            Parameters that differ from the strategy's defaults.
        rows : (int, int), optional
            First row and end of the part that is traded; decisions are made over all bars, nothing is open before the first row, and what is
            open at the end is valued there. Bars of the trades count from the first of all bars.
        decisions : DecisionArrays, optional
            What `decide` gave for these parameters.
        balance : float, optional
            Starting balance, where it is not the account's.
        """
        chosen = self.strategy.parse(params)
        first, end = self._part(rows)
        account = self._account(balance)
        wishes = self.decide(chosen) if decisions is None else decisions
        step = self._step(chosen, first, end, wishes, account, "against")
        bars = self.bars if (first, end) == (0, len(self.bars)) else self.bars.iloc[first:end]
        trades, equity = close_of_run(step, bars, self.instrument, self.costs, self.policy, self.strategy.reasons)
        favour = equity
        if step.ambiguous_left:
            other = self._step(chosen, first, end, wishes, account, "favour")
            _, favour = profits_of_run(other, self.instrument, self.costs, self.policy)
        if first:
            trades = trades.assign(entry_bar=trades["entry_bar"] + first, exit_bar=trades["exit_bar"] + first)
        stats = measures(trades["net_profit"].to_numpy(), equity, self.market.day_id[first:end], account.balance)
        stats |= {
            "ambiguous_bars": step.ambiguous_rows,
            "ambiguous_left": step.ambiguous_left,
            "finer": None if self.finer is None else self.finer.facts,
            "profit_against": float(equity[-1] - account.balance),
            "profit_favour": float(favour[-1] - account.balance),
            "costs": float(trades["cost"].sum()),
            "swap": float(trades["swap"].sum()),
            "exits": {str(name): int(count) for name, count in trades["exit"].value_counts().items()},
            "refused": refusals(step.events),
            "ruined": bool(equity[-1] <= 0),
            "conversion": self.conversion,
        }
        return Result(self.strategy.name, chosen.model_dump(mode="json"), trades, pd.Series(equity, index=bars.index, name="equity"), stats)

    def measure(
        self,
        params: Mapping[str, Any] | Params | None = None,
        *,
        rows: tuple[int, int] | None = None,
        decisions: DecisionArrays | None = None,
        balance: float | None = None,
    ) -> Measured:
        """The measures of one backtest; parameters as in `run`, the same numbers as its `stats`."""
        chosen = self.strategy.parse(params)
        first, end = self._part(rows)
        account = self._account(balance)
        wishes = self.decide(chosen) if decisions is None else decisions
        step = self._step(chosen, first, end, wishes, account, "against")
        profits, equity = profits_of_run(step, self.instrument, self.costs, self.policy)
        day_id = self.market.day_id[first:end]
        ends = self._day_ends if len(day_id) == len(self.bars) else last_of_day(day_id)
        stats = measures(profits, equity, day_id, account.balance, ends) | {"ambiguous_bars": step.ambiguous_rows}
        return Measured(stats, daily_returns(equity, ends, account.balance), day_id[ends])

    def _part(self, rows: tuple[int, int] | None) -> tuple[int, int]:
        first, end = rows or (0, len(self.bars))
        if not 0 <= first < end - 1 < len(self.bars):
            raise BadInput("rows", f"rows {first} to {end} are not a part of {len(self.bars)} bars with at least 2")
        return first, end

    def _account(self, balance: float | None) -> AccountSpec:
        return self.account if balance is None else replace(self.account, balance=balance)

    def _step(self, params: Params, first: int, end: int, decisions: DecisionArrays | None, account: AccountSpec, resolution: str) -> StepResult:
        manage, manage_params = self.strategy.managing(params)
        wishes = self.decide(params) if decisions is None else decisions
        is_whole = (first, end) == (0, len(self.bars))
        return run_step(
            self.market if is_whole else MarketArrays(*(_cut(column, first, end) for column in self.market)),
            wishes if is_whole else DecisionArrays(*(_cut(column, first, end) for column in wishes)),
            [self.instrument],
            account,
            costs=self.costs,
            sizing=self.sizing,
            limits=self.limits,
            policy=self.policy,
            resolution=resolution,
            manage=manage,
            params=manage_params,
            # backtesting.py asks its strategies from the second bar on.
            first_bar=1 if self.policy == "reference" else 0,
            finer=None if self.finer is None else self.finer.rows.part(first, end),
        )


def _cut(column: NDArray[Any], first: int, end: int) -> NDArray[Any]:
    """Rows of a column; a constant has one row and stays."""
    return column[first:end] if len(column) > 1 else column
