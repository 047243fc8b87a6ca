"""Commands about sweeps: one strategy with many parameters over the same bars."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from components.orchestrator.cli_backtest import PANEL, model_of
from components.orchestrator.cli_data import newest_bar_set
from components.orchestrator.cli_jobs import Queue, do_job
from components.orchestrator.cli_output import AsJson, Limit, answer_one, answer_rows, chosen, home, plain

SWEEP_COLUMNS = ("id", "title", "state", "method", "points", "failed", "impossible", "best", "shape", "created_ms")
TOP_COLUMNS = ("sharpe", "total_return", "max_drawdown", "profit_factor", "calmar", "trades", "win_rate", "error")

sweep = typer.Typer(help="Sweeps of a strategy's parameters.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this topic."""
    app.add_typer(sweep, name="sweep", rich_help_panel=PANEL)


@sweep.command("run")
def run_sweep(
    strategy: Annotated[str, typer.Argument(help="Name of the strategy; see: sequence strategies list.")],
    ranges: Annotated[
        list[str],
        typer.Option(
            "--range",
            "-r",
            help="A parameter that varies: fast=5:50:5 (in steps of 5), fast=5:50/4 (4 values), fast=5,10,20, fast (its bounds); repeat it.",
        ),
    ],
    param: Annotated[list[str] | None, typer.Option("--param", "-p", help="A parameter that stays fixed, as name=value; repeat it.")] = None,
    method: Annotated[str | None, typer.Option(help="grid (default), random or optuna.")] = None,
    points: Annotated[int | None, typer.Option(help="Points of random and optuna (100); the most a grid may have (20,000).")] = None,
    by: Annotated[str | None, typer.Option(help="What the best point is best by: sharpe (default), total_return, calmar, max_drawdown …")] = None,
    bar_set: Annotated[str | None, typer.Option("--bars", help="Bar set id; the newest where none is named.")] = None,
    part: Annotated[float | None, typer.Option(help="Share of the bars that is used; what is left stays out of sample.")] = None,
    workers: Annotated[int | None, typer.Option(help="Points that run at once; 0 for one on each core.")] = None,
    model: Annotated[str | None, typer.Option(help="Model of a model strategy: id or name:version; the newest where none is named.")] = None,
    field: Annotated[list[str] | None, typer.Option("--set", help="Another field of the sweep, as name=value; repeat it.")] = None,
    queue: Queue = False,
    as_json: AsJson = False,
) -> None:
    """Run a strategy with many parameters over the same bars; every point is noted in the trial ledger."""
    given = {"method": method, "points": points, "criterion": by, "part": part, "workers": workers, "model_id": model_of(strategy, model)}
    payload: dict[str, Any] = {
        "strategy": strategy,
        "params": chosen(param, "param"),
        "ranges": ranges_of(ranges),
        "bar_set_id": bar_set or newest_bar_set(),
        **{name: value for name, value in given.items() if value is not None},
        **chosen(field, "set"),
    }
    do_job("sweep", payload, queue, as_json)


@sweep.command("list")
def list_sweeps(limit: Limit = 30, as_json: AsJson = False) -> None:
    """The newest sweeps."""
    from components.backtest import BacktestStore

    found = BacktestStore.open(home()).studies.studies("sweep", limit=limit)
    rows = found if as_json else [{**plain(study), **_in_short(study.result)} for study in found]
    answer_rows(rows, as_json, SWEEP_COLUMNS, "No sweeps yet; begin with: sequence sweep run")


@sweep.command("show")
def show_sweep(
    id: str,
    top: Annotated[int, typer.Option("--top", min=1, max=20_000, help="How many of the best points to show.")] = 20,
    as_json: AsJson = False,
) -> None:
    """One sweep with its best points."""
    from components.backtest import BacktestStore, best_points

    store = BacktestStore.open(home()).studies
    study = store.study(id)
    ranked = best_points(store, study, top)
    if as_json:
        answer_one({**plain(study), "top": ranked}, True)
        return
    answer_one({**plain(study.result), "state": study.state, "title": study.title, "ranges": " × ".join(study.result.get("ranges", {}))}, False)
    shown = [{name: value for name, value in row.items() if name == "number" or name.startswith("param.") or name in TOP_COLUMNS} for row in ranked]
    print()
    answer_rows(shown, False, empty="No point is ranked.")


def ranges_of(texts: list[str]) -> dict[str, Any]:
    """What varies, from ``name=low:high:step``, ``name=low:high/count``, ``name=low:high``, ``name=a,b,c``, ``name=JSON`` or ``name`` alone.

    Raises
    ------
    BadInput
        Naming the range that cannot be read, or the parameter that is named twice.
    """
    from components.fx import BadInput

    ranges: dict[str, Any] = {}
    for text in texts:
        name, _, given = text.partition("=")
        name = name.strip()
        if not name or name in ranges:
            raise BadInput("range", f"{text!r} names no parameter" if not name else f"{name!r} is named twice")
        ranges[name] = _range_of(text, given.strip())
    return ranges


def _range_of(text: str, given: str) -> Any:
    from components.fx import BadInput

    if not given:
        return None
    if given[0] in "[{":
        return chosen([f"value={given}"], "range")["value"]
    if ":" not in given:
        return list(chosen([f"{place}={part.strip()}" for place, part in enumerate(given.split(","))], "range").values())
    ends, _, count = given.partition("/")
    try:
        low, high, step = (float(part) if part else None for part in (*ends.split(":"), *[""] * (2 - ends.count(":"))))
        given_parts = {"low": low, "high": high, "step": step, "count": int(count) if count else None}
        return {name: value for name, value in given_parts.items() if value is not None}
    except ValueError:
        raise BadInput("range", f"{text!r} cannot be read; write name=low:high:step, name=low:high/count or name=a,b,c") from None


def _in_short(result: dict[str, Any]) -> dict[str, Any]:
    """The parts of a sweep's result that fit a line."""
    words, best = "–", result.get("best")
    if best is not None:
        where = ", ".join(f"{name}={best['params'].get(name)}" for name in result["ranges"])
        words = f"{result['criterion']} {best['metrics'][result['criterion']]:.4g} at {where}"
    parts = {name: result.get(name) for name in ("method", "points", "failed", "impossible")}
    return {**parts, "best": words, "shape": (result.get("neighbourhood") or {}).get("shape")}
