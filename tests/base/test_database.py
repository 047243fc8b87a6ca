"""The database: migrations, transactions, several processes on one file, and what an operator is told when it cannot be used."""

from __future__ import annotations

import _thread
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from components.base import ROOT, Database, claim_one, create_all, insert_or_ignore
from components.fx import Corrupt, Unavailable

metadata = sa.MetaData()
things = sa.Table("things", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("state", sa.Text), sa.Column("rank", sa.Integer))


def add_owner(connection: sa.Connection) -> None:
    """A second migration."""
    connection.exec_driver_sql("ALTER TABLE things ADD COLUMN owner TEXT")


def break_half_way(connection: sa.Connection) -> None:
    """A migration that fails after it has changed something."""
    connection.exec_driver_sql("ALTER TABLE things ADD COLUMN half TEXT")
    raise RuntimeError("half-way")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "store.db"


@pytest.fixture
def database(file: Path) -> Database:
    return Database(file, (create_all(metadata),))


def rows(database: Database, query: str) -> list[tuple]:
    """What a query gives, as plain tuples."""
    with database.read() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def test_migrations_run_once_in_order_and_are_recorded(file: Path) -> None:
    ran: list[str] = []

    def first(connection: sa.Connection) -> None:
        ran.append("first")
        connection.exec_driver_sql("CREATE TABLE a (x INTEGER)")

    def second(connection: sa.Connection) -> None:
        ran.append("second")
        connection.exec_driver_sql("ALTER TABLE a ADD COLUMN y INTEGER")

    Database(file, (first,))
    Database(file, (first,))
    assert ran == ["first"]
    database = Database(file, (first, second))
    Database(file, (first, second))
    assert ran == ["first", "second"]
    assert rows(database, "SELECT number, name FROM schema_migrations ORDER BY number") == [(1, "first"), (2, "second")]
    assert all(applied > 0 for (applied,) in rows(database, "SELECT applied_ms FROM schema_migrations"))
    assert rows(database, "SELECT name FROM pragma_table_info('a')") == [("x",), ("y",)]


def test_a_migration_that_fails_leaves_nothing_behind(file: Path) -> None:
    Database(file, (create_all(metadata),))
    with pytest.raises(RuntimeError, match="half-way"):
        Database(file, (create_all(metadata), add_owner, break_half_way))
    database = Database(file, (create_all(metadata),))
    assert rows(database, "SELECT number FROM schema_migrations") == [(1,)]
    assert ("owner",) not in rows(database, "SELECT name FROM pragma_table_info('things')")


def test_a_file_of_a_newer_version_is_not_touched(file: Path) -> None:
    Database(file, (create_all(metadata), add_owner))
    with pytest.raises(Corrupt, match="has migration 2, this version knows 1; run the newer version"):
        Database(file, (create_all(metadata),))


def test_a_write_that_raises_is_rolled_back_and_the_next_one_works(database: Database) -> None:
    def write_and_stop() -> None:
        with database.write() as connection:
            insert_or_ignore(connection, things, [{"id": 1}])
            raise KeyError("stop")

    with pytest.raises(KeyError):
        write_and_stop()
    with database.write() as connection:
        insert_or_ignore(connection, things, [{"id": 2}])
    assert rows(database, "SELECT id FROM things") == [(2,)]


LONG_QUERY = "WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 5000000) SELECT max(n) FROM counted"


@pytest.mark.usefixtures("control_c")
@pytest.mark.parametrize("block", ["read", "write"])
def test_control_c_in_the_middle_of_a_statement_stays_a_control_c_and_frees_the_store(file: Path, database: Database, block: str) -> None:
    def wait_for_long() -> None:
        with getattr(database, block)() as connection:
            if block == "write":
                insert_or_ignore(connection, things, [{"id": 1}])
            threading.Timer(0.1, _thread.interrupt_main).start()
            connection.exec_driver_sql(LONG_QUERY).scalar_one()

    with pytest.raises(KeyboardInterrupt):
        wait_for_long()
    with Database(file, (create_all(metadata),)).write() as other:
        insert_or_ignore(other, things, [{"id": 2}])
    assert rows(database, "SELECT id FROM things") == [(2,)]


