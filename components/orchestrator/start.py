"""The whole platform as one command: check, migrate, start everything, load the first data, keep it running, end it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from components.base import ROOT, Settings
from components.fx import Unavailable
from components.orchestrator.first_data import has_first_data
from components.orchestrator.health import answers_http, beats, listens
from components.orchestrator.leftovers import check_home, check_ports, end_marked, only_supervisor
from components.orchestrator.process import ProcessSpec
from components.orchestrator.supervise import Supervisor, child_environment

SEQUENCE = (sys.executable, "-m", "components")
LOADING = "first-data"
COMPILED = "compiled"
SERVING = ("api", "dashboard", "worker", "desk")
Say = Callable[[str], None]


def platform_processes(settings: Settings) -> tuple[ProcessSpec, ...]:
    """The processes that always run, in the order in which they start."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
    shown = f"http://{f'[{host}]' if ':' in host else host}"
    return (
        ProcessSpec("api", (*SEQUENCE, "api"), answers_http(host, settings.api_port, "/api/v1/health"), f"{shown}:{settings.api_port}"),
        ProcessSpec("worker", (*SEQUENCE, "worker"), beats(settings.home, "worker")),
        ProcessSpec("desk", (*SEQUENCE, "desk"), listens("127.0.0.1", settings.desk_port), f"127.0.0.1:{settings.desk_port}"),
        ProcessSpec(
            "dashboard",
            (*SEQUENCE, "dashboard"),
            answers_http(host, settings.dashboard_port, "/_stcore/health"),
            f"{shown}:{settings.dashboard_port}",
        ),
    )


def migrate_stores(home: Path) -> list[str]:
    """Open every room's store once, which makes and migrates it; the names of the files.

    Raises
    ------
    Unavailable
        If a store cannot be opened.
    Corrupt
        If a store was written by a newer version.
    """
    from components.backtest import BacktestStore
    from components.bridge import Mailbox, TickStore
    from components.desk import DeskStore
    from components.jobs import JobStore
    from components.ledger import TrialLedger
    from components.models import ModelStore
    from components.orchestrator.store import PlatformStore
    from components.pipeline import PipelineStore

    for store in (PlatformStore, JobStore, TrialLedger, PipelineStore, ModelStore, Mailbox, TickStore, BacktestStore, DeskStore):
        store.open(home).close()
    return sorted(path.name for path in home.glob("*.db"))


def run_platform(settings: Settings, *, demo: bool, say: Say, stop: threading.Event | None = None) -> None:
    """Run the platform in this process and its children until it is told to stop by SIGINT, SIGTERM or SIGHUP, or by `stop`.

    Parameters
    ----------
    settings : Settings
        Home and ports.
    demo : bool
        Whether the simulated terminal trades even though this is not the first run.
    say : callable
        Told what happens, one sentence at a time.
    stop : threading.Event, optional
        Ends the platform when it is set.

    Raises
    ------
    Refused
        If the platform already runs on this home.
    Unavailable
        If the home cannot be written, a port is in use or a store cannot be migrated.
    """
    home = settings.home
    check_home(home)
    stop = stop or threading.Event()
    with only_supervisor(home):
        for words in end_marked(home):
            say(f"Ended what an earlier run had left: process {words}.")
        check_ports(settings)
        _migrate(home, say)
        _compile(home, say)
        _end_on_signals(stop)
        loading = not has_first_data(home)
        with Supervisor(home, lambda what: None if _is_usual(what) else say(f"  {what}")) as supervisor:
            for spec in platform_processes(settings):
                supervisor.add(spec)
            _Script(supervisor, settings, loading, demo or loading, say).play(stop)
            say("Stopping …")
        say("Stopped; nothing is left running.")


