"""A backtest through its public call, against backtesting.py, vectorbt and a bare compiled loop on the same bars in the same run.

    python -m benchmarks.backtest [--repeats 7] [--vectorbt PYTHON] [--m1 370000] [--quick]

One JSON line per figure; times are medians in seconds. The first lines are the strategies of the library on 5,000 real hours, the third to last
is the crossing of two averages (10, 30) with stop and target by true range on a year of minutes (real ones where they are at hand, see
`benchmarks.minutes`), and the last two are first results of fresh processes and a strategy that is a plain Python callback.

``ours_s`` is the public call with indicators, trades, equity and statistics under the rules of ``reference``, ``mt5_s`` the same under the default
policy; ``step_s`` the compiled step alone, ``bare_loop_s`` `benchmarks.bare_loop`, ``step_over_bare`` their ratio. ``backtesting_py_s`` is
backtesting.py with a strategy as its users write it; ``adapter_s`` the same decisions through `run_reference`. ``is_correct`` says that all of
these made the same trades (bars, prices, size, profit), compared one by one, and the same equity at every bar. vectorbt needs an interpreter of
its own (``--vectorbt`` or VECTORBT_PYTHON): its rules differ, so only its time and its number of trades are shown.
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
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.bare_loop import bare_loop
from benchmarks.minutes import ROOT, ROWS, minutes
from components.backtest import run_backtest, run_reference
from components.execution import Costs, decision_arrays, market_of_bars, run_step
from components.features import atr, sma
from components.fx import AccountSpec, Timeframe, instrument, validate_bars
from components.pipeline import fetch_bars
from components.risk import Limits, Sizing
from components.strategy import Context, Decisions, Wish, plain_strategy, strategy
from components.strategy.library import SmaCrossParams

EURUSD = instrument("EURUSD")
ACCOUNT, SIZING = AccountSpec(balance=100_000.0), Sizing(risk_fraction=0.002)
CROSS = {"fast": 10, "slow": 30, "atr_period": 14, "stop_atr": 2.0, "target_atr": 3.0}
UNITS = 10_000.0
FIXED: dict[str, Any] = {
    "instrument": EURUSD,
    "account": ACCOUNT,
    "sizing": Sizing(mode="fixed", fixed_lots=UNITS / EURUSD.contract_size),
    "limits": Limits(max_risk_fraction=1.0),
}
FRESH = {
    "ours_s": """
from components.backtest import run_backtest
from components.fx import Timeframe, instrument, validate_bars
from components.pipeline import fetch_bars
from components.strategy import strategy
bars = validate_bars(fetch_bars("sample", "EURUSD", Timeframe.H1))
print(run_backtest(strategy("sma_cross"), None, bars, instrument=instrument("EURUSD")).stats["trades"])
""",
    "backtesting_py_s": """
from backtesting import Backtest, Strategy
from backtesting.lib import crossover
from backtesting.test import EURUSD, SMA
class Cross(Strategy):
    def init(self):
        self.fast, self.slow = self.I(SMA, self.data.Close, 10), self.I(SMA, self.data.Close, 30)
    def next(self):
        if crossover(self.fast, self.slow):
            self.position.close()
            self.buy(size=1000)
        elif crossover(self.slow, self.fast):
            self.position.close()
            self.sell(size=1000)
print(Backtest(EURUSD, Cross, cash=10_000, margin=1 / 30).run()["# Trades"])
""",
}
FRESH_VECTORBT = """
import sys
import pandas as pd
import vectorbt as vbt
close = pd.read_csv(sys.argv[1], index_col=0, parse_dates=True)["close"]
fast, slow = vbt.MA.run(close, 10).ma, vbt.MA.run(close, 30).ma
up, down = fast.vbt.crossed_above(slow), fast.vbt.crossed_below(slow)
found = vbt.Portfolio.from_signals(close, up, down, size=1000, init_cash=10_000, freq="1h", **({"engine": sys.argv[2]} if sys.argv[2] else {}))
found.sharpe_ratio(), found.max_drawdown()
print(found.trades.count())
"""


def median_of(call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Median time of a call, and its last answer."""
    seconds, answer = [], None
    for _ in range(repeats):
        began = time.perf_counter()
        answer = call()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds), answer


def medians_in_turn(calls: list[Callable[[], Any]], repeats: int) -> tuple[list[float], list[Any]]:
    """Median times of calls that are made by turns, so that all of them meet the machine and its memory in the same state; and their last answers."""
    seconds: list[list[float]] = [[] for _ in calls]
    answers: list[Any] = [None] * len(calls)
    for _ in range(repeats):
        for i, call in enumerate(calls):
            began = time.perf_counter()
            answers[i] = call()
            seconds[i].append(time.perf_counter() - began)
    return [statistics.median(some) for some in seconds], answers


