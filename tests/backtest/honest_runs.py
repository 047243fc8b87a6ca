"""Kept runs made by hand: equity and trades are what a test wants them to be, so that no strategy need run."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.backtest import BacktestStore, StoredRun, Study
from components.fx import max_drawdown, sharpe_ratio
from components.ledger import TrialLedger

START = pd.Timestamp("2019-01-01", tz="UTC")
BALANCE = 10_000.0


def keep_run(
    home: Path,
    run_id: str,
    daily: np.ndarray,
    *,
    trades: int = 300,
    strategy: str = "sma_cross",
    bar_set_id: str | None = "EURUSD-H1",
    stats: dict[str, Any] | None = None,
    noted: bool = True,
    **fields: Any,
) -> StoredRun:
    """Keep a run with these daily returns at noon of each day from 2019 on, and note it in the ledger."""
    times = pd.date_range(START + pd.Timedelta(hours=12), periods=len(daily), freq="D").as_unit("ms")
    equity = pd.Series(BALANCE * np.cumprod(1 + np.asarray(daily)), index=times)
    profit = float(equity.iloc[-1] - BALANCE)
    digest = hashlib.sha256(np.ascontiguousarray(daily).tobytes()).hexdigest()
    whole = {
        "net_profit": profit, "final_equity": BALANCE + profit, "total_return": profit / BALANCE, "trades": trades, "days": len(daily), "ambiguous_bars": 0,
        "profit_against": profit, "profit_favour": profit, "ruined": False, "profit_factor": 1.5, "sharpe": sharpe_ratio(np.asarray(daily)), "win_rate": 0.5,
        "returns_digest": digest, "max_drawdown": max_drawdown(np.concatenate(([BALANCE], equity.to_numpy()))), **(stats or {}),
    }  # fmt: skip
    run = StoredRun(
        **{
            "id": run_id, "name": run_id, "source": "sequence", "strategy": strategy, "params": {}, "symbol": "EURUSD", "timeframe": "H1",
            "bar_set_id": bar_set_id, "dataset_id": None, "model_id": None, "policy": "mt5", "currency": "USD", "spec": {}, "stats": whole,
            "total_return": whole["total_return"], "sharpe": whole["sharpe"], "max_drawdown": whole["max_drawdown"], "trades": trades,
            "start_ms": int(times.asi8[0]), "end_ms": int(times.asi8[-1]), "code_version": "test", "created_ms": 1_000, **fields,
        }
    )  # fmt: skip
    store = BacktestStore.open(home)
    kept = store.add(run, trade_frame(times, trades, profit), equity)
    store.close()
    if noted:
        ledger = TrialLedger.open(home)
        ledger.append(strategy, strategy, {"run": run_id}, bar_set_id, "test", "backtest", "done", whole, digest)
        ledger.close()
    return kept


def trade_frame(times: pd.DatetimeIndex, count: int, profit: float) -> pd.DataFrame:
    """So many trades, evenly over the times, each held until the next row; their profits scatter and add up."""
    rows = np.linspace(0, len(times) - 2, count).astype(np.int64)
    nets = np.random.default_rng(count).normal(0, 20.0, count)
    nets += (profit - nets.sum()) / max(count, 1)
    price = np.full(count, 1.1)
    return pd.DataFrame(
        {
            "ticket": np.arange(1, count + 1), "side": np.where(np.arange(count) % 2, -1, 1), "lots": np.full(count, 0.5), "entry_time": times[rows],
            "exit_time": times[rows + 1], "entry_price": price, "exit_price": price + 0.001, "stop": price, "target": price, "gross_profit": nets + 1.0,
            "cost": np.ones(count), "net_profit": nets, "exit": ["target"] * count, "level": price, "ambiguous": np.zeros(count, dtype=bool),
            "reason": np.zeros(count, dtype=np.int64), "reason_text": [""] * count, "entry_bar": rows, "exit_bar": rows + 1,
        }
    )  # fmt: skip


def earning(seed: int, days: int, sharpe: float, deviation: float = 0.005) -> np.ndarray:
    """Daily returns whose annual Sharpe ratio is exactly this."""
    raw = np.random.default_rng(seed).normal(0, 1, days)
    raw = (raw - raw.mean()) / raw.std(ddof=1)
    return (raw + sharpe / np.sqrt(252)) * deviation


def keep_study(home: Path, study_id: str, kind: str, result: dict[str, Any], **fields: Any) -> None:
    """Keep a finished study."""
    store = BacktestStore.open(home)
    store.studies.start(Study(study_id, kind, study_id, **fields))
    store.studies.finish(study_id, "done", result)
    store.close()


def keep_sweep(home: Path, study_id: str, returns: np.ndarray, *, strategy: str = "sma_cross", bar_set_id: str = "EURUSD-H1") -> None:
    """Keep a sweep with these daily returns, shape (days, points), from 2019 on, and note its points."""
    days = (START.normalize() - pd.Timestamp(0, tz="UTC")).days + np.arange(len(returns))
    store = BacktestStore.open(home)
    store.studies.start(Study(study_id, "sweep", study_id, strategy=strategy, bar_set_id=bar_set_id))
    table = {"day": days, **{str(number): returns[:, number] for number in range(returns.shape[1])}}
    store.studies.keep_frame(study_id, "returns", pd.DataFrame(table))
    store.studies.finish(study_id, "done", {})
    store.close()
    ledger = TrialLedger.open(home)
    ledger.append_many(
        {
            "family": strategy, "strategy": strategy, "params": {"study": study_id, "point": number}, "dataset_id": bar_set_id, "code_version": "test",
            "kind": "sweep_point", "state": "done", "metrics": {"sharpe": sharpe_ratio(column), "days": len(column), "trades": 200, "total_return": 0.1},
            "returns_digest": hashlib.sha256(np.ascontiguousarray(column).tobytes()).hexdigest(),
        }
        for number, column in enumerate(returns.T)
    )  # fmt: skip
    ledger.close()
