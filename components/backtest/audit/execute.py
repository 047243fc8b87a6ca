"""Audits that are kept: load what is asked for, audit, store as a study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from components.backtest.audit.asked import Probabilities
from components.backtest.audit.audit import DENSE, audit_strategy
from components.backtest.execute import BacktestSpec, Inputs, load_inputs, parse_spec
from components.backtest.store import BacktestStore
from components.backtest.studies import Study, StudyState
from components.backtest.work import Progress, kept_id, silent
from components.fx import BadInput, Timeframe, parse_payload
from components.jobs import JobCancelled
from components.ledger import code_version

MODEL_ROWS, MODEL_DENSE = 5_000, 40
"""A model is asked anew under every future: its audit takes fewer bars and fewer rows."""
OWN = ("run_id", "cuts", "dense", "seed", "rows")


class AuditSpec(BaseModel):
    """One audit: a kept run, or the same fields as a backtest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str | None = Field(None, max_length=200, description="a kept run whose strategy, bars and rules are audited")
    backtest: BacktestSpec | None = Field(None, description="what to audit, where no run is named")
    cuts: int = Field(24, ge=1, le=1_000, description="futures over all bars (count)")
    dense: int | None = Field(None, ge=0, le=5_000, description="rows of each window after which futures are tried one by one (count)")
    seed: int = Field(0, ge=0, description="of the drawing and of the futures")
    rows: int | None = Field(None, ge=3, description="only the last so many bars")

    @model_validator(mode="after")
    def _one_of_two(self) -> AuditSpec:
        if (self.run_id is None) == (self.backtest is None):
            raise ValueError("name either a run_id, or a strategy with its bar_set_id")
        return self


def parse_audit(document: Mapping[str, Any]) -> AuditSpec:
    """A spec from a mapping: ``run_id``, or the fields of a backtest, with ``cuts``, ``dense``, ``seed`` and ``rows``.

    Raises
    ------
    BadInput
        Naming the first field that is wrong.
    """
    if not isinstance(document, Mapping):
        raise BadInput("audit", f"{type(document).__name__} is not an object")
    own = {name: value for name, value in document.items() if name in OWN or name == "backtest"}
    rest = {name: value for name, value in document.items() if name not in own}
    if rest:
        own["backtest"] = parse_spec(rest)
    return parse_payload(AuditSpec, own, whole="audit")


def execute_audit(home: Path, spec: AuditSpec | Mapping[str, Any], progress: Progress | None = None) -> Study:
    """Audit a strategy over kept bars, and keep what was found as a study of kind ``audit``.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    spec : AuditSpec or mapping
        As `parse_audit` takes it.
    progress : callable, optional
        A `jobs.Progress` remembers the study's id, so that a retried job is one study; it may cancel.

    Returns
    -------
    Study
        Its `result` is ``passed``, ``leaks``, ``lags``, ``warmup`` and ``findings`` as in `AuditReport`; its frame ``lags`` the lag table.

    Raises
    ------
    BadInput
        If anything asked for is wrong; the message names it.
    NotFound
        If the run, its bars or its model do not exist.
    """
    asked = spec if isinstance(spec, AuditSpec) else parse_audit(spec)
    report = progress or silent
    store = BacktestStore.open(home)
    try:
        backtest = asked.backtest or _spec_of_run(store, str(asked.run_id))
        inputs = load_inputs(home, backtest, report)
        study_id = kept_id(report)
        title = f"Look-ahead audit of {inputs.strategy.title} on {inputs.bar_set.symbol} {inputs.bar_set.timeframe}"
        spec_document = {**asked.model_dump(mode="json", exclude={"backtest"}), "backtest": backtest.model_dump(mode="json")}
        store.studies.start(
            Study(
                study_id,
                "audit",
                title,
                strategy=inputs.strategy.name,
                bar_set_id=inputs.bar_set.id,
                run_id=asked.run_id,
                spec=spec_document,
                code_version=code_version(),
            )
        )
        try:
            result = _audit(home, asked, inputs, report)
        except Exception as error:
            state: StudyState = "cancelled" if isinstance(error, JobCancelled) else "failed"
            store.studies.finish(study_id, state, {"error": str(error) or type(error).__name__})
            raise
        store.studies.keep_frame(study_id, "lags", pd.DataFrame(result["lags"]))
        return store.studies.finish(study_id, "done", result)
    finally:
        store.close()


def _audit(home: Path, asked: AuditSpec, inputs: Inputs, report: Progress) -> dict[str, Any]:
    spec = inputs.spec
    bars, dense, until = inputs.bars, DENSE if asked.dense is None else asked.dense, None
    answers: Probabilities | None = None
    rows = asked.rows
    if spec.model_id is not None:
        from components.models import load_model, probabilities

        model_id = spec.model_id
        until = load_model(home, model_id).model.trained_until_ms
        rows, dense = rows or MODEL_ROWS, MODEL_DENSE if asked.dense is None else asked.dense

        def answers(chosen: pd.DataFrame) -> pd.DataFrame:
            return probabilities(home, model_id, chosen)

    done = audit_strategy(
        inputs.strategy,
        inputs.params,
        bars if rows is None else bars.iloc[-rows:],
        instrument=inputs.instrument,
        probabilities=answers,
        cuts=asked.cuts,
        dense=dense,
        seed=asked.seed,
        progress=report,
        timeframe=Timeframe.named(inputs.bar_set.timeframe),
        trained_until_ms=until,
        account=spec.account,
        costs=spec.costs,
        sizing=spec.sizing,
        limits=spec.limits,
        policy=spec.policy,
        conversion=inputs.conversion,
        reference=lambda: _reference_rates(home),
    )
    return done.document()


def _reference_rates(home: Path) -> Any:
    from components.pipeline import load_reference_rates

    return load_reference_rates(home)


def _spec_of_run(store: BacktestStore, run_id: str) -> BacktestSpec:
    run = store.run(run_id)
    if run.source != "sequence":
        raise BadInput("run_id", f"run {run_id} was {run.source}, so there is no strategy here to audit; audit the strategy that made it")
    return parse_spec(run.spec)
