"""A backtest through its public call, against backtesting.py with the same decisions in the same run.

    python -m benchmarks.backtest [--repeats 7] [--m1 100000]

One JSON line per figure; times are medians in seconds. Both sides decide, run and give trades, equity and statistics. The peer runs through
`run_reference`, whose strategy does nothing on a bar on which nothing is asked for. `is_correct` says that both made the same trades (bars,
prices, size, profit), compared one by one. `step_s` is the compiled step alone, `mt5_s` the public call under the default policy, which
knows bid and ask. The bars are the 5,000 real hourly ones, and `--m1` minutes of a seeded random walk. The last line is a fresh process: from
its start to its first result, with machine code already on disk.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
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

from components.backtest import run_backtest, run_reference  # noqa: E402
from components.execution import Costs, decision_arrays, market_of_bars, run_step  # noqa: E402
from components.fx import AccountSpec, Timeframe, instrument, validate_bars  # noqa: E402
from components.pipeline import fetch_bars  # noqa: E402
from components.risk import Sizing  # noqa: E402
from components.strategy import Context, strategy  # noqa: E402

EURUSD = instrument("EURUSD")
ACCOUNT, SIZING = AccountSpec(balance=100_000.0), Sizing(risk_fraction=0.002)
FRESH = """
import sys, time
from components.backtest import run_backtest
from components.fx import Timeframe, instrument, validate_bars
from components.pipeline import fetch_bars
from components.strategy import strategy
bars = validate_bars(fetch_bars("sample", "EURUSD", Timeframe.H1))
result = run_backtest(strategy("sma_cross"), None, bars, instrument=instrument("EURUSD"))
print(result.stats["trades"])
"""


def random_minutes(rows: int, seed: int = 20190101) -> pd.DataFrame:
    """Minute bars of a random walk on the grid of points."""
    rng = np.random.default_rng(seed)
    close = np.round(1.1 * np.exp(np.cumsum(rng.normal(0, 1e-4, rows))), 5)
    opens = np.concatenate((close[:1], close[:-1]))
    high = np.round(np.maximum(opens, close) + rng.integers(0, 8, rows) * 1e-5, 5)
    low = np.round(np.minimum(opens, close) - rng.integers(0, 8, rows) * 1e-5, 5)
    index = pd.date_range("2019-01-01", periods=rows, freq="min", tz="UTC")
    return validate_bars(pd.DataFrame({"open": opens, "high": high, "low": low, "close": close}, index=index))


def median_of(call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Median time of a call, and its last answer."""
    seconds, answer = [], None
    for _ in range(repeats):
        began = time.perf_counter()
        answer = call()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds), answer


def is_equal(ours: pd.DataFrame, theirs: pd.DataFrame) -> bool:
    """Whether both made the same trades; ours values what is open at the end as theirs does."""
    columns = ["entry_bar", "exit_bar", "entry_price", "exit_price"]
    mine = np.column_stack([ours[columns], ours["side"] * np.round(ours["lots"] * EURUSD.contract_size), ours["gross_profit"]])
    return len(mine) == len(theirs) and bool(np.allclose(mine, theirs[[*columns, "units", "profit"]].astype(float), rtol=1e-9, atol=1e-9))


def measure(name: str, data: str, bars: pd.DataFrame, repeats: int) -> dict[str, Any]:
    """One strategy on one set of bars."""
    item = strategy(name)
    params = item.parse(None)
    manage, manage_params = item.managing(params)
    options: dict[str, Any] = {"instrument": EURUSD, "account": ACCOUNT, "sizing": SIZING}

    def ours(policy: str) -> Any:
        return run_backtest(item, params, bars, policy=policy, **options)

    def peer() -> Any:
        return run_reference(bars, item.decide(bars, Context(EURUSD), params), manage=manage, params=manage_params, **options)

    ours("mt5"), ours("reference")
    ours_s, result = median_of(lambda: ours("reference"), repeats)
    mt5_s, _ = median_of(lambda: ours("mt5"), repeats)
    peer_s, theirs = median_of(peer, max(1, repeats // 2))
    market = market_of_bars(bars, EURUSD, Costs())
    decisions = decision_arrays(item.decide(bars, Context(EURUSD), params), len(bars))
    step_s, _ = median_of(
        lambda: run_step(market, decisions, [EURUSD], ACCOUNT, sizing=SIZING, policy="reference", manage=manage, params=manage_params, first_bar=1),
        repeats,
    )
    return {
        "benchmark": "backtest",
        "strategy": name,
        "data": data,
        "bars": len(bars),
        "trades": len(result.trades),
        "is_correct": is_equal(result.trades, theirs.trades),
        "ours_s": round(ours_s, 5),
        "backtesting_py_s": round(peer_s, 5),
        "ratio": round(peer_s / ours_s, 1),
        "step_s": round(step_s, 5),
        "mt5_s": round(mt5_s, 5),
    }


def fresh_process(repeats: int) -> dict[str, Any]:
    """From the start of a process to its first result."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | {"PYTHONPATH": str(ROOT)}
    seconds, run = median_of(
        lambda: subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, check=True, env=environment, cwd=ROOT), repeats
    )
    return {"benchmark": "backtest_fresh_process", "strategy": "sma_cross", "is_correct": int(run.stdout) > 50, "first_result_s": round(seconds, 3)}


def main() -> int:
    """Print every figure; 1 where one is not correct."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--m1", type=int, default=100_000, help="minutes of random walk; 0 leaves them out")
    options = parser.parse_args()
    real = validate_bars(fetch_bars("sample", "EURUSD", Timeframe.H1))
    lines = [measure(name, "EURUSD H1, real", real, options.repeats) for name in ("sma_cross", "atr_breakout", "pullback")]
    if options.m1:
        lines.append(measure("sma_cross", "random walk M1", random_minutes(options.m1), min(options.repeats, 3)))
    lines.append(fresh_process(min(options.repeats, 3)))
    for line in lines:
        print(json.dumps(line))
    return 0 if all(line["is_correct"] for line in lines) else 1


if __name__ == "__main__":
    raise SystemExit(main())
