"""Commands about walk-forwards: run, list, show."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from components.orchestrator.cli_backtest import PANEL, model_of
from components.orchestrator.cli_data import newest_bar_set
from components.orchestrator.cli_jobs import Queue, do_job
from components.orchestrator.cli_output import AsJson, Limit, answer_one, answer_rows, chosen, home
from components.orchestrator.cli_sweep import ranges_of

STUDY_COLUMNS = ("id", "title", "state", "mode", "windows", "efficiency", "sharpe", "total_return", "created_ms")
WINDOW_COLUMNS = (
    "window", "groups", "test_start", "test_end", "params", "in_sharpe", "out_sharpe", "in_return", "out_return", "in_trades", "out_trades", "balance_end",
)  # fmt: skip

walkforward = typer.Typer(help="Walk-forwards: parameters chosen on one part of the history and tried on the next.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this topic."""
    app.add_typer(walkforward, name="walkforward", rich_help_panel=PANEL)


@walkforward.command("run")
def run_walkforward(
    strategy: Annotated[str, typer.Argument(help="Name of the strategy; see: sequence strategies list.")],
    ranges: Annotated[
        list[str] | None,
        typer.Option("--range", "-r", help="Values to try: fast=5:50:5 (in steps of 5), fast=5:50/4 (4 values), fast=5,10,20, fast; repeat it."),
    ] = None,
    param: Annotated[list[str] | None, typer.Option("--param", "-p", help="A parameter that stays fixed, as name=value; repeat it.")] = None,
    bar_set: Annotated[str | None, typer.Option("--bars", help="Bar set id; the newest where none is named.")] = None,
    mode: Annotated[str, typer.Option(help="rolling, anchored or combinatorial.")] = "rolling",
    train_bars: Annotated[int | None, typer.Option(help="Length of a training part, in bars.")] = None,
    test_bars: Annotated[int | None, typer.Option(help="Length of a test part, in bars.")] = None,
    windows: Annotated[int | None, typer.Option(help="Number of windows.")] = None,
    groups: Annotated[int | None, typer.Option(help="Stretches that combinatorial mode cuts the history into.")] = None,
    test_groups: Annotated[int | None, typer.Option(help="Stretches that each of its splits tests.")] = None,
    by: Annotated[str | None, typer.Option(help="What the best point is best by: sharpe, total_return, calmar, …")] = None,
    model: Annotated[str | None, typer.Option(help="A model that is used as it is: id or name:version.")] = None,
    refit: Annotated[str | None, typer.Option(help="Train a model anew for every window: the dataset whose recipe it is made by.")] = None,
    field: Annotated[list[str] | None, typer.Option("--set", help="Another field of the walk-forward, as name=value; repeat it.")] = None,
    queue: Queue = False,
    as_json: AsJson = False,
) -> None:
    """Walk a strategy forward, keep the study and note every try in the trial ledger."""
    asked: dict[str, Any] = {"train_bars": train_bars, "test_bars": test_bars, "windows": windows, "groups": groups, "test_groups": test_groups}
    asked |= {"criterion": by, "model_id": model_of(strategy, model) if refit is None else model}
    asked |= {"refit": None if refit is None else {"dataset_id": refit}}
    payload: dict[str, Any] = {
        "strategy": strategy,
        "bar_set_id": bar_set or newest_bar_set(),
        "params": chosen(param, "param"),
        "ranges": ranges_of(ranges or []),
        "mode": mode,
        **{name: value for name, value in asked.items() if value is not None},
        **chosen(field, "set"),
    }
    do_job("walkforward", payload, queue, as_json)


@walkforward.command("list")
def list_walkforwards(limit: Limit = 30, as_json: AsJson = False) -> None:
    """The newest walk-forwards."""
    from components.backtest import BacktestStore

    studies = BacktestStore.open(home()).studies.studies("walkforward", limit=limit)
    if as_json:
        answer_rows(studies, True)
        return
    rows = [
        {
            "id": one.id,
            "title": one.title,
            "state": one.state,
            "mode": one.spec.get("mode"),
            "windows": len(one.result.get("windows", ())),
            "efficiency": one.result.get("efficiency"),
            **{name: one.result.get("out_of_sample", {}).get(name) for name in ("sharpe", "total_return")},
            "created_ms": one.created_ms,
        }
        for one in studies
    ]
    answer_rows(rows, False, STUDY_COLUMNS, "No walk-forwards yet; begin with: sequence walkforward run")


@walkforward.command("show")
def show_walkforward(
    id: str,
    windows: Annotated[bool, typer.Option("--windows", help="Show its windows instead of what they come to.")] = False,
    as_json: AsJson = False,
) -> None:
    """One walk-forward."""
    from components.backtest import BacktestStore
    from components.fx import NotFound

    study = BacktestStore.open(home()).studies.study(id)
    if study.kind != "walkforward":
        raise NotFound(f"study {id!r} is no walk-forward but of kind {study.kind}")
    if windows:
        found = study.result.get("windows", [])
        answer_rows(found if as_json else [_line(one, study.spec) for one in found], as_json, WINDOW_COLUMNS, "No window is done yet.")
    elif as_json:
        answer_one(study, True)
    else:
        told = {name: value for name, value in study.result.items() if name != "windows"}
        answer_one({"id": study.id, "title": study.title, "state": study.state, "created_ms": study.created_ms, **told}, False)


def _line(window: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    """A window as a line of a table: of its parameters those that were searched."""
    inside, outside = window["in_sample"] or {}, window["out_of_sample"]
    params = window["params"]
    return {
        "window": window["window"],
        "groups": " ".join(map(str, window["groups"])),
        "test_start_ms": window["test"][0][0],
        "test_end_ms": window["test"][-1][1],
        "params": "none" if params is None else ", ".join(f"{name}={params[name]}" for name in spec.get("ranges", {})),
        **{f"in_{short}": inside.get(name) for short, name in (("sharpe", "sharpe"), ("return", "total_return"), ("trades", "trades"))},
        **{f"out_{short}": outside.get(name) for short, name in (("sharpe", "sharpe"), ("return", "total_return"), ("trades", "trades"))},
        "balance_end": window["balance_end"],
    }
