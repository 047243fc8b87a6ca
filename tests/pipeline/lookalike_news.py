"""News as the source gdelt keeps it, made here: tone and volume of one currency in buckets of a quarter of an hour."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components.pipeline import Piece, PipelineStore, Request
from components.pipeline.news_store import keep_news
from components.pipeline.sources.buckets import points_frame

QUARTER_MS = 900_000


def keep_tone(home: Path, currency: str, first_ms: int, buckets: int, seed: int = 1) -> None:
    """Keep a piece of news as a collection does; every bucket is seen half an hour after it began."""
    rng = np.random.default_rng(seed)
    times = first_ms + QUARTER_MS * np.arange(buckets, dtype=np.int64)
    values = {"tone": rng.normal(-1, 1, buckets).round(4).tolist(), "volume": rng.uniform(0.1, 1, buckets).round(4).tolist()}
    frame = points_frame(times, values, (times + 2 * QUARTER_MS).tolist(), [1] * buckets, QUARTER_MS // 1000)
    piece = Piece("a day", "https://api.gdeltproject.org/api/v2/doc/doc", frame, "ab" * 32, 1, int(times[-1] + 4 * QUARTER_MS))
    store = PipelineStore.open(home)
    keep_news(store.database, "gdelt", Request(currency), piece)
    store.keep_piece("gdelt", currency, "", piece)
    store.close()
