"""Which of their trades is which of ours: one to one, by an optimal assignment, block by block of time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
# So many trades of ours are looked at for one of theirs: a grid opens dozens at a time, but none opens thousands.
NEAREST = 48
FAR = 1e6
DENSE = 4_000_000


def match_trades(ours: pd.DataFrame, theirs: pd.DataFrame, bar_ms: int, tolerance_bars: float, price_tolerance: float) -> tuple[Ints, Ints]:
    """Pair trades one to one.

    Parameters
    ----------
    ours, theirs : DataFrame
        Trades with ``entry_ms exit_ms side lots entry_price``, times in epoch milliseconds UTC; ours are the opens of bars.
    bar_ms : int
        Length of our bars.
    tolerance_bars : float
        How many bars an entry may be away and still be the same.
    price_tolerance : float
        How far the entry prices may be apart, in price units.

    Returns
    -------
    two int64 arrays of the same length
        Rows of ours and of theirs. As many pairs as tolerances allow, and among those the nearest in time, price, size and exit.

    Notes
    -----
    Trades that no chain of possible pairs joins cannot influence each other, so each such group is solved by itself
    (``scipy.optimize.linear_sum_assignment``): 15,000 trades of a year fall into thousands of groups.
    """
    rows, columns = _possible(ours, theirs, bar_ms, tolerance_bars, price_tolerance)
    if not len(rows):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    cost = _cost(ours.iloc[rows], theirs.iloc[columns], bar_ms, tolerance_bars, price_tolerance)
    return _assigned(rows, columns, cost, len(ours), len(theirs))


def _possible(ours: pd.DataFrame, theirs: pd.DataFrame, bar_ms: int, tolerance_bars: float, price_tolerance: float) -> tuple[Ints, Ints]:
    found: list[tuple[Ints, Ints]] = []
    for side in (-1, 1):
        own, other = (np.flatnonzero(trades["side"].to_numpy() == side) for trades in (ours, theirs))
        at, theirs_at = ours["entry_ms"].to_numpy()[own], theirs["entry_ms"].to_numpy()[other]
        order = np.argsort(at, kind="stable")
        own, at = own[order], at[order]
        early = np.searchsorted(at, theirs_at - int((tolerance_bars + 1) * bar_ms), side="right")
        late = np.searchsorted(at, theirs_at + int(tolerance_bars * bar_ms), side="right")
        middle = np.clip(np.searchsorted(at, theirs_at, side="right"), early, late)
        first, last = np.maximum(early, middle - NEAREST), np.minimum(late, middle + NEAREST)
        count = np.maximum(last - first, 0)
        column = np.repeat(np.arange(len(other)), count)
        place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
        found.append((own[place], other[column]))
    rows, columns = (np.concatenate([part[k] for part in found]) for k in (0, 1))
    near = np.abs(ours["entry_price"].to_numpy()[rows] - theirs["entry_price"].to_numpy()[columns]) <= price_tolerance
    return rows[near], columns[near]


def _cost(ours: pd.DataFrame, theirs: pd.DataFrame, bar_ms: int, tolerance_bars: float, price_tolerance: float) -> Floats:
    def gap(name: str) -> Floats:
        late = (theirs[name].to_numpy() - ours[name].to_numpy()).astype(np.float64)
        return np.asarray(np.where(late < 0, -late, np.maximum(late - bar_ms, 0.0) + 0.01 * np.minimum(late, bar_ms)) / bar_ms, dtype=np.float64)

    price = np.abs(ours["entry_price"].to_numpy() - theirs["entry_price"].to_numpy()) / price_tolerance
    size = np.abs(np.log(theirs["lots"].to_numpy() / ours["lots"].to_numpy()))
    cost = gap("entry_ms") / (tolerance_bars + 1) + price + 0.1 * np.minimum(size, 3.0) + 0.25 * np.minimum(gap("exit_ms") / 10.0, 1.0)
    return np.asarray(cost, dtype=np.float64)


def _assigned(rows: Ints, columns: Ints, cost: Floats, n: int, m: int) -> tuple[Ints, Ints]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(rows)), (rows, columns + n)), shape=(n + m, n + m))
    _, label = connected_components(graph, directed=False)
    group = label[rows]
    order = np.argsort(group, kind="stable")
    rows, columns, cost, group = rows[order], columns[order], cost[order], group[order]
    starts = np.flatnonzero(np.concatenate(([True], group[1:] != group[:-1])))
    ends = np.append(starts[1:], len(group))
    alone = ends - starts == 1
    taken = [(rows[starts[alone]], columns[starts[alone]])]
    for start, end in zip(starts[~alone].tolist(), ends[~alone].tolist(), strict=True):
        taken.append(_solve(rows[start:end], columns[start:end], cost[start:end]))
    left, right = (np.concatenate([part[k] for part in taken]) for k in (0, 1))
    order = np.argsort(left, kind="stable")
    return left[order], right[order]


def _solve(rows: Ints, columns: Ints, cost: Floats) -> tuple[Ints, Ints]:
    """The best assignment of one group."""
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    own, i = np.unique(rows, return_inverse=True)
    other, j = np.unique(columns, return_inverse=True)
    if len(own) * len(other) <= DENSE:
        matrix = np.full((len(own), len(other)), FAR)
        matrix[i, j] = cost
        a, b = linear_sum_assignment(matrix)
        kept = matrix[a, b] < FAR
        return own[a[kept]], other[b[kept]]
    # Every trade of ours has a place of its own beside theirs, for being left alone.
    n = len(own)
    alone = np.arange(n)
    weights = np.concatenate((cost + 1.0, np.full(n, FAR)))
    graph = coo_array((weights, (np.concatenate((i, alone)), np.concatenate((j, alone + len(other))))), shape=(n, len(other) + n))
    a, b = min_weight_full_bipartite_matching(graph.tocsr())
    kept = b < len(other)
    return own[a[kept]], other[b[kept]]
