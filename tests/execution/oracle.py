"""The compiled step and the naive account side by side on one world."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
from managers import busy
from naive_mt5 import NaiveAccount, Row, Wanted, points_of, run_naive
from worlds import World

from components.execution import FinerRows, MarketArrays, StepResult, decision_arrays, finer_rows, market_of_bars, market_of_ticks, run_step
from components.fx import EventKind, ExitKind, OrderKind, Refusal, Timeframe, to_ms
from components.fx import book as b


def compare_with_oracle(world: World, *, as_ticks: bool = False, with_finer: bool = False) -> StepResult:
    """Assert that the step under `mt5` does what the naive account does, event by event, with the same equity and ambiguous rows."""
    frame, decisions = world.frame(), world.decisions()
    rate = 1.0 if world.rates is None else np.array(world.rates)
    market = market_of_bars(frame, world.instrument, world.costs, rate)
    if world.slips is not None:
        market = market._replace(slip=np.array(world.slips, dtype=float).reshape(-1, 1) * world.instrument.point)
    decided = list(range(len(frame)))
    if as_ticks:
        market, decided = _as_ticks(world, market)
    finer = _finer(world, market) if with_finer else None
    manage = None if world.manage is None or as_ticks else busy
    step = run_step(
        market,
        decision_arrays(decisions, len(frame)),
        [world.instrument],
        world.account,
        costs=world.costs,
        sizing=world.sizing,
        limits=world.limits,
        resolution=world.resolution,
        manage=manage,
        params=None if manage is None else np.array(world.manage),
        finer=finer,
    )
    point = world.instrument.point
    prices = [np.round(getattr(market, name)[:, 0] / point).astype(int).tolist() for name in ("open", "high", "low", "close")]
    spreads = np.round(np.broadcast_to(market.spread, market.open.shape)[:, 0] / point).astype(int).tolist()
    rates = np.broadcast_to(market.rate, market.open.shape)[:, 0].tolist()
    slip = np.full((1, 1), world.costs.slippage_points * point) if market.slip.size == 0 else market.slip
    slips = np.round(np.broadcast_to(slip, market.open.shape)[:, 0] / point).astype(int).tolist()
    days = [date(1970, 1, 1) + timedelta(days=int(day)) for day in market.day_id]
    rows = [Row(*values) for values in zip(*prices, spreads, rates, slips, days, strict=True)]
    parts = None
    if finer is not None:
        bids = [np.round(getattr(finer.market, name)[:, 0] / point).astype(int).tolist() for name in ("open", "high", "low", "close")]
        whole = list(zip(*bids, strict=True))
        parts = [
            [replace(row, open=o, high=h, low=low, close=c) for o, h, low, c in whole[i:k]]
            for row, i, k in zip(rows, finer.first[:-1], finer.first[1:], strict=True)
        ]
        assert all(parts)
    columns = (
        points_of(np.broadcast_to(getattr(decisions, name), len(frame)), point)
        for name in ("entry_price", "stop", "target", "stop_distance", "target_distance", "trail_distance")
    )
    wanted = [
        Wanted(wish.side, wish.exit, OrderKind(wish.kind).name.lower(), *levels, wish.expiry, wish.size)
        for wish, levels in zip(world.wishes, zip(*columns, strict=True), strict=True)
    ]
    naive = NaiveAccount(
        world.account, world.instrument, world.costs, world.sizing, world.limits, world.resolution == "favour", world.manage if manage else None
    )
    curve = run_naive(rows, decided, wanted, naive, parts)
    ours = [_plain(event, point) for event in step.events if event[b.E_KIND] in (EventKind.OPENED, EventKind.CLOSED) or _is_known_refusal(event)]
    text = "\nstep:\n" + "\n".join(map(str, ours)) + "\nnaive:\n" + "\n".join(map(str, naive.events))
    assert len(ours) == len(naive.events), text
    for mine, theirs in zip(ours, naive.events, strict=True):
        for a, c in zip(mine, theirs, strict=True):
            if isinstance(a, float):
                assert abs(a - float(c)) < 1e-6, f"{mine} is not {theirs}{text}"  # type: ignore[arg-type]
            else:
                assert a == c, f"{mine} is not {theirs}{text}"
    np.testing.assert_allclose(step.equity, curve, rtol=1e-9, atol=1e-6, err_msg=text)
    assert step.ambiguous_rows == naive.ambiguous_rows, text
    assert step.ambiguous_left == (naive.left_rows if finer is not None else naive.ambiguous_rows), text
    return step


def _is_known_refusal(event: np.ndarray) -> bool:
    return bool(event[b.E_KIND] == EventKind.REFUSED and event[b.E_LEVEL] != Refusal.UNKNOWN_TICKET)


def _plain(event: np.ndarray, point: float) -> tuple[object, ...]:
    """row, kind, side, lots, price in points, profit, cost, why, ambiguous, swap: as the naive account notes them."""
    kind = EventKind(int(event[b.E_KIND]))
    why = ""
    if kind == EventKind.CLOSED:
        why = ExitKind(int(event[b.E_EXIT])).name.lower()
    elif kind == EventKind.REFUSED:
        why = Refusal(int(event[b.E_LEVEL])).name.lower()
    if kind == EventKind.REFUSED:
        return int(event[b.E_ROW]), "refused", int(event[b.E_SIDE]), why
    return (
        int(event[b.E_ROW]), kind.name.lower(), int(event[b.E_SIDE]), float(event[b.E_LOTS]), float(event[b.E_PRICE] / point), float(event[b.E_PROFIT]),
        float(event[b.E_COST]), why, bool(event[b.E_AMBIGUOUS]), float(event[b.E_SWAP]),
    )  # fmt: skip


def _as_ticks(world: World, market: MarketArrays) -> tuple[MarketArrays, list[int]]:
    """Each bar as four ticks, in the order open, low, high, close or open, high, low, close by turns; decisions known after the last."""
    bids, asks, decided, times, rates, slips = [], [], [], [], [], []
    for t, time in enumerate(world.frame().index):
        o, h, low, c = (float(getattr(market, name)[t, 0]) for name in ("open", "high", "low", "close"))
        spread = float(market.spread[t if len(market.spread) > 1 else 0, 0])
        for i, price in enumerate((o, low, h, c) if t % 2 else (o, h, low, c)):
            bids.append(price)
            asks.append(round(price + spread, world.instrument.digits))
            decided.append(t if i == 3 else -1)
            times.append(to_ms(time) + i * 60_000)
            rates.append(1.0 if world.rates is None else world.rates[t])
            slips.append(market.slip[t if len(market.slip) > 1 else 0, 0])
    ticks = market_of_ticks(np.array(times), np.array(bids), np.array(asks), np.array(decided, dtype=np.int64), np.array(rates))
    return ticks._replace(slip=np.array(slips).reshape(-1, 1)), decided


def _finer(world: World, market: MarketArrays) -> FinerRows:
    """The way through each bar: by turns the bar itself, which decides nothing, and its four prices in either order."""
    frame = world.frame()
    times, rows = [], []
    for t, time in enumerate(frame.index):
        o, h, low, c = (float(getattr(market, name)[t, 0]) for name in ("open", "high", "low", "close"))
        path = [(o, h, low, c)] if t % 3 == 0 else [(price,) * 4 for price in ((o, low, h, c) if t % 3 == 1 else (o, h, low, c))]
        times += [time + pd.Timedelta(minutes=i) for i in range(len(path))]
        rows += path
    finer_bars = pd.DataFrame(rows, columns=["open", "high", "low", "close"], index=pd.DatetimeIndex(times).as_unit("ms"))
    made = finer_rows(market, frame, Timeframe.H1, finer_bars, Timeframe.M1, world.instrument)
    assert (made.covered, made.missing, made.differing) == (len(frame), 0, 0)
    return made.rows
