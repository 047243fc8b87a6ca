"""Monte Carlo over bars: the market's days in another order, and the whole strategy run again on each such market."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from components.backtest.honesty.bootstrap import Floats, stationary_indices
from components.backtest.honesty.daily import day_ids
from components.fx import FX_DAY, BadInput

if TYPE_CHECKING:
    from components.backtest.execute import Inputs

FEWEST_DAYS = 20
MS_PER_HOUR = 3_600_000
HOURS_PER_WEEK = 168
LONGER_THAN_A_DAY_MS = 26 * MS_PER_HOUR


@dataclass(frozen=True)
class BarPaths:
    """What the strategy came to on each resampled market, shape (draws,) each.

    Parameters
    ----------
    total_return, sharpe, drawdown : float64
        As of a run: total return, annualised Sharpe ratio, drawdown as a positive fraction.
    trades : int64
    """

    total_return: Floats
    sharpe: Floats
    drawdown: Floats
    trades: Any

    def frame(self) -> pd.DataFrame:
        """One row for each market."""
        return pd.DataFrame({name: getattr(self, name) for name in ("total_return", "sharpe", "drawdown", "trades")})


def resample_bars(bars: pd.DataFrame, rng: np.random.Generator, *, block_days: float = 5.0, digits: int | None = None) -> pd.DataFrame:
    """Bars whose days are drawn anew in blocks, prices chained so that each bar moves as it did.

    Parameters
    ----------
    bars : DataFrame, shape (n, ≥ 4)
        A bars frame of at least 20 trading days; with W1 bars a day is a week.
    rng : Generator
    block_days : float
        Mean length of the blocks, in trading days (stationary bootstrap).
    digits : int, optional
        Decimals to which prices are rounded.

    Returns
    -------
    DataFrame, shape (about n, same columns)
        A valid bars frame. Each day of the calendar gets all bars of a drawn day at their own times of day; bars that a day shortened by a
        clock change cannot hold, or that lie in an hour of the week at which there never is one, are left out. The first bar of a drawn day keeps its own gap from the bar before it.
    """
    times = pd.DatetimeIndex(bars.index).as_unit("ms")
    ms, ids = times.asi8, day_ids(times)
    first = np.flatnonzero(np.diff(ids, prepend=ids[0] - 1)) if len(ids) else np.empty(0, dtype=np.int64)
    days = len(first)
    if days < FEWEST_DAYS:
        raise BadInput("bars", f"{days} trading days are too few to draw from; at least {FEWEST_DAYS}")
    counts = np.diff(first, append=len(ids))
    starts = FX_DAY.start_ms(ms[first])
    ends = FX_DAY.start_ms(starts + LONGER_THAN_A_DAY_MS)
    drawn = stationary_indices(days, block_days, 1, rng)[0]
    slot = np.repeat(np.arange(days), counts[drawn])
    within = np.arange(len(slot)) - np.repeat(np.cumsum(counts[drawn]) - counts[drawn], counts[drawn])
    rows = first[drawn][slot] + within
    at = starts[slot] + ms[rows] - starts[drawn][slot]
    # The hours of the week at which the market is never open stay closed: a Monday drawn for a Saturday's last bars has only these.
    fits = (at < ends[slot]) & np.isin(at // MS_PER_HOUR % HOURS_PER_WEEK, np.unique(ms // MS_PER_HOUR % HOURS_PER_WEEK))
    rows, at = rows[fits], at[fits]
    prices = np.log(bars[["open", "high", "low", "close"]].to_numpy(dtype=np.float64))
    before = np.concatenate((prices[:1, 0], prices[:-1, 3]))
    moves = (prices - before[:, None])[rows]
    level = prices[0, 0] + np.concatenate(([0.0], np.cumsum(moves[:, 3])[:-1]))
    chained = np.exp(level[:, None] + moves)
    if digits is not None:
        chained = np.round(chained, digits)
    index = pd.DatetimeIndex(at.astype("M8[ms]"), name=bars.index.name).tz_localize("UTC")
    others = {name: bars[name].to_numpy()[rows] for name in bars.columns if name not in ("open", "high", "low", "close")}
    made = pd.DataFrame({"open": chained[:, 0], "high": chained[:, 1], "low": chained[:, 2], "close": chained[:, 3], **others}, index=index)
    return made[list(bars.columns)]


def bar_paths(
    home: Path, inputs: Inputs, *, draws: int = 100, block_days: float = 5.0, seed: int = 0, report: Callable[[float], None] | None = None
) -> BarPaths:
    """Run a strategy again on resampled markets.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    inputs : Inputs
        What a run's spec names, from `load_inputs`. A model is asked anew on every market.
    draws, seed : int
    block_days : float
        As in `resample_bars`.
    report : callable, optional
        Told the fraction that is done; raising from it ends the work.

    Notes
    -----
    What the strategy lives on and what lasts longer than a block (a trend over weeks) is broken up; what happens within days is kept. Bars
    that convert profit into the account's currency stay as they were.
    """
    from components.backtest.execute import runner_for

    rng = np.random.default_rng(seed)
    rows = []
    for number in range(draws):
        market = resample_bars(inputs.bars, rng, block_days=block_days, digits=inputs.instrument.digits)
        stats = runner_for(home, replace(inputs, bars=market)).measure(inputs.params).stats
        rows.append((stats["total_return"], stats["sharpe"], stats["max_drawdown"], stats["trades"]))
        if report is not None:
            report((number + 1) / draws)
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    return BarPaths(table[:, 0], table[:, 1], table[:, 2], table[:, 3].astype(np.int64))
