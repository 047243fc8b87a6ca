"""One way to compile a loop: cached machine code, IEEE arithmetic (no reassociation), so that results do not depend on array length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit, types

from components import spare_numba_scipy

Function = TypeVar("Function", bound=Callable[..., object])
spare_numba_scipy()


def compiled(function: Function) -> Function:
    """The function as machine code, kept on disk beside it; division by zero gives inf or NaN as in numpy.

    It lets other threads run beside it (a sweep runs one point on each core), so it must not write to an array that another thread may read.
    """
    machine: Any = njit(cache=True, nogil=True, error_model="numpy", no_cfunc_wrapper=True)(function)
    find = getattr(machine, "get_call_template", None)
    if find is not None:
        # Called with a constant, numba would compile one copy per value of it: a dozen of one average, for whose state lies in which place.
        machine.get_call_template = lambda args, kws: find(
            tuple(types.unliteral(kind) for kind in args), {name: types.unliteral(kind) for name, kind in kws.items()}
        )
    return cast(Function, machine)
