"""Features and indicators through their public calls, against TA-Lib in the same run.

    python -m benchmarks.features [--repeats 7] [--rows 370000]

One JSON line per figure; times are medians in seconds. `indicators` are 50 at the price level over one year of minutes: the public call makes
a frame out of a frame; TA-Lib gets ready arrays and keeps its 50 answers. What TA-Lib lacks is put together from its primitives: skew from
means of powers, z-scores from SMA and STDDEV, statistics of returns from ROCP, SMA and STDDEV. `accuracy` compares windowed ones with
sums in extended precision about each window's own mean, ours beside TA-Lib's and pandas': the largest difference of a row, relative to the value,
over the rows whose deviation is no less than a hundredth of the usual one. `stream` is one bar more: ours by `FeatureStream`, TA-Lib on a window of 400 bars.
`catalogue` are all features of one symbol at once, and bar by bar. Bars are HistData's EURUSD minutes of 2018 where that file is found
(SEQUENCE_REALDATA names its folder), otherwise those of a seeded random walk; the line says which.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

for name, value in {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}.items():
    os.environ.setdefault(name, value)
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import talib  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from components.features import FeatureStream, catalogue, compute_features, compute_indicators  # noqa: E402
from components.fx import validate_bars  # noqa: E402

Floats = NDArray[np.float64]
Answer = Floats | tuple[Floats, ...]
HISTDATA = "HISTDATA_COM_ASCII_EURUSD_M12018.zip"
WINDOW_BARS = 400


def each(names: str, *periods: int) -> list[str]:
    """A name with each of some periods."""
    return [f"{names}_{period}" for period in periods]


def talib_calls(o: Floats, h: Floats, l: Floats, c: Floats) -> list[tuple[list[str], Callable[[], Answer]]]:  # noqa: E741
    """The 50, as a user of TA-Lib computes them: our names, and a call that gives their arrays."""

    def one(name: str, call: Callable[[int], Floats], *periods: int) -> list[tuple[list[str], Callable[[], Answer]]]:
        return [([f"{name}_{n}"], lambda n=n: call(n)) for n in periods]  # type: ignore[misc]

    return [
        *one("sma", lambda n: talib.SMA(c, n), 5, 10, 20, 50, 100),
        *one("ema", lambda n: talib.EMA(c, n), 5, 12, 26, 50, 100),
        *one("rsi", lambda n: talib.RSI(c, n), 7, 14),
        (["macd_12_26_9", "macd_signal_12_26_9", "macd_histogram_12_26_9"], lambda: talib.MACD(c, 12, 26, 9)),
        (["bollinger_upper_20_2", "bollinger_middle_20", "bollinger_lower_20_2"], lambda: talib.BBANDS(c, 20, 2.0, 2.0)),
        *one("atr", lambda n: talib.ATR(h, l, c, n), 14, 28),
        *one("adx", lambda n: talib.ADX(h, l, c, n), 14),
        *one("plus_di", lambda n: talib.PLUS_DI(h, l, c, n), 14),
        *one("minus_di", lambda n: talib.MINUS_DI(h, l, c, n), 14),
        (["stochastic_k_14_3", "stochastic_d_14_3_3"], lambda: talib.STOCH(h, l, c, 14, 3, 0, 3, 0)),
        *one("cci", lambda n: talib.CCI(h, l, c, n), 14, 20),
        *one("deviation", lambda n: talib.STDDEV(c, n), 10, 20, 50),
        *one("skew", lambda n: talib_skew(c, n), 20, 50),
        *one("highest", lambda n: talib.MAX(h, n), 20),
        *one("lowest", lambda n: talib.MIN(l, n), 20),
        *one("williams", lambda n: talib.WILLR(h, l, c, n), 14),
        *one("return", lambda n: talib.ROCP(c, n), 1, 2, 3, 5, 10),
        *one("z_score", lambda n: (c - talib.SMA(c, n)) / talib.STDDEV(c, n), 20, 50, 100),
        *one("roc", lambda n: talib.ROC(c, n), 10),
        *one("momentum", lambda n: talib.MOM(c, n), 10),
        *one("return_mean", lambda n: talib.SMA(talib.ROCP(c, 1), n), 20),
        *one("return_deviation", lambda n: talib.STDDEV(talib.ROCP(c, 1), n), 20),
        *one("wma", lambda n: talib.WMA(c, n), 20),
        *one("slope", lambda n: talib.LINEARREG_SLOPE(c, n), 14),
        (["range"], lambda: h - l),
    ]


def talib_skew(c: Floats, n: int) -> Floats:
    """Skew from means of powers, about the mean of the whole history, without which nothing would be left of it."""
    x = c - c.mean()
    mean, spread = talib.SMA(x, n), talib.STDDEV(x, n)
    answer: Floats = (talib.SMA(x * x * x, n) - 3 * mean * talib.SMA(x * x, n) + 2 * mean * mean * mean) / (spread * spread * spread)
    return answer


def run_talib(calls: list[tuple[list[str], Callable[[], Answer]]]) -> list[Answer]:
    """All answers, kept as a user keeps them."""
    return [call() for _, call in calls]


def real_bars(rows: int) -> tuple[str, pd.DataFrame]:
    """A year of minutes, real where it can be had."""
    folder = Path(os.environ.get("SEQUENCE_REALDATA") or ROOT.parent / "shared" / "data")
    path = folder / "histdata" / HISTDATA
    if path.is_file():
        with zipfile.ZipFile(path) as archive:
            inside = next(item for item in archive.namelist() if item.endswith(".csv"))
            columns = ["at", "open", "high", "low", "close", "volume"]
            frame = pd.read_csv(archive.open(inside), sep=";", header=None, names=columns)
        index = pd.to_datetime(frame.pop("at"), format="%Y%m%d %H%M%S", utc=True)
        frame = frame.set_axis(pd.DatetimeIndex(index)).iloc[:rows]
        return f"HistData EURUSD M1 2018, {len(frame)} bars", validate_bars(frame[~frame.index.duplicated()].sort_index())
    return f"random walk, {rows} bars", random_minutes(rows)


def random_minutes(rows: int, seed: int = 20180101) -> pd.DataFrame:
    """Minute bars of a random walk on the grid of points."""
    rng = np.random.default_rng(seed)
    close = np.round(1.1 * np.exp(np.cumsum(rng.normal(0, 1e-4, rows))), 5)
    opens = np.concatenate((close[:1], close[:-1]))
    high = np.round(np.maximum(opens, close) + rng.integers(0, 8, rows) * 1e-5, 5)
    low = np.round(np.minimum(opens, close) - rng.integers(0, 8, rows) * 1e-5, 5)
    index = pd.date_range("2018-01-01", periods=rows, freq="min", tz="UTC")
    return validate_bars(pd.DataFrame({"open": opens, "high": high, "low": low, "close": close}, index=index))


def columns_of(bars: pd.DataFrame) -> tuple[Floats, Floats, Floats, Floats]:
    """Open, high, low and close as arrays that TA-Lib takes."""
    return tuple(np.ascontiguousarray(bars[name], dtype=np.float64).copy() for name in ("open", "high", "low", "close"))  # type: ignore[return-value]


def seconds_of(call: Callable[[], Any], repeats: int) -> list[float]:
    """Times of some calls, after one that is not counted."""
    call()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return seconds


def side_by_side(ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Medians of two calls, in turn, so that a busy moment meets both."""
    ours(), theirs()
    mine, other = [], []
    for _ in range(repeats):
        for call, seconds in ((ours, mine), (theirs, other)):
            began = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - began)
    return statistics.median(mine), statistics.median(other)


