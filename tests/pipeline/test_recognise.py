"""What files are is found from their names and first lines, or the refusal says what to do."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from components.fx import BadInput, NotFound
from components.pipeline import Recognised, recognise
from tests.pipeline.lookalikes import (
    Bars,
    bars_at,
    copied_bars,
    damaged_zip,
    histdata_m1,
    histdata_mt,
    histdata_ticks,
    mt5_bars,
    mt5_ticks,
    trading_ms,
    wall_clock,
    zipped,
)


@pytest.fixture(scope="module")
def hours() -> Bars:
    """Two weeks of hourly bars."""
    return bars_at(trading_ms("2023-03-01", "2023-03-15", 60))


@pytest.fixture(scope="module")
def minutes() -> Bars:
    """Two hours of minutes."""
    return bars_at(trading_ms("2023-03-01", "2023-03-01T02:00", 1))


def put(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_histdata_is_known_by_its_name_whatever_is_in_it(tmp_path: Path, minutes: Bars) -> None:
    raw = wall_clock(minutes.utc_ms, -300, "us")
    named = zipped(tmp_path / "HISTDATA_COM_ASCII_GBPUSD_M12018.zip", {"DAT_ASCII_GBPUSD_M1_2018.csv": histdata_m1(raw, minutes)})
    assert recognise(named) == Recognised("histdata", "GBPUSD", "M1", {"path": str(named)})
    ticks = put(tmp_path / "DAT_ASCII_EURUSD_T_202001.csv", histdata_ticks(raw, minutes.prices["low"], minutes.prices["high"]))
    assert recognise(ticks).timeframe == "M1"
    assert recognise(ticks, timeframe="m5").timeframe == "M5"


@pytest.mark.parametrize("layout", ["m1", "mt", "ticks"])
def test_histdata_under_another_name_is_known_by_its_first_line(tmp_path: Path, minutes: Bars, layout: str) -> None:
    raw = minutes.utc_ms
    text = {
        "m1": histdata_m1(raw, minutes),
        "mt": histdata_mt(raw, minutes),
        "ticks": histdata_ticks(raw, minutes.prices["low"], minutes.prices["high"]),
    }[layout]
    path = put(tmp_path / "renamed_eurusd.csv", text)
    with pytest.raises(BadInput, match=r"symbol: cannot be read off the name 'renamed_eurusd\.csv'; name it with --symbol"):
        recognise(path)
    assert recognise(path, symbol="eurusd") == Recognised("histdata", "EURUSD", "M1", {"path": str(path)})
    assert recognise(put(tmp_path / "EURUSD old.csv", text)).symbol == "EURUSD"


def test_exports_of_a_terminal_say_their_symbol_by_name_and_their_timeframe_by_their_times(tmp_path: Path, hours: Bars) -> None:
    export = put(tmp_path / "a" / "EURUSD.r_H1_202303.csv", mt5_bars(hours.utc_ms, hours))
    assert recognise(export) == Recognised("mt5_csv", "EURUSD", "H1", {"path": str(export)})
    wide = put(tmp_path / "b" / "XAUUSDm.csv", mt5_bars(hours.utc_ms, hours).encode("utf-16"))
    assert (recognise(wide).symbol, recognise(wide).timeframe) == ("XAUUSD", "H1")
    daily = put(tmp_path / "c" / "GBPUSD_Daily.csv", mt5_bars(hours.utc_ms[::24], hours.part(slice(None, None, 24)), has_time=False))
    assert recognise(daily).timeframe == "D1"
    packed = put(tmp_path / "d" / "usdjpy_h1.csv.gz", gzip.compress(copied_bars(hours.utc_ms, hours).encode()))
    assert (recognise(packed).source, recognise(packed).symbol, recognise(packed).timeframe) == ("mt5_csv", "USDJPY", "H1")
    cells = [(f"{price:.5f}", "") for price in hours.prices["open"]]
    assert recognise(put(tmp_path / "e" / "EURUSD_ticks.csv", mt5_ticks(hours.utc_ms, cells))).timeframe == "M1"


def test_a_folder_of_one_kind_is_one_series_and_other_things_in_it_do_not_matter(tmp_path: Path, minutes: Bars) -> None:
    for year in (2018, 2019):
        zipped(tmp_path / f"HISTDATA_COM_ASCII_EURUSD_M1{year}.zip", {f"DAT_ASCII_EURUSD_M1_{year}.csv": histdata_m1(minutes.utc_ms, minutes)})
    put(tmp_path / "DAT_ASCII_EURUSD_M1_2018.txt", "Gap of 62s found between 20180101 and …")
    put(tmp_path / "notes.txt", "bought nothing\n")
    put(tmp_path / "empty.csv", "")
    put(tmp_path / "broken.zip", damaged_zip())
    assert recognise(tmp_path) == Recognised("histdata", "EURUSD", "M1", {"path": str(tmp_path)})


def test_a_folder_of_several_symbols_or_kinds_is_refused_by_name(tmp_path: Path, hours: Bars) -> None:
    for symbol in ("EURUSD", "GBPUSD"):
        put(tmp_path / f"{symbol}_H1.csv", mt5_bars(hours.utc_ms, hours))
    with pytest.raises(BadInput, match="symbol: the folder holds EURUSD, GBPUSD; name one of them"):
        recognise(tmp_path)
    assert recognise(tmp_path, symbol="gbpusd") == Recognised("mt5_csv", "GBPUSD", "H1", {"path": str(tmp_path)})
    put(tmp_path / "DAT_ASCII_EURUSD_M1_2018.csv", histdata_m1(hours.utc_ms, hours))
    with pytest.raises(BadInput, match="two kinds, 1 of histdata and 2 of mt5_csv; name one with --as"):
        recognise(tmp_path)
    assert recognise(tmp_path, source="histdata", symbol="EURUSD").source == "histdata"


def test_what_cannot_be_told_is_refused_with_what_to_do(tmp_path: Path, hours: Bars) -> None:
    with pytest.raises(NotFound, match=r"there is no file or folder .*nowhere; give the path of one"):
        recognise(tmp_path / "nowhere")
    with pytest.raises(BadInput, match=r"holds no file that ends in \.zip, \.csv, \.csv\.gz, \.txt"):
        recognise(tmp_path)
    own = put(tmp_path / "own.csv", "when;bid open;bid close\n1;2;3\n")
    with pytest.raises(BadInput, match=r"own\.csv begins like no layout that is known; for any other layout say what its columns are: --as folder"):
        recognise(own)
    with pytest.raises(BadInput, match=r"is damaged: .*download it again"):
        recognise(put(tmp_path / "some.zip", damaged_zip()))
    with pytest.raises(BadInput, match="timeframe: 'H7' is unknown"):
        recognise(own, timeframe="H7")
    with pytest.raises(BadInput, match="as: 'ecb' reads no files that lie here; use histdata, mt5_csv, folder"):
        recognise(own, source="ecb")
    few = put(tmp_path / "few" / "EURUSD.csv", mt5_bars(hours.utc_ms[:1], hours.part(slice(0, 1))))
    with pytest.raises(BadInput, match=r"timeframe: cannot be read off the times in EURUSD\.csv; name it with --timeframe"):
        recognise(few)


def test_files_of_any_layout_need_a_symbol_and_a_timeframe(tmp_path: Path) -> None:
    own = put(tmp_path / "own.parquet", b"PAR1")
    for known, field in (({}, "symbol"), ({"symbol": "EURUSD"}, "timeframe")):
        with pytest.raises(BadInput, match=f"{field}: must be named for files of any layout"):
            recognise(own, source="folder", **known)
    assert recognise(own, source="folder", symbol="eurusd", timeframe="h1") == Recognised("folder", "EURUSD", "H1", {"path": str(own)})


def test_of_a_large_file_only_the_beginning_is_read(tmp_path: Path, minutes: Bars) -> None:
    """A year of ticks must not be read twice to see what it is."""
    path = tmp_path / "EURUSD_large.csv"
    with path.open("wb") as file:
        file.write(histdata_m1(minutes.utc_ms, minutes).encode())
        file.truncate(3 << 30)
    assert recognise(path).source == "histdata"


def test_real_files_are_recognised(realdata: Path) -> None:
    found = {}
    for path in sorted(
        [*(realdata / "broker_bars").glob("*.gz"), *(realdata / "histdata").rglob("*.zip"), *(realdata / "mt5_bars_csv").glob("*.csv")]
    ):
        one = recognise(path)
        found[path.name] = (one.source, one.symbol, one.timeframe)
    assert len(found) > 30
    assert all(source == ("histdata" if "HISTDATA" in name else "mt5_csv") for name, (source, _, _) in found.items())
    assert found["eurusd_m15.csv.gz"] == ("mt5_csv", "EURUSD", "M15")
    assert found["usdjpy_d1.csv.gz"] == ("mt5_csv", "USDJPY", "D1")
    assert {timeframe for _, _, timeframe in found.values()} >= {"M1", "M15", "H1", "H4", "D1"}
    assert np.all([symbol.upper()[:3] in name.upper() for name, (_, symbol, _) in found.items()])
