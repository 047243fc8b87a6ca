"""Buttons do what they say, and only when they are clicked."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live_dashboard import ROOT, Dashboard, choose, click, environment, newest_job, run_dashboard, settle

from components.backtest import BacktestStore
from components.desk import DeskStore
from components.jobs import JobStore
from components.orchestrator import PlatformStore
from components.pipeline import PipelineStore

pytestmark = pytest.mark.slow

SHOWN_WITHIN_MS = 10_000


def test_collect_submits_a_job(acting_dashboard: Dashboard, page: Any) -> None:
    acting_dashboard.open(page, "data_streams")
    click(page, "Collect")
    page.get_by_text("collect · waiting").wait_for()
    job = newest_job(acting_dashboard.home)
    assert (job.kind, job.state, job.payload) == ("collect", "queued", {"source": "sample", "symbol": "EURUSD", "timeframe": "H1"})


def test_build_dataset_submits_the_recipe_of_the_form(acting_dashboard: Dashboard, page: Any) -> None:
    acting_dashboard.open(page, "data_streams?view=datasets")
    page.get_by_text("Build a dataset").click()
    page.get_by_role("spinbutton", name="horizon bars").fill("8")
    page.keyboard.press("Tab")
    settle(page)
    click(page, "Build dataset")
    page.get_by_text("dataset · waiting").wait_for()
    job = newest_job(acting_dashboard.home)
    assert job.kind == "dataset"
    assert job.payload["bar_set_id"] == PipelineStore.open(acting_dashboard.home).bar_sets()[0].id
    assert job.payload["recipe"]["target"]["horizon_bars"] == 8
    assert len(job.payload["recipe"]["features"]) > 15
    assert set(job.payload["recipe"]) == {"features", "target", "train_fraction", "embargo_bars", "normalise"}, "nothing that was not chosen"


def test_train_submits_the_parameters_of_the_form(acting_dashboard: Dashboard, page: Any) -> None:
    acting_dashboard.open(page, "neural_networks")
    page.get_by_role("spinbutton", name="folds").fill("4")
    page.keyboard.press("Tab")
    settle(page)
    click(page, "Train")
    page.get_by_text("train · waiting").wait_for()
    page.get_by_text(f"train job {newest_job(acting_dashboard.home).id} submitted.").wait_for()
    job = newest_job(acting_dashboard.home)
    assert job.kind == "train"
    assert job.payload["folds"] == 4
    assert job.payload["dataset_id"] == PipelineStore.open(acting_dashboard.home).datasets()[0].id


def test_cancel_takes_a_waiting_job_out_of_the_queue(acting_dashboard: Dashboard, page: Any) -> None:
    jobs = JobStore.open(acting_dashboard.home)
    for job in jobs.list("queued"):
        jobs.cancel(job.id)
    job = jobs.submit("train", {"dataset_id": "any"})
    acting_dashboard.open(page, "neural_networks")
    click(page, "Cancel")
    page.get_by_text("Nothing waits and nothing runs.").wait_for()
    assert jobs.get(job.id).state == "cancelled"


def test_run_backtest_submits_the_spec_of_the_form(acting_dashboard: Dashboard, page: Any) -> None:
    acting_dashboard.open(page, "fx_analytics")
    page.get_by_text("Run a backtest").click()
    page.get_by_role("spinbutton", name="slow").fill("40")
    page.keyboard.press("Tab")
    settle(page)
    click(page, "Run backtest")
    page.get_by_text("backtest · waiting").wait_for()
    assert page.get_by_role("spinbutton", name="slow").is_visible(), "the form stays open"
    job = newest_job(acting_dashboard.home)
    assert job.kind == "backtest"
    assert (job.payload["strategy"], job.payload["policy"], job.payload["params"]["slow"]) == ("sma_cross", "mt5", 40)
    assert set(job.payload["costs"]) >= {"spread_points", "slippage_points", "commission_per_lot", "swap"}


def test_parameters_that_contradict_each_other_are_told_and_nothing_is_submitted(acting_dashboard: Dashboard, page: Any) -> None:
    before = newest_job(acting_dashboard.home).id
    acting_dashboard.open(page, "fx_analytics")
    page.get_by_text("Run a backtest").click()
    page.get_by_role("spinbutton", name="fast").fill("400")
    page.keyboard.press("Tab")
    settle(page)
    click(page, "Run backtest")
    page.get_by_text("must be below slow").wait_for()
    page.get_by_text("Correct the input and try again.").wait_for()
    assert newest_job(acting_dashboard.home).id == before


def test_compare_stores_a_comparison_by_the_chosen_criterion(acting_dashboard: Dashboard, page: Any) -> None:
    store = BacktestStore.open(acting_dashboard.home)
    before = len(store.comparisons())
    acting_dashboard.open(page, "fx_analytics?view=comparison")
    choose(page, "compare-by", "smallest drawdown")
    click(page, "Compare")
    page.get_by_text("has the smallest drawdown of").wait_for()
    comparisons = store.comparisons()
    assert len(comparisons) == before + 1
    assert comparisons[0].criterion == "drawdown"


def test_halt_reduce_and_resume_change_the_trading_state_and_keep_the_reason(acting_dashboard: Dashboard, page: Any) -> None:
    desk = DeskStore.open(acting_dashboard.home)
    acting_dashboard.open(page, "")
    page.get_by_placeholder("why (it is kept)").fill("the spread is too wide")
    page.keyboard.press("Tab")
    settle(page)
    click(page, "HALT")
    page.get_by_text("no signal is issued").wait_for()
    assert desk.trading_state() == "HALTED"
    assert desk.state_history(1)[0].reason == "the spread is too wide"
    assert page.locator(".st-key-halt button").is_disabled()
    click(page, "REDUCE")
    page.get_by_text("positions are only closed").wait_for()
    assert desk.trading_state() == "REDUCING"
    click(page, "RESUME")
    page.get_by_text("signals are issued").wait_for()
    assert desk.trading_state() == "ACTIVE"
    page.locator(".st-key-resume button:disabled").wait_for()


@pytest.mark.parametrize("path", ["", "data_streams", "neural_networks", "fx_analytics", "research_lab", "infrastructure"])
def test_a_state_that_is_changed_from_outside_is_shown_within_seconds(acting_dashboard: Dashboard, page: Any, path: str) -> None:
    desk = DeskStore.open(acting_dashboard.home)
    acting_dashboard.open(page, path)
    assert page.get_by_text("no signal is issued").count() == 0
    try:
        desk.halt("changed from outside")
        page.get_by_text("no signal is issued").wait_for(timeout=SHOWN_WITHIN_MS)
        desk.reduce("changed again")
        page.get_by_text("positions are only closed").wait_for(timeout=SHOWN_WITHIN_MS)
    finally:
        desk.resume("the test is over")
    page.get_by_text("positions are only closed").wait_for(state="detached", timeout=SHOWN_WITHIN_MS)


def test_arm_and_disarm_change_the_deployment(acting_dashboard: Dashboard, page: Any) -> None:
    desk = DeskStore.open(acting_dashboard.home)
    one = next(deployment for deployment in desk.deployments() if deployment.state == "disarmed")
    acting_dashboard.open(page, "infrastructure")
    page.locator(f".st-key-arm-{one.id} button").click()
    page.locator(f".st-key-disarm-{one.id} button").wait_for()
    assert desk.deployment(one.id).state == "armed"
    page.locator(f".st-key-disarm-{one.id} button").click()
    page.locator(f".st-key-arm-{one.id} button").wait_for()
    assert desk.deployment(one.id).state == "disarmed"


def test_the_deployments_are_drawn_anew_by_themselves(acting_dashboard: Dashboard, page: Any) -> None:
    desk = DeskStore.open(acting_dashboard.home)
    one = next(deployment for deployment in desk.deployments() if deployment.state == "disarmed")
    acting_dashboard.open(page, "infrastructure")
    page.locator(f".st-key-arm-{one.id} button").wait_for()
    desk.arm(one.id)
    page.locator(f".st-key-disarm-{one.id} button").wait_for(timeout=10_000)
    desk.disarm(one.id)


def test_archive_puts_a_disarmed_deployment_away(acting_dashboard: Dashboard, page: Any) -> None:
    desk = DeskStore.open(acting_dashboard.home)
    spec = next(deployment.spec for deployment in desk.deployments() if deployment.state == "disarmed")
    one = desk.create(spec)
    acting_dashboard.open(page, "infrastructure")
    page.locator(f".st-key-archive-{one.id} button").first.click()
    page.locator(f".st-key-archive-{one.id} button").first.wait_for(state="detached")
    assert one.id not in {deployment.id for deployment in desk.deployments()}


def test_a_deployment_is_made_from_a_backtest_with_its_parameters(acting_dashboard: Dashboard, page: Any) -> None:
    desk = DeskStore.open(acting_dashboard.home)
    known = {deployment.id for deployment in desk.deployments()}
    acting_dashboard.open(page, "infrastructure")
    page.get_by_text("Create a deployment").click()
    page.get_by_text("a backtest", exact=True).click()
    settle(page)
    page.get_by_placeholder("the account's number or name").fill("account-77")
    page.keyboard.press("Tab")
    settle(page)
    click(page, "Create deployment")
    page.get_by_text("account-77").first.wait_for()
    made = [deployment for deployment in desk.deployments() if deployment.id not in known]
    run = next(run for run in BacktestStore.open(acting_dashboard.home).runs() if run.source == "sequence" and run.bar_set_id)
    assert [(one.account_id, one.state, one.strategy) for one in made] == [("account-77", "disarmed", run.strategy)]
    assert made[0].spec.params == run.params


def test_a_deployment_without_an_account_is_refused_in_words(acting_dashboard: Dashboard, page: Any) -> None:
    acting_dashboard.open(page, "infrastructure")
    page.get_by_text("Create a deployment").click()
    click(page, "Create deployment")
    page.get_by_text("account_id").first.wait_for()
    assert page.locator('[data-testid="stException"]').count() == 0


def test_twin_replay_is_told_in_words(acting_dashboard: Dashboard, page: Any) -> None:
    one = DeskStore.open(acting_dashboard.home).deployments()[0]
    acting_dashboard.open(page, "infrastructure")
    page.locator(f".st-key-twin-{one.id} button").first.click()
    said = page.get_by_text("Nothing to compare yet")
    said.wait_for()
    page.get_by_text("missing: never dealt with").wait_for()
    page.wait_for_timeout(4_000)
    assert said.is_visible(), "it stays while the deployments are drawn anew"


def test_what_a_click_on_a_deployment_could_not_do_stays_told(acting_dashboard: Dashboard, page: Any) -> None:
    one = DeskStore.open(acting_dashboard.home).deployments()[1]
    acting_dashboard.open(page, "infrastructure")
    page.locator(f".st-key-twin-{one.id} button").first.click()
    said = page.get_by_text("start its terminal first")
    said.wait_for()
    page.wait_for_timeout(4_000)
    assert said.is_visible()


def test_processes_are_shown_while_a_supervisor_writes_them_and_called_gone_after(acting_dashboard: Dashboard, page: Any) -> None:
    store = PlatformStore.open(acting_dashboard.home)
    acting_dashboard.open(page, "")
    gone = page.get_by_text("No supervisor is running.")
    gone.wait_for()
    give_up = time.monotonic() + 30
    while gone.is_visible():
        store.replace_processes(store.processes())
        assert time.monotonic() < give_up
        page.wait_for_timeout(300)
    gone.wait_for(timeout=30_000)


@pytest.fixture
def fresh_dashboard(tmp_path: Path) -> Iterator[Dashboard]:
    home = tmp_path / "output_central"
    home.mkdir()
    yield from run_dashboard(home)


def test_on_an_empty_platform_a_click_and_a_worker_bring_the_first_bars(fresh_dashboard: Dashboard, page: Any) -> None:
    fresh_dashboard.open(page, "data_streams")
    page.get_by_text("No bars are collected yet.").wait_for()
    click(page, "Collect")
    with (fresh_dashboard.home.parent / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "components", "worker"], cwd=ROOT, env=environment(fresh_dashboard.home), stdout=log, stderr=log
        )
    try:
        page.get_by_text("collect done").wait_for()
        page.locator(".st-key-coverage .js-plotly-plot:has(.main-svg)").wait_for()
        page.get_by_text("bars and quality", exact=True).click()
        page.get_by_text("99.99 of 100").wait_for()
        page.locator(".st-key-prices .js-plotly-plot:has(.main-svg)").wait_for()
    finally:
        worker.terminate()
        worker.wait(20)
