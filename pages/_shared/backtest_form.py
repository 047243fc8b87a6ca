"""What every form about backtests asks: strategy, bars, account, costs and rules, from the models' own bounds."""

from __future__ import annotations

from typing import Any

import streamlit as st

from components.backtest import BacktestSpec
from components.execution import Costs
from components.fx import AccountSpec, Timeframe
from components.pipeline import BarSet
from components.risk import Limits, Sizing
from components.strategy import Strategy
from pages._shared import queue, stores
from pages._shared.choices import choose_bars, choose_model, choose_strategy, rules
from pages._shared.forms import is_plain, model_inputs, shape
from pages._shared.parts import missing, plain, stays_open, told_errors

Document = dict[str, Any]
# What has inputs of its own here; any other field of the model is drawn from its schema.
OWN = ("strategy", "bar_set_id", "params", "policy", "account", "costs", "sizing", "limits", "model_id", "name")
FEWEST_ROWS = 2


def run_form(is_open: bool) -> None:
    """The form that queues one backtest."""
    with st.expander("Run a backtest", expanded=stays_open("backtest", is_open), icon=":material/play_arrow:"):
        chosen = market("backtest")
        if chosen is None:
            return
        strategy, bar_set_id, model_id = chosen
        with st.form(f"backtest.{strategy.name}", border=False), told_errors():
            asked = surroundings("backtest", bar_set_id)
            asked |= rules(strategy, "backtest")
            asked["costs"] |= optional_costs("backtest")
            waits = strategy.needs_model and model_id is None
            if st.form_submit_button("Run backtest", type="primary", icon=":material/play_arrow:", disabled=waits):
                with told_errors():
                    strategy.parse(asked["params"])
                    queue.submit("backtest", {"strategy": strategy.name, "bar_set_id": bar_set_id, "model_id": model_id, **asked})
                    st.rerun()


def market(key: str) -> tuple[Strategy, str, str | None] | None:
    """Strategy, bars and model; None, and what to press, where there are no bars."""
    if not stores.pipeline().bar_sets():
        missing("There are no bars to run on.", "Press “Collect” on the page Data Streams.")
        return None
    left, right = st.columns(2)
    with left:
        strategy = choose_strategy(key)
        model_id = choose_model(strategy, key)
    with right:
        bar_set_id = choose_bars(key)
        say_state(bar_set_id)
    return strategy, bar_set_id, model_id


def say_state(bar_set_id: str) -> None:
    """A sentence where nothing may be built on these bars."""
    if stores.pipeline().bar_set(bar_set_id).state == "quarantined":
        st.warning("These bars are quarantined; a backtest on them is refused. See “bars and quality” on Data Streams.", icon=":material/lock:")


def surroundings(key: str, bar_set_id: str) -> Document:
    """Fill policy, account, and whatever else a backtest may be asked for that is neither a parameter nor a cost."""
    schema = BacktestSpec.model_json_schema()["properties"]
    policy, currency, balance, leverage, mode, stop_out = st.columns(6)
    asked: Document = {
        "policy": policy.selectbox("fill policy", schema["policy"]["enum"], key=f"{key}.policy", help=schema["policy"]["description"]),
        "account": _account(key, currency, balance, leverage, mode, stop_out),
    }
    others = {name: spec for name, spec in schema.items() if name not in OWN}
    sets = {name: spec for name, spec in others.items() if "bar_set_id" in name}
    for name, spec in sets.items():
        chosen = _other_bars(key, name, spec, bar_set_id)
        asked |= {name: chosen} if chosen else {}
    plain_ones = [name for name, spec in others.items() if name not in sets and is_plain(shape(spec))]
    if plain_ones:
        values = model_inputs(BacktestSpec, key, only=plain_ones, everything=True)
        asked |= {name: value for name, value in values.items() if value is not None}
    return asked


