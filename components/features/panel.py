"""Features of other symbols, other timeframes and news, beside the bars: everything is joined by when it was known.

At the close of bar t a feature of a longer timeframe is that of the newest longer bar whose own close has come by then; a feature of another
symbol is that of its newest bar that closed no later than bar t. Nothing else is known: a longer bar that is still forming, or another
symbol's bar that closes later, is not looked at. A longer bar whose beginning lies before the first bar given is left out, because its open,
high and low are not known. Times of closing are `components.fx.bar_close_ms`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.features.catalogue import resolve
from components.features.columns import Column, bar_matrix, check_needs, compute_columns
from components.features.family_cross import BASKETS, FIRST_OTHER, PAIRED_NAMES, rows_wanted
from components.features.family_news import NEWS_NAMES, NewsSteps
from components.features.formula import CLOSE, Floats, Ints
from components.features.inputs import FeatureInputs, currencies_of, news_arrays, timeframe_of
from components.features.names import FeatureName
from components.fx import BadInput, Timeframe, bar_close_ms, resample_bars

BASKET_NAMES = frozenset(formula.name for formula in BASKETS)
_FEW_BARS = 5


@dataclass(frozen=True)
class PanelPlan:
    """What to compute for a set of names, of which bars.

    `own` are features of the bars at hand alone; `lanes` those of one symbol's bars, by symbol (None for the bars' own) and timeframe (None for
    the bars' own length); `crosses` those of several symbols' bars, by timeframe; `news` those of news, with the currency. Names stay as they
    were asked for, with their shift.
    """

    symbol: str | None
    timeframe: Timeframe | None
    own: tuple[FeatureName, ...]
    lanes: dict[tuple[str | None, Timeframe | None], tuple[FeatureName, ...]]
    crosses: dict[Timeframe | None, tuple[FeatureName, ...]]
    news: dict[FeatureName, str]

    @property
    def others(self) -> tuple[str, ...]:
        """Other symbols that are named, in alphabetical order."""
        named = {symbol for symbol, _ in self.lanes} | {name.symbol for names in self.crosses.values() for name in names}
        return tuple(sorted(symbol for symbol in named if symbol is not None))


def plan_features(names: Iterable[FeatureName], symbol: str | None, timeframe: Timeframe | None) -> PanelPlan:
    """Sort names by what they are computed from.

    Parameters
    ----------
    names : iterable of FeatureName
    symbol : str or None
        Whose bars they are beside.
    timeframe : Timeframe or None
        Length of these bars; needed where a name has a timeframe.

    Raises
    ------
    BadInput
        If a formula is unknown, a timeframe is shorter than the bars, or a symbol stands where none may, or is missing.
    """
    own: list[FeatureName] = []
    lanes: dict[tuple[str | None, Timeframe | None], list[FeatureName]] = {}
    crosses: dict[Timeframe | None, list[FeatureName]] = {}
    news: dict[FeatureName, str] = {}
    for name in names:
        formula, _ = resolve(name)
        other = None if name.symbol == symbol else name.symbol
        length = _checked_timeframe(name, timeframe)
        if formula.name in NEWS_NAMES:
            if name.symbol or name.timeframe:
                raise BadInput("features", f"{str(name)!r}: news belong to the bars' own pair and to no timeframe; ask for {name.stem}")
            news[name] = currencies_of(symbol, str(name))[formula.name.startswith("quote")]
        elif formula.name in PAIRED_NAMES:
            if other is None:
                raise BadInput("features", f"{str(name)!r} needs another symbol in front of it, as in GBPUSD.{name.stem}")
            crosses.setdefault(length, []).append(name)
        elif formula.name in BASKET_NAMES:
            if other is not None:
                raise BadInput("features", f"{str(name)!r} speaks of the bars' own pair among all others; leave {other} out")
            crosses.setdefault(length, []).append(name)
        elif other is None and length is None:
            own.append(name)
        else:
            lanes.setdefault((other, length), []).append(name)
    return PanelPlan(
        symbol, timeframe, tuple(own), {key: tuple(found) for key, found in lanes.items()},
        {key: tuple(found) for key, found in crosses.items()}, news,
    )  # fmt: skip


def panel_columns(bars: pd.DataFrame, names: Sequence[FeatureName], inputs: FeatureInputs | None = None) -> dict[str, Floats]:
    """Values of features that need more than the bars.

    Parameters
    ----------
    bars : DataFrame, shape (n, ≥ 5)
        A bars frame.
    names : sequence of FeatureName
    inputs : FeatureInputs, optional
        Other symbols' bars and news.

    Returns
    -------
    dict of str to float64 array, shape (n,)
        Row t may be used from the close of bar t: it uses bars that closed, and news that were seen, by then. NaN while a formula warms up on
        the bars that it reads, and where nothing is known or what is known is stale. A shift counts bars of `bars`.

    Raises
    ------
    BadInput
        As `plan_features`, and if something is needed that the inputs do not give.
    """
    given = inputs or FeatureInputs()
    known = _Known(bars, given)
    plan = plan_features(names, given.symbol, known.timeframe)
    found = dict(zip(map(str, plan.own), known.plain(None, None, plan.own), strict=True))
    for (symbol, length), wanted in plan.lanes.items():
        rows = known.rows(symbol, length, str(wanted[0]))
        for name, values in zip(wanted, known.plain(symbol, length, wanted), strict=True):
            found[str(name)] = _taken(values, rows)
    for length, wanted in plan.crosses.items():
        rows = known.rows(None, length)
        for name, values in zip(wanted, known.cross(length, wanted), strict=True):
            found[str(name)] = _taken(values, rows)
    for name, currency in plan.news.items():
        found[str(name)] = news_steps(name, currency, given).at(known.closes(None, None))
    return {str(name): _late(found[str(name)], name.shift) for name in names}


class _Known:
    """The bars of every symbol and length that was asked for, with their times of closing, each made once."""

    def __init__(self, bars: pd.DataFrame, inputs: FeatureInputs) -> None:
        self._bars, self._inputs = bars, inputs
        data, open_ms = bar_matrix(bars)
        self.timeframe = inputs.timeframe or timeframe_of(open_ms)
        self._made: dict[tuple[str | None, Timeframe | None], tuple[Floats, Ints, Ints]] = {
            (None, None): (data, open_ms, bar_close_ms(open_ms, self.timeframe))
        }

    def of(self, symbol: str | None, length: Timeframe | None, asked_by: str = "") -> tuple[Floats, Ints, Ints]:
        """The kernels' matrix, open times and times of closing; the longer bars hold the forming one, which its own close keeps from use."""
        if (symbol, length) not in self._made:
            frame = self._bars if symbol is None else self._checked(symbol, asked_by)
            if length is not None:
                longer = resample_bars(frame, length, include_forming=True, source=self.timeframe)
                frame = longer.iloc[1:] if len(longer) and longer.index[0] != frame.index[0] else longer
            data, open_ms = bar_matrix(frame)
            self._made[symbol, length] = data, open_ms, bar_close_ms(open_ms, length or self.timeframe)
        return self._made[symbol, length]

    def closes(self, symbol: str | None, length: Timeframe | None) -> Ints:
        """Times of closing of those bars."""
        return self.of(symbol, length)[2]

    def rows(self, symbol: str | None, length: Timeframe | None, asked_by: str = "") -> Ints:
        """For every bar at hand the row of those bars that is known at its close, −1 where there is none or it is stale."""
        close_ms = self.closes(None, None)
        rows = as_of(self.of(symbol, length, asked_by)[2], close_ms)
        if symbol is not None:
            rows[is_stale(close_ms, self.closes(symbol, None), self._inputs.stale_bars)] = -1
        return rows

    def plain(self, symbol: str | None, length: Timeframe | None, names: Sequence[FeatureName]) -> list[Floats]:
        """Unjoined and unshifted values of formulas of one symbol's bars."""
        if not names:
            return []
        data, open_ms, _ = self.of(symbol, length, str(names[0]))
        columns = lane_columns(names)
        check_needs(columns, data)
        return list(compute_columns(data, open_ms, columns))

    def cross(self, length: Timeframe | None, names: Sequence[FeatureName]) -> list[Floats]:
        """Unjoined and unshifted values of formulas of several symbols' bars."""
        others = cross_symbols(names, self._inputs.symbol, self._inputs.others)
        for name in names:
            if name.symbol in others:
                self.of(name.symbol, length, str(name))
        columns = cross_columns(names, self._inputs.symbol, others)
        data, open_ms, close_ms = self.of(None, length)
        matrix = np.vstack((data, np.full((len(others), len(open_ms)), np.nan)))
        for row, symbol in enumerate(others):
            theirs, _, their_close_ms = self.of(symbol, length, str(names[0]))
            rows = as_of(their_close_ms, close_ms)
            rows[is_stale(close_ms, their_close_ms, self._inputs.stale_bars)] = -1
            matrix[FIRST_OTHER + row] = _taken(theirs[CLOSE], rows)
        # One by one: columns of the same formula with other symbols are not the same.
        return [compute_columns(matrix, open_ms, [column])[0] for column in columns]

    def _checked(self, symbol: str, asked_by: str) -> pd.DataFrame:
        frame = self._inputs.other(symbol, asked_by)
        if len(frame) >= _FEW_BARS:
            length = timeframe_of(bar_matrix(frame)[1])
            if length is not self.timeframe:
                raise BadInput(f"others.{symbol}", f"are {length.name} bars beside {self.timeframe.name} ones; give bars of the same timeframe")
        return frame


def as_of(known_ms: Ints, at_ms: Ints) -> Ints:
    """The last row known by each instant, −1 where there is none: `known_ms` not above `at_ms`, both increasing; shape of `at_ms`."""
    return np.searchsorted(known_ms, at_ms, side="right") - 1


def lane_columns(names: Sequence[FeatureName]) -> list[Column]:
    """Columns of formulas of one symbol's bars, whatever symbol, timeframe and shift stand in the names."""
    return [Column.of(str(name), *resolve(name)) for name in names]


def cross_columns(names: Sequence[FeatureName], symbol: str | None, others: Sequence[str]) -> list[Column]:
    """Columns of formulas of several symbols' bars, over a matrix whose rows from `FIRST_OTHER` on are the closes of `others`.

    Raises
    ------
    BadInput
        If what a formula needs is not among them.
    """
    place = {other: FIRST_OTHER + row for row, other in enumerate(others)}
    columns = []
    for name in names:
        formula, periods = resolve(name)
        rows = (float(place[name.symbol]),) if name.symbol and formula.name in PAIRED_NAMES else rows_wanted(formula, str(name), symbol, place)
        columns.append(replace(Column.of(str(name), formula, periods), params=np.array((*periods, *rows), dtype=np.float64)))
    return columns


def news_steps(name: FeatureName, currency: str, inputs: FeatureInputs) -> NewsSteps:
    """A feature of news, with everything that the inputs hold taken in.

    Raises
    ------
    BadInput
        If there is no news of the currency, or it is not in order.
    """
    if currency not in inputs.news:
        raise BadInput(
            "features", f"{str(name)!r} needs the news of {currency}; given are those of {', '.join(sorted(inputs.news)) or 'no currency'}"
        )
    steps = news_step(name, inputs.stale_hours)
    seen, buckets, values = news_arrays(inputs.news[currency], currency)
    for row in range(len(seen)):
        steps.see(int(seen[row]), int(buckets[row]), float(values[steps.column][row]))
    return steps


def news_step(name: FeatureName, stale_hours: float) -> NewsSteps:
    """A feature of news that has seen nothing yet."""
    formula, periods = resolve(name)
    return NewsSteps(formula.name, periods[0] if periods else 0, stale_hours)


def cross_symbols(names: Sequence[FeatureName], symbol: str | None, given: Iterable[str]) -> tuple[str, ...]:
    """Other symbols whose closes these features read, in alphabetical order: those named, and all given where one is of a basket."""
    named = {name.symbol for name in names if name.symbol}
    read = named | set(given) if any(resolve(name)[0].name in BASKET_NAMES for name in names) else named
    return tuple(sorted(read - {symbol}))


def _checked_timeframe(name: FeatureName, timeframe: Timeframe | None) -> Timeframe | None:
    """The timeframe of a name where it is longer than the bars."""
    if name.timeframe is None or name.timeframe is timeframe:
        return None
    if timeframe is None:
        raise BadInput("features", f"{str(name)!r} needs to know the length of the bars; give their timeframe")
    if name.timeframe.value < timeframe.value:
        raise BadInput("features", f"{str(name)!r}: the bars are {timeframe.name}, and shorter ones cannot be made of them")
    return name.timeframe


def is_stale(close_ms: Ints, other_close_ms: Ints, stale_bars: int) -> NDArray[np.bool_]:
    """Whether more than `stale_bars` bars have closed since another symbol's newest known bar did, shape of `close_ms`; so too before it."""
    rows = as_of(other_close_ms, close_ms)
    if not len(other_close_ms):
        return np.ones(len(close_ms), dtype=np.bool_)
    newest = np.where(rows >= 0, other_close_ms[np.maximum(rows, 0)], np.iinfo(np.int64).min)
    return (np.arange(len(close_ms)) - as_of(close_ms, newest) > stale_bars) | (rows < 0)


def _taken(values: Floats, rows: Ints) -> Floats:
    """The value of each row, NaN for row −1."""
    if not len(values):
        return np.full(len(rows), np.nan)
    return np.where(rows >= 0, values[np.maximum(rows, 0)], np.nan)


def _late(values: Floats, shift: int) -> Floats:
    kept = min(shift, len(values))
    return np.concatenate((np.full(kept, np.nan), values[: len(values) - kept])) if kept else values
