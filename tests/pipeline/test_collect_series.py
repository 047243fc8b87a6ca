"""From pieces to a bar set: bounds, overlaps, extra columns, interruption and resumption, rejects, identity, and catalogues of an earlier version."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.base import ROOT
from components.fx import Timeframe, Unavailable, validate_bars
from components.jobs import JobCancelled, Progress
from components.pipeline import Collected, DatasetRecipe, Piece, PipelineStore, Request, build_dataset, fetch_bars, load_dataset
from components.pipeline.assemble import raw_blocks
from components.pipeline.collect import collect_series
from components.pipeline.dataset_rows import split_rows
from components.pipeline.frames import write_frame
from tests.pipeline.lookalikes import DAY, HOUR, Bars, bars_at, ms, trading_ms, utc_of

H1 = "EURUSD", "H1"


def written(path: Path, bars: Bars, *, spread: bool = False) -> Path:
    """Bars as a plain CSV file with ISO times."""
    frame = pd.DataFrame({"time": stamps(bars).strftime("%Y-%m-%dT%H:%M:%SZ"), **bars.prices, "volume": bars.volume})
    if spread:
        frame["spread"] = bars.spread
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False)
    return path


def stamps(bars: Bars) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(bars.utc_ms.view("M8[ms]")).tz_localize("UTC")


def collected(home: Path, path: Path, timeframe: str = "H1", progress: Progress | None = None, *, bounds: tuple[int, int] | None = None) -> Collected:
    """What a collection of a folder gives."""
    start_ms, end_ms = bounds or (None, None)
    return collect_series(home, "folder", Request("EURUSD", timeframe, start_ms, end_ms, {"path": str(path)}), progress)


def bars_of(home: Path, done: Collected) -> pd.DataFrame:
    assert done.bar_set is not None
    return PipelineStore.open(home).load_bars(done.bar_set.id)


def of_bars(bars: Bars, shift: float = 0.0, spread: bool = False, raw_ahead: int | None = None) -> pd.DataFrame:
    """Bars as a source delivers them, all prices moved by `shift`."""
    frame = pd.DataFrame({name: values + shift for name, values in bars.prices.items()}, index=stamps(bars).rename("open_time"))
    frame["volume"] = bars.volume.astype(np.float64)
    if spread:
        frame["spread_points"] = bars.spread.astype(np.float64)
    if raw_ahead is not None:
        frame["raw_ms"] = bars.utc_ms + raw_ahead
    return frame


def kept(store: PipelineStore, key: str, frame: pd.DataFrame, fetched_ms: int, timeframe: str = "H1", below: Path = Path("nowhere")) -> None:
    store.keep_piece("folder", "EURUSD", timeframe, Piece(key, str(below / key), frame, key * 4, 1, fetched_ms))


def blocks(store: PipelineStore, timeframe: str = "H1", start_ms: int | None = None, end_ms: int | None = None) -> list[pd.DataFrame]:
    return list(raw_blocks(store, store.pieces("folder", "EURUSD", timeframe), Request("EURUSD", timeframe, start_ms, end_ms)))


@pytest.fixture(scope="module")
def hours() -> Bars:
    """Hourly bars of four months."""
    return bars_at(trading_ms("2023-01-02", "2023-05-01", 60))


@pytest.fixture
def months(tmp_path: Path, hours: Bars) -> Path:
    """The same bars as four files, one a month."""
    month = stamps(hours).month.to_numpy()
    for number in range(1, 5):
        written(tmp_path / "months" / f"2023-{number:02}.csv", hours.part(month == number))
    return tmp_path / "months"


@pytest.fixture
def store(home: Path) -> PipelineStore:
    return PipelineStore.open(home)


def test_files_of_a_folder_become_one_bar_set_that_names_each_of_them(home: Path, months: Path, hours: Bars) -> None:
    done = collected(home, months)
    assert (done.new_pieces, done.pieces, done.rows) == (4, 4, len(hours.utc_ms))
    assert (utc_of(bars_of(home, done)) == hours.utc_ms).all()
    assert done.bar_set is not None
    assert [piece["key"] for piece in done.bar_set.made_by["pieces"]] == [f"2023-0{n}.csv" for n in range(1, 5)]
    assert all(Path(piece["origin"]).is_file() and len(piece["raw_sha256"]) == 64 for piece in done.bar_set.made_by["pieces"])
    (series,) = PipelineStore.open(home).series()
    assert (series.pieces, series.rows, series.start_ms, series.end_ms) == (4, len(hours.utc_ms), hours.utc_ms[0], hours.utc_ms[-1])


def test_the_same_content_is_the_same_bar_set_however_it_is_cut_into_files(home: Path, months: Path, hours: Bars, tmp_path: Path) -> None:
    one = collected(home, months).bar_set
    again = collected(home, months)
    assert again.bar_set == one
    assert again.new_pieces == 0
    whole = collected(tmp_path / "elsewhere", written(tmp_path / "whole.csv", hours)).bar_set
    assert one is not None
    assert whole is not None
    assert whole.id == one.id


def test_bounds_choose_bars_and_leave_the_pieces_whole(home: Path, months: Path, hours: Bars) -> None:
    first, last = ms("2023-02-10"), ms("2023-03-10")
    part = collected(home, months, bounds=(first, last))
    inside = (hours.utc_ms >= first) & (hours.utc_ms < last)
    assert (utc_of(bars_of(home, part)) == hours.utc_ms[inside]).all()
    assert part.bar_set is not None
    made_by = part.bar_set.made_by
    assert (made_by["start_ms"], made_by["end_ms"]) == (first, last)
    assert [piece["key"] for piece in made_by["pieces"]] == ["2023-02.csv", "2023-03.csv"]
    whole = collected(home, months)
    assert (whole.new_pieces, whole.rows) == (0, len(hours.utc_ms))
    assert collected(home, months, bounds=(first, last)).bar_set == part.bar_set


def test_of_overlapping_pieces_the_one_that_was_read_last_has_the_say_bar_by_bar(store: PipelineStore, hours: Bars) -> None:
    """Three pieces: an old one of everything, a newer one of the beginning, and one in between in age of the middle."""
    kept(store, "old", of_bars(hours.part(slice(0, 300))), 1)
    kept(store, "new", of_bars(hours.part(slice(50, 100)), shift=0.02), 10)
    kept(store, "mid", of_bars(hours.part(slice(80, 200)), shift=0.01), 5)
    found = pd.concat(blocks(store))
    assert (utc_of(found) == hours.utc_ms[:300]).all()
    moved = np.round(found["close"].to_numpy() - hours.prices["close"][:300], 9)
    assert np.flatnonzero(moved == 0.02).tolist() == list(range(50, 100))
    assert np.flatnonzero(moved == 0.01).tolist() == list(range(100, 200))


def test_of_pieces_read_at_once_the_one_that_begins_later_has_the_say(store: PipelineStore, hours: Bars) -> None:
    kept(store, "a", of_bars(hours.part(slice(0, 100))), 7)
    kept(store, "b", of_bars(hours.part(slice(90, 200)), shift=0.01), 7)
    found = pd.concat(blocks(store))
    assert np.flatnonzero(np.round(found["close"].to_numpy() - hours.prices["close"][:200], 9) == 0.01).tolist() == list(range(90, 200))


def test_rows_are_given_away_as_soon_as_no_later_piece_can_change_them(store: PipelineStore, hours: Bars) -> None:
    """Ten years of files that overlap by a day each must not be in memory at once."""
    for number in range(8):
        kept(store, f"{number}", of_bars(hours.part(slice(number * 100, number * 100 + 124))), number)
    lengths = [len(block) for block in blocks(store)]
    assert sum(lengths) == 824
    assert max(lengths) == 124


def test_disorder_and_repeats_inside_a_piece_stay_to_be_seen(store: PipelineStore, hours: Bars) -> None:
    order = [0, 1, 3, 2, 4, 4, 5]
    kept(store, "a", of_bars(hours.part(np.array(order))), 1)
    kept(store, "b", of_bars(hours.part(slice(10, 20))), 1)
    found = pd.concat(blocks(store))
    assert (utc_of(found) == hours.utc_ms[[*order, *range(10, 20)]]).all()


def test_extra_columns_are_kept_and_marked_unknown_where_a_piece_has_none(home: Path, store: PipelineStore, hours: Bars, tmp_path: Path) -> None:
    ahead = 2 * HOUR
    kept(store, "a", of_bars(hours.part(slice(0, 500)), raw_ahead=ahead), 1, below=tmp_path / "d.csv")
    kept(store, "b", of_bars(hours.part(slice(500, 1000)), spread=True), 1, below=tmp_path / "d.csv")
    kept(store, "c", of_bars(hours.part(slice(1000, 1500))).assign(made_of=np.int64(1)), 1, below=tmp_path / "d.csv")
    done = collected(home, written(tmp_path / "d.csv", hours.part(slice(1500, None))))
    bars = bars_of(home, done)
    validate_bars(bars)
    assert (utc_of(bars) == hours.utc_ms).all()
    assert bars["raw_ms"].dtype == bars["made_of"].dtype == np.int64
    assert (bars["raw_ms"].to_numpy() == np.where(np.arange(len(bars)) < 500, hours.utc_ms + ahead, -1)).all()
    assert (bars["made_of"].to_numpy() == np.where((np.arange(len(bars)) >= 1000) & (np.arange(len(bars)) < 1500), 1, -1)).all()
    assert (bars["spread_points"].to_numpy()[500:1000] == hours.spread[500:1000]).all()
    assert done.bar_set is not None
    unknown = next(part for part in done.bar_set.quality["parts"] if part["name"] == "spreads")
    assert unknown["count"] >= len(hours.utc_ms) - 500


def test_a_bars_own_time_is_that_of_the_row_that_was_taken_not_of_one_that_was_rejected(home: Path, store: PipelineStore, hours: Bars) -> None:
    frame = of_bars(hours.part(slice(0, 600)), raw_ahead=HOUR)
    impossible = frame.iloc[[100]].assign(high=0.5, raw_ms=-77)
    late = frame.iloc[[50]].assign(close=lambda one: one["close"] + 0.001, high=2.0, raw_ms=-78)
    kept(store, "a", pd.concat([frame.iloc[:100], impossible, frame.iloc[100:300], late, frame.iloc[300:]]), 1, below=home.parent / "rest.csv")
    found = bars_of(home, collected(home, written(home.parent / "rest.csv", hours.part(slice(600, 700)))))
    assert (found["raw_ms"].to_numpy()[:600] == hours.utc_ms[:600] + HOUR).all()


def test_rows_that_are_no_bars_are_counted_by_reason_and_the_first_are_kept_as_they_came(home: Path, hours: Bars, tmp_path: Path) -> None:
    frame = of_bars(hours)
    broken = pd.concat([frame.iloc[:200], frame.iloc[[199]], frame.iloc[200:400], frame.iloc[[300]].assign(close=1.5, high=1.6), frame.iloc[400:]])
    broken.iloc[10, broken.columns.get_loc("low")] = 9.0
    broken.reset_index(names="time").assign(time=lambda one: one["time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")).to_csv(tmp_path / "b.csv", index=False)
    done = collected(home, tmp_path / "b.csv")
    assert done.bar_set is not None
    rejected = done.bar_set.made_by["rejected"]
    assert rejected["counts"] == {"impossible price or volume": 1, "repeats a bar": 1, "contradicts a bar of the same time": 1}
    first = rejected["examples"][0]
    assert (first["open_ms"], first["low"], first["reason"]) == (hours.utc_ms[10], 9.0, "impossible price or volume")
    assert json.loads(json.dumps(rejected)) == rejected
    assert done.rows == len(hours.utc_ms) - 1
    raw = pd.concat(blocks(PipelineStore.open(home)))
    assert len(raw) == len(broken), "the piece has every row"


def ticks(first: str, seconds: int, count: int, seed: int = 1) -> pd.DataFrame:
    """A tick every few seconds."""
    times = ms(first) + np.arange(count, dtype=np.int64) * seconds * 1000 + 137
    bid = np.round(1.1 + np.cumsum(np.random.default_rng(seed).integers(-5, 6, count)) / 100_000, 5)
    index = pd.DatetimeIndex(times.view("M8[ms]")).tz_localize("UTC").rename("time")
    return pd.DataFrame({"bid": bid, "ask": np.round(bid + 0.00012, 5)}, index=index)


def test_ticks_in_pieces_make_the_bars_of_all_ticks_at_once(store: PipelineStore) -> None:
    from components.pipeline import bars_from_ticks

    every = ticks("2023-03-01", 20, 5_000)
    for number, (start, stop) in enumerate(((0, 1_203), (1_203, 1_204), (1_204, 4_000), (3_500, 5_000))):
        kept(store, f"{number}", every.iloc[start:stop], number, "M5")
    expected = bars_from_ticks(utc_of(every), every["bid"].to_numpy(), every["ask"].to_numpy(), Timeframe.M5, 0.00001)
    pd.testing.assert_frame_equal(pd.concat(blocks(store, "M5")), expected, check_freq=False)


def test_bounds_cut_no_bar_of_ticks_in_two(store: PipelineStore) -> None:
    kept(store, "a", ticks("2023-03-01", 20, 5_000), 1, "M5")
    whole = pd.concat(blocks(store, "M5"))
    first, last = ms("2023-03-01T02:02"), ms("2023-03-01T05:00")
    part = pd.concat(blocks(store, "M5", first, last))
    assert utc_of(part)[[0, -1]].tolist() == [ms("2023-03-01T02:05"), ms("2023-03-01T04:55")]
    pd.testing.assert_frame_equal(part, whole.loc[part.index], check_freq=False)


def test_bars_and_ticks_of_one_series_stand_in_one_order(store: PipelineStore) -> None:
    """Ticks of an afternoon, bars around them; the bars of the overlap were read later."""
    minutes = bars_at(trading_ms("2023-03-01", "2023-03-02", 5), start=1.1, seed=3)
    kept(store, "ticks", ticks("2023-03-01T06:00:10", 20, 1_000), 1, "M5")
    kept(store, "morning", of_bars(minutes.part(minutes.utc_ms < ms("2023-03-01T06:30"))), 2, "M5")
    kept(store, "evening", of_bars(minutes.part(minutes.utc_ms >= ms("2023-03-01T11:30"))), 3, "M5")
    found = pd.concat(blocks(store, "M5"))
    assert (np.diff(utc_of(found)) > 0).all()
    assert list(found.columns) == list(blocks(store, "M5")[0].columns)
    spread = found["spread_points"].to_numpy()
    is_of_ticks = (utc_of(found) >= ms("2023-03-01T06:30")) & (utc_of(found) < ms("2023-03-01T11:30"))
    assert np.isfinite(spread).tolist() == is_of_ticks.tolist()


def test_a_cancelled_collection_keeps_the_pieces_that_were_read_and_goes_on_from_them(home: Path, months: Path) -> None:
    def stop_at_the_third(fraction: float, message: str, **metrics: object) -> None:
        if message == "reading 2023-03.csv":
            raise JobCancelled("the test")

    with pytest.raises(JobCancelled):
        collected(home, months, progress=stop_at_the_third)
    store = PipelineStore.open(home)
    assert [piece.known.key for piece in store.pieces("folder", *H1)] == ["2023-01.csv", "2023-02.csv"]
    assert store.bar_sets() == []
    done = collected(home, months)
    assert (done.new_pieces, done.pieces) == (2, 4)


KILLED = """
import os, signal, sys
from pathlib import Path
from components.pipeline import Request
from components.pipeline.collect import collect_series

