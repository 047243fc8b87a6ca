"""Research Lab, third view: the look-ahead audit. Does a strategy's past move when only the future is another?"""

from __future__ import annotations

from typing import Any

import streamlit as st

from components.backtest import AuditSpec, Finding, StoredRun, Study
from pages._shared import queue, research_figures, run_detail, stores
from pages._shared.backtest_form import account_and_costs, fixed_params, market
from pages._shared.backtest_honesty import list_findings
from pages._shared.backtest_words import params_words
from pages._shared.forms import model_inputs
from pages._shared.parts import draw, missing, plain, stays_open, table, told_errors
from pages._shared.research_sweep import choose_study
from pages._shared.text import percent, plural, utc

CHOICES = ("cuts", "dense", "rows", "seed")
WAYS = {"strategy": "a strategy with its parameters", "run": "what a kept run was asked for"}
KINDS = {
    "truncation": "bars after the cut were taken away",
    "perturbation": "bars after the cut were changed",
    "in_sample": "the model answered about bars that it was trained on",
}
RUNS_OFFERED = 100


def show() -> None:
    """The form, and the chosen audit."""
    studies = stores.backtests().studies.studies("audit", limit=100)
    with st.expander("Audit a strategy", expanded=stays_open("audit", not studies), icon=":material/policy:"):
        st.fragment(_form)()
    queue.say_submitted("audit")
    st.header("Look-ahead audits", anchor=False)
    if not studies:
        missing(
            "Nothing has been audited yet.",
            "Press “Run audit” above: futures are taken away and changed, and no decision about the past may move. Verdicts ask for it.",
        )
        return
    chosen = choose_study(studies, "audit")
    if chosen.state == "done":
        _result(chosen)


def _form() -> None:
    with told_errors():
        runs = {run.id: run for run in stores.backtests().runs(RUNS_OFFERED) if run.source == "sequence"}
        way = "strategy"
        if runs:
            way = (
                st.segmented_control("audit", list(WAYS), default="strategy", format_func=WAYS.__getitem__, required=True, key="audit.way")
                or "strategy"
            )
        if way == "run":
            payload, waits = _of_run(runs), False
        else:
            asked = _of_strategy()
            if asked is None:
                return
            payload, waits = asked
        wanted = model_inputs(AuditSpec, "audit.spec", only=CHOICES, everything=True)
        payload |= {name: value for name, value in wanted.items() if value is not None}
        words, press = st.columns([5, 1.4], vertical_alignment="center")
        words.caption("Each future is one more decision over the bars: tens of thousands of bars take seconds to minutes, a model takes longer.")
        if press.button("Run audit", key="audit.run", type="primary", icon=":material/play_arrow:", width="stretch", disabled=waits):
            queue.send("audit", payload)


def _of_run(runs: dict[str, StoredRun]) -> dict[str, Any]:
    return {"run_id": st.selectbox("run", list(runs), format_func=lambda id: run_detail.name_of(runs[id]), key="audit.of_run")}


def _of_strategy() -> tuple[dict[str, Any], bool] | None:
    chosen = market("audit")
    if chosen is None:
        return None
    strategy, bar_set_id, model_id = chosen
    payload = {"strategy": strategy.name, "bar_set_id": bar_set_id, "params": fixed_params(strategy, "audit", [])}
    payload |= {} if model_id is None else {"model_id": model_id}
    return payload | account_and_costs("audit", bar_set_id), strategy.needs_model and model_id is None


def _result(study: Study) -> None:
    found = study.result
    leaks = found["leaks"]
    tried = f"{plural(found['cuts'], 'future')} tried over {plural(found['bars'], 'bar')}"
    if found["passed"]:
        st.success(f"**Passed: nothing looks ahead.** {tried}; no decision about the past moved.", icon=":material/verified:")
    elif leaks:
        columns = ", ".join(f"{one['column']} in {one['function']}" for one in leaks[:3])
        st.error(f"**Looks ahead: {plain(columns)}.** No result of this strategy can be believed. {tried}.", icon=":material/dangerous:")
    else:
        st.error(f"**Not passed.** {tried}; see the findings.", icon=":material/dangerous:")
    st.caption(f"Parameters: {plain(params_words(found.get('params', {})))}. Audited {utc(study.finished_ms)} UTC, kept as study {study.id}.")
    if leaks:
        _leaks(leaks)
    findings = [Finding(**one) for one in found.get("findings", ()) if not (one["severity"] == "fatal" and leaks)]
    if findings:
        list_findings(findings)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _lags(study)
    with right:
        _warmup(found.get("warmup") or {})


def _leaks(leaks: list[dict[str, Any]]) -> None:
    st.subheader("What looked ahead", anchor=False)
    for one in leaks:
        with st.container(border=True):
            where = f" at {one['place']}" if one["place"] else ""
            st.markdown(
                f":red-badge[leak] **Column {plain(one['column'])}, function {plain(one['function'])}{plain(where)}**  \n"
                f"Row {one['row']:,} moved although only what comes after row {one['cut']:,} was another: {plain(KINDS.get(one['kind'], one['kind']))}."
            )
            if one["expression"]:
                st.code(one["expression"], language="python")
    st.caption("A decision at row t may use bars up to t. Shift the value by one bar, or compute it from what was known then.")


def _lags(study: Study) -> None:
    st.subheader("Decisions one bar late, two, three", anchor=False)
    rows = study.result.get("lags") or []
    if not rows:
        st.caption("There were no bars left to trade.")
        return
    draw(research_figures.lags_chart(rows), f"lags.{study.id}")
    names = {"lag": "late (bars)", "sharpe": "Sharpe (a year)", "total_return": "return", "trades": "trades", "refused": "refused"}
    shown = [{names[name]: percent(one[name], sign=True) if name == "total_return" else one[name] for name in names} for one in rows]
    table(shown, f"lags.table.{study.id}", 6, **{"Sharpe (a year)": st.column_config.NumberColumn(format="%.2f")})
    st.caption(
        "A result that is gone one bar later lives on a bar that nobody could have traded. “1 early” is what a bar of foresight would be worth."
    )


def _warmup(found: dict[str, Any]) -> None:
    st.subheader("Warm-up", anchor=False)
    if not found:
        st.caption("Nothing is known about it.")
        return
    stated, needed = int(found.get("stated", 0)), int(found.get("needed", 0))
    left, right = st.columns(2)
    left.metric("stated", plural(stated, "bar"), border=True, help="what the strategy says it needs before its first decision")
    right.metric("seen to be needed", plural(needed, "bar"), border=True)
    if needed > stated:
        st.warning(
            f"Decisions still moved {plural(needed, 'bar')} after the history began, {plain(str(found.get('column', '')))} for one: "
            "state a longer warm-up, or the first trades of a live session differ from the backtest's.",
            icon=":material/warning:",
        )
    else:
        st.caption("Decisions do not depend on where the history begins, once the stated warm-up is over.")
