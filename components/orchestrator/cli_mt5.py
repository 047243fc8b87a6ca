"""Commands between the platform and MetaTrader's Strategy Tester: import, compare, signals; and a run as files for others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from components.orchestrator.cli_backtest import PANEL, backtest
from components.orchestrator.cli_jobs import Queue, do_job
from components.orchestrator.cli_output import AsJson, answer_one, answer_rows, home

mt5 = typer.Typer(help="The Strategy Tester: its reports, and signals for it.", no_args_is_help=True)
Clock = Annotated[
    str | None, typer.Option(help="The broker's clock: us:2 is UTC+2, UTC+3 in American summer; eu:2 by European dates; none:0 is UTC.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")]
RUN_PARTS = ("id", "name", "symbol", "timeframe", "currency", "trades", "total_return", "sharpe", "max_drawdown")
STUDY_PARTS = ("id", "kind", "title", "strategy", "state")


def add_to(app: typer.Typer) -> None:
    """Register the commands of this topic."""
    app.add_typer(mt5, name="mt5", rich_help_panel=PANEL)
    app.command("report", rich_help_panel=PANEL)(write_report)
    backtest.command("export")(export)


@mt5.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A tester's report (HTML, XLSX), an optimisation (XML), a CSV of deals, or a JSON document.")],
    name: Annotated[str | None, typer.Option(help="Name of the run.")] = None,
    symbol: Annotated[str | None, typer.Option(help="The platform's name of the instrument, where the broker's is not recognised.")] = None,
    clock: Clock = None,
    as_json: AsJson = False,
) -> None:
    """Import what the Strategy Tester found; a report that contradicts itself is refused."""
    from components.backtest import StoredRun, clock_named, import_report

    kept = import_report(home(), file, name=name, symbol=symbol, clock=clock_named(clock))
    if as_json:
        answer_one(kept, True)
    elif isinstance(kept, StoredRun):
        answer_one(
            {part: getattr(kept, part) for part in RUN_PARTS} | {part: kept.stats.get(part) for part in ("net_profit", "clock", "pairing")}, False
        )
    else:
        answer_one({part: getattr(kept, part) for part in STUDY_PARTS} | kept.result, False)


@mt5.command("compare")
def compare(
    run: Annotated[str, typer.Argument(help="Id of our run.")],
    report: Annotated[str, typer.Argument(help="Id of the imported run; see: sequence mt5 import.")],
    tolerance_bars: Annotated[float, typer.Option(help="Bars that an entry may be away and still be the same trade.")] = 3.0,
    price_tolerance: Annotated[float, typer.Option(help="How far the entry prices may be apart, as a share of the price.")] = 0.005,
    clock: Clock = None,
    queue: Queue = False,
    as_json: AsJson = False,
) -> None:
    """Compare a run of ours with an imported report, trade by trade: where the money differs, and what to change."""
    from components.backtest import BacktestStore, clock_named, compare_with_report
    from components.orchestrator.cli_output import bar, progress_of

    payload: dict[str, Any] = {
        "run_id": run, "report_run_id": report, "tolerance_bars": tolerance_bars, "price_tolerance": price_tolerance, "clock": clock,
    }  # fmt: skip
    if queue or as_json:
        do_job("mt5_compare", payload, queue, as_json)
        return
    with bar("mt5 compare") as draw:
        study = compare_with_report(
            home(), run, report, tolerance_bars=tolerance_bars, price_tolerance=price_tolerance, clock=clock_named(clock), progress=progress_of(draw)
        )
    answer_rows(study.result["waterfall"], False)
    print(
        f"\n{study.result['matched']} trades matched, {study.result['agree']} of them to the cent; {study.result['missing']} missing, {study.result['extra']} extra."
    )
    for sentence in study.result["change"]:
        print(f"- {sentence}")
    print(f"\nStudy {study.id}; tables: {', '.join(BacktestStore.open(home()).studies.frames(study.id))}")


@mt5.command("signals")
def signals(
    run: Annotated[str, typer.Argument(help="Id of a run of ours.")],
    file: Annotated[Path, typer.Argument(help="The CSV file to write; it belongs into the terminal's Common\\Files.")],
    clock: Annotated[str, typer.Option(help="The broker's clock, such as us:2; in the tester all times are the server's.")],
    symbol: Annotated[str | None, typer.Option(help="The broker's own name of the instrument.")] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Write a run's instructions for the Strategy Tester, which has no network."""
    from components.backtest import clock_named, export_signals
    from components.fx import BadInput

    named = clock_named(clock)
    if named is None:
        raise BadInput("clock", "is missing; name the broker's clock, such as us:2")
    answer_one(export_signals(home(), run, file, named, symbol=symbol, overwrite=overwrite), as_json)


def write_report(
    run: Annotated[str, typer.Argument(help="Id of a run.")],
    out: Annotated[Path | None, typer.Option(help="The HTML file; named after the run in this folder where none is given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a run as one HTML page: verdict, measures, curves, months, trades. It needs no network."""
    from components.backtest import html_report

    answer_one({"path": str(html_report(home(), run, out or Path(f"{run}.html")))}, as_json)


def export(
    run: Annotated[str, typer.Argument(help="Id of a run.")],
    folder: Annotated[Path, typer.Argument(help="Where to write; made where it is missing.")],
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Write a run's trades and equity as CSV, the run as JSON, and its HTML report."""
    from components.backtest import export_run

    answer_one({name: str(path) for name, path in export_run(home(), run, folder, overwrite=overwrite).items()}, as_json)
