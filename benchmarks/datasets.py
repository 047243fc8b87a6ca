"""A dataset of 370,000 × 60 written and read through the public calls, against the same SQLite table in the same run.

    python -m benchmarks.datasets [--rows 370000] [--features 60] [--repeats 5] [--folder DIR]

One JSON line per figure; times are medians in seconds, `ratio` how many times the peer's time is ours.

Writing is `freeze_dataset`: both Arrow files synced to disk with their SHA-256, the transform, the id from the hash of all values, and the
catalogue's entry. The peer commits the same rows to a table through `executemany` of plain Python numbers, the fastest way into SQLite from
Python, with the journal in memory and one sync at the end; pandas' `to_sql` is measured once beside it.

Reading is `load_dataset`, then the sum of every column, so that every page of the files is touched. The files' times of change are set
anew before each one, so that each hashes both files, as the first reading of a process does; `again_s` is a later one of the same process,
which compares size and time of change only. The peer is the faster of `read_sql` and of a plain `fetchall` into one array, summed as well.

`is_correct` says that every value that comes back, from our files and from the table, is the one that went in, bit for bit.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for name, value in {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}.items():
    os.environ.setdefault(name, value)
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from components.features import catalogue  # noqa: E402
from components.fx import Timeframe, validate_bars  # noqa: E402
from components.pipeline import (  # noqa: E402
    DatasetFrames,
    DatasetRecipe,
    FittedTransform,
    PipelineStore,
    freeze_dataset,
    keep_bars,
    load_dataset,
)


def made_rows(rows: int, features: int, seed: int = 20180101) -> tuple[DatasetFrames, DatasetRecipe, pd.DataFrame]:
    """Rows of a dataset with catalogued names and random values, and the bars that they might be of."""
    rng = np.random.default_rng(seed)
    names = tuple(feature.name for feature in catalogue())[:features]
    index = pd.date_range("2018-01-01", periods=rows, freq="min", tz="UTC").as_unit("ms").rename("open_time")
    frame = pd.DataFrame(rng.normal(size=(len(names), rows)).T, index=index, columns=list(names), copy=False)
    row = np.arange(rows)
    frame = frame.assign(label=rng.integers(-1, 2, rows), row=row, label_end_row=np.minimum(row + 12, rows - 1), label_value=rng.normal(size=rows))
    train = round(rows * 0.7)
    close = 1.1 * np.exp(np.cumsum(rng.normal(0, 5e-5 * 2, rows)))
    bars = validate_bars(pd.DataFrame({"open": close, "high": close, "low": close, "close": close, "volume": 1.0}, index=index))
    return DatasetFrames(frame.iloc[:train], frame.iloc[train:], names, FittedTransform(features=names)), DatasetRecipe(features=names), bars


def median_of(call: Callable[[], Any], repeats: int, before: Callable[[], Any] = lambda: None) -> tuple[float, Any]:
    """Median time of a call, and its last answer; `before` runs before each, unmeasured."""
    seconds, answer = [], None
    for _ in range(repeats):
        before()
        began = time.perf_counter()
        answer = call()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds), answer


def sums(frame: pd.DataFrame) -> float:
    """The sum of every value, column by column."""
    return sum(float(frame[name].to_numpy().sum()) for name in frame.columns)


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """All rows into one SQLite table, on disk when this returns."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=MEMORY")
    columns = ",".join(f'"{name}" {"REAL" if frame[name].dtype == np.float64 else "INTEGER"}' for name in frame.columns)
    connection.execute(f"CREATE TABLE dataset (open_time INTEGER PRIMARY KEY, {columns})")
    values = [frame.index.asi8.tolist(), *(frame[name].to_numpy().tolist() for name in frame.columns)]
    with connection:
        connection.executemany(f"INSERT INTO dataset VALUES ({','.join('?' * len(values))})", zip(*values, strict=True))
    connection.close()


def read_table(path: Path) -> pd.DataFrame:
    """All rows of the table, through pandas."""
    connection = sqlite3.connect(path)
    frame = pd.read_sql("SELECT * FROM dataset", connection, index_col="open_time")
    connection.close()
    sums(frame)
    return frame


