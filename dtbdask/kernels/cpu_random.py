"""The random numbers of `dtbdask.rng` in Numba: the same bits, a tile of 128 neurons at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dtbdask import rng
from dtbdask.kernels.cpu_machine import as_float, as_int

_M0, _M1 = np.uint64(rng.MULTIPLIER_0), np.uint64(rng.MULTIPLIER_1)
_W0, _W1 = np.uint32(rng.WEYL_0), np.uint32(rng.WEYL_1)
_LOG = tuple(np.float32(c) for c in rng.LOG)
_SIN = tuple(np.float32(c) for c in rng.SIN)
_COS = tuple(np.float32(c) for c in rng.COS)
_LN2, _HALF_TURN = np.float32(rng.LN2), np.float32(rng.HALF_TURN)
_SQRT_HALF = np.int32(rng.SQRT_HALF_BITS)
_LANE = rng.LANE


@njit(inline="always")
def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """Philox4x32-10 of one counter: four uint32."""
    for _ in range(rng.ROUNDS):
        p0 = np.uint64(c0) * _M0
        p1 = np.uint64(c2) * _M1
        c0 = np.uint32(p1 >> np.uint64(32)) ^ c1 ^ k0
        c2 = np.uint32(p0 >> np.uint64(32)) ^ c3 ^ k1
        c1 = np.uint32(p1)
        c3 = np.uint32(p0)
        k0 = np.uint32(k0 + _W0)
        k1 = np.uint32(k1 + _W1)
    return c0, c1, c2, c3


@njit(nogil=True, cache=True)
def tile_words(
    out: NDArray[np.uint32], purpose: Any, tile: int, step: int, member: int, key: Any
) -> None:
    """Words of the 128 neurons of a tile, four to each of 32 counters.

    Parameters
    ----------
    out : (4, 32) uint32
        Written; neuron `32 * word + lane` of the tile.
    purpose : uint32
        Stream.
    tile, step, member : int
        As in `dtbdask.rng.neuron_words`.
    key : (2,) uint32
        Seed.
    """
    c0, c1, c2, c3 = _counter(purpose, tile, step, member)
    k0, k1 = key[0], key[1]
    for lane in range(_LANE):
        w0, w1, w2, w3 = philox(np.uint32(c0 + np.uint32(lane)), c1, c2, c3, k0, k1)
        out[0, lane] = w0
        out[1, lane] = w1
        out[2, lane] = w2
        out[3, lane] = w3


@njit(nogil=True, cache=True)
def tile_normals(
    z: NDArray[np.float32], purpose: Any, tile: int, step: int, member: int, key: Any
) -> None:
    """Standard normals of the 128 neurons of a tile, by Box-Muller.

    One loop from counters to normals: nothing is kept in memory between the two.

    Parameters
    ----------
    z : (128,) float32
        Written.
    purpose, tile, step, member, key
        As in `tile_words`.
    """
    c0, c1, c2, c3 = _counter(purpose, tile, step, member)
    k0, k1 = key[0], key[1]
    for lane in range(_LANE):
        w0, w1, w2, w3 = philox(np.uint32(c0 + np.uint32(lane)), c1, c2, c3, k0, k1)
        z[lane], z[_LANE + lane] = box_muller(w0, w1)
        z[2 * _LANE + lane], z[3 * _LANE + lane] = box_muller(w2, w3)


@njit(inline="always")
def _counter(purpose: Any, tile: Any, step: Any, member: Any) -> Any:
    """Counter of the first lane of a tile."""
    first = tile * _LANE
    return (
        np.uint32(first & 0xFFFFFFFF),
        np.uint32((first >> 32) | (member << 16)),
        np.uint32(step & 0xFFFFFFFF),
        np.uint32(purpose | ((step >> 32) << 8)),
    )


@njit(inline="always")
def box_muller(first: Any, second: Any) -> Any:
    """Two standard normals of two uint32 words: the float32 operations of `rng.box_muller`."""
    f = np.float32
    bits = np.int32(as_int(f(np.int32(first >> np.uint32(8)) + np.int32(1))) - _SQRT_HALF)
    y = as_float(np.int32(np.int32(bits & np.int32(0x7FFFFF)) + _SQRT_HALF)) - f(1)
    p = _LOG[7] * y + _LOG[6]
    p = p * y + _LOG[5]
    p = p * y + _LOG[4]
    p = p * y + _LOG[3]
    p = p * y + _LOG[2]
    p = p * y + _LOG[1]
    p = p * y + _LOG[0]
    log_u = (f(np.int32(bits >> np.int32(23))) - f(24)) * _LN2
    radius = np.sqrt(f(-2) * (log_u + y * p))
    t = f(np.int32(second)) * _HALF_TURN
    s = t * t
    sin = _SIN[4] * s + _SIN[3]
    sin = sin * s + _SIN[2]
    sin = sin * s + _SIN[1]
    sin = t * (sin * s + _SIN[0])
    cos = _COS[4] * s + _COS[3]
    cos = cos * s + _COS[2]
    cos = cos * s + _COS[1]
    cos = cos * s + _COS[0]
    return radius * (cos * cos - sin * sin), radius * (f(2) * sin * cos)
