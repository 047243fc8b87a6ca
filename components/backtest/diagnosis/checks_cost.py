"""What trading cost, and what was forgotten: break-even, spread, slippage, commission, swap."""

from __future__ import annotations

import numpy as np

from components.backtest.diagnosis.check import Said, bound, check, share
from components.backtest.diagnosis.evidence import Evidence, Floats
from components.fx import FX_DAY


@check("cost_break_even", "Costs decide", "doubt", "Find entries that pay more per trade, trade less often, or find cheaper terms.", fewest=10)
def cost_break_even(e: Evidence) -> Said | None:
    """How many times the costs the profit would bear."""
    spread = _spread_cost(e)
    paid = float(e.trades["cost"].sum()) + (0.0 if spread is None else float(spread.sum()))
    if paid <= 0 or e.net_profit <= 0:
        return None
    times = 1.0 + e.net_profit / paid
    if times >= bound("cost_break_even", "times"):
        return None
    words = (
        f"Spread and commission took {paid:,.2f} {e.run.currency}, {e.net_profit:,.2f} {e.run.currency} were left; at {times:.2f} times these "
        "costs the profit is gone."
    )
    return words, {
        "paid": paid,
        "spread_paid": None if spread is None else float(spread.sum()),
        "net_profit": e.net_profit,
        "break_even_times": times,
    }


@check("swap_share", "Interest decides", "doubt", "Check the swap table against the broker's; it changes with interest rates.", fewest=1)
def swap_share(e: Evidence) -> Said | None:
    """A large part of the profit is overnight interest, or goes into it."""
    interest = float(e.swap.sum())
    without = e.net_profit - interest
    made, taken = max(interest, 0.0), max(-interest, 0.0)
    part = share(made, e.net_profit) if interest > 0 else share(taken, without)
    if (e.net_profit if interest > 0 else without) <= 0 or part < bound("swap_share", "share"):
        return None
    words = (
        f"Overnight interest made {made:,.2f} of {e.net_profit:,.2f} {e.run.currency} net profit ({part:.0%})."
        if interest > 0
        else f"Overnight interest took {taken:,.2f} of {without:,.2f} {e.run.currency} profit ({part:.0%})."
    )
    return words, {"swap": interest, "net_profit": e.net_profit, "share": part}


@check("no_swap", "No interest charged", "note", "Give the broker's swap table: costs.swap_long and costs.swap_short.", fewest=10)
def no_swap(e: Evidence) -> Said | None:
    """Positions stay over the turn of the day, and no interest is charged."""
    if not e.is_ours or e.swap.any():
        return None
    part = float(np.mean(_nights(e) > 0))
    if part < bound("no_swap", "share"):
        return None
    return f"{part:.0%} of trades were held over the turn of the day, and none of them paid or earned interest.", {"share": part}


@check(
    "no_commission",
    "No commission",
    "note",
    "Set costs.commission_per_lot to the broker's; 3 to 3.5 per lot and side are common on raw spreads.",
    fewest=1,
)
def no_commission(e: Evidence) -> Said | None:
    """No trade cost a commission."""
    if not e.is_ours or float(e.trades["cost"].abs().sum()) > 0:
        return None
    return f"None of {len(e.trades)} trades paid a commission.", {"trades": len(e.trades)}


@check("no_spread", "No spread", "doubt", "Set costs.spread_points to the broker's spread, or use bars that carry one.", fewest=1)
def no_spread(e: Evidence) -> Said | None:
    """Entries without any spread."""
    if e.run.policy == "reference":
        return f"The fill policy 'reference' knows one price: none of {len(e.trades)} trades paid a spread.", {"trades": len(e.trades)}
    spread = e.spread
    if spread is None or float(np.median(spread)) > 0:
        return None
    return f"Half or more of {len(e.trades)} trades entered at a spread of zero.", {"trades": len(e.trades), "zero": int((spread <= 0).sum())}


