"""The book of one deployment: only what is its own, all of one moment, and found by indexes."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from mailbox_parts import ACCOUNT, WALL, deliver, issue, report, signal, snapshot

from components.base import now_ms
from components.bridge import DeploymentBook, Mailbox
from components.fx import SignalState

EMPTY = DeploymentBook(None, (), (), ())


def of(deployment_id: str, id: str, action: str = "open", **changes: Any) -> Any:
    return replace(signal(id, action, **changes), deployment_id=deployment_id)


def test_an_empty_book_is_empty(mailbox: Mailbox) -> None:
    assert mailbox.book(ACCOUNT, "EURUSD", "deployment-1") == EMPTY
    assert mailbox.book("nobody", "EURUSD", "deployment-1") == EMPTY
    assert mailbox.first_snapshot(ACCOUNT) is mailbox.latest_bar_ms("deployment-1") is None


def test_a_book_holds_what_belongs_to_the_deployment_oldest_first(mailbox: Mailbox) -> None:
    mailbox.record_positions(snapshot(), [], [], {})
    # The id of another deployment's signal begins like ours; the column says whose it is.
    mine = [of("d", "d-1"), of("d", "d-2"), of("d", "d-3", entry="stop"), of("d", "d-4", entry="limit"), of("d", "d-5")]
    others = [
        of("d-1", "d-1-1"),
        of("d-1", "d-1-2", entry="stop"),
        replace(of("d", "x"), symbol="USDJPY"),
    ]
    deliver(mailbox, *mine, *others)
    mailbox.record_reports([
        report("r1", "filled", "d-1", ticket=11, time_ms=20),
        report("r2", "filled", "d-2", ticket=12, time_ms=10),
        report("r3", "placed", "d-3", ticket=13, time_ms=40),
        report("r4", "placed", "d-4", ticket=14, time_ms=30),
        report("r5", "filled", "d-5", ticket=15, time_ms=5),
        report("r6", "filled", "d-1-1", ticket=16),
        report("r7", "placed", "d-1-2", ticket=17),
        report("r8", "filled", "x", ticket=18, symbol="USDJPY"),
        report("r9", "filled", None, ticket=19),
        report("r10", "closed", None, position_ticket=15),
    ])  # fmt: skip
    book = mailbox.book(ACCOUNT, "EURUSD", "d")
    assert book.snapshot == snapshot()
    assert [(position.ticket, source) for position, source in book.positions] == [(12, mine[1]), (11, mine[0])]
    assert [(order.ticket, order.entry, source) for order, source in book.orders] == [(14, "limit", mine[3]), (13, "stop", mine[2])]
    assert book.in_flight == ()
    assert [position for position, _ in book.positions] == [p for p in mailbox.positions(ACCOUNT) if p.ticket in (11, 12)]
    assert [position.ticket for position, _ in mailbox.book(ACCOUNT, "EURUSD", "d-1").positions] == [16]
    mailbox.record_reports([report("r11", "cancelled", "d-3", ticket=13)])
    assert [order.ticket for order, _ in mailbox.book(ACCOUNT, "EURUSD", "d").orders] == [14]


def test_what_is_on_its_way_stands_in_the_order_of_its_issue(mailbox: Mailbox) -> None:
    deliver(mailbox, signal("lost"), signal("filled"))
    mailbox.record_reports([report("r1", "filled", "filled")])
    mailbox.sweep(now_ms() + 120_000)
    deliver(mailbox, signal("known"))
    issue(mailbox, signal("leased"))
    mailbox.lease_pending(ACCOUNT, "another")
    issue(mailbox, signal("waits"), of("deployment-2", "strange"), signal("gone"))
    mailbox.withdraw("gone", "")
    found = mailbox.book(ACCOUNT, "EURUSD", "deployment-1").in_flight
    S = SignalState
    assert [(s.signal.id, s.state) for s in found] == [("lost", S.UNKNOWN), ("known", S.ACKNOWLEDGED), ("leased", S.LEASED), ("waits", S.PENDING)]


def test_a_book_is_of_one_moment(mailbox: Mailbox, home: Path) -> None:
    """A signal is either on its way or a position, never both and never neither, while reports arrive."""
    count = 60
    deliver(mailbox, *(signal(f"s{number:02d}") for number in range(count)))

    def tell() -> None:
        other = Mailbox.open(home)
        for number in range(count):
            other.record_reports([report(f"r{number}", "filled", f"s{number:02d}", ticket=100 + number)])
        other.close()

    telling = threading.Thread(target=tell)
    telling.start()
    while telling.is_alive():
        book = mailbox.book(ACCOUNT, "EURUSD", "deployment-1")
        ids = sorted([source.id for _, source in book.positions] + [stored.signal.id for stored in book.in_flight])
        assert ids == [f"s{number:02d}" for number in range(count)]
    telling.join()


def test_the_first_snapshot_stays_the_first(mailbox: Mailbox) -> None:
    for equity in (1.0, 2.0, 3.0):
        mailbox.record_positions(snapshot(equity=equity), [], [], {})
    first, last = mailbox.first_snapshot(ACCOUNT), mailbox.snapshot(ACCOUNT)
    assert first is not None
    assert last is not None
    assert (first.equity, last.equity) == (1.0, 3.0)


def test_the_latest_bar_is_that_of_the_signal_that_was_issued_last(mailbox: Mailbox) -> None:
    issue(mailbox, signal("s1", bar_ms=100), signal("s2", bar_ms=300), of("deployment-2", "s3", bar_ms=900))
    assert mailbox.latest_bar_ms("deployment-1") == 300
    issue(mailbox, signal("s4", bar_ms=200))
    assert mailbox.latest_bar_ms("deployment-1") == 200


def test_a_book_is_found_by_indexes(mailbox: Mailbox) -> None:
    mailbox.hello(WALL)
    asked: list[tuple[str, Any]] = []
    sa.event.listen(mailbox.database.engine, "before_cursor_execute", lambda _c, _u, text, values, *_: asked.append((text, values)))
    mailbox.book(ACCOUNT, "EURUSD", "deployment-1")
    mailbox.latest_bar_ms("deployment-1")
    mailbox.first_snapshot(ACCOUNT)
    queries = [one for one in asked if one[0].startswith("SELECT")]
    assert len(queries) == 6
    with mailbox.database.read() as connection:
        for text, values in queries:
            plan = [row[3] for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + text, values)]
            assert not [line for line in plan if line.startswith("SCAN")], (text, plan)
            if "JOIN" in text:
                assert plan[0].startswith(("SEARCH positions USING INDEX positions_open", "SEARCH orders USING INDEX orders_by_state")), plan
                assert "sqlite_autoindex_signals" in plan[1], plan
            if "signals.state IN" in text:
                assert plan == ["SEARCH signals USING INDEX signals_by_deployment (deployment_id=? AND state=?)"]
