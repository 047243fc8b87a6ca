"""A slow account that follows the rules of the fill policy `mt5` as they are written down, in plain Python and whole points.

The rules, from the design page and the docstrings: buys, buy stops and exits of shorts happen at ask, everything else at bid. A row begins
with its open: positions whose stop or target it has passed leave there, then market orders fill there; then stops and targets inside the
row; then working orders, each with its own stop and target for the rest of the row. Where prices do not tell which of several outcomes
happened, the trader gets the worst one (or the best, if asked for) and the row counts as ambiguous. Size is fixed at the decision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

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


@dataclass
class Row:
    """Bid prices and the spread of a row, in points, and the conversion rate."""

    open: int
    high: int
    low: int
    close: int
    spread: int
    rate: float

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
    tickets: int = 0
    bid: int = 0
    ask: int = 0
    rate: float = 1.0
    now: int = 0

    def money(self, points: float, lots: float) -> float:
        """Value of a price difference, in account currency."""
        return points * self.instrument.point * round(lots * self.instrument.contract_size, 6) * self.rate

    def equity(self) -> float:
        return self.balance + sum(self.money(h.side * ((self.bid if h.side > 0 else self.ask) - h.entry), h.lots) for h in self.holdings)

    def margin(self, lots: float, price: int) -> float:
        return self.money(price, lots) * self.instrument.margin_rate / self.spec.leverage

    # the market moves

    def see(self, t: int, row: Row) -> None:
        """One row passes."""
        self.now, self.rate = t, row.rate
        if self.bid == 0:
            self.bid, self.ask = row.open, row.open + row.spread
        unclear = False
        slip = round(self.costs.slippage_points)
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
        self.ambiguous_rows += unclear
        if self.equity() <= 0:
            for h in list(self.holdings):
                self.leave(h, self.bid if h.side > 0 else self.ask, "stop_out", False)
            self.orders.clear()
            self.balance = 0.0

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
        self.balance += profit - cost
        self.note("closed", h.side, lots, price, profit, cost + h.cost * share, why, unclear)
        h.cost -= h.cost * share
        h.lots = round(h.lots - lots, 8)
        if h.lots <= 0:
            self.holdings.remove(h)

    def refuse(self, side: int, why: str) -> None:
        self.events.append((self.now, "refused", side, why))

    def note(
        self, kind: str, side: int, lots: float, price: int, profit: float = 0.0, cost: float = 0.0, why: str = "", unclear: bool = False
    ) -> None:
        self.events.append((self.now, kind, side, lots, price, profit, cost, why, unclear))

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
        lots = round(math.floor(min(lots, self.instrument.lot_max) / step + 1e-9) * step, 8)
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


def run_naive(rows: list[Row], decided: list[int], wanted: list[Wanted], account: NaiveAccount) -> list[float]:
    """Equity after each row. `decided[t]` is the bar whose decisions become known after row t, −1 for none."""
    account.balance = account.spec.balance
    curve: list[float] = []
    for t, row in enumerate(rows):
        account.see(t, row)
        curve.append(account.equity())
        if curve[-1] <= 0:
            return curve[:-1] + [0.0] * (len(rows) - t)
        if decided[t] >= 0:
            account.ask_for(decided[t], wanted[decided[t]])
    return curve


def points_of(values: object, point: float) -> list[int | None]:
    """Prices or distances in whole points; NaN is none."""
    return [None if math.isnan(value) else round(value / point) for value in np.atleast_1d(np.asarray(values, dtype=float))]
