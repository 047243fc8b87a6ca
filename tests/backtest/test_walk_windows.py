"""The windows of a walk-forward, and what several of them come to together."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.backtest.sweep_spec import Axis
from components.backtest.walkforward_findings import walkforward_findings
from components.backtest.walkforward_report import annual_return, concentration, efficiency, parameter_drift
from components.backtest.walkforward_spec import WalkForwardSpec, parse_walkforward
from components.backtest.walkforward_windows import walk_windows
from components.fx import BadInput
from components.strategy import strategy

GAPS = st.integers(0, 40)


@given(bars=st.integers(500, 5_000), train=st.integers(50, 300), test=st.integers(10, 90), purge=GAPS, embargo=GAPS, anchored=st.booleans())
def test_test_parts_tile_the_end_of_the_bars_without_overlap_and_training_parts_end_before_them(
    bars: int, train: int, test: int, purge: int, embargo: int, anchored: bool
) -> None:
    mode: Any = "anchored" if anchored else "rolling"
    windows = walk_windows(bars, mode, train_bars=train, test_bars=test, purge=purge, embargo=embargo)
    assert windows[-1].test[0][1] == bars
    assert all(before.test[0][1] == after.test[0][0] for before, after in pairwise(windows))
    for window in windows:
        ((train_first, train_end),) = window.train
        assert window.test[0][0] - train_end == purge + embargo  # in neither side
        assert 0 <= train_first < train_end
        assert window.test_bars == test
        assert window.train_bars == train if not anchored else train_first == 0
    # One more would not fit.
    assert windows[0].train[0][1] - train < test or anchored
    assert windows[0].test[0][0] - train - purge - embargo < test


def test_anchored_windows_keep_their_start_and_rolling_ones_their_length() -> None:
    anchored = walk_windows(5_000, "anchored", train_bars=1_000, test_bars=500)
    assert [window.train for window in anchored] == [((0, end),) for end in range(1_000, 5_000, 500)]
    rolling = walk_windows(5_000, "rolling", train_bars=1_000, test_bars=500)
    assert [window.train for window in rolling] == [((end - 1_000, end),) for end in range(1_000, 5_000, 500)]


@pytest.mark.parametrize(
    ("given_lengths", "train", "test", "count"),
    [
        ({}, 4 * 500, 500, 6),
        ({"windows": 6}, 4 * 500, 500, 6),
        ({"windows": 1}, 4 * 1_000, 1_000, 1),
        ({"train_bars": 1_000}, 1_000, 250, 16),
        ({"test_bars": 250}, 1_000, 250, 16),
        ({"train_bars": 1_000, "windows": 8}, 1_000, 500, 8),
        ({"test_bars": 500, "windows": 8}, 1_000, 500, 8),
        ({"train_bars": 1_000, "test_bars": 500, "windows": 2}, 1_000, 500, 2),
    ],
)
def test_what_is_left_out_follows_from_what_is_given(given_lengths: dict[str, int], train: int, test: int, count: int) -> None:
    windows = walk_windows(5_000, "rolling", **given_lengths)
    assert (windows[0].train_bars, windows[0].test_bars, len(windows)) == (train, test, count)


@pytest.mark.parametrize(
    ("lengths", "field"),
    [
        ({"train_bars": 900, "test_bars": 200}, "train_bars"),
        ({"train_bars": 500, "test_bars": 100, "windows": 6}, "windows"),
        ({"windows": 2_000}, "windows"),
        ({"train_bars": 1}, "train_bars"),
        ({"train_bars": 1_000}, "train_bars"),
        ({"train_bars": 500, "test_bars": 100, "purge": -1}, "purge_bars"),
        ({"train_bars": 500, "test_bars": 100, "embargo": 401}, "train_bars"),
    ],
)
def test_windows_that_do_not_fit_say_so(lengths: dict[str, int], field: str) -> None:
    with pytest.raises(BadInput) as error:
        walk_windows(1_000, "rolling", **lengths)
    assert error.value.field == field


BASE: dict[str, Any] = {"strategy": "sma_cross", "bar_set_id": "bars"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mode": "sideways"}, "mode"),
        ({"speed": 1}, "speed"),
        ({"mode": "combinatorial", "criterion": "profit_factor"}, "profit_factor"),
        ({"mode": "combinatorial", "train_bars": 100}, "groups and test_groups"),
        ({"mode": "combinatorial", "groups": 3, "test_groups": 3}, "must be below groups"),
        ({"refit": {}, "model_id": "m"}, "not both"),
        ({"ranges": {"fast": {"low": 9, "high": 3}}}, "above high"),
        ({"criterion": "luck"}, "criterion"),
        ({"refit": {"family": "oracle"}}, "family"),
    ],
)
def test_a_wrong_walk_forward_is_refused_with_the_reason(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        parse_walkforward({**BASE, **changes})


def test_points_are_the_combinations_that_the_strategy_allows_the_last_range_fastest() -> None:
    spec = parse_walkforward({**BASE, "params": {"stop_atr": 2}, "ranges": {"fast": [10, 40], "slow": {"low": 20, "high": 60, "step": 20}}})
    points = [(point.fast, point.slow, point.stop_atr) for point in spec.points(strategy("sma_cross"))]  # type: ignore[attr-defined]
    assert points == [(10, 20, 2.0), (10, 40, 2.0), (10, 60, 2.0), (40, 60, 2.0)]


def test_without_ranges_the_fixed_parameters_are_the_one_point() -> None:
    (point,) = WalkForwardSpec(**BASE, params={"fast": 7}).points(strategy("sma_cross"))
    assert point.model_dump()["fast"] == 7


def test_gaps_are_nothing_for_a_rule_the_horizon_for_a_model_and_a_hundredth_more_in_combinatorial_mode() -> None:
    spec = WalkForwardSpec(**BASE)
    assert spec.gaps(5_000) == (0, 0)
    assert spec.gaps(5_000, 12) == (12, 0)
    assert WalkForwardSpec(**BASE, mode="combinatorial").gaps(5_000, 12) == (12, 50)
    assert WalkForwardSpec(**BASE, purge_bars=20, embargo_bars=5).gaps(5_000, 12) == (20, 5)
    with pytest.raises(BadInput, match="horizon"):
        WalkForwardSpec(**BASE, purge_bars=11).gaps(5_000, 12)


def part(total: float, days: int) -> dict[str, Any]:
    return {"total_return": total, "days": days}


def test_efficiency_is_the_yearly_return_where_choices_were_tried_over_that_where_they_were_made() -> None:
    inside, outside = [part(0.20, 252), part(0.10, 252)], [part(0.03, 63), part(0.045, 63)]
    assert annual_return(inside) == pytest.approx(0.15)
    assert annual_return(outside) == pytest.approx(0.15)
    assert efficiency(inside, outside) == pytest.approx(1.0)
    assert efficiency(inside, [part(-0.03, 63), part(0.0, 63)]) == pytest.approx(-0.4)
    assert efficiency([part(-0.1, 252)], outside) is None
    assert efficiency([], []) is None


def test_concentration_is_the_best_windows_share_of_all_gains() -> None:
    assert concentration([30.0, -50.0, 10.0, 0.0]) == 0.75
    assert concentration([-1.0, 0.0]) is None


def test_drift_is_the_mean_change_over_the_range_and_the_share_at_its_border() -> None:
    axes = (Axis("fast", (5, 10, 15, 25)), Axis("leave", (False, True)), Axis("two", (1, 2)))
    chosen: list[dict[str, Any] | None] = [
        {"fast": 5, "leave": True, "two": 1}, {"fast": 15, "leave": True, "two": 2}, None, {"fast": 25, "leave": False, "two": 2}
    ]  # fmt: skip
    drift = parameter_drift(axes, chosen)
    assert drift["fast"]["values"] == [5, 15, None, 25]
    assert drift["fast"]["change"] == pytest.approx(0.5)
    assert drift["fast"]["at_border"] == pytest.approx(2 / 3)
    assert (drift["leave"]["change"], drift["leave"]["at_border"]) == (0.5, None)
    assert drift["two"]["at_border"] is None  # every value of two is a border
    assert parameter_drift(axes, chosen, is_in_order=False)["fast"]["change"] is None


FINE: dict[str, Any] = {
    "mode": "rolling", "efficiency": 0.8, "annual_return": {"in_sample": 0.2, "out_of_sample": 0.16}, "profitable_windows": 0.75, "concentration": 0.4,
    "windows_without_choice": 0, "windows": [{}] * 4, "drift": {"fast": {"values": [5, 10, 10, 5], "change": 0.1, "at_border": 0.25}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({}, []),
        ({"efficiency": 0.3}, [("walkforward_efficiency", "doubt")]),
        ({"efficiency": -0.3}, [("walkforward_efficiency", "fatal")]),
        ({"efficiency": None}, [("walkforward_efficiency", "fatal")]),
        ({"profitable_windows": 0.25}, [("walkforward_windows", "doubt")]),
        ({"concentration": 0.9}, [("walkforward_concentration", "doubt")]),
        ({"concentration": 0.9, "windows": [{}] * 3}, []),
        ({"windows_without_choice": 2}, [("walkforward_trades", "note")]),
        ({"paths": {"paths": 5, "share_above_zero": 0.0, "sharpe_median": -1.0}}, [("walkforward_paths", "fatal")]),
        (
            {"drift": {"fast": {"values": [5, 25, 5, 25], "change": 1.0, "at_border": 1.0}}},
            [("walkforward_border", "note"), ("walkforward_drift", "doubt")],
        ),
    ],
)
def test_what_speaks_against_a_strategy_is_found_and_nothing_else(changes: dict[str, Any], codes: list[tuple[str, str]]) -> None:
    found = walkforward_findings({**FINE, **changes})
    assert [(one.code, one.severity) for one in found] == codes
    assert all(one.fix and one.finding for one in found)
