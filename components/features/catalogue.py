"""The catalogue of features: what each one is, where its formula comes from, when it may be used and how it is computed.

Every feature is causal (row t uses bars ≤ t) and free of the price level. `warmup_bars` counts the first rows that are NaN: the window
of a windowed feature; for a recursive one, as many bars as it takes until a computation that began elsewhere agrees to 1e-6 of the
feature's spread.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from components.features.arrays import BarArrays
from components.features.indicators import Floats
from components.fx import BAR_COLUMNS, BadInput

INFINITY = math.inf


@dataclass(frozen=True)
class Feature:
    """One catalogued feature.

    `low` and `high` bound every value (infinite where the formula has no bound); `source` says who published the formula; `formula` gives
    it with O, H, L, C, V of the bar and a window's length as the last number of the name; `is_recursive` marks memory of the first bar.
    """

    name: str
    family: str
    source: str
    formula: str
    warmup_bars: int
    low: float
    high: float
    compute: Callable[[BarArrays], Floats] = field(repr=False, compare=False)
    is_recursive: bool = False


_CATALOGUE = (
    Feature("return_1", "return", "log return", "ln(C / C[-1])", 1, -INFINITY, INFINITY, lambda b: b.log_return(1)),
    Feature("return_4", "return", "log return", "ln(C / C[-4])", 4, -INFINITY, INFINITY, lambda b: b.log_return(4)),
    Feature("return_24", "return", "log return", "ln(C / C[-24])", 24, -INFINITY, INFINITY, lambda b: b.log_return(24)),
    Feature("gap", "return", "log return", "ln(O / C[-1])", 1, -INFINITY, INFINITY, lambda b: b.opening_gap()),
    Feature("volatility_24", "volatility", "sample deviation", "std(ln(C / C[-1]), 24)", 24, 0.0, INFINITY, lambda b: b.volatility(24)),
    Feature(
        "volatility_ratio", "volatility", "sample deviation", "std(r, 24) / std(r, 120); 1 where nothing moved", 120, 0.0, INFINITY,
        lambda b: b.ratio(b.volatility(24), b.volatility(120), empty=1.0),
    ),
    Feature(
        "parkinson_24", "volatility", "Parkinson 1980", "sqrt(mean(ln(H / L)², 24) / (4 ln 2))", 23, 0.0, INFINITY,
        lambda b: b.parkinson(24),
    ),
    Feature(
        "garman_klass_24", "volatility", "Garman and Klass 1980", "sqrt(mean(½ ln(H / L)² − (2 ln 2 − 1) ln(C / O)², 24))", 23, 0.0, INFINITY,
        lambda b: b.garman_klass(24),
    ),
    Feature("atr_ratio_14", "volatility", "Wilder 1978", "ATR(14) / C", 250, 0.0, INFINITY, lambda b: b.atr(14) / b.close, True),
    Feature("rsi_14", "momentum", "Wilder 1978", "RSI(C, 14)", 250, 0.0, 100.0, lambda b: b.rsi(14), True),
    Feature(
        "macd_histogram", "momentum", "Appel 1979", "(MACD(12, 26) − EMA(MACD, 9)) / C", 300, -INFINITY, INFINITY,
        lambda b: b.macd_histogram() / b.close, True,
    ),
    Feature(
        "stochastic_14", "momentum", "Lane 1984", "SMA(100 (C − lowest(L, 14)) / (highest(H, 14) − lowest(L, 14)), 3); 50 in a flat window",
        15, 0.0, 100.0, lambda b: b.stochastic(14, 3),
    ),
    Feature(
        "ema_distance", "trend", "moving average distance", "(EMA(C, 8) − EMA(C, 24)) / ATR(14)", 300, -INFINITY, INFINITY,
        lambda b: b.ratio(b.ema(8) - b.ema(24), b.atr(14), empty=0.0), True,
    ),
    Feature("adx_14", "trend", "Wilder 1978", "ADX(14)", 350, 0.0, 100.0, lambda b: b.adx(14), True),
    Feature("di_difference_14", "trend", "Wilder 1978", "+DI(14) − −DI(14)", 250, -100.0, 100.0, lambda b: b.di_difference(14), True),
    Feature(
        "z_score_48", "reversion", "standard score", "(C − mean(C, 48)) / std(C, 48); 0 in a flat window", 47, -math.sqrt(47), math.sqrt(47),
        lambda b: b.z_score(48),
    ),
    Feature(
        "bollinger_position_20", "reversion", "Bollinger 1983", "place of C between the bands at ±2 std(C, 20), lower 0, upper 1; ½ in a flat window",
        19, 0.5 - math.sqrt(19) / 4, 0.5 + math.sqrt(19) / 4, lambda b: 0.5 + b.z_score(20) / 4,
    ),
    Feature(
        "range_position_48", "reversion", "Donchian channel", "(C − lowest(L, 48)) / (highest(H, 48) − lowest(L, 48)); ½ in a flat window",
        47, 0.0, 1.0, lambda b: b.range_position(48),
    ),
    Feature("body_share", "bar", "bar geometry", "(C − O) / (H − L); 0 where H = L", 0, -1.0, 1.0, lambda b: b.share(b.close - b.open)),
    Feature(
        "upper_wick_share", "bar", "bar geometry", "(H − max(O, C)) / (H − L); 0 where H = L", 0, 0.0, 1.0,
        lambda b: b.share(b.high - np.maximum(b.open, b.close)),
    ),
    Feature(
        "lower_wick_share", "bar", "bar geometry", "(min(O, C) − L) / (H − L); 0 where H = L", 0, 0.0, 1.0,
        lambda b: b.share(np.minimum(b.open, b.close) - b.low),
    ),
    Feature("hour_sin", "session", "cyclic time", "sin(2π · UTC time of day of the open)", 0, -1.0, 1.0, lambda b: b.cycle_sin(24, 0)),
    Feature("hour_cos", "session", "cyclic time", "cos(2π · UTC time of day of the open)", 0, -1.0, 1.0, lambda b: b.cycle_cos(24, 0)),
    Feature("week_sin", "session", "cyclic time", "sin(2π · UTC time of week of the open)", 0, -1.0, 1.0, lambda b: b.cycle_sin(168, 72)),
    Feature("week_cos", "session", "cyclic time", "cos(2π · UTC time of week of the open)", 0, -1.0, 1.0, lambda b: b.cycle_cos(168, 72)),
    Feature(
        "volume_ratio_24", "volume", "relative volume", "V / mean(V, 24); 1 where nothing traded", 23, 0.0, 24.0,
        lambda b: b.volume_ratio(24),
    ),
)  # fmt: skip
_BY_NAME = {feature.name: feature for feature in _CATALOGUE}


def catalogue() -> tuple[Feature, ...]:
    """Every feature that the platform knows, in a fixed order."""
    return _CATALOGUE


def features_named(names: Iterable[str] | None = None) -> tuple[Feature, ...]:
    """The features called `names`, in that order; all of them where it is None.

    Raises
    ------
    BadInput
        If a name is unknown, given twice, or there is none.
    """
    if names is None:
        return _CATALOGUE
    wanted = list(names)
    for name in wanted:
        if name not in _BY_NAME:
            raise BadInput("features", f"{name!r} is unknown; known are {', '.join(_BY_NAME)}")
    if len(set(wanted)) != len(wanted):
        raise BadInput("features", "a name is given twice")
    if not wanted:
        raise BadInput("features", "no feature is named")
    return tuple(_BY_NAME[name] for name in wanted)


def compute_features(bars: pd.DataFrame, names: Iterable[str] | None = None) -> pd.DataFrame:
    """Features of every bar.

    Parameters
    ----------
    bars : DataFrame, shape (n, ≥ 5)
        A bars frame, as `components.fx.validate_bars` gives it: UTC open times, ``open high low close volume``.
    names : iterable of str, optional
        Which features, in which order; all of the catalogue by default.

    Returns
    -------
    DataFrame of float64, shape (n, len(names))
        Same index. Row t uses bars ≤ t and may be used from the close of bar t. NaN in the first `warmup_bars` rows of each column.

    Raises
    ------
    BadInput
        If a name is unknown or a column of `bars` is missing.
    """
    chosen = features_named(names)
    missing = [column for column in BAR_COLUMNS if column not in bars.columns]
    if missing:
        raise BadInput("bars", f"column {missing[0]!r} is missing")
    if not isinstance(bars.index, pd.DatetimeIndex) or bars.index.tz is None:
        raise BadInput("bars.open_time", "the index is not a DatetimeIndex with a time zone")
    arrays = BarArrays.of(bars)
    columns = {feature.name: _after_warmup(feature, arrays) for feature in chosen}
    return pd.DataFrame(columns, index=bars.index, copy=False)


def _after_warmup(feature: Feature, arrays: BarArrays) -> Floats:
    values = feature.compute(arrays).copy()
    values[: feature.warmup_bars] = np.nan
    return values
