"""Charts about studies: surfaces of parameters, windows of a walk-forward, paths, lags. Pure: frames in, a Plotly figure out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pages._shared.backtest_figures import thinned_curve
from pages._shared.figures import AMBER, BLUE, DIM, GREEN, MONEY, RED, SAND, SERIES, TEXT, TIME_AXIS, styled

LEVELS = [[0.0, "#2a0d0d"], [0.35, "#5c2a14"], [0.6, "#0e4a5c"], [0.85, "#0d7a3d"], [1.0, "#00b34d"]]
MOST_WRITTEN = 120
CELL_PIXELS = 34


def surface_chart(table: pd.DataFrame, label: str, best: tuple[Any, Any] | None = None, less_is_better: bool = False) -> go.Figure:
    """A measure over two parameters; the best point is ringed.

    Parameters
    ----------
    table : DataFrame
        As `components.backtest.surface` gives it: rows values of y, columns of x.
    label : str
        The measure with its unit.
    best : (x, y), optional
        Parameters of the best point.
    less_is_better : bool
        Bright is the better end.
    """
    x, y = [_name(value) for value in table.columns], [_name(value) for value in table.index]
    values = table.to_numpy(dtype=np.float64)
    written = np.array([["" if np.isnan(one) else f"{one:.3g}".replace("-", "−") for one in row] for row in values])
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=x,
            y=y,
            text=written,
            texttemplate="%{text}" if values.size <= MOST_WRITTEN else None,
            textfont={"size": 11, "color": TEXT},
            colorscale=LEVELS,
            reversescale=less_is_better,
            xgap=1,
            ygap=1,
            hoverongaps=False,
            hovertemplate=f"{table.columns.name} %{{x}}<br>{table.index.name} %{{y}}<br>{label} %{{z:.4g}}<extra></extra>",
            colorbar={"title": {"text": label, "font": {"color": DIM, "size": 11}}, "thickness": 10},
        )
    )
    if best is not None and _name(best[0]) in x and _name(best[1]) in y:
        column, row = x.index(_name(best[0])), y.index(_name(best[1]))
        frame = {"color": AMBER, "width": 3}
        figure.add_shape(type="rect", x0=column - 0.48, x1=column + 0.48, y0=row - 0.48, y1=row + 0.48, line=frame)
    styled(figure, min(620, max(260, 110 + CELL_PIXELS * len(y))), legend=False)
    figure.update_xaxes(title_text=str(table.columns.name), type="category", showgrid=False)
    figure.update_yaxes(title_text=str(table.index.name), type="category", showgrid=False)
    return figure


def cloud_chart(points: pd.DataFrame, x: str, y: str, metric: str, label: str, best: tuple[Any, Any] | None = None) -> go.Figure:
    """Points that form no grid: each at its two parameters, coloured by the measure."""
    some = points[(points["state"] == "done") & points[metric].notna()]
    marker = {
        "color": some[metric].to_numpy(),
        "colorscale": [[0.0, RED], [0.5, BLUE], [1.0, GREEN]],
        "size": 10,
        "line": {"width": 0.5, "color": DIM},
        "colorbar": {"title": {"text": label, "font": {"color": DIM, "size": 11}}, "thickness": 10},
    }
    figure = go.Figure(
        go.Scatter(
            x=some[f"param.{x}"],
            y=some[f"param.{y}"],
            mode="markers",
            marker=marker,
            hovertemplate=f"{x} %{{x}}<br>{y} %{{y}}<br>{label} %{{marker.color:.4g}}<extra></extra>",
        )
    )
    if best is not None:
        ring = {"symbol": "circle-open", "size": 20, "color": AMBER, "line": {"width": 3}}
        figure.add_trace(go.Scatter(x=[best[0]], y=[best[1]], mode="markers", marker=ring, hoverinfo="skip"))
    styled(figure, 420, legend=False)
    figure.update_xaxes(title_text=x)
    figure.update_yaxes(title_text=y)
    return figure


def profile_chart(points: pd.DataFrame, name: str, metric: str, label: str, best: float | None = None) -> go.Figure:
    """A measure along the one parameter that varies."""
    some = points[points["state"] == "done"].sort_values(f"param.{name}")
    figure = go.Figure(go.Scatter(x=some[f"param.{name}"], y=some[metric], mode="lines+markers", line={"color": GREEN, "width": 1.6}))
    if best is not None:
        figure.add_vline(x=best, line={"color": AMBER, "width": 1.5, "dash": "dot"}, annotation={"text": "best", "font": {"color": AMBER}})
    styled(figure, 320, legend=False)
    figure.update_layout(margin_t=28)
    figure.update_xaxes(title_text=name)
    figure.update_yaxes(title_text=label)
    return figure


def windows_chart(windows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Sharpe ratio of every window where its parameters were chosen and where they were tried."""
    numbers = [f"{one['window'] + 1}" for one in windows]
    inside = [(one["in_sample"] or {}).get("sharpe") for one in windows]
    outside = [one["out_of_sample"].get("sharpe") for one in windows]
    figure = go.Figure(
        [
            go.Bar(x=numbers, y=inside, name="where it was chosen", marker={"color": BLUE, "opacity": 0.6}),
            go.Bar(x=numbers, y=outside, name="where it was tried", marker={"color": [GREEN if (one or 0.0) > 0 else RED for one in outside]}),
        ]
    )
    figure.add_hline(y=0.0, line={"color": DIM, "width": 1})
    styled(figure, 280)
    figure.update_layout(barmode="group")
    figure.update_xaxes(title_text="window (no.)", type="category", showgrid=False)
    figure.update_yaxes(title_text="Sharpe ratio (a year)")
    return figure


