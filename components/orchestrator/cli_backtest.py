"""Commands about strategies and their past: strategies, backtest, compare, ledger."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from components.orchestrator.cli_data import newest_bar_set
from components.orchestrator.cli_jobs import Queue, do_job, read_text
from components.orchestrator.cli_output import AsJson, Limit, answer_one, answer_rows, chosen, home

PANEL = "Strategies and backtests"
RUN_COLUMNS = ("id", "source", "strategy", "symbol", "timeframe", "policy", "total_return", "sharpe", "max_drawdown", "trades", "created_ms")
ROW_COLUMNS = ("run_id", "strategy", "total_return", "sharpe", "max_drawdown", "trades", "delta_return", "delta_sharpe", "delta_drawdown")
TRIAL_COLUMNS = ("id", "family", "strategy", "kind", "state", "dataset_id", "code_version", "metrics", "created_ms")

strategies = typer.Typer(help="The library of strategies.", no_args_is_help=True)
backtest = typer.Typer(help="Backtests.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this topic."""
    app.add_typer(strategies, name="strategies", rich_help_panel=PANEL)
    app.add_typer(backtest, name="backtest", rich_help_panel=PANEL)
    app.command("compare", rich_help_panel=PANEL)(compare_runs)
    app.command("ledger", rich_help_panel=PANEL)(ledger)


@strategies.command("list")
def list_strategies(as_json: AsJson = False) -> None:
    """Every strategy with its parameters and their defaults."""
    from components.strategy import catalogue

    rows = [
        {
            "name": one.name,
            "title": one.title,
            "summary": one.summary,
            "needs_model": one.needs_model,
            "defaults": one.params().model_dump(),
            "schema": one.params.model_json_schema(),
        }
        for one in catalogue()
    ]
    answer_rows(rows, as_json, ("name", "summary", "defaults"))


@backtest.command("run")
def run_backtest(
    strategy: Annotated[str, typer.Argument(help="Name of the strategy; see: sequence strategies list.")],
    param: Annotated[list[str] | None, typer.Option("--param", "-p", help="A parameter, as name=value; repeat it.")] = None,
    bar_set: Annotated[str | None, typer.Option("--bars", help="Bar set id; the newest where none is named.")] = None,
    policy: Annotated[str | None, typer.Option(help="Fill policy: mt5 (default) or reference.")] = None,
    model: Annotated[str | None, typer.Option(help="Model of a model strategy: id or name:version; the newest where none is named.")] = None,
    field: Annotated[list[str] | None, typer.Option("--set", help="Another field of the run, as name=value; repeat it.")] = None,
    queue: Queue = False,
    as_json: AsJson = False,
) -> None:
    """Run one backtest, store it and note it in the trial ledger."""
    payload: dict[str, Any] = {
        "strategy": strategy,
        "params": chosen(param, "param"),
        "bar_set_id": bar_set or newest_bar_set(),
        **chosen(field, "set"),
    }
    if policy is not None:
        payload["policy"] = policy
    model_id = model_of(strategy, model)
    if model_id is not None:
        payload["model_id"] = model_id
    do_job("backtest", payload, queue, as_json)


@backtest.command("portfolio")
def run_portfolio(
    leg: Annotated[
        list[str], typer.Argument(help="Legs, each as STRATEGY@BAR_SET_ID, with parameters as STRATEGY@BAR_SET_ID:name=value,name=value.")
    ],
    field: Annotated[list[str] | None, typer.Option("--set", help="Another field of the run, as name=value; repeat it.")] = None,
    queue: Queue = False,
    as_json: AsJson = False,
) -> None:
    """Run several strategies and symbols on one account: shared equity, shared margin, limits over all of them."""
    legs = [_leg(text) for text in leg]
    do_job("portfolio", {"legs": legs, **chosen(field, "set")}, queue, as_json)


def _leg(text: str) -> dict[str, Any]:
    from components.fx import BadInput

    name, at, rest = text.partition("@")
    bar_set_id, _, pairs = rest.partition(":")
    if not (name and at and bar_set_id):
        raise BadInput("leg", f"{text!r} is not STRATEGY@BAR_SET_ID, such as sma_cross@EURUSD-H1-86bed4ff6814:fast=5")
    leg: dict[str, Any] = {"strategy": name, "bar_set_id": bar_set_id, "params": chosen([pair for pair in pairs.split(",") if pair], "leg")}
    model_id = model_of(name, None)
    return leg if model_id is None else {**leg, "model_id": model_id}


def model_of(strategy: str, model: str | None) -> str | None:
    """Id of the model that a strategy uses: the named one, the newest one for a model strategy, else None."""
    from components.fx import NotFound
    from components.models import ModelStore
    from components.strategy import strategy as strategy_named

    if model is None and not strategy_named(strategy).needs_model:
        return None

    store = ModelStore.open(home())
    if model is not None:
        return str(store.get(model).id)
    known = store.list()
    if not known:
        raise NotFound("no model is trained yet; begin with: sequence train")
    return str(max(known, key=lambda one: one.created_ms).id)


@backtest.command("list")
def list_backtests(limit: Limit = 30, as_json: AsJson = False) -> None:
    """The newest runs."""
    from components.backtest import BacktestStore

    answer_rows(BacktestStore.open(home()).runs(limit), as_json, RUN_COLUMNS, "No backtests yet; begin with: sequence backtest run")


@backtest.command("show")
def show_backtest(
    id: str, trades: Annotated[bool, typer.Option("--trades", help="Show its trades instead of its measures.")] = False, as_json: AsJson = False
) -> None:
    """One run."""
    from components.backtest import BacktestStore

    store = BacktestStore.open(home())
    if trades:
        answer_rows(store.trades(id).to_dict("records"), as_json, empty="This run made no trade.")
    else:
        answer_one(store.run(id), as_json)


@backtest.command("import")
def import_report(file: Annotated[str, typer.Argument(help="A JSON file, or - for standard input.")], as_json: AsJson = False) -> None:
    """Import the result of a backtest that was made elsewhere."""
    import orjson

    from components.backtest import import_backtest
    from components.fx import BadInput

    try:
        document = orjson.loads(read_text(file))
    except orjson.JSONDecodeError as error:
        raise BadInput("file", f"{file} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise BadInput("file", f"{file} does not hold a JSON object")
    answer_one(import_backtest(home(), document), as_json)


def compare_runs(
    ids: Annotated[list[str], typer.Argument(help="Ids of at least two runs.")],
    by: Annotated[str, typer.Option(help="sharpe, return, drawdown, profit_factor, calmar or dsr.")] = "sharpe",
    as_json: AsJson = False,
) -> None:
    """Compare runs: the winner, and what the others lack."""
    from components.backtest import compare

    comparison = compare(home(), ids, by)
    if as_json:
        answer_one(comparison, True)
        return
    answer_rows(comparison.rows, False, ROW_COLUMNS)
    print(f"\nBest by {by}: {comparison.winner_id}")


def ledger(
    family: Annotated[str | None, typer.Option(help="Only one hypothesis family.")] = None, limit: Limit = 30, as_json: AsJson = False
) -> None:
    """Every try that was made, failed and discarded ones too."""
    from components.ledger import TrialLedger

    answer_rows(TrialLedger.open(home()).list(family, limit), as_json, TRIAL_COLUMNS, "No trials yet.")
