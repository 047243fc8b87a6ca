"""Commands about prices: collect, bars, quality, dataset."""

from __future__ import annotations

from typing import Annotated

import typer

from components.orchestrator.cli_jobs import Queue, do_job
from components.orchestrator.cli_output import AsJson, answer_one, answer_rows, chosen, home

PANEL = "Prices and datasets"
BAR_SET_COLUMNS = ("id", "symbol", "timeframe", "source", "rows", "quality_score", "start_ms", "end_ms", "created_ms")
DATASET_COLUMNS = ("id", "bar_set_id", "rows", "train_rows", "test_rows", "start_ms", "end_ms", "created_ms")

dataset = typer.Typer(help="Datasets, frozen by the hash of their content.", no_args_is_help=True)
bars = typer.Typer(help="Collected bars.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this topic."""
    app.command("collect", rich_help_panel=PANEL)(collect)
    app.command("quality", rich_help_panel=PANEL)(quality)
    app.add_typer(bars, name="bars", rich_help_panel=PANEL)
    app.add_typer(dataset, name="dataset", rich_help_panel=PANEL)


def newest_bar_set() -> str:
    """Id of the bars that were collected last; `NotFound` where there are none."""
    from components.fx import NotFound
    from components.pipeline import PipelineStore

    sets = PipelineStore.open(home()).bar_sets()
    if not sets:
        raise NotFound("no bars are collected yet; begin with: sequence collect")
    return str(max(sets, key=lambda bar_set: bar_set.created_ms).id)


def newest_dataset() -> str:
    """Id of the dataset that was built last; `NotFound` where there is none."""
    from components.fx import NotFound
    from components.pipeline import PipelineStore

    built = PipelineStore.open(home()).datasets()
    if not built:
        raise NotFound("no dataset is built yet; begin with: sequence dataset build")
    return str(max(built, key=lambda one: one.created_ms).id)


def collect(
    source: Annotated[str, typer.Option(help="Where the prices come from.")] = "sample",
    symbol: Annotated[str, typer.Option(help="Instrument.")] = "EURUSD",
    timeframe: Annotated[str, typer.Option(help="M1, M5, M15, M30, H1, H4 or D1.")] = "H1",
    queue: Queue = False,
    as_json: AsJson = False,
) -> None:
    """Collect bars from a source and score their quality."""
    do_job("collect", {"source": source, "symbol": symbol, "timeframe": timeframe}, queue, as_json)


def quality(
    bar_set: Annotated[str | None, typer.Argument(help="Bar set id; the newest where none is named.")] = None, as_json: AsJson = False
) -> None:
    """The quality score of collected bars and its parts."""
    from components.pipeline import PipelineStore

    found = PipelineStore.open(home()).bar_set(bar_set or newest_bar_set())
    parts = {"id": found.id, "symbol": found.symbol, "timeframe": found.timeframe, "rows": found.rows, "score": found.quality_score}
    answer_one({**parts, **({"parts": found.quality} if as_json else dict(found.quality))}, as_json)


@bars.command("list")
def list_bars(as_json: AsJson = False) -> None:
    """Every set of collected bars."""
    from components.pipeline import PipelineStore

    answer_rows(PipelineStore.open(home()).bar_sets(), as_json, BAR_SET_COLUMNS, "No bars yet; begin with: sequence collect")


@dataset.command("build")
def build_dataset(
    bar_set: Annotated[str | None, typer.Option("--bars", help="Bar set id; the newest where none is named.")] = None,
    recipe: Annotated[list[str] | None, typer.Option("--set", help="A field of the recipe, as name=value; repeat it.")] = None,
    queue: Queue = False,
    as_json: AsJson = False,
) -> None:
    """Build a dataset: features, target and a purged split in time."""
    do_job("dataset", {"bar_set_id": bar_set or newest_bar_set(), "recipe": chosen(recipe, "set")}, queue, as_json)


@dataset.command("list")
def list_datasets(as_json: AsJson = False) -> None:
    """Every dataset."""
    from components.pipeline import PipelineStore

    answer_rows(PipelineStore.open(home()).datasets(), as_json, DATASET_COLUMNS, "No datasets yet; begin with: sequence dataset build")


@dataset.command("show")
def show_dataset(id: str, as_json: AsJson = False) -> None:
    """One dataset with its recipe."""
    from components.pipeline import PipelineStore

    answer_one(PipelineStore.open(home()).dataset(id), as_json)
