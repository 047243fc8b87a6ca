"""Bars by activity from what is kept: ticks where there are some, else bars."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.fx import BadInput, NotFound, Timeframe, validate_bars
from components.pipeline import BarSet, Piece, PipelineStore, Request, intrinsic_bars, keep_bars, volume_bars, write_table
from components.pipeline.collect import collect_series
from tests.pipeline.lookalikes import ms, utc_of


@pytest.fixture
def of_ticks(home: Path, tmp_path: Path) -> BarSet:
    """M5 bars of two files of 3,000 ticks, a tick every three seconds."""
    times = ms("2023-03-01T01:00") + 3_000 * np.arange(3_000, dtype=np.int64)
    bid = 1.1 + np.cumsum(np.random.default_rng(1).integers(-3, 4, 3_000)) / 100_000
    (tmp_path / "ticks").mkdir()
    for number, part in enumerate((slice(0, 2_000), slice(2_000, None)), start=1):
        table = pd.DataFrame({"time": times[part], "bid": bid[part], "ask": bid[part] + 0.0001})
        table.to_csv(tmp_path / "ticks" / f"{number}.csv", index=False)
    options = {"path": str(tmp_path / "ticks"), "time_format": "ms"}
    made = collect_series(home, "folder", Request("EURUSD", "M5", options=options)).bar_set
    assert made is not None
    return made


def test_bars_of_equally_many_ticks_are_made_of_the_ticks_of_all_pieces(home: Path, of_ticks: BarSet) -> None:
    made = intrinsic_bars(home, of_ticks.id, "tick", 100)
    assert len(made) == 30
    assert (made["volume"] == 100).all()
    store = PipelineStore.open(home)
    assert sum(piece.known.rows for piece in store.pieces("folder", "EURUSD", "M5")) == 3_000
    assert made["close_time"].iloc[-1] == pd.Timestamp(ms("2023-03-01T01:00") + 3_000 * 2_999, unit="ms", tz="UTC")


def test_volume_and_turns_of_a_set_of_ticks_look_at_its_ticks(home: Path, of_ticks: BarSet) -> None:
    assert (intrinsic_bars(home, of_ticks.id, "volume", 50)["volume"] == 50).all()
    turns = intrinsic_bars(home, of_ticks.id, "directional_change", 0.0002)
    # Ticks come every three seconds of the full minute: a turn that is not at the close of an M5 bar was seen on ticks.
    assert len(turns) > 5
    assert (utc_of(turns.set_index("close_time")) % 300_000 != 0).any()


def test_a_tick_piece_that_came_later_is_no_part_of_an_earlier_set(home: Path, of_ticks: BarSet) -> None:
    store = PipelineStore.open(home)
    index = pd.DatetimeIndex([ms("2023-03-02")], dtype="datetime64[ms]").tz_localize("UTC").rename("time")
    store.keep_piece("folder", "EURUSD", "M5", Piece("later", "a file", pd.DataFrame({"bid": [1.1], "ask": [1.2]}, index=index), "ab" * 32, 1, 1))
    assert intrinsic_bars(home, of_ticks.id, "tick", 100)["volume"].sum() == 3_000


def test_of_bars_volume_and_turns_are_made_and_ticks_are_refused(home: Path, bar_set: BarSet, raw: pd.DataFrame) -> None:
    bars = validate_bars(raw)
    pd.testing.assert_frame_equal(intrinsic_bars(home, bar_set.id, "volume", 20_000), volume_bars(bars, 20_000, timeframe=Timeframe.H1))
    turns = intrinsic_bars(home, bar_set.id, "directional_change", 0.005)
    closes = utc_of(bars) + Timeframe.H1.ms
    assert np.isin(utc_of(turns.set_index("close_time")), closes).all(), "a turn of bars is seen at a close"
    with pytest.raises(BadInput, match="was made of bars; tick bars need ticks: import tick files"):
        intrinsic_bars(home, bar_set.id, "tick", 100)


def test_what_cannot_be_made_is_refused_by_field(home: Path, bar_set: BarSet, raw: pd.DataFrame, of_ticks: BarSet) -> None:
    with pytest.raises(BadInput, match="kind: 'renko' is unknown; use one of tick, volume, directional_change"):
        intrinsic_bars(home, bar_set.id, "renko", 10)
    with pytest.raises(BadInput, match=r"size: 2\.5 is not a whole number of ticks"):
        intrinsic_bars(home, of_ticks.id, "tick", 2.5)
    for size in (0.0, -1.0, float("nan"), float("inf")):
        for kind, one in (("volume", bar_set), ("directional_change", bar_set), ("tick", of_ticks)):
            with pytest.raises(BadInput):
                intrinsic_bars(home, one.id, kind, size)
    empty = keep_bars(home, "folder", "EURUSD", Timeframe.H1, validate_bars(raw.assign(Volume=0.0, volume=0.0)), 100.0, {})
    with pytest.raises(BadInput, match="has no volume"):
        intrinsic_bars(home, empty.id, "volume", 100)
    with pytest.raises(NotFound, match="'nothing'"):
        intrinsic_bars(home, "nothing", "volume", 1)


def test_a_table_is_written_whole_by_the_end_of_its_name(home: Path, bar_set: BarSet, tmp_path: Path) -> None:
    made = intrinsic_bars(home, bar_set.id, "volume", 50_000)
    write_table(made, tmp_path / "deep" / "bars.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "deep" / "bars.parquet"), made)
    write_table(made, tmp_path / "bars.csv")
    read = pd.read_csv(tmp_path / "bars.csv", parse_dates=["open_time", "close_time"])
    assert (read["close"].to_numpy() == made["close"].to_numpy()).all()
    with pytest.raises(BadInput, match=r"out: 'bars\.xlsx' ends in neither \.parquet nor \.csv"):
        write_table(made, tmp_path / "bars.xlsx")
    assert sorted(path.name for path in tmp_path.rglob("*.*") if path.suffix not in (".db", ".arrow")) == ["bars.csv", "bars.parquet"]


def test_ticks_that_two_pieces_hold_are_counted_once_as_in_the_bars(home: Path, tmp_path: Path) -> None:
    times = ms("2023-03-01T01:00") + 3_000 * (np.arange(3_000, dtype=np.int64) // 2)  # two ticks at each instant
    bid = 1.1 + np.cumsum(np.random.default_rng(2).integers(1, 4, 3_000)) / 100_000
    for name, part in (("a", slice(0, 2_000)), ("b", slice(1_000, None))):
        table = pd.DataFrame({"time": times[part], "bid": bid[part], "ask": bid[part] + 0.0001})
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    options = {"path": str(tmp_path), "time_format": "ms", "glob": "*.csv"}
    made = collect_series(home, "folder", Request("EURUSD", "M5", options=options)).bar_set
    assert made is not None
    bars = PipelineStore.open(home).load_bars(made.id)
    counted = intrinsic_bars(home, made.id, "tick", 10)["volume"].sum()
    assert 2_990 <= counted <= 3_002  # the two ticks of the instant at which the files meet may come in two orders
    assert bars["volume"].sum() <= counted
