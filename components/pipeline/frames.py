"""Frames as files: uncompressed Arrow IPC, written whole or not at all, mapped into memory when read."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa

from components.base import atomic_path, sha256_of
from components.fx import BadInput, Corrupt, NotFound

TIME = "open_time"
LEFT_BEHIND_S = 86_400


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
    write_arrow(path, frame)
    return sha256_of(path)


def write_arrow(path: Path, frame: pd.DataFrame) -> None:
    """`write_frame` without the digest."""
    times = pd.DatetimeIndex(frame.index).as_unit("ms").asi8
    columns = [pa.array(times, type=pa.int64()).view(pa.timestamp("ms", tz="UTC"))]
    columns += [pa.array(np.ascontiguousarray(frame[name].to_numpy())) for name in frame.columns]
    table = pa.table(columns, names=[TIME, *frame.columns])
    with atomic_path(path) as temporary, pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=max(len(frame), 1))


class FrameWriter:
    """Writes a frame of any length as one Arrow IPC file, block by block, without holding it in memory.

    The columns grow in temporary files beside the target; `close` maps them, writes the Arrow file as one record batch (so that every
    column is one view when it is read) and removes them. A writer that is left without `close` leaves nothing behind.

    Parameters
    ----------
    path : Path
        The file to be; its folder is made if it is missing.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        self.path = path
        self.rows = 0
        self._columns: dict[str, BinaryIO] = {}
        self._types: dict[str, np.dtype[Any]] = {}
        # Windows keeps what is still mapped; a later writer sweeps it.
        self._folder = tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent, ignore_cleanup_errors=True)

    def append(self, frame: pd.DataFrame) -> None:
        """Add the rows of a frame: UTC index, the same numeric columns each time.

        Raises
        ------
        BadInput
            If its columns or their types are not those of the first block.
        """
        parts = {TIME: pd.DatetimeIndex(frame.index).as_unit("ms").asi8, **{str(name): frame[name].to_numpy() for name in frame.columns}}
        types = {name: values.dtype for name, values in parts.items()}
        if not self._columns:
            self._types = types
            self._columns = {name: (Path(self._folder.name) / str(place)).open("wb") for place, name in enumerate(parts)}
        elif types != self._types:
            raise BadInput("frame", f"a block has the columns {types}, the first one had {self._types}")
        for name, values in parts.items():
            np.ascontiguousarray(values).tofile(self._columns[name])
        self.rows += len(frame)

    @property
    def span_ms(self) -> tuple[int, int]:
        """First and last time that were written, epoch milliseconds UTC."""
        self._columns[TIME].flush()
        times = np.memmap(self._columns[TIME].name, dtype=np.int64, mode="r")
        return int(times[0]), int(times[-1])

    def content_hash(self, *before: str) -> str:
        """What `content_hash` gives for these texts and the whole frame so far."""
        digest = hashlib.sha256()
        for part in before:
            digest.update(part.encode() + b"\0")
        for name, file in self._columns.items():
            file.flush()
            if name != TIME:
                digest.update(f"{name}:{self._types[name]}\0".encode())
            with open(file.name, "rb") as written:
                while block := written.read(1 << 20):
                    digest.update(block)
        return digest.hexdigest()

    def close(self, path: Path | None = None) -> str:
        """Write the Arrow file, under another name where one is given; its SHA-256."""
        target = path or self.path
        try:
            arrays = []
            for name, file in self._columns.items():
                file.close()
                # Mapped, not read: the kernel takes pages back when memory is short.
                values = np.memmap(file.name, dtype=self._types[name], mode="r") if self.rows else np.empty(0, dtype=self._types[name])
                column = pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), self.rows, [None, pa.py_buffer(values)])
                arrays.append(column.view(pa.timestamp("ms", tz="UTC")) if name == TIME else column)
            batch = pa.record_batch(arrays, names=list(self._columns))
            with atomic_path(target) as temporary, pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
                writer.write_batch(batch)
            return sha256_of(target)
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what is temporary."""
        for file in self._columns.values():
            file.close()
        self._folder.cleanup()


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
        content = _digest(path, state.st_ino, state.st_size, state.st_mtime_ns)
    except OSError:
        raise NotFound(f"the file {path} is gone; collect or build it again") from None
    if content != sha256:
        raise Corrupt(f"{path} is not what was written (sha256 {content[:12]}…, expected {sha256[:12]}…); delete it and build it again")
    return map_frame(path)


def map_frame(path: Path) -> pd.DataFrame:
    """`read_frame` of a file that is known to be what was written."""
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


def _sweep(folder: Path) -> None:
    """Remove what writers that were killed left behind a day ago or earlier."""
    for path in folder.glob(".*.arrow.*"):
        with suppress(OSError):  # gone meanwhile, or still mapped on Windows
            if path.stat().st_mtime < time.time() - LEFT_BEHIND_S:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


@lru_cache(maxsize=8192)
def _digest(path: Path, number: int, size: int, changed_ns: int) -> str:
    # The file's number too: a file may be replaced twice within one tick of the clock that dates it.
    return sha256_of(path)
