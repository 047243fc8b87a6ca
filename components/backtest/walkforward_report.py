"""What the windows of a walk-forward come to together: efficiency, drift of the parameters, concentration of the profit, paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.backtest.cpcv import cpcv_paths
from components.backtest.sweep_spec import Axis
from components.backtest.trades import Stats, last_of_day, measures
from components.backtest.walkforward_parts import trading_days

Floats = NDArray[np.float64]
Row = Mapping[str, Any]
DAYS_PER_YEAR = 252.0
SHOWN = ("sharpe", "total_return", "max_drawdown", "trades", "days", "win_rate", "profit_factor", "net_profit")


def annual_return(parts: Sequence[Row]) -> float:
    """Return per year over several parts: the sum of their returns over the sum of their days, × 252; 0 without a day.

    Simple, not compounded: a good fortnight compounded to a year is no forecast.
    """
    days = sum(part["days"] for part in parts)
    return float(sum(part["total_return"] for part in parts)) / days * DAYS_PER_YEAR if days else 0.0


def efficiency(in_sample: Sequence[Row], out_of_sample: Sequence[Row]) -> float | None:
    """Walk-forward efficiency: return per year where the choices were tried, over return per year where they were made.

    Parameters
    ----------
    in_sample, out_of_sample : sequence of mapping
        ``total_return`` and ``days`` of the chosen point of each window in its training part, and in its test part.

    Returns
    -------
    float or None
        1 where the choices went on earning what they had earned; None where they had earned nothing, since a ratio of it means nothing.

    Notes
    -----
    Source: Pardo (2008), The Evaluation and Optimization of Trading Strategies, chapter 11; he asks for at least 0.5.
    """
    earned = annual_return(in_sample)
    return annual_return(out_of_sample) / earned if earned > 0 else None


def parameter_drift(axes: Sequence[Axis], chosen: Sequence[Mapping[str, Any] | None], is_in_order: bool = True) -> dict[str, Any]:
    """How the chosen parameters move from window to window.

    Parameters
    ----------
    axes : sequence of Axis
        The parameters that vary, with their values.
    chosen : sequence of mapping or None
        The chosen parameters by window; None where no point could be chosen.
    is_in_order : bool
        Whether the windows follow each other in time; otherwise there is no change to speak of.

    Returns
    -------
    dict
        By parameter: ``values`` by window; ``change``, the mean absolute change from a window to the next as a share of the range (for words and
        yes or no: the share of windows in which it changed), None with fewer than two windows; ``at_border``, the share of windows in which
        the lowest or highest value of the range was chosen, None for words and where the range has fewer than three values.
    """
    told = {}
    for axis in axes:
        values = [None if one is None else one[axis.name] for one in chosen]
        known = [value for value in values if value is not None]
        pairs = list(pairwise(known)) if is_in_order else []
        change = at_border = None
        if axis.is_ordered and len(axis.values) > 1:
            low, high = min(axis.values), max(axis.values)
            if pairs:
                change = float(np.mean([abs(after - before) for before, after in pairs])) / (high - low)
            if known and len(axis.values) > 2:
                at_border = float(np.mean([value in (low, high) for value in known]))
        elif pairs:
            change = float(np.mean([after != before for before, after in pairs]))
        told[axis.name] = {"values": values, "change": change, "at_border": at_border, "range": axis.document()}
    return told


def concentration(profits: Sequence[float]) -> float | None:
    """Share of all window profits (losses left out) that the best window made, 0–1; None where no window made one."""
    gains = [profit for profit in profits if profit > 0]
    return max(gains) / sum(gains) if gains else None


def of_windows(metrics: Sequence[Row]) -> dict[str, Any]:
    """What a list of windows says, before anything is stitched: efficiency, profitable windows, concentration, in-sample means."""
    traded = [one for one in metrics if one["in_sample"] is not None]
    inside, outside = [one["in_sample"] for one in traded], [one["out_of_sample"] for one in metrics]
    profits = [one["out_of_sample"]["net_profit"] for one in metrics]
    worn = efficiency(inside, outside)
    return {
        "efficiency": worn,
        "annual_return": {"in_sample": annual_return(inside), "out_of_sample": annual_return(outside)},
        "in_sample": {
            "sharpe": float(np.mean([one["sharpe"] for one in inside])) if inside else 0.0,
            "total_return": float(np.mean([one["total_return"] for one in inside])) if inside else 0.0,
            "max_drawdown": float(np.max([one["max_drawdown"] for one in inside])) if inside else 0.0,
            "trades": sum(one["trades"] for one in inside),
        },
        "profitable_windows": float(np.mean([profit > 0 for profit in profits])) if profits else 0.0,
        "concentration": concentration(profits),
        "windows_without_choice": len(metrics) - len(traded),
    }


def stitched(equity: pd.DataFrame, trades: pd.DataFrame, balance: float) -> Stats:
    """Measures of the test parts put one behind the other, money carried on; `equity` has ``time`` and ``equity``, in order."""
    day_id = trading_days(equity["time"])
    stats = measures(trades["net_profit"].to_numpy(dtype=np.float64), equity["equity"].to_numpy(dtype=np.float64), day_id, balance)
    return {name: stats[name] for name in (*SHOWN, "final_equity", "returns_digest")} | {"ambiguous_trades": int(trades["ambiguous"].sum())}


def paths_of(
    groups: int, test_groups: int, parts: Mapping[tuple[int, int], tuple[pd.DataFrame, pd.DataFrame]], balance: float
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """The paths of combinatorial cross-validation.

    Parameters
    ----------
    groups, test_groups : int
        N and k.
    parts : mapping of (int, int) to (DataFrame, DataFrame)
        By split and group: ``time equity`` of the tested part, from `balance` on, and its trades.
    balance : float
        With which every part begins. A path compounds the returns of its parts: a part that belongs to several paths is run once.

    Returns
    -------
    paths : DataFrame
        One row per path: ``path splits sharpe total_return max_drawdown trades``.
    equity : DataFrame
        ``time equity window path`` at the end of each day; `window` is the split.
    told : dict
        Number of paths and the distribution of their Sharpe ratios.
    """
    rows, curves = [], []
    for number, splits in enumerate(cpcv_paths(groups, test_groups)):
        held, pieces, profits = balance, [], []
        for group, split in enumerate(splits):
            equity, trades = parts[split, group]
            scale = held / balance
            pieces.append(equity.assign(equity=equity["equity"] * scale, window=split, path=number))
            profits.append(trades["net_profit"].to_numpy(dtype=np.float64) * scale)
            held = float(pieces[-1]["equity"].iloc[-1])
        path = pd.concat(pieces, ignore_index=True)
        day_id = trading_days(path["time"])
        stats = measures(np.concatenate(profits), path["equity"].to_numpy(dtype=np.float64), day_id, balance)
        rows.append({"path": number, "splits": " ".join(map(str, splits)), **{name: stats[name] for name in SHOWN}})
        curves.append(path.iloc[last_of_day(day_id)])
    paths = pd.DataFrame(rows)
    sharpes = paths["sharpe"].to_numpy(dtype=np.float64)
    told = {
        "paths": len(paths),
        "sharpe_mean": float(sharpes.mean()),
        "sharpe_deviation": float(sharpes.std(ddof=1)) if len(sharpes) > 1 else None,
        "sharpe_least": float(sharpes.min()),
        "sharpe_median": float(np.median(sharpes)),
        "sharpe_most": float(sharpes.max()),
        "share_above_zero": float(np.mean(sharpes > 0)),
    }
    return paths, pd.concat(curves, ignore_index=True), told


def windows_table(metrics: Sequence[Row]) -> pd.DataFrame:
    """One row per window: its parts (open times of their first and last bars, UTC), measures inside and out, balances, chosen parameters."""
    rows = []
    for one in metrics:
        row = {"window": one["window"], "groups": " ".join(map(str, one["groups"]))}
        for side in ("train", "test"):
            row |= {f"{side}_start": one[side][0][0], f"{side}_end": one[side][-1][1], f"{side}_bars": one[f"{side}_bars"]}
        for side, short in (("in_sample", "in"), ("out_of_sample", "out")):
            row |= {f"{short}_{name}": (one[side] or {}).get(name, np.nan) for name in ("sharpe", "total_return", "max_drawdown", "trades")}
        row |= {"balance_start": one["balance_start"], "balance_end": one["balance_end"], "tried": one["tried"], "ranked": one["ranked"]}
        rows.append(row | {f"param_{name}": value for name, value in (one["params"] or {}).items()})
    frame = pd.DataFrame(rows)
    times = ("train_start", "train_end", "test_start", "test_end")
    return frame.assign(**{name: pd.to_datetime(frame[name], unit="ms", utc=True) for name in times})
