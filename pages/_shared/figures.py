"""Charts of prices, features, equity and the machine. Pure: frames in, a Plotly figure out; axes carry units, times are UTC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle, product
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

GREEN, AMBER, RED, BLUE, VIOLET = "#00e060", "#ffb000", "#ff5c5c", "#58c9e8", "#c58cff"
SAND, TEXT, DIM, GRID, PAPER = "#e8e8a0", "#b9f5cb", "#7fb892", "#143021", "rgba(0,0,0,0)"
SERIES = (GREEN, BLUE, AMBER, VIOLET, SAND, RED)
DASHES = ("solid", "dot", "dash")
FONT = "ui-monospace, 'DejaVu Sans Mono', 'Cascadia Mono', Menlo, Consolas, monospace"
BARS_UP_TO = 600
FEW = 20
TIME_AXIS = "time (UTC)"
MONEY = ",.0f"


def styled(figure: go.Figure, height: int = 320, legend: bool = True) -> go.Figure:
    """The figure in the colours of the dashboard."""
    figure.update_layout(
        height=height,
        paper_bgcolor=PAPER,
        plot_bgcolor="#050d08",
        font={"family": FONT, "size": 12, "color": TEXT},
        margin={"l": 12, "r": 12, "t": 34 if legend else 12, "b": 12},
        legend={"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom", "bgcolor": PAPER, "font": {"color": TEXT}},
        showlegend=legend,
        hoverlabel={"bgcolor": "#0a1610", "bordercolor": GREEN, "font": {"family": FONT, "color": TEXT}},
        colorway=list(SERIES),
        barcornerradius=2,
    )
    axis = {"gridcolor": GRID, "zerolinecolor": "#24523a", "linecolor": GRID, "automargin": True, "title_font": {"color": DIM, "size": 11}}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure


def _labels(figure: go.Figure, x: str, y: str, **where: Any) -> None:
    figure.update_xaxes(title_text=x, **where)
    figure.update_yaxes(title_text=y, **where)


def price_chart(bars: pd.DataFrame, symbol: str, gaps: Sequence[Mapping[str, Any]] = (), height: int = 380) -> go.Figure:
    """Prices with missing bars marked in amber: bars for a short stretch, the close for a long one.

    Parameters
    ----------
    bars : DataFrame, shape (n, ≥ 4)
        A bars frame; times in UTC.
    symbol : str
    gaps : sequence of mapping
        ``first_ms``, ``last_ms`` (open times of the first and last missing bar, epoch milliseconds UTC) and ``bars``.
    """
    figure = go.Figure()
    times = _times(bars.index)
    if len(bars) <= BARS_UP_TO:
        figure.add_trace(
            go.Candlestick(
                x=times,
                open=bars["open"],
                high=bars["high"],
                low=bars["low"],
                close=bars["close"],
                name=f"{symbol} bid",
                increasing={"line": {"color": GREEN, "width": 1}},
                decreasing={"line": {"color": RED, "width": 1}},
            )
        )
    else:
        figure.add_trace(go.Scatter(x=times, y=bars["close"].to_numpy(), name=f"{symbol} close (bid)", line={"color": GREEN, "width": 1}))
    if len(bars):
        _mark_gaps(figure, bars, gaps)
    styled(figure, height)
    figure.update_layout(xaxis_rangeslider_visible=False, hovermode="x")
    figure.update_yaxes(tickformat=".5~f")
    _labels(figure, TIME_AXIS, f"price ({symbol[3:] or 'quote'} per {symbol[:3]})")
    return figure


def _mark_gaps(figure: go.Figure, bars: pd.DataFrame, gaps: Sequence[Mapping[str, Any]]) -> None:
    first, last = bars.index[0], bars.index[-1]
    step = bars.index.to_series().diff().median() if len(bars) > 1 else pd.Timedelta(0)
    marked = False
    for gap in gaps:
        start = pd.Timestamp(int(gap["first_ms"]), unit="ms", tz="UTC")
        end = pd.Timestamp(int(gap["last_ms"]), unit="ms", tz="UTC") + step
        if end < first or start > last:
            continue
        figure.add_vrect(x0=start.tz_localize(None), x1=end.tz_localize(None), fillcolor=AMBER, opacity=0.35, line={"color": AMBER, "width": 1})
        marked = True
    if marked:
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", name="missing bars", marker={"color": AMBER, "symbol": "square", "size": 9}))


def distribution(values: np.ndarray[Any, Any], name: str, height: int = 260) -> go.Figure:
    """Histogram of a column in 60 bins between its 0.5 and 99.5 percentiles, with its median."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    low, high = np.percentile(finite, [0.5, 99.5]) if len(finite) else (0.0, 1.0)
    counts, edges = np.histogram(finite, bins=60, range=(low, high if high > low else low + 1.0))
    figure = go.Figure(go.Bar(x=(edges[:-1] + edges[1:]) / 2, y=counts, width=np.diff(edges), name=name, marker={"color": GREEN, "opacity": 0.75}))
    if len(finite):
        median = float(np.median(finite))
        figure.add_vline(x=median, line={"color": AMBER, "dash": "dot"}, annotation={"text": f"median {median:.4g}", "font": {"color": AMBER}})
    styled(figure, height, legend=False)
    figure.update_layout(margin_t=28)
    _labels(figure, f"{name} (0.5 to 99.5 percentile)", "bars")
    return figure


