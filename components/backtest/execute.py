"""Backtests that are kept: load, run, store, note in the trial ledger."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from components.backtest.rates import Reference
from components.backtest.run import FinerBars, Result, Runner
from components.backtest.store import BacktestStore, StoredRun
from components.backtest.work import Progress, kept_id, silent
from components.base import get_log, now_ms
from components.execution import Costs
from components.fx import AccountSpec, BadInput, Instrument, Timeframe, instrument, parse_payload
from components.jobs import JobCancelled
from components.ledger import TrialLedger, code_version
from components.risk import Limits, Sizing
from components.strategy import Params, Strategy, strategy

if TYPE_CHECKING:
    from components.pipeline import BarSet, ReferenceRates


class BacktestSpec(BaseModel):
    """One backtest: what to run, on what, and under which rules."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: str = Field(min_length=1, max_length=100, description="name of a catalogued strategy")
    bar_set_id: str = Field(min_length=1, max_length=200, description="bars to run on")
    params: dict[str, Any] = Field(default_factory=dict, description="parameters that differ from the strategy's defaults")
    policy: Literal["mt5", "reference"] = Field("mt5", description="fill policy; reference is backtesting.py's and knows no costs but the commission")
    account: AccountSpec = AccountSpec()
    costs: Costs = Costs()
    sizing: Sizing = Sizing()
    limits: Limits = Limits()
    model_id: str | None = Field(None, max_length=200, description="model of a strategy that trades one: id or name:version")
    finer_bar_set_id: str | None = Field(
        None, max_length=200, description="bars of a shorter timeframe that decide bars in which two outcomes are possible"
    )
    slippage_from: Literal["costs", "fills_median", "fills_p90"] = Field(
        "costs", description="costs: as stated there; fills: measured on the account's own stop fills, refused where there are fewer than 30"
    )
    conversion_bar_set_ids: tuple[str, ...] = Field((), max_length=8, description="bars that convert profit into the account's currency")
    name: str = Field("", max_length=200, description="the run's name; made from strategy, symbol and timeframe where empty")


def execute_backtest(home: Path, spec: BacktestSpec | Mapping[str, Any], progress: Progress | None = None) -> StoredRun:
    """Run a backtest, keep it, and note it in the trial ledger; a try that fails or is cancelled is noted too.

    What names an unknown strategy, parameter, bar set or model is refused before it is a try.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    spec : BacktestSpec or mapping
    progress : callable, optional
        Told how far the run is. A `jobs.Progress` also remembers the run's id, so that a retried job is one run and one trial.

    Returns
    -------
    StoredRun

    Raises
    ------
    BadInput
        If anything asked for is wrong; the message names it.
    NotFound
        If the bars or the model do not exist.
    """
    asked = spec if isinstance(spec, BacktestSpec) else parse_spec(spec)
    report = progress or silent
    prepared = load_inputs(home, asked, report)  # before anything is noted: what cannot be tried is no trial
    asked_in_full = asked.model_copy(update={"params": prepared.params.model_dump(mode="json")})
    run_id = kept_id(report, "run_id")
    try:
        run, result = _execute(Path(home), asked, prepared, run_id, report)
    except Exception as error:
        # A try counts whatever came of it: the number of tries is what deflates the best one.
        state: Literal["discarded", "failed"] = "discarded" if isinstance(error, JobCancelled) else "failed"
        _note(home, asked_in_full, run_id, state, {"error": str(error) or type(error).__name__}, None)
        raise
    _note(home, asked_in_full, run_id, "done", result.stats, result.stats["returns_digest"])
    get_log("backtest").info("backtest done", run=run.id, strategy=run.strategy, trades=run.trades, total_return=run.total_return)
    report(1.0, f"{run.trades} trades, return {run.total_return:+.2%}", trades=run.trades, total_return=run.total_return, sharpe=run.sharpe)
    return run


def parse_spec(document: Mapping[str, Any]) -> BacktestSpec:
    """A spec from a mapping.

    Raises
    ------
    BadInput
        Naming the first field that is wrong.
    """
    return parse_payload(BacktestSpec, document, whole="backtest")


