"""Indicators that many runs share: the same numbers, computed once, never another array's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from components.features import atr, sma
from components.fx import instrument
from components.strategy import Context, Memo, catalogue

EURUSD = instrument("EURUSD")


@pytest.fixture
def bars() -> pd.DataFrame:
    steps = np.random.default_rng(5).normal(0, 0.0005, (400, 4)).cumsum(axis=0).max(axis=1)
    close = np.round(1.1 + steps, 5)
    times = pd.date_range("2024-01-01", periods=400, freq="h", tz="UTC", unit="ms", name="open_time")
    frame = pd.DataFrame({"open": close, "high": close + 0.0004, "low": close - 0.0003, "close": np.roll(close, 1), "volume": 1.0}, index=times)
    return frame.assign(high=frame[["open", "high", "close"]].max(axis=1), low=frame[["open", "low", "close"]].min(axis=1))


def test_what_was_computed_before_is_given_again_and_is_what_the_function_gives(bars: pd.DataFrame) -> None:
    context = Context(EURUSD, memo=Memo(bars))
    first = context.shared(sma, bars["close"].to_numpy(), 20)
    assert context.shared(sma, bars["close"].to_numpy(), 20) is first
    np.testing.assert_array_equal(first, sma(bars["close"].to_numpy(), 20))
    other = context.shared(sma, bars["close"].to_numpy(), 21)
    assert other is not first
    np.testing.assert_array_equal(context.shared(sma, bars["open"].to_numpy(), 20), sma(bars["open"].to_numpy(), 20))
    prices = [bars[name].to_numpy() for name in ("high", "low", "close")]
    np.testing.assert_array_equal(context.shared(atr, *prices, 14), atr(*prices, 14))
    np.testing.assert_array_equal(context.shared(sma, context.shared(atr, *prices, 14), 5), sma(atr(*prices, 14), 5))


def test_an_array_that_does_not_stay_where_it_is_is_never_taken_for_another(bars: pd.DataFrame) -> None:
    memo = Memo(bars)
    context = Context(EURUSD, memo=memo)
    for shift in range(50):
        passing = bars["close"].to_numpy() + shift  # freed at once: the next one often lies at the same place
        np.testing.assert_array_equal(context.shared(sma, passing, 20), sma(passing, 20))
    own = bars["close"].to_numpy(copy=True)
    before = context.shared(sma, own, 20)[-1]
    own[-20:] += 1.0
    assert context.shared(sma, own, 20)[-1] == pytest.approx(before + 1.0)
    tail = bars["close"].to_numpy()[5:]
    np.testing.assert_array_equal(context.shared(sma, tail, 20), sma(tail, 20))
    assert memo.hits == 0


def test_whole_and_decimal_arguments_are_told_apart(bars: pd.DataFrame) -> None:
    context = Context(EURUSD, memo=Memo(bars))

    def scaled(values: np.ndarray, factor: float) -> np.ndarray:
        return values * factor if isinstance(factor, float) else values * 0

    close = bars["close"].to_numpy()
    assert context.shared(scaled, close, 1.0)[0] == close[0]
    assert context.shared(scaled, close, 1)[0] == 0


def test_a_full_memo_keeps_what_it_has_and_computes_the_rest(bars: pd.DataFrame) -> None:
    memo = Memo(bars, most_bytes=2 * 400 * 8)
    context = Context(EURUSD, memo=memo)
    close = bars["close"].to_numpy()
    kept = [context.shared(sma, close, period) for period in (2, 3, 4)]
    assert memo.room == 0
    assert [context.shared(sma, close, period) is one for period, one in zip((2, 3, 4), kept, strict=True)] == [True, True, False]
    np.testing.assert_array_equal(context.shared(sma, close, 4), sma(close, 4))


def test_what_is_shared_cannot_be_written_to_in_a_sweep_or_in_a_single_run(bars: pd.DataFrame) -> None:
    for context in (Context(EURUSD), Context(EURUSD, memo=Memo(bars))):
        with pytest.raises(ValueError, match="read-only"):
            context.shared(sma, bars["close"].to_numpy(), 20)[0] = 1.0


def test_the_library_decides_the_same_with_a_memo(bars: pd.DataFrame) -> None:
    memo = Memo(bars)
    for item in catalogue():
        if item.needs_model:
            continue
        alone = item.decide(bars, Context(EURUSD), item.parse(None))
        for _ in range(2):
            shared = item.decide(bars, Context(EURUSD, memo=memo), item.parse(None))
            for name, column in vars(alone).items():
                np.testing.assert_array_equal(column, getattr(shared, name), err_msg=f"{item.name}.{name}")
    assert memo.hits > 0
