"""Which deal closed which position. Reports carry no position number, so it is told from profit, volume, stop, target and comment."""

from __future__ import annotations

import math
import re
from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from components.backtest.reports.document import DEAL_TYPES

LEVEL = re.compile(r"\s*\[?(sl|tp)\s+([\d.]+)")
EPSILON = 1e-9
HALF_CENT = 0.0051
# Value of a price step drifts with the rate into the account's currency: as much is allowed between two trades of a symbol.
DRIFT = 0.03


@dataclass
class _Open:
    """A position that is open: what is left of it and what its entry cost per lot."""

    number: int
    order: int
    position_id: int
    symbol: str
    side: int
    lots: float
    price: float
    raw_ms: int
    stop: float
    target: float
    comment: str
    commission_per_lot: float


@dataclass
class Pairing:
    """The trades of a report.

    Parameters
    ----------
    trades : list of dict
        One for each deal that goes out, in their order (several where a netting deal closes more than one entry's worth of ids).
    left : list of dict
        Positions that are open after the last deal.
    by : Counter
        How the position of each trade was told: ``position id``, ``only one possible``, ``netting``, ``profit``, ``volume``, ``stop or target``,
        ``equal`` (those that were possible are the same), and ``assumed`` for first in, first out where nothing told.
    netting : bool
    """

    trades: list[dict[str, Any]] = field(default_factory=list)
    left: list[dict[str, Any]] = field(default_factory=list)
    by: Counter[str] = field(default_factory=Counter)
    netting: bool = False


def pair_deals(deals: pd.DataFrame) -> Pairing:
    """The trades behind a table of deals.

    Parameters
    ----------
    deals : DataFrame
        As `TesterReport.deals`.

    Notes
    -----
    An account is taken for a netting one where a deal reverses (``in/out``) or closes more than any single position holds. On a hedging
    account every closing deal belongs to one position of the other side with at least its volume. Among several the profit decides: it
    tells the entry price by way of the value of a price step, which trades without a doubt give; then the volume; then the level that the
    comment names (``sl 1.08123``) against the stop and target of the entry's order.
    """
    rows: list[dict[str, Any]] = deals[deals["type"].isin(DEAL_TYPES)].to_dict("records")  # type: ignore[assignment]
    netting = _is_netting(rows)
    paired = (_net if netting else _hedge)(rows)
    paired.netting = netting
    return paired


def _is_netting(rows: list[dict[str, Any]]) -> bool:
    if any(row["position_id"] >= 0 for row in rows):
        return any(row["direction"] == "in/out" for row in rows)
    held: dict[tuple[str, int], list[float]] = defaultdict(list)
    for row in rows:
        side = DEAL_TYPES[row["type"]]
        if row["direction"] == "in/out":
            return True
        if row["direction"] == "in":
            held[row["symbol"], side].append(row["volume"])
            continue
        lots = held[row["symbol"], -side]
        fits = [size for size in lots if size >= row["volume"] - EPSILON]
        if lots and not fits and sum(lots) >= row["volume"] - EPSILON:
            return True
        if fits:
            best = min(fits)
            lots.remove(best)
            if best - row["volume"] > EPSILON:
                lots.append(best - row["volume"])
    return False


def _opened(row: dict[str, Any], lots: float, side: int, share: float) -> _Open:
    return _Open(
        row["deal"], row["order"], row["position_id"], row["symbol"], side, lots, row["price"], row["time_raw_ms"], row["stop"], row["target"],
        row["comment"], share / lots if lots else 0.0,
    )  # fmt: skip


def _hedge(rows: list[dict[str, Any]]) -> Pairing:
    out = Pairing()
    held: dict[tuple[str, int], list[_Open]] = defaultdict(list)
    values: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for row in rows:
        side = DEAL_TYPES[row["type"]]
        if row["direction"] == "in":
            held[row["symbol"], side].append(_opened(row, row["volume"], side, row["commission"]))
            continue
        mine = held[row["symbol"], -side]
        possible = [one for one in mine if one.lots >= row["volume"] - EPSILON] or mine
        if not possible:
            out.left.append({"deal": row["deal"], "symbol": row["symbol"], "side": -side, "lots": row["volume"], "why": "closed, but never opened"})
            continue
        position, by = _choose(row, possible, values[row["symbol"]])
        out.by[by] += 1
        out.trades.append(_trade(row, position, row["volume"], row["commission"], by))
        if by != "assumed" and abs(row["price"] - position.price) > EPSILON and abs(row["profit"]) > 1.0:
            value = row["profit"] / (position.side * (row["price"] - position.price) * row["volume"])
            if value > 0:
                insort(values[row["symbol"]], (row["time_raw_ms"], value))
        position.lots -= row["volume"]
        if position.lots <= EPSILON:
            mine.remove(position)
    out.left += [_left(one) for positions in held.values() for one in positions]
    return out


