"""GDELT's Events 2.0 files: what happened where, counted by currency and quarter of an hour, dated by when GDELT added it.

A file has 61 columns, tabs between them and no header. Its SQLDATE is the day of the event, which may lie before or after its news; only
DATEADDED says when the world could know of it.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field, field_validator

from components.base import now_ms
from components.fx import BadInput, Unavailable, from_ms
from components.pipeline.sources.buckets import GRID_MS, HOUR_MS, Sight, points_frame, window_key, windows
from components.pipeline.sources.source import Gives, KnownPiece, Piece, Request, SourceContext, parsed_options
from components.pipeline.sources.web import Again, Answer, HttpRefused, Web, WebOptions, shown_url

BASE_URL = "http://data.gdeltproject.org/gdeltv2"
COLUMNS = 61
# Places of the columns that are read, from 0, in GDELT's own schema.
IS_ROOT, EVENT_CODE, GOLDSTEIN, TONE, COUNTRY, DATE_ADDED = 25, 26, 30, 34, 53, 59
DAY_MS = 24 * HOUR_MS
MOST_UNPACKED = 1 << 30
# Two-letter FIPS 10-4 codes, which are not those of ISO: AS is Australia, AU Austria, JA Japan, SZ Switzerland, UK the United Kingdom.
COUNTRIES: dict[str, tuple[str, ...]] = {
    "USD": ("US",),
    "EUR": ("AU", "BE", "BU", "CY", "EI", "EN", "FI", "FR", "GM", "GR", "HR", "IT", "LG", "LH", "LO", "LU", "MT", "NL", "PO", "SI", "SP"),
    "GBP": ("UK",),
    "JPY": ("JA",),
    "CHF": ("SZ", "LS"),
    "AUD": ("AS",),
    "NZD": ("NZ",),
    "CAD": ("CA",),
    "SEK": ("SW",),
    "NOK": ("NO",),
    "CNH": ("CH",),
}


class EventsOptions(WebOptions):
    """Which files are read and which of their events are counted."""

    folder: Path | None = Field(
        None, description="folder with files such as 20240102030000.export.CSV.zip or .CSV; where given, nothing is downloaded"
    )
    urls: tuple[str, ...] = Field(
        (), max_length=10_000, description="addresses of files to download; where empty, one for every quarter of an hour asked for"
    )
    base_url: str = Field(BASE_URL, max_length=500, description="folder of the 15-minute files on the web")
    countries: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="FIPS 10-4 codes by series, for example {'USD': ['US']}; the default table holds the rest"
    )
    event_codes: tuple[str, ...] = Field(
        (), max_length=50, description="CAMEO codes or their beginnings, as text ('010', '13'); all events where empty"
    )
    root_only: bool = Field(False, description="only events of a document's opening")
    days: int = Field(1, ge=1, le=400, description="days back where no start is given; a day is 96 files")
    delay_minutes: int = Field(15, ge=0, le=1440, description="delay after DATEADDED at which an event of the past is assumed to have been seen")
    seconds_between: float = Field(0.2, ge=0, le=600, description="least time between two requests, over all processes")
    live_minutes: int = Field(60, ge=15, le=1440, description="a file fetched within this time of its stamp counts as seen when it was fetched")

    @field_validator("event_codes")
    @classmethod
    def _digits(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        for code in codes:
            if not (code.isdigit() and 2 <= len(code) <= 4):
                raise ValueError(f"{code!r} is no CAMEO code: two to four digits, with their leading zero")
        return codes


@dataclass(frozen=True)
class EventCounts:
    """What one file says: for each bucket (index, epoch milliseconds) `count`, `tone` and `goldstein`, and how many rows were left out."""

    frame: pd.DataFrame
    rows: int
    malformed: int


class GdeltEvents:
    """Events by currency and quarter of an hour: a piece for each local file, or for each downloaded day."""

    name = "gdelt_events"
    gives: Gives = "news"
    is_network = True
    note = (
        "GDELT Events 2.0, from February 2015 on: number of events in a currency's countries, their mean tone and Goldstein score, in buckets "
        "of 15 minutes by the time at which GDELT added them. From files of one's own or downloaded (96 files a day, about 10 MB)."
    )
    options: type[BaseModel] = EventsOptions

    def offers(self) -> tuple[tuple[str, str], ...]:
        """The currencies of the default table of countries."""
        return tuple((name, "") for name in COUNTRIES)

    def pieces(self, request: Request, known: Mapping[str, KnownPiece], context: SourceContext) -> Iterator[Piece]:
        """What is new: files whose content is not known, days that are not final."""
        options = parsed_options(self, request.options)
        assert isinstance(options, EventsOptions)
        wanted = _Wanted(request.symbol, _countries(request.symbol, options), options)
        if options.folder is not None:
            yield from _from_folder(options.folder, wanted, known, context)
        elif options.urls:
            yield from _from_urls(wanted, known, context)
        else:
            yield from _from_grid(request, wanted, known, context)


@dataclass(frozen=True)
class _Wanted:
    series: str
    countries: tuple[str, ...]
    options: EventsOptions

    @property
    def selection(self) -> dict[str, Any]:
        """What decides which events count; part of every piece, since other choices are other numbers."""
        return {"countries": list(self.countries), "event_codes": list(self.options.event_codes), "root_only": self.options.root_only}

    def counts(self, content: bytes, name: str) -> EventCounts:
        return count_events(content, name, self.countries, self.options.event_codes, self.options.root_only)

    def frame(self, counts: pd.DataFrame, fetched_ms: int) -> tuple[pd.DataFrame, int]:
        """Points with their first sight, and how many of those are assumed."""
        sight = Sight(fetched_ms, self.options.live_minutes * 60_000, self.options.delay_minutes * 60_000)
        buckets = counts.index.to_numpy(dtype=np.int64)
        first_seen, is_assumed = sight.first_seen(buckets + GRID_MS)
        columns = {name: counts[name].to_numpy() for name in ("count", "tone", "goldstein")}
        return points_frame(buckets, columns, first_seen, is_assumed, GRID_MS // 1000), int(is_assumed.sum())


def count_events(content: bytes, name: str, countries: tuple[str, ...], codes: tuple[str, ...] = (), root_only: bool = False) -> EventCounts:
    """Count the events of a file by quarter of an hour.

    Parameters
    ----------
    content : bytes
        The file as it came, zip or text.
    name : str
        For messages.
    countries : tuple of str
        FIPS 10-4 codes of where the action took place.
    codes : tuple of str
        Beginnings of CAMEO codes; all where empty.
    root_only : bool
        Only root events.

    Returns
    -------
    EventCounts
        A bucket is the quarter of an hour that ended with DATEADDED, named by its begin; SQLDATE is not looked at. DATEADDED is rounded up to
        the next quarter (GDELT stamps all events of a file with the file's own time, which lies on one), so nothing is known too early.

    Raises
    ------
    BadInput
        If the file is not an Events 2.0 file.
    """
    text = unpacked(content, name)
    lines = text.splitlines()
    good = [line for line in lines if line.count(b"\t") == COLUMNS - 1]
    if lines and len(good) < 0.5 * len(lines):
        found = lines[0].count(b"\t") + 1
        raise BadInput(
            "file", f"{name} has {found} columns where Events 2.0 has {COLUMNS}; is it another table of GDELT (mentions, GKG, Events 1.0)?"
        )
    names = {IS_ROOT: "root", EVENT_CODE: "code", GOLDSTEIN: "goldstein", TONE: "tone", COUNTRY: "country", DATE_ADDED: "added"}
    events = pd.read_csv(
        io.BytesIO(b"\n".join(good)) if good else io.StringIO("\t" * (COLUMNS - 1)),
        sep="\t",
        header=None,
        usecols=list(names),
        dtype=str,
        keep_default_na=False,
        quoting=3,
        encoding="utf-8",
        encoding_errors="replace",
    ).rename(columns=names)
    events = events if good else events.iloc[:0]
    is_stamp = events["added"].str.fullmatch(r"\d{14}")
    if len(events) and not is_stamp.any():
        raise BadInput("file", f"{name}: DATEADDED is {events['added'].iloc[0]!r} where Events 2.0 has 14 digits")
    events = events[is_stamp]
    added = pd.to_datetime(events["added"], format="%Y%m%d%H%M%S", utc=True, errors="coerce")
    events, added = events[added.notna()], added[added.notna()]
    malformed = len(lines) - len(events)
    chosen = events["country"].isin(countries)
    if codes:
        chosen &= events["code"].str.startswith(codes)
    if root_only:
        chosen &= events["root"] == "1"
    added_ms = pd.DatetimeIndex(added[chosen]).as_unit("ms").asi8
    buckets = -(-added_ms // GRID_MS) * GRID_MS - GRID_MS
    numbers = pd.DataFrame(
        {name: pd.to_numeric(events.loc[chosen, name], errors="coerce").to_numpy(dtype=np.float64) for name in ("tone", "goldstein")}, index=buckets
    )
    groups = numbers.groupby(level=0)
    frame = groups.mean()
    frame.insert(0, "count", groups.size().astype("float64"))
    return EventCounts(frame, len(lines), malformed)


def unpacked(content: bytes, name: str) -> bytes:
    """The text of a file that may be a zip of one file; `BadInput` where the zip is broken or unpacks to more than a gigabyte."""
    if not content.startswith(b"PK"):
        return content
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            inside = archive.infolist()
            if len(inside) != 1 or inside[0].file_size > MOST_UNPACKED:
                raise BadInput("file", f"{name} holds {len(inside)} files of {sum(one.file_size for one in inside):,} bytes; one file is expected")
            return archive.read(inside[0])
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise BadInput("file", f"{name} is a broken zip file ({error}); download it again") from None


def _from_folder(folder: Path, wanted: _Wanted, known: Mapping[str, KnownPiece], context: SourceContext) -> Iterator[Piece]:
    if not folder.is_dir():
        raise BadInput("folder", f"{folder} is not a folder")
    files = sorted(path for path in folder.iterdir() if path.name.lower().endswith((".csv", ".zip")))
    if not files:
        raise BadInput("folder", f"{folder} holds no .CSV or .zip files")
    for number, path in enumerate(files):
        content = path.read_bytes()
        digest = sha256(content).hexdigest()
        before = known.get(path.name)
        context.progress(number / len(files), f"events of {path.name}", files=number)
        if before is not None and before.raw_sha256 == digest and _is_same(before, wanted):
            continue
        counts = wanted.counts(content, path.name)
        fetched_ms = now_ms()
        frame, assumed = wanted.frame(counts.frame, fetched_ms)
        facts = {**wanted.selection, "rows": counts.rows, "malformed": counts.malformed, "assumed": assumed}
        yield Piece(path.name, str(path), frame, digest, len(content), fetched_ms, True, facts)


def _from_urls(wanted: _Wanted, known: Mapping[str, KnownPiece], context: SourceContext) -> Iterator[Piece]:
    web = Web(context, GdeltEvents.name, wanted.options)
    for number, url in enumerate(wanted.options.urls):
        name = shown_url(url).rpartition("/")[2]
        if name in known and _is_same(known[name], wanted):
            continue
        answer = web.get(url, keep_as=name, check=_check_zip, what=f"events {name}", fraction=number / len(wanted.options.urls))
        counts = wanted.counts(answer.content, name)
        frame, assumed = wanted.frame(counts.frame, answer.fetched_ms)
        facts = {**wanted.selection, "rows": counts.rows, "malformed": counts.malformed, "assumed": assumed}
        yield Piece(name, answer.url, frame, answer.sha256, len(answer.content), answer.fetched_ms, True, facts)


def _from_grid(request: Request, wanted: _Wanted, known: Mapping[str, KnownPiece], context: SourceContext) -> Iterator[Piece]:
    """Whole days, file by file; a file that the server does not have is a hole, counted in the facts."""
    now = now_ms()
    end_ms = min(request.end_ms if request.end_ms is not None else now, now)
    start_ms = request.start_ms if request.start_ms is not None else end_ms - wanted.options.days * DAY_MS
    web = Web(context, GdeltEvents.name, wanted.options)
    days = [
        day
        for day in windows(start_ms, end_ms, DAY_MS)
        if not ((before := known.get(window_key("events", day))) is not None and before.is_final and _is_same(before, wanted))
    ]
    for number, day in enumerate(days):
        yield _day(web, day, wanted, now, (number / len(days), 1 / len(days)))


def _day(web: Web, day: tuple[int, int], wanted: _Wanted, now: int, share: tuple[float, float]) -> Piece:
    start_ms, end_ms = day
    stamps = [ms for ms in range(start_ms, end_ms, GRID_MS) if ms <= now]
    parts, digests, absent, malformed, rows, size = [], [], [], 0, 0, 0
    fetched: list[int] = []
    for number, stamp in enumerate(stamps):
        name = f"{from_ms(stamp):%Y%m%d%H%M%S}.export.CSV.zip"
        fraction = share[0] + share[1] * number / len(stamps)
        try:
            answer = web.get(
                f"{wanted.options.base_url.rstrip('/')}/{name}", keep_as=name, check=_check_zip, what=f"events {name}", fraction=fraction
            )
        except HttpRefused as error:
            if error.status != 404:
                raise
            absent.append(name)
            continue
        counts = wanted.counts(answer.content, name)
        frame, _ = wanted.frame(counts.frame, answer.fetched_ms)
        parts.append(frame)
        digests.append(answer.sha256)
        fetched.append(answer.fetched_ms)
        malformed, rows, size = malformed + counts.malformed, rows + counts.rows, size + len(answer.content)
    if not parts:
        raise Unavailable(f"GDELT has none of the {len(stamps)} event files of {from_ms(start_ms):%Y-%m-%d}; the first is from 2015-02-18")
    frame = pd.concat(parts).sort_index()
    # Two files may speak of one bucket; the newer one is the later word.
    frame = frame[~frame.index.duplicated(keep="last")]
    facts = {
        **wanted.selection,
        "rows": rows,
        "malformed": malformed,
        "files": len(parts),
        "absent": absent,
        "assumed": int(frame["is_assumed"].sum()),
    }
    digest = sha256("".join(digests).encode()).hexdigest()
    is_final = end_ms + HOUR_MS <= now
    origin = f"{wanted.options.base_url.rstrip('/')}/{from_ms(start_ms):%Y%m%d}*.export.CSV.zip"
    return Piece(window_key("events", day), shown_url(origin), frame, digest, size, max(fetched), is_final, facts)


def _countries(series: str, options: EventsOptions) -> tuple[str, ...]:
    countries = options.countries.get(series) or COUNTRIES.get(series)
    if not countries:
        raise BadInput("symbol", f"there are no countries for {series!r}; known are {', '.join(COUNTRIES)}; give some in the option countries")
    return countries


def _is_same(piece: KnownPiece, wanted: _Wanted) -> bool:
    """Whether a kept piece counts the same events; `BadInput` where it counts others, since those are another series."""
    for name, value in wanted.selection.items():
        if piece.facts.get(name) != value:
            raise BadInput(
                name,
                f"{wanted.series!r} was collected with {name} {piece.facts.get(name)!r}, not {value!r}; two selections do not belong in one series: "
                f"collect this one under another name, for example {wanted.series + '-2'!r}",
            )
    return True


def _check_zip(answer: Answer) -> None:
    if answer.content.lstrip()[:1] == b"<":
        raise Again("the server sent a page instead of a file")
    try:
        unpacked(answer.content, "the file")
    except BadInput as error:
        raise Again(error.message) from None
