"""Planted cheats: each must be caught, in the right column, and the statement marked with LEAK must be named."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numba import njit

from components.backtest.audit.asked import Asked
from components.backtest.audit.naming import leak_of
from components.backtest.audit.report import AuditLeak
from components.backtest.audit.search import find_moves
from components.features import atr, rsi, sma
from components.fx import Timeframe, instrument, validate_bars
from components.pipeline import fetch_bars
from components.strategy import Context, Decisions, Wish, catalogue, plain_strategy, strategy

EURUSD = instrument("EURUSD")
HONEST = strategy("sma_cross")
Decide = Callable[[pd.DataFrame, Context, Any], Decisions]


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return validate_bars(fetch_bars("sample", "EURUSD", Timeframe.H1)).iloc[:1500]


def side_of(values: Any) -> np.ndarray:
    return np.sign(np.nan_to_num(np.asarray(values, dtype=np.float64))).astype(np.int8)


def next_bar(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    honest = HONEST.decide(bars, context, params)
    change = bars["close"].shift(-1) - bars["close"]  # LEAK bars['close'].shift(-1)
    return replace(honest, side=side_of(change))


def next_bar_in_the_answer(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    honest = HONEST.decide(bars, context, params)
    return replace(
        honest,
        side=honest.side,
        stop=np.asarray(honest.stop) * 1.0 + 0.001 * side_of(bars["close"].diff().shift(-1)),  # LEAK bars['close'].diff().shift(-1)
    )


def centred_mean(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    close = bars["close"]
    mean = close.rolling(5, center=True).mean()  # LEAK close.rolling(5, center=True).mean()
    filled = mean.ffill()
    return Decisions(side=side_of(close - filled))


def whole_sample_score(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    close = bars["close"].to_numpy()
    middle = close.mean()  # LEAK close.mean()
    spread = 0.01
    score = (close - middle) / spread
    return Decisions(side=np.where(score > 1, -1, np.where(score < -1, 1, 0)))


def highest_of_all(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    near = bars["close"].to_numpy() / bars["high"].to_numpy().max()  # LEAK bars['high'].to_numpy().max()
    return Decisions(side=1, target=bars["close"].to_numpy() * (2 - near))


def rank_in_all(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    order = np.argsort(np.argsort(bars["close"].to_numpy()))  # LEAK np.argsort(bars['close'].to_numpy())
    place = order / len(bars)
    return Decisions(side=np.where(place < 0.2, 1, np.where(place > 0.8, -1, 0)))


def filled_from_behind(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    four = bars["close"].resample("4h").last()
    known = four.reindex(bars.index)
    trend = known.bfill()  # LEAK known.bfill()
    return Decisions(side=side_of(bars["close"] - trend))


def hours_not_closed(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    four = bars["close"].resample("4h").last()
    joined = four.reindex(bars.index, method="ffill")  # LEAK four.reindex(bars.index, method='ffill')
    return Decisions(side=side_of(bars["close"] - joined))


def day_known_in_the_morning(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    day = bars.index.normalize()
    top = bars.groupby(day)["high"].transform("max")  # LEAK bars.groupby(day)['high'].transform('max')
    return Decisions(side=side_of(0.5 * (top - bars["close"]) - 0.001))


def last_row_only(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    honest = HONEST.decide(bars, context, params)
    size = np.ones(len(bars))
    for t in range(len(bars)):
        if t == len(bars) - 1:  # LEAK t == len(bars) - 1
            size[t] = 0.5
    return replace(honest, size_fraction=size)


def one_row_of_many(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    """A wish in every row, and one row in 200 knows the next close."""
    close = bars["close"].to_numpy()
    side = side_of(close - sma(close, 20))
    rare = np.flatnonzero(pd.DatetimeIndex(bars.index).as_unit("s").asi8 // 3600 % 200 == 77)
    for t in rare:
        if t + 1 < len(close):
            side[t] = 1 if close[t + 1] > close[t] else -1  # LEAK close[t + 1]
    return Decisions(side=side)


@njit
def peeking_kernel(close: np.ndarray) -> np.ndarray:  # LEAK
    answer = np.zeros(len(close))
    for t in range(len(close) - 1):
        answer[t] = close[t + 1] - close[t]
    return answer


def compiled_cheat(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    gain = peeking_kernel(bars["close"].to_numpy())
    return Decisions(side=side_of(gain))


def smooth_both_ways(values: np.ndarray, period: int) -> np.ndarray:
    forward = sma(values, period)
    backward = sma(forward[::-1], period)[::-1]  # LEAK forward[::-1]
    return np.asarray(backward)


def looks_innocent(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    close = bars["close"].to_numpy()
    fast = sma(close, 10)
    slow = smooth_both_ways(close, 30)
    true_range = atr(bars["high"].to_numpy(), bars["low"].to_numpy(), close, 14)
    return Decisions(side=side_of(fast - slow), stop_distance=true_range * 2)


def next_volume(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    honest = HONEST.decide(bars, context, params)
    later = np.append(bars["volume"].to_numpy()[1:], 0.0)  # LEAK np.append(bars['volume'].to_numpy()[1:], 0.0)
    confidence = np.clip(later / 10_000, 0, 1)
    return replace(honest, confidence=confidence)


def two_cheats(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    close = bars["close"]
    ahead = close.shift(-3)
    ceiling = float(close.max())  # LEAK close.max()
    return Decisions(side=side_of(ahead - close), target_distance=np.where(close < ceiling, ceiling - close + 0.001, 0.001))


def in_a_loop(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    close = bars["close"].to_numpy()
    out = np.zeros(len(close), dtype=np.int8)
    for t in range(1, len(close) - 1):
        if close[t] < close[t - 1]:
            continue
        if close[t + 1] > close[t]:  # LEAK close[t + 1]
            out[t] = 1
    return Decisions(side=0, exit=out)


def by_first_and_last(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    close = bars["close"].to_numpy()
    if close[-1] > close[0]:  # LEAK close[-1]
        return Decisions(side=np.ones(len(close), dtype=np.int8))
    return Decisions(side=-np.ones(len(close), dtype=np.int8))


def in_a_comprehension(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    close = bars["close"].to_numpy()
    side = np.array([int(t + 1 < len(close) and close[t + 1] > close[t]) for t in range(len(close))])  # LEAK
    return Decisions(side=side)


def through_a_lambda(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    around = bars["close"].rolling(7, center=True)
    slope = around.apply(lambda w: w[-1] - w[0], raw=True)  # LEAK around.apply(lambda w: w[-1] - w[0], raw=True)
    return Decisions(side=side_of(slope))


def in_a_column(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    frame = bars.copy()
    frame["mean"] = frame["close"].rolling(10).mean()
    frame["next"] = frame["close"].pct_change().shift(-2)  # LEAK frame['close'].pct_change().shift(-2)
    frame["signal"] = 0
    frame.loc[frame["next"] > 0, "signal"] = 1
    return Decisions(side=frame["signal"].to_numpy())


class Callback:
    """A strategy that is an object."""

    def __init__(self, ahead: int) -> None:
        self.ahead = ahead

    def peek(self, values: pd.Series) -> pd.Series:
        return values.shift(-self.ahead)  # LEAK values.shift(-self.ahead)

    def __call__(self, bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
        return Decisions(side=side_of(self.peek(bars["close"]) - bars["close"]))


def learned_from_all(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    change = bars["close"].diff().fillna(0.0).to_numpy()
    before = np.concatenate(([0.0], change[:-1]))
    weight = np.linalg.lstsq(before[:, None], change, rcond=None)[0]
    factor = float(weight[0])  # LEAK weight[0]
    return Decisions(side=0, confidence=np.clip(np.abs(before * factor) * 1_000, 0, 1))


def a_plan_by_swings(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    close = bars["close"].to_numpy()
    side, t = np.zeros(len(close), dtype=np.int8), 0
    while t < len(close):
        end = t
        while end + 1 < len(close) and close[end + 1] > close[end]:  # LEAK
            end += 1
        if end - t > 3:
            side[t] = 1
        t = end + 1
    return Decisions(side=side)


CHEATS: list[tuple[Decide, str, Callable[..., Any]]] = [
    (next_bar, "side", next_bar),
    (next_bar_in_the_answer, "stop", next_bar_in_the_answer),
    (centred_mean, "side", centred_mean),
    (whole_sample_score, "side", whole_sample_score),
    (highest_of_all, "target", highest_of_all),
    (rank_in_all, "side", rank_in_all),
    (filled_from_behind, "side", filled_from_behind),
    (hours_not_closed, "side", hours_not_closed),
    (day_known_in_the_morning, "side", day_known_in_the_morning),
    (last_row_only, "size_fraction", last_row_only),
    (one_row_of_many, "side", one_row_of_many),
    (compiled_cheat, "side", peeking_kernel),
    (looks_innocent, "side", smooth_both_ways),
    (next_volume, "confidence", next_volume),
    (two_cheats, "target_distance", two_cheats),
    (in_a_loop, "exit", in_a_loop),
    (by_first_and_last, "side", by_first_and_last),
    (in_a_comprehension, "side", in_a_comprehension),
    (through_a_lambda, "side", through_a_lambda),
    (in_a_column, "side", in_a_column),
    (Callback(2), "side", Callback.peek),
    (learned_from_all, "confidence", learned_from_all),
    (a_plan_by_swings, "side", a_plan_by_swings),
]


def leaks_in(decide: Decide, bars: pd.DataFrame, *, cuts: int = 12, dense: int = 12) -> list[AuditLeak]:
    """What an audit of `decide` finds, without its backtests; futures row by row only where a cheat needs them to be seen."""
    asked = Asked(replace(HONEST, decide=decide), HONEST.parse(None), EURUSD)
    found = find_moves(asked, bars, 300, cuts=cuts, dense=dense, seed=0, tell=lambda share, words: None)
    assert found.failures == []
    columns = {move.column for move in found.moves.values()}
    chosen = [found.moves.get((column, "perturbation")) or found.moves[column, "truncation"] for column in columns]
    return [leak_of(asked, bars, move) for move in chosen]


def marked(function: Callable[..., Any]) -> tuple[int, str]:
    """Line of the statement marked with LEAK in a function, and the part that the mark names."""
    lines, first = inspect.getsourcelines(getattr(function, "py_func", function))
    (found,) = [(first + number, line.split("# LEAK")[1].strip()) for number, line in enumerate(lines) if "# LEAK" in line]
    return found


@pytest.mark.parametrize(("decide", "column", "culprit"), CHEATS, ids=[getattr(decide, "__name__", "an_object") for decide, _, _ in CHEATS])
def test_a_planted_cheat_is_caught_and_its_column_function_and_statement_are_named(
    decide: Decide, column: str, culprit: Callable[..., Any], bars: pd.DataFrame
) -> None:
    leaks = {one.column: one for one in leaks_in(decide, bars, dense=250 if decide is one_row_of_many else 12)}
    assert set(leaks) == {column} | ({"side"} if decide is two_cheats else set())
    leak = leaks[column]
    line, part = marked(culprit)
    assert leak.function.endswith(f".{getattr(culprit, 'py_func', culprit).__name__}"), leak
    assert Path(leak.place.rsplit(":", 1)[0]).name == Path(__file__).name, leak
    place = int(leak.place.rsplit(":", 1)[1])
    assert place == line or (culprit is peeking_kernel and place == line - 1), leak
    if part:
        assert leak.expression == part


def honest_mean_reversion(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    """Rolling score, hours that are closed, the day so far: all of it known at the close."""
    close = bars["close"]
    score = (close - close.rolling(48).mean()) / close.rolling(48).std()
    four = close.resample("4h", label="left").last()
    closed = four.shift(1).reindex(bars.index, method="ffill")
    top_so_far = bars.groupby(bars.index.normalize())["high"].cummax()
    side = np.where((score < -1.5) & (close < closed), 1, np.where((score > 1.5) & (close > closed), -1, 0))
    return Decisions(side=side, target_distance=(top_so_far - bars["low"]).to_numpy() + 0.001, confidence=score.abs().clip(0, 1).fillna(0).to_numpy())


def honest_loop(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
    """A callback in plain Python over the bars so far."""
    close = bars["close"].to_numpy()
    side, held = np.zeros(len(close), dtype=np.int8), 0.0
    for t in range(1, len(close)):
        held = 0.9 * held + 0.1 * (close[t] - close[t - 1])
        if held > 0.0002:
            side[t] = 1
        elif held < -0.0002:
            side[t] = -1
    return Decisions(side=side)


@pytest.mark.parametrize("decide", [honest_mean_reversion, honest_loop], ids=lambda decide: decide.__name__)
def test_an_honest_strategy_gives_no_alarm(decide: Decide, bars: pd.DataFrame) -> None:
    assert leaks_in(decide, bars) == []


@pytest.mark.parametrize("name", [item.name for item in catalogue()])
def test_no_strategy_of_the_library_gives_an_alarm(name: str, bars: pd.DataFrame) -> None:
    item = strategy(name)
    up = 1 - rsi(bars["close"].to_numpy(), 14) / 100
    answers = pd.DataFrame({"p_down": 1 - up, "p_flat": 0.0, "p_up": up}, index=bars.index)
    asked = Asked(item, item.parse(None), EURUSD, answers if item.needs_model else None)
    found = find_moves(asked, bars, item.warmup_bars(asked.params), cuts=16, dense=20, seed=1, tell=lambda share, words: None)
    assert (found.moves, found.failures) == ({}, [])


@pytest.mark.parametrize("seed", range(4))
def test_a_random_clean_strategy_gives_no_alarm(seed: int, bars: pd.DataFrame) -> None:
    random = np.random.default_rng(seed)
    fast, slow, lag = (int(value) for value in random.integers((2, 20, 1), (20, 200, 30)))
    threshold = random.uniform(20, 45)

    def decide(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
        close = bars["close"].to_numpy()
        trend = sma(close, fast) - sma(close, slow)
        strength = rsi(close, lag + 2)
        before = np.concatenate((np.full(lag, np.nan), trend[:-lag]))
        side = np.where((trend > before) & (strength < threshold), 1, np.where((trend < before) & (strength > 100 - threshold), -1, 0))
        return Decisions(side=side, stop_distance=atr(bars["high"].to_numpy(), bars["low"].to_numpy(), close, fast + 2) + 0.001)

    assert leaks_in(decide, bars) == []


def test_a_model_that_looks_ahead_is_named_by_its_own_function(bars: pd.DataFrame) -> None:
    item = strategy("model_edge")

    def answers(chosen: pd.DataFrame) -> pd.DataFrame:
        ahead = chosen["close"].shift(-1).ffill()
        up = 1 / (1 + np.exp(-2_000 * (ahead - chosen["close"])))
        return pd.DataFrame({"p_down": 1 - up, "p_flat": 0.0, "p_up": up}, index=chosen.index)

    asked = Asked(item, item.parse(None), EURUSD, answers)
    found = find_moves(asked, bars, 300, cuts=8, dense=20, seed=0, tell=lambda share, words: None)
    move = found.moves["probabilities.p_up", "perturbation"]
    leak = leak_of(asked, bars, move)
    assert leak.function.endswith("answers")
    assert leak.expression == "chosen['close'].shift(-1)"


def columns_that_peek(bars: pd.DataFrame, params: Any) -> dict[str, Any]:
    close = bars["close"].to_numpy()
    coming = np.concatenate((close[3:], np.full(min(3, len(close)), close[-1])))  # LEAK
    return {"close": close, "coming": coming}


def on_bar(t: int, columns: Any, params: Any, state: dict[str, Any]) -> Wish | None:
    state["bars"] = state.get("bars", 0) + 1
    return Wish(1 if columns.coming[-1] > columns.close[-1] else -1)


def test_a_callback_in_plain_python_is_followed_into_what_prepares_its_columns(bars: pd.DataFrame) -> None:
    item = plain_strategy(
        "peeks", "Peeks", "Knows the close in three bars.", type(HONEST.parse(None)), on_bar, lambda params: 10, init=columns_that_peek
    )
    (leak,) = leaks_in(item.decide, bars.iloc[:700])
    assert leak.column == "side"
    assert leak.function.endswith(".columns_that_peek")
    assert int(leak.place.rsplit(":", 1)[1]) == marked(columns_that_peek)[0]


def test_a_shared_indicator_that_looks_ahead_is_named(bars: pd.DataFrame) -> None:
    def decide(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
        return Decisions(side=side_of(context.shared(smooth_both_ways, bars["close"].to_numpy(), 9) - bars["close"].to_numpy()))

    (leak,) = leaks_in(decide, bars)
    assert leak.function.endswith(".smooth_both_ways")


def test_what_was_traced_before_is_traced_after(bars: pd.DataFrame) -> None:
    import sys

    calls: list[str] = []

    def tracer(frame: Any, event: str, argument: Any) -> None:
        calls.append(frame.f_code.co_name)

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        leaks_in(next_bar, bars.iloc[:400])
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)


def test_a_leak_is_said_even_where_the_strategy_cannot_be_traced(bars: pd.DataFrame) -> None:
    import sys

    def shy(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
        if sys.gettrace() is not None:
            raise RuntimeError("somebody is watching")
        return Decisions(side=side_of(bars["close"].shift(-1) - bars["close"]))

    (leak,) = leaks_in(shy, bars.iloc[:400])
    assert leak.column == "side"
    assert leak.function.endswith("shy")
    assert leak.place == ""


def test_a_slow_loop_over_many_bars_is_named_in_a_moment() -> None:
    many = validate_bars(fetch_bars("sample", "EURUSD", Timeframe.H1))

    def slow(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
        close = bars["close"].to_numpy()
        top = close[4_000:].max() if len(close) > 4_000 else 0.0  # seen only over all bars
        side = np.zeros(len(close), dtype=np.int8)
        for t in range(len(close)):
            if close[t] > top:
                side[t] = 1
        return Decisions(side=side)

    asked = Asked(replace(HONEST, decide=slow), HONEST.parse(None), EURUSD)
    found = find_moves(asked, many, 300, cuts=4, dense=0, seed=0, tell=lambda share, words: None)
    began = time.perf_counter()
    leak = leak_of(asked, many, found.moves["side", "truncation"])
    assert time.perf_counter() - began < 30
    assert leak.function.endswith("slow")
