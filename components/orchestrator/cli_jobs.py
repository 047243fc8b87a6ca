"""Commands about work: jobs, the worker, training, models."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from components.orchestrator.cli_output import (
    AsJson,
    Limit,
    answer_one,
    answer_rows,
    bar,
    chosen,
    home,
    plain,
    print_json,
    progress_of,
    say,
    settings,
)

if TYPE_CHECKING:
    from components.jobs import Job

PANEL = "Jobs and models"
JOB_COLUMNS = ("id", "kind", "state", "progress", "message", "attempts", "submitted_ms", "finished_ms")
HARDWARE_EVERY_S = 5.0
Queue = Annotated[bool, typer.Option("--queue", help="Put it into the queue for a worker and answer at once, instead of doing it here.")]

jobs = typer.Typer(help="The queue of jobs.", no_args_is_help=True)
models = typer.Typer(help="Trained models.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this topic."""
    app.add_typer(jobs, name="jobs", rich_help_panel=PANEL)
    app.add_typer(models, name="models", rich_help_panel=PANEL)
    app.command("worker", rich_help_panel=PANEL)(worker)
    app.command("train", rich_help_panel=PANEL)(train)


def do_job(kind: str, payload: dict[str, Any], queue: bool, as_json: bool) -> None:
    """Do a job here with a progress bar, or put it into the queue; prints the result or the job."""
    from components.orchestrator.kinds import job_functions, parsed

    if queue:
        from components.jobs import JobStore

        answer_one(JobStore.open(home()).submit(kind, parsed(kind, payload)), as_json)
        return
    with bar(kind) as draw:
        result = job_functions(home())[kind](payload, progress_of(draw))
    answer_one(result, as_json)


@jobs.command("submit")
def submit_job(
    kind: Annotated[str, typer.Argument(help="collect, dataset, train or backtest.")],
    payload: Annotated[str, typer.Option(help="The job's payload, a JSON object.")] = "{}",
    priority: Annotated[int, typer.Option(help="The highest goes first.")] = 0,
    max_attempts: Annotated[int, typer.Option(min=1, help="How often it may begin.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Put a job into the queue."""
    import orjson

    from components.fx import BadInput
    from components.jobs import JobStore
    from components.orchestrator.kinds import parsed

    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise BadInput("payload", f"is not JSON: {error}") from None
    answer_one(JobStore.open(home()).submit(kind, parsed(kind, document), priority=priority, max_attempts=max_attempts), as_json)


@jobs.command("list")
def list_jobs(
    state: Annotated[str | None, typer.Option(help="queued, running, done, failed or cancelled.")] = None, limit: Limit = 30, as_json: AsJson = False
) -> None:
    """The newest jobs."""
    from components.fx import BadInput
    from components.jobs import JOB_STATES, JobStore

    known = next((name for name in JOB_STATES if name == state), None)
    if state is not None and known is None:
        raise BadInput("state", f"{state!r} is unknown; use one of {', '.join(JOB_STATES)}")
    found = JobStore.open(home()).list(known, limit)
    rows = found if as_json else [{**plain(job), "message": _said(job)} for job in found]
    answer_rows(rows, as_json, JOB_COLUMNS, "No jobs yet.")


def _said(job: Job) -> str:
    """A job's message, or the first line of the error that ended it."""
    return job.error.splitlines()[0] if job.state == "failed" and job.error else job.message


@jobs.command("show")
def show_job(id: str, as_json: AsJson = False) -> None:
    """One job, whole."""
    from components.jobs import JobStore

    answer_one(JobStore.open(home()).get(id), as_json)


@jobs.command("cancel")
def cancel_job(id: str, as_json: AsJson = False) -> None:
    """Cancel a job: a waiting one at once, a running one at its next report."""
    from components.jobs import JobStore

    answer_one(JobStore.open(home()).cancel(id), as_json)


@jobs.command("watch")
def watch_job(id: str, as_json: AsJson = False) -> None:
    """Follow a job until it is over; exit code 1 where it failed or was cancelled."""
    from components.jobs import JobStore

    store = JobStore.open(home())
    job = store.get(id)
    with bar(job.kind) as draw:
        while not job.is_over:
            draw(job.progress, job.message)
            time.sleep(0.2)
            job = store.get(id)
        draw(job.progress, job.message)
    if as_json:
        print_json(job)
    elif job.state == "done":
        answer_one(job.result or {}, False)
    if job.state != "done":
        say(f"sequence: job {id} {job.state}{': ' + job.error.splitlines()[0] if job.error else ''}")
        raise typer.Exit(1)


def worker(name: Annotated[str, typer.Option(help="Name of this worker, for people.")] = "worker") -> None:
    """Do jobs from the queue until stopped."""
    import signal
    import threading

    from components.base import configure_log
    from components.jobs import JobStore, run_worker
    from components.orchestrator.health import start_beat
    from components.orchestrator.kinds import job_functions

    configure_log(settings().log_level)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    store = JobStore.open(home())
    start_beat(home(), name, stop)
    threading.Thread(target=_record_hardware, args=(store, stop), daemon=True).start()
    run_worker(store, job_functions(home()), name=name, stop=stop)


def _record_hardware(store: Any, stop: Any) -> None:
    from components.base import get_log
    from components.fx import PlatformError
    from components.jobs import read_hardware

    while not stop.wait(HARDWARE_EVERY_S):
        try:
            store.record_hardware(read_hardware(home()))
        except PlatformError as error:
            get_log("orchestrator").warning("hardware reading not stored", error=error.message)


def train(
    dataset: Annotated[str | None, typer.Option(help="Dataset id; the newest where none is named.")] = None,
    param: Annotated[list[str] | None, typer.Option("--set", help="A field of the training, as name=value; repeat it.")] = None,
    queue: Queue = False,
    as_json: AsJson = False,
) -> None:
    """Train a model on a dataset and register it."""
    from components.orchestrator.cli_dataset import newest_dataset

    do_job("train", {"dataset_id": dataset or newest_dataset(), **chosen(param, "set")}, queue, as_json)


@models.command("list")
def list_models(as_json: AsJson = False) -> None:
    """Every registered model."""
    from components.models import ModelStore

    answer_rows(ModelStore.open(home()).list(), as_json, ("id", "name", "version", "family", "dataset_id", "stage", "created_ms"), "No models yet.")


@models.command("show")
def show_model(model: Annotated[str, typer.Argument(help="Id, or name:version.")], as_json: AsJson = False) -> None:
    """One model with its metrics."""
    from components.models import ModelStore

    answer_one(ModelStore.open(home()).get(model), as_json)


def read_text(path: str) -> str:
    """The text of a file, or of standard input where `path` is ``-``.

    Raises
    ------
    BadInput
        If the file cannot be read.
    """
    from pathlib import Path

    from components.fx import BadInput

    if path == "-":
        return sys.stdin.read()
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput("file", f"{path} cannot be read: {error}") from None
