"""Research Lab, fourth view: every try that was made, and models against naive baselines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict

import streamlit as st

from components.ledger import TRIAL_STATES, Trial, TrialLedger, groups
from pages._shared import figures, stores
from pages._shared.baselines import say_verdict, show_baselines
from pages._shared.parts import draw, missing, stated, table
from pages._shared.text import number, pairs, percent, plural, utc

SHOWN = 2_000
KEY_METRICS = ("sharpe", "total_return", "max_drawdown", "log_loss", "naive_log_loss", "accuracy", "trades", "error")
SHARES = ("total_return", "max_drawdown", "accuracy")


def show() -> None:
    """The trial ledger, and the models."""
    _ledger()
    _models()


def _ledger() -> None:
    st.header("Trial ledger", anchor=False)
    ledger = stores.ledger()
    of_all = groups(ledger)
    if not of_all:
        missing("Nothing has been tried yet.", "Press “Train” on Neural Networks or “Run backtest” on FX Analytics; every try is written down here.")
        return
    families, states = Counter[str](), Counter[str]()
    for one in of_all:
        families[one.family] += one.trials
        states[one.state] += one.trials
    for place, (name, trials) in zip(st.columns(4), [("trials", states.total()), *((state, states[state]) for state in TRIAL_STATES)], strict=True):
        place.metric(name, number(trials, 0), border=True)
    st.caption(
        "Append-only: backtests, folds and tunings, failed and discarded ones too. The more was tried in a family, "
        "the less its best result means: the deflated Sharpe ratio takes its number of tries from here."
    )
    left, right = st.columns([2, 3], gap="medium")
    with left:
        draw(figures.counts_chart(families, "trials per family"), "families")
    with right:
        table([asdict(one) for one in of_all], "kinds", most_rows=8, trials=st.column_config.NumberColumn(format="localized"))
    _trials(ledger, families)


def _trials(ledger: TrialLedger, families: Mapping[str, int]) -> None:
    chosen = st.pills("families", sorted(families), selection_mode="multi", key="families_shown")
    some = [trial for family in chosen or [None] for trial in ledger.list(family, SHOWN)]
    some = sorted(some, key=lambda trial: trial.created_ms, reverse=True)[:SHOWN]
    wide = {"result": st.column_config.TextColumn(width=440), "parameters": st.column_config.TextColumn(width=240)}
    table([_trial_row(trial) for trial in some], "trials", hide=("strategy", "data", "code version", "id"), **wide)
    if sum(families[family] for family in chosen or families) > SHOWN:
        st.caption(f"The newest {plural(SHOWN, 'trial')} are shown.")
    every_failed = [trial for family in chosen or [None] for trial in ledger.list(family, 1, "failed")]
    if every_failed:
        failed = max(every_failed, key=lambda trial: trial.created_ms)
        with st.expander(f"Newest failed trial: {failed.strategy} at {utc(failed.created_ms)} UTC"):
            stated({"parameters": pairs(failed.params), "why": str(failed.metrics.get("error", "no reason is stored"))})


def _trial_row(trial: Trial) -> dict[str, object]:
    return {
        "made (UTC)": utc(trial.created_ms),
        "family": trial.family,
        "strategy": trial.strategy,
        "kind": trial.kind,
        "state": trial.state,
        "result": _result(trial),
        "parameters": pairs(trial.params),
        "data": trial.dataset_id or "–",
        "code version": trial.code_version[:12],
        "id": trial.id,
    }


def _result(trial: Trial) -> str:
    words = []
    for name in KEY_METRICS:
        value = trial.metrics.get(name)
        if isinstance(value, str):
            words.append(value.split("\n")[0])
        elif isinstance(value, int | float):
            amount = percent(value) if name in SHARES else f"{value:,.0f}" if name == "trades" else number(value, 4 if "loss" in name else 2)
            words.append(f"{name.replace('_', ' ')} {amount}")
    return " · ".join(words) or "–"


def _models() -> None:
    st.header("Models against naive baselines", anchor=False)
    models = stores.models().list()
    if not models:
        missing("No model is trained yet.", "Press “Train” on the page Neural Networks.")
        return
    by_name = {f"{one.name}:{one.version}": one for one in models}
    chosen = by_name[st.selectbox("model", list(by_name), key="research.model")] if len(models) > 1 else models[0]
    st.caption(
        f"{chosen.name}:{chosen.version} · trained on {chosen.symbol} {chosen.timeframe} until {utc(chosen.trained_until_ms, False)} UTC · dataset {chosen.dataset_id[:16]}…"
    )
    say_verdict(chosen)
    show_baselines(chosen, "research")
