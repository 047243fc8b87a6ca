"""The bars as arrays, with the formulas of the catalogue over them; what several features need is computed once.

Every method gives float64 of shape (n,), row t from bars ≤ t, NaN where its window is not whole. Logarithms and sines run in compiled
scalar loops, because numpy's vector versions may round differently by position in the array.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import talib
from numpy.typing import NDArray

from components.features import indicators
from components.features.compiled import compiled
from components.features.indicators import Floats, as_floats

HOUR_MS = 3_600_000


@dataclass
class BarArrays:
    """Open times in epoch milliseconds UTC, prices and volume, each of shape (n,)."""

    open_ms: NDArray[np.int64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    _kept: dict[str, Floats] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, bars: pd.DataFrame) -> BarArrays:
        """The arrays of a bars frame."""
        index = pd.DatetimeIndex(bars.index).as_unit("ms")
        opens, highs, lows, closes, volumes = (as_floats(bars[name]) for name in ("open", "high", "low", "close", "volume"))
        return cls(np.array(index.asi8, dtype=np.int64), opens, highs, lows, closes, volumes)

    def log_return(self, bars: int) -> Floats:
        """ln(C / C[-bars])."""
        key = f"log_return_{bars}"
        if key not in self._kept:
            self._kept[key] = log_ratio(self.close, self.close, bars)
        return self._kept[key]

    def opening_gap(self) -> Floats:
        """ln(O / C[-1])."""
        return log_ratio(self.open, self.close, 1)

    def volatility(self, period: int) -> Floats:
        """Sample standard deviation of one-bar log returns."""
        key = f"volatility_{period}"
        if key not in self._kept:
            self._kept[key] = indicators.rolling_deviation(self.log_return(1), period, 1)
        return self._kept[key]

    def parkinson(self, period: int) -> Floats:
        """Volatility per bar from high and low (Parkinson 1980)."""
        spread = log_ratio(self.high, self.low, 0)
        return np.sqrt(indicators.rolling_mean(spread * spread, period) / (4 * math.log(2)))

    def garman_klass(self, period: int) -> Floats:
        """Volatility per bar from open, high, low and close (Garman and Klass 1980); never negative, since |ln C/O| ≤ ln H/L."""
        spread, body = log_ratio(self.high, self.low, 0), log_ratio(self.close, self.open, 0)
        variance = 0.5 * spread * spread - (2 * math.log(2) - 1) * body * body
        return np.sqrt(indicators.rolling_mean(variance, period))

    def atr(self, period: int) -> Floats:
        """Wilder's average true range, in price units."""
        key = f"atr_{period}"
        if key not in self._kept:
            self._kept[key] = indicators.atr(self.high, self.low, self.close, period)
        return self._kept[key]

    def rsi(self, period: int) -> Floats:
        """Wilder's relative strength index, 0 to 100."""
        return indicators.rsi(self.close, period)

    def ema(self, period: int) -> Floats:
        """Exponential moving average of the close, in price units."""
        return indicators.ema(self.close, period)

    def macd_histogram(self) -> Floats:
        """MACD(12, 26) less its signal line (9), in price units."""
        return talib.MACD(self.close, 12, 26, 9)[2] if len(self.close) else self.close

    def adx(self, period: int) -> Floats:
        """Average directional index, 0 to 100."""
        return talib.ADX(self.high, self.low, self.close, period) if len(self.close) else self.close

    def di_difference(self, period: int) -> Floats:
        """Plus less minus directional indicator."""
        if not len(self.close):
            return self.close
        up: Floats = talib.PLUS_DI(self.high, self.low, self.close, period)
        return up - talib.MINUS_DI(self.high, self.low, self.close, period)

    def z_score(self, period: int) -> Floats:
        """Standard score of the close in its window; 0 in a flat one."""
        mean, deviation = indicators.rolling_mean(self.close, period), indicators.rolling_deviation(self.close, period, 0)
        bound = math.sqrt(period - 1)
        # A window of equal prices has a deviation of rounding only; the score is bounded by sqrt(period - 1), so clipping is exact.
        flat = deviation <= 1e-12 * np.abs(mean)
        return np.clip(self.ratio(np.where(flat, 0.0, self.close - mean), np.where(flat, 0.0, deviation), empty=0.0), -bound, bound)

    def range_position(self, period: int) -> Floats:
        """Place of the close between the lowest low (0) and the highest high (1) of the window; ½ in a flat one."""
        bottom, top = indicators.lowest(self.low, period), indicators.highest(self.high, period)
        return self.ratio(self.close - bottom, top - bottom, empty=0.5)

    def stochastic(self, period: int, smooth: int) -> Floats:
        """Slow %K: the range position in percent, averaged over `smooth` bars."""
        return np.clip(indicators.rolling_mean(100 * self.range_position(period), smooth), 0.0, 100.0)

    def share(self, part: Floats) -> Floats:
        """A part of the bar as a share of its range; 0 where the bar has none."""
        return self.ratio(part, self.high - self.low, empty=0.0)

    def volume_ratio(self, period: int) -> Floats:
        """Volume over its window's mean; 1 where nothing traded."""
        return np.minimum(self.ratio(self.volume, indicators.rolling_mean(self.volume, period), empty=1.0), period)

    def cycle_sin(self, hours: int, offset_hours: int) -> Floats:
        """Sine of the phase in a cycle of `hours` that began `offset_hours` before the epoch."""
        return phase_wave(self.open_ms, hours * HOUR_MS, offset_hours * HOUR_MS, True)

    def cycle_cos(self, hours: int, offset_hours: int) -> Floats:
        """Cosine of the phase in a cycle of `hours` that began `offset_hours` before the epoch."""
        return phase_wave(self.open_ms, hours * HOUR_MS, offset_hours * HOUR_MS, False)

    @staticmethod
    def ratio(top: Floats, bottom: Floats, empty: float) -> Floats:
        """top / bottom; `empty` where bottom is 0; NaN where either is NaN."""
        out: Floats = np.full(len(top), empty)
        return np.divide(top, bottom, out=out, where=bottom != 0)


@compiled
def log_ratio(top: Floats, bottom: Floats, lag: int) -> Floats:
    """ln(top[t] / bottom[t - lag]), shape (n,); NaN in the first `lag` rows."""
    out = np.full(len(top), np.nan)
    for t in range(lag, len(top)):
        out[t] = math.log(top[t] / bottom[t - lag])
    return out


@compiled
def phase_wave(at_ms: NDArray[np.int64], cycle_ms: int, offset_ms: int, is_sine: bool) -> Floats:
    """Sine or cosine of the phase of each instant in its cycle, shape (n,)."""
    out = np.empty(len(at_ms))
    for t in range(len(at_ms)):
        angle = 2 * math.pi * ((at_ms[t] + offset_ms) % cycle_ms) / cycle_ms
        out[t] = math.sin(angle) if is_sine else math.cos(angle)
    return out