def equity_chart(equity: pd.DataFrame, currency: str, height: int = 380) -> go.Figure:
    """Equity above, drawdown below.

    Parameters
    ----------
    equity : DataFrame
        Index of UTC times; columns ``equity`` in account currency and ``drawdown`` as a positive fraction.
    currency : str
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.68, 0.32], vertical_spacing=0.05)
    times = _times(equity.index)
    curve = equity["equity"].to_numpy()
    colour = GREEN if len(curve) and curve[-1] >= curve[0] else RED
    figure.add_trace(go.Scatter(x=times, y=curve, name="equity", line={"color": colour, "width": 1.4}), row=1, col=1)
    if len(curve):
        figure.add_hline(y=float(curve[0]), line={"color": DIM, "dash": "dot", "width": 1}, row=1, col=1)
    fall = -100.0 * equity["drawdown"].to_numpy()
    figure.add_trace(go.Scatter(x=times, y=fall, name="drawdown", fill="tozeroy", line={"color": AMBER, "width": 1}), row=2, col=1)
    styled(figure, height)
    figure.update_layout(hovermode="x unified")
    figure.update_yaxes(title_text=f"equity ({currency})", tickformat=MONEY, row=1, col=1)
    figure.update_yaxes(title_text="drawdown (%)", row=2, col=1)
    figure.update_xaxes(title_text=TIME_AXIS, row=2, col=1)
    return figure


EXIT_LOOKS = {
    "stop": ("x", RED),
    "target": ("star", GREEN),
    "signal": ("circle-open", BLUE),
    "reversal": ("diamond-open", VIOLET),
    "end_of_data": ("square-open", SAND),
    "stop_out": ("hash", RED),
    "manual": ("pentagon-open", AMBER),
}


def executions_chart(bars: pd.DataFrame, executions: pd.DataFrame, symbol: str, height: int = 460) -> go.Figure:
    """Prices with every execution of a run: entries as triangles by side, exits by kind, a thin line from entry to exit.

    Parameters
    ----------
    bars : DataFrame
        A bars frame.
    executions : DataFrame
        One row per trade: ``side`` (+1, −1), ``lots``, ``entry_time``, ``exit_time`` (UTC), ``entry_price``, ``exit_price``, ``exit``
        (a key of `EXIT_LOOKS`) and ``net_profit`` in account currency.
    """
    figure = price_chart(bars, symbol, height=height)
    for winning, colour in ((True, GREEN), (False, RED)):
        some = executions[(executions["net_profit"] > 0) == winning]
        if len(some):
            figure.add_trace(_links(some, colour, "won" if winning else "lost"))
    for side, word, mark in ((1, "long entry", "triangle-up"), (-1, "short entry", "triangle-down")):
        some = executions[executions["side"] == side]
        if len(some):
            figure.add_trace(_marks(some, "entry", word, mark, BLUE if side > 0 else AMBER))
    for kind, some in executions.groupby("exit", sort=False):
        mark, colour = EXIT_LOOKS.get(str(kind), ("circle-open", SAND))
        figure.add_trace(_marks(some, "exit", f"exit: {str(kind).replace('_', ' ')}", mark, colour))
    figure.update_layout(hovermode="closest")
    if len(bars):
        times = _times(bars.index[[0, -1]])
        figure.update_xaxes(range=[times[0], times[1]])
    return figure


def _links(trades: pd.DataFrame, colour: str, word: str) -> go.Scatter:
    count = len(trades)
    x = np.full(3 * count, np.datetime64("NaT"), dtype="datetime64[ms]")
    y = np.full(3 * count, np.nan)
    x[0::3], x[1::3] = _times(trades["entry_time"]), _times(trades["exit_time"])
    y[0::3], y[1::3] = trades["entry_price"], trades["exit_price"]
    x[2::3] = x[1::3]
    return go.Scatter(x=x, y=y, mode="lines", line={"color": colour, "width": 1.2, "dash": "dot"}, name=word, hoverinfo="skip")


def _marks(trades: pd.DataFrame, end: str, name: str, symbol: str, colour: str) -> go.Scatter:
    words = [
        f"{name}<br>{'long' if trade.side > 0 else 'short'} {trade.lots:g} lots<br>net profit {trade.net_profit:+,.2f}".replace("-", "−")
        for trade in trades.itertuples()
    ]
    marker = {"symbol": symbol, "size": 9 if len(trades) <= FEW else 6, "color": colour, "line": {"width": 1.2, "color": colour}}
    return go.Scatter(
        x=_times(trades[f"{end}_time"]),
        y=trades[f"{end}_price"].to_numpy(),
        mode="markers",
        name=name,
        marker=marker,
        text=words,
        hovertemplate="%{text}<br>%{x|%Y-%m-%d %H:%M}<br>%{y:.5f}<extra></extra>",
    )


def lines_chart(lines: Mapping[str, pd.Series], y: str, height: int = 260, points_up_to: int = 0, tickformat: str | None = None) -> go.Figure:
    """Several series over time; each indexed by UTC times; series with at most `points_up_to` values also show their points.

    Where there are more series than colours, the next ones are dotted, then dashed, so that no two look alike.
    """
    figure = go.Figure()
    for (name, series), (dash, colour) in zip(lines.items(), cycle(product(DASHES, SERIES)), strict=False):
        mode = "lines+markers" if len(series) <= points_up_to else "lines"
        line = {"color": colour, "width": 1.4, "dash": dash}
        figure.add_trace(go.Scatter(x=_times(series.index), y=series.to_numpy(), name=name, mode=mode, line=line))
    styled(figure, height)
    figure.update_layout(hovermode="x unified")
    _labels(figure, TIME_AXIS, y)
    figure.update_yaxes(tickformat=tickformat)
    return figure


def dots_chart(values: Mapping[str, float], title: str, *, best: str, digits: int = 4, height: int = 210) -> go.Figure:
    """One dot per name with its value beside it, on an axis that shows small differences; `best` is drawn in green with a line through it."""
    names = list(values)[::-1]
    numbers = [values[name] for name in names]
    colours = [GREEN if name == best else BLUE for name in names]
    words = [f"{value:,.{digits}f}".replace("-", "−") for value in numbers]
    marker = {"size": 13, "color": colours, "symbol": ["diamond" if name == best else "circle" for name in names]}
    figure = go.Figure(go.Scatter(x=numbers, y=names, mode="markers+text", marker=marker, text=words, textposition="top center", cliponaxis=False))
    if best in values:
        figure.add_vline(x=values[best], line={"color": GREEN, "dash": "dot", "width": 1})
    _titled(figure, title, height)
    low, high = (min(numbers), max(numbers)) if numbers else (0.0, 1.0)
    room = 0.18 * (high - low) or 0.1
    figure.update_xaxes(range=[low - room, high + room], nticks=6)
    figure.update_yaxes(range=[-0.6, len(names) - 0.3])
    return figure


def counts_chart(values: Mapping[str, int], title: str, height: int = 320) -> go.Figure:
    """One horizontal bar per name, the longest on top."""
    ordered = sorted(values.items(), key=lambda item: item[1])
    names, numbers = [name for name, _ in ordered], [count for _, count in ordered]
    figure = go.Figure(
        go.Bar(
            x=numbers,
            y=names,
            orientation="h",
            marker={"color": BLUE, "opacity": 0.85},
            text=numbers,
            texttemplate="%{text:,}",
            textposition="outside",
            cliponaxis=False,
            width=0.6,
        )
    )
    figure.update_xaxes(range=[0, 1.12 * max(numbers, default=1)])
    return _titled(figure, title, height)


def _titled(figure: go.Figure, title: str, height: int) -> go.Figure:
    styled(figure, height, legend=False)
    figure.update_layout(title={"text": title, "x": 0.01, "xref": "container", "font": {"size": 12, "color": DIM}}, margin_t=44)
    return figure


def gauge(value: float, label: str, unit: str = "%", top: float = 100.0, height: int = 170) -> go.Figure:
    """A dial: green, amber from 70 % of its top, red from 90 %."""
    share = value / top if top else 0.0
    colour = RED if share >= 0.9 else AMBER if share >= 0.7 else GREEN
    dial = {
        "axis": {"range": [0, top], "tickcolor": DIM, "tickfont": {"size": 10, "color": DIM}, "nticks": 5},
        "bar": {"color": colour, "thickness": 0.75},
        "bgcolor": "#0a1610",
        "bordercolor": GRID,
    }
    text = {"suffix": f" {unit}", "font": {"size": 20, "color": TEXT}, "valueformat": ".0f"}
    figure = go.Figure(
        go.Indicator(mode="gauge+number", value=value, gauge=dial, number=text, title={"text": label, "font": {"size": 12, "color": DIM}})
    )
    styled(figure, height, legend=False)
    figure.update_layout(margin={"l": 28, "r": 28, "t": 42, "b": 6})
    return figure


def _times(values: Any) -> Any:
    """UTC times as Plotly takes them, naive and in milliseconds."""
    index = pd.DatetimeIndex(values)
    return (index.tz_convert("UTC").tz_localize(None) if index.tz is not None else index).as_unit("ms").to_numpy()
