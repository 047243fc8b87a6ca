"""Anybody's CSV and Parquet files, read by a mapping and by nothing that was not said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.fx import BadInput, validate_bars
from components.pipeline import Piece, PipelineStore, Request, SourceContext, collect, source_named
from components.pipeline.sources import mapped_table
from components.pipeline.sources.folder import Folder
from tests.pipeline.lookalikes import HOUR, MINUTE, Bars, as_known, bars_at, copied_bars, ms, trading_ms, utc_of, wall_clock

PRICES = ("open", "high", "low", "close")


def read(path: Path, symbol: str = "EURUSD", timeframe: str = "H1", known: dict[str, Any] | None = None, **options: Any) -> list[Piece]:
    """The pieces of a path."""
    request = Request(symbol, timeframe, options={"path": str(path), **options})
    return list(Folder().pieces(request, known or {}, SourceContext(path.parent)))


@pytest.fixture(scope="module")
def hours() -> Bars:
    """Hourly bars of two months over the American and the European change to summer time."""
    return bars_at(trading_ms("2023-02-20", "2023-04-20", 60))


def frame_of(bars: Bars, time: Any, name: str = "time") -> pd.DataFrame:
    """Bars as somebody's own table."""
    return pd.DataFrame({name: time, **bars.prices, "volume": bars.volume})


def is_same(frame: pd.DataFrame, bars: Bars) -> bool:
    """Whether a frame holds exactly these bars."""
    return bool((utc_of(frame) == bars.utc_ms).all()) and all(bool((frame[name].to_numpy() == bars.prices[name]).all()) for name in PRICES)


def stamps(bars: Bars) -> pd.DatetimeIndex:
    """Times of bars, aware."""
    return pd.DatetimeIndex(bars.utc_ms.view("M8[ms]")).tz_localize("UTC")


WRITTEN = {
    "iso": (lambda at: at.strftime("%Y-%m-%dT%H:%M:%SZ"), {}),
    "iso with an offset": (lambda at: at.tz_convert("Asia/Tokyo").strftime("%Y-%m-%d %H:%M:%S%z"), {}),
    "iso without zone": (lambda at: at.strftime("%Y-%m-%d %H:%M:%S"), {}),
    "seconds": (lambda at: at.as_unit("s").asi8, {"time_format": "s"}),
    "seconds with parts": (lambda at: [f"{value / 1000:.3f}" for value in at.as_unit("ms").asi8], {"time_format": "s"}),
    "milliseconds": (lambda at: at.as_unit("ms").asi8, {"time_format": "ms"}),
    "nanoseconds": (lambda at: at.as_unit("ns").asi8, {"time_format": "ns"}),
    "a pattern": (lambda at: at.strftime("%d/%m/%Y %H.%M"), {"time_format": "%d/%m/%Y %H.%M"}),
    "another zone": (lambda at: at.tz_convert("Europe/Berlin").strftime("%Y-%m-%d %H:%M:%S"), {"zone": "Europe/Berlin"}),
}


@pytest.mark.parametrize("way", WRITTEN)
def test_a_time_means_the_same_however_it_is_written(way: str, hours: Bars, tmp_path: Path) -> None:
    write, options = WRITTEN[way]
    frame_of(hours, write(stamps(hours))).to_csv(tmp_path / "eurusd.csv", index=False)
    (piece,) = read(tmp_path / "eurusd.csv", **options)
    assert is_same(piece.frame, hours)
    assert (piece.frame["volume"].to_numpy() == hours.volume).all()
    assert ("raw_ms" in piece.frame.columns) == ("zone" in options)


@pytest.mark.parametrize("way", ["aware", "naive", "text", "milliseconds", "index"])
def test_parquet_reads_like_csv(way: str, hours: Bars, tmp_path: Path) -> None:
    at = stamps(hours)
    time = {"aware": at, "naive": at.tz_localize(None), "text": at.strftime("%Y-%m-%d %H:%M:%S"), "milliseconds": at.as_unit("ms").asi8, "index": at}[
        way
    ]
    frame = frame_of(hours, time)
    (frame.set_index("time") if way == "index" else frame).to_parquet(tmp_path / "eurusd.parquet")
    (piece,) = read(tmp_path / "eurusd.parquet", **({"time_format": "ms"} if way == "milliseconds" else {}))
    assert is_same(piece.frame, hours)
    assert piece.facts["layout"] == "Parquet"


