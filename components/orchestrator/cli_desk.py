"""Commands about trading and the processes that serve it: deploy, halt, reduce, resume, signals, desk, api, dashboard, terminal, twin."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from components.orchestrator.cli_backtest import model_of
from components.orchestrator.cli_data import newest_bar_set
from components.orchestrator.cli_output import AsJson, Limit, answer_one, answer_rows, bar, chosen, home, plain, print_json, say, settings

PANEL = "Trading"
DEPLOYMENT_COLUMNS = ("id", "account_id", "symbol", "timeframe", "strategy", "params", "state", "model_id", "note", "created_ms")
JOURNAL_COLUMNS = ("at_ms", "from_state", "to_state", "by", "note", "report_id")
SIGNAL_COLUMNS = ("id", "account_id", "state", "action", "symbol", "side", "entry", "lots", "strategy", "created_ms", "message")

deploy = typer.Typer(help="Deployments: a strategy that trades an account.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this topic."""
    app.add_typer(deploy, name="deploy", rich_help_panel=PANEL)
    for command in (halt, reduce, resume, signals, twin, feeds, desk, api, dashboard, terminal):
        app.command(command.__name__, rich_help_panel=PANEL)(command)


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
    from components.fx import parse_payload

    document: dict[str, Any] = {
        "account_id": account,
        "symbol": symbol,
        "timeframe": timeframe,
        "strategy": strategy,
        "params": chosen(param, "param"),
    }
    document |= {"bar_set_id": bar_set or newest_bar_set(), "model_id": model_of(strategy, model), **chosen(field, "set")}
    _answer_deployment(DeskStore.open(home()).create(parse_payload(DeploymentSpec, document)), as_json)


@deploy.command("arm")
def arm_deployment(id: str, as_json: AsJson = False) -> None:
    """Let a deployment trade."""
    _set_armed(id, True, as_json)


@deploy.command("disarm")
def disarm_deployment(id: str, as_json: AsJson = False) -> None:
    """Stop a deployment from opening anything."""
    _set_armed(id, False, as_json)


@deploy.command("archive")
def archive_deployment(id: str, as_json: AsJson = False) -> None:
    """Put a disarmed deployment away: it is listed no more, its journals stay."""
    from components.desk import DeskStore

    store = DeskStore.open(home())
    store.archive(id)
    _answer_deployment(store.deployment(id), as_json)


def _set_armed(id: str, armed: bool, as_json: bool) -> None:
    from components.desk import DeskStore

    store = DeskStore.open(home())
    (store.arm if armed else store.disarm)(id)
    _answer_deployment(store.deployment(id), as_json)


def _answer_deployment(found: Any, as_json: bool) -> None:
    answer_one(found if as_json else _facts(found), as_json)


def _facts(found: Any) -> dict[str, Any]:
    """A deployment with its spec's fields beside its own."""
    own = plain(found)
    return {"id": own.pop("id"), **own.pop("spec"), **own}


@deploy.command("list")
def list_deployments(as_json: AsJson = False) -> None:
    """Every deployment."""
    from components.desk import DeskStore

    found = DeskStore.open(home()).deployments()
    answer_rows([_facts(one) for one in found], as_json, DEPLOYMENT_COLUMNS, "No deployments yet.")


def halt(reason: Annotated[str, typer.Argument(help="Why; it is kept.")] = "a person halted trading", as_json: AsJson = False) -> None:
    """Halt trading: no signal is issued until `sequence resume`."""
    from components.desk import DeskStore

    store = DeskStore.open(home())
    store.halt(reason)
    answer_one({"trading_state": store.trading_state(), "reason": reason}, as_json)


def reduce(reason: Annotated[str, typer.Argument(help="Why; it is kept.")] = "a person reduced trading", as_json: AsJson = False) -> None:
    """Open nothing new; closes, cancellations and stop moves go on, until `sequence resume`."""
    from components.desk import DeskStore

    store = DeskStore.open(home())
    store.reduce(reason)
    answer_one({"trading_state": store.trading_state(), "reason": reason}, as_json)


