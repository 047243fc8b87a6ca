"""Real bars, and probabilities by a plain rule where no trained model is at hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "execution"))

from components.features import rsi
from components.fx import Timeframe, validate_bars
from components.pipeline import fetch_bars


@pytest.fixture(scope="session")
def real_bars() -> pd.DataFrame:
    """The 5,000 real hourly EURUSD bars."""
    return validate_bars(fetch_bars("sample", "EURUSD", Timeframe.H1))


@pytest.fixture(scope="session")
def rule_probabilities(real_bars: pd.DataFrame) -> pd.DataFrame:
    """Probabilities that follow the relative strength index; NaN in its warm-up."""
    return probabilities_by_rule(real_bars)


def probabilities_by_rule(bars: pd.DataFrame) -> pd.DataFrame:
    """p_up falls from 0.6 to 0.2 as the index rises: a deterministic stand-in for a model."""
    strength = rsi(bars["close"].to_numpy(), 14)
    up = 0.6 - 0.4 * strength / 100
    return pd.DataFrame({"p_down": 0.8 - up, "p_flat": np.where(np.isnan(up), np.nan, 0.2), "p_up": up}, index=bars.index)
