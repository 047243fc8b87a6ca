"""FX Analytics: runs side by side. The winner in words, what separates the others from it, and whether that is more than chance."""

from __future__ import annotations

from typing import Any

import streamlit as st

from components.backtest import Comparison, StoredRun, compare
from components.fx import PlatformError
from pages._shared import backtest_figures, figures, run_detail, stores
from pages._shared.backtest_words import start_balance
from pages._shared.parts import draw, missing, plain, table, told_errors
from pages._shared.text import number, percent, utc

CRITERIA = {
    "sharpe": "highest Sharpe ratio",
    "return": "highest return",
    "drawdown": "smallest drawdown",
    "profit_factor": "highest profit factor",
    "calmar": "highest Calmar ratio",
    "dsr": "highest deflated Sharpe ratio",
}
MEANS_SOMETHING = 0.05
CURVES_POINTS = 1_500


def show(runs: list[StoredRun]) -> None:
    """The form, and the newest comparison or a chosen older one."""
    st.header("Compare", anchor=False)
    if len(runs) < 2:
        missing("A comparison needs two runs.", "Press “Run backtest” in the view “runs” again with another strategy.")
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
        with told_errors(), st.spinner("drawing differences by chance …"):
            compare(stores.home(), chosen, criterion)
            st.rerun()
    comparisons = stores.backtests().comparisons(30)
    if not comparisons:
        missing("No comparison is stored yet.", "Choose two or more runs and press “Compare”.")
        return
    kept = {one.id: one for one in comparisons}
    shown = comparisons[0]
    if len(kept) > 1:
        words = {one.id: f"{utc(one.created_ms)} · {len(one.rows)} runs, {CRITERIA.get(one.criterion, one.criterion)}" for one in comparisons}
        shown = kept[st.selectbox("stored comparison", list(kept), format_func=words.__getitem__, key=f"compare.shown.{comparisons[0].id}")]
    show_comparison(shown)


def show_comparison(comparison: Comparison) -> None:
    """The winner, what separates the others from it, and all equity curves in percent of their start."""
    winner = next(row for row in comparison.rows if row["run_id"] == comparison.winner_id)
    _say_winner(comparison, winner)
    st.markdown("**Measures and their distance from the winner**")
    hidden = ("id",) if any(row["source"] == "imported" for row in comparison.rows) else ("id", "source")
    table([_row(row, comparison) for row in comparison.rows], f"comparison.{comparison.id}", hide=hidden)
    others = [row for row in comparison.rows if row.get("against_winner")]
    if others:
        st.markdown("**Against the winner: is the difference more than chance, and how much of it is the same bet?**")
        shades = {"difference": {"more than chance": "#3df08a", "may be chance": "#ffb000"}}
        table([_against(row) for row in others], f"against.{comparison.id}", colours=shades)
        st.caption(
            "p is the chance of such a difference between two that are equally good, from bootstrapped days; under 0.05 it is called more than chance. "
            "Correlation is that of daily returns; the time that both are on the same side is a share of the time that either is in the market."
        )
    lines = _curves(comparison)
    if lines:
        draw(figures.lines_chart(lines, "return since the start (%)", height=340), f"comparison.curves.{comparison.id}")
    st.caption(
        f"Δ is the run's value less the winner's; compared {utc(comparison.created_ms)} UTC and stored as {comparison.id}. "
        "DSR is after the tries that were made until then; the leaderboard counts those that came later too."
    )


def _say_winner(comparison: Comparison, winner: dict[str, Any]) -> None:
    said = f"Winner: {winner['name']} has the {CRITERIA.get(comparison.criterion, comparison.criterion)} of {len(comparison.rows)} runs"
    facts = f"return {percent(winner['total_return'], sign=True)}, Sharpe {number(winner['sharpe'])} a year, largest drawdown {percent(winner['max_drawdown'])}"
    if winner["total_return"] < 0:
        all_lose = all(row["total_return"] < 0 for row in comparison.rows)
        st.warning(
            f"**{plain(said)}, and it lost money all the same:** {plain(facts)}. None of these is worth trading as it is."
            if all_lose
            else f"**{plain(said)}, but it lost money:** {plain(facts)}.",
            icon=":material/warning:",
        )
        return
    unsure = [
        row["name"]
        for row in comparison.rows
        if (row.get("against_winner") or {}).get("p_sharpe") is not None and row["against_winner"]["p_sharpe"] >= MEANS_SOMETHING
    ]
    doubt = f" Its lead over {plain(', '.join(unsure))} may be chance." if unsure else ""
    st.success(f"**{plain(said)}:** {plain(facts)}.{doubt} One history and a few tries prove little.", icon=":material/trophy:")


def _row(row: dict[str, Any], comparison: Comparison) -> dict[str, Any]:
    return {
        "": "winner" if row["run_id"] == comparison.winner_id else "",
        "run": row["name"],
        "source": "IMPORTED" if row["source"] == "imported" else "here",
        "return": percent(row["total_return"], sign=True),
        "Δ return": _delta(row["delta_return"], True),
        "Sharpe (a year)": number(row["sharpe"]),
        "Δ Sharpe": _delta(row["delta_sharpe"]),
        "max drawdown": percent(row["max_drawdown"]),
        "Δ drawdown": _delta(row["delta_drawdown"], True),
        "DSR": number(row.get("dsr"), 3),
        "profit factor": number(row.get("profit_factor")),
        "Calmar": number(row.get("calmar")),
        "trades": row["trades"],
        "id": row["run_id"],
    }


def _against(row: dict[str, Any]) -> dict[str, Any]:
    found = row["against_winner"]
    p = found["p_sharpe"]
    return {
        "run": row["name"],
        "difference": "too few days" if p is None else "more than chance" if p < MEANS_SOMETHING else "may be chance",
        "p, Sharpe": number(p, 3),
        "p, mean return": number(found["p_mean"], 3),
        "correlation": number(found["correlation"]),
        "same side (share of time)": percent(found["time_overlap"], 0),
        "same entries": percent(found["entry_overlap"], 0),
        "common (days)": found["days"],
    }


def _curves(comparison: Comparison) -> dict[str, Any]:
    lines = {}
    for row in comparison.rows:
        try:
            run, equity = stores.backtests().run(row["run_id"]), stores.backtests().equity(row["run_id"])["equity"]
        except PlatformError:
            continue
        curve = backtest_figures.thinned_curve(equity, CURVES_POINTS)
        lines[f"{row['name']} · {row['run_id'][-4:]}"] = 100.0 * (curve / start_balance(run) - 1.0)
    return lines


def _delta(value: float | None, is_share: bool = False) -> str:
    if not value:
        return "–"
    return percent(value, sign=True) if is_share else number(value, sign=True)
