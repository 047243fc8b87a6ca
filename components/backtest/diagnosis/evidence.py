"""What a diagnosis looks at: one run with its trades, its equity and, where they are asked for, its bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.backtest.store import BacktestStore, StoredRun
from components.backtest.studies import Point
from components.fx import FX_DAY, BadInput, Instrument, NotFound, PlatformError, Timeframe, daily_equity, drawdown_curve, instrument, returns_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MS_PER_DAY = 86_400_000
MS_PER_HOUR = 3_600_000
SHOWN_POINTS = 20_000
"""Points of a sweep that are looked at, at most."""


@dataclass
class Evidence:
    """One run and what is known about it.

    Parameters
    ----------
    run : StoredRun
    trades : DataFrame, shape (m, …)
        As `BacktestStore.trades` gives them.
    equity : Series, shape (n,)
        Equity in account currency on UTC open times.
    instrument : Instrument or None
        None where the symbol is not known here.
    timeframe : Timeframe or None
    load_bars : callable, optional
        Gives the bars of the run; called only when a check needs them.
    points : sequence of Point
        Points of the newest sweep of the same strategy over the same bars.
    quality : dict or None
        ``score`` (0 to 100), ``state`` and ``source`` of the bar set.
    warmup_bars : int or None
        What the strategy needs before its first decision.
    trained_until_ms : int or None
        End of what the run's model was trained on.
    """

    run: StoredRun
    trades: pd.DataFrame
    equity: pd.Series
    instrument: Instrument | None = None
    timeframe: Timeframe | None = None
    load_bars: Callable[[], pd.DataFrame | None] = lambda: None
    points: Sequence[Point] = ()
    quality: Mapping[str, Any] | None = None
    warmup_bars: int | None = None
    trained_until_ms: int | None = None

    @property
    def stats(self) -> dict[str, Any]:
        """The measures of the run."""
        return self.run.stats

    @property
    def spec(self) -> dict[str, Any]:
        """What the run was asked for."""
        return self.run.spec

    @cached_property
    def balance(self) -> float:
        """The starting balance, in account currency."""
        account = self.spec.get("account") or {}
        return float(account.get("balance") or self.spec.get("balance") or (self.curve[0] if len(self.curve) else 0.0) or 1.0)

    @property
    def is_ours(self) -> bool:
        """Whether the platform ran it, so that its costs and rows are known."""
        return self.run.source == "sequence" and self.run.policy == "mt5"

    @cached_property
    def net(self) -> Floats:
        """Net profit of each trade, account currency, shape (m,)."""
        return self._floats("net_profit")

    @cached_property
    def gross(self) -> Floats:
        """Profit of each trade before commission and swap, account currency."""
        return self._floats("gross_profit")

    @cached_property
    def swap(self) -> Floats:
        """Overnight interest of each trade, account currency; zeros in runs that knew none."""
        return self._floats("swap") if "swap" in self.trades else np.zeros(len(self.trades))

    @cached_property
    def side(self) -> Ints:
        """+1 long, −1 short."""
        return self.trades["side"].to_numpy(dtype=np.int64)

    @cached_property
    def market(self) -> Ints:
        """Which of several symbols or legs each trade belongs to; all 0 for a run of one."""
        names = [name for name in ("leg", "symbol") if name in self.trades.columns]
        if not names:
            return np.zeros(len(self.trades), dtype=np.int64)
        return pd.factorize(self.trades[names[0]])[0].astype(np.int64)

    @cached_property
    def lots(self) -> Floats:
        """Size of each trade, in lots."""
        return self._floats("lots")

    @cached_property
    def entry_ms(self) -> Ints:
        """Open of the bar of each entry, epoch milliseconds UTC."""
        return self._times("entry_time")

    @cached_property
    def exit_ms(self) -> Ints:
        """Open of the bar of each exit, epoch milliseconds UTC."""
        return self._times("exit_time")

    @cached_property
    def exits(self) -> NDArray[Any]:
        """How each trade ended, `ExitKind` in lower case."""
        return self.trades["exit"].astype(str).str.lower().to_numpy(dtype=object)

    @cached_property
    def curve(self) -> Floats:
        """Equity at each row, shape (n,)."""
        return np.asarray(self.equity.to_numpy(dtype=np.float64))

    @cached_property
    def curve_ms(self) -> Ints:
        """The rows' open times, epoch milliseconds UTC."""
        return np.array(pd.DatetimeIndex(self.equity.index).as_unit("ms").asi8, dtype=np.int64)

    @cached_property
    def day_id(self) -> Ints:
        """FX day of each row."""
        return FX_DAY.day_ids(pd.DatetimeIndex(self.equity.index)).to_numpy(dtype=np.int64)

    @cached_property
    def days(self) -> Ints:
        """The FX days of `daily`."""
        return self.day_id[np.append(np.diff(self.day_id) != 0, True)] if len(self.day_id) else self.day_id

    @cached_property
    def daily(self) -> Floats:
        """Return of each FX day."""
        if len(self.curve) == 0:
            return np.empty(0)
        return returns_of(daily_equity(np.concatenate(([self.balance], self.curve)), np.concatenate((self.day_id[:1], self.day_id))))

    @cached_property
    def drawdown(self) -> Floats:
        """Fall from the running peak at each row, as a positive fraction; the starting balance is the first peak."""
        return drawdown_curve(np.concatenate(([self.balance], self.curve)))[1:]

    @cached_property
    def span_ms(self) -> int:
        """Length of the run."""
        return int(self.curve_ms[-1] - self.curve_ms[0]) if len(self.curve_ms) else 0

    @cached_property
    def net_profit(self) -> float:
        """Net profit of all trades, account currency."""
        return float(self.net.sum())

    @cached_property
    def bars(self) -> pd.DataFrame | None:
        """The bars of the run; None where they are not known or gone."""
        found = self.load_bars()
        return found if found is not None and len(found) == len(self.equity) else None

    @cached_property
    def spread(self) -> Floats | None:
        """Spread at each entry, in price units, shape (m,); None where neither the bars nor the costs tell it."""
        if self.instrument is None or not self.is_ours:
            return None
        rows = self.entry_rows
        recorded = self.recorded_spread
        if recorded is not None and rows is not None:
            return np.asarray(recorded[rows] * self.instrument.point)
        assumed = self.costs.get("spread_points")
        return None if assumed is None else np.full(len(self.trades), float(assumed) * self.instrument.point)

    @cached_property
    def recorded_spread(self) -> Floats | None:
        """Spread of each bar in points, where the bars have one."""
        if self.bars is None or "spread_points" not in self.bars:
            return None
        values = self.bars["spread_points"].to_numpy(dtype=np.float64)
        return values if np.nanmax(values, initial=0.0) > 0 else None

    @cached_property
    def entry_rows(self) -> Ints | None:
        """Row of the bar of each entry; None where the run does not know it."""
        return self._rows("entry_bar")

    @cached_property
    def exit_rows(self) -> Ints | None:
        """Row of the bar of each exit; None where the run does not know it."""
        return self._rows("exit_bar")

    @property
    def costs(self) -> dict[str, Any]:
        """`Costs` as the run was asked for."""
        return self.spec.get("costs") or {}

    @cached_property
    def value_per_price(self) -> Floats:
        """Profit of one lot for a price difference of 1, account currency, at each trade's own conversion rate, shape (m,)."""
        if self.instrument is None:
            return np.full(len(self.trades), np.nan)
        move = self.side * (self._floats("exit_price") - self._floats("entry_price")) * self.lots
        clear = np.abs(move) > self.instrument.point * self.lots
        if not clear.any():
            return np.full(len(self.trades), np.nan)
        value = np.divide(self.gross, move, out=np.full(len(move), np.nan), where=clear)
        return np.where(np.isnan(value), float(np.nanmedian(value)), value)

    @cached_property
    def equity_at_entry(self) -> Floats:
        """Equity of the row before each entry, account currency, shape (m,)."""
        if len(self.curve) == 0:
            return np.full(len(self.trades), self.balance)
        before = np.searchsorted(self.curve_ms, self.entry_ms, side="left") - 1
        return np.where(before >= 0, self.curve[np.maximum(before, 0)], self.balance)

    def prices(self, column: str) -> Floats:
        """A column of prices of the trades, NaN for none."""
        return self._floats(column)

    def _floats(self, column: str) -> Floats:
        return self.trades[column].to_numpy(dtype=np.float64)

    def _times(self, column: str) -> Ints:
        return np.array(pd.DatetimeIndex(self.trades[column]).as_unit("ms").asi8, dtype=np.int64)

    def _rows(self, column: str) -> Ints | None:
        if column not in self.trades or len(self.trades) == 0:
            return None
        rows = self.trades[column].to_numpy(dtype=np.int64)
        return rows if (rows >= 0).all() and (rows < len(self.curve)).all() else None


