"""FX Analytics: run backtests, look into one, compare several."""

from __future__ import annotations

import streamlit as st

from components.backtest import BacktestSpec, StoredRun, compare
from components.fx import AccountSpec
from pages._shared import queue, run_detail, stores
from pages._shared.choices import choose_bars, choose_model, choose_strategy, rules
from pages._shared.comparison import show_comparison
from pages._shared.parts import missing, page, stays_open, table, told_errors
from pages._shared.text import number, percent, utc

CRITERIA = {"sharpe": "highest Sharpe ratio", "return": "highest return", "drawdown": "smallest drawdown"}
RUNS_SHOWN = 200


def main() -> None:
    """The page."""
    with page("FX Analytics", "backtests, their executions, comparisons"):
        queue.show_progress("backtest")
        runs = stores.backtests().runs(RUNS_SHOWN)
        _form(not runs)
        if not runs:
            missing("No backtest has been run yet.", "Press “Run backtest” above, or import one with POST /api/v1/backtests/import.")
            return
        _runs(runs)
        _compare(runs)
        _detail(runs)


def _form(is_open: bool) -> None:
    with st.expander("Run a backtest", expanded=stays_open("backtest", is_open), icon=":material/play_arrow:"):
        if not stores.pipeline().bar_sets():
            missing("There are no bars to run on.", "Press “Collect” on the page Data Streams.")
            return
        left, right = st.columns(2)
        with left:
            strategy = choose_strategy("backtest")
            model_id = choose_model(strategy, "backtest")
        with right:
            bar_set_id = choose_bars("backtest")
        with st.form(f"backtest.{strategy.name}", border=False):
            policy, currency, balance, leverage = st.columns(4)
            schema = BacktestSpec.model_json_schema()["properties"]["policy"]
            rule = policy.selectbox("fill policy", schema["enum"], key="backtest.policy", help=schema["description"])
            start = AccountSpec()
            account = {
                "currency": currency.text_input("account currency", start.currency, key="backtest.currency"),
                "balance": balance.number_input(
                    "starting balance (account currency)", min_value=1.0, value=start.balance, step=1000.0, key="backtest.balance"
                ),
                "leverage": leverage.number_input("leverage (1:n)", min_value=1.0, value=start.leverage, step=1.0, key="backtest.leverage"),
            }
            answers = rules(strategy, "backtest")
            if st.form_submit_button(
                "Run backtest", type="primary", icon=":material/play_arrow:", disabled=strategy.needs_model and model_id is None
            ):
                with told_errors():
                    strategy.parse(answers["params"])
                    queue.submit(
                        "backtest",
                        {"strategy": strategy.name, "bar_set_id": bar_set_id, "policy": rule, "account": account, "model_id": model_id, **answers},
                    )
                    st.rerun()


def _runs(runs: list[StoredRun]) -> None:
    st.header("Runs", anchor=False)
    imported = sum(run.source == "imported" for run in runs)
    rows = [
        {
            "run (UTC)": utc(run.created_ms),
            "name": run.name,
            "source": "IMPORTED" if run.source == "imported" else "here",
            "policy": run.policy,
            "net profit": number(run.stats.get("net_profit"), 2, run.currency, sign=True),
            "return": percent(run.total_return, sign=True),
            "Sharpe (a year)": run.sharpe,
            "max drawdown": percent(run.max_drawdown),
            "trades": run.trades,
            "ambiguous (bars)": run.stats.get("ambiguous_bars"),
            "id": run.id,
        }
        for run in runs
    ]
    table(rows, "runs", hide=("ambiguous (bars)", "id"), **{"Sharpe (a year)": st.column_config.NumberColumn(format="%.2f")})
    losing = sum(run.total_return < 0 for run in runs)
    st.caption(f"{len(runs):,} runs, {imported:,} of them imported from other programs; {losing:,} lost money, {len(runs) - losing:,} did not.")


def _compare(runs: list[StoredRun]) -> None:
    st.header("Compare", anchor=False)
    if len(runs) < 2:
        missing("A comparison needs two runs.", "Press “Run backtest” again with another strategy.")
        return
    by_id = {run.id: run for run in runs}
    newest = list({run.strategy: run.id for run in reversed(runs) if run.source == "sequence"}.values())
    which, by, press = st.columns([5, 2, 1.4], vertical_alignment="bottom")
    chosen = which.multiselect(
        "runs",
        list(by_id),
        default=newest if len(newest) > 1 else list(by_id)[:2],
        format_func=lambda id: run_detail.short_name(by_id[id]),
        key="compare.runs",
        wrap=True,
    )
    criterion = by.selectbox("the winner has the", list(CRITERIA), format_func=CRITERIA.__getitem__, key="compare.by")
    if press.button("Compare", key="compare", type="primary", icon=":material/compare:", width="stretch", disabled=len(chosen) < 2):
        with told_errors():
            compare(stores.home(), chosen, criterion)
            st.rerun()
    comparisons = stores.backtests().comparisons(30)
    if not comparisons:
        st.caption("No comparison is stored yet.")
        return
    kept = {one.id: one for one in comparisons}
    if len(kept) > 1:
        shown = kept[
            st.selectbox(
                "stored comparison",
                list(kept),
                format_func=lambda id: f"{utc(kept[id].created_ms)} · {len(kept[id].rows)} runs, {CRITERIA[kept[id].criterion]}",
                key=f"compare.shown.{comparisons[0].id}",
            )
        ]
    else:
        shown = comparisons[0]
    show_comparison(shown)


def _detail(runs: list[StoredRun]) -> None:
    st.header("One run", anchor=False)
    by_id = {run.id: run for run in runs}
    chosen = st.selectbox("run", list(by_id), format_func=lambda id: run_detail.name_of(by_id[id]), key="run")
    run_detail.show(by_id[chosen])


main()
