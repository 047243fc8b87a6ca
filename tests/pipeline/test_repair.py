"""Repairs: each flagged on its row, each known at the bar's own close, and made into a copy that names its parent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.features import check_causal
from components.fx import BadInput, NotFound, Timeframe, validate_bars
from components.pipeline import (
    REPAIRS,
    BarSet,
    PipelineStore,
    cross_check,
    propose_repairs,
    repair_bar_set,
    repair_bars,
    score_quality,
    with_cross_checks,
)
from components.pipeline.cross_check import ShiftedStretch
from components.pipeline.repair import past_moves
from tests.pipeline.planted_faults_data import FAULTS, PRICES, made_minutes, places

H1, M5 = Timeframe.H1, Timeframe.M5


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return made_minutes(weeks=6, seed=3, timeframe=M5)


def flags(frame: pd.DataFrame, kind: str) -> np.ndarray:
    return np.flatnonzero(frame["repair"].to_numpy() & REPAIRS[kind][0])


def test_clean_bars_need_nothing_and_come_back_as_they_were(bars: pd.DataFrame) -> None:
    frame, report = repair_bars(bars, REPAIRS)
    assert {kind: done["rows"] for kind, done in report.items()} == dict.fromkeys(REPAIRS, 0)
    assert frame["repair"].dtype == np.int64
    assert not frame["repair"].any()
    pd.testing.assert_frame_equal(frame.drop(columns="repair"), bars, check_freq=False)
    assert propose_repairs(bars) == []


def test_rows_out_of_order_are_put_in_their_place_and_flagged(bars: pd.DataFrame) -> None:
    at = places(bars, 8, apart=20)
    frame, report = repair_bars(FAULTS["disorder"][1](bars, at), ["sort"])
    assert report["sort"]["rows"] == 8
    assert flags(frame, "sort").tolist() == at.tolist()
    pd.testing.assert_frame_equal(frame.drop(columns="repair"), bars, check_freq=False)


def test_the_first_of_rows_with_the_same_time_stays_and_is_flagged(bars: pd.DataFrame) -> None:
    at = places(bars, 8, apart=20)
    frame, report = repair_bars(FAULTS["conflicts"][1](bars, at), ["drop_duplicates"])
    assert report["drop_duplicates"]["rows"] == 8
    assert flags(frame, "drop_duplicates").tolist() == at.tolist()
    pd.testing.assert_frame_equal(frame.drop(columns="repair"), bars, check_freq=False)


def test_a_high_below_the_close_is_moved_to_it_and_rows_without_prices_are_left_out(bars: pd.DataFrame) -> None:
    at = places(bars, 3, apart=20)
    bad = bars.copy()
    bad.iloc[at[0], bad.columns.get_loc("high")] = bars["low"].iloc[at[0]] - 0.01
    bad.iloc[at[1], bad.columns.get_loc("open")] = np.nan
    bad.iloc[at[2], bad.columns.get_loc("low")] = bars["high"].iloc[at[2]] + 0.01
    with pytest.raises(BadInput, match="ask for clip_ohlc too"):
        repair_bars(bad, ["fill_gaps"])
    frame, report = repair_bars(bad, ["clip_ohlc"])
    assert report["clip_ohlc"]["rows"] == 3
    assert len(frame) == len(bars) - 1
    first, last = frame.loc[bars.index[at[0]]], frame.loc[bars.index[at[2]]]
    assert first["high"] == max(first["open"], first["close"])
    assert last["low"] == min(last["open"], last["close"])
    assert flags(frame, "clip_ohlc").tolist() == [at[0], at[2] - 1]


def test_a_misprint_is_cut_to_what_the_past_makes_likely_and_the_bars_around_are_left_alone(bars: pd.DataFrame) -> None:
    at = places(bars.iloc[1440:], 12, apart=60) + 1440
    frame, report = repair_bars(FAULTS["spikes"][1](bars, at), ["cut_spikes"])
    assert report["cut_spikes"]["rows"] == 12
    assert flags(frame, "cut_spikes").tolist() == at.tolist()
    others = np.setdiff1d(np.arange(len(bars)), at)
    pd.testing.assert_frame_equal(frame.drop(columns="repair").iloc[others], bars.iloc[others], check_freq=False)
    usual = past_moves(bars.index.asi8, bars["close"].to_numpy(), M5)[at]
    moves = np.abs(frame["close"].to_numpy()[at] / bars["close"].to_numpy()[at - 1] - 1)
    # The moves of misprints before are among the last 240, which changes a median a little.
    np.testing.assert_allclose(moves, 5 * usual, rtol=0.1)
    assert score_quality(frame, M5).spikes == 0


def test_a_price_that_jumps_and_stays_is_believed_from_its_second_bar_on(bars: pd.DataFrame) -> None:
    row = int(places(bars.iloc[1440:], 1, apart=60)[0]) + 1440
    level = np.where(np.arange(len(bars)) >= row, 1.01, 1.0)
    jumped = bars.assign(**{name: bars[name] * level for name in PRICES})
    jumped.iloc[row, 0] = jumped["close"].iloc[row]
    frame, _ = repair_bars(jumped, ["cut_spikes"])
    assert flags(frame, "cut_spikes").tolist() == [row]
    pd.testing.assert_frame_equal(frame[PRICES].iloc[row + 1 :], jumped[PRICES].iloc[row + 1 :], check_freq=False)


@pytest.mark.parametrize("fault", ["spikes", "wicks", "carried_spikes"])
def test_what_is_cut_was_known_when_the_bar_closed(fault: str, bars: pd.DataFrame) -> None:
    short = FAULTS[fault][1](bars.iloc[:4000], places(bars.iloc[1440:4000], 12, apart=60) + 1440)
    short = short.drop(columns="spread_points")

    def cut(frame: pd.DataFrame) -> pd.DataFrame:
        return repair_bars(frame, ["cut_spikes"], timeframe=M5)[0]

    assert repair_bars(short, ["cut_spikes"])[1]["cut_spikes"]["rows"] >= 10
    assert check_causal(cut, short, cuts=24) == []


def test_a_cut_that_asks_the_next_bar_is_caught(bars: pd.DataFrame) -> None:
    """The check itself: a repair that takes a spike back by the bar after it is no repair to trade on."""
    short = FAULTS["spikes"][1](bars.iloc[:600], places(bars.iloc[:600], 3, apart=40)).drop(columns="spread_points")

    def mended(frame: pd.DataFrame) -> pd.DataFrame:
        close = frame["close"]
        back = (close.shift(-1) / close - 1).abs() > 0.003
        return frame.assign(close=close.where(~back, close.shift(1)))

    assert {leak.column for leak in check_causal(mended, short, cuts=range(60, 598, 3))} == {"close"}


def test_the_scale_of_a_cut_is_known_before_the_bar(bars: pd.DataFrame) -> None:
    close, times = bars["close"].to_numpy(), bars.index.asi8
    whole = past_moves(times, close, M5)
    # Nothing is known of an hour before a week had it.
    assert np.isnan(whole[:1440]).all()
    assert (whole[1440:] > 0).all()
    for cut in (1440, 1441, 1700, 2880, 2999):
        other = close.copy()
        other[cut:] *= 1.3
        np.testing.assert_array_equal(past_moves(times, other, M5)[: cut + 1], whole[: cut + 1])
        np.testing.assert_array_equal(past_moves(times[: cut + 1], close[: cut + 1], M5), whole[: cut + 1])


def test_bars_outside_the_session_are_left_out(bars: pd.DataFrame) -> None:
    frame, report = repair_bars(FAULTS["outside"][1](bars, np.arange(9)), ["drop_outside"])
    assert report["drop_outside"]["rows"] == 9
    pd.testing.assert_frame_equal(frame.drop(columns="repair"), bars, check_freq=False)


def test_the_first_bars_of_a_hole_are_filled_flat_and_no_more_than_that(bars: pd.DataFrame) -> None:
    holed = bars.drop(bars.index[[*range(100, 103), *range(200, 240)]])
    frame, report = repair_bars(holed, ["fill_gaps"], most_filled=5)
    assert report["fill_gaps"]["rows"] == 3 + 5
    made = frame.iloc[flags(frame, "fill_gaps")]
    assert made.index.tolist() == bars.index[[100, 101, 102, 200, 201, 202, 203, 204]].tolist()
    assert (made[PRICES].to_numpy() == np.repeat(bars["close"].to_numpy()[[99, 199]], [3, 5])[:, None]).all()
    assert (made["volume"] == 0).all()
    assert made["spread_points"].tolist() == np.repeat(bars["spread_points"].to_numpy()[[99, 199]], [3, 5]).tolist()
    pd.testing.assert_frame_equal(validate_bars(frame), frame.drop(columns="repair"), check_freq=False)
    # Weekends and holidays are no holes.
    assert repair_bars(bars, ["fill_gaps"])[1]["fill_gaps"]["rows"] == 0


def test_what_is_filled_was_known_when_the_bar_would_have_closed(bars: pd.DataFrame) -> None:
    """The number of bars that follow a hole, and their prices, change nothing before them."""
    random = np.random.default_rng(1)
    holed = bars[random.random(len(bars)) > 0.1]
    whole, _ = repair_bars(holed, ["fill_gaps"], timeframe=M5)
    for cut in random.integers(10, len(holed), 20).tolist():
        part, _ = repair_bars(holed.iloc[: cut + 1], ["fill_gaps"], timeframe=M5)
        pd.testing.assert_frame_equal(part, whole.loc[: holed.index[cut]], check_freq=False)


def test_a_stretch_whose_clock_was_found_wrong_is_moved_and_flagged(bars: pd.DataFrame) -> None:
    first, last = pd.Timestamp("2023-01-22 22:00", tz="UTC"), pd.Timestamp("2023-02-05 21:59", tz="UTC")
    here = (bars.index >= first) & (bars.index <= last)
    late = bars.set_axis(bars.index.where(~here, bars.index + pd.Timedelta(hours=1)), axis=0)
    check = cross_check(late, bars, "EURUSD")
    assert [stretch.minutes for stretch in check.shifted] == [-60]
    quality = with_cross_checks(score_quality(late, M5), [check])
    (proposal,) = [one for one in propose_repairs(late, quality) if one.kind == "shift_clock"]
    assert proposal.rows == here.sum()
    frame, _ = repair_bars(late, ["shift_clock"], shifts=check.shifted)
    assert len(flags(frame, "shift_clock")) == here.sum()
    pd.testing.assert_frame_equal(frame.drop(columns="repair"), bars, check_freq=False)


def test_a_moved_bar_gives_way_to_one_that_stayed(bars: pd.DataFrame) -> None:
    at = bars.index.asi8
    frame, _ = repair_bars(bars, ["shift_clock"], shifts=[ShiftedStretch(int(at[10]), int(at[10]), 5)])
    assert len(frame) == len(bars) - 1
    assert not frame["repair"].any()


def test_repairs_are_made_in_their_own_order_and_flags_add_up(bars: pd.DataFrame) -> None:
    at = places(bars.iloc[1440:], 5, apart=60) + 1440
    bad = bars.copy()
    bad.iloc[at, bad.columns.get_loc("high")] *= 1.02
    bad.iloc[at, bad.columns.get_loc("low")] = bars["high"].iloc[at].to_numpy() + 0.001
    frame, _ = repair_bars(bad.assign(repair=np.int64(64)), ["cut_spikes", "clip_ohlc"])
    assert (frame["repair"].to_numpy()[at] == 64 | REPAIRS["clip_ohlc"][0] | REPAIRS["cut_spikes"][0]).all()
    assert (np.delete(frame["repair"].to_numpy(), at) == 64).all()


def test_further_columns_stay_and_filled_bars_say_that_theirs_are_not_known(bars: pd.DataFrame) -> None:
    traced = bars.assign(raw_ms=bars.index.asi8 + 7_200_000).drop(bars.index[50])
    frame, _ = repair_bars(traced, ["fill_gaps"])
    assert frame["raw_ms"].iloc[50] == -1
    assert frame["raw_ms"].dtype == np.int64
    assert (frame["raw_ms"].drop(frame.index[50]) - 7_200_000 == frame.index.drop(frame.index[50]).asi8).all()


def test_unknown_repairs_and_bars_without_zone_are_refused(bars: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="'polish' is no repair; known are sort"):
        repair_bars(bars, ["polish"])
    with pytest.raises(BadInput, match="open_time"):
        repair_bars(bars.tz_localize(None), ["sort"])
    with pytest.raises(BadInput, match="ask for drop_duplicates or sort too"):
        repair_bars(bars.iloc[::-1], ["fill_gaps"])
    with pytest.raises(BadInput, match="most_filled"):
        repair_bars(bars, ["fill_gaps"], most_filled=-1)


def test_the_bars_that_are_given_are_not_changed(bars: pd.DataFrame) -> None:
    bad = FAULTS["spikes"][1](FAULTS["disorder"][1](bars, places(bars, 5, apart=60)), places(bars, 5, apart=60, seed=4))
    before = bad.copy()
    repair_bars(bad, REPAIRS)
    pd.testing.assert_frame_equal(bad, before)


def test_a_repaired_bar_set_names_its_parent_and_what_was_done(home: Path, bar_set: BarSet) -> None:
    store = PipelineStore.open(home)
    with pytest.raises(BadInput, match="would change nothing"):
        repair_bar_set(home, bar_set.id, ["sort", "fill_gaps"], by="ann")
    made = repair_bar_set(home, bar_set.id, ["drop_outside"], by="ann")
    assert made.parents == (bar_set.id,)
    assert made.id != bar_set.id
    assert {name: made.made_by[name] for name in ("kind", "from", "kinds", "by", "repaired_rows")} == {
        "kind": "repaired",
        "from": bar_set.id,
        "kinds": ["drop_outside"],
        "by": "ann",
        "repaired_rows": 0,
    }
    assert made.made_by["report"]["drop_outside"]["rows"] == 2
    assert (made.rows, made.quality_score, made.state) == (4998, 100.0, "trusted")
    assert "repair" in store.load_bars(made.id).columns
    assert store.bar_set(bar_set.id) == bar_set
    assert len(store.load_bars(bar_set.id)) == 5000


def test_a_repair_says_who_made_it_and_which_it_is(home: Path, bar_set: BarSet) -> None:
    for kinds, by, words in ((["polish"], "ann", "no repair"), ([], "ann", "name one of"), (["sort"], " ", "by: is missing")):
        with pytest.raises(BadInput, match=words):
            repair_bar_set(home, bar_set.id, kinds, by=by)
    with pytest.raises(NotFound):
        repair_bar_set(home, "nothing", ["sort"], by="ann")


def test_rows_that_a_collection_left_out_are_taken_back_from_its_pieces(home: Path, tmp_path: Path, raw: pd.DataFrame) -> None:
    from components.pipeline import collect

    bad = raw.copy()
    bad.iloc[500:520, bad.columns.get_loc("high")] = bad["low"].iloc[500:520] - 0.001
    order = np.arange(len(bad))
    order[300:304] = np.roll(order[300:304], -1)
    file = tmp_path / "EURUSD_H1.csv"
    bad.iloc[order].rename_axis("time").tz_localize(None).to_csv(file)
    options = {"path": str(file), "time": ["time"], "columns": {name: name for name in bad.columns}}
    collected = collect(home, "folder", "EURUSD", "H1", options=options)
    assert collected.rows < 5000
    bars = PipelineStore.open(home).load_bars(collected.id)
    proposals = {one.kind: one.rows for one in propose_repairs(bars, collected)}
    assert proposals["clip_ohlc"] == 20
    made = repair_bar_set(home, collected.id, ["clip_ohlc", "sort"], by="ann")
    mended = PipelineStore.open(home).load_bars(made.id)
    assert len(mended) == 5000
    assert len(flags(mended, "clip_ohlc")) == 20
    assert made.quality_score > collected.quality_score
    assert made.quality["bad_ohlc"] == 0


@pytest.mark.slow
def test_the_real_cable_spike_of_2022_is_cut_and_the_real_crash_of_brexit_night_is_believed_a_bar_later(realdata: Path) -> None:
    frames = {}
    for name in ("gbpjpy_h1", "gbpjpy_d1"):
        bars = pd.read_csv(realdata / "broker_bars" / f"{name}.csv.gz").rename(columns=str.lower)
        index = pd.DatetimeIndex(pd.to_datetime(bars.pop("date")) - pd.Timedelta(hours=7)).tz_localize(
            "America/New_York", ambiguous=False, nonexistent="shift_forward"
        )
        frames[name], report = repair_bars(bars.set_axis(index.tz_convert("UTC").as_unit("ms"), axis=0), ["cut_spikes"])
        assert 0 < report["cut_spikes"]["rows"] < 20
    spike = frames["gbpjpy_h1"].loc[pd.Timestamp("2022-09-13 12:00", tz="UTC")]
    # Delivered: a high of 170.347 in an hour that opened at 166.645 and closed at 166.862.
    assert spike["repair"] == REPAIRS["cut_spikes"][0]
    assert spike["high"] < 168
    night = frames["gbpjpy_d1"].loc["2016-06-22":"2016-06-28", "repair"]
    assert night.tolist() == [0, REPAIRS["cut_spikes"][0], 0, 0, 0]