def test_what_a_write_has_left_is_on_disk_after_the_process_is_killed(file: Path, database: Database) -> None:
    script = (
        "import os, sys; from pathlib import Path; from components.base import Database\n"
        "database = Database(Path(sys.argv[1]), (lambda c: None,))\n"
        "with database.write() as c: c.exec_driver_sql('INSERT INTO things (id) VALUES (1)')\n"
        "with database.write() as c:\n"
        "    c.exec_driver_sql('INSERT INTO things (id) VALUES (2)')\n"
        "    os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(file)], cwd=ROOT, check=False).returncode == -9
    assert rows(database, "SELECT id FROM things") == [(1,)]


def test_every_connection_is_durable_and_keeps_foreign_keys(database: Database) -> None:
    with database.read() as first, database.read() as second:
        for connection in (first, second):
            pragmas = [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("journal_mode", "synchronous", "foreign_keys")]
            assert pragmas == ["wal", 2, 1]


def test_a_read_sees_one_snapshot_while_another_writes(database: Database) -> None:
    with database.read() as reader:
        assert reader.exec_driver_sql("SELECT count(*) FROM things").scalar_one() == 0
        with database.write() as writer:
            insert_or_ignore(writer, things, [{"id": 1}])
        assert reader.exec_driver_sql("SELECT count(*) FROM things").scalar_one() == 0
    assert rows(database, "SELECT count(*) FROM things") == [(1,)]


def test_two_processes_that_write_wait_for_each_other(file: Path, database: Database) -> None:
    script = (
        "import sys, time; from pathlib import Path; from components.base import Database\n"
        "database = Database(Path(sys.argv[1]), (lambda c: None,))\n"
        "for _ in range(100):\n"
        "    with database.write() as c:\n"
        "        rank = c.exec_driver_sql('SELECT rank FROM things').scalar_one()\n"
        "        time.sleep(0.001)\n"
        "        c.exec_driver_sql('UPDATE things SET rank = ?', (rank + 1,))"
    )
    with database.write() as connection:
        insert_or_ignore(connection, things, [{"id": 1, "rank": 0}])
    writers = [subprocess.Popen([sys.executable, "-c", script, str(file)], cwd=ROOT) for _ in range(2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert rows(database, "SELECT rank FROM things") == [(200,)], "no read–add–write was lost"


@pytest.mark.slow
def test_several_processes_may_open_a_new_file_at_the_same_moment(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from components.base import Database\n"
        "def make(c): c.exec_driver_sql('CREATE TABLE t (x INTEGER)')\n"
        "for n in range(60):\n"
        "    time.sleep(max(0, float(sys.argv[2]) + n / 20 - time.time()))\n"
        "    Database(Path(sys.argv[1]) / f'{n}.db', (make,))"
    )
    at = str(time.time() + 2.0)
    openers = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), at], cwd=ROOT) for _ in range(4)]
    assert [opener.wait(60) for opener in openers] == [0, 0, 0, 0]
    for number in range(60):
        assert rows(Database(tmp_path / f"{number}.db", (lambda _: None,)), "SELECT number, name FROM schema_migrations") == [(1, "make")]


def test_opening_waits_for_a_first_opener_that_has_not_yet_switched_to_wal(file: Path) -> None:
    file.parent.mkdir()
    first = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    first.execute("BEGIN IMMEDIATE")  # in this state SQLite refuses the switch at once, whatever the busy timeout
    end = threading.Timer(0.3, first.execute, ("COMMIT",))
    end.start()
    database = Database(file, (create_all(metadata),))
    end.join()
    first.close()
    assert rows(database, "PRAGMA journal_mode") == [("wal",)]


def test_a_writer_that_waits_in_vain_is_told_to_try_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.base.database.BUSY_TIMEOUT_MS", 100)
    database, other = Database(file, (create_all(metadata),)), Database(file, (create_all(metadata),))
    with database.write():
        begun = time.monotonic()
        with pytest.raises(Unavailable, match=r"store\.db is busy: database is locked; try again"), other.write():
            pass
        assert 0.05 < time.monotonic() - begun < 5
        assert rows(other, "SELECT count(*) FROM things") == [(0,)], "readers are not held up"
    with other.write() as connection:
        insert_or_ignore(connection, things, [{"id": 1}])


