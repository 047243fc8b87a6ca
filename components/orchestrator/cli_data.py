"""Commands about prices: sources, collect, import, bars."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from components.orchestrator.cli_jobs import Queue, do_job
from components.orchestrator.cli_output import AsJson, answer_one, answer_rows, chosen, home

PANEL = "Prices and datasets"
BAR_SET_COLUMNS = ("id", "symbol", "timeframe", "source", "rows", "quality_score", "state", "start_ms", "end_ms", "created_ms")
SERIES_COLUMNS = ("source", "symbol", "timeframe", "pieces", "rows", "start_ms", "end_ms", "fetched_ms")
COVERAGE_COLUMNS = ("symbol", "timeframe", "source", "month_ms", "bars", "expected", "share")

Options = Annotated[list[str] | None, typer.Option("--set", help="An option of the source, as name=value; repeat it. See: sequence sources")]
From = Annotated[str | None, typer.Option("--from", help="First day or instant, ISO, UTC.")]
To = Annotated[str | None, typer.Option("--to", help="Up to this day or instant, ISO, UTC.")]

bars = typer.Typer(help="Collected bars.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this topic."""
    app.command("sources", rich_help_panel=PANEL)(list_sources)
    app.command("collect", rich_help_panel=PANEL)(collect)
    app.command("import", rich_help_panel=PANEL)(import_files)
    app.command("rates", rich_help_panel=PANEL)(rates)
    app.command("news", rich_help_panel=PANEL)(news)
    app.add_typer(bars, name="bars", rich_help_panel=PANEL)


def newest_bar_set() -> str:
    """Id of the bars that were collected last; `NotFound` where there are none."""
    from components.fx import NotFound
    from components.pipeline import PipelineStore

    sets = PipelineStore.open(home()).bar_sets()
    if not sets:
        raise NotFound("no bars are collected yet; begin with: sequence collect")
    return str(max(sets, key=lambda bar_set: bar_set.created_ms).id)


def instant_ms(text: str | None, field: str) -> int | None:
    """Epoch milliseconds of an ISO day or instant; UTC where it names no zone."""
    if text is None:
        return None
    from datetime import UTC, datetime

    from components.fx import BadInput, to_ms

    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(field, f"{text!r} is not an ISO date or time, such as 2019-03-01 or 2019-03-01T12:00") from None
    return to_ms(read if read.tzinfo is not None else read.replace(tzinfo=UTC))


def table_path(path: Path) -> Path:
    """A file for a table, absolute; `BadInput` before anything is computed for it where its name says no format."""
    from components.fx import BadInput

    if path.suffix not in (".parquet", ".csv"):
        raise BadInput("out", f"{path.name!r} ends in neither .parquet nor .csv")
    return path.expanduser().absolute()


def list_sources(name: Annotated[str | None, typer.Argument(help="One source, with its options.")] = None, as_json: AsJson = False) -> None:
    """Where prices, rates and news come from."""
    from components.pipeline import source_named, sources

    if name is not None:
        one = source_named(name)
        schema = one.options.model_json_schema()
        options = {name: _option(spec, name in schema.get("required", ())) for name, spec in schema.get("properties", {}).items()}
        about = " ".join((one.options.__doc__ or "").partition("Parameters\n")[0].replace("``", "").split()) if options else ""
        offers = [" ".join(pair).strip() for pair in one.offers()]
        facts = {"name": one.name, "gives": one.gives, "network": one.is_network, "note": one.note, "offers": offers or "anything"}
        answer_one({**facts, **({"about options": about} if about else {}), "options": options}, as_json)
        return
    rows = [{"name": one.name, "gives": one.gives, "network": one.is_network, "note": one.note} for one in sources()]
    answer_rows(rows, as_json)


def _option(spec: dict[str, Any], is_needed: bool) -> str:
    """What an option is, what it may be, and what it is where it is left out."""
    kinds = [spec, *spec.get("anyOf", ())]
    choices = next((one["enum"] for one in kinds if "enum" in one), None)
    kind = next((one["type"] for one in kinds if one.get("type", "null") != "null"), "")
    shape = (
        f"one of {', '.join(map(str, choices))}"
        if choices
        else {"object": "a JSON object", "array": "a JSON list", "boolean": "true or false"}.get(kind, "")
    )
    default = spec.get("default")
    left_out = (
        "needed"
        if is_needed
        else f"{str(default).lower() if isinstance(default, bool) else default} where it is left out"
        if default not in (None, "", [], {})
        else "may be left out"
    )
    return "; ".join(part for part in (spec.get("description", ""), shape, left_out) if part)


