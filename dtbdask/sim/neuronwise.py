"""Coefficients of single neurons where populations are small.

The kernel takes the neurons of a stretch with the same coefficients together, a few in each
instruction. In a stretch of some ten or twenty, which a small network of many voxels has, that
leaves most of it idle. There what differs between populations is written down for each neuron of
each member, and all neurons are one stretch. The products are those that the kernel would make: the
bits are the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dtbdask.kernels import Features
from dtbdask.sim.model import Coefficients

Ints = NDArray[np.int64]

SHORT = 64
"""Neurons of a stretch, on average, from which on they are taken by stretches."""
FEW = 10_000
"""Neurons of all members below which a step is short in any case, and no kernel is compiled."""
MOST = 8
"""Coefficients that differ, at most: each takes the room of a trace."""


class Table(NamedTuple):
    """What the kernels take of coefficients: their last arguments but the state."""

    features: Features
    value: NDArray[np.floating]
    """(member, population, coefficient) float."""
    factor: NDArray[np.floating]
    """(slot, neuron) or (slot, member * neuron) float."""
    stop: Ints
    """(stretch,) int64."""
    population: Ints
    """(stretch,) int64."""


def neuronwise(
    c: Coefficients, population: NDArray[np.int64], n_stretches: int
) -> Table | None:  # fmt: skip
    """The coefficients as one stretch; None where it is not worth it, or too much differs.

    Parameters
    ----------
    c : Coefficients
    population : (neuron,) int64
        Of each neuron of the block.
    n_stretches : int
        Of neurons that share their coefficients.
    """
    n, slots = population.size, np.array(c.features.slots)
    if n >= SHORT * n_stretches or n * len(c.value) < FEW:
        return None
    value = c.value[:, np.unique(population)]
    own = np.flatnonzero((value != value[:, :1]).any(axis=(0, 1)) | (slots >= 0))
    if not 0 < own.size <= MOST:
        return None
    factor = np.empty((own.size, len(value), n), value.dtype)
    for row, k in zip(factor, own.tolist(), strict=True):
        row[:] = c.value[:, population, k]
        if slots[k] >= 0:
            row *= c.factor[slots[k]]
    alike = value[:, :1].copy()
    alike[..., own] = 1
    slots[own] = np.arange(own.size)
    features = c.features._replace(slots=tuple(slots.tolist()))
    whole, first = np.array([n], np.int64), np.zeros(1, np.int64)
    return Table(features, alike, factor.reshape(own.size, -1), whole, first)