def evidence_of(home: Path, run_id: str) -> Evidence:
    """The evidence of a kept run; its bars are read only when a check asks for them.

    Raises
    ------
    NotFound
        If there is no such run, or its files are gone.
    """
    home = Path(home)
    store = BacktestStore.open(home)
    try:
        run = store.run(run_id)
        trades, equity = store.trades(run_id), store.equity(run_id)["equity"]
        points = _points(store, run)
    finally:
        store.close()
    evidence = Evidence(run, trades, equity, _instrument(run.symbol), _timeframe(run.timeframe), lambda: _bars(home, run), points)
    evidence.quality = _quality(home, run)
    if run.source == "sequence":
        evidence.warmup_bars = _warmup(run)
        evidence.trained_until_ms = _trained_until(home, run)
    return evidence


def _points(store: BacktestStore, run: StoredRun) -> Sequence[Point]:
    for study in store.studies.studies("sweep"):
        if run.bar_set_id is not None and (study.strategy, study.bar_set_id, study.state) == (run.strategy, run.bar_set_id, "done"):
            return store.studies.points(study.id)[:SHOWN_POINTS]
    return ()


def _instrument(symbol: str) -> Instrument | None:
    try:
        return instrument(symbol)
    except BadInput:
        return None


def _timeframe(name: str) -> Timeframe | None:
    try:
        return Timeframe.named(name)
    except BadInput:
        return None


