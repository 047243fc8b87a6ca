"""The command line `sequence`: everything that the dashboard can do.

Answers go to standard output, sentences and progress to standard error. Exit codes: 0 done, 1 an error nobody foresaw or a job that failed,
2 wrong input, 3 not found, 4 refused by a rule, 5 not available now, 6 stored state contradicts itself.
"""

from __future__ import annotations

import sys

import typer

from components.orchestrator import (
    cli_audit,
    cli_backtest,
    cli_data,
    cli_dataset,
    cli_desk,
    cli_features,
    cli_honesty,
    cli_jobs,
    cli_mt5,
    cli_platform,
    cli_quality,
    cli_sweep,
    cli_walkforward,
)

app = typer.Typer(
    name="sequence",
    help="Sequence FX: from market data to live MetaTrader 5 trading, knowing at every step whether to believe it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for topic in (
    cli_platform,
    cli_data,
    cli_quality,
    cli_features,
    cli_dataset,
    cli_jobs,
    cli_backtest,
    cli_sweep,
    cli_walkforward,
    cli_honesty,
    cli_audit,
    cli_mt5,
    cli_desk,
):
    topic.add_to(app)


def main() -> int:
    """Run one command; the exit code."""
    try:
        app(prog_name="sequence")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:  # the process's edge: a sentence for what is foreseen, the traceback for what is not
        return _explain(error)
    return 0


def _explain(error: Exception) -> int:
    from components.fx import PlatformError

    if isinstance(error, PlatformError):
        sys.stderr.write(f"sequence: {error.message}\n")
        return error.exit_code
    import traceback

    traceback.print_exception(error)
    return 1
