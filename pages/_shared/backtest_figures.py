"""Charts about backtests: where trades lie, months, drawn histories, slices, a waterfall. Pure: frames in, a Plotly figure out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pages._shared import figures
from pages._shared.figures import AMBER, BLUE, DIM, GREEN, GRID, MONEY, RED, SAND, TEXT, TIME_AXIS, styled
from pages._shared.stream_figures import thinned

MOST_POINTS = 6_000
PARTS = 160
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WHOLE_YEAR = "year"
GAIN_AND_LOSS = [[0.0, RED], [0.5, "#07110b"], [1.0, GREEN]]
MONTH_ROW_PIXELS = 30


def thinned_curve(curve: pd.Series, most_points: int = MOST_POINTS) -> pd.Series:
    """At most about so many values of a long curve: the lowest and the highest of equally long parts, and both ends, in order."""
    if len(curve) <= most_points:
        return curve
    values = curve.to_numpy(dtype=np.float64)
    edges = np.linspace(0, len(values), most_points // 2 + 1).astype(np.int64)
    kept = {0, len(values) - 1}
    for first, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        part = values[first:end]
        kept |= {first + int(part.argmin()), first + int(part.argmax())}
    return curve.iloc[sorted(kept)]


def thinned_equity(equity: pd.DataFrame, most_points: int = MOST_POINTS) -> pd.DataFrame:
    """Rows of a long equity frame that keep its extremes and those of its drawdown; columns ``equity`` and ``drawdown``."""
    if len(equity) <= most_points:
        return equity
    rows = [thinned_curve(pd.Series(equity[name].to_numpy()), most_points // 2).index.to_numpy() for name in ("equity", "drawdown")]
    return equity.iloc[np.unique(np.concatenate(rows))]


def overview_chart(bars: pd.DataFrame, trades: pd.DataFrame, symbol: str, currency: str, window: tuple[Any, Any] | None = None) -> go.Figure:
    """All of a long run at a glance: the price, below it the profit of the trades that end in each of 160 parts of its time.

    Parameters
    ----------
    bars : DataFrame
        A bars frame; of a long one the highest and the lowest close of each part are drawn.
    trades : DataFrame
        ``exit_time`` (UTC) and ``net_profit`` in account currency.
    symbol, currency : str
    window : (time, time), optional
        The stretch that is drawn in full elsewhere; tinted here.
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.6, 0.4], vertical_spacing=0.04)
    prices = figures.price_chart(thinned(bars, MOST_POINTS), symbol)
    for trace in prices.data:
        figure.add_trace(trace, row=1, col=1)
    middle, width, profit, counts = profit_by_part(bars.index, trades)
    figure.add_trace(
        go.Bar(
            x=middle,
            y=profit,
            width=width,
            name="net profit",
            marker={"color": np.where(profit >= 0, GREEN, RED), "line": {"width": 0}},
            customdata=counts,
            hovertemplate="%{customdata} trades<br>%{y:+,.2f} " + currency + "<extra></extra>",
        ),
        row=2,
        col=1,
    )
    if window is not None:
        start, end = (_naive(one) for one in window)
        for row in (1, 2):
            figure.add_vrect(x0=start, x1=end, fillcolor=AMBER, opacity=0.25, line={"color": AMBER, "width": 1}, row=row, col=1)
    styled(figure, 330, legend=False)
    figure.update_layout(xaxis_rangeslider_visible=False, hovermode="closest", bargap=0, barcornerradius=0)
    figure.update_yaxes(tickformat=".5~f", title_text="price", row=1, col=1)
    figure.update_yaxes(title_text=f"net profit ({currency})", row=2, col=1)
    figure.update_xaxes(title_text=TIME_AXIS, row=2, col=1)
    if len(bars):
        figure.update_xaxes(range=[_naive(bars.index[0]), _naive(bars.index[-1])])
    return figure


