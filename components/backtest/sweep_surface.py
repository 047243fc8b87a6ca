"""What the points of a sweep look like beside each other: one table, its surface over two parameters, and whether the best stands on a plateau."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.backtest.studies import Point, Study, StudyStore
from components.backtest.sweep_spec import SIGNS, merit
from components.fx import BadInput, NotFound

PARAM = "param."
PLATEAU = 0.7
"""Share of the best's distance from the middling point that its neighbours must keep, to be called a plateau."""
SPIKE = 0.3
NEAREST = 8
"""Neighbours that are looked at where the points form no grid."""
LEAST_NEIGHBOURS = 2


def points_frame(points: Sequence[Point], names: Sequence[str]) -> pd.DataFrame:
    """The points of a sweep as a table.

    Parameters
    ----------
    points : sequence of Point
    names : sequence of str
        The parameters that vary.

    Returns
    -------
    DataFrame, one row for each point
        ``number``, ``state``, ``param.<name>`` for each parameter that varies, each measure by its name (NaN where a point has none), ``error``.
    """
    measures = dict.fromkeys(name for point in points for name, value in point.metrics.items() if not isinstance(value, dict | list))
    columns: dict[str, Any] = {"number": [point.number for point in points], "state": [point.state for point in points]}
    columns |= {f"{PARAM}{name}": [point.params.get(name) for point in points] for name in names}
    for name in measures:
        values = [point.metrics.get(name) for point in points]
        are_words = any(isinstance(value, str) for value in values)
        columns[name] = values if are_words else np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return pd.DataFrame({"error": None, **columns})[[*dict.fromkeys((*columns, "error"))]]


def best_points(store: StudyStore, study: Study, top: int = 20) -> list[dict[str, Any]]:
    """The points of a kept sweep that rank, best first, as rows of `points_frame`; of equal ones the lower number first.

    Read from the points themselves, so that a sweep that still runs can be looked at.
    """
    criterion, min_trades = str(study.result.get("criterion", "sharpe")), int(study.result.get("min_trades", 0))
    points = store.points(study.id)
    merits = {point.number: merit(point.metrics, criterion, min_trades) for point in points if point.state == "done"}
    ranked = sorted((-value, number) for number, value in merits.items() if value is not None)[:top]
    by_number = {point.number: point for point in points}
    chosen = [by_number[number] for _, number in ranked]
    return [] if not chosen else points_frame(chosen, list(study.result.get("ranges", {}))).to_dict("records")  # type: ignore[return-value]


def surface(points: pd.DataFrame, x: str, y: str, metric: str = "sharpe", over: Literal["best", "mean"] = "best") -> pd.DataFrame:
    """A measure over two parameters, for a heat map.

    Parameters
    ----------
    points : DataFrame
        As `points_frame` gives it.
    x, y : str
        Two parameters that vary.
    metric : str
        A measure.
    over : {'best', 'mean'}
        What a cell shows where other parameters vary as well: the best of its points (of a drawdown the smallest), or their mean.

    Returns
    -------
    DataFrame
        Rows are the values of `y`, columns those of `x`, both rising; NaN where there is no point that was done. Index and columns are named.

    Raises
    ------
    BadInput
        If a parameter does not vary or is named twice, or the measure is unknown.
    """
    varying = [name.removeprefix(PARAM) for name in points.columns if name.startswith(PARAM)]
    for field, name in (("x", x), ("y", y)):
        if name not in varying:
            raise BadInput(field, f"{name!r} does not vary in this sweep; these do: {', '.join(varying)}")
    if x == y:
        raise BadInput("y", f"{y!r} is named twice; a surface has two different parameters")
    _check_metric("metric", points, metric)
    if over not in ("best", "mean"):
        raise BadInput("over", f"{over!r} is unknown; use best or mean")
    done = points[points["state"] == "done"]
    reduce: Literal["mean", "min", "max"] = "mean" if over == "mean" else "min" if SIGNS.get(metric, 1) < 0 else "max"
    table = done.pivot_table(index=f"{PARAM}{y}", columns=f"{PARAM}{x}", values=metric, aggfunc=reduce, dropna=False)
    return table.rename_axis(index=y, columns=x)


