"""News is kept as it was first seen: nothing is changed afterwards, and nothing is known before it was seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.fx import NotFound, to_ms
from components.pipeline.news import news_frame
from components.pipeline.news_store import ArticlePiece, NewsStore, keep_news
from components.pipeline.sources.buckets import GRID_MS, Sight, points_frame, window_key, windows
from components.pipeline.sources.source import Piece, Request

MINUTE = 60_000


def ms(text: str) -> int:
    return to_ms(pd.Timestamp(f"2024-03-04 {text}", tz="UTC"))


def points(metric: str, values: dict[str, float], seen: dict[str, str] | None = None) -> pd.DataFrame:
    """A frame of points by the time of day at which their buckets begin; seen 30 minutes after that unless `seen` says when."""
    buckets = np.array([ms(at) for at in values], dtype=np.int64)
    first_seen = [ms(seen[at]) if seen and at in seen else bucket + 30 * MINUTE for at, bucket in zip(values, buckets, strict=True)]
    return points_frame(buckets, {metric: list(values.values())}, first_seen, [0 if seen and at in seen else 1 for at in values], 900)


@pytest.fixture
def store(home: Path) -> NewsStore:
    return NewsStore.open(home)


def test_a_point_is_kept_once_however_often_it_comes(store: NewsStore) -> None:
    frame = points("tone", {"10:00": 1.5, "10:15": -2.0})
    first = store.keep_points("gdelt", "USD", frame, ms("12:00"))
    assert (first.points, first.revisions) == (2, 0)
    again = store.keep_points("gdelt", "USD", frame, ms("13:00"))
    assert (again.points, again.revisions) == (0, 0)
    kept = store.points("USD", "tone")
    assert kept["value"].tolist() == [1.5, -2.0]
    assert kept["first_seen_ms"].tolist() == [ms("10:30"), ms("10:45")]
    assert kept["is_assumed"].tolist() == [True, True]
    assert str(kept.index[0]) == "2024-03-04 10:00:00+00:00"


def test_a_revised_value_is_a_new_row_first_seen_when_it_was_fetched_and_the_old_one_stays(store: NewsStore) -> None:
    store.keep_points("gdelt", "USD", points("tone", {"10:00": 1.5, "10:15": -2.0}), ms("12:00"))
    kept = store.keep_points("gdelt", "USD", points("tone", {"10:00": 1.7, "10:15": -2.0}), ms("15:00"))
    assert (kept.points, kept.revisions) == (0, 1)
    assert store.points("USD", "tone")["value"].tolist() == [1.7, -2.0]
    assert store.points("USD", "tone", ms("14:59"))["value"].tolist() == [1.5, -2.0]
    assert store.points("USD", "tone", ms("10:40"))["value"].tolist() == [1.5]
    assert len(store.points("USD", "tone", ms("10:29"))) == 0
    rows = store.points("USD", "tone", with_revisions=True)
    assert rows["value"].tolist() == [1.5, 1.7, -2.0]
    assert rows["is_assumed"].tolist() == [True, False, True]
    # Back to the first value: that is news as well.
    assert store.keep_points("gdelt", "USD", points("tone", {"10:00": 1.5}), ms("16:00")).revisions == 1
    assert store.points("USD", "tone", ms("15:30"))["value"].tolist() == [1.7, -2.0]


def test_an_absent_bucket_and_a_value_that_is_none_are_unknown_and_not_zero(store: NewsStore) -> None:
    store.keep_points("gdelt", "USD", points("tone", {"10:00": 1.5, "10:15": np.nan, "10:45": 0.0}), ms("12:00"))
    kept = store.points("USD", "tone")
    assert [f"{at:%H:%M}" for at in kept.index] == ["10:00", "10:45"]
    assert kept["value"].tolist() == [1.5, 0.0]


def test_series_sources_and_metrics_are_apart_and_counted(store: NewsStore) -> None:
    store.keep_points("gdelt", "USD", points("tone", {"10:00": 1.5}), ms("12:00"))
    store.keep_points("gdelt", "EUR", points("tone", {"10:00": 2.5}), ms("12:00"))
    store.keep_points("gdelt_events", "USD", points("tone", {"10:00": 3.5}), ms("12:00"))
    store.keep_points("gdelt", "USD", points("volume", {"10:00": 4.5}), ms("12:00"))
    store.keep_points("gdelt", "USD", points("volume", {"10:00": 4.6}), ms("13:00"))
    assert store.points("USD", "tone")["value"].tolist() == [1.5]
    assert store.points("USD", "tone", source="gdelt_events")["value"].tolist() == [3.5]
    assert [(one.source, one.series, one.metric, one.rows, one.buckets, one.assumed) for one in store.series()] == [
        ("gdelt", "EUR", "tone", 1, 1, 1), ("gdelt", "USD", "tone", 1, 1, 1), ("gdelt", "USD", "volume", 2, 1, 1), ("gdelt_events", "USD", "tone", 1, 1, 1),
    ]  # fmt: skip


def test_articles_are_kept_under_their_address_and_found_as_of_an_instant(store: NewsStore) -> None:
    articles = pd.DataFrame({
        "url": ["https://a", "https://b"], "title": ["One", "Two \\ three"], "domain": "a", "language": "English", "country": "Greece",
        "seen_ms": [ms("10:00"), ms("11:00")], "first_seen_ms": [ms("10:30"), ms("11:30")], "is_assumed": [1, 1],
    })  # fmt: skip
    piece = ArticlePiece("articles", "", articles.iloc[:0], "", 0, ms("12:00"), articles=articles)
    assert keep_news(store.database, "gdelt", Request("USD"), piece).articles == 2
    assert keep_news(store.database, "gdelt", Request("USD"), piece).articles == 0
    assert store.articles("USD")["url"].tolist() == ["https://b", "https://a"]
    assert store.articles("USD", ms("11:00"))["title"].tolist() == ["One"]
    assert len(store.articles("EUR")) == 0
    assert len(store.points("USD", "articles")) == 0, "a list is no measure of how much was written"


def test_a_frame_of_news_holds_what_was_known_at_each_sight(home: Path, store: NewsStore) -> None:
    live = {"10:00": "10:20", "10:15": "10:40", "10:30": "10:50"}
    store.keep_points("gdelt", "USD", points("tone", {"10:00": 1.0, "10:15": 2.0, "10:30": 3.0}, live), ms("10:50"))
    store.keep_points("gdelt", "USD", points("volume", {"10:00": 10.0, "10:15": 20.0}, {"10:00": "10:20", "10:15": "10:41"}), ms("10:41"))
    store.keep_points("gdelt", "USD", points("tone", {"10:30": 3.5}), ms("11:00"))
    store.keep_points("gdelt", "USD", points("tone", {"10:00": 9.0}), ms("11:10"))  # an old bucket, revised
    frame = news_frame(home, "USD")
    rows = [(f"{at:%H:%M}", bucket - ms("10:00"), tone, volume) for at, bucket, tone, volume in frame.reset_index().itertuples(index=False)]
    assert [row[:3] for row in rows] == [
        ("10:20", 0, 1.0), ("10:40", GRID_MS, 2.0), ("10:41", GRID_MS, 2.0), ("10:50", 2 * GRID_MS, 3.0), ("11:00", 2 * GRID_MS, 3.5), ("11:10", 0, 9.0),
    ]  # fmt: skip
    np.testing.assert_array_equal([row[3] for row in rows], [10.0, np.nan, 20.0, np.nan, np.nan, 10.0])
    assert frame.index.name == "first_seen"
    assert str(frame.index.tz) == "UTC"
    assert frame.index.is_monotonic_increasing
    assert list(frame.columns) == ["bucket_ms", "tone", "volume"]


def test_a_row_of_the_frame_does_not_change_with_what_is_seen_later(home: Path, store: NewsStore) -> None:
    rng = np.random.default_rng(7)
    start = ms("10:00")
    before = pd.DataFrame()
    for fetch in range(24):
        now = start + (fetch + 1) * GRID_MS
        buckets = np.arange(start + max(0, fetch - 5) * GRID_MS, now, GRID_MS, dtype=np.int64)
        for metric in ("tone", "volume"):
            values = rng.integers(0, 4, len(buckets)).astype(np.float64)
            store.keep_points("gdelt", "USD", points_frame(buckets, {metric: values}, [now] * len(buckets), [0] * len(buckets), 900), now)
        frame = news_frame(home, "USD")
        old = frame[frame.index < pd.Timestamp(now, unit="ms", tz="UTC")]
        pd.testing.assert_frame_equal(old, before if fetch else old)
        before = frame
    assert len(before) > 20


def test_events_stand_in_where_there_are_no_timelines(home: Path, store: NewsStore) -> None:
    frame = points_frame(np.array([ms("10:00")]), {"count": [12.0], "tone": [-3.0], "goldstein": [1.0]}, [ms("10:30")], [1], 900)
    piece = Piece("a", "", frame, "", 0, ms("12:00"))
    assert keep_news(store.database, "gdelt_events", Request("USD"), piece).points == 3
    assert news_frame(home, "USD")[["tone", "volume"]].to_numpy().tolist() == [[-3.0, 12.0]]
    with pytest.raises(NotFound, match="there is no news of 'USD' kept"):
        news_frame(home, "USD", source="gdelt")
    with pytest.raises(NotFound, match="there is no news of 'EUR' kept; collect the source gdelt"):
        news_frame(home, "EUR")


def test_what_was_fetched_soon_after_its_bucket_was_seen_then_and_history_is_assumed() -> None:
    ends = np.array([ms("10:15"), ms("11:00"), ms("11:30")], dtype=np.int64)
    first_seen, is_assumed = Sight(ms("12:00"), 60 * MINUTE, 15 * MINUTE).first_seen(ends)
    assert first_seen.tolist() == [ms("10:30"), ms("12:00"), ms("12:00")]
    assert is_assumed.tolist() == [1, 0, 0]


def test_windows_lie_on_a_grid_of_their_own_and_keep_their_names() -> None:
    hours = 48 * 60 * MINUTE
    first = list(windows(ms("10:00"), ms("10:00") + 3 * hours, hours))
    assert first[0][0] <= ms("10:00") < first[0][1]
    assert first[-1][1] >= ms("10:00") + 3 * hours
    assert set(windows(ms("13:00"), ms("14:00"), hours)) <= set(first)
    assert all(start % hours == 0 and end - start == hours for start, end in first)
    assert window_key("tone", first[0]).startswith("tone 2024-03-0")
