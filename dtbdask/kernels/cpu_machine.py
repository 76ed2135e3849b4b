"""What the machine can do and Numba does not: prefetch, threads that meet, bits as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array


def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Ask the memory for `array.flat[index]` without waiting for it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        address = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        builder.call(function, [address, word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


def _as_int(typing_context: Any, value: Any) -> Any:
    """Bits of a float32 as an int32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), generate


def _as_float(typing_context: Any, value: Any) -> Any:
    """Bits of an int32 as a float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


def _release(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    """Write `array.flat[index]`, an int64; who sees it sees all that was written before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        builder.store_atomic(arguments[2], builder.gep(data, [arguments[1]]), "release", 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), generate


def _acquire(typing_context: Any, array: Any, index: Any) -> Any:
    """Value of `array.flat[index]`, an int64 that another thread may write."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(builder.gep(data, [arguments[1]]), "acquire", 8)

    return types.int64(array, types.intp), generate


def _now(typing_context: Any) -> Any:
    """Time on a clock that never goes back, ns."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number, word = ir.IntType(64), ir.IntType(32)
        time = cgutils.alloca_once(builder, ir.ArrayType(number, 2))
        kind = ir.FunctionType(word, [word, time.type])
        function = cgutils.get_or_insert_function(builder.module, kind, "clock_gettime")
        builder.call(function, [word(_MONOTONIC), time])
        seconds, rest = (builder.extract_value(builder.load(time), k) for k in range(2))
        return builder.add(builder.mul(seconds, number(1_000_000_000)), rest)

    return types.int64(), generate


_MONOTONIC = 1
AHEAD = np.uint64(4)
"""Rows by which a prefetch runs ahead of a delivery."""

prefetch: Any = intrinsic(_prefetch)
as_int: Any = intrinsic(_as_int)
release: Any = intrinsic(_release)
acquire: Any = intrinsic(_acquire)
as_float: Any = intrinsic(_as_float)
now: Any = intrinsic(_now)


@njit(forceinline=True)
def prefetch_row(target: Any, indptr: Any, row: Any) -> None:
    """Ask for the edges of a row that will soon be delivered.

    Parameters
    ----------
    target : (edge,) uint32
    indptr : (row_edge,) int64
    row : uint64
    """
    for e in range(indptr[row], indptr[row + np.uint64(1)], 16):
        prefetch(target, e)


give_way: Any = types.ExternalFunction("sched_yield", types.int32())

LINE = 8
"""Numbers of 64 bits in a line of the cache."""
_PATIENCE = 2000
"""Looks at another thread before the core is offered to others."""


@njit(nogil=True)
def meet(arrived: Any, part: Any, moment: Any) -> None:
    """Wait until the threads of all parts have come to the same moment.

    Parameters
    ----------
    arrived : (part, 8) int64
        How far each part has come, each in a line of its own.
    part, moment : int
    """
    release(arrived, part * LINE, moment)
    for other in range(arrived.shape[0]):
        looks = 0
        while acquire(arrived, other * LINE) < moment:
            looks += 1
            if looks % _PATIENCE == 0:
                give_way()
