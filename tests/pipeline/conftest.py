"""The sample bars, raw and collected."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from components.fx import Timeframe
from components.pipeline import BarSet, collect, fetch_bars


@pytest.fixture(scope="session")
def raw() -> pd.DataFrame:
    """The 5,000 bars as the source delivers them."""
    return fetch_bars("sample", "EURUSD", Timeframe.H1)


@pytest.fixture
def bar_set(home: Path) -> BarSet:
    """The sample, collected into this test's home."""
    return collect(home, "sample", "EURUSD", "H1")
