"""Swap: a broker's table, charged at its midnight for every night from Monday to Friday."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small import EURUSD, FLAT, bars_at, closed, hours, run

from components.execution import Costs, PaperBroker
from components.fx import AccountSpec, BadInput, EventKind, Signal, instrument
from components.fx import book as b

# 2024-03-04 is a Monday; New York is five hours behind UTC until 10 March, so the FX day turns at 22:00 UTC.
PAID = replace(EURUSD, swap_long=-7.0, swap_short=3.0)
FREE = Costs(spread_points=0)


def held(start: str, end: str, item: object = PAID, side: int = 1, costs: Costs = FREE, **rest: object) -> np.ndarray:
    """The closing of 0.1 lots opened in the hour after `start` and closed in the last hour before `end`; weekends have no bars."""
    times = pd.date_range(start, end, freq="h", tz="UTC", inclusive="left")
    local = times.tz_convert("America/New_York")
    shut = (local.dayofweek == 5) | ((local.dayofweek == 4) & (local.hour >= 17)) | ((local.dayofweek == 6) & (local.hour < 17))
    times = times[~shut]
    step = run(bars_at(times, [FLAT] * len(times)), item=item, costs=costs, side={0: side}, exit={len(times) - 2: side}, **rest)
    (row,) = closed(step)
    assert step.equity[-1] == pytest.approx(10_000 + row[b.E_PROFIT] - row[b.E_COST] + row[b.E_SWAP])
    return row


def test_a_long_pays_a_night_in_points_and_a_short_earns_one() -> None:
    assert held("2024-03-04T20:00", "2024-03-05T02:00")[b.E_SWAP] == pytest.approx(-7 * 0.1)
    assert held("2024-03-04T20:00", "2024-03-05T02:00", side=-1)[b.E_SWAP] == pytest.approx(3 * 0.1)


def test_a_position_of_one_day_pays_nothing() -> None:
    assert held("2024-03-04T10:00", "2024-03-04T22:00")[b.E_SWAP] == 0.0


def test_wednesdays_night_counts_three_times_and_fridays_once_over_the_weekend() -> None:
    assert held("2024-03-06T20:00", "2024-03-07T02:00")[b.E_SWAP] == pytest.approx(3 * -0.7)
    assert held("2024-03-08T12:00", "2024-03-11T02:00")[b.E_SWAP] == pytest.approx(-0.7)
    assert held("2024-03-04T20:00", "2024-03-11T20:00")[b.E_SWAP] == pytest.approx(7 * -0.7), "a week of five nights is seven days of interest"


def test_a_broker_with_its_triple_night_on_friday_charges_it_then() -> None:
    friday = replace(PAID, swap_triple_day="friday")
    assert held("2024-03-06T20:00", "2024-03-07T02:00", friday)[b.E_SWAP] == pytest.approx(-0.7)
    assert held("2024-03-08T12:00", "2024-03-11T02:00", friday)[b.E_SWAP] == pytest.approx(3 * -0.7)


def test_an_hour_later_in_winter_is_still_the_brokers_midnight() -> None:
    # In summer the day turns at 21:00 UTC.
    assert held("2024-07-01T18:00", "2024-07-01T21:00")[b.E_SWAP] == 0.0
    assert held("2024-07-01T18:00", "2024-07-01T22:00")[b.E_SWAP] == pytest.approx(-0.7)


@pytest.mark.parametrize(
    ("mode", "amount"),
    [
        ("points", -7 * 0.1),
        ("account", -7 * 0.1),
        ("profit", -7 * 0.1),
        ("base", -7 * 0.1 * 1.1),
        # 10,000 euro at 1.1 are 11,000 USD; 7 % of that for a day of a year of 360.
        ("percent", -11_000 * 0.07 / 360),
        ("percent_open", -11_000 * 0.07 / 360),
    ],
)
def test_every_mode_means_what_metatrader_says(mode: str, amount: float) -> None:
    assert held("2024-03-04T20:00", "2024-03-05T02:00", replace(PAID, swap_mode=mode))[b.E_SWAP] == pytest.approx(amount)


def test_percent_of_the_current_price_takes_the_last_one_before_midnight_and_of_the_opening_price_the_entry() -> None:
    rows = [FLAT, FLAT, (1.2, 1.2, 1.2, 1.2), (1.3, 1.3, 1.3, 1.3), (1.3, 1.3, 1.3, 1.3)]
    bars = bars_at(pd.date_range("2024-03-04T19:00", periods=5, freq="h", tz="UTC"), rows)
    for mode, price in (("percent", 1.2), ("percent_open", 1.1)):
        step = run(bars, item=replace(PAID, swap_mode=mode), side={0: 1})
        assert step.book.positions[0, 0, b.P_SWAP] == pytest.approx(-10_000 * price * 0.07 / 360), mode
        assert step.equity[2] == pytest.approx(11_000.0)
        assert step.equity[3] == pytest.approx(12_000.0 - 10_000 * price * 0.07 / 360), "equity holds it from the row on in which it is charged"


def test_swap_becomes_account_currency_by_the_rate_of_the_row() -> None:
    yen = replace(instrument("USDJPY"), swap_long=10.0)
    times = pd.date_range("2024-03-04T20:00", periods=4, freq="h", tz="UTC")
    bars = bars_at(times, [(150.0,) * 4] * 4)
    step = run(bars, item=yen, rate=np.array([1 / 150, 1 / 150, 1 / 160, 1 / 170]), side={0: 1})
    # 10 points of 0.001 on 10,000 dollars are 100 yen.
    assert step.book.positions[0, 0, b.P_SWAP] == pytest.approx(100 / 160)


def test_the_costs_can_switch_the_table_off_or_put_another_in_its_place() -> None:
    assert held("2024-03-04T20:00", "2024-03-05T02:00", costs=Costs(spread_points=0, swap="none"))[b.E_SWAP] == 0.0
    other = Costs(spread_points=0, swap_long=-20.0, swap_mode="account", swap_triple_day="monday")
    assert held("2024-03-04T20:00", "2024-03-05T02:00", costs=other)[b.E_SWAP] == pytest.approx(3 * -20 * 0.1)
    assert held("2024-03-04T20:00", "2024-03-05T02:00", EURUSD)[b.E_SWAP] == 0.0, "without a table there is nothing to charge"


def test_a_part_that_is_closed_takes_its_share_of_the_swap_with_it() -> None:
    from managers import busy

    times = hours(6, "2024-03-04T20:00")
    step = run(bars_at(times, [FLAT] * 6), item=PAID, side={0: 1}, manage=busy, params=np.array([0.0, 2.0, 0.0, 0.0]))
    (row,) = closed(step)
    assert (row[b.E_LOTS], row[b.E_SWAP]) == (0.02, pytest.approx(-0.14))
    assert step.book.positions[0, 0, b.P_SWAP] == pytest.approx(-0.56)
    assert step.equity[-1] == pytest.approx(10_000 - 0.7)


def test_backtesting_pys_rules_know_no_swap() -> None:
    step = run(bars_at(hours(30, "2024-03-04T20:00"), [FLAT] * 30), item=PAID, side={0: 1}, policy="reference")
    assert step.equity[-1] == 10_000


def test_the_paper_broker_charges_the_same_swap_and_shows_it_with_the_closing() -> None:
    broker = PaperBroker(AccountSpec(), [PAID], FREE)
    ms = pd.DatetimeIndex(["2024-03-06T21:00", "2024-03-06T23:00", "2024-03-07T01:00"]).tz_localize("UTC").as_unit("ms").asi8
    broker.apply(Signal("1", "a", "d", "open", "EURUSD", 1, lots=0.1))
    bid = np.full(1, 1.1)
    (opened,) = broker.match("EURUSD", ms[:1], bid, bid)
    assert opened.swap == 0.0
    assert broker.match("EURUSD", ms[1:2], bid, bid) == []
    assert broker.equity == pytest.approx(10_000 - 2.1)
    assert broker.balance == 10_000
    broker.apply(Signal("2", "a", "d", "close", "EURUSD", 1, ticket=opened.ticket))
    (ended,) = broker.match("EURUSD", ms[2:], bid, bid)
    assert (ended.kind, ended.profit, ended.swap) == (EventKind.CLOSED, 0.0, pytest.approx(-2.1))
    assert broker.balance == pytest.approx(10_000 - 2.1)


@pytest.mark.parametrize(("field", "value"), [("swap_mode", "pips"), ("swap_triple_day", "sunday"), ("swap_long", float("nan"))])
def test_a_table_that_cannot_be_read_is_refused_by_its_field(field: str, value: object) -> None:
    with pytest.raises(BadInput) as error:
        replace(EURUSD, **{field: value})
    assert error.value.field == field


def test_a_paper_account_of_the_version_before_swap_goes_on_with_none_so_far() -> None:
    import io

    broker = PaperBroker(AccountSpec(), [PAID], FREE)
    ms = pd.DatetimeIndex(["2024-03-06T21:00", "2024-03-06T23:00"]).tz_localize("UTC").as_unit("ms").asi8
    broker.apply(Signal("1", "a", "d", "open", "EURUSD", 1, lots=0.1))
    bid = np.full(1, 1.1)
    broker.match("EURUSD", ms[:1], bid, bid)
    with np.load(io.BytesIO(broker.dump())) as arrays:
        kept = {name: arrays[name] for name in arrays.files}
    kept["arr_0"], kept["arr_1"] = kept["arr_0"][: b.A_STOP_OUT_LEVEL], kept["arr_1"][:, :, : b.P_SWAP]
    buffer = io.BytesIO()
    np.savez(buffer, **kept)
    later = PaperBroker(AccountSpec(), [PAID], FREE)
    later.restore(buffer.getvalue())
    later.match("EURUSD", ms[1:], bid, bid)
    assert later.equity == pytest.approx(10_000 - 2.1)
    assert later.book.account[b.A_STOP_OUT_LEVEL] == 0.5
