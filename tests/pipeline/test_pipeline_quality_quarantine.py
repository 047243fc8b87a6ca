"""Quarantine: what is held back and why, what a person releases, and that a comparison with kept bars can hold new ones back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.fx import Refused, Timeframe
from components.pipeline import (
    BarSet,
    PipelineStore,
    Quality,
    build_dataset,
    cross_check,
    cross_check_bar_set,
    keep_bars,
    refuse_quarantined,
    score_quality,
    verdict,
    with_cross_checks,
)
from components.pipeline.quality_parts import CROSS_PARTS, PARTS
from tests.pipeline.planted_faults_data import FAULTS, PRICES, made_minutes, places

H1 = Timeframe.H1


def keep(home: Path, bars: pd.DataFrame, source: str = "sample", symbol: str = "EURUSD", timeframe: Timeframe = H1, **facts: Any) -> BarSet:
    quality = score_quality(bars, timeframe, symbol=symbol)
    judged = verdict(quality, facts)
    parts = {**quality.as_dict(), "verdict": {"state": judged.state, "reasons": list(judged.reasons)}}
    return keep_bars(home, source, symbol, timeframe, bars, quality.score, parts, made_by=facts, state=judged.state)


def test_the_real_sample_is_trusted(raw: pd.DataFrame) -> None:
    judged = verdict(score_quality(raw, H1))
    assert (judged.state, judged.reasons, judged.quarantined_stretches) == ("trusted", (), ())


def test_a_score_below_eighty_is_held_back_and_the_reason_names_the_worst_parts(raw: pd.DataFrame) -> None:
    holed = raw.iloc[(np.arange(5000) % 4 > 0).nonzero()[0]]
    judged = verdict(score_quality(holed, H1))
    assert judged.state == "quarantined"
    assert judged.reasons[0].startswith("the score 75.02 is below 80 (missing −25.0)")
    assert len(judged.quarantined_stretches) > 0


@pytest.mark.parametrize(("fault", "count"), [("conflicts", 60), ("disorder", 60), ("spikes", 30), ("off_grid", 80)])
def test_a_fault_of_its_own_limit_is_held_back_although_the_score_is_high(fault: str, count: int, raw: pd.DataFrame) -> None:
    part, plant, _ = FAULTS[fault]
    quality = score_quality(plant(raw, places(raw, count, apart=6)), H1)
    assert quality.score > 80
    judged = verdict(quality)
    assert judged.state == "quarantined"
    assert judged.reasons[0].startswith(f"{part.replace('_', ' ')}: {count:,} bars are")
    assert PARTS[part].reason in judged.reasons[0]


def test_weeks_that_begin_at_the_wrong_hour_are_held_back(raw: pd.DataFrame) -> None:
    quality = score_quality(raw.set_axis(raw.index + pd.Timedelta(hours=1), axis=0), H1)
    assert quality.score > 95
    assert verdict(quality).reasons == (quality.clock,)


def test_a_clock_that_is_a_guess_is_held_back_but_not_for_daily_bars(raw: pd.DataFrame) -> None:
    quality = score_quality(raw, H1)
    made_by = {"pieces": [{"key": "a.csv", "facts": {"clock": {"confidence": 0.9}}}, {"key": "b.csv", "facts": {"clock": {"confidence": 0.31}}}]}
    (reason,) = verdict(quality, made_by).reasons
    assert reason.startswith("the clock of b.csv is known with a confidence of 0.31 only; 0.5 is needed")
    assert verdict(replace(quality, timeframe="D1"), made_by).state == "trusted"
    assert verdict(quality, {"pieces": [{"key": "a.csv", "facts": {}}, {"key": "b.csv", "facts": {"clock": None}}]}).state == "trusted"


def test_nothing_is_built_on_what_is_held_back_until_a_person_releases_it(home: Path, raw: pd.DataFrame) -> None:
    bars = raw.rename_axis("open_time").astype(float)
    late = bars.set_axis(bars.index + pd.Timedelta(hours=1), axis=0)
    bar_set = keep(home, late)
    assert bar_set.state == "quarantined"
    with pytest.raises(Refused) as caught:
        refuse_quarantined(bar_set)
    assert caught.value.code == "quarantined"
    assert "weeks go on after it closes: the clock of these bars is off" in caught.value.message
    assert f"sequence quality release {bar_set.id} --reason" in caught.value.message
    with pytest.raises(Refused, match="is quarantined and nothing is built on it"):
        build_dataset(home, bar_set.id)
    store = PipelineStore.open(home)
    released = store.set_state(bar_set.id, "released", "ann", "the broker opens an hour late")
    refuse_quarantined(released)
    assert build_dataset(home, bar_set.id).rows > 1000
    assert [(one.state, one.by) for one in store.states(bar_set.id)] == [("quarantined", "the platform"), ("released", "ann")]


def test_what_a_person_quarantined_says_where_to_read_why(bar_set: BarSet) -> None:
    with pytest.raises(Refused, match=f"a person said so; see: sequence quality states {bar_set.id}"):
        refuse_quarantined(replace(bar_set, state="quarantined"))


def test_every_part_has_a_weight_a_limit_and_a_reason() -> None:
    for rule in (*PARTS.values(), *CROSS_PARTS.values()):
        assert rule.weight > 0
        assert 0 <= rule.most <= 1
        assert len(rule.reason) > 20


def test_a_kept_set_that_another_source_speaks_against_is_held_back(home: Path) -> None:
    bars = made_minutes(weeks=12, timeframe=H1)
    keep(home, bars, source="first")
    # Half an hour before and after the week, nothing looks wrong: only the other source tells that the prices are an hour late.
    shifted = bars.iloc[1:].set_axis(bars.index[:-1], axis=0)
    mine = keep(home, shifted, source="second")
    assert mine.state == "trusted"
    told = cross_check_bar_set(home, mine.id)
    assert told.state == "quarantined"
    assert told.quality["cross"][0]["shift_minutes"] == 60
    assert told.quality_score < mine.quality_score - 50
    with pytest.raises(Refused, match="fits best when moved by \\+1 h"):
        refuse_quarantined(told)


def test_only_the_pair_of_a_triangle_that_is_off_is_held_back(home: Path) -> None:
    euro, yen = made_minutes(12, seed=1, timeframe=H1), made_minutes(12, seed=2, timeframe=H1)
    cross = euro.assign(**{name: euro[name] * yen[name] for name in PRICES})
    kept = {symbol: keep(home, bars, symbol=symbol) for symbol, bars in (("EURUSD", euro), ("USDJPY", yen))}
    late = keep(home, cross.iloc[1:].set_axis(cross.index[:-1], axis=0), symbol="EURJPY")
    told = cross_check_bar_set(home, kept["USDJPY"].id)
    assert [(one["kind"], one["shifted_series"], one["shift_minutes"]) for one in told.quality["cross"]] == [("triangle", "EURJPY", 60)]
    assert Quality.from_dict(told.quality).shifts == ()
    assert not [reason for reason in told.quality["verdict"]["reasons"] if "moved by" in reason]
    held = cross_check_bar_set(home, late.id)
    assert held.state == "quarantined"
    assert len(Quality.from_dict(held.quality).shifts) == 1


def test_an_old_quality_without_parts_can_be_read_and_compared(raw: pd.DataFrame) -> None:
    old = {name: value for name, value in score_quality(raw, H1).as_dict().items() if name not in ("parts", "cross", "breaks", "usable", "symbol")}
    quality = Quality.from_dict({**old, "something_else": 1})
    assert quality.parts == ()
    assert with_cross_checks(quality, []).score == quality.score
    off = cross_check(raw.assign(close=raw["close"] + 0.0010 * (np.arange(5000) % 4 == 0)), raw, "EURUSD")
    told = with_cross_checks(quality, [off])
    assert told.score == pytest.approx(99.99 - 50 / 4, abs=0.02)
    assert with_cross_checks(told, [off]).score == pytest.approx(told.score, abs=0.02)
    assert verdict(quality).state == "trusted"
