"""The probability of backtest overfitting over 200 strategies and a year of minutes, and how much memory that takes.

    python -m benchmarks.pbo [--strategies 200] [--rows 370000] [--blocks 16] [--repeats 3] [--quick]

One JSON line. The returns are seeded noise: all strategies are worth nothing, so the choice among them is overfitting and the probability is
high. ``is_correct`` compares with the definition carried out split by split, each Sharpe ratio from the returns themselves, on a smaller table.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from itertools import combinations

import numpy as np

from components.backtest.honesty.overfitting import backtest_overfitting


def by_definition(returns: np.ndarray, blocks: int) -> float:
    """The share of splits whose choice comes out at or below the median, computed from the returns of each half."""
    parts = np.array_split(returns, blocks)
    below = []
    for chosen in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[i] for i in chosen])
        outside = np.concatenate([parts[i] for i in range(blocks) if i not in chosen])
        best = int(np.argmax(inside.mean(axis=0) / inside.std(axis=0, ddof=1)))
        sharpes = outside.mean(axis=0) / outside.std(axis=0, ddof=1)
        rank = (sharpes < sharpes[best]).sum() + 0.5 * ((sharpes == sharpes[best]).sum() + 1)
        below.append(rank / (len(sharpes) + 1) <= 0.5)
    return float(np.mean(below))


def main() -> int:
    """Print the figure; 1 where it is not correct."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategies", type=int, default=200)
    parser.add_argument("--rows", type=int, default=370_000)
    parser.add_argument("--blocks", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small and once, to see that it runs and agrees; its time means nothing")
    options = parser.parse_args()
    if options.quick:
        options.strategies, options.rows, options.blocks, options.repeats = 20, 5_000, 8, 1
    rng = np.random.default_rng(7)
    small = rng.normal(0, 1e-4, (3_000, 30))
    is_correct = abs(backtest_overfitting(small, 8).probability - by_definition(small, 8)) < 1e-12
    returns = rng.standard_normal((options.rows, options.strategies)) * 1e-4
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(options.repeats):
        began = time.perf_counter()
        found = backtest_overfitting(returns, options.blocks)
        seconds.append(time.perf_counter() - began)
    line = {
        "benchmark": "pbo",
        "strategies": options.strategies,
        "rows": options.rows,
        "blocks": options.blocks,
        "splits": found.splits,
        "probability": round(found.probability, 4),
        "is_correct": bool(is_correct),
        "seconds": round(statistics.median(seconds), 3),
        "memory_beside_the_returns_mib": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, 1),
    }
    print(json.dumps(line))
    return 0 if is_correct else 1


if __name__ == "__main__":
    raise SystemExit(main())
