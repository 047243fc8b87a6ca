"""Walk-forwards at the command line and as jobs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "orchestrator"))

from command import Command, refused
from walk_worlds import FAST_TO_WARM, kept, walk_bars

from components.backtest.store import BacktestStore
from components.fx import BadInput
from components.jobs import Progress
from components.orchestrator.kinds import job_functions, parsed


def test_a_job_walks_and_says_what_came_of_it(home: Path) -> None:
    payload = {
        "strategy": "sma_cross",
        "bar_set_id": kept(home, walk_bars(900, 3)),
        "params": FAST_TO_WARM,
        "ranges": {"fast": [5, 10]},
        "windows": 2,
    }
    assert parsed("walkforward", payload) == payload
    answer = job_functions(home)["walkforward"](payload, Progress())
    study = BacktestStore.open(home).studies.study(answer["study_id"])
    assert (study.kind, study.state, study.spec["ranges"], answer["windows"]) == ("walkforward", "done", {"fast": [5, 10]}, 2)
    assert answer["efficiency"] == study.result["efficiency"]


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"strategy": "sma_cross"}, "bar_set_id"),
        ({"strategy": "sma_cross", "bar_set_id": "b", "ranges": {"fast": [900]}}, "ranges.fast"),
        ({"strategy": "sma_cross", "bar_set_id": "b", "ranges": {"pace": [9]}}, "ranges.pace"),
        ({"strategy": "moon", "bar_set_id": "b"}, "strategy"),
        ({"strategy": "sma_cross", "bar_set_id": "b", "params": {"fast": 90}}, "params"),
    ],
)
def test_a_job_that_cannot_begin_is_refused_at_the_door(payload: dict[str, object], field: str) -> None:
    with pytest.raises(BadInput) as error:
        parsed("walkforward", payload)
    assert error.value.field == field


@pytest.mark.slow
def test_the_command_line_walks_lists_and_shows(home: Path) -> None:
    bar_set_id = kept(home, walk_bars(900, 3))
    sequence = Command(home)
    common = ("walkforward", "run", "sma_cross", "--bars", bar_set_id, "-p", "atr_period=5", "--set", "min_trades=1")
    rolling = sequence.json(*common, "--range", "fast=5:15:5", "--train-bars", "400", "--test-bars", "150")
    crossed = sequence.json(*common, "--range", "fast=5,10", "--mode", "combinatorial", "--groups", "4", "--test-groups", "1")
    assert (rolling["points"], rolling["windows"], crossed["windows"]) == (3, 3, 4)
    listed = sequence.json("walkforward", "list")
    assert [one["id"] for one in listed] == [crossed["study_id"], rolling["study_id"]]
    assert sequence.json("walkforward", "show", rolling["study_id"])["result"]["efficiency"] == rolling["efficiency"]
    assert len(sequence.json("walkforward", "show", rolling["study_id"], "--windows")) == 3
    told, windows, lines, wrong, queued = sequence.many(
        ("walkforward", "show", rolling["study_id"]),
        ("walkforward", "show", rolling["study_id"], "--windows"),
        ("walkforward", "list"),
        (*common, "--range", "fast=5:15:5", "--train-bars", "5000"),
        (*common, "--range", "fast=5", "--queue"),
    )
    assert "efficiency" in told.stdout
    assert "fast=" in windows.stdout
    assert rolling["study_id"] in lines.stdout
    refused(wrong, 2, "do not fit")
    assert "queued" in queued.stdout
