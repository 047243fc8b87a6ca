"""Files exported by MetaTrader 5: every way in which they are written, and what time it really was."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.fx import FX_DAY, BadInput, Timeframe, resample_bars, validate_bars
from components.pipeline import Piece, PipelineStore, Request, SourceContext, collect, source_named
from components.pipeline.sources.file_piece import forward_filled
from components.pipeline.sources.mt5_csv import Mt5Csv
from tests.pipeline.lookalikes import (
    DAY,
    HOUR,
    MINUTE,
    Bars,
    as_known,
    bars_at,
    copied_bars,
    is_trading,
    ms,
    mt5_bars,
    mt5_ticks,
    trading_ms,
    utc_of,
    wall_clock,
    zipped,
)

SERVER = 120


def read(
    path: Path, symbol: str = "EURUSD", timeframe: str = "H1", known: dict[str, Any] | None = None, home: Path | None = None, **options: Any
) -> list[Piece]:
    """The pieces of a path."""
    request = Request(symbol, timeframe, options={"path": str(path), **options})
    return list(Mt5Csv().pieces(request, known or {}, SourceContext(home or path.parent)))


def kept(folder: Path, name: str, content: str | bytes) -> Path:
    """A file of this content, packed where its name says so."""
    packed = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(gzip.compress(packed) if name.endswith(".gz") else packed)
    return folder / name


@pytest.fixture(scope="module")
def hours() -> Bars:
    """Hourly bars of a year and a half."""
    return bars_at(trading_ms("2022-01-03", "2023-06-01", 60))


@pytest.mark.parametrize("rule", ["us", "eu", "none"])
def test_the_brokers_clock_is_found_and_its_own_time_is_kept_beside_utc(rule: str, hours: Bars, tmp_path: Path) -> None:
    raw = wall_clock(hours.utc_ms, SERVER, rule)
    (piece,) = read(kept(tmp_path, "EURUSD_H1_202201030100_202305312300.csv", mt5_bars(raw, hours)))
    assert (utc_of(piece.frame) == hours.utc_ms).all()
    assert (piece.frame["raw_ms"].to_numpy() == raw).all()
    clock = piece.facts["clock"]
    assert (clock["rule"], clock["offset_winter_minutes"], clock["version"] >= 1) == (rule, SERVER, True)
    for name, values in {**hours.prices, "volume": hours.volume, "spread_points": hours.spread}.items():
        assert (piece.frame[name].to_numpy() == values).all(), name
    validate_bars(piece.frame)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize(("delimiter", "end"), [("\t", "\r\n"), (",", "\n"), (";", "\r\n")])
def test_every_encoding_and_delimiter_reads_alike(encoding: str, delimiter: str, end: str, hours: Bars, tmp_path: Path) -> None:
    bars = hours.part(slice(0, 500))
    text = mt5_bars(wall_clock(bars.utc_ms, SERVER, "us"), bars, delimiter=delimiter, end=end)
    (piece,) = read(kept(tmp_path, "EURUSD_H1.csv", text.encode(encoding)))
    assert (utc_of(piece.frame) == bars.utc_ms).all()
    assert (piece.frame["close"].to_numpy() == bars.prices["close"]).all()


def test_gzip_and_zip_read_like_the_plain_file(hours: Bars, tmp_path: Path) -> None:
    bars = hours.part(slice(0, 500))
    text = mt5_bars(wall_clock(bars.utc_ms, SERVER, "us"), bars)
    (packed,) = read(kept(tmp_path, "EURUSD_H1.csv.gz", text))
    (zip_piece,) = read(zipped(tmp_path / "EURUSD_H1.zip", {"EURUSD_H1.csv": text}))
    assert (utc_of(packed.frame) == bars.utc_ms).all()
    assert packed.frame.equals(zip_piece.frame)
    two = zipped(tmp_path / "two.zip", {"EURUSD_H1.csv": text, "EURUSD_M5.csv": text})
    with pytest.raises(BadInput, match="holds 2 files"):
        read(two)
    kept(tmp_path, "broken_H1.csv.gz", text).write_bytes(gzip.compress(text.encode())[:-20])
    with pytest.raises(BadInput, match="is damaged"):
        read(tmp_path / "broken_H1.csv.gz", broker_symbol="broken")


def daily(hours: Bars) -> tuple[Bars, np.ndarray[Any, np.dtype[np.int64]]]:
    """Daily bars, and the midnights by which a broker that turns with New York names them."""
    ids = FX_DAY.day_ids(hours_index(hours)).to_numpy()
    first = np.unique(ids, return_index=True)[1]
    days = hours.part(first)
    return days, ids[first] * DAY


def hours_index(hours: Bars) -> Any:
    """The times of bars as an index."""
    return pd.DatetimeIndex(hours.utc_ms.view("M8[ms]")).tz_localize("UTC")


def test_daily_bars_without_times_open_at_the_turn_of_the_fx_day_and_say_that_this_is_assumed(hours: Bars, tmp_path: Path) -> None:
    days, midnights = daily(hours)
    (piece,) = read(kept(tmp_path, "EURUSD_Daily_20220103_20230531.csv", mt5_bars(midnights, days, has_time=False)), timeframe="D1")
    assert (utc_of(piece.frame)[1:] == days.utc_ms[1:]).all()  # the first day begins before the first bar
    assert Timeframe.D1.is_aligned(utc_of(piece.frame)).all()
    assert piece.facts["clock"]["confidence"] == 0
    assert "assumption" in piece.facts["clock"]["decided_by"]


def test_daily_bars_take_the_clock_of_a_shorter_export_beside_them_or_of_one_that_is_named(hours: Bars, home: Path, tmp_path: Path) -> None:
    days, _ = daily(hours)
    midnights = wall_clock(days.utc_ms, SERVER, "eu") // DAY * DAY
    kept(tmp_path, "EURUSD_H1.csv", mt5_bars(wall_clock(hours.utc_ms, SERVER, "eu"), hours))
    kept(tmp_path, "EURUSD_Daily.csv", mt5_bars(midnights, days, has_time=False))
    kept(tmp_path, "GBPUSD_Daily.csv", mt5_bars(midnights, days, has_time=False))
    (beside,) = read(tmp_path, timeframe="D1")
    assert "EURUSD_H1.csv beside it" in beside.facts["clock"]["decided_by"]
    assert (wall_clock(utc_of(beside.frame), SERVER, "eu") == midnights).all()
    (named,) = read(tmp_path, "GBPUSD", "D1", clock_from="EURUSD_H1.csv")
    assert (utc_of(named.frame) == utc_of(beside.frame)).all()
    bar_set = collect(home, "mt5_csv", "EURUSD", "H1", options={"path": str(tmp_path)})
    (from_set,) = read(tmp_path, "GBPUSD", "D1", home=home, clock_from=bar_set.id)
    assert (utc_of(from_set.frame) == utc_of(beside.frame)).all()
    with pytest.raises(BadInput) as error:
        read(tmp_path, "GBPUSD", "D1", home=home, clock_from="nothing")
    assert error.value.field == "clock_from"


def test_a_clock_of_one_winter_is_not_lent_to_other_years(hours: Bars, tmp_path: Path) -> None:
    days, midnights = daily(hours)
    winter = bars_at(trading_ms("2022-01-10", "2022-02-20", 15))
    kept(tmp_path, "EURUSD_M15.csv", mt5_bars(wall_clock(winter.utc_ms, SERVER, "none"), winter))
    kept(tmp_path, "EURUSD_Daily.csv", mt5_bars(midnights, days, has_time=False))
    (piece,) = read(tmp_path, timeframe="D1")
    assert "beside" not in piece.facts["clock"]["decided_by"]


def test_a_week_that_metatrader_names_by_its_sunday_opens_when_its_trading_does(tmp_path: Path) -> None:
    sundays = np.arange(ms("2022-01-02"), ms("2022-12-01"), 7 * DAY)
    weeks = bars_at(sundays)
    (piece,) = read(kept(tmp_path, "EURUSD_Weekly.csv", mt5_bars(sundays, weeks, has_time=False)), timeframe="W1", clock="us")
    assert Timeframe.W1.is_aligned(utc_of(piece.frame)).all()
    assert (piece.frame["raw_ms"].to_numpy() == sundays).all()
    assert utc_of(piece.frame)[0] == ms("2022-01-02T22:00")


def test_a_blank_cell_is_an_unchanged_side_and_a_row_without_a_quote_is_none(tmp_path: Path) -> None:
    times = trading_ms("2023-01-03T10:00", "2023-01-03T10:08", 1) + np.array([0, 1, 2, 3, 4, 5, 999, 7])
    cells = [
        ("", "1.10012"),
        ("1.10000", ""),
        ("", "1.10015"),
        ("", ""),
        ("1.10003", ""),
        ("1.10020", "1.10010"),
        ("1.10004", "1.10016"),
        ("", "1.10014"),
    ]
    (piece,) = read(kept(tmp_path, "EURUSD_202301030000_202301032359.csv", mt5_ticks(times + 2 * HOUR, cells)), timeframe="tick", clock="us")
    assert utc_of(piece.frame).tolist() == times[[1, 2, 4, 6, 7]].tolist()
    assert piece.frame["bid"].to_list() == [1.1, 1.1, 1.10003, 1.10004, 1.10004]
    assert piece.frame["ask"].to_list() == [1.10012, 1.10015, 1.10015, 1.10016, 1.10014]
    assert {name: piece.facts[name] for name in ("without_quote", "no_price", "crossed")} == {"without_quote": 1, "no_price": 1, "crossed": 1}


def test_forward_filling_uses_what_came_before_and_nothing_else() -> None:
    gap = np.nan
    assert np.array_equal(forward_filled(np.array([gap, 1.0, gap, gap, 2.0, gap])), [gap, 1, 1, 1, 2, 2], equal_nan=True)
    assert len(forward_filled(np.zeros(0))) == 0


def test_ticks_become_bars_of_the_timeframe_asked_for(home: Path, tmp_path: Path) -> None:
    times = trading_ms("2023-01-02T22:00", "2023-01-20T22:00", 5)
    quotes = bars_at(times).prices["close"]
    cells = [(f"{bid:.5f}", f"{bid + 0.0001:.5f}") for bid in quotes]
    kept(tmp_path, "EURUSD_202301020000_202301202359.csv", mt5_ticks(wall_clock(times, SERVER, "us"), cells))
    bar_set = collect(home, "mt5_csv", "EURUSD", "H1", options={"path": str(tmp_path)})
    bars = PipelineStore.open(home).load_bars(bar_set.id)
    assert bars["volume"].eq(12).all()
    assert (bars["close"].to_numpy() == quotes[11::12][: len(bars)]).all()
    assert bars["spread_points"].eq(10).all()


def test_binary_noise_is_rounded_away_and_counted(hours: Bars, tmp_path: Path) -> None:
    bars = hours.part(slice(0, 800))
    text = copied_bars(wall_clock(bars.utc_ms, SERVER, "us"), bars)
    assert "0000000" in text or "99999999" in text
    (piece,) = read(kept(tmp_path, "eurusd_h1.csv.gz", text))
    assert (piece.frame["open"].to_numpy() == bars.prices["open"]).all()
    assert 0 < piece.facts["prices_rounded"] <= 800
    assert (piece.frame["volume"].to_numpy() == bars.volume).all()
    assert "spread_points" not in piece.frame.columns


def test_a_folder_is_searched_for_the_symbol_and_the_timeframe(hours: Bars, tmp_path: Path) -> None:
    raw = wall_clock(hours.utc_ms, SERVER, "us")
    text = mt5_bars(raw, hours)
    for name in ("EURUSD.raw_H1_202201030100_202305312300.csv", "EURUSD.raw_M15.csv", "GBPUSD_H1.csv", "EURUSD.raw_M2.csv", "readme.txt"):
        kept(tmp_path, name, text)
    pieces = read(tmp_path)
    assert [piece.key for piece in pieces] == ["EURUSD.raw_H1_202201030100_202305312300.csv"]
    assert read(tmp_path, known=as_known(pieces)) == []
    kept(tmp_path, "EURUSD.raw_H1_202201030100_202305312300.csv", mt5_bars(raw[:-3], hours.part(slice(-3))))
    assert len(read(tmp_path, known=as_known(pieces))) == 1
    with pytest.raises(BadInput, match=r"M15\.csv holds H1 bars, not M15"):
        read(tmp_path, timeframe="M15")
    with pytest.raises(BadInput, match=r"has no EURUSD D1; it has M15, H1"):
        read(tmp_path, timeframe="D1")
    with pytest.raises(BadInput, match=r"no MetaTrader export of USDJPY; it holds EURUSD\.raw, GBPUSD"):
        read(tmp_path, "USDJPY")
    assert len(read(tmp_path, "USDCHF", broker_symbol="GBPUSD")) == 1


HEAD = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\r\n"
ROW = "2025.01.02\t{}:00:00\t1.2\t1.2\t1.2\t1.2\t9\t0\t8\r\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD, "has no rows"),
        (ROW.format("01") + ROW.format("02"), "no header of MetaTrader"),
        (HEAD.replace("<CLOSE>", "<LAST>") + ROW.format("01"), "no header of MetaTrader"),
        (HEAD + ROW.format("01") + ROW.format("25"), "line 3: date time '2025.01.02 25:00:00' is no time"),
        (HEAD + ROW.format("01") + ROW.format("02").replace("1.2", "1,2", 1), "line 3: open '1,2' is not a number"),
        (HEAD + ROW.format("01") + ROW.format("02").replace("\t8", ""), "line 3: 8 cells instead of 9"),
        (HEAD + ROW.format("01") + ROW.format("02").replace("2025.01.02", "02.01.2025"), "line 3: date time '02.01.2025 02:00:00'"),
        (HEAD + ROW.format("01").replace("2025.01.02", "2025_01_02"), "the date '2025_01_02' is not written as"),
        (HEAD + "".join(ROW.format(f"{hour:02d}").replace("1.2", "155.2") for hour in range(9)), "prices of about 155.2"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused_in_words(text: str, said: str, tmp_path: Path) -> None:
    path = kept(tmp_path, "EURUSD_H1.csv", text)
    with pytest.raises(BadInput) as error:
        read(path)
    assert said in str(error.value)


REAL = [
    ("broker_bars/eurusd_h1.csv.gz", "EURUSD", "H1", 29_910, "eu", 120, "this file"),
    ("broker_bars/eurusd_m15.csv.gz", "EURUSD", "M15", 51_543, "eu", 120, "this file"),
    ("broker_bars/gbpusd_h1.csv.gz", "GBPUSD", "H1", 29_909, "eu", 120, "this file"),
    ("mt5_bars_csv/XAUUSD_H1_202501020100_202510272200.csv", "XAUUSD", "H1", 4_858, "eu", 120, "this file"),
    ("mt5_bars_csv/XAUUSD_M15_202501020100_202510272245.csv", "XAUUSD", "M15", 19_418, "eu", 120, "this file"),
    ("mt5_bars_csv/US30Cash_M1_202310020100_202310132359.csv", "US30", "M1", 13_789, "us", 120, "this file"),
    ("mt5_bars_csv/EURUSD_Daily_20250102_20251204.csv", "EURUSD", "D1", 241, "us", 120, "assumption"),
]


@pytest.mark.parametrize(("name", "symbol", "timeframe", "rows", "rule", "winter", "by"), REAL, ids=[real[0].split("/")[1] for real in REAL])
def test_a_real_file_is_read_whole_with_its_brokers_clock(
    name: str, symbol: str, timeframe: str, rows: int, rule: str, winter: int, by: str, realdata: Path
) -> None:
    (piece,) = read(realdata / name, symbol, timeframe)
    clock = piece.facts["clock"]
    assert (len(piece.frame), clock["rule"], clock["offset_winter_minutes"]) == (rows, rule, winter)
    assert by in clock["decided_by"]
    assert (np.diff(utc_of(piece.frame)) > 0).all()
    if timeframe != "D1":
        assert is_trading(utc_of(piece.frame), "17:01").mean() > 0.9999
    validate_bars(piece.frame)


def test_real_prices_have_lost_their_noise(realdata: Path) -> None:
    (piece,) = read(realdata / "broker_bars" / "gbpusd_h1.csv.gz", "GBPUSD")
    assert piece.facts["prices_rounded"] == 12_760
    assert piece.frame["open"].iloc[1] == 1.38386
    for name in ("open", "high", "low", "close"):
        values = piece.frame[name].to_numpy()
        assert (np.round(values, 5) == values).all()


def test_the_real_daily_bars_are_those_of_the_real_hours_of_the_same_broker(realdata: Path) -> None:
    folder = realdata / "broker_bars"
    (days,) = read(folder, timeframe="D1")
    (hours,) = read(folder)
    assert "eurusd_h1.csv.gz beside it" in days.facts["clock"]["decided_by"]
    opens, hourly = utc_of(days.frame), validate_bars(hours.frame)
    own = np.searchsorted(opens, utc_of(hourly), side="right") - 1
    high = hourly.groupby(own)["high"].max()
    same = high.iloc[2:-1] == days.frame["high"].to_numpy()[high.index[2:-1]]
    assert same.mean() > 0.97


def test_real_bars_of_a_quarter_hour_make_the_real_hours(realdata: Path) -> None:
    folder = realdata / "broker_bars"
    (quarters,), (hours,) = read(folder, timeframe="M15"), read(folder)
    made = resample_bars(validate_bars(quarters.frame), Timeframe.H1)
    both = made.join(hours.frame, rsuffix="_told", how="inner").iloc[2:-2]
    assert len(both) > 12_000
    assert ((both["high"] == both["high_told"]) & (both["low"] == both["low_told"])).mean() > 0.99


def test_the_minutes_of_an_index_file_rest_for_an_hour(realdata: Path) -> None:
    (piece,) = read(realdata / "mt5_bars_csv", "US30", "M1")
    assert np.diff(utc_of(piece.frame)).max() > HOUR
    assert utc_of(piece.frame)[0] == ms("2023-10-01T22:00")
    assert (utc_of(piece.frame) % MINUTE == 0).all()


def test_the_source_says_what_it_cannot_know() -> None:
    assert "may have been forming" in source_named("mt5_csv").note
