"""A year of minutes from a HistData zip to validated, scored, stored bars, against pandas reading the same file in the same run.

    python -m benchmarks.histdata [--file HISTDATA_COM_ASCII_EURUSD_M12018.zip] [--repeats 5]

One JSON line per figure; times are medians in seconds, and the two sides take turns so that a busy machine slows both. ``pandas_s`` is
``pandas.read_csv`` of the zip with its time column parsed by format. ``collect_s`` is the public call with an empty home each time: unzip,
parse, find the clock, store the piece, validate, score, store the bars. ``ratio`` is collect over pandas; the target is 3 or less.
``is_correct`` says that the stored bars are pandas' own rows, their times moved by New York's offset from UTC, and nothing else; it holds for
files that follow the American dates, such as those of 2018. ``source_s`` is the source alone, without a store. The last line is the peak of
memory of a fresh process that collects once.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
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

from components.base import configure_log  # noqa: E402
from components.pipeline import BarSet, PipelineStore, Request, SourceContext, collect, source_named  # noqa: E402

REAL = Path(os.environ.get("SEQUENCE_REALDATA") or ROOT.parent / "shared" / "data") / "histdata"
COLUMNS = ["time", "open", "high", "low", "close", "volume"]
TARGET = 3.0
FRESH = """
import resource, sys
from pathlib import Path
from components.pipeline import collect
collect(Path(sys.argv[1]), "histdata", sys.argv[3], "M1", options={"path": sys.argv[2]})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Time of one call, and its answer."""
    began = time.perf_counter()
    answer = call()
    return time.perf_counter() - began, answer


def by_pandas(file: Path) -> pd.DataFrame:
    """The file as pandas reads it."""
    return pd.read_csv(file, sep=";", header=None, names=COLUMNS, parse_dates=["time"], date_format="%Y%m%d %H%M%S")


def is_equal(bars: pd.DataFrame, raw: pd.DataFrame) -> bool:
    """Whether bars are the rows of pandas, at the instants that a clock in New York showed them."""
    times = pd.DatetimeIndex(raw["time"]).tz_localize("America/New_York").tz_convert("UTC").as_unit("ms")
    same = (pd.DatetimeIndex(bars.index).as_unit("ms").asi8 == times.asi8).all()
    return bool(same) and all(np.array_equal(bars[name].to_numpy(), raw[name].to_numpy(dtype=np.float64)) for name in COLUMNS[1:])


def measure(file: Path, symbol: str, repeats: int) -> dict[str, Any]:
    """Both sides in turns, after one round that counts for neither."""
    options = {"path": str(file)}

    def ours() -> tuple[float, tuple[BarSet, pd.DataFrame]]:
        with tempfile.TemporaryDirectory() as folder:
            took, found = timed(lambda: collect(Path(folder), "histdata", symbol, "M1", options=options))
            store = PipelineStore.open(Path(folder))
            bars = store.load_bars(found.id).copy()
            store.close()
            return took, (found, bars)

    def source_alone() -> int:
        return sum(len(piece.frame) for piece in source_named("histdata").pieces(Request(symbol, "M1", options=options), {}, SourceContext(Path())))

    ours(), by_pandas(file), source_alone()
    collects, pandas_, alone = list[float](), list[float](), list[float]()
    for _ in range(repeats):
        pandas_s, raw = timed(lambda: by_pandas(file))
        collect_s, (bar_set, bars) = ours()
        collects.append(collect_s)
        pandas_.append(pandas_s)
        alone.append(timed(source_alone)[0])
    ratio = statistics.median(collects) / statistics.median(pandas_)
    return {
        "benchmark": "histdata",
        "file": file.name,
        "rows": len(raw),
        "quality": bar_set.quality_score,
        "is_correct": is_equal(bars, raw),
        "collect_s": round(statistics.median(collects), 4),
        "source_s": round(statistics.median(alone), 4),
        "pandas_s": round(statistics.median(pandas_), 4),
        "ratio": round(ratio, 2),
        "target": TARGET,
        "is_met": ratio <= TARGET,
    }


def fresh_process(file: Path, symbol: str) -> dict[str, Any]:
    """Time and peak memory of a process that collects the file once and ends."""
    with tempfile.TemporaryDirectory() as folder:
        took, done = timed(
            lambda: subprocess.run([sys.executable, "-c", FRESH, folder, str(file), symbol], cwd=ROOT, capture_output=True, text=True, check=True)
        )
    return {"benchmark": "histdata", "peer": "fresh process", "process_s": round(took, 2), "peak_mib": round(int(done.stdout.split()[-1]) / 1024)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--file", type=Path, default=REAL / "HISTDATA_COM_ASCII_EURUSD_M12018.zip")
    arguments.add_argument("--symbol", default="EURUSD")
    arguments.add_argument("--repeats", type=int, default=5)
    given = arguments.parse_args()
    configure_log("WARNING")
    if not given.file.is_file():
        raise SystemExit(f"{given.file} is not there: set SEQUENCE_REALDATA to the folder of real files, or name one with --file")
    print(json.dumps(measure(given.file, given.symbol, given.repeats)), flush=True)
    print(json.dumps(fresh_process(given.file, given.symbol)), flush=True)


if __name__ == "__main__":
    main()
