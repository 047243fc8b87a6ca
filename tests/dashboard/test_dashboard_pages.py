"""Every page in a real browser, on an empty and on a seeded platform."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from live_dashboard import ROOT, Dashboard, choose, run_dashboard

pytestmark = pytest.mark.slow

PAGES = {
    "": "System Matrix",
    "data_streams": "Data Streams",
    "neural_networks": "Neural Networks",
    "fx_analytics": "FX Analytics",
    "research_lab": "Research Lab",
    "infrastructure": "Infrastructure",
}
SAID_WHEN_EMPTY = {
    "": ["ACTIVE", "No supervisor is running.", "./start_platform.sh", "Nothing is deployed.", "No position is open."],
    "data_streams": ["5,000 real hourly EURUSD bars", "No bars are collected yet.", "Press “Collect” below"],
    "neural_networks": ["No job has been submitted yet.", "There is no dataset to train on.", "No model is trained yet."],
    "fx_analytics": ["There are no bars to run on.", "No backtest has been run yet."],
    "research_lab": ["There are no bars to run on.", "No sweep has been run yet."],
    "infrastructure": ["There are no bars, so nothing can be deployed."],
}
SAID_WHEN_SEEDED = {
    "": ["ACTIVE", "Accounts and ticks", "Last expected bar", "Open positions", "2 of 4"],
    "data_streams": [
        "Import files of this machine",
        "What was read: 5 series",
        "Each cell is a month: the share of its expected bars that are there.",
    ],
    "neural_networks": ["Job queue", "against naive baselines", "nats in cross-validation", "Last failure: train"],
    "fx_analytics": ["Run a backtest", "2 of them imported from other programs", "Choose a row to see the run."],
    "research_lab": ["Run a sweep", "Best of 33", "Overfitting of the choice"],
    "infrastructure": ["SMA cross on account demo-1", "ATR breakout on account demo-2", "armed", "disarmed", "Twin replay"],
}
LEAST_CHARTS = {"": 1, "data_streams": 1, "neural_networks": 5, "fx_analytics": 0, "research_lab": 2, "infrastructure": 0}
WARM_S = 6.0


def no_trace_of_failure(page: Any) -> None:
    assert page.locator('[data-testid="stException"]').all_inner_texts() == []
    assert "Traceback" not in page.locator('[data-testid="stMain"]').inner_text().replace("Traceback (most recent call last): …", "")


@pytest.mark.parametrize("path", PAGES)
def test_an_empty_platform_says_what_is_missing_and_what_to_press(empty_dashboard: Dashboard, page: Any, path: str) -> None:
    empty_dashboard.open(page, path)
    no_trace_of_failure(page)
    said = page.locator('[data-testid="stMain"]').inner_text()
    assert PAGES[path].upper() in said.upper()
    for words in SAID_WHEN_EMPTY[path]:
        assert words in said
    shown = page.locator(".js-plotly-plot").filter(visible=True).count()
    assert shown == (2 if path == "neural_networks" else 0), "only the dials of the machine have something to show"


@pytest.mark.parametrize("path", PAGES)
def test_a_seeded_platform_shows_its_content(seeded_dashboard: Dashboard, page: Any, path: str) -> None:
    outside: list[str] = []
    page.on("request", lambda request: None if request.url.startswith((seeded_dashboard.url, "data:", "blob:")) else outside.append(request.url))
    seeded_dashboard.open(page, path)
    for words in SAID_WHEN_SEEDED[path]:
        page.get_by_text(words).first.wait_for()
    if LEAST_CHARTS[path]:
        page.locator(".js-plotly-plot:has(.main-svg)").nth(LEAST_CHARTS[path] - 1).wait_for()
    no_trace_of_failure(page)
    assert [url for url in outside if not url.startswith("ws")] == [], "the dashboard asks nobody outside"


def test_every_tab_of_the_infrastructure_shows_its_content(seeded_dashboard: Dashboard, page: Any) -> None:
    seeded_dashboard.open(page, "infrastructure")
    said = {
        "Signals": ["everything that happened to it", "the fast average crossed above the slow one"],
        "Positions": ["changes; by is the signal"],
        "Terminals": ["/api/v1/docs"],
        "Processes and logs": ["The log cannot be read: No such file or directory", "the last 80 lines"],
        "Databases": ["output_central"],
        "Machine": ["processor"],
    }
    for tab, words in said.items():
        page.get_by_role("tab", name=tab).click()
        panel = page.locator('[role="tabpanel"]').filter(visible=True)
        for one in words:
            panel.get_by_text(one).first.wait_for()
    no_trace_of_failure(page)


def test_a_losing_run_is_called_losing_and_every_execution_is_drawn(seeded_dashboard: Dashboard, page: Any) -> None:
    seeded_dashboard.open(page, "fx_analytics?view=one run")
    choose(page, "run", "SMA cross on EURUSD")
    page.get_by_text("resolved against the trader").wait_for()
    page.get_by_text("in his favour").wait_for()
    page.get_by_text("This strategy loses money here").wait_for()
    page.locator(".js-plotly-plot .legendtext", has_text="exit: target").first.wait_for()
    drawn = " ".join(page.locator(".js-plotly-plot .legendtext").all_text_contents())
    for words in ("long entry", "short entry", "exit: stop", "exit: target"):
        assert words in drawn
    no_trace_of_failure(page)


def test_a_page_that_is_asked_for_first_comes_with_the_navigation(seeded_home: Path, page: Any) -> None:
    for dashboard in run_dashboard(seeded_home):
        dashboard.open(page, "research_lab")
        page.get_by_text("Sweeps", exact=True).wait_for()
        assert page.title() == "Sequence FX"
        links = page.locator('[data-testid="stSidebarNavLink"]').all_inner_texts()
        assert [words.split("\n")[-1] for words in links] == list(PAGES.values())


def test_looking_at_pages_writes_nothing(seeded_dashboard: Dashboard, page: Any) -> None:
    for path in PAGES:
        seeded_dashboard.open(page, path)
    before = _contents(seeded_dashboard.home)
    for path in PAGES:
        seeded_dashboard.open(page, path)
    page.wait_for_timeout(3_000)
    assert _contents(seeded_dashboard.home) == before


def _contents(home: Path) -> dict[str, list[str]]:
    contents = {}
    for path in sorted(home.glob("*.db")):
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        contents[path.name] = list(connection.iterdump())
        connection.close()
    assert contents
    return contents


def test_a_page_that_was_opened_before_is_drawn_in_seconds(seeded_dashboard: Dashboard, page: Any) -> None:
    took = {}
    for path in PAGES:
        seeded_dashboard.open(page, path)
    for path, title in PAGES.items():
        began = time.monotonic()
        page.goto(f"{seeded_dashboard.url}/{path}")
        page.get_by_text(SAID_WHEN_SEEDED[path][-1]).first.wait_for()
        took[title] = round(time.monotonic() - began, 2)
    print(took)
    assert max(took.values()) < WARM_S, took


def test_every_page_is_a_file_of_the_navigation() -> None:
    files = {path.stem for path in (ROOT / "pages").glob("*.py")}
    assert files == {path or "system_matrix" for path in PAGES}