def neighbourhood(points: pd.DataFrame, best_number: int, criterion: str = "sharpe", min_trades: int = 0) -> dict[str, Any]:
    """Whether a point stands on a plateau or on a spike.

    The neighbours of a point in a grid are the points at most one step away from it along every parameter that varies (up to 3^k − 1 of them for k
    parameters; fewer at an edge). Where the points form no grid (random, Optuna), they are the 8 nearest ones, by the distance of their places:
    each parameter's values are replaced by their rank, 0 to 1.

    Parameters
    ----------
    points : DataFrame
        As `points_frame` gives it.
    best_number : int
        Number of the point that is looked at.
    criterion : str
        Measure by which it is best.
    min_trades : int
        Points with fewer trades are no neighbours.

    Returns
    -------
    dict
        Plain JSON: ``criterion``, ``value`` (of the point), ``neighbours`` (how many), ``mean``, ``worst`` and ``best`` of theirs, ``middle`` (median of
        all points that count), ``ratio`` = mean / value (None where the value is not above 0; for a drawdown value / mean), ``kept`` =
        (mean − middle) / (value − middle), the share of the point's advantage over the middling point that its neighbours have too (None where it has
        none), ``shape``: ``plateau`` where at least 0.7 is kept, ``spike`` where less than 0.3 is, ``slope`` between, ``unknown`` with fewer than 2
        neighbours or no advantage; ``kind`` is ``grid`` or ``nearest``; ``edge`` names the parameters whose lowest or highest value the point has (of a
        grid with at least 3 of them): what lies beyond was not tried.

    Raises
    ------
    NotFound
        If there is no such point.
    BadInput
        If the measure is unknown, or the point has none.
    """
    _check_metric("criterion", points, criterion)
    counts = ((points["state"] == "done") & points[criterion].notna() & (points["trades"] >= min_trades)).to_numpy()
    counted = points[counts]
    places = np.flatnonzero(counted["number"].to_numpy() == best_number)
    if len(places) == 0:
        if not (points["number"] == best_number).any():
            raise NotFound(f"there is no point {best_number} in this sweep")
        raise BadInput("best_number", f"point {best_number} failed, has no {criterion}, or made fewer than {min_trades} trades")
    at = int(places[0])
    names = [name for name in points.columns if name.startswith(PARAM)]
    all_steps, is_grid = _steps(points, names)
    steps, last = all_steps[counts], all_steps.max(axis=0)
    edge = [name.removeprefix(PARAM) for name, place, end in zip(names, steps[at], last, strict=True) if is_grid and end >= 2 and place in (0, end)]
    beside = (
        np.flatnonzero((np.abs(steps - steps[at]) <= 1).all(axis=1)) if is_grid else np.argsort(_distance(steps, at), kind="stable")[: NEAREST + 1]
    )
    beside = beside[beside != at][: None if is_grid else NEAREST]
    values = counted[criterion].to_numpy(dtype=np.float64)
    return {"criterion": criterion, "kind": "grid" if is_grid else "nearest", "edge": edge, **_shape(values, at, beside, SIGNS.get(criterion, 1))}


def _shape(values: NDArray[np.float64], at: int, beside: NDArray[np.intp], sign: int) -> dict[str, Any]:
    value, middle = float(values[at]), float(np.median(values))
    found: dict[str, Any] = {"value": value, "middle": middle, "neighbours": len(beside)}
    if len(beside) == 0:
        return found | {"mean": None, "worst": None, "best": None, "ratio": None, "kept": None, "shape": "unknown"}
    theirs = values[beside]
    mean = float(theirs.mean())
    over, under = (mean, value) if sign > 0 else (value, mean)
    ratio = over / under if under > 0 and value > 0 else None
    advantage = sign * (value - middle)
    kept = sign * (mean - middle) / advantage if advantage > 0 else None
    known = kept is not None and len(beside) >= LEAST_NEIGHBOURS
    shape = "unknown" if not known else "plateau" if kept >= PLATEAU else "spike" if kept < SPIKE else "slope"  # type: ignore[operator]
    worst, best = (theirs.min(), theirs.max()) if sign > 0 else (theirs.max(), theirs.min())
    return found | {"mean": mean, "worst": float(worst), "best": float(best), "ratio": ratio, "kept": kept, "shape": shape}


def _steps(points: pd.DataFrame, names: Sequence[str]) -> tuple[NDArray[np.float64], bool]:
    """Each parameter's place among its own values, shape (points, parameters), and whether the points are those of a grid.

    A grid is thinned out by combinations that are not possible, never to less than a tenth here; scattered points hardly share a value.
    """
    codes = np.empty((len(points), len(names)))
    cells = 1
    for place, name in enumerate(names):
        code, kinds = pd.factorize(points[name].to_numpy(), sort=True)
        codes[:, place] = code
        cells *= max(len(kinds), 1)
    return codes, cells <= 10 * len(points)


def _distance(steps: NDArray[np.float64], at: int) -> NDArray[np.float64]:
    widths = np.maximum(steps.max(axis=0), 1.0)
    return np.asarray(np.sqrt((((steps - steps[at]) / widths) ** 2).sum(axis=1)))


def _check_metric(field: str, points: pd.DataFrame, metric: str) -> None:
    known = [name for name in points.columns if pd.api.types.is_float_dtype(points[name]) and not name.startswith(PARAM)]
    if metric not in known:
        raise BadInput(field, f"{metric!r} is unknown; known are {', '.join(known)}")