def worst(values: Floats, reference: Floats, size: Floats) -> float:
    """Largest difference, relative to the reference or, where that is smaller, to its usual size."""
    scale = np.maximum(np.abs(reference), np.nanmedian(size))
    return float(np.nanmax(np.abs(values - reference) / scale))


def indicators(label: str, bars: pd.DataFrame, repeats: int) -> tuple[dict[str, Any], list[str]]:
    """The 50 over the whole history."""
    calls = talib_calls(*columns_of(bars))
    names = [name for group, _ in calls for name in group]
    ours_s, talib_s = side_by_side(lambda: compute_indicators(bars, names), lambda: run_talib(calls), repeats)
    ours = compute_indicators(bars, names)
    theirs = dict(
        zip(names, (one for answer in run_talib(calls) for one in (answer if isinstance(answer, tuple | list) else (answer,))), strict=True)
    )
    # Means of powers cancel so much in a skew that the two agree to a few digits only; `accuracy` says who is right.
    differences = {name: typical_difference(ours[name].to_numpy(), values) for name, values in theirs.items() if not name.startswith("skew")}
    line = {
        "benchmark": "indicators",
        "data": label,
        "bars": len(bars),
        "columns": len(names),
        "is_correct": len(names) == 50 and max(differences.values()) < 1e-6,
        "ours_s": round(ours_s, 4),
        "talib_s": round(talib_s, 4),
        "ratio_to_talib": round(ours_s / talib_s, 2),
        "median_difference_to_talib": float(f"{max(differences.values()):.1e}"),
    }
    return line, names


