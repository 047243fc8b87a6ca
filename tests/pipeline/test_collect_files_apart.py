"""Files of different folders are different brokers' until someone says otherwise: they never end up in one bar set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.pipeline import PipelineStore, collect


def write_daily(folder: Path, shift: float) -> Path:
    """Sixty daily bars of EURUSD as MetaTrader exports them, `shift` higher than usual."""
    folder.mkdir(exist_ok=True)
    days = pd.bdate_range("2024-01-08", periods=60)
    close = 1.1 + shift + 0.001 * np.sin(np.arange(60))
    lines = ["<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"]
    for day, price in zip(days, close, strict=True):
        lines.append(f"{day:%Y.%m.%d}\t{price:.5f}\t{price + 0.002:.5f}\t{price - 0.002:.5f}\t{price + 0.001:.5f}\t1000\t0\t10")
    path = folder / "EURUSD_Daily_202401080000_202403290000.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_files_of_one_name_in_two_folders_make_two_bar_sets_and_stay_two_pieces(home: Path, tmp_path: Path) -> None:
    one, other = write_daily(tmp_path / "one", 0.0), write_daily(tmp_path / "other", 0.05)
    first = collect(home, "mt5_csv", "EURUSD", "D1", options={"path": str(one)})
    second = collect(home, "mt5_csv", "EURUSD", "D1", options={"path": str(other)})
    again = collect(home, "mt5_csv", "EURUSD", "D1", options={"path": str(one.parent)})
    assert first.rows == second.rows == 60
    assert again.id == first.id != second.id
    store = PipelineStore.open(home)
    closes = [store.load_bars(one.id)["close"].mean() for one in (first, second)]
    assert closes[1] - closes[0] == pytest.approx(0.05)
    assert sorted(piece.origin for piece in store.pieces("mt5_csv", "EURUSD", "D1")) == sorted([str(one), str(other)])


def test_a_relative_path_is_the_same_place(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_daily(tmp_path / "one", 0.0)
    first = collect(home, "mt5_csv", "EURUSD", "D1", options={"path": str(file)})
    monkeypatch.chdir(tmp_path)
    assert collect(home, "mt5_csv", "EURUSD", "D1", options={"path": "one"}).id == first.id
    assert len(PipelineStore.open(home).pieces("mt5_csv", "EURUSD", "D1")) == 1
