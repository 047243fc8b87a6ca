"""Nothing is backtested or deployed on bars that were quarantined, unless a person released them."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.backtest import execute_backtest
from components.desk import DeploymentSpec, DeskStore
from components.fx import Refused
from components.pipeline import PipelineStore, build_dataset, collect, resample_bar_set


@pytest.fixture
def quarantined(home: Path) -> str:
    bars = collect(home, "sample", "EURUSD", "H1")
    PipelineStore.open(home).set_state(bars.id, "quarantined", "a person", "the clock is doubtful")
    return bars.id


def test_what_is_built_on_quarantined_bars_is_refused_everywhere_and_says_how_to_go_on(home: Path, quarantined: str) -> None:
    deployment = DeploymentSpec(account_id="demo-1", symbol="EURUSD", strategy="sma_cross", bar_set_id=quarantined)
    doors = {
        "backtest": lambda: execute_backtest(home, {"strategy": "sma_cross", "bar_set_id": quarantined}),
        "dataset": lambda: build_dataset(home, quarantined),
        "resample": lambda: resample_bar_set(home, quarantined, "H4"),
        "deployment": lambda: DeskStore.open(home).create(deployment),
    }
    for name, door in doors.items():
        with pytest.raises(Refused, match="release") as refused:
            door()
        assert refused.value.code == "quarantined", name


def test_a_person_who_releases_them_lets_them_be_used_and_stays_on_record(home: Path, quarantined: str) -> None:
    store = PipelineStore.open(home)
    store.set_state(quarantined, "released", "Ada", "compared with another broker")
    run = execute_backtest(home, {"strategy": "sma_cross", "bar_set_id": quarantined})
    assert run.trades > 100
    assert [(one.state, one.by, one.reason) for one in store.states(quarantined)] == [
        ("quarantined", "a person", "the clock is doubtful"),
        ("released", "Ada", "compared with another broker"),
    ]
