"""Why matched trades differ in money: every cent of the difference goes to one cause, so that the causes add up to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CAUSES: Final = (
    "missing", "extra", "size", "late", "spread", "slippage", "price", "stop or target", "end of test", "commission", "swap", "conversion",
    "other symbols",
)  # fmt: skip
# Parts of a point that rounding alone can make.
NOISE_POINTS = 0.5
FOLLOWS_POINTS = 2.0
_GROUPS: Final = {"stop": 1, "target": 2, "end_of_data": 3, "stop_out": 4}


@dataclass(frozen=True)
class Fills:
    """How their market fills lie to ours, price units: `spread` by which theirs is wider, `slippage` that only theirs takes, `offset` of all prices."""

    spread: float
    slippage: float
    offset: float
    buys: int
    sells: int


@dataclass(frozen=True)
class Attribution:
    """Money per pair and cause, shape (n, causes), in account currency; and what was seen on the way."""

    amounts: Floats
    fills: Fills
    entry_bars_late: NDArray[np.int64]
    exit_bars_late: NDArray[np.int64]
    same_exit: NDArray[np.bool_]
    value: Floats


def attribute(ours: pd.DataFrame, theirs: pd.DataFrame, bar_ms: int, point: float) -> Attribution:
    """Split the difference of each pair, theirs less ours, by cause.

    Parameters
    ----------
    ours, theirs : DataFrame, n rows each
        Matched trades, row by row, with ``entry_ms exit_ms side lots entry_price exit_price level exit gross_profit net_profit swap``.
    bar_ms : int
    point : float

    Returns
    -------
    Attribution
        Rows of `amounts` sum to their net profit less ours, exactly but for floating point.

    Notes
    -----
    With lots v, entry e, exit x, and the money u that one unit of price makes of one lot (ours): theirs − ours = (v₂/v₁ − 1)·net₁ (size)
    − s·v₂·(e₂ − e₁)·u (entry) + s·v₂·(x₂ − x₁)·u (exit) − (commission₂ − v₂/v₁·commission₁) + (swap₂ − v₂/v₁·swap₁) + the rest, which is the
    rate into the account's currency and the rounding to cents. Entry and exit go to ``late`` where they come in another bar, to
    ``end of test`` or ``stop or target`` where the trade ended in another way, and else to spread, slippage and price by the medians of all
    buys and sells: buys are dearer by a wider spread, buys dearer and sells cheaper by slippage, both dearer by another price. A stop or
    target that moved with its entry goes where the entry goes.
    """
    s = ours["side"].to_numpy(dtype=np.float64)
    v1, v2 = (t["lots"].to_numpy(dtype=np.float64) for t in (ours, theirs))
    e1, e2 = (t["entry_price"].to_numpy(dtype=np.float64) for t in (ours, theirs))
    x1, x2 = (t["exit_price"].to_numpy(dtype=np.float64) for t in (ours, theirs))
    g1, g2 = (t["gross_profit"].to_numpy(dtype=np.float64) for t in (ours, theirs))
    n1, n2 = (t["net_profit"].to_numpy(dtype=np.float64) for t in (ours, theirs))
    w1, w2 = (t["swap"].to_numpy(dtype=np.float64) for t in (ours, theirs))
    c1, c2 = g1 + w1 - n1, g2 + w2 - n2
    ratio = np.divide(v2, v1, out=np.ones(len(v1)), where=v1 > 0)
    value = _value(s, v1, x1 - e1, g1, s, v2, x2 - e2, g2)
    amounts = np.zeros((len(ours), len(CAUSES)))
    place = {name: number for number, name in enumerate(CAUSES)}
    amounts[:, place["size"]] = (ratio - 1.0) * n1
    amounts[:, place["commission"]] = -(c2 - ratio * c1)
    amounts[:, place["swap"]] = w2 - ratio * w1
    entry_late, exit_late = (_bars_late(ours[name], theirs[name], bar_ms) for name in ("entry_ms", "exit_ms"))
    groups = [np.array([_GROUPS.get(kind, 0) for kind in t["exit"]], dtype=np.int64) for t in (ours, theirs)]
    same = groups[0] == groups[1]
    at_market = same & np.isin(groups[0], (0, 3, 4)) & (exit_late == 0)
    entry_diff, exit_diff = e2 - e1, x2 - x1
    fills = _fills(s, entry_diff, exit_diff, entry_late == 0, at_market, point)

    def split(share: Floats, is_buy: NDArray[np.bool_], diff: Floats, chosen: NDArray[np.bool_]) -> None:
        """`share` of money for each unit of price goes to spread, slippage and price."""
        spread = np.where(is_buy, fills.spread, 0.0)
        slip = np.where(is_buy, fills.slippage, -fills.slippage)
        for name, part in (("spread", spread), ("slippage", slip), ("price", diff - spread - slip)):
            amounts[chosen, place[name]] += (share * part)[chosen]

    entry_money, exit_money = -s * v2 * value, s * v2 * value
    prompt = entry_late == 0
    amounts[~prompt, place["late"]] += (entry_money * entry_diff)[~prompt]
    split(entry_money, s > 0, entry_diff, prompt)
    ended = ~same & ((groups[0] == 3) | (groups[1] == 3))
    amounts[ended, place["end of test"]] += (exit_money * exit_diff)[ended]
    otherwise = ~same & ~ended
    amounts[otherwise, place["stop or target"]] += (exit_money * exit_diff)[otherwise]
    split(exit_money, s < 0, exit_diff, at_market)
    waited = same & np.isin(groups[0], (0, 3, 4)) & ~at_market
    amounts[waited, place["late"]] += (exit_money * exit_diff)[waited]
    at_level = same & np.isin(groups[0], (1, 2))
    l1, l2 = (t["level"].to_numpy(dtype=np.float64) for t in (ours, theirs))
    level = np.where(np.isnan(l1) | np.isnan(l2), exit_diff, l2 - l1)
    follows = at_level & (np.abs(level - entry_diff) <= FOLLOWS_POINTS * point)
    amounts[follows & ~prompt, place["late"]] += (exit_money * level)[follows & ~prompt]
    split(exit_money, s > 0, level, follows & prompt)
    own = at_level & ~follows
    amounts[own, place["stop or target"]] += (exit_money * level)[own]
    amounts[at_level, place["slippage"]] += (exit_money * (exit_diff - level))[at_level]
    amounts[:, place["conversion"]] = (n2 - n1) - amounts.sum(axis=1)
    return Attribution(amounts, fills, entry_late, exit_late, same, value)


def _value(s1: Floats, v1: Floats, move1: Floats, g1: Floats, s2: Floats, v2: Floats, move2: Floats, g2: Floats) -> Floats:
    """Money that one unit of price makes of one lot, shape (n,): ours where the price moved, else theirs, else the usual one."""
    ours, theirs = s1 * v1 * move1, s2 * v2 * move2
    value = np.divide(g1, ours, out=np.full(len(v1), np.nan), where=np.abs(ours) > 0)
    other = np.divide(g2, theirs, out=np.full(len(v1), np.nan), where=np.abs(theirs) > 0)
    value = np.where(np.isfinite(value) & (value > 0), value, other)
    usual = float(np.nanmedian(value)) if np.isfinite(value).any() else 0.0
    return np.where(np.isfinite(value) & (value > 0), value, usual)


def _bars_late(ours: pd.Series, theirs: pd.Series, bar_ms: int) -> NDArray[np.int64]:
    """Bars between the bar of ours and that of theirs, 0 in the same one; a fill up to a second early is on time."""
    return np.asarray((theirs.to_numpy(dtype=np.int64) - ours.to_numpy(dtype=np.int64) + 1_000) // bar_ms, dtype=np.int64)


def _fills(s: Floats, entry_diff: Floats, exit_diff: Floats, prompt: NDArray[np.bool_], at_market: NDArray[np.bool_], point: float) -> Fills:
    buys = np.concatenate((entry_diff[prompt & (s > 0)], exit_diff[at_market & (s < 0)]))
    sells = np.concatenate((entry_diff[prompt & (s < 0)], exit_diff[at_market & (s > 0)]))
    buy, sell = (_quiet(float(np.median(part)) if len(part) else 0.0, point) for part in (buys, sells))
    if not len(buys) or not len(sells):  # one side alone cannot tell a wider spread from another price
        return Fills(buy if len(buys) else 0.0, 0.0, sell, len(buys), len(sells))
    slippage = min(buy, -sell) if buy > 0 > sell else 0.0
    offset = sell + slippage
    return Fills(_quiet(buy - slippage - offset, point), slippage, offset, len(buys), len(sells))


def _quiet(value: float, point: float) -> float:
    return 0.0 if abs(value) < NOISE_POINTS * point else value
