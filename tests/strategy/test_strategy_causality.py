"""Row t of a strategy uses bars ≤ t: recomputed on shorter histories and on other futures, the last bar included."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.features import rsi
from components.fx import Timeframe, instrument, validate_bars
from components.pipeline import fetch_bars
from components.strategy import Context, Decisions, Strategy, catalogue, strategy

EURUSD = instrument("EURUSD")
PARAMS: dict[str, list[dict[str, Any]]] = {
    "sma_cross": [{}, {"fast": 5, "slow": 60, "atr_period": 7}],
    "atr_breakout": [{}, {"channel": 5, "atr_period": 30}],
    "pullback": [{}, {"trend": 20, "rsi_period": 3, "leave_on_turn": False}],
    "model_edge": [{}, {"edge": 0.0}],
}
CASES = [(name, params) for name, all_params in PARAMS.items() for params in all_params]


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return validate_bars(fetch_bars("sample", "EURUSD", Timeframe.H1)).iloc[:1500]


def rows_of(item: Strategy, params: dict[str, Any], bars: pd.DataFrame) -> dict[str, np.ndarray]:
    """Every decision column over these bars, constants spread out; a model is stood in for by a rule on the same bars."""
    up = 1 - rsi(bars["close"].to_numpy(), 14) / 100
    asked = pd.DataFrame({"p_down": 1 - up, "p_flat": 0.0, "p_up": up}, index=bars.index)
    decisions = item.decide(bars, Context(EURUSD, asked), item.parse(params)).checked(len(bars))
    return {f.name: np.broadcast_to(np.asarray(getattr(decisions, f.name), dtype=np.float64), len(bars)) for f in fields(decisions)}


def other_future(bars: pd.DataFrame, t: int, rng: np.random.Generator) -> pd.DataFrame:
    """The same bars up to row t, others after it."""
    changed = bars.copy()
    factor = np.exp(rng.normal(0, 0.01, (len(bars) - t - 1, 1)))
    changed.iloc[t + 1 :, :4] = changed.iloc[t + 1 :, :4].to_numpy() * factor
    return changed


def leaks(item: Strategy, params: dict[str, Any], bars: pd.DataFrame, seed: int = 0) -> set[str]:
    """Columns in which row t changes when the bars after t are taken away or are others."""
    rng = np.random.default_rng(seed)
    whole, found = rows_of(item, params, bars), set()
    for t in [*rng.integers(1, len(bars) - 1, 60).tolist(), 0, len(bars) - 2, len(bars) - 1]:
        for name, values in rows_of(item, params, bars.iloc[: t + 1]).items():
            if not np.array_equal(values[-1], whole[name][t], equal_nan=True):
                found.add(name)
    for t in rng.integers(1, len(bars) - 1, 30).tolist():
        for name, values in rows_of(item, params, other_future(bars, t, rng)).items():
            if not np.array_equal(values[: t + 1], whole[name][: t + 1], equal_nan=True):
                found.add(name)
    return found


def test_every_catalogued_strategy_is_checked() -> None:
    assert {item.name for item in catalogue()} == set(PARAMS)


@pytest.mark.parametrize(("name", "params"), CASES)
def test_a_row_is_the_same_whatever_comes_after_it(name: str, params: dict[str, Any], bars: pd.DataFrame) -> None:
    assert leaks(strategy(name), params, bars) == set()


def _peeking(column: str) -> Strategy:
    """The average cross, with one column that knows the next close."""
    honest = strategy("sma_cross")

    def decide(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
        decisions = honest.decide(bars, context, params)
        coming = np.sign(bars["close"].shift(-1) - bars["close"]).fillna(0).to_numpy()
        if column == "side":
            return replace(decisions, side=coming.astype(np.int8))
        return replace(decisions, **{column: np.abs(np.nan_to_num(np.asarray(decisions.stop), nan=1.0)) + 0.001 * coming})

    return replace(honest, name="peeking", decide=decide)


def _centred() -> Strategy:
    """A cheat that only truncation finds at the last bar: an average that is centred, and filled where its window ends."""
    honest = strategy("sma_cross")

    def decide(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
        mean = bars["close"].rolling(5, center=True).mean().ffill()
        return replace(honest.decide(bars, context, params), side=np.sign(bars["close"] - mean).fillna(0).to_numpy().astype(np.int8))

    return replace(honest, name="centred", decide=decide)


def _normalised() -> Strategy:
    """A cheat over the whole sample: its mean and deviation hold the future."""
    honest = strategy("sma_cross")

    def decide(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
        score = (bars["close"] - bars["close"].mean()) / bars["close"].std()
        return replace(honest.decide(bars, context, params), side=np.where(score > 1, -1, np.where(score < -1, 1, 0)).astype(np.int8))

    return replace(honest, name="normalised", decide=decide)


@pytest.mark.parametrize(
    ("cheat", "column"),
    [(_peeking("side"), "side"), (_peeking("stop"), "stop"), (_centred(), "side"), (_normalised(), "side")],
    ids=lambda x: getattr(x, "name", x),
)
def test_a_planted_cheat_is_caught_and_its_column_named(cheat: Strategy, column: str, bars: pd.DataFrame) -> None:
    assert column in leaks(cheat, {}, bars)


@pytest.mark.parametrize(("name", "params"), CASES)
def test_beyond_the_warm_up_decisions_do_not_depend_on_where_history_begins(name: str, params: dict[str, Any], bars: pd.DataFrame) -> None:
    item = strategy(name)
    warmup = item.warmup_bars(item.parse(params))
    up = 1 - rsi(bars["close"].to_numpy(), 14) / 100
    asked = pd.DataFrame({"p_down": 1 - up, "p_flat": 0.0, "p_up": up}, index=bars.index)

    def decided(part: pd.DataFrame) -> dict[str, np.ndarray]:
        decisions = item.decide(part, Context(EURUSD, asked.loc[part.index]), item.parse(params))
        return {f.name: np.broadcast_to(np.asarray(getattr(decisions, f.name), dtype=np.float64), len(part)) for f in fields(decisions)}

    whole = decided(bars)
    for start in (1, 7, 100, 400):
        late = decided(bars.iloc[start:])
        for column, values in late.items():
            np.testing.assert_allclose(values[warmup:], whole[column][start + warmup :], rtol=1e-9, atol=0, err_msg=f"{column} from {start}")


@pytest.mark.parametrize("name", ["sma_cross", "atr_breakout"])
def test_the_warm_up_is_no_longer_than_it_must_be_by_more_than_the_memory_of_its_averages(name: str, bars: pd.DataFrame) -> None:
    item = strategy(name)
    assert 0 < item.warmup_bars(item.parse(None)) < 400


def test_the_last_row_alone_is_the_last_row_of_all(bars: pd.DataFrame) -> None:
    item = strategy("pullback")
    decisions = item.decide(bars, Context(EURUSD), item.parse(None))
    last = decisions.row(-1)
    for f in fields(decisions):
        value = np.asarray(getattr(decisions, f.name))
        assert np.array_equal(np.asarray(getattr(last, f.name))[0], value[-1] if value.ndim else value, equal_nan=value.dtype.kind == "f")