@dataclass(frozen=True)
class Inputs:
    """What a spec names, found.

    Parameters
    ----------
    spec : BacktestSpec
    strategy : Strategy
    params : Params
        Defaults filled in.
    bar_set : BarSet
    bars : DataFrame
    instrument : Instrument
    conversion : dict of str to DataFrame
        Bars of other pairs by symbol.
    dataset_id : str or None
        What the model was trained on.
    costs : Costs, optional
        Those of the spec where there are none here, with the slippage of own fills where that is asked for.
    finer : FinerBars, optional
    """

    spec: BacktestSpec
    strategy: Strategy
    params: Params
    bar_set: BarSet
    bars: pd.DataFrame
    instrument: Instrument
    conversion: dict[str, pd.DataFrame]
    dataset_id: str | None
    costs: Costs | None = None
    finer: FinerBars | None = None


def load_inputs(home: Path, spec: BacktestSpec | Mapping[str, Any], progress: Progress | None = None, *, model_comes_later: bool = False) -> Inputs:
    """Find all that a spec names; where its model comes later, none need be named.

    Raises
    ------
    BadInput, NotFound, Refused
        Where something is wrong, missing or quarantined.
    """
    asked = spec if isinstance(spec, BacktestSpec) else parse_spec(spec)
    (progress or silent)(0.0, f"loading bars for {asked.strategy}")
    chosen = strategy(asked.strategy)
    params = chosen.parse(asked.params)
    if chosen.needs_model and asked.model_id is None and not model_comes_later:
        raise BadInput("model_id", f"strategy {chosen.name!r} trades a model's probabilities; name a model")
    bar_set, bars, conversion = _load_bars(Path(home), asked)
    dataset_id = None if asked.model_id is None else _dataset_of(Path(home), asked.model_id, bar_set)
    traded = instrument(bar_set.symbol)
    costs, finer = _measured_costs(Path(home), asked, traded), _finer_bars(Path(home), asked, bar_set)
    return Inputs(asked, chosen, params, bar_set, bars, traded, conversion, dataset_id, costs, finer)


def _measured_costs(home: Path, spec: BacktestSpec, traded: Instrument) -> Costs:
    """The costs of a spec; with the slippage of the account's own fills where that is asked for, refused where there are too few."""
    if spec.slippage_from == "costs":
        return spec.costs
    from components.backtest.slippage import slippage_from_fills

    return slippage_from_fills(home, traded).costs(spec.costs, at="median" if spec.slippage_from == "fills_median" else "p90")


def _finer_bars(home: Path, spec: BacktestSpec, bar_set: BarSet) -> FinerBars | None:
    if spec.finer_bar_set_id is None:
        return None
    from components.pipeline import PipelineStore, refuse_quarantined_origins

    store = PipelineStore.open(home)
    try:
        finer = store.bar_set(spec.finer_bar_set_id)
        if finer.symbol != bar_set.symbol:
            raise BadInput("finer_bar_set_id", f"{finer.id} is of {finer.symbol}, the run of {bar_set.symbol}; name bars of the same symbol")
        refuse_quarantined_origins(store, [finer])
        return FinerBars(store.load_bars(finer.id), Timeframe.named(finer.timeframe), Timeframe.named(bar_set.timeframe))
    finally:
        store.close()


def runner_for(home: Path, inputs: Inputs, progress: Progress | None = None) -> Runner:
    """A runner over what a spec names; a model is asked about all bars here, once."""
    spec = inputs.spec
    answers = None
    if spec.model_id is not None:
        from components.models import probabilities

        (progress or silent)(0.1, f"asking model {spec.model_id} about {len(inputs.bars):,} bars")
        answers = probabilities(Path(home), spec.model_id, inputs.bars)
    return runner_of(inputs, answers, reference=lambda: _reference_rates(Path(home)))


