"""The five views of FX Analytics in a real browser: what they show on an empty and on a seeded platform, and what their buttons do."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

import pytest
from live_dashboard import Dashboard, choose, click, newest_job, no_jobs, nothing_failed, run_dashboard, sees, settle
from seed_studies import page_of_tester

from components.backtest import BacktestStore, StoredRun, execute_backtest, execute_portfolio
from components.fx import Timeframe
from components.jobs import JobStore
from components.pipeline import keep_bars
from tests.pipeline.lookalikes import minute_walk

pytestmark = pytest.mark.slow

VIEWS = ("runs", "one run", "comparison", "leaderboard", "Strategy Tester")
EMPTY = {
    "runs": ["There are no bars to run on.", "No backtest has been run yet."],
    "one run": ["No backtest has been run yet."],
    "comparison": ["A comparison needs two runs."],
    "leaderboard": ["No backtest has been run yet."],
    "Strategy Tester": ["No report has been imported yet.", "Drop a file above and press “Import”.", "A comparison needs a run of ours"],
}
SEEDED = {
    "runs": ["Runs", "2 of them imported from other programs", "5 lost money"],
    "comparison": ["Winner:", "Against the winner", "may be chance"],
    "leaderboard": ["deflated Sharpe ratio", "Sharpe ratio beside that of luck alone"],
    "Strategy Tester": [
        "From our profit to theirs",
        "What to change so that they agree",
        "UTC+2, UTC+3 in summer",
        "Trade by trade",
        "Imported optimisations",
    ],
}
CHARTS = {"runs": 0, "comparison": 1, "leaderboard": 1, "Strategy Tester": 1}
MANY_BARS, MANY_TRADES = 370_000, 14_000
SHOWN_S = 40.0


def view(dashboard: Dashboard, page: Any, name: str, **more: str) -> None:
    query = "&".join([f"view={name}", *(f"{key}={value}" for key, value in more.items())])
    dashboard.open(page, f"fx_analytics?{query}")
    nothing_failed(page)


def said(page: Any) -> str:
    return str(page.locator('[data-testid="stMain"]').inner_text())


def our_run(home: Path, strategy: str = "sma_cross") -> StoredRun:
    store = BacktestStore.open(home)
    try:
        return next(run for run in store.runs(200) if run.strategy == strategy and run.source == "sequence")
    finally:
        store.close()


def drawn(page: Any, key: str) -> dict[str, Any]:
    """Data of a chart, as the browser has it."""
    chart = page.locator(f'[class*="st-key-{key}"] .js-plotly-plot:has(.main-svg)').first
    chart.wait_for()
    found: dict[str, Any] = chart.evaluate("one => ({names: one.data.map(t => t.name), x: one.data.map(t => Array.from(t.x || []).length)})")
    return found


def test_every_view_of_an_empty_platform_says_what_to_press(empty_dashboard: Dashboard, page: Any) -> None:
    for name in VIEWS:
        view(empty_dashboard, page, name)
        for words in EMPTY[name]:
            assert words in said(page), (name, words)


def test_every_view_of_a_seeded_platform_shows_its_content(seeded_dashboard: Dashboard, page: Any) -> None:
    for name, words in SEEDED.items():
        view(seeded_dashboard, page, name)
        for one in words:
            sees(page, one)
        if CHARTS[name]:
            page.locator(".js-plotly-plot:has(.main-svg)").nth(CHARTS[name] - 1).wait_for()
        nothing_failed(page)


def test_the_runs_have_their_verdict_and_the_sharpe_ratio_beside_what_is_left_of_it(seeded_dashboard: Dashboard, page: Any) -> None:
    view(seeded_dashboard, page, "runs")
    # A table's cells are there for a screen reader.
    grid = page.locator('.st-key-runs [data-testid="stDataFrame"]')
    grid.get_by_text("not believable", exact=True).first.wait_for(state="attached")
    heads = grid.locator('[role="columnheader"]').all_text_contents()
    assert [one for one in heads if one in ("verdict", "Sharpe (a year)", "DSR", "N tried")] == ["verdict", "Sharpe (a year)", "DSR", "N tried"]
    assert grid.get_by_text("doubtful", exact=True).count() == 1


def test_a_run_begins_with_its_verdict_and_all_reasons(seeded_dashboard: Dashboard, page: Any) -> None:
    run = our_run(seeded_dashboard.home)
    view(seeded_dashboard, page, "one run", run=run.id)
    sees(page, "Not believable:")
    text = said(page)
    for words in (
        "loses money: -4.4%",
        "This strategy loses money here",
        "effective",
        "Executions",
        "Equity and drawdown",
        "Return by month (%)",
        "Diagnosis",
        "What to do:",
        "Crises, regimes and times",
        "Monte Carlo and luck",
        "deflated Sharpe",
        "Its entries against random ones",
        "Overfitting of its sweep",
        "How it was run",
    ):
        assert words in text, words
    assert text.index("Not believable:") < text.index("net profit")
    assert {"long entry", "short entry", "exit: stop"} <= set(drawn(page, "executions")["names"])
    assert "as it ran" in drawn(page, "fan")["names"]
    drawn(page, "months")
    page.get_by_text("Hour (UTC)", exact=True).click()
    settle(page)
    assert drawn(page, "slices-chart")["x"] == [24]
    nothing_failed(page)


def test_a_backtest_is_queued_with_stop_out_slippage_and_swap(acting_dashboard: Dashboard, page: Any) -> None:
    no_jobs(acting_dashboard.home)
    view(acting_dashboard, page, "runs")
    page.get_by_text("Run a backtest").click()
    for label, value in (("stop-out level", "20"), ("slippage points", "2"), ("commission per lot", "3.5")):
        page.get_by_role("spinbutton", name=label).fill(value)
        page.keyboard.press("Tab")
    page.get_by_text("Swap of your broker").click()
    page.get_by_role("spinbutton", name="swap long").fill("-6")
    page.keyboard.press("Tab")
    settle(page)
    click(page, "Run backtest")
    sees(page, "backtest · waiting")
    payload = newest_job(acting_dashboard.home).payload
    assert payload["account"]["stop_out_level"] == 0.2
    costs = payload["costs"]
    assert (costs["slippage_points"], costs["commission_per_lot"], costs["swap_long"]) == (2.0, 3.5, -6.0)
    assert "swap_short" not in costs, "what was left empty is not asked for"
    assert "swap_mode" not in costs
    click(page, "Cancel")
    page.get_by_text("backtest · waiting").wait_for(state="detached")
    assert newest_job(acting_dashboard.home).state == "cancelled"


def test_several_strategies_on_one_account_are_queued_and_shown_leg_by_leg(acting_dashboard: Dashboard, page: Any) -> None:
    no_jobs(acting_dashboard.home)
    view(acting_dashboard, page, "runs")
    page.get_by_text("Run several on one account").click()
    settle(page)
    choose(page, "portfolio-1-strategy", "ATR breakout")
    click(page, "Run on one account")
    sees(page, "portfolio · waiting")
    payload = newest_job(acting_dashboard.home).payload
    assert [leg["strategy"] for leg in payload["legs"]] == ["sma_cross", "atr_breakout"]
    no_jobs(acting_dashboard.home)
    run = execute_portfolio(acting_dashboard.home, payload)
    view(acting_dashboard, page, "one run", run=run.id)
    first = sum(drawn(page, "executions")["x"])
    choose(page, f"leg-{run.id}", "atr_breakout")
    assert sum(drawn(page, "executions")["x"]) != first
    nothing_failed(page)


def test_an_examination_is_queued_and_shows_how_far_it_is(acting_dashboard: Dashboard, page: Any) -> None:
    no_jobs(acting_dashboard.home)
    jobs, run = JobStore.open(acting_dashboard.home), our_run(acting_dashboard.home, "atr_breakout")
    view(acting_dashboard, page, "one run", run=run.id)
    sees(page, "This run has not been examined yet.")
    click(page, "Examine this run")
    sees(page, "honesty · waiting")
    job = newest_job(acting_dashboard.home)
    assert (job.kind, job.payload) == ("honesty", {"run_id": run.id})
    assert jobs.claim_job("a test", ["honesty"]) is not None
    jobs.heartbeat(job.id, "a test", 0.25, "drawing trades")
    sees(page, "honesty · 25% · drawing trades")
    click(page, "Cancel")
    sees(page, "· stopping")
    assert jobs.get(job.id).cancel_requested
    jobs.fail(job.id, "a test", "the test is over")


def test_a_run_that_was_not_audited_offers_it_and_one_that_was_does_not(acting_dashboard: Dashboard, page: Any) -> None:
    no_jobs(acting_dashboard.home)
    run = our_run(acting_dashboard.home, "atr_breakout")
    view(acting_dashboard, page, "one run", run=run.id)
    click(page, "Audit it for look-ahead")
    sees(page, "audit · waiting")
    job = newest_job(acting_dashboard.home)
    assert (job.kind, job.payload) == ("audit", {"run_id": run.id})
    choose(page, "run", "SMA cross on EURUSD")
    sees(page, "79% chance that the choice of its parameters is overfitted")
    page.get_by_role("button", name="Audit it for look-ahead").wait_for(state="detached")
    no_jobs(acting_dashboard.home)


def test_runs_are_compared_by_the_deflated_sharpe_ratio(acting_dashboard: Dashboard, page: Any) -> None:
    store = BacktestStore.open(acting_dashboard.home)
    before = len(store.comparisons())
    view(acting_dashboard, page, "comparison")
    choose(page, "compare-by", "highest deflated Sharpe ratio")
    click(page, "Compare")
    sees(page, "has the highest deflated Sharpe ratio of")
    found = store.comparisons()
    assert len(found) == before + 1
    assert found[0].criterion == "dsr"
    nothing_failed(page)


def upload(page: Any, name: str, content: bytes) -> None:
    page.locator('input[type="file"]').set_input_files([{"name": name, "mimeType": "text/html", "buffer": content}])
    page.get_by_text(name).first.wait_for()
    settle(page)


def test_a_report_of_the_tester_is_imported_and_one_that_contradicts_itself_is_refused(acting_dashboard: Dashboard, page: Any) -> None:
    no_jobs(acting_dashboard.home)
    home = acting_dashboard.home
    run = our_run(home, "atr_breakout")
    report = page_of_tester(home, run)
    view(acting_dashboard, page, "Strategy Tester")
    before = len(BacktestStore.open(home).runs(200))
    upload(page, "broken.html", page_of_tester(home, run, {"4.11": "12 345.67"}))
    click(page, "Import")
    sees(page, "Correct the input and try again.")
    assert len(BacktestStore.open(home).runs(200)) == before
    upload(page, "report.html", report)
    page.get_by_role("textbox", name="name of the run").fill("their breakout")
    page.keyboard.press("Tab")
    settle(page)
    click(page, "Import")
    sees(page, "of the report checked and right")
    kept = BacktestStore.open(home).runs(1)[0]
    assert (kept.name, kept.source) == ("their breakout", "imported")
    page.locator('[class*="st-key-tester-compare"] button').click()
    sees(page, "mt5_compare · waiting")
    assert newest_job(home).payload == {"run_id": run.id, "report_run_id": kept.id}, "the run of the same strategy is offered first"
    nothing_failed(page)


def test_the_waterfall_goes_from_our_profit_to_theirs(seeded_dashboard: Dashboard, page: Any) -> None:
    view(seeded_dashboard, page, "Strategy Tester")
    chart = page.locator('[class*="st-key-waterfall"] .js-plotly-plot:has(.main-svg)').first
    names = chart.evaluate("one => Array.from(one.data[0].x)")
    amounts = chart.evaluate("one => Array.from(one.data[0].y)")
    assert (names[0], names[-1]) == ("our profit", "their profit")
    assert sum(amounts[:-1]) == pytest.approx(amounts[-1], abs=0.01)
    assert "commission" in names
    assert "missing" in names


def downloaded(page: Any, label: str) -> bytes:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=label).first.click()
    return Path(waiting.value.path()).read_bytes()


def test_a_run_is_downloaded_as_tables_a_page_and_signals(seeded_dashboard: Dashboard, page: Any) -> None:
    run = our_run(seeded_dashboard.home)
    view(seeded_dashboard, page, "one run", run=run.id)
    sees(page, "Exports")
    trades = list(csv.DictReader(io.StringIO(downloaded(page, "Trades (CSV)").decode())))
    assert len(trades) == run.trades
    equity = list(csv.DictReader(io.StringIO(downloaded(page, "Equity (CSV)").decode())))
    assert float(equity[-1]["equity"]) == pytest.approx(run.stats["final_equity"])
    document = downloaded(page, "Report (HTML)").decode()
    assert "not believable" in document
    assert "<script" not in document
    page.get_by_text("Signals for MetaTrader").click()
    click(page, "Make the file")
    lines = downloaded(page, "Signals (CSV").decode().splitlines()
    assert lines[0].startswith("time,id,action,symbol")
    assert sum(",open," in line for line in lines) >= run.trades - 1
    nothing_failed(page)


def test_a_run_of_14_000_trades_over_370_000_bars_is_usable(tmp_path: Path, page: Any) -> None:
    home = tmp_path / "output_central"
    home.mkdir()
    bars = minute_walk("2019-01-01T22:00", MANY_BARS, 3, first=112_000, step=6, wick=3)
    kept = keep_bars(home, "made here", "EURUSD", Timeframe.M1, bars, 100.0, {}, made_by={"kind": "collected"})
    costs = {"spread_points": 0, "swap": "none"}
    asked = {"strategy": "sma_cross", "bar_set_id": kept.id, "params": {"fast": 5, "slow": 15}, "costs": costs}
    run = execute_backtest(home, {**asked, "sizing": {"mode": "fixed", "fixed_lots": 0.01}})
    assert run.trades > MANY_TRADES
    for dashboard in run_dashboard(home):
        began = time.monotonic()
        view(dashboard, page, "one run", run=run.id)
        overview, window = drawn(page, "overview"), drawn(page, "executions")
        took = time.monotonic() - began
        print(f"{took:.1f} s")
        assert took < SHOWN_S
        assert max(overview["x"]) < 10_000
        assert max(window["x"]) <= 20_000
        sees(page, f"Trades no. {run.trades - 99:,} to {run.trades:,} are drawn.")
        first = page.get_by_role("spinbutton", name="from trade no.")
        first.fill("5000")
        page.keyboard.press("Tab")
        settle(page)
        sees(page, "Trades no. 5,000 to 5,099 are drawn.")
        nothing_failed(page)
