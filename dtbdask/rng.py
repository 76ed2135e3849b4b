"""The counter-based random numbers: every draw is a pure function of what it is for.

A draw is a function of `(seed, purpose, member, index, step)` and of nothing else: not of the
block, the worker, the order of calls, or what was drawn before. The generator is Philox4x32-10
(Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3. SC11): a keyed bijection
from a 128-bit counter to four 32-bit words. Key and counter are laid out as

====== ==================================================
key    low and high word of the 64-bit seed
word 0 low word of the index
word 1 high 16 bits of the index, and the member times 2^16
word 2 low word of the step (or synapse slot)
word 3 the purpose, and the high 24 bits of the step times 2^8
====== ==================================================

Normal variates come from Box-Muller in float32 with our own polynomials for the logarithm, sine and
cosine, so that each is one defined order of IEEE operations: NumPy here, Numba in `kernels.cpu` and
CUDA C give the same bits.

One Philox call yields four words, and so four normals. Neurons are drawn in tiles of 128: neuron
`i` takes word `(i % 128) // 32` of index `(i // 128) * 32 + i % 32`. Thirty-two consecutive
counters serve 128 consecutive neurons, which suits a warp and a vector unit alike.

This module is the NumPy text: slow, for hosts and tests, and what is meant. It also makes NumPy
generators for draws that no kernel repeats.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]

MULTIPLIER_0, MULTIPLIER_1 = 0xD2511F53, 0xCD9E8D57
WEYL_0, WEYL_1 = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10

TILE = 128
"""Neurons served by 32 consecutive counters."""

LANE = 32
"""Counters of a tile."""


class Purpose(IntEnum):
    """What a word is drawn for: streams of different purpose never meet."""

    WIRE = 1
    BACKGROUND = 2
    NOISE = 3


def philox(counter: Words, key: tuple[int, int]) -> Words:
    """Philox4x32-10.

    Parameters
    ----------
    counter : (..., 4) uint32
        Counters.
    key : (2,) int
        Key words.

    Returns
    -------
    (..., 4) uint32
        Four random words a counter.
    """
    c0, c1, c2, c3 = (counter[..., word].astype(np.uint64) for word in range(4))
    k0, k1 = (np.uint64(word) for word in key)
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    for _ in range(ROUNDS):
        p0, p1 = c0 * np.uint64(MULTIPLIER_0), c2 * np.uint64(MULTIPLIER_1)
        c0, c1, c2, c3 = (p1 >> shift) ^ c1 ^ k0, p1 & low, (p0 >> shift) ^ c3 ^ k1, p0 & low
        k0, k1 = (k0 + np.uint64(WEYL_0)) & low, (k1 + np.uint64(WEYL_1)) & low
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def words(
    seed: int, purpose: Purpose, index: NDArray[np.int64], step: int = 0, member: int = 0
) -> Words:
    """Four words for each index.

    Parameters
    ----------
    seed : int
        Seed of the network or of the run, 0 to 2^64 - 1.
    purpose : Purpose
        Stream.
    index : (index,) int64
        Below 2^48.
    step : int
        Step, sub-step or slot, below 2^56.
    member : int
        Ensemble member, below 2^16.

    Returns
    -------
    (index, 4) uint32
    """
    index = np.asarray(index, dtype=np.int64)
    counter = np.empty((*index.shape, 4), np.uint32)
    counter[..., 0] = index & 0xFFFFFFFF
    counter[..., 1] = (index >> 32) | (member << 16)
    counter[..., 2] = step & 0xFFFFFFFF
    counter[..., 3] = int(purpose) | (step >> 32 << 8)
    return philox(counter, split_seed(seed))


def split_seed(seed: int) -> tuple[int, int]:
    """Low and high word of a 64-bit seed: the Philox key."""
    return seed & 0xFFFFFFFF, seed >> 32


def neuron_words(
    seed: int, purpose: Purpose, start: int, stop: int, step: int, member: int
) -> Words:
    """One word for each neuron of a range, four neurons a Philox call.

    Parameters
    ----------
    seed, purpose, step, member
        As in `words`.
    start, stop : int
        Range of global neuron indices.

    Returns
    -------
    (neuron,) uint32
    """
    first = start // TILE
    tiles = -(-stop // TILE) - first
    index = np.arange(first * LANE, (first + tiles) * LANE)
    drawn = words(seed, purpose, index, step, member).reshape(tiles, LANE, 4)
    return drawn.transpose(0, 2, 1).reshape(-1)[start - first * TILE : stop - first * TILE]


def neuron_normals(seed: int, start: int, stop: int, step: int, member: int) -> NDArray[np.float32]:
    """One standard normal for each neuron of a range: the background noise of one sub-step.

    Parameters
    ----------
    seed, start, stop, step, member
        As in `neuron_words`.

    Returns
    -------
    (neuron,) float32
    """
    first = start // TILE
    stop_tile = -(-stop // TILE)
    drawn = neuron_words(seed, Purpose.BACKGROUND, first * TILE, stop_tile * TILE, step, member)
    pairs = drawn.reshape(-1, 2, 2, LANE)  # tile, pair, word of the pair, lane
    even, odd = box_muller(pairs[:, :, 0], pairs[:, :, 1])
    normals = np.stack([even, odd], axis=2).reshape(-1)
    return normals[start - first * TILE : stop - first * TILE]


# ln(1 + y) / y on [sqrt(1/2) - 1, sqrt(2) - 1], and sin(t) / t and cos(t) in t^2 for
# |t| <= pi / 2: Chebyshev fits, rounded to float32. Errors below 1e-7, 2e-7 and 2e-7.
LOG = (
    0.9999999403953552, -0.5000036358833313, 0.33335113525390625, -0.24970071017742157,
    0.19898565113544464, -0.17247013747692108, 0.1623418927192688, -0.10134056955575943,
)  # fmt: skip
SIN = (
    1.0, -0.16666658222675323, 0.008333050645887852, -0.00019809046352747828,
    2.6051661734527443e-06,
)  # fmt: skip
COS = (
    0.9999999403953552, -0.4999990463256836, 0.041663579642772675, -0.0013853666605427861,
    2.315317397005856e-05,
)  # fmt: skip
LN2 = 0.6931471824645996
HALF_TURN = 7.3145906e-10
"""pi / 2^32, in float32."""
SQRT_HALF_BITS = 0x3F3504F3
"""The float32 just above sqrt(1/2), as an integer: where the mantissa is cut in two."""


def box_muller(first: Words, second: Words) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two standard normals from two words each (Box and Muller 1958), in defined float32 order.

    The radius takes 24 bits, so no variate is beyond 5.77 standard deviations.

    Parameters
    ----------
    first, second : (...) uint32
        Words of the radius and of the angle.

    Returns
    -------
    even, odd : (...) float32
        radius * cos(angle), radius * sin(angle).
    """
    f = np.float32
    m = ((first >> np.uint32(8)).astype(np.int32) + np.int32(1)).astype(f)  # u = m / 2^24 in (0, 1]
    bits = m.view(np.int32) - np.int32(SQRT_HALF_BITS)
    exponent = (bits >> np.int32(23)).astype(f) - f(24)
    y = ((bits & np.int32(0x7FFFFF)) + np.int32(SQRT_HALF_BITS)).view(f) - f(1)
    log_u = exponent * f(LN2) + y * _polynomial(LOG, y)
    radius = np.sqrt(f(-2) * log_u)
    t = second.view(np.int32).astype(f) * f(HALF_TURN)  # half the angle, in [-pi/2, pi/2]
    square = t * t
    sin, cos = t * _polynomial(SIN, square), _polynomial(COS, square)
    return radius * (cos * cos - sin * sin), radius * (f(2) * sin * cos)


def _polynomial(coefficients: tuple[float, ...], x: NDArray[np.float32]) -> NDArray[np.float32]:
    total = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * x + np.float32(coefficient)
    return total


def uniform(word: Words) -> NDArray[np.float32]:
    """Uniform variates on [0, 1) with 24 bits.

    Parameters
    ----------
    word : (...) uint32
        Random words.

    Returns
    -------
    (...) float32
    """
    return (word >> np.uint32(8)).astype(np.int32).astype(np.float32) * np.float32(2.0**-24)


def generator(seed: int, purpose: str, *index: int) -> np.random.Generator:
    """NumPy generator for draws on the host: a stream of its own for each seed, purpose and index.

    Parameters
    ----------
    seed : int
        Seed, 0 or more.
    purpose : str
        What is drawn.
    *index : int
        Which one: a parameter, a block of neurons, a frame, a member.
    """
    name = repr((int(seed), purpose, *map(int, index))).encode()
    key = int.from_bytes(hashlib.blake2b(name, digest_size=16).digest(), "little")
    return np.random.Generator(np.random.Philox(key=key))
