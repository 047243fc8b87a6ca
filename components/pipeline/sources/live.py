"""The live source: what terminals have sent over the bridge, as bars by day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from components.base import now_ms
from components.bridge import BarArrays, BarStore, BrokerOffset, Mailbox, TickStore
from components.fx import BadInput, Instrument, NotFound, Unavailable, instrument
from components.pipeline.sources.live_days import MS_PER_DAY, Feed, Mode, Place, TickDay, digest_of, merged_day
from components.pipeline.sources.source import Gives, KnownPiece, Piece, Request, SourceContext, parsed_options

_FIRST_DAY = date(1970, 1, 1)


class LiveOptions(BaseModel):
    """Whose feed, and what of it.

    Parameters
    ----------
    account_id : str, optional
        The account whose terminal sent it; needed where several sent the symbol.
    mode : {"repaired", "ticks", "terminal"}
        Bars made of ticks, with the terminal's own bars where ticks may be missing; or one of the two alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    account_id: str | None = Field(default=None, description="account whose terminal sent it; needed where several sent the symbol")
    mode: Mode = Field(default="repaired", description="bars of ticks, repaired by the terminal's bars; or one of the two alone")


class Live:
    """Ticks of the bridge as bars, holes filled with the bars that the terminal posts when it is asked.

    A piece is a day. A day that a later tick has closed is not read again unless something of it has changed: a tick that came in under an
    older number, or a posted bar. The series is of one account and mode at a time; collecting another begins it anew.
    """

    name = "live"
    gives: Gives = "bars"
    is_network = False
    note = (
        "What a terminal sends: bars made of its ticks, one day a piece; where ticks may be missing, the bars that it posts when it is asked. Row by"
        " row `made_of` says which (0 ticks, 1 the terminal's bar). Late and doubled ticks are counted and the bars of both kinds compared."
    )
    options: type[BaseModel] = LiveOptions

    def offers(self) -> tuple[tuple[str, str], ...]:
        """Anything may be asked for."""
        return ()

    def pieces(self, request: Request, known: Mapping[str, KnownPiece], context: SourceContext) -> Iterator[Piece]:
        """Days that are new or have changed.

        The request also is a wish for bars from its start on: the terminal is asked for those before its first tick and for those of silences,
        and the next collection has what it posted by then. Days are given whole.

        Raises
        ------
        BadInput
            If several accounts have sent the symbol and none is named.
        Unavailable
            If nothing of the symbol was sent.
        """
        options = parsed_options(self, request.options)
        assert isinstance(options, LiveOptions)
        item, timeframe = instrument(request.symbol), request.bars_of
        with closing(TickStore.open(context.home)) as ticks:
            posted = BarStore(ticks.database)
            account = _account(posted, item.symbol, options.account_id)
            if options.mode != "ticks":
                posted.want(account, item.symbol, timeframe, request.start_ms)
            item = _at_broker(context, account, item)
            feed = Feed(ticks, posted, account, item.symbol, timeframe, item.point)
            yield from _Series(feed, options.mode, request, known, posted.clocks(account)).pieces(context)


