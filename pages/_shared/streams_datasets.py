"""Data Streams, fourth view: datasets, how they differ, where they come from, and a form to build one."""

from __future__ import annotations

from typing import Any

import streamlit as st

from components.features import DEFAULT_FEATURES, catalogue
from components.fx import PlatformError
from components.pipeline import TARGETS, Dataset, DatasetRecipe, RowsApart, diff_datasets
from pages._shared import queue, stores
from pages._shared.forms import model_inputs
from pages._shared.parts import missing, stated, stays_open, table, tell, told_errors
from pages._shared.streams_bars import choose_bar_set
from pages._shared.text import plural, utc


def show() -> None:
    """The form, the datasets, the chosen one, and a comparison of two."""
    st.header("Datasets", anchor=False)
    bar_sets = stores.pipeline().bar_sets()
    if not bar_sets:
        missing("No bars are collected yet.", "Collect some in the view “sources”; a dataset is built from bars.")
        return
    _build(choose_bar_set(bar_sets).id)
    datasets = stores.pipeline().datasets()
    if not datasets:
        missing("No dataset is built yet.", "Press “Build dataset” above; the defaults are a good start.")
        return
    table([_row(one) for one in datasets], "datasets", hide=("built (UTC)",))
    _one(datasets)
    if len(datasets) > 1:
        _differences(datasets)


def _build(bar_set_id: str) -> None:
    with st.expander("Build a dataset", expanded=stays_open("dataset", not stores.pipeline().datasets()), icon=":material/dataset:"):
        kind = st.selectbox("target", list(TARGETS), key="dataset.target", format_func=lambda one: one.replace("_", " "))
        with st.form("dataset", border=False):
            st.caption(f"From {bar_set_id}: features, a target, and a split in time that is purged by the target's horizon.")
            names = [feature.name for feature in catalogue() if not feature.needs & {"others", "news"}]
            default = [name for name in DEFAULT_FEATURES if name in names]
            features = st.multiselect(
                "features",
                names,
                default=default,
                key="dataset.features",
                accept_new_options=True,
                help="any name of the grammar: rsi_7, H4.rsi_14, rsi_14.shift_1",
            )
            target = model_inputs(TARGETS[kind], f"target.{kind}", hide=("kind",))
            split = model_inputs(DatasetRecipe, "recipe", hide=("features", "target"))
            if st.form_submit_button("Build dataset", type="primary", icon=":material/play_arrow:"):
                recipe = {"features": features, "target": {"kind": kind, **target}, **split}
                queue.submit("dataset", {"bar_set_id": bar_set_id, "recipe": recipe})
                st.rerun()


def _row(one: Dataset) -> dict[str, Any]:
    return {
        "id": one.id,
        "bars": f"{one.symbol} {one.timeframe}",
        "features": len(one.recipe.features),
        "target": one.recipe.target.kind.replace("_", " "),
        "train (rows)": one.train_rows,
        "test (rows)": one.test_rows,
        "train ends (UTC)": utc(one.train_end_ms, False),
        "test begins (UTC)": utc(one.test_start_ms, False),
        "horizon (bars)": one.recipe.target.horizon_bars,
        "embargo (bars)": one.recipe.embargo_bars,
        "normalised": one.recipe.normalise,
        "built (UTC)": utc(one.created_ms),
    }


