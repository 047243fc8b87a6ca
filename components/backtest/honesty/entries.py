"""Whether a strategy's entries are better than random ones.

In the manner of Aronson (2006), Evidence-Based Technical Analysis, chapter 6: the rule is compared with random rules that share all that is
not skill. Here these are the number of entries, each one's side, hour of day and holding time, and the bars.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.backtest.honesty.bootstrap import CELLS_AT_ONCE
from components.fx import BadInput

Floats = NDArray[np.float64]
FEWEST_ENTRIES = 5


@dataclass(frozen=True)
class EntryTest:
    """Entries against random ones.

    Parameters
    ----------
    entries : int
    mean : float
        Mean move in the direction of the trade from the entry bar's open to the exit bar's close; 0.001 is 0.1 percent.
    random_mean, random_deviation : float
        Mean of the draws' means and their standard deviation.
    p_value : float
        Chance that random entries do as well or better, (1 + hits)/(1 + draws).
    draws : int
    means : float64, shape (draws,)
        Of the random entries.
    """

    entries: int
    mean: float
    random_mean: float
    random_deviation: float
    p_value: float
    draws: int
    means: Floats


def entry_significance(
    bars: pd.DataFrame, trades: pd.DataFrame, *, draws: int = 1_000, seed: int = 0, report: Callable[[float], None] | None = None
) -> EntryTest:
    """Compare the entries of a run with random entries on the same bars.

    Parameters
    ----------
    bars : DataFrame, shape (n, ≥ 4)
        The bars of the run.
    trades : DataFrame, shape (m, …)
        Its trades; `entry_bar` and `exit_bar` count rows of `bars`.
    draws, seed : int
    report : callable, optional
        Told the fraction that is done.

    Raises
    ------
    BadInput
        If there are fewer than 5 trades, or their bars are unknown.

    Notes
    -----
    Each trade keeps its side, its UTC hour of entry and the number of bars it is held; only the day is drawn, with equal chance among all
    bars of that hour after which as many bars are left. Exits are fixed by that, so that only the moment of entry is judged: stops and
    targets are not, and costs, which are the same for both, are left out. A drift of the market helps both alike.
    """
    n, m = len(bars), len(trades)
    if m < FEWEST_ENTRIES:
        raise BadInput("trades", f"{m} trades are too few to compare; at least {FEWEST_ENTRIES}")
    if draws < 1:
        raise BadInput("draws", f"{draws} is below 1")
    entry, leave = trades["entry_bar"].to_numpy(dtype=np.int64), trades["exit_bar"].to_numpy(dtype=np.int64)
    if entry.min() < 0 or leave.max() >= n:
        raise BadInput("trades", "their bars are unknown; only a run made here can be compared")
    side, held = trades["side"].to_numpy(dtype=np.float64), leave - entry
    opens, closes = np.log(bars["open"].to_numpy(dtype=np.float64)), np.log(bars["close"].to_numpy(dtype=np.float64))
    hours = (pd.DatetimeIndex(bars.index).as_unit("ms").asi8 // 3_600_000) % 24
    by_hour = np.argsort(hours, kind="stable")
    begins = np.searchsorted(hours[by_hour], np.arange(25))
    hour = hours[entry]
    # Within its hour the bars are in time order: those after which the trade still fits are a beginning of them.
    keys = by_hour + hours[by_hour] * n
    choices = np.searchsorted(keys, hour * n + (n - 1 - held), side="right") - begins[hour]
    mean = float(np.mean(side * (closes[leave] - opens[entry])))
    rng = np.random.default_rng(seed)
    means = np.empty(draws)
    at_once = max(1, CELLS_AT_ONCE // m)
    for begin in range(0, draws, at_once):
        count = min(at_once, draws - begin)
        place = by_hour[begins[hour] + np.minimum((rng.random((count, m)) * choices).astype(np.int64), choices - 1)]
        means[begin : begin + count] = (side * (closes[place + held] - opens[place])).mean(axis=1)
        if report is not None:
            report((begin + count) / draws)
    # A hair's width, so that a draw that is the same trades summed in another order counts as equal.
    hits = int((means >= mean - 1e-15).sum())
    return EntryTest(m, mean, float(means.mean()), float(means.std()), (1 + hits) / (1 + draws), draws, means)
