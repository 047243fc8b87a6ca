"""What the command line prints: tables for people, JSON for programs, progress bars on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from components.base import Settings
    from components.jobs import Progress

AsJson = Annotated[bool, typer.Option("--json", help="Answer with JSON on standard output.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="How many at most, newest first.")]
WIDTH = 220


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, the home as an absolute path. Warnings and worse go to standard error, so that answers stay clean."""
    from components.base import configure_log, load_settings

    configure_log("WARNING")
    loaded = load_settings()
    return loaded.model_copy(update={"home": loaded.home.expanduser().absolute()})


def home() -> Path:
    """The folder of the platform's stores."""
    return settings().home


def plain(value: Any) -> Any:
    """`value` as what JSON knows: dataclasses and models become objects, frames lists of objects, NaN null."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return float(value) if value == value and abs(value) != float("inf") else None  # also of numpy's floats
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return plain(value.reset_index().to_dict("records"))
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return str(value)


def print_json(value: Any) -> None:
    """Print `value` as JSON."""
    import orjson

    sys.stdout.write(orjson.dumps(plain(value), option=orjson.OPT_INDENT_2).decode() + "\n")


def answer_rows(rows: Sequence[Any], as_json: bool, columns: Sequence[str] = (), empty: str = "Nothing yet.") -> None:
    """Print a list: as JSON whole, as a table the `columns` (all where none are named)."""
    if as_json:
        print_json(rows)
        return
    shown = [plain(row) for row in rows]
    if not shown:
        sys.stdout.write(f"{empty}\n")
        return
    from rich.table import Table

    names = [name for name in columns or shown[0] if name in shown[0]]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name.removesuffix("_ms"), overflow="fold", justify="right" if isinstance(shown[0][name], (int, float)) else "left")
    for row in shown:
        table.add_row(*(_cell(name, row.get(name)) for name in names))
    _console().print(table)


def answer_one(value: Any, as_json: bool) -> None:
    """Print one thing: as JSON whole, or a line for each of its parts that fits one."""
    if as_json:
        print_json(value)
        return
    document = _flat(plain(value))
    width = max((len(name) for name in document), default=0)
    for name, part in document.items():
        sys.stdout.write(f"{name.removesuffix('_ms'):<{width}}  {_cell(name, part)}\n")


def say(text: str) -> None:
    """Print a sentence for the person; standard error, so that answers stay clean."""
    with suppress(OSError):  # the window may be gone; what runs goes on
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


@contextmanager
def bar(title: str) -> Iterator[Any]:
    """A progress bar; yields a function of (fraction 0–1, message). Without a terminal it prints a line when the message changes."""
    if not sys.stderr.isatty():
        last = [""]

        def line(fraction: float, message: str) -> None:
            if message != last[0]:
                last[0] = message
                say(f"{title} {fraction:4.0%} {message}")

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[message]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=1.0, message="")
        yield lambda fraction, message: progress.update(task, completed=fraction, message=message)


def progress_of(draw: Any) -> Progress:
    """A job's `Progress` that draws on a `bar`."""
    from components.jobs import Progress

    return Progress(lambda fraction, message, _metrics, _checkpoint: draw(fraction, message))


def chosen(pairs: Sequence[str] | None, field: str) -> dict[str, Any]:
    """``["fast=10", "stop=1.5"]`` as a dict; each value is JSON where it can be read as such, else text.

    Raises
    ------
    BadInput
        If a pair has no ``=``.
    """
    import orjson

    from components.fx import BadInput

    document: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise BadInput(field, f"{pair!r} is not name=value")
        try:
            document[name.strip()] = orjson.loads(text)
        except orjson.JSONDecodeError:
            document[name.strip()] = text
    return document


def _flat(document: dict[str, Any]) -> dict[str, Any]:
    """The parts of `document` with those of its objects beside them; what lies deeper is named only."""
    flat: dict[str, Any] = {}
    for name, part in document.items():
        inner = part if isinstance(part, dict) and part else {name: part}
        for key, item in inner.items():
            within = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
            is_deep = any(isinstance(one, (dict, list)) for one in within)
            flat[key if inner is not part else f"{name}.{key}"] = "… (see --json)" if is_deep else item
    return flat


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if name.endswith("_ms") and isinstance(value, int) and value > 1_000_000_000:
        return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (dict, list)):
        return ", ".join(f"{k}={_cell(k, v)}" for k, v in value.items()) if isinstance(value, dict) else ", ".join(_cell("", item) for item in value)
    return str(value)


def _console() -> Console:
    from rich.console import Console

    return Console(markup=False, highlight=False) if sys.stdout.isatty() else Console(markup=False, highlight=False, width=WIDTH)
