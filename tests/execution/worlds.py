"""Random bars and decisions that hypothesis can shrink: everything is small whole numbers of points around one price."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from components.execution import Costs
from components.fx import AccountSpec, Instrument, instrument
from components.risk import Limits, Sizing
from components.strategy import Decisions


class _Short:
    """Prints only what is not the default, so that a failing world can be read."""

    def __repr__(self) -> str:
        shown = (f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if getattr(self, f.name) != f.default)  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True, repr=False)
class Bar(_Short):
    """One bar, in points: gap from the last close, body, and wicks."""

    gap: int = 0
    body: int = 0
    up: int = 0
    down: int = 0
    spread: int = 0
    hours: int = 1


@dataclass(frozen=True, repr=False)
class Wish(_Short):
    """The decisions of one bar, in points; `entry_at` is measured from the close, stop and target from the entry (below 0: a wrong side)."""

    side: int = 0
    exit: int = 0
    kind: int = 0
    entry_at: int = 0
    stop: int | None = None
    target: int | None = None
    by_distance: bool = False
    expiry: int = 0
    trail: int | None = None
    size: float = 1.0


@dataclass(frozen=True)
class World:
    """Everything that a run needs, plain enough to be printed when it fails."""

    bars: tuple[Bar, ...]
    wishes: tuple[Wish, ...]
    account: AccountSpec
    sizing: Sizing
    limits: Limits
    costs: Costs
    symbol: str = "EURUSD"
    rates: tuple[float, ...] | None = None
    manage: tuple[float, ...] | None = None
    resolution: str = "against"
    slips: tuple[int, ...] | None = None

    @property
    def instrument(self) -> Instrument:
        return instrument(self.symbol)

    def frame(self) -> pd.DataFrame:
        """The bars frame."""
        point, digits = self.instrument.point, self.instrument.digits
        close = 10_000 if digits == 5 else 15_000
        rows, times = [], []
        time = pd.Timestamp("2024-03-04T00:00Z")
        for bar in self.bars:
            start = max(close + bar.gap, 5_000)
            close = max(start + bar.body, 5_000)
            rows.append((start, max(start, close) + bar.up, min(start, close) - bar.down, close))
            times.append(time)
            time += pd.Timedelta(hours=bar.hours)
        prices = np.round(np.array(rows, dtype=np.float64) * 10 * point, digits)
        frame = pd.DataFrame(prices, columns=["open", "high", "low", "close"], index=pd.DatetimeIndex(times, name="open_time").as_unit("ms"))
        return frame.assign(volume=0.0, spread_points=[10.0 * bar.spread for bar in self.bars])

    def decisions(self) -> Decisions:
        """The wishes as columns; a unit of them is ten points, as in `frame`."""
        close = self.frame()["close"].to_numpy()
        unit, digits = 10 * self.instrument.point, self.instrument.digits
        columns: dict[str, list[float]] = {
            name: [] for name in ("entry_price", "stop", "target", "stop_distance", "target_distance", "trail_distance")
        }
        for t, wish in enumerate(self.wishes):
            entry = close[t] + wish.entry_at * unit * (wish.kind != 0)
            stop = np.nan if wish.stop is None else entry - wish.side * wish.stop * unit
            target = np.nan if wish.target is None else entry + wish.side * wish.target * unit
            far = wish.by_distance
            columns["entry_price"].append(round(entry, digits))
            columns["stop"].append(np.nan if far else round(stop, digits))
            columns["target"].append(np.nan if far else round(target, digits))
            columns["stop_distance"].append(abs(wish.stop) * unit if far and wish.stop else np.nan)
            columns["target_distance"].append(abs(wish.target) * unit if far and wish.target else np.nan)
            columns["trail_distance"].append(np.nan if wish.trail is None else round(wish.trail * unit, digits))
        # What no wish uses is left out, as strategies leave it out.
        if all(wish.trail is None for wish in self.wishes):
            del columns["trail_distance"]
        kinds = {"entry": np.array([wish.kind for wish in self.wishes], dtype=np.int8)} if any(wish.kind for wish in self.wishes) else {}
        return Decisions(
            side=np.array([wish.side for wish in self.wishes], dtype=np.int8),
            exit=np.array([wish.exit for wish in self.wishes], dtype=np.int8),
            **kinds,
            expiry_bars=np.array([wish.expiry for wish in self.wishes], dtype=np.int32),
            size_fraction=np.array([wish.size for wish in self.wishes]),
            **{name: np.array(values) for name, values in columns.items()},
        )


def bars(min_size: int, max_size: int, *, spreads: bool, flat: bool = False) -> Any:
    """Bars: small moves, some gaps, flat hours, some holes in time."""
    small = st.integers(-12, 12)
    if flat:
        return st.lists(st.builds(lambda gap, spread: Bar(gap, 0, 0, 0, spread), small, st.integers(0, 3)), min_size=min_size, max_size=max_size)
    return st.lists(
        st.builds(
            Bar,
            gap=st.one_of(st.just(0), st.integers(-3, 3), st.integers(-25, 25), st.integers(-150, 150)),
            body=small,
            up=st.integers(0, 10),
            down=st.integers(0, 10),
            spread=st.integers(0, 3) if spreads else st.just(0),
            hours=st.sampled_from((1, 1, 1, 1, 9, 50)),
        ),
        min_size=min_size,
        max_size=max_size,
    )


def wishes(*, distances: bool, plain: bool = False) -> Any:
    """The wish of one bar: none, or any kind of entry, exit, expiry, stop, target and trail; where `plain`, entries at market that do not trail."""
    level = st.one_of(st.none(), st.integers(1, 20), st.integers(-1, 40))
    return st.one_of(
        *[st.just(Wish())] * (4 if plain else 1),
        st.builds(
            Wish,
            side=st.sampled_from((-1, 1)),
            exit=st.sampled_from((0, 0, -1, 1)),
            kind=st.just(0) if plain else st.sampled_from((0, 0, 1, 2)),
            entry_at=st.integers(-10, 10),
            stop=level,
            target=level,
            by_distance=st.booleans() if distances else st.just(False),
            expiry=st.integers(0, 3),
            trail=st.none() if plain else st.one_of(st.none(), st.none(), st.integers(1, 15)),
            size=st.sampled_from((1.0, 1.0, 1.0, 0.5, 0.0)),
        ),
        st.builds(Wish, exit=st.sampled_from((-1, 1))),
    )


def swaps() -> Any:
    """A broker's swap table in any mode, or none."""
    size = st.sampled_from((-7.5, -1.0, 0.0, 2.5, 40.0))
    table = {
        "swap_mode": st.sampled_from(("points", "account", "profit", "base", "percent", "percent_open")),
        "swap_long": size,
        "swap_short": size,
        "swap_triple_day": st.sampled_from(("monday", "wednesday", "wednesday", "friday", "none")),
        "swap": st.sampled_from(("table", "table", "none")),
    }
    return st.one_of(st.just({}), st.fixed_dictionaries(table), st.fixed_dictionaries(table))


