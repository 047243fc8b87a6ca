"""Research Lab, first view: sweeps. One strategy with many parameters over the same bars."""

from __future__ import annotations

from typing import Any

import streamlit as st

from components.backtest import Study, SweepSpec, axes_of, parse_sweep_spec, plan_points
from components.fx import PlatformError
from components.strategy import Strategy
from pages._shared import queue, stores
from pages._shared.backtest_form import account_and_costs, fixed_params, market
from pages._shared.forms import model_inputs
from pages._shared.parts import chip, missing, plain, stays_open, told_errors
from pages._shared.research_ranges import ranges, refuse_nothing, varying
from pages._shared.research_surface import show_sweep
from pages._shared.text import plural, utc

CHOICES = ("method", "points", "criterion", "min_trades", "part", "seed", "workers", "keep_best")


def show() -> None:
    """The form, and the chosen sweep."""
    studies = stores.backtests().studies.studies("sweep", limit=100)
    with st.expander("Run a sweep", expanded=stays_open("sweep", not studies), icon=":material/grid_on:"):
        st.fragment(_form)()
    queue.say_submitted("sweep")
    st.header("Sweeps", anchor=False)
    if not studies:
        missing("No sweep has been run yet.", "Press “Run sweep” above: every point is kept, and counted as a try in the trial ledger.")
        return
    chosen = choose_study(studies, "sweep")
    show_sweep(chosen)


def _form() -> None:
    with told_errors():
        chosen = market("sweep")
        if chosen is None:
            return
        strategy, bar_set_id, model_id = chosen
        names = varying(strategy, "sweep")
        asked: dict[str, Any] = {"ranges": ranges(strategy, "sweep", names)}
        asked["params"] = fixed_params(strategy, "sweep", names)
        st.markdown("**How the points are chosen and ranked**")
        wanted = model_inputs(SweepSpec, "sweep.spec", only=CHOICES, everything=True)
        asked |= {name: value for name, value in wanted.items() if value is not None}
        asked |= account_and_costs("sweep", bar_set_id)
        payload = {"strategy": strategy.name, "bar_set_id": bar_set_id, "model_id": model_id, **asked}
        words, press = st.columns([5, 1.4], vertical_alignment="center")
        words.caption(plain(_planned(strategy, payload, names)))
        waits = strategy.needs_model and model_id is None
        if press.button("Run sweep", key="sweep.run", type="primary", icon=":material/play_arrow:", width="stretch", disabled=waits):
            refuse_nothing(names)
            queue.send("sweep", payload)


def _planned(strategy: Strategy, payload: dict[str, Any], names: list[str]) -> str:
    """How many points this makes, or what is wrong with it."""
    if not names:
        return "Choose at least one parameter that varies."
    try:
        spec = parse_sweep_spec(payload)
        axes = axes_of(strategy, spec)
        if spec.method == "optuna":
            return f"{plural(spec.most_points, 'point')}, chosen one after the other where it was good before."
        plan = plan_points(strategy, spec, axes)
    except PlatformError as error:
        return error.message
    left = f"; {plural(plan.impossible, 'combination')} left out that the strategy does not allow" if plan.impossible else ""
    return f"{plural(len(plan.points), 'point')}{left}. Each is a backtest over the chosen bars, and a try that deflates the best one."


def choose_study(studies: list[Study], key: str) -> Study:
    """One study of a list, the newest first, with its state."""
    by_id = {one.id: one for one in studies}
    words = {one.id: f"{utc(one.created_ms, False)} · {one.title} · {one.state}" for one in studies}
    left, right = st.columns([6, 1], vertical_alignment="bottom")
    chosen = by_id[left.selectbox("study", list(words), format_func=words.__getitem__, key=f"{key}.study.{studies[0].id}")]
    with right:
        chip(chosen.state)
    if chosen.state == "failed":
        st.error(f"**It failed:** {plain(str(chosen.result.get('error', 'no reason is kept')))}", icon=":material/error:")
    elif chosen.state == "cancelled":
        st.warning("It was cancelled; what it had done until then is kept.", icon=":material/cancel:")
    elif chosen.state == "running":
        st.info("It is running: what stands here is what it has found so far.", icon=":material/hourglass_top:")
    return chosen