def test_columns_are_mapped_by_name_or_by_place(hours: Bars, tmp_path: Path) -> None:
    frame = frame_of(hours, stamps(hours).strftime("%d.%m.%Y;%H:%M"))
    lines = [f"{row.time};{row.open:.5f};{row.high:.5f};{row.low:.5f};{row.close:.5f};{row.volume}".replace(".", ",") for row in frame.itertuples()]
    text = "\n".join(line.replace(",", ".", 2) for line in lines)
    (tmp_path / "bare.txt").write_text(text)
    options = {"time_format": "%d.%m.%Y %H:%M", "decimal": ",", "delimiter": ";"}
    (by_place,) = read(
        tmp_path / "bare.txt",
        has_header=False,
        time=["1", "2"],
        columns={"open": "3", "high": "4", "low": "5", "close": "6", "volume": "7"},
        **options,
    )
    assert is_same(by_place.frame, hours)
    (tmp_path / "named.txt").write_text("Tag;Zeit;Eröffnung;Hoch;Tief;Schluss;Menge\n" + text)
    names = {"open": "Eröffnung", "high": "Hoch", "low": "Tief", "close": "Schluss", "volume": "Menge"}
    (by_name,) = read(tmp_path / "named.txt", time=["Tag", "Zeit"], columns=names, **options)
    assert by_name.frame.equals(by_place.frame)


def test_the_rows_of_one_symbol_are_taken_out_of_many(hours: Bars, tmp_path: Path) -> None:
    other = Bars(hours.utc_ms, {name: values * 1.1 for name, values in hours.prices.items()}, hours.volume, hours.spread)
    both = pd.concat([frame_of(hours, stamps(hours)).assign(pair="EUR/USD"), frame_of(other, stamps(hours)).assign(pair="GBP/USD")]).sort_values(
        "time"
    )
    both.to_csv(tmp_path / "all.csv", index=False)
    both.to_parquet(tmp_path / "all.parquet", index=False)
    for name in ("all.csv", "all.parquet"):
        (piece,) = read(tmp_path / name, symbol_column="pair", symbol_value="EUR/USD")
        assert is_same(piece.frame, hours)
    with pytest.raises(BadInput, match=r"no row of all\.csv is of 'EURUSD'; there are EUR/USD, GBP/USD"):
        read(tmp_path / "all.csv", symbol_column="pair")


def test_bid_and_ask_files_together_give_the_spread_of_every_open(hours: Bars, tmp_path: Path) -> None:
    points = hours.spread.copy()
    points[5] = -3  # bid and ask bars are built apart: the ask may open lower
    ask = Bars(hours.utc_ms, {name: np.round(values + points / 100_000, 5) for name, values in hours.prices.items()}, hours.volume, hours.spread)
    for side, bars in (("bid", hours), ("ask", ask)):
        frame_of(bars, stamps(bars)).to_csv(tmp_path / f"eurusd-{side}.csv", index=False)
    (piece,) = read(tmp_path / "eurusd-bid.csv", ask_path=str(tmp_path / "eurusd-ask.csv"))
    wanted = hours.spread.astype(float)
    wanted[5] = wanted[4]
    assert (piece.frame["spread_points"].to_numpy() == wanted).all()
    assert piece.facts["spread_carried"] == 1
    assert is_same(piece.frame, hours)
    (by_folder,) = read(tmp_path, ask_path=str(tmp_path))
    assert by_folder.frame.equals(piece.frame)
    assert read(tmp_path, known=as_known([by_folder]), ask_path=str(tmp_path)) == []
    frame_of(ask, stamps(ask)).drop(index=7).to_csv(tmp_path / "eurusd-ask.csv", index=False)
    with pytest.raises(BadInput, match="has no bar for 1 bid bars, the first of 2023-02-20T07:00"):
        read(tmp_path, known=as_known([by_folder]), ask_path=str(tmp_path))
    (less,) = read(tmp_path, ask_path=str(tmp_path), on_bad_row="reject")
    assert (len(less.frame), less.facts["rejected"]["rows"]) == (len(hours.utc_ms) - 1, 1)


def test_a_spread_in_price_becomes_points(hours: Bars, tmp_path: Path) -> None:
    frame_of(hours, stamps(hours)).assign(s=hours.spread / 100_000).to_csv(tmp_path / "eurusd.csv", index=False)
    (piece,) = read(tmp_path / "eurusd.csv", columns={"spread_price": "s"})
    assert (piece.frame["spread_points"].to_numpy() == hours.spread).all()


def test_bars_named_by_their_close_are_moved_to_their_open(hours: Bars, tmp_path: Path) -> None:
    frame_of(hours, stamps(hours) + pd.Timedelta(hours=1)).to_csv(tmp_path / "eurusd.csv", index=False)
    (piece,) = read(tmp_path / "eurusd.csv", stamp="close")
    assert is_same(piece.frame, hours)


