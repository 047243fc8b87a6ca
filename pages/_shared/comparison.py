"""A comparison of backtests: the winner in words, the deltas, the curves over each other."""

from __future__ import annotations

import streamlit as st

from components.backtest import Comparison
from components.fx import PlatformError
from pages._shared import figures, stores
from pages._shared.parts import draw, plain, table
from pages._shared.text import number, percent, utc

WORDS = {"sharpe": "the highest Sharpe ratio", "return": "the highest return", "drawdown": "the smallest drawdown"}


def show_comparison(comparison: Comparison) -> None:
    """The winner, what separates the others from it, and all equity curves in percent of their start."""
    winner = next(row for row in comparison.rows if row["run_id"] == comparison.winner_id)
    said = f"Winner: {winner['name']} has {WORDS[comparison.criterion]} of {len(comparison.rows)} runs"
    facts = f"return {percent(winner['total_return'], sign=True)}, Sharpe {number(winner['sharpe'])} a year, largest drawdown {percent(winner['max_drawdown'])}"
    if winner["total_return"] < 0:
        st.warning(
            f"**{plain(said)}, and it lost money all the same:** {plain(facts)}. None of these is worth trading as it is."
            if _all_lose(comparison)
            else f"**{plain(said)}, but it lost money:** {plain(facts)}.",
            icon=":material/warning:",
        )
    else:
        st.success(f"**{plain(said)}:** {plain(facts)}. One history and a few tries prove little.", icon=":material/trophy:")
    rows = [
        {
            "": "winner" if row["run_id"] == comparison.winner_id else "",
            "run": row["name"],
            "source": "IMPORTED" if row["source"] == "imported" else "here",
            "return": percent(row["total_return"], sign=True),
            "Δ return": _delta(row["delta_return"], True),
            "Sharpe (a year)": number(row["sharpe"]),
            "Δ Sharpe": _delta(row["delta_sharpe"], False),
            "max drawdown": percent(row["max_drawdown"]),
            "Δ drawdown": _delta(row["delta_drawdown"], True),
            "trades": row["trades"],
            "id": row["run_id"],
        }
        for row in comparison.rows
    ]
    table(rows, f"comparison.{comparison.id}", hide=("id",))
    lines = {}
    for row in comparison.rows:
        try:
            equity = stores.backtests().equity(row["run_id"])["equity"]
        except PlatformError:
            continue
        lines[f"{row['name']} · {row['run_id'][-4:]}"] = 100.0 * (equity / equity.iloc[0] - 1.0)
    if lines:
        draw(figures.lines_chart(lines, "return since the start (%)", height=320), f"comparison.curves.{comparison.id}")
    st.caption(f"Δ is the run's value less the winner's; compared {utc(comparison.created_ms)} UTC and stored as {comparison.id}.")


def _all_lose(comparison: Comparison) -> bool:
    return all(row["total_return"] < 0 for row in comparison.rows)


def _delta(value: float, is_share: bool) -> str:
    if value == 0:
        return "–"
    return percent(value, sign=True) if is_share else number(value, sign=True)
