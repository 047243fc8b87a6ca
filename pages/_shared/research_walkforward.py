"""Research Lab, second view: walk-forwards. Parameters are chosen on one part of the history and tried on the next."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from components.backtest import Finding, RefitSpec, Study, WalkForwardSpec, parse_walkforward
from components.fx import PlatformError
from components.strategy import Strategy
from pages._shared import backtest_figures, queue, research_figures, stores
from pages._shared.backtest_form import account_and_costs, fixed_params, market
from pages._shared.backtest_honesty import list_findings
from pages._shared.backtest_words import params_words, written
from pages._shared.forms import model_inputs
from pages._shared.parts import draw, missing, plain, stays_open, table, told_errors
from pages._shared.research_ranges import ranges, varying
from pages._shared.research_sweep import choose_study
from pages._shared.text import number, percent, plural, utc

ROLLING = ("windows", "train_bars", "test_bars")
COMBINATORIAL = ("groups", "test_groups")
CHOICES = ("criterion", "min_trades", "purge_bars", "embargo_bars", "cores")
WORTH = 0.5
MODES = {
    "rolling": "rolling: training parts of one length",
    "anchored": "anchored: training parts that begin with the first bar",
    "combinatorial": "combinatorial: purged cross-validation with many paths",
}


def show() -> None:
    """The form, and the chosen walk-forward."""
    studies = stores.backtests().studies.studies("walkforward", limit=100)
    with st.expander("Run a walk-forward", expanded=stays_open("walkforward", not studies), icon=":material/directions_walk:"):
        st.fragment(_form)()
    queue.say_submitted("walkforward")
    st.header("Walk-forwards", anchor=False)
    if not studies:
        missing(
            "No walk-forward has been run yet.",
            "Press “Run walk-forward” above: parameters are chosen on one part of the history and tried on the next, which they have not seen.",
        )
        return
    chosen = choose_study(studies, "walkforward")
    if chosen.result.get("windows"):
        _result(chosen)
    elif chosen.state == "running":
        _so_far(chosen)


def _form() -> None:
    with told_errors():
        chosen = market("walk")
        if chosen is None:
            return
        strategy, bar_set_id, model_id = chosen
        refit = _refit(strategy)
        names = varying(strategy, "walk")
        asked: dict[str, Any] = {"ranges": ranges(strategy, "walk", names)}
        asked["params"] = fixed_params(strategy, "walk", names)
        st.markdown("**The windows**")
        mode = st.segmented_control(
            "mode", list(MODES), default="rolling", format_func=MODES.__getitem__, required=True, key="walk.mode", label_visibility="collapsed"
        )
        asked["mode"] = mode
        start = {} if mode == "combinatorial" else {"windows": 5}
        wanted = model_inputs(
            WalkForwardSpec, f"walk.{mode}", only=COMBINATORIAL if mode == "combinatorial" else ROLLING, start=start, everything=True
        )
        wanted |= model_inputs(WalkForwardSpec, "walk.spec", only=CHOICES, everything=True, columns=5)
        asked |= {name: value for name, value in wanted.items() if value is not None}
        asked |= account_and_costs("walk", bar_set_id)
        asked |= {"model_id": None, "refit": refit} if refit else {"model_id": model_id}
        payload = {"strategy": strategy.name, "bar_set_id": bar_set_id, **asked}
        words, press = st.columns([5, 1.6], vertical_alignment="center")
        words.caption(plain(_planned(strategy, payload)))
        waits = strategy.needs_model and model_id is None and not refit
        if press.button("Run walk-forward", key="walk.run", type="primary", icon=":material/play_arrow:", width="stretch", disabled=waits):
            queue.send("walkforward", payload)


def _refit(strategy: Strategy) -> dict[str, Any] | None:
    """Whether the model is trained anew for every window, and by which dataset's recipe."""
    if not strategy.needs_model:
        return None
    if not st.toggle(
        "Train the model anew for every window", key="walk.refit", help="on that window's training part alone; else one model is used as it is"
    ):
        return None
    datasets = {one.id: one for one in stores.pipeline().datasets()}
    left, right = st.columns([2, 3])
    recipe = left.selectbox("by the recipe of the dataset", list(datasets), None, key="walk.refit.dataset", placeholder="the default recipe")
    with right:
        wanted = model_inputs(RefitSpec, "walk.refit", only=("family", "folds"), columns=2)
    return {**wanted, "dataset_id": recipe}


