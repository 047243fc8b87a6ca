"""A repair of prices does not make a doubtful clock a sure one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components.fx import Timeframe, validate_bars
from components.pipeline import keep_bars, repair_bar_set, score_quality
from components.pipeline.sources.sample import sample_bars


def test_a_repaired_copy_of_bars_with_a_doubtful_clock_stays_quarantined(home: Path) -> None:
    bars = validate_bars(sample_bars()).iloc[:1500].copy()
    bars.iloc[700, bars.columns.get_indexer(["high", "close"])] = float(bars["close"].iloc[700]) * np.array([1.05, 1.05])
    clock = {"confidence": 0.2, "rule": "us"}
    made_by = {"kind": "collected", "pieces": [{"key": "doubtful.csv", "facts": {"clock": clock}}]}
    parts = score_quality(bars, Timeframe.H1, symbol="EURUSD").as_dict()
    parent = keep_bars(home, "mt5_csv", "EURUSD", Timeframe.H1, bars, 90.0, parts, made_by=made_by, state="quarantined")
    repaired = repair_bar_set(home, parent.id, ["cut_spikes"], by="Ada")
    assert repaired.state == "quarantined"
    assert "doubtful.csv" in repaired.quality["verdict"]["reasons"][0]
