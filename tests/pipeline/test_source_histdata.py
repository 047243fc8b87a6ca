"""HistData files: every layout, the clock found file by file, and everything that must not be believed."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.fx import BadInput, NotFound, Timeframe, resample_bars, validate_bars
from components.pipeline import Piece, PipelineStore, Request, SourceContext, collect, source_named
from components.pipeline.broker_clock import confirm_clock
from components.pipeline.sources import text_file
from components.pipeline.sources.histdata import HistData
from tests.pipeline.lookalikes import (
    HOUR,
    MINUTE,
    Bars,
    as_known,
    bars_at,
    damaged_zip,
    histdata_m1,
    histdata_mt,
    histdata_ticks,
    is_trading,
    ms,
    trading_ms,
    utc_of,
    wall_clock,
    week_edges,
    zipped,
)

WINTER = -300


def read(path: Path, symbol: str = "EURUSD", timeframe: str = "M1", known: dict[str, Any] | None = None, **more: Any) -> list[Piece]:
    """The pieces of a path."""
    bounds = {name: more.pop(name) for name in ("start_ms", "end_ms") if name in more}
    request = Request(symbol, timeframe, **bounds, options={"path": str(path), **more})
    return list(HistData().pieces(request, known or {}, SourceContext(path.parent)))


def kept(folder: Path, name: str, text: str) -> Path:
    """A file of this text."""
    (folder / name).write_text(text)
    return folder / name


@pytest.fixture(scope="module")
def year() -> Bars:
    """Thinned minutes of 2019."""
    return bars_at(week_edges("2019-01-01T22:00", "2019-12-31T22:00"))


def is_same(frame: pd.DataFrame, bars: Bars) -> bool:
    """Whether a frame holds exactly these bars."""
    return bool((utc_of(frame) == bars.utc_ms).all()) and all(bool((frame[name].to_numpy() == values).all()) for name, values in bars.prices.items())


@pytest.mark.parametrize("rule", ["us", "eu", "none"])
def test_the_clock_of_a_file_is_found_in_its_own_weeks_and_every_bar_gets_its_true_time(rule: str, year: Bars, tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "HISTDATA_COM_ASCII_EURUSD_M12019.zip",
        {
            "DAT_ASCII_EURUSD_M1_2019.csv": histdata_m1(wall_clock(year.utc_ms, WINTER, rule), year),
            "DAT_ASCII_EURUSD_M1_2019.txt": "a report of gaps",
        },
    )
    (piece,) = read(path)
    assert is_same(piece.frame, year)
    clock = piece.facts["clock"]
    assert (clock["rule"], clock["offset_winter_minutes"], clock["decided_by"]) == (rule, WINTER, "the weeks of this file")
    assert clock["confidence"] > 0.9
    assert piece.key == path.name
    assert piece.frame["volume"].eq(0).all()
    assert (piece.frame["raw_ms"].to_numpy() == wall_clock(year.utc_ms, WINTER, rule)).all()


def test_a_named_clock_is_taken_as_it_is(year: Bars, tmp_path: Path) -> None:
    path = kept(tmp_path, "DAT_ASCII_EURUSD_M1_2019.csv", histdata_m1(wall_clock(year.utc_ms, WINTER, "us"), year))
    (piece,) = read(path, clock="none")
    summer = (utc_of(piece.frame) - year.utc_ms)[len(year.utc_ms) // 2]
    assert (summer, piece.facts["clock"]["decided_by"]) == (HOUR, "the request")


def test_the_hour_that_a_file_repeats_after_stepping_back_is_kept_once_and_counted(tmp_path: Path) -> None:
    # As in the real file of 2019: 19:00 to 19:59 stand there twice on the Sunday on which Europe's summer time ended.
    bars = bars_at(
        np.unique(np.concatenate((week_edges("2019-07-01", "2019-12-31"), np.arange(ms("2019-10-27T21:00"), ms("2019-10-28T06:00"), MINUTE))))
    )
    raw = wall_clock(bars.utc_ms, WINTER, "eu")
    end = int(np.searchsorted(raw, ms("2019-10-27T20:00")))
    order = np.concatenate((np.arange(end), np.arange(end - 60, len(raw))))
    path = kept(tmp_path, "DAT_ASCII_EURUSD_M1_2019.csv", histdata_m1(raw[order], bars.part(order)))
    assert (np.diff(raw[order]) < 0).sum() == 1
    (piece,) = read(path)
    assert piece.facts["repeated"] == 60
    assert is_same(piece.frame, bars)
    in_place = np.sort(np.concatenate((order[:end], [7]))).tolist() + order[end:].tolist()
    (piece,) = read(kept(tmp_path, path.name, histdata_m1(raw[in_place], bars.part(np.array(in_place)))))
    assert piece.facts["repeated"] == 60
    assert len(piece.frame) == len(bars.utc_ms) + 1, "a row written twice in place is for the quality to count"


def test_an_hour_that_is_shown_twice_with_other_prices_is_told_apart_by_the_order_of_the_file(tmp_path: Path) -> None:
    # A market that never closes: the American clock goes back on Sunday, 2019-11-03 at 06:00 UTC, and shows 01:00 to 01:59 twice.
    bars = bars_at(np.arange(ms("2019-11-03T03:00"), ms("2019-11-03T09:00"), MINUTE))
    raw = wall_clock(bars.utc_ms, WINTER, "us")
    assert (np.diff(raw) < 0).sum() == 1
    (piece,) = read(kept(tmp_path, "DAT_ASCII_EURUSD_M1_201911.csv", histdata_m1(raw, bars)), clock="us")
    assert "repeated" not in piece.facts
    assert is_same(piece.frame, bars)


def test_a_row_that_is_there_twice_in_place_stays_for_the_quality_to_count(tmp_path: Path) -> None:
    bars = bars_at(trading_ms("2018-02-05", "2018-02-20", 60))
    order = np.sort(np.concatenate((np.arange(len(bars.utc_ms)), [7])))
    (piece,) = read(kept(tmp_path, "DAT_ASCII_EURUSD_M1_201802.csv", histdata_m1(wall_clock(bars.utc_ms, WINTER, "us")[order], bars.part(order))))
    assert len(piece.frame) == len(bars.utc_ms) + 1


def test_the_mt_layout_gives_the_same_bars_as_the_ascii_one(year: Bars, tmp_path: Path) -> None:
    bars = year.part(year.utc_ms < ms("2019-02-01"))
    raw = wall_clock(bars.utc_ms, WINTER, "us")
    (ascii_piece,) = read(kept(tmp_path, "DAT_ASCII_EURUSD_M1_201901.csv", histdata_m1(raw, bars)))
    (mt_piece,) = read(kept(tmp_path, "DAT_MT_EURUSD_M1_201901.csv", histdata_mt(raw, bars)))
    assert mt_piece.facts["layout"] == "MT M1"
    pd.testing.assert_frame_equal(ascii_piece.frame, mt_piece.frame)
    assert is_same(mt_piece.frame, bars)


def test_ticks_keep_their_milliseconds_and_crossed_quotes_are_left_out_and_counted(tmp_path: Path) -> None:
    times = trading_ms("2020-01-01T22:00", "2020-01-20", 5) + np.arange(len(trading_ms("2020-01-01T22:00", "2020-01-20", 5))) % 1000
    bid = bars_at(times).prices["close"]
    ask = np.round(bid + 0.00012, 5)
    ask[3] = bid[3] - 0.00001
    (piece,) = read(kept(tmp_path, "DAT_ASCII_EURUSD_T_202001.csv", histdata_ticks(wall_clock(times, WINTER, "us"), bid, ask)))
    others = np.arange(len(times)) != 3
    assert list(piece.frame.columns) == ["bid", "ask", "raw_ms"]
    assert (utc_of(piece.frame) == times[others]).all()
    assert (piece.frame["ask"].to_numpy() == ask[others]).all()
    assert (piece.facts["crossed"], piece.facts["layout"]) == (1, "ASCII ticks")


def test_a_file_without_a_telling_week_takes_the_clock_of_its_year_from_the_files_beside_it(tmp_path: Path) -> None:
    # Four days in March 2019: America had summer time, Europe had not, and no weekend lies between.
    week = bars_at(trading_ms("2019-03-11T04:00", "2019-03-15T12:00", 15))
    first = kept(tmp_path, "DAT_ASCII_EURUSD_M1_201903.csv", histdata_m1(wall_clock(week.utc_ms, WINTER, "eu"), week))
    (alone,) = read(first)
    assert alone.facts["clock"]["confidence"] == 0
    assert "assumption" in alone.facts["clock"]["decided_by"]
    autumn = bars_at(week_edges("2019-10-01T04:00", "2019-12-01"), seed=2)
    for month in (10, 11):
        inside = (autumn.utc_ms >= ms(f"2019-{month}-01T05:00")) & (autumn.utc_ms < ms(f"2019-{month + 1}-01T04:00"))
        part = autumn.part(inside)
        kept(tmp_path, f"DAT_ASCII_EURUSD_M1_2019{month}.csv", histdata_m1(wall_clock(part.utc_ms, WINTER, "eu"), part))
    piece = next(piece for piece in read(tmp_path) if piece.key == first.name)
    assert piece.facts["clock"]["rule"] == "eu"
    assert "DAT_ASCII_EURUSD_M1_201910.csv" in piece.facts["clock"]["decided_by"]
    assert is_same(piece.frame, week)


def test_a_winter_day_without_a_weekend_is_certain_by_the_offset_that_every_file_has(tmp_path: Path) -> None:
    bars = bars_at(trading_ms("2020-01-02T00:00", "2020-01-02T06:00", 1))
    (piece,) = read(kept(tmp_path, "DAT_ASCII_EURUSD_M1_202001.csv", histdata_m1(bars.utc_ms + WINTER * MINUTE, bars)))
    assert is_same(piece.frame, bars)
    assert piece.facts["clock"]["confidence"] == 0.5
    assert piece.facts["clock"]["decided_by"].startswith("assumption")


def test_a_folder_gives_the_files_of_the_symbol_in_order_of_time_and_none_twice(year: Bars, tmp_path: Path) -> None:
    text = histdata_m1(wall_clock(year.utc_ms, WINTER, "eu"), year)
    later = bars_at(trading_ms("2020-02-03", "2020-02-20", 15))
    (tmp_path / "deep").mkdir()
    kept(tmp_path, "DAT_ASCII_EURUSD_M1_202002.csv", histdata_m1(wall_clock(later.utc_ms, WINTER, "us"), later))
    kept(tmp_path, "DAT_ASCII_EURUSD_M1_2019.csv", text)
    kept(tmp_path, "DAT_ASCII_EURUSD_M1_201905.csv", "not read")
    kept(tmp_path, "DAT_ASCII_USDJPY_M1_201905.csv", "not read")
    kept(tmp_path, "DAT_ASCII_EURUSD_T_201905.csv", "not read")
    kept(tmp_path, "notes.csv", "not read")
    zipped(tmp_path / "deep" / "HISTDATA_COM_ASCII_EURUSD_M12019.zip", {"DAT_ASCII_EURUSD_M1_2019.csv": text})
    pieces = read(tmp_path)
    assert [piece.key for piece in pieces] == ["deep/HISTDATA_COM_ASCII_EURUSD_M12019.zip", "DAT_ASCII_EURUSD_M1_202002.csv"]
    assert pieces[0].facts["left_out_files"] == ["DAT_ASCII_EURUSD_M1_2019.csv", "DAT_ASCII_EURUSD_M1_201905.csv"]


def test_an_unchanged_file_is_not_read_again_and_a_changed_one_is(year: Bars, tmp_path: Path) -> None:
    bars = year.part(year.utc_ms < ms("2019-02-01"))
    raw = wall_clock(bars.utc_ms, WINTER, "us")
    path = kept(tmp_path, "DAT_ASCII_EURUSD_M1_201901.csv", histdata_m1(raw, bars))
    pieces = read(path)
    assert read(path, known=as_known(pieces)) == []
    assert len(read(path, known=as_known(pieces), clock="us")) == 1, "asked for otherwise"
    kept(tmp_path, path.name, histdata_m1(raw[:-5], bars.part(slice(-5))))
    (again,) = read(path, known=as_known(pieces))
    assert (again.key, len(again.frame)) == (path.name, len(bars.utc_ms) - 5)


def test_the_piece_of_a_file_is_whole_whatever_the_bounds_of_the_request(year: Bars, tmp_path: Path) -> None:
    path = kept(tmp_path, "DAT_ASCII_EURUSD_M1_2019.csv", histdata_m1(wall_clock(year.utc_ms, WINTER, "us"), year))
    (piece,) = read(path, start_ms=int(year.utc_ms[100]), end_ms=int(year.utc_ms[200]))
    assert is_same(piece.frame, year)
    assert read(path, known=as_known([piece])) == [], "other bounds need no other piece"


GOOD = "20190102 000000;1.200000;1.200000;1.200000;1.200000;0\n" * 9


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<DATE>\t<OPEN>\n2019.01.02\t1.2\n", "line 1: '<DATE>"),
        ("20190102 000000;1.2;0\n", "no layout of HistData"),
        ("", "is empty"),
        (GOOD + "20190102 000900;1.2;1.2;1.2;x;0\n", "line 10: close 'x' is not a number"),
        (GOOD + "20190102 000900;1.2;1.2;1.2;;0\n", "line 10: close '' is not a number"),
        (GOOD + "20190102 000900;1.2;1.2;1.2;nan;0\n", "line 10: close 'nan' is not a number"),
        (GOOD + "20190132 000900;1.2;1.2;1.2;1.2;0\n", "line 10: time '20190132 000900' is no time"),
        (GOOD + "20190102 002460;1.2;1.2;1.2;1.2;0\n", "line 10: time '20190102 002460'"),
        (GOOD + "20190102 00090;1.2;1.2;1.2;1.2;0\n", "line 10: time '20190102 00090'"),
        (GOOD + "20190102 000900;1.2;1.2", "line 10: 3 cells instead of 6"),
        (GOOD.replace("20190102", "20180102"), "named for 2019-01 and holds 2018-01-02"),
        (GOOD.replace("1.2", "112.2"), "prices of about 112.2, which are not those of EURUSD"),
        ("20190102 000000065,1.2,1.3,0\n", "is named M1 and holds ASCII ticks"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    path = kept(tmp_path, "DAT_ASCII_EURUSD_M1_201901.csv", text)
    with pytest.raises(BadInput) as error:
        read(path)
    assert said in str(error.value)
    assert path.name in str(error.value)


def test_what_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    path = kept(tmp_path, "DAT_ASCII_EURUSD_M1_201901.csv", GOOD)
    with pytest.raises(BadInput, match="no HistData file of GBPUSD; it holds EURUSD"):
        read(tmp_path, "GBPUSD")
    with pytest.raises(BadInput, match="hold M1 bars, not H1 bars; collect M1 and resample"):
        read(path, timeframe="H1")
    with pytest.raises(BadInput, match="hold M1 bars, not ticks"):
        read(path, timeframe="tick")
    with pytest.raises(NotFound, match="no file or folder"):
        read(tmp_path / "elsewhere")
    with pytest.raises(BadInput) as error:
        read(path, clock="EST")
    assert error.value.field == "clock"


def test_a_file_with_a_name_of_its_own_is_believed_by_what_it_holds(tmp_path: Path) -> None:
    bars = bars_at(trading_ms("2018-01-08", "2018-02-01", 15))
    (piece,) = read(kept(tmp_path, "mine.csv", histdata_m1(wall_clock(bars.utc_ms, WINTER, "us"), bars)))
    assert is_same(piece.frame, bars)
    assert "the request" in piece.facts["symbol_by"]


def test_a_zip_with_several_months_gives_a_piece_for_each(tmp_path: Path) -> None:
    months = {month: bars_at(trading_ms(f"2018-{month:02d}-05", f"2018-{month:02d}-25", 15)) for month in (1, 2)}
    path = zipped(
        tmp_path / "eurusd.zip",
        {f"DAT_ASCII_EURUSD_M1_2018{month:02d}.csv": histdata_m1(wall_clock(bars.utc_ms, WINTER, "us"), bars) for month, bars in months.items()},
    )
    pieces = read(path)
    assert [piece.key for piece in pieces] == ["eurusd.zip/DAT_ASCII_EURUSD_M1_201801.csv", "eurusd.zip/DAT_ASCII_EURUSD_M1_201802.csv"]
    assert is_same(pieces[1].frame, months[2])
    assert read(path, known=as_known(pieces)) == []


def test_a_zip_that_would_fill_the_memory_or_point_elsewhere_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "DAT_ASCII_EURUSD_M1_2019.csv"
    path = tmp_path / "HISTDATA_COM_ASCII_EURUSD_M12019.zip"
    monkeypatch.setattr(text_file, "LARGEST_BYTES", 100_000)
    zipped(path, {name: "0" * 200_000})
    with pytest.raises(BadInput, match="unpacks to 200,000 bytes, more than 100,000"):
        read(path)
    # The header lies: it says that little is inside.
    honest = path.read_bytes()
    path.write_bytes(honest.replace((200_000).to_bytes(4, "little"), (2_000).to_bytes(4, "little")))
    with pytest.raises(BadInput, match=r"damaged|no layout"):
        read(path)
    for evil in ("../DAT_ASCII_EURUSD_M1_2019.csv", "/etc/DAT_ASCII_EURUSD_M1_2019.csv", "C:\\DAT_ASCII_EURUSD_M1_2019.csv"):
        zipped(path, {evil: GOOD})
        with pytest.raises(BadInput, match="points outside"):
            read(path)
    zipped(path, {"readme.txt": "nothing"})
    with pytest.raises(BadInput, match=r"holds no \.csv; it holds readme\.txt"):
        read(path)
    path.write_bytes(damaged_zip())
    with pytest.raises(BadInput, match="is damaged"):
        read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, GOOD)
    content = path.read_bytes()
    marked = content.replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00")
    assert marked != content
    path.write_bytes(marked)
    with pytest.raises(BadInput, match="is encrypted"):
        read(path)
    assert sorted(tmp_path.iterdir()) == [path], "nothing was unpacked onto the disk"


def test_a_collected_file_says_where_its_bars_and_their_clock_come_from(home: Path, tmp_path: Path) -> None:
    bars = bars_at(week_edges("2019-09-02", "2019-12-20"))
    path = kept(tmp_path, "DAT_ASCII_EURUSD_M1_2019.csv", histdata_m1(wall_clock(bars.utc_ms, WINTER, "eu"), bars))
    bar_set = collect(home, "histdata", "EURUSD", "M1", options={"path": str(path)})
    assert bar_set.rows == len(bars.utc_ms)
    (made_of,) = bar_set.made_by["pieces"]
    assert (made_of["key"], made_of["facts"]["clock"]["rule"]) == (path.name, "eu")
    assert is_same(PipelineStore.open(home).load_bars(bar_set.id), bars)
    assert collect(home, "histdata", "EURUSD", "M1", options={"path": str(path)}) == bar_set


def test_the_source_is_offered_and_says_what_it_is() -> None:
    source = source_named("histdata")
    assert "volume of their M1 bars is always 0" in " ".join(source.note.split())
    assert not source.is_network


REAL = [
    ("HISTDATA_COM_ASCII_EURUSD_M12018.zip", "EURUSD", 372_607, 0, "us", "2018-01-01T22:00", "2018-12-31T21:59"),
    ("HISTDATA_COM_ASCII_EURUSD_M12019.zip", "EURUSD", 372_530, 60, "eu", "2019-01-01T22:02", "2019-12-31T21:59"),
    ("HISTDATA_COM_ASCII_GBPUSD_M12018.zip", "GBPUSD", 372_261, 0, "us", "2018-01-01T22:00", "2018-12-31T21:58"),
    ("HISTDATA_COM_ASCII_USDJPY_M12018.zip", "USDJPY", 371_800, 0, "us", "2018-01-01T22:00", "2018-12-31T21:58"),
    ("HISTDATA_COM_ASCII_XAUUSD_M12018.zip", "XAUUSD", 353_778, 0, "us", "2018-01-01T23:01", "2018-12-31T21:58"),
    ("DAT_ASCII_EURUSD_M1_201703.csv", "EURUSD", 32_660, 0, "us", "2017-03-01T05:00", "2017-03-31T20:58"),
    ("DAT_ASCII_EURUSD_M1_202103.csv", "EURUSD", 32_868, 0, "eu", "2021-03-01T05:00", "2021-04-01T03:58"),
    ("DAT_ASCII_EURUSD_M1_202503.csv", "EURUSD", 30_526, 0, "eu", "2025-03-02T22:00", "2025-04-01T03:58"),
    ("DAT_MT_EURCHF_M1_202501.csv", "EURCHF", 31_572, 0, "us", "2025-01-01T22:05", "2025-01-31T21:58"),
]


@pytest.mark.parametrize(("name", "symbol", "rows", "repeated", "rule", "first", "last"), REAL, ids=[real[0] for real in REAL])
def test_a_real_file_is_read_whole_with_the_clock_that_it_really_has(
    name: str, symbol: str, rows: int, repeated: int, rule: str, first: str, last: str, realdata: Path
) -> None:
    (piece,) = read(realdata / "histdata" / name, symbol)
    assert (piece.facts["rows_read"], piece.facts.get("repeated", 0)) == (rows, repeated)
    assert (piece.facts["clock"]["rule"], piece.facts["clock"]["is_settled"]) == (rule, True)
    times = utc_of(piece.frame)
    assert (len(times), times[0], times[-1]) == (rows - repeated, ms(first), ms(last))
    assert (np.diff(times) > 0).all()
    validate_bars(piece.frame)
    # No bar in the hours in which the market is closed.
    assert is_trading(times, "17:01").all()


def test_the_real_ticks_are_read_to_the_millisecond(realdata: Path) -> None:
    (piece,) = read(realdata / "histdata", timeframe="tick")
    assert len(piece.frame) == 9_500
    assert utc_of(piece.frame)[0] == ms("2020-01-01T22:00:00.065")
    assert piece.frame[["bid", "ask"]].iloc[0].to_list() == [1.1212, 1.12172]


def test_the_real_times_agree_with_another_brokers_bars_of_the_same_hours(realdata: Path) -> None:
    (piece,) = read(realdata / "histdata" / "DAT_ASCII_EURUSD_M1_202103.csv")
    hourly = resample_bars(validate_bars(piece.frame), Timeframe.H1)
    options = {"path": str(realdata / "broker_bars" / "eurusd_h1.csv.gz")}
    (broker,) = source_named("mt5_csv").pieces(Request("EURUSD", "H1", options=options), {}, SourceContext(realdata))
    check = confirm_clock(hourly, broker.frame)
    assert check.is_confirmed
    assert check.mean_abs_diff_best < 0.00004
