"""The whole examination of a kept run, kept as a study of kind ``honesty``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from components.backtest.execute import Inputs, load_inputs, parse_spec
from components.backtest.honesty.bootstrap import superior_ability
from components.backtest.honesty.daily import balance_of
from components.backtest.honesty.entries import entry_significance
from components.backtest.honesty.luck import luck_of
from components.backtest.honesty.montecarlo import METHODS, PERCENTILES, costlier_profits, trade_paths, trade_returns
from components.backtest.honesty.overfitting import backtest_overfitting
from components.backtest.honesty.resampling import bar_paths
from components.backtest.honesty.sharpe import annualised
from components.backtest.honesty.sweeps import newest_sweep
from components.backtest.store import BacktestStore, StoredRun
from components.backtest.studies import Study
from components.backtest.work import Progress, kept_id, silent
from components.fx import BadInput, NotFound, Refused, parse_payload
from components.ledger import code_version

Document = dict[str, Any]
MOST_BLOCKS = 16
DAYS_PER_BLOCK = 2
DEARER = 0.5
"""Share by which an assumed spread is taken wider: it has no percentiles of its own."""


class HonestySpec(BaseModel):
    """What to examine, and how often to draw."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    run_id: str = Field(min_length=1, max_length=200, description="a kept run")
    draws: int = Field(1_000, ge=100, le=100_000, description="draws of each bootstrap (count)")
    bar_draws: int = Field(100, ge=0, le=10_000, description="resampled markets on which the strategy is run again; 0 for none (count)")
    block_days: float = Field(5.0, ge=1, le=250, description="mean length of the blocks of resampled bars (days)")
    skip: float = Field(0.1, ge=0, lt=1, description="chance of a trade to be left out")
    percentile: float = Field(95.0, ge=50, le=100, description="percentile of the costs that every trade pays (percent)")
    ruin: float = Field(0.5, gt=0, le=1, description="fall from the peak that counts as ruin (share)")
    deep: float = Field(0.2, gt=0, le=1, description="drawdown whose probability is told (share)")
    seed: int = Field(0, ge=0, le=2**32 - 1, description="of all draws")


def parse_honesty(document: Mapping[str, Any]) -> HonestySpec:
    """A spec from a mapping.

    Raises
    ------
    BadInput
        Naming the first field that is wrong.
    """
    return parse_payload(HonestySpec, document, whole="honesty")


def examine(home: Path, spec: HonestySpec | Mapping[str, Any], progress: Progress | None = None) -> Study:
    """Examine a kept run with every statistic that applies to it.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    spec : HonestySpec or mapping
        At least ``run_id``.
    progress : callable, optional
        A `jobs.Progress` remembers the study, so that a job that is retried goes on after the last part that was done; it may cancel.

    Returns
    -------
    Study
        Of kind ``honesty`` about the run. Its `result` has ``sharpe``, ``trials`` and ``dsr`` (see `luck_of`), ``montecarlo`` (by method, see
        `TradePaths.facts`), ``bars``, ``entries``, ``spa``, ``pbo``, and ``skipped``: part → why it does not apply. Its tables: ``montecarlo``
        (fans by ``method``), ``montecarlo_draws``, ``bars``, ``entries``, ``pbo``.

    Raises
    ------
    BadInput
        If anything asked for is wrong.
    NotFound
        If the run, or its trades, are gone.
    """
    asked = spec if isinstance(spec, HonestySpec) else parse_honesty(spec)
    report = progress or silent
    store = BacktestStore.open(home)
    try:
        run = store.run(asked.run_id)
        study = store.studies.start(
            Study(
                kept_id(report),
                "honesty",
                f"Examination of {run.name}",
                strategy=run.strategy,
                bar_set_id=run.bar_set_id,
                run_id=run.id,
                spec=asked.model_dump(mode="json"),
                code_version=code_version(),
            )
        )
        try:
            result = _Examination(Path(home), store, run, asked, study, report).result()
        except BaseException as error:
            from components.jobs import JobCancelled

            state = store.studies.study(study.id).result
            store.studies.finish(
                study.id, "cancelled" if isinstance(error, JobCancelled) else "failed", {**state, "error": str(error) or type(error).__name__}
            )
            raise
        report(1.0, _sentence(result))
        return store.studies.finish(study.id, "done", result)
    finally:
        store.close()


