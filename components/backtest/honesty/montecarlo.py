"""Monte Carlo over the trades of a run: what else could have come of the same trades."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.fx import BadInput

Floats = NDArray[np.float64]
Method = Literal["reshuffle", "resample", "skip", "costs"]
METHODS: tuple[str, ...] = get_args(Method)
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
FAN_POINTS = 100
CELLS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class TradePaths:
    """Drawn histories of a run's trades.

    Parameters
    ----------
    method : str
        One of `METHODS`.
    final : float64, shape (draws,)
        Total return of each history; 0.1 is ten percent.
    drawdown : float64, shape (draws,)
        Largest fall from a peak of the balance, as a positive fraction.
    fan : DataFrame
        ``trade`` (how many trades in) and the balance over the starting one at the percentiles ``p5 p25 p50 p75 p95``.
    """

    method: str
    final: Floats
    drawdown: Floats
    fan: pd.DataFrame

    def facts(self, ruin: float, drawdown: float) -> dict[str, object]:
        """Percentiles of return and drawdown and the probabilities of a loss, of losing `ruin` of the account and of a deeper `drawdown`."""
        return {
            "draws": len(self.final),
            "return": _percentiles(self.final),
            "drawdown": _percentiles(self.drawdown),
            "loss_probability": float(np.mean(self.final < 0.0)),
            "ruin": ruin,
            "ruin_probability": float(np.mean(self.drawdown >= ruin)),
            "deep": drawdown,
            "deep_probability": float(np.mean(self.drawdown > drawdown)),
        }


def trade_returns(net_profits: Floats, balance: float) -> Floats:
    """Return of each trade on the balance before it, shape (m,) to (m,); trades after the balance is gone count 0, none loses more than all."""
    if not balance > 0:
        raise BadInput("balance", f"{balance!r} is not above 0")
    before = balance + np.concatenate(([0.0], np.cumsum(net_profits)[:-1])) if len(net_profits) else np.empty(0)
    alive = np.minimum.accumulate(before > 0) if len(before) else np.empty(0, dtype=bool)
    returns = np.divide(np.asarray(net_profits, dtype=np.float64), before, out=np.zeros(len(net_profits)), where=alive)
    return np.maximum(returns, -1.0)


def trade_paths(
    returns: Floats,
    method: Method | str,
    *,
    draws: int = 1_000,
    skip: float = 0.1,
    seed: int = 0,
    report: Callable[[float], None] | None = None,
) -> TradePaths:
    """Draw histories of trades, each return compounding on the balance before it.

    Parameters
    ----------
    returns : ndarray, shape (m,)
        As `trade_returns` gives them; under ``costs`` those at higher costs (`costlier_profits`).
    method : {'reshuffle', 'resample', 'skip', 'costs'}
        All trades in another order (the final return stays, the drawdown does not); m trades drawn with replacement; each trade left out
        with probability `skip`; drawn with replacement at higher costs.
    draws, seed : int
    skip : float
        0 to 1.
    report : callable, optional
        Told the fraction that is done.

    Raises
    ------
    BadInput
        If there is no trade, or the method, draws or skip cannot be used.

    Notes
    -----
    Trades are drawn one by one, so that runs of losses which belong together are broken up; `bar_paths` keeps them.
    """
    if method not in METHODS:
        raise BadInput("method", f"{method!r} is unknown; use one of {', '.join(METHODS)}")
    if not len(returns):
        raise BadInput("returns", "there is no trade to draw from")
    if draws < 1:
        raise BadInput("draws", f"{draws} is below 1")
    if not 0.0 <= skip < 1.0:
        raise BadInput("skip", f"{skip!r} is not between 0 and 1")
    rng = np.random.default_rng(seed)
    growth = 1.0 + np.asarray(returns, dtype=np.float64)
    m = len(growth)
    marks = np.unique(np.linspace(0, m - 1, min(m, FAN_POINTS)).astype(np.int64))
    final, drawdown, seen = np.empty(draws), np.empty(draws), np.empty((draws, len(marks)))
    at_once = max(1, CELLS_AT_ONCE // m)
    for begin in range(0, draws, at_once):
        count = min(at_once, draws - begin)
        here = slice(begin, begin + count)
        if method == "reshuffle":
            drawn = rng.permuted(np.broadcast_to(growth, (count, m)), axis=1)
        elif method == "skip":
            drawn = np.where(rng.random((count, m)) < skip, 1.0, growth)
        else:
            drawn = growth[rng.integers(0, m, (count, m))]
        curve = np.cumprod(drawn, axis=1)
        peak = np.maximum(np.maximum.accumulate(curve, axis=1), 1.0)
        final[here] = curve[:, -1] - 1.0
        drawdown[here] = (1.0 - curve / peak).max(axis=1)
        seen[here] = curve[:, marks]
        if report is not None:
            report((begin + count) / draws)
    fan = pd.DataFrame({"trade": marks + 1, **{f"p{p}": np.percentile(seen, p, axis=0) for p in (5, 25, 50, 75, 95)}})
    return TradePaths(str(method), final, np.maximum(drawdown, 0.0), fan)


def costlier_profits(
    trades: pd.DataFrame, percentile: float = 95.0, spread: Floats | None = None, point: float = 0.0, extra_points: float = 0.0
) -> Floats:
    """Net profit of each trade had every one paid what the dearest ones did.

    Parameters
    ----------
    trades : DataFrame, shape (m, …)
        Of a run.
    percentile : float
        Of the costs per lot, and of the spread; a trade that paid more keeps what it paid.
    spread : ndarray, shape (n,), optional
        Spread of each of the run's bars in points, where the bars carry it: a long pays that of its entry bar, a short that of its exit bar.
    point : float
        Price difference of one point.
    extra_points : float
        Paid by every trade on top, where the spread is an assumption that has no percentiles.

    Returns
    -------
    float64, shape (m,)
        In account currency.
    """
    if not 0.0 <= percentile <= 100.0:
        raise BadInput("percentile", f"{percentile!r} is not between 0 and 100")
    nets = trades["net_profit"].to_numpy(dtype=np.float64).copy()
    if not len(nets):
        return nets
    lots = trades["lots"].to_numpy(dtype=np.float64)
    cost = trades["cost"].to_numpy(dtype=np.float64)
    nets -= np.maximum(np.percentile(cost / lots, percentile) * lots - cost, 0.0)
    if (spread is not None or extra_points) and point > 0:
        side = trades["side"].to_numpy()
        points = np.full(len(nets), extra_points)
        if spread is not None:
            paid = np.asarray(spread)[np.where(side > 0, trades["entry_bar"].to_numpy(), trades["exit_bar"].to_numpy())]
            points += np.maximum(np.percentile(spread, percentile) - paid, 0.0)
        moved = side * (trades["exit_price"].to_numpy() - trades["entry_price"].to_numpy()) * lots
        # What a lot makes of a price difference, from the trades themselves: it holds the conversion into the account's currency.
        known = np.abs(moved) > 0
        money = np.divide(trades["gross_profit"].to_numpy(), moved, out=np.full(len(nets), np.nan), where=known)
        money = np.where(known, money, np.nanmedian(money) if known.any() else 0.0)
        nets -= points * point * money * lots
    return nets


def _percentiles(values: Floats) -> dict[str, float]:
    return {f"p{p}": float(value) for p, value in zip(PERCENTILES, np.percentile(values, PERCENTILES), strict=True)}
