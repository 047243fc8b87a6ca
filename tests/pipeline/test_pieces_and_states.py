"""Pieces that are damaged or replaced, and decisions about bar sets that nothing takes back."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pandas as pd
import pytest

from components.fx import Refused
from components.pipeline import BarSet, PipelineStore, build_dataset, collect, resample_bar_set
from components.pipeline.frames import FrameWriter


@pytest.fixture
def csv_options(tmp_path: Path, raw: pd.DataFrame) -> dict[str, str]:
    """A CSV of the sample's bars and the options that read it."""
    folder = tmp_path / "export"
    folder.mkdir()
    raw.iloc[:2000].to_csv(folder / "bars.csv", index_label="time")
    return {"path": str(folder)}


def test_a_piece_whose_file_is_damaged_or_gone_is_read_again(home: Path, bar_set: BarSet) -> None:
    store = PipelineStore.open(home)
    (piece,) = store.pieces("sample", "EURUSD", "H1")
    content = bytearray(piece.path.read_bytes())
    content[len(content) // 2] ^= 1
    piece.path.write_bytes(content)
    assert collect(home, "sample", "EURUSD", "H1").id == bar_set.id
    (mended,) = store.pieces("sample", "EURUSD", "H1")
    mended.path.unlink()
    assert collect(home, "sample", "EURUSD", "H1").id == bar_set.id
    assert store.is_readable(*store.pieces("sample", "EURUSD", "H1"))


def test_a_bar_set_names_the_pieces_that_are_kept_also_after_they_were_replaced(tmp_path: Path, csv_options: dict[str, str]) -> None:
    home, file = tmp_path / "home", Path(csv_options["path"]) / "bars.csv"
    first = collect(home, "folder", "EURUSD", "H1", options=csv_options)
    file.write_text(file.read_text() + "\n")  # the same bars in other bytes
    second = collect(home, "folder", "EURUSD", "H1", options=csv_options)
    store = PipelineStore.open(home)
    assert second.id == first.id
    assert [one["raw_sha256"] for one in second.made_by["pieces"]] == [one.known.raw_sha256 for one in store.pieces("folder", "EURUSD", "H1")]


def test_what_a_person_quarantined_stays_so_when_it_is_deleted_and_collected_again(home: Path, bar_set: BarSet) -> None:
    store = PipelineStore.open(home)
    store.set_state(bar_set.id, "quarantined", "Ann", "the broker's clock was wrong")
    store.delete_bar_set(bar_set.id)
    again = collect(home, "sample", "EURUSD", "H1")
    assert (again.id, again.state) == (bar_set.id, "quarantined")
    assert store.states(again.id)[-1].by == "Ann"
    store.set_state(again.id, "released", "Ann", "it was right after all")
    assert collect(home, "sample", "EURUSD", "H1").state == "released"


def test_a_new_examination_of_an_old_set_leaves_what_a_person_decided(home: Path, bar_set: BarSet) -> None:
    store = PipelineStore.open(home)
    store.set_quality(bar_set.id, 99.0, {"score": 99.0})  # as versions before parts kept it
    store.set_state(bar_set.id, "quarantined", "Ann", "the broker's clock was wrong")
    again = collect(home, "sample", "EURUSD", "H1")
    assert again.state == "quarantined"
    assert again.quality["parts"]


def test_a_temporary_file_of_a_killed_writer_is_swept_after_a_day(tmp_path: Path) -> None:
    left = tmp_path / ".EURUSD-M1-0123.arrow.77.abcd.tmp"
    left.write_bytes(b"half a file")
    FrameWriter(tmp_path / "next.arrow").discard()
    assert left.exists()
    os.utime(left, times=(time.time() - 90_000,) * 2)
    FrameWriter(tmp_path / "next.arrow").discard()
    assert not left.exists()


def test_longer_bars_of_a_set_that_was_quarantined_since_are_not_built_on_either(home: Path, bar_set: BarSet) -> None:
    store = PipelineStore.open(home)
    longer = resample_bar_set(home, bar_set.id, "H4")
    store.set_state(bar_set.id, "quarantined", "Ann", "the broker's clock was wrong")
    for build in (lambda: build_dataset(home, longer.id), lambda: resample_bar_set(home, longer.id, "D1")):
        with pytest.raises(Refused, match=f"{bar_set.id}.* is quarantined"):
            build()
    store.set_state(bar_set.id, "released", "Ann", "it was right after all")
    assert resample_bar_set(home, longer.id, "D1").state == "trusted"
    store.set_state(bar_set.id, "quarantined", "Ann", "no, it was not")
    store.set_state(longer.id, "released", "Ann", "its four hours hide the error")
    assert resample_bar_set(home, longer.id, "D1").parents == (longer.id,)


def test_files_whose_own_names_hold_the_word_of_are_told_apart_and_read_once(tmp_path: Path, raw: pd.DataFrame) -> None:
    home, folder = tmp_path / "home", tmp_path / "export"
    folder.mkdir()
    raw.iloc[:1500].to_csv(folder / "export of 2017.csv", index_label="time")
    raw.iloc[1500:3000].to_csv(folder / "export of 2018.csv", index_label="time")
    for _ in range(2):
        assert collect(home, "folder", "EURUSD", "H1", options={"path": str(folder)}).rows == 3000
        kept = [one.known.key for one in PipelineStore.open(home).pieces("folder", "EURUSD", "H1")]
        assert kept == ["export of 2017.csv", "export of 2018.csv"]
