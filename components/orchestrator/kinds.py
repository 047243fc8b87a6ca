"""Job kind → function: the only place that knows what a job means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.fx import BadInput

if TYPE_CHECKING:
    from components.jobs import JobFunction, Progress
    from components.pipeline import Request

Document = dict[str, Any]
KINDS = (
    "collect",
    "resample",
    "repair",
    "cross_check",
    "check_features",
    "dataset",
    "export",
    "train",
    "backtest",
    "portfolio",
    "sweep",
    "walkforward",
    "honesty",
    "audit",
    "mt5_compare",
)


def job_functions(home: Path) -> dict[str, JobFunction]:
    """The function of every job kind; each imports its room when it first runs, so that a worker starts in a moment.

    ==============  ========================================================  ==============================================
    kind            payload                                                   result
    ==============  ========================================================  ==============================================
    collect         source, symbol, timeframe, start_ms, end_ms, options      pieces, new_pieces, rows, and of bars bar_set_id,
                                                                              quality_score, state
    resample        bar_set_id, timeframe                                     bar_set_id, rows, quality_score, state
    repair          bar_set_id, kinds, by                                     bar_set_id, rows, quality_score, state, made_by
    cross_check     bar_set_id                                                bar_set_id, quality_score, state, checks
    check_features  bar_set_id, features, rows                                checked, leaks
    dataset         bar_set_id, recipe (`DatasetRecipe`)                      dataset_id, rows, train_rows, test_rows
    export          dataset_id, path, format, overwrite                       path, rows, bytes, sha256
    train           `TrainSpec`                                               what `components.training.train` answers
    backtest        `BacktestSpec`                                            run_id, strategy, total_return, sharpe, …
    portfolio       `PortfolioSpec`                                           run_id, strategy, total_return, sharpe, …
    sweep           `SweepSpec`                                               study_id, strategy, state, points, failed, best, …
    walkforward     `WalkForwardSpec`                                         study_id, strategy, efficiency, out_of_sample, …
    honesty         `HonestySpec`                                             study_id, run_id, dsr, tried, pbo, skipped
    audit           `AuditSpec`: run_id or a backtest's fields; cuts, rows    study_id, strategy, passed, leaks, findings
    mt5_compare     `ComparisonSpec`: run_id, report_run_id, clock, …         study_id, matched, missing, extra, waterfall, change, …
    ==============  ========================================================  ==============================================
    """
    functions: dict[str, Callable[[Path, Document, Progress], Document]] = {
        "collect": _collect,
        "resample": _resample,
        "repair": _repair,
        "cross_check": _cross_check,
        "check_features": _check_features,
        "dataset": _build_dataset,
        "export": _export,
        "train": _train,
        "backtest": _execute_backtest,
        "portfolio": _execute_portfolio,
        "sweep": _sweep,
        "walkforward": _walkforward,
        "honesty": _examine,
        "audit": _audit,
        "mt5_compare": _mt5_compare,
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
        _request(payload)
    elif kind == "resample":
        from components.fx import Timeframe

        _only(payload, "bar_set_id", "timeframe")
        _text(payload, "bar_set_id")
        Timeframe.named(_text(payload, "timeframe"))
    elif kind == "repair":
        _only(payload, "bar_set_id", "kinds", "by")
        _text(payload, "bar_set_id")
        _text(payload, "by")
        _repairs(payload)
    elif kind == "cross_check":
        _only(payload, "bar_set_id")
        _text(payload, "bar_set_id")
    elif kind == "check_features":
        from components.features import features_named

        _only(payload, "bar_set_id", "features", "rows")
        _text(payload, "bar_set_id")
        features_named(_texts(payload, "features") or None)
        _whole(payload, "rows")
    elif kind == "export":
        _only(payload, "dataset_id", "path", "format", "overwrite")
        for field in ("dataset_id", "path"):
            _text(payload, field)
        _format(payload)
        if not isinstance(payload.get("overwrite", False), bool):
            raise BadInput("overwrite", f"{payload['overwrite']!r} is neither true nor false")
    elif kind == "dataset":
        from components.fx import parse_payload
        from components.pipeline import DatasetRecipe

        _only(payload, "bar_set_id", "recipe")
        _text(payload, "bar_set_id")
        parse_payload(DatasetRecipe, payload.get("recipe") or {})
    elif kind == "train":
        from components.fx import parse_payload
        from components.training import TrainSpec

        parse_payload(TrainSpec, payload)
    elif kind == "walkforward":
        from components.backtest import parse_walkforward
        from components.strategy import strategy

        walk = parse_walkforward(payload)
        walk.points(strategy(walk.strategy))
    elif kind == "honesty":
        from components.backtest import parse_honesty

        parse_honesty(payload)
    elif kind == "audit":
        from components.backtest import parse_audit
        from components.strategy import strategy

        asked = parse_audit(payload).backtest
        if asked is not None:
            strategy(asked.strategy).parse(asked.params)
    elif kind == "mt5_compare":
        from components.backtest import parse_comparison

        parse_comparison(payload)
    elif kind == "portfolio":
        from components.backtest import parse_portfolio
        from components.strategy import strategy

        for leg in parse_portfolio(payload).legs:
            strategy(leg.strategy).parse(leg.params)
    elif kind == "sweep":
        from components.backtest import axes_of, parse_sweep_spec, plan_points
        from components.strategy import strategy

        sweep = parse_sweep_spec(payload)
        axes = axes_of(strategy(sweep.strategy), sweep)
        if sweep.method != "optuna":
            plan_points(strategy(sweep.strategy), sweep, axes)
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


def _texts(payload: Document, field: str) -> list[str]:
    value = payload.get(field) or []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadInput(field, "is not a list of texts")
    return value


def _whole(payload: Document, field: str) -> int | None:
    value = payload.get(field)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise BadInput(field, f"{value!r} is not a whole number")
    return value


def _request(payload: Document) -> tuple[str, Request]:
    """The source and what is wanted of it, as far as that can be checked before anything is read."""
    from components.fx import Timeframe, instrument
    from components.pipeline import Request, parsed_options, source_named

    _only(payload, "source", "symbol", "timeframe", "start_ms", "end_ms", "options")
    source = source_named(_text(payload, "source"))
    symbol, timeframe = _text(payload, "symbol"), payload.get("timeframe") or ""
    if source.gives in ("bars", "ticks"):
        instrument(symbol)
        Timeframe.named(_text(payload, "timeframe"))
    options = payload.get("options") or {}
    if not isinstance(options, dict):
        raise BadInput("options", "is not a JSON object")
    parsed_options(source, options)
    start_ms, end_ms = _whole(payload, "start_ms"), _whole(payload, "end_ms")
    if start_ms is not None and end_ms is not None and start_ms >= end_ms:
        raise BadInput("end_ms", f"{end_ms} is not after start_ms {start_ms}")
    return source.name, Request(symbol, str(timeframe).upper(), start_ms, end_ms, options)


def _collect(home: Path, payload: Document, progress: Progress) -> Document:
    from components.pipeline import collect_series

    source, request = _request(payload)
    done = collect_series(home, source, request, progress)
    answer: Document = {"source": source, "symbol": done.symbol, "pieces": done.pieces, "new_pieces": done.new_pieces, "rows": done.rows}
    if done.bar_set is not None:
        answer |= {"bar_set_id": done.bar_set.id, "quality_score": done.bar_set.quality_score, "state": done.bar_set.state}
    return answer


def _resample(home: Path, payload: Document, progress: Progress) -> Document:
    from components.pipeline import resample_bar_set

    made = resample_bar_set(home, _text(payload, "bar_set_id"), _text(payload, "timeframe"), progress)
    return {"bar_set_id": made.id, "rows": made.rows, "quality_score": made.quality_score, "state": made.state}


def _repair(home: Path, payload: Document, progress: Progress) -> Document:
    from components.pipeline import repair_bar_set

    progress(0.1, f"repairing {_text(payload, 'bar_set_id')}")
    made = repair_bar_set(home, _text(payload, "bar_set_id"), _repairs(payload), by=_text(payload, "by"))
    progress(1.0, f"{made.made_by['repaired_rows']:,} rows repaired, kept as {made.id}", quality_score=made.quality_score)
    return {"bar_set_id": made.id, "rows": made.rows, "quality_score": made.quality_score, "state": made.state, "made_by": made.made_by}


def _repairs(payload: Document) -> tuple[str, ...]:
    from components.pipeline import REPAIRS

    kinds = tuple(_texts(payload, "kinds"))
    unknown = [kind for kind in kinds if kind not in REPAIRS]
    if unknown or not kinds:
        raise BadInput("kinds", f"{unknown[0]!r} is no repair; known are {', '.join(REPAIRS)}" if unknown else f"name one of {', '.join(REPAIRS)}")
    return kinds


def _cross_check(home: Path, payload: Document, progress: Progress) -> Document:
    from components.pipeline import cross_check_bar_set

    checked = cross_check_bar_set(home, _text(payload, "bar_set_id"), progress)
    words = [str(one["words"]) for one in checked.quality.get("cross", ())]
    progress(1.0, f"{len(words)} comparisons, quality {checked.quality_score:.2f} of 100")
    return {"bar_set_id": checked.id, "quality_score": checked.quality_score, "state": checked.state, "checks": words}


def _check_features(home: Path, payload: Document, progress: Progress) -> Document:
    from components.features import FeatureInputs, Leak, check_features, checkable_features
    from components.fx import Timeframe
    from components.pipeline import PipelineStore

    store = PipelineStore.open(home)
    try:
        bar_set = store.bar_set(_text(payload, "bar_set_id"))
        bars = store.load_bars(bar_set.id).iloc[-(_whole(payload, "rows") or 1_500) :]
    finally:
        store.close()
    inputs = FeatureInputs(bar_set.symbol, timeframe=Timeframe.named(bar_set.timeframe))
    names = _texts(payload, "features") or list(checkable_features(bars, inputs))
    leaks: list[Leak] = []
    for number, name in enumerate(names):
        progress(number / len(names), f"checking {name}, {len(leaks)} leaks so far", checked=number, leaks=len(leaks))
        leaks += check_features([name], bars, inputs=inputs)
    progress(1.0, f"{len(names)} features checked on {len(bars):,} bars: {len(leaks)} leaks", checked=len(names), leaks=len(leaks))
    return {"checked": len(names), "bars": len(bars), "leaks": [vars(leak) for leak in leaks]}


def _export(home: Path, payload: Document, progress: Progress) -> Document:
    from components.pipeline import export_dataset

    form, path = _format(payload), Path(_text(payload, "path"))
    overwrite = payload.get("overwrite") is True
    done = export_dataset(home, _text(payload, "dataset_id"), path, "csv" if form == "csv" else "parquet", progress, overwrite=overwrite)
    return {"path": str(done.path), "rows": done.rows, "bytes": done.bytes, "sha256": done.sha256}


def _format(payload: Document) -> str:
    form = _text(payload, "format")
    if form not in ("parquet", "csv"):
        raise BadInput("format", f"{form!r} is unknown; use parquet or csv")
    return form


def _build_dataset(home: Path, payload: Document, progress: Progress) -> Document:
    from components.fx import parse_payload
    from components.pipeline import DatasetRecipe, build_dataset

    dataset = build_dataset(home, _text(payload, "bar_set_id"), parse_payload(DatasetRecipe, payload.get("recipe") or {}), progress)
    return {"dataset_id": dataset.id, "rows": dataset.rows, "train_rows": dataset.train_rows, "test_rows": dataset.test_rows}


def _train(home: Path, payload: Document, progress: Progress) -> Document:
    from components.training import train

    return train(home, payload, progress)


def _execute_portfolio(home: Path, payload: Document, progress: Progress) -> Document:
    from components.backtest import execute_portfolio

    run = execute_portfolio(home, payload, progress)
    measures = {"total_return": run.total_return, "sharpe": run.sharpe, "max_drawdown": run.max_drawdown, "trades": run.trades}
    return {"run_id": run.id, "strategy": run.strategy, **measures}


def _execute_backtest(home: Path, payload: Document, progress: Progress) -> Document:
    from components.backtest import execute_backtest

    run = execute_backtest(home, payload, progress)
    measures = {"total_return": run.total_return, "sharpe": run.sharpe, "max_drawdown": run.max_drawdown, "trades": run.trades}
    return {"run_id": run.id, "strategy": run.strategy, **measures}


def _sweep(home: Path, payload: Document, progress: Progress) -> Document:
    from components.backtest import execute_sweep

    study = execute_sweep(home, payload, progress)
    shown = ("points", "done", "failed", "impossible", "ranked", "criterion", "best", "neighbourhood", "seconds")
    return {"study_id": study.id, "strategy": study.strategy, "state": study.state, **{name: study.result[name] for name in shown}}


def _walkforward(home: Path, payload: Document, progress: Progress) -> Document:
    from components.backtest import execute_walkforward

    study = execute_walkforward(home, payload, progress)
    shown = ("mode", "points", "trials", "efficiency", "profitable_windows", "concentration", "out_of_sample", "seconds")
    return {"study_id": study.id, "strategy": study.strategy, "windows": len(study.result["windows"]), **{name: study.result[name] for name in shown}}


def _examine(home: Path, payload: Document, progress: Progress) -> Document:
    from components.backtest import examine

    study = examine(home, payload, progress)
    found = study.result
    return {
        "study_id": study.id,
        "run_id": study.run_id,
        "dsr": (found.get("dsr") or {}).get("effective"),
        "tried": found["trials"]["raw"],
        "pbo": (found.get("pbo") or {}).get("probability"),
        "skipped": found["skipped"],
    }


def _audit(home: Path, payload: Document, progress: Progress) -> Document:
    from components.backtest import execute_audit

    study = execute_audit(home, payload, progress)
    found = study.result
    return {
        "study_id": study.id,
        "strategy": study.strategy,
        "passed": found["passed"],
        "leaks": [leak["column"] for leak in found["leaks"]],
        "findings": len(found["findings"]),
    }


def _mt5_compare(home: Path, payload: Document, progress: Progress) -> Document:
    from components.backtest import compare_with_report, parse_comparison

    asked = parse_comparison(payload)
    bars, price, clock = asked.tolerance_bars, asked.price_tolerance, asked.broker_clock
    study = compare_with_report(home, asked.run_id, asked.report_run_id, tolerance_bars=bars, price_tolerance=price, clock=clock, progress=progress)
    return {"study_id": study.id, **study.result}
