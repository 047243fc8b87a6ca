"""Many parameter pairs through the public sweep, against vectorbt, a bare compiled loop and backtesting.py on the same bars in the same run.

    python -m benchmarks.sweep [--pairs 200] [--repeats 3] [--vectorbt PYTHON] [--quick]

One JSON line per figure; times are medians in seconds. ``ours_s`` is `run_sweep` over pairs of lengths of the crossing of two averages on a year
of minutes, with the statistics of each; ``bare_pairs_s`` the same pairs in `benchmarks.bare_loop` over all cores, which computes a Sharpe ratio,
a drawdown and a profit of each and nothing else. ``backtesting_py_s`` is extrapolated from 3 pairs and says so. ``is_correct`` says that every
pair has the trades, the profit and the drawdown that the bare loop has. The second line is the peak memory of fresh processes with 50 and 400
pairs: it should be flat.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.backtest import CROSS, FIXED, UNITS, ask_vectorbt, median_of, native
from benchmarks.bare_loop import bare_pairs
from benchmarks.minutes import ROOT, ROWS, minutes
from components.backtest import Runner
from components.features import atr, sma
from components.fx import BrokerDay
from components.strategy import strategy

BALANCE = FIXED["account"].balance
MEMORY = """
import resource, sys
from benchmarks.sweep import pairs_of, points_of, runner_on, swept
from benchmarks.minutes import minutes
bars, _ = minutes(int(sys.argv[2]))
found = swept(runner_on(bars), points_of(pairs_of(int(sys.argv[1]))))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, len(found))
"""


def pairs_of(count: int) -> list[tuple[int, int]]:
    """`count` pairs of a fast and a slow length, spread over 20 fast and as many slow ones as it takes."""
    slows = -(-count // 20)
    return [(5 + 2 * i, 50 + 5 * k) for i in range(20) for k in range(slows)][:count]


def points_of(pairs: list[tuple[int, int]]) -> list[dict[str, Any]]:
    """The pairs as points of a sweep."""
    return [{**CROSS, "fast": fast, "slow": slow} for fast, slow in pairs]


def runner_on(bars: pd.DataFrame) -> Runner:
    """The runner of the crossing under the rules of ``reference``."""
    return Runner(strategy("sma_cross"), bars, policy="reference", **FIXED)


def swept(runner: Runner, points: list[dict[str, Any]]) -> list[Any]:
    """The points through the public sweep."""
    from components.backtest.sweep_run import run_sweep

    return run_sweep(runner, points)


def bare(bars: pd.DataFrame, pairs: list[tuple[int, int]]) -> np.ndarray:
    """Sharpe, drawdown, profit and trades of every pair by the bare loop, its averages included, shape (pairs, 4)."""
    opened, high, low, close = (np.array(bars[name].to_numpy(), dtype=np.float64) for name in ("open", "high", "low", "close"))
    lengths = sorted({length for pair in pairs for length in pair})
    averages = np.array([sma(close, length) for length in lengths])
    fast, slow = (np.array([lengths.index(pair[k]) for pair in pairs]) for k in range(2))
    day = np.array(BrokerDay().day_ids(pd.DatetimeIndex(bars.index)), dtype=np.int64)
    found: np.ndarray = bare_pairs(
        opened, high, low, close, averages, fast, slow, atr(high, low, close, int(CROSS["atr_period"])), day, CROSS["stop_atr"], CROSS["target_atr"],
        UNITS, BALANCE,
    )  # fmt: skip
    return found


def is_same(points: list[Any], rows: np.ndarray) -> bool:
    """Whether the sweep's profits, drawdowns and numbers of trades are the bare loop's."""
    metrics = [point.metrics for point in points]
    mine = np.array([[m["max_drawdown"], m["net_profit"], m["trades"]] for m in metrics], dtype=float)
    return bool(np.allclose(mine, rows[:, 1:], rtol=1e-7, atol=1e-7))


def memory(pairs: int, rows: int) -> float:
    """Peak memory of a fresh process that sweeps, in MiB."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", MEMORY, str(pairs), str(rows)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    return round(int(run.stdout.split()[0]) / 1024, 1)


def main() -> int:
    """Print every figure; 1 where one is not correct."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=ROWS, help="minutes of the history")
    parser.add_argument("--vectorbt", default=os.environ.get("VECTORBT_PYTHON"), help="a Python that has vectorbt")
    parser.add_argument("--quick", action="store_true", help="small and once, to see that everything runs and agrees; its times mean nothing")
    options = parser.parse_args()
    if options.quick:
        options.pairs, options.repeats, options.rows = 6, 1, 5_000
    bars, data = minutes(options.rows)
    pairs = pairs_of(options.pairs)
    runner, points = runner_on(bars), points_of(pairs)
    swept(runner, points[:4]), bare(bars, pairs[:4])
    ours_s, found = median_of(lambda: swept(runner_on(bars), points), options.repeats)
    bare_s, rows = median_of(lambda: bare(bars, pairs), options.repeats)
    few = 1 if options.quick else 3
    native_s, _ = median_of(lambda: native(bars), few)
    line: dict[str, Any] = {
        "benchmark": "sweep",
        "data": data,
        "bars": len(bars),
        "pairs": len(pairs),
        "trades": int(rows[:, 3].sum()),
        "is_correct": is_same(found, rows),
        "ours_s": round(ours_s, 3),
        "bare_pairs_s": round(bare_s, 3),
        "ratio_bare": round(ours_s / bare_s, 2),
        "backtesting_py_s": round(native_s * len(pairs), 1),
        "backtesting_py_is": f"extrapolated from {few} runs of one pair",
        "ratio_backtesting_py": round(native_s * len(pairs) / ours_s, 1),
    }
    answer = ask_vectorbt(bars, options.vectorbt, task="pairs", pairs=pairs)
    if "left_out" in answer:
        line["vectorbt"] = answer["left_out"]
    else:
        line["vectorbt"] = answer["version"]
        for engine in ("numba", "rust"):
            figures = answer[engine]
            if "left_out" in figures:
                line[f"vectorbt_{engine}"] = figures["left_out"]
                continue
            line[f"vectorbt_{engine}_s"] = round(figures["pairs_s"], 2)
            line[f"ratio_vectorbt_{engine}"] = round(figures["pairs_s"] / ours_s, 1)
    print(json.dumps(line), flush=True)
    few_pairs, many_pairs = (4, 8) if options.quick else (50, 400)
    small, large = memory(few_pairs, options.rows), memory(many_pairs, options.rows)
    grown = {
        "benchmark": "sweep_memory",
        "data": data,
        f"{few_pairs}_pairs_mib": small,
        f"{many_pairs}_pairs_mib": large,
        "is_correct": large < 1.25 * small,
    }
    print(json.dumps(grown), flush=True)
    return 0 if line["is_correct"] and grown["is_correct"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
