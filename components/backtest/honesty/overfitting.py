"""Probability of backtest overfitting by combinatorially symmetric cross-validation.

Source: Bailey, Borwein, López de Prado and Zhu (2017), The probability of backtest overfitting, J. Computational Finance 20(4).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from components.fx import BadInput

Floats = NDArray[np.float64]
ROWS_AT_ONCE = 8_192
CELLS_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Overfitting:
    """What the splits say.

    Parameters
    ----------
    strategies, observations, blocks, splits : int
    probability : float
        Share of splits in which the best half of the data's choice comes out at or below the median of all strategies in the other half.
    logits : float64, shape (splits,)
        ln(ω/(1 − ω)) of the choice's relative rank ω out of sample; 0 at the median.
    chosen_in, chosen_out : float64, shape (splits,)
        Sharpe ratio, per observation, of each split's choice where it was chosen and in the other half.
    slope, intercept : float
        Line through `chosen_out` over `chosen_in`; a slope below 0 is degradation: the better it looked, the worse it was.
    loss_probability : float
        Share of splits whose choice has a Sharpe ratio below 0 out of sample.
    """

    strategies: int
    observations: int
    blocks: int
    splits: int
    probability: float
    logits: Floats
    chosen_in: Floats
    chosen_out: Floats
    slope: float
    intercept: float
    loss_probability: float


def backtest_overfitting(returns: Floats, blocks: int = 16, report: Callable[[float], None] | None = None) -> Overfitting:
    """Probability of backtest overfitting of a choice among strategies.

    Parameters
    ----------
    returns : ndarray, shape (t, n)
        Returns of n ≥ 2 strategies over the same t observations (days or bars), in time order. It is read once, in pieces.
    blocks : int
        S, even; the t observations are cut into S blocks in time order whose lengths differ by one at most.
    report : callable, optional
        Told the fraction that is done.

    Returns
    -------
    Overfitting

    Raises
    ------
    BadInput
        If there are fewer than two strategies, fewer than two observations a block, `blocks` is odd or above 20, or a return is not finite.

    Notes
    -----
    Each split's Sharpe ratios are exact: sums and sums of squares are taken once per block (about each strategy's mean, so that nothing is
    lost to cancellation), and those of a half are the sums of its blocks. Strategies that do not move have a Sharpe ratio of 0; equal ranks
    share their mean. All work per split is a product of a 0/1 matrix with the S × n block sums, whatever t is.
    """
    matrix = np.asarray(returns)
    if matrix.ndim != 2 or matrix.shape[1] < 2:
        raise BadInput("returns", f"shape {matrix.shape} is not (observations, at least 2 strategies)")
    if blocks % 2 or not 2 <= blocks <= 20:
        raise BadInput("blocks", f"{blocks} is not an even number from 2 to 20")
    observations, strategies = matrix.shape
    if observations < 2 * blocks:
        raise BadInput("returns", f"{observations} observations are fewer than two for each of {blocks} blocks")
    tell = report or (lambda _: None)
    counts, shift, sums, squares = _moments(matrix, blocks, tell)
    halves = np.zeros((math.comb(blocks, blocks // 2), blocks))
    for row, members in enumerate(combinations(range(blocks), blocks // 2)):
        halves[row, list(members)] = 1.0
    total = (counts.sum(), sums.sum(axis=0), squares.sum(axis=0))
    splits = len(halves)
    chosen_in, chosen_out, rank = np.empty(splits), np.empty(splits), np.empty(splits)
    at_once = max(1, CELLS_AT_ONCE // strategies)
    for begin in range(0, splits, at_once):
        part = halves[begin : begin + at_once]
        n, s, q = part @ counts, part @ sums, part @ squares
        inside = _sharpe(n, s, q, shift)
        outside = _sharpe(total[0] - n, total[1] - s, total[2] - q, shift)
        best = inside.argmax(axis=1)[:, None]
        here = slice(begin, begin + len(part))
        chosen_in[here] = np.take_along_axis(inside, best, 1)[:, 0]
        chosen = np.take_along_axis(outside, best, 1)
        chosen_out[here] = chosen[:, 0]
        rank[here] = (outside < chosen).sum(axis=1) + 0.5 * ((outside == chosen).sum(axis=1) + 1.0)
        tell(0.9 + 0.1 * (begin + len(part)) / splits)
    share = rank / (strategies + 1.0)
    logits = np.log(share / (1.0 - share))
    slope, intercept = _line(chosen_in, chosen_out)
    return Overfitting(
        strategies,
        observations,
        blocks,
        splits,
        float(np.mean(logits <= 0.0)),
        logits,
        chosen_in,
        chosen_out,
        slope,
        intercept,
        float(np.mean(chosen_out < 0.0)),
    )


def _moments(matrix: NDArray[np.float64], blocks: int, tell: Callable[[float], None]) -> tuple[Floats, Floats, Floats, Floats]:
    """Observations per block (blocks,), each strategy's shift (n,), and sums and sums of squares about it (blocks, n)."""
    observations, strategies = matrix.shape
    edges = np.linspace(0, observations, blocks + 1).round().astype(np.int64)
    # Any value near the mean will do: a thousand observations spread over all of them.
    shift = np.asarray(matrix[:: max(observations // 1_000, 1)], dtype=np.float64).mean(axis=0)
    sums, squares = np.zeros((blocks, strategies)), np.zeros((blocks, strategies))
    for block in range(blocks):
        for begin in range(int(edges[block]), int(edges[block + 1]), ROWS_AT_ONCE):
            piece = matrix[begin : min(begin + ROWS_AT_ONCE, int(edges[block + 1]))] - shift
            sums[block] += piece.sum(axis=0)
            squares[block] += np.einsum("ij,ij->j", piece, piece)
        tell(0.9 * (block + 1) / blocks)
    if not (np.isfinite(sums).all() and np.isfinite(squares).all()):
        raise BadInput("returns", f"strategy {int(np.argmin(np.isfinite(squares).all(axis=0)))} has a return that is not finite")
    return np.diff(edges).astype(np.float64), shift, sums, squares


def _sharpe(count: Floats, sums: Floats, squares: Floats, shift: Floats) -> Floats:
    """Mean over standard deviation (n − 1), shape (splits, n)."""
    n = count[:, None]
    mean = sums / n
    variance = np.maximum(squares - sums * mean, 0.0) / (n - 1.0)
    # Below this a strategy did not move: what is left of its squares is rounding.
    moved = variance > np.maximum(1e-30, 1e-14 * squares / n)
    return np.where(moved, (mean + shift) / np.sqrt(np.where(moved, variance, 1.0)), 0.0)


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    """Slope and intercept of the least-squares line; a flat one where `x` does not move."""
    about = x - x.mean()
    below = float(about @ about)
    slope = float(about @ y) / below if below > 1e-30 else 0.0
    return slope, float(y.mean() - slope * x.mean())
