"""The five views of Data Streams in a real browser: what they show on an empty and on a seeded platform, and what their buttons do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from live_dashboard import Dashboard, choose, click, in_table, newest_job, nothing_failed, run_dashboard, sees, settle

from components.fx import Timeframe
from components.jobs import JobStore
from components.pipeline import BarSet, PipelineStore, keep_bars, score_quality
from tests.pipeline.lookalikes import bars_at, histdata_m1, minute_walk, trading_ms

pytestmark = pytest.mark.slow

VIEWS = ["sources", "bars and quality", "features", "datasets", "rates and news"]
EMPTY = {
    "sources": ["No bars are collected yet.", "Press “Collect” below"],
    "bars and quality": ["No bars are collected yet.", "Collect some in the view “sources”"],
    "features": ["Any period may be asked for", "No bars are collected yet."],
    "datasets": ["No bars are collected yet.", "a dataset is built from bars"],
    "rates and news": ["No reference rates are collected yet.", "Until then those that come with the package serve.", "No news are collected yet."],
}
SEEDED = {
    "sources": ["Coverage", "Each cell is a month", "What was read: 5 series"],
    "bars and quality": [
        "99.99 of 100",
        "4,998 expected bars all there, 2 more outside the session",
        "Datasets and backtests may use it.",
        "points lost of 100",
    ],
    "features": ["distribution of", "deviation", "Look-ahead check", "GBPUSD.return_1"],
    "datasets": ["no training label ends later than", "What differs between two", "on the other side of the split", "1 piece in 1 bar set"],
    "rates and news": ["1 USD =", "known only from then on", "400 points by the time at which they could first be seen"],
}
CHARTS = {"sources": 1, "bars and quality": 2, "features": 1, "datasets": 0, "rates and news": 3}
MANY_BARS = 745_000
SHOWN_S = 15.0


def view(dashboard: Dashboard, page: Any, name: str) -> None:
    dashboard.open(page, f"data_streams?view={name}")
    nothing_failed(page)


def drawn(page: Any, key: str) -> dict[str, Any]:
    """Data and layout of a chart, as the browser has them."""
    chart = page.locator(f".st-key-{key} .js-plotly-plot:has(.main-svg)")
    chart.wait_for()
    found: dict[str, Any] = chart.evaluate(
        "one => ({names: one.data.map(t => t.name), y: one.data.map(t => Array.from(t.y || [])), texts: one.data.map(t => t.text || []),"
        " shapes: (one.layout.shapes || []).map(s => s.fillcolor), range: one.layout.xaxis.range})"
    )
    return found


def bar_set(home: Path, symbol: str, timeframe: str = "H1", made: str = "collected", source: str | None = None) -> BarSet:
    """The kept set of that kind."""
    wanted = (symbol, timeframe, made)
    sets = [one for one in PipelineStore.open(home).bar_sets() if (one.symbol, one.timeframe, one.made_by.get("kind", "collected")) == wanted]
    return next(one for one in sets if source in (None, one.source))


def choose_bars(page: Any, one: BarSet) -> None:
    """Choose a bar set in whatever view is open."""
    box = page.get_by_role("combobox", name="bar set")
    for _ in range(5):
        box.click()
        box.fill(one.id)
        page.wait_for_timeout(500)
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        settle(page)
        if one.id in box.input_value():
            return
    raise AssertionError(f"{one.id} could not be chosen")


def opened(page: Any, title: str, inside: Any) -> Any:
    """Open an expander and give what is inside; again where a late chart moved the page under the click."""
    for _ in range(5):
        page.get_by_text(title).filter(visible=True).first.click()
        settle(page)
        if inside.first.is_visible():
            return inside.first
        page.wait_for_timeout(1_000)
    raise AssertionError(f"{title} could not be opened")


def settled(dashboard: Dashboard) -> None:
    """Nothing waits in the queue."""
    jobs = JobStore.open(dashboard.home)
    for job in (*jobs.list("queued"), *jobs.list("running")):
        jobs.cancel(job.id)


def test_every_view_of_an_empty_platform_says_what_is_missing_and_how_to_begin(empty_dashboard: Dashboard, page: Any) -> None:
    for name in VIEWS:
        view(empty_dashboard, page, name)
        said = page.locator('[data-testid="stMain"]').inner_text()
        for words in EMPTY[name]:
            assert words in said, (name, words)
    view(empty_dashboard, page, "sources")
    in_table(page, "not read yet")
    assert page.get_by_text("not read yet").count() == 9, "a table's cells are there for a screen reader"
    assert page.get_by_text("needs Windows").count() == 1


def test_the_first_thing_on_a_fresh_platform_is_how_to_begin(empty_dashboard: Dashboard, page: Any) -> None:
    view(empty_dashboard, page, "sources")
    tops = [page.get_by_text(words).first.bounding_box()["y"] for words in ("No bars are collected yet.", "Import files of this machine")]
    collect = page.get_by_role("button", name="Collect", exact=True).bounding_box()["y"]
    heading = page.get_by_role("heading", name="Sources").bounding_box()["y"]
    assert tops[0] < collect < tops[1] < heading
    assert tops[1] < 700, "all of it is on the first screen"


def test_every_view_of_a_seeded_platform_shows_its_content(seeded_dashboard: Dashboard, page: Any) -> None:
    for name in VIEWS:
        view(seeded_dashboard, page, name)
        for words in SEEDED[name]:
            sees(page, words)
        charts = page.locator(".js-plotly-plot:has(.main-svg)")
        if CHARTS[name]:
            charts.nth(CHARTS[name] - 1).wait_for()
        nothing_failed(page)


def test_the_chosen_view_is_in_the_address_and_comes_back_with_it(seeded_dashboard: Dashboard, page: Any) -> None:
    view(seeded_dashboard, page, "sources")
    page.get_by_text("datasets", exact=True).click()
    sees(page, "What differs between two")
    assert page.url.endswith("view=datasets")
    page.reload()
    sees(page, "What differs between two")


def test_coverage_is_a_picture_with_a_row_for_every_series_and_its_holes(seeded_dashboard: Dashboard, page: Any) -> None:
    view(seeded_dashboard, page, "sources")
    rows = drawn(page, "coverage")["y"][0]
    assert rows == [
        "EURUSD H1 · folder · quarantined",
        "EURUSD H1 · sample",
        "GBPUSD D1 · folder · resampled",
        "GBPUSD H1 · folder",
        "GBPUSD H1 · folder · repaired",
    ]


def test_gaps_bad_days_and_repaired_bars_are_drawn_on_the_prices(seeded_dashboard: Dashboard, page: Any) -> None:
    view(seeded_dashboard, page, "bars and quality")
    choose_bars(page, bar_set(seeded_dashboard.home, "GBPUSD"))
    chart = drawn(page, "prices")
    assert {"GBPUSD close (bid)", "missing bars", "bad days"} <= set(chart["names"])
    (gap,) = [words for name, words in zip(chart["names"], chart["texts"], strict=True) if name == "missing bars"]
    assert any("60 missing bars" in words for words in gap)
    assert {"#ffb000", "#ff5c5c"} <= set(chart["shapes"])
    before = chart["range"]
    box = page.get_by_role("combobox", name="go to")
    box.click()
    box.fill("60 missing")
    page.get_by_role("option", name="60 missing bars").first.click()
    settle(page)
    after = drawn(page, "prices")["range"]
    assert pd.Timestamp(after[1]) - pd.Timestamp(after[0]) < (pd.Timestamp(before[1]) - pd.Timestamp(before[0])) / 5
    choose_bars(page, bar_set(seeded_dashboard.home, "GBPUSD", made="repaired"))
    assert "repaired bars" in drawn(page, "prices")["names"]


def test_a_score_is_shown_with_its_parts(seeded_dashboard: Dashboard, page: Any) -> None:
    view(seeded_dashboard, page, "bars and quality")
    choose_bars(page, bar_set(seeded_dashboard.home, "GBPUSD"))
    for _ in range(50):  # the chart of the set before stays until the new one is drawn
        if "missing" in drawn(page, "lost_points")["y"][0]:
            break
        page.wait_for_timeout(100)
    assert "missing" in drawn(page, "lost_points")["y"][0]
    opened(page, "faults found", page.locator('[data-testid="stDataFrame"]').nth(1))
    in_table(page, "expected bars that are not there")
    nothing_failed(page)


def test_a_quarantined_set_says_why_in_plain_sight_and_how_to_go_on(acting_dashboard: Dashboard, page: Any) -> None:
    half = bar_set(acting_dashboard.home, "EURUSD", source="folder")
    view(acting_dashboard, page, "bars and quality")
    choose_bars(page, half)
    why = sees(page, "Quarantined: no dataset, backtest or deployment is built on it.")
    sees(page, "is below 80")
    sees(page, "How to go on:")
    assert why.bounding_box()["y"] < 700
    click(page, "Release")
    sees(page, "is missing; a change of state says who made it and why")
    store = PipelineStore.open(acting_dashboard.home)
    assert store.bar_set(half.id).state == "quarantined"
    page.get_by_placeholder("why it may be used all the same").fill("only to look at")
    page.keyboard.press("Tab")
    settle(page)
    click(page, "Release")
    sees(page, "a person decided that it may be used all the same")
    sees(page, "only to look at")
    assert store.bar_set(half.id).state == "released"
    assert store.states(half.id)[-1].by not in ("", "the platform")
    why_not = page.get_by_placeholder("why nothing may be built on it")
    opened(page, "Resample, compare, repair or quarantine", why_not).fill("it was a try")
    page.keyboard.press("Tab")
    settle(page)
    click(page, "Quarantine")
    why.wait_for()
    assert store.states(half.id)[-1].reason == "it was a try"


def test_resample_compare_and_repair_submit_their_jobs(acting_dashboard: Dashboard, page: Any) -> None:
    settled(acting_dashboard)
    pound = bar_set(acting_dashboard.home, "GBPUSD")
    view(acting_dashboard, page, "bars and quality")
    choose_bars(page, pound)
    opened(page, "Resample, compare, repair or quarantine", page.get_by_role("button", name="Compare", exact=True))
    click(page, "Compare")
    sees(page, "cross_check · waiting")
    job = newest_job(acting_dashboard.home)
    assert (job.kind, job.payload) == ("cross_check", {"bar_set_id": pound.id})
    click(page, "Resample")
    sees(page, "resample · waiting")
    job = newest_job(acting_dashboard.home)
    assert (job.kind, job.payload) == ("resample", {"bar_set_id": pound.id, "timeframe": "H4"})
    page.get_by_text("Look for repairs").click()
    settle(page)
    page.get_by_role("combobox", name="repairs to make").click()
    page.get_by_role("option", name="cut_spikes").click()
    page.keyboard.press("Escape")
    settle(page)
    click(page, "Make a repaired copy")
    sees(page, "repair · waiting")
    job = newest_job(acting_dashboard.home)
    assert (job.kind, job.payload["bar_set_id"], job.payload["kinds"]) == ("repair", pound.id, ["cut_spikes"])
    assert job.payload["by"]


def test_what_is_collected_can_be_bounded_and_what_is_wrong_is_told_at_once(acting_dashboard: Dashboard, page: Any) -> None:
    settled(acting_dashboard)
    before = newest_job(acting_dashboard.home).id
    view(acting_dashboard, page, "sources")
    choose(page, "collect-source", "folder")
    click(page, "Collect")
    sees(page, "path: is missing")
    page.get_by_label("path", exact=True).first.fill("/data/own")
    page.get_by_label("columns", exact=True).fill('{"open": ')
    page.keyboard.press("Tab")
    settle(page)
    sees(page, "columns: is not JSON")
    page.get_by_label("columns", exact=True).fill('{"open": "o", "close": "c"}')
    page.keyboard.press("Tab")
    settle(page)
    click(page, "Collect")
    sees(page, "collect · waiting")
    job = newest_job(acting_dashboard.home)
    assert job.id != before
    assert job.payload == {
        "source": "folder",
        "symbol": "EURUSD",
        "timeframe": "M1",
        "options": {"path": "/data/own", "columns": {"open": "o", "close": "c"}},
    }


def test_files_are_recognised_and_submitted_with_what_was_found(acting_dashboard: Dashboard, page: Any, tmp_path: Path) -> None:
    settled(acting_dashboard)
    minutes = bars_at(trading_ms("2023-03-01", "2023-03-01T02:00", 1))
    path = tmp_path / "DAT_ASCII_USDCHF_M1_202303.csv"
    path.write_text(histdata_m1(minutes.utc_ms, minutes))
    view(acting_dashboard, page, "sources")
    page.get_by_text("Import files of this machine").click()
    where = page.get_by_placeholder("file or folder on this machine")
    where.fill("/no/such/folder")
    page.keyboard.press("Tab")
    settle(page)
    click(page, "Import")
    sees(page, "there is no file or folder /no/such/folder")
    where.fill(str(path))
    page.keyboard.press("Tab")
    settle(page)
    click(page, "Import")
    sees(page, "collect · waiting")
    assert newest_job(acting_dashboard.home).payload == {"source": "histdata", "symbol": "USDCHF", "timeframe": "M1", "options": {"path": str(path)}}


def test_work_shows_how_far_it_is_and_can_be_cancelled(acting_dashboard: Dashboard, page: Any) -> None:
    settled(acting_dashboard)
    jobs = JobStore.open(acting_dashboard.home)
    job = jobs.submit("collect", {"source": "histdata", "symbol": "EURUSD", "timeframe": "M1", "options": {"path": "/data"}})
    assert jobs.claim_job("a test", ["collect"]) is not None
    jobs.heartbeat(job.id, "a test", 0.4, "reading HISTDATA_2018.zip", {"rows": 372_607})
    view(acting_dashboard, page, "features")
    sees(page, "collect · 40% · reading HISTDATA_2018.zip")
    sees(page, "rows 372,607")
    click(page, "Cancel")
    sees(page, "· stopping")
    assert jobs.get(job.id).cancel_requested
    waiting = jobs.submit("check_features", {"bar_set_id": "any"})
    sees(page, "check_features · waiting")
    page.get_by_role("button", name="Cancel").last.click()
    page.get_by_text("check_features · waiting").wait_for(state="detached")
    assert jobs.get(waiting.id).state == "cancelled"
    jobs.fail(job.id, "a test", "the disk is full\nTraceback …")
    view(acting_dashboard, page, "sources")
    sees(page, "histdata, EURUSD M1, failed")
    sees(page, "the disk is full")


def test_features_are_drawn_compared_and_checked(acting_dashboard: Dashboard, page: Any) -> None:
    settled(acting_dashboard)
    view(acting_dashboard, page, "features")
    choose(page, "feature", "rsi_14")
    sees(page, "rsi_14 =")
    sees(page, "4,750")
    assert "rsi_14" in drawn(page, "distribution")["names"]
    page.get_by_text("Correlations", exact=True).click()
    settle(page)
    chart = drawn(page, "correlations")
    assert len(chart["y"][0]) == 26
    nothing_failed(page)
    choose(page, "family", "cross")
    sees(page, "Features of this family need more than these bars.")
    page.get_by_role("combobox", name="bars of other symbols").click()
    page.get_by_role("option").first.click()
    page.keyboard.press("Escape")
    settle(page)
    sees(page, "GBPUSD.correlation_48")
    drawn(page, "distribution")
    click(page, "Check all features")
    sees(page, "check_features · waiting")
    sample = bar_set(acting_dashboard.home, "EURUSD", source="sample")
    assert newest_job(acting_dashboard.home).payload == {"bar_set_id": sample.id, "features": [], "rows": 1_500}
    nothing_failed(page)


def test_a_dataset_is_built_with_selection_other_symbols_and_news(acting_dashboard: Dashboard, page: Any) -> None:
    settled(acting_dashboard)
    view(acting_dashboard, page, "datasets")
    opened(page, "Build a dataset", page.get_by_role("button", name="Build dataset"))
    pound = bar_set(acting_dashboard.home, "GBPUSD")
    for label, option in (("bars of other symbols", pound.id), ("news of currencies", "USD")):
        box = page.get_by_role("combobox", name=label)
        box.click()
        box.fill(option)
        page.get_by_role("option", name=option).first.click()
        page.keyboard.press("Escape")
        settle(page)
    choose(page, "dataset-target", "trend scan")
    page.get_by_text("Choose among the features").click()
    settle(page)
    page.get_by_role("spinbutton", name="most features").fill("9")
    page.keyboard.press("Tab")
    settle(page)
    click(page, "Build dataset")
    sees(page, "dataset · waiting")
    recipe = newest_job(acting_dashboard.home).payload["recipe"]
    assert (recipe["others"], recipe["news"], recipe["target"]["kind"]) == ([pound.id], ["USD"], "trend_scan")
    assert recipe["select"] == {"method": "mutual_information", "most_features": 9, "most_correlation": 1.0}
    nothing_failed(page)


def test_nothing_can_be_built_on_a_quarantined_set(acting_dashboard: Dashboard, page: Any) -> None:
    half = bar_set(acting_dashboard.home, "EURUSD", source="folder")
    PipelineStore.open(acting_dashboard.home).set_state(half.id, "quarantined", "Anna", "for this test")
    view(acting_dashboard, page, "datasets")
    choose_bars(page, half)
    page.get_by_text("Build a dataset").click()
    sees(page, "is quarantined and nothing is built on it")
    assert page.get_by_role("button", name="Build dataset").count() == 0


def test_two_datasets_are_compared_field_by_field(seeded_dashboard: Dashboard, page: Any) -> None:
    page.set_viewport_size({"width": 1440, "height": 3_000})  # a table is drawn when it comes into sight
    view(seeded_dashboard, page, "datasets")
    sees(page, "columns only in the second")
    said = page.locator('[data-testid="stMain"]').inner_text()
    assert "in the first" in said
    assert "volatility_24" in said, "a column that only one of the two has"
    in_table(page, "train_fraction")
    sees(page, "on the other side of the split")


def test_export_and_delete_do_what_they_say(acting_dashboard: Dashboard, page: Any) -> None:
    settled(acting_dashboard)
    store = PipelineStore.open(acting_dashboard.home)
    trained, unused = store.datasets()
    view(acting_dashboard, page, "datasets")
    opened(page, "Export or delete", page.get_by_role("button", name="Export", exact=True))
    sees(page, "Models trained on it:")
    click(page, "Export")
    sees(page, "export · waiting")
    payload = newest_job(acting_dashboard.home).payload
    assert (payload["dataset_id"], payload["format"]) == (trained.id, "parquet")
    assert payload["path"] == str(acting_dashboard.home / "exports" / f"{trained.id}.parquet")
    choose(page, "dataset-shown", unused.id)
    sees(page, "Nothing was made from it.")
    assert page.get_by_role("button", name="Delete this dataset").count() == 0
    page.get_by_text("I want to delete it").click()
    settle(page)
    click(page, "Delete this dataset")
    page.get_by_text("What differs between two").wait_for(state="detached")
    assert [one.id for one in store.datasets()] == [trained.id]


def test_rates_and_news_are_drawn(seeded_dashboard: Dashboard, page: Any) -> None:
    view(seeded_dashboard, page, "rates and news")
    assert drawn(page, "rates")["names"] == ["USDEUR"]
    choose(page, "rates-to", "JPY")
    sees(page, "1 USD = ")
    assert drawn(page, "rates")["names"] == ["USDJPY"]
    choose(page, "rates-from", "JPY")
    sees(page, "Choose two different currencies.")
    nothing_failed(page)


def test_a_set_of_745_000_bars_is_shown_within_seconds(tmp_path: Path, page: Any) -> None:
    home = tmp_path / "output_central"
    home.mkdir()
    bars = minute_walk("2018-01-01T22:00", MANY_BARS, 1, first=120_000, step=3, wick=2)
    rng = np.random.default_rng(1)
    bars = bars.drop(bars.index[rng.choice(len(bars), 2_000, replace=False)])
    quality = score_quality(bars, Timeframe.M1, symbol="EURUSD")
    keep_bars(home, "made here", "EURUSD", Timeframe.M1, bars, quality.score, quality.as_dict(), made_by={"kind": "collected"})
    for dashboard in run_dashboard(home):
        view(dashboard, page, "rates and news")
        took = {}
        for name, key in (("bars and quality", "prices"), ("features", "distribution"), ("sources", "")):
            began = time.monotonic()
            view(dashboard, page, name)
            if key:
                drawn(page, key)
            took[name] = round(time.monotonic() - began, 2)
        print(took)
        assert max(took.values()) < SHOWN_S, took
        view(dashboard, page, "bars and quality")
        sees(page, "the highest and the lowest close are drawn")
