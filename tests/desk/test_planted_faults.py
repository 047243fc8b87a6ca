"""Faults planted in the desk, the terminal and the paper broker's door: the twin must see every one of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.desk.live import ROOT

pytestmark = pytest.mark.slow
BARS = 140
SESSION, MIRROR, TERMINAL = "components/desk/session.py", "components/desk/mirror.py", "components/terminal/simulated.py"

FAULTS = {
    "sized from the balance instead of the equity": (
        MIRROR,
        "book.account[b.A_EQUITY] = snapshot.equity",
        "book.account[b.A_EQUITY] = snapshot.balance",
    ),
    "decides on the bar before": (SESSION, "len(bars) - 1, 0, decisions", "len(bars) - 2, 0, decisions"),
    "forgets the open positions": (MIRROR, "row = _next_row(book, 0)", "continue\n        row = _next_row(book, 0)"),
    "mistakes bid for ask": (SESSION, "np.array([bid, bid + (ask - bid), rate])", "np.array([bid + 0.0005, bid + 0.0005 + (ask - bid), rate])"),
    "sends targets as stops": (MIRROR, "stop=_none(r[b.R_STOP])", "stop=_none(r[b.R_TARGET])"),
    "loses closes": (MIRROR, "        expiry = int(", "        if action is Action.CLOSE:\n            continue\n        expiry = int("),
    "skips every twentieth bar": (
        SESSION,
        "        if self._was_issued(bar_ms):",
        "        if self._was_issued(bar_ms) or bar_ms // 3_600_000 % 20 == 0:",
    ),
    "loses a tick of every portion": (
        SESSION,
        "            self._builder.add(time_ms, bid, ask)\n",
        "            self._builder.add(time_ms[:-1], bid[:-1], ask[:-1])\n",
    ),
    "executes a tick late": (
        TERMINAL,
        "self._execute(path, start, start + 1, self._fetch(int(path.time_ms[start])))",
        "taken = self._fetch(int(path.time_ms[start]))\n            self._execute(path, start, start + 1, [])\n            self._execute(path, start + 1, start + 1, taken)",
    ),
}


def run_copy(folder: Path, fault: tuple[str, str, str] | None) -> dict[str, object]:
    """Replay with a copy of the source in which one line is changed."""
    for name in ("components", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("api_server.py", "pyproject.toml"):
        shutil.copy2(ROOT / name, folder / name)
    if fault is not None:
        path, good, bad = fault
        text = (folder / path).read_text()
        assert text.count(good) == 1, f"the line to change stands {text.count(good)} times in {path}: {good}"
        (folder / path).write_text(text.replace(good, bad))
    # Compiled code is switched off: the copy would compile everything again, and the faults are not in it.
    environment = {**os.environ, "PYTHONPATH": str(folder), "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-m", "tests.desk.live", str(folder / "home"), str(BARS)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def test_the_copy_without_a_fault_agrees(tmp_path: Path) -> None:
    verdict = run_copy(tmp_path, None)
    assert verdict["is_equal"] is True
    assert int(str(verdict["trades"])) >= 8


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(tmp_path: Path, fault: str) -> None:
    assert run_copy(tmp_path, FAULTS[fault])["is_equal"] is False
