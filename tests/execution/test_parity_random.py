"""The step under `reference` equals backtesting.py on random bars and decisions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, given, settings
from managers import busy
from parity import compare_with_backtesting
from worlds import World, worlds

RANDOM = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], derandomize=True)


def _compare(world: World) -> None:
    manage = None if world.manage is None else busy
    params = None if world.manage is None else np.array(world.manage)
    compare_with_backtesting(world.frame(), world.decisions(), world.instrument, world.account, world.sizing, world.limits, manage, params)


@given(worlds(reference=True))
@RANDOM
def test_random_hedging_runs_equal_backtesting_py_trade_for_trade(world: World) -> None:
    _compare(world)


@given(worlds(reference=True))
@RANDOM
def test_random_netting_runs_equal_backtesting_py_trade_for_trade(world: World) -> None:
    _compare(replace(world, account=replace(world.account, margin_mode="netting")))
