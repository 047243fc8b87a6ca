"""The compiled step under `mt5` against an account in plain Python that follows the written rules."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from oracle import compare_with_oracle
from worlds import World, worlds

RANDOM = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], derandomize=True)


@given(worlds(reference=False))
@RANDOM
def test_random_bars_give_what_the_naive_account_gives(world: World) -> None:
    compare_with_oracle(world)


@given(worlds(reference=False))
@RANDOM
def test_random_ticks_give_what_the_naive_account_gives(world: World) -> None:
    step = compare_with_oracle(replace(world, manage=None), as_ticks=True)
    assert step.ambiguous_rows == 0, "a tick has one price: nothing in it is ambiguous"


@given(worlds(reference=False))
@RANDOM
def test_rows_that_finer_ones_decide_give_what_the_naive_account_gives(world: World) -> None:
    compare_with_oracle(world, with_finer=True)
