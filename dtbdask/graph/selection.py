"""Populations and neurons chosen by name, index or mask."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtbdask.errors import InputError
from dtbdask.graph.network import Network

Ints = NDArray[np.int64]

SIGNS = {"E": True, "I": False}
"""Names of all populations that excite, or inhibit, in a network without slots of that name."""
TOLD = 8
"""Numbers that are told one by one; of more, how many there are and their SHA-256."""


def choose_populations(network: Network, population: str | ArrayLike | None) -> Ints:
    """Populations that a selection means.

    Parameters
    ----------
    network : Network
    population : str, sequence of str, (index,) int or (population,) bool, or None
        Names may be those of a population ("Thalamus_L E"), a slot ("L5E"), a voxel, or "E" or "I"
        for all that excite or inhibit; None means all.

    Returns
    -------
    (index,) int64
        As given, or in order for names and masks.

    Raises
    ------
    InputError
        A name that there is not or that means several things, or an index beyond the populations.
    """
    n = network.populations.size.size
    if population is None:
        return np.arange(n)
    names = [population] if isinstance(population, str) else population
    if isinstance(names, Sequence) and names and all(isinstance(name, str) for name in names):
        return np.unique(np.concatenate([_named(network, str(name)) for name in names]))
    return choose("population", names, n)


def _named(network: Network, name: str) -> Ints:
    table = network.populations
    slot, labels = np.array(network.slots), np.array(network.labels)
    kinds = {
        "population": np.flatnonzero(np.array(network.population_labels) == name),
        "slot": np.flatnonzero((slot == name)[table.slot]),
        "voxel": np.flatnonzero((labels == name)[table.voxel]),
    }
    if name in SIGNS and not kinds["slot"].size:
        kinds["sign"] = np.flatnonzero(table.excitatory == SIGNS[name])
    found = {kind: at for kind, at in kinds.items() if at.size}
    if not found:
        raise InputError(
            f"population: nothing is named {name!r}; name a population such as "
            f"{network.population_labels[0]!r}, a slot of {list(network.slots)}, a voxel such as "
            f"{network.labels[0]!r}, or 'E' or 'I'"
        )
    first = next(iter(found.values()))
    if not all(np.array_equal(first, at) for at in found.values()):
        kinds_told = " and a ".join(found)
        raise InputError(f"population: {name!r} is the name of a {kinds_told}; give indices")
    return first


def choose(dimension: str, chosen: Any, n: int) -> Ints:
    """Indices that a list of indices or a mask means.

    Parameters
    ----------
    dimension : str
        What is chosen, for the messages.
    chosen : (index,) int or (n,) bool
    n : int
        How many there are.
    """
    array = np.atleast_1d(np.asarray(chosen))
    if array.dtype == bool and array.shape == (n,):
        array = np.flatnonzero(array)
    if not array.size:
        raise InputError(f"{dimension}: none is chosen")
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputError(
            f"{dimension} is {array.dtype} of shape {array.shape}; expected indices, or a mask of "
            f"shape ({n},)"
        )
    wrong = array[(array < 0) | (array >= n)]
    if wrong.size:
        raise InputError(f"{dimension} {wrong[0]} is chosen; there are 0 to {n - 1:,}")
    values, times = np.unique(array, return_counts=True)
    if times.max() > 1:
        raise InputError(f"{dimension} {values[times > 1][0]} is chosen twice")
    return array.astype(np.int64)


def tell(values: Any) -> Any:
    """What a record says of a selection or of values: themselves if few, or their digest.

    Parameters
    ----------
    values : None, str, sequence of str, number or (index,) array
    """
    if values is None or isinstance(values, str):
        return values or "all"
    if isinstance(values, Iterable) and all(isinstance(name, str) for name in values):
        return list(values)
    array = np.asarray(values)
    if array.size <= TOLD:
        return array.tolist()
    kind = np.dtype(array.dtype).newbyteorder("<")
    digest = hashlib.sha256(np.ascontiguousarray(array, kind).tobytes()).hexdigest()
    shape = {"shape": list(array.shape)} if array.ndim > 1 else {}
    return {
        "count": int(array.size), **shape, "low": array.min().item(), "high": array.max().item(),
        "sha256": digest,
    }  # fmt: skip
