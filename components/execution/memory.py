"""What numba has no word for: eight small elements read at once, and a hint that an element will be wanted soon."""

from __future__ import annotations

from typing import Any

from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic


def _place(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    """Address of element ``array[row, 0]``."""
    kind = signature.args[0]
    array = context.make_array(kind)(context, builder, values[0])
    zero = context.get_constant(types.intp, 0)
    return builder.bitcast(cgutils.get_item_pointer(context, builder, kind, array, [values[1], zero], wraparound=False), cgutils.voidptr_t)


@intrinsic  # type: ignore[untyped-decorator]
def _eight(_typing: Any, array: Any, row: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word = cgutils.ir.IntType(64)
        place = builder.bitcast(_place(context, builder, signature, values), word.as_pointer())
        return builder.load(place, align=1)

    return types.uint64(array, types.intp), code


@intrinsic  # type: ignore[untyped-decorator]
def _fetch(_typing: Any, array: Any, row: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        number = cgutils.int32_t
        fetch = cgutils.get_or_insert_function(
            builder.module,
            cgutils.ir.FunctionType(cgutils.ir.VoidType(), [cgutils.voidptr_t, number, number, number]),
            "llvm.prefetch.p0",
        )
        # To be read, kept in every cache, data.
        builder.call(fetch, [_place(context, builder, signature, values), number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), code


def _any_of_eight(array: Any, row: Any) -> int:
    return int(array[int(row) : int(row) + 8, 0].any())


def _nothing(array: Any, row: Any) -> None:
    """Where numba is switched off there is nothing to tell."""


will_read = _nothing if config.DISABLE_JIT else _fetch
"""``will_read(array, row)``, in compiled code: element ``array[row, 0]`` of a two-dimensional array will be wanted. It changes no value and may
name a place behind the array's end."""

eight_at = _any_of_eight if config.DISABLE_JIT else _eight
"""``eight_at(array, row)``, in compiled code: elements ``array[row:row + 8, 0]`` of an int8 array in one number, which is 0 where all of them are.
They must be there, and the array contiguous and one column wide; nothing checks it."""
