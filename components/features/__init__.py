# ruff: noqa: F401
"""Indicators, catalogued features, targets and the look-ahead check. Pure: bars in, arrays and frames out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components import lazy_front

if TYPE_CHECKING:
    from components.features.blocks import feature_blocks
    from components.features.catalogue import DEFAULT_FEATURES, Feature, catalogue, feature_of, features_named, formulas, indicator_formulas
    from components.features.causality import Leak, check_causal, check_features, check_target, checkable_features
    from components.features.engine import compute_features, compute_indicators
    from components.features.expand import FeatureRecipe, expand
    from components.features.formula import Formula
    from components.features.futures import cut_rows, other_future
    from components.features.indicators import atr, ema, highest, lowest, rolling_std, rsi, settle_bars, sma
    from components.features.inputs import FeatureInputs
    from components.features.names import FeatureName, parse_name
    from components.features.panel_stream import PanelStream
    from components.features.stream import FeatureStream
    from components.features.target import triple_barrier
    from components.features.targets_meta import meta_label
    from components.features.targets_return import forward_return
    from components.features.targets_trend import trend_scan
    from components.features.warm import compile_kernels, compile_usual

# Imported when first asked for: a fresh process must not pay for what it does not use.
__getattr__, __all__ = lazy_front(__name__, __file__)
