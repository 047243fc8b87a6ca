"""The rows of a dataset as files: written while they are hashed, and hashed by what they hold when they are read.

The digest is that of the content: times, names, types and values, column by column, so that it is the same whatever writes the Arrow file,
takes one pass over the values, and uses several cores. The dataset's id is made from it.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from components.fx import Corrupt, NotFound
from components.pipeline.frames import TIME, map_frame, write_arrow

RELEASE_S = 0.02
_verified: dict[Path, tuple[int, int, str]] = {}


def write_rows(path: Path, frame: pd.DataFrame) -> str:
    """Write a frame as `components.pipeline.frames.write_frame` does; the SHA-256 of its content.

    The columns are hashed by other threads while they are written. Columns that are mapped from files do not stay in memory.
    """
    with ThreadPoolExecutor(max_workers=_cores()) as threads, _releasing(frame):
        parts = _parts(threads, frame)
        write_arrow(path, frame)
        return _joined(parts)


def release(values: NDArray[Any]) -> bool:
    """Give back the memory of an array that is mapped from a file, which keeps its values; whether it is one."""
    base: Any = values
    while isinstance(base, np.ndarray):
        base = base.base
    if not isinstance(base, mmap.mmap) or not hasattr(base, "madvise"):  # Windows has none, and takes pages back by itself
        return False
    base.madvise(mmap.MADV_DONTNEED)
    return True


def content_digest(frame: pd.DataFrame) -> str:
    """SHA-256 of a frame's times, and of the name, type and values of each column in order."""
    with ThreadPoolExecutor(max_workers=_cores()) as threads:
        return _joined(_parts(threads, frame))


def read_rows(path: Path, sha256: str) -> pd.DataFrame:
    """Map a file of `write_rows` into memory; the columns are read-only views of it.

    Every value is compared with the digest when this process reads the file first, and again whenever the file's size or time of change is
    another one.

    Raises
    ------
    NotFound
        If the file is gone.
    Corrupt
        If its content is not what was written.
    """
    try:
        state = path.stat()
        frame = map_frame(path)
    except FileNotFoundError:
        raise NotFound(f"the file {path} is gone; build the dataset again") from None
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError, KeyError) as error:
        raise Corrupt(f"{path} cannot be read ({error}); delete the dataset and build it again") from None
    known = (state.st_size, state.st_mtime_ns, sha256)
    if _verified.get(path) != known:
        content = content_digest(frame)
        if content != sha256:
            raise Corrupt(f"{path} is not what was written (content {content[:12]}…, expected {sha256[:12]}…); delete the dataset and build it again")
        _verified[path] = known
    return frame


@contextmanager
def _releasing(frame: pd.DataFrame) -> Iterator[None]:
    """Keep what is mapped out of memory while it is read from end to end."""
    mapped = [values for name in frame.columns if release(values := frame[name].to_numpy())]
    done = Event()

    def watch() -> None:
        while not done.wait(RELEASE_S):
            for values in mapped:
                release(values)

    thread = Thread(target=watch, daemon=True)
    if mapped:
        thread.start()
    try:
        yield
    finally:
        done.set()
        if mapped:
            thread.join()


def _cores() -> int:
    return min(4, os.cpu_count() or 1)


def _parts(threads: ThreadPoolExecutor, frame: pd.DataFrame) -> list[tuple[str, Future[str]]]:
    """What is hashed: a name with its type, and the digest of its values to come."""
    columns: list[tuple[str, NDArray[Any]]] = [(TIME, np.ascontiguousarray(pd.DatetimeIndex(frame.index).as_unit("ms").asi8))]
    columns += [(str(name), np.ascontiguousarray(frame[name].to_numpy())) for name in frame.columns]
    return [(f"{name}:{values.dtype.str}:{len(values)}", threads.submit(_hash, values)) for name, values in columns]


def _hash(values: NDArray[Any]) -> str:
    return hashlib.sha256(values.data).hexdigest()


def _joined(parts: list[tuple[str, Future[str]]]) -> str:
    return hashlib.sha256("".join(f"{name}={digest.result()}\0" for name, digest in parts).encode()).hexdigest()
