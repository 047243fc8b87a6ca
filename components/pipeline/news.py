"""News as features see it: in the order in which it was first seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from components.fx import NotFound
from components.pipeline.news_store import NewsStore, times_of

# What stands for tone and for volume in each source; the first source that has the series is taken.
METRICS = {"gdelt": ("tone", "volume"), "gdelt_events": ("tone", "count")}


def news_frame(home: Path, currency: str, *, source: str | None = None) -> pd.DataFrame:
    """Tone and volume of the news about a currency, row by row as they became known.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    currency : str
        The series: a currency's code, or the name under which a query of one's own was collected.
    source : str, optional
        ``gdelt`` or ``gdelt_events``; the first that has the series where None.

    Returns
    -------
    DataFrame, shape (n, 3)
        Indexed by ``first_seen`` (aware UTC, rising, several rows where several buckets were first seen at once, the newest bucket last):
        ``bucket_ms`` (begin of the bucket, epoch milliseconds UTC), ``tone`` and ``volume`` of that bucket as known at that instant, NaN where
        not known. A row at t holds nothing that was first seen after t. A bucket that was revised has a row for each value, also where newer
        buckets were known already; one that the source left out has no row: it is unknown, not zero.

    Raises
    ------
    NotFound
        If no source has news of that name.
    """
    store = NewsStore.open(home)
    try:
        for name in (source,) if source else tuple(METRICS):
            tone, volume = METRICS.get(name, ("tone", "volume"))
            parts = [store.points(currency, metric, source=name, with_revisions=True) for metric in (tone, volume)]
            if any(len(part) for part in parts):
                return _merged(*parts)
    finally:
        store.close()
    raise NotFound(f"there is no news of {currency!r} kept; collect the source gdelt for it")


def _merged(tone: pd.DataFrame, volume: pd.DataFrame) -> pd.DataFrame:
    """Rows of both metrics in the order of their sight; each carries what was known of its bucket."""
    rows = pd.concat([_rows(tone, "tone"), _rows(volume, "volume")]).sort_values(["first_seen_ms", "bucket_ms"], kind="stable")
    rows[["tone", "volume"]] = rows.groupby("bucket_ms", sort=False)[["tone", "volume"]].ffill()
    rows = pd.DataFrame(rows.drop_duplicates(["first_seen_ms", "bucket_ms"], keep="last"))
    rows.index = times_of(rows.pop("first_seen_ms").to_numpy(), "first_seen")
    return rows


def _rows(points: pd.DataFrame, name: str) -> pd.DataFrame:
    rows = pd.DataFrame(
        {
            "first_seen_ms": points["first_seen_ms"].to_numpy(dtype=np.int64),
            "bucket_ms": pd.DatetimeIndex(points.index).as_unit("ms").asi8,
            "tone": np.full(len(points), np.nan),
            "volume": np.full(len(points), np.nan),
        }
    )
    rows[name] = points["value"].to_numpy(dtype=np.float64)
    return rows
