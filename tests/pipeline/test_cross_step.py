"""A kept set against everything else that is kept, and what becomes of its state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.fx import NotFound, Timeframe, validate_bars
from components.pipeline import BarSet, PipelineStore, cross_check_bar_set, keep_bars, repair_bar_set, resample_bar_set, score_quality
from tests.pipeline.lookalikes import bars_at, trading_ms

Kept = Callable[..., BarSet]
H1 = Timeframe.H1


def frame_of(symbol: str, seed: int, start: float) -> pd.DataFrame:
    bars = bars_at(trading_ms("2023-01-02", "2023-07-01", 60), start=start, seed=seed)
    index = pd.DatetimeIndex(bars.utc_ms.view("M8[ms]")).tz_localize("UTC").rename("open_time")
    return validate_bars(pd.DataFrame({**bars.prices, "volume": bars.volume.astype(np.float64)}, index=index))


@pytest.fixture(scope="module")
def euro() -> pd.DataFrame:
    """Half a year of hourly EURUSD."""
    return frame_of("EURUSD", 1, 1.1)


@pytest.fixture
def kept(home: Path) -> Kept:
    def keep(bars: pd.DataFrame, source: str = "one", symbol: str = "EURUSD", timeframe: Timeframe = H1) -> BarSet:
        quality = score_quality(bars, timeframe, symbol=symbol)
        return keep_bars(home, source, symbol, timeframe, bars, quality.score, quality.as_dict(), made_by={"kind": "collected"})

    return keep


def noisy(bars: pd.DataFrame, points: int = 2) -> pd.DataFrame:
    """The same market as another feed shows it: off by a point or two."""
    off = np.random.default_rng(5).integers(-points, points + 1, len(bars)) / 100_000
    prices = {name: bars[name] + off for name in ("open", "high", "low", "close")}
    return validate_bars(bars.assign(**prices))


def moved(bars: pd.DataFrame, hours: int) -> pd.DataFrame:
    return bars.set_axis(bars.index + pd.Timedelta(hours=hours))


def words(one: BarSet) -> list[tuple[str, str, str]]:
    return [(check["kind"], check["first"], check["second"]) for check in one.quality.get("cross", ())]


def test_alone_there_is_nothing_to_compare_and_nothing_changes(home: Path, kept: Kept, euro: pd.DataFrame) -> None:
    one = kept(euro)
    assert cross_check_bar_set(home, one.id) == one
    assert PipelineStore.open(home).states(one.id) == []


def test_another_source_that_agrees_is_told_and_costs_nearly_nothing(home: Path, kept: Kept, euro: pd.DataFrame) -> None:
    one = kept(euro)
    kept(noisy(euro), "two")
    told: list[tuple[float, str]] = []
    checked = cross_check_bar_set(home, one.id, lambda fraction, message, **_: told.append((fraction, message)))
    assert words(checked) == [("sources", "one H1", "two H1")]
    assert checked.state == "trusted"
    assert one.quality_score - 0.5 < checked.quality_score <= one.quality_score
    assert checked.quality["verdict"] == {"state": "trusted", "reasons": []}
    assert told[0][1].startswith("one H1 against two H1: ")


def test_of_two_clocks_that_disagree_both_are_quarantined_and_a_person_has_the_last_word(home: Path, kept: Kept, euro: pd.DataFrame) -> None:
    one, two = kept(euro), kept(moved(noisy(euro), 1), "two")
    for each in (one, two):
        checked = cross_check_bar_set(home, each.id)
        store = PipelineStore.open(home)
        if each is one:
            assert checked.state == "quarantined"
            assert any("moved by +1 h" in reason for reason in checked.quality["verdict"]["reasons"]), checked.quality["verdict"]
            assert [(change.state, change.by) for change in store.states(one.id)] == [("quarantined", "the platform")]
    store.set_state(one.id, "released", "Anna", "the other one is off")
    assert cross_check_bar_set(home, one.id).state == "released"


def test_what_a_person_quarantined_no_comparison_releases(home: Path, kept: Kept, euro: pd.DataFrame) -> None:
    one = kept(euro)
    kept(noisy(euro), "two")
    store = PipelineStore.open(home)
    store.set_state(one.id, "quarantined", "Anna", "these quotes were indicative")
    checked = cross_check_bar_set(home, one.id)
    assert words(checked)
    assert checked.state == "quarantined"
    assert [change.by for change in store.states(one.id)] == ["Anna"]


def test_what_the_platform_quarantined_it_trusts_again_when_nothing_speaks_against_it(home: Path, kept: Kept, euro: pd.DataFrame) -> None:
    one = kept(euro)
    kept(noisy(euro), "two")
    PipelineStore.open(home).set_state(one.id, "quarantined", "the platform", "an earlier comparison")
    assert cross_check_bar_set(home, one.id).state == "trusted"


def test_the_nearest_timeframe_of_each_other_source_is_taken_and_what_is_quarantined_says_nothing(home: Path, kept: Kept, euro: pd.DataFrame) -> None:
    one = kept(euro)
    two = kept(noisy(euro), "two")
    resample_bar_set(home, two.id, "H4")
    three = kept(noisy(euro, 1), "three")
    PipelineStore.open(home).set_state(three.id, "quarantined", "Anna", "no")
    assert words(cross_check_bar_set(home, one.id)) == [("sources", "one H1", "two H1")]


def test_what_is_made_of_a_set_is_no_second_opinion_of_it(home: Path, kept: Kept, euro: pd.DataFrame) -> None:
    spiked = euro.copy()
    spiked.iloc[500, spiked.columns.get_loc("high")] = 1.4
    one = kept(validate_bars(spiked))
    repaired = repair_bar_set(home, one.id, ["cut_spikes"], "Anna")
    assert words(cross_check_bar_set(home, one.id)) == []
    assert words(cross_check_bar_set(home, repaired.id)) == []


def test_a_cross_is_held_against_the_pairs_that_make_it(home: Path, kept: Kept, euro: pd.DataFrame) -> None:
    yen = frame_of("USDJPY", 2, 1.3) * 100
    yen["volume"] = 10.0
    cross = euro.copy()
    cross[["open", "close"]] = euro[["open", "close"]] * yen[["open", "close"]]
    cross["high"], cross["low"] = cross[["open", "close"]].max(axis=1), cross[["open", "close"]].min(axis=1)
    kept(euro)
    kept(validate_bars(yen), symbol="USDJPY")
    good = kept(validate_bars(cross), symbol="EURJPY")
    checked = cross_check_bar_set(home, good.id)
    assert [kind for kind, _, _ in words(checked)] == ["triangle"]
    assert checked.state == "trusted"
    off = kept(validate_bars(moved(cross, 2)), "two", symbol="EURJPY")
    assert cross_check_bar_set(home, off.id).state == "quarantined"


def test_sets_that_do_not_overlap_or_hardly_do_are_left_aside(home: Path, kept: Kept, euro: pd.DataFrame) -> None:
    one = kept(euro.iloc[:500])
    kept(noisy(euro.iloc[500:]), "two")
    kept(noisy(euro.iloc[490:]), "three")
    assert words(cross_check_bar_set(home, one.id)) == []


def test_an_unknown_set_is_not_found(home: Path) -> None:
    with pytest.raises(NotFound, match="'nothing'"):
        cross_check_bar_set(home, "nothing")
