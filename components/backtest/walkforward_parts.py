"""One part of a history: every parameter point measured on it, the best one chosen, a choice run on it.

A part is cut out of the bars together with the history before it that decisions need, and with nothing behind it: whatever a strategy does,
what comes after a part cannot move what is found on it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.backtest.cpcv import Stretch
from components.backtest.execute import Inputs, runner_of
from components.backtest.rates import Reference
from components.backtest.run import FinerBars, Runner
from components.backtest.sweep_spec import merit
from components.backtest.trades import Stats, daily_returns, last_of_day
from components.execution import decision_arrays
from components.fx import BadInput, BrokerDay, PlatformError, max_drawdown, sharpe_ratio
from components.strategy import Decisions, Params, Strategy

Floats = NDArray[np.float64]
DAYS_PER_YEAR = 252.0


@dataclass(frozen=True)
class PartMeasure:
    """What one parameter point came to on one part; `stats` is empty and `error` says why where it could not be run.

    Parameters
    ----------
    stats : dict
        As `measures` gives them, and ``calmar``.
    daily : float64, shape (d,)
        Return of each trading day of the part.
    error : str
    """

    stats: Stats
    daily: Floats
    error: str = ""


@dataclass(frozen=True)
class Ground:
    """What parts are cut from.

    Parameters
    ----------
    inputs : Inputs
        Strategy, bars, instrument, account, costs, sizing, limits and fill policy; its parameters are not used.
    history_bars : int
        Bars before a part that its decisions may use: the longest warm-up of all points.
    reference : callable, optional
        Gives the ECB's reference rates, as `Runner` takes it.
    """

    inputs: Inputs
    history_bars: int
    reference: Reference | None = None

    @property
    def strategy(self) -> Strategy:
        """What is walked."""
        return self.inputs.strategy

    @property
    def bars(self) -> pd.DataFrame:
        """All bars."""
        return self.inputs.bars

    def runner(self, span: Stretch, probabilities: pd.DataFrame | None = None) -> tuple[Runner, int]:
        """A runner over a part and the history before it, and the place of its first bar among all bars."""
        inputs = self.inputs
        start = max(0, span[0] - self.history_bars)
        bars = inputs.bars.iloc[start : span[1]]
        answers = None if probabilities is None else probabilities.reindex(bars.index)
        finer = None if inputs.finer is None else _within(inputs.finer, bars)
        return runner_of(inputs, answers, reference=self.reference, bars=bars, finer=finer), start


def measure_points(
    ground: Ground, spans: Sequence[Stretch], points: Sequence[Params], probabilities: pd.DataFrame | None = None, cores: int = 1
) -> Iterator[PartMeasure]:
    """Every point measured on a part, in the order of the points.

    Decisions are made from the first bar of each span on and what is open at its end is closed there, at its last prices and with the
    commission of the exit; each span begins with the account's starting balance.

    Parameters
    ----------
    ground : Ground
    spans : sequence of (int, int)
        The part; several spans are put together day by day.
    points : sequence of Params
    probabilities : DataFrame, optional
        On an index that holds every bar of the part; missing rows count as not known.
    cores : int
        Points measured at a time.
    """
    runners = [(*ground.runner(span, probabilities), span) for span in spans]

    def measure(params: Params) -> PartMeasure:
        try:
            parts = [runner.measure(params, rows=(span[0] - start, span[1] - start)) for runner, start, span in runners]
        except PlatformError as error:
            return PartMeasure({}, np.empty(0), error.message)
        return put_together([PartMeasure(_with_calmar(part.stats), part.daily) for part in parts])

    if cores <= 1:
        yield from map(measure, points)
        return
    with ThreadPoolExecutor(max_workers=cores) as threads:
        waiting = [threads.submit(measure, params) for params in points]
        try:
            for future in waiting:
                yield future.result()
        finally:  # the caller may have been told to stop
            for future in waiting:
                future.cancel()


def best_point(measured: Sequence[PartMeasure], criterion: str, min_trades: int) -> int | None:
    """Place of the best point; the first of equals, None where none could be run with at least `min_trades` trades."""
    best, best_value = None, -math.inf
    for place, one in enumerate(measured):
        value = None if one.error else merit(one.stats, criterion, min_trades)
        if value is not None and value > best_value:
            best, best_value = place, value
    return best


def run_part(
    ground: Ground, span: Stretch, params: Params, balance: float, probabilities: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, PartMeasure]:
    """A choice run on a part, from a balance.

    The first decision is made at the close of the part's first bar, and what is open at the close of its last one is closed there.

    Returns
    -------
    equity : DataFrame
        ``time`` (open of each bar of the part) and ``equity`` (at its close, in account currency).
    trades : DataFrame
        As in `Result.trades`; bars count from the first of all bars.
    measure : PartMeasure
    """
    runner, start = ground.runner(span, probabilities)
    result = runner.run(params, rows=(span[0] - start, span[1] - start), balance=balance)
    trades = result.trades.assign(entry_bar=result.trades["entry_bar"] + start, exit_bar=result.trades["exit_bar"] + start)
    return _curve(result.equity), trades, _of_equity(result.stats, result.equity, balance)


def flat_part(ground: Ground, span: Stretch, params: Params, balance: float) -> tuple[pd.DataFrame, pd.DataFrame, PartMeasure]:
    """A part in which nothing is traded, as `run_part` gives one; also for an account that has nothing left."""
    runner, start = ground.runner(span)
    held = max(balance, 0.0)
    nothing = decision_arrays(Decisions(side=0), len(runner.bars))
    result = runner.run(params, rows=(span[0] - start, span[1] - start), decisions=nothing, balance=held or 1.0)
    equity = pd.Series(held, index=result.equity.index, name="equity")
    stats = {**result.stats, "final_equity": held}
    return _curve(equity), result.trades, _of_equity(stats, equity, held)


def put_together(parts: Sequence[PartMeasure]) -> PartMeasure:
    """Measures of several stretches as of one: returns compounded, drawdown on their days put one behind the other."""
    if len(parts) == 1:
        return parts[0]
    daily = np.concatenate([part.daily for part in parts])
    counts = np.array([part.stats["trades"] for part in parts], dtype=np.float64)
    trades = int(counts.sum())

    def per_trade(name: str) -> float:
        return float(np.dot([part.stats[name] for part in parts], counts)) / trades if trades else 0.0

    stats = {
        "sharpe": sharpe_ratio(daily),
        "total_return": float(np.prod([1.0 + part.stats["total_return"] for part in parts]) - 1.0),
        "net_profit": float(sum(part.stats["net_profit"] for part in parts)),
        "max_drawdown": max_drawdown(np.concatenate(([1.0], np.cumprod(1.0 + daily)))),
        "trades": trades,
        "days": len(daily),
        "win_rate": per_trade("win_rate"),
        "average_profit": per_trade("average_profit"),
        "profit_factor": None,
        "returns_digest": hashlib.sha256(daily.tobytes()).hexdigest(),
    }
    return PartMeasure(_with_calmar(stats), daily)


def trading_days(times: Any) -> NDArray[np.int64]:
    """The FX day of each time, shape (n,)."""
    return np.require(BrokerDay().day_ids(pd.DatetimeIndex(times)), np.int64)


def history_of(strategy: Strategy, points: Sequence[Params]) -> int:
    """Bars of history that decisions at any of the points need."""
    return max((int(strategy.warmup_bars(params)) for params in points), default=0)


def check_history(history_bars: int, first_train_end: int) -> None:
    """Refuse windows whose first training part is over before the slowest point has warmed up."""
    if history_bars >= first_train_end:
        raise BadInput(
            "train_bars",
            f"the first training part ends at bar {first_train_end:,}, but a parameter point needs {history_bars:,} bars to warm up; "
            "train on more bars or leave out the slowest values",
        )


def _within(finer: FinerBars, bars: pd.DataFrame) -> FinerBars:
    """The finer bars of the time that the bars cover."""
    end = bars.index[-1] + pd.Timedelta(finer.above.ms, unit="ms")
    return replace(finer, bars=finer.bars[(finer.bars.index >= bars.index[0]) & (finer.bars.index < end)])


def _with_calmar(stats: Stats) -> Stats:
    """The measures and the Calmar ratio: return per year over the largest drawdown; None without one."""
    years = stats["days"] / DAYS_PER_YEAR
    has = years > 0 and stats["max_drawdown"] > 0
    return {**stats, "calmar": stats["total_return"] / years / stats["max_drawdown"] if has else None}


def _curve(equity: pd.Series) -> pd.DataFrame:
    return pd.DataFrame({"time": pd.DatetimeIndex(equity.index).as_unit("ms"), "equity": equity.to_numpy(dtype=np.float64)})


def _of_equity(stats: Stats, equity: pd.Series, balance: float) -> PartMeasure:
    return PartMeasure(_with_calmar(stats), daily_returns(equity.to_numpy(dtype=np.float64), last_of_day(trading_days(equity.index)), balance))
