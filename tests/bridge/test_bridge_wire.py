"""The wire: what is sent arrives bit for bit, and what is wrong is named."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.bridge import Reconciliation, SymbolFacts, TerminalFacts, WorkingOrder, answers, shapes, wire
from components.fx import AccountSnapshot, BadInput, Position, Report, Signal, SignalState, known_symbols

price = st.floats(min_value=1e-6, max_value=9e6)
maybe_price = st.none() | price
ticket = st.integers(0, 2**63 - 1)
time_ms = st.integers(1, 4_102_444_799_999)
text = st.text(max_size=40)
symbol = st.sampled_from(known_symbols())
name = st.from_regex(r"\A[A-Za-z0-9_.:-]{1,26}\Z")
lots = st.floats(min_value=0.01, max_value=1_000)
signals = st.builds(
    Signal, id=name, account_id=name, deployment_id=text, action=st.sampled_from(["open", "close", "modify", "cancel"]), symbol=symbol,
    side=st.sampled_from([-1, 0, 1]), entry=st.sampled_from(["market", "stop", "limit"]), entry_price=maybe_price, stop=maybe_price,
    target=maybe_price, stop_distance=maybe_price, target_distance=maybe_price, trail_distance=maybe_price, lots=lots, ticket=st.none() | ticket,
    deliver_by_ms=time_ms, order_expires_at_ms=st.none() | time_ms, max_drift_points=maybe_price, strategy=text, params=text, reason_text=text,
    model_id=st.none() | text, dataset_id=st.none() | text, bar_ms=time_ms, reason=st.integers(0, 100), created_ms=time_ms,
)  # fmt: skip
reports = st.builds(
    Report, id=name, account_id=st.just("a"), kind=st.sampled_from(["placed", "filled", "modified", "cancelled", "rejected", "expired", "closed"]),
    time_ms=time_ms, symbol=symbol, signal_id=st.none() | name, ticket=ticket, position_ticket=st.none() | ticket, side=st.sampled_from([-1, 1]),
    lots=lots, price=price, stop=maybe_price, target=maybe_price, profit=st.floats(-1e6, 1e6), cost=st.floats(-1e6, 1e6),
    exit_kind=st.integers(0, 7), level=maybe_price, retcode=st.integers(0, 20_000), message=text,
)  # fmt: skip
positions = st.builds(
    Position, ticket=ticket, account_id=st.just("a"), symbol=symbol, side=st.sampled_from([-1, 1]), lots=lots, entry=price, stop=maybe_price,
    target=maybe_price, opened_ms=time_ms, signal_id=st.none() | name, profit=st.floats(-1e6, 1e6),
)  # fmt: skip
orders = st.builds(
    WorkingOrder, account_id=st.just("a"), ticket=ticket, symbol=symbol, side=st.sampled_from([-1, 1]), entry=st.sampled_from(["stop", "limit"]),
    lots=lots, price=price, stop=maybe_price, target=maybe_price, placed_ms=time_ms, state=st.just("placed"), signal_id=st.none() | name,
)  # fmt: skip


@given(signals)
def test_a_signal_arrives_bit_for_bit_with_its_ticket_as_text(signal: Signal) -> None:
    sent = orjson.loads(orjson.dumps(wire.signal_to_wire(signal)))
    assert sent["ticket"] is None or sent["ticket"] == str(signal.ticket)
    assert wire.signal_from_wire(sent) == signal
    answers.SignalAnswer.model_validate(sent)


@given(st.lists(reports, min_size=1, max_size=5))
def test_reports_arrive_bit_for_bit(sent: list[Report]) -> None:
    body = orjson.dumps({"account_id": "a", "reports": [wire.report_to_wire(report) for report in sent]})
    assert wire.reports_of(wire.read_body(shapes.ReportsPost, body)) == sent


@given(
    st.lists(positions, max_size=4, unique_by=lambda p: p.ticket),
    st.lists(orders, max_size=4, unique_by=lambda o: o.ticket),
    st.dictionaries(name, st.sampled_from([SignalState.FILLED, SignalState.ACKNOWLEDGED])),
)
def test_a_book_arrives_bit_for_bit(held: list[Position], working: list[WorkingOrder], known: dict[str, SignalState]) -> None:
    account = AccountSnapshot("a", 1, "EUR", 10_000.01, -5.5, 0.0, 30.0, "hedging")
    body = asdict(account) | {
        "positions": [wire.position_to_wire(p) for p in held], "orders": [wire.order_to_wire(o) for o in working],
        "known_signals": [{"signal_id": i, "state": s.value} for i, s in known.items()], "reconcile": True,
    }  # fmt: skip
    assert wire.book_of(wire.read_body(shapes.PositionsPost, orjson.dumps(body))) == (account, held, working, known)


def test_facts_arrive_whole() -> None:
    facts = TerminalFacts(
        "a", "EUR", 500.0, "netting", False, "wall", 1, "Broker é", "5.0", (SymbolFacts("EURUSD", "EURUSD.raw", 5, 1e5, 0.01, 0.01, 50.0, 3, 1, 2),)
    )
    assert wire.facts_of(wire.read_body(shapes.HelloPost, orjson.dumps(asdict(facts)))) == facts


def test_the_shapes_of_the_wire_have_every_field_of_the_words() -> None:
    assert set(shapes.ReportItem.model_fields) == {f.name for f in fields(Report)} - {"account_id"}
    assert set(shapes.PositionItem.model_fields) == {f.name for f in fields(Position)} - {"account_id"}
    assert set(shapes.OrderItem.model_fields) == {f.name for f in fields(WorkingOrder)} - {"account_id"}
    assert set(shapes.HelloPost.model_fields) == {f.name for f in fields(TerminalFacts)}
    assert set(shapes.SymbolPost.model_fields) == {f.name for f in fields(SymbolFacts)}
    assert set(answers.SignalAnswer.model_fields) == {f.name for f in fields(Signal)}
    assert set(answers.PositionsAnswer.model_fields) == {f.name for f in fields(Reconciliation)}


TICK = {"symbol": "EURUSD", "time_ms": 1_700_000_000_000, "bid": 1.1, "ask": 1.1001, "seq": 1}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"symbol": "ABCDEF"}, "ticks.1.symbol"), ({"symbol": ""}, "ticks.1.symbol"), ({"symbol": 5}, "ticks.1.symbol"), ({"symbol": "eurusd"}, "ticks.1.symbol"),
        ({"time_ms": 0}, "ticks.1.time_ms"), ({"time_ms": 1e12}, "ticks.1.time_ms"), ({"time_ms": "1"}, "ticks.1.time_ms"), ({"time_ms": 10**400}, "ticks.1.time_ms"),
        ({"time_ms": True}, "ticks.1.time_ms"), ({"bid": "1.1"}, "ticks.1.bid"), ({"bid": -1}, "ticks.1.bid"), ({"bid": 0}, "ticks.1.bid"),
        ({"bid": 1e300}, "ticks.1.bid"), ({"bid": None}, "ticks.1.bid"), ({"ask": 1.0999}, "ticks.1.ask"), ({"ask": [1.1]}, "ticks.1.ask"),
        ({"seq": 0}, "ticks.1.seq"), ({"seq": -1}, "ticks.1.seq"), ({"seq": 2**60}, "ticks.1.seq"), ({"seq": 1.5}, "ticks.1.seq"), ({"volume": 1}, "ticks.1.volume"),
    ],
)  # fmt: skip
def test_a_wrong_tick_is_named_by_its_place_and_field(change: dict[str, Any], field: str) -> None:
    body = wire_json({"account_id": "a", "ticks": [TICK, TICK | change]})
    with pytest.raises(BadInput) as error:
        wire.tick_rows(wire.read_body(shapes.TicksPost, body).ticks)
    assert error.value.field == field
    assert error.value.message.startswith(field + ": ")


def wire_json(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"1", b'"x"', b"{", b"\xff\xfe", b"[" * 100_000, b'{"account_id":"a"}garbage', b"{}\x00"])
def test_what_is_no_json_object_is_refused_as_the_body(body: bytes) -> None:
    with pytest.raises(BadInput, match=r"^body: "):
        wire.read_body(shapes.AcknowledgePost, body)
    with pytest.raises(BadInput, match=r"^body: "):
        wire.read_object(body)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_numbers_that_are_none_are_refused(number: str) -> None:
    body = wire_json({"account_id": "a", "ticks": [TICK | {"bid": 77.5}]}).replace(b"77.5", number.encode())
    with pytest.raises(BadInput):
        wire.read_body(shapes.TicksPost, body)


FILL = Report("r1", "a", "filled", 1, "EURUSD", ticket=7, side=1, lots=0.1, price=1.1)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        (replace(FILL, lots=0.0), "reports.0.lots"),
        (replace(FILL, price=None), "reports.0.price"),
        (replace(FILL, side=0), "reports.0.side"),
        (replace(FILL, ticket=None), "reports.0.ticket"),
        (replace(FILL, symbol="ABCDEF"), "reports.0.symbol"),
        (replace(FILL, id="with space"), "reports.0.id"),
        (replace(FILL, signal_id="x" * 27), "reports.0.signal_id"),
        (replace(FILL, ticket=-1), "reports.0.ticket"),
        (replace(FILL, ticket=2**63), "reports.0.ticket"),
        (replace(FILL, exit_kind=8), "reports.0.exit_kind"),
        (replace(FILL, message="x" * 501), "reports.0.message"),
    ],
)
def test_a_wrong_report_is_named_by_its_place_and_field(changed: Report, field: str) -> None:
    with pytest.raises(BadInput) as error:
        wire.reports_of(wire.read_body(shapes.ReportsPost, orjson.dumps({"account_id": "a", "reports": [wire.report_to_wire(changed)]})))
    assert error.value.field == field


def test_a_ticket_that_is_listed_twice_is_named() -> None:
    held = wire.position_to_wire(Position(7, "a", "EURUSD", 1, 0.1, 1.1, None, None, 1))
    body = asdict(AccountSnapshot("a", 1, "EUR", 1.0, 1.0, 0.0, 30.0, "hedging")) | {"positions": [held, held | {"ticket": "07"}]}
    with pytest.raises(BadInput, match=r"positions.1.ticket: 07 is listed twice"):
        wire.book_of(wire.read_body(shapes.PositionsPost, orjson.dumps(body)))


def test_arguments_of_the_address_are_checked_like_bodies() -> None:
    assert wire.read_query(shapes.PendingQuery, {"account_id": "a", "lease_id": "1", "limit": "5"}).limit == 5
    for arguments, field in (
        ({"lease_id": "1"}, "account_id"),
        ({"account_id": "a", "lease_id": "1", "limit": "x"}, "limit"),
        ({"account_id": "a", "lease_id": "1", "z": "1"}, "z"),
    ):
        with pytest.raises(BadInput) as error:
            wire.read_query(shapes.PendingQuery, arguments)
        assert error.value.field == field
