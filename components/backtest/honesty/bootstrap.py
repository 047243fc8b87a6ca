"""Bootstrap of daily returns: stationary resampling, the best of many against luck, and the difference of two Sharpe ratios.

Sources
-------
Politis and Romano (1994), The stationary bootstrap. Politis and White (2004), Automatic block-length selection, as corrected by Patton,
Politis and White (2009). White (2000), A reality check for data snooping. Hansen (2005), A test for superior predictive ability. Ledoit and
Wolf (2008), Robust performance hypothesis testing with the Sharpe ratio.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.fx import BadInput

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
CELLS_AT_ONCE = 4_000_000
FEWEST_DAYS = 20


@dataclass(frozen=True)
class SuperiorAbility:
    """Whether the best of many is better than the benchmark by more than luck.

    Parameters
    ----------
    best : int
        Number of the strategy with the highest mean.
    best_mean : float
        Its mean return above the benchmark, per observation.
    reality_check : float
        p-value of White's test.
    lower, consistent, upper : float
        p-values of Hansen's; `consistent` is the one to quote, the others bound it.
    draws : int
    block : float
        Mean length of the blocks, in observations.
    """

    best: int
    best_mean: float
    reality_check: float
    lower: float
    consistent: float
    upper: float
    draws: int
    block: float


@dataclass(frozen=True)
class Difference:
    """The difference of two Sharpe ratios over the same days.

    Parameters
    ----------
    sharpe, mean : float
        First less second, per day.
    p_sharpe, p_mean : float
        Two-sided p-values of each difference being 0.
    days, draws : int
    block : float
        Mean length of the blocks, in days.
    """

    sharpe: float
    mean: float
    p_sharpe: float
    p_mean: float
    days: int
    draws: int
    block: float


def block_length(values: Floats) -> float:
    """Mean block length for the stationary bootstrap of a series, chosen from its autocorrelation.

    Parameters
    ----------
    values : ndarray, shape (n,)
        In time order.

    Returns
    -------
    float
        Between 1 and min(3·√n, n/3); 1 for fewer than 20 values or where none differs.

    Notes
    -----
    Source: Patton, Politis and White (2009), with the rule for the bandwidth of Politis and White (2004): twice the lag after which
    max(5, log₁₀ n) autocorrelations in a row are below 2·√(log₁₀ n / n).
    """
    x = np.asarray(values, dtype=np.float64)
    n = len(x)
    about = x - x.mean() if n else x
    if n < FEWEST_DAYS or float(about @ about) < 1e-30:
        return 1.0
    run = max(5, int(math.log10(n)))
    most = math.ceil(math.sqrt(n)) + run
    covariance, correlation = np.zeros(most + 1), np.zeros(most + 1)
    for lag in range(most + 1):
        product = float(about[lag:] @ about[: n - lag])
        covariance[lag] = product / n
        size = math.sqrt(float(about[lag + 1 :] @ about[lag + 1 :]) * float(about[: n - lag - 1] @ about[: n - lag - 1]))
        correlation[lag] = abs(product) / size if size > 0 else 0.0
    small = correlation < 2.0 * math.sqrt(math.log10(n) / n)
    quiet = next((lag for lag in range(most - run + 1) if small[lag : lag + run].all()), None)
    bandwidth = most if quiet is None else min(2 * max(quiet, 1), most)
    lags = np.arange(1, bandwidth + 1)
    weight = np.where(lags / bandwidth <= 0.5, 1.0, 2.0 * (1.0 - lags / bandwidth))
    slope = float(2.0 * (weight * lags) @ covariance[1 : bandwidth + 1])
    long_run = float(covariance[0] + 2.0 * weight @ covariance[1 : bandwidth + 1])
    if long_run == 0.0:
        return 1.0
    length = (slope**2 / long_run**2 * n) ** (1.0 / 3.0)
    return float(min(max(length, 1.0), math.ceil(min(3.0 * math.sqrt(n), n / 3.0))))


def stationary_indices(n: int, block: float, draws: int, rng: np.random.Generator) -> Ints:
    """Rows of stationary bootstrap samples: blocks of geometric length with mean `block`, wrapped at the end.

    Returns
    -------
    int64, shape (draws, n)
    """
    if not block >= 1.0:
        raise BadInput("block", f"{block!r} is below 1")
    begins = rng.random((draws, n)) < 1.0 / block
    begins[:, 0] = True
    place = np.arange(n)
    begun = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    starts = rng.integers(0, n, (draws, n))
    return np.asarray((np.take_along_axis(starts, begun, 1) + place - begun) % n, dtype=np.int64)


def resampled_weights(n: int, block: float, draws: int, rng: np.random.Generator, columns: int = 1) -> Iterator[Floats]:
    """How often each row is in each sample, in pieces of shape (≤ draws, n): a sample's sum over rows is a product with it.

    `columns` is how many such sums are taken of each sample; pieces are small enough for these too.
    """
    at_once = max(1, CELLS_AT_ONCE // max(n, columns))
    for begin in range(0, draws, at_once):
        count = min(at_once, draws - begin)
        rows = stationary_indices(n, block, count, rng) + (np.arange(count) * n)[:, None]
        yield np.bincount(rows.ravel(), minlength=count * n).reshape(count, n).astype(np.float64)


def superior_ability(
    returns: Floats, benchmark: Floats | None = None, *, draws: int = 1_000, block: float | None = None, seed: int = 0
) -> SuperiorAbility:
    """White's reality check and Hansen's test for the best of many strategies.

    Parameters
    ----------
    returns : ndarray, shape (t, n)
        Returns of n strategies over the same days; those that never move are left out.
    benchmark : ndarray, shape (t,), optional
        What they must beat; 0 (being out of the market) by default.
    draws : int
    block : float, optional
        Mean block length; by default the longest that `block_length` asks for among the ten strategies with the highest means.
    seed : int

    Returns
    -------
    SuperiorAbility

    Raises
    ------
    BadInput
        If there are fewer than 20 days, or no strategy moves.

    Notes
    -----
    Hansen's statistic is studentised with the long-run variance that the stationary bootstrap implies (his eq. for ω²); strategies whose mean
    is below −√(2·ω²/t·ln ln t) are not recentred in `consistent`. White's is not studentised and recentres all. p = (1 + hits)/(1 + draws).
    """
    matrix = np.asarray(returns, dtype=np.float64)
    if matrix.ndim != 2 or len(matrix) < FEWEST_DAYS:
        raise BadInput("returns", f"shape {matrix.shape} is not (at least {FEWEST_DAYS} days, strategies)")
    above = matrix if benchmark is None else matrix - np.asarray(benchmark, dtype=np.float64)[:, None]
    moving = np.flatnonzero(above.std(axis=0) > 1e-15)
    if not len(moving):
        raise BadInput("returns", f"none of {matrix.shape[1]} strategies moves")
    above = above[:, moving]
    t = len(above)
    mean = above.mean(axis=0)
    if block is None:
        block = max(block_length(above[:, column]) for column in np.argsort(mean)[-10:])
    omega = np.sqrt(_long_run_variance(above, block))
    floor = -omega * math.sqrt(2.0 * math.log(math.log(t)) / t)
    centres = np.stack([np.maximum(mean, 0.0), np.where(mean >= floor, mean, 0.0), mean])
    root = math.sqrt(t)
    seen = max(float((root * mean / omega).max()), 0.0)
    plain = root * float(mean.max())
    hits = np.zeros(4)
    for weights in resampled_weights(t, block, draws, np.random.default_rng(seed), above.shape[1]):
        drawn = weights @ above / t
        for kind, centre in enumerate(centres):
            hits[kind] += int((np.maximum((root * (drawn - centre) / omega).max(axis=1), 0.0) >= seen).sum())
        hits[3] += int((root * (drawn - mean).max(axis=1) >= plain).sum())
    lower, consistent, upper, reality = (float(value) for value in (1.0 + hits) / (1.0 + draws))
    best = int(mean.argmax())
    return SuperiorAbility(int(moving[best]), float(mean[best]), reality, lower, consistent, upper, draws, float(block))


def sharpe_difference(first: Floats, second: Floats, *, draws: int = 1_000, block: float | None = None, seed: int = 0) -> Difference | None:
    """Whether two Sharpe ratios differ by more than chance, by a paired stationary bootstrap.

    Parameters
    ----------
    first, second : ndarray, shape (n,)
        Daily returns on the same days; both are drawn together, so that what they share cancels.
    draws, seed : int
    block : float, optional
        Mean block length; by default the longer of what `block_length` asks for.

    Returns
    -------
    Difference or None
        None where there are fewer than 20 common days or one of the two never moves. Where both are the same series, p is 1.

    Notes
    -----
    The distribution of the drawn difference about the seen one stands for its distribution under no difference; p = (1 + hits)/(1 + draws).
    Ledoit and Wolf (2008) studentise each draw; that is left out here, which is a little lenient under 100 days.
    """
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise BadInput("second", f"shape {y.shape} differs from {x.shape}: give returns on the same days")
    n = len(x)
    if n < FEWEST_DAYS or min(x.std(), y.std()) < 1e-15:
        return None
    length = block if block is not None else max(block_length(x), block_length(y))
    columns = np.stack([x, y, x**2, y**2], axis=1)
    seen_sharpe, seen_mean = _differences(columns.mean(axis=0)[None, :], n)
    hits = np.zeros(2)
    for weights in resampled_weights(n, length, draws, np.random.default_rng(seed)):
        sharpe, mean = _differences(weights @ columns / n, n)
        hits += [int((np.abs(sharpe - seen_sharpe) >= abs(seen_sharpe[0])).sum()), int((np.abs(mean - seen_mean) >= abs(seen_mean[0])).sum())]
    p_sharpe, p_mean = (float(value) for value in (1.0 + hits) / (1.0 + draws))
    return Difference(float(seen_sharpe[0]), float(seen_mean[0]), p_sharpe, p_mean, n, draws, float(length))


def _differences(moments: Floats, n: int) -> tuple[Floats, Floats]:
    """Differences of Sharpe ratios and of means, shape (draws,) each, from means and mean squares of both, shape (draws, 4)."""
    means = moments[:, :2]
    deviation = np.sqrt(np.maximum((moments[:, 2:] - means**2) * n / (n - 1), 1e-30))
    sharpe = means / deviation
    return sharpe[:, 0] - sharpe[:, 1], means[:, 0] - means[:, 1]


def _long_run_variance(above: Floats, block: float) -> Floats:
    """ω² of each column, shape (n,): autocovariances weighted as the stationary bootstrap with this block weights them."""
    t = len(above)
    about = above - above.mean(axis=0)
    lags = np.arange(1, t)
    stay = 1.0 - 1.0 / block
    weight = (1.0 - lags / t) * stay**lags + lags / t * stay ** (t - lags)
    # All autocovariances by Fourier transform, padded so that nothing wraps; some columns at a time, to bound memory.
    size = 1 << (2 * t - 1).bit_length()
    variance = np.empty(above.shape[1])
    at_once = max(1, CELLS_AT_ONCE // size)
    for begin in range(0, len(variance), at_once):
        here = slice(begin, begin + at_once)
        spectrum = np.fft.rfft(about[:, here], size, axis=0)
        covariance = np.fft.irfft(np.abs(spectrum) ** 2, size, axis=0)[:t] / t
        variance[here] = covariance[0] + 2.0 * weight @ covariance[1:]
    return np.maximum(variance, 1e-30)
