"""A hint to the processor that an element of an array will be wanted soon."""

from __future__ import annotations

from typing import Any

from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic  # type: ignore[untyped-decorator]
def _fetch(_typing: Any, array: Any, row: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = signature.args[0]
        place = context.make_array(kind)(context, builder, values[0])
        zero = context.get_constant(types.intp, 0)
        element = cgutils.get_item_pointer(context, builder, kind, place, [values[1], zero], wraparound=False)
        byte = cgutils.voidptr_t
        number = cgutils.int32_t
        fetch = cgutils.get_or_insert_function(
            builder.module, cgutils.ir.FunctionType(cgutils.ir.VoidType(), [byte, number, number, number]), "llvm.prefetch.p0"
        )
        # To be read, kept in every cache, data.
        builder.call(fetch, [builder.bitcast(element, byte), number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), code


def _nothing(array: Any, row: Any) -> None:
    """Where numba is switched off there is nothing to tell."""


will_read = _nothing if config.DISABLE_JIT else _fetch
"""``will_read(array, row)``, in compiled code: element ``array[row, 0]`` of a two-dimensional array will be wanted. It changes no value."""