def read_array(path: Path) -> np.ndarray:
    """All rows of the table, as one array of plain numbers."""
    connection = sqlite3.connect(path)
    values = np.array(connection.execute("SELECT * FROM dataset").fetchall(), dtype=np.float64)
    connection.close()
    values.sum()
    return values


def measure(folder: Path, rows: int, features: int, repeats: int) -> list[dict[str, Any]]:
    """Writing and reading, ours and the peer's."""
    frames, recipe, bars = made_rows(rows, features)
    whole = pd.concat([frames.train, frames.test])
    home, table = folder / "output_central", folder / "dataset.sqlite"
    bar_set = keep_bars(home, "made", "EURUSD", Timeframe.M1, bars, 100.0, {})
    open_ms = bars.index.asi8
    store = PipelineStore.open(home)

    def forget_dataset() -> None:
        for known in store.datasets():
            store.delete_dataset(known.id)

    write_s, dataset = median_of(lambda: freeze_dataset(store, bar_set, recipe, frames, open_ms), repeats, forget_dataset)
    table_repeats = min(repeats, 3)
    write_table_s, _ = median_of(lambda: write_table(table, whole), table_repeats, lambda: table.unlink(missing_ok=True))

    def read() -> DatasetFrames:
        loaded = load_dataset(home, dataset.id)
        sums(loaded.train), sums(loaded.test)
        return loaded

    def touch() -> None:
        for name in dataset.sha256:
            os.utime(dataset.path / name)

    read_s, loaded = median_of(read, repeats, touch)
    again_s, _ = median_of(read, repeats)
    read_sql_s, from_table = median_of(lambda: read_table(table), table_repeats)
    fetch_s, _ = median_of(lambda: read_array(table), table_repeats)
    to_sql_s, _ = median_of(lambda: to_sql(folder / "pandas.sqlite", whole), 1)
    back = pd.concat([loaded.train, loaded.test])
    is_correct = (
        is_equal(back, whole) and np.array_equal(from_table.to_numpy(), whole.to_numpy()) and bool((from_table.index == whole.index.asi8).all())
    )
    about = {"rows": rows, "features": features, "columns": len(whole.columns), "megabytes": round(whole.memory_usage().sum() / 1e6, 1)}
    about |= {"cores": os.cpu_count(), "is_correct": is_correct}
    peer = min(read_sql_s, fetch_s)
    return [
        {
            "benchmark": "dataset_write", **about, "ours_s": round(write_s, 4), "sqlite_s": round(write_table_s, 3),
            "pandas_to_sql_s": round(to_sql_s, 3), "ratio": round(write_table_s / write_s, 1),
        },
        {
            "benchmark": "dataset_read", **about, "ours_s": round(read_s, 4), "again_s": round(again_s, 4), "sqlite_s": round(peer, 3),
            "read_sql_s": round(read_sql_s, 3), "fetchall_s": round(fetch_s, 3), "ratio": round(peer / read_s, 1),
        },
    ]  # fmt: skip


def to_sql(path: Path, frame: pd.DataFrame) -> None:
    """The same through pandas' own call."""
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    frame.set_axis(frame.index.asi8, axis=0).to_sql("dataset", connection, index_label="open_time")
    connection.close()


def is_equal(ours: pd.DataFrame, given: pd.DataFrame) -> bool:
    """Whether every value, time and name is the same."""
    same = all(np.array_equal(ours[name].to_numpy(), given[name].to_numpy()) for name in given.columns)
    return same and list(ours.columns) == list(given.columns) and bool((ours.index == given.index).all())


def main() -> int:
    """Print every figure; 1 where one is not correct."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=370_000)
    parser.add_argument("--features", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None, help="where both are written; a temporary folder by default")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        lines = measure(folder, options.rows, options.features, options.repeats)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for line in lines:
        print(json.dumps(line))
    return 0 if all(line["is_correct"] for line in lines) else 1


if __name__ == "__main__":
    raise SystemExit(main())
