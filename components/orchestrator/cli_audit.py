"""Commands about whether a result is real: the look-ahead audit and the diagnosis of a run."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from components.orchestrator.cli_backtest import PANEL, model_of
from components.orchestrator.cli_data import newest_bar_set
from components.orchestrator.cli_jobs import Queue, do_job
from components.orchestrator.cli_output import AsJson, answer_rows, bar, chosen, home, plain, print_json, progress_of, say

LEAK_COLUMNS = ("column", "function", "place", "expression", "kind", "row", "cut")
LAG_COLUMNS = ("lag", "sharpe", "total_return", "trades", "refused")


def add_to(app: typer.Typer) -> None:
    """Register the commands of this topic."""
    app.command("audit", rich_help_panel=PANEL)(audit)
    app.command("diagnose", rich_help_panel=PANEL)(diagnose)


def audit(
    strategy: Annotated[str | None, typer.Argument(help="Name of the strategy; see: sequence strategies list.")] = None,
    bar_set: Annotated[str | None, typer.Option("--bars", help="Bar set id; the newest where none is named.")] = None,
    param: Annotated[list[str] | None, typer.Option("--param", "-p", help="A parameter, as name=value; repeat it.")] = None,
    run: Annotated[str | None, typer.Option("--run", help="Audit what a kept run was asked for, instead of naming a strategy.")] = None,
    model: Annotated[str | None, typer.Option(help="Model of a model strategy: id or name:version; the newest where none is named.")] = None,
    cuts: Annotated[int, typer.Option(min=1, help="Futures that are tried over all bars.")] = 24,
    rows: Annotated[int | None, typer.Option(min=3, help="Audit only the last so many bars.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the drawing and of the futures.")] = 0,
    queue: Queue = False,
    as_json: AsJson = False,
) -> None:
    """Look for look-ahead in a strategy: its decisions about the past may not move when only the future is another. Exit code 1 where they do."""
    from components.backtest import BacktestStore
    from components.fx import BadInput
    from components.orchestrator.kinds import job_functions

    payload: dict[str, Any] = {"cuts": cuts, "seed": seed, **({} if rows is None else {"rows": rows})}
    if run is not None:
        if strategy is not None or param or bar_set is not None or model is not None:
            raise BadInput("run", "a run names its strategy, parameters, bars and model itself; leave them out")
        payload["run_id"] = run
    elif strategy is None:
        raise BadInput("strategy", "name a strategy, or a run with --run")
    else:
        payload |= {"strategy": strategy, "params": chosen(param, "param"), "bar_set_id": bar_set or newest_bar_set()}
        model_id = model_of(strategy, model)
        payload |= {} if model_id is None else {"model_id": model_id}
    if queue:
        do_job("audit", payload, True, as_json)
        return
    with bar("audit") as draw:
        answer = job_functions(home())["audit"](payload, progress_of(draw))
    study = BacktestStore.open(home()).studies.study(answer["study_id"])
    if as_json:
        print_json(study)
    else:
        _show(study.id, study.result)
    if not study.result["passed"]:
        raise typer.Exit(1)


def _show(study_id: str, result: dict[str, Any]) -> None:
    answer_rows(result["leaks"], False, LEAK_COLUMNS, "Nothing looks ahead.")
    print()
    answer_rows(result["lags"], False, LAG_COLUMNS)
    warmup = result["warmup"]
    print(f"\nWarm-up: {warmup['stated']:,} bars stated, {warmup['needed']:,} needed.")
    for finding in result["findings"]:
        print(f"\n{finding['severity']}: {finding['finding']}\n  {finding['fix']}")
    say(f"{result['cuts']:,} futures tried over {result['bars']:,} bars; kept as audit {study_id}.")


def diagnose(run: Annotated[str, typer.Argument(help="Id of a run; see: sequence backtest list.")], as_json: AsJson = False) -> None:
    """What is wrong with a backtest, and what to do about it."""
    from components.backtest import diagnose as findings_of
    from components.backtest import evidence_of

    found = findings_of(evidence_of(home(), run))
    if as_json:
        print_json([plain(one) for one in found])
        return
    for one in found:
        print(f"{one.severity}: {one.title}. {one.finding}\n  {one.fix}\n")
    if not found:
        print("Nothing to complain about.")
