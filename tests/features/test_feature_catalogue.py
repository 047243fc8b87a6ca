"""Every catalogued feature: its warm-up, its range, its causality, and values that were worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from components.features import Feature, catalogue, check_causal, compute_features
from components.fx import BadInput, validate_bars

EACH = pytest.mark.parametrize("feature", catalogue(), ids=lambda feature: feature.name)


def made_bars(close: list[float], *, half_range: float = 0.0, start: str = "2024-01-01", volume: float = 1.0) -> pd.DataFrame:
    """Hourly bars that open where the one before closed, with `half_range` beyond open and close."""
    closes = np.array(close, dtype=float)
    opens = np.concatenate((closes[:1], closes[:-1]))
    index = pd.date_range(start, periods=len(closes), freq="h", tz="UTC")
    high, low = np.maximum(opens, closes) + half_range, np.minimum(opens, closes) - half_range
    return validate_bars(pd.DataFrame({"open": opens, "high": high, "low": low, "close": closes, "volume": volume}, index=index))


def test_the_catalogue_has_about_twenty_features_of_different_families_each_described() -> None:
    features = catalogue()
    assert 20 <= len(features) <= 30
    assert len({feature.name for feature in features}) == len(features)
    assert {"return", "volatility", "momentum", "trend", "reversion", "bar", "session", "volume"} <= {feature.family for feature in features}
    assert all(feature.source and feature.formula and feature.low < feature.high for feature in features)


def test_no_feature_looks_ahead_on_real_bars(bars: pd.DataFrame) -> None:
    assert check_causal(compute_features, bars, cuts=20) == []


@EACH
def test_a_feature_is_unknown_exactly_during_its_warm_up(feature: Feature, bars: pd.DataFrame) -> None:
    values = compute_features(bars, [feature.name])[feature.name]
    assert values.dtype == np.float64
    assert values.iloc[: feature.warmup_bars].isna().all()
    assert np.isfinite(values.iloc[feature.warmup_bars :]).all()


@EACH
@pytest.mark.parametrize("start", [37, 500, 1111, 3000])
def test_beyond_the_warm_up_a_later_start_gives_the_same_values(feature: Feature, start: int, bars: pd.DataFrame) -> None:
    whole = compute_features(bars, [feature.name])[feature.name]
    later = compute_features(bars.iloc[start:], [feature.name])[feature.name]
    known = later.iloc[feature.warmup_bars :].to_numpy()
    same = whole.iloc[start + feature.warmup_bars :].to_numpy()
    if feature.is_recursive:
        assert np.abs(known - same).max() <= 1e-6 * whole.std()
    else:
        np.testing.assert_array_equal(known, same)


@EACH
def test_a_feature_stays_in_its_range_on_real_bars(feature: Feature, bars: pd.DataFrame) -> None:
    values = compute_features(bars, [feature.name])[feature.name].dropna()
    assert feature.low <= values.min() <= values.max() <= feature.high


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_features_stay_in_their_ranges_on_wild_bars(data: st.DataObject) -> None:
    steps = data.draw(st.lists(st.sampled_from([-0.2, -0.01, -0.0001, 0.0, 0.0, 0.0001, 0.01, 0.2]), min_size=380, max_size=420))
    close = list(1.1 * np.exp(np.cumsum(np.array(steps) - np.mean(steps))))
    features = compute_features(made_bars(close, half_range=data.draw(st.sampled_from([0.0, 1e-5])), volume=data.draw(st.sampled_from([0.0, 3.0]))))
    for feature in catalogue():
        values = features[feature.name].iloc[feature.warmup_bars :]
        assert np.isfinite(values).all(), feature.name
        assert feature.low - 1e-9 <= values.min() <= values.max() <= feature.high + 1e-9, feature.name


def test_a_market_that_never_moves_gives_neutral_values_and_no_infinity() -> None:
    last = compute_features(made_bars([1.1] * 400)).iloc[-1]
    assert np.isfinite(last).all()
    neutral = {"z_score_48": 0, "bollinger_position_20": 0.5, "range_position_48": 0.5, "stochastic_14": 50, "body_share": 0, "volatility_ratio": 1}
    assert {name: last[name] for name in neutral} == pytest.approx(neutral, abs=1e-12)


def test_values_worked_out_by_hand_are_met() -> None:
    rising = compute_features(made_bars([math.exp(0.001 * k) for k in range(400)]))
    assert rising["return_4"].iloc[-1] == pytest.approx(0.004, rel=1e-12)
    assert rising["return_24"].iloc[-1] == pytest.approx(0.024, rel=1e-12)
    assert rising["rsi_14"].iloc[-1] == pytest.approx(100.0)
    assert rising["range_position_48"].iloc[-1] == pytest.approx(1.0)
    assert rising["body_share"].iloc[-1] == pytest.approx(1.0)
    assert rising["gap"].iloc[-1] == 0.0
    # O = L, C = H and ln H/L = 0.001: Parkinson sqrt(x²/(4 ln 2)); Garman-Klass sqrt((1.5 − 2 ln 2) x²)
    assert rising["parkinson_24"].iloc[-1] == pytest.approx(0.001 / math.sqrt(4 * math.log(2)), rel=1e-9)
    assert rising["garman_klass_24"].iloc[-1] == pytest.approx(0.001 * math.sqrt(1.5 - 2 * math.log(2)), rel=1e-9)
    line = compute_features(made_bars([1.0 + 0.001 * k for k in range(60)]), ["bollinger_position_20", "z_score_48"])
    # of the values 0 … n − 1 the last is (n − 1)/2 above the mean, their variance is (n² − 1)/12
    assert line["bollinger_position_20"].iloc[-1] == pytest.approx(0.5 + 9.5 / math.sqrt(399 / 12) / 4, rel=1e-9)
    assert line["z_score_48"].iloc[-1] == pytest.approx(23.5 / math.sqrt(2303 / 12), rel=1e-9)


def test_session_features_know_the_hour_and_the_monday() -> None:
    features = compute_features(made_bars([1.1] * 24, start="2024-01-01"), ["hour_sin", "hour_cos", "week_sin", "week_cos"])
    assert features.iloc[0].tolist() == pytest.approx([0, 1, 0, 1])  # 2024-01-01 was a Monday, 00:00 UTC
    assert features.iloc[6].tolist()[:2] == pytest.approx([1, 0], abs=1e-12)
    assert features.iloc[12].tolist()[:2] == pytest.approx([0, -1], abs=1e-12)


def test_bar_shares_are_the_parts_of_the_bar() -> None:
    index = pd.date_range("2024-01-01", periods=1, freq="h", tz="UTC")
    bar = validate_bars(pd.DataFrame({"open": [1.2], "high": [1.9], "low": [0.9], "close": [1.7]}, index=index))
    shares = compute_features(bar, ["body_share", "upper_wick_share", "lower_wick_share"]).iloc[0]
    assert shares.tolist() == pytest.approx([0.5, 0.2, 0.3])


def test_the_formulas_that_ta_lib_has_agree_with_it(bars: pd.DataFrame) -> None:
    high, low, close = (bars[name].to_numpy(copy=True) for name in ("high", "low", "close"))
    features = compute_features(bars)
    expected = {
        "stochastic_14": talib.STOCH(high, low, close, 14, 3, 0, 3, 0)[0],
        "atr_ratio_14": talib.ATR(high, low, close, 14) / close,
        "rsi_14": talib.RSI(close, 14),
        "macd_histogram": talib.MACD(close)[2] / close,
        "adx_14": talib.ADX(high, low, close, 14),
        "di_difference_14": talib.PLUS_DI(high, low, close, 14) - talib.MINUS_DI(high, low, close, 14),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(features[name].iloc[400:], values[400:], rtol=1e-9, atol=1e-12, err_msg=name)


def test_a_feature_costs_nothing_to_others_and_keeps_the_asked_order(bars: pd.DataFrame) -> None:
    some = compute_features(bars, ["week_cos", "rsi_14", "return_1"])
    assert list(some.columns) == ["week_cos", "rsi_14", "return_1"]
    pd.testing.assert_frame_equal(some, compute_features(bars)[["week_cos", "rsi_14", "return_1"]])


@pytest.mark.parametrize("rows", [0, 1, 2, 15, 100])
def test_few_bars_give_frames_of_their_length(rows: int, bars: pd.DataFrame) -> None:
    features = compute_features(bars.iloc[:rows])
    assert features.shape == (rows, len(catalogue()))
    assert features.index.equals(bars.index[:rows])


@pytest.mark.parametrize(("names", "said"), [(["rsi"], "'rsi' is unknown"), (["gap", "gap"], "given twice"), ([], "no feature")])
def test_wrong_names_are_refused_with_a_sentence(names: list[str], said: str, bars: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match=said):
        compute_features(bars, names)


def test_bars_without_volume_or_zone_are_refused(bars: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="volume"):
        compute_features(bars.drop(columns="volume"))
    with pytest.raises(BadInput, match="open_time"):
        compute_features(bars.tz_localize(None))
