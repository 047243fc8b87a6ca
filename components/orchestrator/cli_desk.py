"""Commands about trading and the processes that serve it: deploy, halt, resume, signals, desk, api, dashboard, terminal, twin."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from components.orchestrator.cli_backtest import model_of
from components.orchestrator.cli_data import newest_bar_set
from components.orchestrator.cli_output import AsJson, Limit, answer_one, answer_rows, chosen, home, say, settings

DEPLOYMENT_COLUMNS = ("id", "account_id", "symbol", "timeframe", "strategy", "state", "model_id", "created_ms")
SIGNAL_COLUMNS = ("id", "account_id", "state", "action", "symbol", "side", "entry", "lots", "strategy", "created_ms")

deploy = typer.Typer(help="Deployments: a strategy that trades an account.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this topic."""
    app.add_typer(deploy, name="deploy")
    for command in (halt, resume, signals, twin, desk, api, dashboard, terminal):
        app.command(command.__name__)(command)


@deploy.command("create")
def create_deployment(
    account: Annotated[str, typer.Option(help="Account id.")],
    strategy: Annotated[str, typer.Option(help="Name of the strategy.")],
    symbol: Annotated[str, typer.Option(help="Instrument.")] = "EURUSD",
    timeframe: Annotated[str, typer.Option(help="Timeframe of the bars on which it decides.")] = "H1",
    param: Annotated[list[str] | None, typer.Option("--param", "-p", help="A parameter, as name=value; repeat it.")] = None,
    bar_set: Annotated[str | None, typer.Option("--bars", help="Bars of its history; the newest where none are named.")] = None,
    model: Annotated[str | None, typer.Option(help="Model of a model strategy; the newest where none is named.")] = None,
    field: Annotated[list[str] | None, typer.Option("--set", help="Another field of the deployment, as name=value; repeat it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a deployment; it trades once it is armed."""
    from components.desk import DeploymentSpec, DeskStore
    from components.orchestrator.kinds import parsed

    document = {"account_id": account, "symbol": symbol, "timeframe": timeframe, "strategy": strategy, "params": chosen(param, "param")}
    document |= {"bar_set_id": bar_set or newest_bar_set(), "model_id": model_of(strategy, model), **chosen(field, "set")}
    answer_one(DeskStore.open(home()).create(parsed(DeploymentSpec, document)), as_json)


@deploy.command("arm")
def arm_deployment(id: str, as_json: AsJson = False) -> None:
    """Let a deployment trade."""
    _set_armed(id, True, as_json)


@deploy.command("disarm")
def disarm_deployment(id: str, as_json: AsJson = False) -> None:
    """Stop a deployment from opening anything."""
    _set_armed(id, False, as_json)


def _set_armed(id: str, armed: bool, as_json: bool) -> None:
    from components.desk import DeskStore

    store = DeskStore.open(home())
    (store.arm if armed else store.disarm)(id)
    answer_one(store.deployment(id), as_json)


@deploy.command("list")
def list_deployments(as_json: AsJson = False) -> None:
    """Every deployment."""
    from components.desk import DeskStore

    answer_rows(DeskStore.open(home()).deployments(), as_json, DEPLOYMENT_COLUMNS, "No deployments yet.")


def halt(reason: Annotated[str, typer.Argument(help="Why; it is kept.")] = "a person halted trading", as_json: AsJson = False) -> None:
    """Halt trading: no signal is issued until `sequence resume`."""
    from components.desk import DeskStore

    store = DeskStore.open(home())
    store.halt(reason)
    answer_one({"trading_state": store.trading_state(), "reason": reason}, as_json)


def resume(as_json: AsJson = False) -> None:
    """Let trading go on after a halt."""
    from components.desk import DeskStore

    store = DeskStore.open(home())
    store.resume()
    answer_one({"trading_state": store.trading_state()}, as_json)


def signals(
    id: Annotated[str | None, typer.Argument(help="One signal with its journal.")] = None,
    account: Annotated[str | None, typer.Option(help="Only one account.")] = None,
    state: Annotated[str | None, typer.Option(help="Only one state, such as pending, filled or unknown.")] = None,
    limit: Limit = 30,
    as_json: AsJson = False,
) -> None:
    """The newest signals, or one with everything that happened to it."""
    from components.bridge import Mailbox

    mailbox = Mailbox.open(home())
    if id is not None:
        answer_one({"signal": mailbox.signal(id), "journal": mailbox.journal(id)}, as_json)
    else:
        answer_rows(mailbox.signals(account, state, limit), as_json, SIGNAL_COLUMNS, "No signals yet.")


def twin(id: Annotated[str, typer.Argument(help="Deployment id.")], as_json: AsJson = False) -> None:
    """Replay a deployment's ticks through the step and compare with what was done; exit code 1 where they differ."""
    from components.desk import twin_replay

    report = twin_replay(home(), id)
    answer_one(report, as_json)
    if not report.is_equal:
        say("sequence: the replay and the journal differ")
        raise typer.Exit(1)


def desk() -> None:
    """Run the live sessions until stopped."""
    import signal
    import threading

    from components.base import configure_log
    from components.desk import run_desk

    configure_log(settings().log_level)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    run_desk(settings(), stop)


def api() -> None:
    """Serve the HTTP API until stopped."""
    from api_server import serve
    from components.base import configure_log

    configure_log(settings().log_level)
    serve(settings())


def dashboard() -> None:
    """Serve the dashboard until stopped."""
    import os

    from components.base import ROOT

    chosen_settings = settings()
    options = {
        "server.address": chosen_settings.host,
        "server.port": chosen_settings.dashboard_port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", *flags])


def terminal(
    demo: Annotated[bool, typer.Option("--demo", help="Every demo account, at a speed that can be watched.")] = False,
    account: Annotated[list[str] | None, typer.Option(help="Account id; repeat it for several.")] = None,
    speed: Annotated[float, typer.Option(min=0.0, help="Bars per second; 0 goes as fast as the platform answers.")] = 1.0,
    lockstep: Annotated[bool, typer.Option("--lockstep", help="Wait after each tick until the desk has worked it in.")] = False,
    as_json: AsJson = False,
) -> None:
    """Replay the last part of the real bars as ticks over HTTP, as the simulated MetaTrader terminal."""
    from components.terminal import run_terminal

    report: Any = run_terminal(settings(), accounts=account, speed=speed, lockstep=lockstep, demo=demo)
    answer_one(report, as_json)
