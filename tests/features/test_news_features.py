"""News as it stood at each close: against a slow reader of the same rows, and by hand where a bucket was late, revised or missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from kernel_runs import made
from panel_world import HOUR_MS, some_news, world_bars, world_inputs

from components.features import FeatureInputs, compute_features
from components.features.family_news import FORMULAS, NewsSteps
from components.fx import BadInput, Timeframe, to_ms

NAMES = [formula.named() for formula in FORMULAS]


def as_it_stood(news: pd.DataFrame, column: str, at_ms: int) -> tuple[pd.Series, int]:
    """Value of each bucket as known at an instant, by bucket, and when something was last said."""
    rows = news[(news.index.as_unit("ms").asi8 <= at_ms) & news[column].notna().to_numpy()]
    last = int(rows.index.as_unit("ms").asi8[-1]) if len(rows) else -(2**60)
    return rows.groupby("bucket_ms")[column].last().sort_index(), last


def plain(name: str, news: pd.DataFrame, at_ms: int, stale_ms: float) -> float:
    """The definition at one instant."""
    measure, *hours = name.split("_", 1)[1].rsplit("_", 1) if name[-1].isdigit() else [name.split("_", 1)[1]]
    column = "volume" if "volume" in measure else "tone"
    if measure == "news_hours":
        seen = news.index.as_unit("ms").asi8
        seen = seen[seen <= at_ms]
        return (at_ms - seen[-1]) / HOUR_MS if len(seen) and at_ms - seen[-1] <= stale_ms else np.nan
    known, last = as_it_stood(news, column, at_ms)
    if at_ms - last > stale_ms:
        return np.nan
    if measure.endswith("_z"):
        window = known[known.index > known.index[-1] - int(hours[0]) * HOUR_MS]
        return (window.iloc[-1] - window.mean()) / window.std(ddof=0) if len(window) >= 8 else np.nan
    if measure == "tone_change":
        before, seen = as_it_stood(news, column, at_ms - int(hours[0]) * HOUR_MS)
        return known.iloc[-1] - before.iloc[-1] if at_ms - int(hours[0]) * HOUR_MS - seen <= stale_ms else np.nan
    return float(known.iloc[-1])


@pytest.mark.parametrize("name", [*NAMES, "base_tone_z_12", "quote_tone_change_5"])
def test_a_feature_of_news_is_its_definition(name: str) -> None:
    inputs = replace(world_inputs(), stale_hours=5.0)
    found = compute_features(world_bars(), [name], inputs)[name].to_numpy()
    news = inputs.news["EUR" if name.startswith("base") else "USD"]
    for row in range(3, 1_300, 37):
        expected = plain(name, news, int(world_bars().index.asi8[row]) + HOUR_MS, 5 * HOUR_MS)
        assert found[row] == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True), row
    assert 600 < np.isfinite(found).sum() < 1_300


def test_what_is_seen_later_changes_nothing() -> None:
    before = compute_features(world_bars(), NAMES, world_inputs())
    for row in (100, 800):
        known_ms = int(world_bars().index.asi8[row]) + HOUR_MS
        cut = {currency: news[news.index.as_unit("ms").asi8 <= known_ms] for currency, news in world_inputs().news.items()}
        after = compute_features(world_bars(), NAMES, replace(world_inputs(), news=cut))
        pd.testing.assert_frame_equal(before.iloc[: row + 1], after.iloc[: row + 1], check_exact=True)


def news_of(rows: list[tuple[str, str, float, float]]) -> pd.DataFrame:
    """Rows of first sight, bucket, tone and volume."""
    seen, bucket, tone, volume = zip(*rows, strict=True)
    frame = pd.DataFrame({"bucket_ms": [to_ms(pd.Timestamp(at, tz="UTC")) for at in bucket], "tone": tone, "volume": volume})
    return frame.set_index(pd.DatetimeIndex(pd.to_datetime(list(seen), utc=True)))


def told(rows: list[tuple[str, str, float, float]], names: list[str], hours: int = 8, stale_hours: float = 24.0) -> pd.DataFrame:
    """Features of EURUSD hours from 2024-01-02 00:00 on."""
    bars = made([1.1] * hours, start="2024-01-02")
    return compute_features(bars, names, FeatureInputs("EURUSD", {}, {"EUR": news_of(rows)}, Timeframe.H1, stale_hours=stale_hours))


NAN = float("nan")


def test_a_bucket_counts_from_its_first_sight_and_not_from_its_own_time() -> None:
    rows = [("2024-01-02 03:20", "2024-01-02 01:00", -2.0, 5.0)]
    tone = told(rows, ["base_tone", "base_news_hours"])
    np.testing.assert_array_equal(tone["base_tone"], [NAN, NAN, NAN, -2, -2, -2, -2, -2])
    assert tone["base_news_hours"].iloc[3] == pytest.approx(2 / 3)


def test_a_revised_value_counts_from_its_own_first_sight() -> None:
    rows = [("2024-01-02 01:10", "2024-01-02 01:00", 1.0, 5.0), ("2024-01-02 05:30", "2024-01-02 01:00", 3.0, 9.0)]
    np.testing.assert_array_equal(told(rows, ["base_tone"])["base_tone"], [NAN, 1, 1, 1, 1, 3, 3, 3])


def test_a_late_word_about_an_older_bucket_does_not_hide_the_newer_one() -> None:
    rows = [("2024-01-02 02:10", "2024-01-02 02:00", 1.0, 5.0), ("2024-01-02 04:30", "2024-01-02 01:00", 3.0, 9.0)]
    frame = told(rows, ["base_tone", "base_news_hours"])
    np.testing.assert_array_equal(frame["base_tone"].iloc[2:], [1.0] * 6)
    assert frame["base_news_hours"].iloc[4] == pytest.approx(0.5)


def test_a_bucket_that_is_missing_is_not_zero_and_old_news_is_unknown() -> None:
    rows = [("2024-01-02 00:10", "2024-01-02 00:00", 2.0, 5.0), ("2024-01-02 06:10", "2024-01-02 06:00", 4.0, NAN)]
    frame = told(rows, ["base_tone", "base_news_volume"], stale_hours=3.0)
    np.testing.assert_array_equal(frame["base_tone"], [2, 2, 2, NAN, NAN, NAN, 4, 4])
    np.testing.assert_array_equal(frame["base_news_volume"], [5, 5, 5, NAN, NAN, NAN, NAN, NAN])


def test_news_seen_at_the_very_close_is_known_and_a_moment_later_is_not() -> None:
    at_close = told([("2024-01-02 02:00", "2024-01-02 01:00", 2.0, 5.0)], ["base_tone"])["base_tone"]
    later = told([("2024-01-02 02:00:00.001", "2024-01-02 01:00", 2.0, 5.0)], ["base_tone"])["base_tone"]
    assert (at_close.first_valid_index().hour, later.first_valid_index().hour) == (1, 2)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda news: news.drop(columns="tone"), "column 'tone' is missing"),
        (lambda news: news.iloc[::-1], "was first seen before the row above it"),
        (lambda news: news.tz_localize(None), "not one of aware instants"),
        (lambda news: news.assign(bucket_ms=news["bucket_ms"] + 10 * HOUR_MS), "before its bucket began"),
        (lambda news: news.reset_index(drop=True), "not one of aware instants"),
    ],
)
def test_news_that_cannot_be_right_are_refused(change: object, said: str) -> None:
    wrong = replace(world_inputs(), news={"EUR": change(some_news(1, 100))})  # type: ignore[operator]
    with pytest.raises(BadInput, match=said):
        compute_features(world_bars(), ["base_tone"], wrong)


@pytest.mark.parametrize("formula", [formula.name for formula in FORMULAS[:6]])
def test_forgetting_what_no_later_bar_asks_for_changes_nothing(formula: str) -> None:
    news = some_news(5, 800)
    kept, forgetful = NewsSteps(formula, 6, 5.0), NewsSteps(formula, 6, 5.0)
    sizes = []
    for at, row in zip(news.index.as_unit("ms").asi8.tolist(), news.itertuples(), strict=True):
        for steps in (kept, forgetful):
            steps.see(at, int(row.bucket_ms), float(getattr(row, steps.column)))
        forgetful.forget(at)
        assert forgetful.at_one(at) == pytest.approx(kept.at_one(at), nan_ok=True, rel=0, abs=0)
        np.testing.assert_equal(kept.at_one(at), float(kept.at(np.array([at]))[0]))
        sizes.append(max(map(len, forgetful.as_dict().values())))
    assert max(sizes) < 60