@dataclass
class _Series:
    """One run over a feed."""

    feed: Feed
    mode: Mode
    request: Request
    known: Mapping[str, KnownPiece]
    clocks: list[BrokerOffset]

    def __post_init__(self) -> None:
        own = {"account_id": self.feed.account_id, "mode": self.mode, "point": self.feed.point}
        self.is_other = any({name: piece.facts.get(name) for name in own} != own for piece in self.known.values())
        if self.is_other:
            # Another account's days must not stand among these: everything is made anew, and what is not is emptied.
            self.request = replace(self.request, start_ms=None, end_ms=None)
        where = (self.feed.account_id, self.feed.symbol)
        self.versions = self.feed.posted.days(*where, self.feed.timeframe) if self.mode != "ticks" else {}
        self.tick_clocks = self.feed.posted.tick_clocks(*where)
        self.newest_seq = self.feed.ticks.watermarks(where[0]).get(where[1], 1)
        self.newest_ms = 0
        self.unchanged: set[int] = set()

    def pieces(self, context: SourceContext) -> Iterator[Piece]:
        """Days with ticks, oldest first, then the others."""
        seen: set[int] = set()
        for found in self._tick_days():
            seen.add(found.day)
            self.newest_ms = found.through.newest_ms or 0
            context.progress(min(found.through.seq / self.newest_seq, 1.0), f"{_key(found.day)}: {found.ticks:,} ticks")
            yield from self._piece(found.day, found)
        # Days that have posted bars only; and days that are kept and have no ticks any more, because older ones made them late.
        rest = self.versions.keys() | {_day_of(key) for key in self.known}
        for day in sorted(rest - seen - self.unchanged):
            before = self.known.get(_key(day))
            if self.is_other or before is None or before.facts["ticks"] or before.facts["posted_versions"] != self.versions.get(day, 0):
                context.progress(1.0, f"{_key(day)}: bars of the terminal")
                yield from self._piece(day, None)

    def _tick_days(self) -> Iterator[TickDay]:
        """Days that have to be made: those that are not kept, those kept whose posted bars have changed, and from the first on whose ticks have
        changed, all."""
        place = Place()
        for day, facts in self._chain():
            start = Place(facts["after_seq"], facts["after_ms"])
            if start.seq > place.seq:
                for found in self.feed.days(place, start.seq):
                    yield found
                    place = found.through
            if place != start:
                break
            if facts["posted_versions"] == self.versions.get(day, 0):
                self.unchanged.add(day)
            else:
                yield from self.feed.days(start, facts["through_seq"])
            place = Place(facts["through_seq"], facts["through_ms"])
            self.newest_ms = place.newest_ms or 0
        yield from self.feed.days(place)

    def _chain(self) -> list[tuple[int, dict[str, Any]]]:
        """Days that are kept and closed, with what is known of them, up to the first in which ticks came in since."""
        kept = [] if self.is_other else [(_day_of(key), piece.facts) for key, piece in self.known.items()]
        chain: list[tuple[int, dict[str, Any]]] = []
        for day, facts in sorted((one for one in kept if one[1]["is_closed"] and one[1]["ticks"]), key=lambda one: int(one[1]["after_seq"])):
            numbers = facts["after_seq"], facts["through_seq"]
            overlaps = bool(chain) and chain[-1][1]["through_seq"] > numbers[0]
            if overlaps or self.feed.ticks.count(self.feed.account_id, self.feed.symbol, *numbers) != facts["ticks"]:
                break
            chain.append((day, facts))
        return chain

    def _piece(self, day: int, found: TickDay | None) -> Iterator[Piece]:
        """The day's piece, unless it is out of bounds or kept already as it is."""
        start_ms, key = day * MS_PER_DAY, _key(day)
        before = self.known.get(key)
        is_early = self.request.start_ms is not None and start_ms + MS_PER_DAY <= self.request.start_ms
        is_late = self.request.end_ms is not None and start_ms >= self.request.end_ms
        if is_early or is_late:
            return
        feed = self.feed
        end_ms = start_ms + MS_PER_DAY if self.mode != "ticks" else start_ms
        posted = feed.posted.bars(feed.account_id, feed.symbol, feed.timeframe, start_ms, end_ms)
        digest, size = digest_of(found, posted, self.mode)
        is_kept = before is not None and not self.is_other and before.raw_sha256 == digest
        frame, counts = merged_day(found, posted, self.mode, feed.point)
        if is_kept or (before is None and frame.empty):
            return
        ticks = f", ticks {found.after.seq + 1} to {found.through.seq}" if found is not None else ""
        origin = f"bridge: account {feed.account_id}, {feed.symbol}{ticks}"
        is_final = found.is_closed if found is not None else start_ms + MS_PER_DAY <= self.newest_ms
        yield Piece(key, origin, frame, digest, size, now_ms(), is_final, self._facts(day, found, posted) | counts)

    def _facts(self, day: int, found: TickDay | None, posted: BarArrays) -> dict[str, Any]:
        """What the next run has to know of a day, and what a person should: the first three name the series."""
        facts: dict[str, Any] = {"account_id": self.feed.account_id, "mode": self.mode, "point": self.feed.point}
        facts |= {"posted_versions": self.versions.get(day, 0), "ticks": 0, "is_closed": False}
        versions = set(posted.clock_version.tolist())
        if found is not None:
            facts |= {"ticks": found.ticks, "late": found.late, "duplicates": found.duplicates, "is_closed": found.is_closed}
            facts |= {
                "after_seq": found.after.seq,
                "after_ms": found.after.newest_ms,
                "through_seq": found.through.seq,
                "through_ms": found.through.newest_ms,
            }
            versions |= self._clocks_of(found)
        return facts | {"clocks": [{"version": one.version, "offset_ms": one.offset_ms} for one in self.clocks if one.version in versions]}

    def _clocks_of(self, found: TickDay) -> set[int]:
        """Versions of the broker's clock that a day's ticks follow."""
        begun = [version for seq, version in self.tick_clocks if seq <= found.after.seq + 1]
        return {*begun[-1:], *(version for seq, version in self.tick_clocks if found.after.seq + 1 < seq <= found.through.seq)}


def _account(posted: BarStore, symbol: str, named: str | None) -> str:
    accounts = posted.accounts(symbol)
    if named is not None and named not in accounts:
        raise BadInput("account_id", f"account {named!r} has sent nothing of {symbol}; {', '.join(accounts) or 'no account'} has")
    if not accounts:
        raise Unavailable(f"no terminal has sent {symbol} yet; start one, or collect from another source")
    if named is None and len(accounts) > 1:
        raise BadInput("account_id", f"accounts {', '.join(accounts)} have sent {symbol}; name one")
    return named or accounts[0]


def _at_broker(context: SourceContext, account_id: str, item: Instrument) -> Instrument:
    """The instrument with the digits of the account's broker, in whose points its spreads are told."""
    with closing(Mailbox.open(context.home)) as mailbox:
        try:
            told = mailbox.terminal(account_id).facts.symbols
        except NotFound:
            return item
    digits = next((one.digits for one in told if one.symbol == item.symbol), item.digits)
    return replace(item, digits=digits)


def _key(day: int) -> str:
    return (_FIRST_DAY + timedelta(days=day)).isoformat()


def _day_of(key: str) -> int:
    return (date.fromisoformat(key) - _FIRST_DAY).days