@check("no_slippage", "No slippage", "note", "Set costs.slippage_points, from your own fills where there are enough of them.", fewest=10)
def no_slippage(e: Evidence) -> Said | None:
    """Stops and market exits without slippage."""
    if not e.is_ours or float(e.costs.get("slippage_points") or 0.0) > 0 or float(e.costs.get("slippage_atr") or 0.0) > 0:
        return None
    part = float(np.mean(e.exits != "target"))
    if part < bound("no_slippage", "share"):
        return None
    return f"{part:.0%} of trades ended by stop or at market, all of them without slippage.", {"share": part}


@check(
    "one_spread",
    "The same spread for every bar",
    "note",
    "Use bars that carry a spread, or collect ticks; spreads widen at night and around news.",
    fewest=1,
)
def one_spread(e: Evidence) -> Said | None:
    """The data has no spread, so one was assumed."""
    if not e.is_ours or e.bars is None or e.recorded_spread is not None:
        return None
    points = float(e.costs.get("spread_points") or 0.0)
    return f"The bars carry no spread; {points:g} points were assumed for every one of them.", {"spread_points": points}


@check(
    "targets_in_spread",
    "Targets inside the spread",
    "doubt",
    "Set targets several spreads away; a broker refuses or slips through ones that are so near.",
    fewest=10,
)
def targets_in_spread(e: Evidence) -> Said | None:
    """Targets less than two spreads from the entry."""
    return _in_spread(e, "target", "targets_in_spread")


@check("stops_in_spread", "Stops inside the spread", "doubt", "Set stops several spreads away: nearer ones are hit by the spread alone.", fewest=10)
def stops_in_spread(e: Evidence) -> Said | None:
    """Stops less than two spreads from the entry, on the losing side of it."""
    return _in_spread(e, "stop", "stops_in_spread")


@check("wide_spread", "Entered at wide spreads", "doubt", "Leave out hours with wide spreads, or refuse entries above a spread.", fewest=10)
def wide_spread(e: Evidence) -> Said | None:
    """Entries where the spread is several times the usual one."""
    recorded, rows = e.recorded_spread, e.entry_rows
    if recorded is None or rows is None:
        return None
    usual = float(np.median(recorded))
    wide = recorded[rows] >= bound("wide_spread", "times") * usual
    part = float(np.mean(wide))
    if usual <= 0 or part < bound("wide_spread", "share"):
        return None
    words = f"{part:.0%} of trades entered at a spread of {bound('wide_spread', 'times') * usual:.0f} points or more; the usual one is {usual:.0f}."
    return words, {"share": part, "usual_points": usual, "widest_points": float(recorded[rows].max())}


def _spread_cost(e: Evidence) -> Floats | None:
    """What the spread at each entry cost over the round trip, account currency; the bid prices of the chart do not show it."""
    if e.spread is None:
        return None
    cost = e.spread * e.lots * np.abs(e.value_per_price)
    return None if np.isnan(cost).any() else cost


def _nights(e: Evidence) -> Floats:
    """Turns of the FX day between entry and exit of each trade."""
    return np.asarray((FX_DAY.start_ms(e.exit_ms) - FX_DAY.start_ms(e.entry_ms)) > 0, dtype=np.float64)


def _in_spread(e: Evidence, column: str, code: str) -> Said | None:
    spread = e.spread
    if spread is None:
        return None
    away = (e.prices(column) - e.prices("entry_price")) * (e.side if column == "target" else -e.side)
    # A stop that was moved to the entry or beyond protects a gain and tells nothing about how it was set.
    there = ~np.isnan(away) & (away > 0)
    near = there & (away < bound(code, "spreads") * spread)
    part = share(int(near.sum()), int(there.sum()))
    if part < bound(code, "share") or not near.any():
        return None
    closest = float(np.min(away[near] / spread[near]))
    words = (
        f"{int(near.sum())} of {int(there.sum())} {column}s lie less than {bound(code, 'spreads'):g} spreads from the entry, the nearest "
        f"{closest:.2f} spreads."
    )
    return words, {"near": int(near.sum()), "of": int(there.sum()), "share": part, "nearest_in_spreads": closest}
