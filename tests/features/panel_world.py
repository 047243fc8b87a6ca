"""A world for features that need more than the bars: EURUSD hours, four other pairs with holes of their own, news that is late and revised."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

from components.features import FeatureInputs
from components.fx import Timeframe, validate_bars

HOUR_MS = 3_600_000
ROWS = 1_300


@lru_cache(maxsize=1)
def world_bars() -> pd.DataFrame:
    """1,300 real hourly EURUSD bars with a spread, over a change of the clocks in New York."""
    from backtesting.test import EURUSD

    frame = EURUSD.rename(columns=str.lower).tz_localize("UTC")
    return validate_bars(frame.assign(spread_points=5.0 + frame["volume"] % 7)).iloc[2_900 : 2_900 + ROWS]


def another(seed: int, level: float, missing: float) -> pd.DataFrame:
    """A pair that goes half with EURUSD, some of its hours missing by chance and thirty in a row."""
    random, own = np.random.default_rng(seed), np.log(world_bars()["close"].to_numpy())
    close = level * np.exp(np.cumsum(random.normal(0, 0.001, ROWS)) + 0.5 * (own - own[0]))
    opens = np.concatenate((close[:1], close[:-1]))
    frame = pd.DataFrame({"open": opens, "high": np.maximum(opens, close) * 1.0003, "low": np.minimum(opens, close) * 0.9997, "close": close})
    kept = random.random(ROWS) >= missing
    kept[400:430] = False
    return validate_bars(frame.assign(volume=100.0, spread_points=2.0).set_index(world_bars().index)[kept])


def some_news(seed: int, count: int) -> pd.DataFrame:
    """News in half-hour buckets, first seen minutes to hours later, some revised, some without a tone."""
    random = np.random.default_rng(seed)
    buckets = int(world_bars().index.asi8[0]) + random.integers(0, 2 * ROWS, count) * HOUR_MS // 2
    seen = buckets + random.integers(HOUR_MS // 4, 3 * HOUR_MS, count)
    order = np.argsort(seen, kind="stable")
    tone = np.where(random.random(count) < 0.1, np.nan, random.normal(0, 2, count))
    values = {"bucket_ms": buckets[order], "tone": tone, "volume": random.integers(0, 50, count).astype(float)}
    return pd.DataFrame(values, index=pd.DatetimeIndex(pd.to_datetime(seen[order], unit="ms", utc=True), name="first_seen"))


@lru_cache(maxsize=1)
def world_inputs() -> FeatureInputs:
    """Everything but the bars."""
    pairs = {"GBPUSD": (1, 1.3, 0.03), "USDJPY": (2, 110.0, 0.1), "EURJPY": (3, 130.0, 0.0), "EURGBP": (4, 0.85, 0.02)}
    others = {symbol: another(*how) for symbol, how in pairs.items()}
    return FeatureInputs("EURUSD", others, {"EUR": some_news(1, 1_200), "USD": some_news(2, 2_000)}, Timeframe.H1)
