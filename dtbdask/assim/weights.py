"""Weights of members: what an analysis makes of an ensemble, whatever the variables are.

Every filter here adds to the mean of a state x combinations of the anomalies X of its members,

    mean x + (w + W) X,     w (1, member) moves the mean, W (member, member) changes the anomalies.

The weights follow from the predictions b = H(x), their anomalies Y (member, obs), the observations
y and the diagonal R of the error variances, and serve all states of those members: at other
variables, or at earlier times, which makes a smoother. With k members, S = Y R^-1 Y^T,
A = (k - 1) I + S and the gain K = X^T A^-1 Y R^-1 (Woodbury) of the sample,

`etkf_weights`
    w = (y - mean b) R^-1 Y^T A^-1,  W = [(k - 1) A^-1]^(1/2), the symmetric root.
`denkf_weights`
    the same w,  W = I - S A^-1 / 2: half the gain for the anomalies, unperturbed.
`enkf_weights`
    (w + W)_e = I_e + (y + sqrt(R) xi_e - b_e) R^-1 Y^T A^-1 for member e.

Everything is float64. Leading dimensions are a batch of independent problems.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask.assim.arrays import namespace
from dtbdask.assim.checks import finite

Floats = NDArray[np.float64]
Weights = tuple[Floats, Floats]


def etkf_weights(b: Floats, y: Floats, R: Floats, Q: Floats | None = None) -> Weights:
    """Weights of the ensemble transform filter (Bishop et al. 2001, Hunt et al. 2007).

    Parameters
    ----------
    b : (..., member, obs) float64, unit of the observation
        What each member predicts.
    y, R : (..., 1, obs) float64
        Observations and error variances.
    Q : (..., member, member) float64, optional
        Rotation of the anomalies, from `rotation`.

    Returns
    -------
    w : (..., 1, member) float64
    W : (..., member, member) float64
    """
    xp = namespace(b)
    w, s, U = _spectrum(b, y, R)
    k = b.shape[-2]
    W = (U * xp.sqrt((k - 1) / (s + (k - 1)))) @ U.swapaxes(-1, -2)
    return w, W if Q is None else xp.asarray(Q) @ W


def denkf_weights(b: Floats, y: Floats, R: Floats) -> Weights:
    """Weights of the deterministic filter (Sakov and Oke 2008).

    Parameters
    ----------
    b : (..., member, obs) float64, unit of the observation
        What each member predicts.
    y, R : (..., 1, obs) float64
        Observations and error variances.

    Returns
    -------
    w : (..., 1, member) float64
    W : (..., member, member) float64
    """
    w, s, U = _spectrum(b, y, R)
    k = b.shape[-2]
    return w, (U * (1 - s / (s + (k - 1)) / 2)) @ U.swapaxes(-1, -2)


def enkf_weights(b: Floats, y: Floats, R: Floats, xi: Floats) -> Weights:
    """Weights of the stochastic filter (Burgers et al. 1998).

    Parameters
    ----------
    b : (..., member, obs) float64, unit of the observation
        What each member predicts.
    y, R : (..., 1, obs) float64
        Observations and error variances.
    xi : (..., member, obs) float64
        Standard normals. They are shifted to mean 0 and widened by sqrt(k / (k - 1)).

    Returns
    -------
    w : (..., 1, member) float64
    W : (..., member, member) float64
    """
    finite(predicted=b)
    xp = namespace(b)
    k = b.shape[-2]
    D = y + xp.sqrt(R) * (centred(xp.asarray(xi)) * np.sqrt(k / (k - 1))) - b
    Y = centred(b)
    A = (k - 1) * xp.eye(k) + (Y / R) @ Y.swapaxes(-1, -2)
    T = xp.linalg.solve(A, Y @ (D / R).swapaxes(-1, -2)).swapaxes(-1, -2)
    w = T.mean(axis=-2, keepdims=True)
    return w, T - w + xp.eye(k)


def rotation(
    generator: np.random.Generator | None, members: int, batch: tuple[int, ...] = ()
) -> Floats | None:
    """Random rotation of members that keeps their mean and covariance.

    It is orthogonal, leaves the vector of ones, and is uniformly distributed among such.
    Sakov and Oke 2008, Mon. Weather Rev. 136, 1042-1053.

    Parameters
    ----------
    generator : numpy.random.Generator or None
        Source of (member - 1)^2 standard normals for each problem; None gives None.
    members : int
    batch : tuple of int
        Leading dimensions.

    Returns
    -------
    Q : (..., member, member) float64
    """
    if generator is None:
        return None
    inner, r = np.linalg.qr(generator.standard_normal((*batch, members - 1, members - 1)))
    inner = inner * np.sign(np.einsum("...ii->...i", r))[..., None, :]
    axis = np.full(members, -1 / np.sqrt(members))
    axis[0] += 1  # the reflection that takes the first unit vector to the direction of ones
    basis = (np.eye(members) - 2 * np.outer(axis, axis) / (axis @ axis))[:, 1:]
    Q: Floats = 1 / members + basis @ inner @ basis.T
    return Q


def total(weights: Weights, inflation: float = 1.0) -> Floats:
    """Weights of members in one matrix.

    Parameters
    ----------
    weights : tuple
        w (..., 1, member) and W (..., member, member) float64.
    inflation : float
        Multiplies the analysis anomalies.

    Returns
    -------
    (..., member, member) float64
    """
    w, W = weights
    return w + inflation * W


def combined(state: Any, weight: Any) -> Any:
    """Mean of the state plus weights times its anomalies.

    Parameters
    ----------
    state : ndarray
        (..., member, variable) float, any unit.
    weight : ndarray
        (..., member, member) float64, w + W.

    Returns
    -------
    analysis : ndarray
        (..., member, variable) float of the dtype of `state`.
    """
    finite(state=state)
    mean = state.mean(axis=-2, keepdims=True)
    return mean + namespace(state).asarray(weight, dtype=state.dtype) @ (state - mean)


def centred(a: Floats) -> Floats:
    """Anomalies of members about their mean.

    Parameters
    ----------
    a : (..., member, obs) float64
    """
    anomalies: Floats = a - a.mean(axis=-2, keepdims=True)
    return anomalies


def _spectrum(b: Floats, y: Floats, R: Floats) -> tuple[Floats, Floats, Floats]:
    """Weights of the mean (..., 1, k), eigenvalues of S (..., 1, k) and its eigenvectors."""
    finite(predicted=b)
    xp = namespace(b)
    k = b.shape[-2]
    mean = b.mean(axis=-2, keepdims=True)
    Y = b - mean
    YR = Y / R
    eigenvalue, U = xp.linalg.eigh(YR @ Y.swapaxes(-1, -2))
    s = xp.maximum(eigenvalue, 0.0)[..., None, :]
    w = ((y - mean) @ YR.swapaxes(-1, -2) @ U / (s + (k - 1))) @ U.swapaxes(-1, -2)
    return w, s, U
