"""Data Streams: sources, collected bars with their quality, features, datasets."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from components.features import Feature, catalogue, compute_features
from components.pipeline import BarSet, DatasetRecipe, TripleBarrierTarget, sources
from pages._shared import figures, queue, stores
from pages._shared.forms import model_inputs
from pages._shared.parts import draw, missing, page, stated, stays_open, table
from pages._shared.text import number, percent, plural, utc

STRETCHES = {"last 200 bars": 200, "last 500 bars": 500, "last 2,000 bars": 2_000, "all bars": None}


def main() -> None:
    """The page."""
    with page("Data Streams", "sources, bars and their quality, features, datasets"):
        queue.show_progress("collect", "dataset")
        _sources()
        bar_sets = stores.pipeline().bar_sets()
        st.header("Bars", anchor=False)
        if not bar_sets:
            missing("No bars are collected yet.", "Press “Collect” above: the source is read once, scored and kept.")
            return
        chosen = _bar_sets(bar_sets)
        bars = stores.pipeline().load_bars(chosen.id)
        _quality(chosen)
        _prices(chosen, bars)
        _features(chosen, bars)
        _datasets(chosen)


def _sources() -> None:
    st.header("Sources", anchor=False)
    for source in sources():
        with st.container(border=True):
            words, press = st.columns([5, 2], vertical_alignment="center")
            words.markdown(f"**{source.name}**  \n{source.note}")
            with press:
                held = st.selectbox("bars to collect", source.holds, format_func=" ".join, key=f"holds.{source.name}", label_visibility="collapsed")
                if st.button("Collect", key=f"collect.{source.name}", type="primary", icon=":material/download:", width="stretch"):
                    queue.submit("collect", {"source": source.name, "symbol": held[0], "timeframe": held[1]})
                    st.rerun()


def _bar_sets(bar_sets: list[BarSet]) -> BarSet:
    rows = [
        {
            "id": one.id,
            "symbol": one.symbol,
            "timeframe": one.timeframe,
            "source": one.source,
            "bars": one.rows,
            "first bar opens (UTC)": utc(one.start_ms, seconds=False),
            "last bar closes (UTC)": utc(one.end_ms, seconds=False),
            "quality (of 100)": one.quality_score,
            "collected (UTC)": utc(one.created_ms),
        }
        for one in bar_sets
    ]
    table(
        rows,
        "bar_sets",
        **{"bars": st.column_config.NumberColumn(format="localized"), "quality (of 100)": st.column_config.NumberColumn(format="%.2f")},
    )
    if len(bar_sets) == 1:
        return bar_sets[0]
    by_id = {one.id: one for one in bar_sets}
    return by_id[st.selectbox("bar set", list(by_id), key="bar_set")]


def _quality(bar_set: BarSet) -> None:
    parts = bar_set.quality
    with st.container(border=True):
        st.subheader("Quality", anchor=False)
        shown = st.columns(6)
        shown[0].metric("score", number(bar_set.quality_score, 2, "of 100"))
        shown[1].metric("completeness", percent(parts["completeness"]), help="share of the expected bars that are there")
        shown[2].metric("gaps", plural(parts["gap_count"], "hole"), help="stretches of expected bars that are missing, weekends and holidays apart")
        shown[3].metric("spikes", plural(parts["spikes"], "bar"), help="a move of 12 typical ones that the next bar takes back by more than half")
        shown[4].metric("stale", plural(parts["stale"], "bar"), help="in runs of 3 or more bars in which nothing moved")
        shown[5].metric("outside the session", plural(parts["outside"], "bar"), help="bars while the market was closed")
        faults = f"{plural(parts['duplicates'], 'duplicate')} · {plural(parts['disorder'], 'bar')} out of order · {plural(parts['bad_ohlc'], 'bar')} with impossible prices"
        st.caption(f"{faults} · {_expected(parts)} · {bar_set.source} · sha256 {bar_set.sha256[:16]}…")
        if parts["gaps"]:
            with st.expander(f"The {plural(len(parts['gaps']), 'longest gap')}"):
                rows = [
                    {
                        "first missing bar (UTC)": utc(gap["first_ms"], False),
                        "last missing bar (UTC)": utc(gap["last_ms"], False),
                        "missing (bars)": gap["bars"],
                    }
                    for gap in parts["gaps"]
                ]
                table(rows, "gaps", most_rows=6)


def _expected(parts: dict[str, Any]) -> str:
    """How many of the expected bars are there, and how many more that nobody expected."""
    there = parts["rows"] - parts["duplicates"] - parts["outside"]
    all_there = there == parts["expected"]
    words = f"{parts['expected']:,} expected bars all there" if all_there else f"{there:,} of {parts['expected']:,} expected bars there"
    return f"{words}, {parts['outside']:,} more outside the session" if parts["outside"] else words


def _prices(bar_set: BarSet, bars: pd.DataFrame) -> None:
    title, choice = st.columns([3, 4], vertical_alignment="bottom")
    title.subheader("Prices", anchor=False)
    with choice:
        stretch = st.segmented_control("stretch", list(STRETCHES), default="all bars", required=True, key="stretch", label_visibility="collapsed")
    count = STRETCHES[stretch or "all bars"]
    shown = bars if count is None else bars.tail(count)
    draw(figures.price_chart(shown, bar_set.symbol, bar_set.quality["gaps"]), "prices")
    st.caption("Bid prices. Amber marks expected bars that are missing; weekends and holidays are not expected and stay unmarked.")


def _features(bar_set: BarSet, bars: pd.DataFrame) -> None:
    st.header("Features", anchor=False)
    known = catalogue()
    left, right = st.columns([3, 2], gap="medium")
    with left:
        table([_feature_row(one) for one in known], "features", most_rows=9, hide=("source",))
    with right:
        by_name = {one.name: one for one in known}
        chosen = by_name[st.selectbox("distribution of", list(by_name), key="feature")]
        values = _feature_values(bar_set.id, chosen.name)
        draw(figures.distribution(values.to_numpy(), chosen.name), "distribution")
    st.caption(f"{len(known)} features; each value uses bars up to its own and can be used from that bar's close. {chosen.name} = {chosen.formula}")


def _feature_row(feature: Feature) -> dict[str, object]:
    return {
        "name": feature.name,
        "family": feature.family,
        "warm-up (bars)": feature.warmup_bars,
        "source": feature.source,
        "formula": feature.formula,
    }


@st.cache_data(show_spinner=False, max_entries=64)
def _feature_values(bar_set_id: str, name: str) -> pd.Series:
    return compute_features(stores.pipeline().load_bars(bar_set_id), [name])[name]


def _datasets(bar_set: BarSet) -> None:
    st.header("Datasets", anchor=False)
    with (
        st.expander("Build a dataset", expanded=stays_open("dataset", not stores.pipeline().datasets()), icon=":material/dataset:"),
        st.form("dataset", border=False),
    ):
        st.caption(f"From {bar_set.id}: features, a triple-barrier target and a purged split in time.")
        names = [feature.name for feature in catalogue()]
        features = st.multiselect("features", names, default=names, key="dataset.features")
        target = model_inputs(TripleBarrierTarget, "target")
        split = model_inputs(DatasetRecipe, "recipe", hide=("features", "target"))
        if st.form_submit_button("Build dataset", type="primary", icon=":material/play_arrow:"):
            queue.submit("dataset", {"bar_set_id": bar_set.id, "recipe": {"features": features, "target": target, **split}})
            st.rerun()
    datasets = stores.pipeline().datasets()
    if not datasets:
        missing("No dataset is built yet.", "Press “Build dataset” above; the defaults are a good start.")
        return
    rows = [
        {
            "id": one.id,
            "bars": f"{one.symbol} {one.timeframe}",
            "features": len(one.recipe.features),
            "train (rows)": one.train_rows,
            "test (rows)": one.test_rows,
            "train ends (UTC)": utc(one.train_end_ms, False),
            "test begins (UTC)": utc(one.test_start_ms, False),
            "horizon (bars)": one.recipe.target.horizon_bars,
            "embargo (bars)": one.recipe.embargo_bars,
            "built (UTC)": utc(one.created_ms),
        }
        for one in datasets
    ]
    table(rows, "datasets", hide=("built (UTC)",))
    newest = datasets[0]
    target = newest.recipe.target
    stated(
        {
            "newest": f"{newest.id} of {newest.bar_set_id}, built {utc(newest.created_ms)} UTC",
            "target": f"barriers at +{target.up_atr:g} and −{target.down_atr:g} ATR({target.atr_period}), within {target.horizon_bars} bars",
            "purged": f"no training label ends later than {utc(newest.train_end_ms, False)} UTC; the test begins at {utc(newest.test_start_ms, False)} UTC",
        }
    )


main()
