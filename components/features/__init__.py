"""Indicators, catalogued features, targets and the look-ahead check. Pure: bars in, arrays and frames out."""

from components.features.catalogue import Feature, catalogue, compute_features, features_named
from components.features.causality import Leak, check_causal
from components.features.indicators import atr, ema, highest, lowest, rolling_std, rsi, settle_bars, sma
from components.features.target import triple_barrier

__all__ = [
    "Feature",
    "Leak",
    "atr",
    "catalogue",
    "check_causal",
    "compute_features",
    "ema",
    "features_named",
    "highest",
    "lowest",
    "rolling_std",
    "rsi",
    "settle_bars",
    "sma",
    "triple_barrier",
]
