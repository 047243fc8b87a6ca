"""News as numbers and headlines: each value with the time at which it was first seen. Nothing is ever changed; a revision is a new row."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from components.base import Database, insert_or_ignore
from components.pipeline.sources.source import Piece, Request

# Columns of a news piece that are not metrics.
FIRST_SEEN, IS_ASSUMED, BUCKET_S = "first_seen_ms", "is_assumed", "bucket_s"
ARTICLE_COLUMNS = ("url", "title", "domain", "language", "country", "seen_ms", FIRST_SEEN, IS_ASSUMED)


def news_tables(metadata: sa.MetaData) -> tuple[sa.Table, sa.Table]:
    """The tables ``news_points`` and ``articles``, both append-only, as part of `metadata`."""
    points = sa.Table(
        "news_points",
        metadata,
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("series", sa.Text, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("bucket_ms", sa.Integer, nullable=False),
        sa.Column("bucket_s", sa.Integer, nullable=False),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("first_seen_ms", sa.Integer, nullable=False),
        sa.Column("is_assumed", sa.Boolean, nullable=False),
        sa.Column("fetched_ms", sa.Integer, nullable=False),
        sa.UniqueConstraint("source", "series", "metric", "bucket_ms", "first_seen_ms"),
        sa.Index("news_points_by_sight", "source", "series", "first_seen_ms"),
    )
    articles = sa.Table(
        "articles",
        metadata,
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("series", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("domain", sa.Text, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("country", sa.Text, nullable=False),
        sa.Column("seen_ms", sa.Integer, nullable=False),
        sa.Column("first_seen_ms", sa.Integer, nullable=False),
        sa.Column("is_assumed", sa.Boolean, nullable=False),
        sa.Column("fetched_ms", sa.Integer, nullable=False),
        sa.UniqueConstraint("source", "series", "url"),
        sa.Index("articles_by_sight", "source", "series", "first_seen_ms"),
    )
    return points, articles


POINTS, ARTICLES = news_tables(sa.MetaData())


@dataclass(frozen=True)
class ArticlePiece(Piece):
    """A piece that brings headlines besides its numbers.

    `articles` has the columns ``url title domain language country`` (text), ``seen_ms`` (when the source first saw it), ``first_seen_ms`` and
    ``is_assumed``; the frame only counts them.
    """

    articles: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)


@dataclass(frozen=True)
class KeptNews:
    """What was new in a piece: values seen for the first time, values that differ from those kept before, and articles."""

    points: int = 0
    revisions: int = 0
    articles: int = 0


@dataclass(frozen=True)
class NewsSeries:
    """What is kept of one metric of one series; times in epoch milliseconds UTC."""

    source: str
    series: str
    metric: str
    rows: int
    buckets: int
    first_bucket_ms: int
    last_bucket_ms: int
    last_seen_ms: int
    assumed: int


class NewsStore:
    """News of one platform, in ``data_pipeline.db``."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @classmethod
    def open(cls, home: Path) -> NewsStore:
        """The store in the folder `home`, made if it is missing."""
        from components.pipeline.schema import MIGRATIONS  # which needs the tables above

        return cls(Database(Path(home) / "data_pipeline.db", MIGRATIONS))

    def close(self) -> None:
        """Close the connections of this process."""
        self.database.close()

    def keep_points(self, source: str, series: str, frame: pd.DataFrame, fetched_ms: int) -> KeptNews:
        """Add what is new in a frame of points, in one transaction.

        Parameters
        ----------
        source, series : str
        frame : DataFrame, shape (n, m)
            Indexed by the begin of each bucket, UTC. ``first_seen_ms``, ``is_assumed`` and ``bucket_s`` (length) in columns of those names;
            every other column is a metric, NaN where there is no value. A bucket that is absent is unknown, not zero.
        fetched_ms : int
            When the values were fetched, epoch milliseconds UTC.

        Returns
        -------
        KeptNews
            A value that is kept already is left out; one that differs is a new row, first seen when it was fetched.
        """
        with self.database.write() as connection:
            return _keep_points(connection, source, series, frame, fetched_ms)

    def keep_articles(self, source: str, series: str, articles: pd.DataFrame, fetched_ms: int) -> int:
        """Add articles whose address is new in the series; their number. Columns as in `ArticlePiece`."""
        rows = [
            {"source": source, "series": series, "fetched_ms": fetched_ms, **{name: _plain(row[name]) for name in ARTICLE_COLUMNS}}
            for row in articles.to_dict("records")
        ]
        with self.database.write() as connection:
            return insert_or_ignore(connection, ARTICLES, rows)

    def points(
        self, series: str, metric: str, seen_until_ms: int | None = None, *, source: str = "gdelt", with_revisions: bool = False
    ) -> pd.DataFrame:
        """The values of a metric as they were known at an instant.

        Parameters
        ----------
        series, metric, source : str
        seen_until_ms : int, optional
            Only what was first seen up to then, epoch milliseconds UTC; everything where None.
        with_revisions : bool
            Every row that was ever seen instead of the newest of each bucket.

        Returns
        -------
        DataFrame, shape (n, 4)
            Indexed by ``bucket`` (UTC, its begin), rising: ``value``, ``first_seen_ms``, ``is_assumed`` and ``bucket_s``.
        """
        query = sa.select(POINTS.c.bucket_ms, POINTS.c.value, POINTS.c.first_seen_ms, POINTS.c.is_assumed, POINTS.c.bucket_s).where(
            POINTS.c.source == source, POINTS.c.series == series, POINTS.c.metric == metric
        )
        if seen_until_ms is not None:
            query = query.where(POINTS.c.first_seen_ms <= seen_until_ms)
        with self.database.read() as connection:
            rows = connection.execute(query.order_by(POINTS.c.bucket_ms, POINTS.c.first_seen_ms, POINTS.c.number)).all()
        frame = pd.DataFrame(rows, columns=["bucket_ms", "value", FIRST_SEEN, IS_ASSUMED, BUCKET_S])
        if not with_revisions:
            frame = frame.drop_duplicates("bucket_ms", keep="last")
        frame.index = times_of(frame.pop("bucket_ms").to_numpy(dtype=np.int64), "bucket")
        return frame.astype({"value": "float64", FIRST_SEEN: "int64", IS_ASSUMED: "bool", BUCKET_S: "int64"})

    def articles(self, series: str, seen_until_ms: int | None = None, *, source: str = "gdelt", limit: int = 1000) -> pd.DataFrame:
        """The newest articles that had been seen at an instant, newest first: columns of `ArticlePiece`, at most `limit` rows."""
        query = sa.select(*(ARTICLES.c[name] for name in ARTICLE_COLUMNS)).where(ARTICLES.c.source == source, ARTICLES.c.series == series)
        if seen_until_ms is not None:
            query = query.where(ARTICLES.c.first_seen_ms <= seen_until_ms)
        with self.database.read() as connection:
            rows = connection.execute(query.order_by(ARTICLES.c.first_seen_ms.desc(), ARTICLES.c.number.desc()).limit(limit)).all()
        return pd.DataFrame(rows, columns=list(ARTICLE_COLUMNS))

    def series(self) -> list[NewsSeries]:
        """What is kept, metric by metric."""
        columns = (POINTS.c.source, POINTS.c.series, POINTS.c.metric)
        sums = (
            sa.func.count(),
            sa.func.count(sa.distinct(POINTS.c.bucket_ms)),
            sa.func.min(POINTS.c.bucket_ms),
            sa.func.max(POINTS.c.bucket_ms),
            sa.func.max(POINTS.c.first_seen_ms),
            sa.func.sum(sa.cast(POINTS.c.is_assumed, sa.Integer)),
        )
        with self.database.read() as connection:
            return [NewsSeries(*row) for row in connection.execute(sa.select(*columns, *sums).group_by(*columns).order_by(*columns))]


