"""Datasets in the catalogue: all of the room's SQL about them. Their rows lie in files beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from components.base import Database, insert_or_ignore
from components.fx import NotFound, Refused
from components.pipeline.recipe import Dataset, DatasetRecipe
from components.pipeline.schema import BAR_SETS, DATASETS

_WITH_BARS: sa.Select[Any] = sa.select(*DATASETS.c, BAR_SETS.c.symbol, BAR_SETS.c.timeframe).join(BAR_SETS, BAR_SETS.c.id == DATASETS.c.bar_set_id)
_DOCUMENTS = ("sha256", "lineage", "transform")


class DatasetCatalogue:
    """What a `PipelineStore` knows of datasets."""

    home: Path
    database: Database

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
        values |= {name: json.dumps(values[name], sort_keys=True) for name in _DOCUMENTS}
        path = dataset.path.relative_to(self.home) if dataset.path.is_absolute() else dataset.path
        values |= {"recipe": dataset.recipe.model_dump_json(), "path": path.as_posix()}
        with self.database.write() as connection:
            if not insert_or_ignore(connection, DATASETS, [values]):
                connection.execute(DATASETS.update().where(DATASETS.c.id == dataset.id).values(sha256=values["sha256"]))
        return self.dataset(dataset.id)

    def delete_dataset(
        self, dataset_id: str, *, dependents: Sequence[str] | Callable[[str], Sequence[str]] = (), force: bool = False
    ) -> tuple[str, ...]:
        """Forget a dataset and remove its files.

        Parameters
        ----------
        dataset_id : str
        dependents : sequence of str, or callable
            Names of what was made from it in rooms above this one, such as models; or what gives them for a dataset's id.
        force : bool
            Whether it is deleted although something depends on it; a model that was trained on it keeps its id.

        Returns
        -------
        tuple of str
            The names of what depended on it.

        Raises
        ------
        NotFound
            If there is none of that id.
        Refused
            If something depends on it and `force` is false; the message names everything.
        """
        dataset = self.dataset(dataset_id)
        names = tuple(dependents(dataset.id) if callable(dependents) else dependents)
        if names and not force:
            raise Refused("in_use", f"dataset {dataset.id} is what {', '.join(names)} came from; delete that first, or force it")
        with self.database.write() as connection:
            connection.execute(DATASETS.delete().where(DATASETS.c.id == dataset.id))
        shutil.rmtree(dataset.path, ignore_errors=True)
        return names

    def datasets_built_on(self, bar_set_id: str) -> list[str]:
        """Ids of the datasets that were built on a bar set, be it their own or another symbol's or one that theirs was made from."""
        with self.database.read() as connection:
            return datasets_built_on(connection, bar_set_id)

    def _dataset(self, row: sa.Row[Any]) -> Dataset:
        values = dict(row._mapping)
        values |= {name: json.loads(values[name]) for name in _DOCUMENTS}
        return Dataset(**{**values, "recipe": DatasetRecipe.model_validate_json(values["recipe"]), "path": self.home / values["path"]})


def datasets_built_on(connection: sa.Connection, bar_set_id: str) -> list[str]:
    """See `DatasetCatalogue.datasets_built_on`; inside a transaction that is open already."""
    columns = (DATASETS.c.id, DATASETS.c.bar_set_id, DATASETS.c.recipe, DATASETS.c.lineage)
    found = []
    for row in connection.execute(sa.select(*columns).order_by(DATASETS.c.id)):
        made_from = {row.bar_set_id, *json.loads(row.recipe).get("others", ())}
        made_from |= {one["id"] for one in json.loads(row.lineage).get("bar_sets", ())}
        if bar_set_id in made_from:
            found.append(str(row.id))
    return found
