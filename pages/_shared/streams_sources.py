"""Data Streams, first view: how to begin, the sources with their state, a form to collect, files to import, and what is covered."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import streamlit as st

from components.base import now_ms
from components.fx import BadInput, Timeframe, known_symbols, to_ms
from components.jobs import Job
from components.pipeline import BarSet, Coverage, Series, Source, coverage, recognise, sources
from pages._shared import queue, stores, stream_figures
from pages._shared.forms import changed, model_inputs
from pages._shared.parts import draw, missing, plain, stays_open, table, told_errors
from pages._shared.text import DASH, age, plural, utc

LAST_JOBS = 200
USUAL = "EURUSD"
FIRST_YEAR = date(1990, 1, 1)
SHOWN_SETS = 24
# How patiently a source asks a server; what it asks for comes first in the form.
PATIENCE = ("timeout_s", "longest_s", "tries", "backoff_s", "longest_wait_s", "seconds_between", "most_megabytes", "base_url", "wait_s", "attempts")
COUNTS = st.column_config.NumberColumn(format="localized", width=95)


def show() -> None:
    """How to begin where nothing is kept; sources, form and import; coverage."""
    known, series = sources(), stores.pipeline().series()
    if not series:
        missing(
            "No bars are collected yet.",
            "Press “Collect” below: the source “sample” needs no network and is there in seconds. Or import files of your own: HistData zips and "
            "MetaTrader exports are recognised. Then look at “bars and quality”, and build a dataset.",
        )
        _collect(known)
        _import()
    st.header("Sources", anchor=False)
    widths = {"last read": st.column_config.TextColumn(width=120), "note": st.column_config.TextColumn(width="large")}
    table([_row(one, series) for one in known], "sources", most_rows=12, rows=COUNTS, **widths)
    for source in known:
        _failure(source)
    if not series:
        return
    _collect(known)
    _import()
    _coverage(series)


def _row(source: Source, series: list[Series]) -> dict[str, Any]:
    mine = [one for one in series if one.source == source.name]
    return {
        "source": source.name,
        "state": _state(source, bool(mine)),
        "gives": source.gives,
        "reads": "network" if source.is_network else "this machine",
        "series": len(mine) or None,
        "rows": sum(one.rows for one in mine) or None,
        "newest data (UTC)": utc(max((one.end_ms for one in mine), default=None), seconds=False),
        "last read": age(max((one.fetched_ms for one in mine), default=None), now_ms()).split(" ago")[0] + (" ago" if mine else ""),
        "note": source.note,
    }


def _newest(source: Source) -> Job | None:
    """The collection from a source that was asked for last."""
    return next((job for job in stores.jobs().list(limit=LAST_JOBS) if job.kind == "collect" and job.payload.get("source") == source.name), None)


def _failure(source: Source) -> None:
    """Why the newest collection from a source failed, where it did."""
    newest = _newest(source)
    if newest is not None and newest.state == "failed":
        why = (newest.error or "no reason is known").splitlines()[0]
        what = f"{newest.payload.get('symbol', '')} {newest.payload.get('timeframe', '')}".strip()
        st.warning(f"**{source.name}, {plain(what)}, failed {age(newest.finished_ms, now_ms())}:** {plain(why)}", icon=":material/warning:")


def _state(source: Source, is_kept: bool) -> str:
    """How the newest collection from a source ended, or how far it is."""
    newest = _newest(source)
    if newest is not None and newest.state == "failed":
        return "failed"
    if newest is not None and newest.state in ("queued", "running"):
        return "waits for a worker" if newest.state == "queued" else f"reading, {newest.progress:.0%}"
    if is_kept:
        return "read"
    return "needs Windows" if source.name == "mt5_terminal" and sys.platform != "win32" else "not read yet"


def _collect(known: tuple[Source, ...]) -> None:
    by_name = {one.name: one for one in known}
    with st.container(border=True), told_errors():
        name, symbol, timeframe, press = st.columns([2, 2, 2, 2], vertical_alignment="bottom")
        source = by_name[name.selectbox("source", list(by_name), key="collect.source")]
        offers = source.offers()
        gives_bars = source.gives in ("bars", "ticks")
        symbols = list(dict.fromkeys(one for one, _ in offers)) or list(known_symbols())
        words = "symbol" if gives_bars else "currency"
        usual = symbols.index(USUAL) if USUAL in symbols else 0
        chosen_symbol = symbol.selectbox(words, symbols, usual, key=f"collect.{source.name}.symbol", accept_new_options=not offers)
        chosen_frame = ""
        if gives_bars:
            frames = [frame for one, frame in offers if one == chosen_symbol and frame] or [frame.name for frame in Timeframe]
            chosen_frame = timeframe.selectbox("timeframe", frames, key=f"collect.{source.name}.timeframe")
        pressed = press.button("Collect", key="collect", type="primary", icon=":material/download:", width="stretch")
        st.caption(plain(source.note))
        given: dict[str, Any] = {}
        bounds: dict[str, int] = {}
        if source.name != "sample":
            needs_more = bool(source.options.model_json_schema().get("required"))
            with st.expander("Period and options", expanded=needs_more):
                bounds = _bounds(source.name)
                about = (source.options.__doc__ or "").partition("Parameters\n")[0].replace("``", "")
                st.caption(plain(" ".join(about.split())))
                given = _options(source)
        if pressed:
            payload = {"source": source.name, "symbol": chosen_symbol or "", **({"timeframe": chosen_frame} if gives_bars else {}), **bounds}
            queue.send("collect", payload | ({"options": given} if given else {}))
        queue.say_submitted("collect")


def _bounds(name: str) -> dict[str, int]:
    left, right = st.columns(2)
    latest = datetime.now(UTC).date()
    days = {
        "start_ms": left.date_input("from (UTC)", None, FIRST_YEAR, latest, key=f"collect.{name}.from", help="everything where it is empty"),
        "end_ms": right.date_input("to (UTC)", None, FIRST_YEAR, latest, key=f"collect.{name}.to", help="until now where it is empty"),
    }
    return {field: to_ms(datetime(day.year, day.month, day.day, tzinfo=UTC)) for field, day in days.items() if isinstance(day, date)}


def _options(source: Source) -> dict[str, Any]:
    """Options that a person changed; those left alone stay the source's own."""
    key, fields = f"collect.{source.name}", source.options.model_json_schema().get("properties", {})
    values = model_inputs(source.options, key, hide=PATIENCE, everything=True, columns=3)
    if set(PATIENCE) & set(fields) and st.toggle(
        "How it asks the server", key=f"{key}.patience", help="waits, tries, limits and the server's address"
    ):
        values |= model_inputs(source.options, key, only=PATIENCE, everything=True)
    return changed(source.options, values)


