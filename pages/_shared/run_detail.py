"""One backtest in detail: what it earned in words, every execution, equity and drawdown, trades, ambiguity."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from components.backtest import StoredRun
from components.fx import drawdown_curve, instrument, known_symbols
from pages._shared import backtest_figures, backtest_verdicts, figures, queue, stores
from pages._shared.backtest_executions import show_executions
from pages._shared.backtest_exports import show_exports
from pages._shared.backtest_honesty import say_verdict, show_examination, show_findings, show_slices
from pages._shared.backtest_words import start_balance
from pages._shared.parts import draw, missing, plain, stated, table, told_errors
from pages._shared.text import number, pairs, percent, plural, utc


def name_of(run: StoredRun) -> str:
    """A run in one line."""
    mark = "IMPORTED · " if run.source == "imported" else ""
    return f"{mark}{run.name} · {percent(run.total_return, sign=True)} · {run.policy} · {utc(run.created_ms, False)} · {run.id[-6:]}"


def short_name(run: StoredRun) -> str:
    """A run in a few words."""
    return f"{run.name} {percent(run.total_return, sign=True)} · {run.id[-4:]}"


def show_one(runs: list[StoredRun]) -> None:
    """The chosen run; the newest one first."""
    by_id = {run.id: run for run in runs}
    wanted = st.session_state.get("run_choice") or st.query_params.get("run", "")
    if wanted and wanted not in by_id:
        with told_errors():
            by_id[wanted] = stores.backtests().run(wanted)
    ids = list(by_id)
    if st.session_state.get("run") not in by_id:
        st.session_state["run"] = wanted if wanted in by_id else ids[0]
    chosen = str(st.selectbox("run", ids, format_func=lambda id: name_of(by_id[id]), key="run"))
    # The box forgets when another view is shown; this does not.
    st.session_state["run_choice"] = chosen
    show(by_id[chosen])


def open_run(run_id: str) -> None:
    """What a click on a row does: show that run in its own view."""
    st.session_state["run_choice"] = st.session_state["run"] = run_id
    st.session_state["fx_view"] = "one run"


def show(run: StoredRun) -> None:
    """Everything about a run."""
    say_verdict(run)
    _offer_audit(run)
    _earned(run)
    _measures(run)
    trades, equity = stores.backtests().trades(run.id), stores.backtests().equity(run.id)
    if len(trades):
        with told_errors():
            show_executions(run, trades)
    else:
        missing("This run made no trade.", "Widen the parameters, or look at the refused orders under “How it was run”.")
    if len(equity):
        _equity(run, equity)
    with told_errors():
        show_findings(backtest_verdicts.findings_of(run))
    with told_errors():
        show_slices(run, backtest_verdicts.slices_of(run))
    with told_errors():
        show_examination(run, trades)
    if len(trades):
        _trades(run, trades)
    with told_errors():
        show_exports(run)
    with st.expander("How it was run"):
        stated(_rules(run))


def _offer_audit(run: StoredRun) -> None:
    """The button that the verdict asks for, where the strategy is here and was not audited with these parameters on these bars."""
    if run.source != "sequence" or run.bar_set_id is None or backtest_verdicts.verdict_of(run).facts.get("audit_passed") is not None:
        return
    if st.button("Audit it for look-ahead", key=f"audit.{run.id}", icon=":material/policy:"):
        queue.send("audit", {"run_id": run.id})
    queue.say_submitted("audit")


def _earned(run: StoredRun) -> None:
    profit = run.stats.get("net_profit", 0.0)
    amount = plain(f"{number(abs(profit), 2, run.currency)} ({percent(run.total_return, sign=True)})")
    if run.source == "imported":
        st.info(
            "**Imported:** another program ran this; its fills were not checked by the step, its measures were computed here.",
            icon=":material/input:",
        )
    if run.stats.get("ruined"):
        st.markdown(":red[**This strategy lost the whole account.**]")
    elif profit < 0:
        st.markdown(f":red[**This strategy loses money here: {amount} in {plural(run.trades, 'trade')}, after costs.** Do not trade it as it is.]")
    elif run.trades == 0:
        st.markdown(":orange[**This strategy did not trade.**]")
    else:
        st.markdown(f":green[**This strategy earned {amount} in {plural(run.trades, 'trade')}, after costs.**] One history is no proof.")


def _equity(run: StoredRun, equity: pd.DataFrame) -> None:
    st.subheader("Equity and drawdown", anchor=False)
    curve = equity["equity"]
    frame = backtest_figures.thinned_equity(equity.assign(drawdown=drawdown_curve(curve.to_numpy())))
    draw(figures.equity_chart(frame, run.currency), f"equity.{run.id}")
    if len(frame) < len(equity):
        st.caption(f"Of {plural(len(equity), 'bar')} the highest and the lowest value of each part are drawn.")
    st.markdown("**Return by month (%)**")
    draw(backtest_figures.monthly_chart(backtest_figures.monthly_returns(curve, start_balance(run))), f"months.{run.id}")


def _measures(run: StoredRun) -> None:
    stats = run.stats
    first, second, third = st.columns(6), st.columns(6), st.columns(6)
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
    second[1].metric("average trade", number(stats.get("average_profit"), _digits(stats.get("average_profit")), run.currency, sign=True), border=True)
    second[2].metric("best trade", number(stats.get("best_trade"), 2, run.currency, sign=True), border=True)
    second[3].metric("worst trade", number(stats.get("worst_trade"), 2, run.currency, sign=True), border=True)
    second[4].metric("commission", number(stats.get("costs"), 2, run.currency), border=True, help="spread and slippage are in the fill prices")
    second[5].metric("swap", number(stats.get("swap"), 2, run.currency, sign=True), border=True, help="overnight interest; minus was paid")
    facts = backtest_verdicts.verdict_of(run).facts
    third[0].metric(
        "deflated Sharpe", number(facts.get("dsr"), 2), border=True, help="chance that the Sharpe ratio is not luck after all tries, 0 to 1"
    )
    third[1].metric(
        "N tried",
        number(facts.get("tried"), 0),
        border=True,
        help=f"tries of this strategy; they amount to {number(facts.get('tried_effective'), 0)} different bets",
    )
    third[2].metric(
        "Sharpe by luck (a year)", number(facts.get("sharpe_by_luck")), border=True, help="what the best of so many tries without any edge shows"
    )
    third[3].metric(
        "overfitting (PBO)", percent(facts.get("pbo"), 0), border=True, help="of the newest examined sweep of this strategy on these bars"
    )
    third[4].metric("trading days", number(facts.get("days"), 0), border=True)
    third[5].metric("ambiguous bars", number(stats.get("ambiguous_bars"), 0), border=True, help="bars in which two outcomes are possible")
    if "profit_against" in stats:
        against, favour = (number(stats[name], 2, run.currency, sign=True) for name in ("profit_against", "profit_favour"))
        if not stats.get("ambiguous_bars"):
            st.caption(plain(f"No bar was ambiguous: resolved against the trader or in his favour, the profit is {against}."))
            return
        doubt = stats["profit_favour"] - stats["profit_against"]
        st.markdown(
            plain(
                f"Inside a bar the order of prices is not known. Profit with every ambiguous bar resolved against the trader (the result above): {against}; "
            )
            + plain(f"in his favour: {favour}. The data leave {number(doubt, 2, run.currency)} open.")
        )


def _digits(amount: float | None) -> int:
    """Two digits of money, four where two would say nothing."""
    return 4 if amount is not None and 0 < abs(amount) < 0.1 else 2


def _trades(run: StoredRun, trades: pd.DataFrame) -> None:
    st.subheader("Trades", anchor=False)
    digits = instrument(run.symbol).digits if run.symbol in known_symbols() else 5
    price = st.column_config.NumberColumn(format=f"%.{digits}f")
    money, plain_money = st.column_config.NumberColumn(format="%+.2f"), st.column_config.NumberColumn(format="%.2f")
    frame = pd.DataFrame(
        {
            "no.": range(1, len(trades) + 1),
            **{name: trades[name] for name in ("symbol", "strategy") if name in trades and trades[name].nunique() > 1},
            "side": trades["side"].map({1: "long", -1: "short"}),
            "lots": trades["lots"],
            "entry bar (UTC)": trades["entry_time"].dt.strftime("%Y-%m-%d %H:%M"),
            "entry": trades["entry_price"],
            "exit bar (UTC)": trades["exit_time"].dt.strftime("%Y-%m-%d %H:%M"),
            "exit": trades["exit_price"],
            "by": trades["exit"].str.replace("_", " "),
            f"net profit ({run.currency})": trades["net_profit"],
            f"commission ({run.currency})": trades["cost"],
            f"swap ({run.currency})": trades.get("swap", 0.0),
            "stop": trades["stop"],
            "target": trades["target"],
            "ambiguous": trades["ambiguous"].map({True: "yes", False: ""}),
            "reason": trades["reason_text"],
        }
    )
    columns = dict.fromkeys(("entry", "exit", "stop", "target"), price) | {
        f"net profit ({run.currency})": money,
        f"commission ({run.currency})": plain_money,
        f"swap ({run.currency})": money,
    }
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
        **(_legs(run) if run.spec.get("legs") else {"parameters": pairs(run.params)}),
        "profit converted by": _conversion(run.stats.get("conversion") or {}),
        **{name: pairs(spec[name]) for name in ("account", "costs", "sizing", "limits") if isinstance(spec.get(name), dict)},
    }


def _legs(run: StoredRun) -> dict[str, str]:
    """Each leg of a run of several: its strategy, bars and parameters."""
    return {
        f"leg {place}": f"{leg['strategy']} on {leg['bar_set_id']}: {pairs(leg.get('params') or {})}"
        for place, leg in enumerate(run.params.get("legs", ()), 1)
    }
