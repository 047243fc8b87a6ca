"""Every formula a second time, in plain pandas and TA-Lib: slow, short, and written without a look at the kernels."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import talib

Reference = Callable[..., pd.Series]
LN2 = math.log(2)


class Bars:
    """The columns of a bars frame, and what many formulas begin with."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.o, self.h, self.l, self.c, self.v = (frame[name].astype(float) for name in ("open", "high", "low", "close", "volume"))
        self.r = np.log(self.c / self.c.shift(1))
        before = self.c.shift(1)
        self.tr = (np.maximum(self.h, before) - np.minimum(self.l, before)).where(before.notna())
        self.typical = (self.h + self.l + self.c) / 3
        self.middle = (self.h + self.l) / 2
        self.step = self.c.diff()

    def ta(self, name: str, *columns: str, **options: object) -> pd.Series:
        """A TA-Lib function of some columns."""
        values = getattr(talib, name)(*(getattr(self, column).to_numpy(copy=True) for column in columns), **options)
        return pd.Series(values, self.c.index) if isinstance(values, np.ndarray) else [pd.Series(one, self.c.index) for one in values]


def ema(x: pd.Series, period: int) -> pd.Series:
    """TA-Lib's exponential average, from the first known value on."""
    known = x.dropna()
    return pd.Series(talib.EMA(known.to_numpy(copy=True), period), known.index).reindex(x.index)


def wilder(x: pd.Series, period: int) -> pd.Series:
    """Wilder's average, seeded with the mean of the first values."""
    known = x.dropna()
    seeded = known.copy()
    seeded.iloc[: period - 1] = np.nan
    seeded.iloc[period - 1] = known.iloc[:period].mean()
    return seeded.ewm(alpha=1 / period, adjust=False, ignore_na=True).mean().reindex(x.index)


def wma(x: pd.Series, period: int) -> pd.Series:
    """Linearly weighted mean."""
    weights = np.arange(1, period + 1)
    return x.rolling(period).apply(lambda w: np.dot(w, weights) / weights.sum(), raw=True)


def atr(b: Bars, period: int) -> pd.Series:
    """TA-Lib's average true range."""
    return b.ta("ATR", "h", "l", "c", timeperiod=period)


def of_windows(x: pd.Series, period: int, function: Callable[[np.ndarray], float]) -> pd.Series:
    """A function of each window."""
    return x.rolling(period).apply(function, raw=True)


def rank(window: np.ndarray) -> float:
    """Place of the newest value among the ones before it."""
    return float(((window[:-1] < window[-1]) + 0.5 * (window[:-1] == window[-1])).mean())


def rsi_of(up: pd.Series, down: pd.Series, period: int) -> pd.Series:
    """Wilder's strength of rises against falls."""
    rises, falls = wilder(up, period), wilder(down, period)
    return 100 * rises / (rises + falls)


def rogers_satchell(b: Bars) -> pd.Series:
    """Variance of each bar after Rogers and Satchell."""
    return np.log(b.h / b.c) * np.log(b.h / b.o) + np.log(b.l / b.c) * np.log(b.l / b.o)


def yang_zhang(b: Bars, n: int) -> pd.Series:
    """Yang and Zhang's volatility."""
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    overnight, body = np.log(b.o / b.c.shift(1)), np.log(b.c / b.o)
    return np.sqrt(overnight.rolling(n).var() + k * body.rolling(n).var() + (1 - k) * rogers_satchell(b).rolling(n).mean())


def ulcer(b: Bars, n: int) -> pd.Series:
    """Martin's ulcer index."""
    return np.sqrt(((100 * (b.c / b.c.rolling(n).max() - 1)) ** 2).rolling(n).mean())


def mass_index(b: Bars, n: int, m: int) -> pd.Series:
    """Dorsey's mass index."""
    once = ema(b.h - b.l, n)
    return (once / ema(once, n)).rolling(m).sum()


def scaled(b: Bars, way: pd.Series, n: int) -> pd.Series:
    """A way as a share of what n steps of their mean square could give."""
    return way / np.sqrt(n * (b.r**2).rolling(n).sum())


def acceleration(b: Bars, n: int) -> pd.Series:
    """The newer half's return less the older one's, scaled."""
    newer = b.r.rolling(n).sum()
    return scaled(b, newer - newer.shift(n), 2 * n)


def volatility_of_volatility(b: Bars, n: int, m: int) -> pd.Series:
    """Coefficient of variation of the volatility."""
    inner = b.r.rolling(n).std()
    return inner.rolling(m).std() / inner.rolling(m).mean()


