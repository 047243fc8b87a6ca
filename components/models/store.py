"""The registry of models, ``models.db``: all SQL of this room. A model's file lies in ``models/<id>/``."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from components.base import Database, create_all, now_ms, sha256_of, write_atomic
from components.fx import BadInput, NotFound
from components.models.protocol import STAGES, Model, Stage
from components.pipeline import FittedTransform

FILE_NAME = "model.txt"
TRANSFORM_NAME = "transform.json"
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
FAMILIES = ("lightgbm",)


def _models_table(tables: sa.MetaData, *more: sa.Column[str]) -> sa.Table:
    return sa.Table(
        "models",
        tables,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("family", sa.Text, nullable=False),
        sa.Column("dataset_id", sa.Text, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("timeframe", sa.Text, nullable=False),
        sa.Column("feature_names", sa.Text, nullable=False),
        sa.Column("trained_until_ms", sa.Integer, nullable=False),
        sa.Column("metrics", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("created_ms", sa.Integer, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        *more,
        sa.UniqueConstraint("name", "version"),
    )


_FIRST = sa.MetaData()
_models_table(_FIRST)  # as the first migration made it; what stands there now is below
MODELS = _models_table(sa.MetaData(), sa.Column("transform_sha256", sa.Text, nullable=False, server_default=""))


def transform_of_features(connection: sa.Connection) -> None:
    """Models keep the transform that their features go through."""
    connection.exec_driver_sql("ALTER TABLE models ADD COLUMN transform_sha256 TEXT NOT NULL DEFAULT ''")


class ModelStore:
    """Registered models of one platform."""

    def __init__(self, home: Path, database: Database) -> None:
        self.home = home
        self.database = database

    @classmethod
    def open(cls, home: Path) -> ModelStore:
        """The registry in the folder `home`, made if it is missing."""
        return cls(Path(home), Database(Path(home) / "models.db", [create_all(_FIRST), transform_of_features]))

    def close(self) -> None:
        """Close the connections of this process."""
        self.database.close()

    def register(
        self,
        *,
        name: str,
        family: str,
        dataset_id: str,
        symbol: str,
        timeframe: str,
        feature_names: Sequence[str],
        trained_until_ms: int,
        metrics: Mapping[str, Any],
        content: bytes,
        transform: FittedTransform | None = None,
    ) -> Model:
        """Keep a model's file and enter it under the next version of its name.

        The same content from the same dataset under the same name is the same model: registering it again gives the one that is known, so
        that a training that is run again after its worker died does not count twice.

        Parameters
        ----------
        name : str
            Lower-case letters, digits, ``-`` and ``_``; at most 40.
        family, dataset_id, symbol, timeframe, feature_names, trained_until_ms, metrics
            As in `Model`.
        content : bytes
            The model's file.
        transform : FittedTransform, optional
            What its features go through before the model sees them; its features are `feature_names`.

        Raises
        ------
        BadInput
            If the name or the family is wrong, or the transform is of other features.
        """
        if not NAME_PATTERN.fullmatch(name):
            raise BadInput("name", f"{name!r}: use 1 to 40 lower-case letters, digits, '-' and '_'")
        if family not in FAMILIES:
            raise BadInput("family", f"{family!r} is unknown; known are {', '.join(FAMILIES)}")
        if transform is not None and transform.features != tuple(feature_names):
            raise BadInput("transform", "is of other features than the model")
        sha256 = hashlib.sha256(content).hexdigest()
        transform_text = transform.to_json() if transform is not None and not transform.is_plain else ""
        transform_sha256 = hashlib.sha256(transform_text.encode()).hexdigest() if transform_text else ""
        names = json.dumps(list(feature_names))
        made_from = [name, family, dataset_id, symbol, timeframe, names, str(trained_until_ms), sha256]
        if transform_sha256:
            made_from.append(transform_sha256)
        model_id = hashlib.sha256("\0".join(made_from).encode()).hexdigest()[:16]
        path = model_path(self.home, model_id)
        for file, text, digest in ((path, content, sha256), (path.with_name(TRANSFORM_NAME), transform_text.encode(), transform_sha256)):
            if digest and not (file.is_file() and sha256_of(file) == digest):
                write_atomic(file, text)
        with self.database.write() as connection:
            if connection.execute(sa.select(MODELS.c.id).where(MODELS.c.id == model_id)).first() is None:
                last = connection.execute(sa.select(sa.func.coalesce(sa.func.max(MODELS.c.version), 0)).where(MODELS.c.name == name)).scalar_one()
                connection.execute(
                    MODELS.insert().values(
                        id=model_id,
                        name=name,
                        version=last + 1,
                        family=family,
                        dataset_id=dataset_id,
                        symbol=symbol,
                        timeframe=timeframe,
                        feature_names=names,
                        trained_until_ms=int(trained_until_ms),
                        metrics=json.dumps(dict(metrics), sort_keys=True),
                        sha256=sha256,
                        created_ms=now_ms(),
                        stage="candidate",
                        transform_sha256=transform_sha256,
                    )
                )
        return self.get(model_id)

    def list(self, limit: int = 1000) -> tuple[Model, ...]:
        """The newest models, newest first."""
        newest = sa.select(MODELS).order_by(MODELS.c.created_ms.desc(), MODELS.c.version.desc(), MODELS.c.id).limit(limit)
        with self.database.read() as connection:
            return tuple(self._model(row) for row in connection.execute(newest))

    def of_dataset(self, dataset_id: str) -> tuple[Model, ...]:
        """Every model that was trained on a dataset, oldest first."""
        query = sa.select(MODELS).where(MODELS.c.dataset_id == dataset_id).order_by(MODELS.c.created_ms, MODELS.c.name, MODELS.c.version)
        with self.database.read() as connection:
            return tuple(self._model(row) for row in connection.execute(query))

    def get(self, reference: str) -> Model:
        """The model called `reference`: its id, or ``name:version``.

        Raises
        ------
        NotFound
            If there is none.
        """
        name, colon, version = str(reference).rpartition(":")
        where = MODELS.c.id == str(reference)
        if colon and version.isdecimal():
            where = (MODELS.c.name == name) & (MODELS.c.version == int(version))
        with self.database.read() as connection:
            row = connection.execute(sa.select(MODELS).where(where)).one_or_none()
        if row is None:
            raise NotFound(f"there is no model {reference!r}; name it by its id or as name:version")
        return self._model(row)

    def set_stage(self, model_id: str, stage: Stage) -> Model:
        """Write down what a person decided about a model; making one live retires the live one of the same name.

        Raises
        ------
        NotFound
            If there is no such model.
        BadInput
            If there is no such stage.
        """
        if stage not in STAGES:
            raise BadInput("stage", f"{stage!r} is unknown; use one of {', '.join(STAGES)}")
        model = self.get(model_id)
        with self.database.write() as connection:
            if stage == "live":
                others = (MODELS.c.name == model.name) & (MODELS.c.stage == "live") & (MODELS.c.id != model.id)
                connection.execute(MODELS.update().where(others).values(stage="retired"))
            connection.execute(MODELS.update().where(MODELS.c.id == model.id).values(stage=stage))
        return self.get(model.id)

    def _model(self, row: sa.Row[Any]) -> Model:
        values = dict(row._mapping)
        values |= {"feature_names": tuple(json.loads(values["feature_names"])), "metrics": json.loads(values["metrics"])}
        return Model(path=model_path(self.home, values["id"]), **values)


def model_path(home: Path, model_id: str) -> Path:
    """Where the file of a model lies."""
    return Path(home) / "models" / model_id / FILE_NAME
