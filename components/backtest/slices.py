"""A run cut into crises, regimes and times of day: where its profit comes from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.backtest.store import BacktestStore, StoredRun
from components.fx import NotFound, returns_of, sharpe_ratio, to_ms

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
LOOKBACK_DAYS = 20
HISTORY_DAYS = 60
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
SESSIONS = ("Asia", "London", "New York")


def _utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


CRISES: Final[tuple[tuple[str, str, datetime, datetime], ...]] = (
    ("lehman", "Lehman and after", _utc(2008, 9, 14, 21), _utc(2008, 11, 28, 22)),
    ("flash_2010", "Flash crash", _utc(2010, 5, 6, 12), _utc(2010, 5, 7, 21)),
    ("fukushima", "Earthquake in Japan and the G7's yen intervention", _utc(2011, 3, 11, 5), _utc(2011, 3, 18, 21)),
    ("snb_floor", "SNB sets the franc's floor", _utc(2011, 9, 6, 8), _utc(2011, 9, 7, 21)),
    ("snb", "SNB drops the franc's floor", _utc(2015, 1, 15, 9), _utc(2015, 1, 16, 22)),
    ("yuan", "Yuan devaluation to Black Monday", _utc(2015, 8, 11, 1), _utc(2015, 8, 26, 21)),
    ("brexit", "Brexit referendum", _utc(2016, 6, 23, 21), _utc(2016, 6, 28, 21)),
    ("sterling_flash", "Sterling flash crash", _utc(2016, 10, 6, 21), _utc(2016, 10, 7, 21)),
    ("us_election_2016", "US election 2016", _utc(2016, 11, 8, 22), _utc(2016, 11, 10, 22)),
    ("yen_flash", "Yen flash crash", _utc(2019, 1, 2, 22), _utc(2019, 1, 3, 22)),
    ("covid", "COVID", _utc(2020, 2, 20), _utc(2020, 5, 1)),
    ("ukraine", "Invasion of Ukraine", _utc(2022, 2, 24), _utc(2022, 3, 11, 22)),
    ("yen_2022_09", "Yen intervention September 2022", _utc(2022, 9, 22), _utc(2022, 9, 22, 21)),
    ("mini_budget", "UK mini budget", _utc(2022, 9, 23), _utc(2022, 10, 14, 21)),
    ("yen_2022_10", "Yen intervention October 2022", _utc(2022, 10, 21), _utc(2022, 10, 24, 21)),
    ("us_banks", "US bank failures", _utc(2023, 3, 9), _utc(2023, 3, 24, 21)),
    ("yen_2024", "Yen interventions 2024", _utc(2024, 4, 28, 21), _utc(2024, 5, 2, 21)),
    ("carry", "Yen carry trades unwind", _utc(2024, 7, 31), _utc(2024, 8, 6, 21)),
    ("tariffs", "US tariffs", _utc(2025, 4, 2, 20), _utc(2025, 4, 11, 21)),
)
"""Code, words, begin and end (exclusive), in UTC."""


@dataclass(frozen=True)
class Slice:
    """A part of a run.

    Parameters
    ----------
    group, code, title : str
        ``crisis``, ``volatility``, ``trend``, ``session``, ``weekday``, ``hour`` or ``month``; which of them; and in words.
    days : int
        Trading days of which a part lies in the slice.
    trades : int
        Trades entered in it.
    net_profit : float
        Change of equity in it, in account currency: the slices of a group that covers all of a run add up to its net profit.
    sharpe : float
        Annualised, of the days' returns within the slice; 0.0 for fewer than two days.
    start_ms, end_ms : int or None
        Of a crisis, epoch milliseconds UTC; None for what recurs.
    """

    group: str
    code: str
    title: str
    days: int
    trades: int
    net_profit: float
    sharpe: float
    start_ms: int | None = None
    end_ms: int | None = None


def run_slices(home: Path, run_id: str) -> list[Slice]:
    """Cut a kept run into all slices that it covers.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    run_id : str
        A run of ours or an imported one.

    Returns
    -------
    list of Slice
        By group in the order of `Slice.group`, in a natural order within. Volatility and trend only where the run's bars are here, and on
        days with 80 trading days of bars before them.

    Raises
    ------
    NotFound
        If there is no such run, or its files are gone.

    Notes
    -----
    Regimes are causal: a day's is known before it begins. Volatility is the mean of √Σr² of the 20 days before, low, middle or high by the
    terciles of all such values before the day. Trend or range is the efficiency ratio of the 20 days before (Kaufman 1995: net move over the
    sum of daily moves) against its median so far. A day is the FX day, which turns at 17:00 New York; hours are those of UTC; New York is
    08:00 to 17:00 there, London 08:00 there until New York opens, Asia the rest. An imported run's equity moves when a trade ends, so its
    profit counts where its exits are.
    """
    store = BacktestStore.open(home)
    try:
        run = store.run(run_id)
        frame, trades = store.equity(run.id), store.trades(run.id)
    finally:
        store.close()
    if frame.empty:
        return []
    cut = _Cut(run, frame["equity"], trades)
    found = [
        piece
        for code, title, begin, end in CRISES
        for piece in cut.by("crisis", (cut.at_ms >= to_ms(begin)) & (cut.at_ms < to_ms(end)), [(1, code, title)], span=(to_ms(begin), to_ms(end)))
    ]
    volatility, trend = _regimes(home, run, cut.days)
    found += cut.by("volatility", volatility, [(0, "low", "Low volatility"), (1, "middle", "Middle volatility"), (2, "high", "High volatility")])
    found += cut.by("trend", trend, [(0, "range", "Range"), (1, "trend", "Trend")])
    found += cut.by("session", sessions(cut.times), [(k, name.lower().replace(" ", "_"), name) for k, name in enumerate(SESSIONS)])
    found += cut.by("weekday", (cut.days + 3) % 7, [(k, name.lower(), name) for k, name in enumerate(WEEKDAYS)])
    found += cut.by("hour", cut.at_ms // 3_600_000 % 24, [(k, f"{k:02d}", f"{k:02d}:00 UTC") for k in range(24)])
    months = cut.days.astype("M8[D]").astype("M8[M]").astype(np.int64) % 12
    return found + cut.by("month", months, [(k, name.lower(), name) for k, name in enumerate(MONTHS)])


def sessions(times: pd.DatetimeIndex) -> Ints:
    """Session of every instant, shape (n,): 0 Asia, 1 London, 2 New York, by local times, so that clock changes move them."""
    hours = times.as_unit("ms").floor("h")
    each, place = np.unique(hours.asi8, return_inverse=True)
    starts = pd.DatetimeIndex(each.astype("M8[ms]")).tz_localize("UTC")
    new_york, london = starts.tz_convert("America/New_York").hour, starts.tz_convert("Europe/London").hour
    in_new_york = (new_york >= 8) & (new_york < 17)
    in_london = (london >= 8) & (new_york < 8)
    return np.where(in_new_york, 2, np.where(in_london, 1, 0)).astype(np.int64)[place]


class _Cut:
    """A run's equity by row, ready to be summed by any labels."""

    def __init__(self, run: StoredRun, equity: pd.Series, trades: pd.DataFrame) -> None:
        from components.backtest.honesty.daily import balance_of, day_ids

        self.times = pd.DatetimeIndex(equity.index)
        self.at_ms = self.times.as_unit("ms").asi8
        self.days = day_ids(self.times)
        curve = np.concatenate(([balance_of(run)], equity.to_numpy(dtype=np.float64)))
        self.profit, self.returns = np.diff(curve), returns_of(curve)
        self.day_place = np.cumsum(np.diff(self.days, prepend=self.days[0]) != 0)
        entered = pd.DatetimeIndex(trades["entry_time"]).as_unit("ms").asi8 if len(trades) else np.empty(0, dtype=np.int64)
        self.entry_rows = np.clip(np.searchsorted(self.at_ms, entered, side="right") - 1, 0, len(self.at_ms) - 1)

    def by(
        self, group: str, labels: NDArray[np.int64] | NDArray[np.bool_], names: list[tuple[int, str, str]], span: tuple[int, int] | None = None
    ) -> list[Slice]:
        """One slice for each label that has rows; a negative label is no slice."""
        rows = labels.astype(np.int64)
        found = []
        for label, code, title in names:
            inside = np.flatnonzero(rows == label)
            if not len(inside):
                continue
            first = np.append(True, np.diff(self.day_place[inside]) != 0)
            daily = np.add.reduceat(self.returns[inside], np.flatnonzero(first))
            trades = int((rows[self.entry_rows] == label).sum())
            found.append(
                Slice(group, code, title, len(daily), trades, float(self.profit[inside].sum()), sharpe_ratio(daily), *(span or (None, None)))
            )
        return found


