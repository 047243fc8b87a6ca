"""Every part of the score: a planted fault is counted exactly as often as it was planted, in its part alone, and clean bars have none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.fx import Timeframe
from components.pipeline import PARTS, Calendar, Quality, score_quality
from tests.pipeline.planted_faults_data import BRINGS_ALONG, FAULTS, PRICES, made_minutes, places

M1, H1 = Timeframe.M1, Timeframe.H1


@pytest.fixture(scope="module")
def minutes() -> pd.DataFrame:
    return made_minutes()


@pytest.fixture(scope="module")
def minutes_score(minutes: pd.DataFrame) -> Quality:
    return score_quality(minutes, M1)


def test_clean_minutes_lose_points_for_quiet_minutes_alone(minutes_score: Quality) -> None:
    found = {part.name: part.count for part in minutes_score.parts if part.count}
    assert set(found) <= {"quiet", "missing", "stale"}
    assert found["quiet"] > 100
    # Runs of absent minutes that the night does not explain come once in a thousand.
    assert found.get("missing", 0) < 20
    assert minutes_score.score > 99.5


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_planted_in_minutes_is_counted_exactly(fault: str, minutes: pd.DataFrame, minutes_score: Quality) -> None:
    part, plant, bars_each = FAULTS[fault]
    at = places(minutes, 24, apart=60, seed=7)
    quality = score_quality(plant(minutes, at), M1)
    _assert_found(quality, minutes_score, part, 24 * bars_each, BRINGS_ALONG.get(fault, set()))


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in ("spreads", "off_grid")])
def test_a_fault_planted_in_the_real_hours_is_counted_exactly(fault: str, raw: pd.DataFrame) -> None:
    part, plant, bars_each = FAULTS[fault]
    at = places(raw, 12, apart=60, seed=3)
    quality = score_quality(plant(raw, at), H1)
    _assert_found(quality, score_quality(raw, H1), part, 12 * bars_each, BRINGS_ALONG.get(fault, set()))


@pytest.mark.slow
@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in ("spreads", "zero_volume")])
def test_a_fault_planted_in_a_real_year_of_minutes_is_counted_exactly(fault: str, realdata: Path) -> None:
    bars = _histdata(realdata)
    part, plant, bars_each = FAULTS[fault]
    at = places(bars, 100, apart=90, seed=11)
    quality = score_quality(plant(bars, at), M1, symbol="EURUSD")
    _assert_found(quality, score_quality(bars, M1, symbol="EURUSD"), part, 100 * bars_each, BRINGS_ALONG.get(fault, set()) | {"quiet"}, slack=4)


def _assert_found(quality: Quality, clean: Quality, part: str, count: int, brings: set[str], slack: int = 0) -> None:
    # `slack`: in a real year a fault may fall on what was there already (a bar dated ahead onto a minute that is absent), and 20 flat bars change
    # how quiet an hour is taken to be.
    assert abs(quality.part(part).count - clean.part(part).count - count) <= slack
    assert sum(one.points for one in quality.parts) > sum(one.points for one in clean.parts)
    assert len(quality.part(part).examples) == 10
    for other in PARTS:
        if other != part and other not in brings:
            assert abs(quality.part(other).count - clean.part(other).count) <= slack, other


def _histdata(realdata: Path) -> pd.DataFrame:
    bars = pd.read_csv(
        realdata / "histdata" / "HISTDATA_COM_ASCII_EURUSD_M12018.zip", sep=";", header=None, names=["time", *PRICES, "volume"], dtype={"time": str}
    )
    # This year follows New York with its daylight saving.
    times = pd.to_datetime(bars.pop("time"), format="%Y%m%d %H%M%S")
    index = pd.DatetimeIndex(times).tz_localize("America/New_York").tz_convert("UTC").as_unit("ms").rename("open_time")
    return bars.set_axis(index, axis=0).astype(float)


def test_a_real_year_of_minutes_scores_high_and_says_what_it_lacks(realdata: Path) -> None:
    quality = score_quality(_histdata(realdata), M1, symbol="EURUSD")
    assert quality.rows == 372_607
    assert 99.8 < quality.score < 99.95
    # 578 bars of Christmas, which the calendar takes for closed; spikes at the turn of the day, when bids fall away from asks.
    assert quality.outside == 578
    assert quality.spikes == 7
    assert quality.completeness == pytest.approx(0.9975, abs=0.0002)
    assert quality.digits == 5
    assert quality.breaks == ()
    assert quality.clock == ""


def test_a_move_that_is_nothing_by_day_is_a_spike_at_night(minutes: pd.DataFrame) -> None:
    hour = minutes.index.hour
    found = {}
    for name, hours in (("night", (hour == 22)), ("day", (hour == 14))):
        rows = np.flatnonzero(hours)
        rows = rows[5:-5:97][:12]
        changed = minutes.copy()
        for row in rows:
            # 15 points: a night minute moves by one, a minute in the afternoon by six. The bars around are left as they are.
            close = changed["close"].iloc[row] + 0.00015
            changed.iloc[row, changed.columns.get_loc("close")] = close
            changed.iloc[row, changed.columns.get_loc("high")] = max(close, changed["high"].iloc[row])
        found[name] = score_quality(changed, M1).spikes
    assert found["day"] == 0
    assert found["night"] >= 9


def test_news_that_stays_and_news_that_swings_are_no_spikes(minutes: pd.DataFrame) -> None:
    """A price that jumps and stays there, and one that jumps and comes back while the whole market moves, are prices."""
    random = np.random.default_rng(5)
    changed = minutes.copy()
    values = changed[PRICES].to_numpy(copy=True)
    for row in places(minutes, 10, apart=120, seed=2).tolist():
        path = 0.004 * np.array([1.0, -0.3, 0.8, 0.2, 0.7, 0.4, 0.6, 0.5, 0.55, 0.5]) + random.normal(0, 0.00003, 10)
        before = np.concatenate(([0.0], path[:-1]))
        values[row : row + 10, 0] += before
        values[row : row + 10, 3] += path
        values[row : row + 10, 1] = values[row : row + 10][:, [0, 1, 3]].max(axis=1) + 0.0003
        values[row : row + 10, 2] = values[row : row + 10][:, [0, 2, 3]].min(axis=1) - 0.0003
        values[row + 10 :] += path[-1]
    changed[PRICES] = values.round(5)
    assert score_quality(changed, M1).spikes == 0


def test_quiet_nights_are_not_stale_but_a_frozen_afternoon_is(minutes: pd.DataFrame) -> None:
    hour = minutes.index.hour.to_numpy()
    night = np.flatnonzero(hour == 22)
    changed = minutes.copy()
    # Every second night minute is flat: the hour is like that.
    flat = night[night % 2 == 0]
    for name in PRICES:
        values = changed[name].to_numpy(copy=True)
        values[flat] = changed["close"].to_numpy()[flat - 1]
        changed[name] = values
    quality = score_quality(changed, M1)
    assert quality.stale <= 10
    at = np.flatnonzero(hour == 13)[30:31]
    assert score_quality(FAULTS["stale"][1](changed, at), M1).stale - quality.stale == 20


def test_ticks_that_keep_coming_in_changing_numbers_let_a_run_be_twice_as_long(raw: pd.DataFrame) -> None:
    changed = raw.copy()
    for name in PRICES:
        changed.iloc[700:705, changed.columns.get_loc(name)] = raw["close"].iloc[699]
    assert raw["volume"].iloc[700:705].nunique() == 5
    assert score_quality(changed, H1).stale == 0
    changed["volume"] = changed["volume"].astype(float)
    changed.iloc[700:705, changed.columns.get_loc("volume")] = 17.0
    assert score_quality(changed, H1).stale == 5


def test_a_source_that_counts_no_ticks_has_no_bars_without_ticks(raw: pd.DataFrame) -> None:
    assert score_quality(raw.assign(volume=0.0), H1).part("zero_volume").count == 0
    assert score_quality(raw.drop(columns="volume"), H1).part("zero_volume").count == 0
    # Ticks were counted from some week on: the weeks before say nothing.
    later = raw.assign(volume=raw["volume"].where(raw.index >= pd.Timestamp("2017-08-01", tz="UTC"), 0))
    assert score_quality(later, H1).part("zero_volume").count <= 48


def test_a_history_that_changes_its_decimals_says_so(raw: pd.DataFrame) -> None:
    changed = raw.copy()
    changed.iloc[:1200, :4] = changed.iloc[:1200, :4].round(4)
    quality = score_quality(changed, H1)
    assert quality.digits == 5
    # Whole weeks are judged: the one in which it changes is still mostly one or the other.
    assert abs(quality.part("digits").count - 1200) <= 120
    assert quality.part("digits").examples[0].endswith(": 4")
    noisy = raw.copy()
    noisy["close"] = noisy["close"] * (1 + 1e-7)
    assert score_quality(noisy, H1).digits == 7


def test_absent_minutes_of_the_afternoon_are_missing_and_those_of_the_night_are_quiet(minutes: pd.DataFrame, minutes_score: Quality) -> None:
    hour = minutes.index.hour.to_numpy()
    for wanted, other, hours in (("missing", "quiet", 14), ("quiet", "missing", 22)):
        rows = np.flatnonzero(hour == hours)[7::29][:30]
        # Their neighbours are there, so that each is a hole of one minute.
        alone = [row for row in rows if minutes.index[row + 1] - minutes.index[row - 1] == pd.Timedelta(minutes=2)]
        quality = score_quality(minutes.drop(minutes.index[alone]), M1)
        assert quality.part(wanted).count - minutes_score.part(wanted).count == len(alone)
        assert quality.part(other).count == minutes_score.part(other).count
        assert quality.expected - quality.present == minutes_score.expected - minutes_score.present + len(alone)


def test_hours_outside_by_a_clock_that_is_an_hour_late_are_named(raw: pd.DataFrame) -> None:
    late = raw.set_axis(raw.index + pd.Timedelta(hours=1), axis=0)
    quality = score_quality(late, H1)
    assert "go on after it closes" in quality.clock
    early = raw.set_axis(raw.index - pd.Timedelta(hours=1), axis=0)
    assert "begin before the market opens" in score_quality(early, H1).clock
    assert score_quality(raw, H1).clock == ""


def test_days_that_are_bad_by_themselves_are_listed_and_those_around_are_not(raw: pd.DataFrame) -> None:
    day = np.flatnonzero(raw.index.normalize() == pd.Timestamp("2017-06-13", tz="UTC"))
    bad = raw.copy()
    bad.iloc[day[:10], bad.columns.get_loc("high")] = 0.5
    quality = score_quality(bad, H1)
    (stretch,) = quality.quarantined_stretches
    assert pd.Timestamp(stretch.first_ms, unit="ms") == pd.Timestamp("2017-06-12 21:00")
    assert stretch.last_ms == stretch.first_ms + 86_400_000 - 1
    assert stretch.score == 0.0
    assert stretch.reason.startswith("bad ohlc")
    assert quality.score > 90


def test_days_in_a_row_make_one_stretch_across_the_weekend(raw: pd.DataFrame) -> None:
    gone = (raw.index >= pd.Timestamp("2017-06-08 21:00", tz="UTC")) & (raw.index < pd.Timestamp("2017-06-13 21:00", tz="UTC"))
    (stretch,) = score_quality(raw[~gone], H1).quarantined_stretches
    assert pd.Timestamp(stretch.first_ms, unit="ms") == pd.Timestamp("2017-06-08 21:00")
    assert pd.Timestamp(stretch.last_ms + 1, unit="ms") == pd.Timestamp("2017-06-13 21:00")
    assert "3 days" in stretch.reason


def test_a_quality_survives_being_kept_as_a_document(raw: pd.DataFrame) -> None:
    quality = score_quality(FAULTS["bad_ohlc"][1](raw, places(raw, 12, apart=60)), H1, symbol="EURUSD")
    assert Quality.from_dict(quality.as_dict()) == quality
    assert {
        "score",
        "rows",
        "expected",
        "completeness",
        "gap_count",
        "gaps",
        "duplicates",
        "disorder",
        "bad_ohlc",
        "spikes",
        "stale",
        "outside",
    } <= set(quality.as_dict())


def test_the_points_of_the_parts_add_up_to_what_the_score_lacks(minutes: pd.DataFrame) -> None:
    quality = score_quality(FAULTS["spikes"][1](minutes, places(minutes, 24, apart=60)), M1)
    lost = sum(part.points for part in quality.parts)
    assert quality.score == pytest.approx(100 - lost, abs=0.01)
    assert quality.score <= 100 - lost


def test_longer_bars_are_expected_with_the_trading_day(raw: pd.DataFrame) -> None:
    from components.fx import resample_bars

    for timeframe, rows in ((Timeframe.H4, 1250), (Timeframe.D1, 209)):
        bars = resample_bars(raw.rename_axis("open_time"), timeframe)
        quality = score_quality(bars, timeframe)
        assert (quality.completeness, quality.part("off_grid").count) == (1.0, 0)
        assert abs(quality.rows - rows) < 6
        holed = score_quality(bars.drop(bars.index[[40, 41, 80]]), timeframe)
        assert [gap.bars for gap in holed.gaps] == [2, 1]


def test_daily_bars_of_london_are_measured_against_days_of_london(raw: pd.DataFrame) -> None:
    from components.fx import BrokerDay, resample_bars

    day = BrokerDay("Europe/London", 0)
    bars = resample_bars(raw.rename_axis("open_time"), Timeframe.D1, day=day)
    quality = score_quality(bars, Timeframe.D1)
    assert quality.part("off_grid").count == 0
    assert quality.completeness > 0.99


def test_a_given_calendar_says_what_is_expected(raw: pd.DataFrame) -> None:
    closed = int(pd.Timestamp("2017-06-13 00:00", tz="UTC").timestamp() * 1000)
    calendar = Calendar(closures=((closed, closed + 86_400_000),))
    quality = score_quality(raw, H1, calendar)
    assert quality.outside == 26
    assert quality.expected == 4998 - 24
