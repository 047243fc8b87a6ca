"""When it traded: hours, nights and weekends, drawdowns, and the end of the data."""

from __future__ import annotations

import numpy as np

from components.backtest.diagnosis.check import Said, bound, check
from components.backtest.diagnosis.evidence import MS_PER_DAY, MS_PER_HOUR, Evidence
from components.fx import FX_DAY


@check(
    "rollover_hour",
    "Trades the turn of the day",
    "doubt",
    "Leave out the hour before and after 17:00 New York: spreads are widest there and fills worst.",
    fewest=30,
)
def rollover_hour(e: Evidence) -> Said | None:
    """Many entries around the turn of the FX day."""
    reach = bound("rollover_hour", "hours") * MS_PER_HOUR
    if e.timeframe is not None and e.timeframe.ms > reach:
        return None
    after = e.entry_ms - FX_DAY.start_ms(e.entry_ms)
    part = float(np.mean((after < reach) | (after >= MS_PER_DAY - reach)))
    if part < bound("rollover_hour", "share"):
        return None
    return f"{part:.0%} of trades entered within an hour of the turn of the day (17:00 New York).", {"share": part}


@check("weekend_holding", "Held over weekends", "note", "Close before the week ends, or count gaps of several percent in.", fewest=10)
def weekend_holding(e: Evidence) -> Said | None:
    """Positions that are open while the market is closed."""
    # The FX week turns on Sunday 17:00 New York; days count from Thursday, 1970-01-01.
    weeks = [(FX_DAY.start_ms(at) // MS_PER_DAY + 4) // 7 for at in (e.entry_ms, e.exit_ms)]
    part = float(np.mean(weeks[1] > weeks[0]))
    if part < bound("weekend_holding", "share"):
        return None
    return f"{part:.0%} of trades were held over a weekend.", {"share": part}


@check("overnight_holding", "Held overnight", "note", "Look at the interest paid; a swap table belongs to one broker and one time.", fewest=10)
def overnight_holding(e: Evidence) -> Said | None:
    """Most positions stay over the turn of the day."""
    part = float(np.mean(FX_DAY.start_ms(e.exit_ms) > FX_DAY.start_ms(e.entry_ms)))
    if part < bound("overnight_holding", "share"):
        return None
    return f"{part:.0%} of trades were held over the turn of the day (17:00 New York).", {"share": part, "swap": float(e.swap.sum())}


@check(
    "within_one_bar",
    "In and out within one bar",
    "doubt",
    "Test on a shorter timeframe, where the order of prices inside the bar is known.",
    fewest=10,
)
def within_one_bar(e: Evidence) -> Said | None:
    """Entry and exit in one bar, whose prices have no known order."""
    entry, out = e.entry_rows, e.exit_rows
    if entry is None or out is None:
        return None
    part = float(np.mean(entry == out))
    if part < bound("within_one_bar", "share"):
        return None
    profit = float(e.net[entry == out].sum())
    words = f"{part:.0%} of trades entered and left within one bar, where the order of prices is not known; they made {profit:,.2f} {e.run.currency}."
    return words, {"share": part, "profit": profit}


@check(
    "drawdown_open",
    "Ends in a drawdown",
    "doubt",
    "Do not begin to trade it at this point: it may be over, and the last peak may be the last one.",
    fewest=1,
)
def drawdown_open(e: Evidence) -> Said | None:
    """The run ends below its peak, and has been there for long."""
    if not len(e.curve) or e.drawdown[-1] < bound("drawdown_open", "depth"):
        return None
    peaks = np.flatnonzero(e.drawdown <= 0)
    since = e.curve_ms[peaks[-1]] if len(peaks) else e.curve_ms[0]
    days = (int(e.curve_ms[-1]) - int(since)) / MS_PER_DAY
    if days < bound("drawdown_open", "days"):
        return None
    depth = float(e.drawdown[-1])
    return f"The run ends {depth:.1%} below its peak, which was {days:,.0f} days before the end.", {"depth": depth, "days": days}


@check("long_drawdown", "A long drawdown", "note", "Ask whether you would have gone on trading it for so long.", fewest=1)
def long_drawdown(e: Evidence) -> Said | None:
    """Half of the run or more without a new peak."""
    if len(e.curve) < 2 or e.span_ms == 0 or float(e.drawdown.max()) < bound("long_drawdown", "depth"):
        return None
    peaks = np.unique(np.concatenate(([0], np.flatnonzero(e.drawdown <= 0), [len(e.curve) - 1])))
    times = e.curve_ms[peaks]
    longest = int(np.max(np.diff(times))) if len(times) > 1 else 0
    part = longest / e.span_ms
    if part < bound("long_drawdown", "share"):
        return None
    days = longest / MS_PER_DAY
    return f"The longest time without a new peak is {days:,.0f} days, {part:.0%} of the run.", {"days": days, "share": part}


@check(
    "end_of_data",
    "What was open at the end decides",
    "doubt",
    "Let the test end when nothing is open, or judge it without the trades that its end cut off.",
    fewest=1,
)
def end_of_data(e: Evidence) -> Said | None:
    """A large part of the profit is not realised."""
    profit = float(e.net[e.exits == "end_of_data"].sum())
    if e.net_profit <= 0 or profit < bound("end_of_data", "share") * e.net_profit:
        return None
    part = profit / e.net_profit
    words = f"Positions that were still open at the end make {profit:,.2f} of {e.net_profit:,.2f} {e.run.currency} net profit ({part:.0%})."
    return words, {"open_profit": profit, "net_profit": e.net_profit, "share": part}
