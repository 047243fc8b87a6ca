"""What the book did: ambiguity, refusals, stops and targets, size, margin and ruin."""

from __future__ import annotations

import numpy as np

from components.backtest.diagnosis.check import Said, bound, check, share
from components.backtest.diagnosis.evidence import Evidence, Floats


@check("ruined", "The account is gone", "fatal", "Trade smaller, or not at all; nothing after this point could have happened.", fewest=0)
def ruined(e: Evidence) -> Said | None:
    """Equity reached zero."""
    if not (e.stats.get("ruined") or (len(e.curve) and float(e.curve.min()) <= bound("ruined", "left"))):
        return None
    return f"Equity fell from {e.balance:,.2f} {e.run.currency} to nothing.", {"balance": e.balance, "lowest": _lowest(e)}


@check(
    "nearly_ruined", "Half of the account is lost", "doubt", "Trade smaller: few would have gone on, and few brokers would have let them.", fewest=1
)
def nearly_ruined(e: Evidence) -> Said | None:
    """The deepest drawdown takes half of the account."""
    depth = float(e.drawdown.max()) if len(e.curve) else 0.0
    if depth < bound("nearly_ruined", "left") or _lowest(e) <= 0:
        return None
    return f"At its worst the account had lost {depth:.1%} of its peak.", {"drawdown": depth}


@check(
    "ambiguous",
    "Stop or target, nobody knows",
    "doubt",
    "Give a shorter timeframe that resolves these bars, or move stops and targets further apart.",
    fewest=10,
)
def ambiguous(e: Evidence) -> Said | None:
    """Trades in bars that hit stop and target alike."""
    count = int(e.trades["ambiguous"].to_numpy(dtype=bool).sum())
    part = share(count, len(e.trades))
    if part < bound("ambiguous", "share"):
        return None
    gap = float(e.stats.get("profit_favour", 0.0)) - float(e.stats.get("profit_against", 0.0))
    words = (
        f"{count} of {len(e.trades)} trades ({part:.1%}) ended in a bar that does not say which came first; {gap:,.2f} {e.run.currency} hang on it."
    )
    return words, {"trades": count, "share": part, "difference": gap}


@check(
    "sign_of_resolution",
    "Profit or loss by assumption",
    "doubt",
    "Resolve the ambiguous bars with a shorter timeframe before believing either.",
    fewest=1,
)
def sign_of_resolution(e: Evidence) -> Said | None:
    """The sign of the profit hangs on the order of prices inside bars."""
    against, favour = e.stats.get("profit_against"), e.stats.get("profit_favour")
    if against is None or favour is None or (float(against) > 0) == (float(favour) > 0):
        return None
    words = f"The run makes {float(against):,.2f} {e.run.currency} where ambiguous bars go against it and {float(favour):,.2f} where they go for it."
    return words, {"against": float(against), "favour": float(favour)}


@check(
    "refused", "Orders were refused", "doubt", "Change what was refused: the result is of another strategy than the one that was written.", fewest=0
)
def refused(e: Evidence) -> Said | None:
    """A large part of the orders never reached the market."""
    counts = {name: int(count) for name, count in (e.stats.get("refused") or {}).items()}
    total = sum(counts.values())
    part = share(total, total + len(e.trades))
    if total == 0 or part < bound("refused", "share"):
        return None
    why = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(counts.items(), key=lambda one: -one[1]))
    return f"{total} of {total + len(e.trades)} orders ({part:.0%}) were refused: {why}.", {"refused": counts, "share": part}


@check("margin_refused", "Not enough margin", "doubt", "Trade smaller, or with more balance: the orders that fitted are not a fair sample.", fewest=0)
def margin_refused(e: Evidence) -> Said | None:
    """Orders were refused for lack of margin."""
    count = int((e.stats.get("refused") or {}).get("no_margin", 0))
    return None if count == 0 else (f"{count} orders were refused because margin was missing.", {"orders": count})


@check("stop_out", "Stopped out by the broker", "doubt", "Trade smaller: the broker closed positions at the worst moment.", fewest=1)
def stop_out(e: Evidence) -> Said | None:
    """Positions were closed for lack of margin."""
    count = int((e.exits == "stop_out").sum())
    return None if count == 0 else (f"{count} of {len(e.trades)} trades were closed by a stop-out.", {"trades": count})


@check(
    "targets_never_hit",
    "Targets that are never reached",
    "note",
    "Set targets where the price goes, or leave them out: other rules end these trades.",
    fewest=30,
)
def targets_never_hit(e: Evidence) -> Said | None:
    """Nearly all trades have a target, and nearly none reaches it."""
    return _never_hit(e, "target", "targets_never_hit")


@check(
    "stops_never_hit", "Stops that are never reached", "note", "Check what a stop of this distance would have cost; sizes come from it.", fewest=30
)
def stops_never_hit(e: Evidence) -> Said | None:
    """Nearly all trades have a stop, and nearly none reaches it."""
    return _never_hit(e, "stop", "stops_never_hit")


@check("risk_per_trade", "Much risk in each trade", "doubt", "Lower sizing.risk_fraction; one or two percent is usual.", fewest=10)
def risk_per_trade(e: Evidence) -> Said | None:
    """Half of the trades risk more than a stated share of equity at their stop."""
    distance = (e.prices("entry_price") - e.prices("stop")) * e.side
    there = (distance > 0) & (e.equity_at_entry > 0)
    risk = distance[there] * e.lots[there] * np.abs(e.value_per_price[there]) / e.equity_at_entry[there]
    risk = risk[~np.isnan(risk)]
    if len(risk) < len(e.trades) / 2:
        return None
    middle = float(np.median(risk))
    # Half a percent of the bound is rounding of lots and prices.
    if middle <= bound("risk_per_trade", "share") * 1.005:
        return None
    words = f"Half of the trades risk {middle:.1%} of equity or more at their stop; {bound('risk_per_trade', 'share'):.0%} is a common limit."
    return words, {"median_share": middle, "largest_share": float(risk.max())}


