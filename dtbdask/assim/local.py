"""The local ensemble transform filter: every variable is analysed with the observations near it.

With few members, correlations of the sample between far variables are chance. The local filter
analyses each variable by itself and divides the variances of observations by a taper that falls
with their distance (R-localisation): an observation with taper 0 does not exist for it. The local
matrices Y R^-1 Y^T of all variables are one product, of tapers (variable, obs) with products of
anomalies of pairs of members, and their eigenvectors one batched call.

With taper 1 everywhere it is `dtbdask.assim.filters.etkf`; with the identity, and every variable
observed, a scalar filter for each.

Hunt, Kostelich and Szunyogh 2007, Physica D 230, 112-126.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtbdask.assim.arrays import is_lazy, namespace, of_variables
from dtbdask.assim.checks import finite, positive, problem
from dtbdask.assim.weights import rotation
from dtbdask.errors import InputError

Real = TypeVar("Real", bound=np.floating)
Floats = NDArray[np.float64]


def letkf(
    state: NDArray[Real],
    predicted: NDArray[np.floating],
    observation: ArrayLike,
    error_variance: ArrayLike,
    taper: NDArray[np.floating],
    inflation: float = 1.0,
    generator: np.random.Generator | None = None,
) -> NDArray[Real]:
    """Local ensemble transform Kalman filter with tapered observations (Hunt et al. 2007).

    Room is needed for member^2 float64 of each variable in a chunk and half that of each
    observation; chunks of variables (a Dask state) bound it.

    Parameters
    ----------
    state : ndarray
        (..., member, variable) float, any unit. Forecast ensemble.
    predicted : ndarray
        (..., member, obs) float, unit of the observation. What each member predicts.
    observation : array_like
        (..., obs) float. Measured values.
    error_variance : array_like
        (..., obs) float or a scalar, squared unit of the observation. Diagonal of R, positive.
    taper : ndarray
        (variable, obs) float, 0 to 1. What an observation counts for a variable; from
        `dtbdask.assim.localisation.gaspari_cohn`, or any other weights.
    inflation : float
        Multiplies the analysis anomalies; 1 leaves them.
    generator : numpy.random.Generator, optional
        Source of a random rotation of the members, the same for all variables.

    Returns
    -------
    analysis : ndarray
        (..., member, variable) float of the dtype of `state`.

    Raises
    ------
    InputError
        Shapes disagree, a value is not finite, a variance or the inflation is not positive, a taper
        is not in [0, 1].
    """
    b, y, R = problem(state, predicted, observation, error_variance)
    near = _near(taper, (state.shape[-1], b.shape[-1]), state)
    Q = rotation(generator, b.shape[-2], b.shape[:-2])
    scale = positive("inflation", inflation)
    b = _promise(b)
    analysis: NDArray[Real] = of_variables(_local, state, b, y, R, Q, scale, each=(near,))
    return analysis


def _promise(b: Any) -> Any:
    """Predictions as one piece: the local problems of all chunks need all of them."""
    if not is_lazy(b):
        return b
    from dask import delayed

    return delayed(b)


def _near(taper: Any, shape: tuple[int, int], state: Any) -> Any:
    """Tapers (obs, variable), checked."""
    if not is_lazy(taper):
        taper = namespace(taper, state).asarray(taper, dtype=np.float64)
    if taper.shape != shape:
        raise InputError(
            f"taper has shape {taper.shape}; state and predicted ask for (variable, obs) {shape}"
        )
    if not is_lazy(taper) and not ((taper >= 0) & (taper <= 1)).all():
        raise InputError(
            f"taper has values from {taper.min()} to {taper.max()}; each must lie between 0 and 1"
        )
    return taper.T


def _local(
    x: NDArray[Real], near: Floats, b: Floats, y: Floats, R: Floats, Q: Floats | None,
    inflation: float,
) -> NDArray[Real]:  # fmt: skip
    """Analysis of some variables, each a problem of its own."""
    finite(state=x, predicted=b)
    xp = namespace(x)
    b, y, R = xp.asarray(b), xp.asarray(y), xp.asarray(R)
    k = b.shape[-2]
    mean_b = b.mean(axis=-2, keepdims=True)
    Y = b - mean_b
    P = xp.asarray(near, dtype=np.float64).T / R  # (..., variable, obs)
    i, j = xp.tril_indices(k)  # all that eigh looks at
    S = xp.zeros((*P.shape[:-1], k, k))
    S[..., i, j] = P @ (Y[..., i, :] * Y[..., j, :]).swapaxes(-1, -2)
    s, U = xp.linalg.eigh(S)
    a = (xp.maximum(s, 0.0) + (k - 1))[..., None]  # (..., variable, k, 1)
    g = (P @ (Y * (y - mean_b)).swapaxes(-1, -2))[..., None]
    mean = x.mean(axis=-2, keepdims=True, dtype=np.float64)
    UT = U.swapaxes(-1, -2)
    V = UT @ (x - mean).swapaxes(-1, -2)[..., None]  # anomalies along the eigenvectors
    step = ((UT @ g) * V / a).sum(axis=(-1, -2))
    X = (U @ (xp.sqrt((k - 1) / a) * V))[..., 0].swapaxes(-1, -2)
    if Q is not None:
        X = xp.asarray(Q) @ X
    analysis: NDArray[Real] = (mean + step[..., None, :] + inflation * X).astype(x.dtype)
    return analysis
