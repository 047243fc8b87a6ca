"""Commands that ask whether a backtest is real: verdict, honesty, leaderboard, slices."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from components.orchestrator.cli_jobs import Queue, do_job
from components.orchestrator.cli_output import AsJson, Limit, answer_one, answer_rows, home

PANEL = "Strategies and backtests"
BOARD_COLUMNS = (
    "run_id", "strategy", "symbol", "timeframe", "trades", "total_return", "sharpe", "dsr", "pbo", "tried", "tried_effective", "audit_passed",
)  # fmt: skip
SLICE_COLUMNS = ("group", "title", "days", "trades", "net_profit", "sharpe")


def add_to(app: typer.Typer) -> None:
    """Register the commands of this topic."""
    for name, command in (("verdict", show_verdict), ("honesty", examine_run), ("leaderboard", show_leaderboard), ("slices", show_slices)):
        app.command(name, rich_help_panel=PANEL)(command)


def show_verdict(run: Annotated[str, typer.Argument(help="Id of a backtest.")], as_json: AsJson = False) -> None:
    """Believable, doubtful or not believable: one line, and the reasons."""
    from components.backtest import verdict

    found = verdict(home(), run)
    if as_json:
        answer_one(found, True)
        return
    print(found.line)
    for reason in found.reasons:
        print(f"  {reason}")


def examine_run(
    run: Annotated[str, typer.Argument(help="Id of a backtest.")],
    draws: Annotated[int, typer.Option(min=100, max=100_000, help="Draws of each bootstrap.")] = 1_000,
    bar_draws: Annotated[int, typer.Option(min=0, max=10_000, help="Resampled markets on which the strategy is run again; 0 for none.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all draws.")] = 0,
    queue: Queue = False,
    as_json: AsJson = False,
) -> None:
    """Examine a backtest: deflated Sharpe ratio, Monte Carlo, random entries, overfitting of its sweep."""
    do_job("honesty", {"run_id": run, "draws": draws, "bar_draws": bar_draws, "seed": seed}, queue, as_json)


def show_leaderboard(limit: Limit = 200, as_json: AsJson = False) -> None:
    """The newest runs by deflated Sharpe ratio, with how often each was tried."""
    from components.backtest import leaderboard

    answer_rows(leaderboard(home(), limit), as_json, BOARD_COLUMNS, "No backtests yet; begin with: sequence backtest run")


def show_slices(run: Annotated[str, typer.Argument(help="Id of a backtest.")], as_json: AsJson = False) -> None:
    """A backtest by crisis, regime, session, weekday, hour and month."""
    from components.backtest import run_slices

    rows: list[Any] = list(run_slices(home(), run))
    answer_rows(rows, as_json, SLICE_COLUMNS, "This run covers no bar.")
