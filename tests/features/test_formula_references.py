"""Every formula of returns, volatility, trend, momentum, reversion, volume and statistics against a second, independent one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from components.features import (
    compute_features,
    family_momentum,
    family_oscillator,
    family_path,
    family_return,
    family_reversion,
    family_statistics,
    family_trend,
    family_volatility,
    family_volume,
    feature_of,
)
from components.features.formula import Formula
from tests.features.references import REFERENCES, Bars

MODULES = (
    family_return,
    family_volatility,
    family_momentum,
    family_oscillator,
    family_trend,
    family_path,
    family_reversion,
    family_volume,
    family_statistics,
)
FORMULAS = [formula for module in MODULES for formula in module.FORMULAS]
OTHER_PERIODS = {
    "rsi": (5,), "adx": (9,), "macd_histogram": (5, 34, 7), "volatility": (7,), "z_score": (31,), "stochastic": (9,), "cci": (13,), "slope": (33,),
    "hull_distance": (25,), "ichimoku_cloud": (7, 22, 44), "skew": (15,), "dickey_fuller": (17,), "yang_zhang": (5,), "aroon_up": (7,),
    "supertrend": (7, 2), "kama_distance": (20,), "fractal_dimension": (13,), "trend_intensity": (15,), "vwap_distance": (3,),
    "coppock": (6, 4, 5), "ultimate_oscillator": (3, 9, 20), "volume_slope": (11,), "autocorrelation": (9,), "detrended": (9,),
}  # fmt: skip


@pytest.fixture(scope="module")
def some(bars: pd.DataFrame) -> pd.DataFrame:
    return bars.iloc[:2000]


def assert_equal(name: str, values: pd.Series, reference: pd.Series, warmup: int) -> None:
    """1e-9 relative, of the value or of the usual size where it is near 0."""
    got, expected = values.to_numpy()[warmup:], reference.to_numpy()[warmup:]
    assert np.isfinite(expected).all(), name
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9 * np.std(expected), err_msg=name)


def test_every_formula_has_a_reference() -> None:
    assert {formula.name for formula in FORMULAS} == set(REFERENCES)
    assert len(FORMULAS) >= 100


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: formula.named())
def test_a_formula_equals_its_reference(formula: Formula, some: pd.DataFrame) -> None:
    name = formula.named()
    assert_equal(name, compute_features(some, [name])[name], REFERENCES[formula.name](Bars(some), *formula.periods), feature_of(name).warmup_bars)


@pytest.mark.parametrize(("stem", "periods"), OTHER_PERIODS.items(), ids=list(OTHER_PERIODS))
def test_a_formula_equals_its_reference_with_other_periods(stem: str, periods: tuple[int, ...], some: pd.DataFrame) -> None:
    name = "_".join((stem, *map(str, periods)))
    assert_equal(name, compute_features(some, [name])[name], REFERENCES[stem](Bars(some), *periods), feature_of(name).warmup_bars)


def test_a_reference_notices_a_wrong_formula(some: pd.DataFrame) -> None:
    values = compute_features(some, ["volatility_25"])["volatility_25"]
    with pytest.raises(AssertionError, match="volatility_25"):
        assert_equal("volatility_25", values, REFERENCES["volatility"](Bars(some), 24), 25)