@st.composite
def worlds(draw: Any, *, reference: bool, plain: bool = False, min_bars: int = 12, max_bars: int = 40) -> World:
    """A whole run; where `plain`, of market entries one at a time without `manage`, which have a way of their own through the step."""
    places = st.just(1) if plain else st.integers(1, 3)
    managed = st.one_of(st.none(), st.just((1.0, 0.0, 0.0, 0.0)), st.tuples(st.sampled_from((0.0, 1.0)), *[st.integers(0, 4).map(float)] * 3))
    drawn = draw(bars(min_bars, max_bars, spreads=not reference))
    rows = len(drawn)
    sizing = draw(
        st.one_of(
            st.builds(
                lambda lots, places: Sizing(mode="fixed", fixed_lots=lots, max_positions=places),
                st.sampled_from((0.05, 0.12, 0.3)),
                places,
            ),
            st.builds(
                lambda share, places: Sizing(mode="risk", risk_fraction=share, max_positions=places),
                st.sampled_from((0.01, 0.1, 0.4)),
                places,
            ),
        )
    )
    world = World(
        bars=tuple(drawn),
        wishes=tuple(draw(st.lists(wishes(distances=not reference, plain=plain), min_size=rows, max_size=rows))),
        account=AccountSpec("USD", draw(st.sampled_from((10_000.0, 1_000.0, 200.0))), draw(st.sampled_from((500.0, 500.0, 30.0)))),
        sizing=sizing,
        limits=Limits(max_risk_fraction=draw(st.sampled_from((1.0, 1.0, 0.5, 0.02)))),
        costs=Costs(spread_points=0),
        manage=draw(st.none() if plain else managed),
    )
    if reference:
        return world
    symbol = draw(st.sampled_from(("EURUSD", "USDJPY", "EURGBP")))
    near = {"EURUSD": 1.0, "USDJPY": 0.0067, "EURGBP": 1.27}[symbol]
    rates = None if symbol == "EURUSD" else tuple(near * (1 + draw(st.integers(-20, 20)) / 1000) for _ in drawn)
    costs = Costs(
        spread_points=0,
        slippage_points=draw(st.sampled_from((0.0, 2.0, 30.0))),
        commission_per_lot=draw(st.sampled_from((0.0, 3.5))),
        **draw(swaps()),
    )
    slips = draw(st.one_of(st.none(), st.lists(st.integers(0, 12), min_size=rows, max_size=rows).map(tuple)))
    account = replace(world.account, stop_out_level=draw(st.sampled_from((0.5, 0.5, 0.0, 0.9, 1.0))))
    if draw(st.integers(0, 2)) == 0:
        lots, most = draw(st.sampled_from((0.05, 0.12))), draw(places)
        # So little over the margin of one position that a few bars can call it.
        balance = round(lots * 100_000 * near / 100.0 * draw(st.sampled_from((1.05, 1.2, 2.2, 3.3))), 2)
        account = replace(account, balance=balance, leverage=100.0, stop_out_level=draw(st.sampled_from((0.5, 0.9, 1.0))))
        world = replace(world, sizing=Sizing(mode="fixed", fixed_lots=lots, max_positions=most), limits=Limits(max_risk_fraction=1.0))
    return replace(
        world, symbol=symbol, rates=rates, costs=costs, resolution=draw(st.sampled_from(("against", "favour"))), account=account, slips=slips
    )  # fmt: skip
