"""Single neurons chosen to be looked at: by number, or the first few of each population."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtbdask.errors import InputError, whole_number
from dtbdask.graph.network import Network
from dtbdask.graph.selection import choose_populations

Ints = NDArray[np.int64]

MOST = 2**20
"""Neurons of a sample."""


def choose_samples(network: Network, samples: ArrayLike | Mapping[str | int, int]) -> Ints:
    """Neurons that a sample means.

    Parameters
    ----------
    network : Network
    samples : (sample,) int, or mapping of a population to a number
        Global indices of neurons in any order, repeated or not; or how many neurons to take of each
        population that a name means, the first ones. Names are those of `choose_populations`.

    Returns
    -------
    (sample,) int64
        In the order given; of a mapping in its order, then by population and neuron.

    Raises
    ------
    InputError
        No neuron or too many, one that there is not, or more than a population has.
    """
    if isinstance(samples, Mapping):
        found = [_first(network, name, number) for name, number in samples.items()]
        chosen = np.concatenate([np.zeros(0, np.int64), *found])
    else:
        chosen = np.atleast_1d(np.asarray(samples))
    if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
        raise InputError(
            f"samples is {chosen.dtype} of shape {chosen.shape}; expected indices of neurons, or "
            "the number to take of each population, such as {'E': 10}"
        )
    if not 0 < chosen.size <= MOST:
        raise InputError(f"samples names {chosen.size:,} neurons; expected 1 to {MOST:,}")
    wrong = chosen[(chosen < 0) | (chosen >= network.n_neurons)]
    if wrong.size:
        raise InputError(f"samples: neuron {wrong[0]} is not one of 0 to {network.n_neurons - 1:,}")
    return chosen.astype(np.int64)


def _first(network: Network, name: str | int, number: int) -> Ints:
    """The first neurons of each population of a name."""
    number = whole_number(f"samples of {name!r}", number, 1)
    populations = choose_populations(network, name)
    size, first = network.populations.size[populations], network.populations.first[populations]
    small = np.flatnonzero(size < number)
    if small.size:
        label = network.population_labels[populations[small[0]]]
        raise InputError(
            f"samples of {name!r} is {number:,}, but population {label!r} has "
            f"{size[small[0]]:,} neurons"
        )
    if number * populations.size > MOST:
        raise InputError(
            f"samples of {name!r} is {number:,} of each of {populations.size:,} populations; "
            f"expected at most {MOST:,} neurons in all"
        )
    return (first[:, None] + np.arange(number)).ravel()