def _account(key: str, currency: Any, balance: Any, leverage: Any, mode: Any, stop_out: Any) -> Document:
    start = AccountSpec()
    modes = ["hedging", "netting"]
    level = stop_out.number_input(
        "stop-out level (% of margin)",
        min_value=0.0,
        max_value=100.0,
        value=100.0 * start.stop_out_level,
        step=10.0,
        key=f"{key}.stop_out",
        help="equity below this share of the margin in use makes the broker close the position with the largest loss; 0 never does",
    )
    return {
        "currency": currency.text_input("account currency", start.currency, key=f"{key}.currency", help="ISO code"),
        "balance": balance.number_input("starting balance (account currency)", min_value=1.0, value=start.balance, step=1000.0, key=f"{key}.balance"),
        "leverage": leverage.number_input("leverage (1:n)", min_value=1.0, value=start.leverage, step=1.0, key=f"{key}.leverage"),
        "margin_mode": mode.selectbox(
            "positions", modes, index=modes.index(start.margin_mode), key=f"{key}.margin_mode", help="hedging: several in a symbol; netting: one"
        ),
        "stop_out_level": level / 100.0,
    }


def _other_bars(key: str, name: str, spec: Document, bar_set_id: str) -> str | list[str] | None:
    """Further bars that a backtest may use: finer ones of the same symbol, or those of other symbols."""
    sets = {one.id: one for one in stores.pipeline().bar_sets()}
    own = sets[bar_set_id]
    is_finer = not any(word in name for word in ("conversion", "other"))
    found = [
        one
        for one in sets.values()
        if one.state != "quarantined" and one.id != own.id and (_is_finer(one, own) if is_finer else one.symbol != own.symbol)
    ]
    if not found:
        return None
    words = {one.id: f"{one.symbol} {one.timeframe} · {one.rows:,} bars · {one.id}" for one in found}
    label, help_text = name.replace("_", " ").replace("bar set id", "bars").replace("barss", "bars"), spec.get("description")
    if shape(spec).get("type") == "array":
        return st.multiselect(label, list(words), format_func=words.__getitem__, key=f"{key}.{name}", help=help_text, placeholder="none")
    return st.selectbox(label, list(words), None, format_func=words.__getitem__, key=f"{key}.{name}", help=help_text, placeholder="none")


def _is_finer(one: BarSet, own: BarSet) -> bool:
    return one.symbol == own.symbol and Timeframe.named(one.timeframe).ms < Timeframe.named(own.timeframe).ms


def optional_costs(key: str) -> Document:
    """Costs that take the place of the instrument's own, where they are given."""
    empty = [name for name, spec in Costs.model_json_schema()["properties"].items() if not is_plain(spec)]
    if not empty:
        return {}
    with st.expander("Swap of your broker, in place of the instrument's own"):
        values = model_inputs(Costs, f"{key}.costs", only=empty, everything=True)
        st.caption("Empty: what the instrument's own table says. A triple night and the unit are those of MetaTrader's symbol specification.")
    return {name: value for name, value in values.items() if value is not None}


def account_and_costs(key: str, bar_set_id: str) -> Document:
    """Policy, account, sizing, limits and costs of a study, folded away: what a run of the same strategy is asked for."""
    with st.expander("Account, sizing and costs"):
        asked = surroundings(key, bar_set_id)
        asked["sizing"] = model_inputs(Sizing, f"{key}.sizing", columns=5)
        asked["limits"] = model_inputs(Limits, f"{key}.limits", columns=4)
        asked["costs"] = model_inputs(Costs, f"{key}.costs", columns=4)
    return asked


def fixed_params(strategy: Strategy, key: str, varying: list[str]) -> Document:
    """Inputs of the parameters that do not vary."""
    rest = [name for name in strategy.params.model_fields if name not in varying]
    if not rest:
        return {}
    st.markdown("**Parameters that stay**" if varying else "**Parameters**")
    return model_inputs(strategy.params, f"{key}.params.{strategy.name}", only=rest, columns=5)


def said(text: str) -> None:
    """A line of small text without Markdown."""
    st.caption(plain(text))
