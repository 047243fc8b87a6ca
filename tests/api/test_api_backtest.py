"""Backtests over HTTP: queued, listed, judged, compared; reports of the Strategy Tester taken in."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from api_process import Api, raw

from components.backtest import BacktestStore, execute_backtest, execute_sweep
from components.jobs import JobStore, run_worker
from components.orchestrator import job_functions
from components.pipeline import collect

PREFIX = "/api/v1/backtest"


def ask(api: Api, method: str, path: str, sent: Any = None) -> tuple[int, Any]:
    status, _, content = raw(api, method, PREFIX + path, b"" if sent is None else orjson.dumps(sent))
    return status, orjson.loads(content)


@contextmanager
def worker_of(home: Path) -> Iterator[None]:
    """The worker's loop at work on that home."""
    stop = threading.Event()
    store = JobStore.open(home)
    at_work = threading.Thread(target=run_worker, args=(store, job_functions(home)), kwargs={"name": "a test", "stop": stop, "poll_s": 0.05})
    at_work.start()
    yield
    stop.set()
    at_work.join(30)


@pytest.fixture(scope="module")
def runs(shared_api: Api) -> list[str]:
    """Two kept backtests and a small sweep on the real hourly sample."""
    bar_set = collect(shared_api.home, "sample", "EURUSD", "H1")
    kept = [execute_backtest(shared_api.home, {"strategy": name, "bar_set_id": bar_set.id}).id for name in ("sma_cross", "atr_breakout")]
    execute_sweep(shared_api.home, {"strategy": "sma_cross", "bar_set_id": bar_set.id, "ranges": {"fast": [5, 10], "slow": [30, 40]}})
    return kept


def test_runs_their_trades_and_their_equity_are_read_page_by_page(shared_api: Api, runs: list[str]) -> None:
    status, listed = ask(shared_api, "GET", "/runs?limit=10")
    assert status == 200
    assert set(runs) <= {one["id"] for one in listed["runs"]}
    store = BacktestStore.open(shared_api.home)
    trades = store.trades(runs[0])
    _, first = ask(shared_api, "GET", f"/runs/{runs[0]}/trades?limit=20")
    _, second = ask(shared_api, "GET", f"/runs/{runs[0]}/trades?first=20&limit=20")
    assert first["total"] == len(trades)
    got = [row["net_profit"] for row in first["rows"] + second["rows"]]
    assert got == trades["net_profit"].tolist()[:40]
    assert first["rows"][0]["entry_time"] == trades["entry_time"].iloc[0].isoformat()
    _, equity = ask(shared_api, "GET", f"/runs/{runs[0]}/equity?limit=2")
    assert equity["total"] == 5000
    assert ask(shared_api, "GET", f"/runs/{runs[0]}")[1]["stats"]["trades"] == len(trades)


def test_a_run_comes_with_its_verdict_findings_slices_and_rank(shared_api: Api, runs: list[str]) -> None:
    _, verdict = ask(shared_api, "GET", f"/runs/{runs[0]}/verdict")
    assert verdict["word"] in ("believable", "doubtful", "not believable")
    assert verdict["reasons"]
    _, found = ask(shared_api, "GET", f"/runs/{runs[0]}/findings")
    assert all({"code", "severity", "finding", "fix"} <= set(one) for one in found["findings"])
    _, cut = ask(shared_api, "GET", f"/runs/{runs[0]}/slices")
    assert cut["slices"]
    _, leaders = ask(shared_api, "GET", "/leaderboard")
    assert set(runs) <= {row["run_id"] for row in leaders["rows"]}


def test_runs_are_compared_by_a_criterion(shared_api: Api, runs: list[str]) -> None:
    status, comparison = ask(shared_api, "POST", "/compare", {"ids": runs, "criterion": "dsr"})
    assert status == 200
    assert comparison["winner_id"] in runs
    status, refused = ask(shared_api, "POST", "/compare", {"ids": runs, "criterion": "luck"})
    assert (status, refused["error"]["field"]) == (400, "criterion")


def test_studies_are_listed_and_their_tables_read(shared_api: Api, runs: list[str]) -> None:
    _, listed = ask(shared_api, "GET", "/studies?kind=sweep")
    study = listed["studies"][0]
    _, whole = ask(shared_api, "GET", f"/studies/{study['id']}")
    assert "points" in whole["tables"]
    _, points = ask(shared_api, "GET", f"/studies/{study['id']}/points")
    assert points["total"] == 4
    status, missing = ask(shared_api, "GET", f"/studies/{study['id']}/nothing")
    assert (status, missing["error"]["code"]) == (404, "not_found")


def test_work_is_queued_and_done_by_a_worker(shared_api: Api, runs: list[str]) -> None:
    bar_set_id = BacktestStore.open(shared_api.home).run(runs[0]).bar_set_id
    status, job = ask(shared_api, "POST", "/jobs", {"kind": "backtest", "payload": {"strategy": "pullback", "bar_set_id": bar_set_id}})
    assert (status, job["state"]) == (200, "queued")
    with worker_of(shared_api.home):
        for _ in range(600):
            done = ask(shared_api, "GET", f"/jobs/{job['id']}")[1]
            if done["state"] not in ("queued", "running"):
                break
            time.sleep(0.2)
    assert done["state"] == "done", done["error"]
    assert ask(shared_api, "GET", f"/runs/{done['result']['run_id']}")[0] == 200
    _, waiting = ask(shared_api, "POST", "/jobs", {"kind": "backtest", "payload": {"strategy": "pullback", "bar_set_id": bar_set_id}})
    assert ask(shared_api, "POST", f"/jobs/{waiting['id']}/cancel", {"by": "a test"})[1]["state"] == "cancelled"


def test_what_could_not_begin_is_refused_before_it_is_queued(shared_api: Api) -> None:
    before = len(JobStore.open(shared_api.home).list())
    for kind, payload, field in (("train", {}, "kind"), ("backtest", {"strategy": "x"}, "bar_set_id"), ("sweep", {"strategi": "x"}, "strateg")):
        status, refused = ask(shared_api, "POST", "/jobs", {"kind": kind, "payload": payload})
        assert status == 400
        assert field in refused["error"]["field"]
    assert len(JobStore.open(shared_api.home).list()) == before


def test_a_report_that_is_none_is_refused_with_a_reason(shared_api: Api) -> None:
    for content in ("***", base64.b64encode(b"\x00\x01not a report").decode()):
        status, refused = ask(shared_api, "POST", "/reports", {"content": content})
        assert status == 400
        assert refused["error"]["message"]


def test_nothing_of_this_is_told_to_the_unsigned(shared_api: Api, runs: list[str]) -> None:
    for path in ("/runs", f"/runs/{runs[0]}", "/studies", "/leaderboard"):
        status, _, _ = raw(shared_api, "GET", PREFIX + path, headers={})
        assert status == 401