def typical_difference(ours: Floats, theirs: Floats) -> float:
    """Median difference of two columns, relative to the usual size of the values, where both are known; infinite where that is nowhere."""
    both = np.isfinite(ours) & np.isfinite(theirs)
    if not both.any():
        return float("inf")
    return float(np.median(np.abs(ours[both] - theirs[both])) / max(float(np.median(np.abs(theirs[both]))), 1e-300))


def accuracy(label: str, bars: pd.DataFrame) -> list[dict[str, Any]]:
    """Windowed ones against extended precision."""
    close = columns_of(bars)[3]
    series = bars["close"]
    lines = []
    for name, period, theirs, peer in (
        ("sma", 20, lambda n: talib.SMA(close, n), lambda n: series.rolling(n).mean()),
        ("deviation", 20, lambda n: talib.STDDEV(close, n), lambda n: series.rolling(n).std(ddof=0)),
        ("deviation", 50, lambda n: talib.STDDEV(close, n), lambda n: series.rolling(n).std(ddof=0)),
        ("z_score", 20, lambda n: (close - talib.SMA(close, n)) / talib.STDDEV(close, n), None),
        ("skew", 50, lambda n: talib_skew(close, n), lambda n: series.rolling(n).skew() * (n - 2) / np.sqrt(n * (n - 1))),
        ("slope", 14, lambda n: talib.LINEARREG_SLOPE(close, n), None),
    ):
        reference, usable = extended(name, close, period)
        size = np.abs(reference[usable])

        def off(values: Any, reference: Floats = reference, usable: NDArray[np.bool_] = usable, size: Floats = size) -> float:
            return float(f"{worst(np.asarray(values, dtype=np.float64)[usable], reference[usable], size):.1e}")

        ours = off(compute_indicators(bars, [f"{name}_{period}"]).to_numpy()[:, 0])
        lines.append(
            {
                "benchmark": "accuracy",
                "data": label,
                "indicator": f"{name}_{period}",
                "is_correct": ours < 1e-9,
                "ours": ours,
                "talib": off(theirs(period)) if theirs else None,
                "pandas": off(peer(period)) if peer else None,
            }
        )
    return lines