def rows_of(trades: pd.DataFrame) -> np.ndarray:
    """Bars, prices, signed units and profit of our trades, what is open at the end included, shape (m, 6)."""
    units = trades["side"] * np.round(trades["lots"] * EURUSD.contract_size)
    columns = trades[["entry_bar", "exit_bar", "entry_price", "exit_price"]]
    return np.column_stack([columns, units, trades["gross_profit"]]).astype(float)


def is_same(mine: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether two tables of trades are the same, one by one."""
    return mine.shape == theirs.shape and bool(np.allclose(mine, theirs, rtol=1e-9, atol=1e-9))


def of_library(name: str, data: str, bars: pd.DataFrame, repeats: int) -> dict[str, Any]:
    """One strategy of the library on one set of bars, against backtesting.py through the adapter."""
    item = strategy(name)
    params = item.parse(None)
    manage, manage_params = item.managing(params)
    options: dict[str, Any] = {"instrument": EURUSD, "account": ACCOUNT, "sizing": SIZING}

    def peer() -> Any:
        return run_reference(bars, item.decide(bars, Context(EURUSD), params), manage=manage, params=manage_params, **options)

    run_backtest(item, params, bars, **options)
    ours_s, result = median_of(lambda: run_backtest(item, params, bars, policy="reference", **options), repeats)
    mt5_s, _ = median_of(lambda: run_backtest(item, params, bars, **options), repeats)
    peer_s, theirs = median_of(peer, max(1, repeats // 2))
    return {
        "benchmark": "backtest",
        "strategy": name,
        "data": data,
        "bars": len(bars),
        "trades": len(result.trades),
        "is_correct": is_same(rows_of(result.trades), theirs.trades.iloc[:, :6].to_numpy(dtype=float)),
        "ours_s": round(ours_s, 5),
        "mt5_s": round(mt5_s, 5),
        "adapter_s": round(peer_s, 5),
        "ratio": round(peer_s / ours_s, 1),
    }


def native(bars: pd.DataFrame) -> Any:
    """The crossing in backtesting.py, as its users write it; its statistics."""
    from backtesting import Backtest
    from backtesting import Strategy as Theirs

    class Cross(Theirs):  # type: ignore[misc]
        def init(self) -> None:
            self.fast, self.slow = self.I(sma, self.data.Close, CROSS["fast"]), self.I(sma, self.data.Close, CROSS["slow"])
            self.reach = self.I(atr, self.data.High, self.data.Low, self.data.Close, CROSS["atr_period"])

        def next(self) -> None:
            now, before = self.fast[-1] - self.slow[-1], self.fast[-2] - self.slow[-2]
            if now > 0 >= before:
                side = 1
            elif now < 0 <= before:
                side = -1
            else:
                return
            # An average that only touched the other one crosses it again from the same side: the position is kept.
            if self.position.size * side > 0:
                return
            self.position.close()
            close, reach = self.data.Close[-1], self.reach[-1]
            if reach > 0:
                enter = self.buy if side > 0 else self.sell
                enter(size=UNITS, sl=close - side * CROSS["stop_atr"] * reach, tp=close + side * CROSS["target_atr"] * reach)

    frame = pd.DataFrame({name.capitalize(): bars[name].to_numpy() for name in ("open", "high", "low", "close")}, index=bars.index)
    with warnings.catch_warnings(), open(os.devnull, "w") as nowhere:
        warnings.simplefilter("ignore")
        shown, sys.stderr = sys.stderr, nowhere
        try:
            return Backtest(frame, Cross, cash=ACCOUNT.balance, margin=1 / ACCOUNT.leverage, hedging=True).run()
        finally:
            sys.stderr = shown


def plain_columns(bars: pd.DataFrame, params: SmaCrossParams) -> dict[str, Any]:
    """The indicators of the plain crossing."""
    high, low, close = (bars[name].to_numpy() for name in ("high", "low", "close"))
    return {"close": close, "fast": sma(close, params.fast), "slow": sma(close, params.slow), "range": atr(high, low, close, params.atr_period)}


def plain_on_bar(t: int, columns: Any, params: Any, state: dict[str, Any]) -> Wish | None:
    """The crossing as a plain callback: the rule of `native`, line by line."""
    if t == 0:
        return None
    now, before = columns.fast[-1] - columns.slow[-1], columns.fast[-2] - columns.slow[-2]
    if now > 0 >= before:
        side = 1
    elif now < 0 <= before:
        side = -1
    else:
        return None
    close, reach = columns.close[-1], columns.range[-1]
    if not reach > 0:
        return Wish(exit=-side)
    stop = close - side * params.stop_atr * reach if params.stop_atr > 0 else None
    target = close + side * params.target_atr * reach if params.target_atr > 0 else None
    return Wish(side, stop, target, exit=-side, reason=1 if side > 0 else 2)


PLAIN = plain_strategy(
    "plain_cross", "Plain cross", "The crossing of two averages, bar by bar.", SmaCrossParams, plain_on_bar, lambda p: 700, init=plain_columns
)


def on_minutes(bars: pd.DataFrame, data: str, repeats: int, vectorbt: str | None) -> list[dict[str, Any]]:
    """The crossing on minutes, everybody in the same run; and the plain callback."""
    item = strategy("sma_cross")
    params = item.parse(CROSS)
    decisions = item.decide(bars, Context(EURUSD), params)
    arrays, market = decision_arrays(decisions, len(bars)), market_of_bars(bars, EURUSD, Costs())
    few = max(1, repeats // 3)
    flat = flat_arrays(bars, decisions)

    def step() -> Any:
        rules = {name: FIXED[name] for name in ("sizing", "limits")}
        return run_step(market, arrays, [EURUSD], ACCOUNT, policy="reference", first_bar=1, **rules)

    def ours(chosen: Any = item, policy: str = "reference") -> Any:
        return run_backtest(chosen, params, bars, policy=policy, **FIXED)

    for warm in (ours, step, lambda: bare_loop(*flat), lambda: ours(PLAIN)):
        warm()
    ours_s, result = median_of(ours, repeats)
    mt5_s, _ = median_of(lambda: ours(policy="mt5"), repeats)
    (step_s, bare_s), (_, bare) = medians_in_turn([step, lambda: bare_loop(*flat)], 3 * repeats)
    plain_s, plain = median_of(lambda: ours(PLAIN), few)
    native_s, stats = median_of(lambda: native(bars), few)
    adapter_s, adapted = median_of(lambda: run_reference(bars, decisions, **FIXED), 1)
    mine = rows_of(result.trades)
    of_bare = np.column_stack([*bare[:4], bare.side * UNITS, bare.profit]).astype(float)
    of_native = stats["_trades"][["EntryBar", "ExitBar", "EntryPrice", "ExitPrice", "Size", "PnL"]].to_numpy(dtype=float)
    curve = stats["_equity_curve"]["Equity"].to_numpy()
    checks = {
        "bare_loop": is_same(mine, of_bare) and bool(np.allclose(result.equity, bare.equity, rtol=1e-9)),
        "adapter": is_same(mine, adapted.trades.iloc[:, :6].to_numpy(dtype=float)),
        "backtesting_py": is_same(mine[: len(of_native)], of_native) and bool(np.allclose(result.equity[1:], curve[1:], rtol=1e-9)),
        "plain": is_same(mine, rows_of(plain.trades)),
    }
    line: dict[str, Any] = {
        "benchmark": "backtest_minutes",
        "data": data,
        "bars": len(bars),
        "trades": len(mine),
        "is_correct": all(checks.values()),
        "same_trades_as": checks,
        "ours_s": round(ours_s, 5),
        "mt5_s": round(mt5_s, 5),
        "step_s": round(step_s, 5),
        "bare_loop_s": round(bare_s, 5),
        "step_over_bare": round(step_s / bare_s, 2),
        "backtesting_py_s": round(native_s, 3),
        "adapter_s": round(adapter_s, 3),
        "ratio_backtesting_py": round(native_s / ours_s, 1),
    }
    line |= against_vectorbt(bars, repeats, vectorbt, ours_s)
    return [
        line,
        {
            "benchmark": "backtest_plain_callback",
            "data": data,
            "bars": len(bars),
            "is_correct": checks["plain"],
            "plain_s": round(plain_s, 4),
            "backtesting_py_s": round(native_s, 3),
            "ratio": round(native_s / plain_s, 1),
        },
    ]


def flat_arrays(bars: pd.DataFrame, decisions: Decisions) -> tuple[Any, ...]:
    """The arguments of `bare_loop`."""
    prices = [np.ascontiguousarray(bars[name].to_numpy(), dtype=np.float64).copy() for name in ("open", "high", "low", "close")]
    side = np.array(decisions.side, dtype=np.int8)
    return (*prices, side, *(np.array(column, dtype=np.float64) for column in (decisions.stop, decisions.target)), UNITS, ACCOUNT.balance)


def ask_vectorbt(bars: pd.DataFrame, python: str | None, **job: Any) -> dict[str, Any]:
    """What vectorbt answers to a job; ``left_out`` with the reason where there is none."""
    if not python:
        return {"left_out": "no interpreter with vectorbt was named: use --vectorbt PYTHON or VECTORBT_PYTHON"}
    with tempfile.TemporaryDirectory() as folder:
        columns = [pd.DatetimeIndex(bars.index).as_unit("ms").asi8, *(bars[name].to_numpy() for name in ("open", "high", "low", "close"))]
        np.save(Path(folder) / "bars.npy", np.column_stack(columns).astype(np.float64))
        whole = {**CROSS, "units": UNITS, "balance": ACCOUNT.balance, "engines": ["numba", "rust"], "repeats": 3, **job}
        (Path(folder) / "job.json").write_text(json.dumps(whole))
        script = str(Path(__file__).with_name("vectorbt_peer.py"))
        # numba is told the number of threads by its own variable only; what is set for us does not bind it.
        run = subprocess.run([python, script, folder], capture_output=True, text=True, check=False)
    if run.returncode:
        return {"left_out": f"{python} failed: {run.stderr.strip()[-200:]}"}
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def against_vectorbt(bars: pd.DataFrame, repeats: int, python: str | None, ours_s: float) -> dict[str, Any]:
    """vectorbt's figures on the same bars: its run alone, and with statistics, by each of its engines."""
    found = ask_vectorbt(bars, python, task="one", repeats=repeats)
    if "left_out" in found:
        return {"vectorbt": found["left_out"]}
    line: dict[str, Any] = {"vectorbt": found["version"]}
    for engine in ("numba", "rust"):
        figures = found[engine]
        if "left_out" in figures:
            line[f"vectorbt_{engine}"] = figures["left_out"]
            continue
        line[f"vectorbt_{engine}_s"] = round(figures["run_s"], 4)
        line[f"vectorbt_{engine}_with_statistics_s"] = round(figures["with_statistics_s"], 4)
        line[f"vectorbt_{engine}_trades"] = figures["trades"]
        line[f"ratio_vectorbt_{engine}_with_statistics"] = round(figures["with_statistics_s"] / ours_s, 1)
    return line


def fresh_processes(repeats: int, vectorbt: str | None) -> dict[str, Any]:
    """From the start of a process to its first result on 5,000 hours, machine code already on disk."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | {"PYTHONPATH": str(ROOT)}

    def timed(python: str, code: str, *arguments: str) -> tuple[float, str]:
        # The first one may compile; it counts for nobody.
        command = [python, "-W", "ignore", "-c", code, *arguments]
        seconds, run = median_of(lambda: subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=ROOT), repeats + 1)
        return round(seconds, 3), run.stdout

    line: dict[str, Any] = {"benchmark": "backtest_fresh_process"}
    for name, code in FRESH.items():
        seconds, printed = timed(sys.executable, code)
        line[name] = seconds
        line["is_correct"] = line.get("is_correct", True) and int(printed.split()[-1]) > 50
    if not vectorbt:
        return line | {"vectorbt": "no interpreter with vectorbt was named"}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "bars.csv")
        fetch_bars("sample", "EURUSD", Timeframe.H1).to_csv(path)
        environment["PYTHONPATH"] = ""
        for engine in ("numba", "rust"):
            try:
                line[f"vectorbt_{engine}_s"], _ = timed(vectorbt, FRESH_VECTORBT, path, engine)
            except subprocess.CalledProcessError as error:
                line[f"vectorbt_{engine}"] = f"left out: {error.stderr.strip()[-120:]}"
    return line


def main() -> int:
    """Print every figure; 1 where one is not correct."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--m1", type=int, default=ROWS, help="minutes of the large run; 0 leaves it out")
    parser.add_argument("--vectorbt", default=os.environ.get("VECTORBT_PYTHON"), help="a Python that has vectorbt")
    parser.add_argument("--quick", action="store_true", help="small and once, to see that everything runs and agrees; its times mean nothing")
    options = parser.parse_args()
    if options.quick:
        options.repeats, options.m1 = 1, min(options.m1, 5_000)
    real = validate_bars(fetch_bars("sample", "EURUSD", Timeframe.H1))
    names = ("sma_cross",) if options.quick else ("sma_cross", "atr_breakout", "pullback")
    is_correct = True

    def show(line: dict[str, Any]) -> None:
        nonlocal is_correct
        is_correct = is_correct and line["is_correct"]
        print(json.dumps(line), flush=True)

    for name in names:
        show(of_library(name, "EURUSD H1, real", real, options.repeats))
    if options.m1:
        for line in on_minutes(*minutes(options.m1), options.repeats, options.vectorbt):
            show(line)
    if not options.quick:
        show(fresh_processes(min(options.repeats, 5), options.vectorbt))
    return 0 if is_correct else 1


if __name__ == "__main__":
    raise SystemExit(main())
