"""Tables of this room on disk: uncompressed Arrow IPC, whole or not at all, times in UTC milliseconds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

from components.base import atomic_path
from components.fx import NotFound


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame; a reader sees the old file or the new one."""
    times = {name: frame[name].dt.as_unit("ms") for name in frame.columns if isinstance(frame[name].dtype, pd.DatetimeTZDtype)}
    table = pa.Table.from_pandas(frame.assign(**times), preserve_index=False)
    with atomic_path(path) as temporary, pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def read_frame(path: Path) -> pd.DataFrame:
    """Read a frame that `write_frame` wrote.

    Raises
    ------
    NotFound
        If the file is gone.
    """
    try:
        with pa.memory_map(str(path)) as source:
            frame: pd.DataFrame = pa.ipc.open_file(source).read_all().to_pandas()
    except FileNotFoundError:
        raise NotFound(f"the file {path} is gone; run the backtest again") from None
    return frame
