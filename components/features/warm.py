"""Compile every kernel of the room, once per version of the source, so that no session pays for it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from components.features.catalogue import formulas, indicator_formulas
from components.features.engine import compute_features, compute_indicators
from components.features.family_cross import PAIRED_NAMES
from components.features.indicators import rolling_std, sma
from components.features.inputs import FeatureInputs
from components.fx import Timeframe, validate_bars

_BARS = 8


def compile_kernels() -> int:
    """Call the kernel of every formula on a few made-up bars; what is compiled stays on disk.

    Takes about a minute of one processor the first time and some two seconds after that.

    Returns
    -------
    int
        Formulas that were called.
    """
    bars = _made_bars(1.1)
    indicators = [formula.named() for formula in indicator_formulas()]
    compute_indicators(bars, indicators)
    for average in (sma, rolling_std):
        average(bars["close"], 2)
    times = pd.DatetimeIndex(bars.index)
    seen = pd.DataFrame({"bucket_ms": times.as_unit("ms").asi8, "tone": 1.0, "volume": 1.0}, index=times.rename("first_seen"))
    others = {"GBPUSD": _made_bars(1.3), "USDJPY": _made_bars(110.0), "EURJPY": _made_bars(121.0), "EURGBP": _made_bars(0.85)}
    inputs = FeatureInputs("EURUSD", others, {"EUR": seen, "USD": seen}, Timeframe.H1)
    features = [f"GBPUSD.{formula.named()}" if formula.name in PAIRED_NAMES else formula.named() for formula in formulas()]
    compute_features(bars, features, inputs)
    return len(indicators) + len(features)


def _made_bars(price: float) -> pd.DataFrame:
    """Hourly bars that go up and down a little."""
    index = pd.date_range("2024-01-02", periods=_BARS, freq="h", tz="UTC")
    close = price * (1 + 0.001 * (np.arange(_BARS) % 3))
    frame = pd.DataFrame(
        {"open": price, "high": close * 1.002, "low": price * 0.998, "close": close, "volume": 10.0, "spread_points": 5.0}, index=index
    )
    return validate_bars(frame)