def collect(
    source: Annotated[str, typer.Option(help="Where the data comes from; see: sequence sources")] = "sample",
    symbol: Annotated[str, typer.Option(help="Instrument; a currency where the source gives rates or news.")] = "EURUSD",
    timeframe: Annotated[str, typer.Option(help="M1, M5, M15, M30, H1, H4, D1 or W1.")] = "H1",
    start: From = None,
    end: To = None,
    options: Options = None,
    queue: Queue = False,
    as_json: AsJson = False,
) -> None:
    """Collect what is new from a source and score its quality."""
    do_job("collect", _payload(source, symbol, timeframe, start, end, chosen(options, "set")), queue, as_json)


def import_files(
    path: Annotated[Path, typer.Argument(help="A file or folder: HistData, MetaTrader export, or any CSV or Parquet (give --as folder and --set).")],
    symbol: Annotated[str | None, typer.Option(help="Instrument; read off the file's name where it is left out.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Of the bars; read off the file where it is left out. Ticks become bars of it.")] = None,
    source: Annotated[str | None, typer.Option("--as", help="histdata, mt5_csv or folder; found from the content where it is left out.")] = None,
    options: Options = None,
    queue: Queue = False,
    as_json: AsJson = False,
) -> None:
    """Import files of prices: finds what they are, detects their clock, scores and keeps them."""
    from components.pipeline import recognise

    found = recognise(path.expanduser().absolute(), source=source, symbol=symbol, timeframe=timeframe)
    given = {**found.options, **chosen(options, "set")}
    do_job("collect", _payload(found.source, found.symbol, found.timeframe, None, None, given), queue, as_json)


def _payload(source: str, symbol: str, timeframe: str, start: str | None, end: str | None, options: dict[str, Any]) -> dict[str, Any]:
    from components.pipeline import source_named

    payload: dict[str, Any] = {"source": source, "symbol": symbol, "options": options}
    if source_named(source).gives in ("bars", "ticks"):
        payload["timeframe"] = timeframe
    bounds = {"start_ms": instant_ms(start, "from"), "end_ms": instant_ms(end, "to")}
    return payload | {name: value for name, value in bounds.items() if value is not None}


