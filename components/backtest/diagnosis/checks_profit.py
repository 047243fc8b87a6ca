"""Where the profit is from: few trades, one hour, one half, one side, one lucky parameter."""

from __future__ import annotations

import numpy as np
import pandas as pd

from components.backtest.diagnosis.check import Said, bound, check, share
from components.backtest.diagnosis.evidence import MS_PER_HOUR, Evidence, Floats, Ints
from components.fx import FX_DAY, sharpe_ratio

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONEY = "{:,.2f} {}"


@check("few_trades", "Too few trades", "doubt", "Test over a longer history, on more symbols, or on a shorter timeframe.", fewest=0)
def few_trades(e: Evidence) -> Said | None:
    """Fewer trades than a mean can be told from."""
    if len(e.trades) >= bound("few_trades", "trades"):
        return None
    return f"The run made {len(e.trades)} trades; below {bound('few_trades', 'trades'):.0f} nothing can be told from luck.", {"trades": len(e.trades)}


@check("short_history", "A short history", "note", "Test over several years, so that rising, falling and quiet markets are all in it.", fewest=0)
def short_history(e: Evidence) -> Said | None:
    """Less than a year of trading days."""
    days = len(e.daily)
    if days == 0 or days >= bound("short_history", "days"):
        return None
    return f"The run covers {days} trading days; a year has about {bound('short_history', 'days'):.0f}.", {"days": days}


@check("one_trade", "One trade makes the profit", "doubt", "Look at that trade: is its price real? Judge the strategy without it.", fewest=2)
def one_trade(e: Evidence) -> Said | None:
    """Half of the profit or more is one trade."""
    best = float(e.net.max())
    if e.net_profit <= 0 or best < bound("one_trade", "share") * e.net_profit:
        return None
    part = best / e.net_profit
    words = f"The best trade made {_money(best, e)} of {_money(e.net_profit, e)} net profit ({part:.0%})."
    return words, {"best": best, "net_profit": e.net_profit, "share": part}


@check(
    "five_trades", "Five trades make the profit", "doubt", "Judge the strategy without its five best trades; test over a longer history.", fewest=20
)
def five_trades(e: Evidence) -> Said | None:
    """Without the five best trades nothing is left."""
    best = float(np.sort(e.net)[-int(bound("five_trades", "count")) :].sum())
    if e.net_profit <= 0 or best < bound("five_trades", "share") * e.net_profit:
        return None
    rest = e.net_profit - best
    words = f"The five best of {len(e.net)} trades made {_money(best, e)}; all others together made {_money(rest, e)}."
    return words, {"best_five": best, "others": rest, "trades": len(e.net)}


@check(
    "one_hour", "Profit at one hour only", "doubt", "Find the reason why this hour should pay; without one, it is the best of 24 by luck.", fewest=30
)
def one_hour(e: Evidence) -> Said | None:
    """All other hours of entry together lose."""
    hour = e.entry_ms // MS_PER_HOUR % 24
    return _one_group(e, hour, "one_hour", lambda number: f"between {number:02d}:00 and {(number + 1) % 24:02d}:00 UTC")


@check(
    "one_weekday",
    "Profit on one weekday only",
    "doubt",
    "Find the reason why this day should pay; without one, it is the best of five by luck.",
    fewest=30,
)
def one_weekday(e: Evidence) -> Said | None:
    """All other weekdays of entry together lose."""
    # 1970-01-01 was a Thursday, and days are named by the FX day.
    day = FX_DAY.day_ids(pd.DatetimeIndex(e.trades["entry_time"])).to_numpy(dtype=np.int64)
    return _one_group(e, (day + 3) % 7, "one_weekday", lambda number: f"on {WEEKDAYS[number]}s")


@check("one_month", "Profit in one month only", "doubt", "Look at what happened in that month; test over more months that are like it.", fewest=30)
def one_month(e: Evidence) -> Said | None:
    """All other months of exit together lose."""
    months = (e.exit_ms.astype("M8[ms]").astype("M8[M]")).astype(np.int64)
    names, profit, _ = _by_group(e.net, months)
    if len(names) < bound("one_month", "months") or e.net_profit <= 0:
        return None
    best = int(np.argmax(profit))
    rest = e.net_profit - float(profit[best])
    if rest > 0:
        return None
    month = str(np.datetime64(int(names[best]), "M"))
    words = f"Trades that ended in {month} made {_money(float(profit[best]), e)}; the other {len(names) - 1} months made {_money(rest, e)}."
    return words, {"month": month, "profit": float(profit[best]), "others": rest, "months": len(names)}


