"""Data Streams, third view: the catalogue of features, their distributions and correlations, the look-ahead check."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from components.features import DEFAULT_FEATURES, Feature, catalogue, compute_features
from components.pipeline import BarSet
from pages._shared import figures, queue, stores, stream_figures
from pages._shared.parts import draw, missing, plain, table
from pages._shared.streams_bars import choose_bar_set
from pages._shared.text import number, plural

MOST_BARS = 50_000
MOST_CORRELATED = 60
ALWAYS = frozenset({"volume"})


def show() -> None:
    """The catalogue; on the chosen bars distributions, correlations and the check."""
    st.header("Features", anchor=False)
    known = catalogue()
    families = ["all families", *dict.fromkeys(one.family for one in known)]
    family = st.selectbox("family", families, key="family")
    shown = [one for one in known if family in (families[0], one.family)]
    table([_row(one) for one in shown], "features", most_rows=9)
    st.caption(
        f"{len(known)} features; each value uses bars up to its own and can be used from that bar's close. Any period may be asked for: rsi_7, and H4.rsi_14 of a longer timeframe."
    )
    bar_sets = stores.pipeline().bar_sets()
    if not bar_sets:
        missing("No bars are collected yet.", "Collect some in the view “sources”; features are computed from bars.")
        return
    bar_set = choose_bar_set(bar_sets)
    usable = [one for one in shown if one.needs <= ALWAYS]
    if usable:
        _distribution(bar_set, usable)
    _correlations(bar_set, known)
    _check(bar_set)


def _row(feature: Feature) -> dict[str, object]:
    return {
        "name": feature.name,
        "family": feature.family,
        "warm-up (bars)": feature.warmup_bars,
        "lowest": number(feature.low, 2),
        "highest": number(feature.high, 2),
        "needs": ", ".join(sorted(feature.needs)) or "bars",
        "source": feature.source,
        "formula": feature.formula,
    }


def _distribution(bar_set: BarSet, usable: list[Feature]) -> None:
    by_name = {one.name: one for one in usable}
    left, right = st.columns([3, 2], gap="medium")
    with right:
        chosen = by_name[st.selectbox("distribution of", list(by_name), key="feature")]
        values = _values(bar_set.id, (chosen.name,))[chosen.name]
        st.caption(f"{chosen.name} = {plain(chosen.formula)}")
        known = values.dropna()
        st.caption(
            f"{len(known):,} known values · mean {number(known.mean(), 4)} · deviation {number(known.std(), 4)} · skew {number(known.skew(), 2)}"
        )
    with left:
        draw(figures.distribution(values.to_numpy(), chosen.name), "distribution")


def _correlations(bar_set: BarSet, known: tuple[Feature, ...]) -> None:
    with st.expander("Correlations", icon=":material/grid_on:"):
        names = [one.name for one in known if one.needs <= ALWAYS]
        chosen = st.multiselect(
            "features to compare",
            names,
            default=[name for name in DEFAULT_FEATURES if name in names],
            key="correlated",
            max_selections=MOST_CORRELATED,
        )
        if len(chosen) < 2:
            st.caption("Choose two or more.")
            return
        values = _values(bar_set.id, tuple(chosen))
        draw(stream_figures.correlation_chart(values), "correlations")
        strongest = _strongest(values)
        if len(strongest):
            table(strongest, "strongest", most_rows=6)


def _strongest(values: pd.DataFrame, count: int = 12) -> pd.DataFrame:
    """The pairs with the largest correlation by size."""
    found = values.corr()
    found.index.name, found.columns.name = "feature", "other"
    pairs = found.stack().rename("correlation").reset_index()
    pairs = pairs[pairs["feature"] < pairs["other"]]
    order = pairs["correlation"].abs().sort_values(ascending=False).index
    return pairs.loc[order].head(count).reset_index(drop=True)


def _check(bar_set: BarSet) -> None:
    with st.container(border=True):
        words, press = st.columns([5, 2], vertical_alignment="center")
        words.markdown(
            "**Look-ahead check.** Every feature is recomputed on truncated and on changed futures; what it said about the past must not move."
        )
        if press.button("Check all features", key="check", icon=":material/fact_check:", width="stretch"):
            queue.submit("check_features", {"bar_set_id": bar_set.id, "features": [], "rows": 1_500})
            st.rerun()
        done = next((job for job in stores.jobs().list("done") if job.kind == "check_features" and job.result), None)
        if done is None or done.result is None:
            st.caption("Not checked here yet; the platform's own tests check every feature.")
            return
        leaks = done.result["leaks"]
        said = f"{plural(done.result['checked'], 'feature')} checked on {plural(done.result['bars'], 'bar')} of {done.payload['bar_set_id']}: "
        st.caption(said + (f"{plural(len(leaks), 'leak')}." if leaks else "nothing that was said about the past moved."))
        if leaks:
            table([dict(one) for one in leaks], "leaks")


@st.cache_data(show_spinner="computing features …", max_entries=64)
def _values(bar_set_id: str, names: tuple[str, ...]) -> pd.DataFrame:
    bars = stores.pipeline().load_bars(bar_set_id)
    return compute_features(bars.tail(MOST_BARS), names)
