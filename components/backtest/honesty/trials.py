"""How many tries a result was picked from: raw, distinct and effective, from the trial ledger.

Effective number of tries
-------------------------
Tries whose daily returns move together are one bet tried again. The tries whose returns are kept (points of sweeps and kept runs) are grouped
by average-linkage clustering over the distance √((1 − ρ)/2) of their daily returns, cut at 0.5: two groups are one where the average
correlation between them is about ½ or above (López de Prado and Lewis 2019, Detection of false investment strategies, cluster the same
distance; a fixed cut replaces their search by silhouettes, which cannot answer "all the same" or "all different"). Tries on different bars
are different bets. Where only a part was looked at (returns of a part are kept, or there are many), the groups that were not seen are
estimated from those with one and with two members (Chao 1984, bias-corrected: K + f₁(f₁ − 1)/(2(f₂ + 1))); where that part is smaller than 30,
its share of groups is taken for all, which counts rather too many. The effective number is never above the distinct one, and that never above the
raw one.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.backtest.honesty.daily import daily_returns
from components.backtest.honesty.sharpe import TRADING_DAYS, SharpeFacts
from components.backtest.honesty.sweeps import sweep_returns
from components.backtest.store import BacktestStore
from components.fx import NotFound
from components.ledger import Tally, TrialLedger, tally

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SAME_BET = 0.5
MOST_CLUSTERED = 300
MOST_RUNS = 50
MOST_SWEEPS = 200
FEWEST_COMMON = 20
FEWEST_SEEN = 30


@dataclass(frozen=True)
class TrialCount:
    """The tries of one hypothesis family.

    Parameters
    ----------
    family : str
    raw, distinct : int
        All tries, and those that differ (see `ledger.Tally`).
    effective : float
        How many independent bets they amount to, between 1 and `distinct`.
    kept, clusters : int
        Tries whose returns were grouped, and the groups.
    sharpe_variance : float or None
        Variance of the annualised Sharpe ratios of the distinct tries; None where fewer than two have one.
    tally : Tally
    """

    family: str
    raw: int
    distinct: int
    effective: float
    kept: int
    clusters: int
    sharpe_variance: float | None
    tally: Tally

    def daily_variance(self, facts: SharpeFacts, *, independent: bool = False) -> float:
        """Variance of the tries' Sharpe ratios, per day.

        Parameters
        ----------
        facts : SharpeFacts
            Of the run that is judged.
        independent : bool
            Of the effective tries: never below that of the estimate itself without any edge, 1/(days − 1). Tries that move together scatter less
            than that because they share their luck; counting them as few and their scatter as small would forgive the same thing twice.

        Returns
        -------
        float
            That of the tries' t-statistics, brought to the run's number of days: a window of two months scatters more than three years do, and
            says nothing about these. Where the lengths of the tries are unknown, that of their Sharpe ratios; 1/(days − 1) where the ledger
            knows fewer than two.
        """
        alone = 1.0 / (facts.days - 1)
        if self.tally.t_variance is not None:
            known = self.tally.t_variance / facts.days
        elif self.sharpe_variance is not None:
            known = self.sharpe_variance / TRADING_DAYS
        else:
            known = alone
        return max(known, alone) if independent else known


def count_trials(home: Path, family: str) -> TrialCount:
    """Count the tries of a family; its clusters are remembered until another try is noted.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    family : str
        A strategy's name, or whatever its tries were noted under.
    """
    ledger = TrialLedger.open(home)
    try:
        counted = tally(ledger, family)
    finally:
        ledger.close()
    sizes = _group_sizes(str(Path(home).absolute()), family, counted.newest) if counted.raw else ()
    effective = effective_number(sizes, counted.distinct)
    return TrialCount(family, counted.raw, counted.distinct, effective, sum(sizes), len(sizes), counted.sharpe_variance, counted)


def effective_number(sizes: Sequence[int], distinct: int) -> float:
    """Independent bets among `distinct` tries, of which those looked at fall into groups of these sizes; between 1 and `distinct`."""
    seen, groups = sum(sizes), len(sizes)
    estimate = float(groups)
    if not seen:
        estimate = float(distinct)
    elif seen < min(distinct, FEWEST_SEEN):
        estimate = distinct * groups / seen
    elif seen < distinct:
        ones, twos = sizes.count(1), sizes.count(2)
        estimate = groups + ones * (ones - 1) / (2.0 * (twos + 1))
    return min(max(estimate, 1.0), float(max(distinct, 1)))


def clusters(returns: Floats, same_bet: float = SAME_BET) -> Ints:
    """Group series of returns that move together.

    Parameters
    ----------
    returns : ndarray, shape (n, t)
        One row for each try, over the same days.
    same_bet : float
        Correlation from which two groups are one; the cut of the tree is at the distance √((1 − same_bet)/2).

    Returns
    -------
    int64, shape (n,)
        Number of each row's group, from 0. A row that never moves is equal to others of its kind and unlike all else.
    """
    n = len(returns)
    if n == 0:
        return np.empty(0, dtype=np.int64)
    distance = _distances(returns)
    np.fill_diagonal(distance, np.inf)
    members: list[list[int]] = [[row] for row in range(n)]
    sizes = np.ones(n)
    cut = math.sqrt((1.0 - same_bet) / 2.0)
    for _ in range(n - 1):
        place = int(np.argmin(distance))
        one, other = divmod(place, n)
        if not distance[one, other] <= cut:
            break
        merged = (sizes[one] * distance[one] + sizes[other] * distance[other]) / (sizes[one] + sizes[other])
        merged[[one, other]] = np.inf
        distance[one], distance[:, one] = merged, merged
        distance[other], distance[:, other] = np.inf, np.inf
        sizes[one] += sizes[other]
        members[one] += members[other]
        members[other] = []
    labels = np.empty(n, dtype=np.int64)
    for number, rows in enumerate(group for group in members if group):
        labels[rows] = number
    return labels


def _distances(returns: Floats) -> Floats:
    """√((1 − ρ)/2) between rows, shape (n, n); 0 between two that never move, √½ between one of them and another."""
    centred = returns - returns.mean(axis=1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=1))
    still = length < 1e-15
    unit = centred / np.where(still, 1.0, length)[:, None]
    correlation = np.clip(unit @ unit.T, -1.0, 1.0)
    correlation[np.ix_(still, still)] = 1.0
    distances: Floats = np.sqrt((1.0 - correlation) / 2.0)
    return distances


@lru_cache(maxsize=64)
def _group_sizes(home: str, family: str, newest: int) -> tuple[int, ...]:
    """How many of the family's distinct tries that were looked at fall into each group."""
    sizes: list[int] = []
    for series in _kept_returns(Path(home), family).values():
        for rows in _over_common_days(series):
            several = np.array(list({row.tobytes(): row for row in rows}.values()))
            # Evenly over all of them, so that the sample has the regions of a sweep in the shares that the sweep has.
            chosen = several[np.linspace(0, len(several) - 1, min(len(several), MOST_CLUSTERED)).astype(np.int64)]
            sizes += np.bincount(clusters(chosen)).tolist()
    return tuple(sizes)