def _planned(strategy: Strategy, payload: dict[str, Any]) -> str:
    """How many windows and backtests this makes, or what is wrong with it."""
    try:
        spec = parse_walkforward(payload)
        points = len(spec.points(strategy))
        bars = stores.pipeline().bar_set(spec.bar_set_id).rows
        windows = spec.plan(bars)
    except PlatformError as error:
        return error.message
    lengths = f"the first trained on {windows[0].train_bars:,} bars and tried on {windows[0].test_bars:,}"
    return f"{plural(len(windows), 'window')}, {lengths}; {plural(points, 'point')} in each: {points * len(windows):,} backtests, each a try in the ledger."


def _so_far(study: Study) -> None:
    points = stores.backtests().studies.points(study.id)
    if points:
        _windows([one.metrics for one in points], study.id, list(study.spec.get("ranges") or {}))
    else:
        missing("No window is done yet.", "The page says above how far it is.")


def _result(study: Study) -> None:
    found = study.result
    out, inside = found.get("out_of_sample") or {}, found.get("in_sample") or {}
    _say(found, out)
    shown = st.columns(6)
    shown[0].metric(
        "efficiency",
        number(found.get("efficiency")),
        border=True,
        help="return per year where the choices were tried, over where they were made; 0.5 is asked for (Pardo)",
    )
    shown[1].metric(
        "Sharpe out of sample (a year)", number(out.get("sharpe")), border=True, help=f"chosen with {number(inside.get('sharpe'))} on average"
    )
    shown[2].metric("return out of sample", percent(out.get("total_return"), sign=True), border=True)
    shown[3].metric("largest drawdown", percent(out.get("max_drawdown")), border=True, help="out of sample")
    shown[4].metric("windows that earned", percent(found.get("profitable_windows"), 0), border=True)
    shown[5].metric(
        "best window's share", percent(found.get("concentration"), 0), border=True, help="of all windows' profits; near 100 % one window made it all"
    )
    a_year = found.get("annual_return") or {}
    st.caption(
        f"Return a year {percent(a_year.get('in_sample'), sign=True)} where parameters were chosen, {percent(a_year.get('out_of_sample'), sign=True)} where they were "
        f"tried. {found.get('trials', 0):,} tries in the ledger; {plural(found.get('purge_bars', 0), 'bar')} purged, {found.get('embargo_bars', 0):,} under embargo."
    )
    findings = [Finding(**one) for one in found.get("findings", ())]
    if findings:
        st.subheader("What speaks against it", anchor=False)
        list_findings(findings)
    _equity(study)
    windows = found["windows"]
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**Where it was chosen, and where it was tried**")
        draw(research_figures.windows_chart(windows), f"walk.windows.{study.id}")
    with right:
        _drift(found, study.id)
    _windows(windows, study.id, list(study.result.get("drift") or {}))


def _say(found: dict[str, Any], out: dict[str, Any]) -> None:
    efficiency, earned = found.get("efficiency"), out.get("total_return", 0.0)
    if earned < 0:
        st.error(
            f"**It loses money out of sample: {percent(earned, sign=True)}.** What was chosen did not go on earning.", icon=":material/trending_down:"
        )
    elif efficiency is None:
        st.warning("**The choices earned nothing even where they were made,** so an efficiency would say nothing.", icon=":material/warning:")
    elif efficiency >= WORTH:
        st.success(
            f"**It goes on earning out of sample: efficiency {number(efficiency)}.** {WORTH:g} and more is what Pardo asks for; one history is no proof.",
            icon=":material/check:",
        )
    else:
        st.warning(
            f"**It keeps little of what it earned where it was chosen: efficiency {number(efficiency)}, under {WORTH:g}.**", icon=":material/warning:"
        )
    if found.get("windows_without_choice"):
        st.caption(f"{plural(found['windows_without_choice'], 'window')} traded nothing: no point made enough trades in the training part.")


