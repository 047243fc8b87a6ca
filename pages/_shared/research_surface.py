"""What a sweep found: its best points, a measure over two parameters, plateau or spike, overfitting."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from components.backtest import Study, backtest_overfitting, best_points, points_frame, surface, sweep_returns
from components.fx import PlatformError
from pages._shared import research_figures, stores
from pages._shared.backtest_words import LESS_IS_BETTER, MEASURES, label, measure, params_words, written
from pages._shared.parts import draw, missing, plain, table
from pages._shared.text import DASH, number, percent, plural, span, utc

SHOWN_MEASURES = ("sharpe", "total_return", "max_drawdown", "profit_factor", "calmar", "trades", "win_rate", "average_profit")
TOP = 30
DAYS_PER_BLOCK, MOST_BLOCKS = 2, 16
FEWEST_DAYS = 8
AT_ONCE_CELLS = 400_000
SHAPES = {
    "plateau": ("success", "Plateau: the neighbours of the best point do about as well, so its parameters need not be hit exactly."),
    "slope": ("warning", "Slope: the neighbours of the best point keep only a part of its advantage."),
    "spike": ("error", "Spike: the neighbours of the best point do not share its advantage. That is what luck looks like; do not trade this point."),
    "unknown": (
        "info",
        "Whether the best point stands on a plateau cannot be said: it has too few neighbours, or no advantage over the middling point.",
    ),
}


def show_sweep(study: Study) -> None:
    """All about one sweep."""
    found = study.result
    names = list(found.get("ranges") or study.spec.get("ranges") or {})
    points = _points(study, names)
    if points.empty:
        missing("No point has been run yet.", "Wait for the first ones; the page says above how far the sweep is.")
        return
    _counts(study, points)
    best = found.get("best")
    criterion = str(found.get("criterion", "sharpe"))
    if best is None:
        least = int(found.get("min_trades", 0))
        st.warning(
            f"No point is ranked: none made at least {plural(least, 'trade')}. Widen the ranges, or ask for fewer trades.", icon=":material/warning:"
        )
    else:
        _best(best, criterion, names, points)
        _shape(found.get("neighbourhood"), criterion)
    _surface(study, points, names, criterion, best)
    _overfitting(study)
    _top(study, names)


def _points(study: Study, names: list[str]) -> pd.DataFrame:
    """The kept table, or where the sweep still runs the points that are there."""
    if study.state == "running":
        return points_frame(stores.backtests().studies.points(study.id), names)
    return _kept_points(str(stores.home()), study.id, study.finished_ms, tuple(names))


@st.cache_data(show_spinner=False, max_entries=20)
def _kept_points(home: str, study_id: str, finished_ms: int | None, names: tuple[str, ...]) -> pd.DataFrame:
    studies = stores.backtests().studies
    try:
        return studies.frame(study_id, "points")
    except PlatformError:
        return points_frame(studies.points(study_id), list(names))


def _counts(study: Study, points: pd.DataFrame) -> None:
    found = study.result
    shown = st.columns(6)
    shown[0].metric("points", f"{found.get('points', len(points)):,} of {found.get('planned', len(points)):,}", border=True)
    shown[1].metric("failed", number(found.get("failed", 0), 0), border=True)
    shown[2].metric("ranked", number(found.get("ranked", 0), 0), border=True, help=f"with at least {found.get('min_trades', 0)} trades")
    done = points[points["state"] == "done"]
    losing = float((done["total_return"] < 0).mean()) if len(done) and "total_return" in done else None
    shown[3].metric("points that lose", percent(losing, 0), border=True)
    middle = float(done["sharpe"].median()) if len(done) and "sharpe" in done else None
    shown[4].metric("middling Sharpe (a year)", number(middle), border=True, help="median over all points: what a blind choice would have got")
    shown[5].metric(
        "took", span(1000 * float(found.get("seconds", 0.0))), border=True, help=f"{found.get('workers', 0)} at once, in {found.get('place', '–')}"
    )
    bars = found.get("bars") or {}
    if bars:
        out = (
            f"; {bars['all'] - bars['used']:,} bars from {utc(bars['out_of_sample_ms'], False)} on stay out of sample"
            if bars.get("out_of_sample_ms")
            else ""
        )
        st.caption(
            f"{found.get('method', '')} over {bars['used']:,} of {bars['all']:,} bars, {utc(bars['first_ms'], False)} to {utc(bars['last_ms'], False)} UTC{out}."
        )
    failed = points[points["state"] == "failed"]
    if len(failed):
        st.caption(f"First failure: {plain(str(failed['error'].iloc[0]))}")


def _best(best: dict[str, Any], criterion: str, names: list[str], points: pd.DataFrame) -> None:
    metrics = best["metrics"]
    amounts = ", ".join(
        f"{measure(name).name} {measure(name).words(metrics.get(name))}" for name in ("sharpe", "total_return", "max_drawdown", "trades")
    )
    said = f"**Best of {len(points):,} by {plain(label(criterion))}: {plain(params_words(best['params'], names))}.** {plain(amounts)}."
    if metrics.get("total_return", 0.0) < 0:
        st.error(f"{said} **Even the best point loses money.**", icon=":material/trending_down:")
    else:
        st.markdown(said)
    if best.get("run_id"):
        st.caption(f"Kept as run {best['run_id']}; see FX Analytics, “one run”.")


def _shape(around: dict[str, Any] | None, criterion: str) -> None:
    if not around:
        return
    kind, words = SHAPES[around["shape"]]
    share = around.get("kept")
    kept = ""
    if share is not None:
        own, theirs = (measure(criterion).words(around.get(name)) for name in ("value", "mean"))
        how = f"keep {percent(share, 0)} of its advantage over the middling point" if share > 0 else "are no better than the middling point"
        kept = f" Its {plural(around['neighbours'], 'neighbour')} {how}: {measure(criterion).name} {own} at the best point, {theirs} around it."
    getattr(st, kind)(f"**{words}**{plain(kept)}", icon=":material/landscape:")


def _surface(study: Study, points: pd.DataFrame, names: list[str], criterion: str, best: dict[str, Any] | None) -> None:
    st.subheader("Over the parameters", anchor=False)
    measures = [name for name in MEASURES if name in points.columns]
    if not measures or not names:
        st.caption("No point has a measure.")
        return
    place = measures.index(criterion) if criterion in measures else 0
    first, second, third, fourth = st.columns(4)
    metric = first.selectbox("measure", measures, index=place, format_func=label, key=f"surface.metric.{study.id}")
    params = best["params"] if best else {}
    shown = points.assign(**{metric: measure(metric).scale * points[metric]})
    if len(names) == 1:
        draw(research_figures.profile_chart(shown, names[0], metric, label(metric), params.get(names[0])), f"surface.{study.id}")
        return
    x = second.selectbox("across", names, key=f"surface.x.{study.id}")
    others = [name for name in names if name != x]
    y = third.selectbox("up", others, key=f"surface.y.{study.id}")
    where = (params.get(x), params.get(y)) if best else None
    if _is_scattered(study, points, names):
        draw(research_figures.cloud_chart(shown, x, y, metric, label(metric), where), f"surface.{study.id}")
        st.caption("The points were drawn and form no grid; the ring is the best one.")
        return
    over = "best"
    if len(names) > 2:
        over = fourth.selectbox(
            "where others vary too", ["best", "mean"], key=f"surface.over.{study.id}", help="a cell shows its best point, or the mean of its points"
        )
    cells = surface(shown, x, y, metric, "mean" if over == "mean" else "best")
    draw(research_figures.surface_chart(cells, label(metric), where, metric in LESS_IS_BETTER), f"surface.{study.id}")
    st.caption(
        "Bright is better; the frame is the best point, a hole a combination that the strategy does not allow. A lonely bright cell among dark ones is luck, "
        "a bright region an edge or a common error."
    )


def _is_scattered(study: Study, points: pd.DataFrame, names: list[str]) -> bool:
    cells = 1
    for name in names:
        cells *= max(points[f"param.{name}"].nunique(), 1)
    return study.result.get("method", "grid") != "grid" and cells > 10 * len(points)


def _overfitting(study: Study) -> None:
    if study.state != "done":
        return
    st.subheader("Overfitting of the choice (PBO)", anchor=False)
    kept = sweep_returns(stores.backtests(), study)
    if kept is None or len(kept.days) < FEWEST_DAYS:
        st.caption("It needs the daily returns of at least two points over some weeks; they are not there.")
        return
    if kept.returns.size > AT_ONCE_CELLS and not st.toggle("Compute it (may take half a minute)", key=f"pbo.{study.id}"):
        return
    blocks = min(MOST_BLOCKS, len(kept.days) // DAYS_PER_BLOCK // 2 * 2)
    found = _overfit(str(stores.home()), study.id, study.finished_ms, blocks)
    probability = found["probability"]
    show = st.success if probability < 0.2 else st.warning if probability < 0.5 else st.error
    meaning = (
        "the choice carries over"
        if probability < 0.2
        else "the choice carries over only in part"
        if probability < 0.5
        else "choosing the best point is no better than choosing any: it is overfitted"
    )
    show(
        f"**{percent(probability, 1)} chance that the choice is overfitted:** {meaning}. In {found['splits']:,} splits of {found['days']:,} days into halves "
        f"the best of {found['strategies']:,} points came out at or below the middling one that often; {percent(found['loss_probability'], 0)} of the choices "
        "lost in the other half.",
        icon=":material/call_split:",
    )
    draw(research_figures.overfitting_chart(found["inside"], found["outside"]), f"overfitting.{study.id}")
    st.caption("Each point is a split: right is better where the choice was made, up is better in the half that it did not see (Bailey et al. 2017).")


@st.cache_data(show_spinner="splitting the days into halves …", max_entries=20)
def _overfit(home: str, study_id: str, finished_ms: int | None, blocks: int) -> dict[str, Any]:
    store = stores.backtests()
    kept = sweep_returns(store, store.studies.study(study_id))
    assert kept is not None
    found = backtest_overfitting(kept.returns, blocks)
    a_year = 252.0**0.5
    return {
        "probability": found.probability,
        "loss_probability": found.loss_probability,
        "splits": found.splits,
        "strategies": found.strategies,
        "days": found.observations,
        "inside": a_year * found.chosen_in,
        "outside": a_year * found.chosen_out,
    }


def _top(study: Study, names: list[str]) -> None:
    st.subheader("Best points", anchor=False)
    rows = best_points(stores.backtests().studies, study, TOP)
    if not rows:
        st.caption("No point is ranked.")
        return
    shown: list[dict[str, Any]] = []
    for place, row in enumerate(rows, 1):
        line: dict[str, Any] = {"": place, **{name: written(row.get(f"param.{name}")) for name in names}}
        for name in SHOWN_MEASURES:
            value = row.get(name)
            line[label(name)] = None if value is None or value != value else measure(name).scale * value
        shown.append(line | {"point (no.)": row["number"]})
    columns = {
        label(name): st.column_config.NumberColumn(format="localized" if measure(name).digits == 0 else f"%.{measure(name).digits}f")
        for name in SHOWN_MEASURES
    }
    table(shown, f"top.{study.id}", 12, **columns)
    st.caption(f"The best {len(rows):,} of {study.result.get('ranked', len(rows)):,} ranked points. {DASH} where a point has no such measure.")