@check("one_side", "Profit on one side only", "note", "Trade that side alone, or find out whether the market's drift made the profit.", fewest=30)
def one_side(e: Evidence) -> Said | None:
    """One side is traded often and loses while the other pays for it."""
    long, short = float(e.net[e.side > 0].sum()), float(e.net[e.side < 0].sum())
    rarer = min(float(np.mean(e.side > 0)), float(np.mean(e.side < 0)))
    if e.net_profit <= 0 or min(long, short) > 0 or rarer < bound("one_side", "share_of_trades"):
        return None
    good, bad = ("Longs", "shorts") if long > short else ("Shorts", "longs")
    words = f"{good} made {_money(max(long, short), e)}, {bad} {_money(min(long, short), e)}."
    return words, {"long": long, "short": short, "rarer_share": rarer}


@check(
    "falls_apart",
    "The profit ends half way",
    "doubt",
    "Take the second half for the truth; look for parameters that were chosen on the first.",
    fewest=30,
)
def falls_apart(e: Evidence) -> Said | None:
    """A good first half, and nothing in the second."""
    if len(e.daily) < bound("falls_apart", "days"):
        return None
    middle = len(e.daily) // 2
    first, second = sharpe_ratio(e.daily[:middle]), sharpe_ratio(e.daily[middle:])
    if first < bound("falls_apart", "first_sharpe") or second > bound("falls_apart", "second_sharpe"):
        return None
    return f"The Sharpe ratio of the first half is {first:.2f}, of the second {second:.2f}.", {"first": first, "second": second}


@check("tiny_wins", "Many small wins, rare large losses", "doubt", "Count a loss twice as large as the worst one in; stop losers earlier.", fewest=30)
def tiny_wins(e: Evidence) -> Said | None:
    """The largest loss takes many wins with it."""
    wins = e.net[e.net > 0]
    rate, worst = len(wins) / len(e.net), -float(e.net.min())
    if not len(wins) or rate < bound("tiny_wins", "win_rate") or worst < bound("tiny_wins", "loss_in_wins") * float(wins.mean()):
        return None
    times = worst / float(wins.mean())
    words = f"{rate:.0%} of trades win, {_money(float(wins.mean()), e)} on average; the largest loss of {_money(worst, e)} takes {times:.0f} of them."
    return words, {"win_rate": rate, "average_win": float(wins.mean()), "largest_loss": worst, "loss_in_wins": times}


@check("losers_held", "Losers are held longer than winners", "note", "Give losers the time that winners need, and no more.", fewest=30)
def losers_held(e: Evidence) -> Said | None:
    """Half of the losers are held much longer than half of the winners."""
    held = (e.exit_ms - e.entry_ms) / MS_PER_HOUR
    if not (e.net > 0).any() or not (e.net <= 0).any():
        return None
    winners, losers = float(np.median(held[e.net > 0])), float(np.median(held[e.net <= 0]))
    if winners <= 0 or losers < bound("losers_held", "ratio") * winners:
        return None
    words = f"Half of the losers are held {losers:.1f} hours or more, half of the winners {winners:.1f}."
    return words, {"losers_hours": losers, "winners_hours": winners}


@check("long_in_rising", "Holds what rose anyway", "doubt", "Compare with holding the pair all the time; what counts is the difference.", fewest=10)
def long_in_rising(e: Evidence) -> Said | None:
    """Trades one side, the market went that way, and its days are the market's days."""
    side = 1 if float(np.mean(e.side > 0)) >= 0.5 else -1
    one_way = float(np.mean(e.side == side))
    if e.net_profit <= 0 or one_way < bound("long_in_rising", "side_share") or e.bars is None or len(e.daily) < 20:
        return None
    close = e.bars["close"].to_numpy(dtype=np.float64)
    last = close[np.append(np.diff(e.day_id) != 0, True)]
    moves = np.diff(last) / last[:-1]
    drift = float(last[-1] / last[0] - 1)
    if drift * side <= 0 or np.std(e.daily[1:]) == 0 or np.std(moves) == 0:
        return None
    correlation = float(np.corrcoef(e.daily[1:], side * moves)[0, 1])
    if correlation < bound("long_in_rising", "correlation"):
        return None
    beta = float(np.cov(e.daily[1:], side * moves)[0, 1] / np.var(moves, ddof=1))
    name = "long" if side > 0 else "short"
    words = (
        f"{one_way:.0%} of trades are {name}, the pair moved {drift:+.1%}, and the daily returns follow it with a correlation of {correlation:.2f} "
        f"(beta {beta:.2f})."
    )
    return words, {"side_share": one_way, "market": drift, "correlation": correlation, "beta": beta}


