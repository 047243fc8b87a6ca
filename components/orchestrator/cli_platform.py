"""Commands about the platform itself: up, down, status, migrate, compile, first-data, hardware."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from components.orchestrator.cli_output import AsJson, answer_one, answer_rows, bar, home, plain, print_json, say, settings

PANEL = "The platform"
PROCESS_COLUMNS = ("name", "state", "healthy", "pid", "started_ms", "restarts", "address", "last_exit")


def add_to(app: typer.Typer) -> None:
    """Register the commands of this topic."""
    app.command("up", rich_help_panel=PANEL)(up)
    app.command("down", rich_help_panel=PANEL)(down)
    app.command("status", rich_help_panel=PANEL)(status)
    app.command("migrate", rich_help_panel=PANEL)(migrate)
    app.command("compile", rich_help_panel=PANEL)(compile_trading)
    app.command("first-data", rich_help_panel=PANEL)(first_data)
    app.command("hardware", rich_help_panel=PANEL)(hardware)


def up(demo: Annotated[bool, typer.Option("--demo", help="Let the simulated terminal trade; a first run does so anyway.")] = False) -> None:
    """Start and supervise the whole platform until Ctrl-C."""
    from components.orchestrator.start import run_platform

    run_platform(settings(), demo=demo, say=say)


def down() -> None:
    """Stop the platform that runs on this home, and wait until it is gone."""
    import os
    import signal

    from components.fx import NotFound, Unavailable
    from components.orchestrator.leftovers import supervisor_pid

    pid = supervisor_pid(home())
    if pid is None:
        raise NotFound(f"no platform runs on {home()}")
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 15.0
    while supervisor_pid(home()) == pid:
        if time.monotonic() > deadline:
            raise Unavailable(f"process {pid} was asked to stop 15 s ago and still runs")
        time.sleep(0.1)
    say("Stopped.")


def status(events: Annotated[int, typer.Option(help="How many of the newest events to show.")] = 0, as_json: AsJson = False) -> None:
    """How every process is, whether trading goes on, and how far the first data is."""
    from components.base import now_ms
    from components.orchestrator.leftovers import supervisor_pid
    from components.orchestrator.store import PlatformStore

    store = PlatformStore.open(home())
    pid = supervisor_pid(home())
    trading = _trading()  # first, since loading the desk takes a moment, in which what is known of the processes would grow old
    processes = store.processes()
    if as_json:
        rows = [{**plain(process), "live": process.is_live(now_ms())} for process in processes]
        document = {"home": home(), "supervisor_pid": pid, **trading, "processes": rows, "first_data": store.steps(), "events": store.events(events)}
        print_json(document)
        return
    print(f"The platform {'does not run' if pid is None else f'runs as process {pid}'} on {home()}.")
    print(f"Trading is {trading['trading_state']}{': ' if trading['reason'] else ''}{trading['reason']}.\n")
    if pid is not None:
        answer_rows(processes, False, PROCESS_COLUMNS)
        print()
    answer_rows(store.steps(), False, ("name", "state", "message", "finished_ms"), "No first data yet: sequence up loads it.")
    if events:
        print()
        answer_rows(store.events(events), False)


def _trading() -> dict[str, str]:
    """The trading state with the reason of its last change; ``unknown`` where the desk's store cannot be read."""
    from components.desk import DeskStore
    from components.fx import PlatformError

    try:
        desk = DeskStore.open(home())
        return {"trading_state": desk.trading_state(), "reason": next((change.reason for change in desk.state_history(1)), "")}
    except PlatformError as error:
        return {"trading_state": "unknown", "reason": error.message}


def compile_trading(
    every: Annotated[bool, typer.Option("--all", help="Every feature of the catalogue too; minutes, once for each version.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compile what trades, once for each version; starting the platform does it too."""
    from components.orchestrator.start import compile_once, is_compiled

    began, was_there = time.monotonic(), is_compiled()
    if not was_there:
        compile_once()
    if every:
        from components.features import compile_kernels

        compile_kernels()
    answer_one({"compiled": True, "was_there": was_there, "seconds": round(time.monotonic() - began, 1)}, as_json)


def migrate(as_json: AsJson = False) -> None:
    """Make and migrate every database."""
    from components.orchestrator.leftovers import check_home
    from components.orchestrator.start import migrate_stores

    check_home(home())
    names = migrate_stores(home())
    answer_one({"home": str(home()), "databases": names}, as_json)


def first_data(as_json: AsJson = False) -> None:
    """Load the first data: real prices, dataset, model, comparison, demo deployments. Done once; needs a worker."""
    from components.orchestrator.first_data import FIRST_DATA_STEPS, load_first_data

    done = 0

    def show(step: str, fraction: float, message: str) -> None:
        nonlocal done
        number = FIRST_DATA_STEPS.index(step)
        if fraction >= 1.0 and number >= done:
            done = number + 1
            say(f"  {done:2}/{len(FIRST_DATA_STEPS)} {step:<24} {message}")
        draw((number + fraction) / len(FIRST_DATA_STEPS), f"{step}: {message}" if message else step)

    with bar("First data") as drawn:
        import sys

        draw: Any = drawn if sys.stderr.isatty() else lambda _fraction, _message: None
        result = load_first_data(settings(), show)
    if as_json:
        print_json(result)
    else:
        say("The first data is there.")


def hardware(
    history: Annotated[int, typer.Option(min=0, help="Show this many stored readings instead of a new one.")] = 0, as_json: AsJson = False
) -> None:
    """Processor, memory, disk and graphics cards of this machine."""
    from components.jobs import JobStore, read_hardware

    if history:
        answer_rows(JobStore.open(home()).hardware_history(history), as_json, ("time_ms", "cpu_percent", "memory_used_bytes", "disk_free_bytes"))
    else:
        answer_one(read_hardware(home()), as_json)
