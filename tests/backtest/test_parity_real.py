"""All four strategies on the 5,000 real bars: the step under `reference` gives backtesting.py's trades."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from parity import compare_with_backtesting

from components.fx import AccountSpec, EventKind, ExitKind, instrument
from components.fx import book as b
from components.pipeline import DatasetRecipe, build_dataset, collect
from components.risk import Limits, Sizing
from components.strategy import Context, strategy

EURUSD = instrument("EURUSD")
RUNS: dict[str, dict[str, Any]] = {
    "sma_cross": {"fast": 8, "slow": 21, "stop_atr": 1.5, "target_atr": 3.0},
    "atr_breakout": {"channel": 20, "stop_atr": 2.5, "target_atr": 3.0, "break_even_at": 1.0},
    "pullback": {"leave_on_turn": False, "stop_atr": 2.0, "target_atr": 3.0},
    "model_edge": {"edge": 0.05, "stop_atr": 2.0, "target_atr": 3.0},
}


def exits_of(events: np.ndarray) -> dict[str, int]:
    """How many exits there were of each kind that a parity test must have; a gap is a stop or target that filled beyond its level."""
    closed = events[events[:, b.E_KIND] == EventKind.CLOSED]
    kind, price, level = closed[:, b.E_EXIT], closed[:, b.E_PRICE], closed[:, b.E_LEVEL]
    return {
        "trades": len(closed),
        "stop": int((kind == ExitKind.STOP).sum()),
        "target": int((kind == ExitKind.TARGET).sum()),
        "gap": int((np.isfinite(level) & (price != level)).sum()),
        "reversal": int((kind == ExitKind.REVERSAL).sum()),
    }


def assert_parity_test_is_one(events: np.ndarray) -> None:
    """At least 50 trades, with a stop, a target, a gap and a reversal among their exits: anything less shows nothing."""
    found = exits_of(events)
    assert found["trades"] >= 50, found
    assert all(found[name] >= 1 for name in ("stop", "target", "gap", "reversal")), found


@pytest.mark.parametrize("margin_mode", ["hedging", "netting"])
@pytest.mark.parametrize("places", [1, 3])
@pytest.mark.parametrize("name", RUNS)
def test_the_trades_equal_those_of_backtesting_py(
    name: str, places: int, margin_mode: Any, real_bars: pd.DataFrame, rule_probabilities: pd.DataFrame
) -> None:
    chosen = strategy(name)
    params = chosen.parse(RUNS[name])
    decisions = chosen.decide(real_bars, Context(EURUSD, rule_probabilities), params)
    manage, manage_params = chosen.managing(params)
    assert (manage is not None) == (name == "atr_breakout")
    account = AccountSpec("USD", 10_000.0, 30.0, margin_mode)
    trades, step = compare_with_backtesting(
        real_bars, decisions, EURUSD, account, Sizing(risk_fraction=0.004, max_positions=places), Limits(), manage, manage_params
    )
    assert_parity_test_is_one(step.events)
    assert len(trades) >= 50
    if manage is not None:
        assert (step.events[:, b.E_KIND] == EventKind.MODIFIED).any(), "no stop was moved to break-even"


@pytest.mark.slow
def test_the_trades_of_a_trained_model_equal_those_of_backtesting_py(home: Path) -> None:
    from components.models import probabilities
    from components.pipeline import PipelineStore
    from components.training import TrainSpec, train

    bar_set = collect(home, "sample", "EURUSD", "H1")
    dataset = build_dataset(home, bar_set.id, DatasetRecipe(train_fraction=0.5))
    from components.jobs import Progress

    trained = train(home, TrainSpec(dataset_id=dataset.id).model_dump(mode="json"), Progress())
    bars = PipelineStore.open(home).load_bars(bar_set.id)
    answers = probabilities(home, str(trained["model_id"]), bars)
    chosen = strategy("model_edge")
    decisions = chosen.decide(bars, Context(EURUSD, answers), chosen.parse({"edge": 0.02, "stop_atr": 1.0, "target_atr": 1.5}))
    trades, step = compare_with_backtesting(bars, decisions, EURUSD, AccountSpec(), Sizing(risk_fraction=0.004, max_positions=3), Limits())
    assert_parity_test_is_one(step.events)
    assert trades["entry_bar"].min() > dataset.train_rows, "it traded bars on which it was trained"
