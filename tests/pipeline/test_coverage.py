"""Which months are there, and how full."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from components.fx import Timeframe, validate_bars
from components.pipeline import Calendar, PipelineStore, collect, coverage, keep_bars


def test_the_sample_covers_eleven_months_almost_whole(home: Path) -> None:
    bar_set = collect(home, "sample", "EURUSD", "H1")
    months = coverage(home)
    assert [pd.Timestamp(one.month_ms, unit="ms").strftime("%Y-%m") for one in months] == [f"2017-{m:02}" for m in range(4, 13)] + [
        "2018-01",
        "2018-02",
    ]
    assert sum(one.bars for one in months) == bar_set.rows == 5000
    assert all(one.share > 0.99 for one in months)
    assert {one.bar_set_id for one in months} == {bar_set.id}


def test_a_month_that_lost_half_of_its_bars_says_so_and_an_empty_one_too(home: Path) -> None:
    bars = PipelineStore.open(home).load_bars(collect(home, "sample", "EURUSD", "H1").id)
    month = bars.index.strftime("%Y-%m").to_numpy()
    in_july = np.flatnonzero(month == "2017-07")
    left = np.setdiff1d(np.arange(len(bars)), np.concatenate((in_july[: len(in_july) // 2], np.flatnonzero(month == "2017-09"))))
    kept = keep_bars(home, "thinned", "EURUSD", Timeframe.H1, validate_bars(bars.iloc[left]), 0.0, {})
    shares = {pd.Timestamp(one.month_ms, unit="ms").strftime("%Y-%m"): one.share for one in coverage(home, [kept], Calendar())}
    assert 0.48 < shares["2017-07"] < 0.52
    assert shares["2017-09"] == 0.0
    assert shares["2017-08"] > 0.99


def test_the_pauses_of_an_index_are_not_expected_of_it(home: Path) -> None:
    bars = PipelineStore.open(home).load_bars(collect(home, "sample", "EURUSD", "H1").id)
    traded = bars[~np.isin(pd.DatetimeIndex(bars.index).tz_convert("America/New_York").hour, (17, 18, 19, 20))]
    shares = {}
    for symbol in ("US30", "EURUSD"):
        kept = keep_bars(home, "other", symbol, Timeframe.H1, validate_bars(traded), 0.0, {})
        months = coverage(home, [kept])
        shares[symbol] = min(one.share for one in months[1:-1])
        assert sum(one.bars for one in months) == len(traded)
    assert shares["US30"] > 0.97
    assert shares["EURUSD"] < 0.92, "a pair of currencies trades around the clock"