def _one(datasets: list[Dataset]) -> None:
    by_id = {one.id: one for one in datasets}
    chosen = by_id[
        st.selectbox(
            "dataset",
            list(by_id),
            key="dataset.shown",
            format_func=lambda one: f"{one} · {by_id[one].symbol} {by_id[one].timeframe} · built {utc(by_id[one].created_ms)}",
        )
    ]
    target = chosen.recipe.target.model_dump()
    stated(
        {
            "built": f"{utc(chosen.created_ms)} UTC from {chosen.bar_set_id}",
            "target": ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in target.items()),
            "purged": f"no training label ends later than {utc(chosen.train_end_ms, False)} UTC; the test begins at {utc(chosen.test_start_ms, False)} UTC",
            "fitted on training rows": _fitted(chosen),
            "comes from": _lineage(chosen),
        }
    )
    with st.expander("Export or delete", icon=":material/ios_share:"), told_errors():
        left, middle, press = st.columns([4, 2, 2], vertical_alignment="bottom")
        path = left.text_input("file to write", str(stores.home() / "exports" / f"{chosen.id}.parquet"), key=f"export.{chosen.id}")
        form = middle.selectbox("format", ["parquet", "csv"], key="export.format")
        if press.button("Export", key="export", icon=":material/save:", width="stretch"):
            queue.submit("export", {"dataset_id": chosen.id, "path": path, "format": form})
            st.rerun()
        users = [f"{model.name}:{model.version}" for model in stores.models().list() if model.dataset_id == chosen.id]
        st.caption(
            f"Models trained on it: {', '.join(users)}. It can be deleted from the command line only, with --force."
            if users
            else "Nothing was made from it."
        )
        if not users and st.button("Delete this dataset", key=f"delete.{chosen.id}", icon=":material/delete:"):
            stores.pipeline().delete_dataset(chosen.id)
            st.rerun()


def _fitted(one: Dataset) -> str:
    kept = one.transform.get("features") if one.transform else None
    words = "nothing: values as the formulas give them" if one.recipe.normalise == "none" else f"{one.recipe.normalise} normalisation"
    return words + (f", {plural(len(kept), 'feature')} selected" if kept is not None and one.recipe.select else "")


def _lineage(one: Dataset) -> str:
    sources = one.lineage.get("sources", [])
    pieces = one.lineage.get("pieces", [])
    return f"{', '.join(map(str, sources)) or 'unknown'}, {plural(len(pieces), 'piece')}" if one.lineage else "built before origins were kept"


def _differences(datasets: list[Dataset]) -> None:
    st.subheader("What differs between two", anchor=False)
    left, right = st.columns(2)
    names = [one.id for one in datasets]
    first = left.selectbox("first", names, index=1, key="diff.first")
    second = right.selectbox("second", names, index=0, key="diff.second")
    if first == second:
        st.caption("Choose two different datasets.")
        return
    try:
        found = diff_datasets(stores.home(), first, second)
    except PlatformError as error:
        tell(error)
        return
    in_both = found.rows[0] - found.only_a.count
    stated(
        {
            "rows": f"{found.rows[0]:,} in the first, {found.rows[1]:,} in the second, {in_both:,} in both",
            "only in the first": _apart(found.only_a),
            "only in the second": _apart(found.only_b),
            "on the other side of the split": _apart(found.moved),
            "columns only in the first": ", ".join(found.columns_only_a) or "none",
            "columns only in the second": ", ".join(found.columns_only_b) or "none",
        }
    )
    apart = [{"where": "recipe", "field": name, "first": str(a), "second": str(b)} for name, (a, b) in found.recipe.items()]
    for where, fields in (("transform", found.transform), ("origin", found.lineage)):
        apart += [{"where": where, "field": name, "first": str(values[0])[:200], "second": str(values[1])[:200]} for name, values in fields.items()]
    if apart:
        table(apart, "diff.recipe", most_rows=8)
    if found.changed:
        rows = [
            {"column": one.column, "rows that differ": one.count, "largest difference": one.largest, "first at (UTC)": utc(one.first_ms[0], False)}
            for one in found.changed
        ]
        table(rows, "diff.columns", most_rows=8)
    elif in_both:
        st.caption(f"In the {in_both:,} rows that both have, every value of every common column is equal.")


def _apart(rows: RowsApart) -> str:
    return "none" if not rows.count else f"{rows.count:,}, the first at {utc(rows.first_ms[0], False)} UTC"
