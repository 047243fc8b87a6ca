"""Datasets for other programs: one Parquet or CSV file with every row, written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv, parquet

from components.base import atomic_path, sha256_of
from components.fx import BadInput, Refused
from components.pipeline.dataset import load_dataset
from components.pipeline.recipe import Dataset, DatasetFrames
from components.pipeline.store import PipelineStore

ExportFormat = Literal["parquet", "csv"]
FORMATS: tuple[ExportFormat, ...] = ("parquet", "csv")
CHUNK_ROWS = 65_536


@dataclass(frozen=True)
class Exported:
    """A written export."""

    dataset_id: str
    path: Path
    format: ExportFormat
    rows: int
    bytes: int
    sha256: str


def export_dataset(
    home: Path, dataset_id: str, path: Path, format: ExportFormat = "parquet", progress: Callable[..., None] | None = None, *, overwrite: bool = False
) -> Exported:
    """Write a dataset as one file.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    dataset_id : str
    path : Path
        The file to be, or a folder, in which it is named after the dataset.
    format : {'parquet', 'csv'}
        Columns are ``open_time`` (UTC), ``part`` (train or test), the features as the dataset holds them, and what it knows of the label. A
        CSV file gives every float with all its digits. A Parquet file holds the recipe and the transform in its metadata.
    progress : callable, optional
        Called as ``progress(fraction, message, **metrics)`` after every 65,536 rows; raises to cancel, which leaves no file.
    overwrite : bool
        Whether a file that is there already is replaced.

    Raises
    ------
    BadInput
        If the format is unknown.
    Refused
        If the file is there already.
    NotFound, Corrupt
        If the dataset is gone or not what was written.
    """
    if format not in FORMATS:
        raise BadInput("format", f"{format!r} is unknown; use one of {', '.join(FORMATS)}")
    report = progress or (lambda fraction, message, **metrics: None)
    store = PipelineStore.open(home)
    try:
        dataset = store.dataset(dataset_id)
    finally:
        store.close()
    path = Path(path)
    target = path / f"dataset-{dataset.id}.{format}" if path.is_dir() else path
    if target.exists() and not overwrite:
        raise Refused("exists", f"{target} is there already; name another file or allow it to be replaced")
    frames = load_dataset(home, dataset.id)
    schema = _schema(dataset, frames)
    written = 0
    report(0.0, f"writing {dataset.rows:,} rows to {target.name}", rows=0)
    with atomic_path(target) as temporary, _writer(temporary, schema, format) as writer:
        for batch in _batches(frames, schema):
            writer.write_batch(batch)
            written += batch.num_rows
            report(0.95 * written / dataset.rows, f"{written:,} of {dataset.rows:,} rows written", rows=written)
    report(1.0, f"{written:,} rows written to {target}", rows=written)
    return Exported(dataset.id, target, format, written, target.stat().st_size, sha256_of(target))


def _writer(path: Path, schema: pa.Schema, format: ExportFormat) -> Any:
    return parquet.ParquetWriter(path, schema) if format == "parquet" else csv.CSVWriter(path, schema)


def _schema(dataset: Dataset, frames: DatasetFrames) -> pa.Schema:
    fields = [pa.field("open_time", pa.timestamp("ms", tz="UTC")), pa.field("part", pa.string())]
    fields += [pa.field(str(name), pa.from_numpy_dtype(frames.train[name].dtype)) for name in frames.train.columns]
    about = {"dataset_id": dataset.id, "bar_set_id": dataset.bar_set_id, "recipe": dataset.recipe.model_dump_json()}
    return pa.schema(fields, metadata={**about, "transform": frames.transform.to_json()})


def _batches(frames: DatasetFrames, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for part, frame in (("train", frames.train), ("test", frames.test)):
        for start in range(0, len(frame), CHUNK_ROWS):
            some = frame.iloc[start : start + CHUNK_ROWS]
            times = pa.array(pd.DatetimeIndex(some.index).as_unit("ms").asi8, type=pa.int64()).view(pa.timestamp("ms", tz="UTC"))
            columns = [pa.array(np.ascontiguousarray(some[name].to_numpy())) for name in some.columns]
            yield pa.record_batch([times, pa.array([part] * len(some)), *columns], schema=schema)
