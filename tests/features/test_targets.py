"""Targets against plain definitions, their horizons, and cheats in them that must be caught."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from components.features.causality import check_target
from components.features.indicators import atr
from components.features.target import triple_barrier
from components.features.targets_meta import meta_label
from components.features.targets_return import forward_return
from components.features.targets_trend import trend_scan
from components.fx import BadInput, validate_bars

Target = Callable[[pd.DataFrame], pd.DataFrame]


def side_of(bars: pd.DataFrame) -> np.ndarray:
    """The sign of the last 24 bars' move: a rule that knows nothing of what follows."""
    return np.sign(bars["close"].diff(24).to_numpy())


TARGETS: dict[str, tuple[Target, int]] = {
    "triple_barrier": (lambda bars: triple_barrier(bars, 12, 2.0, 1.5), 12),
    "forward_return": (lambda bars: forward_return(bars, 7, 0.8), 7),
    "meta_label": (lambda bars: meta_label(bars, side_of(bars), 12, 2.0, 1.0), 12),
    "trend_scan": (lambda bars: trend_scan(bars, 5, 20), 20),
}
EACH = pytest.mark.parametrize(("target", "horizon"), TARGETS.values(), ids=TARGETS)


def made_bars(close: list[float]) -> pd.DataFrame:
    """Hourly bars with these closes that open where the one before closed."""
    closes = np.array(close, dtype=float)
    opens = np.concatenate((closes[:1], closes[:-1]))
    index = pd.date_range("2024-01-01", periods=len(closes), freq="h", tz="UTC")
    return validate_bars(
        pd.DataFrame({"open": opens, "high": np.maximum(opens, closes), "low": np.minimum(opens, closes), "close": closes}, index=index)
    )


@EACH
def test_a_target_keeps_to_its_horizon_on_other_futures(target: Target, horizon: int, bars: pd.DataFrame) -> None:
    assert check_target(target, bars.iloc[:800], horizon, cuts=20) == []


@EACH
def test_a_target_that_states_a_shorter_horizon_is_caught(target: Target, horizon: int, bars: pd.DataFrame) -> None:
    leaks = check_target(target, bars.iloc[:800], horizon - 1, cuts=10)
    assert {"label", "end_row"} <= {leak.column for leak in leaks}
    assert "horizon" in {leak.kind for leak in leaks}


@EACH
def test_rows_whose_horizon_is_not_whole_have_no_label_and_the_others_end_after_their_bar(target: Target, horizon: int, bars: pd.DataFrame) -> None:
    answer = target(bars)
    assert list(answer.columns[:3]) == ["label", "value", "end_row"]
    assert answer.index.equals(bars.index)
    known = answer["label"].notna().to_numpy()
    assert not known[-horizon:].any()
    assert known[200:-horizon].mean() > 0.9
    assert (answer["value"].notna().to_numpy() == known).all()
    assert ((answer["end_row"].to_numpy() >= 0) == known).all()
    lasted = (answer["end_row"].to_numpy() - np.arange(len(bars)))[known]
    assert lasted.min() >= 1
    assert lasted.max() <= horizon


@pytest.mark.parametrize("rows", [0, 1, 5])
@EACH
def test_a_target_of_hardly_any_bars_knows_nothing(target: Target, horizon: int, rows: int, bars: pd.DataFrame) -> None:
    answer = target(bars.iloc[:rows])
    assert len(answer) == rows
    assert answer["label"].isna().all()


def test_forward_returns_equal_the_plain_definition(bars: pd.DataFrame) -> None:
    answer = forward_return(bars, 5, 1.0, 10)
    close, width = bars["close"].to_numpy(), atr(bars["high"], bars["low"], bars["close"], 10)
    for t in range(0, len(bars), 7):
        if t < 10 or t + 5 >= len(bars):
            assert math.isnan(answer["label"].iloc[t])
            continue
        move = close[t + 5] - close[t]
        assert answer["label"].iloc[t] == (1 if move > width[t] else -1 if move < -width[t] else 0)
        assert answer["value"].iloc[t] == pytest.approx(math.log(close[t + 5] / close[t]), rel=1e-12)
        assert answer["end_row"].iloc[t] == t + 5
    assert set(answer["label"].dropna()) == {-1.0, 0.0, 1.0}


def test_without_a_threshold_the_forward_label_is_the_sign_of_the_move(bars: pd.DataFrame) -> None:
    answer = forward_return(bars, 1, 0.0)
    known = answer["label"].notna()
    np.testing.assert_array_equal(answer["label"][known], np.sign(bars["close"].diff().shift(-1)[known]))
    assert (answer["label"] == 0).any()


