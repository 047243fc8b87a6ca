"""Small files with the quirks of the real ones, made here, for machines that have no real ones. Times are made from UTC, so the truth is known."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.fx import validate_bars
from components.pipeline import KnownPiece, Piece

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@dataclass(frozen=True)
class Bars:
    """Bars as they truly were: UTC open times in milliseconds, prices with five digits, ticks and points of spread."""

    utc_ms: Ints
    prices: dict[str, Floats]
    volume: Ints
    spread: Ints

    def part(self, rows: slice | NDArray[np.bool_] | Ints) -> Bars:
        """Some of the rows."""
        return Bars(self.utc_ms[rows], {name: values[rows] for name, values in self.prices.items()}, self.volume[rows], self.spread[rows])


def ms(text: str) -> int:
    """Epoch milliseconds of a UTC time."""
    return round(pd.Timestamp(text, tz="UTC").timestamp() * 1000)


def is_trading(utc_ms: Ints, last_minute: str = "17:00") -> NDArray[np.bool_]:
    """Whether the market is open, Sunday to Friday at five in New York, on Friday up to that minute."""
    local = pd.DatetimeIndex(utc_ms.view("M8[ms]")).tz_localize("UTC").tz_convert("America/New_York")
    minute, day = (local.hour * 60 + local.minute).to_numpy(), local.weekday.to_numpy()
    end = int(last_minute[:2]) * 60 + int(last_minute[3:])
    return (day < 4) | ((day == 4) & (minute < end)) | ((day == 6) & (minute >= 17 * 60))


def trading_ms(first: str, last: str, step_minutes: int) -> Ints:
    """Open times of bars while the market is open, from one UTC time up to another."""
    times = np.arange(ms(first), ms(last), step_minutes * MINUTE, dtype=np.int64)
    return times[is_trading(times)]


def minute_walk(start: str, rows: int, seed: int, *, first: int, step: int, wick: int) -> pd.DataFrame:
    """A random walk of minutes in which the market is open, in points of a price of five digits; at most 2020-02-01."""
    rng = np.random.default_rng(seed)
    times = trading_ms(start, "2020-02-01", 1)[:rows]
    points = first + np.cumsum(rng.integers(-step, step + 1, len(times)))
    opens = np.concatenate((points[:1], points[:-1]))
    prices = {"open": opens, "high": np.maximum(opens, points) + wick, "low": np.minimum(opens, points) - wick, "close": points}
    index = pd.DatetimeIndex(times.view("M8[ms]")).tz_localize("UTC").rename("open_time")
    return validate_bars(pd.DataFrame({**{name: values / 100_000 for name, values in prices.items()}, "volume": 5.0}, index=index))


def week_edges(first: str, last: str) -> Ints:
    """Minutes of a long time, thinned out to one in fifteen but for the first and last minutes of each day."""
    times = trading_ms(first, last, 1)
    local = pd.DatetimeIndex(times.view("M8[ms]")).tz_localize("UTC").tz_convert("America/New_York")
    minute = (local.hour * 60 + local.minute).to_numpy()
    return times[(minute % 15 == 0) | (np.abs(minute - 17 * 60) <= 3)]


def bars_at(utc_ms: Ints, start: float = 1.2, seed: int = 1) -> Bars:
    """A random walk on the grid of points at these times."""
    rng = np.random.default_rng(seed)
    rows = len(utc_ms)
    points = np.round(start * 100_000).astype(np.int64) + np.cumsum(rng.integers(-6, 7, rows))
    opens = np.concatenate((points[:1], points[:-1]))
    high = np.maximum(opens, points) + rng.integers(0, 5, rows)
    low = np.minimum(opens, points) - rng.integers(0, 5, rows)
    prices = {name: values / 100_000 for name, values in {"open": opens, "high": high, "low": low, "close": points}.items()}
    return Bars(utc_ms, prices, rng.integers(1, 200, rows), rng.integers(2, 20, rows))


def wall_clock(utc_ms: Ints, winter_minutes: int, rule: str) -> Ints:
    """What a clock shows at these instants: ahead of UTC by so much in winter, an hour more in the summer of America, Europe or never."""
    if rule == "none":
        return utc_ms + winter_minutes * MINUTE
    zone, winter = {"us": ("America/New_York", -5), "eu": ("Europe/London", 0)}[rule]
    local = pd.DatetimeIndex(utc_ms.view("M8[ms]")).tz_localize("UTC").tz_convert(zone)
    ahead = local.tz_localize(None).as_unit("ms").asi8 - utc_ms - winter * HOUR
    return utc_ms + winter_minutes * MINUTE + ahead


def histdata_m1(raw_ms: Ints, bars: Bars) -> str:
    """The ASCII layout: semicolons, six decimals of which the last is 0, volume always 0, no header."""
    times = _written(raw_ms, "%Y%m%d %H%M%S")
    rows = zip(times, *(bars.prices[name] for name in ("open", "high", "low", "close")), strict=True)
    return "".join(f"{time};{o:.6f};{h:.6f};{low:.6f};{c:.6f};0\n" for time, o, h, low, c in rows)


def histdata_mt(raw_ms: Ints, bars: Bars) -> str:
    """The MT layout: commas, date and time apart, no seconds."""
    times = _written(raw_ms, "%Y.%m.%d,%H:%M")
    rows = zip(times, *(bars.prices[name] for name in ("open", "high", "low", "close")), strict=True)
    return "".join(f"{time},{o:.6f},{h:.6f},{low:.6f},{c:.6f},0\n" for time, o, h, low, c in rows)


def histdata_ticks(raw_ms: Ints, bid: Floats, ask: Floats) -> str:
    """The tick layout: milliseconds glued to the time."""
    times = pd.DatetimeIndex(raw_ms.view("M8[ms]"))
    written = (f"{text}{at % 1000:03d}" for text, at in zip(times.strftime("%Y%m%d %H%M%S"), raw_ms.tolist(), strict=True))
    return "".join(f"{time},{b:.6f},{a:.6f},0\n" for time, b, a in zip(written, bid, ask, strict=True))


def mt5_bars(raw_ms: Ints, bars: Bars, *, delimiter: str = "\t", end: str = "\r\n", has_time: bool = True) -> str:
    """What MetaTrader 5 exports: names in angle brackets, dots in dates; daily bars have no time."""
    names = ["DATE", *(["TIME"] if has_time else []), "OPEN", "HIGH", "LOW", "CLOSE", "TICKVOL", "VOL", "SPREAD"]
    times = _written(raw_ms, f"%Y.%m.%d{delimiter}%H:%M:%S" if has_time else "%Y.%m.%d")
    columns = zip(*([f"{price:.5f}" for price in bars.prices[name]] for name in ("open", "high", "low", "close")), strict=True)
    lines = [delimiter.join(f"<{name}>" for name in names)]
    for time, prices, volume, spread in zip(times, columns, bars.volume, bars.spread, strict=True):
        lines.append(delimiter.join([time, *prices, str(volume), "0", str(spread)]))
    return end.join(lines) + end


def copied_bars(raw_ms: Ints, bars: Bars) -> str:
    """Bars that a script copied out of a terminal: binary noise in the prices, midnights written as all times are."""
    rows = [f"{price * 1.0000000000000002:.17g}" for price in bars.prices["open"]]
    lines = ["Date,Open,High,Low,Close,Volume"]
    for time, o, h, low, c, volume in zip(
        _written(raw_ms, "%Y-%m-%d %H:%M:%S"), rows, bars.prices["high"], bars.prices["low"], bars.prices["close"], bars.volume, strict=True
    ):
        lines.append(f"{time},{o},{h},{low},{c},{volume}")
    return "\n".join(lines) + "\n"


def mt5_ticks(raw_ms: Ints, cells: list[tuple[str, str]]) -> str:
    """What MetaTrader 5 exports of ticks: milliseconds, and a blank where a side did not change."""
    lines = ["<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>"]
    for at, (bid, ask) in zip(raw_ms.tolist(), cells, strict=True):
        time = pd.Timestamp(at, unit="ms").strftime("%Y.%m.%d\t%H:%M:%S") + f".{at % 1000:03d}"
        flags = 2 * bool(bid) + 4 * bool(ask)
        lines.append(f"{time}\t{bid}\t{ask}\t\t\t{flags}")
    return "\r\n".join(lines) + "\r\n"


def zipped(path: Path, members: Mapping[str, str | bytes]) -> Path:
    """A zip of these files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def as_known(pieces: list[Piece]) -> dict[str, KnownPiece]:
    """What a source is told of pieces that are kept."""
    known = {}
    for piece in pieces:
        times = pd.DatetimeIndex(piece.frame.index).as_unit("ms").asi8
        span = (int(times[0]), int(times[-1])) if len(times) else (0, 0)
        known[piece.key] = KnownPiece(piece.key, piece.raw_sha256, piece.raw_bytes, len(times), *span, piece.fetched_ms, piece.is_final, piece.facts)
    return known


def utc_of(frame: pd.DataFrame) -> Ints:
    """Index of a frame in epoch milliseconds; it must be UTC."""
    index = pd.DatetimeIndex(frame.index)
    assert str(index.tz) == "UTC"
    return index.as_unit("ms").asi8


def damaged_zip() -> bytes:
    """A zip whose end was lost on the way."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("DAT_ASCII_EURUSD_M1_2018.csv", "20180101 170000;1.2;1.2;1.2;1.2;0\n")
    return buffer.getvalue()[:-10]


def _written(raw_ms: Ints, pattern: str) -> list[str]:
    return list(pd.DatetimeIndex(raw_ms.view("M8[ms]")).strftime(pattern))