def stitched_chart(equity: pd.DataFrame, borders: Sequence[int], currency: str) -> go.Figure:
    """The test parts put one behind the other, with a line where each begins.

    Parameters
    ----------
    equity : DataFrame
        ``time`` (UTC), ``equity`` (account currency).
    borders : sequence of int
        Where each test part begins, epoch milliseconds UTC.
    currency : str
    """
    curve = pd.Series(equity["equity"].to_numpy(), index=pd.DatetimeIndex(equity["time"]))
    shown = thinned_curve(curve)
    colour = GREEN if len(curve) and curve.iloc[-1] >= curve.iloc[0] else RED
    figure = go.Figure(go.Scatter(x=_times(shown.index), y=shown.to_numpy(), name="out of sample", line={"color": colour, "width": 1.5}))
    if len(curve):
        figure.add_hline(y=float(curve.iloc[0]), line={"color": DIM, "dash": "dot", "width": 1})
    for border in borders:
        figure.add_vline(x=pd.Timestamp(border, unit="ms"), line={"color": AMBER, "dash": "dash", "width": 1}, opacity=0.6)
    styled(figure, 340, legend=False)
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(title_text=TIME_AXIS)
    figure.update_yaxes(title_text=f"equity ({currency})", tickformat=MONEY)
    return figure


def drift_chart(drift: Mapping[str, Mapping[str, Any]], is_in_order: bool = True) -> go.Figure:
    """The chosen value of each parameter by window; dotted lines are the ends of its range. Windows that do not follow each other are not joined."""
    names = list(drift)
    figure = make_subplots(rows=max(len(names), 1), cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for row, name in enumerate(names, start=1):
        told = drift[name]
        windows = list(range(1, len(told["values"]) + 1))
        line = {"color": SERIES[(row - 1) % len(SERIES)], "width": 1.4, "shape": "hv"}
        figure.add_trace(
            go.Scatter(x=windows, y=told["values"], mode="lines+markers" if is_in_order else "markers", line=line, name=name), row=row, col=1
        )
        ends = [one for one in told.get("range", {}).get("values", ()) if isinstance(one, int | float) and not isinstance(one, bool)]
        for end in {min(ends), max(ends)} if ends else ():
            figure.add_hline(y=end, line={"color": DIM, "dash": "dot", "width": 1}, row=row, col=1)
        figure.update_yaxes(title_text=name, row=row, col=1)
    styled(figure, 90 + 120 * max(len(names), 1), legend=False)
    figure.update_xaxes(dtick=1 if names and len(drift[names[0]]["values"]) <= 30 else None)
    figure.update_xaxes(title_text="window (no.)", row=max(len(names), 1), col=1)
    return figure


def paths_chart(equity: pd.DataFrame, currency: str) -> go.Figure:
    """Equity of every path of combinatorial cross-validation.

    Parameters
    ----------
    equity : DataFrame
        ``time`` (UTC), ``equity`` (account currency), ``path``.
    currency : str
    """
    figure = go.Figure()
    for number, path in equity.groupby("path", sort=True):
        colour = GREEN if path["equity"].iloc[-1] >= path["equity"].iloc[0] else RED
        shown = thinned_curve(pd.Series(path["equity"].to_numpy(), index=pd.DatetimeIndex(path["time"])), 800)
        figure.add_trace(
            go.Scatter(
                x=_times(shown.index), y=shown.to_numpy(), name=f"path {int(str(number)) + 1}", line={"color": colour, "width": 1}, opacity=0.7
            )
        )
    styled(figure, 340, legend=False)
    figure.update_xaxes(title_text=TIME_AXIS)
    figure.update_yaxes(title_text=f"equity ({currency})", tickformat=MONEY)
    return figure


def lags_chart(lags: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Sharpe ratio with every decision some bars late; one bar early is what nobody can trade."""
    names = ["1 early" if one["lag"] < 0 else "on time" if one["lag"] == 0 else f"{one['lag']} late" for one in lags]
    colours = [SAND if one["lag"] < 0 else GREEN if one["lag"] == 0 else BLUE for one in lags]
    values = [one["sharpe"] for one in lags]
    words = [f"{value:.2f}".replace("-", "−") for value in values]
    figure = go.Figure(go.Bar(x=names, y=values, marker={"color": colours}, text=words, textposition="outside", cliponaxis=False, width=0.6))
    figure.add_hline(y=0.0, line={"color": DIM, "width": 1})
    styled(figure, 280, legend=False)
    figure.update_layout(margin_t=30)
    figure.update_xaxes(title_text="decisions (bars)", type="category", showgrid=False)
    figure.update_yaxes(title_text="Sharpe ratio (a year)")
    return figure


def overfitting_chart(inside: np.ndarray[Any, Any], outside: np.ndarray[Any, Any]) -> go.Figure:
    """Of every split: Sharpe ratio of its best point where it was chosen, and in the other half."""
    marks = np.unique(np.linspace(0, len(inside) - 1, min(len(inside), 1_500)).astype(np.int64)) if len(inside) else np.empty(0, dtype=np.int64)
    x, y = np.asarray(inside)[marks], np.asarray(outside)[marks]
    figure = go.Figure(go.Scatter(x=x, y=y, mode="markers", marker={"size": 4, "color": np.where(y > 0, GREEN, RED), "opacity": 0.55}))
    figure.add_hline(y=0.0, line={"color": DIM, "width": 1})
    styled(figure, 300, legend=False)
    figure.update_xaxes(title_text="Sharpe in the half where it was chosen (a year)")
    figure.update_yaxes(title_text="Sharpe in the other half (a year)")
    return figure


def _name(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _times(index: Any) -> Any:
    times = pd.DatetimeIndex(index)
    return (times.tz_convert("UTC").tz_localize(None) if times.tz is not None else times).as_unit("ms").to_numpy()
