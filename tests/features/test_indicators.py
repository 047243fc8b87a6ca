"""Array indicators: warm-up, exactness, start, edges."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from components.features import atr, ema, highest, lowest, rolling_std, rsi, settle_bars, sma
from components.fx import BadInput

PRICES = arrays(np.float64, st.integers(0, 60), elements=st.floats(0.5, 200, allow_nan=False))


@settings(max_examples=60, deadline=None)
@given(PRICES, st.integers(1, 20))
def test_windowed_indicators_equal_their_definition(values: np.ndarray, period: int) -> None:
    windows = [values[t - period + 1 : t + 1] for t in range(period - 1, len(values))]
    warm_up = min(period - 1, len(values))
    for function, definition in ((sma, np.mean), (highest, np.max), (lowest, np.min), (rolling_std, np.std)):
        got = function(values, period)
        assert np.isnan(got[:warm_up]).all()
        np.testing.assert_allclose(got[warm_up:], [definition(window) for window in windows], rtol=1e-9, atol=1e-9)


def test_the_moving_average_forgets_a_huge_value_completely() -> None:
    values = np.full(50, 1.1)
    values[10] = 1e15
    assert (sma(values, 5)[15:] == sma(np.full(50, 1.1), 5)[15:]).all()
    assert (rolling_std(values, 5)[15:] < 1e-12).all()


def test_windowed_indicators_do_not_depend_on_where_the_series_began(bars: pd.DataFrame) -> None:
    close = bars["close"]
    for function in (sma, highest, lowest, rolling_std):
        np.testing.assert_array_equal(function(close, 20)[1019:], function(close[1000:], 20)[19:])


def test_recursive_indicators_forget_their_start_within_the_settling_time(bars: pd.DataFrame) -> None:
    close, late = bars["close"], bars.iloc[1000:]
    for period in (5, 14, 50):
        wilder, exponential = settle_bars(1 - 1 / period), settle_bars(1 - 2 / (period + 1))
        # the first value, `period` bars in, carries the start; it then shrinks by a constant factor per bar
        width = atr(bars["high"], bars["low"], close, period)[1000 + period + wilder :]
        np.testing.assert_allclose(atr(late["high"], late["low"], late["close"], period)[period + wilder :], width, rtol=1e-8)
        np.testing.assert_allclose(rsi(late["close"], period)[period + wilder :], rsi(close, period)[1000 + period + wilder :], rtol=1e-6)
        np.testing.assert_allclose(ema(late["close"], period)[period + exponential :], ema(close, period)[1000 + period + exponential :], rtol=1e-9)


def test_recursive_indicators_are_those_of_ta_lib(bars: pd.DataFrame) -> None:
    high, low, close = (bars[name].to_numpy(copy=True) for name in ("high", "low", "close"))
    np.testing.assert_array_equal(atr(bars["high"], bars["low"], bars["close"], 14), talib.ATR(high, low, close, 14))
    np.testing.assert_array_equal(rsi(bars["close"], 14), talib.RSI(close, 14))
    np.testing.assert_array_equal(ema(bars["close"], 20), talib.EMA(close, 20))


def test_the_average_true_range_takes_in_the_gap_and_is_smoothed_after_wilder() -> None:
    # true ranges from the second bar on: 2 (gap up from 10 to 12), 1, 4 → mean of the first two 1.5, then (1.5 + 4) / 2
    high, low, close = [10.0, 12.0, 12.0, 14.0], [9.0, 11.0, 11.0, 10.0], [10.0, 12.0, 11.0, 12.0]
    np.testing.assert_allclose(atr(high, low, close, 2), [np.nan, np.nan, 1.5, 2.75])


def test_inputs_shorter_than_the_window_give_nothing_but_nan() -> None:
    few = np.array([1.0, 1.1, 1.2])
    for values in (sma(few, 5), ema(few, 5), rsi(few, 5), highest(few, 5), lowest(few, 5), rolling_std(few, 5), atr(few, few, few, 5)):
        assert np.isnan(values).all()
        assert len(values) == 3
    assert len(sma([], 5)) == len(ema([], 5)) == len(rsi([], 5)) == len(highest([], 3)) == len(atr([], [], [], 3)) == 0


def test_a_window_of_one_bar_is_the_bar_itself() -> None:
    values = np.array([3.0, 1.0, 2.0])
    for function in (sma, ema, highest, lowest):
        np.testing.assert_array_equal(function(values, 1), values)


def test_the_input_is_left_alone_and_the_output_is_no_view_of_it() -> None:
    values = np.array([3.0, 1.0, 2.0])
    highest(values, 1)[0] = 99.0
    assert values.tolist() == [3.0, 1.0, 2.0]


@pytest.mark.parametrize("period", [0, -1, 2.5, True, None])
def test_a_period_that_is_no_whole_positive_number_is_refused(period: object) -> None:
    for function in (sma, ema, rsi, highest, lowest, rolling_std):
        with pytest.raises(BadInput, match="period"):
            function(np.ones(10), period)  # type: ignore[operator]


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(BadInput, match="differ"):
        atr(np.ones(5), np.ones(5), np.ones(4), 2)
