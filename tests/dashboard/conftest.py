"""A dashboard and a real browser, on an empty and on a seeded platform."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live_dashboard import ROOT, WAIT_MS, Dashboard, environment, run_dashboard

if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # the pages are no installed package

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    playwright_api = pytest.importorskip("playwright.sync_api")
    chromium = os.environ.get("SEQUENCE_CHROMIUM", CHROMIUM)
    if not Path(chromium).exists():
        pytest.skip(f"there is no Chromium at {chromium}; install it or name another with SEQUENCE_CHROMIUM")
    with playwright_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A window of its own."""
    window = browser.new_page(viewport={"width": 1440, "height": 1000})
    window.set_default_timeout(WAIT_MS)
    yield window
    window.close()


@pytest.fixture(scope="session")
def seeded_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that the real rooms have filled; not to be written to."""
    home = tmp_path_factory.mktemp("seeded") / "output_central"
    home.mkdir()
    subprocess.run([sys.executable, str(Path(__file__).with_name("seed.py")), str(home)], cwd=ROOT, env=environment(home), check=True)
    return home


@pytest.fixture(scope="session")
def empty_dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A dashboard on an empty platform."""
    home = tmp_path_factory.mktemp("empty") / "output_central"
    home.mkdir()
    yield from run_dashboard(home)


@pytest.fixture(scope="session")
def seeded_dashboard(seeded_home: Path) -> Iterator[Dashboard]:
    """A dashboard on the seeded platform, for looking only."""
    yield from run_dashboard(seeded_home)


@pytest.fixture(scope="session")
def acting_dashboard(seeded_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A dashboard on a copy of the seeded platform, for clicking."""
    home = tmp_path_factory.mktemp("acting") / "output_central"
    shutil.copytree(seeded_home, home)
    yield from run_dashboard(home)
