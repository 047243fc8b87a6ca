"""Commands about features: catalogue, values, expansion, distribution, correlation, causality."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.orchestrator.cli_data import PANEL, newest_bar_set, table_path
from components.orchestrator.cli_jobs import Queue, do_job
from components.orchestrator.cli_output import AsJson, answer_one, answer_rows, chosen, home

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("name", "family", "warmup_bars", "low", "high", "source", "formula")
STATISTICS = ("feature", "known", "mean", "deviation", "skew", "lowest", "median", "highest")
Names = Annotated[list[str] | None, typer.Option("--feature", help="A feature's name, for example rsi_14 or H4.rsi_14; repeat it.")]
Bars = Annotated[str | None, typer.Option("--bars", help="Bar set id; the newest where none is named.")]
Others = Annotated[list[str] | None, typer.Option("--other", help="Bar set of another symbol, for features such as GBPUSD.return_1; repeat it.")]
News = Annotated[list[str] | None, typer.Option("--news", help="Currency whose news features need; repeat it.")]

features = typer.Typer(help="Catalogued features of bars.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this topic."""
    app.add_typer(features, name="features", rich_help_panel=PANEL)


@features.command("list")
def list_features(family: Annotated[str | None, typer.Option(help="One family only.")] = None, as_json: AsJson = False) -> None:
    """Every catalogued feature: family, source of the formula, warm-up and range."""
    from components.features import catalogue
    from components.fx import BadInput

    families = dict.fromkeys(one.family for one in catalogue())
    if family is not None and family not in families:
        raise BadInput("family", f"{family!r} is unknown; use one of {', '.join(families)}")
    rows = [{name: getattr(one, name) for name in COLUMNS} for one in catalogue() if family in (None, one.family)]
    answer_rows(rows, as_json, COLUMNS)


@features.command("expand")
def expand_recipe(
    recipe: Annotated[list[str], typer.Option("--set", help='A field of the recipe, as name=value, for example formulas=["rsi","return"].')],
    as_json: AsJson = False,
) -> None:
    """The names that a recipe of formulas, periods, timeframes, pairs and shifts stands for."""
    from components.features import FeatureRecipe, expand
    from components.fx import parse_payload

    answer_rows([{"name": name} for name in expand(parse_payload(FeatureRecipe, chosen(recipe, "set")))], as_json)


@features.command("compute")
def compute(
    out: Annotated[Path, typer.Option(help="File to write: .parquet or .csv.")],
    bar_set: Bars = None,
    names: Names = None,
    others: Others = None,
    news: News = None,
    as_json: AsJson = False,
) -> None:
    """Compute features of collected bars into a file."""
    from components.pipeline import write_table

    path, wanted = table_path(out), bar_set or newest_bar_set()
    frame = _computed(wanted, names, others, news)
    write_table(frame, path)
    answer_one({"bar_set_id": wanted, "rows": len(frame), "features": frame.shape[1], "path": str(path)}, as_json)


@features.command("describe")
def describe(bar_set: Bars = None, names: Names = None, others: Others = None, news: News = None, as_json: AsJson = False) -> None:
    """How the values of features are distributed over collected bars."""
    frame = _computed(bar_set or newest_bar_set(), names, others, news)
    parts = (frame.count(), frame.mean(), frame.std(), frame.skew(), frame.min(), frame.median(), frame.max())
    answer_rows([dict(zip(STATISTICS, (name, *(part[name] for part in parts)), strict=True)) for name in frame.columns], as_json, STATISTICS)


@features.command("correlations")
def correlations(
    bar_set: Bars = None,
    names: Names = None,
    others: Others = None,
    news: News = None,
    least: Annotated[float, typer.Option(min=0, max=1, help="Smallest size of a correlation that is shown.")] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Pearson correlation of every pair of features over collected bars, the strongest first."""
    import numpy as np

    frame = _computed(bar_set or newest_bar_set(), names, others, news)
    columns, values = [str(name) for name in frame.columns], frame.corr().to_numpy()
    one, other = np.triu_indices(len(columns), 1)
    strongest = np.argsort(-np.abs(values[one, other]), kind="stable")  # pairs that share no two values come last
    pairs = [(columns[one[at]], columns[other[at]], float(values[one[at], other[at]])) for at in strongest]
    rows = [{"feature": left, "other": right, "correlation": value} for left, right, value in pairs if abs(value) >= least]
    answer_rows(rows, as_json, (), "No two features are that similar.")


@features.command("check")
def check(
    bar_set: Bars = None,
    names: Names = None,
    rows: Annotated[int, typer.Option(min=50, help="How many of the newest bars are used.")] = 1_500,
    queue: Queue = False,
    as_json: AsJson = False,
) -> None:
    """Look for look-ahead: recompute on truncated and changed futures; the past must not move."""
    do_job("check_features", {"bar_set_id": bar_set or newest_bar_set(), "features": names or [], "rows": rows}, queue, as_json)


def _computed(bar_set_id: str, names: list[str] | None, others: list[str] | None, news: list[str] | None) -> pd.DataFrame:
    """Features of a bar set, with whatever else they need; refused of a quarantined one."""
    from components.features import DEFAULT_FEATURES, FeatureInputs, compute_features
    from components.fx import Timeframe
    from components.pipeline import PipelineStore, news_frame, refuse_quarantined

    store = PipelineStore.open(home())
    found = store.bar_set(bar_set_id)
    beside = [store.bar_set(one) for one in others or ()]
    for one in (found, *beside):
        refuse_quarantined(one)
    inputs = FeatureInputs(
        found.symbol,
        {one.symbol: store.load_bars(one.id) for one in beside},
        {currency: news_frame(home(), currency) for currency in news or ()},
        Timeframe.named(found.timeframe),
    )
    return compute_features(store.load_bars(found.id), names or DEFAULT_FEATURES, inputs)
