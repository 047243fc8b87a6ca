"""Data Streams, third view: the catalogue of features, their distributions and correlations, the look-ahead check."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache

import pandas as pd
import streamlit as st

from components.features import DEFAULT_FEATURES, Feature, FeatureInputs, FeatureRecipe, catalogue, compute_features, expand, feature_of, parse_name
from components.fx import BadInput, NotFound, Timeframe, parse_payload
from components.pipeline import BarSet, news_frame
from pages._shared import figures, queue, stores, stream_figures
from pages._shared.parts import draw, missing, plain, stated, table, told_errors
from pages._shared.streams_bars import choose_bar_set, title_of
from pages._shared.text import number, plural, significant

MOST_BARS = 50_000
MOST_CORRELATED = 60
OWN = "own"
CHECKED_ROWS = 1_500


def show() -> None:
    """The catalogue; on the chosen bars distributions, correlations and the check."""
    st.header("Features", anchor=False)
    known = catalogue()
    families = ["all families", *dict.fromkeys(one.family for one in known)]
    family = st.selectbox("family", families, key="family")
    shown = [one for one in known if family in (families[0], one.family)]
    wide = st.column_config.TextColumn(width="large")
    table([_row(one) for one in shown], "features", most_rows=7, formula=wide, source=st.column_config.TextColumn(width="medium"))
    st.caption(
        f"{plural(len(shown), 'feature')} of {len(known)}. Each value uses bars up to its own and can be used from that bar's close. "
        "Any period may be asked for, and other timeframes, pairs and shifts: rsi_7, H4.rsi_14, GBPUSD.return_1, rsi_14.shift_2."
    )
    bar_sets = stores.pipeline().bar_sets()
    if not bar_sets:
        missing("No bars are collected yet.", "Collect some in the view “sources”; features are computed from bars.")
        return
    bar_set = choose_bar_set(bar_sets)
    others, news = choose_inputs(bar_set, bar_sets, "features")
    usable = names_for(tuple(one.symbol for one in others), bool(news), [one.name for one in shown])
    ids = tuple(one.id for one in others)
    with told_errors():
        if usable:
            _distribution(bar_set, usable, ids, news)
        else:
            missing(
                "Features of this family need more than these bars.",
                "Those of other pairs need bars of another symbol in the same timeframe; those of news need a currency collected from “gdelt”.",
            )
    with told_errors():
        _correlations(bar_set, names_for(tuple(one.symbol for one in others), bool(news)), ids, news)
    _check(bar_set)


def choose_inputs(bar_set: BarSet, bar_sets: list[BarSet], key: str) -> tuple[list[BarSet], tuple[str, ...]]:
    """Bars of other symbols and currencies of news that features may use, where there are any; none of them unless chosen."""
    found = {one.id: one for one in beside(bar_set, bar_sets)}
    currencies = news_currencies()
    if not found and not currencies:
        return [], ()
    left, right = st.columns([3, 2])
    chosen = left.multiselect(
        "bars of other symbols",
        list(found),
        key=f"{key}.others.{bar_set.id}",
        format_func=lambda one: title_of(found[one]),
        disabled=not found,
        help="for features such as GBPUSD.return_1, currency strength and triangles; one set a symbol, of the same timeframe",
        placeholder="none" if found else "there are none of this timeframe and time",
    )
    news = right.multiselect(
        "news of currencies", currencies, key=f"{key}.news", disabled=not currencies, placeholder="none" if currencies else "none is collected"
    )
    return [found[one] for one in chosen], tuple(news)


def beside(bar_set: BarSet, bar_sets: Iterable[BarSet]) -> list[BarSet]:
    """Bar sets that can stand beside one: another symbol, the same timeframe, some time in common, and not quarantined."""
    return [
        one
        for one in bar_sets
        if one.symbol != bar_set.symbol
        and one.timeframe == bar_set.timeframe
        and one.state != "quarantined"
        and one.start_ms < bar_set.end_ms
        and bar_set.start_ms < one.end_ms
    ]


def news_currencies() -> list[str]:
    """Currencies of which news are kept."""
    return sorted({one.symbol for one in stores.pipeline().series() if one.source in ("gdelt", "gdelt_events")})


def names_for(symbols: tuple[str, ...], has_news: bool, among: list[str] | None = None) -> list[str]:
    """Names of catalogued features that can be had of bars, with bars of these other symbols beside them."""
    names = [one.name for one in catalogue()] if among is None else among
    return [name for one in names for name in _with_pairs(one, symbols, has_news)]


@lru_cache(maxsize=4096)
def _with_pairs(name: str, symbols: tuple[str, ...], has_news: bool) -> tuple[str, ...]:
    """A feature as it is, or once for each other symbol where it compares two."""
    needs = feature_of(name).needs
    if "news" in needs:
        return (name,) if has_news else ()
    if "others" not in needs:
        return (name,)
    found: list[str] = []
    for pair in (OWN, *symbols) if symbols else ():
        with suppress(BadInput):
            found += expand(parse_payload(FeatureRecipe, {"formulas": [parse_name(name).formula], "pairs": [pair]}))
    return tuple(dict.fromkeys(found))


def _row(feature: Feature) -> dict[str, object]:
    return {
        "name": feature.name,
        "family": feature.family,
        "warm-up (bars)": feature.warmup_bars,
        "lowest": number(feature.low, 0 if feature.low == round(feature.low, 0) else 2) if abs(feature.low) < float("inf") else "−∞",
        "highest": number(feature.high, 0 if feature.high == round(feature.high, 0) else 2) if abs(feature.high) < float("inf") else "∞",
        "needs": ", ".join(sorted(feature.needs)) or "bars",
        "source": feature.source,
        "formula": feature.formula,
    }


def _distribution(bar_set: BarSet, usable: list[str], others: tuple[str, ...], news: tuple[str, ...]) -> None:
    left, right = st.columns([3, 2], gap="medium")
    with right:
        chosen = st.selectbox("distribution of", usable, key="feature")
        values = _values(bar_set.id, (chosen,), others, news)[chosen]
        st.caption(f"{chosen} = {plain(feature_of(chosen).formula)}")
        known = values.dropna()
        if not len(known):
            st.caption(
                f"No value is known on these {len(values):,} bars: it needs {feature_of(chosen).warmup_bars:,} to warm up, or what it needs is not there."
            )
            return
        newest = f", the newest {MOST_BARS:,} bars" if bar_set.rows > MOST_BARS else ""
        stated(
            {
                "values": f"{len(known):,}{newest}",
                "mean": significant(known.mean()),
                "deviation": significant(known.std()),
                "skew": significant(known.skew(), 3),
                "lowest": significant(known.min()),
                "highest": significant(known.max()),
            }
        )
    with left:
        figure = figures.distribution(values.to_numpy(), chosen)
        figure.update_xaxes(exponentformat="none")
        draw(figure, "distribution")


def _correlations(bar_set: BarSet, names: list[str], others: tuple[str, ...], news: tuple[str, ...]) -> None:
    # Computed only where it is wanted: a closed expander would be computed too.
    if not st.toggle("Correlations", key="correlations.shown", help="of every pair of features over these bars"):
        return
    default = [name for name in DEFAULT_FEATURES if name in names]
    chosen = st.multiselect("features to compare", names, default=default, key="correlated", max_selections=MOST_CORRELATED)
    if len(chosen) < 2:
        st.caption("Choose two or more.")
        return
    values = _values(bar_set.id, tuple(chosen), others, news)
    draw(stream_figures.correlation_chart(values), "correlations")
    strongest = strongest_pairs(values)
    if len(strongest):
        table(strongest, "strongest", most_rows=8, correlation=st.column_config.NumberColumn(format="%.3f"))


def strongest_pairs(values: pd.DataFrame, count: int = 12) -> pd.DataFrame:
    """The pairs of columns with the largest correlation by size."""
    found = values.corr()
    found.index.name, found.columns.name = "feature", "other"
    pairs = found.stack().rename("correlation").reset_index()
    pairs = pairs[pairs["feature"] < pairs["other"]]
    order = pairs["correlation"].abs().sort_values(ascending=False, kind="stable").index
    return pairs.loc[order].head(count).reset_index(drop=True)


def _check(bar_set: BarSet) -> None:
    with st.container(border=True):
        words, press = st.columns([5, 2], vertical_alignment="center")
        words.markdown(
            "**Look-ahead check.** Every feature is recomputed on truncated and on changed futures; what it said about the past must not move."
        )
        if press.button("Check all features", key="check", icon=":material/fact_check:", width="stretch"):
            queue.send("check_features", {"bar_set_id": bar_set.id, "features": [], "rows": CHECKED_ROWS})
        queue.say_submitted("check_features")
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
def _values(bar_set_id: str, names: tuple[str, ...], others: tuple[str, ...], news: tuple[str, ...]) -> pd.DataFrame:
    store = stores.pipeline()
    bar_set = store.bar_set(bar_set_id)
    beside = {store.bar_set(one).symbol: store.load_bars(one) for one in others}
    told = {}
    for currency in news:
        with suppress(NotFound):
            told[currency] = news_frame(stores.home(), currency)
    inputs = FeatureInputs(bar_set.symbol, beside, told, Timeframe.named(bar_set.timeframe))
    return compute_features(store.load_bars(bar_set_id).tail(MOST_BARS), names, inputs)
