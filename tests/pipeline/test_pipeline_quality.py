"""The quality score: high on the real sample, the same for one block and for many, and never raised by a fault."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.fx import BadInput, Timeframe, validate_bars
from components.pipeline import PARTS, Examiner, Quality, score_quality
from tests.pipeline.planted_faults_data import FAULTS, made_minutes, places

H1, M1 = Timeframe.H1, Timeframe.M1
QUIETLY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_the_sample_is_complete_but_for_nothing_and_has_two_bars_after_hours(raw: pd.DataFrame) -> None:
    quality = score_quality(raw, H1)
    assert quality.completeness == 1.0
    assert (quality.rows, quality.expected, quality.outside, quality.gap_count) == (5000, 4998, 2, 0)
    assert (quality.duplicates, quality.disorder, quality.bad_ohlc, quality.stale) == (0, 0, 0, 0)
    # The European Central Bank met on 2017-09-07: the hour swung, so did the next, and neither is a misprint.
    assert quality.spikes == 0
    # 100 − 10 · 2/4998 (outside), rounded down
    assert quality.score == 99.99


def test_a_hole_is_found_with_its_first_and_last_missing_bar(raw: pd.DataFrame) -> None:
    holed = raw.drop(raw.index[1000:1010])
    quality = score_quality(holed, H1)
    (gap,) = quality.gaps
    assert (gap.first_ms, gap.last_ms, gap.bars) == (raw.index[1000].timestamp() * 1000, raw.index[1009].timestamp() * 1000, 10)
    assert quality.completeness == pytest.approx(1 - 10 / 4998)


def test_a_weekend_and_christmas_are_no_holes_but_a_missing_tuesday_is(raw: pd.DataFrame) -> None:
    tuesday = raw[raw.index.normalize() != pd.Timestamp("2017-06-13", tz="UTC")]
    assert [gap.bars for gap in score_quality(tuesday, H1).gaps] == [24]


def test_the_hundred_longest_gaps_are_kept_in_order_of_time_and_all_are_counted(raw: pd.DataFrame) -> None:
    drop = np.concatenate([np.arange(start, start + 1 + number % 3) for number, start in enumerate(range(20, 4900, 30))])
    quality = score_quality(raw.drop(raw.index[drop]), H1)
    assert quality.gap_count == len(range(20, 4900, 30))
    assert len(quality.gaps) == 100
    assert sorted({gap.bars for gap in quality.gaps}) == [2, 3]
    assert [gap.first_ms for gap in quality.gaps] == sorted(gap.first_ms for gap in quality.gaps)


def test_a_hole_across_years_is_one_hole_and_its_length_is_counted_in_expected_bars() -> None:
    bars = made_minutes(weeks=150, timeframe=H1)
    holed = bars.drop(bars.index[60 * 120 : 70 * 120])
    quality = score_quality(holed, H1)
    (gap,) = quality.gaps
    assert (gap.bars, quality.gap_count, quality.part("missing").count) == (1200, 1, 1200)
    assert gap.first_ms == bars.index[60 * 120].timestamp() * 1000
    assert quality.expected == len(bars)
    # 130 days, named as one stretch of which nothing is there.
    (stretch,) = quality.quarantined_stretches
    assert stretch.score == 0.0
    assert 49 <= int(stretch.reason.split()[-4]) <= 51


def test_the_score_never_leaves_its_range_and_an_empty_history_scores_nothing(raw: pd.DataFrame) -> None:
    assert score_quality(raw.iloc[:0], H1).score == 0.0
    ruined = raw.copy()
    ruined.loc[:, :] = -1.0
    assert score_quality(ruined, H1).score == 0.0
    assert score_quality(raw.iloc[:1], H1).score == 100.0


def test_frames_without_zone_or_prices_or_numbers_are_refused(raw: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="open_time"):
        score_quality(raw.tz_localize(None), H1)
    with pytest.raises(BadInput, match="close"):
        score_quality(raw.drop(columns="close"), H1)
    with pytest.raises(BadInput, match=r"bars\.low"):
        score_quality(raw.assign(low="cheap"), H1)


@pytest.fixture(scope="module")
def spoiled_minutes() -> pd.DataFrame:
    bars = made_minutes(weeks=12, seed=4, timeframe=Timeframe.M5)
    random = np.random.default_rng(9)
    for name in (
        "spikes",
        "stale",
        "spreads",
        "zero_volume",
        "jumps",
        "missing",
        "wicks",
        "carried_spikes",
        "outside",
        "repeats",
        "conflicts",
        "disorder",
    ):
        bars = FAULTS[name][1](bars, np.sort(random.choice(np.arange(100, len(bars) - 100), 6, replace=False)))
    return bars


def in_blocks(bars: pd.DataFrame, cuts: list[int], timeframe: Timeframe) -> tuple[Quality, pd.DataFrame, int]:
    examiner = Examiner(timeframe)
    edges = [0, *sorted(cuts), len(bars)]
    parts = [examiner.add(bars.iloc[a:b]) for a, b in pairwise(edges)]
    taken = pd.concat([part for part, _ in parts if len(part)])
    return examiner.finish(), taken, sum(len(rejects) for _, rejects in parts)


@settings(QUIETLY, max_examples=8)
@given(data=st.data())
def test_many_blocks_give_the_answer_of_one(spoiled_minutes: pd.DataFrame, data: st.DataObject) -> None:
    whole, taken, rejected = in_blocks(spoiled_minutes, [], Timeframe.M5)
    assert whole.part("disorder").count == 6
    # The first cut stands between a spread that is known to be wrong at once and one that shows when its week is over.
    cuts = data.draw(st.just([11568]) | st.lists(st.integers(0, len(spoiled_minutes)), max_size=12))
    again, pieces, rejected_again = in_blocks(spoiled_minutes, cuts, Timeframe.M5)
    assert again == whole
    assert rejected_again == rejected
    pd.testing.assert_frame_equal(pieces, taken)


@pytest.mark.parametrize("timeframe", [Timeframe.M15, H1, Timeframe.H4, Timeframe.D1])
def test_many_blocks_give_the_answer_of_one_at_every_timeframe(timeframe: Timeframe, raw: pd.DataFrame) -> None:
    from components.fx import resample_bars

    bars = made_minutes(weeks=20, timeframe=timeframe) if timeframe is Timeframe.M15 else raw.rename_axis("open_time")
    if timeframe.ms > H1.ms:
        bars = resample_bars(bars, timeframe)
    rows = np.arange(50, len(bars) - 50, 31)[:4]
    for name in ("spikes", "stale", "missing"):
        bars = FAULTS[name][1](bars, rows)
    whole, _, _ = in_blocks(bars, [], timeframe)
    for cuts in ([1], [2, 3, 5], list(range(0, len(bars), max(7, len(bars) // 40)))):
        assert in_blocks(bars, cuts, timeframe)[0] == whole


def test_faults_at_the_edges_of_weeks_are_found_in_any_blocks() -> None:
    bars = made_minutes(weeks=14, seed=6, timeframe=Timeframe.M30)
    opens = np.flatnonzero(np.diff(bars.index.asi8, prepend=0) > 30 * 3_600_000)[2:]
    bars = FAULTS["spikes"][1](bars, opens[::3])
    bars = FAULTS["stale"][1](bars, opens[1::3])
    bars = FAULTS["wicks"][1](bars, opens[2::3] - 1)
    whole = in_blocks(bars, [], Timeframe.M30)[0]
    assert whole.spikes == len(opens[::3]) + len(opens[2::3])
    assert whole.stale == 20 * len(opens[1::3])
    for cuts in (opens.tolist(), (opens + 1).tolist(), (opens + 2).tolist(), (opens - 1).tolist()):
        assert in_blocks(bars, cuts, Timeframe.M30)[0] == whole


@pytest.mark.slow
def test_one_row_at_a_time_gives_the_answer_of_one_block() -> None:
    bars = FAULTS["spikes"][1](made_minutes(weeks=10, timeframe=H1), np.array([500, 700, 900, 1190]))
    assert in_blocks(bars, list(range(len(bars))), H1)[0] == in_blocks(bars, [], H1)[0]


def test_usable_rows_are_a_bars_frame_and_the_others_say_why_they_are_not() -> None:
    bars = made_minutes(weeks=2)
    at = places(bars, 6, apart=60)
    for number, name in enumerate(("bad_ohlc", "spreads", "disorder", "conflicts")):
        bars = FAULTS[name][1](bars, at + 10 * number)
    taken, rejects = Examiner(M1).add(bars)
    pd.testing.assert_frame_equal(validate_bars(taken), taken, check_freq=False)
    assert len(taken) + len(rejects) == len(bars)
    assert rejects["reason"].value_counts().to_dict() == {
        "impossible price or volume": 6,
        "comes after a later bar": 6,
        "contradicts a bar of the same time": 6,
    }
    assert list(rejects.columns) == [*bars.columns, "reason"]


def test_blocks_that_overlap_repeat_bars_and_the_first_that_came_stay(raw: pd.DataFrame) -> None:
    examiner = Examiner(H1)
    examiner.add(raw.iloc[:3000])
    taken, rejects = examiner.add(raw.iloc[2900:])
    assert len(taken) == 2000
    assert set(rejects["reason"]) == {"repeats a bar"}
    quality = examiner.finish()
    assert (quality.duplicates, quality.disorder, quality.usable, quality.rows) == (100, 0, 5000, 5100)


@pytest.mark.slow
def test_ten_years_of_minutes_stream_without_growing() -> None:
    year = made_minutes(weeks=52, start="2014-01-05 22:00")
    examiner = Examiner(M1)
    held: list[int] = []
    peaks: list[int] = []
    tracemalloc.start()
    for number in range(10):
        # 52 weeks on each time, so that the weeks stay weeks.
        block = year.set_axis(year.index + pd.Timedelta(weeks=52 * number), axis=0)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        examiner.add(block)
        del block
        held.append(tracemalloc.get_traced_memory()[0])
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    # A year adds a bit for each minute and little more; a year of bars would be 20 million bytes.
    assert held[-1] - held[1] < 8 * 500_000
    assert peaks[-1] < 1.2 * peaks[1]
    assert examiner.finish().rows == 10 * len(year)


SAFE = [name for name in FAULTS if name not in ("spreads", "off_grid", "ahead")]


@pytest.mark.slow
@settings(QUIETLY, max_examples=20)
@given(order=st.permutations(SAFE), counts=st.lists(st.integers(1, 12), min_size=len(SAFE), max_size=len(SAFE)), seed=st.integers(0, 5))
def test_more_faults_never_raise_the_score(order: list[str], counts: list[int], seed: int) -> None:
    """Faults are planted one kind after the other, each at places of its own, and the score is asked after each."""
    bars = made_minutes(weeks=13, seed=8, timeframe=Timeframe.M15).drop(columns="spread_points")
    # As many places of their own as faults, so that no fault hides another: a misprint whose bar is removed is no misprint.
    own = np.array_split(np.random.default_rng(seed).permutation(places(bars, 48, apart=23, seed=seed)), len(SAFE))
    planted: list[tuple[str, pd.DatetimeIndex]] = [(name, bars.index[rows]) for name, rows in zip(SAFE, own, strict=True)]
    times = dict(planted)
    lost = points(score_quality(bars, Timeframe.M15))
    for name, count in zip(order, counts, strict=True):
        first = pd.Series(np.arange(len(bars)), index=bars.index)
        first = first[~first.index.duplicated()]
        at = np.sort(first.reindex(times[name][:count]).dropna().to_numpy(dtype=np.int64))
        if not len(at):
            continue
        bars = FAULTS[name][1](bars, at)
        more = points(score_quality(bars, Timeframe.M15))
        assert more >= lost - 1e-9, f"{len(at)} × {name} took {lost:.4f} points lost down to {more:.4f}"
        lost = more


def points(quality: Quality) -> float:
    return sum(part.points for part in quality.parts)


@given(counts=st.dictionaries(st.sampled_from(sorted(PARTS)), st.integers(0, 500)), part=st.sampled_from(sorted(PARTS)), more=st.integers(1, 100))
def test_the_arithmetic_of_the_score_falls_with_every_count(counts: dict[str, int], part: str, more: int) -> None:
    from components.pipeline.quality_parts import make_part, score_of

    def score(found: dict[str, int]) -> float:
        return score_of(sum(make_part(name, found.get(name, 0), 1000).points for name in PARTS))

    worse = {**counts, part: counts.get(part, 0) + more}
    assert 0.0 <= score(worse) <= score(counts) <= 100.0


@pytest.mark.parametrize("more", ["outside", "repeats"])
def test_rows_that_do_not_belong_do_not_thin_out_the_faults_of_those_that_do(more: str, raw: pd.DataFrame) -> None:
    bad = FAULTS["bad_ohlc"][1](raw, places(raw, 120, apart=6))
    bad = FAULTS["spikes"][1](bad, places(raw, 100, apart=6, seed=5))
    before = score_quality(bad, H1)
    assert 40 < before.score < 80
    after = score_quality(FAULTS[more][1](bad, np.arange(100, 4900, 12)), H1)
    assert after.part("bad_ohlc").points >= before.part("bad_ohlc").points
    assert after.score < before.score


def test_a_quality_says_which_part_it_means(raw: pd.DataFrame) -> None:
    quality = score_quality(raw, H1)
    assert quality.part("outside").examples == ("2017-10-06 21:00", "2017-10-20 21:00")
    assert quality.part("outside").reason == PARTS["outside"].reason
    assert replace(quality, parts=()).part("outside").count == 0
