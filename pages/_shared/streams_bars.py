"""Data Streams, second view: one bar set with its state, its quality, its prices, where it comes from, and what can be done with it."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from components.fx import Timeframe
from components.pipeline import BarSet, Repair, propose_repairs
from pages._shared import queue, stores, stream_figures
from pages._shared.parts import draw, missing, plain, stated, table, told_errors
from pages._shared.text import number, percent, plural, utc

ALL_BARS = "all bars"
STRETCHES = {"last 200 bars": 200, "last 500 bars": 500, "last 2,000 bars": 2_000, ALL_BARS: None}
AROUND_BARS = 120
LISTED_PLACES = 60
LOOKS = {
    "trusted": "Datasets and backtests may use it.",
    "released": "It was quarantined; a person decided that it may be used all the same.",
}
COUNTS = st.column_config.NumberColumn(format="localized")
POINTS = st.column_config.NumberColumn(format="%.2f")


def show() -> None:
    """The bar sets, and the chosen one in full."""
    st.header("Bars", anchor=False)
    bar_sets = stores.pipeline().bar_sets()
    if not bar_sets:
        missing("No bars are collected yet.", "Collect some in the view “sources”: they are read once, scored and kept.")
        return
    table([_row(one) for one in bar_sets], "bar_sets", most_rows=6, bars=COUNTS, quality=POINTS)
    chosen = choose_bar_set(bar_sets)
    _standing(chosen)
    _quality(chosen)
    _prices(chosen, stores.pipeline().load_bars(chosen.id))
    _origin(chosen)
    _work(chosen)


def choose_bar_set(bar_sets: list[BarSet]) -> BarSet:
    """The bar set that the operator looks at; the newest one first. The choice holds in every view."""
    by_id = {one.id: one for one in bar_sets}
    if st.session_state.get("bar_set_choice") not in by_id:
        st.session_state["bar_set_choice"] = bar_sets[0].id
    if len(by_id) > 1:
        names = list(by_id)
        place = names.index(st.session_state["bar_set_choice"])
        st.session_state["bar_set_choice"] = st.selectbox("bar set", names, index=place, format_func=lambda one: title_of(by_id[one]))
    return by_id[st.session_state["bar_set_choice"]]


def title_of(one: BarSet) -> str:
    """A bar set in one line."""
    made = str(one.made_by.get("kind", "collected"))
    words = [f"{one.symbol} {one.timeframe}", one.source, *([made] if made != "collected" else []), *([one.state] if one.state != "trusted" else [])]
    return " · ".join([*words, f"{one.rows:,} bars", f"{utc(one.start_ms)[:10]} to {utc(one.end_ms)[:10]}", one.id])


def _row(one: BarSet) -> dict[str, Any]:
    return {
        "id": one.id,
        "symbol": one.symbol,
        "timeframe": one.timeframe,
        "source": one.source,
        "made by": str(one.made_by.get("kind", "collected")),
        "bars": one.rows,
        "from (UTC)": utc(one.start_ms, seconds=False),
        "to (UTC)": utc(one.end_ms, seconds=False),
        "quality": one.quality_score,
        "state": one.state,
        "kept (UTC)": utc(one.created_ms, seconds=False),
    }


def _standing(bar_set: BarSet) -> None:
    """Whether it may be used; where not, why, and the ways on."""
    changes = stores.pipeline().states(bar_set.id)
    if bar_set.state != "quarantined":
        by = (
            f" {plain(changes[-1].by)} said so on {utc(changes[-1].at_ms, False)}: {plain(changes[-1].reason)}."
            if bar_set.state == "released" and changes
            else ""
        )
        st.markdown(f":{'green' if bar_set.state == 'trusted' else 'orange'}-badge[{bar_set.state}] {LOOKS[bar_set.state]}{by}")
        return
    reasons = [str(one) for one in bar_set.quality.get("verdict", {}).get("reasons", ())]
    if changes and changes[-1].state == "quarantined" and changes[-1].by != "the platform":
        reasons.insert(0, f"{changes[-1].by} said so on {utc(changes[-1].at_ms, False)}: {changes[-1].reason}")
    because = "".join(f"\n- {plain(one)}" for one in reasons) or "\n- no reason is kept"
    st.error(f"**Quarantined: no dataset, backtest or deployment is built on it.** Because\n{because}", icon=":material/lock:")
    with st.container(border=True), told_errors():
        st.markdown("**How to go on:** collect or import better data for the same time; or repair it, which makes a copy; or take it as it is:")
        _release(bar_set)


def _quality(bar_set: BarSet) -> None:
    known = bar_set.quality
    with st.container(border=True):
        st.subheader("Quality", anchor=False)
        shown = st.columns(6)
        shown[0].metric("score", number(bar_set.quality_score, 2, "of 100"))
        shown[1].metric("completeness", percent(known.get("completeness")), help="share of the expected bars that are there")
        shown[2].metric(
            "gaps", plural(known.get("gap_count", 0), "hole"), help="stretches of expected bars that are missing, weekends and holidays apart"
        )
        shown[3].metric("spikes", plural(known.get("spikes", 0), "bar"), help="moves far beyond what is typical that are taken back at once")
        shown[4].metric("stale", plural(known.get("stale", 0), "bar"), help="in runs in which nothing moved")
        shown[5].metric("outside the session", plural(known.get("outside", 0), "bar"), help="bars while the market was closed")
        faults = (
            f"{plural(known.get('duplicates', 0), 'duplicate')} · {plural(known.get('disorder', 0), 'bar')} out of order · "
            f"{plural(known.get('bad_ohlc', 0), 'bar')} with impossible prices"
        )
        st.caption(" · ".join([faults, *([_expected(known)] if "expected" in known else []), *known.get("breaks", ())]))
        parts = [part for part in known.get("parts", ()) if part.get("count")]
        lost = {str(part["name"]).replace("_", " "): float(part["points"]) for part in parts if part["points"]}
        if lost:
            draw(stream_figures.lost_points_chart(lost), "lost_points")
        if parts:
            with st.expander(f"The parts: {plural(len(parts), 'fault')} found, {len(known['parts']) - len(parts)} looked for and not found"):
                table([_part_row(part) for part in sorted(parts, key=lambda one: -one["points"])], "quality_parts", 14, **_PART_COLUMNS)
        if known.get("gaps"):
            rows = sorted((_gap_row(gap) for gap in known["gaps"]), key=lambda row: -row["missing (bars)"])
            with st.expander(f"The {plural(len(rows), 'longest gap')}"):
                table(rows, "gaps", most_rows=6, **{"missing (bars)": COUNTS})
        if known.get("cross"):
            with st.expander(f"Against other bars: {plural(len(known['cross']), 'comparison')}", expanded=True):
                table([_cross_row(one) for one in known["cross"]], "cross", words=st.column_config.TextColumn(width="large"))


_PART_COLUMNS = {
    "found (bars)": COUNTS,
    "share (%)": st.column_config.NumberColumn(format="%.4f"),
    "points lost": st.column_config.NumberColumn(format="%.3f"),
}


def _part_row(part: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "part": str(part["name"]).replace("_", " "),
        "found (bars)": part["count"],
        "share (%)": 100 * part["share"],
        "points lost": part["points"],
        "what it is": part.get("reason", ""),
        "first": ", ".join(map(str, part.get("examples", [])[:3])),
    }


def _gap_row(gap: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "first missing bar (UTC)": utc(gap["first_ms"], False),
        "last missing bar (UTC)": utc(gap["last_ms"], False),
        "missing (bars)": gap["bars"],
    }


def _cross_row(check: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "first": check["first"],
        "second": check["second"],
        "common (bars)": check["overlap"],
        "typical difference": f"{check['typical']:.2f} {check['unit']}",
        "beyond tolerance (%)": round(100 * check["beyond"], 3),
        "words": check["words"],
    }


def _expected(parts: Mapping[str, Any]) -> str:
    """How many of the expected bars are there, and how many more that nobody expected."""
    there = parts.get("present", parts["rows"] - parts["duplicates"] - parts["outside"])
    all_there = there == parts["expected"]
    words = f"{parts['expected']:,} expected bars all there" if all_there else f"{there:,} of {parts['expected']:,} expected bars there"
    return f"{words}, {parts['outside']:,} more outside the session" if parts["outside"] else words


def _prices(bar_set: BarSet, bars: pd.DataFrame) -> None:
    gaps = [
        (int(gap["first_ms"]), int(gap["last_ms"]) + Timeframe.named(bar_set.timeframe).ms, _gap_words(gap))
        for gap in bar_set.quality.get("gaps", ())
    ]
    bad_days = [
        (int(one["first_ms"]), int(one["last_ms"]), f"{utc(one['first_ms'], False)} to {utc(one['last_ms'], False)}: {one.get('reason', '')}")
        for one in bar_set.quality.get("quarantined_stretches", ())
    ]
    title, choice, place = st.columns([2, 6, 5], vertical_alignment="bottom")
    title.subheader("Prices", anchor=False)
    with choice:
        stretch = st.segmented_control("stretch", list(STRETCHES), default=ALL_BARS, required=True, key="stretch", label_visibility="collapsed")
    places = sorted([*gaps, *bad_days], key=lambda one: one[0] - one[1])[:LISTED_PLACES]
    chosen = None
    if places:
        with place:
            names = [words for _, _, words in places]
            chosen = st.selectbox(
                "go to", names, None, key=f"place.{bar_set.id}", placeholder="go to a gap or a bad day", label_visibility="collapsed"
            )
    shown = bars.tail(STRETCHES[stretch or ALL_BARS] or len(bars))
    if chosen is not None:
        start, end, _ = places[[words for _, _, words in places].index(chosen)]
        shown = around(bars, start, end)
    draw(stream_figures.history_chart(shown, bar_set.symbol, gaps, bad_days), "prices")
    count = f"{len(shown):,} bars"
    if len(shown) > stream_figures.MOST_POINTS:
        count += f"; of each {len(shown) // (stream_figures.MOST_POINTS // 2):,} the highest and the lowest close are drawn"
    found = (
        f"{plural(len(gaps), 'gap')} of {bar_set.quality.get('gap_count', 0):,}"
        if len(gaps) < bar_set.quality.get("gap_count", 0)
        else plural(len(gaps), "gap")
    )
    st.caption(
        f"Bid prices, {count}. Amber: expected bars that are missing ({found}); weekends and holidays are not expected. "
        f"Red: days that by themselves score below 80 ({plural(len(bad_days), 'stretch', 'stretches')})."
    )


def around(bars: pd.DataFrame, start_ms: int, end_ms: int) -> pd.DataFrame:
    """The bars of a stretch of time (epoch milliseconds UTC) and some on either side."""
    first, last = bars.index.searchsorted([pd.Timestamp(at, unit="ms", tz="UTC") for at in (start_ms, end_ms)])
    return bars.iloc[max(0, first - AROUND_BARS) : last + AROUND_BARS]


def _gap_words(gap: Mapping[str, Any]) -> str:
    return f"{utc(gap['first_ms'], False)} to {utc(gap['last_ms'], False)}: {plural(gap['bars'], 'missing bar')}"


def _origin(bar_set: BarSet) -> None:
    with st.expander("Where it comes from", icon=":material/account_tree:"):
        made = bar_set.made_by
        rejected = made.get("rejected", {}).get("counts", {})
        facts = {
            "made by": str(made.get("kind", "collected")),
            "from bar sets": ", ".join(bar_set.parents) or "none: from a source",
            "rows left out": ", ".join(f"{count:,} × {reason}" for reason, count in rejected.items()) or "none",
            "file": f"{bar_set.path.name}, sha256 {bar_set.sha256}",
        }
        stated(facts)
        pieces = made.get("pieces", [])
        if pieces:
            columns = {"rows": COUNTS, "raw (bytes)": COUNTS, "origin": st.column_config.TextColumn(width="large")}
            table([_piece_row(piece) for piece in pieces], "pieces", most_rows=8, **columns)
        changes = stores.pipeline().states(bar_set.id)
        if changes:
            table([{"state": one.state, "by": one.by, "why": one.reason, "when (UTC)": utc(one.at_ms)} for one in changes], "states")


def _piece_row(piece: Mapping[str, Any]) -> dict[str, Any]:
    clock = piece.get("facts", {}).get("clock") or {}
    sure = clock.get("confidence")
    return {
        "piece": piece["key"],
        "rows": piece["rows"],
        "clock": clock_words(clock),
        "confidence (0–1)": None if sure is None else round(float(sure), 3),
        "read (UTC)": utc(piece["fetched_ms"], False),
        "raw (bytes)": piece["raw_bytes"],
        "raw sha256": piece["raw_sha256"][:16],
        "origin": piece["origin"],
    }


def clock_words(clock: Mapping[str, Any]) -> str:
    """A broker's clock in a few words: ``UTC−5, summer time of the US``; ``UTC`` where there is none."""
    if not clock:
        return "UTC"
    hours = int(clock.get("offset_winter_minutes", 0)) / 60
    summer = {"us": "summer time of the US", "eu": "summer time of Europe", "none": "no summer time"}.get(
        str(clock.get("rule")), str(clock.get("rule", ""))
    )
    return f"UTC{hours:+g}, {summer}".replace("-", "−")