def _over_common_days(series: Sequence[tuple[Ints, Floats]]) -> list[Floats]:
    """Returns (n, days) over the days that they share; those that share less than half of the shorter one's days are kept apart."""
    joined: list[tuple[Ints, list[tuple[Ints, Floats]]]] = []
    for days, rows in series:
        for place, (common, members) in enumerate(joined):
            both = np.intersect1d(common, days, assume_unique=True)
            if len(both) >= max(FEWEST_COMMON, min(len(common), len(days)) // 2):
                joined[place] = (both, [*members, (days, rows)])
                break
        else:
            joined.append((days, [(days, rows)]))
    return [np.concatenate([rows[:, np.searchsorted(days, common)] for days, rows in members]) for common, members in joined]


def _kept_returns(home: Path, family: str) -> dict[str, list[tuple[Ints, Floats]]]:
    """Days and daily returns (n, days) of the family's sweeps and runs, by the bars that they are of."""
    found: dict[str, list[tuple[Ints, Floats]]] = defaultdict(list)
    store = BacktestStore.open(home)
    try:
        for study in store.studies.studies("sweep", limit=MOST_SWEEPS):
            swept = sweep_returns(store, study) if study.strategy == family else None
            if swept is not None:
                found[study.bar_set_id or study.id].append((swept.days, swept.returns.T))
        for run in [run for run in store.runs(10 * MOST_RUNS) if run.strategy == family][:MOST_RUNS]:
            try:
                daily = daily_returns(store, run)
            except NotFound:
                continue
            if len(daily.returns):
                found[run.bar_set_id or run.id].append((daily.days, daily.returns[None, :]))
    finally:
        store.close()
    return found
