"""FX Analytics: run backtests, see how far to believe them, compare them with each other and with the Strategy Tester."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages._shared import backtest_leaderboard, backtest_runs, backtest_tester, comparison, queue, run_detail, stores
from pages._shared.parts import missing, page

RUNS_OFFERED = 300
KINDS = ("backtest", "portfolio", "honesty", "audit", "mt5_compare")


def one_run() -> None:
    """The chosen run in full."""
    st.header("One run", anchor=False)
    runs = stores.backtests().runs(RUNS_OFFERED)
    if runs:
        run_detail.show_one(runs)
    else:
        missing("No backtest has been run yet.", "Press “Run backtest” in the view “runs”.")


def compared() -> None:
    """Runs side by side."""
    comparison.show(stores.backtests().runs(RUNS_OFFERED))


VIEWS: dict[str, Callable[[], None]] = {
    "runs": backtest_runs.show,
    "one run": one_run,
    "comparison": compared,
    "leaderboard": backtest_leaderboard.show,
    "Strategy Tester": backtest_tester.show,
}


def main() -> None:
    """The page; ``?view=comparison`` opens a view of it, ``?view=one run&run=…`` a run."""
    with page("FX Analytics", "backtests, how far to believe them, comparisons"):
        queue.show_progress(*KINDS, may_cancel=True)
        asked = st.query_params.get("view", "")
        first = next(iter(VIEWS))
        if "fx_view" not in st.session_state:
            st.session_state["fx_view"] = asked if asked in VIEWS else first
        chosen = st.segmented_control("view", list(VIEWS), key="fx_view", required=True, label_visibility="collapsed") or first
        if asked != chosen and (asked or chosen != first):
            st.query_params["view"] = chosen
        VIEWS[chosen]()


main()