def _work(bar_set: BarSet) -> None:
    with st.expander("Resample, compare, repair or quarantine", icon=":material/build:"), told_errors():
        longer = [frame.name for frame in Timeframe if frame.ms > Timeframe.named(bar_set.timeframe).ms]
        if longer and bar_set.state != "quarantined":
            words, press = st.columns([5, 2], vertical_alignment="bottom")
            wanted = words.selectbox("longer timeframe", longer, key="resample.timeframe", help="H4, D1 and W1 open at 17:00 New York")
            if press.button("Resample", key="resample", icon=":material/compress:", width="stretch"):
                queue.send("resample", {"bar_set_id": bar_set.id, "timeframe": wanted})
        words, press = st.columns([5, 2], vertical_alignment="center")
        words.caption("Compare with the other sources of the symbol and with the crosses that it is part of; score and state follow.")
        if press.button("Compare", key="cross_check", icon=":material/compare_arrows:", width="stretch"):
            queue.send("cross_check", {"bar_set_id": bar_set.id})
        _repair(bar_set)
        if bar_set.state != "quarantined":
            _release(bar_set)
        for kind in ("resample", "cross_check", "repair"):
            queue.say_submitted(kind)


def _repair(bar_set: BarSet) -> None:
    if not st.toggle("Look for repairs", key="repair.look", help="goes through the bars and counts what could be repaired"):
        return
    found = _proposals(bar_set.id)
    if not found:
        st.caption("Nothing to repair.")
        return
    rows = [{"repair": one.kind, "rows": one.rows, "what it does": one.what, "first": one.first} for one in found]
    table(rows, "repairs", rows=COUNTS)
    kinds = st.multiselect("repairs to make", [one.kind for one in found], key=f"repair.kinds.{bar_set.id}")
    if st.button("Make a repaired copy", key="repair", icon=":material/healing:", disabled=not kinds):
        queue.send("repair", {"bar_set_id": bar_set.id, "kinds": kinds, "by": getpass.getuser()})


@st.cache_data(show_spinner="looking for what could be repaired …", max_entries=16)
def _proposals(bar_set_id: str) -> list[Repair]:
    bar_set = stores.pipeline().bar_set(bar_set_id)
    return propose_repairs(stores.pipeline().load_bars(bar_set_id), bar_set)


def _release(bar_set: BarSet) -> None:
    release = bar_set.state == "quarantined"
    words, press = st.columns([5, 2], vertical_alignment="bottom")
    reason = words.text_input(
        "reason",
        key=f"state.reason.{bar_set.state}.{bar_set.id}",
        placeholder="why it may be used all the same; your name and this reason are kept with it" if release else "why nothing may be built on it",
    )
    label = "Release" if release else "Quarantine"
    if press.button(label, key="state", icon=":material/lock_open:" if release else ":material/lock:", width="stretch"):
        stores.pipeline().set_state(bar_set.id, "released" if release else "quarantined", getpass.getuser(), reason)
        st.rerun()
