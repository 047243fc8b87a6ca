"""Routes of backtests under ``/api/v1/backtest``: runs, studies, verdicts, reports of the Strategy Tester. Long work becomes a job.

Each function parses, calls one component and answers; the rooms are imported when they are first asked, so that a restarted API takes ticks at once.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from components.base import get_log
from components.bridge import Bridge, openapi, shapes
from components.fx import BadInput

if TYPE_CHECKING:
    from components.backtest import BacktestStore

LARGEST_REPORT_BYTES = 48 * 1024 * 1024
JOB_KINDS = ("backtest", "portfolio", "sweep", "walkforward", "honesty", "audit", "mt5_compare")
PREFIX = "/api/v1/backtest"


class Anything(BaseModel):
    """A JSON object; its parts are those of the same command with ``--json``."""

    model_config = ConfigDict(extra="allow")


class JobPost(BaseModel):
    """Work to queue: a kind of job, and what it is about."""

    model_config = ConfigDict(extra="forbid")

    kind: Annotated[str, Field(max_length=40, description=f"one of {', '.join(JOB_KINDS)}")]
    payload: dict[str, Any]


class CancelPost(BaseModel):
    """Who stops a job."""

    model_config = ConfigDict(extra="forbid")

    by: Annotated[str, Field(min_length=1, max_length=100)]


class ReportPost(BaseModel):
    """A report of the Strategy Tester, as its file has it, in base64."""

    model_config = ConfigDict(extra="forbid")

    content: Annotated[str, Field(min_length=4, description="the file, base64")]
    name: Annotated[str, Field(max_length=200)] = ""
    symbol: Annotated[str, Field(max_length=40)] = ""


class StudiesQuery(shapes.Query):
    """Which studies to list."""

    kind: Annotated[str, Field(max_length=40)] = ""
    run_id: Annotated[str, Field(max_length=200)] = ""
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100


class RowsQuery(shapes.Query):
    """Which rows of a table to send."""

    first: Annotated[int, Field(ge=0, le=100_000_000)] = 0
    limit: Annotated[int, Field(ge=1, le=20_000)] = 1_000


def routes() -> list[openapi.Route]:
    """The table of these routes."""
    get, post = "GET", "POST"
    rows: list[tuple[str, str, str, Callable[..., Any], dict[str, Any]]] = [
        (
            post,
            "/jobs",
            "Queue a backtest, sweep, walk-forward, honesty study, audit or comparison with a report",
            queue_backtest_job,
            {"body": JobPost},
        ),
        (get, "/jobs/<job_id>", "One job: how far it is, and what came of it", backtest_job, {}),
        (post, "/jobs/<job_id>/cancel", "Stop a job", cancel_backtest_job, {"body": CancelPost}),
        (get, "/runs", "Stored backtests, newest first", backtest_runs, {"query": shapes.RunsQuery}),
        (get, "/runs/<run_id>", "One backtest with its measures", backtest_run, {}),
        (get, "/runs/<run_id>/trades", "Its trades", backtest_trades, {"query": RowsQuery}),
        (get, "/runs/<run_id>/equity", "Its equity", backtest_equity, {"query": RowsQuery}),
        (get, "/runs/<run_id>/verdict", "Whether to believe it, with the reasons", backtest_verdict, {}),
        (get, "/runs/<run_id>/findings", "What the diagnosis found", backtest_findings, {}),
        (get, "/runs/<run_id>/slices", "Its profit in crises and regimes", backtest_slices, {}),
        (get, "/leaderboard", "Runs with Sharpe beside the deflated one and how many were tried", backtest_leaderboard, {"query": shapes.RunsQuery}),
        (post, "/compare", "Compare stored backtests", compare_backtests, {"body": shapes.ComparePost}),
        (get, "/studies", "Sweeps, walk-forwards, audits and comparisons", backtest_studies, {"query": StudiesQuery}),
        (get, "/studies/<study_id>", "One study", backtest_study, {}),
        (get, "/studies/<study_id>/<name>", "A table of a study", backtest_study_table, {"query": RowsQuery}),
        (
            post,
            "/reports",
            "Import a report of the Strategy Tester",
            import_tester_report,
            {"body": ReportPost, "largest_body_bytes": LARGEST_REPORT_BYTES},
        ),
    ]
    return [openapi.Route(method, PREFIX + path, summary, function, answer=Anything, **more) for method, path, summary, function, more in rows]


@contextlib.contextmanager
def _store(bridge: Bridge) -> Iterator[BacktestStore]:
    from components.backtest import BacktestStore

    with contextlib.closing(BacktestStore.open(bridge.home)) as store:
        yield store


@contextlib.contextmanager
def _inside(field: str) -> Iterator[None]:
    """Name the part of the body that holds what is wrong."""
    try:
        yield
    except BadInput as error:
        raise BadInput(f"{field}.{error.field}", error.message.removeprefix(f"{error.field}: ")) from error


def _plain(value: Any) -> Any:
    from components.orchestrator.cli_output import plain

    return plain(value)


def queue_backtest_job(bridge: Bridge, sent: JobPost) -> Any:
    """Queue a job; refused where it could not begin."""
    from components.jobs import JobStore
    from components.orchestrator.kinds import parsed

    if sent.kind not in JOB_KINDS:
        raise BadInput("kind", f"{sent.kind!r} is not queued here; use one of {', '.join(JOB_KINDS)}")
    with _inside("payload"):
        payload = parsed(sent.kind, sent.payload)
    with contextlib.closing(JobStore.open(bridge.home)) as jobs:
        return _plain(jobs.submit(sent.kind, payload))


def backtest_job(bridge: Bridge, _sent: None, job_id: str) -> Any:
    """One job."""
    from components.jobs import JobStore

    with contextlib.closing(JobStore.open(bridge.home)) as jobs:
        return _plain(jobs.get(job_id))


def cancel_backtest_job(bridge: Bridge, sent: CancelPost, job_id: str) -> Any:
    """Ask a job to stop."""
    from components.jobs import JobStore

    with contextlib.closing(JobStore.open(bridge.home)) as jobs:
        stopped = jobs.cancel(job_id)
    get_log("api").info("job_cancelled", job=job_id, by=sent.by)
    return _plain(stopped)


def backtest_runs(bridge: Bridge, sent: shapes.RunsQuery) -> Any:
    """The newest runs."""
    with _store(bridge) as store:
        return {"runs": _plain(store.runs(sent.limit))}


def backtest_run(bridge: Bridge, _sent: None, run_id: str) -> Any:
    """One run."""
    with _store(bridge) as store:
        return _plain(store.run(run_id))


def _rows(frame: Any, sent: RowsQuery) -> Any:
    part = frame.iloc[sent.first : sent.first + sent.limit]
    for name in part.columns:
        if str(part[name].dtype).startswith("datetime64"):
            part = part.assign(**{name: [None if instant is None or instant != instant else instant.isoformat() for instant in part[name]]})
    return {"rows": _plain(part.to_dict("records")), "first": sent.first, "total": len(frame)}


def backtest_trades(bridge: Bridge, sent: RowsQuery, run_id: str) -> Any:
    """Trades of a run."""
    with _store(bridge) as store:
        return _rows(store.trades(run_id), sent)


def backtest_equity(bridge: Bridge, sent: RowsQuery, run_id: str) -> Any:
    """Equity of a run."""
    with _store(bridge) as store:
        return _rows(store.equity(run_id).reset_index(), sent)


def backtest_verdict(bridge: Bridge, _sent: None, run_id: str) -> Any:
    """Whether to believe a run."""
    from components.backtest import verdict

    return _plain(verdict(bridge.home, run_id))


def backtest_findings(bridge: Bridge, _sent: None, run_id: str) -> Any:
    """The diagnosis of a run."""
    from components.backtest import diagnose, evidence_of

    return {"findings": _plain(diagnose(evidence_of(bridge.home, run_id)))}


def backtest_slices(bridge: Bridge, _sent: None, run_id: str) -> Any:
    """Crisis and regime slices of a run."""
    from components.backtest import run_slices

    return {"slices": _plain(run_slices(bridge.home, run_id))}


def backtest_leaderboard(bridge: Bridge, sent: shapes.RunsQuery) -> Any:
    """The deflated leaderboard."""
    from components.backtest import leaderboard

    return {"rows": _plain(leaderboard(bridge.home, sent.limit))}


def compare_backtests(bridge: Bridge, sent: shapes.ComparePost) -> Any:
    """Compare runs."""
    from components.backtest import compare

    return _plain(compare(bridge.home, sent.ids, sent.criterion))


def backtest_studies(bridge: Bridge, sent: StudiesQuery) -> Any:
    """The newest studies."""
    with _store(bridge) as store:
        return {"studies": _plain(store.studies.studies(sent.kind or None, run_id=sent.run_id or None, limit=sent.limit))}


def backtest_study(bridge: Bridge, _sent: None, study_id: str) -> Any:
    """One study, with the names of its tables."""
    with _store(bridge) as store:
        return {**_plain(store.studies.study(study_id)), "tables": list(store.studies.frames(study_id))}


def backtest_study_table(bridge: Bridge, sent: RowsQuery, study_id: str, name: str) -> Any:
    """Rows of a study's table."""
    with _store(bridge) as store:
        return _rows(store.studies.frame(study_id, name), sent)


def import_tester_report(bridge: Bridge, sent: ReportPost) -> Any:
    """Import a report."""
    from components.backtest import import_report

    try:
        content = base64.b64decode(sent.content, validate=True)
    except (binascii.Error, ValueError):
        raise BadInput("content", "is not base64") from None
    with _inside("content"):
        return _plain(import_report(bridge.home, content, name=sent.name or None, symbol=sent.symbol or None))