class _Script:
    """What is said and started as the platform comes up."""

    def __init__(self, supervisor: Supervisor, settings: Settings, loading: bool, demo: bool, say: Say) -> None:
        self.supervisor = supervisor
        self.settings = settings
        self.loading = loading
        self.demo = demo
        self.say = say
        self.steps = iter((self._serving, self._load, self._loaded, self._trade, self._traded))
        self.step: Callable[[], bool] | None = next(self.steps)

    def play(self, stop: threading.Event) -> None:
        """Run until `stop` is set; each step is tried every round until it is done."""
        self.say("Starting the API, the worker, the desk and the dashboard …")
        self.supervisor.run(stop, self._each_round)

    def _each_round(self) -> None:
        while self.step is not None and self.step():
            self.step = next(self.steps, None)

    def _serving(self) -> bool:
        if not self.supervisor.all_healthy(*SERVING):
            return False
        addresses = {spec.name: spec.address for spec in platform_processes(self.settings)}
        self.say("")
        self.say(f"  Dashboard   {addresses['dashboard']}")
        self.say(f"  API         {addresses['api']}/api/v1/docs")
        self.say(f"  Logs        {self.settings.home / 'logs'}")
        self.say("")
        return True

    def _load(self) -> bool:
        if self.loading:
            self.say("First run: loading real EURUSD prices, training a model and comparing the strategies.")
            self.supervisor.add(ProcessSpec(LOADING, (*SEQUENCE, "first-data"), restart="if_killed", on_console=True))
        return True

    def _loaded(self) -> bool:
        if self.loading:
            if self.supervisor.state_of(LOADING) == "failed":
                self.demo = False
                self.say("The first data could not be loaded; the platform runs without it. Try again with: .venv/bin/sequence first-data")
                return True
            return self.supervisor.state_of(LOADING) == "finished"
        return True

    def _trade(self) -> bool:
        if self.demo:
            self.supervisor.add(ProcessSpec("terminal", (*SEQUENCE, "terminal", "--demo"), restart="until_done"))
            self.say("The simulated terminal replays real prices and trades on the demo accounts.")
        else:
            self.say("No terminal is connected; start again with --demo for the simulated one.")
        self.say("Next: open the dashboard, or ask in another shell: .venv/bin/sequence status. Ctrl-C stops everything.")
        return True

    def _traded(self) -> bool:
        if self.demo and self.supervisor.state_of("terminal") == "finished":
            self.say("The replay is over; start with --demo for a new round.")
            return True
        return not self.demo


def _migrate(home: Path, say: Say) -> None:
    """In a process of its own, so that the supervisor stays small."""
    say(f"Preparing the databases in {home} …")
    done = subprocess.run((*SEQUENCE, "migrate"), env=child_environment(home), cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"the databases cannot be prepared: {done.stderr.strip() or done.stdout.strip()}")


def is_compiled() -> bool:
    """Whether what trades is compiled for this version of the source on this machine."""
    return (Path(os.environ.get("NUMBA_CACHE_DIR", "")) / COMPILED).exists()


def compile_once() -> None:
    """Compile what trades and the usual features, and note that it was done, so that no process does it while ticks flow.

    The other features are compiled when they are first used, a second or so each: all of them would take minutes at installation.
    """
    from components.execution import compile_all

    other = subprocess.Popen((sys.executable, "-c", "from components.features import compile_usual; compile_usual()"), cwd=ROOT)
    compile_all()
    if other.wait():
        raise Unavailable(f"the features could not be compiled (exit code {other.returncode}); run: sequence compile")
    if "NUMBA_CACHE_DIR" in os.environ:
        (Path(os.environ["NUMBA_CACHE_DIR"]) / COMPILED).touch()


def _compile(home: Path, say: Say) -> None:
    if is_compiled():
        return
    say("Compiling what trades; this is done once for each version and takes a minute or two …")
    done = subprocess.run((*SEQUENCE, "compile"), env=child_environment(home), cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"the trading code cannot be compiled: {done.stderr.strip() or done.stdout.strip()}")


def _is_usual(what: str) -> bool:
    return what.endswith(("is healthy", "exit code 0")) or " started as process " in what


def _end_on_signals(stop: threading.Event) -> None:
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup asks to go on when the terminal window closes
        signals.append(signal.SIGHUP)
    for number in signals:
        signal.signal(number, lambda *_: stop.set())
