"""Frames as files: uncompressed Arrow IPC, written whole or not at all, mapped into memory when read."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from components.base import atomic_path, sha256_of
from components.fx import Corrupt, NotFound

TIME = "open_time"


def write_frame(path: Path, frame: pd.DataFrame) -> str:
    """Write a frame with a UTC index as Arrow IPC.

    Parameters
    ----------
    path : Path
        The file; its folder is made if it is missing.
    frame : DataFrame, shape (n, m)
        UTC DatetimeIndex, numeric columns.

    Returns
    -------
    str
        SHA-256 of the file.
    """
    times = pd.DatetimeIndex(frame.index).as_unit("ms").asi8
    columns = [pa.array(times, type=pa.int64()).view(pa.timestamp("ms", tz="UTC"))]
    columns += [pa.array(np.ascontiguousarray(frame[name].to_numpy())) for name in frame.columns]
    table = pa.table(columns, names=[TIME, *frame.columns])
    with atomic_path(path) as temporary, pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=max(len(frame), 1))
    return sha256_of(path)


def read_frame(path: Path, sha256: str) -> pd.DataFrame:
    """Map a file of `write_frame` into memory; the columns are read-only views of it.

    Raises
    ------
    NotFound
        If the file is gone.
    Corrupt
        If its content is not what was written.
    """
    try:
        state = path.stat()
        content = _digest(path, state.st_size, state.st_mtime_ns)
    except OSError:
        raise NotFound(f"the file {path} is gone; collect or build it again") from None
    if content != sha256:
        raise Corrupt(f"{path} is not what was written (sha256 {content[:12]}…, expected {sha256[:12]}…); delete it and build it again")
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    # One chunk was written, so that every column is one view; an empty table has none.
    arrays = {name: table[name].combine_chunks() for name in table.column_names}
    times = arrays.pop(TIME).view(pa.int64()).to_numpy()
    index = pd.DatetimeIndex(times.view("M8[ms]")).tz_localize("UTC").rename(TIME)
    return pd.DataFrame({name: array.to_numpy(zero_copy_only=True) for name, array in arrays.items()}, index=index, copy=False)


def is_intact(path: Path, sha256: str) -> bool:
    """Whether the file is there and is what was written."""
    return path.is_file() and sha256_of(path) == sha256


def content_hash(*parts: str | pd.DataFrame) -> str:
    """SHA-256 over texts and frames: index, column names and values, whatever file format holds them."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode() + b"\0")
            continue
        digest.update(pd.DatetimeIndex(part.index).as_unit("ms").asi8.tobytes())
        for name in part.columns:
            values = np.ascontiguousarray(part[name].to_numpy())
            digest.update(f"{name}:{values.dtype}\0".encode())
            digest.update(values.tobytes())
    return digest.hexdigest()


@lru_cache(maxsize=256)
def _digest(path: Path, size: int, changed_ns: int) -> str:
    return sha256_of(path)
