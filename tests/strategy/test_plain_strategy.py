"""A strategy written as a plain Python function decides as its twin in columns does, sees no later bar, and says what is wrong with it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from plain_examples import PLAIN_CROSS, PLAIN_PULLBACK, PLAIN_STREAK, StreakParams, cross_columns, cross_on_bar
from test_strategy_causality import leaks, other_future

from components.backtest import run_backtest
from components.fx import BadInput, Timeframe, instrument, validate_bars
from components.pipeline import fetch_bars
from components.strategy import Context, Decisions, Strategy, Wish, catalogue, plain_strategy, strategy
from components.strategy.library import SmaCrossParams

EURUSD = instrument("EURUSD")
TWINS: list[tuple[Strategy, str, dict[str, Any]]] = [
    (PLAIN_CROSS, "sma_cross", {}),
    (PLAIN_CROSS, "sma_cross", {"fast": 2, "slow": 7, "atr_period": 3, "stop_atr": 0.0}),
    (PLAIN_PULLBACK, "pullback", {}),
    (PLAIN_PULLBACK, "pullback", {"trend": 20, "rsi_period": 3, "leave_on_turn": False, "expiry_bars": 2}),
]


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return validate_bars(fetch_bars("sample", "EURUSD", Timeframe.H1))


def plain(on_bar: Any, init: Any = None) -> Strategy:
    return plain_strategy("tried", "Tried", "Tried in a test.", StreakParams, on_bar, lambda p: 10, init=init)


def decided(item: Strategy, params: dict[str, Any], bars: pd.DataFrame) -> dict[str, np.ndarray]:
    """The columns of the decisions, those of an entry only where there is a wish: elsewhere they mean nothing."""
    decisions = item.decide(bars, Context(EURUSD), item.parse(params)).checked(len(bars))
    columns = {f.name: np.broadcast_to(np.asarray(getattr(decisions, f.name), dtype=np.float64), len(bars)) for f in fields(decisions)}
    wish = columns["side"] != 0
    return {name: values if name in ("side", "exit") else values[wish] for name, values in columns.items()}


@pytest.mark.parametrize(("item", "twin", "params"), TWINS)
def test_a_plain_function_decides_exactly_as_its_twin_in_columns(item: Strategy, twin: str, params: dict[str, Any], bars: pd.DataFrame) -> None:
    ours, theirs = decided(item, params, bars), decided(strategy(twin), params, bars)
    assert (ours["side"] != 0).sum() > 50
    for name, values in theirs.items():
        if name != "reason" or item.reasons:
            np.testing.assert_array_equal(ours[name], values, err_msg=name)


def test_a_plain_function_and_its_twin_come_to_the_same_trades_and_equity(bars: pd.DataFrame) -> None:
    ours, theirs = (run_backtest(item, None, bars, instrument=EURUSD) for item in (PLAIN_CROSS, strategy("sma_cross")))
    assert len(ours.trades) > 100
    pd.testing.assert_frame_equal(ours.trades.drop(columns="reason_text"), theirs.trades.drop(columns="reason_text"))
    pd.testing.assert_series_equal(ours.equity, theirs.equity)


def test_only_a_plain_strategy_says_that_it_holds_the_interpreter() -> None:
    assert PLAIN_CROSS.is_plain
    assert not any(item.is_plain for item in catalogue())


def test_at_every_bar_the_columns_end_with_that_bar(bars: pd.DataFrame) -> None:
    close, seen = bars["close"].to_numpy()[:50], []

    def on_bar(t: int, columns: Any, params: Any, state: dict[str, Any]) -> None:
        seen.append((t, len(columns.close), columns.close[-1], type(columns.close[-1])))

    plain(on_bar).decide(bars.iloc[:50], Context(EURUSD), StreakParams())
    assert seen == [(t, t + 1, float(close[t]), float) for t in range(50)]


def test_a_memory_lasts_from_bar_to_bar_and_starts_anew_with_every_run(bars: pd.DataFrame) -> None:
    first, second = (decided(PLAIN_STREAK, {"length": 4}, bars) for _ in range(2))
    np.testing.assert_array_equal(first["side"], second["side"])
    up = np.sign(np.diff(bars["close"].to_numpy(), prepend=np.nan))
    four = np.all([np.roll(up, k) == 1 for k in range(4)], axis=0)[4:]
    np.testing.assert_array_equal(first["side"][4:] == -1, four)
    assert leaks(PLAIN_STREAK, {}, bars.iloc[:400]) == set()


@pytest.mark.parametrize("item", [PLAIN_CROSS, PLAIN_PULLBACK, PLAIN_STREAK], ids=lambda item: item.name)
def test_a_row_of_a_plain_strategy_is_the_same_whatever_comes_after_it(item: Strategy, bars: pd.DataFrame) -> None:
    assert leaks(item, {}, bars.iloc[:600]) == set()


def test_a_later_row_is_not_there_and_the_error_names_the_bar(bars: pd.DataFrame) -> None:
    def peeking(t: int, columns: Any, params: Any, state: dict[str, Any]) -> Wish:
        return Wish(side=1 if columns.close[t + 1] > columns.close[t] else -1)

    with pytest.raises(IndexError) as error:
        plain(peeking).decide(bars, Context(EURUSD), StreakParams())
    assert "in on_bar of tried at row 0" in error.value.__notes__[0]


def test_what_on_bar_raises_comes_through_with_the_bar_that_raised_it(bars: pd.DataFrame) -> None:
    def failing(t: int, columns: Any, params: Any, state: dict[str, Any]) -> None:
        if t == 77:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine") as error:
        plain(failing).decide(bars, Context(EURUSD), StreakParams())
    assert f"row 77 ({bars.index[77]})" in error.value.__notes__[0]


def peeking_init(bars: pd.DataFrame, params: Any) -> dict[str, Any]:
    """A cheat: the averages of `cross_columns`, one bar early."""
    columns = cross_columns(bars, params)
    return columns | {"fast": np.append(columns["fast"][1:], columns["fast"][-1])}


def closure_cheat() -> Strategy:
    """A cheat that reads later bars behind the back of its columns."""
    kept: dict[str, Any] = {}

    def init(bars: pd.DataFrame, params: Any) -> dict[str, Any]:
        kept["close"] = bars["close"].to_numpy()
        return cross_columns(bars, params)

    def on_bar(t: int, columns: Any, params: Any, state: dict[str, Any]) -> Wish | None:
        ahead = kept["close"][min(t + 1, len(kept["close"]) - 1)]
        return cross_on_bar(t, columns, params, state) if ahead >= columns.close[-1] else None

    return plain_strategy("closure", "Closure", "A cheat.", SmaCrossParams, on_bar, lambda p: 100, init=init)


@pytest.mark.parametrize(
    "cheat",
    [plain_strategy("early", "Early", "A cheat.", SmaCrossParams, cross_on_bar, lambda p: 100, init=peeking_init), closure_cheat()],
    ids=["an init that looks ahead", "a function that kept the bars"],
)
def test_a_look_ahead_round_the_columns_is_caught_by_other_futures(cheat: Strategy, bars: pd.DataFrame) -> None:
    assert "side" in leaks(cheat, {}, bars.iloc[:1500])


def test_a_wish_is_the_same_after_other_bars_than_those_that_came(bars: pd.DataFrame) -> None:
    part, rng = bars.iloc[:600], np.random.default_rng(5)
    whole = PLAIN_CROSS.decide(part, Context(EURUSD), SmaCrossParams())
    for t in (50, 300, 598):
        changed = PLAIN_CROSS.decide(other_future(part, t, rng), Context(EURUSD), SmaCrossParams())
        np.testing.assert_array_equal(np.asarray(changed.side)[: t + 1], np.asarray(whole.side)[: t + 1])


@pytest.mark.parametrize("t_written", [0, 30])
def test_writing_into_a_column_is_refused(t_written: int, bars: pd.DataFrame) -> None:
    def writing(t: int, columns: Any, params: Any, state: dict[str, Any]) -> None:
        if t == t_written:
            columns.close[0] = 7.0

    with pytest.raises(BadInput, match="wrote into it") as error:
        plain(writing).decide(bars.iloc[:60], Context(EURUSD), StreakParams())
    assert error.value.field == "columns.close"


@pytest.mark.parametrize(
    ("answer", "field"),
    [
        ("buy", "wish"),
        (1, "wish"),
        ([1, 1.0], "wish"),
        ((), "wish"),
        (tuple(range(14)), "wish"),
        (Wish(side=0.5), "wish.side"),  # type: ignore[arg-type]
        (Wish(side=1, stop="near"), "wish.stop"),  # type: ignore[arg-type]
        (Wish(side=257), "wish.side"),
        (Wish(side=1, size_fraction=None), "wish.size_fraction"),  # type: ignore[arg-type]
        (Wish(side=1, reason=np.nan), "wish.reason"),  # type: ignore[arg-type]
    ],
)
def test_an_answer_that_cannot_be_meant_is_named(answer: Any, field: str, bars: pd.DataFrame) -> None:
    with pytest.raises(BadInput) as error:
        plain(lambda t, columns, params, state: answer if t == 20 else None).decide(bars.iloc[:60], Context(EURUSD), StreakParams())
    assert error.value.field == field
    assert "row 20" in str(error.value)


@pytest.mark.parametrize("columns", [{"close": np.zeros(3)}, {"close": 1.0}, {"my close": np.zeros(60)}, {"close": np.zeros((60, 2))}])
def test_a_column_that_does_not_fit_the_bars_is_named(columns: dict[str, Any], bars: pd.DataFrame) -> None:
    with pytest.raises(BadInput) as error:
        plain(lambda *_: None, lambda bars, params: columns).decide(bars.iloc[:60], Context(EURUSD), StreakParams())
    assert error.value.field.startswith("columns.")


def test_a_short_tuple_is_the_first_fields_of_a_wish_and_none_is_no_wish(bars: pd.DataFrame) -> None:
    def on_bar(t: int, columns: Any, params: Any, state: dict[str, Any]) -> Any:
        return (1, columns.low[-1] - 0.001) if t % 10 == 3 else None

    part = bars.iloc[:60]
    decisions = plain(on_bar).decide(part, Context(EURUSD), StreakParams())
    expected = np.arange(60) % 10 == 3
    np.testing.assert_array_equal(decisions.side, expected)
    np.testing.assert_array_equal(np.asarray(decisions.stop)[expected], part["low"].to_numpy()[expected] - 0.001)
    assert np.isnan(decisions.target), "what nobody set stays a constant"
    assert decisions.exit == 0
    assert plain(lambda *_: None).decide(part, Context(EURUSD), StreakParams()) == Decisions(side=0)


def test_a_price_of_none_is_none(bars: pd.DataFrame) -> None:
    item = plain(lambda t, columns, params, state: Wish(1, stop=None, target=2.0))  # type: ignore[arg-type]
    decisions = item.decide(bars.iloc[:9], Context(EURUSD), StreakParams())
    assert np.isnan(decisions.stop).all()
    assert (np.asarray(decisions.target) == 2.0).all()


def test_an_empty_init_is_allowed_and_the_callback_is_still_called_for_every_bar(bars: pd.DataFrame) -> None:
    item = plain(lambda t, columns, params, state: Wish(side=1) if t % 2 else None, lambda bars, params: {})
    assert np.asarray(item.decide(bars.iloc[:9], Context(EURUSD), StreakParams()).side).tolist() == [0, 1] * 4 + [0]


def test_a_plain_strategy_can_be_managed_by_compiled_code(bars: pd.DataFrame) -> None:
    from components.strategy.library import break_even

    item = replace(PLAIN_CROSS, manage=break_even, manage_params=lambda p: np.array([0.5]))
    result = run_backtest(item, None, bars, instrument=EURUSD)
    stops = result.trades[result.trades["exit"] == "stop"]
    assert np.isclose(stops["stop"], stops["entry_price"]).any(), "no stop went to its entry"
