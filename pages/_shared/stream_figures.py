"""Charts about data: coverage, histories with their holes, what a quality score lost, correlations. Pure: values in, a Plotly figure out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from components.pipeline import Coverage
from pages._shared import figures
from pages._shared.figures import AMBER, BLUE, DIM, GREEN, RED, TIME_AXIS, styled

# First and last instant in epoch milliseconds UTC, and what to say of them.
Stretch = tuple[int, int, str]
MOST_POINTS, MOST_MARKED, MOST_TINTED = 8_000, 2_000, 60
HOLE_MS = 5 * 86_400_000
ROW_PIXELS = 30
CELL_GAP = 1
# From nothing over half to whole, dark to bright: an empty month must not look like a full one to anyone.
FULLNESS = [[0.0, "#2a0d0d"], [0.5, RED], [0.9, AMBER], [0.98, "#1f8f4d"], [1.0, GREEN]]
DIVERGING = [[0.0, RED], [0.5, "#07110b"], [1.0, GREEN]]


def coverage_chart(months: Sequence[Coverage], names: Mapping[str, str] | None = None) -> go.Figure:
    """A row per bar set, a cell per month: the share of its expected bars that are there; no cell where the set has no month.

    Parameters
    ----------
    months : sequence of Coverage
        As `components.pipeline.coverage` gives them.
    names : mapping of str to str, optional
        What to call each bar set, by its id; its symbol, timeframe and source where it is left out.
    """
    rows = list(dict.fromkeys((one.symbol, one.timeframe, one.source, one.bar_set_id) for one in months))
    called = _row_names(rows, names or {})
    columns = _months_between(months)
    place = {month: number for number, month in enumerate(columns)}
    share = np.full((len(rows), len(columns)), np.nan)
    words = np.full(share.shape, "", dtype=object)
    for one in months:
        row, column = rows.index((one.symbol, one.timeframe, one.source, one.bar_set_id)), place[one.month_ms]
        share[row, column] = 100.0 * one.share
        words[row, column] = f"{one.bars:,} of {one.expected:,} expected bars"
    figure = go.Figure(
        go.Heatmap(
            z=share,
            x=pd.to_datetime(columns, unit="ms"),
            y=called,
            text=words,
            zmin=0,
            zmax=100,
            colorscale=FULLNESS,
            xgap=CELL_GAP,
            ygap=3,
            hoverongaps=False,
            hovertemplate="%{y}<br>%{x|%B %Y}<br>%{text} (%{z:.2f} %)<extra></extra>",
            colorbar={"thickness": 10, "tickvals": [0, 50, 100], "ticktext": ["0 %", "50 %", "100 %"]},
        )
    )
    styled(figure, 90 + ROW_PIXELS * max(len(rows), 2), legend=False)
    figure.update_xaxes(title_text="month (UTC)", showgrid=False, dtick="M1" if len(columns) <= 14 else None, tickformat="%Y-%m")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def _row_names(rows: Sequence[tuple[str, str, str, str]], names: Mapping[str, str]) -> list[str]:
    """The given names, or symbol, timeframe and source; with the id's end where that is not one of a kind."""
    plain = [names.get(bar_set_id, f"{symbol} {timeframe} · {source}") for symbol, timeframe, source, bar_set_id in rows]
    return [name if plain.count(name) == 1 else f"{name} · {row[3][-6:]}" for name, row in zip(plain, rows, strict=True)]


def _months_between(months: Sequence[Coverage]) -> list[int]:
    """Every month from the first to the last, so that holes between sets keep their width."""
    if not months:
        return []
    first, last = (np.datetime64(pick(one.month_ms for one in months), "ms").astype("M8[M]") for pick in (min, max))
    return np.arange(first, last + 1).astype("M8[ms]").astype(np.int64).tolist()


def lost_points_chart(lost: Mapping[str, float], height: int | None = None) -> go.Figure:
    """Points that each fault took from a quality score, the largest on top; faults that took nothing are left out."""
    some = sorted(((name, points) for name, points in lost.items() if points > 0), key=lambda item: item[1])
    names, points = [name for name, _ in some], [value for _, value in some]
    texts = [f"{value:.2f}" if value >= 0.005 else "under 0.01" for value in points]
    figure = go.Figure(go.Bar(x=points, y=names, orientation="h", marker={"color": AMBER}, text=texts, textposition="outside", cliponaxis=False))
    styled(figure, height or 80 + 28 * max(len(some), 2), legend=False)
    figure.update_xaxes(title_text="points lost of 100", range=[0, 1.15 * max(points, default=1.0)])
    return figure


def correlation_chart(frame: pd.DataFrame) -> go.Figure:
    """Pearson correlation of every pair of columns over the rows in which both are known, from −1 (red) to +1 (green)."""
    values = frame.corr().to_numpy()
    names = list(frame.columns)
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=names,
            y=names,
            zmin=-1,
            zmax=1,
            colorscale=DIVERGING,
            hovertemplate="%{y}<br>%{x}<br>correlation %{z:.3f}<extra></extra>",
            colorbar={"title": {"text": "correlation", "font": {"color": DIM, "size": 11}}, "thickness": 10},
        )
    )
    styled(figure, 160 + 17 * len(names), legend=False)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(tickangle=-60, showgrid=False)
    return figure