@check(
    "smooth_returns",
    "Returns follow each other",
    "doubt",
    "Look for open losses that are not valued, for a grid, or for positions that are held for weeks.",
    fewest=30,
)
def smooth_returns(e: Evidence) -> Said | None:
    """Daily returns that are alike from day to day make the Sharpe ratio look better than it is."""
    days = len(e.daily)
    if days < 60 or np.std(e.daily) == 0 or float(e.daily.mean()) <= 0:
        return None
    before, after = e.daily[:-1] - e.daily.mean(), e.daily[1:] - e.daily.mean()
    alike = float((before * after).sum() / ((e.daily - e.daily.mean()) ** 2).sum())
    if alike < bound("smooth_returns", "autocorrelation") or alike * np.sqrt(days) < bound("smooth_returns", "errors"):
        return None
    # Lo (2002), The Statistics of Sharpe Ratios: with autocorrelation r the yearly ratio is too high by about sqrt((1 + r) / (1 - r)).
    times = float(np.sqrt((1 + alike) / max(1 - alike, 0.01)))
    words = f"A day's return and the next one's have a correlation of {alike:.2f} over {days} days; the Sharpe ratio is {times:.2f} times too high."
    return words, {"autocorrelation": alike, "days": days, "sharpe_too_high_by": times}


@check(
    "luck_of_one_spike",
    "A spike, not a plateau",
    "doubt",
    "Take parameters from the middle of a plateau, where their neighbours do as well.",
    fewest=0,
)
def luck_of_one_spike(e: Evidence) -> Said | None:
    """The parameters' neighbours in the newest sweep do much worse."""
    own = e.run.sharpe
    around = _neighbours(e)
    if own < bound("luck_of_one_spike", "best_sharpe") or len(around) < bound("luck_of_one_spike", "neighbours"):
        return None
    middle = float(np.median(around))
    if middle >= bound("luck_of_one_spike", "share_of_best") * own:
        return None
    words = f"The Sharpe ratio is {own:.2f}; half of the {len(around)} neighbouring parameters in the newest sweep have {middle:.2f} or less."
    return words, {"sharpe": own, "neighbours_median": middle, "neighbours": len(around)}


@check("edge_of_range", "At the edge of what was tried", "note", "Widen the range of that parameter and sweep again.", fewest=0)
def edge_of_range(e: Evidence) -> Said | None:
    """A parameter sits at the end of its swept range."""
    found = []
    for name, values in _swept(e).items():
        own = e.run.params.get(name)
        if len(values) >= bound("edge_of_range", "values") and own in (values[0], values[-1]):
            found.append((name, own, values[0], values[-1]))
    if not found or e.run.sharpe <= 0:
        return None
    said = ", ".join(f"{name} is {own:g} of {low:g} to {high:g}" for name, own, low, high in found)
    return f"Parameters lie at the edge of the newest sweep: {said}.", {"parameters": [name for name, *_ in found]}


def _one_group(e: Evidence, group: Ints, code: str, words: object) -> Said | None:
    names, profit, counts = _by_group(e.net, group)
    best = int(np.argmax(profit))
    rest, part = e.net_profit - float(profit[best]), share(counts[best], len(e.net))
    if e.net_profit <= 0 or len(names) < 2 or rest > 0 or part >= bound(code, "share_of_trades"):
        return None
    assert callable(words)
    said = (
        f"Trades entered {words(int(names[best]))} ({part:.0%} of all) made {_money(float(profit[best]), e)}; all others together made "
        f"{_money(rest, e)}."
    )
    return said, {"group": int(names[best]), "profit": float(profit[best]), "others": rest, "share_of_trades": part}


def _by_group(values: Floats, group: Ints) -> tuple[Ints, Floats, Ints]:
    names, place = np.unique(group, return_inverse=True)
    return names, np.bincount(place, weights=values).astype(np.float64), np.bincount(place).astype(np.int64)


def _swept(e: Evidence) -> dict[str, list[float]]:
    """The numeric parameters that the sweep varied, each with its values in order."""
    values: dict[str, set[float]] = {}
    for point in e.points:
        for name, value in point.params.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                values.setdefault(name, set()).add(float(value))
    return {name: sorted(found) for name, found in values.items() if len(found) > 1}


def _neighbours(e: Evidence) -> list[float]:
    """Sharpe ratios of the sweep's points that lie one step away in one parameter, or in each of several."""
    steps = {name: {value: place for place, value in enumerate(values)} for name, values in _swept(e).items()}
    if not steps or any(e.run.params.get(name) not in places for name, places in steps.items()):
        return []
    own = {name: places[e.run.params[name]] for name, places in steps.items()}
    found = []
    for point in e.points:
        sharpe = point.metrics.get("sharpe")
        if point.state != "done" or sharpe is None or any(point.params.get(name) not in places for name, places in steps.items()):
            continue
        away = [abs(steps[name][point.params[name]] - place) for name, place in own.items()]
        if max(away) == 1:
            found.append(float(sharpe))
    return found


def _money(amount: float, e: Evidence) -> str:
    return MONEY.format(amount, e.run.currency)
