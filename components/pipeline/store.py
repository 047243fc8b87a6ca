"""The catalogue of bar sets and datasets: all SQL of this room. The bulk lies in files beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from components.base import Database, create_all, insert_or_ignore
from components.fx import NotFound, Refused
from components.pipeline.frames import read_frame
from components.pipeline.recipe import BarSet, Dataset, DatasetFrames, DatasetRecipe

TABLES = sa.MetaData()
BAR_SETS = sa.Table(
    "bar_sets",
    TABLES,
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
DATASETS = sa.Table(
    "datasets",
    TABLES,
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


class PipelineStore:
    """Bar sets and datasets of one platform, in ``data_pipeline.db`` with their files beside it."""

    def __init__(self, home: Path, database: Database) -> None:
        self.home = home
        self.database = database

    @classmethod
    def open(cls, home: Path) -> PipelineStore:
        """The store in the folder `home`, made if it is missing."""
        return cls(Path(home), Database(Path(home) / "data_pipeline.db", [create_all(TABLES)]))

    def close(self) -> None:
        """Close the connections of this process."""
        self.database.close()

    def bar_sets(self) -> list[BarSet]:
        """Every bar set, newest first."""
        with self.database.read() as connection:
            rows = connection.execute(sa.select(BAR_SETS).order_by(BAR_SETS.c.created_ms.desc(), BAR_SETS.c.id)).all()
        return [self._bar_set(row) for row in rows]

    def bar_set(self, bar_set_id: str) -> BarSet:
        """The bar set of that id.

        Raises
        ------
        NotFound
            If there is none.
        """
        with self.database.read() as connection:
            row = connection.execute(sa.select(BAR_SETS).where(BAR_SETS.c.id == str(bar_set_id))).one_or_none()
        if row is None:
            raise NotFound(f"there is no bar set {bar_set_id!r}")
        return self._bar_set(row)

    def add_bar_set(self, bar_set: BarSet) -> BarSet:
        """Enter a bar set whose file is written; where its id is known already, that one with the new file's digest."""
        values = {**vars(bar_set), "path": _relative(bar_set.path, self.home), "quality": json.dumps(bar_set.quality, sort_keys=True)}
        with self.database.write() as connection:
            if not insert_or_ignore(connection, BAR_SETS, [values]):
                connection.execute(BAR_SETS.update().where(BAR_SETS.c.id == bar_set.id).values(sha256=bar_set.sha256))
        return self.bar_set(bar_set.id)

    def load_bars(self, bar_set_id: str) -> pd.DataFrame:
        """The bars frame of a bar set, validated when it was collected, mapped into memory.

        Raises
        ------
        NotFound
            If the bar set or its file is gone.
        Corrupt
            If the file is not what was written.
        """
        bar_set = self.bar_set(bar_set_id)
        return read_frame(bar_set.path, bar_set.sha256)

    def delete_bar_set(self, bar_set_id: str) -> None:
        """Forget a bar set and remove its file.

        Raises
        ------
        NotFound
            If there is none of that id.
        Refused
            If a dataset was built from it.
        """
        bar_set = self.bar_set(bar_set_id)
        with self.database.write() as connection:
            users = connection.execute(sa.select(DATASETS.c.id).where(DATASETS.c.bar_set_id == bar_set.id)).scalars().all()
            if users:
                raise Refused("in_use", f"bar set {bar_set.id} is used by dataset {users[0]}; delete that first")
            connection.execute(BAR_SETS.delete().where(BAR_SETS.c.id == bar_set.id))
        bar_set.path.unlink(missing_ok=True)

    def datasets(self) -> list[Dataset]:
        """Every dataset, newest first."""
        with self.database.read() as connection:
            rows = connection.execute(_WITH_BARS.order_by(DATASETS.c.created_ms.desc(), DATASETS.c.id)).all()
        return [self._dataset(row) for row in rows]

    def dataset(self, dataset_id: str) -> Dataset:
        """The dataset of that id.

        Raises
        ------
        NotFound
            If there is none.
        """
        with self.database.read() as connection:
            row = connection.execute(_WITH_BARS.where(DATASETS.c.id == str(dataset_id))).one_or_none()
        if row is None:
            raise NotFound(f"there is no dataset {dataset_id!r}")
        return self._dataset(row)

    def add_dataset(self, dataset: Dataset) -> Dataset:
        """Enter a dataset whose files are written; where its id is known already, that one with the new files' digests."""
        values = {name: value for name, value in vars(dataset).items() if name not in ("symbol", "timeframe")}
        values |= {
            "recipe": dataset.recipe.model_dump_json(),
            "path": _relative(dataset.path, self.home),
            "sha256": json.dumps(dataset.sha256, sort_keys=True),
        }
        with self.database.write() as connection:
            if not insert_or_ignore(connection, DATASETS, [values]):
                connection.execute(DATASETS.update().where(DATASETS.c.id == dataset.id).values(sha256=values["sha256"]))
        return self.dataset(dataset.id)

    def delete_dataset(self, dataset_id: str) -> None:
        """Forget a dataset and remove its files; models that were trained on it keep its id.

        Raises
        ------
        NotFound
            If there is none of that id.
        """
        dataset = self.dataset(dataset_id)
        with self.database.write() as connection:
            connection.execute(DATASETS.delete().where(DATASETS.c.id == dataset.id))
        for name in dataset.sha256:
            (dataset.path / name).unlink(missing_ok=True)
        if dataset.path.is_dir() and not any(dataset.path.iterdir()):
            dataset.path.rmdir()

    def _bar_set(self, row: sa.Row[Any]) -> BarSet:
        values = dict(row._mapping)
        return BarSet(**{**values, "path": self.home / values["path"], "quality": json.loads(values["quality"])})

    def _dataset(self, row: sa.Row[Any]) -> Dataset:
        values = dict(row._mapping)
        values |= {"recipe": DatasetRecipe.model_validate_json(values["recipe"]), "path": self.home / values["path"]}
        return Dataset(**{**values, "sha256": json.loads(values["sha256"])})


_WITH_BARS: sa.Select[Any] = sa.select(*DATASETS.c, BAR_SETS.c.symbol, BAR_SETS.c.timeframe).join(BAR_SETS, BAR_SETS.c.id == DATASETS.c.bar_set_id)


def load_dataset(home: Path, dataset_id: str) -> DatasetFrames:
    """The rows of a dataset, mapped into memory.

    Raises
    ------
    NotFound
        If the dataset or one of its files is gone.
    Corrupt
        If a file is not what was written.
    """
    store = PipelineStore.open(home)
    try:
        dataset = store.dataset(dataset_id)
    finally:
        store.close()
    train, test = (read_frame(dataset.path / name, dataset.sha256[name]) for name in ("train.arrow", "test.arrow"))
    return DatasetFrames(train, test, dataset.recipe.features)


def _relative(path: Path, home: Path) -> str:
    return path.relative_to(home).as_posix() if path.is_absolute() else path.as_posix()
