"""Research Lab: sweeps, walk-forwards, look-ahead audits, every try that was made."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages._shared import queue, research_audit, research_sweep, research_trials, research_walkforward
from pages._shared.parts import page

VIEWS: dict[str, Callable[[], None]] = {
    "sweep": research_sweep.show,
    "walk-forward": research_walkforward.show,
    "look-ahead audit": research_audit.show,
    "trials and models": research_trials.show,
}
KINDS = ("sweep", "walkforward", "audit")


def main() -> None:
    """The page; ``?view=walk-forward`` opens a view of it."""
    with page("Research Lab", "parameters, walk-forwards, look-ahead audits, every try that was made"):
        queue.show_progress(*KINDS, may_cancel=True)
        asked = st.query_params.get("view", "")
        first = next(iter(VIEWS))
        if "lab_view" not in st.session_state:
            st.session_state["lab_view"] = asked if asked in VIEWS else first
        chosen = st.segmented_control("view", list(VIEWS), key="lab_view", required=True, label_visibility="collapsed") or first
        if asked != chosen and (asked or chosen != first):
            st.query_params["view"] = chosen
        VIEWS[chosen]()


main()
