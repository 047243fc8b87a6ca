"""vectorbt's side of the backtest benchmarks; runs under the interpreter that has vectorbt and nothing of ours.

    <python with vectorbt> vectorbt_peer.py FOLDER

FOLDER holds ``bars.npy`` (time in epoch milliseconds, open, high, low, close) and ``job.json``. Prints one JSON document. The rules are the
closest that it has: signals fill at the next open, stop and target are shares of that open, one position, turned by the opposite signal.
It answers one order a bar, so an entry on the bar of an exit is lost (its issue 530); `trades` shows how many are left.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def main() -> None:
    """Do the job of the folder."""
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    import vectorbt as vbt

    values = np.load(folder / "bars.npy")
    # Without a time zone, as it likes it: with one it takes 50 times as long here.
    index = pd.to_datetime(values[:, 0].astype("int64"), unit="ms")
    opened, high, low, close = (pd.Series(values[:, k], index=index) for k in range(1, 5))
    reach = vbt.ATR.run(high, low, close, window=job["atr_period"], ewm=False).atr
    # The range of a flat hour is 0 but for rounding, and a share of 0 is refused for the whole run: such signals are left out.
    usable = (reach > 1e-9).to_numpy()
    shares = {name: np.where(usable, (job[name] * reach / opened.shift(-1)).to_numpy(), np.nan) for name in ("stop_atr", "target_atr")}
    shifted = {name: np.append(np.nan, share[:-1]) for name, share in shares.items()}

    def run(fast: Any, slow: Any, engine: str) -> Any:
        apart = (fast - slow).to_numpy()
        before = np.append(np.nan, apart[:-1])
        up, down = (apart > 0) & (before <= 0) & usable, (apart < 0) & (before >= 0) & usable
        return vbt.Portfolio.from_signals(
            close,
            entries=np.append(False, up[:-1]),
            short_entries=np.append(False, down[:-1]),
            price=opened,
            open=opened,
            high=high,
            low=low,
            size=job["units"],
            init_cash=job["balance"],
            sl_stop=shifted["stop_atr"],
            tp_stop=shifted["target_atr"],
            stop_entry_price="fillprice",
            upon_opposite_entry="reverse",
            freq="1min",
            **({} if engine == "default" else {"engine": engine}),
        )

    def numbers(portfolio: Any) -> dict[str, float]:
        trades = portfolio.trades
        return {
            "equity": float(portfolio.value().iloc[-1]),
            "total_return": float(portfolio.total_return()),
            "sharpe": float(portfolio.sharpe_ratio()),
            "max_drawdown": float(portfolio.max_drawdown()),
            "trades": int(trades.count()),
            "win_rate": float(trades.win_rate()),
            "profit_factor": float(trades.profit_factor()),
            "average_profit": float(trades.pnl.mean()),
        }

    averages: dict[int, Any] = {}

    def average(length: int) -> Any:
        if length not in averages:
            averages[length] = vbt.MA.run(close, window=length).ma
        return averages[length]

    def one(engine: str) -> Any:
        return run(vbt.MA.run(close, window=job["fast"]).ma, vbt.MA.run(close, window=job["slow"]).ma, engine)

    def median_of(call: Any) -> tuple[float, Any]:
        seconds = []
        for _ in range(job["repeats"]):
            began = time.perf_counter()
            answer = call()
            seconds.append(time.perf_counter() - began)
        return statistics.median(seconds), answer

    found: dict[str, Any] = {"version": vbt.__version__}
    for engine in job["engines"]:
        try:
            call = one(engine)
            numbers(call)
        except Exception as error:
            found[engine] = {"left_out": f"{type(error).__name__}: {str(error)[:160]}"}
            continue
        if job["task"] == "one":
            run_s, _ = median_of(lambda engine=engine: one(engine))
            with_s, answer = median_of(lambda engine=engine: numbers(one(engine)))
            found[engine] = {"run_s": run_s, "with_statistics_s": with_s, **answer}
        else:
            averages.clear()
            began = time.perf_counter()
            rows = [numbers(run(average(fast), average(slow), engine)) for fast, slow in job["pairs"]]
            found[engine] = {"pairs_s": time.perf_counter() - began, "trades": sum(row["trades"] for row in rows)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