def die(fraction, message, **metrics):
    if message.startswith(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

collect_series(Path(sys.argv[1]), "folder", Request("EURUSD", "H1", options={"path": sys.argv[2]}), die)
"""


@pytest.mark.parametrize(("at", "there"), [("reading 2023-03", 2), ("scoring", 4), ("writing", 4)])
def test_a_collection_that_is_killed_goes_on_where_it_stopped(home: Path, months: Path, tmp_path: Path, at: str, there: int) -> None:
    command = [sys.executable, "-c", KILLED, str(home), str(months), at]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    store = PipelineStore.open(home)
    before = {piece.known.key: piece.path.stat().st_mtime_ns for piece in store.pieces("folder", *H1)}
    assert len(before) == there
    assert store.bar_sets() == []
    resumed = collected(home, months)
    assert resumed.new_pieces == 4 - there
    assert {key: piece.path.stat().st_mtime_ns for piece in store.pieces("folder", *H1) if (key := piece.known.key) in before} == before
    undisturbed = collected(tmp_path / "undisturbed", months).bar_set
    assert resumed.bar_set is not None
    assert undisturbed is not None
    assert resumed.bar_set.id == undisturbed.id
    left = [path for path in (home / "bars").iterdir() if path.name.startswith(".")]
    assert bool(left) == (at != "reading 2023-03")
    for path in left:
        os.utime(path, (0, 0))
    collected(home, months)
    assert [path.name for path in (home / "bars").iterdir()] == [f"{resumed.bar_set.id}.arrow"], "what it left is swept up a day later"


def test_a_changed_file_takes_the_place_of_its_piece_and_makes_another_bar_set(home: Path, months: Path, hours: Bars) -> None:
    first = collected(home, months).bar_set
    march = stamps(hours).month.to_numpy() == 3
    written(months / "2023-03.csv", bars_at(hours.utc_ms[march], start=hours.prices["close"][march][0], seed=9))
    done = collected(home, months)
    assert (done.new_pieces, done.pieces) == (1, 4)
    assert first is not None
    assert done.bar_set is not None
    assert done.bar_set.id != first.id
    files = list((home / "pieces" / "folder").iterdir())
    assert len(files) == 4, "the replaced piece's file is gone"
    assert PipelineStore.open(home).bar_set(first.id).rows == len(hours.utc_ms), "what was made of it stays"


def test_nothing_in_the_bounds_is_told_and_keeps_no_empty_set(home: Path, months: Path) -> None:
    with pytest.raises(Unavailable, match="no usable bars for EURUSD H1"):
        collected(home, months, bounds=(ms("2030-01-01"), ms("2031-01-01")))
    assert PipelineStore.open(home).bar_sets() == []


# The catalogue as the first version of the platform made it, word for word.
FIRST_VERSION = """
CREATE TABLE schema_migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_ms INTEGER NOT NULL);
CREATE TABLE bar_sets (
    id TEXT NOT NULL, symbol TEXT NOT NULL, timeframe TEXT NOT NULL, source TEXT NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL,
    rows INTEGER NOT NULL, sha256 TEXT NOT NULL, path TEXT NOT NULL, quality_score FLOAT NOT NULL, quality TEXT NOT NULL,
    created_ms INTEGER NOT NULL, PRIMARY KEY (id));
