"""The public calls: values that were worked out by hand, shifts, order, what is refused."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from components.features import DEFAULT_FEATURES, check_causal, compute_features, compute_indicators, features_named, indicator_formulas
from components.fx import BadInput, validate_bars


def made_bars(close: list[float], *, half_range: float = 0.0, start: str = "2024-01-01", volume: float = 1.0) -> pd.DataFrame:
    """Hourly bars that open where the one before closed, with `half_range` beyond open and close."""
    closes = np.array(close, dtype=float)
    opens = np.concatenate((closes[:1], closes[:-1]))
    index = pd.date_range(start, periods=len(closes), freq="h", tz="UTC")
    high, low = np.maximum(opens, closes) + half_range, np.minimum(opens, closes) - half_range
    return validate_bars(pd.DataFrame({"open": opens, "high": high, "low": low, "close": closes, "volume": volume}, index=index))


def test_no_default_feature_looks_ahead_on_real_bars(bars: pd.DataFrame) -> None:
    assert check_causal(compute_features, bars, cuts=20) == []


def test_no_indicator_looks_ahead_on_real_bars(bars: pd.DataFrame) -> None:
    names = [formula.named() for formula in indicator_formulas()]
    assert check_causal(lambda frame: compute_indicators(frame, names), bars, cuts=5) == []


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_features_stay_in_their_ranges_on_wild_bars(data: st.DataObject) -> None:
    steps = data.draw(st.lists(st.sampled_from([-0.2, -0.01, -0.0001, 0.0, 0.0, 0.0001, 0.01, 0.2]), min_size=380, max_size=420))
    close = list(1.1 * np.exp(np.cumsum(np.array(steps) - np.mean(steps))))
    features = compute_features(made_bars(close, half_range=data.draw(st.sampled_from([0.0, 1e-5])), volume=data.draw(st.sampled_from([0.0, 3.0]))))
    for feature in features_named():
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
    assert some.to_numpy().flags.f_contiguous  # each column lies in one piece
    pd.testing.assert_frame_equal(some, compute_features(bars)[["week_cos", "rsi_14", "return_1"]])


@pytest.mark.parametrize("rows", [0, 1, 2, 15, 100])
def test_few_bars_give_frames_of_their_length(rows: int, bars: pd.DataFrame) -> None:
    features = compute_features(bars.iloc[:rows])
    assert features.shape == (rows, len(DEFAULT_FEATURES))
    assert features.index.equals(bars.index[:rows])


@pytest.mark.parametrize(("names", "said"), [(["rsi"], "'rsi' is unknown"), (["gap", "gap"], "'gap' is given twice"), ([], "no feature")])
def test_wrong_names_are_refused_with_a_sentence(names: list[str], said: str, bars: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match=said):
        compute_features(bars, names)


def test_bars_without_volume_or_zone_are_refused(bars: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="volume"):
        compute_features(bars.drop(columns="volume"))
    with pytest.raises(BadInput, match="open_time"):
        compute_features(bars.tz_localize(None))


def test_a_shifted_feature_is_the_same_one_some_bars_later(bars: pd.DataFrame) -> None:
    names = ["rsi_14", "rsi_14.shift_2", "gap.shift_1", "adx_14.shift_7", "adx_14", "rsi_14.shift_5000"]
    features = compute_features(bars, names)
    for name in names:
        stem, _, shift = name.partition(".shift_")
        pd.testing.assert_series_equal(
            features[name], compute_features(bars, [stem])[stem].shift(int(shift or 0)), check_names=False, check_freq=False
        )


def test_a_spread_that_no_bar_has_is_asked_for(bars: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="spread_ratio_24 needs the spread of each bar"):
        compute_features(bars.drop(columns="spread_points"), ["rsi_14", "spread_ratio_24"])


def test_bars_without_any_volume_give_neutral_values_of_it(bars: pd.DataFrame) -> None:
    quiet = compute_features(bars.assign(volume=0.0), ["volume_ratio_24", "money_flow_index_14", "obv_change_24"]).iloc[-1]
    assert quiet.tolist() == [1.0, 50.0, 0.0]


def test_indicators_are_those_of_ta_lib_from_their_first_value_on(bars: pd.DataFrame) -> None:
    high, low, close = (bars[name].to_numpy(copy=True) for name in ("high", "low", "close"))
    macd, bands, stochastic = talib.MACD(close, 12, 26, 9), talib.BBANDS(close, 20, 2.0, 2.0), talib.STOCH(high, low, close, 14, 3, 0, 3, 0)
    expected = {
        "sma_20": talib.SMA(close, 20), "wma_20": talib.WMA(close, 20), "ema_26": talib.EMA(close, 26), "deviation_50": talib.STDDEV(close, 50),
        "rsi_7": talib.RSI(close, 7), "atr_28": talib.ATR(high, low, close, 28), "adx_14": talib.ADX(high, low, close, 14),
        "plus_di_14": talib.PLUS_DI(high, low, close, 14), "minus_di_14": talib.MINUS_DI(high, low, close, 14),
        "macd_12_26_9": macd[0], "macd_signal_12_26_9": macd[1], "macd_histogram_12_26_9": macd[2],
        "bollinger_upper_20_2": bands[0], "bollinger_middle_20": bands[1], "bollinger_lower_20_2": bands[2],
        "stochastic_d_14_3_3": stochastic[1], "cci_14": talib.CCI(high, low, close, 14), "highest_20": talib.MAX(high, 20),
        "lowest_20": talib.MIN(low, 20), "williams_14": talib.WILLR(high, low, close, 14), "return_5": talib.ROCP(close, 5),
        "roc_10": talib.ROC(close, 10), "momentum_10": talib.MOM(close, 10), "slope_14": talib.LINEARREG_SLOPE(close, 14),
        "z_score_20": (close - talib.SMA(close, 20)) / talib.STDDEV(close, 20), "return_mean_20": talib.SMA(talib.ROCP(close, 1), 20),
        "return_deviation_20": talib.STDDEV(talib.ROCP(close, 1), 20), "range": high - low,
    }  # fmt: skip
    values = compute_indicators(bars, list(expected))
    assert list(values.columns) == list(expected)
    for name, wanted in expected.items():
        np.testing.assert_array_equal(np.isnan(values[name]), np.isnan(wanted), err_msg=name)
        np.testing.assert_allclose(values[name], wanted, rtol=1e-8, atol=1e-8 * np.nanstd(wanted), err_msg=name)
    skew = bars["close"].rolling(20).apply(lambda w: ((w - w.mean()) ** 3).mean() / w.std(ddof=0) ** 3)
    np.testing.assert_allclose(compute_indicators(bars, ["skew_20"])["skew_20"], skew, rtol=1e-7, atol=1e-9)


def test_an_indicator_is_no_feature_and_a_feature_no_indicator(bars: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="'sma_20' is unknown"):
        compute_features(bars, ["sma_20"])
    with pytest.raises(BadInput, match="'ema_distance' is unknown"):
        compute_indicators(bars, ["ema_distance"])
    with pytest.raises(BadInput, match="another symbol or timeframe"):
        compute_indicators(bars, ["H4.sma_20"])
