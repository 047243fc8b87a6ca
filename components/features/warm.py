"""Compile every kernel of the room, once per version of the source, so that no session pays for it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from components.features.catalogue import DEFAULT_FEATURES, formulas, indicator_formulas
from components.features.engine import compute_features, compute_indicators
from components.features.family_cross import PAIRED_NAMES
from components.features.indicators import rolling_std, sma
from components.features.inputs import FeatureInputs
from components.fx import BadInput, Timeframe, validate_bars

_BARS = 8


def compile_kernels(part: int = 0, parts: int = 1) -> int:
    """Call the kernel of every formula on a few made-up bars; what is compiled stays on disk.

    All of it takes about a minute of one processor the first time and two seconds after that. Two processes may share the work: formulas are
    dealt out in stretches, so that what several of them are built from is compiled by as few as possible.

    Parameters
    ----------
    part, parts : int
        Which stretch of how many; ``compile_kernels(0, 2)`` in one process and ``compile_kernels(1, 2)`` in another compile everything.

    Returns
    -------
    int
        Formulas that were called.

    Raises
    ------
    BadInput
        If `part` is not one of `parts`.
    """
    if not 0 <= part < parts:
        raise BadInput("part", f"{part} is not one of {parts} parts, which begin with 0")
    bars = _made_bars(1.1)
    times = pd.DatetimeIndex(bars.index)
    seen = pd.DataFrame({"bucket_ms": times.as_unit("ms").asi8, "tone": 1.0, "volume": 1.0}, index=times.rename("first_seen"))
    others = {"GBPUSD": _made_bars(1.3), "USDJPY": _made_bars(110.0), "EURJPY": _made_bars(121.0), "EURGBP": _made_bars(0.85)}
    inputs = FeatureInputs("EURUSD", others, {"EUR": seen, "USD": seen}, Timeframe.H1)
    indicators = [formula.named() for formula in indicator_formulas()]
    features = [f"GBPUSD.{formula.named()}" if formula.name in PAIRED_NAMES else formula.named() for formula in formulas()]
    every = [*((name, True) for name in indicators), *((name, False) for name in features)]
    mine = every[len(every) * part // parts : len(every) * (part + 1) // parts]
    if chosen := [name for name, is_indicator in mine if is_indicator]:
        compute_indicators(bars, chosen)
    if chosen := [name for name, is_indicator in mine if not is_indicator]:
        compute_features(bars, chosen, inputs)
    if part == 0:
        for average in (sma, rolling_std):
            average(bars["close"], 2)
    return len(mine)


def compile_usual() -> None:
    """Compile the kernels of `DEFAULT_FEATURES` and what strategies use, so that first data and trading need not wait for them."""
    bars = _made_bars(1.1)
    compute_features(bars, DEFAULT_FEATURES)
    for average in (sma, rolling_std):
        average(bars["close"], 2)


def _made_bars(price: float) -> pd.DataFrame:
    """Hourly bars that go up and down a little."""
    index = pd.date_range("2024-01-02", periods=_BARS, freq="h", tz="UTC")
    close = price * (1 + 0.001 * (np.arange(_BARS) % 3))
    frame = pd.DataFrame(
        {"open": price, "high": close * 1.002, "low": price * 0.998, "close": close, "volume": 10.0, "spread_points": 5.0}, index=index
    )
    return validate_bars(frame)
