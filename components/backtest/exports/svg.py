"""Small charts as inline SVG: lines over time, and bars. No script, no font and no picture from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 960, 74, 10, 10, 24
POINTS = 900


def thinned(values: np.ndarray, points: int = POINTS) -> np.ndarray:
    """Places of a curve to draw, shape (≤ 2 · points,): lowest and highest of every stretch, so that no fall gets lost."""
    count = len(values)
    if count <= 2 * points:
        return np.arange(count)
    edges = np.linspace(0, count, points + 1).astype(int)
    kept = {0, count - 1}
    for start, end in pairwise(edges.tolist()):
        part = values[start:end]
        kept |= {start + int(np.argmin(part)), start + int(np.argmax(part))}
    return np.array(sorted(kept))


def line_chart(
    times: pd.DatetimeIndex,
    values: np.ndarray,
    *,
    label: str,
    kind: str = "line",
    height: int = 260,
    percent: bool = False,
    base: float | None = None,
) -> str:
    """A curve over time with its axes.

    Parameters
    ----------
    times : DatetimeIndex, shape (n,)
    values : float64, shape (n,)
    label : str
        What the curve is, with its unit.
    kind : {'line', 'fall'}
        ``fall`` fills what lies between the curve and zero, in red.
    height : int
    percent : bool
        Whether the values are shares.
    base : float, optional
        A level to mark, such as the starting balance.
    """
    if not len(values):
        return '<p class="none">No data.</p>'
    places = thinned(values)
    x_ms, y = times.as_unit("ms").asi8[places].astype(np.float64), values[places]
    low, high = float(min(y.min(), 0.0 if kind == "fall" else y.min())), float(max(y.max(), 0.0 if kind == "fall" else y.max()))
    if base is not None:
        low, high = min(low, base), max(high, base)
    marks = _round_marks(low, high)
    low, high = min(low, marks[0]), max(high, marks[-1])
    span = (high - low) or 1.0
    width_ms = (x_ms[-1] - x_ms[0]) or 1.0

    def x_of(ms: float) -> float:
        return float(LEFT + (ms - x_ms[0]) / width_ms * (WIDTH - LEFT - RIGHT))

    def y_of(value: float) -> float:
        return float(TOP + (high - value) / span * (height - TOP - BOTTOM))

    parts = [_open(height, label)]
    for mark in marks:
        at = y_of(mark)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="axis" x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{_number(mark, percent)}</text>')
    for at_ms, text in _time_marks(times[0], times[-1]):
        at = x_of(at_ms)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{height - BOTTOM}"/>')
        parts.append(f'<text class="axis" x="{at:.1f}" y="{height - 7}" text-anchor="middle">{text}</text>')
    if base is not None:
        parts.append(f'<line class="base" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y_of(base):.1f}" y2="{y_of(base):.1f}"/>')
    points = " ".join(f"{x_of(a):.1f},{y_of(v):.1f}" for a, v in zip(x_ms, y, strict=True))
    if kind == "fall":
        zero = y_of(0.0)
        parts.append(f'<polygon class="fall" points="{x_of(x_ms[0]):.1f},{zero:.1f} {points} {x_of(x_ms[-1]):.1f},{zero:.1f}"/>')
    parts.append(f'<polyline class="{"loss" if kind == "fall" else "curve"}" points="{points}"/></svg>')
    return "".join(parts)


def histogram(values: np.ndarray, *, label: str, height: int = 180, bins: int = 41) -> str:
    """How often each size of profit comes; losses in red, gains in green."""
    if not len(values):
        return '<p class="none">No trades.</p>'
    low, high = (float(np.quantile(values, share)) for share in (0.005, 0.995))
    reach = max(abs(low), abs(high)) or 1.0
    counts, edges = np.histogram(np.clip(values, -reach, reach), bins=bins, range=(-reach, reach))
    top = int(counts.max()) or 1
    wide = (WIDTH - LEFT - RIGHT) / bins
    parts = [_open(height, label)]
    for mark in _round_marks(0, top, 3):
        at = TOP + (1.0 - mark / max(top, mark or 1)) * (height - TOP - BOTTOM) if mark <= top else None
        if at is not None:
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
            parts.append(f'<text class="axis" x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{mark:.0f}</text>')
    for place, count in enumerate(counts.tolist()):
        if count:
            tall = count / top * (height - TOP - BOTTOM)
            middle = (edges[place] + edges[place + 1]) / 2
            name = "bar" if middle >= 0 else "bar down"
            parts.append(
                f'<rect class="{name}" x="{LEFT + place * wide + 1:.1f}" y="{height - BOTTOM - tall:.1f}" width="{wide - 2:.1f}" height="{tall:.1f}"/>'
            )
    for value in (-reach, 0.0, reach):
        at = LEFT + (value + reach) / (2 * reach) * (WIDTH - LEFT - RIGHT)
        anchor = "start" if value < 0 else "end" if value > 0 else "middle"
        parts.append(f'<text class="axis" x="{at:.1f}" y="{height - 7}" text-anchor="{anchor}">{_number(value, False)}</text>')
    return "".join([*parts, "</svg>"])


def _open(height: int, label: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}" xmlns="http://www.w3.org/2000/svg">'


def _round_marks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers that cover the range."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        span = abs(high) or 1.0
        low, high = low - span / 2, high + span / 2
    raw = span / wanted
    step = 10.0 ** math.floor(math.log10(raw))
    step *= next(times for times in (1.0, 2.0, 2.5, 5.0, 10.0) if times * step >= raw * 0.999)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def _time_marks(first: pd.Timestamp, last: pd.Timestamp) -> Sequence[tuple[float, str]]:
    """Months or years, or days where the span is short."""
    days = max((last - first).days, 0)
    if days < 3:
        return [(at.timestamp() * 1000.0, at.strftime("%d %b %H:%M")) for at in pd.date_range(first, last, periods=5)[1:-1]]
    if days < 70:
        marks = pd.date_range(first.normalize(), last, freq=f"{max(1, days // 6)}D")
        return [(at.timestamp() * 1000.0, at.strftime("%d %b")) for at in marks if at >= first]
    months = next((step for step in (1, 2, 3, 6, 12, 24, 60) if days / 30.4 / step <= 10), 120)
    form = "%b %Y" if months < 12 else "%Y"
    # From January, so that every mark names what it stands for.
    marks = pd.date_range(first.normalize().replace(month=1, day=1), last, freq=f"{months}MS")
    return [(at.timestamp() * 1000.0, at.strftime(form)) for at in marks if at >= first and (last - at).days > days // 30]


def _number(value: float, percent: bool) -> str:
    if percent:
        return f"{100 * value:.4g} %"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"
