"""From the sample source to a catalogued, mapped, intact bar set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.base import sha256_of
from components.fx import BadInput, Corrupt, NotFound, Refused, Timeframe, validate_bars
from components.pipeline import BarSet, PipelineStore, build_dataset, collect, fetch_bars, source_named, sources


def test_the_sample_becomes_a_bar_set_that_gives_back_its_bars_exactly(home: Path, bar_set: BarSet, raw: pd.DataFrame) -> None:
    assert (bar_set.symbol, bar_set.timeframe, bar_set.source, bar_set.rows) == ("EURUSD", "H1", "sample", 5000)
    bars = PipelineStore.open(home).load_bars(bar_set.id)
    pd.testing.assert_frame_equal(bars, validate_bars(raw), check_freq=False)
    assert bars.index[0] == pd.Timestamp(bar_set.start_ms, unit="ms", tz="UTC")
    assert bars.index[-1] + pd.Timedelta(hours=1) == pd.Timestamp(bar_set.end_ms, unit="ms", tz="UTC")
    assert "spread_points" not in bars.columns  # none is recorded in the source


def test_collecting_twice_gives_the_same_bar_set_and_leaves_its_file_alone(home: Path, bar_set: BarSet) -> None:
    written = bar_set.path.stat().st_mtime_ns
    assert collect(home, "sample", "EURUSD", Timeframe.H1) == bar_set
    assert PipelineStore.open(home).bar_sets() == [bar_set]
    assert bar_set.path.stat().st_mtime_ns == written


def test_the_file_is_uncompressed_and_mapped_without_copies(home: Path, bar_set: BarSet, raw: pd.DataFrame) -> None:
    assert raw["close"].to_numpy().tobytes() in bar_set.path.read_bytes()
    assert sha256_of(bar_set.path) == bar_set.sha256
    bars = PipelineStore.open(home).load_bars(bar_set.id)
    assert not bars["close"].to_numpy().flags.owndata
    assert not list(bar_set.path.parent.glob("*.tmp"))


def test_a_changed_file_is_corrupt_and_a_missing_one_not_found_until_it_is_collected_again(home: Path, bar_set: BarSet) -> None:
    store = PipelineStore.open(home)
    content = bytearray(bar_set.path.read_bytes())
    content[len(content) // 2] ^= 1
    bar_set.path.write_bytes(content)
    with pytest.raises(Corrupt, match="not what was written"):
        store.load_bars(bar_set.id)
    assert collect(home, "sample", "EURUSD", "H1").id == bar_set.id
    assert len(store.load_bars(bar_set.id)) == 5000
    bar_set.path.unlink()
    with pytest.raises(NotFound, match="is gone"):
        store.load_bars(bar_set.id)


def test_the_sample_times_are_utc_for_the_week_opens_at_five_in_new_york(raw: pd.DataFrame) -> None:
    after_a_pause = raw.index[1:][np.diff(raw.index.as_unit("ms").asi8) > 3_600_000]
    assert len(after_a_pause) == 42
    assert set(after_a_pause.tz_convert("America/New_York").hour) == {17}
    assert set(after_a_pause.hour) == {21, 22}


def test_the_source_says_what_it_is_and_that_it_has_no_spread() -> None:
    sample = source_named("sample")
    assert "sample" in [source.name for source in sources()]
    assert "AGPL" in sample.note
    assert "No spread is recorded" in sample.note


@pytest.mark.parametrize(
    ("source", "symbol", "timeframe", "field"),
    [("nowhere", "EURUSD", "H1", "source"), ("sample", "USDJPY", "H1", "symbol"), ("sample", "EURUSD", "M5", "timeframe"), ("sample", "EURUSD", "H9", "timeframe"), ("sample", "XXX", "H1", "symbol")],
)  # fmt: skip
def test_what_the_source_does_not_hold_is_refused_by_field(source: str, symbol: str, timeframe: str, field: str, home: Path) -> None:
    with pytest.raises(BadInput) as error:
        collect(home, source, symbol, timeframe)
    assert error.value.field == field
    assert PipelineStore.open(home).bar_sets() == []


def test_progress_rises_to_one_and_tells_rows_and_quality(home: Path) -> None:
    told: list[tuple[float, str, dict[str, object]]] = []
    collect(home, "sample", "EURUSD", "H1", lambda fraction, message, **metrics: told.append((fraction, message, metrics)))
    fractions = [fraction for fraction, _, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert told[-1][2] == {"rows": 5000, "quality_score": 99.99}


def test_a_bar_set_in_use_cannot_be_deleted_and_one_that_is_not_goes_with_its_file(home: Path, bar_set: BarSet) -> None:
    store = PipelineStore.open(home)
    dataset = build_dataset(home, bar_set.id)
    with pytest.raises(Refused) as refused:
        store.delete_bar_set(bar_set.id)
    assert refused.value.code == "in_use"
    store.delete_dataset(dataset.id)
    store.delete_bar_set(bar_set.id)
    assert store.bar_sets() == []
    assert store.datasets() == []
    assert not bar_set.path.exists()
    assert not dataset.path.exists()


def test_unknown_ids_are_not_found(home: Path) -> None:
    store = PipelineStore.open(home)
    for call in (store.bar_set, store.load_bars, store.dataset, store.delete_bar_set, store.delete_dataset):
        with pytest.raises(NotFound, match="'nothing'"):
            call("nothing")


def test_the_same_bars_under_another_name_are_another_bar_set(home: Path, raw: pd.DataFrame) -> None:
    from components.pipeline.collect import keep_bars

    bars = validate_bars(raw.iloc[:100])
    first = keep_bars(home, "sample", "EURUSD", Timeframe.H1, bars, 100.0, {})
    second = keep_bars(home, "elsewhere", "EURUSD", Timeframe.H1, bars, 100.0, {})
    changed = bars.copy()
    changed.iloc[50, 4] += 1.0
    third = keep_bars(home, "sample", "EURUSD", Timeframe.H1, changed, 100.0, {})
    assert len({first.id, second.id, third.id}) == 3


def test_fetching_gives_a_fresh_frame_each_time() -> None:
    first = fetch_bars("sample", "EURUSD", Timeframe.H1)
    first.iloc[:, :] = 0.0
    assert fetch_bars("sample", "EURUSD", Timeframe.H1)["close"].min() > 1.0
