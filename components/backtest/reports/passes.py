"""Optimisations as studies, every pass in the trial ledger: a best pass is the best of so many tries."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from components.backtest.reports.optimisation import FIXED, Optimisation
from components.backtest.store import BacktestStore
from components.backtest.studies import Study
from components.fx import NotFound
from components.ledger import TrialLedger, code_version

KIND = "mt5_optimisation_pass"


def keep_optimisation(home: Path, found: Optimisation, digest: str, name: str | None = None) -> Study:
    """Keep an optimisation: its passes as the table ``passes`` of a study, and each as a trial of its expert's family.

    Importing the same file again gives the same study and adds no trials.
    """
    facts, passes = found.facts, found.passes
    study_id = f"opt-{digest[:12]}"
    store, ledger = BacktestStore.open(home), TrialLedger.open(home)
    try:
        studies = store.studies
        try:
            known = studies.study(study_id)
            if known.state == "done":
                return known
        except NotFound:
            pass
        expert = facts["expert"] or "mt5"
        title = name or f"Optimisation of {' '.join(str(facts[key]) for key in ('expert', 'symbol', 'timeframe') if facts[key]) or expert}"
        spec = {**facts, "file": digest, "inputs": list(found.inputs), "passes": len(passes)}
        studies.start(Study(id=study_id, kind="optimisation", title=title, strategy=expert, spec=spec, code_version=code_version()))
        studies.keep_frame(study_id, "passes", passes)
        _note(ledger, found, study_id, expert)
        return studies.finish(study_id, "done", _summary(found))
    finally:
        store.close()
        ledger.close()


def _note(ledger: TrialLedger, found: Optimisation, study_id: str, expert: str) -> None:
    """Every pass as a trial; the Sharpe ratio and the drawdown are the terminal's own."""
    days = _weekdays(found)
    deposit = found.facts.get("deposit")
    version = code_version()
    rows = [
        {
            "family": expert, "strategy": expert, "params": {one: row[one] for one in found.inputs}, "dataset_id": None, "code_version": version,
            "kind": KIND, "state": "done", "returns_digest": None, "trial_id": f"{study_id}-{row['pass']}",
            "metrics": {
                "sharpe": _finite(row["sharpe_ratio"]), "sharpe_by": "mt5", "trades": row["trades"], "days": days, "net_profit": _finite(row["profit"]),
                "total_return": _finite(row["profit"] / deposit) if deposit else None, "max_drawdown": _finite(row["equity_drawdown_percent"] / 100.0),
            },
        }
        for row in found.passes.to_dict("records")
    ]  # fmt: skip
    ledger.append_many(rows)


def _summary(found: Optimisation) -> dict[str, Any]:
    passes = found.passes
    best = passes.iloc[int(passes["result"].to_numpy().argmax())].to_dict() if len(passes) else {}
    profit = passes["profit"].to_numpy(dtype=np.float64)
    results = passes.drop(columns="pass").drop(columns=list(found.inputs))
    return {
        "passes": len(passes),
        "profitable": int((profit > 0).sum()),
        "distinct": len(results.drop_duplicates()),
        "median_profit": float(np.median(profit)) if len(profit) else None,
        "best": {one: _plain(best[one]) for one in FIXED if one in best},
        "best_inputs": {one: _plain(best[one]) for one in found.inputs if one in best},
    }


def _weekdays(found: Optimisation) -> int | None:
    first, last = found.facts["from_day"], found.facts["to_day"]
    return int(np.busday_count(first, last)) if first and last else None


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _plain(value: Any) -> Any:
    plain = value.item() if hasattr(value, "item") else value
    return _finite(plain) if isinstance(plain, float) else plain
