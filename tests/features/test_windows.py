"""Statistics of moving windows: against extended precision, and the promises of their module."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from components.features import windows, windows_joint

X = np.round(1.1 + np.cumsum(np.random.default_rng(5).normal(0, 1e-4, 3000)), 5)
Y = np.abs(np.random.default_rng(6).normal(100, 30, 3000))
Statistic = Callable[[np.ndarray, np.ndarray, int, int], list[np.ndarray]]


def of_one(function: Callable[..., None], outputs: int, *more: object) -> Statistic:
    """A statistic of one series, in one shape for all: (x, y, before, period) → its outputs."""

    def call(x: np.ndarray, y: np.ndarray, before: int, period: int) -> list[np.ndarray]:
        outs = [np.empty(len(x) - before) for _ in range(outputs)]
        function(x, before, period, *more, *outs)
        return outs

    return call


def of_two(x: np.ndarray, y: np.ndarray, before: int, period: int) -> list[np.ndarray]:
    outs = [np.empty(len(x) - before) for _ in range(3)]
    windows_joint.window_joint(x, y, before, period, *outs)
    return outs


def correlation(x: np.ndarray, y: np.ndarray, before: int, period: int) -> list[np.ndarray]:
    out = np.empty(len(x) - before)
    windows_joint.window_correlation(x, y, before, period, out)
    return [out]


def centred(w: np.ndarray) -> np.ndarray:
    return w - w.mean(axis=1, keepdims=True)


def correlations(w: np.ndarray, v: np.ndarray) -> list[np.ndarray]:
    with np.errstate(invalid="ignore"):
        return [(centred(w) * centred(v)).sum(1) / np.sqrt((centred(w) ** 2).sum(1) * (centred(v) ** 2).sum(1))]


def places(w: np.ndarray) -> np.ndarray:
    return np.arange(w.shape[1]) - np.longdouble(w.shape[1] - 1) / 2


ALL: dict[str, tuple[Statistic, Callable[[np.ndarray, np.ndarray], list[np.ndarray]], float]] = {
    "mean": (of_one(windows.window_mean, 1), lambda w, v: [w.mean(1)], 1e-15),
    "moments": (of_one(windows.window_moments, 2), lambda w, v: [w.mean(1), (centred(w) ** 2).sum(1)], 2e-15),
    "deviation": (of_one(windows.window_deviation, 2, 0), lambda w, v: [w.mean(1), np.sqrt((centred(w) ** 2).mean(1))], 2e-15),
    "max": (of_one(windows.window_max, 1), lambda w, v: [w.max(1)], 0.0),
    "min": (of_one(windows.window_min, 1), lambda w, v: [w.min(1)], 0.0),
    "weighted": (
        of_one(windows_joint.window_weighted, 1),
        lambda w, v: [w @ np.arange(1, w.shape[1] + 1) / (w.shape[1] * (w.shape[1] + 1) / 2)],
        1e-15,
    ),
    "shape": (of_one(windows_joint.window_shape, 3), lambda w, v: [(centred(w) ** k).sum(1) for k in (2, 3, 4)], 1e-12),
    "line": (of_one(windows_joint.window_line, 3), lambda w, v: [w.mean(1), (centred(w) ** 2).sum(1), (centred(w) * places(w)).sum(1)], 1e-13),
    "joint": (of_two, lambda w, v: [(centred(w) ** 2).sum(1), (centred(v) ** 2).sum(1), (centred(w) * centred(v)).sum(1)], 1e-12),
    "correlation": (correlation, correlations, 1e-12),
}
EACH = pytest.mark.parametrize("name", ALL)
PERIODS = pytest.mark.parametrize("period", [2, 3, 4, 5, 7, 8, 14, 20, 31, 32, 33, 100, 127])


@EACH
@PERIODS
def test_a_statistic_equals_extended_precision(name: str, period: int) -> None:
    statistic, reference, tolerance = ALL[name]
    w, v = (np.lib.stride_tricks.sliding_window_view(series, period).astype(np.longdouble) for series in (X, Y))
    for got, expected in zip(statistic(X, Y, 0, period), reference(w, v), strict=True):
        assert np.isnan(got[: period - 1]).all()
        known = got[period - 1 :]
        still = np.isnan(expected)  # prices on a grid of points that stand still have no correlation
        assert (known[still] == 0).all()
        scale = np.maximum(np.abs(expected[~still]), np.abs(expected[~still]).mean())
        assert (np.abs(known[~still] - expected[~still]) <= tolerance * scale).all()


@EACH
@PERIODS
def test_a_value_depends_on_its_window_alone_and_not_on_how_many_rows_are_asked_for(name: str, period: int) -> None:
    statistic = ALL[name][0]
    whole = statistic(X, Y, 0, period)
    for start, before, stop in ((500, period - 1, 501), (500, period + 7, 700), (1234, period - 1, 3000), (0, 0, 3000), (1, 1, 50)):
        begin = max(start - before, 0)
        part = statistic(X[begin:stop].copy(), Y[begin:stop].copy(), start - begin, period)
        for got, expected in zip(part, whole, strict=True):
            np.testing.assert_array_equal(got, expected[start:stop])


@EACH
def test_a_window_of_equal_values_has_no_deviation_at_all(name: str) -> None:
    for value in (1.1, 1.23456, 1e-3, 151.337):
        flat = np.full(400, value)
        for period in (2, 3, 7, 20, 100, 127):
            for place, got in enumerate(ALL[name][0](flat, flat, 0, period)):
                is_level = name in ("mean", "max", "min") or (place == 0 and name in ("moments", "deviation", "line"))
                if name != "weighted":
                    assert (got[period - 1 :] == (value if is_level else 0.0)).all(), (name, period, value)


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("max", "min")])  # extremes are taken of prices, which are known
def test_a_value_that_is_not_known_reaches_the_windows_that_hold_it_and_no_others(name: str) -> None:
    broken = X[:300].copy()
    broken[100] = np.nan
    for got, whole in zip(ALL[name][0](broken, Y[:300], 0, 20), ALL[name][0](X[:300], Y[:300], 0, 20), strict=True):
        np.testing.assert_array_equal(np.delete(got, slice(100, 120)), np.delete(whole, slice(100, 120)))
        assert np.isnan(got[100:120]).all() or (name == "joint" and np.isfinite(got[100:120]).all())


@EACH
def test_a_huge_value_is_forgotten_completely(name: str) -> None:
    spoiled = X[:300].copy()
    spoiled[100] = 1e15
    for got, whole in zip(ALL[name][0](spoiled, Y[:300], 0, 20), ALL[name][0](X[:300], Y[:300], 0, 20), strict=True):
        np.testing.assert_array_equal(got[120:], whole[120:])


@settings(max_examples=100, deadline=None)
@given(arrays(np.float64, st.integers(0, 40), elements=st.floats(-100, 100, allow_nan=False)), st.integers(1, 20))
def test_means_and_extremes_equal_their_definition_on_anything(x: np.ndarray, period: int) -> None:
    for name, definition in (("mean", np.mean), ("max", np.max), ("min", np.min)):
        (got,) = ALL[name][0](x, x, 0, period)
        expected = [definition(x[t - period + 1 : t + 1]) for t in range(period - 1, len(x))]
        np.testing.assert_allclose(got[period - 1 :], expected, rtol=1e-12, atol=1e-12)


def test_a_windows_function_leaves_its_input_alone() -> None:
    x = X[:200].copy()
    for statistic, _, _ in ALL.values():
        statistic(x, Y[:200].copy(), 0, 14)
    np.testing.assert_array_equal(x, X[:200])
