"""Ranges of neurons: the numbers in them, their tiles, and what may be wrong with them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtbdask.errors import InputError
from dtbdask.rng import TILE

Ints = NDArray[np.int64]


def spread(ranges: Ints) -> Ints:
    """Numbers in ranges, one after the other.

    Parameters
    ----------
    ranges : (range, 2) int64

    Returns
    -------
    (number,) int64
    """
    length = ranges[:, 1] - ranges[:, 0]
    before = np.cumsum(length) - length
    numbers: Ints = np.arange(length.sum()) + np.repeat(ranges[:, 0] - before, length)
    return numbers


def tiles_of(ranges: Ints) -> Ints:
    """Tiles in ranges of neurons that begin where a tile does: (tile,) int64."""
    return spread(np.stack([ranges[:, 0] // TILE, -(-ranges[:, 1] // TILE)], axis=1))


def joined(block: int, ranges: ArrayLike) -> Ints:
    """Ranges of a block, neighbours joined."""
    given = np.array(ranges)
    if given.ndim != 2 or given.shape[1:] != (2,) or not given.size or given.dtype.kind not in "iu":
        raise InputError(
            f"ranges of block {block} have shape {given.shape} and dtype {given.dtype}; expected "
            "whole numbers (range, 2), at least one range"
        )
    flat = given.astype(np.int64).ravel()
    if (np.diff(flat) < 0).any() or (flat[1::2] == flat[::2]).any():
        raise InputError(f"ranges of block {block} are not ascending, or one is empty")
    begins = np.append(True, flat[2::2] != flat[1:-1:2])
    return np.stack([flat[::2][begins], flat[1::2][np.append(begins[1:], True)]], axis=1)


def check_cover(ranges: tuple[Ints, ...]) -> None:
    """Refuse blocks that leave a neuron out, share one, or divide a tile."""
    if not ranges:
        raise InputError("ranges is empty; expected those of at least one block")
    every = np.concatenate(ranges)
    every = every[np.argsort(every[:, 0])]
    wrong = np.flatnonzero(every[:, 0] != np.append(0, every[:-1, 1]))
    if wrong.size:
        at = int(wrong[0])
        before = int(every[at - 1, 1]) if at else 0
        raise InputError(
            f"ranges: one begins at neuron {every[at, 0]:,} where all before end at {before:,}; "
            "every neuron belongs to one block"
        )
    if (divided := every[every[:, 0] % TILE != 0, 0]).size:
        raise InputError(
            f"ranges: one begins at neuron {divided[0]:,}; they begin at multiples of {TILE}"
        )
