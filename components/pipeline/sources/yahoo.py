"""Yahoo's chart service through the package yfinance: currency pairs and indices, from minutes to weeks.

yfinance gives an empty frame where anything goes wrong, and takes one error for another. Its session is ours: it says what Yahoo really
answered, keeps that answer, and bounds every request in time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import yfinance
from curl_cffi.requests import Response, Session
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from yfinance.data import YfData
from yfinance.exceptions import YFRateLimitError

from components.base import now_ms
from components.fx import BadInput, NotFound, Timeframe, Unavailable, from_ms
from components.pipeline.sources.source import Gives, KnownPiece, Piece, Request, SourceContext, parsed_options
from components.pipeline.sources.turns import hold_back, safe_name, wait_for_turn
from components.pipeline.sources.web import Again, Answer, WebOptions, in_background, keep, retry_after_s, shown_url, tried

HOST = "query2.finance.yahoo.com"
CHART = "/v8/finance/chart/"
DAY_MS = 86_400_000
MONDAY_MS = 4 * DAY_MS  # 1970-01-05: Yahoo's weeks begin on Mondays
LONGEST_SILENCE_MS = 4 * DAY_MS  # a long weekend
SETTLED_MS = DAY_MS
INDICES = {"US30": "^DJI", "US500": "^GSPC", "USTEC": "^NDX", "DE40": "^GDAXI", "UK100": "^FTSE", "JP225": "^N225"}
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Reach:
    """What Yahoo gives of a timeframe: its word for it, the longest stretch of one request, and how far back there is anything (None: all)."""

    interval: str
    chunk_days: int
    back_days: int | None


REACH = {
    # Yahoo allows 8 days of minutes in one request and 30 in all, 60 days of other minutes, 730 of hours; a day less keeps clear of the edge.
    "M1": Reach("1m", 7, 29),
    "M5": Reach("5m", 30, 59),
    "M15": Reach("15m", 30, 59),
    "M30": Reach("30m", 30, 59),
    "H1": Reach("1h", 180, 729),
    "D1": Reach("1d", 3640, None),
    "W1": Reach("1wk", 3640, None),
}


class YahooOptions(WebOptions):
    """What is asked of Yahoo."""

    ticker: str = Field("", max_length=30, description="Yahoo's own name where it is not found by itself, for example GC=F for gold futures")
    years: int = Field(10, ge=1, le=60, description="years back for D1 and W1 where no start is given")
    decimals: int | None = Field(None, ge=0, le=8, description="decimals that prices are rounded to; Yahoo's own price hint where empty")
    base_url: str = Field("", max_length=500, description="another server to ask in place of Yahoo's, its hosts as first folders; for tests")
    seconds_between: float = Field(1.0, ge=0, le=600, description="least time between two requests, over all processes")
    backoff_s: float = Field(10.0, ge=0, le=600, description="first wait before another try, in seconds; it doubles each time")


class Yfinance:
    """Bars of Yahoo, one piece a stretch of time."""

    name = "yfinance"
    gives: Gives = "bars"
    is_network = True
    note = (
        "Currency pairs and indices of Yahoo Finance, unofficial and for personal use: M1 of the last 29 days, M5 to M30 of 59, H1 of 729, D1 and W1 "
        "of many years. Pairs have no volume and few decimals; their days begin at 00:00 in London. Good for a look, not for trading decisions."
    )
    options: type[BaseModel] = YahooOptions

    def offers(self) -> tuple[tuple[str, str], ...]:
        """The majors and the indices that Yahoo has under a name of its own; any other pair may be asked for."""
        symbols = ("EURUSD", "GBPUSD", "USDJPY", "USDCHF", "AUDUSD", "NZDUSD", "USDCAD", "EURGBP", "EURJPY", *INDICES)
        return tuple((symbol, timeframe) for symbol in symbols for timeframe in ("H1", "D1", "M5"))

    def pieces(self, request: Request, known: Mapping[str, KnownPiece], context: SourceContext) -> Iterator[Piece]:
        """Stretches that are not final yet, oldest first."""
        options = parsed_options(self, request.options)
        assert isinstance(options, YahooOptions)
        timeframe = request.bars_of
        reach = REACH.get(timeframe.name)
        if reach is None:
            raise BadInput("timeframe", f"Yahoo has no {timeframe.name}; it has {', '.join(REACH)}: collect H1 and resample it")
        ticker = ticker_of(request.symbol, options.ticker)
        now = now_ms()
        chunks = chunks_of(request, timeframe, reach, now, options.years)
        wanted = [chunk for chunk in chunks if not (chunk.key in known and known[chunk.key].is_final)]
        yahoo = _Yahoo(ticker, timeframe, reach, options, context)
        count = 0
        for number, chunk in enumerate(wanted):
            piece = yahoo.piece(chunk, now, number / len(wanted))
            if piece is not None:
                count += 1
                yield piece
        if not (count or known):
            span = f"{from_ms(chunks[0].start_ms):%Y-%m-%d} to {from_ms(chunks[-1].end_ms):%Y-%m-%d}"
            raise Unavailable(f"Yahoo knows {ticker} but has no {timeframe.name} bars from {span}; ask for another time or a longer timeframe")


@dataclass(frozen=True)
class Chunk:
    """A stretch of time under a fixed name; `asked_ms` is where the request begins, later than `start_ms` where Yahoo reaches no further."""

    start_ms: int
    end_ms: int
    asked_ms: int

    @property
    def key(self) -> str:
        """The piece's name."""
        return f"{from_ms(self.start_ms):%Y-%m-%d}..{from_ms(self.end_ms):%Y-%m-%d}"


