"""The backtest benchmarks run, small, and everybody in them comes to the same trades; their times are measured elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def lines_of(module: str, tmp_path: Path) -> list[dict[str, Any]]:
    """What a benchmark prints in its quick mode, where the real minutes are not at hand and there is no vectorbt."""
    environment = {name: value for name, value in os.environ.items() if name != "VECTORBT_PYTHON"}
    environment |= {"SEQUENCE_REALDATA": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.{module}", "--quick"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=540, check=False)
    assert run.returncode == 0, run.stdout + run.stderr[-3000:]
    return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]


@pytest.mark.slow
def test_everybody_in_the_backtest_benchmark_makes_the_same_trades(tmp_path: Path) -> None:
    lines = {line["benchmark"]: line for line in lines_of("backtest", tmp_path)}
    assert all(line["is_correct"] for line in lines.values())
    minutes = lines["backtest_minutes"]
    assert minutes["same_trades_as"] == dict.fromkeys(("bare_loop", "adapter", "backtesting_py", "plain"), True)
    assert minutes["trades"] > 100
    assert minutes["data"].startswith("random walk"), "it must say that the real minutes were not there"
    assert "no interpreter" in minutes["vectorbt"]
    assert {"ours_s", "mt5_s", "step_s", "bare_loop_s", "step_over_bare", "backtesting_py_s", "ratio_backtesting_py"} <= set(minutes)
    assert lines["backtest_plain_callback"]["ratio"] > 0


@pytest.mark.slow
def test_the_sweep_benchmark_finds_what_the_bare_loop_finds_for_every_pair(tmp_path: Path) -> None:
    sweep, memory = lines_of("sweep", tmp_path)
    assert sweep["is_correct"]
    assert memory["is_correct"]
    assert sweep["pairs"] == 6
    assert sweep["trades"] > 100
    assert "extrapolated" in sweep["backtesting_py_is"]


@pytest.mark.slow
def test_the_overfitting_benchmark_agrees_with_the_definition(tmp_path: Path) -> None:
    (line,) = lines_of("pbo", tmp_path)
    assert line["is_correct"]
    assert 0.0 <= line["probability"] <= 1.0
