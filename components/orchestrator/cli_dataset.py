"""Commands about datasets: build, show, compare, export, delete."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from components.orchestrator.cli_data import PANEL, newest_bar_set
from components.orchestrator.cli_jobs import Queue, do_job
from components.orchestrator.cli_output import AsJson, answer_one, answer_rows, chosen, home

DATASET_COLUMNS = ("id", "bar_set_id", "rows", "train_rows", "test_rows", "start_ms", "end_ms", "created_ms")

dataset = typer.Typer(help="Datasets, frozen by the hash of their content.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this topic."""
    app.add_typer(dataset, name="dataset", rich_help_panel=PANEL)


def newest_dataset() -> str:
    """Id of the dataset that was built last; `NotFound` where there is none."""
    from components.fx import NotFound
    from components.pipeline import PipelineStore

    built = PipelineStore.open(home()).datasets()
    if not built:
        raise NotFound("no dataset is built yet; begin with: sequence dataset build")
    return str(max(built, key=lambda one: one.created_ms).id)


@dataset.command("build")
def build_dataset(
    bar_set: Annotated[str | None, typer.Option("--bars", help="Bar set id; the newest where none is named.")] = None,
    recipe: Annotated[list[str] | None, typer.Option("--set", help="A field of the recipe, as name=value; repeat it.")] = None,
    queue: Queue = False,
    as_json: AsJson = False,
) -> None:
    """Build a dataset: features, target, a purged split in time, and what is fitted on the training rows."""
    do_job("dataset", {"bar_set_id": bar_set or newest_bar_set(), "recipe": chosen(recipe, "set")}, queue, as_json)


@dataset.command("list")
def list_datasets(as_json: AsJson = False) -> None:
    """Every dataset."""
    from components.pipeline import PipelineStore

    answer_rows(PipelineStore.open(home()).datasets(), as_json, DATASET_COLUMNS, "No datasets yet; begin with: sequence dataset build")


@dataset.command("show")
def show_dataset(id: str, as_json: AsJson = False) -> None:
    """One dataset with its recipe, what was fitted, and where it comes from."""
    from components.pipeline import PipelineStore

    answer_one(PipelineStore.open(home()).dataset(id), as_json)


@dataset.command("diff")
def diff(first: str, second: str, as_json: AsJson = False) -> None:
    """What differs between two datasets: recipe, rows, values, fitted transform, origin."""
    from components.pipeline import diff_datasets

    answer_one(diff_datasets(home(), first, second).as_dict(), as_json)


@dataset.command("export")
def export(
    id: str,
    path: Annotated[Path, typer.Argument(help="File to write.")],
    format: Annotated[str, typer.Option(help="parquet or csv.")] = "parquet",
    replace: Annotated[bool, typer.Option("--replace", help="Write over a file that is there already.")] = False,
    queue: Queue = False,
    as_json: AsJson = False,
) -> None:
    """Write a dataset as Parquet or CSV; refused where the file is there already."""
    payload = {"dataset_id": id, "path": str(path.expanduser().absolute()), "format": format, **({"overwrite": True} if replace else {})}
    do_job("export", payload, queue, as_json)


@dataset.command("delete")
def delete(
    id: str,
    force: Annotated[bool, typer.Option("--force", help="Delete it although something was made from it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget a dataset and remove its files; refused, with their names, while models depend on it."""
    from components.models import ModelStore
    from components.pipeline import PipelineStore

    models = ModelStore.open(home())
    try:
        users = [f"model {one.name}:{one.version}" for one in models.list() if one.dataset_id == id]
    finally:
        models.close()
    PipelineStore.open(home()).delete_dataset(id, dependents=users, force=force)
    answer_one({"deleted": id, "were_made_from_it": users}, as_json)
