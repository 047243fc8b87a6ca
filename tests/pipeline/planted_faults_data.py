"""Clean bars, and every fault planted into them a known number of times."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from components.fx import Timeframe
from components.pipeline import Calendar

PRICES = ["open", "high", "low", "close"]
Plant = Callable[[pd.DataFrame, np.ndarray], pd.DataFrame]


def made_minutes(weeks: int = 9, seed: int = 1, timeframe: Timeframe = Timeframe.M1, start: str = "2023-01-08 22:00") -> pd.DataFrame:
    """Bars like those of a feed: busy by day, nearly still at night, where some minutes have no tick; five decimals, spreads, tick counts."""
    random = np.random.default_rng(seed)
    first = int(pd.Timestamp(start, tz="UTC").timestamp() * 1000)
    open_ms = Calendar().expected_open_ms(first, first + weeks * 7 * 86_400_000 - 1, timeframe)
    hour = (open_ms // 3_600_000) % 24
    # Moves in points: under one at night, six in the afternoon.
    typical = np.where((hour >= 7) & (hour < 17), 6.0, np.where((hour >= 21) | (hour < 1), 0.6, 2.5)) * np.sqrt(timeframe.value)
    steps = np.rint(np.clip(random.standard_t(5, len(open_ms)), -4, 4) * typical)
    close = 110_000 + np.cumsum(steps - 0.0005 * np.concatenate(([0], np.cumsum(steps)[:-1])).round())
    opened = np.concatenate(([110_000], close[:-1])) + random.integers(-1, 2, len(open_ms)) * (typical > 1)
    # By day a bar always has a range: no hour of the day is quiet.
    wicks = np.rint(np.abs(random.normal(0, 1, (2, len(open_ms)))) * typical * 0.6) + (typical > 1)
    high, low = np.maximum(opened, close) + wicks[0], np.minimum(opened, close) - wicks[1]
    bars = pd.DataFrame(
        {
            "open": opened / 1e5,
            "high": high / 1e5,
            "low": low / 1e5,
            "close": close / 1e5,
            "volume": np.rint(5 + 10 * typical + random.integers(0, 9, len(open_ms))),
            "spread_points": random.integers(4, 12, len(open_ms)).astype(float) * np.where(typical < 1, 3, 1),
        },
        index=pd.DatetimeIndex(pd.to_datetime(open_ms, unit="ms", utc=True)).as_unit("ms").rename("open_time"),
    ).round(5)
    still = typical < 1
    absent = still & (random.random(len(open_ms)) < 0.03) & (timeframe is Timeframe.M1)
    absent[[0, -1]] = False
    return bars[~absent]


def places(bars: pd.DataFrame, count: int, *, apart: int, seed: int = 0, busy: bool = True) -> np.ndarray:
    """Rows for faults, far from each other and from the edges of weeks and days, in hours in which the market moves."""
    hour = pd.DatetimeIndex(bars.index).hour.to_numpy()
    usable = np.flatnonzero((hour >= 8) & (hour < 15)) if busy else np.arange(len(bars))
    usable = usable[(usable > 2 * apart) & (usable < len(bars) - 2 * apart)]
    chosen: list[int] = []
    for row in np.random.default_rng(seed).permutation(usable).tolist():
        if all(abs(row - other) > apart for other in chosen):
            chosen.append(row)
        if len(chosen) == count:
            return np.sort(np.array(chosen))
    raise AssertionError(f"only {len(chosen)} places for {count} faults")


def _changed(bars: pd.DataFrame) -> pd.DataFrame:
    return bars.copy()


def missing(bars: pd.DataFrame, at: np.ndarray) -> pd.DataFrame:
    """Seven bars in a row are gone at each place."""
    return bars.drop(bars.index[(at[:, None] + np.arange(7)).ravel()])


def repeats(bars: pd.DataFrame, at: np.ndarray) -> pd.DataFrame:
    """The bar comes twice."""
    return bars.iloc[np.insert(np.arange(len(bars)), at + 1, at)]


def conflicts(bars: pd.DataFrame, at: np.ndarray) -> pd.DataFrame:
    """The bar comes again with another close."""
    again = repeats(bars, at)
    second = at + 1 + np.arange(len(at))
    values = again["close"].to_numpy(copy=True)
    values[second] = again["high"].to_numpy()[second]
    values[second] -= (values[second] == again["close"].to_numpy()[second]) * 1e-7
    low = again["low"].to_numpy(copy=True)
    low[second] = np.minimum(low[second], values[second])
    return again.assign(close=values, low=low)


def disorder(bars: pd.DataFrame, at: np.ndarray) -> pd.DataFrame:
    """The bar comes three rows too late."""
    order = np.arange(len(bars))
    for row in at.tolist():
        order[row : row + 4] = np.roll(order[row : row + 4], -1)
    return bars.iloc[order]


def ahead(bars: pd.DataFrame, at: np.ndarray) -> pd.DataFrame:
    """The bar is dated a trading day ahead, where another bar is: one row is wrong, not the day that follows it."""
    index = bars.index.to_series()
    index.iloc[at] = index.iloc[at] + pd.to_timedelta(np.where(index.iloc[at].dt.weekday == 4, 3, 1), unit="D")
    return bars.set_axis(pd.DatetimeIndex(index), axis=0)


def bad_time(bars: pd.DataFrame, at: np.ndarray) -> pd.DataFrame:
    """The bar is of the year 2150, or of no time at all."""
    index = bars.index.to_series()
    index.iloc[at] = pd.Timestamp("2150-01-01", tz="UTC")
    index.iloc[at[: len(at) // 2]] = pd.NaT
    return bars.set_axis(pd.DatetimeIndex(index), axis=0)


def off_grid(bars: pd.DataFrame, at: np.ndarray) -> pd.DataFrame:
    """The bar opens seven seconds late."""
    index = bars.index.to_series()
    index.iloc[at] = index.iloc[at] + pd.Timedelta(seconds=7)
    return bars.set_axis(pd.DatetimeIndex(index), axis=0)


def bad_ohlc(bars: pd.DataFrame, at: np.ndarray) -> pd.DataFrame:
    """In turn: high below low, a price that is missing, negative or infinite, a close above the high, a negative volume."""
    changed = _changed(bars)
    for number, row in enumerate(at.tolist()):
        column, value = [
            ("high", bars["low"].iloc[row] - 0.01),
            ("open", np.nan),
            ("low", -1.0),
            ("high", np.inf),
            ("close", bars["high"].iloc[row] + 0.01),
            ("volume", -3.0),
        ][number % 6]
        changed.iloc[row, changed.columns.get_loc(column)] = value
    return changed


def spikes(bars: pd.DataFrame, at: np.ndarray) -> pd.DataFrame:
    """The close is half a percent off (three percent in hourly bars), up and down in turn; the next bar is where it was."""
    share = 0.005 if bars.index[1] - bars.index[0] < pd.Timedelta(hours=1) else 0.03
    changed = _changed(bars)
    for number, row in enumerate(at.tolist()):
        close = bars["close"].iloc[row] * (1 + share * (-1) ** number)
        changed.iloc[row, changed.columns.get_loc("close")] = close
        changed.iloc[row, changed.columns.get_loc("high")] = max(close, bars["high"].iloc[row])
        changed.iloc[row, changed.columns.get_loc("low")] = min(close, bars["low"].iloc[row])
    return changed


def wicks(bars: pd.DataFrame, at: np.ndarray) -> pd.DataFrame:
    """The high or the low is far off; open and close are as they were."""
    share = 0.005 if bars.index[1] - bars.index[0] < pd.Timedelta(hours=1) else 0.03
    changed = _changed(bars)
    for number, row in enumerate(at.tolist()):
        name, factor = (("high", 1 + share), ("low", 1 - share))[number % 2]
        changed.iloc[row, changed.columns.get_loc(name)] = bars[name].iloc[row] * factor
    return changed


def carried_spikes(bars: pd.DataFrame, at: np.ndarray) -> pd.DataFrame:
    """As `spikes`, in a feed whose bars open at the close before: the next bar opens at the misprint and holds the way back."""
    changed = spikes(bars, at)
    opened = changed["close"].to_numpy()[at]
    changed.iloc[at + 1, changed.columns.get_loc("open")] = opened
    changed.iloc[at + 1, changed.columns.get_loc("high")] = np.maximum(bars["high"].to_numpy()[at + 1], opened)
    changed.iloc[at + 1, changed.columns.get_loc("low")] = np.minimum(bars["low"].to_numpy()[at + 1], opened)
    return changed


def jumps(bars: pd.DataFrame, at: np.ndarray) -> pd.DataFrame:
    """After a hole of 3 bars the price goes on 4 percent away; the next such hole brings it back."""
    level = np.ones(len(bars))
    for number, row in enumerate(at.tolist()):
        level[row:] = 1.04 if number % 2 == 0 else 1.0
    changed = bars.assign(**{name: bars[name] * level for name in PRICES}).round(5)
    return changed.drop(bars.index[(at[:, None] - np.arange(1, 4)).ravel()])


def stale(bars: pd.DataFrame, at: np.ndarray) -> pd.DataFrame:
    """The feed freezes for 20 bars at each place: every price and the tick count stay what they were."""
    changed = _changed(bars)
    rows = (at[:, None] + np.arange(20)).ravel()
    for name in PRICES:
        values = changed[name].to_numpy(copy=True)
        values[rows] = np.repeat(bars["close"].to_numpy()[at - 1], 20)
        changed[name] = values
    volume = changed["volume"].to_numpy(dtype=float, copy=True)
    volume[rows] = np.repeat(volume[at - 1], 20)
    return changed.assign(volume=volume)


def spreads(bars: pd.DataFrame, at: np.ndarray) -> pd.DataFrame:
    """In turn: a spread 40 times the usual, zero, negative, unknown."""
    values = bars["spread_points"].to_numpy(copy=True)
    values[at] = np.resize([400.0, 0.0, -5.0, np.nan], len(at))
    return bars.assign(spread_points=values)


def zero_volume(bars: pd.DataFrame, at: np.ndarray) -> pd.DataFrame:
    """The bar has no tick."""
    values = bars["volume"].to_numpy(dtype=float, copy=True)
    values[at] = 0.0
    return bars.assign(volume=values)


def outside(bars: pd.DataFrame, at: np.ndarray) -> pd.DataFrame:
    """Bars on Saturdays, one for each place, as copies of the Friday bars before them."""
    open_ms = pd.DatetimeIndex(bars.index).as_unit("ms").asi8
    fridays = np.flatnonzero(np.diff(open_ms) > 30 * 3_600_000)
    rows = np.resize(fridays, len(at))
    step = np.arange(len(at)) // len(fridays)
    length = np.diff(open_ms).min()
    times = bars.index[rows] + pd.to_timedelta((12 * 3_600_000 + step * length), unit="ms").as_unit("ms")
    # Each behind its Friday, so that rows that are out of order elsewhere stay so.
    order = np.argsort(np.concatenate((np.arange(len(bars)), rows + 0.5 + step / (2 * len(at)))), kind="stable")
    return pd.concat([bars, bars.iloc[rows].set_axis(times, axis=0)]).iloc[order]


def repaired(bars: pd.DataFrame, at: np.ndarray) -> pd.DataFrame:
    """A repair touched the bar."""
    flags = np.zeros(len(bars), dtype=np.int64)
    flags[at] = 4
    return bars.assign(repair=flags)


# Part, how the fault is planted, and how many bars have it for each place.
FAULTS: dict[str, tuple[str, Plant, int]] = {
    "missing": ("missing", missing, 7),
    "repeats": ("repeats", repeats, 1),
    "conflicts": ("conflicts", conflicts, 1),
    "disorder": ("disorder", disorder, 1),
    "ahead": ("conflicts", ahead, 1),
    "bad_time": ("bad_time", bad_time, 1),
    "off_grid": ("off_grid", off_grid, 1),
    "bad_ohlc": ("bad_ohlc", bad_ohlc, 1),
    "spikes": ("spikes", spikes, 1),
    "wicks": ("spikes", wicks, 1),
    "carried_spikes": ("spikes", carried_spikes, 1),
    "jumps": ("jumps", jumps, 1),
    "stale": ("stale", stale, 20),
    "spreads": ("spreads", spreads, 1),
    "zero_volume": ("zero_volume", zero_volume, 1),
    "outside": ("outside", outside, 1),
    "repaired": ("repaired", repaired, 1),
}
# What a fault brings along by its nature: rows that are placed nowhere leave a hole, a hole stands before each jump, and rows dated a day
# ahead or off the grid miss at their own place.
BRINGS_ALONG: dict[str, set[str]] = {
    "bad_time": {"missing"},
    "ahead": {"missing"},
    "jumps": {"missing", "digits"},
    "off_grid": set(),
    "conflicts": {"spikes"},
}
