"""The four views of the Research Lab in a real browser: what they show on an empty and on a seeded platform, and what their buttons do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from live_dashboard import Dashboard, choose, click, in_table, newest_job, no_jobs, nothing_failed, sees, settle

from components.backtest import BacktestStore, Point, Study, audit_strategy
from components.fx import Timeframe, instrument
from components.jobs import JobStore
from components.ledger import TrialLedger, groups
from components.pipeline import PipelineStore
from components.strategy import strategy

pytestmark = pytest.mark.slow

VIEWS = ("sweep", "walk-forward", "look-ahead audit", "trials and models")
EMPTY = {
    "sweep": ["There are no bars to run on.", "No sweep has been run yet.", "Press “Run sweep” above"],
    "walk-forward": ["No walk-forward has been run yet.", "Press “Run walk-forward” above"],
    "look-ahead audit": ["Nothing has been audited yet.", "Press “Run audit” above"],
    "trials and models": ["Nothing has been tried yet.", "No model is trained yet."],
}
SEEDED = {
    "sweep": ["Best of 33", "Spike:", "Over the parameters", "chance that the choice is overfitted", "Best points"],
    "walk-forward": ["out of sample", "efficiency", "Equity out of sample", "How the chosen parameters move", "The windows"],
    "look-ahead audit": ["Passed: nothing looks ahead.", "Decisions one bar late", "Warm-up"],
    "trials and models": ["Append-only", "Newest failed trial: sma_cross", "Models against naive baselines"],
}
CHARTS = {"sweep": 2, "walk-forward": 4, "look-ahead audit": 1, "trials and models": 3}


def view(dashboard: Dashboard, page: Any, name: str) -> None:
    dashboard.open(page, f"research_lab?view={name}")
    nothing_failed(page)


def fill(page: Any, label: str, value: str, place: int = 0) -> None:
    page.get_by_role("spinbutton", name=label).nth(place).fill(value)
    page.keyboard.press("Tab")
    settle(page)


def drawn(page: Any, key: str) -> dict[str, Any]:
    """Data of a chart, as the browser has it."""
    chart = page.locator(f'[class*="st-key-{key}"] .js-plotly-plot:has(.main-svg)').first
    chart.wait_for()
    found: dict[str, Any] = chart.evaluate(
        "one => ({names: one.data.map(t => t.name), x: one._fullData.map(t => Array.from(t.x || [])), types: one.data.map(t => t.type),"
        " z: one._fullData.map(t => Array.from(t.z || []).map(r => Array.from(r))), shapes: (one.layout.shapes || []).length})"
    )
    return found


def test_every_view_of_an_empty_platform_says_what_to_press(empty_dashboard: Dashboard, page: Any) -> None:
    for name in VIEWS:
        view(empty_dashboard, page, name)
        text = page.locator('[data-testid="stMain"]').inner_text()
        for words in EMPTY[name]:
            assert words in text, (name, words)


def test_every_view_of_a_seeded_platform_shows_its_content(seeded_dashboard: Dashboard, page: Any) -> None:
    for name, words in SEEDED.items():
        view(seeded_dashboard, page, name)
        for one in words:
            sees(page, one)
        page.locator(".js-plotly-plot:has(.main-svg)").nth(CHARTS[name] - 1).wait_for()
        nothing_failed(page)


def test_the_surface_shows_the_chosen_measure(seeded_dashboard: Dashboard, page: Any) -> None:
    view(seeded_dashboard, page, "sweep")
    before = drawn(page, "surface-1")
    assert (before["types"], before["x"][0], before["shapes"]) == (["heatmap"], ["5", "10", "15", "20", "25"], 1)
    study = BacktestStore.open(seeded_dashboard.home).studies.studies("sweep")[0]
    choose(page, f"surface-metric-{study.id}", "trades (count)")
    settle(page)
    after = drawn(page, "surface-1")
    assert after["z"] != before["z"]
    counts = [value for row in after["z"][0] for value in row if value is not None]
    assert min(counts) > 50, "counts of trades, no longer Sharpe ratios"


def test_a_sweep_is_planned_queued_and_cancelled(acting_dashboard: Dashboard, page: Any) -> None:
    no_jobs(acting_dashboard.home)
    view(acting_dashboard, page, "sweep")
    page.get_by_text("Run a sweep").click()
    settle(page)
    sees(page, "34 points; 2 combinations left out that the strategy does not allow. Each is a backtest")
    fill(page, "values (count)", "3")
    sees(page, "17 points; 1 combination left out")
    fill(page, "from", "500")
    sees(page, "is above high")
    click(page, "Run sweep")
    sees(page, "Correct the input and try again.")
    assert newest_job(acting_dashboard.home).kind != "sweep" or newest_job(acting_dashboard.home).is_over
    fill(page, "from", "6")
    click(page, "Run sweep")
    sees(page, "sweep · waiting")
    job = newest_job(acting_dashboard.home)
    assert job.kind == "sweep"
    assert job.payload["ranges"] == {"fast": {"low": 6, "high": 20, "count": 3}, "slow": {"low": 15, "high": 60, "count": 6}}
    assert set(job.payload["params"]) == {"atr_period", "stop_atr", "target_atr"}
    assert (job.payload["method"], job.payload["criterion"], job.payload["min_trades"]) == ("grid", "sharpe", 30)
    click(page, "Cancel")
    page.get_by_text("sweep · waiting").wait_for(state="detached")
    assert newest_job(acting_dashboard.home).state == "cancelled"


def test_a_sweep_that_runs_shows_its_points_and_how_far_it_is(acting_dashboard: Dashboard, page: Any) -> None:
    no_jobs(acting_dashboard.home)
    home = acting_dashboard.home
    bar_set = PipelineStore.open(home).bar_sets()[0]
    studies = BacktestStore.open(home).studies
    study = studies.start(
        Study("f" * 17, "sweep", "a sweep that runs", "sma_cross", bar_set.id, spec={"ranges": {"fast": None}}, created_ms=4_000_000_000_000)
    )
    metrics = {"sharpe": 0.5, "total_return": 0.1, "max_drawdown": 0.2, "trades": 40}
    studies.add_points(study.id, [Point(number, {"fast": 5 + number}, "done", {**metrics, "sharpe": 0.1 * number}) for number in range(4)])
    jobs = JobStore.open(home)
    job = jobs.submit("sweep", {"strategy": "sma_cross"})
    assert jobs.claim_job("a test", ["sweep"]) is not None
    jobs.heartbeat(job.id, "a test", 0.4, "4 of 10 points", {"best": 0.3})
    view(acting_dashboard, page, "sweep")
    sees(page, "sweep · 40% · 4 of 10 points")
    sees(page, "It is running: what stands here is what it has found so far.")
    assert drawn(page, "surface-f")["x"][0] == [5, 6, 7, 8]
    nothing_failed(page)
    jobs.fail(job.id, "a test", "the test is over")
    studies.finish(study.id, "cancelled", {})


def test_a_walk_forward_is_planned_and_queued_in_every_mode(acting_dashboard: Dashboard, page: Any) -> None:
    no_jobs(acting_dashboard.home)
    view(acting_dashboard, page, "walk-forward")
    page.get_by_text("Run a walk-forward").click()
    settle(page)
    sees(page, "5 windows, the first trained on")
    fill(page, "windows", "8")
    sees(page, "8 windows, the first trained on")
    click(page, "Run walk-forward")
    sees(page, "walkforward · waiting")
    job = newest_job(acting_dashboard.home)
    assert (job.kind, job.payload["mode"], job.payload["windows"]) == ("walkforward", "rolling", 8)
    assert set(job.payload["ranges"]) == {"fast", "slow"}
    page.get_by_text("combinatorial: purged cross-validation").click()
    settle(page)
    sees(page, "15 windows")
    click(page, "Run walk-forward")
    settle(page)
    job = newest_job(acting_dashboard.home)
    assert (job.payload["mode"], job.payload["groups"], job.payload["test_groups"]) == ("combinatorial", 6, 2)
    assert "windows" not in job.payload
    no_jobs(acting_dashboard.home)


def test_the_windows_of_a_rolling_walk_forward_are_stitched(seeded_dashboard: Dashboard, page: Any) -> None:
    view(seeded_dashboard, page, "walk-forward")
    newest = BacktestStore.open(seeded_dashboard.home).studies.studies("walkforward")[0]
    choose(page, f"walkforward-study-{newest.id}", "rolling")
    chart = drawn(page, "walk-equity")
    assert chart["shapes"] == 5, "four borders and the start"
    assert drawn(page, "walk-windows")["x"][0] == ["1", "2", "3", "4"]
    nothing_failed(page)


def test_trials_are_counted_over_the_whole_ledger_however_many_there_are(acting_dashboard: Dashboard, page: Any) -> None:
    ledger = TrialLedger.open(acting_dashboard.home)
    rule = {"family": "fibonacci", "strategy": "fibonacci", "dataset_id": None, "code_version": "v"}
    ledger.append_many(
        {**rule, "params": {"n": number}, "kind": "sweep_point", "state": "discarded", "metrics": {"sharpe": 77.0}} for number in range(2_500)
    )
    counted = groups(ledger)
    families = {one.family for one in counted}
    of = {state: sum(one.trials for one in counted if one.state == state) for state in ("done", "failed", "discarded")}
    assert of["failed"] > 0
    assert len(families) > 1, "older families are not among the newest trials"
    view(acting_dashboard, page, "trials and models")
    for name, trials in {"trials": ledger.count(), **of}.items():
        tile = page.locator('[data-testid="stMetric"]').filter(has=page.get_by_text(name, exact=True))
        assert tile.locator('[data-testid="stMetricValue"]').inner_text() == f"{trials:,}", name
    for family in families:
        page.locator(".st-key-families_shown").get_by_text(family, exact=True).wait_for()
    in_table(page, "sharpe 77.00")
    sees(page, "The newest 2,000 trials are shown.")
    sees(page, "Newest failed trial: sma_cross")
    page.locator(".st-key-families_shown").get_by_text("sma_cross", exact=True).click()
    settle(page)
    assert page.get_by_text("The newest 2,000 trials are shown.").count() == 0
    assert page.get_by_text("sharpe 77.00").count() == 0, "no trial of the other family"
    page.locator(".st-key-families_shown").get_by_text("sma_cross", exact=True).click()
    page.locator(".st-key-families_shown").get_by_text("fibonacci", exact=True).click()
    settle(page)
    assert page.get_by_text("Newest failed trial").count() == 0
    nothing_failed(page)


def test_an_audit_is_queued_for_a_strategy_and_for_a_run(acting_dashboard: Dashboard, page: Any) -> None:
    no_jobs(acting_dashboard.home)
    view(acting_dashboard, page, "look-ahead audit")
    page.get_by_text("Audit a strategy").click()
    settle(page)
    fill(page, "cuts", "6")
    click(page, "Run audit")
    sees(page, "audit · waiting")
    job = newest_job(acting_dashboard.home)
    assert (job.kind, job.payload["strategy"], job.payload["cuts"]) == ("audit", "sma_cross", 6)
    page.get_by_text("what a kept run was asked for").click()
    settle(page)
    click(page, "Run audit")
    settle(page)
    payload = newest_job(acting_dashboard.home).payload
    assert set(payload) >= {"run_id", "cuts"}
    assert "strategy" not in payload
    no_jobs(acting_dashboard.home)


def test_a_strategy_that_looks_ahead_is_shown_with_its_column_function_and_line(acting_dashboard: Dashboard, page: Any) -> None:
    home = acting_dashboard.home
    pipeline = PipelineStore.open(home)
    bar_set = pipeline.bar_sets()[0]
    bars = pipeline.load_bars(bar_set.id).tail(600)
    honest = strategy("sma_cross")

    def cheat(bars: Any, context: Any, params: Any) -> Any:
        wished = honest.decide(bars, context, params)
        return replace(wished, side=(bars["close"].shift(-1) > bars["close"]).to_numpy().astype("int8"))

    report = audit_strategy(replace(honest, decide=cheat), None, bars, instrument=instrument("EURUSD"), cuts=3, dense=10, timeframe=Timeframe.H1)
    assert not report.passed
    studies = BacktestStore.open(home).studies
    study = studies.start(Study("e" * 17, "audit", "audit of a cheat", "sma_cross", bar_set.id, created_ms=4_000_000_000_000))
    studies.finish(study.id, "done", report.document())
    view(acting_dashboard, page, "look-ahead audit")
    sees(page, "Looks ahead: side in")
    sees(page, "Column side, function")
    sees(page, "test_research_lab.py:")
    assert "shift(-1)" in page.locator('[data-testid="stCode"]').first.inner_text()
    nothing_failed(page)
