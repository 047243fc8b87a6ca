"""Ambiguous bars that a shorter timeframe decides."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small import EURUSD, FLAT, FREE, bars_at, closed, hours, run

from components.execution import Costs, Finer, finer_rows, market_of_bars
from components.fx import AccountSpec, BadInput, ExitKind, Timeframe
from components.fx import book as b

Ohlc = tuple[float, float, float, float]
BOTH = (1.1000, 1.1060, 1.0940, 1.1000)
UP_FIRST: list[Ohlc] = [(1.1000, 1.1060, 1.1000, 1.1050), (1.1050, 1.1050, 1.0940, 1.0950), (1.0950, 1.1000, 1.0950, 1.1000)]
DOWN_FIRST: list[Ohlc] = [(1.1000, 1.1000, 1.0940, 1.0950), (1.0950, 1.1060, 1.0950, 1.1050), (1.1050, 1.1050, 1.1000, 1.1000)]
UNCLEAR: list[Ohlc] = [(1.1000, 1.1060, 1.0940, 1.1000)]
LEVELS = {"side": {0: 1}, "stop": {0: 1.0950}, "target": {0: 1.1050}}


def below(rows: list[Ohlc], inside: list[Ohlc], costs: Costs = FREE, spread: float | None = None) -> tuple[pd.DataFrame, Finer]:
    """Hourly bars whose third is `inside` in minutes; the other hours have one minute each, equal to them."""
    bars = bars_at(hours(len(rows)), rows)
    times, minutes = [], []
    for t, open_time in enumerate(bars.index):
        for i, row in enumerate(inside if t == 2 else [rows[t]]):
            times.append(open_time + pd.Timedelta(minutes=7 * i))
            minutes.append(row)
    finer_bars = bars_at(pd.DatetimeIndex(times), minutes)
    if spread is not None:
        finer_bars = finer_bars.assign(spread_points=spread)
    market = market_of_bars(bars, EURUSD, costs)
    return bars, finer_rows(market, bars, Timeframe.H1, finer_bars, Timeframe.M1, EURUSD)


@pytest.mark.parametrize(("inside", "exit_kind"), [(UP_FIRST, ExitKind.TARGET), (DOWN_FIRST, ExitKind.STOP)])
def test_the_minutes_say_whether_stop_or_target_came_first(inside: list[Ohlc], exit_kind: ExitKind) -> None:
    bars, finer = below([FLAT, FLAT, BOTH, FLAT], inside)
    step = run(bars, finer=finer.rows, **LEVELS)
    (row,) = closed(step)
    assert (row[b.E_EXIT], row[b.E_ROW], row[b.E_ENTRY_ROW], row[b.E_AMBIGUOUS]) == (exit_kind, 2, 1, 0.0)
    assert (step.ambiguous_rows, step.ambiguous_left, step.unresolved_rows) == (1, 0, 0)
    without = run(bars, **LEVELS)
    assert (closed(without)[0, b.E_EXIT], without.ambiguous_rows, without.ambiguous_left) == (ExitKind.STOP, 1, 1)


def test_what_stays_unclear_inside_a_minute_goes_against_the_trader_and_is_counted() -> None:
    bars, finer = below([FLAT, FLAT, BOTH, FLAT], UNCLEAR)
    step = run(bars, finer=finer.rows, **LEVELS)
    assert closed(step)[0, b.E_EXIT] == ExitKind.STOP
    assert (step.ambiguous_rows, step.ambiguous_left, step.unresolved_rows) == (1, 1, 0)
    assert closed(run(bars, finer=finer.rows, resolution="favour", **LEVELS))[0, b.E_EXIT] == ExitKind.TARGET


def test_minutes_that_do_not_add_up_to_their_hour_are_not_asked() -> None:
    bars, finer = below([FLAT, FLAT, BOTH, FLAT], UP_FIRST[:1] + UP_FIRST[2:])
    assert (finer.covered, finer.missing, finer.differing) == (3, 0, 1)
    step = run(bars, finer=finer.rows, **LEVELS)
    assert (closed(step)[0, b.E_EXIT], step.ambiguous_left, step.unresolved_rows) == (ExitKind.STOP, 1, 1)


def test_hours_without_minutes_are_counted_and_stay_as_they_are() -> None:
    bars, finer = below([FLAT, FLAT, BOTH, FLAT], [])
    assert (finer.covered, finer.missing, finer.differing) == (3, 1, 0)
    assert run(bars, finer=finer.rows, **LEVELS).unresolved_rows == 1


def test_an_entry_inside_an_unclear_hour_is_redone_as_well_and_its_row_is_the_hours() -> None:
    rows = [FLAT, FLAT, (1.1000, 1.1030, 1.0940, 1.1010), FLAT, FLAT]
    # The low came before the entry at 1.1020, so the stop at 1.0950 was never in question.
    inside: list[Ohlc] = [(1.1000, 1.1000, 1.0940, 1.1000), (1.1000, 1.1030, 1.1000, 1.1010)]
    bars, finer = below(rows, inside)
    wish = {"side": {1: 1}, "entry": {1: 1}, "entry_price": {1: 1.1020}, "stop": {1: 1.0950}, "exit": {3: 1}}
    step = run(bars, finer=finer.rows, **wish)
    (row,) = closed(step)
    assert (row[b.E_EXIT], row[b.E_ENTRY_ROW], row[b.E_ROW]) == (ExitKind.SIGNAL, 2, 4)
    assert (step.ambiguous_rows, step.ambiguous_left) == (1, 0)
    assert closed(run(bars, **wish))[0, b.E_EXIT] == ExitKind.STOP


def test_the_row_is_taken_back_whole_before_it_is_redone() -> None:
    bars, finer = below([FLAT, FLAT, BOTH, FLAT], UP_FIRST)
    costs = Costs(spread_points=0, commission_per_lot=10)
    step = run(bars, finer=finer.rows, costs=costs, **LEVELS)
    assert len(closed(step)) == 1
    # 50 pips of target less commission at entry and exit, each 1 USD: nothing of the first answer is left in the balance.
    assert step.equity[-1] == pytest.approx(10_000 + 50 - 2)
    assert step.book.account[b.A_BALANCE] == pytest.approx(10_048)


def test_a_margin_call_inside_an_hour_happens_at_the_minute_that_crossed_the_level() -> None:
    account = AccountSpec(balance=200.0, leverage=100.0)
    rows = [FLAT, FLAT, (1.1, 1.1, 1.0800, 1.1), FLAT]
    inside: list[Ohlc] = [(1.1, 1.1, 1.0860, 1.0860), (1.0860, 1.0860, 1.0850, 1.0850), (1.0850, 1.1, 1.0800, 1.1)]
    bars, finer = below(rows, inside)
    assert closed(run(bars, account=account, side={0: 1}))[0, b.E_PRICE] == 1.0800
    step = run(bars, account=account, side={0: 1}, finer=finer.rows)
    assert closed(step)[0, b.E_PRICE] == 1.0850
    assert (step.ambiguous_rows, step.ambiguous_left) == (1, 0), "the close of that minute shows the same equity as its low"


def test_the_minutes_have_their_own_spread_and_the_hours_slippage() -> None:
    costs = Costs(spread_points=10, slippage_points=4)
    bars, finer = below([FLAT, FLAT, BOTH, FLAT], DOWN_FIRST, costs, spread=30.0)
    market = finer.rows.market
    assert market.spread[:, 0].tolist() == pytest.approx([30 * EURUSD.point] * 6)
    assert market.slip[:, 0].tolist() == pytest.approx([4 * EURUSD.point] * 6)
    step = run(bars, costs=costs, finer=finer.rows, **LEVELS)
    assert closed(step)[0, b.E_PRICE] == 1.09496


def test_a_part_of_the_rows_takes_its_part_of_the_finer_rows() -> None:
    bars, finer = below([FLAT, FLAT, BOTH, FLAT], UP_FIRST)
    part = finer.rows.part(1, 4)
    assert part.first.tolist() == [1, 2, 5, 6]
    step = run(bars.iloc[1:], finer=part, side={0: 1}, stop={0: 1.0950}, target={0: 1.1050})
    assert closed(step)[0, b.E_EXIT] == ExitKind.TARGET


def test_what_is_not_finer_or_not_made_for_these_rows_is_refused() -> None:
    bars, finer = below([FLAT, FLAT, BOTH, FLAT], UP_FIRST)
    with pytest.raises(BadInput, match="H1 is not shorter than H1"):
        finer_rows(market_of_bars(bars, EURUSD, FREE), bars, Timeframe.H1, bars, Timeframe.H1, EURUSD)
    with pytest.raises(BadInput, match="made for 4 rows"):
        run(bars.iloc[1:], finer=finer.rows)
    assert finer.facts == {"timeframe": "M1", "covered": 4, "missing": 0, "differing": 0}
    assert np.all(np.diff(finer.rows.first) >= 0)
