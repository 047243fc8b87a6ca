"""FX Analytics: MetaTrader's Strategy Tester. Its reports are imported, and held against our own runs cause by cause."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from components.backtest import StoredRun, Study, clock_named, import_report
from components.fx import PlatformError
from pages._shared import backtest_figures, queue, run_detail, stores
from pages._shared.backtest_exports import broker_clock
from pages._shared.parts import draw, missing, plain, stated, table, told_errors
from pages._shared.text import number, plural, utc

FILES = ["html", "htm", "xlsx", "xml", "csv", "json"]
RUNS_OFFERED = 300
AGREES = "agrees"
MOST_PASSES = 5_000


def show() -> None:
    """The import, the comparison with one of our runs, and optimisations that were imported."""
    runs = stores.backtests().runs(RUNS_OFFERED)
    theirs = [run for run in runs if run.source == "imported"]
    _import(not theirs)
    _compare([run for run in runs if run.source == "sequence"], theirs)
    _optimisations()


def _import(is_open: bool) -> None:
    st.header("Import a report", anchor=False)
    done = st.session_state.pop("tester.imported", None)
    if done:
        st.success(plain(done), icon=":material/check:")
    with st.container(border=True):
        file = st.file_uploader(
            "report of the Strategy Tester (HTML, XLSX), optimisation (XML), deals of our Expert Advisor (CSV), or a JSON document",
            FILES,
            key="tester.file",
            help="its own numbers are checked against its deals; a report that contradicts itself is refused with the reason",
        )
        known = st.toggle(
            "I know the broker's clock", key="tester.clock.known", help="without it the times are taken for UTC until a comparison finds it"
        )
        clock = broker_clock("tester.clock") if known else None
        name, symbol, press = st.columns([3, 2, 1.2], vertical_alignment="bottom")
        named = name.text_input("name of the run", "", key="tester.name", placeholder="made from expert, symbol and timeframe")
        told = symbol.text_input("the platform's name of the symbol", "", key="tester.symbol", placeholder="recognised, such as EURUSD")
        if press.button("Import", key="tester.import", type="primary", icon=":material/upload_file:", width="stretch", disabled=file is None):
            with told_errors(), st.spinner("reading and checking the report …"):
                assert file is not None
                kept = import_report(stores.home(), file.getvalue(), name=named or None, symbol=told.upper() or None, clock=clock_named(clock))
                st.session_state["tester.imported"] = _said(kept)
                if isinstance(kept, StoredRun):
                    st.session_state["tester.theirs"] = kept.id
                st.rerun()
    if is_open:
        missing("No report has been imported yet.", "Drop a file above and press “Import”. In MetaTrader: Backtest tab, right click, Report.")


def _said(kept: StoredRun | Study) -> str:
    if isinstance(kept, Study):
        return f"Imported the optimisation {kept.title}; it stands below."
    checked = kept.stats.get("identities", [])
    return f"Imported {kept.name}: {plural(kept.trades, 'trade')}, {plural(len(checked), 'identity', 'identities')} of the report checked and right."


def _compare(ours: list[StoredRun], theirs: list[StoredRun]) -> None:
    st.header("Our run beside the tester's", anchor=False)
    if not ours or not theirs:
        missing(
            "A comparison needs a run of ours and an imported report.",
            "Import a report above." if ours else "Press “Run backtest” in the view “runs”, with the same strategy and bars as the report.",
        )
        return
    by_id = {run.id: run for run in (*ours, *theirs)}
    left, right, press = st.columns([3, 3, 1.2], vertical_alignment="bottom")
    with right:
        other = st.selectbox("the report", [run.id for run in theirs], format_func=lambda id: run_detail.name_of(by_id[id]), key="tester.theirs")
    report = by_id[str(other)]
    # What is most like the report first: a run of its symbol, of its strategy where names say so.
    ours = sorted(ours, key=lambda run: (run.symbol != report.symbol, run.strategy != report.strategy))
    with left:
        mine = st.selectbox("our run", [run.id for run in ours], format_func=lambda id: run_detail.name_of(by_id[id]), key=f"tester.ours.{report.id}")
    if press.button("Compare", key="tester.compare", type="primary", icon=":material/balance:", width="stretch"):
        queue.send("mt5_compare", {"run_id": mine, "report_run_id": other})
    queue.say_submitted("mt5_compare")
    studies = stores.backtests().studies.studies("mt5_comparison", limit=50)
    if not studies:
        missing("Nothing has been compared yet.", "Choose a run and a report of the same strategy and time, and press “Compare”.")
        return
    words = {one.id: f"{utc(one.created_ms)} · {one.title} · {one.state}" for one in studies}
    shown = studies[0]
    if len(studies) > 1:
        by_study = {one.id: one for one in studies}
        shown = by_study[st.selectbox("stored comparison", list(words), format_func=words.__getitem__, key=f"tester.shown.{studies[0].id}")]
    _comparison(shown)


def _comparison(study: Study) -> None:
    found = study.result
    if study.state != "done":
        say = st.error if study.state == "failed" else st.info
        say(f"**This comparison is {study.state}.** {plain(str(found.get('error', '')))}")
        return
    currency = found["currency"]
    gap = found["theirs"]["net_profit"] - found["ours"]["net_profit"]
    same = f"{found['agree']:,} of {plural(found['matched'] + found['missing'] + found['extra'], 'trade')} agree to the cent"
    show = st.success if found["agreement"] >= 0.99 else st.warning
    show(
        f"**{plain(study.title)}.** {same}; the tester earned {number(gap, 2, plain(currency), sign=True)} against ours.",
        icon=":material/balance:",
    )
    shown = st.columns(6)
    shown[0].metric("our net profit", number(found["ours"]["net_profit"], 2, currency, sign=True), border=True)
    shown[1].metric("their net profit", number(found["theirs"]["net_profit"], 2, currency, sign=True), border=True)
    shown[2].metric(
        "matched", f"{found['matched']:,} trades", border=True, help=f"ours {found['ours']['trades']:,}, theirs {found['theirs']['trades']:,}"
    )
    shown[3].metric(
        "missing and extra",
        f"{found['missing']:,} and {found['extra']:,}",
        border=True,
        help="trades of ours that they have not, and theirs that we have not",
    )
    shown[4].metric(
        "spread difference",
        number(found["spread_points"], 1, "points", sign=True),
        border=True,
        help="what their entries and exits say the spread was",
    )
    shown[5].metric("slippage", number(found["slippage_points"], 1, "points"), border=True)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.markdown("**From our profit to theirs**")
        draw(backtest_figures.waterfall_chart(found["waterfall"], currency), f"waterfall.{study.id}")
    with right:
        st.markdown("**What to change so that they agree**")
        for sentence in found["change"] or ["Nothing: they agree."]:
            st.markdown(f"- {plain(sentence)}")
        st.markdown("**The broker's clock, found from the trades**")
        stated({name.replace("_", " "): _value(value) for name, value in found["clock"].items()})
    _divergences(study, currency)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}".replace("-", "−")
    if isinstance(value, list | tuple):
        return ", ".join(_value(one) for one in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_value(one)}" for name, one in value.items()) or "none"
    return str(value)


def _divergences(study: Study, currency: str) -> None:
    try:
        matches = stores.backtests().studies.frame(study.id, "matches")
    except PlatformError:
        st.caption("The table of trades of this comparison is gone; compare again.")
        return
    st.markdown("**Trade by trade**")
    causes = [one for one in matches["cause"].value_counts().index.tolist() if one]
    chosen = st.pills(
        "causes",
        causes,
        selection_mode="multi",
        default=[one for one in causes if one != AGREES] or causes,
        key=f"causes.{study.id}",
        label_visibility="collapsed",
    )
    some = matches[matches["cause"].isin(chosen)]
    if some.empty:
        st.caption("No trade of this kind.")
        return
    sides = {1: "long", -1: "short"}
    frame = pd.DataFrame(
        {
            "cause": some["cause"],
            f"difference ({currency})": some["difference"],
            "side": some["our_side"].fillna(some["their_side"]).map(sides),
            "our entry (UTC)": some["our_entry_time"].dt.strftime("%Y-%m-%d %H:%M"),
            "late (bars)": some["entry_bars_late"],
            "our price": some["our_entry_price"],
            "their price": some["their_entry_price"],
            "our exit": some["our_exit"],
            "their exit": some["their_exit"],
            "our exit price": some["our_exit_price"],
            "their exit price": some["their_exit_price"],
            "our lots": some["our_lots"],
            "their lots": some["their_lots"],
            f"our profit ({currency})": some["our_net_profit"],
            f"their profit ({currency})": some["their_net_profit"],
            "their ticket": some["their_ticket"],
            "their entry (UTC)": some["their_entry_time"].dt.strftime("%Y-%m-%d %H:%M"),
        }
    ).sort_values(f"difference ({currency})", key=lambda one: -one.abs(), kind="stable")
    money, price = st.column_config.NumberColumn(format="%+.2f"), st.column_config.NumberColumn(format="%.5f")
    columns = {name: money for name in frame.columns if f"({currency})" in name} | {name: price for name in frame.columns if name.endswith("price")}
    table(frame, f"matches.{study.id}", 12, ("their ticket", "their entry (UTC)"), **columns)
    st.caption(f"{plural(len(frame), 'trade')} of {len(matches):,}, the largest difference first; a difference is theirs less ours.")


def _optimisations() -> None:
    studies = [one for one in stores.backtests().studies.studies("optimisation", limit=50) if one.state == "done"]
    if not studies:
        return
    st.header("Imported optimisations", anchor=False)
    by_id = {one.id: one for one in studies}
    chosen = by_id[
        st.selectbox(
            "optimisation", list(by_id), format_func=lambda id: f"{utc(by_id[id].created_ms)} · {by_id[id].title}", key="tester.optimisation"
        )
    ]
    found, spec = chosen.result, chosen.spec
    shown = st.columns(4)
    shown[0].metric("passes", number(found.get("passes"), 0), border=True)
    shown[1].metric("of them profitable", number(found.get("profitable"), 0), border=True)
    shown[2].metric(
        "with different results", number(found.get("distinct"), 0), border=True, help="passes that came to other numbers than every other one"
    )
    currency = str(spec.get("currency") or "")
    shown[3].metric("profit of the middling pass", number(found.get("median_profit"), 2, currency, sign=True), border=True)
    st.caption(f"Best pass: {plain(_value(found.get('best_inputs', {})))}. Every pass is a try in the trial ledger of {plain(chosen.strategy)}.")
    try:
        passes = stores.backtests().studies.frame(chosen.id, "passes")
    except PlatformError:
        st.caption("The table of passes is gone; import the file again.")
        return
    frame = passes.sort_values("result", ascending=False, kind="stable").head(MOST_PASSES)
    units = {"profit": f"profit ({currency})", "expected_payoff": f"expected payoff ({currency})", "equity_drawdown_percent": "equity drawdown (%)"}
    table(frame.rename(columns=lambda name: units.get(name, str(name).replace("_", " "))), f"passes.{chosen.id}", 12)
