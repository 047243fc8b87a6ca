"""The tables of ``data_pipeline.db`` and how they came to be, migration by migration."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from components.base import create_all
from components.pipeline.news_store import news_tables

_FIRST = sa.MetaData()
sa.Table(
    "bar_sets",
    _FIRST,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("timeframe", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("start_ms", sa.Integer, nullable=False),
    sa.Column("end_ms", sa.Integer, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("quality_score", sa.Float, nullable=False),
    sa.Column("quality", sa.Text, nullable=False),
    sa.Column("created_ms", sa.Integer, nullable=False),
)
sa.Table(
    "datasets",
    _FIRST,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("bar_set_id", sa.Text, sa.ForeignKey("bar_sets.id"), nullable=False, index=True),
    sa.Column("recipe", sa.Text, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("train_rows", sa.Integer, nullable=False),
    sa.Column("test_rows", sa.Integer, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("start_ms", sa.Integer, nullable=False),
    sa.Column("train_end_ms", sa.Integer, nullable=False),
    sa.Column("test_start_ms", sa.Integer, nullable=False),
    sa.Column("end_ms", sa.Integer, nullable=False),
    sa.Column("created_ms", sa.Integer, nullable=False),
)

# What stands in the tables now; a change here needs a migration below.
TABLES = sa.MetaData()


def _text(name: str, default: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, server_default=default)


def _again(column: sa.Column[Any]) -> sa.Column[Any]:
    """The same column for another table."""
    keys = [sa.ForeignKey(key.target_fullname) for key in column.foreign_keys]
    return sa.Column(column.name, column.type, *keys, primary_key=column.primary_key, nullable=column.nullable, index=column.index)


BAR_SETS = sa.Table(
    "bar_sets",
    TABLES,
    *(_again(column) for column in _FIRST.tables["bar_sets"].columns),
    _text("parents", "[]"),
    _text("made_by", "{}"),
    _text("state", "trusted"),
)
DATASETS = sa.Table(
    "datasets",
    TABLES,
    *(_again(column) for column in _FIRST.tables["datasets"].columns),
    _text("lineage", "{}"),
    _text("transform", "{}"),
)
PIECES = sa.Table(
    "pieces",
    TABLES,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("symbol", sa.Text, primary_key=True),
    sa.Column("timeframe", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("raw_sha256", sa.Text, nullable=False),
    sa.Column("raw_bytes", sa.Integer, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("start_ms", sa.Integer, nullable=False),
    sa.Column("end_ms", sa.Integer, nullable=False),
    sa.Column("fetched_ms", sa.Integer, nullable=False),
    sa.Column("is_final", sa.Boolean, nullable=False),
    sa.Column("facts", sa.Text, nullable=False),
)
BAR_SET_STATES = sa.Table(
    "bar_set_states",
    TABLES,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("bar_set_id", sa.Text, nullable=False, index=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at_ms", sa.Integer, nullable=False),
)


def pieces_and_lineage(connection: sa.Connection) -> None:
    """Pieces of sources, where bar sets and datasets come from, and whether bars may be built on."""
    PIECES.create(connection)
    BAR_SET_STATES.create(connection)
    for table, name, default in (
        ("bar_sets", "parents", "[]"),
        ("bar_sets", "made_by", "{}"),
        ("bar_sets", "state", "trusted"),
        ("datasets", "lineage", "{}"),
        ("datasets", "transform", "{}"),
    ):
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {name} TEXT NOT NULL DEFAULT '{default}'")


def news_points_and_articles(connection: sa.Connection) -> None:
    """What news sources gave, with the time at which it was first seen."""
    for table in news_tables(sa.MetaData()):
        table.create(connection)


MIGRATIONS = [create_all(_FIRST), pieces_and_lineage, news_points_and_articles]
