"""A slow account that follows the rules of the fill policy `mt5` as they are written down, in plain Python and whole points.

The rules, from the design page and the docstrings: buys, buy stops and exits of shorts happen at ask, everything else at bid. A row begins
with its open: positions whose stop or target it has passed leave there, then market orders fill there; then stops and targets inside the
row; then working orders, each with its own stop and target for the rest of the row. Where prices do not tell which of several outcomes
happened, the trader gets the worst one (or the best, if asked for) and the row counts as ambiguous. Size is fixed at the decision.

When the trading day of a row is not that of the row before, everything held pays or earns swap for each night from Monday to Friday that ended,
three times for the triple one: it belongs to the position until that is closed. At the end of a row the broker looks at the level of equity to
margin, with every position at the row's worst price for it; below the stop-out level the largest loser is closed there (less slippage), and so
on. The row is unclear if its close shows another equity than its worst; in the trader's favour only the close counts.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np

from components.execution import Costs
from components.fx import AccountSpec, Instrument
from components.risk import Limits, Sizing

NONE, STOP, TARGET = "none", "stop", "target"


@dataclass
class Order:
    ticket: int
    side: int
    kind: str
    lots: float
    level: int | None
    stop: int | None
    target: int | None
    stop_far: int | None
    target_far: int | None
    trail: int | None
    born: int
    lives: int
    closes: int | None = None
    why: str = ""


@dataclass
class Holding:
    ticket: int
    side: int
    lots: float
    entry: int
    stop: int | None
    target: int | None
    trail: int | None
    row: int
    cost: float
    swap: float = 0.0


@dataclass
class Row:
    """Bid prices, spread and slippage of a row, in points; the conversion rate and the trading day."""

    open: int
    high: int
    low: int
    close: int
    spread: int
    rate: float
    slip: int
    day: date

    def side(self, is_ask: bool) -> tuple[int, int, int, int]:
        shift = self.spread if is_ask else 0
        return self.open + shift, self.high + shift, self.low + shift, self.close + shift


@dataclass
class Wanted:
    """What a strategy wishes at the close of a bar, in points."""

    side: int
    out: int
    kind: str
    level: int | None
    stop: int | None
    target: int | None
    stop_far: int | None
    target_far: int | None
    trail: int | None
    lives: int
    share: float


@dataclass
class NaiveAccount:
    spec: AccountSpec
    instrument: Instrument
    costs: Costs
    sizing: Sizing
    limits: Limits
    favour: bool
    manage: tuple[float, ...] | None
    balance: float = 0.0
    holdings: list[Holding] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    events: list[tuple[object, ...]] = field(default_factory=list)
    ambiguous_rows: int = 0
    left_rows: int = 0
    tickets: int = 0
    bid: int = 0
    ask: int = 0
    rate: float = 1.0
    now: int = 0
    day: date | None = None

    def money(self, points: float, lots: float) -> float:
        """Value of a price difference, in account currency."""
        return points * self.instrument.point * round(lots * self.instrument.contract_size, 6) * self.rate

    def equity(self) -> float:
        return self.balance + sum(self.gain(h, self.bid if h.side > 0 else self.ask) for h in self.holdings)

    def gain(self, h: Holding, price: float) -> float:
        return self.money(h.side * (price - h.entry), h.lots) + h.swap

    def margin(self, lots: float, price: int) -> float:
        return self.money(price, lots) * self.instrument.margin_rate / self.spec.leverage

    # the market moves

    def see(self, t: int, row: Row) -> None:
        """One row passes."""
        self.now, self.rate = t, row.rate
        if self.bid == 0:
            self.bid, self.ask = row.open, row.open + row.spread
        unclear = False
        slip = row.slip
        self.turn(row.day)
        for h in list(self.holdings):
            price = row.side(h.side < 0)[0]
            if _passed(h.stop, price, h.side):
                self.leave(h, price - h.side * slip, STOP, False)
            elif _passed(h.target, price, -h.side):
                self.leave(h, price, TARGET, False)
        for order in [o for o in self.orders if o.kind == "market"]:
            price = row.side(order.side > 0)[0] + order.side * slip
            if order.closes is None:
                self.enter(order, price)
                continue
            self.orders.remove(order)
            for h in [h for h in self.holdings if h.ticket == order.closes]:
                self.leave(h, price, order.why, False, None if math.isnan(order.lots) else order.lots)
        for h in list(self.holdings):
            unclear |= self.rest_of_row(h, row, slip)
        for order in [o for o in self.orders if o.kind != "market"]:
            unclear |= self.meet(order, row, slip)
        self.bid, self.ask = row.close, row.close + row.spread
        unclear |= self.hold_level(row)
        self.ambiguous_rows += unclear
        if self.equity() <= 0:
            for h in list(self.holdings):
                self.leave(h, self.bid if h.side > 0 else self.ask, "stop_out", False)
            self.orders.clear()
            self.balance = 0.0

    def turn(self, day: date) -> None:
        """The nights since the row before: what each position pays or earns for them, at the last bid and this row's rate."""
        earlier, self.day = self.day, day
        c = self.costs
        if earlier is None or c.swap == "none":
            return
        while earlier < day:
            name = earlier.strftime("%A").lower()
            times = 0 if name in ("saturday", "sunday") else 3 if name == c.swap_triple_day else 1
            for h in self.holdings:
                size = (c.swap_long if h.side > 0 else c.swap_short) or 0.0
                per_night = {
                    "points": self.money(size, h.lots),
                    "account": size * h.lots,
                    "profit": size * h.lots * self.rate,
                    "base": size * h.lots * self.bid * self.instrument.point * self.rate,
                    "percent": self.money(self.bid, h.lots) * size / 36_000,
                    "percent_open": self.money(h.entry, h.lots) * size / 36_000,
                }
                h.swap += times * per_night[c.swap_mode or "points"]
            earlier += timedelta(days=1)

    def hold_level(self, row: Row) -> bool:
        """Margin call: whether it is unclear that, or where, the level was crossed."""

        def at(h: Holding, is_worst: bool) -> int:
            if is_worst:
                return row.low if h.side > 0 else row.high + row.spread
            return self.bid if h.side > 0 else self.ask

        def level_holds(is_worst: bool) -> bool:
            equity = self.balance + sum(self.gain(h, at(h, is_worst)) for h in self.holdings)
            return equity >= self.spec.stop_out_level * sum(self.margin(h.lots, self.bid) for h in self.holdings)

        if not self.holdings or self.spec.stop_out_level == 0 or level_holds(True):
            return False
        unclear = any(at(h, True) != at(h, False) for h in self.holdings)
        while self.holdings and not level_holds(not self.favour):
            loser = min(self.holdings, key=lambda h: self.gain(h, at(h, not self.favour)))
            self.leave(loser, at(loser, not self.favour) - loser.side * row.slip, "stop_out", unclear)
        return unclear

    def meet(self, order: Order, row: Row, slip: int) -> bool:
        """A working order meets a row; whether what followed is unclear."""
        start, high, low, _ = row.side(order.side > 0)
        rises = (order.side > 0) == (order.kind == "stop")
        assert order.level is not None
        if (high < order.level) if rises else (low > order.level):
            return False
        is_at_open = (start >= order.level) if rises else (start <= order.level)
        price = start if is_at_open else order.level
        h = self.enter(order, price + order.side * (slip if order.kind == "stop" else 0))
        if h is None:
            return False
        if is_at_open:
            return self.rest_of_row(h, row, slip)
        _, high, low, close = row.side(h.side < 0)
        worst, best = (low, high) if h.side > 0 else (high, low)
        # The exit side's price at the moment at which the entry's side reached the level.
        there = order.level - h.side * row.spread
        if _passed(h.stop, there, h.side):
            return self.decide(h, {STOP}, slip, there)
        # Which extremes must come after the fill: the one in whose direction the price was moving. The close comes after it in any case.
        ahead_is_best = order.kind == "stop"
        outcomes = set()
        sure = False
        if _passed(h.stop, worst, h.side):
            outcomes.add(STOP)
            sure |= not ahead_is_best or _passed(h.stop, close, h.side)
        if _passed(h.target, best, -h.side):
            outcomes.add(TARGET)
            sure |= ahead_is_best or _passed(h.target, close, -h.side)
        return self.decide(h, outcomes if sure else outcomes | {NONE}, slip, None)

    def rest_of_row(self, h: Holding, row: Row, slip: int) -> bool:
        """Stop and target of a position that is there from the open on; one that was opened at the open may have passed its own."""
        start, high, low, _ = row.side(h.side < 0)
        worst, best = (low, high) if h.side > 0 else (high, low)
        if _passed(h.stop, start, h.side):
            return self.decide(h, {STOP}, slip, start)
        if _passed(h.target, start, -h.side):
            return self.decide(h, {TARGET}, slip, start)
        outcomes = {STOP} if _passed(h.stop, worst, h.side) else set()
        outcomes |= {TARGET} if _passed(h.target, best, -h.side) else set()
        return self.decide(h, outcomes or {NONE}, slip, None)

    def decide(self, h: Holding, outcomes: set[str], slip: int, at: int | None) -> bool:
        order = (TARGET, NONE, STOP) if self.favour else (STOP, NONE, TARGET)
        outcome = next(name for name in order if name in outcomes)
        if outcome == STOP:
            self.leave(h, (h.stop if at is None else at) - h.side * slip, STOP, len(outcomes) > 1)  # type: ignore[operator]
        elif outcome == TARGET:
            self.leave(h, h.target if at is None else at, TARGET, len(outcomes) > 1)  # type: ignore[arg-type]
        return len(outcomes) > 1

    def enter(self, order: Order, price: int) -> Holding | None:
        self.orders.remove(order)
        used = sum(self.margin(h.lots, self.bid) for h in self.holdings)
        if self.margin(order.lots, price) > self.equity() - used:
            self.refuse(order.side, "no_margin")
            return None
        stop, target = order.stop, order.target
        if stop is None and order.stop_far is not None:
            stop = price - order.side * order.stop_far
        if target is None and order.target_far is not None:
            target = price + order.side * order.target_far
        cost = order.lots * self.costs.commission_per_lot
        self.balance -= cost
        h = Holding(order.ticket, order.side, order.lots, price, stop, target, order.trail, self.now, cost)
        self.holdings.append(h)
        self.note("opened", h.side, h.lots, price, cost=cost)
        return h

    def leave(self, h: Holding, price: int, why: str, unclear: bool, lots: float | None = None) -> None:
        lots = h.lots if lots is None else min(lots, h.lots)
        share = lots / h.lots
        profit = self.money(h.side * (price - h.entry), lots)
        cost = lots * self.costs.commission_per_lot
        swap = h.swap * share
        self.balance += profit - cost + swap
        self.note("closed", h.side, lots, price, profit, cost + h.cost * share, why, unclear, swap)
        h.cost -= h.cost * share
        h.swap -= swap
        h.lots = round(h.lots - lots, 8)
        if h.lots <= 0:
            self.holdings.remove(h)

    def refuse(self, side: int, why: str) -> None:
        self.events.append((self.now, "refused", side, why))

    def note(
        self,
        kind: str,
        side: int,
        lots: float,
        price: int,
        profit: float = 0.0,
        cost: float = 0.0,
        why: str = "",
        unclear: bool = False,
        swap: float = 0.0,
    ) -> None:
        self.events.append((self.now, kind, side, lots, price, profit, cost, why, unclear, swap))

    # the strategy asks

    def ask_for(self, bar: int, w: Wanted) -> None:
        """The close of a bar: what is asked for is made from the state as it is, then done in order."""
        done: list[tuple[str, object, object, object]] = []
        for o in self.orders:
            if o.closes is None and o.lives > 0 and bar - o.born >= o.lives:
                done.append(("cancel", o, None, None))
        for h in self.holdings:
            if h.trail is not None:
                stop = (self.bid if h.side > 0 else self.ask) - h.side * h.trail
                if h.stop is None or (stop - h.stop) * h.side > 0:
                    done.append(("move", h, stop, h.target))
        done += self.managed(bar)
        going = {id(thing) for what, thing, lots, _ in done if what == "cancel" or (what == "close" and lots is None)}
        for h in self.holdings:
            if w.out == h.side and id(h) not in going:
                done.append(("close", h, None, "reversal" if w.side == -w.out else "signal"))
                going.add(id(h))
        for o in self.orders:
            if w.out == o.side and o.closes is None and id(o) not in going:
                done.append(("cancel", o, None, None))
                going.add(id(o))
        held = sum(id(thing) not in going for thing in [*self.holdings, *(o for o in self.orders if o.closes is None)])
        entry = self.wish(w) if w.side != 0 and held < self.sizing.max_positions else None
        for what, thing, first, second in done:
            if what == "cancel" and thing in self.orders:
                self.orders.remove(thing)  # type: ignore[arg-type]
            elif what == "move":
                self.move(thing, first, second)  # type: ignore[arg-type]
            elif what == "close":
                self.put(
                    Order(
                        0,
                        -thing.side,
                        "market",
                        math.nan if first is None else first,
                        None,
                        None,
                        None,
                        None,
                        None,
                        None,
                        bar,
                        0,
                        thing.ticket,
                        second,
                    )
                )  # type: ignore[attr-defined,arg-type]
        if isinstance(entry, str):
            self.refuse(w.side, entry)
        elif entry is not None:
            entry.born = bar
            self.put(entry)

    def managed(self, bar: int) -> list[tuple[str, object, object, object]]:
        """What `managers.busy` asks for."""
        if self.manage is None:
            return []
        done: list[tuple[str, object, object, object]] = []
        gain, part_age, all_age, order_age = self.manage
        for h in self.holdings:
            price, age = (self.bid if h.side > 0 else self.ask), bar - h.row
            risk = 0 if h.stop is None else (h.entry - h.stop) * h.side
            if gain > 0 and risk > 0 and (price - h.entry) * h.side >= gain * risk:
                done.append(("move", h, h.entry, h.target))
            if part_age > 0 and age == part_age and h.lots > 0.035:
                done.append(("close", h, 0.02, "signal"))
            if all_age > 0 and age >= all_age:
                done.append(("close", h, None, "signal"))
        for o in self.orders:
            if order_age > 0 and bar - o.born >= order_age:
                done.append(("cancel", o, None, None))
        return done

    def move(self, h: Holding, stop: int | None, target: int | None) -> None:
        price = self.bid if h.side > 0 else self.ask
        if _passed(stop, price, h.side) or _passed(target, price, -h.side):
            self.refuse(h.side, "invalid_stops")
        else:
            h.stop, h.target = stop, target

    def price_of(self, w: Wanted) -> int:
        """The price that the wish is measured from."""
        if w.kind != "market":
            assert w.level is not None
            return w.level
        return self.ask if w.side > 0 else self.bid

    def size(self, w: Wanted) -> float:
        step = self.instrument.lot_step
        lots = self.sizing.fixed_lots * w.share
        if self.sizing.mode == "risk":
            lots = self.equity() * self.sizing.risk_fraction * w.share / self.money(self.distance(w), 1.0)
        lots = round(math.floor(min(lots, self.instrument.lot_max) / step * (1 + 1e-9)) * step, 8)
        return lots if lots >= self.instrument.lot_min else 0.0

    def distance(self, w: Wanted) -> float:
        if w.stop is not None:
            return abs(self.price_of(w) - w.stop)
        return self.price_of(w) * self.sizing.unstopped_move if w.stop_far is None else w.stop_far

    def wish(self, w: Wanted) -> Order | str:
        """The order that the wish becomes, or why it is refused at birth."""
        price = self.price_of(w)
        if _passed(w.stop, price, w.side) or _passed(w.target, price, -w.side):
            return "invalid_stops"
        lots = self.size(w)
        if lots <= 0:
            return "size_too_small"
        if self.money(self.distance(w), lots) > self.equity() * self.limits.max_risk_fraction * (1 + 1e-9):
            return "risk_per_trade"
        return Order(0, w.side, w.kind, lots, w.level, w.stop, w.target, w.stop_far, w.target_far, w.trail, 0, w.lives)

    def put(self, order: Order) -> None:
        self.tickets += 1
        order.ticket = self.tickets
        self.orders.append(order)


