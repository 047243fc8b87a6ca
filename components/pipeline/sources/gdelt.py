"""GDELT's DOC 2.0 service: how much is written about a currency, in what tone, and which articles. Every value with when it was first seen.

The package gdeltdoc builds the queries and reads the answers; its one call to the network is replaced by ours, which has a time limit,
waits its turn, tries again and keeps what came.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, Literal

import numpy as np
import pandas as pd
from gdeltdoc import Filters, GdeltDoc
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from components.base import now_ms
from components.fx import BadInput, from_ms
from components.pipeline.news_store import FIRST_SEEN, IS_ASSUMED, ArticlePiece
from components.pipeline.sources.buckets import GRID_MS, HOUR_MS, Ints, Sight, points_frame, window_key, windows
from components.pipeline.sources.source import Gives, KnownPiece, Piece, Request, SourceContext, parsed_options
from components.pipeline.sources.web import Again, Answer, Web, WebOptions

BASE_URL = "https://api.gdeltproject.org/api/v2/doc/doc"
MODES = {"tone": "timelinetone", "volume": "timelinevol", "count": "timelinevolraw"}
MOST_ARTICLES = 250
SHORTEST_MS = HOUR_MS  # shorter stretches are refused as too short
FRESH_S = 60.0
Metric = Literal["tone", "volume", "count", "articles"]
_UNITS_S = {"m": 60, "h": 3600, "d": 86_400}
_STAMP = re.compile(r"\d{8}T\d{6}Z")
_ESCAPE = re.compile(r'\\(["\\/bfnrt]|u[0-9a-fA-F]{4})|\\')


class GdeltQuery(BaseModel):
    """What articles must be about: any of the keywords and any of GDELT's themes, in a language, from a country."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keywords: tuple[str, ...] = Field((), max_length=20, description="words or phrases, any of which must occur")
    themes: tuple[str, ...] = Field((), max_length=20, description="GDELT themes such as ECON_INTEREST_RATES, any of which must be set")
    language: str = Field("english", max_length=30, description="language of the articles; empty for all")
    country: str = Field("", max_length=30, description="country of the publisher; empty for all")

    @field_validator("keywords", "themes")
    @classmethod
    def _plain(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        for word in words:
            if not re.fullmatch(r"[\w .'-]{3,80}", word):
                raise ValueError(f"{word!r} is not 3 to 80 letters, digits and spaces")
        return words

    @model_validator(mode="after")
    def _about_something(self) -> GdeltQuery:
        if not (self.keywords or self.themes):
            raise ValueError("a query needs a keyword or a theme")
        return self

    def filters(self, start_ms: int, end_ms: int) -> Filters:
        """The query for articles first seen from `start_ms` to just before `end_ms`, as gdeltdoc has it."""
        return Filters(
            # GDELT refuses brackets around a single word.
            keyword=_one_or_many(self.keywords),
            theme=_one_or_many(self.themes),
            language=self.language or None,
            country=self.country or None,
            start_date=from_ms(start_ms),
            end_date=from_ms(end_ms - 1000),
            num_records=MOST_ARTICLES,
        )

    @property
    def text(self) -> str:
        """The query without its time, for people and to tell two apart."""
        return str(self.filters(0, 86_400_000).query_string).split("&")[0].strip()


DEFAULT_QUERIES = {
    "USD": GdeltQuery(keywords=("federal reserve", "us dollar", "fomc")),
    "EUR": GdeltQuery(keywords=("european central bank", "eurozone", "euro area")),
    "GBP": GdeltQuery(keywords=("bank of england", "pound sterling")),
    "JPY": GdeltQuery(keywords=("bank of japan", "japanese yen")),
    "CHF": GdeltQuery(keywords=("swiss national bank", "swiss franc")),
    "AUD": GdeltQuery(keywords=("reserve bank of australia", "australian dollar")),
    "NZD": GdeltQuery(keywords=("reserve bank of new zealand", "new zealand dollar")),
    "CAD": GdeltQuery(keywords=("bank of canada", "canadian dollar")),
    "SEK": GdeltQuery(keywords=("riksbank", "swedish krona")),
    "NOK": GdeltQuery(keywords=("norges bank", "norwegian krone")),
    "XAU": GdeltQuery(keywords=("gold price", "gold prices", "bullion")),
}


class GdeltOptions(WebOptions):
    """What is asked of GDELT and how often."""

    queries: dict[str, GdeltQuery] = Field(
        default_factory=dict,
        description="queries by series, for example {'USD': {'keywords': ['federal reserve']}}; the default table holds the rest",
    )
    metrics: tuple[Metric, ...] = Field(("tone", "volume"), min_length=1, description="tone, volume (share of all coverage), count, articles")
    days: int = Field(7, ge=1, le=4000, description="days back where no start is given and nothing is kept yet")
    window_hours: int = Field(48, ge=1, le=72, description="length of one request; up to 72 hours GDELT answers in buckets of 15 minutes")
    delay_minutes: int = Field(
        15, ge=0, le=1440, description="delay after its bucket's end at which a value of the past is assumed to have been seen"
    )
    live_minutes: int = Field(60, ge=15, le=1440, description="a bucket fetched within this time of its end counts as seen when it was fetched")
    settle_hours: int = Field(24, ge=1, le=240, description="age from which a window is not asked for again")
    base_url: str = Field(BASE_URL, max_length=500, description="address of the service")
    seconds_between: float = Field(5.5, ge=0, le=600, description="least time between two requests, over all processes; GDELT allows one every 5 s")
    backoff_s: float = Field(10.0, ge=0, le=600, description="first wait before another try, in seconds; it doubles each time")
    timeout_s: float = Field(60.0, gt=0, le=600, description="longest silence of the server, in seconds")


class Gdelt:
    """News about currencies: a piece for each metric and stretch of time."""

    name = "gdelt"
    gives: Gives = "news"
    is_network = True
    note = (
        "Tone and volume of the world's online news about a currency in buckets of 15 minutes, from 2017 on, and lists of articles. Free, one "
        "request every 5 seconds. A bucket without coverage is left out: unknown, not zero. Values of the past are dated by an assumed delay."
    )
    options: type[BaseModel] = GdeltOptions

    def offers(self) -> tuple[tuple[str, str], ...]:
        """The currencies of the default table; other series by a query of one's own."""
        return tuple((name, "") for name in DEFAULT_QUERIES)

    def pieces(self, request: Request, known: Mapping[str, KnownPiece], context: SourceContext) -> Iterator[Piece]:
        """Windows that are not final yet, oldest first."""
        options = parsed_options(self, request.options)
        assert isinstance(options, GdeltOptions)
        query = _query_for(request.symbol, options, known)
        now = now_ms()
        end_ms = min(request.end_ms if request.end_ms is not None else now, now)
        start_ms = _start(request, options, known, end_ms)
        wanted = [
            (metric, window)
            for window in windows(start_ms, end_ms, options.window_hours * HOUR_MS)
            if window[0] + GRID_MS <= now  # nothing is complete before
            for metric in options.metrics
            if not (window_key(metric, window) in known and known[window_key(metric, window)].is_final)
        ]
        client = _Client(Web(context, self.name, options), options, request.symbol, query)
        for number, (metric, window) in enumerate(wanted):
            client.fraction = number / len(wanted)
            yield client.piece(metric, window, known.get(window_key(metric, window)), now)
        context.progress(1.0, f"GDELT: {len(wanted)} windows of {request.symbol} read")


class _Client(GdeltDoc):  # type: ignore[misc]
    """gdeltdoc with our way to the network; its parsing stays."""

    def __init__(self, web: Web, options: GdeltOptions, series: str, query: GdeltQuery) -> None:
        super().__init__()
        self.web = web
        self.options = options
        self.series = series
        self.query = query
        self.fraction = 0.0
        self._what = ""
        self._age_s: float | None = None
        self._answers: list[Answer] = []
        self._document: dict[str, Any] = {}
        self._repaired = 0

    def piece(self, metric: str, window: tuple[int, int], before: KnownPiece | None, now: int) -> Piece:
        """One window of one metric."""
        start_ms, end_ms = window
        empty_before = int(before.facts.get("empty_answers", 0)) if before is not None else 0
        is_past = end_ms + self.options.settle_hours * HOUR_MS <= now  # GDELT's own revisions are over
        self._answers, self._repaired = [], 0
        self._age_s = 0.0 if empty_before else None if is_past else FRESH_S
        self._what = f"GDELT {metric} of {self.series}, {from_ms(start_ms):%Y-%m-%d %H:%M}"
        asked_ms = min(end_ms, now - now % GRID_MS)
        articles = pd.DataFrame()
        if metric == "articles":
            articles, cut = self._list(min(start_ms, asked_ms - SHORTEST_MS), asked_ms)
            articles = articles[articles["seen_ms"].between(start_ms, end_ms - 1)] if len(articles) else articles
            frame, more = _counted(articles), {"articles": len(articles), "cut_windows": cut}
        else:
            frame, more = self._timeline(metric, window, asked_ms)
        facts: dict[str, Any] = {
            "query": self.query.text,
            "metric": metric,
            "start_ms": start_ms,
            "end_ms": end_ms,
            "delay_minutes": self.options.delay_minutes,
            "repaired_escapes": self._repaired,
            "requests": len(self._answers),
            **more,
        }
        if not len(frame):
            # An empty answer may be a failure as well as silence of the press: it is believed when it came twice.
            facts["empty_answers"] = empty_before + 1
        is_final = is_past and facts.get("empty_answers", 2) >= 2
        digests = [answer.sha256 for answer in self._answers]
        digest = digests[0] if len(digests) == 1 else sha256("".join(digests).encode()).hexdigest()
        size = sum(len(answer.content) for answer in self._answers)
        fetched_ms = max(answer.fetched_ms for answer in self._answers)
        fields = (window_key(metric, window), self._answers[0].url, frame, digest, size, fetched_ms, is_final, facts)
        return ArticlePiece(*fields, articles=articles) if metric == "articles" else Piece(*fields)

    def _timeline(self, metric: str, window: tuple[int, int], asked_ms: int) -> tuple[pd.DataFrame, dict[str, Any]]:
        """The values of a window by bucket, with their first sight, and what was left out."""
        found = self.timeline_search(MODES[metric], self.query.filters(min(window[0], asked_ms - SHORTEST_MS), asked_ms))
        times, values = np.empty(0, dtype=np.int64), np.empty(0)
        if not found.empty:
            times = pd.DatetimeIndex(pd.to_datetime(found["datetime"], utc=True)).as_unit("ms").asi8
            values = pd.to_numeric(found.iloc[:, 1], errors="coerce").to_numpy(dtype=np.float64)
        bucket_s = _bucket_s(self._document, times)
        fetched_ms = self._answers[-1].fetched_ms
        rows = pd.DataFrame({"value": values, "end_ms": times + bucket_s * 1000}, index=times)
        rows = rows[(times >= window[0]) & (times < window[1])]
        is_forming = rows["end_ms"] > fetched_ms
        kept = rows[~is_forming & np.isfinite(rows["value"])]
        kept = kept[~kept.index.duplicated(keep="last")].sort_index()
        sight = Sight(fetched_ms, self.options.live_minutes * 60_000, self.options.delay_minutes * 60_000)
        first_seen, is_assumed = sight.first_seen(kept["end_ms"].to_numpy(dtype=np.int64))
        facts = {
            "bucket_s": bucket_s,
            "forming": int(is_forming.sum()),
            "left_out": int(len(rows) - is_forming.sum() - len(kept)),
            "assumed": int(is_assumed.sum()),
        }
        return points_frame(kept.index.to_numpy(dtype=np.int64), {metric: kept["value"]}, first_seen, is_assumed, bucket_s), facts

    def _list(self, start_ms: int, end_ms: int) -> tuple[pd.DataFrame, int]:
        """Articles first seen in a window, halved until a list is not full, and how many of the shortest windows were full all the same."""
        found = self.article_search(self.query.filters(start_ms, end_ms))
        if len(found) >= MOST_ARTICLES and end_ms - start_ms >= 2 * SHORTEST_MS:
            middle = start_ms + (end_ms - start_ms) // 2 // GRID_MS * GRID_MS
            (early, cut), (late, cut_too) = self._list(start_ms, middle), self._list(middle, end_ms)
            parts = [part for part in (early, late) if len(part)]
            return (pd.concat(parts, ignore_index=True).drop_duplicates("url") if parts else early), cut + cut_too
        if not len(found):
            return pd.DataFrame(), 0
        seen = pd.DatetimeIndex(pd.to_datetime(found["seendate"], utc=True)).as_unit("ms").asi8
        sight = Sight(self._answers[-1].fetched_ms, self.options.live_minutes * 60_000, self.options.delay_minutes * 60_000)
        first_seen, is_assumed = sight.first_seen(seen + GRID_MS)
        texts = {name: found[there].fillna("").astype(str) if there in found else "" for name, there in _FIELDS.items()}
        articles = pd.DataFrame({**texts, "seen_ms": seen, FIRST_SEEN: first_seen, IS_ASSUMED: is_assumed}, index=found.index)
        return articles.drop_duplicates("url"), int(len(found) >= MOST_ARTICLES)

    def _query(self, mode: str, query_string: str) -> dict[str, Any]:
        """Ask GDELT; gdeltdoc calls this for every search."""
        query, *rest = query_string.split("&")
        params = {"query": query.strip(), "mode": mode, "format": "json", **dict(part.split("=", 1) for part in rest)}
        # A list is split into several, a timeline of the present is asked for again and again: one file for each list, one for each timeline.
        place = params["startdatetime"] + (f"-{params['enddatetime']}" if mode == "artlist" else "")
        answer = self.web.get(
            self.options.base_url,
            params=params,
            keep_as=f"{self.series}-{mode}-{place}.json",
            most_age_s=self._age_s,
            check=lambda answer: check_answer(answer, mode, self.options.seconds_between),
            what=self._what,
            fraction=self.fraction,
        )
        self._document, repaired = parse_json(answer.text)
        self._repaired += repaired
        self._answers.append(answer)
        return self._document


_FIELDS = {"url": "url", "title": "title", "domain": "domain", "language": "language", "country": "sourcecountry"}


def parse_json(text: str) -> tuple[dict[str, Any], int]:
    """A JSON object, and how many backslashes had to be escaped that begin no escape of JSON; `ValueError` where it is none.

    gdeltdoc blanks whatever character the parser stumbles over, up to a hundred of them, which can turn one number into another. Here only
    backslashes are mended, which GDELT passes on from titles.
    """
    try:
        document, repaired = json.loads(text, strict=False), 0
    except ValueError:
        repaired = sum(found.group(1) is None for found in _ESCAPE.finditer(text))
        if not repaired:
            raise
        document = json.loads(_ESCAPE.sub(lambda found: found.group(0) if found.group(1) else "\\\\", text), strict=False)
    if not isinstance(document, dict):
        raise ValueError(f"{type(document).__name__} where an object was expected")
    return document, repaired


def check_answer(answer: Answer, mode: str, seconds_between: float) -> None:
    """Refuse what is no data: `Again` where it is GDELT's trouble, `BadInput` where GDELT says in words that the query is wrong."""
    text = answer.text.strip()
    if not text or text.startswith("<"):
        raise Again("GDELT sent a page instead of data")
    if not text.startswith(("{", "[")):
        if re.search(r"limit requests|too many requests|rate limit", text, re.IGNORECASE):
            raise Again("GDELT says that there are too many requests", seconds_between)
        raise BadInput("queries", f"GDELT refuses the query: {' '.join(text.split())[:300]}")
    try:
        document, _ = parse_json(text)
    except ValueError as error:
        raise Again(f"GDELT sent broken JSON ({error}), perhaps cut off") from None
    if document and not _has_shape(document, mode):
        raise Again(f"GDELT sent something else than a {mode}: {', '.join(map(str, document))[:100]}")


def _has_shape(document: dict[str, Any], mode: str) -> bool:
    if mode == "artlist":
        articles = document.get("articles")
        return isinstance(articles, list) and all(
            isinstance(one, dict) and one.get("url") and _STAMP.fullmatch(str(one.get("seendate"))) for one in articles
        )
    timeline = document.get("timeline")
    if not isinstance(timeline, list) or not all(isinstance(one, dict) and isinstance(one.get("data"), list) for one in timeline):
        return False
    needed = {"date", "value", *(("norm",) if mode == MODES["count"] else ())}
    entries = [entry for one in timeline for entry in one["data"]]
    return all(isinstance(entry, dict) and needed <= entry.keys() and _STAMP.fullmatch(str(entry["date"])) for entry in entries)


def _query_for(series: str, options: GdeltOptions, known: Mapping[str, KnownPiece]) -> GdeltQuery:
    query = options.queries.get(series) or DEFAULT_QUERIES.get(series)
    if query is None:
        raise BadInput("symbol", f"there is no query for {series!r}; known are {', '.join(DEFAULT_QUERIES)}; give one in the option queries")
    for piece in known.values():
        if piece.facts.get("query", query.text) != query.text:
            raise BadInput(
                "queries",
                f"{series!r} was collected with the query {piece.facts['query']!r}, and values of two queries do not belong in one series; "
                f"collect {query.text!r} under another name, for example {series + '-2'!r}",
            )
    return query


def _start(request: Request, options: GdeltOptions, known: Mapping[str, KnownPiece], end_ms: int) -> int:
    """Where to begin: as asked, else where the kept windows begin, so that holes are filled, else some days back."""
    if request.start_ms is not None:
        return request.start_ms
    kept = [int(piece.facts["start_ms"]) for piece in known.values() if "start_ms" in piece.facts]
    return min(kept, default=end_ms - options.days * 24 * HOUR_MS)


def _bucket_s(document: Mapping[str, Any], times: Ints) -> int:
    """Length of the buckets in seconds: as GDELT says, else the least distance between two of them."""
    said = re.match(r"\s*(\d*)\s*([mhd])", str((document.get("query_details") or {}).get("date_resolution", "")))
    if said:
        return int(said.group(1) or 1) * _UNITS_S[said.group(2)]
    steps = np.diff(np.unique(times))
    return int(steps.min()) // 1000 if len(steps) else GRID_MS // 1000


def _counted(articles: pd.DataFrame) -> pd.DataFrame:
    """How many of the listed articles fell into each quarter of an hour; a list is no measure of coverage, so this is kept in the piece only."""
    counts = articles["seen_ms"].value_counts().sort_index() if len(articles) else pd.Series(dtype="int64")
    return points_frame(counts.index.to_numpy(dtype=np.int64), {"articles": counts}, counts.index, np.zeros(len(counts)), GRID_MS // 1000)


def _one_or_many(words: tuple[str, ...]) -> str | list[str] | None:
    return None if not words else words[0] if len(words) == 1 else list(words)
