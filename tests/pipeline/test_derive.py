"""Bar sets of a longer timeframe: their bars, where they come from, what they may be used for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.fx import BadInput, NotFound, Refused, Timeframe, bar_open_ms, resample_bars, validate_bars
from components.pipeline import BarSet, PipelineStore, Request, keep_bars, repair_bar_set, resample_bar_set, score_quality
from components.pipeline.collect import collect_series
from tests.pipeline.lookalikes import utc_of


def test_a_longer_set_holds_the_resampled_bars_and_names_its_parent(home: Path, bar_set: BarSet) -> None:
    told: list[float] = []
    made = resample_bar_set(home, bar_set.id, "H4", lambda fraction, message, **_: told.append(fraction))
    store = PipelineStore.open(home)
    expected = resample_bars(store.load_bars(bar_set.id), Timeframe.H4, source=Timeframe.H1)
    pd.testing.assert_frame_equal(store.load_bars(made.id), expected, check_freq=False)
    assert (made.parents, made.source, made.symbol, made.timeframe, made.state) == ((bar_set.id,), "sample", "EURUSD", "H4", "trusted")
    assert made.made_by == {"kind": "resampled", "from": bar_set.id, "from_timeframe": "H1"}
    assert made.quality["verdict"] == {"state": "trusted", "reasons": []}
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert resample_bar_set(home, bar_set.id, Timeframe.H4) == made


@pytest.mark.parametrize("timeframe", ["H4", "D1", "W1"])
def test_long_bars_open_at_five_in_new_york(home: Path, bar_set: BarSet, timeframe: str) -> None:
    bars = PipelineStore.open(home).load_bars(resample_bar_set(home, bar_set.id, timeframe).id)
    hours = set(bars.index.tz_convert("America/New_York").hour)
    assert hours == ({17, 21, 1, 5, 9, 13} if timeframe == "H4" else {17})


def test_a_shorter_or_equal_timeframe_is_refused_and_so_is_one_for_which_the_bars_do_not_suffice(
    home: Path, bar_set: BarSet, raw: pd.DataFrame
) -> None:
    for name in ("H1", "M5"):
        with pytest.raises(BadInput, match=f"timeframe: {name} is not longer than H1, the timeframe of {bar_set.id}"):
            resample_bar_set(home, bar_set.id, name)
    with pytest.raises(BadInput, match="timeframe: 'H7' is unknown"):
        resample_bar_set(home, bar_set.id, "H7")
    few = keep_bars(home, "few", "EURUSD", Timeframe.H1, validate_bars(raw.iloc[:10]), 100.0, {})
    with pytest.raises(BadInput, match="is too short for one whole W1 bar"):
        resample_bar_set(home, few.id, "W1")
    with pytest.raises(NotFound, match="'nothing'"):
        resample_bar_set(home, "nothing", "H4")


@pytest.fixture
def thin(home: Path, tmp_path: Path, raw: pd.DataFrame) -> BarSet:
    """Half of the sample's bars, as somebody's file: quarantined."""
    some = (
        raw.iloc[np.sort(np.random.default_rng(1).choice(len(raw), len(raw) // 2, replace=False))]
        .reset_index(names="time")
        .assign(time=lambda one: one["time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    )
    some.to_csv(tmp_path / "thin.csv", index=False)
    made = collect_series(home, "folder", Request("EURUSD", "H1", options={"path": str(tmp_path / "thin.csv")})).bar_set
    assert made is not None
    return made


def test_nothing_is_made_of_a_quarantined_set_until_a_person_releases_it(home: Path, thin: BarSet) -> None:
    assert thin.state == "quarantined"
    with pytest.raises(Refused, match=f"bar set {thin.id} .* is quarantined and nothing is built on it: the score"):
        resample_bar_set(home, thin.id, "H4")
    assert len(PipelineStore.open(home).bar_sets()) == 1


def test_what_is_made_of_a_released_set_is_judged_by_itself_and_released_with_it(home: Path, thin: BarSet) -> None:
    """Half of the hours makes nearly every day, but no good history of hours."""
    store = PipelineStore.open(home)
    store.set_state(thin.id, "released", "Anna", "good enough to look at")
    daily = resample_bar_set(home, thin.id, "D1")
    assert (daily.state, daily.quality["verdict"]["state"]) == ("trusted", "trusted")
    assert store.states(daily.id) == []
    hourly = keep_bars(home, "thinner", "EURUSD", Timeframe.M30, store.load_bars(thin.id), 1.0, {}, state="quarantined")
    store.set_state(hourly.id, "released", "Ben", "only a try")
    longer = resample_bar_set(home, hourly.id, "H1")
    assert (longer.state, longer.quality["verdict"]["state"]) == ("released", "quarantined")
    assert [(one.state, one.by) for one in store.states(longer.id)] == [("quarantined", "the platform"), ("released", "the platform")]
    assert "only a try (Ben)" in store.states(longer.id)[-1].reason


def test_a_child_that_a_person_quarantined_stays_so_when_it_is_made_again(home: Path, thin: BarSet) -> None:
    store = PipelineStore.open(home)
    store.set_state(thin.id, "released", "Anna", "good enough to look at")
    daily = resample_bar_set(home, thin.id, "D1")
    store.set_state(daily.id, "quarantined", "Ben", "not for me")
    assert resample_bar_set(home, thin.id, "D1").state == "quarantined"


def test_a_set_that_is_bad_in_its_own_timeframe_is_quarantined_although_its_parent_is_trusted(home: Path, raw: pd.DataFrame) -> None:
    """Hours of every third day: marked as trusted by whoever kept them, they are no daily history."""
    days = pd.DatetimeIndex(raw.index).dayofyear.to_numpy()
    bars = validate_bars(raw.iloc[np.flatnonzero(days % 3 == 0)])
    parent = keep_bars(home, "odd", "EURUSD", Timeframe.H1, bars, 99.0, {})
    made = resample_bar_set(home, parent.id, "D1")
    assert made.state == "quarantined"
    assert made.quality["verdict"]["reasons"]


def test_the_symbol_decides_which_pauses_are_expected(home: Path, raw: pd.DataFrame) -> None:
    """An index pauses in the evening; as a pair of currencies the same bars would be full of holes."""
    local = pd.DatetimeIndex(raw.index).tz_convert("America/New_York")
    half = pd.concat([raw, raw.set_axis(raw.index + pd.Timedelta(minutes=30))]).sort_index()
    half = half[~np.isin(pd.DatetimeIndex(half.index).tz_convert("America/New_York").hour, (19, 20, 21, 22))]
    assert len(local)
    scores = {}
    for symbol in ("US30", "EURUSD"):
        kept = keep_bars(home, "odd", symbol, Timeframe.M30, validate_bars(half), 99.0, {})
        scores[symbol] = resample_bar_set(home, kept.id, "H1").quality_score
    assert scores["US30"] > 95
    assert scores["EURUSD"] < 90


def test_a_bar_in_which_a_repaired_one_lies_is_flagged(home: Path, raw: pd.DataFrame) -> None:
    bars = validate_bars(raw).copy()
    bars.iloc[2_000, bars.columns.get_loc("high")] = 1.5
    quality = score_quality(bars, Timeframe.H1)
    kept = keep_bars(home, "spiked", "EURUSD", Timeframe.H1, bars, quality.score, quality.as_dict())
    repaired = repair_bar_set(home, kept.id, ["cut_spikes"], "Anna")
    store = PipelineStore.open(home)
    touched = utc_of(store.load_bars(repaired.id))[store.load_bars(repaired.id)["repair"].to_numpy() != 0]
    made = resample_bar_set(home, repaired.id, "H4")
    found = store.load_bars(made.id)
    flagged = utc_of(found)[found["repair"].to_numpy() != 0]
    assert len(touched)
    assert flagged.tolist() == sorted(set(bar_open_ms(touched, Timeframe.H4).tolist()))
    assert next(part for part in made.quality["parts"] if part["name"] == "repaired")["count"] == len(flagged)
