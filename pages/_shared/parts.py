"""What the pages have in common: the head, one mapping of errors, status chips, empty states, tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import pandas as pd
import streamlit as st
from plotly.graph_objects import Figure
from streamlit.runtime.pages_manager import PagesManager

from components.fx import BadInput, Corrupt, NotFound, PlatformError, Refused, Unavailable
from pages._shared import stores
from pages._shared.text import DASH, utc

_STYLE = """
<style>
[data-testid="stMainBlockContainer"] { padding-left: 2.5rem; padding-right: 2.5rem; max-width: 1700px; }
h1 { letter-spacing: .04em; text-transform: uppercase; }
h2, h3 { letter-spacing: .02em; }
[data-testid="stMetric"] { background: #07110b; padding: .2rem 0 !important; }
[data-testid="stMetric"] > div { padding: .3rem .8rem !important; }
[data-testid="stMetricLabel"] * { color: #8fc4a1; font-size: .78rem; white-space: normal !important; overflow: visible !important; }
[data-testid="stMetricValue"] * { white-space: normal !important; overflow: visible !important; overflow-wrap: anywhere; line-height: 1.25; }
[data-testid="stBaseButton-primary"] *, [data-testid="stBaseButton-primaryFormSubmit"] * { color: #02140a !important; font-weight: 700; }
[data-testid="stBaseButton-primary"]:disabled *, [data-testid="stBaseButton-primaryFormSubmit"]:disabled * { color: #6f9c80 !important; }
[data-tag] { background: #12351f !important; border: 1px solid #1f5a36; }
[data-tag], [data-tag] * { color: #b9f5cb !important; }
.st-key-halt button { border-color: #ff5c5c; color: #ff5c5c; font-weight: 700; }
.st-key-reduce button { border-color: #ffb000; color: #ffb000; font-weight: 700; }
.st-key-reduce button:hover { background: #ffb000; color: #030805; border-color: #ffb000; }
.st-key-halt button:hover { background: #ff5c5c; color: #030805; border-color: #ff5c5c; }
</style>
"""

WHAT_TO_DO: dict[type[PlatformError], str] = {
    BadInput: "Correct the input and try again.",
    NotFound: "It may have been deleted meanwhile; choose another one.",
    Refused: "A rule of the platform said no; nothing was changed.",
    Unavailable: "Try again in a moment.",
    Corrupt: "Stored state contradicts itself: halt trading (System Matrix) and look at it before going on.",
}

CHIP_COLOURS = {
    "green": ("ACTIVE", "running", "done", "armed", "filled", "healthy", "placed", "finished", "trusted"),
    "orange": ("REDUCING", "queued", "waiting", "starting", "unknown", "pending", "leased", "acknowledged", "partially_filled", "released"),
    "red": ("HALTED", "failed", "rejected", "unhealthy", "quarantined"),
}
_COLOUR_OF = {word: colour for colour, words in CHIP_COLOURS.items() for word in words}


@contextmanager
def page(title: str, caption: str, shows_state: bool = True) -> Iterator[None]:
    """A page: its head, every `PlatformError` of its body as a sentence, and a banner while trading is not ACTIVE."""
    _leave_automatic_pages()
    st.html(_STYLE)
    st.title(title, anchor=False)
    st.caption(f"{caption} · all times UTC")
    if shows_state:
        with st.container():
            st.fragment(_state_banner, run_every=STATE_EVERY_S)()
    with told_errors():
        yield


def _state_banner() -> None:
    with told_errors():
        state = stores.desk().trading_state()
        if state == "ACTIVE":
            return
        last = stores.desk().state_history(1)
        since = f" Since {utc(last[0].at_ms)} UTC{': ' + last[0].reason if last[0].reason else ''}." if last else ""
        show = st.error if state == "HALTED" else st.warning
        show(f"**{state}: {STATE_MEANINGS[state]}.**{plain(since)} It is changed on the page System Matrix.", icon=":material/front_hand:")


def _leave_automatic_pages() -> None:
    """Hand over to streamlit_app.py where Streamlit runs this page by itself.

    Until a server has run `st.navigation` once, it takes the folder ``pages/`` for the old kind of multipage app: an address of a page,
    asked for first, would come without the navigation and the page settings.
    """
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()


def stays_open(key: str, is_open: bool) -> bool:
    """How an expander was at the visit's first look: one that turns by itself would close under the hand of whom it serves."""
    return bool(st.session_state.setdefault(f"open.{key}", is_open))


@contextmanager
def told_errors() -> Iterator[None]:
    """A `PlatformError` becomes its sentence and what to do about it; anything else passes."""
    try:
        yield
    except PlatformError as error:
        tell(error)


@contextmanager
def kept_error(key: str) -> Iterator[None]:
    """What a click in a fragment does: its `PlatformError` is kept for `tell_kept`, for the next drawing would wipe it out."""
    st.session_state.pop(f"error.{key}", None)
    try:
        yield
    except PlatformError as error:
        st.session_state[f"error.{key}"] = error


def tell_kept(key: str) -> None:
    """Show the error of the last click under this key, where there was one."""
    error = st.session_state.get(f"error.{key}")
    if error is not None:
        tell(error)


def tell(error: PlatformError) -> None:
    """Show an error: amber where waiting or another choice helps, red where a person must look."""
    advice = next((words for kind, words in WHAT_TO_DO.items() if isinstance(error, kind)), "Look at the logs on the page Infrastructure.")
    code = f" ({error.code})" if isinstance(error, Refused) else ""
    show = st.warning if isinstance(error, Refused | Unavailable) else st.error
    show(f"**{plain(error.message)}**{code}  \n{advice}", icon=":material/warning:" if show is st.warning else ":material/error:")


def plain(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return "".join(f"\\{sign}" if sign in r"\`*_{}[]()#+!|~$<>:" else sign for sign in text)


def chip(word: str, label: str | None = None) -> None:
    """A state as a coloured badge."""
    st.badge(label or word, color=_COLOUR_OF.get(word, "gray"))  # type: ignore[arg-type]


STATE_EVERY_S = 1.0
STATE_MEANINGS = {"ACTIVE": "signals are issued", "REDUCING": "positions are only closed", "HALTED": "no signal is issued"}
STATE_COLOURS = {"ACTIVE": "#00e060", "REDUCING": "#ffb000", "HALTED": "#ff5c5c"}


def state_line(state: str, meaning: str, since: str) -> None:
    """The trading state in large letters, what it means and since when."""
    colour = STATE_COLOURS.get(state, "#b9f5cb")
    st.html(
        f'<div style="display:flex;align-items:baseline;gap:1rem;flex-wrap:wrap"><span style="color:{colour};font-size:1.7rem;font-weight:700;'
        f'letter-spacing:.12em" data-testid="trading-state">{_escaped(state)}</span><span>{_escaped(meaning)}</span></div>'
        f'<div style="color:#7fb892;font-size:.8rem">{_escaped(since)}</div>'
    )


def missing(what: str, then: str) -> None:
    """An empty place: what is not there, and which button brings it."""
    st.info(f"**{what}**  \n{then}", icon=":material/hourglass_empty:")


def draw(figure: Figure, key: str) -> None:
    """A chart in the theme of `figures`, without Plotly's own buttons except zoom and picture."""
    st.plotly_chart(figure, theme=None, key=key, config={"displaylogo": False, "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"]})


ROW_PIXELS = 31.5
AUTO_ROWS = 10


def table(
    rows: Sequence[Mapping[str, Any]] | pd.DataFrame,
    key: str,
    /,
    most_rows: int = 10,
    hide: Sequence[str] = (),
    on_choice: Callable[[], None] | None = None,
    colours: Mapping[str, Mapping[str, str]] | None = None,
    **columns: Any,
) -> None:
    """Rows as a table, as high as its rows up to `most_rows`; `columns` are Streamlit column settings by column name.

    Columns named in `hide` can be shown from the table's own menu. `on_choice` is called when a row is chosen. `colours` has the colour of each
    word of a column.
    """
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    shown: Any = frame
    for column, by_word in (colours or {}).items():
        shown = (shown if shown is not frame else frame.style).map(lambda word, by_word=by_word: _coloured(by_word.get(word)), subset=[column])
    choosing: dict[str, Any] = {} if on_choice is None else {"on_select": on_choice, "selection_mode": "single-row"}
    st.dataframe(
        shown,
        hide_index=True,
        key=key,
        **choosing,
        column_config=dict.fromkeys(hide) | columns or None,
        height=table_height(len(frame), most_rows),
        placeholder=DASH,
    )


def _coloured(colour: str | None) -> str:
    return f"color: {colour}" if colour else ""


def table_height(rows: int, most_rows: int) -> int | Literal["auto"]:
    """Height of a table: its rows, or `most_rows` and a half, which says that there is more to see."""
    return "auto" if rows <= min(most_rows, AUTO_ROWS) else round(ROW_PIXELS * (1.5 + most_rows))


def stated(rows: Mapping[str, str]) -> None:
    """Names and values in two columns, as text that can be selected."""
    body = "".join(
        f'<tr><td style="color:#7fb892;padding:.15rem 1.2rem .15rem 0;vertical-align:top;white-space:nowrap">{_escaped(name)}</td>'
        f'<td style="padding:.15rem 0;overflow-wrap:anywhere">{_escaped(value)}</td></tr>'
        for name, value in rows.items()
    )
    st.html(f'<table style="border-collapse:collapse;font-size:.86rem">{body}</table>')


def _escaped(text: str) -> str:
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
