"""Rows of a shorter timeframe below the rows of a run, by which ambiguous rows are decided."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from components.execution.arrays import FinerRows, MarketArrays
from components.fx import BadInput, BrokerDay, Instrument, Timeframe, bar_close_ms


@dataclass(frozen=True)
class Finer:
    """Finer rows of a run, and how far they go.

    Parameters
    ----------
    rows : FinerRows
        What `run_step` takes; ``rows.part(first, end)`` is those of some rows of the run.
    timeframe : str
        Name of the finer timeframe.
    covered, missing, differing : int
        Bars of the run with finer rows; without any; and with some whose open, high, low or close is not the bar's: those are not used.
    """

    rows: FinerRows
    timeframe: str
    covered: int
    missing: int
    differing: int

    @property
    def facts(self) -> dict[str, int | str]:
        """The same in plain JSON, for a result."""
        return {"timeframe": self.timeframe, "covered": self.covered, "missing": self.missing, "differing": self.differing}


def finer_rows(
    market: MarketArrays,
    bars: pd.DataFrame,
    timeframe: Timeframe,
    finer_bars: pd.DataFrame,
    finer_timeframe: Timeframe,
    instrument: Instrument,
    day: BrokerDay | None = None,
) -> Finer:
    """Sort the bars of a shorter timeframe under those of a run.

    Parameters
    ----------
    market : MarketArrays
        The run's market, n rows of one symbol, as `market_of_bars` made it of `bars`.
    bars : DataFrame, shape (n, ≥ 4)
    timeframe : Timeframe
        Of `bars`.
    finer_bars : DataFrame, shape (m, ≥ 4)
        Bars of the same symbol, bid. Their `spread_points` count where they have them, else the spread of the bar above.
    finer_timeframe : Timeframe
        Of `finer_bars`; shorter than `timeframe`.
    instrument : Instrument
    day : BrokerDay, optional
        Where H4, D1 and W1 bars open; the FX day by default.

    Returns
    -------
    Finer
        A bar whose finer bars do not add up to its own open, high, low and close, to half a point, has none: they are of another source or
        not complete, and cannot say what happened in it. Conversion rate and slippage are those of the bar above, so nothing is known
        earlier than without finer rows.

    Raises
    ------
    BadInput
        If the finer timeframe is not shorter, or the market has several symbols or is not that of the bars.
    """
    if finer_timeframe.value >= timeframe.value:
        raise BadInput("finer_timeframe", f"{finer_timeframe.name} is not shorter than {timeframe.name}")
    if market.open.shape != (len(bars), 1):
        raise BadInput("market", f"has shape {market.open.shape}, and there are {len(bars)} bars of one symbol")
    day = day or BrokerDay()
    opens = pd.DatetimeIndex(bars.index).as_unit("ms").asi8
    times = pd.DatetimeIndex(finer_bars.index).as_unit("ms").asi8
    start = np.searchsorted(times, opens)
    stop = np.searchsorted(times, bar_close_ms(opens, timeframe, day))
    o, h, low, c = (finer_bars[name].to_numpy(dtype=np.float64) for name in ("open", "high", "low", "close"))
    is_there = stop > start
    agrees = np.zeros(len(bars), dtype=np.bool_)
    if is_there.any():
        first, last = start[is_there], stop[is_there]
        # reduceat runs from each index to the next one: the ends in between are thrown away.
        edges = np.column_stack((first, last)).ravel()
        highest = np.maximum.reduceat(np.append(h, -np.inf), edges)[::2]
        lowest = np.minimum.reduceat(np.append(low, np.inf), edges)[::2]
        ours = [column[is_there, 0] for column in (market.open, market.high, market.low, market.close)]
        near = [np.abs(a - b) < 0.5 * instrument.point for a, b in zip(ours, (o[first], highest, lowest, c[last - 1]), strict=True)]
        agrees[is_there] = np.logical_and.reduce(near)
    counts = np.where(agrees, stop - start, 0)
    places = np.concatenate(([0], np.cumsum(counts)))
    above = np.repeat(np.arange(len(bars)), counts)
    taken = np.repeat(start - places[:-1], counts) + np.arange(places[-1])
    spread = np.broadcast_to(market.spread, (len(bars), 1))[above]
    if "spread_points" in finer_bars.columns:
        own = finer_bars["spread_points"].to_numpy(dtype=np.float64)[taken].reshape(-1, 1) * instrument.point
        spread = np.where(np.isnan(own), spread, own)
    columns = [np.ascontiguousarray(column[taken].reshape(-1, 1)) for column in (o, h, low, c)]
    rows = MarketArrays(
        columns[0],
        columns[1],
        columns[2],
        columns[3],
        np.ascontiguousarray(spread),
        np.ascontiguousarray(np.broadcast_to(market.rate, (len(bars), 1))[above]),
        np.require(day.day_ids(pd.DatetimeIndex(finer_bars.index)[taken]), np.int64, ("C", "W")),
        np.empty((0, 1), dtype=np.int64),
        np.ascontiguousarray(np.broadcast_to(market.slip, (len(bars), 1))[above]),
    )
    covered, missing = int(agrees.sum()), int((~is_there).sum())
    return Finer(FinerRows(places.astype(np.int64), rows), finer_timeframe.name, covered, missing, len(bars) - covered - missing)