def resume(reason: Annotated[str, typer.Argument(help="Why; it is kept.")] = "a person resumed trading", as_json: AsJson = False) -> None:
    """Let trading go on after a halt."""
    from components.desk import DeskStore

    store = DeskStore.open(home())
    store.resume(reason)
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
    from components.fx import BadInput, SignalState

    known = next((one for one in SignalState if one.value == state), None)
    if state is not None and known is None:
        raise BadInput("state", f"{state!r} is unknown; use one of {', '.join(one.value for one in SignalState)}")
    mailbox = Mailbox.open(home())
    if id is not None:
        found, journal = mailbox.signal(id), mailbox.journal(id)
        if as_json:
            answer_one({"signal": found, "journal": journal}, True)
            return
        facts = plain(found)
        answer_one({**facts.pop("signal"), **facts}, False)
        print()
        answer_rows(journal, False, JOURNAL_COLUMNS)
    else:
        rows = [{**plain(one.signal), "state": one.state.value, "message": one.message} for one in mailbox.signals(account, known, limit)]
        answer_rows(rows, as_json, SIGNAL_COLUMNS, "No signals yet.")


def twin(id: Annotated[str, typer.Argument(help="Deployment id.")], as_json: AsJson = False) -> None:
    """Replay a deployment's ticks through the step and compare with what was done; exit code 1 where they differ."""
    from components.desk import twin_replay

    report = twin_replay(home(), id)
    answer_one({**plain(report), "is_comparable": report.is_comparable, "is_equal": report.is_equal}, as_json)
    if not report.is_equal:
        say("sequence: " + ("the replay and the journal differ" if report.is_comparable else "there is nothing to compare yet"))
        raise typer.Exit(1)


@deploy.command("seen")
def seen(id: Annotated[str, typer.Argument(help="Deployment id.")], as_json: AsJson = False) -> None:
    """The bars as they were seen when they were decided on, beside what the feed and the terminal say now; exit code 1 where one changed."""
    from components.desk import compare_seen

    report = compare_seen(home(), id)
    answer_one(report, as_json)
    if not report.is_equal:
        raise typer.Exit(1)


def feeds(as_json: AsJson = False) -> None:
    """Ticks and bars that terminals sent: how many, how many late, twice, or revised."""
    from components.bridge import BarStore, TickStore

    ticks, posted = TickStore.open(home()), BarStore.open(home())
    try:
        rows = [plain(one) for one in ticks.intake(is_checked=True)]
        bars = [plain(one) for one in posted.counts()]
    finally:
        ticks.close()
        posted.close()
    if as_json:
        print_json({"ticks": rows, "bars": bars})
        return
    answer_rows(rows, False, (), "No terminal has sent ticks yet.")
    if bars:
        answer_rows(bars, False)


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
    account: Annotated[list[str] | None, typer.Option(help="Account id; repeat it for several.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="The demo accounts; a new round of them where their replay is over.")] = False,
    speed: Annotated[
        float | None, typer.Option(min=0.01, max=1000.0, help="Bars per second; as fast as the desk decides where none is given.")
    ] = None,
    free: Annotated[bool, typer.Option("--free", help="Do not wait for the desk at every bar; needs --speed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Be the MetaTrader terminal: replay the bars after a deployment's history as ticks over HTTP, execute and report."""
    import signal
    import threading

    from components.fx import BadInput, Unavailable
    from components.orchestrator.demo import DEMO_BARS_PER_S, Pace, demo_accounts, run_terminals

    if demo == bool(account):
        raise BadInput("account", "name accounts, or give --demo for the demo accounts")
    if free and speed is None:
        raise BadInput("speed", "a replay that does not wait for the desk needs a speed")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    accounts = demo_accounts(settings()) if demo else list(account or ())
    shown: dict[str, tuple[int, int]] = {}
    with bar("replay") as draw:

        def show(name: str, done: int, bars: int) -> None:
            shown[name] = (done, bars)
            fraction = sum(done / max(bars, 1) for done, bars in shown.values()) / len(accounts)
            draw(fraction, f"{min(done for done, _ in shown.values()):,} of {bars:,} bars")

        replayed = run_terminals(settings(), accounts, Pace(speed or (DEMO_BARS_PER_S if demo else None), not free), stop, show)
    answer_rows([{**plain(one), "is_over": one.is_over} for one in replayed], as_json)
    if failed := [one for one in replayed if one.error]:
        raise Unavailable(f"account {failed[0].account_id}: {failed[0].error}")