def _passed(level: int | None, price: float, side: int) -> bool:
    """Whether a level below (side +1) or above (side −1) has been reached by the price."""
    return level is not None and (price - level) * side <= 0


def run_naive(rows: list[Row], decided: list[int], wanted: list[Wanted], account: NaiveAccount, finer: list[list[Row]] | None = None) -> list[float]:
    """Equity after each row. `decided[t]` is the bar whose decisions become known after row t, −1 for none; `finer[t]` are the rows that row t
    consists of, by which it is lived through once more where it was unclear."""
    account.balance = account.spec.balance
    curve: list[float] = []
    for t, row in enumerate(rows):
        before = copy.deepcopy(account) if finer else None
        account.see(t, row)
        if before is not None and account.ambiguous_rows > before.ambiguous_rows:
            vars(account).update(vars(before))
            unclear = account.ambiguous_rows
            for part in finer[t]:  # type: ignore[index]
                account.see(t, part)
                if account.equity() <= 0:
                    break
            account.left_rows += account.ambiguous_rows > unclear
            account.ambiguous_rows = unclear + 1
        curve.append(account.equity())
        if curve[-1] <= 0:
            return curve[:-1] + [0.0] * (len(rows) - t)
        if decided[t] >= 0:
            account.ask_for(decided[t], wanted[decided[t]])
    return curve


def points_of(values: object, point: float) -> list[int | None]:
    """Prices or distances in whole points; NaN is none."""
    return [None if math.isnan(value) else round(value / point) for value in np.atleast_1d(np.asarray(values, dtype=float))]
