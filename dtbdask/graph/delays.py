"""Axonal delays between voxels: how many steps a spike is on its way.

A synapse is kept as its two neurons, so its delay follows from their voxels: between two voxels it
is that of the entry of the far tables by which the one hears the other, and within a voxel it is
one step, even if a far table leads back to its own voxel. Voxels that no entry joins are one step
apart. Two entries that join the same voxels must agree.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import InputError
from dtbdask.graph.population import Populations

Ints = NDArray[np.int64]


class Tracts(NamedTuple):
    """Pairs of voxels with a delay above one step, by target and then by source.

    Attributes
    ----------
    target, source : (tract,) int64
        Voxels.
    delay : (tract,) uint16, steps
    """

    target: Ints
    source: Ints
    delay: NDArray[np.uint16]


def longest_delay(populations: Populations) -> int:
    """Longest delay of a network, steps; one where it has none.

    Raises
    ------
    InputError
        A delay is no step at all.
    """
    delay = populations.mixture.far_delay
    if delay.min(initial=1) < 1:
        raise InputError("far_delay has a delay of 0 steps; delays are 1 step or more")
    return int(delay.max(initial=1))


def tracts(populations: Populations, voxels: Ints) -> Tracts:
    """Delays above one step of what some voxels hear.

    Parameters
    ----------
    populations : Populations
    voxels : (voxel,) int64
        Targets, ascending.

    Raises
    ------
    InputError
        Two entries of far tables give the same pair of voxels different delays.
    """
    mixture, voxel = populations.mixture, populations.voxel
    if not mixture.far_delay.size:
        none = np.zeros(0, np.int64)
        return Tracts(none, none, np.zeros(0, np.uint16))
    far = mixture.table >= 0
    listener, table = voxel[mixture.population[far]], mixture.table[far].astype(np.int64)
    mine = np.isin(listener, voxels)
    n_tables = mixture.far_indptr.size - 1
    listener, table = np.divmod(np.unique(listener[mine] * n_tables + table[mine]), n_tables)
    count = np.diff(mixture.far_indptr)[table]
    before = np.cumsum(count) - count
    entry = np.arange(count.sum()) + np.repeat(mixture.far_indptr[table] - before, count)
    target, source = np.repeat(listener, count), voxel[mixture.far_population[entry]]
    order = np.lexsort((source, target))
    found = Tracts(target[order], source[order], mixture.far_delay[entry[order]])
    keep = (found.delay > 1) & (found.target != found.source) & ~_again(found)
    return Tracts(*(column[keep] for column in found))


def _again(found: Tracts) -> NDArray[np.bool_]:
    """Whether a pair of voxels is that of the entry before; they must agree."""
    again = np.zeros(found.target.size, np.bool_)
    again[1:] = (np.diff(found.target) == 0) & (np.diff(found.source) == 0)
    other = again.copy()
    other[1:] &= found.delay[1:] != found.delay[:-1]
    wrong = np.flatnonzero(other & (found.target != found.source))
    if wrong.size:
        at = int(wrong[0])
        raise InputError(
            f"far_delay: voxel {found.target[at]} hears voxel {found.source[at]} after "
            f"{found.delay[at - 1]} steps and after {found.delay[at]}; a pair of voxels has one "
            "delay"
        )
    return again