def test_the_clock_of_a_broker_is_detected_where_that_is_asked(hours: Bars, tmp_path: Path) -> None:
    raw = wall_clock(hours.utc_ms, 120, "eu")
    (tmp_path / "eurusd.csv").write_text(copied_bars(raw, hours))
    (piece,) = read(tmp_path / "eurusd.csv", zone="detect")
    assert (utc_of(piece.frame) == hours.utc_ms).all()
    assert (piece.frame["raw_ms"].to_numpy() == raw).all()
    assert piece.facts["clock"]["rule"] == "eu"
    assert piece.facts["prices_rounded"] > 0


def test_an_hour_that_a_zone_shows_twice_is_told_apart_by_the_order_of_the_file(tmp_path: Path) -> None:
    bars = bars_at(np.arange(ms("2023-10-28T22:00"), ms("2023-10-29T04:00"), 15 * MINUTE))
    frame_of(bars, stamps(bars).tz_convert("Europe/Berlin").strftime("%Y-%m-%d %H:%M")).to_csv(tmp_path / "eurusd.csv", index=False)
    (piece,) = read(tmp_path / "eurusd.csv", timeframe="M15", zone="Europe/Berlin")
    assert is_same(piece.frame, bars)
    assert piece.facts["shown_twice"] == 8


def test_a_time_that_a_zone_never_showed_is_refused_or_left_out(tmp_path: Path) -> None:
    bars = bars_at(np.arange(ms("2023-03-26T00:00"), ms("2023-03-26T06:00"), HOUR))
    frame_of(bars, stamps(bars)).assign(time=stamps(bars).strftime("%Y-%m-%d %H:%M")).to_csv(tmp_path / "eurusd.csv", index=False)
    with pytest.raises(BadInput, match=r"row 3: 2023-03-26T02:00:00\.000 never was in Europe/Berlin"):
        read(tmp_path / "eurusd.csv", zone="Europe/Berlin")
    (piece,) = read(tmp_path / "eurusd.csv", zone="Europe/Berlin", on_bad_row="reject")
    assert (len(piece.frame), piece.facts["rejected"]["rows"]) == (5, 1)


def test_a_row_that_cannot_be_read_is_refused_with_its_line_or_left_out_and_counted(hours: Bars, tmp_path: Path) -> None:
    frame = frame_of(hours, stamps(hours).strftime("%Y-%m-%d %H:%M:%S")).astype({"close": object, "time": object})
    frame.loc[3, "close"] = "n/a"
    frame.loc[5, "time"] = "2023-02-30 05:00:00"
    frame.to_csv(tmp_path / "eurusd.csv", index=False)
    with (tmp_path / "eurusd.csv").open("a") as file:
        file.write("2023-04-19 23:00:00,1.1\n")
    with pytest.raises(BadInput, match=r"eurusd\.csv line 5: close 'n/a' is not a number"):
        read(tmp_path / "eurusd.csv")
    (piece,) = read(tmp_path / "eurusd.csv", on_bad_row="reject")
    assert piece.facts["rejected"]["rows"] == 3
    assert [example.split(":")[0] for example in piece.facts["rejected"]["examples"]] == ["line 5", "line 7", f"line {len(frame) + 2}"]
    good = np.setdiff1d(np.arange(len(frame)), [3, 5])
    assert is_same(piece.frame, hours.part(good))


def test_a_null_in_parquet_is_refused_or_left_out(hours: Bars, tmp_path: Path) -> None:
    frame = frame_of(hours, stamps(hours))
    frame.loc[3, "close"] = np.nan
    frame.loc[6, "time"] = pd.NaT
    frame.to_parquet(tmp_path / "eurusd.parquet")
    with pytest.raises(BadInput, match="row 4: close nan is not a number"):
        read(tmp_path / "eurusd.parquet")
    (piece,) = read(tmp_path / "eurusd.parquet", on_bad_row="reject")
    assert is_same(piece.frame, hours.part(np.setdiff1d(np.arange(len(frame)), [3, 6])))
    assert piece.facts["rejected"]["rows"] == 2