def _equity(study: Study) -> None:
    found = study.result
    currency = str((study.spec.get("account") or {}).get("currency", "account currency"))
    try:
        equity = stores.backtests().studies.frame(study.id, "equity")
    except PlatformError:
        st.caption("The stitched equity is gone; run the walk-forward again.")
        return
    st.subheader("Equity out of sample", anchor=False)
    if found.get("mode") != "combinatorial":
        borders = [int(one["test"][0][0]) for one in found["windows"]]
        draw(research_figures.stitched_chart(equity, borders, currency), f"walk.equity.{study.id}")
        st.caption("The test parts put one behind the other, money carried on; a dashed line where the next window's parameters take over.")
        return
    paths = found.get("paths") or {}
    left, right = st.columns([3, 2], gap="medium")
    with left:
        draw(research_figures.paths_chart(equity, currency), f"walk.paths.{study.id}")
        st.caption(f"{plural(paths.get('paths', 0), 'path')} through the tested stretches; green ends above its start.")
    with right:
        table_of = stores.backtests().studies.frame(study.id, "paths")
        draw(
            backtest_figures.draws_chart(
                table_of["sharpe"].to_numpy(), "Sharpe ratio of a path (a year)", paths.get("sharpe_median"), "middle", "paths"
            ),
            f"walk.sharpes.{study.id}",
        )
        deviation = paths.get("sharpe_deviation")
        st.caption(
            f"Sharpe from {number(paths.get('sharpe_least'))} to {number(paths.get('sharpe_most'))}, mean {number(paths.get('sharpe_mean'))}"
            + (f" ± {number(deviation)}" if deviation is not None else "")
            + f"; {percent(paths.get('share_above_zero'), 0)} of the paths are above 0. The numbers on top are those of the middle path."
        )


def _drift(found: dict[str, Any], study_id: str) -> None:
    st.markdown("**How the chosen parameters move**")
    drift = found.get("drift") or {}
    if not drift:
        st.caption("No parameter varied.")
        return
    draw(research_figures.drift_chart(drift, found.get("mode") != "combinatorial"), f"walk.drift.{study_id}")
    lines = []
    for name, told in drift.items():
        words = [] if told.get("change") is None else [f"changes by {percent(told['change'], 0)} of its range from window to window"]
        words += [] if told.get("at_border") is None else [f"at the edge of its range in {percent(told['at_border'], 0)} of the windows"]
        chosen = sorted({written(value) for value in told["values"] if value is not None}, key=lambda one: (len(one), one))
        words.append(f"chosen {plain(' or '.join(chosen)) or 'never'}")
        lines.append(f"{plain(name)}: {', '.join(words)}")
    st.caption(". ".join(lines) + ". Parameters that jump about, or sit at the edge, were not found but drawn.")


def _windows(windows: list[dict[str, Any]], study_id: str, names: list[str]) -> None:
    st.markdown("**The windows**")
    rows = []
    for one in windows:
        inside, outside = one["in_sample"] or {}, one["out_of_sample"]
        rows.append(
            {
                "window": one["window"] + 1,
                "chosen": params_words(one["params"], names or None) if one["params"] else "none",
                "tried (UTC)": _stretch(one["test"]),
                "Sharpe chosen (a year)": inside.get("sharpe"),
                "Sharpe tried (a year)": outside.get("sharpe"),
                "return chosen": percent(inside.get("total_return"), sign=True),
                "return tried": percent(outside.get("total_return"), sign=True),
                "drawdown tried": percent(outside.get("max_drawdown")),
                "trades tried": outside.get("trades"),
                "points ranked": f"{one['ranked']:,} of {one['tried']:,}",
                "trained (UTC)": _stretch(one["train"]),
            }
        )
    digits = st.column_config.NumberColumn(format="%.2f")
    table(pd.DataFrame(rows), f"walk.table.{study_id}", 12, **{"Sharpe chosen (a year)": digits, "Sharpe tried (a year)": digits})


def _stretch(parts: list[list[int]]) -> str:
    return ", ".join(f"{utc(first, False)[:10]} to {utc(last, False)[:10]}" for first, last in parts)