CREATE TABLE datasets (
    id TEXT NOT NULL, bar_set_id TEXT NOT NULL, recipe TEXT NOT NULL, rows INTEGER NOT NULL, train_rows INTEGER NOT NULL,
    test_rows INTEGER NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL, start_ms INTEGER NOT NULL, train_end_ms INTEGER NOT NULL,
    test_start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, created_ms INTEGER NOT NULL, PRIMARY KEY (id),
    FOREIGN KEY(bar_set_id) REFERENCES bar_sets (id));
CREATE INDEX ix_datasets_bar_set_id ON datasets (bar_set_id);
INSERT INTO schema_migrations VALUES (1, 'create_tables', 0);
"""
OLD_QUALITY = {"score": 99.94, "rows": 5000, "expected": 4998, "completeness": 1.0, "gap_count": 0, "gaps": [], "duplicates": 0, "disorder": 0,
               "bad_ohlc": 0, "spikes": 0, "stale": 0, "outside": 2}  # fmt: skip
OLD_RECIPE = {"features": ["return_1", "rsi_14"], "target": {"horizon_bars": 12, "up_atr": 2.0, "down_atr": 2.0, "atr_period": 14},
              "train_fraction": 0.7, "embargo_bars": 12}  # fmt: skip


@pytest.fixture
def old_home(home: Path) -> Path:
    """A platform of the first version: the sample and a dataset of it."""
    bars = validate_bars(fetch_bars("sample", "EURUSD", Timeframe.H1))
    frames = split_rows(bars, DatasetRecipe.model_validate(OLD_RECIPE))
    path = "bars/EURUSD-H1-86bed4ff6814.arrow"
    parts = {"train.arrow": frames.train.drop(columns="label_value"), "test.arrow": frames.test.drop(columns="label_value")}
    digests = {name: write_frame(home / "datasets" / "old" / name, frame) for name, frame in parts.items()}
    first, last = utc_of(bars)[[0, -1]].tolist()
    connection = sqlite3.connect(home / "data_pipeline.db")
    connection.executescript(FIRST_VERSION)
    values = (
        "EURUSD-H1-86bed4ff6814",
        *H1,
        "sample",
        first,
        last + HOUR,
        5000,
        write_frame(home / path, bars),
        path,
        99.94,
        json.dumps(OLD_QUALITY),
        1,
    )
    connection.execute(f"INSERT INTO bar_sets VALUES ({', '.join('?' * 12)})", values)
    rows = (len(frames.train), len(frames.test))
    dataset = (
        "old",
        values[0],
        json.dumps(OLD_RECIPE),
        sum(rows),
        *rows,
        "datasets/old",
        json.dumps(digests),
        first,
        first + DAY,
        last - DAY,
        last,
        2,
    )
    connection.execute(f"INSERT INTO datasets VALUES ({', '.join('?' * 13)})", dataset)
    connection.commit()
    connection.close()
    return home


def test_a_catalogue_of_the_first_version_is_migrated_and_everything_in_it_can_be_used(old_home: Path) -> None:
    store = PipelineStore.open(old_home)
    (old,) = store.bar_sets()
    assert (old.state, old.parents, old.made_by, old.quality["score"]) == ("trusted", (), {}, 99.94)
    assert len(store.load_bars(old.id)) == 5000
    (dataset,) = store.datasets()
    assert (dataset.lineage, dataset.transform, dataset.recipe.target.kind) == ({}, {}, "triple_barrier")
    frames = load_dataset(old_home, "old")
    assert (len(frames.train), frames.feature_names) == (dataset.train_rows, ("return_1", "rsi_14"))
    assert store.pieces("sample", *H1) == []
    built = build_dataset(old_home, old.id, {"features": ["return_1"]})
    assert built.lineage["bar_sets"][0]["id"] == old.id


def test_an_old_set_that_is_collected_again_stays_the_same_and_learns_its_parts(old_home: Path) -> None:
    old = PipelineStore.open(old_home).bar_sets()[0]
    again = collect_series(old_home, "sample", Request(*H1)).bar_set
    assert again is not None
    assert (again.id, again.sha256, again.created_ms) == (old.id, old.sha256, old.created_ms)
    assert {part["name"] for part in again.quality["parts"]} >= {"missing", "spikes"}
    assert again.quality["verdict"] == {"state": "trusted", "reasons": []}


def test_an_old_set_that_would_be_quarantined_today_is_once_it_is_collected_again(home: Path, hours: Bars, tmp_path: Path) -> None:
    path = written(tmp_path / "thin.csv", hours.part(np.arange(0, len(hours.utc_ms), 7)))
    bad = collected(home, path).bar_set
    assert bad is not None
    assert bad.state == "quarantined"
    connection = sqlite3.connect(home / "data_pipeline.db")
    connection.execute("UPDATE bar_sets SET quality = ?, state = 'trusted', quality_score = 99.0", (json.dumps(OLD_QUALITY),))
    connection.execute("DELETE FROM bar_set_states")
    connection.commit()
    connection.close()
    again = collected(home, path).bar_set
    assert again is not None
    assert (again.state, again.quality_score) == ("quarantined", bad.quality_score)
    assert [change.by for change in PipelineStore.open(home).states(again.id)] == ["the platform"]


def test_a_piece_of_no_rows_says_nothing_about_the_time_of_its_series(store: PipelineStore, hours: Bars) -> None:
    kept(store, "a", of_bars(hours.part(slice(10, 20))), 1)
    kept(store, "b", of_bars(hours.part(slice(0, 0))), 2)
    (series,) = store.series()
    assert (series.pieces, series.rows, series.start_ms, series.end_ms) == (2, 10, hours.utc_ms[10], hours.utc_ms[19])


@pytest.mark.slow
def test_a_real_year_that_is_there_twice_is_read_twice_and_stands_once(home: Path, realdata: Path) -> None:
    """The 2018 file read again under another name must change nothing."""
    found = sorted(realdata.rglob("*EURUSD*M1*2018*.zip"))
    if not found:
        pytest.skip("there is no HistData EURUSD 2018 file")
    one = collect_series(home, "histdata", Request("EURUSD", "M1", options={"path": str(found[0])})).bar_set
    copied = home.parent / "again" / ("again_" + found[0].name)
    copied.parent.mkdir()
    copied.write_bytes(found[0].read_bytes())
    two = collect_series(home, "histdata", Request("EURUSD", "M1", options={"path": str(copied)}))
    assert one is not None
    assert two.bar_set is not None
    assert (two.pieces, two.bar_set.id, two.rows) == (1, one.id, 372_607)
    assert len(PipelineStore.open(home).pieces("histdata", "EURUSD", "M1")) == 2