def test_ticks_are_told_by_their_columns(home: Path, tmp_path: Path) -> None:
    times = trading_ms("2023-01-03", "2023-01-05", 1)
    bid = bars_at(times).prices["close"]
    pd.DataFrame({"time": times, "bid": bid, "ask": np.round(bid + 0.00008, 5)}).to_csv(tmp_path / "ticks.csv", index=False)
    (piece,) = read(tmp_path / "ticks.csv", timeframe="tick", time_format="ms")
    assert list(piece.frame.columns) == ["bid", "ask"]
    assert (utc_of(piece.frame) == times).all()
    bar_set = collect(home, "folder", "EURUSD", "M15", options={"path": str(tmp_path), "time_format": "ms"})
    assert PipelineStore.open(home).load_bars(bar_set.id)["spread_points"].eq(8).all()


@pytest.mark.parametrize(
    ("options", "field", "said"),
    [
        ({"zone": "Mars/Olympus"}, "zone", "is neither UTC"),
        ({"columns": {"price": "open"}}, "columns", "'price' is not one of open, high"),
        ({"columns": {"open": "Open"}}, "columns", "has no column 'Open' for open; it has time, open"),
        ({"columns": {"high": "open"}}, "columns", "column 'open' of eurusd.csv is mapped to"),
        ({"time": "when"}, "columns", "has no column 'when' for time"),
        ({"time_format": "%d.%m.%Y"}, "path", "line 2: time '2023-02-20"),
        ({"glob": "*.xml"}, "path", "has no file like '*.xml'"),
        ({"on_bad_row": "guess"}, "on_bad_row", "should be 'refuse' or 'reject'"),
        ({"symbol_column": "pair"}, "columns", "has no column 'pair' for symbol"),
        ({"mapping": {}}, "mapping", "is unknown; known are path, glob"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused_by_field(options: dict[str, Any], field: str, said: str, hours: Bars, tmp_path: Path) -> None:
    frame_of(hours, stamps(hours).strftime("%Y-%m-%d %H:%M:%S")).to_csv(tmp_path / "eurusd.csv", index=False)
    with pytest.raises(BadInput) as error:
        read(tmp_path, **options)
    assert (error.value.field, said in str(error.value)) == (field, True), str(error.value)


def test_what_is_asked_for_must_be_what_the_file_holds(hours: Bars, tmp_path: Path) -> None:
    frame_of(hours, stamps(hours)).to_csv(tmp_path / "eurusd.csv", index=False)
    with pytest.raises(BadInput, match="holds H1 bars, not M5"):
        read(tmp_path, timeframe="M5")
    with pytest.raises(BadInput, match="holds H1 bars, not ticks"):
        read(tmp_path, timeframe="tick")
    with pytest.raises(BadInput, match="not those of USDJPY"):
        read(tmp_path, "USDJPY")
    with pytest.raises(BadInput, match="say their own offset from UTC; leave zone away"):
        read(tmp_path, zone="Europe/Berlin")
    frame_of(hours, stamps(hours))[["time", "volume"]].to_csv(tmp_path / "eurusd.csv", index=False)
    with pytest.raises(BadInput, match="gives volume; map open, high, low and close, or bid and ask"):
        read(tmp_path)


def test_a_parquet_file_that_is_none_or_unpacks_to_too_much_is_refused(hours: Bars, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "eurusd.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(BadInput, match="is no Parquet file that can be read"):
        read(tmp_path)
    pq.write_table(pa.table({"time": np.zeros(100_000), "open": np.zeros(100_000)}), tmp_path / "eurusd.parquet", use_dictionary=False)
    monkeypatch.setattr(mapped_table, "LARGEST_BYTES", 1_000)
    with pytest.raises(BadInput, match="more than 1,000"):
        read(tmp_path)


def test_the_real_bid_and_ask_minutes_give_a_real_spread(realdata: Path) -> None:
    (piece,) = read(realdata / "bars_utc", "GBPUSD", "M1", ask_path=str(realdata / "bars_utc"))
    assert len(piece.frame) == 30_117
    assert utc_of(piece.frame)[[0, -1]].tolist() == [ms("2012-02-01"), ms("2012-03-01")]
    assert piece.frame["spread_points"].iloc[:3].to_list() == [11, 9, 9]
    assert piece.facts["spread_carried"] == 347
    assert 7.5 < piece.frame["spread_points"].mean() < 8.0
    validate_bars(piece.frame)


def test_the_real_ticks_of_truefx_are_read_to_the_millisecond(realdata: Path) -> None:
    (piece,) = read(realdata / "ticks", "USDJPY", "tick")
    assert len(piece.frame) == 1_000
    assert utc_of(piece.frame)[0] == ms("2013-01-01T22:00:00.295")
    assert piece.frame.iloc[-1].to_list() == [86.836, 86.854]


def test_the_source_says_what_it_reads() -> None:
    assert "Parquet" in source_named("folder").note