def test_threads_of_one_process_share_a_database(database: Database) -> None:
    def add(start: int) -> None:
        for number in range(start, start + 25):
            with database.write() as connection:
                insert_or_ignore(connection, things, [{"id": number}])

    threads = [threading.Thread(target=add, args=(start,)) for start in (0, 100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert rows(database, "SELECT count(*) FROM things") == [(100,)]


@pytest.fixture
def as_another_user() -> Iterator[Path]:
    """A folder that this test may not write, also where the tests run as root."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65_534)
        try:
            yield Path(folder)
        finally:
            os.seteuid(user)
            os.chmod(folder, 0o755)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX users")
def test_a_folder_that_cannot_be_written_is_said_in_a_sentence(as_another_user: Path) -> None:
    with pytest.raises(Unavailable, match=r"cannot open .*store\.db: .*unable to open database file; check that its folder can be written"):
        Database(as_another_user / "store.db")
    with pytest.raises(Unavailable, match=r"cannot make the folder .*deep: Permission denied; choose another with SEQUENCE_HOME"):
        Database(as_another_user / "deep" / "store.db")


@pytest.mark.parametrize(("pragma", "told"), [("query_only=ON", "is read-only"), ("max_page_count=10", "is on a full disk")])
def test_a_disk_that_takes_nothing_more_is_unavailable_and_rolls_back(database: Database, pragma: str, told: str) -> None:
    def write_much() -> None:
        with database.write() as connection:
            connection.exec_driver_sql(f"PRAGMA {pragma}")
            insert_or_ignore(connection, things, [{"id": number, "state": "x" * 1000} for number in range(100)])

    with pytest.raises(Unavailable, match=told):
        write_much()
    assert rows(database, "SELECT count(*) FROM things") == [(0,)]


@pytest.mark.parametrize("damage", ["all of it", "the tables"])
def test_a_damaged_file_stops_with_corrupt(file: Path, damage: str) -> None:
    database = Database(file, (create_all(metadata),))
    with database.write() as connection:
        insert_or_ignore(connection, things, [{"id": number, "state": "x" * 500} for number in range(200)])
    database.close()
    content = bytearray(file.read_bytes())
    begin = 0 if damage == "all of it" else 4096
    content[begin:] = b"\x00garbage" * (len(content[begin:]) // 8)
    file.write_bytes(content)
    with pytest.raises(Corrupt, match="restore it from a backup"):
        rows(Database(file, (create_all(metadata),)), "SELECT * FROM things")


def test_a_mistake_in_sql_is_not_dressed_up_as_a_busy_store(database: Database) -> None:
    with pytest.raises(sa.exc.OperationalError, match="no such table"):
        rows(database, "SELECT * FROM nowhere")


def test_rows_that_are_there_already_are_left_alone_and_not_counted(database: Database) -> None:
    with database.write() as connection:
        assert insert_or_ignore(connection, things, [{"id": 1, "state": "old"}, {"id": 2, "state": "old"}]) == 2
        assert insert_or_ignore(connection, things, [{"id": 1, "state": "new"}, {"id": 3, "state": "new"}]) == 1
        assert insert_or_ignore(connection, things, []) == 0
    assert rows(database, "SELECT id, state FROM things ORDER BY id") == [(1, "old"), (2, "old"), (3, "new")]


def test_claiming_takes_the_first_that_matches_and_nothing_else(database: Database) -> None:
    waiting = things.c.state == "waiting"
    with database.write() as connection:
        insert_or_ignore(connection, things, [{"id": number, "state": "waiting", "rank": -number} for number in (1, 2, 3)])
        claimed = claim_one(connection, things, waiting, (things.c.rank,), {"state": "taken"})
        assert claimed is not None
        assert tuple(claimed) == (3, "taken", -3)
        assert claim_one(connection, things, things.c.state == "lost", (things.c.rank,), {"state": "taken"}) is None
    assert rows(database, "SELECT id, state FROM things ORDER BY id") == [(1, "waiting"), (2, "waiting"), (3, "taken")]
