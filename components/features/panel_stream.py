"""Features of any name, bar by bar: the bars' own, other symbols', longer timeframes' and news, each known from its own time on."""

from __future__ import annotations

import hashlib
import json
import math
from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from components.features.catalogue import DEFAULT_FEATURES, distinct_names
from components.features.formula import Floats
from components.features.inputs import FeatureInputs, news_arrays
from components.features.names import parse_name
from components.features.panel import news_step, plan_features
from components.features.panel_lanes import CrossLane, Former, Lane, Other, bar_rows, close_of, is_old, key_of
from components.features.stream import check_bar
from components.fx import BadInput, Corrupt, Timeframe

_MAGIC = b"sequence panel stream 1\n"


class PanelStream:
    """Features of the next bar, of other symbols, longer timeframes and news too.

    Give it what is known first, the bar last: `push_other` every other symbol's bar that closes no later than the bar, `push_news` what was
    seen by then, then `push` the bar. Done so from the first bar of a history on, the answers are the rows of `compute_features` over it, bit
    for bit; so do `warm` with any first part and ``restore`` of a ``state`` in between. Another symbol's bar that closes later may be given
    early: it waits. One that comes late counts from the next bar on, as it did for a trader.

    Parameters
    ----------
    names : iterable of str, optional
        Which features, in which order; `DEFAULT_FEATURES` by default.
    symbol : str, optional
        Whose bars will be pushed.
    timeframe : Timeframe, optional
        Their length; needed for any name that is not of these bars alone.
    others : iterable of str
        Other symbols whose bars will be pushed.
    stale_bars, stale_hours
        As in `FeatureInputs`.

    Raises
    ------
    BadInput
        If a name is unknown or given twice, or needs a symbol or timeframe that is not given.
    """

    def __init__(
        self,
        names: Iterable[str] | None = None,
        *,
        symbol: str | None = None,
        timeframe: Timeframe | None = None,
        others: Iterable[str] = (),
        stale_bars: int = 12,
        stale_hours: float = 24.0,
    ) -> None:
        wanted, kept = distinct_names(DEFAULT_FEATURES if names is None else names), sorted(set(others))
        self._given: dict[str, Any] = {"names": wanted, "symbol": symbol, "timeframe": timeframe.name if timeframe else None, "others": kept}
        self._given |= {"stale_bars": stale_bars, "stale_hours": stale_hours}
        self._names = [parse_name(name) for name in self._given["names"]]
        plan = plan_features(self._names, symbol, timeframe)
        if timeframe is None and (plan.lanes or plan.crosses or plan.news):
            raise BadInput("timeframe", "features of other symbols and of news need the length of the bars; give their timeframe")
        missing = [other for other in plan.others if other not in self._given["others"]]
        if missing:
            raise BadInput("others", f"features need the bars of {missing[0]}; name it among the others")
        self._timeframe = timeframe
        self._own = Lane(plan.own) if plan.own else None
        self._lanes = {length: Lane(wanted) for (other, length), wanted in plan.lanes.items() if other is None}
        self._crosses = {length: CrossLane(wanted, symbol, self._given["others"], stale_bars) for length, wanted in plan.crosses.items()}
        lengths = {length for length in plan.crosses if length}
        self._formers = {length: Former(length) for length in Timeframe if length in self._lanes or length in lengths}
        self._others: dict[str, Other] = {}
        for other in self._given["others"]:
            lanes = {length: Lane(wanted) for (one, length), wanted in plan.lanes.items() if one == other}
            self._others[other] = Other(other, timeframe or Timeframe.M1, lanes, lengths)
        self._news = {name: (currency, news_step(name, stale_hours)) for name, currency in plan.news.items()}
        self._unseen: dict[str, deque[tuple[int, int, float, float]]] = {}
        self._seen_ms: dict[str, int] = {}
        self._closes: deque[int] = deque(maxlen=stale_bars + 1)
        self._past: deque[Floats] = deque(maxlen=max(name.shift for name in self._names) + 1)
        self._shifts = [(place, name.shift) for place, name in enumerate(self._names) if name.shift]
        self._place_values()
        self._last_ms: int | None = None

    def _place_values(self) -> None:
        """Where each lane's values stand among those of `push`."""
        place = {name: row for row, name in enumerate(self._names)}
        own: list[Lane | CrossLane] = [*self._lanes.values(), *self._crosses.values()]
        self._own_places = [
            (lane, [place[name] for name in lane.places], list(lane.places.values())) for lane in (*own, *([self._own] if self._own else []))
        ]
        self._other_places = [
            (other, lane, [place[name] for name in lane.places], list(lane.places.values()))
            for other in self._others.values()
            for lane in other.lanes.values()
        ]
        self._news_places = [(place[name], steps) for name, (_, steps) in self._news.items()]

    @property
    def names(self) -> tuple[str, ...]:
        """The features, in the order of the values that `push` gives."""
        return tuple(self._given["names"])

    def push_other(
        self, symbol: str, open_ms: int, open_: float, high: float, low: float, close: float, volume: float = 0.0, spread_points: float = math.nan
    ) -> None:
        """Take in the next bar of another symbol, of the same timeframe; see `push`.

        Raises
        ------
        BadInput
            If the symbol is not among the others, the bar does not come after its last one, or its prices are no bar's.
        """
        if symbol not in self._others:
            raise BadInput("symbol", f"{symbol!r} is not among the others of this stream: {', '.join(self._others) or 'none'}")
        check_bar(open_ms, open_, high, low, close)
        self._others[symbol].wait(open_ms, (open_, high, low, close, volume, spread_points))

    def push_news(self, currency: str, seen_ms: int, bucket_ms: int, tone: float = math.nan, volume: float = math.nan) -> None:
        """Take in what was first seen at an instant, epoch milliseconds UTC; see `FeatureInputs`.

        Raises
        ------
        BadInput
            If it was seen before its bucket began, or before what was seen of this currency already.
        """
        if seen_ms < max(bucket_ms, self._seen_ms.get(currency, bucket_ms)):
            raise BadInput(
                "seen_ms", f"{seen_ms} lies before the bucket {bucket_ms}, or before the last news of {currency}; give them as they are seen"
            )
        self._seen_ms[currency] = seen_ms
        self._unseen.setdefault(currency, deque()).append((seen_ms, bucket_ms, tone, volume))

    def push(self, open_ms: int, open_: float, high: float, low: float, close: float, volume: float = 0.0, spread_points: float = math.nan) -> Floats:
        """The features at the close of the next bar.

        Parameters
        ----------
        open_ms : int
            Its open time, epoch milliseconds UTC.
        open_, high, low, close : float
            Its bid prices.
        volume, spread_points : float
            Its tick count, and its spread in points where it is known.

        Returns
        -------
        float64, shape (len(names),)
            NaN while a feature warms up, and where nothing is known or what is known is stale.

        Raises
        ------
        BadInput
            If the bar does not come after the last one, or its prices are no bar's.
        """
        if self._last_ms is not None and open_ms <= self._last_ms:
            raise BadInput("bars.open_time", f"{open_ms} does not come after the last bar of this stream, {self._last_ms}")
        check_bar(open_ms, open_, high, low, close)
        bar = (open_, high, low, close, volume, spread_points)
        close_ms = close_of(open_ms, self._timeframe) if self._timeframe else open_ms
        self._form(open_ms)
        for former in self._formers.values():
            former.add(open_ms, bar)
        self._form(close_ms)
        self._advance(close_ms)
        if self._own is not None:
            self._own.push(open_ms, bar)
        if None in self._crosses:
            self._crosses[None].push(open_ms, close_ms, bar, {other: one.latest.get(None) for other, one in self._others.items()})
        self._closes.append(close_ms)
        self._last_ms = open_ms
        self._past.append(self._values(close_ms))
        values = self._past[-1].copy()
        for place, shift in self._shifts:
            values[place] = self._past[-1 - shift][place] if shift < len(self._past) else math.nan
        return values

    def warm(self, bars: pd.DataFrame, inputs: FeatureInputs | None = None) -> None:
        """Take in a stretch of history without giving values, bar by bar.

        Parameters
        ----------
        bars : DataFrame, shape (n, ≥ 5)
            A bars frame that comes after what the stream has seen.
        inputs : FeatureInputs, optional
            Other symbols' bars and news of the same stretch; what was known by the last bar's close is used, what closes later waits.

        Raises
        ------
        BadInput
            If something does not come after what was seen, or is of a symbol that is not among the others.
        """
        given = inputs or FeatureInputs()
        for symbol in sorted(set(given.others) - {self._given["symbol"]}):
            if symbol in self._others:
                for open_ms, bar in bar_rows(given.others[symbol]):
                    self.push_other(symbol, open_ms, *bar)
        for currency, news in given.news.items():
            seen, buckets, values = news_arrays(news, currency)
            for row in range(len(seen)):
                self.push_news(currency, int(seen[row]), int(buckets[row]), float(values["tone"][row]), float(values["volume"][row]))
        for open_ms, bar in bar_rows(bars):
            self.push(open_ms, *bar)

    def state(self) -> bytes:
        """Everything that the stream remembers, with a check sum; `restore` goes on from there, in this process or another."""
        head = {
            "given": self._given,
            "own": self._own and self._own.as_dict(),
            "lanes": {key_of(length): lane.as_dict() for length, lane in self._lanes.items()},
            "crosses": {key_of(length): lane.as_dict() for length, lane in self._crosses.items()},
            "formers": {key_of(length): former.as_dict() for length, former in self._formers.items()},
            "others": {symbol: other.as_dict() for symbol, other in self._others.items()},
            "news": {str(name): steps.as_dict() for name, (_, steps) in self._news.items()},
            "unseen": {currency: list(waiting) for currency, waiting in self._unseen.items()},
            "seen_ms": self._seen_ms,
            "closes": list(self._closes),
            "past": [row.tolist() for row in self._past],
            "last_ms": self._last_ms,
        }
        body = json.dumps(head).encode()
        return _MAGIC + hashlib.sha256(body).digest() + body

    @classmethod
    def restore(cls, state: bytes) -> PanelStream:
        """The stream that gave `state`.

        Raises
        ------
        Corrupt
            If the bytes are not what `state` gave.
        BadInput
            If they come from a version in which a formula kept other things; warm a new stream then.
        """
        check, body = state[len(_MAGIC) : len(_MAGIC) + 32], state[len(_MAGIC) + 32 :]
        if not state.startswith(_MAGIC) or hashlib.sha256(body).digest() != check:
            raise Corrupt("the state of a panel stream is damaged; warm a new stream on the history")
        head = json.loads(body)
        given = dict(head["given"])
        timeframe = Timeframe.named(given["timeframe"]) if given["timeframe"] else None
        stream = cls(**{**given, "timeframe": timeframe})
        if stream._own is not None:
            stream._own.take(head["own"])
        for lanes, kept in ((stream._lanes, head["lanes"]), (stream._crosses, head["crosses"]), (stream._formers, head["formers"])):
            for length, lane in lanes.items():
                lane.take(kept[key_of(length)])
        for symbol, other in stream._others.items():
            other.take(head["others"][symbol])
        for name, (_, steps) in stream._news.items():
            steps.take(head["news"][str(name)])
        stream._unseen = {currency: deque((one[0], one[1], one[2], one[3]) for one in waiting) for currency, waiting in head["unseen"].items()}
        stream._seen_ms = {str(currency): int(at) for currency, at in head["seen_ms"].items()}
        stream._closes.extend(head["closes"])
        stream._past.extend(np.array(row, dtype=np.float64) for row in head["past"])
        stream._last_ms = head["last_ms"]
        return stream

    def _form(self, until_ms: int) -> None:
        """Finish the longer bars that end by an instant, in order of time, each beside what was known of the others at its end."""
        ends = sorted({former.end_ms for former in self._formers.values() if former.end_ms is not None and former.end_ms <= until_ms})
        for end_ms in ends:
            self._advance(end_ms)
            for length, former in self._formers.items():
                finished = former.finish(end_ms)
                if finished is None:
                    continue
                if length in self._lanes:
                    self._lanes[length].push(*finished)
                if length in self._crosses:
                    latest = {symbol: other.latest.get(length) for symbol, other in self._others.items()}
                    self._crosses[length].push(finished[0], end_ms, finished[1], latest)

    def _advance(self, until_ms: int) -> None:
        for other in self._others.values():
            other.advance(until_ms)
        for currency, waiting in self._unseen.items():
            while waiting and waiting[0][0] <= until_ms:
                seen_ms, bucket_ms, tone, volume = waiting.popleft()
                for about, steps in self._news.values():
                    if about == currency:
                        steps.see(seen_ms, bucket_ms, tone if steps.column == "tone" else volume)
                        steps.forget(until_ms)

    def _values(self, close_ms: int) -> Floats:
        """Unshifted values of every name."""
        values = np.full(len(self._names), np.nan)
        for lane, places, wanted in self._own_places:
            values[places] = lane.values[wanted]
        for other, lane, places, wanted in self._other_places:
            if not is_old(other.latest.get(None), self._closes):
                values[places] = lane.values[wanted]
        for place, steps in self._news_places:
            values[place] = steps.at_one(close_ms)
        return values
