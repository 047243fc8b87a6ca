"""Backtest runs and comparisons: all SQL of this room, ``backtest_results.db``. Trades and equity lie in ``backtests/<id>/`` as Arrow IPC."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from components.backtest.frames import read_frame, write_frame
from components.backtest.studies import StudyStore, study_tables
from components.base import Database, create_all, insert_or_ignore
from components.fx import NotFound

FILES = ("trades", "equity")

TABLES = sa.MetaData()
RUNS = sa.Table(
    "runs",
    TABLES,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("strategy", sa.Text, nullable=False),
    sa.Column("params", sa.Text, nullable=False),
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("timeframe", sa.Text, nullable=False),
    sa.Column("bar_set_id", sa.Text),
    sa.Column("dataset_id", sa.Text),
    sa.Column("model_id", sa.Text),
    sa.Column("policy", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("stats", sa.Text, nullable=False),
    sa.Column("total_return", sa.Float, nullable=False),
    sa.Column("sharpe", sa.Float, nullable=False),
    sa.Column("max_drawdown", sa.Float, nullable=False),
    sa.Column("trades", sa.Integer, nullable=False),
    sa.Column("start_ms", sa.Integer, nullable=False),
    sa.Column("end_ms", sa.Integer, nullable=False),
    sa.Column("code_version", sa.Text, nullable=False),
    sa.Column("created_ms", sa.Integer, nullable=False, index=True),
)
COMPARISONS = sa.Table(
    "comparisons",
    TABLES,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("criterion", sa.Text, nullable=False),
    sa.Column("winner_id", sa.Text, sa.ForeignKey("runs.id"), nullable=False),
    sa.Column("rows", sa.Text, nullable=False),
    sa.Column("created_ms", sa.Integer, nullable=False, index=True),
)


@dataclass(frozen=True)
class StoredRun:
    """A backtest that was kept.

    Parameters
    ----------
    id, name : str
    source : str
        ``"sequence"`` where we ran it, ``"imported"`` where another program did.
    strategy : str
    params : dict
    symbol, timeframe : str
        `timeframe` is empty where an imported run did not say.
    bar_set_id, dataset_id, model_id : str or None
        What it ran on; `dataset_id` is the one that its model was trained on.
    policy : str
        Fill policy; ``"foreign"`` where imported.
    currency : str
        The account's; all money is in it.
    spec : dict
        All that the run was asked for.
    stats : dict
        Measures, as `run_backtest` gives them.
    total_return, sharpe, max_drawdown, trades
        The measures by which runs are listed and compared.
    start_ms, end_ms : int
        First and last instant of the run, epoch milliseconds UTC.
    code_version : str
    created_ms : int
    """

    id: str
    name: str
    source: str
    strategy: str
    params: dict[str, Any]
    symbol: str
    timeframe: str
    bar_set_id: str | None
    dataset_id: str | None
    model_id: str | None
    policy: str
    currency: str
    spec: dict[str, Any]
    stats: dict[str, Any]
    total_return: float
    sharpe: float
    max_drawdown: float
    trades: int
    start_ms: int
    end_ms: int
    code_version: str
    created_ms: int


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Parameters
    ----------
    id : str
    criterion : str
        ``sharpe``, ``return`` or ``drawdown``.
    winner_id : str
    rows : tuple of dict
        Best first: ``run_id name strategy source symbol trades total_return sharpe max_drawdown`` and ``delta_return delta_sharpe
        delta_drawdown``, each the run's value less the winner's.
    created_ms : int
    """

    id: str
    criterion: str
    winner_id: str
    rows: tuple[dict[str, Any], ...]
    created_ms: int


class BacktestStore:
    """Backtests and comparisons of one platform."""

    def __init__(self, home: Path, database: Database) -> None:
        self.home = home
        self.database = database

    @classmethod
    def open(cls, home: Path) -> BacktestStore:
        """The store in the folder `home`, made if it is missing."""
        return cls(Path(home), Database(Path(home) / "backtest_results.db", [create_all(TABLES), study_tables]))

    @property
    def studies(self) -> StudyStore:
        """Sweeps, walk-forwards and audits, over the same connections."""
        return StudyStore(self.home, self.database)

    def close(self) -> None:
        """Close the connections of this process."""
        self.database.close()

    def runs(self, limit: int = 100) -> list[StoredRun]:
        """The newest runs, newest first."""
        newest = sa.select(RUNS).order_by(RUNS.c.created_ms.desc(), RUNS.c.id).limit(limit)
        with self.database.read() as connection:
            return [_run(row) for row in connection.execute(newest)]

    def run(self, run_id: str) -> StoredRun:
        """The run of that id.

        Raises
        ------
        NotFound
            If there is none.
        """
        with self.database.read() as connection:
            row = connection.execute(sa.select(RUNS).where(RUNS.c.id == str(run_id))).one_or_none()
        if row is None:
            raise NotFound(f"there is no backtest {run_id!r}")
        return _run(row)

    def add(self, run: StoredRun, trades: pd.DataFrame, equity: pd.Series) -> StoredRun:
        """Keep a run: its files first, then its row; where its id is known already, the one that is known."""
        folder = self._folder(run.id)
        write_frame(folder / "trades.arrow", trades)
        write_frame(folder / "equity.arrow", pd.DataFrame({"time": pd.DatetimeIndex(equity.index).as_unit("ms"), "equity": equity.to_numpy()}))
        values = {**vars(run), **{name: _json(getattr(run, name)) for name in ("params", "spec", "stats")}}
        with self.database.write() as connection:
            insert_or_ignore(connection, RUNS, [values])
        return self.run(run.id)

    def trades(self, run_id: str) -> pd.DataFrame:
        """The trades of a run, in the order of their exits; columns as in `Result.trades`.

        Raises
        ------
        NotFound
            If there is no such run, or its file is gone.
        """
        return read_frame(self._folder(self.run(run_id).id) / "trades.arrow")

    def equity(self, run_id: str) -> pd.DataFrame:
        """The equity of a run: column ``equity`` in account currency, UTC index ``time``.

        Raises
        ------
        NotFound
            If there is no such run, or its file is gone.
        """
        return read_frame(self._folder(self.run(run_id).id) / "equity.arrow").set_index("time")

    def add_comparison(self, comparison: Comparison) -> Comparison:
        """Keep a comparison."""
        with self.database.write() as connection:
            insert_or_ignore(connection, COMPARISONS, [{**vars(comparison), "rows": _json(comparison.rows)}])
        return comparison

    def comparisons(self, limit: int = 100) -> list[Comparison]:
        """The newest comparisons, newest first."""
        newest = sa.select(COMPARISONS).order_by(COMPARISONS.c.created_ms.desc(), COMPARISONS.c.id).limit(limit)
        with self.database.read() as connection:
            return [Comparison(**{**row._mapping, "rows": tuple(json.loads(row.rows))}) for row in connection.execute(newest)]

    def _folder(self, run_id: str) -> Path:
        return self.home / "backtests" / run_id


def _run(row: sa.Row[Any]) -> StoredRun:
    values = dict(row._mapping)
    return StoredRun(**{**values, **{name: json.loads(values[name]) for name in ("params", "spec", "stats")}})


def _json(document: Mapping[str, Any] | tuple[Any, ...]) -> str:
    return json.dumps(document, allow_nan=False, sort_keys=True)
