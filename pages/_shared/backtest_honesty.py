"""Is it real? One run's findings, its parts by crisis and regime, and what its examination drew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from components.backtest import Finding, Slice, StoredRun, Study
from components.fx import PlatformError
from pages._shared import backtest_figures, backtest_verdicts, queue, stores
from pages._shared.backtest_words import start_balance
from pages._shared.parts import draw, missing, plain, stated, table
from pages._shared.text import number, percent, plural, utc

BADGES = {"fatal": ":red-badge[fatal]", "doubt": ":orange-badge[doubt]", "note": ":gray-badge[note]"}
GROUPS = {
    "crisis": "Crises that lie in this run",
    "volatility": "Volatility of the 20 days before",
    "trend": "Trend or range of the 20 days before",
    "session": "Session",
    "weekday": "Weekday",
    "hour": "Hour (UTC)",
    "month": "Month of the year",
}
METHODS = {
    "resample": "trades drawn anew",
    "reshuffle": "trades in another order",
    "skip": "trades left out",
    "costs": "dearer costs",
}
DRAWN = {
    "resample": "As many trades drawn with replacement: what else could have come of an edge like this.",
    "reshuffle": "The same trades in another order: the return stays, the drawdown does not.",
    "skip": "Each trade left out with the chance that was asked for: what missed entries would have cost.",
    "costs": "Trades drawn at the costs of the dearest ones.",
}


def show_findings(findings: list[Finding]) -> None:
    """What the diagnosis found, the worst first."""
    st.subheader("Diagnosis", anchor=False)
    if not findings:
        st.success("The checks found nothing to complain about.", icon=":material/check:")
        return
    list_findings(findings)


def list_findings(findings: list[Finding]) -> None:
    """Findings in boxes, the notes among them folded away."""
    counts = {level: sum(one.severity == level for one in findings) for level in BADGES}
    st.caption(", ".join(plural(count, level) for level, count in counts.items() if count) + "; what to do stands under each.")
    for one in findings:
        if one.severity != "note":
            with st.container(border=True):
                _finding(one)
    notes = [one for one in findings if one.severity == "note"]
    if notes:
        with st.expander(f"{plural(len(notes), 'note')}: {plain(', '.join(one.title.lower() for one in notes))}", icon=":material/notes:"):
            for one in notes:
                _finding(one)


def _finding(one: Finding) -> None:
    words, more = st.columns([9, 1.3], vertical_alignment="center")
    words.markdown(f"{BADGES[one.severity]} **{plain(one.title)}.** {plain(one.finding)}  \n:gray[What to do:] {plain(one.fix)}")
    with more.popover("evidence", width="stretch"):
        stated({name.replace("_", " "): _value(value) for name, value in one.evidence.items()})


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.6g}".replace("-", "−")
    if isinstance(value, dict):
        return ", ".join(f"{name} {_value(one)}" for name, one in value.items()) or "–"
    if isinstance(value, list | tuple):
        return ", ".join(_value(one) for one in value[:20]) or "–"
    return str(value)


def show_slices(run: StoredRun, slices: list[Slice]) -> None:
    """Where the profit comes from: by crisis, regime, session and calendar."""
    st.subheader("Crises, regimes and times", anchor=False)
    groups = [name for name in GROUPS if any(one.group == name for one in slices)]
    if not groups:
        missing("This run covers no bar.", "There is nothing to cut.")
        return
    start = "volatility" if "volatility" in groups else groups[0]
    chosen = st.segmented_control(
        "slices", groups, default=start, format_func=lambda one: GROUPS[one], required=True, key=f"slices.{run.id}", label_visibility="collapsed"
    )
    some = [one for one in slices if one.group == chosen]
    words = [f"{one.net_profit:+,.2f} {run.currency}<br>{one.trades:,} trades on {one.days:,} days<br>Sharpe {one.sharpe:.2f}" for one in some]
    left, right = st.columns([3, 2], gap="medium")
    with left:
        draw(
            backtest_figures.slices_chart([one.title for one in some], [one.net_profit for one in some], run.currency, words),
            f"slices.chart.{run.id}",
        )
    with right:
        profit = f"profit ({run.currency})"
        rows = [{"part": one.title, profit: one.net_profit, "trades": one.trades, "Sharpe (a year)": one.sharpe, "days": one.days} for one in some]
        money = {profit: st.column_config.NumberColumn(format="%+.2f"), "Sharpe (a year)": _two_digits()}
        table(rows, f"slices.table.{run.id}", 7, **money)
    st.caption(
        "Regimes are known before the day begins. A Sharpe ratio of a few days says little; profit is the change of equity within the part."
        if chosen != "crisis"
        else "Stretches of the history that are known for their moves; a strategy that only earns there has seen few of them."
    )


def show_examination(run: StoredRun, trades: pd.DataFrame) -> None:
    """The newest examination of the run, and the button that queues one."""
    words, press = st.columns([5, 1.4], vertical_alignment="center")
    words.subheader("Monte Carlo and luck", anchor=False)
    if press.button("Examine this run", key=f"examine.{run.id}", icon=":material/biotech:", width="stretch", disabled=not run.trades):
        queue.send("honesty", {"run_id": run.id})
    queue.say_submitted("honesty")
    studies = [one for one in stores.backtests().studies.studies("honesty", run_id=run.id) if one.state == "done"]
    if not studies:
        missing(
            "This run has not been examined yet.",
            "Press “Examine this run”: its trades are drawn a thousand times, its bars resampled, its entries held against random ones; it takes "
            "some minutes on a long run, shows how far it is, and can be cancelled.",
        )
        return
    study = studies[0]
    _luck(study.result)
    _monte_carlo(run, study, trades)
    _other_tests(run, study)
    for part, why in study.result.get("skipped", {}).items():
        st.caption(f"Not done, {part}: {plain(why)}")
    spec = study.spec
    st.caption(f"Examined {utc(study.finished_ms)} UTC with {spec.get('draws', 0):,} draws, seed {spec.get('seed', 0)}; kept as study {study.id}.")


def _luck(found: Mapping[str, Any]) -> None:
    sharpe, dsr, tries = found.get("sharpe") or {}, found.get("dsr") or {}, found.get("trials") or {}
    shown = st.columns(6)
    error = f" ± {number(sharpe['error'])}" if sharpe.get("error") is not None else ""
    shown[0].metric("Sharpe (a year)", f"{number(sharpe.get('annual'))}{error}", border=True, help="with its standard error")
    shown[1].metric("probabilistic Sharpe", number(sharpe.get("psr"), 3), border=True, help="chance that the true Sharpe ratio is above 0, 0 to 1")
    shown[2].metric(
        "deflated Sharpe", number(dsr.get("effective"), 3), border=True, help="the same above what the best of all tries shows by luck, 0 to 1"
    )
    shown[3].metric(
        "Sharpe by luck (a year)", number(dsr.get("mark_effective")), border=True, help="what the best of so many tries without any edge shows"
    )
    shown[4].metric("N tried", number(tries.get("raw"), 0), border=True, help=f"they amount to {number(tries.get('effective'), 1)} different bets")
    needed = sharpe.get("min_track_days")
    shown[5].metric(
        "track record needed",
        number(needed, 0, "days") if needed is not None else "no length",
        border=True,
        help=f"it has {sharpe.get('days', 0):,} days",
    )


def _monte_carlo(run: StoredRun, study: Study, trades: pd.DataFrame) -> None:
    drawn = study.result.get("montecarlo")
    if not drawn:
        return
    try:
        fans, draws = (stores.backtests().studies.frame(study.id, name) for name in ("montecarlo", "montecarlo_draws"))
    except PlatformError:
        st.caption("The drawn histories are gone; examine the run again.")
        return
    methods = [name for name in METHODS if name in drawn]
    method = st.segmented_control(
        "method", methods, default=methods[0], format_func=lambda one: METHODS[one], required=True, key=f"mc.{run.id}", label_visibility="collapsed"
    )
    facts = drawn[method]
    left, right = st.columns([3, 2], gap="medium")
    with left:
        ran = None if method == "costs" else _balance_path(run, trades)
        draw(backtest_figures.fan_chart(fans[fans["method"] == method], ran), f"fan.{run.id}")
    with right:
        rows = [
            {"percentile": name[1:], "return (%)": 100 * facts["return"][name], "largest drawdown (%)": 100 * facts["drawdown"][name]}
            for name in sorted(facts["return"], key=lambda one: int(one[1:]))
        ]
        columns = {"return (%)": st.column_config.NumberColumn(format="%+.2f"), "largest drawdown (%)": _two_digits()}
        table(rows, f"mc.table.{run.id}", 8, **columns)
        st.caption(
            f"Chance of a loss {percent(facts['loss_probability'], 1)}, of losing {percent(facts['ruin'], 0)} from a peak "
            f"{percent(facts['ruin_probability'], 1)}, of a drawdown above {percent(facts['deep'], 0)} {percent(facts['deep_probability'], 1)}."
        )
        some = draws[draws["method"] == method]
        draw(
            backtest_figures.draws_chart(100 * some["drawdown"].to_numpy(), "largest drawdown (%)", 100 * run.max_drawdown, height=190),
            f"mcd.{run.id}",
        )
    st.caption(f"{DRAWN[str(method)]} {facts['draws']:,} histories; each trade's return compounds on the balance before it.")


def _balance_path(run: StoredRun, trades: pd.DataFrame) -> np.ndarray[Any, Any]:
    return 1.0 + np.cumsum([0.0, *trades["net_profit"].to_numpy(dtype=np.float64)]) / start_balance(run)


def _other_tests(run: StoredRun, study: Study) -> None:
    found = study.result
    entries, bars, pbo, spa = (found.get(name) for name in ("entries", "bars", "pbo", "spa"))
    left, right = st.columns(2, gap="medium")
    if bars:
        with left:
            st.markdown("**The same strategy on resampled bars**")
            frame = _frame(study, "bars")
            if frame is not None and "sharpe" in frame:
                draw(backtest_figures.draws_chart(frame["sharpe"].to_numpy(), "Sharpe ratio (a year)", run.sharpe), f"mcb.{run.id}")
            st.caption(
                f"{bars['draws']:,} markets put together from blocks of about {bars['block_days']:g} days: {percent(bars['loss_probability'], 0)} lose, "
                f"{percent(bars['as_good'], 0)} do as well as the real one."
            )
    if entries:
        with right:
            st.markdown("**Its entries against random ones**")
            frame = _frame(study, "entries")
            if frame is not None:
                means = 100 * frame["mean"].to_numpy()
                draw(backtest_figures.draws_chart(means, "mean move of an entry (%)", 100 * entries["mean"]), f"mce.{run.id}")
            st.caption(f"Random entries of the same sides and times held as long do as well with a chance of {percent(entries['p_value'], 1)}.")
    lines = []
    if pbo:
        lines.append(
            f"Overfitting of its sweep: **{percent(pbo['probability'], 1)}** of {pbo['splits']:,} splits choose a point that is no better than the middling one "
            f"in the other half ({pbo['strategies']:,} points, {pbo['days']:,} days)."
        )
    if spa:
        lines.append(
            f"The best of its sweep is luck with a chance of **{percent(spa['consistent'], 1)}** (Hansen's test over {spa['strategies']:,} points)."
        )
    for line in lines:
        st.markdown(line)


def _frame(study: Study, name: str) -> pd.DataFrame | None:
    try:
        return stores.backtests().studies.frame(study.id, name)
    except PlatformError:
        return None


def _two_digits() -> Any:
    return st.column_config.NumberColumn(format="%.2f")


def say_verdict(run: StoredRun) -> None:
    """The verdict on a run in one line, with all its reasons."""
    judged = backtest_verdicts.verdict_of(run)
    colour = backtest_verdicts.COLOURS[judged.word]
    show = {"green": st.success, "orange": st.warning, "red": st.error}[colour]
    first = judged.line.split(": ", 1)[-1]
    rest = [one for one in judged.reasons if one != judged.reasons[0]] if judged.word != "believable" else []
    main = judged.reasons[0] if judged.word != "believable" and judged.reasons else first
    more = "".join(f"\n- {plain(one)}" for one in rest)
    show(f"**{judged.word.capitalize()}:** {plain(main)}." + (f"\n{more}" if more else ""), icon=backtest_verdicts.ICONS[judged.word])
