"""Strategies: the contract, the library and the catalogue."""

from components.fx import BadInput
from components.strategy.contract import (
    MANAGE_SIGNATURE,
    Context,
    Decisions,
    Params,
    Strategy,
    ask,
    begin_request,
    compiled_manage,
    lean,
    lean_inline,
)
from components.strategy.exits import time_exit
from components.strategy.library import LIBRARY
from components.strategy.memo import Memo
from components.strategy.plain import Wish, plain_strategy


def catalogue() -> tuple[Strategy, ...]:
    """Every strategy that the platform knows."""
    return LIBRARY


def strategy(name: str) -> Strategy:
    """The strategy called `name`.

    Raises
    ------
    BadInput
        If it is unknown.
    """
    for item in LIBRARY:
        if item.name == name:
            return item
    raise BadInput("strategy", f"{name!r} is unknown; known are {', '.join(item.name for item in LIBRARY)}")


__all__ = [
    "MANAGE_SIGNATURE",
    "Context",
    "Decisions",
    "Memo",
    "Params",
    "Strategy",
    "Wish",
    "ask",
    "begin_request",
    "catalogue",
    "compiled_manage",
    "lean",
    "lean_inline",
    "plain_strategy",
    "strategy",
    "time_exit",
]
