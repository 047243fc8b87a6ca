"""What a backtest and a deployment have in common: the choice of a strategy, its parameters, its model, sizing, limits and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from components.execution import Costs
from components.risk import Limits, Sizing
from components.strategy import Strategy, catalogue
from pages._shared import stores
from pages._shared.forms import model_inputs
from pages._shared.text import utc

Document = dict[str, Any]


def choose_strategy(key: str) -> Strategy:
    """One strategy of the catalogue."""
    known = {one.name: one for one in catalogue()}
    chosen = known[st.selectbox("strategy", list(known), format_func=lambda name: known[name].title, key=f"{key}.strategy")]
    st.caption(chosen.summary)
    return chosen


def choose_bars(key: str) -> str:
    """A bar set's id."""
    sets = {one.id: one for one in stores.pipeline().bar_sets()}
    return str(
        st.selectbox(
            "bars", list(sets), format_func=lambda id: f"{sets[id].symbol} {sets[id].timeframe} · {sets[id].rows:,} bars · {id}", key=f"{key}.bars"
        )
    )


def choose_model(strategy: Strategy, key: str) -> str | None:
    """A model's id where the strategy trades one; None where it needs none or there is none."""
    if not strategy.needs_model:
        return None
    models = {one.id: one for one in stores.models().list()}
    if not models:
        st.warning(
            "This strategy trades a model's probabilities, and no model is trained yet: press “Train” on Neural Networks.", icon=":material/warning:"
        )
        return None
    words = {id: f"{one.name}:{one.version} · trained until {utc(one.trained_until_ms, False)} UTC" for id, one in models.items()}
    return str(
        st.selectbox("model", list(models), format_func=words.__getitem__, key=f"{key}.model", help="it is asked about bars after its training only")
    )


def rules(strategy: Strategy, key: str, start: Mapping[str, Any] | None = None) -> Document:
    """Parameters, sizing, limits and costs, each from its own model's bounds; `start` has values to begin with under the same names."""
    given = start or {}
    st.markdown("**Parameters**")
    st.caption(" ".join((strategy.params.__doc__ or "").split()))
    answers: Document = {"params": model_inputs(strategy.params, f"{key}.params.{strategy.name}", start=given.get("params"), columns=5)}
    st.markdown("**Sizing, limits and costs**")
    answers["sizing"] = model_inputs(Sizing, f"{key}.sizing", start=given.get("sizing"), columns=5)
    answers["limits"] = model_inputs(Limits, f"{key}.limits", start=given.get("limits"), columns=4)
    answers["costs"] = model_inputs(Costs, f"{key}.costs", start=given.get("costs"), columns=4)
    return answers