def _choose(row: dict[str, Any], possible: list[_Open], values: list[tuple[int, float]]) -> tuple[_Open, str]:
    """The position that a deal closed, and what told it."""
    if row["position_id"] >= 0:
        known = [one for one in possible if one.position_id == row["position_id"]]
        if known:
            return known[0], "position id"
    if len(possible) == 1:
        return possible[0], "only one possible"
    told = _by_profit(row, possible, values)
    if told is not None:
        return told, "profit"
    tests: tuple[tuple[str, Callable[[_Open], bool]], ...] = (
        ("volume", lambda one: abs(one.lots - row["volume"]) <= EPSILON),
        ("stop or target", lambda one: _has_level(one, row["comment"])),
    )
    for by, holds in tests:
        kept = [one for one in possible if holds(one)]
        if len(kept) == 1:
            return kept[0], by
        possible = kept or possible
    if len({(one.price, one.lots, one.raw_ms) for one in possible}) == 1:
        return possible[0], "equal"
    return possible[0], "assumed"


def _by_profit(row: dict[str, Any], possible: list[_Open], values: list[tuple[int, float]]) -> _Open | None:
    if not values:
        return None
    near = min(values, key=lambda one: abs(one[0] - row["time_raw_ms"]))[1] if len(values) < 50 else values[-1][1]
    unit = near * row["volume"]
    implied = [row["price"] - one.side * row["profit"] / unit for one in possible]
    errors = sorted((abs(price - one.price), place) for place, (price, one) in enumerate(zip(implied, possible, strict=True)))
    (best, place), (second, other) = errors[0], errors[1]
    slack = 2.0 * HALF_CENT / unit
    if best <= slack + DRIFT * abs(row["price"] - possible[place].price) and second > 4.0 * best + slack:
        same = possible[place].price == possible[other].price
        return None if same else possible[place]
    return None


def _has_level(position: _Open, comment: str) -> bool:
    found = LEVEL.match(comment)
    if found is None:
        return False
    level = _number(found.group(2))
    own = position.stop if found.group(1) == "sl" else position.target
    return abs(own - level) <= EPSILON


def _net(rows: list[dict[str, Any]]) -> Pairing:
    """One position per symbol, at the mean price of what was added to it."""
    out = Pairing(netting=True)
    held: dict[str, _Open] = {}
    for row in rows:
        side, lots, position = DEAL_TYPES[row["type"]], row["volume"], held.get(row["symbol"])
        if row["direction"] != "in" and position is not None:
            closing = min(lots, position.lots)
            out.by["netting"] += 1
            out.trades.append(_trade(row, position, closing, row["commission"] * closing / lots, "netting"))
            position.lots -= closing
            lots -= closing
            if position.lots <= EPSILON:
                del held[row["symbol"]]
                position = None
        elif row["direction"] in ("out", "out by"):
            out.left.append({"deal": row["deal"], "symbol": row["symbol"], "side": -side, "lots": lots, "why": "closed, but never opened"})
            continue
        if lots > EPSILON and row["direction"] in ("in", "in/out"):
            share = row["commission"] * lots / row["volume"]
            if position is None:
                held[row["symbol"]] = _opened(row, lots, side, share)
            else:
                whole = position.lots + lots
                position.price = (position.price * position.lots + row["price"] * lots) / whole
                position.commission_per_lot = (position.commission_per_lot * position.lots + share) / whole
                position.lots = whole
    out.left += [_left(one) for one in held.values()]
    return out


def _trade(row: dict[str, Any], position: _Open, lots: float, exit_commission: float, by: str) -> dict[str, Any]:
    kind, level = exit_of(row["comment"], row["direction"])
    return {
        "ticket": position.position_id if position.position_id >= 0 else position.order if position.order >= 0 else position.number,
        "symbol": position.symbol,
        "side": position.side,
        "lots": lots,
        "entry_raw_ms": position.raw_ms,
        "exit_raw_ms": row["time_raw_ms"],
        "entry_price": position.price,
        "exit_price": row["price"],
        "stop": position.stop,
        "target": position.target,
        "gross_profit": row["profit"],
        "commission": exit_commission + position.commission_per_lot * lots,
        "swap": row["swap"],
        "exit": kind,
        "level": level,
        "comment": position.comment,
        "exit_comment": row["comment"],
        "entry_deal": position.number,
        "exit_deal": row["deal"],
        "pairing": by,
    }


def exit_of(comment: str, direction: str = "out") -> tuple[str, float]:
    """How a deal closed its position, by its comment: our word for it and the level that it names (NaN for none)."""
    found = LEVEL.match(comment)
    if found is not None:
        return "stop" if found.group(1) == "sl" else "target", _number(found.group(2))
    text = comment.strip().lower()
    if text.startswith(("end of test", "end_of_test")):
        return "end_of_data", math.nan
    if text.startswith(("so:", "so ", "[so ", "stop out", "stopout")):
        return "stop_out", math.nan
    return "reversal" if direction == "in/out" else "signal", math.nan


def _left(one: _Open) -> dict[str, Any]:
    cost = one.commission_per_lot * one.lots
    return {"deal": one.number, "symbol": one.symbol, "side": one.side, "lots": one.lots, "entry_price": one.price, "commission": cost, "why": "open"}


def _number(text: str) -> float:
    try:
        return float(text.rstrip("."))
    except ValueError:
        return math.nan