def rates(
    source_currency: Annotated[str, typer.Argument(help="For example USD.")],
    target_currency: Annotated[str, typer.Argument(help="For example EUR.")],
    at: Annotated[str | None, typer.Option(help="Instant, ISO, UTC; now where it is left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """The European Central Bank's reference rate that was known at an instant."""
    from components.base import now_ms
    from components.pipeline import load_reference_rates

    instant = instant_ms(at, "at")
    known_at = now_ms() if instant is None else instant
    rate, fixed_ms = load_reference_rates(home()).rate(source_currency.upper(), target_currency.upper(), known_at)
    pair = f"{source_currency.upper()}{target_currency.upper()}"
    answer_one({"pair": pair, "rate": rate, "fixed_ms": fixed_ms, "asked_for_ms": known_at, "source": "European Central Bank"}, as_json)


def news(
    currency: Annotated[str, typer.Argument(help="For example USD.")],
    rows: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most, newest last.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Tone and volume of the news about a currency, by the time at which they could first be seen."""
    from components.pipeline import news_frame

    frame = news_frame(home(), currency.upper()).tail(rows)
    shown = frame.reset_index(names="first_seen").assign(first_seen=lambda one: [stamp.isoformat() for stamp in one["first_seen"]])
    answer_rows(
        shown.to_dict("records"),
        as_json,
        (),
        f"No news of {currency.upper()} yet; begin with: sequence collect --source gdelt --symbol {currency.upper()}",
    )


@bars.command("list")
def list_bars(as_json: AsJson = False) -> None:
    """Every set of collected bars."""
    from components.pipeline import PipelineStore

    answer_rows(PipelineStore.open(home()).bar_sets(), as_json, BAR_SET_COLUMNS, "No bars yet; begin with: sequence collect")


@bars.command("show")
def show_bars(bar_set: str, as_json: AsJson = False) -> None:
    """One bar set: where it came from, its clock, its state."""
    from components.pipeline import PipelineStore

    answer_one(PipelineStore.open(home()).bar_set(bar_set), as_json)


@bars.command("series")
def list_series(as_json: AsJson = False) -> None:
    """What was read from each source: pieces, rows and time."""
    from components.pipeline import PipelineStore

    answer_rows(PipelineStore.open(home()).series(), as_json, SERIES_COLUMNS, "Nothing is collected yet; begin with: sequence collect")


@bars.command("pieces")
def list_pieces(source: str, symbol: str, timeframe: Annotated[str, typer.Argument()] = "", as_json: AsJson = False) -> None:
    """The pieces of one series: files and answers, with what is known of each."""
    from components.pipeline import PipelineStore

    found = PipelineStore.open(home()).pieces(source, symbol, timeframe)
    names = ("key", "rows", "start_ms", "end_ms", "fetched_ms", "is_final", "raw_sha256", "facts")
    rows: list[dict[str, Any]] = [{**{name: getattr(one.known, name) for name in names}, "origin": one.origin} for one in found]
    for row in rows:
        if not row["rows"]:  # a piece without rows has no time
            row["start_ms"] = row["end_ms"] = None
    answer_rows(rows, as_json, ("key", "rows", "start_ms", "end_ms", "fetched_ms", "is_final", "origin"), "No pieces of that series.")


@bars.command("coverage")
def show_coverage(symbol: Annotated[str | None, typer.Option(help="One instrument only.")] = None, as_json: AsJson = False) -> None:
    """How many of the expected bars are there, month by month."""
    from components.pipeline import PipelineStore, coverage

    sets = [one for one in PipelineStore.open(home()).bar_sets() if symbol in (None, one.symbol)]
    rows = [{**vars(one), "share": round(one.share, 4)} for one in coverage(home(), sets)]
    answer_rows(rows, as_json, COVERAGE_COLUMNS, "No bars yet; begin with: sequence collect")


@bars.command("resample")
def resample(
    timeframe: Annotated[str, typer.Argument(help="Longer than that of the bars: M5 to W1.")],
    bar_set: Annotated[str | None, typer.Option("--bars", help="Bar set id; the newest where none is named.")] = None,
    queue: Queue = False,
    as_json: AsJson = False,
) -> None:
    """Bars of a longer timeframe; H4, D1 and W1 open at 17:00 New York."""
    do_job("resample", {"bar_set_id": bar_set or newest_bar_set(), "timeframe": timeframe}, queue, as_json)


@bars.command("intrinsic")
def intrinsic(
    kind: Annotated[str, typer.Argument(help="tick, volume or directional_change.")],
    size: Annotated[float, typer.Argument(help="Ticks or volume of each bar; the turn as a fraction of the price, 0.001 for a tenth of a percent.")],
    out: Annotated[Path, typer.Option(help="File to write: .parquet or .csv.")],
    bar_set: Annotated[str | None, typer.Option("--bars", help="Bar set id; the newest where none is named.")] = None,
    as_json: AsJson = False,
) -> None:
    """Bars that close by activity instead of time: of equally many ticks, of equal volume, or by turns of the price.

    Ticks are taken where the bar set was made of ticks; else volume bars and turns are made of its bars' volume and closes.
    """
    from components.pipeline import intrinsic_bars, write_table

    path, wanted = table_path(out), bar_set or newest_bar_set()
    made = intrinsic_bars(home(), wanted, kind, size)
    write_table(made, path)
    answer_one({"bar_set_id": wanted, "kind": kind, "size": size, "bars": len(made), "path": str(path)}, as_json)


@bars.command("delete")
def delete_bars(bar_set: str, as_json: AsJson = False) -> None:
    """Forget a bar set and remove its file; refused while a dataset uses it. The pieces stay."""
    from components.pipeline import PipelineStore

    PipelineStore.open(home()).delete_bar_set(bar_set)
    answer_one({"deleted": bar_set}, as_json)
