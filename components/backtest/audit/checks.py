"""The other checks of an audit: warm-up, repeatability, fills, and what a model was asked about."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.backtest.audit.asked import Asked, Column, Columns
from components.backtest.audit.lag import as_rows
from components.backtest.audit.report import AuditLeak, WarmUp
from components.backtest.findings import Finding
from components.backtest.run import Runner
from components.execution import DecisionArrays
from components.fx import Timeframe, bar_close_ms
from components.strategy import Params

TOLERANCE = 1e-9
"""Relative difference up to which two numbers after a warm-up are the same: smoothings never forget their start entirely."""
STARTS = 6
ROUNDED_POINTS = 0.51
"""What rounding a price to the instrument's digits moves it by at most, in points, and the noise of that."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Tell = Callable[[float, str], None]


def check_repeats(asked: Asked, bars: pd.DataFrame) -> list[Finding]:
    """Whether the strategy answers the same twice, other bars in between, and leaves its bars alone."""
    given = bars.copy()
    context = asked.context(bars)
    answers = None if context.probabilities is None else context.probabilities.copy()
    asked.strategy.decide(given, context, asked.params)
    found = []
    if not (given.equals(bars) and given.index.equals(bars.index)) or (
        answers is not None and context.probabilities is not None and not answers.equals(context.probabilities)
    ):
        found.append(
            Finding(
                "modifies_input",
                "Changes its bars",
                "fatal",
                f"{asked.strategy.name} changed the bars or probabilities that it was given; fills would be made on other prices than the market's.",
                {},
                "Copy before changing: bars = bars.copy().",
            )
        )
    first = asked.columns(bars)
    asked.try_columns(bars.iloc[: max(len(bars) // 2, 2)])
    second = asked.columns(bars)
    moved = [name for name, values in first.items() if not _equal(values, second[name])]
    if moved:
        found.append(
            Finding(
                "not_repeatable",
                "Answers differ from call to call",
                "fatal",
                f"The same bars gave other decisions the second time, in {', '.join(moved)}; no backtest of this strategy can be repeated.",
                {"columns": moved},
                "Take out state that outlives a call and unseeded random numbers; everything must follow from the bars and the parameters.",
            )
        )
    return found


def check_warmup(asked: Asked, bars: pd.DataFrame, whole: Columns, seed: int, tell: Tell) -> WarmUp:
    """Begin history later and see from which bar on decisions are as before.

    Floats may differ by a relative 1e-9, everything else not at all.
    """
    stated = int(asked.strategy.warmup_bars(asked.params))
    last = len(bars) - stated - 2
    if last < 1:
        return WarmUp(stated, 0, ())
    starts = sorted({1, min(7, last), *np.random.default_rng([seed, 3]).integers(1, last + 1, STARTS - 2).tolist()})
    needed, column, row = 0, "", -1
    for number, start in enumerate(starts):
        tell(number / len(starts), f"history from bar {start:,} on")
        late = asked.try_columns(bars.iloc[start:])
        if isinstance(late, str):
            continue  # the search over futures says so
        for name, values in late.items():
            apart = np.flatnonzero(_apart(whole[name], values, start, len(bars)))
            if len(apart) == 0:
                continue
            needed = max(needed, int(apart[-1]) + 1)
            if apart[-1] >= stated and row < 0:
                column, row = name, int(apart[np.searchsorted(apart, stated)])
    return WarmUp(stated, needed, tuple(starts), column, row)


def judge_warmup(warmup: WarmUp) -> Finding | None:
    """A doubt where decisions beyond the stated warm-up depend on where history begins."""
    if warmup.row < 0:
        return None
    return Finding(
        "warmup_too_short",
        "The start shows beyond the warm-up",
        "doubt",
        f"Decisions still depend on where history begins {warmup.needed:,} bars after the start ({warmup.column}); the strategy states "
        f"{warmup.stated:,} bars of warm-up.",
        {"stated": warmup.stated, "needed": warmup.needed, "column": warmup.column, "row": warmup.row, "starts": list(warmup.starts)},
        "State a longer warm-up, or use windows instead of sums and smoothings that never forget; live trading begins at another bar than the test.",
    )


def check_fills(runner: Runner, params: Params, decisions: DecisionArrays, trades: pd.DataFrame) -> list[Finding]:
    """Whether every trade entered after its decision, at prices that its bars had, and left at such prices too.

    Entries that `manage` may have asked for are not traced back to a decision. Buys are made on ask, sales on bid; slippage widens the range,
    and half a point is left for rounding.
    """
    if trades.empty:
        return []
    found = []
    rows = len(runner.bars)
    entry, out = trades["entry_bar"].to_numpy(), trades["exit_bar"].to_numpy()
    side = trades["side"].to_numpy()
    manage, _ = runner.strategy.managing(params)
    if manage is None:
        wish, kind = as_rows(decisions.side, rows), as_rows(decisions.entry, rows)
        before = np.maximum(entry - 1, 0)
        market = (entry > 0) & (kind[before] == 0) & (wish[before] == side)
        waiting = np.zeros(len(trades), dtype=bool)
        for direction in (-1, 1):
            asked = np.flatnonzero((wish == direction) & (kind != 0))
            waiting |= (side == direction) & (np.searchsorted(asked, entry) > 0)
        early = np.flatnonzero(~(market | waiting))
        if len(early):
            found.append(
                Finding(
                    "fill_before_decision",
                    "Entered without a decision before it",
                    "fatal",
                    f"{len(early)} of {len(trades)} trades entered in a bar before which no decision asked for them, first in bar {entry[early[0]]}.",
                    {"trades": len(early), "first_entry_bar": int(entry[early[0]])},
                    "This is a fault of the step, not of the strategy; please report it with the run.",
                )
            )
    outside = ~_within(runner, entry, trades["entry_price"].to_numpy(), side) | ~_within(runner, out, trades["exit_price"].to_numpy(), -side)
    if outside.any():
        first = int(np.argmax(outside))
        found.append(
            Finding(
                "fill_outside_bar",
                "Filled at a price that was not there",
                "fatal",
                f"{int(outside.sum())} of {len(trades)} trades were filled outside their bar's range, the first is trade {first}.",
                {"trades": int(outside.sum()), "first_trade": first},
                "This is a fault of the step, not of the strategy; please report it with the run.",
            )
        )
    return found


def check_in_sample(probabilities: pd.DataFrame, timeframe: Timeframe, trained_until_ms: int) -> AuditLeak | None:
    """A leak where a model answered about bars that closed at or before the end of its training."""
    open_ms = pd.DatetimeIndex(probabilities.index).as_unit("ms").asi8
    seen = bar_close_ms(open_ms, timeframe) <= trained_until_ms
    answered = probabilities["p_up"].notna().to_numpy() & seen
    if not answered.any():
        return None
    row = int(np.argmax(answered))
    cut = int(np.flatnonzero(seen)[-1])
    return AuditLeak("probabilities.p_up", "components.models.probabilities", "", "", "in_sample", row, cut)


def _within(runner: Runner, rows: Ints, prices: Floats, side: Ints) -> NDArray[np.bool_]:
    """Whether each price lay in the range of its bar, on ask where `side` buys."""
    market, point = runner.market, runner.instrument.point
    is_reference = runner.policy == "reference"
    shift = np.where((side > 0) & (not is_reference), _at(market.spread, rows), 0.0)
    slip = _at(market.slip, rows) if market.slip.size else runner.costs.slippage_points * point
    room = ROUNDED_POINTS * point + (0.0 if is_reference else slip)
    return np.asarray((prices >= market.low[rows, 0] + shift - room) & (prices <= market.high[rows, 0] + shift + room))


def _at(column: Floats, rows: Ints) -> Floats:
    return np.broadcast_to(column[:, 0], len(rows)) if len(column) == 1 else column[rows, 0]


def _equal(first: Column, second: Column) -> bool:
    return bool(np.array_equal(first, second, equal_nan=first.dtype.kind == "f" and second.dtype.kind == "f"))


def _apart(whole: Column, late: Column, start: int, rows: int) -> NDArray[np.bool_]:
    old, new = np.broadcast_to(whole, rows)[start:], np.broadcast_to(late, rows - start)
    if old.dtype.kind == "f" or new.dtype.kind == "f":
        return np.asarray(~np.isclose(new.astype(np.float64), old.astype(np.float64), rtol=TOLERANCE, atol=0.0, equal_nan=True))
    return np.asarray(old != new)