def _regimes(home: Path, run: StoredRun, days: Ints) -> tuple[Ints, Ints]:
    """Volatility and trend of each row's day, −1 where they are not known."""
    unknown = np.full(len(days), -1, dtype=np.int64)
    if run.bar_set_id is None:
        return unknown, unknown
    from components.pipeline import PipelineStore

    store = PipelineStore.open(home)
    try:
        bars = store.load_bars(run.bar_set_id)
    except NotFound:
        return unknown, unknown
    finally:
        store.close()
    known, volatility, trend = regimes_by_day(bars)
    place = np.clip(np.searchsorted(known, days), 0, len(known) - 1)
    there = known[place] == days
    return np.where(there, volatility[place], -1), np.where(there, trend[place], -1)


def regimes_by_day(bars: pd.DataFrame) -> tuple[Ints, Ints, Ints]:
    """Volatility tercile and trend of every FX day, from the days before it alone.

    Parameters
    ----------
    bars : DataFrame, shape (n, ≥ 4)
        A bars frame.

    Returns
    -------
    tuple of int64, shape (days,) each
        Days since 1970-01-01; volatility 0 low, 1 middle, 2 high; trend 0 range, 1 trend; −1 where fewer than 80 days came before.
    """
    from components.backtest.honesty.daily import day_ids

    close = np.log(bars["close"].to_numpy(dtype=np.float64))
    ids = day_ids(pd.DatetimeIndex(bars.index))
    last = np.flatnonzero(np.append(np.diff(ids) != 0, True))
    first = np.concatenate(([0], last[:-1] + 1))
    squares = np.diff(close, prepend=close[0]) ** 2
    moved = pd.Series(np.sqrt(np.add.reduceat(squares, first)))
    by_day = pd.Series(close[last])
    before = moved.rolling(LOOKBACK_DAYS).mean().shift(1)
    net = (by_day - by_day.shift(LOOKBACK_DAYS)).abs()
    efficiency = (net / by_day.diff().abs().rolling(LOOKBACK_DAYS).sum()).shift(1)
    low, high = (before.expanding(HISTORY_DAYS).quantile(share).shift(1) for share in (1 / 3, 2 / 3))
    middle = efficiency.expanding(HISTORY_DAYS).median().shift(1)
    volatility = np.where(before.isna() | low.isna(), -1, (before > low).astype(int) + (before > high).astype(int))
    trend = np.where(efficiency.isna() | middle.isna(), -1, (efficiency > middle).astype(int))
    return ids[last], volatility.astype(np.int64), trend.astype(np.int64)
