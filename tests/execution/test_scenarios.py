"""The `mt5` policy in scenarios small enough to compute by hand. 0.1 lots of EURUSD are 10,000 units: a pip is 1 USD, a point 0.1 USD."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from managers import busy, eager

from components.execution import Costs, DecisionArrays, MarketArrays, StepResult, decision_arrays, market_of_bars, run_step
from components.features import atr
from components.fx import AccountSpec, BadInput, EventKind, ExitKind, Refusal, instrument, validate_bars
from components.fx import book as b
from components.risk import Limits, Sizing
from components.strategy import Context, Decisions, catalogue, strategy

EURUSD = instrument("EURUSD")
FLAT = (1.1, 1.1, 1.1, 1.1)
NONE = np.nan


def bars_of(rows: list[tuple[float, float, float, float]]) -> pd.DataFrame:
    """Hourly bars from (open, high, low, close)."""
    index = pd.date_range("2024-03-04", periods=len(rows), freq="h", tz="UTC")
    return validate_bars(pd.DataFrame(rows, columns=["open", "high", "low", "close"], index=index))


def wishes(rows: int, **columns: dict[int, Any]) -> Decisions:
    """Decisions that wish nothing but what is named: column={row: value}."""
    empty: dict[str, Any] = {"side": 0, "exit": 0, "entry": 0, "expiry_bars": 0, "size_fraction": 1.0}
    arrays = {}
    for name, values in {"side": {}, **columns}.items():
        array = np.full(rows, empty.get(name, np.nan))
        for row, value in values.items():
            array[row] = value
        arrays[name] = array
    return Decisions(**arrays)


def run(rows: list[tuple[float, float, float, float]], spread_points: float = 10.0, **columns: Any) -> StepResult:
    """0.1 lots on a 10,000 USD account with a spread of one pip, unless named otherwise."""
    options = {
        name: columns.pop(name) for name in ("account", "costs", "sizing", "limits", "resolution", "manage", "params", "rate") if name in columns
    }
    costs = options.pop("costs", Costs(spread_points=spread_points))
    bars = bars_of(rows)
    return run_step(
        market_of_bars(bars, EURUSD, costs, options.pop("rate", 1.0)),
        decision_arrays(wishes(len(rows), **columns), len(rows)),
        [EURUSD],
        options.pop("account", AccountSpec()),
        costs=costs,
        sizing=options.pop("sizing", Sizing(mode="fixed", fixed_lots=0.1)),
        limits=options.pop("limits", Limits(max_risk_fraction=1.0)),
        **options,
    )


def events(step: StepResult, kind: EventKind) -> np.ndarray:
    return step.events[step.events[:, b.E_KIND] == kind]


def only_close(step: StepResult) -> np.ndarray:
    (row,) = events(step, EventKind.CLOSED)
    return row


def test_a_buy_fills_on_ask_and_leaves_on_bid() -> None:
    step = run([FLAT, (1.1010, 1.1020, 1.1000, 1.1015), (1.1030, 1.1030, 1.1030, 1.1030)], side={0: 1}, exit={1: 1})
    row = only_close(step)
    assert row[b.E_ENTRY_PRICE] == 1.1011
    assert row[b.E_PRICE] == 1.1030
    assert row[b.E_PROFIT] == pytest.approx(19.0)
    assert step.equity.tolist() == pytest.approx([10_000.0, 10_004.0, 10_019.0])


def test_a_sell_fills_on_bid_and_leaves_on_ask() -> None:
    step = run([FLAT, (1.1010, 1.1020, 1.1000, 1.1005), (1.0990, 1.0990, 1.0990, 1.0990)], side={0: -1}, exit={1: -1})
    row = only_close(step)
    assert row[b.E_ENTRY_PRICE] == 1.1010
    assert row[b.E_PRICE] == 1.0991
    assert row[b.E_PROFIT] == pytest.approx(19.0)
    assert step.equity[1] == pytest.approx(10_004.0), "an open short is worth what it costs to buy back: 1.1006"


def test_a_shorts_stop_is_hit_by_the_ask_alone() -> None:
    step = run([FLAT, FLAT, (1.1000, 1.1019, 1.0990, 1.1000)], side={0: -1}, stop={0: 1.1020})
    row = only_close(step)
    assert (row[b.E_EXIT], row[b.E_PRICE], row[b.E_ROW]) == (ExitKind.STOP, 1.1020, 2)


def test_a_shorts_target_waits_for_the_ask() -> None:
    reached_by_bid = [FLAT, FLAT, (1.1000, 1.1000, 1.0980, 1.0990)]
    assert len(events(run(reached_by_bid, side={0: -1}, target={0: 1.0980}), EventKind.CLOSED)) == 0
    reached_by_ask = [FLAT, FLAT, (1.1000, 1.1000, 1.0979, 1.0990)]
    assert only_close(run(reached_by_ask, side={0: -1}, target={0: 1.0980}))[b.E_PRICE] == 1.0980


def test_a_high_that_just_reaches_the_level_reaches_it_whatever_floating_point_says() -> None:
    touched = 0
    for points in range(200):
        level = round(1.1 + points * 1e-5, 5)
        bid_high = round(level - 1e-4, 5)
        step = run([FLAT, (1.0990, max(bid_high, 1.0990), 1.0990, 1.0990)], side={0: 1}, entry={0: 1}, entry_price={0: level})
        touched += len(events(step, EventKind.OPENED))
    assert touched == 200


def test_a_gap_beyond_the_stop_fills_at_the_open() -> None:
    step = run([FLAT, FLAT, (1.0900, 1.0910, 1.0890, 1.0900)], side={0: 1}, stop={0: 1.0950})
    row = only_close(step)
    assert (row[b.E_EXIT], row[b.E_PRICE], row[b.E_LEVEL]) == (ExitKind.STOP, 1.0900, 1.0950)
    assert row[b.E_PROFIT] == pytest.approx(-101.0)
    assert step.ambiguous_rows == 0


def test_a_gap_beyond_the_target_fills_at_the_better_open() -> None:
    row = only_close(run([FLAT, FLAT, (1.1100, 1.1110, 1.1090, 1.1100)], side={0: 1}, target={0: 1.1050}))
    assert (row[b.E_EXIT], row[b.E_PRICE], row[b.E_LEVEL]) == (ExitKind.TARGET, 1.1100, 1.1050)


def test_a_next_open_that_gaps_past_the_stop_enters_and_leaves_at_that_open() -> None:
    row = only_close(run([FLAT, (1.0900, 1.0910, 1.0890, 1.0900)], side={0: 1}, stop={0: 1.0950}))
    assert (row[b.E_ENTRY_ROW], row[b.E_ROW]) == (1, 1)
    assert (row[b.E_ENTRY_PRICE], row[b.E_PRICE], row[b.E_EXIT]) == (1.0901, 1.0900, ExitKind.STOP)


def test_stop_and_target_in_one_bar_go_against_the_trader_are_counted_and_both_profits_are_known() -> None:
    bars = [FLAT, FLAT, (1.1000, 1.1060, 1.0940, 1.1000)]
    against = run(bars, side={0: 1}, stop={0: 1.0950}, target={0: 1.1050})
    favour = run(bars, side={0: 1}, stop={0: 1.0950}, target={0: 1.1050}, resolution="favour")
    assert against.ambiguous_rows == favour.ambiguous_rows == 1
    assert (only_close(against)[b.E_EXIT], only_close(against)[b.E_AMBIGUOUS]) == (ExitKind.STOP, 1.0)
    assert only_close(favour)[b.E_EXIT] == ExitKind.TARGET
    assert against.equity[-1] == pytest.approx(10_000 - 51.0)
    assert favour.equity[-1] == pytest.approx(10_000 + 49.0)


def test_a_stop_on_the_entrys_own_bar_is_hit() -> None:
    row = only_close(run([FLAT, (1.1000, 1.1010, 1.0940, 1.1000)], side={0: 1}, stop={0: 1.0950}))
    assert (row[b.E_ENTRY_ROW], row[b.E_ROW], row[b.E_PRICE]) == (1, 1, 1.0950)


def test_a_stop_entry_whose_bar_also_saw_its_stop_is_taken_as_stopped_and_counts_as_ambiguous() -> None:
    bars = [FLAT, (1.1000, 1.1030, 1.0940, 1.1010)]
    step = run(bars, side={0: 1}, entry={0: 1}, entry_price={0: 1.1020}, stop={0: 1.0950})
    assert (only_close(step)[b.E_EXIT], step.ambiguous_rows) == (ExitKind.STOP, 1)
    better = run(bars, side={0: 1}, entry={0: 1}, entry_price={0: 1.1020}, stop={0: 1.0950}, resolution="favour")
    assert (len(events(better, EventKind.CLOSED)), better.ambiguous_rows) == (0, 1)


def test_a_stop_entrys_target_beyond_it_is_proven_by_the_high() -> None:
    step = run([FLAT, (1.1000, 1.1050, 1.0990, 1.1010)], side={0: 1}, entry={0: 1}, entry_price={0: 1.1020}, target={0: 1.1040})
    assert (only_close(step)[b.E_EXIT], step.ambiguous_rows) == (ExitKind.TARGET, 0)


def test_a_limit_entrys_target_is_not_proven_by_a_high_that_may_have_come_before_it() -> None:
    bars = [FLAT, (1.1000, 1.1050, 1.0960, 1.1000)]
    step = run(bars, side={0: 1}, entry={0: 2}, entry_price={0: 1.0980}, target={0: 1.1040})
    assert (len(events(step, EventKind.CLOSED)), step.ambiguous_rows) == (0, 1)


def test_a_stop_nearer_than_the_spread_is_passed_at_the_fill_and_costs_the_whole_spread() -> None:
    step = run([FLAT, (1.1000, 1.1050, 1.1000, 1.1040)], spread_points=200, side={0: 1}, entry={0: 1}, entry_price={0: 1.1030}, stop={0: 1.1020})
    row = only_close(step)
    assert (row[b.E_ENTRY_PRICE], row[b.E_PRICE]) == (1.1030, 1.1010)
    assert step.ambiguous_rows == 0


def test_stop_entries_gapped_over_fill_at_the_worse_open_and_limits_at_the_better_one() -> None:
    stop = run([FLAT, (1.1050, 1.1060, 1.1040, 1.1050)], side={0: 1}, entry={0: 1}, entry_price={0: 1.1020})
    assert events(stop, EventKind.OPENED)[0, b.E_PRICE] == 1.1051
    limit = run([FLAT, (1.0950, 1.0960, 1.0940, 1.0950)], side={0: 1}, entry={0: 2}, entry_price={0: 1.0980})
    assert events(limit, EventKind.OPENED)[0, b.E_PRICE] == pytest.approx(1.0951, abs=1e-12)


def test_slippage_is_taken_from_market_and_stop_fills_and_never_from_limits_and_targets() -> None:
    costs = Costs(spread_points=10, slippage_points=3)
    entry = run([FLAT, FLAT, (1.1000, 1.1060, 1.1000, 1.1050)], side={0: 1}, target={0: 1.1050}, costs=costs)
    assert only_close(entry)[b.E_ENTRY_PRICE] == 1.10013
    assert only_close(entry)[b.E_PRICE] == 1.1050
    stopped = run([FLAT, FLAT, (1.1000, 1.1000, 1.0940, 1.0950)], side={0: 1}, stop={0: 1.0950}, costs=costs)
    assert only_close(stopped)[b.E_PRICE] == 1.09497
    limit = run([FLAT, (1.1000, 1.1000, 1.0960, 1.0980)], side={0: 1}, entry={0: 2}, entry_price={0: 1.0980}, costs=costs)
    assert events(limit, EventKind.OPENED)[0, b.E_PRICE] == 1.0980


def test_commission_is_charged_at_entry_and_at_exit() -> None:
    costs = Costs(spread_points=0, commission_per_lot=3.5)
    step = run([FLAT, FLAT, FLAT, FLAT], side={0: 1}, exit={2: 1}, costs=costs)
    assert step.equity.tolist() == pytest.approx([10_000, 9_999.65, 9_999.65, 9_999.30])
    assert only_close(step)[b.E_COST] == pytest.approx(0.70)


def test_flat_hours_give_an_average_true_range_of_zero_and_no_strategy_crashes_or_trades_on_it() -> None:
    rows = 400
    bars = bars_of([FLAT] * rows)
    assert (atr(bars["high"].to_numpy(), bars["low"].to_numpy(), bars["close"].to_numpy(), 14)[20:] == 0).all()
    flat = pd.DataFrame({"p_down": 0.1, "p_flat": 0.1, "p_up": 0.8}, index=bars.index)
    for item in catalogue():
        decisions = item.decide(bars, Context(EURUSD, flat), item.parse(None))
        step = run_step(market_of_bars(bars, EURUSD, Costs()), decision_arrays(decisions, rows), [EURUSD], AccountSpec())
        assert (step.equity == 10_000).all(), item.name
        assert (np.asarray(decisions.side) == 0).all(), item.name


def test_a_signal_on_the_bar_whose_stop_was_hit_is_not_dropped() -> None:
    bars = [FLAT, FLAT, (1.1000, 1.1000, 1.0940, 1.0945), (1.0945, 1.0950, 1.0940, 1.0945)]
    step = run(bars, side={0: 1, 2: 1}, stop={0: 1.0950, 2: 1.0900})
    assert only_close(step)[b.E_ROW] == 2
    assert events(step, EventKind.OPENED)[:, b.E_ROW].tolist() == [1, 3]


def test_the_size_is_fixed_at_the_decision_and_not_at_the_fill() -> None:
    # At the decision the ask is 1.1001 and the stop 51 points below: 1 % of 10,000 is 100 USD, so 100 / (0.0051 × 100,000) = 0.196 lots.
    step = run([FLAT, (1.1040, 1.1040, 1.1040, 1.1040)], side={0: 1}, stop={0: 1.0950}, sizing=Sizing(risk_fraction=0.01))
    opened = events(step, EventKind.OPENED)[0]
    assert (opened[b.E_PRICE], opened[b.E_LOTS]) == (1.1041, 0.19)


def test_sizes_are_whole_lot_steps_rounded_down_and_never_above_the_risk() -> None:
    for fraction in (1.0, 0.77, 0.5, 0.31):
        step = run([FLAT, FLAT], side={0: 1}, stop={0: 1.0950}, sizing=Sizing(risk_fraction=0.01), size_fraction={0: fraction})
        lots = events(step, EventKind.OPENED)[0, b.E_LOTS]
        assert lots == round(lots, 2)
        assert 0.0051 * 100_000 * lots <= 100 * fraction < 0.0051 * 100_000 * (lots + 0.01)


def test_the_limit_on_risk_refuses_at_birth_and_says_why() -> None:
    step = run([FLAT, FLAT], side={0: 1}, stop={0: 1.0800}, limits=Limits(max_risk_fraction=0.02))
    (row,) = events(step, EventKind.REFUSED)
    assert (row[b.E_ROW], row[b.E_LEVEL]) == (0, Refusal.RISK_PER_TRADE), "0.1 lots lose 201 USD at the stop; 200 are allowed"
    assert len(events(step, EventKind.OPENED)) == 0
    assert len(events(run([FLAT, FLAT], side={0: 1}, stop={0: 1.0801}, limits=Limits(max_risk_fraction=0.02)), EventKind.OPENED)) == 1


def test_a_size_below_the_smallest_one_is_refused() -> None:
    step = run([FLAT, FLAT], side={0: 1}, stop={0: 1.0100}, sizing=Sizing(risk_fraction=0.005))
    assert events(step, EventKind.REFUSED)[0, b.E_LEVEL] == Refusal.SIZE_TOO_SMALL


@pytest.mark.parametrize(("side", "stop", "target"), [(1, 1.1001, NONE), (1, NONE, 1.1001), (-1, 1.1000, NONE), (-1, NONE, 1.1000)])
def test_a_stop_or_target_on_the_wrong_side_is_refused(side: int, stop: float, target: float) -> None:
    step = run([FLAT, FLAT], side={0: side}, stop={0: stop}, target={0: target})
    assert events(step, EventKind.REFUSED)[0, b.E_LEVEL] == Refusal.INVALID_STOPS


def test_a_position_that_free_margin_does_not_cover_is_refused_at_its_fill() -> None:
    # 0.1 lots at 1.1001 need 11,001 / 30 = 366.70.
    enough, short = AccountSpec(balance=366.71), AccountSpec(balance=366.69)
    assert len(events(run([FLAT, FLAT], side={0: 1}, account=enough, stop={0: 1.09}), EventKind.OPENED)) == 1
    (row,) = events(run([FLAT, FLAT], side={0: 1}, account=short, stop={0: 1.09}), EventKind.REFUSED)
    assert (row[b.E_ROW], row[b.E_LEVEL]) == (1, Refusal.NO_MARGIN)


@pytest.mark.parametrize(("touched_in", "fills"), [(1, True), (3, True), (4, False)])
def test_an_order_lives_for_its_bars_and_no_longer(touched_in: int, fills: bool) -> None:
    bars = [FLAT] * 6
    bars[touched_in] = (1.1, 1.1050, 1.1, 1.1)
    step = run(bars, side={0: 1}, entry={0: 1}, entry_price={0: 1.1030}, expiry_bars={0: 3})
    assert bool(len(events(step, EventKind.OPENED))) == fills
    cancelled = events(step, EventKind.CANCELLED)
    assert cancelled[:, b.E_ROW].tolist() == ([] if fills else [3])


def test_full_places_take_no_further_entry_until_one_is_free() -> None:
    bars = [FLAT] * 8
    step = run(bars, side=dict.fromkeys(range(5), 1), exit={5: 1}, sizing=Sizing(mode="fixed", fixed_lots=0.1, max_positions=3))
    assert events(step, EventKind.OPENED)[:, b.E_ROW].tolist() == [1, 2, 3]
    assert len(events(step, EventKind.REFUSED)) == 0, "a full book is no wish, not a refusal"
    again = run(bars, side={0: 1, 1: 1, 3: 1}, exit={2: 1}, sizing=Sizing(mode="fixed", fixed_lots=0.1))
    assert events(again, EventKind.OPENED)[:, b.E_ROW].tolist() == [1, 4]


def test_a_working_order_holds_a_place() -> None:
    step = run([FLAT] * 4, side={0: 1, 1: 1}, entry={0: 1}, entry_price={0: 1.2})
    assert len(events(step, EventKind.OPENED)) == 0


def test_a_reversal_closes_and_opens_at_the_same_open() -> None:
    step = run([FLAT] * 4, side={0: 1, 1: -1}, exit={1: 1})
    row = only_close(step)
    assert (row[b.E_EXIT], row[b.E_ROW]) == (ExitKind.REVERSAL, 2)
    assert events(step, EventKind.OPENED)[:, b.E_ROW].tolist() == [1, 2]


def test_part_of_a_position_is_closed_and_the_rest_goes_on() -> None:
    bars = [FLAT, FLAT, FLAT, (1.1011, 1.1011, 1.1011, 1.1011), FLAT]
    step = run(bars, side={0: 1}, manage=busy, params=np.array([0.0, 1.0, 0.0, 0.0]))
    row = only_close(step)
    assert (row[b.E_LOTS], row[b.E_PRICE], row[b.E_EXIT]) == (0.02, 1.1011, ExitKind.SIGNAL)
    assert row[b.E_PROFIT] == pytest.approx(0.02 * 100_000 * 0.0010)
    assert step.book.positions[0, 0, b.P_LOTS] == 0.08


def test_equity_on_a_euro_account_is_converted_for_eurusd_usdjpy_and_eurgbp() -> None:
    for symbol, rows, rate, profit in (
        # 10,000 units × 0.0050 = 50 USD at 1 / 1.25 EUR.
        ("EURUSD", [(1.25, 1.25, 1.25, 1.25), (1.25, 1.25, 1.25, 1.25), (1.255, 1.255, 1.255, 1.255)], 0.8, 40.0),
        # 10,000 units × 0.50 = 5,000 JPY at 1 / 160 EUR.
        ("USDJPY", [(150.0,) * 4, (150.0,) * 4, (150.5,) * 4], 1 / 160, 31.25),
        # 10,000 units × 0.0020 = 20 GBP at 1 / 0.8 EUR.
        ("EURGBP", [(0.8,) * 4, (0.8,) * 4, (0.802,) * 4], 1.25, 25.0),
    ):
        item, bars = instrument(symbol), bars_of(rows)
        costs = Costs(spread_points=0)
        step = run_step(
            market_of_bars(bars, item, costs, rate), decision_arrays(wishes(3, side={0: 1}), 3), [item], AccountSpec("EUR", 10_000.0), costs=costs,
            sizing=Sizing(mode="fixed", fixed_lots=0.1), limits=Limits(max_risk_fraction=1.0),
        )  # fmt: skip
        assert step.equity[-1] == pytest.approx(10_000 + profit), symbol


def _two_symbols(side_of_second: int) -> StepResult:
    first, second = (
        bars_of([FLAT, FLAT, (1.09, 1.09, 1.09, 1.09), (1.09, 1.09, 1.09, 1.09)]),
        bars_of([(150.0,) * 4, (150.0,) * 4, (150.0,) * 4, (150.0, 151.0, 150.0, 151.0)]),
    )
    pairs = [instrument("EURUSD"), instrument("USDJPY")]
    markets = [
        market_of_bars(bars, item, Costs(spread_points=0), rate) for bars, item, rate in zip((first, second), pairs, (1.0, 1 / 150), strict=True)
    ]
    joined = MarketArrays(
        *(np.hstack([getattr(market, name) for market in markets]) for name in ("open", "high", "low", "close", "spread", "rate")),
        markets[0].day_id, markets[0].decision_row,
    )  # fmt: skip
    decisions = [
        decision_arrays(wishes(4, side={0: 1}, stop={0: 1.05}), 4), decision_arrays(wishes(4, side={2: side_of_second}, stop={2: 150 - side_of_second * 1.5}), 4),
    ]  # fmt: skip
    both = DecisionArrays(*(np.hstack([np.broadcast_to(getattr(d, name), (4, 1)) for d in decisions]) for name in DecisionArrays._fields))
    return run_step(joined, both, pairs, AccountSpec(), costs=Costs(spread_points=0), sizing=Sizing(risk_fraction=0.02), limits=Limits())


def test_the_symbols_of_one_account_share_its_equity() -> None:
    step = _two_symbols(1)
    opened = events(step, EventKind.OPENED)
    assert opened[:, b.E_SYMBOL].tolist() == [0, 1]
    # 2 % of 10,000 over 500 pips: 0.04 lots, which lose 40 USD by the third bar.
    assert opened[0, b.E_LOTS] == 0.04
    assert step.equity[2] == pytest.approx(9_960.0)
    # 2 % of 9,960 = 199.20 over 1.5 yen: 0.1992 lots, so 0.19; 1 yen more is 19,000 JPY = 126.67 USD.
    assert opened[1, b.E_LOTS] == 0.19
    assert step.equity[3] == pytest.approx(9_960.0 + 0.19 * 100_000 * 1.0 / 150)


def test_lost_equity_ends_the_run_with_everything_closed() -> None:
    bars = [FLAT, FLAT, (1.0, 1.0, 1.0, 1.0), FLAT]
    step = run(bars, side={0: 1}, account=AccountSpec(balance=500.0))
    assert only_close(step)[b.E_EXIT] == ExitKind.STOP_OUT
    assert step.equity[2:].tolist() == [0.0, 0.0]


def test_many_symbols_with_busy_books_do_not_overrun_the_events() -> None:
    rows, symbols, rng = 400, 12, np.random.default_rng(3)
    steps = rng.integers(-30, 31, (rows, symbols)) * 1e-4
    close = np.round(np.cumsum(steps, axis=0) * 0.2 + 1.5, 5)
    opens = np.vstack([close[:1], close[:-1]])
    market = MarketArrays(
        opens, np.maximum(opens, close) + 1e-3, np.minimum(opens, close) - 1e-3, close, np.full((1, 1), 1e-4).repeat(symbols, 1), np.ones((1, symbols)),
        np.zeros(1, dtype=np.int64), np.empty(0, dtype=np.int64),
    )  # fmt: skip
    side = rng.choice([-1, 1], (rows, symbols)).astype(np.int8)
    base = decision_arrays(wishes(1), 1)
    constant = {name: np.repeat(getattr(base, name), symbols, axis=1) for name in DecisionArrays._fields}
    decisions = DecisionArrays(**{**constant, "side": side, "exit": (-side).astype(np.int8), "stop_distance": np.full((1, symbols), 2e-3)})
    step = run_step(
        market, decisions, [EURUSD] * symbols, AccountSpec(balance=1e6), sizing=Sizing(mode="fixed", fixed_lots=0.01, max_positions=8),
        manage=busy, params=np.array([1.0, 1.0, 3.0, 1.0]),
    )  # fmt: skip
    opened, closed = events(step, EventKind.OPENED), events(step, EventKind.CLOSED)
    assert len(opened) > 3_000
    assert closed[:, b.E_LOTS].sum() + np.nansum(step.book.positions[:, :, b.P_LOTS]) == pytest.approx(opened[:, b.E_LOTS].sum())
    profit = closed[:, b.E_PROFIT].sum()
    assert step.book.account[b.A_BALANCE] == pytest.approx(1e6 + profit)


def test_decisions_that_do_not_cover_the_market_are_refused_instead_of_read_past_their_end() -> None:
    bars = bars_of([FLAT] * 5)
    with pytest.raises(BadInput, match=r"decisions\.side"):
        run_step(market_of_bars(bars, EURUSD, Costs()), decision_arrays(wishes(3), 3), [EURUSD], AccountSpec())


def test_a_run_on_read_only_bars_uses_the_code_that_is_compiled_already() -> None:
    from components.execution.step import RUN_PLAIN

    run_mt5 = RUN_PLAIN["mt5"]
    if not hasattr(run_mt5, "signatures"):
        pytest.skip("machine code is switched off")
    run([FLAT, FLAT])
    known = len(run_mt5.signatures)
    bars = bars_of([FLAT] * 5)
    for name in bars.columns:
        bars[name].to_numpy().flags.writeable = False
    item = strategy("sma_cross")
    decisions = item.decide(bars, Context(EURUSD), item.parse({"fast": 2, "slow": 3}))
    run_step(market_of_bars(bars, EURUSD, Costs()), decision_arrays(decisions, 5), [EURUSD], AccountSpec())
    assert len(run_mt5.signatures) == known


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"policy": "optimistic"}, "policy"),
        ({"resolution": "coin"}, "resolution"),
        ({"account": AccountSpec(margin_mode="netting")}, "account.margin_mode"),
    ],
)
def test_what_the_step_does_not_know_is_refused_by_name(options: dict[str, Any], field: str) -> None:
    bars = bars_of([FLAT] * 3)
    account = options.pop("account", AccountSpec())
    with pytest.raises(BadInput) as error:
        run_step(market_of_bars(bars, EURUSD, Costs()), decision_arrays(wishes(3), 3), [EURUSD], account, **options)
    assert error.value.field == field


def test_an_entry_that_manage_asks_for_meets_the_limits_and_the_places_like_any_other() -> None:
    step = run([FLAT] * 5, manage=eager, params=np.array([0.137]), sizing=Sizing(mode="fixed", fixed_lots=0.1, max_positions=2))
    assert events(step, EventKind.OPENED)[:, b.E_LOTS].tolist() == [0.13, 0.13]
    refused = events(step, EventKind.REFUSED)
    assert (refused[:, b.E_LEVEL] == Refusal.BOOK_FULL).all()
    assert len(refused) == 3
    risky = run([FLAT] * 2, manage=eager, params=np.array([5.0]), limits=Limits(max_risk_fraction=0.02))
    assert events(risky, EventKind.REFUSED)[:, b.E_LEVEL].tolist() == [Refusal.RISK_PER_TRADE] * 2