def _import() -> None:
    with st.expander("Import files of this machine", icon=":material/folder_open:", expanded=stays_open("import", False)), told_errors():
        st.caption(
            "A file or a folder: HistData zips and CSVs, MetaTrader exports. What they are and which clock they carry is found out from their content; "
            "for other tables choose the source “folder” above."
        )
        where, symbol, timeframe, press = st.columns([5, 2, 2, 2], vertical_alignment="bottom")
        text = where.text_input("path", key="import.path", placeholder="file or folder on this machine")
        named = symbol.text_input("symbol", key="import.symbol", placeholder="found by itself", help="needed where a folder holds several")
        length = timeframe.selectbox(
            "timeframe", [None, *(one.name for one in Timeframe)], key="import.timeframe", format_func=lambda one: one or "found by itself"
        )
        pressed = press.button("Import", key="import", icon=":material/upload_file:", width="stretch")
        if pressed and not text.strip():
            raise BadInput("path", "is missing; name a file or folder on this machine")
        if pressed:
            with st.spinner("looking into the files …"):
                found = recognise(Path(text.strip()).expanduser().absolute(), symbol=named.strip() or None, timeframe=length)
            queue.send("collect", {"source": found.source, "symbol": found.symbol, "timeframe": found.timeframe, "options": found.options})


def _coverage(series: list[Series]) -> None:
    st.header("Coverage", anchor=False)
    shown, others = _newest_of_each(stores.pipeline().bar_sets())
    if not shown:
        missing("No bars are collected yet.", "Choose a source that gives bars above, and press “Collect”.")
    else:
        months = [month for one in shown for month in _months(one.id)]
        draw(stream_figures.coverage_chart(months, {one.id: _name(one) for one in shown}), "coverage")
        left_out = f" {plural(others, 'older or smaller set')} of the same series {'is' if others == 1 else 'are'} not drawn." if others else ""
        st.caption(
            f"Each cell is a month: the share of its expected bars that are there. Weekends, holidays and daily pauses are not expected.{left_out}"
        )
    with st.expander(f"What was read: {plural(len(series), 'series', 'series')}"):
        table([_series_row(one) for one in series], "series", pieces=COUNTS, rows=COUNTS)


def _name(one: BarSet) -> str:
    """A bar set in the picture: what it holds, how it was made where that was not by collecting, and its state where it is not trusted."""
    made = str(one.made_by.get("kind", "collected"))
    parts = [f"{one.symbol} {one.timeframe}", one.source, made if made != "collected" else "", one.state if one.state != "trusted" else ""]
    return " · ".join(part for part in parts if part)


def _newest_of_each(bar_sets: list[BarSet]) -> tuple[list[BarSet], int]:
    """The newest set of each series, how it was made included, in order of symbol, timeframe and source; how many others there are."""
    newest: dict[tuple[str, str, str, str], BarSet] = {}
    for one in bar_sets:
        newest.setdefault((one.symbol, one.timeframe, one.source, str(one.made_by.get("kind", "collected"))), one)
    shown = sorted(newest.values(), key=lambda one: -one.created_ms)[:SHOWN_SETS]
    in_order = sorted(shown, key=lambda one: (one.symbol, -Timeframe.named(one.timeframe).ms, one.source, one.created_ms))
    return in_order, len(bar_sets) - len(shown)


def _series_row(one: Series) -> dict[str, Any]:
    return {
        "source": one.source,
        "symbol": one.symbol,
        "timeframe": one.timeframe or DASH,
        "pieces": one.pieces,
        "rows": one.rows,
        "from (UTC)": utc(one.start_ms or None, False),
        "to (UTC)": utc(one.end_ms or None, False),
        "read (UTC)": utc(one.fetched_ms),
    }


@st.cache_data(show_spinner="counting bars by month …", max_entries=200)
def _months(bar_set_id: str) -> list[Coverage]:
    return coverage(stores.home(), [stores.pipeline().bar_set(bar_set_id)])
