"""Ticks of several pieces become the bars of all of them, in whatever order they were read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from components.pipeline import PipelineStore, collect


def write_ticks(path: Path, first: str, last: str) -> None:
    """A tick every five seconds of EURUSD, as a CSV that the source `folder` reads."""
    times = pd.date_range(f"2024-03-05 {first}", f"2024-03-05 {last}", freq="5s", inclusive="left", tz="UTC")
    bid = 1.08 + 0.001 * np.sin(times.as_unit("ms").asi8 / 600_000)
    frame = pd.DataFrame({"time": times.strftime("%Y-%m-%dT%H:%M:%S+00:00"), "bid": bid.round(5), "ask": (bid + 0.0002).round(5)})
    frame.to_csv(path, index=False)


OPTIONS = {"time": ["time"], "columns": {"bid": "bid", "ask": "ask"}}


def test_a_piece_that_fills_a_hole_adds_its_bars(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ticks"
    folder.mkdir()
    write_ticks(folder / "a.csv", "08:00", "09:00")
    write_ticks(folder / "c.csv", "11:00", "12:00")
    early, late = pd.read_csv(folder / "a.csv"), pd.read_csv(folder / "c.csv")
    pd.concat([early, late]).to_csv(folder / "a.csv", index=False)
    (folder / "c.csv").unlink()
    first = collect(home, "folder", "EURUSD", "M1", options={"path": str(folder), **OPTIONS})
    write_ticks(folder / "b.csv", "09:00", "11:00")
    second = collect(home, "folder", "EURUSD", "M1", options={"path": str(folder), **OPTIONS})
    assert (first.rows, second.rows) == (119, 239)  # the last bar of four hours is still forming
    bars = PipelineStore.open(home).load_bars(second.id)
    assert (bars["volume"] == 12).all()


def test_a_tick_that_two_pieces_have_counts_once(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ticks"
    folder.mkdir()
    write_ticks(folder / "a.csv", "08:00", "10:00")
    write_ticks(folder / "b.csv", "09:00", "11:00")
    bars = PipelineStore.open(home).load_bars(collect(home, "folder", "EURUSD", "M1", options={"path": str(folder), **OPTIONS}).id)
    assert len(bars) == 179
    assert (bars["volume"] == 12).all()
