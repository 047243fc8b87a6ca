"""One way to compile a loop: cached machine code, IEEE arithmetic (no reassociation), so that results do not depend on array length."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """The function as machine code, kept on disk beside it; division by zero gives inf or NaN as in numpy."""
    return cast(Function, njit(cache=True, error_model="numpy")(function))
