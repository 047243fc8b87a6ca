"""Data Streams, fourth view: datasets, how they differ, where they come from, and a form to build one."""

from __future__ import annotations

from typing import Any

import streamlit as st

from components.features import DEFAULT_FEATURES
from components.pipeline import TARGETS, BarSet, Dataset, DatasetDiff, DatasetRecipe, RowsApart, Selection, diff_datasets
from pages._shared import queue, stores
from pages._shared.forms import model_inputs
from pages._shared.parts import missing, stated, stays_open, table, told_errors
from pages._shared.streams_bars import choose_bar_set
from pages._shared.streams_features import choose_inputs, names_for
from pages._shared.text import plural, size, utc

COUNTS = st.column_config.NumberColumn(format="localized")


def show() -> None:
    """The form, the datasets, the chosen one, and a comparison of two."""
    st.header("Datasets", anchor=False)
    bar_sets = stores.pipeline().bar_sets()
    if not bar_sets:
        missing("No bars are collected yet.", "Collect some in the view “sources”; a dataset is built from bars.")
        return
    datasets = stores.pipeline().datasets()
    if not datasets:
        missing("No dataset is built yet.", "Choose bars and press “Build dataset”; the defaults are a good start.")
    _build(choose_bar_set(bar_sets), bar_sets, is_first=not datasets)
    if not datasets:
        return
    columns = dict.fromkeys(("features", "train (rows)", "test (rows)"), COUNTS)
    table([_row(one) for one in datasets], "datasets", most_rows=6, hide=("embargo (bars)", "normalised"), **columns)
    _one(datasets)
    if len(datasets) > 1:
        _differences(datasets)


def _build(bar_set: BarSet, bar_sets: list[BarSet], *, is_first: bool) -> None:
    with st.expander("Build a dataset", expanded=stays_open("dataset", is_first), icon=":material/dataset:"), told_errors():
        if bar_set.state == "quarantined":
            st.warning(
                f"{bar_set.id} is quarantined and nothing is built on it. The view “bars and quality” says why, and releases it.",
                icon=":material/lock:",
            )
            return
        st.caption(f"From {bar_set.id}: features, a target, and a split in time that is purged by the target's horizon.")
        others, news = choose_inputs(bar_set, bar_sets, "dataset")
        left, right = st.columns([3, 2], vertical_alignment="bottom")
        kind = left.selectbox("target", list(TARGETS), key="dataset.target", format_func=lambda one: one.replace("_", " "))
        selects = right.toggle(
            "Choose among the features", key="dataset.selects", help="keep those that tell most about the label, on training rows alone"
        )
        with st.form("dataset", border=False):
            names = names_for(tuple(one.symbol for one in others), bool(news))
            features = st.multiselect(
                "features",
                names,
                default=[name for name in DEFAULT_FEATURES if name in names],
                key="dataset.features",
                accept_new_options=True,
                help="any name of the grammar: rsi_7, H4.rsi_14, rsi_14.shift_1",
            )
            st.caption(" ".join((TARGETS[kind].__doc__ or "").split()))
            target = model_inputs(TARGETS[kind], f"target.{kind}", hide=("kind",))
            split = model_inputs(DatasetRecipe, "recipe", hide=("features", "target"))
            select = model_inputs(Selection, "select", everything=True) if selects else None
            if st.form_submit_button("Build dataset", type="primary", icon=":material/play_arrow:"):
                recipe: dict[str, Any] = {"features": features, "target": {"kind": kind, **target}, **split}
                beside = {"select": select, "others": [one.id for one in others], "news": list(news)}
                queue.send("dataset", {"bar_set_id": bar_set.id, "recipe": recipe | {name: value for name, value in beside.items() if value}})
        queue.say_submitted("dataset")


def _row(one: Dataset) -> dict[str, Any]:
    return {
        "id": one.id,
        "bars": f"{one.symbol} {one.timeframe}",
        "features": len(one.feature_names),
        "target": one.recipe.target.kind.replace("_", " "),
        "train (rows)": one.train_rows,
        "test (rows)": one.test_rows,
        "train ends (UTC)": utc(one.train_end_ms, False),
        "test begins (UTC)": utc(one.test_start_ms, False),
        "horizon (bars)": one.recipe.target.horizon_bars,
        "built (UTC)": utc(one.created_ms, False),
        "embargo (bars)": one.recipe.embargo_bars,
        "normalised": one.recipe.normalise,
    }


def _one(datasets: list[Dataset]) -> None:
    by_id = {one.id: one for one in datasets}
    chosen = by_id[st.selectbox("dataset", list(by_id), key="dataset.shown", format_func=lambda one: _title(by_id[one]))]
    target = chosen.recipe.target.model_dump()
    stated(
        {
            "built": f"{utc(chosen.created_ms)} UTC from {chosen.bar_set_id}",
            "target": ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in target.items()),
            "features": _features(chosen),
            "purged": f"no training label ends later than {utc(chosen.train_end_ms, False)} UTC; the test begins at {utc(chosen.test_start_ms, False)} UTC",
            "fitted on training rows": _fitted(chosen),
            "comes from": _lineage(chosen),
            "files": f"{size(sum(path.stat().st_size for path in chosen.path.glob('*') if path.is_file()))} in {chosen.path}",
        }
    )
    with st.expander("Recipe and origin, whole", icon=":material/account_tree:"):
        left, right = st.columns(2)
        left.json(chosen.recipe.model_dump(mode="json"), expanded=1)
        right.json(chosen.lineage, expanded=1)
    _export_or_delete(chosen)


