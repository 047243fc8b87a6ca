"""The quality score: high on the real sample, and each planted fault lowers it and is named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from components.fx import BadInput, Timeframe
from components.pipeline import Calendar, score_quality

H1 = Timeframe.H1


def at(text: str) -> int:
    return int(pd.Timestamp(text, tz="UTC").timestamp() * 1000)


def test_the_sample_is_complete_but_for_nothing_and_has_two_bars_after_hours(raw: pd.DataFrame) -> None:
    quality = score_quality(raw, H1)
    assert quality.completeness == 1.0
    assert (quality.rows, quality.expected, quality.outside, quality.gap_count) == (5000, 4998, 2, 0)
    assert (quality.duplicates, quality.disorder, quality.bad_ohlc, quality.stale) == (0, 0, 0, 0)
    # 100 − 10 · 2/5000 (outside) − 300 · 1/5000 (one spike)
    assert quality.score == 99.94


def test_a_hole_is_found_with_its_first_and_last_missing_bar(raw: pd.DataFrame) -> None:
    holed = raw.drop(raw.index[1000:1010])
    quality = score_quality(holed, H1)
    (gap,) = quality.gaps
    assert (gap.first_ms, gap.last_ms, gap.bars) == (raw.index[1000].timestamp() * 1000, raw.index[1009].timestamp() * 1000, 10)
    assert quality.completeness == pytest.approx(1 - 10 / 4998)


def test_a_weekend_and_christmas_are_no_holes_but_a_missing_tuesday_is(raw: pd.DataFrame) -> None:
    tuesday = raw[raw.index.normalize() != pd.Timestamp("2017-06-13", tz="UTC")]
    assert [gap.bars for gap in score_quality(tuesday, H1).gaps] == [24]


def planted(raw: pd.DataFrame, fault: str) -> pd.DataFrame:
    order = np.arange(len(raw))
    bars = raw.copy()
    if fault == "missing":
        order = np.delete(order, slice(2000, 2100))
    elif fault == "duplicates":
        order = np.insert(order, 100, [99] * 50)
    elif fault == "disorder":
        order[300:340] = order[300:340].reshape(-1, 2)[:, ::-1].ravel()
    elif fault == "bad_ohlc":
        bars.iloc[50:60, 1] = bars.iloc[50:60, 2] - 0.001
        bars.iloc[60, 3] = np.nan
        bars.iloc[61, 0] = -1.0
    elif fault == "spikes":
        bars.iloc[[500, 900, 1300], 3] *= 1.05
        bars.iloc[[500, 900, 1300], 1] *= 1.05
    elif fault == "stale":
        for name in ("open", "high", "low", "close"):
            bars.iloc[700:720, bars.columns.get_loc(name)] = bars["close"].iloc[699]
    elif fault == "outside":
        bars.index = bars.index.where(order != 2000, pd.Timestamp("2017-05-20 10:00", tz="UTC"))
    return bars.iloc[order]


@pytest.mark.parametrize(
    ("fault", "count"), [("duplicates", 50), ("disorder", 20), ("bad_ohlc", 12), ("spikes", 4), ("stale", 20), ("outside", 3), ("missing", 100)]
)
def test_each_planted_fault_is_counted_and_lowers_the_score(fault: str, count: int, raw: pd.DataFrame) -> None:
    quality = score_quality(planted(raw, fault), H1)
    found = sum(gap.bars for gap in quality.gaps) if fault == "missing" else getattr(quality, fault)
    assert found == count
    assert quality.score < 99.94


def test_the_score_never_leaves_its_range_and_an_empty_history_scores_nothing(raw: pd.DataFrame) -> None:
    assert score_quality(raw.iloc[:0], H1).score == 0.0
    ruined = raw.copy()
    ruined.loc[:, :] = -1.0
    assert score_quality(ruined, H1).score == 0.0
    assert score_quality(raw.iloc[:1], H1).score == 100.0


def test_frames_without_zone_or_prices_are_refused(raw: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="open_time"):
        score_quality(raw.tz_localize(None), H1)
    with pytest.raises(BadInput, match="close"):
        score_quality(raw.drop(columns="close"), H1)


def test_the_market_week_follows_new_york_through_the_change_of_clocks() -> None:
    calendar = Calendar()
    times = [
        "2017-10-29 20:00",
        "2017-10-29 21:00",
        "2017-11-05 21:00",
        "2017-11-05 22:00",
        "2017-11-03 20:00",
        "2017-11-03 21:00",
        "2017-11-10 21:00",
    ]
    assert calendar.is_open(np.array([at(text) for text in times])).tolist() == [False, True, False, True, True, False, True]


def test_christmas_is_closed_from_five_in_new_york_the_evening_before() -> None:
    opens = Calendar().expected_open_ms(at("2018-12-24 20:00"), at("2018-12-25 23:00"), H1)
    assert [pd.Timestamp(ms, unit="ms").strftime("%d %H") for ms in opens] == ["24 20", "24 21", "25 22", "25 23"]


def test_a_long_bar_is_expected_where_any_of_its_hours_is_open() -> None:
    # 2017-06-11 was a Sunday; the market opened at 21:00 UTC
    opens = Calendar().expected_open_ms(at("2017-06-11 00:00"), at("2017-06-12 00:00"), Timeframe.H4)
    assert [pd.Timestamp(ms, unit="ms").strftime("%d %H") for ms in opens] == ["11 20", "12 00"]
    assert len(Calendar().expected_open_ms(at("2017-06-11 00:00"), at("2017-06-18 00:00"), Timeframe.D1)) == 7  # Sunday to Friday, and Sunday again
