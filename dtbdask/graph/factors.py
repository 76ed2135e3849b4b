"""Gamma-distributed factors by which single neurons deviate from their population."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import InputError
from dtbdask.rng import generator

NEURONS_PER_DRAW = 4096
"""Neurons whose factors come from one generator; changing it changes every factor."""


def gamma_factors(
    seed: int, parameter_index: int, n_neurons: int, shape: float = 5.0
) -> NDArray[np.float64]:
    """Factors by which single neurons deviate from their population's hyper-parameter.

    Neuron i has the same factor in a network of any size: neurons are drawn in fixed groups of
    `NEURONS_PER_DRAW`, each from a generator of its own.

    Parameters
    ----------
    seed : int
        Seed of the experiment.
    parameter_index : int
        Which parameter the factors multiply; parameters have independent factors.
    n_neurons : int
        Number of neurons.
    shape : float
        a of Gamma(shape a, rate a).

    Returns
    -------
    gamma : ndarray
        (neuron,) float64, 1. Positive, mean 1, variance 1 / a.

    Raises
    ------
    InputError
        `n_neurons` is negative or `shape` is not positive and finite.
    """
    if n_neurons < 0:
        raise InputError(f"n_neurons is {n_neurons}; it must not be negative")
    if not 0 < shape < np.inf:
        raise InputError(f"shape of the gamma factors is {shape}; it must be positive and finite")
    gamma = np.empty(n_neurons)
    for group, start in enumerate(range(0, n_neurons, NEURONS_PER_DRAW)):
        stream = generator(seed, "gamma factor", parameter_index, group)
        drawn = stream.standard_gamma(shape, NEURONS_PER_DRAW) / shape
        gamma[start : start + NEURONS_PER_DRAW] = drawn[: n_neurons - start]
    return gamma