def keep_news(database: Database, source: str, request: Request, piece: Piece) -> KeptNews:
    """Add the points or the articles of a piece to the series that the request names; doing it again adds nothing."""
    store = NewsStore(database)
    if isinstance(piece, ArticlePiece):
        return KeptNews(articles=store.keep_articles(source, request.symbol, piece.articles, piece.fetched_ms))
    return store.keep_points(source, request.symbol, piece.frame, piece.fetched_ms)


def times_of(ms: np.ndarray[Any, np.dtype[np.int64]], name: str) -> pd.DatetimeIndex:
    """Epoch milliseconds, shape (n,), as an aware UTC index of that name."""
    return pd.DatetimeIndex(np.asarray(ms, dtype=np.int64).view("M8[ms]")).tz_localize("UTC").rename(name)


def _keep_points(connection: sa.Connection, source: str, series: str, frame: pd.DataFrame, fetched_ms: int) -> KeptNews:
    if not len(frame):
        return KeptNews()
    buckets = pd.DatetimeIndex(frame.index).as_unit("ms").asi8
    new: list[dict[str, Any]] = []
    revisions = 0
    for metric in (str(name) for name in frame.columns if name not in (FIRST_SEEN, IS_ASSUMED, BUCKET_S)):
        of_metric = (POINTS.c.source == source, POINTS.c.series == series, POINTS.c.metric == metric)
        span = POINTS.c.bucket_ms.between(int(buckets.min()), int(buckets.max()))
        query = sa.select(POINTS.c.bucket_ms, POINTS.c.value, POINTS.c.first_seen_ms).where(*of_metric, span)
        newest = {row.bucket_ms: row for row in connection.execute(query.order_by(POINTS.c.first_seen_ms, POINTS.c.number))}
        columns = (frame[name].to_numpy() for name in (metric, FIRST_SEEN, IS_ASSUMED, BUCKET_S))
        for bucket_ms, value, first_seen_ms, is_assumed, bucket_s in zip(buckets, *columns, strict=True):
            if not np.isfinite(value):
                continue
            before = newest.get(int(bucket_ms))
            if before is not None and before.value == float(value):
                continue
            row = {"source": source, "series": series, "metric": metric, "bucket_ms": int(bucket_ms), "bucket_s": int(bucket_s)}
            if before is None:
                row |= {"first_seen_ms": int(first_seen_ms), "is_assumed": bool(is_assumed)}
            else:
                # Nobody could know the other value before it was fetched, whatever was assumed of the first one.
                row |= {"first_seen_ms": max(fetched_ms, before.first_seen_ms + 1), "is_assumed": False}
                revisions += 1
            new.append({**row, "value": float(value), "fetched_ms": fetched_ms})
    insert_or_ignore(connection, POINTS, new)
    return KeptNews(len(new) - revisions, revisions)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
