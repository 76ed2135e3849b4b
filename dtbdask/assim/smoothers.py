"""Smoothers: observations correct the past as well, or parameters that a model takes.

`enks`
    The ensemble Kalman smoother. Weights of members belong to no time: those of an analysis,
    applied to states that the same members had before, correct these with the new observations
    through correlations of the sample over time. Evensen and van Leeuwen 2000, Mon. Weather
    Rev. 128, 1852-1867.
`es_mda`
    The ensemble smoother with multiple data assimilation. The same observations are taken several
    times, each time with a larger error, a_i R with sum 1 / a_i = 1, and the model runs in between:
    for a linear model that is one update, for others many small ones in place of a large one.
    Emerick and Reynolds 2013, Comput. Geosci. 55, 3-15.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtbdask.assim.arrays import namespace, of_members, of_variables
from dtbdask.assim.checks import members, positive, problem
from dtbdask.assim.filters import enkf
from dtbdask.assim.weights import combined, enkf_weights, etkf_weights, rotation, total
from dtbdask.errors import InputError, whole_number

Real = TypeVar("Real", bound=np.floating)
Floats = NDArray[np.float64]


def enks(
    states: Sequence[NDArray[Real]],
    predicted: NDArray[np.floating],
    observation: ArrayLike,
    error_variance: ArrayLike,
    lag: int,
    inflation: float = 1.0,
    generator: np.random.Generator | None = None,
    method: Literal["etkf", "enkf"] = "etkf",
) -> list[NDArray[Real]]:
    """One analysis of the ensemble Kalman smoother with a fixed lag (Evensen and van Leeuwen 2000).

    Step by step: `states = enks([*states, forecast], predicted, y, R, lag)`.

    Parameters
    ----------
    states : sequence of ndarray
        (..., member, variable) float each, any unit, oldest first: states of the same members, as
        analysed so far; the last is the forecast. Their variables may differ.
    predicted : ndarray
        (..., member, obs) float, unit of the observation. What the members of the last predict.
    observation : array_like
        (..., obs) float. Measured values.
    error_variance : array_like
        (..., obs) float or a scalar, squared unit of the observation. Diagonal of R, positive.
    lag : int
        How many states before the last are corrected; older ones are handed back as they are.
    inflation : float
        Multiplies the anomalies of the last; those before were inflated in their turn.
    generator : numpy.random.Generator, optional
        Source of the perturbations of `enkf`, which needs it, or of a rotation for `etkf`.
    method : {"etkf", "enkf"}
        Whose weights; the last state is the analysis of this filter.

    Returns
    -------
    states : list of ndarray
        (..., member, variable) each, of the dtype it came with.

    Raises
    ------
    InputError
        Shapes disagree, a value is not finite, a variance or the inflation is not positive, the lag
        is negative, or the method is unknown or lacks its generator.
    """
    if not len(states):
        raise InputError("states is empty; the last of them must be the forecast")
    lag = whole_number("lag", lag, 0)
    b, y, R = problem(states[-1], predicted, observation, error_variance)
    for state in states[-1 - lag : -1]:
        members(state, "states")
        if state.shape[:-1] != b.shape[:-1]:
            raise InputError(f"states has shape {state.shape}; expected {(*b.shape[:-1], '...')}")
    if method == "etkf":
        Q = rotation(generator, b.shape[-2], b.shape[:-2])
        weights = of_members(etkf_weights, b, y, R, Q)
    elif method == "enkf" and generator is not None:
        weights = of_members(enkf_weights, b, y, R, generator.standard_normal(b.shape))
    else:
        raise InputError(f"method is {method!r}; use 'etkf', or 'enkf' with a generator")
    now = of_members(total, weights, positive("inflation", inflation))
    before = of_members(total, weights)
    older = list(states[: max(len(states) - 1 - lag, 0)])
    smoothed = [of_variables(combined, x, before) for x in states[len(older) : -1]]
    return [*older, *smoothed, of_variables(combined, states[-1], now)]


def es_mda(
    parameters: NDArray[Real],
    model: Callable[[NDArray[Real]], NDArray[np.floating]],
    observation: ArrayLike,
    error_variance: ArrayLike,
    generator: np.random.Generator,
    steps: int | ArrayLike = 4,
) -> NDArray[Real]:
    """Ensemble smoother with multiple data assimilation (Emerick and Reynolds 2013).

    Parameters
    ----------
    parameters : ndarray
        (..., member, variable) float, any unit. Prior ensemble.
    model : callable
        From an ensemble (..., member, variable) to what its members predict, (..., member, obs).
        Called once a step.
    observation : array_like
        (..., obs) float. Measured values.
    error_variance : array_like
        (..., obs) float or a scalar, squared unit of the observation. Diagonal of R, positive.
    generator : numpy.random.Generator
        Source of the perturbations, one standard normal for each prediction in each step.
    steps : int or array_like
        How many equal steps, or (step,) float, the factors a_i of R; their reciprocals sum to 1.

    Returns
    -------
    posterior : ndarray
        (..., member, variable) float of the dtype of `parameters`.

    Raises
    ------
    InputError
        Shapes disagree, a value is not finite, a variance or a factor is not positive, or the
        reciprocals of the factors do not sum to 1.
    """
    for a in _factors(steps):
        R = a * namespace(error_variance).asarray(error_variance, dtype=np.float64)
        parameters = enkf(parameters, model(parameters), observation, R, generator)
    return parameters


def _factors(steps: int | ArrayLike) -> Floats:
    """Factors of the error variance, (step,), with reciprocals that sum to 1."""
    factors = np.asarray(steps, dtype=np.float64)
    if factors.ndim == 0:
        n_steps = whole_number("steps", steps, 1)
        return np.full(n_steps, float(n_steps))
    if factors.ndim != 1 or not (factors > 0).all() or abs((1 / factors).sum() - 1) > 1e-6:
        raise InputError(
            f"steps is {steps!r}; expected a number of steps, or positive factors whose "
            "reciprocals sum to 1, as (4, 4, 4, 4)"
        )
    return factors
