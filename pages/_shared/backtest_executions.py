"""The price chart of a run with its executions: all of a short run, a window of a long one below an overview of the whole."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from components.backtest import StoredRun
from components.fx import PlatformError
from pages._shared import backtest_figures, figures, stores
from pages._shared.parts import draw, missing
from pages._shared.text import number, plural

AROUND_BARS = 60
MOST_AT_ONCE = 400
MOST_BARS = 20_000
COUNTS = (1, 20, 100, 400)
USUAL = 100


def show_executions(run: StoredRun, trades: pd.DataFrame) -> None:
    """Every execution of a run, reachable by its number; of a run of several legs one leg at a time."""
    st.subheader("Executions", anchor=False)
    bar_set_id, symbol, some = run.bar_set_id, run.symbol, trades
    legs = run.spec.get("legs") or []
    if legs and "leg" in trades:
        names = {place: f"{leg['strategy']} on {leg['bar_set_id']}" for place, leg in enumerate(legs)}
        place = int(st.selectbox("leg", list(names), format_func=names.__getitem__, key=f"leg.{run.id}") or 0)
        bar_set_id, some = str(legs[place]["bar_set_id"]), trades[trades["leg"] == place]
        symbol = str(some["symbol"].iloc[0]) if len(some) else symbol
    if not bar_set_id:
        st.caption("The bars of an imported run are not here, so its executions are listed below and not drawn.")
        return
    if some.empty:
        st.caption("This leg made no trade.")
        return
    try:
        bars = stores.pipeline().load_bars(bar_set_id)
    except PlatformError:
        missing("The bars of this run are gone.", "Collect or import them again on Data Streams; the trades are listed below.")
        return
    words, count, first = st.columns([5, 1.2, 1.2], vertical_alignment="bottom")
    start, many = _asked(run, len(some), first, count)
    shown = some.iloc[start : start + many]
    is_all = len(shown) == len(some)
    words.caption(_facts(run) + (" All of them are drawn." if is_all else f" Trades no. {start + 1:,} to {start + len(shown):,} are drawn."))
    first_bar, last_bar = bars.index.searchsorted([shown["entry_time"].min(), shown["exit_time"].max()])
    part = bars if is_all else bars.iloc[max(0, int(first_bar) - AROUND_BARS) : int(last_bar) + AROUND_BARS]
    if not is_all:
        overview = backtest_figures.overview_chart(bars, some, symbol, run.currency, (part.index[0], part.index[-1]))
        draw(overview, f"overview.{run.id}")
    drawn = backtest_figures.thinned(part, MOST_BARS)
    draw(figures.executions_chart(drawn, shown, symbol), f"executions.{run.id}")
    if len(drawn) < len(part):
        st.caption(f"Of {plural(len(part), 'bar')} the highest and the lowest close of each part are drawn.")


def _asked(run: StoredRun, trades: int, first: object, count: object) -> tuple[int, int]:
    """Place of the first trade that is drawn and how many are, as the inputs have them."""
    counts = [one for one in COUNTS if one < trades] + ([trades] if trades <= MOST_AT_ONCE else [])
    many = count.selectbox(  # type: ignore[attr-defined]
        "trades drawn",
        counts,
        index=len(counts) - 1 if trades <= MOST_AT_ONCE else counts.index(USUAL),
        format_func=lambda one: "all" if one == trades else f"{one:,}",
        key=f"drawn.{run.id}",
    )
    if many == trades:
        return 0, trades
    start = first.number_input(  # type: ignore[attr-defined]
        "from trade no.", 1, trades, max(1, trades - int(many) + 1), 1, key=f"zoom.{run.id}.{many}", help="in the order of exits; see the table below"
    )
    return int(start) - 1, int(many)


def _facts(run: StoredRun) -> str:
    exits = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in run.stats.get("exits", {}).items())
    refused = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in run.stats.get("refused", {}).items())
    said = f"Exits: {exits or 'none'}. Refused orders: {refused or 'none'}."
    return f"{said} Dotted lines join entry and exit, green won, red lost; {number(run.trades, 0)} trades in all."
