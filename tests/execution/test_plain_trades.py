"""Plain trades take a way of their own through the step; it must be the written rules' way, and leave what the general way leaves."""

from __future__ import annotations

from dataclasses import replace

from both_ways import run_both_ways
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import compare_with_oracle
from parity import compare_with_backtesting
from worlds import World, worlds

RANDOM = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], derandomize=True)


@given(worlds(reference=False, plain=True))
@RANDOM
def test_plain_trades_on_random_bars_are_those_of_the_naive_account(world: World) -> None:
    compare_with_oracle(world)


@given(worlds(reference=True, plain=True), st.sampled_from(("hedging", "netting")))
@RANDOM
def test_plain_trades_on_random_bars_are_those_of_backtesting_py(world: World, mode: str) -> None:
    account = replace(world.account, margin_mode=mode)
    compare_with_backtesting(world.frame(), world.decisions(), world.instrument, account, world.sizing, world.limits)


@given(worlds(reference=False, plain=True, max_bars=60), st.sampled_from(("mt5", "mt5", "reference")), st.data())
@RANDOM
def test_plain_trades_leave_what_the_general_way_leaves_bit_for_bit(world: World, policy: str, data: st.DataObject) -> None:
    rows = len(world.bars)
    few = st.sampled_from((False,) * 9 + (True,))
    run_both_ways(
        world,
        policy,
        holes=data.draw(st.one_of(st.just([False] * rows), st.lists(few, min_size=rows, max_size=rows))),
        is_one_day=data.draw(few),
        room=data.draw(st.sampled_from((1, 40, 4096))),
        first_bar=data.draw(st.sampled_from((0, 0, 1, 5))),
        capacity=data.draw(st.sampled_from((1, 2, 8))),
    )
