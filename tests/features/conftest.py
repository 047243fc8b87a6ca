"""Real bars for the tests of this room."""

from __future__ import annotations

import pandas as pd
import pytest

from components.fx import validate_bars


@pytest.fixture(scope="session")
def bars() -> pd.DataFrame:
    """5,000 real hourly EURUSD bars, with a spread column that moves, so that it can be perturbed too."""
    from backtesting.test import EURUSD

    frame = EURUSD.rename(columns=str.lower).tz_localize("UTC")
    return validate_bars(frame.assign(spread_points=5.0 + frame["volume"] % 7))
