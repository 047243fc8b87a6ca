"""Job kind → function: the only place that knows what a job means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.fx import BadInput

if TYPE_CHECKING:
    from components.jobs import JobFunction, Progress

Document = dict[str, Any]
KINDS = ("collect", "dataset", "train", "backtest")


def job_functions(home: Path) -> dict[str, JobFunction]:
    """The function of every job kind; each imports its room when it first runs, so that a worker starts in a moment.

    ==========  =========================================================  ==============================================
    kind        payload                                                    result
    ==========  =========================================================  ==============================================
    collect     source, symbol, timeframe                                  bar_set_id, rows, quality_score
    dataset     bar_set_id, recipe (`DatasetRecipe`)                       dataset_id, rows, train_rows, test_rows
    train       `TrainSpec`                                                what `components.training.train` answers
    backtest    `BacktestSpec`                                             run_id, strategy, total_return, sharpe, …
    ==========  =========================================================  ==============================================
    """
    functions: dict[str, Callable[[Path, Document, Progress], Document]] = {
        "collect": _collect,
        "dataset": _build_dataset,
        "train": _train,
        "backtest": _execute_backtest,
    }
    return {kind: _bound(function, home) for kind, function in functions.items()}


def parsed(kind: str, payload: Any) -> Document:
    """`payload` as it came, once it is seen that a job of this kind can begin with it; what it names may still be missing.

    Raises
    ------
    BadInput
        Naming the kind or the field that is wrong.
    """
    if kind not in KINDS:
        raise BadInput("kind", f"{kind!r} is unknown; use one of {', '.join(KINDS)}")
    if not isinstance(payload, dict):
        raise BadInput("payload", "is not a JSON object")
    if kind == "collect":
        from components.fx import Timeframe, instrument

        _only(payload, "source", "symbol", "timeframe")
        _text(payload, "source")
        instrument(_text(payload, "symbol"))
        Timeframe.named(_text(payload, "timeframe"))
    elif kind == "dataset":
        from components.pipeline import DatasetRecipe, parse_payload

        _only(payload, "bar_set_id", "recipe")
        _text(payload, "bar_set_id")
        parse_payload(DatasetRecipe, payload.get("recipe") or {})
    elif kind == "train":
        from components.pipeline import parse_payload
        from components.training import TrainSpec

        parse_payload(TrainSpec, payload)
    else:
        from components.backtest import parse_spec
        from components.strategy import strategy

        spec = parse_spec(payload)
        strategy(spec.strategy).parse(spec.params)
    return payload


def _only(payload: Document, *known: str) -> None:
    unknown = next((name for name in payload if name not in known), None)
    if unknown is not None:
        raise BadInput(str(unknown), f"is unknown; known are {', '.join(known)}")


def _bound(function: Callable[[Path, Document, Progress], Document], home: Path) -> JobFunction:
    return lambda payload, progress: function(home, payload, progress)


def _text(payload: Document, field: str) -> str:
    value = payload.get(field)
    if not isinstance(value, str) or not value:
        raise BadInput(field, "is missing; it is a text")
    return value


def _collect(home: Path, payload: Document, progress: Progress) -> Document:
    from components.pipeline import collect

    bars = collect(home, _text(payload, "source"), _text(payload, "symbol"), _text(payload, "timeframe"), progress)
    return {"bar_set_id": bars.id, "rows": bars.rows, "quality_score": bars.quality_score}


def _build_dataset(home: Path, payload: Document, progress: Progress) -> Document:
    from components.pipeline import DatasetRecipe, build_dataset, parse_payload

    dataset = build_dataset(home, _text(payload, "bar_set_id"), parse_payload(DatasetRecipe, payload.get("recipe") or {}), progress)
    return {"dataset_id": dataset.id, "rows": dataset.rows, "train_rows": dataset.train_rows, "test_rows": dataset.test_rows}


def _train(home: Path, payload: Document, progress: Progress) -> Document:
    from components.training import train

    return train(home, payload, progress)


def _execute_backtest(home: Path, payload: Document, progress: Progress) -> Document:
    from components.backtest import execute_backtest

    run = execute_backtest(home, payload, progress)
    measures = {"total_return": run.total_return, "sharpe": run.sharpe, "max_drawdown": run.max_drawdown, "trades": run.trades}
    return {"run_id": run.id, "strategy": run.strategy, **measures}
