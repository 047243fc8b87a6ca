"""Data Streams: where data comes from, how far to believe it, what was made of it."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages._shared import queue, streams_bars, streams_datasets, streams_features, streams_news, streams_sources
from pages._shared.parts import page

VIEWS: dict[str, Callable[[], None]] = {
    "sources": streams_sources.show,
    "bars and quality": streams_bars.show,
    "features": streams_features.show,
    "datasets": streams_datasets.show,
    "rates and news": streams_news.show,
}
KINDS = ("collect", "resample", "repair", "cross_check", "check_features", "dataset", "export")


def main() -> None:
    """The page; ``?view=features`` opens a view of it."""
    with page("Data Streams", "sources, bars and their quality, features, datasets"):
        queue.show_progress(*KINDS, may_cancel=True)
        asked = st.query_params.get("view", "")
        first = next(iter(VIEWS))
        if "view" not in st.session_state:
            st.session_state["view"] = asked if asked in VIEWS else first
        chosen = st.segmented_control("view", list(VIEWS), key="view", required=True, label_visibility="collapsed") or first
        if asked != chosen and (asked or chosen != first):
            st.query_params["view"] = chosen
        VIEWS[chosen]()


main()
