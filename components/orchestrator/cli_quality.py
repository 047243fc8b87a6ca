"""Commands about belief in prices: score, cross-checks, quarantine, repairs."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import typer

from components.orchestrator.cli_data import PANEL, newest_bar_set
from components.orchestrator.cli_jobs import Queue, do_job
from components.orchestrator.cli_output import AsJson, answer_one, answer_rows, home

BarSetId = Annotated[str | None, typer.Argument(help="Bar set id; the newest where none is named.")]
PART_COLUMNS = ("name", "count", "share", "points", "first", "reason")
By = Annotated[str | None, typer.Option(help="Who decides this; the user's name where it is left out.")]

quality = typer.Typer(help="How far collected bars can be believed.", invoke_without_command=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this topic."""
    app.add_typer(quality, name="quality", rich_help_panel=PANEL)


@quality.callback()
def newest(context: typer.Context, as_json: AsJson = False) -> None:
    """The quality of the newest bars, where no command is named."""
    if context.invoked_subcommand is None:
        show(None, as_json)


@quality.command("show")
def show(bar_set: BarSetId = None, as_json: AsJson = False) -> None:
    """The quality score of collected bars and its parts."""
    from components.pipeline import PipelineStore

    found = PipelineStore.open(home()).bar_set(bar_set or newest_bar_set())
    parts = {
        "id": found.id,
        "symbol": found.symbol,
        "timeframe": found.timeframe,
        "rows": found.rows,
        "score": found.quality_score,
        "state": found.state,
    }
    if as_json:
        answer_one({**parts, "parts": found.quality}, as_json)
        return
    known = found.quality
    told = {name: known[name] for name in ("completeness", "expected", "present", "gap_count", "clock") if known.get(name) not in (None, "")}
    answer_one({**parts, **told, **{f"why {n}": why for n, why in enumerate(known.get("verdict", {}).get("reasons", ()), start=1)}}, as_json)
    faults = [part for part in known.get("parts", ()) if part["count"]]
    if faults:
        sys.stdout.write("\n")
        answer_rows([{**part, "first": "; ".join(part["examples"][:2])} for part in faults], as_json, PART_COLUMNS)
    if known.get("cross"):
        sys.stdout.write("\n")
        answer_rows([{"compared": one["words"]} for one in known["cross"]], as_json)


@quality.command("check")
def check(bar_set: BarSetId = None, queue: Queue = False, as_json: AsJson = False) -> None:
    """Compare a bar set with other sources of its symbol and with the crosses it is part of; the score follows."""
    do_job("cross_check", {"bar_set_id": bar_set or newest_bar_set()}, queue, as_json)


@quality.command("cross")
def cross(first: str, second: str, as_json: AsJson = False) -> None:
    """Compare two bar sets of one symbol where they overlap: differences in pips, and whether one clock is off."""
    from components.pipeline import PipelineStore, cross_check

    store = PipelineStore.open(home())
    one, other = store.bar_set(first), store.bar_set(second)
    mine, theirs = f"{one.source} {one.timeframe}", f"{other.source} {other.timeframe}"
    answer_one(cross_check(store.load_bars(first), store.load_bars(second), one.symbol, first_name=mine, second_name=theirs), as_json)


@quality.command("clock")
def clock(
    bar_set: BarSetId = None,
    account: Annotated[str | None, typer.Option(help="Compare with the clock that a terminal of this account told.")] = None,
    as_json: AsJson = False,
) -> None:
    """The broker's clock as it was read from each file, and how sure that is."""
    from components.pipeline import bar_set_clocks

    answer_rows(bar_set_clocks(home(), bar_set or newest_bar_set(), account), as_json, (), "Its times came in UTC: there was no clock to infer.")


@quality.command("triangle")
def triangle(
    cross_bars: Annotated[str, typer.Argument(help="Bar set of the cross, for example of EURJPY.")],
    first: Annotated[str, typer.Argument(help="Bar set of the first leg, for example of EURUSD.")],
    second: Annotated[str, typer.Argument(help="Bar set of the second leg, for example of USDJPY.")],
    as_json: AsJson = False,
) -> None:
    """Compare a cross with the two pairs that make it, in basis points."""
    from components.pipeline import PipelineStore, triangular_check

    store = PipelineStore.open(home())
    frames = {store.bar_set(one).symbol: store.load_bars(one) for one in (cross_bars, first, second)}
    answer_one(triangular_check(frames, store.bar_set(cross_bars).symbol), as_json)


@quality.command("quarantine")
def quarantine(bar_set: str, reason: Annotated[str, typer.Option(help="Why.")], by: By = None, as_json: AsJson = False) -> None:
    """Let nothing be built on a bar set."""
    from components.pipeline import PipelineStore

    answer_one(PipelineStore.open(home()).set_state(bar_set, "quarantined", by or getpass.getuser(), reason), as_json)


@quality.command("release")
def release(
    bar_set: str, reason: Annotated[str, typer.Option(help="Why it may be used all the same.")], by: By = None, as_json: AsJson = False
) -> None:
    """Let a quarantined bar set be used; your name and reason are kept with it for good."""
    from components.pipeline import PipelineStore

    answer_one(PipelineStore.open(home()).set_state(bar_set, "released", by or getpass.getuser(), reason), as_json)


@quality.command("states")
def states(bar_set: str, as_json: AsJson = False) -> None:
    """Who quarantined or released a bar set, when and why."""
    from components.pipeline import PipelineStore

    store = PipelineStore.open(home())
    answer_rows(store.states(store.bar_set(bar_set).id), as_json, (), "Its state was never changed.")


@quality.command("proposals")
def proposals(bar_set: BarSetId = None, as_json: AsJson = False) -> None:
    """Which repairs could be made, and how many rows each would change."""
    from components.pipeline import PipelineStore, propose_repairs

    store = PipelineStore.open(home())
    found = store.bar_set(bar_set or newest_bar_set())
    answer_rows(propose_repairs(store.load_bars(found.id), found), as_json, (), "Nothing to repair.")


@quality.command("repair")
def repair(
    kinds: Annotated[list[str], typer.Argument(help="Kinds of repair; see: sequence quality proposals")],
    bar_set: Annotated[str | None, typer.Option("--bars", help="Bar set id; the newest where none is named.")] = None,
    by: By = None,
    queue: Queue = False,
    as_json: AsJson = False,
) -> None:
    """Make a repaired copy, every changed row flagged; the original stays."""
    do_job("repair", {"bar_set_id": bar_set or newest_bar_set(), "kinds": kinds, "by": by or getpass.getuser()}, queue, as_json)