def ticker_of(symbol: str, ticker: str = "") -> str:
    """Yahoo's name of a symbol: the given one, that of a known index, or the pair with ``=X``."""
    if ticker:
        return ticker
    if symbol in INDICES:
        return INDICES[symbol]
    if len(symbol) == 6 and symbol.isalpha() and symbol[:3] not in ("XAU", "XAG"):
        return f"{symbol}=X"
    raise BadInput("ticker", f"Yahoo's name for {symbol!r} is not known; give it in the option ticker (GC=F is the gold future, not spot)")


def chunks_of(request: Request, timeframe: Timeframe, reach: Reach, now: int, years: int = 10) -> list[Chunk]:
    """The stretches of a request, cut on a fixed grid so that they keep their names.

    Raises
    ------
    BadInput
        If Yahoo reaches none of it.
    """
    earliest = 0 if reach.back_days is None else now - reach.back_days * DAY_MS
    start = request.start_ms if request.start_ms is not None else earliest or now - years * 365 * DAY_MS
    end = min(request.end_ms if request.end_ms is not None else now, now)
    if end <= max(start, earliest):
        words = f"no further back than {from_ms(earliest):%Y-%m-%d}" if reach.back_days is not None else "the past"
        raise BadInput("end_ms", f"Yahoo gives {timeframe.name} of {words}; nothing of what was asked for lies there")
    length = reach.chunk_days * DAY_MS
    first = max(start, earliest)
    grid = first - (first - MONDAY_MS) % length
    return [Chunk(ms, ms + length, max(ms, earliest)) for ms in range(grid, end, length)]


class _Listening(Session[Response]):
    """yfinance's session that remembers the last answer of the chart service, bounds every request, and may ask another server."""

    def __init__(self, options: YahooOptions) -> None:
        super().__init__(impersonate="chrome")
        self.base_url = options.base_url.rstrip("/")
        self.timeout_s = options.timeout_s
        self.status = 0
        self.headers_of_last: Mapping[str, Any] = {}
        self.content = b""
        self.url = ""

    def request(self, method: Any, url: str, *args: Any, **more: Any) -> Response:
        """As yfinance asks it, with our time limit."""
        parts = urlsplit(url)
        target = f"{self.base_url}/{parts.netloc}{parts.path}" + (f"?{parts.query}" if parts.query else "") if self.base_url else url
        response = super().request(method, target, *args, **{**more, "timeout": self.timeout_s})
        if CHART in url:
            self.status, self.content = response.status_code, response.content
            self.headers_of_last, self.url = dict(response.headers), shown_url(str(response.url))
        return response

    def forget(self) -> None:
        """Before another try."""
        self.status, self.content, self.url = 0, b"", ""

    @property
    def chart(self) -> dict[str, Any] | None:
        """The last answer's ``chart``; None where it was something else."""
        try:
            chart = json.loads(self.content)["chart"]
        except (ValueError, KeyError, TypeError):
            return None
        return chart if isinstance(chart, dict) else None


