"""Planted cheats must be caught, by the names of their column and of the function that made it; honest functions must not be accused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from components.features.causality import check_causal, function_named
from components.features.indicators import rolling_mean
from components.fx import BadInput


def next_bar(bars: pd.DataFrame) -> pd.Series:
    return bars["close"].shift(-1)


def centred_window(bars: pd.DataFrame) -> pd.Series:
    return bars["close"].rolling(5, center=True).mean()


def whole_sample_normalised(bars: pd.DataFrame) -> pd.Series:
    return (bars["close"] - bars["close"].mean()) / bars["close"].std()


def filled_from_behind(bars: pd.DataFrame) -> pd.Series:
    return bars["close"].rolling(7).mean().bfill()


def close_of_the_day(bars: pd.DataFrame) -> pd.Series:
    return bars["close"].groupby(bars.index.normalize()).transform("last")


def later_volume(bars: pd.DataFrame) -> pd.Series:
    return bars["volume"][::-1].rolling(3, min_periods=1).max()[::-1]


def later_spread(bars: pd.DataFrame) -> pd.Series:
    return bars["spread_points"].shift(-1)


def pause_after_the_bar(bars: pd.DataFrame) -> pd.Series:
    return pd.Series(bars.index, bars.index).diff().shift(-1).dt.total_seconds()


def only_the_last_bar_but_one_peeks(bars: pd.DataFrame) -> pd.Series:
    values = bars["close"].copy()
    values.iloc[-2:] = values.iloc[-1]
    return values


def number_of_bars(bars: pd.DataFrame) -> pd.Series:
    return pd.Series(len(bars), bars.index)


def four_hours_joined_by_their_open(bars: pd.DataFrame) -> pd.Series:
    """The close of each four hours, known from their close on, joined from their open on."""
    closes = bars["close"].resample("4h").last().dropna()
    return pd.merge_asof(bars[[]], closes.rename("four_hours"), left_index=True, right_index=True)["four_hours"]


def four_hours_joined_by_their_close(bars: pd.DataFrame) -> pd.Series:
    """The same, as honest people do it: the bar that opens at 12:00 was complete at 16:00, which is the close of the hour from 15:00."""
    closes = bars["close"].resample("4h").last().dropna()
    closes.index = (closes.index + pd.Timedelta("3h")).as_unit("ms")
    return pd.merge_asof(bars[[]], closes.rename("four_hours"), left_index=True, right_index=True)["four_hours"]


CHEATS = (
    next_bar,
    centred_window,
    whole_sample_normalised,
    filled_from_behind,
    four_hours_joined_by_their_open,
    close_of_the_day,
    later_volume,
    later_spread,
    pause_after_the_bar,
    only_the_last_bar_but_one_peeks,
    number_of_bars,
)


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.__name__)
def test_a_planted_cheat_is_caught_and_its_column_and_function_are_named(cheat: object, bars: pd.DataFrame) -> None:
    def honest_but_for_one(frame: pd.DataFrame) -> pd.DataFrame:
        honest = frame["close"].rolling(5).mean()
        return pd.DataFrame({"honest": honest, "cheat": cheat(frame), "also_honest": frame["close"].diff()})  # type: ignore[operator]

    leaks = check_causal(honest_but_for_one, bars)
    assert {leak.column for leak in leaks} == {"cheat"}
    assert {leak.function.rpartition(".")[2] for leak in leaks} == {"honest_but_for_one"}
    assert all(0 <= leak.row <= leak.cut < len(bars) for leak in leaks)


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.__name__)
def test_in_a_pipeline_the_step_that_cheats_is_named_and_not_those_around_it(cheat: object, bars: pd.DataFrame) -> None:
    def before(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(mean=frame["close"].rolling(5).mean())

    def cheated(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(cheat=cheat(frame))  # type: ignore[operator]

    def after(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(passed_on=frame["cheat"].ffill().rolling(3).mean(), honest=frame["mean"].diff())

    leaks = check_causal([before, "rsi_14", cheated, after], bars, cuts=4)
    assert {(leak.column, leak.function.rpartition(".")[2]) for leak in leaks} == {("cheat", "cheated")}
    assert all(leak.place.split(":")[0].endswith("test_causality.py") and int(leak.place.split(":")[1]) > 0 for leak in leaks)


def test_two_steps_that_cheat_are_both_named(bars: pd.DataFrame) -> None:
    def first(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(a=frame["close"].shift(-1))

    def second(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(b=frame["volume"] / frame["volume"].max())

    leaks = check_causal([first, second], bars, cuts=4)
    assert {(leak.column, leak.function.rpartition(".")[2]) for leak in leaks} == {("a", "first"), ("b", "second")}


def test_a_function_is_named_by_module_and_file_whatever_wraps_it() -> None:
    import functools

    name, place = function_named(functools.partial(next_bar))
    assert name == f"{__name__}.next_bar"
    assert place.rpartition(":")[0].endswith("tests/features/test_causality.py")
    assert function_named(rolling_mean)[0] == "components.features.indicators.rolling_mean"  # compiled
    assert function_named(len) == ("builtins.len", "")


def test_a_merge_of_longer_bars_by_their_close_is_not_accused(bars: pd.DataFrame) -> None:
    whole = bars[bars.index >= bars.index[0].ceil("4h")]
    complete = whole.groupby(whole.index.floor("4h"))["close"].transform("size") == 4
    assert check_causal(four_hours_joined_by_their_close, whole[complete].iloc[:1000], cuts=12) == []


def test_one_bar_of_look_ahead_shows_in_the_row_of_the_cut_itself(bars: pd.DataFrame) -> None:
    leaks = check_causal(next_bar, bars, cuts=[100])
    assert {(leak.column, leak.row, leak.cut, leak.kind) for leak in leaks} == {
        ("close", 100, 100, "truncation"),
        ("close", 100, 100, "perturbation"),
    }


def test_a_look_ahead_that_only_the_last_two_bars_have_is_seen(bars: pd.DataFrame) -> None:
    def peek(frame: pd.DataFrame) -> pd.Series:
        values = np.zeros(len(frame))
        values[-2] = frame["close"].iloc[-1]
        return pd.Series(values, frame.index, name="peek")

    assert {leak.column for leak in check_causal(peek, bars, cuts=[len(bars) - 2])} == {"peek"}


def test_a_fill_from_behind_is_seen_although_it_touches_the_first_rows_only(bars: pd.DataFrame) -> None:
    assert [leak.kind for leak in check_causal(filled_from_behind, bars, cuts=[4000])] == []  # a late cut cannot see it
    assert check_causal(filled_from_behind, bars, cuts=0)  # the rows that are always cut do


def test_honest_functions_of_every_shape_are_not_accused(bars: pd.DataFrame) -> None:
    def mixed(frame: pd.DataFrame) -> pd.DataFrame:
        up = frame["close"].diff() > 0
        text = up.map({True: "up", False: "down"})
        return pd.DataFrame({"flag": up, "text": text, "count": up.cumsum(), "nan": np.nan, "time": frame.index, "inf": np.inf})

    assert check_causal(mixed, bars) == []
    assert check_causal(lambda frame: frame["close"].expanding().mean().rename("mean"), bars) == []


def test_the_bars_given_are_not_changed_by_a_function_that_writes_on_its_own(bars: pd.DataFrame) -> None:
    def careless(frame: pd.DataFrame) -> pd.Series:
        frame["close"] = 0.0
        return frame["close"]

    before = bars.copy()
    assert check_causal(careless, bars, cuts=3) == []
    pd.testing.assert_frame_equal(bars, before)


def test_a_column_that_appears_with_more_bars_is_a_leak(bars: pd.DataFrame) -> None:
    def grows(frame: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"a": frame["close"], **({"b": frame["close"]} if len(frame) > 2000 else {})})

    assert {leak.column for leak in check_causal(grows, bars)} == {"b"}


def test_wrong_cuts_and_answers_are_refused(bars: pd.DataFrame) -> None:
    for cuts in ([5000], [-1], [], -3):
        with pytest.raises(BadInput, match="cuts"):
            check_causal(next_bar, bars, cuts=cuts)
    with pytest.raises(BadInput, match="rows"):
        check_causal(lambda frame: frame["close"].iloc[1:], bars)
    with pytest.raises(BadInput, match="too few"):
        check_causal(next_bar, bars.iloc[:2])
