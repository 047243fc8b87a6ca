"""Studies are kept with their points and tables, and a retried study goes on with what it has."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.backtest import BacktestStore, Point, Study
from components.fx import BadInput, NotFound


def test_a_study_keeps_its_points_tables_and_end(tmp_path: Path) -> None:
    studies = BacktestStore.open(tmp_path).studies
    studies.start(Study("a1", "sweep", "a sweep", strategy="sma_cross", spec={"seed": 1}))
    returns = np.array([0.1, -0.2])
    studies.add_points("a1", [Point(1, {"fast": 3}, "done", {"sharpe": 1.5}, returns.tobytes()), Point(0, {"fast": 2}, "failed", {"error": "no"})])
    studies.add_points("a1", [Point(1, {"fast": 9}, "done", {"sharpe": 9.9})])
    assert [(one.number, one.params, one.returns) for one in studies.points("a1")] == [(0, {"fast": 2}, None), (1, {"fast": 3}, None)]
    assert np.frombuffer(studies.points("a1", with_returns=True)[1].returns or b"").tolist() == [0.1, -0.2]
    times = pd.date_range("2024-01-01", periods=2, tz="UTC")
    studies.keep_frame("a1", "equity", pd.DataFrame({"time": times, "equity": [1.0, 2.0]}))
    ended = studies.finish("a1", "done", {"best": 1})
    assert (ended.state, ended.result, ended.finished_ms is not None) == ("done", {"best": 1}, True)
    again = BacktestStore.open(tmp_path).studies
    assert again.frame("a1", "equity")["time"].tolist() == list(times)
    assert again.frames("a1") == ("equity",)


def test_a_study_that_is_started_again_keeps_what_it_has(tmp_path: Path) -> None:
    studies = BacktestStore.open(tmp_path).studies
    first = studies.start(Study("a1", "sweep", "a sweep", spec={"seed": 1}))
    assert studies.start(Study("a1", "sweep", "another", spec={"seed": 2})) == first


def test_studies_are_listed_newest_first_by_kind_and_run(tmp_path: Path) -> None:
    studies = BacktestStore.open(tmp_path).studies
    for at, (name, kind, run) in enumerate([("a", "sweep", None), ("b", "audit", "r1"), ("c", "sweep", "r1")]):
        studies.start(Study(name, kind, name, run_id=run, created_ms=1000 + at))
    assert [one.id for one in studies.studies()] == ["c", "b", "a"]
    assert [one.id for one in studies.studies("sweep")] == ["c", "a"]
    assert [one.id for one in studies.studies(run_id="r1")] == ["c", "b"]


def test_an_unknown_kind_study_or_table_is_named(tmp_path: Path) -> None:
    studies = BacktestStore.open(tmp_path).studies
    with pytest.raises(BadInput, match="swep"):
        Study("a", "swep", "x")
    with pytest.raises(NotFound, match="zz"):
        studies.study("zz")
    studies.start(Study("a", "sweep", "x"))
    with pytest.raises(NotFound, match="gone"):
        studies.frame("a", "points")