def runner_of(
    inputs: Inputs,
    probabilities: pd.DataFrame | None,
    *,
    reference: Reference | None,
    bars: pd.DataFrame | None = None,
    finer: FinerBars | None = None,
) -> Runner:
    """A runner of inputs by the rules of their spec; over `bars` and `finer` instead of their own where `bars` are given."""
    spec = inputs.spec
    return Runner(
        inputs.strategy,
        inputs.bars if bars is None else bars,
        instrument=inputs.instrument,
        account=spec.account,
        costs=inputs.costs or spec.costs,
        sizing=spec.sizing,
        limits=spec.limits,
        policy=spec.policy,
        probabilities=probabilities,
        conversion=inputs.conversion,
        reference=reference,
        finer=inputs.finer if bars is None else finer,
    )


def _reference_rates(home: Path) -> ReferenceRates:
    from components.pipeline import load_reference_rates

    return load_reference_rates(home)


def _execute(home: Path, spec: BacktestSpec, prepared: Inputs, run_id: str, report: Progress) -> tuple[StoredRun, Result]:
    chosen, bar_set = prepared.strategy, prepared.bar_set
    runner = runner_for(home, prepared, report)
    report(0.4, f"running {chosen.title} over {len(prepared.bars):,} bars")
    result = runner.run(prepared.params)
    report(0.9, f"storing {len(result.trades)} trades", trades=len(result.trades))
    run = StoredRun(
        id=run_id,
        name=spec.name or f"{chosen.title} on {bar_set.symbol} {bar_set.timeframe}",
        source="sequence",
        strategy=chosen.name,
        params=result.params,
        symbol=bar_set.symbol,
        timeframe=bar_set.timeframe,
        bar_set_id=bar_set.id,
        dataset_id=prepared.dataset_id,
        model_id=spec.model_id,
        policy=spec.policy,
        currency=spec.account.currency,
        spec={**spec.model_dump(mode="json"), "costs": (prepared.costs or spec.costs).model_dump(mode="json")},
        stats=result.stats,
        total_return=result.stats["total_return"],
        sharpe=result.stats["sharpe"],
        max_drawdown=result.stats["max_drawdown"],
        trades=result.stats["trades"],
        start_ms=bar_set.start_ms,
        end_ms=bar_set.end_ms,
        code_version=code_version(),
        created_ms=now_ms(),
    )
    store = BacktestStore.open(home)
    try:
        return store.add(run, result.trades, result.equity), result
    finally:
        store.close()


def _load_bars(home: Path, spec: BacktestSpec) -> tuple[BarSet, pd.DataFrame, dict[str, pd.DataFrame]]:
    from components.pipeline import PipelineStore, refuse_quarantined_origins

    store = PipelineStore.open(home)
    try:
        bar_set = store.bar_set(spec.bar_set_id)
        converting = [store.bar_set(other) for other in spec.conversion_bar_set_ids]
        refuse_quarantined_origins(store, [bar_set, *converting])
        conversion = {other.symbol: store.load_bars(other.id) for other in converting}
        return bar_set, store.load_bars(bar_set.id), conversion
    finally:
        store.close()


def _dataset_of(home: Path, model_id: str, bar_set: BarSet) -> str:
    """The dataset that the model was trained on; `BadInput` where the model speaks about another symbol."""
    from components.models import ModelStore

    store = ModelStore.open(home)
    try:
        model = store.get(model_id)
    finally:
        store.close()
    model.require_for(bar_set.symbol, bar_set.timeframe)
    return model.dataset_id


def _note(
    home: Path, spec: BacktestSpec, run_id: str, state: Literal["done", "failed", "discarded"], metrics: dict[str, Any], digest: str | None
) -> None:
    ledger = TrialLedger.open(home)
    # A retried job that failed before must be able to note its success as well.
    trial_id = run_id if state == "done" else f"{run_id}-{secrets.token_hex(3)}"
    try:
        ledger.append(
            spec.strategy, spec.strategy, spec.params, spec.bar_set_id, code_version(), "backtest", state, metrics, digest, trial_id=trial_id
        )
    finally:
        ledger.close()
