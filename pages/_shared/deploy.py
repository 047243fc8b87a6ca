"""Deployments: make one from a backtest or from a strategy, arm and disarm it, hold it against its twin."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from components.base import now_ms
from components.desk import Deployment, DeploymentSpec, TwinReport, twin_replay
from components.fx import from_ms, parse_payload, to_ms
from components.strategy import strategy as strategy_named
from pages._shared import stores
from pages._shared.choices import Document, choose_bars, choose_model, choose_strategy, rules
from pages._shared.liveness import liveness_of
from pages._shared.parts import chip, kept_error, missing, plain, stays_open, table, tell_kept, told_errors
from pages._shared.text import age, number, pairs, plural, side_word, utc

UNTIL_HELP = "for a terminal that replays these bars: its history must end before the first replayed bar; leave it empty for a live market"
REFRESH_EVERY_S = 3.0
NUMBERS = {"bar": ("open", "high", "low", "close", "volume"), "signal": ("lots", "entry", "stop", "target")}
NOT_DECIDED = {
    "stale": "found too late to act on",
    "halted": "trading was halted",
    "idle": "not armed",
    "partial": "only partly seen",
    "missing": "never dealt with",
}


def show() -> None:
    """Every deployment, and the form for a new one."""
    deployments = stores.desk().deployments()
    if not stores.pipeline().bar_sets():
        missing("There are no bars, so nothing can be deployed.", "Press “Collect” on the page Data Streams.")
        return
    with st.expander("Create a deployment", expanded=stays_open("deploy", not deployments), icon=":material/add:"):
        _create()
    st.fragment(_deployments, run_every=REFRESH_EVERY_S)()


def _deployments() -> None:
    with told_errors():
        deployments = stores.desk().deployments()
        if not deployments:
            missing("Nothing is deployed.", "Press “Create deployment” above; it trades once it is armed and its terminal sends ticks.")
        for one in deployments:
            with told_errors():
                _deployment(one)


def _create() -> None:
    # A run of several legs has no bars of its own; its legs are deployed one by one.
    runs = [run for run in stores.backtests().runs(50) if run.source == "sequence" and run.bar_set_id]
    start = st.segmented_control("start from", ["a strategy", "a backtest"], default="a strategy", required=True, key="deploy.start")
    given: Document = {}
    if start == "a backtest":
        if not runs:
            missing("There is no backtest to start from.", "Press “Run backtest” on the page FX Analytics.")
            return
        by_id = {run.id: run for run in runs}
        run = by_id[
            st.selectbox("backtest", list(by_id), format_func=lambda id: f"{by_id[id].name} · {by_id[id].total_return:+.2%} · {id}", key="deploy.run")
        ]
        chosen, bar_set_id, model_id, given = strategy_named(run.strategy), str(run.bar_set_id), run.model_id, {**run.spec, "params": run.params}
    else:
        left, right = st.columns(2)
        with left:
            chosen = choose_strategy("deploy")
            model_id = choose_model(chosen, "deploy")
        with right:
            bar_set_id = choose_bars("deploy")
    key = f"deploy.{run.id}" if given else "deploy.new"
    with st.form(f"{key}.{chosen.name}", border=False):
        account = st.text_input("account", placeholder="the account's number or name, as its terminal tells it", key="deploy.account")
        answers = rules(chosen, key, given)
        until = st.date_input("leave out bars from this day on (UTC)", None, key="deploy.until", help=UNTIL_HELP)
        real = st.checkbox("allow an account with real money", key="deploy.real")
        if st.form_submit_button("Create deployment", type="primary", icon=":material/add:"):
            bars = stores.pipeline().bar_set(bar_set_id)
            document = {
                "account_id": account.strip(),
                "symbol": bars.symbol,
                "timeframe": bars.timeframe,
                "strategy": chosen.name,
                "bar_set_id": bar_set_id,
            }
            with told_errors():
                until_ms = to_ms(datetime(until.year, until.month, until.day, tzinfo=UTC)) if until else 0
                document |= {**answers, "model_id": model_id, "history_until_ms": until_ms, "allow_real": real}
                made = stores.desk().create(parse_payload(DeploymentSpec, document))
                st.toast(f"Deployment {made.id} is made; arm it to let it trade.")
                st.rerun()


def _deployment(one: Deployment) -> None:
    live = liveness_of(one)
    with st.container(border=True):
        words, state, press = st.columns([5, 1.1, 5], vertical_alignment="center")
        words.markdown(
            f"**{strategy_named(one.strategy).title}** on account **{plain(one.account_id)}** · {one.symbol} {one.spec.timeframe} · `{one.id}`"
        )
        with state:
            chip(one.state)
        with press, st.container(horizontal=True):
            if one.state == "armed":
                _press("disarm", one, icon=":material/toggle_off:")
            else:
                _press("arm", one, icon=":material/toggle_on:", type="primary")
                _press("archive", one, icon=":material/archive:", help="put it away; its journals stay")
            wants_twin = st.button(
                "Twin replay",
                key=f"twin.{one.id}",
                icon=":material/compare_arrows:",
                width="stretch",
                help="run the step over the same ticks and compare, one to one",
            )
        if one.note:
            st.warning(plain(one.note), icon=":material/warning:")
        sizing = (
            f"{one.spec.sizing.risk_fraction:.2%} of equity at risk" if one.spec.sizing.mode == "risk" else f"{one.spec.sizing.fixed_lots:g} lots"
        )
        model = f" · model {one.spec.model_id}" if one.spec.model_id else ""
        st.caption(plain(f"{pairs(one.spec.params)} · {sizing}, at most {one.spec.limits.max_risk_fraction:.2%}{model} · made {utc(one.created_ms)}"))
        bar = (
            f"last bar dealt with {utc(live.bar_ms, False)} ({live.outcome}), {age(live.decided_ms, now_ms())}"
            if live.bar_ms
            else "no bar dealt with yet"
        )
        st.caption(f"{live.word} · {bar}")
        if wants_twin:
            with st.spinner("replaying the ticks through the step …"), kept_error(one.id):
                st.session_state[f"twin.report.{one.id}"] = twin_replay(stores.home(), one.id)
        tell_kept(one.id)
        report = st.session_state.get(f"twin.report.{one.id}")
        if report is not None:
            _twin(report)


def _press(change: str, one: Deployment, **look: Any) -> None:
    st.button(change.capitalize(), key=f"{change}.{one.id}", width="stretch", on_click=_change, args=(change, one.id), **look)


def _change(change: str, deployment_id: str) -> None:
    """What a click on Arm, Disarm or Archive does."""
    desk = stores.desk()
    with kept_error(deployment_id):
        if change == "disarm":
            desk.disarm(deployment_id, "a person disarmed it on the dashboard")
        else:
            {"arm": desk.arm, "archive": desk.archive}[change](deployment_id)


def _twin(report: TwinReport) -> None:
    counts = f"signals {report.signals_equal:,} of {max(report.signals_twin, report.signals_live):,} equal, fills {report.fills_equal:,} of {max(report.fills_twin, report.fills_live):,} equal"
    over = f"over {plural(report.ticks, 'tick')} and {plural(report.bars, 'bar')}, {plural(report.trades, 'trade')}"
    profit = f"net profit (costs taken off) of the twin {number(report.profit_twin, 2, sign=True)}, live {number(report.profit_live, 2, sign=True)} (account currency)"
    profit += f". The desk did not decide on {_not_decided(report.not_decided)}" if report.not_decided else ""
    if not report.is_comparable:
        st.info(
            plain(f"Nothing to compare yet: {over}, fills of the twin {report.fills_twin:,}, live {report.fills_live:,}; {profit}."),
            icon=":material/hourglass_empty:",
        )
        return
    exits = ", ".join(f"{name.lower().replace('_', ' ')} {count}" for name, count in report.exits.items())
    if report.is_equal:
        st.success(plain(f"Live equals its twin, one to one: {counts} {over}. Exits: {exits or 'none'}. {profit}."), icon=":material/check:")
        return
    st.warning(
        plain(f"Live and its twin differ in {plural(len(report.differences), 'place')}: {counts} {over}. {profit}."), icon=":material/warning:"
    )
    rows = [
        {
            "what": one.what,
            "time (UTC)": _time_of(one.twin or one.live),
            "twin": _row_words(one.what, one.twin),
            "live": _row_words(one.what, one.live),
        }
        for one in report.differences[:200]
    ]
    table(pd.DataFrame(rows), f"differences.{report.deployment_id}", most_rows=6)


def _time_of(row: tuple[object, ...] | None) -> str:
    return "–" if row is None else f"{from_ms(int(str(row[0]))):%Y-%m-%d %H:%M:%S}"


def _not_decided(counts: dict[str, int]) -> str:
    words = ", ".join(f"{count:,} {word}: {NOT_DECIDED.get(word, word)}" for word, count in counts.items())
    return f"{plural(sum(counts.values()), 'bar')} ({words})"


def _row_words(what: str, row: tuple[Any, ...] | None) -> str:
    """A row of the twin's report: of a bar, a signal or a fill."""
    if row is None:
        return "nothing"
    if what == "bar":
        head, numbers = "", dict(zip(NUMBERS["bar"], row[1:], strict=True))
    elif what == "signal":
        head, numbers = f"{row[1]} {side_word(row[2])}", dict(zip(NUMBERS["signal"], row[3:], strict=True))
    else:
        _, change, ticket, side, lots, price, exit_kind, profit, cost = row
        reason = f" by {exit_kind.lower().replace('_', ' ')}" if change == "closed" else ""
        head = f"{change} no. {ticket} {side_word(side)}{reason}"
        numbers = {"lots": lots, "at": price, "profit": profit if change == "closed" else None, "cost": cost}
    return ", ".join([*([head] if head else []), *(f"{name} {value:g}" for name, value in numbers.items() if value is not None)])
