"""FX Analytics: the leaderboard, Sharpe ratios beside what is left of them after all tries."""

from __future__ import annotations

from typing import Any

import streamlit as st

from pages._shared import backtest_figures, backtest_verdicts, stores
from pages._shared.parts import draw, missing, table
from pages._shared.run_detail import open_run
from pages._shared.text import DASH, percent, plural, utc

CHARTED = 15
LIMITS = (50, 200, 1_000)


def show() -> None:
    """The newest runs, the most credible first."""
    left, right = st.columns([5, 1], vertical_alignment="bottom")
    left.header("Leaderboard", anchor=False)
    if not stores.backtests().runs(1):
        missing("No backtest has been run yet.", "Press “Run backtest” in the view “runs”.")
        return
    limit = right.selectbox("newest runs", LIMITS, key="board.limit")
    rows = backtest_verdicts.board(int(limit))
    above = [row for row in rows if row["dsr"] is not None and row["dsr"] >= 0.95]
    lucky = [row for row in rows if row["sharpe"] > 0 and (row["dsr"] is None or row["dsr"] < 0.5)]
    st.caption(
        f"{plural(len(rows), 'run')}, ordered by deflated Sharpe ratio: the chance that a Sharpe ratio is not just that of the best of N tries (0 to 1; 0.95 is "
        f"good). {plural(len(above), 'run')} at 0.95 or above; {plural(len(lucky), 'run')} with a positive Sharpe ratio that is rather luck than not."
    )
    columns: dict[str, Any] = {
        "Sharpe (a year)": _digits("%.2f"),
        "± error": _digits("%.2f"),
        "DSR": _digits("%.3f"),
        "PSR": _digits("%.3f"),
        "by luck (a year)": _digits("%.2f"),
        "N tried": st.column_config.NumberColumn(format="localized"),
        "N effective": _digits("%.1f"),
        "trades": st.column_config.NumberColumn(format="localized"),
        "PBO (%)": _digits("%.1f"),
    }
    shades = {"audit": {"passed": "#3df08a", "failed": "#ff7b7b"}}
    st.session_state["board.ids"] = [row["run_id"] for row in rows]
    table([_row(place, row) for place, row in enumerate(rows, 1)], "board", 14, ("PSR", "DSR raw", "made (UTC)", "id"), _open, shades, **columns)
    st.markdown("**Sharpe ratio beside that of luck alone**")
    charted = [{**row, "name": f"{place} · {row['name']} · {row['run_id'][-4:]}"} for place, row in enumerate(rows[:CHARTED], 1)]
    draw(backtest_figures.luck_chart(charted), "luck")
    st.caption("The mark is the Sharpe ratio that the best of so many tries shows without any edge; a bar that does not reach beyond it is red.")


def _digits(form: str) -> Any:
    return st.column_config.NumberColumn(format=form)


def _row(place: int, row: dict[str, Any]) -> dict[str, Any]:
    audited = row["audit_passed"]
    return {
        "": place,
        "run": row["name"],
        "symbol": f"{row['symbol']} {row['timeframe']}",
        "Sharpe (a year)": row["sharpe"],
        "± error": row["sharpe_error"],
        "DSR": row["dsr"],
        "N tried": row["tried"],
        "N effective": row["tried_effective"],
        "by luck (a year)": row["sharpe_by_luck"],
        "PBO (%)": None if row["pbo"] is None else 100 * row["pbo"],
        "audit": DASH if audited is None else "passed" if audited else "failed",
        "return": percent(row["total_return"], sign=True),
        "max drawdown": percent(row["max_drawdown"]),
        "trades": row["trades"],
        "PSR": row["psr"],
        "DSR raw": row["dsr_raw"],
        "made (UTC)": utc(row["created_ms"], False),
        "source": "IMPORTED" if row["source"] == "imported" else "here",
        "id": row["run_id"],
    }


def _open() -> None:
    rows, ids = st.session_state["board"]["selection"]["rows"], st.session_state.get("board.ids", [])
    if rows and rows[0] < len(ids):
        open_run(ids[rows[0]])
