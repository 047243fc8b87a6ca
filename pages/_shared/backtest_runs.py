"""FX Analytics, first view: the form of a backtest, and every kept run with what to think of it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from components.backtest import StoredRun, Verdict
from pages._shared import backtest_verdicts, queue, stores
from pages._shared.backtest_form import run_form
from pages._shared.backtest_portfolio import portfolio_form
from pages._shared.parts import missing, table
from pages._shared.run_detail import open_run
from pages._shared.text import DASH, number, percent, plural, utc

SHOWN = (25, 100, 500)


def show() -> None:
    """The form, and the runs."""
    runs = stores.backtests().runs(1)
    run_form(not runs)
    queue.say_submitted("backtest")
    if runs:
        portfolio_form()
    st.header("Runs", anchor=False)
    if not runs:
        missing(
            "No backtest has been run yet.", "Press “Run backtest” above, or import a report of the Strategy Tester in the view “Strategy Tester”."
        )
        return
    _runs()


def _runs() -> None:
    words, choice = st.columns([5, 1], vertical_alignment="bottom")
    shown = choice.selectbox("runs shown (newest)", SHOWN, key="runs.shown")
    runs = stores.backtests().runs(int(shown))
    with st.spinner("judging the runs …"):
        judged = backtest_verdicts.verdicts_within(runs)
    imported = sum(run.source == "imported" for run in runs)
    losing = sum(run.total_return < 0 for run in runs)
    words.caption(
        f"{plural(len(runs), 'run')}, {imported:,} of them imported from other programs; {losing:,} lost money, {len(runs) - losing:,} did not. "
        "Choose a row to see the run."
    )
    rows = [_row(run, judged.get(run.id)) for run in runs]
    columns = {
        "Sharpe (a year)": st.column_config.NumberColumn(format="%.2f", help="daily returns, risk-free rate 0, √252"),
        "DSR": st.column_config.NumberColumn(
            format="%.2f", help="deflated Sharpe ratio: chance that the Sharpe ratio is not luck, after all tries (0 to 1)"
        ),
        "N tried": st.column_config.NumberColumn(format="localized", help="how often this strategy was tried, on any bars and with any parameters"),
        "trades": st.column_config.NumberColumn(format="localized"),
        "why": st.column_config.TextColumn(width="large", help="the weightiest reason of the verdict"),
    }
    st.session_state["runs.ids"] = [run.id for run in runs]
    hidden = ("policy", "N effective", "ambiguous (bars)", "id")
    table(rows, "runs", 12, hidden, on_choice=_open, colours={"verdict": backtest_verdicts.SHADES}, **columns)
    if len(judged) < len(runs):
        left, press = st.columns([5, 1.4], vertical_alignment="center")
        left.caption(f"{plural(len(runs) - len(judged), 'run')} not judged yet: each takes a moment the first time, or its files are gone.")
        if press.button("Judge more", key="judge", icon=":material/gavel:", width="stretch"):
            st.rerun()


def _row(run: StoredRun, judged: Verdict | None) -> dict[str, Any]:
    facts = judged.facts if judged else {}
    return {
        "verdict": judged.word if judged else DASH,
        "run (UTC)": utc(run.created_ms),
        "name": run.name,
        "source": "IMPORTED" if run.source == "imported" else "here",
        "policy": run.policy,
        "net profit": number(run.stats.get("net_profit"), 2, run.currency, sign=True),
        "return": percent(run.total_return, sign=True),
        "Sharpe (a year)": run.sharpe,
        "DSR": facts.get("dsr"),
        "N tried": facts.get("tried"),
        "N effective": facts.get("tried_effective"),
        "max drawdown": percent(run.max_drawdown),
        "trades": run.trades,
        "why": judged.line.partition(": ")[2] if judged else "",
        "ambiguous (bars)": run.stats.get("ambiguous_bars"),
        "id": run.id,
    }


def _open() -> None:
    """A chosen row opens the run in its own view."""
    rows, ids = st.session_state["runs"]["selection"]["rows"], st.session_state.get("runs.ids", [])
    if rows and rows[0] < len(ids):
        open_run(ids[rows[0]])
