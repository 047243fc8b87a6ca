"""Backtests of several strategies and symbols on one account that are kept: load, run, store, note in the trial ledger."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from components.backtest.execute import BacktestSpec, Inputs, load_inputs
from components.backtest.store import BacktestStore, StoredRun
from components.backtest.work import Progress, kept_id, silent
from components.base import get_log, now_ms
from components.execution import Costs
from components.fx import AccountSpec, parse_payload
from components.jobs import JobCancelled
from components.ledger import TrialLedger, code_version
from components.risk import Limits, Sizing

FAMILY = "portfolio"


class LegSpec(BaseModel):
    """One strategy on one symbol of the account."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: str = Field(min_length=1, max_length=100, description="name of a catalogued strategy")
    bar_set_id: str = Field(min_length=1, max_length=200, description="bars to run on; all legs need the same timeframe")
    params: dict[str, Any] = Field(default_factory=dict, description="parameters that differ from the strategy's defaults")
    model_id: str | None = Field(None, max_length=200, description="model of a strategy that trades one: id or name:version")


class PortfolioSpec(BaseModel):
    """One backtest of several legs on one account, under the `mt5` policy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    legs: tuple[LegSpec, ...] = Field(min_length=1, max_length=28, description="strategies and their bars")
    account: AccountSpec = AccountSpec()
    costs: Costs = Costs()
    sizing: Sizing = Sizing()
    limits: Limits = Limits()
    conversion_bar_set_ids: tuple[str, ...] = Field((), max_length=8, description="bars that convert profit into the account's currency")
    name: str = Field("", max_length=200, description="the run's name; made from the legs where empty")


def parse_portfolio(document: Mapping[str, Any]) -> PortfolioSpec:
    """A spec from a mapping.

    Raises
    ------
    BadInput
        Naming the first field that is wrong.
    """
    return parse_payload(PortfolioSpec, document, whole="portfolio")


def execute_portfolio(home: Path, spec: PortfolioSpec | Mapping[str, Any], progress: Progress | None = None) -> StoredRun:
    """Run several legs on one account, keep the run, and note it in the trial ledger; a try that fails is noted too.

    The kept run has the strategy ``portfolio``; its trades have the columns ``leg symbol strategy`` in front.

    Raises
    ------
    BadInput, NotFound, Refused
        Where something that a leg names is wrong, missing or quarantined.
    """
    asked = spec if isinstance(spec, PortfolioSpec) else parse_portfolio(spec)
    report = progress or silent
    report(0.0, f"loading bars of {len(asked.legs)} legs")
    legs = [load_inputs(home, _as_backtest(asked, leg), report) for leg in asked.legs]
    run_id = kept_id(report, "run_id")  # a retried job is one run and one trial
    try:
        run = _run(Path(home), asked, legs, run_id, report)
    except Exception as error:
        state = "discarded" if isinstance(error, JobCancelled) else "failed"
        _note(home, asked, legs, f"{run_id}-{secrets.token_hex(3)}", state, {"error": str(error) or type(error).__name__}, None)
        raise
    _note(home, asked, legs, run_id, "done", {k: v for k, v in run.stats.items() if k != "legs"}, run.stats["returns_digest"])
    get_log("backtest").info("portfolio done", run=run.id, legs=len(legs), trades=run.trades, total_return=run.total_return)
    report(1.0, f"{run.trades} trades, return {run.total_return:+.2%}", trades=run.trades, total_return=run.total_return, sharpe=run.sharpe)
    return run


def _as_backtest(spec: PortfolioSpec, leg: LegSpec) -> BacktestSpec:
    return BacktestSpec(
        **leg.model_dump(), account=spec.account, costs=spec.costs, sizing=spec.sizing, limits=spec.limits,
        conversion_bar_set_ids=spec.conversion_bar_set_ids,
    )  # fmt: skip


def _run(home: Path, spec: PortfolioSpec, legs: list[Inputs], run_id: str, report: Progress) -> StoredRun:
    from components.backtest.portfolio import Leg, run_portfolio
    from components.models import probabilities
    from components.pipeline import load_reference_rates

    answers = []
    for place, one in enumerate(legs):
        report(0.1 + 0.3 * place / len(legs), f"{one.strategy.title} on {one.bar_set.symbol} {one.bar_set.timeframe}")
        answers.append(None if one.spec.model_id is None else probabilities(home, one.spec.model_id, one.bars))
    report(0.4, f"running {len(legs)} legs over {max(len(one.bars) for one in legs):,} bars")
    result = run_portfolio(
        [Leg(one.strategy, one.bars, one.instrument, one.params, answer) for one, answer in zip(legs, answers, strict=True)],
        account=spec.account,
        costs=spec.costs,
        sizing=spec.sizing,
        limits=spec.limits,
        conversion={symbol: frame for one in legs for symbol, frame in one.conversion.items()},
        reference=lambda: load_reference_rates(home),
    )
    report(0.9, f"storing {len(result.trades)} trades", trades=len(result.trades))
    symbols = list(dict.fromkeys(one.bar_set.symbol for one in legs))
    run = StoredRun(
        id=run_id,
        name=spec.name or " + ".join(f"{one.strategy.title} {one.bar_set.symbol}" for one in legs)[:200],
        source="sequence",
        strategy=FAMILY,
        params={
            "legs": [{**leg.model_dump(mode="json"), "params": one.params.model_dump(mode="json")} for leg, one in zip(spec.legs, legs, strict=True)]
        },
        symbol="+".join(symbols),
        timeframe=legs[0].bar_set.timeframe,
        bar_set_id=None,
        dataset_id=None,
        model_id=None,
        policy="mt5",
        currency=spec.account.currency,
        spec=spec.model_dump(mode="json"),
        stats=result.stats,
        total_return=result.stats["total_return"],
        sharpe=result.stats["sharpe"],
        max_drawdown=result.stats["max_drawdown"],
        trades=result.stats["trades"],
        start_ms=min(one.bar_set.start_ms for one in legs),
        end_ms=max(one.bar_set.end_ms for one in legs),
        code_version=code_version(),
        created_ms=now_ms(),
    )
    store = BacktestStore.open(home)
    try:
        return store.add(run, result.trades, result.equity)
    finally:
        store.close()


def _note(home: Path, spec: PortfolioSpec, legs: list[Inputs], trial_id: str, state: Any, metrics: dict[str, Any], digest: str | None) -> None:
    params = {
        "legs": [{**leg.model_dump(mode="json"), "params": one.params.model_dump(mode="json")} for leg, one in zip(spec.legs, legs, strict=True)]
    }
    bars = "+".join(dict.fromkeys(one.bar_set.id for one in legs))
    ledger = TrialLedger.open(home)
    try:
        ledger.append(FAMILY, FAMILY, params, bars, code_version(), "backtest", state, metrics, digest, trial_id=trial_id)
    finally:
        ledger.close()