class _Examination:
    """One examination while it runs: its parts in order, each kept as it is done."""

    def __init__(self, home: Path, store: BacktestStore, run: StoredRun, asked: HonestySpec, study: Study, report: Progress) -> None:
        self.home, self.store, self.run, self.asked, self.study, self.report = home, store, run, asked, study, report
        self.trades = store.trades(run.id)
        self._inputs: Inputs | None = None

    def result(self) -> Document:
        """What all parts found; a part that an earlier attempt finished is not done again."""
        parts: tuple[tuple[str, float, str, Callable[[Callable[[float], None]], Document]], ...] = (
            ("luck", 0.02, "counting the tries", lambda _: luck_of(self.store, self.run)),
            ("montecarlo", 0.25, "drawing trades", self._montecarlo),
            ("entries", 0.35, "drawing entries", self._entries),
            ("spa", 0.40, "testing the best of the sweep", self._spa),
            ("pbo", 0.45, "splitting the sweep", self._pbo),
            ("bars", 1.0, "running on resampled bars", self._bars),
        )
        done: Document = {name: part for name, part in self.study.result.items() if name != "error"}
        done.setdefault("skipped", {})
        begin = 0.0
        for name, end, words, part in parts:
            self.report(begin, words)
            if name not in done and name not in done["skipped"]:
                try:
                    found = part(self._within(begin, end, words))
                except (BadInput, NotFound, Refused) as error:  # what does not apply to this run; all else ends the examination
                    done["skipped"][name] = error.message.removeprefix(f"{error.field}: " if isinstance(error, BadInput) else "")
                else:
                    done |= {**found, "luck": True} if name == "luck" else {name: found}
                self.store.studies.finish(self.study.id, "running", done)
            begin = end
        return {name: part for name, part in done.items() if name != "luck"}

    def _within(self, begin: float, end: float, words: str) -> Callable[[float], None]:
        return lambda share: self.report(begin + (end - begin) * share, words)

    def _montecarlo(self, tell: Callable[[float], None]) -> Document:
        balance, nets = balance_of(self.run), self.trades["net_profit"].to_numpy(dtype=np.float64)
        found: Document = {}
        fans, draws = [], []
        for place, method in enumerate(METHODS):
            returns = trade_returns(self._costlier() if method == "costs" else nets, balance)
            paths = trade_paths(
                returns,
                method,
                draws=self.asked.draws,
                skip=self.asked.skip,
                seed=self.asked.seed,
                report=lambda share, place=place: tell((place + share) / len(METHODS)),  # type: ignore[misc]
            )
            found[method] = paths.facts(self.asked.ruin, self.asked.deep)
            fans.append(paths.fan.assign(method=method))
            draws.append(pd.DataFrame({"method": method, "final": paths.final, "drawdown": paths.drawdown}))
        found["costs"]["net_profit"] = float(self._costlier().sum())
        self.store.studies.keep_frame(self.study.id, "montecarlo", pd.concat(fans, ignore_index=True))
        self.store.studies.keep_frame(self.study.id, "montecarlo_draws", pd.concat(draws, ignore_index=True))
        return found

    def _costlier(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Net profits at dearer costs: a percentile of the spread where the bars carry one, half as much again where it was assumed."""
        if self.run.bar_set_id is None or self.run.policy != "mt5":
            return costlier_profits(self.trades, self.asked.percentile)
        inputs = self._loaded()
        assumed = inputs.spec.costs.spread_points
        if "spread_points" not in inputs.bars:
            return costlier_profits(self.trades, self.asked.percentile, point=inputs.instrument.point, extra_points=DEARER * assumed)
        spread = inputs.bars["spread_points"].to_numpy(dtype=np.float64)
        return costlier_profits(self.trades, self.asked.percentile, np.where(np.isfinite(spread), spread, assumed), inputs.instrument.point)

    def _entries(self, tell: Callable[[float], None]) -> Document:
        if self.run.bar_set_id is None:
            raise NotFound("the run was made elsewhere: its bars are not here to draw entries from")
        test = entry_significance(self._loaded().bars, self.trades, draws=self.asked.draws, seed=self.asked.seed, report=tell)
        self.store.studies.keep_frame(self.study.id, "entries", pd.DataFrame({"mean": test.means}))
        return {name: value for name, value in vars(test).items() if name != "means"}

    def _spa(self, tell: Callable[[float], None]) -> Document:
        swept = newest_sweep(self.store, self.run.strategy, self.run.bar_set_id)
        if swept is None:
            raise NotFound(f"there is no sweep of {self.run.strategy} over these bars to take the best of")
        found = superior_ability(swept.returns, draws=self.asked.draws, seed=self.asked.seed)
        return {**vars(found), "best": swept.numbers[found.best], "study_id": swept.study_id, "strategies": len(swept.numbers)}

    def _pbo(self, tell: Callable[[float], None]) -> Document:
        swept = newest_sweep(self.store, self.run.strategy, self.run.bar_set_id)
        if swept is None:
            raise NotFound(f"there is no sweep of {self.run.strategy} over these bars to split")
        blocks = min(MOST_BLOCKS, len(swept.days) // DAYS_PER_BLOCK // 2 * 2)
        found = backtest_overfitting(swept.returns, blocks, tell)
        table = {"logit": found.logits, "sharpe_in": annualised(1.0) * found.chosen_in, "sharpe_out": annualised(1.0) * found.chosen_out}
        self.store.studies.keep_frame(self.study.id, "pbo", pd.DataFrame(table))
        return {
            "probability": found.probability,
            "slope": found.slope,
            "intercept": annualised(found.intercept),
            "loss_probability": found.loss_probability,
            "strategies": found.strategies,
            "days": found.observations,
            "blocks": found.blocks,
            "splits": found.splits,
            "study_id": swept.study_id,
        }

    def _bars(self, tell: Callable[[float], None]) -> Document:
        if self.run.bar_set_id is None:
            raise NotFound("the run was made elsewhere: its strategy is not here to run again")
        if not self.asked.bar_draws:
            raise NotFound("no resampled bars were asked for: bar_draws is 0")
        asked = self.asked
        paths = bar_paths(self.home, self._loaded(), draws=asked.bar_draws, block_days=asked.block_days, seed=asked.seed, report=tell)
        self.store.studies.keep_frame(self.study.id, "bars", paths.frame())
        found: Document = {"draws": asked.bar_draws, "block_days": asked.block_days}
        for name in ("total_return", "sharpe", "drawdown"):
            values = np.percentile(getattr(paths, name), PERCENTILES)
            found[name] = {f"p{p}": float(value) for p, value in zip(PERCENTILES, values, strict=True)}
        found["loss_probability"] = float(np.mean(paths.total_return < 0))
        found["deep_probability"] = float(np.mean(paths.drawdown > asked.deep))
        # How many resampled markets did as well: where most did, what lasts longer than a block is not what earns it.
        found["as_good"] = float(np.mean(paths.sharpe >= self.run.sharpe))
        return found

    def _loaded(self) -> Inputs:
        if self._inputs is None:
            self._inputs = load_inputs(self.home, parse_spec(self.run.spec))
        return self._inputs


def _sentence(result: Document) -> str:
    dsr, tries = result.get("dsr"), result["trials"]
    if not dsr:
        return "examined; its returns are too few for a Sharpe ratio"
    return f"examined: deflated Sharpe {dsr['effective']:.3f} after {tries['raw']:,} tries ({tries['effective']:.0f} effective)"