def _title(one: Dataset) -> str:
    return f"{one.id} · {one.symbol} {one.timeframe} · {one.recipe.target.kind.replace('_', ' ')} · built {utc(one.created_ms)}"


def _export_or_delete(chosen: Dataset) -> None:
    with st.expander("Export or delete", icon=":material/ios_share:"), told_errors():
        left, middle, press = st.columns([5, 2, 2], vertical_alignment="bottom")
        form = middle.selectbox("format", ["parquet", "csv"], key="export.format")
        path = left.text_input("file to write", str(stores.home() / "exports" / f"{chosen.id}.{form}"), key=f"export.{chosen.id}.{form}")
        overwrite = st.checkbox("write over a file that is there already", key="export.overwrite")
        if press.button("Export", key="export", icon=":material/save:", width="stretch"):
            queue.send("export", {"dataset_id": chosen.id, "path": path, "format": form, **({"overwrite": True} if overwrite else {})})
        queue.say_submitted("export")
        users = [f"{model.name}:{model.version}" for model in stores.models().list() if model.dataset_id == chosen.id]
        st.caption(
            f"Models trained on it: {', '.join(users)}. It can be deleted from the command line only, with --force."
            if users
            else "Nothing was made from it."
        )
        is_sure = not users and st.checkbox("I want to delete it", key=f"delete.sure.{chosen.id}")
        if is_sure and st.button("Delete this dataset", key=f"delete.{chosen.id}", icon=":material/delete:"):
            stores.pipeline().delete_dataset(chosen.id)
            st.rerun()


def _features(one: Dataset) -> str:
    names = one.feature_names
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _fitted(one: Dataset) -> str:
    words = "nothing: values as the formulas give them" if one.recipe.normalise == "none" else f"{one.recipe.normalise} normalisation"
    asked, kept = len(one.recipe.features), len(one.feature_names)
    return words + (f"; {kept} of {plural(asked, 'feature')} kept by {one.recipe.select.method.replace('_', ' ')}" if one.recipe.select else "")


def _lineage(one: Dataset) -> str:
    if not one.lineage:
        return "built before origins were kept"
    sources, pieces, sets = (one.lineage.get(name, []) for name in ("sources", "pieces", "bar_sets"))
    news = "".join(f", news of {currency}" for currency in one.lineage.get("news", {}))
    return f"{', '.join(map(str, sources)) or 'unknown'}: {plural(len(pieces), 'piece')} in {plural(len(sets), 'bar set')}{news}"


def _differences(datasets: list[Dataset]) -> None:
    st.subheader("What differs between two", anchor=False)
    by_id = {one.id: one for one in datasets}
    left, right = st.columns(2)
    first = left.selectbox("first", list(by_id), index=1, key="diff.first", format_func=lambda one: _title(by_id[one]))
    second = right.selectbox("second", list(by_id), index=0, key="diff.second", format_func=lambda one: _title(by_id[one]))
    if first == second:
        st.caption("Choose two different datasets.")
        return
    with told_errors():
        _difference(_diff(first, second))


def _difference(found: DatasetDiff) -> None:
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
    apart = [{"where": "recipe", "field": name, "first": _short(a), "second": _short(b)} for name, (a, b) in found.recipe.items()]
    for where, fields in (("transform", found.transform), ("origin", found.lineage)):
        for name, sides in fields.items():
            is_pair = name != "fitted"  # that one names the features whose scaling differs
            apart.append(
                {"where": where, "field": name, "first": _short(sides[0] if is_pair else sides), "second": _short(sides[1]) if is_pair else ""}
            )
    if apart:
        table(apart, "diff.recipe", most_rows=8)
    if found.changed:
        rows = [
            {"column": one.column, "rows that differ": one.count, "largest difference": one.largest, "first at (UTC)": utc(one.first_ms[0], False)}
            for one in found.changed
        ]
        table(rows, "diff.columns", most_rows=8, **{"rows that differ": COUNTS})
    elif in_both:
        st.caption(f"In the {in_both:,} rows that both have, every value of every common column is equal.")


@st.cache_data(show_spinner="comparing the datasets …", max_entries=16)
def _diff(first: str, second: str) -> DatasetDiff:
    return diff_datasets(stores.home(), first, second)


def _short(value: object) -> str:
    """A value of a recipe or an origin in a cell."""
    words = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return words if len(words) <= 200 else f"{words[:200]} …"


def _apart(rows: RowsApart) -> str:
    return "none" if not rows.count else f"{rows.count:,}, the first at {utc(rows.first_ms[0], False)} UTC"
