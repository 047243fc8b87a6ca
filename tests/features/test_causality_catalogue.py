"""Every catalogued feature and every target on other futures; faults planted in kernels and in what joins them to the bars are named."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from components.features import family_return, panel
from components.features.catalogue import _registry, catalogue
from components.features.causality import check_features, checkable_features
from components.features.engine import compute_features
from components.features.formula import CLOSE, Floats, Formula, Ints
from components.features.inputs import FeatureInputs
from components.fx import BadInput, Timeframe, validate_bars


def other_pair(bars: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Bars that go their own way, with holes of their own."""
    random = np.random.default_rng(seed)
    factor = np.exp(np.cumsum(random.normal(0.0, 0.001, len(bars))))
    other = bars.copy()
    for name in ("open", "high", "low", "close"):
        other[name] = other[name].to_numpy() * factor
    return validate_bars(other[random.random(len(bars)) > 0.03])


def news_of(bars: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Quarter-hours of news, each first seen some minutes after its bucket."""
    random = np.random.default_rng(seed)
    bucket = pd.date_range(bars.index[0], bars.index[-1], freq="15min")
    bucket_ms = bucket.as_unit("ms").asi8
    seen = pd.to_datetime(np.maximum.accumulate(bucket_ms + random.integers(15, 40, len(bucket)) * 60_000), unit="ms", utc=True)
    values = {"bucket_ms": bucket_ms, "tone": random.normal(size=len(bucket)), "volume": random.uniform(0, 5, len(bucket))}
    return pd.DataFrame(values, index=pd.DatetimeIndex(seen.as_unit("ms"), name="first_seen"))


@pytest.fixture(scope="module")
def some(bars: pd.DataFrame) -> pd.DataFrame:
    """As many bars as the longest warm-up needs, and a week more."""
    return bars.iloc[: max(feature.warmup_bars for feature in catalogue()) + 170]


@pytest.fixture(scope="module")
def inputs(some: pd.DataFrame) -> FeatureInputs:
    """Three other pairs, and news of both currencies."""
    others = {"GBPUSD": other_pair(some, 1), "USDJPY": other_pair(some, 2), "EURJPY": other_pair(some, 3)}
    return FeatureInputs("EURUSD", others, {"EUR": news_of(some, 4), "USD": news_of(some, 5)}, Timeframe.H1)


def late_cuts(bars: pd.DataFrame) -> list[int]:
    """Cuts where every feature has a value, the last bar but one and the last one among them."""
    return [0, 1, 300, len(bars) - 161, len(bars) - 97, len(bars) - 2, len(bars) - 1]


def test_no_catalogued_feature_looks_ahead(some: pd.DataFrame, inputs: FeatureInputs) -> None:
    names = checkable_features(some, inputs)
    assert len(names) == len(catalogue()), "bars and inputs suffice for every feature"
    values = compute_features(some, names, inputs)
    assert values.iloc[late_cuts(some)[3]].notna().all(), "and each has a value where it is looked at"
    assert check_features(names, some, inputs, cuts=late_cuts(some)) == []


def test_nor_does_one_of_another_symbol_timeframe_or_shift(some: pd.DataFrame, inputs: FeatureInputs) -> None:
    names = [
        "H4.rsi_14",
        "D1.return_1",
        "GBPUSD.return_1",
        "GBPUSD.H4.volatility_24",
        "EURJPY.H4.z_score_20.shift_2",
        "GBPUSD.H4.correlation_48",
        "return_4.shift_3",
    ]
    assert check_features(names, some, inputs, cuts=[*range(500, 530), *late_cuts(some)]) == []


def test_without_inputs_the_features_that_need_none_are_checked(some: pd.DataFrame) -> None:
    names = checkable_features(some)
    assert {"rsi_14", "spread_ratio_24", "tick_imbalance_24"} <= set(names)
    assert not {"base_tone", "correlation_48", "base_strength_24"} & set(names)
    assert "spread_ratio_24" not in checkable_features(some.drop(columns="spread_points"))


def peeking_kernel(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    """The close of the next bar, where the buffer has it."""
    for t in range(start, stop):
        out[t] = data[CLOSE, min(t + 1, data.shape[1] - 1)]


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A formula in the catalogue that looks ahead."""
    formula = Formula("peek", "planted", "nobody", "the next close", peeking_kernel)
    monkeypatch.setattr(family_return, "FORMULAS", (*family_return.FORMULAS, formula))
    _registry.cache_clear()
    yield "peek"
    monkeypatch.undo()
    _registry.cache_clear()


def test_a_kernel_that_looks_ahead_is_named_with_its_file_and_line(planted: str, some: pd.DataFrame) -> None:
    leaks = check_features(["rsi_14", planted, f"{planted}.shift_1", f"H4.{planted}"], some, cuts=[400, 500])
    assert {leak.column for leak in leaks} == {planted, f"H4.{planted}"}  # a bar later the next close is known
    assert {leak.function for leak in leaks} == {f"{__name__}.peeking_kernel"}
    assert all("test_causality_catalogue.py:" in leak.place for leak in leaks)


def test_a_longer_bar_joined_by_its_open_is_laid_to_the_join_and_not_to_the_formula(
    some: pd.DataFrame, inputs: FeatureInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = panel.bar_close_ms
    monkeypatch.setattr(panel, "bar_close_ms", lambda open_ms, timeframe: honest(open_ms, Timeframe.H1))  # a bar of four hours after one hour
    leaks = check_features(["rsi_14", "H4.return_1", "GBPUSD.return_1"], some, inputs, cuts=range(500, 520))
    assert {(leak.column, leak.function) for leak in leaks} == {("H4.return_1", "components.features.panel.panel_columns")}


def test_another_symbol_s_bar_that_is_taken_too_early_is_seen(some: pd.DataFrame, inputs: FeatureInputs, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = panel.as_of
    monkeypatch.setattr(panel, "as_of", lambda known_ms, at_ms: honest(known_ms, at_ms + Timeframe.H1.ms))
    leaks = check_features(["return_1", "GBPUSD.return_1"], some, inputs, cuts=range(500, 520))
    assert {(leak.column, leak.function) for leak in leaks} == {("GBPUSD.return_1", "components.features.panel.panel_columns")}


def test_news_counted_from_their_bucket_and_not_from_their_first_sight_are_seen(
    some: pd.DataFrame, inputs: FeatureInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = panel.news_arrays

    def by_bucket(news: pd.DataFrame, currency: str) -> tuple[Ints, Ints, dict[str, Floats]]:
        _, buckets, values = honest(news, currency)
        return buckets, buckets, values

    monkeypatch.setattr(panel, "news_arrays", by_bucket)
    leaks = check_features(["base_tone", "return_1"], some, inputs, cuts=range(500, 540))
    assert {(leak.column, leak.function) for leak in leaks} == {("base_tone", "components.features.family_news.NewsSteps")}


def test_an_unknown_feature_is_refused(some: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="unknown"):
        check_features(["nothing_5"], some)
