"""The form that queues one backtest of several strategies and symbols on one account."""

from __future__ import annotations

from typing import Any

import streamlit as st

from components.execution import Costs
from components.fx import BadInput
from components.risk import Limits, Sizing
from pages._shared import queue, stores
from pages._shared.backtest_form import fixed_params, market, surroundings
from pages._shared.forms import model_inputs
from pages._shared.parts import missing, told_errors

MOST_LEGS = 8
OWN = ("account", "conversion_bar_set_ids")


def portfolio_form() -> None:
    """Legs, each a strategy on bars; one account, one sizing, limits over all of them."""
    with st.expander("Run several on one account", icon=":material/stacks:"):
        if not stores.pipeline().bar_sets():
            missing("There are no bars to run on.", "Press “Collect” on the page Data Streams.")
            return
        st.fragment(_form)()
    queue.say_submitted("portfolio")


def _form() -> None:
    with told_errors():
        words, count = st.columns([5, 1], vertical_alignment="bottom")
        words.caption("All legs share the equity, the limits and one timeframe; a position of one leg takes margin from the others.")
        legs = [_leg(place) for place in range(int(count.number_input("legs (count)", 1, MOST_LEGS, 2, 1, key="portfolio.legs")))]
        asked: dict[str, Any] = {"legs": [leg for leg in legs if leg]}
        with st.expander("Account, sizing, limits and costs"):
            around = surroundings("portfolio", legs[0]["bar_set_id"])
            asked |= {name: around[name] for name in OWN if name in around}
            asked["sizing"] = model_inputs(Sizing, "portfolio.sizing", columns=5)
            asked["limits"] = model_inputs(Limits, "portfolio.limits", columns=4)
            asked["costs"] = model_inputs(Costs, "portfolio.costs", columns=4)
        left, name, press = st.columns([2, 3, 1.6], vertical_alignment="bottom")
        left.caption("The fill policy is always mt5.")
        named = name.text_input("name of the run", "", key="portfolio.name", placeholder="made from the legs")
        if press.button("Run on one account", key="portfolio.run", type="primary", icon=":material/play_arrow:", width="stretch"):
            _refuse_mixed(asked["legs"])
            queue.send("portfolio", {**asked, "name": named})


def _leg(place: int) -> dict[str, Any]:
    with st.container(border=True):
        st.markdown(f"**Leg {place + 1}**")
        chosen = market(f"portfolio.{place}")
        assert chosen is not None
        strategy, bar_set_id, model_id = chosen
        params = fixed_params(strategy, f"portfolio.{place}", [])
    return {"strategy": strategy.name, "bar_set_id": bar_set_id, "params": params, **({} if model_id is None else {"model_id": model_id})}


def _refuse_mixed(legs: list[dict[str, Any]]) -> None:
    frames = {stores.pipeline().bar_set(leg["bar_set_id"]).timeframe for leg in legs}
    if len(frames) > 1:
        raise BadInput("legs", f"their bars are of {' and '.join(sorted(frames))}; choose bars of one timeframe")
