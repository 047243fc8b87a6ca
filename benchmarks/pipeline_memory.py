"""Memory of the whole pipeline: HistData years to scored bars, to a dataset of 60 features, in a process of its own.

One JSON line per length of history. `peak_anonymous_mb` is the largest amount of memory of the process's own (RssAnon, sampled every 5 ms);
pages of mapped files, which the system takes back when it needs them, are in `peak_resident_mb` too. The prices are synthetic (a random
walk on the real calendar), in HistData's own layout. `is_correct`: every minute that was written is in the bars, and the dataset's rows,
warm-up and horizon account for all of them.

    python -m benchmarks.pipeline_memory [--years 1 10]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

for name, value in {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}.items():
    os.environ[name] = value

FIRST_YEAR = 2010
FEATURES = 60
SAMPLE_S = 0.005


def main() -> None:
    """Measure each length in a fresh process."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--years", type=int, nargs="+", default=[1, 10])
    arguments.add_argument("--child", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.child:
        measure(Path(given.child))
        return
    for years in given.years:
        with tempfile.TemporaryDirectory() as folder:
            rows = [write_year(Path(folder), FIRST_YEAR + year) for year in range(years)]
            command = [sys.executable, "-m", "benchmarks.pipeline_memory", "--child", folder]
            answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
            answer["is_correct"] = answer.pop("accounted") and answer["bars"] == sum(rows)
            print(json.dumps({"benchmark": "pipeline_memory", "years": years, **answer}), flush=True)


def write_year(folder: Path, year: int) -> int:
    """A year of M1 in HistData's layout and clock (UTC−5, European summer time); the number of its bars."""
    import numpy as np
    import pandas as pd

    day = pd.date_range(f"{year}-01-01", f"{year + 1}-01-01", freq="min", inclusive="left", tz="UTC")
    new_york = day.tz_convert("America/New_York") + pd.Timedelta(hours=7)
    open_utc = day[(new_york.day_of_week < 5) & ~((day.month == 12) & (day.day == 25)) & ~((day.month == 1) & (day.day == 1))]
    local = open_utc.tz_convert("Europe/London").tz_localize(None) - pd.Timedelta(hours=5)
    random = np.random.default_rng(year)
    close = 1.2 * np.exp(np.cumsum(random.normal(0, 1e-4, len(local))))
    opens = np.concatenate(([1.2], close[:-1]))
    reach = np.abs(random.normal(0, 5e-5, (2, len(local))))
    high, low = np.maximum(opens, close) + reach[0], np.minimum(opens, close) - reach[1]
    table = pd.DataFrame({"time": local.strftime("%Y%m%d %H%M%S"), "open": opens, "high": high, "low": low, "close": close, "volume": 0}).round(6)
    name = f"DAT_ASCII_EURUSD_M1_{year}.csv"
    with zipfile.ZipFile(folder / f"HISTDATA_COM_ASCII_EURUSD_M1{year}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(name, table.to_csv(sep=";", header=False, index=False, float_format="%.6f"))
    return len(table)


def measure(folder: Path) -> None:
    """Run the pipeline on the files and print what it took."""
    from components.features import catalogue
    from components.pipeline import PipelineStore, build_dataset, collect

    names = [one.name for one in catalogue() if not one.needs - {"volume"}][:FEATURES]
    peak = Peak()
    began = time.perf_counter()
    bars = collect(folder / "home", "histdata", "EURUSD", "M1", options={"path": str(folder)})
    collected = time.perf_counter()
    at_bars = peak.anonymous
    if bars.state == "quarantined":
        store = PipelineStore.open(folder / "home")
        store.set_state(bars.id, "released", "the benchmark", f"synthetic prices: {bars.quality['verdict']['reasons']}")
        store.close()
    dataset = build_dataset(folder / "home", bars.id, {"features": names})
    built = time.perf_counter()
    unused = bars.rows - dataset.rows
    answer = {
        "bars": bars.rows,
        "features": len(names),
        "dataset_rows": dataset.rows,
        "accounted": 0 <= unused < 10_000,
        "state": bars.state,
        "collect_s": round(collected - began, 2),
        "dataset_s": round(built - collected, 2),
        "peak_anonymous_collect_mb": round(at_bars / 1e6),
        "peak_anonymous_mb": round(peak.anonymous / 1e6),
        "peak_resident_mb": round(peak.resident / 1e6),
    }
    print(json.dumps(answer))


class Peak:
    """The largest memory of this process so far, in bytes."""

    def __init__(self) -> None:
        self.anonymous = self.resident = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
            self.anonymous = max(self.anonymous, 1024 * int(status["RssAnon"].split()[0]))
            self.resident = max(self.resident, 1024 * int(status["VmRSS"].split()[0]))
            time.sleep(SAMPLE_S)


if __name__ == "__main__":
    main()