def jump_share(b: Bars, n: int) -> pd.Series:
    """One less bipower over realised variance."""
    products = (b.r.abs() * b.r.abs().shift(1)).rolling(n - 1).mean()
    return (1 - math.pi / 2 * products / (b.r**2).rolling(n).mean()).clip(lower=0)


def balance(b: Bars, n: int) -> pd.Series:
    """Squared rises less squared falls, over both."""
    return (np.sign(b.r) * b.r**2).rolling(n).sum() / (b.r**2).rolling(n).sum()


def range_variance_share(b: Bars, n: int) -> pd.Series:
    """Parkinson's variance beside that of closes."""
    ranges, closes = (np.log(b.h / b.l) ** 2).rolling(n).mean() / (4 * LN2), (b.r**2).rolling(n).mean()
    return ranges / (ranges + closes)


def mean_tr(b: Bars, n: int) -> pd.Series:
    """Plain mean of true ranges."""
    return b.tr.rolling(n).mean()


def hull(b: Bars, n: int) -> pd.Series:
    """Distance from Hull's average."""
    return (b.c - wma(2 * wma(b.c, n // 2) - wma(b.c, n), math.isqrt(n))) / mean_tr(b, n)


def supertrend(b: Bars, n: int, m: int) -> pd.Series:
    """Distance from the trailing band, bar by bar."""
    width, answer = atr(b, n).to_numpy(), np.full(len(b.c), np.nan)
    middle, close = b.middle.to_numpy(), b.c.to_numpy()
    top = bottom = 0.0
    is_up = True
    for t in range(n, len(close)):
        above, below = middle[t] + m * width[t], middle[t] - m * width[t]
        if t == n:
            top, bottom, is_up = above, below, bool(close[t] >= middle[t])
        else:
            top = min(above, top) if close[t - 1] <= top else above
            bottom = max(below, bottom) if close[t - 1] >= bottom else below
            is_up = True if close[t] > top else False if close[t] < bottom else is_up
        answer[t] = (close[t] - (bottom if is_up else top)) / width[t]
    return pd.Series(answer, b.c.index)


def line_of(b: Bars, n: int) -> tuple[pd.Series, pd.Series]:
    """Slope and end of the least-squares line."""
    return b.ta("LINEARREG_SLOPE", "c", timeperiod=n), b.ta("LINEARREG", "c", timeperiod=n)


def r_squared(b: Bars, n: int) -> pd.Series:
    """Squared correlation of the close with time."""
    time = np.arange(n)
    return of_windows(b.c, n, lambda w: np.corrcoef(w, time)[0, 1] ** 2)


def midline(b: Bars, n: int) -> pd.Series:
    """Middle of the last n bars' range."""
    return (b.h.rolling(n).max() + b.l.rolling(n).min()) / 2


def cloud(b: Bars, n: int, m: int, k: int) -> pd.Series:
    """Distance from the cloud that was drawn m bars ago."""
    lead, lag = ((midline(b, n) + midline(b, m)) / 2).shift(m), midline(b, k).shift(m)
    top, bottom = np.maximum(lead, lag), np.minimum(lead, lag)
    return ((b.c - top).clip(lower=0) + (b.c - bottom).clip(upper=0)) / mean_tr(b, m)


def random_walk_index(b: Bars, n: int) -> pd.Series:
    """Poulos' high index less his low one."""
    ups, downs = [], []
    for k in range(2, n + 1):
        usual = mean_tr(b, k) * math.sqrt(k)
        ups.append((b.h - b.l.shift(k)) / usual)
        downs.append((b.h.shift(k) - b.l) / usual)
    return pd.concat(ups, axis=1).max(axis=1).clip(lower=0) - pd.concat(downs, axis=1).max(axis=1).clip(lower=0)


def trend_intensity(b: Bars, n: int) -> pd.Series:
    """Share of the distances above the mean."""
    apart = b.c - b.c.rolling(n).mean()
    up, down = apart.clip(lower=0).rolling(n // 2).sum(), (-apart).clip(lower=0).rolling(n // 2).sum()
    return 100 * up / (up + down)


def breakout(b: Bars, n: int) -> pd.Series:
    """Whether the close left the channel of the bars before."""
    return 1.0 * (b.c > b.h.rolling(n).max().shift(1)) - 1.0 * (b.c < b.l.rolling(n).min().shift(1))


def aroon(b: Bars, n: int, place: int) -> pd.Series:
    """TA-Lib's Aroon: 0 down, 1 up."""
    return b.ta("AROON", "h", "l", timeperiod=n)[place]


def stochastic_rsi(b: Bars, n: int, m: int) -> pd.Series:
    """Place of the RSI in its own range."""
    index = b.ta("RSI", "c", timeperiod=n)
    low, high = index.rolling(m).min(), index.rolling(m).max()
    return 100 * (index - low) / (high - low)


def connors(b: Bars, n: int, m: int, k: int) -> pd.Series:
    """Connors' three-part RSI."""
    side = np.sign(b.step).fillna(0.0)
    runs, run = [], 0.0
    for one in side:
        run = 0.0 if one == 0 else run + one if run * one > 0 else one
        runs.append(run)
    change = pd.Series(runs, b.c.index).diff()
    of_runs = rsi_of(change.clip(lower=0), (-change).clip(lower=0), m)
    return (b.ta("RSI", "c", timeperiod=n) + of_runs + 100 * of_windows(b.c / b.c.shift(1), k, rank)) / 3


def relative_volatility(b: Bars, n: int, m: int) -> pd.Series:
    """Dorsey's relative volatility index."""
    spread = b.c.rolling(n).apply(np.std, raw=True)
    return rsi_of(spread.where(b.step > 0, 0.0).where(spread.notna()), spread.where(b.step < 0, 0.0).where(spread.notna()), m)


def fisher(b: Bars, n: int) -> pd.Series:
    """Ehlers' Fisher transform, bar by bar."""
    low, high = b.middle.rolling(n).min(), b.middle.rolling(n).max()
    share = ((b.middle - low) / (high - low)).to_numpy()
    answer, x, y = np.full(len(share), np.nan), 0.0, 0.0
    for t in range(n - 1, len(share)):
        x = min(max(0.66 * (share[t] - 0.5) + 0.67 * x, -0.999), 0.999)
        y = math.atanh(x) + 0.5 * y
        answer[t] = y
    return pd.Series(answer, b.c.index)


def money_flow(b: Bars, n: int) -> pd.Series:
    """Money flow index."""
    side = b.typical.diff().where(lambda moved: moved.isna() | (moved.abs() > 1e-12), 0.0)
    flow = (b.typical * b.v).where(side.notna())
    return 100 * shares(flow.where(~(side <= 0), 0.0), flow.where(~(side >= 0), 0.0), n)


def vigor(b: Bars, n: int) -> pd.Series:
    """Ehlers' relative vigor index."""

    def smoothed(x: pd.Series) -> pd.Series:
        return (x + 2 * x.shift(1) + 2 * x.shift(2) + x.shift(3)) / 6

    return smoothed(b.c - b.o).rolling(n).sum() / smoothed(b.h - b.l).rolling(n).sum()


def shares(up: pd.Series, down: pd.Series, n: int) -> pd.Series:
    """Sum of one over the sum of both."""
    return up.rolling(n).sum() / (up.rolling(n).sum() + down.rolling(n).sum())


def dickey_fuller(b: Bars, n: int) -> pd.Series:
    """The t statistic of an ordinary regression, window by window."""
    close, answer = b.c.to_numpy(), np.full(len(b.c), np.nan)
    for t in range(n, len(close)):
        y, x = np.diff(close[t - n : t + 1]), close[t - n : t]
        design = np.column_stack([np.ones(n), x - x.mean()])
        (_, slope), (rest,), *_ = np.linalg.lstsq(design, y, rcond=None)
        answer[t] = slope / math.sqrt(rest / (n - 2) / ((x - x.mean()) ** 2).sum())
    return pd.Series(answer, b.c.index)


def crossings(window: np.ndarray) -> float:
    """Share of the steps that cross the mean."""
    return float(np.diff((window - window.mean() > 1e-12).astype(int)).astype(bool).mean())


def mean_distance(window: np.ndarray) -> float:
    """Mean distance from the mean."""
    return float(np.abs(window - window.mean()).mean())


def location(b: Bars) -> pd.Series:
    """Where the close lies in its bar."""
    return ((2 * b.c - b.h - b.l) / (b.h - b.l)).fillna(0.0)


def chaikin_oscillator(b: Bars, n: int, m: int) -> pd.Series:
    """Averages of the accumulation line itself, which begins at 0 before the first bar."""
    line = pd.concat([pd.Series([0.0]), (location(b) * b.v).cumsum()])
    quick, slow = (line.ewm(span=k, adjust=False).mean().iloc[1:].set_axis(b.c.index) for k in (n, m))
    return (quick - slow) / ema(b.v, m)


def ease(b: Bars, n: int) -> pd.Series:
    """Arms' ease of movement."""
    each = (b.middle.diff() * (b.h - b.l) / b.v).where(b.v != 0, 0.0).where(b.tr.notna())
    return each.rolling(n).mean() * b.v.rolling(n).mean() / mean_tr(b, n) ** 2


def slope_of(x: pd.Series, n: int) -> pd.Series:
    """Least-squares slope per bar."""
    time = np.arange(n) - (n - 1) / 2
    return of_windows(x, n, lambda w: np.dot(w - w.mean(), time) / np.dot(time, time))


def moment(power: int) -> Callable[[np.ndarray], float]:
    """Standardised moment of a window."""
    return lambda w: float(((w - w.mean()) ** power).mean() / w.std() ** power)


def entropy(window: np.ndarray) -> float:
    """Entropy in eight bins."""
    counts = np.histogram(window, 8, (window.min(), window.max()))[0] / len(window)
    counts = counts[counts > 0]
    return float(-(counts * np.log(counts)).sum() / math.log(8))


def asymmetry(b: Bars, n: int) -> pd.Series:
    """Time reversal asymmetry of third order."""
    before = b.r.shift(1)
    return (b.r**2 * before - b.r * before**2).rolling(n - 1).mean() / (b.r**2).rolling(n).mean() ** 1.5


def fractal(b: Bars, n: int) -> pd.Series:
    """Ehlers' fractal dimension."""
    half = n // 2
    top, bottom = b.h.rolling(half).max(), b.l.rolling(half).min()
    whole = b.h.rolling(2 * half).max() - b.l.rolling(2 * half).min()
    both = (top - bottom) / half + (top.shift(half) - bottom.shift(half)) / half
    return ((np.log(both) - np.log(whole / (2 * half))) / LN2).clip(1, 2)


REFERENCES: dict[str, Reference] = {
    "return": lambda b, n: np.log(b.c).diff(n),
    "gap": lambda b: np.log(b.o) - np.log(b.c.shift(1)),
    "bar_return": lambda b: np.log(b.c) - np.log(b.o),
    "scaled_return": lambda b, n: scaled(b, b.r.rolling(n).sum(), n),
    "return_acceleration": acceleration,
    "drawdown": lambda b, n: np.log(b.c / b.c.rolling(n).max()),
    "recovery": lambda b, n: np.log(b.c / b.c.rolling(n).min()),
    "positive_share": lambda b, n: (np.sign(b.step) / 2 + 0.5).rolling(n).mean(),
    "largest_share": lambda b, n: b.r.abs().rolling(n).max() / b.r.abs().rolling(n).sum(),
    "return_rank": lambda b, n: of_windows(b.r, n, rank),
    "volatility": lambda b, n: of_windows(b.r, n, lambda w: np.std(w, ddof=1)),
    "volatility_ratio": lambda b, n, m: b.r.rolling(n).std() / b.r.rolling(m).std(),
    "parkinson": lambda b, n: np.sqrt((np.log(b.h / b.l) ** 2).rolling(n).mean() / (4 * LN2)),
    "garman_klass": lambda b, n: np.sqrt((np.log(b.h / b.l) ** 2 / 2 - (2 * LN2 - 1) * np.log(b.c / b.o) ** 2).rolling(n).mean()),
    "rogers_satchell": lambda b, n: np.sqrt(rogers_satchell(b).rolling(n).mean()),
    "yang_zhang": yang_zhang,
    "realised_volatility": lambda b, n: np.sqrt((b.r**2).rolling(n).mean()),
    "downside_deviation": lambda b, n: np.sqrt((b.r.clip(upper=0) ** 2).rolling(n).mean()),
    "upside_deviation": lambda b, n: np.sqrt((b.r.clip(lower=0) ** 2).rolling(n).mean()),
    "semivariance_balance": balance,
    "range_variance_share": range_variance_share,
    "jump_share": jump_share,
    "ewma_volatility": lambda b, n: np.sqrt(ema(b.r**2, n)),
    "volatility_of_volatility": volatility_of_volatility,
    "atr_ratio": lambda b, n: atr(b, n) / b.c,
    "chaikin_volatility": lambda b, n: ema(b.h - b.l, n) / ema(b.h - b.l, n).shift(n) - 1,
    "mass_index": mass_index,
    "ulcer_index": ulcer,
    "rsi": lambda b, n: b.ta("RSI", "c", timeperiod=n),
    "stochastic_rsi": stochastic_rsi,
    "connors_rsi": connors,
    "relative_volatility": relative_volatility,
    "macd_histogram": lambda b, n, m, k: b.ta("MACD", "c", fastperiod=n, slowperiod=m, signalperiod=k)[2] / b.c,
    "macd_line": lambda b, n, m, k: b.ta("MACD", "c", fastperiod=n, slowperiod=m, signalperiod=k)[0] / b.c,
    "stochastic": lambda b, n: b.ta("STOCH", "h", "l", "c", fastk_period=n, slowk_period=3, slowd_period=1)[0],
    "stochastic_signal": lambda b, n: b.ta("STOCH", "h", "l", "c", fastk_period=n, slowk_period=3, slowd_period=3)[1],
    "williams": lambda b, n: b.ta("WILLR", "h", "l", "c", timeperiod=n),
    "cci": lambda b, n: b.ta("CCI", "h", "l", "c", timeperiod=n),
    # TA-Lib's CMO averages as Wilder does, so it is 2 RSI − 100; Chande's own has plain sums.
    "cmo": lambda b, n: 200 * shares(b.step.clip(lower=0), (-b.step).clip(lower=0), n) - 100,
    "coppock": lambda b, n, m, k: wma(100 * (b.c / b.c.shift(n) - 1) + 100 * (b.c / b.c.shift(m) - 1), k),
    "trix": lambda b, n: b.ta("TRIX", "c", timeperiod=n),
    "tsi": lambda b, n, m: 100 * ema(ema(b.step, n), m) / ema(ema(b.step.abs(), n), m),
    "ultimate_oscillator": lambda b, n, m, k: b.ta("ULTOSC", "h", "l", "c", timeperiod1=n, timeperiod2=m, timeperiod3=k),
    "awesome_oscillator": lambda b, n, m: (b.middle.rolling(n).mean() - b.middle.rolling(m).mean()) / mean_tr(b, m),
    "fisher_transform": fisher,
    "vigor_index": vigor,
    "demarker": lambda b, n: shares(b.h.diff().clip(lower=0), (-b.l.diff()).clip(lower=0), n),
    "intraday_momentum": lambda b, n: 100 * shares((b.c - b.o).clip(lower=0), (b.o - b.c).clip(lower=0), n),
    "ema_distance": lambda b, n, m, k: (ema(b.c, n) - ema(b.c, m)) / atr(b, k),
    "adx": lambda b, n: b.ta("ADX", "h", "l", "c", timeperiod=n),
    "adxr": lambda b, n: b.ta("ADXR", "h", "l", "c", timeperiod=n),
    "plus_di": lambda b, n: b.ta("PLUS_DI", "h", "l", "c", timeperiod=n),
    "minus_di": lambda b, n: b.ta("MINUS_DI", "h", "l", "c", timeperiod=n),
    "di_difference": lambda b, n: b.ta("PLUS_DI", "h", "l", "c", timeperiod=n) - b.ta("MINUS_DI", "h", "l", "c", timeperiod=n),
    "bull_power": lambda b, n: (b.h - ema(b.c, n)) / atr(b, n),
    "bear_power": lambda b, n: (b.l - ema(b.c, n)) / atr(b, n),
    "sma_distance": lambda b, n: (b.c - b.c.rolling(n).mean()) / mean_tr(b, n),
    "hull_distance": hull,
    "kama_distance": lambda b, n: (b.c - b.ta("KAMA", "c", timeperiod=n)) / atr(b, n),
    "supertrend": supertrend,
    "parabolic_distance": lambda b, n: (b.c - b.ta("SAR", "h", "l", acceleration=0.02, maximum=0.2)) / atr(b, n),
    "slope": lambda b, n: line_of(b, n)[0] / b.c,
    "r_squared": r_squared,
    "regression_distance": lambda b, n: (b.c - line_of(b, n)[1]) / of_windows(b.c, n, np.std),
    "aroon_up": lambda b, n: aroon(b, n, 1),
    "aroon_down": lambda b, n: aroon(b, n, 0),
    "aroon_oscillator": lambda b, n: b.ta("AROONOSC", "h", "l", timeperiod=n),
    "midline_distance": lambda b, n: (b.c - midline(b, n)) / mean_tr(b, n),
    "ichimoku_cross": lambda b, n, m: (midline(b, n) - midline(b, m)) / mean_tr(b, m),
    "ichimoku_cloud": cloud,
    "vortex": lambda b, n: ((b.h - b.l.shift(1)).abs().rolling(n).sum() - (b.l - b.h.shift(1)).abs().rolling(n).sum()) / b.tr.rolling(n).sum(),
    "efficiency_ratio": lambda b, n: b.c.diff(n).abs() / b.step.abs().rolling(n).sum(),
    "choppiness": lambda b, n: 100 * np.log10(b.tr.rolling(n).sum() / (b.h.rolling(n).max() - b.l.rolling(n).min())) / math.log10(n),
    "qstick": lambda b, n: (b.c - b.o).rolling(n).mean() / (b.h - b.l).rolling(n).mean(),
    "random_walk_index": random_walk_index,
    "trend_intensity": trend_intensity,
    "channel_breakout": breakout,
    "z_score": lambda b, n: of_windows(b.c, n, lambda w: (w[-1] - w.mean()) / w.std()),
    "bollinger_position": lambda b, n: of_windows(b.c, n, lambda w: (w[-1] - w.mean() + 2 * w.std()) / (4 * w.std())),
    "bollinger_width": lambda b, n: of_windows(b.c, n, lambda w: 4 * w.std() / w.mean()),
    "squeeze": lambda b, n: 2 * of_windows(b.c, n, np.std) / (1.5 * mean_tr(b, n)),
    "range_position": lambda b, n: (b.c - b.l.rolling(n).min()) / (b.h.rolling(n).max() - b.l.rolling(n).min()),
    "range_width": lambda b, n: (b.h.rolling(n).max() - b.l.rolling(n).min()) / b.c,
    "keltner_position": lambda b, n, m: (b.c - ema(b.c, n) + 2 * atr(b, m)) / (4 * atr(b, m)),
    "detrended": lambda b, n: (b.c.shift(n // 2 + 1) - b.c.rolling(n).mean()) / mean_tr(b, n),
    "percent_rank": lambda b, n: of_windows(b.c, n, rank),
    "mean_crossings": lambda b, n: of_windows(b.c, n, crossings),
    "dickey_fuller": dickey_fuller,
    "volume_ratio": lambda b, n: b.v / b.v.rolling(n).mean(),
    "volume_z": lambda b, n: of_windows(b.v, n, lambda w: (w[-1] - w.mean()) / w.std()),
    "volume_slope": lambda b, n: slope_of(b.v, n) / b.v.rolling(n).mean(),
    "obv_change": lambda b, n: b.ta("OBV", "c", "v").diff(n) / b.v.rolling(n).sum(),
    "chaikin_money_flow": lambda b, n: (location(b) * b.v).rolling(n).sum() / b.v.rolling(n).sum(),
    # TA-Lib's MFI takes the rounding of (H + L + C) / 3 for a rise or a fall where it has not moved; elsewhere both agree.
    "money_flow_index": money_flow,
    "vwap_distance": lambda b, n: (b.c - (b.typical * b.v).rolling(n).sum() / b.v.rolling(n).sum()) / mean_tr(b, n),
    "chaikin_oscillator": chaikin_oscillator,
    "force_index": lambda b, n: ema(b.step * b.v, n) / ema(b.tr * b.v, n),
    "ease_of_movement": ease,
    "volume_price_correlation": lambda b, n: b.r.abs().rolling(n).corr(b.v),
    "price_volume_trend": lambda b, n: (b.r * b.v).rolling(n).sum() / (b.v.rolling(n).sum() * np.sqrt((b.r**2).rolling(n).mean())),
    "skew": lambda b, n: of_windows(b.r, n, moment(3)),
    "kurtosis": lambda b, n: of_windows(b.r, n, moment(4)) - 3,
    "autocorrelation": lambda b, n: b.r.rolling(n).corr(b.r.shift(1)),
    "absolute_autocorrelation": lambda b, n: b.r.abs().rolling(n).corr(b.r.abs().shift(1)),
    "time_asymmetry": asymmetry,
    "return_entropy": lambda b, n: of_windows(b.r, n, entropy),
    "tail_share": lambda b, n: of_windows(b.r, n, lambda w: (np.abs(w - w.mean()) > 2 * w.std()).mean()),
    "fractal_dimension": fractal,
}
"""Formula name → (Bars, *periods) → values; `ema` and what TA-Lib has are TA-Lib's own."""