class _Yahoo:
    """One ticker in one timeframe."""

    def __init__(self, ticker: str, timeframe: Timeframe, reach: Reach, options: YahooOptions, context: SourceContext) -> None:
        self.ticker, self.timeframe, self.reach, self.options, self.context = ticker, timeframe, reach, options, context
        self.host = urlsplit(options.base_url).netloc or HOST
        _keep_package_cache_in(context.raw("yfinance") / "package")

    def piece(self, chunk: Chunk, now: int, fraction: float) -> Piece | None:
        """The bars of a chunk; None where there are none and it is too short to be sure of some."""
        what = f"Yahoo {self.ticker} {self.timeframe.name} {chunk.key}"
        session, frame = tried(
            lambda: self._ask(chunk, now, what, fraction), context=self.context, options=self.options, what=what, fraction=fraction
        )
        chart = (session.chart or {"result": [{}]})["result"][0]
        meta = chart.get("meta", {})
        fetched_ms = now_ms()
        bars, facts = self._bars(frame, chart, chunk, fetched_ms)
        if not len(bars):
            is_before = int(meta.get("firstTradeDate") or 0) * 1000 >= chunk.end_ms
            if not is_before and min(chunk.end_ms, now) - chunk.asked_ms > LONGEST_SILENCE_MS:
                raise Unavailable(f"{what}: Yahoo knows the ticker and has no bars in this time; try again later, or ask for another time")
            return None
        answer = Answer(session.url, session.status, "application/json", session.content, sha256(session.content).hexdigest(), fetched_ms)
        keep(self.context.raw("yfinance") / safe_name(f"{self.ticker}-{self.timeframe.name}-{chunk.key}.json"), answer)
        is_final = chunk.end_ms + SETTLED_MS <= now
        return Piece(chunk.key, answer.url, bars, answer.sha256, len(answer.content), fetched_ms, is_final, facts)

    def _ask(self, chunk: Chunk, now: int, what: str, fraction: float) -> tuple[_Listening, pd.DataFrame]:
        """One try: yfinance's frame and the session that heard the answer; `Again` or the error that the answer means."""
        wait_for_turn(self.context, self.host, self.options.seconds_between, what=what, fraction=fraction)
        session = _Listening(self.options)

        def history() -> pd.DataFrame | Exception:
            try:
                # Its cache of answers keeps failed ones as well.
                YfData.cache_get.cache_clear()
                yfinance.config.debug.hide_exceptions = False
                frame: pd.DataFrame = yfinance.Ticker(self.ticker, session=session).history(
                    interval=self.reach.interval,
                    start=from_ms(chunk.asked_ms),
                    end=from_ms(min(chunk.end_ms, now)),
                    prepost=self.ticker.startswith("^") or self.ticker.endswith(("=X", "=F")),
                    actions=False,
                    auto_adjust=False,
                    keepna=True,
                    timeout=self.options.timeout_s,
                )
                return frame
            except Exception as error:  # whatever it stumbled over, Yahoo's answer says why
                return error

        message = f"{what}: waiting for {self.host}"
        try:
            found = in_background(history, context=self.context, longest_s=self.options.longest_s, message=message, fraction=fraction)
        except TimeoutError:
            raise Again(f"{self.host} did not answer within {self.options.longest_s:g} s") from None
        if isinstance(found, YFRateLimitError):
            wait_s = retry_after_s(session.headers_of_last.get("retry-after"))
            hold_back(self.context, self.host, max(wait_s or 0.0, self.options.seconds_between))
            raise Again("Yahoo says that there are too many requests (429)", wait_s) from found
        if isinstance(found, Exception):
            return session, self._explain(session, found)
        return session, found if len(found) else self._explain(session, None)

    def _explain(self, session: _Listening, error: Exception | None) -> pd.DataFrame:
        """What an answer without bars means: an error, or an empty frame where Yahoo knows the ticker and has nothing in that time."""
        if session.status == 0:
            raise Again(f"{self.host} cannot be reached or is silent ({type(error).__name__}); check the network connection") from error
        if session.status == 429:
            raise Again("Yahoo says that there are too many requests (429)", retry_after_s(session.headers_of_last.get("retry-after"))) from error
        if session.status >= 500 or session.chart is None:
            raise Again(f"Yahoo sent a page instead of data (status {session.status})") from error
        problem = session.chart.get("error") or {}
        words = str(problem.get("description") or "")
        if problem.get("code") == "Not Found" or session.status == 404:
            raise NotFound(f"Yahoo has no ticker {self.ticker!r} ({words or 'not found'}); give Yahoo's own name in the option ticker") from error
        if problem:
            raise BadInput("start_ms", f"Yahoo refuses {self.ticker} {self.timeframe.name}: {words or problem}") from error
        result = session.chart.get("result") or [{}]
        if result[0].get("timestamp"):
            raise Unavailable(
                f"yfinance {yfinance.__version__} cannot read Yahoo's answer for {self.ticker}: {type(error).__name__}: {error}"
            ) from error
        return pd.DataFrame()

    def _bars(self, frame: pd.DataFrame, chart: Mapping[str, Any], chunk: Chunk, fetched_ms: int) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Bars as delivered, UTC, without rows of nulls and without the bar that is still forming; and what was left out."""
        meta = chart.get("meta", {})
        zone = str(meta.get("exchangeTimezoneName") or "UTC")
        decimals = self.options.decimals if self.options.decimals is not None else int(meta.get("priceHint", 5))
        columns = ["Open", "High", "Low", "Close", "Volume"]
        bars = (
            frame[columns].astype("float64") if len(frame) else pd.DataFrame(columns=columns, dtype="float64", index=pd.DatetimeIndex([], tz="UTC"))
        )
        bars = bars.rename(columns=str.lower)
        bars.index = pd.DatetimeIndex(bars.index).tz_convert("UTC").as_unit("ms").rename("open_time")
        bars = bars[~bars.isna().any(axis="columns")]
        open_ms = pd.DatetimeIndex(bars.index).as_unit("ms").asi8
        ends = self._ends(pd.DatetimeIndex(bars.index), zone)
        live_ms = live_stamp(chart, self.timeframe, zone)
        is_forming = ends > fetched_ms
        if live_ms is not None:
            is_forming |= (open_ms <= live_ms) & (live_ms < ends)
        inside = (open_ms >= chunk.start_ms) & (open_ms < chunk.end_ms)
        exact = bars[inside & ~is_forming]
        rounded = exact.assign(**{name: exact[name].round(decimals) for name in ("open", "high", "low", "close")})
        return rounded, {
            "ticker": self.ticker,
            "interval": self.reach.interval,
            # As delivered: Yahoo's days and weeks begin at midnight of this zone, the platform's at 17:00 New York.
            "day": {"zone": zone, "turn_hour": 0},
            "decimals": decimals,
            "largest_rounding": float(np.abs(rounded.to_numpy() - exact.to_numpy()).max()) if len(exact) else 0.0,
            "nulls": null_rows(chart),
            "forming": int(is_forming.sum()),
            "begins": f"{from_ms(chunk.asked_ms):%Y-%m-%d %H:%M}",
        }

    def _ends(self, opens: pd.DatetimeIndex, zone: str) -> Ints:
        """When each bar is complete, epoch milliseconds UTC, shape (n,)."""
        if self.timeframe.value < Timeframe.D1.value:
            return opens.as_unit("ms").asi8 + self.timeframe.ms
        days = 7 if self.timeframe is Timeframe.W1 else 1
        nights = (opens.tz_convert(zone).normalize().tz_localize(None) + pd.Timedelta(days=days)).tz_localize(
            zone, ambiguous=np.ones(len(opens), dtype=bool), nonexistent="shift_forward"
        )
        return nights.tz_convert("UTC").as_unit("ms").asi8


def live_stamp(chart: Mapping[str, Any], timeframe: Timeframe, zone: str) -> int | None:
    """Time of the last row where it lies off the grid of the others, epoch milliseconds: the price of this moment, not a bar."""
    stamps = np.asarray(chart.get("timestamp") or [], dtype=np.int64)
    if not len(stamps):
        return None
    if timeframe.value >= Timeframe.D1.value:
        local = pd.to_datetime(stamps, unit="s", utc=True).tz_convert(zone)
        places = np.asarray(local.hour * 3600 + local.minute * 60 + local.second)
    else:
        places = stamps % (timeframe.ms // 1000)
    is_off = places[-1] not in places[:-1] if len(stamps) > 1 else places[-1] % 60 != 0
    return int(stamps[-1]) * 1000 if is_off else None


def null_rows(chart: Mapping[str, Any]) -> int:
    """Rows of an answer in which a price is null."""
    quotes = ((chart.get("indicators") or {}).get("quote") or [{}])[0]
    prices = [quotes.get(name) or [] for name in ("open", "high", "low", "close")]
    return sum(any(price is None for price in row) for row in zip(*prices, strict=False))


def _keep_package_cache_in(folder: Path) -> None:
    """Have yfinance keep its zones and cookies among our files; it takes the first word only."""
    if not _PACKAGE_CACHE:
        folder.mkdir(parents=True, exist_ok=True)
        _PACKAGE_CACHE.append(folder)
        yfinance.set_tz_cache_location(str(folder))


_PACKAGE_CACHE: list[Path] = []
