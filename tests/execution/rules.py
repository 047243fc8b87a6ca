"""Random strategies over random markets for hypothesis: rules of indicators and of chance, brackets by range, orders of every kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from components.features import atr, highest, lowest, rsi, sma
from components.fx import AccountSpec, Instrument, instrument, validate_bars
from components.risk import Limits, Sizing
from components.strategy import Decisions

POINT_SCALE = 100_000


@dataclass(frozen=True)
class Walk:
    """A random market in whole points: `step` is the usual size of a move; shares say how often a bar opens with a gap, stands still, or spikes."""

    seed: int
    rows: int
    step: int
    gaps: float
    still: float
    spikes: float

    def bars(self) -> pd.DataFrame:
        """The bars frame."""
        rng = np.random.default_rng(self.seed)
        still = rng.random(self.rows) < self.still
        # Thin hours come in stretches.
        still |= np.roll(still, 1) | np.roll(still, 2)
        jump = np.where(rng.random(self.rows) < self.gaps, rng.integers(-12 * self.step, 12 * self.step + 1, self.rows), 0)
        body = np.where(still, 0, rng.integers(-2 * self.step, 2 * self.step + 1, self.rows))
        wild = np.where(rng.random(self.rows) < self.spikes, 8, 1)
        close, prices = 110_000, []
        for t in range(self.rows):
            opened = max(close + int(jump[t]), 20_000)
            close = max(opened + int(body[t] * wild[t]), 20_000)
            up, down = (0, 0) if still[t] else (int(value) for value in rng.integers(0, self.step + 1, 2))
            prices.append((opened, max(opened, close) + up, min(opened, close) - down, close))
        index = pd.date_range("2024-01-02", periods=self.rows, freq="h", tz="UTC", name="open_time")
        frame = pd.DataFrame(np.array(prices) / POINT_SCALE, columns=["open", "high", "low", "close"], index=index)
        return validate_bars(frame.round(5))


@dataclass(frozen=True)
class Rule:
    """Random decisions: who says when (`signal`), what is asked for, and when it is left."""

    signal: str
    length: int
    share: float
    kind: int
    entry_ranges: float
    stop_ranges: float
    target_ranges: float
    trail_ranges: float
    expiry: int
    exit: str
    fractions: bool

    def decisions(self, bars: pd.DataFrame, seed: int) -> Decisions:
        """The columns over all bars."""
        rng, rows = np.random.default_rng(seed), len(bars)
        high, low, close = (bars[name].to_numpy() for name in ("high", "low", "close"))
        side = self._side(high, low, close, rng)
        reach = sma(np.maximum(high, np.append(close[:1], close[:-1])) - np.minimum(low, np.append(close[:1], close[:-1])), 5)
        if self.length % 2:
            reach = atr(high, low, close, 5)
        kinds = np.full(rows, self.kind) if self.kind < 3 else rng.integers(0, 3, rows)
        # Stop entries ahead of the price, limit entries behind it; now and then on the other side, where they fill at once.
        away = np.where(kinds == 1, 1, -1) * np.where(rng.random(rows) < 0.1, -1, 1)
        entry = np.where(kinds == 0, close, close + side * away * self.entry_ranges * reach)
        wish = np.where(np.isnan(reach), 0, side).astype(np.int8)

        def level(ranges: float, direction: int) -> Any:
            return np.where(wish != 0, entry + direction * side * ranges * reach, np.nan) if ranges > 0 else np.nan

        chance = np.where(rng.random(rows) < 0.05, rng.integers(-1, 2, rows), 0)
        return Decisions(
            side=wish,
            exit={"none": np.zeros(rows), "turn": -side, "chance": chance, "both": np.where(side != 0, -side, chance)}[self.exit].astype(np.int8),
            entry=kinds.astype(np.int8),
            entry_price=np.where((wish != 0) & (kinds != 0), entry, np.nan),
            expiry_bars=self.expiry,
            stop=level(self.stop_ranges, -1),
            target=level(self.target_ranges, 1),
            trail_distance=np.where(reach > 0, self.trail_ranges * reach, np.nan) if self.trail_ranges > 0 else np.nan,
            size_fraction=rng.choice([1.0, 0.5, 0.1, 0.0], rows) if self.fractions else 1.0,
        )

    def _side(self, high: Any, low: Any, close: Any, rng: np.random.Generator) -> Any:
        if self.signal == "chance":
            return np.where(rng.random(len(close)) < self.share, rng.choice([-1, 1], len(close)), 0)
        if self.signal == "cross":
            above = sma(close, self.length) - sma(close, 3 * self.length)
            before = np.append(np.nan, above[:-1])
            return np.where((above > 0) & (before <= 0), 1, np.where((above < 0) & (before >= 0), -1, 0))
        if self.signal == "channel":
            top, bottom = (np.append(np.nan, of(values, self.length)[:-1]) for of, values in ((highest, high), (lowest, low)))
            return np.where(close > top, 1, np.where(close < bottom, -1, 0))
        strength = rsi(close, self.length)
        return np.where(strength < 30, 1, np.where(strength > 70, -1, 0))


@dataclass(frozen=True)
class RuledWorld:
    """A whole run of a random rule on a random market."""

    walk: Walk
    rule: Rule
    account: AccountSpec
    sizing: Sizing
    limits: Limits
    commission: float
    manage: tuple[float, ...] | None

    @property
    def instrument(self) -> Instrument:
        return instrument("EURUSD")


@st.composite
def ruled(draw: Any, min_rows: int, max_rows: int) -> RuledWorld:
    """Random rules on random markets; hypothesis shrinks towards short calm markets and plain market orders."""
    ranges = st.sampled_from((0.0, 1.0, 2.0, 0.3, 5.0))
    balance, leverage = draw(st.sampled_from(((100_000.0, 30.0), (10_000.0, 500.0), (100_000.0, 1.0), (1_000.0, 500.0), (50.0, 30.0))))
    account = AccountSpec("USD", balance, leverage, draw(st.sampled_from(("hedging", "netting"))))
    places = draw(st.integers(1, 4))
    # A share of what the margin carries: a little, a lot, and more than can be held twice.
    lots = max(0.01, round(balance * leverage / 110_000 * draw(st.sampled_from((0.1, 0.02, 0.33, 0.5, 0.97, 1.0))), 2))
    risk = draw(st.sampled_from((0.01, 0.1, 0.5)))
    sizing = Sizing(mode=draw(st.sampled_from(("fixed", "fixed", "risk"))), fixed_lots=lots, risk_fraction=risk, max_positions=places)
    world = st.builds(
        RuledWorld,
        walk=st.builds(
            Walk,
            seed=st.integers(0, 10_000),
            rows=st.integers(min_rows, max_rows),
            step=st.sampled_from((10, 2, 60, 400)),
            gaps=st.sampled_from((0.0, 0.02, 0.3)),
            still=st.sampled_from((0.0, 0.05, 0.5)),
            spikes=st.sampled_from((0.0, 0.02)),
        ),
        rule=st.builds(
            Rule,
            signal=st.sampled_from(("chance", "cross", "channel", "strength")),
            length=st.integers(2, 12),
            share=st.sampled_from((0.1, 0.5, 1.0)),
            kind=st.sampled_from((0, 1, 2, 3)),
            entry_ranges=st.sampled_from((0.5, 0.1, 2.0, 0.0)),
            stop_ranges=ranges,
            target_ranges=ranges,
            trail_ranges=st.sampled_from((0.0, 0.0, 1.0, 3.0)),
            expiry=st.sampled_from((0, 1, 3, 20)),
            exit=st.sampled_from(("turn", "none", "chance", "both")),
            fractions=st.booleans(),
        ),
        account=st.just(account),
        sizing=st.just(sizing),
        limits=st.builds(Limits, max_risk_fraction=st.sampled_from((1.0, 1.0, 1.0, 0.02))),
        commission=st.sampled_from((0.0, 0.0, 3.5, 50.0)),
        manage=st.one_of(st.none(), st.tuples(st.sampled_from((0.0, 1.0)), *[st.integers(0, 4).map(float)] * 3)),
    )
    drawn: RuledWorld = draw(world)
    return drawn