@check("large_loss", "A loss that hurts", "doubt", "Trade smaller or set stops that hold; this loss will not be the largest one.", fewest=1)
def large_loss(e: Evidence) -> Said | None:
    """One trade lost a large part of equity."""
    shares = np.divide(-e.net, e.equity_at_entry, out=np.zeros(len(e.net)), where=e.equity_at_entry > 0)
    worst = float(shares.max())
    if worst < bound("large_loss", "share"):
        return None
    return f"The largest loss took {worst:.0%} of equity in one trade ({-float(e.net.min()):,.2f} {e.run.currency}).", {"share": worst}


@check("leverage", "High leverage", "doubt", "Trade smaller; at this leverage a move of a few percent ends the account.", fewest=1)
def leverage(e: Evidence) -> Said | None:
    """The value of all open positions against equity."""
    if e.instrument is None:
        return None
    value = e.lots * e.prices("entry_price") * np.abs(e.value_per_price)
    times = np.concatenate((e.entry_ms, e.exit_ms))
    # At the same instant exits come first, so that a reversal is not counted twice.
    order = np.lexsort((np.repeat([1, 0], len(value)), times))
    held = np.cumsum(np.concatenate((value, -value))[order])
    if np.isnan(held).any():
        return None
    equity = np.concatenate((e.equity_at_entry, e.equity_at_entry))[order]
    used = np.divide(held, equity, out=np.zeros(len(held)), where=equity > 0)
    most = float(used.max())
    if most < bound("leverage", "times"):
        return None
    return f"Open positions were worth up to {most:.1f} times equity.", {"times": most}


@check(
    "martingale",
    "Doubles after losses",
    "doubt",
    "Take the growth of size out and test again: it hides losses until one ends the account.",
    fewest=20,
)
def martingale(e: Evidence) -> Said | None:
    """Size grows after a loss, and not after a win."""
    order = np.argsort(e.entry_ms, kind="stable")
    lots, net = e.lots[order], e.net[order]
    grown = lots[1:] / lots[:-1]
    after_loss, after_win = grown[net[:-1] < 0], grown[net[:-1] > 0]
    if len(after_loss) < 5 or len(after_win) < 1:
        return None
    ratio = bound("martingale", "ratio")
    losses, wins = float(np.mean(after_loss >= ratio)), float(np.mean(after_win >= ratio))
    if losses < bound("martingale", "share") or losses < 2 * wins:
        return None
    words = f"After {losses:.0%} of losing trades the next one is at least {ratio:g} times as large, after {wins:.0%} of winning ones."
    return words, {"after_losses": losses, "after_wins": wins, "largest_growth": float(after_loss.max())}


@check("averaging_down", "Adds to losers", "doubt", "Take the adding out and test again: a trend that does not turn ends the account.", fewest=10)
def averaging_down(e: Evidence) -> Said | None:
    """Positions that are added beside one on the same side at a worse price."""
    order = np.lexsort((e.entry_ms, e.market))
    entry, out, side, market = e.entry_ms[order], e.exit_ms[order], e.side[order], e.market[order]
    price = e.prices("entry_price")[order]
    added = (
        (market[1:] == market[:-1])
        & (side[1:] == side[:-1])
        & (entry[1:] < out[:-1])
        & (entry[1:] > entry[:-1])
        & ((price[1:] - price[:-1]) * side[1:] < 0)
    )
    part = float(np.mean(added))
    if part < bound("averaging_down", "share"):
        return None
    return f"{part:.0%} of trades were added at a worse price to a position that was losing.", {"share": part, "trades": int(added.sum())}


@check(
    "smallest_lots",
    "Sizes at the smallest lot",
    "note",
    "Test with more balance: at the smallest size the risk of each trade is not what was asked for.",
    fewest=10,
)
def smallest_lots(e: Evidence) -> Said | None:
    """Rounding decides the size."""
    if e.instrument is None or (e.spec.get("sizing") or {}).get("mode") == "fixed":
        return None
    part = float(np.mean(e.lots <= e.instrument.lot_min * 1.5))
    if part < bound("smallest_lots", "share"):
        return None
    return f"{part:.0%} of trades have the smallest size of {e.instrument.lot_min:g} lots.", {"share": part, "lot_min": e.instrument.lot_min}


@check("largest_lots", "Sizes at the largest lot", "note", "Sizes were cut off; the later part of the run is not what was asked for.", fewest=10)
def largest_lots(e: Evidence) -> Said | None:
    """The broker's limit decides the size."""
    if e.instrument is None:
        return None
    part = float(np.mean(e.lots >= e.instrument.lot_max * 0.999))
    if part < bound("largest_lots", "share"):
        return None
    return f"{part:.0%} of trades have the largest size of {e.instrument.lot_max:g} lots.", {"share": part, "lot_max": e.instrument.lot_max}


def _never_hit(e: Evidence, column: str, code: str) -> Said | None:
    levels = e.prices(column)
    there = int((~np.isnan(levels)).sum())
    hits = int((e.exits == column).sum())
    if there < 0.9 * len(e.trades) or share(hits, there) >= bound(code, "share"):
        return None
    return f"{there} of {len(e.trades)} trades had a {column}, and {hits} of them reached it.", {"with_level": there, "reached": hits}


def _lowest(e: Evidence) -> float:
    curve: Floats = e.curve
    return float(curve.min()) if len(curve) else e.balance
