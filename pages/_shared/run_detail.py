"""One backtest in detail: what it earned in words, every execution, equity and drawdown, trades, ambiguity."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from components.backtest import StoredRun
from components.fx import drawdown_curve, instrument, known_symbols
from pages._shared import figures, stores
from pages._shared.parts import draw, missing, plain, stated, table
from pages._shared.text import number, pairs, percent, plural, utc

AROUND_BARS = 60


def name_of(run: StoredRun) -> str:
    """A run in one line."""
    mark = "IMPORTED · " if run.source == "imported" else ""
    return f"{mark}{run.name} · {percent(run.total_return, sign=True)} · {run.policy} · {utc(run.created_ms, False)} · {run.id[-6:]}"


def short_name(run: StoredRun) -> str:
    """A run in a few words."""
    return f"{run.name} {percent(run.total_return, sign=True)} · {run.id[-4:]}"


def show(run: StoredRun) -> None:
    """Everything about a run."""
    _verdict(run)
    _measures(run)
    trades, equity = stores.backtests().trades(run.id), stores.backtests().equity(run.id)
    if len(trades):
        _executions(run, trades)
    else:
        missing("This run made no trade.", "Widen the parameters, or look at the refusals below.")
    if len(equity):
        st.subheader("Equity and drawdown", anchor=False)
        draw(figures.equity_chart(equity.assign(drawdown=drawdown_curve(equity["equity"].to_numpy())), run.currency), f"equity.{run.id}")
    if len(trades):
        _trades(run, trades)
    with st.expander("How it was run"):
        stated(_rules(run))


def _verdict(run: StoredRun) -> None:
    profit = run.stats.get("net_profit", 0.0)
    amount = plain(f"{number(abs(profit), 2, run.currency)} ({percent(run.total_return, sign=True)})")
    if run.source == "imported":
        st.info(
            "**Imported:** another program ran this; its fills were not checked by the step, its measures were computed here.",
            icon=":material/input:",
        )
    if run.stats.get("ruined"):
        st.error("**This strategy lost the whole account.**", icon=":material/error:")
    elif profit < 0:
        st.error(
            f"**This strategy loses money here: {amount} in {plural(run.trades, 'trade')}, after costs.** Do not trade it as it is.",
            icon=":material/trending_down:",
        )
    elif run.trades == 0:
        st.warning("**This strategy did not trade.**", icon=":material/warning:")
    else:
        st.success(
            f"**This strategy earned {amount} in {plural(run.trades, 'trade')}, after costs.** One history is no proof: see the trial ledger for how often was tried.",
            icon=":material/trending_up:",
        )


def _measures(run: StoredRun) -> None:
    stats = run.stats
    first, second = st.columns(6), st.columns(6)
    first[0].metric("net profit", number(stats.get("net_profit"), 2, run.currency, sign=True), border=True)
    first[1].metric("return", percent(run.total_return, sign=True), border=True)
    first[2].metric("Sharpe (a year)", number(run.sharpe), border=True, help="daily returns, risk-free rate 0, √252")
    first[3].metric("largest drawdown", percent(run.max_drawdown), border=True)
    first[4].metric("trades", number(run.trades, 0), border=True)
    first[5].metric("won", percent(stats.get("win_rate"), 1), border=True)
    factor = stats.get("profit_factor")
    second[0].metric(
        "profit factor", number(factor) if factor is not None else "no loss" if run.trades else "–", border=True, help="winning profits over losses"
    )
    second[1].metric("average trade", number(stats.get("average_profit"), 2, run.currency, sign=True), border=True)
    second[2].metric("best trade", number(stats.get("best_trade"), 2, run.currency, sign=True), border=True)
    second[3].metric("worst trade", number(stats.get("worst_trade"), 2, run.currency, sign=True), border=True)
    second[4].metric("commission", number(stats.get("costs"), 2, run.currency), border=True, help="spread and slippage are in the fill prices")
    second[5].metric("ambiguous bars", number(stats.get("ambiguous_bars"), 0), border=True, help="bars in which two outcomes are possible")
    if "profit_against" in stats:
        against, favour = (number(stats[name], 2, run.currency, sign=True) for name in ("profit_against", "profit_favour"))
        doubt = stats["profit_favour"] - stats["profit_against"]
        st.markdown(
            plain(
                f"Inside a bar the order of prices is not known. Profit with every ambiguous bar resolved against the trader (the result above): {against}; "
            )
            + plain(f"in his favour: {favour}. The data leave {number(doubt, 2, run.currency)} open.")
        )


def _executions(run: StoredRun, trades: pd.DataFrame) -> None:
    st.subheader("Executions", anchor=False)
    if not run.bar_set_id:
        st.caption("The bars of an imported run are not here, so its executions cannot be drawn.")
        return
    bars = stores.pipeline().load_bars(run.bar_set_id)
    words, zoom = st.columns([4, 1], vertical_alignment="bottom")
    number_shown = zoom.number_input("zoom to trade no.", 0, len(trades), 0, 1, key=f"zoom.{run.id}", help="0 shows all")
    shown = trades
    if number_shown:
        trade = trades.iloc[int(number_shown) - 1]
        bars = bars.iloc[max(0, int(trade["entry_bar"]) - AROUND_BARS) : int(trade["exit_bar"]) + AROUND_BARS]
        shown = trades[(trades["exit_time"] >= bars.index[0]) & (trades["entry_time"] <= bars.index[-1])]
    exits = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in run.stats.get("exits", {}).items())
    refused = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in run.stats.get("refused", {}).items())
    words.caption(f"Exits: {exits or 'none'}. Refused orders: {refused or 'none'}. Dotted lines join entry and exit, green won, red lost.")
    draw(figures.executions_chart(bars, shown, run.symbol), f"executions.{run.id}")


def _trades(run: StoredRun, trades: pd.DataFrame) -> None:
    st.subheader("Trades", anchor=False)
    digits = instrument(run.symbol).digits if run.symbol in known_symbols() else 5
    price = st.column_config.NumberColumn(format=f"%.{digits}f")
    money = st.column_config.NumberColumn(format="%+.2f")
    frame = pd.DataFrame(
        {
            "no.": range(1, len(trades) + 1),
            "side": trades["side"].map({1: "long", -1: "short"}),
            "lots": trades["lots"],
            "entry bar (UTC)": trades["entry_time"].dt.strftime("%Y-%m-%d %H:%M"),
            "entry": trades["entry_price"],
            "exit bar (UTC)": trades["exit_time"].dt.strftime("%Y-%m-%d %H:%M"),
            "exit": trades["exit_price"],
            "by": trades["exit"].str.replace("_", " "),
            f"net profit ({run.currency})": trades["net_profit"],
            f"commission ({run.currency})": trades["cost"],
            "stop": trades["stop"],
            "target": trades["target"],
            "ambiguous": trades["ambiguous"].map({True: "yes", False: ""}),
            "reason": trades["reason_text"],
        }
    )
    columns = dict.fromkeys(("entry", "exit", "stop", "target"), price) | {f"net profit ({run.currency})": money}
    table(frame, f"trades.{run.id}", hide=("ambiguous", "reason"), **columns)


def _conversion(facts: dict[str, Any]) -> str:
    """Where the rates into the account's currency came from, and how old they were at most."""
    words = str(facts.get("by", "not recorded"))
    through = f" ({', '.join(facts['through'])})" if facts.get("through") else ""
    rows = facts.get("reference_rows")
    old = f"; {rows:,} bars by a fix that was up to {facts['reference_oldest_hours']:.0f} h old" if rows else ""
    return f"{words}{through}{old}"


def _rules(run: StoredRun) -> dict[str, str]:
    spec = run.spec
    return {
        "run": f"{run.id}, {utc(run.created_ms)} UTC, code {run.code_version[:16]}",
        "bars": f"{run.bar_set_id or '–'}, {utc(run.start_ms, False)} to {utc(run.end_ms, False)} UTC",
        "model and dataset": f"{run.model_id or '–'}, {run.dataset_id or '–'}",
        "fill policy": run.policy,
        "parameters": pairs(run.params),
        "profit converted by": _conversion(run.stats.get("conversion") or {}),
        **{name: pairs(spec[name]) for name in ("account", "costs", "sizing", "limits") if isinstance(spec.get(name), dict)},
    }