def history_chart(
    bars: pd.DataFrame,
    symbol: str,
    gaps: Sequence[Stretch] = (),
    bad_days: Sequence[Stretch] = (),
    most_points: int = MOST_POINTS,
    height: int = 430,
) -> go.Figure:
    """Prices, with a lane below for missing bars and one for days on which too much is wrong; both also tint the prices.

    Parameters
    ----------
    bars : DataFrame, shape (n, ≥ 4)
        A bars frame, times in UTC; rings mark rows whose column ``repair`` is not 0.
    symbol : str
    gaps, bad_days : sequence of (first_ms, last_ms, words)
        Stretches of time in epoch milliseconds UTC; those out of sight are left out.
    most_points : int
        Of a longer history the highest and the lowest close of each of equally long parts are drawn.
    """
    prices = figures.price_chart(thinned(bars, most_points), symbol)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.86, 0.14], vertical_spacing=0.04)
    for trace in prices.data:
        figure.add_trace(_broken_at_holes(trace), row=1, col=1)
    if "repair" in bars.columns:
        _mark_rows(figure, bars[bars["repair"].to_numpy() != 0].tail(MOST_MARKED), "repaired bars")
    first_ms, last_ms = (int(stamp.timestamp() * 1000) for stamp in (bars.index[0], bars.index[-1])) if len(bars) else (0, 0)
    for lane, name, stretches, colour in ((1, "missing bars", gaps, AMBER), (0, "bad days", bad_days, RED)):
        seen = [
            (max(start, first_ms), min(end, last_ms), words) for start, end, words in stretches if len(bars) and end >= first_ms and start <= last_ms
        ]
        _draw_lane(figure, lane, name, seen, colour)
        for start, end, _ in sorted(seen, key=lambda one: one[0] - one[1])[:MOST_TINTED]:
            figure.add_vrect(x0=_time(start), x1=_time(end), fillcolor=colour, opacity=0.13, line_width=0, layer="below", row=1, col=1)
    styled(figure, height)
    figure.update_layout(xaxis_rangeslider_visible=False, hovermode="closest")
    figure.update_yaxes(tickformat=".5~f", title_text=prices.layout.yaxis.title.text, row=1, col=1)
    figure.update_yaxes(tickvals=[1, 0], ticktext=["missing", "bad days"], range=[-0.6, 1.6], showgrid=False, zeroline=False, row=2, col=1)
    figure.update_xaxes(title_text=TIME_AXIS, row=2, col=1)
    if len(bars):
        figure.update_xaxes(range=[_time(first_ms), _time(last_ms)])
    return figure


def thinned(bars: pd.DataFrame, most_points: int) -> pd.DataFrame:
    """At most so many rows: of equally long parts of a longer history the rows with the highest and the lowest close, in order."""
    if len(bars) <= most_points:
        return bars
    parts = np.array_split(bars["close"].to_numpy(), most_points // 2)
    starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
    extremes = [(start + int(part.argmin()), start + int(part.argmax())) for start, part in zip(starts.tolist(), parts, strict=True)]
    return bars.iloc[np.unique(np.array(extremes).ravel())]


def _broken_at_holes(trace: Any) -> Any:
    """A line without a stroke across holes of more than five days, which no weekend and no holiday is as long as."""
    if trace.type != "scatter" or trace.x is None or len(trace.x) < 2:
        return trace
    times, values = pd.DatetimeIndex(trace.x).to_numpy(), np.asarray(trace.y, dtype=np.float64)
    after = np.flatnonzero(np.diff(times) > np.timedelta64(HOLE_MS, "ms"))
    trace.x = np.insert(times, after + 1, times[after] + np.timedelta64(1, "h"))
    trace.y = np.insert(values, after + 1, np.nan)
    return trace


def _draw_lane(figure: go.Figure, lane: int, name: str, stretches: Sequence[Stretch], colour: str) -> None:
    """Stretches as bars in a lane; each also has a stroke, so that a short one is seen in a long history."""
    if not stretches:
        return
    starts, ends = [_time(start) for start, _, _ in stretches], [_time(end) for _, end, _ in stretches]
    words = [words for _, _, words in stretches]
    middles = [start + (end - start) / 2 for start, end in zip(starts, ends, strict=True)]
    x = [edge for start, end in zip(starts, ends, strict=True) for edge in (start, end, None)]
    line = {"color": colour, "width": 12}
    figure.add_trace(go.Scatter(x=x, y=[lane] * len(x), mode="lines", line=line, hoverinfo="skip", showlegend=False), row=2, col=1)
    stroke = {"symbol": "line-ns", "size": 10, "line": {"color": colour, "width": 1.5}}
    figure.add_trace(
        go.Scatter(x=middles, y=[lane] * len(middles), mode="markers", name=name, marker=stroke, text=words, hovertemplate="%{text}<extra></extra>"),
        row=2,
        col=1,
    )


def _mark_rows(figure: go.Figure, rows: pd.DataFrame, name: str) -> None:
    """Rings at the closes of single bars."""
    if len(rows):
        times = pd.DatetimeIndex(rows.index).tz_convert("UTC").tz_localize(None)
        marker = {"symbol": "circle-open", "size": 8, "color": BLUE}
        figure.add_trace(go.Scatter(x=times, y=rows["close"].to_numpy(), mode="markers", name=name, marker=marker), row=1, col=1)


def _time(ms: int) -> pd.Timestamp:
    return pd.Timestamp(ms, unit="ms")