def profit_by_part(times: pd.Index, trades: pd.DataFrame, parts: int = PARTS) -> tuple[Any, float, Any, Any]:
    """Middle of each equally long part of the time, its width in milliseconds, the profit of the trades that end in it, and how many do."""
    if len(times) == 0:
        return np.empty(0, dtype="M8[ms]"), 0.0, np.empty(0), np.empty(0, dtype=np.int64)
    first, last = (int(pd.Timestamp(times[place]).value // 1_000_000) for place in (0, -1))
    edges = np.linspace(first, max(last, first + 1), parts + 1)
    exits = pd.DatetimeIndex(trades["exit_time"]).as_unit("ms").asi8
    place = np.clip(np.searchsorted(edges, exits, side="right") - 1, 0, parts - 1)
    profit = np.bincount(place, weights=trades["net_profit"].to_numpy(dtype=np.float64), minlength=parts)
    middle = ((edges[:-1] + edges[1:]) / 2).astype(np.int64).astype("M8[ms]")
    return middle, float(edges[1] - edges[0]), profit, np.bincount(place, minlength=parts)


def monthly_returns(equity: pd.Series, balance: float) -> pd.DataFrame:
    """Return of each calendar month (UTC) and of each year in percent; rows years, columns 1 to 12 and ``year``; NaN where there is no equity.

    Parameters
    ----------
    equity : Series
        Equity in account currency on UTC times.
    balance : float
        With which the first month began.
    """
    ends = equity.groupby([equity.index.year, equity.index.month]).last()  # type: ignore[attr-defined]
    before = np.concatenate(([balance], ends.to_numpy()[:-1]))
    table = pd.Series(100.0 * (ends.to_numpy() / before - 1.0), index=ends.index).unstack().reindex(columns=range(1, 13))
    years = equity.groupby(equity.index.year).last()  # type: ignore[attr-defined]
    table[WHOLE_YEAR] = 100.0 * (years.to_numpy() / np.concatenate(([balance], years.to_numpy()[:-1])) - 1.0)
    table.index.name, table.columns.name = "year", "month"
    return table


def monthly_chart(table: pd.DataFrame) -> go.Figure:
    """The table of `monthly_returns` with a colour behind each number: red lost, green earned, the year in a column of its own."""
    names = [*MONTHS, WHOLE_YEAR]
    values = table[[*range(1, 13), WHOLE_YEAR]].to_numpy(dtype=np.float64)
    most = float(np.nanmax(np.abs(values[:, :12]))) if np.isfinite(values[:, :12]).any() else 1.0
    shade = np.clip(values, -most, most)
    words = np.array([["" if np.isnan(value) else f"{value:+.2f}".replace("-", "−") for value in row] for row in values])
    years = [str(year) for year in table.index]
    figure = go.Figure(
        go.Heatmap(
            z=shade,
            x=names,
            y=years,
            text=words,
            texttemplate="%{text}",
            textfont={"size": 12, "color": TEXT},
            zmin=-(most or 1.0),
            zmax=most or 1.0,
            colorscale=[[0.0, "#a32c2c"], [0.5, "#07110b"], [1.0, "#0d8a43"]],
            xgap=2,
            ygap=2,
            showscale=False,
            hoverongaps=False,
            hovertemplate="%{x} %{y}<br>%{text} %<extra></extra>",
        )
    )
    styled(figure, 60 + MONTH_ROW_PIXELS * max(len(years), 1), legend=False)
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    figure.update_xaxes(side="top", showgrid=False, type="category")
    figure.add_vline(x=11.5, line={"color": DIM, "width": 1})
    return figure


def fan_chart(fan: pd.DataFrame, ran: np.ndarray[Any, Any] | None = None, height: int = 320) -> go.Figure:
    """Drawn histories of a run's trades: bands of percentiles of the balance, and how it really went.

    Parameters
    ----------
    fan : DataFrame
        ``trade`` (how many trades in) and the balance over the starting one at ``p5 p25 p50 p75 p95``.
    ran : ndarray, optional
        Balance over the starting one of the run itself, at its start and after each trade.
    """
    x = np.concatenate(([0], fan["trade"].to_numpy()))
    share = {name: 100.0 * (np.concatenate(([1.0], fan[name].to_numpy())) - 1.0) for name in ("p5", "p25", "p50", "p75", "p95")}
    figure = go.Figure()
    nothing: dict[str, Any] = {"width": 0}
    for low, high, colour, name in (("p5", "p95", "rgba(88,201,232,0.16)", "5 to 95 %"), ("p25", "p75", "rgba(88,201,232,0.34)", "25 to 75 %")):
        figure.add_trace(go.Scatter(x=x, y=share[high], line=nothing, showlegend=False, hoverinfo="skip", mode="lines"))
        figure.add_trace(go.Scatter(x=x, y=share[low], line=nothing, fill="tonexty", fillcolor=colour, name=name, hoverinfo="skip", mode="lines"))
    figure.add_trace(go.Scatter(x=x, y=share["p50"], name="middle", line={"color": BLUE, "width": 1.6}, mode="lines"))
    if ran is not None and len(ran):
        marks = np.unique(np.linspace(0, len(ran) - 1, min(len(ran), 1_000)).astype(np.int64))
        figure.add_trace(go.Scatter(x=marks, y=100.0 * (ran[marks] - 1.0), name="as it ran", line={"color": AMBER, "width": 1.4}, mode="lines"))
    figure.add_hline(y=0.0, line={"color": DIM, "dash": "dot", "width": 1})
    styled(figure, height)
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(title_text="trades so far (count)")
    figure.update_yaxes(title_text="return (%)")
    return figure


def draws_chart(
    values: np.ndarray[Any, Any], label: str, mark: float | None = None, marked: str = "this run", drawn: str = "draws", height: int = 240
) -> go.Figure:
    """Histogram of drawn values with a line where the run itself is."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    counts, edges = np.histogram(finite, bins=min(50, max(5, len(finite) // 8))) if len(finite) else (np.empty(0), np.array([0.0, 1.0]))
    figure = go.Figure(go.Bar(x=(edges[:-1] + edges[1:]) / 2, y=counts, width=np.diff(edges), marker={"color": BLUE, "opacity": 0.75}))
    if mark is not None:
        words = {"text": f"{marked} {mark:.4g}".replace("-", "−"), "font": {"color": AMBER}, "yanchor": "bottom"}
        figure.add_vline(x=mark, line={"color": AMBER, "width": 2}, annotation=words)
    styled(figure, height, legend=False)
    figure.update_layout(margin_t=30, bargap=0)
    figure.update_xaxes(title_text=label)
    figure.update_yaxes(title_text=f"{drawn} (count)")
    return figure


def slices_chart(titles: Sequence[str], profits: Sequence[float], currency: str, words: Sequence[str], height: int = 260) -> go.Figure:
    """Net profit of each part of a run, green earned, red lost; `words` are told under the pointer."""
    colours = [GREEN if one >= 0 else RED for one in profits]
    figure = go.Figure(
        go.Bar(
            x=list(titles),
            y=list(profits),
            marker={"color": colours},
            text=list(words),
            textposition="none",
            hovertemplate="%{x}<br>%{text}<extra></extra>",
        )
    )
    figure.add_hline(y=0.0, line={"color": DIM, "width": 1})
    styled(figure, height, legend=False)
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(title_text=f"net profit ({currency})", tickformat=MONEY)
    return figure


def waterfall_chart(rows: Sequence[Mapping[str, Any]], currency: str, height: int = 400) -> go.Figure:
    """From our profit to theirs, cause by cause.

    Parameters
    ----------
    rows : sequence of mapping
        ``cause`` (the first ``ours``, the last ``theirs``), ``trades`` that it touches, ``amount`` in account currency.
    currency : str
    """
    names = ["our profit" if one["cause"] == "ours" else "their profit" if one["cause"] == "theirs" else str(one["cause"]) for one in rows]
    measures = ["absolute" if one["cause"] == "ours" else "total" if one["cause"] == "theirs" else "relative" for one in rows]
    amounts = [float(one["amount"]) for one in rows]
    figure = go.Figure(
        go.Waterfall(
            x=names,
            y=amounts,
            measure=measures,
            text=[f"{one:+,.2f}".replace("-", "−") for one in amounts],
            textposition="outside",
            textfont={"color": TEXT},
            customdata=[int(one["trades"]) for one in rows],
            hovertemplate="%{x}<br>%{text} " + currency + "<br>%{customdata} trades<extra></extra>",
            increasing={"marker": {"color": GREEN}},
            decreasing={"marker": {"color": RED}},
            totals={"marker": {"color": BLUE}},
            connector={"line": {"color": GRID, "width": 1}},
            cliponaxis=False,
        )
    )
    styled(figure, height, legend=False)
    figure.update_layout(margin_t=30)
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(title_text=f"net profit ({currency})", tickformat=MONEY)
    return figure


def luck_chart(rows: Sequence[Mapping[str, Any]], height: int | None = None) -> go.Figure:
    """Sharpe ratio of each run beside the one that luck alone shows after so many tries.

    Parameters
    ----------
    rows : sequence of mapping
        ``name``, ``sharpe``, ``sharpe_by_luck`` (both a year; the second may be None).
    """
    names = [str(one["name"]) for one in rows][::-1]
    sharpes = [one["sharpe"] for one in rows][::-1]
    by_luck = [one["sharpe_by_luck"] for one in rows][::-1]
    colours = [GREEN if luck is not None and own > luck else RED for own, luck in zip(sharpes, by_luck, strict=True)]
    figure = go.Figure(
        [
            go.Bar(x=sharpes, y=names, orientation="h", name="Sharpe", marker={"color": colours, "opacity": 0.85}, width=0.55),
            go.Scatter(
                x=by_luck,
                y=names,
                mode="markers",
                name="by luck alone",
                marker={"symbol": "line-ns", "size": 18, "line": {"color": SAND, "width": 3}},
            ),
        ]
    )
    styled(figure, height or 90 + 26 * max(len(names), 2))
    figure.update_xaxes(title_text="Sharpe ratio (a year)")
    figure.update_yaxes(showgrid=False, type="category")
    return figure


def _naive(time: Any) -> pd.Timestamp:
    """A UTC time as Plotly takes it."""
    stamp = pd.Timestamp(time)
    return stamp.tz_convert("UTC").tz_localize(None) if stamp.tzinfo is not None else stamp