def _bars(home: Path, run: StoredRun) -> pd.DataFrame | None:
    from components.pipeline import PipelineStore

    if run.bar_set_id is None:
        return None
    store = PipelineStore.open(home)
    try:
        return store.load_bars(run.bar_set_id)
    except PlatformError:
        return None  # deleted or damaged since: the checks that need bars say nothing
    finally:
        store.close()


def _quality(home: Path, run: StoredRun) -> dict[str, Any] | None:
    from components.pipeline import PipelineStore

    if run.bar_set_id is None:
        return None
    store = PipelineStore.open(home)
    try:
        bar_set = store.bar_set(run.bar_set_id)
    except NotFound:
        return None
    finally:
        store.close()
    return {"score": bar_set.quality_score, "state": bar_set.state, "source": bar_set.source}


def _warmup(run: StoredRun) -> int | None:
    from components.strategy import strategy

    try:
        item = strategy(run.strategy)
        return int(item.warmup_bars(item.parse(run.params)))
    except BadInput:
        return None


def _trained_until(home: Path, run: StoredRun) -> int | None:
    if run.model_id is None:
        return None
    from components.models import ModelStore

    store = ModelStore.open(home)
    try:
        return int(store.get(run.model_id).trained_until_ms)
    except NotFound:
        return None
    finally:
        store.close()
