"""GDELT's event files: counted by when GDELT added them, whatever day the event is said to be of."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from components.base import now_ms
from components.fx import BadInput, Unavailable
from components.pipeline import Request
from components.pipeline.collect import collect_series
from components.pipeline.news import news_frame
from components.pipeline.news_store import NewsStore
from components.pipeline.sources import gdelt_events
from components.pipeline.sources.gdelt_events import COLUMNS, GdeltEvents, count_events
from components.pipeline.sources.source import Piece, SourceContext
from tests.pipeline.recorded_server import BROKEN, HTML, Asked, RecordedServer, Reply, event_line, events_zip, stamp_ms

DAY_MS, QUARTER_MS = 86_400_000, 15 * 60_000
QUICK = {"seconds_between": 0.0, "tries": 3, "backoff_s": 0.02, "timeout_s": 1.0}
FIVE = [
    event_line("20240102030000", "US", "010", "-2.0", "1.0", sqldate="20240102"),
    event_line("20240102030000", "US", "193", "-4.0", "-9.0", sqldate="20140102"),
    event_line("20240102030000", "US", "0231", "3.0", "2.0", sqldate="20250101", root="0"),
    event_line("20240102030000", "AS", "010", "1.0", "1.0"),
    event_line("20240102030000", "AU", "010", "7.0", "1.0"),
]


def text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def test_events_are_counted_by_when_they_were_added_and_not_by_their_day() -> None:
    counts = count_events(text(FIVE), "a.CSV", ("US",))
    # Added at 03:00: they belong to the quarter of an hour that ended then.
    assert counts.frame.index.tolist() == [stamp_ms("20240102024500")]
    assert counts.frame.iloc[0].tolist() == [3.0, -1.0, -2.0]
    assert list(counts.frame.columns) == ["count", "tone", "goldstein"]
    assert (counts.rows, counts.malformed) == (5, 0)
    moved = [event_line("20240102030000", "US", sqldate=day) for day in ("19990101", "20240102", "20300101")]
    assert count_events(text(moved), "a.CSV", ("US",)).frame.index.tolist() == [stamp_ms("20240102024500")]


def test_countries_are_fips_codes_so_that_australia_is_not_austria() -> None:
    assert count_events(text(FIVE), "a", gdelt_events.COUNTRIES["AUD"]).frame["tone"].tolist() == [1.0]
    assert count_events(text(FIVE), "a", gdelt_events.COUNTRIES["EUR"]).frame["tone"].tolist() == [7.0]
    assert len(count_events(text(FIVE), "a", ("JA",)).frame) == 0


def test_codes_are_text_with_their_leading_zero_and_roots_can_be_asked_for() -> None:
    assert count_events(text(FIVE), "a", ("US",), ("01", "02")).frame["count"].tolist() == [2.0]
    assert count_events(text(FIVE), "a", ("US",), ("10",)).frame.empty
    assert count_events(text(FIVE), "a", ("US",), root_only=True).frame["count"].tolist() == [2.0]


def test_a_stamp_off_the_grid_is_known_at_the_end_of_its_quarter_only() -> None:
    frame = count_events(text([event_line("20240102030001", "US"), event_line("20240102031500", "US")]), "a", ("US",)).frame
    assert frame.index.tolist() == [stamp_ms("20240102030000")]
    assert frame["count"].tolist() == [2.0]


def test_rows_that_are_not_events_are_counted_and_a_file_of_another_table_is_refused() -> None:
    lines = [*FIVE, "half a row\t1", event_line("2024010203", "US"), event_line("20241302030000", "US"), event_line("20240102030000", "US", tone="")]
    counts = count_events(text(lines), "a", ("US",))
    assert (counts.rows, counts.malformed) == (9, 3)
    assert counts.frame["count"].tolist() == [4.0]
    assert counts.frame["tone"].tolist() == [-1.0], "an event without a tone counts, its tone does not"
    with pytest.raises(BadInput, match=r"mentions.CSV has 16 columns where Events 2.0 has 61; is it another table"):
        count_events(text(["\t" * 15] * 4), "mentions.CSV", ("US",))
    with pytest.raises(BadInput, match=r"DATEADDED is '20240102' where Events 2.0 has 14 digits"):
        count_events(text([event_line("20240102", "US")]), "old.CSV", ("US",))
    with pytest.raises(BadInput, match="is a broken zip file"):
        count_events(b"PK\x03\x04 half", "a.zip", ("US",))
    assert count_events(b"", "empty.CSV", ("US",)).frame.empty


def test_the_places_of_the_columns_are_those_of_gdelts_schema(realdata: Path) -> None:
    with (realdata / "gdelt" / "events2_schema.csv").open(newline="", encoding="utf-8") as file:
        names = [row["name"] for row in csv.DictReader(file)]
    assert len(names) == COLUMNS
    places = (gdelt_events.IS_ROOT, gdelt_events.EVENT_CODE, gdelt_events.GOLDSTEIN, gdelt_events.TONE, gdelt_events.COUNTRY, gdelt_events.DATE_ADDED)
    assert [names[place] for place in places] == ["IsRootEvent", "EventCode", "GoldsteinScale", "AvgTone", "ActionGeo_CountryCode", "DATEADDED"]


def test_a_folder_of_files_is_read_once_and_a_changed_file_again(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "events"
    folder.mkdir()
    (folder / "20240102030000.export.CSV.zip").write_bytes(events_zip(FIVE))
    (folder / "20240102031500.export.CSV").write_bytes(text([event_line("20240102031500", "US", tone="5.0")]))
    request = Request("USD", "", None, None, {"folder": str(folder)})
    done = collect_series(home, "gdelt_events", request)
    assert (done.new_pieces, done.rows) == (2, 2)
    frame = news_frame(home, "USD")
    assert frame["volume"].tolist() == [3.0, 1.0]
    assert frame["tone"].tolist() == [-1.0, 5.0]
    assert frame.index.as_unit("ms").asi8.tolist() == [stamp_ms("20240102031500"), stamp_ms("20240102033000")], "15 minutes after DATEADDED"
    store = NewsStore.open(home)
    assert store.points("USD", "goldstein", source="gdelt_events")["value"].tolist() == [-2.0, 1.9]
    assert collect_series(home, "gdelt_events", request).new_pieces == 0
    (folder / "20240102031500.export.CSV").write_bytes(text([event_line("20240102031500", "US", tone="6.0")]))
    began = now_ms()
    assert collect_series(home, "gdelt_events", request).new_pieces == 1
    changed = store.points("USD", "tone", source="gdelt_events", with_revisions=True)
    assert changed["value"].tolist() == [-1.0, 5.0, 6.0]
    assert changed["first_seen_ms"].iloc[-1] >= began
    with pytest.raises(BadInput, match=r"'USD' was collected with countries \['US'\], not \['US', 'CA'\].*for example 'USD-2'"):
        collect_series(home, "gdelt_events", Request("USD", "", None, None, {"folder": str(folder), "countries": {"USD": ["US", "CA"]}}))


def test_an_empty_folder_and_an_unknown_series_are_refused(home: Path, tmp_path: Path) -> None:
    def collected(symbol: str, **options: object) -> list[Piece]:
        return list(GdeltEvents().pieces(Request(symbol, "", None, None, options), {}, SourceContext(home)))

    with pytest.raises(BadInput, match=r"folder: .* holds no .CSV or .zip files"):
        collected("USD", folder=str(tmp_path))
    with pytest.raises(BadInput, match=r"folder: .* is not a folder"):
        collected("USD", folder=str(tmp_path / "none"))
    with pytest.raises(BadInput, match="there are no countries for 'XYZ'; known are USD"):
        collected("XYZ", folder=str(tmp_path))
    with pytest.raises(BadInput, match=r"'1' is no CAMEO code"):
        collected("USD", event_codes=["1"])


@pytest.fixture
def server() -> Iterator[RecordedServer]:
    def file(asked: Asked) -> Reply:
        stamp = asked.path.rpartition("/")[2].split(".")[0]
        if stamp.endswith("120000"):
            return Reply(b"no such file", 404, "text/plain")
        return Reply(events_zip([event_line(stamp, "US"), event_line(stamp, "UK", tone="4.0")], f"{stamp}.export.CSV"), kind="application/zip")

    with RecordedServer() as running:
        running.at("/gdeltv2/", file)
        yield running


def grid(server: RecordedServer, start: str, days: int) -> Request:
    start_ms = stamp_ms(start)
    return Request("USD", "", start_ms, start_ms + days * DAY_MS, {**QUICK, "base_url": f"{server.url}/gdeltv2"})


@pytest.mark.slow
def test_days_are_downloaded_file_by_file_once_and_a_missing_file_is_a_counted_hole(home: Path, server: RecordedServer) -> None:
    server.plan("/gdeltv2/20240102010000", HTML, BROKEN)
    pieces = list(GdeltEvents().pieces(grid(server, "20240102000000", 1), {}, SourceContext(home)))
    (piece,) = pieces
    assert server.count() == 96 + 2
    assert piece.is_final
    assert piece.facts["absent"] == ["20240102120000.export.CSV.zip"]
    assert (piece.facts["files"], piece.facts["rows"], len(piece.frame)) == (95, 190, 95)
    assert np.array_equal(piece.frame["first_seen_ms"], piece.frame.index.as_unit("ms").asi8 + 2 * QUARTER_MS)
    done = collect_series(home, "gdelt_events", grid(server, "20240102000000", 1))
    assert (done.new_pieces, server.count()) == (1, 96 + 2 + 1), "the files are on disk; only the missing one is looked for again"
    assert collect_series(home, "gdelt_events", grid(server, "20240102000000", 1)).new_pieces == 0
    # The same files serve another currency.
    other = grid(server, "20240102000000", 1)
    collect_series(home, "gdelt_events", Request("GBP", "", other.start_ms, other.end_ms, other.options))
    assert server.count() == 96 + 2 + 2
    assert news_frame(home, "GBP")["tone"].iloc[0] == 4.0


@pytest.mark.slow
def test_the_present_day_is_read_as_far_as_it_is_and_dated_by_when_it_came(home: Path, server: RecordedServer) -> None:
    now = now_ms()
    request = Request("USD", "", now - 2 * 3_600_000, None, {**QUICK, "base_url": f"{server.url}/gdeltv2"})
    pieces = list(GdeltEvents().pieces(request, {}, SourceContext(home)))
    last = pieces[-1]
    assert not last.is_final
    stamps = last.frame.index.as_unit("ms").asi8 + QUARTER_MS
    assert stamps.max() <= now_ms()
    recent = stamps >= last.fetched_ms - 3_000_000
    assert (last.frame["first_seen_ms"][recent] >= now).all()
    assert (last.frame["is_assumed"][recent] == 0).all()


def test_a_list_of_addresses_is_read_once(home: Path, server: RecordedServer) -> None:
    urls = [f"{server.url}/gdeltv2/{stamp}.export.CSV.zip" for stamp in ("20240102030000", "20240102031500")]
    done = collect_series(home, "gdelt_events", Request("USD", "", None, None, {**QUICK, "urls": urls}))
    assert (done.new_pieces, server.count()) == (2, 2)
    assert collect_series(home, "gdelt_events", Request("USD", "", None, None, {**QUICK, "urls": urls})).new_pieces == 0
    assert server.count() == 2


@pytest.mark.slow
def test_a_day_without_any_file_is_an_error(home: Path, server: RecordedServer) -> None:
    server.at("/gdeltv2/", Reply(b"no such file", 404, "text/plain"))
    with pytest.raises(Unavailable, match="GDELT has none of the 96 event files of 2014-01-01; the first is from 2015-02-18"):
        list(GdeltEvents().pieces(grid(server, "20140101000000", 1), {}, SourceContext(home)))
