"""Studies for the seeded platform, small and made by the real room: sweeps, walk-forwards, audits, an examination, a report of the Strategy Tester."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.backtest import (
    BacktestStore,
    StoredRun,
    compare_with_report,
    examine,
    execute_audit,
    execute_sweep,
    execute_walkforward,
    import_report,
)
from components.pipeline import BrokerClock
from tests.backtest.lookalikes_mt5 import Fill, Tester, optimisation_xml, report_html

LOT = 100_000.0
COMMISSION = 3.5
RANGES = {"fast": {"low": 5, "high": 25, "step": 5}, "slow": {"low": 20, "high": 80, "step": 10}}


def keep_studies(home: Path, run: StoredRun) -> None:
    """All of them about one run's strategy and bars."""
    asked = {"strategy": run.strategy, "bar_set_id": run.bar_set_id}
    execute_sweep(home, {**asked, "ranges": RANGES, "min_trades": 5, "workers": 1})
    few = {"fast": [5, 10, 20], "slow": [30, 60]}
    execute_walkforward(home, {**asked, "ranges": few, "windows": 4, "min_trades": 1, "cores": 1})
    execute_walkforward(
        home, {**asked, "ranges": few, "mode": "combinatorial", "groups": 5, "test_groups": 2, "min_trades": 1, "cores": 1, "name": "many paths"}
    )
    execute_audit(home, {"run_id": run.id, "cuts": 4, "dense": 20, "rows": 1_500})
    examine(home, {"run_id": run.id, "draws": 200, "bar_draws": 10})
    report = import_report(home, page_of_tester(home, run), name="SMA cross in the tester")
    compare_with_report(home, run.id, report.id)
    import_report(home, optimisation_xml(60))


def page_of_tester(home: Path, run: StoredRun, changes: Mapping[str | int, Any] | None = None) -> bytes:
    """A report as the tester would have written it: another clock, a wider spread, commission, some trades missing; `changes` as in `report_html`."""
    store = BacktestStore.open(home)
    trades = store.trades(run.id).to_dict("records")
    store.close()
    clock = BrokerClock.named("us", 120)

    def wall(ms: int) -> int:
        return ms + clock.offset_minutes_at(ms) * 60_000

    fills = []
    for number, row in enumerate(trades):
        if number % 23 == 7:
            continue
        entry, leave = (int(row[f"{end}_time"].timestamp() * 1000) for end in ("entry", "exit"))
        begin = round(row["entry_price"] + row["side"] * 0.00004, 5)
        profit = row["side"] * row["lots"] * LOT * (row["exit_price"] - begin)
        comment = {"stop": f"sl {row['exit_price']:.5f}", "target": f"tp {row['exit_price']:.5f}"}.get(row["exit"], "")
        paid = -round(COMMISSION * row["lots"], 2)
        fills.append(
            Fill(wall(entry), wall(leave), row["side"], row["lots"], begin, row["exit_price"], profit, paid, paid, 0.0, None, None, "x", comment)
        )
    return report_html(fills, test=Tester(expert=run.strategy), changes=changes)
