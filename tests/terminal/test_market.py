"""Recorded bars become ticks whose bars are the recorded ones again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from components.fx import BadInput, Timeframe, instrument, validate_bars
from components.pipeline import bars_from_ticks, fetch_bars
from components.terminal import ticks_of_bars

EURUSD = instrument("EURUSD")


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return validate_bars(fetch_bars("sample", "EURUSD", Timeframe.H1)).iloc[-300:]


@pytest.mark.parametrize("step_points", [0.0, 10.0, 35.0])
def test_the_ticks_of_a_bar_rebuild_its_prices(bars: pd.DataFrame, step_points: float) -> None:
    path = ticks_of_bars(bars, EURUSD, Timeframe.H1, spread_points=12.0, step_points=step_points)
    rebuilt = bars_from_ticks(path.time_ms, path.bid, path.ask, Timeframe.H1, EURUSD.point, include_forming=True)
    assert rebuilt.index.equals(bars.index)
    for name in ("open", "high", "low", "close"):
        np.testing.assert_allclose(rebuilt[name], bars[name], atol=1e-9)
    assert (rebuilt["spread_points"] == 12.0).all()


def test_times_never_go_back_and_stay_inside_their_bar(bars: pd.DataFrame) -> None:
    path = ticks_of_bars(bars, EURUSD, Timeframe.H1, spread_points=10.0, step_points=5.0)
    assert (np.diff(path.time_ms) > 0).all()
    open_ms = bars.index.as_unit("ms").asi8
    assert (path.time_ms[path.starts[:-1]] == open_ms).all()
    assert (path.time_ms[path.starts[1:] - 1] < open_ms + Timeframe.H1.ms).all()


def test_no_step_inside_a_bar_is_larger_than_asked(bars: pd.DataFrame) -> None:
    path = ticks_of_bars(bars, EURUSD, Timeframe.H1, spread_points=10.0, step_points=10.0)
    steps = np.abs(np.diff(path.bid)) / EURUSD.point
    inside = np.ones(len(steps), dtype=bool)
    inside[path.starts[1:-1] - 1] = False
    assert steps[inside].max() <= 11.0, "ten points and the rounding of both ends"


def test_a_rising_bar_goes_low_first_and_a_falling_bar_high_first() -> None:
    index = pd.date_range("2024-01-01", periods=2, freq="h", tz="UTC")
    frame = pd.DataFrame({"open": [1.1, 1.1], "high": [1.2, 1.2], "low": [1.0, 1.0], "close": [1.15, 1.05]}, index=index)
    path = ticks_of_bars(validate_bars(frame), EURUSD, Timeframe.H1, spread_points=10.0, step_points=0.0)
    assert path.bid.tolist() == [1.1, 1.0, 1.2, 1.15, 1.1, 1.2, 1.0, 1.05]


def test_a_negative_step_is_refused(bars: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="step_points"):
        ticks_of_bars(bars, EURUSD, Timeframe.H1, spread_points=10.0, step_points=-1.0)
