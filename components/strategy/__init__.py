"""Strategies: the contract, the library and the catalogue."""

from components.fx import BadInput
from components.strategy.contract import MANAGE_SIGNATURE, Context, Decisions, Params, Strategy, ask, compiled_manage
from components.strategy.library import LIBRARY


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


__all__ = ["MANAGE_SIGNATURE", "Context", "Decisions", "Params", "Strategy", "ask", "catalogue", "compiled_manage", "strategy"]
