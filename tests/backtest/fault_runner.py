"""Runs the parity and oracle checks against copies of `components` with one fault each; started by test_planted_faults.py.

    python fault_runner.py <folder that holds the copy of components> < faults.json > verdicts.json

Machine code is switched off (NUMBA_DISABLE_JIT), so that a changed line counts at once. Each fault has a forked process of its own; what is
imported before the fork is only what no fault touches. A fault that is null is the code as it is.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

sys.dont_write_bytecode = True
os.environ["NUMBA_DISABLE_JIT"] = "1"

import backtesting  # noqa: E402, F401
import hypothesis.strategies  # noqa: E402, F401
import numba  # noqa: E402, F401
import pandas  # noqa: E402, F401
import pydantic  # noqa: E402, F401
import pytest  # noqa: E402
import talib  # noqa: E402, F401

WORLDS = 150
TESTS = Path(__file__).resolve().parents[1]
BY_HAND = [
    *(f"execution/test_{name}.py" for name in ("swap", "margin_level", "finer_rows", "account_limits", "glide", "plain_by_hand")),
    "backtest/test_slippage.py",
]
CAUGHT, PASSED, BROKEN = 1, 0, 2


def check_all(*, plain_first: bool) -> None:
    """What is computed by hand; then, on random worlds and without shrinking, the naive account, backtesting.py, and both ways through the step."""
    from dataclasses import replace

    import numpy as np
    from both_ways import run_both_ways
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st
    from managers import busy
    from oracle import compare_with_oracle
    from parity import compare_with_backtesting
    from worlds import World, worlds

    quick = settings(
        max_examples=WORLDS, deadline=None, derandomize=True, database=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck)
    )

    @quick
    @given(worlds(reference=False))
    def oracle(world: World) -> None:
        compare_with_oracle(world)

    @quick
    @given(worlds(reference=True))
    def parity(world: World) -> None:
        manage, params = (None, None) if world.manage is None else (busy, np.array(world.manage))
        for mode in ("hedging", "netting"):
            account = replace(world.account, margin_mode=mode)
            compare_with_backtesting(world.frame(), world.decisions(), world.instrument, account, world.sizing, world.limits, manage, params)

    @quick
    @given(worlds(reference=False, plain=True))
    def plain_oracle(world: World) -> None:
        compare_with_oracle(world)

    @quick
    @given(worlds(reference=True, plain=True))
    def plain_parity(world: World) -> None:
        compare_with_backtesting(world.frame(), world.decisions(), world.instrument, world.account, world.sizing, world.limits)

    @quick
    @given(worlds(reference=False, plain=True), st.sampled_from(("mt5", "reference")))
    def both_ways(world: World, policy: str) -> None:
        run_both_ways(world, policy)

    files = [str(TESTS / name) for name in BY_HAND]
    assert pytest.main(["-q", "-x", "-p", "no:cacheprovider", "--no-header", "-W", "ignore", *files]) == pytest.ExitCode.OK
    general, plain = (oracle, parity), (plain_oracle, both_ways, plain_parity)
    for check in (*plain, *general) if plain_first else (*general, *plain):
        check()


def verdict_in_child(copy: Path, file: str) -> int:
    """Exit code of a process that imports the copy as it is now and runs the checks."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.dup2(2, 1)
    try:
        sys.path[:0] = [str(copy), str(Path(__file__).resolve().parents[1] / "execution")]
        check_all(plain_first=file.endswith("plain_trades.py"))
        os._exit(PASSED)
    except AssertionError:
        os._exit(CAUGHT)
    except BaseException:
        traceback.print_exc()
        os._exit(BROKEN)


def main() -> None:
    copy = Path(sys.argv[1])
    verdicts = {}
    for name, fault in json.load(sys.stdin).items():
        if fault is None:
            verdicts[name] = verdict_in_child(copy, "")
            continue
        file, old, new = fault
        path = copy / "components" / file
        whole = path.read_text()
        path.write_text(whole.replace(old, new, 1))
        verdicts[name] = verdict_in_child(copy, file)
        path.write_text(whole)
    json.dump(verdicts, sys.stdout)


if __name__ == "__main__":
    main()
