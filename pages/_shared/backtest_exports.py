"""A run as files: trades and equity as CSV, a page that stands alone, signals for the Strategy Tester."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from components.backtest import StoredRun, clock_named, export_run, export_signals, html_report
from pages._shared import stores
from pages._shared.parts import told_errors
from pages._shared.text import plural, size

RULES = {"us": "American", "eu": "European", "none": "none"}


def show_exports(run: StoredRun) -> None:
    """Buttons that download the run; each file is made when its button is pressed."""
    st.subheader("Exports", anchor=False)
    home = stores.home()
    trades, equity, page, document = st.columns(4)
    for place, label, name, mime in (
        (trades, "Trades (CSV)", "trades.csv", "text/csv"),
        (equity, "Equity (CSV)", "equity.csv", "text/csv"),
        (document, "All of it (JSON)", "run.json", "application/json"),
    ):
        place.download_button(
            label,
            _table(home, run.id, name),
            f"{run.id}-{name}",
            mime,
            key=f"get.{name}.{run.id}",
            on_click="ignore",
            width="stretch",
            icon=":material/download:",
        )
    page.download_button(
        "Report (HTML)",
        _page(home, run.id),
        f"{run.id}.html",
        "text/html",
        key=f"get.html.{run.id}",
        on_click="ignore",
        width="stretch",
        icon=":material/download:",
        help="one page with plots; it needs no network",
    )
    if run.source == "sequence" and run.bar_set_id:
        _signals(run)


def broker_clock(key: str) -> str | None:
    """The broker's clock as the platform names it: ``us:2``; None where it is not known."""
    hours, rule = st.columns(2)
    ahead = hours.number_input("hours ahead of UTC in winter", -12.0, 14.0, 2.0, 1.0, format="%g", key=f"{key}.hours", help="most FX brokers: 2")
    summer = rule.selectbox("summer time by dates of", list(RULES), format_func=RULES.__getitem__, key=f"{key}.rule")
    return f"{summer}:{ahead:g}"


def _signals(run: StoredRun) -> None:
    with st.expander("Signals for MetaTrader's Strategy Tester (CSV)", icon=":material/smart_toy:"):
        st.caption(
            "The tester has no network: the Expert Advisor reads the run's instructions from a file in the terminal's Common\\Files, in the broker's time. "
            "Then import its report in the view “Strategy Tester” and compare."
        )
        clock = broker_clock(f"signals.{run.id}")
        name, press = st.columns([3, 1.2], vertical_alignment="bottom")
        symbol = name.text_input("the broker's own name of the instrument", "", key=f"signals.symbol.{run.id}", placeholder=run.symbol)
        if press.button("Make the file", key=f"signals.make.{run.id}", icon=":material/build:", width="stretch"):
            st.session_state.pop(f"signals.file.{run.id}", None)
            with told_errors(), tempfile.TemporaryDirectory() as folder, st.spinner("deciding again over all bars …"):
                named = clock_named(clock)
                assert named is not None
                done = export_signals(stores.home(), run.id, Path(folder) / "signals.csv", named, symbol=symbol or None)
                actions = ", ".join(f"{count:,} {action}" for action, count in done.actions.items() if count)
                st.session_state[f"signals.file.{run.id}"] = (
                    done.path.read_bytes(),
                    f"{plural(done.rows, 'line')} ({actions}); times by {done.clock}",
                )
        made = st.session_state.get(f"signals.file.{run.id}")
        if made:
            content, words = made
            st.download_button(
                f"Signals (CSV, {size(len(content))})",
                content,
                f"{run.id}-signals.csv",
                "text/csv",
                key=f"get.signals.{run.id}",
                on_click="ignore",
                type="primary",
                icon=":material/download:",
            )
            st.caption(words)


def _table(home: Path, run_id: str, name: str) -> Callable[[], bytes]:
    def content() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            return export_run(home, run_id, Path(folder))[name].read_bytes()

    return content


def _page(home: Path, run_id: str) -> Callable[[], bytes]:
    def content() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            return html_report(home, run_id, Path(folder) / "report.html").read_bytes()

    return content