def plain_meta(bars: pd.DataFrame, t: int, side: float, horizon: int, target: float, stop: float) -> tuple[float, int]:
    width = atr(bars["high"], bars["low"], bars["close"], 14)[t]
    opens, highs, lows, closes = (bars[name].to_numpy() for name in ("open", "high", "low", "close"))
    if not (side > 0 or side < 0) or math.isnan(width) or t + horizon >= len(bars):
        return math.nan, -1
    take, quit_at = closes[t] + side * target * width, closes[t] - side * stop * width
    for row in range(t + 1, t + horizon + 1):
        won = highs[row] >= take if side > 0 else lows[row] <= take
        lost = lows[row] <= quit_at if side > 0 else highs[row] >= quit_at
        if won or lost:
            opened_beyond = opens[row] >= take if side > 0 else opens[row] <= take
            return float(opened_beyond or (won and not lost)), row
    return 0.0, t + horizon


def test_meta_labels_equal_the_plain_definition(bars: pd.DataFrame) -> None:
    some = bars.iloc[:1200]
    side = side_of(some)
    side[100:110] = 0.0
    answer = meta_label(some, side, 12, 1.5, 1.0)
    plain = [plain_meta(some, t, side[t], 12, 1.5, 1.0) for t in range(0, len(some), 3)]
    np.testing.assert_array_equal(answer["label"].to_numpy()[::3], [label for label, _ in plain])
    np.testing.assert_array_equal(answer["end_row"].to_numpy()[::3], [end for _, end in plain])
    assert set(answer["label"].dropna()) == {0.0, 1.0}


def test_a_meta_label_is_the_triple_barrier_seen_from_its_side(bars: pd.DataFrame) -> None:
    long, short = (meta_label(bars, np.full(len(bars), side), 12, 2.0, 1.0) for side in (1.0, -1.0))
    np.testing.assert_array_equal(long["label"], triple_barrier(bars, 12, 2.0, 1.0)["label"].map({1.0: 1.0, 0.0: 0.0, -1.0: 0.0}))
    np.testing.assert_array_equal(short["label"], triple_barrier(bars, 12, 1.0, 2.0)["label"].map({1.0: 0.0, 0.0: 0.0, -1.0: 1.0}))
    end = short["end_row"].iloc[50]
    assert short["value"].iloc[50] == pytest.approx(-math.log(bars["close"].iloc[end] / bars["close"].iloc[50]))


def plain_t_value(close: np.ndarray) -> float:
    """t value of the slope of a straight line through log prices, by ordinary least squares with its residuals."""
    y, x = np.log(close / close[0]), np.arange(len(close), dtype=float)
    slope, intercept = np.polyfit(x, y, 1)
    rest = y - slope * x - intercept
    variance = (rest**2).sum() / (len(y) - 2)
    if variance == 0:
        return math.inf * np.sign(slope) if slope else 0.0
    return float(slope / math.sqrt(variance / ((x - x.mean()) ** 2).sum()))


@pytest.mark.parametrize(("shortest", "longest"), [(5, 20), (2, 4), (10, 10)])
def test_trend_scans_equal_the_plain_definition(shortest: int, longest: int, bars: pd.DataFrame) -> None:
    answer = trend_scan(bars, shortest, longest)
    close = bars["close"].to_numpy()
    for t in range(0, len(bars) - longest, 61):
        scores = [plain_t_value(close[t : t + length + 1]) for length in range(shortest, longest + 1)]
        best = int(np.argmax(np.abs(scores)))
        if abs(scores[best]) < 1e5:  # beyond, the fit is as close as rounding allows
            assert answer["value"].iloc[t] == pytest.approx(scores[best], rel=1e-6)
            assert answer["label"].iloc[t] == np.sign(scores[best])
            assert answer["trend_bars"].iloc[t] == shortest + best
        assert answer["end_row"].iloc[t] == t + longest


def test_a_trend_of_a_straight_line_and_of_nothing() -> None:
    up = trend_scan(made_bars([math.exp(0.001 * k) for k in range(40)]), 3, 8)
    assert up["label"].iloc[0] == 1
    assert 1e6 <= up["value"].iloc[0] <= 1e6 * math.sqrt(7) * 1.001
    flat = trend_scan(made_bars([1.1] * 40), 3, 8).iloc[0]
    assert (flat["label"], flat["value"], flat["trend_bars"], flat["end_row"]) == (0, 0, 3, 8)
    # a peak four bars ahead: the clearest line is the straight one up to it
    peak = trend_scan(made_bars([math.exp(0.001 * k) for k in (0, 1, 2, 3, 4, 0, -4, -5, -9, 3)]), 3, 8).iloc[0]
    assert (peak["label"], peak["trend_bars"], peak["end_row"]) == (1, 4, 8)