def extended(name: str, close: Floats, period: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Values in extended precision, two passes per window, and the rows whose window moved at least a hundredth as much as usual."""
    out, spread = np.full(len(close), np.nan), np.full(len(close), np.nan)
    time_axis = np.arange(period, dtype=np.longdouble) - np.longdouble(period - 1) / 2
    for begin in range(0, len(close) - period + 1, 20_000):
        block = np.lib.stride_tricks.sliding_window_view(close, period)[begin : begin + 20_000].astype(np.longdouble)
        mean = block.mean(axis=1)
        apart = block - mean[:, None]
        deviation = np.sqrt((apart**2).mean(axis=1))
        rows = slice(begin + period - 1, begin + period - 1 + len(block))
        spread[rows] = deviation
        with np.errstate(all="ignore"):
            out[rows] = {
                "sma": lambda mean=mean: mean,
                "deviation": lambda deviation=deviation: deviation,
                "z_score": lambda apart=apart, deviation=deviation: apart[:, -1] / deviation,
                "skew": lambda apart=apart, deviation=deviation: (apart**3).mean(axis=1) / deviation**3,
                "slope": lambda apart=apart: (apart * time_axis).sum(axis=1) / (time_axis**2).sum(),
            }[name]()
    return out, spread >= 0.01 * np.nanmedian(spread)


def stream(label: str, bars: pd.DataFrame, names: list[str], steps: int) -> dict[str, Any]:
    """One bar more, of the 50."""
    history, later = bars.iloc[:-steps], bars.iloc[-steps:]
    line = FeatureStream.of_indicators(names)
    line.warm(history)
    rows = pushed(line, later)
    full = compute_indicators(bars, names).to_numpy()[-steps:]
    calls = talib_calls(*columns_of(bars.iloc[-WINDOW_BARS:]))
    talib_s = seconds_of(lambda: run_talib(calls), max(steps // 5, 20))
    return {
        "benchmark": "indicator_stream",
        "data": label,
        "columns": len(names),
        "is_correct": bool(np.array_equal(rows[0], full, equal_nan=True)),
        "ours_median_ms": round(1e3 * statistics.median(rows[1]), 4),
        "ours_p95_ms": round(1e3 * float(np.percentile(rows[1], 95)), 4),
        "talib_400_bars_median_ms": round(1e3 * statistics.median(talib_s), 4),
        "ratio_to_talib": round(statistics.median(rows[1]) / statistics.median(talib_s), 2),
    }


def pushed(line: FeatureStream, bars: pd.DataFrame) -> tuple[Floats, list[float]]:
    """The rows that a stream gives for some bars, and the time of each."""
    open_ms = pd.DatetimeIndex(bars.index).as_unit("ms").asi8.tolist()
    columns = [bars[name].tolist() for name in ("open", "high", "low", "close", "volume", "spread_points") if name in bars.columns]
    answers, seconds = [], []
    for bar in zip(open_ms, *columns, strict=True):
        began = time.perf_counter()
        answer = line.push(*bar)
        seconds.append(time.perf_counter() - began)
        answers.append(answer)
    return np.array(answers), seconds


def catalogued(label: str, bars: pd.DataFrame, repeats: int, steps: int) -> list[dict[str, Any]]:
    """All features of one symbol, at once and bar by bar; the spread, which HistData lacks, is made up."""
    bars = bars.assign(spread_points=5.0 + np.arange(len(bars)) % 7, volume=1.0 + np.arange(len(bars)) % 11)
    names = [feature.name for feature in catalogue() if not feature.needs & {"others", "news"}]
    seconds = seconds_of(lambda: compute_features(bars, names), repeats)
    full = compute_features(bars, names)
    line = FeatureStream(names)
    line.warm(bars.iloc[:-steps])
    rows, times = pushed(line, bars.iloc[-steps:])
    is_equal = bool(np.array_equal(rows, full.to_numpy()[-steps:], equal_nan=True))
    whole = statistics.median(seconds)
    return [
        {
            "benchmark": "catalogue",
            "data": label,
            "bars": len(bars),
            "columns": len(names),
            "is_correct": bool(full.iloc[5000:].notna().all(axis=None)) or len(bars) < 6000,
            "ours_s": round(whole, 3),
            "cells_per_s": round(len(bars) * len(names) / whole),
        },
        {
            "benchmark": "catalogue_stream",
            "data": label,
            "columns": len(names),
            "is_correct": is_equal,
            "ours_median_ms": round(1e3 * statistics.median(times), 4),
            "ours_p95_ms": round(1e3 * float(np.percentile(times, 95)), 4),
        },
    ]


def main() -> int:
    """Print every figure; 1 where one is not correct."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--rows", type=int, default=1_000_000, help="bars at most")
    parser.add_argument("--steps", type=int, default=2000, help="bars that are pushed one by one")
    options = parser.parse_args()
    label, bars = real_bars(min(options.rows, 400_000))
    line, names = indicators(label, bars, options.repeats)
    lines = [line, *accuracy(label, bars), stream(label, bars, names, min(options.steps, len(bars) // 2))]
    lines += catalogued(label, bars, max(1, options.repeats // 3), min(options.steps, len(bars) // 2))
    for each_line in lines:
        print(json.dumps(each_line))
    return 0 if all(each_line["is_correct"] for each_line in lines) else 1


if __name__ == "__main__":
    raise SystemExit(main())
