"""The triple-barrier label: against an independent plain loop on real bars, and cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from components.features import atr, check_causal, triple_barrier
from components.fx import BadInput, validate_bars


def plain_labels(bars: pd.DataFrame, horizon: int, up: float, down: float, period: int) -> list[tuple[float, int]]:
    """The definition, bar by bar, in another shape than the compiled loop: first rows of either barrier, then the rule for the same row."""
    width = atr(bars["high"], bars["low"], bars["close"], period)
    opens, highs, lows, closes = (bars[name].to_numpy() for name in ("open", "high", "low", "close"))
    answer = []
    for t in range(len(bars)):
        if np.isnan(width[t]) or t + horizon >= len(bars):
            answer.append((np.nan, -1))
            continue
        upper, lower = closes[t] + up * width[t], closes[t] - down * width[t]
        later = range(t + 1, t + horizon + 1)
        first_up = next((j for j in later if highs[j] >= upper), None)
        first_down = next((j for j in later if lows[j] <= lower), None)
        if first_up is None and first_down is None:
            answer.append((0.0, t + horizon))
        elif first_down is None or (first_up is not None and first_up < first_down):
            answer.append((1.0, first_up))
        elif first_up is None or first_down < first_up:
            answer.append((-1.0, first_down))
        else:
            gap = 1.0 if opens[first_up] >= upper else -1.0 if opens[first_up] <= lower else 0.0
            answer.append((gap, first_up))
    return answer


@pytest.mark.parametrize(("horizon", "up", "down", "period"), [(12, 2.0, 2.0, 14), (1, 0.2, 0.2, 5), (48, 3.0, 1.0, 14), (6, 0.3, 0.3, 1)])
def test_labels_on_real_bars_equal_the_plain_definition(horizon: int, up: float, down: float, period: int, bars: pd.DataFrame) -> None:
    labels = triple_barrier(bars, horizon, up, down, period)
    expected = plain_labels(bars, horizon, up, down, period)
    np.testing.assert_array_equal(labels["label"], [label for label, _ in expected])
    np.testing.assert_array_equal(labels["end_row"], [end for _, end in expected])
    assert set(labels["label"].dropna()) == {-1.0, 0.0, 1.0}


def case(later: list[tuple[float, float, float, float]], horizon: int) -> pd.Series:
    """The label of bar 2, which closes at 100 with an average true range of 1, followed by the bars `later` and quiet ones."""
    rows = [(100.0, 100.5, 99.5, 100.0)] * 3 + later + [(100.0, 100.5, 99.5, 100.0)] * 5
    index = pd.date_range("2024-01-01", periods=len(rows), freq="h", tz="UTC")
    bars = validate_bars(pd.DataFrame(rows, columns=["open", "high", "low", "close"], index=index))
    return triple_barrier(bars, horizon, 2.0, 3.0, 1).iloc[2]


@pytest.mark.parametrize(
    ("later", "label", "end_row"),
    [
        ([(100, 102.0, 100, 101)], 1, 3),  # the upper barrier lies at 102 and is reached exactly
        ([(100, 101.99, 97.0, 98)], -1, 3),  # the lower one at 97
        ([(100, 101.99, 97.01, 100)], 0, 5),  # neither, three bars long
        ([(100, 101, 99, 100), (100, 103, 99, 102)], 1, 4),
        ([(100, 103, 96, 100)], 0, 3),  # both inside one bar: not claimed
        ([(102.5, 103, 96, 100)], 1, 3),  # opened beyond the upper one
        ([(96.5, 103, 96, 100)], -1, 3),  # opened beyond the lower one
    ],
)
def test_a_label_worked_out_by_hand(later: list[tuple[float, float, float, float]], label: int, end_row: int) -> None:
    answer = case(later, horizon=3)
    assert (answer["label"], answer["end_row"]) == (label, end_row)


def test_the_last_rows_have_no_label_even_where_a_barrier_was_reached_already(bars: pd.DataFrame) -> None:
    labels = triple_barrier(bars, 12, 0.1, 0.1, 14)
    assert labels["label"].iloc[-12:].isna().all()
    assert (labels["end_row"].iloc[-12:] == -1).all()
    assert np.isfinite(labels["label"].iloc[14:-12]).all()
    assert labels["label"].iloc[:14].isna().all()


def test_a_label_ends_after_its_bar_and_within_the_horizon(bars: pd.DataFrame) -> None:
    labels = triple_barrier(bars, 12, 2.0, 2.0)
    lasted = labels["end_row"].to_numpy() - np.arange(len(bars))
    known = labels["label"].notna().to_numpy()
    assert lasted[known].min() >= 1
    assert lasted[known].max() <= 12


def test_the_label_is_seen_to_look_ahead(bars: pd.DataFrame) -> None:
    leaks = check_causal(lambda b: triple_barrier(b, 12, 2.0, 2.0), bars, cuts=5)
    assert {"label", "end_row"} <= {leak.column for leak in leaks}


@pytest.mark.parametrize(("horizon", "up", "down", "period", "field"), [(0, 1, 1, 14, "horizon"), (5, 0, 1, 14, "up_atr"), (5, 1, np.nan, 14, "down"), (5, 1, 1, 0, "period")])  # fmt: skip
def test_wrong_parameters_are_refused_by_name(horizon: int, up: float, down: float, period: int, field: str, bars: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match=field):
        triple_barrier(bars, horizon, up, down, period)