def test_the_end_of_the_clearest_trend_is_not_when_it_is_known(bars: pd.DataFrame) -> None:
    def ends_with_its_trend(frame: pd.DataFrame) -> pd.DataFrame:
        answer = trend_scan(frame, 5, 20)
        known = answer["end_row"] >= 0
        return answer.assign(end_row=np.where(known, np.arange(len(frame)) + answer["trend_bars"], -1))

    leaks = check_target(ends_with_its_trend, bars.iloc[:800], 20, cuts=20)
    assert "label" in {leak.column for leak in leaks}
    assert {leak.kind for leak in leaks} == {"perturbation"}
    assert all(leak.function.endswith("ends_with_its_trend") and "test_targets.py:" in leak.place for leak in leaks)


def scaled_by_the_whole_sample(bars: pd.DataFrame) -> pd.DataFrame:
    answer = forward_return(bars, 5)
    return answer.assign(value=answer["value"] / answer["value"].std())


def labelled_to_the_last_bar(bars: pd.DataFrame) -> pd.DataFrame:
    answer = forward_return(bars, 5)
    last = np.arange(len(bars)) >= len(bars) - 5
    return answer.assign(label=answer["label"].where(~last, 0.0))


def kept_where_it_ended_early(bars: pd.DataFrame) -> pd.DataFrame:
    """Labels also in the last rows, where a barrier was reached in time."""
    short = [triple_barrier(bars, horizon, 1.0, 1.0) for horizon in range(1, 13)]
    answer = short[-1].copy()
    for one in short:
        early = answer["label"].isna() & (one["label"].fillna(0) != 0)
        answer[early] = one[early]
    return answer


def side_from_the_future(bars: pd.DataFrame) -> pd.DataFrame:
    return meta_label(bars, np.sign(bars["close"].shift(-30) - bars["close"]), 12, 2.0, 2.0)


CHEATS = [
    (scaled_by_the_whole_sample, 5, "value", "perturbation"),
    (labelled_to_the_last_bar, 5, "label", "horizon"),
    (kept_where_it_ended_early, 12, "label", "horizon"),
    (side_from_the_future, 12, "label", "perturbation"),
]


@pytest.mark.parametrize(("cheat", "horizon", "column", "kind"), CHEATS, ids=lambda part: getattr(part, "__name__", ""))
def test_a_planted_cheat_in_a_target_is_caught_by_column_and_function(
    cheat: Target, horizon: int, column: str, kind: str, bars: pd.DataFrame
) -> None:
    leaks = check_target(cheat, bars.iloc[:600], horizon, cuts=12)
    assert (column, kind) in {(leak.column, leak.kind) for leak in leaks}
    assert {leak.function for leak in leaks} == {f"{__name__}.{cheat.__name__}"}


def test_what_is_no_target_is_refused(bars: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="'label'"):
        check_target(lambda frame: frame, bars, 5)
    with pytest.raises(BadInput, match="horizon"):
        check_target(TARGETS["trend_scan"][0], bars, 0)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda bars: forward_return(bars, 0), "horizon_bars"),
        (lambda bars: forward_return(bars, 5, -1.0), "threshold_atr"),
        (lambda bars: forward_return(bars, 5, math.nan), "threshold_atr"),
        (lambda bars: meta_label(bars, [1.0], 5, 1.0, 1.0), "side"),
        (lambda bars: meta_label(bars, side_of(bars), 5, 0.0, 1.0), "target_atr"),
        (lambda bars: meta_label(bars, side_of(bars), 5, 1.0, math.inf), "stop_atr"),
        (lambda bars: trend_scan(bars, 1, 5), "min_bars"),
        (lambda bars: trend_scan(bars, 6, 5), "max_bars"),
        (lambda bars: trend_scan(bars, 3, True), "max_bars"),
    ],
)
def test_wrong_parameters_of_a_target_are_refused_by_name(call: Callable[[pd.DataFrame], object], field: str, bars: pd.DataFrame) -> None:
    with pytest.raises(BadInput) as error:
        call(bars)
    assert error.value.field == field
