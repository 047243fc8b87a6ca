"""A platform with first data, made by the real rooms; run as ``python seed.py HOME``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from components.backtest import compare, execute_backtest, import_backtest
from components.base import now_ms
from components.bridge import Mailbox, SymbolFacts, TerminalFacts, TickStore
from components.bridge.issue import issue_signals
from components.desk import DeploymentSpec, DeskStore
from components.fx import AccountSnapshot, Report, Signal, Tick
from components.jobs import JobStore, read_hardware
from components.ledger import TrialLedger, code_version
from components.models import ModelStore
from components.orchestrator import PlatformStore, ProcessState
from components.pipeline import (
    BarSet,
    DatasetRecipe,
    PipelineStore,
    Request,
    build_dataset,
    collect,
    collect_series,
    repair_bar_set,
    resample_bar_set,
)
from components.strategy import catalogue
from components.training import train
from tests.dashboard.seed_studies import keep_studies
from tests.pipeline.lookalike_news import keep_tone
from tests.pipeline.lookalikes import Bars, bars_at, ms, trading_ms

ACCOUNT = "demo-1"
HOUR = 3_600_000


def seed(home: Path) -> None:
    """Prices, datasets, model, backtests, a comparison, deployments, ticks, signals and positions."""
    _other_bars(home)
    bars = collect(home, "sample", "EURUSD", "H1")
    build_dataset(home, bars.id, {"features": ["return_1", "rsi_14", "adx_14"], "train_fraction": 0.6, "normalise": "standard"})
    dataset = build_dataset(home, bars.id, DatasetRecipe())
    model = train(home, {"dataset_id": dataset.id, "folds": 3, "rounds": 40})
    runs = [
        execute_backtest(home, {"strategy": one.name, "bar_set_id": bars.id, "model_id": model["model_id"] if one.needs_model else None})
        for one in catalogue()
    ]
    compare(home, [run.id for run in runs], "sharpe")
    keep_studies(home, next(run for run in runs if run.strategy == "sma_cross"))
    _a_failed_trial(home, bars.id)
    _an_import(home)
    _jobs(home)
    _live(home, bars.id, model["model_id"])
    _processes(home)


def _other_bars(home: Path) -> None:
    """Before the sample, which stays the newest: a pound with spikes and a hole, its repaired copy, its days; half a euro; rates; news."""
    folder = home.parent / "files"
    folder.mkdir()
    pound = bars_at(trading_ms("2017-04-02T21:00", "2018-03-01", 60), start=1.3, seed=4)
    pound.prices["high"][[700, 2_700]] += 0.3
    kept = _from_file(home, folder / "pound.csv", pound.part(np.delete(np.arange(len(pound.utc_ms)), np.arange(1_500, 1_560))), "GBPUSD")
    repaired = repair_bar_set(home, kept.id, ["cut_spikes"], "Anna")
    resample_bar_set(home, repaired.id, "D1")
    euro = bars_at(trading_ms("2017-04-02T21:00", "2018-03-01", 60), start=1.1, seed=5)
    half = np.sort(np.random.default_rng(1).choice(len(euro.utc_ms), len(euro.utc_ms) // 2, replace=False))
    _from_file(home, folder / "half.csv", euro.part(half), "EURUSD")
    collect_series(home, "ecb", Request("EUR", options={"download": "never"}))
    keep_tone(home, "USD", ms("2018-01-02"), 400)


def _from_file(home: Path, path: Path, bars: Bars, symbol: str) -> BarSet:
    pd.DataFrame({"time": bars.utc_ms, **bars.prices, "volume": bars.volume}).to_csv(path, index=False)
    return collect(home, "folder", symbol, "H1", options={"path": str(path), "time_format": "ms"})


def _a_failed_trial(home: Path, bar_set_id: str) -> None:
    params, why = {"fast": 20, "slow": 50}, {"error": "the disk is full"}
    TrialLedger.open(home).append("sma_cross", "sma_cross", params, bar_set_id, code_version(), "backtest", "failed", why)


def _an_import(home: Path) -> None:
    trades = [
        {"entry_time": "2017-05-02T09:00:00Z", "exit_time": "2017-05-02T15:00:00Z", "side": 1, "lots": 0.1, "entry_price": 1.09, "exit_price": 1.092, "profit": 20.0},
        {"entry_time": "2017-05-03T09:00:00Z", "exit_time": "2017-05-03T15:00:00Z", "side": -1, "lots": 0.1, "entry_price": 1.09, "exit_price": 1.093, "profit": -30.0},
    ]  # fmt: skip
    import_backtest(
        home, {"name": "other program", "symbol": "EURUSD", "strategy": "unknown", "trades": trades, "balance": 10_000.0, "currency": "USD"}
    )


def _jobs(home: Path) -> None:
    jobs = JobStore.open(home)
    for _ in range(30):
        jobs.record_hardware(read_hardware(home, 0.01))
    failed = jobs.submit("train", {"dataset_id": "missing"})
    jobs.claim_job("seed", ["train"])
    jobs.fail(failed.id, "seed", "there is no dataset 'missing'\nTraceback (most recent call last): …")
    done = jobs.submit("collect", {"source": "sample", "symbol": "EURUSD", "timeframe": "H1"})
    jobs.claim_job("seed", ["collect"])
    jobs.heartbeat(done.id, "seed", 1.0, "5,000 bars kept")
    jobs.finish(done.id, "seed", {})


def _live(home: Path, bar_set_id: str, model_id: str) -> None:
    desk, mailbox, ticks = DeskStore.open(home), Mailbox.open(home), TickStore.open(home)
    specs = [{"strategy": one.name, "model_id": model_id if one.needs_model else None} for one in catalogue()]
    made = [
        desk.create(DeploymentSpec(account_id=f"demo-{number}", symbol="EURUSD", bar_set_id=bar_set_id, **spec))
        for number, spec in enumerate(specs, start=1)
    ]
    for one in made[:2]:
        desk.arm(one.id)
    told = SymbolFacts("EURUSD", "EURUSD", 5, 100_000.0, 0.01, 0.01, 100.0)
    mailbox.hello(TerminalFacts(ACCOUNT, "USD", 30.0, "hedging", True, "replay", name="simulated terminal", symbols=(told,)))
    closes = PipelineStore.open(home).load_bars(bar_set_id).tail(200)
    start_ms = int(closes.index.as_unit("ms").asi8[0])
    prices = closes["close"].to_numpy()
    ticks.append(ACCOUNT, [Tick("EURUSD", start_ms + HOUR * i, float(price), float(price) + 0.0001, i + 1) for i, price in enumerate(prices)])
    for i, price in enumerate(prices):
        equity = 10_000.0 + 10_000 * (float(price) - float(prices[0]))
        mailbox.record_positions(AccountSnapshot(ACCOUNT, start_ms + HOUR * i, "USD", 10_000.0, round(equity, 2), 33.0, 30.0, "hedging"), [], [], {})
    now = start_ms + HOUR * len(prices)
    signals = [
        Signal(f"{made[0].id}-{n}", ACCOUNT, made[0].id, "open", "EURUSD", 1 if n % 2 else -1, stop=1.22, target=1.25, lots=0.1 * n, strategy="sma_cross",
               params=made[0].params_json, bar_ms=now - HOUR * n, reason=1, reason_text="the fast average crossed above the slow one", created_ms=now)
        for n in range(1, 5)
    ]  # fmt: skip
    issue_signals(mailbox, signals, {"by": "seed"})
    leased = mailbox.lease_pending(ACCOUNT, "lease-1", 2)
    for number, signal in enumerate(leased, start=1):
        mailbox.acknowledge(signal.id, ACCOUNT)
        mailbox.record_reports(
            [
                Report(f"r{number}", ACCOUNT, "filled", now, "EURUSD", signal.id, ticket=number, position_ticket=number, side=signal.side,
                       lots=signal.lots, price=float(prices[-1]), stop=signal.stop, target=signal.target)
            ]
        )  # fmt: skip
    mailbox.record_reports([Report("r9", ACCOUNT, "closed", now + 60_000, "EURUSD", position_ticket=2, side=leased[1].side, lots=leased[1].lots,
                                   price=1.25, profit=12.5, exit_kind=2, level=1.25)])  # fmt: skip


def _processes(home: Path) -> None:
    log = home / "logs" / "worker.log"
    log.parent.mkdir()
    log.write_text("".join(f"line {number} of the worker\n" for number in range(200)))
    store, now = PlatformStore.open(home), now_ms()
    store.replace_processes(
        [
            ProcessState("api", "running", True, 4711, now - 90_000, 0, "", "http://127.0.0.1:5000", str(home / "logs" / "api.log")),
            ProcessState("worker", "running", True, 4712, now - 30_000, 1, "was killed by SIGKILL", "", str(log)),
        ]
    )
    store.add_event("worker", "was killed by SIGKILL; starts again in 0.1 s")


if __name__ == "__main__":
    began = now_ms()
    seed(Path(sys.argv[1]))
    print(f"seeded in {(now_ms() - began) / 1000:.1f} s; models: {len(ModelStore.open(Path(sys.argv[1])).list())}")
